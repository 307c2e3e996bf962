#include "core/learn/columns.hpp"

#include <algorithm>
#include <cmath>

namespace duet::learn {

Scale::Scale(std::span<const double> values) {
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  if (largest < 1e-300) return;
  unit_ = largest;  // so that no sum overflows
  for (const double value : values) middle_ += value / unit_;
  middle_ /= static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) {
    const double difference = value / unit_ - middle_;
    squares += difference * difference;
  }
  const double spread = std::sqrt(squares / static_cast<double>(values.size()));
  if (spread > 1e-14) spread_ = spread;
}

}  // namespace duet::learn
