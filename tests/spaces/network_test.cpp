#include "spaces/network.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <set>
#include <stdexcept>
#include <utility>

namespace duet {
namespace {

using ::testing::ElementsAre;

constexpr std::int64_t two_to_53 = std::int64_t{1} << 53;

// What one operator makes of inputs of the given shapes.
struct Outcome {
  Shape shape;
  std::int64_t parameters;
  std::int64_t macs;
  bool operator==(const Outcome&) const = default;
};

void PrintTo(const Outcome& outcome, std::ostream* stream) {
  *stream << fmt::format("{} with {} parameters and {} MACs", to_string(outcome.shape), outcome.parameters,
                         outcome.macs);
}

Network with_inputs(const std::vector<Shape>& shapes) {
  Network network;
  for (const Shape& shape : shapes) network.add(fmt::format("x{}", network.nodes().size()), Input{shape});
  return network;
}

std::vector<NodeId> all_nodes(const Network& network) {
  std::vector<NodeId> ids(network.nodes().size());
  for (NodeId id = 0; id < ids.size(); ++id) ids[id] = id;
  return ids;
}

Outcome outcome_of(Operator op, const std::vector<Shape>& inputs) {
  Network network = with_inputs(inputs);
  const NodeId id = network.add("node", std::move(op), all_nodes(network));
  return {network.node(id).shape, network.parameters(id), network.macs(id)};
}

Shape shape_of(Operator op, const std::vector<Shape>& inputs) {
  return outcome_of(std::move(op), inputs).shape;
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const NetworkError& error) {
    return error.what();
  }
  return "no error";
}

// The reason behind "node 'node' (<operator>): "; also checks that a refused node leaves the network alone.
std::string refusal(Operator op, const std::vector<Shape>& inputs) {
  Network network = with_inputs(inputs);
  const Network before = network;
  const std::string prefix = fmt::format("node 'node' ({}): ", name_of(op));
  const std::string message = message_of([&] { network.add("node", std::move(op), all_nodes(network)); });
  EXPECT_EQ(network, before);
  EXPECT_TRUE(message.starts_with(prefix)) << message;
  return message.substr(std::min(prefix.size(), message.size()));
}

Convolution square_convolution(std::int64_t out_channels, std::int64_t kernel, std::int64_t stride = 1,
                               std::int64_t padding = 0, std::int64_t groups = 1) {
  return {.out_channels = out_channels,
          .kernel_h = kernel,
          .kernel_w = kernel,
          .stride_h = stride,
          .stride_w = stride,
          .padding_h = padding,
          .padding_w = padding,
          .groups = groups};
}

// --- Shapes and counts, operator by operator ---

TEST(ShapeText, ListsExtents) {
  EXPECT_EQ(to_string(Shape{1, 16, 28, 28}), "(1, 16, 28, 28)");
  EXPECT_EQ(to_string(Shape{7}), "(7)");
  EXPECT_EQ(to_string(Shape{}), "()");
}

TEST(OperatorName, IsSnakeCase) {
  const std::vector<std::pair<Operator, std::string>> names = {{Input{}, "input"},
                                                               {Zeros{}, "zeros"},
                                                               {Convolution{}, "convolution"},
                                                               {Linear{}, "linear"},
                                                               {MatMul{}, "matmul"},
                                                               {Pool{}, "pool"},
                                                               {GlobalPool{}, "global_pool"},
                                                               {Add{}, "add"},
                                                               {Multiply{}, "multiply"},
                                                               {Concat{}, "concat"},
                                                               {Activation{}, "activation"},
                                                               {BatchNormalization{}, "batch_normalization"},
                                                               {LayerNormalization{}, "layer_normalization"},
                                                               {Softmax{}, "softmax"},
                                                               {Flatten{}, "flatten"},
                                                               {Identity{}, "identity"},
                                                               {Constant{}, "constant"},
                                                               {Embedding{}, "embedding"},
                                                               {TransposedConvolution{}, "transposed_convolution"},
                                                               {WindowPool{}, "window_pool"},
                                                               {Elementwise{}, "elementwise"},
                                                               {Reduce{}, "reduce"},
                                                               {RmsNormalization{}, "rms_normalization"},
                                                               {Reshape{}, "reshape"},
                                                               {Transpose{}, "transpose"},
                                                               {Slice{}, "slice"},
                                                               {Pad{}, "pad"},
                                                               {Resize{}, "resize"},
                                                               {Expand{}, "expand"},
                                                               {TopK{}, "top_k"},
                                                               {Other{}, "other"},
                                                               {Outputs{}, "outputs"},
                                                               {DeformableSampling{}, "deformable_sampling"}};
  EXPECT_EQ(names.size(), std::variant_size_v<Operator>);
  for (const auto& [op, name] : names) EXPECT_EQ(name_of(op), name);
}

TEST(InputAndZeros, HaveTheirShapeAndCostNothing) {
  EXPECT_EQ(outcome_of(Input{{2, 3, 8, 8}}, {}), (Outcome{{2, 3, 8, 8}, 0, 0}));
  EXPECT_EQ(outcome_of(Zeros{{2, 16}}, {}), (Outcome{{2, 16}, 0, 0}));
}

TEST(InputAndZeros, RefuseImpossibleShapes) {
  EXPECT_EQ(refusal(Input{}, {}), "shape () lacks the batch dimension");
  EXPECT_EQ(refusal(Zeros{{1, 0, 4}}, {}), "shape (1, 0, 4) has an extent below 1");
  EXPECT_EQ(refusal(Input{{-1, 3}}, {}), "shape (-1, 3) has an extent below 1");
  EXPECT_EQ(refusal(Input{{1, 3}}, {{1, 3}}), "takes 0 inputs, got 1: (1, 3)");
}

TEST(InputAndZeros, HaveAtMostTwoToThe53Elements) {
  EXPECT_EQ(shape_of(Input{{two_to_53 / 4, 2, 2}}, {}), (Shape{two_to_53 / 4, 2, 2}));
  EXPECT_EQ(refusal(Input{{two_to_53 / 4, 2, 2, 2}}, {}),
            "output (2251799813685248, 2, 2, 2) has more than 2^53 elements");
  // 2^64 elements: a product modulo 2^64 would be 0.
  EXPECT_EQ(refusal(Zeros{{std::int64_t{1} << 32, std::int64_t{1} << 32}}, {}),
            "output (4294967296, 4294967296) has more than 2^53 elements");
}

TEST(ConvolutionShape, FollowsTheFormula) {
  // AlexNet's first layer: floor((227 − 11) / 4) + 1 = 55; 96·3·11·11 = 34,848 weights.
  EXPECT_EQ(outcome_of(square_convolution(96, 11, 4), {{1, 3, 227, 227}}),
            (Outcome{{1, 96, 55, 55}, 34848, 105415200}));
  // Ragged stride: floor((8 + 2 − 3) / 2) + 1 = 4; a batch of 2 doubles the work, not the weights.
  EXPECT_EQ(outcome_of(square_convolution(4, 3, 2, 1), {{2, 3, 8, 8}}), (Outcome{{2, 4, 4, 4}, 108, 3456}));
  Convolution biased = square_convolution(4, 3, 2, 1);
  biased.bias = true;
  EXPECT_EQ(outcome_of(biased, {{2, 3, 8, 8}}), (Outcome{{2, 4, 4, 4}, 112, 3456}));
}

TEST(ConvolutionShape, TreatsHeightAndWidthApart) {
  const Convolution op{.out_channels = 2,
                       .kernel_h = 1,
                       .kernel_w = 5,
                       .stride_h = 3,
                       .stride_w = 1,
                       .padding_h = 0,
                       .padding_w = 2,
                       .dilation_h = 1,
                       .dilation_w = 2};
  // H: floor((10 − 1) / 3) + 1 = 4. W: (12 + 4 − 2·4 − 1) + 1 = 8. 2·7·1·5 = 70 weights; ·4·8 = 2,240 MACs.
  EXPECT_EQ(outcome_of(op, {{1, 7, 10, 12}}), (Outcome{{1, 2, 4, 8}, 70, 2240}));
}

TEST(ConvolutionShape, GroupsDivideWeightsAndWork) {
  EXPECT_EQ(outcome_of(square_convolution(16, 3, 1, 1, 4), {{1, 8, 5, 5}}),
            (Outcome{{1, 16, 5, 5}, 16 * 2 * 9, 16 * 25 * 2 * 9}));
  // Depthwise.
  EXPECT_EQ(outcome_of(square_convolution(8, 3, 1, 1, 8), {{1, 8, 5, 5}}), (Outcome{{1, 8, 5, 5}, 72, 1800}));
}

TEST(ConvolutionShape, AgreesWithSlidingAWindow) {
  std::mt19937 random(1);
  int fitting = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    const auto draw = [&random](std::int64_t least, std::int64_t most) {
      return least + static_cast<std::int64_t>(random()) % (most - least + 1);
    };
    const std::int64_t side = draw(1, 12), kernel = draw(1, 5), stride = draw(1, 4), padding = draw(0, 3),
                       dilation = draw(1, 3);
    std::int64_t positions = 0;
    for (std::int64_t first = -padding; first + dilation * (kernel - 1) < side + padding; first += stride) {
      ++positions;
    }
    Convolution op = square_convolution(1, kernel, stride, padding);
    op.dilation_h = op.dilation_w = dilation;
    const std::vector<Shape> inputs = {{1, 1, side, side}};
    if (positions > 0) {
      EXPECT_EQ(
          outcome_of(op, inputs),
          (Outcome{{1, 1, positions, positions}, kernel * kernel, positions * positions * kernel * kernel}));
      ++fitting;
    } else {
      EXPECT_EQ(
          refusal(op, inputs),
          fmt::format("a {0}x{0} kernel with dilation {1}x{1} does not fit input {2} with padding {3}x{3}",
                      kernel, dilation, to_string(inputs[0]), padding));
    }
  }
  EXPECT_GT(fitting, 1000);
  EXPECT_LT(fitting, 2000);
}

