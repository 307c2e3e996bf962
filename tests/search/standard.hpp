#pragma once
/// Standard problems for measuring strategies, without the checks of the contract's driver.

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "search/strategy.hpp"
#include "spaces/standard_problems.hpp"

namespace duet::testing {

/// What became of a run.
struct StandardRun {
  double best = std::numeric_limits<double>::infinity();  ///< least first objective of a feasible trial
  double share = 0;       ///< the final population's hypervolume as a share of the true front's, reference 1.1
  double share_of_all = 0;  ///< the same of all feasible trials
  std::uint64_t trials = 0;
};

/// One of duet's own strategies.
inline StrategyPlugin builtin_strategy(const std::string& name) {
  Catalog<StrategyPlugin> catalog("strategy");
  add_builtin_strategies(catalog);
  return catalog.at(name);
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return 0.5 * (values[(values.size() - 1) / 2] + values[values.size() / 2]);
}

/// Runs a strategy by one trial at a time.
inline StandardRun run_standard(const std::string& name, const StandardProblem& standard, std::uint64_t seed,
                                std::uint64_t trials, const std::string& options = "") {
  const StrategyPlugin plugin = builtin_strategy(name);
  std::optional<Config> config;
  if (!options.empty()) config = Config::parse(options, "options");
  const Space space(standard.nodes);
  Problem problem;
  problem.space = &space;
  problem.seed = seed;
  problem.constrained = standard.constraints > 0;
  for (std::size_t k = 1; k <= standard.objectives; ++k) problem.objectives.push_back("f" + std::to_string(k));
  const auto strategy = plugin.create(problem, Options::read(config, plugin.options, "strategy " + name));
  StandardRun run;
  std::vector<Point> found, feasible;
  std::vector<double> codes(space.size());
  for (std::uint64_t number = 1; number <= trials + 1; ++number) {
    std::vector<Proposal> proposals = strategy->ask(number, 1, {});
    if (proposals.empty() || number > trials) break;
    FinishedTrial trial;
    trial.number = number;
    trial.candidate = std::move(proposals[0].candidate);
    for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = trial.candidate[i];
    trial.objectives = standard.evaluate(codes);
    for (std::size_t k = standard.objectives; k < trial.objectives.size(); ++k) {
      trial.violation += std::max(0.0, trial.objectives[k]);
      trial.excess.push_back(trial.objectives[k]);
    }
    trial.objectives.resize(standard.objectives);
    found.push_back(standard.objectives > 1 ? standard.normalised(trial.objectives) : trial.objectives);
    if (trial.violation <= 0) {
      run.best = std::min(run.best, trial.objectives[0]);
      feasible.push_back(found.back());
    } else {
      found.back().assign(standard.objectives, std::numeric_limits<double>::infinity());
    }
    run.trials = number;
    strategy->tell(std::span(&trial, 1));
  }
  if (standard.objectives > 1) {
    const Point reference(standard.objectives, 1.1);
    const double whole = standard.front_hypervolume(1.1);
    std::vector<Point> members;
    for (const std::uint64_t number : strategy->population()) {
      if (number <= found.size()) members.push_back(found[number - 1]);
    }
    run.share = hypervolume(members, reference) / whole;
    run.share_of_all = hypervolume(feasible, reference) / whole;
  }
  return run;
}

}  // namespace duet::testing
