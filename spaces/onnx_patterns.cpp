#include "spaces/onnx_patterns.hpp"

#include <cmath>
#include <numeric>
#include <onnx/onnx_pb.h>
#include <optional>

namespace duet::onnx_graph {
namespace {

using onnx::AttributeProto;
using onnx::NodeProto;

class PatternFinder {
 public:
  PatternFinder(const onnx::GraphProto& graph, const Values& values, const Uses& uses)
      : values_(values), uses_(uses) {
    for (const NodeProto& node : graph.node()) {
      for (const std::string& output : node.output()) {
        if (!output.empty()) producer_[output] = &node;
      }
      // Constants that nodes hold count like initializers here.
      const AttributeProto* held = node.op_type() == "Constant" ? attribute(node, "value") : nullptr;
      if (held != nullptr && node.output_size() == 1) {
        try {
          constants_[node.output(0)] = read_tensor(held->t());
        } catch (const Refusal&) {  // reported when the node is reached
        }
      }
    }
  }

  std::optional<Pattern> ending_at(const NodeProto& last) const {
    using Kind = Pattern::Kind;
    const std::string& type = last.op_type();
    const auto attempt = [&](Kind kind, auto match) -> std::optional<Pattern> {
      Pattern pattern{kind, ""};
      if (!match(pattern)) return std::nullopt;
      return pattern;
    };
    if (type == "Mul" && last.input_size() == 2) {
      if (auto found = attempt(Kind::gelu, [&](Pattern& p) { return gelu(last, p); })) return found;
      if (auto found = attempt(Kind::silu, [&](Pattern& p) { return gated(last, "Sigmoid", p); })) return found;
      if (auto found = attempt(Kind::hard_swish, [&](Pattern& p) { return gated(last, "HardSigmoid", p); })) {
        return found;
      }
      if (auto found = attempt(Kind::hard_swish, [&](Pattern& p) { return clipped_gate(last, p); })) return found;
      if (auto found = attempt(Kind::rms_normalization, [&](Pattern& p) { return rms(last, p); })) return found;
    }
    if (type == "Div" && last.input_size() == 2) {
      if (auto found = attempt(Kind::hard_swish, [&](Pattern& p) { return clipped_gate(last, p); })) return found;
    }
    if (type == "MatMul" && last.input_size() == 2) {
      if (auto found = attempt(Kind::transposed_matmul, [&](Pattern& p) { return transposed(last, p); })) return found;
    }
    if (type == "Add" && last.input_size() == 2) {
      if (auto found = attempt(Kind::layer_normalization, [&](Pattern& p) { return layer(last, p); })) return found;
      if (auto found = attempt(Kind::biased_linear, [&](Pattern& p) { return linear(last, p); })) return found;
    }
    return std::nullopt;
  }

 private:
  const Value* constant(const std::string& name) const {
    if (const auto held = constants_.find(name); held != constants_.end()) return &held->second;
    const auto found = values_.find(name);
    return found != values_.end() && found->second.constant ? &found->second : nullptr;
  }

  /// Files hold these constants as floats, of at least six digits: coarser ones mean another function.
  bool is_number(const std::string& name, double number) const {
    const Value* value = constant(name);
    return value != nullptr && value->data && value->data->size() == 1 &&
           std::abs(value->data->front() - number) <= 1e-5 * std::abs(number);
  }

  bool is_small(const std::string& name) const {
    const Value* value = constant(name);
    return value != nullptr && value->data && value->data->size() == 1 && value->data->front() < 0.01;
  }

  /// The node that makes `name`, if it is of that type and only the pattern uses what it makes.
  const NodeProto* inner(const std::string& name, std::string_view type, Pattern& pattern, int uses = 1) const {
    const auto found = producer_.find(name);
    if (found == producer_.end() || found->second->op_type() != type || uses_.at(name) != uses) return nullptr;
    if (found->second->output_size() != 1) return nullptr;
    pattern.nodes.push_back(found->second);
    return found->second;
  }

  /// The other operand of a commutative node, one of whose operands is this number.
  const std::string* beside_number(const NodeProto* node, double number) const {
    if (node == nullptr || node->input_size() != 2) return nullptr;
    for (const int i : {0, 1}) {
      if (is_number(node->input(i), number)) return &node->input(1 - i);
    }
    return nullptr;
  }

