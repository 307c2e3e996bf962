#include <algorithm>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.hpp"
#include "experiments/charts.hpp"
#include "experiments/run.hpp"
#include "experiments/tournament.hpp"
#include "experiments/tournament_report.hpp"
#include "tests/experiments/toy_experiment.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

/// One objective over 6 × 6 designs with the optimum 0 at (3, 2), computed by `toy`-free arithmetic: a table.
const char* const bowl = R"(
space:
  x: {type: parameters, parameters: {a: {integer: [0, 5]}, b: {integer: [0, 5]}}}
estimators:
  - {type: table, file: bowl.csv, key: "{x.a},{x.b}", key_column: cell, metrics: {loss: {unit: "1", direction: minimize}, size: {unit: "1", direction: minimize}}}
objectives: loss
search: random
budget: 20
window: 1
)";

class TournamentFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string csv = "cell,loss,size\n";
    for (int a = 0; a < 6; ++a) {
      for (int b = 0; b < 6; ++b) csv += fmt::format("\"{},{}\",{},{}\n", a, b, (a - 3) * (a - 3) + (b - 2) * (b - 2), a + b);
    }
    testing::write_file(folder_ / "bowl.csv", csv);
    testing::write_file(folder_ / "bowl.yaml", bowl);
    testing::write_file(folder_ / "two.yaml", testing::replaced(bowl, "objectives: loss", "objectives: [loss, size]"));
  }

  Tournament load(const std::string& text) {
    testing::write_file(folder_ / "t.yaml", text + fmt::format("\noutput: {}\n", (folder_ / "out").string()));
    return load_tournament(folder_ / "t.yaml", registry_);
  }
  std::string refusal(const std::string& text) {
    try {
      const Tournament tournament = load(text);
      check(tournament, registry_);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  }
  TournamentResults run_all(const Tournament& tournament, std::size_t workers = 2) {
    TournamentOptions options;
    options.workers = workers;
    return run(tournament, registry_, options);
  }

  testing::TemporaryDirectory folder_;
  Registry registry_ = builtin_registry();
};

TEST_F(TournamentFiles, MeasuresDistanceFromTheTrueOptimum) {
  const Tournament tournament = load("seeds: 3\nstrategies: [random, regularized_evolution]\nproblems: [bowl.yaml]\ncheckpoints: [5]");
  const TournamentResults results = run_all(tournament);
  ASSERT_EQ(results.runs.size(), 6U);
  const Reference& reference = results.references[0];
  EXPECT_EQ(reference.origin, "all 36 feasible designs");
  EXPECT_EQ(reference.front, std::vector<Point>{{0.0}});
  for (const ContestRun& run : results.runs) {
    EXPECT_EQ(run.evaluations, 20U);
    EXPECT_EQ(run.gaps.size(), results.checkpoints[0].size());
    EXPECT_TRUE(std::is_sorted(run.gaps.rbegin(), run.gaps.rend()));
    EXPECT_GE(run.gaps.back(), 0);
    EXPECT_EQ(run.found, run.gaps.back() == 0 ? 1 : 0);
  }
  // The gap is that of the trials in the database.
  const Store store(folder_ / "out" / "bowl.db", Store::Mode::read);
  double best = 1e9;
  for (const TrialRecord& trial : store.trials(store.at("regularized_evolution.seed_1"))) {
    if (!trial.values.empty()) best = std::min(best, trial.values[0]);
  }
  EXPECT_EQ(results.find(0, 1, 0, 1)->gaps.back(), best);
}

TEST_F(TournamentFiles, SharesOfTheHypervolumeEndAtOne) {
  const Tournament tournament = load("seeds: 2\nstrategies: [random, nsga2]\nproblems: [{experiment: two.yaml, trials: 36}]");
  const TournamentResults results = run_all(tournament);
  for (const ContestRun& run : results.runs) {
    EXPECT_NEAR(run.gaps.back(), 0, 1e-12);  // all 36 designs were tried
    EXPECT_EQ(run.found, 1);
    EXPECT_GT(run.gaps.front(), 0);
    EXPECT_LE(run.gaps.front(), 1);
  }
}

