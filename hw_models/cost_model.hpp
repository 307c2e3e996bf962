#pragma once
/// The cost of running an einsum on an architecture under a mapping, in closed form: what every level reads, writes and
/// updates, cycles with bandwidth stalls, energy by component (definition: docs/hardware/loop_nest.md).

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hw_models/einsum.hpp"
#include "hw_models/mapping.hpp"
#include "spaces/architecture.hpp"

namespace duet {

/// What a tile of a strided or dilated tensor occupies: its bounding box (Timeloop's convention), or only the elements
/// that are really touched.
enum class Footprint { box, distinct };

struct CostOptions {
  Footprint footprint = Footprint::box;
  /// Count what Timeloop counts even where the loop nest does something else: its extrapolation from two iterations of
  /// every loop, and words handed on between neighbours. Perfect mappings only, slower; see docs/hardware/loop_nest.md.
  bool as_timeloop = false;
  bool operator==(const CostOptions&) const = default;
};

/// Traffic of one tensor at one level. Words, summed over all instances of the level; whole numbers below 2^53.
struct TensorTraffic {
  bool kept = false;
  double tile_words = 0;  ///< the largest tile that one instance holds
  double reads = 0;       ///< to serve the level below (and neighbours)
  double fills = 0;       ///< written from the level above
  double updates = 0;     ///< partial sums that came from below
  double energy_j = 0;
  bool operator==(const TensorTraffic&) const = default;
};

struct LevelCost {
  std::array<TensorTraffic, tensor_count> tensors;  ///< by Tensor
  double utilized_instances = 1;                    ///< that the mapping uses
  double cycles = 0;                                ///< that the slowest port of an instance is busy
  double dynamic_energy_j = 0;
  double leakage_energy_j = 0;
  const TensorTraffic& tensor(Tensor which) const { return tensors[static_cast<std::size_t>(which)]; }
  bool operator==(const LevelCost&) const = default;
};

struct MappingCost {
  double macs = 0;
  double compute_cycles = 0;  ///< iterations of all temporal loops
  double cycles = 0;          ///< the slowest of computing and every level
  double utilization = 0;     ///< macs ÷ (compute units × cycles)
  double compute_energy_j = 0;
  double energy_j = 0;  ///< everything
  double latency_s = 0;
  double area_mm2 = 0;
  std::vector<LevelCost> levels;  ///< outermost first
  double energy_delay() const { return energy_j * latency_s; }  ///< J·s
};

/// The two numbers that a search compares, and whether the mapping is possible at all.
struct QuickCost {
  bool valid = false;
  double cycles = 0;
  double energy_j = 0;
};

namespace kernel {
struct Plan;
}

/// The model of one einsum on one architecture. Immutable after construction; safe to use from several threads.
class CostModel {
 public:
  /// \pre !why_invalid(einsum) && !why_invalid(architecture)
  CostModel(Einsum einsum, Architecture architecture, CostOptions options = {});

  const Einsum& einsum() const { return einsum_; }
  const Architecture& architecture() const { return architecture_; }
  const CostOptions& options() const { return options_; }

  /// One sentence that says which level and which tensor or dimension, and by how much; nothing for a valid mapping.
  /// Constraints of the architecture's levels are checked where `constraints`.
  std::optional<std::string> why_invalid(const Mapping& mapping, bool constraints = false) const;

  /// Everything. \pre !why_invalid(mapping)
  MappingCost evaluate(const Mapping& mapping) const;

  /// Validity, cycles and energy alone, without allocation: the inner loop of mappers. Equal to why_invalid and evaluate
  /// to the bit.
  QuickCost quick(const Mapping& mapping) const;

  /// The same for many mappings, `costs` as long as `mappings`, several at a time in the widest vectors of this machine:
  /// neighbours in the list whose loop orders and kept tensors are equal (and that are perfect) share the work. Equal to
  /// quick() to the bit, whatever the machine.
  void quick(std::span<const Mapping> mappings, std::span<QuickCost> costs) const;

  /// The same for the first lanes of a batch, as many as `costs` has: nothing has to be gathered. Equal to quick() of
  /// batch.mapping(lane) to the bit. \pre factors are at least 1; they are 1 of dimensions of size 1, and along x and y
  /// where a level has one child
  void quick(const MappingBatch& batch, std::span<QuickCost> costs) const;

 private:
  std::optional<std::string> why_unwanted(const Mapping& mapping) const;

  Einsum einsum_;
  Architecture architecture_;
  CostOptions options_;
  std::shared_ptr<const kernel::Plan> plan_;
};

}  // namespace duet
