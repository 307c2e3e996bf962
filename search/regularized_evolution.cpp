#include <deque>
#include <utility>

#include "search/builtin.hpp"
#include "search/individual.hpp"
#include "search/steady_state.hpp"

namespace duet {
namespace {

/// Regularized (ageing) evolution: Real et al., "Regularized evolution for image classifier architecture
/// search", AAAI 2019, algorithm 1. Steady-state, so that any number of trials may be pending: a child
/// descends from what has been told when it is asked for.
class RegularizedEvolution final : public SteadyState {
 public:
  RegularizedEvolution(const Problem& problem, const Options& options)
      : SteadyState(problem),
        population_size_(static_cast<std::size_t>(options.integer("population"))),
        sample_size_(static_cast<std::size_t>(options.integer("sample"))),
        mutation_rate_(options.number("mutation_rate")) {}

  void tell(std::span<const FinishedTrial> finished) override {
    seen_.add(finished);
    for (const FinishedTrial& trial : finished) {
      if (!trial.ok() || trial.duplicate_of) continue;
      population_.emplace_back(trial);
      if (population_.size() > population_size_) population_.pop_front();  // the oldest dies
    }
  }

 private:
  std::size_t initial() const override { return population_size_; }

  /// The fittest of sample_size_ individuals drawn with replacement.
  const Individual& tournament(Random& random) const {
    const auto draw = [&]() -> const Individual& { return population_[random.below(population_.size())]; };
    const Individual* best = &draw();
    for (std::size_t i = 1; i < sample_size_; ++i) {
      const Individual& other = draw();
      if (fitter(other, *best)) best = &other;
    }
    return *best;
  }

  /// Nothing if there is no parent, or if all that was tried had been proposed before.
  std::optional<Proposal> propose(std::uint64_t, Random& random) override {
    if (population_.empty()) return std::nullopt;
    for (int attempt = 0; attempt < SeenCandidates::max_tries; ++attempt) {
      const Individual& parent = tournament(random);
      Candidate child = problem_.space->mutate(parent.candidate, random, mutation_rate_);
      if (seen_.add(child)) return Proposal{std::move(child), {parent.number}};
    }
    return std::nullopt;
  }

  std::size_t population_size_;
  std::size_t sample_size_;
  double mutation_rate_;
  std::deque<Individual> population_;  // oldest first
};

}  // namespace

StrategyPlugin regularized_evolution_strategy() {
  return {
      .name = "regularized_evolution",
      .summary = "Evolution by mutation in which the oldest dies, not the worst; for one objective.",
      .source = "Real et al., Regularized evolution for image classifier architecture search, AAAI 2019",
      .options = {{.name = "population",
                   .kind = Option::Kind::integer,
                   .fallback = "20",
                   .sentence =
                       "Individuals alive at once; as many trials are random before evolution begins.",
                   .minimum = 2,
                   .maximum = 1'000'000},
                  {.name = "sample",
                   .kind = Option::Kind::integer,
                   .fallback = "15",
                   .sentence = "Individuals drawn for a tournament, whose fittest becomes the parent.",
                   .minimum = 1,
                   .maximum = 1'000'000},
                  {.name = "mutation_rate",
                   .kind = Option::Kind::number,
                   .fallback = "0",
                   .sentence = "Probability that a decision changes besides the one that always does.",
                   .minimum = 0,
                   .maximum = 1}},
      .capabilities = {.max_objectives = 1, .constraints = true},
      .create =
          [](const Problem& problem, const Options& options) {
            return std::make_unique<RegularizedEvolution>(problem, options);
          },
  };
}

}  // namespace duet
