#pragma once
/// Strategies that fill a space with points of the unit cube, one coordinate per parameter whether it is active or not.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "search/seen_candidates.hpp"
#include "search/strategy.hpp"

namespace duet {

class DesignOfExperiments : public Strategy {
 public:
  std::vector<Proposal> ask(std::uint64_t first, std::size_t count,
                            std::span<const PendingTrial> pending) override;
  void tell(std::span<const FinishedTrial> finished) override { seen_.add(finished); }

 protected:
  explicit DesignOfExperiments(const Problem& problem) : problem_(problem), seen_(*problem.space) {}

  /// Point number `index` in [0, 1)^n, one coordinate per parameter of the space.
  virtual std::vector<double> point(std::uint64_t index) = 0;

  Problem problem_;

 private:
  SeenCandidates seen_;
  std::uint64_t next_ = 0;  // points used so far
};

/// The candidate at a point: each active parameter's code at the quantile given by its coordinate. May violate
/// constraints.
Candidate candidate_at(const Space& space, std::span<const double> point);

}  // namespace duet
