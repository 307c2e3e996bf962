#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/cost_report.hpp"
#include "core/errors.hpp"
#include "core/units.hpp"
#include "hw_models/mappers/certified.hpp"
#include "hw_models/timeloop.hpp"
#include "hw_models/workload.hpp"
#include "spaces/onnx.hpp"
#include "spaces/zoo.hpp"

namespace duet::cli {
namespace {

namespace fs = std::filesystem;

/// What finds mappings where none is given.
struct MapperArguments {
  std::string mapper;
  std::string objective = "energy_delay";
  std::uint64_t effort = 0;
  std::string time_limit;
  int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  std::uint64_t seed = 1;
};

struct CostArguments {
  std::vector<std::string> files;
  bool timeloop = false, scalesim = false;
  std::vector<std::string> tables;
  std::vector<std::string> dimensions;  ///< of an ONNX file
  std::string footprint, counting;
  bool json = false, explain = false, loop_nest = false;
  MapperArguments mapper;
  std::string out, proof;  // map
};

/// The heuristic that is tried first where nobody chooses.
std::string default_mapper() {
  const auto names = mapper_names();
  if (std::find(names.begin(), names.end(), "genetic") != names.end()) return "genetic";
  return names.empty() ? "" : std::string(names.front());
}

std::unique_ptr<Mapper> chosen_mapper(const MapperArguments& arguments) {
  const std::string name = arguments.mapper.empty() ? default_mapper() : arguments.mapper;
  const auto names = mapper_names();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    const std::vector<std::string> known(names.begin(), names.end());
    throw ConfigError(fmt::format("--mapper: there is no mapper '{}'{}", name, hint(name, known)));
  }
  return make_mapper(name);
}

/// Errors of a value on the command line have no line and column.
template <class Read>
auto read_option(const char* option, const std::string& text, const Read& read) {
  try {
    const std::string key(std::string_view(option).substr(2));
    return read(Config::parse(key + ": " + text, option).at(key));
  } catch (const ConfigError& error) {
    const std::string_view message = error.what();
    throw ConfigError(fmt::format("{}: {}", option, message.substr(message.find(": ") + 2)));
  }
}

MapperRequest request_of(const MapperArguments& arguments) {
  MapperRequest request;
  request.objective = read_option("--objective", arguments.objective, [](const Config& c) { return read_objective(c); });
  request.effort = arguments.effort;
  request.seed = arguments.seed;
  if (!arguments.time_limit.empty()) {
    request.time_limit_s =
        read_option("--time-limit", arguments.time_limit, [](const Config& c) { return c.quantity("s", 0); });
  }
  return request;
}

/// What is to run: einsums, vector operators, and where it is a network, that.
struct Workloads {
  std::string name;
  std::optional<Network> network;
  std::vector<WorkloadLayer> layers;

  std::vector<RepeatedEinsum> einsums() const { return network ? duet::einsums(*network) : duet::einsums(layers); }
};

Workloads load_workloads(const std::string& name, const std::vector<std::string>& dimensions) {
  Workloads workloads;
  if (name.ends_with(".onnx")) {
    OnnxImport model = import_onnx(name, dimensions_of(dimensions));
    if (const std::size_t approximated = model.count(OnnxFidelity::approximated); approximated > 0) {
      fmt::print(stderr, "warning: {}: {} of {} nodes are approximated; duet network {} lists them\n", name, approximated,
                 model.nodes.size(), name);
    }
    workloads.name = fs::path(name).stem().string();
    workloads.network = std::move(model.network);
    return workloads;
  }
  if (!dimensions.empty()) throw ConfigError("--dim is for ONNX files, and '" + name + "' is none");
  if (!fs::exists(name)) {
    std::vector<std::string> known;
    for (const ZooNetwork& network : zoo()) known.push_back(network.name);
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw ConfigError(fmt::format("'{}' is neither a file nor a network that duet knows{}", name, hint(name, known)));
    }
    workloads.name = name;
    workloads.network = zoo_network(name).build();
    return workloads;
  }
  const Config config = Config::load(name);
  WorkloadFile file = read_workload(config);
  workloads.name = !file.name.empty() ? file.name : !file.network.empty() ? file.network : fs::path(name).stem().string();
  workloads.layers = std::move(file.layers);
  if (!file.network.empty()) {
    try {
      workloads.network = zoo_network(file.network).build();
    } catch (const ConfigError& error) {
      config.at("network").fail(error.what());
    }
  }
  return workloads;
}

