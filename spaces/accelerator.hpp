#pragma once
/// Accelerators as values: what a hardware model costs and what an accelerator space produces.

#include <cstdint>
#include <string>
#include <variant>

#include "core/fingerprint.hpp"
#include "spaces/architecture.hpp"

namespace duet {

/// Which operand stays in the processing elements of a systolic array while the others stream past.
enum class Dataflow { output_stationary, weight_stationary, input_stationary };

/// The YAML spelling: "output_stationary", "weight_stationary" or "input_stationary".
std::string to_string(Dataflow dataflow);

/// A two-dimensional systolic array with three double-buffered scratchpads in front of one DRAM channel, the
/// machine that SCALE-Sim models (Samajdar et al., ISPASS 2020).
struct SystolicArray {
  std::int64_t rows = 32;                        ///< processing elements, vertical
  std::int64_t columns = 32;                     ///< processing elements, horizontal
  Dataflow dataflow = Dataflow::weight_stationary;
  std::int64_t input_sram_bytes = 64 * 1024;     ///< both halves of the double buffer together
  std::int64_t weight_sram_bytes = 64 * 1024;    ///< both halves of the double buffer together
  std::int64_t output_sram_bytes = 64 * 1024;    ///< both halves of the double buffer together
  std::int64_t word_bits = 8;                    ///< of inputs, weights and outputs alike
  double clock_hz = 1e9;
  double dram_bandwidth_bytes_per_s = 16e9;

  bool operator==(const SystolicArray&) const = default;
};

/// Every kind of accelerator that a Design may hold.
using Accelerator = std::variant<SystolicArray, Architecture>;

/// An architecture of storage levels, or `systolic_array: {rows, columns, dataflow, input_sram, weight_sram, output_sram,
/// word_bits, clock, dram_bandwidth}` with the defaults above. \throws ConfigError with position.
Accelerator read_accelerator(const Config& config);

/// Bits of the narrowest word in which a weight or an input waits: what a network's numbers are rounded to.
std::int64_t operand_bits(const Accelerator& accelerator);

/// Of everything that a cost depends on; equal accelerators have equal ones. The name of an architecture does not count.
Fingerprint fingerprint(const Accelerator& accelerator);

}  // namespace duet
