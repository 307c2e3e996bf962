#pragma once
/// Linear regression with a penalty on the squares of the coefficients.

#include <span>
#include <vector>

#include "core/learn/columns.hpp"

namespace duet::learn {

/// Rows as plain features for linear models and networks: a category becomes one 0/1 feature per value; a number one
/// feature, and if optional, before that a 0/1 feature for its presence. All features of an absent cell are 0.
std::vector<double> one_hot(std::span<const Column> columns, Rows rows);
std::size_t one_hot_size(std::span<const Column> columns);

/// Ridge regression (Hoerl and Kennard, Technometrics 12, 1970) with an intercept. A regular value.
class Ridge {
 public:
  Ridge() = default;
  /// Fits features without NaN; the penalty is chosen out of 1e-6 … 1e2 (per row and unit of variance) by generalised
  /// cross-validation (Golub, Heath and Wahba, Technometrics 21, 1979). Requires a row at least.
  Ridge(Rows features, std::span<const double> targets);

  double predict(std::span<const double> features) const;
  double penalty() const { return penalty_; }
  const std::vector<double>& coefficients() const { return coefficients_; }
  double intercept() const { return intercept_; }

 private:
  std::vector<double> coefficients_;
  double intercept_ = 0;
  double penalty_ = 0;
};

}  // namespace duet::learn
