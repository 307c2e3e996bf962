#include "core/learn/gaussian_process.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "core/learn/minimize.hpp"

namespace duet::learn {
namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;
using ConstVectorMap = Eigen::Map<const Vector>;
using VectorMap = Eigen::Map<Vector>;
using FactorMap = Eigen::Map<Matrix, 0, Eigen::OuterStride<>>;
using ConstFactorMap = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;

constexpr double first_jitter = 1e-10;
constexpr double last_jitter = 1e-1;
constexpr double no_correlation = 1e-300;  // keeps logarithms finite

/// Derivative of the logarithm of the Matérn 5/2 correlation at t = √5 distance / length, with respect to log length.
double log_matern_slope(double t) { return t * t * (1 + t) / 3 / (1 + t + t * t / 3); }

double distance(double a, double b) { return std::sqrt(5.0) * std::abs(a - b); }

/// Position of a cell among the different values, NaN counting as one value; appended if new.
std::uint32_t code_of(std::vector<double>& values, double cell) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] == cell || (std::isnan(values[i]) && std::isnan(cell))) return static_cast<std::uint32_t>(i);
  }
  values.push_back(cell);
  return static_cast<std::uint32_t>(values.size() - 1);
}

}  // namespace

/// Priors. With d columns and targets of unit variance: single columns explain about as much as pairs and as all
/// together; half the range of a number, or another category, still correlates by about 0.4; ρ spreads the product
/// over √d columns. Deviations are wide enough (a factor of 2 to 4 each way) for the data to decide.
GaussianProcess::GaussianProcess(std::vector<Column> columns) : columns_(std::move(columns)) {
  const auto add = [this](double mean, double deviation, double low, double high) {
    prior_mean_.push_back(mean);
    prior_deviation_.push_back(deviation);
    lower_.push_back(low);
    upper_.push_back(high);
  };
  for (const Column& column : columns_) {
    offset_.push_back(prior_mean_.size());
    if (column.categories == 0) {
      add(std::log(0.6), 0.9, std::log(0.03), std::log(30.0));
    } else {
      add(std::log(0.5), 0.8, std::log(0.005), std::log(8.0));
      if (column.categories > 2) {
        for (std::size_t k = 0; k < column.categories; ++k) add(0, 0.5, -3, 3);
      }
    }
    if (column.optional) add(std::log(0.7), 0.8, std::log(0.01), std::log(8.0));
  }
  const double d = std::max<double>(1, static_cast<double>(columns_.size()));
  for (int order = 0; order < 3; ++order) add(std::log(0.4), 1.2, std::log(1e-4), std::log(30.0));
  add(-0.5 * std::log(d), 0.7, std::log(0.02), std::log(2.0));
  add(std::log(2e-3), 1.5, std::log(1e-6), std::log(1.0));
  set_hyperparameters(prior_mean_);
  values_.resize(columns_.size());
  codes_.resize(columns_.size());
}

void GaussianProcess::set_hyperparameters(std::vector<double> theta) {
  assert(theta.size() == prior_mean_.size());
  theta_ = std::move(theta);
  const std::size_t behind = theta_.size() - 5;
  for (std::size_t order = 0; order < 3; ++order) amplitude_[order] = std::exp(theta_[behind + order]);
  if (columns_.size() < 2) amplitude_[1] = 0;  // there are no pairs
  exponent_ = std::exp(theta_[behind + 3]);
  noise_ = std::exp(theta_[behind + 4]);
  truncate(0);
}

