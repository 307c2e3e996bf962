#include "spaces/edit_distance.hpp"

#include <algorithm>
#include <functional>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <string>

#include "spaces/zoo.hpp"
#include "tests/spaces/random_network.hpp"
#include "tests/spaces/read_space.hpp"

namespace duet {
namespace {

using namespace duet::testing;

/// The least cost over all partial assignments, none left out.
double brute_force(const Network& whole_a, const Network& whole_b, const EditCosts& costs) {
  const Network a = whole_a.pruned(), b = whole_b.pruned();
  const auto edges_of = [](const Network& network) {
    std::map<std::pair<NodeId, NodeId>, int> edges;
    for (NodeId id = 0; id < network.nodes().size(); ++id) {
      for (const NodeId input : network.node(id).inputs) ++edges[{input, id}];
    }
    return edges;
  };
  const auto edges_a = edges_of(a), edges_b = edges_of(b);
  const auto change = [&](const Operator& x, const Operator& y) {
    if (x == y) return 0.0;
    if (x.index() != y.index()) return costs.operation;
    const auto* c = std::get_if<Convolution>(&x);
    if (c == nullptr) return costs.attributes;
    const auto& d = std::get<Convolution>(y);
    // random_network varies the kernel, with it the padding, and the bias.
    return costs.attributes * ((c->kernel_h != d.kernel_h) * 2 + (c->bias != d.bias)) / 7;
  };
  const std::size_t none = b.nodes().size();
  std::vector<std::size_t> to(a.nodes().size(), none);
  std::vector<bool> used(none, false);
  double best = std::numeric_limits<double>::infinity();
  const std::function<void(std::size_t, double)> assign = [&](std::size_t i, double cost) {
    if (i == to.size()) {
      for (const bool taken : used) cost += taken ? 0 : costs.node;
      auto left = edges_b;
      int edges = 0;
      for (const auto& [ends, count] : edges_a) {
        const std::pair<NodeId, NodeId> there{to[ends.first], to[ends.second]};
        const auto found = left.find(there);
        edges += std::abs(count - (found == left.end() ? 0 : found->second));
        if (found != left.end()) left.erase(found);
      }
      for (const auto& [ends, count] : left) edges += count;
      best = std::min(best, cost + costs.edge * edges);
      return;
    }
    to[i] = none;
    assign(i + 1, cost + costs.node);
    for (std::size_t j = 0; j < none; ++j) {
      if (used[j]) continue;
      used[j] = true;
      to[i] = j;
      assign(i + 1, cost + change(a.node(i).op, b.node(j).op));
      used[j] = false;
    }
    to[i] = none;
  };
  assign(0, 0);
  return best;
}

TEST(EditDistance, OfSingleEdits) {
  Network a;
  a.add("x", Input{{1, 2, 4, 4}});
  a.add("y", Convolution{.out_channels = 2}, {0});
  a.add("z", Activation{}, {1});
  const auto against = [&](const Network& b) {
    const EditDistance distance = edit_distance(a, b);
    EXPECT_TRUE(distance.exact());
    return distance.upper;
  };
  EXPECT_EQ(against(a), 0);

  Network other = a;  // one more activation at the end
  other.add("more", Activation{Activation::Kind::tanh}, {2});
  EXPECT_DOUBLE_EQ(against(other), 1.5);

  Network skip;  // another operator, and one more edge
  skip.add("x", Input{{1, 2, 4, 4}});
  skip.add("y", Convolution{.out_channels = 2}, {0});
  skip.add("z", Add{}, {0, 1});
  EXPECT_DOUBLE_EQ(against(skip), 1.5);

  Network wider;  // three of a convolution's seven attributes
  wider.add("x", Input{{1, 2, 4, 4}});
  wider.add("y", Convolution{.out_channels = 5, .kernel_h = 3, .kernel_w = 3, .padding_h = 1, .padding_w = 1}, {0});
  wider.add("z", Activation{}, {1});
  EXPECT_DOUBLE_EQ(against(wider), 0.5 * 3 / 7);

  Network dead = a;  // what does not reach the output
  dead.add("dead", Activation{}, {1});
  dead.set_output(2);
  EXPECT_EQ(against(dead), 0);
}

TEST(EditDistance, AgreesWithBruteForce) {
  Random random(1, "edit");
  const EditCosts other{.node = 1.5, .operation = 2, .attributes = 1, .edge = 0.75};
  int different = 0;
  for (int i = 0; i < 300; ++i) {
    const Network a = random_network(random, 1 + random.below(5)), b = random_network(random, 1 + random.below(5));
    const EditCosts costs = i % 2 == 0 ? EditCosts{} : other;
    const double expected = brute_force(a, b, costs);
    const EditDistance distance = edit_distance(a, b, costs);
    ASSERT_TRUE(distance.exact());
    ASSERT_NEAR(distance.upper, expected, 1e-9);
    // Both bounds without the exact search.
    const EditDistance bounds = edit_distance(a, b, costs, {.exact_nodes = 0});
    EXPECT_LE(bounds.lower, expected + 1e-9);
    EXPECT_GE(bounds.upper, expected - 1e-9);
    const EditDistance counted = edit_distance(a, b, costs, {.exact_nodes = 0, .assigned_nodes = 0});
    EXPECT_LE(counted.lower, expected + 1e-9);
    EXPECT_GE(counted.upper, expected - 1e-9);
    const EditDistance early = edit_distance(a, b, costs, {.states = 5});
    EXPECT_LE(early.lower, expected + 1e-9);
    EXPECT_GE(early.upper, expected - 1e-9);
    different += bounds.exact() ? 0 : 1;
  }
  EXPECT_GT(different, 50);  // the exact search had something to do
}

TEST(EditDistance, IsAMetric) {
  Random random(2, "edit");
  for (int i = 0; i < 60; ++i) {
    const Network a = random_network(random, 2 + random.below(7)), b = random_network(random, 2 + random.below(7)),
                  c = random_network(random, 2 + random.below(7));
    const auto distance = [](const Network& x, const Network& y) {
      const EditDistance result = edit_distance(x, y);
      EXPECT_TRUE(result.exact());
      return result.upper;
    };
    EXPECT_EQ(distance(a, b), distance(b, a));
    EXPECT_NEAR(distance(a, rewritten(a, random)), 0, 1e-9);
    EXPECT_NEAR(distance(a, b), distance(rewritten(a, random), rewritten(b, random)), 1e-9);
    EXPECT_LE(distance(a, c), distance(a, b) + distance(b, c) + 1e-9);
  }
}

TEST(EditDistance, CellsOfNasBench201) {
  const DesignSpace space = read_space("network: {type: nas_bench_201, cells: 1, channels: 4, input: [1, 4, 4]}");
  const auto cell = [&](const std::string& last) {
    return network_of(space, read_candidate(space,
                                            "network: {edge_1_0: nor_conv_3x3, edge_2_0: none, edge_2_1: "
                                            "nor_conv_1x1, edge_3_0: skip_connect, edge_3_1: none, edge_3_2: " +
                                                last + "}"));
  };
  // In each of the three cells a convolution of another size: two attributes of seven.
  const EditDistance near = edit_distance(cell("nor_conv_3x3"), cell("nor_conv_1x1"));
  EXPECT_NEAR(near.upper, 3 * 0.5 * 2 / 7, 1e-9);
  EXPECT_LE(near.lower, near.upper);
  // A pooling instead: in each cell one of ReLU, convolution and normalisation becomes the pooling, two go, and of the four
  // and two edges one stays.
  const EditDistance far = edit_distance(cell("nor_conv_3x3"), cell("avg_pool_3x3"));
  EXPECT_NEAR(far.upper, 3 * (1 + 2 + 4 * 0.5), 1e-9);
  EXPECT_LE(far.lower, far.upper);
}

TEST(EditDistance, BoundsOfLargeNetworks) {
  Random random(3, "edit");
  const Network resnet18 = zoo_network("resnet18").build(), resnet50 = zoo_network("resnet50").build();
  const EditDistance same = edit_distance(resnet18, rewritten(resnet18, random));
  EXPECT_EQ(same.upper, 0);
  EXPECT_TRUE(same.exact());
  const EditDistance there = edit_distance(resnet18, resnet50), back = edit_distance(resnet50, resnet18);
  EXPECT_EQ(there.lower, back.lower);
  EXPECT_EQ(there.upper, back.upper);
  const double more = static_cast<double>(resnet50.nodes().size() - resnet18.nodes().size());
  EXPECT_GE(there.lower, more);  // at least each further node
  EXPECT_LE(there.lower, there.upper);
  EXPECT_LE(there.upper, 4 * more);
}

TEST(EditDistance, OfThousandsOfNodes) {
  // The cubic bounds of these took minutes.
  const auto chain = [](int length, int other) {
    Network network;
    network.add("x", Input{{1, 2}});
    for (int i = 0; i < length; ++i) {
      const auto kind = i == other ? Activation::Kind::tanh : Activation::Kind::relu;
      network.add("y" + std::to_string(i), Activation{kind}, {static_cast<NodeId>(i)});
    }
    return network;
  };
  const Network a = chain(6000, 3000);
  EXPECT_EQ(edit_distance(a, a).upper, 0);
  const EditDistance longer = edit_distance(a, chain(6001, 3000));
  EXPECT_DOUBLE_EQ(longer.lower, 1.5);  // a node and an edge
  EXPECT_DOUBLE_EQ(longer.upper, 1.5);
  const EditDistance changed = edit_distance(a, chain(6000, -1));
  EXPECT_LE(changed.lower, 0.5);  // the attributes of one node
  EXPECT_GT(changed.lower, 0);
  EXPECT_DOUBLE_EQ(changed.upper, 0.5);
  const EditDistance back = edit_distance(chain(6000, -1), a);
  EXPECT_EQ(back.lower, changed.lower);
  EXPECT_EQ(back.upper, changed.upper);
}

TEST(EditDistance, RefusesEmptyNetworks) {
  EXPECT_THROW(edit_distance(Network(), Network()), NetworkError);
}

}  // namespace
}  // namespace duet
