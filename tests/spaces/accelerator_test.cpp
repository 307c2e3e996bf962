#include "spaces/accelerator.hpp"

#include <functional>
#include <set>

#include <gtest/gtest.h>

namespace duet {
namespace {

Architecture small() {
  return read_architecture(Config::parse(R"(
name: small
clock: 500MHz
levels:
- {name: DRAM, word_bits: {weight: 8, input: 4, output: 2}}
- {name: pad, instances: {x: 2, y: 3}, capacity: 64B, bypass: input, constraints: {temporal: {C: 2}, order: [C]}}
compute: {instances: {x: 2, y: 3}}
)", "small.yaml"));
}

TEST(Accelerator, FingerprintCoversWhatCostsDependOn) {
  const Architecture base = small();
  Architecture renamed = base;
  renamed.name = "other";
  EXPECT_EQ(fingerprint(base), fingerprint(renamed));
  std::set<Fingerprint> seen{fingerprint(base), fingerprint(SystolicArray{}), fingerprint(SystolicArray{.rows = 31})};
  EXPECT_EQ(seen.size(), 3U);
  const std::vector<std::function<void(Architecture&)>> changes{
      [](Architecture& a) { a.clock_hz = 1e9; },
      [](Architecture& a) { a.levels[1].name = "spad"; },
      [](Architecture& a) { std::swap(a.levels[1].mesh_x, a.levels[1].mesh_y); },
      [](Architecture& a) { a.levels[1].capacity_bits.reset(); },
      [](Architecture& a) { a.levels[1].capacity_bits = 0; },
      [](Architecture& a) { a.levels[0].word_bits[0] = 16; },
      [](Architecture& a) { a.levels[0].block_bits = 64; },
      [](Architecture& a) { a.levels[0].read_bandwidth = 2; },
      [](Architecture& a) { a.levels[0].write_bandwidth = 2; },
      [](Architecture& a) { a.levels[0].shared_bandwidth = 2; },
      [](Architecture& a) { a.levels[1].multiple_buffering = 2; },
      [](Architecture& a) { a.levels[1].cluster = 2; },
      [](Architecture& a) { a.levels[1].policy[0] = StorageLevel::Policy::keep; },
      [](Architecture& a) { a.levels[1].multicast = false; },
      [](Architecture& a) { a.levels[1].reduction = false; },
      [](Architecture& a) { a.levels[1].energy.read_j = 1; },
      [](Architecture& a) { a.levels[1].energy.write_j = 1; },
      [](Architecture& a) { a.levels[1].energy.update_j = 1; },
      [](Architecture& a) { a.levels[1].energy.leak_j = 1; },
      [](Architecture& a) { a.levels[1].area_mm2 = 1; },
      [](Architecture& a) { a.levels[1].constraints.temporal_factors["C"] = 3; },
      [](Architecture& a) { a.levels[1].constraints.x_factors["C"] = 3; },
      [](Architecture& a) { a.levels[1].constraints.y_factors["C"] = 3; },
      [](Architecture& a) { a.levels[1].constraints.order = {"M"}; },
      [](Architecture& a) { a.levels[1].constraints.x_dimensions.emplace(); },
      [](Architecture& a) { a.levels[1].constraints.y_dimensions.emplace(); },
      [](Architecture& a) { a.levels[1].constraints.min_capacity_utilization = 0.5; },
      [](Architecture& a) { a.levels[1].constraints.min_fanout_utilization = 0.5; },
      [](Architecture& a) { a.compute.mesh_x = 4; },
      [](Architecture& a) { a.compute.energy_j = 1; },
      [](Architecture& a) { a.compute.area_mm2 = 1; },
      [](Architecture& a) { a.vector_unit.emplace(); },
      [](Architecture& a) { a.vector_unit = VectorUnit{.lanes = 2}; },
      [](Architecture& a) { a.vector_unit = VectorUnit{.energy_j = 1}; },
      [](Architecture& a) { a.vector_unit = VectorUnit{.area_mm2 = 1}; },
      [](Architecture& a) { a.levels.pop_back(); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    Architecture changed = base;
    changes[i](changed);
    EXPECT_NE(changed, base) << i;
    EXPECT_TRUE(seen.insert(fingerprint(changed)).second) << i;
  }
}

TEST(Accelerator, OperandsAreAsWideAsTheNarrowestWord) {
  EXPECT_EQ(operand_bits(SystolicArray{.word_bits = 12}), 12);
  EXPECT_EQ(operand_bits(small()), 4);  // the output's 2 bits do not count
  Architecture narrow = small();
  narrow.levels[1].word_bits = {3, 2, 8};
  EXPECT_EQ(operand_bits(narrow), 3);  // the pad bypasses the input
}

}  // namespace
}  // namespace duet
