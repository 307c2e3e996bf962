#include "search/predictor.hpp"

#include <cmath>
#include <gtest/gtest.h>

#include "tests/contracts/strategy_contract.hpp"
#include "tests/search/pretraining.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

/// Two objectives and two constraints over two reals: a ≤ 0.7, b ≥ 0.2, whatever the objectives.
FinishedTrial trial_at(const Space& space, std::uint64_t number, double a, double b) {
  FinishedTrial trial;
  trial.number = number;
  trial.candidate = Candidate(space.size());
  trial.candidate.set(0, a);
  trial.candidate.set(1, b);
  trial.objectives = {1e3 * (1 - a), a + b * b};
  trial.excess = {a - 0.7, 1e4 * (0.2 - b)};
  for (const double excess : trial.excess) trial.violation += std::max(0.0, excess);
  return trial;
}

TEST(Predictor, PutsTheInfeasibleBehindEverything) {
  const Space space({real("a", 0, 1), real("b", 0, 1)});
  Problem problem;
  problem.space = &space;
  problem.objectives = {"loss", "cost"};
  problem.constrained = true;
  const SpaceRows rows(space);
  for (const char* name : {"gp", "forest", "ridge", "network"}) {
    Predictor predictor(problem, rows, Predictor::kind(name));
    std::vector<FinishedTrial> told;
    std::vector<Point> targets;
    Random random(3, "trials");
    for (std::uint64_t number = 1; number <= 80; ++number) {
      told.push_back(trial_at(space, number, random.uniform(), random.uniform()));
      targets.push_back(told.back().objectives);
    }
    predictor.fit(81, told, targets);
    const std::vector<Candidate> candidates{trial_at(space, 0, 0.1, 0.6).candidate, trial_at(space, 0, 0.5, 0.6).candidate,
                                            trial_at(space, 0, 0.95, 0.6).candidate, trial_at(space, 0, 0.5, 0.02).candidate};
    const std::vector<Point> predicted = predictor.predict(candidates);
    EXPECT_LT(predicted[1][0], predicted[0][0]) << name;
    EXPECT_LT(predicted[0][1], predicted[1][1]) << name;
    for (const std::size_t infeasible : {2U, 3U}) {
      for (const std::size_t feasible : {0U, 1U}) {
        for (const std::size_t k : {0U, 1U}) EXPECT_GT(predicted[infeasible][k], predicted[feasible][k]) << name;
      }
    }
  }
}

// All seeds, sample sizes and predictors: bench/pretraining.cpp.
class SlowPretraining : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::reference_data("accel_nasbench.csv") || !testing::reference_data("nas_bench_macro.csv")) {
      GTEST_SKIP() << "reference tables not found";
    }
  }
  static double tau(const testing::Pool& pool, Predictor::Kind kind, std::size_t pretrain, std::size_t samples,
                    std::uint64_t seeds) {
    std::vector<double> values;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      values.push_back(testing::rank_correlations(pool, kind, pretrain, {samples}, seed)[0]);
    }
    return median(values);
  }
};

TEST_F(SlowPretraining, TeachesNetworksToRankWhatTheyHaveNotSeen) {
  const testing::Pool accel = testing::accel_pool();
  for (const auto& [samples, least, gain] : {std::tuple{20U, 0.42, 0.15}, {100U, 0.7, 0.04}}) {
    const double with = tau(accel, Predictor::Kind::network, 256, samples, 5);
    EXPECT_GE(with, least) << samples;
    EXPECT_GE(with, tau(accel, Predictor::Kind::network, 0, samples, 5) + gain) << samples;
  }
  // A number for each layer's block says nearly all on this table: no loss.
  const testing::Pool macro = testing::macro_pool();
  EXPECT_GE(tau(macro, Predictor::Kind::network, 256, 50, 5), tau(macro, Predictor::Kind::network, 0, 50, 5) - 0.01);
}

TEST_F(SlowPretraining, HelpsGaussianProcessesAndForestsFromFewTrials) {
  const testing::Pool accel = testing::accel_pool();
  for (const auto& [kind, gain] : {std::pair{Predictor::Kind::gp, 0.08}, {Predictor::Kind::forest, 0.1}}) {
    EXPECT_GE(tau(accel, kind, 256, 20, 9), tau(accel, kind, 0, 20, 9) + gain);
  }
}

TEST_F(SlowPretraining, FindsBetterNetworksInATable) {
  const testing::Pool accel = testing::accel_pool();
  std::vector<double> with, without;
  for (const std::uint64_t seed : {0U, 1U, 2U, 1000U, 1001U}) {
    with.push_back(testing::pool_regrets(accel, Predictor::Kind::gp, 256, {60}, seed)[0]);
    without.push_back(testing::pool_regrets(accel, Predictor::Kind::gp, 0, {60}, seed)[0]);
  }
  EXPECT_LE(median(with), median(without));
  EXPECT_LE(median(with), 1.0);
}

}  // namespace
}  // namespace duet
