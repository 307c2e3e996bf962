#include <algorithm>
#include <limits>

#include "search/builtin.hpp"
#include "search/genetic_algorithm.hpp"

namespace duet {
namespace {

/// NSGA-II: Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm:
/// NSGA-II", IEEE Trans. Evolutionary Computation 6(2), 2002.
class Nsga2 final : public GeneticAlgorithm {
 public:
  Nsga2(const Problem& problem, const Options& options) : GeneticAlgorithm(problem, options, Pace::generation) {}

 protected:
  /// Environmental selection (§III-C): the best of parents and offspring become the parents.
  void survive() override {
    join();
    assign_ranks(parents_);
    sort_by_rank(parents_);
    assign_crowding(parents_);
    std::stable_sort(parents_.begin(), parents_.end(), crowded_before);
    if (parents_.size() > population_size_) parents_.resize(population_size_);
  }

  bool before(const Individual& a, const Individual& b) const override { return crowded_before(a, b); }
};

}  // namespace

StrategyPlugin nsga2_strategy() {
  return {
      .name = "nsga2",
      .summary = "Elitist genetic algorithm with non-dominated sorting and crowding, for several objectives.",
      .source =
          "Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, "
          "IEEE Trans. Evolutionary Computation 6(2), 2002",
      .options = genetic_options("24"),
      .capabilities = {.max_objectives = std::numeric_limits<std::size_t>::max(), .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<Nsga2>(problem, options); },
  };
}

}  // namespace duet
