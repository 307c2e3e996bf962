#pragma once
/// A small neural network that predicts a mean and how far off it may be.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/learn/columns.hpp"
#include "core/random.hpp"

namespace duet::learn {

struct NetworkSettings {
  std::size_t hidden = 16;     ///< units in each of the two hidden layers
  double learning_rate = 0.01;
  double decay = 1e-3;         ///< of the weights, per unit of learning rate
  std::size_t batch = 32;
};

/// Two hidden layers of tanh and two outputs, the mean and the logarithm of the variance of the target: a heteroscedastic
/// regression (Nix and Weigend, "Estimating the mean and variance of the target probability distribution", ICNN 1994),
/// trained by Adam (Kingma and Ba, ICLR 2015) on the negative log likelihood. Smooth in its inputs, so that they can be
/// optimised. A regular value.
class Network {
 public:
  Network() = default;
  Network(std::size_t inputs, NetworkSettings settings, Random random);

  /// `steps` more steps of Adam on batches drawn from the rows. Targets should be standardised (Scale).
  void train(Rows rows, std::span<const double> targets, std::size_t steps, Random& random);

  struct Prediction {
    double mean = 0, deviation = 0;
  };
  Prediction predict(std::span<const double> input) const;
  /// The same; writes the gradients of mean and of deviation with respect to the inputs.
  Prediction predict(std::span<const double> input, std::span<double> mean_gradient,
                     std::span<double> deviation_gradient) const;

  /// Mean negative log likelihood of the rows, up to a constant, without decay; writes the gradient with respect to
  /// parameters(). Public for tests.
  double loss(Rows rows, std::span<const double> targets, std::span<double> gradient) const;
  std::vector<double>& parameters() { return parameters_; }

 private:
  struct Layout;

  std::size_t inputs_ = 0;
  NetworkSettings settings_;
  std::vector<double> parameters_;
  std::vector<double> first_moment_, second_moment_;
  std::uint64_t steps_ = 0;
};

}  // namespace duet::learn
