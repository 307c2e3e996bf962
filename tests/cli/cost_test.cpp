// `duet cost` and `duet map`: every number of a case worked out by hand, Timeloop's and SCALE-Sim's own files and results,
// and what is said of files that are wrong.

#include <cmath>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/cli/duet_process.hpp"
#include "tests/testing.hpp"

namespace duet::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string small = R"(name: small
clock: 1MHz
levels:
- {name: DRAM, energy: {read: 100pJ, write: 100pJ}, read_bandwidth: 1, write_bandwidth: 1}
- {name: buffer, capacity: 64B, energy: {read: 1pJ, write: 2pJ, leak: 0.5pJ}, area: 0.25mm2}
compute: {name: mac, instances: {x: 2}, energy: 0.5pJ, area: 0.125mm2}
)";
const std::string product = "matrix: {rows: 4, columns: 2, sum: 6}\n";
const std::string by_rows = R"(DRAM: {temporal: {N: 4}}
buffer: {temporal: {C: rest}, x: {M: 2}}
)";

class Cost : public ::testing::Test {
 protected:
  Cost() {
    write_file(folder / "small.yaml", small);
    write_file(folder / "product.yaml", product);
    write_file(folder / "mapping.yaml", by_rows);
  }
  std::string out(const std::vector<std::string>& arguments) {
    const Finished done = duet(folder.path(), arguments);
    EXPECT_EQ(done.exit_code, 0) << done.err;
    return done.out;
  }
  json parsed(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    return json::parse(out(arguments));
  }
  /// What is said on standard error.
  std::string refusal(const std::vector<std::string>& arguments) {
    const Finished done = duet(folder.path(), arguments);
    EXPECT_EQ(done.exit_code, 2) << done.out;
    EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
    return done.err;
  }
  const TemporaryDirectory folder;
};

/// 4 rows one after another, 6 products of 2 columns side by side. DRAM sends the 12 weights once and 4 × 6 inputs, 36 words
/// at one a cycle; 24 cycles of work. It gets 4 × 2 outputs, each once. The buffer reads 48 weights, 24 inputs for both
/// units, and of 48 sums the 40 that are not the first.
TEST_F(Cost, EveryNumberOfASmallCase) {
  const json cost = parsed({"cost", "small.yaml", "product.yaml", "mapping.yaml"});
  EXPECT_EQ(cost.at("architecture"), "small");
  EXPECT_EQ(cost.at("workload"), "product");
  EXPECT_EQ(cost.at("counting"), "loop_nest");
  EXPECT_EQ(cost.at("footprint"), "box");
  EXPECT_EQ(cost.at("macs"), 48);
  EXPECT_EQ(cost.at("compute_cycles"), 24);
  EXPECT_EQ(cost.at("cycles"), 36);
  EXPECT_EQ(cost.at("bottleneck"), "DRAM (read port)");
  EXPECT_DOUBLE_EQ(cost.at("latency_s"), 36e-6);
  EXPECT_DOUBLE_EQ(cost.at("utilization"), 48. / (2 * 36));
  EXPECT_DOUBLE_EQ(cost.at("area_mm2"), 0.25 + 2 * 0.125);
  EXPECT_EQ(cost.at("dimensions"), (json{{"N", 4}, {"M", 2}, {"C", 6}}));
  const auto counts = [&](std::size_t level, const char* tensor) {
    const json& t = cost.at("levels").at(level).at("tensors").at(tensor);
    EXPECT_EQ(t.at("instances"), 1);
    EXPECT_EQ(t.at("total_reads"), t.at("reads"));
    return std::vector<int>{t.at("reads"), t.at("fills"), t.at("updates")};
  };
  EXPECT_EQ(counts(0, "weight"), (std::vector<int>{12, 0, 0}));
  EXPECT_EQ(counts(0, "input"), (std::vector<int>{24, 0, 0}));
  EXPECT_EQ(counts(0, "output"), (std::vector<int>{0, 0, 8}));
  EXPECT_EQ(counts(1, "weight"), (std::vector<int>{48, 12, 0}));
  EXPECT_EQ(counts(1, "input"), (std::vector<int>{24, 24, 0}));
  EXPECT_EQ(counts(1, "output"), (std::vector<int>{40, 0, 48}));
  const double dram = 44 * 100e-12, leak = 36 * 0.5e-12, buffer = (112 * 1 + 36 * 2 + 48 * 2) * 1e-12, mac = 48 * 0.5e-12;
  EXPECT_NEAR(cost.at("levels")[0].at("energy_j"), dram, 1e-20);
  EXPECT_NEAR(cost.at("levels")[1].at("dynamic_energy_j"), buffer, 1e-20);
  EXPECT_NEAR(cost.at("levels")[1].at("leakage_energy_j"), leak, 1e-20);
  EXPECT_NEAR(cost.at("energy_j"), dram + buffer + leak + mac, 1e-20);
  EXPECT_NEAR(cost.at("energy_j_by_component").at("buffer"), buffer + leak, 1e-20);
  EXPECT_NEAR(cost.at("energy_j_by_component").at("mac"), mac, 1e-20);
  EXPECT_NEAR(cost.at("energy_delay_js"), (dram + buffer + leak + mac) * 36e-6, 1e-26);
}

