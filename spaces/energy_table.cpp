#include "spaces/energy_table.hpp"

#include <algorithm>

namespace duet {
namespace {

/// "system.PE[0..7].spad[1..2]" → "spad".
std::string component_name(const Config& entry) {
  std::string name;
  bool range = false;
  for (const char c : entry.at("name").text()) {
    if (c == '[' || c == ']') {
      range = c == '[';
    } else if (c == '.' && !range) {
      name.clear();
    } else if (!range) {
      name += c;
    }
  }
  if (name.empty()) entry.at("name").fail_wrong("the name of a component");
  return name;
}

/// The entries of a table, or of its summary; empty where there is neither.
std::vector<Config> entries(const Config& config, const std::string& which) {
  if (!config.is_map()) return {};
  for (const bool summary : {false, true}) {
    const auto found = config.find(summary ? which + "_summary" : which);
    if (!found) continue;
    const auto tables = found->find(summary ? "table_summary" : "tables");
    return tables ? tables->items() : std::vector<Config>();
  }
  return {};
}

}  // namespace

EnergyTable EnergyTable::read(const Config& config) {
  EnergyTable table;
  for (const Config& entry : entries(config, "ERT")) {
    std::map<std::string, double> actions;
    if (const auto list = entry.find("actions")) {
      for (const Config& action : list->items()) {
        // Of an action with several arguments, the dearest.
        double& joules = actions[action.at("name").text()];
        joules = std::max(joules, action.at("energy").number(0) * 1e-12);
      }
    }
    table.energies_.emplace(component_name(entry), std::move(actions));
  }
  for (const Config& entry : entries(config, "ART")) {
    table.areas_.emplace(component_name(entry), entry.at("area").number(0) * 1e-6);
  }
  return table;
}

void EnergyTable::merge(const EnergyTable& other) {
  for (const auto& entry : other.energies_) energies_.insert(entry);
  for (const auto& entry : other.areas_) areas_.insert(entry);
}

std::optional<double> EnergyTable::energy_j(std::string_view component,
                                            std::initializer_list<std::string_view> actions) const {
  const auto entry = energies_.find(component);
  if (entry == energies_.end()) return std::nullopt;
  for (const std::string_view action : actions) {
    if (const auto found = entry->second.find(std::string(action)); found != entry->second.end()) return found->second;
  }
  return std::nullopt;
}

std::optional<double> EnergyTable::area_mm2(std::string_view component) const {
  const auto entry = areas_.find(component);
  return entry == areas_.end() ? std::nullopt : std::optional(entry->second);
}

bool EnergyTable::apply(Architecture& architecture) const {
  bool any = false;
  for (StorageLevel& level : architecture.levels) {
    if (energies_.contains(level.name)) {
      any = true;
      // What the table does not have stays.
      AccessEnergy& energy = level.energy;
      energy.read_j = energy_j(level.name, {"random_read", "read"}).value_or(energy.read_j);
      energy.write_j = energy_j(level.name, {"random_fill", "random_write", "write"}).value_or(energy.write_j);
      energy.update_j = energy_j(level.name, {"random_update", "update", "random_write", "write"}).value_or(energy.update_j);
      energy.leak_j = energy_j(level.name, {"leak"}).value_or(energy.leak_j);
    }
    if (const auto area = area_mm2(level.name)) {
      any = true;
      level.area_mm2 = *area;
    }
  }
  ComputeUnits& compute = architecture.compute;
  if (const auto energy = energy_j(compute.name, {"compute", "mac_random", "mac", "multiply", "random_compute"})) {
    any = true;
    compute.energy_j = *energy;
  }
  if (const auto area = area_mm2(compute.name)) {
    any = true;
    compute.area_mm2 = *area;
  }
  return any;
}

}  // namespace duet
