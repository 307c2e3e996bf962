#include "spaces/net2net.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "spaces/execution.hpp"
#include "tests/spaces/read_space.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;
using namespace duet::testing;

/// Weights as if training had been: normalisations with statistics of their own.
NetworkWeights trained_weights(const Network& network, std::uint64_t seed) {
  NetworkWeights weights = initial_weights(network, seed);
  Random random(seed, "statistics");
  for (NodeId id = 0; id < weights.size(); ++id) {
    const auto* normalization = std::get_if<BatchNormalization>(&network.node(id).op);
    for (std::size_t t = 0; t < weights[id].size(); ++t) {
      const bool bias = t == 1 && normalization == nullptr;
      if (normalization == nullptr && !bias) continue;
      for (float& value : weights[id][t].values) {
        value = static_cast<float>(t == 0 || t == 3 ? random.uniform(0.5, 1.5) : random.uniform(-0.5, 0.5));
      }
    }
  }
  return weights;
}

std::vector<FloatTensor> random_inputs(const Network& network, Random& random) {
  std::vector<FloatTensor> inputs;
  for (const Node& node : network.nodes()) {
    if (!std::holds_alternative<Input>(node.op)) continue;
    FloatTensor& input = inputs.emplace_back(FloatTensor{node.shape, {}});
    for (std::int64_t i = 0; i < elements(node.shape); ++i) input.values.push_back(static_cast<float>(random.normal()));
  }
  return inputs;
}

/// The largest difference between the outputs for three random inputs, relative to the largest output where that is
/// above 1. The outputs themselves are finite and depend on the inputs.
double difference(const WeightedNetwork& a, const WeightedNetwork& b) {
  Random random(7, "inputs");
  double worst = 0;
  std::set<std::vector<float>> outputs;
  for (int i = 0; i < 3; ++i) {
    const std::vector<FloatTensor> inputs = random_inputs(a.network, random);
    const FloatTensor x = execute(a.network, a.weights, inputs).at(0), y = execute(b.network, b.weights, inputs).at(0);
    EXPECT_EQ(x.shape, y.shape);
    outputs.insert(x.values);
    double largest = 1;
    for (const float value : x.values) largest = std::max(largest, std::abs(static_cast<double>(value)));
    for (std::size_t v = 0; v < x.values.size(); ++v) {
      EXPECT_TRUE(std::isfinite(x.values[v]) && std::isfinite(y.values[v]));
      worst = std::max(worst, std::abs(static_cast<double>(x.values[v]) - static_cast<double>(y.values[v])) / largest);
    }
  }
  EXPECT_EQ(outputs.size(), 3u);
  return worst;
}

WeightedNetwork random_of(const std::string& yaml, Random& random) {
  const DesignSpace space = read_space(yaml);
  WeightedNetwork result{network_of(space, space.space().sample(random)), {}};
  result.weights = trained_weights(result.network, random.bits());
  return result;
}

constexpr const char* macro = "network: {type: nas_bench_macro, input: [3, 8, 8]}";
constexpr const char* cnn =
    "network: {type: cnn, input: [1, 12, 12], depth: [1, 2], activation: [relu, hard_swish, tanh]}";
constexpr const char* cells = "network: {type: nas_bench_201, cells: 1, channels: 4, input: [3, 8, 8]}";

std::vector<NodeId> layers(const Network& network) {
  std::vector<NodeId> result;
  for (NodeId id = 0; id < network.nodes().size(); ++id) {
    const auto* convolution = std::get_if<Convolution>(&network.node(id).op);
    if (convolution != nullptr && convolution->groups == 1) result.push_back(id);
  }
  return result;
}

