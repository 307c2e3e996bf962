#include "spaces/weights.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numbers>

namespace duet {
namespace {

using Start = WeightSlot::Start;

class Slots {
 public:
  explicit Slots(const Shape& input) : input_(input) {}

  std::vector<WeightSlot> operator()(const Convolution& op) const {
    const std::int64_t channels = input_[1] / op.groups;
    return with_bias({"weight",
                      {op.out_channels, channels, op.kernel_h, op.kernel_w},
                      Start::random,
                      channels * op.kernel_h * op.kernel_w},
                     op.out_channels, op.bias);
  }
  std::vector<WeightSlot> operator()(const TransposedConvolution& op) const {
    return with_bias({"weight",
                      {input_[1], op.out_channels / op.groups, op.kernel_h, op.kernel_w},
                      Start::random,
                      input_[1] / op.groups * op.kernel_h * op.kernel_w},
                     op.out_channels, op.bias);
  }
  std::vector<WeightSlot> operator()(const Linear& op) const {
    return with_bias({"weight", {op.out_features, input_.back()}, Start::random, input_.back()}, op.out_features, op.bias);
  }
  std::vector<WeightSlot> operator()(const BatchNormalization&) const {
    const Shape channels{input_[1]};
    return {{"scale", channels, Start::ones},
            {"shift", channels, Start::zeros},
            {"mean", channels, Start::zeros},
            {"variance", channels, Start::ones}};
  }
  std::vector<WeightSlot> operator()(const LayerNormalization&) const {
    return {{"scale", {input_.back()}, Start::ones}, {"shift", {input_.back()}, Start::zeros}};
  }
  std::vector<WeightSlot> operator()(const RmsNormalization&) const {
    return {{"scale", {input_.back()}, Start::ones}};
  }
  std::vector<WeightSlot> operator()(const Embedding& op) const {
    return {{"table", {op.entries, op.features}, Start::random, op.features}};
  }
  std::vector<WeightSlot> operator()(const Constant& op) const {
    const Start start = op.content != Constant::Content::unsaid ? Start::content : op.learned ? Start::random : Start::ones;
    return {{"", op.shape, start, op.shape.empty() ? 1 : op.shape.back()}};
  }
  template <class Plain>
  std::vector<WeightSlot> operator()(const Plain&) const {
    return {};
  }

 private:
  static std::vector<WeightSlot> with_bias(WeightSlot weight, std::int64_t outputs, bool bias) {
    std::vector<WeightSlot> slots{std::move(weight)};
    if (bias) slots.push_back({"bias", {outputs}, Start::zeros});
    return slots;
  }

  const Shape& input_;
};

std::vector<float> uniform(const Shape& shape, std::int64_t fan_in, Random random) {
  const auto bound = static_cast<float>(std::sqrt(6.0 / static_cast<double>(fan_in)));
  std::vector<float> values(static_cast<std::size_t>(elements(shape)));
  for (std::size_t i = 0; i < values.size(); i += 2) {
    const std::uint64_t bits = random.bits();
    const auto number = [&](std::uint64_t word) {
      return bound * (static_cast<float>(static_cast<std::uint32_t>(word) >> 8) * 0x1p-23F - 1.0F);
    };
    values[i] = number(bits);
    if (i + 1 < values.size()) values[i + 1] = number(bits >> 32);
  }
  return values;
}

/// Element (row, column) of a matrix of so many rows and columns.
double element(const Constant& op, std::int64_t row, std::int64_t column, std::int64_t rows, std::int64_t columns) {
  using Content = Constant::Content;
  constexpr double pi = std::numbers::pi, never = -1e9;
  const auto r = static_cast<double>(row), c = static_cast<double>(column), n = static_cast<double>(rows);
  const auto rotary_angle = [&] {
    const auto pair = static_cast<double>(column % (columns / 2)), pairs = static_cast<double>(columns / 2);
    return static_cast<double>(op.first + row) * std::pow(static_cast<double>(op.number), -pair / pairs);
  };
  const auto fourier_angle = [&] { return 2 * pi * static_cast<double>(row * column % rows) / n; };
  switch (op.content) {
    case Content::unsaid:
    case Content::number:
      return static_cast<double>(op.number);
    case Content::causal_mask:
      return column - row <= op.first ? 0 : never;
    case Content::rotary_cosines:
      return std::cos(rotary_angle());
    case Content::rotary_sines:
      return std::sin(rotary_angle());
    case Content::cosine_transform:
      return std::sqrt((row == 0 ? 1 : 2) / n) * std::cos(pi * r * (2 * c + 1) / (2 * n));
    case Content::fourier_cosines:
      return std::cos(fourier_angle());
    case Content::fourier_sines:
      return std::sin(fourier_angle());
  }
  return 0;
}

}  // namespace

std::vector<float> content_of(const Constant& constant) {
  const Shape& shape = constant.shape;
  std::vector<float> values(static_cast<std::size_t>(elements(shape)), constant.number);
  if (constant.content == Constant::Content::unsaid || constant.content == Constant::Content::number) return values;
  const std::int64_t rows = shape[shape.size() - 2], columns = shape.back();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto position = static_cast<std::int64_t>(i);
    values[i] = static_cast<float>(element(constant, position / columns % rows, position % columns, rows, columns));
  }
  return values;
}

