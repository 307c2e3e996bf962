#include "hw_models/proof_checker.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "hw_models/proof_log.hpp"

namespace duet::proof {
namespace {

constexpr double endless = std::numeric_limits<double>::infinity();
constexpr std::int64_t most_listed = std::int64_t{1} << 22;  ///< of a dimension or a fan-out

// --- The problem, and how much of a tensor there is in a tile.

struct Axis {
  std::size_t a = 0, b = 0;
  bool two = false;
  std::int64_t ca = 1, cb = 0;
};

double up(double x) {
  return std::ceil(x);
}

class Problem {
 public:
  explicit Problem(const Log& log)
      : log_(log), n_(log.einsum.dimensions.size()), levels_(log.architecture.levels.size()) {
    for (std::size_t t = 0; t < 3; ++t) {
      for (const IndexExpression& expression : log.einsum.tensors[t].axes) {
        Axis axis;
        axis.a = axis.b = expression[0].dimension;
        axis.ca = expression[0].coefficient;
        if (expression.size() == 2) {
          axis.two = true;
          axis.b = expression[1].dimension;
          axis.cb = expression[1].coefficient;
        }
        axes_[t].push_back(axis);
        for (const IndexTerm& term : expression) axis_of_[t][term.dimension] = axes_[t].size();
      }
    }
    for (std::size_t d = 0; d < n_; ++d) {
      if (size(d) > most_listed) reject(0, "a dimension is too large for this checker, which lists its divisors one by one");
      macs_ *= static_cast<double>(size(d));
    }
    for (std::size_t l = 0; l < levels_; ++l) {
      if (std::max(log.architecture.fanout_x(l), log.architecture.fanout_y(l)) > most_listed) {
        reject(0, "a fan-out is too large for this checker, which lists what it can hold one by one");
      }
    }
  }

  const Log& log() const { return log_; }
  std::size_t n() const { return n_; }
  std::size_t levels() const { return levels_; }
  std::int64_t size(std::size_t d) const { return log_.einsum.dimensions[d].size; }
  double macs() const { return macs_; }
  const StorageLevel& level(std::size_t l) const { return log_.architecture.levels[l]; }
  const std::vector<Axis>& axes(std::size_t t) const { return axes_[t]; }
  bool relevant(std::size_t t, std::size_t d) const { return axis_of_[t][d] > 0; }
  /// The axis that a relevant dimension moves.
  const Axis& axis(std::size_t t, std::size_t d) const { return axes_[t][axis_of_[t][d] - 1]; }
  bool may_keep(std::size_t t, std::size_t l) const {
    return level(l).policy[t] != StorageLevel::Policy::bypass;
  }
  bool may_bypass(std::size_t t, std::size_t l) const {
    return l > 0 && level(l).policy[t] != StorageLevel::Policy::keep;
  }
  double block(std::size_t t, std::size_t l) const {
    return static_cast<double>(std::max<std::int64_t>(1, level(l).block_bits / level(l).word_bits[t]));
  }
  /// Bits for tiles.
  double capacity(std::size_t l) const {
    if (!level(l).capacity_bits) return endless;
    return std::floor(static_cast<double>(*level(l).capacity_bits) / level(l).multiple_buffering);
  }
  double least_filled(std::size_t l) const {
    return level(l).capacity_bits ? capacity(l) * level(l).constraints.min_capacity_utilization : 0;
  }

  /// Different values of a·i + b·j.
  double different(std::int64_t I, std::int64_t J, std::int64_t a, std::int64_t b) const {
    const std::int64_t g = std::gcd(a, b);
    const std::array<std::int64_t, 4> key{I, J, a / g, b / g};
    if (const auto known = different_.find(key); known != different_.end()) return known->second;
    return different_[key] = static_cast<double>(values(key[0], key[1], key[2], key[3], 0).size());
  }

  /// Words along an axis.
  double extent(const Axis& axis, const Factors& tile) const {
    const std::int64_t na = tile[axis.a], nb = tile[axis.b];
    if (log_.distinct) return axis.two ? different(na, nb, axis.ca, axis.cb) : static_cast<double>(na);
    double words = static_cast<double>(na - 1) * static_cast<double>(axis.ca) + 1;
    if (axis.two) words += static_cast<double>(nb - 1) * static_cast<double>(axis.cb);
    return words;
  }
  double words(std::size_t t, const Factors& tile) const {
    double product = 1;
    for (const Axis& axis : axes_[t]) product *= extent(axis, tile);
    return product;
  }
  /// Words of the tile that a step of dimension d by `step` indices leaves where they are.
  double staying(std::size_t t, const Factors& tile, std::size_t d, std::int64_t step) const {
    const Axis& along = axis(t, d);
    if (!along.two) return 0;
    double shared = 0;
    const bool first = along.a == d;
    if (log_.distinct) {
      const std::array<std::int64_t, 5> key{first ? tile[along.a] : tile[along.b],
                                            first ? tile[along.b] : tile[along.a],
                                            first ? along.ca : along.cb, first ? along.cb : along.ca, step};
      const auto known = shared_.find(key);
      if (known != shared_.end()) {
        shared = known->second;
      } else {
        const auto before = values(key[0], key[1], key[2], key[3], 0),
                   after = values(key[0], key[1], key[2], key[3], step);
        std::vector<std::int64_t> both;
        std::set_intersection(before.begin(), before.end(), after.begin(), after.end(),
                              std::back_inserter(both));
        shared_[key] = shared = static_cast<double>(both.size());
      }
    } else {
      const double moved = static_cast<double>(step) * static_cast<double>(first ? along.ca : along.cb);
      shared = std::max(0.0, extent(along, tile) - moved);
    }
    double product = shared;
    for (const Axis& other : axes_[t]) {
      if (&other != &along) product *= extent(other, tile);
    }
    return product;
  }

  Value price(double cycles, double energy) const {
    const double seconds = cycles / log_.architecture.clock_hz;
    switch (log_.goal) {
      case Goal::cycles:
        return {cycles, 0};
      case Goal::energy:
        return {energy, 0};
      case Goal::energy_delay:
        return {energy * seconds, 0};
      case Goal::weighted:
        return {log_.per_second * seconds + log_.per_joule * energy, 0};
      case Goal::cycles_then_energy:
        return {cycles, energy};
      case Goal::energy_then_cycles:
        return {energy, cycles};
    }
    return {0, 0};
  }

