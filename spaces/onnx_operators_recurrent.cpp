#include "spaces/onnx_importer.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <onnx/onnx_pb.h>

namespace duet::onnx_graph {
namespace {

using onnx::AttributeProto;
using onnx::NodeProto;

constexpr std::int64_t most_steps = 64;  // of recurrent networks that are unrolled

std::int64_t gates_of(const NodeProto& node) { return node.op_type() == "LSTM" ? 4 : node.op_type() == "GRU" ? 3 : 1; }

std::int64_t directions_of(const NodeProto& node) { return text(node, "direction", "forward") == "bidirectional" ? 2 : 1; }

/// The function of an RNN; nothing where the node's functions are not the usual ones, or an RNN's are not known.
std::optional<Activation::Kind> function_of(const NodeProto& node) {
  const AttributeProto* given = attribute(node, "activations");
  if (given == nullptr || given->strings().empty()) return Activation::Kind::tanh;
  const std::vector<std::string> names(given->strings().begin(), given->strings().end());
  std::vector<std::string> usual{"Sigmoid", "Tanh"};
  if (node.op_type() == "LSTM") usual.emplace_back("Tanh");
  if (node.op_type() == "RNN") usual = {names.front() == "Relu" ? "Relu" : "Tanh"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] != usual[i % usual.size()]) return std::nullopt;
  }
  return usual.front() == "Relu" ? Activation::Kind::relu : Activation::Kind::tanh;
}

/// As many numbers of a tensor as a shape has, from `first` on; none where the tensor has none.
FloatTensor part(const FloatTensor& whole, std::int64_t first, Shape shape) {
  FloatTensor result{std::move(shape), {}};
  if (whole.values.empty()) return result;
  const auto begin = whole.values.begin() + first;
  result.values.assign(begin, begin + elements(result.shape));
  return result;
}

}  // namespace

/// Per step, direction and gate one matrix product with the input and one with the state.
void Importer::recurrent(const NodeProto& node) {
  const Shape x_shape = shape(node, 0), weight = shape(node, 1), state = shape(node, 2);
  if (x_shape.size() != 3 || weight.size() != 3 || state.size() != 3) throw Refusal("its shapes do not fit");
  if (unrolls(node)) return unroll(node);
  const std::int64_t steps = count_of({x_shape[0], x_shape[1]});
  const std::int64_t macs = product_of({steps}, {weight[0], weight[1], weight[2] + state[2]});
  std::int64_t parameters = 0;
  std::vector<int> positions{0};
  for (const int i : {1, 2, 3}) {
    if (!has(node, i)) continue;
    if (value(node, i).constant) {
      parameters += count_of(shape(node, i));
    } else {
      positions.push_back(i);  // what computes them holds what they are made of
    }
  }
  other(node, "counted only", macs, parameters, positions);
}

/// Whether the node is an LSTM, GRU or RNN of the usual functions and a few steps, with weights of its own.
bool Importer::unrolls(const NodeProto& node) {
  if (has(node, 4) || has(node, 7)) return false;  // lengths of sequences, peepholes
  for (const char* special : {"activation_alpha", "activation_beta", "clip"}) {
    if (attribute(node, special) != nullptr) return false;
  }
  if (!function_of(node) || integer(node, "input_forget", 0) != 0 || integer(node, "layout", 0) != 0) return false;
  const std::string direction = text(node, "direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional") return false;
  const std::int64_t directions = directions_of(node), gates = gates_of(node);
  const Shape x = shape(node, 0), weight = shape(node, 1), state = shape(node, 2);
  const std::int64_t size = state[2];
  if (x[0] < 1 || x[0] > (most_steps - steps_) / directions || size < 1 || size > max_count / 8) return false;
  if (weight != Shape{directions, gates * size, x[2]} || state != Shape{directions, gates * size, size}) return false;
  for (const int i : {1, 2, 3}) {
    if (has(node, i) && (!value(node, i).constant || uses_[node.input(i)] > 1)) return false;
  }
  if (has(node, 3) && shape(node, 3) != Shape{directions, 2 * gates * size}) return false;
  for (const int i : {5, 6}) {
    if (has(node, i) && shape(node, i) != Shape{directions, x[1], size}) return false;
  }
  return true;
}

