// How long mappers take for a whole network, and how good what they find is.
//
//   cmake --preset bench && cmake --build --preset bench --target bench_network_mapping
//   build/bench/bench/bench_network_mapping [--random] [--reference FOLDER] [--effort N] [MAPPER…]
//
// First ResNet-50 on the Eyeriss-like and the Simba-like architecture with one and two threads (wall-clock and CPU seconds:
// on a busy machine only the second means something), then with --random for its layers the energy-delay product of each mapper ÷ that of
// blind random search with ten times the evaluations (geometric mean, worst), then, with the reference data
// (../shared/data/timeloop_reference), for each
// Timeloop case the mapper's ÷ that of the best mapping that Timeloop's random-pruned search has found. Below 1 is better.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "core/errors.hpp"
#include "hw_models/network_mapping.hpp"
#include "hw_models/timeloop.hpp"
#include "spaces/zoo.hpp"
#include "tests/hw_models/known_architectures.hpp"
#include "tests/hw_models/random_search.hpp"

namespace duet {
namespace {

struct Ratios {
  double log_sum = 0, worst = 0;
  std::size_t count = 0;
  void add(double ratio) {
    log_sum += std::log(ratio);
    worst = std::max(worst, ratio);
    ++count;
  }
  double mean() const { return std::exp(log_sum / static_cast<double>(count)); }
};

double cpu_s() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

void whole(const std::string& name, const Mapper& mapper, const Architecture& chip, const MapperRequest& request, bool random) {
  const Network network = zoo_network("resnet50").build();
  for (const int threads : {1, 2}) {
    const auto begin = std::chrono::steady_clock::now();
    const double cpu = cpu_s();
    const NetworkMapping mapped = map_network(network, chip, mapper, request, {.cost = {}, .threads = threads});
    const double wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    fmt::print("{:10} {:13} resnet50, {} layers, {} threads: {:.2f} s, CPU {:.2f} s, {} evaluations, {:.4g} cycles, "
               "{:.4g} J, {:.6g} J·s, utilisation {:.2f}{}{}\n",
               name, chip.name, mapped.layers.size(), threads, wall_s, cpu_s() - cpu, mapped.evaluations, mapped.cycles,
               mapped.energy_j, mapped.energy_delay(), mapped.utilization, mapped.why_none.empty() ? "" : ", ",
               mapped.why_none);
    std::fflush(stdout);
    if (threads > 1 || !random) continue;
    Ratios ratios;
    double gap = 0;
    for (const LayerMapping& layer : mapped.layers) {
      const CostModel model(layer.workload.einsum, chip);
      const ObjectiveValue blind =
          testing::random_search(model, request.objective, std::min<std::uint64_t>(10 * layer.result.evaluations, 1'000'000), 1);
      ratios.add(layer.result.value.first / blind.first);
      gap = std::max(gap, layer.result.gap());
    }
    fmt::print("{:10} {:13} ÷ random search, 10 × evaluations: {:.3f}, worst {:.3f}; largest gap {}\n", name, chip.name,
               ratios.mean(), ratios.worst, gap);
  }
}

void reference(const std::string& name, const Mapper& mapper, const std::filesystem::path& folder,
               const MapperRequest& request) {
  for (const char* chip : {"eyeriss_like", "simple_output_stationary"}) {
    const Architecture architecture = read_timeloop_architecture(Config::load(folder / chip / "architecture.yaml"));
    Ratios ratios;
    std::string line;
    std::vector<std::filesystem::path> cases;
    for (const auto& entry : std::filesystem::directory_iterator(folder / chip)) {
      if (entry.is_directory()) cases.push_back(entry.path());
    }
    std::sort(cases.begin(), cases.end());
    for (const std::filesystem::path& path : cases) {
      const Einsum einsum = read_timeloop_problem(Config::load(path / "problem.yaml"));
      const CostModel model(einsum, architecture);
      const QuickCost best = model.quick(read_timeloop_mapping(Config::load(path / "best.mapping.yaml"), einsum, architecture));
      const MapperResult result = mapper.map(model, request);
      const double ratio =
          result.value.first / value(request.objective, best.cycles, best.energy_j, architecture.clock_hz).first;
      ratios.add(ratio);
      line += fmt::format(" {} {:.2f}", path.filename().string(), ratio);
    }
    fmt::print("{:10} {} ÷ Timeloop's best: {:.3f}, worst {:.3f};{}\n", name, chip, ratios.mean(), ratios.worst, line);
  }
}

int run(const std::vector<std::string>& arguments) {
  std::optional<std::filesystem::path> folder;
  MapperRequest request;
  std::vector<std::string> names;
  bool random = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--reference" && i + 1 < arguments.size()) {
      folder = arguments[++i];
    } else if (arguments[i] == "--random") {
      random = true;
    } else if (arguments[i] == "--effort" && i + 1 < arguments.size()) {
      request.effort = std::stoull(arguments[++i]);
    } else {
      names.push_back(arguments[i]);
    }
  }
  if (names.empty()) names = {"genetic", "gradient"};
  for (const std::string& name : names) {
    const std::unique_ptr<Mapper> mapper = make_mapper(name);
    for (const char* yaml : {testing::eyeriss_like, testing::simba_like}) {
      whole(name, *mapper, read_architecture(Config::parse(yaml, "bench")), request, random);
    }
    if (folder) reference(name, *mapper, *folder, request);
  }
  return 0;
}

}  // namespace
}  // namespace duet

int main(int argc, char** argv) {
  try {
    return duet::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
