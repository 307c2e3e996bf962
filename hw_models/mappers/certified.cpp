#include "hw_models/mappers/certified.hpp"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <chrono>
#include <cmath>
#include <exception>
#include <limits>
#include <map>
#include <ostream>
#include <set>
#include <thread>
#include <vector>

#include "hw_models/cost_kernel.hpp"
#include "hw_models/mappers/genetic.hpp"
#include "hw_models/mappers/proof.hpp"
#include "hw_models/mapspace.hpp"

namespace duet {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr std::size_t output = static_cast<std::size_t>(Tensor::output);
using Clock = std::chrono::steady_clock;

/// Bounds are sums of at most a few hundred doubles in another order than the cost model's: this covers their
/// rounding.
constexpr double tolerance = 1e-12;

/// Whether what is bounded by `bound` cannot be better than `best`.
bool hopeless(Objective::Kind kind, const ObjectiveValue& bound, const ObjectiveValue& best) {
  switch (kind) {
    case Objective::Kind::cycles:
      return bound.first >= best.first;
    case Objective::Kind::cycles_then_energy:  // cycles are whole numbers
      return bound.first > best.first ||
             (bound.first == best.first && bound.second >= best.second * (1 - tolerance));
    case Objective::Kind::energy_then_cycles:
      if (bound.first > best.first * (1 + tolerance)) return true;
      return bound.first >= best.first * (1 - tolerance) && bound.second >= best.second;
    case Objective::Kind::energy:
    case Objective::Kind::energy_delay:
    case Objective::Kind::weighted:
      break;
  }
  return bound.first >= best.first * (1 - tolerance);
}

/// What all nodes share.
struct Problem {
  const CostModel& model;
  const MapperRequest& request;
  Mapspace space;
  kernel::Plan plan;
  std::size_t levels, dimensions;
  std::vector<std::vector<std::int64_t>>
      parents;              ///< [t · (levels + 1) + child]: levels that may be the next to keep
  double least_energy = 0;  ///< of any mapping
  /// Dimensions on which every tensor depends, on an axis of its own: a loop over them gives no reuse to
  /// anybody, so that it stands best outside of everything. As bits; none where constraints could object.
  std::uint32_t shared = 0;
  Clock::time_point deadline = Clock::time_point::max();

  Problem(const CostModel& m, const MapperRequest& r)
      : model(m),
        request(r),
        space(m.einsum(), m.architecture()),
        plan(kernel::plan(m.einsum(), m.architecture(), m.options())),
        levels(plan.levels),
        dimensions(plan.dimensions) {
    if (r.time_limit_s < 1e9) {
      deadline = Clock::now() +
                 std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(r.time_limit_s));
    }
    for (std::size_t d = 0; d < dimensions; ++d) {
      bool everywhere = true;
      for (const kernel::TensorShape& tensor : plan.tensors) {
        everywhere = everywhere && tensor.relevant[d] && !tensor.axes[tensor.axis_of[d]].two;
      }
      for (std::size_t l = 0; l < levels; ++l) {
        const LevelRules& rules = space.rules(l);
        everywhere = everywhere && rules.min_capacity_bits == 0 && rules.fixed[d] == 0 && !rules.rest[d] &&
                     std::find(rules.order.begin(), rules.order.end(), d) == rules.order.end();
      }
      if (everywhere) shared |= 1U << d;
    }
    least_energy = plan.macs * plan.mac_energy_j;
    for (std::size_t t = 0; t < tensor_count; ++t) {
      for (std::size_t child = 0; child <= levels; ++child) {
        std::vector<std::int64_t> found;
        for (std::size_t k = child; k-- > 0;) {
          if (space.rules(k).may_keep[t]) found.push_back(static_cast<std::int64_t>(k));
          if (!space.rules(k).may_bypass[t]) break;
        }
        parents.push_back(std::move(found));
      }
      // Every word passes the outermost level at least once.
      double words = 1;
      for (std::size_t i = 0; i < plan.tensors[t].axis_count; ++i) {
        const kernel::Axis& axis = plan.tensors[t].axes[i];
        words *= axis.two ? plan.size[axis.a] + plan.size[axis.b] - 1 : plan.size[axis.a];
      }
      least_energy += words / plan.level[0].block_words[t] *
                      (t == output ? plan.level[0].update_j : plan.level[0].read_j);
    }
  }

  const std::vector<std::int64_t>& parents_of(std::size_t t, std::size_t child) const {
    return parents[t * (levels + 1) + child];
  }
  ObjectiveValue price(double cycles, double energy) const {
    return value(request.objective, cycles, energy, plan.clock_hz);
  }
  bool hopeless_against(const ObjectiveValue& bound, const ObjectiveValue& best) const {
    return hopeless(request.objective.kind, bound, best);
  }
  bool late() const { return deadline != Clock::time_point::max() && Clock::now() > deadline; }
};

/// A part of the mapspace: one spread of every fan-out, how many different tiles each of them delivers (which
/// depends on the tiles where two terms of an axis are both spread), and how long the ports that feed the
/// multiply-accumulates are busy.
struct Part {
  std::array<std::uint32_t, max_levels> spread{};
  std::array<std::array<double, tensor_count>, max_levels> delivered{};
  double cycles = 0;  ///< at least; all innermost levels with this many
  ObjectiveValue bound;
};

using Energy = double;

/// Costs within a node.
class PartModel {
 public:
  PartModel(const Problem& problem, const Part& node)
      : p_(problem), plan_(problem.plan), levels_(plan_.levels) {
    inside_[levels_].fill(1);
    for (std::size_t l = levels_; l-- > 0;) {
      const Spread& spread = p_.space.spreads(l)[node.spread[l]];
      for (std::size_t d = 0; d < plan_.dimensions; ++d) {
        inside_[l][d] = inside_[l + 1][d] * static_cast<double>(spread.factors[d]);
      }
    }
    instances_[0] = 1;
    std::array<double, max_dimensions> outside;
    outside.fill(1);
    iterations_ = 1;
    for (std::size_t d = 0; d < plan_.dimensions; ++d) iterations_ *= plan_.size[d] / inside_[0][d];
    leak_ = 0;
    for (std::size_t l = 0; l <= levels_; ++l) {
      double parts = 1;
      for (std::size_t d = 0; d < plan_.dimensions; ++d) {
        if (plan_.tensors[output].relevant[d]) parts *= outside[d];
      }
      own_[l] = plan_.output_words / parts;
      for (std::size_t t = 0; t < tensor_count; ++t) {
        double words = 1;
        for (std::size_t i = 0; i < plan_.tensors[t].axis_count; ++i) {
          const kernel::Axis& axis = plan_.tensors[t].axes[i];
          const double a = plan_.size[axis.a] / outside[axis.a], b = plan_.size[axis.b] / outside[axis.b];
          words *= axis.two ? a + b - 1 : a;
        }
        least_[t][l] = words;
      }
      if (l == levels_) break;
      leak_ += instances_[l] * plan_.level[l].leak_j;
      const Spread& spread = p_.space.spreads(l)[node.spread[l]];
      instances_[l + 1] = instances_[l] * static_cast<double>(spread.children);
      for (std::size_t d = 0; d < plan_.dimensions; ++d) outside[d] *= static_cast<double>(spread.factors[d]);
    }
    for (std::size_t t = 0; t < tensor_count; ++t) {
      for (std::size_t c = 1; c <= levels_; ++c) {
        double product = 1;
        for (std::size_t k = c; k-- > 0;) between_[t][k][c] = product = product * node.delivered[k][t];
      }
      from_[t][0] = 0;
      for (std::size_t c = 1; c < levels_; ++c) {
        from_[t][c] = infinite;
        for (const std::int64_t parent : p_.parents_of(t, c)) {
          const auto k = static_cast<std::size_t>(parent);
          from_[t][c] = std::min(from_[t][c], step(t, c, k, least_[t][c]) + from_[t][k]);
        }
      }
    }
  }

