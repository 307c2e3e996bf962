#include "tests/hw_models/mapping_oracle.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

namespace duet::testing {
namespace {

using Indices = std::vector<std::int64_t>;

enum class Kind { temporal, x, y };

struct Loop {
  std::size_t level;
  Kind kind;
  std::size_t dimension;
  std::int64_t count, stride;
};

/// The whole nest, outermost loop first, loops of one iteration left out.
std::vector<Loop> nest_of(const Einsum& einsum, const Mapping& mapping) {
  std::vector<Loop> loops;
  const auto add = [&](std::size_t level, Kind kind, std::size_t d, std::int64_t count) {
    if (count > 1) loops.push_back({level, kind, d, count, 0});
  };
  for (std::size_t l = 0; l < mapping.level_count; ++l) {
    const LevelMapping& level = mapping.levels[l];
    for (std::size_t i = 0; i < einsum.dimensions.size(); ++i) {
      add(l, Kind::temporal, level.order[i], level.temporal[level.order[i]]);
    }
    for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) {
      add(l, Kind::y, d, level.y[d]);
      add(l, Kind::x, d, level.x[d]);
    }
  }
  Indices extent(einsum.dimensions.size(), 1);
  for (auto loop = loops.rbegin(); loop != loops.rend(); ++loop) {
    loop->stride = extent[loop->dimension];
    extent[loop->dimension] *= loop->count;
  }
  return loops;
}

/// A tile: first index and number of indices in every dimension.
struct Tile {
  Indices low, size;
  bool empty = false;
};

/// Every tuple of loop counters, the last one fastest.
template <class Visit>
void for_each(const Indices& counts, const Visit& visit) {
  Indices digits(counts.size(), 0);
  while (true) {
    visit(digits);
    std::size_t i = counts.size();
    while (i > 0 && ++digits[i - 1] == counts[i - 1]) digits[--i] = 0;
    if (i == 0) return;
  }
}

class Execution {
 public:
  Execution(const Einsum& einsum, const Architecture& architecture, const Mapping& mapping, Footprint footprint)
      : einsum_(einsum), architecture_(architecture), mapping_(mapping), footprint_(footprint),
        nest_(nest_of(einsum, mapping)) {}

  OracleCounts run() {
    const std::size_t levels = architecture_.levels.size();
    counts_.levels.resize(levels);
    for (std::size_t l = 0; l < levels; ++l) counts_.instances.push_back(instances(l));
    count_operations();
    for (std::size_t t = 0; t < tensor_count; ++t) {
      std::size_t child = levels;
      for (std::size_t l = levels; l-- > 0;) {
        if (!mapping_.levels[l].keep[t]) continue;
        transfer(t, child, l);
        child = l;
      }
      measure_outermost(t, child);
    }
    return counts_;
  }

 private:
  /// Loops above the tile of a level.
  std::vector<Loop> above(std::size_t level) const {
    std::vector<Loop> loops;
    for (const Loop& loop : nest_) {
      if (loop.level < level) loops.push_back(loop);
    }
    return loops;
  }

  /// Indices of the full tile of a level.
  Indices full_tile(std::size_t level) const {
    Indices size(einsum_.dimensions.size(), 1);
    for (const Loop& loop : nest_) {
      if (loop.level >= level) size[loop.dimension] *= loop.count;
    }
    return size;
  }

  /// The tile of a level where the loops above it stand at `digits`, cut off at the edges of the problem.
  Tile tile_at(const std::vector<Loop>& loops, const Indices& digits, std::size_t level) const {
    Tile tile{Indices(einsum_.dimensions.size(), 0), full_tile(level)};
    for (std::size_t i = 0; i < loops.size(); ++i) {
      if (loops[i].level < level) tile.low[loops[i].dimension] += digits[i] * loops[i].stride;
    }
    for (std::size_t d = 0; d < tile.low.size(); ++d) {
      tile.size[d] = std::min(tile.size[d], einsum_.size(d) - tile.low[d]);
      tile.empty = tile.empty || tile.size[d] <= 0;
    }
    return tile;
  }

  bool relevant(std::size_t t, std::size_t d) const {
    for (const IndexExpression& axis : einsum_.tensors[t].axes) {
      for (const IndexTerm& term : axis) {
        if (term.dimension == d) return true;
      }
    }
    return false;
  }

