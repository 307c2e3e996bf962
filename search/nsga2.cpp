#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "core/pareto.hpp"
#include "search/builtin.hpp"
#include "search/seen_candidates.hpp"

namespace duet {
namespace {

struct Individual {
  std::uint64_t number = 0;
  Candidate candidate;
  double violation = 0;
  Point objectives;
  std::size_t rank = 0;  ///< within the population it was selected into
  double crowding = 0;
};

/// Crowded-comparison operator (Deb et al. 2002, §III-B).
bool crowded_before(const Individual& a, const Individual& b) {
  if (a.rank != b.rank) return a.rank < b.rank;
  return a.crowding > b.crowding;
}

/// Ranks under constrained domination (Deb et al. 2002, §VI): the feasible by non-dominated sorting, after
/// them the infeasible by violation.
void assign_ranks(std::vector<Individual>& individuals) {
  std::vector<Point> feasible;
  std::vector<double> violations;
  for (const Individual& individual : individuals) {
    if (individual.violation > 0) {
      violations.push_back(individual.violation);
    } else {
      feasible.push_back(individual.objectives);
    }
  }
  std::sort(violations.begin(), violations.end());
  violations.erase(std::unique(violations.begin(), violations.end()), violations.end());
  const std::vector<std::size_t> ranks = non_dominated_ranks(feasible);
  const std::size_t fronts = ranks.empty() ? 0 : 1 + *std::max_element(ranks.begin(), ranks.end());
  std::size_t next = 0;
  for (Individual& individual : individuals) {
    if (individual.violation > 0) {
      const auto position = std::lower_bound(violations.begin(), violations.end(), individual.violation);
      individual.rank = fronts + static_cast<std::size_t>(position - violations.begin());
    } else {
      individual.rank = ranks[next++];
    }
  }
}

/// Crowding distances within each front. Requires individuals sorted by rank.
void assign_crowding(std::vector<Individual>& individuals) {
  for (std::size_t begin = 0, end = 0; begin < individuals.size(); begin = end) {
    std::vector<Point> front;
    for (; end < individuals.size() && individuals[end].rank == individuals[begin].rank; ++end) {
      front.push_back(individuals[end].objectives);
    }
    const std::vector<double> crowding = crowding_distance(front);
    for (std::size_t i = 0; i < crowding.size(); ++i) individuals[begin + i].crowding = crowding[i];
  }
}

/// What `hold` may name: every path and every part of the tree above one, ascending.
std::vector<std::string> parts(const Space& space) {
  std::vector<std::string> parts;
  for (const Parameter& parameter : space.parameters()) {
    parts.push_back(parameter.path);
    for (std::size_t dot = parameter.path.rfind('.'); dot != std::string::npos && dot > 0;
         dot = parameter.path.rfind('.', dot - 1)) {
      parts.push_back(parameter.path.substr(0, dot));
    }
  }
  std::sort(parts.begin(), parts.end());
  parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
  return parts;
}

/// NSGA-II: Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm:
/// NSGA-II", IEEE Trans. Evolutionary Computation 6(2), 2002. A generation is proposed as a whole from the
/// parents selected after the one before; between generations it waits for all that is pending.
class Nsga2 : public Strategy {
 public:
  Nsga2(const Problem& problem, const Options& options)
      : problem_(problem),
        population_size_(static_cast<std::size_t>(options.integer("population"))),
        crossover_rate_(options.number("crossover_rate")),
        mutation_rate_(options.number("mutation_rate")),
        hold_rate_(options.number("hold_rate")),
        seen_(*problem.space) {
    const std::string& hold = options.text("hold");
    if (hold.empty()) return;
    held_ = problem.space->under(hold);
    if (held_.empty()) {
      options.fail("hold", "no parameter lies under '" + hold + "'" + hint(hold, parts(*problem.space)));
    }
    if (held_.size() == problem.space->size()) {
      options.fail("hold", "every parameter lies under '" + hold + "', so that nothing is left to vary");
    }
    for (std::size_t i = 0; i < problem.space->size(); ++i) {
      if (!std::binary_search(held_.begin(), held_.end(), i)) rest_.push_back(i);
    }
  }

  std::vector<Proposal> ask(std::uint64_t first, std::size_t count,
                            std::span<const PendingTrial> pending) override {
    seen_.add(pending);
    // Generation 0 takes in all trials that were there before the first of its own.
    if (generation_end_ == 0) generation_end_ = std::max<std::uint64_t>(population_size_, first - 1);
    std::vector<Proposal> proposals;
    for (std::uint64_t number = first; number < first + count; ++number) {
      if (number > generation_end_) {
        if (!pending.empty() || !proposals.empty()) break;
        select();
        generation_end_ = number - 1 + population_size_;
      }
      Random random = problem_.random(number);
      std::optional<Proposal> proposal = unseen_offspring(random);
      if (!proposal) {
        std::optional<Candidate> candidate = seen_.draw(random);
        if (!candidate) break;
        proposal = Proposal{std::move(*candidate)};
      }
      proposals.push_back(std::move(*proposal));
    }
    return proposals;
  }

  void tell(std::span<const FinishedTrial> finished) override {
    seen_.add(finished);
    for (const FinishedTrial& trial : finished) {
      if (!trial.ok() || trial.duplicate_of) continue;
      told_.push_back({trial.number, trial.candidate, trial.violation, trial.objectives});
    }
  }