 private:
  /// Sorted, once each, of a·i + b·j where i begins at `from`.
  std::vector<std::int64_t> values(std::int64_t I, std::int64_t J, std::int64_t a, std::int64_t b,
                                   std::int64_t from) const {
    if (I > 5'000'000 / J) reject(0, "an axis is too long for this program to count its elements");
    std::vector<std::int64_t> all;
    for (std::int64_t i = from; i < from + I; ++i) {
      for (std::int64_t j = 0; j < J; ++j) all.push_back(a * i + b * j);
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  }

  const Log& log_;
  std::size_t n_, levels_;
  double macs_ = 1;
  std::array<std::vector<Axis>, 3> axes_;
  std::array<std::array<std::size_t, max_dimensions>, 3> axis_of_{};  ///< + 1
  mutable std::map<std::array<std::int64_t, 4>, double> different_;
  mutable std::map<std::array<std::int64_t, 5>, double> shared_;
};

/// What goes through the ports of one instance of every level.
struct Ports {
  std::array<double, max_levels> reads{}, writes{};
};

double port_cycles(const Problem& p, const Ports& ports, double computing) {
  double most = computing;
  for (std::size_t l = 0; l < p.levels(); ++l) {
    const StorageLevel& level = p.level(l);
    const auto port = [&](const std::optional<double>& bandwidth, double words) {
      if (bandwidth && *bandwidth > 0) most = std::max(most, up(words / *bandwidth));
    };
    port(level.read_bandwidth, ports.reads[l]);
    port(level.write_bandwidth, ports.writes[l]);
    port(level.shared_bandwidth, ports.reads[l] + ports.writes[l]);
  }
  return most;
}

/// How the fan-outs are used: what both the claimed mapping and a part of the mapspace have.
struct Layout {
  PerLevel spread{};
  std::array<std::array<double, 3>, max_levels>
      delivered{};  ///< different tiles that a fan-out takes of each tensor
};

class Machine {
 public:
  Machine(const Problem& p, const Layout& layout) : p_(p), layout_(layout) {
    inside_[p.levels()].fill(1);
    for (std::size_t l = p.levels(); l-- > 0;) {
      for (std::size_t d = 0; d < p.n(); ++d) inside_[l][d] = inside_[l + 1][d] * layout.spread[l][d];
    }
    for (std::size_t d = 0; d < p.n(); ++d) iterations_ *= static_cast<double>(p.size(d) / inside_[0][d]);
    Factors above;
    above.fill(1);
    for (std::size_t l = 0; l <= p.levels(); ++l) {
      instances_[l] = 1;
      own_[l] = 1;
      for (std::size_t d = 0; d < p.n(); ++d) {
        instances_[l] *= static_cast<double>(above[d]);
        if (p.relevant(2, d)) own_[l] *= static_cast<double>(p.size(d) / above[d]);
      }
      for (std::size_t t = 0; t < 3; ++t) {
        least_[t][l] = 1;
        for (const Axis& axis : p.axes(t)) {
          const auto a = static_cast<double>(p.size(axis.a) / above[axis.a]);
          const auto b = static_cast<double>(p.size(axis.b) / above[axis.b]);
          least_[t][l] *= axis.two ? a + b - 1 : a;
        }
      }
      if (l == p.levels()) break;
      leak_ += instances_[l] * p.level(l).energy.leak_j;
      for (std::size_t d = 0; d < p.n(); ++d) above[d] *= layout.spread[l][d];
    }
  }

  double iterations() const { return iterations_; }
  const Factors& inside(std::size_t l) const { return inside_[l]; }
  /// Elements that one instance of a level touches, at least: however they are fetched, each is once.
  double least(std::size_t t, std::size_t l) const { return least_[t][l]; }
  double total(double moving, double cycles) const {
    return p_.macs() * p_.log().architecture.compute.energy_j + moving + leak_ * cycles;
  }

  /// `words` into each instance of `child` (levels(): a multiply-accumulate) out of level `parent`. \returns
  /// J
  double transfer(std::size_t t, std::size_t child, std::size_t parent, double words, Ports* ports) const {
    double up_there = words;
    for (std::size_t l = parent; l < child; ++l) up_there *= layout_.delivered[l][t];
    const AccessEnergy& above = p_.level(parent).energy;
    const double block = p_.block(t, parent);
    double energy = 0, reads = up_there, filled = words, updates = 0;
    if (t == 2) {
      reads = up_there - own_[parent];
      filled = words - own_[child];
      updates = up_there;
    }
    energy += instances_[parent] * (up(reads / block) * above.read_j + up(updates / block) * above.update_j);
    if (child < p_.levels()) {
      energy += instances_[child] * up(filled / p_.block(t, child)) * p_.level(child).energy.write_j;
      if (ports != nullptr) ports->writes[child] += filled;
    }
    if (ports != nullptr) {
      ports->reads[parent] += reads;
      ports->writes[parent] += updates;
    }
    return energy;
  }