TEST_F(Cost, ATableForPeople) {
  const std::string table = out({"cost", "small.yaml", "product.yaml", "mapping.yaml", "--loop-nest"});
  for (const char* part : {"product on small", "36 us", "66.7%", "DRAM (read port)", "93.2%", "for N in 0…3", "parallel-x for M"}) {
    EXPECT_THAT(table, HasSubstr(part));
  }
}

TEST_F(Cost, TheFootprintOfStridedTilesIsAChoice) {
  write_file(folder / "strided.yaml", "convolution: {in_channels: 1, out_channels: 1, output: [4, 1], kernel: [1, 1], stride: 2}\n");
  write_file(folder / "all.yaml", "buffer: {temporal: {P: 4}}\n");
  const auto fills = [&](const char* footprint) {
    return parsed({"cost", "small.yaml", "strided.yaml", "all.yaml", "--footprint", footprint})
        .at("levels")[1].at("tensors").at("input").at("fills").get<int>();
  };
  EXPECT_EQ(fills("box"), 7);
  EXPECT_EQ(fills("distinct"), 4);
}

/// With twice the DRAM's read bandwidth 24 cycles of work remain of 36.
TEST_F(Cost, ExplainsWhatWouldHelpMost) {
  const json cost = parsed({"cost", "small.yaml", "product.yaml", "mapping.yaml", "--explain"});
  const json& explain = cost.at("explain");
  EXPECT_EQ(explain.at("cycles_set_by"), (json{{"DRAM (read port)", 1}}));
  std::map<std::string, json> rows;
  for (const json& row : explain.at("doubled")) rows[row.at("resource")] = row;
  EXPECT_EQ(rows.size(), 5U) << explain.dump();
  const json& read = rows.at("DRAM: read bandwidth");
  EXPECT_FALSE(read.at("remapped"));
  EXPECT_DOUBLE_EQ(read.at("cycles_factor"), 24. / 36);
  EXPECT_DOUBLE_EQ(read.at("latency_factor"), 24. / 36);
  // 12 cycles less of leakage.
  EXPECT_NEAR(read.at("energy_factor"), 1 - 12 * 0.5e-12 / cost.at("energy_j").get<double>(), 1e-12);
  EXPECT_EQ(rows.at("DRAM: write bandwidth").at("energy_delay_factor"), 1);
  EXPECT_DOUBLE_EQ(rows.at("clock").at("latency_factor"), 0.5);
  EXPECT_EQ(rows.at("clock").at("cycles_factor"), 1);
  EXPECT_TRUE(rows.at("buffer: capacity").at("remapped"));
  EXPECT_TRUE(rows.at("buffer: children along x").at("remapped"));
  for (const auto& [name, row] : rows) EXPECT_LE(row.at("energy_delay_factor").get<double>(), 1) << name;
  EXPECT_EQ(explain.at("best"), "DRAM: read bandwidth");
  EXPECT_THAT(out({"cost", "small.yaml", "product.yaml", "mapping.yaml", "--explain"}),
              HasSubstr("'DRAM: read bandwidth' doubled lowers latency most: × 0.667"));
}