/// The correlation between `cell` and each of `cells`, and its logarithm.
void GaussianProcess::correlate(std::span<const double> theta, std::size_t column, double cell,
                                std::span<const double> cells, Correlations& out) const {
  const std::size_t offset = offset_[column];
  const std::size_t categories = columns_[column].categories;
  out.factor.resize(cells.size());
  out.log.resize(cells.size());
  const bool absent = std::isnan(cell);
  const double presence =
      columns_[column].optional ? std::exp(theta[offset + (categories > 2 ? categories + 1 : 1)]) : 0;
  const auto set = [&](std::size_t i, double log) {
    out.log[i] = log;
    out.factor[i] = std::exp(log);
  };
  if (categories > 0) {
    const auto weight = [&](double category) {
      return std::exp(theta[offset] + (categories > 2 ? theta[offset + 1 + static_cast<std::size_t>(category)] : 0));
    };
    const double own_weight = absent ? 0 : weight(cell);
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (absent != std::isnan(cells[i])) {
        set(i, -presence);
      } else {
        set(i, absent || cell == cells[i] ? 0 : -own_weight - weight(cells[i]));
      }
    }
    return;
  }
  const double inverse_length = std::exp(-theta[offset]);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (absent != std::isnan(cells[i])) {
      set(i, -presence);
    } else {
      const double t = absent ? 0 : distance(cell, cells[i]) * inverse_length;
      const double polynomial = 1 + t + t * t / 3;
      out.log[i] = std::log(polynomial) - t;
      out.factor[i] = polynomial * std::exp(-t);
    }
  }
}

// --- Tuning

/// Rows as positions in lists of different values.
struct GaussianProcess::Coded {
  std::vector<std::vector<double>> values;
  std::vector<std::vector<std::uint32_t>> codes;  // by column and row

  explicit Coded(Rows rows) : values(rows.columns), codes(rows.columns, std::vector<std::uint32_t>(rows.size())) {
    for (std::size_t c = 0; c < rows.columns; ++c) {
      for (std::size_t r = 0; r < rows.size(); ++r) codes[c][r] = code_of(values[c], rows[r][c]);
    }
  }
};