 private:
  const Problem& p_;
  const Layout& layout_;
  std::array<Factors, max_levels + 1> inside_{};
  std::array<double, max_levels + 1> instances_{}, own_{};
  std::array<std::array<double, max_levels + 1>, 3> least_{};
  double iterations_ = 1, leak_ = 0;
};

/// Different tiles that the children of level l want, whose tiles are `below`.
double delivered(const Problem& p, std::size_t t, std::size_t l, const Factors& spread,
                 const Factors& below) {
  double count = 1;
  if (!(t == 2 ? p.level(l).reduction : p.level(l).multicast)) {
    for (std::size_t d = 0; d < p.n(); ++d) count *= static_cast<double>(spread[d]);
    return count;
  }
  for (const Axis& axis : p.axes(t)) {
    if (!axis.two) {
      count *= static_cast<double>(spread[axis.a]);
    } else if (spread[axis.a] == 1 || spread[axis.b] == 1) {
      count *= static_cast<double>(spread[axis.a] * spread[axis.b]);
    } else {
      count *= p.different(spread[axis.a], spread[axis.b], below[axis.a] * axis.ca, below[axis.b] * axis.cb);
    }
  }
  return count;
}

// --- The rules of the mapspace.

/// Whether the constraint on a factor leaves it free: one that is larger than the dimension does.
std::optional<std::int64_t> forced(const Problem& p, const std::map<std::string, std::int64_t>& factors,
                                   std::size_t d) {
  const auto found = factors.find(p.log().einsum.dimensions[d].name);
  if (found == factors.end() || found->second == 0 || found->second > p.size(d)) return std::nullopt;
  return found->second;
}

bool wants_rest(const Problem& p, std::size_t l, std::size_t d) {
  const LevelConstraints& wanted = p.level(l).constraints;
  const std::string& name = p.log().einsum.dimensions[d].name;
  for (const auto* factors : {&wanted.temporal_factors, &wanted.x_factors, &wanted.y_factors}) {
    const auto found = factors->find(name);
    if (found != factors->end() && found->second == 0) return true;
  }
  return false;
}

bool listed(const std::optional<std::vector<std::string>>& names, const std::string& name) {
  return !names || std::find(names->begin(), names->end(), name) != names->end();
}

/// Whether a factor may stand along a side.
bool side_allows(const Problem& p, const std::map<std::string, std::int64_t>& factors,
                 const std::optional<std::vector<std::string>>& names, std::size_t d, std::int64_t factor) {
  const auto must = forced(p, factors, d);
  if (must && *must != factor) return false;
  return factor == 1 || listed(names, p.log().einsum.dimensions[d].name);
}

/// Whether a spread can be written as factors along x and y.
bool splits(const Problem& p, std::size_t l, const Factors& spread, std::size_t d, std::int64_t room_x,
            std::int64_t room_y) {
  if (d == p.n()) return true;
  const LevelConstraints& wanted = p.level(l).constraints;
  for (std::int64_t x = 1; x <= std::min(spread[d], room_x); ++x) {
    if (spread[d] % x != 0 || spread[d] / x > room_y) continue;
    if (!side_allows(p, wanted.x_factors, wanted.x_dimensions, d, x)) continue;
    if (!side_allows(p, wanted.y_factors, wanted.y_dimensions, d, spread[d] / x)) continue;
    if (splits(p, l, spread, d + 1, room_x / x, room_y / (spread[d] / x))) return true;
  }
  return false;
}

// --- The claimed mapping.

struct Evaluation {
  double cycles = 0, energy = 0;
};

Evaluation evaluate(const Problem& p, const LoggedMapping& m) {
  Layout layout;
  std::array<Factors, max_levels + 1> tile{};
  tile[p.levels()].fill(1);
  for (std::size_t l = p.levels(); l-- > 0;) {
    const std::size_t line = m.line[l];
    const LevelConstraints& wanted = p.level(l).constraints;
    double x = 1, y = 1, children = 1;
    std::set<std::size_t> seen(m.order[l].begin(), m.order[l].begin() + static_cast<std::ptrdiff_t>(p.n()));
    if (seen.size() != p.n()) reject(line, "the order of the loops is no permutation");
    for (std::size_t d = 0; d < p.n(); ++d) {
      for (const std::int64_t factor : {m.temporal[l][d], m.x[l][d], m.y[l][d]}) {
        if (p.size(d) % factor != 0) reject(line, "a factor does not divide its dimension");
      }
      // Both divide the size, so that neither this nor their product can overflow.
      if (p.size(d) / m.x[l][d] % m.y[l][d] != 0) reject(line, "a spread does not divide its dimension");
      layout.spread[l][d] = m.x[l][d] * m.y[l][d];
      if (layout.spread[l][d] > p.size(d) || p.size(d) / layout.spread[l][d] % tile[l + 1][d] != 0) {
        reject(line, "the factors of a dimension multiply to more than its size");
      }
      tile[l][d] = tile[l + 1][d] * layout.spread[l][d];
      if (p.size(d) / tile[l][d] % m.temporal[l][d] != 0)
        reject(line, "the factors of a dimension do not divide its size");
      tile[l][d] *= m.temporal[l][d];
      x *= static_cast<double>(m.x[l][d]);
      y *= static_cast<double>(m.y[l][d]);
      children *= static_cast<double>(layout.spread[l][d]);
      if (!side_allows(p, wanted.x_factors, wanted.x_dimensions, d, m.x[l][d]) ||
          !side_allows(p, wanted.y_factors, wanted.y_dimensions, d, m.y[l][d])) {
        reject(line, "a spread is against the constraints");
      }
      if (const auto must = forced(p, wanted.temporal_factors, d); must && *must != m.temporal[l][d]) {
        reject(line, "a temporal factor is against the constraints");
      }
    }
    const auto width = static_cast<double>(p.log().architecture.fanout_x(l));
    const auto height = static_cast<double>(p.log().architecture.fanout_y(l));
    if (x > width || y > height) reject(line, "the mapping uses more children than there are");
    if (children < width * height * wanted.min_fanout_utilization)
      reject(line, "the mapping uses too few children");
    // The innermost loops that do something must be the wanted ones.
    std::vector<std::size_t> loops, inner;
    for (std::size_t i = 0; i < p.n(); ++i) {
      if (m.temporal[l][m.order[l][i]] > 1) loops.push_back(m.order[l][i]);
    }
    for (const std::string& name : wanted.order) {
      const auto d = p.log().einsum.find_dimension(name);
      if (d && m.temporal[l][*d] > 1) inner.push_back(*d);
    }
    if (inner.size() > loops.size() || !std::equal(inner.rbegin(), inner.rend(), loops.rbegin())) {
      reject(line, "the order of the loops is against the constraints");
    }
    double held = 0;
    for (std::size_t t = 0; t < 3; ++t) {
      if (m.keep[l][t] ? !p.may_keep(t, l) : !p.may_bypass(t, l))
        reject(line, "a tensor is kept or bypassed that must not be");
      if (m.keep[l][t]) held += p.words(t, tile[l]) * static_cast<double>(p.level(l).word_bits[t]);
    }
    if (held > p.capacity(l)) reject(line, fmt::format("the tiles take {} bits of {}", held, p.capacity(l)));
    if (held < p.least_filled(l)) reject(line, "the tiles fill too little of the level");
    for (std::size_t t = 0; t < 3; ++t)
      layout.delivered[l][t] = delivered(p, t, l, layout.spread[l], tile[l + 1]);
  }
  for (std::size_t d = 0; d < p.n(); ++d) {
    if (tile[0][d] != p.size(d)) reject(m.line[0], "the factors of a dimension do not multiply to its size");
    for (std::size_t l = 0; l < p.levels(); ++l) {
      if (wants_rest(p, l, d) && tile[l][d] != p.size(d))
        reject(m.line[l], "not all that is left of a dimension is here");
    }
  }
  const Machine machine(p, layout);
  Ports ports;
  double moving = 0;
  for (std::size_t t = 0; t < 3; ++t) {
    std::size_t child = p.levels();
    double words = machine.iterations();
    for (std::size_t l = p.levels(); l-- > 0;) {
      if (!m.keep[l][t]) continue;
      moving += machine.transfer(t, child, l, words, &ports);
      child = l;
      // Walk outwards to the first loop that moves the tile of this level.
      words = p.words(t, tile[l]);
      double outside = machine.iterations();
      Factors step = tile[l];  // of a loop that is met next
      for (std::size_t in = l; in < p.levels(); ++in) {
        for (std::size_t d = 0; d < p.n(); ++d) outside /= static_cast<double>(m.temporal[in][d]);
      }
      bool moved = false;
      for (std::size_t o = l; o-- > 0 && !moved;) {
        for (std::size_t d = 0; d < p.n(); ++d) step[d] *= layout.spread[o][d];
        for (std::size_t i = p.n(); i-- > 0 && !moved;) {
          const std::size_t d = m.order[o][i];
          const auto n = static_cast<double>(m.temporal[o][d]);
          if (n == 1) continue;
          outside /= n;
          if (p.relevant(t, d)) {
            const double fresh = p.words(t, tile[l]) - p.staying(t, tile[l], d, step[d]);
            words = (p.words(t, tile[l]) + (n - 1) * fresh) * outside;
            moved = true;
          }
          step[d] *= m.temporal[o][d];
        }
      }
    }
  }
  const double cycles = port_cycles(p, ports, machine.iterations());
  return {cycles, machine.total(moving, cycles)};
}

// --- A part of the mapspace: all mappings of one layout whose innermost ports need certain cycles.

/// Of a tensor: which level wants it next (the ones below are done with), or which levels hold a tile that no
/// loop has moved.
struct Standing {
  std::array<std::int8_t, 3> wanted{-1, -1, -1};  ///< −1: some levels hold it
  std::array<std::uint16_t, 3> holding{};
  std::uint8_t placed = 0;  ///< dimensions whose prescribed factor has been placed at this level
  auto operator<=>(const Standing&) const = default;
};

struct Partial {
  double energy = 0;
  Ports ports;
  bool moved = false;  ///< a loop of the present level has been placed last
};

class Search {
 public:
  Search(const Problem& p, const Layout& layout, double cycles, bool with_ports)
      : p_(p), layout_(layout), machine_(p, layout), cycles_(cycles), with_ports_(with_ports) {
    for (std::size_t t = 0; t < 3; ++t) {
      chain_[t][0] = 0;
      for (std::size_t l = 1; l < p.levels(); ++l) {
        chain_[t][l] = endless;
        for (const std::size_t k : parents(t, l, l - 1)) {
          chain_[t][l] = std::min(chain_[t][l],
                                  machine_.transfer(t, l, k, machine_.least(t, l), nullptr) + chain_[t][k]);
        }
      }
    }
  }

