#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "core/errors.hpp"
#include "search/design_of_experiments.hpp"
#include "tests/search/drive.hpp"
#include "tests/search/table.hpp"

namespace duet {
namespace {

using contracts::DrivenTrial;
using contracts::StrategyDriver;
using contracts::TestProblem;
using testing::drive;
using testing::median;
using testing::run_standard;
using testing::builtin_strategy;

TestProblem two_reals() {
  TestProblem problem;
  problem.name = "two reals";
  problem.space = std::make_shared<Space>(std::vector<SpaceNode>{real("x", 0, 1), real("y", 0, 1)});
  problem.objectives = {"cost"};
  problem.evaluate = [](const Candidate& candidate, std::uint64_t) {
    return contracts::Outcome{Status::ok, {candidate[0] + candidate[1]}, 0};
  };
  return problem;
}

/// How many of `cells` equal parts of a number's range hold how many points.
std::multiset<int> counts(const StrategyDriver& driver, std::size_t parameter, int cells) {
  std::vector<int> count(static_cast<std::size_t>(cells), 0);
  for (const DrivenTrial& trial : driver.trials()) {
    ++count[static_cast<std::size_t>(trial.proposal.candidate[parameter] * cells)];
  }
  return {count.begin(), count.end()};
}

TEST(Sobol, EverySliceHoldsOnePointScrambledOrNot) {
  for (const char* options : {"scramble: true", "scramble: false"}) {
    const StrategyDriver driver = drive("sobol", two_reals(), 64, options);
    ASSERT_EQ(driver.trials().size(), 64u);
    EXPECT_THAT(counts(driver, 0, 64), ::testing::Each(1));
    EXPECT_THAT(counts(driver, 1, 64), ::testing::Each(1));
    // The first two dimensions are a (0, 2)-sequence: every elementary rectangle too.
    std::set<std::pair<int, int>> squares;
    for (const DrivenTrial& trial : driver.trials()) {
      const Candidate& candidate = trial.proposal.candidate;
      squares.emplace(static_cast<int>(candidate[0] * 8), static_cast<int>(candidate[1] * 8));
    }
    EXPECT_EQ(squares.size(), 64u);
  }
}

TEST(Sobol, UnscrambledItIsTheKnownSequence) {
  const StrategyDriver driver = drive("sobol", two_reals(), 4, "scramble: false");
  std::set<std::pair<double, double>> points;
  for (const DrivenTrial& trial : driver.trials()) {
    points.emplace(trial.proposal.candidate[0], trial.proposal.candidate[1]);
  }
  EXPECT_EQ(points, (std::set<std::pair<double, double>>{{0, 0}, {0.5, 0.5}, {0.75, 0.25}, {0.25, 0.75}}));
}

TEST(Sobol, SeedsDiffer) {
  EXPECT_NE(drive("sobol", two_reals(), 1, "", 1).trials()[0].proposal.candidate,
            drive("sobol", two_reals(), 1, "", 2).trials()[0].proposal.candidate);
}

TEST(LatinHypercube, EveryIntervalHoldsOneTrialOfEachDesign) {
  const StrategyDriver driver = drive("latin_hypercube", two_reals(), 60, "samples: 30");
  EXPECT_THAT(counts(driver, 0, 30), ::testing::Each(2));
  EXPECT_THAT(counts(driver, 1, 30), ::testing::Each(2));
}

/// Of a smooth function, an even sample knows the mean better than a random one.
double error_of_mean(const std::string& strategy, std::uint64_t seed) {
  double sum = 0;
  const StrategyDriver driver = drive(strategy, two_reals(), 100, "", seed);
  for (const DrivenTrial& trial : driver.trials()) {
    sum += std::pow(trial.finished.objectives[0], 2);
  }
  return std::abs(sum / 100 - 7.0 / 6);
}

TEST(Baselines, EvenSamplesBeatRandomOnes) {
  std::vector<double> random, sobol, latin;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    random.push_back(error_of_mean("random", seed));
    sobol.push_back(error_of_mean("sobol", seed));
    latin.push_back(error_of_mean("latin_hypercube", seed));
  }
  EXPECT_LT(median(sobol), median(random) / 2);
  EXPECT_LT(median(latin), median(random) / 2);
}

TEST(Exhaustive, ListsEveryValidDesignOnceInAnyOrder) {
  for (const char* order : {"order: shuffled", "order: lexicographic"}) {
    const TestProblem problem = contracts::test_problem("constrained");
    const StrategyDriver driver = drive("exhaustive", problem, 100'000, order, 1, 64);
    EXPECT_TRUE(driver.finished());
    std::size_t valid = 0;
    const std::uint64_t designs = *problem.space->cardinality().exact;
    for (std::uint64_t rank = 0; rank < designs; ++rank) {
      valid += problem.space->valid(problem.space->unrank(rank)) ? 1 : 0;
    }
    EXPECT_EQ(driver.trials().size(), valid);
    for (const DrivenTrial& trial : driver.trials()) EXPECT_FALSE(trial.finished.duplicate_of);
  }
}

TEST(Exhaustive, FindsTheOptimumWithCertaintyWhereRandomRepeatsItself) {
  // More designs than `random` remembers as a list, and as many trials as designs.
  Space space({integer("a", 1, 260), integer("b", 1, 260)});
  Problem problem;
  problem.space = &space;
  problem.objectives = {"cost"};
  const std::uint64_t trials = 260 * 260;
  std::map<std::string, std::size_t> distinct;
  for (const char* name : {"exhaustive", "random"}) {
    const StrategyPlugin strategy = builtin_strategy(name);
    const auto searcher = strategy.create(problem, Options::defaults(strategy.options, name));
    std::set<std::uint64_t> seen;
    for (std::uint64_t number = 1; number <= trials; number += 100) {
      for (const Proposal& proposal : searcher->ask(number, 100, {})) {
        seen.insert(static_cast<std::uint64_t>(proposal.candidate[0] * 1000 + proposal.candidate[1]));
      }
    }
    distinct[name] = seen.size();
  }
  EXPECT_EQ(distinct["exhaustive"], trials);
  EXPECT_LT(distinct["random"], trials);
}

TEST(Exhaustive, RefusesWhatItCannotList) {
  const auto refusal = [](const Space& space) -> std::string {
    Problem problem;
    problem.space = &space;
    problem.objectives = {"cost"};
    const StrategyPlugin strategy = builtin_strategy("exhaustive");
    if (const auto why = why_unsuitable(strategy, problem)) return *why;
    try {
      strategy.create(problem, Options::defaults(strategy.options, "exhaustive"));
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal(Space({real("x", 0, 1)})), "strategy 'exhaustive' does not handle real parameters such as 'x'");
  EXPECT_EQ(refusal(Space({integer("x", 1, 2'000'000'000)})),
            "strategy 'exhaustive' lists up to 1000000000 designs, and this space has 2000000000");
}

TEST(LocalSearch, FindsTheOptimumOfNasBench201WithinAHundredTrials) {
  if (!testing::reference_data("nb201_accuracy.csv")) GTEST_SKIP() << "NAS-Bench-201 reference data not found";
  const testing::TableProblem table = testing::table_problem("nb201/c100_test_200");
  for (const std::uint64_t first : {0u, 1000u}) {
    std::vector<double> regrets;
    for (std::uint64_t seed = first; seed < first + 20; ++seed) {
      std::vector<Point> found;
      const StrategyDriver driver = drive("local_search", table.problem, 100, "", seed);
      for (const DrivenTrial& trial : driver.trials()) found.push_back(trial.finished.objectives);
      regrets.push_back(table.score(found));
    }
    EXPECT_LE(median(regrets), 0.1) << "seeds from " << first;
  }
}

TEST(LocalSearch, MovesRealsByStepsThatShrink) {
  std::vector<double> bests, random;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    bests.push_back(run_standard("local_search", standard_problem("sphere"), seed, 1000).best);
    random.push_back(run_standard("random", standard_problem("sphere"), seed, 1000).best);
  }
  EXPECT_LT(median(bests), 0.01);
  EXPECT_GT(median(random), 1);
}

TEST(LocalSearch, ChangesOneDecisionAtATime) {
  const StrategyDriver driver = drive("local_search", contracts::test_problem("flat"), 200);
  std::size_t children = 0;
  for (const DrivenTrial& trial : driver.trials()) {
    if (trial.proposal.parents.empty()) continue;
    ++children;
    const Candidate& parent = driver.trials()[trial.proposal.parents[0] - 1].proposal.candidate;
    int different = 0;
    for (std::size_t i = 0; i < parent.size(); ++i) different += parent[i] != trial.proposal.candidate[i];
    EXPECT_EQ(different, 1);
  }
  EXPECT_GT(children, 120u);
}

TEST(SimulatedAnnealing, BeatsRandomAmongManyLocalOptima) {
  std::vector<double> bests, random;
  for (std::uint64_t seed = 0; seed < 9; ++seed) {
    bests.push_back(run_standard("simulated_annealing", standard_problem("rastrigin"), seed, 1000).best);
    random.push_back(run_standard("random", standard_problem("rastrigin"), seed, 1000).best);
  }
  EXPECT_LT(median(bests), median(random) / 3);
}

}  // namespace
}  // namespace duet
