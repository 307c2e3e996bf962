#pragma once
/// The blocks that convolutional network spaces are made of. Each function adds a few nodes below `name` and
/// returns the last. Kernels are square and odd and padded so that stride 1 keeps the size; convolutions have
/// no bias, because a normalisation follows. \throws NetworkError where the shapes do not fit or a count
/// exceeds 2^53.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "spaces/design_space.hpp"

namespace duet {

/// Size of a square window: an odd kernel, and a stride.
struct Window {
  std::int64_t kernel = 3;
  std::int64_t stride = 1;
};

/// Nodes `name` (convolution) and `name`_bn (batch normalisation).
NodeId add_convolution_bn(Network& network, const std::string& name, NodeId input, std::int64_t channels,
                          Window window, std::int64_t groups = 1);

/// The same and `name`_act (activation).
NodeId add_convolution_bn_act(Network& network, const std::string& name, NodeId input, std::int64_t channels,
                              Window window, Activation::Kind activation, std::int64_t groups = 1);

/// Depthwise k×k convolution, then 1×1 convolution, each with normalisation and activation
/// (Howard et al., "MobileNets", arXiv:1704.04861, section 3.1).
NodeId add_depthwise_separable(Network& network, const std::string& name, NodeId input, std::int64_t channels,
                               Window window, Activation::Kind activation);

/// 1×1 convolution to `expansion` times the channels (left out at expansion 1), depthwise k×k convolution,
/// linear 1×1 convolution, and the input added where shapes agree and the stride is 1 (Sandler et al.,
/// "MobileNetV2", CVPR 2018, section 3).
NodeId add_inverted_residual(Network& network, const std::string& name, NodeId input, std::int64_t channels,
                             Window window, std::int64_t expansion, Activation::Kind activation);

/// The input itself where neither channels nor size change, else a strided 1×1 convolution with
/// normalisation: option B of He et al., "Deep residual learning", CVPR 2016, section 3.3.
NodeId add_skip(Network& network, const std::string& name, NodeId input, std::int64_t channels,
                std::int64_t stride);

/// Global average pooling and a linear layer with bias: nodes `pool`, `flatten`, `classifier`.
NodeId add_classifier(Network& network, NodeId input, std::int64_t classes);

/// An option that is one integer.
Option integer_option(std::string name, std::string fallback, std::string sentence, double minimum, double maximum);

/// The options `input` and `classes` of spaces of image classifiers, and `operators` over all of `words`.
Option image_option();
Option classes_option();
Option operators_option(std::vector<std::string> words, std::string sentence);

/// The option `name` as the shape (1, channels, height, width) of an image. \throws ConfigError at the option
/// unless it is a list of three.
Shape image_shape(const Options& options, std::string_view name);

/// The quantities `macs` (of one inference) and `parameters` of the network that `build` makes. A network too
/// large to count is infinitely large, so that an upper bound refuses it.
std::vector<PartQuantity> network_quantities(std::function<Network(const Assignment&)> build);

}  // namespace duet