  const Machine& machine() const { return machine_; }

  /// Every choice of the three levels that feed the multiply-accumulates: energy, what must be added at
  /// least, ports.
  template <class Visit>
  void feeding(const Visit& visit) const {
    for (const std::size_t w : parents(0, p_.levels(), p_.levels() - 1)) {
      for (const std::size_t i : parents(1, p_.levels(), p_.levels() - 1)) {
        for (const std::size_t o : parents(2, p_.levels(), p_.levels() - 1)) {
          const std::array<std::size_t, 3> from{w, i, o};
          Partial partial;
          double later = 0;
          for (std::size_t t = 0; t < 3; ++t) {
            partial.energy +=
                machine_.transfer(t, p_.levels(), from[t], machine_.iterations(), &partial.ports);
            later += chain_[t][from[t]];
          }
          visit(from, partial, later);
        }
      }
    }
  }

  /// Whether some mapping of this part might be below the claimed bound.
  bool any_below() {
    Factors nothing;
    nothing.fill(1);
    feeding([&](const auto& from, const Partial& partial, double) {
      if (port_cycles(p_, partial.ports, machine_.iterations()) != cycles_) return;
      Standing standing;
      for (std::size_t t = 0; t < 3; ++t) standing.wanted[t] = static_cast<std::int8_t>(from[t]);
      add(nothing, standing, partial);
    });
    for (std::size_t l = p_.levels(); l-- > 0;) {
      check_delivery(l);
      const auto& order = p_.level(l).constraints.order;
      std::set<std::size_t> others;
      for (std::size_t d = 0; d < p_.n(); ++d) others.insert(d);
      for (std::size_t i = order.size(); i-- > 0;) {
        if (const auto d = p_.log().einsum.find_dimension(order[i])) {
          loops(l, {*d});
          others.erase(*d);
        }
      }
      loops(l, others);
      settle(l);
      if (tiles_.empty()) return false;
    }
    return true;
  }

 private:
  using Tile =
      std::pair<double, Factors>;  ///< volume and temporal factors: in this order loops only lead forwards

  /// Levels up to `outermost_inner` that may be the next beyond `child` to keep a tensor.
  std::vector<std::size_t> parents(std::size_t t, std::size_t child, std::size_t from) const {
    std::vector<std::size_t> found;
    for (std::size_t k = child; k-- > 0;) {
      if (k <= from && p_.may_keep(t, k)) found.push_back(k);
      if (!p_.may_bypass(t, k)) break;
    }
    return found;
  }

  Factors tile_at(std::size_t l, const Factors& temporal) const {
    Factors tile = temporal;
    for (std::size_t d = 0; d < p_.n(); ++d) tile[d] *= machine_.inside(l)[d];
    return tile;
  }
  std::int64_t left(std::size_t d, const Factors& temporal) const {
    return p_.size(d) / machine_.inside(0)[d] / temporal[d];
  }

