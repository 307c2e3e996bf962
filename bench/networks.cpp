// What a search asks of a network for every candidate: building it, and telling whether it was there before.
//
//   build/bench/bench/bench_networks --benchmark_repetitions=5 --benchmark_report_aggregates_only=true

#include <benchmark/benchmark.h>

#include "core/config.hpp"
#include "spaces/design_space.hpp"
#include "spaces/function_hash.hpp"

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

}  // namespace
}  // namespace duet
