#include "search/restarts.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/contracts/strategy_contract.hpp"
#include "tests/search/standard.hpp"

namespace duet {
namespace {

using contracts::DrivenTrial;
using contracts::DriveSettings;
using contracts::Outcome;
using contracts::StrategyDriver;
using contracts::TestProblem;
using testing::builtin_strategy;

/// Five blocks of four bits, each a trap: the more ones the better, but none at all is best (Deb and Goldberg 1993).
TestProblem traps() {
  std::vector<SpaceNode> nodes;
  for (int i = 0; i < 20; ++i) nodes.push_back(choice("bit" + std::to_string(i), {"0", "1"}));
  TestProblem problem;
  problem.name = "traps";
  problem.space = std::make_shared<Space>(nodes);
  problem.objectives = {"cost"};
  problem.evaluate = [](const Candidate& candidate, std::uint64_t) {
    double cost = 0;
    for (std::size_t block = 0; block < 20; block += 4) {
      double ones = 0;
      for (std::size_t i = block; i < block + 4; ++i) ones += candidate[i];
      cost += ones == 0 ? 0 : 5 - ones;
    }
    return Outcome{Status::ok, {cost}, 0};
  };
  return problem;
}

TEST(Restarts, KeepTheRules) {
  for (const char* name : {"nsga2", "regularized_evolution", "differential_evolution", "ant_colony", "sms_emoa"}) {
    for (const char* problem : {"flat", "conditional", "metric_constraint", "failing", "mixed", "noisy"}) {
      for (const std::size_t window : {1u, 7u}) {
        DriveSettings settings;
        settings.trials = 150;
        settings.window = window;
        settings.initial = 3;
        settings.options = "restart_after: 20";
        StrategyDriver first(builtin_strategy(name), contracts::test_problem(problem), settings);
        StrategyDriver second(builtin_strategy(name), contracts::test_problem(problem), settings);
        first.run();
        second.run();
        EXPECT_THAT(first.breaches(), ::testing::IsEmpty()) << name << " on " << problem;
        ASSERT_EQ(first.trials().size(), second.trials().size());
        for (std::size_t i = 0; i < first.trials().size(); ++i) {
          EXPECT_EQ(first.trials()[i].proposal.candidate, second.trials()[i].proposal.candidate);
        }
      }
    }
  }
}

TEST(Restarts, EndOnAnExhaustedSpace) {
  DriveSettings settings;
  settings.options = "{restart_after: 1, population: 2}";
  StrategyDriver driver(builtin_strategy("nsga2"), contracts::test_problem("tiny"), settings);
  driver.run();
  EXPECT_THAT(driver.breaches(), ::testing::IsEmpty());
  EXPECT_EQ(std::count_if(driver.trials().begin(), driver.trials().end(),
                          [](const DrivenTrial& trial) { return !trial.finished.duplicate_of; }),
            5);
}

TEST(Restarts, BeginAnewAndScoreNothingTwice) {
  DriveSettings settings;
  settings.trials = 1500;
  settings.options = "restart_after: 60";
  StrategyDriver driver(builtin_strategy("regularized_evolution"), traps(), settings);
  driver.run();
  ASSERT_EQ(driver.trials().size(), 1500u);
  std::size_t orphans = 0;
  for (const DrivenTrial& trial : driver.trials()) {
    EXPECT_FALSE(trial.finished.duplicate_of);
    orphans += trial.proposal.parents.empty() ? 1 : 0;
  }
  EXPECT_GT(orphans, 60u);  // 20 in each run
  EXPECT_EQ(orphans % 20, 0u);
}

// Some runs settle at a wrong option; the others lose nothing.
TEST(Restarts, LeaveWhereARunIsStuck) {
  const StandardProblem problem = standard_problem("mixed_ackley");
  int stuck = 0, stuck_for_ever = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    stuck += testing::run_standard("ant_colony", problem, seed, 3000, "restart_after: 100").best > 0.01 ? 1 : 0;
    stuck_for_ever += testing::run_standard("ant_colony", problem, seed, 3000).best > 0.01 ? 1 : 0;
  }
  EXPECT_LT(stuck, stuck_for_ever);
}

}  // namespace
}  // namespace duet
