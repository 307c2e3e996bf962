#pragma once
/// Gaussian process regression over mixed inputs.
///
///   GaussianProcess(columns)  →  tune(rows, targets)  →  condition(rows)  →  set_targets(targets)  →  predict
///                                                            └→ append(row)* / truncate(rows)
///
/// Regular values; a const object may be used from several threads at once. Targets should be standardised (Scale).

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/learn/columns.hpp"

namespace duet::learn {

/// Every column i has a correlation k_i in (0, 1] between two cells:
///
///   numbers      (1 + t + t²/3) exp(-t), t = √5 |a - b| / length_i                          (Matérn 5/2)
///   categories   1 if equal, else exp(-w_i,a - w_i,b): a Hamming kernel with a weight for each category
///   one absent   exp(-v_i); both absent: 1. So presence itself tells something, and an absent parameter nothing else
///                (after Lévesque et al., "Bayesian optimization for conditional hyperparameter spaces", IJCNN 2017).
///
/// The covariance is an additive model of first and second order beside the product of all columns (Duvenaud,
/// Nickisch and Rasmussen, "Additive Gaussian processes", NeurIPS 2011, orders 1, 2 and d):
///
///   a_1 mean_i k_i + a_2 mean_{i<j} k_i k_j + a_d Π_i k_i^ρ  (+ noise on the diagonal)
///
/// where the common exponent ρ lets the product reach farther than its factors.
class GaussianProcess {
 public:
  explicit GaussianProcess(std::vector<Column> columns);

  /// Sets the hyperparameters to a maximum of the posterior density: the marginal likelihood of the targets times
  /// log-normal priors, by L-BFGS from the present hyperparameters and, with `restart`, also from the prior's mode; the
  /// better one stays. O(evaluations · rows³). What it was conditioned on is forgotten. \returns objective() there; infinity
  /// if it could not be computed, and 0 for less than two rows, which teach nothing.
  double tune(Rows rows, std::span<const double> targets, std::size_t max_evaluations, bool restart = true);

  /// Factorises the covariance of the rows: O(rows³). If it is not positive definite in floating point, the diagonal is
  /// raised until it is: by 1e-10 of the variance at first, then tenfold. Sets all targets to 0.
  void condition(Rows rows);
  /// One row more: O(rows²). Targets have to be set before the next prediction.
  void append(std::span<const double> row);
  /// Forgets all rows from number `rows` on, and sets all targets to 0.
  void truncate(std::size_t rows);
  std::size_t rows() const { return size_; }
  /// Targets of all rows: O(rows²).
  void set_targets(std::span<const double> targets);
  std::span<const double> targets() const { return targets_; }

  /// Mean of the latent function: O(rows · columns) each.
  void predict_mean(Rows at, std::span<double> mean) const;
  /// Mean and variance of the latent function, without the noise: O(rows²) each. The variance is never negative.
  void predict(Rows at, std::span<double> mean, std::span<double> variance) const;

  double noise_variance() const { return noise_; }
  /// Of the latent function before anything is known.
  double prior_variance() const { return amplitude_[0] + amplitude_[1] + amplitude_[2]; }

  // --- The objective of tune(), public for tests.
  const std::vector<double>& hyperparameters() const { return theta_; }  ///< logarithms, where positive
  void set_hyperparameters(std::vector<double> theta);
  /// Negative log posterior density up to a constant; writes the gradient. Infinity where the covariance cannot be
  /// factorised.
  double objective(Rows rows, std::span<const double> targets, std::span<const double> theta,
                   std::span<double> gradient) const;

 private:
  struct Coded;
  struct Correlations {
    std::vector<double> factor, log;
  };
  void correlate(std::span<const double> theta, std::size_t column, double cell, std::span<const double> cells,
                 Correlations& out) const;
  void cross(std::span<const double> row, double* out) const;  // covariance with all rows
  void solve();

  std::vector<Column> columns_;
  // Where the hyperparameters of a column begin: of numbers the length; of categories the common weight, then the
  // deviation of each if there are more than two; then, if optional, the weight of presence. Behind the columns: three
  // amplitudes, the exponent, the noise.
  std::vector<std::size_t> offset_;
  std::vector<double> theta_;
  std::vector<double> prior_mean_, prior_deviation_, lower_, upper_;
  double amplitude_[3] = {0, 0, 0};
  double exponent_ = 1;
  double noise_ = 0;

  std::size_t size_ = 0;      // rows
  std::size_t capacity_ = 0;  // rows that there is room for
  double jitter_ = 0;
  std::vector<std::vector<double>> values_;         // by column: the different cells
  std::vector<std::vector<std::uint32_t>> codes_;   // by column and row: position in values_
  std::vector<double> factor_;                      // Cholesky: capacity_ × capacity_, lower, by column
  std::vector<double> targets_, weights_;           // weights: covariance⁻¹ targets
};

}  // namespace duet::learn
