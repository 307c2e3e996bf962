#include "search/builtin.hpp"
#include "search/gaussian_surrogate.hpp"
#include "search/gp_options.hpp"

namespace duet {
namespace {

/// Efficient global optimisation (Jones, Schonlau and Welch 1998) on a mixed space: the next trial maximises the
/// expected improvement times the probability of being feasible (Gardner et al., "Bayesian optimization with inequality
/// constraints", ICML 2014) under Gaussian processes.
class GpEi final : public ModelBased {
 public:
  GpEi(const Problem& problem, const Options& options)
      : ModelBased(problem, gp_initial(options), options.integer("pretrain")),
        options_(options),
        surrogate_(rows(), 1, problem.seed, gp_settings(options)) {}

 protected:
  std::optional<Candidate> propose(std::uint64_t, std::span<const Candidate> pending, Random& random) override {
    std::vector<Point> targets;
    for (const FinishedTrial& trial : told()) {
      if (trial.ok()) targets.push_back(trial.objectives);
    }
    surrogate_.update(told(), targets, pending);
    return maximize_acquisition(space(), expected_improvement(surrogate_), fittest(told(), 12, random), seen(), random,
                                gp_search(options_, successes()));
  }

 private:
  Options options_;
  GaussianSurrogate surrogate_;
};

}  // namespace

StrategyPlugin gp_ei_strategy() {
  return {
      .name = "gp_ei",
      .summary = "Bayesian optimisation of one objective: Gaussian process and expected improvement.",
      .source = "Jones, Schonlau and Welch, Efficient global optimization of expensive black-box functions, "
                "J. Global Optimization 13, 1998",
      .options = gp_options("0"),
      .capabilities = {.max_objectives = 1, .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<GpEi>(problem, options); },
  };
}

}  // namespace duet