  /// The elements of a tensor that a tile touches, or their bounding box.
  std::vector<Indices> elements(std::size_t t, const Tile& tile) const {
    Indices counts = tile.size;
    for (std::size_t d = 0; d < counts.size(); ++d) {
      if (!relevant(t, d)) counts[d] = 1;
    }
    std::set<Indices> touched;
    for_each(counts, [&](const Indices& point) {
      Indices element;
      for (const IndexExpression& axis : einsum_.tensors[t].axes) {
        std::int64_t index = 0;
        for (const IndexTerm& term : axis) index += term.coefficient * (tile.low[term.dimension] + point[term.dimension]);
        element.push_back(index);
      }
      touched.insert(element);
    });
    if (footprint_ == Footprint::distinct) return {touched.begin(), touched.end()};
    Indices low = *touched.begin(), high = low;
    for (const Indices& element : touched) {
      for (std::size_t i = 0; i < element.size(); ++i) {
        low[i] = std::min(low[i], element[i]);
        high[i] = std::max(high[i], element[i]);
      }
    }
    Indices size;
    for (std::size_t i = 0; i < low.size(); ++i) size.push_back(high[i] - low[i] + 1);
    std::vector<Indices> box;
    for_each(size, [&](const Indices& offset) {
      Indices element = low;
      for (std::size_t i = 0; i < element.size(); ++i) element[i] += offset[i];
      box.push_back(element);
    });
    return box;
  }

  static Indices counts_of(const std::vector<Loop>& loops) {
    Indices counts;
    for (const Loop& loop : loops) counts.push_back(loop.count);
    return counts;
  }

  /// Counters of the spatial loops of the levels before `level`: who somebody is.
  static Indices place(const std::vector<Loop>& loops, const Indices& digits, std::size_t level) {
    Indices where;
    for (std::size_t i = 0; i < loops.size(); ++i) {
      if (loops[i].kind != Kind::temporal && loops[i].level < level) where.push_back(digits[i]);
    }
    return where;
  }

  static Indices moment(const std::vector<Loop>& loops, const Indices& digits) {
    Indices when;
    for (std::size_t i = 0; i < loops.size(); ++i) {
      if (loops[i].kind == Kind::temporal) when.push_back(digits[i]);
    }
    return when;
  }

  std::int64_t instances(std::size_t level) const {
    const std::vector<Loop> loops = above(level);
    std::set<Indices> used;
    for_each(counts_of(loops), [&](const Indices& digits) {
      if (!tile_at(loops, digits, level).empty) used.insert(place(loops, digits, level));
    });
    return static_cast<std::int64_t>(used.size());
  }

  void count_operations() {
    const std::size_t units = architecture_.levels.size();
    const std::vector<Loop> loops = above(units);
    std::set<Indices> moments;
    for_each(counts_of(loops), [&](const Indices& digits) {
      if (tile_at(loops, digits, units).empty) return;
      ++counts_.macs;
      moments.insert(moment(loops, digits));
    });
    counts_.cycles = static_cast<std::int64_t>(moments.size());
  }

