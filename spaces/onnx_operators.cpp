#include "spaces/onnx_importer.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>
#include <onnx/onnx_pb.h>

#include "spaces/onnx_functions.hpp"

namespace duet::onnx_graph {

using onnx::AttributeProto;
using onnx::NodeProto;
using onnx::TensorProto;

void Importer::import(const NodeProto& node, const Pattern* pattern) {
  if (node.output_size() == 0) throw Refusal("has no output");
  for (const AttributeProto& candidate : node.attribute()) {
    if (candidate.has_g() || candidate.graphs_size() > 0) throw Refusal("control flow is not supported");
  }
  format_ = {};
  if (pattern != nullptr) {
    import_pattern(node, *pattern);
    return;
  }
  check_attributes(node);
  for (int i = 0; i < node.input_size(); ++i) {
    if (has(node, i) && value(node, i).type == TensorProto::STRING) throw Refusal("strings are not supported");
  }
  infer(node);
  const std::string& type = node.op_type();
  if (type == "Einsum") shape_einsum(node);
  if (finds_elements(type)) shape_found(node);
  if (fold(node)) return;
  if (node.domain() == own_domain && type == deformable_sampling) return sampling(node);
  if (!node.domain().empty() && node.domain() != "ai.onnx") return foreign(node);

  if (type == "Conv" || type == "QLinearConv" || type == "ConvInteger") return convolution(node);
  if (type == "ConvTranspose") return transposed_convolution(node);
  if (type == "Gemm") return gemm(node);
  if (type == "MatMul" || type == "QLinearMatMul" || type == "MatMulInteger") return matmul(node);
  if (type == "MaxPool" || type == "AveragePool") return pool(node);
  if (type == "GlobalAveragePool" || type == "GlobalMaxPool") return global_pool(node);
  if (type == "BatchNormalization") return batch_normalization(node);
  if (type == "LayerNormalization") return layer_normalization(node);
  if (type == "Softmax" || type == "LogSoftmax" || type == "Hardmax") return softmax(node);
  if (type == "Relu") return finish(node, Activation{Activation::Kind::relu}, {input(node, 0)});
  if (type == "Sigmoid") return finish(node, Activation{Activation::Kind::sigmoid}, {input(node, 0)});
  if (type == "Tanh") return finish(node, Activation{Activation::Kind::tanh}, {input(node, 0)});
  if (type == "HardSwish") return finish(node, Activation{Activation::Kind::hard_swish}, {input(node, 0)});
  if (type == "Clip" && is_relu6(node)) {
    return finish(node, Activation{Activation::Kind::relu6}, {input(node, 0)});
  }
  if (type == "Add" || type == "Sum") return nary(node, Add{});
  if (type == "Mul") return nary(node, Multiply{});
  if (type == "Identity") return finish(node, Identity{}, {input(node, 0)});
  if (type == "Dropout") return dropout(node);
  if (type == "Concat") return concat(node);
  if (type == "Flatten") return flatten(node);
  if (type == "Reshape" || type == "Squeeze" || type == "Unsqueeze") return reshape(node);
  if (type == "Transpose") return transpose(node);
  if (type == "Split") return split(node);
  if (type == "Slice") return slice(node);
  if (type == "Gather") return gather(node);
  if (type == "Expand") return finish(node, Expand{extents(output_shape(node))}, {input(node, 0)});
  if (type == "Pad") return pad(node);
  if (type == "Resize" || type == "Upsample") return resize(node);
  if (type == "TopK") return top_k(node);
  if (type == "ArgMax" || type == "ArgMin") return arg_max(node);
  if (type == "DepthToSpace" || type == "SpaceToDepth") return depth_and_space(node);
  if (type == "Tile") return tile(node);
  if (type == "Trilu") return triangle(node);
  if (type.starts_with("Reduce")) return reduce(node);
  if (is_elementwise(type)) return elementwise(node);
  if (type == "Einsum") return einsum(node);
  if (type == "LSTM" || type == "GRU" || type == "RNN") return recurrent(node);
  if (type == "InstanceNormalization") return instance_normalization(node);
  if (type == "OneHot") shape_one_hot(node);
  if (finds_elements(type)) return other(node, "finds as many as --dim says");
  return other(node, "its shape and counts only");
}

/// Operators whose result has as many elements as they find.
bool Importer::finds_elements(const std::string& type) { return type == "NonZero" || type == "NonMaxSuppression"; }

void Importer::shape_found(const NodeProto& node) {
  Value& made = values_.at(node.output(0));
  const bool non_zero = node.op_type() == "NonZero";
  const auto rank = non_zero ? static_cast<std::int64_t>(shape(node, 0).size()) : 3;
  std::int64_t count = 0;
  if (const auto data = known(node, 0); non_zero && data && rank > 0) {
    count = std::count_if(data->begin(), data->end(), [](double x) { return x != 0; });
  } else {
    auto given = dimensions_.find(node.output(0));
    if (given == dimensions_.end()) given = dimensions_.find(node.op_type());
    if (given == dimensions_.end() && made.shape) return;  // the file says it
    if (given == dimensions_.end()) {
      throw Refusal(fmt::format("how many elements it finds depends on data; say it with --dim {}=COUNT, or of all such nodes with --dim {}=COUNT",
                                node.output(0), node.op_type()));
    }
    count = given->second;
    if (count < 1 || count > max_count) throw Refusal(fmt::format("finds {} elements, must be at least 1", count));
  }
  made.type = TensorProto::INT64;
  made.shape = non_zero ? Shape{rank, count} : Shape{count, rank};
}

void Importer::foreign(const NodeProto& node) {
  for (const std::string& output : node.output()) {
    if (output.empty() || uses_[output] == 0 || values_.at(output).shape) continue;
    throw Refusal(fmt::format("an operator from outside ONNX ('{}'), and the file does not say the shape of '{}'", node.domain(), output));
  }
  other(node, "an operator from outside ONNX");
}

void Importer::import_pattern(const NodeProto& node, const Pattern& pattern) {
  const auto found = values_.find(pattern.input);
  if (found == values_.end()) throw Refusal(fmt::format("input '{}' is not computed before it", pattern.input));
  const NodeId x = materialise(pattern.input, found->second);
  const int type = found->second.type;
  // A vector is a row.
  const Shape x_shape = network_.node(x).shape;
  const bool vector = x_shape.size() == 1;
  Chain rows(*this, node, x);
  const bool by_rows = pattern.kind != Pattern::Kind::gelu && pattern.kind != Pattern::Kind::silu &&
                       pattern.kind != Pattern::Kind::hard_swish;
  if (vector && by_rows) rows.reshape({1, x_shape[0]});
  const auto unrowed = [vector](Chain& made) {
    Shape to = made.shape();
    if (vector) to.erase(to.end() - 2);
    made.reshape(to).finish();
  };
  switch (pattern.kind) {
    case Pattern::Kind::gelu:
      finish(node, Activation{Activation::Kind::gelu}, {x});
      break;
    case Pattern::Kind::silu:
      finish(node, Activation{Activation::Kind::silu}, {x});
      break;
    case Pattern::Kind::hard_swish:
      finish(node, Activation{Activation::Kind::hard_swish}, {x});
      break;
    case Pattern::Kind::layer_normalization: {
      const Shape features{network_.node(x).shape.back()};
      rows.then("normalized", LayerNormalization{pattern.epsilon}, {},
                {tensor(pattern.weights[0], features), tensor(pattern.weights[1], features)});
      rows.reshape(x_shape).finish();
      break;
    }
    case Pattern::Kind::rms_normalization:
      rows.then("normalized", RmsNormalization{pattern.epsilon}, {},
                {tensor(pattern.weights[0], {network_.node(x).shape.back()})});
      rows.reshape(x_shape).finish();
      break;
    case Pattern::Kind::transposed_matmul: {
      const std::string& source = pattern.nodes.front()->input(0);
      const auto second = values_.find(source);
      if (second == values_.end()) throw Refusal(fmt::format("input '{}' is not computed before it", source));
      const NodeId b = materialise(source, second->second);
      words_of(found->second, second->second);
      rows.then("product", MatMul{true}, {b});
      unrowed(rows);
      break;
    }
    case Pattern::Kind::biased_linear: {
      const Value& weight = values_.at(pattern.nodes.front()->input(1));
      if (network_.node(x).shape.back() != weight.shape->front()) {
        throw Refusal(fmt::format("input {} does not fit weights {}", to_string(network_.node(x).shape),
                                  to_string(*weight.shape)));
      }
      words_of(found->second, weight);
      rows.then("product", Linear{weight.shape->back(), true}, {},
                {turned(pattern.weights[0], *weight.shape), tensor(pattern.weights[1], {weight.shape->back()})});
      unrowed(rows);
      break;
    }
  }
  values_[node.output(0)].type = type;
  const std::string words = format_ == NumberFormat{} ? "" : ", " + to_string(format_);
  entry_.note = fmt::format("{} nodes as one{}", pattern.nodes.size() + 1, words);
  if (pattern.by_tanh) approximate(entry_.note + ": Gelu by tanh, as by erf");
}

void Importer::other(const NodeProto& node, const std::string& why, std::int64_t macs, std::int64_t parameters,
                     std::vector<int> positions) {
  if (positions.empty()) {
    positions.resize(static_cast<std::size_t>(node.input_size()));
    std::iota(positions.begin(), positions.end(), 0);
  }
  std::vector<NodeId> inputs;
  for (const int i : positions) {
    if (!has(node, i)) continue;
    const Value& found = value(node, i);
    // Empty tensors and arithmetic on shapes have no place in the network.
    if (found.shape && std::find(found.shape->begin(), found.shape->end(), 0) != found.shape->end()) continue;
    if (!found.node && found.constant && !found.learned) continue;
    inputs.push_back(input(node, i));
  }
  bool first = true;
  for (int i = 0; i < node.output_size(); ++i) {
    if (node.output(i).empty()) continue;
    if (!first && uses_[node.output(i)] == 0) continue;
    const Shape made = extents(output_shape(node, i));
    const Other op{snake_case(node.op_type()), made, first ? macs : 0, first ? parameters : 0};
    set_output(node, network_.add(unique(first ? label(node) : node.output(i)), op, inputs), i);
    first = false;
  }
  approximate(why);
}

}  // namespace duet::onnx_graph
