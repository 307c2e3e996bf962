// prepare FOLDER NAME…: writes networks of the zoo as NAME.onnx, and inputs with the outputs that duet computes for them
// as NAME.json. Those that end in ":small" are the small instances of their definitions, those in ":deformed" have deformable
// convolutions of every kind, and images of 64×64 pixels. A NAME that is an ONNX file in
// FOLDER is written anew, from what duet reads of it, but for the weights.

#include <exception>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/random.hpp"
#include "spaces/execution.hpp"
#include "spaces/onnx.hpp"
#include "spaces/variants.hpp"
#include "spaces/zoo.hpp"

namespace duet {
namespace {

/// Initial weights; statistics, scales, shifts and fixed numbers around 1 instead of 0 and 1, so that each of them counts.
/// Fixed factors are those of attention, and small: otherwise dozens of layers blow rounding up.
NetworkWeights weights_of(const Network& network) {
  NetworkWeights weights = initial_weights(network, 1);
  Random random(1, "onnxruntime");
  for (NodeId id = 0; id < weights.size(); ++id) {
    for (FloatTensor& tensor : weights[id]) {
      const auto* constant = std::get_if<Constant>(&network.node(id).op);
      if (constant != nullptr && !constant->learned && tensor.values.size() == 1) {
        tensor.values.front() = 0.1F;
        continue;
      }
      const bool drawn = tensor.values.front() != tensor.values.back();
      if (drawn) continue;
      for (float& value : tensor.values) value += static_cast<float>(random.uniform(-0.3, 0.3));
    }
  }
  // Offsets of about a pixel, as learned ones are: where windows leap across the image, so does rounding.
  for (const Node& node : network.nodes()) {
    if (!std::holds_alternative<DeformableSampling>(node.op)) continue;
    for (FloatTensor& tensor : weights[node.inputs[1]]) {
      for (float& value : tensor.values) value *= 0.1F;
    }
  }
  return weights;
}

/// Numbers in [-1, 1), or entries of a table where the node is looked up in one.
FloatTensor input_of(const Network& network, NodeId id, bool& integral) {
  FloatTensor tensor{network.node(id).shape, {}};
  std::int64_t entries = 0;
  for (const Node& user : network.nodes()) {
    const auto* table = std::get_if<Embedding>(&user.op);
    if (table != nullptr && user.inputs[0] == id) entries = table->entries;
  }
  integral = entries > 0;
  Random random(2, "onnxruntime", id);
  for (std::int64_t i = 0; i < elements(tensor.shape); ++i) {
    tensor.values.push_back(integral ? static_cast<float>(random.below(static_cast<std::uint64_t>(entries)))
                                     : static_cast<float>(random.uniform(-1, 1)));
  }
  return tensor;
}

/// Full and depthwise, free and square, of any and of limited range, one after the other.
Network deformed(const Network& network) {
  std::vector<NodeReplacement> how(network.nodes().size());
  std::size_t kind = 0;
  for (NodeId id = 0; id < how.size(); ++id) {
    if (!std::holds_alternative<Convolution>(network.node(id).op)) continue;
    how[id] = {kind % 2 == 0 ? Replacement::deformable : Replacement::deformable_depthwise, kind / 2 % 2 == 0 ? 0 : 2,
               kind / 4 % 2 == 0};
    ++kind;
  }
  return replaced(network, how);
}

void prepare(const std::filesystem::path& folder, const std::string& name) {
  const std::size_t colon = name.find(':');
  const bool file = name.ends_with(".onnx");
  const auto known = [&] {
    const ZooNetwork& zoo = zoo_network(name.substr(0, colon));
    if (colon == std::string::npos) return zoo.build();
    return name.substr(colon) == ":deformed" ? deformed(resized(zoo.build(), 64, 64)) : zoo.build_small();
  };
  const Network network = file ? import_onnx(std::filesystem::path(name)).network : known();
  const NetworkWeights weights = weights_of(network);
  const std::string base = (folder / (file ? std::filesystem::path(name).stem().string() : name.substr(0, colon))).string();
  export_onnx(network, base + ".onnx", {.weights = &weights});

  nlohmann::json json{{"name", name}, {"inputs", nlohmann::json::array()}};
  std::vector<FloatTensor> inputs;
  for (NodeId id = 0; id < network.nodes().size(); ++id) {
    const Node& node = network.node(id);
    if (!std::holds_alternative<Input>(node.op)) continue;
    bool integral = false;
    inputs.push_back(input_of(network, id, integral));
    json["inputs"].push_back({{"name", node.name},
                              {"type", integral ? "int64" : "float32"},
                              {"shape", node.shape},
                              {"values", inputs.back().values}});
  }
  const FloatTensor output = execute(network, weights, inputs).at(0);
  json["output"] = {{"name", network.node(network.output()).name}, {"shape", output.shape}, {"values", output.values}};
  std::ofstream(base + ".json") << json;
}

}  // namespace
}  // namespace duet

int main(int count, char** words) {
  try {
    for (int i = 2; i < count; ++i) duet::prepare(words[1], words[i]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