TEST(ConvolutionShape, RefusesWhatDoesNotFit) {
  const std::vector<Shape> image = {{1, 6, 4, 4}};
  EXPECT_EQ(refusal(Convolution{}, {{1, 6}}), "needs an (N, C, H, W) input, got (1, 6)");
  EXPECT_EQ(refusal(Convolution{}, {}), "takes 1 input, got none");
  EXPECT_EQ(refusal(Convolution{}, {{1, 6, 4, 4}, {1, 6, 4, 4}}),
            "takes 1 input, got 2: (1, 6, 4, 4), (1, 6, 4, 4)");
  EXPECT_EQ(refusal(Convolution{.out_channels = 8, .groups = 4}, image),
            "4 groups do not divide the 6 channels of input (1, 6, 4, 4) and 8 output channels");
  EXPECT_EQ(refusal(Convolution{.out_channels = 8, .groups = 3}, image),
            "3 groups do not divide the 6 channels of input (1, 6, 4, 4) and 8 output channels");
  EXPECT_EQ(refusal(Convolution{.kernel_h = 5, .kernel_w = 4}, image),
            "a 5x4 kernel with dilation 1x1 does not fit input (1, 6, 4, 4) with padding 0x0");
  EXPECT_EQ(refusal(Convolution{.kernel_w = 3, .dilation_w = 2}, image),
            "a 1x3 kernel with dilation 1x2 does not fit input (1, 6, 4, 4) with padding 0x0");
}

TEST(ConvolutionShape, RefusesAttributesOutOfRange) {
  const std::vector<Shape> image = {{1, 6, 4, 4}};
  const auto window = [](std::string_view attribute, std::int64_t value, int least) {
    return fmt::format("{} is {}, must be in [{}, 2147483647] for input (1, 6, 4, 4)", attribute, value,
                       least);
  };
  EXPECT_EQ(refusal(Convolution{.out_channels = 0}, image),
            "out_channels is 0, must be in [1, 9007199254740992] for input (1, 6, 4, 4)");
  EXPECT_EQ(refusal(Convolution{.groups = 0}, image),
            "groups is 0, must be in [1, 9007199254740992] for input (1, 6, 4, 4)");
  EXPECT_EQ(refusal(Convolution{.kernel_h = 0}, image), window("kernel_h", 0, 1));
  EXPECT_EQ(refusal(Convolution{.kernel_w = -3}, image), window("kernel_w", -3, 1));
  EXPECT_EQ(refusal(Convolution{.stride_h = 0}, image), window("stride_h", 0, 1));
  EXPECT_EQ(refusal(Convolution{.stride_w = 0}, image), window("stride_w", 0, 1));
  EXPECT_EQ(refusal(Convolution{.padding_h = -1}, image), window("padding_h", -1, 0));
  EXPECT_EQ(refusal(Convolution{.padding_w = -1}, image), window("padding_w", -1, 0));
  EXPECT_EQ(refusal(Convolution{.dilation_h = 0}, image), window("dilation_h", 0, 1));
  EXPECT_EQ(refusal(Convolution{.dilation_w = std::int64_t{1} << 62}, image),
            window("dilation_w", std::int64_t{1} << 62, 1));
}

TEST(ConvolutionShape, SurvivesTheLargestAttributes) {
  const std::int64_t most = 2147483647;
  EXPECT_EQ(refusal(Convolution{.kernel_h = most, .padding_h = most, .dilation_h = most}, {{1, 1, 4, 4}}),
            "a 2147483647x1 kernel with dilation 2147483647x1 does not fit input (1, 1, 4, 4) with padding "
            "2147483647x0");
  EXPECT_EQ(shape_of(Convolution{.stride_h = most, .padding_h = most}, {{1, 1, 1, 1}}), (Shape{1, 1, 3, 1}));
}

TEST(LinearShape, ReplacesTheLastDimension) {
  EXPECT_EQ(outcome_of(Linear{.out_features = 10}, {{1, 84}}), (Outcome{{1, 10}, 850, 840}));
  EXPECT_EQ(outcome_of(Linear{.out_features = 10, .bias = false}, {{1, 84}}), (Outcome{{1, 10}, 840, 840}));
  EXPECT_EQ(outcome_of(Linear{.out_features = 5}, {{2, 7, 3}}), (Outcome{{2, 7, 5}, 20, 210}));
}

