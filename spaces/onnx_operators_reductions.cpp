#include "spaces/onnx_importer.hpp"

#include <onnx/onnx_pb.h>
#include <set>

namespace duet::onnx_graph {

using onnx::NodeProto;

void Importer::batch_normalization(const NodeProto& node) {
  if (integer(node, "training_mode", 0) != 0) approximate("in training mode");
  for (int i = 1; i < node.output_size(); ++i) {
    if (!node.output(i).empty()) {
      values_[node.output(i)].constant = true;
      values_[node.output(i)].shape = shape(node, 1);
    }
  }
  if (shape(node, 0).size() < 2) return other(node, "counted only", 0, 2 * count_of(shape(node, 1)), {0});
  if (count_of(shape(node, 1)) != shape(node, 0)[1]) throw Refusal("the scale does not fit the input");
  const Shape channels{shape(node, 0)[1]};
  std::vector<FloatTensor> tensors;
  for (const int i : {1, 2, 3, 4}) tensors.push_back(tensor(node, i, channels));
  // duet's own epsilon and the rest of the file's: the same sum.
  const double more = real(node, "epsilon", static_cast<double>(1e-5F)) - static_cast<double>(1e-5F);
  for (float& variance : tensors[3].values) variance = static_cast<float>(static_cast<double>(variance) + more);
  finish(node, BatchNormalization{}, {input(node, 0)}, std::move(tensors));
}

void Importer::layer_normalization(const NodeProto& node) {
  const Shape x_shape = shape(node, 0);
  const std::size_t axis = axis_of(integer(node, "axis", -1), x_shape.size());
  const bool bias = has(node, 2);
  bool statistics = false;
  for (int i = 1; i < node.output_size(); ++i) statistics = statistics || uses_[node.output(i)] > 0;
  const std::int64_t features = count_of(Shape(x_shape.begin() + static_cast<std::ptrdiff_t>(axis), x_shape.end()));
  if (statistics || !bias || !value(node, 1).constant || !value(node, 2).constant || count_of(shape(node, 1)) != features || x_shape.size() < 2) {
    return other(node, "counted only", 0, value(node, 1).constant ? count_of(shape(node, 1)) : 0, {0});
  }
  NodeId x = input(node, 0);
  const LayerNormalization op{static_cast<float>(real(node, "epsilon", static_cast<double>(1e-5F)))};
  std::vector<FloatTensor> tensors{tensor(node, 1, {features}), tensor(node, 2, {features})};
  if (axis + 1 == x_shape.size()) return finish(node, op, {x}, std::move(tensors));
  x = add(node, "flat", Reshape{{count_of(x_shape) / features, features}}, {x});
  x = add(node, "normalized", op, {x}, std::move(tensors));
  finish(node, Reshape{x_shape}, {x});
}

void Importer::softmax(const NodeProto& node) {
  const Shape x_shape = shape(node, 0);
  const std::int64_t axis = integer(node, "axis", opset_ < 13 ? 1 : -1);
  if (x_shape.empty()) throw Refusal("takes no scalar");
  const std::size_t at = axis_of(axis, x_shape.size());
  if (node.op_type() != "Softmax") approximate("as a softmax");
  const NodeId x = input(node, 0);
  if (opset_ >= 13 || at + 1 == x_shape.size()) {
    const bool last = at + 1 == x_shape.size();
    return finish(node, Softmax{last ? -1 : static_cast<std::int64_t>(at)}, {x});
  }
  // Until opset 12 all dimensions from the axis on were one.
  const std::int64_t rows = count_of(Shape(x_shape.begin(), x_shape.begin() + static_cast<std::ptrdiff_t>(at)));
  const NodeId flat = add(node, "flat", Reshape{{rows, count_of(x_shape) / rows}}, {x});
  const NodeId made = add(node, "softmax", Softmax{}, {flat});
  finish(node, Reshape{x_shape}, {made});
}

void Importer::reduce(const NodeProto& node) {
  const Shape x_shape = shape(node, 0);
  std::string function = snake_case(node.op_type().substr(6));
  std::optional<Ints> axes = list(node, "axes", 1);
  const bool keep = integer(node, "keepdims", 1) != 0;
  const NodeId x = input(node, 0);
  if (axes && axes->empty() && integer(node, "noop_with_empty_axes", 0) != 0) return finish(node, Identity{}, {x});
  if (x_shape.empty()) return finish(node, Reduce{function, {0}, true}, {x});
  std::set<std::int64_t> sorted;
  for (const std::int64_t axis : axes.value_or(Ints{})) {
    sorted.insert(static_cast<std::int64_t>(axis_of(axis, x_shape.size())));
  }
  if (!axes || axes->empty()) {
    for (std::size_t i = 0; i < x_shape.size(); ++i) sorted.insert(static_cast<std::int64_t>(i));
  }
  finish(node, Reduce{function, Ints(sorted.begin(), sorted.end()), keep}, {x});
}

void Importer::top_k(const NodeProto& node) {
  const Shape x_shape = shape(node, 0);
  const std::size_t axis = axis_of(integer(node, "axis", -1), x_shape.size());
  if (axis + 1 != x_shape.size()) return other(node, "not along the last dimension");
  if (integer(node, "largest", 1) == 0) approximate("as the largest");
  const Shape made = output_shape(node);
  const NodeId x = input(node, 0);
  bool named = false;
  for (const int i : {0, 1}) {
    if (i >= node.output_size() || node.output(i).empty() || uses_[node.output(i)] == 0) continue;
    const std::string name = named ? node.output(i) : label(node);
    set_output(node, network_.add(unique(name), TopK{made.back(), i == 1}, {x}), i);
    named = true;
  }
  if (!named) set_output(node, network_.add(unique(label(node)), TopK{made.back(), false}, {x}), 0);
}

}  // namespace duet::onnx_graph
