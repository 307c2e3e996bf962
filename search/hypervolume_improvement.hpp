#pragma once
/// How much volume a random point is expected to add to what a front dominates.

#include <cstddef>
#include <span>
#include <vector>

#include "core/pareto.hpp"

namespace duet {

/// Expected hypervolume improvement of independent normal objectives, all minimised, exact for one to three objectives.
///
/// The volume that a point y adds is the measure of what it dominates (up to the reference) and the front does not. With
/// two objectives that region is a row of strips [a_i, a_i+1] × (-∞, b_i], so that the expectation is a sum over strips
/// of (G_1(a_i+1) - G_1(a_i)) G_2(b_i), where G(x) = E[max(0, x - Y)]; with three it is a sum over the cells of the grid
/// of the first two. (Emmerich, Yang and Deutz, "Infill criteria for multiobjective Bayesian optimization", in: High-
/// Performance Simulation-Based Optimization, 2020, give the same sums as integrals over boxes.)
class HypervolumeImprovement {
 public:
  /// `points` need not be mutually non-dominated; what does not lie below `reference` in every objective counts nothing.
  HypervolumeImprovement(std::span<const Point> points, Point reference);

  double operator()(std::span<const double> mean, std::span<const double> deviation) const;
  /// Logarithm; where the sum underflows, that of its largest term.
  double log(std::span<const double> mean, std::span<const double> deviation) const;

  const std::vector<Point>& front() const { return front_; }

 private:
  Point reference_;
  std::vector<Point> front_;           // by the first objective
  std::vector<double> first_, second_;  // bounds of the cells, ending with the reference
  std::vector<double> height_;         // three objectives: bound of the third in each cell
};

}  // namespace duet
