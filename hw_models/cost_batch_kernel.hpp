/// Body of one instruction set's batch function. Included once by each of cost_batch_*.cpp after they have defined
/// DUET_BATCH, the name of their function: everything here is their own, so that the linker cannot take one set's code
/// for another's.

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#include "hw_models/cost_batch.hpp"
#include "hw_models/cost_kernel.hpp"

namespace duet::kernel {
namespace {

typedef double Lanes __attribute__((vector_size(batch_size * sizeof(double))));
typedef std::int64_t Bits __attribute__((vector_size(batch_size * sizeof(std::int64_t))));
typedef std::int32_t Integers __attribute__((vector_size(batch_size * sizeof(std::int32_t))));

/// Eight numbers.
struct Pack {
  Lanes v;
  Pack() = default;
  explicit Pack(double x) : v(Lanes{} + x) {}
  explicit Pack(const Lanes& x) : v(x) {}
};

// Comparisons. Compilers turn arithmetic on vectors into what the machine has, but not these.
#if defined(__AVX512F__)
struct Mask {
  __mmask8 v;
  explicit Mask(bool x) : v(x ? 0xff : 0) {}
  bool operator[](std::size_t i) const { return (v >> i & 1) != 0; }
};
inline Mask from_bits(__mmask8 v) {
  Mask mask(false);
  mask.v = v;
  return mask;
}
inline __m512d wide(const Pack& a) { return reinterpret_cast<__m512d>(a.v); }
inline Pack choose(const Mask& mask, const Pack& yes, const Pack& no) {
  return Pack(reinterpret_cast<Lanes>(_mm512_mask_blend_pd(mask.v, wide(no), wide(yes))));
}
inline Mask greater(const Pack& a, const Pack& b) { return from_bits(_mm512_cmp_pd_mask(wide(a), wide(b), _CMP_GT_OQ)); }
inline Mask either(const Mask& a, const Mask& b) { return from_bits(static_cast<__mmask8>(a.v | b.v)); }
inline bool all(const Mask& mask) { return mask.v == 0xff; }
inline std::size_t is_loop(const Pack& count) {
  return _mm512_cmp_pd_mask(wide(count), _mm512_set1_pd(1.0), _CMP_NEQ_UQ) != 0 ? 1 : 0;
}
#else
struct Mask {
  Bits v;
  explicit Mask(bool x) : v(Bits{} - (x ? 1 : 0)) {}
  explicit Mask(const Bits& x) : v(x) {}
  bool operator[](std::size_t i) const { return v[i] != 0; }
};
inline Pack choose(const Mask& mask, const Pack& yes, const Pack& no) {
  return Pack(reinterpret_cast<Lanes>((reinterpret_cast<Bits>(yes.v) & mask.v) |
                                      (reinterpret_cast<Bits>(no.v) & ~mask.v)));
}
inline Mask greater(const Pack& a, const Pack& b) { return Mask(a.v > b.v); }
inline Mask either(const Mask& a, const Mask& b) { return Mask(a.v | b.v); }
inline bool any(const Bits& bits) {
#if defined(__AVX2__)
  __m256d half[2];
  std::memcpy(half, &bits, sizeof half);
  return (_mm256_movemask_pd(half[0]) | _mm256_movemask_pd(half[1])) != 0;
#else
  std::int64_t some = 0;
  for (std::size_t i = 0; i < batch_size; ++i) some |= bits[i];
  return some != 0;
#endif
}
inline bool all(const Mask& mask) { return !any(~mask.v); }
inline std::size_t is_loop(const Pack& count) { return any(count.v != 1.0) ? 1 : 0; }
#endif

inline Pack from_integers(const std::int32_t* from) {
  Integers integers;
  std::memcpy(&integers, from, sizeof integers);
  return Pack(__builtin_convertvector(integers, Lanes));
}

inline Pack operator+(const Pack& a, const Pack& b) { return Pack(a.v + b.v); }
inline Pack operator-(const Pack& a, const Pack& b) { return Pack(a.v - b.v); }
inline Pack operator*(const Pack& a, const Pack& b) { return Pack(a.v * b.v); }
inline Pack operator/(const Pack& a, const Pack& b) { return Pack(a.v / b.v); }
inline Pack operator+(const Pack& a, double b) { return Pack(a.v + b); }
inline Pack operator-(const Pack& a, double b) { return Pack(a.v - b); }
inline Pack operator*(const Pack& a, double b) { return Pack(a.v * b); }
inline Pack operator/(const Pack& a, double b) { return Pack(a.v / b); }
inline Pack operator/(double a, const Pack& b) { return Pack(a / b.v); }

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

/// The batch as a source of factors, in this namespace.
struct Source {
  const MappingBatch& batch;
};
template <class S>
S temporal_factor(const Source& source, std::size_t l, std::size_t d) {
  return from_integers(source.batch.levels[l].temporal[d].data());
}
template <class S>
S spatial_factor(const Source& source, std::size_t l, std::size_t d) {
  return from_integers(source.batch.levels[l].x[d].data()) * from_integers(source.batch.levels[l].y[d].data());
}
inline const MappingBatch& structure(const Source& source) { return source.batch; }

}  // namespace

template <>
struct ScalarTraits<Pack> {
  using Mask = kernel::Mask;
};

// NOLINTNEXTLINE(misc-definitions-in-headers): this file is the body of one source, whose function this is
void DUET_BATCH(const Plan& plan, const MappingBatch& batch, std::size_t count, QuickCost* costs, bool* to_be_checked) {
  const Source source{batch};
  Nest<Pack> nest;
  Counts<Pack> counts;
  build(plan, source, nest);
  measure_tiles(plan, source, nest, counts);

  // Validity, as far as it depends on factors.
  Mask invalid(false), uneven(false);
  for (std::size_t i = 0; i < plan.live_count; ++i) {
    const std::size_t d = plan.live[i];
    invalid = either(invalid, greater(Pack(plan.size[d]), nest.tile[0][d]));
    uneven = either(uneven, greater(nest.tile[0][d], Pack(plan.size[d])));
  }
  for (std::size_t l = 0; l < plan.levels; ++l) {
    if (nest.spreads[l]) {
      Pack x(1.0), y(1.0);
      for (std::size_t i = 0; i < plan.live_count; ++i) {
        x = x * from_integers(batch.levels[l].x[plan.live[i]].data());
        y = y * from_integers(batch.levels[l].y[plan.live[i]].data());
      }
      invalid = either(invalid, greater(x, Pack(plan.level[l].fanout_x)));
      invalid = either(invalid, greater(y, Pack(plan.level[l].fanout_y)));
    }
    if (!plan.level[l].bounded_capacity) continue;
    invalid = either(invalid, greater(tile_bits(plan, counts, l, batch.levels[l].keep), Pack(plan.level[l].capacity_bits)));
  }

  Totals<Pack> totals;
  count_perfect(plan, source, nest, counts);
  price(plan, counts, false, totals);
  for (std::size_t i = 0; i < count; ++i) {
    to_be_checked[i] = uneven[i];
    const bool valid = !invalid[i];
    costs[i] = {valid, valid ? totals.cycles.v[i] : 0, valid ? totals.energy_j.v[i] : 0};
  }
}

}  // namespace duet::kernel
