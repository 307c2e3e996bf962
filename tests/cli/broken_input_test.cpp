// What a user reads when something is wrong: each message whole, with its position and exit code.

#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/cli/duet_process.hpp"

namespace duet::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// --- Experiment files
// ------------------------------------------------------------------------------------------------

struct BrokenFile {
  std::string name;
  std::string from;  ///< part of tiny.yaml …
  std::string to;    ///< … and what stands there instead
  std::string message;
};

std::ostream& operator<<(std::ostream& stream, const BrokenFile& broken) {
  return stream << broken.name;
}

class BrokenFiles : public ::testing::TestWithParam<BrokenFile> {};

TEST_P(BrokenFiles, AreRefusedWithPositionAndReason) {
  const BrokenFile& broken = GetParam();
  const TemporaryDirectory folder;
  make_tiny(folder.path());
  write_file(folder / "tiny.yaml", replaced(tiny, broken.from, broken.to));
  for (const char* command : {"validate", "run"}) {
    const Finished done = duet(folder.path(), {command, "tiny.yaml"});
    EXPECT_EQ(done.exit_code, 2);
    EXPECT_EQ(done.err, replaced(broken.message + "\n", "FILE", "tiny.yaml"));
    EXPECT_EQ(done.out, "");
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "tiny.db"));
}

INSTANTIATE_TEST_SUITE_P(
    Tiny, BrokenFiles,
    ::testing::Values(
        BrokenFile{"unknown_key",
                   "\nbudget:", "\nbudgte:", "FILE:20:1: unknown key 'budgte'; did you mean 'budget'?"},
        BrokenFile{
            "unknown_option", "population", "populatoin",
            "FILE:19:23: unknown key 'search.populatoin' of strategy nsga2; did you mean 'population'?"},
        BrokenFile{"missing_key", "\nbudget: {trials: 12}", "", "FILE:1:1: missing key 'budget'"},
        BrokenFile{"duplicate_key", "seed: 1\n", "seed: 1\nseed: 2\n",
                   "FILE:3:1: key 'seed' occurs twice; it stands in line 2 already"},
        BrokenFile{"wrong_type", "seed: 1", "seed: one",
                   "FILE:2:7: 'seed' must be a whole number, not 'one'"},
        BrokenFile{"negative", "seed: 1", "seed: -1", "FILE:2:7: 'seed' must be at least 0, not -1"},
        BrokenFile{"no_trials", "trials: 12", "trials: 0",
                   "FILE:20:18: 'budget.trials' must be at least 1, not 0"},
        BrokenFile{"missing_unit", "2KiB", "2048",
                   "FILE:7:30: 'space.design.parameters.size.ordinal[1]' needs a unit, for example '512KiB'"},
        BrokenFile{
            "wrong_unit", "timeout: 60s", "timeout: 60MB",
            "FILE:13:14: 'estimators[0].timeout': 'MB' is not a unit of time (ps, ns, us, ms, s, min, h, d)"},
        BrokenFile{"unit_in_a_name", "energy_j: {unit: nJ", "energy_nj: {unit: nJ",
                   "FILE:16:25: the values of 'energy_nj' will be kept in J: name it 'energy_j'"},
        BrokenFile{"unknown_space", "type: parameters", "type: parameter",
                   "FILE:5:11: unknown space 'parameter'; did you mean 'parameters'?"},
        BrokenFile{"unknown_estimator", "type: command", "type: comand",
                   "FILE:11:11: unknown estimator 'comand'; did you mean 'command'?"},
        BrokenFile{"unknown_strategy", "nsga2", "nsga9",
                   "FILE:19:16: unknown strategy 'nsga9'; did you mean 'nsga2'?"},
        BrokenFile{"unknown_objective", "[latency_s, energy_j]", "[latency_s, enrgy_j]",
                   "FILE:17:25: no estimator reports a metric 'enrgy_j'; did you mean 'energy_j'?"},
        BrokenFile{"unknown_metric_in_constraint", "latency_s <= 50ms", "latencies <= 50ms",
                   "FILE:18:15: unknown name 'latencies'; did you mean 'latency_s'?"},
        BrokenFile{"unknown_parameter_in_constraint", "space:", "space:\n  constraints: [design.way <= 3]",
                   "FILE:4:17: unknown name 'design.way'; did you mean 'design.ways'?"},
        BrokenFile{"unknown_option_in_constraint",
                   "space:", "space:\n  constraints: [design.policy == 'lur']",
                   "FILE:4:34: 'lur' is not a value of 'design.policy'; did you mean 'lru'?"},
        BrokenFile{"syntax_of_constraint", "latency_s <= 50ms", "latency_s <== 50ms",
                   "FILE:18:27: '=' is not an operator; '==' compares"},
        BrokenFile{"unsatisfiable_constraint", "space:", "space:\n  constraints: [design.ways * 2 == 3]",
                   "FILE:4:16: no valid design among 10000 drawn at random; the constraint violated most "
                   "often (10000 "
                   "times) is 'design.ways * 2 == 3'"},
        BrokenFile{"empty_choice", "[lru, fifo]", "[]", "FILE:9:24: choice 'policy' has no options"},
        BrokenFile{"empty_range", "[1, 8]", "[8, 1]", "FILE:8:23: the minimum is above the maximum"},
        BrokenFile{
            "unsuitable_strategy", "{type: nsga2, population: 4}", "regularized_evolution",
            "FILE:19:9: strategy 'regularized_evolution' handles 1 objective, not 2 (latency_s, energy_j)"},
        BrokenFile{"option_out_of_bounds", "population: 4", "population: 1",
                   "FILE:19:35: 'search.population' must be at least 2, not 1"},
        BrokenFile{"impossible_initial_design", "window: 4",
                   "initial: [{design.size: 3KiB, design.ways: 1, design.policy: lru}]",
                   "FILE:21:25: 'design.size' cannot be '3KiB': it is one of ordinal [1 KiB, 2 KiB, 4 KiB]"},
        BrokenFile{"incomplete_initial_design", "window: 4", "initial: [{design.size: 2KiB, design.ways: 1}]",
                   "FILE:21:11: no value for design.policy (choice [lru, fifo])"},
        BrokenFile{"reserved_name", "name: tiny", "name: trials",
                   "FILE:1:7: the name 'trials' is taken by a table of the database"},
        BrokenFile{"unclosed_bracket", "[latency_s, energy_j]", "[latency_s, energy_j",
                   "FILE:18:12: not valid YAML: expected ',' or ']'; the '[' of line 17 is open"},
        BrokenFile{"tab", "  design:", "\tdesign:",
                   "FILE:4:1: not valid YAML: a tab in the indentation; indent with blanks"}),
    [](const auto& test) { return test.param.name; });

