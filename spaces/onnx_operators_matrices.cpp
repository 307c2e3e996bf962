#include "spaces/onnx_importer.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <onnx/onnx_pb.h>

namespace duet::onnx_graph {
namespace {

using onnx::NodeProto;

constexpr std::int64_t most_steps = 64;  // of recurrent networks that are unrolled

FloatTensor scaled(FloatTensor by_one, double factor) {
  for (float& value : by_one.values) value = static_cast<float>(static_cast<double>(value) * factor);
  return by_one;
}

}  // namespace

void Importer::gemm(const NodeProto& node) {
  NodeId a = input(node, 0);
  if (integer(node, "transA", 0) != 0) a = add(node, "transposed", Transpose{{1, 0}}, {a});
  const Value& b = weights(node, 1);
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
  const bool addend = has(node, 2);
  if ((!own && alpha != 1) || (addend && beta != 1)) approximate("its factors are not kept");
  std::vector<NodeId> inputs{a};
  Operator product = Linear{columns, false};
  if (!own) {
    NodeId second = input(node, 1);
    inputs.push_back(second);
    product = MatMul{transposed};
  }
  if (!addend) return finish(node, product, inputs, std::move(tensors));
  const NodeId made = add(node, "product", product, inputs, std::move(tensors));
  const NodeId c = input(node, 2);
  finish(node, Add{}, {made, c});
}

void Importer::matmul(const NodeProto& node) {
  const bool quantized = node.op_type() == "QLinearMatMul";
  const int second = quantized ? 3 : 1;
  const Shape a_shape = shape(node, 0), b_shape = shape(node, second);
  const Value& b = value(node, second);
  if (node.op_type() != "MatMul") quantised(value(node, 0), b);
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

/// Two operands: one multiply-accumulate for every combination of all indices.
void Importer::einsum(const NodeProto& node) {
  const std::string equation = text(node, "equation", "");
  std::map<char, std::int64_t> sizes;
  int operand = 0;
  std::size_t position = 0;
  for (const char c : equation) {
    if (c == ' ') continue;
    if (c == '-') break;
    if (c == ',') {
      ++operand;
      position = 0;
      continue;
    }
    if (c == '.') throw Refusal("an ellipsis in the equation is not supported");
    const Shape& of = shape(node, operand);
    if (position >= of.size()) throw Refusal("the equation does not fit the inputs");
    sizes[c] = std::max(sizes[c], of[position++]);
  }
  Shape all;
  for (const auto& [index, size] : sizes) all.push_back(size);
  other(node, "counted only", node.input_size() == 2 ? count_of(all) : 0);
}

/// Per step, direction and gate one matrix product with the input and one with the state.
void Importer::recurrent(const NodeProto& node) {
  const Shape x_shape = shape(node, 0), weight = shape(node, 1), state = shape(node, 2);
  if (x_shape.size() != 3 || weight.size() != 3 || state.size() != 3) throw Refusal("its shapes do not fit");
  if (unrolls(node)) return unroll(node);
  const std::int64_t steps = count_of({x_shape[0], x_shape[1]});
  const std::int64_t macs = product_of({steps}, {weight[0], weight[1], weight[2] + state[2]});
  std::int64_t parameters = count_of(weight) + count_of(state);
  if (has(node, 3)) parameters += count_of(shape(node, 3));
  other(node, "counted only", macs, parameters, {0});
}

/// Whether the node is a plain LSTM of a few steps with weights of its own.
bool Importer::unrolls(const NodeProto& node) {
  if (node.op_type() != "LSTM" || has(node, 4) || has(node, 7)) return false;  // lengths of sequences, peepholes
  for (const char* special : {"activations", "activation_alpha", "activation_beta", "clip"}) {
    if (attribute(node, special) != nullptr) return false;
  }
  if (text(node, "direction", "forward") != "forward" || integer(node, "input_forget", 0) != 0 ||
      integer(node, "layout", 0) != 0) {
    return false;
  }
  const Shape x = shape(node, 0), weight = shape(node, 1), state = shape(node, 2);
  const std::int64_t size = state[2];
  if (x[0] < 1 || x[0] > most_steps - steps_ || size < 1 || size > max_count / 8) return false;
  if (weight != Shape{1, 4 * size, x[2]} || state != Shape{1, 4 * size, size}) return false;
  for (const int i : {1, 2, 3}) {
    if (has(node, i) && (!value(node, i).constant || uses_[node.input(i)] > 1)) return false;
  }
  if (has(node, 3) && shape(node, 3) != Shape{1, 8 * size}) return false;
  for (const int i : {5, 6}) {
    if (has(node, i) && shape(node, i) != Shape{1, x[1], size}) return false;
  }
  return true;
}

/// An LSTM step by step: gates i, o, f of (0, H), (H, 2H), (2H, 3H) and the candidate c (Hochreiter and Schmidhuber, 1997,
/// with the forget gate of Gers et al., 2000; the equations of ONNX).
void Importer::unroll(const NodeProto& node) {
  const Shape x_shape = shape(node, 0);
  const std::int64_t steps = x_shape[0], batch = x_shape[1], size = shape(node, 2)[2];
  const bool bias = has(node, 3);
  FloatTensor both = bias ? tensor(node, 3, {8 * size}) : FloatTensor{};
  FloatTensor second{{4 * size}, {}};
  if (!both.values.empty()) {
    const auto middle = both.values.begin() + 4 * size;
    second.values.assign(middle, both.values.end());
    both.values.erase(middle, both.values.end());
  }
  both.shape = {4 * size};
  const auto with = [bias](FloatTensor weight, const FloatTensor& shift) {
    std::vector<FloatTensor> tensors{std::move(weight)};
    if (bias) tensors.push_back(shift);
    return tensors;
  };
  const NodeId x = input(node, 0);
  const NodeId fed = add(node, "input", Linear{4 * size, bias}, {x}, with(tensor(node, 1, {4 * size, x_shape[2]}), both));
  const FloatTensor recurrent_weights = tensor(node, 2, {4 * size, size});
  NodeId weights = 0, shift = 0;
  if (steps > 1) {  // they are shared by all steps
    weights = add(node, "recurrent", Constant{{4 * size, size}, true}, {}, {recurrent_weights});
    if (bias) shift = add(node, "shift", Constant{{4 * size}, true}, {}, {second});
  }
  const auto start = [&](int i, const char* what) {
    if (!has(node, i)) return add(node, what, Zeros{{batch, size}}, {});
    const NodeId given = input(node, i);
    return add(node, what, Reshape{{batch, size}}, {given});
  };
  NodeId h = start(5, "h"), c = start(6, "c");
  const auto gates = [&](NodeId of, std::int64_t first, std::int64_t count) {
    return add(node, "gate", Slice{{0, first * size}, {batch, count * size}, {1, 1}}, {of});
  };
  NodeIds results;
  for (std::int64_t t = 0; t < steps; ++t) {
    NodeId own = fed;
    if (steps > 1) own = add(node, "step", Slice{{t, 0, 0}, {1, batch, 4 * size}, {1, 1, 1}}, {fed});
    NodeIds terms{add(node, "fed", Reshape{{batch, 4 * size}}, {own})};
    if (steps == 1) {
      terms.push_back(add(node, "recurrent", Linear{4 * size, bias}, {h}, with(recurrent_weights, second)));
    } else {
      terms.push_back(add(node, "state", MatMul{true}, {h, weights}));
      if (bias) terms.push_back(shift);
    }
    const NodeId sum = add(node, "sum", Add{}, terms);
    const NodeId open = add(node, "gates", Activation{Activation::Kind::sigmoid}, {gates(sum, 0, 3)});
    const NodeId candidate = add(node, "candidate", Activation{Activation::Kind::tanh}, {gates(sum, 3, 1)});
    const NodeId kept = add(node, "kept", Multiply{}, {gates(open, 2, 1), c});
    const NodeId taken = add(node, "taken", Multiply{}, {gates(open, 0, 1), candidate});
    c = add(node, "c", Add{}, {kept, taken});
    const NodeId bounded = add(node, "bounded", Activation{Activation::Kind::tanh}, {c});
    h = add(node, "h", Multiply{}, {gates(open, 1, 1), bounded});
    if (has_output(node, 0)) results.push_back(add(node, "y", Reshape{{1, 1, batch, size}}, {h}));
  }
  steps_ += steps;
  bool named = false;
  const auto deliver = [&](int i, Operator op, NodeIds from) {
    if (!has_output(node, i)) return;
    set_output(node, network_.add(unique(named ? node.output(i) : label(node)), std::move(op), std::move(from)), i);
    named = true;
  };
  deliver(0, Concat{0}, results);
  deliver(1, Reshape{{1, batch, size}}, {h});
  deliver(2, Reshape{{1, batch, size}}, {c});
  if (!named) throw Refusal("has no output");
  entry_.note = fmt::format("{} step{} unrolled", steps, steps > 1 ? "s" : "");
}

}  // namespace duet::onnx_graph
