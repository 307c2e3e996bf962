// What a search asks of a network for every candidate: drawing it, building it, counting it, and telling whether it was
// there before. FBNet stands for network templates: about 190 nodes, shapes that do not depend on decisions; with a searched
// resolution all of them do. The floor of building is what allocating and freeing the nodes takes (copy_network).
//
//   build/bench/bench/bench_networks --benchmark_repetitions=5 --benchmark_report_aggregates_only=true

#include <benchmark/benchmark.h>

#include "core/config.hpp"
#include "spaces/design_space.hpp"
#include "spaces/edit_distance.hpp"
#include "spaces/function_hash.hpp"
#include "spaces/graph_kernel.hpp"
#include "spaces/network_template.hpp"
#include "spaces/zoo.hpp"

namespace duet {
namespace {

DesignSpace read_space(const char* text) {
  Catalog<SpacePlugin> catalog("space");
  add_builtin_spaces(catalog);
  return DesignSpace::read(Config::parse(text, "bench"), catalog);
}

constexpr const char* fbnet = "network: {type: fbnet}";
constexpr const char* fbnet_resolutions = "network: {type: fbnet, resolution: [160, 192, 224]}";

constexpr std::size_t candidate_count = 64;

std::vector<Candidate> draw(const DesignSpace& space) {
  std::vector<Candidate> candidates;
  for (std::uint64_t i = 0; i < candidate_count; ++i) {
    Random random(1, "bench", i);
    candidates.push_back(space.space().sample(random));
  }
  return candidates;
}

void sample(benchmark::State& state, const char* text) {
  const DesignSpace space = read_space(text);
  std::uint64_t trial = 0;
  for (auto _ : state) {
    Random random(1, "bench", trial++);
    benchmark::DoNotOptimize(space.space().sample(random));
  }
}
BENCHMARK_CAPTURE(sample, fbnet, fbnet)->Unit(benchmark::kMicrosecond);

void build(benchmark::State& state, const char* text) {
  const DesignSpace space = read_space(text);
  const std::vector<Candidate> candidates = draw(space);
  std::size_t i = 0, nodes = 0;
  for (auto _ : state) {
    const Design design = space.design(candidates[i++ % candidate_count]);
    nodes += design.networks().front().nodes().size();
  }
  state.counters["nodes"] = benchmark::Counter(static_cast<double>(nodes), benchmark::Counter::kAvgIterations);
}
BENCHMARK_CAPTURE(build, fbnet, fbnet)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(build, fbnet_resolutions, fbnet_resolutions)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(build, nas_bench_macro, "network: {type: nas_bench_macro}")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(build, nas_bench_201, "network: {type: nas_bench_201}")->Unit(benchmark::kMicrosecond);

/// Multiply-accumulates and parameters of a network that is there.
void count(benchmark::State& state) {
  const DesignSpace space = read_space(fbnet);
  std::vector<Network> networks;
  for (const Candidate& candidate : draw(space)) networks.push_back(space.design(candidate).networks().front());
  std::size_t i = 0;
  for (auto _ : state) {
    const Network& network = networks[i++ % candidate_count];
    benchmark::DoNotOptimize(network.macs() + network.parameters());
  }
}
BENCHMARK(count)->Unit(benchmark::kMicrosecond);

/// The same as quantities of the space, without a network: what a constraint costs.
void quantities(benchmark::State& state, const char* text) {
  const DesignSpace space = read_space(text);
  const std::vector<Candidate> candidates = draw(space);
  std::size_t i = 0;
  for (auto _ : state) {
    for (const Derived& derived : space.space().derived()) {
      benchmark::DoNotOptimize(derived.compute(candidates[i % candidate_count]));
    }
    ++i;
  }
}
BENCHMARK_CAPTURE(quantities, fbnet, fbnet)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(quantities, fbnet_resolutions, fbnet_resolutions)->Unit(benchmark::kMicrosecond);

void sample_build_count(benchmark::State& state, const char* text) {
  const DesignSpace space = read_space(text);
  std::uint64_t trial = 0;
  for (auto _ : state) {
    Random random(1, "bench", trial++);
    const Design design = space.design(space.space().sample(random));
    const Network& network = design.networks().front();
    benchmark::DoNotOptimize(network.macs() + network.parameters());
  }
}
BENCHMARK_CAPTURE(sample_build_count, fbnet, fbnet)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(sample_build_count, fbnet_resolutions, fbnet_resolutions)->Unit(benchmark::kMicrosecond);

/// The floor of building: a network allocated, copied and freed.
void copy_network(benchmark::State& state) {
  const DesignSpace space = read_space(fbnet);
  std::vector<Network> networks;
  for (const Candidate& candidate : draw(space)) networks.push_back(space.design(candidate).networks().front());
  std::size_t i = 0;
  for (auto _ : state) {
    const Network copy = networks[i++ % candidate_count];
    benchmark::DoNotOptimize(copy.nodes().data());
  }
}
BENCHMARK(copy_network)->Unit(benchmark::kMicrosecond);

/// Reading the file, its blocks expanded and its shapes inferred.
void read_template(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(NetworkTemplate::load("fbnet"));
}
BENCHMARK(read_template)->Unit(benchmark::kMicrosecond);

/// A cell in which every edge is a convolution: 326 nodes.
Network largest_cell(const DesignSpace& space) {
  const Candidate candidate = space.space().read_candidate(
      Config::parse("network: {edge_1_0: nor_conv_3x3, edge_2_0: nor_conv_3x3, edge_2_1: nor_conv_1x1, "
                    "edge_3_0: nor_conv_1x1, edge_3_1: nor_conv_3x3, edge_3_2: nor_conv_3x3}",
                    "bench"));
  return space.design(candidate).networks().front();
}

void hash_function(benchmark::State& state) {
  const DesignSpace space = read_space("network: {type: nas_bench_201}");
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