TEST_F(Cost, AMappingIsFoundWrittenAndTakenBack) {
  const json mapped = parsed({"map", "small.yaml", "product.yaml", "--mapper", "exhaustive", "-o", "best.yaml"});
  EXPECT_TRUE(mapped.at("mapper").at("proven"));
  EXPECT_EQ(mapped.at("mapper").at("name"), "exhaustive");
  // It needs every word of the three matrices at least once: 12 + 24 at one a cycle.
  EXPECT_EQ(mapped.at("cycles"), 36);
  const json given = parsed({"cost", "small.yaml", "product.yaml", "best.yaml"});
  for (const char* key : {"cycles", "energy_j", "levels", "utilization"}) EXPECT_EQ(given.at(key), mapped.at(key)) << key;
  EXPECT_LE(given.at("energy_j"), parsed({"cost", "small.yaml", "product.yaml", "mapping.yaml"}).at("energy_j"));
  // Of several layers too; equal ones once.
  write_file(folder / "two.yaml",
             "layers:\n- {name: a, matrix: {rows: 4, columns: 2, sum: 6}, repeats: 3}\n- {name: b, matrix: {rows: 2, columns: "
             "2, sum: 2}}\n- {name: again, matrix: {rows: 4, columns: 2, sum: 6}}\n");
  const json both = parsed({"map", "small.yaml", "two.yaml", "--mapper", "exhaustive", "-o", "both.yaml"});
  ASSERT_EQ(both.at("layers").size(), 2U);
  EXPECT_EQ(both.at("layers")[0].at("repeats"), 4);
  EXPECT_EQ(both.at("layers")[0].at("names"), (json{"a", "again"}));
  EXPECT_EQ(both.at("layers")[0].at("energy_j"), mapped.at("energy_j"));
  EXPECT_EQ(both.at("cycles"), 4 * 36 + both.at("layers")[1].at("cycles").get<int>());
  EXPECT_EQ(parsed({"cost", "small.yaml", "two.yaml", "both.yaml"}).at("energy_j"), both.at("energy_j"));
  EXPECT_THAT(out({"map", "small.yaml", "product.yaml", "--mapper", "exhaustive"}), HasSubstr("proven best"));
}

TEST_F(Cost, AWholeNetworkIsAListOfLayersWithCounts) {
  write_file(folder / "wide.yaml", R"(name: wide
vector_unit: {lanes: 16, energy: 1pJ}
levels:
- {name: DRAM, energy: {read: 100pJ, write: 100pJ}}
compute: {instances: {x: 8}, energy: 1pJ, }
)");
  const json cost = parsed({"cost", "wide.yaml", "resnet18", "--effort", "100"});
  double cycles = 0, energy = 0;
  int runs = 0;
  for (const json& layer : cost.at("layers")) {
    cycles += layer.at("repeats").get<double>() * layer.at("cycles").get<double>();
    energy += layer.at("repeats").get<double>() * layer.at("energy_j").get<double>();
    runs += layer.at("repeats").get<int>();
  }
  EXPECT_EQ(runs, 21) << "20 convolutions and the classifier";
  EXPECT_LT(cost.at("layers").size(), 13U);
  EXPECT_FALSE(cost.at("vector_operators").empty());
  for (const json& work : cost.at("vector_operators")) {
    cycles += work.at("repeats").get<double>() * work.at("cycles").get<double>();
    energy += work.at("repeats").get<double>() * work.at("energy_j").get<double>();
  }
  EXPECT_EQ(cost.at("cycles"), cycles);
  EXPECT_NEAR(cost.at("energy_j"), energy, 1e-9 * energy);
  EXPECT_TRUE(cost.at("not_modelled").empty());
  // Without a vector unit its operators are named and counted nowhere.
  write_file(folder / "plain.yaml", replaced(read_file(folder / "wide.yaml"), "vector_unit: {lanes: 16, energy: 1pJ}\n", ""));
  const json plain = parsed({"cost", "plain.yaml", "resnet18", "--effort", "100"});
  EXPECT_FALSE(plain.at("not_modelled").empty());
  EXPECT_LT(plain.at("cycles"), cost.at("cycles"));
  EXPECT_THAT(out({"cost", "plain.yaml", "resnet18", "--effort", "100"}), HasSubstr("Not modelled, for want of a vector_unit"));
}

