// ONNX in and out: reading a model's graph, with and without its weights.
//
//   build/bench/bench/bench_onnx --benchmark_repetitions=5 --benchmark_report_aggregates_only=true

#include <benchmark/benchmark.h>
#include <filesystem>
#include <unistd.h>

#include "spaces/onnx.hpp"
#include "spaces/zoo.hpp"

namespace duet {
namespace {

/// A network of the zoo in a file that goes when the program does.
class Model {
 public:
  explicit Model(const char* name)
      : file_(std::filesystem::temp_directory_path() / ("duet_bench_" + std::to_string(::getpid()) + name + ".onnx")) {
    export_onnx(zoo_network(name).build(), file_);
    nodes_ = import_onnx(file_).nodes.size();
  }
  ~Model() { std::filesystem::remove(file_); }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const std::filesystem::path& file() const { return file_; }
  std::size_t nodes() const { return nodes_; }

 private:
  std::filesystem::path file_;
  std::size_t nodes_ = 0;
};

void import_graph(benchmark::State& state, const char* name) {
  const Model model(name);
  for (auto _ : state) benchmark::DoNotOptimize(import_onnx(model.file()));
  state.counters["nodes"] = static_cast<double>(model.nodes());
}
BENCHMARK_CAPTURE(import_graph, densenet121, "densenet121")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(import_graph, gpt2, "gpt2")->Unit(benchmark::kMillisecond);

void import_weights(benchmark::State& state, const char* name) {
  const Model model(name);
  for (auto _ : state) benchmark::DoNotOptimize(import_onnx(model.file(), {}, OnnxWeights::read));
}
BENCHMARK_CAPTURE(import_weights, densenet121, "densenet121")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace duet