CostOptions options_of(const CostArguments& arguments) {
  CostOptions options = arguments.timeloop ? timeloop_options() : CostOptions{};
  if (arguments.footprint == "distinct") options = {.footprint = Footprint::distinct};
  if (!arguments.counting.empty()) options.as_timeloop = arguments.counting == "timeloop";
  if (options.as_timeloop && options.footprint == Footprint::distinct) {
    throw ConfigError("--counting timeloop is defined for --footprint box only");
  }
  return options;
}

/// The mapping file's part for a layer: the file itself, or of several layers `layers: {NAME: …}`.
Config mapping_of(const Config& file, const RepeatedEinsum& workload, bool single) {
  if (!file.is_map() || !file.has("layers")) {
    if (!single) file.fail("the workload has several layers; their mappings stand in 'layers: {NAME: …}'");
    return file;
  }
  const Config layers = file.at("layers");
  for (const std::string& name : workload.names) {
    if (const auto found = layers.find(name)) return *found;
  }
  layers.fail(fmt::format("layer '{}' has no mapping", workload.names.empty() ? "" : workload.names.front()));
}

/// One layer under a given mapping.
LayerMapping costed(RepeatedEinsum workload, const Architecture& architecture, const CostOptions& options,
                    const Mapping& mapping, const Objective& objective, const std::string& where) {
  LayerMapping layer;
  const CostModel model(workload.einsum, architecture, options);
  if (const auto why = model.why_invalid(mapping)) throw ConfigError(fmt::format("{}: {}", where, *why));
  layer.cost = model.evaluate(mapping);
  layer.result.mapping = mapping;
  layer.result.cost = {true, layer.cost.cycles, layer.cost.energy_j};
  layer.result.value = value(objective, layer.cost.cycles, layer.cost.energy_j, architecture.clock_hz);
  layer.workload = std::move(workload);
  return layer;
}

bool is_one_layer(const std::vector<RepeatedEinsum>& workloads, const Workloads& all) {
  return !all.network && workloads.size() == 1 && workloads.front().repeats == 1;
}

void refuse_unmapped(const NetworkMapping& mapping) {
  if (!mapping.why_none.empty()) throw ConfigError("no mapping: " + mapping.why_none);
}

/// The report on `workloads` under the mappings that a mapper finds.
LevelsReport mapped_report(const Workloads& workloads, const Architecture& architecture, const CostOptions& options,
                           const Mapper& mapper, const MapperRequest& request, int threads) {
  LevelsReport report{workloads.name, architecture, options, {}, std::string(mapper.name()), std::nullopt, false};
  std::vector<RepeatedEinsum> einsums = workloads.einsums();
  if (einsums.empty()) throw ConfigError(fmt::format("{}: the workload has no convolution and no matrix product", workloads.name));
  report.one_layer = is_one_layer(einsums, workloads);
  NetworkMapping mapping = map_einsums(std::move(einsums), architecture, mapper, request, {.cost = options, .threads = threads, .cache = nullptr});
  refuse_unmapped(mapping);
  report.cost = sum(std::move(mapping),
                    workloads.network ? vector_work(*workloads.network, architecture) : std::vector<RepeatedVectorWork>{},
                    architecture);
  return report;
}

