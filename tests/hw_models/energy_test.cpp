#include "hw_models/energy.hpp"

#include <cmath>
#include <gtest/gtest.h>
#include <set>

namespace duet {
namespace {

TEST(EnergyConstants, EachHasASourceAUnitAndANode) {
  std::set<std::string_view> names;
  for (const PublishedConstant& constant : energy_area_constants()) {
    EXPECT_TRUE(names.insert(constant.name).second) << constant.name;
    EXPECT_GT(constant.value, 0.0) << constant.name;
    EXPECT_TRUE(constant.unit == "pJ" || constant.unit == "um^2" || constant.unit == "MAC") << constant.name;
    EXPECT_TRUE(constant.technology.find("nm") != std::string_view::npos || constant.technology.starts_with("DRAM"))
        << constant.name;
    EXPECT_GE(constant.year, 2010) << constant.name;
    EXPECT_FALSE(constant.source.empty()) << constant.name;
  }
  EXPECT_EQ(names.size(), 24u);
}

TEST(EnergyConstants, ScalingPassesThroughThePublishedPoints) {
  EXPECT_NEAR(multiplier_energy_j(8), 0.2e-12, 1e-24);
  EXPECT_NEAR(multiplier_energy_j(32), 3.1e-12, 1e-24);
  EXPECT_NEAR(adder_energy_j(8), 0.03e-12, 1e-24);
  EXPECT_NEAR(adder_energy_j(32), 0.1e-12, 1e-24);
  EXPECT_NEAR(multiplier_area_mm2(8), 282e-6, 1e-15);
  EXPECT_NEAR(multiplier_area_mm2(32), 3495e-6, 1e-15);
  EXPECT_NEAR(adder_area_mm2(8), 36e-6, 1e-15);
  EXPECT_NEAR(adder_area_mm2(32), 137e-6, 1e-15);
  EXPECT_NEAR(64 * sram_bit_energy_j(8 * 1024), 10e-12, 1e-23);
  EXPECT_NEAR(64 * sram_bit_energy_j(32 * 1024), 20e-12, 1e-23);
  EXPECT_NEAR(64 * sram_bit_energy_j(1024 * 1024), 100e-12, 1e-22);
  EXPECT_NEAR(sram_area_mm2(162 * 1024), 0.594786, 1e-12);
}

TEST(EnergyConstants, PublishedPointsThatWereNotUsedAreNear) {
  // Horowitz's and Dally's 16-bit adder: 0.05 pJ, 67 um^2.
  EXPECT_NEAR(adder_energy_j(16), 0.05e-12, 0.004e-12);
  EXPECT_NEAR(adder_area_mm2(16), 67e-6, 4e-6);
}

TEST(EnergyConstants, EverythingGrowsWithWidthAndSize) {
  for (std::int64_t bits = 1; bits < 64; ++bits) {
    EXPECT_GT(adder_energy_j(bits), 0.0);
    EXPECT_GT(multiplier_energy_j(bits), 0.0);
    EXPECT_GT(adder_area_mm2(bits), 0.0);
    EXPECT_LT(multiplier_energy_j(bits), multiplier_energy_j(bits + 1));
    EXPECT_LT(multiplier_area_mm2(bits), multiplier_area_mm2(bits + 1));
    EXPECT_LT(adder_energy_j(bits), adder_energy_j(bits + 1));
  }
  for (std::int64_t bytes = 64; bytes < (1 << 26); bytes *= 2) {
    EXPECT_LT(sram_bit_energy_j(bytes), sram_bit_energy_j(2 * bytes));
    EXPECT_LT(2 * sram_bit_energy_j(bytes), sram_bit_energy_j(8 * bytes) * 1.5);
  }
  EXPECT_NEAR(64 * sram_bit_energy_j(2 * 1024), 5e-12, 1e-23);  // square root below 32 KiB
}

TEST(Energy, ByHand) {
  SystolicArray a;
  a.rows = a.columns = 2;
  a.dataflow = Dataflow::weight_stationary;
  a.word_bits = 8;
  a.input_sram_bytes = 8 * 1024;
  a.weight_sram_bytes = 32 * 1024;
  a.output_sram_bytes = 1024 * 1024;
  const SystolicCost c = cost(matrix_product(4, 3, 5), a);
  const Energy e = energy(c, a);
  // 60 products; words in and out of the scratchpads: 20 + 40, 15 + 15, 24 + 36 + 12; on the channel 20 + 15
  // + 12.
  EXPECT_NEAR(e.mac_j, 60 * (0.2e-12 + 0.1e-12), 1e-20);
  EXPECT_NEAR(e.register_j, 60 * (8 + 32) * 8.999495e-15, 1e-20);
  EXPECT_NEAR(e.input_sram_j, 60 * 8 * 10e-12 / 64, 1e-20);
  EXPECT_NEAR(e.weight_sram_j, 30 * 8 * 20e-12 / 64, 1e-20);
  EXPECT_NEAR(e.output_sram_j, 72 * 8 * 100e-12 / 64, 1e-20);
  EXPECT_NEAR(e.dram_j, 47 * 8 * 1300e-12 / 64, 1e-18);
  EXPECT_DOUBLE_EQ(e.total_j(),
                   e.mac_j + e.register_j + e.input_sram_j + e.weight_sram_j + e.output_sram_j + e.dram_j);
  a.dataflow = Dataflow::output_stationary;
  EXPECT_NEAR(energy(c, a).register_j, 60 * (16 + 32) * 8.999495e-15, 1e-20);
}

TEST(Area, ByHand) {
  SystolicArray a;
  a.rows = 4;
  a.columns = 8;
  a.word_bits = 8;
  a.input_sram_bytes = 162 * 1024;
  a.weight_sram_bytes = 81 * 1024;
  a.output_sram_bytes = 324 * 1024;
  const Area area_of_a = area(a);
  EXPECT_NEAR(area_of_a.array_mm2, 32 * (282 + 137 + 48 * 5.981433) * 1e-6, 1e-12);
  EXPECT_NEAR(area_of_a.input_sram_mm2, 0.594786, 1e-12);
  EXPECT_NEAR(area_of_a.weight_sram_mm2, 0.297393, 1e-12);
  EXPECT_NEAR(area_of_a.output_sram_mm2, 1.189572, 1e-12);
  EXPECT_NEAR(area_of_a.total_mm2(), area_of_a.array_mm2 + 3.5 * 0.594786, 1e-12);
}

}  // namespace
}  // namespace duet
