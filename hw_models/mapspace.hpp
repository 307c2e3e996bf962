#pragma once
/// The mapspace of an einsum on an architecture: which perfect mappings there are, as choices that can be counted, listed
/// and searched. CostModel::why_invalid(mapping, true) is the arbiter of every member.

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hw_models/cost_model.hpp"
#include "hw_models/mapping.hpp"

namespace duet {

/// Factors of every dimension.
using FactorVector = std::array<std::int64_t, max_dimensions>;

/// How a level's fan-out may be used. Costs see only the product of a dimension's factors along x and y: `x` and `y` are
/// one way (the first found) of many to write `factors`.
struct Spread {
  FactorVector factors, x, y;
  std::int64_t children = 1;  ///< the product of all factors
  bool operator==(const Spread&) const = default;
};

/// What a level's constraints and policies say about its temporal loops and tiles, in numbers of dimensions.
struct LevelRules {
  FactorVector fixed{};                     ///< temporal factor that must be; 0: free
  std::array<bool, max_dimensions> rest{};  ///< no factor of the dimension may stand further out
  std::vector<std::size_t> order;           ///< innermost temporal loops, outermost of them first
  std::array<bool, tensor_count> may_keep{}, may_bypass{};
  double capacity_bits = 0;      ///< of tiles; infinity: unbounded
  double min_capacity_bits = 0;  ///< that tiles must fill
};

class Mapspace {
 public:
  Mapspace(const Einsum& einsum, const Architecture& architecture);

  const Einsum& einsum() const { return einsum_; }
  const Architecture& architecture() const { return architecture_; }
  std::size_t levels() const { return rules_.size(); }
  std::size_t dimensions() const { return einsum_.dimensions.size(); }
  const LevelRules& rules(std::size_t level) const { return rules_[level]; }
  /// Distinct spreads of a level's fan-out that its constraints allow, most children first, each dividing the dimensions.
  const std::vector<Spread>& spreads(std::size_t level) const { return spreads_[level]; }

  /// An upper bound of the number of mappings: every way to share out the prime factors, every order of all loops, every
  /// choice that the policies leave; capacities and the other constraints are not looked at.
  double cardinality() const;

  /// Calls `visit` with one mapping of every class of equals that satisfies the constraints (capacities are the caller's
  /// business): spreads differ in their products, orders in the order of loops of more than one iteration. Ends when
  /// `visit` returns false. \returns whether it came to the end.
  bool for_each(const std::function<bool(const Mapping&)>& visit) const;

 private:
  Einsum einsum_;
  Architecture architecture_;
  std::vector<LevelRules> rules_;
  std::vector<std::vector<Spread>> spreads_;
};

/// Divisors in ascending order. \pre n ≥ 1
std::vector<std::int64_t> divisors(std::int64_t n);

}  // namespace duet
