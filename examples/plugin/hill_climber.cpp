// A search strategy in one file: first-improvement hill climbing with restarts, for one objective.

#include <memory>

#include "experiments/plugin.hpp"

namespace {

class HillClimber final : public duet::Strategy {
 public:
  HillClimber(const duet::Problem& problem, std::int64_t patience) : problem_(problem), patience_(patience) {}

  std::vector<duet::Proposal> ask(std::uint64_t first, std::size_t count,
                                  std::span<const duet::PendingTrial>) override {
    std::vector<duet::Proposal> proposals;
    for (std::uint64_t number = first; number < first + count; ++number) {
      // Random numbers belong to the trial they are for: the same file and seed give the same proposals.
      duet::Random random = problem_.random(number);
      if (!has_best_) {
        proposals.push_back({problem_.space->sample(random)});
      } else {
        proposals.push_back({problem_.space->mutate_one(best_, random), {best_number_}});
      }
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