void explain(LevelsReport& report, const CostArguments& arguments, const MapperRequest& request) {
  const std::unique_ptr<Mapper> mapper = mapper_names().empty() ? nullptr : chosen_mapper(arguments.mapper);
  report.explain = sensitivities(report.cost, report.architecture, mapper.get(), request,
                                 {.cost = report.options, .threads = arguments.mapper.threads, .cache = nullptr});
}

void print(const nlohmann::ordered_json& document) {
  fmt::print("{}\n", document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void print(const LevelsReport& report, const CostArguments& arguments) {
  if (arguments.json) {
    print(json(report));
    return;
  }
  fmt::print("{}", text(report));
  if (arguments.loop_nest) {
    for (const LayerMapping& layer : report.cost.mapping.layers) {
      fmt::print("\n{}{}", report.one_layer ? "" : layer.workload.names.front() + ":\n",
                 loop_nest(*layer.result.mapping, layer.workload.einsum, report.architecture));
    }
  }
}

// --- Systolic arrays

NetworkCost systolic_cost(const Workloads& workloads, const SystolicArray& array) {
  if (workloads.network) return cost(*workloads.network, array);
  std::vector<LayerCost> layers;
  for (const WorkloadLayer& from : workloads.layers) {
    const auto* work = std::get_if<SystolicWorkload>(&from.work);
    if (work == nullptr) {
      throw ConfigError(fmt::format("layer '{}' is an einsum of its own; a systolic array takes convolutions and matrix products",
                                    from.name));
    }
    LayerCost& layer = layers.emplace_back(repeated(cost(Workload(*work), array), from.repeats));
    layer.name = from.repeats == 1 ? from.name : fmt::format("{} × {}", from.name, from.repeats);
  }
  return sum(std::move(layers), array);
}

std::vector<Sensitivity> systolic_sensitivities(const Workloads& workloads, const SystolicArray& array,
                                                const NetworkCost& before) {
  std::vector<Sensitivity> rows;
  const auto add = [&](const char* name, const auto& change) {
    SystolicArray doubled = array;
    change(doubled);
    if (why_invalid(doubled)) return;
    const NetworkCost after = systolic_cost(workloads, doubled);
    const double latency = after.latency_s / before.latency_s, energy = after.energy_j() / before.energy_j();
    rows.push_back({name, false, static_cast<double>(after.cycles) / static_cast<double>(before.cycles), latency, energy,
                    latency * energy});
  };
  add("rows", [](SystolicArray& a) { a.rows *= 2; });
  add("columns", [](SystolicArray& a) { a.columns *= 2; });
  add("input_sram", [](SystolicArray& a) { a.input_sram_bytes *= 2; });
  add("weight_sram", [](SystolicArray& a) { a.weight_sram_bytes *= 2; });
  add("output_sram", [](SystolicArray& a) { a.output_sram_bytes *= 2; });
  add("dram_bandwidth", [](SystolicArray& a) { a.dram_bandwidth_bytes_per_s *= 2; });
  add("clock", [](SystolicArray& a) { a.clock_hz *= 2; });
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Sensitivity& a, const Sensitivity& b) { return a.energy_delay < b.energy_delay; });
  return rows;
}

void cost_systolic(const CostArguments& arguments, const SystolicArray& array, const Workloads& workloads) {
  if (const auto why = why_invalid(array)) throw ConfigError(fmt::format("{}: {}", arguments.files[0], *why));
  if (arguments.files.size() > 2) throw ConfigError("a systolic array takes no mapping: its dataflow is the schedule");
  SystolicReport report{workloads.name, array, systolic_cost(workloads, array), {}};
  if (arguments.explain) report.explain = systolic_sensitivities(workloads, array, report.cost);
  if (arguments.json) {
    print(json(report));
  } else {
    fmt::print("{}", text(report));
  }
}

// --- Timeloop's and SCALE-Sim's files

/// Timeloop's files say themselves what they are; a list is a mapping.
struct TimeloopFiles {
  Architecture architecture;
  Workloads workloads;
  Einsum einsum;
  std::optional<Mapping> mapping;
  std::string mapping_file;
};

