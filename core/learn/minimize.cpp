#include "core/learn/minimize.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <deque>
#include <limits>
#include <utility>

namespace duet::learn {
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

struct Step {
  Vector x, gradient;  // differences between two iterates
  double curvature = 0;
};

/// The product of the approximate inverse Hessian with `gradient`, negated.
Vector descent(Vector gradient, const std::deque<Step>& steps) {
  Vector weights(steps.size());
  for (std::size_t k = steps.size(); k-- > 0;) {
    weights[k] = dot(steps[k].x, gradient) / steps[k].curvature;
    for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] -= weights[k] * steps[k].gradient[i];
  }
  if (!steps.empty()) {
    const double scale = steps.back().curvature / dot(steps.back().gradient, steps.back().gradient);
    for (double& value : gradient) value *= scale;
  }
  for (std::size_t k = 0; k < steps.size(); ++k) {
    const double other = dot(steps[k].gradient, gradient) / steps[k].curvature;
    for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] += (weights[k] - other) * steps[k].x[i];
  }
  for (double& value : gradient) value = -value;
  return gradient;
}

}  // namespace

Minimum minimize(const Differentiable& function, std::vector<double> start, std::span<const double> lower,
                 std::span<const double> upper, std::size_t max_evaluations, double tolerance) {
  assert(start.size() == lower.size() && start.size() == upper.size());
  constexpr std::size_t memory = 8;
  constexpr double armijo = 1e-4;
  const std::size_t n = start.size();
  const auto clamp = [&](Vector& x) {
    for (std::size_t i = 0; i < n; ++i) x[i] = std::clamp(x[i], lower[i], upper[i]);
  };
  clamp(start);
  Vector gradient(n);
  Minimum best{std::move(start), 0, 1};
  best.value = function(best.x, gradient);
  if (!std::isfinite(best.value)) best.value = std::numeric_limits<double>::infinity();

  std::deque<Step> steps;
  Vector x(n), new_gradient(n);
  while (best.evaluations < max_evaluations && std::isfinite(best.value)) {
    // Variables at a bound that the gradient pushes outward stand still.
    Vector free = gradient;
    for (std::size_t i = 0; i < n; ++i) {
      if ((best.x[i] <= lower[i] && gradient[i] > 0) || (best.x[i] >= upper[i] && gradient[i] < 0)) free[i] = 0;
    }
    const double slope_squared = dot(free, free);
    if (!(slope_squared > 1e-16) || !std::isfinite(slope_squared)) break;
    Vector direction = descent(free, steps);
    for (std::size_t i = 0; i < n; ++i) {
      if (free[i] == 0) direction[i] = 0;
    }
    if (!(dot(direction, free) < 0)) {
      steps.clear();
      for (std::size_t i = 0; i < n; ++i) direction[i] = -free[i];
    }
    // No first step longer than a unit.
    double length = steps.empty() ? std::min(1.0, 1.0 / std::sqrt(slope_squared)) : 1.0;
    const double before = best.value;
    bool moved = false;
    while (best.evaluations < max_evaluations && length > 1e-10) {
      for (std::size_t i = 0; i < n; ++i) x[i] = best.x[i] + length * direction[i];
      clamp(x);
      double decrease = 0;
      for (std::size_t i = 0; i < n; ++i) decrease += free[i] * (x[i] - best.x[i]);
      const double value = function(x, new_gradient);
      ++best.evaluations;
      if (std::isfinite(value) && value <= best.value + armijo * decrease && value < best.value) {
        Step step{Vector(n), Vector(n)};
        for (std::size_t i = 0; i < n; ++i) {
          step.x[i] = x[i] - best.x[i];
          step.gradient[i] = new_gradient[i] - gradient[i];
        }
        step.curvature = dot(step.x, step.gradient);
        if (step.curvature > 1e-12) {
          steps.push_back(std::move(step));
          if (steps.size() > memory) steps.pop_front();
        }
        best.x = x;
        best.value = value;
        std::swap(gradient, new_gradient);
        moved = true;
        break;
      }
      length *= 0.4;
    }
    if (!moved || before - best.value < tolerance * (1 + std::abs(best.value))) break;
  }
  return best;
}

}  // namespace duet::learn
