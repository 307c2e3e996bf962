#pragma once
/// What strategies share that fit models to what they were told: the space as rows of numbers, the loop around a model,
/// and the search for the candidate that a model likes best.

#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/learn/columns.hpp"
#include "search/free_statistics.hpp"
#include "search/seen_candidates.hpp"
#include "search/strategy.hpp"

namespace duet {

/// The candidates of a space as rows for core/learn: one column for each parameter; choices as categories, everything
/// else by its position within the bounds (on the parameter's scale); NaN where not active. Behind them a column for each
/// statistic.
class SpaceRows {
 public:
  /// `space` outlives it.
  explicit SpaceRows(const Space& space, FreeStatistics statistics = {});

  const std::vector<learn::Column>& columns() const { return columns_; }
  const FreeStatistics& statistics() const { return statistics_; }
  /// Appends the row of a candidate.
  void append(const Candidate& candidate, std::vector<double>& rows) const;
  std::vector<double> rows(std::span<const Candidate> candidates) const;
  learn::Rows view(std::span<const double> rows) const { return {rows, columns_.size()}; }

 private:
  const Space* space_;
  FreeStatistics statistics_;
  std::vector<learn::Column> columns_;
};

/// A strategy that proposes `initial` trials at random, spread over the space, and from then on asks a model.
class ModelBased : public Strategy {
 public:
  std::vector<Proposal> ask(std::uint64_t first, std::size_t count, std::span<const PendingTrial> pending) final;
  void tell(std::span<const FinishedTrial> finished) final;

 protected:
  /// `pretrain`: of FreeStatistics.
  ModelBased(const Problem& problem, std::uint64_t initial, std::int64_t pretrain = 0);

  /// A candidate that has not been proposed before, or nothing if the model has none; then a random one is taken.
  /// Called only with at least two successful trials told.
  virtual std::optional<Candidate> propose(std::uint64_t number, std::span<const Candidate> pending,
                                           Random& random) = 0;

  const Problem& problem() const { return problem_; }
  const Space& space() const { return *problem_.space; }
  const SpaceRows& rows() const { return rows_; }
  /// What was told, without duplicates, failures included.
  const std::vector<FinishedTrial>& told() const { return told_; }
  std::size_t successes() const { return successes_; }
  SeenCandidates& seen() { return seen_; }

 private:
  std::optional<Candidate> initial_candidate(std::span<const Candidate> pending, Random& random);

  Problem problem_;
  std::uint64_t initial_;
  SpaceRows rows_;
  SeenCandidates seen_;
  std::vector<FinishedTrial> told_;
  std::size_t successes_ = 0;
};

/// The candidates of the best trials: the feasible by non-dominated rank (random
/// within it), then the infeasible by violation.
std::vector<Candidate> fittest(std::span<const FinishedTrial> told, std::size_t count, Random& random);

/// How well the model likes each candidate: higher is better, never NaN.
using Acquisition = std::function<std::vector<double>(std::span<const Candidate>)>;

struct AcquisitionSearch {
  std::size_t evaluations = 500;  ///< of the acquisition, about
  std::size_t random = 100;       ///< of them at random
};

/// The best new candidate found for an acquisition function over the true space: random candidates and the
/// neighbourhood of `starts`, then an evolution by crossover and mutation, then a local search from the best over
/// Space::neighbours and small steps of numbers. The result has not been seen; nothing if all that was found has been.
std::optional<Candidate> maximize_acquisition(const Space& space, const Acquisition& acquisition,
                                              std::span<const Candidate> starts, const SeenCandidates& seen,
                                              Random& random, const AcquisitionSearch& settings);

}  // namespace duet