  const std::array<double, max_dimensions>& inside(std::size_t l) const { return inside_[l]; }
  double iterations() const { return iterations_; }
  double least(std::size_t t, std::size_t c) const { return least_[t][c]; }
  /// What the chain of a tensor from level c outwards costs at least.
  Energy from(std::size_t t, std::size_t c) const { return from_[t][c]; }
  /// All energy, given what data movement takes.
  Energy total(Energy movement, double cycles) const {
    return plan_.macs * plan_.mac_energy_j + movement + leak_ * cycles;
  }

  /// Filling `words` into each instance's tile at level c, by way of level k. c = levels: the
  /// multiply-accumulates.
  Energy step(std::size_t t, std::size_t c, std::size_t k, double words) const {
    const kernel::Plan::Level& parent = plan_.level[k];
    const double wanted = words * between_[t][k][c];
    const kernel::Divisor& block = parent.block_words[t];
    Energy energy = 0;
    if (t == output) {
      if (c < levels_) {
        energy = kernel::round_up((words - own_[c]) / plan_.level[c].block_words[t]) *
                 plan_.level[c].write_j * instances_[c];
      }
      return energy + (kernel::round_up((wanted - own_[k]) / block) * parent.read_j +
                       kernel::round_up(wanted / block) * parent.update_j) *
                          instances_[k];
    }
    if (c < levels_) {
      energy =
          kernel::round_up(words / plan_.level[c].block_words[t]) * plan_.level[c].write_j * instances_[c];
    }
    return energy + kernel::round_up(wanted / block) * parent.read_j * instances_[k];
  }

  /// The same as words through the ports of an instance: [2 · level] reads, [2 · level + 1] writes.
  void load(std::size_t t, std::size_t c, std::size_t k, double words, double* loads) const {
    const double wanted = words * between_[t][k][c];
    if (t == output) {
      if (c < levels_) loads[2 * c + 1] += words - own_[c];
      loads[2 * k] += wanted - own_[k];
      loads[2 * k + 1] += wanted;
    } else {
      if (c < levels_) loads[2 * c + 1] += words;
      loads[2 * k] += wanted;
    }
  }
  /// Cycles that the slowest port needs, and computing.
  double cycles(const double* loads) const {
    double most = iterations_;
    for (std::size_t l = 0; l < levels_; ++l) {
      const kernel::Plan::Level& level = plan_.level[l];
      if (!level.bounded_ports) continue;
      const double reads = loads[2 * l], writes = loads[2 * l + 1];
      double busy = 0;
      if (level.bounded_read) busy = std::max(busy, reads / level.read_bandwidth);
      if (level.bounded_write) busy = std::max(busy, writes / level.write_bandwidth);
      if (level.bounded_shared) busy = std::max(busy, (reads + writes) / level.shared_bandwidth);
      most = std::max(most, kernel::round_up(busy));
    }
    return most;
  }

  /// Words into one instance's tile at level c, that has `words`, if the innermost relevant loop above it
  /// runs over dimension d with n iterations in the loops of level l, where `tile` stands inside of that loop
  /// and `outer` iterations outside.
  double fetched(std::size_t t, std::size_t c, std::size_t l, const std::array<double, max_dimensions>& steps,
                 std::size_t d, double n, double outer) const {
    const kernel::TensorShape& tensor = plan_.tensors[t];
    std::array<double, max_dimensions> tile;
    for (std::size_t i = 0; i < plan_.dimensions; ++i) tile[i] = steps[i] * inside_[c][i];
    const double words = kernel::tile_words(plan_, tensor, tile);
    const kernel::Axis& axis = tensor.axes[tensor.axis_of[d]];
    double slide = words;
    if (axis.two) {
      const double na = tile[axis.a], nb = tile[axis.b];
      const bool moves_a = axis.a == d;
      const double shared =
          kernel::overlap(axis, moves_a, na, nb, moves_a ? na : nb, steps[d] * inside_[l][d], plan_.distinct);
      slide = words - words / kernel::extent(axis, na, nb, plan_.distinct) * shared;
    }
    return (words + (n - 1) * slide) * outer;
  }
  double words(std::size_t t, std::size_t c, const std::array<double, max_dimensions>& steps) const {
    std::array<double, max_dimensions> tile;
    for (std::size_t i = 0; i < plan_.dimensions; ++i) tile[i] = steps[i] * inside_[c][i];
    return kernel::tile_words(plan_, plan_.tensors[t], tile);
  }

  /// The choices of innermost levels: every one with the cycles of its ports and energy.
  template <class Visit>
  void innermost(const Visit& visit) const {
    std::array<std::size_t, tensor_count> chosen{};
    for (const std::int64_t w : p_.parents_of(0, levels_)) {
      for (const std::int64_t i : p_.parents_of(1, levels_)) {
        for (const std::int64_t o : p_.parents_of(2, levels_)) {
          chosen = {static_cast<std::size_t>(w), static_cast<std::size_t>(i), static_cast<std::size_t>(o)};
          std::array<double, 2 * max_levels> loads{};
          Energy energy = 0, rest = 0;
          for (std::size_t t = 0; t < tensor_count; ++t) {
            energy += step(t, levels_, chosen[t], iterations_);
            rest += from_[t][chosen[t]];
            load(t, levels_, chosen[t], iterations_, loads.data());
          }
          visit(chosen, cycles(loads.data()), energy, rest, loads);
        }
      }
    }
  }

 private:
  const Problem& p_;
  const kernel::Plan& plan_;
  std::size_t levels_;
  std::array<std::array<double, max_dimensions>, max_levels + 1> inside_{};
  std::array<double, max_levels + 1> instances_{}, own_{};
  std::array<std::array<double, max_levels + 1>, tensor_count> least_{};
  std::array<std::array<std::array<double, max_levels + 1>, max_levels>, tensor_count> between_{};
  std::array<std::array<Energy, max_levels>, tensor_count> from_{};
  double iterations_ = 1, leak_ = 0;
};

/// Where a tensor stands on the way outwards: wanted by level k next (nothing in between keeps it), or its
/// tile at some levels still waits for the innermost relevant loop above it.
struct State {
  static constexpr std::uint16_t open_flag = 0x8000;
  static std::uint16_t closed(std::size_t k) { return static_cast<std::uint16_t>(k); }
  static bool is_open(std::uint16_t state) { return (state & open_flag) != 0; }
  static std::uint16_t of(std::uint64_t key, std::size_t t) {
    return static_cast<std::uint16_t>(key >> (16 * t));
  }
  static std::uint64_t with(std::uint64_t key, std::size_t t, std::uint16_t state) {
    const unsigned shift = static_cast<unsigned>(16 * t);
    return (key & ~(std::uint64_t{0xffff} << shift)) | (std::uint64_t{state} << shift);
  }
  static std::uint64_t done_bit(std::size_t d) { return std::uint64_t{1} << (48 + d); }
  static constexpr std::uint64_t tensors = (std::uint64_t{1} << 48) - 1;
};

