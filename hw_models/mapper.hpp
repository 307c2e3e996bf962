#pragma once
/// Mappers: what finds a mapping of an einsum onto an architecture, and what it is asked for.
///
///     CostModel ──▶ Mapper::map(model, request) ──▶ MapperResult: mapping, value, lower bound, gap
///
/// The mapspace is that of the architecture and its constraints (mapspace.hpp): perfect factors of every dimension over
/// the temporal loops and fan-outs of all levels, every order of the loops, every choice of what is kept.

#include <compare>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.hpp"
#include "hw_models/cost_model.hpp"
#include "hw_models/mapping.hpp"

namespace duet {

/// What a mapper minimises, of a layer's cycles and energy.
struct Objective {
  enum class Kind { cycles, energy, energy_delay, weighted, cycles_then_energy, energy_then_cycles };
  Kind kind = Kind::energy_delay;
  double per_second = 0, per_joule = 0;  ///< weighted: per_second · latency + per_joule · energy
  bool operator==(const Objective&) const = default;
};

/// Compared first by `first`; `second` (0 where the objective has no second thought) breaks ties.
struct ObjectiveValue {
  double first = std::numeric_limits<double>::infinity();
  double second = 0;
  auto operator<=>(const ObjectiveValue&) const = default;
};

/// Cycles, J, J·s, or the weighted sum. Monotone in both arguments: a bound on each bounds the value.
ObjectiveValue value(const Objective& objective, double cycles, double energy_j, double clock_hz);

/// "cycles", "energy", "energy_delay", "weighted", "cycles_then_energy", "energy_then_cycles".
std::string_view to_string(Objective::Kind kind);
/// A name, or {weighted: {per_second: …, per_joule: …}}. \throws ConfigError.
Objective read_objective(const Config& config);

struct MapperRequest {
  Objective objective;
  std::uint64_t seed = 1;        ///< of heuristics
  std::uint64_t effort = 0;      ///< evaluations or nodes at most; 0: the mapper's own default. Decides the result
  double time_limit_s = std::numeric_limits<double>::infinity();  ///< may end a search early, never steers it
  int threads = 1;               ///< never changes the result
};

struct MapperResult {
  std::optional<Mapping> mapping;  ///< nothing: none was found; see why_none
  std::string why_none;            ///< one sentence
  QuickCost cost;                  ///< of the mapping
  ObjectiveValue value;            ///< of the mapping
  /// No mapping of the mapspace is below; 0 for heuristics, equal to value.first where it is proven best.
  double lower_bound = 0;
  bool proven = false;             ///< that no mapping is better
  bool complete = true;            ///< false: ended by the time limit, so that another run may differ
  std::uint64_t evaluations = 0;
  /// value.first ÷ lower_bound − 1: 0 where proven, infinity without a bound.
  double gap() const;
};

class Mapper {
 public:
  virtual ~Mapper() = default;
  virtual std::string_view name() const = 0;
  /// Deterministic for a model and request while `complete`. Safe to call from several threads.
  virtual MapperResult map(const CostModel& model, const MapperRequest& request) const = 0;
};

std::vector<std::string_view> mapper_names();
/// \throws std::out_of_range for a name that mapper_names() does not have.
std::unique_ptr<Mapper> make_mapper(std::string_view name);

}  // namespace duet
