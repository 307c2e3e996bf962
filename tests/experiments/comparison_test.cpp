#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/random.hpp"
#include "experiments/comparison.hpp"

namespace duet {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Runs whose values are normal numbers with standard deviation 1, strategy `better` being `shift` lower; each problem
/// has a scale and an offset of its own.
RunValues drawn_runs(std::size_t problems, std::size_t strategies, std::size_t seeds, std::uint64_t number,
                     std::size_t better = 0, double shift = 0) {
  Random random(3, "tournament", number);
  RunValues runs;
  for (std::size_t strategy = 0; strategy < strategies; ++strategy) runs.strategies.push_back("s" + std::to_string(strategy));
  for (std::size_t problem = 0; problem < problems; ++problem) {
    runs.problems.push_back("p" + std::to_string(problem));
    auto& values = runs.values.emplace_back(strategies);
    const double scale = std::pow(10.0, static_cast<double>(problem));
    for (std::size_t strategy = 0; strategy < strategies; ++strategy) {
      for (std::size_t seed = 0; seed < seeds; ++seed) {
        values[strategy].push_back(100 + scale * (random.normal() - (strategy == better ? shift : 0)));
      }
    }
  }
  return runs;
}

TEST(Comparison, FindsAPlantedWinner) {
  int found = 0;
  for (std::uint64_t repeat = 0; repeat < 200; ++repeat) {
    const Comparison comparison = compare(drawn_runs(3, 5, 20, repeat, repeat % 5, 1.0));
    found += comparison.significant && comparison.leaders == std::vector<std::size_t>{repeat % 5};
  }
  EXPECT_GE(found, 180);
}

TEST(Comparison, SeldomFindsADifferenceAmongEquals) {
  for (const std::size_t strategies : {2, 3, 6}) {
    int overall = 0;
    int between_two = 0;
    for (std::uint64_t repeat = 0; repeat < 1000; ++repeat) {
      const Comparison comparison = compare(drawn_runs(2, strategies, 10, repeat));
      overall += comparison.significant;
      between_two += std::any_of(comparison.pairs.begin(), comparison.pairs.end(),
                                 [](const Pair& pair) { return pair.holm_p < 0.05; });
    }
    EXPECT_LE(overall, 65) << strategies;
    EXPECT_GE(overall, 25) << strategies;  // not because it never finds anything
    EXPECT_LE(between_two, 65) << strategies;
  }
}

TEST(Comparison, EqualRunsAreATie) {
  RunValues runs = drawn_runs(1, 2, 10, 1);
  runs.values[0][1] = runs.values[0][0];
  const Comparison comparison = compare(runs);
  EXPECT_EQ(comparison.friedman_p, 1);
  EXPECT_THAT(comparison.leaders, ElementsAre(0, 1));
  EXPECT_DOUBLE_EQ(comparison.pairs[0].probability_smaller, 0.5);
}

TEST(Comparison, RunsWithoutAResultAreLast) {
  RunValues runs = drawn_runs(1, 2, 10, 1);
  for (double& value : runs.values[0][0]) value = INFINITY;
  const Comparison comparison = compare(runs);
  EXPECT_EQ(comparison.best, 1U);
  EXPECT_TRUE(comparison.significant);
}

TEST(Comparison, WarnsOfLowPower) {
  const Comparison few = compare(drawn_runs(1, 4, 5, 1));
  EXPECT_LT(few.power, 0.5);
  EXPECT_THAT(few.warnings, Contains(HasSubstr("5 runs of each strategy are few")));
  EXPECT_THAT(few.warnings, Contains(HasSubstr("no difference between two strategies can be significant")));
  EXPECT_THAT(compare(drawn_runs(3, 4, 20, 1)).warnings, IsEmpty());
}

TEST(Comparison, OneStrategyIsNoContest) {
  const Comparison comparison = compare(drawn_runs(1, 1, 5, 1));
  EXPECT_THAT(comparison.mean_ranks, ElementsAre(1));
  EXPECT_FALSE(comparison.significant);
}

TEST(Lottery, TellsLuckFromStrategy) {
  // Two strategies, four draws, one problem. Every draw of a is better than every draw of b.
  const Lottery strategy = lottery({"a", "b"}, {{{1, 1.1, 1.2, 1.3}, {9, 9.1, 9.2, 9.3}}});
  EXPECT_EQ(strategy.upset, 0);
  EXPECT_NEAR(strategy.share, 10.0 / 42.0, 1e-12);  // ranks 1-4 and 5-8: within 2·5, in all 42
  // The draws decide.
  const Lottery luck = lottery({"a", "b"}, {{{1, 3, 5, 7}, {2, 4, 6, 8}}});
  EXPECT_GT(luck.share, 0.9);
  EXPECT_DOUBLE_EQ(luck.upset, 6.0 / 16);
}

}  // namespace
}  // namespace duet
