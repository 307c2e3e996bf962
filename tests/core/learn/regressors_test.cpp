// Ridge regression, forest, network, and what they stand on: minimisation, the normal distribution, scales.

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include "core/learn/forest.hpp"
#include "core/learn/minimize.hpp"
#include "core/learn/network.hpp"
#include "core/learn/normal.hpp"
#include "core/learn/ridge.hpp"
#include "core/random.hpp"

namespace duet::learn {
namespace {

constexpr double missing = std::numeric_limits<double>::quiet_NaN();

TEST(LearnScale, StandardisesWhateverTheMagnitude) {
  for (const double unit : {1.0, 1e300, 1e-290}) {
    const std::vector<double> values{1 * unit, 2 * unit, 3 * unit};
    const Scale scale(values);
    EXPECT_NEAR(scale.to_standard(2 * unit), 0, 1e-12);
    EXPECT_NEAR(scale.to_standard(3 * unit), std::sqrt(1.5), 1e-12);
    EXPECT_NEAR(scale.from_standard(scale.to_standard(1.7 * unit)) / unit, 1.7, 1e-12);
  }
  EXPECT_EQ(Scale(std::vector<double>(4, 7.0)).to_standard(7.0), 0);
  EXPECT_EQ(Scale(std::vector<double>(4, 0.0)).to_standard(0.0), 0);
}

TEST(Minimize, FindsTheBottomOfRosenbrocksValley) {
  const Differentiable rosenbrock = [](std::span<const double> x, std::span<double> gradient) {
    const double a = 1 - x[0], b = x[1] - x[0] * x[0];
    gradient[0] = -2 * a - 400 * x[0] * b;
    gradient[1] = 200 * b;
    return a * a + 100 * b * b;
  };
  const std::vector<double> lower{-5, -5}, upper{5, 5};
  const Minimum minimum = minimize(rosenbrock, {-1.2, 1}, lower, upper, 500, 1e-14);
  EXPECT_NEAR(minimum.x[0], 1, 1e-4);
  EXPECT_NEAR(minimum.x[1], 1, 1e-4);
  const std::vector<double> half{0.5, 5};
  const Minimum bounded = minimize(rosenbrock, {-1.2, 1}, lower, half, 500, 1e-14);
  EXPECT_EQ(bounded.x[0], 0.5);
  EXPECT_NEAR(bounded.x[1], 0.25, 1e-4);
}

TEST(Minimize, NeverReturnsWorseThanTheStart) {
  const Differentiable wrong = [](std::span<const double> x, std::span<double> gradient) {
    gradient[0] = -1;  // points the wrong way
    return x[0] > 0.1 ? std::numeric_limits<double>::quiet_NaN() : x[0];
  };
  const std::vector<double> lower{-1}, upper{1};
  EXPECT_EQ(minimize(wrong, {0.0}, lower, upper, 50).x[0], 0.0);
}

TEST(Normal, ValuesOfTheTables) {
  EXPECT_NEAR(normal_cdf(1.0), 0.841344746068543, 1e-12);
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-10);
  EXPECT_NEAR(normal_quantile(1e-10), -6.361340902404056, 1e-8);
  EXPECT_NEAR(log_normal_cdf(-40.0), -804.608442, 1e-5);
  EXPECT_NEAR(log_normal_cdf(-24.999), log_normal_cdf(-25.001), 0.06);
}

TEST(Normal, ExpectedImprovementIsTheIntegralAndItsLogarithmGoesOn) {
  double sum = 0;
  for (int i = 0; i < 100'000; ++i) sum += std::max(0.0, 0.3 - (0.5 + 0.4 * normal_quantile((i + 0.5) / 1e5))) / 1e5;
  EXPECT_NEAR(expected_improvement(0.3, 0.5, 0.4), sum, 1e-6);
  EXPECT_NEAR(log_expected_improvement(0.3, 0.5, 0.4), std::log(sum), 1e-5);
  EXPECT_EQ(expected_improvement(1, 0.5, 0), 0.5);
  EXPECT_EQ(expected_improvement(0, 0.5, 0), 0);
  // Where the improvement itself is 0 in doubles, its logarithm still falls.
  EXPECT_EQ(expected_improvement(0, 50, 1), 0);
  EXPECT_LT(log_expected_improvement(0, 51, 1), log_expected_improvement(0, 50, 1));
  EXPECT_NEAR(log_expected_improvement(0, 24.9999999, 1), log_expected_improvement(0, 25.0000001, 1), 1e-5);
}

TEST(Normal, HalfRankKeepsTheBetterHalfAndTheOrder) {
  const std::vector<double> values{1, 2, 3, 4, 1000, 1e9, 2.5};
  const std::vector<double> warped = half_rank(values);
  for (const std::size_t i : {0, 1, 2, 6}) EXPECT_EQ(warped[i], values[i]);
  EXPECT_LT(warped[4], 10);
  EXPECT_LT(warped[3], warped[4]);
  EXPECT_LT(warped[4], warped[5]);
  EXPECT_EQ(half_rank(std::vector<double>(5, 2.0)), std::vector<double>(5, 2.0));
}

TEST(Normal, LogAboveLeastIsInUnitsOfTheMedian) {
  const std::vector<double> warped = log_above_least(std::vector<double>{7, 3, 5, 1e9, 4});
  EXPECT_EQ(warped[1], 0);                    // the least
  EXPECT_DOUBLE_EQ(warped[2], std::log(2));   // the median
  EXPECT_DOUBLE_EQ(warped[0], std::log(3));
  EXPECT_DOUBLE_EQ(warped[4], std::log(1.5));
  EXPECT_LT(warped[3], 21);
  EXPECT_EQ(log_above_least(std::vector<double>{2, 2, 2, 9}), (std::vector<double>{2, 2, 2, 9}));
  const double largest = std::numeric_limits<double>::max();
  for (const double value : log_above_least(std::vector<double>{-largest, 0, largest})) EXPECT_TRUE(std::isfinite(value));
}

TEST(Ridge, RecoversALinearFunctionAndShrinksNoise) {
  Random random(1, "test");
  const std::vector<Column> columns{{.categories = 3}, {}, {.optional = true}};
  std::vector<double> rows, targets;
  const double effects[] = {1, -2, 0.5};
  for (int i = 0; i < 60; ++i) {
    const auto category = random.below(3);
    const double x = random.uniform(), z = random.chance(0.5) ? random.uniform() : missing;
    rows.insert(rows.end(), {static_cast<double>(category), x, z});
    targets.push_back(effects[category] + 3 * x + (std::isnan(z) ? 0 : 0.7 + 2 * z));
  }
  const std::vector<double> features = one_hot(columns, {rows, 3});
  ASSERT_EQ(features.size(), 60 * one_hot_size(columns));
  const Ridge ridge({features, 6}, targets);
  for (std::size_t i = 0; i < 60; ++i) {
    EXPECT_NEAR(ridge.predict(std::span(features).subspan(6 * i, 6)), targets[i], 1e-3);
  }
  std::vector<double> noise;
  for (int i = 0; i < 60; ++i) noise.push_back(random.normal());
  EXPECT_GT(Ridge({features, 6}, noise).penalty(), ridge.penalty());
  const Ridge constant({features, 6}, std::vector<double>(60, 1e300));
  EXPECT_NEAR(constant.predict(std::span(features).first(6)) / 1e300, 1, 1e-12);
}

TEST(Forest, LearnsAnInteractionOfCategoriesNumbersAndPresence) {
  Random random(2, "test");
  const std::vector<Column> columns{{.categories = 5}, {}, {.optional = true}};
  const auto draw = [&](std::size_t count, std::vector<double>& rows, std::vector<double>& targets) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto category = random.below(5);
      const double x = random.uniform(), z = random.chance(0.5) ? random.uniform() : missing;
      rows.insert(rows.end(), {static_cast<double>(category), x, z});
      targets.push_back((category % 2 == 0 && x > 0.4 ? 2.0 : 0.0) + (std::isnan(z) ? 1.0 : 0.0));
    }
  };
  std::vector<double> rows, targets, at, truth;
  draw(300, rows, targets);
  draw(200, at, truth);
  const Forest forest(columns, {rows, 3}, targets, {.trees = 20}, Random(3, "forest"));
  double error = 0;
  for (std::size_t i = 0; i < 200; ++i) {
    const Forest::Prediction prediction = forest.predict(std::span(at).subspan(3 * i, 3));
    error += std::pow(prediction.mean - truth[i], 2) / 200;
    EXPECT_GE(prediction.variance, 0);
  }
  EXPECT_LT(error, 0.1) << "of a variance of about 1";
}

