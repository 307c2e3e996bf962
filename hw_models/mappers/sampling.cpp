#include "hw_models/mappers/sampling.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace duet::mappers {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();
using Kind = Slot::Kind;

std::vector<std::int64_t> prime_factors(std::int64_t n) {
  std::vector<std::int64_t> primes;
  for (std::int64_t p = 2; p * p <= n; ++p) {
    for (; n % p == 0; n /= p) primes.push_back(p);
  }
  if (n > 1) primes.push_back(n);
  std::reverse(primes.begin(), primes.end());
  return primes;
}

const char* name(Kind kind) { return kind == Kind::temporal ? "temporal" : kind == Kind::x ? "x" : "y"; }

}  // namespace

Slots::Slots(const CostModel& model)
    : model_(model), dimensions_(model.einsum().dimensions.size()), levels_(model.architecture().levels.size()) {
  const Architecture& architecture = model.architecture();
  const Einsum& einsum = model.einsum();
  fixed_ = trivial_mapping(einsum, architecture);
  for (std::size_t d = 0; d < dimensions_; ++d) fixed_.levels[0].temporal[d] = 1;
  inner_.resize(levels_);
  for (std::size_t l = 0; l < levels_; ++l) {
    const StorageLevel& level = architecture.levels[l];
    for (const Kind kind : {Kind::x, Kind::y}) {
      if (fanout({l, kind}) > 1) spatial_.push_back({l, kind});
    }
    for (const std::string& dimension : level.constraints.order) {
      if (const auto d = einsum.find_dimension(dimension)) inner_[l].push_back(static_cast<std::uint8_t>(*d));
    }
    for (std::size_t t = 0; t < tensor_count; ++t) {
      if (l > 0 && level.policy[t] == StorageLevel::Policy::free) free_keeps_.emplace_back(l, t);
    }
    must_check_ = must_check_ || level.constraints.min_capacity_utilization > 0 || level.constraints.min_fanout_utilization > 0;
  }
  for (std::size_t d = 0; d < dimensions_; ++d) {
    const std::string& dimension = einsum.dimensions[d].name;
    const std::int64_t size = einsum.size(d);
    // "rest" at a level: nothing further out.
    std::size_t outermost = 0;
    for (std::size_t l = 0; l < levels_; ++l) {
      const LevelConstraints& constraints = architecture.levels[l].constraints;
      for (const auto* factors : {&constraints.temporal_factors, &constraints.x_factors, &constraints.y_factors}) {
        const auto found = factors->find(dimension);
        if (found != factors->end() && found->second == 0) outermost = l;
      }
    }
    Freedom freedom;
    freedom.dimension = d;
    std::int64_t left = size;
    for (std::size_t l = 0; l < levels_; ++l) {
      const LevelConstraints& constraints = architecture.levels[l].constraints;
      for (const Kind kind : {Kind::temporal, Kind::x, Kind::y}) {
        const Slot slot{l, kind};
        const auto& factors = kind == Kind::temporal ? constraints.temporal_factors
                              : kind == Kind::x      ? constraints.x_factors
                                                     : constraints.y_factors;
        const auto& allowed = kind == Kind::x ? constraints.x_dimensions : constraints.y_dimensions;
        bool open = l >= outermost && (kind == Kind::temporal || fanout(slot) > 1);
        if (kind != Kind::temporal && allowed) {
          open = open && std::find(allowed->begin(), allowed->end(), dimension) != allowed->end();
        }
        const auto found = factors.find(dimension);
        // Where the dimension is smaller than its factor, any factor is right.
        if (found != factors.end() && found->second > 0 && size >= found->second) {
          const std::int64_t wanted = found->second;
          if (left % wanted != 0) {
            impossible_ = fmt::format("level '{}': the {} factor of {} must be {}, which does not divide what is left of its {}",
                                      architecture.levels[l].name, name(kind), dimension, wanted, size);
          } else if (wanted > 1 && !open) {
            impossible_ = fmt::format("level '{}': the {} factor of {} must be {}, and other constraints leave no room for it",
                                      architecture.levels[l].name, name(kind), dimension, wanted);
          } else {
            left /= wanted;
            factor(fixed_, slot, d) = wanted;
          }
          continue;
        }
        if (open) freedom.slots.push_back(slot);
      }
    }
    if (left == 1 || !impossible_.empty()) continue;
    if (freedom.slots.empty()) {
      impossible_ = fmt::format("the constraints leave no loop for {} of {}", dimension, size);
      continue;
    }
    freedom.primes = prime_factors(left);
    freedoms_.push_back(std::move(freedom));
  }
}

