#include "core/random.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <set>

#include "core/fingerprint.hpp"

namespace duet {
namespace {

using Block = std::array<std::uint32_t, 4>;

/// Pearson's statistic of counts against probabilities.
double chi_square(std::span<const double> counts, std::span<const double> probabilities) {
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  double sum = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double expected = total * probabilities[i];
    sum += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  return sum;
}

// The file kat_vectors of Random123 1.09 (Salmon et al.), lines "philox4x32 10".
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, IsPhiloxUnderAKeyOfSeedAndComponent) {
  const Fingerprint key = Hasher().add(std::uint64_t{7}).add(std::string_view("strategy")).finish();
  const std::array<std::uint32_t, 2> words{static_cast<std::uint32_t>(key.low),
                                           static_cast<std::uint32_t>(key.low >> 32)};
  const std::uint64_t index = 0x123456789abcdef0;
  Random random(7, "strategy", index);
  for (std::uint32_t position = 0; position < 5; ++position) {
    const Block block = philox4x32({position, 0, 0x9abcdef0, 0x12345678}, words);
    EXPECT_EQ(random.bits(), block[0] | (std::uint64_t{block[1]} << 32));
    EXPECT_EQ(random.bits(), block[2] | (std::uint64_t{block[3]} << 32));
  }
}

TEST(Random, StreamsDifferBySeedComponentAndIndex) {
  std::set<std::uint64_t> first;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    for (const char* component : {"", "strategy", "noise"}) {
      for (std::uint64_t index = 0; index < 100; ++index) first.insert(Random(seed, component, index).bits());
    }
  }
  EXPECT_EQ(first.size(), 3'000u);
  EXPECT_EQ(Random(1, "a", 5).bits(), Random(1, "a", 5).bits());
  EXPECT_EQ(Random(1, "a").bits(), Random(1, "a", 0).bits());
}

TEST(Random, ACopyContinuesFromTheSamePoint) {
  Random random(1, "copy");
  for (int i = 0; i < 7; ++i) {
    random.bits();
    Random copy = random;
    Random check = random;
    for (int k = 0; k < 10; ++k) EXPECT_EQ(copy.bits(), check.bits());
  }
}

TEST(Random, UniformIsAMultipleOfTwoToTheMinus53BelowOne) {
  Random random(1, "uniform");
  std::vector<double> counts(64);
  for (int i = 0; i < 64'000; ++i) {
    const double value = random.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    ASSERT_EQ(value * 0x1p53, std::floor(value * 0x1p53));
    ++counts[static_cast<std::size_t>(value * 64)];
  }
  EXPECT_LT(chi_square(counts, std::vector<double>(64, 1.0 / 64)), 113.5);  // 63 degrees of freedom, p = 1e-4
  EXPECT_EQ(Random(1, "u").uniform(3, 3), 3);
  for (int i = 0; i < 1'000; ++i) {
    const double value = random.uniform(-2, 5);
    EXPECT_GE(value, -2);
    EXPECT_LT(value, 5);
  }
}

TEST(Random, BelowAndBetweenAreUniform) {
  Random random(1, "below");
  for (const std::uint64_t n : {1u, 2u, 3u, 7u, 10u}) {
    std::vector<double> counts(n);
    for (int i = 0; i < 20'000; ++i) ++counts.at(random.below(n));
    EXPECT_LT(chi_square(counts, std::vector<double>(n, 1.0 / static_cast<double>(n))), 33.8) << n;
  }
  std::vector<double> counts(7);
  for (int i = 0; i < 20'000; ++i) ++counts.at(static_cast<std::size_t>(random.between(-3, 3) + 3));
  EXPECT_LT(chi_square(counts, std::vector<double>(7, 1.0 / 7)), 27.9);
  EXPECT_EQ(random.between(5, 5), 5);
  // Just above half of 2^64, where taking a remainder would make small values twice as likely as large ones.
  const std::uint64_t n = (std::uint64_t{1} << 63) + (std::uint64_t{1} << 62);
  int low = 0;
  for (int i = 0; i < 10'000; ++i) low += random.below(n) < n / 2 ? 1 : 0;
  EXPECT_NEAR(low, 5'000, 200);  // four standard deviations
  // The whole range of the type.
  bool negative = false, positive = false;
  for (int i = 0; i < 100; ++i) {
    const std::int64_t value = random.between(INT64_MIN, INT64_MAX);
    negative |= value < 0;
    positive |= value > 0;
  }
  EXPECT_TRUE(negative && positive);
}

TEST(Random, NormalHasTheMomentsOfTheStandardNormal) {
  Random random(1, "normal");
  constexpr int n = 200'000;
  double sum = 0, squares = 0, cubes = 0, fourth = 0;
  int beyond = 0;
  for (int i = 0; i < n; ++i) {
    const double x = random.normal();
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
    cubes += x * x * x;
    fourth += x * x * x * x;
    beyond += std::abs(x) > 1.959963985 ? 1 : 0;
  }
  EXPECT_NEAR(sum / n, 0, 0.01);
  EXPECT_NEAR(squares / n, 1, 0.015);
  EXPECT_NEAR(cubes / n, 0, 0.04);
  EXPECT_NEAR(fourth / n, 3, 0.1);
  EXPECT_NEAR(static_cast<double>(beyond) / n, 0.05, 0.002);
}

TEST(Random, WeightedFollowsTheWeights) {
  Random random(1, "weighted");
  const std::vector<double> weights{0, 1, 0, 3, 4, 0};
  std::vector<double> counts(weights.size());
  for (int i = 0; i < 40'000; ++i) ++counts.at(random.weighted(weights));
  EXPECT_EQ(counts[0] + counts[2] + counts[5], 0);
  const std::vector<double> drawn{counts[1], counts[3], counts[4]}, expected{1.0 / 8, 3.0 / 8, 4.0 / 8};
  EXPECT_LT(chi_square(drawn, expected), 18.5);
}

TEST(Random, ShuffleMakesEveryOrderEquallyLikely) {
  Random random(1, "shuffle");
  std::map<std::vector<int>, double> orders;
  for (int i = 0; i < 24'000; ++i) {
    std::vector<int> items{1, 2, 3, 4};
    random.shuffle(items);
    ++orders[items];
  }
  ASSERT_EQ(orders.size(), 24u);
  std::vector<double> counts;
  for (const auto& [order, count] : orders) counts.push_back(count);
  EXPECT_LT(chi_square(counts, std::vector<double>(24, 1.0 / 24)), 57.1);  // 23 degrees of freedom, p = 1e-4
  std::vector<int> none;
  random.shuffle(none);
  EXPECT_TRUE(none.empty());
}

TEST(Random, PickAndChance) {
  Random random(1, "pick");
  const std::vector<int> items{4, 5, 6};
  std::set<int> picked;
  for (int i = 0; i < 100; ++i) picked.insert(random.pick(items));
  EXPECT_EQ(picked, (std::set<int>{4, 5, 6}));
  int hits = 0;
  for (int i = 0; i < 10'000; ++i) {
    EXPECT_FALSE(random.chance(0));
    EXPECT_TRUE(random.chance(1));
    hits += random.chance(0.3) ? 1 : 0;
  }
  EXPECT_NEAR(hits, 3'000, 185);  // four standard deviations
}

}  // namespace
}  // namespace duet
