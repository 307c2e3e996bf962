#include "estimators/trainer.hpp"

#include <cstdlib>
#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <string_view>

#include "core/errors.hpp"

namespace duet {
namespace {

constexpr std::string_view module_file = "libduet_torch.so";

std::vector<std::filesystem::path> module_directories() {
  std::vector<std::filesystem::path> directories;
  if (const char* given = std::getenv("DUET_MODULE_PATH")) {
    std::string_view rest = given;
    while (!rest.empty()) {
      const std::string_view directory = rest.substr(0, rest.find(':'));
      if (!directory.empty()) directories.emplace_back(directory);
      rest.remove_prefix(std::min(rest.size(), directory.size() + 1));
    }
  }
  std::error_code ignored;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  if (!ignored) {
    directories.push_back(program.parent_path());
    directories.push_back(program.parent_path().parent_path() / "lib" / "duet");
  }
  directories.emplace_back(DUET_MODULE_BUILD_DIRECTORY);
  directories.emplace_back(DUET_MODULE_INSTALL_DIRECTORY);
  return directories;
}

const Trainer& open_module(const std::filesystem::path& file) {
  // Local: none of libtorch's many symbols may stand in for duet's own. Never closed: libtorch does not
  // unload.
  void* module = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) throw ConfigError(fmt::format("cannot open {}: {}", file.string(), dlerror()));
  void* symbol = dlsym(module, "duet_torch_trainer");
  if (symbol == nullptr)
    throw ConfigError(fmt::format("{} is not a duet module: {}", file.string(), dlerror()));
  const Trainer* trainer = reinterpret_cast<DuetTorchTrainer*>(symbol)(trainer_interface);
  if (trainer == nullptr) {
    throw ConfigError(
        fmt::format("{} belongs to another version of duet; build both together", file.string()));
  }
  return *trainer;
}

}  // namespace

std::filesystem::path find_trainer_module() {
  std::vector<std::string> searched;
  for (const std::filesystem::path& directory : module_directories()) {
    std::error_code ignored;
    if (std::filesystem::exists(directory / module_file, ignored)) return directory / module_file;
    searched.push_back(directory.string());
  }
  throw ConfigError(fmt::format(
      "this duet was built without libtorch, so it cannot train networks: there is no {} in {}; install "
      "libtorch-dev (apt-get install libtorch-dev), configure with -DDUET_TORCH=ON and build again",
      module_file, fmt::join(searched, ", ")));
}

const Trainer& load_trainer() {
  static const Trainer& trainer = open_module(find_trainer_module());
  return trainer;
}

namespace {

template <class T, class... Others>
constexpr bool is_one_of = (std::is_same_v<T, Others> || ...);

}  // namespace

std::optional<std::string> why_untrainable(const Network& network, std::int64_t height, std::int64_t width,
                                           std::int64_t classes) {
  if (network.nodes().empty()) return "the network is empty";

  const Node* input = nullptr;
  for (const Node& node : network.nodes()) {
    if (!std::holds_alternative<Input>(node.op)) continue;
    if (input != nullptr) {
      return fmt::format("the network has the inputs '{}' and '{}', but images are a single one", input->name,
                         node.name);
    }
    input = &node;
  }
  if (input == nullptr) return "the network has no input";
  const std::int64_t batch = input->shape.front();
  if (const Shape images{batch, 1, height, width}; input->shape != images) {
    return fmt::format("input '{}' has shape {}, but the images need {}", input->name,
                       to_string(input->shape), to_string(images));
  }

  for (const Node& node : network.nodes()) {
    const bool known = std::visit(
        [](const auto& op) {
          using Op = std::decay_t<decltype(op)>;
          return !is_one_of<Op, Constant, Embedding, TransposedConvolution, WindowPool, Elementwise, Reduce,
                            RmsNormalization, Reshape, Transpose, Slice, Pad, Resize, Expand, TopK, Other, Outputs>;
        },
        node.op);
    if (!known) {
      return fmt::format("node '{}' is a {}, which cannot be trained yet", node.name, name_of(node.op));
    }
    // Whatever mixes the rows of a batch would make an image's class depend on its neighbours.
    const auto rank = static_cast<std::int64_t>(node.shape.size());
    const auto first_axis = [rank](std::int64_t axis) { return axis == 0 || axis == -rank; };
    bool mixes = node.shape.front() != batch;
    if (const auto* concat = std::get_if<Concat>(&node.op)) mixes |= first_axis(concat->axis);
    if (const auto* softmax = std::get_if<Softmax>(&node.op)) mixes |= first_axis(softmax->axis);
    if (std::holds_alternative<MatMul>(node.op)) mixes |= rank == 2;
    for (const NodeId source : node.inputs) {
      // Broadcasting aligns the last dimensions: the batch would meet another dimension.
      mixes |= node.inputs.size() > 1 && network.node(source).shape.size() != node.shape.size();
    }
    if (mixes) {
      return fmt::format("node '{}' ({}) with output {} does not keep the images of a batch apart", node.name,
                         name_of(node.op), to_string(node.shape));
    }
  }

  const Node& output = network.node(network.output());
  std::int64_t values = 1;
  for (std::size_t i = 1; i < output.shape.size(); ++i) values *= output.shape[i];
  if (values != classes || output.shape.size() < 2) {
    return fmt::format("output '{}' has shape {}, but the data set has {} classes, which need {}",
                       output.name, to_string(output.shape), classes, to_string(Shape{batch, classes}));
  }
  if (network.parameters() == 0) return "the network has no parameters to train";
  return std::nullopt;
}

}  // namespace duet
