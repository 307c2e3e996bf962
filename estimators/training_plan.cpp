#include "estimators/training_plan.hpp"

#include <fmt/format.h>

#include "spaces/execution.hpp"

namespace duet {
namespace {

std::vector<bool> rows_per_image(const Network& network) {
  std::vector<bool> result(network.nodes().size());
  for (NodeId id = 0; id < result.size(); ++id) {
    const Node& node = network.node(id);
    result[id] = as<Input>(node) || as<Zeros>(node);
    for (const NodeId input : node.inputs) result[id] = result[id] || result[input];
  }
  return result;
}

NodeId scores_of(const Network& network) {
  NodeId id = network.output();
  while (true) {
    const Node& node = network.node(id);
    const auto* softmax = as<Softmax>(node);
    if (softmax != nullptr) {
      const std::int64_t axis =
          softmax->axis < 0 ? softmax->axis + static_cast<std::int64_t>(node.shape.size()) : softmax->axis;
      std::int64_t classes = 1;
      for (std::size_t i = 1; i < node.shape.size(); ++i) classes *= node.shape[i];
      if (node.shape[static_cast<std::size_t>(axis)] != classes) return id;
    } else if (as<Flatten>(node) == nullptr && as<Identity>(node) == nullptr) {
      return id;
    }
    id = node.inputs.front();
  }
}

/// Indices have no gradient, and a network of one output has one value.
bool has_gradient(const Node& node) {
  return is_executable(node) && !as<Embedding>(node) && !as<TopK>(node) && !as<Outputs>(node);
}

std::string kind_of(const Node& node) {
  if (const auto* op = as<Other>(node)) return fmt::format("'{}', known by its name only", op->type);
  if (const auto* op = as<Elementwise>(node)) return fmt::format("the function '{}'", op->function);
  if (const auto* op = as<Reduce>(node)) return fmt::format("the reduction '{}'", op->function);
  return fmt::format("a {}", name_of(node.op));
}

/// Whether a node that has a row for every image mixes them: an image's class would depend on its neighbours.
bool mixes_images(const Network& network, const Node& node, const std::vector<bool>& images, std::int64_t batch) {
  const auto rank = static_cast<std::int64_t>(node.shape.size());
  if (node.shape.empty() || node.shape.front() != batch) return true;
  const auto first_axis = [rank](std::int64_t axis) { return axis == 0 || axis == -rank; };
  if (const auto* op = as<Concat>(node); op && first_axis(op->axis)) return true;
  if (const auto* op = as<Softmax>(node); op && first_axis(op->axis)) return true;
  if (const auto* op = as<Reduce>(node); op && !op->axes.empty() && op->axes.front() == 0) return true;
  if (const auto* op = as<Transpose>(node); op && op->permutation.front() != 0) return true;
  if (const auto* op = as<Slice>(node); op && (op->starts.front() != 0 || op->steps.front() != 1)) return true;
  if (const auto* op = as<Pad>(node); op && (op->before.front() != 0 || op->after.front() != 0)) return true;
  const bool of_last_axis = as<Linear>(node) || as<LayerNormalization>(node) || as<RmsNormalization>(node);
  if (of_last_axis && rank == 1) return true;
  // A matrix of images times another: the first has the images as rows, the second must not.
  if (as<MatMul>(node) && rank == 2) return images[node.inputs[1]];
  if (node.inputs.size() == 1 && !as<Expand>(node)) return false;
  for (const NodeId source : node.inputs) {
    const Shape& shape = network.node(source).shape;
    const bool same_rank = shape.size() == node.shape.size();
    // Broadcasting aligns the last dimensions: the batch would meet another dimension.
    if (images[source] ? !same_rank : same_rank && shape.front() != 1) return true;
  }
  return false;
}

}  // namespace

std::optional<std::string> why_untrainable(const Network& network, std::int64_t height, std::int64_t width,
                                           std::int64_t classes) {
  if (network.nodes().empty()) return "the network is empty";

  const Node* input = nullptr;
  for (const Node& node : network.nodes()) {
    if (!std::holds_alternative<Input>(node.op)) continue;
    if (input != nullptr) {
      return fmt::format("the network has the inputs '{}' and '{}', but images are a single one", input->name,
                         node.name);
    }
    input = &node;
  }
  if (input == nullptr) return "the network has no input";
  const std::int64_t batch = input->shape.front();
  if (const Shape images{batch, 1, height, width}; input->shape != images) {
    return fmt::format("input '{}' has shape {}, but the images need {}", input->name,
                       to_string(input->shape), to_string(images));
  }

  const std::vector<bool> images = rows_per_image(network);
  for (NodeId id = 0; id < images.size(); ++id) {
    const Node& node = network.node(id);
    if (!has_gradient(node)) {
      return fmt::format("node '{}' is {}, which cannot be trained", node.name, kind_of(node));
    }
    if (images[id] && mixes_images(network, node, images, batch)) {
      return fmt::format("node '{}' ({}) with output {} does not keep the images of a batch apart", node.name,
                         name_of(node.op), to_string(node.shape));
    }
  }
  if (!images[network.output()]) return "the output does not depend on the input";

  const Node& output = network.node(network.output());
  std::int64_t values = 1;
  for (std::size_t i = 1; i < output.shape.size(); ++i) values *= output.shape[i];
  if (values != classes || output.shape.size() < 2) {
    return fmt::format("output '{}' has shape {}, but the data set has {} classes, which need {}",
                       output.name, to_string(output.shape), classes, to_string(Shape{batch, classes}));
  }
  if (network.parameters() == 0) return "the network has no parameters to train";
  return std::nullopt;
}

TrainingPlan::TrainingPlan(Network graph)
    : network(std::move(graph)),
      scores(scores_of(network)),
      users(network.nodes().size()),
      per_image(rows_per_image(network)) {
  for (NodeId id = 0; id < network.nodes().size(); ++id) {
    for (const NodeId input : network.node(id).inputs) users[input].push_back(id);
  }
}

bool TrainingPlan::foldable(NodeId id) const {
  const Node& node = network.node(id);
  if (as<BatchNormalization>(node) == nullptr) return false;
  const NodeId before = node.inputs.front();
  const Node& layer = network.node(before);
  const bool channels_first = as<Convolution>(layer) != nullptr;
  const bool features_first = as<Linear>(layer) != nullptr && layer.shape.size() == 2;
  return (channels_first || features_first) && only_user(before) != nullptr;
}

bool TrainingPlan::stored(NodeId id) const {
  const Node& node = network.node(id);
  if (id == scores) return false;
  const bool moves = as<Zeros>(node) || as<Identity>(node) || as<Flatten>(node) || as<Concat>(node) || as<Reshape>(node) ||
                     as<Transpose>(node) || as<Slice>(node) || as<Pad>(node) || as<Expand>(node) ||
                     (as<Resize>(node) && as<Resize>(node)->mode == "nearest") ||
                     (as<Pool>(node) && as<Pool>(node)->kind == Pool::Kind::max) ||
                     (as<WindowPool>(node) && as<WindowPool>(node)->kind == Pool::Kind::max);
  if (moves) return false;
  const Node* user = only_user(id);
  return user == nullptr || as<Input>(node) || !(as<Activation>(*user) || foldable(users[id].front()));
}

}  // namespace duet
