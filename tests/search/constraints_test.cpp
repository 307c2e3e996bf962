// Bounds on metrics: constrained DTLZ, and NAS-Bench-201 under a bound on the latency.

#include <gtest/gtest.h>

#include "tests/contracts/strategy_contract.hpp"
#include "tests/search/standard.hpp"
#include "tests/search/table.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using testing::median;

struct TableCase {
  const char* strategy;
  const char* problem;
  StandardProblemSize size;
  std::uint64_t trials;
  double share;  ///< of the front's hypervolume, reference 1.1, by feasible trials; median of three seeds at least
};

class ConstrainedDtlz : public ::testing::TestWithParam<TableCase> {};
TEST_P(ConstrainedDtlz, ReachesTheFeasibleFrontAndBeatsRandom) {
  const TableCase& c = GetParam();
  const StandardProblem problem = standard_problem(c.problem, c.size);
  std::vector<double> shares, random;
  for (const std::uint64_t seed : {0U, 1U, 1000U}) {
    shares.push_back(testing::run_standard(c.strategy, problem, seed, c.trials).share_of_all);
    random.push_back(testing::run_standard("random", problem, seed, c.trials).share_of_all);
  }
  EXPECT_GE(median(shares), c.share);
  EXPECT_GT(median(shares), median(random));
}

const auto name_of = [](const ::testing::TestParamInfo<TableCase>& test) {
  return std::string(test.param.strategy) + "_" + test.param.problem;
};
INSTANTIATE_TEST_SUITE_P(Evolution, ConstrainedDtlz,
                         ::testing::Values(TableCase{"nsga2", "c1_dtlz1", {}, 10'000, 0.7},
                                           TableCase{"nsga3", "c1_dtlz1", {}, 10'000, 0.45},
                                           TableCase{"nsga2", "c2_dtlz2", {}, 2000, 0.55},
                                           TableCase{"sms_emoa", "c2_dtlz2", {}, 1000, 0.45},
                                           TableCase{"nsga2", "c3_dtlz4", {}, 1000, 0.7}),
                         name_of);
INSTANTIATE_TEST_SUITE_P(SlowModels, ConstrainedDtlz,
                         ::testing::Values(TableCase{"linas", "c2_dtlz2", {6, 2}, 80, 0.85},
                                           TableCase{"gp_ehvi", "c2_dtlz2", {6, 2}, 60, 0.8}),
                         name_of);

/// NAS-Bench-201, accuracy on CIFAR-100, only the fifth of the cells that is fastest on a device being allowed.
struct Figures {
  double regret = 0;      ///< to the best allowed cell, as a share of the accuracies' range
  double infeasible = 0;  ///< share of the trials
};
Figures bounded_run(const std::string& strategy, const testing::TableProblem& table) {
  Catalog<StrategyPlugin> catalog("strategy");
  add_builtin_strategies(catalog);
  std::vector<double> regrets, infeasible;
  for (const std::uint64_t seed : {0U, 1U, 2U, 1000U, 1001U, 1002U, 1003U}) {
    contracts::DriveSettings settings;
    settings.seed = seed;
    settings.trials = 100;
    contracts::StrategyDriver driver(catalog.at(strategy), table.problem, settings);
    driver.run();
    std::vector<Point> found;
    double trials = 0;
    for (const contracts::DrivenTrial& trial : driver.trials()) {
      if (trial.finished.duplicate_of) continue;
      trials += 1;
      if (trial.finished.feasible()) found.push_back(trial.finished.objectives);
    }
    regrets.push_back(table.score(found));
    infeasible.push_back(1 - static_cast<double>(found.size()) / trials);
  }
  return {median(regrets), median(infeasible)};
}

TEST(SlowLatencyBound, IsKeptOnNasBench201) {
  if (!testing::reference_data("nb201_accuracy.csv") || !testing::reference_data("nb201_latency_help.csv")) {
    GTEST_SKIP() << "reference tables not found";
  }
  // The fastest fifth: 5.0 ms on a Pixel 3 (a phone), 7.4 ms on a Xeon Gold 6240.
  for (const char* device : {"pixel3_ms", "gold_6240_ms"}) {
    const testing::TableProblem table =
        testing::bounded(testing::table_problem(std::string("nb201/c100_test_200/") + device), 0.2, false);
    const Figures random = bounded_run("random", table), gp = bounded_run("gp_ei", table), tpe = bounded_run("tpe", table),
                  evolution = bounded_run("regularized_evolution", table);
    EXPECT_NEAR(random.infeasible, 0.8, 0.05) << device;
    EXPECT_LE(gp.regret, 0.002) << device;
    EXPECT_LE(gp.infeasible, 0.7) << device;
    EXPECT_LE(tpe.regret, 0.016) << device;
    EXPECT_LE(tpe.infeasible, 0.62) << device;
    EXPECT_LE(evolution.regret, 0.016) << device;
    EXPECT_LE(evolution.infeasible, 0.6) << device;
    for (const Figures& figures : {gp, tpe, evolution}) EXPECT_LT(figures.regret, random.regret) << device;
    EXPECT_LT(gp.regret, std::min(tpe.regret, evolution.regret)) << device;
  }
}

}  // namespace
}  // namespace duet