std::int64_t Slots::fanout(const Slot& slot) const {
  if (slot.kind == Kind::temporal) return std::numeric_limits<std::int64_t>::max();
  return slot.kind == Kind::x ? model_.architecture().fanout_x(slot.level) : model_.architecture().fanout_y(slot.level);
}

std::array<std::uint8_t, max_dimensions> Slots::random_order(Random& random, std::size_t level) const {
  std::vector<std::uint8_t> outer;
  for (std::size_t d = 0; d < dimensions_; ++d) {
    const auto dimension = static_cast<std::uint8_t>(d);
    if (std::find(inner_[level].begin(), inner_[level].end(), dimension) == inner_[level].end()) outer.push_back(dimension);
  }
  random.shuffle(outer);
  outer.insert(outer.end(), inner_[level].begin(), inner_[level].end());
  std::array<std::uint8_t, max_dimensions> order = fixed_.levels[level].order;
  std::copy(outer.begin(), outer.end(), order.begin());
  return order;
}

std::vector<std::array<std::uint8_t, max_dimensions>> Slots::neighbours(
    std::size_t level, const std::array<std::uint8_t, max_dimensions>& order) const {
  std::vector<std::array<std::uint8_t, max_dimensions>> result;
  const std::size_t movable = dimensions_ - inner_[level].size();
  // One loop anywhere else.
  for (std::size_t from = 0; from < movable; ++from) {
    if (model_.einsum().size(order[from]) == 1) continue;
    for (std::size_t to = 0; to < movable; ++to) {
      if (to == from || to + 1 == from) continue;  // a step outwards is the neighbour's step inwards
      auto other = order;
      if (from < to) {
        std::rotate(other.begin() + static_cast<std::ptrdiff_t>(from), other.begin() + static_cast<std::ptrdiff_t>(from) + 1,
                    other.begin() + static_cast<std::ptrdiff_t>(to) + 1);
      } else {
        std::rotate(other.begin() + static_cast<std::ptrdiff_t>(to), other.begin() + static_cast<std::ptrdiff_t>(from),
                    other.begin() + static_cast<std::ptrdiff_t>(from) + 1);
      }
      result.push_back(other);
    }
  }
  return result;
}

Mapping Slots::empty(Random& random) const {
  Mapping mapping = fixed_;
  for (std::size_t l = 0; l < levels_; ++l) mapping.levels[l].order = random_order(random, l);
  for (const auto& [l, t] : free_keeps_) mapping.levels[l].keep[t] = random.chance(0.6);
  return mapping;
}

std::optional<Mapping> Slots::random(Random& random) const {
  if (!impossible_.empty()) return std::nullopt;
  Mapping mapping = empty(random);
  /// A prime factor that has no place yet.
  struct Piece {
    const Freedom* freedom;
    std::int64_t prime;
  };
  std::vector<Piece> pieces;
  for (const Freedom& freedom : freedoms_) {
    for (const std::int64_t prime : freedom.primes) pieces.push_back({&freedom, prime});
  }
  std::vector<Slot> spatial = spatial_;
  random.shuffle(spatial);
  std::vector<std::size_t> taken, fullest;
  for (const Slot& slot : spatial) {
    std::int64_t used = 1;
    for (std::size_t d = 0; d < dimensions_; ++d) used *= factor(mapping, slot, d);
    // The fullest of a few random packings.
    std::int64_t most = 0;
    const std::uint64_t tries = 1 + random.below(6);
    for (std::uint64_t attempt = 0; attempt < tries; ++attempt) {
      std::vector<std::size_t> order(pieces.size());
      for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
      random.shuffle(order);
      taken.clear();
      std::int64_t now = used;
      for (const std::size_t i : order) {
        const auto& slots = pieces[i].freedom->slots;
        if (pieces[i].prime > fanout(slot) / now) continue;
        if (std::none_of(slots.begin(), slots.end(),
                         [&](const Slot& s) { return s.level == slot.level && s.kind == slot.kind; })) {
          continue;
        }
        now *= pieces[i].prime;
        taken.push_back(i);
      }
      if (now > most) {
        most = now;
        fullest = taken;
      }
    }
    std::sort(fullest.begin(), fullest.end());
    for (std::size_t k = fullest.size(); k-- > 0;) {
      const Piece piece = pieces[fullest[k]];
      factor(mapping, slot, piece.freedom->dimension) *= piece.prime;
      pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(fullest[k]));
    }
    fullest.clear();
  }
  const double inwards = random.uniform();
  for (const Piece& piece : pieces) {
    std::vector<const Slot*> temporal;
    for (const Slot& slot : piece.freedom->slots) {
      if (slot.kind == Kind::temporal) temporal.push_back(&slot);
    }
    if (temporal.empty()) return std::nullopt;
    const Slot& slot = random.chance(inwards) ? *temporal.back() : *random.pick(temporal);
    factor(mapping, slot, piece.freedom->dimension) *= piece.prime;
  }
  if (!repair(mapping)) return std::nullopt;
  return mapping;
}

