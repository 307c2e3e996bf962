#include "search/hypervolume_improvement.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "core/learn/normal.hpp"

namespace duet {
namespace {

/// G(x) at each bound, and before the first bound 0: differences of it are what the cells between bounds contribute.
std::vector<double> improvements(std::span<const double> bounds, double mean, double deviation) {
  std::vector<double> result{0};
  for (const double bound : bounds) result.push_back(learn::expected_improvement(bound, mean, deviation));
  return result;
}

/// log(exp(b) - exp(a)) for a < b.
double log_difference(double b, double a) {
  return b + std::log(std::max(-std::expm1(a - b), 1e-300));
}

}  // namespace

HypervolumeImprovement::HypervolumeImprovement(std::span<const Point> points, Point reference)
    : reference_(std::move(reference)) {
  assert(reference_.size() >= 1 && reference_.size() <= 3);
  std::vector<Point> inside;
  for (const Point& point : points) {
    bool below = true;
    for (std::size_t k = 0; k < reference_.size(); ++k) below = below && point[k] < reference_[k];
    if (below) inside.push_back(point);
  }
  for (const std::size_t i : pareto_front(inside)) front_.push_back(inside[i]);
  std::sort(front_.begin(), front_.end());
  const std::size_t objectives = reference_.size();
  if (objectives == 1) {
    second_ = {front_.empty() ? reference_[0] : front_.front()[0]};
    return;
  }
  for (const Point& point : front_) first_.push_back(point[0]);
  first_.push_back(reference_[0]);
  if (objectives == 2) {
    second_.push_back(reference_[1]);  // left of the front
    for (const Point& point : front_) second_.push_back(point[1]);
    return;
  }
  for (const Point& point : front_) second_.push_back(point[1]);
  std::sort(second_.begin(), second_.end());
  second_.push_back(reference_[1]);
  // Cell (i, j) lies between bounds i - 1 and i of the first objective and j - 1 and j of the second.
  height_.assign(first_.size() * second_.size(), reference_[2]);
  for (std::size_t i = 0; i < first_.size(); ++i) {
    if (i > 0) {
      std::copy_n(height_.begin() + static_cast<std::ptrdiff_t>((i - 1) * second_.size()), second_.size(),
                  height_.begin() + static_cast<std::ptrdiff_t>(i * second_.size()));
      const Point& point = front_[i - 1];  // from here on it bounds all cells above its second objective
      const auto begin = std::lower_bound(second_.begin(), second_.end(), point[1]) - second_.begin() + 1;
      for (auto j = static_cast<std::size_t>(begin); j < second_.size(); ++j) {
        double& height = height_[i * second_.size() + j];
        height = std::min(height, point[2]);
      }
    }
  }
}

double HypervolumeImprovement::operator()(std::span<const double> mean, std::span<const double> deviation) const {
  if (reference_.size() == 1) return learn::expected_improvement(second_[0], mean[0], deviation[0]);
  const std::vector<double> first = improvements(first_, mean[0], deviation[0]);
  double sum = 0;
  if (reference_.size() == 2) {
    for (std::size_t i = 0; i < first_.size(); ++i) {
      const double width = first[i + 1] - first[i];
      if (width > 0) sum += width * learn::expected_improvement(second_[i], mean[1], deviation[1]);
    }
    return sum;
  }
  const std::vector<double> second = improvements(second_, mean[1], deviation[1]);
  for (std::size_t i = 0; i < first_.size(); ++i) {
    const double width = first[i + 1] - first[i];
    if (!(width > 0)) continue;
    double inner = 0;
    double height = std::numeric_limits<double>::quiet_NaN();
    double third = 0;
    for (std::size_t j = 0; j < second_.size(); ++j) {
      const double here = height_[i * second_.size() + j];
      if (here != height) {
        height = here;
        third = learn::expected_improvement(height, mean[2], deviation[2]);
      }
      inner += (second[j + 1] - second[j]) * third;
    }
    sum += width * inner;
  }
  return sum;
}

double HypervolumeImprovement::log(std::span<const double> mean, std::span<const double> deviation) const {
  if (reference_.size() == 1) return learn::log_expected_improvement(second_[0], mean[0], deviation[0]);
  const double sum = (*this)(mean, deviation);
  if (sum > 1e-250) return std::log(sum);
  const auto logs = [&](const std::vector<double>& bounds, std::size_t k) {
    std::vector<double> result;
    for (const double bound : bounds) result.push_back(learn::log_expected_improvement(bound, mean[k], deviation[k]));
    return result;
  };
  const std::vector<double> first = logs(first_, 0);
  const auto width = [](const std::vector<double>& values, std::size_t i) {
    return i == 0 ? values[0] : log_difference(values[i], values[i - 1]);
  };
  double largest = -std::numeric_limits<double>::infinity();
  if (reference_.size() == 2) {
    const std::vector<double> second = logs(second_, 1);
    for (std::size_t i = 0; i < first_.size(); ++i) largest = std::max(largest, width(first, i) + second[i]);
  } else {
    const std::vector<double> second = logs(second_, 1);
    const std::vector<double> third = logs(height_, 2);
    for (std::size_t i = 0; i < first_.size(); ++i) {
      for (std::size_t j = 0; j < second_.size(); ++j) {
        largest = std::max(largest, width(first, i) + width(second, j) + third[i * second_.size() + j]);
      }
    }
  }
  return std::isnan(largest) ? -std::numeric_limits<double>::max() : std::max(largest, -std::numeric_limits<double>::max());
}

}  // namespace duet
