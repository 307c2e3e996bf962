// How many mappings the loop-nest cost model evaluates per second on one core: validity, cycles and energy of random valid
// mappings of ResNet-18's and MobileNetV2's layers on an Eyeriss-like and a Simba-like architecture, one at a time and in
// batches that share their loop orders.
//
//   cmake --preset bench && cmake --build --preset bench
//   build/bench/bench/bench_mapping --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
//
// The floor stands beside the rate: `loops` is how many loops of more than one iteration a mapping has, `steps` how many
// (loop, tensor, buffer) triples the closed form has to look at once each, so rate × steps is how fast one such step is
// (a step of three or four dependent floating-point operations takes at least as many cycles of latency).

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "core/random.hpp"
#include "hw_models/cost_model.hpp"
#include "tests/hw_models/known_architectures.hpp"
#include "tests/hw_models/random_search.hpp"

namespace duet {
namespace {

using testing::eyeriss_like;
using testing::simba_like;

Einsum convolution(std::int64_t m, std::int64_t c, std::int64_t side, std::int64_t kernel, std::int64_t stride = 1,
                   std::int64_t groups = 1) {
  ConvolutionShape shape;
  shape.groups = groups;
  shape.out_channels = m;
  shape.in_channels = c;
  shape.output_h = shape.output_w = side;
  shape.kernel_h = shape.kernel_w = kernel;
  shape.stride_h = shape.stride_w = stride;
  return convolution_einsum(shape);
}

/// Distinct layers.
std::vector<Einsum> layers(const std::string& network) {
  if (network == "resnet18") {
    return {convolution(64, 3, 112, 7, 2),   convolution(64, 64, 56, 3),    convolution(128, 64, 28, 3, 2),
            convolution(128, 64, 28, 1, 2),  convolution(128, 128, 28, 3),  convolution(256, 128, 14, 3, 2),
            convolution(256, 128, 14, 1, 2), convolution(256, 256, 14, 3),  convolution(512, 256, 7, 3, 2),
            convolution(512, 256, 7, 1, 2),  convolution(512, 512, 7, 3),   matrix_einsum(1, 1000, 512)};
  }
  return {convolution(32, 3, 112, 3, 2),      convolution(1, 1, 112, 3, 1, 32), convolution(16, 32, 112, 1),
          convolution(96, 16, 112, 1),        convolution(1, 1, 56, 3, 2, 96),  convolution(24, 96, 56, 1),
          convolution(144, 24, 56, 1),        convolution(1, 1, 56, 3, 1, 144), convolution(24, 144, 56, 1),
          convolution(1, 1, 28, 3, 2, 144),   convolution(32, 144, 28, 1),      convolution(192, 32, 28, 1),
          convolution(1, 1, 28, 3, 1, 192),   convolution(32, 192, 28, 1),      convolution(1, 1, 14, 3, 2, 192),
          convolution(64, 192, 14, 1),        convolution(384, 64, 14, 1),      convolution(1, 1, 14, 3, 1, 384),
          convolution(64, 384, 14, 1),        convolution(96, 384, 14, 1),      convolution(576, 96, 14, 1),
          convolution(1, 1, 14, 3, 1, 576),   convolution(96, 576, 14, 1),      convolution(1, 1, 7, 3, 2, 576),
          convolution(160, 576, 7, 1),        convolution(960, 160, 7, 1),      convolution(1, 1, 7, 3, 1, 960),
          convolution(160, 960, 7, 1),        convolution(320, 960, 7, 1),      convolution(1280, 320, 7, 1),
          matrix_einsum(1, 1000, 1280)};
}

struct Work {
  std::vector<CostModel> models;
  std::vector<std::pair<std::size_t, Mapping>> mappings;  ///< model and mapping
  double loops = 0, steps = 0;                            ///< of a mapping, on average
};

/// `each` valid mappings of every layer; `group` neighbours at a time have the same loop orders.
Work work(const std::string& network, const char* architecture, std::size_t each, std::size_t group) {
  const Architecture chip = read_architecture(Config::parse(architecture, "bench"));
  Work work;
  for (Einsum& einsum : layers(network)) {
    work.models.emplace_back(std::move(einsum), chip);
    const CostModel& model = work.models.back();
    Random random(1, "bench", work.models.size());
    std::size_t found = 0;
    for (std::size_t tries = 0; found < each && tries < 2'000'000; ++tries) {
      Mapping mapping = testing::blind_mapping(random, model);
      for (std::size_t l = 0; found % group != 0 && l < mapping.level_count; ++l) {
        mapping.levels[l].order = work.mappings.back().second.levels[l].order;
      }
      if (!model.quick(mapping).valid) continue;
      work.mappings.emplace_back(work.models.size() - 1, mapping);
      ++found;
      for (std::size_t l = 0; l < mapping.level_count; ++l) {
        std::size_t buffers = 0;  // whose tiles a loop of this level moves
        for (std::size_t t = 0; t < tensor_count; ++t) {
          for (std::size_t below = l + 1; below < mapping.level_count; ++below) buffers += mapping.levels[below].keep[t];
        }
        for (std::size_t d = 0; d < model.einsum().dimensions.size(); ++d) {
          const LevelMapping& level = mapping.levels[l];
          work.loops += (level.temporal[d] > 1) + (level.x[d] * level.y[d] > 1);
          work.steps += level.temporal[d] > 1 ? static_cast<double>(buffers) : 0;
        }
      }
    }
  }
  if (group == 1) {
    Random random(1, "bench order");
    random.shuffle(work.mappings);
  }
  work.loops /= static_cast<double>(work.mappings.size());
  work.steps /= static_cast<double>(work.mappings.size());
  return work;
}

void quick(benchmark::State& state, const std::string& network, const char* architecture) {
  const Work all = work(network, architecture, 200, 1);
  for (auto _ : state) {
    for (const auto& [model, mapping] : all.mappings) {
      const QuickCost cost = all.models[model].quick(mapping);
      benchmark::DoNotOptimize(cost);
    }
  }
  state.counters["mappings_per_s"] = benchmark::Counter(static_cast<double>(all.mappings.size()),
                                                        benchmark::Counter::kIsIterationInvariantRate);
  state.counters["mappings"] = static_cast<double>(all.mappings.size());
  state.counters["loops"] = all.loops;
  state.counters["steps"] = all.steps;
}
/// Batches of mappings that differ in their factors alone.
void batched(benchmark::State& state, const std::string& network, const char* architecture) {
  const std::size_t batch = 40;
  const Work all = work(network, architecture, 200, batch);
  std::vector<std::pair<std::size_t, std::vector<Mapping>>> batches;
  for (const auto& [model, mapping] : all.mappings) {
    if (batches.empty() || batches.back().first != model || batches.back().second.size() == batch) {
      batches.emplace_back(model, std::vector<Mapping>());
    }
    batches.back().second.push_back(mapping);
  }
  std::vector<QuickCost> costs(batch);
  for (auto _ : state) {
    for (const auto& [model, mappings] : batches) {
      all.models[model].quick(mappings, std::span(costs).first(mappings.size()));
      benchmark::DoNotOptimize(costs.data());
    }
  }
  state.counters["mappings_per_s"] = benchmark::Counter(static_cast<double>(all.mappings.size()),
                                                        benchmark::Counter::kIsIterationInvariantRate);
  state.counters["mappings"] = static_cast<double>(all.mappings.size());
  state.counters["loops"] = all.loops;
  state.counters["steps"] = all.steps;
}

/// The same, filled into batches beforehand, as mappers do that vary factors.
void side_by_side(benchmark::State& state, const std::string& network, const char* architecture) {
  const Work all = work(network, architecture, 200, 40);
  std::vector<std::pair<std::size_t, MappingBatch>> batches;
  for (std::size_t i = 0; i < all.mappings.size(); ++i) {
    const std::size_t lane = i % MappingBatch::lanes;
    if (lane == 0) batches.emplace_back(all.mappings[i].first, MappingBatch(all.mappings[i].second));
    const MappingBatch one(all.mappings[i].second);
    for (std::size_t l = 0; l < one.level_count; ++l) {
      MappingBatch::Level& level = batches.back().second.levels[l];
      for (std::size_t d = 0; d < max_dimensions; ++d) {
        level.temporal[d][lane] = one.levels[l].temporal[d][0];
        level.x[d][lane] = one.levels[l].x[d][0];
        level.y[d][lane] = one.levels[l].y[d][0];
      }
    }
  }
  std::array<QuickCost, MappingBatch::lanes> costs;
  for (auto _ : state) {
    for (const auto& [model, batch] : batches) {
      all.models[model].quick(batch, costs);
      benchmark::DoNotOptimize(costs.data());
    }
  }
  state.counters["mappings_per_s"] = benchmark::Counter(static_cast<double>(all.mappings.size()),
                                                        benchmark::Counter::kIsIterationInvariantRate);
  state.counters["mappings"] = static_cast<double>(all.mappings.size());
  state.counters["loops"] = all.loops;
  state.counters["steps"] = all.steps;
}

BENCHMARK_CAPTURE(quick, resnet18_eyeriss_like, "resnet18", eyeriss_like)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(quick, resnet18_simba_like, "resnet18", simba_like)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(quick, mobilenet_v2_eyeriss_like, "mobilenet_v2", eyeriss_like)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(quick, mobilenet_v2_simba_like, "mobilenet_v2", simba_like)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(batched, resnet18_eyeriss_like, "resnet18", eyeriss_like)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(batched, resnet18_simba_like, "resnet18", simba_like)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(batched, mobilenet_v2_eyeriss_like, "mobilenet_v2", eyeriss_like)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(batched, mobilenet_v2_simba_like, "mobilenet_v2", simba_like)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(side_by_side, resnet18_eyeriss_like, "resnet18", eyeriss_like)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(side_by_side, resnet18_simba_like, "resnet18", simba_like)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(side_by_side, mobilenet_v2_eyeriss_like, "mobilenet_v2", eyeriss_like)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(side_by_side, mobilenet_v2_simba_like, "mobilenet_v2", simba_like)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace duet