/// The dynamic programme of a node.
class Solver {
 public:
  enum class Status { solved, stopped };

  /// `beam`: states of a tile at most, the others are forgotten; 0: all that are needed for a proof.
  Solver(const Problem& problem, const Part& node, const ObjectiveValue& limit, bool ports,
         Energy most_energy, std::uint64_t most_states, std::size_t beam)
      : p_(problem),
        plan_(problem.plan),
        node_(node),
        model_(problem, node),
        limit_(limit),
        ports_(ports),
        most_energy_(most_energy),
        most_states_(most_states),
        beam_(beam) {}

  Status run() {
    prepare();
    start();
    for (std::size_t l = plan_.levels; l-- > 0;) {
      cross(l);
      const LevelRules& rules = p_.space.rules(l);
      std::uint32_t ordered = 0;
      for (const std::size_t d : rules.order) ordered |= 1U << d;
      for (std::size_t i = rules.order.size(); i-- > 0;) {
        if (!sweep(l, 1U << rules.order[i])) return Status::stopped;
      }
      if (!sweep(l, ~ordered)) return Status::stopped;
      if (l > 0) {
        if (!boundary(l)) return Status::stopped;
      } else {
        finish();
      }
    }
    return Status::solved;
  }

  bool found() const { return best_ != nothing; }
  bool trimmed() const { return trimmed_; }  ///< something was dropped for most_energy alone
  std::uint64_t states() const { return states_; }
  double best_cycles() const { return best_cycles_; }

  Mapping mapping() const {
    Mapping mapping;
    mapping.level_count = plan_.levels;
    std::array<std::vector<std::pair<std::size_t, std::int64_t>>, max_levels> loops;  // outermost first
    std::size_t l = 0;
    for (std::uint32_t at = best_; at != nothing; at = trail_[at].from) {
      const Trail& trail = trail_[at];
      if (trail.what >= keep_kind) {
        // The boundary of the level whose loops follow, further in.
        l = trail.level;
        for (std::size_t t = 0; t < tensor_count; ++t)
          mapping.levels[l].keep[t] = ((trail.what - keep_kind) >> t & 1) != 0;
      } else if (trail.what < max_dimensions) {
        loops[l].emplace_back(trail.what, trail.factor);
      }
    }
    for (std::size_t i = 0; i < plan_.levels; ++i) {
      LevelMapping& level = mapping.levels[i];
      const Spread& spread = p_.space.spreads(i)[node_.spread[i]];
      level.x = spread.x;
      level.y = spread.y;
      // A dimension that stands in several places goes to the innermost: that is never worse.
      std::vector<std::uint8_t> order;
      for (std::size_t j = loops[i].size(); j-- > 0;) {
        const auto [d, n] = loops[i][j];
        if (level.temporal[d] == 1) order.push_back(static_cast<std::uint8_t>(d));
        level.temporal[d] *= n;
      }
      for (std::size_t d = 0; d < plan_.dimensions; ++d) {
        if (level.temporal[d] == 1) order.push_back(static_cast<std::uint8_t>(d));
      }
      std::reverse(order.begin(), order.end());
      std::copy(order.begin(), order.end(), level.order.begin());
    }
    return mapping;
  }

 private:
  static constexpr std::uint32_t nothing = 0xffffffff;
  static constexpr std::uint8_t keep_kind = 64, start_kind = 32;
  struct Trail {
    std::uint32_t from, factor;
    std::uint8_t what, level;
  };
  struct Label {
    std::uint64_t key;
    Energy energy;
    std::uint32_t from, factor;  ///< of the trail
    std::uint32_t self;          ///< its own trail, if there is one already
    std::uint32_t loads;         ///< in loads_
    std::uint8_t what, level;
  };
  struct Successor {
    std::uint32_t offset;  ///< of the index
    std::int64_t n;
    bool prime;
  };

  void prepare() {
    std::size_t stride = 1;
    for (std::size_t d = 0; d < plan_.dimensions; ++d) {
      list_[d] = divisors(static_cast<std::int64_t>(plan_.size[d] / model_.inside(0)[d]));
      stride_[d] = stride;
      successors_[d].resize(list_[d].size());
      for (std::size_t i = 0; i < list_[d].size(); ++i) {
        for (std::size_t j = i + 1; j < list_[d].size(); ++j) {
          if (list_[d][j] % list_[d][i] != 0) continue;
          const std::int64_t n = list_[d][j] / list_[d][i];
          bool prime = true;
          for (std::int64_t f = 2; f * f <= n; ++f) prime = prime && n % f != 0;
          successors_[d][i].push_back({static_cast<std::uint32_t>((j - i) * stride), n, prime});
        }
      }
      stride *= list_[d].size();
    }
    tiles_ = stride;
    buckets_.assign(tiles_, {});
    width_ = ports_ ? 2 * plan_.levels : 0;
    for (std::size_t t = 0; t < tensor_count; ++t) {
      rest_[t].assign((plan_.levels + 1) << plan_.levels, -1);
    }
  }

  /// The indices of a tile's temporal factors, and the factors.
  void decode(std::size_t u) {
    volume_ = 1;
    for (std::size_t d = 0; d < plan_.dimensions; ++d) {
      index_[d] = u / stride_[d] % list_[d].size();
      steps_[d] = static_cast<double>(list_[d][index_[d]]);
      volume_ *= steps_[d];
    }
  }

  void start() {
    model_.innermost([&](const auto& chosen, double cycles, Energy energy, Energy, const auto& loads) {
      if (cycles != node_.cycles) return;
      Label label{};
      for (std::size_t t = 0; t < tensor_count; ++t)
        label.key = State::with(label.key, t, State::closed(chosen[t]));
      label.energy = energy;
      label.from = nothing;
      label.what = start_kind;
      label.self = nothing;
      add(0, label, plan_.levels, loads.data());
    });
  }

  std::uint32_t keep_loads(const double* loads) {
    const auto at = static_cast<std::uint32_t>(loads_.size() / width_);
    loads_.insert(loads_.end(), loads, loads + width_);
    return at;
  }

  /// What a tensor in a state costs at least from here; loops of level l and further out are left.
  Energy rest(std::size_t t, std::uint16_t state, std::size_t l) {
    if (!State::is_open(state)) return model_.from(t, state);
    const unsigned mask = state & (State::open_flag - 1U);
    Energy& known = rest_[t][(l << plan_.levels) + mask];
    if (known >= 0) return known;
    Energy energy = 0;
    std::size_t inner = plan_.levels;
    for (std::size_t c = plan_.levels; c-- > 0;) {
      if ((mask >> c & 1) == 0) continue;
      if (inner < plan_.levels) energy += model_.step(t, inner, c, model_.least(t, inner));
      inner = c;
    }
    Energy out = infinite;
    for (const std::int64_t parent : p_.parents_of(t, inner)) {
      const auto k = static_cast<std::size_t>(parent);
      if (k <= l) out = std::min(out, model_.step(t, inner, k, model_.least(t, inner)) + model_.from(t, k));
    }
    return known = energy + out;
  }

