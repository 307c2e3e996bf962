#include "spaces/onnx_importer.hpp"

#include <algorithm>
#include <numeric>
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
  bool constant = true;
  for (const int i : {1, 2, 3, 4}) constant = constant && value(node, i).constant;
  if (!constant) {
    const std::size_t rank = shape(node, 0).size();
    Chain deviation(*this, node, per_channel(node, 4, rank));
    deviation.then("variance", Add{}, {fixed(node, "epsilon", real(node, "epsilon", static_cast<double>(1e-5F)))});
    deviation.then("deviation", Elementwise{"sqrt"});
    Chain chain(*this, node, input(node, 0));
    chain.then("centred", Elementwise{"sub"}, {per_channel(node, 3, rank)});
    chain.then("normalized", Elementwise{"div"}, {deviation.id()});
    chain.then("scaled", Multiply{}, {per_channel(node, 1, rank)});
    chain.then("shifted", Add{}, {per_channel(node, 2, rank)}).finish();
    entry_.note = "its numbers are computed: in several operators";
    return;
  }
  std::vector<FloatTensor> tensors;
  for (const int i : {1, 2, 3, 4}) tensors.push_back(tensor(node, i, channels));
  // duet's own epsilon and the rest of the file's: the same sum.
  const double more = real(node, "epsilon", static_cast<double>(1e-5F)) - static_cast<double>(1e-5F);
  for (float& variance : tensors[3].values) variance = static_cast<float>(static_cast<double>(variance) + more);
  finish(node, BatchNormalization{}, {input(node, 0)}, std::move(tensors));
}

/// (x − mean) / √(variance + ε) · scale + shift over all dimensions but batch and channels. A scale of ones and a shift of
/// zeros that are no parameters stand for none.
void Importer::instance_normalization(const NodeProto& node) {
  const Shape x_shape = shape(node, 0);
  if (x_shape.size() < 3) throw Refusal("needs at least one dimension beside batch and channels");
  for (const int i : {1, 2}) {
    if (count_of(shape(node, i)) != x_shape[1]) throw Refusal("its scale and shift do not fit the channels");
  }
  const auto all = [&](int i, double number) {
    const auto data = known(node, i);
    return data && !value(node, i).learned && std::all_of(data->begin(), data->end(), [number](double value) { return value == number; });
  };
  Ints axes(x_shape.size() - 2);
  std::iota(axes.begin(), axes.end(), 2);
  const NodeId x = input(node, 0);
  const NodeId mean = add(node, "mean", Reduce{"mean", axes, true}, {x});
  const NodeId centred = add(node, "centred", Elementwise{"sub"}, {x, mean});
  Chain deviation(*this, node, centred);
  deviation.then("squares", Multiply{}, {centred}).then("variance", Reduce{"mean", axes, true});
  deviation.then("bounded", Add{}, {fixed(node, "epsilon", real(node, "epsilon", static_cast<double>(1e-5F)))});
  deviation.then("deviation", Elementwise{"sqrt"});
  Chain chain(*this, node, centred);
  chain.then("normalized", Elementwise{"div"}, {deviation.id()});
  if (!all(1, 1)) chain.then("scaled", Multiply{}, {per_channel(node, 1, x_shape.size())});
  if (!all(2, 0)) chain.then("shifted", Add{}, {per_channel(node, 2, x_shape.size())});
  chain.finish();
  entry_.note = "in several operators";
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
  if (node.op_type() == "Hardmax") approximate("as a softmax");
  Chain chain(*this, node, input(node, 0));
  // Until opset 12 all dimensions from the axis on were one.
  const bool last = at + 1 == x_shape.size();
  const bool flat = opset_ < 13 && !last;
  if (flat) {
    const std::int64_t rows = count_of(Shape(x_shape.begin(), x_shape.begin() + static_cast<std::ptrdiff_t>(at)));
    chain.reshape({rows, count_of(x_shape) / rows});
  }
  if (node.op_type() == "LogSoftmax") {
    // From the largest number on, as what is far below it is rounded with it.
    const std::int64_t reduced = flat ? 1 : static_cast<std::int64_t>(at);
    const NodeId x = chain.id();
    chain.then("below_largest", Elementwise{"sub"}, {add(node, "largest", Reduce{"max", {reduced}, true}, {x})});
    const NodeId below = chain.id();
    chain.then("difference", Elementwise{"sub"}, {add(node, "total", Reduce{"log_sum_exp", {reduced}, true}, {below})});
  } else {
    chain.then("softmax", Softmax{last || flat ? -1 : static_cast<std::int64_t>(at)});
  }
  chain.reshape(extents(x_shape)).finish();
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

namespace {

/// Swaps a dimension with the last.
Ints swapped(std::size_t axis, std::size_t rank) {
  Ints permutation(rank);
  std::iota(permutation.begin(), permutation.end(), 0);
  std::swap(permutation[axis], permutation.back());
  return permutation;
}

}  // namespace

void Importer::top_k(const NodeProto& node) {
  const Shape x_shape = shape(node, 0);
  const std::size_t axis = axis_of(integer(node, "axis", -1), x_shape.size());
  const bool smallest = integer(node, "largest", 1) == 0;
  if (output_shape(node).size() != x_shape.size()) throw Refusal("its output has another number of dimensions");
  const std::int64_t k = output_shape(node)[axis];
  const Ints turned = swapped(axis, x_shape.size());
  Chain from(*this, node, input(node, 0));
  if (smallest) from.then("negative", Elementwise{"neg"});
  from.transpose(turned);
  const NodeId x = from.id();
  const bool values = has_output(node, 0) && uses_[node.output(0)] > 0;
  const bool indices = has_output(node, 1) && uses_[node.output(1)] > 0;
  for (const int i : {0, 1}) {
    if (i == 0 ? !values && indices : !indices) continue;
    Chain chain(*this, node, x);
    chain.then("found", TopK{k, i == 1}).transpose(turned);
    if (smallest && i == 0) chain.then("positive", Elementwise{"neg"});
    chain.finish(i);
  }
}

void Importer::arg_max(const NodeProto& node) {
  const Shape x_shape = shape(node, 0);
  if (x_shape.empty()) throw Refusal("takes no scalar");
  const std::size_t axis = axis_of(integer(node, "axis", 0), x_shape.size());
  if (integer(node, "select_last_index", 0) != 0) approximate("of equals the first is taken");
  Chain chain(*this, node, input(node, 0));
  if (node.op_type() == "ArgMin") chain.then("negative", Elementwise{"neg"});
  chain.transpose(swapped(axis, x_shape.size())).then("found", TopK{1, true});
  chain.transpose(swapped(axis, x_shape.size())).reshape(extents(output_shape(node))).finish();
}

}  // namespace duet::onnx_graph
