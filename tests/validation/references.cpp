// Timeloop's 76 reference cases and SCALE-Sim's runs.

#include <cmath>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "hw_models/systolic.hpp"
#include "hw_models/timeloop.hpp"
#include "tests/validation/report.hpp"

namespace duet::validation {
namespace {

using Json = nlohmann::json;

Json read_json(const std::filesystem::path& file) {
  std::ifstream stream(file);
  if (!stream) throw std::runtime_error("cannot read " + file.string());
  return Json::parse(stream);
}

}  // namespace

std::string timeloop_section(const std::filesystem::path& data) {
  const std::filesystem::path folder = data / "timeloop_reference";
  std::vector<double> cycles, energy, accesses;
  struct Way {
    std::string name;
    CostOptions options;
    std::vector<double> cycles, energy, accesses;
  };
  std::vector<Way> ways{{"`as_timeloop`", timeloop_options(), {}, {}, {}}, {"the loop nest", {}, {}, {}, {}}};
  const Json reference = read_json(folder / "reference.json");
  for (const Json& item : reference.at("cases")) {
    const auto file = [&](const char* key) { return Config::load(folder / item.at(key).get<std::string>()); };
    const Einsum einsum = read_timeloop_problem(file("problem"));
    const Architecture architecture = read_timeloop_architecture(file("architecture"));
    const Mapping mapping = read_timeloop_mapping(file("mapping"), einsum, architecture);
    double joules = 0;
    for (const auto& [name, part] : item.at("energy_pJ_by_component").items()) {
      joules += 1e-12 * (part.at("dynamic_pJ").get<double>() + part.at("leakage_pJ").get<double>());
    }
    cycles.push_back(item.at("cycles").get<double>());
    energy.push_back(joules);
    for (std::size_t w = 0; w < ways.size(); ++w) {
      const MappingCost cost = CostModel(einsum, architecture, ways[w].options).evaluate(mapping);
      ways[w].cycles.push_back(cost.cycles);
      ways[w].energy.push_back(cost.energy_j);
      for (const Json& level : item.at("levels")) {
        const auto l = architecture.find_level(level.at("name").get<std::string>());
        if (!l) continue;
        for (std::size_t t = 0; t < tensor_count; ++t) {
          const std::string& tensor = einsum.tensors[t].name;
          if (!level.at("stats").contains(tensor)) continue;
          const Json& stats = level.at("stats").at(tensor);
          const double instances = cost.levels[*l].utilized_instances;
          const TensorTraffic& traffic = cost.levels[*l].tensors[t];
          for (const auto& [key, words] : {std::pair{"Scalar reads (per-instance)", traffic.reads},
                                           std::pair{"Scalar fills (per-instance)", traffic.fills},
                                           std::pair{"Scalar updates (per-instance)", traffic.updates}}) {
            const double theirs = stats.at(key).get<double>();
            if (theirs == 0) continue;
            if (w == 0) accesses.push_back(theirs);
            ways[w].accesses.push_back(std::round(words / instances));
          }
        }
      }
    }
  }
  std::string text = fmt::format(R"(## Timeloop

{} cases of Timeloop 4cf6d4c: 19 layers of AlexNet, ResNet-18 and MobileNetV2 on two architectures, two mappings each, with the architectures' own energy tables. Accesses are reads, fills and updates of every tensor at every level.

| | cases | exact | ρ | median error | 95% below | largest |
|---|---|---|---|---|---|---|
)",
                                 cycles.size());
  for (const Way& way : ways) {
    text += fmt::format("| cycles, {} | {} |\n", way.name, cells(agreement(way.cycles, cycles)));
    text += fmt::format("| accesses, {} | {} |\n", way.name, cells(agreement(way.accesses, accesses)));
    text += fmt::format("| energy, {} | {} |\n", way.name, cells(agreement(way.energy, energy)));
  }
  return text + R"(
Under `as_timeloop` all counts are Timeloop's own; energies differ because Timeloop prints leakage with four digits. Where the loop nest differs, Timeloop extrapolates from two iterations or hands words on between neighbours: [loop nests](hardware/loop_nest.md#timeloop) names the cases.

)";
}

std::string scalesim_section(const std::filesystem::path& data) {
  std::vector<double> cycles, reference_cycles, accesses, reference_accesses;
  std::size_t reports = 0;
  const Json all = read_json(data / "scalesim_runs.json");
  for (const Json& run : all.at("runs")) {
    const auto d = run.at("dims").get<std::vector<std::int64_t>>();
    SystolicWorkload workload;
    if (d.size() == 3) {
      workload = matrix_product(d[0], d[1], d[2]);
    } else {
      // SCALE-Sim pads nothing and lets the last window hang over the edge.
      workload.input_h = d[0], workload.input_w = d[1], workload.kernel_h = d[2], workload.kernel_w = d[3];
      workload.channels = d[4], workload.filters = d[5], workload.stride_h = workload.stride_w = d[6];
      workload.output_h = (d[0] - d[2] + 2 * d[6] - 1) / d[6];
      workload.output_w = (d[1] - d[3] + 2 * d[6] - 1) / d[6];
    }
    SystolicArray array;
    array.rows = array.columns = run.at("array");
    const auto dataflow = run.at("dataflow").get<std::string>();
    array.dataflow = dataflow == "os"   ? Dataflow::output_stationary
                     : dataflow == "ws" ? Dataflow::weight_stationary
                                        : Dataflow::input_stationary;
    const SystolicCost result = cost(workload, array);
    cycles.push_back(static_cast<double>(result.compute_cycles));
    if (!run.contains("COMPUTE_REPORT")) {
      reference_cycles.push_back(run.at("total_cycles"));
      continue;
    }
    ++reports;
    const Json& compute = run.at("COMPUTE_REPORT");
    reference_cycles.push_back(compute.at("Total Cycles").get<double>() - compute.at("Stall Cycles").get<double>());
    const Json& access = run.at("DETAILED_ACCESS_REPORT");
    const auto compare = [&](std::int64_t ours, const char* theirs) {
      accesses.push_back(static_cast<double>(ours));
      reference_accesses.push_back(access.at(theirs).get<double>());
    };
    compare(result.input.to_array, "SRAM IFMAP Reads");
    compare(result.weight.to_array, "SRAM Filter Reads");
    if (array.dataflow != Dataflow::output_stationary) compare(result.output.from_array, "SRAM OFMAP Writes");
  }
  return fmt::format(R"(## SCALE-Sim

{} layer runs of SCALE-Sim v2 on 8×8 and 32×32 arrays in three dataflows, {} of them with a report of accesses, against the [systolic array](hardware/systolic_array.md).

| | numbers | exact | ρ | median error | 95% below | largest |
|---|---|---|---|---|---|---|
| cycles without stalls | {} |
| scratchpad accesses | {} |

Not compared: SCALE-Sim's stalls, its DRAM columns and its output writes under output stationary, which come from a prefetch simulation with known faults; duet's memory part is its own and is checked against a simulation element by element.
)",
                     cycles.size(), reports, cells(agreement(cycles, reference_cycles)),
                     cells(agreement(accesses, reference_accesses)));
}

}  // namespace duet::validation