double GaussianProcess::objective(Rows rows, std::span<const double> targets, std::span<const double> theta,
                                  std::span<double> gradient) const {
  const std::size_t behind = theta.size() - 5;
  const Coded coded(rows);
  const std::size_t n = rows.size();
  const std::size_t d = columns_.size();
  const double amplitude[3] = {d == 0 ? 0 : std::exp(theta[behind]), d < 2 ? 0 : std::exp(theta[behind + 1]),
                               std::exp(theta[behind + 2])};
  const double first = d == 0 ? 0 : amplitude[0] / static_cast<double>(d);
  const double pairs = d < 2 ? 0 : amplitude[1] / (static_cast<double>(d) * static_cast<double>(d - 1));
  const double rho = std::exp(theta[behind + 3]);
  const double noise = std::exp(theta[behind + 4]);

  // Logarithms of the correlations, and the correlations, between the different values of each column.
  std::vector<std::vector<double>> logs(d), factors(d);
  for (std::size_t c = 0; c < d; ++c) {
    const std::vector<double>& values = coded.values[c];
    Correlations row;
    for (const double value : values) {
      correlate(theta, c, value, values, row);
      logs[c].insert(logs[c].end(), row.log.begin(), row.log.end());
      factors[c].insert(factors[c].end(), row.factor.begin(), row.factor.end());
    }
  }
  // Σ k, Σ k² and the product, below the diagonal.
  Matrix sum = Matrix::Zero(static_cast<Eigen::Index>(n), static_cast<Eigen::Index>(n));
  Matrix squares = sum;
  Matrix product = sum;
  const auto index = [](std::size_t i) { return static_cast<Eigen::Index>(i); };
  for (std::size_t c = 0; c < d; ++c) {
    const std::vector<std::uint32_t>& codes = coded.codes[c];
    const std::size_t width = coded.values[c].size();
    for (std::size_t q = 0; q < n; ++q) {
      const double* log_row = logs[c].data() + codes[q] * width;
      const double* factor_row = factors[c].data() + codes[q] * width;
      double* sum_column = sum.data() + q * n;
      double* squares_column = squares.data() + q * n;
      double* product_column = product.data() + q * n;
      for (std::size_t p = q + 1; p < n; ++p) {
        const double k = factor_row[codes[p]];
        sum_column[p] += k;
        squares_column[p] += k * k;
        product_column[p] += log_row[codes[p]];
      }
    }
  }
  const double variance = amplitude[0] + amplitude[1] + amplitude[2];
  Matrix covariance(index(n), index(n));
  Matrix log_product = product;
  for (std::size_t q = 0; q < n; ++q) {
    covariance(index(q), index(q)) = variance + noise + first_jitter * variance;
    for (std::size_t p = q + 1; p < n; ++p) {
      const Eigen::Index i = index(p), j = index(q);
      product(i, j) = amplitude[2] * std::exp(rho * log_product(i, j));
      covariance(i, j) =
          first * sum(i, j) + pairs * (sum(i, j) * sum(i, j) - squares(i, j)) + product(i, j);
    }
  }
  const Eigen::LLT<Matrix> cholesky(covariance);
  if (cholesky.info() != Eigen::Success) return std::numeric_limits<double>::infinity();
  const ConstVectorMap y(targets.data(), index(n));
  const Vector weights = cholesky.solve(y);
  double value = 0.5 * y.dot(weights);
  for (std::size_t i = 0; i < n; ++i) value += std::log(cholesky.matrixLLT()(index(i), index(i)));

  // d value / d covariance = (covariance⁻¹ - weights weightsᵀ) / 2; here the lower triangle, the diagonal halved, so
  // that a sum over it is the sum over all.
  Matrix slope = cholesky.solve(Matrix::Identity(index(n), index(n)));
  slope.noalias() -= weights * weights.transpose();
  const double trace = 0.5 * slope.diagonal().sum();

  std::fill(gradient.begin(), gradient.end(), 0.0);
  double by_order[3] = {trace * amplitude[0], trace * amplitude[1], trace * amplitude[2]};
  double by_exponent = 0;
  for (std::size_t q = 0; q < n; ++q) {
    for (std::size_t p = q + 1; p < n; ++p) {
      const Eigen::Index i = index(p), j = index(q);
      const double w = slope(i, j);
      by_order[0] += w * first * sum(i, j);
      by_order[1] += w * pairs * (sum(i, j) * sum(i, j) - squares(i, j));
      by_order[2] += w * product(i, j);
      by_exponent += w * product(i, j) * rho * log_product(i, j);
    }
  }
  for (std::size_t order = 0; order < 3; ++order) gradient[behind + order] = by_order[order];
  gradient[behind + 3] = by_exponent;
  gradient[behind + 4] = trace * noise;

  std::vector<double> table;  // d value / d log correlation, by pair of values
  for (std::size_t c = 0; c < d; ++c) {
    const std::vector<std::uint32_t>& codes = coded.codes[c];
    const std::vector<double>& values = coded.values[c];
    const std::size_t width = values.size();
    if (width == 1) continue;
    table.assign(width * width, 0);
    for (std::size_t q = 0; q < n; ++q) {
      const double* factor_row = factors[c].data() + codes[q] * width;
      double* table_row = table.data() + codes[q] * width;
      const double* slope_column = slope.data() + q * n;
      const double* sum_column = sum.data() + q * n;
      const double* product_column = product.data() + q * n;
      for (std::size_t p = q + 1; p < n; ++p) {
        const double k = factor_row[codes[p]];
        table_row[codes[p]] +=
            slope_column[p] * (k * (first + 2 * pairs * (sum_column[p] - k)) + rho * product_column[p]);
      }
    }
    const std::size_t offset = offset_[c];
    const std::size_t categories = columns_[c].categories;
    const std::size_t presence = offset + (categories > 2 ? categories + 1 : 1);
    for (std::size_t a = 0; a < width; ++a) {
      for (std::size_t b = 0; b < width; ++b) {
        const double by_log = table[a * width + b];
        if (a == b || by_log == 0) continue;
        if (std::isnan(values[a]) != std::isnan(values[b])) {
          gradient[presence] -= by_log * std::exp(theta[presence]);
        } else if (categories == 0) {
          gradient[offset] += by_log * log_matern_slope(distance(values[a], values[b]) * std::exp(-theta[offset]));
        } else {
          for (const double category : {values[a], values[b]}) {
            const std::size_t own = offset + 1 + static_cast<std::size_t>(category);
            const double weight = std::exp(theta[offset] + (categories > 2 ? theta[own] : 0));
            gradient[offset] -= by_log * weight;
            if (categories > 2) gradient[own] -= by_log * weight;
          }
        }
      }
    }
  }
  for (std::size_t i = 0; i < theta.size(); ++i) {
    const double z = (theta[i] - prior_mean_[i]) / prior_deviation_[i];
    value += 0.5 * z * z;
    gradient[i] += z / prior_deviation_[i];
  }
  return value;
}

