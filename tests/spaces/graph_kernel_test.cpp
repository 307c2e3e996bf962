#include "spaces/graph_kernel.hpp"

#include <cmath>
#include <gtest/gtest.h>

#include "spaces/zoo.hpp"
#include "tests/spaces/random_network.hpp"

namespace duet {
namespace {

using namespace duet::testing;

/// input → relu → relu, or with a tanh for the last.
Network chain(Activation::Kind last) {
  Network network;
  network.add("a", Input{{1, 4}});
  network.add("b", Activation{Activation::Kind::relu}, {0});
  network.add("c", Activation{last}, {1});
  return network;
}

// By hand. Round 0: input, relu, relu against input, relu, tanh: 1 + 2·1 = 3 equal pairs, of 5 and 3 with themselves.
// Round 1: (input: relu), (relu: input, relu), (relu: relu, -) against (input: relu), (relu: input, tanh), (tanh: relu, -):
// 1 of 3 and 3.
TEST(WeisfeilerLehman, CountsEqualNeighbourhoods) {
  const Network a = chain(Activation::Kind::relu), b = chain(Activation::Kind::tanh);
  EXPECT_DOUBLE_EQ(weisfeiler_lehman_similarity(a, b, {.rounds = 0}), 3 / std::sqrt(5.0 * 3.0));
  EXPECT_DOUBLE_EQ(weisfeiler_lehman_similarity(a, b, {.rounds = 1}), 4 / std::sqrt(8.0 * 6.0));
  EXPECT_DOUBLE_EQ(weisfeiler_lehman_similarity(a, b, {.rounds = 1, .attributes = false}), 1);
  EXPECT_DOUBLE_EQ(weisfeiler_lehman_similarity(a, a), 1);
}

TEST(WeisfeilerLehman, DirectionsCount) {
  // One value read by two, and two read by one, of the same operators.
  Network fork, join;
  fork.add("a", Input{{1, 4}});
  fork.add("b", Activation{}, {0});
  fork.add("c", Activation{Activation::Kind::tanh}, {1});
  fork.add("d", Activation{Activation::Kind::tanh}, {1});
  fork.add("e", Add{}, {2, 3});
  join.add("a", Input{{1, 4}});
  join.add("b", Activation{Activation::Kind::tanh}, {0});
  join.add("c", Activation{Activation::Kind::tanh}, {0});
  join.add("d", Add{}, {1, 2});
  join.add("e", Activation{}, {3});
  EXPECT_DOUBLE_EQ(weisfeiler_lehman_similarity(fork, join, {.rounds = 0}), 1);
  EXPECT_LT(weisfeiler_lehman_similarity(fork, join, {.rounds = 1}), 0.8);
}

TEST(WeisfeilerLehman, IsNormalisedSymmetricAndADistance) {
  Random random(1, "kernel");
  for (int i = 0; i < 100; ++i) {
    const Network a = random_network(random, 8), b = random_network(random, 6), c = random_network(random, 9);
    const auto distance = [](const Network& x, const Network& y) {
      return std::sqrt(std::max(0.0, 2 - 2 * weisfeiler_lehman_similarity(x, y)));
    };
    EXPECT_EQ(weisfeiler_lehman_similarity(a, b), weisfeiler_lehman_similarity(b, a));
    EXPECT_GT(weisfeiler_lehman_similarity(a, b), 0);  // the input
    EXPECT_LE(weisfeiler_lehman_similarity(a, b), 1);
    EXPECT_NEAR(weisfeiler_lehman_similarity(a, rewritten(a, random)), 1, 1e-12);
    EXPECT_LE(distance(a, c), distance(a, b) + distance(b, c) + 1e-9);
  }
}

TEST(WeisfeilerLehman, RelativesAreMoreAlike) {
  const Network resnet18 = zoo_network("resnet18").build(), resnet50 = zoo_network("resnet50").build(),
                mobilenet = zoo_network("mobilenet_v2").build(), bert = zoo_network("bert_base").build();
  const double relatives = weisfeiler_lehman_similarity(resnet18, resnet50);
  EXPECT_GT(relatives, weisfeiler_lehman_similarity(resnet18, mobilenet));
  EXPECT_GT(weisfeiler_lehman_similarity(resnet18, mobilenet), weisfeiler_lehman_similarity(resnet18, bert));
}

TEST(WeisfeilerLehman, RefusesEmptyNetworks) {
  EXPECT_THROW(weisfeiler_lehman_similarity(Network(), chain(Activation::Kind::relu)), NetworkError);
}

}  // namespace
}  // namespace duet
