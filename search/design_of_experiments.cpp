#include "search/design_of_experiments.hpp"

#include <utility>

namespace duet {

Candidate candidate_at(const Space& space, std::span<const double> point) {
  Candidate candidate(space.size());
  for (std::size_t i = 0; i < space.size(); ++i) {
    if (space.active(candidate, i)) candidate.set(i, space.code_at_quantile(i, point[i]));
  }
  return candidate;
}

std::vector<Proposal> DesignOfExperiments::ask(std::uint64_t first, std::size_t count,
                                               std::span<const PendingTrial> pending) {
  seen_.add(pending);
  std::vector<Proposal> proposals;
  for (std::uint64_t number = first; number < first + count; ++number) {
    std::optional<Candidate> found;
    // Points that violate a constraint, or are the design of an earlier one, are passed over.
    for (int attempt = 0; attempt < SeenCandidates::max_tries && !found; ++attempt) {
      Candidate candidate = candidate_at(*problem_.space, point(next_++));
      if (problem_.space->valid(candidate) && seen_.add(candidate)) found = std::move(candidate);
    }
    if (!found) {
      Random random = problem_.random(number);
      found = seen_.draw(random);
    }
    if (!found) break;
    proposals.push_back({std::move(*found)});
  }
  return proposals;
}

}  // namespace duet