TEST(LinearShape, RefusesWhatDoesNotFit) {
  EXPECT_EQ(refusal(Linear{}, {{4}}), "needs inputs of at least 2 dimensions, got (4)");
  EXPECT_EQ(refusal(Linear{.out_features = -1}, {{1, 4}}),
            "out_features is -1, must be in [1, 9007199254740992] for input (1, 4)");
}

TEST(MatMulShape, MultipliesTheLastTwoDimensions) {
  EXPECT_EQ(outcome_of(MatMul{}, {{3, 4}, {4, 5}}), (Outcome{{3, 5}, 0, 60}));
  EXPECT_EQ(outcome_of(MatMul{.transpose_b = true}, {{3, 4}, {5, 4}}), (Outcome{{3, 5}, 0, 60}));
  // Leading dimensions (2, 1) and (6) broadcast to (2, 6): 2·6·3·4·5 MACs.
  EXPECT_EQ(outcome_of(MatMul{}, {{2, 1, 3, 4}, {6, 4, 5}}), (Outcome{{2, 6, 3, 5}, 0, 720}));
  EXPECT_EQ(outcome_of(MatMul{}, {{3, 4}, {7, 4, 5}}), (Outcome{{7, 3, 5}, 0, 420}));
}

TEST(MatMulShape, RefusesWhatDoesNotFit) {
  EXPECT_EQ(refusal(MatMul{}, {{3, 4}, {5, 4}}),
            "inputs (3, 4) and (5, 4) disagree on the inner dimension: 4 against 5");
  EXPECT_EQ(refusal(MatMul{.transpose_b = true}, {{3, 4}, {4, 5}}),
            "inputs (3, 4) and (4, 5) (transposed) disagree on the inner dimension: 4 against 5");
  EXPECT_EQ(refusal(MatMul{}, {{2, 3, 4}, {3, 4, 5}}),
            "leading dimensions of inputs (2, 3, 4) and (3, 4, 5) cannot be broadcast");
  EXPECT_EQ(refusal(MatMul{}, {{3, 4}, {4}}), "needs inputs of at least 2 dimensions, got (3, 4) and (4)");
  EXPECT_EQ(refusal(MatMul{}, {{3, 4}}), "takes 2 inputs, got 1: (3, 4)");
}

TEST(PoolShape, SlidesOverEachChannel) {
  EXPECT_EQ(outcome_of(Pool{}, {{1, 6, 28, 28}}), (Outcome{{1, 6, 14, 14}, 0, 0}));
  // Rounds down: floor((7 − 2) / 2) + 1 = 3. ResNet's stem: floor((112 + 2 − 3) / 2) + 1 = 56.
  EXPECT_EQ(shape_of(Pool{}, {{1, 6, 7, 6}}), (Shape{1, 6, 3, 3}));
  EXPECT_EQ(shape_of(Pool{.kernel = 3, .stride = 2, .padding = 1}, {{1, 64, 112, 112}}),
            (Shape{1, 64, 56, 56}));
  EXPECT_EQ(
      shape_of(Pool{.kind = Pool::Kind::average, .kernel = 3, .stride = 1, .padding = 1}, {{1, 16, 8, 8}}),
      (Shape{1, 16, 8, 8}));
}

TEST(PoolShape, RefusesWhatDoesNotFit) {
  const std::vector<Shape> image = {{1, 6, 4, 4}};
  EXPECT_EQ(refusal(Pool{}, {{6, 4, 4}}), "needs an (N, C, H, W) input, got (6, 4, 4)");
  EXPECT_EQ(refusal(Pool{.kernel = 3, .padding = 2}, image),
            "padding is 2, must be in [0, 1] for input (1, 6, 4, 4)");
  EXPECT_EQ(refusal(Pool{.padding = -1}, image), "padding is -1, must be in [0, 1] for input (1, 6, 4, 4)");
  EXPECT_EQ(refusal(Pool{.kernel = 0}, image),
            "kernel is 0, must be in [1, 2147483647] for input (1, 6, 4, 4)");
  EXPECT_EQ(refusal(Pool{.stride = 0}, image),
            "stride is 0, must be in [1, 2147483647] for input (1, 6, 4, 4)");
  EXPECT_EQ(refusal(Pool{.kernel = 5}, image),
            "a 5x5 kernel with dilation 1x1 does not fit input (1, 6, 4, 4) with padding 0x0");
}

TEST(GlobalPoolShape, LeavesOnePixel) {
  EXPECT_EQ(outcome_of(GlobalPool{}, {{2, 512, 7, 9}}), (Outcome{{2, 512, 1, 1}, 0, 0}));
  EXPECT_EQ(refusal(GlobalPool{}, {{2, 512}}), "needs an (N, C, H, W) input, got (2, 512)");
}

TEST(ElementwiseShape, Broadcasts) {
  EXPECT_EQ(outcome_of(Add{}, {{1, 16, 8, 8}, {1, 16, 8, 8}}), (Outcome{{1, 16, 8, 8}, 0, 0}));
  // Squeeze and excitation.
  EXPECT_EQ(outcome_of(Multiply{}, {{2, 16, 8, 8}, {2, 16, 1, 1}}), (Outcome{{2, 16, 8, 8}, 0, 0}));
  EXPECT_EQ(shape_of(Add{}, {{5}, {2, 3, 5}}), (Shape{2, 3, 5}));
  EXPECT_EQ(shape_of(Add{}, {{1, 4}, {3, 1}, {2, 1, 1}}), (Shape{2, 3, 4}));
}

TEST(ElementwiseShape, RefusesWhatCannotBeBroadcast) {
  EXPECT_EQ(refusal(Add{}, {{1, 16, 28, 28}, {1, 32, 14, 14}}),
            "inputs (1, 16, 28, 28) and (1, 32, 14, 14) cannot be broadcast");
  EXPECT_EQ(refusal(Multiply{}, {{2, 3}, {2, 1}, {2, 4}}),
            "inputs (2, 3), (2, 1) and (2, 4) cannot be broadcast");
  EXPECT_EQ(refusal(Add{}, {{2, 3}}), "takes at least 2 inputs, got 1: (2, 3)");
  EXPECT_EQ(refusal(Multiply{}, {}), "takes at least 2 inputs, got none");
  // Each fits, the sum does not.
  EXPECT_EQ(refusal(Add{}, {{two_to_53, 1}, {1, two_to_53}}),
            "output (9007199254740992, 9007199254740992) has more than 2^53 elements");
}

TEST(ConcatShape, AddsUpOneAxis) {
  EXPECT_EQ(outcome_of(Concat{}, {{1, 16, 8, 8}, {1, 4, 8, 8}, {1, 1, 8, 8}}),
            (Outcome{{1, 21, 8, 8}, 0, 0}));
  EXPECT_EQ(shape_of(Concat{.axis = -1}, {{2, 3, 4}, {2, 3, 5}}), (Shape{2, 3, 9}));
  EXPECT_EQ(shape_of(Concat{.axis = 0}, {{2, 3}, {4, 3}}), (Shape{6, 3}));
  EXPECT_EQ(shape_of(Concat{}, {{1, 16, 8, 8}}), (Shape{1, 16, 8, 8}));
}

