#pragma once
/// What mappers are compared with: prime factors dealt out blindly, orders shuffled, the best kept.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/random.hpp"
#include "hw_models/mapper.hpp"

namespace duet::testing {

inline Mapping blind_mapping(Random& random, const CostModel& model) {
  const Einsum& einsum = model.einsum();
  const Architecture& architecture = model.architecture();
  Mapping mapping = trivial_mapping(einsum, architecture);
  std::vector<std::int64_t> left_x, left_y;
  for (std::size_t l = 0; l < mapping.level_count; ++l) {
    left_x.push_back(architecture.fanout_x(l));
    left_y.push_back(architecture.fanout_y(l));
    std::vector<std::uint8_t> order;
    for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) order.push_back(static_cast<std::uint8_t>(d));
    random.shuffle(order);
    std::copy(order.begin(), order.end(), mapping.levels[l].order.begin());
  }
  for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) {
    mapping.levels[0].temporal[d] = 1;
    std::int64_t rest = einsum.size(d);
    for (std::int64_t prime = 2; rest > 1; ++prime) {
      for (; rest % prime == 0; rest /= prime) {
        const auto l = static_cast<std::size_t>(random.below(mapping.level_count));
        LevelMapping& level = mapping.levels[l];
        if (left_x[l] >= prime && random.chance(0.7)) {
          level.x[d] *= prime;
          left_x[l] /= prime;
        } else if (left_y[l] >= prime && random.chance(0.7)) {
          level.y[d] *= prime;
          left_y[l] /= prime;
        } else {
          level.temporal[d] *= prime;
        }
      }
    }
  }
  return mapping;
}

/// The best of `evaluations` valid or invalid mappings; infinity if none is valid. Constraints are not looked at.
inline ObjectiveValue random_search(const CostModel& model, const Objective& objective, std::uint64_t evaluations,
                                    std::uint64_t seed) {
  Random random(seed, "random search");
  ObjectiveValue best;
  for (std::uint64_t i = 0; i < evaluations; ++i) {
    const QuickCost cost = model.quick(blind_mapping(random, model));
    if (!cost.valid) continue;
    best = std::min(best, value(objective, cost.cycles, cost.energy_j, model.architecture().clock_hz));
  }
  return best;
}

}  // namespace duet::testing