TimeloopFiles load_timeloop_files(const CostArguments& arguments) {
  std::optional<Config> architecture, problem, mapping, tables;
  std::vector<Config> files;
  const auto set = [](std::optional<Config>& to, const Config& file, const char* what) {
    if (to) file.fail(fmt::format("a second {}, after that of {}", what, to->document()));
    to = file;
  };
  for (const std::string& name : arguments.files) {
    const Config file = load_timeloop(name);
    if (file.is_sequence()) {
      set(mapping, file, "mapping");
      continue;
    }
    bool known = false;
    if (file.is_map()) {
      for (const auto& [key, to, what] : {std::tuple{"architecture", &architecture, "architecture"},
                                          std::tuple{"arch", &architecture, "architecture"},
                                          std::tuple{"problem", &problem, "problem"}, std::tuple{"mapping", &mapping, "mapping"}}) {
        if (!file.has(key)) continue;
        set(*to, file, what);
        known = true;
      }
      for (const char* key : {"ERT", "ART", "ERT_summary", "ART_summary"}) {
        if (!file.has(key)) continue;
        known = true;
        if (!file.has("architecture")) set(tables, file, "table of energies");
      }
    }
    if (!known) file.fail("no architecture, problem, mapping or table of Timeloop's: none of these keys is there");
  }
  if (!arguments.tables.empty()) set(tables, load_timeloop(arguments.tables.front()), "table of energies");
  const auto need = [&](const std::optional<Config>& file, const char* what) {
    if (!file) throw ConfigError(fmt::format("--timeloop: none of the files has a key '{}'", what));
    return *file;
  };
  TimeloopFiles files_read;
  files_read.architecture = read_timeloop_architecture(need(architecture, "architecture"), tables);
  // Areas may stand in a file of their own.
  if (arguments.tables.size() > 1) {
    const Architecture other = read_timeloop_architecture(*architecture, load_timeloop(arguments.tables[1]));
    for (std::size_t l = 0; l < other.levels.size(); ++l) {
      if (other.levels[l].area_mm2 > 0) files_read.architecture.levels[l].area_mm2 = other.levels[l].area_mm2;
    }
    if (other.compute.area_mm2 > 0) files_read.architecture.compute.area_mm2 = other.compute.area_mm2;
  }
  files_read.architecture.name = fs::path(architecture->document()).parent_path().filename().string();
  if (files_read.architecture.name.empty()) files_read.architecture.name = fs::path(architecture->document()).stem().string();
  files_read.einsum = read_timeloop_problem(need(problem, "problem"));
  const std::string name = fs::path(problem->document()).stem().string();
  files_read.workloads.name = name;
  files_read.workloads.layers.push_back({name, 1, files_read.einsum});
  if (mapping) {
    files_read.mapping = read_timeloop_mapping(*mapping, files_read.einsum, files_read.architecture);
    files_read.mapping_file = mapping->document();
  }
  const Architecture& a = files_read.architecture;
  if (a.compute.energy_j == 0 && std::all_of(a.levels.begin(), a.levels.end(), [](const StorageLevel& level) {
        return level.energy.read_j == 0 && level.energy.write_j == 0;
      })) {
    fmt::print(stderr, "no table of energies (ERT) was found: all energies are 0\n");
  }
  return files_read;
}

void cost_scalesim(const CostArguments& arguments) {
  if (arguments.files.size() != 2) throw ConfigError("--scalesim takes two files: CONFIG.cfg TOPOLOGY.csv");
  const auto read = [](const std::string& name) {
    std::ifstream stream(name, std::ios::binary);
    if (!stream || fs::is_directory(name)) throw ConfigError(fmt::format("{} cannot be read", name));
    return std::string(std::istreambuf_iterator<char>(stream), {});
  };
  ScaleSimReport report;
  report.config = read_scalesim_config(read(arguments.files[0]), arguments.files[0]);
  report.layers = read_scalesim_topology(read(arguments.files[1]), arguments.files[1]);
  for (const ScaleSimLayer& layer : report.layers) report.costs.push_back(cost(layer, report.config));
  if (arguments.explain) throw ConfigError("--explain needs duet's or Timeloop's files");
  if (arguments.json) {
    print(json(report));
  } else {
    fmt::print("{}", text(report));
  }
}

