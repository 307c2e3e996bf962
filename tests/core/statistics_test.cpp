#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/random.hpp"
#include "core/statistics.hpp"

namespace duet {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::Pointwise;

// Reference values: SciPy 1.10.1 (stats.wilcoxon, friedmanchisquare, studentized_range), random cases of which the last
// ones are full of ties.

struct PairedCase {
  std::vector<double> a, b;
  double statistic, p_value;
};

struct BlockCase {
  std::vector<std::vector<double>> blocks;
  double statistic, p_value;
};

const std::vector<PairedCase>& wilcoxon_cases() {
  static const std::vector<PairedCase> cases{
      {{0.001, 0.299, -0.274, -0.891, -0.455, -0.992},
      {0.36, 1.64, -0.192, -0.32, 0.79, 0.657}, 0.0, 0.03125},
      {{0.105, -0.93, -0.029, 0.695, -1.344, -0.458, -1.901, -1.29, -1.842, -0.235},
      {-0.767, 0.771, 0.657, 0.313, -2.017, -0.039, 0.451, 0.613, -1.03, 0.022}, 13.0, 0.16015625},
      {{-0.979, -0.809, 1.061, -0.808, -0.033, 0.884, -0.584, -0.112, 0.11, 0.064, -1.225, 0.076, 1.359,
      -1.547, 0.859, 0.119, -0.641, 2.0, 0.762, -1.199},
      {0.475, 0.977, 0.211, 1.083, 0.333, 1.067, 1.839, -0.276, 0.603, -0.063, 0.527, -0.787, -0.179, 0.204,
      1.299, 1.545, -0.924, -0.395, 1.047, -1.592}, 68.0, 0.17685317993164062},
      {{-0.463, -0.097, 1.257, 0.689, -0.327, -0.369, -0.25, 1.524, -0.428, -0.304, 0.353, -0.121, -0.197,
      -1.114, -0.012, -0.444, 1.166, 0.653, -0.024, 0.668, -0.34, 1.052, -0.005, 0.583, -1.291, 0.347, -1.688,
      -2.035, -0.304, -0.9, 0.164, 2.245, -0.832, -0.624, 0.205},
      {0.493, -0.176, -0.206, 0.702, 0.52, -1.034, -0.079, 0.035, -1.054, 0.26, -0.858, 0.972, 0.193, 0.089,
      -0.591, -0.119, -1.998, -1.131, 0.363, -2.129, 0.847, -1.746, 0.757, -0.845, 0.779, 0.131, -1.537, 1.249,
      1.442, -0.066, -0.274, -0.16, -0.975, 1.099, -0.543}, 298.0, 0.7895531054819003},
      {{-0.051, -0.793, -0.626, -1.278, 1.257, -0.154, 0.966, 0.013, -0.694, -0.327, -0.56, 0.008, -0.375,
      -0.3, -1.379, -0.807, 1.654, -0.671, -1.054, 0.337, 1.407, -1.454, -0.209, -0.632, -1.761, 0.735, -0.023,
      0.071, -0.752, 0.455, -0.539, -0.143, -1.108, -1.216, 1.336, -0.507, 0.292, -0.034, -0.441, -0.508, 0.63,
      -0.302, -0.151, 0.022, 1.177, 0.681, 0.383, -0.564, -1.382, 0.95, 0.966, -0.141, 0.542, 0.781, 0.831,
      0.921, -0.456, 1.515, -1.247, 0.862},
      {0.794, 1.174, 2.179, 1.784, -0.845, -1.389, 1.117, -0.715, 0.288, 1.14, -1.344, -1.81, 0.559, 0.344,
      0.054, 0.339, -0.561, -1.213, 0.133, -0.672, -1.343, 0.806, 0.239, 0.707, -0.689, -0.358, -0.699, -0.587,
      0.495, -0.483, 0.656, 0.64, 2.325, -1.093, 1.188, 0.211, 0.286, -1.15, -0.16, 1.043, 0.218, 0.381, 0.009,
      1.455, 0.279, -1.9, -0.392, -1.669, -2.951, -0.23, 1.634, 0.347, -0.873, -0.641, 1.431, 0.458, 0.348,
      0.247, 0.338, 1.105}, 836.0, 0.5608572936708885},
      {{0.553, 0.216, -1.043, 0.511, -0.684, 1.094, -1.271, -0.138, -0.007, -1.325, 1.722, 1.46, -0.464, 0.772,
      0.379, -2.614, 0.25, -0.061, 0.083, -1.077, -0.269, -0.178, 1.188, 0.334, -0.006, 1.529, -0.555, -0.389,
      -1.817, 1.569, 0.964, 0.917, 0.669, 0.11, 0.215, -0.252, -0.204, 0.054, 1.512, 0.556, -0.058, -0.579,
      -0.635, 1.603, 0.507, 0.068, -0.346, -1.109, -0.067, 0.874, -0.393, -0.227, -0.221, 0.11, -1.593, -0.235,
      -0.854, 0.885, -0.771, 0.577, 1.524, -0.314, -0.602, 0.191, -0.002, -0.994, 0.461, 2.016, -0.258, -0.203,
      -1.045, 0.319, -1.247, -1.107, 1.28, -0.905, 1.081, 1.524, 0.259, 0.553},
      {2.052, -0.097, -0.493, -1.253, 0.142, 1.579, 1.06, -0.842, -0.755, -0.404, 0.392, -0.105, 0.314, 0.397,
      -0.199, 0.06, 0.307, 0.016, 0.604, 1.971, 0.692, 0.156, -1.586, 0.488, -1.847, -1.309, 0.955, 0.806,
      -0.05, -1.61, -0.271, -0.579, 0.737, 2.358, 0.317, -0.679, -1.071, 0.044, -0.077, -1.052, 0.216, -1.051,
      1.212, 1.163, 1.185, -0.374, 0.615, -0.032, -0.289, -0.239, -1.2, -1.344, 0.894, -0.091, 0.316, 1.102,
      -1.633, -0.684, 0.275, 0.492, -0.277, 1.129, 0.31, -1.113, -0.831, 0.905, 0.564, -1.799, 1.448, 0.698,
      1.443, -0.284, -0.196, -1.026, 2.637, -0.075, 1.688, -0.547, 0.264, -1.571}, 1557.0, 0.7625251194248563},
      {{4, 1, 1, 5, 1, 1, 3, 4, 3, 5, 0, 2, 3, 2, 2, 2, 0, 0, 3, 2, 5, 1, 5, 1, 0, 1, 2, 1, 5, 4, 4, 2, 0, 1,
      2, 3, 2, 3, 2, 3, 0, 5, 3, 0, 4, 2, 5, 1, 5, 0, 2, 1, 2, 2, 5, 2, 4, 3, 2, 2, 0, 3, 2, 1, 0, 0, 5, 1, 5,
      0, 0, 2, 5, 2, 4, 4, 3, 5, 1, 0, 0, 5, 0, 4, 2, 5, 5, 0, 0, 2},
      {2, 3, 1, 5, 3, 2, 0, 3, 6, 1, 2, 3, 5, 3, 4, 3, 3, 4, 6, 1, 4, 4, 1, 0, 5, 4, 3, 3, 2, 0, 2, 1, 6, 0, 6,
      2, 2, 2, 3, 3, 4, 0, 6, 5, 1, 2, 5, 1, 2, 6, 2, 4, 4, 4, 3, 3, 4, 1, 6, 1, 6, 1, 3, 2, 3, 1, 2, 3, 5, 6,
      5, 5, 6, 2, 6, 2, 0, 5, 1, 6, 5, 4, 3, 1, 5, 3, 6, 1, 3, 3}, 975.0, 0.007097557928870438},
  };
  return cases;
}

const std::vector<BlockCase>& friedman_cases() {
  static const std::vector<BlockCase> cases{
      {{{0.24, -0.03, 0.16}, {0.05, 1.91, -1.04}, {-1.56, -1.01, -1.33}, {0.75, 0.82, -0.96}, {-1.39, -0.35,
      1.39}, {-2.82, 0.53, -1.08}, {1.04, -1.08, -0.29}, {-1.51, -0.98, 1.39}}, 1.0, 0.6065306597126334},
      {{{0.82, 0.1, 0.13, -0.39}, {-0.39, 0.47, 0.92, 1.41}, {-1.12, 0.43, 0.96, 2.79}, {1.87, 0.36, 0.23,
      1.44}, {-0.61, -0.24, 0.94, 0.46}, {0.61, 0.4, 1.25, 1.32}, {-0.73, -0.45, 0.76, 0.95}, {0.23, 0.5,
      -0.36, 1.57}, {-1.34, -0.12, 0.71, -0.58}, {0.09, 0.65, 0.84, 1.08}, {-0.37, -0.48, 0.73, 0.95}, {0.09,
      -0.7, 1.24, 1.64}}, 12.5, 0.005852662593326735},
      {{{-0.14, -0.24, 0.95, -1.06, 1.26, 1.24}, {0.28, 0.58, -0.25, 0.34, 1.44, 1.43}, {0.21, -1.31, 0.94,
      1.77, 1.81, 1.23}, {-1.56, 1.14, 0.25, -1.93, 1.18, -0.49}, {-1.3, -0.43, 1.67, 0.23, 1.07, 2.75}, {1.59,
      0.1, 0.16, -0.66, 0.11, 1.43}, {0.4, 0.31, 1.39, -0.17, 0.74, 1.73}, {0.58, 1.27, 0.8, 0.29, 1.16, -0.0},
      {-1.64, 0.78, 0.34, 0.91, -0.9, 0.63}, {-0.6, -0.66, -1.86, 0.27, 1.7, 1.38}, {-0.6, 0.19, 1.16, -2.16,
      0.68, 1.54}, {0.68, 1.9, 1.54, 0.91, 1.1, 1.79}, {-0.54, 0.16, 1.31, 2.56, 0.64, 0.95}, {0.2, 1.54, 0.37,
      2.07, -0.17, 0.81}, {-0.2, 0.99, 1.45, -0.91, -0.12, 1.34}, {-0.66, -1.32, 1.44, 1.09, 1.29, 0.52},
      {1.03, -0.04, 1.5, -0.31, -0.05, 1.2}, {-0.7, 0.88, 0.66, -0.32, 0.87, 0.65}, {0.92, -0.43, -0.04, 1.81,
      3.04, 3.0}, {0.06, 0.42, 1.93, 0.48, -0.18, 1.12}}, 19.257142857142867, 0.0017212375755609188},
      {{{1.0, 3.0, 1.0, 1.0}, {3.0, 1.0, 3.0, 3.0}, {3.0, 1.0, 1.0, 0.0}, {2.0, 1.0, 0.0, 0.0}, {0.0, 0.0, 0.0,
      2.0}, {0.0, 3.0, 2.0, 2.0}, {2.0, 2.0, 3.0, 1.0}, {2.0, 2.0, 2.0, 3.0}, {3.0, 2.0, 0.0, 3.0}, {3.0, 2.0,
      1.0, 0.0}, {1.0, 2.0, 3.0, 1.0}, {0.0, 0.0, 2.0, 2.0}, {3.0, 3.0, 2.0, 0.0}, {3.0, 2.0, 3.0, 2.0}, {1.0,
      1.0, 1.0, 1.0}}, 1.3539823008849694, 0.7163560782087333},
  };
  return cases;
}

std::vector<double> normal_numbers(std::size_t n, std::uint64_t number) {
  Random random(1, "statistics", number);
  std::vector<double> values(n);
  for (double& value : values) value = random.normal();
  return values;
}

TEST(Statistics, QuantilesInterpolate) {
  const std::vector<double> values{4, 1, 3, 2};
  EXPECT_DOUBLE_EQ(quantile(values, 0), 1);
  EXPECT_DOUBLE_EQ(quantile(values, 0.25), 1.75);
  EXPECT_DOUBLE_EQ(median(values), 2.5);
  EXPECT_DOUBLE_EQ(quantile(values, 1), 4);
  EXPECT_DOUBLE_EQ(median(std::vector<double>{7}), 7);
  EXPECT_EQ(median(std::vector<double>{1, INFINITY, INFINITY, INFINITY}), INFINITY);
}

TEST(Statistics, EqualValuesShareRanks) {
  EXPECT_THAT(mid_ranks(std::vector<double>{10, 20, 10, 5}), ElementsAre(2.5, 4, 2.5, 1));
}

TEST(Statistics, NormalQuantileInvertsTheDistribution) {
  for (const double p : {1e-12, 0.025, 0.5, 0.8, 1 - 1e-9}) EXPECT_NEAR(normal_cdf(normal_quantile(p)), p, 1e-12 * p + 1e-16);
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-12);
}

