#pragma once
/// Search spaces: a tree of parameters, hard constraints over them, and everything that follows from the tree:
/// sampling, mutation, crossover, neighbours, enumeration, cardinality, encoding. Strategies work on any space
/// through this interface alone.
///
///   Life cycle:  describe a tree of Nodes  →  Space(nodes)  →  add_derived()*  →  add_constraint()*  →  const use
///
/// A const Space may be used from several threads at once, if its derived quantities may.

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/candidate.hpp"
#include "core/config.hpp"
#include "core/expression.hpp"
#include "core/fingerprint.hpp"
#include "core/random.hpp"

namespace duet {

struct SpaceNode;

/// An option of a choice. Its name may be any text without blanks, commas and quotes; an identifier if it has children,
/// whose paths it is part of: "block.operator.convolution.kernel".
struct OptionNode {
  std::string name;
  std::vector<SpaceNode> children;  ///< active when this option is chosen
};

/// A node of the tree as it is described. Build with the functions below; names must be identifiers
/// ([A-Za-z_][A-Za-z0-9_]*) and unique among siblings.
struct SpaceNode {
  enum class Kind { choice, ordinal, integer, real, group, repeat };
  Kind kind = Kind::group;
  std::string name;
  std::string unit = "1";
  std::string description;
  std::vector<OptionNode> options;   ///< choice
  std::vector<double> values;        ///< ordinal: ascending, in `unit`
  double minimum = 0, maximum = 0;   ///< integer, real
  bool logarithmic = false;          ///< real and integer: sampled and encoded on a log scale; minimum > 0
  std::vector<SpaceNode> children;   ///< group; repeat: the repeated part
  std::vector<SpaceNode> count;      ///< repeat: one integer or ordinal node whose value says how many
};

/// One of several options, each with parameters of its own.
SpaceNode choice(std::string name, std::vector<OptionNode> options, std::string description = "");
SpaceNode choice(std::string name, std::vector<std::string> options, std::string description = "");
SpaceNode choice(std::string name, std::initializer_list<const char*> options, std::string description = "");
/// A number out of an ascending list.
SpaceNode ordinal(std::string name, std::vector<double> values, std::string unit = "1", std::string description = "");
SpaceNode integer(std::string name, std::int64_t minimum, std::int64_t maximum, std::string unit = "1",
                  std::string description = "", bool logarithmic = false);
SpaceNode real(std::string name, double minimum, double maximum, std::string unit = "1", std::string description = "",
               bool logarithmic = false);
/// A named part: a prefix of its children's paths.
SpaceNode group(std::string name, std::vector<SpaceNode> children, std::string description = "");
/// `count` (integer or ordinal of whole numbers) copies of `children`, named name1, name2, …. The count is a parameter
/// beside the copies. A count of one value only is no decision and is left out of the space.
SpaceNode repeat(std::string name, SpaceNode count, std::vector<SpaceNode> children, std::string description = "");

/// Reads a tree from YAML; docs/experiment_file.md shows the form. \throws ConfigError
std::vector<SpaceNode> read_space_nodes(const Config& config);

/// A parameter of the compiled space. Parameters stand in pre-order: parents before children.
struct Parameter {
  enum class Kind { choice, ordinal, integer, real };
  std::string path;  ///< "network.stage2.block1.kernel"
  Kind kind = Kind::integer;
  std::string unit = "1";
  std::string description;
  std::vector<std::string> options;  ///< choice: the options' names
  std::vector<double> values;        ///< ordinal: ascending
  double minimum = 0, maximum = 0;   ///< bounds of the code (choice, ordinal: 0 and number of options - 1)
  bool logarithmic = false;

  /// Active if and only if it has no parent, or the parent is active with a code in [parent_low, parent_high].
  std::optional<std::size_t> parent;
  double parent_low = 0, parent_high = 0;

