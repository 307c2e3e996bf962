// What Timeloop counts and the loop nest does not do: reuse that its extrapolation from two iterations of every loop finds
// or misses, and words that neighbours hand on (docs/hardware/loop_nest.md, "Timeloop").

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "hw_models/cost_kernel.hpp"

namespace duet::kernel {

double fetched_as_timeloop(const Plan& plan, const TensorShape& tensor, const Nest<double>& nest, std::size_t l,
                           double words) {
  double total = words;
  // The innermost loop that moves the tile: its axis, its step and what it fetches; how far the second iterations of all
  // loops since have moved the tile along that axis, and whether another axis has moved.
  bool moved = false, other_axes = false;
  std::size_t axis = 0;
  double first = 0, slide = words, reached = 0;
  for (std::size_t i = nest.above[l]; i < nest.count; ++i) {
    const NestLoop<double>& loop = nest.loops[i];
    if (loop.spatial) continue;
    const bool relevant = tensor.relevant[loop.dimension];
    if (!moved) {
      if (!relevant) continue;
      moved = true;
      axis = tensor.axis_of[loop.dimension];
      first = reached = loop.stride * tensor.coefficient[loop.dimension];
      slide = slide_words(plan, tensor, nest, l, words, loop);
      total += (loop.count - 1) * slide;
      continue;
    }
    // The jump from the second iteration of the loops inside to their first, and one step of this loop.
    double cost = words;
    if (relevant) {
      const double step = loop.stride * tensor.coefficient[loop.dimension];
      if (tensor.axis_of[loop.dimension] != axis) {
        other_axes = true;
      } else {
        if (!other_axes && step - reached == first) cost = slide;
        if (!other_axes && step == reached) cost = 0;
        reached += step;
      }
    }
    total += (loop.count - 1) * (total - words + cost);
  }
  return total;
}

namespace {

using Offset = std::array<double, max_dimensions>;  // by axis of the tensor

/// The children of one fan-out as Timeloop numbers them: x within y, the innermost loop fastest.
std::vector<Offset> children(const Plan& plan, const TensorShape& tensor, const Nest<double>& nest,
                             const LevelMapping& loops, std::size_t l) {
  std::vector<Offset> offsets(1, Offset{});
  std::array<double, max_dimensions> stride = nest.tile[l + 1];
  for (const bool along_x : {true, false}) {
    for (std::size_t i = plan.dimensions; i-- > 0;) {
      const std::size_t d = loops.spatial_order[i];
      const std::int64_t count = along_x ? loops.x[d] : loops.y[d];
      const std::size_t inner = offsets.size();
      for (std::int64_t k = 1; k < count; ++k) {
        for (std::size_t c = 0; c < inner; ++c) {
          Offset offset = offsets[c];
          if (tensor.relevant[d]) offset[tensor.axis_of[d]] += static_cast<double>(k) * stride[d] * tensor.coefficient[d];
          offsets.push_back(offset);
        }
      }
      stride[d] *= static_cast<double>(count);
    }
  }
  return offsets;
}

}  // namespace

NeighbourTraffic neighbour_traffic(const Plan& plan, const TensorShape& tensor, const Nest<double>& nest,
                                   const LevelMapping& loops, std::size_t l) {
  NeighbourTraffic result;
  bool possible = false;
  for (std::size_t i = 0; i < tensor.axis_count; ++i) {
    const Axis& axis = tensor.axes[i];
    possible = possible || (axis.two && (nest.spread[l][axis.a] > 1 || nest.spread[l][axis.b] > 1));
  }
  if (!nest.spreads[l] || !possible) return result;

  const std::vector<Offset> offsets = children(plan, tensor, nest, loops, l);
  const auto width = static_cast<std::size_t>(plan.level[l].fanout_x);  // of the grid, whatever part of it is used
  struct Split {
    double linked = 0, unlinked = 0, distinct = 0;  // children that a neighbour serves; the rest, and their tiles
  };
  /// Children of which a neighbour has just received what they want, if that lies `shift` away from it.
  const auto split = [&](const Offset& shift) {
    Split counts;
    std::set<Offset> tiles;
    for (std::size_t c = 0; c < offsets.size(); ++c) {
      const auto has = [&](std::size_t neighbour) {
        for (std::size_t i = 0; i < tensor.axis_count; ++i) {
          if (offsets[neighbour][i] - offsets[c][i] != shift[i]) return false;
        }
        return true;
      };
      const bool served = (c >= width && has(c - width)) || (c + width < offsets.size() && has(c + width)) ||
                          (c % width > 0 && has(c - 1)) ||
                          (c % width + 1 < width && c + 1 < offsets.size() && has(c + 1));
      if (served) {
        ++counts.linked;
      } else {
        ++counts.unlinked;
        tiles.insert(offsets[c]);
      }
    }
    counts.distinct = static_cast<double>(tiles.size());
    return counts;
  };
  const double all_distinct = static_cast<double>(std::set<Offset>(offsets.begin(), offsets.end()).size());

  struct Step {
    double count;
    std::size_t axis;
    double step;  // 0: does not move the tile
  };
  std::vector<Step> steps;
  for (std::size_t i = nest.above[l + 1]; i < nest.count; ++i) {
    const NestLoop<double>& loop = nest.loops[i];
    if (loop.spatial) continue;
    const bool relevant = tensor.relevant[loop.dimension];
    steps.push_back({loop.count, relevant ? tensor.axis_of[loop.dimension] : 0U,
                     relevant ? loop.stride * tensor.coefficient[loop.dimension] : 0.0});
  }
  if (steps.size() > 20) return result;  // more states than are worth it

  Offset size{};
  for (std::size_t i = 0; i < tensor.axis_count; ++i) {
    const Axis& axis = tensor.axes[i];
    size[i] = extent(axis, nest.tile[l + 1][axis.a], nest.tile[l + 1][axis.b], false);
  }
  const bool compute = l + 1 == plan.levels;  // a multiply-accumulate keeps nothing
  // Iterations 0 and 1 of every loop, the second one for all that follow.
  std::map<Offset, Split> known;
  bool any = false, moving = false;
  Offset position{}, last_move{}, last_low{}, last_size{};
  bool last_empty = true;
  double total = 0, with_links = 0, from_parent = 0, linked = 0;
  for (std::uint64_t state = 0; state < (std::uint64_t{1} << steps.size()); ++state) {
    double weight = 1;
    Offset here{};
    for (std::size_t j = 0; j < steps.size(); ++j) {
      if ((state >> j & 1U) == 0) continue;
      weight *= steps[j].count - 1;
      here[steps[j].axis] += steps[j].step;
    }
    Offset low = here, fetched_size = size, move{};
    bool empty = false;
    for (std::size_t i = 0; i < tensor.axis_count; ++i) move[i] = here[i] - position[i];
    if (any && !compute) {
      if (move == Offset{}) {
        empty = true;
      } else if (!moving || move == last_move) {
        // One axis at most: what both boxes share stays.
        std::size_t axes = 0, axis = 0;
        bool apart = false;
        for (std::size_t i = 0; i < tensor.axis_count; ++i) {
          if (move[i] == 0) continue;
          ++axes;
          axis = i;
          apart = apart || std::abs(move[i]) >= size[i];
        }
        if (axes == 1 && !apart) {
          fetched_size[axis] = std::abs(move[axis]);
          if (move[axis] > 0) low[axis] = here[axis] + size[axis] - move[axis];
        }
        moving = true;
        last_move = move;
      } else {
        moving = false;
      }
    }
    position = here;
    any = true;
    if (empty) {
      last_empty = true;
      continue;
    }
    double words = weight;
    for (std::size_t i = 0; i < tensor.axis_count; ++i) words *= fetched_size[i];
    total += words;
    if (!last_empty && fetched_size == last_size) {
      Offset shift{};
      for (std::size_t i = 0; i < tensor.axis_count; ++i) shift[i] = low[i] - last_low[i];
      auto found = known.find(shift);
      if (found == known.end()) found = known.emplace(shift, split(shift)).first;
      with_links += words * found->second.distinct;
      from_parent += words * found->second.unlinked;
      linked += words * found->second.linked;
    } else {
      with_links += words * all_distinct;
      from_parent += words * static_cast<double>(offsets.size());
    }
    last_empty = false;
    last_low = low;
    last_size = fetched_size;
  }
  if (with_links >= total * all_distinct) return result;
  result.used = true;
  result.parent_reads = with_links;
  result.from_parent = from_parent / static_cast<double>(offsets.size());
  result.linked = linked;
  result.delivered = static_cast<double>(offsets.size()) * with_links / from_parent;
  return result;
}

bool link(const Plan& plan, const Mapping& mapping, const Nest<double>& nest, Counts<double>& counts, std::size_t t,
          std::size_t l, double& wanted) {
  const NeighbourTraffic traffic = neighbour_traffic(plan, plan.tensors[t], nest, mapping.levels[l], l);
  if (!traffic.used) return false;
  if (l + 1 < plan.levels && mapping.levels[l + 1].keep[t]) {
    // Timeloop shares the words handed on out among the instances of the whole level, not of one parent.
    Traffic<double>& child = counts.average[l + 1][t];
    const double peers = traffic.linked / nest.instances[l + 1];
    child.reads += peers;
    child.fills += traffic.from_parent + peers - wanted;
    wanted = traffic.parent_reads;
  } else {
    wanted *= traffic.delivered;
  }
  return true;
}

std::optional<double> throttled_as_timeloop(const Plan::Level& level,
                                            const std::array<Traffic<double>, tensor_count>& traffic,
                                            const std::array<bool, tensor_count>& kept, double compute_cycles) {
  double reads = 0, writes = 0;
  for (std::size_t t = 0; t < tensor_count; ++t) {
    if (!kept[t]) continue;
    reads += std::round(traffic[t].reads) / compute_cycles;
    writes += (std::round(traffic[t].fills) + std::round(traffic[t].updates)) / compute_cycles;
  }
  double slowdown = 1;
  const auto narrow = [&](bool bounded, double bandwidth, double demand) {
    if (bounded && bandwidth < demand) slowdown = std::min(slowdown, bandwidth / demand);
  };
  narrow(level.bounded_read, level.read_bandwidth.value, reads);
  narrow(level.bounded_write, level.write_bandwidth.value, writes);
  narrow(level.bounded_shared, level.shared_bandwidth.value, reads + writes);
  if (slowdown == 1) return std::nullopt;
  return std::ceil(compute_cycles / slowdown);
}

}  // namespace duet::kernel