Mapping Slots::rounded(const Mapping& structure, const std::vector<std::vector<double>>& logs) const {
  Mapping mapping = fixed_;
  for (std::size_t l = 0; l < levels_; ++l) {
    mapping.levels[l].order = structure.levels[l].order;
    mapping.levels[l].keep = structure.levels[l].keep;
  }
  const auto room = [&](const Slot& slot, std::int64_t prime) {
    if (slot.kind == Kind::temporal) return true;
    std::int64_t used = prime;
    for (std::size_t d = 0; d < dimensions_; ++d) used *= factor(mapping, slot, d);
    return used <= fanout(slot);
  };
  for (std::size_t f = 0; f < freedoms_.size(); ++f) {
    const Freedom& freedom = freedoms_[f];
    std::vector<double> left = logs[f];
    for (const std::int64_t prime : freedom.primes) {
      std::size_t best = freedom.slots.size();
      for (std::size_t s = 0; s < freedom.slots.size(); ++s) {
        if (room(freedom.slots[s], prime) && (best == freedom.slots.size() || left[s] > left[best])) best = s;
      }
      if (best == freedom.slots.size()) best = 0;  // repair sees to it
      left[best] -= std::log(static_cast<double>(prime));
      factor(mapping, freedom.slots[best], freedom.dimension) *= prime;
    }
  }
  return mapping;
}

double Slots::bits(const Mapping& mapping, std::size_t level) const {
  std::array<double, max_dimensions> tile{};
  for (std::size_t d = 0; d < dimensions_; ++d) {
    std::int64_t extent = 1;
    for (std::size_t l = level; l < levels_; ++l) {
      extent *= mapping.levels[l].temporal[d] * mapping.levels[l].x[d] * mapping.levels[l].y[d];
    }
    tile[d] = static_cast<double>(extent);
  }
  double bits = 0;
  for (std::size_t t = 0; t < tensor_count; ++t) {
    if (!mapping.levels[level].keep[t]) continue;
    double words = 1;
    for (const IndexExpression& axis : model_.einsum().tensors[t].axes) {
      double extent = 1, points = 1;
      for (const IndexTerm& term : axis) {
        extent += static_cast<double>(term.coefficient) * (tile[term.dimension] - 1);
        points *= tile[term.dimension];
      }
      // Distinct elements are no more than either.
      words *= model_.options().footprint == Footprint::distinct ? std::min(extent, points) : extent;
    }
    bits += words * static_cast<double>(model_.architecture().levels[level].word_bits[t]);
  }
  return bits;
}