  bool below(const Partial& partial, double energy) const {
    if (!(energy < endless)) return false;
    const double cycles =
        with_ports_ ? std::max(cycles_, port_cycles(p_, partial.ports, machine_.iterations())) : cycles_;
    return p_.price(cycles, machine_.total(energy, cycles)) < p_.log().bound;
  }

  void add(const Factors& temporal, const Standing& standing, const Partial& partial) {
    double volume = 1;
    for (std::size_t d = 0; d < p_.n(); ++d) volume *= static_cast<double>(temporal[d]);
    std::vector<Partial>& there = tiles_[{volume, temporal}][standing];
    const auto no_worse = [&](const Partial& a, const Partial& b) {
      if (a.energy > b.energy) return false;
      if (!with_ports_) return true;
      for (std::size_t l = 0; l < p_.levels(); ++l) {
        if (a.ports.reads[l] > b.ports.reads[l] || a.ports.writes[l] > b.ports.writes[l]) return false;
      }
      return true;
    };
    for (const Partial& other : there) {
      if (no_worse(other, partial)) return;
    }
    std::erase_if(there, [&](const Partial& other) { return no_worse(partial, other); });
    there.push_back(partial);
  }

  /// Fetches into every level of `holding`, from the inside, by way of `last` in the end. `fetched(level)`:
  /// words.
  template <class Fetched>
  double climb(std::size_t t, std::uint16_t holding, std::size_t last, Ports* ports,
               const Fetched& fetched) const {
    double energy = 0;
    std::size_t child = p_.levels();
    for (std::size_t l = p_.levels(); l-- > 0;) {
      if ((holding >> l & 1) == 0) continue;
      if (child < p_.levels()) energy += machine_.transfer(t, child, l, fetched(child), ports);
      child = l;
    }
    return child == last ? energy : energy + machine_.transfer(t, child, last, fetched(child), ports);
  }
  std::size_t outermost(std::uint16_t holding) const {
    std::size_t l = 0;
    while ((holding >> l & 1) == 0) ++l;
    return l;
  }

  /// The least that a tensor costs from here on, the loops of level l among what is left, if every element is
  /// fetched once.
  double alone(const Standing& standing, std::size_t t, std::size_t l) const {
    if (standing.wanted[t] >= 0) return chain_[t][static_cast<std::size_t>(standing.wanted[t])];
    double best = endless;
    for (const std::size_t k : parents(t, outermost(standing.holding[t]), l)) {
      best = std::min(best, climb(t, standing.holding[t], k, nullptr, [&](std::size_t c) {
                              return machine_.least(t, c);
                            }) + chain_[t][k]);
    }
    return best;
  }

  /// The least that everything costs from a tile on. Of the loops that are left, one is the first on which a
  /// tensor depends that some level holds; all such tensors are fetched anew in each of its iterations and of
  /// those outside. Only loops on which none of the held tensors depends can stand further in.
  double ahead(const Factors& temporal, const Standing& standing, std::size_t l) const {
    std::array<double, 3> single;
    double all = 0;
    for (std::size_t t = 0; t < 3; ++t) all += single[t] = alone(standing, t, l);
    double inner = 1, done = 1;
    std::vector<std::size_t> firsts;
    for (std::size_t d = 0; d < p_.n(); ++d) {
      done *= static_cast<double>(temporal[d]);
      if (left(d, temporal) == 1) continue;
      bool moves = false;
      for (std::size_t t = 0; t < 3; ++t) moves = moves || (standing.wanted[t] < 0 && p_.relevant(t, d));
      if (moves) {
        firsts.push_back(d);
      } else {
        inner *= static_cast<double>(left(d, temporal));
      }
    }
    if (firsts.empty()) return all;
    // Loops that give no reuse to anybody stand outside of all others.
    std::vector<std::size_t> useful;
    for (const std::size_t d : firsts) {
      if (!stands_outermost(d)) useful.push_back(d);
    }
    if (!useful.empty()) firsts = useful;
    double best = endless;
    for (const std::size_t d : firsts) {
      double energy = 0;
      for (std::size_t t = 0; t < 3; ++t) {
        if (standing.wanted[t] >= 0 || !p_.relevant(t, d)) {
          energy += single[t];
          continue;
        }
        const auto fetched = [&](std::size_t c) {
          const Factors tile = tile_at(c, temporal);
          const double words = p_.words(t, tile);
          double n = 1, staying = 0;
          if (p_.axis(t, d).two) {
            n = static_cast<double>(left(d, temporal));
            // Elements of a tile with holes may come to lie on each other at some larger step only.
            const bool same_step = machine_.inside(l)[d] == machine_.inside(0)[d];
            staying = p_.log().distinct && !same_step
                          ? words
                          : p_.staying(t, tile, d, temporal[d] * machine_.inside(l)[d]);
          }
          const double outside = machine_.iterations() / done / n / inner;
          return std::max(machine_.least(t, c), (words + (n - 1) * (words - staying)) * outside);
        };
        double cheapest = endless;
        for (const std::size_t k : parents(t, outermost(standing.holding[t]), l)) {
          cheapest = std::min(cheapest, climb(t, standing.holding[t], k, nullptr, fetched) + chain_[t][k]);
        }
        energy += cheapest;
      }
      best = std::min(best, energy);
    }
    return best;
  }

  /// Whether levels further out can hold what they want: tiles never shrink.
  bool room(const Factors& temporal, const Standing& standing) const {
    for (std::size_t k = 0; k < p_.levels(); ++k) {
      if (!p_.level(k).capacity_bits) continue;
      double bits = 0;
      for (std::size_t t = 0; t < 3; ++t) {
        if (standing.wanted[t] == static_cast<std::int8_t>(k)) {
          bits += p_.words(t, tile_at(k, temporal)) * static_cast<double>(p_.level(k).word_bits[t]);
        }
      }
      if (bits > p_.capacity(k)) return false;
    }
    return true;
  }

  void drop_hopeless(const Factors& temporal, std::map<Standing, std::vector<Partial>>& here,
                     std::size_t l) const {
    for (auto entry = here.begin(); entry != here.end();) {
      const double more = room(temporal, entry->first) ? ahead(temporal, entry->first, l) : endless;
      std::erase_if(entry->second,
                    [&](const Partial& partial) { return !below(partial, partial.energy + more); });
      entry = entry->second.empty() ? here.erase(entry) : std::next(entry);
    }
  }

