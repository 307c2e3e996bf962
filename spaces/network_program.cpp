#include "spaces/network_program.hpp"

#include <cmath>
#include <deque>
#include <limits>

#include <fmt/format.h>

#include "core/units.hpp"

namespace duet {

double dimension_of(const Shape& shape, Dimension dimension) {
  constexpr double absent = std::numeric_limits<double>::quiet_NaN();
  const std::size_t rank = shape.size();
  switch (dimension) {
    case Dimension::channels: return rank >= 2 ? static_cast<double>(shape[1]) : absent;
    case Dimension::height: return rank == 4 ? static_cast<double>(shape[2]) : absent;
    case Dimension::width: return rank == 4 ? static_cast<double>(shape[3]) : absent;
    case Dimension::features: return rank >= 1 ? static_cast<double>(shape.back()) : absent;
    case Dimension::length: return rank == 3 ? static_cast<double>(shape[1]) : absent;
  }
  return absent;
}

namespace {

constexpr double max_whole = 9007199254740992.0;  // 2^53

/// Makes the nodes.
class Builder {
 public:
  explicit Builder(std::size_t nodes) { network_.reserve(nodes); }
  NodeId add(const StaticNode& step, const std::vector<NodeId>& registers) {
    NodeIds inputs = step.node.inputs;
    for (NodeId& input : inputs) input = registers[input];
    return network_.adopt(step.node, inputs, step.parameters, step.macs);
  }
  NodeId add(const std::string& name, Operator op, NodeIds inputs, Inferred inferred) {
    return network_.adopt({name, std::move(op), std::move(inputs), std::move(inferred.shape)}, inferred.parameters, inferred.macs);
  }
  const Shape& shape(NodeId id) const { return network_.nodes()[id].shape; }
  std::size_t size() const { return network_.nodes().size(); }
  void format(NodeId first, NumberFormat format) {
    for (NodeId id = first; id < size(); ++id) {
      const Operator& op = network_.node(id).op;
      if (!is_layer(op)) continue;
      // A product of activations has no weights.
      const bool activations = std::holds_alternative<MatMul>(op);
      network_.set_format(id, merged(network_.node(id).format,
                                     activations ? NumberFormat{.activation_bits = format.activation_bits} : format));
    }
  }
  Network finish(NodeId result) {
    network_.set_output(result);
    return std::move(network_);
  }

 private:
  Network network_;
};

/// Counts what they would hold and do.
class Counter {
 public:
  explicit Counter(std::size_t nodes) { shapes_.reserve(nodes); }
  NodeId add(const StaticNode& step, const std::vector<NodeId>&) {
    shapes_.push_back(&step.node.shape);
    return include(step.parameters, step.macs);
  }
  NodeId add(const std::string&, const Operator&, const NodeIds&, Inferred inferred) {
    own_.push_back(std::move(inferred.shape));
    shapes_.push_back(&own_.back());
    return include(inferred.parameters, inferred.macs);
  }
  const Shape& shape(NodeId id) const { return *shapes_[id]; }
  std::size_t size() const { return shapes_.size(); }
  void format(NodeId, const NumberFormat&) {}
  NetworkCounts finish(NodeId) const {
    constexpr auto most = static_cast<std::int64_t>(max_whole);
    if (counts_.parameters > most || counts_.macs > most) throw NetworkError("the network is too large to count");
    return counts_;
  }

 private:
  NodeId include(std::int64_t parameters, std::int64_t macs) {
    // Each is at most 2^53, so that the sum cannot overflow before it is refused.
    constexpr auto most = static_cast<std::int64_t>(max_whole);
    counts_.parameters = std::min(counts_.parameters + parameters, most + 1);
    counts_.macs = std::min(counts_.macs + macs, most + 1);
    return shapes_.size() - 1;
  }

  std::vector<const Shape*> shapes_;
  std::deque<Shape> own_;
  NetworkCounts counts_;
};

template <class Sink>
class Run {
 public:
  Run(const Program& program, const Candidate& candidate, std::size_t first)
      : program_(program), candidate_(candidate), first_(first), sink_(program.most_nodes),
        registers_(program.registers, Program::none), slots_(program.slots, 0) {}

  auto result() {
    steps(program_.steps);
    return sink_.finish(registers_[program_.result]);
  }

 private:
  double code(std::size_t decision) const { return candidate_[first_ + program_.parameters[decision]]; }

  double value(const Term& term) const {
    switch (term.kind) {
      case Term::Kind::constant: return term.value;
      case Term::Kind::slot: return slots_[term.index];
      case Term::Kind::dimension: return dimension_of(sink_.shape(registers_[term.index]), term.dimension);
      case Term::Kind::formula: break;
    }
    const std::vector<Term>& symbols = term.formula->symbols;
    return term.formula->expression.evaluate([this, &symbols](std::size_t symbol) { return this->value(symbols[symbol]); });
  }

  void steps(const Steps& steps) {
    for (const Step& step : steps) std::visit([this](const auto& what) { perform(what); }, step.what);
  }

