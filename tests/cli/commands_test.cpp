// Every command that reads: what it prints for people and for programs.

#include <cstdlib>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/cli/duet_process.hpp"

namespace duet::testing {
namespace {

using nlohmann::json;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Commands : public ::testing::Test {
 protected:
  Commands() { make_tiny(folder.path()); }
  /// What a command that must succeed writes to standard output.
  std::string out(const std::vector<std::string>& arguments) {
    const Finished done = duet(folder.path(), arguments);
    EXPECT_EQ(done.exit_code, 0) << done.err;
    return done.out;
  }
  json parsed(const std::vector<std::string>& arguments) { return json::parse(out(arguments)); }
  void finish_tiny() { out({"run", "-q", "tiny.yaml"}); }
  const TemporaryDirectory folder;
};

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> result;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) result.push_back(line);
  return result;
}

// A metric of `size` bytes and `ways` ways, as simulate.sh computes it, in base units.
double latency(double ways) {
  return static_cast<double>(96 / static_cast<int>(ways)) / 1000;
}
double energy(double size, double ways) {
  return size * ways * 1e-9;
}

// --- Help and catalogue
// ----------------------------------------------------------------------------------------------

TEST_F(Commands, HelpDescribesEverything) {
  const std::string help = out({"--help"});
  std::vector<std::string> commands;
  bool listed = false;
  for (const std::string& line : lines(help)) {
    if (line == "Subcommands:") {
      listed = true;
    } else if (listed && line.starts_with("  ") && line[2] != ' ') {
      commands.push_back(line.substr(2, line.find(' ', 2) - 2));
      EXPECT_NE(line.find_first_not_of(' ', 2 + commands.back().size()), std::string::npos) << line;
    }
  }
  EXPECT_THAT(commands, ::testing::IsSupersetOf({"run", "list", "describe", "validate", "evaluate", "trials",
                                                 "best", "pareto", "export", "query", "finalize"}));
  for (const std::string& command : commands) {
    const std::vector<std::string> page = lines(out({command, "--help"}));
    // An entry has its description on its own line from column 30 on, or on the next one.
    constexpr std::size_t column = 30;
    for (std::size_t i = 0; i < page.size(); ++i) {
      if (!page[i].starts_with("  ") || page[i][2] == ' ') continue;
      const bool here = page[i].size() > column && page[i][column] != ' ' && page[i][column - 1] == ' ';
      const bool next =
          i + 1 < page.size() && page[i + 1].size() > column && page[i + 1].find_first_not_of(' ') == column;
      EXPECT_TRUE(here || next) << command << ": no description: " << page[i];
    }
  }
}

TEST_F(Commands, Version) {
  EXPECT_THAT(out({"--version"}), StartsWith("duet 0."));
}

TEST_F(Commands, ListAndDescribeKnowEveryPlugin) {
  const std::string text = out({"list"});
  const json all = parsed({"list", "--json"});
  ASSERT_GE(all.size(), 12U);
  std::set<std::string> kinds;
  for (const json& plugin : all) {
    const auto name = plugin.at("name").get<std::string>();
    kinds.insert(plugin.at("kind").get<std::string>());
    EXPECT_THAT(text, HasSubstr("  " + name + " "));
    const auto summary = plugin.at("summary").get<std::string>();
    EXPECT_THAT(summary, EndsWith("."));
    EXPECT_THAT(text, HasSubstr(summary));

    const std::string described = out({"describe", name});
    EXPECT_THAT(described,
                HasSubstr(name + " (" + plugin.at("kind").get<std::string>() + ")\n  " + summary + "\n"));
    const auto kind = plugin.at("kind").get<std::string>();
    EXPECT_THAT(described, HasSubstr(kind == "template"  ? "\nParameters:\n"
                                     : kind == "network" ? "\n`duet network " + name + "` counts its layers.\n"
                                                         : "\nOptions:\n"));
    EXPECT_THAT(described, Not(HasSubstr("Source: \n")));
  }
  EXPECT_EQ(kinds, (std::set<std::string>{"space", "estimator", "strategy", "network", "template"}));
  for (const json& plugin : parsed({"list", "strategies", "--json"}))
    EXPECT_EQ(plugin.at("kind"), "strategy");
}

TEST_F(Commands, DescribeAndValidateAFile) {
  const std::string described = out({"describe", "tiny.yaml"});
  EXPECT_THAT(described, HasSubstr("Space: 3 parameters, 48 designs\n"));
  EXPECT_THAT(described, HasSubstr("design.ways    integer 1..8\n"));
  EXPECT_THAT(described, HasSubstr("constraint latency_s <= 50ms\n"));
  EXPECT_THAT(described, HasSubstr("Search: nsga2 (population: 4, "));
  EXPECT_THAT(out({"validate", "tiny.yaml"}),
              StartsWith("tiny.yaml: valid: 3 parameters, 48 designs, 2 metrics, "));
  EXPECT_FALSE(std::filesystem::exists(folder / "tiny.db")) << "looking must not write";
}

