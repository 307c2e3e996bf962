#include "hw_models/network_cost.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "hw_models/number_format.hpp"

namespace duet {

std::vector<RepeatedVectorWork> vector_work(const Network& network, const Architecture& architecture) {
  std::vector<RepeatedVectorWork> found;
  const std::vector<Workload> workloads = lower(network);
  for (NodeId id = 0; id < workloads.size(); ++id) {
    const auto* work = std::get_if<VectorWorkload>(&workloads[id]);
    if (work == nullptr) continue;
    auto known = std::find_if(found.begin(), found.end(), [&](const RepeatedVectorWork& other) { return other.work == *work; });
    if (known == found.end()) {
      known = found.insert(found.end(), {*work, 0, {}, std::nullopt});
      if (architecture.vector_unit) known->cost = cost(*work, architecture);
    }
    ++known->repeats;
    known->names.push_back(network.node(id).name);
  }
  return found;
}

ArchitectureCost sum(NetworkMapping mapping, std::vector<RepeatedVectorWork> vector, const Architecture& architecture) {
  ArchitectureCost total;
  const auto bytes_of = [](const Architecture& machine) {
    return [bits = machine.levels.front().word_bits](double words, Tensor tensor) {
      return words * static_cast<double>(bits[static_cast<std::size_t>(tensor)]) / 8;
    };
  };
  for (const LayerMapping& layer : mapping.layers) {
    if (!layer.result.mapping) continue;
    const NumberFormat& format = layer.workload.format;
    const auto bytes = format == NumberFormat{} ? bytes_of(architecture) : bytes_of(packed(architecture, format));
    const auto repeats = static_cast<double>(layer.workload.repeats);
    total.cycles += repeats * layer.cost.cycles;
    total.compute_cycles += repeats * layer.cost.compute_cycles;
    total.energy_j += repeats * layer.cost.energy_j;
    total.compute_energy_j += repeats * layer.cost.compute_energy_j;
    total.macs += repeats * layer.cost.macs;
    for (std::size_t l = 0; l < layer.cost.levels.size(); ++l) {
      const LevelCost& level = layer.cost.levels[l];
      if (l == 0) total.outermost_energy_j += repeats * (level.dynamic_energy_j + level.leakage_energy_j);
      for (const Tensor tensor : all_tensors) {
        const TensorTraffic& traffic = level.tensor(tensor);
        const double words = traffic.reads + traffic.fills + traffic.updates;
        (l == 0 ? total.dram_bytes : total.sram_accesses) += repeats * (l == 0 ? bytes(words, tensor) : words);
      }
    }
  }
  const auto bytes = bytes_of(architecture);
  for (const RepeatedVectorWork& work : vector) {
    if (!work.cost) {
      total.not_modelled += work.repeats;
      continue;
    }
    const auto repeats = static_cast<double>(work.repeats);
    total.cycles += repeats * work.cost->cycles;
    total.compute_cycles += repeats * work.cost->compute_cycles;
    total.energy_j += repeats * work.cost->energy_j();
    total.compute_energy_j += repeats * work.cost->compute_energy_j;
    total.outermost_energy_j += repeats * work.cost->memory_energy_j;
    total.dram_bytes += repeats * (bytes(static_cast<double>(work.work.input_words), Tensor::input) +
                                   bytes(static_cast<double>(work.work.parameter_words), Tensor::weight) +
                                   bytes(static_cast<double>(work.work.output_words), Tensor::output));
  }
  total.latency_s = total.cycles / architecture.clock_hz;
  total.area_mm2 = architecture.total_area_mm2();
  if (total.cycles > 0) {
    total.utilization = total.macs / (static_cast<double>(architecture.compute.instances()) * total.cycles);
  }
  total.mapping = std::move(mapping);
  total.vector = std::move(vector);
  return total;
}

ArchitectureCost cost(const Network& network, const Architecture& architecture, const Mapper& mapper,
                      const MapperRequest& request, const NetworkMappingOptions& options) {
  return sum(map_network(network, architecture, mapper, request, options), vector_work(network, architecture), architecture);
}

}  // namespace duet