// --- The commands

void execute_cost(const CostArguments& arguments) {
  if (arguments.timeloop && arguments.scalesim) throw ConfigError("--timeloop and --scalesim exclude each other");
  if (!arguments.tables.empty() && !arguments.timeloop) throw ConfigError("--tables belongs to --timeloop");
  if (arguments.scalesim) return cost_scalesim(arguments);
  CostOptions options = options_of(arguments);
  const MapperRequest request = request_of(arguments.mapper);

  std::optional<LevelsReport> report;
  if (arguments.timeloop) {
    const TimeloopFiles files = load_timeloop_files(arguments);
    if (files.mapping) {
      if (options.as_timeloop && !is_perfect(*files.mapping, files.einsum)) {
        // Timeloop's own counting is only known where factors divide.
        options.as_timeloop = false;
        fmt::print(stderr, "a factor does not divide its dimension: counted as the loop nest does, not as Timeloop\n");
      }
      std::vector<RepeatedEinsum> einsums = files.workloads.einsums();
      report = LevelsReport{files.workloads.name, files.architecture, options, {}, "", std::nullopt, true};
      NetworkMapping mapping;
      mapping.layers.push_back(costed(std::move(einsums.front()), files.architecture, options, *files.mapping,
                                      request.objective, files.mapping_file));
      report->cost = sum(std::move(mapping), {}, files.architecture);
    } else {
      report = mapped_report(files.workloads, files.architecture, options, *chosen_mapper(arguments.mapper), request,
                             arguments.mapper.threads);
    }
  } else {
    if (arguments.files.size() < 2 || arguments.files.size() > 3) {
      throw ConfigError(fmt::format("cost takes ARCHITECTURE WORKLOAD [MAPPING], not {} names", arguments.files.size()));
    }
    const Accelerator accelerator = read_accelerator(Config::load(arguments.files[0]));
    const Workloads workloads = load_workloads(arguments.files[1], arguments.dimensions);
    if (const auto* array = std::get_if<SystolicArray>(&accelerator)) return cost_systolic(arguments, *array, workloads);
    Architecture architecture = std::get<Architecture>(accelerator);
    if (architecture.name.empty()) architecture.name = fs::path(arguments.files[0]).stem().string();
    if (arguments.files.size() == 3) {
      const Config file = Config::load(arguments.files[2]);
      std::vector<RepeatedEinsum> einsums = workloads.einsums();
      report = LevelsReport{workloads.name, architecture, options, {}, "", std::nullopt, is_one_layer(einsums, workloads)};
      NetworkMapping mapping;
      const bool single = einsums.size() == 1;
      for (RepeatedEinsum& workload : einsums) {
        const Config part = mapping_of(file, workload, single);
        const Mapping given = read_mapping(part, workload.einsum, architecture);
        mapping.layers.push_back(
            costed(std::move(workload), architecture, options, given, request.objective, part.position()));
      }
      report->cost = sum(std::move(mapping),
                         workloads.network ? vector_work(*workloads.network, architecture) : std::vector<RepeatedVectorWork>{},
                         architecture);
    } else {
      report = mapped_report(workloads, architecture, options, *chosen_mapper(arguments.mapper), request,
                             arguments.mapper.threads);
    }
  }
  if (arguments.explain) explain(*report, arguments, request);
  print(*report, arguments);
}