  /// What a state costs at least from the tile decoded last, if loops of level l and further out are left:
  /// the first of them that is relevant to an open tensor closes all such tensors at this tile, but for loops
  /// before it that no open tensor depends on.
  Energy prospect(std::uint64_t key, std::size_t l) {
    std::array<Energy, tensor_count> alone;
    std::array<bool, tensor_count> open;
    Energy all = 0;
    std::uint32_t relevant = 0;
    for (std::size_t t = 0; t < tensor_count; ++t) {
      alone[t] = rest(t, State::of(key, t), l);
      open[t] = State::is_open(State::of(key, t));
      if (open[t]) {
        for (std::size_t d = 0; d < plan_.dimensions; ++d)
          relevant |= plan_.tensors[t].relevant[d] ? 1U << d : 0U;
      }
      all += alone[t];
    }
    if (relevant == 0) return all;
    double free = 1;
    bool left = false;
    std::uint32_t unfinished = 0;
    for (std::size_t d = 0; d < plan_.dimensions; ++d) {
      if (index_[d] + 1 == list_[d].size()) continue;
      unfinished |= 1U << d;
      if ((relevant >> d & 1) != 0) {
        left = true;
      } else {
        free *= static_cast<double>(list_[d].back() / list_[d][index_[d]]);
      }
    }
    if (!left) return all;
    if ((unfinished & relevant & ~p_.shared) != 0)
      relevant &= ~p_.shared;  // those stand outside of the others
    Energy best = infinite;
    std::array<std::array<Energy, 2>, tensor_count> plain;  // closed by a loop that does not slide
    for (auto& entry : plain) entry[0] = -1;
    for (std::size_t d = 0; d < plan_.dimensions; ++d) {
      if ((relevant >> d & 1) == 0 || index_[d] + 1 == list_[d].size()) continue;
      Energy energy = 0;
      for (std::size_t t = 0; t < tensor_count; ++t) {
        if (!open[t] || !plan_.tensors[t].relevant[d]) {
          energy += alone[t];
          continue;
        }
        const bool slides = plan_.tensors[t].axes[plan_.tensors[t].axis_of[d]].two;
        if (!slides && plain[t][0] >= 0) {
          energy += plain[t][0];
          continue;
        }
        const Energy closing =
            closing_at_least(t, State::of(key, t) & (State::open_flag - 1U), l, d, slides, free);
        if (!slides) plain[t][0] = closing;
        energy += closing;
      }
      best = std::min(best, energy);
    }
    return best;
  }

  /// What must still come through the ports of the levels that a state names: every word of a tile once.
  std::array<double, 2 * max_levels> loads_ahead(std::uint64_t key) const {
    std::array<double, 2 * max_levels> loads{};
    for (std::size_t t = 0; t < tensor_count; ++t) {
      const std::uint16_t state = State::of(key, t);
      const unsigned mask = State::is_open(state) ? state & (State::open_flag - 1U) : 1U << state;
      std::size_t inner = plan_.levels;
      for (std::size_t c = plan_.levels; c-- > 0;) {
        if ((mask >> c & 1) == 0) continue;
        if (inner < plan_.levels) model_.load(t, inner, c, model_.least(t, inner), loads.data());
        inner = c;
      }
      if (inner > 0 && t != output) loads[2 * inner + 1] += model_.least(t, inner);
    }
    return loads;
  }

  /// Whether a label is no worse than another of the same state in anything that can still make a difference:
  /// its cycles so far and the loads of levels whose ports are not done with.
  bool no_worse(const Label& a, const Label& b, std::size_t l) const {
    std::uint32_t pending = (2U << l) - 1;
    for (std::size_t t = 0; t < tensor_count; ++t) {
      const std::uint16_t state = State::of(a.key, t);
      if (State::is_open(state)) pending |= state & (State::open_flag - 1U);
    }
    const double *x = loads_of(a), *y = loads_of(b);
    for (std::size_t w = 0; w < width_; ++w) {
      if ((pending >> (w / 2) & 1) != 0 && plan_.level[w / 2].bounded_ports && x[w] > y[w]) return false;
    }
    return std::max(node_.cycles, model_.cycles(x)) <= std::max(node_.cycles, model_.cycles(y));
  }

  /// Whether what is wanted by levels further out can still fit there: tiles only grow.
  bool fits(std::uint64_t key) const {
    for (std::size_t t = 0; t < tensor_count; ++t) {
      const std::uint16_t k = State::of(key, t);
      if (State::is_open(k) || !plan_.level[k].bounded_capacity) continue;
      double held = 0;
      for (std::size_t other = t; other < tensor_count; ++other) {
        if (State::of(key, other) == k)
          held += model_.words(other, k, steps_) * plan_.level[k].word_bits[other];
      }
      if (held > plan_.level[k].capacity_bits) return false;
    }
    return true;
  }

  Energy closing_at_least(std::size_t t, unsigned mask, std::size_t l, std::size_t d, bool slides,
                          double free) const {
    const double n = slides ? static_cast<double>(list_[d].back() / list_[d][index_[d]]) : 1;
    const double outer = model_.iterations() / volume_ / n / free;
    // With a fan-out in between the step may be larger; only boxes are sure to share less then.
    const bool sure = !plan_.distinct || model_.inside(l)[d] == model_.inside(0)[d];
    Energy energy = 0;
    std::size_t inner = plan_.levels;
    double words = 0;
    for (std::size_t c = plan_.levels; c-- > 0;) {
      if ((mask >> c & 1) == 0) continue;
      if (inner < plan_.levels) energy += model_.step(t, inner, c, words);
      words =
          slides && !sure ? model_.words(t, c, steps_) * outer : model_.fetched(t, c, l, steps_, d, n, outer);
      words = std::max(words, model_.least(t, c));
      inner = c;
    }
    Energy out = infinite;
    for (const std::int64_t parent : p_.parents_of(t, inner)) {
      const auto k = static_cast<std::size_t>(parent);
      if (k <= l) out = std::min(out, model_.step(t, inner, k, words) + model_.from(t, k));
    }
    return energy + out;
  }

  /// `loads`: the label's, if they are new; null: they are stored already.
  void add(std::size_t u, const Label& label, std::size_t l, const double* loads = nullptr) {
    Energy energy = label.energy;
    for (std::size_t t = 0; t < tensor_count; ++t) energy += rest(t, State::of(label.key, t), l);
    if (!promising(energy, loads != nullptr || !ports_ ? loads : loads_of(label))) return;
    buckets_[u].push_back(label);
    if (ports_ && loads != nullptr) buckets_[u].back().loads = keep_loads(loads);
  }

  const double* loads_of(const Label& label) const { return &loads_[label.loads * width_]; }

  /// Whether something that costs `energy` in the end may be better than the limit.
  bool promising(Energy energy, const double* loads) {
    if (!(energy < infinite)) return false;
    const double cycles = ports_ ? std::max(node_.cycles, model_.cycles(loads)) : node_.cycles;
    if (p_.hopeless_against(p_.price(cycles, model_.total(energy, cycles)), limit_)) return false;
    if (energy > most_energy_) {
      trimmed_ = true;
      return false;
    }
    return true;
  }

