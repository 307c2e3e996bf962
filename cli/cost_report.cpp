#include "cli/cost_report.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "core/units.hpp"
#include "hw_models/energy.hpp"

namespace duet::cli {
namespace {

using Json = nlohmann::ordered_json;

/// Whole numbers without a fraction.
Json number(double value) {
  if (std::trunc(value) == value && std::abs(value) < 9e15) return static_cast<std::int64_t>(value);
  return value;
}

/// Whole numbers in full.
std::string count(double value) {
  return std::trunc(value) == value && std::abs(value) < 1e15 ? fmt::format("{:.0f}", value) : fmt::format("{:.6g}", value);
}
std::string percent(double share) { return fmt::format("{:.1f}%", 100 * share); }
double share_of(double part, double whole) { return whole > 0 ? part / whole : 0; }
std::string factor(double value) { return fmt::format("{:.3f}", value); }

/// At most `most` of the names.
std::string some(const std::vector<std::string>& names, std::size_t most = 3) {
  std::string list;
  for (std::size_t i = 0; i < std::min(most, names.size()); ++i) list += (i == 0 ? "" : ", ") + names[i];
  return names.size() > most ? fmt::format("{}, … ({} in all)", list, names.size()) : list;
}

std::string dimensions_text(const Einsum& einsum) {
  std::string list;
  for (const Dimension& dimension : einsum.dimensions) {
    if (dimension.size > 1 || einsum.dimensions.size() < 4) {
      list += fmt::format("{}{}{}", list.empty() ? "" : " ", dimension.name, dimension.size);
    }
  }
  return list.empty() ? "1" : list;
}

/// Everything that one level does in the whole workload.
struct LevelSum {
  double cycles = 0, dynamic_j = 0, leakage_j = 0, used = 0;
  std::array<double, tensor_count> tensor_j{};
  double energy_j() const { return dynamic_j + leakage_j; }
};

struct Sums {
  std::vector<LevelSum> levels;
  double compute_cycles = 0, compute_j = 0, vector_cycles = 0, vector_j = 0, vector_memory_j = 0;
  std::map<std::string, double> bound;  ///< cycles by what sets them
};

Sums sums_of(const LevelsReport& report) {
  Sums sums;
  sums.levels.resize(report.architecture.levels.size());
  for (const LayerMapping& layer : report.cost.mapping.layers) {
    if (!layer.result.mapping) continue;
    const auto repeats = static_cast<double>(layer.workload.repeats);
    sums.compute_cycles += repeats * layer.cost.compute_cycles;
    sums.compute_j += repeats * layer.cost.compute_energy_j;
    sums.bound[bottleneck(layer.cost, report.architecture)] += repeats * layer.cost.cycles;
    for (std::size_t l = 0; l < sums.levels.size(); ++l) {
      const LevelCost& from = layer.cost.levels[l];
      LevelSum& to = sums.levels[l];
      to.cycles += repeats * from.cycles;
      to.dynamic_j += repeats * from.dynamic_energy_j;
      to.leakage_j += repeats * from.leakage_energy_j;
      to.used = std::max(to.used, from.utilized_instances);
      for (std::size_t t = 0; t < tensor_count; ++t) to.tensor_j[t] += repeats * from.tensors[t].energy_j;
    }
  }
  for (const RepeatedVectorWork& work : report.cost.vector) {
    if (!work.cost) continue;
    const auto repeats = static_cast<double>(work.repeats);
    sums.vector_cycles += repeats * work.cost->cycles;
    sums.vector_j += repeats * work.cost->compute_energy_j;
    sums.vector_memory_j += repeats * work.cost->memory_energy_j;
    sums.bound[work.cost->cycles > work.cost->compute_cycles ? report.architecture.levels[0].name + " (vector operators)"
                                                             : "vector unit"] += repeats * work.cost->cycles;
  }
  if (!sums.levels.empty()) sums.levels[0].dynamic_j += sums.vector_memory_j;
  return sums;
}

std::string most_of(const std::map<std::string, double>& shares) {
  std::string best;
  double most = -1;
  for (const auto& [name, amount] : shares) {
    if (amount > most) {
      most = amount;
      best = name;
    }
  }
  return best;
}

std::vector<std::pair<std::string, double>> by_size(const std::map<std::string, double>& shares) {
  std::vector<std::pair<std::string, double>> sorted(shares.begin(), shares.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return sorted;
}

/// Energy by component: levels, compute units, vector unit.
std::map<std::string, double> energy_by_component(const LevelsReport& report, const Sums& sums) {
  std::map<std::string, double> energy;
  for (std::size_t l = 0; l < sums.levels.size(); ++l) energy[report.architecture.levels[l].name] = sums.levels[l].energy_j();
  energy[report.architecture.compute.name] += sums.compute_j;
  if (report.architecture.vector_unit && !report.cost.vector.empty()) energy["vector unit"] = sums.vector_j;
  return energy;
}

std::string counting(const CostOptions& options) { return options.as_timeloop ? "timeloop" : "loop_nest"; }

std::string tensor_name(const Einsum& einsum, std::size_t t) {
  const std::string& name = einsum.tensors[t].name;
  return name.empty() ? std::string(to_string(all_tensors[t])) : name;
}

/// Words of the average instance; as Timeloop prints them where it counts so.
double per_instance(double words, double instances, const CostOptions& options) {
  const double average = words / instances;
  return options.as_timeloop ? std::round(average) : average;
}

Json level_json(const LevelsReport& report, const LayerMapping& layer, std::size_t l) {
  const StorageLevel& level = report.architecture.levels[l];
  const LevelCost& cost = layer.cost.levels[l];
  Json tensors = Json::object();
  for (std::size_t t = 0; t < tensor_count; ++t) {
    const TensorTraffic& traffic = cost.tensors[t];
    if (!traffic.kept) continue;
    const auto one = [&](double words) { return number(per_instance(words, cost.utilized_instances, report.options)); };
    tensors[tensor_name(layer.workload.einsum, t)] = {
        {"reads", one(traffic.reads)},
        {"fills", one(traffic.fills)},
        {"updates", one(traffic.updates)},
        {"instances", number(cost.utilized_instances)},
        {"tile_words", number(traffic.tile_words)},
        {"energy_j", traffic.energy_j},
        {"total_reads", number(traffic.reads)},
        {"total_fills", number(traffic.fills)},
        {"total_updates", number(traffic.updates)}};
  }
  return {{"name", level.name},
          {"instances", number(cost.utilized_instances)},
          {"all_instances", level.instances()},
          {"cycles", number(cost.cycles)},
          {"energy_j", cost.dynamic_energy_j + cost.leakage_energy_j},
          {"dynamic_energy_j", cost.dynamic_energy_j},
          {"leakage_energy_j", cost.leakage_energy_j},
          {"tensors", std::move(tensors)}};
}

void add_layer_json(Json& out, const LevelsReport& report, const LayerMapping& layer) {
  const MappingCost& cost = layer.cost;
  out["cycles"] = number(cost.cycles);
  out["compute_cycles"] = number(cost.compute_cycles);
  out["latency_s"] = cost.latency_s;
  out["energy_j"] = cost.energy_j;
  out["energy_delay_js"] = cost.energy_delay();
  out["utilization"] = cost.utilization;
  out["macs"] = number(cost.macs);
  out["bottleneck"] = bottleneck(cost, report.architecture);
  Json dimensions = Json::object();
  for (const Dimension& dimension : layer.workload.einsum.dimensions) dimensions[dimension.name] = dimension.size;
  out["dimensions"] = std::move(dimensions);
  out["compute"] = {{"name", report.architecture.compute.name},
                    {"instances", report.architecture.compute.instances()},
                    {"energy_j", cost.compute_energy_j}};
  out["levels"] = Json::array();
  for (std::size_t l = 0; l < cost.levels.size(); ++l) out["levels"].push_back(level_json(report, layer, l));
  out["mapping"] = mapping_yaml(*layer.result.mapping, layer.workload.einsum, report.architecture);
  if (!report.mapper.empty()) {
    const MapperResult& result = layer.result;
    out["mapper"] = {{"name", report.mapper},
                     {"value", result.value.first},
                     {"lower_bound", result.lower_bound},
                     {"gap", std::isfinite(result.gap()) ? Json(result.gap()) : Json(nullptr)},
                     {"proven", result.proven},
                     {"complete", result.complete},
                     {"evaluations", result.evaluations}};
  }
}

Json sensitivity_json(const Sensitivity& row) {
  return {{"resource", row.resource},       {"remapped", row.remapped},
          {"cycles_factor", row.cycles},    {"latency_factor", row.latency},
          {"energy_factor", row.energy},    {"energy_delay_factor", row.energy_delay}};
}

/// The one whose doubling helps most; nothing if none lowers it by more than a part in a thousand. The clock, which takes
/// everything along, does not count.
const Sensitivity* best_of(const std::vector<Sensitivity>& rows, double Sensitivity::*what) {
  const Sensitivity* best = nullptr;
  for (const Sensitivity& row : rows) {
    if (row.resource != "clock" && row.*what < 0.999 && (best == nullptr || row.*what < best->*what)) best = &row;
  }
  return best;
}

std::string sensitivities_text(const std::vector<Sensitivity>& rows) {
  std::string out = "\nOne resource doubled (after ÷ before; below 1 is better):\n";
  TextTable table({"doubled", "energy·delay", "latency", "cycles", "energy", "mappings"});
  for (const Sensitivity& row : rows) {
    table.add({row.resource, factor(row.energy_delay), factor(row.latency), factor(row.cycles), factor(row.energy),
               row.remapped ? "sought again" : "the same"});
  }
  out += table.text();
  const auto sentence = [&](const char* what, double Sensitivity::*value) {
    if (const Sensitivity* best = best_of(rows, value)) {
      out += fmt::format("Apart from the clock, '{}' doubled lowers {} most: × {}.\n", best->resource, what, factor(best->*value));
    } else {
      out += fmt::format("No single resource but the clock, doubled, lowers {}.\n", what);
    }
  };
  out += "\n";
  sentence("energy·delay", &Sensitivity::energy_delay);
  sentence("latency", &Sensitivity::latency);
  return out;
}

std::string headline(const std::string& workload, const std::string& hardware) {
  return fmt::format("{} on {}\n\n", workload, hardware.empty() ? "the architecture" : hardware);
}

std::string levels_table(const LevelsReport& report, const LayerMapping& layer) {
  TextTable table({"level", "tensor", "instances", "tile", "reads", "fills", "updates", "energy"});
  const double like = layer.cost.energy_j;
  for (std::size_t l = 0; l < layer.cost.levels.size(); ++l) {
    const LevelCost& cost = layer.cost.levels[l];
    for (std::size_t t = 0; t < tensor_count; ++t) {
      const TensorTraffic& traffic = cost.tensors[t];
      if (!traffic.kept) continue;
      const auto one = [&](double words) { return count(per_instance(words, cost.utilized_instances, report.options)); };
      table.add({report.architecture.levels[l].name, tensor_name(layer.workload.einsum, t), count(cost.utilized_instances),
                 count(traffic.tile_words), one(traffic.reads), one(traffic.fills), one(traffic.updates),
                 human(traffic.energy_j, "J", like)});
    }
  }
  return "\nWords per instance:\n" + table.text();
}

std::string layers_table(const LevelsReport& report) {
  TextTable table({"layer", "runs", "shape", "cycles", "of all", "bound by", "utilization", "energy", "of all"});
  const ArchitectureCost& total = report.cost;
  for (const LayerMapping& layer : total.mapping.layers) {
    const auto repeats = static_cast<double>(layer.workload.repeats);
    table.add({some(layer.workload.names, 1), fmt::format("{}", layer.workload.repeats), dimensions_text(layer.workload.einsum),
               count(layer.cost.cycles), percent(share_of(repeats * layer.cost.cycles, total.cycles)),
               bottleneck(layer.cost, report.architecture), percent(layer.cost.utilization),
               human(layer.cost.energy_j, "J", total.energy_j / 10), percent(share_of(repeats * layer.cost.energy_j, total.energy_j))});
  }
  for (const RepeatedVectorWork& work : total.vector) {
    if (!work.cost) continue;
    const auto repeats = static_cast<double>(work.repeats);
    table.add({some(work.names, 1), fmt::format("{}", work.repeats), fmt::format("{} operations", count(static_cast<double>(work.work.operations))),
               count(work.cost->cycles), percent(share_of(repeats * work.cost->cycles, total.cycles)),
               work.cost->cycles > work.cost->compute_cycles ? report.architecture.levels[0].name : "vector unit", "-",
               human(work.cost->energy_j(), "J", total.energy_j / 10), percent(share_of(repeats * work.cost->energy_j(), total.energy_j))});
  }
  return "\nCycles and energy of one run:\n" + table.text();
}

std::vector<std::string> not_modelled(const LevelsReport& report) {
  std::vector<std::string> names;
  for (const RepeatedVectorWork& work : report.cost.vector) {
    if (!work.cost) names.insert(names.end(), work.names.begin(), work.names.end());
  }
  return names;
}

}  // namespace

std::string text(const LevelsReport& report) {
  const ArchitectureCost& total = report.cost;
  const Sums sums = sums_of(report);
  std::string out = headline(report.workload, report.architecture.name);
  TextTable summary({"cycles", "latency", "energy", "energy·delay", "utilization", "area", "bound by"});
  summary.add({count(total.cycles), human(total.latency_s, "s"), human(total.energy_j, "J"),
               fmt::format("{} J·s", fmt::format("{:.4g}", total.energy_delay())), percent(total.utilization),
               fmt::format("{:.4g} mm²", total.area_mm2), most_of(sums.bound)});
  out += summary.text() + "\n";

  TextTable components({"component", "instances", "used", "busy", "energy", "of all", "leakage"});
  for (std::size_t l = 0; l < sums.levels.size(); ++l) {
    const LevelSum& level = sums.levels[l];
    components.add({report.architecture.levels[l].name, fmt::format("{}", report.architecture.levels[l].instances()),
                    count(level.used), percent(share_of(level.cycles, total.cycles)), human(level.energy_j(), "J", total.energy_j),
                    percent(share_of(level.energy_j(), total.energy_j)), human(level.leakage_j, "J", total.energy_j)});
  }
  components.add({report.architecture.compute.name, fmt::format("{}", report.architecture.compute.instances()), "",
                  percent(share_of(sums.compute_cycles, total.cycles)), human(sums.compute_j, "J", total.energy_j),
                  percent(share_of(sums.compute_j, total.energy_j)), ""});
  if (report.architecture.vector_unit && !total.vector.empty()) {
    components.add({"vector unit", "1", "1", percent(share_of(sums.vector_cycles, total.cycles)),
                    human(sums.vector_j, "J", total.energy_j), percent(share_of(sums.vector_j, total.energy_j)), ""});
  }
  out += components.text();
  out += report.one_layer ? levels_table(report, total.mapping.layers.front()) : layers_table(report);
  if (const auto names = not_modelled(report); !names.empty()) {
    out += fmt::format("\nNot modelled, for want of a vector_unit: {}. They are in no sum.\n", some(names, 5));
  }
  if (report.explain) {
    out += "\nCycles are set by:";
    for (const auto& [name, cycles] : by_size(sums.bound)) out += fmt::format(" {} {};", name, percent(share_of(cycles, total.cycles)));
    out.back() = '\n';
    std::map<std::string, double> parts;
    for (std::size_t l = 0; l < sums.levels.size(); ++l) {
      const std::string& name = report.architecture.levels[l].name;
      for (std::size_t t = 0; t < tensor_count; ++t) {
        const Einsum* einsum = report.one_layer ? &total.mapping.layers.front().workload.einsum : nullptr;
        const std::string tensor = einsum != nullptr ? tensor_name(*einsum, t) : std::string(to_string(all_tensors[t]));
        parts[name + " " + tensor] = sums.levels[l].tensor_j[t];
      }
      parts[name + " leakage"] = sums.levels[l].leakage_j;
    }
    parts[report.architecture.levels[0].name + " vector operators"] = sums.vector_memory_j;
    parts[report.architecture.compute.name] = sums.compute_j;
    parts["vector unit"] = sums.vector_j;
    out += "Energy goes to:";
    std::size_t shown = 0;
    for (const auto& [name, joules] : by_size(parts)) {
      if (joules <= 0 || shown++ == 6) break;
      out += fmt::format(" {} {};", name, percent(share_of(joules, total.energy_j)));
    }
    out.back() = '\n';
    out += sensitivities_text(report.explain->resources);
    const double remapping = report.explain->remapping.energy_delay;
    if (remapping < 0.999) {
      out += fmt::format("Mapping again without doubling anything gives × {} energy·delay; rows with mappings sought again are "
                         "relative to that.\n",
                         factor(remapping));
    }
    out += "Energy per action, leakage per cycle and words per cycle stay as they are, also for twice the capacity or clock; in "
           "silicon they would not. Mappings sought again are as good as the mapper's search.\n";
  }
  return out;
}

/// Of what is compared first.
std::string_view unit_of(Objective::Kind kind) {
  switch (kind) {
    case Objective::Kind::cycles:
    case Objective::Kind::cycles_then_energy: return "cycles";
    case Objective::Kind::energy:
    case Objective::Kind::energy_then_cycles: return "J";
    case Objective::Kind::energy_delay: return "J·s";
    case Objective::Kind::weighted: break;
  }
  return "";
}

std::string mappings_text(const LevelsReport& report, const MapperRequest& request) {
  std::string out;
  const std::string_view unit = unit_of(request.objective.kind);
  TextTable table({"layer", std::string(to_string(request.objective.kind)) + (unit.empty() ? "" : fmt::format(" ({})", unit)),
                   "lower bound", "gap", "evaluations", ""});
  for (const LayerMapping& layer : report.cost.mapping.layers) {
    const MapperResult& result = layer.result;
    const double gap = result.gap();
    table.add({some(layer.workload.names, 1), fmt::format("{:.6g}", result.value.first),
               result.lower_bound > 0 ? fmt::format("{:.6g}", result.lower_bound) : "-",
               std::isfinite(gap) ? percent(gap) : "-", fmt::format("{}", result.evaluations),
               result.proven ? "proven best" : !result.complete ? "ended by the time limit" : ""});
  }
  out += fmt::format("\nMappings by {}:\n", report.mapper) + table.text();
  if (report.one_layer) {
    const LayerMapping& layer = report.cost.mapping.layers.front();
    out += "\n" + loop_nest(*layer.result.mapping, layer.workload.einsum, report.architecture);
  }
  return out;
}

Json json(const LevelsReport& report) {
  const ArchitectureCost& total = report.cost;
  const Sums sums = sums_of(report);
  Json out;
  out["workload"] = report.workload;
  out["architecture"] = report.architecture.name;
  out["counting"] = counting(report.options);
  out["footprint"] = report.options.footprint == Footprint::box ? "box" : "distinct";
  if (report.one_layer) {
    add_layer_json(out, report, total.mapping.layers.front());
  } else {
    out["cycles"] = number(total.cycles);
    out["compute_cycles"] = number(total.compute_cycles);
    out["latency_s"] = total.latency_s;
    out["energy_j"] = total.energy_j;
    out["energy_delay_js"] = total.energy_delay();
    out["utilization"] = total.utilization;
    out["macs"] = number(total.macs);
    out["bottleneck"] = most_of(sums.bound);
  }
  out["clock_hz"] = number(report.architecture.clock_hz);
  out["area_mm2"] = total.area_mm2;
  out["energy_j_by_component"] = energy_by_component(report, sums);
  if (!report.one_layer) {
    out["layers"] = Json::array();
    for (const LayerMapping& layer : total.mapping.layers) {
      Json entry{{"name", layer.workload.names.empty() ? "" : layer.workload.names.front()},
                 {"names", layer.workload.names},
                 {"repeats", layer.workload.repeats}};
      add_layer_json(entry, report, layer);
      out["layers"].push_back(std::move(entry));
    }
    out["vector_operators"] = Json::array();
    for (const RepeatedVectorWork& work : total.vector) {
      Json entry{{"names", work.names}, {"repeats", work.repeats}, {"operations", work.work.operations}};
      if (work.cost) {
        entry["cycles"] = number(work.cost->cycles);
        entry["energy_j"] = work.cost->energy_j();
      }
      out["vector_operators"].push_back(std::move(entry));
    }
    out["not_modelled"] = not_modelled(report);
  }
  if (report.explain) {
    Json bound = Json::object();
    for (const auto& [name, cycles] : by_size(sums.bound)) bound[name] = share_of(cycles, total.cycles);
    Json doubled = Json::array();
    for (const Sensitivity& row : report.explain->resources) doubled.push_back(sensitivity_json(row));
    const Sensitivity* best = best_of(report.explain->resources, &Sensitivity::energy_delay);
    out["explain"] = {{"cycles_set_by", std::move(bound)},
                      {"remapping", sensitivity_json(report.explain->remapping)},
                      {"doubled", std::move(doubled)},
                      {"best", best != nullptr ? Json(best->resource) : Json(nullptr)}};
  }
  return out;
}

// --- Systolic arrays

std::string text(const SystolicReport& report) {
  const NetworkCost& total = report.cost;
  const SystolicArray& array = report.array;
  std::string out = headline(report.workload, fmt::format("a {} × {} systolic array, {}", array.rows, array.columns,
                                                          to_string(array.dataflow)));
  TextTable summary({"cycles", "stall cycles", "latency", "energy", "energy·delay", "utilization", "area"});
  summary.add({count(static_cast<double>(total.cycles)), count(static_cast<double>(total.stall_cycles)),
               human(total.latency_s, "s"), human(total.energy_j(), "J"),
               fmt::format("{:.4g} J·s", total.energy_j() * total.latency_s), percent(total.utilisation),
               fmt::format("{:.4g} mm²", total.area_mm2())});
  out += summary.text() + "\n";
  TextTable parts({"component", "energy", "of all"});
  const auto part = [&](const char* name, double joules) {
    parts.add({name, human(joules, "J", total.energy_j()), percent(share_of(joules, total.energy_j()))});
  };
  part("DRAM", total.energy.dram_j);
  part("input SRAM", total.energy.input_sram_j);
  part("weight SRAM", total.energy.weight_sram_j);
  part("output SRAM", total.energy.output_sram_j);
  part("registers", total.energy.register_j);
  part("arithmetic", total.energy.mac_j);
  out += parts.text() + "\n";
  TextTable layers({"layer", "unit", "cycles", "of all", "stalls", "utilization", "DRAM", "energy", "of all"});
  for (const LayerCost& layer : total.layers) {
    if (layer.unit == LayerCost::Unit::none) continue;
    const auto cycles = static_cast<double>(layer.cycles);
    layers.add({layer.name, layer.unit == LayerCost::Unit::array ? "array" : "vector", count(cycles),
                percent(share_of(cycles, static_cast<double>(total.cycles))), count(static_cast<double>(layer.stall_cycles)),
                layer.unit == LayerCost::Unit::array ? percent(layer.utilisation) : "-",
                human(static_cast<double>(layer.dram_bytes), "B"), human(layer.energy.total_j(), "J", total.energy_j() / 10),
                percent(share_of(layer.energy.total_j(), total.energy_j()))});
  }
  out += layers.text();
  if (!report.explain.empty()) {
    out += sensitivities_text(report.explain);
    out += "A larger scratchpad costs more energy per access here, as its constants say; a faster clock costs none, and the DRAM "
           "bandwidth in bytes per second stays.\n";
  }
  return out;
}

namespace {

Json buffer_json(const BufferTraffic& traffic) {
  return {{"from_dram", traffic.from_dram}, {"to_array", traffic.to_array}, {"from_array", traffic.from_array},
          {"to_dram", traffic.to_dram}};
}

Json energy_json(const Energy& energy) {
  return {{"DRAM", energy.dram_j},
          {"input_sram", energy.input_sram_j},
          {"weight_sram", energy.weight_sram_j},
          {"output_sram", energy.output_sram_j},
          {"registers", energy.register_j},
          {"arithmetic", energy.mac_j}};
}

}  // namespace

Json json(const SystolicReport& report) {
  const NetworkCost& total = report.cost;
  Json out{{"workload", report.workload},
           {"architecture", "systolic_array"},
           {"cycles", total.cycles},
           {"stall_cycles", total.stall_cycles},
           {"latency_s", total.latency_s},
           {"energy_j", total.energy_j()},
           {"energy_delay_js", total.energy_j() * total.latency_s},
           {"utilization", total.utilisation},
           {"macs", total.macs},
           {"area_mm2", total.area_mm2()},
           {"dram_bytes", total.dram_bytes},
           {"sram_accesses", total.sram_accesses},
           {"energy_j_by_component", energy_json(total.energy)},
           {"layers", Json::array()}};
  for (const LayerCost& layer : total.layers) {
    if (layer.unit == LayerCost::Unit::none) continue;
    out["layers"].push_back({{"name", layer.name},
                             {"unit", layer.unit == LayerCost::Unit::array ? "array" : "vector"},
                             {"cycles", layer.cycles},
                             {"stall_cycles", layer.stall_cycles},
                             {"utilization", layer.utilisation},
                             {"macs", layer.macs},
                             {"input_words", buffer_json(layer.input)},
                             {"weight_words", buffer_json(layer.weight)},
                             {"output_words", buffer_json(layer.output)},
                             {"dram_bytes", layer.dram_bytes},
                             {"energy_j", layer.energy.total_j()}});
  }
  if (!report.explain.empty()) {
    Json doubled = Json::array();
    for (const Sensitivity& row : report.explain) doubled.push_back(sensitivity_json(row));
    const Sensitivity* best = best_of(report.explain, &Sensitivity::energy_delay);
    out["explain"] = {{"doubled", std::move(doubled)}, {"best", best != nullptr ? Json(best->resource) : Json(nullptr)}};
  }
  return out;
}

// --- SCALE-Sim

std::string text(const ScaleSimReport& report) {
  const SystolicArray& array = report.config.array;
  std::string out = headline(report.config.run_name.empty() ? "topology" : report.config.run_name,
                             fmt::format("a {} × {} array, {}", array.rows, array.columns, to_string(array.dataflow)));
  TextTable table({"layer", "compute cycles", "stall cycles", "mapping", "busy", "SRAM reads", "SRAM writes", "DRAM reads",
                   "DRAM writes", "energy"});
  double cycles = 0, joules = 0;
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    const SystolicCost& c = report.costs[i];
    const double layer_j = energy(c, array).total_j();
    cycles += static_cast<double>(c.cycles());
    joules += layer_j;
    table.add({report.layers[i].name, fmt::format("{}", c.compute_cycles), fmt::format("{}", c.stall_cycles),
               percent(c.mapping_efficiency), percent(c.compute_utilisation),
               fmt::format("{}", c.input.to_array + c.weight.to_array + c.output.to_array), fmt::format("{}", c.output.from_array),
               fmt::format("{}", c.dram_reads()), fmt::format("{}", c.dram_writes()), human(layer_j, "J")});
  }
  out += table.text();
  out += fmt::format("\n{} cycles, {}. Words are bytes; SRAM accesses are those of the array.\n", count(cycles), human(joules, "J"));
  return out;
}

Json json(const ScaleSimReport& report) {
  const SystolicArray& array = report.config.array;
  Json out{{"run_name", report.config.run_name},
           {"array", {{"rows", array.rows}, {"columns", array.columns}, {"dataflow", to_string(array.dataflow)}}},
           {"interface_bandwidth", report.config.unbounded ? "CALC" : "USER"},
           {"layers", Json::array()}};
  std::int64_t compute = 0, stall = 0;
  double joules = 0;
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    const SystolicCost& c = report.costs[i];
    const double layer_j = energy(c, array).total_j();
    compute += c.compute_cycles;
    stall += c.stall_cycles;
    joules += layer_j;
    out["layers"].push_back(
        {{"name", report.layers[i].name},
         {"compute_cycles", c.compute_cycles},
         {"stall_cycles", c.stall_cycles},
         {"cycles", c.cycles()},
         {"mapping_efficiency", c.mapping_efficiency},
         {"compute_utilization", c.compute_utilisation},
         {"utilization", c.utilisation},
         {"macs", c.macs},
         {"sram_accesses",
          {{"ifmap_reads", c.input.to_array},
           {"filter_reads", c.weight.to_array},
           {"ofmap_reads", c.output.to_array},
           {"ofmap_writes", c.output.from_array}}},
         {"dram_accesses",
          {{"ifmap_reads", c.input.from_dram},
           {"filter_reads", c.weight.from_dram},
           {"ofmap_reads", c.output.from_dram},
           {"ofmap_writes", c.output.to_dram}}},
         {"energy_j", layer_j}});
  }
  out["compute_cycles"] = compute;
  out["stall_cycles"] = stall;
  out["energy_j"] = joules;
  return out;
}

}  // namespace duet::cli
