#include "core/errors.hpp"
#include "spaces/onnx.hpp"
#include "tests/fuzz/targets.hpp"

namespace duet::fuzz {

void fuzz_onnx(std::string_view input) {
  constexpr const char* name = "model.onnx";
  OnnxImport imported;
  try {
    const bool symbolic = input.find("batch") != std::string_view::npos;
    imported = import_onnx(input, name, symbolic ? OnnxDimensions{{"batch", 2}} : OnnxDimensions{});
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
