// What the certified mapper proves: every distinct layer of five networks on three architectures, energy-delay product, one
// thread, ten seconds a layer (or as many as are said): the gap that is left, seconds of processor time, states of the
// dynamic programmes.
//
//   cmake --preset bench && cmake --build --preset bench --target bench_mappers
//   build/bench/bench/bench_mappers ../shared/data/timeloop_reference [ARCHITECTURE [NETWORK [SECONDS]]]
//
// Eyeriss-like and output-stationary are the architectures of the reference data (left out where it is absent).

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "hw_models/mappers/certified.hpp"
#include "hw_models/timeloop.hpp"
#include "spaces/zoo.hpp"

namespace duet {
namespace {

/// A weight-stationary array after Jouppi et al., "In-datacenter performance analysis of a tensor processing unit",
/// ISCA 2017, at 128 × 128; energies are of the order of Horowitz, "Computing's energy problem", ISSCC 2014.
constexpr const char* weight_stationary = R"(
name: weight_stationary
clock: 700MHz
levels:
- name: DRAM
  block_bits: 64
  word_bits: {weight: 8, input: 8, output: 8}
  energy: {read: 512pJ, write: 512pJ}
- name: unified_buffer
  capacity: 8MiB
  word_bits: {weight: 8, input: 8, output: 8}
  block_bits: 1024
  bypass: weight
  keep: [input, output]
  read_bandwidth: 256
  write_bandwidth: 256
  energy: {read: 400pJ, write: 400pJ, leak: 1pJ}
- name: accumulator
  instances: {x: 128}
  capacity: 16KiB
  word_bits: 32
  bypass: [weight, input]
  energy: {read: 3pJ, write: 3pJ}
  constraints: {x: {factors: {}}, y: {dimensions: [C, R, S]}}
- name: weight_register
  instances: {x: 128, y: 128}
  capacity: 2B
  word_bits: 8
  keep: weight
  bypass: [input, output]
  energy: {read: 0.03pJ, write: 0.03pJ}
compute: {name: mac, instances: {x: 128, y: 128}, energy: 0.2pJ}
)";

int run(int argc, char** argv) {
  std::vector<std::pair<std::string, Architecture>> architectures;
  const std::filesystem::path data = argc > 1 ? argv[1] : "../shared/data/timeloop_reference";
  for (const char* name : {"eyeriss_like", "simple_output_stationary"}) {
    const auto file = data / name / "architecture.yaml";
    if (std::filesystem::exists(file)) architectures.emplace_back(name, read_timeloop_architecture(Config::load(file)));
  }
  architectures.emplace_back("weight_stationary", read_architecture(Config::parse(weight_stationary, "weight_stationary")));
  const std::string only_architecture = argc > 2 ? argv[2] : "", only_network = argc > 3 ? argv[3] : "";
  const double limit = argc > 4 ? std::strtod(argv[4], nullptr) : 10;
  for (const auto& [architecture_name, architecture] : architectures) {
    if (!only_architecture.empty() && only_architecture != architecture_name) continue;
    std::size_t proven = 0, layers = 0;
    for (const char* network : {"alexnet", "vgg16", "resnet18", "mobilenet_v2", "bert_base"}) {
      if (!only_network.empty() && only_network != network) continue;
      for (const RepeatedEinsum& layer : einsums(zoo_network(network).build())) {
        const CostModel model(layer.einsum, architecture);
        MapperRequest request;
        request.time_limit_s = limit;
        const std::clock_t start = std::clock();
        const MapperResult result = CertifiedMapper().map(model, request);
        std::string sizes;
        for (const Dimension& d : layer.einsum.dimensions) sizes += fmt::format(" {}{}", d.name, d.size);
        fmt::print("{:26} {:14} {:34} gap {:9.3g} {:7.2f} s {:>12} states  {:.6g} J.s {}\n", architecture_name, network, sizes,
                   result.gap(), static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, result.evaluations, result.value.first, result.why_none);
        std::fflush(stdout);
        ++layers;
        if (result.proven) ++proven;
      }
    }
    fmt::print("{}: {} of {} layers proven\n", architecture_name, proven, layers);
  }
  return 0;
}

}  // namespace
}  // namespace duet

int main(int argc, char** argv) { return duet::run(argc, argv); }