// Every layer of random networks, one after the other, each wider than before.
TEST(Net2Net, WideningKeepsTheFunction) {
  Random random(1, "net2net");
  std::size_t widened = 0, grouped = 0;
  double worst = 0;
  for (const char* space : {macro, cnn, cells}) {
    for (int i = 0; i < 3; ++i) {
      const WeightedNetwork before = random_of(space, random);
      WeightedNetwork after = before;
      for (const NodeId layer : layers(before.network)) {
        const std::int64_t old = after.network.node(layer).shape[1];
        if (old > 64) continue;  // enough without the widest
        const std::int64_t width = old + 1 + static_cast<std::int64_t>(random.below(3));
        const auto total = [](const Network& network) { return network.parameters(); };
        const std::int64_t parameters = total(after.network);
        after = widen(after.network, after.weights, layer, width, random.bits());
        EXPECT_EQ(after.network.node(layer).shape[1], width);
        EXPECT_GT(total(after.network), parameters);
        ++widened;
      }
      check(after.network, after.weights);
      ASSERT_EQ(after.network.nodes().size(), before.network.nodes().size());
      for (NodeId id = 0; id < before.network.nodes().size(); ++id) {
        grouped += std::holds_alternative<Add>(before.network.node(id).op) &&
                   after.network.node(id).shape != before.network.node(id).shape;
      }
      worst = std::max(worst, difference(before, after));
    }
  }
  EXPECT_LE(worst, 1e-6);
  RecordProperty("worst", fmt::format("{:.3g}", worst));
  EXPECT_GT(widened, 50u);
  EXPECT_GT(grouped, 0u);  // sums whose terms were widened alike
}

TEST(Net2Net, DeepeningKeepsTheFunction) {
  Random random(2, "net2net");
  std::size_t deepened = 0;
  double worst = 0;
  for (const char* space : {macro, cnn, cells}) {
    for (int i = 0; i < 3; ++i) {
      const WeightedNetwork before = random_of(space, random);
      WeightedNetwork after = before;
      for (NodeId id = after.network.nodes().size(); id-- > 0;) {
        const Node& node = before.network.node(id);
        if (node.shape[1] > 64 || !random.chance(0.3)) continue;
        const auto* activation = std::get_if<Activation>(&node.op);
        const bool relu = activation != nullptr && activation->kind == Activation::Kind::relu;
        after = deepen(after.network, after.weights, id,
                       {.kernel = random.chance(0.5) ? 3 : 1, .normalization = relu, .relu = relu});
        ++deepened;
      }
      check(after.network, after.weights);
      worst = std::max(worst, difference(before, after));
    }
  }
  EXPECT_LE(worst, 1e-6);
  RecordProperty("worst", fmt::format("{:.3g}", worst));
  EXPECT_GT(deepened, 50u);
}

TEST(Net2Net, SkipConnectionsAreExact) {
  Random random(3, "net2net");
  std::size_t added = 0;
  for (const char* space : {macro, cnn, cells}) {
    const WeightedNetwork before = random_of(space, random);
    WeightedNetwork after = before;
    for (int i = 0; i < 20; ++i) {
      const NodeId to = 1 + random.below(after.network.nodes().size() - 1), from = random.below(to);
      try {
        after = add_skip_connection(after.network, after.weights, from, to, random.chance(0.5) ? 1 : 3);
        ++added;
      } catch (const NetworkError& error) {
        EXPECT_THAT(error.what(), ::testing::AnyOf(HasSubstr("no stride"), HasSubstr("not both images")));
      }
    }
    EXPECT_EQ(difference(before, after), 0);
  }
  EXPECT_GT(added, 10u);
}

TEST(Net2Net, TransformationsFollowEachOther) {
  Random random(4, "net2net");
  const WeightedNetwork before = random_of(macro, random);
  WeightedNetwork after = deepen(before.network, before.weights, before.network.find("stem_act").value());
  after = widen(after.network, after.weights, after.network.find("stem").value(), 40, 1);
  after = add_skip_connection(after.network, after.weights, after.network.find("stem_act").value(),
                              after.network.find("stem_act.deeper_act").value());
  after = widen(after.network, after.weights, after.network.find("stem_act.deeper").value(), 50, 2);
  EXPECT_EQ(after.network.node(after.network.find("stem_act.deeper_act.skip").value()).shape[1], 50);
  EXPECT_LE(difference(before, after), 1e-6);
}

// By hand: two linear layers; the copy of output 0 halves what reads it.
TEST(Net2Net, SharesWeightsAmongCopies) {
  Network network;
  network.add("x", Input{{1, 1}});
  network.add("hidden", Linear{1, true}, {0});
  network.add("y", Linear{1, false}, {1});
  const NetworkWeights weights{{}, {{{1, 1}, {3}}, {{1}, {5}}}, {{{1, 1}, {8}}}};
  const WeightedNetwork wider = widen(network, weights, 1, 4, 0);
  EXPECT_EQ(wider.weights[1][0], (FloatTensor{{4, 1}, {3, 3, 3, 3}}));
  EXPECT_EQ(wider.weights[1][1], (FloatTensor{{4}, {5, 5, 5, 5}}));
  EXPECT_EQ(wider.weights[2][0], (FloatTensor{{1, 4}, {2, 2, 2, 2}}));
}