  /// x · Type(x)
  bool gated(const NodeProto& last, std::string_view type, Pattern& pattern) const {
    for (const int i : {0, 1}) {
      pattern.nodes.clear();
      const NodeProto* gate = inner(last.input(i), type, pattern);
      if (gate == nullptr || gate->input_size() != 1 || gate->input(0) != last.input(1 - i)) continue;
      if (type == "HardSigmoid" && std::abs(real(*gate, "alpha", 0.2) - 1.0 / 6) > 1e-3) continue;
      if (type == "HardSigmoid" && std::abs(real(*gate, "beta", 0.5) - 0.5) > 1e-3) continue;
      pattern.input = gate->input(0);
      return true;
    }
    return false;
  }

  /// A node's other operand where it divides by six, in either way.
  const std::string* sixth(const NodeProto* node) const {
    if (node == nullptr || node->input_size() != 2) return nullptr;
    if (node->op_type() == "Div") return is_number(node->input(1), 6) ? &node->input(0) : nullptr;
    return node->op_type() == "Mul" ? beside_number(node, 1.0 / 6) : nullptr;
  }

  /// The x of min(max(x + 3, 0), 6).
  const std::string* clipped(const std::string& name, Pattern& pattern) const {
    const NodeProto* clip = inner(name, "Clip", pattern);
    if (clip == nullptr || clip->input_size() == 0) return nullptr;
    const auto is_bound = [&](const char* attribute_name, int i, double number) {
      if (const AttributeProto* given = attribute(*clip, attribute_name)) return static_cast<double>(given->f()) == number;
      return i < clip->input_size() && is_number(clip->input(i), number);
    };
    if (!is_bound("min", 1, 0) || !is_bound("max", 2, 6)) return nullptr;
    return beside_number(inner(clip->input(0), "Add", pattern), 3);
  }

  /// x · min(max(x + 3, 0), 6), all of it or the second factor by six.
  bool clipped_gate(const NodeProto& last, Pattern& pattern) const {
    const auto product = [&](const NodeProto& node, bool by_six) {
      for (const int i : {0, 1}) {
        Pattern more = pattern;
        const std::string* gate = &node.input(i);
        if (by_six) {
          const NodeProto* division = inner(*gate, "Div", more);
          gate = sixth(division != nullptr ? division : inner(*gate, "Mul", more));
        }
        const std::string* x = gate == nullptr ? nullptr : clipped(*gate, more);
        if (x == nullptr || *x != node.input(1 - i)) continue;
        pattern = more;
        pattern.input = *x;
        return true;
      }
      return false;
    };
    pattern.nodes.clear();
    if (const std::string* whole = sixth(&last)) {
      const NodeProto* multiplied = inner(*whole, "Mul", pattern);
      return multiplied != nullptr && multiplied->input_size() == 2 && product(*multiplied, false);
    }
    return last.op_type() == "Mul" && product(last, true);
  }

  /// 1 + erf(x / √2), or 1 + tanh(√(2/π) · (x + 0.044715 · x³)).
  const std::string* gelu_gate(const std::string& name, Pattern& pattern) const {
    const std::string* shifted = beside_number(inner(name, "Add", pattern), 1);
    if (shifted == nullptr) return nullptr;
    pattern.by_tanh = false;
    const std::size_t kept = pattern.nodes.size();
    if (const NodeProto* erf = inner(*shifted, "Erf", pattern)) {
      if (const NodeProto* division = inner(erf->input(0), "Div", pattern)) {
        return is_number(division->input(1), std::sqrt(2.0)) ? &division->input(0) : nullptr;
      }
      return beside_number(inner(erf->input(0), "Mul", pattern), std::sqrt(0.5));
    }
    pattern.nodes.resize(kept);
    const NodeProto* tanh = inner(*shifted, "Tanh", pattern);
    if (tanh == nullptr) return nullptr;
    const std::string* sum = beside_number(inner(tanh->input(0), "Mul", pattern), std::sqrt(2 / M_PI));
    const NodeProto* add = sum == nullptr ? nullptr : inner(*sum, "Add", pattern);
    if (add == nullptr) return nullptr;
    for (const int i : {0, 1}) {
      Pattern more = pattern;
      const std::string* cube = beside_number(inner(add->input(i), "Mul", more), 0.044715);
      const NodeProto* power = cube == nullptr ? nullptr : inner(*cube, "Pow", more);
      if (power == nullptr || power->input(0) != add->input(1 - i) || !is_number(power->input(1), 3)) continue;
      pattern = more;
      pattern.by_tanh = true;
      return &power->input(0);
    }
    return nullptr;
  }

