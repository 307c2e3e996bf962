// What `isolation: process` adds to a trial: a candidate goes to a worker process and its metrics come back.
//
//   cmake --preset bench && cmake --build --preset bench
//   build/bench/bench/bench_isolation --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
//
// The estimator does nothing but hash a design of 64 parameters; `isolated:0` is the same in this process. The floor is
// the system's: two messages through a socket and two switches of context take 10 to 20 us here.

#include <string_view>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "experiments/run.hpp"
#include "experiments/specification.hpp"
#include "experiments/store.hpp"

namespace duet {
namespace {

class Nothing final : public Estimator {
 public:
  std::span<const Metric> metrics() const override { return metrics_; }
  Fingerprint key(const Design& design) const override { return design.space().fingerprint(design.candidate()); }
  bool expensive() const override { return false; }
  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token) const override {
    return estimate_each(designs, [](const Design& design) {
      const Fingerprint hash = design.space().fingerprint(design.candidate());
      Evaluation result;
      result.values = {static_cast<double>(hash.low >> 11) * 0x1.0p-53, static_cast<double>(hash.high >> 11) * 0x1.0p-53};
      return result;
    });
  }

 private:
  std::vector<Metric> metrics_{{"a", "1", Direction::minimize, Source::analytical, ""},
                               {"b", "1", Direction::minimize, Source::analytical, ""}};
};

Registry registry() {
  Registry registry = builtin_registry();
  EstimatorPlugin plugin;
  plugin.name = "nothing";
  plugin.create = [](const Options&, const Environment&) { return std::make_unique<Nothing>(); };
  registry.estimators.add(plugin);
  Process worker;
  worker.program = "/proc/self/exe";
  worker.arguments = {"bench_isolation", "worker"};
  worker.environment = environment_with({});
  registry.worker = worker;
  return registry;
}

Specification specification(const Registry& known, bool isolated, std::int64_t trials) {
  return read_specification(
      Config::parse(fmt::format("name: bench\nspace: {{network: {{type: cnn}}, accelerator: {{type: systolic_array}}}}\n"
                                "estimators: [{{type: nothing, isolation: {}}}]\nobjectives: [a, b]\nsearch: random\n"
                                "budget: {}\nwindow: 24\n",
                                isolated ? "process" : "none", trials),
                    "bench"),
      ".", known);
}

/// Scores one design after the other.
void score_one(benchmark::State& state) {
  const Registry known = registry();
  const Specification experiment = specification(known, state.range(0) != 0, 1);
  std::vector<Design> designs;
  for (std::uint64_t number = 0; number < 100; ++number) {
    Random random(1, "bench", number);
    designs.push_back(experiment.space->design(experiment.space->space().sample(random)));
  }
  std::size_t next = 0;
  for (auto _ : state) {
    const Evaluation evaluation = score(experiment, designs[next++ % designs.size()]);
    if (evaluation.status != Status::ok) state.SkipWithError(evaluation.reason.c_str());
  }
}
BENCHMARK(score_one)->ArgName("isolated")->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond)->UseRealTime();

/// A whole experiment of 5,000 trials with its database.
void end_to_end(benchmark::State& state) {
  const Registry known = registry();
  constexpr std::int64_t trials = 5'000;
  for (auto _ : state) {
    state.PauseTiming();
    const std::string file = "bench_isolation.db";
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(file + suffix);
    Specification experiment = specification(known, state.range(0) != 0, trials);
    state.ResumeTiming();
    {
      Store store(file, Store::Mode::write);
      run(experiment, store, {.workers = static_cast<std::size_t>(state.range(1))});
    }
    state.PauseTiming();
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(file + suffix);
    state.ResumeTiming();
  }
  state.counters["trials_per_s"] =
      benchmark::Counter(static_cast<double>(trials), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(end_to_end)
    ->ArgNames({"isolated", "workers"})
    ->Args({0, 1})
    ->Args({1, 1})
    ->Args({0, 2})
    ->Args({1, 2})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace duet

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "worker") {
    duet::serve_worker(duet::registry());
    return 0;
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
