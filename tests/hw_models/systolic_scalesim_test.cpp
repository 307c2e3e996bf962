// Against SCALE-Sim's own reports. Its stall cycles, its DRAM columns and its count of output writes under
// output stationary are known to be wrong and are not compared.

#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "hw_models/systolic.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using nlohmann::json;

/// SCALE-Sim's convolution: no padding, and a last window that may hang over the edge.
SystolicWorkload convolution(const std::vector<std::int64_t>& d) {
  SystolicWorkload w;
  w.input_h = d[0];
  w.input_w = d[1];
  w.kernel_h = d[2];
  w.kernel_w = d[3];
  w.channels = d[4];
  w.filters = d[5];
  w.stride_h = w.stride_w = d[6];
  w.output_h = (d[0] - d[2] + 2 * d[6] - 1) / d[6];
  w.output_w = (d[1] - d[3] + 2 * d[6] - 1) / d[6];
  return w;
}

SystolicArray square_array(std::int64_t side, Dataflow dataflow) {
  SystolicArray a;
  a.rows = a.columns = side;
  a.dataflow = dataflow;
  return a;
}

Dataflow dataflow_of(const std::string& name) {
  return name == "os"   ? Dataflow::output_stationary
         : name == "ws" ? Dataflow::weight_stationary
                        : Dataflow::input_stationary;
}

struct Report {
  std::map<std::string, double> compute, access;
};

void expect_equal(const SystolicCost& c, Dataflow dataflow, const Report& report) {
  const double cycles = report.compute.at("Total Cycles") - report.compute.at("Stall Cycles");
  EXPECT_EQ(static_cast<double>(c.compute_cycles), cycles);
  const double mapping = report.compute.at("Mapping Efficiency %");
  EXPECT_NEAR(100 * c.mapping_efficiency, mapping, 1e-9 * mapping);
  const double busy = report.compute.at("Compute Util %");
  EXPECT_NEAR(100 * c.compute_utilisation, busy, 1e-9 * busy);
  EXPECT_EQ(static_cast<double>(c.input.to_array), report.access.at("SRAM IFMAP Reads"));
  EXPECT_EQ(static_cast<double>(c.weight.to_array), report.access.at("SRAM Filter Reads"));
  if (dataflow != Dataflow::output_stationary) {
    EXPECT_EQ(static_cast<double>(c.output.from_array), report.access.at("SRAM OFMAP Writes"));
  }
}

TEST(ScaleSim, RunsAreReproduced) {
  const auto path = testing::reference_data("scalesim_runs.json");
  if (!path) GTEST_SKIP() << "scalesim_runs.json: reference data not found";
  const json runs = json::parse(testing::read_file(*path)).at("runs");
  int cycles_compared = 0, reports_compared = 0;
  for (const json& run : runs) {
    const auto dims = run.at("dims").get<std::vector<std::int64_t>>();
    const SystolicWorkload w =
        dims.size() == 3 ? matrix_product(dims[0], dims[1], dims[2]) : convolution(dims);
    const Dataflow dataflow = dataflow_of(run.at("dataflow"));
    SCOPED_TRACE(run.at("layer").get<std::string>() + " " + to_string(dataflow));
    const SystolicCost c = cost(w, square_array(run.at("array"), dataflow));
    if (run.contains("COMPUTE_REPORT")) {
      expect_equal(c, dataflow, {run.at("COMPUTE_REPORT"), run.at("DETAILED_ACCESS_REPORT")});
      ++reports_compared;
    } else {
      EXPECT_EQ(static_cast<double>(c.compute_cycles), run.at("total_cycles").get<double>());
    }
    ++cycles_compared;
  }
  EXPECT_EQ(cycles_compared, 72);
  EXPECT_EQ(reports_compared, 31);
}

/// A CSV file of one row as names and values.
std::map<std::string, double> read_report(const std::filesystem::path& path) {
  std::istringstream text(testing::read_file(path));
  std::string header, values;
  std::getline(text, header);
  std::getline(text, values);
  std::istringstream names(header), numbers(values);
  std::map<std::string, double> report;
  std::string name, number;
  while (std::getline(names, name, ',') && std::getline(numbers, number, ',')) {
    if (name.find_first_not_of(' ') == std::string::npos) break;
    report[name.substr(name.find_first_not_of(' '))] = std::stod(number);
  }
  return report;
}

struct Golden {
  std::string prefix;
  SystolicWorkload workload;
  Dataflow dataflow;
  std::int64_t cycles;
};

std::vector<Golden> goldens() {
  const SystolicWorkload conv1 = convolution({224, 224, 11, 11, 3, 96, 4});
  const SystolicWorkload gemm = matrix_product(256, 128, 256);
  return {{"v2_alexnetpart_ws32", conv1, Dataflow::weight_stationary, 112'283},
          {"v3_calc", conv1, Dataflow::weight_stationary, 112'283},
          {"v3_user_is", gemm, Dataflow::input_stationary, 14'207},
          {"v3_user_os", gemm, Dataflow::output_stationary, 10'175},
          {"v3_user_ws", gemm, Dataflow::weight_stationary, 11'199}};
}

TEST(ScaleSim, GoldenCyclesAreKnown) {
  for (const Golden& golden : goldens()) {
    EXPECT_EQ(cost(golden.workload, square_array(32, golden.dataflow)).compute_cycles, golden.cycles)
        << golden.prefix;
  }
}

TEST(ScaleSim, GoldenReportsAreReproduced) {
  const auto folder = testing::reference_data("scalesim_golden");
  if (!folder) GTEST_SKIP() << "scalesim_golden: reference data not found";
  for (const Golden& golden : goldens()) {
    SCOPED_TRACE(golden.prefix);
    const Report report{read_report(*folder / (golden.prefix + "_COMPUTE.csv")),
                        read_report(*folder / (golden.prefix + "_DETAILED_ACCESS.csv"))};
    expect_equal(cost(golden.workload, square_array(32, golden.dataflow)), golden.dataflow, report);
  }
}

}  // namespace
}  // namespace duet
