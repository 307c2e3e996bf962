// `isolation: process` from outside: estimators that do everything wrong, and a duet that is killed all the time.

#include <algorithm>
#include <csignal>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "core/random.hpp"
#include "tests/cli/duet_process.hpp"

namespace duet::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool can_limit_memory = false;
#else
constexpr bool can_limit_memory = true;
#endif

constexpr const char* isolation = "isolation: process, time_limit: 2s, memory_limit: 256MiB";

/// What each kind of design ends with: its reason, or nothing if it is scored.
const std::map<std::string, std::string>& ends() {
  static const std::map<std::string, std::string> all = [] {
    std::map<std::string, std::string> reasons{
        {"fine", ""},
        {"garbage", ""},
        {"poison", ""},
        {"segfault",
         "killed by signal 11 (segmentation fault) while scoring: a pointer is about to be followed"},
        {"abort", "killed by signal 6 (aborted) while scoring"},
        {"exit", "ended with exit code 0 while scoring"},
        {"terminate",
         "killed by signal 6 (aborted) while scoring: terminate called after throwing an instance of "
         "'std::runtime_error' what(): nobody may throw here"},
        {"crash_in_key", "killed by signal 6 (aborted) while computing the design's key"},
        {"hang", "no answer within 2 s while scoring"},
        {"nan", "metric 'other' is not a number"},
        {"infinite", "metric 'value' is infinite"},
        {"few", "the estimator gave 1 values for 2 metrics"},
        {"many", "the estimator gave 3 values for 2 metrics"},
        {"no_answer", "the estimator gave 0 answers for one design"},
        {"error", "a sentence that explains it"},
        {"odd", "the estimator failed without saying why"},
    };
    if (can_limit_memory) reasons["allocate"] = "used more than 256 MiB of memory while scoring";
    return reasons;
  }();
  return all;
}

/// Those that do not end or spoil the process that scores them.
const std::vector<std::string> tame{"fine", "garbage", "nan", "infinite", "few", "many", "no_answer", "error", "odd"};

class IsolatedEstimators : public ::testing::Test {
 protected:
  IsolatedEstimators() {
    // The sanitizers would turn signals into exit codes and long reports.
    setenv("ASAN_OPTIONS", "handle_segv=0:handle_abort=0:detect_leaks=0", 1);
    // Whatever belongs to this test has the folder's name in its command line.
    fs::copy_file(DUET_MISBEHAVING, plugin);
    fs::create_symlink("/bin/sleep", folder / "sleeper");
  }
  ~IsolatedEstimators() override { unsetenv("ASAN_OPTIONS"); }

  /// One design of each kind first, then random ones; of those that take long one only.
  std::string experiment(const std::vector<std::string>& kinds, const std::string& options, int trials) const {
    std::string list, initial, constraints;
    for (const std::string& kind : kinds) {
      list += (list.empty() ? "" : ", ") + kind;
      if (kind == "hang" || kind == "allocate") constraints += "    - p.n == 1 or p.kind != " + kind + "\n";
      initial += "  - {p.kind: " + kind + ", p.n: 1}\n";
    }
    return "name: misbehaving\nseed: 5\nspace:\n  p: {type: parameters, parameters: {kind: {choice: [" + list +
           "]}, n: {integer: [1, 1000]}}}\n" + (constraints.empty() ? "" : "  constraints:\n" + constraints) +
           "estimators:\n  - {type: misbehaving, child: \"" +
           (folder / "sleeper").string() + "\"" + (options.empty() ? "" : ", " + options) +
           "}\nobjectives: [value, other]\nsearch: random\nbudget: " + std::to_string(trials) +
           "\nwindow: 16\ninitial:\n" + initial;
  }
  static std::vector<std::string> all_kinds() {
    std::vector<std::string> kinds;
    for (const auto& [kind, reason] : ends()) kinds.push_back(kind);
    return kinds;
  }

  std::vector<std::string> with_plugin(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--plugin", plugin.string()});
    return arguments;
  }
  Finished run(const std::vector<std::string>& arguments) const {
    return duet(folder.path(), with_plugin(arguments));
  }
  std::string csv(const std::string& file) const { return reproducible_csv(folder.path(), file); }