TEST_F(Commands, ValidateWarnsOfDesignsThatAreNoNetworks) {
  write_file(folder / "odd.yaml", R"(space: {network: {type: decoder_lm, head_size: 7}}
estimators: [network_counts]
objectives: [macs]
search: random
budget: 5
)");
  const Finished done = duet(folder.path(), {"validate", "odd.yaml"});
  EXPECT_EQ(done.exit_code, 0);
  EXPECT_THAT(done.out, StartsWith("odd.yaml: valid: "));
  EXPECT_THAT(done.err, HasSubstr("odd.yaml: warning: 32 of 32 random designs are no network, and would fail: node"));
}

// --- evaluate
// --------------------------------------------------------------------------------------------------------

TEST_F(Commands, EvaluateSettings) {
  const std::vector<std::string> command{"evaluate", "tiny.yaml",     "--set", "design.size=2KiB",
                                         "--set",    "design.ways=3", "-s",    "design.policy=lru"};
  const std::string text = out(command);
  EXPECT_THAT(text, StartsWith("design.size=2048 design.ways=3 design.policy=lru\n"));
  EXPECT_THAT(text, HasSubstr("32 ms"));
  EXPECT_THAT(text, HasSubstr("6.144e-06"));
  EXPECT_THAT(text, HasSubstr("constraint latency_s <= 50ms: holds\n"));

  std::vector<std::string> as_json = command;
  as_json.push_back("--json");
  const json result = parsed(as_json);
  EXPECT_EQ(result.at("status"), "ok");
  EXPECT_EQ(result.at("design").at("design.size"), 2048);
  EXPECT_EQ(result.at("design").at("design.policy"), "lru");
  ASSERT_EQ(result.at("metrics").size(), 2U);
  EXPECT_EQ(result.at("metrics")[0], json::parse(R"({"name": "latency_s", "value": 0.032, "unit": "s",
                                                     "source": "external", "estimator": "command"})"));
  EXPECT_EQ(result.at("violation"), 0);
}

TEST_F(Commands, EvaluateRandomAndFailing) {
  const json first = parsed({"evaluate", "tiny.yaml", "--random", "7", "--json"});
  EXPECT_EQ(first, parsed({"evaluate", "tiny.yaml", "--random", "7", "--json"}));
  const json& design = first.at("design");
  EXPECT_EQ(first.at("metrics")[0].at("value"), latency(design.at("design.ways")));
  // A setting replaces the random value and leaves the others.
  const json varied = parsed({"evaluate", "tiny.yaml", "--random", "7", "--json", "--set", "design.ways=1",
                              "--set", "design.size=1KiB"});
  EXPECT_EQ(varied.at("design").at("design.policy"), design.at("design.policy"));
  EXPECT_EQ(varied.at("design").at("design.ways"), 1);
  EXPECT_GT(varied.at("violation"), 0);  // 96 ms

  write_script(folder / "simulate.sh", "exit 7\n");
  const Finished failing = duet(folder.path(), {"evaluate", "tiny.yaml", "--random", "7"});
  EXPECT_EQ(failing.exit_code, 2);
  EXPECT_THAT(failing.out, HasSubstr("failed: command: './simulate.sh' exited with code 7\n"));
}

TEST_F(Commands, EvaluateATrialGivesItsRow) {
  finish_tiny();
  const json row = parsed({"trials", "tiny.yaml", "5", "--json"});
  const json again = parsed({"evaluate", "tiny.yaml", "--trial", "5", "--json"});
  EXPECT_EQ(again.at("design"), row.at("design"));
  for (const json& metric : again.at("metrics")) {
    EXPECT_EQ(metric.at("value"), row.at("metrics").at(metric.at("name").get<std::string>()));
  }
}

// --- Results
// ---------------------------------------------------------------------------------------------------------

