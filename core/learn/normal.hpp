#pragma once
/// The normal distribution, and what is expected of it.

#include <cstddef>
#include <span>
#include <vector>

namespace duet::learn {

double normal_density(double z);
/// Φ; accurate in both tails.
double normal_cdf(double z);
/// log Φ, also where Φ underflows.
double log_normal_cdf(double z);
/// Φ⁻¹ for p in (0, 1): Acklam's rational approximation, refined by one step of Halley's method.
double normal_quantile(double p);

/// E[max(0, best - Y)] of Y with this mean and deviation ≥ 0: how much a minimum of `best` is expected to improve
/// (Mockus 1978; Jones, Schonlau and Welch, J. Global Optimization 13, 1998).
double expected_improvement(double best, double mean, double deviation);
/// Its logarithm, which still tells candidates apart where the improvement underflows (Ament et al., "Unexpected
/// improvements to expected improvement for Bayesian optimization", NeurIPS 2023).
double log_expected_improvement(double best, double mean, double deviation);

/// Targets to be minimised on a scale that does not waste resolution on the bad: what is worse than the median is
/// replaced by the normal quantile of its rank, measured in deviations of the better half (the half-rank transform of
/// Song et al., "The Vizier Gaussian process bandit algorithm", 2024, §3.1).
std::vector<double> half_rank(std::span<const double> values);

/// Targets to be minimised on a scale that grows finer towards the least: log(1 + (value - least) / (median - least)).
/// Values as they are where at least half of them are the least.
std::vector<double> log_above_least(std::span<const double> values);

}  // namespace duet::learn
