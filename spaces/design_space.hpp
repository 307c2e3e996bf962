#pragma once
/// From candidates to designs. A design space is made of named parts, each from a plug-in: a network space, an
/// accelerator space, or plain parameters. Any combination of parts is a joint space.
///
///   space:                                   # in the experiment file
///     network:     {type: nas_bench_201}
///     accelerator: {type: systolic_array, rows: [8, 16, 32]}
///     constraints: [accelerator.pe_count <= 1024]

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/options.hpp"
#include "core/registry.hpp"
#include "core/space.hpp"
#include "spaces/accelerator.hpp"
#include "spaces/network.hpp"
#include "spaces/training_recipe.hpp"

namespace duet {

/// The values that a candidate gives to one part of a design space, by the names that the part gave them.
class Assignment {
 public:
  Assignment(const Space& space, const Candidate& candidate, std::string_view part)
      : space_(&space), candidate_(&candidate), prefix_(std::string(part) + ".") {}

  /// Whether the parameter exists and is active. "stage1.depth"
  bool has(std::string_view name) const;
  /// \throws std::out_of_range if there is no such active parameter (a mistake of the part, not of the user).
  double number(std::string_view name) const;
  std::int64_t integer(std::string_view name) const { return static_cast<std::int64_t>(number(name)); }
  const std::string& option(std::string_view name) const;

  /// For parts that compiled their tree themselves: the parameters of a part stand together in the candidate, in the order
  /// of its tree. Where one of them stands. \throws std::out_of_range like number().
  std::size_t index(std::string_view name) const;
  const Candidate& candidate() const { return *candidate_; }

 private:
  const Space* space_;
  const Candidate* candidate_;
  std::string prefix_;
};

/// A quantity of a part that constraints may use, cheap beside any evaluation.
struct PartQuantity {
  std::string name;  ///< within the part: "pe_count"
  std::string unit;
  std::string description;
  std::function<double(const Assignment&)> compute;
};

/// A text that names the part's value in the outside world, for the keys of tables: an architecture string.
struct PartLabel {
  std::string name;  ///< within the part: "architecture"
  std::string description;
  std::function<std::string(const Assignment&)> compute;
};

/// One part of a design. Const and thread-safe after construction.
class DesignPart {
 public:
  virtual ~DesignPart() = default;
  /// The part's tree; duet puts it into a group with the part's name.
  virtual std::vector<SpaceNode> nodes() const = 0;
  virtual std::vector<PartQuantity> quantities() const { return {}; }
  virtual std::vector<PartLabel> labels() const { return {}; }
  /// Hard constraints of the part itself: expressions over its own parameters and quantities, by the names it gave them.
  virtual std::vector<std::string> constraints() const { return {}; }
  /// What the part means, if it is a network. \throws NetworkError if the assignment gives no sensible network.
  virtual std::optional<Network> network(const Assignment&) const { return std::nullopt; }
  virtual std::optional<Accelerator> accelerator(const Assignment&) const { return std::nullopt; }
  virtual std::optional<TrainingRecipe> recipe(const Assignment&) const { return std::nullopt; }
  /// Of what the part read besides its options: files of the user's. Zero: nothing.
  virtual Fingerprint inputs() const { return {}; }
};

struct SpacePlugin {
  std::string name;     ///< as in YAML
  std::string summary;  ///< one sentence
  std::string source;   ///< where it was published
  std::vector<Option> options;
  std::function<std::unique_ptr<DesignPart>(const Options&)> create;
};

class Design;

/// A whole design space: a Space whose top-level groups are parts.
class DesignSpace {
 public:
  /// Reads the `space:` mapping. \throws ConfigError
  static DesignSpace read(const Config& config, const Catalog<SpacePlugin>& catalog);

  const Space& space() const { return *space_; }
  /// Whether any design of this space has a network or an accelerator.
  bool has_network() const;
  bool has_accelerator() const;
  /// Of the files that the parts read, as far as they decide on designs. Zero: there are none.
  Fingerprint inputs() const;
  /// All labels, "part.name", and parameter paths: what a key template may mention.
  std::vector<std::string> label_names() const;
  /// A parameter's value as text, or a label. \throws ConfigError for an unknown name, with the nearest match.
  /// An inactive parameter gives "".
  std::string label(const Candidate& candidate, std::string_view name) const;

  /// The design that a valid candidate means. The DesignSpace must outlive it.
  Design design(Candidate candidate) const;

 private:
  friend class Design;
  struct Part {
    std::string name;
    std::string type;
    std::shared_ptr<const DesignPart> part;
  };
  std::vector<Part> parts_;
  std::map<std::string, std::function<std::string(const Candidate&)>, std::less<>> labels_;
  std::shared_ptr<const Space> space_;  // shared: closures and problems point to it
};

/// What a candidate means. Networks and accelerators are built when first asked for; not to be shared between threads.
class Design {
 public:
  Design(const DesignSpace& space, Candidate candidate) : space_(&space), candidate_(std::move(candidate)) {}

  const DesignSpace& design_space() const { return *space_; }
  const Space& space() const { return space_->space(); }
  const Candidate& candidate() const { return candidate_; }

  /// In the order of the parts; empty if no part is one. \throws NetworkError
  const std::vector<Network>& networks() const;
  /// The names of their parts, in the same order. \throws NetworkError
  const std::vector<std::string>& network_parts() const;
  const std::vector<Accelerator>& accelerators() const;
  /// Of the first part that is one; nothing decided where there is none.
  TrainingRecipe recipe() const;

 private:
  const DesignSpace* space_;
  Candidate candidate_;
  mutable std::optional<std::vector<Network>> networks_;
  mutable std::vector<std::string> network_parts_;
  mutable std::optional<std::vector<Accelerator>> accelerators_;
};

/// All spaces that come with duet.
void add_builtin_spaces(Catalog<SpacePlugin>& catalog);

}  // namespace duet
