#include <algorithm>
#include <gtest/gtest.h>
#include <set>

#include "tests/contracts/strategy_contract.hpp"
#include "tests/search/standard.hpp"
#include "tests/search/table.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using contracts::DrivenTrial;
using contracts::DriveSettings;
using contracts::StrategyDriver;
using contracts::TestProblem;
using testing::builtin_strategy;

/// Calls check(trial, population) for every trial that has a parent; `population` as the definition has it:
/// the last `size` successful trials told when the trial was asked for. Window 1.
template <class Check>
void for_all_children(const StrategyDriver& driver, std::size_t size, const Check& check) {
  std::size_t children = 0;
  std::vector<const DrivenTrial*> population;
  for (const DrivenTrial& trial : driver.trials()) {
    if (!trial.proposal.parents.empty()) {
      ++children;
      check(trial, population);
    }
    if (trial.finished.ok() && !trial.finished.duplicate_of) population.push_back(&trial);
    if (population.size() > size) population.erase(population.begin());
  }
  EXPECT_GT(children, driver.trials().size() / 2);
}

/// A tournament this large misses the fittest of six with a probability below 1e-70.
constexpr const char* fittest_always = "{population: 6, sample: 1000}";

TEST(RegularizedEvolution, TheFirstTrialsAreRandomTheRestChildrenOfOneParent) {
  DriveSettings settings;
  settings.options = "{population: 10}";
  StrategyDriver driver(builtin_strategy("regularized_evolution"), contracts::test_problem("flat"), settings);
  driver.run();
  ASSERT_EQ(driver.trials().size(), settings.trials);
  for (const DrivenTrial& trial : driver.trials()) {
    EXPECT_EQ(trial.proposal.parents.size(), trial.number <= 10 ? 0u : 1u);
  }
}

TEST(RegularizedEvolution, AChildDiffersFromItsParentInOneDecision) {
  const TestProblem problem = contracts::test_problem("flat");
  StrategyDriver driver(builtin_strategy("regularized_evolution"), problem, {});
  driver.run();
  for (const DrivenTrial& trial : driver.trials()) {
    for (const std::uint64_t parent : trial.proposal.parents) {
      const Candidate& original = driver.trials()[parent - 1].proposal.candidate;
      std::size_t changes = 0;
      for (std::size_t i = 0; i < problem.space->size(); ++i)
        changes += original[i] != trial.proposal.candidate[i];
      EXPECT_EQ(changes, 1u);
    }
  }
}

TEST(RegularizedEvolution, AHigherMutationRateChangesMore) {
  DriveSettings settings;
  settings.options = "mutation_rate: 1";
  const TestProblem problem = contracts::test_problem("flat");
  StrategyDriver driver(builtin_strategy("regularized_evolution"), problem, settings);
  driver.run();
  for (const DrivenTrial& trial : driver.trials()) {
    for (const std::uint64_t parent : trial.proposal.parents) {
      const Candidate& original = driver.trials()[parent - 1].proposal.candidate;
      for (std::size_t i = 0; i < problem.space->size(); ++i)
        EXPECT_NE(original[i], trial.proposal.candidate[i]);
    }
  }
}

TEST(RegularizedEvolution, TheParentIsTheFittestOfTheYoungest) {
  DriveSettings settings;
  settings.options = fittest_always;
  bool forgot_the_best = false;
  StrategyDriver driver(builtin_strategy("regularized_evolution"), contracts::test_problem("noisy"), settings);
  driver.run();
  double best = 1e9;
  for_all_children(
      driver, 6, [&](const DrivenTrial& child, const std::vector<const DrivenTrial*>& population) {
        const auto fittest = std::min_element(
            population.begin(), population.end(),
            [](const auto* a, const auto* b) { return a->finished.objectives < b->finished.objectives; });
        EXPECT_EQ(child.proposal.parents, std::vector<std::uint64_t>{(*fittest)->number});
        best = std::min(best, (*fittest)->finished.objectives.front());
        forgot_the_best = forgot_the_best || (*fittest)->finished.objectives.front() > best;
      });
  EXPECT_TRUE(forgot_the_best) << "ageing should have removed the best at least once";
}

TEST(RegularizedEvolution, FailedTrialsHaveNoChildren) {
  DriveSettings settings;
  settings.trials = 200;
  settings.initial = 5;
  StrategyDriver driver(builtin_strategy("regularized_evolution"), contracts::test_problem("failing"), settings);
  driver.run();
  EXPECT_TRUE(std::any_of(driver.trials().begin(), driver.trials().end(),
                          [](const DrivenTrial& trial) { return !trial.finished.ok(); }));
  for (const DrivenTrial& trial : driver.trials()) {
    for (const std::uint64_t parent : trial.proposal.parents)
      EXPECT_TRUE(driver.trials()[parent - 1].finished.ok());
  }
}

