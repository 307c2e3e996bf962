// Tables: importing one of the shape of NAS-Bench-201 (15,625 rows, 27 columns of numbers, two keys, from two files), and
// looking designs up in it.
//
//   build/bench/bench/bench_import --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
//
// The tables are made up; with DUET_TEST_DATA set to a folder that has nb201_accuracy.csv and nb201_latency_help.csv, the
// real ones are imported as well. The database is a file in the present folder.
//
// Floors: reading the same text into doubles with strtod alone (`parse_floor`), and one look-up of the same key in a
// std::unordered_map (`look_up_floor`). Peak memory of the process is the counter peak_kib of each benchmark: it never
// falls, so run one benchmark at a time (--benchmark_filter=) to see its own.

#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <unordered_map>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "core/random.hpp"
#include "core/units.hpp"
#include "estimators/csv.hpp"
#include "experiments/specification.hpp"
#include "experiments/table_file.hpp"

namespace duet {
namespace {

constexpr int rows = 15'625;
const std::filesystem::path file = "bench_import.db";

/// Leaves the folder as it was.
struct Cleaner {
  ~Cleaner() {
    std::error_code ignored;
    std::filesystem::remove(file, ignored);
  }
} cleaner;

double peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss);
}

DesignSpace space() {
  return DesignSpace::read(Config::parse("network: {type: nas_bench_201}", "bench"), builtin_registry().spaces);
}

struct Files {
  std::string accuracy, latency;
};

/// idx, arch and six columns; idx and 21 columns.
Files made_up() {
  const DesignSpace designs = space();
  Random random(1, "bench");
  Files files{"idx,arch,c10_test_200,c100_test_200,c10_val_12,c10_test_12,flops_M_c10,params_M_c10\n", "idx"};
  for (int device = 0; device < 21; ++device) files.latency += fmt::format(",device{}_1_ms", device);
  files.latency += '\n';
  for (int i = 0; i < rows; ++i) {
    files.accuracy += fmt::format("{},{}", i, designs.label(designs.space().unrank(static_cast<std::uint64_t>(i)), "network.architecture"));
    for (int k = 0; k < 6; ++k) files.accuracy += fmt::format(",{:.6g}", 100 * random.uniform());
    files.latency += fmt::format("{}", i);
    for (int k = 0; k < 21; ++k) files.latency += fmt::format(",{:.6g}", 30 * random.uniform());
    files.accuracy += '\n';
    files.latency += '\n';
  }
  return files;
}

void import_files(const Files& files) {
  std::filesystem::remove(file);
  TableImport import(table_format("nas_bench_201"));
  import.add(files.accuracy, "accuracy.csv");
  import.add(files.latency, "latency.csv");
  write_table(file, "nb201", import.finish());
}

void import_made_up(benchmark::State& state) {
  const Files files = made_up();
  for (auto _ : state) import_files(files);
  state.counters["bytes_per_row"] = static_cast<double>(std::filesystem::file_size(file)) / rows;
  state.counters["peak_kib"] = peak_kib();
}
BENCHMARK(import_made_up)->Unit(benchmark::kMillisecond);

void import_published(benchmark::State& state) {
  const char* folder = std::getenv("DUET_TEST_DATA");
  const std::filesystem::path data = folder == nullptr ? "" : folder;
  if (folder == nullptr || !std::filesystem::exists(data / "nb201_accuracy.csv")) {
    return state.SkipWithError("DUET_TEST_DATA has no nb201_accuracy.csv");
  }
  for (auto _ : state) {
    std::filesystem::remove(file);
    TableImport import(table_format("nas_bench_201"));
    for (const char* name : {"nb201_accuracy.csv", "nb201_latency_help.csv"}) import.add(read_whole_file(data / name), name);
    write_table(file, "nb201", import.finish());
  }
  state.counters["peak_kib"] = peak_kib();
}
BENCHMARK(import_published)->Unit(benchmark::kMillisecond);

