#include "spaces/wfg.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

namespace duet {
namespace {

using std::numbers::pi;
using Values = std::vector<double>;
using Part = std::span<const double>;

/// The transformations leave [0, 1] by rounding only.
double unit(double y) { return std::clamp(y, 0.0, 1.0); }

// --- Transformation functions (table XI)

double bias_polynomial(double y, double alpha) { return unit(std::pow(y, alpha)); }

double bias_flat(double y, double a, double b, double c) {
  return unit(a + std::min(0.0, std::floor(y - b)) * a * (b - y) / b -
              std::min(0.0, std::floor(c - y)) * (1 - a) * (y - c) / (1 - c));
}

/// b_param with A = 0.98 / 49.98, B = 0.02, C = 50, as all problems use it.
double bias_parameter(double y, double u) {
  constexpr double a = 0.98 / 49.98, b = 0.02, c = 50;
  const double v = a - (1 - 2 * u) * std::abs(std::floor(0.5 - u) + a);
  return unit(std::pow(y, b + (c - b) * v));
}

double shift_linear(double y, double a = 0.35) { return unit(std::abs(y - a) / std::abs(std::floor(a - y) + a)); }

/// s_decept with A = 0.35, B = 0.001, C = 0.05.
double shift_deceptive(double y) {
  constexpr double a = 0.35, b = 0.001, c = 0.05;
  const double left = std::floor(y - a + b) * (1 - c + (a - b) / b) / (a - b);
  const double right = std::floor(a + b - y) * (1 - c + (1 - a - b) / b) / (1 - a - b);
  return unit(1 + (std::abs(y - a) - b) * (left + right + 1 / b));
}

double shift_multimodal(double y, double a, double b, double c) {
  const double distance = std::abs(y - c) / (2 * (std::floor(c - y) + c));
  const double angle = (4 * a + 2) * pi * (0.5 - distance);
  return unit((1 + std::cos(angle) + 4 * b * distance * distance) / (b + 2));
}

double mean(Part y) {
  double sum = 0;
  for (const double value : y) sum += value;
  return unit(sum / static_cast<double>(y.size()));
}

double nonseparable(Part y, std::size_t degree) {
  const std::size_t n = y.size();
  double sum = 0;
  for (std::size_t j = 0; j < n; ++j) {
    sum += y[j];
    for (std::size_t i = 0; i + 1 < degree; ++i) sum += std::abs(y[j] - y[(j + i + 1) % n]);
  }
  const double a = static_cast<double>(degree);
  const double half = std::ceil(a / 2);
  return unit(sum / (static_cast<double>(n) / a * half * (1 + 2 * a - 2 * half)));
}

// --- Reductions to one value per objective: groups of position parameters, then all distance parameters.

template <class Reduce>
Values reduce(Part y, std::size_t k, std::size_t objectives, const Reduce& reduction) {
  Values t;
  const std::size_t size = k / (objectives - 1);
  for (std::size_t i = 0; i + 1 < objectives; ++i) t.push_back(reduction(y.subspan(i * size, size), i * size));
  t.push_back(reduction(y.subspan(k), k));
  return t;
}

Values reduce_mean(Part y, std::size_t k, std::size_t objectives) {
  return reduce(y, k, objectives, [](Part group, std::size_t) { return mean(group); });
}

Values reduce_nonseparable(Part y, std::size_t k, std::size_t objectives) {
  return reduce(y, k, objectives, [](Part group, std::size_t) { return nonseparable(group, group.size()); });
}

// --- Shapes (table X)

/// The product form that linear, convex and concave shapes share: rising(x1) … rising(x_{M-m}) falling(x_{M-m+1}).
template <class Rising, class Falling>
double product_shape(Part x, std::size_t m, const Rising& rising, const Falling& falling) {
  const std::size_t last = x.size() - (m - 1);  // m = 1: no falling factor
  double value = 1;
  for (std::size_t i = 0; i < last; ++i) value *= rising(x[i]);
  if (m > 1) value *= falling(x[last]);
  return value;
}

double linear(Part x, std::size_t m) {
  return product_shape(x, m, [](double v) { return v; }, [](double v) { return 1 - v; });
}
double convex(Part x, std::size_t m) {
  return product_shape(x, m, [](double v) { return 1 - std::cos(v * pi / 2); },
                       [](double v) { return 1 - std::sin(v * pi / 2); });
}
double concave(Part x, std::size_t m) {
  return product_shape(x, m, [](double v) { return std::sin(v * pi / 2); },
                       [](double v) { return std::cos(v * pi / 2); });
}
double mixed(double x) { return 1 - x - std::cos(10 * pi * x + pi / 2) / (10 * pi); }
double disconnected(double x) {
  const double cosine = std::cos(5 * x * pi);
  return 1 - x * cosine * cosine;
}

double shape(int number, Part x, std::size_t m, std::size_t objectives) {
  if (number == 1) return m == objectives ? mixed(x[0]) : convex(x, m);
  if (number == 2) return m == objectives ? disconnected(x[0]) : convex(x, m);
  return number == 3 ? linear(x, m) : concave(x, m);
}

/// The transition vectors of each problem (table XIV): y in [0, 1]^n to one value per objective.
Values transform(int number, Values y, std::size_t k, std::size_t objectives) {
  const std::size_t n = y.size();
  switch (number) {
    case 1: {
      for (std::size_t i = k; i < n; ++i) y[i] = bias_flat(shift_linear(y[i]), 0.8, 0.75, 0.85);
      for (double& value : y) value = bias_polynomial(value, 0.02);
      return reduce(y, k, objectives, [](Part group, std::size_t first) {
        double sum = 0, weights = 0;
        for (std::size_t i = 0; i < group.size(); ++i) {
          const double weight = 2 * static_cast<double>(first + i + 1);
          sum += weight * group[i];
          weights += weight;
        }
        return unit(sum / weights);
      });
    }
    case 2:
    case 3: {
      for (std::size_t i = k; i < n; ++i) y[i] = shift_linear(y[i]);
      Values paired(y.begin(), y.begin() + static_cast<std::ptrdiff_t>(k));
      for (std::size_t i = k; i + 1 < n; i += 2) paired.push_back(nonseparable(Part(y).subspan(i, 2), 2));
      return reduce_mean(paired, k, objectives);
    }
    case 4:
      for (double& value : y) value = shift_multimodal(value, 30, 10, 0.35);
      return reduce_mean(y, k, objectives);
    case 5:
      for (double& value : y) value = shift_deceptive(value);
      return reduce_mean(y, k, objectives);
    case 6:
      for (std::size_t i = k; i < n; ++i) y[i] = shift_linear(y[i]);
      return reduce_nonseparable(y, k, objectives);
    case 7: {
      const Values before = y;
      for (std::size_t i = 0; i < k; ++i) y[i] = bias_parameter(before[i], mean(Part(before).subspan(i + 1)));
      for (std::size_t i = k; i < n; ++i) y[i] = shift_linear(y[i]);
      return reduce_mean(y, k, objectives);
    }
    case 8: {
      const Values before = y;
      for (std::size_t i = k; i < n; ++i) {
        y[i] = shift_linear(bias_parameter(before[i], mean(Part(before).first(i))));
      }
      return reduce_mean(y, k, objectives);
    }
    default: {
      const Values before = y;
      for (std::size_t i = 0; i + 1 < n; ++i) y[i] = bias_parameter(before[i], mean(Part(before).subspan(i + 1)));
      for (std::size_t i = 0; i < n; ++i) {
        y[i] = i < k ? shift_deceptive(y[i]) : shift_multimodal(y[i], 30, 95, 0.35);
      }
      return reduce_nonseparable(y, k, objectives);
    }
  }
}

/// f_m = x_M + 2m h_m(x_1 … x_{M-1}).
Point scaled_shape(int number, Part x, double distance, std::size_t objectives) {
  Point point;
  for (std::size_t m = 1; m <= objectives; ++m) {
    point.push_back(distance + 2 * static_cast<double>(m) * shape(number, x, m, objectives));
  }
  return point;
}

}  // namespace

std::vector<double> wfg(int number, std::span<const double> z, std::size_t k, std::size_t objectives) {
  assert(number >= 1 && number <= 9 && objectives >= 2 && k % (objectives - 1) == 0 && k < z.size());
  Values y(z.size());
  for (std::size_t i = 0; i < z.size(); ++i) y[i] = unit(z[i] / (2 * static_cast<double>(i + 1)));
  const Values t = transform(number, std::move(y), k, objectives);
  Values x;
  for (std::size_t i = 0; i + 1 < objectives; ++i) {
    const double degenerate = number == 3 && i > 0 ? 0 : 1;
    x.push_back(std::max(t.back(), degenerate) * (t[i] - 0.5) + 0.5);
  }
  return scaled_shape(number, x, t.back(), objectives);
}

Point wfg_shape(int number, std::span<const double> x, std::size_t objectives) {
  return scaled_shape(number, x, 0, objectives);
}

}  // namespace duet