  /// The command lines of all processes that are alive and belong to this test.
  std::string alive() const {
    std::string found;
    for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      std::ifstream stream(entry.path() / "cmdline", std::ios::binary);
      std::string line;
      std::getline(stream, line);  // unlike the stream's buffer, does not throw where the process has just ended
      if (line.find(folder.path().string()) == std::string::npos) continue;
      std::replace(line.begin(), line.end(), '\0', ' ');
      found += name + ": " + line + "\n";
    }
    return found;
  }
  /// The same, once there are none: the system takes its time to end processes.
  std::string left_behind() const {
    std::string found = alive();
    for (int i = 0; i < 1000 && !found.empty(); ++i) {
      usleep(10'000);
      found = alive();
    }
    return found;
  }
  /// Until the program that hanging estimators start is there.
  bool sleeps() const {
    for (int i = 0; i < 3000; ++i) {
      if (alive().find((folder / "sleeper").string() + " 1000") != std::string::npos) return true;
      usleep(10'000);
    }
    return false;
  }

  void expect_reasons(const std::string& database) const {
    const json trials =
        json::parse(run({"query", database, "--json",
                         "SELECT \"p.kind\" AS kind, status, coalesce(reason, '') AS reason FROM trials "
                         "WHERE duplicate_of IS NULL"})
                        .out);
    std::map<std::string, int> seen;
    for (const json& trial : trials) {
      const std::string kind = trial.at("kind");
      ++seen[kind];
      const std::string reason = ends().at(kind);
      EXPECT_EQ(trial.at("reason"), reason.empty() ? "" : "misbehaving: " + reason) << kind;
      EXPECT_EQ(trial.at("status"), reason.empty() ? "ok" : kind == "hang" ? "timed_out" : "failed") << kind;
    }
    EXPECT_EQ(seen.size(), ends().size()) << "not all kinds have been tried";
  }

  const TemporaryDirectory folder;
  const fs::path plugin = folder / "libmisbehaving.so";
};

TEST_F(IsolatedEstimators, GiveReasonsForWhateverTheyDo) {
  write_file(folder / "e.yaml", experiment(all_kinds(), isolation, 60));
  const Finished done = run({"run", "-q", "-j4", "e.yaml"});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(done.out + done.err, "") << "what plug-ins print is not for the terminal";
  expect_reasons("misbehaving.db");
  EXPECT_EQ(left_behind(), "");
}

TEST_F(IsolatedEstimators, DoNotChangeTheRows) {
  write_file(folder / "here.yaml", experiment(tame, "", 80));
  write_file(folder / "there.yaml", experiment(tame, isolation, 80));
  ASSERT_EQ(run({"run", "-q", "-j2", "here.yaml", "-o", "here.db"}).exit_code, 0);
  ASSERT_EQ(run({"run", "-q", "-j4", "there.yaml", "-o", "there.db"}).exit_code, 0);
  const std::string rows = csv("here.db");
  EXPECT_THAT(rows, HasSubstr("metric 'other' is not a number"));
  EXPECT_THAT(rows, HasSubstr("the estimator failed without saying why"));
  EXPECT_EQ(csv("there.db"), rows);
  // A run that has begun may be isolated from now on, or no longer.
  ASSERT_EQ(run({"run", "-q", "here.yaml", "-o", "both.db", "--trials", "30"}).exit_code, 0);
  ASSERT_EQ(run({"run", "-q", "there.yaml", "-o", "both.db", "--trials", "60"}).exit_code, 0);
  ASSERT_EQ(run({"run", "-q", "here.yaml", "-o", "both.db"}).exit_code, 0);
  EXPECT_EQ(csv("both.db"), rows);
}

TEST_F(IsolatedEstimators, ThatCannotStartAreRefused) {
  const auto refusal = [&](const std::string& options) {
    write_file(folder / "e.yaml", experiment({"fine"}, options, 10));
    const Finished done = run({"validate", "e.yaml"});
    EXPECT_EQ(done.exit_code, 2) << done.out;
    return done.err;
  };
  const std::string there = "isolation: process, ";
  EXPECT_THAT(refusal(there + "creation: crashes"),
              HasSubstr("the worker process cannot be started: killed by signal 6 (aborted) while starting\n"));
  const std::string refused = refusal("creation: refuses, isolation: process");
  EXPECT_THAT(refused, MatchesRegex("e.yaml:6:[0-9]+: .*it will not\n"));
  EXPECT_EQ(refused, refusal("creation: refuses")) << "another sentence than without";
  if (can_limit_memory) {
    EXPECT_THAT(refusal(there + "creation: takes_all, memory_limit: 128MiB"),
                HasSubstr("the worker process cannot be started: used more than 128 MiB of memory while starting\n"));
  }
  EXPECT_THAT(refusal("time_limit: 2s"), HasSubstr("'time_limit' needs 'isolation: process'\n"));
  EXPECT_THAT(refusal("isolation: none, memory_limit: 1GiB"), HasSubstr("'memory_limit' needs 'isolation: process'\n"));
  EXPECT_THAT(refusal("isolation: proces"), HasSubstr("did you mean 'process'?"));
  EXPECT_THAT(refusal(there + "time_limit: 2"), HasSubstr("needs a unit"));
  EXPECT_THAT(refusal(there + "memory_limit: 1KiB"), HasSubstr("memory_limit"));
  EXPECT_EQ(left_behind(), "");
}

TEST_F(IsolatedEstimators, ThatHangEndWithAnInterrupt) {
  write_file(folder / "e.yaml", experiment({"hang", "fine"}, "isolation: process", 10));
  Background process(folder.path(), with_plugin({"run", "-j2", "e.yaml"}));
  ASSERT_TRUE(sleeps());
  process.send(SIGINT);
  const Finished done = process.wait(std::chrono::seconds(60));
  EXPECT_FALSE(done.timed_out);
  EXPECT_EQ(done.exit_code, 130) << done.err;
  EXPECT_EQ(left_behind(), "");
}

TEST_F(IsolatedEstimators, AndCommandsDoNotOutliveDuet) {
  // Of the estimator `command`, without isolation: a shell and what it has started.
  make_tiny(folder.path());
  write_script(folder / "simulate.sh", "'" + (folder / "sleeper").string() + "' 1000; exit 1\n");
  Background process(folder.path(), {"run", "-q", "-j2", "tiny.yaml"});
  ASSERT_TRUE(sleeps());
  process.send(SIGKILL);
  EXPECT_EQ(process.wait().signal, SIGKILL);
  EXPECT_EQ(left_behind(), "");
}

class SlowIsolation : public IsolatedEstimators {};

TEST_F(SlowIsolation, NothingIsLostHoweverOftenDuetIsKilled) {
  constexpr int kills = 200;
  write_file(folder / "e.yaml", experiment(all_kinds(), isolation, 400));
  const auto start = std::chrono::steady_clock::now();
  ASSERT_EQ(run({"run", "-q", "-j4", "e.yaml", "-o", "whole.db"}).exit_code, 0);
  RecordProperty("uninterrupted_s",
                 std::to_string(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()));
  const std::string expected = csv("whole.db");
  expect_reasons("whole.db");

  Random random(11, "kills");
  int killed = 0, databases = 0, resumed = 0;
  while (killed < kills) {
    const std::string database = "killed" + std::to_string(databases++) + ".db";
    for (bool complete = false; !complete;) {
      // Mostly soon; sometimes late enough for the trial that hangs.
      const double moment_s = killed % 20 == 19 ? 3 * random.uniform() : 0.15 * random.uniform();
      Background process(folder.path(), with_plugin({"run", "-q", "-j4", "e.yaml", "-o", database}));
      complete = process.ended_within(killed < kills
                                          ? std::chrono::milliseconds(static_cast<int>(1000 * moment_s))
                                          : std::chrono::seconds(240));
      if (!complete) {
        process.send(SIGKILL);
        const Finished done = process.wait();
        complete = done.signal != SIGKILL;  // it had just come to its end
        if (!complete) ++killed;
      }
      if (complete) {
        const Finished done = process.wait();
        EXPECT_EQ(done.exit_code, 0) << done.err;
      }
      const std::string left = left_behind();
      ASSERT_EQ(left, "") << "after " << killed << " kills";
      if (fs::exists(folder / database) && (complete || killed % 20 == 0)) {
        const Finished doctor = run({"doctor", database});
        EXPECT_EQ(doctor.exit_code, 0) << doctor.out << doctor.err;
      }
    }
    EXPECT_EQ(csv(database), expected) << database;
    expect_reasons(database);
    resumed += json::parse(run({"query", database, "SELECT count(*) AS n FROM notes WHERE event = 'resumed'", "--json"}).out)
                   .at(0)
                   .at("n")
                   .get<int>();
  }
  EXPECT_GE(resumed, kills / 10) << "most kills came before the first trial was stored";
  RecordProperty("killed", killed);
  RecordProperty("databases", databases);
  RecordProperty("resumed", resumed);
}

}  // namespace
}  // namespace duet::testing
