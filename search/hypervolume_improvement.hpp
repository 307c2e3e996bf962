#pragma once
/// How much volume a random point is expected to add to what a front dominates.

#include <cstddef>
#include <span>
#include <vector>

#include "core/pareto.hpp"

namespace duet {

/// How a model's scale of one objective relates to the scale on which volumes are measured: straight between knots,
/// ascending in both. Empty: the same scale. Beyond the ends it goes on with the nearest slope.
struct Axis {
  std::vector<double> model, natural;
};

/// Expected hypervolume improvement of independent objectives that are normal on their models' scales, all minimised,
/// exact for one to three objectives.
///
/// The volume that a point y adds is the measure of what it dominates (up to the reference) and the front does not. With
/// two objectives that region is a row of strips [a_i, a_i+1] × (-∞, b_i], so that the expectation is a sum over strips
/// of (G_1(a_i+1) - G_1(a_i)) G_2(b_i), where G(x) = E[max(0, x - Y)] = ∫ P(Y < u) du up to x; with three it is a sum over
/// the cells of the grid of the first two. (Emmerich, Yang and Deutz, "Infill criteria for multiobjective Bayesian
/// optimization", in: High-Performance Simulation-Based Optimization, 2020, give the same sums as integrals over boxes.)
/// If Y is a function of a normal Z that is straight between knots, G is the sum over these pieces of slope times the
/// difference of Z's own G.
class HypervolumeImprovement {
 public:
  /// Points and reference on the model's scale. `points` need not be mutually non-dominated; what does not lie below
  /// `reference` in every objective counts nothing. `axes` is empty or has one for each objective.
  HypervolumeImprovement(std::span<const Point> points, Point reference, std::span<const Axis> axes = {});

  /// In natural units, for a mean and deviation on the model's scale.
  double operator()(std::span<const double> mean, std::span<const double> deviation) const;
  /// Logarithm. Where the sum underflows, the logarithm of its largest term as if all slopes were 1.
  double log(std::span<const double> mean, std::span<const double> deviation) const;

  const std::vector<Point>& front() const { return front_; }

 private:
  /// The pieces of one axis: (-∞, points[0]], [points[0], points[1]], …, with their slopes.
  struct Pieces {
    std::vector<double> points, slopes;
  };
  std::vector<double> improvements(std::size_t objective, double mean, double deviation) const;
  std::vector<std::size_t> positions(std::size_t objective, const std::vector<double>& bounds) const;

  Point reference_;
  std::vector<Point> front_;            // by the first objective
  std::vector<double> first_, second_;  // bounds of the cells, ending with the reference
  std::vector<double> height_;          // three objectives: bound of the third in each cell
  std::vector<Pieces> pieces_;
  std::vector<std::size_t> first_at_, second_at_, height_at_;  // where the bounds stand among the pieces' points
};

}  // namespace duet
