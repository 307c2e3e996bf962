#include "search/steady_state.hpp"

#include <algorithm>
#include <utility>

namespace duet {

std::vector<Proposal> SteadyState::ask(std::uint64_t first, std::size_t count, std::span<const PendingTrial> pending) {
  seen_.add(pending);
  if (begin_ == 0) begin_ = std::max<std::uint64_t>(initial(), first - 1) + 1;
  std::vector<Proposal> proposals;
  for (std::uint64_t number = first; number < first + count; ++number) {
    Random random = problem_.random(number);
    std::optional<Proposal> proposal;
    if (number >= begin_) proposal = propose(number, random);
    if (!proposal) {
      std::optional<Candidate> candidate = seen_.draw(random);
      if (!candidate) break;
      proposal = Proposal{std::move(*candidate)};
    }
    proposals.push_back(std::move(*proposal));
  }
  return proposals;
}

}  // namespace duet
