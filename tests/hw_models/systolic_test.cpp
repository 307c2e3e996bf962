#include "hw_models/systolic.hpp"

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <vector>

namespace duet {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

/// One byte per word and per cycle, so that words on the channel are cycles.
SystolicArray byte_per_cycle(std::int64_t rows, std::int64_t columns, Dataflow dataflow) {
  SystolicArray a;
  a.rows = rows;
  a.columns = columns;
  a.dataflow = dataflow;
  a.word_bits = 8;
  a.clock_hz = 1e9;
  a.dram_bandwidth_bytes_per_s = 1e9;
  return a;
}

TEST(Dataflows, HaveTheNamesOfTheConfiguration) {
  EXPECT_EQ(to_string(Dataflow::output_stationary), "output_stationary");
  EXPECT_EQ(to_string(Dataflow::weight_stationary), "weight_stationary");
  EXPECT_EQ(to_string(Dataflow::input_stationary), "input_stationary");
}

TEST(Systolic, WeightStationaryByHand) {
  // k = 5 on 2 rows: 3 folds; n = 3 on 2 columns: 2 folds; a fold takes 4 + 2·2 + 2 − 2 = 8 cycles.
  const SystolicCost c = cost(matrix_product(4, 3, 5), byte_per_cycle(2, 2, Dataflow::weight_stationary));
  EXPECT_EQ(c.macs, 60);
  EXPECT_EQ(c.folds, 6);
  EXPECT_EQ(c.compute_cycles, 6 * 8 - 1);
  EXPECT_EQ(c.input, (BufferTraffic{.from_dram = 20, .to_array = 40}));
  EXPECT_EQ(c.weight, (BufferTraffic{.from_dram = 15, .to_array = 15}));
  EXPECT_EQ(c.output, (BufferTraffic{.to_array = 24, .from_array = 36, .to_dram = 12}));
  // Folds load 12, 12, 6, 2, 2, 1 words; the third and the last store 8 and 4.
  EXPECT_EQ(c.fill_cycles, 12);
  EXPECT_EQ(c.drain_cycles, 4);
  // The first fold waits 12 − 8 cycles for the second's data, the fourth 2 + 8 − 8.
  EXPECT_EQ(c.stall_cycles, 12 + 4 + 2 + 4);
  EXPECT_DOUBLE_EQ(c.mapping_efficiency, 15.0 / 24);
  EXPECT_DOUBLE_EQ(c.compute_utilisation, 15.0 / 24 * 4 / (4 + 4 + 4 - 3));
  EXPECT_DOUBLE_EQ(c.utilisation, 60.0 / (4 * (47 + 22)));
}

TEST(Systolic, PartialSumsThatDoNotFitAreSpilled) {
  SystolicArray a = byte_per_cycle(2, 2, Dataflow::weight_stationary);
  a.output_sram_bytes = 16;  // half of it holds the 4 × 2 sums of one column of folds
  EXPECT_EQ(cost(matrix_product(4, 3, 5), a).output.from_dram, 0);
  a.output_sram_bytes = 15;
  const SystolicCost c = cost(matrix_product(4, 3, 5), a);
  EXPECT_EQ(c.output, (BufferTraffic{.from_dram = 24, .to_array = 24, .from_array = 36, .to_dram = 36}));
  // Transfers during the six folds: 12 + 8, 6 + 16, 2 + 8, 2 + 8 + 4, 1 + 8, 4 words.
  EXPECT_EQ(c.stall_cycles, 12 + (12 + 14 + 2 + 6 + 1 + 0) + 4);
}

TEST(Systolic, OutputStationaryByHand) {
  // m = 3 on 2 rows: 2 folds of 4 + 2 + 2 − 2 = 6 cycles. Loads 8 + 8 and 4, stores 4 and 2.
  const SystolicCost c = cost(matrix_product(3, 2, 4), byte_per_cycle(2, 2, Dataflow::output_stationary));
  EXPECT_EQ(c.compute_cycles, 11);
  EXPECT_EQ(c.stall_cycles, 16 + 2);
  EXPECT_EQ(c.input, (BufferTraffic{.from_dram = 12, .to_array = 12}));
  EXPECT_EQ(c.weight, (BufferTraffic{.from_dram = 8, .to_array = 16}));
  EXPECT_EQ(c.output, (BufferTraffic{.from_array = 6, .to_dram = 6}));
  EXPECT_DOUBLE_EQ(c.compute_utilisation, 6.0 / 8 * 4 / 6);
}

TEST(Systolic, InputStationaryIsWeightStationaryWithTheOperandsExchanged) {
  const SystolicCost ws = cost(matrix_product(13, 7, 9), byte_per_cycle(4, 3, Dataflow::weight_stationary));
  const SystolicCost is = cost(matrix_product(7, 13, 9), byte_per_cycle(4, 3, Dataflow::input_stationary));
  EXPECT_EQ(is.compute_cycles, ws.compute_cycles);
  EXPECT_EQ(is.stall_cycles, ws.stall_cycles);
  EXPECT_EQ(is.input, ws.weight);
  EXPECT_EQ(is.weight, ws.input);
  EXPECT_EQ(is.output, ws.output);
}

TEST(Systolic, OneElementTakesOneCyclePerProduct) {
  SystolicArray a = byte_per_cycle(1, 1, Dataflow::output_stationary);
  a.dram_bandwidth_bytes_per_s = 1e12;
  const SystolicCost c = cost(matrix_product(3, 5, 7), a);
  EXPECT_EQ(c.compute_cycles, 3 * 5 * 7 - 1);
  EXPECT_EQ(c.stall_cycles, 2);  // at least one cycle to fill and one to drain
  EXPECT_LE(c.utilisation, 1.0);
}

TEST(Systolic, InputRowsAreFetchedOnceIfTheyStay) {
  SystolicWorkload w;
  w.input_h = w.input_w = w.output_h = w.output_w = 5;
  w.kernel_h = w.kernel_w = 3;
  w.padding_h = w.padding_w = 1;
  w.filters = 2;
  // One fold per output row and filter. Output rows read 2, 3, 3, 3, 2 input rows of 5 words.
  SystolicArray a = byte_per_cycle(5, 1, Dataflow::output_stationary);
  a.input_sram_bytes = 50;  // the tensor stays
  EXPECT_EQ(cost(w, a).input.from_dram, 25);
  a.input_sram_bytes = 49;  // three rows stay: every filter reads the tensor once
  EXPECT_EQ(cost(w, a).input.from_dram, 2 * 25);
  a.input_sram_bytes = 30;
  EXPECT_EQ(cost(w, a).input.from_dram, 2 * 25);
  a.input_sram_bytes = 29;  // nothing stays
  EXPECT_EQ(cost(w, a).input.from_dram, 2 * 5 * (2 + 3 + 3 + 3 + 2));
}

TEST(Systolic, OnlyTouchedInputMoves) {
  SystolicWorkload w;  // 1×1 with stride 2: a quarter of the pixels
  w.channels = 4;
  w.input_h = w.input_w = 8;
  w.stride_h = w.stride_w = 2;
  w.output_h = w.output_w = 4;
  EXPECT_EQ(cost(w, byte_per_cycle(4, 4, Dataflow::weight_stationary)).input.from_dram, 4 * 4 * 4);
  w.kernel_h = w.kernel_w = 3;  // rows 0 … 8, of which the last does not exist
  EXPECT_EQ(cost(w, byte_per_cycle(4, 4, Dataflow::weight_stationary)).input.from_dram, 4 * 8 * 8);
  w.dilation_h = w.dilation_w = 2;  // rows 0, 2, 4, 6
  EXPECT_EQ(cost(w, byte_per_cycle(4, 4, Dataflow::weight_stationary)).input.from_dram, 4 * 4 * 4);
}

TEST(Systolic, GroupsFollowOneAnotherAndOverlap) {
  const SystolicArray a = byte_per_cycle(4, 4, Dataflow::weight_stationary);
  const SystolicCost one = cost(matrix_product(20, 4, 4, 1), a);
  const SystolicCost five = cost(matrix_product(20, 4, 4, 5), a);
  EXPECT_EQ(five.compute_cycles, 5 * (one.compute_cycles + 1) - 1);
  EXPECT_EQ(five.input.from_dram, 5 * one.input.from_dram);
  EXPECT_EQ(five.fill_cycles, one.fill_cycles);
  EXPECT_EQ(five.drain_cycles, one.drain_cycles);
  // A group loads 80 + 16 and stores 80 words, a fold hides 20 + 8 + 4 − 2 = 30 cycles.
  EXPECT_EQ(five.stall_cycles, 96 + (96 - 30) + 3 * (96 + 80 - 30) + (80 - 30) + 80);
}

TEST(Systolic, TransfersRoundUpToWholeCycles) {
  SystolicArray a = byte_per_cycle(4, 4, Dataflow::weight_stationary);
  a.word_bits = 4;
  a.dram_bandwidth_bytes_per_s = 3e9;
  EXPECT_EQ(transfer_cycles(0, a), 0);
  EXPECT_EQ(transfer_cycles(1, a), 1);
  EXPECT_EQ(transfer_cycles(6, a), 1);
  EXPECT_EQ(transfer_cycles(7, a), 2);
}

TEST(Systolic, ImpossibleArraysAreExplained) {
  EXPECT_EQ(why_invalid(SystolicArray{}), std::nullopt);
  SystolicArray a;
  a.rows = 0;
  EXPECT_EQ(why_invalid(a), "a systolic array needs rows between 1 and 65536, not 0");
  a = {};
  a.columns = 100'000;
  EXPECT_THAT(why_invalid(a), Optional(HasSubstr("columns between 1 and 65536, not 100000")));
  a = {};
  a.word_bits = 0;
  EXPECT_THAT(why_invalid(a), Optional(HasSubstr("word bits between 1 and 64")));
  a = {};
  a.clock_hz = 0;
  EXPECT_THAT(why_invalid(a), Optional(HasSubstr("a clock above 0 Hz")));
  a = {};
  a.dram_bandwidth_bytes_per_s = 100;
  EXPECT_THAT(why_invalid(a), Optional(HasSubstr("at least one byte per million cycles, not 100 B/s")));
  a = {};
  a.output_sram_bytes = -5;
  EXPECT_THAT(why_invalid(a), Optional(HasSubstr("output SRAM bytes between 1 and 1099511627776, not -5")));
}

TEST(Systolic, AScratchpadMustFeedOneEdge) {
  SystolicArray a;
  a.rows = 100;
  a.columns = 10;
  a.word_bits = 16;
  a.dataflow = Dataflow::output_stationary;
  a.input_sram_bytes = 399;
  EXPECT_EQ(
      why_invalid(a),
      "the input SRAM of 399 bytes is 1 bytes too small: half of it must hold one 16-bit word for each of "
      "the 100 rows");
  a.input_sram_bytes = 400;
  EXPECT_EQ(why_invalid(a), std::nullopt);
  a.dataflow = Dataflow::input_stationary;  // rows now take weights, columns inputs
  a.input_sram_bytes = 40;
  EXPECT_EQ(why_invalid(a), std::nullopt);
  a.weight_sram_bytes = 200;
  EXPECT_THAT(why_invalid(a), Optional(HasSubstr("the weight SRAM of 200 bytes is 200 bytes too small")));
  a.weight_sram_bytes = 400;
  a.output_sram_bytes = 39;
  EXPECT_THAT(why_invalid(a), Optional(HasSubstr("the output SRAM of 39 bytes is 1 bytes too small")));
}

/// Layers of real sizes.
std::vector<SystolicWorkload> layers() {
  const auto convolution = [](std::int64_t groups, std::int64_t channels, std::int64_t side,
                              std::int64_t filters, std::int64_t kernel, std::int64_t stride) {
    SystolicWorkload w;
    w.groups = groups;
    w.channels = channels;
    w.input_h = w.input_w = side;
    w.filters = filters;
    w.kernel_h = w.kernel_w = kernel;
    w.stride_h = w.stride_w = stride;
    w.padding_h = w.padding_w = kernel / 2;
    w.output_h = w.output_w = (side + 2 * (kernel / 2) - kernel) / stride + 1;
    return w;
  };
  return {convolution(1, 3, 224, 64, 7, 2),  convolution(1, 64, 56, 64, 3, 1),
          convolution(1, 64, 56, 128, 1, 2), convolution(144, 1, 56, 1, 3, 1),
          convolution(960, 1, 7, 1, 5, 1),   convolution(4, 32, 28, 32, 3, 1),
          convolution(1, 512, 7, 512, 3, 1), matrix_product(1, 1000, 512),
          matrix_product(128, 128, 64, 12),  matrix_product(197, 3072, 768)};
}

std::vector<SystolicArray> arrays() {
  std::vector<SystolicArray> result;
  for (const Dataflow dataflow :
       {Dataflow::output_stationary, Dataflow::weight_stationary, Dataflow::input_stationary}) {
    for (const auto& [rows, columns] :
         {std::pair{8, 8}, std::pair{32, 32}, std::pair{12, 100}, std::pair{128, 4}}) {
      for (const std::int64_t kib : {1, 16, 256}) {
        for (const double bandwidth : {0.5e9, 4e9, 64e9}) {
          SystolicArray a;
          a.rows = rows;
          a.columns = columns;
          a.dataflow = dataflow;
          a.input_sram_bytes = a.weight_sram_bytes = a.output_sram_bytes = kib * 1024;
          a.dram_bandwidth_bytes_per_s = bandwidth;
          result.push_back(a);
        }
      }
    }
  }
  return result;
}

TEST(Systolic, CountsAreConservedOnRealLayers) {
  for (const SystolicWorkload& w : layers()) {
    for (const SystolicArray& a : arrays()) {
      const SystolicCost c = cost(w, a);
      EXPECT_EQ(c.macs, w.macs());
      EXPECT_GE((c.compute_cycles + 1) * a.rows * a.columns, c.macs);
      for (const double share : {c.mapping_efficiency, c.compute_utilisation, c.utilisation}) {
        EXPECT_GT(share, 0.0);
        EXPECT_LE(share, 1.0);
      }
      EXPECT_LE(c.compute_utilisation, c.mapping_efficiency);
      EXPECT_GE(c.stall_cycles, c.fill_cycles + c.drain_cycles);
      // Everything is fetched at least once, and what is written beyond the results comes back.
      EXPECT_GE(c.weight.from_dram, w.groups * w.n() * w.k());
      EXPECT_LE(c.weight.from_dram, c.weight.to_array);
      EXPECT_EQ(c.output.to_dram - c.output.from_dram, w.groups * w.m() * w.n());
      EXPECT_EQ(c.output.from_array - c.output.to_array, w.groups * w.m() * w.n());
      // The channel cannot move more than its bandwidth.
      EXPECT_GE(c.cycles() + 1, transfer_cycles(c.dram_reads() + c.dram_writes(), a));
    }
  }
}

TEST(Systolic, MoreMemoryOrBandwidthIsNeverWorse) {
  const std::array<std::int64_t SystolicArray::*, 3> srams{
      &SystolicArray::input_sram_bytes, &SystolicArray::weight_sram_bytes, &SystolicArray::output_sram_bytes};
  for (const SystolicWorkload& w : layers()) {
    for (const SystolicArray& a : arrays()) {
      const SystolicCost before = cost(w, a);
      for (const auto sram : srams) {
        SystolicArray larger = a;
        larger.*sram *= 3;
        const SystolicCost after = cost(w, larger);
        EXPECT_LE(after.cycles(), before.cycles());
        EXPECT_LE(after.dram_reads(), before.dram_reads());
        EXPECT_LE(after.dram_writes(), before.dram_writes());
      }
      SystolicArray faster = a;
      faster.dram_bandwidth_bytes_per_s *= 1.1;
      EXPECT_LE(cost(w, faster).stall_cycles, before.stall_cycles);
      EXPECT_EQ(cost(w, faster).compute_cycles, before.compute_cycles);
    }
  }
}

}  // namespace
}  // namespace duet
