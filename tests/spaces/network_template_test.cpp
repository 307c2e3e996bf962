#include "spaces/network_template.hpp"

#include <cmath>
#include <filesystem>
#include <limits>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.hpp"
#include "spaces/function_hash.hpp"
#include "spaces/network_compiler.hpp"
#include "spaces/network_statements.hpp"
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

TEST(NetworkTemplate, InnerFormatsGoBeforeOuterOnes) {
  const DesignSpace space = read_space("network: {type: mlp, classes: 3}");
  Random random(1, "formats");
  const Network network = network_of(space, space.space().sample(random));
  const NodeId last = network.output();
  EXPECT_EQ(network.node(last).format, (NumberFormat{.weight_bits = 8, .activation_bits = 8}));
  EXPECT_EQ(merged({.weight_bits = 2}, {.weight_bits = 8, .activation_bits = 4, .density = 0.5, .sparsity_group = 4}),
            (NumberFormat{.weight_bits = 2, .activation_bits = 4, .density = 0.5, .sparsity_group = 4}));
  EXPECT_EQ(merged({.density = 0.25}, {.density = 0.5, .sparsity_group = 4}), (NumberFormat{.density = 0.25}));
}

TEST(NetworkTemplate, EveryTemplateBuilds) {
  for (const std::string& name : network_template_names()) {
    const DesignSpace space = read_space("network: {type: " + name + "}");
    for (std::uint64_t i = 0; i < 300; ++i) {
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
      ASSERT_EQ(anew, network.without_formats()) << name;
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

TEST(NetworkTemplate, ConstantsHaveAContent) {
  const Network network = only_network(space_of(R"(
- {input: [5, 64], as: x}
- let: {before: 3}
- {constant: [5, 64], name: free}
- {constant: {shape: [5, 8], learned: false, content: causal_mask, first: before}, name: mask}
- {constant: {shape: [5, 64], content: rotary_sines, first: before}, name: sines}
- {constant: {shape: [1], learned: false, number: 1 / sqrt(64)}, name: scale, as: scale}
- {multiply: , from: [x, scale]}
)"));
  using Content = Constant::Content;
  const auto constant = [&](const char* name) { return std::get<Constant>(network.node(network.find(name).value()).op); };
  EXPECT_EQ(constant("free").content, Content::unsaid);
  EXPECT_EQ(constant("mask").content, Content::causal_mask);
  EXPECT_EQ(constant("mask").first, 3);
  EXPECT_EQ(constant("sines").content, Content::rotary_sines);
  EXPECT_EQ(constant("sines").number, 10000);
  EXPECT_EQ(constant("scale").content, Content::number);
  EXPECT_EQ(constant("scale").number, 0.125F);
  EXPECT_FALSE(constant("scale").learned);
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

TEST(NetworkTemplate, BranchesAreJoined) {
  const DesignSpace space = space_of(R"(
- input: [16, 8, 8]
- choose: width
  values: [16, 32]
- parallel: add
  branches:
  - [{convolution: {out: width}}]
  - {when: width == in.channels, body: []}
  - {when: width > 16, body: [{convolution: {out: width, bias: true}}]}
- parallel: concat
  name: both
  axis: 1
  branches: [[{activation: relu}], [{activation: silu}, identity], {when: 1 > 2, body: [flatten]}]
- parallel: multiply
  branches: [[{convolution: {out: 8}}], {when: 2 < 1, body: []}]
)");
  EXPECT_EQ(space.space().cardinality().exact, 2u);
  const Network narrow = network_of(space, space.space().unrank(0)), wide = network_of(space, space.space().unrank(1));
  EXPECT_THAT(node_names(narrow), ElementsAre("input", "convolution", "add", "both.activation", "both.activation2", "both.identity",
                                              "both.concat", "convolution3"));
  EXPECT_EQ(narrow.node(2).inputs, (std::vector<NodeId>{1, 0}));
  EXPECT_THAT(node_names(wide), ElementsAre("input", "convolution", "convolution2", "add", "both.activation", "both.activation2",
                                            "both.identity", "both.concat", "convolution3"));
  EXPECT_EQ(wide.node(3).inputs, (std::vector<NodeId>{1, 2}));
  EXPECT_EQ(wide.node(7).shape, (Shape{1, 64, 8, 8}));
}

TEST(NetworkTemplate, OptionsHoldDecisionsOrValues) {
  const DesignSpace space = space_of(R"(
- input: [16, 8, 8]
- repeat: layer
  each: {stride: [2, 1]}
  body:
  - choice: operator
    sentence: What it computes.
    options:
      convolution:
      - choose: groups
        values: [1, 4]
      - convolution: {out: 16, kernel: 3, stride: stride, groups: groups}
      pool: [{pool: {kind: average, kernel: 3, stride: stride}}]
      nothing: {when: stride == 1, body: []}
- choice: size
  options: {small: {kernel: 3, act: relu}, large: {kernel: 5, act: gelu}}
- convolution: {out: 8, kernel: kernel}
- {activation: act, when: kernel == 5 or act == relu}
)");
  EXPECT_EQ(space.space().cardinality().exact, 3u * 4u * 2u);
  EXPECT_EQ(space.space()[0].path, "network.layer1.operator");
  EXPECT_EQ(space.space()[0].description, "What it computes.");
  EXPECT_EQ(space.space()[1].path, "network.layer1.operator.convolution.groups");
  EXPECT_EQ(space.space()[0].options, (std::vector<std::string>{"convolution", "pool"}));
  const Network network = network_of(space, read_candidate(space, "network: {layer1.operator: convolution, layer1.operator.convolution.groups: 4, "
                                                                  "layer2.operator: nothing, size: large}"));
  EXPECT_THAT(node_names(network), ElementsAre("input", "layer1", "convolution", "activation"));
  EXPECT_EQ(std::get<Convolution>(network.node(1).op).groups, 4);
  EXPECT_EQ(network.node(2).inputs, (std::vector<NodeId>{1}));
  EXPECT_EQ(std::get<Convolution>(network.node(2).op).kernel_w, 5);
  EXPECT_EQ(network.node(3).op, Operator(Activation{Activation::Kind::gelu}));
}

TEST(NetworkTemplate, ParametersAreFixedOrSearched) {
  const std::string text = R"(
parameters:
  side: {default: 32, range: [8, 64], sentence: "Side."}
  act: {default: relu, words: [relu, silu, gelu], search: [relu, silu], sentence: "Activation."}
derived: {area: side * side, doubled: 2 * area + macs}
constraints: [area <= 32 * 32]
network:
- input: [3, side, side]
- convolution: {out: 8, kernel: 3, stride: 2}
- activation: act
)";
  const DesignSpace standard = space_of(text);
  EXPECT_EQ(standard.space().cardinality().exact, 2u);  // the template's own search
  EXPECT_EQ(standard.space()[0].path, "network.act");

  const DesignSpace space = space_of(text, "side: [16, 32, 64], act: gelu");
  EXPECT_EQ(space.space().size(), 1u);
  EXPECT_FALSE(space.space().valid(space.space().unrank(2)));
  EXPECT_TRUE(space.space().valid(space.space().unrank(1)));
  const Candidate candidate = space.space().unrank(0);
  const Network network = network_of(space, candidate);
  EXPECT_EQ(network.node(1).shape, (Shape{1, 8, 8, 8}));
  EXPECT_EQ(network.node(2).op, Operator(Activation{Activation::Kind::gelu}));
  EXPECT_EQ(quantity(standard, standard.space().unrank(0), "network.area"), 1024);  // of a parameter that is not searched
  EXPECT_EQ(quantity(standard, standard.space().unrank(0), "network.side"), 32);
  EXPECT_EQ(quantity(space, candidate, "network.area"), 256);
  EXPECT_EQ(quantity(space, candidate, "network.macs"), 8 * 64 * 27);
  EXPECT_EQ(quantity(space, candidate, "network.doubled"), 512 + 8 * 64 * 27);
  EXPECT_EQ(space_of(text, "side: {range: [8, 64], log: true}").space().cardinality().exact, 57u * 2u);
}

TEST(NetworkTemplate, LabelsNameDecisions) {
  std::string text = nas_bench_macro;
  std::string digits;
  for (int i = 1; i <= 8; ++i) digits += "{#layer" + std::to_string(i) + ".block}";
  const DesignSpace ours = space_of("labels: {architecture: '" + digits + "', first: 'a {layer1.block}'}" + text);
  const DesignSpace theirs = read_space("network: {type: nas_bench_macro}");
  for (std::uint64_t rank = 0; rank < 6'561; rank += 13) {
    ASSERT_EQ(ours.label(ours.space().unrank(rank), "network.architecture"), theirs.label(theirs.space().unrank(rank), "network.architecture"));
  }
  EXPECT_EQ(ours.label(ours.space().unrank(0), "network.first"), "a identity");
  EXPECT_EQ(refused("labels: {a: 'x{layer1.blok}'}" + text), "test.yaml:3:16: there is no decision 'layer1.blok'; did you mean 'layer1.block'?");
  EXPECT_EQ(refused("labels: {a: 'x{layer1'}" + text), "test.yaml:3:15: this '{' is not closed");
}

TEST(NetworkTemplate, BlocksSeeTheirArgumentsOnly) {
  const Network network = only_network(space_of(R"(
parameters:
  classes: {default: 7, range: [1, 10], sentence: "C."}
  hidden: {default: 5, range: [1, 10], sentence: "Hidden by the argument."}
blocks:
  head:
    arguments: {hidden: ~, dropped: hidden / 2, norm: [layer, none], act: relu}
    body:
    - linear: hidden
    - {layer_normalization: , when: norm == layer}
    - {activation: act, when: act != relu}
    - linear: dropped
    - linear: classes
  convolution_bn: {body: [identity]}           # before that of duet
network:
- input: [8]
- head: {hidden: 4}
- {head: {hidden: 6, norm: none, act: silu}, name: second}
- convolution_bn
- reshape: [1, in.features, 1, 1]
- skip: {out: 5}
)"));
  EXPECT_THAT(node_names(network),
              ElementsAre("input", "head.linear", "head.layer_normalization", "head.linear2", "head.linear3", "second.linear",
                          "second.activation", "second.linear2", "second.linear3", "convolution_bn", "reshape",
                          "skip.convolution_bn.convolution", "skip.convolution_bn.batch_normalization"));
  EXPECT_EQ(network.node(3).op, Operator(Linear{2}));
  EXPECT_EQ(network.node(4).op, Operator(Linear{7}));
}

TEST(NetworkTemplate, StatementsWithoutDecisionsMayDependOnThem) {
  // The resolution is searched: shapes, and with them the conditions of the residual, are known at run time only.
  const DesignSpace searched = read_space("network: {type: fbnet, resolution: [64, 96]}");
  const DesignSpace fixed = read_space("network: {type: fbnet, resolution: 96}");
  for (std::uint64_t i = 0; i < 100; ++i) {
    Random random(3, "test", i);
    const Candidate candidate = fixed.space().sample(random);
    Candidate same(searched.space().size());
    same.set(0, 1);
    for (std::size_t parameter = 0; parameter < candidate.size(); ++parameter) same.set(parameter + 1, candidate[parameter]);
    ASSERT_EQ(network_of(fixed, candidate), network_of(searched, same));
    ASSERT_EQ(quantity(fixed, candidate, "network.macs"), quantity(searched, same, "network.macs"));
    ASSERT_EQ(quantity(fixed, candidate, "network.parameters"), quantity(searched, same, "network.parameters"));
  }
}

TEST(NetworkTemplate, DecisionsThatFailAreNetworkErrors) {
  const DesignSpace space = space_of("- input: [8, 4, 4]\n- choose: kernel\n  values: [3, 9]\n- convolution: {out: 8, kernel: kernel, padding: 0}\n");
  EXPECT_EQ(network_of(space, space.space().unrank(0)).node(1).shape, (Shape{1, 8, 2, 2}));
  try {
    network_of(space, space.space().unrank(1));
    ADD_FAILURE();
  } catch (const NetworkError& error) {
    EXPECT_STREQ(error.what(), "node 'convolution' (convolution): a 9x9 kernel with dilation 1x1 does not fit input (1, 8, 4, 4) with padding 0x0");
  }
  EXPECT_EQ(quantity(space, space.space().unrank(1), "network.macs"), std::numeric_limits<double>::infinity());
}

TEST(NetworkTemplate, AreTheFilesOfTheFolder) {
  std::set<std::string> there;
  for (const auto& entry : std::filesystem::directory_iterator(source_root() / "spaces" / "networks")) there.insert(entry.path().stem());
  std::set<std::string> built_in{"blocks"};
  for (const std::string& name : network_template_names()) {
    built_in.insert(name);
    EXPECT_EQ(network_template_text(name), read_file(source_root() / "spaces" / "networks" / (name + ".yaml")));
    const NetworkTemplate read = NetworkTemplate::load(name);
    EXPECT_EQ(read.name(), name);
    EXPECT_TRUE(read.summary().ends_with('.')) << name;
    EXPECT_FALSE(read.source().empty()) << name;
  }
  EXPECT_EQ(built_in, there);
}

// --- Errors.

constexpr const char* begin = "- input: [16, 8, 8]\n";  // line 4 of the document; what follows is line 5

TEST(NetworkTemplate, ErrorsHaveAPositionAndSayWhatWasMeant) {
  const auto after = [](const std::string& statements) { return refused(begin + statements); };
  EXPECT_EQ(after("- convolutoin: {out: 8}\n"), "test.yaml:5:16: unknown operator or block 'convolutoin'; did you mean 'convolution'?");
  EXPECT_EQ(after("- flaten\n"), "test.yaml:5:3: unknown operator or block 'flaten'; did you mean 'flatten'?");
  EXPECT_EQ(after("- convolution: {out: 8, kernal: 3}\n"),
            "test.yaml:5:25: unknown key 'network[1].convolution.kernal' of convolution; did you mean 'kernel'?");
  EXPECT_EQ(after("- {constant: {shape: [4, 3], content: rotary_cosine}, name: c}\n"),
            "test.yaml:5:39: 'rotary_cosine' is not a value of 'content'; did you mean 'rotary_cosines'?");
  EXPECT_EQ(after("- {constant: {shape: [4, 3], content: rotary_cosines}, name: c}\n"),
            "test.yaml:5:3: node 'c' (constant): (4, 3) has an odd number of columns");
  EXPECT_EQ(after("- convolution: {kernel: 3}\n"), "test.yaml:5:3: 'convolution' needs 'out'");
  EXPECT_EQ(after("- convolution: {out: 8, kernel: 3, kernel_h: 1}\n"), "test.yaml:5:46: 'kernel_h' is given by 'kernel' already");
  EXPECT_EQ(after("- convolution: {out: 2.5}\n"), "test.yaml:5:22: 'out' must be a whole number, not 2.5");
  EXPECT_EQ(after("- convolution: {out: in.channels / 3}\n"),
            "test.yaml:5:22: 'out' must be a whole number, not 5.333333333333333 ('in.channels / 3')");
  EXPECT_EQ(after("- convolution: {out: in.chanels}\n"), "test.yaml:5:22: unknown name 'in.chanels'; did you mean 'in.channels'?");
  EXPECT_EQ(after("- convolution: {out: 8 +}\n"), "test.yaml:5:25: expected a value, found the end");
  EXPECT_EQ(after("- activation: rellu\n"), "test.yaml:5:15: 'rellu' is not a value of 'kind'; did you mean 'relu'?");
  EXPECT_EQ(after("- convolution: {out: 6, groups: 4}\n"),
            "test.yaml:5:3: node 'convolution' (convolution): 4 groups do not divide the 16 channels of input (1, 16, 8, 8) and 6 output channels");
  EXPECT_EQ(after("- flatten\n- linear: in.height\n"), "test.yaml:6:11: 'in.height': the value (1, 1024) has none");
  EXPECT_EQ(after("- flatten: {axis: 1}\n"), "test.yaml:5:19: 'flatten' has no attributes");
  EXPECT_EQ(after("- {flatten: , linear: 3}\n"), "test.yaml:5:3: a statement is one of 'flatten' and 'linear', not both");
  EXPECT_EQ(after("- {name: a}\n"), "test.yaml:5:3: 'name' belongs to a statement: which operator or block is it?");
  EXPECT_EQ(after("- {flatten: , name: 3x}\n"), "test.yaml:5:21: '3x' is not a name: letters, digits and '_', not beginning with a digit");
  EXPECT_EQ(after("- {flatten: , name: a}\n- {flatten: , name: a}\n"), "test.yaml:6:3: the name 'a' is taken by another statement of the body");
  EXPECT_EQ(after("- {flatten: , from: inptu}\n"), "test.yaml:5:21: there is no value 'inptu'");
  EXPECT_EQ(after("- {flatten: , as: trunk}\n- {flatten: , from: trnk}\n"), "test.yaml:6:21: there is no value 'trnk'; did you mean 'trunk'?");
  EXPECT_EQ(after("- {flatten: , as: a}\n- {flatten: , as: a}\n"), "test.yaml:6:3: there is a value 'a' already");
  EXPECT_EQ(after("- add\n"), "test.yaml:5:3: node 'add' (add): takes at least 2 inputs, got 1: (1, 16, 8, 8)");
  EXPECT_EQ(refused("- flatten\n"),
            "test.yaml:4:3: 'flatten' takes a value, but there is none yet: begin with input: [channels, height, width]");
  EXPECT_EQ(refused("- let: {a: 1}\n"), "test.yaml:4:1: the network has no nodes: begin with input: [channels, height, width]");
}

TEST(NetworkTemplate, ErrorsOfNamesAndDecisions) {
  const auto after = [](const std::string& statements) { return refused(begin + statements); };
  EXPECT_EQ(after("- let: {a: 1}\n- choose: a\n  values: [1, 2]\n"),
            "test.yaml:6:3: 'a' is defined already; a name has one meaning in a body and the bodies inside it");
  EXPECT_EQ(after("- let: {index: 1}\n"), "test.yaml:5:16: 'index' has a meaning of its own; choose another name");
  EXPECT_EQ(after("- choose: a\n  values: [3, 1]\n"), "test.yaml:6:15: values must ascend, each once");
  EXPECT_EQ(after("- choose: a\n  values: [relu, 1]\n"), "test.yaml:6:18: numbers and words cannot be mixed");
  EXPECT_EQ(after("- choose: a\n"), "test.yaml:5:3: expected values: [...] or range: [low, high]");
  EXPECT_EQ(after("- choose: a\n  range: [4, 1]\n"), "test.yaml:6:10: the lower bound is above the upper one");
  EXPECT_EQ(after("- choose: a\n  values: [1, 2]\n- repeat: b\n  count: a\n  body: []\n"),
            "test.yaml:8:10: 'a' depends on a decision; the count of a repeat must be known without");
  EXPECT_EQ(after("- choose: a\n  values: [1, 2]\n- {choose: b, values: [1, 2], when: a == 1}\n"),
            "test.yaml:7:37: 'a == 1' depends on a decision, and what it leaves out has decisions of its own: make it an option of a choice");
  EXPECT_EQ(after("- choice: a\n  options: {x: {k: 1}, y: {l: 1}}\n"),
            "test.yaml:6:27: the options of 'a' must define the same names: {l} here, {k} in 'x'");
  EXPECT_EQ(after("- choice: a\n  options: {x: {k: 1}, y: {k: relu}}\n"), "test.yaml:6:31: 'k' is a word in some options and a number in others");
  EXPECT_EQ(after("- choice: a\n  options: {x: {when: 1 > 2, body: []}}\n"), "test.yaml:5:3: no option of 'a' remains");
  EXPECT_EQ(after("- choice: a\n  options: {x: [flatten]}\n- choice: a\n  options: {x: [flatten]}\n"),
            "test.yaml:7:3: there is a decision 'a' already");
  EXPECT_EQ(after("- repeat: a\n  count: 3\n  each: {k: [1, 2]}\n  body: []\n"), "test.yaml:7:13: 'k' has 2 values for 3 copies");
  EXPECT_EQ(after("- repeat: a\n  body: []\n"), "test.yaml:5:3: 'a' needs a count, or a list in 'each'");
  EXPECT_EQ(after("- repeat: a\n  count: 1.5\n  body: []\n"), "test.yaml:6:10: the count must be a whole number, not 1.5");
  EXPECT_EQ(after("- repeat: a\n  count: {choose: n, values: [1, 2]}\n  body:\n  - {choose: k, values: [1, 2], when: index == 1}\n"),
            "test.yaml:5:3: the copies of 'a' have different decisions, but their number is searched: a2 is not like a1");
  EXPECT_EQ(after("- choose: macs\n  values: [1, 2]\n"), "test.yaml:5:3: 'macs' is a quantity of every network; choose another name");
  EXPECT_EQ(after("- parallel: sum\n  branches: []\n"), "test.yaml:5:13: 'network[1].parallel' must be one of add, multiply, concat, matmul, not 'sum'");
  EXPECT_EQ(after("- parallel: add\n  branches: [{when: 1 > 2, body: []}]\n"), "test.yaml:5:3: no branch remains");
}

TEST(NetworkTemplate, ErrorsOfBlocks) {
  const auto with = [](const std::string& blocks, const std::string& body) {
    return refused("blocks:\n" + blocks + "network:\n- input: [16, 8, 8]\n" + body);
  };
  EXPECT_EQ(with("  a: {body: [b]}\n  b: {body: [{c: }]}\n  c: {body: [{b: }]}\n", "- a\n"),
            "test.yaml:6:14: a block cannot contain itself: 'b' uses 'c' uses 'b'");
  EXPECT_EQ(with("  a: {arguments: {out: ~}, body: [{linear: out}]}\n", "- a\n"), "test.yaml:7:3: 'a' needs 'out'");
  EXPECT_EQ(with("  a: {arguments: {out: ~}, body: [{linear: out}]}\n", "- a: {oot: 3}\n"), "test.yaml:7:12: 'a' has no argument 'oot'; did you mean 'out'?");
  EXPECT_EQ(with("  a: {arguments: {norm: [batch, none]}, body: []}\n", "- a: {norm: bacth}\n"),
            "test.yaml:7:13: 'bacth' is not a value of 'norm'; did you mean 'batch'?");
  EXPECT_EQ(with("  a: {arguments: {out: 3}, body: [{linear: out}]}\n", "- a: {out: chanels}\n"), "test.yaml:7:12: unknown name 'chanels'; known: in.channels, in.height, in.width, in.features, in.length");
  EXPECT_EQ(with("  a: {arguments: {out: 3}, body: [{linear: out / 2}]}\n", "- a: {out: 3}\n"),
            "test.yaml:4:44: 'out_features' must be a whole number, not 1.5 ('out / 2') (in block 'a', test.yaml:7:3)");
  EXPECT_EQ(with("  pool: {body: []}\n", "- flatten\n"), "test.yaml:4:9: 'pool' is an operator; choose another name");
  EXPECT_EQ(with("  a: {bdy: []}\n", "- flatten\n"), "test.yaml:4:7: unknown key 'blocks.a.bdy'; did you mean 'body'?");
  EXPECT_EQ(refused(std::string(begin) + "- {inverted_residual: {out: 8, kernel: 3, expansion: 1.01}, name: x}\n"),
            "blocks.yaml:12:26: 'out' must be a whole number, not 16.16 ('out') (in block 'convolution_bn_act', blocks.yaml:30:11) "
            "(in block 'inverted_residual', test.yaml:5:3)");
}

TEST(NetworkTemplate, ExpansionIsBounded) {
  const auto after = [](const std::string& statements) { return refused(begin + statements); };
  EXPECT_EQ(after("- repeat: a\n  count: 1e9\n  body: []\n"), "test.yaml:6:10: a count is a whole number from 0 to 10000, not 1e+09");
  EXPECT_THAT(after("- repeat: a\n  count: 10000\n  body:\n  - repeat: b\n    count: 10000\n    body: []\n"),
              StartsWith("test.yaml:8:5: the template expands to more than 100000 statements (in a10, test.yaml:5:3)"));
  std::string blocks;
  for (int i = 0; i < 300; ++i) blocks += "  b" + std::to_string(i) + ": {body: [b" + std::to_string(i + 1) + "]}\n";
  const std::string deep = refused("blocks:\n" + blocks + "  b300: {body: [identity]}\nnetwork: [{input: [3]}, b0]\n");
  EXPECT_THAT(deep, HasSubstr("bodies and blocks are nested deeper than 200"));
}

TEST(NetworkTemplate, DerivedQuantitiesAreComputedOnce) {
  // Each reads the one before twice: 2^60 ways to the first.
  std::string derived = "derived:\n  d0: in_width + macs - macs\n";
  for (int i = 1; i <= 60; ++i) {
    const std::string before = "d" + std::to_string(i - 1);
    derived += "  d" + std::to_string(i) + ": " + before + " + " + before + "\n";
  }
  const DesignSpace space = space_of(derived +
                                     "  size: parameters + macs * 0\nconstraints: [d60 <= 1e30]\n"
                                     "network:\n- input: [3, 4, 4]\n- {choose: in_width, values: [8, 16]}\n"
                                     "- convolution: {out_channels: in_width}\n");
  for (std::uint64_t i = 0; i < 2; ++i) {
    const Candidate candidate = space.space().unrank(i);
    const double width = i == 0 ? 8 : 16;
    EXPECT_EQ(quantity(space, candidate, "network.d0"), width);
    EXPECT_EQ(quantity(space, candidate, "network.d60"), std::ldexp(width, 60));
    EXPECT_EQ(quantity(space, candidate, "network.size"), quantity(space, candidate, "network.parameters"));
  }
}

TEST(NetworkTemplate, NodesShareTheCodesOfWords) {
  const Config config = Config::parse(
      "- input: [3]\n- {choose: k, values: [relu, tanh]}\n- {repeat: r, count: 3, body: [{activation: k}]}\n", "test.yaml");
  std::set<std::string> words;
  collect_words(config, words);
  const Program program = compile_network(config, read_body(config, {}), {}, {}, {}, words).program;
  std::set<const void*> codes;
  int nodes = 0;
  for (const Step& step : program.steps) {
    const auto* node = std::get_if<DynamicNode>(&step.what);
    if (node == nullptr) continue;
    ++nodes;
    ASSERT_NE(node->attributes.at(0).codes, nullptr);
    codes.insert(node->attributes[0].codes.get());
  }
  EXPECT_EQ(nodes, 3);
  EXPECT_EQ(codes.size(), 1u);
}

TEST(NetworkTemplate, WordsToChooseFromDiffer) {
  EXPECT_EQ(refused("- input: [3]\n- {choose: k, values: [relu, tanh, relu]}\n"), "test.yaml:5:36: 'relu' is there twice");
}

TEST(NetworkTemplate, OptionsAreChecked) {
  EXPECT_EQ(refusal("network: {type: fbnet, resolution: 2000}"), "space.yaml:1:36: 'network.resolution' must be at most 1024, not 2000");
  EXPECT_EQ(refusal("network: {type: fbnet, resolution: 64.5}"), "space.yaml:1:36: 'resolution' must be a whole number, not 64.5");
  EXPECT_EQ(refusal("network: {type: fbnet, resolutoin: 64}"),
            "space.yaml:1:24: unknown key 'network.resolutoin' of space fbnet; did you mean 'resolution'?");
  EXPECT_EQ(refusal("network: {type: network_template, template: fbent}"), "space.yaml:1:45: there is no network template 'fbent'; did you mean 'fbnet'?");
  EXPECT_EQ(refusal("network: {type: network_template, template: nowhere.yaml}"), "space.yaml:1:45: there is no file 'nowhere.yaml'");
  EXPECT_EQ(refusal("network: {type: network_template, template: fbnet, parameters: {clases: 3}}"),
            "space.yaml:1:65: unknown key 'network.parameters.clases' of template fbnet; did you mean 'classes'?");
  EXPECT_EQ(read_space("network: {type: network_template, template: fbnet, parameters: {classes: 3}}").space().size(), 22u);
}

}  // namespace
}  // namespace duet
