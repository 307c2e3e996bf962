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
using namespace duet::testing;

constexpr const char* whole_macro = "network: {type: nas_bench_macro}";

TEST(NasBenchMacro, HasEightLayersOfThreeBlocks) {
  const DesignSpace space = read_space(whole_macro);
  EXPECT_EQ(space.space().size(), 8u);
  EXPECT_EQ(space.space().cardinality().exact, 6'561u);
  EXPECT_EQ(space.space()[7].path, "network.layer8");
}

TEST(NasBenchMacro, ArchitectureStringsAreTheDigitsOfTheRank) {
  const DesignSpace space = read_space(whole_macro);
  for (std::uint64_t rank = 0; rank < 6'561; ++rank) {
    std::string digits;
    for (std::uint64_t rest = rank, i = 0; i < 8; ++i, rest /= 3) {
      digits.insert(digits.begin(), static_cast<char>('0' + rest % 3));
    }
    EXPECT_EQ(space.label(space.space().unrank(rank), "network.architecture"), digits);
  }
}

TEST(NasBenchMacro, AnArchitectureStringFixesTheNetwork) {
  const DesignSpace space = read_space(whole_macro);
  const DesignSpace fixed = read_space("network: {type: nas_bench_macro, architecture: '01201201'}");
  EXPECT_EQ(fixed.space().cardinality().exact, 1u);
  const Candidate only = fixed.space().unrank(0);
  EXPECT_EQ(fixed.label(only, "network.architecture"), "01201201");
  const Candidate same = read_candidate(
      space,
      "network: {layer1: identity, layer2: mb3_k3, layer3: mb6_k5, layer4: identity, layer5: mb3_k3, "
      "layer6: mb6_k5, layer7: identity, layer8: mb3_k3}");
  EXPECT_EQ(space.label(same, "network.architecture"), "01201201");
  EXPECT_EQ(network_of(fixed, only), network_of(space, same));
}

TEST(NasBenchMacro, RefusesMalformedStrings) {
  for (const char* broken : {"0", "0120120", "012012012", "01201203", "0120120a"}) {
    EXPECT_THAT(refusal(std::string("network: {type: nas_bench_macro, architecture: '") + broken + "'}"),
                HasSubstr("expected 8 digits, each 0, 1 or 2"))
        << broken;
  }
}

TEST(NasBenchMacro, ResidualsOnlyWhereShapesAgree) {
  const DesignSpace space = read_space("network: {type: nas_bench_macro, architecture: '12010000'}");
  const Network network = network_of(space, space.space().unrank(0));
  EXPECT_FALSE(network.find("layer1.add"));
  EXPECT_TRUE(network.find("layer2.add"));
  EXPECT_EQ(network.node(network.find("layer3.skip").value()).op,
            Operator(Convolution{.out_channels = 128, .stride_h = 2, .stride_w = 2}));
  EXPECT_EQ(network.node(network.find("layer5.skip").value()).op, Operator(Identity{}));
  EXPECT_EQ(network.node(network.find("head").value()).shape, (Shape{1, 1280, 4, 4}));
}

TEST(NasBenchMacro, CountsEqualTheTable) {
  const auto path = reference_data("nas_bench_macro.csv");
  if (!path) GTEST_SKIP() << "NAS-Bench-Macro reference data not found";
  const DesignSpace space = read_space(whole_macro);
  std::map<std::string, Candidate> candidates;
  for (std::uint64_t rank = 0; rank < 6'561; ++rank) {
    const Candidate candidate = space.space().unrank(rank);
    candidates.emplace(space.label(candidate, "network.architecture"), candidate);
  }
  std::ifstream file(*path);
  std::string line;
  std::getline(file, line);
  ASSERT_THAT(line, ::testing::EndsWith("params,flops"));
  std::size_t rows = 0, exact = 0;
  while (std::getline(file, line)) {
    std::vector<std::string> cells;
    std::stringstream stream(line);
    for (std::string field; std::getline(stream, field, ',');) cells.push_back(field);
    ASSERT_EQ(cells.size(), 8u);
    const auto found = candidates.find(cells[0]);
    ASSERT_NE(found, candidates.end()) << cells[0];
    const bool equal = quantity(space, found->second, "network.parameters") == std::stod(cells[6]) &&
                       quantity(space, found->second, "network.macs") == std::stod(cells[7]);
    EXPECT_TRUE(equal) << line;
    ++rows;
    exact += equal ? 1 : 0;
  }
  EXPECT_EQ(rows, 6'561u);
  EXPECT_EQ(exact, rows);
}

}  // namespace
}  // namespace duet
