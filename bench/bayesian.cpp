// What one proposal of a strategy that learns costs: one ask and one tell, window 1, after so many past trials, with 20
// mixed parameters (8 choices of 3 to 5 options, 4 ordinals, 4 integers, 4 reals) and two objectives (one for gp_ei,
// smac and boshnas).
//
//   cmake --preset bench && cmake --build --preset bench
//   build/bench/bench/bench_bayesian
//
// The past is told, not proposed. The first proposal, which takes all of it in, is made before the clock runs; fits that
// fall due later are in the mean. Times are of the processor, not of the wall.

#include <cmath>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "search/strategy.hpp"

namespace duet {
namespace {

Space mixed_space() {
  std::vector<SpaceNode> nodes;
  for (int i = 0; i < 8; ++i) {
    std::vector<std::string> names;
    for (int k = 0; k < 3 + i % 3; ++k) names.push_back("option" + std::to_string(k));
    nodes.push_back(choice("choice" + std::to_string(i), names));
  }
  for (int i = 0; i < 4; ++i) {
    nodes.push_back(ordinal("ordinal" + std::to_string(i), {1, 2, 4, 8, 16}));
    nodes.push_back(integer("integer" + std::to_string(i), 1, i % 2 == 0 ? 16 : 512));
    nodes.push_back(real("real" + std::to_string(i), 0, 1));
  }
  return Space(nodes);
}

void ask_and_tell(benchmark::State& state, const std::string& name) {
  Catalog<StrategyPlugin> catalog("strategy");
  add_builtin_strategies(catalog);
  const StrategyPlugin& plugin = catalog.at(name);
  const Space space = mixed_space();
  Problem problem;
  problem.space = &space;
  problem.objectives = {"a", "b"};
  if (plugin.capabilities.max_objectives < 2) problem.objectives.resize(1);
  const auto strategy = plugin.create(problem, Options::defaults(plugin.options, name));
  const auto finish = [&](std::uint64_t number, Candidate candidate) {
    FinishedTrial trial;
    trial.number = number;
    double a = 0, b = 0;
    for (std::size_t i = 0; i < space.size(); ++i) {
      const double position = (candidate[i] - space[i].minimum) / (space[i].maximum - space[i].minimum);
      a += std::abs(position - 0.3) * static_cast<double>(1 + i % 4);
      b += std::abs(position - 0.8) * static_cast<double>(1 + i % 3);
    }
    trial.candidate = std::move(candidate);
    trial.objectives = {a, b};
    trial.objectives.resize(problem.objectives.size());
    strategy->tell(std::span(&trial, 1));
  };
  std::uint64_t number = 0;
  while (number < static_cast<std::uint64_t>(state.range(0))) {
    ++number;
    Random random(1, "past", number);
    finish(number, space.sample(random));
  }
  const auto step = [&] {
    std::vector<Proposal> proposals;
    while (proposals.empty()) proposals = strategy->ask(number + 1, 1, {});
    finish(++number, std::move(proposals[0].candidate));
  };
  step();
  for (auto _ : state) step();
}

#define DUET_ASK_AND_TELL(name, unit, count)                                              \
  BENCHMARK_CAPTURE(ask_and_tell, name, #name)                                            \
      ->ArgName("past")->Arg(100)->Arg(1000)->Arg(10'000)->Unit(unit)->Iterations(count)
DUET_ASK_AND_TELL(tpe, benchmark::kMicrosecond, 300);
DUET_ASK_AND_TELL(gp_ei, benchmark::kMillisecond, 30);
DUET_ASK_AND_TELL(parego, benchmark::kMillisecond, 30);
DUET_ASK_AND_TELL(gp_ehvi, benchmark::kMillisecond, 30);
DUET_ASK_AND_TELL(smac, benchmark::kMillisecond, 30);
DUET_ASK_AND_TELL(boshnas, benchmark::kMillisecond, 30);
DUET_ASK_AND_TELL(linas, benchmark::kMillisecond, 30);

}  // namespace
}  // namespace duet
