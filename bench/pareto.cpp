// What the tools of core/pareto.hpp cost: exact hypervolume, exclusive contributions, fronts as a whole and point by
// point.
//
//   cmake --preset bench && cmake --build --preset bench
//   build/bench/bench/bench_pareto --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
//
// Two kinds of points: `sphere`, of which none dominates another, the hardest for the number; and `cube`, uniform,
// of which few are on the front. Yardstick: pagmo 2.18's `hypervolume::compute` (two and three objectives by sweeps, more
// by WFG) on the same points; bench/README.md has the ratios.

#include <cmath>
#include <string>

#include <benchmark/benchmark.h>

#include "core/pareto.hpp"
#include "core/pareto_archive.hpp"
#include "core/random.hpp"

namespace duet {
namespace {

std::vector<Point> sphere(std::size_t objectives, std::size_t count) {
  Random random(1, "bench");
  std::vector<Point> points(count, Point(objectives));
  for (Point& point : points) {
    double length = 0;
    for (double& value : point) {
      value = std::abs(random.normal());
      length += value * value;
    }
    for (double& value : point) value = 1 - value / std::sqrt(length);
  }
  return points;
}

std::vector<Point> cube(std::size_t objectives, std::size_t count) {
  Random random(1, "bench");
  std::vector<Point> points(count, Point(objectives));
  for (Point& point : points) {
    for (double& value : point) value = random.uniform();
  }
  return points;
}

std::size_t objectives(const benchmark::State& state) { return static_cast<std::size_t>(state.range(0)); }
std::size_t count(const benchmark::State& state) { return static_cast<std::size_t>(state.range(1)); }

void hypervolume_of_sphere(benchmark::State& state) {
  const auto points = sphere(objectives(state), count(state));
  const Point reference(objectives(state), 1.0);
  for (auto _ : state) benchmark::DoNotOptimize(hypervolume(points, reference));
}
BENCHMARK(hypervolume_of_sphere)
    ->ArgNames({"objectives", "points"})
    ->ArgsProduct({{2, 3, 4, 5, 6}, {100, 500, 1000}})
    ->Unit(benchmark::kMillisecond);

void contributions_of_sphere(benchmark::State& state) {
  const auto points = sphere(objectives(state), count(state));
  const Point reference(objectives(state), 1.0);
  for (auto _ : state) benchmark::DoNotOptimize(hypervolume_contributions(points, reference));
}
BENCHMARK(contributions_of_sphere)
    ->ArgNames({"objectives", "points"})
    ->ArgsProduct({{2, 3, 4, 5, 6}, {100}})
    ->Args({2, 1000})
    ->Args({3, 1000})
    ->Unit(benchmark::kMillisecond);

void front(benchmark::State& state) {
  const auto points = cube(objectives(state), count(state));
  for (auto _ : state) benchmark::DoNotOptimize(pareto_front(points));
}
BENCHMARK(front)
    ->ArgNames({"objectives", "points"})
    ->ArgsProduct({{2, 3, 4, 6}, {100'000}})
    ->Unit(benchmark::kMillisecond);

/// All points one by one, and how many were members in the end.
void archive(benchmark::State& state, std::vector<Point> (*make)(std::size_t, std::size_t)) {
  const auto points = make(objectives(state), count(state));
  std::size_t members = 0;
  for (auto _ : state) {
    ParetoArchive kept(objectives(state));
    for (std::size_t i = 0; i < points.size(); ++i) kept.insert(i, points[i]);
    members = kept.size();
  }
  state.counters["members"] = static_cast<double>(members);
  state.counters["per_insert"] = benchmark::Counter(
      static_cast<double>(points.size()), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK_CAPTURE(archive, cube, cube)
    ->ArgNames({"objectives", "points"})
    ->ArgsProduct({{2, 3, 4, 5, 6}, {100'000}})
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(archive, sphere, sphere)
    ->ArgNames({"objectives", "points"})
    ->ArgsProduct({{2, 3, 4, 5, 6}, {100'000}})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace duet
