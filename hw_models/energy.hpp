#pragma once
/// Energy and area of a systolic array from the published constants of spaces/technology.hpp at the 45 nm node. Pure
/// functions, any thread.

#include <cstdint>

#include "hw_models/systolic.hpp"
#include "spaces/accelerator.hpp"
#include "spaces/technology.hpp"

namespace duet {

/// Energy of a layer or network in joules, by component.
struct Energy {
  double mac_j = 0;       ///< multipliers and accumulators, the vector unit's lanes among them
  double register_j = 0;  ///< operands and partial sums that hop from element to element
  double input_sram_j = 0;
  double weight_sram_j = 0;
  double output_sram_j = 0;
  double dram_j = 0;

  double total_j() const {
    return mac_j + register_j + input_sram_j + weight_sram_j + output_sram_j + dram_j;
  }
  Energy& operator+=(const Energy& other);
  bool operator==(const Energy&) const = default;
};

/// Silicon area in mm², by component. Wires, control, the vector unit and the DRAM interface are not in it.
struct Area {
  double array_mm2 = 0;
  double input_sram_mm2 = 0;
  double weight_sram_mm2 = 0;
  double output_sram_mm2 = 0;

  double total_mm2() const { return array_mm2 + input_sram_mm2 + weight_sram_mm2 + output_sram_mm2; }
  bool operator==(const Area&) const = default;
};

/// Width of the sums inside the array: 2 · word_bits + 16, which holds 65,536 products exactly (32 bits for
/// 8-bit words, as in the TPU: Jouppi et al., ISCA 2017).
std::int64_t accumulator_bits(std::int64_t word_bits);

/// Energy of one layer. Per multiply-accumulate: a multiplication, an addition, and the registers it writes:
/// the accumulator and the operands that move (both in output stationary, one otherwise).
Energy energy(const SystolicCost& cost, const SystolicArray& array);

/// Energy of moving data through the scratchpads and the DRAM channel alone.
Energy traffic_energy(const BufferTraffic& input, const BufferTraffic& weight, const BufferTraffic& output,
                      const SystolicArray& array);

/// Area of the array and its scratchpads. An element has a multiplier, an adder, two operand registers and an
/// accumulator.
Area area(const SystolicArray& array);

}  // namespace duet
