#pragma once
/// A network on an architecture of storage levels, all of it: einsums under the mappings that a mapper finds, vector
/// operators on the vector unit.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hw_models/lowering.hpp"
#include "hw_models/network_mapping.hpp"

namespace duet {

/// Vector operators with the same work.
struct RepeatedVectorWork {
  VectorWorkload work;
  std::int64_t repeats = 0;
  std::vector<std::string> names;
  std::optional<VectorCost> cost;  ///< of one; nothing: the architecture has no vector unit
};

/// Equal ones once, in order of first appearance.
std::vector<RepeatedVectorWork> vector_work(const Network& network, const Architecture& architecture);

struct ArchitectureCost {
  NetworkMapping mapping;
  std::vector<RepeatedVectorWork> vector;
  std::int64_t not_modelled = 0;  ///< vector operators without a vector unit: in none of the sums

  // Sums over einsums and vector operators, one after another.
  double cycles = 0;
  double compute_cycles = 0;
  double latency_s = 0;
  double energy_j = 0;
  double compute_energy_j = 0;  ///< multiply-accumulate units and vector unit
  double outermost_energy_j = 0;
  double utilization = 0;       ///< macs ÷ (compute units × cycles)
  double macs = 0;
  double area_mm2 = 0;
  double dram_bytes = 0;      ///< words that the outermost level reads and writes, in bytes
  double sram_accesses = 0;   ///< words read and written at all other levels
  double energy_delay() const { return energy_j * latency_s; }
};

/// mapping.why_none is not empty where a layer has no mapping; sums then leave it out.
ArchitectureCost cost(const Network& network, const Architecture& architecture, const Mapper& mapper,
                      const MapperRequest& request, const NetworkMappingOptions& options = {});
/// The sums, from what has been mapped.
ArchitectureCost sum(NetworkMapping mapping, std::vector<RepeatedVectorWork> vector, const Architecture& architecture);

}  // namespace duet
