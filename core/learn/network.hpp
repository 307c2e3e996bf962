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

  /// Before train(): teaches the two hidden layers what is known of any input at no cost, by as many steps on the squared
  /// error of `statistics`, standardised, a row for each of `rows`; each statistic has a linear output of its own, which is
  /// forgotten afterwards (Dai et al., "FBNetV3", CVPR 2021, section 3.2.2).
  void pretrain(Rows rows, Rows statistics, std::size_t steps, Random& random);

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
  /// Half the mean squared error of the statistics, the same with respect to parameters() and to the outputs' weights
  /// (statistics × hidden, by column, then the offsets). Public for tests.
  double statistics_loss(Rows rows, Rows statistics, std::span<const double> head, std::span<double> gradient,
                         std::span<double> head_gradient) const;
  std::vector<double>& parameters() { return parameters_; }

 private:
  struct Layout;
  struct Hidden;
  struct Adam {
    std::vector<double> first_moment, second_moment;
    std::uint64_t steps = 0;
    void step(std::span<double> parameters, std::span<const double> gradient, const NetworkSettings& settings);
  };

  std::size_t inputs_ = 0;
  NetworkSettings settings_;
  std::vector<double> parameters_;
  Adam adam_;
};

}  // namespace duet::learn
