/// Body of one instruction set's batch function. Included once by each of cost_batch_*.cpp after they have defined
/// DUET_BATCH, the name of their function: everything here is their own, so that the linker cannot take one set's code
/// for another's.

#include <cstdint>

#include "hw_models/cost_batch.hpp"
#include "hw_models/cost_kernel.hpp"

namespace duet::kernel {
namespace {

typedef double Lanes __attribute__((vector_size(batch_size * sizeof(double))));
typedef std::int64_t Bits __attribute__((vector_size(batch_size * sizeof(std::int64_t))));

/// Eight numbers.
struct Pack {
  Lanes v;
  Pack() = default;
  explicit Pack(double x) : v(Lanes{} + x) {}
  explicit Pack(const Lanes& x) : v(x) {}
};

struct Mask {
  Bits v;
  explicit Mask(bool x) : v(Bits{} - (x ? 1 : 0)) {}
  explicit Mask(const Bits& x) : v(x) {}
};

inline Pack operator+(const Pack& a, const Pack& b) { return Pack(a.v + b.v); }
inline Pack operator-(const Pack& a, const Pack& b) { return Pack(a.v - b.v); }
inline Pack operator*(const Pack& a, const Pack& b) { return Pack(a.v * b.v); }
inline Pack operator/(const Pack& a, const Pack& b) { return Pack(a.v / b.v); }
inline Pack operator+(const Pack& a, double b) { return Pack(a.v + b); }
inline Pack operator-(const Pack& a, double b) { return Pack(a.v - b); }
inline Pack operator*(const Pack& a, double b) { return Pack(a.v * b); }
inline Pack operator/(const Pack& a, double b) { return Pack(a.v / b); }
inline Pack operator/(double a, const Pack& b) { return Pack(a / b.v); }

inline Pack choose(const Mask& mask, const Pack& yes, const Pack& no) {
  return Pack(reinterpret_cast<Lanes>((reinterpret_cast<Bits>(yes.v) & mask.v) |
                                      (reinterpret_cast<Bits>(no.v) & ~mask.v)));
}
inline Mask greater(const Pack& a, const Pack& b) { return Mask(a.v > b.v); }
inline Mask either(const Mask& a, const Mask& b) { return Mask(a.v | b.v); }
inline bool all(const Mask& mask) {
  std::int64_t every = -1;
  for (std::size_t i = 0; i < batch_size; ++i) every &= mask.v[i];
  return every != 0;
}
inline Pack larger(const Pack& a, const Pack& b) { return choose(greater(a, b), a, b); }
inline Pack smaller(const Pack& a, const Pack& b) { return choose(greater(b, a), a, b); }
inline Pack round_up(const Pack& a) {
  const Pack whole(a.v + 0x1p52 - 0x1p52);
  return choose(greater(a, Pack(0x1p51)), a, choose(greater(a, whole), whole + 1.0, whole));
}
inline Pack sums(const Pack& I, const Pack& J, const Pack& a, const Pack& b) {
  Pack result = I * J;
  for (std::size_t i = 0; i < batch_size; ++i) {
    if (I.v[i] > 1 && J.v[i] > 1) result.v[i] = distinct_sums_of(I.v[i], J.v[i], a.v[i], b.v[i]);
  }
  return result;
}
inline Pack distinct_extent(const Axis& axis, const Pack& na, const Pack& nb) {
  return axis.two ? sums(na, nb, Pack(axis.coefficient_a), Pack(axis.coefficient_b)) : na;
}
inline Pack distinct_overlap(const Axis& axis, bool moves_a, const Pack& na, const Pack& nb, const Pack& next,
                             const Pack& step) {
  Pack result(0.0);
  if (!axis.two) return result;
  for (std::size_t i = 0; i < batch_size; ++i) {
    result.v[i] = moves_a ? shared_sums_of(na.v[i], step.v[i], next.v[i], nb.v[i], axis.coefficient_a, axis.coefficient_b)
                          : shared_sums_of(nb.v[i], step.v[i], next.v[i], na.v[i], axis.coefficient_b, axis.coefficient_a);
  }
  return result;
}
inline std::size_t is_loop(const Pack& count) {
  std::size_t any = 0;
  for (std::size_t i = 0; i < batch_size; ++i) any |= count.v[i] != 1.0 ? 1U : 0U;
  return any;
}

/// Mappings of equal structure; the last one fills the lanes that are left.
struct Group {
  const Mapping* lane[batch_size];
};
template <class S>
S temporal_factor(const Group& group, std::size_t l, std::size_t d) {
  S factor;
  for (std::size_t i = 0; i < batch_size; ++i) factor.v[i] = static_cast<double>(group.lane[i]->levels[l].temporal[d]);
  return factor;
}
template <class S>
S spatial_factor(const Group& group, std::size_t l, std::size_t d) {
  S factor;
  for (std::size_t i = 0; i < batch_size; ++i) {
    factor.v[i] = static_cast<double>(group.lane[i]->levels[l].x[d] * group.lane[i]->levels[l].y[d]);
  }
  return factor;
}
inline const Mapping& structure(const Group& group) { return *group.lane[0]; }

}  // namespace

template <>
struct ScalarTraits<Pack> {
  using Mask = kernel::Mask;
};

void DUET_BATCH(const Plan& plan, const Mapping* mappings, std::size_t count, QuickCost* costs, bool* to_be_checked) {
  Group group;
  for (std::size_t i = 0; i < batch_size; ++i) group.lane[i] = mappings + (i < count ? i : count - 1);
  Nest<Pack> nest;
  build(plan, group, nest);

  // Validity, as far as it depends on factors.
  Mask invalid(false), uneven(false);
  const Pack one(1.0);
  for (std::size_t d = 0; d < plan.dimensions; ++d) {
    invalid = either(invalid, greater(Pack(plan.size[d]), nest.tile[0][d]));
    uneven = either(uneven, greater(nest.tile[0][d], Pack(plan.size[d])));
  }
  for (std::size_t l = 0; l < plan.levels; ++l) {
    for (const bool along_x : {true, false}) {
      const double children = along_x ? plan.level[l].fanout_x : plan.level[l].fanout_y;
      for (std::size_t i = 0; i < count; ++i) {
        const LevelMapping& level = group.lane[i]->levels[l];
        std::int64_t used = 1;
        for (std::size_t d = 0; d < plan.dimensions; ++d) used *= along_x ? level.x[d] : level.y[d];
        if (static_cast<double>(used) > children) invalid.v[i] = -1;
      }
    }
    if (!plan.level[l].bounded_capacity) continue;
    Pack bits(0.0);
    for (std::size_t t = 0; t < tensor_count; ++t) {
      if (!structure(group).levels[l].keep[t]) continue;
      bits = bits + tile_words(plan, plan.tensors[t], nest.tile[l]) * plan.level[l].word_bits[t];
    }
    invalid = either(invalid, greater(bits, Pack(plan.level[l].capacity_bits)));
  }

  Counts<Pack> counts;
  Totals<Pack> totals;
  count_perfect(plan, group, nest, counts);
  price(plan, counts, false, totals);
  for (std::size_t i = 0; i < count; ++i) {
    to_be_checked[i] = uneven.v[i] != 0;
    const bool valid = invalid.v[i] == 0;
    costs[i] = {valid, valid ? totals.cycles.v[i] : 0, valid ? totals.energy_j.v[i] : 0};
  }
}

}  // namespace duet::kernel
