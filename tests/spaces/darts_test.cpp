#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/spaces/read_space.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace duet::testing;

/// DARTS_V2 of the authors' genotypes.py: the cells that the paper reports as second order.
constexpr const char* second_order =
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])";

std::string fixed(const std::string& genotype, const std::string& more = "") {
  return "network: {type: darts, genotype: \"" + genotype + "\"" + more + "}";
}

// The nodes choose among 1, 3, 6 and 10 pairs, and two of seven operations each.
TEST(Darts, HasTwoCellsOfFourNodes) {
  const DesignSpace space = read_space("network: {type: darts}");
  EXPECT_EQ(space.space().size(), 24u);
  EXPECT_EQ(space.space().paths().front(), "network.normal.node2.inputs");
  EXPECT_EQ(space.space().paths().back(), "network.reduction.node5.operation2");
  const std::uint64_t cell = 1 * 3 * 6 * 10 * 5'764'801ULL;
  EXPECT_EQ(space.space().cardinality().exact, cell * cell);
  EXPECT_EQ(read_space("network: {type: darts, operators: [none, skip_connect]}").space().cardinality().exact,
            180ULL * 180 * 65'536);
}

// The paper has 3.3 and 4.7 million parameters. It has 574 million multiply-adds too, which nobody found again in the
// authors' code: ptflops counts 544.59 million there (github.com/quark0/darts, issue 46), with two for each normalised value,
// one for each ReLU, each input of a pooling and each bias.
TEST(Darts, CountsOfThePublishedCells) {
  const DesignSpace cifar = read_space(fixed(second_order));
  ASSERT_EQ(cifar.space().cardinality().exact, 1u);
  EXPECT_EQ(network_of(cifar, cifar.space().unrank(0)).parameters(), 3'349'342);
  const DesignSpace imagenet =
      read_space(fixed(second_order, ", stem: imagenet, cells: 14, channels: 48, input: [3, 224, 224], classes: 1000"));
  const Network network = network_of(imagenet, imagenet.space().unrank(0));
  EXPECT_EQ(std::llround(static_cast<double>(network.parameters()) / 1e5), 47);
  std::int64_t operations = network.macs() + 1000;
  for (const Node& node : network.nodes()) {
    const std::int64_t size = elements(node.shape);
    if (std::holds_alternative<BatchNormalization>(node.op)) operations += 2 * size;
    if (std::holds_alternative<Activation>(node.op)) operations += size;
    if (std::holds_alternative<Pool>(node.op) || std::holds_alternative<GlobalPool>(node.op)) {
      operations += elements(network.node(node.inputs[0]).shape);
    }
  }
  EXPECT_EQ(std::llround(static_cast<double>(operations) / 1e4), 54'459);
  EXPECT_EQ(network.macs(), 529'911'552);
}

TEST(Darts, CandidatesAreFixedByTheirGenotype) {
  const DesignSpace space = read_space("network: {type: darts, cells: 4, channels: 4}");
  Random random(1, "test");
  for (int i = 0; i < 30; ++i) {
    const Candidate candidate = space.space().sample(random);
    const std::string text = space.label(candidate, "network.genotype");
    const DesignSpace again = read_space(fixed(text, ", cells: 4, channels: 4"));
    const Candidate only = again.space().unrank(0);
    EXPECT_EQ(again.label(only, "network.genotype"), text);
    EXPECT_TRUE(network_of(again, only) == network_of(space, candidate));
  }
  // Terms in ascending order of what they read.
  const DesignSpace published = read_space(fixed(second_order));
  EXPECT_THAT(published.label(published.space().unrank(0), "network.genotype"),
              StartsWith("Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
                         "('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), ('skip_connect', 0), "
                         "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "));
}

constexpr const char* skips =
    "Genotype(normal=[(skip_connect,0),(skip_connect,1),(skip_connect,0),(skip_connect,1),(skip_connect,0),"
    "(skip_connect,1),(skip_connect,0),(skip_connect,1)],normal_concat=range(2,6),reduce=[(skip_connect,0),"
    "(skip_connect,1),(skip_connect,0),(skip_connect,1),(skip_connect,0),(skip_connect,1),(skip_connect,0),"
    "(skip_connect,1)],reduce_concat=range(2,6))";

// Counted by hand: one input channel, 4×4, cells of 2, 4 and 8 channels, the last two of them reductions.
TEST(Darts, CountsOfTheSkeleton) {
  const DesignSpace space = read_space(fixed(skips, ", cells: 3, channels: 2, input: [1, 4, 4], classes: 2"));
  const Network network = network_of(space, space.space().unrank(0));
  // Stem 6·9, its normalisation; first cell 2·(6·2 + 4); second 6·4 + 8 and 8·4 + 8, eight reductions of 2·(4·2) + 8;
  // third a reduction 2·(8·4) + 16, 16·8 + 16, eight reductions of 2·(8·4) + 16; classifier 32·2 + 2.
  EXPECT_EQ(network.parameters(), 54 + 12 + 32 + 32 + 40 + 8 * 24 + 80 + 144 + 8 * 80 + 66);
  // The same without normalisations and biases, at 16, 16, 16, 4, 4, 4 and 1 positions.
  EXPECT_EQ(network.macs(), 54 * 16 + 24 * 16 + (24 + 32) * 16 + 8 * 16 * 4 + 64 * 4 + 128 * 4 + 8 * 64 + 64);
}

TEST(Darts, OperationsAreThoseOfThePaper) {
  std::string text = second_order;
  text = replaced(text, "('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2)",
                  "('sep_conv_5x5', 0), ('avg_pool_3x3', 1), ('dil_conv_5x5', 2)");
  const DesignSpace space = read_space(fixed(text, ", cells: 3, channels: 2, input: [3, 16, 16]"));
  const Network network = network_of(space, space.space().unrank(0));
  const auto at = [&](const std::string& name) { return network.node(network.find(name).value()); };
  const auto depthwise = [](std::int64_t kernel, std::int64_t stride, std::int64_t dilation, std::int64_t channels) {
    const std::int64_t padding = dilation * (kernel - 1) / 2;
    return Operator(Convolution{.out_channels = channels,
                                .kernel_h = kernel,
                                .kernel_w = kernel,
                                .stride_h = stride,
                                .stride_w = stride,
                                .padding_h = padding,
                                .padding_w = padding,
                                .dilation_h = dilation,
                                .dilation_w = dilation,
                                .groups = channels});
  };
  // Only what a reduction's nodes read from the two inputs is strided.
  EXPECT_EQ(at("cell2.node2.from0.conv1.depthwise").op, depthwise(5, 2, 1, 4));
  EXPECT_EQ(at("cell2.node2.from0.conv2.depthwise").op, depthwise(5, 1, 1, 4));
  EXPECT_EQ(at("cell2.node2.from1").op,
            Operator(Pool{.kind = Pool::Kind::average, .kernel = 3, .stride = 2, .padding = 1}));
  EXPECT_EQ(at("cell2.node3.from2.depthwise").op, depthwise(5, 1, 2, 4));
  EXPECT_EQ(at("cell1.node5.from2.depthwise").op, depthwise(3, 1, 2, 2));
  EXPECT_EQ(at("cell1.node4.from0").op, Operator(Identity{}));
  EXPECT_EQ(at("cell2").shape, (Shape{1, 16, 8, 8}));
  EXPECT_EQ(at("cell3").shape, (Shape{1, 32, 4, 4}));
}

TEST(Darts, NoneIsNothing) {
  std::string text = skips;
  for (std::size_t at = 0; (at = text.find("skip_connect", at)) != std::string::npos;) text.replace(at, 12, "none");
  const DesignSpace space = read_space(fixed(text, ", cells: 3, channels: 2"));
  const Network network = network_of(space, space.space().unrank(0));
  EXPECT_EQ(network.node(network.find("cell1.node2").value()).op, Operator(Zeros{{1, 2, 32, 32}}));
  EXPECT_EQ(network.node(network.find("cell2.node5").value()).op, Operator(Zeros{{1, 4, 16, 16}}));
}

TEST(Darts, RefusesWhatMakesNoSense) {
  EXPECT_THAT(refusal(fixed("DARTS_V3")), HasSubstr("expected 'Genotype(normal=['"));
  EXPECT_THAT(refusal(fixed("DARTS_V3")), StartsWith("space.yaml:1:"));
  EXPECT_THAT(refusal(fixed(replaced(second_order, "dil_conv_3x3", "dil_conv_3x4"))),
              HasSubstr("unknown operation 'dil_conv_3x4'; did you mean 'dil_conv_3x3'?"));
  EXPECT_THAT(refusal(fixed(replaced(second_order, "('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)"))),
              HasSubstr("node 5 reads two of the states 0 to 4"));
  EXPECT_THAT(refusal(fixed(replaced(second_order, "('dil_conv_3x3', 2)", "('dil_conv_3x3', 0)"))),
              HasSubstr("node 5 reads state 0 twice"));
  EXPECT_THAT(refusal(fixed(replaced(second_order, "normal_concat=[2, 3, 4, 5]", "normal_concat=[4, 5]"))),
              HasSubstr("must join nodes 2 to 5"));
  EXPECT_THAT(refusal(fixed(std::string(second_order) + ")")), HasSubstr("follows"));
  EXPECT_THAT(refusal("network: {type: darts, input: [3, 30, 32]}"), HasSubstr("multiples of 4"));
  EXPECT_THAT(refusal("network: {type: darts, stem: imagenet, input: [3, 48, 64]}"), HasSubstr("multiples of 32"));
  EXPECT_THAT(refusal("network: {type: darts, channels: 7}"), HasSubstr("must be even"));
}

TEST(Darts, RandomCandidatesAreNetworks) {
  const DesignSpace space = read_space(
      "network: {type: darts, cells: 6, operators: [max_pool_3x3, avg_pool_3x3, skip_connect, sep_conv_3x3, "
      "sep_conv_5x5, dil_conv_3x3, dil_conv_5x5, none]}");
  Random random(1, "test");
  for (int i = 0; i < 200; ++i) {
    const Candidate candidate = space.space().sample(random);
    const Network network = network_of(space, candidate);
    EXPECT_EQ(network.node(network.output()).shape, (Shape{1, 10}));
    EXPECT_EQ(quantity(space, candidate, "network.macs"), static_cast<double>(network.macs()));
  }
}

}  // namespace
}  // namespace duet
