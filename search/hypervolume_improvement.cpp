#include "search/hypervolume_improvement.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "core/learn/normal.hpp"

namespace duet {
namespace {

/// log(exp(b) - exp(a)) for a < b.
double log_difference(double b, double a) {
  return b + std::log(std::max(-std::expm1(a - b), 1e-300));
}

}  // namespace

HypervolumeImprovement::HypervolumeImprovement(std::span<const Point> points, Point reference,
                                               std::span<const Axis> axes)
    : reference_(std::move(reference)) {
  assert(!reference_.empty() && reference_.size() <= 3);
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
    first_ = {front_.empty() ? reference_[0] : front_.front()[0]};
  } else {
    for (const Point& point : front_) first_.push_back(point[0]);
    first_.push_back(reference_[0]);
  }
  if (objectives == 2) {
    second_.push_back(reference_[1]);  // left of the front
    for (const Point& point : front_) second_.push_back(point[1]);
  }
  if (objectives == 3) {
    for (const Point& point : front_) second_.push_back(point[1]);
    std::sort(second_.begin(), second_.end());
    second_.push_back(reference_[1]);
    // Cell (i, j) lies between bounds i - 1 and i of the first objective and j - 1 and j of the second. From bound i - 1
    // on, a point of the front bounds all cells above its second objective.
    height_.assign(first_.size() * second_.size(), reference_[2]);
    for (std::size_t i = 1; i < first_.size(); ++i) {
      const double* before = height_.data() + (i - 1) * second_.size();
      double* here = height_.data() + i * second_.size();
      std::copy_n(before, second_.size(), here);
      const Point& point = front_[i - 1];
      const auto begin = std::lower_bound(second_.begin(), second_.end(), point[1]) - second_.begin() + 1;
      for (auto j = static_cast<std::size_t>(begin); j < second_.size(); ++j) here[j] = std::min(here[j], point[2]);
    }
  }

  const std::vector<double>* bounds[] = {&first_, &second_, &height_};
  for (std::size_t k = 0; k < objectives; ++k) {
    Pieces pieces;
    const Axis axis = k < axes.size() ? axes[k] : Axis{};
    pieces.points = axis.model;
    pieces.points.insert(pieces.points.end(), bounds[k]->begin(), bounds[k]->end());
    std::sort(pieces.points.begin(), pieces.points.end());
    pieces.points.erase(std::unique(pieces.points.begin(), pieces.points.end()), pieces.points.end());
    for (const double point : pieces.points) {
      double slope = 1;
      if (axis.model.size() > 1) {
        const auto after = std::lower_bound(axis.model.begin(), axis.model.end(), point) - axis.model.begin();
        const auto i = std::clamp<std::size_t>(static_cast<std::size_t>(after), 1, axis.model.size() - 1);
        slope = (axis.natural[i] - axis.natural[i - 1]) / (axis.model[i] - axis.model[i - 1]);
      }
      pieces.slopes.push_back(slope);
    }
    pieces_.push_back(std::move(pieces));
  }
  first_at_ = positions(0, first_);
  if (objectives > 1) second_at_ = positions(1, second_);
  if (objectives > 2) height_at_ = positions(2, height_);
}

std::vector<std::size_t> HypervolumeImprovement::positions(std::size_t objective,
                                                           const std::vector<double>& bounds) const {
  const std::vector<double>& points = pieces_[objective].points;
  std::vector<std::size_t> result;
  for (const double bound : bounds) {
    result.push_back(static_cast<std::size_t>(std::lower_bound(points.begin(), points.end(), bound) - points.begin()));
  }
  return result;
}

/// G at every point of the pieces.
std::vector<double> HypervolumeImprovement::improvements(std::size_t objective, double mean, double deviation) const {
  const Pieces& pieces = pieces_[objective];
  std::vector<double> result;
  result.reserve(pieces.points.size());
  double sum = 0;
  double before = 0;
  for (std::size_t i = 0; i < pieces.points.size(); ++i) {
    const double here = learn::expected_improvement(pieces.points[i], mean, deviation);
    sum += pieces.slopes[i] * std::max(0.0, here - before);
    before = here;
    result.push_back(sum);
  }
  return result;
}

double HypervolumeImprovement::operator()(std::span<const double> mean, std::span<const double> deviation) const {
  const std::vector<double> first = improvements(0, mean[0], deviation[0]);
  if (reference_.size() == 1) return first[first_at_[0]];
  const std::vector<double> second = improvements(1, mean[1], deviation[1]);
  double sum = 0;
  double left = 0;
  if (reference_.size() == 2) {
    for (std::size_t i = 0; i < first_.size(); ++i) {
      const double right = first[first_at_[i]];
      sum += (right - left) * second[second_at_[i]];
      left = right;
    }
    return sum;
  }
  const std::vector<double> third = improvements(2, mean[2], deviation[2]);
  for (std::size_t i = 0; i < first_.size(); ++i) {
    const double right = first[first_at_[i]];
    double inner = 0;
    double below = 0;
    for (std::size_t j = 0; j < second_.size() && right > left; ++j) {
      const double above = second[second_at_[j]];
      inner += (above - below) * third[height_at_[i * second_.size() + j]];
      below = above;
    }
    sum += (right - left) * inner;
    left = right;
  }
  return sum;
}

double HypervolumeImprovement::log(std::span<const double> mean, std::span<const double> deviation) const {
  if (reference_.size() == 1) return learn::log_expected_improvement(first_[0], mean[0], deviation[0]);
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