  bool discrete() const { return kind != Kind::real; }
  /// Number of codes of a discrete parameter.
  std::uint64_t levels() const { return static_cast<std::uint64_t>(maximum - minimum) + 1; }
};

/// A parameter's code as the user would write it: "conv3x3", "3"; numbers are in the parameter's unit.
std::string format_code(const Parameter& parameter, double code);

/// How many candidates a space has, hard constraints not considered.
struct Cardinality {
  bool finite = true;
  double approximate = 1;              ///< infinity if not finite
  std::optional<std::uint64_t> exact;  ///< if it fits
  std::string text;                    ///< all digits, or "infinite"
};

/// A cheap quantity computed from a candidate, for constraints and keys: name, unit, sentence, function.
struct Derived {
  std::string name;  ///< dotted like a parameter's path: "accelerator.pe_count"
  std::string unit;
  std::string description;
  std::function<double(const Candidate&)> compute;  ///< thread-safe; NaN: absent
  std::string expression = {};  ///< the text it was computed from, if a user wrote it
};

class Space {
 public:
  Space() = default;
  /// Compiles the tree. \throws ConfigError for empty choices, duplicate or malformed names, bad bounds.
  explicit Space(const std::vector<SpaceNode>& nodes);

  // --- The parameters.
  std::size_t size() const { return parameters_.size(); }
  const Parameter& operator[](std::size_t i) const { return parameters_[i]; }
  std::span<const Parameter> parameters() const { return parameters_; }
  std::optional<std::size_t> find(std::string_view path) const;
  /// \throws ConfigError (without position) with the nearest match.
  std::size_t at(std::string_view path) const;
  /// The parameters whose path is `prefix` or lies below it, ascending. Empty prefix: all.
  std::vector<std::size_t> under(std::string_view prefix) const;
  /// All paths, for hints.
  std::vector<std::string> paths() const;

  // --- Derived quantities and hard constraints.
  void add_derived(Derived derived);
  std::span<const Derived> derived() const { return derived_; }
  /// The names an expression may use: parameters first, in order, then derived quantities.
  std::vector<Symbol> symbols() const;
  /// A derived quantity from an expression over what exists so far.
  void add_derived(std::string name, std::string unit, const Config& expression);
  void add_constraint(const Config& expression);
  void add_constraint(Expression expression);
  std::span<const Expression> constraints() const { return constraints_; }
  /// For Expression: the value of symbol i in a candidate, ordinals as their value, derived quantities computed.
  double read(const Candidate& candidate, std::size_t symbol) const;

  // --- Candidates. Functions that return candidates return well-formed ones (exactly the active parameters, codes in
  //     bounds) which satisfy the hard constraints unless they say otherwise.

  bool active(const Candidate& candidate, std::size_t parameter) const;
  /// One sentence, or nothing if the candidate has exactly the active parameters with codes in bounds. Everything else
  /// that takes a candidate requires a well-formed one.
  std::optional<std::string> why_malformed(const Candidate& candidate) const;
  /// One sentence, or nothing if the candidate is well-formed and satisfies every hard constraint.
  std::optional<std::string> why_invalid(const Candidate& candidate) const;
  bool valid(const Candidate& candidate) const;
  /// The values: "network.depth=3 network.op=conv …" for people; parse it back with read_candidate.
  std::string describe(const Candidate& candidate) const;
  /// Independent of the order of parameters and of parameters that are not active.
  Fingerprint fingerprint(const Candidate& candidate) const;

  /// The value of a parameter as a number (ordinals: the value, not the position). NaN: inactive.
  double number(const Candidate& candidate, std::size_t parameter) const;
  double number(const Candidate& candidate, std::string_view path) const { return number(candidate, at(path)); }
  /// The option chosen. Requires an active choice.
  const std::string& option(const Candidate& candidate, std::size_t parameter) const;
  const std::string& option(const Candidate& candidate, std::string_view path) const {
    return option(candidate, at(path));
  }
  /// See format_code.
  std::string format(std::size_t parameter, double code) const;
  /// The opposite: "conv3x3", "512KiB", "524288". \returns nothing and sets `problem` if it is not a value of it.
  std::optional<double> parse(std::size_t parameter, std::string_view text, std::string& problem) const;

  /// A complete assignment from a mapping, nested or dotted, to a candidate. Parameters not given are taken from
  /// `base` if there is one. \throws ConfigError for unknown paths, bad values, inactive or missing parameters, and
  /// hard constraints that are violated.
  Candidate read_candidate(const Config& assignments, const Candidate* base = nullptr) const;
  /// Sets one parameter and makes the rest fit: what becomes inactive goes, what becomes active takes its value from
  /// `donor` where active there, else is drawn. Does not look at constraints.
  Candidate with(const Candidate& candidate, std::size_t parameter, double code, Random& random,
                 const Candidate* donor = nullptr) const;

