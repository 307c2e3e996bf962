#pragma once
/// Minimisation of a smooth function in a box.

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace duet::learn {

/// The value at `x`; writes the gradient. A value that is not finite counts as worse than any other.
using Differentiable = std::function<double(std::span<const double> x, std::span<double> gradient)>;

struct Minimum {
  std::vector<double> x;
  double value = 0;
  std::size_t evaluations = 0;
};

/// Projected limited-memory BFGS (Liu and Nocedal, "On the limited memory BFGS method for large scale optimization",
/// Mathematical Programming 45, 1989; two-loop recursion on the variables that are not held by a bound) with
/// backtracking until the value has decreased sufficiently (Armijo). Ends after `max_evaluations`, or when a step gains
/// less than `tolerance` relatively to 1 + |value|. Never returns anything worse than `start`, which is clamped to the
/// box.
Minimum minimize(const Differentiable& function, std::vector<double> start, std::span<const double> lower,
                 std::span<const double> upper, std::size_t max_evaluations, double tolerance = 1e-6);

}  // namespace duet::learn
