#include "spaces/onnx_importer.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <onnx/onnx_pb.h>

namespace duet::onnx_graph {
namespace {

using onnx::NodeProto;

FloatTensor scaled(FloatTensor by_one, double factor) {
  for (float& value : by_one.values) value = static_cast<float>(static_cast<double>(value) * factor);
  return by_one;
}

}  // namespace

void Importer::gemm(const NodeProto& node) {
  NodeId a = input(node, 0);
  if (integer(node, "transA", 0) != 0) a = add(node, "transposed", Transpose{{1, 0}}, {a});
  const Value& b = weights(node, 1);
  words_of(value(node, 0), b);
  const bool transposed = integer(node, "transB", 0) != 0;
  if (b.shape->size() != 2 || shape(node, 0).size() != 2) throw Refusal("takes matrices");
  const std::int64_t inner = (*b.shape)[transposed ? 1 : 0];
  const std::int64_t columns = (*b.shape)[transposed ? 0 : 1];
  if (network_.node(a).shape.back() != inner) {
    throw Refusal(fmt::format("matrices {} and {} do not fit", to_string(network_.node(a).shape), to_string(*b.shape)));
  }
  const bool bias = has(node, 2) && value(node, 2).constant && shape(node, 2) == Shape{columns};
  const bool own = b.constant && uses_[node.input(1)] == 1;
  const double alpha = real(node, "alpha", 1), beta = real(node, "beta", 1);
  std::vector<FloatTensor> tensors;
  if (own) {
    tensors.push_back(scaled(transposed ? tensor(node, 1, *b.shape) : turned(node.input(1), *b.shape), alpha));
  }
  if (own && (bias || !has(node, 2))) {
    if (bias) tensors.push_back(scaled(tensor(node, 2, {columns}), beta));
    return finish(node, Linear{columns, bias}, {a}, std::move(tensors));
  }
  std::vector<NodeId> inputs;
  Operator product = Linear{columns, false};
  if (!own) {
    inputs.push_back(input(node, 1));
    product = MatMul{transposed};
  }
  Chain chain(*this, node, a);
  chain.then("product", product, inputs, std::move(tensors));
  if (!own && alpha != 1) chain.then("scaled", Multiply{}, {fixed(node, "alpha", alpha)});
  if (has(node, 2)) {
    Chain addend(*this, node, input(node, 2));
    if (beta != 1) addend.then("addend", Multiply{}, {fixed(node, "beta", beta)});
    chain.then("sum", Add{}, {addend.id()});
  }
  chain.finish();
}

void Importer::matmul(const NodeProto& node) {
  const bool quantized = node.op_type() == "QLinearMatMul";
  const int second = quantized ? 3 : 1;
  const Shape a_shape = shape(node, 0), b_shape = shape(node, second);
  const Value& b = value(node, second);
  node.op_type() != "MatMul" ? quantised(value(node, 0), b) : words_of(value(node, 0), b);
  if (a_shape.empty() || b_shape.empty()) throw Refusal("takes no scalars");
  NodeId a = input(node, 0);
  if (b.constant && b_shape.size() == 2 && uses_[node.input(second)] == 1 && a_shape.size() >= 2) {
    if (a_shape.back() != b_shape[0]) {
      throw Refusal(fmt::format("matrices {} and {} do not fit", to_string(a_shape), to_string(b_shape)));
    }
    return finish(node, Linear{b_shape[1], false}, {a}, {turned(node.input(second), b_shape)});
  }
  NodeId other_matrix = input(node, second);
  if (a_shape.size() >= 2 && b_shape.size() >= 2) return finish(node, MatMul{}, {a, other_matrix});
  if (a_shape.size() == 1) a = add(node, "row", Reshape{{1, a_shape[0]}}, {a});
  if (b_shape.size() == 1) other_matrix = add(node, "column", Reshape{{b_shape[0], 1}}, {other_matrix});
  const NodeId product = add(node, "product", MatMul{}, {a, other_matrix});
  finish(node, Reshape{extents(output_shape(node))}, {product});
}

}  // namespace duet::onnx_graph