 private:
  using Parameters = std::span<const std::size_t>;

  /// Environmental selection (§III-C): the best of parents and offspring become the parents.
  void select() {
    std::move(told_.begin(), told_.end(), std::back_inserter(parents_));
    told_.clear();
    assign_ranks(parents_);
    std::stable_sort(parents_.begin(), parents_.end(),
                     [](const Individual& a, const Individual& b) { return a.rank < b.rank; });
    assign_crowding(parents_);
    std::stable_sort(parents_.begin(), parents_.end(), crowded_before);
    if (parents_.size() > population_size_) parents_.resize(population_size_);
  }

  /// Binary tournament between two different parents, if there are two.
  std::size_t tournament(Random& random) const {
    if (parents_.size() == 1) return 0;
    const std::size_t a = random.below(parents_.size());
    std::size_t b = random.below(parents_.size() - 1);
    if (b >= a) ++b;
    return crowded_before(parents_[b], parents_[a]) ? b : a;
  }

  /// Nothing if there are no parents, or if all that was tried had been proposed before.
  std::optional<Proposal> unseen_offspring(Random& random) {
    if (parents_.empty()) return std::nullopt;
    for (int attempt = 0; attempt < SeenCandidates::max_tries; ++attempt) {
      // Where all variations of the rest have been seen, holding on to the held part is given up half-way.
      const bool hold =
          !held_.empty() && attempt < SeenCandidates::max_tries / 2 && random.chance(hold_rate_);
      const Individual& first = parents_[tournament(random)];
      Proposal proposal{first.candidate, {first.number}};
      if (random.chance(crossover_rate_)) {
        const Individual& second = parents_[tournament(random)];
        if (second.number != first.number) {
          proposal.candidate = problem_.space->crossover(first.candidate, second.candidate, random,
                                                         hold ? Parameters(held_) : Parameters());
          proposal.parents.push_back(second.number);
        }
      }
      mutate(proposal.candidate, random, hold, proposal.parents.size() == 1);
      if (seen_.add(proposal.candidate)) return proposal;
    }
    return std::nullopt;
  }

  /// Each decision changes with the mutation rate, so that a child of two parents may be left as it is. A
  /// child of one parent is always changed.
  void mutate(Candidate& candidate, Random& random, bool hold, bool always) const {
    std::size_t active = 0;
    for (std::size_t i = 0; i < candidate.size(); ++i) active += candidate.has(i) ? 1 : 0;
    if (hold) {
      for (const std::size_t i : held_) active -= candidate.has(i) ? 1 : 0;
    }
    if (active == 0) return;
    const double rate = mutation_rate_ > 0 ? mutation_rate_ : 1.0 / static_cast<double>(active);
    double unchanged = 1;  // probability that no decision changes
    for (std::size_t i = 0; i < active; ++i) unchanged *= 1.0 - rate;
    if (!always && random.chance(unchanged)) return;
    candidate = problem_.space->mutate(candidate, random, rate, hold ? Parameters(rest_) : Parameters());
  }

  Problem problem_;
  std::size_t population_size_;
  double crossover_rate_;
  double mutation_rate_;
  double hold_rate_;
  std::vector<std::size_t> held_;  // parameters under `hold`, and all others
  std::vector<std::size_t> rest_;
  SeenCandidates seen_;
  std::uint64_t generation_end_ = 0;  // number of the last trial of this generation
  std::vector<Individual> parents_;   // best first
  std::vector<Individual> told_;      // of this generation
};

}  // namespace

StrategyPlugin nsga2_strategy() {
  return {
      .name = "nsga2",
      .summary = "Elitist genetic algorithm with non-dominated sorting and crowding, for several objectives.",
      .source =
          "Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, "
          "IEEE Trans. Evolutionary Computation 6(2), 2002",
      .options = {{.name = "population",
                   .kind = Option::Kind::integer,
                   .fallback = "24",
                   .sentence = "Parents kept, and trials per generation.",
                   .minimum = 2,
                   .maximum = 1'000'000},
                  {.name = "crossover_rate",
                   .kind = Option::Kind::number,
                   .fallback = "0.9",
                   .sentence = "Probability that an offspring has two parents.",
                   .minimum = 0,
                   .maximum = 1},
                  {.name = "mutation_rate",
                   .kind = Option::Kind::number,
                   .fallback = "0",
                   .sentence =
                       "Probability that a decision changes; 0 means 1 / number of active parameters.",
                   .minimum = 0,
                   .maximum = 1},
                  {
                      .name = "hold",
                      .kind = Option::Kind::text,
                      .fallback = "",
                      .sentence =
                          "Path of a part of the design that most offspring inherit unchanged; empty: none.",
                  },
                  {.name = "hold_rate",
                   .kind = Option::Kind::number,
                   .fallback = "0.9",
                   .sentence = "Probability that an offspring inherits the part named by `hold` unchanged.",
                   .minimum = 0,
                   .maximum = 1}},
      .capabilities = {.max_objectives = std::numeric_limits<std::size_t>::max(), .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<Nsga2>(problem, options); },
  };
}

}  // namespace duet
