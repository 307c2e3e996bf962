// ONNX in and out: reading a model's graph, with and without its weights.
//
//   build/bench/bench/bench_onnx --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
//
// Nodes are the file's. One file more, with its symbolic dimensions bound:
//
//   DUET_BENCH_ONNX="model.onnx batch=1 height=640" build/bench/bench/bench_onnx --benchmark_filter=given

#include <benchmark/benchmark.h>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <unistd.h>

#include "spaces/onnx.hpp"
#include "spaces/zoo.hpp"

namespace duet {
namespace {

/// A file of 500 nodes: residual blocks of four.
Network five_hundred() {
  Network network;
  NodeId x = network.add("x", Input{{1, 64, 28, 28}});
  for (int i = 0; i < 125; ++i) {
    const std::string block = "block" + std::to_string(i) + ".";
    const Convolution conv{.out_channels = 64, .kernel_h = 3, .kernel_w = 3, .padding_h = 1, .padding_w = 1};
    const NodeId made = network.add(block + "conv", conv, {x});
    const NodeId normalized = network.add(block + "norm", BatchNormalization{}, {made});
    x = network.add(block + "add", Add{}, {x, network.add(block + "relu", Activation{}, {normalized})});
  }
  return network;
}

/// A network in a file that goes when the program does, its weights in a sparse one beside it.
class Model {
 public:
  explicit Model(const std::string& name)
      : file_(std::filesystem::temp_directory_path() / ("duet_bench_" + std::to_string(::getpid()) + name + ".onnx")),
        data_(file_.string() + ".data") {
    const bool beside = name.starts_with("llama");
    export_onnx(name == "five_hundred" ? five_hundred() : zoo_network(name).build(), file_,
                {.external_data = beside ? data_.filename().string() : "", .zeros = beside});
    nodes_ = import_onnx(file_).nodes.size();
  }
  ~Model() {
    std::filesystem::remove(file_);
    std::filesystem::remove(data_);
  }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const std::filesystem::path& file() const { return file_; }
  std::size_t nodes() const { return nodes_; }

 private:
  std::filesystem::path file_, data_;
  std::size_t nodes_ = 0;
};

/// Made once, however often a benchmark is called.
const Model& model_of(const std::string& name) {
  static std::map<std::string, Model> models;
  return models.try_emplace(name, name).first->second;
}

void import_graph(benchmark::State& state, const char* name) {
  const Model& model = model_of(name);
  for (auto _ : state) benchmark::DoNotOptimize(import_onnx(model.file()));
  state.counters["nodes"] = static_cast<double>(model.nodes());
}
BENCHMARK_CAPTURE(import_graph, densenet121, "densenet121")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(import_graph, gpt2, "gpt2")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(import_graph, five_hundred, "five_hundred")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(import_graph, llama_2_7b_prefill, "llama_2_7b_prefill")->Unit(benchmark::kMillisecond);

void import_given(benchmark::State& state) {
  const char* given = std::getenv("DUET_BENCH_ONNX");
  if (given == nullptr) {
    state.SkipWithError("DUET_BENCH_ONNX names no file");
    return;
  }
  std::istringstream words(given);
  std::string file, word;
  words >> file;
  OnnxDimensions dimensions;
  try {
    while (words >> word) dimensions[word.substr(0, word.find('='))] = std::stoll(word.substr(word.find('=') + 1));
    std::size_t nodes = 0;
    for (auto _ : state) nodes = import_onnx(file, dimensions).nodes.size();
    state.counters["nodes"] = static_cast<double>(nodes);
  } catch (const std::exception& error) {
    state.SkipWithError(error.what());
  }
}
BENCHMARK(import_given)->Unit(benchmark::kMillisecond);

void import_weights(benchmark::State& state, const char* name) {
  const Model& model = model_of(name);
  for (auto _ : state) benchmark::DoNotOptimize(import_onnx(model.file(), {}, OnnxWeights::read));
}
BENCHMARK_CAPTURE(import_weights, densenet121, "densenet121")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace duet
