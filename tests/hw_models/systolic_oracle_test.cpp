#include "tests/hw_models/systolic_oracle.hpp"

#include <array>
#include <gtest/gtest.h>
#include <random>
#include <sstream>

#include "hw_models/systolic.hpp"

namespace duet {
namespace {

/// Small layers and arrays of every kind: ragged, tiny, larger than the array and smaller, strided, dilated,
/// padded, grouped, batched, with scratchpads from too small for anything to large enough for all.
class Cases {
 public:
  explicit Cases(std::uint64_t seed) : random_(seed) {}

  SystolicArray array() {
    SystolicArray a;
    a.rows = between(1, 9);
    a.columns = between(1, 9);
    a.dataflow = std::array{Dataflow::output_stationary, Dataflow::weight_stationary,
                            Dataflow::input_stationary}[random_() % 3];
    a.word_bits = std::array<std::int64_t, 6>{4, 5, 8, 12, 16, 32}[random_() % 6];
    // Half a scratchpad must hold an edge of at most 9 words.
    const auto smallest = [&](std::int64_t edge) { return (edge * a.word_bits + 3) / 4; };
    const auto size = [&](std::int64_t edge) { return smallest(edge) + (between(1, 40) * between(0, 60)); };
    const bool is = a.dataflow == Dataflow::input_stationary;
    a.input_sram_bytes = size(is ? a.columns : a.rows);
    a.weight_sram_bytes = size(is ? a.rows : a.columns);
    a.output_sram_bytes = size(a.columns);
    a.clock_hz = 1e6 * static_cast<double>(between(1, 2000));
    a.dram_bandwidth_bytes_per_s = a.clock_hz * static_cast<double>(between(1, 700)) / 64.0;
    return a;
  }

  SystolicWorkload workload() {
    if (between(0, 3) == 0)
      return matrix_product(between(1, 40), between(1, 30), between(1, 40), between(1, 3));
    SystolicWorkload w;
    w.groups = between(1, 3);
    w.batch = between(1, 3);
    w.channels = between(1, 6);
    w.filters = between(1, 14);
    axis(w.input_h, w.output_h, w.kernel_h, w.stride_h, w.padding_h, w.dilation_h);
    axis(w.input_w, w.output_w, w.kernel_w, w.stride_w, w.padding_w, w.dilation_w);
    return w;
  }

 private:
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(high - low + 1));
  }

  void axis(std::int64_t& input, std::int64_t& output, std::int64_t& kernel, std::int64_t& stride,
            std::int64_t& padding, std::int64_t& dilation) {
    do {
      input = between(1, 9);
      kernel = between(1, 4);
      stride = between(1, 4);
      dilation = between(1, 3);
      padding = between(0, 3);
      output = input + 2 * padding - dilation * (kernel - 1) - 1;
    } while (output < 0);
    // Sometimes the last window hangs over the edge, as in SCALE-Sim.
    output = between(0, 1) == 0 ? output / stride + 1 : (output + stride - 1) / stride + 1;
  }

  std::mt19937_64 random_;
};

std::string describe(const SystolicWorkload& w, const SystolicArray& a) {
  std::ostringstream out;
  out << "groups " << w.groups << " batch " << w.batch << " channels " << w.channels << " input " << w.input_h
      << "x" << w.input_w << " filters " << w.filters << " kernel " << w.kernel_h << "x" << w.kernel_w
      << " stride " << w.stride_h << "x" << w.stride_w << " padding " << w.padding_h << "x" << w.padding_w
      << " dilation " << w.dilation_h << "x" << w.dilation_w << " output " << w.output_h << "x" << w.output_w
      << " on " << a.rows << "x" << a.columns << " " << to_string(a.dataflow) << " SRAM "
      << a.input_sram_bytes << " " << a.weight_sram_bytes << " " << a.output_sram_bytes << " bits "
      << a.word_bits << " clock " << a.clock_hz << " bandwidth " << a.dram_bandwidth_bytes_per_s;
  return out.str();
}

void expect_equal(const BufferTraffic& model, const BufferTraffic& oracle, const char* buffer) {
  EXPECT_EQ(model.from_dram, oracle.from_dram) << buffer;
  EXPECT_EQ(model.to_array, oracle.to_array) << buffer;
  EXPECT_EQ(model.from_array, oracle.from_array) << buffer;
  EXPECT_EQ(model.to_dram, oracle.to_dram) << buffer;
}

TEST(SystolicOracle, EveryCountOfRandomLayersIsTheSimulated) {
  Cases cases(20240607);
  int refetched = 0, spilled = 0, stalled = 0, hidden = 0;
  for (int i = 0; i < 6'000; ++i) {
    const SystolicArray array = cases.array();
    const SystolicWorkload workload = cases.workload();
    ASSERT_EQ(why_invalid(array), std::nullopt) << describe(workload, array);
    const SystolicCost model = cost(workload, array);
    const SystolicCost oracle = testing::simulate(workload, array);

    EXPECT_EQ(model.macs, oracle.macs);
    EXPECT_EQ(model.folds, oracle.folds);
    EXPECT_EQ(model.compute_cycles, oracle.compute_cycles);
    EXPECT_EQ(model.stall_cycles, oracle.stall_cycles);
    EXPECT_EQ(model.fill_cycles, oracle.fill_cycles);
    EXPECT_EQ(model.drain_cycles, oracle.drain_cycles);
    expect_equal(model.input, oracle.input, "input");
    expect_equal(model.weight, oracle.weight, "weight");
    expect_equal(model.output, oracle.output, "output");
    EXPECT_NEAR(model.mapping_efficiency, oracle.mapping_efficiency, 1e-12);
    EXPECT_NEAR(model.compute_utilisation, oracle.compute_utilisation, 1e-12);
    EXPECT_EQ(model.utilisation, oracle.utilisation);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "case " << i << ": " << describe(workload, array);

    if (model.weight.from_dram > workload.groups * workload.n() * workload.k()) ++refetched;
    if (model.output.from_dram > 0) ++spilled;
    (model.stall_cycles > model.fill_cycles + model.drain_cycles ? stalled : hidden) += 1;
  }
  // The cases reach every branch of the definition often.
  EXPECT_GT(refetched, 300);
  EXPECT_GT(spilled, 300);
  EXPECT_GT(stalled, 500);
  EXPECT_GT(hidden, 500);
}

}  // namespace
}  // namespace duet
