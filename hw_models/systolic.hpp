#pragma once
/// Exact cycles and data movement of one convolution or matrix product on a systolic array. No state, no
/// loops over the arithmetic: a layer costs microseconds. The model is defined in
/// docs/hardware/systolic_array.md; its compute part counts as SCALE-Sim does (Samajdar et al., ISPASS 2020).
///
/// Words are `SystolicArray::word_bits` wide. All counts cover the whole layer: every image and every group.
///
/// Every function here is pure and may be called from any number of threads.

#include <cstdint>
#include <optional>
#include <string>

#include "spaces/accelerator.hpp"

namespace duet {

/// What the array is asked to do: `groups` equal two-dimensional convolutions of different data, one after
/// another. A matrix product is a convolution of 1×1 images. As a product of matrices, each group is (m × k)
/// · (k × n) with m = output pixels, n = filters, k = kernel window × channels.
struct SystolicWorkload {
  std::int64_t groups = 1;    ///< convolutions that run one after another
  std::int64_t batch = 1;     ///< images
  std::int64_t channels = 1;  ///< of the input, in one group
  std::int64_t input_h = 1, input_w = 1;
  std::int64_t filters = 1;  ///< output channels of one group
  std::int64_t kernel_h = 1, kernel_w = 1;
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t padding_h = 0,
               padding_w = 0;  ///< zeros above and left; those below and right follow from the output
  std::int64_t dilation_h = 1, dilation_w = 1;
  std::int64_t output_h = 1, output_w = 1;

  std::int64_t m() const { return batch * output_h * output_w; }
  std::int64_t n() const { return filters; }
  std::int64_t k() const { return channels * kernel_h * kernel_w; }
  std::int64_t macs() const { return groups * m() * n() * k(); }

  bool operator==(const SystolicWorkload&) const = default;
};

/// `count` products of an (m × k) activation matrix with a (k × n) weight matrix.
SystolicWorkload matrix_product(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t count = 1);

/// Words that cross the two sides of a scratchpad. What comes from DRAM is written into it, what goes to the
/// array is read from it, and the other way round.
struct BufferTraffic {
  std::int64_t from_dram = 0;
  std::int64_t to_array = 0;
  std::int64_t from_array = 0;
  std::int64_t to_dram = 0;

  std::int64_t reads() const { return to_array + to_dram; }
  std::int64_t writes() const { return from_dram + from_array; }

  BufferTraffic& operator+=(const BufferTraffic& other);
  bool operator==(const BufferTraffic&) const = default;
};

struct SystolicCost {
  std::int64_t macs = 0;
  std::int64_t folds = 0;           ///< array-sized pieces that the layer is cut into, all groups together
  std::int64_t compute_cycles = 0;  ///< SCALE-Sim's "Total Cycles" − "Stall Cycles" for one group
  std::int64_t stall_cycles = 0;    ///< transfers that no computation hides, `fill` and `drain` among them
  std::int64_t fill_cycles = 0;     ///< before the first fold starts
  std::int64_t drain_cycles = 0;    ///< after the last fold has ended

  /// Mean over the folds of processing elements that hold work, in (0, 1]. SCALE-Sim's "Mapping Efficiency
  /// %".
  double mapping_efficiency = 0;
  /// Mean over the folds of the elements' busy share, without stalls, in (0, 1]. SCALE-Sim's "Compute Util
  /// %".
  double compute_utilisation = 0;
  /// Multiply-accumulate operations ÷ (processing elements × all cycles), in (0, 1].
  double utilisation = 0;

  BufferTraffic input;   ///< to_array is SCALE-Sim's "SRAM IFMAP Reads"
  BufferTraffic weight;  ///< to_array is SCALE-Sim's "SRAM Filter Reads"
  /// from_array is SCALE-Sim's "SRAM OFMAP Writes" (weight and input stationary), to_array the partial sums
  /// that meet their next addend, from_dram the partial sums that had to leave the chip in between.
  BufferTraffic output;

  std::int64_t cycles() const { return compute_cycles + stall_cycles; }
  std::int64_t dram_reads() const { return input.from_dram + weight.from_dram + output.from_dram; }
  std::int64_t dram_writes() const { return input.to_dram + weight.to_dram + output.to_dram; }

  bool operator==(const SystolicCost&) const = default;
};

/// One sentence if no layer can run on this array, else nothing. An array is refused for a size that is not
/// positive or absurdly large (2¹⁶ rows or columns, 2⁴⁰ bytes, 64 bits, less than a byte per million cycles)
/// and for a scratchpad whose working half cannot feed one edge of the array for one cycle: the sentence then
/// names the scratchpad and how many bytes it lacks.
std::optional<std::string> why_invalid(const SystolicArray& array);

/// Cycles in which the DRAM channel moves so many words: ceil(words · word_bits ÷ (8 · bandwidth ÷ clock)),
/// evaluated in double precision exactly as written.
std::int64_t transfer_cycles(std::int64_t words, const SystolicArray& array);

/// Cost of one layer. `array` must be valid (see why_invalid), every extent of `workload` positive (paddings
/// not negative); both are asserted.
SystolicCost cost(const SystolicWorkload& workload, const SystolicArray& array);

}  // namespace duet
