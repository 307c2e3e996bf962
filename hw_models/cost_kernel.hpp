#pragma once
/// The closed form behind CostModel, as a template over the scalar: `double`, a pack of mappings with the same loops, or
/// a number that carries derivatives. Internal to hw_models; the definition is docs/hardware/loop_nest.md.

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <type_traits>

#include "hw_models/cost_model.hpp"

namespace duet::kernel {

// --- What a scalar must be able to do beyond + − · ÷; overloads for other scalars stand beside them and are found by
// their argument.
static inline double larger(double a, double b) { return a > b ? a : b; }
static inline double smaller(double a, double b) { return a < b ? a : b; }
/// std::ceil for 0 ≤ a, without a call where the instruction set has none: adding 2^52 rounds to whole numbers.
static inline double round_up(double a) {
  const double whole = a + 0x1p52 - 0x1p52;
  return a >= 0x1p51 ? std::ceil(a) : whole < a ? whole + 1 : whole;
}
static inline bool greater(double a, double b) { return a > b; }
static inline bool either(bool a, bool b) { return a || b; }
static inline bool all(bool a) { return a; }
static inline double choose(bool condition, double yes, double no) { return condition ? yes : no; }
template <class S>
struct ScalarTraits;
template <>
struct ScalarTraits<double> {
  using Mask = bool;
};

/// What to divide by; by a power of two it is a multiplication, and exactly the same.
struct Divisor {
  double value = 1, inverse = 1;
  bool exact = true;
  Divisor() = default;
  explicit Divisor(double by) : value(by), inverse(1 / by) {
    int exponent = 0;
    exact = by > 0 && std::frexp(by, &exponent) == 0.5;
  }
};
template <class S>
S operator/(const S& a, const Divisor& by) {
  return by.exact ? a * by.inverse : a / by.value;
}

/// An axis of a tensor: index(a)·coefficient(a) + index(b)·coefficient(b); without a second term `b` is `a` with
/// coefficient 0.
struct Axis {
  std::uint8_t a = 0, b = 0;
  bool two = false;
  double coefficient_a = 1, coefficient_b = 0;
  double constant = 0;  ///< a bounding box has na · coefficient_a + nb · coefficient_b + constant words
};

struct TensorShape {
  std::array<Axis, max_dimensions> axes;
  std::size_t axis_count = 0;
  std::array<bool, max_dimensions> relevant{};
  std::array<std::uint8_t, max_dimensions> axis_of{};   ///< of a relevant dimension
  std::array<double, max_dimensions> coefficient{};     ///< of a relevant dimension
  double words = 0;                                     ///< of the whole tensor
};

/// What the kernel needs of an einsum and an architecture, flat.
struct Plan {
  std::size_t levels = 0, dimensions = 0;
  std::array<double, max_dimensions> size{};
  /// Dimensions of more than one index, the only ones that can have loops.
  std::array<std::uint8_t, max_dimensions> live{};
  std::size_t live_count = 0;
  std::array<TensorShape, tensor_count> tensors;
  bool distinct = false;
  bool as_timeloop = false;
  double macs = 0, output_words = 0, clock_hz = 1;

