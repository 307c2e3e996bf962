#include "spaces/blocks.hpp"

#include <fmt/format.h>
#include <limits>

namespace duet {
namespace {

std::int64_t channels_of(const Network& network, NodeId id) {
  return network.node(id).shape.at(1);
}

bool keeps_shape(const Network& network, NodeId input, std::int64_t channels, std::int64_t stride) {
  return stride == 1 && channels == channels_of(network, input);
}

}  // namespace

NodeId add_convolution_bn(Network& network, const std::string& name, NodeId input, std::int64_t channels,
                          Window window, std::int64_t groups) {
  const NodeId convolution = network.add(name,
                                         Convolution{.out_channels = channels,
                                                     .kernel_h = window.kernel,
                                                     .kernel_w = window.kernel,
                                                     .stride_h = window.stride,
                                                     .stride_w = window.stride,
                                                     .padding_h = window.kernel / 2,
                                                     .padding_w = window.kernel / 2,
                                                     .groups = groups},
                                         {input});
  return network.add(name + "_bn", BatchNormalization{}, {convolution});
}

NodeId add_convolution_bn_act(Network& network, const std::string& name, NodeId input, std::int64_t channels,
                              Window window, Activation::Kind activation, std::int64_t groups) {
  const NodeId normalised = add_convolution_bn(network, name, input, channels, window, groups);
  return network.add(name + "_act", Activation{activation}, {normalised});
}

NodeId add_depthwise_separable(Network& network, const std::string& name, NodeId input, std::int64_t channels,
                               Window window, Activation::Kind activation) {
  const std::int64_t width = channels_of(network, input);
  const NodeId depthwise =
      add_convolution_bn_act(network, name + ".depthwise", input, width, window, activation, width);
  return add_convolution_bn_act(network, name + ".pointwise", depthwise, channels, {1, 1}, activation);
}

NodeId add_inverted_residual(Network& network, const std::string& name, NodeId input, std::int64_t channels,
                             Window window, std::int64_t expansion, Activation::Kind activation) {
  const std::int64_t width = expansion * channels_of(network, input);
  NodeId x = input;
  if (expansion != 1) x = add_convolution_bn_act(network, name + ".expand", x, width, {1, 1}, activation);
  x = add_convolution_bn_act(network, name + ".depthwise", x, width, window, activation, width);
  x = add_convolution_bn(network, name + ".project", x, channels, {1, 1});
  return keeps_shape(network, input, channels, window.stride) ? network.add(name + ".add", Add{}, {x, input})
                                                              : x;
}

NodeId add_skip(Network& network, const std::string& name, NodeId input, std::int64_t channels,
                std::int64_t stride) {
  if (keeps_shape(network, input, channels, stride)) return network.add(name + ".skip", Identity{}, {input});
  return add_convolution_bn(network, name + ".skip", input, channels, {1, stride});
}

NodeId add_classifier(Network& network, NodeId input, std::int64_t classes) {
  const NodeId pool = network.add("pool", GlobalPool{}, {input});
  const NodeId flatten = network.add("flatten", Flatten{}, {pool});
  return network.add("classifier", Linear{.out_features = classes}, {flatten});
}

Option integer_option(std::string name, std::string fallback, std::string sentence, double minimum, double maximum) {
  return {.name = std::move(name),
          .kind = Option::Kind::integer,
          .fallback = std::move(fallback),
          .sentence = std::move(sentence),
          .minimum = minimum,
          .maximum = maximum};
}

Option image_option() {
  return {.name = "input",
          .kind = Option::Kind::integers,
          .fallback = "[3, 32, 32]",
          .sentence = "Shape of the input: channels, height, width.",
          .minimum = 1,
          .maximum = 65'536};
}

Option classes_option() { return integer_option("classes", "10", "Outputs of the classifier.", 1, 1'000'000); }

Option operators_option(std::vector<std::string> words, std::string sentence) {
  return {.name = "operators",
          .kind = Option::Kind::words,
          .fallback = fmt::format("[{}]", fmt::join(words, ", ")),
          .sentence = std::move(sentence),
          .words = std::move(words)};
}

Shape image_shape(const Options& options, std::string_view name) {
  const std::vector<std::int64_t> extents = options.integers(name);
  if (extents.size() != 3) options.fail(name, "an input shape is [channels, height, width]");
  return {1, extents[0], extents[1], extents[2]};
}

std::vector<PartQuantity> network_quantities(std::function<Network(const Assignment&)> build) {
  const auto counting = [&](std::int64_t (Network::*count)() const) {
    return [build, count](const Assignment& assignment) {
      try {
        return static_cast<double>((build(assignment).*count)());
      } catch (const NetworkError&) {
        return std::numeric_limits<double>::infinity();
      }
    };
  };
  return {{"macs", "1", "Multiply-accumulates of one inference.", counting(&Network::macs)},
          {"parameters", "1", "Trainable parameters.", counting(&Network::parameters)}};
}

}  // namespace duet