  /// Tiles under which a fan-out would deliver something else belong to another part.
  void check_delivery(std::size_t l) {
    for (auto entry = tiles_.begin(); entry != tiles_.end();) {
      bool ours = true;
      const Factors tile = tile_at(l + 1, entry->first.second);
      for (std::size_t t = 0; t < 3; ++t) {
        ours = ours && delivered(p_, t, l, layout_.spread[l], tile) == layout_.delivered[l][t];
      }
      entry = ours ? std::next(entry) : tiles_.erase(entry);
    }
  }

  /// Whether loops of a level that keeps nothing could as well be loops of the level above: both are free of
  /// rules, and the fan-out in between leaves the strides of two-term axes alone.
  bool may_wait(std::size_t l) const {
    if (l == 0) return false;
    const LevelConstraints &here = p_.level(l).constraints, &above = p_.level(l - 1).constraints;
    if (!here.order.empty() || !above.order.empty()) return false;
    for (std::size_t d = 0; d < p_.n(); ++d) {
      if (forced(p_, here.temporal_factors, d) || forced(p_, above.temporal_factors, d) ||
          wants_rest(p_, l, d))
        return false;
    }
    for (std::size_t t = 0; t < 3; ++t) {
      for (const Axis& axis : p_.axes(t)) {
        if (axis.two && layout_.spread[l - 1][axis.a] * layout_.spread[l - 1][axis.b] > 1) return false;
      }
    }
    return true;
  }

  /// A dimension that moves every tensor, alone on its axis, and of which no constraint speaks: a loop over
  /// it lets nothing stay where it is, and makes tiles only larger. Outside of all others it ends no reuse.
  bool stands_outermost(std::size_t d) const {
    for (std::size_t t = 0; t < 3; ++t) {
      if (!p_.relevant(t, d) || p_.axis(t, d).two) return false;
    }
    for (std::size_t l = 0; l < p_.levels(); ++l) {
      const LevelConstraints& wanted = p_.level(l).constraints;
      if (p_.least_filled(l) > 0 || wants_rest(p_, l, d) || forced(p_, wanted.temporal_factors, d))
        return false;
      const std::string& name = p_.log().einsum.dimensions[d].name;
      if (std::find(wanted.order.begin(), wanted.order.end(), name) != wanted.order.end()) return false;
    }
    return true;
  }

  /// Places loops over some dimensions at level l.
  void loops(std::size_t l, const std::set<std::size_t>& dimensions) {
    const bool wait = may_wait(l);
    for (auto at = tiles_.begin(); at != tiles_.end(); ++at) {
      const Factors temporal = at->first.second;
      drop_hopeless(temporal, at->second, l);
      for (const auto& [standing, partials] : at->second) {
        bool concerned = !wait;
        for (std::size_t t = 0; t < 3; ++t) {
          concerned =
              concerned || standing.wanted[t] < 0 || standing.wanted[t] == static_cast<std::int8_t>(l);
        }
        if (!concerned) continue;  // nothing can be kept here
        for (const std::size_t d : dimensions) {
          const std::int64_t room_left = left(d, temporal);
          if (room_left == 1 || (l > 0 && stands_outermost(d))) continue;
          const auto must = forced(p_, p_.level(l).constraints.temporal_factors, d);
          if (must && (*must == 1 || (standing.placed >> d & 1) != 0)) continue;
          bool slides = false;
          for (std::size_t t = 0; t < 3; ++t) {
            slides = slides || (standing.wanted[t] < 0 && p_.relevant(t, d) && p_.axis(t, d).two);
          }
          for (std::int64_t n = 2; n <= room_left; ++n) {
            if (room_left % n != 0 || (must && n != *must)) continue;
            // Where nothing slides, one loop costs what several over its prime factors cost.
            bool prime = true;
            for (std::int64_t f = 2; f * f <= n; ++f) prime = prime && n % f != 0;
            if (!must && !slides && !prime) continue;
            Standing next = standing;
            if (must) next.placed = static_cast<std::uint8_t>(next.placed | 1U << d);
            for (const Partial& partial : partials) place(temporal, next, partial, 0, l, d, n);
          }
        }
      }
    }
    for (const std::size_t d : dimensions) {
      const auto must = forced(p_, p_.level(l).constraints.temporal_factors, d);
      if (!must || *must == 1) continue;
      for (auto& entry : tiles_) {
        std::erase_if(entry.second, [&](const auto& item) { return (item.first.placed >> d & 1) == 0; });
      }
    }
  }

  void place(const Factors& temporal, const Standing& standing, const Partial& partial, std::size_t t,
             std::size_t l, std::size_t d, std::int64_t n) {
    while (t < 3 && !(standing.wanted[t] < 0 && p_.relevant(t, d))) ++t;
    if (t == 3) {
      Factors longer = temporal;
      longer[d] *= n;
      Partial next = partial;
      next.moved = true;
      double energy = next.energy;
      for (std::size_t s = 0; s < 3; ++s) energy += alone(standing, s, l);
      if (below(next, energy)) add(longer, standing, next);
      return;
    }
    double outside = machine_.iterations() / static_cast<double>(n);
    for (std::size_t i = 0; i < p_.n(); ++i) outside /= static_cast<double>(temporal[i]);
    const auto fetched = [&](std::size_t c) {
      const Factors tile = tile_at(c, temporal);
      const double words = p_.words(t, tile);
      const double fresh = words - p_.staying(t, tile, d, temporal[d] * machine_.inside(l)[d]);
      return (words + static_cast<double>(n - 1) * fresh) * outside;
    };
    for (const std::size_t k : parents(t, outermost(standing.holding[t]), l)) {
      Partial next = partial;
      next.energy += climb(t, standing.holding[t], k, &next.ports, fetched);
      Standing then = standing;
      then.wanted[t] = static_cast<std::int8_t>(k);
      then.holding[t] = 0;
      place(temporal, then, next, t + 1, l, d, n);
    }
  }