TEST(ConcatShape, RefusesWhatDoesNotFit) {
  EXPECT_EQ(refusal(Concat{}, {{1, 16, 8, 8}, {1, 16, 4, 8}}),
            "inputs (1, 16, 8, 8) and (1, 16, 4, 8) differ outside axis 1");
  EXPECT_EQ(refusal(Concat{}, {{1, 16}, {1, 16, 4}}), "inputs (1, 16) and (1, 16, 4) differ outside axis 1");
  EXPECT_EQ(refusal(Concat{.axis = 2}, {{1, 16}, {1, 16}}), "axis 2 is outside [-2, 1] of input (1, 16)");
  EXPECT_EQ(refusal(Concat{}, {}), "takes at least 1 input, got none");
  EXPECT_EQ(refusal(Concat{}, {{1, two_to_53}, {1, 1}}),
            "output (1, 9007199254740993) has more than 2^53 elements");
}

TEST(ActivationShape, IsTheInputs) {
  for (const auto kind :
       {Activation::Kind::relu, Activation::Kind::relu6, Activation::Kind::sigmoid, Activation::Kind::tanh,
        Activation::Kind::hard_swish, Activation::Kind::silu, Activation::Kind::gelu}) {
    EXPECT_EQ(outcome_of(Activation{kind}, {{2, 3, 4}}), (Outcome{{2, 3, 4}, 0, 0}));
  }
  EXPECT_EQ(outcome_of(Identity{}, {{2, 3, 4}}), (Outcome{{2, 3, 4}, 0, 0}));
  EXPECT_EQ(refusal(Activation{}, {}), "takes 1 input, got none");
  EXPECT_EQ(refusal(Identity{}, {{1, 2}, {1, 3}}), "takes 1 input, got 2: (1, 2), (1, 3)");
}

TEST(NormalizationShape, HasScaleAndShift) {
  EXPECT_EQ(outcome_of(BatchNormalization{}, {{2, 64, 8, 8}}), (Outcome{{2, 64, 8, 8}, 128, 0}));
  EXPECT_EQ(outcome_of(LayerNormalization{}, {{2, 64, 768}}), (Outcome{{2, 64, 768}, 1536, 0}));
  EXPECT_EQ(refusal(BatchNormalization{}, {{2}}), "needs inputs of at least 2 dimensions, got (2)");
  EXPECT_EQ(refusal(LayerNormalization{}, {{2}}), "needs inputs of at least 2 dimensions, got (2)");
}

TEST(SoftmaxShape, TakesAnyAxis) {
  for (std::int64_t axis = -3; axis < 3; ++axis) {
    EXPECT_EQ(outcome_of(Softmax{axis}, {{2, 3, 4}}), (Outcome{{2, 3, 4}, 0, 0}));
  }
  EXPECT_EQ(refusal(Softmax{3}, {{2, 3, 4}}), "axis 3 is outside [-3, 2] of input (2, 3, 4)");
  EXPECT_EQ(refusal(Softmax{-4}, {{2, 3, 4}}), "axis -4 is outside [-3, 2] of input (2, 3, 4)");
}

TEST(FlattenShape, KeepsTheBatch) {
  EXPECT_EQ(outcome_of(Flatten{}, {{2, 16, 5, 5}}), (Outcome{{2, 400}, 0, 0}));
  EXPECT_EQ(shape_of(Flatten{}, {{2, 7}}), (Shape{2, 7}));
  EXPECT_EQ(shape_of(Flatten{}, {{2}}), (Shape{2, 1}));
}

TEST(Counts, AboveTwoToThe53AreRefused) {
  const std::int64_t large = std::int64_t{1} << 27;
  EXPECT_EQ(refusal(Linear{.out_features = large}, {{1, large}}),
            "has more than 2^53 parameters on input (1, 134217728)");
  // 2^53 weights are allowed; a bias is one too many.
  EXPECT_EQ(outcome_of(Linear{.out_features = large / 2, .bias = false}, {{1, large}}),
            (Outcome{{1, large / 2}, two_to_53, two_to_53}));
  EXPECT_EQ(refusal(Linear{.out_features = large / 2, .bias = true}, {{1, large}}),
            "has more than 2^53 parameters on input (1, 134217728)");
  EXPECT_EQ(
      refusal(MatMul{}, {{large, large / 4}, {large / 4, large / 4}}),
      "needs more than 2^53 multiply-accumulates on inputs (134217728, 33554432) and (33554432, 33554432)");
}

TEST(Counts, TotalsAboveTwoToThe53AreRefused) {
  const std::int64_t large = std::int64_t{1} << 26;
  Network network;
  const NodeId x = network.add("x", Input{{1, large}});
  network.add("a", Linear{.out_features = large, .bias = false}, {x});
  EXPECT_EQ(network.parameters(), two_to_53 / 2);
  network.add("b", Linear{.out_features = large, .bias = false}, {x});
  EXPECT_EQ(network.parameters(), two_to_53);
  EXPECT_EQ(network.macs(), two_to_53);
  network.add("c", Linear{.out_features = 1, .bias = false}, {x});
  EXPECT_EQ(message_of([&] { network.parameters(); }), "the network has more than 2^53 parameters");
  EXPECT_EQ(message_of([&] { network.macs(); }), "the network has more than 2^53 multiply-accumulates");
}

// --- The graph ---

TEST(NetworkGraph, RefusesBadNamesAndInputs) {
  Network network;
  const NodeId x = network.add("x", Input{{1, 4}});
  EXPECT_EQ(message_of([&] { network.add("", Identity{}, {x}); }), "node '' (identity): a node needs a name");
  EXPECT_EQ(message_of([&] { network.add("x", Identity{}, {x}); }),
            "node 'x' (identity): the name is taken by node 0 (input)");
  EXPECT_EQ(message_of([&] {
              network.add("sum", Add{}, {x, 1});
            }),
            "node 'sum' (add): input 1 does not exist; there are 1 nodes so far");
  EXPECT_EQ(network.nodes().size(), 1u);
}

TEST(NetworkGraph, ErrorsNameNodeOperatorAndShapes) {
  Network network = with_inputs({{1, 16, 28, 28}, {1, 32, 14, 14}});
  EXPECT_EQ(message_of([&] {
              network.add("stage1.block2.add", Add{}, {0, 1});
            }),
            "node 'stage1.block2.add' (add): inputs (1, 16, 28, 28) and (1, 32, 14, 14) cannot be broadcast");
}

