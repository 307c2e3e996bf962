#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "spaces/blocks.hpp"
#include "spaces/builtin.hpp"

namespace duet {
namespace {

const std::vector<std::string> block_operators{"convolution", "depthwise_separable", "inverted_residual", "skip"};

/// In the order of Activation::Kind.
const std::vector<std::string> activations{"relu", "relu6", "sigmoid", "tanh", "hard_swish", "silu", "gelu"};

Activation::Kind read_activation(const std::string& name) {
  return static_cast<Activation::Kind>(std::find(activations.begin(), activations.end(), name) -
                                       activations.begin());
}

class Cnn final : public DesignPart {
 public:
  explicit Cnn(const Options& options)
      : input_(image_shape(options, "input")),
        classes_(options.integer("classes")),
        stages_(sorted(options, "stages")),
        depths_(sorted(options, "depth")),
        widths_(sorted(options, "width")),
        stem_widths_(sorted(options, "stem_width")),
        stem_strides_(sorted(options, "stem_stride")),
        kernels_(sorted(options, "kernel")),
        expansions_(sorted(options, "expansion")),
        operators_(options.list("operator")),
        activations_(options.list("activation")),
        width_scaling_(options.number("width_scaling")) {
    for (const double kernel : kernels_) {
      if (std::fmod(kernel, 2) == 0)
        options.fail("kernel", fmt::format("kernels must be odd, not {}", kernel));
    }
  }

  std::vector<SpaceNode> nodes() const override {
    const SpaceNode kernel = ordinal("kernel", kernels_, "1", "Side of the convolution's window.");
    const SpaceNode expansion =
        ordinal("expansion", expansions_, "1", "Channels inside the block per channel of its input.");
    std::vector<OptionNode> options;
    for (const std::string& name : operators_) {
      std::vector<SpaceNode> children;
      if (name != "skip") children.push_back(kernel);
      if (name == "inverted_residual") children.push_back(expansion);
      options.push_back({name, std::move(children)});
    }
    const SpaceNode width =
        ordinal("width", widths_, "1",
                width_scaling_ == 1
                    ? std::string("Channels of the stage.")
                    : fmt::format("Channels of the stage, before scaling by {} per stage after the first.",
                                  width_scaling_));
    return {ordinal("stem_width", stem_widths_, "1", "Channels of the first convolution."),
            ordinal("stem_stride", stem_strides_, "1", "Stride of the first convolution."),
            choice("activation", activations_, "Nonlinearity of the whole network."),
            repeat("stage", ordinal("stages", stages_, "1", "Number of stages."),
                   {width, repeat("block", ordinal("depth", depths_, "1", "Blocks of the stage."),
                                  {choice("operator", std::move(options), "What the block computes.")})})};
  }

  std::vector<PartQuantity> quantities() const override {
    return network_quantities([this](const Assignment& a) { return build(a); });
  }

  std::optional<Network> network(const Assignment& assignment) const override { return build(assignment); }

 private:
  static std::vector<double> sorted(const Options& options, std::string_view name) {
    std::vector<double> values = options.quantities(name);
    std::sort(values.begin(), values.end());
    return values;
  }

  /// A count that the space leaves out because it has one value only.
  static std::int64_t count(const Assignment& assignment, const std::string& name,
                            const std::vector<double>& values) {
    return values.size() == 1 ? static_cast<std::int64_t>(values.front()) : assignment.integer(name);
  }