TEST(Forest, VarianceIsThatOfTheLawOfTotalVariance) {
  // One category, so that no tree can split: without bootstrap every tree is the mean and variance of all.
  const std::vector<double> rows(4, 0.0);
  const std::vector<double> targets{1, 2, 3, 6};
  const Forest forest({{.categories = 1}}, {rows, 1}, targets, {.trees = 3, .bootstrap = false}, Random(1, "forest"));
  const Forest::Prediction prediction = forest.predict(std::span(rows).first(1));
  EXPECT_NEAR(prediction.mean, 3, 1e-12);
  EXPECT_NEAR(prediction.variance, 3.5, 1e-12);
  // Single leaves have no variance of their own: what is left is that between the trees.
  const std::vector<double> apart{0.0, 1.0};
  const Forest leaves({{}}, {apart, 1}, std::vector<double>{0, 1}, {.trees = 2000, .min_leaf = 1}, Random(1, "forest"));
  const Forest::Prediction at_zero = leaves.predict(std::span(apart).first(1));
  EXPECT_NEAR(at_zero.mean, 0.25, 0.05);  // a quarter of the bootstraps hold the other row only
  EXPECT_NEAR(at_zero.variance, at_zero.mean * (1 - at_zero.mean), 1e-9);
}

TEST(Forest, SurvivesDegenerateData) {
  Random random(4, "test");
  const std::vector<Column> columns{{.categories = 200}, {.optional = true}};
  std::vector<double> rows;
  for (int i = 0; i < 50; ++i) rows.insert(rows.end(), {static_cast<double>(random.below(200)), missing});
  for (const double value : {0.0, 7.0, 1e300}) {
    const Forest forest(columns, {rows, 2}, std::vector<double>(50, value), {}, Random(1, "forest"));
    EXPECT_NEAR(forest.predict(std::span(rows).first(2)).mean, value, 1e-9 * value);
  }
  const Forest one(columns, {std::span(rows).first(2), 2}, std::vector<double>{3}, {}, Random(1, "forest"));
  EXPECT_EQ(one.predict(std::span(rows).subspan(2, 2)).mean, 3);
}

