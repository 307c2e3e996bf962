#include "spaces/design_space.hpp"

#include <stdexcept>

#include <fmt/format.h>

#include "core/errors.hpp"
#include "spaces/variants.hpp"

namespace duet {

// --- Assignment ------------------------------------------------------------------------------------------------------

bool Assignment::has(std::string_view name) const {
  const auto found = space_->find(prefix_ + std::string(name));
  return found && candidate_->has(*found);
}

std::size_t Assignment::index(std::string_view name) const {
  const auto found = space_->find(prefix_ + std::string(name));
  if (!found || !candidate_->has(*found)) {
    throw std::out_of_range("no active parameter '" + prefix_ + std::string(name) + "'");
  }
  return *found;
}

double Assignment::number(std::string_view name) const { return space_->number(*candidate_, index(name)); }

const std::string& Assignment::option(std::string_view name) const { return space_->option(*candidate_, index(name)); }

// --- DesignSpace -----------------------------------------------------------------------------------------------------

DesignSpace DesignSpace::read(const Config& config, const Catalog<SpacePlugin>& catalog) {
  if (!config.is_map()) config.fail("expected a mapping from parts to their spaces: network: {type: …}");
  static const std::vector<std::string> reserved{"type", "variants"};
  DesignSpace result;
  std::vector<SpaceNode> nodes;
  for (const std::string& name : config.keys()) {
    if (name == "constraints" || name == "derived") continue;
    const Config section = config.at(name);
    const std::vector<std::string> others{"constraints", "derived"};
    if ((!section.is_map() || !section.has("type")) && nearest(name, others)) config.fail_unknown_key(name, others);
    if (!section.is_map() || !section.has("type")) {
      section.fail(fmt::format("part '{}' needs a type: one of {}", name, fmt::join(catalog.names(), ", ")));
    }
    const SpacePlugin& plugin = catalog.at(section.at("type"));
    const Options options = Options::read(section, plugin.options, "space " + plugin.name, reserved);
    try {
      std::shared_ptr<const DesignPart> part = plugin.create(options);
      if (const auto variants = section.find("variants")) {
        part = with_variants(std::move(part), Options::read(*variants, variant_options(), "variants"));
      }
      result.parts_.push_back({name, plugin.name, std::move(part)});
      nodes.push_back(group(name, result.parts_.back().part->nodes()));
      const Space check({nodes.back()});  // so that a part's own mistakes are reported at the part
    } catch (const ConfigError& error) {
      // Errors that already carry a position begin with the document's name.
      if (std::string_view(error.what()).starts_with(config.document())) throw;
      section.fail(error.what());
    }
  }
  std::string recipe;
  for (const Part& part : result.parts_) {
    if (part.type != "training_recipe") continue;
    if (!recipe.empty()) {
      config.at(part.name).fail(fmt::format("the design has a training recipe already: '{}'", recipe));
    }
    recipe = part.name;
  }
  if (result.parts_.empty()) config.fail("a space needs at least one part: network: {type: …}");

  auto space = std::make_shared<Space>(nodes);
  const Space* raw = space.get();
  for (const Part& part : result.parts_) {
    for (PartQuantity& quantity : part.part->quantities()) {
      space->add_derived({part.name + "." + quantity.name, quantity.unit, quantity.description,
                          [raw, prefix = part.name, compute = std::move(quantity.compute),
                           keep = part.part](const Candidate& candidate) {
                            return compute(Assignment(*raw, candidate, prefix));
                          }});
    }
    for (PartLabel& label : part.part->labels()) {
      result.labels_[part.name + "." + label.name] = [raw, prefix = part.name, compute = std::move(label.compute),
                                                      keep = part.part](const Candidate& candidate) {
        return compute(Assignment(*raw, candidate, prefix));
      };
    }
  }
  for (const Part& part : result.parts_) {
    // A part does not know what it is called: its own names lose their first word, the others all their words.
    std::vector<Symbol> symbols = space->symbols();
    for (Symbol& symbol : symbols) {
      const bool own = symbol.name.starts_with(part.name + ".");
      symbol.name = own ? symbol.name.substr(part.name.size() + 1) : "";
    }
    for (const std::string& constraint : part.part->constraints()) {
      space->add_constraint(Expression::parse(constraint, symbols));
    }
  }
  if (const auto derived = config.find("derived")) {
    if (!derived->is_map()) derived->fail(fmt::format("'{}' must be a mapping from names to expressions", derived->path()));
    for (const std::string& name : derived->keys()) space->add_derived(name, "1", derived->at(name));
  }
  if (const auto constraints = config.find("constraints")) {
    for (const Config& constraint : constraints->items(true)) space->add_constraint(constraint);
  }
  // A space that constraints leave empty, or nearly so, is found here and not in the middle of a run.
  try {
    Random random(0, "satisfiability");
    space->sample(random);
  } catch (const ConfigError& error) {
    config.find("constraints").value_or(config).fail(error.what());
  }
  result.space_ = std::move(space);
  return result;
}

bool DesignSpace::has_network() const {
  Random random(0, "probe");
  try {
    return !design(space_->sample(random)).networks().empty();
  } catch (const NetworkError&) {
    return true;  // this one makes no sense, but it is one
  }
}

bool DesignSpace::has_accelerator() const {
  Random random(0, "probe");
  return !design(space_->sample(random)).accelerators().empty();
}

Fingerprint DesignSpace::inputs() const {
  Hasher hasher;
  bool any = false;
  for (const Part& part : parts_) {
    const Fingerprint inputs = part.part->inputs();
    if (inputs == Fingerprint{}) continue;
    hasher.add(std::string_view(part.name)).add(inputs);
    any = true;
  }
  return any ? hasher.finish() : Fingerprint{};
}

std::vector<std::string> DesignSpace::label_names() const {
  std::vector<std::string> names = space_->paths();
  for (const auto& [name, compute] : labels_) names.push_back(name);
  return names;
}

std::string DesignSpace::label(const Candidate& candidate, std::string_view name) const {
  if (const auto found = labels_.find(name); found != labels_.end()) return found->second(candidate);
  if (const auto parameter = space_->find(name)) {
    return candidate.has(*parameter) ? space_->format(*parameter, candidate[*parameter]) : "";
  }
  throw ConfigError(fmt::format("unknown name '{}'{}", name, hint(name, label_names())));
}

Design DesignSpace::design(Candidate candidate) const { return Design(*this, std::move(candidate)); }

// --- Design ----------------------------------------------------------------------------------------------------------

const std::vector<Network>& Design::networks() const {
  if (!networks_) {
    std::vector<Network> networks;
    std::vector<std::string> names;
    for (const DesignSpace::Part& part : space_->parts_) {
      if (auto network = part.part->network(Assignment(space(), candidate_, part.name))) {
        networks.push_back(std::move(*network));
        names.push_back(part.name);
      }
    }
    networks_ = std::move(networks);
    network_parts_ = std::move(names);
  }
  return *networks_;
}

const std::vector<std::string>& Design::network_parts() const {
  networks();
  return network_parts_;
}

const std::vector<Accelerator>& Design::accelerators() const {
  if (!accelerators_) {
    std::vector<Accelerator> accelerators;
    for (const DesignSpace::Part& part : space_->parts_) {
      if (auto accelerator = part.part->accelerator(Assignment(space(), candidate_, part.name))) {
        accelerators.push_back(std::move(*accelerator));
      }
    }
    accelerators_ = std::move(accelerators);
  }
  return *accelerators_;
}

TrainingRecipe Design::recipe() const {
  for (const DesignSpace::Part& part : space_->parts_) {
    if (auto recipe = part.part->recipe(Assignment(space(), candidate_, part.name))) return *recipe;
  }
  return {};
}

}  // namespace duet
