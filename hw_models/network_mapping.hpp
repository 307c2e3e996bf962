#pragma once
/// A whole network on an architecture: every distinct einsum mapped once, cycles and energy added up over how often each
/// runs, one after another.

#include <cstdint>
#include <string>
#include <vector>

#include "hw_models/mapper.hpp"
#include "hw_models/mapping_cache.hpp"
#include "spaces/network.hpp"

namespace duet {

/// One distinct einsum of the network.
struct LayerMapping {
  RepeatedEinsum workload;
  MapperResult result;
  MappingCost cost;     ///< of one run, where a mapping was found
  bool cached = false;  ///< known from before
};

struct NetworkMapping {
  std::vector<LayerMapping> layers;  ///< in order of first appearance
  std::string why_none;              ///< empty if every layer has a mapping; otherwise the first that has not, and why
  bool complete = true;              ///< no layer was ended by a time limit
  /// Sums over all layers with a mapping times their repeats.
  double macs = 0, cycles = 0, latency_s = 0, energy_j = 0;
  double utilization = 0;  ///< macs ÷ (compute units × cycles)
  std::uint64_t evaluations = 0;
  double energy_delay() const { return energy_j * latency_s; }  ///< J·s of the whole network
};

struct NetworkMappingOptions {
  CostOptions cost;
  int threads = 1;                ///< layers at a time (what is left over goes to each mapper); never changes the result
  MappingCache* cache = nullptr;  ///< asked first and told afterwards
};

/// The layers of `network` that are einsums; the vector unit's are not in it (lowering.hpp). `request` is every layer's;
/// its `threads` do not count. \pre !why_invalid(architecture)
NetworkMapping map_network(const Network& network, const Architecture& architecture, const Mapper& mapper,
                           const MapperRequest& request, const NetworkMappingOptions& options = {});
/// The same for workloads from elsewhere. \pre !why_invalid of each
NetworkMapping map_einsums(std::vector<RepeatedEinsum> workloads, const Architecture& architecture, const Mapper& mapper,
                           const MapperRequest& request, const NetworkMappingOptions& options = {});

}  // namespace duet
