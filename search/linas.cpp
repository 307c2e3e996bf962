#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <numeric>
#include <unordered_set>
#include <utility>

#include "core/pareto.hpp"
#include "search/builtin.hpp"
#include "search/predictor.hpp"

namespace duet {
namespace {

/// LINAS (Cummings et al. 2022): predictors learn from all trials so far; an inner NSGA-II searches on the predictors
/// alone; the best of its last population are validated as the next batch of trials; and so on. Between batches it waits
/// for all that is pending, so that the results do not depend on the window.
class Linas final : public Strategy {
 public:
  Linas(const Problem& problem, const Options& options)
      : problem_(problem),
        batch_(static_cast<std::size_t>(options.integer("batch"))),
        population_(static_cast<std::size_t>(options.integer("population"))),
        generations_(static_cast<std::size_t>(options.integer("generations"))),
        rows_(*problem.space, FreeStatistics(problem, static_cast<std::size_t>(options.integer("pretrain")))),
        seen_(*problem.space),
        predictor_(problem, rows_, Predictor::kind(options.text("predictor"))) {
    initial_ = static_cast<std::uint64_t>(options.integer("initial"));
  }

  std::vector<Proposal> ask(std::uint64_t first, std::size_t count, std::span<const PendingTrial> pending) override {
    seen_.add(pending);
    if (initial_end_ == 0) initial_end_ = std::max<std::uint64_t>(initial_, first - 1);
    std::vector<Proposal> proposals;
    for (std::uint64_t number = first; number < first + count; ++number) {
      Random random = problem_.random(number);
      std::optional<Candidate> candidate;
      if (number > initial_end_) {
        if (queue_.empty()) {
          if (!pending.empty() || !proposals.empty()) break;
          search(number);
        }
        if (!queue_.empty()) {
          candidate = std::move(queue_.front());
          queue_.pop_front();
          seen_.add(*candidate);
        }
      }
      if (!candidate) candidate = seen_.draw(random);
      if (!candidate) break;
      proposals.push_back({std::move(*candidate)});
    }
    return proposals;
  }

  void tell(std::span<const FinishedTrial> finished) override {
    seen_.add(finished);
    for (const FinishedTrial& trial : finished) {
      if (trial.duplicate_of) continue;
      told_.push_back(trial);
      if (trial.ok()) targets_.push_back(trial.objectives);
    }
  }

 private:
  struct Individual {
    Candidate candidate;
    Point predicted;
    std::size_t rank = 0;
    double crowding = 0;
  };

  /// Fills the queue with a batch to validate.
  void search(std::uint64_t number) {
    if (targets_.size() < 2) return;
    Random random = problem_.random(number, "inner search");
    predictor_.fit(number, told_, targets_);
    const Space& space = *problem_.space;
    std::vector<Candidate> candidates = fittest(told_, population_ / 2, random);
    std::unordered_set<Fingerprint> visited;  // never iterated
    while (candidates.size() < population_) {
      std::optional<Candidate> drawn = space.try_sample(random);
      if (!drawn) break;
      candidates.push_back(std::move(*drawn));
    }
    std::vector<Individual> individuals;
    const auto add = [&](std::vector<Candidate> fresh) {
      std::erase_if(fresh, [&](const Candidate& c) { return !visited.insert(space.fingerprint(c)).second; });
      const std::vector<Point> predicted = predictor_.predict(fresh);
      for (std::size_t i = 0; i < fresh.size(); ++i) individuals.push_back({std::move(fresh[i]), predicted[i]});
    };
    add(std::move(candidates));
    select(individuals);
    for (std::size_t generation = 0; generation < generations_ && !individuals.empty(); ++generation) {
      std::vector<Candidate> offspring;
      const auto parent = [&]() -> const Individual& {
        const Individual& a = individuals[random.below(individuals.size())];
        const Individual& b = individuals[random.below(individuals.size())];
        return a.rank < b.rank || (a.rank == b.rank && a.crowding >= b.crowding) ? a : b;
      };
      for (std::size_t i = 0; i < population_; ++i) {
        Candidate child = parent().candidate;
        if (random.chance(0.9)) child = space.crossover(child, parent().candidate, random);
        if (random.chance(0.7)) child = space.mutate(child, random, 1.0 / static_cast<double>(1 + space.size()));
        offspring.push_back(std::move(child));
      }
      add(std::move(offspring));
      select(individuals);
    }
    // New ones, best first; what has been validated already makes room for what comes after it.
    std::erase_if(individuals, [&](const Individual& individual) { return seen_.has(individual.candidate); });
    for (std::size_t i = 0; i < individuals.size() && queue_.size() < batch_; ++i) {
      queue_.push_back(std::move(individuals[i].candidate));
    }
    // Where the predicted front has been validated: its neighbourhood.
    const std::vector<Candidate> best = fittest(told_, batch_, random);
    for (int attempt = 0; attempt < SeenCandidates::max_tries && queue_.size() < batch_ && !best.empty(); ++attempt) {
      Candidate mutant = space.mutate_one(best[random.below(best.size())], random);
      if (!seen_.has(mutant) && std::find(queue_.begin(), queue_.end(), mutant) == queue_.end()) {
        queue_.push_back(std::move(mutant));
      }
    }
  }

