#pragma once
/// What the regressors of core/learn learn from: rows of mixed columns. They know nothing of spaces, networks or
/// hardware; search/surrogate.hpp and the estimators turn their values into such rows.

#include <cstddef>
#include <span>
#include <vector>

namespace duet::learn {

/// One column of the inputs. A cell is the number of a category (0, 1, …), or a number, best within [0, 1]; NaN means
/// that the column does not exist in this row (a parameter that is not active).
struct Column {
  std::size_t categories = 0;  ///< 0: a number
  bool optional = false;       ///< whether cells may be NaN
};

/// Inputs row by row: row i is data[i * columns, (i + 1) * columns).
struct Rows {
  std::span<const double> data;
  std::size_t columns = 0;

  std::size_t size() const { return columns == 0 ? 0 : data.size() / columns; }
  std::span<const double> operator[](std::size_t row) const { return data.subspan(row * columns, columns); }
};

/// Mean and spread of targets, for learning on a standard scale; safe for constant targets and up to the largest
/// doubles.
class Scale {
 public:
  Scale() = default;
  explicit Scale(std::span<const double> values);
  double to_standard(double value) const { return (value / unit_ - middle_) / spread_; }
  double from_standard(double value) const { return (value * spread_ + middle_) * unit_; }
  /// A standard deviation as a number of the original scale.
  double width(double value) const { return value * spread_ * unit_; }

 private:
  double unit_ = 1, middle_ = 0, spread_ = 1;  // value = (standard * spread + middle) * unit
};

}  // namespace duet::learn
