#include "core/learn/network.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include <Eigen/Core>

namespace duet::learn {
namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;
using ConstMatrixMap = Eigen::Map<const Matrix>;
using MatrixMap = Eigen::Map<Matrix>;
using ConstVectorMap = Eigen::Map<const Vector>;
using VectorMap = Eigen::Map<Vector>;

// Bounds of the log variance of standardised targets; a softer bound than clamping keeps the gradient alive.
constexpr double middle_log_variance = -3;
constexpr double half_range = 5;

double bounded(double raw) { return middle_log_variance + half_range * std::tanh(raw / half_range); }
double bounded_slope(double raw) {
  const double t = std::tanh(raw / half_range);
  return 1 - t * t;
}

}  // namespace

/// Where the parameters stand: matrices by column, each followed by its offsets.
struct Network::Layout {
  Eigen::Index inputs, hidden;
  Eigen::Index first = 0, first_offset, second, second_offset, third, third_offset, size;

  Layout(std::size_t in, std::size_t width)
      : inputs(static_cast<Eigen::Index>(in)), hidden(static_cast<Eigen::Index>(width)) {
    first_offset = hidden * inputs;
    second = first_offset + hidden;
    second_offset = second + hidden * hidden;
    third = second_offset + hidden;
    third_offset = third + 2 * hidden;
    size = third_offset + 2;
  }
};

Network::Network(std::size_t inputs, NetworkSettings settings, Random random) : inputs_(inputs), settings_(settings) {
  const Layout layout(inputs, settings.hidden);
  parameters_.assign(static_cast<std::size_t>(layout.size), 0);
  const auto fill = [&](Eigen::Index begin, Eigen::Index count, Eigen::Index fan_in) {
    const double deviation = 1 / std::sqrt(static_cast<double>(std::max<Eigen::Index>(1, fan_in)));
    for (Eigen::Index i = begin; i < begin + count; ++i) {
      parameters_[static_cast<std::size_t>(i)] = deviation * random.normal();
    }
  };
  fill(layout.first, layout.hidden * layout.inputs, layout.inputs);
  fill(layout.second, layout.hidden * layout.hidden, layout.hidden);
  fill(layout.third, 2 * layout.hidden, layout.hidden);
}

/// The two hidden layers for n inputs, a column each.
struct Network::Hidden {
  Matrix first, second;

  Hidden(const double* p, const Layout& at, const ConstMatrixMap& x) {
    first = ConstMatrixMap(p + at.first, at.hidden, at.inputs) * x;
    first.colwise() += ConstVectorMap(p + at.first_offset, at.hidden);
    first = first.array().tanh();
    second = ConstMatrixMap(p + at.second, at.hidden, at.hidden) * first;
    second.colwise() += ConstVectorMap(p + at.second_offset, at.hidden);
    second = second.array().tanh();
  }
  /// From the slopes of the second layer's outputs to those of the parameters below the head.
  void backwards(const double* p, const Layout& at, const ConstMatrixMap& x, Matrix back, double* g) const {
    back = (back.array() * (1 - second.array().square())).matrix().eval();
    MatrixMap(g + at.second, at.hidden, at.hidden).noalias() = back * first.transpose();
    VectorMap(g + at.second_offset, at.hidden) = back.rowwise().sum();
    back = ((ConstMatrixMap(p + at.second, at.hidden, at.hidden).transpose() * back).array() *
            (1 - first.array().square())).matrix().eval();
    MatrixMap(g + at.first, at.hidden, at.inputs).noalias() = back * x.transpose();
    VectorMap(g + at.first_offset, at.hidden) = back.rowwise().sum();
  }
};

double Network::loss(Rows rows, std::span<const double> targets, std::span<double> gradient) const {
  assert(rows.size() == targets.size() && gradient.size() == parameters_.size());
  const Layout at(inputs_, settings_.hidden);
  const auto n = static_cast<Eigen::Index>(rows.size());
  const double* p = parameters_.data();
  double* g = gradient.data();
  const ConstMatrixMap x(rows.data.data(), at.inputs, n);
  const ConstMatrixMap w3(p + at.third, 2, at.hidden);
  const Hidden hidden(p, at, x);
  Matrix out = w3 * hidden.second;
  out.colwise() += ConstVectorMap(p + at.third_offset, 2);

  double value = 0;
  Matrix slope(2, n);
  const double each = 1 / static_cast<double>(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    const double difference = out(0, i) - targets[static_cast<std::size_t>(i)];
    const double log_variance = bounded(out(1, i));
    const double precision = std::exp(-log_variance);
    value += 0.5 * each * (log_variance + difference * difference * precision);
    slope(0, i) = each * difference * precision;
    slope(1, i) = 0.5 * each * (1 - difference * difference * precision) * bounded_slope(out(1, i));
  }
  MatrixMap(g + at.third, 2, at.hidden).noalias() = slope * hidden.second.transpose();
  VectorMap(g + at.third_offset, 2) = slope.rowwise().sum();
  hidden.backwards(p, at, x, w3.transpose() * slope, g);
  return value;
}

