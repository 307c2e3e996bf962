#include "hw_models/cost_batch.hpp"

#include <algorithm>
#include <array>

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

bool same_structure(const Plan& plan, const Mapping& a, const Mapping& b) {
  if (a.level_count != b.level_count) return false;
  for (std::size_t l = 0; l < plan.levels; ++l) {
    if (a.levels[l].keep != b.levels[l].keep || a.levels[l].order != b.levels[l].order) return false;
  }
  return true;
}

/// Whether every level keeps what it must and may, its orders are permutations and its factors positive.
bool well_formed(const Plan& plan, const Mapping& mapping) {
  std::int64_t least = 1;
  bool good = mapping.level_count == plan.levels;
  for (std::size_t l = 0; good && l < plan.levels; ++l) {
    const LevelMapping& level = mapping.levels[l];
    std::uint32_t seen = 0;
    for (std::size_t d = 0; d < plan.dimensions; ++d) {
      least = std::min({least, level.temporal[d], level.x[d], level.y[d]});
      seen |= 1U << level.order[d];
    }
    good = seen == (1U << plan.dimensions) - 1;
    for (std::size_t t = 0; t < tensor_count; ++t) {
      good = good && (level.keep[t] ? plan.level[l].may_keep[t] : plan.level[l].may_bypass[t]);
    }
  }
  return good && least >= 1;
}

}  // namespace
}  // namespace kernel

void CostModel::quick(std::span<const Mapping> mappings, std::span<QuickCost> costs) const {
  static const kernel::BatchFunction batch = kernel::batch_function();
  std::array<bool, kernel::batch_size> to_be_checked;
  for (std::size_t begin = 0; begin < mappings.size();) {
    std::size_t end = begin;
    while (end < mappings.size() && end - begin < kernel::batch_size && kernel::well_formed(*plan_, mappings[end]) &&
           kernel::same_structure(*plan_, mappings[begin], mappings[end])) {
      ++end;
    }
    // A few are not worth a batch; a malformed one is refused one by one, as are the counts of Timeloop.
    if (end - begin < 2 || options_.as_timeloop) {
      costs[begin] = quick(mappings[begin]);
      ++begin;
      continue;
    }
    batch(*plan_, mappings.data() + begin, end - begin, costs.data() + begin, to_be_checked.data());
    for (std::size_t i = 0; i < end - begin; ++i) {
      if (to_be_checked[i]) costs[begin + i] = quick(mappings[begin + i]);
    }
    begin = end;
  }
}

}  // namespace duet
