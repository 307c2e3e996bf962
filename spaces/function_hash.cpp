#include "spaces/function_hash.hpp"

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace duet {
namespace {

struct Term {
  Fingerprint hash;
  std::uint64_t count = 1;
};

struct Value {
  Fingerprint hash;
  bool zero = false;
  std::vector<Term> terms;  ///< of a sum of several terms, by hash; empty: the value is its own only term
};

bool maps_zero_to_zero(const Operator& op) {
  if (std::holds_alternative<Input>(op) || std::holds_alternative<Constant>(op) ||
      std::holds_alternative<Softmax>(op) || std::holds_alternative<Elementwise>(op) ||
      std::holds_alternative<Embedding>(op) || std::holds_alternative<TopK>(op) ||
      std::holds_alternative<Other>(op)) {
    return false;
  }
  if (const auto* activation = std::get_if<Activation>(&op)) {
    return activation->kind != Activation::Kind::sigmoid;
  }
  return true;
}

Fingerprint hash_shape(std::string_view what, const Shape& shape) {
  Hasher hasher;
  hasher.add(what);
  for (const std::int64_t extent : shape) hasher.add(extent);
  return hasher.finish();
}

/// The values of a network's nodes, in order.
class Values {
 public:
  explicit Values(const Network& network) : nodes_(network.nodes()), values_(nodes_.size()) {
    const NodeId output = network.output();
    std::vector<bool> contributes(nodes_.size(), false);
    contributes[output] = true;
    for (NodeId id = output + 1; id-- > 0;) {
      if (!contributes[id]) continue;
      for (const NodeId input : nodes_[id].inputs) contributes[input] = true;
    }
    std::uint64_t inputs = 0;
    for (NodeId id = 0; id <= output; ++id) {
      const Node& node = nodes_[id];
      if (std::holds_alternative<Input>(node.op)) {
        values_[id].hash = Hasher().add(hash_shape("input", node.shape)).add(inputs++).finish();
      } else if (contributes[id]) {
        evaluate(id);
      }
    }
  }

  const Value& operator[](NodeId id) const { return values_[id]; }

 private:
  void evaluate(NodeId id) {
    const Node& node = nodes_[id];
    Value& value = values_[id];
    if (std::holds_alternative<Identity>(node.op)) {
      value = values_[node.inputs[0]];
      return;
    }
    const auto is_zero = [this](NodeId input) { return values_[input].zero; };
    const bool product = std::holds_alternative<Multiply>(node.op);
    const bool nothing = product ? std::any_of(node.inputs.begin(), node.inputs.end(), is_zero)
                                 : std::all_of(node.inputs.begin(), node.inputs.end(), is_zero);
    if (std::holds_alternative<Zeros>(node.op) ||
        (nothing && !node.inputs.empty() && maps_zero_to_zero(node.op))) {
      value.zero = true;
      value.hash = hash_shape("zeros", node.shape);
      return;
    }
    if (std::holds_alternative<Add>(node.op)) {
      add(id);
      return;
    }
    Hasher hasher;
    hash(hasher, node.op);
    hash(hasher, node.format);
    if (product) {
      std::vector<Fingerprint> factors;
      for (const NodeId input : node.inputs) factors.push_back(values_[input].hash);
      std::sort(factors.begin(), factors.end());
      for (const Fingerprint& factor : factors) hasher.add(factor);
    } else {
      for (const NodeId input : node.inputs) hasher.add(values_[input].hash);
    }
    value.hash = hasher.finish();
  }

  void add(NodeId id) {
    const Node& node = nodes_[id];
    Value& value = values_[id];
    std::vector<Term> terms;
    bool whole = false;  // whether some term has the sum's shape: zeros may broadcast the others
    for (const NodeId input : node.inputs) {
      const Value& addend = values_[input];
      if (addend.zero) continue;
      whole = whole || nodes_[input].shape == node.shape;
      if (addend.terms.empty()) {
        terms.push_back({addend.hash});
      } else {
        terms.insert(terms.end(), addend.terms.begin(), addend.terms.end());
      }
    }
    if (!whole) terms.push_back({hash_shape("zeros", node.shape)});
    std::sort(terms.begin(), terms.end(), [](const Term& a, const Term& b) { return a.hash < b.hash; });
    std::size_t last = 0;
    for (std::size_t i = 1; i < terms.size(); ++i) {
      if (terms[i].hash == terms[last].hash) {
        terms[last].count += terms[i].count;  // modulo 2^64, after 64 doublings
      } else {
        terms[++last] = terms[i];
      }
    }
    terms.resize(last + 1);
    if (terms.size() == 1 && terms[0].count == 1) {
      value.hash = terms[0].hash;
      return;
    }
    Hasher hasher;
    hasher.add(std::string_view("sum"));
    for (const Term& term : terms) hasher.add(term.hash).add(term.count);
    value.hash = hasher.finish();
    value.terms = std::move(terms);
  }

  std::span<const Node> nodes_;
  std::vector<Value> values_;
};

}  // namespace

Fingerprint function_hash(const Network& network) {
  const NodeId output = network.output();
  return Hasher().add(std::string_view("duet.function")).add(Values(network)[output].hash).finish();
}

}  // namespace duet
