// prepare FOLDER NAME…: writes networks of the zoo as NAME.onnx, and inputs with the outputs that duet computes for them
// as NAME.json. Those that end in ":small" are the small instances of their definitions, those in ":deformed" have deformable
// convolutions of every kind, and images of 64×64 pixels. A NAME that is an ONNX file in FOLDER is written anew, from what
// duet reads of it, but for the weights. Followed by a comma, or by values of its symbolic dimensions
// (FILE.onnx,batch=1,height=64), it is taken as it is, with its own weights.

#include <exception>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

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

/// Numbers in [-1, 1), or entries of a table where the node is looked up in one. Trained networks find nothing in noise:
/// their pictures are of squares of 8 × 8.
FloatTensor input_of(const Network& network, NodeId id, bool trained, bool& integral) {
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
  if (trained && tensor.shape.size() == 4) {
    const auto height = static_cast<std::size_t>(tensor.shape[2]), width = static_cast<std::size_t>(tensor.shape[3]);
    for (std::size_t i = 0; i < tensor.values.size(); ++i) {
      const std::size_t row = i / width % height, column = i % width;
      tensor.values[i] = tensor.values[i - row % 8 * width - column % 8];
    }
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

/// The file and its values.
std::pair<std::filesystem::path, OnnxDimensions> parts_of(const std::string& text) {
  std::istringstream words(text);
  std::string file, word;
  std::getline(words, file, ',');
  OnnxDimensions dimensions;
  while (std::getline(words, word, ',')) {
    dimensions[word.substr(0, word.find('='))] = std::stoll(word.substr(word.find('=') + 1));
  }
  return {file, dimensions};
}

void prepare(const std::filesystem::path& folder, const std::string& name) {
  const std::size_t colon = name.find(':'), comma = name.find(".onnx,");
  const bool as_it_is = comma != std::string::npos;
  const bool file = name.ends_with(".onnx") || as_it_is;
  const auto known = [&] {
    const ZooNetwork& zoo = zoo_network(name.substr(0, colon));
    if (colon == std::string::npos) return zoo.build();
    return name.substr(colon) == ":deformed" ? deformed(resized(zoo.build(), 64, 64)) : zoo.build_small();
  };
  const auto [path, dimensions] = parts_of(name);
  OnnxImport imported;
  if (file) {
    imported = import_onnx(path, dimensions, as_it_is ? OnnxWeights::read : OnnxWeights::leave);
  } else {
    imported.network = known();
  }
  const Network& network = imported.network;
  for (const OnnxNode& node : imported.nodes) {
    if (as_it_is && node.fidelity == OnnxFidelity::approximated) {
      fmt::print(stderr, "{}: {} ({}): {}\n", name, node.name, node.type, node.note);
    }
  }
  const NetworkWeights weights = as_it_is ? imported.weights : weights_of(network);
  const std::string base = (folder / (file ? path.stem().string() : name.substr(0, colon))).string();
  if (as_it_is) {
    std::filesystem::copy_file(path, base + ".onnx");
  } else {
    export_onnx(network, base + ".onnx", {.weights = &weights});
  }

  nlohmann::json json{{"name", path.filename().string()}, {"inputs", nlohmann::json::array()}, {"bound", dimensions}};
  std::vector<FloatTensor> inputs;
  for (NodeId id = 0; id < network.nodes().size(); ++id) {
    const Node& node = network.node(id);
    if (!std::holds_alternative<Input>(node.op)) continue;
    bool integral = false;
    inputs.push_back(input_of(network, id, as_it_is, integral));
    json["inputs"].push_back({{"name", node.name},
                              {"type", integral ? "int64" : "float32"},
                              {"shape", node.shape},
                              {"values", inputs.back().values}});
  }
  const FloatTensor output = execute(network, weights, inputs).at(0);
  // A file calls its output as it likes, duet after what computes it.
  json["output"] = {{"name", as_it_is ? std::string() : network.node(network.output()).name}, {"shape", output.shape}, {"values", output.values}};
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
