#pragma once
/// Brute-force execution of the definition in docs/hardware/loop_nest.md: runs the loop nest step by step, keeps the set of
/// elements that every buffer holds, and counts every element that moves. Slow, simple, and without any code in common
/// with hw_models/cost_model.cpp.

#include <array>
#include <cstdint>
#include <vector>

#include "hw_models/cost_model.hpp"

namespace duet::testing {

struct OracleTraffic {
  std::int64_t reads = 0, fills = 0, updates = 0;                          ///< all instances together
  std::int64_t busiest_reads = 0, busiest_fills = 0, busiest_updates = 0;  ///< of the instance with the most of each
  std::int64_t tile_words = 0;                                             ///< the most that an instance held
};

struct OracleCounts {
  std::int64_t macs = 0;
  std::int64_t cycles = 0;  ///< steps in which some unit multiplies
  std::vector<std::int64_t> instances;
  std::vector<std::array<OracleTraffic, tensor_count>> levels;
  bool consistent = true;  ///< whoever shared a transfer wanted the same elements
  // What happened at all.
  bool halo = false, multicast = false, reduction = false;
};

OracleCounts execute(const Einsum& einsum, const Architecture& architecture, const Mapping& mapping,
                     Footprint footprint);

}  // namespace duet::testing
