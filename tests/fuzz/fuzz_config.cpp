#include <memory>
#include <utility>

#include "core/errors.hpp"
#include "core/units.hpp"
#include "experiments/specification.hpp"
#include "tests/fuzz/targets.hpp"

namespace duet::fuzz {
namespace {

/// Everything that can be asked of a node, whatever it is.
void read_all(const Config& node) {
  const auto attempt = [](const auto& read) {
    try {
      read();
    } catch (const ConfigError& error) {
      require_sentence(error.what());
      require(std::string_view(error.what()).starts_with("exp.yaml:"), "errors have a position", error.what());
    }
  };
  static const std::vector<std::string> words{"comma", "semicolon", "tab"};
  attempt([&] { node.boolean(); });
  attempt([&] { node.integer(-10, 1'000'000); });
  attempt([&] { node.number(); });
  attempt([&] { node.one_of(words); });
  for (const char* unit : {"B", "s", "Hz", "1"}) {
    attempt([&] { require(shortest(node.quantity(unit)).size() < 40, "numbers are short"); });
  }
  attempt([&] { node.fail_at(node.is_scalar() ? node.text().size() : 0, "message"); });
  attempt([&] { node.allow_only({"name", "space"}); });
  if (node.is_map()) {
    for (const std::string& key : node.keys()) {
      require(node.has(key), "a key has a value");
      node.position_of_key(key);
      read_all(node.at(key));
    }
  } else if (node.is_sequence()) {
    for (const Config& item : node.items()) read_all(item);
  }
}

/// Whether some text could name a file outside the folder.
bool leaves_folder(const Config& node) {
  if (node.is_scalar()) return node.text().starts_with('/') || node.text().find("..") != std::string::npos;
  if (node.is_map()) {
    for (const std::string& key : node.keys()) {
      if (leaves_folder(node.at(key))) return true;
    }
  } else if (node.is_sequence()) {
    for (const Config& item : node.items()) {
      if (leaves_folder(item)) return true;
    }
  }
  return false;
}

int computed = 0;  ///< quantities that were computed for this input

/// A part whose quantities cost nothing after the first few: what a network costs is computed 10,000 times before duet
/// says that no design satisfies the constraints, which is bounded, but too long for fuzzing.
class Hasty final : public DesignPart {
 public:
  explicit Hasty(std::unique_ptr<DesignPart> part) : part_(std::move(part)) {}
  std::vector<SpaceNode> nodes() const override { return part_->nodes(); }
  std::vector<PartQuantity> quantities() const override {
    std::vector<PartQuantity> quantities = part_->quantities();
    for (PartQuantity& quantity : quantities) {
      quantity.compute = [compute = std::move(quantity.compute)](const Assignment& assignment) {
        return computed++ < 20 ? compute(assignment) : static_cast<double>(computed % 1000) * 1e4;
      };
    }
    return quantities;
  }
  std::vector<PartLabel> labels() const override { return part_->labels(); }
  std::optional<Network> network(const Assignment& assignment) const override { return part_->network(assignment); }
  std::optional<Accelerator> accelerator(const Assignment& assignment) const override {
    return part_->accelerator(assignment);
  }

 private:
  std::unique_ptr<DesignPart> part_;
};

Registry quick_registry() {
  const Registry builtin = builtin_registry();
  Registry registry;
  for (const std::string& name : builtin.spaces.names()) {
    SpacePlugin plugin = builtin.spaces.at(name);
    plugin.create = [create = plugin.create](const Options& options) -> std::unique_ptr<DesignPart> {
      return std::make_unique<Hasty>(create(options));
    };
    registry.spaces.add(plugin);
  }
  for (const std::string& name : builtin.estimators.names()) {
    EstimatorPlugin plugin = builtin.estimators.at(name);
    // Reading a data set takes a second and is no parsing of text.
    if (name == "trained") plugin.create = builtin.estimators.at("network_counts").create;
    registry.estimators.add(plugin);
  }
  for (const std::string& name : builtin.strategies.names()) registry.strategies.add(builtin.strategies.at(name));
  return registry;
}

void read_experiment(const Config& config) {
  static const Registry registry = quick_registry();
  static const std::filesystem::path folder = [] {
    scratch_file("table.csv", "arch,accuracy,latency\nx,0.5,1\ny,0.25,2\n");
    const std::filesystem::path program = scratch_file("program", "#!/bin/sh\necho '{}'\n");
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    return scratch_folder();
  }();
  computed = 0;
  const Specification specification = read_specification(config, folder, registry, {});
  const ExperimentRecord record = specification.record();
  require(record.metrics.size() == specification.metrics.size(), "the record has all metrics");
  require(!specification.objectives.empty() && specification.budget.trials > 0, "a specification is complete");
  const std::vector<double> values(specification.metrics.size(), 0.5);
  require(specification.violation(values) >= 0, "a violation is not negative");

  const Space& space = specification.space->space();
  Random random(1, "fuzz");
  computed = 0;
  const auto candidate = space.try_sample(random);
  if (!candidate) return;
  require(!space.why_malformed(*candidate), "a sample is well-formed");
  require(!space.why_malformed(space.mutate(*candidate, random, 0.5)), "a mutant is well-formed");
  space.describe(*candidate);
  const Design design = specification.space->design(*candidate);
  for (const Specification::Scorer& scorer : specification.scorers) {
    if (scorer.estimator->expensive()) continue;
    const Evaluation evaluation = estimate_checked(*scorer.estimator, design);
    require((evaluation.status == Status::ok) == evaluation.reason.empty(), "what is not ok has a reason",
            evaluation.reason);
  }
}

}  // namespace

void fuzz_config(std::string_view input) {
  try {
    const Config config = Config::parse(std::string(input), "exp.yaml");
    require(!config.canonical().empty(), "every document has a canonical form");
    read_all(config);
    if (leaves_folder(config)) return;
    read_experiment(config);
  } catch (const ConfigError& error) {
    require_sentence(error.what());
    require(std::string_view(error.what()).starts_with("exp.yaml:"), "errors have a position", error.what());
  }
}

}  // namespace duet::fuzz
