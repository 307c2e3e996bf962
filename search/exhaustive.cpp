#include <limits>
#include <utility>

#include <fmt/format.h>

#include "core/errors.hpp"
#include "search/builtin.hpp"
#include "search/seen_candidates.hpp"

namespace duet {
namespace {

/// All valid candidates of a finite space, in lexicographic order or shuffled.
class Exhaustive final : public Strategy {
 public:
  Exhaustive(const Problem& problem, const Options& options)
      : problem_(problem), seen_(*problem.space), shuffled_(options.text("order") == "shuffled") {
    const Cardinality cardinality = problem.space->cardinality();
    if (!cardinality.exact || *cardinality.exact > largest) {
      throw ConfigError(fmt::format("strategy 'exhaustive' lists up to {} designs, and this space has {}", largest,
                                    cardinality.text));
    }
    count_ = *cardinality.exact;
    while ((std::uint64_t{1} << (2 * half_bits_)) < count_) ++half_bits_;
  }

  std::vector<Proposal> ask(std::uint64_t, std::size_t count, std::span<const PendingTrial> pending) override {
    seen_.add(pending);
    std::vector<Proposal> proposals;
    while (proposals.size() < count && next_ < count_) {
      Candidate candidate = problem_.space->unrank(shuffled_ ? shuffle(next_) : next_);
      ++next_;
      if (problem_.space->valid(candidate) && seen_.add(candidate)) proposals.push_back({std::move(candidate)});
    }
    return proposals;
  }

  void tell(std::span<const FinishedTrial> finished) override { seen_.add(finished); }

 private:
  static constexpr std::uint64_t largest = 1'000'000'000;

  /// A permutation of 0 … count_ - 1: a Feistel network of four rounds on an even number of bits, walked until it comes
  /// back into the range (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).
  std::uint64_t shuffle(std::uint64_t value) const {
    const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
    do {
      std::uint64_t left = value >> half_bits_, right = value & mask;
      for (std::uint64_t round = 0; round < 4; ++round) {
        const std::uint64_t mixed = Hasher().add(problem_.seed).add(round).add(right).finish().low & mask;
        left = std::exchange(right, left ^ mixed);
      }
      value = left << half_bits_ | right;
    } while (value >= count_);
    return value;
  }

  Problem problem_;
  SeenCandidates seen_;
  bool shuffled_;
  std::uint64_t count_ = 0;
  unsigned half_bits_ = 1;
  std::uint64_t next_ = 0;
};

}  // namespace

StrategyPlugin exhaustive_strategy() {
  return {
      .name = "exhaustive",
      .summary = "Every design of a finite space, once.",
      .source = "Enumeration; shuffled by a Feistel network: Black and Rogaway, CT-RSA 2002",
      .options = {{.name = "order",
                   .kind = Option::Kind::word,
                   .fallback = "shuffled",
                   .sentence = "Lexicographic, or shuffled by the seed, so that a run cut short is a fair sample.",
                   .words = {"shuffled", "lexicographic"}}},
      .capabilities = {.max_objectives = std::numeric_limits<std::size_t>::max(), .constraints = true, .reals = false},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<Exhaustive>(problem, options); },
  };
}

}  // namespace duet
