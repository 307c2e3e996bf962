#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "search/builtin.hpp"
#include "search/individual.hpp"
#include "search/reference_directions.hpp"
#include "search/steady_state.hpp"
#include "search/variation.hpp"

namespace duet {
namespace {

/// MOEA/D: Zhang and Li, "MOEA/D: a multiobjective evolutionary algorithm based on decomposition", IEEE TEVC 11(6),
/// 2007; parents from outside the neighbourhood at times and a bound on replacements: Li and Zhang, IEEE TEVC 13(2),
/// 2009. Trial t works on subproblem t mod N, on what has been told by then: no generations, no waiting.
class Moead final : public SteadyState {
 public:
  Moead(const Problem& problem, const Options& options)
      : SteadyState(problem),
        weights_(reference_directions(problem.objectives.size(),
                                      static_cast<std::size_t>(options.integer("population")))),
        members_(weights_.size()),
        ideal_(problem.objectives.size(), std::numeric_limits<double>::infinity()),
        range_(problem.objectives.size(), 1),
        crossover_rate_(options.number("crossover_rate")),
        mutation_rate_(options.number("mutation_rate")),
        local_rate_(options.number("local_rate")),
        replacements_(static_cast<std::size_t>(options.integer("replacements"))),
        variation_(*problem.space, variation_settings(options)) {
    const std::string& decomposition = options.text("decomposition");
    boundary_ = decomposition == "boundary" || (decomposition == "auto" && problem.objectives.size() > 2);
    const std::size_t count =
        std::min(static_cast<std::size_t>(options.integer("neighbours")), weights_.size());
    for (const Point& weight : weights_) {
      std::vector<double> distances;
      for (const Point& other : weights_) {
        double sum = 0;
        for (std::size_t k = 0; k < weight.size(); ++k) sum += (weight[k] - other[k]) * (weight[k] - other[k]);
        distances.push_back(sum);
      }
      std::vector<std::size_t> order(weights_.size());
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(),
                       [&](std::size_t a, std::size_t b) { return distances[a] < distances[b]; });
      order.resize(count);
      neighbours_.push_back(std::move(order));
    }
    for (std::size_t i = 0; i < weights_.size(); ++i) all_.push_back(i);
  }

  void tell(std::span<const FinishedTrial> finished) override {
    seen_.add(finished);
    for (const FinishedTrial& trial : finished) {
      const auto local = local_.find(trial.number);
      const bool is_local = local != local_.end();
      if (is_local) local_.erase(local);
      if (!trial.ok() || trial.duplicate_of) continue;
      const Individual individual(trial);
      if (trial.violation <= 0) {
        for (std::size_t k = 0; k < ideal_.size(); ++k) ideal_[k] = std::min(ideal_[k], trial.objectives[k]);
      }
      Random random = problem_.random(trial.number, "replacement");
      std::vector<std::size_t> order = is_local ? neighbours_[subproblem(trial.number)] : all_;
      random.shuffle(order);
      update(individual, order, begun(trial.number) ? replacements_ : order.size());
    }
  }

  std::vector<std::uint64_t> population() const override {
    std::vector<std::uint64_t> numbers;
    for (const auto& member : members_) {
      if (member) numbers.push_back(member->number);
    }
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    return numbers;
  }

 private:
  std::size_t subproblem(std::uint64_t number) const {
    return static_cast<std::size_t>((number - 1) % weights_.size());
  }

  /// Tchebycheff (eq. 4) or penalty-based boundary intersection (eq. 6, theta = 5) of normalised objectives.
  double scalar(const Individual& individual, std::size_t j) const {
    const Point& weight = weights_[j];
    const auto shifted = [&](std::size_t k) {
      return std::isfinite(ideal_[k]) ? (individual.objectives[k] - ideal_[k]) / range_[k] : individual.objectives[k];
    };
    if (!boundary_) {
      double worst = 0;
      for (std::size_t k = 0; k < weight.size(); ++k) {
        worst = std::max(worst, std::max(weight[k], 1e-6) * std::abs(shifted(k)));
      }
      return worst;
    }
    double along = 0, length = 0;
    for (std::size_t k = 0; k < weight.size(); ++k) {
      along += weight[k] * shifted(k);
      length += weight[k] * weight[k];
    }
    along /= std::sqrt(length);
    double aside = 0;
    for (std::size_t k = 0; k < weight.size(); ++k) {
      const double rest = shifted(k) - along * weight[k] / std::sqrt(length);
      aside += rest * rest;
    }
    return along + 5 * std::sqrt(aside);
  }

