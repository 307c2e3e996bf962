#include "search/seen_candidates.hpp"

#include <algorithm>
#include <utility>

namespace duet {

void SeenCandidates::add(std::span<const PendingTrial> trials) {
  // In number order, and mostly known from the last call.
  const auto fresh = std::partition_point(trials.begin(), trials.end(),
                                          [this](const PendingTrial& trial) { return trial.number <= newest_; });
  for (auto trial = fresh; trial != trials.end(); ++trial) add(trial->candidate);
  if (!trials.empty()) newest_ = std::max(newest_, trials.back().number);
}

void SeenCandidates::add(std::span<const FinishedTrial> trials) {
  for (const FinishedTrial& trial : trials) add(trial.candidate);
}

std::optional<Candidate> SeenCandidates::draw(Random& random) {
  if (!left_) {
    std::optional<Candidate> candidate;
    for (int attempt = 0; attempt < max_tries; ++attempt) {
      std::optional<Candidate> drawn = space_->try_sample(random);
      if (!drawn) break;
      candidate = std::move(drawn);
      if (add(*candidate)) return candidate;
    }
    const Cardinality cardinality = space_->cardinality();
    if (!cardinality.finite || !cardinality.exact || *cardinality.exact > max_enumerated) return candidate;
    left_.emplace();
    for (std::uint64_t rank = 0; rank < *cardinality.exact; ++rank) {
      Candidate listed = space_->unrank(rank);
      if (space_->valid(listed)) left_->push_back(std::move(listed));
    }
  }
  while (!left_->empty()) {
    std::swap((*left_)[random.below(left_->size())], left_->back());
    Candidate candidate = std::move(left_->back());
    left_->pop_back();
    if (add(candidate)) return candidate;
  }
  return std::nullopt;
}

}  // namespace duet