TEST(Network, GradientsAreThoseOfDifferences) {
  Random random(5, "test");
  Network network(3, {.hidden = 4}, Random(1, "network"));
  std::vector<double> rows, targets;
  for (int i = 0; i < 7; ++i) {
    for (int c = 0; c < 3; ++c) rows.push_back(random.uniform());
    targets.push_back(random.normal());
  }
  std::vector<double> gradient(network.parameters().size()), unused(gradient.size());
  network.loss({rows, 3}, targets, gradient);
  constexpr double width = 1e-6;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const double value = network.parameters()[i];
    network.parameters()[i] = value + width;
    const double above = network.loss({rows, 3}, targets, unused);
    network.parameters()[i] = value - width;
    const double below = network.loss({rows, 3}, targets, unused);
    network.parameters()[i] = value;
    EXPECT_NEAR(gradient[i], (above - below) / (2 * width), 1e-6) << "parameter " << i;
  }
  std::vector<double> by_mean(3), by_deviation(3), input{0.2, 0.5, 0.9};
  network.predict(input, by_mean, by_deviation);
  for (std::size_t i = 0; i < 3; ++i) {
    std::vector<double> above = input, below = input;
    above[i] += width;
    below[i] -= width;
    const auto high = network.predict(above), low = network.predict(below);
    EXPECT_NEAR(by_mean[i], (high.mean - low.mean) / (2 * width), 1e-6);
    EXPECT_NEAR(by_deviation[i], (high.deviation - low.deviation) / (2 * width), 1e-6);
  }
}

