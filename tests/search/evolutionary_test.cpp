#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/learn/normal.hpp"
#include "search/margin.hpp"
#include "search/reference_directions.hpp"
#include "search/variation.hpp"
#include "tests/contracts/strategy_contract.hpp"
#include "tests/search/standard.hpp"

namespace duet {
namespace {

using testing::median;
using testing::run_standard;

// --- Shared parts

TEST(Variation, SimulatedBinaryCrossoverKeepsTheMeanAndTheBounds) {
  const Space space({real("x", 0, 10), real("y", 1, 100, "1", "", true)});
  const Variation variation(space);
  Candidate first(2), second(2);
  first.set(0, 4);
  second.set(0, 6);
  first.set(1, 1);
  second.set(1, 100);
  double sum = 0, outside = 0;
  constexpr int times = 20'000;
  for (int i = 0; i < times; ++i) {
    Random random(1, "test", static_cast<std::uint64_t>(i));
    const Candidate child = variation.crossover(first, second, random);
    ASSERT_FALSE(space.why_invalid(child));
    sum += child[0];
    outside += child[0] < 4 || child[0] > 6 ? 1 : 0;
  }
  // Half the children keep the first parent's value, the others lie around both alike: 0.5 * 4 + 0.5 * 5.
  EXPECT_NEAR(sum / times, 4.5, 0.03);
  EXPECT_NEAR(outside / times, 0.25, 0.02);  // half of the blended ones
}

TEST(Variation, PolynomialMutationStepsAreSmallAndWithinBounds) {
  const Space space({real("x", 0, 1)});
  const Variation variation(space, {15, 20});
  Candidate middle(1), edge(1);
  middle.set(0, 0.5);
  edge.set(0, 0);
  double distance = 0;
  constexpr int times = 20'000;
  for (int i = 0; i < times; ++i) {
    Random random(1, "test", static_cast<std::uint64_t>(i));
    distance += std::abs(variation.mutate(middle, random, 1)[0] - 0.5);
    ASSERT_FALSE(space.why_invalid(variation.mutate(edge, random, 1)));
  }
  // The step is 1 - v^(1/21) with v uniform, but for the bounds, which are far: 1 / 22 in the mean.
  EXPECT_NEAR(distance / times, 1.0 / 22, 0.002);
}

TEST(Variation, LongIntegersMoveByOneStepAtLeast) {
  const Space space({integer("n", 1, 1000), integer("short", 1, 5)});
  const Variation variation(space, {15, 1000});
  EXPECT_TRUE(variation.numeric(0));
  EXPECT_FALSE(variation.numeric(1));
  Candidate parent(2);
  parent.set(0, 1);
  parent.set(1, 1);
  for (std::uint64_t i = 0; i < 100; ++i) {
    Random random(1, "test", i);
    const std::vector<std::size_t> among{0};
    const Candidate child = variation.mutate(parent, random, 1, among);
    EXPECT_GT(child[0], 1);
    EXPECT_LT(child[0], 100);
  }
}

TEST(ReferenceDirections, AreEvenAndAsManyAsFit) {
  EXPECT_EQ(das_dennis(3, 12).size(), 91u);
  EXPECT_EQ(reference_directions(3, 100).size(), 91u);
  EXPECT_EQ(reference_directions(2, 100).size(), 100u);
  EXPECT_EQ(reference_directions(1, 100).size(), 1u);
  EXPECT_EQ(reference_directions(8, 156).size(), 156u);  // two layers of 120 and 36: Deb and Jain 2014, table I
  for (const Point& direction : reference_directions(8, 156)) {
    double sum = 0;
    for (const double value : direction) sum += value;
    EXPECT_NEAR(sum, 1, 1e-12);
  }
}

// --- Every strategy beats random sampling where it is at home

struct Home {
  std::string strategy, problem;
  std::uint64_t trials;
  double factor;  ///< the median must be below this part of random's: of the best value, or of what the front lacks
};

std::ostream& operator<<(std::ostream& out, const Home& home) { return out << home.strategy << " on " << home.problem; }

class BeatsRandom : public ::testing::TestWithParam<Home> {};

TEST_P(BeatsRandom, WhereItIsAtHome) {
  const Home& home = GetParam();
  const StandardProblem standard = standard_problem(home.problem);
  std::vector<double> scores, random;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const auto lack = [&](const std::string& strategy) {
      const testing::StandardRun run = run_standard(strategy, standard, seed, home.trials);
      return standard.objectives == 1 ? run.best : 1 - run.share_of_all;
    };
    scores.push_back(lack(home.strategy));
    random.push_back(lack("random"));
  }
  EXPECT_LT(median(scores), home.factor * median(random));
}

INSTANTIATE_TEST_SUITE_P(
    Evolutionary, BeatsRandom,
    ::testing::Values(Home{"nsga2", "zdt1", 3000, 0.5}, Home{"nsga3", "dtlz2", 2000, 0.5},
                      Home{"moead", "dtlz2", 2000, 0.5}, Home{"sms_emoa", "mixed_zdt1", 1000, 0.75},
                      Home{"sms_emoa", "c2_dtlz2", 1000, 0.7}, Home{"cma_es", "rosenbrock", 1000, 0.1},
                      Home{"cma_es", "mixed_ackley", 1000, 0.1}, Home{"differential_evolution", "sphere", 1500, 0.1},
                      Home{"ant_colony", "mixed_ackley", 1000, 0.1}),
    [](const auto& instance) { return instance.param.strategy + "_" + instance.param.problem; });

// --- The margin of CMA-ES

double below(const Marginal& marginal, double deviation, double threshold) {
  return learn::normal_cdf((threshold - marginal.mean) / (deviation * marginal.factor));
}

TEST(Margin, LeavesEachNeighbourItsShare) {
  constexpr double share = 1.0 / (20 * 12);
  for (const double deviation : {1e-9, 1e-3, 0.3, 5.0}) {
    for (const double mean : {2.5, 2.5001, 2.7, 3.0, 3.49, 3.5}) {
      for (const double factor : {1.0, 1e3}) {
        const Marginal middle = keep_margin({mean, factor}, deviation, 2.5, 3.5, share);
        EXPECT_GE(below(middle, deviation, 2.5), share / 2 * (1 - 1e-5)) << mean << " ± " << deviation * factor;
        EXPECT_GE(1 - below(middle, deviation, 3.5), share / 2 * (1 - 1e-5)) << mean << " ± " << deviation * factor;
        EXPECT_GE(middle.mean, 2.5);
        EXPECT_LE(middle.mean, 3.5);
        const Marginal lowest = keep_margin({mean, factor}, deviation, {}, 3.5, share);
        EXPECT_GE(1 - below(lowest, deviation, 3.5), share * (1 - 1e-5));
        const Marginal highest = keep_margin({mean, factor}, deviation, 2.5, {}, share);
        EXPECT_GE(below(highest, deviation, 2.5), share * (1 - 1e-5));
      }
    }
  }
}

TEST(Margin, ChangesNothingWhereNothingIsLacking) {
  const Marginal wide = keep_margin({3.1, 1}, 0.4, 2.5, 3.5, 0.01);
  EXPECT_EQ(wide.mean, 3.1);
  EXPECT_EQ(wide.factor, 1);
  const Marginal lowest = keep_margin({3.1, 1}, 0.4, {}, 3.5, 0.01);
  EXPECT_EQ(lowest.mean, 3.1);
  const Marginal narrow = keep_margin({3.0, 1}, 0.01, 2.5, 3.5, 0.01);  // both sides alike: the mean stays
  EXPECT_NEAR(narrow.mean, 3.0, 1e-12);
  EXPECT_NEAR(below(narrow, 0.01, 2.5), 0.005, 1e-9);
}

/// Reals whose optimum is 0.7 and integers whose optimum is 3, ten each, or bits whose optimum is 1; weights from 1 to
/// `condition` (SphereInt, EllipsoidInt and SphereOneMax of Hamano et al. 2022).
StandardProblem half_integer(double condition, bool bits) {
  StandardProblem problem;
  for (int i = 0; i < 10; ++i) problem.nodes.push_back(real("x" + std::to_string(i), -5, 5));
  for (int i = 0; i < 10; ++i) {
    problem.nodes.push_back(integer("n" + std::to_string(i), bits ? 0 : -10, bits ? 1 : 10));
  }
  problem.evaluate = [=](std::span<const double> x) {
    double sum = 0;
    for (std::size_t i = 0; i < 20; ++i) {
      const double away = x[i] - (i < 10 ? 0.7 : bits ? 1 : 3);
      sum += std::pow(condition, static_cast<double>(i) / 19) * away * away;
    }
    return std::vector<double>{sum};
  };
  return problem;
}

TEST(CmaEs, ReachesTheOptimumOfRealsAndIntegersByMargin) {
  struct Case {
    double condition;
    bool bits;
    std::uint64_t trials;
  };
  for (const auto& [condition, bits, trials] : {Case{1, false, 5000}, Case{1, true, 5000}, Case{1e6, false, 14'000}}) {
    int reached = 0;
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const double best = run_standard("cma_es", half_integer(condition, bits), seed, trials, "restarts: none").best;
      reached += best < 1e-6 ? 1 : 0;
    }
    EXPECT_GE(reached, 4) << condition << (bits ? " bits" : " integers");
  }
}

// --- What is particular to some

TEST(CmaEs, FindsTheOptimumOfRealsIntegersAndChoicesTogether) {
  std::vector<double> bests;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    bests.push_back(run_standard("cma_es", standard_problem("mixed_ackley"), seed, 5000).best);
  }
  EXPECT_LT(median(bests), 1e-3);  // the best wrong integer or option costs more
}

TEST(CmaEs, GoesOnPastManyRestarts) {
  contracts::DriveSettings settings;
  settings.trials = 3000;
  settings.window = 64;
  settings.options = "population: 6";
  const contracts::TestProblem problem = contracts::test_problem("continuous");
  Catalog<StrategyPlugin> catalog("strategy");
  add_builtin_strategies(catalog);
  contracts::StrategyDriver driver(catalog.at("cma_es"), problem, settings);
  driver.run();
  EXPECT_THAT(driver.breaches(), ::testing::IsEmpty());
  EXPECT_EQ(driver.trials().size(), 3000u);
}

TEST(SmsEmoa, KeepsTheBoundsOfThePopulation) {
  const StandardProblem standard = standard_problem("zdt1", {5, 2});
  const testing::StandardRun run = run_standard("sms_emoa", standard, 1, 1000, "population: 20");
  EXPECT_GT(run.share, 0.85);
  EXPECT_LE(run.share, run.share_of_all);
}

// Figures of pymoo's implementations: NSGA-II's hypervolume ratio after 25,000 evaluations of ZDT1 .992, ZDT2 .987 and of
// DTLZ2 .871, NSGA-III's .922; two seeds each here, all of them by bench/continuous.cpp.
TEST(SlowEvolutionary, SmsEmoaIsAheadOfNsga2AfterLongRuns) {
  for (const auto& [problem, figure] : {std::pair{"zdt1", 0.992}, {"zdt2", 0.987}, {"zdt6", 0.974}, {"dtlz2", 0.922}}) {
    const StandardProblem standard = standard_problem(problem);
    EXPECT_GT(run_standard("sms_emoa", standard, 0, 25'000).share, figure) << problem;
    EXPECT_GT(run_standard("sms_emoa", standard, 1000, 25'000).share, figure) << problem;
  }
}

TEST(SlowEvolutionary, CmaEsIsNoWorseThanTheReferenceOnRosenbrockAndRastrigin) {
  for (const auto& [problem, figure] : {std::pair{"rosenbrock", 2.3e-4}, {"rastrigin", 9.5}}) {
    for (const std::uint64_t first : {0u, 1000u}) {
      std::vector<double> bests;
      for (std::uint64_t seed = first; seed < first + 20; ++seed) {
        bests.push_back(run_standard("cma_es", standard_problem(problem), seed, 5000).best);
      }
      EXPECT_LE(median(bests), figure) << problem << ", seeds from " << first;
    }
  }
}

}  // namespace
}  // namespace duet
