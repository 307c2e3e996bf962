#include "hw_models/mapper.hpp"

#include <array>
#include <stdexcept>
#include <string>

#include "hw_models/mappers/certified.hpp"
#include "hw_models/mappers/exhaustive.hpp"
#include "hw_models/mappers/genetic.hpp"
#include "hw_models/mappers/gradient.hpp"

namespace duet {
namespace {

constexpr std::array<std::string_view, 6> objective_names{"cycles",   "energy",             "energy_delay",
                                                          "weighted", "cycles_then_energy", "energy_then_cycles"};

struct Entry {
  std::string_view name;
  std::unique_ptr<Mapper> (*make)();
};

/// One line per mapper; its factory is declared in its own header.
const std::vector<Entry>& entries() {
  static const std::vector<Entry> all{
      {"certified", make_certified_mapper},
      {"exhaustive", make_exhaustive_mapper},
      {"genetic", make_genetic_mapper},
      {"gradient", make_gradient_mapper},
  };
  return all;
}

}  // namespace

ObjectiveValue value(const Objective& objective, double cycles, double energy_j, double clock_hz) {
  switch (objective.kind) {
    case Objective::Kind::cycles: return {cycles, 0};
    case Objective::Kind::energy: return {energy_j, 0};
    case Objective::Kind::energy_delay: return {energy_j * (cycles / clock_hz), 0};
    case Objective::Kind::weighted:
      return {objective.per_second * (cycles / clock_hz) + objective.per_joule * energy_j, 0};
    case Objective::Kind::cycles_then_energy: return {cycles, energy_j};
    case Objective::Kind::energy_then_cycles: return {energy_j, cycles};
  }
  return {};
}

std::string_view to_string(Objective::Kind kind) { return objective_names[static_cast<std::size_t>(kind)]; }

Objective read_objective(const Config& config) {
  Objective objective;
  if (config.is_map()) {
    config.allow_only({"weighted"});
    const Config weights = config.at("weighted");
    weights.allow_only({"per_second", "per_joule"});
    objective.kind = Objective::Kind::weighted;
    if (const auto weight = weights.find("per_second")) objective.per_second = weight->number(0);
    if (const auto weight = weights.find("per_joule")) objective.per_joule = weight->number(0);
    if (objective.per_second == 0 && objective.per_joule == 0) {
      weights.fail("a weighted objective needs a weight per_second or per_joule above 0");
    }
    return objective;
  }
  std::vector<std::string> words;
  for (const std::string_view word : objective_names) {
    if (word != "weighted") words.emplace_back(word);
  }
  const std::string chosen = config.one_of(words);
  for (std::size_t i = 0; i < objective_names.size(); ++i) {
    if (objective_names[i] == chosen) objective.kind = static_cast<Objective::Kind>(i);
  }
  return objective;
}

double MapperResult::gap() const {
  if (proven) return 0;
  return lower_bound > 0 ? value.first / lower_bound - 1 : std::numeric_limits<double>::infinity();
}

std::vector<std::string_view> mapper_names() {
  std::vector<std::string_view> names;
  for (const Entry& entry : entries()) names.push_back(entry.name);
  return names;
}

std::unique_ptr<Mapper> make_mapper(std::string_view name) {
  for (const Entry& entry : entries()) {
    if (entry.name == name) return entry.make();
  }
  throw std::out_of_range("no mapper is called '" + std::string(name) + "'");
}

}  // namespace duet