  /// Leaves the best of equal states, and of those that could still differ in their ports all that are best
  /// in something.
  void reduce(std::vector<Label>& labels, std::size_t l) {
    std::sort(labels.begin(), labels.end(), [](const Label& a, const Label& b) {
      if (a.key != b.key) return a.key < b.key;
      if (a.energy != b.energy) return a.energy < b.energy;
      if (a.from != b.from) return a.from < b.from;
      return a.what != b.what ? a.what < b.what : a.factor < b.factor;
    });
    std::size_t kept = 0, first = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (kept == 0 || labels[i].key != labels[kept - 1].key) {
        first = kept;
      } else {
        bool dominated = !ports_;
        for (std::size_t j = first; !dominated && j < kept; ++j)
          dominated = no_worse(labels[j], labels[i], l);
        if (dominated) continue;
      }
      labels[kept++] = labels[i];
    }
    labels.resize(kept);
    // Equal keys have equal prospects.
    std::uint64_t key = ~std::uint64_t{0};
    Energy ahead = 0;
    std::array<double, 2 * max_levels> more{};
    std::erase_if(labels, [&](const Label& label) {
      if ((label.key & State::tensors) != key) {
        key = label.key & State::tensors;
        ahead = fits(key) ? prospect(key, l) : infinite;
        if (ports_) more = loads_ahead(key);
      }
      if (!ports_) return !promising(label.energy + ahead, nullptr);
      auto loads = more;
      for (std::size_t w = 0; w < width_; ++w) loads[w] += loads_of(label)[w];
      return !promising(label.energy + ahead, loads.data());
    });
    if (beam_ > 0 && labels.size() > beam_) {
      std::stable_sort(labels.begin(), labels.end(),
                       [](const Label& a, const Label& b) { return a.energy < b.energy; });
      labels.resize(beam_);
    }
    for (Label& label : labels) {
      if (label.self != nothing) continue;
      label.self = static_cast<std::uint32_t>(trail_.size());
      trail_.push_back({label.from, label.factor, label.what, label.level});
    }
  }

  bool stop() {
    ++states_;
    if (states_ > most_states_ || trail_.size() > 60'000'000 || loads_.size() > 60'000'000) return true;
    return (states_ & 0xfff) == 0 && p_.late();
  }

  /// Whether loops of level l, if it keeps nothing, could as well stand at the level above: no rule speaks of
  /// them, and the fan-out in between spreads no dimension of an axis with two terms, whose strides would
  /// change.
  bool idle(std::size_t l) const {
    if (l == 0) return false;
    const LevelRules &rules = p_.space.rules(l), &above = p_.space.rules(l - 1);
    if (!rules.order.empty() || !above.order.empty()) return false;
    for (std::size_t d = 0; d < plan_.dimensions; ++d) {
      if (rules.fixed[d] != 0 || above.fixed[d] != 0 || rules.rest[d]) return false;
    }
    const FactorVector& factors = p_.space.spreads(l - 1)[node_.spread[l - 1]].factors;
    for (const kernel::TensorShape& tensor : plan_.tensors) {
      for (std::size_t i = 0; i < tensor.axis_count; ++i) {
        const kernel::Axis& axis = tensor.axes[i];
        if (axis.two && (factors[axis.a] > 1 || factors[axis.b] > 1)) return false;
      }
    }
    return true;
  }

  /// Keeps the tiles whose fan-out delivers what the node says.
  void cross(std::size_t l) {
    const Spread& spread = p_.space.spreads(l)[node_.spread[l]];
    if (spread.children == 1) return;
    for (std::size_t t = 0; t < tensor_count; ++t) {
      if (!(t == output ? plan_.level[l].reduction : plan_.level[l].multicast)) continue;
      const kernel::TensorShape& tensor = plan_.tensors[t];
      bool depends = false;
      for (std::size_t i = 0; i < tensor.axis_count; ++i) {
        const kernel::Axis& axis = tensor.axes[i];
        depends = depends || (axis.two && spread.factors[axis.a] > 1 && spread.factors[axis.b] > 1);
      }
      if (!depends) continue;
      for (std::size_t u = 0; u < tiles_; ++u) {
        if (buckets_[u].empty()) continue;
        decode(u);
        if (delivered(tensor, spread, l) != node_.delivered[l][t]) buckets_[u].clear();
      }
    }
  }

  double delivered(const kernel::TensorShape& tensor, const Spread& spread, std::size_t l) const {
    double count = 1;
    for (std::size_t i = 0; i < tensor.axis_count; ++i) {
      const kernel::Axis& axis = tensor.axes[i];
      const auto a = static_cast<double>(spread.factors[axis.a]),
                 b = static_cast<double>(spread.factors[axis.b]);
      count *= axis.two
                   ? kernel::sums(a, b, steps_[axis.a] * model_.inside(l + 1)[axis.a] * axis.coefficient_a,
                                  steps_[axis.b] * model_.inside(l + 1)[axis.b] * axis.coefficient_b)
                   : a;
    }
    return count;
  }

  /// Whether a state leads to nothing kept at level l, whatever its loops.
  static bool keeps_nothing(std::uint64_t key, std::size_t l) {
    for (std::size_t t = 0; t < tensor_count; ++t) {
      const std::uint16_t state = State::of(key, t);
      if (State::is_open(state) || state == State::closed(l)) return false;
    }
    return true;
  }

  /// Puts loops over the dimensions of `allowed` at level l on all tiles.
  bool sweep(std::size_t l, std::uint32_t allowed) {
    const LevelRules& rules = p_.space.rules(l);
    const bool may_idle = idle(l);
    if (l > 0) allowed &= ~p_.shared;
    for (std::size_t u = 0; u < tiles_; ++u) {
      if (buckets_[u].empty()) continue;
      decode(u);
      reduce(buckets_[u], l);
      for (std::size_t i = 0; i < buckets_[u].size(); ++i) {
        if (stop()) return false;
        const Label label = buckets_[u][i];
        if (may_idle && keeps_nothing(label.key, l)) continue;
        std::array<double, 2 * max_levels> here;  // the pool may move
        if (ports_) std::copy_n(loads_of(label), width_, here.begin());
        for (std::size_t d = 0; d < plan_.dimensions; ++d) {
          if ((allowed >> d & 1) == 0 || successors_[d][index_[d]].empty()) continue;
          const bool fixed = rules.fixed[d] != 0;
          if (fixed && (rules.fixed[d] == 1 || (label.key & State::done_bit(d)) != 0)) continue;
          bool closes = false, slides = false;
          for (std::size_t t = 0; t < tensor_count; ++t) {
            if (!State::is_open(State::of(label.key, t)) || !plan_.tensors[t].relevant[d]) continue;
            closes = true;
            slides = slides || plan_.tensors[t].axes[plan_.tensors[t].axis_of[d]].two;
          }
          for (const Successor& next : successors_[d][index_[d]]) {
            if (fixed ? next.n != rules.fixed[d] : !next.prime && !slides) continue;
            Label moved = label;
            moved.from = label.self;
            moved.self = nothing;
            moved.what = static_cast<std::uint8_t>(d);
            moved.factor = static_cast<std::uint32_t>(next.n);
            moved.level = static_cast<std::uint8_t>(l);
            if (fixed) moved.key |= State::done_bit(d);
            if (closes) {
              close(moved, ports_ ? here.data() : nullptr, 0, l, d, static_cast<double>(next.n),
                    u + next.offset);
            } else {
              add(u + next.offset, moved, l);
            }
          }
        }
      }
    }
    for (std::size_t d = 0; d < plan_.dimensions; ++d) {
      if ((allowed >> d & 1) == 0 || rules.fixed[d] <= 1) continue;
      for (auto& labels : buckets_) {
        std::erase_if(labels, [&](const Label& label) { return (label.key & State::done_bit(d)) == 0; });
      }
    }
    return true;
  }

  /// The loop over d closes the open tensors from `t` on.
  void close(const Label& label, const double* before_loads, std::size_t t, std::size_t l, std::size_t d,
             double n, std::size_t to) {
    while (t < tensor_count && !(State::is_open(State::of(label.key, t)) && plan_.tensors[t].relevant[d]))
      ++t;
    if (t == tensor_count) {
      std::array<double, 2 * max_levels> loads;
      if (ports_) std::copy_n(before_loads, width_, loads.begin());  // the pool may move
      add(to, label, l, ports_ ? loads.data() : nullptr);
      return;
    }
    const unsigned mask = State::of(label.key, t) & (State::open_flag - 1U);
    const double outer = model_.iterations() / volume_ / n;
    Label closed = label;
    std::size_t inner = plan_.levels;
    double words = 0;
    std::array<double, 2 * max_levels> loads;
    if (ports_) std::copy_n(before_loads, width_, loads.begin());
    for (std::size_t c = plan_.levels; c-- > 0;) {
      if ((mask >> c & 1) == 0) continue;
      if (inner < plan_.levels) {
        closed.energy += model_.step(t, inner, c, words);
        if (ports_) model_.load(t, inner, c, words, loads.data());
      }
      words = model_.fetched(t, c, l, steps_, d, n, outer);
      inner = c;
    }
    const Energy before = closed.energy;
    for (const std::int64_t parent : p_.parents_of(t, inner)) {
      const auto k = static_cast<std::size_t>(parent);
      if (k > l) continue;
      closed.energy = before + model_.step(t, inner, k, words);
      closed.key = State::with(label.key, t, State::closed(k));
      auto through = loads;
      if (ports_) model_.load(t, inner, k, words, through.data());
      close(closed, through.data(), t + 1, l, d, n, to);
    }
  }

  /// Decides what level l keeps.
  bool boundary(std::size_t l) {
    const LevelRules& rules = p_.space.rules(l);
    const bool may_idle = idle(l);
    for (std::size_t u = 0; u < tiles_; ++u) {
      if (buckets_[u].empty()) continue;
      decode(u);
      reduce(buckets_[u], l);
      std::vector<Label> labels;
      labels.swap(buckets_[u]);
      bool possible = true;
      for (std::size_t d = 0; d < plan_.dimensions; ++d) {
        possible = possible && !(rules.rest[d] && index_[d] + 1 != list_[d].size());
        // The spreads further out would not be all that is left either.
        possible = possible && !(rules.rest[d] && model_.inside(l)[d] != model_.inside(0)[d]);
      }
      if (!possible) continue;
      std::array<double, tensor_count> bits;
      for (std::size_t t = 0; t < tensor_count; ++t)
        bits[t] = model_.words(t, l, steps_) * plan_.level[l].word_bits[t];
      for (const Label& label : labels) {
        if (stop()) return false;
        // The same with its loops at the level above is there as well.
        const bool moved = may_idle && label.what < max_dimensions && label.level == l;
        for (unsigned mask = moved ? 1 : 0; mask < 1U << tensor_count; ++mask) {
          bool allowed = true;
          double held = 0;
          Label next = label;
          next.key &= State::tensors;
          for (std::size_t t = 0; allowed && t < tensor_count; ++t) {
            const std::uint16_t state = State::of(label.key, t);
            const bool keep = (mask >> t & 1) != 0;
            if (!State::is_open(state)) {
              allowed = keep == (state == State::closed(l));
              if (keep)
                next.key = State::with(next.key, t, static_cast<std::uint16_t>(State::open_flag | 1U << l));
            } else {
              allowed = keep ? rules.may_keep[t] : rules.may_bypass[t];
              if (keep) next.key = State::with(next.key, t, static_cast<std::uint16_t>(state | 1U << l));
            }
            if (keep) held += bits[t];
          }
          if (!allowed || held > rules.capacity_bits || held < rules.min_capacity_bits) continue;
          next.from = label.self;
          next.self = nothing;
          next.what = static_cast<std::uint8_t>(keep_kind + mask);
          next.level = static_cast<std::uint8_t>(l);
          next.factor = 1;
          add(u, next, l - 1);
        }
      }
    }
    return true;
  }

  /// The outermost level keeps everything.
  void finish() {
    const LevelRules& rules = p_.space.rules(0);
    const std::size_t u = tiles_ - 1;
    decode(u);
    reduce(buckets_[u], 0);
    double held = 0;
    for (std::size_t t = 0; t < tensor_count; ++t)
      held += model_.words(t, 0, steps_) * plan_.level[0].word_bits[t];
    if (held > rules.capacity_bits || held < rules.min_capacity_bits) return;
    ObjectiveValue best = limit_;
    for (const Label& label : buckets_[u]) {
      Energy energy = label.energy;
      std::array<double, 2 * max_levels> loads{};
      if (ports_) std::copy_n(&loads_[label.loads * width_], width_, loads.begin());
      for (std::size_t t = 0; t < tensor_count; ++t) {
        const std::uint16_t state = State::of(label.key, t);
        if (!State::is_open(state)) continue;
        const unsigned mask =
            (state & (State::open_flag - 1U)) | 1U;  // nothing moves these tiles: each is fetched once
        std::size_t inner = plan_.levels;
        for (std::size_t c = plan_.levels; c-- > 0;) {
          if ((mask >> c & 1) == 0) continue;
          if (inner < plan_.levels) {
            const double words = model_.words(t, inner, steps_);
            energy += model_.step(t, inner, c, words);
            if (ports_) model_.load(t, inner, c, words, loads.data());
          }
          inner = c;
        }
      }
      const double cycles = ports_ ? std::max(node_.cycles, model_.cycles(loads.data())) : node_.cycles;
      const ObjectiveValue now = p_.price(cycles, model_.total(energy, cycles));
      if (p_.hopeless_against(now, best)) continue;
      best = now;
      best_cycles_ = cycles;
      best_ = static_cast<std::uint32_t>(trail_.size());
      trail_.push_back({label.self, 1, static_cast<std::uint8_t>(keep_kind + 7), 0});
    }
  }

  const Problem& p_;
  const kernel::Plan& plan_;
  const Part& node_;
  PartModel model_;
  ObjectiveValue limit_;
  bool ports_;
  Energy most_energy_;
  std::uint64_t most_states_, states_ = 0;
  std::size_t beam_;
  bool trimmed_ = false;
  std::array<std::vector<std::int64_t>, max_dimensions> list_;
  std::array<std::vector<std::vector<Successor>>, max_dimensions> successors_;
  std::array<std::size_t, max_dimensions> stride_{}, index_{};
  std::array<double, max_dimensions> steps_{};
  double volume_ = 1;
  std::size_t tiles_ = 1, width_ = 0;
  std::vector<std::vector<Label>> buckets_;
  std::vector<Trail> trail_;
  std::vector<double> loads_;
  std::array<std::vector<Energy>, tensor_count> rest_;
  std::uint32_t best_ = nothing;
  double best_cycles_ = 0;
};

