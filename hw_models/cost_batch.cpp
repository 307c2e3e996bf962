#include "hw_models/cost_batch.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>

#include "hw_models/cost_kernel.hpp"

namespace duet {
namespace kernel {

BatchFunction batch_function() {
#ifdef DUET_BATCH_X86
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return batch_avx512;
  if (__builtin_cpu_supports("avx2")) return batch_avx2;
#endif
  return batch_baseline;
}

double distinct_sums_of(double I, double J, double a, double b) { return distinct_sums(I, J, a, b); }
double shared_sums_of(double I, double m, double K, double J, double a, double b) {
  return shared_sums(I, m, K, J, a, b);
}

namespace {

/// Whether every level keeps what it must and may, and its orders are permutations.
template <class Structure>
bool well_formed(const Plan& plan, const Structure& mapping) {
  if (mapping.level_count != plan.levels) return false;
  for (std::size_t l = 0; l < plan.levels; ++l) {
    std::uint32_t seen = 0;
    for (std::size_t d = 0; d < plan.dimensions; ++d) seen |= 1U << mapping.levels[l].order[d];
    if (seen != (1U << plan.dimensions) - 1) return false;
    for (std::size_t t = 0; t < tensor_count; ++t) {
      if (mapping.levels[l].keep[t] ? !plan.level[l].may_keep[t] : !plan.level[l].may_bypass[t]) return false;
    }
  }
  return true;
}

void take_structure(const Plan& plan, const Mapping& mapping, MappingBatch& batch) {
  batch.level_count = plan.levels;
  for (std::size_t l = 0; l < plan.levels; ++l) {
    batch.levels[l].order = mapping.levels[l].order;
    batch.levels[l].keep = mapping.levels[l].keep;
  }
}

/// Copies the factors into a lane. False if the mapping has another structure, or factors that are no part of a batch.
bool take_factors(const Plan& plan, const Mapping& mapping, MappingBatch& batch, std::size_t lane) {
  if (mapping.level_count != batch.level_count) return false;
  // All bits that a factor − 1 must not have.
  std::uint64_t wrong = 0;
  const auto narrow = [&](std::int64_t factor) {
    wrong |= static_cast<std::uint64_t>(factor - 1) >> 31;
    return static_cast<std::int32_t>(factor);
  };
  for (std::size_t l = 0; l < plan.levels; ++l) {
    const LevelMapping& from = mapping.levels[l];
    MappingBatch::Level& to = batch.levels[l];
    if (from.order != to.order || from.keep != to.keep) return false;
    const bool fans_out = plan.level[l].fans_out;
    for (std::size_t d = 0; d < plan.dimensions; ++d) {
      if (plan.size[d] == 1) {
        wrong |= static_cast<std::uint64_t>((from.temporal[d] - 1) | (from.x[d] - 1) | (from.y[d] - 1));
        continue;
      }
      to.temporal[d][lane] = narrow(from.temporal[d]);
      if (fans_out) {
        to.x[d][lane] = narrow(from.x[d]);
        to.y[d][lane] = narrow(from.y[d]);
      } else {
        wrong |= static_cast<std::uint64_t>((from.x[d] - 1) | (from.y[d] - 1));
      }
    }
  }
  return wrong == 0;
}

/// Lanes from `begin` on as copies of the first.
void fill_up(const Plan& plan, MappingBatch& batch, std::size_t begin) {
  if (begin == batch_size) return;
  const auto fill = [&](std::array<std::int32_t, batch_size>& lanes) {
    std::fill(lanes.begin() + static_cast<std::ptrdiff_t>(begin), lanes.end(), lanes[0]);
  };
  for (std::size_t l = 0; l < plan.levels; ++l) {
    for (std::size_t i = 0; i < plan.live_count; ++i) {
      MappingBatch::Level& level = batch.levels[l];
      fill(level.temporal[plan.live[i]]);
      if (!plan.level[l].fans_out) continue;
      fill(level.x[plan.live[i]]);
      fill(level.y[plan.live[i]]);
    }
  }
}

BatchFunction widest() {
  static const BatchFunction function = batch_function();
  return function;
}

}  // namespace
}  // namespace kernel

void CostModel::quick(const MappingBatch& batch, std::span<QuickCost> costs) const {
  assert(costs.size() <= MappingBatch::lanes);
  if (!kernel::well_formed(*plan_, batch)) {
    std::fill(costs.begin(), costs.end(), QuickCost{});
    return;
  }
  std::array<bool, kernel::batch_size> to_be_checked;
  to_be_checked.fill(options_.as_timeloop);
  if (!options_.as_timeloop) kernel::widest()(*plan_, batch, costs.size(), costs.data(), to_be_checked.data());
  for (std::size_t i = 0; i < costs.size(); ++i) {
    if (to_be_checked[i]) costs[i] = quick(batch.mapping(i));
  }
}

void CostModel::quick(std::span<const Mapping> mappings, std::span<QuickCost> costs) const {
  MappingBatch batch;
  std::array<bool, kernel::batch_size> to_be_checked;
  for (std::size_t begin = 0; begin < mappings.size();) {
    std::size_t count = 0;
    // What Timeloop counts is not made for vectors; a malformed mapping is refused one by one.
    if (!options_.as_timeloop && kernel::well_formed(*plan_, mappings[begin])) {
      kernel::take_structure(*plan_, mappings[begin], batch);
      while (count < kernel::batch_size && begin + count < mappings.size() &&
             kernel::take_factors(*plan_, mappings[begin + count], batch, count)) {
        ++count;
      }
    }
    // A few are not worth a batch.
    if (count < 2) {
      costs[begin] = quick(mappings[begin]);
      ++begin;
      continue;
    }
    kernel::fill_up(*plan_, batch, count);
    kernel::widest()(*plan_, batch, count, costs.data() + begin, to_be_checked.data());
    for (std::size_t i = 0; i < count; ++i) {
      if (to_be_checked[i]) costs[begin + i] = quick(mappings[begin + i]);
    }
    begin += count;
  }
}

}  // namespace duet
