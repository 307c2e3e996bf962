// Every operator against numbers worked out by hand.
#include "spaces/execution.hpp"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <initializer_list>
#include <limits>

namespace duet {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;
using Values = std::vector<float>;

struct Result {
  Shape shape;
  Values values;
};

/// The operator alone on given inputs with given tensors.
Result run(Operator op, const std::vector<FloatTensor>& inputs, std::vector<FloatTensor> weights = {}) {
  Network network;
  std::vector<NodeId> ids;
  for (const FloatTensor& input : inputs) ids.push_back(network.add("x" + std::to_string(ids.size()), Input{input.shape}));
  const NodeId y = network.add("y", std::move(op), ids);
  NetworkWeights all(y);
  all.push_back(std::move(weights));
  const std::vector<FloatTensor> outputs = execute(network, all, inputs);
  EXPECT_EQ(outputs.size(), 1u);
  EXPECT_EQ(outputs.front().shape, network.node(y).shape);
  return {outputs.front().shape, outputs.front().values};
}

Values values_of(Operator op, const std::vector<FloatTensor>& inputs, std::vector<FloatTensor> weights = {}) {
  return run(std::move(op), inputs, std::move(weights)).values;
}

Values counted(int last) {
  Values values;
  for (int i = 1; i <= last; ++i) values.push_back(static_cast<float>(i));
  return values;
}

::testing::Matcher<Values> near(const Values& expected) { return Pointwise(FloatNear(1e-5F), expected); }

TEST(Execution, Convolution) {
  const FloatTensor image{{1, 1, 3, 3}, counted(9)};
  const FloatTensor kernel{{1, 1, 2, 2}, {1, 2, 3, 4}};
  EXPECT_THAT(values_of(Convolution{.kernel_h = 2, .kernel_w = 2}, {image}, {kernel}), ElementsAre(37, 47, 67, 77));
  EXPECT_THAT(values_of(Convolution{.kernel_h = 2, .kernel_w = 2, .bias = true}, {image}, {kernel, {{1}, {0.5}}}),
              ElementsAre(37.5, 47.5, 67.5, 77.5));
  // Padding 1 and stride 2: the windows at the corners see the image in their last element, and so on.
  EXPECT_THAT(values_of(Convolution{.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2, .padding_h = 1, .padding_w = 1},
                        {image}, {kernel}),
              ElementsAre(4, 3 * 2 + 4 * 3, 2 * 4 + 4 * 7, 77));
  EXPECT_THAT(values_of(Convolution{.kernel_h = 2, .kernel_w = 2, .dilation_h = 2, .dilation_w = 2}, {image}, {kernel}),
              ElementsAre(1 + 2 * 3 + 3 * 7 + 4 * 9));
  // Width alone is padded, wider than the image.
  EXPECT_THAT(values_of(Convolution{.kernel_w = 3, .padding_w = 3}, {FloatTensor{{1, 1, 1, 2}, {5, 7}}},
                        {FloatTensor{{1, 1, 1, 3}, {1, 2, 3}}}),
              ElementsAre(0, 15, 2 * 5 + 3 * 7, 5 + 2 * 7, 7, 0));
  // Two groups of one channel, two outputs each, on two images.
  const FloatTensor pair{{2, 2, 1, 1}, {1, 10, 2, 20}};
  EXPECT_THAT(values_of(Convolution{.out_channels = 4, .groups = 2}, {pair}, {FloatTensor{{4, 1, 1, 1}, {1, 2, 3, 4}}}),
              ElementsAre(1, 2, 30, 40, 2, 4, 60, 80));
  EXPECT_THAT(values_of(Convolution{.out_channels = 2}, {pair}, {FloatTensor{{2, 2, 1, 1}, {1, 2, 3, 4}}}),
              ElementsAre(21, 43, 42, 86));
}

TEST(Execution, TransposedConvolution) {
  const FloatTensor image{{1, 1, 2, 2}, counted(4)}, kernel{{1, 1, 2, 2}, {1, 2, 3, 4}};
  TransposedConvolution op{.kernel_h = 2, .kernel_w = 2};
  EXPECT_THAT(values_of(op, {image}, {kernel}), ElementsAre(1, 4, 4, 6, 20, 16, 9, 24, 16));
  op.padding_h = op.padding_w = 1;
  EXPECT_THAT(values_of(op, {image}, {kernel}), ElementsAre(20));
  op = {.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2, .bias = true};
  EXPECT_THAT(values_of(op, {image}, {kernel, {{1}, {1}}}),
              ElementsAre(2, 3, 3, 5, 4, 5, 7, 9, 4, 7, 5, 9, 10, 13, 13, 17));
  op = {.kernel_h = 2, .kernel_w = 2, .dilation_h = 2, .dilation_w = 2};
  EXPECT_THAT(values_of(op, {FloatTensor{{1, 1, 1, 1}, {5}}}, {kernel}), ElementsAre(5, 0, 10, 0, 0, 0, 15, 0, 20));
  op = {.stride_h = 2, .stride_w = 2, .output_padding_h = 1};
  EXPECT_THAT(values_of(op, {FloatTensor{{1, 1, 1, 2}, {5, 6}}}, {FloatTensor{{1, 1, 1, 1}, {1}}}), ElementsAre(5, 0, 6, 0, 0, 0));
  // (in, out / groups): two groups with one input and two outputs each.
  op = {.out_channels = 4, .groups = 2};
  EXPECT_THAT(values_of(op, {FloatTensor{{1, 2, 1, 1}, {1, 10}}}, {FloatTensor{{2, 2, 1, 1}, {1, 2, 3, 4}}}),
              ElementsAre(1, 2, 30, 40));
}

TEST(Execution, Products) {
  const FloatTensor matrix{{2, 3}, counted(6)};
  EXPECT_THAT(values_of(Linear{2, true}, {matrix}, {{{2, 3}, {1, 0, 1, 0, 1, 0}}, {{2}, {10, 20}}}),
              ElementsAre(14, 22, 20, 25));
  EXPECT_THAT(values_of(Linear{1, false}, {FloatTensor{{1, 2, 5}, counted(10)}}, {{{1, 5}, {1, 1, 1, 1, 1}}}),
              ElementsAre(15, 40));
  EXPECT_THAT(values_of(MatMul{}, {matrix, {{3, 1}, {1, 2, 3}}}), ElementsAre(14, 32));
  EXPECT_THAT(values_of(MatMul{true}, {matrix, {{1, 3}, {1, 2, 3}}}), ElementsAre(14, 32));
  // (2, 1, 1, 2) by (3, 2, 1): the leading dimensions broadcast to (2, 3).
  EXPECT_THAT(values_of(MatMul{}, {{{2, 1, 1, 2}, {1, 2, 3, 4}}, {{3, 2, 1}, {1, 0, 0, 1, 1, 1}}}),
              ElementsAre(1, 2, 3, 3, 4, 7));
}

TEST(Execution, Pools) {
  const FloatTensor image{{1, 1, 3, 3}, counted(9)};
  using Kind = Pool::Kind;
  EXPECT_THAT(values_of(Pool{Kind::max, 2, 1, 0}, {image}), ElementsAre(5, 6, 8, 9));
  EXPECT_THAT(values_of(Pool{Kind::average, 2, 1, 0}, {image}), ElementsAre(3, 4, 6, 7));
  EXPECT_THAT(values_of(Pool{Kind::average, 2, 2, 1, true}, {image}), near({0.25F, 1.25F, 2.75F, 7}));
  EXPECT_THAT(values_of(Pool{Kind::average, 2, 2, 1, false}, {image}), near({1, 2.5F, 5.5F, 7}));
  // Padding never wins.
  EXPECT_THAT(values_of(Pool{Kind::max, 2, 2, 1}, {FloatTensor{{1, 1, 2, 2}, {-1, -2, -3, -4}}}), ElementsAre(-1, -2, -3, -4));
  EXPECT_THAT(values_of(WindowPool{.kernel_h = 2, .kernel_w = 2, .stride_h = 1, .stride_w = 1, .dilation_h = 2, .dilation_w = 2},
                        {image}),
              ElementsAre(9));
  EXPECT_THAT(values_of(WindowPool{.kernel_h = 1, .kernel_w = 2, .stride_h = 3, .stride_w = 2, .padding_right = 1}, {image}),
              ElementsAre(2, 3));
  EXPECT_THAT(values_of(GlobalPool{}, {FloatTensor{{1, 2, 1, 2}, {1, 3, 5, 8}}}), ElementsAre(2, 6.5));
}

TEST(Execution, SumsAndProductsBroadcast) {
  const FloatTensor column{{2, 1}, {1, 2}}, row{{3}, {10, 20, 30}}, one{{1}, {100}};
  EXPECT_THAT(values_of(Add{}, {column, row, one}), ElementsAre(111, 121, 131, 112, 122, 132));
  EXPECT_THAT(values_of(Multiply{}, {column, row}), ElementsAre(10, 20, 30, 20, 40, 60));
}

TEST(Execution, Activations) {
  const FloatTensor x{{1, 4}, {-4, -1, 1, 7}};
  using Kind = Activation::Kind;
  EXPECT_THAT(values_of(Activation{Kind::relu}, {x}), near({0, 0, 1, 7}));
  EXPECT_THAT(values_of(Activation{Kind::relu6}, {x}), near({0, 0, 1, 6}));
  EXPECT_THAT(values_of(Activation{Kind::sigmoid}, {x}), near({0.0179862F, 0.2689414F, 0.7310586F, 0.9990889F}));
  EXPECT_THAT(values_of(Activation{Kind::tanh}, {x}), near({-0.9993293F, -0.7615942F, 0.7615942F, 0.9999983F}));
  EXPECT_THAT(values_of(Activation{Kind::hard_swish}, {x}), near({0, -1.0F / 3, 2.0F / 3, 7}));
  EXPECT_THAT(values_of(Activation{Kind::silu}, {x}), near({-0.0719448F, -0.2689414F, 0.7310586F, 6.9936226F}));
  EXPECT_THAT(values_of(Activation{Kind::gelu}, {x}), near({-0.0001267F, -0.1586553F, 0.8413447F, 7}));
}

TEST(Execution, Normalisations) {
  const FloatTensor x{{2, 2}, {1, 3, 5, 7}};
  // (x − mean) / √(variance + ε) · scale + shift
  EXPECT_THAT(values_of(BatchNormalization{}, {x}, {{{2}, {2, 1}}, {{2}, {0, 10}}, {{2}, {1, 5}}, {{2}, {4, 1}}}),
              near({0, 8.00001F, 4 - 5e-6F, 12 - 1e-5F}));
  EXPECT_THAT(values_of(BatchNormalization{}, {FloatTensor{{1, 2, 1, 2}, {1, 2, 3, 4}}},
                        {{{2}, {1, 1}}, {{2}, {0, 0}}, {{2}, {0, 1}}, {{2}, {1, 1}}}),
              near({1 - 5e-6F, 2 - 1e-5F, 2 - 1e-5F, 3 - 1.5e-5F}));
  EXPECT_THAT(values_of(LayerNormalization{}, {x}, {{{2}, {1, 2}}, {{2}, {0, 5}}}), near({-0.999995F, 6.99999F, -0.999995F, 6.99999F}));
  EXPECT_THAT(values_of(LayerNormalization{3}, {x}, {{{2}, {1, 1}}, {{2}, {0, 0}}}), near({-0.5F, 0.5F, -0.5F, 0.5F}));
  EXPECT_THAT(values_of(RmsNormalization{}, {FloatTensor{{1, 2}, {1, 7}}}, {{{2}, {1, 10}}}), near({0.2F, 14}));
  EXPECT_THAT(values_of(RmsNormalization{11}, {FloatTensor{{1, 2}, {1, 7}}}, {{{2}, {1, 1}}}), near({1.0F / 6, 7.0F / 6}));
}

TEST(Execution, Softmax) {
  const float e = std::exp(1.0F);
  const FloatTensor x{{2, 2}, {0, 1, 1000, 1000}};
  EXPECT_THAT(values_of(Softmax{}, {x}), near({1 / (1 + e), e / (1 + e), 0.5F, 0.5F}));
  EXPECT_THAT(values_of(Softmax{0}, {x}), near({0, 0, 1, 1}));
  EXPECT_THAT(values_of(Softmax{1}, {FloatTensor{{1, 2, 2}, {0, 5, 1, 5}}}), near({1 / (1 + e), 0.5F, e / (1 + e), 0.5F}));
}

TEST(Execution, WhatMovesData) {
  const FloatTensor x{{2, 3}, counted(6)};
  EXPECT_THAT(values_of(Identity{}, {x}), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(run(Flatten{}, {FloatTensor{{1, 2, 3}, counted(6)}}).shape, (Shape{1, 6}));
  EXPECT_EQ(run(Reshape{{3, 2}}, {x}).shape, (Shape{3, 2}));
  EXPECT_THAT(values_of(Zeros{{2}}, {}), ElementsAre(0, 0));
  EXPECT_THAT(values_of(Constant{{2}}, {}, {{{2}, {3, 4}}}), ElementsAre(3, 4));
  EXPECT_THAT(values_of(Concat{1}, {x, {{2, 1}, {7, 8}}}), ElementsAre(1, 2, 3, 7, 4, 5, 6, 8));
  EXPECT_THAT(values_of(Concat{-2}, {x, {{1, 3}, {7, 8, 9}}}), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_THAT(values_of(Transpose{{1, 0}}, {x}), ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_THAT(values_of(Transpose{{2, 0, 1}}, {FloatTensor{{1, 2, 3}, counted(6)}}), ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_THAT(values_of(Slice{{1, 2}, {1, 2}, {1, -2}}, {x}), ElementsAre(6, 4));
  EXPECT_THAT(values_of(Pad{{1, 0}, {0, 2}}, {FloatTensor{{1, 2}, {1, 2}}}), ElementsAre(0, 0, 0, 0, 1, 2, 0, 0));
  EXPECT_THAT(values_of(Expand{{2, 2, 1}}, {FloatTensor{{2, 1}, {1, 2}}}), ElementsAre(1, 2, 1, 2));
  EXPECT_THAT(values_of(Embedding{3, 2}, {FloatTensor{{1, 3}, {2, 0, -1}}}, {{{3, 2}, counted(6)}}), ElementsAre(5, 6, 1, 2, 5, 6));
  EXPECT_THAT(values_of(Embedding{2, 1}, {{{2}, {1, 0}}, {{2, 1}, {7, 8}}}), ElementsAre(8, 7));
  const FloatTensor scores{{2, 4}, {3, 1, 3, 2, 1, 2, 3, 4}};
  EXPECT_THAT(values_of(TopK{3, false}, {scores}), ElementsAre(3, 3, 2, 4, 3, 2));
  EXPECT_THAT(values_of(TopK{3, true}, {scores}), ElementsAre(0, 2, 3, 3, 2, 1));
}

TEST(Execution, DeformableSampling) {
  const FloatTensor image{{1, 1, 2, 3}, {1, 2, 3, 10, 20, 30}};
  // A window of one tap: displaced by half a pixel down, by one to the right, beyond the border.
  const DeformableSampling one{.kernel_h = 1, .kernel_w = 1};
  const FloatTensor offsets{{1, 2, 2, 3}, {0.5, 0, 0, 0.5, -1, -9, 0, 1, 1, 0, 0.25, 0}};
  EXPECT_THAT(values_of(one, {image, offsets}), ElementsAre(5.5F, 3, 0, 5, 2.25F, 0));
  DeformableSampling limited = one;
  limited.range = 1;  // -9 becomes -1
  EXPECT_THAT(values_of(limited, {image, offsets}), ElementsAre(5.5F, 3, 0, 5, 2.25F, 3));
  // Two taps side by side, their distance grown by 2: half of it each way.
  const DeformableSampling wide{.kernel_h = 1, .kernel_w = 2, .square = true};
  const FloatTensor growth{{1, 1, 2, 2}, {0, 2, -1, 0}};
  EXPECT_THAT(values_of(wide, {image, growth}), ElementsAre(1, 1, 15, 20, 2, 0, 15, 30));
}

TEST(Execution, Resize) {
  const FloatTensor pair{{1, 1, 1, 2}, {1, 3}};
  EXPECT_THAT(values_of(Resize{{1, 1, 2, 4}, "nearest"}, {pair}), ElementsAre(1, 1, 3, 3, 1, 1, 3, 3));
  EXPECT_THAT(values_of(Resize{{1, 1, 1, 4}, "linear"}, {pair}), ElementsAre(1, 1.5, 2.5, 3));
  EXPECT_THAT(values_of(Resize{{1, 1, 1, 2}, "linear"}, {FloatTensor{{1, 1, 1, 4}, {1, 2, 3, 8}}}), ElementsAre(1.5, 5.5));
  // x = 1 is halfway between the second and the third: (−0.75 · ⅛ …) = −3/32, 19/32, 19/32, −3/32.
  EXPECT_THAT(values_of(Resize{{1, 1, 1, 1}, "cubic"}, {FloatTensor{{1, 1, 1, 4}, {1, 2, 3, 8}}}),
              near({(-3 * 1 + 19 * 2 + 19 * 3 - 3 * 8) / 32.0F}));
  EXPECT_THROW(values_of(Resize{{1, 1, 1, 4}, "magic"}, {pair}), NetworkError);
}

TEST(Execution, Reductions) {
  const FloatTensor x{{2, 3}, {1, -2, 3, 4, 5, -6}};
  const auto over = [&](const char* function, std::vector<std::int64_t> axes) { return values_of(Reduce{function, axes, false}, {x}); };
  EXPECT_THAT(over("sum", {1}), ElementsAre(2, 3));
  EXPECT_THAT(over("sum", {0}), ElementsAre(5, 3, -3));
  EXPECT_THAT(over("sum", {0, 1}), ElementsAre(5));
  EXPECT_THAT(over("mean", {1}), near({2.0F / 3, 1}));
  EXPECT_THAT(over("max", {1}), ElementsAre(3, 5));
  EXPECT_THAT(over("min", {1}), ElementsAre(-2, -6));
  EXPECT_THAT(over("prod", {1}), ElementsAre(-6, -120));
  EXPECT_THAT(over("l1", {1}), ElementsAre(6, 15));
  EXPECT_THAT(over("l2", {1}), near({std::sqrt(14.0F), std::sqrt(77.0F)}));
  EXPECT_THAT(over("sum_square", {1}), ElementsAre(14, 77));
  EXPECT_THAT(over("log_sum", {1}), near({std::log(2.0F), std::log(3.0F)}));
  EXPECT_THAT(values_of(Reduce{"log_sum_exp", {1}, true}, {FloatTensor{{1, 2}, {1000, 1000}}}), near({1000 + std::log(2.0F)}));
  EXPECT_EQ(run(Reduce{"sum", {1}, true}, {x}).shape, (Shape{2, 1}));
  EXPECT_THROW(over("median", {1}), NetworkError);
}

TEST(Execution, FunctionsOfOneInput) {
  const auto of = [](const char* function, std::initializer_list<float> x) {
    return values_of(Elementwise{function}, {FloatTensor{{1, static_cast<std::int64_t>(x.size())}, x}});
  };
  const float e = std::exp(1.0F), inf = std::numeric_limits<float>::infinity();
  EXPECT_THAT(of("abs", {-2, 3}), near({2, 3}));
  EXPECT_THAT(of("neg", {-2, 3}), near({2, -3}));
  EXPECT_THAT(of("reciprocal", {4, -0.5}), near({0.25F, -2}));
  EXPECT_THAT(of("sqrt", {9}), near({3}));
  EXPECT_THAT(of("exp", {0, 1}), near({1, e}));
  EXPECT_THAT(of("log", {1, e}), near({0, 1}));
  EXPECT_THAT(of("erf", {0, 1}), near({0, 0.8427008F}));
  EXPECT_THAT(of("floor", {-1.5, 1.5}), near({-2, 1}));
  EXPECT_THAT(of("ceil", {-1.5, 1.5}), near({-1, 2}));
  EXPECT_THAT(of("round", {0.5, 1.5, 2.4, -2.5}), near({0, 2, 2, -2}));
  EXPECT_THAT(of("sign", {-3, 0, 5}), near({-1, 0, 1}));
  EXPECT_THAT(of("not", {0, 1}), near({1, 0}));
  EXPECT_THAT(of("is_inf", {inf, -inf, 1}), near({1, 1, 0}));
  EXPECT_THAT(of("is_na_n", {std::nanf(""), 1}), near({1, 0}));
  EXPECT_THAT(of("sin", {1}), near({0.8414710F}));
  EXPECT_THAT(of("cos", {1}), near({0.5403023F}));
  EXPECT_THAT(of("tan", {1}), near({1.5574077F}));
  EXPECT_THAT(of("asin", {1}), near({1.5707963F}));
  EXPECT_THAT(of("acos", {0}), near({1.5707963F}));
  EXPECT_THAT(of("atan", {1}), near({0.7853982F}));
  EXPECT_THAT(of("sinh", {1}), near({1.1752012F}));
  EXPECT_THAT(of("cosh", {1}), near({1.5430806F}));
  EXPECT_THAT(of("asinh", {1}), near({0.8813736F}));
  EXPECT_THAT(of("acosh", {2}), near({1.3169579F}));
  EXPECT_THAT(of("atanh", {0.5}), near({0.5493061F}));
  EXPECT_THAT(of("softplus", {0, 100, -100}), near({0.6931472F, 100, 0}));
  EXPECT_THAT(of("softsign", {1, -3}), near({0.5F, -0.75F}));
  EXPECT_THAT(of("elu", {-1, 2}), near({1 / e - 1, 2}));
  EXPECT_THAT(of("celu", {-1, 2}), near({1 / e - 1, 2}));
  EXPECT_THAT(of("selu", {1, -1}), near({1.0507010F, -1.1113307F}));
  EXPECT_THAT(of("leaky_relu", {-1, 2}), near({-0.01F, 2}));
  EXPECT_THAT(of("thresholded_relu", {0.5, 2}), near({0, 2}));
  EXPECT_THAT(of("shrink", {-2, 0.2F, 2}), near({-2, 0, 2}));
  EXPECT_THAT(of("hard_sigmoid", {-4, 0, 1.5, 4}), near({0, 0.5F, 0.75F, 1}));
  EXPECT_THAT(of("clip", {-4, 4}), near({-4, 4}));
}

TEST(Execution, FunctionsWithSettings) {
  const auto of = [](const char* function, std::vector<float> settings, Values x) {
    return values_of(Elementwise{function, std::move(settings)}, {{{1, static_cast<std::int64_t>(x.size())}, x}});
  };
  const float e = std::exp(1.0F);
  EXPECT_THAT(of("leaky_relu", {0.25F}, {-4, 2}), near({-1, 2}));
  EXPECT_THAT(of("elu", {2}, {-1, 2}), near({2 / e - 2, 2}));
  EXPECT_THAT(of("celu", {2}, {-2, 2}), near({2 / e - 2, 2}));
  EXPECT_THAT(of("selu", {2, 3}, {1, -1}), near({3, 6 / e - 6}));
  EXPECT_THAT(of("thresholded_relu", {3}, {2, 4}), near({0, 4}));
  EXPECT_THAT(of("shrink", {0.5F, 1}, {-2, 0.7F, 3}), near({-1.5F, 0, 2.5F}));
  EXPECT_THAT(of("hard_sigmoid", {0.2F, 0.5F}, {-4, 1, 4}), near({0, 0.7F, 1}));
  EXPECT_THAT(of("clip", {-1, 2}, {-4, 0.5F, 4}), near({-1, 0.5F, 2}));
  EXPECT_THAT(of("clip", {0, std::numeric_limits<float>::infinity()}, {-4, 4}), near({0, 4}));
  EXPECT_THROW(of("leaky_relu", {1, 2}, {1}), NetworkError);
  EXPECT_THROW(of("exp", {1}, {1}), NetworkError);
}

TEST(Execution, FunctionsOfSeveralInputs) {
  const FloatTensor a{{1, 3}, {1, -2, 5}}, b{{1, 3}, {2, -2, 3}}, one{{1}, {4}};
  const auto of = [&](const char* function) { return values_of(Elementwise{function}, {a, b}); };
  EXPECT_THAT(of("sub"), ElementsAre(-1, 0, 2));
  EXPECT_THAT(of("div"), near({0.5F, 1, 5.0F / 3}));
  EXPECT_THAT(of("pow"), near({1, 0.25F, 125}));
  EXPECT_THAT(of("mod"), ElementsAre(1, 0, 2));
  EXPECT_THAT(of("max"), ElementsAre(2, -2, 5));
  EXPECT_THAT(of("min"), ElementsAre(1, -2, 3));
  EXPECT_THAT(of("mean"), ElementsAre(1.5, -2, 4));
  EXPECT_THAT(of("equal"), ElementsAre(0, 1, 0));
  EXPECT_THAT(of("less"), ElementsAre(1, 0, 0));
  EXPECT_THAT(of("less_or_equal"), ElementsAre(1, 1, 0));
  EXPECT_THAT(of("greater"), ElementsAre(0, 0, 1));
  EXPECT_THAT(of("greater_or_equal"), ElementsAre(0, 1, 1));
  EXPECT_THAT(of("prelu"), ElementsAre(1, 4, 5));
  const FloatTensor p{{1, 4}, {0, 0, 1, 1}}, q{{1, 4}, {0, 1, 0, 1}};
  EXPECT_THAT(values_of(Elementwise{"and"}, {p, q}), ElementsAre(0, 0, 0, 1));
  EXPECT_THAT(values_of(Elementwise{"or"}, {p, q}), ElementsAre(0, 1, 1, 1));
  EXPECT_THAT(values_of(Elementwise{"xor"}, {p, q}), ElementsAre(0, 1, 1, 0));
  EXPECT_THAT(values_of(Elementwise{"where"}, {{{1, 3}, {1, 0, 1}}, a, one}), ElementsAre(1, 4, 5));
  EXPECT_THAT(values_of(Elementwise{"max"}, {a, b, one}), ElementsAre(4, 4, 5));
}

TEST(Execution, SeveralInputsAndOutputs) {
  Network network;
  const NodeId x = network.add("x", Input{{1, 2}}), y = network.add("y", Input{{1, 2}});
  const NodeId sum = network.add("sum", Add{}, {x, y});
  const NodeId table = network.add("table", Constant{{2}, false});
  network.add("unused", Activation{}, {sum});
  network.add("both", Outputs{}, {sum, x, table});
  NetworkWeights weights(6);
  weights[table] = {{{2}, {8, 9}}};
  const auto outputs = execute(network, weights, {{{1, 2}, {1, 2}}, {{1, 2}, {10, 20}}});
  EXPECT_THAT(outputs, ElementsAre(FloatTensor{{1, 2}, {11, 22}}, FloatTensor{{1, 2}, {1, 2}}, FloatTensor{{2}, {8, 9}}));
}

TEST(Execution, RefusesWithASentence) {
  const auto refusal = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const NetworkError& error) {
      return error.what();
    }
    return "";
  };
  const FloatTensor x{{1, 2}, {1, 2}};
  EXPECT_EQ(refusal([&] { values_of(Other{"lstm", {1, 2}, 0, 0}, {x}); }), "node 'y' (other): 'lstm' is known by its name only");
  EXPECT_THAT(refusal([&] { values_of(Elementwise{"quantize_linear"}, {x}); }), HasSubstr("'quantize_linear' of 1 inputs"));
  EXPECT_THAT(refusal([&] { values_of(Embedding{2, 1}, {x}, {{{2, 1}, {7, 8}}}); }), HasSubstr("entry 2 is outside a table of 2"));
  EXPECT_THAT(refusal([&] { values_of(Linear{2, false}, {x}); }), HasSubstr("holds 1 tensors, got 0"));
  Network network;
  network.add("y", Identity{}, {network.add("x", Input{{1, 2}})});
  EXPECT_EQ(refusal([&] { execute(network, NetworkWeights(2), {}); }), "node 'x' (input): is not given");
  EXPECT_EQ(refusal([&] { execute(network, NetworkWeights(2), {{{2, 1}, {1, 2}}}); }),
            "node 'x' (input): has shape (1, 2), got (2, 1) with 2 numbers");
  EXPECT_EQ(refusal([&] { execute(network, NetworkWeights(2), {x, x}); }), "the network has 1 inputs, got 2");
}

}  // namespace
}  // namespace duet