/// One layer's mapping as it is, several under `layers`.
std::string mappings_yaml(const LevelsReport& report) {
  const auto& layers = report.cost.mapping.layers;
  if (report.one_layer) {
    return mapping_yaml(*layers.front().result.mapping, layers.front().workload.einsum, report.architecture);
  }
  std::string out = "layers:\n";
  for (const LayerMapping& layer : layers) {
    out += fmt::format("  {}:\n", json_text(layer.workload.names.front()));
    std::string yaml = mapping_yaml(*layer.result.mapping, layer.workload.einsum, report.architecture);
    for (std::size_t at = 0; at < yaml.size();) {
      const std::size_t end = yaml.find('\n', at);
      out += "    " + yaml.substr(at, end - at) + "\n";
      at = end == std::string::npos ? yaml.size() : end + 1;
    }
  }
  return out;
}

void write(const std::string& name, const std::string& text) {
  std::ofstream file(name, std::ios::binary);
  file << text;
  file.flush();
  if (!file) throw ConfigError(fmt::format("{} cannot be written", name));
}

void execute_map(const CostArguments& arguments) {
  const MapperRequest request = request_of(arguments.mapper);
  const std::unique_ptr<Mapper> mapper = chosen_mapper(arguments.mapper);
  const CostOptions options = options_of(arguments);
  Architecture architecture;
  Workloads workloads;
  if (arguments.timeloop) {
    TimeloopFiles files = load_timeloop_files(arguments);
    architecture = std::move(files.architecture);
    workloads = std::move(files.workloads);
  } else {
    if (arguments.files.size() != 2) {
      throw ConfigError(fmt::format("map takes ARCHITECTURE WORKLOAD, not {} names", arguments.files.size()));
    }
    const Accelerator accelerator = read_accelerator(Config::load(arguments.files[0]));
    if (std::holds_alternative<SystolicArray>(accelerator)) {
      throw ConfigError(fmt::format("{}: a systolic array has nothing to map: its dataflow is the schedule; see duet cost",
                                    arguments.files[0]));
    }
    architecture = std::get<Architecture>(accelerator);
    if (architecture.name.empty()) architecture.name = fs::path(arguments.files[0]).stem().string();
    workloads = load_workloads(arguments.files[1], arguments.dimensions);
  }
  LevelsReport report = [&] {
    if (arguments.proof.empty()) {
      return mapped_report(workloads, architecture, options, *mapper, request, arguments.mapper.threads);
    }
    const auto* certified = dynamic_cast<const CertifiedMapper*>(mapper.get());
    if (certified == nullptr) throw ConfigError("--proof: only --mapper certified proves anything");
    const std::vector<RepeatedEinsum> einsums = workloads.einsums();
    if (!is_one_layer(einsums, workloads)) throw ConfigError("--proof takes a workload of one layer");
    const CostModel model(einsums.front().einsum, architecture, options);
    std::ofstream log(arguments.proof, std::ios::binary);
    MapperRequest alone = request;
    alone.threads = arguments.mapper.threads;
    LevelsReport proven{workloads.name, architecture, options, {}, std::string(mapper->name()), std::nullopt, true};
    LayerMapping layer;
    layer.workload = einsums.front();
    layer.result = certified->map(model, alone, &log);
    log.flush();
    if (!log) throw ConfigError(fmt::format("{} cannot be written", arguments.proof));
    NetworkMapping mapping;
    if (layer.result.mapping) {
      layer.cost = model.evaluate(*layer.result.mapping);
    } else {
      mapping.why_none = layer.result.why_none;
    }
    mapping.layers.push_back(std::move(layer));
    refuse_unmapped(mapping);
    proven.cost = sum(std::move(mapping), {}, architecture);
    return proven;
  }();
  if (!arguments.out.empty()) write(arguments.out, mappings_yaml(report));
  if (arguments.explain) explain(report, arguments, request);
  if (arguments.json) {
    print(json(report));
  } else {
    fmt::print("{}{}", text(report), mappings_text(report, request));
  }
}