  /// Decides what level l keeps.
  void settle(std::size_t l) {
    const bool wait = may_wait(l);
    const auto before = std::exchange(tiles_, {});
    for (const auto& [tile, standings] : before) {
      const Factors& temporal = tile.second;
      auto here = standings;
      drop_hopeless(temporal, here, l);
      const Factors now = tile_at(l, temporal);
      bool complete = true, rest = true;
      for (std::size_t d = 0; d < p_.n(); ++d) {
        complete = complete && now[d] == p_.size(d);
        rest = rest && (!wants_rest(p_, l, d) || now[d] == p_.size(d));
      }
      if (!rest || (l == 0 && !complete)) continue;
      for (const auto& [standing, partials] : here) {
        for (unsigned choice = 0; choice < 8; ++choice) {
          Standing next = standing;
          next.placed = 0;
          double bits = 0;
          bool allowed = true;
          for (std::size_t t = 0; t < 3; ++t) {
            const bool keep = (choice >> t & 1) != 0;
            const bool held = standing.wanted[t] < 0;
            if (held ? !(keep ? p_.may_keep(t, l) : p_.may_bypass(t, l))
                     : keep != (standing.wanted[t] == static_cast<std::int8_t>(l))) {
              allowed = false;
              break;
            }
            if (!keep) continue;
            next.wanted[t] = -1;
            next.holding[t] = static_cast<std::uint16_t>(next.holding[t] | 1U << l);
            bits += p_.words(t, now) * static_cast<double>(p_.level(l).word_bits[t]);
          }
          if (!allowed || bits > p_.capacity(l) || bits < p_.least_filled(l)) continue;
          for (const Partial& partial : partials) {
            if (wait && choice == 0 && partial.moved)
              continue;  // the same with these loops further out is looked at
            Partial kept = partial;
            kept.moved = false;
            if (l > 0) {
              add(temporal, next, kept);
              continue;
            }
            for (std::size_t t = 0; t < 3; ++t) {
              // Nothing moves what is still held: it is fetched once.
              kept.energy += climb(t, next.holding[t], 0, &kept.ports,
                                   [&](std::size_t c) { return p_.words(t, tile_at(c, temporal)); });
            }
            if (below(kept, kept.energy)) add(temporal, next, kept);
          }
        }
      }
    }
  }

  const Problem& p_;
  const Layout& layout_;
  Machine machine_;
  double cycles_;
  bool with_ports_;
  std::array<std::array<double, max_levels>, 3> chain_{};
  std::map<Tile, std::map<Standing, std::vector<Partial>>> tiles_;
};

// --- The whole mapspace.

class Tree {
 public:
  Tree(const Problem& p, std::map<std::vector<double>, Log::Part>& parts) : p_(p), parts_(parts) {
    for (std::size_t l = 0; l < p.levels(); ++l) {
      Factors spread;
      spread.fill(1);
      collect(l, 0, spread, p.log().architecture.fanout_x(l) * p.log().architecture.fanout_y(l));
      // No spread has more children than the first.
      std::stable_sort(spreads_[l].begin(), spreads_[l].end(),
                       [&](const Factors& a, const Factors& b) { return children(a) > children(b); });
      if (spreads_[l].empty()) empty_ = true;
    }
    // What passes the outermost level at least.
    least_energy_ = p.macs() * p.log().architecture.compute.energy_j;
    for (std::size_t t = 0; t < 3; ++t) {
      double words = 1;
      for (const Axis& axis : p.axes(t)) {
        const auto a = static_cast<double>(p.size(axis.a)), b = static_cast<double>(p.size(axis.b));
        words *= axis.two ? a + b - 1 : a;
      }
      least_energy_ +=
          words / p.block(t, 0) * (t == 2 ? p.level(0).energy.update_j : p.level(0).energy.read_j);
    }
  }

  std::size_t searched() const { return searched_; }

  void check() {
    if (!empty_) spread(0, 1);
    for (const auto& [key, part] : parts_) {
      if (!part.met) reject(part.line, "there is no such part of the mapspace");
    }
  }

 private:
  double children(const Factors& spread) const {
    double product = 1;
    for (std::size_t d = 0; d < p_.n(); ++d) product *= static_cast<double>(spread[d]);
    return product;
  }

  void collect(std::size_t l, std::size_t d, Factors& spread, std::int64_t room) {
    if (d == p_.n()) {
      const std::int64_t width = p_.log().architecture.fanout_x(l),
                         height = p_.log().architecture.fanout_y(l);
      const double least = static_cast<double>(width) * static_cast<double>(height) *
                           p_.level(l).constraints.min_fanout_utilization;
      if (children(spread) >= least && splits(p_, l, spread, 0, width, height)) spreads_[l].push_back(spread);
      return;
    }
    for (std::int64_t f = 1; f <= std::min(room, p_.size(d)); ++f) {
      if (p_.size(d) % f != 0) continue;
      spread[d] = f;
      collect(l, d + 1, spread, room / f);
    }
    spread[d] = 1;
  }

  void spread(std::size_t l, double used) {
    if (l == p_.levels()) return deliver(0, 0);
    double further = 1;
    for (std::size_t in = l + 1; in < p_.levels(); ++in) further *= children(spreads_[in][0]);
    for (const Factors& chosen : spreads_[l]) {
      const double now = used * children(chosen);
      // These and all that follow use too few multiply-accumulates.
      if (p_.price(p_.macs() / (now * further), least_energy_) >= p_.log().bound) break;
      bool possible = true;
      for (std::size_t d = 0; d < p_.n() && possible; ++d) {
        std::int64_t product = chosen[d];
        for (std::size_t o = 0; o < l; ++o) product *= layout_.spread[o][d];
        possible = p_.size(d) % product == 0;
        for (std::size_t in = l + 1; in < p_.levels(); ++in) {
          if (chosen[d] > 1 && wants_rest(p_, in, d)) possible = false;
        }
      }
      if (!possible) continue;
      layout_.spread[l] = chosen;
      spread(l + 1, now);
    }
  }