/// All nodes that may hold something better than `limit`, best bound first; without a limit none, and the
/// least bound of all nodes in `least`.
std::vector<Part> nodes_below(const Problem& p, const std::optional<ObjectiveValue>& below,
                              ObjectiveValue& least) {
  std::vector<Part> found;
  const auto cut = [&](const ObjectiveValue& bound) {
    return p.hopeless_against(bound, below ? *below : least);
  };
  Part node;
  std::array<double, max_dimensions> left = p.plan.size;
  std::vector<double> most_children(p.levels + 1, 1);
  for (std::size_t l = p.levels; l-- > 0;) {
    most_children[l] =
        most_children[l + 1] *
        (p.space.spreads(l).empty() ? 1.0 : static_cast<double>(p.space.spreads(l)[0].children));
  }
  const auto finish = [&] {
    const PartModel model(p, node);
    std::map<double, ObjectiveValue> groups;
    model.innermost([&](const auto&, double cycles, Energy energy, Energy rest, const auto&) {
      if (!(energy + rest < infinite)) return;
      const ObjectiveValue bound = p.price(cycles, model.total(energy + rest, cycles));
      const auto [entry, fresh] = groups.try_emplace(cycles, bound);
      if (!fresh) entry->second = std::min(entry->second, bound);
    });
    for (const auto& [cycles, bound] : groups) {
      least = std::min(least, bound);
      if (!below || cut(bound)) continue;
      node.cycles = cycles;
      node.bound = bound;
      found.push_back(node);
    }
  };
  // What the fan-outs may deliver, tensor by tensor.
  const auto classes = [&](const auto& self, std::size_t l, std::size_t t) -> void {
    if (t == tensor_count) return self(self, l + 1, 0);
    if (l == p.levels) return finish();
    const Spread& spread = p.space.spreads(l)[node.spread[l]];
    const kernel::TensorShape& tensor = p.plan.tensors[t];
    if (!(t == output ? p.plan.level[l].reduction : p.plan.level[l].multicast)) {
      node.delivered[l][t] = static_cast<double>(spread.children);
      return self(self, l, t + 1);
    }
    std::set<double> counts{1};
    for (std::size_t i = 0; i < tensor.axis_count; ++i) {
      const kernel::Axis& axis = tensor.axes[i];
      const auto a = static_cast<double>(spread.factors[axis.a]),
                 b = static_cast<double>(spread.factors[axis.b]);
      std::set<double> values;
      if (axis.two && a > 1 && b > 1) {
        double inside_a = 1, inside_b = 1;
        for (std::size_t o = l + 1; o < p.levels; ++o) {
          const FactorVector& factors = p.space.spreads(o)[node.spread[o]].factors;
          inside_a *= static_cast<double>(factors[axis.a]);
          inside_b *= static_cast<double>(factors[axis.b]);
        }
        for (const std::int64_t na : divisors(static_cast<std::int64_t>(left[axis.a]))) {
          for (const std::int64_t nb : divisors(static_cast<std::int64_t>(left[axis.b]))) {
            values.insert(kernel::sums(a, b, static_cast<double>(na) * inside_a * axis.coefficient_a,
                                       static_cast<double>(nb) * inside_b * axis.coefficient_b));
          }
        }
      } else {
        values.insert(axis.two ? a * b : a);
      }
      std::set<double> products;
      for (const double x : counts) {
        for (const double y : values) products.insert(x * y);
      }
      counts = std::move(products);
    }
    for (const double count : counts) {
      node.delivered[l][t] = count;
      self(self, l, t + 1);
    }
  };
  const auto spreading = [&](const auto& self, std::size_t l, double children) -> void {
    if (l == p.levels) return classes(classes, 0, 0);
    const auto& spreads = p.space.spreads(l);
    for (std::size_t i = 0; i < spreads.size(); ++i) {
      const Spread& spread = spreads[i];
      const double now = children * static_cast<double>(spread.children);
      // The others have fewer children.
      if (cut(p.price(p.plan.macs / (now * most_children[l + 1]), p.least_energy))) break;
      bool divides = true;
      for (std::size_t d = 0; d < p.dimensions; ++d) {
        divides = divides && static_cast<std::int64_t>(left[d]) % spread.factors[d] == 0;
        for (std::size_t in = l + 1; in < p.levels && spread.factors[d] > 1; ++in) {
          divides = divides && !p.space.rules(in).rest[d];
        }
      }
      if (!divides) continue;
      node.spread[l] = static_cast<std::uint32_t>(i);
      for (std::size_t d = 0; d < p.dimensions; ++d) left[d] /= static_cast<double>(spread.factors[d]);
      self(self, l + 1, now);
      for (std::size_t d = 0; d < p.dimensions; ++d) left[d] *= static_cast<double>(spread.factors[d]);
    }
  };
  spreading(spreading, 0, 1);
  std::stable_sort(found.begin(), found.end(),
                   [](const Part& a, const Part& b) { return a.bound < b.bound; });
  return found;
}