double GaussianProcess::tune(Rows rows, std::span<const double> targets, std::size_t max_evaluations,
                             bool restart) {
  assert(rows.size() == targets.size());
  const auto function = [&](std::span<const double> theta, std::span<double> gradient) {
    return objective(rows, targets, theta, gradient);
  };
  std::vector<double> present = theta_;
  truncate(0);
  if (rows.size() < 2) return 0;
  const bool fresh = present == prior_mean_;
  Minimum best = minimize(function, std::move(present), lower_, upper_, max_evaluations, 1e-4);
  if (restart && !fresh) {
    Minimum other = minimize(function, prior_mean_, lower_, upper_, max_evaluations, 1e-4);
    if (other.value < best.value) best = std::move(other);
  }
  set_hyperparameters(std::isfinite(best.value) ? std::move(best.x) : prior_mean_);
  return std::isfinite(best.value) ? best.value : std::numeric_limits<double>::infinity();
}

// --- Conditioning

void GaussianProcess::cross(std::span<const double> row, double* out) const {
  // Σ k, Σ k² and Σ log k side by side, so that a row of a column costs one look-up.
  using Sums = Eigen::Array4d;
  const std::size_t d = columns_.size();
  const std::size_t n = size_;
  std::vector<Sums> sums(n, Sums::Zero());
  std::vector<Sums> table;
  Correlations correlations;
  for (std::size_t c = 0; c < d; ++c) {
    correlate(theta_, c, row[c], values_[c], correlations);
    table.resize(values_[c].size());
    for (std::size_t i = 0; i < table.size(); ++i) {
      const double k = correlations.factor[i];
      table[i] = Sums(k, k * k, correlations.log[i], 0);
    }
    const std::uint32_t* codes = codes_[c].data();
    for (std::size_t j = 0; j < n; ++j) sums[j] += table[codes[j]];
  }
  const double first = d == 0 ? 0 : amplitude_[0] / static_cast<double>(d);
  const double pairs = d < 2 ? 0 : amplitude_[1] / (static_cast<double>(d) * static_cast<double>(d - 1));
  for (std::size_t j = 0; j < n; ++j) {
    const Sums& sum = sums[j];
    out[j] = first * sum[0] + pairs * (sum[0] * sum[0] - sum[1]) + amplitude_[2] * std::exp(exponent_ * sum[2]);
  }
}

void GaussianProcess::truncate(std::size_t rows) {
  size_ = std::min(size_, rows);
  for (std::vector<std::uint32_t>& codes : codes_) codes.resize(size_);
  if (size_ == 0) {
    for (std::vector<double>& values : values_) values.clear();
  }
  targets_.assign(size_, 0);
  weights_.assign(size_, 0);
}

void GaussianProcess::condition(Rows rows) {
  assert(rows.size() == 0 || rows.columns == columns_.size());
  truncate(0);
  const std::size_t n = rows.size();
  if (n > capacity_) {
    capacity_ = n + n / 4 + 16;
    factor_.assign(capacity_ * capacity_, 0);
  }
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    for (std::size_t r = 0; r < n; ++r) codes_[c].push_back(code_of(values_[c], rows[r][c]));
  }
  FactorMap factor(factor_.data(), static_cast<Eigen::Index>(n), static_cast<Eigen::Index>(n),
                   Eigen::OuterStride<>(static_cast<Eigen::Index>(capacity_)));
  const double variance = std::max(prior_variance(), no_correlation);
  for (jitter_ = first_jitter * variance;; jitter_ *= 10) {
    size_ = 0;
    std::vector<double> row(n);
    for (std::size_t r = 0; r < n; ++r) {
      size_ = r;
      cross(rows[r], row.data());
      for (std::size_t q = 0; q < r; ++q) factor_[q * capacity_ + r] = row[q];
      factor_[r * capacity_ + r] = variance + noise_ + jitter_;
    }
    size_ = n;
    Eigen::LLT<Eigen::Ref<Matrix, 0, Eigen::OuterStride<>>> cholesky(factor);  // in place
    if (cholesky.info() == Eigen::Success || jitter_ > last_jitter * variance) break;
  }
  targets_.assign(n, 0);
  weights_.assign(n, 0);
}

