// How good strategies are on standard problems: medians over seeds 0-19 and 1000-1019, default options.
//
//   cmake --preset bench && cmake --build --preset bench --target bench_continuous
//   build/bench/bench/bench_continuous STRATEGY [PROBLEM,PROBLEM,… [SEEDS [OPTIONS]]]
//   build/bench/bench/bench_continuous sms_emoa zdt1,dtlz2 20 'population: 100'
//
// Several objectives: the hypervolume of the strategy's population after 10,000 and 25,000 evaluations as a share of the
// true front's, objectives normalised to the range of the true front, with the reference points (1, …, 1) and
// (1.1, …, 1.1). One objective: the best value after 1,000 and 5,000 evaluations.

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <limits>
#include <sstream>
#include <unordered_map>

#include "core/errors.hpp"
#include "search/strategy.hpp"
#include "spaces/standard_problems.hpp"

namespace duet {
namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return 0.5 * (values[(values.size() - 1) / 2] + values[values.size() / 2]);
}

/// Figures of one run: reference 1 and 1.1 at each checkpoint, or the best value.
std::vector<double> measure(const StrategyPlugin& plugin, const Options& options, const StandardProblem& standard,
                            std::uint64_t seed, const std::vector<std::uint64_t>& checkpoints) {
  const Space space(standard.nodes);
  Problem problem;
  problem.space = &space;
  problem.seed = seed;
  problem.constrained = standard.constraints > 0;
  for (std::size_t k = 1; k <= standard.objectives; ++k) problem.objectives.push_back(fmt::format("f{}", k));
  const auto strategy = plugin.create(problem, options);
  std::vector<std::vector<double>> results;  // by trial: objectives and constraints
  std::vector<double> figures;
  std::vector<double> codes(space.size());
  double best = std::numeric_limits<double>::infinity();
  for (std::uint64_t number = 1; number <= checkpoints.back() + 1; ++number) {
    std::vector<Proposal> proposals = strategy->ask(number, 1, {});
    // Asked for the next trial, a generational strategy has selected its population.
    if (std::find(checkpoints.begin(), checkpoints.end(), number - 1) != checkpoints.end()) {
      if (standard.objectives == 1) {
        figures.push_back(best);
      } else {
        std::vector<Point> points;
        for (const std::uint64_t member : strategy->population()) {
          points.push_back(standard.normalised(results[member - 1]));
        }
        for (const double r : {1.0, 1.1}) {
          figures.push_back(hypervolume(points, Point(standard.objectives, r)) / standard.front_hypervolume(r));
        }
      }
    }
    if (proposals.empty()) break;
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
    results.push_back(trial.objectives);
    if (trial.violation > 0) results.back().assign(standard.objectives, std::numeric_limits<double>::infinity());
    best = std::min(best, results.back().front());
    strategy->tell(std::span(&trial, 1));
  }
  return figures;
}

int main_of(int argc, char** argv) {
  Catalog<StrategyPlugin> catalog("strategy");
  add_builtin_strategies(catalog);
  const StrategyPlugin& plugin = catalog.at(argc > 1 ? argv[1] : "sms_emoa");
  std::istringstream names(argc > 2 ? argv[2]
                           : plugin.capabilities.max_objectives == 1
                               ? "sphere,rosenbrock,rastrigin,ackley,mixed_ackley"
                               : "zdt1,zdt2,zdt3,zdt4,zdt6,dtlz2");
  const std::uint64_t seeds = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 20;
  std::optional<Config> config;
  if (argc > 4) config = Config::parse(fmt::format("{{{}}}", argv[4]), "options");
  const Options options = Options::read(config, plugin.options, "strategy " + plugin.name);
  for (std::string name; std::getline(names, name, ',');) {
    const StandardProblem standard = standard_problem(name);
    const std::vector<std::uint64_t> checkpoints =
        standard.objectives == 1 ? std::vector<std::uint64_t>{1000, 5000} : std::vector<std::uint64_t>{10'000, 25'000};
    for (const std::uint64_t first : {0u, 1000u}) {
      std::vector<std::vector<double>> figures;
      for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
        const std::vector<double> run = measure(plugin, options, standard, seed, checkpoints);
        figures.resize(std::max(figures.size(), run.size()));
        for (std::size_t i = 0; i < run.size(); ++i) figures[i].push_back(run[i]);
      }
      fmt::print("{:<24}{:<14}seeds from {:<6}", plugin.name, name, first);
      for (std::size_t i = 0; i < figures.size(); ++i) {
        if (standard.objectives == 1) {
          fmt::print("after {}: {:<12.3g}", checkpoints[i], median(figures[i]));
        } else {
          if (i % 2 == 0) fmt::print("after {}: ", checkpoints[i / 2]);
          fmt::print("{:<8.4f}", median(figures[i]));
        }
      }
      fmt::print("\n");
      std::fflush(stdout);
    }
  }
  return 0;
}

}  // namespace
}  // namespace duet

int main(int argc, char** argv) {
  try {
    return duet::main_of(argc, argv);
  } catch (const duet::ConfigError& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
