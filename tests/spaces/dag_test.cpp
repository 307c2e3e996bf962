#include <gtest/gtest.h>

#include "tests/spaces/read_space.hpp"

namespace duet {
namespace {

using namespace duet::testing;

TEST(Dag, EveryEdgeIsAnOption) {
  const DesignSpace space = read_space("network: {type: dag}");
  EXPECT_EQ(space.space().size(), 15u + 4u + 4u + 1u);
  EXPECT_EQ(space.space().paths().front(), "network.edge_1_0");
  EXPECT_EQ(space.space().cardinality().exact, (std::uint64_t{1} << 15) * 4'096);
  EXPECT_EQ(read_space("network: {type: dag, vertices: 1, operators: skip, aggregation: [add, concat], "
                       "width: [0.5, 1, 2]}")
                .space()
                .cardinality()
                .exact,
            8u * 3u * 2u);
}

// All 2^6 wirings of two vertices, with two operations, widths and aggregations: a network where the output can be
// reached, and only there.
TEST(Dag, EveryCandidateOfASmallSpace) {
  const DesignSpace space = read_space(
      "network: {type: dag, vertices: 2, operators: [convolution_3x3, skip], width: [0.5, 1], aggregation: [add, "
      "concat], "
      "channels: 4, stages: 2, input: [3, 8, 8]}");
  ASSERT_EQ(space.space().cardinality().exact, 64u * 4u * 4u * 2u);
  std::size_t valid = 0;
  for (std::uint64_t rank = 0; rank < 2'048; ++rank) {
    const Candidate candidate = space.space().unrank(rank);
    const auto edge = [&](const std::string& name) {
      return space.space().number(candidate, "network.edge_" + name) == 1;
    };
    const bool first = edge("1_0"), second = edge("2_0") || (edge("2_1") && first);
    const bool reached = edge("3_0") || (edge("3_1") && first) || (edge("3_2") && second);
    ASSERT_EQ(space.space().valid(candidate), reached);
    if (!reached) {
      EXPECT_THROW(network_of(space, candidate), NetworkError);
      continue;
    }
    ++valid;
    const Network network = network_of(space, candidate);
    EXPECT_EQ(network.node(network.output()).shape, (Shape{1, 10}));
    EXPECT_EQ(network.pruned().nodes().size(), network.nodes().size());  // what leads nowhere is not built
    const bool reads_first = edge("3_1") || (edge("2_1") && edge("3_2"));
    EXPECT_EQ(network.find("stage2.cell1.vertex1").has_value(), first && reads_first);
    EXPECT_EQ(network.find("stage1.cell1.vertex2").has_value(), second && edge("3_2"));
  }
  EXPECT_EQ(valid, 47u * 32u);  // the output reads the input, or (15 of 32) one of two vertices that are reached
}

std::string diamond(const std::string& aggregation) {
  return "network: {edge_1_0: 1, edge_2_0: 1, edge_2_1: 0, edge_3_0: 0, edge_3_1: 1, edge_3_2: 1, operation_1: "
         "convolution_3x3, width_1: 0.5, operation_2: max_pool_3x3, width_2: 1, aggregation: " +
         aggregation + "}";
}

TEST(Dag, ProjectsWhereShapesDiffer) {
  const DesignSpace space = read_space(
      "network: {type: dag, vertices: 2, operators: [convolution_3x3, max_pool_3x3], width: [0.5, 1], aggregation: "
      "[add, "
      "concat], channels: 4, stages: 1, input: [3, 8, 8]}");
  const Network sum = network_of(space, read_candidate(space, diamond("add")));
  const auto at = [](const Network& network, const std::string& name) {
    return network.node(network.find("stage1.cell1." + name).value());
  };
  EXPECT_EQ(at(sum, "vertex1").shape, (Shape{1, 2, 8, 8}));
  EXPECT_EQ(at(sum, "output.projection1").op, Operator(Convolution{.out_channels = 4}));
  EXPECT_FALSE(sum.find("stage1.cell1.output.projection2"));
  EXPECT_EQ(at(sum, "output.add").shape, (Shape{1, 4, 8, 8}));
  // Stem 3·4·9, vertex 1 4·2·9, projection 2·4; at 64 positions; classifier 4·10.
  EXPECT_EQ(sum.macs(), (108 + 72 + 8) * 64 + 40);

  const Network joined = network_of(space, read_candidate(space, diamond("concat")));
  EXPECT_EQ(at(joined, "output.concat").shape, (Shape{1, 6, 8, 8}));
  EXPECT_EQ(at(joined, "output.projection").op, Operator(Convolution{.out_channels = 4}));
  EXPECT_EQ(joined.macs(), (108 + 72 + 24) * 64 + 40);
}

TEST(Dag, EdgesCanBeLimited) {
  const DesignSpace space = read_space("network: {type: dag, vertices: 4, edges: 5}");
  Random random(1, "test");
  for (int i = 0; i < 200; ++i) {
    const double edges = quantity(space, space.space().sample(random), "network.edges");
    EXPECT_GE(edges, 1);
    EXPECT_LE(edges, 5);
  }
}

TEST(Dag, RandomCandidatesAreNetworks) {
  const DesignSpace space =
      read_space("network: {type: dag, vertices: 8, aggregation: [add, concat], width: [0.5, 1, 1.5], cells: 2}");
  Random random(1, "test");
  for (int i = 0; i < 200; ++i) {
    const Candidate candidate = space.space().sample(random);
    const Network network = network_of(space, candidate);
    EXPECT_EQ(network.node(network.output()).shape, (Shape{1, 10}));
    EXPECT_EQ(network.pruned().nodes().size(), network.nodes().size());
    EXPECT_EQ(quantity(space, candidate, "network.parameters"), static_cast<double>(network.parameters()));
  }
}

}  // namespace
}  // namespace duet
