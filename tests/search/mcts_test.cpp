#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>

#include "tests/search/drive.hpp"
#include "tests/search/table.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using contracts::DrivenTrial;
using contracts::Outcome;
using contracts::StrategyDriver;
using contracts::TestProblem;
using testing::drive;
using testing::median;

double best_of(const StrategyDriver& driver) {
  double best = INFINITY;
  for (const DrivenTrial& trial : driver.trials()) {
    if (trial.finished.ok()) best = std::min(best, trial.finished.objectives.front());
  }
  return best;
}

TestProblem problem_of(std::vector<SpaceNode> nodes, std::function<double(const Candidate&)> cost) {
  TestProblem problem;
  problem.name = "made up";
  problem.space = std::make_shared<Space>(std::move(nodes));
  problem.objectives = {"cost"};
  problem.evaluate = [cost = std::move(cost)](const Candidate& candidate, std::uint64_t) {
    return Outcome{Status::ok, {cost(candidate)}, 0};
  };
  return problem;
}

/// What Negrinho and Gordon claim of it (section 6).
TEST(Mcts, BeatsRandomOnTheTables) {
  if (!testing::reference_data("nas_bench_macro.csv") || !testing::reference_data("nb201_accuracy.csv")) {
    GTEST_SKIP() << "the tables nas_bench_macro.csv and nb201_accuracy.csv are not there";
  }
  for (const char* name : {"macro", "nb201/c100_test_200"}) {
    const testing::TableProblem table = testing::table_problem(name);
    std::vector<double> mcts, random;
    for (std::uint64_t seed = 0; seed < 15; ++seed) {
      mcts.push_back(best_of(drive("mcts", table.problem, 100, "", seed)));
      random.push_back(best_of(drive("random", table.problem, 100, "", seed)));
    }
    EXPECT_LT(median(mcts), median(random)) << name;
  }
}

TEST(Mcts, HalvesNumbersUntilItStandsAtTheBest) {
  const TestProblem problem = problem_of({integer("n", 0, 99'999), real("x", 0, 1)}, [](const Candidate& c) {
    return std::abs(c[0] - 31'415) / 1e5 + std::abs(c[1] - 0.27);
  });
  std::vector<double> mcts, random;
  for (std::uint64_t seed = 0; seed < 15; ++seed) {
    mcts.push_back(best_of(drive("mcts", problem, 200, "", seed)));
    random.push_back(best_of(drive("random", problem, 200, "", seed)));
  }
  EXPECT_LT(median(mcts), median(random) / 2);
}

/// Most trials go below the option that is good, whose own parameters no other option has.
TEST(Mcts, GoesWhereTheGoodTrialsAre) {
  std::vector<OptionNode> options;
  for (int i = 0; i < 8; ++i) options.push_back({"o" + std::to_string(i), {integer("n", 0, 50)}});
  const TestProblem problem = problem_of({choice("c", std::move(options))}, [](const Candidate& c) {
    return (c[0] == 5 ? 0 : 10) + std::abs(c[static_cast<std::size_t>(c[0]) + 1] - 20);
  });
  const StrategyDriver driver = drive("mcts", problem, 150, "", 1, 4);
  int good = 0;
  for (const DrivenTrial& trial : driver.trials()) good += trial.proposal.candidate[0] == 5;
  EXPECT_GT(good, 45);  // 19 at random, and there are 51 of them
  EXPECT_EQ(best_of(driver), 0);
}

TEST(Mcts, LeavesBranchesWithoutValidDesigns) {
  TestProblem problem = problem_of({choice("c", {"a", "b", "c"}), integer("n", 0, 30)},
                                   [](const Candidate& c) { return c[0] + c[1]; });
  auto space = std::make_shared<Space>(*problem.space);
  space->add_constraint(Config::parse("c == c and (c != b or n >= 25)", "test.yaml"));
  problem.space = space;
  const StrategyDriver driver = drive("mcts", problem, 60, "", 3, 8);
  EXPECT_EQ(driver.trials().size(), 60u);
  EXPECT_EQ(best_of(driver), 0);
}

}  // namespace
}  // namespace duet