  /// The next population, best first: by rank and crowding, as NSGA-II does. Candidates that have been validated may stay
  /// as parents, beside as many new ones.
  void select(std::vector<Individual>& individuals) const {
    std::vector<Point> points;
    for (const Individual& individual : individuals) points.push_back(individual.predicted);
    const std::vector<std::size_t> ranks = non_dominated_ranks(points);
    for (std::size_t i = 0; i < individuals.size(); ++i) individuals[i].rank = ranks[i];
    std::stable_sort(individuals.begin(), individuals.end(),
                     [](const Individual& a, const Individual& b) { return a.rank < b.rank; });
    for (std::size_t begin = 0, end = 0; begin < individuals.size() && begin < 2 * population_; begin = end) {
      std::vector<Point> front;
      for (; end < individuals.size() && individuals[end].rank == individuals[begin].rank; ++end) {
        front.push_back(individuals[end].predicted);
      }
      const std::vector<double> crowding = crowding_distance(front);
      for (std::size_t i = 0; i < crowding.size(); ++i) individuals[begin + i].crowding = crowding[i];
    }
    std::stable_sort(individuals.begin(), individuals.end(), [](const Individual& a, const Individual& b) {
      return a.rank != b.rank ? a.rank < b.rank : a.crowding > b.crowding;
    });
    std::vector<Individual> kept;
    std::size_t fresh = 0, known = 0;
    for (Individual& individual : individuals) {
      std::size_t& counter = seen_.has(individual.candidate) ? known : fresh;
      if (counter++ < population_ / 2) kept.push_back(std::move(individual));
    }
    individuals = std::move(kept);
  }

  Problem problem_;
  std::uint64_t initial_ = 0;
  std::size_t batch_;
  std::size_t population_;
  std::size_t generations_;
  SpaceRows rows_;
  SeenCandidates seen_;
  Predictor predictor_;
  std::uint64_t initial_end_ = 0;
  std::deque<Candidate> queue_;
  std::vector<FinishedTrial> told_;  // without duplicates
  std::vector<Point> targets_;       // of the successful ones
};

}  // namespace

StrategyPlugin linas_strategy() {
  return {
      .name = "linas",
      .summary = "Predictors inside an inner NSGA-II whose best designs are validated, and learnt from, batch by batch.",
      .source = "Cummings et al., A hardware-aware framework for accelerating neural architecture search across "
                "modalities, arXiv 2205.10358, 2022",
      .options = {{.name = "initial",
                   .kind = Option::Kind::integer,
                   .fallback = "20",
                   .sentence = "Trials at random before the predictors are asked.",
                   .minimum = 2,
                   .maximum = 1'000'000},
                  {.name = "batch",
                   .kind = Option::Kind::integer,
                   .fallback = "8",
                   .sentence = "Designs validated after each inner search.",
                   .minimum = 1,
                   .maximum = 100'000},
                  {.name = "population",
                   .kind = Option::Kind::integer,
                   .fallback = "50",
                   .sentence = "Population of the inner search.",
                   .minimum = 4,
                   .maximum = 100'000},
                  {.name = "generations",
                   .kind = Option::Kind::integer,
                   .fallback = "20",
                   .sentence = "Generations of the inner search.",
                   .minimum = 1,
                   .maximum = 100'000},
                  {.name = "predictor",
                   .kind = Option::Kind::word,
                   .fallback = "gp",
                   .sentence = "What predicts each objective: Gaussian process, random forest, ridge regression or "
                               "networks.",
                   .words = {"gp", "forest", "ridge", "network"}},
                  pretrain_option("0")},
      .capabilities = {.max_objectives = std::numeric_limits<std::size_t>::max(), .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<Linas>(problem, options); },
  };
}

}  // namespace duet
