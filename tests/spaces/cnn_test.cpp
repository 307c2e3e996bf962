#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "tests/spaces/read_space.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace duet::testing;

constexpr const char* small_cnn =
    "network: {type: cnn, input: [1, 8, 8], stages: [1, 2], depth: [1, 2], width: [4, 8], kernel: [3, 5], "
    "expansion: [1, 2], stem_width: 4, stem_stride: 1}";

constexpr const char* tiny =
    "network: {type: cnn, input: [1, 8, 8], stages: [1, 2], depth: [1, 2], width: [4, 8], kernel: 3, "
    "operator: [convolution, skip], stem_width: 4, stem_stride: 1}";

/// One network: a stem of 4 channels and one block of the operator given.
std::string one_block(const std::string& operation, const std::string& more = "") {
  return "network: {type: cnn, input: [1, 8, 8], classes: 3, stages: 1, depth: 1, width: 6, kernel: 5, "
         "expansion: 2, "
         "stem_width: 4, stem_stride: 1, operator: " +
         operation + more + "}";
}

std::int64_t macs_of(const std::string& yaml) {
  const DesignSpace space = read_space(yaml);
  return network_of(space, space.space().unrank(0)).macs();
}

std::int64_t parameters_of(const std::string& yaml) {
  const DesignSpace space = read_space(yaml);
  return network_of(space, space.space().unrank(0)).parameters();
}

/// What any network of the space looks like from outside.
void expect_network(const Network& network, const Shape& input, std::int64_t classes) {
  EXPECT_EQ(network.node(0).shape, input);
  EXPECT_EQ(network.node(network.output()).shape, (Shape{1, classes}));
  EXPECT_EQ(network.pruned().nodes().size(), network.nodes().size()) << "a node reaches no output";
  EXPECT_GT(network.macs(), 0);
}

TEST(Cnn, CardinalityIsTheProductOverTheTree) {
  // A block has 2 (convolution) + 2 (separable) + 4 (inverted) + 1 (skip) forms; a stage 2 widths and 1 or 2
  // blocks.
  const std::uint64_t stage = 2 * (9 + 9 * 9);
  EXPECT_EQ(read_space(small_cnn).space().cardinality().exact, stage + stage * stage);
  const std::uint64_t tiny_stage = 2 * (2 + 2 * 2);
  EXPECT_EQ(read_space(tiny).space().cardinality().exact, tiny_stage + tiny_stage * tiny_stage);
}

TEST(Cnn, EveryCandidateOfASmallSpaceIsANetworkOfItsOwn) {
  const DesignSpace space = read_space(tiny);
  std::set<Fingerprint> networks;
  const std::uint64_t count = space.space().cardinality().exact.value();
  for (std::uint64_t rank = 0; rank < count; ++rank) {
    const Network network = network_of(space, space.space().unrank(rank));
    expect_network(network, {1, 1, 8, 8}, 10);
    networks.insert(network.fingerprint());
  }
  EXPECT_EQ(networks.size(), count);
}

TEST(Cnn, RandomCandidatesOfTheDefaultSpaceAreNetworksOfModestSize) {
  const DesignSpace space = read_space("network: {type: cnn}");
  Random random(1, "cnn");
  int modest = 0;
  for (int i = 0; i < 1'000; ++i) {
    const Candidate candidate = space.space().sample(random);
    const Network network = network_of(space, candidate);
    expect_network(network, {1, 1, 28, 28}, 10);
    EXPECT_EQ(quantity(space, candidate, "network.macs"), static_cast<double>(network.macs()));
    EXPECT_EQ(quantity(space, candidate, "network.parameters"), static_cast<double>(network.parameters()));
    modest += network.macs() < 3'000'000 ? 1 : 0;
  }
  EXPECT_GT(modest, 850);
}

TEST(Cnn, ParametersAreActiveOnlyWhereTheyMeanSomething) {
  const DesignSpace space = read_space(small_cnn);
  const Candidate candidate = read_candidate(
      space,
      "network: {stages: 1, stage1: {width: 8, depth: 2, block1: {operator: skip}, "
      "block2: {operator: depthwise_separable}}, stage1.block2.operator.depthwise_separable.kernel: 3}");
  const auto has = [&](const std::string& path) {
    return candidate.has(space.space().at("network." + path));
  };
  EXPECT_TRUE(has("stage1.block2.operator.depthwise_separable.kernel"));
  EXPECT_FALSE(has("stage1.block2.operator.convolution.kernel"));
  EXPECT_FALSE(has("stage1.block2.operator.inverted_residual.expansion"));
  EXPECT_TRUE(space.space().under("network.stage1.block1.operator.skip").empty());
  EXPECT_FALSE(has("stage2.width"));
  EXPECT_EQ(space.label(candidate, "network.stage2.width"), "");
  EXPECT_EQ(space.label(candidate, "network.stage1.width"), "8");
}

// Stem: 9·4·64 MACs and 36 + 8 parameters; classifier: 6·3 MACs and 21 parameters. Blocks from 4 to 6
// channels, 8×8.
TEST(Cnn, CountsOfOneBlock) {
  constexpr std::int64_t rest_macs = 9 * 4 * 64 + 18, rest_parameters = 44 + 21;
  EXPECT_EQ(macs_of(one_block("convolution")), rest_macs + 25 * 4 * 6 * 64);
  EXPECT_EQ(parameters_of(one_block("convolution")), rest_parameters + 25 * 4 * 6 + 12);
  EXPECT_EQ(macs_of(one_block("depthwise_separable")), rest_macs + (25 * 4 + 4 * 6) * 64);
  EXPECT_EQ(parameters_of(one_block("depthwise_separable")), rest_parameters + 100 + 8 + 24 + 12);
  EXPECT_EQ(macs_of(one_block("inverted_residual")), rest_macs + (4 * 8 + 25 * 8 + 8 * 6) * 64);
  EXPECT_EQ(parameters_of(one_block("inverted_residual")), rest_parameters + 32 + 16 + 200 + 16 + 48 + 12);
  // A skip that changes the shape is a 1×1 convolution; one that does not costs nothing.
  EXPECT_EQ(macs_of(one_block("skip")), rest_macs + 4 * 6 * 64);
  EXPECT_EQ(parameters_of(one_block("skip")), rest_parameters + 24 + 12);
}

