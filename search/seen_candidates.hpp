#pragma once
/// What strategies share in order not to propose a candidate twice.

#include <optional>
#include <span>
#include <unordered_set>
#include <vector>

#include "core/fingerprint.hpp"
#include "core/random.hpp"
#include "core/space.hpp"
#include "search/strategy.hpp"

namespace duet {

/// The candidates that have been proposed or told so far.
class SeenCandidates {
 public:
  /// `space` outlives it.
  explicit SeenCandidates(const Space& space) : space_(&space) {}

  /// \returns whether the candidate is new.
  bool add(const Candidate& candidate) { return seen_.insert(space_->fingerprint(candidate)).second; }
  bool has(const Candidate& candidate) const { return has(space_->fingerprint(candidate)); }
  bool has(const Fingerprint& fingerprint) const { return seen_.contains(fingerprint); }
  void add(std::span<const PendingTrial> trials);
  void add(std::span<const FinishedTrial> trials);

  /// Draws a candidate that is new and adds it. After max_tries draws without success a space of at most
  /// max_enumerated candidates is listed: from then on the draw is uniform over the valid candidates that are
  /// left, and nothing if none is left. In a larger space the last draw is returned although it is not new.
  /// Nothing, too, where a larger space has so few valid candidates that none is found.
  std::optional<Candidate> draw(Random& random);

  static constexpr int max_tries = 100;
  static constexpr std::uint64_t max_enumerated = 65'536;

 private:
  const Space* space_;
  std::uint64_t newest_ = 0;                    // pending trials up to this number have been added
  std::unordered_set<Fingerprint> seen_;        // never iterated
  std::optional<std::vector<Candidate>> left_;  // may hold candidates seen since it was made
};

}  // namespace duet