TEST(Network, GradientsOfStatisticsAreThoseOfDifferences) {
  Random random(5, "test");
  Network network(3, {.hidden = 4}, Random(1, "network"));
  std::vector<double> rows, statistics, head;
  for (int i = 0; i < 7; ++i) {
    for (int c = 0; c < 3; ++c) rows.push_back(random.uniform());
    for (int c = 0; c < 2; ++c) statistics.push_back(random.normal());
  }
  for (int i = 0; i < 2 * 5; ++i) head.push_back(random.normal());
  std::vector<double> by_parameter(network.parameters().size()), by_head(head.size()), unused(by_parameter), unused2(by_head);
  const auto loss = [&] { return network.statistics_loss({rows, 3}, {statistics, 2}, head, unused, unused2); };
  network.statistics_loss({rows, 3}, {statistics, 2}, head, by_parameter, by_head);
  const auto expect_slopes = [&](std::vector<double>& values, const std::vector<double>& gradient) {
    constexpr double width = 1e-6;
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      const double value = values[i];
      values[i] = value + width;
      const double above = loss();
      values[i] = value - width;
      const double below = loss();
      values[i] = value;
      EXPECT_NEAR(gradient[i], (above - below) / (2 * width), 1e-6) << "number " << i;
    }
  };
  expect_slopes(network.parameters(), by_parameter);
  expect_slopes(head, by_head);
}

TEST(Network, LearnsFromFewRowsWhatRelatedStatisticsTaughtIt) {
  // Ten inputs; the target follows two sums of products, which are the statistics.
  Random random(7, "test");
  constexpr std::size_t inputs = 10;
  const auto statistic = [](std::span<const double> x, std::size_t k) {
    double sum = 0;
    for (std::size_t i = k; i + 1 < inputs; i += 2) sum += (2 * x[i] - 1) * (i % 4 < 2 ? 1.5 : -1.5);
    return sum;
  };
  const auto target = [&](std::span<const double> x) { return 0.7 * statistic(x, 0) + std::tanh(statistic(x, 1)); };
  const auto draw = [&](std::size_t count) {
    std::vector<double> rows;
    for (std::size_t i = 0; i < count * inputs; ++i) rows.push_back(random.uniform());
    return rows;
  };
  const std::vector<double> many = draw(500), few = draw(12), unseen = draw(200);
  std::vector<double> statistics, targets;
  for (std::size_t i = 0; i < 500; ++i) {
    for (const std::size_t k : {0U, 1U}) statistics.push_back(statistic(Rows{many, inputs}[i], k));
  }
  for (std::size_t i = 0; i < 12; ++i) targets.push_back(target(Rows{few, inputs}[i]));
  const auto error = [&](bool pretrained) {
    Network network(inputs, {.hidden = 16}, Random(1, "network"));
    Random steps(2, "steps");
    if (pretrained) network.pretrain({many, inputs}, {statistics, 2}, 2000, steps);
    network.train({few, inputs}, targets, 200, steps);
    double sum = 0;
    for (std::size_t i = 0; i < 200; ++i) {
      const double difference = network.predict(Rows{unseen, inputs}[i]).mean - target(Rows{unseen, inputs}[i]);
      sum += difference * difference / 200;
    }
    return sum;
  };
  EXPECT_LT(error(true), 0.5 * error(false));
}

TEST(Network, LearnsTheMeanAndWhereTheScatterIs) {
  Random random(6, "test");
  std::vector<double> rows, targets;
  for (int i = 0; i < 300; ++i) {
    const double x = random.uniform();
    rows.push_back(x);
    targets.push_back(std::sin(5 * x) + (x > 0.5 ? 0.5 : 0.02) * random.normal());
  }
  Network network(1, {}, Random(1, "network"));
  network.train({rows, 1}, targets, 1500, random);
  const std::vector<double> left{0.25}, right{0.75};
  EXPECT_NEAR(network.predict(left).mean, std::sin(1.25), 0.15);
  EXPECT_LT(network.predict(left).deviation, 0.2);
  EXPECT_GT(network.predict(right).deviation, 0.3);
  EXPECT_LT(network.predict(right).deviation, 0.8);
}

}  // namespace
}  // namespace duet::learn