bool Slots::repair(Mapping& mapping) const {
  /// Moves a prime factor from `slot` to a temporal loop of a level further out than `level`, the nearest.
  const auto outwards = [&](const Freedom& freedom, const Slot& slot, std::size_t level) {
    std::int64_t& from = factor(mapping, slot, freedom.dimension);
    const std::int64_t fixed = factor(fixed_, slot, freedom.dimension);
    for (std::size_t p = freedom.primes.size(); p-- > 0;) {
      if ((from / fixed) % freedom.primes[p] != 0) continue;
      for (std::size_t s = freedom.slots.size(); s-- > 0;) {
        const Slot& to = freedom.slots[s];
        if (to.kind != Kind::temporal || to.level >= level) continue;
        from /= freedom.primes[p];
        factor(mapping, to, freedom.dimension) *= freedom.primes[p];
        return true;
      }
      return false;
    }
    return false;
  };
  for (const Slot& slot : spatial_) {
    while (true) {
      std::int64_t used = 1;
      for (std::size_t d = 0; d < dimensions_; ++d) used *= factor(mapping, slot, d);
      if (used <= fanout(slot)) break;
      // The smallest step back: the dimension whose factor is largest has the most to give.
      bool moved = false;
      std::vector<const Freedom*> order;
      for (const Freedom& freedom : freedoms_) order.push_back(&freedom);
      std::stable_sort(order.begin(), order.end(), [&](const Freedom* a, const Freedom* b) {
        return factor(mapping, slot, a->dimension) > factor(mapping, slot, b->dimension);
      });
      for (const Freedom* freedom : order) {
        moved = outwards(*freedom, slot, slot.level + 1);
        if (moved) break;
      }
      if (!moved) return false;
    }
  }
  // A factor that moves outwards makes no tile larger.
  for (std::size_t l = levels_; l-- > 0;) {
    const StorageLevel& level = model_.architecture().levels[l];
    if (!level.capacity_bits) continue;
    const double capacity = std::floor(static_cast<double>(*level.capacity_bits) / level.multiple_buffering);
    while (bits(mapping, l) > capacity) {
      bool moved = false;
      // Loops in time before those in space; inner before outer; of these the one that frees the most.
      for (const bool temporal : {true, false}) {
        Mapping best;
        double least = infinite;
        for (const Freedom& freedom : freedoms_) {
          for (std::size_t s = freedom.slots.size(); s-- > 0;) {
            const Slot& slot = freedom.slots[s];
            if (slot.level < l || (slot.kind == Kind::temporal) != temporal) continue;
            if (factor(mapping, slot, freedom.dimension) == factor(fixed_, slot, freedom.dimension)) {
              continue;
            }
            const Mapping before = mapping;
            const double had = bits(mapping, l);
            if (outwards(freedom, slot, l)) {
              const double now = bits(mapping, l);
              if (now < had && now < least) {
                least = now;
                best = mapping;
              }
              mapping = before;
            }
            break;  // of this dimension the innermost
          }
        }
        if (least < infinite) {
          mapping = best;
          moved = true;
          break;
        }
      }
      for (const auto& [at, t] : free_keeps_) {
        if (moved || at != l || !mapping.levels[l].keep[t]) continue;
        mapping.levels[l].keep[t] = false;
        moved = true;
      }
      if (!moved) return false;
    }
  }
  return true;
}

bool Slots::fits(const MappingBatch& batch, std::size_t lane, const Slot& slot, std::int64_t grow,
                 std::int64_t shrink) const {
  if (slot.kind == Kind::temporal) return true;
  const MappingBatch::Factors& factors =
      slot.kind == Kind::x ? batch.levels[slot.level].x : batch.levels[slot.level].y;
  std::int64_t used = grow;
  for (std::size_t d = 0; d < dimensions_; ++d) used *= factors[d][lane];
  return used / shrink <= fanout(slot);
}

bool Slots::mutate(Random& random, MappingBatch& batch, std::size_t lane) const {
  if (freedoms_.empty()) return false;
  /// A prime factor that stands in a slot.
  struct Piece {
    const Freedom* freedom;
    const Slot* slot;
    std::int64_t prime;
  };
  const auto fixed = [&](const Slot& slot, std::size_t d) { return factor(fixed_, slot, d); };
  const auto pick = [&](const Freedom& freedom) -> Piece {
    const std::int64_t prime = freedom.primes[static_cast<std::size_t>(random.below(freedom.primes.size()))];
    const auto begin = static_cast<std::size_t>(random.below(freedom.slots.size()));
    for (std::size_t i = 0; i < freedom.slots.size(); ++i) {
      const Slot& slot = freedom.slots[(begin + i) % freedom.slots.size()];
      if ((factor(batch, lane, slot, freedom.dimension) / fixed(slot, freedom.dimension)) % prime == 0) {
        return {&freedom, &slot, prime};
      }
    }
    return {&freedom, nullptr, prime};
  };
  const auto move = [&](const Piece& piece, const Slot& to) {
    factor(batch, lane, *piece.slot, piece.freedom->dimension) /= static_cast<std::int32_t>(piece.prime);
    factor(batch, lane, to, piece.freedom->dimension) *= static_cast<std::int32_t>(piece.prime);
  };
  for (int attempt = 0; attempt < 8; ++attempt) {
    const Freedom& freedom = random.pick(freedoms_);
    const Piece piece = pick(freedom);
    if (piece.slot == nullptr) continue;
    if (random.chance(0.4)) {
      // Exchange with another dimension's factor that stands where this one may go.
      const Freedom& other = random.pick(freedoms_);
      const Piece back = pick(other);
      if (back.slot == nullptr || back.slot == piece.slot || (&other == &freedom && back.prime == piece.prime)) continue;
      const auto may = [](const Freedom& who, const Slot& slot) {
        return std::any_of(who.slots.begin(), who.slots.end(),
                           [&](const Slot& s) { return s.level == slot.level && s.kind == slot.kind; });
      };
      if (back.slot->level == piece.slot->level && back.slot->kind == piece.slot->kind) continue;
      if (!may(freedom, *back.slot) || !may(other, *piece.slot)) continue;
      if (!fits(batch, lane, *back.slot, piece.prime, back.prime) || !fits(batch, lane, *piece.slot, back.prime, piece.prime)) {
        continue;
      }
      const Slot to = *back.slot, from = *piece.slot;
      move(piece, to);
      move(back, from);
      return true;
    }
    const Slot& to = random.pick(freedom.slots);
    if (&to == piece.slot || !fits(batch, lane, to, piece.prime, 1)) continue;
    move(piece, to);
    return true;
  }
  return false;
}

