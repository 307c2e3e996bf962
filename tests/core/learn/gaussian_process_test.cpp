#include "core/learn/gaussian_process.hpp"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include "core/random.hpp"

namespace duet::learn {
namespace {

constexpr double absent = std::numeric_limits<double>::quiet_NaN();

/// A category of three, one of two, a number, and a number and a category that may be absent.
std::vector<Column> mixed_columns() {
  return {{.categories = 3}, {.categories = 2}, {}, {.optional = true}, {.categories = 4, .optional = true}};
}

std::vector<double> mixed_rows(std::size_t count, Random& random) {
  std::vector<double> rows;
  for (std::size_t i = 0; i < count; ++i) {
    rows.push_back(static_cast<double>(random.below(3)));
    rows.push_back(static_cast<double>(random.below(2)));
    rows.push_back(random.uniform());
    const bool present = random.chance(0.6);
    rows.push_back(present ? random.uniform() : absent);
    rows.push_back(present ? static_cast<double>(random.below(4)) : absent);
  }
  return rows;
}

std::vector<double> some_targets(std::span<const double> rows, std::size_t columns) {
  std::vector<double> targets;
  for (std::size_t i = 0; i * columns < rows.size(); ++i) {
    double sum = 0;
    for (std::size_t c = 0; c < columns; ++c) {
      const double cell = rows[i * columns + c];
      if (!std::isnan(cell)) sum += std::sin(static_cast<double>(c + 1) * (cell + 0.3));
    }
    targets.push_back(sum);
  }
  return targets;
}

/// One number, the product kernel alone (a single column has it twice: as the additive part of first order, too).
struct OneDimension {
  GaussianProcess model{std::vector<Column>(1)};
  double length = 0.5, amplitude = 0, noise = 1e-2;
  OneDimension() {
    std::vector<double> theta = model.hyperparameters();  // length, three amplitudes, exponent, noise
    theta = {std::log(length), std::log(0.5), std::log(1e-4), std::log(0.5), 0, std::log(noise)};
    model.set_hyperparameters(theta);
    amplitude = 1;
  }
  double kernel(double a, double b) const {
    const double t = std::sqrt(5.0) * std::abs(a - b) / length;
    return amplitude * (1 + t + t * t / 3) * std::exp(-t);
  }
};

TEST(GaussianProcess, PosteriorOfOneAndTwoPointsIsTheTextbookOne) {
  OneDimension one;
  const std::vector<double> x{0.2};
  const std::vector<double> y{1.5};
  one.model.condition({x, 1});
  one.model.set_targets(y);
  const std::vector<double> at{0.7};
  double mean = 0, variance = 0;
  one.model.predict({at, 1}, std::span(&mean, 1), std::span(&variance, 1));
  const double k = one.kernel(0.2, 0.7);
  EXPECT_NEAR(mean, k / (1 + one.noise) * 1.5, 1e-8);
  EXPECT_NEAR(variance, 1 - k * k / (1 + one.noise), 1e-8);

  const std::vector<double> second{0.9};
  one.model.append(second);
  one.model.set_targets(std::vector<double>{1.5, -1.0});
  one.model.predict({at, 1}, std::span(&mean, 1), std::span(&variance, 1));
  // The inverse of a 2 × 2 matrix by hand.
  const double d = 1 + one.noise, o = one.kernel(0.2, 0.9), determinant = d * d - o * o;
  const double k1 = one.kernel(0.2, 0.7), k2 = one.kernel(0.9, 0.7);
  const double w1 = (d * k1 - o * k2) / determinant, w2 = (d * k2 - o * k1) / determinant;
  EXPECT_NEAR(mean, w1 * 1.5 - w2, 1e-8);
  EXPECT_NEAR(variance, 1 - w1 * k1 - w2 * k2, 1e-8);
}

TEST(GaussianProcess, KnowsNothingBeforeTheFirstRow) {
  const GaussianProcess model(mixed_columns());
  Random random(1, "test");
  const std::vector<double> rows = mixed_rows(3, random);
  std::vector<double> mean(3), variance(3);
  model.predict({rows, 5}, mean, variance);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(mean[i], 0);
    EXPECT_EQ(variance[i], model.prior_variance());
  }
}

TEST(GaussianProcess, GradientOfTheObjectiveIsThatOfDifferences) {
  Random random(2, "test");
  const GaussianProcess model(mixed_columns());
  const std::vector<double> rows = mixed_rows(25, random);
  const std::vector<double> targets = some_targets(rows, 5);
  std::vector<double> theta = model.hyperparameters();
  for (double& value : theta) value += 0.3 * random.normal();
  std::vector<double> gradient(theta.size()), unused(theta.size());
  model.objective({rows, 5}, targets, theta, gradient);
  constexpr double width = 1e-5;
  for (std::size_t i = 0; i < theta.size(); ++i) {
    std::vector<double> above = theta, below = theta;
    above[i] += width;
    below[i] -= width;
    const double difference =
        (model.objective({rows, 5}, targets, above, unused) - model.objective({rows, 5}, targets, below, unused)) /
        (2 * width);
    EXPECT_NEAR(gradient[i], difference, 1e-5 * (1 + std::abs(difference))) << "hyperparameter " << i;
  }
}

TEST(GaussianProcess, AppendingGivesWhatConditioningOnAllGives) {
  Random random(3, "test");
  const std::vector<double> rows = mixed_rows(40, random);
  const std::vector<double> targets = some_targets(rows, 5);
  GaussianProcess whole(mixed_columns());
  whole.condition({rows, 5});
  whole.set_targets(targets);
  GaussianProcess grown(mixed_columns());
  grown.condition({std::span(rows).first(5 * 7), 5});
  for (std::size_t i = 7; i < 40; ++i) grown.append(std::span(rows).subspan(5 * i, 5));
  for (int repetition = 0; repetition < 2; ++repetition) grown.append(std::span(rows).first(5));
  grown.truncate(40);
  grown.set_targets(targets);
  const std::vector<double> at = mixed_rows(20, random);
  std::vector<double> mean(20), variance(20), other_mean(20), other_variance(20), only_mean(20);
  whole.predict({at, 5}, mean, variance);
  grown.predict({at, 5}, other_mean, other_variance);
  whole.predict_mean({at, 5}, only_mean);
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_NEAR(mean[i], other_mean[i], 1e-8);
    EXPECT_NEAR(variance[i], other_variance[i], 1e-8);
    EXPECT_EQ(mean[i], only_mean[i]);
  }
}

