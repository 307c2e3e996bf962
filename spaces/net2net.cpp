#include "spaces/net2net.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <numeric>
#include <optional>
#include <set>
#include <string>

namespace duet {
namespace {

[[noreturn]] void refuse(const Node& node, const std::string& why) {
  throw NetworkError(fmt::format("node '{}' ({}): {}", node.name, name_of(node.op), why));
}

/// Which old channel each channel of a widened value is; nothing where the value stays as it is.
using ChannelMap = std::optional<std::vector<std::size_t>>;

std::size_t axis_1(const Node& node) {
  return static_cast<std::size_t>(node.shape.at(1));
}

/// Whether the operator treats every channel (axis 1) by itself and keeps their number.
bool channelwise(const Network& network, const Node& node) {
  if (const auto* convolution = std::get_if<Convolution>(&node.op)) {
    const std::int64_t channels = network.node(node.inputs[0]).shape[1];
    return channels > 1 && convolution->groups == channels && convolution->out_channels == channels;
  }
  return std::holds_alternative<BatchNormalization>(node.op) || std::holds_alternative<Activation>(node.op) ||
         std::holds_alternative<Pool>(node.op) || std::holds_alternative<WindowPool>(node.op) ||
         std::holds_alternative<GlobalPool>(node.op) || std::holds_alternative<Identity>(node.op);
}

/// Whether every output reads every channel of the input: what widening begins and ends with.
bool dense(const Network& network, const Node& node) {
  if (const auto* convolution = std::get_if<Convolution>(&node.op)) return convolution->groups == 1;
  return std::holds_alternative<Linear>(node.op) && network.node(node.inputs[0]).shape.size() == 2;
}

bool combines(const Node& node) {
  return std::holds_alternative<Add>(node.op) || std::holds_alternative<Multiply>(node.op);
}

/// Widens layers that belong together, all by the same choice of copies.
class Widening {
 public:
  Widening(const Network& network, NodeId layer, std::vector<std::size_t> choice)
      : network_(network), choice_(std::move(choice)), old_width_(axis_1(network.node(layer))), widened_{layer} {
    // Each round finds one more layer that has to be widened, so this ends.
    while (!propagate()) {
    }
    if (maps_[network.output()]) refuse(network.node(network.output()), "the output itself would become wider");
  }

  WeightedNetwork apply(const NetworkWeights& weights) const {
    WeightedNetwork result;
    for (NodeId id = 0; id < network_.nodes().size(); ++id) {
      const Node& node = network_.node(id);
      const ChannelMap& map = maps_[id];
      Operator op = node.op;
      std::vector<FloatTensor> tensors = weights[id];
      if (dense(network_, node) && maps_[node.inputs[0]]) shared_inputs(tensors[0], *maps_[node.inputs[0]]);
      if (map) {
        const auto width = static_cast<std::int64_t>(map->size());
        if (auto* convolution = std::get_if<Convolution>(&op)) {
          if (convolution->groups > 1) convolution->groups = width;
          convolution->out_channels = width;
        }
        if (auto* linear = std::get_if<Linear>(&op)) linear->out_features = width;
        if (auto* zeros = std::get_if<Zeros>(&op)) zeros->shape[1] = width;
        for (FloatTensor& tensor : tensors) copied(tensor, *map);
      }
      const NodeId added = result.network.add(node.name, std::move(op), node.inputs);
      if (node.format != NumberFormat{}) result.network.set_format(added, node.format);
      result.weights.push_back(std::move(tensors));
    }
    result.network.set_output(network_.output());
    return result;
  }