std::vector<WeightSlot> weight_slots(const Network& network, NodeId id) {
  const Node& node = network.node(id);
  const bool shared = std::holds_alternative<Embedding>(node.op) && node.inputs.size() == 2;
  if (shared) return {};
  const Shape none;
  return std::visit(Slots(node.inputs.empty() ? none : network.node(node.inputs[0]).shape), node.op);
}

std::vector<FloatTensor> InitialWeights::next() {
  const Node& node = network_.node(id_);
  // Matrices for sequences are drawn as files hold them, (in, out).
  const bool lies = std::holds_alternative<Linear>(node.op) && network_.node(node.inputs[0]).shape.size() != 2;
  std::vector<FloatTensor> tensors;
  for (WeightSlot& slot : weight_slots(network_, id_)) {
    FloatTensor& made = tensors.emplace_back(FloatTensor{std::move(slot.shape), {}});
    if (slot.start == Start::random) {
      made.values = uniform(made.shape, slot.fan_in, Random(seed_, "onnx weights", stream_));
      if (lies) made = transposed({{made.shape[1], made.shape[0]}, std::move(made.values)});
    } else if (slot.start == Start::content) {
      made.values = content_of(std::get<Constant>(node.op));
    } else {
      made.values.assign(static_cast<std::size_t>(elements(made.shape)), slot.start == Start::ones ? 1.0F : 0.0F);
    }
    if (slot.start != Start::zeros) ++stream_;
  }
  ++id_;
  return tensors;
}

NetworkWeights initial_weights(const Network& network, std::uint64_t seed) {
  InitialWeights draw(network, seed);
  NetworkWeights weights;
  for (NodeId id = 0; id < network.nodes().size(); ++id) weights.push_back(draw.next());
  return weights;
}

void check(const Network& network, const NetworkWeights& weights) {
  if (weights.size() != network.nodes().size()) {
    throw NetworkError(
        fmt::format("there are weights for {} nodes, the network has {}", weights.size(), network.nodes().size()));
  }
  for (NodeId id = 0; id < weights.size(); ++id) {
    const Node& node = network.node(id);
    const auto fail = [&node](const std::string& why) {
      throw NetworkError(fmt::format("node '{}' ({}): {}", node.name, name_of(node.op), why));
    };
    const std::vector<WeightSlot> slots = weight_slots(network, id);
    if (weights[id].size() != slots.size()) {
      fail(fmt::format("holds {} tensors, got {}", slots.size(), weights[id].size()));
    }
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const FloatTensor& tensor = weights[id][i];
      const std::string what = slots[i].name.empty() ? "value" : std::string(slots[i].name);
      if (tensor.shape != slots[i].shape) {
        fail(fmt::format("its {} has shape {}, got {}", what, to_string(slots[i].shape), to_string(tensor.shape)));
      }
      if (tensor.values.size() != static_cast<std::size_t>(elements(tensor.shape))) {
        fail(fmt::format("its {} of shape {} has {} numbers", what, to_string(tensor.shape), tensor.values.size()));
      }
    }
  }
}

FloatTensor transposed(const FloatTensor& matrix) {
  const auto rows = static_cast<std::size_t>(matrix.shape[0]), columns = static_cast<std::size_t>(matrix.shape[1]);
  FloatTensor result{{matrix.shape[1], matrix.shape[0]}, std::vector<float>(matrix.values.size())};
  // Tiles, so that neither side leaves the cache.
  constexpr std::size_t tile = 32;
  for (std::size_t i0 = 0; i0 < rows; i0 += tile) {
    for (std::size_t j0 = 0; j0 < columns; j0 += tile) {
      for (std::size_t i = i0; i < std::min(rows, i0 + tile); ++i) {
        for (std::size_t j = j0; j < std::min(columns, j0 + tile); ++j) {
          result.values[j * rows + i] = matrix.values[i * columns + j];
        }
      }
    }
  }
  return result;
}

}  // namespace duet
