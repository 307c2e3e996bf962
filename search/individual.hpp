#pragma once
/// A member of a population, and how populations are ordered.

#include <cstdint>
#include <vector>

#include "core/pareto.hpp"
#include "search/strategy.hpp"

namespace duet {

struct Individual {
  std::uint64_t number = 0;
  Candidate candidate;
  double violation = 0;
  Point objectives;
  std::size_t rank = 0;  ///< within the population it was selected into; 0 is best
  double crowding = 0;   ///< among individuals of equal rank; more is better

  Individual() = default;
  /// Requires a trial that is ok.
  explicit Individual(const FinishedTrial& trial)
      : number(trial.number),
        candidate(trial.candidate),
        violation(trial.violation),
        objectives(trial.objectives) {}
};

/// For one objective: feasible before infeasible, then less violation, then the better objective (the feasibility rules
/// of Deb, Computer Methods in Applied Mechanics and Engineering 186, 2000).
inline bool fitter(const Individual& a, const Individual& b) {
  if (a.violation != b.violation) return a.violation < b.violation;
  return a.objectives.front() < b.objectives.front();
}

/// Crowded-comparison operator (Deb et al. 2002, §III-B).
inline bool crowded_before(const Individual& a, const Individual& b) {
  if (a.rank != b.rank) return a.rank < b.rank;
  return a.crowding > b.crowding;
}

/// Ranks under constrained domination (Deb et al. 2002, §VI): the feasible by non-dominated sorting, after them the
/// infeasible by violation.
void assign_ranks(std::vector<Individual>& individuals);

/// Sorts by rank; equal ranks keep their order.
void sort_by_rank(std::vector<Individual>& individuals);

/// Crowding distances within each front. Requires individuals sorted by rank.
void assign_crowding(std::vector<Individual>& individuals);

/// The numbers of all members.
std::vector<std::uint64_t> numbers_of(const std::vector<Individual>& individuals);

}  // namespace duet
