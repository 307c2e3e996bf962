#include "spaces/network_template.hpp"

#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.hpp"
#include "spaces/function_hash.hpp"
#include "tests/spaces/read_space.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace duet::testing;

/// The space of a template whose `network:` is `body` (and more, if it begins with other keys).
DesignSpace space_of(const std::string& text, const std::string& parameters = "{}") {
  const std::string head = "name: test\nsummary: A test.\n";
  const std::string body = text.find("network:") == std::string::npos ? "network:\n" + text : text;
  const NetworkTemplate read = NetworkTemplate::read(Config::parse(head + body, "test.yaml"));
  Catalog<SpacePlugin> catalog("space");
  catalog.add(read.plugin());
  const std::string options = parameters == "{}" ? "" : ", " + parameters;
  return DesignSpace::read(Config::parse("network: {type: test" + options + "}", "space.yaml"), catalog);
}

/// The message with which a template is refused, without the two lines that space_of adds.
std::string refused(const std::string& text) {
  try {
    space_of(text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

std::vector<std::string> node_names(const Network& network) {
  std::vector<std::string> names;
  for (const Node& node : network.nodes()) names.push_back(node.name);
  return names;
}

Network only_network(const DesignSpace& space) { return network_of(space, space.space().unrank(0)); }

// --- The templates that come with duet.

TEST(NetworkTemplate, FbnetHasTwentyTwoLayersOfNineBlocks) {
  const DesignSpace space = read_space("network: {type: fbnet}");
  EXPECT_EQ(space.space().size(), 22u);
  EXPECT_EQ(space.space()[21].path, "network.layer22.block");
  EXPECT_EQ(space.space().cardinality().text, "984770902183611232881");  // 9^22
}

TEST(NetworkTemplate, EveryTemplateBuilds) {
  for (const std::string& name : network_template_names()) {
    const DesignSpace space = read_space("network: {type: " + name + "}");
    for (std::uint64_t i = 0; i < 1000; ++i) {
      Random random(1, "test", i), again(1, "test", i);
      const Candidate candidate = space.space().sample(random);
      EXPECT_EQ(candidate, space.space().sample(again));
      const Network network = network_of(space, candidate);
      ASSERT_EQ(network.macs(), quantity(space, candidate, "network.macs")) << name;
      ASSERT_EQ(network.parameters(), quantity(space, candidate, "network.parameters")) << name;
      std::set<std::string> names;
      Network anew;  // what was inferred when the template was read is what is inferred now
      for (const Node& node : network.nodes()) {
        ASSERT_TRUE(names.insert(node.name).second) << name << ": " << node.name << " is there twice";
        anew.add(node.name, node.op, node.inputs);
      }
      anew.set_output(network.output());
      ASSERT_EQ(anew, network) << name;
      ASSERT_EQ(anew.macs(), network.macs()) << name;
      ASSERT_EQ(network_of(space, candidate), network) << name;
    }
  }
}

// --- A space in C++ and the same in this language.

constexpr const char* nas_bench_macro = R"(
network:
- input: [3, 32, 32]
- {convolution_bn_act: {out: 32}, name: stem}
- repeat: layer
  each: {out: [64, 64, 128, 128, 128, 256, 256, 256], stride: [2, 1, 2, 1, 1, 2, 1, 1]}
  body:
  - choice: block
    options:
      identity: [{skip: {out: out, stride: stride}}]
      mb3_k3: [{inverted_residual: {out: out, stride: stride, kernel: 3, expansion: 3}}]
      mb6_k5: [{inverted_residual: {out: out, stride: stride, kernel: 5, expansion: 6}}]
- {convolution_bn_act: {out: 1280, kernel: 1}, name: head}
- {classifier: {classes: 10}}
)";

TEST(SlowNetworkTemplate, EqualsTheSpaceInCpp) {
  const DesignSpace ours = space_of(nas_bench_macro);
  const DesignSpace theirs = read_space("network: {type: nas_bench_macro}");
  ASSERT_EQ(ours.space().cardinality().exact, 6'561u);
  for (std::uint64_t rank = 0; rank < 6'561; ++rank) {
    const Candidate mine = ours.space().unrank(rank), other = theirs.space().unrank(rank);
    const Network a = network_of(ours, mine), b = network_of(theirs, other);
    ASSERT_EQ(function_hash(a), function_hash(b)) << rank;
    ASSERT_EQ(a.fingerprint(), b.fingerprint()) << rank;
    ASSERT_EQ(quantity(ours, mine, "network.macs"), quantity(theirs, other, "network.macs")) << rank;
    ASSERT_EQ(quantity(ours, mine, "network.parameters"), quantity(theirs, other, "network.parameters")) << rank;
  }
}

// --- Statements.

TEST(NetworkTemplate, NamesAreShort) {
  const DesignSpace space = space_of(nas_bench_macro);
  const Candidate one = read_candidate(
      space,
      "network: {layer1.block: identity, layer2.block: mb3_k3, layer3.block: identity, layer4.block: identity, "
      "layer5.block: identity, layer6.block: identity, layer7.block: identity, layer8.block: identity}");
  const std::vector<std::string> names = node_names(network_of(space, one));
  EXPECT_THAT(std::vector<std::string>(names.begin(), names.begin() + 16),
              ElementsAre("input", "stem.convolution", "stem.batch_normalization", "stem.activation", "layer1.convolution_bn.convolution",
                          "layer1.convolution_bn.batch_normalization", "layer2.expand.convolution", "layer2.expand.batch_normalization",
                          "layer2.expand.activation", "layer2.depthwise.convolution", "layer2.depthwise.batch_normalization",
                          "layer2.depthwise.activation", "layer2.project.convolution", "layer2.project.batch_normalization",
                          "layer2.add", "layer3.convolution_bn.convolution"));
}

TEST(NetworkTemplate, AttributesHaveShortFormsAndDefaults) {
  const Network network = only_network(space_of(R"(
- input: [4, 32, 32]
- convolution: {out: 8, kernel: 5, stride: 2}
- convolution: {out_channels: 8, kernel_h: 3, kernel_w: 1, dilation: 2, groups: 4, bias: true}
- convolution: {out: 8, kernel: 4, padding: 2}
- pool: {kind: average, kernel: 3, stride: 2}
- activation: gelu
- flatten
- linear: 10
)"));
  EXPECT_THAT(node_names(network), ElementsAre("input", "convolution", "convolution2", "convolution3", "pool", "activation", "flatten", "linear"));
  EXPECT_EQ(network.node(0).op, Operator(Input{{1, 4, 32, 32}}));
  EXPECT_EQ(network.node(1).op, Operator(Convolution{.out_channels = 8, .kernel_h = 5, .kernel_w = 5, .stride_h = 2, .stride_w = 2, .padding_h = 2, .padding_w = 2}));
  EXPECT_EQ(network.node(2).op, Operator(Convolution{.out_channels = 8, .kernel_h = 3, .kernel_w = 1, .padding_h = 2, .padding_w = 0,
                                                     .dilation_h = 2, .dilation_w = 2, .groups = 4, .bias = true}));
  EXPECT_EQ(network.node(3).op, Operator(Convolution{.out_channels = 8, .kernel_h = 4, .kernel_w = 4, .padding_h = 2, .padding_w = 2}));
  EXPECT_EQ(network.node(4).op, Operator(Pool{Pool::Kind::average, 3, 2, 1}));
  EXPECT_EQ(network.node(5).op, Operator(Activation{Activation::Kind::gelu}));
  EXPECT_EQ(network.node(7).op, Operator(Linear{10}));
}

TEST(NetworkTemplate, SearchedRepeatsAndValues) {
  const DesignSpace space = space_of(R"yaml(
- input: [3, 32, 32]
- repeat: stage
  each: {out: [16, 32]}
  body:
  - repeat: layer
    count: {choose: depth, values: [1, 2, 4], sentence: Layers of the stage.}
    body:
    - choose: kernel
      values: [3, 5]
    - choose: activation
      values: [relu, silu]
    - let: {stride: "if(index == 1, 2, 1)"}
    - convolution: {out: out * count, kernel: kernel, stride: stride}
    - activation: activation
)yaml");
  // A layer has 4 forms: 4 + 4^2 + 4^4 for a stage.
  EXPECT_EQ(space.space().cardinality().exact, 276u * 276u);
  EXPECT_EQ(space.space()[0].path, "network.stage1.depth");
  EXPECT_EQ(space.space()[1].path, "network.stage1.layer1.kernel");
  const Network network = network_of(
      space, read_candidate(space, "network: {stage1.depth: 2, stage1.layer1: {kernel: 3, activation: relu}, stage1.layer2: "
                                   "{kernel: 5, activation: silu}, stage2.depth: 1, stage2.layer1: {kernel: 5, activation: relu}}"));
  EXPECT_THAT(node_names(network), ElementsAre("input", "stage1.layer1.convolution", "stage1.layer1.activation",
                                               "stage1.layer2.convolution", "stage1.layer2.activation",
                                               "stage2.layer1.convolution", "stage2.layer1.activation"));
  EXPECT_EQ(network.node(3).shape, (Shape{1, 32, 16, 16}));
  EXPECT_EQ(std::get<Convolution>(network.node(3).op).kernel_h, 5);
  EXPECT_EQ(network.node(4).op, Operator(Activation{Activation::Kind::silu}));
  EXPECT_EQ(network.node(6).shape, (Shape{1, 32, 8, 8}));
  EXPECT_EQ(network.output(), 6u);
}

TEST(NetworkTemplate, ValuesHaveNames) {
  const Network network = only_network(space_of(R"(
- input: [16, 8]
- {layer_normalization: , as: normal}
- {linear: 8, name: q, as: q}
- {linear: 8, name: k, from: normal, as: k}
- {linear: 8, name: v, from: normal, as: v}
- {matmul: {transpose_b: true}, from: [q, k]}
- softmax
- {as: scores}
- {matmul: , from: [scores, v], name: mix}
- {add: , from: [normal, v]}
)"));
  EXPECT_THAT(node_names(network), ElementsAre("input", "layer_normalization", "q", "k", "v", "matmul", "softmax", "mix", "add"));
  EXPECT_EQ(network.node(5).inputs, (std::vector<NodeId>{2, 3}));
  EXPECT_EQ(network.node(7).inputs, (std::vector<NodeId>{6, 4}));
  EXPECT_EQ(network.node(5).shape, (Shape{1, 16, 16}));
}

TEST(NetworkTemplate, ErrorsHaveAPosition) {
  EXPECT_EQ(refused("- input: [3, 8, 8]\n- convolutoin: {out: 8}\n"),
            "test.yaml:5:16: unknown operator or block 'convolutoin'; did you mean 'convolution'?");
}

}  // namespace
}  // namespace duet
