#pragma once
/// What a network asks of the hardware: every node becomes work for the array, for the vector unit beside it, or
/// nothing. And what that costs on a systolic array. Pure functions, any thread.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "hw_models/energy.hpp"
#include "hw_models/systolic.hpp"
#include "spaces/accelerator.hpp"
#include "spaces/network.hpp"

namespace duet {

/// Work without reuse for the vector unit, which takes one operation per lane and cycle while its data stream from and to
/// DRAM. Beside a systolic array it has one lane per column.
struct VectorWorkload {
  std::int64_t operations = 0;       ///< of lanes
  std::int64_t input_words = 0;      ///< all inputs, each read once
  std::int64_t parameter_words = 0;  ///< scale and shift
  std::int64_t output_words = 0;
  bool operator==(const VectorWorkload&) const = default;
};

/// What a node asks of the hardware; std::monostate: nothing.
using Workload = std::variant<std::monostate, SystolicWorkload, VectorWorkload>;

/// Work of every node, by node id.
///
/// - convolution, linear, matmul: the array. Groups of a convolution and matrices of a batched product run
/// one
///   after another.
/// - batch_normalization and activation of a value that nobody else uses and that the array or the vector
/// unit has
///   just produced: applied on its way to the output scratchpad, free.
/// - the same elsewhere, add, multiply, pool, global_pool, layer_normalization, softmax: the vector unit.
/// - transposed_convolution: the array, as a matrix product of input pixels with all windows' weights.
/// - other: the array, as a matrix product with the same MACs; without MACs the vector unit.
/// - window_pool, elementwise, reduce, rms_normalization, resize, embedding, top_k: the vector unit.
/// - input, zeros, constant, concat, flatten, identity, reshape, transpose, slice, pad, expand, outputs: free, a
///   matter of addresses.
std::vector<Workload> lower(const Network& network);

struct LayerCost {
  enum class Unit { none, array, vector };

  NodeId node = 0;
  std::string name;
  Unit unit = Unit::none;
  std::int64_t cycles = 0;  ///< stalls included
  std::int64_t stall_cycles = 0;
  std::int64_t macs = 0;
  double utilisation = 0;  ///< MACs ÷ (processing elements × cycles); 0 for the vector unit
  BufferTraffic input, weight, output;
  std::int64_t dram_bytes = 0;  ///< both directions, rounded up to whole bytes
  Energy energy;

  std::int64_t sram_accesses() const {
    return input.reads() + input.writes() + weight.reads() + weight.writes() + output.reads() +
           output.writes();
  }
};

struct NetworkCost {
  std::int64_t cycles = 0;  ///< nodes run one after another
  std::int64_t stall_cycles = 0;
  double latency_s = 0;
  Energy energy;
  Area area;
  double utilisation = 0;  ///< MACs ÷ (processing elements × cycles)
  std::int64_t macs = 0;
  std::int64_t sram_accesses = 0;  ///< words read and written in all three scratchpads
  std::int64_t dram_bytes = 0;
  std::vector<LayerCost> layers;  ///< one per node, by node id

  double energy_j() const { return energy.total_j(); }
  double area_mm2() const { return area.total_mm2(); }
};

/// Cost of one piece of work; `name` and `node` stay empty. `array` must be valid (see why_invalid), as
/// below.
LayerCost cost(const Workload& workload, const SystolicArray& array);

/// `layer` run `times` ≥ 1 times, one after another.
LayerCost repeated(LayerCost layer, std::int64_t times);
/// Layers that run one after another on the array.
NetworkCost sum(std::vector<LayerCost> layers, const SystolicArray& array);

/// Cost of all nodes of the network, of those too that do not reach its output (see Network::pruned). Equal
/// workloads are costed once.
NetworkCost cost(const Network& network, const SystolicArray& array);

/// Cost of vector work on an architecture of storage levels.
struct VectorCost {
  double compute_cycles = 0;    ///< ⌈operations ÷ lanes⌉
  double cycles = 0;            ///< these or the outermost level's busiest port, whichever is more
  double reads = 0, writes = 0; ///< words at the outermost level
  double compute_energy_j = 0;
  double memory_energy_j = 0;   ///< of the outermost level, leakage included
  double energy_j() const { return compute_energy_j + memory_energy_j; }
};

/// \pre architecture.vector_unit
VectorCost cost(const VectorWorkload& work, const Architecture& architecture);

}  // namespace duet
