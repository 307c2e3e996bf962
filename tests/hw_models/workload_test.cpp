#include "hw_models/workload.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;

WorkloadFile read(const std::string& text) { return read_workload(Config::parse(text, "w.yaml")); }

std::string refusal(const std::string& text) {
  try {
    read(text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Workload, ALayerByItself) {
  const WorkloadFile file = read("convolution: {in_channels: 6, out_channels: 8, groups: 2, input: [9, 7], kernel: [3, 2], "
                                 "stride: 2, padding: [1, 0], dilation: [1, 2], batch: 4}");
  ASSERT_EQ(file.layers.size(), 1U);
  EXPECT_EQ(file.layers[0].name, "layer");
  EXPECT_EQ(file.layers[0].einsum(),
            convolution_einsum({.batch = 4, .groups = 2, .out_channels = 4, .in_channels = 3, .output_h = 5, .output_w = 3,
                                .kernel_h = 3, .kernel_w = 2, .stride_h = 2, .stride_w = 2, .dilation_h = 1, .dilation_w = 2}));
  const auto& work = std::get<SystolicWorkload>(file.layers[0].work);
  EXPECT_EQ(work.input_h, 9);
  EXPECT_EQ(work.padding_h, 1);
  // From the output: the smallest image that makes it.
  const WorkloadFile output = read("convolution: {in_channels: 1, out_channels: 1, output: 5, kernel: 3, stride: 2, padding: 1}");
  EXPECT_EQ(std::get<SystolicWorkload>(output.layers[0].work).input_h, 9);
  EXPECT_EQ(read("matrix: {rows: 4, columns: 2, sum: 6, count: 3}").layers[0].einsum(), matrix_einsum(4, 2, 6, 3));
}

TEST(Workload, AnEinsumIsWrittenAsItIs) {
  const Einsum e = read("einsum:\n  dimensions: {M: 8, C: 3, P: 5, R: 2}\n  weight: [M, C, R]\n  input: [C, P*2 + 3*R]\n"
                        "  output: [M, P]\n").layers[0].einsum();
  EXPECT_EQ(e.macs(), 8 * 3 * 5 * 2);
  const IndexExpression& axis = e.tensor(Tensor::input).axes[1];
  EXPECT_EQ(axis, (IndexExpression{{2, 2}, {3, 3}}));
  EXPECT_EQ(e.box_words(Tensor::input), 3 * (4 * 2 + 3 + 1));
}

TEST(Workload, EqualLayersAreCostedOnce) {
  const WorkloadFile file = read("name: block\nlayers:\n- matrix: {rows: 1, columns: 2, sum: 3}\n  repeats: 2\n"
                                 "- {name: other, matrix: {rows: 2, columns: 2, sum: 3}}\n"
                                 "- {name: same, convolution: {in_channels: 3, out_channels: 2, output: 1}}\n");
  EXPECT_EQ(file.name, "block");
  const std::vector<RepeatedEinsum> found = einsums(file.layers);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].repeats, 3) << "a 1×1 image under a 1×1 kernel is a matrix product";
  EXPECT_EQ(found[0].names, (std::vector<std::string>{"layer1", "same"}));
  EXPECT_EQ(read("network: resnet18").network, "resnet18");
}

TEST(Workload, WhatIsWrongIsSaid) {
  EXPECT_THAT(refusal("[]"), HasSubstr("a workload is a mapping"));
  EXPECT_THAT(refusal("name: x"), HasSubstr("one of 'convolution', 'matrix' and 'einsum'"));
  EXPECT_THAT(refusal("{matrix: {rows: 1, columns: 1, sum: 1}, repeats: 0}"), HasSubstr("w.yaml:1:"));
  EXPECT_THAT(refusal("layers: []"), HasSubstr("no layer"));
  EXPECT_THAT(refusal("layers: [{name: a, matrix: {rows: 1, columns: 1, sum: 1}}, {name: a, matrix: {rows: 1, columns: 1, sum: 1}}]"),
              HasSubstr("two layers are called 'a'"));
  EXPECT_THAT(refusal("convolution: {in_channels: 1, out_channels: 1}"), HasSubstr("either 'input' or 'output'"));
  EXPECT_THAT(refusal("convolution: {in_channels: 1, out_channels: 1, input: 2, kernel: 3}"), HasSubstr("a window of 3×3 does not fit"));
  EXPECT_THAT(refusal("convolution: {in_channels: 1, out_channels: 1, output: 1, kernel: 1, padding: 4}"), HasSubstr("padding alone"));
  EXPECT_THAT(refusal("convolution: {in_channels: 1, out_channels: 1, output: [1, 2, 3]}"), HasSubstr("[height, width]"));
  EXPECT_THAT(refusal("matrix: {rows: 1099511627776, columns: 1099511627776, sum: 4}"), HasSubstr("2^53"));
  EXPECT_THAT(refusal("einsum: {dimensions: {M: 2}, weight: [M], input: [M*x], output: [M]}"), HasSubstr("whole coefficients"));
  EXPECT_THAT(refusal("einsum: {dimensions: {M: 2}, weight: [M], input: [M], output: [2*M]}"), HasSubstr("an axis of the output"));
}

}  // namespace
}  // namespace duet
