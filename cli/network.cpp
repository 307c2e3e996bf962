#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "core/config.hpp"
#include "core/errors.hpp"
#include "core/units.hpp"
#include "estimators/design_json.hpp"
#include "spaces/edit_distance.hpp"
#include "spaces/function_hash.hpp"
#include "spaces/graph_kernel.hpp"
#include "spaces/onnx.hpp"
#include "spaces/zoo.hpp"

namespace duet::cli {
OnnxDimensions dimensions_of(const std::vector<std::string>& texts) {
  OnnxDimensions dimensions;
  for (const std::string& text : texts) {
    const std::size_t equals = text.rfind('=');
    std::int64_t value = 0;
    const char* end = text.data() + text.size();
    const bool number = equals != std::string::npos && equals > 0 &&
                        std::from_chars(text.data() + equals + 1, end, value).ptr == end && equals + 1 < text.size();
    if (!number) throw ConfigError(fmt::format("--dim '{}': expected NAME=NUMBER, such as batch=1", text));
    dimensions[text.substr(0, equals)] = value;
  }
  return dimensions;
}

namespace {

struct NetworkCommand {
  std::string network, other, experiment, part, onnx_file, external_data, weights = "random", svg_file;
  std::vector<std::string> dimensions;
  std::uint64_t trial = 0, seed = 0;
  bool as_json = false;
};

/// What the operator is within its kind: "relu" of an activation.
std::string operator_text(const Operator& op) {
  if (const auto* activation = std::get_if<Activation>(&op)) return std::string(name_of(activation->kind));
  if (const auto* function = std::get_if<Elementwise>(&op)) return function->function;
  if (const auto* reduce = std::get_if<Reduce>(&op)) return "reduce_" + reduce->function;
  if (const auto* other = std::get_if<Other>(&op)) return "other: " + other->type;
  return std::string(name_of(op));
}

/// Words that a node reads and writes if every tensor moves once.
double words(const Network& network, NodeId id) {
  double sum = static_cast<double>(elements(network.node(id).shape)) + static_cast<double>(network.parameters(id));
  for (const NodeId input : network.node(id).inputs) sum += static_cast<double>(elements(network.node(input).shape));
  return sum;
}

/// MACs per word, over all nodes that have MACs.
double intensity(const Network& network) {
  double moved = 0;
  for (NodeId id = 0; id < network.nodes().size(); ++id) {
    if (network.macs(id) > 0) moved += words(network, id);
  }
  return moved > 0 ? static_cast<double>(network.macs()) / moved : 0;
}

nlohmann::json network_json(const std::string& name, const Network& network, const OnnxImport* file) {
  nlohmann::json json = to_json(network);
  json["name"] = name;
  json["peak_activations"] = network.peak_activations();
  json["macs_per_word"] = intensity(network);
  for (NodeId id = 0; id < network.nodes().size(); ++id) {
    json["nodes"][id]["macs_per_word"] = static_cast<double>(network.macs(id)) / words(network, id);
  }
  if (file == nullptr) return json;
  nlohmann::json nodes = nlohmann::json::array();
  for (const OnnxNode& node : file->nodes) {
    nodes.push_back(
        {{"name", node.name}, {"type", node.type}, {"fidelity", to_string(node.fidelity)}, {"note", node.note}});
  }
  json["onnx"] = {{"opset", file->opset},
                  {"producer", file->producer},
                  {"modelled", file->count(OnnxFidelity::modelled)},
                  {"approximated", file->count(OnnxFidelity::approximated)},
                  {"ignored", file->count(OnnxFidelity::ignored)},
                  {"counted_again", file->counted_again},
                  {"nodes", nodes}};
  return json;
}

std::string network_text(const Network& network, const OnnxImport* file) {
  TextTable table({"layer", "operator", "output", "MACs", "parameters", "MACs/word"});
  for (NodeId id = 0; id < network.nodes().size(); ++id) {
    const Node& node = network.node(id);
    const std::int64_t macs = network.macs(id), parameters = network.parameters(id);
    table.add({node.name, operator_text(node.op), to_string(node.shape), macs > 0 ? std::to_string(macs) : "",
               parameters > 0 ? std::to_string(parameters) : "",
               macs > 0 ? fmt::format("{:.1f}", static_cast<double>(macs) / words(network, id)) : ""});
  }
  std::string text = table.text();
  text += fmt::format("\n{} nodes\nMACs              {}\nparameters        {}\npeak activations  {} words\nMACs per word     {:.1f}\n",
                      network.nodes().size(), network.macs(), network.parameters(), network.peak_activations(),
                      intensity(network));
  if (file == nullptr) return text;
  if (file->counted_again > 0) text += fmt::format("counted again     {} parameters that convolutions share\n", file->counted_again);
  text += fmt::format("nodes of the file {}: {} modelled, {} approximated, {} ignored (opset {}{})\n", file->nodes.size(),
                      file->count(OnnxFidelity::modelled), file->count(OnnxFidelity::approximated),
                      file->count(OnnxFidelity::ignored), file->opset,
                      file->producer.empty() ? "" : ", by " + file->producer);
  TextTable rest({"  node", "operator", "is", "because"});
  bool any = false;
  for (const OnnxNode& node : file->nodes) {
    if (node.fidelity == OnnxFidelity::modelled) continue;
    rest.add({"  " + node.name, node.type, std::string(to_string(node.fidelity)), node.note});
    any = true;
  }
  return any ? text + rest.text() : text;
}

// --- Drawing ---

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return result;
}

/// From top to bottom: a node stands below all its inputs.
std::string drawing(const Network& network) {
  constexpr int width = 250, height = 34, gap_x = 20, gap_y = 26;
  const auto nodes = network.nodes();
  std::vector<std::size_t> level(nodes.size(), 0), column(nodes.size(), 0), filled;
  for (NodeId id = 0; id < nodes.size(); ++id) {
    for (const NodeId input : nodes[id].inputs) level[id] = std::max(level[id], level[input] + 1);
    if (filled.size() <= level[id]) filled.resize(level[id] + 1, 0);
    column[id] = filled[level[id]]++;
  }
  const std::size_t widest = filled.empty() ? 1 : *std::max_element(filled.begin(), filled.end());
  const auto x_of = [&](NodeId id) { return gap_x + static_cast<int>(column[id]) * (width + gap_x); };
  const auto y_of = [&](NodeId id) { return gap_y + static_cast<int>(level[id]) * (height + gap_y); };
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"11\">\n"
      "<style>rect {{fill: #f4f4f4; stroke: #888}} .macs {{fill: #dbe9f6}} path {{fill: none; stroke: #888}}</style>\n",
      static_cast<int>(widest) * (width + gap_x) + gap_x, static_cast<int>(filled.size()) * (height + gap_y) + gap_y);
  for (NodeId id = 0; id < nodes.size(); ++id) {
    for (const NodeId input : nodes[id].inputs) {
      const int x1 = x_of(input) + width / 2, y1 = y_of(input) + height, x2 = x_of(id) + width / 2, y2 = y_of(id);
      svg += fmt::format("<path d=\"M{} {}C{} {} {} {} {} {}\"/>\n", x1, y1, x1, y1 + gap_y / 2, x2, y2 - gap_y / 2, x2, y2);
    }
  }
  for (NodeId id = 0; id < nodes.size(); ++id) {
    const int x = x_of(id), y = y_of(id);
    svg += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"4\"{}/>"
                       "<text x=\"{}\" y=\"{}\">{}</text><text x=\"{}\" y=\"{}\">{} {}</text>\n",
                       x, y, width, height, network.macs(id) > 0 ? " class=\"macs\"" : "", x + 6, y + 14,
                       escaped(nodes[id].name), x + 6, y + 28, escaped(operator_text(nodes[id].op)),
                       to_string(nodes[id].shape));
  }
  return svg + "</svg>\n";
}

