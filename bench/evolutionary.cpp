// What evolutionary strategies cost: one ask and one tell after 100, 1,000 and 10,000 trials, on 20 mixed parameters with
// two objectives.
//
//   cmake --preset bench && cmake --build --preset bench --target bench_evolutionary
//   build/bench/bench/bench_evolutionary --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
//
// Strategies for one objective are given the first of the two. The aim is 20 us at most.

#include <benchmark/benchmark.h>

#include "search/strategy.hpp"
#include "spaces/standard_problems.hpp"

namespace duet {
namespace {

void ask_and_tell(benchmark::State& state, const std::string& name) {
  Catalog<StrategyPlugin> catalog("strategy");
  add_builtin_strategies(catalog);
  const StrategyPlugin& plugin = catalog.at(name);
  const StandardProblem standard = standard_problem("mixed_zdt1", {20, 2});
  const Space space(standard.nodes);
  Problem problem;
  problem.space = &space;
  problem.objectives = {"f1", "f2"};
  if (plugin.capabilities.max_objectives == 1) problem.objectives.resize(1);
  const auto strategy = plugin.create(problem, Options::defaults(plugin.options, name));
  std::uint64_t number = 0;
  std::vector<double> codes(space.size());
  const auto step = [&] {
    ++number;
    std::vector<Proposal> proposals = strategy->ask(number, 1, {});
    FinishedTrial trial;
    trial.number = number;
    trial.candidate = std::move(proposals.at(0).candidate);
    for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = trial.candidate[i];
    trial.objectives = standard.evaluate(codes);
    if (problem.objectives.size() == 1) trial.objectives = {trial.objectives[0] + trial.objectives[1]};
    strategy->tell(std::span(&trial, 1));
  };
  while (number < static_cast<std::uint64_t>(state.range(0))) step();
  for (auto _ : state) step();
}

const int registered = [] {
  for (const char* name : {"random", "sobol", "latin_hypercube", "local_search", "simulated_annealing", "mcts",
                           "regularized_evolution", "nsga2", "nsga3", "moead", "sms_emoa", "cma_es",
                           "differential_evolution", "ant_colony"}) {
    benchmark::RegisterBenchmark(name, [name](benchmark::State& state) { ask_and_tell(state, name); })
        ->ArgName("past")
        ->Arg(100)
        ->Arg(1000)
        ->Arg(10'000)
        ->Unit(benchmark::kMicrosecond);
  }
  return 0;
}();

}  // namespace
}  // namespace duet