  /// Everything that moves between the tiles of level `child` (or the multiply-accumulate units) and those of `parent`.
  void transfer(std::size_t t, std::size_t child, std::size_t parent) {
    const bool output = t == static_cast<std::size_t>(Tensor::output);
    const bool units = child == architecture_.levels.size();
    const std::vector<Loop> loops = above(child);
    // The innermost loop in time that moves the tile.
    std::size_t mover = loops.size();
    for (std::size_t i = 0; i < loops.size(); ++i) {
      if (loops[i].kind == Kind::temporal && relevant(t, loops[i].dimension)) mover = i;
    }
    struct Buffer {
      Indices last;  // counters when it last worked
      std::set<Indices> held, seen;
      std::int64_t fills = 0;
    };
    struct Server {
      std::set<Indices> seen;
      std::int64_t reads = 0, updates = 0;
    };
    std::map<Indices, Buffer> buffers;
    std::map<Indices, Server> servers;

    // In the order of time: all places at one moment, then the next moment.
    std::vector<Loop> ordered;
    for (const bool temporal : {true, false}) {
      for (const Loop& loop : loops) {
        if ((loop.kind == Kind::temporal) == temporal) ordered.push_back(loop);
      }
    }
    if (mover < loops.size()) {
      const Loop& loop = loops[mover];
      mover = 0;
      while (ordered[mover].level != loop.level || ordered[mover].kind != loop.kind ||
             ordered[mover].dimension != loop.dimension) {
        ++mover;
      }
    } else {
      mover = ordered.size();
    }

    Indices now;
    std::map<Indices, std::vector<Indices>> requests;  // of one moment: route → elements
    std::map<Indices, Indices> routed_to;
    const auto serve = [&] {
      for (const auto& [route, wanted] : requests) {
        Server& server = servers[routed_to.at(route)];
        for (const Indices& element : wanted) {
          if (output) {
            // The first partial sum of an element is just stored.
            ++server.updates;
            if (server.seen.insert(element).second) continue;
          }
          ++server.reads;
        }
      }
      requests.clear();
      routed_to.clear();
    };
    for_each(counts_of(ordered), [&](const Indices& digits) {
      const Indices when = moment(ordered, digits);
      if (when != now) serve();
      now = when;
      const Tile tile = tile_at(ordered, digits, child);
      if (tile.empty) return;  // it rests, and keeps what it has
      Buffer& buffer = buffers[place(ordered, digits, child)];
      std::vector<Indices> wanted = elements(t, tile);
      if (!units) {
        OracleTraffic& traffic = counts_.levels[child][t];
        traffic.tile_words = std::max(traffic.tile_words, static_cast<std::int64_t>(wanted.size()));
        if (!buffer.last.empty()) {
          std::size_t outermost = 0;
          while (outermost < digits.size() && digits[outermost] == buffer.last[outermost]) ++outermost;
          const bool rests = mover == ordered.size() || outermost > mover;
          const bool slides = outermost == mover;
          if (rests) {
            wanted.clear();
          } else if (slides) {
            std::vector<Indices> fresh;
            for (const Indices& element : wanted) {
              if (!buffer.held.contains(element)) fresh.push_back(element);
            }
            counts_.halo = counts_.halo || fresh.size() < wanted.size();
            buffer.held.clear();
            buffer.held.insert(wanted.begin(), wanted.end());
            wanted = std::move(fresh);
          } else {
            buffer.held.clear();
            buffer.held.insert(wanted.begin(), wanted.end());
          }
        } else {
          buffer.held.insert(wanted.begin(), wanted.end());
        }
        buffer.last = digits;
        if (buffer.last.empty()) buffer.last = {0};
        for (const Indices& element : wanted) {
          // A partial sum that the buffer has never had begins at zero.
          if (output && buffer.seen.insert(element).second) continue;
          ++buffer.fills;
        }
      }
      if (wanted.empty()) return;
      // The way up: at every fan-out, children that want the same tile are one where the network shares.
      Indices route = place(ordered, digits, parent);
      const Indices server = route;
      bool shared = false;
      for (std::size_t level = parent; level < child; ++level) {
        const StorageLevel& stage = architecture_.levels[level];
        if (output ? stage.reduction : stage.multicast) {
          const Tile cluster = tile_at(ordered, digits, level + 1);
          for (const IndexExpression& axis : einsum_.tensors[t].axes) {
            std::int64_t offset = 0;
            for (const IndexTerm& term : axis) offset += term.coefficient * cluster.low[term.dimension];
            route.push_back(offset);
            for (const IndexTerm& term : axis) route.push_back(cluster.size[term.dimension]);
          }
          shared = true;
        } else {
          for (std::size_t i = 0; i < ordered.size(); ++i) {
            if (ordered[i].kind != Kind::temporal && ordered[i].level == level) route.push_back(digits[i]);
          }
        }
      }
      std::sort(wanted.begin(), wanted.end());
      const auto [entry, fresh] = requests.emplace(route, wanted);
      routed_to[route] = server;
      if (!fresh) {
        counts_.consistent = counts_.consistent && shared && entry->second.size() == wanted.size();
        (output ? counts_.reduction : counts_.multicast) = true;
      }
    });
    serve();

    if (!units) {
      OracleTraffic& traffic = counts_.levels[child][t];
      for (const auto& [where, buffer] : buffers) {
        traffic.fills += buffer.fills;
        traffic.busiest_fills = std::max(traffic.busiest_fills, buffer.fills);
      }
    }
    OracleTraffic& traffic = counts_.levels[parent][t];
    for (const auto& [where, server] : servers) {
      traffic.reads += server.reads;
      traffic.updates += server.updates;
      traffic.busiest_reads = std::max(traffic.busiest_reads, server.reads);
      traffic.busiest_updates = std::max(traffic.busiest_updates, server.updates);
    }
  }

  /// What the outermost buffer of a tensor holds is there from the beginning.
  void measure_outermost(std::size_t t, std::size_t level) {
    const std::vector<Loop> loops = above(level);
    for_each(counts_of(loops), [&](const Indices& digits) {
      const Tile tile = tile_at(loops, digits, level);
      if (tile.empty) return;
      OracleTraffic& traffic = counts_.levels[level][t];
      traffic.tile_words = std::max(traffic.tile_words, static_cast<std::int64_t>(elements(t, tile).size()));
    });
  }

  const Einsum& einsum_;
  const Architecture& architecture_;
  const Mapping& mapping_;
  Footprint footprint_;
  std::vector<Loop> nest_;
  OracleCounts counts_;
};

}  // namespace

OracleCounts execute(const Einsum& einsum, const Architecture& architecture, const Mapping& mapping,
                     Footprint footprint) {
  return Execution(einsum, architecture, mapping, footprint).run();
}

}  // namespace duet::testing