/// What one node came to.
struct Outcome {
  std::optional<Mapping> mapping;
  QuickCost cost;
  ObjectiveValue value;
  bool stopped = false;
  std::uint64_t states = 0;
};

/// Everything in a node that is better than `limit`, or nothing.
Outcome solve(const Problem& p, const Part& node, ObjectiveValue limit, std::uint64_t most_states,
              std::size_t beam = 0) {
  Outcome outcome;
  const auto run = [&](bool ports, Energy most_energy, bool& trimmed) -> bool {
    Solver solver(p, node, limit, ports, most_energy, most_states - std::min(most_states, outcome.states),
                  beam);
    outcome.stopped = solver.run() == Solver::Status::stopped;
    outcome.states += solver.states();
    trimmed = solver.trimmed();
    if (outcome.stopped || !solver.found()) return false;
    const Mapping mapping = solver.mapping();
    const QuickCost cost = p.model.quick(mapping);
    assert(cost.valid && !p.model.why_invalid(mapping, true));
    const ObjectiveValue now = p.price(cost.cycles, cost.energy_j);
    if (!outcome.mapping || now < outcome.value) {
      outcome.mapping = mapping;
      outcome.cost = cost;
      outcome.value = now;
      limit = std::min(limit, now);
    }
    return true;
  };
  using Kind = Objective::Kind;
  bool trimmed = false;
  if (p.request.objective.kind == Kind::cycles) {
    // Energy does not count, but the thriftiest mappings are few and hardly ever wait for a port.
    const PartModel model(p, node);
    Energy least = infinite;
    model.innermost([&](const auto&, double cycles, Energy energy, Energy rest, const auto&) {
      if (cycles == node.cycles) least = std::min(least, energy + rest);
    });
    for (const double factor : {1.1, 1.5, 3.0}) {
      if (run(false, least * factor, trimmed) && outcome.cost.cycles == node.cycles) return outcome;
      if (outcome.stopped) return outcome;
    }
    if (run(true, least * 3, trimmed) && outcome.cost.cycles == node.cycles) return outcome;
    if (!trimmed || outcome.stopped) return outcome;
    run(true, infinite, trimmed);
    return outcome;
  }
  if (p.request.objective.kind == Kind::energy_then_cycles) {
    run(true, infinite, trimmed);
    return outcome;
  }
  if (!run(false, infinite, trimmed)) return outcome;
  if (outcome.cost.cycles > node.cycles) run(true, infinite, trimmed);
  return outcome;
}