/// 4 × 4 elements that keep their outputs: 10 + 4 + 4 − 2 cycles, counted from zero.
TEST_F(Cost, SystolicArraysTakeTheSameWorkloads) {
  write_file(folder / "array.yaml", "systolic_array: {rows: 4, columns: 4, dataflow: output_stationary, clock: 100MHz}\n");
  write_file(folder / "gemm.yaml", "layers: [{matrix: {rows: 4, columns: 4, sum: 10}, repeats: 2}]\n");
  const json cost = parsed({"cost", "array.yaml", "gemm.yaml"});
  EXPECT_EQ(cost.at("cycles").get<int>() - cost.at("stall_cycles").get<int>(), 2 * 15);
  EXPECT_EQ(cost.at("macs"), 320);
  EXPECT_DOUBLE_EQ(cost.at("latency_s"), cost.at("cycles").get<double>() / 100e6);
  EXPECT_EQ(cost.at("layers")[0].at("input_words").at("to_array"), 2 * 40);
  EXPECT_FALSE(parsed({"cost", "array.yaml", "resnet18", "--explain"}).at("explain").at("doubled").empty());
  EXPECT_THAT(out({"cost", "array.yaml", "resnet18"}), HasSubstr("a 4 × 4 systolic array, output_stationary"));
}

TEST_F(Cost, EveryTimeloopCaseIsReproduced) {
  const auto data = reference_data("timeloop_reference");
  if (!data) GTEST_SKIP() << "timeloop_reference is absent";
  const json reference = json::parse(read_file(*data / "reference.json"));
  std::size_t cases = 0, counts = 0;
  for (const json& item : reference.at("cases")) {
    SCOPED_TRACE(item.at("case").get<std::string>());
    const auto file = [&](const char* key) { return (*data / item.at(key).get<std::string>()).string(); };
    const json cost = parsed({"cost", "--timeloop", file("architecture"), file("problem"), file("mapping")});
    EXPECT_EQ(cost.at("counting"), "timeloop");
    EXPECT_EQ(cost.at("cycles"), item.at("cycles"));
    EXPECT_EQ(cost.at("macs"), item.at("computes"));
    EXPECT_NEAR(100 * cost.at("utilization").get<double>(), item.at("utilization_pct"), 0.005);
    double total_pj = 0;
    for (const auto& [name, energy] : item.at("energy_pJ_by_component").items()) {
      const double expected = energy.at("dynamic_pJ").get<double>() + energy.at("leakage_pJ").get<double>();
      EXPECT_NEAR(cost.at("energy_j_by_component").at(name).get<double>() * 1e12, expected, 5e-5 * expected) << name;
      total_pj += expected;
    }
    EXPECT_NEAR(cost.at("energy_j").get<double>() * 1e12, total_pj, 5e-5 * total_pj);
    std::map<std::string, json> levels;
    for (const json& level : cost.at("levels")) levels[level.at("name")] = level.at("tensors");
    for (const json& level : item.at("levels")) {
      const auto found = levels.find(level.at("name"));
      if (found == levels.end()) continue;  // the compute unit
      for (const auto& [tensor, stats] : level.at("stats").items()) {
        if (!stats.is_object()) continue;
        SCOPED_TRACE(found->first + " " + tensor);
        const json& own = found->second.at(tensor);
        EXPECT_EQ(own.at("instances"), stats.at("Utilized instances (max)"));
        EXPECT_EQ(own.at("tile_words"), stats.at("Utilized capacity"));
        EXPECT_EQ(own.at("reads"), stats.at("Scalar reads (per-instance)"));
        EXPECT_EQ(own.at("fills"), stats.at("Scalar fills (per-instance)"));
        EXPECT_EQ(own.at("updates"), stats.at("Scalar updates (per-instance)"));
        counts += 5;
      }
    }
    ++cases;
  }
  EXPECT_EQ(cases, 76U);
  EXPECT_GT(counts, 2000U);
}

// --- SCALE-Sim

std::string scalesim_config(int side, const std::string& dataflow, const std::string& bandwidth = "CALC") {
  return fmt::format("[general]\nrun_name = test\n[architecture_presets]\nArrayHeight: {0}\nArrayWidth: {0}\nIfmapSramSzkB: 64\n"
                     "FilterSramSzkB: 64\nOfmapSramSzkB: 64\nDataflow : {1}\nBandwidth : 10\n[run_presets]\n"
                     "InterfaceBandwidth: {2}\n",
                     side, dataflow, bandwidth);
}

