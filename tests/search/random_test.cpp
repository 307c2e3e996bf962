#include <gtest/gtest.h>

#include "tests/contracts/strategy_contract.hpp"
#include "tests/search/standard.hpp"

namespace duet {
namespace {

using contracts::DrivenTrial;
using contracts::DriveSettings;
using contracts::StrategyDriver;
using testing::builtin_strategy;

TEST(RandomSearch, ProposesEveryCandidateOfASmallSpaceOnceAndFinishes) {
  for (const std::size_t window : {1u, 8u}) {
    DriveSettings settings;
    settings.window = window;
    settings.trials = 1000;
    StrategyDriver driver(builtin_strategy("random"), contracts::test_problem("tiny"), settings);
    driver.run();
    EXPECT_TRUE(driver.finished());
    EXPECT_EQ(driver.trials().size(), 5u);
    for (const DrivenTrial& trial : driver.trials()) EXPECT_FALSE(trial.finished.duplicate_of);
  }
}

TEST(RandomSearch, DoesNotProposeInitialDesignsAgain) {
  DriveSettings settings;
  settings.window = 2;
  settings.initial = 1;
  settings.trials = 1000;
  StrategyDriver driver(builtin_strategy("random"), contracts::test_problem("tiny"), settings);
  driver.run();
  EXPECT_EQ(driver.trials().size(), 5u);
}

TEST(RandomSearch, DoesNotDependOnTheWindow) {
  DriveSettings settings;
  StrategyDriver narrow(builtin_strategy("random"), contracts::test_problem("mixed"), settings);
  settings.window = 7;
  StrategyDriver wide(builtin_strategy("random"), contracts::test_problem("mixed"), settings);
  narrow.run();
  wide.run();
  ASSERT_EQ(narrow.trials().size(), wide.trials().size());
  for (std::size_t i = 0; i < narrow.trials().size(); ++i) {
    EXPECT_EQ(narrow.trials()[i].proposal.candidate, wide.trials()[i].proposal.candidate);
  }
}

TEST(RandomSearch, DrawsEveryOptionAboutEquallyOften) {
  DriveSettings settings;
  settings.trials = 2000;
  const auto problem = contracts::test_problem("flat");
  StrategyDriver driver(builtin_strategy("random"), problem, settings);
  driver.run();
  for (std::size_t i = 0; i < problem.space->size(); ++i) {
    std::vector<int> counts(5);
    for (const DrivenTrial& trial : driver.trials())
      ++counts[static_cast<std::size_t>(trial.proposal.candidate[i])];
    for (const int count : counts) EXPECT_NEAR(count, 400, 90);  // five standard deviations
  }
}

}  // namespace
}  // namespace duet