class BrokenInput : public ::testing::Test {
 protected:
  BrokenInput() { make_tiny(folder.path()); }
  Finished run(const std::vector<std::string>& arguments) { return duet(folder.path(), arguments); }
  /// Expects that `arguments` are refused with just this message.
  void refused(const std::vector<std::string>& arguments, int exit_code, const std::string& message) {
    const Finished done = run(arguments);
    EXPECT_EQ(done.exit_code, exit_code);
    EXPECT_EQ(done.err, message + "\n");
    EXPECT_EQ(done.out, "");
  }
  void finish_tiny() { ASSERT_EQ(run({"run", "-q", "tiny.yaml"}).exit_code, 0); }
  const TemporaryDirectory folder;
};

TEST_F(BrokenInput, MissingFile) {
  refused({"run", "tyni.yaml"}, 2, "tyni.yaml: cannot read: No such file or directory");
}

TEST_F(BrokenInput, UnreadableFile) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  std::filesystem::permissions(folder / "tiny.yaml", std::filesystem::perms::none);
  refused({"run", "tiny.yaml"}, 2, "tiny.yaml: cannot read: Permission denied");
}

TEST_F(BrokenInput, DirectoryAsFile) {
  std::filesystem::create_directory(folder / "folder.yaml");
  refused({"run", "folder.yaml"}, 2, "folder.yaml: cannot read: Is a directory");
}