TEST_F(Cost, ScaleSimRunsAreReproduced) {
  const auto path = reference_data("scalesim_runs.json");
  if (!path) GTEST_SKIP() << "scalesim_runs.json: reference data not found";
  const json runs = json::parse(read_file(*path)).at("runs");
  std::map<std::tuple<int, std::string, bool>, std::vector<json>> groups;  // array, dataflow, convolutions or products
  for (const json& run : runs) groups[{run.at("array"), run.at("dataflow"), run.at("dims").size() == 3}].push_back(run);
  int compared = 0;
  for (const auto& [key, group] : groups) {
    const auto& [side, dataflow, products] = key;
    write_file(folder / "scale.cfg", scalesim_config(side, dataflow));
    std::string topology = products ? "Layer, M, N, K,\n" : "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n";
    for (const json& run : group) {
      topology += run.at("layer").get<std::string>() + ",";
      for (const json& size : run.at("dims")) topology += fmt::format(" {},", size.get<int>());
      topology += "\r\n";
    }
    write_file(folder / "layers.csv", topology);
    const json cost = parsed({"cost", "--scalesim", "scale.cfg", "layers.csv"});
    ASSERT_EQ(cost.at("layers").size(), group.size());
    for (std::size_t i = 0; i < group.size(); ++i) {
      const json& layer = cost.at("layers")[i];
      const json& run = group[i];
      SCOPED_TRACE(run.at("layer").get<std::string>() + " " + dataflow);
      EXPECT_EQ(layer.at("name"), run.at("layer"));
      EXPECT_EQ(layer.at("stall_cycles"), 0);
      if (run.contains("COMPUTE_REPORT")) {
        const json& report = run.at("COMPUTE_REPORT");
        EXPECT_EQ(layer.at("compute_cycles"), report.at("Total Cycles").get<double>() - report.at("Stall Cycles").get<double>());
        EXPECT_NEAR(100 * layer.at("mapping_efficiency").get<double>(), report.at("Mapping Efficiency %"), 1e-6);
        EXPECT_NEAR(100 * layer.at("compute_utilization").get<double>(), report.at("Compute Util %"), 1e-6);
        const json& access = run.at("DETAILED_ACCESS_REPORT");
        EXPECT_EQ(layer.at("sram_accesses").at("ifmap_reads"), access.at("SRAM IFMAP Reads"));
        EXPECT_EQ(layer.at("sram_accesses").at("filter_reads"), access.at("SRAM Filter Reads"));
        if (dataflow != "os") {
          EXPECT_EQ(layer.at("sram_accesses").at("ofmap_writes"), access.at("SRAM OFMAP Writes"));
        }
      } else {
        EXPECT_EQ(layer.at("compute_cycles"), run.at("total_cycles"));
      }
      ++compared;
    }
  }
  EXPECT_EQ(compared, 72);
}

TEST_F(Cost, ScaleSimsOwnFilesAreRead) {
  const auto data = reference_data("scalesim_golden");
  if (!data) GTEST_SKIP() << "scalesim_golden: reference data not found";
  // The golden report was made with ws.
  write_file(folder / "scale.cfg", replaced(read_file(*data / "v2_scale.cfg"), "Dataflow : os", "Dataflow : ws"));
  const json cost = parsed({"cost", "--scalesim", "scale.cfg", (*data / "v2_alexnet_part.csv").string()});
  EXPECT_EQ(cost.at("layers")[0].at("name"), "Conv1");
  EXPECT_EQ(cost.at("compute_cycles"), 112283);
  EXPECT_EQ(cost.at("layers")[0].at("sram_accesses"),
            (json{{"ifmap_reads", 3294225}, {"filter_reads", 34848}, {"ofmap_reads", 3194400}, {"ofmap_writes", 3484800}}));
  // Of the third version too. USER: ten words a cycle.
  const json user = parsed({"cost", "--scalesim", (*data / "v3_scale.cfg").string(), (*data / "v2_alexnet_part.csv").string()});
  EXPECT_EQ(user.at("compute_cycles"), 112283);
  write_file(folder / "user.cfg", scalesim_config(32, "ws", "USER"));
  EXPECT_GT(parsed({"cost", "--scalesim", "user.cfg", (*data / "v2_alexnet_part.csv").string()}).at("stall_cycles"), 0);
}

// --- ONNX files