TEST_F(Commands, Trials) {
  finish_tiny();
  const json all = parsed({"trials", "tiny.db", "--json", "-n", "0"});
  std::size_t originals = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].at("number"), i + 1);
    if (all[i].at("status") == "duplicate") continue;
    ++originals;
    const json& design = all[i].at("design");
    EXPECT_EQ(all[i].at("metrics").at("latency_s"), latency(design.at("design.ways")));
    EXPECT_DOUBLE_EQ(all[i].at("metrics").at("energy_j"),
                     energy(design.at("design.size"), design.at("design.ways")));
  }
  EXPECT_EQ(originals, 12U);

  const std::vector<std::string> table = lines(out({"trials", "tiny.yaml", "-n", "3"}));
  ASSERT_EQ(table.size(), 5U);
  EXPECT_THAT(table[0], StartsWith("trial  status"));
  EXPECT_EQ(table[4], "(the last 3 of " + std::to_string(all.size()) + "; --limit 0 shows all)");
  EXPECT_EQ(lines(out({"trials", "tiny.db", "--status", "failed"})).size(), 1U);

  const std::string one = out({"trials", "tiny.db", "5"});
  EXPECT_THAT(one, HasSubstr("  design.ways = " + all[4].at("design").at("design.ways").dump() + "\n"));
  EXPECT_THAT(one, HasSubstr(" s  (external)\n"));
}

// The front by definition, from the exported rows.
std::set<std::uint64_t> non_dominated(const json& rows) {
  std::set<std::uint64_t> front;
  const auto feasible = [](const json& row) { return row.at("status") == "ok" && row.at("violation") == 0; };
  for (const json& a : rows) {
    if (!feasible(a)) continue;
    const bool beaten = std::any_of(rows.begin(), rows.end(), [&](const json& b) {
      if (!feasible(b)) return false;
      const double x = b.at("latency_s").get<double>() - a.at("latency_s").get<double>();
      const double y = b.at("energy_j").get<double>() - a.at("energy_j").get<double>();
      // Of equal ones the first stands for all.
      return x <= 0 && y <= 0 && (x < 0 || y < 0 || b.at("number") < a.at("number"));
    });
    if (!beaten) front.insert(a.at("number").get<std::uint64_t>());
  }
  return front;
}

TEST_F(Commands, Pareto) {
  finish_tiny();
  const std::set<std::uint64_t> expected = non_dominated(parsed({"export", "tiny.db", "--json"}));
  ASSERT_FALSE(expected.empty());
  std::set<std::uint64_t> shown;
  for (const json& trial : parsed({"pareto", "tiny.yaml", "--json"}))
    shown.insert(trial.at("number").get<std::uint64_t>());
  EXPECT_EQ(shown, expected);
  const std::string text = out({"pareto", "tiny.db"});
  for (const std::uint64_t number : expected)
    EXPECT_THAT(text,
                HasSubstr("\n" + std::string(number < 10 ? "    " : "   ") + std::to_string(number) + "  "));
  EXPECT_THAT(text, HasSubstr("(best latency_s"));
}

TEST_F(Commands, Best) {
  finish_tiny();
  double least = 1e9;
  for (const json& row : parsed({"export", "tiny.db", "--json"})) {
    if (row.at("status") == "ok" && row.at("violation") == 0)
      least = std::min(least, row.at("energy_j").get<double>());
  }
  const json best = parsed({"best", "tiny.db", "-n", "2", "--json"});
  EXPECT_EQ(best.size(), 2U);
  ASSERT_EQ(best.at("energy_j").size(), 2U);
  EXPECT_EQ(best.at("energy_j")[0].at("metrics").at("energy_j"), least);
  EXPECT_LE(best.at("latency_s")[0].at("metrics").at("latency_s"),
            best.at("latency_s")[1].at("metrics").at("latency_s"));
  const std::string text = out({"best", "tiny.db", "-m", "energy_j", "-n", "1"});
  EXPECT_THAT(text, StartsWith("energy_j (minimize):\ntrial  status"));
  EXPECT_EQ(lines(text).size(), 3U);
}

TEST_F(Commands, Export) {
  finish_tiny();
  const std::vector<std::string> csv = lines(out({"export", "tiny.db"}));
  EXPECT_EQ(
      csv[0],
      "number,status,reason,duplicate_of,parents,design.size,design.ways,design.policy,latency_s,energy_j,"
      "violation,cached,started_at,duration_s");
  const std::string reproducible = out({"export", "tiny.yaml", "--csv", "--reproducible"});
  EXPECT_EQ(
      lines(reproducible)[0],
      "number,status,reason,duplicate_of,parents,design.size,design.ways,design.policy,latency_s,energy_j,"
      "violation");
  const json rows = parsed({"export", "tiny.db", "--json", "--reproducible"});
  EXPECT_EQ(rows.size(), csv.size() - 1);
  EXPECT_FALSE(rows[0].contains("started_at"));
  EXPECT_EQ(out({"export", "tiny.db", "--reproducible", "-o", "rows.csv"}), "");
  EXPECT_EQ(read_file(folder / "rows.csv"), reproducible);
}