TEST(Statistics, WilcoxonAgreesWithSciPy) {
  for (const PairedCase& c : wilcoxon_cases()) {
    const WilcoxonTest test = wilcoxon_signed_rank_test(c.a, c.b);
    EXPECT_DOUBLE_EQ(test.statistic, c.statistic);
    EXPECT_NEAR(test.p_value, c.p_value, 1e-10 * c.p_value);
    EXPECT_DOUBLE_EQ(wilcoxon_signed_rank_test(c.b, c.a).p_value, test.p_value);
  }
}

TEST(Statistics, WilcoxonIsExactWithTies) {
  // Differences 1, 1, 2, -1: ranks 2, 2, 4, 2. Of the 16 signs, those with a smaller sum of 2 or less: none negative
  // (0) and each single 2 (three): 4 / 16 on one side.
  const WilcoxonTest test = wilcoxon_signed_rank_test(std::vector<double>{1, 1, 2, 0, 5}, std::vector<double>{0, 0, 0, 1, 5});
  EXPECT_EQ(test.pairs, 4U);
  EXPECT_DOUBLE_EQ(test.statistic, 2);
  EXPECT_DOUBLE_EQ(test.p_value, 0.5);
}

TEST(Statistics, WilcoxonOfEqualSamplesFindsNothing) {
  const std::vector<double> a{1, 2, 3};
  EXPECT_EQ(wilcoxon_signed_rank_test(a, a).p_value, 1);
  EXPECT_DOUBLE_EQ(wilcoxon_smallest_p_value(3), 0.25);
  EXPECT_DOUBLE_EQ(wilcoxon_signed_rank_test(a, std::vector<double>{0, 0, 0}).p_value, 0.25);
}