TEST_F(BrokenInput, NotYaml) {
  write_file(folder / "text.yaml", "Dear duet,\nplease find me a chip.\n");
  refused({"run", "text.yaml"}, 2,
          "text.yaml:1:1: an experiment file is a mapping with the keys space, estimators, objectives, "
          "search and "
          "budget");
  write_file(folder / "noise.yaml", "\xff\x00\x81noise");
  refused({"run", "noise.yaml"}, 2, "noise.yaml:1:1: not a text file in UTF-8");
}

TEST_F(BrokenInput, MissingProgram) {
  std::filesystem::remove(folder / "simulate.sh");
  const Finished done = run({"run", "tiny.yaml"});
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_THAT(done.err, StartsWith("tiny.yaml:12:14: no program '"));
  EXPECT_THAT(done.err, HasSubstr("simulate.sh'\n"));
}

// --- Tables
// ----------------------------------------------------------------------------------------------------------

class BrokenTable : public BrokenInput {
 protected:
  BrokenTable() {
    write_file(folder / "table.yaml", R"(name: table
space:
  design: {type: parameters, parameters: {ways: {integer: [1, 3]}}}
estimators:
  - type: table
    file: data.csv
    key: "{design.ways}"
    key_column: ways
    metrics:
      latency_s: {column: latency, unit: ms, direction: minimize}
objectives: latency_s
search: random
budget: 3
)");
    path = std::filesystem::canonical(folder.path()) / "data.csv";
  }
  /// The message without the folder, whose name no test can know.
  void table_refused(const std::string& csv, const std::string& message) {
    write_file(path, csv);
    const Finished done = run({"run", "table.yaml"});
    EXPECT_EQ(done.exit_code, 2);
    EXPECT_EQ(replaced(done.err, path.parent_path().string() + "/", ""), "table.yaml:5:5: " + message + "\n");
  }
  std::filesystem::path path;
};

TEST_F(BrokenTable, IsFineWhenItIsNot) {
  write_file(path, "ways,latency\n1,9\n2,8\n3,7\n");
  EXPECT_EQ(run({"run", "-q", "table.yaml"}).exit_code, 0);
}

TEST_F(BrokenTable, Absent) {
  const Finished done = run({"run", "table.yaml"});
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_EQ(replaced(done.err, path.parent_path().string() + "/", ""),
            "table.yaml:6:11: cannot read 'data.csv': No such file or directory\n");
}

TEST_F(BrokenTable, RaggedRow) {
  table_refused("ways,latency\n1,9\n2,8,7\n", "data.csv:3:5: the row has 3 fields where the header has 2");
}

TEST_F(BrokenTable, MissingColumn) {
  table_refused("ways,latencies\n1,9\n", "data.csv:1:1: no column 'latency'; known: ways, latencies");
}

TEST_F(BrokenTable, TextForANumber) {
  table_refused("ways,latency\n1,9\n2,fast\n", "data.csv:3:3: 'fast' in column 'latency' is not a number");
}

TEST_F(BrokenTable, TwoRowsForOneKey) {
  table_refused("ways,latency\n1,9\n1,8\n", "data.csv:3:1: a second row for '1'; the first is in line 2");
}

TEST_F(BrokenTable, Compressed) {
  table_refused("\x1f\x8b\x08", "data.csv:1:1: the file is compressed; unpack it first");
}

TEST_F(BrokenTable, AMissingRowIsAFailedTrial) {
  write_file(path, "ways,latency\n1,9\n3,7\n");
  ASSERT_EQ(run({"run", "-q", "table.yaml"}).exit_code, 0);
  EXPECT_EQ(run({"query", "table.db", "SELECT status, reason FROM trials WHERE \"design.ways\" = 2"}).out,
            "status  reason\nfailed  table: '2' is not in data.csv\n");
}

// --- Databases
// -------------------------------------------------------------------------------------------------------

TEST_F(BrokenInput, MissingDatabase) {
  refused({"trials", "tiny.yaml"}, 3, "tiny.db cannot be opened: No such file or directory");
}