 private:
  /// Follows the copies through the network. \returns false where another layer has to be widened first.
  bool propagate() {
    maps_.assign(network_.nodes().size(), std::nullopt);
    for (NodeId id = 0; id < network_.nodes().size(); ++id) {
      const Node& node = network_.node(id);
      if (widened_.count(id) != 0) {
        maps_[id] = choice_;
        continue;
      }
      const auto mapped = [this](NodeId input) { return maps_[input].has_value(); };
      if (std::none_of(node.inputs.begin(), node.inputs.end(), mapped) || dense(network_, node)) continue;
      if (channelwise(network_, node)) {
        maps_[id] = maps_[node.inputs[0]];
      } else if (std::holds_alternative<Flatten>(node.op)) {
        maps_[id] = flattened(network_.node(node.inputs[0]).shape, *maps_[node.inputs[0]]);
      } else if (const auto* concat = std::get_if<Concat>(&node.op);
                 concat != nullptr &&
                 (concat->axis == 1 || concat->axis + static_cast<std::int64_t>(node.shape.size()) == 1)) {
        maps_[id] = joined(node);
      } else if (combines(node)) {
        const ChannelMap& map = maps_[*std::find_if(node.inputs.begin(), node.inputs.end(), mapped)];
        for (const NodeId input : node.inputs) {
          const Shape& shape = network_.node(input).shape;
          if (shape.size() != node.shape.size())
            refuse(node, "combines values of different ranks, of which one would become wider");
          if (shape[1] == 1 && node.shape[1] > 1) continue;  // the same for all channels
          if (!maps_[input]) {
            require(input, node);
            return false;
          }
          if (maps_[input] != map) refuse(node, "combines values that would become wider in different ways");
        }
        maps_[id] = map;
      } else {
        refuse(node, fmt::format("its input '{}' cannot become wider", network_.node(node.inputs[0]).name));
      }
    }
    return true;
  }

  /// Widens the layer whose channels arrive at `id`.
  void require(NodeId id, const Node& reader) {
    for (;;) {
      const Node& node = network_.node(id);
      const bool source = dense(network_, node) || std::holds_alternative<Zeros>(node.op);
      if (source && axis_1(node) == old_width_ && widened_.insert(id).second) return;
      if (source || (!channelwise(network_, node) && !combines(node))) {
        refuse(reader, fmt::format("combines what becomes wider with '{}', which cannot", node.name));
      }
      // Of a sum the first term that is not the same for all channels; the others follow in later rounds.
      id = *std::find_if(node.inputs.begin(), node.inputs.end(), [&](NodeId input) {
        const Shape& shape = network_.node(input).shape;
        return shape.size() == node.shape.size() && shape[1] == node.shape[1];
      });
    }
  }

  static std::vector<std::size_t> flattened(const Shape& shape, const std::vector<std::size_t>& map) {
    const auto block = static_cast<std::size_t>(elements(shape) / (shape[0] * shape[1]));
    std::vector<std::size_t> result;
    for (const std::size_t channel : map) {
      for (std::size_t i = 0; i < block; ++i) result.push_back(channel * block + i);
    }
    return result;
  }

  std::vector<std::size_t> joined(const Node& node) const {
    std::vector<std::size_t> result;
    std::size_t offset = 0;
    for (const NodeId input : node.inputs) {
      std::vector<std::size_t> part(axis_1(network_.node(input)));
      std::iota(part.begin(), part.end(), std::size_t{0});
      for (const std::size_t channel : maps_[input].value_or(part)) result.push_back(offset + channel);
      offset += part.size();
    }
    return result;
  }

  /// (out, in, …) → (out, copies, …), each copy with its part of the weight.
  static void shared_inputs(FloatTensor& tensor, const std::vector<std::size_t>& map) {
    const auto outputs = static_cast<std::size_t>(tensor.shape[0]), inputs = static_cast<std::size_t>(tensor.shape[1]);
    const std::size_t window = tensor.values.size() / (outputs * inputs);
    std::vector<float> copies(inputs, 0);
    for (const std::size_t channel : map) ++copies[channel];
    std::vector<float> values;
    values.reserve(outputs * map.size() * window);
    for (std::size_t o = 0; o < outputs; ++o) {
      for (const std::size_t channel : map) {
        for (std::size_t w = 0; w < window; ++w) {
          values.push_back(tensor.values[(o * inputs + channel) * window + w] / copies[channel]);
        }
      }
    }
    tensor.values = std::move(values);
    tensor.shape[1] = static_cast<std::int64_t>(map.size());
  }

  /// (channels, …) → (copies, …).
  static void copied(FloatTensor& tensor, const std::vector<std::size_t>& map) {
    const std::size_t row = tensor.values.size() / static_cast<std::size_t>(tensor.shape[0]);
    std::vector<float> values;
    values.reserve(map.size() * row);
    for (const std::size_t channel : map) {
      const auto begin = tensor.values.begin() + static_cast<std::ptrdiff_t>(channel * row);
      values.insert(values.end(), begin, begin + static_cast<std::ptrdiff_t>(row));
    }
    tensor.values = std::move(values);
    tensor.shape[0] = static_cast<std::int64_t>(map.size());
  }