TEST_F(Commands, Query) {
  finish_tiny();
  EXPECT_EQ(out({"query", "tiny.db", "SELECT name, seed, strategy FROM experiments"}),
            "name  seed  strategy\ntiny     1  nsga2\n");
  const json rows = parsed(
      {"query", "tiny.yaml", "SELECT 1 AS one, 0.5 AS half, 'a\"b' AS text, NULL AS missing", "--json"});
  EXPECT_EQ(rows, json::parse(R"([{"one": 1, "half": 0.5, "text": "a\"b", "missing": null}])"));
  EXPECT_EQ(parsed({"query", "tiny.db", "SELECT 1 WHERE 0", "--json"}), json::array());
}

TEST_F(Commands, SeveralExperimentsInOneDatabase) {
  finish_tiny();
  out({"run", "-q", "tiny.yaml", "--name", "other", "--seed", "2", "-o", "tiny.db"});
  const json names = parsed({"query", "tiny.db", "SELECT name, seed FROM experiments ORDER BY id", "--json"});
  EXPECT_EQ(names, json::parse(R"([{"name": "tiny", "seed": 1}, {"name": "other", "seed": 2}])"));
  // A database means the experiment begun last, an experiment file its own.
  EXPECT_EQ(out({"export", "tiny.db"}), out({"export", "tiny.db", "-e", "other"}));
  EXPECT_EQ(out({"export", "tiny.yaml"}), out({"export", "tiny.db", "-e", "tiny"}));
  EXPECT_NE(out({"export", "tiny.yaml", "--reproducible"}), out({"export", "tiny.db", "--reproducible"}));
}

TEST_F(Commands, ADatabaseIsListedCheckedAndPruned) {
  finish_tiny();
  const std::string rows = out({"export", "tiny.yaml"});
  out({"run", "-q", "tiny.yaml", "--name", "other", "--seed", "2", "-o", "tiny.db"});
  EXPECT_EQ(parsed({"experiments", "tiny.db", "--json"}).size(), 2U);
  EXPECT_EQ(out({"doctor", "tiny.db"}), "tiny.db: all is well\n");
  out({"delete", "tiny.db", "other"});
  const json left = parsed({"experiments", "tiny.db", "--json"});
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0]["name"], "tiny");
  EXPECT_EQ(out({"export", "tiny.db"}), rows);
  EXPECT_EQ(out({"doctor", "tiny.db"}), "tiny.db: all is well\n");
  EXPECT_EQ(duet(folder.path(), {"delete", "tiny.db", "othr"}).exit_code, 3);
  for (const std::vector<std::string>& command : {std::vector<std::string>{"delete", "none.db", "tiny"}, {"finalize", "none.db", "1"}}) {
    EXPECT_EQ(duet(folder.path(), command).exit_code, 3);
    EXPECT_FALSE(std::filesystem::exists(folder / "none.db")) << command[0];
  }
}

TEST_F(Commands, ADatabaseIsCopiedAndMended) {
  finish_tiny();
  const std::string rows = out({"export", "tiny.yaml", "--reproducible"});
  EXPECT_THAT(out({"copy", "tiny.db", "copy.db"}), ::testing::StartsWith("copy.db: 1 experiments with "));
  EXPECT_EQ(out({"export", "copy.db", "--reproducible"}), rows);
  EXPECT_EQ(duet(folder.path(), {"copy", "tiny.db", "copy.db"}).exit_code, 3);
  // A trial is changed: found, removed, and evaluated again by a resumed run.
  ASSERT_EQ(std::system(fmt::format("sqlite3 '{}' 'UPDATE trial_1 SET duration_s = duration_s + 1 WHERE number = 3'",
                                    (folder / "tiny.db").string())
                            .c_str()),
            0);
  const Finished found = duet(folder.path(), {"doctor", "tiny.db"});
  EXPECT_EQ(found.exit_code, 3);
  EXPECT_THAT(found.out, ::testing::HasSubstr("trial 3: its checksum is wrong"));
  EXPECT_THAT(found.out, ::testing::HasSubstr("--repair"));
  EXPECT_EQ(duet(folder.path(), {"export", "tiny.db"}).exit_code, 3);
  EXPECT_THAT(out({"doctor", "tiny.db", "--repair"}), ::testing::EndsWith("tiny.db: all is well now\n"));
  EXPECT_EQ(duet(folder.path(), {"doctor", "tiny.db.before-repair"}).exit_code, 3);
  out({"run", "-q", "tiny.yaml"});
  EXPECT_EQ(out({"doctor", "tiny.db"}), "tiny.db: all is well\n");
  EXPECT_EQ(out({"export", "tiny.yaml", "--reproducible"}), rows);
}

}  // namespace
}  // namespace duet::testing
