#pragma once
/// The closed form on numbers that carry derivatives: a tape of reverse-mode automatic differentiation (A. Griewank and
/// A. Walther, "Evaluating Derivatives", 2nd edition 2008, chapter 3) as a scalar of cost_kernel.hpp. Internal to hw_models.
///
/// Factors may be any real numbers ≥ 1 here; one of exactly 1 is no loop. The relaxation differs from the model in two
/// ways. Rounding up is left out. How many different sums a·i + b·j take is continued from whole to real steps a and b
/// with the smaller of them in place of their greatest common divisor, which is equal where one divides the other; what
/// shifted sets of such sums share (footprint `distinct`) is differentiated by its number of rows alone. Where minima,
/// maxima and a factor's becoming a loop make it kink or jump, the derivative is that of the branch taken.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "hw_models/cost_kernel.hpp"

namespace duet::kernel {

class Tape;

/// A number; a constant unless a Tape made it or one of its ancestors.
struct Variable {
  double v = 0;
  std::uint32_t node = 0;
  Tape* tape = nullptr;
  Variable() = default;
  explicit Variable(double value) : v(value) {}
  Variable(double value, std::uint32_t at, Tape* on) : v(value), node(at), tape(on) {}
};

/// Operations in the order in which they were done. Clear it before every evaluation; it keeps its memory.
class Tape {
 public:
  void clear() { nodes_.assign(1, {}); }
  Variable variable(double value) { return {value, push(0, 0, 0, 0), this}; }
  /// Number 0 is where derivatives of constants go.
  std::uint32_t push(std::uint32_t a, double by_a, std::uint32_t b, double by_b) {
    nodes_.push_back({a, b, by_a, by_b});
    return static_cast<std::uint32_t>(nodes_.size() - 1);
  }
  /// Derivatives of `of`; derivative() then says them.
  void reverse(const Variable& of) {
    derivatives_.assign(nodes_.size(), 0);
    if (of.tape == nullptr) return;
    derivatives_[of.node] = 1;
    for (std::size_t i = of.node; i > 0; --i) {
      const Node& node = nodes_[i];
      const double d = derivatives_[i];
      if (d == 0) continue;
      derivatives_[node.a] += d * node.by_a;
      derivatives_[node.b] += d * node.by_b;
    }
  }
  double derivative(const Variable& by) const { return by.tape == nullptr ? 0 : derivatives_[by.node]; }
  std::size_t size() const { return nodes_.size(); }

 private:
  struct Node {
    std::uint32_t a = 0, b = 0;
    double by_a = 0, by_b = 0;
  };
  std::vector<Node> nodes_{1};
  std::vector<double> derivatives_;
};

inline Variable result(double value, const Variable& a, double by_a, const Variable& b, double by_b) {
  Tape* tape = a.tape != nullptr ? a.tape : b.tape;
  if (tape == nullptr) return Variable(value);
  return {value, tape->push(a.node, by_a, b.node, by_b), tape};
}
inline Variable result(double value, const Variable& a, double by_a) { return result(value, a, by_a, Variable(), 0); }

inline Variable operator+(const Variable& a, const Variable& b) { return result(a.v + b.v, a, 1, b, 1); }
inline Variable operator-(const Variable& a, const Variable& b) { return result(a.v - b.v, a, 1, b, -1); }
inline Variable operator*(const Variable& a, const Variable& b) { return result(a.v * b.v, a, b.v, b, a.v); }
inline Variable operator/(const Variable& a, const Variable& b) {
  return result(a.v / b.v, a, 1 / b.v, b, -a.v / (b.v * b.v));
}
inline Variable operator+(const Variable& a, double b) { return result(a.v + b, a, 1); }
inline Variable operator-(const Variable& a, double b) { return result(a.v - b, a, 1); }
inline Variable operator*(const Variable& a, double b) { return result(a.v * b, a, b); }
inline Variable operator/(const Variable& a, double b) { return result(a.v / b, a, 1 / b); }
inline Variable operator/(double a, const Variable& b) { return result(a / b.v, b, -a / (b.v * b.v)); }
inline Variable log(const Variable& a) { return result(std::log(a.v), a, 1 / a.v); }

inline Variable larger(const Variable& a, const Variable& b) { return a.v > b.v ? a : b; }
inline Variable smaller(const Variable& a, const Variable& b) { return a.v < b.v ? a : b; }
inline Variable round_up(const Variable& a) { return a; }
inline bool greater(const Variable& a, const Variable& b) { return a.v > b.v; }
inline Variable choose(bool condition, const Variable& yes, const Variable& no) { return condition ? yes : no; }
inline std::size_t is_loop(const Variable& count) { return count.v != 1 ? 1 : 0; }

inline Variable sums(const Variable& I, const Variable& J, const Variable& a, const Variable& b) {
  if (I.v <= 1 || J.v <= 1) return I * J;
  const bool whole = a.v == std::floor(a.v) && b.v == std::floor(b.v);
  const Variable g = whole ? Variable(static_cast<double>(
                                 std::gcd(static_cast<std::int64_t>(a.v), static_cast<std::int64_t>(b.v))))
                           : smaller(a, b);
  const Variable i_rest = I - b / g, j_rest = J - a / g;
  return i_rest.v > 0 && j_rest.v > 0 ? I * J - i_rest * j_rest : I * J;
}
inline Variable distinct_extent(const Axis& axis, const Variable& na, const Variable& nb) {
  return axis.two ? sums(na, nb, Variable(axis.coefficient_a), Variable(axis.coefficient_b)) : na;
}
inline Variable distinct_overlap(const Axis& axis, bool moves_a, const Variable& na, const Variable& nb,
                                 const Variable& next, const Variable& step) {
  if (!axis.two) return Variable(0.0);
  const Variable &moving = moves_a ? na : nb, &rows = moves_a ? nb : na;
  const double a = moves_a ? axis.coefficient_a : axis.coefficient_b;
  const double b = moves_a ? axis.coefficient_b : axis.coefficient_a;
  const double shared = shared_sums(moving.v, step.v, next.v, rows.v, a, b);
  const double slope = shared_sums(moving.v, step.v, next.v, rows.v * (1 + 1e-6), a, b) - shared;
  return result(shared, rows, slope / (rows.v * 1e-6));
}

template <>
struct ScalarTraits<Variable> {
  using Mask = bool;
};

/// Cycles, energy and what every level's tiles occupy, of factors that are variables.
struct RelaxedCost {
  Variable cycles, energy_j;
  std::array<Variable, max_levels> bits;
};
inline RelaxedCost relaxed_cost(const Plan& plan, const BasicMapping<Variable>& mapping) {
  Nest<Variable> nest;
  Counts<Variable> counts;
  Totals<Variable> totals;
  build(plan, mapping, nest);
  measure_tiles(plan, mapping, nest, counts);
  count_perfect(plan, mapping, nest, counts);
  price(plan, counts, false, totals);
  RelaxedCost cost{totals.cycles, totals.energy_j, {}};
  for (std::size_t l = 0; l < plan.levels; ++l) cost.bits[l] = tile_bits(plan, counts, l, mapping.levels[l].keep);
  return cost;
}

}  // namespace duet::kernel
