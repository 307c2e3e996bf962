#include "hw_models/cost_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <utility>

#include "hw_models/cost_kernel.hpp"

namespace duet {
namespace kernel {

Plan plan(const Einsum& einsum, const Architecture& architecture, const CostOptions& options) {
  Plan plan;
  plan.levels = architecture.levels.size();
  plan.dimensions = einsum.dimensions.size();
  plan.distinct = options.footprint == Footprint::distinct;
  plan.as_timeloop = options.as_timeloop;
  plan.macs = static_cast<double>(einsum.macs());
  plan.output_words = static_cast<double>(einsum.box_words(Tensor::output));
  plan.clock_hz = architecture.clock_hz;
  plan.mac_energy_j = architecture.compute.energy_j;
  plan.mac_instances = static_cast<double>(architecture.compute.instances());
  for (std::size_t d = 0; d < plan.dimensions; ++d) {
    plan.size[d] = static_cast<double>(einsum.size(d));
    if (einsum.size(d) > 1) plan.live[plan.live_count++] = static_cast<std::uint8_t>(d);
  }
  for (std::size_t t = 0; t < tensor_count; ++t) {
    TensorShape& shape = plan.tensors[t];
    for (IndexExpression expression : einsum.tensors[t].axes) {
      // What has one index only neither moves nor widens a tile. Timeloop's neighbours look at it all the same.
      if (!options.as_timeloop) {
        std::erase_if(expression, [&](const IndexTerm& term) { return einsum.size(term.dimension) == 1; });
        if (expression.empty()) continue;
      }
      Axis axis;
      axis.a = axis.b = static_cast<std::uint8_t>(expression[0].dimension);
      axis.coefficient_a = static_cast<double>(expression[0].coefficient);
      if (expression.size() == 2) {
        axis.two = true;
        axis.b = static_cast<std::uint8_t>(expression[1].dimension);
        axis.coefficient_b = static_cast<double>(expression[1].coefficient);
      }
      axis.constant = 1 - axis.coefficient_a - axis.coefficient_b;
      for (const IndexTerm& term : expression) {
        shape.relevant[term.dimension] = true;
        shape.axis_of[term.dimension] = static_cast<std::uint8_t>(shape.axis_count);
        shape.coefficient[term.dimension] = static_cast<double>(term.coefficient);
      }
      shape.axes[shape.axis_count++] = axis;
    }
    shape.words = tile_words(plan, shape, plan.size);
  }
  for (std::size_t l = 0; l < plan.levels; ++l) {
    const StorageLevel& from = architecture.levels[l];
    Plan::Level& level = plan.level[l];
    level.capacity_bits = std::numeric_limits<double>::infinity();
    if (from.capacity_bits) {
      level.bounded_capacity = true;
      level.capacity_bits = std::floor(static_cast<double>(*from.capacity_bits) / from.multiple_buffering);
      level.min_capacity_bits = level.capacity_bits * from.constraints.min_capacity_utilization;
    }
    for (const Tensor tensor : all_tensors) {
      const auto t = static_cast<std::size_t>(tensor);
      level.word_bits[t] = static_cast<double>(from.word_bits[t]);
      level.block_words[t] = Divisor(static_cast<double>(from.block_words(tensor)));
    }
    const auto port = [](const std::optional<double>& bandwidth, Divisor& divisor) {
      if (!bandwidth || *bandwidth <= 0) return false;
      divisor = Divisor(*bandwidth);
      return true;
    };
    level.bounded_read = port(from.read_bandwidth, level.read_bandwidth);
    level.bounded_write = port(from.write_bandwidth, level.write_bandwidth);
    level.bounded_shared = port(from.shared_bandwidth, level.shared_bandwidth);
    level.bounded_ports = level.bounded_read || level.bounded_write || level.bounded_shared;
    level.read_j = from.energy.read_j;
    level.write_j = from.energy.write_j;
    level.update_j = from.energy.update_j;
    level.leak_j = from.energy.leak_j;
    const std::int64_t clusters = from.instances() / from.cluster;
    if (from.cluster > 1) level.clusters = static_cast<double>(clusters);
    level.fanout_x = static_cast<double>(architecture.fanout_x(l));
    level.fanout_y = static_cast<double>(architecture.fanout_y(l));
    level.fans_out = level.fanout_x > 1 || level.fanout_y > 1;
    level.min_children = level.fanout_x * level.fanout_y * from.constraints.min_fanout_utilization;
    level.multicast = from.multicast;
    level.reduction = from.reduction;
    for (std::size_t t = 0; t < tensor_count; ++t) {
      level.may_keep[t] = from.policy[t] != StorageLevel::Policy::bypass;
      level.may_bypass[t] = from.policy[t] != StorageLevel::Policy::keep && l > 0;
    }
  }
  return plan;
}

namespace {

// --- Ragged mappings. A dimension's tiles of one granularity are all full but the last, the *edge*. Sums over all
// iterations are carried outwards loop by loop for a full subtree and for the edge one; along an axis of two dimensions,
// for the four combinations.

/// Which iterations of a loop a sum takes: all, or the first alone.
enum class Take { all, first };

/// Indices of the last tile of `granularity`.
double edge(double size, double granularity) { return std::fmod(size - 1, granularity) + 1; }

/// Tiles of a loop's stride within the last tile of the loop.
double edge_count(const Plan& plan, const NestLoop<double>& loop) {
  return std::ceil(edge(plan.size[loop.dimension], loop.count * loop.stride) / loop.stride);
}

/// Iterations of all loops of a dimension above the tile of level `l`.
template <class Choice>
double count_iterations(const Plan& plan, const Nest<double>& nest, std::size_t l, std::size_t d, const Choice& take) {
  double full = 1, last = 1;
  for (std::size_t i = nest.above[l]; i < nest.count; ++i) {
    const NestLoop<double>& loop = nest.loops[i];
    if (loop.dimension != d) continue;
    const double inside = edge_count(plan, loop);
    if (take(i) == Take::first) {
      if (inside > 1) last = full;
    } else {
      last += (inside - 1) * full;
      full *= loop.count;
    }
  }
  return last;
}

/// Sum of a tile's words along one axis over all iterations of its dimensions' loops above level `l`. `slides`: the loop
/// whose steps fetch only what is new, or none (nest.count). `shares(level)`: whether equal tiles of a level's fan-out count
/// once.
template <class Choice, class Sharing>
double sum_words(const Plan& plan, const Nest<double>& nest, std::size_t l, const Axis& axis, std::size_t slides,
                 const Choice& take, const Sharing& shares) {
  using Square = std::array<std::array<double, 2>, 2>;  // [a full, edge][b full, edge]
  const std::array<double, 2> na{nest.tile[l][axis.a], edge(plan.size[axis.a], nest.tile[l][axis.a])};
  const std::array<double, 2> nb{axis.two ? nest.tile[l][axis.b] : 1,
                                 axis.two ? edge(plan.size[axis.b], nest.tile[l][axis.b]) : 1};
  Square whole{}, fresh{};
  for (std::size_t a = 0; a < 2; ++a) {
    for (std::size_t b = 0; b < 2; ++b) {
      whole[a][b] = fresh[a][b] = extent(axis, na[a], nb[b], plan.distinct);
      if (slides == nest.count) continue;
      const NestLoop<double>& loop = nest.loops[slides];
      // The tile before the edge is full along the moving dimension.
      if (loop.dimension == axis.a) {
        fresh[a][b] -= overlap(axis, true, na[0], nb[b], na[a], loop.stride, plan.distinct);
      } else if (axis.two && loop.dimension == axis.b) {
        fresh[a][b] -= overlap(axis, false, na[a], nb[0], nb[b], loop.stride, plan.distinct);
      }
    }
  }
  // `along` a: squares as they are; along b: transposed.
  const auto at = [](Square& square, bool a, std::size_t moving, std::size_t other) -> double& {
    return a ? square[moving][other] : square[other][moving];
  };
  for (std::size_t i = nest.above[l]; i < nest.count; ++i) {
    const NestLoop<double>& loop = nest.loops[i];
    const bool a = loop.dimension == axis.a;
    if (!a && !(axis.two && loop.dimension == axis.b)) continue;
    const double inside = edge_count(plan, loop);
    if (i == slides) {
      for (const std::size_t o : {0U, 1U}) {
        double& last = at(whole, a, 1, o);
        const double full = at(whole, a, 0, o), full_fresh = at(fresh, a, 0, o), last_fresh = at(fresh, a, 1, o);
        if (inside > 1) last = full + (inside - 2) * full_fresh + last_fresh;
        at(whole, a, 0, o) = full + (loop.count - 1) * full_fresh;
      }
      continue;
    }
    if (loop.spatial && axis.two && shares(loop.level) && nest.spread[loop.level][axis.a] > 1 &&
        nest.spread[loop.level][axis.b] > 1) {
      // Both at once, when the first of them comes.
      std::size_t j = i + 1;
      while (j < nest.count && !(nest.loops[j].spatial && nest.loops[j].level == loop.level &&
                                 nest.loops[j].dimension == (a ? axis.b : axis.a))) {
        ++j;
      }
      if (j == nest.count) continue;  // the second of them
      const NestLoop<double>& loop_a = a ? loop : nest.loops[j];
      const NestLoop<double>& loop_b = a ? nest.loops[j] : loop;
      const double A = loop_a.stride * axis.coefficient_a, B = loop_b.stride * axis.coefficient_b;
      const double I = loop_a.count, J = loop_b.count;
      const double edge_i = edge_count(plan, loop_a), edge_j = edge_count(plan, loop_b);
      // A cut tile equals no other one; an edge that is not cut is as good as full.
      const double cut_a = edge(plan.size[axis.a], loop_a.stride) < loop_a.stride ? 1 : 0;
      const double cut_b = edge(plan.size[axis.b], loop_b.stride) < loop_b.stride ? 1 : 0;
      for (Square* square : {&whole, &fresh}) {
        const Square v = *square;
        (*square)[0][0] = distinct_sums(I, J, A, B) * v[0][0];
        (*square)[1][0] = distinct_sums(edge_i - cut_a, J, A, B) * v[0][0] + cut_a * J * v[1][0];
        (*square)[0][1] = distinct_sums(I, edge_j - cut_b, A, B) * v[0][0] + cut_b * I * v[0][1];
        (*square)[1][1] = distinct_sums(edge_i - cut_a, edge_j - cut_b, A, B) * v[0][0] +
                          cut_a * (edge_j - cut_b) * v[1][0] + cut_b * (edge_i - cut_a) * v[0][1] +
                          cut_a * cut_b * v[1][1];
      }
      continue;
    }
    for (Square* square : {&whole, &fresh}) {
      for (const std::size_t o : {0U, 1U}) {
        double &full = at(*square, a, 0, o), &last = at(*square, a, 1, o);
        if (take(i) == Take::first) {
          if (inside > 1) last = full;
        } else {
          last += (inside - 1) * full;
          full *= loop.count;
        }
      }
    }
  }
  return whole[1][1];
}

/// Counts of any mapping.
void count_ragged(const Plan& plan, const Mapping& mapping, const Nest<double>& nest, Counts<double>& counts) {
  const std::size_t none = nest.count;
  const auto nothing_shared = [](std::size_t) { return false; };
  const auto spatial_only = [&](std::size_t i) { return nest.loops[i].spatial ? Take::all : Take::first; };
  const auto temporal_only = [&](std::size_t i) { return nest.loops[i].spatial ? Take::first : Take::all; };
  counts.cycles = 1;
  for (std::size_t d = 0; d < plan.dimensions; ++d) {
    counts.cycles *= count_iterations(plan, nest, plan.levels, d, temporal_only);
  }
  for (std::size_t l = 0; l < plan.levels; ++l) {
    counts.instances[l] = 1;
    for (std::size_t d = 0; d < plan.dimensions; ++d) {
      counts.instances[l] *= count_iterations(plan, nest, l, d, spatial_only);
    }
  }
  for (std::size_t t = 0; t < tensor_count; ++t) {
    const TensorShape& tensor = plan.tensors[t];
    const bool output = t == static_cast<std::size_t>(Tensor::output);

    /// Words that move across the top of the children's tiles at level `child` (plan.levels: the multiply-accumulates) as
    /// level `parent` sees them (its fan-out and those between may share), in all instances or in the first one.
    const auto moved = [&](std::size_t child, std::size_t parent, bool first_instance) {
      std::size_t slides = none;
      if (child < plan.levels) {
        for (slides = nest.above[child]; slides < none; ++slides) {
          if (!nest.loops[slides].spatial && tensor.relevant[nest.loops[slides].dimension]) break;
        }
      }
      const auto shares = [&](std::size_t level) {
        return level >= parent && (output ? plan.level[level].reduction : plan.level[level].multicast);
      };
      const auto take = [&](std::size_t i) {
        const NestLoop<double>& loop = nest.loops[i];
        const bool relevant = tensor.relevant[loop.dimension];
        if (loop.spatial) {
          if (loop.level >= parent) return shares(loop.level) && !relevant ? Take::first : Take::all;
          return first_instance ? Take::first : Take::all;
        }
        // While loops inside the first one that moves the tile run, nothing moves. A multiply-accumulate keeps nothing.
        return child < plan.levels && !relevant && i < slides ? Take::first : Take::all;
      };
      double words = 1;
      for (std::size_t i = 0; i < tensor.axis_count; ++i) {
        words *= sum_words(plan, nest, child, tensor.axes[i], slides, take, shares);
      }
      for (std::size_t d = 0; d < plan.dimensions; ++d) {
        if (!tensor.relevant[d]) words *= count_iterations(plan, nest, child, d, take);
      }
      return words;
    };
    /// Different words that the instances of a level (or the first one) ever hold, one instance's after another's.
    const auto own = [&](std::size_t l, bool first_instance) {
      const auto take = [&](std::size_t i) {
        const NestLoop<double>& loop = nest.loops[i];
        if (loop.spatial) return first_instance ? Take::first : Take::all;
        return tensor.relevant[loop.dimension] ? Take::all : Take::first;
      };
      double words = 1;
      for (std::size_t i = 0; i < tensor.axis_count; ++i) {
        words *= sum_words(plan, nest, l, tensor.axes[i], none, take, nothing_shared);
      }
      for (std::size_t d = 0; d < plan.dimensions; ++d) {
        if (!tensor.relevant[d]) words *= count_iterations(plan, nest, l, d, take);
      }
      return words;
    };

    std::size_t child = plan.levels;
    for (std::size_t l = plan.levels; l-- > 0;) {
      counts.kept[l][t] = mapping.levels[l].keep[t];
      if (!counts.kept[l][t]) continue;
      bool outermost = true;
      for (std::size_t o = 0; o < l; ++o) outermost = outermost && !mapping.levels[o].keep[t];
      std::array<double, max_dimensions> largest{};
      for (std::size_t d = 0; d < plan.dimensions; ++d) largest[d] = smaller(nest.tile[l][d], plan.size[d]);
      counts.words[l][t] = tile_words(plan, tensor, largest);
      for (const bool first_instance : {false, true}) {
        const double instances = first_instance ? 1 : counts.instances[l];
        Traffic<double>& traffic = first_instance ? counts.busiest[l][t] : counts.average[l][t];
        const double wanted = moved(child, l, first_instance);
        const double through = outermost ? 0 : moved(l, l, first_instance);
        if (output) {
          const double first_visits = own(l, first_instance);
          traffic.updates = wanted / instances;
          traffic.reads = (wanted - first_visits) / instances;
          traffic.fills = outermost ? 0 : (through - first_visits) / instances;
        } else {
          traffic.updates = 0;
          traffic.reads = wanted / instances;
          traffic.fills = through / instances;
        }
      }
      child = l;
    }
  }
}

/// What is wrong with a mapping.
struct Violation {
  enum class Kind { none, factor, order, short_of, wasted, width, height, policy, capacity } kind = Kind::none;
  std::size_t level = 0, index = 0;  ///< index: dimension or tensor
  double have = 0, want = 0;
};

/// What can be seen level by level.
Violation find_malformed(const Plan& plan, const Mapping& mapping) {
  using Kind = Violation::Kind;
  for (std::size_t l = 0; l < plan.levels; ++l) {
    const LevelMapping& level = mapping.levels[l];
    const Plan::Level& limits = plan.level[l];
    std::uint32_t seen = 0;
    std::int64_t x = 1, y = 1, least = 1;
    for (std::size_t d = 0; d < plan.dimensions; ++d) {
      least = std::min({least, level.temporal[d], level.x[d], level.y[d]});
      seen |= 1U << level.order[d];
      x *= level.x[d];
      y *= level.y[d];
    }
    if (least < 1) {
      std::size_t d = 0;
      while (std::min({level.temporal[d], level.x[d], level.y[d]}) >= 1) ++d;
      return {Kind::factor, l, d};
    }
    if (seen != (1U << plan.dimensions) - 1) return {Kind::order, l};
    if (static_cast<double>(x) > limits.fanout_x) return {Kind::width, l, 0, static_cast<double>(x), limits.fanout_x};
    if (static_cast<double>(y) > limits.fanout_y) return {Kind::height, l, 0, static_cast<double>(y), limits.fanout_y};
    for (std::size_t t = 0; t < tensor_count; ++t) {
      if (level.keep[t] ? !limits.may_keep[t] : !limits.may_bypass[t]) return {Kind::policy, l, t};
    }
  }
  return {};
}

/// Builds the nest of a mapping that is not malformed.
Violation find_violation(const Plan& plan, const Mapping& mapping, Nest<double>& nest, bool& perfect) {
  using Kind = Violation::Kind;
  build(plan, mapping, nest);
  perfect = true;
  for (std::size_t d = 0; d < plan.dimensions; ++d) {
    if (nest.tile[0][d] == plan.size[d]) continue;
    perfect = false;
    if (nest.tile[0][d] < plan.size[d]) return {Kind::short_of, 0, d, nest.tile[0][d], plan.size[d]};
  }
  if (!perfect) {
    for (std::size_t d = 0; d < plan.dimensions; ++d) {
      double stride = 1;
      for (std::size_t l = plan.levels; l-- > 0;) {
        const LevelMapping& level = mapping.levels[l];
        for (const std::int64_t factor : {level.x[d], level.y[d], level.temporal[d]}) {
          const auto count = static_cast<double>(factor);
          if ((count - 1) * stride >= plan.size[d] && count > 1) {
            return {Kind::wasted, l, d, count, std::ceil(plan.size[d] / stride)};
          }
          stride *= count;
        }
      }
    }
  }
  for (std::size_t l = 0; l < plan.levels; ++l) {
    if (!plan.level[l].bounded_capacity) continue;
    double bits = 0;
    std::array<double, max_dimensions> tile;
    for (std::size_t d = 0; d < plan.dimensions; ++d) tile[d] = smaller(nest.tile[l][d], plan.size[d]);
    for (std::size_t t = 0; t < tensor_count; ++t) {
      if (!mapping.levels[l].keep[t]) continue;
      bits += tile_words(plan, plan.tensors[t], tile) * plan.level[l].word_bits[t];
      if (bits > plan.level[l].capacity_bits) return {Kind::capacity, l, t, bits, plan.level[l].capacity_bits};
    }
  }
  return {};
}

}  // namespace
}  // namespace kernel

namespace {

std::string whole(double value) { return fmt::format("{:.0f}", value); }

}  // namespace

CostModel::CostModel(Einsum einsum, Architecture architecture, CostOptions options)
    : einsum_(std::move(einsum)), architecture_(std::move(architecture)), options_(options) {
  assert(!duet::why_invalid(einsum_) && !duet::why_invalid(architecture_));
  plan_ = std::make_shared<const kernel::Plan>(kernel::plan(einsum_, architecture_, options_));
}

std::optional<std::string> CostModel::why_invalid(const Mapping& mapping, bool constraints) const {
  using Kind = kernel::Violation::Kind;
  if (mapping.level_count != architecture_.levels.size()) {
    return fmt::format("the mapping has {} levels, the architecture {}", mapping.level_count,
                       architecture_.levels.size());
  }
  kernel::Nest<double> nest;
  bool perfect = true;
  kernel::Violation v = kernel::find_malformed(*plan_, mapping);
  if (v.kind == Kind::none) v = kernel::find_violation(*plan_, mapping, nest, perfect);
  const std::string& level = architecture_.levels[v.level].name;
  const auto dimension = [&] { return einsum_.dimensions[v.index].name; };
  switch (v.kind) {
    case Kind::none: break;
    case Kind::factor: return fmt::format("level '{}': a factor of {} is below 1", level, dimension());
    case Kind::order: return fmt::format("level '{}': the order of its loops is no permutation", level);
    case Kind::short_of:
      return fmt::format("the factors of {} multiply to {}, which does not cover its {}", dimension(), whole(v.have),
                         whole(v.want));
    case Kind::wasted:
      return fmt::format("level '{}': a loop over {} has {} iterations, and {} would cover the dimension", level, dimension(),
                         whole(v.have), whole(v.want));
    case Kind::width:
    case Kind::height:
      return fmt::format("level '{}': the loops along {} use {} children, and there are {}", level,
                         v.kind == Kind::width ? 'x' : 'y', whole(v.have), whole(v.want));
    case Kind::policy: {
      const bool keep = mapping.levels[v.level].keep[v.index];
      return fmt::format("level '{}' must {} the {}", level, keep ? "bypass" : "keep", to_string(all_tensors[v.index]));
    }
    case Kind::capacity: {
      // What does not fit any more is the last tensor added up.
      const double words = std::ceil((v.have - v.want) / plan_->level[v.level].word_bits[v.index]);
      return fmt::format("level '{}': with the tile of the {} it holds {} words too many ({} bits of {})", level,
                         to_string(all_tensors[v.index]), whole(words), whole(v.have), whole(v.want));
    }
  }
  if (options_.as_timeloop && !perfect) {
    return "counting as Timeloop does is defined for factors that divide their dimension only";
  }
  if (constraints) return why_unwanted(mapping);
  return std::nullopt;
}

std::optional<std::string> CostModel::why_unwanted(const Mapping& mapping) const {
  kernel::Nest<double> nest;
  kernel::build(*plan_, mapping, nest);
  for (std::size_t l = 0; l < architecture_.levels.size(); ++l) {
    const StorageLevel& level = architecture_.levels[l];
    const LevelConstraints& wanted = level.constraints;
    const LevelMapping& loops = mapping.levels[l];
    const auto fixed = [&](const std::map<std::string, std::int64_t>& factors, const auto& have,
                           std::string_view where) -> std::optional<std::string> {
      for (const auto& [name, factor] : factors) {
        const auto d = einsum_.find_dimension(name);
        if (!d) continue;
        const bool rest = factor == 0;
        // All that is left: nothing further out.
        double outside = 1;
        for (std::size_t o = 0; rest && o < l; ++o) {
          const LevelMapping& outer = mapping.levels[o];
          outside *= static_cast<double>(outer.temporal[*d] * outer.x[*d] * outer.y[*d]);
        }
        if (rest ? outside != 1 : have[*d] != factor && !(have[*d] < factor && einsum_.size(*d) < factor)) {
          return rest ? fmt::format("level '{}': all that is left of {} must be in its {} loops", level.name, name, where)
                      : fmt::format("level '{}': the {} factor of {} must be {}, not {}", level.name, where, name, factor,
                                    have[*d]);
        }
      }
      return std::nullopt;
    };
    if (auto why = fixed(wanted.temporal_factors, loops.temporal, "temporal")) return why;
    if (auto why = fixed(wanted.x_factors, loops.x, "x")) return why;
    if (auto why = fixed(wanted.y_factors, loops.y, "y")) return why;
    for (std::size_t d = 0; d < einsum_.dimensions.size(); ++d) {
      const std::string& name = einsum_.dimensions[d].name;
      const auto allowed = [&](const std::optional<std::vector<std::string>>& names) {
        return !names || std::find(names->begin(), names->end(), name) != names->end();
      };
      if (loops.x[d] > 1 && !allowed(wanted.x_dimensions)) {
        return fmt::format("level '{}': {} must not be spread along x", level.name, name);
      }
      if (loops.y[d] > 1 && !allowed(wanted.y_dimensions)) {
        return fmt::format("level '{}': {} must not be spread along y", level.name, name);
      }
    }
    // The wanted loops must be the innermost ones that do something, in their order.
    std::vector<std::size_t> inner;
    for (const std::string& name : wanted.order) {
      if (const auto d = einsum_.find_dimension(name); d && loops.temporal[*d] > 1) inner.push_back(*d);
    }
    std::vector<std::size_t> real;
    for (std::size_t i = 0; i < einsum_.dimensions.size(); ++i) {
      if (loops.temporal[loops.order[i]] > 1) real.push_back(loops.order[i]);
    }
    if (!std::equal(inner.rbegin(), inner.rend(), real.rbegin())) {
      return fmt::format("level '{}': its innermost loops must be {}, in this order", level.name,
                         fmt::join(wanted.order, ", "));
    }
    double children = 1;
    for (std::size_t d = 0; d < einsum_.dimensions.size(); ++d) {
      children *= static_cast<double>(loops.x[d] * loops.y[d]);
    }
    if (children < plan_->level[l].min_children) {
      return fmt::format("level '{}': it uses {} of its children, and at least {} are wanted", level.name, whole(children),
                         whole(std::ceil(plan_->level[l].min_children)));
    }
    if (plan_->level[l].min_capacity_bits > 0) {
      double bits = 0;
      std::array<double, max_dimensions> tile{};
      for (std::size_t d = 0; d < plan_->dimensions; ++d) tile[d] = kernel::smaller(nest.tile[l][d], plan_->size[d]);
      for (std::size_t t = 0; t < tensor_count; ++t) {
        if (loops.keep[t]) bits += kernel::tile_words(*plan_, plan_->tensors[t], tile) * plan_->level[l].word_bits[t];
      }
      if (bits < plan_->level[l].min_capacity_bits) {
        return fmt::format("level '{}': its tiles fill {} bits, and at least {} are wanted", level.name, whole(bits),
                           whole(std::ceil(plan_->level[l].min_capacity_bits)));
      }
    }
  }
  return std::nullopt;
}

MappingCost CostModel::evaluate(const Mapping& mapping) const {
  const kernel::Plan& plan = *plan_;
  kernel::Nest<double> nest;
  kernel::Counts<double> counts;
  kernel::Totals<double> totals;
  kernel::build(plan, mapping, nest);
  const bool perfect = is_perfect(mapping, einsum_);
  if (perfect) {
    kernel::measure_tiles(plan, mapping, nest, counts);
    kernel::count_perfect(plan, mapping, nest, counts);
  } else {
    kernel::count_ragged(plan, mapping, nest, counts);
  }
  kernel::price(plan, counts, !perfect, totals);

  MappingCost cost;
  cost.macs = plan.macs;
  cost.compute_cycles = counts.cycles;
  cost.cycles = totals.cycles;
  cost.utilization = plan.macs / (plan.mac_instances * totals.cycles);
  cost.compute_energy_j = totals.compute_energy_j;
  cost.energy_j = totals.energy_j;
  cost.latency_s = totals.cycles / plan.clock_hz;
  cost.area_mm2 = architecture_.total_area_mm2();
  cost.levels.resize(plan.levels);
  for (std::size_t l = 0; l < plan.levels; ++l) {
    LevelCost& level = cost.levels[l];
    level.utilized_instances = counts.instances[l];
    level.cycles = totals.level_cycles[l];
    level.leakage_energy_j = totals.leakage_j[l];
    for (std::size_t t = 0; t < tensor_count; ++t) {
      TensorTraffic& traffic = level.tensors[t];
      traffic.kept = counts.kept[l][t];
      if (!traffic.kept) continue;
      const kernel::Traffic<double>& one = counts.average[l][t];
      const double instances = counts.instances[l];
      traffic.tile_words = counts.words[l][t];
      traffic.reads = std::round(one.reads * instances);
      traffic.fills = std::round(one.fills * instances);
      traffic.updates = std::round(one.updates * instances);
      traffic.energy_j = totals.tensor_energy_j[l][t];
      level.dynamic_energy_j += traffic.energy_j;
    }
  }
  return cost;
}

QuickCost CostModel::quick(const Mapping& mapping) const {
  const kernel::Plan& plan = *plan_;
  if (mapping.level_count != plan.levels) return {};
  if (kernel::find_malformed(plan, mapping).kind != kernel::Violation::Kind::none) return {};
  kernel::Nest<double> nest;
  kernel::Counts<double> counts;
  kernel::Totals<double> totals;
  bool perfect = true;
  kernel::build(plan, mapping, nest);
  for (std::size_t d = 0; d < plan.dimensions; ++d) perfect = perfect && nest.tile[0][d] == plan.size[d];
  if (perfect) {
    kernel::measure_tiles(plan, mapping, nest, counts);
    for (std::size_t l = 0; l < plan.levels; ++l) {
      if (!plan.level[l].bounded_capacity) continue;
      if (kernel::tile_bits(plan, counts, l, mapping.levels[l].keep) > plan.level[l].capacity_bits) return {};
    }
    kernel::count_perfect(plan, mapping, nest, counts);
  } else {
    if (options_.as_timeloop || kernel::find_violation(plan, mapping, nest, perfect).kind != kernel::Violation::Kind::none) {
      return {};
    }
    kernel::count_ragged(plan, mapping, nest, counts);
  }
  kernel::price(plan, counts, !perfect, totals);
  return {true, totals.cycles, totals.energy_j};
}

}  // namespace duet