TEST_F(Cost, AnOnnxFileCostsWhatItsNetworkCosts) {
  ASSERT_EQ(duet(folder.path(), {"network", "mobilenet_v2", "--weights", "zeros", "--export", "net.onnx"}).exit_code, 0);
  json file = parsed({"cost", "small.yaml", "net.onnx", "--effort", "20"});
  json known = parsed({"cost", "small.yaml", "mobilenet_v2", "--effort", "20"});
  for (const char* key : {"cycles", "energy_j", "macs"}) EXPECT_EQ(file.at(key), known.at(key)) << key;
  EXPECT_EQ(file.at("workload"), "net");

  EXPECT_THAT(refusal({"cost", "small.yaml", "none.onnx"}), StartsWith("none.onnx: "));
  EXPECT_THAT(refusal({"cost", "small.yaml", "net.onnx", "--dim", "batch"}), HasSubstr("expected NAME=NUMBER"));
  EXPECT_THAT(refusal({"cost", "small.yaml", "product.yaml", "--dim", "batch=1"}), HasSubstr("--dim is for ONNX files"));

  // The same file as a space: hardware for a model.
  write_file(folder / "search.yaml", R"(
space:
  network: {type: onnx_model, file: net.onnx, variants: {weight_bits: [4, 8], activation_bits: 8}}
  accelerator: {type: systolic_array, rows: [8, 16], columns: 16}
estimators: [analytical]
objectives: [latency_s, area_mm2]
search: random
budget: 4
)");
  const Finished run = duet(folder.path(), {"run", "-q", "search.yaml"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  // Another model under the same name is another experiment.
  ASSERT_EQ(duet(folder.path(), {"network", "alexnet", "--weights", "zeros", "--export", "net.onnx"}).exit_code, 0);
  const Finished changed = duet(folder.path(), {"run", "-q", "search.yaml", "--trials", "6"});
  EXPECT_NE(changed.exit_code, 0);
  EXPECT_THAT(changed.err, HasSubstr("files of the space"));
  EXPECT_EQ(duet(folder.path(), {"network", "search.db", "--trial", "1"}).exit_code, 2);
  write_file(folder / "missing.yaml", "space: {network: {type: onnx_model, file: other.onnx}}\n");
  EXPECT_THAT(refusal({"validate", "missing.yaml"}), StartsWith("missing.yaml:1:43: there is no file 'other.onnx'"));
}

// --- What is said of wrong files

TEST_F(Cost, WrongFilesAreRefusedWithOneSentence) {
  const auto with = [&](const std::string& name, const std::string& text) {
    write_file(folder / name, text);
    return name;
  };
  const auto cost = [&](const std::string& architecture, const std::string& workload, const std::string& mapping) {
    return refusal({"cost", with("a.yaml", architecture), with("w.yaml", workload), with("m.yaml", mapping)});
  };
  EXPECT_EQ(refusal({"cost", "none.yaml", "product.yaml"}), "none.yaml: cannot read: No such file or directory\n");
  EXPECT_THAT(refusal({"cost", "small.yaml", "resnet19"}), HasSubstr("'resnet19' is neither a file nor a network that duet knows; did you mean 'resnet18'?"));
  EXPECT_THAT(refusal({"cost", "small.yaml"}), HasSubstr("ARCHITECTURE WORKLOAD [MAPPING]"));
  EXPECT_THAT(cost(replaced(small, "capacity: 64B", "capacity: 64"), product, by_rows), StartsWith("a.yaml:5:28: "));
  EXPECT_THAT(cost(replaced(small, "capacity", "capasity"), product, by_rows), HasSubstr("did you mean 'capacity'?"));
  EXPECT_THAT(cost(small, "matrx: {rows: 4}\n", by_rows), HasSubstr("did you mean 'matrix'?"));
  EXPECT_THAT(cost(small, "matrix: {rows: 4, columns: 2}\n", by_rows), HasSubstr("missing key 'matrix.sum'"));
  EXPECT_THAT(cost(small, "matrix: {rows: 4, columns: 0, sum: 1}\n", by_rows), StartsWith("w.yaml:1:28: "));
  EXPECT_THAT(cost(small, "network: resnet99\n", by_rows), StartsWith("w.yaml:1:10: "));
  EXPECT_THAT(cost(small, "convolution: {in_channels: 3, out_channels: 4, output: 3, groups: 2}\n", by_rows),
              HasSubstr("3 channels cannot be shared out among 2 groups"));
  EXPECT_THAT(cost(small, "einsum: {dimensions: {M: 2, C: 3}, weight: [M, C], input: [C, 2*X], output: [M]}\n", by_rows),
              HasSubstr("'X' is no dimension of the einsum"));
  EXPECT_THAT(cost(small, product, "DRAM: {temporal: {N: 2}}\nbuffer: {temporal: {C: 6}, x: {M: 2}}\n"),
              HasSubstr("the factors of N multiply to 2, which does not cover its 4"));
  EXPECT_THAT(cost(small, product, "DRAM: {temporal: {N: 4, M: 2}}\nbuffer: {x: {C: 6}}\n"),
              HasSubstr("level 'buffer': the loops along x use 6 children, and there are 2"));
  EXPECT_THAT(cost(replaced(small, "64B", "10B"), product, by_rows), HasSubstr("level 'buffer': with the tile of the"));
  EXPECT_THAT(cost(small, product, "bufer: {temporal: {N: 4}}\n"), HasSubstr("did you mean 'buffer'?"));
  EXPECT_THAT(cost(small, product, "buffer: {temporal: {K: 4}}\n"), HasSubstr("unknown key 'buffer.temporal.K'"));
  EXPECT_THAT(refusal({"cost", "small.yaml", "resnet18", "mapping.yaml"}), HasSubstr("layers: {NAME: …}"));
  EXPECT_THAT(refusal({"map", "small.yaml", "product.yaml", "--mapper", "exhaustiv"}), HasSubstr("did you mean 'exhaustive'?"));
  EXPECT_THAT(refusal({"map", "small.yaml", "product.yaml", "--objective", "enery"}), HasSubstr("did you mean 'energy'?"));
  EXPECT_THAT(refusal({"map", "small.yaml", "product.yaml", "--time-limit", "10"}), HasSubstr("'time-limit' needs a unit"));
  EXPECT_THAT(refusal({"map", with("sa.yaml", "systolic_array: {rows: 4}\n"), "product.yaml"}), HasSubstr("nothing to map"));
  EXPECT_THAT(refusal({"cost", with("sa.yaml", "systolic_array: {rows: 4, columns: 70000}\n"), "product.yaml"}), StartsWith("sa.yaml:1:"));
  EXPECT_THAT(refusal({"cost", with("sa.yaml", "systolic_array: {rows: 4096, input_sram: 16B}\n"), "product.yaml"}), HasSubstr("the input SRAM of 16 bytes is 8176 bytes too small"));
  EXPECT_THAT(refusal({"cost", "--timeloop", "product.yaml"}), HasSubstr("none of these keys"));
  EXPECT_THAT(refusal({"cost", "--tables", "t.yaml", "small.yaml", "product.yaml"}), HasSubstr("belongs to --timeloop"));
  EXPECT_THAT(refusal({"cost", "--counting", "timeloop", "--footprint", "distinct", "small.yaml", "product.yaml"}), HasSubstr("box only"));
  const auto scalesim = [&](const std::string& config, const std::string& topology) {
    return refusal({"cost", "--scalesim", with("s.cfg", config), with("t.csv", topology)});
  };
  const std::string layer = "Layer, M, N, K,\ngemm, 4, 4, 4,\n";
  EXPECT_EQ(scalesim(replaced(scalesim_config(4, "os"), "Dataflow : os", "Dataflow : rs"), layer),
            "s.cfg:9: 'Dataflow' must be os, ws or is, not 'rs'\n");
  EXPECT_EQ(scalesim(replaced(scalesim_config(4, "os"), "ArrayWidth: 4", "ArrayWidth: x"), layer),
            "s.cfg:5: 'ArrayWidth' must be a whole number from 1, not 'x'\n");
  EXPECT_EQ(scalesim(replaced(scalesim_config(4, "os"), "ArrayWidth: 4\n", ""), layer),
            "s.cfg:11: [architecture_presets] has no 'ArrayWidth'\n");
  EXPECT_EQ(scalesim(scalesim_config(4, "os"), "Layer, M, N, K,\ngemm, 4, 4,\n"),
            "t.csv:2: 2 numbers; a convolution has 7 (image, filter, channels, filters, stride), a matrix product 3 (M, N, K)\n");
  EXPECT_EQ(scalesim(scalesim_config(4, "os"), layer + "\nbad, 4, four, 4,\n"),
            "t.csv:4: column 3 must be a whole number from 1, not 'four'\n");
  EXPECT_EQ(scalesim(scalesim_config(4, "os"), "conv, 3, 3, 5, 5, 1, 1, 1\n"), "t.csv:1: a 5×5 filter does not fit an image of 3×3\n");
  EXPECT_EQ(scalesim(scalesim_config(4, "os"), "Layer, M, N, K,\n"), "t.csv:1: no layer\n");
}

}  // namespace
}  // namespace duet::testing
