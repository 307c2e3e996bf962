#pragma once
/// What training asks of a network's graph, before any number is computed.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "spaces/network.hpp"

namespace duet {

/// Why `network` cannot be trained on images (1, height, width) of so many classes, as one sentence; nothing
/// if it can: one input of (N, 1, height, width), one output with `classes` values per image, every node that the input
/// reaches one row per image.
std::optional<std::string> why_untrainable(const Network& network, std::int64_t height, std::int64_t width,
                                           std::int64_t classes);

/// The operator, if it is of that type.
template <class Op>
const Op* as(const Node& node) {
  return std::get_if<Op>(&node.op);
}

/// A network with what follows from its graph alone.
struct TrainingPlan {
  explicit TrainingPlan(Network graph);

  /// The node that alone uses the value of `id`, if there is just one.
  const Node* only_user(NodeId id) const {
    return users[id].size() == 1 && id != scores ? &network.node(users[id].front()) : nullptr;
  }
  /// Whether a batch normalisation can be merged into the convolution or linear layer before it.
  bool foldable(NodeId id) const;
  /// Whether the value of `id` becomes words of the machine: what is computed and stored does; what is only
  /// moved, or goes from an accumulator straight into a nonlinearity or out as a score, does not.
  bool stored(NodeId id) const;

  Network network;
  /// The node whose values are the classes' scores: the output, or what it merely reshapes or normalises. A softmax over all
  /// classes changes neither their order nor the cross-entropy's input.
  NodeId scores;
  std::vector<std::vector<NodeId>> users;
  /// Which nodes have a row for every image of a batch: those that an input reaches, and zeros. The others, constants and what
  /// is computed from them, are the same for all.
  std::vector<bool> per_image;
};

}  // namespace duet