TEST(NetworkGraph, OutputIsTheLastNodeUnlessSet) {
  Network network;
  EXPECT_EQ(message_of([&] { network.output(); }), "the network is empty: it has no output");
  EXPECT_EQ(message_of([&] { network.set_output(0); }), "output 0 does not exist; there are 0 nodes");
  const NodeId x = network.add("x", Input{{1, 4}});
  EXPECT_EQ(network.output(), x);
  const NodeId y = network.add("y", Identity{}, {x});
  EXPECT_EQ(network.output(), y);
  network.set_output(x);
  network.add("z", Identity{}, {y});
  EXPECT_EQ(network.output(), x);
  EXPECT_EQ(message_of([&] { network.set_output(3); }), "output 3 does not exist; there are 3 nodes");
}

TEST(NetworkGraph, FindsNodesByName) {
  const Network network = with_inputs({{1, 4}, {1, 5}});
  EXPECT_EQ(network.find("x1"), std::optional<NodeId>(1));
  EXPECT_EQ(network.find("x"), std::nullopt);
  EXPECT_THROW(network.node(2), std::out_of_range);
  EXPECT_THROW(network.parameters(2), std::out_of_range);
  EXPECT_THROW(network.macs(2), std::out_of_range);
}

TEST(NetworkGraph, EmptyNetworkHasNothing) {
  const Network network;
  EXPECT_TRUE(network.topological_order().empty());
  EXPECT_EQ(network.pruned(), network);
  EXPECT_EQ(network.parameters(), 0);
  EXPECT_EQ(network.macs(), 0);
  EXPECT_EQ(network.fingerprint(), Network().fingerprint());
  EXPECT_NE(network.fingerprint(), with_inputs({{1, 4}}).fingerprint());
}

TEST(NetworkGraph, IsARegularValue) {
  Network network = with_inputs({{1, 4}});
  const Network copy = network;
  EXPECT_EQ(copy, network);
  network.set_output(0);  // as it was by default
  EXPECT_EQ(copy, network);
  network.add("y", Identity{}, {0});
  EXPECT_NE(copy, network);
  EXPECT_EQ(copy.nodes().size(), 1u);
}

TEST(Pruning, DropsWhatDoesNotReachTheOutput) {
  Network network;
  const NodeId x = network.add("x", Input{{1, 3, 8, 8}});
  const NodeId dead = network.add("dead", square_convolution(8, 3), {x});
  const NodeId kept = network.add("kept", square_convolution(4, 1), {x});
  network.add("deader", Activation{}, {dead});
  const NodeId unused = network.add("unused", Input{{1, 2}});
  const NodeId y = network.add("y", Add{}, {kept, kept});
  network.add("after", Linear{.out_features = 2}, {unused});
  network.set_output(y);

  const Network pruned = network.pruned();
  std::vector<std::string> names;
  for (const Node& node : pruned.nodes()) names.push_back(node.name);
  EXPECT_THAT(names, ElementsAre("x", "kept", "unused", "y"));
  EXPECT_EQ(pruned.node(pruned.output()).name, "y");
  EXPECT_THAT(pruned.node(3).inputs, ElementsAre(1, 1));
  EXPECT_EQ(pruned.parameters(), 12);
  EXPECT_EQ(network.parameters(), 216 + 12 + 6);
  EXPECT_EQ(pruned.macs(), 12 * 64);
}

// --- Known networks ---

// Appends nodes one after the other; `at` is the value they continue from.
struct Chain {
  Network network;
  NodeId at;
  int counter = 0;

  explicit Chain(Shape input) : at(network.add("input", Input{std::move(input)})) {}

  Chain& then(Operator op) {
    at = network.add(fmt::format("{}{}", name_of(op), counter++), std::move(op), {at});
    return *this;
  }
  Chain& then_normalized(Convolution op) { return then(op).then(BatchNormalization{}); }
  Chain& then_add(NodeId other) {
    at = network.add(fmt::format("add{}", counter++), Add{}, {at, other});
    return *this;
  }
};

TEST(KnownNetworks, LeNet5) {
  Convolution first = square_convolution(6, 5, 1, 2);
  Convolution second = square_convolution(16, 5);
  first.bias = second.bias = true;
  Chain chain({1, 1, 28, 28});
  chain.then(first).then(Activation{Activation::Kind::tanh}).then(Pool{.kind = Pool::Kind::average});
  chain.then(second).then(Activation{Activation::Kind::tanh}).then(Pool{.kind = Pool::Kind::average});
  chain.then(Flatten{}).then(Linear{120}).then(Linear{84}).then(Linear{10}).then(Softmax{});
  const Network& network = chain.network;
  EXPECT_EQ(network.node(network.output()).shape, (Shape{1, 10}));
  // 156 + 2,416 + 48,120 + 10,164 + 850.
  EXPECT_EQ(network.parameters(), 61706);
  // 6·28²·25 + 16·10²·6·25 + 400·120 + 120·84 + 84·10.
  EXPECT_EQ(network.macs(), 416520);
}

void append_basic_block(Chain& chain, std::int64_t channels, std::int64_t stride) {
  const NodeId input = chain.at;
  chain.then_normalized(square_convolution(channels, 3, stride, 1)).then(Activation{});
  chain.then_normalized(square_convolution(channels, 3, 1, 1));
  const NodeId residual = chain.at;
  chain.at = input;
  if (chain.network.node(input).shape != chain.network.node(residual).shape) {
    chain.then_normalized(square_convolution(channels, 1, stride));
  }
  chain.then_add(residual).then(Activation{});
}

// He et al., "Deep residual learning for image recognition", CVPR 2016; torchvision lists 11,689,512
// parameters and 1.814 GMACs.
TEST(KnownNetworks, ResNet18) {
  Chain chain({1, 3, 224, 224});
  chain.then_normalized(square_convolution(64, 7, 2, 3)).then(Activation{});
  chain.then(Pool{.kernel = 3, .stride = 2, .padding = 1});
  for (const std::int64_t channels : {64, 128, 256, 512}) {
    append_basic_block(chain, channels, channels == 64 ? 1 : 2);
    append_basic_block(chain, channels, 1);
  }
  EXPECT_EQ(chain.network.node(chain.at).shape, (Shape{1, 512, 7, 7}));
  chain.then(GlobalPool{}).then(Flatten{}).then(Linear{1000});
  EXPECT_EQ(chain.network.node(chain.network.output()).shape, (Shape{1, 1000}));
  EXPECT_EQ(chain.network.parameters(), 11689512);
  EXPECT_EQ(chain.network.macs(), 1814073344);
  EXPECT_EQ(chain.network.pruned(), chain.network);
}

