#include "spaces/weights.hpp"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numbers>
#include <numeric>

namespace duet {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

/// Every operator that holds something.
Network network() {
  Network n;
  NodeId x = n.add("x", Input{{2, 4, 9, 9}});
  x = n.add("conv", Convolution{.out_channels = 6, .kernel_h = 3, .kernel_w = 2, .groups = 2, .bias = true}, {x});
  x = n.add("bn", BatchNormalization{}, {x});
  x = n.add("up", TransposedConvolution{.out_channels = 8, .kernel_h = 2, .kernel_w = 3, .groups = 2}, {x});
  x = n.add("rows", Reshape{{2, 8, 80}}, {x});
  x = n.add("ln", LayerNormalization{}, {x});
  x = n.add("rms", RmsNormalization{}, {x});
  x = n.add("sequence", Linear{5, true}, {x});
  x = n.add("flat", Flatten{}, {x});
  x = n.add("fc", Linear{3, false}, {x});
  const NodeId words = n.add("words", Input{{2, 2}});
  const NodeId table = n.add("table", Constant{{7, 3}});
  const NodeId own = n.add("own", Embedding{7, 3}, {words});
  const NodeId shared = n.add("shared", Embedding{7, 3}, {words, table});
  n.add("y", Add{}, {x, own, shared, n.add("mask", Constant{{3}, false})});
  return n;
}

TEST(Weights, SlotsHaveTheDocumentedShapes) {
  const Network n = network();
  const auto shapes = [&](const char* name) {
    std::vector<Shape> result;
    for (const WeightSlot& slot : weight_slots(n, n.find(name).value())) result.push_back(slot.shape);
    return result;
  };
  using Shapes = std::vector<Shape>;
  EXPECT_EQ(shapes("x"), Shapes{});
  EXPECT_EQ(shapes("conv"), (Shapes{{6, 2, 3, 2}, {6}}));
  EXPECT_EQ(shapes("bn"), (Shapes{{6}, {6}, {6}, {6}}));
  EXPECT_EQ(shapes("up"), (Shapes{{6, 4, 2, 3}}));
  EXPECT_EQ(shapes("ln"), (Shapes{{80}, {80}}));
  EXPECT_EQ(shapes("rms"), (Shapes{{80}}));
  EXPECT_EQ(shapes("sequence"), (Shapes{{5, 80}, {5}}));
  EXPECT_EQ(shapes("fc"), (Shapes{{3, 40}}));
  EXPECT_EQ(shapes("table"), (Shapes{{7, 3}}));
  EXPECT_EQ(shapes("own"), (Shapes{{7, 3}}));
  EXPECT_EQ(shapes("shared"), Shapes{});
  EXPECT_EQ(shapes("mask"), (Shapes{{3}}));
}

// All that are learned are counted; running statistics and fixed numbers are not.
TEST(Weights, AgreeWithTheCountOfParameters) {
  const Network n = network();
  std::int64_t held = 0;
  for (NodeId id = 0; id < n.nodes().size(); ++id) {
    for (const WeightSlot& slot : weight_slots(n, id)) held += elements(slot.shape);
  }
  EXPECT_EQ(held, n.parameters() + 2 * 6 + 3);
}

TEST(Weights, InitialOnesFitAndDependOnTheSeedAlone) {
  const Network n = network();
  const NetworkWeights first = initial_weights(n, 1);
  EXPECT_NO_THROW(check(n, first));
  EXPECT_EQ(initial_weights(n, 1), first);
  EXPECT_NE(initial_weights(n, 2), first);
  const auto of = [&](const char* name) { return first[n.find(name).value()]; };
  EXPECT_THAT(of("conv")[1].values, Each(0.0F));
  EXPECT_THAT(of("bn")[0].values, Each(1.0F));
  EXPECT_THAT(of("bn")[3].values, Each(1.0F));
  EXPECT_THAT(of("mask")[0].values, Each(1.0F));
  EXPECT_NE(of("own")[0], of("table")[0]);
  // The deviation is √(2 / 80) of 400 numbers.
  const std::vector<float> linear = of("sequence")[0].values;
  const double squares = std::inner_product(linear.begin(), linear.end(), linear.begin(), 0.0);
  EXPECT_NEAR(squares / 400, 2.0 / 80, 0.003);
}

// A seed stands for the same file whichever version writes it.
TEST(Weights, AreThoseOfEarlierExports) {
  const NetworkWeights weights = initial_weights(network(), 3);
  const auto sum = [&](NodeId id) {
    const std::vector<float>& values = weights[id][0].values;
    double total = 0;
    for (std::size_t i = 0; i < values.size(); ++i) total += static_cast<double>(i + 1) * static_cast<double>(values[i]);
    return total;
  };
  EXPECT_DOUBLE_EQ(sum(1), -183.34857081621885);
  EXPECT_DOUBLE_EQ(sum(7), -106.14724853239022);
  EXPECT_DOUBLE_EQ(sum(9), -34.998978102579713);
}

TEST(Weights, ChecksNameTheNode) {
  const Network n = network();
  const auto refusal = [&](const NetworkWeights& weights) -> std::string {
    try {
      check(n, weights);
    } catch (const NetworkError& error) {
      return error.what();
    }
    return "";
  };
  const NetworkWeights good = initial_weights(n, 1);
  NetworkWeights bad = good;
  bad.pop_back();
  EXPECT_EQ(refusal(bad), "there are weights for 15 nodes, the network has 16");
  bad = good;
  bad[1].pop_back();
  EXPECT_EQ(refusal(bad), "node 'conv' (convolution): holds 2 tensors, got 1");
  bad = good;
  bad[1][0].shape = {6, 2, 2, 3};
  EXPECT_EQ(refusal(bad), "node 'conv' (convolution): its weight has shape (6, 2, 3, 2), got (6, 2, 2, 3)");
  bad = good;
  bad[11][0].values.pop_back();
  EXPECT_THAT(refusal(bad), HasSubstr("node 'table' (constant): its value of shape (7, 3) has 20 numbers"));
}

TEST(Weights, Transposed) {
  const FloatTensor wide{{2, 3}, {1, 2, 3, 4, 5, 6}};
  EXPECT_EQ(transposed(wide), (FloatTensor{{3, 2}, {1, 4, 2, 5, 3, 6}}));
}

// --- Constants -----------------------------------------------------------------------------------

using Content = Constant::Content;

TEST(Constants, HoldTheirContent) {
  const auto near = [](std::vector<float> expected) { return ::testing::Pointwise(::testing::FloatNear(1e-6F), expected); };
  EXPECT_THAT(content_of({{3}, false}), near({1, 1, 1}));
  EXPECT_THAT(content_of({{2}, false, Content::number, 0.125F}), near({0.125F, 0.125F}));
  EXPECT_THAT(content_of({{2, 4}, false, Content::causal_mask, 1, 2}), near({0, 0, 0, -1e9F, 0, 0, 0, 0}));
  // Positions 3 and 4; frequencies 1 and 1/10, for both halves.
  const std::vector<float> cosines = content_of({{1, 1, 2, 4}, false, Content::rotary_cosines, 100, 3});
  EXPECT_THAT(cosines, near({std::cos(3.0F), std::cos(0.3F), std::cos(3.0F), std::cos(0.3F), std::cos(4.0F), std::cos(0.4F),
                             std::cos(4.0F), std::cos(0.4F)}));
  EXPECT_NEAR(content_of({{1, 2}, true, Content::rotary_sines, 10000, 5})[0], std::sin(5.0F), 1e-6F);
  EXPECT_THAT(content_of({{2, 4, 4}, false, Content::fourier_cosines}),
              near({1, 1, 1, 1, 1, 0, -1, 0, 1, -1, 1, -1, 1, 0, -1, 0, 1, 1, 1, 1, 1, 0, -1, 0, 1, -1, 1, -1, 1, 0, -1, 0}));
  EXPECT_THAT(content_of({{4, 4}, false, Content::fourier_sines}), near({0, 0, 0, 0, 0, 1, 0, -1, 0, 0, 0, 0, 0, -1, 0, 1}));
  const std::vector<float> transform = content_of({{3, 3}, false, Content::cosine_transform});
  for (std::size_t i = 0; i < 3; ++i) {  // orthonormal
    for (std::size_t k = 0; k < 3; ++k) {
      float product = 0;
      for (std::size_t n = 0; n < 3; ++n) product += transform[3 * i + n] * transform[3 * k + n];
      EXPECT_NEAR(product, i == k ? 1 : 0, 1e-6F);
    }
  }
  EXPECT_NEAR(transform[3], std::sqrt(2.0F / 3) * std::cos(std::numbers::pi_v<float> / 6), 1e-6F);
}

TEST(Constants, ContentIsOfTheWeightsNotOfTheGraph) {
  Network plain, filled;
  plain.add("scale", Constant{{2}, false});
  filled.add("scale", Constant{{2}, false, Content::number, 0.5F});
  EXPECT_EQ(plain, filled);
  EXPECT_EQ(plain.fingerprint(), filled.fingerprint());
  EXPECT_THAT(initial_weights(filled, 1)[0][0].values, Each(0.5F));
  EXPECT_THAT(initial_weights(plain, 1)[0][0].values, Each(1.0F));
}

}  // namespace
}  // namespace duet