void Importer::unroll(const NodeProto& node) {
  const Shape x_shape = shape(node, 0);
  const std::int64_t steps = x_shape[0], batch = x_shape[1], size = shape(node, 2)[2], directions = directions_of(node);
  const NodeId x = input(node, 0);
  const bool reversed = text(node, "direction", "forward") == "reverse";
  std::vector<Track> tracks;
  for (std::int64_t d = 0; d < directions; ++d) tracks.push_back(unrolled(node, x, d, reversed || d == 1));
  steps_ += steps * directions;
  bool named = false;
  const auto deliver = [&](int i, Operator op, NodeIds from) {
    set_output(node, network_.add(unique(named ? node.output(i) : label(node)), std::move(op), std::move(from)), i);
    named = true;
  };
  if (has_output(node, 0)) {
    NodeIds whole;
    for (const Track& track : tracks) {
      if (directions > 1) whole.push_back(add(node, "direction", Concat{0}, track.results));
    }
    directions > 1 ? deliver(0, Concat{1}, whole) : deliver(0, Concat{0}, tracks.front().results);
  }
  for (const int i : {1, 2}) {
    if (!has_output(node, i)) continue;
    if (i == 2 && node.op_type() != "LSTM") throw Refusal("has too many outputs");
    NodeIds states;
    for (const Track& track : tracks) {
      const NodeId last = i == 1 ? track.h : track.c;
      if (directions > 1) states.push_back(add(node, "last", Reshape{{1, batch, size}}, {last}));
    }
    directions > 1 ? deliver(i, Concat{0}, states)
                   : deliver(i, Reshape{{1, batch, size}}, {i == 1 ? tracks.front().h : tracks.front().c});
  }
  if (!named) throw Refusal("has no output");
  entry_.note = fmt::format("{} step{} unrolled", steps, steps > 1 ? "s" : "");
}

