#include "spaces/variants.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spaces/execution.hpp"
#include "spaces/zoo.hpp"
#include "tests/spaces/read_space.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;
using namespace duet::testing;

/// Layers of a network, in order.
std::vector<Node> layers_of(const Network& network) {
  std::vector<Node> layers;
  for (const Node& node : network.nodes()) {
    if (is_layer(node.op)) layers.push_back(node);
  }
  return layers;
}

TEST(Variants, AddDimensionsToAnyNetworkSpace) {
  const DesignSpace space = read_space(R"(
network:
  type: nas_bench_macro
  variants: {segments: 3, weight_bits: [8, 4], activation_bits: 8, sparsity: [0, 0.5, "2:4"], resolution: [24, 32, 48]}
)");
  EXPECT_EQ(space.space().cardinality().exact, 6'561u * 3 * (2u * 3) * (2u * 3) * (2u * 3));
  EXPECT_TRUE(space.space().find("network.variants.segment3.sparsity").has_value());
  Random random(1, "variants");
  for (int i = 0; i < 300; ++i) {
    const Candidate candidate = space.space().sample(random);
    const Network network = network_of(space, candidate);
    const auto side = static_cast<std::int64_t>(space.space().number(candidate, "network.variants.resolution"));
    EXPECT_EQ(network.node(0).shape, (Shape{1, 3, side, side}));
    EXPECT_EQ(quantity(space, candidate, "network.macs"), static_cast<double>(network.macs()));
    const std::vector<Node> layers = layers_of(network);
    for (std::size_t k = 0; k < layers.size(); ++k) {
      const std::string segment = fmt::format("network.variants.segment{}.", 1 + k * 3 / layers.size());
      const NumberFormat& format = layers[k].format;
      EXPECT_EQ(static_cast<double>(format.weight_bits), space.space().number(candidate, segment + "weight_bits"));
      EXPECT_EQ(format.activation_bits, 8);
      const std::string& sparsity = space.space().option(candidate, segment + "sparsity");
      EXPECT_EQ(format.density, sparsity == "0" ? 1 : 0.5);
      EXPECT_EQ(format.sparsity_group, sparsity == "2:4" ? 4 : 0);
    }
  }
}

TEST(Variants, AsManySegmentsAsLayersAreLayerByLayer) {
  const DesignSpace space = read_space("network: {type: zoo, network: alexnet, variants: {segments: 8, weight_bits: [2, 4]}}");
  const std::size_t layers = layers_of(zoo_network("alexnet").build()).size();
  ASSERT_EQ(layers, 8u);
  for (std::uint64_t rank = 0; rank < 256; ++rank) {
    const std::vector<Node> nodes = layers_of(network_of(space, space.space().unrank(rank)));
    std::uint64_t bits = 0;
    for (const Node& node : nodes) bits = 2 * bits + (node.format.weight_bits == 4 ? 1 : 0);
    EXPECT_EQ(bits, rank);
  }
}

TEST(Variants, FormatsAreNeitherFunctionNorStructureButCount) {
  Network network = zoo_network("alexnet").build();
  const Network plain = network;
  NodeId convolution = 0;
  while (!is_layer(network.node(convolution).op)) ++convolution;
  network.set_format(convolution, {.weight_bits = 4, .activation_bits = 8, .density = 0.5, .sparsity_group = 4});
  EXPECT_NE(network.fingerprint(), plain.fingerprint());
  EXPECT_EQ(network.without_formats(), plain);
  EXPECT_EQ(network.macs(), plain.macs());
  EXPECT_EQ(network.pruned().node(convolution).format.weight_bits, 4);
  EXPECT_EQ(to_string(network.node(convolution).format), "4-bit weights, 8-bit activations, 2:4 sparse");
  EXPECT_EQ(network.weights(convolution), 64 * 3 * 11 * 11);

  EXPECT_THROW(network.set_format(0, {.weight_bits = 4}), NetworkError);
  EXPECT_THROW(network.set_format(convolution, {.weight_bits = 65}), NetworkError);
  EXPECT_THROW(network.set_format(convolution, {.density = 0}), NetworkError);
  EXPECT_THROW(network.set_format(convolution, {.density = 0.3, .sparsity_group = 4}), NetworkError);
  Network product;
  product.add("x", Input{{2, 3, 3}});
  product.add("square", MatMul{}, {0, 0});
  EXPECT_THROW(product.set_format(1, {.weight_bits = 4}), NetworkError);
  product.set_format(1, {.activation_bits = 4});
}

/// 1×2×6×6; 3×3 to 2 channels, 3×3 of stride 2 to 4 channels, 1×1 to 4 channels.
Network small() {
  Network network;
  NodeId x = network.add("input", Input{{1, 2, 6, 6}});
  x = network.add("same", Convolution{.out_channels = 2, .kernel_h = 3, .kernel_w = 3, .padding_h = 1, .padding_w = 1}, {x});
  x = network.add("wider", Convolution{.out_channels = 4, .kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2,
                                       .padding_h = 1, .padding_w = 1, .bias = true}, {x});
  network.add("point", Convolution{.out_channels = 4}, {x});
  return network;
}

TEST(Variants, ReplacementsByHand) {
  const std::vector<NodeReplacement> pools(4, {Replacement::max_pool});
  const Network pooled = replaced(small(), pools);
  ASSERT_EQ(pooled.nodes().size(), 4u);
  EXPECT_EQ(pooled.node(1).op, Operator(Pool{.kind = Pool::Kind::max, .kernel = 3, .stride = 1, .padding = 1}));
  EXPECT_EQ(pooled.node(2).op, small().node(2).op);  // the channels change
  EXPECT_EQ(pooled.node(3).op, small().node(3).op);  // no window
  EXPECT_EQ(pooled.node(3).shape, small().node(3).shape);

  const std::vector<NodeReplacement> separable(4, {Replacement::depthwise_separable});
  const Network separated = replaced(small(), separable);
  ASSERT_EQ(separated.nodes().size(), 6u);
  EXPECT_EQ(separated.node(1).name, "same.depthwise");
  EXPECT_EQ(separated.node(5).shape, small().node(3).shape);
  // same: 2·9 + 2·2; wider: 2·9 + 2·4 + 4 biases; point: 16.
  EXPECT_EQ(separated.parameters(), 22 + 30 + 16);
  EXPECT_EQ(separated.macs(), 36 * 22 + 9 * 26 + 9 * 16);
}

/// `network` with the offsets of every deformable layer at 0.
NetworkWeights undeformed(const Network& network) {
  NetworkWeights weights = initial_weights(network, 1);
  for (const Node& node : network.nodes()) {
    if (!std::holds_alternative<DeformableSampling>(node.op)) continue;
    for (FloatTensor& tensor : weights[node.inputs[1]]) std::fill(tensor.values.begin(), tensor.values.end(), 0.0F);
  }
  return weights;
}

TEST(Variants, AnUndeformedLayerIsTheLayer) {
  Network plain;
  NodeId x = plain.add("x", Input{{2, 4, 9, 7}});
  x = plain.add("full", Convolution{.out_channels = 6, .kernel_h = 3, .kernel_w = 5, .stride_h = 2, .padding_h = 1, .padding_w = 2, .bias = true}, {x});
  x = plain.add("grouped", Convolution{.out_channels = 6, .kernel_h = 3, .kernel_w = 3, .padding_h = 2, .padding_w = 2, .dilation_h = 2, .dilation_w = 2, .groups = 6}, {x});
  plain.add("point", Convolution{.out_channels = 3}, {x});
  const NetworkWeights weights = initial_weights(plain, 1);
  FloatTensor image{{2, 4, 9, 7}, {}};
  Random random(1, "undeformed");
  for (int i = 0; i < 2 * 4 * 9 * 7; ++i) image.values.push_back(static_cast<float>(random.uniform(-1, 1)));
  const FloatTensor expected = execute(plain, weights, {image}).at(0);

  for (const bool square : {false, true}) {
    const std::vector<NodeReplacement> how(4, {Replacement::deformable, 3, square});
    const Network network = replaced(plain, how);
    EXPECT_FALSE(network.find("point.sampled"));  // no window
    NetworkWeights same = undeformed(network);
    for (const char* name : {"full", "grouped", "point"}) {
      const NodeId id = *network.find(name);
      EXPECT_EQ(network.macs(id), plain.macs(*plain.find(name)));
      EXPECT_EQ(network.parameters(id), plain.parameters(*plain.find(name)));
      // The taps of a channel side by side.
      for (std::size_t i = 0; i < same[id].size(); ++i) same[id][i].values = weights[*plain.find(name)][i].values;
    }
    const FloatTensor result = execute(network, same, {image}).at(0);
    ASSERT_EQ(result.shape, expected.shape);
    for (std::size_t i = 0; i < result.values.size(); ++i) EXPECT_NEAR(result.values[i], expected.values[i], 1e-5);
  }
}

TEST(Variants, DeformableReplacementsByHand) {
  const std::vector<NodeReplacement> full(4, {Replacement::deformable, 0, false});
  const Network deformed = replaced(small(), full);
  // Offsets of a 3×3 window: 18 channels with biases. same: 2·2·9; wider: 2·4·9 + 4; point 16.
  EXPECT_EQ(deformed.node(*deformed.find("same.offsets")).shape[1], 18);
  EXPECT_EQ(deformed.parameters(), 36 + (2 * 18 * 9 + 18) + 76 + (2 * 18 * 9 + 18) + 16);
  EXPECT_EQ(deformed.node(deformed.output()).shape, small().node(3).shape);

  const std::vector<NodeReplacement> depthwise(4, {Replacement::deformable_depthwise, 2, true});
  const Network cheap = replaced(small(), depthwise);
  EXPECT_EQ(cheap.node(*cheap.find("same.sampled")).op,
            Operator(DeformableSampling{.padding_h = 1, .padding_w = 1, .range = 2, .square = true}));
  // Offsets: 2·9 + 2 + 1. same: 2·9 + 2·2; wider: 2·9 + 2·4 + 4; point 16.
  EXPECT_EQ(cheap.parameters(), 21 + 22 + 21 + 30 + 16);
}

TEST(Variants, OffsetsAreDimensionsOfDeformableReplacements) {
  const std::string head = "network: {type: nas_bench_macro, variants: {replacement: ";
  const DesignSpace space = read_space(head + "[none, deformable, deformable_depthwise], offset_range: [0, 2, 7], offset_shape: [free, square]}}");
  const DesignSpace plain = read_space("network: {type: nas_bench_macro}");
  EXPECT_EQ(*space.space().cardinality().exact, *plain.space().cardinality().exact * (1 + 2 * 3 * 2));
  Random random(1, "offsets");
  int seen = 0;
  for (int i = 0; i < 40; ++i) {
    const Candidate candidate = space.space().sample(random);
    const std::string& kind = space.space().option(candidate, "network.variants.segment1.replacement");
    const std::string below = "network.variants.segment1.replacement." + kind;
    for (const Node& node : network_of(space, candidate).nodes()) {
      const auto* op = std::get_if<DeformableSampling>(&node.op);
      if (op == nullptr) continue;
      ++seen;
      EXPECT_EQ(static_cast<double>(op->range), space.space().number(candidate, below + ".offset_range"));
      EXPECT_EQ(op->square, space.space().option(candidate, below + ".offset_shape") == "square");
    }
  }
  EXPECT_GT(seen, 0);
  EXPECT_THAT(refusal(head + "[none, max_pool], offset_range: [0, 2]}}"), HasSubstr("'offset_range' is about deformable replacements, and 'replacement' lists none"));
}

TEST(Variants, ReplacementIsADimension) {
  const DesignSpace space = read_space(
      "network: {type: nas_bench_201, variants: {segments: 2, replacement: [none, depthwise_separable], weight_bits: 4}}");
  const Candidate least = read_candidate(space, R"(
network:
  edge_1_0: nor_conv_3x3
  edge_2_0: nor_conv_3x3
  edge_2_1: nor_conv_3x3
  edge_3_0: nor_conv_3x3
  edge_3_1: nor_conv_3x3
  edge_3_2: nor_conv_3x3
  variants: {segment1: {replacement: none, weight_bits: 4}, segment2: {replacement: depthwise_separable, weight_bits: 4}}
)");
  const Network network = network_of(space, least);
  EXPECT_EQ(quantity(space, least, "network.parameters"), static_cast<double>(network.parameters()));
  EXPECT_FALSE(network.find("stage1.cell1.edge_1_0.depthwise").has_value());
  EXPECT_TRUE(network.find("stage3.cell5.edge_3_2.depthwise").has_value());
  for (const Node& node : layers_of(network)) EXPECT_EQ(node.format.weight_bits, 4);
}

TEST(Variants, ResolutionChangesShapesOnly) {
  const Network resnet = zoo_network("resnet18").build();
  const Network larger = resized(resnet, 288, 256);
  EXPECT_EQ(larger.parameters(), resnet.parameters());
  EXPECT_EQ(larger.node(0).shape, (Shape{1, 3, 288, 256}));
  EXPECT_EQ(resized(larger, 224, 224), resnet);
  EXPECT_THROW(resized(zoo_network("vit_b_16").build(), 256, 256), NetworkError);
}

TEST(Variants, FillInWhatTheSpaceLeavesOpen) {
  const std::string mlp = "network: {type: mlp";
  const DesignSpace plain = read_space(mlp + "}");
  const DesignSpace empty = read_space(mlp + ", variants: {}}");
  const DesignSpace narrow = read_space(mlp + ", variants: {weight_bits: 1, sparsity: 0.5}}");
  Random random(1, "fill in");
  for (int i = 0; i < 20; ++i) {
    const Candidate candidate = plain.space().sample(random);
    const Network network = network_of(plain, candidate);
    EXPECT_EQ(network_of(empty, candidate), network);
    const std::string assignments = plain.space().describe(candidate);
    std::string yaml = "network.variants.segment1.weight_bits: 1\nnetwork.variants.segment1.sparsity: '0.5'\n";
    for (std::size_t p = 0; p < plain.space().size(); ++p) {
      if (!candidate.has(p)) continue;
      yaml += plain.space()[p].path + ": " + plain.space().format(p, candidate[p]) + "\n";
    }
    const Network sparse = network_of(narrow, read_candidate(narrow, yaml));
    for (NodeId id = 0; id < network.nodes().size(); ++id) {
      NumberFormat expected = network.node(id).format;
      if (is_layer(network.node(id).op)) expected.density = 0.5;
      EXPECT_EQ(sparse.node(id).format, expected);
    }
  }
}

TEST(Variants, SpacesKeepTheirConstraints) {
  for (const char* type : {"dag", "nas_bench_101"}) {
    const DesignSpace space = read_space(std::string("network: {type: ") + type + ", variants: {replacement: [none, max_pool]}}");
    Random random(1, "constraints");
    const Candidate candidate = space.space().sample(random);
    EXPECT_EQ(quantity(space, candidate, "network.macs"), static_cast<double>(network_of(space, candidate).macs()));
  }
}

TEST(Variants, RowsThatAreNoMultipleOfAGroupKeepTheirShareRoundedUp) {
  Network network;
  NodeId x = network.add("input", Input{{1, 6, 4, 4}});
  const auto convolution = [&](const char* name, std::int64_t groups) {
    x = network.add(name, Convolution{.out_channels = 6, .kernel_h = 3, .kernel_w = 3, .padding_h = 1, .padding_w = 1, .groups = groups}, {x});
    network.set_format(x, {.density = 0.5, .sparsity_group = 4});
    return network.kept_weights(x);
  };
  EXPECT_EQ(convolution("depthwise", 6), 6 * 9);          // rows of one weight stay
  EXPECT_EQ(convolution("dense", 1), 6 * 9 * (2 + 1));    // 4 + 2 channels
  EXPECT_EQ(convolution("grouped", 2), 6 * 9 * 2);        // 3 channels: half of them, rounded up
}

TEST(Variants, MistakesAreFoundWhereTheyAre) {
  const auto of = [](const std::string& variants) {
    return refusal("network:\n  type: nas_bench_macro\n  variants: {" + variants + "}\n");
  };
  EXPECT_THAT(of("weight_bit: 4"), HasSubstr("space.yaml:3:14: unknown key 'network.variants.weight_bit'"));
  EXPECT_THAT(of("weight_bits: 0"), HasSubstr("space.yaml:3:27"));
  EXPECT_THAT(of("weight_bits: [4, 4]"), HasSubstr("a value is listed twice"));
  EXPECT_THAT(of("sparsity: [0, 1]"), HasSubstr("'1' is no sparsity: expected a share of zeros below 1 (0.75), or N:M"));
  EXPECT_THAT(of("sparsity: [\"5:4\"]"), HasSubstr("'5:4' is no sparsity"));
  EXPECT_THAT(of("sparsity: [0, \"4:4\"]"), HasSubstr("'4:4' is listed twice"));
  EXPECT_THAT(of("replacement: [none, maxpool]"), HasSubstr("did you mean 'max_pool'"));
  EXPECT_THAT(refusal("network: {type: zoo, network: vit_b_16, variants: {resolution: [224, 256]}}"),
              HasSubstr("networks of this space cannot have images of 256×256"));
  EXPECT_THAT(refusal("network: {type: fbnet, variants: {resolution: 224}}"), HasSubstr("has a resolution of its own"));
  EXPECT_THAT(refusal("network: {type: zoo, network: bert_base, variants: {resolution: 224}}"), HasSubstr("have no image"));
  EXPECT_THAT(refusal("accelerator: {type: systolic_array, variants: {weight_bits: 4}}"),
              HasSubstr("variants are of networks"));
}

TEST(TrainingRecipe, IsAPartOfTheDesign) {
  const DesignSpace space = read_space(R"(
network: {type: nas_bench_macro}
recipe:
  type: training_recipe
  parameters: {learning_rate: {ordinal: [0.01, 0.1]}, epochs: {integer: [1, 4]}, flip: {choice: [false, true]}}
)");
  EXPECT_EQ(space.space().cardinality().exact, 6'561u * 2 * 4 * 2);
  Random random(1, "recipe");
  for (int i = 0; i < 50; ++i) {
    const Candidate candidate = space.space().sample(random);
    const TrainingRecipe recipe = space.design(candidate).recipe();
    EXPECT_EQ(recipe.learning_rate, space.space().number(candidate, "recipe.learning_rate"));
    EXPECT_EQ(recipe.epochs, static_cast<std::int64_t>(space.space().number(candidate, "recipe.epochs")));
    EXPECT_EQ(recipe.flip, space.space().option(candidate, "recipe.flip") == "true");
    EXPECT_FALSE(recipe.momentum.has_value());
  }
  const DesignSpace without = read_space("network: {type: nas_bench_macro}");
  EXPECT_EQ(without.design(without.space().unrank(0)).recipe(), TrainingRecipe{});
  EXPECT_EQ(read_space("recipe: {type: training_recipe}").space().size(), 4u);
  EXPECT_THAT(refusal("a: {type: training_recipe}\nb: {type: training_recipe}\n"),
              HasSubstr("the design has a training recipe already: 'a'"));
}

TEST(TrainingRecipe, MistakesAreFoundWhereTheyAre) {
  const auto of = [](const std::string& parameters) {
    return refusal("recipe:\n  type: training_recipe\n  parameters: {" + parameters + "}\n");
  };
  EXPECT_THAT(of("learning_rat: {real: [0, 1]}"), HasSubstr("did you mean 'learning_rate'"));
  EXPECT_THAT(of("epochs: {real: [1, 4]}"), HasSubstr("'epochs' takes whole numbers"));
  EXPECT_THAT(of("epochs: {integer: [0, 4]}"), HasSubstr("'epochs' cannot be 0"));
  EXPECT_THAT(of("momentum: {real: [0, 1]}"), HasSubstr("'momentum' cannot be 1"));
  EXPECT_THAT(of("flip: {integer: [0, 1]}"), HasSubstr("'flip' is {choice: [false, true]}"));
  EXPECT_THAT(of("epochs: {choice: [a, b]}"), HasSubstr("'epochs' is a number"));
}

}  // namespace
}  // namespace duet