// Sandler et al., "MobileNetV2: Inverted residuals and linear bottlenecks", CVPR 2018, table 2; torchvision
// lists 3,504,872 parameters and 0.301 GMACs.
TEST(KnownNetworks, MobileNetV2) {
  struct Stage {
    std::int64_t expansion, channels, repeats, stride;
  };
  const Activation relu6{Activation::Kind::relu6};
  Chain chain({1, 3, 224, 224});
  chain.then_normalized(square_convolution(32, 3, 2, 1)).then(relu6);
  for (const Stage& stage : {Stage{1, 16, 1, 1}, Stage{6, 24, 2, 2}, Stage{6, 32, 3, 2}, Stage{6, 64, 4, 2},
                             Stage{6, 96, 3, 1}, Stage{6, 160, 3, 2}, Stage{6, 320, 1, 1}}) {
    for (std::int64_t block = 0; block < stage.repeats; ++block) {
      const NodeId input = chain.at;
      const std::int64_t width = chain.network.node(input).shape[1] * stage.expansion;
      if (stage.expansion > 1) chain.then_normalized(square_convolution(width, 1)).then(relu6);
      chain.then_normalized(square_convolution(width, 3, block == 0 ? stage.stride : 1, 1, width))
          .then(relu6);
      chain.then_normalized(square_convolution(stage.channels, 1));
      if (block > 0) chain.then_add(input);
    }
  }
  chain.then_normalized(square_convolution(1280, 1)).then(relu6);
  chain.then(GlobalPool{}).then(Flatten{}).then(Linear{1000});
  EXPECT_EQ(chain.network.parameters(), 3504872);
  EXPECT_EQ(chain.network.macs(), 300774272);
}

// Vaswani et al., "Attention is all you need", NeurIPS 2017, with BERT-base's widths: 7,087,872 parameters a
// layer.
TEST(KnownNetworks, TransformerEncoderLayer) {
  const std::int64_t tokens = 128, width = 768, hidden = 3072;
  Chain chain({1, tokens, width});
  Network& network = chain.network;
  const NodeId x = chain.at;
  const NodeId query = network.add("query", Linear{width}, {x});
  const NodeId key = network.add("key", Linear{width}, {x});
  const NodeId value = network.add("value", Linear{width}, {x});
  chain.at = network.add("scores", MatMul{.transpose_b = true}, {query, key});
  EXPECT_EQ(network.node(chain.at).shape, (Shape{1, tokens, tokens}));
  chain.then(Softmax{});
  chain.at = network.add("context", MatMul{}, {chain.at, value});
  chain.then(Linear{width}).then_add(x).then(LayerNormalization{});
  const NodeId attended = chain.at;
  chain.then(Linear{hidden}).then(Activation{Activation::Kind::gelu}).then(Linear{width});
  chain.then_add(attended).then(LayerNormalization{});
  EXPECT_EQ(network.node(network.output()).shape, (Shape{1, tokens, width}));
  EXPECT_EQ(network.parameters(), 7087872);
  // 4·T·d² for the projections, 2·T²·d for scores and context, 2·T·d·4d for the feed-forward part.
  EXPECT_EQ(network.macs(),
            4 * tokens * width * width + 2 * tokens * tokens * width + 2 * tokens * width * hidden);
}

// --- Random graphs ---

Network random_network(std::mt19937& random, const std::string& prefix = "n") {
  const auto draw = [&random](std::size_t below) { return static_cast<std::size_t>(random()) % below; };
  Network network;
  const auto name = [&] { return fmt::format("{}{}", prefix, network.nodes().size()); };
  const std::size_t inputs = 1 + draw(2);
  for (std::size_t i = 0; i < inputs; ++i) network.add(name(), Input{{1, 8, 6, 6}});
  const std::size_t operators = 1 + draw(25);
  for (std::size_t i = 0; i < operators; ++i) {
    // Every value is an image of 6×6 pixels and a multiple of 8 channels; a 1×1 convolution mixes widths.
    const auto any = [&] { return draw(network.nodes().size()); };
    const NodeId a = any();
    switch (draw(7)) {
      case 0:
        network.add(name(), square_convolution(8, 3, 1, 1, draw(2) == 0 ? 1 : 8), {a});
        break;
      case 1:
        network.add(name(), BatchNormalization{}, {a});
        break;
      case 2:
        network.add(name(), Activation{}, {a});
        break;
      case 3:
        network.add(name(), Pool{.kernel = 3, .stride = 1, .padding = 1}, {a});
        break;
      case 4:
        network.add(name(), Concat{}, {a, any(), any()});
        break;
      case 5:
        network.add(name(), Zeros{{1, 8, 6, 6}});
        break;
      default: {
        const NodeId b = any();
        const bool fit = network.node(a).shape == network.node(b).shape;
        network.add(name(), Add{}, {a, fit ? b : a});
      }
    }
  }
  network.set_output(draw(network.nodes().size()));
  return network;
}

TEST(RandomGraphs, TopologicalOrderPutsInputsFirst) {
  std::mt19937 random(2);
  for (int trial = 0; trial < 200; ++trial) {
    const Network network = random_network(random);
    const std::vector<NodeId> order = network.topological_order();
    std::set<NodeId> seen;
    for (const NodeId id : order) {
      for (const NodeId input : network.node(id).inputs) EXPECT_TRUE(seen.contains(input));
      EXPECT_TRUE(seen.insert(id).second);
    }
    // Ties are in order of insertion, and inputs were inserted before their users.
    EXPECT_EQ(order, all_nodes(network));
  }
}

TEST(RandomGraphs, PruningKeepsExactlyWhatContributes) {
  std::mt19937 random(3);
  std::size_t dropped = 0;
  for (int trial = 0; trial < 200; ++trial) {
    const Network network = random_network(random);
    std::set<NodeId> contributing = {network.output()};
    for (NodeId id = network.output() + 1; id-- > 0;) {
      if (!contributing.contains(id)) continue;
      contributing.insert(network.node(id).inputs.begin(), network.node(id).inputs.end());
    }
    const Network pruned = network.pruned();
    NodeId next = 0;
    std::int64_t parameters = 0, macs = 0;
    for (NodeId id = 0; id < network.nodes().size(); ++id) {
      const Node& old = network.node(id);
      if (!contributing.contains(id) && !std::holds_alternative<Input>(old.op)) continue;
      const Node& kept = pruned.node(next++);
      EXPECT_EQ(kept.name, old.name);
      EXPECT_EQ(kept.op, old.op);
      EXPECT_EQ(kept.shape, old.shape);
      ASSERT_EQ(kept.inputs.size(), old.inputs.size());
      for (std::size_t i = 0; i < old.inputs.size(); ++i) {
        EXPECT_EQ(pruned.node(kept.inputs[i]).name, network.node(old.inputs[i]).name);
      }
      parameters += network.parameters(id);
      macs += network.macs(id);
    }
    EXPECT_EQ(pruned.nodes().size(), next);
    EXPECT_EQ(pruned.node(pruned.output()).name, network.node(network.output()).name);
    EXPECT_EQ(pruned.parameters(), parameters);
    EXPECT_EQ(pruned.macs(), macs);
    EXPECT_EQ(pruned.pruned(), pruned);
    EXPECT_EQ(pruned.pruned().fingerprint(), pruned.fingerprint());
    dropped += network.nodes().size() - pruned.nodes().size();
  }
  EXPECT_GT(dropped, 200u);
}

TEST(RandomGraphs, FingerprintIgnoresNamesOnly) {
  std::set<Fingerprint> fingerprints;
  for (unsigned seed = 0; seed < 500; ++seed) {
    std::mt19937 random(seed), again(seed);
    const Network network = random_network(random, "n");
    const Network renamed = random_network(again, "other.");
    EXPECT_NE(network, renamed);
    EXPECT_EQ(network.fingerprint(), renamed.fingerprint());
    fingerprints.insert(network.fingerprint());

    Network other_output = network;
    other_output.set_output((network.output() + 1) % network.nodes().size());
    EXPECT_NE(other_output.fingerprint(), network.fingerprint());
  }
  EXPECT_GT(fingerprints.size(), 480u);
}