/// One direction step by step, with the equations of ONNX. LSTM: gates i, o, f of (0, H), (H, 2H), (2H, 3H) and the
/// candidate c (Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000). GRU: gates z, r and the
/// candidate, which the reset gate r reaches before or after its product (Cho et al., 2014).
Importer::Track Importer::unrolled(const NodeProto& node, NodeId x, std::int64_t direction, bool backwards) {
  const std::int64_t gates = gates_of(node), directions = directions_of(node);
  const Shape x_shape = shape(node, 0);
  const std::int64_t steps = x_shape[0], batch = x_shape[1], features = x_shape[2], size = shape(node, 2)[2];
  const std::int64_t rows = gates * size;
  const bool bias = has(node, 3);
  const auto with = [bias](FloatTensor weight, FloatTensor shift) {
    std::vector<FloatTensor> tensors;
    tensors.push_back(std::move(weight));
    if (bias) tensors.push_back(std::move(shift));
    return tensors;
  };
  const FloatTensor shifts = bias ? tensor(node, 3, {directions, 2 * rows}) : FloatTensor{};
  const auto shift_of = [&](std::int64_t first, std::int64_t count) { return part(shifts, direction * 2 * rows + first, {count}); };
  const NodeId fed = add(node, "input", Linear{rows, bias}, {x},
                         with(part(tensor(node, 1, {directions, rows, features}), direction * rows * features, {rows, features}),
                              shift_of(0, rows)));
  const FloatTensor recurrent_weights = tensor(node, 2, {directions, rows, size});
  // The state's part in `count` gates from `first` on: terms of a sum. What all steps share is held once.
  struct Share {
    std::int64_t first, count;
    NodeId weights = 0, shift = 0;
  };
  const auto tensors_of = [&](const Share& share) {
    return with(part(recurrent_weights, (direction * rows + share.first * size) * size, {share.count * size, size}),
                shift_of(rows + share.first * size, share.count * size));
  };
  const auto share = [&](std::int64_t first, std::int64_t count) {
    Share made{first, count};
    if (steps == 1) return made;
    std::vector<FloatTensor> tensors = tensors_of(made);
    made.weights = add(node, "recurrent", Constant{{count * size, size}, true}, {}, {std::move(tensors[0])});
    if (bias) made.shift = add(node, "shift", Constant{{count * size}, true}, {}, {std::move(tensors[1])});
    return made;
  };
  const auto through = [&](const Share& by, NodeId state, NodeIds terms) {
    if (steps == 1) {
      terms.push_back(add(node, "recurrent", Linear{by.count * size, bias}, {state}, tensors_of(by)));
    } else {
      terms.push_back(add(node, "state", MatMul{true}, {state, by.weights}));
      if (bias) terms.push_back(by.shift);
    }
    return terms;
  };
  const auto sum = [&](const NodeIds& terms) { return terms.size() == 1 ? terms[0] : add(node, "sum", Add{}, terms); };
  const auto start = [&](int i, const char* what) {
    if (!has(node, i)) return add(node, what, Zeros{{batch, size}}, {});
    NodeId given = input(node, i);
    if (directions > 1) given = add(node, what, Slice{{direction, 0, 0}, {1, batch, size}, {1, 1, 1}}, {given});
    return add(node, what, Reshape{{batch, size}}, {given});
  };
  const auto some = [&](NodeId of, std::int64_t first, std::int64_t count) {
    return add(node, "gate", Slice{{0, first * size}, {batch, count * size}, {1, 1}}, {of});
  };
  const auto sigmoid = [&](NodeId of) { return add(node, "gates", Activation{Activation::Kind::sigmoid}, {of}); };
  const auto tanh = [&](const char* what, NodeId of) { return add(node, what, Activation{Activation::Kind::tanh}, {of}); };
  const auto product = [&](const char* what, NodeId a, NodeId b) { return add(node, what, Multiply{}, {a, b}); };

  const bool lstm = node.op_type() == "LSTM", gru = node.op_type() == "GRU";
  const bool reset_after = integer(node, "linear_before_reset", 0) != 0;
  const Share open = gru && !reset_after ? share(0, 2) : share(0, gates);
  const Share candidate_share = gru && !reset_after ? share(2, 1) : Share{};
  Track track;
  track.h = start(5, "h");
  if (lstm) track.c = start(6, "c");
  for (std::int64_t i = 0; i < steps; ++i) {
    const std::int64_t t = backwards ? steps - 1 - i : i;
    NodeId own = fed;
    if (steps > 1) own = add(node, "step", Slice{{t, 0, 0}, {1, batch, rows}, {1, 1, 1}}, {fed});
    own = add(node, "fed", Reshape{{batch, rows}}, {own});
    NodeId& h = track.h;
    if (lstm) {
      const NodeId total = sum(through(open, h, {own}));
      const NodeId gate = sigmoid(some(total, 0, 3));
      const NodeId candidate = tanh("candidate", some(total, 3, 1));
      const NodeId kept = product("kept", some(gate, 2, 1), track.c);
      const NodeId taken = product("taken", some(gate, 0, 1), candidate);
      track.c = add(node, "c", Add{}, {kept, taken});
      const NodeId bounded = tanh("bounded", track.c);
      h = product("h", some(gate, 1, 1), bounded);
    } else if (gru) {
      NodeId gate = 0, state = 0;
      if (reset_after) {
        const NodeId all = sum(through(open, h, {}));
        gate = sigmoid(sum({some(own, 0, 2), some(all, 0, 2)}));
        state = product("reset", some(gate, 1, 1), some(all, 2, 1));
      } else {
        gate = sigmoid(sum(through(open, h, {some(own, 0, 2)})));
        state = sum(through(candidate_share, product("reset", some(gate, 1, 1), h), {}));
      }
      const NodeId candidate = tanh("candidate", sum({some(own, 2, 1), state}));
      const NodeId change = add(node, "change", Elementwise{"sub"}, {h, candidate});
      h = add(node, "h", Add{}, {candidate, product("kept", some(gate, 0, 1), change)});
    } else {
      h = add(node, "h", Activation{*function_of(node)}, {sum(through(open, h, {own}))});
    }
    if (has_output(node, 0)) track.results.push_back(add(node, "y", Reshape{{1, 1, batch, size}}, {h}));
  }
  if (backwards) std::reverse(track.results.begin(), track.results.end());
  return track;
}

}  // namespace duet::onnx_graph
