// A search strategy in one file: first-improvement hill climbing with restarts, for one objective.

#include <algorithm>
#include <memory>

#include "experiments/plugin.hpp"

namespace {

class HillClimber final : public duet::Strategy {
 public:
  HillClimber(const duet::Problem& problem, std::int64_t patience) : problem_(problem), patience_(patience) {}

  std::vector<duet::Proposal> ask(std::uint64_t first, std::size_t count,
                                  std::span<const duet::PendingTrial> pending) override {
    std::vector<duet::Proposal> proposals;
    for (std::uint64_t number = first; number < first + count; ++number) {
      // Random numbers belong to the trial they are for: the same file and seed give the same proposals.
      duet::Random random = problem_.random(number);
      duet::Proposal proposal = propose(random);
      // What is under way need not be asked for again.
      for (int tries = 0; tries < 100 && under_way(proposal, pending, proposals); ++tries) proposal = propose(random);
      if (under_way(proposal, pending, proposals)) break;  // a barrier: wait for a result
      proposals.push_back(proposal);
    }
    return proposals;
  }

  void tell(std::span<const duet::FinishedTrial> finished) override {
    for (const duet::FinishedTrial& trial : finished) {
      const bool better = trial.ok() && (!has_best_ || trial.objectives[0] < best_value_);
      if (better) {
        has_best_ = true;
        best_ = trial.candidate;
        best_number_ = trial.number;
        best_value_ = trial.objectives[0];
        failures_ = 0;
      } else if (++failures_ >= patience_) {
        has_best_ = false;  // climb another hill
        failures_ = 0;
      }
    }
  }

 private:
  duet::Proposal propose(duet::Random& random) const {
    if (!has_best_) return {problem_.space->sample(random)};
    return {problem_.space->mutate_one(best_, random), {best_number_}};
  }

  static bool under_way(const duet::Proposal& proposal, std::span<const duet::PendingTrial> pending,
                        const std::vector<duet::Proposal>& proposals) {
    const auto same = [&](const auto& other) { return other.candidate == proposal.candidate; };
    return std::any_of(pending.begin(), pending.end(), same) || std::any_of(proposals.begin(), proposals.end(), same);
  }

  duet::Problem problem_;
  std::int64_t patience_;
  bool has_best_ = false;
  duet::Candidate best_;
  std::uint64_t best_number_ = 0;
  double best_value_ = 0;
  std::int64_t failures_ = 0;
};

void add(duet::Registry& registry) {
  duet::StrategyPlugin plugin;
  plugin.name = "hill_climber";
  plugin.summary = "First-improvement hill climbing with restarts, for one objective.";
  plugin.source = "Russell and Norvig, Artificial Intelligence: A Modern Approach, section 4.1";
  plugin.options = {{.name = "patience",
                     .kind = duet::Option::Kind::integer,
                     .fallback = "20",
                     .sentence = "Trials without improvement before it starts again elsewhere.",
                     .minimum = 1}};
  plugin.create = [](const duet::Problem& problem, const duet::Options& options) {
    return std::make_unique<HillClimber>(problem, options.integer("patience"));
  };
  registry.strategies.add(plugin);
}

}  // namespace

DUET_PLUGIN(add)