/// What the proof claims: a relative 10^-9 less, of whole numbers of cycles nothing.
ObjectiveValue loosened(Objective::Kind kind, ObjectiveValue value, bool proven) {
  constexpr double room = 1e-9;
  const bool whole = kind == Objective::Kind::cycles || kind == Objective::Kind::cycles_then_energy;
  if (!whole) value.first *= 1 - room;
  if (kind == Objective::Kind::cycles_then_energy) value.second *= 1 - room;
  if (kind == Objective::Kind::energy_then_cycles || !proven) value.second = 0;
  return value;
}

}  // namespace

MapperResult CertifiedMapper::map(const CostModel& model, const MapperRequest& request,
                                  std::ostream* proof) const {
  MapperResult result;
  if (model.options().as_timeloop) {
    result.why_none =
        "the certified mapper bounds what the loop nest does, not Timeloop's extrapolation of it";
    return result;
  }
  for (const StorageLevel& level : model.architecture().levels) {
    if (level.cluster == 1) continue;
    result.why_none = "the certified mapper does not know instances that share their accesses (level '" + level.name + "')";
    return result;
  }
  const Problem p(model, request);
  const auto offer = [&](const Mapping& mapping, const QuickCost& cost) {
    const ObjectiveValue now = p.price(cost.cycles, cost.energy_j);
    if (result.mapping && now >= result.value) return;
    result.mapping = mapping;
    result.cost = cost;
    result.value = now;
  };
  const Mapping trivial = trivial_mapping(model.einsum(), model.architecture());
  if (!model.why_invalid(trivial, true)) offer(trivial, model.quick(trivial));
  // What is known at once: it cuts off much, and is there when the search ends early.
  MapperRequest quick_request = request;
  quick_request.effort = 2'000;
  const MapperResult quick = make_genetic_mapper()->map(model, quick_request);
  if (quick.mapping && !model.why_invalid(*quick.mapping, true)) offer(*quick.mapping, quick.cost);

  const std::uint64_t effort =
      request.effort > 0 ? request.effort : std::numeric_limits<std::uint64_t>::max() / 2;
  // Budgets that grow until something is found below them: little is looked at that is not needed for the
  // proof.
  constexpr std::array<double, 8> growth{1.1, 1.3, 1.7, 2.3, 3.5, 6, 16, 256};
  ObjectiveValue least;
  nodes_below(p, std::nullopt, least);
  ObjectiveValue lower = least;  // of everything that is still open
  bool stopped = false;
  // A first idea: the best-looking parts, with few states each.
  for (const double factor : {1.5, 6.0, infinite}) {
    constexpr std::size_t parts = 12, beam = 4;
    ObjectiveValue unused;
    const std::vector<Part> nodes = nodes_below(p, ObjectiveValue{least.first * factor, infinite}, unused);
    bool found = false;
    for (std::size_t i = 0; i < std::min(parts, nodes.size()) && !p.late(); ++i) {
      const ObjectiveValue limit = result.mapping ? result.value : ObjectiveValue{infinite, infinite};
      const Outcome outcome = solve(p, nodes[i], limit, effort - std::min(effort, result.evaluations), beam);
      result.evaluations += outcome.states;
      if (!outcome.mapping) continue;
      found = true;
      offer(*outcome.mapping, outcome.cost);
    }
    if (found || p.late()) break;
  }
  if (p.late()) result.complete = false;
  for (std::size_t round = 0; round <= growth.size() && !stopped; ++round) {
    ObjectiveValue budget;
    budget.second = infinite;
    if (round < growth.size()) budget.first = least.first * growth[round];
    // Not worth a round of its own: the next is known to be enough.
    if (result.mapping && budget.first > 0.7 * result.value.first) budget = {infinite, infinite};
    ObjectiveValue unused;
    const std::vector<Part> nodes =
        nodes_below(p, result.mapping ? std::min(budget, result.value) : budget, unused);
    // Rounds of fixed sizes: what a node may be cut off by does not depend on how many threads there are.
    std::size_t at = 0, batch = 1;
    while (at < nodes.size() && !stopped) {
      const ObjectiveValue limit = result.mapping ? std::min(budget, result.value) : budget;
      lower = std::max(lower, std::min(nodes[at].bound, limit));
      if (p.hopeless_against(nodes[at].bound, limit)) break;
      const std::size_t end = std::min(nodes.size(), at + batch);
      std::vector<Outcome> outcomes(end - at);
      std::vector<std::exception_ptr> errors(end - at);
      const std::uint64_t left = effort - std::min(effort, result.evaluations);
      std::atomic<std::size_t> next{at};
      const auto work = [&] {
        for (std::size_t i = next++; i < end; i = next++) {
          if (p.hopeless_against(nodes[i].bound, limit)) continue;
          try {
            outcomes[i - at] = solve(p, nodes[i], limit, left);
          } catch (...) {  // memory ran out
            errors[i - at] = std::current_exception();
          }
        }
      };
      const auto helpers =
          std::min<std::size_t>(static_cast<std::size_t>(std::max(1, request.threads)), end - at);
      std::vector<std::thread> threads;
      for (std::size_t i = 1; i < helpers; ++i) threads.emplace_back(work);
      work();
      for (std::thread& thread : threads) thread.join();
      for (const std::exception_ptr& error : errors) {
        if (error) std::rethrow_exception(error);
      }
      for (const Outcome& outcome : outcomes) {
        result.evaluations += outcome.states;
        if (outcome.mapping) offer(*outcome.mapping, outcome.cost);
        stopped = stopped || outcome.stopped;
      }
      if (p.late()) stopped = true;
      if (stopped) break;
      at = end;
      batch = std::min<std::size_t>(8, batch * 2);
    }
    if (stopped) {
      result.complete = result.complete && !p.late();
      break;
    }
    const ObjectiveValue limit = result.mapping ? std::min(budget, result.value) : budget;
    lower = std::max(lower, limit);
    result.proven = result.mapping && result.value <= budget;
    if (result.proven) break;
  }
  if (!result.mapping) {
    result.why_none = stopped ? "the search ended before it came to a valid mapping"
                              : "no mapping of the mapspace fits the capacities and constraints";
    return result;
  }
  result.lower_bound =
      result.proven ? result.value.first : std::min(lower.first * (1 - tolerance), result.value.first);
  if (proof != nullptr) {
    // The checker's arithmetic is another: the claim leaves it a little room.
    const ObjectiveValue claim =
        loosened(request.objective.kind, result.proven ? result.value : lower, result.proven);
    std::vector<ProofNode> logged;
    for (const Part& node : nodes_below(p, claim, least)) {
      ProofNode entry;
      for (std::size_t l = 0; l < p.levels; ++l) {
        entry.spreads.push_back(p.space.spreads(l)[node.spread[l]].factors);
        entry.delivered.push_back(node.delivered[l]);
      }
      entry.cycles = node.cycles;
      entry.bound = node.bound;
      logged.push_back(std::move(entry));
    }
    write_proof(model, request.objective, result, claim, logged, *proof);
  }
  return result;
}

std::unique_ptr<Mapper> make_certified_mapper() {
  return std::make_unique<CertifiedMapper>();
}

}  // namespace duet
