#include <limits>
#include <utility>

#include "search/builtin.hpp"
#include "search/seen_candidates.hpp"

namespace duet {
namespace {

class RandomSearch : public Strategy {
 public:
  explicit RandomSearch(const Problem& problem) : problem_(problem), seen_(*problem.space) {}

  std::vector<Proposal> ask(std::uint64_t first, std::size_t count,
                            std::span<const PendingTrial> pending) override {
    seen_.add(pending);
    std::vector<Proposal> proposals;
    for (std::uint64_t number = first; number < first + count; ++number) {
      Random random = problem_.random(number);
      std::optional<Candidate> candidate = seen_.draw(random);
      if (!candidate) break;
      proposals.push_back({std::move(*candidate)});
    }
    return proposals;
  }

  void tell(std::span<const FinishedTrial> finished) override { seen_.add(finished); }

 private:
  Problem problem_;
  SeenCandidates seen_;
};

}  // namespace

StrategyPlugin random_strategy() {
  return {
      .name = "random",
      .summary = "Samples the space at random, each candidate at most once.",
      .source = "Bergstra and Bengio, Random search for hyper-parameter optimization, JMLR 13, 2012",
      .options = {},
      .capabilities = {.max_objectives = std::numeric_limits<std::size_t>::max(), .constraints = true},
      .create = [](const Problem& problem,
                   const Options&) { return std::make_unique<RandomSearch>(problem); },
  };
}

}  // namespace duet
