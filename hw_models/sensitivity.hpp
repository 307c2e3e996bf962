#pragma once
/// What would help most: one resource of an architecture doubled at a time, everything else as it is.

#include <string>
#include <vector>

#include "hw_models/network_cost.hpp"

namespace duet {

/// An architecture with one resource doubled.
struct DoubledResource {
  std::string name;  ///< "buffer: read bandwidth", "DRAM: children along x", "clock"
  Architecture architecture;
  /// Whether mappings must be sought again: another capacity or fan-out does nothing for a mapping that was made for the
  /// old one.
  bool remapped = false;
};

/// Every bounded read, write and shared bandwidth and capacity of a level, the fan-outs along x and y (all levels further
/// in and the compute units along with them), the lanes of the vector unit, and the clock (of the memories too: words per
/// cycle stay). Those that give no valid architecture are left out. Energies per action and areas are as before.
std::vector<DoubledResource> doubled_resources(const Architecture& architecture);

/// What doubling one resource does, as factors: after ÷ before.
struct Sensitivity {
  std::string resource;
  bool remapped = false;
  double cycles = 1, latency = 1, energy = 1, energy_delay = 1;
};

struct SensitivityReport {
  /// Remapping alone, nothing doubled: after ÷ before. 1 where the mapper finds nothing better. Rows of resources that
  /// are remapped are relative to this.
  Sensitivity remapping;
  std::vector<Sensitivity> resources;  ///< the greatest reduction of energy · delay first
};

/// `before` must have a mapping for every layer. Layers without one on a doubled architecture keep their old mapping, and
/// any layer does if that is the better one. Without `mapper`, resources that need remapping are left out.
SensitivityReport sensitivities(const ArchitectureCost& before, const Architecture& architecture, const Mapper* mapper,
                                const MapperRequest& request, const NetworkMappingOptions& options);

/// Which part of a level sets its cycles: "read port", "write port" or "shared port"; empty if none is bounded.
std::string busiest_port(const StorageLevel& level, const LevelCost& cost);

/// What sets the cycles of a run: "computing", or a level and its port such as "buffer (read port)".
std::string bottleneck(const MappingCost& cost, const Architecture& architecture);

}  // namespace duet