  void update(const Individual& individual, const std::vector<std::size_t>& order, std::size_t most) {
    bool changed = false;
    for (const std::size_t j : order) {
      if (most == 0) break;
      std::optional<Individual>& member = members_[j];
      const bool better =
          !member || individual.violation < member->violation ||
          (individual.violation == member->violation && scalar(individual, j) < scalar(*member, j));
      if (!better) continue;
      if (member) --most;
      member = individual;
      changed = true;
    }
    if (!changed) return;
    for (std::size_t k = 0; k < range_.size(); ++k) {
      double worst = -std::numeric_limits<double>::infinity();
      for (const auto& member : members_) {
        if (member && member->violation <= 0) worst = std::max(worst, member->objectives[k]);
      }
      range_[k] = worst - ideal_[k] > 1e-12 ? worst - ideal_[k] : 1;
    }
  }

  std::size_t initial() const override { return weights_.size(); }

  std::optional<Proposal> propose(std::uint64_t number, Random& random) override {
    const std::size_t j = subproblem(number);
    for (int attempt = 0; attempt < SeenCandidates::max_tries; ++attempt) {
      const bool local = random.chance(local_rate_);
      const std::vector<std::size_t>& pool = local ? neighbours_[j] : all_;
      const std::optional<Individual>& first = members_[random.pick(pool)];
      const std::optional<Individual>& second = members_[random.pick(pool)];
      if (!first || !second) return std::nullopt;  // too few successes yet
      Proposal proposal{first->candidate, {first->number}};
      if (second->number != first->number && random.chance(crossover_rate_)) {
        proposal.candidate = variation_.crossover(first->candidate, second->candidate, random);
        proposal.parents.push_back(second->number);
      }
      variation_.mutate_sometimes(proposal.candidate, random, mutation_rate_, proposal.parents.size() == 1);
      if (!seen_.add(proposal.candidate)) continue;
      if (local) local_.emplace(number, true);
      return proposal;
    }
    return std::nullopt;
  }

  std::vector<Point> weights_;
  std::vector<std::vector<std::size_t>> neighbours_;  // of each weight, itself first
  std::vector<std::size_t> all_;
  std::vector<std::optional<Individual>> members_;  // of each weight
  Point ideal_, range_;
  double crossover_rate_;
  double mutation_rate_;
  double local_rate_;
  std::size_t replacements_;
  bool boundary_ = false;
  Variation variation_;
  std::unordered_map<std::uint64_t, bool> local_;  // trials under way whose parents are neighbours; never iterated
};

}  // namespace

StrategyPlugin moead_strategy() {
  std::vector<Option> options{{.name = "population",
                               .kind = Option::Kind::integer,
                               .fallback = "100",
                               .sentence = "Subproblems: as many evenly spread weights as there are up to this number.",
                               .minimum = 2,
                               .maximum = 100'000}};
  for (Option& option : variation_options()) options.push_back(std::move(option));
  options.push_back({.name = "decomposition",
                     .kind = Option::Kind::word,
                     .fallback = "auto",
                     .sentence = "How weights make one objective of many; auto: boundary from three objectives.",
                     .words = {"auto", "tchebycheff", "boundary"}});
  options.push_back({.name = "neighbours",
                     .kind = Option::Kind::integer,
                     .fallback = "20",
                     .sentence = "Subproblems, nearest first, that exchange parents and offspring.",
                     .minimum = 1,
                     .maximum = 100'000});
  options.push_back({.name = "local_rate",
                     .kind = Option::Kind::number,
                     .fallback = "0.9",
                     .sentence = "Probability that parents come from the neighbourhood, not from anywhere.",
                     .minimum = 0,
                     .maximum = 1});
  options.push_back({.name = "replacements",
                     .kind = Option::Kind::integer,
                     .fallback = "2",
                     .sentence = "Members that one offspring may replace at most.",
                     .minimum = 1,
                     .maximum = 100'000});
  return {
      .name = "moead",
      .summary = "Evolution that divides the front into subproblems, each improved with its neighbours' help.",
      .source =
          "Zhang and Li, MOEA/D: a multiobjective evolutionary algorithm based on decomposition, IEEE TEVC 11(6), 2007",
      .options = std::move(options),
      .capabilities = {.max_objectives = 15, .constraints = true},
      .create = [](const Problem& problem,
                   const Options& given) { return std::make_unique<Moead>(problem, given); },
  };
}

}  // namespace duet