TEST_F(BrokenInput, NotADatabase) {
  const std::string text(5000, 'x');
  write_file(folder / "tiny.db", text);
  refused({"run", "tiny.yaml"}, 3, "tiny.db is not a database; choose another file");
  refused({"trials", "tiny.db"}, 3, "tiny.db is not a database; choose another file");
  EXPECT_EQ(read_file(folder / "tiny.db"), text) << "a file that is not ours was changed";
}

// Bytes of SQLite's header (https://www.sqlite.org/fileformat.html, section 1.3): 60 user version, 68
// application id.
void poke(const std::filesystem::path& file, std::size_t offset, const std::string& bytes) {
  std::string content = read_file(file);
  ASSERT_GE(content.size(), offset + bytes.size());
  write_file(file, content.replace(offset, bytes.size(), bytes));
}

TEST_F(BrokenInput, DatabaseOfAnotherProgram) {
  finish_tiny();
  poke(folder / "tiny.db", 68, std::string("\0\0\0\x07", 4));
  refused({"run", "tiny.yaml"}, 3,
          "tiny.db is an SQLite database, but not one of duet's; choose another file");
  refused({"trials", "tiny.db"}, 3,
          "tiny.db is an SQLite database, but not one of duet's; choose another file");
}

TEST_F(BrokenInput, NewerSchema) {
  finish_tiny();
  poke(folder / "tiny.db", 60, std::string("\0\0\0\x63", 4));
  refused({"run", "tiny.yaml"}, 3, "tiny.db was written by a newer duet (schema 99, this one knows 3)");
  refused({"best", "tiny.db"}, 3, "tiny.db was written by a newer duet (schema 99, this one knows 3)");
}

TEST_F(BrokenInput, CorruptDatabase) {
  finish_tiny();
  const std::size_t size = std::filesystem::file_size(folder / "tiny.db");
  poke(folder / "tiny.db", 2048, std::string(size - 2048, '\x5a'));  // all but the first page
  const std::string message =
      "tiny.db is damaged (SQLite: database disk image is malformed); 'sqlite3 FILE .recover' "
      "may save what is left";
  refused({"trials", "tiny.db"}, 3, message);
  refused({"run", "-q", "tiny.yaml"}, 3, message);
}

TEST_F(BrokenInput, UnwritableOutput) {
  refused({"run", "tiny.yaml", "-o", "absent/tiny.db"}, 3,
          "absent/tiny.db cannot be created: No such file or directory");
  refused({"run", "tiny.yaml", "-o", "."}, 3, ". is not a regular file");
  finish_tiny();
  refused({"export", "tiny.db", "-o", "absent/tiny.csv"}, 2,
          "absent/tiny.csv cannot be written: No such file or directory");
}

TEST_F(BrokenInput, ExportDoesNotOverwriteItsDatabase) {
  finish_tiny();
  const std::string before = read_file(folder / "tiny.db");
  refused({"export", "tiny.db", "-o", "./tiny.db"}, 2,
          "./tiny.db is the database itself; choose another output");
  EXPECT_EQ(read_file(folder / "tiny.db"), before);
}

TEST_F(BrokenInput, FullStandardOutput) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const std::string command =
      std::string("'" DUET_BINARY "' list > /dev/full 2> '") + (folder / "err").string() + "'";
  const int status = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 2);
  EXPECT_EQ(read_file(folder / "err"), "standard output cannot be written: No space left on device\n");
}

TEST_F(BrokenInput, ChangedSpecification) {
  finish_tiny();
  const std::string before = reproducible_csv(folder.path(), "tiny.db");
  write_file(folder / "tiny.yaml", replaced(tiny, "population: 4", "population: 6"));
  refused(
      {"run", "-q", "tiny.yaml"}, 3,
      "tiny.db: experiment 'tiny' was begun with another specification (search.population: 4 there, 6 here); "
      "choose another name or output, or delete it");
  EXPECT_EQ(reproducible_csv(folder.path(), "tiny.db"), before);
}