TEST_F(TournamentFiles, DoesOnlyWhatIsLeftToDo) {
  const std::string text = "seeds: 3\nstrategies: [random, nsga2]\nproblems: [two.yaml, bowl.yaml]";
  const TournamentResults first = run_all(load(text), 1);
  const auto times = [](const TournamentResults& results) {
    std::vector<std::pair<double, double>> out;
    for (const ContestRun& run : results.runs) out.emplace_back(run.strategy_s, run.total_s);
    return out;
  };
  const TournamentResults again = run_all(load(text), 3);
  ASSERT_EQ(again.runs.size(), first.runs.size());
  for (std::size_t i = 0; i < first.runs.size(); ++i) {
    EXPECT_EQ(again.runs[i].gaps, first.runs[i].gaps);
    EXPECT_NEAR(again.runs[i].strategy_s, first.runs[i].strategy_s, 1e-6);  // as noted, not measured again
  }
  const TournamentResults more = run_all(load(testing::replaced(text, "seeds: 3", "seeds: 4")), 3);
  EXPECT_EQ(more.runs.size(), 16U);
  EXPECT_EQ(more.find(1, 1, 0, 2)->gaps, first.find(1, 1, 0, 2)->gaps);
  EXPECT_EQ(times(again).size(), times(first).size());
}

TEST_F(TournamentFiles, LeavesOutWhoCannotTakeAProblem) {
  const Tournament tournament = load("seeds: 2\nstrategies: [random, regularized_evolution]\nproblems: [two.yaml, bowl.yaml]");
  const TournamentResults results = run_all(tournament);
  EXPECT_THAT(results.refusals, ElementsAre(HasSubstr("regularized_evolution on two: strategy 'regularized_evolution' handles 1 objective")));
  const Verdict verdict = conclude(tournament, results);
  EXPECT_THAT(verdict.common, ElementsAre(1));
  EXPECT_THAT(verdict.takers[0], ElementsAre(0));
  EXPECT_THAT(summary_text(tournament, results, verdict), HasSubstr("Left out: regularized_evolution on two"));
}

TEST_F(TournamentFiles, DrawsOptions) {
  const Tournament tournament = load(R"(
seeds: 2
strategies:
  - {search: {type: nsga2, crossover_rate: 0.5}, draws: 3, vary: {population: {integer: [4, 12]}}}
  - {name: evolution, search: regularized_evolution, draws: 3, vary: {population: {ordinal: [4, 8]}, sample: {integer: [1, 4]}}}
problems: [bowl.yaml])");
  const Config search = drawn_search(tournament.entrants[0], 2);
  EXPECT_EQ(search.at("type").text(), "nsga2");
  EXPECT_EQ(search.at("crossover_rate").number(), 0.5);
  EXPECT_GE(search.at("population").integer(), 4);
  EXPECT_LE(search.at("population").integer(), 12);
  EXPECT_EQ(search.canonical(), drawn_search(tournament.entrants[0], 2).canonical());
  const TournamentResults results = run_all(tournament);
  EXPECT_EQ(results.runs.size(), 2U * 4U * 2U);
  const Verdict verdict = conclude(tournament, results);
  ASSERT_TRUE(verdict.lottery);
  EXPECT_THAT(verdict.lottery->entries, Each(::testing::Field(&Lottery::Entry::scores, SizeIs(3))));
  const auto files = write_report(tournament, results, verdict);
  EXPECT_THAT(files, SizeIs(7));
  for (const auto& file : files) EXPECT_GT(std::filesystem::file_size(file), 100U) << file;
  EXPECT_THAT(testing::read_file(folder_ / "out" / "report.html"), HasSubstr("Hyperparameter lottery"));
}

TEST_F(TournamentFiles, TakesGivenReferences) {
  testing::write_file(folder_ / "front.csv", "size,loss\n0,13\n5,0\n");
  const TournamentResults results = run_all(load(
      "seeds: 1\nstrategies: random\nproblems:\n  - {experiment: bowl.yaml, reference: {optimum: -1}}\n"
      "  - {experiment: two.yaml, reference: {front: front.csv}}\n  - {name: seen, experiment: two.yaml, reference: seen}"));
  EXPECT_GE(results.runs[0].gaps.back(), 1);
  EXPECT_EQ(results.references[1].front, (std::vector<Point>{{13, 0}, {0, 5}}));
  EXPECT_EQ(results.references[2].origin, "the best of all runs");
  EXPECT_NEAR(results.runs[2].gaps.back(), 0, 1e-12);
}