  /// The product of x, 0.5 and the gate, in any order.
  bool gelu(const NodeProto& last, Pattern& pattern) const {
    for (const int i : {0, 1}) {
      // (x · gate) · 0.5
      if (is_number(last.input(i), 0.5)) {
        pattern.nodes.clear();
        const NodeProto* product = inner(last.input(1 - i), "Mul", pattern);
        if (product == nullptr) continue;
        for (const int j : {0, 1}) {
          Pattern more = pattern;
          const std::string* x = gelu_gate(product->input(j), more);
          if (x == nullptr || *x != product->input(1 - j)) continue;
          pattern = more;
          pattern.input = *x;
          return true;
        }
      }
      // (x · 0.5) · gate
      pattern.nodes.clear();
      const std::string* x = gelu_gate(last.input(i), pattern);
      if (x == nullptr) continue;
      const std::string* half = beside_number(inner(last.input(1 - i), "Mul", pattern), 0.5);
      if (half != nullptr && *half == *x) {
        pattern.input = *x;
        return true;
      }
      // x · (gate · 0.5)
    }
    for (const int i : {0, 1}) {
      pattern.nodes.clear();
      const std::string* gate = beside_number(inner(last.input(i), "Mul", pattern), 0.5);
      const std::string* x = gate == nullptr ? nullptr : gelu_gate(*gate, pattern);
      if (x != nullptr && *x == last.input(1 - i)) {
        pattern.input = *x;
        return true;
      }
    }
    return false;
  }

  static bool over_last_dimension(const NodeProto& mean) {
    const std::optional<Ints> axes = integers(mean, "axes");
    return axes && *axes == Ints{-1} && integer(mean, "keepdims", 1) == 1;
  }

  bool is_vector(const std::string& name) const {
    const Value* value = constant(name);
    return value != nullptr && value->shape && value->shape->size() == 1;
  }

  /// √(mean of x² + ε), with the mean's square from `x`.
  const NodeProto* root_mean_square(const std::string& name, const std::string& x, Pattern& pattern) const {
    const NodeProto* root = inner(name, "Sqrt", pattern);
    const NodeProto* sum = root == nullptr ? nullptr : inner(root->input(0), "Add", pattern);
    if (sum == nullptr) return nullptr;
    const NodeProto* mean = nullptr;
    for (const int i : {0, 1}) {
      if (!is_small(sum->input(i))) continue;
      mean = inner(sum->input(1 - i), "ReduceMean", pattern);
      pattern.epsilon = static_cast<float>(constant(sum->input(i))->data->front());
    }
    if (mean == nullptr || !over_last_dimension(*mean)) return nullptr;
    const auto square = producer_.find(mean->input(0));
    if (square == producer_.end() || uses_.at(mean->input(0)) != 1) return nullptr;
    const NodeProto& s = *square->second;
    const bool squared = (s.op_type() == "Pow" && s.input(0) == x && is_number(s.input(1), 2)) ||
                         (s.op_type() == "Mul" && s.input(0) == x && s.input(1) == x);
    if (!squared) return nullptr;
    pattern.nodes.push_back(&s);
    return root;
  }

  /// x / root_mean_square(x) · weight
  bool rms(const NodeProto& last, Pattern& pattern) const {
    for (const int i : {0, 1}) {
      if (!is_vector(last.input(i))) continue;
      pattern.nodes.clear();
      pattern.weights = {last.input(i)};
      if (const NodeProto* division = inner(last.input(1 - i), "Div", pattern)) {
        if (root_mean_square(division->input(1), division->input(0), pattern) == nullptr) continue;
        pattern.input = division->input(0);
        return true;
      }
      const NodeProto* product = inner(last.input(1 - i), "Mul", pattern);
      if (product == nullptr) continue;
      const NodeProto* inverse = inner(product->input(1), "Reciprocal", pattern);
      if (inverse == nullptr || !root_mean_square(inverse->input(0), product->input(0), pattern)) continue;
      pattern.input = product->input(0);
      return true;
    }
    return false;
  }