/// The numbers of both files, and nothing else.
void parse_floor(benchmark::State& state) {
  const Files files = made_up();
  for (auto _ : state) {
    double sum = 0;
    for (const std::string* text : {&files.accuracy, &files.latency}) {
      for (const char* at = text->c_str(); *at != '\0';) {
        char* end = nullptr;
        sum += std::strtod(at, &end);
        at = end == at ? at + 1 : end;
      }
    }
    benchmark::DoNotOptimize(sum);
  }
}
BENCHMARK(parse_floor)->Unit(benchmark::kMillisecond);

/// The estimator on the imported table, with the first `metrics` of its columns.
std::unique_ptr<Estimator> estimator(const DesignSpace& designs, std::size_t metrics) {
  std::vector<std::string> names;
  const TableFile table(file, "nb201");
  for (const StoredTable::Column& column : table.columns()) {
    if (column.number && names.size() < metrics) names.push_back(column.name);
  }
  const Registry registry = builtin_registry();
  const EstimatorPlugin& plugin = registry.estimators.at("table");
  const std::string options = fmt::format("{{file: {}, key: '{{network.architecture}}', key_column: arch, metrics: [{}]}}",
                                          file.string(), fmt::join(names, ", "));
  const Environment environment{1, ".", &designs, [](const std::filesystem::path& path, const std::string& name) {
                                  return std::make_unique<TableFile>(path, name);
                                }};
  return plugin.create(Options::read(Config::parse(options, "bench"), plugin.options, "estimator table"), environment);
}

void open_table(benchmark::State& state) {
  import_files(made_up());
  const DesignSpace designs = space();
  for (auto _ : state) benchmark::DoNotOptimize(estimator(designs, static_cast<std::size_t>(state.range(0))));
  state.counters["peak_kib"] = peak_kib();
}
BENCHMARK(open_table)->ArgName("metrics")->Arg(4)->Arg(27)->Unit(benchmark::kMillisecond);

/// Designs in an order that no cache likes.
std::vector<Design> shuffled(const DesignSpace& designs) {
  std::vector<Design> all;
  for (std::uint64_t i = 0; i < rows; ++i) all.push_back(designs.design(designs.space().unrank(i * 7'919 % rows)));
  return all;
}

/// From a design to its evaluation: the key's text, the row, its numbers.
void look_up(benchmark::State& state) {
  import_files(made_up());
  const DesignSpace designs = space();
  const auto table = estimator(designs, static_cast<std::size_t>(state.range(0)));
  const std::vector<Design> all = shuffled(designs);
  for (auto _ : state) benchmark::DoNotOptimize(table->estimate(all, {}));
  state.SetItemsProcessed(state.iterations() * rows);
  state.counters["us_each"] =
      benchmark::Counter(rows / 1e6, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  state.counters["peak_kib"] = peak_kib();
}
BENCHMARK(look_up)->ArgName("metrics")->Arg(1)->Arg(4)->Arg(27)->Unit(benchmark::kMillisecond);

/// Only the key's text, which the space makes.
void key_text(benchmark::State& state) {
  const DesignSpace designs = space();
  const std::vector<Design> all = shuffled(designs);
  for (auto _ : state) {
    for (const Design& design : all) benchmark::DoNotOptimize(designs.label(design.candidate(), "network.architecture"));
  }
  state.counters["us_each"] =
      benchmark::Counter(rows / 1e6, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(key_text)->Unit(benchmark::kMillisecond);

void look_up_floor(benchmark::State& state) {
  const DesignSpace designs = space();
  std::unordered_map<std::string, double> map;
  std::vector<std::string> keys;
  for (const Design& design : shuffled(designs)) {
    keys.push_back(designs.label(design.candidate(), "network.architecture"));
    map[keys.back()] = 1;
  }
  for (auto _ : state) {
    for (const std::string& key : keys) benchmark::DoNotOptimize(map.find(key));
  }
  state.counters["us_each"] =
      benchmark::Counter(rows / 1e6, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(look_up_floor)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace duet