TEST_F(TournamentFiles, ReferencesHaveUnits) {
  // Sizes in percent: a design of size 5 is 0.05, stored as a share.
  const std::string percent = testing::replaced(bowl, "size: {unit: \"1\"", "size: {unit: \"%\"");
  testing::write_file(folder_ / "size.yaml", testing::replaced(percent, "objectives: loss", "objectives: size"));
  testing::write_file(folder_ / "two.yaml", testing::replaced(percent, "objectives: loss", "objectives: [loss, size]"));
  testing::write_file(folder_ / "front.csv", "size,loss\n0,13\n5%,0\n");
  const Tournament tournament = load(
      "seeds: 1\nstrategies: random\nproblems:\n  - {experiment: size.yaml, reference: {optimum: -1%}}\n"
      "  - {experiment: two.yaml, reference: {front: front.csv}}\n  - {name: wrong, experiment: size.yaml, reference: {optimum: 1}}");
  const TournamentResults results = run_all(tournament);
  EXPECT_NEAR(results.references[0].front[0][0], -0.01, 1e-15);
  EXPECT_GE(results.runs[0].gaps.back(), 0.01 - 1e-15);
  EXPECT_EQ(results.references[1].front, (std::vector<Point>{{13, 0}, {0, 0.05}}));
  EXPECT_LT(results.runs[2].gaps.back(), 0);  // read as 100%
  write_report(tournament, results, conclude(tournament, results));
  EXPECT_THAT(testing::read_file(folder_ / "out" / "report.html"), HasSubstr("reference: given (beaten by 1 of all runs"));
}

TEST_F(TournamentFiles, RefusesWithPosition) {
  const std::string good = "seeds: 2\nstrategies: [random]\nproblems: [bowl.yaml]";
  EXPECT_EQ(refusal(good), "accepted");
  EXPECT_THAT(refusal(testing::replaced(good, "random", "randon")), HasSubstr("t.yaml:2:14: unknown strategy 'randon'; did you mean 'random'?"));
  EXPECT_THAT(refusal(testing::replaced(good, "[random]", "[random, random]")), HasSubstr("t.yaml:2:22: two strategies are named 'random'"));
  EXPECT_THAT(refusal(testing::replaced(good, "seeds", "seds")), HasSubstr("t.yaml:1:1: unknown key 'seds'; did you mean 'seeds'?"));
  EXPECT_THAT(refusal(testing::replaced(good, "[bowl.yaml]", "[none.yaml]")), HasSubstr("none.yaml"));
  EXPECT_THAT(refusal(testing::replaced(good, "[bowl.yaml]", "[{experiment: bowl.yaml, reference: {front: none.csv}}]")),
              HasSubstr("t.yaml:3:55: there is no file"));
  EXPECT_THAT(refusal(testing::replaced(good, "[random]", "[{search: nsga2, draws: 3}]")), HasSubstr("there is nothing to draw"));
  EXPECT_THAT(refusal(testing::replaced(good, "[random]", "[{search: nsga2, draws: 3, vary: {popluation: {integer: [1, 2]}}}]")),
              HasSubstr("strategy nsga2 has no option 'popluation'; did you mean 'population'?"));
  EXPECT_THAT(refusal(testing::replaced(good, "[random]", "[{search: nsga2, draws: 1, vary: {population: {integer: [0, 0]}}}]")),
              HasSubstr("draw 1 of nsga2"));
  EXPECT_THAT(refusal(testing::replaced(good, "[random]", "[{type: nsga2, populaton: 5}]")), HasSubstr("t.yaml:2:28: unknown key 'strategies[0].populaton'"));
  EXPECT_THAT(refusal(testing::replaced(good, "bowl.yaml", "{experiment: bowl.yaml, reference: best}")), HasSubstr("t.yaml:3:47"));
}

TEST(Charts, EscapeAndLeaveOutInfinities) {
  const double none = std::numeric_limits<double>::infinity();
  const std::string svg = curve_chart("a < b & \"c\"", "x", "y", {{"<s>", {1, 10}, {none, 0}, {none, 0.5}, {none, 1}}});
  EXPECT_THAT(svg, HasSubstr("a &lt; b &amp; &quot;c&quot;"));
  EXPECT_THAT(svg, HasSubstr("&lt;s&gt;"));
  EXPECT_EQ(svg.find("inf"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  const std::string flat = curve_chart("flat", "x", "y", {{"s", {1}, {0}, {0}, {0}}});
  EXPECT_EQ(flat.find("nan"), std::string::npos);
}

}  // namespace
}  // namespace duet