  void perform(const StaticNode& step) { registers_[step.result] = sink_.add(step, registers_); }

  void perform(const DynamicNode& step) {
    NodeIds inputs;
    for (const Register from : step.inputs) {
      if (registers_[from] != Program::none) inputs.push_back(registers_[from]);
    }
    if (step.join && inputs.size() < 2) {
      if (inputs.empty()) throw NetworkError(fmt::format("node '{}' ({}): no branch remains", step.name, step.kind->name));
      registers_[step.result] = inputs.front();
      return;
    }
    SmallVector<const Shape*, 8> shapes;
    for (const NodeId input : inputs) shapes.push_back(&sink_.shape(input));
    Operator op = step.op ? *step.op : make(step);
    Inferred inferred = infer(step.name, op, shapes);
    registers_[step.result] = sink_.add(step.name, std::move(op), std::move(inputs), std::move(inferred));
  }

  Operator make(const DynamicNode& step) {
    attributes_.resize(std::max(attributes_.size(), step.attributes.size()));
    for (std::size_t i = 0; i < step.attributes.size(); ++i) read(step, i);
    return step.kind->make(attributes_);
  }

  [[noreturn]] static void fail(const DynamicNode& step, std::size_t attribute, const std::string& what) {
    throw NetworkError(fmt::format("node '{}' ({}): {} {}", step.name, step.kind->name, step.kind->attributes[attribute].name, what));
  }

  double whole(const DynamicNode& step, std::size_t attribute, const Term& term) const {
    const double number = value(term);
    if (number == OperatorAttribute::same) return number;
    if (std::isnan(number)) fail(step, attribute, "has no value: what it is computed from is not there");
    if (number != std::floor(number) || std::abs(number) > max_whole) {
      fail(step, attribute, fmt::format("must be a whole number, not {}", shortest(number)));
    }
    return number;
  }

  void read(const DynamicNode& step, std::size_t i) {
    const DynamicNode::Attribute& from = step.attributes[i];
    AttributeValue& to = attributes_[i];
    switch (step.kind->attributes[i].kind) {
      case OperatorAttribute::Kind::whole: to.number = whole(step, i, from.term); break;
      case OperatorAttribute::Kind::real: to.number = value(from.term); break;
      case OperatorAttribute::Kind::boolean: to.number = value(from.term) != 0 ? 1 : 0; break;
      case OperatorAttribute::Kind::word:
        to.number = value(from.term);
        if (from.codes) {
          const auto word = static_cast<std::size_t>(to.number);
          to.number = (*from.codes)[word];
          if (std::isnan(to.number)) fail(step, i, fmt::format("cannot be '{}'", program_.words[word]));
        }
        break;
      case OperatorAttribute::Kind::text:
        to.text = from.text.empty() ? program_.words[static_cast<std::size_t>(value(from.term))] : from.text;
        break;
      case OperatorAttribute::Kind::list:
        to.list.clear();
        if (step.batch) to.list.push_back(1);
        for (const Term& term : from.list) to.list.push_back(static_cast<std::int64_t>(whole(step, i, term)));
        break;
    }
  }

  void perform(const Assign& step) { slots_[step.slot] = value(step.term); }

  void perform(const Decide& step) {
    const double chosen = code(step.decision);
    slots_[step.slot] = step.values.empty() ? chosen : step.values[static_cast<std::size_t>(chosen)];
  }

  void perform(const Select& step) { steps(step.options[static_cast<std::size_t>(code(step.decision))]); }

  void perform(const When& step) {
    const double condition = value(step.condition);
    if (condition != 0 && !std::isnan(condition)) steps(step.body);
  }

  void perform(const Formatted& step) {
    const NodeId first = sink_.size();
    steps(step.body);
    const auto bits = [this](const Term& term, const char* name) {
      const double number = value(term);
      if (!(number >= 0 && number <= 64) || number != std::floor(number)) {
        throw NetworkError(fmt::format("format: {} must be a whole number from 0 to 64, not {}", name, shortest(number)));
      }
      return static_cast<std::int64_t>(number);
    };
    sink_.format(first, {.weight_bits = bits(step.weight_bits, "weight_bits"),
                         .activation_bits = bits(step.activation_bits, "activation_bits"),
                         .density = value(step.density),
                         .sparsity_group = bits(step.sparsity_group, "sparsity_group")});
  }

  void perform(const Move& step) { registers_[step.to] = registers_[step.from]; }

  const Program& program_;
  const Candidate& candidate_;
  std::size_t first_;
  Sink sink_;
  std::vector<NodeId> registers_;
  std::vector<double> slots_;
  std::vector<AttributeValue> attributes_;
};

}  // namespace

Network build(const Program& program, const Candidate& candidate, std::size_t first) {
  return Run<Builder>(program, candidate, first).result();
}

NetworkCounts count(const Program& program, const Candidate& candidate, std::size_t first) {
  return Run<Counter>(program, candidate, first).result();
}

}  // namespace duet