  /// Every decision uniform (log-uniform where logarithmic) given its parents; hard constraints by rejection.
  /// \throws ConfigError if max_rejections draws in a row violate a constraint; the sentence names the constraint
  /// violated most often.
  Candidate sample(Random& random) const;
  /// The same, but nothing where sample() throws.
  std::optional<Candidate> try_sample(Random& random) const;
  /// The same without constraints.
  Candidate sample_any(Random& random) const;
  /// A code for one parameter; never `other_than` if the parameter has another.
  double sample_code(std::size_t parameter, Random& random, std::optional<double> other_than = std::nullopt) const;
  /// The code where a share `u` in [0, 1) of what sample_code draws is smaller: uniform numbers make samples.
  double code_at_quantile(std::size_t parameter, double u) const;
  /// Where a code lies between the bounds, on the parameter's scale, in [0, 1]; choices and ordinals by position.
  double position(std::size_t parameter, double code) const { return to_unit(parameter, code); }
  /// The code nearest to a position, which may lie beyond [0, 1].
  double code_at(std::size_t parameter, double position) const { return from_unit(parameter, position); }
  /// A code near `code`: one step up or down (ordinals, integers; 10% of the range on the right scale, at least one
  /// step, for long ones), Gaussian with 10% of the range (reals), any other option (choices).
  double step_code(std::size_t parameter, double code, Random& random) const;

  /// Changes each active parameter with probability `rate`, at least one in all, to another value. Restricted to
  /// the parameters `among` if that is not empty. \returns the parent itself if no valid change was found in
  /// max_retries tries, or if no parameter can change.
  Candidate mutate(const Candidate& parent, Random& random, double rate,
                   std::span<const std::size_t> among = {}) const;
  /// Changes exactly one decision (with what follows from it).
  Candidate mutate_one(const Candidate& parent, Random& random, std::span<const std::size_t> among = {}) const;
  /// Uniform crossover down the tree: each decision from either parent, preferably one where it is active.
  /// Parameters in `from_first` come from the first parent wherever they are active there.
  /// \returns the first parent if no valid child was found in max_retries tries.
  Candidate crossover(const Candidate& first, const Candidate& second, Random& random,
                      std::span<const std::size_t> from_first = {}) const;
  /// All valid candidates that differ in one discrete decision (newly active parameters: their first code); reals are
  /// left alone, and of an integer or ordinal with more than max_neighbours values only the steps up and down count.
  /// Order: by parameter, then by code.
  std::vector<Candidate> neighbours(const Candidate& candidate) const;

  // --- Enumeration.
  Cardinality cardinality() const;
  /// Candidate number `rank` in lexicographic order of the codes, constraints not considered. Requires a finite space
  /// whose cardinality fits 64 bits and rank below it.
  Candidate unrank(std::uint64_t rank) const;
  /// The inverse.
  std::uint64_t rank(const Candidate& candidate) const;

  // --- Numeric encoding for models. Columns: a choice has one 0/1 column per option; any other parameter one column in
  //     [0, 1] (on its scale; ordinals by position) and, if it has a parent, before that a 0/1 column for being active.
  //     All columns of an inactive parameter are 0.
  std::size_t encoded_size() const { return encoded_size_; }
  void encode(const Candidate& candidate, std::span<double> out) const;
  std::vector<double> encode(const Candidate& candidate) const;
  /// The well-formed candidate nearest to any real vector: largest column of a choice, rounding elsewhere. Does not
  /// look at constraints.
  Candidate decode(std::span<const double> encoded) const;

  /// Of the whole space: parameters, bounds, constraints: to notice that a database belongs to another space.
  Fingerprint fingerprint() const;
  /// The tree as indented text: path, kind, values, unit, description, activation, derived quantities, constraints.
  std::string describe() const;

  static constexpr int max_rejections = 10'000;
  static constexpr int max_retries = 100;
  static constexpr std::uint64_t max_neighbours = 64;

 private:
  struct Counts;
  void compile(const std::vector<SpaceNode>& nodes, const std::string& prefix, std::optional<std::size_t> parent,
               double low, double high);
  std::optional<std::size_t> first_violated(const Candidate& candidate) const;
  double to_unit(std::size_t parameter, double code) const;
  double from_unit(std::size_t parameter, double position) const;

  std::vector<Parameter> parameters_;
  std::vector<std::uint64_t> path_hashes_;
  std::unordered_map<std::string, std::size_t> index_;
  std::vector<Derived> derived_;
  std::vector<Expression> constraints_;
  std::size_t encoded_size_ = 0;
};

}  // namespace duet