  /// (x − mean) / root_mean_square(x − mean) · weight + bias
  bool layer(const NodeProto& last, Pattern& pattern) const {
    for (const int i : {0, 1}) {
      if (!is_vector(last.input(i))) continue;
      pattern.nodes.clear();
      const NodeProto* scaled = inner(last.input(1 - i), "Mul", pattern);
      if (scaled == nullptr) continue;
      for (const int j : {0, 1}) {
        Pattern more = pattern;
        if (!is_vector(scaled->input(j))) continue;
        const NodeProto* division = inner(scaled->input(1 - j), "Div", more);
        if (division == nullptr) continue;
        const std::string& centred = division->input(0);
        if (root_mean_square(division->input(1), centred, more) == nullptr) continue;
        const auto minus = producer_.find(centred);
        if (minus == producer_.end() || minus->second->op_type() != "Sub") continue;
        const int centred_uses = more.nodes.back()->op_type() == "Mul" ? 3 : 2;
        if (uses_.at(centred) != centred_uses) continue;
        more.nodes.push_back(minus->second);
        const NodeProto* mean = inner(minus->second->input(1), "ReduceMean", more);
        if (mean == nullptr || !over_last_dimension(*mean) || mean->input(0) != minus->second->input(0)) continue;
        pattern = more;
        pattern.input = mean->input(0);
        pattern.weights = {scaled->input(j), last.input(i)};
        return true;
      }
    }
    return false;
  }

  /// a · bᵀ
  bool transposed(const NodeProto& last, Pattern& pattern) const {
    const NodeProto* transpose = inner(last.input(1), "Transpose", pattern);
    const std::optional<Ints> permutation = transpose == nullptr ? std::nullopt : integers(*transpose, "perm");
    if (!permutation || permutation->size() < 2) return false;
    Ints swapped(permutation->size());
    std::iota(swapped.begin(), swapped.end(), 0);
    std::swap(swapped.back(), swapped[swapped.size() - 2]);
    // Weights of its own are a Linear's, whichever way they lie.
    const auto weight = values_.find(transpose->input(0));
    if (weight != values_.end() && weight->second.constant && uses_.at(transpose->input(0)) == 1) return false;
    pattern.input = last.input(0);
    return *permutation == swapped;
  }

  /// x · W + bias
  bool linear(const NodeProto& last, Pattern& pattern) const {
    for (const int i : {0, 1}) {
      const Value* bias = constant(last.input(i));
      if (bias == nullptr || !bias->shape || bias->shape->size() != 1) continue;
      pattern.nodes.clear();
      const NodeProto* product = inner(last.input(1 - i), "MatMul", pattern);
      if (product == nullptr || product->input_size() != 2) continue;
      const auto weight = values_.find(product->input(1));
      if (weight == values_.end() || !weight->second.constant || uses_.at(product->input(1)) != 1) continue;
      const auto& shape = weight->second.shape;
      if (!shape || shape->size() != 2 || shape->back() != bias->shape->front()) continue;
      pattern.input = product->input(0);
      pattern.weights = {product->input(1), last.input(i)};
      return true;
    }
    return false;
  }

  const Values& values_;
  std::unordered_map<std::string, const NodeProto*> producer_;
  const Uses& uses_;
  std::unordered_map<std::string, Value> constants_;
};

}  // namespace

Patterns find_patterns(const onnx::GraphProto& graph, const Values& values, const Uses& uses) {
  const PatternFinder finder(graph, values, uses);
  Patterns patterns;
  for (const NodeProto& node : graph.node()) {
    std::optional<Pattern> found = finder.ending_at(node);
    if (!found) continue;
    // The later end takes what the earlier would have had: it is the larger pattern.
    for (const NodeProto* inside : found->nodes) {
      patterns.part_of[inside] = &node;
      patterns.ends.erase(inside);
    }
    patterns.ends.emplace(&node, *std::move(found));
  }
  return patterns;
}

}  // namespace duet::onnx_graph
