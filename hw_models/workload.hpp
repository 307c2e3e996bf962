#pragma once
/// Workload files: layers that a user writes down, or the network that the file names (docs/hardware/loop_nest.md).

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/config.hpp"
#include "hw_models/einsum.hpp"
#include "hw_models/systolic.hpp"

namespace duet {

struct WorkloadLayer {
  std::string name;
  std::int64_t repeats = 1;
  std::variant<SystolicWorkload, Einsum> work;  ///< convolutions and matrix products; others are einsums of their own

  Einsum einsum() const;
};

struct WorkloadFile {
  std::string name;
  std::string network;  ///< of the zoo; empty where `layers` are given
  std::vector<WorkloadLayer> layers;
};

/// `network: NAME`, `layers: […]`, or one layer by itself: `convolution`, `matrix` or `einsum`. \throws ConfigError.
WorkloadFile read_workload(const Config& config);

/// Equal einsums once, in order of first appearance.
std::vector<RepeatedEinsum> einsums(const std::vector<WorkloadLayer>& layers);

}  // namespace duet
