// The cost model on cases worked out by hand, and what must hold for every mapping.

#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/random.hpp"
#include "hw_models/cost_batch.hpp"
#include "hw_models/cost_kernel.hpp"
#include "hw_models/cost_model.hpp"
#include "tests/hw_models/random_mapping.hpp"

namespace duet {
namespace {

Architecture two_levels(std::int64_t units) {
  Architecture a;
  a.clock_hz = 1e9;
  a.levels.resize(2);
  a.levels[0].name = "DRAM";
  a.levels[0].block_bits = 32;
  a.levels[0].energy = {100e-12, 200e-12, 200e-12, 0};
  a.levels[1].name = "buffer";
  a.levels[1].energy = {1e-12, 2e-12, 3e-12, 1e-15};
  a.levels[1].read_bandwidth = 2;
  a.compute.mesh_x = units;
  a.compute.energy_j = 10e-12;
  return a;
}

void expect_traffic(const MappingCost& cost, std::size_t level, Tensor tensor, double reads, double fills, double updates) {
  const TensorTraffic& traffic = cost.levels[level].tensor(tensor);
  EXPECT_EQ(traffic.reads, reads) << to_string(tensor) << " at level " << level;
  EXPECT_EQ(traffic.fills, fills) << to_string(tensor) << " at level " << level;
  EXPECT_EQ(traffic.updates, updates) << to_string(tensor) << " at level " << level;
}

TEST(CostModel, MatrixProductByHand) {
  // 4 × 6 by 6 × 2 on 2 multipliers that share the summed dimension. A tile: 1 row, 3 of the sum, 2 columns.
  const Einsum e = matrix_einsum(4, 2, 6);
  const Architecture a = two_levels(2);
  const Mapping m = read_mapping(Config::parse("DRAM: {temporal: {N: 4, C: 1, M: 1}, order: [C, N]}\n"
                                               "buffer: {temporal: {C: 3, M: 2}, x: {C: 2}, order: [C, M]}\n",
                                               "m"),
                                 e, a);
  const CostModel model(e, a);
  ASSERT_EQ(model.why_invalid(m), std::nullopt);
  const MappingCost cost = model.evaluate(m);
  EXPECT_EQ(cost.macs, 48);
  EXPECT_EQ(cost.compute_cycles, 24);
  // Weights come once; every row of inputs and outputs once.
  expect_traffic(cost, 0, Tensor::weight, 12, 0, 0);
  expect_traffic(cost, 1, Tensor::weight, 48, 12, 0);
  expect_traffic(cost, 0, Tensor::input, 24, 0, 0);
  expect_traffic(cost, 1, Tensor::input, 48, 24, 0);
  // The two products are added on their way: 24 sums arrive at the buffer, 8 of them first ones. DRAM gets 8 first ones.
  expect_traffic(cost, 1, Tensor::output, 16, 0, 24);
  expect_traffic(cost, 0, Tensor::output, 0, 0, 8);
  // The buffer's port: 48 + 48 + 16 reads of 2 words per cycle.
  EXPECT_EQ(cost.levels[1].cycles, 56);
  EXPECT_EQ(cost.cycles, 56);
  EXPECT_DOUBLE_EQ(cost.utilization, 48.0 / (2 * 56));
  // DRAM: 12 + 24 words read and 8 updated, 4 in a block. Buffer: 112 reads, 36 writes, 24 updates.
  EXPECT_DOUBLE_EQ(cost.levels[0].dynamic_energy_j, (3 + 6) * 100e-12 + 2 * 200e-12);
  EXPECT_DOUBLE_EQ(cost.levels[1].dynamic_energy_j, 112e-12 + 36 * 2e-12 + 24 * 3e-12);
  EXPECT_DOUBLE_EQ(cost.levels[1].leakage_energy_j, 56e-15);
  EXPECT_DOUBLE_EQ(cost.energy_j, 480e-12 + 1300e-12 + 256e-12 + 56e-15);
}

TEST(CostModel, TilesThatSlideFetchWhatIsNew) {
  // 6 outputs, a kernel of 3, stride 1: tiles of 2 outputs touch 4 inputs, and the next 2 of these again.
  ConvolutionShape shape;
  shape.output_h = 6;
  shape.kernel_h = 3;
  const Einsum e = convolution_einsum(shape);
  const Architecture a = two_levels(1);
  const auto inputs = [&](const char* text, Footprint footprint = Footprint::box, std::int64_t stride = 1) {
    Einsum strided = e;
    strided.tensors[1].axes[2][0].coefficient = stride;
    const CostModel model(strided, a, {.footprint = footprint});
    const Mapping m = read_mapping(Config::parse(text, "m"), strided, a);
    EXPECT_EQ(model.why_invalid(m), std::nullopt);
    return model.evaluate(m).levels[1].tensor(Tensor::input).fills;
  };
  EXPECT_EQ(inputs("DRAM: {temporal: {P: 3}}\nbuffer: {temporal: {P: 2, R: 3}}\n"), 4 + 2 + 2);
  EXPECT_EQ(inputs("DRAM: {temporal: {P: 2}}\nbuffer: {temporal: {P: 4, R: 3}}\n"), 6 + 2) << "ragged: 4 and 2 outputs";
  EXPECT_EQ(inputs("DRAM: {temporal: {P: 3, R: 3}, order: [R, P]}\nbuffer: {temporal: {P: 2}}\n"), 3 * 6)
      << "tiles of 2, three after one another in each of three rows of the kernel";
  EXPECT_EQ(inputs("DRAM: {temporal: {P: 3, R: 3}, order: [P, R]}\nbuffer: {temporal: {P: 2}}\n"), 3 * (2 + 1 + 1))
      << "the kernel's rows slide by one";
  // Stride 3: outputs 2 apart touch 6 inputs of a box of 6; stride 4 leaves a hole.
  EXPECT_EQ(inputs("DRAM: {temporal: {P: 3}}\nbuffer: {temporal: {P: 2, R: 3}}\n", Footprint::box, 4), 3 * 7);
  EXPECT_EQ(inputs("DRAM: {temporal: {P: 3}}\nbuffer: {temporal: {P: 2, R: 3}}\n", Footprint::distinct, 4), 3 * 6);
}

TEST(CostModel, WhatMustHoldForEveryMapping) {
  std::size_t passed_on = 0;
  for (std::uint64_t index = 0; index < 2'000; ++index) {
    SCOPED_TRACE(index);
    testing::MappingCase c = testing::random_mapping_case(11, index);
    for (StorageLevel& level : c.architecture.levels) level.energy = {1e-12, 2e-12, 3e-12, 1e-15};
    const CostModel model(c.einsum, c.architecture);
    const MappingCost cost = model.evaluate(c.mapping);
    // Computing takes at least as long as the units need, and nothing is negative.
    EXPECT_GE(cost.compute_cycles * static_cast<double>(c.architecture.compute.instances()), cost.macs);
    EXPECT_GE(cost.cycles, cost.compute_cycles);
    EXPECT_LE(cost.utilization, 1);
    double energy_j = cost.compute_energy_j;
    for (std::size_t l = 0; l < cost.levels.size(); ++l) {
      energy_j += cost.levels[l].dynamic_energy_j + cost.levels[l].leakage_energy_j;
      for (const TensorTraffic& traffic : cost.levels[l].tensors) {
        EXPECT_GE(traffic.reads, 0);
        EXPECT_GE(traffic.fills, 0);
        EXPECT_GE(traffic.updates, 0);
      }
    }
    EXPECT_NEAR(cost.energy_j, energy_j, 1e-12 * energy_j);
    // What comes in below went out above: exactly where nothing is shared, and never less where it is.
    Architecture lonely = c.architecture;
    for (StorageLevel& level : lonely.levels) level.multicast = level.reduction = false;
    const MappingCost alone = CostModel(c.einsum, lonely).evaluate(c.mapping);
    for (const Tensor tensor : all_tensors) {
      const auto t = static_cast<std::size_t>(tensor);
      std::size_t child = c.mapping.level_count;
      for (std::size_t l = c.mapping.level_count; l-- > 0;) {
        if (!c.mapping.levels[l].keep[t]) continue;
        const TensorTraffic &above = cost.levels[l].tensors[t], &above_alone = alone.levels[l].tensors[t];
        EXPECT_LE(above.reads, above_alone.reads);
        EXPECT_LE(above.updates, above_alone.updates);
        if (child == c.mapping.level_count) {
          EXPECT_EQ(tensor == Tensor::output ? above_alone.updates : above_alone.reads, cost.macs);
        } else if (tensor != Tensor::output) {
          EXPECT_EQ(above_alone.reads, alone.levels[child].tensors[t].fills);
          ++passed_on;
        }
        child = l;
      }
      // Everything is fetched at least once.
      if (tensor != Tensor::output) {
        const CostModel distinct(c.einsum, c.architecture, {.footprint = Footprint::distinct});
        double touched = 1;
        for (const IndexExpression& axis : c.einsum.tensor(tensor).axes) {
          std::set<std::int64_t> values;
          for (std::int64_t i = 0; i < c.einsum.size(axis[0].dimension); ++i) {
            for (std::int64_t j = 0; j < (axis.size() > 1 ? c.einsum.size(axis[1].dimension) : 1); ++j) {
              values.insert(i * axis[0].coefficient + (axis.size() > 1 ? j * axis[1].coefficient : 0));
            }
          }
          touched *= static_cast<double>(values.size());
        }
        EXPECT_GE(distinct.evaluate(c.mapping).levels[0].tensors[t].reads, touched);
      }
    }
    // More bandwidth and a larger buffer are never worse.
    for (std::size_t l = 0; l < c.architecture.levels.size(); ++l) {
      Architecture better = c.architecture;
      better.levels[l].read_bandwidth = 1;
      better.levels[l].write_bandwidth.reset();
      const MappingCost faster = CostModel(c.einsum, better).evaluate(c.mapping);
      EXPECT_LE(faster.cycles, cost.cycles);
      EXPECT_LE(faster.energy_j, cost.energy_j);
      double bits = 0;
      for (const TensorTraffic& traffic : cost.levels[l].tensors) bits += 8 * traffic.tile_words;
      Architecture tight = c.architecture;
      tight.levels[l].capacity_bits = static_cast<std::int64_t>(bits);
      EXPECT_EQ(CostModel(c.einsum, tight).why_invalid(c.mapping), std::nullopt);
      EXPECT_EQ(CostModel(c.einsum, tight).quick(c.mapping).energy_j, cost.energy_j);
      if (bits == 0) continue;
      tight.levels[l].capacity_bits = static_cast<std::int64_t>(bits) - 1;
      EXPECT_FALSE(CostModel(c.einsum, tight).quick(c.mapping).valid);
      EXPECT_NE(CostModel(c.einsum, tight).why_invalid(c.mapping), std::nullopt);
    }
  }
  EXPECT_GT(passed_on, 1'000U);
}

/// Moves factors of a mapping from level to level; its structure stays.
Mapping shuffled(Random& random, Mapping mapping, const Einsum& einsum) {
  for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) {
    const auto a = static_cast<std::size_t>(random.below(mapping.level_count));
    const auto b = static_cast<std::size_t>(random.below(mapping.level_count));
    std::swap(mapping.levels[a].temporal[d], mapping.levels[b].temporal[d]);
    if (random.chance(0.2)) std::swap(mapping.levels[a].x[d], mapping.levels[a].temporal[d]);
    if (random.chance(0.02)) mapping.levels[a].temporal[d] += 1;
  }
  return mapping;
}

TEST(CostModel, BatchesAreEqualToTheBit) {
  std::vector<std::pair<std::string, kernel::BatchFunction>> functions{{"baseline", kernel::batch_baseline}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) functions.emplace_back("avx2", kernel::batch_avx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) {
    functions.emplace_back("avx512", kernel::batch_avx512);
  }
#endif
  std::size_t valid = 0, invalid = 0;
  for (std::uint64_t index = 0; index < 1'500; ++index) {
    SCOPED_TRACE(index);
    Random random(5, "batch", index);
    testing::MappingCase c = testing::random_mapping_case(13, index);
    for (std::size_t l = 0; l < c.architecture.levels.size(); ++l) {
      StorageLevel& level = c.architecture.levels[l];
      level.energy = {1.5e-12, 2.25e-12, 3e-12, 1e-15};
      level.block_bits = 24;
      level.read_bandwidth = 3;
      if (l > 0 && random.chance(0.5)) level.capacity_bits = 8 * random.between(4, 200);
    }
    c.architecture.compute.energy_j = 0.7e-12;
    const CostOptions options{.footprint = index % 2 == 0 ? Footprint::box : Footprint::distinct};
    const CostModel model(c.einsum, c.architecture, options);
    std::vector<Mapping> mappings;
    for (std::size_t i = 0; i < 21; ++i) mappings.push_back(shuffled(random, c.mapping, c.einsum));
    std::vector<QuickCost> costs(mappings.size());
    model.quick(mappings, costs);
    for (std::size_t i = 0; i < mappings.size(); ++i) {
      const QuickCost one = model.quick(mappings[i]);
      EXPECT_EQ(one.valid, model.why_invalid(mappings[i]) == std::nullopt);
      ASSERT_EQ(costs[i].valid, one.valid);
      EXPECT_EQ(costs[i].cycles, one.cycles);
      EXPECT_EQ(costs[i].energy_j, one.energy_j);
      (one.valid ? valid : invalid) += 1;
    }
    const kernel::Plan plan = kernel::plan(c.einsum, c.architecture, options);
    std::array<QuickCost, 3> three;
    model.quick(MappingBatch(c.mapping), three);
    const QuickCost alone = model.quick(c.mapping);
    EXPECT_EQ(MappingBatch(c.mapping).mapping(7), c.mapping);
    for (const QuickCost& one : three) {
      ASSERT_EQ(one.valid, alone.valid);
      EXPECT_EQ(one.cycles, alone.cycles);
      EXPECT_EQ(one.energy_j, alone.energy_j);
    }
    for (const auto& [name, function] : functions) {
      SCOPED_TRACE(name);
      std::array<bool, kernel::batch_size> to_be_checked{};
      MappingBatch batch(mappings[0]);
      for (std::size_t i = 0; i < 5; ++i) {
        for (std::size_t l = 0; l < batch.level_count; ++l) {
          for (std::size_t d = 0; d < max_dimensions; ++d) {
            batch.levels[l].temporal[d][i] = static_cast<std::int32_t>(mappings[i].levels[l].temporal[d]);
            batch.levels[l].x[d][i] = static_cast<std::int32_t>(mappings[i].levels[l].x[d]);
            batch.levels[l].y[d][i] = static_cast<std::int32_t>(mappings[i].levels[l].y[d]);
          }
        }
      }
      function(plan, batch, 5, costs.data(), to_be_checked.data());
      for (std::size_t i = 0; i < 5; ++i) {
        bool out = false;  // factors where there can be none are no part of a batch
        for (std::size_t l = 0; l < batch.level_count; ++l) {
          const LevelMapping& level = mappings[i].levels[l];
          for (std::size_t d = 0; d < plan.dimensions; ++d) {
            out = out || (!plan.level[l].fans_out && level.x[d] * level.y[d] > 1);
            out = out || (c.einsum.size(d) == 1 && level.temporal[d] * level.x[d] * level.y[d] > 1);
          }
        }
        if (out) continue;
        if (to_be_checked[i]) continue;
        const QuickCost one = model.quick(mappings[i]);
        ASSERT_EQ(costs[i].valid, one.valid);
        EXPECT_EQ(costs[i].cycles, one.cycles);
        EXPECT_EQ(costs[i].energy_j, one.energy_j);
      }
    }
  }
  EXPECT_GT(valid, 5'000U);
  EXPECT_GT(invalid, 1'000U);
}

}  // namespace
}  // namespace duet
