#include "core/learn/ridge.hpp"

#include <cassert>
#include <cmath>
#include <limits>

#include <Eigen/Core>
#include <Eigen/Eigenvalues>

namespace duet::learn {

std::size_t one_hot_size(std::span<const Column> columns) {
  std::size_t size = 0;
  for (const Column& column : columns) size += column.categories > 0 ? column.categories : (column.optional ? 2 : 1);
  return size;
}

std::vector<double> one_hot(std::span<const Column> columns, Rows rows) {
  assert(rows.columns == columns.size());
  std::vector<double> features;
  features.reserve(rows.size() * one_hot_size(columns));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const double cell = rows[i][c];
      const bool present = !std::isnan(cell);
      if (columns[c].categories > 0) {
        for (std::size_t k = 0; k < columns[c].categories; ++k) {
          features.push_back(cell == static_cast<double>(k) ? 1 : 0);
        }
        continue;
      }
      if (columns[c].optional) features.push_back(present ? 1 : 0);
      features.push_back(present ? cell : 0);
    }
  }
  return features;
}

Ridge::Ridge(Rows features, std::span<const double> targets) {
  assert(features.size() == targets.size() && !targets.empty());
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto n = static_cast<Eigen::Index>(features.size());
  const auto d = static_cast<Eigen::Index>(features.columns);
  const Scale scale(targets);
  Eigen::VectorXd y(n);
  for (Eigen::Index i = 0; i < n; ++i) y(i) = scale.to_standard(targets[static_cast<std::size_t>(i)]);
  Matrix x = Eigen::Map<const Matrix>(features.data.data(), n, d);
  const Eigen::RowVectorXd centre = x.colwise().mean();
  x.rowwise() -= centre;
  // In the eigenbasis of XᵀX every penalty is a division, and n rows leave Σ λ / (λ + penalty) degrees of freedom.
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> basis(x.transpose() * x);
  const Eigen::VectorXd values = basis.eigenvalues().cwiseMax(0);
  const Eigen::VectorXd projected = basis.eigenvectors().transpose() * (x.transpose() * y);
  const double total = y.squaredNorm();
  double best = std::numeric_limits<double>::infinity();
  Eigen::VectorXd weights = Eigen::VectorXd::Zero(d);
  for (int power = -12; power <= 4; ++power) {
    const double penalty = static_cast<double>(n) * std::pow(10.0, 0.5 * power);
    double freedom = 1;  // the intercept
    double residual = total;
    for (Eigen::Index k = 0; k < d; ++k) {
      const double shrunk = projected(k) / (values(k) + penalty);
      freedom += values(k) / (values(k) + penalty);
      residual -= 2 * shrunk * projected(k) - shrunk * shrunk * values(k);
    }
    const double left = std::max(static_cast<double>(n) - freedom, 1e-3);
    const double score = std::max(residual, 1e-20 * total) / (left * left);
    if (score < best) {
      best = score;
      penalty_ = penalty / static_cast<double>(n);
      weights = basis.eigenvectors() * projected.cwiseQuotient((values.array() + penalty).matrix());
    }
  }
  double offset = 0;
  for (Eigen::Index k = 0; k < d; ++k) {
    coefficients_.push_back(scale.width(weights(k)));
    offset += weights(k) * centre(k);
  }
  intercept_ = scale.from_standard(-offset);
}

double Ridge::predict(std::span<const double> features) const {
  assert(features.size() == coefficients_.size());
  double sum = intercept_;
  for (std::size_t k = 0; k < features.size(); ++k) sum += coefficients_[k] * features[k];
  return sum;
}

}  // namespace duet::learn