TEST_F(BrokenInput, SecondProcessOnTheSameExperiment) {
  write_script(folder / "simulate.sh", "touch started; sleep 600\n");
  Background first(folder.path(), {"run", "-q", "-j1", "tiny.yaml"});
  for (int i = 0; i < 6000 && !std::filesystem::exists(folder / "started"); ++i) usleep(10'000);
  ASSERT_TRUE(std::filesystem::exists(folder / "started"));
  refused({"run", "tiny.yaml"}, 3,
          "tiny.db is being written by another duet process (pid " + std::to_string(first.id()) +
              "); wait for it or choose another output");
  EXPECT_EQ(run({"trials", "tiny.db"}).exit_code, 0) << "reading goes on beside the writer";
  first.send(SIGTERM);
  EXPECT_EQ(first.wait().exit_code, 130);
}

// --- Simulators
// ------------------------------------------------------------------------------------------------------

class BrokenSimulator : public BrokenInput {
 protected:
  /// Runs two trials with this script and returns what became of the first.
  std::string reason(const std::string& script) {
    write_script(folder / "simulate.sh", script);
    const Finished done = run({"run", "-q", "--trials", "2", "tiny.yaml"});
    EXPECT_EQ(done.exit_code, 0) << done.err;
    const std::string out =
        run({"query", "tiny.db", "SELECT status || ' ' || reason AS text FROM trials WHERE number = 1"}).out;
    std::filesystem::remove(folder / "tiny.db");
    return replaced(out, "text\n", "");
  }
};

TEST_F(BrokenSimulator, HangingIsTimedOut) {
  write_file(folder / "tiny.yaml", replaced(tiny, "timeout: 60s", "timeout: 100ms"));
  EXPECT_EQ(reason("sleep 600\n"), "timed_out command: './simulate.sh' took longer than 100 ms\n");
}

TEST_F(BrokenSimulator, CrashingIsFailed) {
  EXPECT_EQ(reason("kill -SEGV $$\n"), "failed command: './simulate.sh' was killed by signal 11 (SIGSEGV)\n");
  EXPECT_EQ(reason("echo 'out of licences' >&2; exit 3\n"),
            "failed command: './simulate.sh' exited with code 3: out of licences\n");
}

TEST_F(BrokenSimulator, GarbageIsFailed) {
  EXPECT_EQ(
      reason("echo Simulating...\n"),
      "failed command: './simulate.sh' must write one JSON object to standard output and nothing else, not "
      "'Simulating...'\n");
  EXPECT_EQ(reason("true\n"), "failed command: './simulate.sh' wrote nothing to standard output\n");
  EXPECT_EQ(reason(R"(echo '{"metrics": {"latency_s": 1}}')"
                   "\n"),
            "failed command: the reply of './simulate.sh' lacks metric 'energy_j'\n");
  EXPECT_EQ(reason(R"(echo '{"metrics": {"latency_s": null, "energy_j": 1}}')"
                   "\n"),
            "failed command: metric 'latency_s' in the reply of './simulate.sh' is not a number but null\n");
}

TEST_F(BrokenSimulator, ItsOwnRefusalIsTheReason) {
  EXPECT_EQ(reason(R"(echo '{"error": "does not fit"}')"
                   "\n"),
            "failed command: './simulate.sh': does not fit\n");
}

TEST_F(BrokenSimulator, AllFailuresAreAnnouncedWhileItRuns) {
  write_script(folder / "simulate.sh", "exit 1\n");
  const Finished done = run({"run", "tiny.yaml"});
  EXPECT_EQ(done.exit_code, 0);
  EXPECT_THAT(done.err,
              HasSubstr("warning: the first 10 trials all failed; the last one: command: './simulate.sh' "
                        "exited with code 1\n"));
  EXPECT_THAT(done.out, StartsWith("No feasible trial among 12 yet.\n"));
}

// --- Arguments
// -------------------------------------------------------------------------------------------------------

TEST_F(BrokenInput, Arguments) {
  const auto usage = [](const std::string& message) { return "duet: " + message + "\nTry 'duet --help'."; };
  refused({"vaildate", "tiny.yaml"}, 2, usage("unknown command 'vaildate'; did you mean 'validate'?"));
  refused({}, 2, usage("A subcommand is required"));
  refused({"run"}, 2, usage("FILE is required"));
  refused({"run", "tiny.yaml", "--frobnicate"}, 2,
          usage("The following argument was not expected: --frobnicate"));
  refused({"run", "tiny.yaml", "-j", "0"}, 2, usage("--jobs: Value 0 not in range 1 to 1024"));
  refused({"run", "tiny.yaml", "--trials", "0"}, 2,
          usage("--trials: must be a whole number from 1, not '0'"));
  refused({"trials", "tiny.yaml", "0"}, 2, usage("NUMBER: must be a whole number from 1, not '0'"));
  refused({"describe", "nsga4"}, 2, "there is no plug-in 'nsga4'; did you mean 'nsga2'?");
  EXPECT_FALSE(std::filesystem::exists(folder / "tiny.db"));
}

TEST_F(BrokenInput, Settings) {
  refused({"evaluate", "tiny.yaml", "--set", "design.ways"}, 2, "--set design.ways: expected path=value");
  refused({"evaluate", "tiny.yaml", "--set", "design.way=2"}, 2,
          "--set: unknown parameter 'design.way'; did you mean 'design.ways'?");
  refused({"evaluate", "tiny.yaml", "--set", "design.ways=9"}, 2,
          "--set: 'design.ways' cannot be '9': it must be in integer 1..8");
  refused({"evaluate", "tiny.yaml", "--set", "design.ways=3"}, 2,
          "--set: no value for design.size (ordinal [1 KiB, 2 KiB, 4 KiB]), design.policy (choice [lru, "
          "fifo])");
}

TEST_F(BrokenInput, QuestionsAboutWhatIsNotThere) {
  finish_tiny();
  refused({"trials", "tiny.db", "99"}, 2, "tiny.db: there is no trial 99");
  refused({"evaluate", "tiny.yaml", "--trial", "99"}, 2, "tiny.db: there is no trial 99");
  refused({"finalize", "tiny.yaml", "99"}, 2, "tiny.db: there is no trial 99");
  refused({"finalize", "tiny.yaml", "1"}, 2,
          "experiment 'tiny' has no estimator 'trained': there is nothing to train again");
  refused({"network", "tiny.db"}, 2, "tiny.db: which network of the experiment? Give --trial and its number");
  refused({"network", "tiny.db", "--trial", "99"}, 2, "tiny.db: there is no trial 99");
  refused({"network", "tiny.db", "--trial", "1"}, 2, "the space of experiment 'tiny' has no networks");
  refused({"network", "resnet18", "--part", "network"}, 2, "--part and --experiment go with --trial");
  refused({"network", "resnet18", "--export", "net.onnx", "--weights", "file"}, 2,
          "--weights file: goes with --export of an ONNX file, whose weights they are");
  refused({"best", "tiny.db", "-m", "latncy_s"}, 2,
          "experiment 'tiny' has no metric 'latncy_s'; did you mean 'latency_s'?");
  refused({"pareto", "tiny.db", "-e", "tin"}, 3, "tiny.db has no experiment 'tin'; did you mean 'tiny'?");
}

TEST_F(BrokenInput, Queries) {
  finish_tiny();
  refused({"query", "tiny.db", "SELEC 1"}, 3, "tiny.db: near \"SELEC\": syntax error");
  refused({"query", "tiny.db", "SELECT latencies FROM trials"}, 3, "tiny.db: no such column: latencies");
  refused({"query", "tiny.db", "SELECT 1; SELECT 2"}, 3, "tiny.db: only one statement at a time");
  const std::string before = reproducible_csv(folder.path(), "tiny.db");
  for (const char* writing : {"DELETE FROM trial_1", "PRAGMA user_version = 7", "ATTACH 'x.db' AS x",
                              "DROP VIEW trials", "VACUUM INTO 'copy.db'"}) {
    refused({"query", "tiny.db", writing}, 3,
            "tiny.db: a query is one SELECT statement; it cannot change anything");
  }
  EXPECT_EQ(reproducible_csv(folder.path(), "tiny.db"), before);
  EXPECT_FALSE(std::filesystem::exists(folder / "copy.db"));
}

}  // namespace
}  // namespace duet::testing
