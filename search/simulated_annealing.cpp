#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "search/builtin.hpp"
#include "search/individual.hpp"
#include "search/steady_state.hpp"

namespace duet {
namespace {

/// Kirkpatrick, Gelatt and Vecchi, "Optimization by simulated annealing", Science 220, 1983: Metropolis steps while the
/// temperature falls geometrically; then again from the best so far. Temperatures are measured in the spread of the
/// objective over the first, random trials.
class SimulatedAnnealing final : public SteadyState {
 public:
  SimulatedAnnealing(const Problem& problem, const Options& options)
      : SteadyState(problem),
        initial_(static_cast<std::size_t>(options.integer("initial"))),
        steps_(static_cast<std::uint64_t>(options.integer("steps"))),
        hot_(options.number("hot")),
        cold_(options.number("cold")) {}

  void tell(std::span<const FinishedTrial> finished) override {
    seen_.add(finished);
    for (const FinishedTrial& trial : finished) {
      if (!trial.ok() || trial.duplicate_of) continue;
      const Individual individual(trial);
      results_.emplace(problem_.space->fingerprint(trial.candidate), individual);
      if (!best_ || fitter(individual, *best_)) best_ = individual;
      if (!begun(trial.number)) {
        sum_ += individual.objectives.front();
        squares_ += individual.objectives.front() * individual.objectives.front();
        ++told_;
        current_ = best_;
      } else {
        Random random = problem_.random(trial.number, "acceptance");
        step_to(individual, trial.number, random);
      }
    }
  }

 private:
  double temperature(std::uint64_t number) const {
    const double share = static_cast<double>((number - begin()) % steps_) / static_cast<double>(steps_);
    const double n = static_cast<double>(told_);
    const double spread = told_ < 2 ? 0 : std::sqrt(std::max(0.0, squares_ / n - sum_ / n * (sum_ / n)));
    return hot_ * std::pow(cold_ / hot_, share) * (spread > 0 ? spread : 1);
  }

  /// Metropolis' rule. Infeasible designs are left, and entered, by violation alone.
  void step_to(const Individual& next, std::uint64_t number, Random& random) {
    const double chance = random.uniform();
    if (!current_ || next.violation != current_->violation) {
      if (!current_ || next.violation < current_->violation) current_ = next;
      return;
    }
    const double worse = next.objectives.front() - current_->objectives.front();
    if (worse <= 0 || chance < std::exp(-worse / temperature(number))) current_ = next;
  }

  std::size_t initial() const override { return initial_; }

  /// A new design next to the present one. Steps to designs that have been told cost no trial.
  std::optional<Proposal> propose(std::uint64_t number, Random& random) override {
    if (!current_) return std::nullopt;
    const std::uint64_t cycle = (number - begin()) / steps_;
    if (cycle > cycle_) current_ = best_;
    cycle_ = cycle;
    for (int attempt = 0; attempt < SeenCandidates::max_tries; ++attempt) {
      Candidate candidate = neighbour(random);
      const auto known = results_.find(problem_.space->fingerprint(candidate));
      if (known != results_.end()) {
        step_to(known->second, number, random);
      } else if (seen_.add(candidate)) {
        return Proposal{std::move(candidate), {current_->number}};
      }
    }
    return std::nullopt;
  }

  /// One decision changed by a step.
  Candidate neighbour(Random& random) const {
    const Space& space = *problem_.space;
    const Candidate& from = current_->candidate;
    std::vector<std::size_t> changeable;
    for (std::size_t i = 0; i < space.size(); ++i) {
      if (from.has(i) && space[i].maximum > space[i].minimum) changeable.push_back(i);
    }
    if (changeable.empty()) return from;
    for (int attempt = 0; attempt < Space::max_retries; ++attempt) {
      const std::size_t i = random.pick(changeable);
      Candidate next = space.with(from, i, space.step_code(i, from[i], random), random, &from);
      if (space.constraints().empty() || space.valid(next)) return next;
    }
    return from;
  }

  std::size_t initial_;
  std::uint64_t steps_;
  double hot_, cold_;
  std::uint64_t cycle_ = 0;
  std::optional<Individual> current_, best_;
  std::unordered_map<Fingerprint, Individual> results_;  // never iterated
  double sum_ = 0, squares_ = 0;                          // of the objective before the walk
  std::uint64_t told_ = 0;
};

}  // namespace

StrategyPlugin simulated_annealing_strategy() {
  return {
      .name = "simulated_annealing",
      .summary = "A walk that takes steps for the worse more rarely the longer it goes; for one objective.",
      .source = "Kirkpatrick, Gelatt and Vecchi, Optimization by simulated annealing, Science 220, 1983",
      .options = {{.name = "initial",
                   .kind = Option::Kind::integer,
                   .fallback = "10",
                   .sentence = "Random trials, of which the best is where the walk begins.",
                   .minimum = 2,
                   .maximum = 1'000'000},
                  {.name = "steps",
                   .kind = Option::Kind::integer,
                   .fallback = "200",
                   .sentence = "Trials in which the temperature falls from hot to cold; best the budget, or a fraction.",
                   .minimum = 1,
                   .maximum = 1'000'000'000},
                  {.name = "hot",
                   .kind = Option::Kind::number,
                   .fallback = "0.3",
                   .sentence = "First temperature, in standard deviations of the objective over the random trials.",
                   .minimum = 1e-9,
                   .maximum = 1e9},
                  {.name = "cold",
                   .kind = Option::Kind::number,
                   .fallback = "0.001",
                   .sentence = "Last temperature.",
                   .minimum = 1e-12,
                   .maximum = 1e9}},
      .capabilities = {.max_objectives = 1, .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<SimulatedAnnealing>(problem, options); },
  };
}

}  // namespace duet