  const Network& network_;
  std::vector<std::size_t> choice_;
  std::size_t old_width_;
  std::set<NodeId> widened_;
  std::vector<ChannelMap> maps_;
};

/// A copy of a network into which nodes are put.
class Insertion {
 public:
  Insertion(const Network& network, const NetworkWeights& weights) : network_(network), weights_(weights) {}

  /// A node of the old network, as it is now called.
  NodeId now(NodeId old) const { return new_id_[old]; }

  NodeId add(const std::string& name, Operator op, NodeIds inputs, std::vector<FloatTensor> tensors = {}) {
    std::string unique = name;
    for (int i = 2; network_.find(unique) || result_.network.find(unique); ++i) unique = fmt::format("{}{}", name, i);
    result_.weights.push_back(std::move(tensors));
    return result_.network.add(unique, std::move(op), std::move(inputs));
  }

  /// Copies all nodes; after `at` has been copied, `insert` adds more and says which of them its readers now read.
  WeightedNetwork after(NodeId at, const std::function<NodeId()>& insert) {
    for (NodeId id = 0; id < network_.nodes().size(); ++id) {
      Node node = network_.node(id);
      for (NodeId& input : node.inputs) input = new_id_[input];
      new_id_.push_back(result_.network.add(std::move(node.name), std::move(node.op), std::move(node.inputs)));
      if (node.format != NumberFormat{}) result_.network.set_format(new_id_.back(), node.format);
      result_.weights.push_back(weights_[id]);
      if (id == at) new_id_[at] = insert();
    }
    result_.network.set_output(new_id_[network_.output()]);
    return std::move(result_);
  }

