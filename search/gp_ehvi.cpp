#include <algorithm>

#include "search/builtin.hpp"
#include "search/gaussian_surrogate.hpp"
#include "search/gp_options.hpp"
#include "search/hypervolume_improvement.hpp"

namespace duet {
namespace {

/// Bayesian optimisation of two or three objectives: the next trial maximises the expected hypervolume improvement times
/// the probability of being feasible, under independent Gaussian processes of the objectives.
class GpEhvi final : public ModelBased {
 public:
  GpEhvi(const Problem& problem, const Options& options)
      : ModelBased(problem, gp_initial(options), options.integer("pretrain")),
        options_(options),
        surrogate_(rows(), problem.objectives.size(), problem.seed, gp_settings(options)) {}

 protected:
  std::optional<Candidate> propose(std::uint64_t, std::span<const Candidate> pending, Random& random) override {
    std::vector<Point> targets;
    for (const FinishedTrial& trial : told()) {
      if (trial.ok()) targets.push_back(trial.objectives);
    }
    surrogate_.update(told(), targets, pending);

    const bool any = !surrogate_.incumbents().empty();
    Point reference = surrogate_.worst();
    for (double& value : reference) value += 0.1;
    const HypervolumeImprovement improvement(surrogate_.incumbents(), reference, surrogate_.axes());
    const Acquisition acquisition = [&](std::span<const Candidate> candidates) {
      const GaussianSurrogate::Prediction prediction = surrogate_.predict(candidates);
      std::vector<double> scores = prediction.log_feasible;
      Point mean(reference.size()), deviation(reference.size());
      for (std::size_t i = 0; i < scores.size() && any; ++i) {
        for (std::size_t k = 0; k < reference.size(); ++k) {
          mean[k] = prediction.mean[k][i];
          deviation[k] = prediction.deviation[k][i];
        }
        scores[i] += improvement.log(mean, deviation);
      }
      return scores;
    };
    return maximize_acquisition(space(), acquisition, fittest(told(), 24, random), seen(), random,
                                gp_search(options_, successes()));
  }

 private:
  Options options_;
  GaussianSurrogate surrogate_;
};

}  // namespace

StrategyPlugin gp_ehvi_strategy() {
  return {
      .name = "gp_ehvi",
      .summary = "Bayesian optimisation of up to three objectives: Gaussian processes and expected hypervolume "
                 "improvement.",
      .source = "Emmerich, Giannakoglou and Naujoks, Single- and multiobjective evolutionary optimization assisted by "
                "Gaussian random field metamodels, IEEE Trans. Evolutionary Computation 10(4), 2006",
      .options = gp_options("256"),
      .capabilities = {.max_objectives = 3, .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<GpEhvi>(problem, options); },
  };
}

}  // namespace duet