void write_file(const std::string& file, const std::string& text) {
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  if (!(stream << text) || !stream.flush()) throw ConfigError(fmt::format("{}: cannot be written", file));
}

bool is_onnx_file(const std::string& name) { return name.ends_with(".onnx") || std::filesystem::exists(name); }

/// How alike two networks are, as graphs and as functions.
void compare(const NetworkCommand& command, const Network& network, const OnnxDimensions& dimensions) {
  const Network other =
      is_onnx_file(command.other) ? import_onnx(command.other, dimensions).network : zoo_network(command.other).build();
  const Fingerprint first = function_hash(network), second = function_hash(other);
  const EditDistance distance = edit_distance(network, other);
  const double similarity = weisfeiler_lehman_similarity(network, other);
  const double operators = weisfeiler_lehman_similarity(network, other, {.attributes = false});
  if (command.as_json) {
    const nlohmann::json json{{"networks", {command.network, command.other}},
                              {"function_hashes", {first.hex(), second.hex()}},
                              {"same_function", first == second},
                              {"edit_distance", {{"lower", distance.lower}, {"upper", distance.upper}, {"exact", distance.exact()}}},
                              {"weisfeiler_lehman", {{"similarity", similarity}, {"of_operators_alone", operators}}}};
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  TextTable table({"", "nodes", "MACs", "parameters", "function hash"});
  table.add({command.network, std::to_string(network.nodes().size()), std::to_string(network.macs()),
             std::to_string(network.parameters()), first.hex()});
  table.add({command.other, std::to_string(other.nodes().size()), std::to_string(other.macs()),
             std::to_string(other.parameters()), second.hex()});
  fmt::print("{}\nsame function                {}\n", table.text(), first == second ? "yes" : "no");
  fmt::print("edit distance                {}\n",
             distance.exact() ? fmt::format("{:g}", distance.upper)
                              : fmt::format("between {:g} and {:g}", distance.lower, distance.upper));
  fmt::print("Weisfeiler-Lehman similarity {:.4f} ({:.4f} without attributes)\n", similarity, operators);
}

/// The network of a trial of an experiment.
Network searched_network(const NetworkCommand& command, const Registry& registry) {
  const Selection selection{command.network, command.experiment};
  const OpenExperiment open = open_experiment(selection);
  const TrialRecord trial = trial_of(open, command.trial);
  const Specification specification = specification_of(selection, open, registry);
  if (specification.identity != open.record.identity) {
    throw ConfigError(fmt::format("{}: trial {} was scored with another network than this would be now", command.network,
                                  command.trial));
  }
  const Design design = specification.space->design(trial.candidate);
  std::vector<std::string> parts;
  try {
    parts = design.network_parts();
  } catch (const NetworkError& error) {
    throw ConfigError(fmt::format("trial {} has no network that makes sense: {}", command.trial, error.what()));
  }
  if (parts.empty()) throw ConfigError(fmt::format("the space of experiment '{}' has no networks", open.record.name));
  if (command.part.empty() && parts.size() > 1) {
    throw ConfigError(fmt::format("a design of experiment '{}' has {} networks; choose one with --part: {}",
                                  open.record.name, parts.size(), fmt::join(parts, ", ")));
  }
  const auto found = command.part.empty() ? parts.begin() : std::find(parts.begin(), parts.end(), command.part);
  if (found == parts.end()) {
    throw ConfigError(fmt::format("--part '{}': there is no such network in experiment '{}'{}", command.part,
                                  open.record.name, hint(command.part, parts)));
  }
  return design.networks()[static_cast<std::size_t>(found - parts.begin())];
}

/// What is written is neither what is read nor written twice. \throws ConfigError
void check_outputs(const NetworkCommand& command) {
  const auto same = [](const std::string& a, const std::string& b) {
    std::error_code ignored;
    return !a.empty() && !b.empty() &&
           (std::filesystem::weakly_canonical(a, ignored) == std::filesystem::weakly_canonical(b, ignored));
  };
  const std::string beside =
      command.external_data.empty()
          ? ""
          : (std::filesystem::path(command.onnx_file).parent_path() / command.external_data).string();
  for (const auto& [option, output] : {std::pair{"--export", command.onnx_file}, {"--draw", command.svg_file}, {"--external-data", beside}}) {
    for (const std::string& input : {command.network, command.other}) {
      if (same(output, input)) throw ConfigError(fmt::format("{} {}: that is the file that is read; choose another", option, output));
    }
    if (std::filesystem::path(output).extension() == ".db" || std::filesystem::path(output).extension() == ".yaml") {
      throw ConfigError(fmt::format("{} {}: that is the name of a database or an experiment; choose another", option, output));
    }
  }
  if (same(command.onnx_file, command.svg_file) || same(command.onnx_file, beside) || same(command.svg_file, beside)) {
    throw ConfigError("--export, --external-data and --draw name the same file");
  }
  if (!command.external_data.empty() && std::filesystem::path(command.external_data).has_parent_path()) {
    throw ConfigError(fmt::format("--external-data {}: the file lies beside the model: a name without a folder", command.external_data));
  }
}

void show(const NetworkCommand& command, const Registry& registry) {
  check_outputs(command);
  const OnnxDimensions dimensions = dimensions_of(command.dimensions);
  const std::filesystem::path extension = std::filesystem::path(command.network).extension();
  const bool searched = command.trial > 0;
  if (!searched && (extension == ".db" || extension == ".yaml" || extension == ".yml")) {
    throw ConfigError(fmt::format("{}: which network of the experiment? Give --trial and its number", command.network));
  }
  if (!searched && (!command.part.empty() || !command.experiment.empty())) {
    throw ConfigError("--part and --experiment go with --trial");
  }
  const bool is_file = !searched && is_onnx_file(command.network);
  const bool own_weights = command.weights == "file";
  if (own_weights && (!is_file || command.onnx_file.empty())) {
    throw ConfigError("--weights file: goes with --export of an ONNX file, whose weights they are");
  }
  std::optional<OnnxImport> file;
  Network network;
  if (is_file) {
    file = import_onnx(command.network, dimensions, own_weights ? OnnxWeights::read : OnnxWeights::leave);
    network = file->network;
  } else {
    if (!dimensions.empty() && (command.other.empty() || !is_onnx_file(command.other))) {
      throw ConfigError("--dim is for ONNX files: the shapes of duet's own networks are given");
    }
    network = searched ? searched_network(command, registry) : zoo_network(command.network).build();
  }
  const OnnxImport* imported = file ? &*file : nullptr;
  if (!command.onnx_file.empty()) {
    OnnxExportOptions options{command.seed, command.external_data, command.weights == "zeros",
                              own_weights ? &file->weights : nullptr};
    export_onnx(network, command.onnx_file, options);
  }
  if (!command.svg_file.empty()) write_file(command.svg_file, drawing(network));
  if (!command.other.empty()) {
    compare(command, network, dimensions);
  } else if (command.as_json) {
    const std::string name = searched ? fmt::format("{} trial {}", command.network, command.trial) : command.network;
    fmt::print("{}\n", network_json(name, network, imported)
                           .dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print("{}", network_text(network, imported));
  }
}

}  // namespace

void add_network(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("network", "Count the layers of a network, and write it as ONNX or as a drawing");
  auto options = std::make_shared<NetworkCommand>();
  command
      ->add_option("NETWORK", options->network,
                   "ONNX file, one of duet's networks (duet list networks), or with --trial a database or experiment file")
      ->required();
  command->add_option("--trial", options->trial, "Number of a trial: its network")->check(AtLeastOne());
  command->add_option("--part", options->part, "With --trial: which network, where designs have several");
  command->add_option("-e,--experiment", options->experiment,
                      "With --trial: experiment in the database (default: the file's, or the one begun last)");
  command->add_option("--dim", options->dimensions, "Value of a symbolic dimension, such as batch=1; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--export", options->onnx_file, "Write it as an ONNX file, with initial weights unless --weights says otherwise");
  command->add_option("--external-data", options->external_data,
                      "With --export: file beside it that takes the weights (needed above 2 GB)");
  command->add_option("--weights", options->weights, "With --export: random, zeros, or file: those of the ONNX file (default random)")
      ->check(CLI::IsMember({"random", "zeros", "file"}));
  command->add_option("--seed", options->seed, "With --export: of the random weights (default 0)");
  command->add_option("--compare", options->other,
                      "Say how alike it and this network (ONNX file or duet's) are: function, edit distance, graph kernel");
  command->add_option("--draw", options->svg_file, "Write a drawing (SVG)");
  command->add_flag("--json", options->as_json, "As JSON");
  command->callback([options, &context] { show(*options, context.registry); });
}

}  // namespace duet::cli
