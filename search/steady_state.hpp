#pragma once
/// Strategies that never wait: random designs first, then a proposal for every trial as it is asked for.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "search/seen_candidates.hpp"
#include "search/strategy.hpp"

namespace duet {

class SteadyState : public Strategy {
 public:
  std::vector<Proposal> ask(std::uint64_t first, std::size_t count, std::span<const PendingTrial> pending) final;

 protected:
  explicit SteadyState(const Problem& problem) : problem_(problem), seen_(*problem.space) {}

  /// How many trials are random before the first proposal, those before the strategy's own counted.
  virtual std::size_t initial() const = 0;
  /// A candidate that is new, entered in seen_; nothing: a random new one takes its place.
  virtual std::optional<Proposal> propose(std::uint64_t number, Random& random) = 0;

  /// Whether a trial came when the random ones were over.
  bool begun(std::uint64_t number) const { return begin_ != 0 && number >= begin_; }
  /// The number of the first proposal; requires that one was asked for.
  std::uint64_t begin() const { return begin_; }

  Problem problem_;
  SeenCandidates seen_;

 private:
  std::uint64_t begin_ = 0;  // number of the first trial that is not random
};

}  // namespace duet
