#include <algorithm>
#include <cmath>
#include <limits>

#include "search/builtin.hpp"
#include "search/gaussian_surrogate.hpp"
#include "search/gp_options.hpp"

namespace duet {
namespace {

/// ParEGO (Knowles 2006): for each trial the objectives are turned into one by the augmented Tchebycheff function with
/// weights of its own, whose expected improvement under one Gaussian process is maximised. Weights are uniform on the
/// simplex instead of on a grid, so that the number of objectives does not matter.
class ParEgo final : public ModelBased {
 public:
  ParEgo(const Problem& problem, const Options& options)
      : ModelBased(problem, gp_initial(options), options.integer("pretrain")),
        options_(options),
        surrogate_(rows(), 1, problem.seed, gp_settings(options)) {}

 protected:
  std::optional<Candidate> propose(std::uint64_t, std::span<const Candidate> pending, Random& random) override {
    constexpr double augmentation = 0.05;  // ρ of the paper
    const std::size_t objectives = problem().objectives.size();
    Point weights;
    double total = 0;
    for (std::size_t k = 0; k < objectives; ++k) {
      weights.push_back(-std::log1p(-random.uniform()));
      total += weights.back();
    }
    Point low(objectives, std::numeric_limits<double>::infinity());
    Point high(objectives, -std::numeric_limits<double>::infinity());
    for (const FinishedTrial& trial : told()) {
      for (std::size_t k = 0; k < objectives && trial.ok(); ++k) {
        low[k] = std::min(low[k], trial.objectives[k]);
        high[k] = std::max(high[k], trial.objectives[k]);
      }
    }
    std::vector<Point> targets;
    for (const FinishedTrial& trial : told()) {
      if (!trial.ok()) continue;
      double largest = 0;
      double sum = 0;
      for (std::size_t k = 0; k < objectives; ++k) {
        const double range = high[k] / 2 - low[k] / 2;
        const double position = range > 0 ? (trial.objectives[k] / 2 - low[k] / 2) / range : 0;
        const double part = weights[k] / total * position;
        largest = std::max(largest, part);
        sum += part;
      }
      targets.push_back({largest + augmentation * sum});
    }
    surrogate_.update(told(), targets, pending);
    return maximize_acquisition(space(), expected_improvement(surrogate_), fittest(told(), 24, random), seen(), random,
                                gp_search(options_, successes()));
  }

 private:
  Options options_;
  GaussianSurrogate surrogate_;
};

}  // namespace

StrategyPlugin parego_strategy() {
  return {
      .name = "parego",
      .summary = "Bayesian optimisation of several objectives, turned into one with new weights for each trial.",
      .source = "Knowles, ParEGO: a hybrid algorithm with on-line landscape approximation for expensive multiobjective "
                "optimization problems, IEEE Trans. Evolutionary Computation 10(1), 2006",
      .options = gp_options("0"),
      .capabilities = {.max_objectives = std::numeric_limits<std::size_t>::max(), .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<ParEgo>(problem, options); },
  };
}

}  // namespace duet
