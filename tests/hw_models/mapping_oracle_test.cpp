// The closed form against the oracle, on random workloads, architectures and mappings.

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "hw_models/cost_model.hpp"
#include "tests/hw_models/mapping_oracle.hpp"
#include "tests/hw_models/random_mapping.hpp"

namespace duet {
namespace {

struct Features {
  std::int64_t cases = 0, stride = 0, dilation = 0, halo = 0, bypass = 0, multicast = 0, reduction = 0, ragged = 0,
               diagonal = 0;  // rows of the output and of the kernel spread side by side, as row stationary does
};

/// Compares `count` cases from `first` on; the number of those that differ.
std::int64_t compare(std::uint64_t first, std::uint64_t count, Footprint footprint, Features& features) {
  std::int64_t different = 0;
  for (std::uint64_t index = first; index < first + count; ++index) {
    const testing::MappingCase c = testing::random_mapping_case(7, index);
    const CostModel model(c.einsum, c.architecture, {.footprint = footprint});
    const auto why = model.why_invalid(c.mapping);
    if (why) {
      ADD_FAILURE() << "case " << index << ": " << *why;
      return count;
    }
    const MappingCost cost = model.evaluate(c.mapping);
    const testing::OracleCounts oracle = testing::execute(c.einsum, c.architecture, c.mapping, footprint);
    std::vector<std::string> differences;
    const auto check = [&](const std::string& what, double have, std::int64_t want) {
      if (have != static_cast<double>(want)) differences.push_back(fmt::format("{}: {} instead of {}", what, have, want));
    };
    if (!oracle.consistent) differences.push_back("the oracle shared unequal transfers");
    check("macs", cost.macs, oracle.macs);
    check("cycles", cost.compute_cycles, oracle.cycles);
    for (std::size_t l = 0; l < cost.levels.size(); ++l) {
      check(fmt::format("instances of level {}", l), cost.levels[l].utilized_instances, oracle.instances[l]);
      std::int64_t reads = 0, writes = 0;
      for (std::size_t t = 0; t < tensor_count; ++t) {
        if (!c.mapping.levels[l].keep[t]) continue;
        const TensorTraffic& have = cost.levels[l].tensors[t];
        const testing::OracleTraffic& want = oracle.levels[l][t];
        const auto name = [&](const char* what) { return fmt::format("level {} {} {}", l, to_string(all_tensors[t]), what); };
        check(name("reads"), have.reads, want.reads);
        check(name("fills"), have.fills, want.fills);
        check(name("updates"), have.updates, want.updates);
        check(name("tile"), have.tile_words, want.tile_words);
        reads += want.busiest_reads;
        writes += want.busiest_fills + want.busiest_updates;
      }
      check(fmt::format("busy cycles of level {}", l), cost.levels[l].cycles, 2 * std::max(reads, writes));
    }
    if (model.quick(c.mapping).cycles != cost.cycles || model.quick(c.mapping).energy_j != cost.energy_j) {
      differences.push_back("quick() is not evaluate()");
    }
    if (!differences.empty() && ++different <= 3) {
      ADD_FAILURE() << "case " << index << (footprint == Footprint::box ? ", box\n" : ", distinct\n")
                    << fmt::format("{}\n", fmt::join(differences, "\n"))
                    << loop_nest(c.mapping, c.einsum, c.architecture) << "input strides "
                    << fmt::format("{}", c.einsum.tensor(Tensor::input).axes.back().front().coefficient);
    }
    // Stride and dilation count where the input has more than one place in that direction.
    bool stride = false, dilation = false, bypass = false, diagonal = false;
    for (const IndexExpression& axis : c.einsum.tensor(Tensor::input).axes) {
      if (axis.size() < 2) continue;
      stride = stride || (axis[0].coefficient > 1 && c.einsum.size(axis[0].dimension) > 1);
      dilation = dilation || (axis[1].coefficient > 1 && c.einsum.size(axis[1].dimension) > 1);
      for (std::size_t l = 0; l < c.mapping.level_count; ++l) {
        const LevelMapping& level = c.mapping.levels[l];
        const auto spread = [&](std::size_t term) {
          return level.x[axis[term].dimension] * level.y[axis[term].dimension] > 1;
        };
        diagonal = diagonal || (spread(0) && spread(1));
      }
    }
    for (std::size_t l = 0; l < c.mapping.level_count; ++l) {
      for (const bool keep : c.mapping.levels[l].keep) bypass = bypass || !keep;
    }
    ++features.cases;
    features.stride += stride;
    features.dilation += dilation;
    features.halo += oracle.halo;
    features.bypass += bypass;
    features.multicast += oracle.multicast;
    features.reduction += oracle.reduction;
    features.diagonal += diagonal;
    features.ragged += !is_perfect(c.mapping, c.einsum);
  }
  return different;
}

void expect_agreement(std::uint64_t first, std::uint64_t count) {
  Features features;
  for (const Footprint footprint : {Footprint::box, Footprint::distinct}) {
    EXPECT_EQ(compare(first, count, footprint, features), 0);
  }
  const auto share = [&](const char* name, std::int64_t cases) {
    const double percent = 100.0 * static_cast<double>(cases) / static_cast<double>(features.cases);
    ::testing::Test::RecordProperty(name, fmt::format("{:.1f}%", percent));
    EXPECT_GE(percent, 5) << "of the cases have " << name;
  };
  ::testing::Test::RecordProperty("cases", fmt::format("{}", features.cases));
  share("stride", features.stride);
  share("dilation", features.dilation);
  share("halo", features.halo);
  share("bypass", features.bypass);
  share("multicast", features.multicast);
  share("reduction", features.reduction);
  share("diagonal", features.diagonal);
  share("ragged", features.ragged);
}

TEST(MappingOracle, AgreesOnRandomCases) { expect_agreement(0, 1'000); }

TEST(SlowMappingOracle, AgreesOnTwentyThousandRandomCases) { expect_agreement(1'000, 20'000); }

}  // namespace
}  // namespace duet