TEST(GaussianProcess, RecoversAnAdditiveFunctionOfCategoriesAndNumbers) {
  Random random(4, "test");
  const std::vector<Column> columns{{.categories = 4}, {.categories = 4}, {}, {}};
  const auto draw = [&](std::size_t count, std::vector<double>& rows, std::vector<double>& targets) {
    const double effects[] = {0.0, 1.5, -0.7, 0.4};
    for (std::size_t i = 0; i < count; ++i) {
      const auto a = random.below(4), b = random.below(4);
      const double x = random.uniform(), y = random.uniform();
      rows.insert(rows.end(), {static_cast<double>(a), static_cast<double>(b), x, y});
      targets.push_back(effects[a] - 0.5 * effects[b] + std::sin(4 * x) + y * y);
    }
  };
  std::vector<double> rows, targets, at, truth;
  draw(60, rows, targets);
  draw(100, at, truth);
  const Scale scale(targets);
  for (double& value : targets) value = scale.to_standard(value);
  GaussianProcess model(columns);
  model.tune({rows, 4}, targets, 60);
  model.condition({rows, 4});
  model.set_targets(targets);
  std::vector<double> mean(100), variance(100);
  model.predict({at, 4}, mean, variance);
  double squares = 0;
  for (std::size_t i = 0; i < 100; ++i) squares += std::pow(scale.from_standard(mean[i]) - truth[i], 2) / 100;
  EXPECT_LT(std::sqrt(squares), 0.1) << "of a spread of " << scale.width(1);
}

TEST(GaussianProcess, PresenceTellsSomethingAndAbsentCellsAreAlike) {
  GaussianProcess model(std::vector<Column>{{.optional = true}});
  const std::vector<double> rows{absent};
  model.condition({rows, 1});
  model.set_targets(std::vector<double>{1.0});
  const std::vector<double> at{absent, 0.1, 0.9};
  std::vector<double> mean(3);
  model.predict_mean({at, 1}, mean);
  EXPECT_GT(mean[0], 0.9);
  EXPECT_LT(mean[1], mean[0]);
  EXPECT_EQ(mean[1], mean[2]);
}

/// Predictions anywhere are finite, the variance not negative.
void expect_sane(const std::vector<Column>& columns, const std::vector<double>& rows, std::vector<double> targets) {
  const Scale scale(targets);
  for (double& value : targets) value = scale.to_standard(value);
  GaussianProcess model(columns);
  model.tune({rows, columns.size()}, targets, 20);
  model.condition({rows, columns.size()});
  model.set_targets(targets);
  std::vector<double> mean(targets.size()), variance(targets.size());
  model.predict({rows, columns.size()}, mean, variance);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    EXPECT_TRUE(std::isfinite(scale.from_standard(mean[i])));
    EXPECT_TRUE(std::isfinite(variance[i]));
    EXPECT_GE(variance[i], 0);
  }
}

TEST(GaussianProcess, SurvivesDegenerateData) {
  Random random(5, "test");
  const std::vector<Column> columns = mixed_columns();
  const std::vector<double> rows = mixed_rows(12, random);
  expect_sane(columns, rows, std::vector<double>(12, 3.0));  // constant
  expect_sane(columns, rows, std::vector<double>(12, 0.0));
  std::vector<double> repeated;
  for (int i = 0; i < 12; ++i) repeated.insert(repeated.end(), rows.begin(), rows.begin() + 5);
  expect_sane(columns, repeated, std::vector<double>(12, 1.0));
  expect_sane(columns, repeated, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});  // contradictory
  expect_sane(columns, std::vector<double>(rows.begin(), rows.begin() + 5), {2.0});  // one row
  std::vector<double> huge, tiny;
  for (int i = 0; i < 12; ++i) {
    huge.push_back(i % 2 == 0 ? 1e300 : -1e300);
    tiny.push_back(i * 1e-308);
  }
  expect_sane(columns, rows, huge);
  expect_sane(columns, rows, tiny);
  expect_sane({{.categories = 1}}, std::vector<double>(4, 0.0), {1, 2, 3, 4});
}

TEST(GaussianProcess, RepeatedRowsWithoutNoiseAreFactorised) {
  GaussianProcess model(mixed_columns());
  std::vector<double> theta = model.hyperparameters();
  theta.back() = std::log(1e-30);
  model.set_hyperparameters(theta);
  Random random(6, "test");
  std::vector<double> rows = mixed_rows(5, random);
  const std::vector<double> once = rows;
  for (int i = 0; i < 10; ++i) rows.insert(rows.end(), once.begin(), once.end());
  model.condition({rows, 5});
  model.append(std::span(once).first(5));
  model.set_targets(std::vector<double>(56, 1.0));
  std::vector<double> mean(5), variance(5);
  model.predict({once, 5}, mean, variance);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(mean[i], 1, 1e-3);
    EXPECT_NEAR(variance[i], 0, 1e-3);
  }
}

}  // namespace
}  // namespace duet::learn