TEST(Statistics, FriedmanAgreesWithSciPy) {
  for (const BlockCase& c : friedman_cases()) {
    const FriedmanTest test = friedman_test(c.blocks);
    EXPECT_NEAR(test.statistic, c.statistic, 1e-9);
    EXPECT_NEAR(test.p_value, c.p_value, 1e-10);
  }
}

TEST(Statistics, FriedmanOfTiesFindsNothing) {
  const std::vector<std::vector<double>> blocks(5, {1, 1, 1});
  EXPECT_EQ(friedman_test(blocks).p_value, 1);
  EXPECT_THAT(friedman_test(blocks).mean_ranks, Pointwise(DoubleNear(1e-12), std::vector<double>{2, 2, 2}));
}

TEST(Statistics, StudentizedRangeAgreesWithSciPy) {
  EXPECT_NEAR(studentized_range_survival(1.5, 2), 0.2888443663464847, 1e-9);
  EXPECT_NEAR(studentized_range_survival(3.0, 3), 0.08554257165495793, 1e-9);
  EXPECT_NEAR(studentized_range_survival(2.2, 5), 0.5261007111218936, 1e-9);
  EXPECT_NEAR(studentized_range_survival(4.1, 5), 0.03069052447770848, 1e-9);
  EXPECT_NEAR(studentized_range_survival(3.9, 10), 0.15115798279067438, 1e-9);
  EXPECT_NEAR(studentized_range_survival(5.5, 20), 0.01482831669053375, 1e-9);
}