void add_mapper_options(CLI::App& command, MapperArguments& arguments) {
  std::string names;
  for (const std::string_view name : mapper_names()) names += (names.empty() ? "" : ", ") + std::string(name);
  arguments.mapper = default_mapper();
  command.add_option("--mapper", arguments.mapper, "What finds mappings: " + names)->capture_default_str();
  command.add_option("--objective", arguments.objective,
                     "What it minimises: cycles, energy, energy_delay, cycles_then_energy, energy_then_cycles or "
                     "'{weighted: {per_second: 1, per_joule: 1}}'")
      ->capture_default_str();
  command.add_option("--effort", arguments.effort, "Mappings or states that it tries at most; 0: its own default")
      ->capture_default_str();
  command.add_option("--time-limit", arguments.time_limit,
                     "Ends each layer's search, such as 10s; what is found then depends on the machine");
  command.add_option("--threads", arguments.threads, "Threads; never change the result")->check(AtLeastOne());
  command.add_option("--seed", arguments.seed, "Seed of a mapper that draws random numbers")->capture_default_str();
}

void add_model_options(CLI::App& command, CostArguments& arguments) {
  command.add_option("--tables", arguments.tables, "Files with Accelergy's tables (ERT, ART), with --timeloop")
      ->allow_extra_args(false);
  command.add_option("--footprint", arguments.footprint,
                     "What a tile of a strided tensor occupies: its bounding box (default) or the distinct elements")
      ->check(CLI::IsMember({"box", "distinct"}));
  command.add_option("--counting", arguments.counting,
                     "Count what the loop nest does, or what Timeloop counts (default with --timeloop)")
      ->check(CLI::IsMember({"loop_nest", "timeloop"}));
  command.add_flag("--explain", arguments.explain,
                   "Where cycles and energy go, and which single resource, doubled, would help most");
  command.add_flag("--json", arguments.json, "JSON instead of tables");
  command.add_option("--dim", arguments.dimensions, "Value of a symbolic dimension of an ONNX file: NAME=NUMBER")
      ->allow_extra_args(false);
}

}  // namespace

void add_cost(CLI::App& app, Context& /*context*/) {
  {
    auto arguments = std::make_shared<CostArguments>();
    CLI::App* command = app.add_subcommand(
        "cost", "Cycles, energy and accesses of a workload on an architecture: duet's, Timeloop's or SCALE-Sim's files");
    command->add_option("FILES", arguments->files,
                        "ARCHITECTURE WORKLOAD [MAPPING]; a workload is a file of layers, an ONNX file or the name of a network. With --timeloop "
                        "ARCHITECTURE PROBLEM [MAPPING], with --scalesim CONFIG TOPOLOGY")
        ->required();
    command->add_flag("--timeloop", arguments->timeloop, "The files are Timeloop's, counted as Timeloop does");
    command->add_flag("--scalesim", arguments->scalesim, "The files are SCALE-Sim's");
    add_model_options(*command, *arguments);
    command->add_flag("--loop-nest", arguments->loop_nest, "Also print the mapping as loops");
    add_mapper_options(*command, arguments->mapper);
    command->callback([arguments] { execute_cost(*arguments); });
  }
  {
    auto arguments = std::make_shared<CostArguments>();
    CLI::App* command = app.add_subcommand("map", "Find mappings of a workload onto an architecture");
    command->add_option("FILES", arguments->files,
                        "ARCHITECTURE WORKLOAD; a workload is a file of layers, an ONNX file or the name of a network. With --timeloop "
                        "ARCHITECTURE PROBLEM")
        ->required();
    command->add_flag("--timeloop", arguments->timeloop, "The files are Timeloop's, counted as Timeloop does");
    add_model_options(*command, *arguments);
    add_mapper_options(*command, arguments->mapper);
    command->add_option("-o,--out", arguments->out, "Write the mappings to this YAML file, for duet cost");
    command->add_option("--proof", arguments->proof, "Write the proof of --mapper certified to this file");
    command->callback([arguments] { execute_map(*arguments); });
  }
}

}  // namespace duet::cli
