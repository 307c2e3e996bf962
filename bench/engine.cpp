// How much the engine adds to an evaluation: loop, store and strategy around an estimator that does nothing.
//
//   cmake --preset bench && cmake --build --preset bench
//   build/bench/bench/bench_engine --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
//
// The space: 64 parameters of a joint cnn × systolic array space, about 30 of them active in a design. The database is
// a file in the present folder: run it where the disk is the one that you mean. Floors: one transaction of one row with
// as many columns through SQLite's prepared statement costs 15 to 20 us here, which bounds trials per second; a row of
// 30 small integers and 3 doubles takes about 100 bytes.

#include <filesystem>

#include <benchmark/benchmark.h>
#include "bench/nothing.hpp"
#include "core/pareto_archive.hpp"
#include "experiments/run.hpp"
#include "experiments/specification.hpp"
#include "experiments/store.hpp"

namespace duet {
namespace {

using bench::registry;
using bench::specification;

const std::filesystem::path file = "bench_engine.db";

void remove_database() {
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(file.string() + suffix);
}

/// Trials per second end to end, one transaction per trial, and bytes per trial in the closed file.
void end_to_end(benchmark::State& state) {
  const Registry known = registry();
  const std::int64_t trials = 20'000;
  std::uintmax_t bytes = 0;
  for (auto _ : state) {
    state.PauseTiming();
    remove_database();
    Specification experiment = specification(known, "nsga2", trials, state.range(1));
    state.ResumeTiming();
    {
      Store store(file, Store::Mode::write);
      run(experiment, store, {.workers = static_cast<std::size_t>(state.range(0))});
    }
    state.PauseTiming();
    bytes = std::filesystem::file_size(file);
    state.ResumeTiming();
  }
  state.counters["trials_per_s"] =
      benchmark::Counter(static_cast<double>(trials), benchmark::Counter::kIsIterationInvariantRate);
  state.counters["bytes_per_trial"] = static_cast<double>(bytes) / static_cast<double>(trials);
  remove_database();
}
BENCHMARK(end_to_end)->ArgNames({"workers", "window"})->Args({1, 24})->Args({2, 24})->Unit(benchmark::kMillisecond)->UseRealTime();

/// A process that opens a database of 10,000 trials and computes its front.
void open_and_front(benchmark::State& state) {
  const Registry known = registry();
  remove_database();
  {
    Specification experiment = specification(known, "nsga2", 10'000, 24);
    Store store(file, Store::Mode::write);
    run(experiment, store, {});
  }
  for (auto _ : state) {
    const Store store(file, Store::Mode::read);
    ParetoArchive front(2);
    store.for_each_score(store.at(""), {0, 1},
                         [&](std::uint64_t number, std::span<const double> values) { front.insert(number, values); });
    benchmark::DoNotOptimize(front.entries());
  }
  remove_database();
}
BENCHMARK(open_and_front)->Unit(benchmark::kMillisecond);

/// One ask and one tell, in the steady state after `past` trials.
void ask_and_tell(benchmark::State& state, const std::string& strategy) {
  const Registry known = registry();
  const Specification experiment = specification(known, strategy, 1, 1);
  Problem problem = experiment.problem();
  if (strategy == "regularized_evolution") problem.objectives.resize(1);
  const auto searcher = experiment.strategy->create(problem, experiment.strategy_options);
  std::uint64_t number = 0;
  const auto step = [&] {
    ++number;
    std::vector<Proposal> proposals = searcher->ask(number, 1, {});
    const Fingerprint hash = problem.space->fingerprint(proposals.at(0).candidate);
    FinishedTrial trial;
    trial.number = number;
    trial.candidate = std::move(proposals[0].candidate);
    trial.objectives = {static_cast<double>(hash.low >> 11), static_cast<double>(hash.high >> 11)};
    trial.objectives.resize(problem.objectives.size());
    searcher->tell(std::span(&trial, 1));
  };
  while (number < static_cast<std::uint64_t>(state.range(0))) step();
  for (auto _ : state) step();
}
BENCHMARK_CAPTURE(ask_and_tell, random, "random")->ArgName("past")->Arg(1000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(ask_and_tell, nsga2, "nsga2")->ArgName("past")->Arg(100)->Arg(1000)->Arg(10'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace duet