TEST(Statistics, CriticalDifferenceIsThatOfTheTables) {
  // Demšar 2006, table 5: q(0.05) is 2.343 for three and 2.728 for five classifiers; 14 data sets, 4 classifiers: 1.25.
  EXPECT_NEAR(nemenyi_critical_difference(3, 10, 0.05), 2.343 * std::sqrt(3 * 4 / 60.0), 1e-3);
  EXPECT_NEAR(nemenyi_critical_difference(5, 30, 0.05), 2.728 * std::sqrt(5 * 6 / 180.0), 1e-3);
  EXPECT_NEAR(nemenyi_critical_difference(4, 14, 0.05), 1.25, 0.01);
}

TEST(Statistics, HolmStepsDown) {
  EXPECT_THAT(holm_adjusted(std::vector<double>{0.01, 0.04, 0.03, 0.005}),
              Pointwise(DoubleNear(1e-12), std::vector<double>{0.03, 0.06, 0.06, 0.02}));
  EXPECT_THAT(holm_adjusted(std::vector<double>{0.9, 0.8}), ElementsAre(1, 1));
}

TEST(Statistics, ProbabilitySmaller) {
  EXPECT_DOUBLE_EQ(probability_smaller(std::vector<double>{1, 2}, std::vector<double>{3, 4}), 1);
  EXPECT_DOUBLE_EQ(probability_smaller(std::vector<double>{1, 3}, std::vector<double>{1, 2}), 0.375);
}

TEST(Statistics, PowerIsWhatSimulationFinds) {
  // Differences N(0.5, 1): the sum of two is positive with probability Φ(0.5 √2).
  constexpr std::size_t pairs = 25;
  const std::vector<double> zeros(pairs, 0.0);
  int found = 0;
  constexpr int repeats = 2000;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    std::vector<double> differences = normal_numbers(pairs, static_cast<std::uint64_t>(repeat));
    for (double& difference : differences) difference += 0.5;
    found += wilcoxon_signed_rank_test(differences, zeros).p_value < 0.05;
  }
  EXPECT_NEAR(wilcoxon_power(pairs, normal_cdf(0.5 * std::sqrt(2.0)), 0.05), found / double{repeats}, 0.05);
  EXPECT_NEAR(wilcoxon_power(pairs, 0.5, 0.05), 0.025, 1e-9);  // the other tail is left out
}

}  // namespace
}  // namespace duet
