#pragma once
/// What heuristic mappers share: where factors of a dimension may go, random mappings that fill the arrays first, small
/// changes, and a local search that ends where no small change helps.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/random.hpp"
#include "hw_models/mapper.hpp"

namespace duet::mappers {

/// Where a factor stands.
struct Slot {
  enum class Kind : std::uint8_t { temporal, x, y };
  std::size_t level = 0;
  Kind kind = Kind::temporal;
};

inline std::int64_t& factor(Mapping& mapping, const Slot& slot, std::size_t d) {
  LevelMapping& level = mapping.levels[slot.level];
  return slot.kind == Slot::Kind::temporal ? level.temporal[d] : slot.kind == Slot::Kind::x ? level.x[d] : level.y[d];
}
inline std::int64_t factor(const Mapping& mapping, const Slot& slot, std::size_t d) {
  const LevelMapping& level = mapping.levels[slot.level];
  return slot.kind == Slot::Kind::temporal ? level.temporal[d] : slot.kind == Slot::Kind::x ? level.x[d] : level.y[d];
}
inline std::int32_t& factor(MappingBatch& batch, std::size_t lane, const Slot& slot, std::size_t d) {
  MappingBatch::Level& level = batch.levels[slot.level];
  return slot.kind == Slot::Kind::temporal ? level.temporal[d][lane]
         : slot.kind == Slot::Kind::x      ? level.x[d][lane]
                                           : level.y[d][lane];
}

/// The perfect factorisations that an architecture's constraints leave, as prime factors that move between slots.
class Slots {
 public:
  explicit Slots(const CostModel& model);

  /// Why no perfect mapping can meet the constraints, one sentence; empty if nothing is known against it.
  const std::string& impossible() const { return impossible_; }

  /// One dimension of more than one index.
  struct Freedom {
    std::size_t dimension = 0;
    std::vector<std::int64_t> primes;  ///< of what is not fixed, descending, with repetitions
    std::vector<Slot> slots;           ///< where they may go, outermost first
  };
  const std::vector<Freedom>& freedoms() const { return freedoms_; }
  std::int64_t fanout(const Slot& slot) const;

  /// Fills the fan-outs first, deals out the rest, makes it fit. Nothing if that fails.
  std::optional<Mapping> random(Random& random) const;
  /// A loop order that meets the level's constraints.
  std::array<std::uint8_t, max_dimensions> random_order(Random& random, std::size_t level) const;
  /// Orders of a level next to `order`.
  std::vector<std::array<std::uint8_t, max_dimensions>> neighbours(std::size_t level,
                                                                  const std::array<std::uint8_t, max_dimensions>& order) const;
  /// Fixed factors alone, the rest nowhere; orders and kept tensors drawn.
  Mapping empty(Random& random) const;

  /// Puts down prime factors where logarithms of real factors, one by one of `logs[freedom][slot]`, want them.
  Mapping rounded(const Mapping& structure, const std::vector<std::vector<double>>& logs) const;

  /// Moves factors outwards until every fan-out and capacity holds; what may be bypassed is, if nothing else helps.
  bool repair(Mapping& mapping) const;

  /// Moves one prime factor of a lane to another slot, or exchanges two. False if it could not.
  bool mutate(Random& random, MappingBatch& batch, std::size_t lane) const;

  /// Tensors that a level may keep or not.
  const std::vector<std::pair<std::size_t, std::size_t>>& free_keeps() const { return free_keeps_; }
  /// Whether the constraints ask for anything that these moves do not see to (least utilisations).
  bool must_check() const { return must_check_; }

 private:
  double bits(const Mapping& mapping, std::size_t level) const;
  bool fits(const MappingBatch& batch, std::size_t lane, const Slot& slot, std::int64_t grow, std::int64_t shrink) const;

  const CostModel& model_;
  std::size_t dimensions_, levels_;
  std::vector<Freedom> freedoms_;
  Mapping fixed_;
  std::vector<Slot> spatial_;  ///< with more than one child
  std::vector<std::vector<std::uint8_t>> inner_;  ///< by level: dimensions whose order is fixed, outermost first
  std::vector<std::pair<std::size_t, std::size_t>> free_keeps_;
  std::string impossible_;
  bool must_check_ = false;
};

/// Evaluates, counts, and remembers the best.
class Search {
 public:
  Search(const CostModel& model, const MapperRequest& request, std::uint64_t effort);

  /// False once the effort is used up or the time is.
  bool more();
  std::uint64_t evaluations() const { return result_.evaluations; }
  std::uint64_t effort() const { return effort_; }
  void count(std::uint64_t evaluations) { result_.evaluations += evaluations; }

  /// Values of the first lanes; infinity for what is invalid or unwanted.
  void evaluate(const Slots& slots, const MappingBatch& batch, std::span<ObjectiveValue> values);
  ObjectiveValue evaluate(const Slots& slots, const Mapping& mapping);

  /// Climbs from `mapping` to where moving or exchanging prime factors, other orders and other kept tensors do not help,
  /// or `limit` evaluations are used up. Returns its value.
  ObjectiveValue polish(const Slots& slots, Mapping& mapping, ObjectiveValue value, std::uint64_t limit);

  const ObjectiveValue& best() const { return result_.value; }
  const std::optional<Mapping>& best_mapping() const { return result_.mapping; }
  /// `sample`: a mapping that was tried, to say why there is none.
  MapperResult finish(const Slots& slots, const std::optional<Mapping>& sample);

 private:
  void note(const Mapping& mapping, const ObjectiveValue& value, const QuickCost& cost);
  ObjectiveValue value_of(const QuickCost& cost) const;

  const CostModel& model_;
  const MapperRequest& request_;
  std::uint64_t effort_;
  std::chrono::steady_clock::time_point begin_;
  MapperResult result_;
};

}  // namespace duet::mappers
