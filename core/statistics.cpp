#include "core/statistics.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>
#include <numeric>

#include <boost/math/special_functions/erf.hpp>
#include <boost/math/special_functions/gamma.hpp>

namespace duet {
namespace {

constexpr std::size_t largest_exact_test = 50;

double normal_density(double z) { return std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi); }

/// Sum of t³ - t over the groups of t equal values: what all corrections for ties are made of.
double ties(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  double sum = 0;
  for (std::size_t begin = 0, end = 0; begin < sorted.size(); begin = end) {
    while (end < sorted.size() && sorted[end] == sorted[begin]) ++end;
    const auto t = static_cast<double>(end - begin);
    sum += t * t * t - t;
  }
  return sum;
}

/// P(W ≤ w) where W is the sum of the ranks, each counted with probability 1/2. Twice a mid-rank is a whole number.
double signed_rank_cdf(std::span<const double> ranks, double w) {
  std::vector<double> probability{1.0};  // by twice the rank sum
  for (const double rank : ranks) {
    const auto step = static_cast<std::size_t>(std::lround(2 * rank));
    std::vector<double> next(probability.size() + step, 0.0);
    for (std::size_t sum = 0; sum < probability.size(); ++sum) {
      next[sum] += probability[sum] / 2;
      next[sum + step] += probability[sum] / 2;
    }
    probability = std::move(next);
  }
  const auto last = static_cast<std::ptrdiff_t>(std::lround(2 * w)) + 1;
  return std::accumulate(probability.begin(), probability.begin() + last, 0.0);
}

}  // namespace

double quantile(std::span<const double> values, double p) {
  assert(!values.empty());
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const double position = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double share = position - static_cast<double>(below);
  // Equal neighbours are taken as they are: infinity - infinity would be NaN.
  return sorted[below] == sorted[above] ? sorted[below] : sorted[below] + share * (sorted[above] - sorted[below]);
}

double median(std::span<const double> values) { return quantile(values, 0.5); }

std::vector<double> mid_ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    const double mean = (static_cast<double>(begin + 1) + static_cast<double>(end)) / 2;
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = mean;
  }
  return ranks;
}

double normal_cdf(double z) { return std::erfc(-z / std::numbers::sqrt2) / 2; }

double normal_quantile(double p) {
  assert(p > 0 && p < 1);
  return -std::numbers::sqrt2 * boost::math::erfc_inv(2 * p);
}

FriedmanTest friedman_test(std::span<const std::vector<double>> blocks) {
  assert(!blocks.empty() && blocks[0].size() >= 2);
  const auto n = static_cast<double>(blocks.size());
  const auto k = static_cast<double>(blocks[0].size());
  FriedmanTest test;
  test.mean_ranks.assign(blocks[0].size(), 0);
  double tied = 0;
  for (const std::vector<double>& block : blocks) {
    assert(block.size() == test.mean_ranks.size());
    const std::vector<double> ranks = mid_ranks(block);
    for (std::size_t i = 0; i < ranks.size(); ++i) test.mean_ranks[i] += ranks[i] / n;
    tied += ties(block);
  }
  const double correction = 1 - tied / (n * k * (k * k - 1));
  if (correction <= 0) return test;
  double squares = 0;
  for (const double rank : test.mean_ranks) squares += (rank - (k + 1) / 2) * (rank - (k + 1) / 2);
  test.statistic = 12 * n / (k * (k + 1)) * squares / correction;
  test.p_value = boost::math::gamma_q((k - 1) / 2, test.statistic / 2);
  return test;
}

double studentized_range_survival(double q, std::size_t k) {
  assert(k >= 2);
  if (q <= 0) return 1;
  // P(range ≤ q) = k ∫ φ(z) (Φ(z) - Φ(z - q))^(k-1) dz, z being the largest. For an analytic integrand that vanishes at
  // both ends the trapezoidal rule converges exponentially: at this step its error is that of rounding.
  constexpr double step = 0.1;
  double sum = 0;
  for (double z = -9; z <= 9 + q; z += step) {
    sum += normal_density(z) * std::pow(normal_cdf(z) - normal_cdf(z - q), static_cast<double>(k) - 1);
  }
  return std::clamp(1 - static_cast<double>(k) * sum * step, 0.0, 1.0);
}

double nemenyi_p_value(double difference, std::size_t k, std::size_t n) {
  const auto treatments = static_cast<double>(k);
  const double error = std::sqrt(treatments * (treatments + 1) / (6 * static_cast<double>(n)));
  return studentized_range_survival(std::abs(difference) / error * std::numbers::sqrt2, k);
}

double nemenyi_critical_difference(std::size_t k, std::size_t n, double alpha) {
  double low = 0;
  auto high = static_cast<double>(k) * 10;  // far beyond any difference of ranks that could be needed
  for (int i = 0; i < 50; ++i) {
    const double middle = (low + high) / 2;
    (nemenyi_p_value(middle, k, n) > alpha ? low : high) = middle;
  }
  return high;
}

WilcoxonTest wilcoxon_signed_rank_test(std::span<const double> a, std::span<const double> b) {
  assert(a.size() == b.size());
  std::vector<double> sizes;
  std::vector<bool> positive;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;
    sizes.push_back(std::abs(a[i] - b[i]));
    positive.push_back(a[i] > b[i]);
  }
  WilcoxonTest test;
  test.pairs = sizes.size();
  if (sizes.empty()) return test;
  const std::vector<double> ranks = mid_ranks(sizes);
  double plus = 0;
  for (std::size_t i = 0; i < ranks.size(); ++i) plus += positive[i] ? ranks[i] : 0;
  const auto n = static_cast<double>(sizes.size());
  const double total = n * (n + 1) / 2;
  test.statistic = std::min(plus, total - plus);
  if (sizes.size() <= largest_exact_test) {
    test.p_value = std::min(1.0, 2 * signed_rank_cdf(ranks, test.statistic));
  } else {
    const double variance = n * (n + 1) * (2 * n + 1) / 24 - ties(sizes) / 48;
    test.p_value = std::min(1.0, 2 * normal_cdf((test.statistic - total / 2) / std::sqrt(variance)));
  }
  return test;
}

double wilcoxon_smallest_p_value(std::size_t pairs) {
  return std::min(1.0, std::pow(2.0, 1 - static_cast<double>(pairs)));
}

std::vector<double> holm_adjusted(std::span<const double> p_values) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(p_values.size());
  double largest = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    largest = std::max(largest, std::min(1.0, p_values[order[i]] * static_cast<double>(order.size() - i)));
    adjusted[order[i]] = largest;
  }
  return adjusted;
}

double probability_smaller(std::span<const double> a, std::span<const double> b) {
  assert(!a.empty() && !b.empty());
  double wins = 0;
  for (const double x : a) {
    for (const double y : b) wins += x < y ? 1 : x == y ? 0.5 : 0;
  }
  return wins / (static_cast<double>(a.size()) * static_cast<double>(b.size()));
}

double wilcoxon_power(std::size_t pairs, double probability, double alpha) {
  assert(probability >= 0 && probability <= 1 && alpha > 0 && alpha < 1);
  const double shift = std::sqrt(3 * static_cast<double>(pairs)) * std::abs(probability - 0.5);
  return normal_cdf(shift - normal_quantile(1 - alpha / 2));
}

}  // namespace duet