// --- Operators of networks from elsewhere ---

TEST(OtherOperators, ConstantsAndEmbeddings) {
  EXPECT_EQ(outcome_of(Constant{{8, 4}}, {}), (Outcome{{8, 4}, 32, 0}));
  EXPECT_EQ(outcome_of(Constant{{8, 4}, false}, {}), (Outcome{{8, 4}, 0, 0}));
  EXPECT_EQ(outcome_of(Embedding{100, 16}, {{2, 7}}), (Outcome{{2, 7, 16}, 1600, 0}));
  EXPECT_EQ(outcome_of(Embedding{100, 16}, {{2, 7}, {100, 16}}), (Outcome{{2, 7, 16}, 0, 0}));
  EXPECT_EQ(refusal(Embedding{100, 16}, {{2, 7}, {16, 100}}),
            "the table (16, 100) does not have 100 entries of 16 features");
}

// (5 − 1)·2 − 2·1 + 3 + 1 = 10 rows; 4·5·5 inputs meet 6/2·3·3 weights each.
TEST(OtherOperators, TransposedConvolution) {
  const TransposedConvolution op{.out_channels = 6, .kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2,
                                 .padding_h = 1, .padding_w = 1, .output_padding_h = 1, .output_padding_w = 1,
                                 .groups = 2, .bias = true};
  EXPECT_EQ(outcome_of(op, {{1, 4, 5, 5}}), (Outcome{{1, 6, 10, 10}, 6 * 2 * 9 + 6, 100 * 27}));
  TransposedConvolution cut = op;
  cut.padding_h = 6;
  EXPECT_EQ(refusal(cut, {{1, 4, 5, 5}}), "nothing of input (1, 4, 5, 5) remains");
}

TEST(OtherOperators, WindowPool) {
  WindowPool op{.kernel_h = 3, .kernel_w = 2, .stride_h = 2, .stride_w = 1, .padding_bottom = 1, .dilation_w = 2};
  EXPECT_EQ(outcome_of(op, {{1, 4, 8, 8}}), (Outcome{{1, 4, 4, 6}, 0, 0}));
  op.padding_top = 3;
  EXPECT_EQ(refusal(op, {{1, 4, 8, 8}}), "padding is 3, must be in [0, 2] for input (1, 4, 8, 8)");
}

TEST(OtherOperators, ReduceKeepsOrDropsDimensions) {
  EXPECT_EQ(outcome_of(Reduce{"mean", {1, 3}}, {{2, 3, 4, 5}}), (Outcome{{2, 1, 4, 1}, 0, 0}));
  EXPECT_EQ(outcome_of(Reduce{"max", {1, 3}, false}, {{2, 3, 4, 5}}), (Outcome{{2, 4}, 0, 0}));
  EXPECT_EQ(outcome_of(Reduce{"sum", {0}, false}, {{7}}), (Outcome{{1}, 0, 0}));
  EXPECT_EQ(refusal(Reduce{"sum", {1, 0}}, {{7, 2}}), "axes must increase");
}

TEST(OtherOperators, MoveData) {
  EXPECT_EQ(outcome_of(Reshape{{2, 12}}, {{2, 3, 4}}), (Outcome{{2, 12}, 0, 0}));
  EXPECT_EQ(refusal(Reshape{{2, 11}}, {{2, 3, 4}}), "(2, 11) and input (2, 3, 4) do not have the same number of elements");
  EXPECT_EQ(outcome_of(Transpose{{2, 0, 1}}, {{2, 3, 4}}), (Outcome{{4, 2, 3}, 0, 0}));
  EXPECT_EQ(refusal(Transpose{{0, 0, 1}}, {{2, 3, 4}}), "axis 0 occurs twice in the permutation");
  EXPECT_EQ(outcome_of(Slice{{1, 9}, {1, 4}, {1, -3}}, {{2, 10}}), (Outcome{{1, 4}, 0, 0}));
  EXPECT_EQ(refusal(Slice{{1, 8}, {1, 4}, {1, -3}}, {{2, 10}}), "leaves input (2, 10) along dimension 1");
  EXPECT_EQ(outcome_of(Pad{{0, 1}, {0, 2}}, {{2, 10}}), (Outcome{{2, 13}, 0, 0}));
  EXPECT_EQ(outcome_of(Resize{{1, 3, 8, 8}}, {{1, 3, 4, 4}}), (Outcome{{1, 3, 8, 8}, 0, 0}));
  EXPECT_EQ(outcome_of(Expand{{5, 2, 4}}, {{2, 1}}), (Outcome{{5, 2, 4}, 0, 0}));
  EXPECT_EQ(refusal(Expand{{5, 1, 4}}, {{2, 1}}), "input (2, 1) does not expand to (5, 1, 4)");
  EXPECT_EQ(outcome_of(TopK{3, true}, {{2, 10}}), (Outcome{{2, 3}, 0, 0}));
  EXPECT_EQ(outcome_of(Outputs{}, {{2, 10}, {3, 4, 5}}), (Outcome{{2, 10}, 0, 0}));
}

TEST(OtherOperators, DeformableSamplingPutsTapsSideBySide) {
  const DeformableSampling same{.padding_h = 1, .padding_w = 1};
  EXPECT_EQ(outcome_of(same, {{2, 5, 8, 6}, {2, 18, 8, 6}}), (Outcome{{2, 45, 8, 6}, 0, 0}));
  const DeformableSampling square{.kernel_h = 5, .kernel_w = 3, .stride_h = 2, .padding_h = 2, .dilation_w = 2, .range = 4, .square = true};
  EXPECT_EQ(outcome_of(square, {{1, 2, 9, 9}, {1, 1, 5, 5}}), (Outcome{{1, 30, 5, 5}, 0, 0}));
  EXPECT_EQ(refusal(same, {{1, 5, 8, 8}, {1, 9, 8, 8}}), "needs offsets (1, 18, 8, 8) for input (1, 5, 8, 8), got (1, 9, 8, 8)");
  EXPECT_EQ(refusal(DeformableSampling{.range = -1}, {{1, 5, 8, 8}, {1, 18, 6, 6}}),
            "range is -1, must be in [0, 2147483647] for input (1, 5, 8, 8) and (1, 18, 6, 6)");
  EXPECT_EQ(refusal(same, {{1, 5, 8}, {1, 18, 8, 8}}), "needs an (N, C, H, W) input, got (1, 5, 8) and (1, 18, 8, 8)");
  EXPECT_EQ(refusal(DeformableSampling{}, {{1, 5, 2, 8}, {1, 18, 1, 6}}),
            "a 3x3 kernel with dilation 1x1 does not fit input (1, 5, 2, 8) with padding 0x0");
}