Search::Search(const CostModel& model, const MapperRequest& request, std::uint64_t effort)
    : model_(model), request_(request), effort_(request.effort > 0 ? request.effort : effort),
      begin_(std::chrono::steady_clock::now()) {}

bool Search::more() {
  if (result_.evaluations >= effort_) return false;
  if (std::isfinite(request_.time_limit_s) &&
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count() > request_.time_limit_s) {
    result_.complete = false;
    return false;
  }
  return true;
}

ObjectiveValue Search::value_of(const QuickCost& cost) const {
  if (!cost.valid) return {};
  return value(request_.objective, cost.cycles, cost.energy_j, model_.architecture().clock_hz);
}

void Search::note(const Mapping& mapping, const ObjectiveValue& value, const QuickCost& cost) {
  result_.mapping = mapping;
  result_.value = value;
  result_.cost = cost;
}

void Search::evaluate(const Slots& slots, const MappingBatch& batch, std::span<ObjectiveValue> values) {
  std::array<QuickCost, MappingBatch::lanes> costs;
  model_.quick(batch, std::span(costs).first(values.size()));
  result_.evaluations += values.size();
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = value_of(costs[i]);
    if (costs[i].valid && slots.must_check() && model_.why_invalid(batch.mapping(i), true)) values[i] = {};
    if (values[i] < result_.value) note(batch.mapping(i), values[i], costs[i]);
  }
}

ObjectiveValue Search::evaluate(const Slots& slots, const Mapping& mapping) {
  const QuickCost cost = model_.quick(mapping);
  ++result_.evaluations;
  if (!cost.valid || (slots.must_check() && model_.why_invalid(mapping, true))) return {};
  const ObjectiveValue value = value_of(cost);
  if (value < result_.value) note(mapping, value, cost);
  return value;
}

