#include "core/errors.hpp"
#include "spaces/execution.hpp"
#include "spaces/onnx.hpp"
#include "tests/fuzz/targets.hpp"

namespace duet::fuzz {

namespace {

constexpr const char* name = "model.onnx";

OnnxDimensions dimensions_for(std::string_view input) {
  const bool symbolic = input.find("batch") != std::string_view::npos;
  return symbolic ? OnnxDimensions{{"batch", 2}} : OnnxDimensions{};
}

/// Weights change nothing about the network, and what is small can be run or says why not.
void read_weights(std::string_view input, const Network& network) {
  OnnxImport imported;
  try {
    imported = import_onnx(input, name, dimensions_for(input), OnnxWeights::read);
  } catch (const ConfigError& error) {
    require_sentence(error.what());
    return;
  }
  require(imported.network == network, "weights change nothing about the network");
  std::vector<FloatTensor> inputs;
  std::int64_t work = network.macs();
  for (const Node& node : network.nodes()) {
    work += elements(node.shape);
    if (work > 1'000'000) return;
    if (!std::holds_alternative<Input>(node.op)) continue;
    inputs.push_back({node.shape, std::vector<float>(static_cast<std::size_t>(elements(node.shape)), 1)});
  }
  try {
    execute(network, imported.weights, inputs);
  } catch (const NetworkError& error) {
    require_sentence(error.what());
  }
}

}  // namespace

void fuzz_onnx(std::string_view input) {
  OnnxImport imported;
  try {
    imported = import_onnx(input, name, dimensions_for(input));
  } catch (const ConfigError& error) {
    require(std::string_view(error.what()).starts_with("model.onnx: "), "errors name the file", error.what());
    require_sentence(error.what());
    return;
  }
  const Network& network = imported.network;
  std::int64_t macs = 0, parameters = 0;
  for (NodeId id = 0; id < network.nodes().size(); ++id) {
    require(network.macs(id) >= 0 && network.parameters(id) >= 0, "counts are not negative", network.node(id).name);
    macs += network.macs(id);
    parameters += network.parameters(id);
  }
  require(macs == network.macs() && parameters == network.parameters(), "a network is the sum of its nodes");
  for (const OnnxNode& node : imported.nodes) {
    require(node.fidelity == OnnxFidelity::modelled || !node.note.empty(), "what is not modelled has a reason", node.type);
  }
  read_weights(input, network);
  // What duet can write it can read, and nothing is lost on the way.
  if (parameters > 10'000 || network.nodes().size() > 200) return;
  const std::filesystem::path file = scratch_folder() / name;
  try {
    export_onnx(network, file, {.zeros = true});
  } catch (const ConfigError& error) {
    require_sentence(error.what());  // operators that duet only counts
    return;
  }
  const Network back = import_onnx(file).network;
  require(back.macs() == macs && back.parameters() == parameters, "MACs and parameters are conserved",
          std::to_string(macs) + " " + std::to_string(back.macs()) + ", " + std::to_string(parameters) + " " +
              std::to_string(back.parameters()));
}

}  // namespace duet::fuzz