void GaussianProcess::append(std::span<const double> row) {
  if (size_ == capacity_) {
    const std::size_t capacity = capacity_ + capacity_ / 2 + 16;
    std::vector<double> larger(capacity * capacity, 0);
    for (std::size_t c = 0; c < size_; ++c) {
      std::copy_n(factor_.begin() + static_cast<std::ptrdiff_t>(c * capacity_), size_,
                  larger.begin() + static_cast<std::ptrdiff_t>(c * capacity));
    }
    factor_ = std::move(larger);
    capacity_ = capacity;
  }
  if (jitter_ == 0) jitter_ = first_jitter * prior_variance();
  Vector covariance(static_cast<Eigen::Index>(size_));
  cross(row, covariance.data());
  const ConstFactorMap factor(factor_.data(), static_cast<Eigen::Index>(size_), static_cast<Eigen::Index>(size_),
                              Eigen::OuterStride<>(static_cast<Eigen::Index>(capacity_)));
  factor.triangularView<Eigen::Lower>().solveInPlace(covariance);
  const double variance = prior_variance() + noise_ + jitter_;
  // A repetition without noise: what is left of the diagonal is rounding.
  const double left = std::max(variance - covariance.squaredNorm(), jitter_);
  for (std::size_t c = 0; c < size_; ++c) factor_[c * capacity_ + size_] = covariance(static_cast<Eigen::Index>(c));
  factor_[size_ * capacity_ + size_] = std::sqrt(left);
  for (std::size_t c = 0; c < columns_.size(); ++c) codes_[c].push_back(code_of(values_[c], row[c]));
  ++size_;
  targets_.push_back(0);
  weights_.push_back(0);
}

void GaussianProcess::set_targets(std::span<const double> targets) {
  assert(targets.size() == size_);
  targets_.assign(targets.begin(), targets.end());
  solve();
}

void GaussianProcess::solve() {
  const auto n = static_cast<Eigen::Index>(size_);
  const ConstFactorMap factor(factor_.data(), n, n, Eigen::OuterStride<>(static_cast<Eigen::Index>(capacity_)));
  weights_ = targets_;
  VectorMap weights(weights_.data(), n);
  factor.triangularView<Eigen::Lower>().solveInPlace(weights);
  factor.triangularView<Eigen::Lower>().transpose().solveInPlace(weights);
}

void GaussianProcess::predict_mean(Rows at, std::span<double> mean) const {
  assert(mean.size() == at.size());
  std::vector<double> covariance(size_);
  for (std::size_t i = 0; i < at.size(); ++i) {
    cross(at[i], covariance.data());
    double value = 0;
    for (std::size_t j = 0; j < size_; ++j) value += covariance[j] * weights_[j];
    mean[i] = value;
  }
}

void GaussianProcess::predict(Rows at, std::span<double> mean, std::span<double> variance) const {
  assert(mean.size() == at.size() && variance.size() == at.size());
  const auto n = static_cast<Eigen::Index>(size_);
  Matrix covariance(n, static_cast<Eigen::Index>(at.size()));
  for (std::size_t i = 0; i < at.size(); ++i) {
    double* column = covariance.data() + i * size_;
    cross(at[i], column);
    double value = 0;
    for (std::size_t j = 0; j < size_; ++j) value += column[j] * weights_[j];
    mean[i] = value;
  }
  if (n > 0) {
    const ConstFactorMap factor(factor_.data(), n, n, Eigen::OuterStride<>(static_cast<Eigen::Index>(capacity_)));
    factor.triangularView<Eigen::Lower>().solveInPlace(covariance);
  }
  const double prior = prior_variance();
  for (std::size_t i = 0; i < at.size(); ++i) {
    const double explained = n == 0 ? 0 : covariance.col(static_cast<Eigen::Index>(i)).squaredNorm();
    variance[i] = std::max(0.0, prior - explained);
  }
}

}  // namespace duet::learn