TEST(Cnn, BlocksThatKeepTheShape) {
  const auto only = [](const std::string& operation) {
    const DesignSpace space = read_space(
        "network: {type: cnn, input: [1, 8, 8], stages: 1, depth: 1, width: 4, kernel: 3, expansion: 1, "
        "stem_width: 4, "
        "operator: " +
        operation + "}");
    return network_of(space, space.space().unrank(0));
  };
  EXPECT_EQ(only("skip").node(only("skip").find("stage1.block1.skip").value()).op, Operator(Identity{}));
  // Expansion 1 has no expanding convolution; the input is added.
  const Network inverted = only("inverted_residual");
  EXPECT_FALSE(inverted.find("stage1.block1.expand"));
  const Node& sum = inverted.node(inverted.find("stage1.block1.add").value());
  EXPECT_EQ(sum.inputs, (std::vector<NodeId>{inverted.find("stage1.block1.project_bn").value(),
                                             inverted.find("stem_act").value()}));
  EXPECT_FALSE(only("convolution").find("stage1.block1.add"));
}

TEST(Cnn, StagesHalveAndScale) {
  const DesignSpace space = read_space(
      "network: {type: cnn, input: [3, 30, 20], stages: 3, depth: 2, width: 10, width_scaling: 1.5, kernel: "
      "3, "
      "operator: convolution, stem_width: 4, stem_stride: 2, activation: hard_swish}");
  ASSERT_EQ(space.space().cardinality().exact, 1u);
  const Network network = network_of(space, space.space().unrank(0));
  const auto shape = [&](const std::string& name) { return network.node(network.find(name).value()).shape; };
  EXPECT_EQ(shape("stem"), (Shape{1, 4, 15, 10}));
  EXPECT_EQ(shape("stage1.block2.convolution"), (Shape{1, 10, 15, 10}));
  EXPECT_EQ(shape("stage2.block1.convolution"), (Shape{1, 15, 8, 5}));
  EXPECT_EQ(shape("stage2.block2.convolution"), (Shape{1, 15, 8, 5}));
  EXPECT_EQ(shape("stage3.block1.convolution"), (Shape{1, 23, 4, 3}));  // 22.5 rounds away from zero
  EXPECT_EQ(network.node(network.find("stem_act").value()).op,
            Operator(Activation{Activation::Kind::hard_swish}));
}

TEST(Cnn, ActivationsAreNamedLikeTheOperators) {
  const std::vector<std::pair<std::string, Activation::Kind>> names{
      {"relu", Activation::Kind::relu},
      {"relu6", Activation::Kind::relu6},
      {"sigmoid", Activation::Kind::sigmoid},
      {"tanh", Activation::Kind::tanh},
      {"hard_swish", Activation::Kind::hard_swish},
      {"silu", Activation::Kind::silu},
      {"gelu", Activation::Kind::gelu}};
  for (const auto& [name, kind] : names) {
    const DesignSpace space = read_space(one_block("skip", ", activation: " + name));
    const Network network = network_of(space, space.space().unrank(0));
    EXPECT_EQ(network.node(network.find("stem_act").value()).op, Operator(Activation{kind})) << name;
  }
}

TEST(Cnn, ListsMayBeInAnyOrder) {
  const DesignSpace space = read_space("network: {type: cnn, width: [32, 8, 16]}");
  EXPECT_EQ(space.space()[space.space().at("network.stage1.width")].values, (std::vector<double>{8, 16, 32}));
}

TEST(Cnn, ANetworkTooLargeToCountIsRefusedByAnUpperBound) {
  EXPECT_EQ(refusal("network: {type: cnn, stages: 16, depth: 1, width: 65536, width_scaling: 16}"), "");
  EXPECT_THAT(refusal("network: {type: cnn, stages: 16, depth: 1, width: 65536, width_scaling: 16}\n"
                      "constraints: network.macs <= 1e9"),
              HasSubstr("'network.macs <= 1e9'"));
}

TEST(Cnn, RefusesWhatMakesNoNetwork) {
  EXPECT_THAT(refusal("network: {type: cnn, kernel: [3, 4]}"),
              StartsWith("space.yaml:1:30: kernels must be odd, not 4"));
  EXPECT_THAT(refusal("network: {type: cnn, input: [28, 28]}"), HasSubstr("[channels, height, width]"));
  EXPECT_THAT(refusal("network: {type: cnn, depth: [0, 1]}"), StartsWith("space.yaml:1:30: "));
  EXPECT_THAT(refusal("network: {type: cnn, width: [8, 8]}"), HasSubstr("each once"));
  EXPECT_THAT(refusal("network: {type: cnn, operator: []}"), StartsWith("space.yaml:1:"));
  EXPECT_THAT(refusal("network: {type: cnn, operator: [convolutoin]}"),
              HasSubstr("did you mean 'convolution'?"));
  EXPECT_THAT(refusal("network: {type: cnn, kernels: 3}"), HasSubstr("did you mean 'kernel'?"));
}

}  // namespace
}  // namespace duet