  Network build(const Assignment& assignment) const {
    const Activation::Kind activation = read_activation(assignment.option("activation"));
    Network network;
    NodeId x = network.add("input", Input{input_});
    x = add_convolution_bn_act(network, "stem", x, assignment.integer("stem_width"),
                               {3, assignment.integer("stem_stride")}, activation);
    const std::int64_t stages = count(assignment, "stages", stages_);
    double scale = 1;
    for (std::int64_t s = 1; s <= stages; ++s, scale *= width_scaling_) {
      const std::string stage = fmt::format("stage{}", s);
      // Beyond 2^53 the network refuses the width.
      const double width = std::min(assignment.number(stage + ".width") * scale, 0x1p54);
      const auto channels = std::max<std::int64_t>(1, std::llround(width));
      const std::int64_t depth = count(assignment, stage + ".depth", depths_);
      for (std::int64_t b = 1; b <= depth; ++b) {
        const std::int64_t stride = s > 1 && b == 1 ? 2 : 1;
        x = add_block(network, fmt::format("{}.block{}", stage, b), x, channels, stride, activation,
                      assignment);
      }
    }
    add_classifier(network, x, classes_);
    return network;
  }

  static NodeId add_block(Network& network, const std::string& name, NodeId x, std::int64_t channels,
                          std::int64_t stride, Activation::Kind activation, const Assignment& assignment) {
    const std::string choice = name + ".operator";
    const std::string& operation = assignment.option(choice);
    if (operation == "skip") return add_skip(network, name, x, channels, stride);
    const std::string details = choice + "." + operation;
    const Window window{assignment.integer(details + ".kernel"), stride};
    if (operation == "convolution") {
      return add_convolution_bn_act(network, name + ".convolution", x, channels, window, activation);
    }
    if (operation == "depthwise_separable") {
      return add_depthwise_separable(network, name, x, channels, window, activation);
    }
    return add_inverted_residual(network, name, x, channels, window,
                                 assignment.integer(details + ".expansion"), activation);
  }

  Shape input_;
  std::int64_t classes_;
  std::vector<double> stages_, depths_, widths_, stem_widths_, stem_strides_, kernels_, expansions_;
  std::vector<std::string> operators_, activations_;
  double width_scaling_;
};

Option integers(std::string name, std::string fallback, std::string sentence, double minimum,
                double maximum) {
  return {.name = std::move(name),
          .kind = Option::Kind::integers,
          .fallback = std::move(fallback),
          .sentence = std::move(sentence),
          .minimum = minimum,
          .maximum = maximum};
}

}  // namespace

SpacePlugin cnn_space() {
  return {
      .name = "cnn",
      .summary = "Convolutional networks of a stem, stages of blocks and a classifier.",
      .source = "Blocks: Howard et al., arXiv:1704.04861; Sandler et al., CVPR 2018; He et al., CVPR 2016",
      .options = {integers("input", "[1, 28, 28]", "Shape of the input: channels, height, width.", 1, 65'536),
                  classes_option(),
                  integers("stem_width", "[8, 16]", "Channels of the first convolution.", 1, 65'536),
                  integers("stem_stride", "2", "Stride of the first convolution.", 1, 64),
                  integers("stages", "[2, 3]", "Numbers of stages; each after the first halves the size.", 1,
                           16),
                  integers("depth", "[1, 2, 3]", "Blocks per stage.", 1, 64),
                  integers("width", "[8, 16, 24, 32]", "Channels of a stage, chosen for each.", 1, 65'536),
                  {.name = "width_scaling",
                   .kind = Option::Kind::number,
                   .fallback = "1",
                   .sentence = "Factor on the width of each stage over the stage before.",
                   .minimum = 0.01,
                   .maximum = 16},
                  {.name = "operator",
                   .kind = Option::Kind::words,
                   .fallback = fmt::format("[{}]", fmt::join(block_operators, ", ")),
                   .sentence = "What a block may compute.",
                   .words = block_operators},
                  integers("kernel", "[3, 5]", "Sides of convolutions, odd; not for skip.", 1, 255),
                  integers("expansion", "[2, 4]", "Expansion ratios of inverted residuals.", 1, 64),
                  {.name = "activation",
                   .kind = Option::Kind::words,
                   .fallback = "relu",
                   .sentence = "Nonlinearities, one for the whole network.",
                   .words = activations}},
      .create = [](const Options& options) { return std::make_unique<Cnn>(options); },
  };
}

}  // namespace duet
