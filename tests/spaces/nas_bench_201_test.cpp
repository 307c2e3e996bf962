#include <cmath>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <sstream>

#include "tests/spaces/read_space.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace duet::testing;

constexpr const char* whole_201 = "network: {type: nas_bench_201}";

std::string edges_of(const std::string& architecture) {
  return "network: {type: nas_bench_201, architecture: '" + architecture + "'}";
}

TEST(NasBench201, HasSixEdgesOfFiveOperations) {
  const DesignSpace space = read_space(whole_201);
  EXPECT_EQ(space.space().paths(),
            (std::vector<std::string>{"network.edge_1_0", "network.edge_2_0", "network.edge_2_1",
                                      "network.edge_3_0", "network.edge_3_1", "network.edge_3_2"}));
  EXPECT_EQ(space.space().cardinality().exact, 15'625u);
  EXPECT_TRUE(space.has_network());
  EXPECT_FALSE(space.has_accelerator());
}

TEST(NasBench201, EveryCandidateHasItsOwnArchitectureString) {
  const DesignSpace space = read_space(whole_201);
  std::set<std::string> seen;
  for (std::uint64_t rank = 0; rank < 15'625; ++rank) {
    const Candidate candidate = space.space().unrank(rank);
    const std::string text = space.label(candidate, "network.architecture");
    EXPECT_TRUE(seen.insert(text).second) << text;
    if (rank % 25 != 0) continue;  // reading a space costs more than the rest
    const DesignSpace fixed = read_space(edges_of(text));
    EXPECT_EQ(fixed.space().cardinality().exact, 1u);
    EXPECT_EQ(fixed.label(fixed.space().unrank(0), "network.architecture"), text);
    EXPECT_EQ(network_of(fixed, fixed.space().unrank(0)), network_of(space, candidate));
  }
}

TEST(NasBench201, LabelFollowsTheOrderOfTheEdges) {
  const DesignSpace space = read_space(whole_201);
  const Candidate candidate = read_candidate(
      space,
      "network: {edge_1_0: nor_conv_3x3, edge_2_0: none, edge_2_1: avg_pool_3x3, edge_3_0: skip_connect, "
      "edge_3_1: nor_conv_1x1, edge_3_2: none}");
  EXPECT_EQ(space.label(candidate, "network.architecture"),
            "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|");
  EXPECT_EQ(space.label(candidate, "network.edge_2_1"), "avg_pool_3x3");
}

TEST(NasBench201, RefusesMalformedStrings) {
  const std::string form = "expected the form |op~0|+|op~0|op~1|+|op~0|op~1|op~2|";
  for (const char* broken :
       {"none", "|none~0|", "|none~0|+|none~0|none~1|+|none~0|none~1|",
        "|none~0|+|none~0|none~1|none~0|none~1|none~2|", "|none~0|+|none~0|none~0|+|none~0|none~1|none~2|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|+|none~0|",
        "none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "|none~0|+|none~0|none~1|+|none~0|none~1|none~2"}) {
    const std::string message = refusal(edges_of(broken));
    EXPECT_THAT(message, StartsWith("space.yaml:1:46: ")) << broken;
    EXPECT_THAT(message, HasSubstr(form)) << broken;
  }
  EXPECT_THAT(refusal(edges_of("|nor_conv_3x4~0|+|none~0|none~1|+|none~0|none~1|none~2|")),
              HasSubstr("unknown operator 'nor_conv_3x4'; did you mean 'nor_conv_3x3'?"));
}

TEST(NasBench201, RefusesShapesThatCannotBeHalvedTwice) {
  EXPECT_THAT(refusal("network: {type: nas_bench_201, input: [3, 30, 32]}"), HasSubstr("multiples of 4"));
  EXPECT_THAT(refusal("network: {type: nas_bench_201, input: [3, 32]}"),
              HasSubstr("[channels, height, width]"));
  EXPECT_EQ(refusal("network: {type: nas_bench_201, input: [1, 28, 28]}"), "");
}

TEST(NasBench201, OperatorsCanBeRestricted) {
  const DesignSpace space = read_space("network: {type: nas_bench_201, operators: [none, nor_conv_1x1]}");
  EXPECT_EQ(space.space().cardinality().exact, 64u);
}

TEST(NasBench201, NodesOfTheCellSumTheirEdges) {
  const DesignSpace space = read_space(
      "network: {type: nas_bench_201, cells: 1, channels: 4, input: [1, 8, 8], "
      "architecture: '|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|none~1|nor_conv_1x1~2|'}");
  const Network network = network_of(space, space.space().unrank(0));
  const auto id = [&](const std::string& name) { return network.find("stage1.cell1." + name).value(); };
  const Node& sum = network.node(id("node_2"));
  EXPECT_EQ(sum.op, Operator(Add{}));
  EXPECT_EQ(sum.inputs, (std::vector<NodeId>{id("edge_2_0"), id("edge_2_1")}));
  EXPECT_EQ(network.node(id("edge_2_0")).op, Operator(Identity{}));
  // Padding does not count in the average.
  EXPECT_EQ(network.node(id("edge_2_1")).op,
            Operator(Pool{.kind = Pool::Kind::average, .kernel = 3, .stride = 1, .padding = 1}));
  EXPECT_EQ(network.node(id("edge_2_1")).inputs, (std::vector<NodeId>{id("edge_1_0_bn")}));
  // ReLU, convolution, normalisation.
  EXPECT_EQ(network.node(id("edge_3_2_act")).inputs, (std::vector<NodeId>{id("node_2")}));
  EXPECT_EQ(network.node(id("edge_3_2")).inputs, (std::vector<NodeId>{id("edge_3_2_act")}));
  // What is the only term of its sum is the sum.
  EXPECT_FALSE(network.find("stage1.cell1.node_1"));
  EXPECT_FALSE(network.find("stage1.cell1.node_3"));
  EXPECT_EQ(network.node(network.find("reduction1.shortcut_pool").value()).inputs,
            (std::vector<NodeId>{id("edge_3_2_bn")}));
}

TEST(NasBench201, NothingButNoneIsAllZeros) {
  const DesignSpace space = read_space(edges_of("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"));
  const Network network = network_of(space, space.space().unrank(0));
  EXPECT_EQ(network.node(network.find("stage3.cell5.node_3").value()).op, Operator(Zeros{{1, 64, 8, 8}}));
  EXPECT_EQ(network.node(network.output()).shape, (Shape{1, 10}));
}

// Counted by hand for the smallest skeleton. Input 1×4×4, one channel, cells without operators, two
// classes.
TEST(NasBench201, CountsOfTheSkeleton) {
  const DesignSpace space = read_space(
      "network: {type: nas_bench_201, cells: 1, channels: 1, input: [1, 4, 4], classes: 2, "
      "architecture: '|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|'}");
  const Candidate only = space.space().unrank(0);
  // Stem 3·3·16; reductions: 3·3·1·2·4 + 3·3·2·2·4 + 1·2·4, and 3·3·2·4·1 + 3·3·4·4·1 + 2·4·1; classifier
  // 4·2.
  EXPECT_EQ(quantity(space, only, "network.macs"), 144 + (72 + 144 + 8) + (72 + 144 + 8) + 8);
  // Stem 9 + 2; reductions (18 + 4) + (36 + 4) + 2 and (72 + 8) + (144 + 8) + 8; last normalisation 8;
  // classifier 10.
  EXPECT_EQ(quantity(space, only, "network.parameters"), 11 + 64 + 240 + 8 + 10);
  EXPECT_DOUBLE_EQ(quantity(space, only, "network.flops_m"), (600 + 2) / 1e6);
}

// The benchmark's figures are multiply-accumulates of convolutions and the linear layer, whether they reach
// the output or not, plus the ten biases of the classifier.
TEST(NasBench201, CountsEqualTheTable) {
  const auto path = reference_data("nb201_accuracy.csv");
  if (!path) GTEST_SKIP() << "NAS-Bench-201 reference data not found";
  const DesignSpace space = read_space(whole_201);
  std::map<std::string, Candidate> candidates;
  for (std::uint64_t rank = 0; rank < 15'625; ++rank) {
    const Candidate candidate = space.space().unrank(rank);
    candidates.emplace(space.label(candidate, "network.architecture"), candidate);
  }
  std::ifstream file(*path);
  std::string line;
  std::getline(file, line);
  ASSERT_THAT(line, ::testing::EndsWith("flops_M_c10,params_M_c10"));
  std::size_t rows = 0, exact = 0;
  while (std::getline(file, line)) {
    std::vector<std::string> cells;
    std::stringstream stream(line);
    for (std::string field; std::getline(stream, field, ',');) cells.push_back(field);
    ASSERT_EQ(cells.size(), 11u);
    const auto found = candidates.find(cells[1]);
    ASSERT_NE(found, candidates.end()) << cells[1];
    const double flops = std::round(std::stod(cells[9]) * 1e6);  // the table prints single units
    const double parameters = std::round(std::stod(cells[10]) * 1e6);
    const Network network = network_of(space, found->second);
    const auto macs = static_cast<double>(network.macs());
    const bool equal = macs + 10 == flops && static_cast<double>(network.parameters()) == parameters;
    EXPECT_TRUE(equal) << line;
    if (rows % 100 == 0) {
      EXPECT_EQ(quantity(space, found->second, "network.macs"), macs);
      EXPECT_EQ(quantity(space, found->second, "network.parameters"), parameters);
      EXPECT_DOUBLE_EQ(quantity(space, found->second, "network.flops_m"), flops / 1e6);
    }
    ++rows;
    exact += equal ? 1 : 0;
  }
  EXPECT_EQ(rows, 15'625u);
  EXPECT_EQ(exact, rows);
}

}  // namespace
}  // namespace duet