TEST(Net2Net, KeepsNumberFormats) {
  Network network;
  network.add("x", Input{{1, 2, 4, 4}});
  network.add("a", Convolution{.out_channels = 2}, {0});
  network.add("b", Activation{}, {1});
  network.add("c", Convolution{.out_channels = 2}, {2});
  const NumberFormat narrow{.weight_bits = 4, .activation_bits = 8}, sparse{.density = 0.5};
  network.set_format(1, narrow);
  network.set_format(3, sparse);
  const NetworkWeights weights = initial_weights(network, 1);
  for (const WeightedNetwork& result : {widen(network, weights, 1, 4, 0), deepen(network, weights, 2),
                                        add_skip_connection(network, weights, 0, 2)}) {
    for (const Node& node : result.network.nodes()) {
      EXPECT_EQ(node.format, node.name == "a" ? narrow : node.name == "c" ? sparse : NumberFormat{}) << node.name;
    }
  }
}

TEST(Net2Net, DeepensWhateverStandsBefore) {
  Network network;
  network.add("x", Input{{1, 2}});
  NodeId at = network.add("y", Activation{}, {0});
  for (int i = 0; i < 60; ++i) at = network.add(fmt::format("twice{}", i), Add{}, {at, at});  // 2^60 ways
  for (int i = 0; i < 100'000; ++i) at = network.add(fmt::format("same{}", i), Identity{}, {at});
  network.set_output(at);
  const WeightedNetwork deeper = deepen(network, initial_weights(network, 1), at, {.normalization = false});
  EXPECT_EQ(deeper.network.nodes().size(), network.nodes().size() + 2);
  EXPECT_EQ(deeper.network.node(deeper.network.output()).op, (Operator{Activation{}}));

  Network negative;
  negative.add("x", Input{{1, 2}});
  negative.add("y", Activation{}, {0});
  negative.add("z", Add{}, {0, 1});
  EXPECT_THROW(deepen(negative, initial_weights(negative, 1), 2), NetworkError);
}

TEST(Net2Net, RefusesWhatWouldChangeTheFunction) {
  Random random(5, "net2net");
  const WeightedNetwork one =
      random_of("network: {type: nas_bench_macro, architecture: '11111111', input: [3, 8, 8]}", random);
  const auto id = [&](const std::string& name) { return one.network.find(name).value(); };
  const auto why = [](const auto& transformation) -> std::string {
    try {
      transformation();
    } catch (const NetworkError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(why([&] { widen(one.network, one.weights, id("classifier"), 12, 0); }), HasSubstr("the output itself"));
  EXPECT_THAT(why([&] { widen(one.network, one.weights, id("layer1.depthwise"), 200, 0); }),
              HasSubstr("only convolutions of one group"));
  EXPECT_THAT(why([&] { widen(one.network, one.weights, id("stem"), 8, 0); }), HasSubstr("cannot be widened to 8"));
  EXPECT_THAT(why([&] { deepen(one.network, one.weights, id("layer1.project_bn")); }), HasSubstr("may be negative"));
  EXPECT_THAT(why([&] { add_skip_connection(one.network, one.weights, id("stem"), id("stem")); }),
              HasSubstr("before it only"));
  EXPECT_THAT(why([&] { widen(one.network, {}, id("stem"), 40, 0); }), HasSubstr("weights for 0 nodes"));

  Network sum;  // the input is added to what would become wider
  sum.add("x", Input{{1, 2, 4, 4}});
  sum.add("a", Convolution{.out_channels = 2}, {0});
  sum.add("b", Add{}, {0, 1});
  sum.add("c", GlobalPool{}, {2});
  sum.add("d", Convolution{.out_channels = 3}, {3});
  EXPECT_THAT(why([&] { widen(sum, initial_weights(sum, 1), 1, 4, 0); }), HasSubstr("'x', which cannot"));
}

}  // namespace
}  // namespace duet
