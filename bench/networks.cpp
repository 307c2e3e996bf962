// What a search asks of a network for every candidate: building it, and telling whether it was there before.
//
//   build/bench/bench/bench_networks --benchmark_repetitions=5 --benchmark_report_aggregates_only=true

#include <benchmark/benchmark.h>

#include "core/config.hpp"
#include "spaces/design_space.hpp"
#include "spaces/edit_distance.hpp"
#include "spaces/function_hash.hpp"
#include "spaces/graph_kernel.hpp"
#include "spaces/zoo.hpp"

namespace duet {
namespace {

DesignSpace nas_bench_201() {
  Catalog<SpacePlugin> catalog("space");
  add_builtin_spaces(catalog);
  return DesignSpace::read(Config::parse("network: {type: nas_bench_201}", "bench"), catalog);
}

/// A cell in which every edge is a convolution: 326 nodes.
Network largest_cell(const DesignSpace& space) {
  const Candidate candidate = space.space().read_candidate(
      Config::parse("network: {edge_1_0: nor_conv_3x3, edge_2_0: nor_conv_3x3, edge_2_1: nor_conv_1x1, "
                    "edge_3_0: nor_conv_1x1, edge_3_1: nor_conv_3x3, edge_3_2: nor_conv_3x3}",
                    "bench"));
  return space.design(candidate).networks().front();
}

void hash_function(benchmark::State& state) {
  const DesignSpace space = nas_bench_201();
  const Network network = largest_cell(space);
  for (auto _ : state) benchmark::DoNotOptimize(function_hash(network));
  state.counters["nodes"] = static_cast<double>(network.nodes().size());
}
BENCHMARK(hash_function)->Unit(benchmark::kMicrosecond);

/// The search part of a cell: up to 18 nodes.
Network single_cell(const std::string& operations) {
  Catalog<SpacePlugin> catalog("space");
  add_builtin_spaces(catalog);
  const DesignSpace space = DesignSpace::read(
      Config::parse("network: {type: dag, vertices: 6, stages: 1, operators: [" + operations + "]}", "bench"), catalog);
  Random random(1, "bench");
  return space.design(space.space().sample(random)).networks().front();
}

void exact_edit_distance(benchmark::State& state) {
  const Network a = single_cell("max_pool_3x3, average_pool_3x3, skip"), b = single_cell("skip, max_pool_3x3");
  bool exact = false;
  for (auto _ : state) exact = edit_distance(a, b).exact();
  state.counters["nodes"] = static_cast<double>(a.nodes().size());
  state.counters["exact"] = exact ? 1 : 0;
}
BENCHMARK(exact_edit_distance)->Unit(benchmark::kMicrosecond);

void bounds_of_edit_distance(benchmark::State& state) {
  const Network a = zoo_network("resnet18").build(), b = zoo_network("resnet50").build();
  for (auto _ : state) benchmark::DoNotOptimize(edit_distance(a, b));
  state.counters["nodes"] = static_cast<double>(b.nodes().size());
}
BENCHMARK(bounds_of_edit_distance)->Unit(benchmark::kMillisecond);

void graph_kernel(benchmark::State& state) {
  const Network a = zoo_network("resnet18").build(), b = zoo_network("resnet50").build();
  for (auto _ : state) benchmark::DoNotOptimize(weisfeiler_lehman_similarity(a, b));
  state.counters["nodes"] = static_cast<double>(b.nodes().size());
}
BENCHMARK(graph_kernel)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace duet