  struct Level {
    double capacity_bits = 0;  ///< for tiles; infinity: unbounded
    double min_capacity_bits = 0;
    std::array<double, tensor_count> word_bits{};
    std::array<Divisor, tensor_count> block_words{};
    Divisor read_bandwidth, write_bandwidth, shared_bandwidth;
    bool bounded_read = false, bounded_write = false, bounded_shared = false;  ///< words per cycle
    bool bounded_ports = false, bounded_capacity = false, fans_out = false;
    double read_j = 0, write_j = 0, update_j = 0, leak_j = 0;
    double clusters = 0;  ///< that share accesses; 0: every instance has its own
    double fanout_x = 1, fanout_y = 1, min_children = 0;
    bool multicast = true, reduction = true;
    std::array<bool, tensor_count> may_keep{}, may_bypass{};
  };
  std::array<Level, max_levels> level;
  double mac_energy_j = 0, mac_instances = 1;
};

Plan plan(const Einsum& einsum, const Architecture& architecture, const CostOptions& options);

/// Distinct values of a·i + b·j for 0 ≤ i < I, 0 ≤ j < J and whole a, b ≥ 1. With a = g·a', b = g·b' and a', b' coprime,
/// (i, j) and (i + b', j − a') give the same value; every value is counted at its last such point.
static inline double distinct_sums(double I, double J, double a, double b) {
  if (I <= 1 || J <= 1) return I * J;
  const auto g = static_cast<double>(std::gcd(static_cast<std::int64_t>(a), static_cast<std::int64_t>(b)));
  const double i_rest = I - b / g, j_rest = J - a / g;
  return i_rest > 0 && j_rest > 0 ? I * J - i_rest * j_rest : I * J;
}

/// Values that {a·i + b·j : 0 ≤ i < I} and {a·i + b·j : m ≤ i < m + K} share, 0 ≤ j < J in both, m ≥ I. A value of the
/// second set is taken at its smallest i; it is in the first set if going back k ≥ 1 steps (i − k·b', j + k·a') ends there.
static inline double shared_sums(double I, double m, double K, double J, double a, double b) {
  const auto g = static_cast<double>(std::gcd(static_cast<std::int64_t>(a), static_cast<std::int64_t>(b)));
  const double b_step = b / g, a_step = a / g;
  double count = 0;
  const double end = m + (K < b_step ? K : b_step);
  for (double i = m; i < end; ++i) {
    const double k = std::ceil((i - I + 1) / b_step);
    if (i - k * b_step < 0) continue;
    const double rows = J - k * a_step;
    if (rows > 0) count += rows;
  }
  return count;
}

static inline double sums(double I, double J, double a, double b) { return distinct_sums(I, J, a, b); }
static inline double distinct_extent(const Axis& axis, double na, double nb) {
  return axis.two ? distinct_sums(na, nb, axis.coefficient_a, axis.coefficient_b) : na;
}
static inline double distinct_overlap(const Axis& axis, bool moves_a, double na, double nb, double next, double step) {
  if (!axis.two) return 0;
  return moves_a ? shared_sums(na, step, next, nb, axis.coefficient_a, axis.coefficient_b)
                 : shared_sums(nb, step, next, na, axis.coefficient_b, axis.coefficient_a);
}

/// Words along one axis of a tile with `na` and `nb` indices of its two dimensions.
template <class S>
S extent(const Axis& axis, const S& na, const S& nb, bool distinct) {
  if (distinct) return distinct_extent(axis, na, nb);
  const S along_a = na * axis.coefficient_a + axis.constant;
  return axis.two ? along_a + nb * axis.coefficient_b : along_a;
}

/// Words that a tile of `na` × `nb` indices shares along this axis with the tile of `next` indices in the moving
/// dimension that stands `step` indices further. `moves_a`: which dimension moves.
template <class S>
S overlap(const Axis& axis, bool moves_a, const S& na, const S& nb, const S& next, const S& step, bool distinct) {
  if (distinct) return distinct_overlap(axis, moves_a, na, nb, next, step);
  // The old box ends at `old`, the new one begins at `shift`.
  const S old = extent(axis, na, nb, false);
  const S shift = step * (moves_a ? axis.coefficient_a : axis.coefficient_b);
  const S fresh = moves_a ? extent(axis, next, nb, false) : extent(axis, na, next, false);
  return larger(S(0.0), smaller(old - shift, fresh));
}

/// One loop of the nest that does something.
template <class S>
struct NestLoop {
  std::uint8_t level, dimension;
  bool spatial;
  S count, stride;  ///< iterations; indices of the dimension from one iteration to the next
};

/// The whole nest, innermost loop first, with the tiles at every level.
template <class S>
struct Nest {
  static constexpr std::size_t most = max_levels * max_dimensions * 2 + 1;
  std::array<NestLoop<S>, most> loops;  ///< for scalars other than double those in time alone
  std::size_t count;
  /// Loops above the tile of level l begin at above[l]; above[levels] = 0 is the single multiply-accumulate.
  std::array<std::size_t, max_levels + 1> above;
  /// The same for loops in time alone, by their place in `loops`, and the product of their counts from each on.
  std::array<std::uint8_t, most> temporal;
  std::array<S, most> product_from;
  std::size_t temporal_count;
  std::array<std::size_t, max_levels + 1> temporal_above;
  std::array<std::array<S, max_dimensions>, max_levels + 1> tile;
  std::array<std::array<S, max_dimensions>, max_levels> spread;  ///< x · y per dimension of a level's fan-out
  std::array<S, max_levels + 1> instances;                       ///< used: product of all fan-outs above
  std::array<bool, max_levels> spreads;                          ///< whether a level has a spatial loop at all
  S cycles;
};

// --- Where a scalar's factors come from: one mapping here; other scalars have sources of their own.
template <class S, class Factor>
S temporal_factor(const BasicMapping<Factor>& mapping, std::size_t l, std::size_t d) {
  if constexpr (std::is_same_v<S, Factor>) {
    return mapping.levels[l].temporal[d];
  } else {
    return S(static_cast<double>(mapping.levels[l].temporal[d]));
  }
}
template <class S, class Factor>
S spatial_factor(const BasicMapping<Factor>& mapping, std::size_t l, std::size_t d) {
  if constexpr (std::is_same_v<S, Factor>) {
    return mapping.levels[l].x[d] * mapping.levels[l].y[d];
  } else {
    return S(static_cast<double>(mapping.levels[l].x[d] * mapping.levels[l].y[d]));
  }
}
/// The mapping whose loop orders and kept tensors count.
template <class Factor>
const BasicMapping<Factor>& structure(const BasicMapping<Factor>& mapping) {
  return mapping;
}

/// Loops that do nothing are written down and overwritten by the next: cheaper than a branch that nobody can predict.
static inline std::size_t is_loop(double count) { return count != 1.0 ? 1 : 0; }

template <class S, class Source>
void build(const Plan& plan, const Source& source, Nest<S>& nest) {
  constexpr bool single = std::is_same_v<S, double>;
  // One mapping at a time, dimensions without loops cost less than the branches around them.
  const std::size_t dimensions = single ? plan.dimensions : plan.live_count;
  const auto dimension = [&](std::size_t i) { return single ? i : plan.live[i]; };
  std::array<S, max_dimensions> tile;
  for (std::size_t d = 0; d < plan.dimensions; ++d) tile[d] = S(1.0);
  std::size_t count = 0, temporal_count = 0;
  nest.above[plan.levels] = nest.temporal_above[plan.levels] = 0;
  nest.tile[plan.levels] = tile;
  for (std::size_t l = plan.levels; l-- > 0;) {
    const auto& order = structure(source).levels[l].order;
    std::size_t spreads = 0;
    if (plan.level[l].fans_out) {
      for (std::size_t i = 0; i < dimensions; ++i) {
        const std::size_t d = dimension(i);
        const S spread = spatial_factor<S>(source, l, d);
        const std::size_t step = is_loop(spread);
        nest.spread[l][d] = spread;
        if constexpr (single) {
          nest.loops[count] = {static_cast<std::uint8_t>(l), static_cast<std::uint8_t>(d), true, spread, tile[d]};
          count += step;
        }
        spreads += step;
        tile[d] = tile[d] * spread;
      }
    }
    nest.spreads[l] = spreads > 0;
    for (std::size_t i = plan.dimensions; i-- > 0;) {
      const std::uint8_t d = order[i];
      if (!single && plan.size[d] == 1) continue;
      const S factor = temporal_factor<S>(source, l, d);
      nest.loops[count] = {static_cast<std::uint8_t>(l), d, false, factor, tile[d]};
      nest.temporal[temporal_count] = static_cast<std::uint8_t>(count);
      const std::size_t step = is_loop(factor);
      count += step;
      temporal_count += step;
      tile[d] = tile[d] * factor;
    }
    nest.above[l] = count;
    nest.temporal_above[l] = temporal_count;
    for (std::size_t i = 0; i < dimensions; ++i) nest.tile[l][dimension(i)] = tile[dimension(i)];
  }
  nest.count = count;
  nest.temporal_count = temporal_count;
  S product = S(1.0);
  nest.product_from[temporal_count] = product;
  for (std::size_t i = temporal_count; i-- > 0;) {
    product = product * nest.loops[nest.temporal[i]].count;
    nest.product_from[i] = product;
  }
  nest.cycles = product;
  nest.instances[0] = S(1.0);
  for (std::size_t l = 0; l < plan.levels; ++l) {
    nest.instances[l + 1] = nest.instances[l];
    if (!nest.spreads[l]) continue;
    for (std::size_t i = 0; i < plan.live_count; ++i) {
      nest.instances[l + 1] = nest.instances[l + 1] * nest.spread[l][plan.live[i]];
    }
  }
}

template <class S>
S tile_words(const Plan& plan, const TensorShape& tensor, const std::array<S, max_dimensions>& tile) {
  S words = S(1.0);
  for (std::size_t i = 0; i < tensor.axis_count; ++i) {
    const Axis& axis = tensor.axes[i];
    words = words * extent(axis, tile[axis.a], tile[axis.b], plan.distinct);
  }
  return words;
}

/// What a step of `loop` along `axis` leaves to fetch of a tile of `words`, if the tile slides.
template <class S>
S slide_words(const Plan& plan, const TensorShape& tensor, const Nest<S>& nest, std::size_t l, const S& words,
              const NestLoop<S>& loop) {
  const Axis& axis = tensor.axes[tensor.axis_of[loop.dimension]];
  if (!axis.two) return words;
  const S &na = nest.tile[l][axis.a], &nb = nest.tile[l][axis.b];
  const bool moves_a = axis.a == loop.dimension;
  const S shared = overlap(axis, moves_a, na, nb, moves_a ? na : nb, loop.stride, plan.distinct);
  return words - words / extent(axis, na, nb, plan.distinct) * shared;
}

/// Words that come into one instance's tile at level `l` over the whole run (docs: "What a step fetches"). \pre perfect
template <class S>
S fetched(const Plan& plan, const TensorShape& tensor, const Nest<S>& nest, std::size_t l, const S& words) {
  S total = words;
  typename ScalarTraits<S>::Mask moved(false);
  for (std::size_t i = nest.temporal_above[l]; i < nest.temporal_count; ++i) {
    const NestLoop<S>& loop = nest.loops[nest.temporal[i]];
    if (!tensor.relevant[loop.dimension]) continue;
    // The innermost loop that moves the tile: its first tile comes whole, the others slide; and all of it again for every
    // iteration of the loops outside. Along an axis of one term nothing slides.
    const S all_of_it =
        tensor.axes[tensor.axis_of[loop.dimension]].two
            ? (words + (loop.count - 1.0) * slide_words(plan, tensor, nest, l, words, loop)) * nest.product_from[i + 1]
            : words * nest.product_from[i];
    if constexpr (std::is_same_v<typename ScalarTraits<S>::Mask, bool>) {
      return all_of_it;  // a loop has more than one iteration
    } else {
      total = choose(moved, total, all_of_it);
      moved = either(moved, greater(loop.count, S(1.0)));
      if (all(moved)) return total;
    }
  }
  return choose(moved, total, words);
}

/// The same as Timeloop extrapolates it (docs: "Timeloop's extrapolation").
double fetched_as_timeloop(const Plan& plan, const TensorShape& tensor, const Nest<double>& nest, std::size_t l,
                           double words);

/// Words that children of a level's fan-out take from neighbours instead of from above, as Timeloop counts them.
struct NeighbourTraffic {
  bool used = false;
  double parent_reads = 0;  ///< of the one parent, for all its children
  double from_parent = 0;   ///< into one child, on average
  double linked = 0;        ///< between all children of the parent
  double delivered = 0;     ///< tiles per tile that a child takes from the parent
};
NeighbourTraffic neighbour_traffic(const Plan& plan, const TensorShape& tensor, const Nest<double>& nest,
                                   const LevelMapping& loops, std::size_t l);

/// Tiles of a tensor that a level's fan-out delivers at a time: children that want the same one count once where the
/// network shares.
template <class S>
S delivered(const Plan& plan, const TensorShape& tensor, const Nest<S>& nest, std::size_t l, bool shares) {
  S count = S(1.0);
  if (!nest.spreads[l]) return count;
  if (!shares) {
    for (std::size_t i = 0; i < plan.live_count; ++i) count = count * nest.spread[l][plan.live[i]];
    return count;
  }
  for (std::size_t i = 0; i < tensor.axis_count; ++i) {
    const Axis& axis = tensor.axes[i];
    if (!axis.two) {
      count = count * nest.spread[l][axis.a];
    } else {
      count = count * sums(nest.spread[l][axis.a], nest.spread[l][axis.b], nest.tile[l + 1][axis.a] * axis.coefficient_a,
                           nest.tile[l + 1][axis.b] * axis.coefficient_b);
    }
  }
  return count;
}

/// Traffic of one tensor at one level: the average instance (its energy) and the busiest (its time). In perfect mappings
/// all instances are alike.
template <class S>
struct Traffic {
  S reads, fills, updates;
};

template <class S>
struct Counts {
  std::array<std::array<Traffic<S>, tensor_count>, max_levels> average, busiest;
  std::array<std::array<S, tensor_count>, max_levels> words;  ///< of the largest tile
  std::array<std::array<bool, tensor_count>, max_levels> kept;
  std::array<S, max_levels> instances;  ///< used
  S cycles;                             ///< of computing
};

/// Puts down what neighbours below level `l` hand on, if they do, and what the level itself has to deliver.
bool link(const Plan& plan, const Mapping& mapping, const Nest<double>& nest, Counts<double>& counts, std::size_t t,
          std::size_t l, double& wanted);

/// Puts down the words of every kept tile of a perfect mapping.
template <class S, class Source>
void measure_tiles(const Plan& plan, const Source& source, const Nest<S>& nest, Counts<S>& counts) {
  for (std::size_t l = 0; l < plan.levels; ++l) {
    const auto& keep = structure(source).levels[l].keep;
    for (std::size_t t = 0; t < tensor_count; ++t) {
      if (!keep[t]) continue;
      counts.words[l][t] = l == 0 ? S(plan.tensors[t].words) : tile_words(plan, plan.tensors[t], nest.tile[l]);
    }
  }
}

/// What a level's tiles occupy.
template <class S, class Keep>
S tile_bits(const Plan& plan, const Counts<S>& counts, std::size_t l, const Keep& keep) {
  S bits = S(0.0);
  for (std::size_t t = 0; t < tensor_count; ++t) {
    if (keep[t]) bits = bits + counts.words[l][t] * plan.level[l].word_bits[t];
  }
  return bits;
}

/// Counts of a perfect mapping whose tiles have been measured.
template <class S, class Source>
void count_perfect(const Plan& plan, const Source& source, const Nest<S>& nest, Counts<S>& counts) {
  const auto& mapping = structure(source);
  counts.cycles = nest.cycles;
  for (std::size_t l = 0; l < plan.levels; ++l) counts.instances[l] = nest.instances[l];
  for (std::size_t t = 0; t < tensor_count; ++t) {
    const TensorShape& tensor = plan.tensors[t];
    const bool output = t == static_cast<std::size_t>(Tensor::output);
    S wanted = nest.cycles;  // words that one child wants over the whole run
    for (std::size_t l = plan.levels; l-- > 0;) {
      const Plan::Level& level = plan.level[l];
      bool linked = false;
      if constexpr (std::is_same_v<S, double>) linked = plan.as_timeloop && link(plan, mapping, nest, counts, t, l, wanted);
      if (!linked) wanted = wanted * delivered(plan, tensor, nest, l, output ? level.reduction : level.multicast);
      counts.kept[l][t] = mapping.levels[l].keep[t];
      if (!mapping.levels[l].keep[t]) continue;
      const bool outermost = l == 0;  // which keeps everything
      const S& words = counts.words[l][t];
      S through;
      if constexpr (std::is_same_v<S, double>) {
        through = plan.as_timeloop ? fetched_as_timeloop(plan, tensor, nest, l, words)
                                   : fetched(plan, tensor, nest, l, words);
      } else {
        through = fetched(plan, tensor, nest, l, words);
      }
      Traffic<S>& traffic = counts.average[l][t];
      if (output) {
        // The first visit of a word needs nothing from above, and its first update nothing to be added to.
        S parts = S(1.0);
        bool whole = true;
        for (std::size_t o = 0; o < l; ++o) {
          if (!nest.spreads[o]) continue;
          whole = false;
          for (std::size_t i = 0; i < tensor.axis_count; ++i) parts = parts * nest.spread[o][tensor.axes[i].a];
        }
        const S own = whole ? S(plan.output_words) : plan.output_words / parts;
        traffic.updates = wanted;
        traffic.reads = wanted - own;
        traffic.fills = outermost ? S(0.0) : through - own;
      } else {
        traffic.updates = S(0.0);
        traffic.reads = wanted;
        traffic.fills = outermost ? S(0.0) : through;
      }
      wanted = through;
    }
  }
}

template <class S>
struct Totals {
  std::array<std::array<S, tensor_count>, max_levels> tensor_energy_j;
  std::array<S, max_levels> level_cycles, leakage_j;
  S cycles, energy_j, compute_energy_j;
};

/// Accesses that move `words`. What a perfect mapping moves is whole; `whole`: it has not to be rounded.
template <class S>
S accesses(const S& words, const Divisor& block, bool whole) {
  return whole && block.value == 1 ? words : round_up(words / block);
}

/// Cycles of a level whose ports are too narrow, in Timeloop's order of rounding: demands per cycle of computing, the factor
/// by which the narrowest port slows that down, and the product. A whole number of cycles often comes out one higher.
/// Nothing where no port is too narrow.
std::optional<double> throttled_as_timeloop(const Plan::Level& level,
                                            const std::array<Traffic<double>, tensor_count>& traffic,
                                            const std::array<bool, tensor_count>& kept, double compute_cycles);

/// Time and energy of counts. `busiest` may be the same as the average.
template <class S>
void price(const Plan& plan, const Counts<S>& counts, bool uneven, Totals<S>& totals) {
  const bool whole = !uneven && !plan.as_timeloop;
  totals.cycles = counts.cycles;
  totals.compute_energy_j = S(plan.macs * plan.mac_energy_j);
  totals.energy_j = totals.compute_energy_j;
  for (std::size_t l = 0; l < plan.levels; ++l) {
    const Plan::Level& level = plan.level[l];
    totals.level_cycles[l] = S(0.0);
    if (!level.bounded_ports) continue;
    S reads = S(0.0), writes = S(0.0);
    for (std::size_t t = 0; t < tensor_count; ++t) {
      if (!counts.kept[l][t]) continue;
      const Traffic<S>& traffic = uneven ? counts.busiest[l][t] : counts.average[l][t];
      reads = reads + traffic.reads;
      writes = t == static_cast<std::size_t>(Tensor::output) ? writes + traffic.fills + traffic.updates
                                                             : writes + traffic.fills;
    }
    S busy = S(0.0);
    if (level.bounded_read) busy = larger(busy, reads / level.read_bandwidth);
    if (level.bounded_write) busy = larger(busy, writes / level.write_bandwidth);
    if (level.bounded_shared) busy = larger(busy, (reads + writes) / level.shared_bandwidth);
    totals.level_cycles[l] = round_up(busy);
    if constexpr (std::is_same_v<S, double>) {
      if (plan.as_timeloop && !uneven) {
        totals.level_cycles[l] = throttled_as_timeloop(level, counts.average[l], counts.kept[l], counts.cycles)
                                     .value_or(totals.level_cycles[l]);
      }
    }
    totals.cycles = larger(totals.cycles, totals.level_cycles[l]);
  }
  for (std::size_t l = 0; l < plan.levels; ++l) {
    const Plan::Level& level = plan.level[l];
    for (std::size_t t = 0; t < tensor_count; ++t) {
      if (!counts.kept[l][t]) continue;
      const Traffic<S>& traffic = counts.average[l][t];
      const Divisor& block = level.block_words[t];
      S energy = accesses(traffic.reads, block, whole) * level.read_j;
      if (l > 0) energy = energy + accesses(traffic.fills, block, whole) * level.write_j;
      if (t == static_cast<std::size_t>(Tensor::output)) {
        energy = energy + accesses(traffic.updates, block, whole) * level.update_j;
      }
      energy = energy * (level.clusters > 0 ? smaller(counts.instances[l], S(level.clusters)) : counts.instances[l]);
      totals.tensor_energy_j[l][t] = energy;
      totals.energy_j = totals.energy_j + energy;
    }
    totals.leakage_j[l] = S(0.0);
    if (level.leak_j == 0) continue;
    totals.leakage_j[l] = totals.cycles * counts.instances[l] * level.leak_j;
    totals.energy_j = totals.energy_j + totals.leakage_j[l];
  }
}

}  // namespace duet::kernel