  /// What a fan-out delivers may depend on the tiles below it: all that is possible.
  void deliver(std::size_t l, std::size_t t) {
    if (t == 3) return deliver(l + 1, 0);
    if (l == p_.levels()) return part();
    std::set<double> possible;
    Factors inside, total;
    for (std::size_t d = 0; d < p_.n(); ++d) {
      inside[d] = total[d] = 1;
      for (std::size_t o = 0; o < p_.levels(); ++o) {
        total[d] *= layout_.spread[o][d];
        if (o > l) inside[d] *= layout_.spread[o][d];
      }
    }
    // Every extent of the tile below in the dimensions that matter.
    std::vector<std::size_t> matter;
    for (const Axis& axis : p_.axes(t)) {
      if (axis.two && layout_.spread[l][axis.a] > 1 && layout_.spread[l][axis.b] > 1) {
        matter.push_back(axis.a);
        matter.push_back(axis.b);
      }
    }
    Factors below = inside;
    const auto every = [&](const auto& self, std::size_t i) -> void {
      if (i == matter.size()) {
        possible.insert(delivered(p_, t, l, layout_.spread[l], below));
        return;
      }
      const std::size_t d = matter[i];
      const std::int64_t most = p_.size(d) / total[d];
      for (std::int64_t f = 1; f <= most; ++f) {
        if (most % f != 0) continue;
        below[d] = inside[d] * f;
        self(self, i + 1);
      }
    };
    every(every, 0);
    for (const double count : possible) {
      layout_.delivered[l][t] = count;
      deliver(l, t + 1);
    }
  }

  void part() {
    const Search look(p_, layout_, 0, false);
    std::map<double, Value> groups;
    look.feeding([&](const auto&, const Partial& partial, double later) {
      if (!(partial.energy + later < endless)) return;
      const double cycles = port_cycles(p_, partial.ports, look.machine().iterations());
      const Value bound = p_.price(cycles, look.machine().total(partial.energy + later, cycles));
      const auto [entry, fresh] = groups.emplace(cycles, bound);
      if (!fresh) entry->second = std::min(entry->second, bound);
    });
    for (const auto& [cycles, bound] : groups) {
      std::vector<double> key;
      for (std::size_t l = 0; l < p_.levels(); ++l) {
        for (std::size_t d = 0; d < p_.n(); ++d) key.push_back(static_cast<double>(layout_.spread[l][d]));
      }
      for (std::size_t l = 0; l < p_.levels(); ++l) {
        key.insert(key.end(), layout_.delivered[l].begin(), layout_.delivered[l].end());
      }
      key.push_back(cycles);
      const auto logged = parts_.find(key);
      if (logged != parts_.end()) {
        logged->second.met = true;
        const Value& stated = logged->second.bound;
        constexpr double room = 1e-9;
        if (stated.first > bound.first * (1 + room) ||
            (stated.first >= bound.first && stated.second > bound.second * (1 + room))) {
          reject(logged->second.line,
                 fmt::format("the bound of this part is {}, not {}", bound.first, stated.first));
        }
      }
      if (bound >= p_.log().bound) continue;
      if (logged == parts_.end()) {
        reject(
            p_.log().claim_line,
            fmt::format(
                "a part of the mapspace is missing: spread over {} multiply-accumulates, {} cycles, bound {}",
                whole_children(), cycles, bound.first));
      }
      ++searched_;
      if (Search(p_, layout_, cycles, false).any_below() && Search(p_, layout_, cycles, true).any_below()) {
        reject(logged->second.line, "this part holds a mapping below the claimed bound");
      }
    }
  }

  double whole_children() const {
    double product = 1;
    for (std::size_t l = 0; l < p_.levels(); ++l) product *= children(layout_.spread[l]);
    return product;
  }

  const Problem& p_;
  std::map<std::vector<double>, Log::Part>& parts_;
  std::array<std::vector<Factors>, max_levels> spreads_;
  Layout layout_;
  double least_energy_ = 0;
  std::size_t searched_ = 0;
  bool empty_ = false;
};

bool near(double a, double b) {
  return std::abs(a - b) <= 1e-9 * std::max(std::abs(a), std::abs(b));
}


/// What an accepted log shows, in a sentence. What is compared second counts only where the first is equal to the bit.
std::string shown(const Log& log, const Value& value, const Evaluation& cost) {
  constexpr double room = 2e-9;
  const bool first = log.goal == Goal::cycles_then_energy ? log.bound.first == value.first
                                                                    : log.bound.first >= value.first * (1 - room);
  const bool second = log.goal != Goal::cycles_then_energy || log.bound.second >= value.second * (1 - room);
  const std::string has = fmt::format("{} ({} cycles, {} J)", value.first, cost.cycles, cost.energy);
  if (first && second && log.goal != Goal::energy_then_cycles) {
    return fmt::format("proven: no mapping is better than this one's {} by more than two parts in 10^9", has);
  }
  if (first) {
    return fmt::format("proven: no mapping has less than this one's {} by more than two parts in 10^9; that none of those "
                       "with as much has {} is not shown",
                       has, log.goal == Goal::cycles_then_energy ? "less energy" : "fewer cycles");
  }
  return fmt::format("not proven to be the best: no mapping is below {}; this one has {}, a gap of {:.3g} %", log.bound.first,
                     has, log.bound.first > 0 ? 100 * (value.first / log.bound.first - 1) : endless);
}

}  // namespace
}  // namespace duet::proof

namespace duet {

ProofVerdict check_proof(std::istream& stream) {
  using namespace proof;
  try {
    Log log = read_log(stream);
    const Problem problem(log);
    const Evaluation cost = evaluate(problem, log.mapping);
    if (log.cycles != cost.cycles) {
      reject(log.claim_line, fmt::format("the mapping takes {} cycles, not {}", cost.cycles, log.cycles));
    }
    if (!near(log.energy, cost.energy)) {
      reject(log.claim_line, fmt::format("the mapping takes {} J, not {}", cost.energy, log.energy));
    }
    const Value value = problem.price(cost.cycles, cost.energy);
    if (!near(value.first, log.value.first) || !near(value.second, log.value.second)) {
      reject(log.claim_line,
             fmt::format("the value of the mapping is {}, not {}", value.first, log.value.first));
    }
    if (log.bound > value) {
      reject(log.claim_line,
             fmt::format("the claimed bound {} is above the mapping's own value", log.bound.first));
    }
    Tree tree(problem, log.parts);
    tree.check();
    return {true, 0, shown(log, value, cost), tree.searched()};
  } catch (const Rejected& rejected) {
    return {false, rejected.line, rejected.why, 0};
  }
}

}  // namespace duet