ObjectiveValue Search::polish(const Slots& slots, Mapping& mapping, ObjectiveValue value, std::uint64_t limit) {
  const std::uint64_t end = result_.evaluations + limit;
  bool better = true;
  while (better && result_.evaluations < end) {
    better = false;
    // --- Factors: every neighbour, eight at a time; then go to the best of them.
    const MappingBatch base(mapping);
    MappingBatch batch = base;
    std::array<ObjectiveValue, MappingBatch::lanes> values;
    std::size_t filled = 0;
    ObjectiveValue best = value;
    std::optional<Mapping> next;
    const auto flush = [&] {
      if (filled == 0) return;
      evaluate(slots, batch, std::span(values).first(filled));
      for (std::size_t i = 0; i < filled; ++i) {
        if (values[i] < best) {
          best = values[i];
          next = batch.mapping(i);
        }
      }
      batch = base;
      filled = 0;
    };
    struct Piece {
      std::size_t dimension;
      Slot slot;
      std::int64_t prime;
      const std::vector<Slot>* slots;
    };
    std::vector<Piece> pieces;
    Mapping current = mapping;
    for (const Slots::Freedom& freedom : slots.freedoms()) {
      for (const Slot& slot : freedom.slots) {
        std::int64_t last = 0;
        for (const std::int64_t prime : freedom.primes) {
          if (prime == last || factor(current, slot, freedom.dimension) % prime != 0) continue;
          last = prime;
          pieces.push_back({freedom.dimension, slot, prime, &freedom.slots});
        }
      }
    }
    const auto used = [&](const Slot& slot) {
      std::int64_t product = 1;
      for (std::size_t d = 0; d < model_.einsum().dimensions.size(); ++d) product *= factor(current, slot, d);
      return product;
    };
    const auto room = [&](const Slot& slot, std::int64_t grow, std::int64_t shrink) {
      return slot.kind == Kind::temporal || used(slot) / shrink * grow <= slots.fanout(slot);
    };
    const auto same = [](const Slot& a, const Slot& b) { return a.level == b.level && a.kind == b.kind; };
    const auto may = [&](const Piece& piece, const Slot& slot) {
      return std::any_of(piece.slots->begin(), piece.slots->end(), [&](const Slot& s) { return same(s, slot); });
    };
    const auto move = [&](const Piece& piece, const Slot& to) {
      factor(batch, filled, piece.slot, piece.dimension) /= static_cast<std::int32_t>(piece.prime);
      factor(batch, filled, to, piece.dimension) *= static_cast<std::int32_t>(piece.prime);
    };
    const auto add = [&] {
      if (++filled == MappingBatch::lanes) flush();
    };
    for (const Piece& piece : pieces) {
      for (const Slot& to : *piece.slots) {
        if (same(to, piece.slot) || !room(to, piece.prime, 1)) continue;
        move(piece, to);
        add();
      }
    }
    flush();
    if (!next) {
      for (std::size_t i = 0; i < pieces.size() && result_.evaluations < end; ++i) {
        for (std::size_t j = i + 1; j < pieces.size(); ++j) {
          const Piece &a = pieces[i], &b = pieces[j];
          if (same(a.slot, b.slot) || (a.dimension == b.dimension && a.prime == b.prime)) continue;
          if (!may(a, b.slot) || !may(b, a.slot)) continue;
          if (!room(b.slot, a.prime, b.prime) || !room(a.slot, b.prime, a.prime)) continue;
          move(a, b.slot);
          move(b, a.slot);
          add();
        }
      }
      flush();
    }
    if (next) {
      mapping = *next;
      value = best;
      better = true;
    }
    // --- Orders and kept tensors.
    for (std::size_t l = 0; l < mapping.level_count; ++l) {
      std::size_t loops = 0;
      for (std::size_t d = 0; d < model_.einsum().dimensions.size(); ++d) loops += mapping.levels[l].temporal[d] > 1;
      if (loops < 2) continue;
      for (const auto& order : slots.neighbours(l, mapping.levels[l].order)) {
        // Orders that differ only in loops that do nothing are the same.
        bool differs = false;
        std::size_t k = 0;
        for (std::size_t i = 0; i < model_.einsum().dimensions.size(); ++i) {
          if (mapping.levels[l].temporal[order[i]] == 1) continue;
          while (mapping.levels[l].temporal[mapping.levels[l].order[k]] == 1) ++k;
          differs = differs || mapping.levels[l].order[k] != order[i];
          ++k;
        }
        if (!differs) continue;
        Mapping other = mapping;
        other.levels[l].order = order;
        const ObjectiveValue now = evaluate(slots, other);
        if (now < value) {
          value = now;
          mapping = other;
          better = true;
        }
      }
    }
    for (const auto& [l, t] : slots.free_keeps()) {
      Mapping other = mapping;
      other.levels[l].keep[t] = !other.levels[l].keep[t];
      // What is kept now may need room.
      if (other.levels[l].keep[t] && !slots.repair(other)) continue;
      const ObjectiveValue now = evaluate(slots, other);
      if (now < value) {
        value = now;
        mapping = other;
        better = true;
      }
    }
  }
  return value;
}

MapperResult Search::finish(const Slots& slots, const std::optional<Mapping>& sample) {
  if (!result_.mapping) {
    if (!slots.impossible().empty()) {
      result_.why_none = slots.impossible();
    } else {
      std::string why = "no factors fit its capacities";
      if (sample) {
        if (const auto found = model_.why_invalid(*sample, true)) why = *found;
      }
      result_.why_none = fmt::format("none of {} mappings tried is valid; the last one: {}", result_.evaluations, why);
    }
  }
  return std::move(result_);
}

}  // namespace duet::mappers
