#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "tests/spaces/read_space.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace duet::testing;

SystolicArray array_of(const DesignSpace& space, const Candidate& candidate) {
  return std::get<SystolicArray>(space.design(candidate).accelerators().at(0));
}

TEST(SystolicArraySpace, DefaultCoversEdgeDevices) {
  const DesignSpace space = read_space("accelerator: {type: systolic_array}");
  EXPECT_EQ(space.space().cardinality().exact, 5u * 5 * 3 * 7 * 7 * 7 * 3 * 5 * 6);
  EXPECT_FALSE(space.has_network());
  EXPECT_TRUE(space.has_accelerator());
  const Candidate first = space.space().unrank(0);
  EXPECT_EQ(array_of(space, first), (SystolicArray{.rows = 4,
                                                   .columns = 4,
                                                   .dataflow = Dataflow::output_stationary,
                                                   .input_sram_bytes = 8192,
                                                   .weight_sram_bytes = 8192,
                                                   .output_sram_bytes = 8192,
                                                   .word_bits = 4,
                                                   .clock_hz = 1e8,
                                                   .dram_bandwidth_bytes_per_s = 1e9}));
  const Candidate last = space.space().unrank(space.space().cardinality().exact.value() - 1);
  EXPECT_EQ(array_of(space, last), (SystolicArray{.rows = 64,
                                                  .columns = 64,
                                                  .dataflow = Dataflow::input_stationary,
                                                  .input_sram_bytes = 524288,
                                                  .weight_sram_bytes = 524288,
                                                  .output_sram_bytes = 524288,
                                                  .word_bits = 16,
                                                  .clock_hz = 1e9,
                                                  .dram_bandwidth_bytes_per_s = 32e9}));
}

TEST(SystolicArraySpace, AssignmentsTakeUnits) {
  const DesignSpace space = read_space(
      "accelerator: {type: systolic_array, rows: [8, 12], columns: 16, dataflow: weight_stationary, "
      "input_sram: [64KiB, 16KiB], weight_sram: 32KiB, output_sram: 8kB, word_bits: 8, clock: [200MHz, "
      "1GHz], "
      "dram_bandwidth: [4GB/s]}");
  EXPECT_EQ(space.space().cardinality().exact, 8u);
  const Candidate candidate =
      read_candidate(space, "accelerator: {rows: 12, input_sram: 16KiB, clock: 0.2 GHz}");
  EXPECT_EQ(array_of(space, candidate), (SystolicArray{.rows = 12,
                                                       .columns = 16,
                                                       .dataflow = Dataflow::weight_stationary,
                                                       .input_sram_bytes = 16384,
                                                       .weight_sram_bytes = 32768,
                                                       .output_sram_bytes = 8000,
                                                       .word_bits = 8,
                                                       .clock_hz = 2e8,
                                                       .dram_bandwidth_bytes_per_s = 4e9}));
  EXPECT_EQ(quantity(space, candidate, "accelerator.pe_count"), 192);
  EXPECT_EQ(quantity(space, candidate, "accelerator.sram_bytes"), 16384 + 32768 + 8000);
  EXPECT_EQ(space.label(candidate, "accelerator.clock"), "200000000");
}

TEST(SystolicArraySpace, EveryCandidateIsAnArrayOfItsOwn) {
  const DesignSpace space = read_space(
      "accelerator: {type: systolic_array, rows: [4, 8], columns: [4, 8], input_sram: [8KiB, 16KiB], "
      "weight_sram: [8KiB, 16KiB], output_sram: [8KiB, 16KiB], word_bits: [4, 8], clock: [100MHz, 1GHz], "
      "dram_bandwidth: [1GB/s, 2GB/s]}");
  const std::uint64_t count = space.space().cardinality().exact.value();
  ASSERT_EQ(count, 3u * 256);
  std::set<std::string> arrays;
  for (std::uint64_t rank = 0; rank < count; ++rank) {
    const SystolicArray a = array_of(space, space.space().unrank(rank));
    arrays.insert(fmt::format("{} {} {} {} {} {} {} {} {}", a.rows, a.columns, to_string(a.dataflow),
                              a.input_sram_bytes, a.weight_sram_bytes, a.output_sram_bytes, a.word_bits,
                              a.clock_hz, a.dram_bandwidth_bytes_per_s));
  }
  EXPECT_EQ(arrays.size(), count);
}

TEST(SystolicArraySpace, RandomCandidatesObeyConstraints) {
  const DesignSpace space = read_space(
      "accelerator: {type: systolic_array}\n"
      "constraints: [accelerator.pe_count <= 256, accelerator.sram_bytes < 256KiB]");
  Random random(1, "systolic");
  for (int i = 0; i < 1'000; ++i) {
    const SystolicArray array = array_of(space, space.space().sample(random));
    EXPECT_LE(array.rows * array.columns, 256);
    EXPECT_LT(array.input_sram_bytes + array.weight_sram_bytes + array.output_sram_bytes, 256 * 1024);
  }
}

TEST(SystolicArraySpace, RefusesNumbersWithoutOrWithTheWrongUnit) {
  EXPECT_THAT(refusal("accelerator: {type: systolic_array, clock: [200]}"),
              HasSubstr("needs a unit, for example '1GHz'"));
  EXPECT_THAT(refusal("accelerator: {type: systolic_array, clock: [4GB/s]}"),
              StartsWith("space.yaml:1:45: "));
  EXPECT_THAT(refusal("accelerator: {type: systolic_array, rows: [0, 4]}"), StartsWith("space.yaml:1:44: "));
  EXPECT_THAT(refusal("accelerator: {type: systolic_array, rows: [4.5]}"), StartsWith("space.yaml:1:44: "));
  EXPECT_THAT(refusal("accelerator: {type: systolic_array, word_bits: [4.5]}"),
              HasSubstr("whole numbers, not 4.5"));
  EXPECT_THAT(refusal("accelerator: {type: systolic_array, input_sram: 10.5B}"),
              HasSubstr("whole numbers, not 10.5"));
  EXPECT_THAT(refusal("accelerator: {type: systolic_array, dataflow: [row_stationary]}"),
              HasSubstr("row_stationary"));
  EXPECT_THAT(refusal("accelerator: {type: systolic_array, rows: [4, 4]}"), HasSubstr("each once"));
}

}  // namespace
}  // namespace duet
