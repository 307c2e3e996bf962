#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "spaces/blocks.hpp"
#include "spaces/builtin.hpp"

namespace duet {
namespace {

/// In the order of the digits 0, 1, 2.
const std::vector<std::string> layer_operators{"identity", "mb3_k3", "mb6_k5"};

/// Layers of the three stages. The first layer of each halves the size and doubles the channels.
constexpr std::array<int, 3> stage_layers{2, 3, 3};
constexpr std::size_t layers = 8;
constexpr std::int64_t stem_channels = 32;
constexpr std::int64_t head_channels = 1280;

std::string layer_name(std::size_t layer) {
  return fmt::format("layer{}", layer + 1);
}

class NasBenchMacro final : public DesignPart {
 public:
  explicit NasBenchMacro(const Options& options)
      : input_(image_shape(options, "input")), classes_(options.integer("classes")) {
    choices_.fill(layer_operators);
    const std::string& text = options.text("architecture");
    if (text.empty()) return;
    if (text.size() != layers || text.find_first_not_of("012") != std::string::npos) {
      options.fail(
          "architecture",
          fmt::format("'{}' is no architecture string: expected {} digits, each 0, 1 or 2", text, layers));
    }
    for (std::size_t i = 0; i < layers; ++i)
      choices_[i] = {layer_operators[static_cast<std::size_t>(text[i] - '0')]};
  }

  std::vector<SpaceNode> nodes() const override {
    std::vector<SpaceNode> nodes;
    for (std::size_t i = 0; i < layers; ++i) {
      nodes.push_back(choice(layer_name(i), choices_[i], fmt::format("Block of layer {}.", i + 1)));
    }
    return nodes;
  }

  std::vector<PartQuantity> quantities() const override {
    return network_quantities([this](const Assignment& a) { return build(a); });
  }

  std::vector<PartLabel> labels() const override {
    return {
        {"architecture", "The benchmark's architecture string: a digit per layer.", [](const Assignment& a) {
           std::string text;
           for (std::size_t i = 0; i < layers; ++i) {
             const auto found = std::find(layer_operators.begin(), layer_operators.end(), a.option(layer_name(i)));
             text += static_cast<char>('0' + (found - layer_operators.begin()));
           }
           return text;
         }}};
  }

  std::optional<Network> network(const Assignment& assignment) const override { return build(assignment); }

 private:
  Network build(const Assignment& assignment) const {
    constexpr Activation::Kind relu = Activation::Kind::relu;
    Network network;
    NodeId x = network.add("input", Input{input_});
    x = add_convolution_bn_act(network, "stem", x, stem_channels, {3, 1}, relu);
    std::int64_t channels = stem_channels;
    std::size_t layer = 0;
    for (const int count : stage_layers) {
      channels *= 2;
      for (int i = 0; i < count; ++i, ++layer) {
        const std::string name = layer_name(layer);
        const std::string& operation = assignment.option(name);
        const std::int64_t stride = i == 0 ? 2 : 1;
        if (operation == "identity") {
          x = add_skip(network, name, x, channels, stride);
        } else if (operation == "mb3_k3") {
          x = add_inverted_residual(network, name, x, channels, {3, stride}, 3, relu);
        } else {
          x = add_inverted_residual(network, name, x, channels, {5, stride}, 6, relu);
        }
      }
    }
    x = add_convolution_bn_act(network, "head", x, head_channels, {1, 1}, relu);
    add_classifier(network, x, classes_);
    return network;
  }

  Shape input_;
  std::int64_t classes_;
  std::array<std::vector<std::string>, layers> choices_;
};

}  // namespace

SpacePlugin nas_bench_macro_space() {
  return {
      .name = "nas_bench_macro",
      .summary = "NAS-Bench-Macro: eight layers, each an identity or one of two inverted residual blocks.",
      .source = "Su et al., \"Prioritized architecture sampling with Monto-Carlo tree search\", CVPR 2021",
      .options = {{.name = "architecture",
                   .kind = Option::Kind::text,
                   .fallback = "",
                   .sentence = "Eight digits 0..2 that fix the network; empty: it is searched."},
                  image_option(),
                  classes_option()},
      .create = [](const Options& options) { return std::make_unique<NasBenchMacro>(options); },
  };
}

}  // namespace duet
