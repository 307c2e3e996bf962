#include "hw_models/sensitivity.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "hw_models/number_format.hpp"

namespace duet {
namespace {

/// Of all layers under the old mappings or, where they are better, under what the mapper finds on `architecture`.
ArchitectureCost again(const ArchitectureCost& before, const Architecture& architecture, const Mapper* mapper,
                       const MapperRequest& request, const NetworkMappingOptions& options) {
  NetworkMapping mapping;
  if (mapper != nullptr) {
    std::vector<RepeatedEinsum> workloads;
    for (const LayerMapping& layer : before.mapping.layers) workloads.push_back(layer.workload);
    mapping = map_einsums(std::move(workloads), architecture, *mapper, request, options);
  } else {
    mapping.layers = before.mapping.layers;
  }
  for (std::size_t i = 0; i < mapping.layers.size(); ++i) {
    LayerMapping& layer = mapping.layers[i];
    const Mapping& old = *before.mapping.layers[i].result.mapping;
    const CostModel model(layer.workload.einsum, packed(architecture, layer.workload.format), options.cost);
    if (model.why_invalid(old)) continue;
    const MappingCost cost = model.evaluate(old);
    const auto worth = [&](const MappingCost& c) { return value(request.objective, c.cycles, c.energy_j, architecture.clock_hz); };
    if (mapper == nullptr || !layer.result.mapping || worth(cost) < worth(layer.cost)) {
      layer.result.mapping = old;
      layer.cost = cost;
    }
  }
  std::vector<RepeatedVectorWork> vector = before.vector;
  for (RepeatedVectorWork& work : vector) {
    if (architecture.vector_unit) work.cost = cost(work.work, architecture);
  }
  return sum(std::move(mapping), std::move(vector), architecture);
}

Sensitivity compare(std::string resource, bool remapped, const ArchitectureCost& after, const ArchitectureCost& before) {
  const auto ratio = [](double a, double b) { return b > 0 ? a / b : 1; };
  return {std::move(resource), remapped, ratio(after.cycles, before.cycles), ratio(after.latency_s, before.latency_s),
          ratio(after.energy_j, before.energy_j), ratio(after.energy_delay(), before.energy_delay())};
}

}  // namespace

std::vector<DoubledResource> doubled_resources(const Architecture& architecture) {
  std::vector<DoubledResource> resources;
  const auto add = [&](std::string name, bool remapped, const auto& change) {
    DoubledResource resource{std::move(name), architecture, remapped};
    change(resource.architecture);
    if (!why_invalid(resource.architecture)) resources.push_back(std::move(resource));
  };
  for (std::size_t l = 0; l < architecture.levels.size(); ++l) {
    const StorageLevel& level = architecture.levels[l];
    const auto bandwidth = [&](const char* which, std::optional<double> StorageLevel::*words) {
      if (!(level.*words) || *(level.*words) == 0) return;
      add(level.name + ": " + which + " bandwidth", false, [&](Architecture& a) { *(a.levels[l].*words) *= 2; });
    };
    bandwidth("read", &StorageLevel::read_bandwidth);
    bandwidth("write", &StorageLevel::write_bandwidth);
    bandwidth("shared", &StorageLevel::shared_bandwidth);
    const bool keeps = std::any_of(level.policy.begin(), level.policy.end(),
                                   [](StorageLevel::Policy policy) { return policy != StorageLevel::Policy::bypass; });
    if (level.capacity_bits && *level.capacity_bits > 0 && keeps) {
      add(level.name + ": capacity", true, [&](Architecture& a) { *a.levels[l].capacity_bits *= 2; });
    }
    const auto fan_out = [&](const char* side, std::int64_t children, std::int64_t StorageLevel::*mesh,
                             std::int64_t ComputeUnits::*units) {
      // A single unit is no network yet; of the innermost level it may become one.
      const bool alone = architecture.compute.instances() == 1 && l == architecture.innermost();
      if (children <= 1 && !alone) return;
      add(level.name + ": children along " + side, true, [&](Architecture& a) {
        for (std::size_t inner = l + 1; inner < a.levels.size(); ++inner) a.levels[inner].*mesh *= 2;
        a.compute.*units *= 2;
      });
    };
    fan_out("x", architecture.fanout_x(l), &StorageLevel::mesh_x, &ComputeUnits::mesh_x);
    fan_out("y", architecture.fanout_y(l), &StorageLevel::mesh_y, &ComputeUnits::mesh_y);
  }
  if (architecture.vector_unit) {
    add("vector unit: lanes", false, [](Architecture& a) { a.vector_unit->lanes *= 2; });
  }
  add("clock", false, [](Architecture& a) { a.clock_hz *= 2; });
  return resources;
}

SensitivityReport sensitivities(const ArchitectureCost& before, const Architecture& architecture, const Mapper* mapper,
                                const MapperRequest& request, const NetworkMappingOptions& options) {
  SensitivityReport report;
  report.remapping = {"nothing, mapped again", true};
  std::optional<ArchitectureCost> best;
  if (mapper != nullptr) {
    best = again(before, architecture, mapper, request, options);
    report.remapping = compare("nothing, mapped again", true, *best, before);
  }
  for (const DoubledResource& resource : doubled_resources(architecture)) {
    if (resource.remapped && mapper == nullptr) continue;
    const ArchitectureCost& reference = resource.remapped ? *best : before;
    const ArchitectureCost after =
        again(reference, resource.architecture, resource.remapped ? mapper : nullptr, request, options);
    report.resources.push_back(compare(resource.name, resource.remapped, after, reference));
  }
  std::stable_sort(report.resources.begin(), report.resources.end(),
                   [](const Sensitivity& a, const Sensitivity& b) { return a.energy_delay < b.energy_delay; });
  return report;
}

std::string busiest_port(const StorageLevel& level, const LevelCost& cost) {
  double reads = 0, writes = 0;
  for (const TensorTraffic& tensor : cost.tensors) {
    reads += tensor.reads;
    writes += tensor.fills + tensor.updates;
  }
  std::string port;
  double longest = 0;
  const auto consider = [&](const char* name, const std::optional<double>& bandwidth, double words) {
    if (!bandwidth || *bandwidth <= 0 || words / *bandwidth <= longest) return;
    longest = words / *bandwidth;
    port = name;
  };
  consider("read port", level.read_bandwidth, reads);
  consider("write port", level.write_bandwidth, writes);
  consider("shared port", level.shared_bandwidth, reads + writes);
  return port;
}

std::string bottleneck(const MappingCost& cost, const Architecture& architecture) {
  if (cost.cycles <= cost.compute_cycles) return "computing";
  for (std::size_t l = 0; l < cost.levels.size(); ++l) {
    if (cost.levels[l].cycles < cost.cycles) continue;
    const std::string port = busiest_port(architecture.levels[l], cost.levels[l]);
    return architecture.levels[l].name + (port.empty() ? "" : " (" + port + ")");
  }
  return "computing";
}

}  // namespace duet