 private:
  const Network& network_;
  const NetworkWeights& weights_;
  WeightedNetwork result_;
  std::vector<NodeId> new_id_;
};

FloatTensor filled(Shape shape, float value) {
  const auto size = static_cast<std::size_t>(elements(shape));
  return {std::move(shape), std::vector<float>(size, value)};
}

Convolution square_convolution(std::int64_t channels, std::int64_t kernel, std::int64_t stride_h,
                               std::int64_t stride_w) {
  return {.out_channels = channels,
          .kernel_h = kernel,
          .kernel_w = kernel,
          .stride_h = stride_h,
          .stride_w = stride_w,
          .padding_h = kernel / 2,
          .padding_w = kernel / 2};
}

/// Whether the value cannot be negative, as far as the operators say.
bool not_negative(const Network& network, NodeId id) {
  std::vector<bool> known(id + 1, false);  // nodes stand after their inputs
  for (NodeId at = 0; at <= id; ++at) {
    const Node& node = network.node(at);
    if (const auto* activation = std::get_if<Activation>(&node.op)) {
      known[at] = activation->kind == Activation::Kind::relu || activation->kind == Activation::Kind::relu6 ||
                  activation->kind == Activation::Kind::sigmoid;
      continue;
    }
    const bool passes = std::holds_alternative<Pool>(node.op) || std::holds_alternative<GlobalPool>(node.op) ||
                        std::holds_alternative<Identity>(node.op) || std::holds_alternative<Flatten>(node.op) ||
                        std::holds_alternative<Concat>(node.op) || std::holds_alternative<Slice>(node.op) ||
                        combines(node);
    known[at] =
        passes && std::all_of(node.inputs.begin(), node.inputs.end(), [&](NodeId input) { return known[input]; });
  }
  return known[id];
}

void require_node(const Network& network, NodeId id) {
  if (id >= network.nodes().size()) {
    throw NetworkError(fmt::format("node {} does not exist; there are {} nodes", id, network.nodes().size()));
  }
}

}  // namespace

WeightedNetwork widen(const Network& network, const NetworkWeights& weights, NodeId layer, std::int64_t width,
                      std::uint64_t seed) {
  check(network, weights);
  require_node(network, layer);
  const Node& node = network.node(layer);
  if (!dense(network, node))
    refuse(node, "only convolutions of one group and linear layers over features can be widened");
  const std::int64_t old = node.shape[1];
  if (width < old) refuse(node, fmt::format("has {} outputs and cannot be widened to {}", old, width));
  std::vector<std::size_t> choice(static_cast<std::size_t>(old));
  std::iota(choice.begin(), choice.end(), std::size_t{0});
  Random random(seed, "widen");
  while (choice.size() < static_cast<std::size_t>(width)) {
    choice.push_back(static_cast<std::size_t>(random.below(static_cast<std::uint64_t>(old))));
  }
  return Widening(network, layer, std::move(choice)).apply(weights);
}

WeightedNetwork deepen(const Network& network, const NetworkWeights& weights, NodeId node_id,
                       const Deepening& deepening) {
  check(network, weights);
  require_node(network, node_id);
  const Node& node = network.node(node_id);
  const bool image = node.shape.size() == 4;
  if (!image && node.shape.size() != 2) refuse(node, "is neither an image nor features");
  if (deepening.kernel < 1 || deepening.kernel % 2 == 0)
    refuse(node, fmt::format("kernel {} is not odd", deepening.kernel));
  if (deepening.relu && !not_negative(network, node_id)) {
    refuse(node, "may be negative, so that a ReLU after the new layer would change it");
  }
  Insertion insertion(network, weights);
  return insertion.after(node_id, [&] {
    const std::int64_t channels = node.shape[1];
    NodeId x = insertion.now(node_id);
    if (image) {
      const std::int64_t k = deepening.kernel;
      FloatTensor kernel = filled({channels, channels, k, k}, 0);
      for (std::int64_t c = 0; c < channels; ++c) {
        kernel.values[static_cast<std::size_t>(((c * channels + c) * k + k / 2) * k + k / 2)] = 1;
      }
      x = insertion.add(node.name + ".deeper", square_convolution(channels, k, 1, 1), {x}, {std::move(kernel)});
    } else {
      FloatTensor matrix = filled({channels, channels}, 0);
      for (std::int64_t c = 0; c < channels; ++c) matrix.values[static_cast<std::size_t>(c * channels + c)] = 1;
      x = insertion.add(node.name + ".deeper", Linear{channels, true}, {x}, {std::move(matrix), filled({channels}, 0)});
    }
    if (deepening.normalization) {
      const auto scale = static_cast<float>(std::sqrt(1 + 1e-5));  // it divides by √(variance + 1e-5)
      x = insertion.add(
          node.name + ".deeper_bn", BatchNormalization{}, {x},
          {filled({channels}, scale), filled({channels}, 0), filled({channels}, 0), filled({channels}, 1)});
    }
    return deepening.relu ? insertion.add(node.name + ".deeper_act", Activation{}, {x}) : x;
  });
}

WeightedNetwork add_skip_connection(const Network& network, const NetworkWeights& weights, NodeId from, NodeId to,
                                    std::int64_t kernel) {
  check(network, weights);
  require_node(network, to);
  const Node& target = network.node(to);
  if (from >= to) refuse(target, "a skip connection leads to it from a node before it only");
  const Node& source = network.node(from);
  const std::string name = target.name + ".skip";
  Insertion insertion(network, weights);
  return insertion.after(to, [&] {
    NodeId branch = 0;
    const NodeId x = insertion.now(from);
    if (kernel < 1 || kernel % 2 == 0) refuse(target, fmt::format("kernel {} is not odd", kernel));
    if (source.shape.size() == 4 && target.shape.size() == 4) {
      const std::int64_t h = source.shape[2] / target.shape[2], w = source.shape[3] / target.shape[3];
      if (h < 1 || w < 1 || (source.shape[2] - 1) / h + 1 != target.shape[2] ||
          (source.shape[3] - 1) / w + 1 != target.shape[3]) {
        refuse(target, fmt::format("no stride makes {} of '{}' its {}", to_string(source.shape), source.name,
                                   to_string(target.shape)));
      }
      branch = insertion.add(name, square_convolution(target.shape[1], kernel, h, w), {x},
                             {filled({target.shape[1], source.shape[1], kernel, kernel}, 0)});
    } else if (source.shape.size() == 2 && target.shape.size() == 2) {
      branch =
          insertion.add(name, Linear{target.shape[1], false}, {x}, {filled({target.shape[1], source.shape[1]}, 0)});
    } else {
      refuse(target, fmt::format("'{}' and it are not both images or both features", source.name));
    }
    return insertion.add(name + "_add", Add{}, {insertion.now(to), branch});
  });
}

}  // namespace duet
