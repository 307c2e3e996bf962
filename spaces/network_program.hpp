#pragma once
/// What a network template becomes once its parameters are fixed: a tree of steps in which everything that does not depend
/// on a decision is done already. Running it with a candidate's decisions gives the network, or only its counts.
///
///   network_compiler.hpp: statements → Program + tree of decisions        run(program, decisions) → Network
///
/// Values of nodes live in registers (ids of nodes), numbers and words that depend on decisions in slots. A word is its
/// position in `Program::words`. Const and safe to use from several threads.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/candidate.hpp"
#include "core/expression.hpp"
#include "spaces/network.hpp"
#include "spaces/network_operators.hpp"

namespace duet {

using Register = std::uint32_t;

/// What an expression may ask of the value that a statement takes.
enum class Dimension { channels, height, width, features, length };
/// NaN where the shape has no such dimension.
double dimension_of(const Shape& shape, Dimension dimension);

struct Formula;

/// A number, or how to compute it when decisions are known.
struct Term {
  enum class Kind { constant, slot, dimension, formula };
  Kind kind = Kind::constant;
  Dimension dimension = Dimension::channels;
  std::uint32_t index = 0;  ///< slot, or the register of the value whose dimension it is
  double value = 0;
  std::shared_ptr<const Formula> formula = nullptr;
  bool constant() const { return kind == Kind::constant; }
};

struct Formula {
  Expression expression;
  std::vector<Term> symbols;  ///< what the expression reads, by symbol
};

struct Step;
using Steps = std::vector<Step>;

/// A node about which everything is known but the ids of its inputs.
struct StaticNode {
  Node node;  ///< its inputs are registers
  std::int64_t parameters = 0, macs = 0;
  Register result = 0;
};

/// A node with attributes that depend on decisions, or inputs whose shapes do.
struct DynamicNode {
  struct Attribute {
    Term term;
    std::vector<Term> list = {};
    std::string text = {};                                  ///< of a text attribute that is known
    std::shared_ptr<const std::vector<double>> codes = {};  ///< from words to the attribute's; NaN: not one of them
  };
  const OperatorKind* kind = nullptr;
  std::string name;
  std::vector<Register> inputs;
  std::vector<Attribute> attributes;
  std::optional<Operator> op;  ///< where only the inputs' shapes depend on decisions
  Register result = 0;
  bool batch = false;  ///< a shape that begins with the batch of 1 left out
  /// What joins branches: inputs that were left out are passed over, and a single one is the value itself.
  bool join = false;
};

struct Assign {
  std::uint32_t slot = 0;
  Term term;
};

/// The value of a decision.
struct Decide {
  std::uint32_t slot = 0;
  std::size_t decision = 0;     ///< position in `Program::decisions`
  std::vector<double> values;   ///< by code; empty: the code is the value
};

struct Select {
  std::size_t decision = 0;
  std::vector<Steps> options;
};

struct When {
  Term condition;
  Steps body;
};

struct Move {
  Register from = 0, to = 0;
};

/// Layers that have widths or sparsity of their own: all that the body adds.
struct Formatted {
  Term weight_bits = {}, activation_bits = {}, density = {.value = 1}, sparsity_group = {};
  Steps body;
};

struct Step {
  std::variant<StaticNode, DynamicNode, Assign, Decide, Select, When, Move, Formatted> what;
};

struct Program {
  Steps steps;
  std::vector<std::string> words;
  std::vector<std::string> decisions;   ///< paths of the parameters that the steps read
  std::vector<std::size_t> parameters;  ///< the same as positions in the part's tree
  Register registers = 0;
  std::uint32_t slots = 0;
  Register result = 0;
  std::size_t most_nodes = 0;  ///< that a network has, if every option is the longest

  /// Register of a branch that was left out.
  static constexpr NodeId none = static_cast<NodeId>(-1);
};

/// The codes of the part's parameters are those of `candidate` from `first` on. \throws NetworkError
Network build(const Program& program, const Candidate& candidate, std::size_t first);
struct NetworkCounts {
  std::int64_t parameters = 0, macs = 0;
};
/// The counts of what build() makes, without making it. \throws NetworkError
NetworkCounts count(const Program& program, const Candidate& candidate, std::size_t first);

}  // namespace duet