double Network::statistics_loss(Rows rows, Rows statistics, std::span<const double> head, std::span<double> gradient,
                                std::span<double> head_gradient) const {
  const Layout at(inputs_, settings_.hidden);
  const auto n = static_cast<Eigen::Index>(rows.size());
  const auto count = static_cast<Eigen::Index>(statistics.columns);
  assert(statistics.size() == rows.size() && gradient.size() == parameters_.size());
  assert(head.size() == statistics.columns * (settings_.hidden + 1) && head.size() == head_gradient.size());
  const ConstMatrixMap x(rows.data.data(), at.inputs, n), y(statistics.data.data(), count, n);
  const ConstMatrixMap weights(head.data(), count, at.hidden);
  const Hidden hidden(parameters_.data(), at, x);
  Matrix slope = weights * hidden.second - y;
  slope.colwise() += ConstVectorMap(head.data() + count * at.hidden, count);
  const double each = 1 / static_cast<double>(n * count);
  const double value = 0.5 * each * slope.squaredNorm();
  slope *= each;
  std::fill(gradient.begin(), gradient.end(), 0.0);
  MatrixMap(head_gradient.data(), count, at.hidden).noalias() = slope * hidden.second.transpose();
  VectorMap(head_gradient.data() + count * at.hidden, count) = slope.rowwise().sum();
  hidden.backwards(parameters_.data(), at, x, weights.transpose() * slope, gradient.data());
  return value;
}

void Network::pretrain(Rows rows, Rows statistics, std::size_t steps, Random& random) {
  if (rows.size() == 0 || statistics.columns == 0) return;
  const std::size_t width = statistics.columns;
  std::vector<double> head(width * (settings_.hidden + 1), 0);
  for (std::size_t i = 0; i < width * settings_.hidden; ++i) {
    head[i] = random.normal() / std::sqrt(static_cast<double>(settings_.hidden));
  }
  const std::size_t batch = std::min(settings_.batch, rows.size());
  std::vector<double> inputs, outputs, gradient(parameters_.size()), head_gradient(head.size());
  Adam below, above;
  for (std::size_t step = 0; step < steps; ++step) {
    inputs.clear();
    outputs.clear();
    for (std::size_t k = 0; k < batch; ++k) {
      const std::size_t i = batch == rows.size() ? k : random.below(rows.size());
      inputs.insert(inputs.end(), rows[i].begin(), rows[i].end());
      outputs.insert(outputs.end(), statistics[i].begin(), statistics[i].end());
    }
    statistics_loss({inputs, inputs_}, {outputs, width}, head, gradient, head_gradient);
    below.step(parameters_, gradient, settings_);  // the gradient of the outputs of train() is 0: they only decay
    above.step(head, head_gradient, settings_);
  }
}

void Network::train(Rows rows, std::span<const double> targets, std::size_t steps, Random& random) {
  assert(rows.size() == targets.size());
  if (targets.empty()) return;
  const std::size_t batch = std::min(settings_.batch, targets.size());
  std::vector<double> inputs, outputs, gradient(parameters_.size());
  for (std::size_t step = 0; step < steps; ++step) {
    inputs.clear();
    outputs.clear();
    for (std::size_t k = 0; k < batch; ++k) {
      const std::size_t i = batch == targets.size() ? k : random.below(targets.size());
      inputs.insert(inputs.end(), rows[i].begin(), rows[i].end());
      outputs.push_back(targets[i]);
    }
    loss({inputs, inputs_}, outputs, gradient);
    adam_.step(parameters_, gradient, settings_);
  }
}

void Network::Adam::step(std::span<double> parameters, std::span<const double> gradient,
                         const NetworkSettings& settings) {
  constexpr double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  first_moment.resize(parameters.size(), 0);
  second_moment.resize(parameters.size(), 0);
  ++steps;
  const double correction1 = 1 - std::pow(beta1, static_cast<double>(steps));
  const double correction2 = 1 - std::pow(beta2, static_cast<double>(steps));
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    first_moment[i] = beta1 * first_moment[i] + (1 - beta1) * gradient[i];
    second_moment[i] = beta2 * second_moment[i] + (1 - beta2) * gradient[i] * gradient[i];
    const double direction = first_moment[i] / correction1 / (std::sqrt(second_moment[i] / correction2) + epsilon);
    parameters[i] -= settings.learning_rate * (direction + settings.decay * parameters[i]);
  }
}

Network::Prediction Network::predict(std::span<const double> input) const { return predict(input, {}, {}); }

Network::Prediction Network::predict(std::span<const double> input, std::span<double> mean_gradient,
                                     std::span<double> deviation_gradient) const {
  assert(input.size() == inputs_);
  const Layout at(inputs_, settings_.hidden);
  const double* p = parameters_.data();
  const ConstVectorMap x(input.data(), at.inputs);
  const ConstMatrixMap w1(p + at.first, at.hidden, at.inputs), w2(p + at.second, at.hidden, at.hidden),
      w3(p + at.third, 2, at.hidden);
  const Vector h1 = (w1 * x + ConstVectorMap(p + at.first_offset, at.hidden)).array().tanh();
  const Vector h2 = (w2 * h1 + ConstVectorMap(p + at.second_offset, at.hidden)).array().tanh();
  const Vector out = w3 * h2 + ConstVectorMap(p + at.third_offset, 2);
  const Prediction prediction{out(0), std::exp(0.5 * bounded(out(1)))};
  if (mean_gradient.empty()) return prediction;
  const auto backwards = [&](Eigen::Index output, double factor, std::span<double> gradient) {
    const Vector second = w3.row(output).transpose().array() * (1 - h2.array().square());
    const Vector first = (w2.transpose() * second).array() * (1 - h1.array().square());
    VectorMap(gradient.data(), at.inputs) = factor * (w1.transpose() * first);
  };
  backwards(0, 1, mean_gradient);
  backwards(1, 0.5 * prediction.deviation * bounded_slope(out(1)), deviation_gradient);
  return prediction;
}

}  // namespace duet::learn
