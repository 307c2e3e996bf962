#include "core/learn/normal.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

namespace duet::learn {
namespace {

constexpr double log_root_two_pi = 0.91893853320467274178;
constexpr double least_deviation = 1e-12;

/// φ(z) + z Φ(z), the expected improvement in units of the deviation.
double improvement(double z) { return normal_density(z) + z * normal_cdf(z); }

double log_improvement(double z) {
  if (z > -25) return std::log(improvement(z));
  const double w = 1 / (z * z);  // asymptotic series, error below 1e-9 here
  return -0.5 * z * z - log_root_two_pi + std::log(w) + std::log1p(-3 * w + 15 * w * w - 105 * w * w * w);
}

}  // namespace

double normal_density(double z) { return std::exp(-0.5 * z * z - log_root_two_pi); }

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

double log_normal_cdf(double z) {
  if (z > -25) return std::log(normal_cdf(z));
  const double w = 1 / (z * z);
  return -0.5 * z * z - log_root_two_pi - std::log(-z) + std::log1p(-w + 3 * w * w - 15 * w * w * w);
}

double normal_quantile(double p) {
  constexpr double a[] = {-3.969683028665376e+01, 2.209460984245205e+02, -2.759285104469687e+02,
                          1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
  constexpr double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                          6.680131188771972e+01, -1.328068155288572e+01};
  constexpr double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                          -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
  constexpr double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                          3.754408661907416e+00};
  const double tail = std::min(p, 1 - p);
  double z = 0;
  if (tail < 0.02425) {
    const double q = std::sqrt(-2 * std::log(tail));
    z = (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
        ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
    if (p > 0.5) z = -z;
  } else {
    const double q = p - 0.5;
    const double r = q * q;
    z = (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
        (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
  }
  const double error = normal_cdf(z) - p;
  const double step = error / normal_density(z);
  return z - step / (1 + z * step / 2);
}

double expected_improvement(double best, double mean, double deviation) {
  if (deviation < least_deviation) return std::max(0.0, best - mean);
  return deviation * improvement((best - mean) / deviation);
}

double log_expected_improvement(double best, double mean, double deviation) {
  deviation = std::max(deviation, least_deviation);
  return std::log(deviation) + log_improvement((best - mean) / deviation);
}

std::vector<double> half_rank(std::span<const double> values) {
  std::vector<double> result(values.begin(), values.end());
  const std::size_t n = values.size();
  if (n < 3) return result;
  std::vector<double> sorted = result;
  std::sort(sorted.begin(), sorted.end());
  const double median = sorted[(n - 1) / 2];
  // The unit: halves of it, as the range of the largest doubles overflows.
  double largest = 0;
  for (std::size_t i = 0; sorted[i] < median; ++i) largest = std::max(largest, median / 2 - sorted[i] / 2);
  if (!(largest > 0)) return result;
  double squares = 0;
  std::size_t better = 0;
  for (; sorted[better] < median; ++better) {
    const double part = (median / 2 - sorted[better] / 2) / largest;
    squares += part * part;
  }
  const double deviation = largest * std::sqrt(squares / static_cast<double>(better)) * 2;
  if (!std::isfinite(deviation)) return result;
  for (double& value : result) {
    if (value <= median) continue;
    const auto low = std::lower_bound(sorted.begin(), sorted.end(), value) - sorted.begin();
    const auto high = std::upper_bound(sorted.begin(), sorted.end(), value) - sorted.begin();
    const double rank = 0.5 * static_cast<double>(low + high);  // of equals the middle
    const double z = normal_quantile(std::clamp(rank / static_cast<double>(n), 0.5, 1 - 0.5 / static_cast<double>(n)));
    value = std::min(value, median + deviation * z);
  }
  return result;
}

std::vector<double> log_above_least(std::span<const double> values) {
  std::vector<double> result(values.begin(), values.end());
  if (values.empty()) return result;
  std::vector<double> sorted = result;
  std::sort(sorted.begin(), sorted.end());
  const double least = sorted.front();
  // Halves, because the range of the largest doubles overflows.
  const double unit = sorted[(sorted.size() - 1) / 2] / 2 - least / 2;
  if (!(unit > 0)) return result;
  for (double& value : result) value = std::log1p((value / 2 - least / 2) / unit);
  return result;
}

}  // namespace duet::learn
