// Breaks the contract: proposes more than it was asked for.

#include "experiments/plugin.hpp"

namespace {

class Greedy final : public duet::Strategy {
 public:
  explicit Greedy(const duet::Problem& problem) : problem_(problem) {}
  std::vector<duet::Proposal> ask(std::uint64_t first, std::size_t count,
                                  std::span<const duet::PendingTrial>) override {
    std::vector<duet::Proposal> proposals;
    for (std::size_t i = 0; i < count + 1; ++i) {
      duet::Random random = problem_.random(first + i);
      proposals.push_back({problem_.space->sample(random)});
    }
    return proposals;
  }
  void tell(std::span<const duet::FinishedTrial>) override {}

 private:
  duet::Problem problem_;
};

void add(duet::Registry& registry) {
  duet::StrategyPlugin plugin;
  plugin.name = "broken";
  plugin.create = [](const duet::Problem& problem, const duet::Options&) { return std::make_unique<Greedy>(problem); };
  registry.strategies.add(plugin);
}

}  // namespace

DUET_PLUGIN(add)