TEST(RegularizedEvolution, FeasibleFirstThenLessViolation) {
  DriveSettings settings;
  settings.options = fittest_always;
  bool infeasible_parent = false;
  bool feasible_parent = false;
  for (settings.seed = 0; settings.seed < 20; ++settings.seed) {
    StrategyDriver driver(builtin_strategy("regularized_evolution"), contracts::test_problem("metric_constraint"), settings);
    driver.run();
    for_all_children(
        driver, 6, [&](const DrivenTrial& child, const std::vector<const DrivenTrial*>& population) {
          const auto fittest =
              std::min_element(population.begin(), population.end(), [](const auto* a, const auto* b) {
                if (a->finished.violation != b->finished.violation)
                  return a->finished.violation < b->finished.violation;
                return a->finished.objectives < b->finished.objectives;
              });
          EXPECT_EQ(child.proposal.parents, std::vector<std::uint64_t>{(*fittest)->number});
          ((*fittest)->finished.violation > 0 ? infeasible_parent : feasible_parent) = true;
        });
  }
  EXPECT_TRUE(infeasible_parent);
  EXPECT_TRUE(feasible_parent);
}

TEST(RegularizedEvolution, ProposesNothingTwiceUntilTheSpaceIsExhausted) {
  DriveSettings settings;
  settings.trials = 1000;
  StrategyDriver driver(builtin_strategy("regularized_evolution"), contracts::test_problem("flat"), settings);
  driver.run();
  EXPECT_EQ(driver.trials().size(), settings.trials);
  for (const DrivenTrial& trial : driver.trials()) EXPECT_FALSE(trial.finished.duplicate_of);

  settings.options = "population: 2";
  StrategyDriver tiny(builtin_strategy("regularized_evolution"), contracts::test_problem("tiny"), settings);
  tiny.run();
  EXPECT_TRUE(tiny.finished());
  EXPECT_EQ(tiny.trials().size(), 5u);
}

TEST(RegularizedEvolution, FindsTheBestCellOfNasBench201) {
  const auto path = testing::reference_data("nb201_accuracy.csv");
  if (!path) GTEST_SKIP() << "NAS-Bench-201 reference data not found";
  const auto columns = testing::read_csv(*path);
  std::map<std::string, double> accuracy;
  for (std::size_t i = 0; i < columns.at("arch").size(); ++i) {
    accuracy[columns.at("arch")[i]] = std::stod(columns.at("c100_test_200")[i]);
  }
  double best = 0;
  for (const auto& [arch, value] : accuracy) best = std::max(best, value);
  EXPECT_DOUBLE_EQ(best, 73.5133);

  const std::vector<std::string> operators = {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3",
                                              "avg_pool_3x3"};
  std::vector<SpaceNode> nodes;
  for (int edge = 1; edge <= 6; ++edge) nodes.push_back(choice("edge" + std::to_string(edge), operators));
  TestProblem problem;
  problem.name = "NAS-Bench-201";
  problem.space = std::make_shared<Space>(nodes);
  problem.objectives = {"error"};
  problem.evaluate = [&, space = problem.space](const Candidate& candidate, std::uint64_t) {
    const auto op = [&](std::size_t edge) { return space->option(candidate, edge); };
    const std::string arch = "|" + op(0) + "~0|+|" + op(1) + "~0|" + op(2) + "~1|+|" + op(3) + "~0|" + op(4) +
                             "~1|" + op(5) + "~2|";
    return contracts::Outcome{Status::ok, {-accuracy.at(arch)}, 0};
  };

  for (const std::size_t window : {1u, 4u, 8u}) {
    for (const std::uint64_t first_seed : {0u, 1000u}) {
      std::vector<double> after_100;
      std::vector<double> after_200;
      DriveSettings settings;
      settings.window = window;
      settings.trials = 200;
      for (settings.seed = first_seed; settings.seed < first_seed + 20; ++settings.seed) {
        StrategyDriver driver(builtin_strategy("regularized_evolution"), problem, settings);
        driver.run();
        double regret = best;
        for (const DrivenTrial& trial : driver.trials()) {
          regret = std::min(regret, best + trial.finished.objectives.front());
          if (trial.number == 100) after_100.push_back(regret);
          if (trial.number == 200) after_200.push_back(regret);
        }
      }
      std::sort(after_100.begin(), after_100.end());
      std::sort(after_200.begin(), after_200.end());
      ASSERT_EQ(after_200.size(), 20u);
      EXPECT_LE((after_100[9] + after_100[10]) / 2, 0.4)
          << "window " << window << ", seeds from " << first_seed;
      EXPECT_LE((after_200[9] + after_200[10]) / 2, 0.0)
          << "window " << window << ", seeds from " << first_seed;
    }
  }
}

}  // namespace
}  // namespace duet
