// Breaks the contract: its proposals depend on how often the process has asked, not on the problem and the results.

#include "experiments/plugin.hpp"

namespace {

int asked = 0;

class Forgetful final : public duet::Strategy {
 public:
  explicit Forgetful(const duet::Problem& problem) : problem_(problem) {}
  std::vector<duet::Proposal> ask(std::uint64_t, std::size_t count, std::span<const duet::PendingTrial>) override {
    std::vector<duet::Proposal> proposals;
    for (std::size_t i = 0; i < count; ++i) {
      duet::Random random(problem_.seed, "forgetful", static_cast<std::uint64_t>(asked++));
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
  plugin.create = [](const duet::Problem& problem, const duet::Options&) { return std::make_unique<Forgetful>(problem); };
  registry.strategies.add(plugin);
}

}  // namespace

DUET_PLUGIN(add)