TEST(OtherOperators, CountWhatTheySay) {
  EXPECT_EQ(outcome_of(Other{"lstm", {3, 4}, 1000, 77}, {{2, 10}}), (Outcome{{3, 4}, 77, 1000}));
  EXPECT_EQ(outcome_of(Elementwise{"where"}, {{4}, {2, 1}, {3, 1, 1}}), (Outcome{{3, 2, 4}, 0, 0}));
  EXPECT_EQ(outcome_of(RmsNormalization{}, {{2, 10}}), (Outcome{{2, 10}, 10, 0}));
}

TEST(NetworkMemory, PeakActivationsLiveUntilTheirLastUse) {
  Network network;
  const NodeId x = network.add("x", Input{{1, 10}});
  const NodeId wide = network.add("wide", Linear{100}, {x});
  const NodeId table = network.add("table", Constant{{1, 1000}});
  const NodeId narrow = network.add("narrow", Linear{5}, {wide});
  network.add("sum", Reduce{"sum", {1}}, {table});
  network.add("end", Concat{}, {narrow, x});
  EXPECT_EQ(network.peak_activations(), 10 + 100 + 5);  // constants are no activations

  // Inputs are there from the beginning, wherever they stand.
  Network early, late;
  for (Network* order : {&early, &late}) {
    const bool first = order == &early;
    NodeId second = 0;
    const NodeId image = order->add("image", Input{{1, 1, 8, 8}});
    if (first) second = order->add("second", Input{{1, 16}});
    const NodeId tripled = order->add("tripled", Concat{}, {image, image, image});
    const NodeId flat = order->add("flat", Flatten{}, {order->add("mean", GlobalPool{}, {tripled})});
    if (!first) second = order->add("second", Input{{1, 16}});
    order->add("both", Concat{}, {flat, second});
    EXPECT_EQ(order->peak_activations(), 64 + 16 + 192);
  }
}

// --- Fingerprints ---

TEST(NetworkFingerprint, ChangesWithEveryAttribute) {
  const std::vector<Operator> variants = {
      Convolution{},
      Convolution{.out_channels = 2},
      Convolution{.kernel_h = 2},
      Convolution{.kernel_w = 2},
      Convolution{.stride_h = 2},
      Convolution{.stride_w = 2},
      Convolution{.padding_h = 1},
      Convolution{.padding_w = 1},
      Convolution{.dilation_h = 2},
      Convolution{.dilation_w = 2},
      Convolution{.out_channels = 2, .groups = 2},
      Convolution{.bias = true},
      Linear{},
      Linear{.out_features = 2},
      Linear{.bias = false},
      Pool{},
      Pool{.kind = Pool::Kind::average},
      Pool{.kernel = 3},
      Pool{.stride = 1},
      Pool{.padding = 1},
      Pool{.count_include_pad = true},
      GlobalPool{},
      Concat{},
      Concat{.axis = 2},
      Activation{},
      Activation{Activation::Kind::relu6},
      Activation{Activation::Kind::gelu},
      BatchNormalization{},
      LayerNormalization{},
      Softmax{},
      Softmax{.axis = 1},
      Flatten{},
      Identity{},
      Embedding{},
      Embedding{2, 1},
      Embedding{1, 2},
      TransposedConvolution{},
      TransposedConvolution{.output_padding_h = 1},
      WindowPool{},
      WindowPool{.kernel_w = 2},
      WindowPool{.kernel_w = 2, .padding_right = 1},
      Elementwise{"sqrt"},
      Elementwise{"neg"},
      Reduce{"mean", {2, 3}},
      Reduce{"mean", {2, 3}, false},
      Reduce{"max", {2, 3}},
      Reduce{"max", {3}},
      RmsNormalization{},
      Reshape{{4, 81}},
      Reshape{{81, 4}},
      Transpose{{0, 1, 3, 2}},
      Transpose{{0, 2, 1, 3}},
      Slice{{0, 0, 0, 0}, {1, 2, 9, 9}, {1, 1, 1, 1}},
      Slice{{0, 1, 0, 0}, {1, 2, 9, 9}, {1, 1, 1, 1}},
      Slice{{0, 0, 0, 0}, {1, 2, 9, 9}, {1, 2, 1, 1}},
      Pad{{0, 0, 1, 0}, {0, 0, 0, 0}},
      Pad{{0, 0, 0, 0}, {0, 0, 1, 0}},
      Resize{{1, 4, 18, 18}},
      Resize{{1, 4, 18, 18}, "linear"},
      Expand{{2, 4, 9, 9}},
      TopK{2},
      TopK{2, true},
      Other{"lstm", {1}, 1, 2},
      Other{"lstm", {1}, 2, 2},
      Other{"gru", {1}, 1, 2},
      Outputs{},
  };
  std::set<Fingerprint> fingerprints;
  for (const Operator& op : variants) {
    Network network = with_inputs({{1, 4, 9, 9}});
    network.add("node", op, {0});
    EXPECT_TRUE(fingerprints.insert(network.fingerprint()).second) << name_of(op);
  }
  for (const Operator& op : {Operator(MatMul{}), Operator(MatMul{.transpose_b = true}), Operator(Add{}),
                             Operator(Multiply{}), Operator(Concat{})}) {
    Network network = with_inputs({{1, 4, 9, 9}});
    network.add("node", op, {0, 0});
    EXPECT_TRUE(fingerprints.insert(network.fingerprint()).second) << name_of(op);
  }
  for (const bool square : {false, true}) {
    for (const std::int64_t range : {0, 3}) {
      Network network = with_inputs({{1, 4, 9, 9}, {1, square ? 1 : 18, 7, 7}});
      network.add("node", DeformableSampling{.range = range, .square = square}, {0, 1});
      EXPECT_TRUE(fingerprints.insert(network.fingerprint()).second);
    }
  }
  for (const Operator& op :
       {Operator(Input{{1, 4, 9, 9}}), Operator(Input{{1, 4, 9}}), Operator(Input{{1, 4, 9, 8}}),
        Operator(Zeros{{1, 4, 9, 9}}), Operator(Zeros{{2, 4, 9, 9}})}) {
    Network network;
    network.add("node", op);
    EXPECT_TRUE(fingerprints.insert(network.fingerprint()).second) << name_of(op);
  }
}

TEST(NetworkFingerprint, DependsOnTheOrderOfInputs) {
  Network ab = with_inputs({{1, 4, 4}, {1, 4, 4}});
  Network ba = ab;
  ab.add("product", MatMul{}, {0, 1});
  ba.add("product", MatMul{}, {1, 0});
  EXPECT_NE(ab.fingerprint(), ba.fingerprint());
}

// Stored results are found by their fingerprints: these may never change.
TEST(NetworkFingerprint, IsStableAcrossVersions) {
  Network network;
  const NodeId x = network.add("x", Input{{1, 3, 32, 32}});
  const NodeId y = network.add("y", square_convolution(16, 3, 1, 1), {x});
  network.add("z", Activation{}, {y});
  EXPECT_EQ(network.fingerprint().hex(), "c0648a52cbfe5af58febbf635d986f11");
}

}  // namespace
}  // namespace duet
