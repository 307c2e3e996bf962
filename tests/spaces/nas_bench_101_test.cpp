#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <set>
#include <sstream>
#include <unordered_map>

#include "tests/spaces/read_space.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace duet::testing;

constexpr const char* whole = "network: {type: nas_bench_101}";

std::string cell(const std::string& architecture, const std::string& more = "") {
  return "network: {type: nas_bench_101, architecture: '" + architecture + "'" + more + "}";
}

// The cell of the benchmark's README: an Inception-like module.
constexpr const char* inception =
    "0-1-1-1-0-1-0-"
    "0-0-0-0-0-0-1-"
    "0-0-0-0-0-0-1-"
    "0-0-0-0-1-0-0-"
    "0-0-0-0-0-0-1-"
    "0-0-0-0-0-0-1-"
    "0-0-0-0-0-0-0-"
    "0-3-4-4-4-2-1";

TEST(NasBench101, HasTwentyOneEdgesAndFiveOperations) {
  const DesignSpace space = read_space(whole);
  EXPECT_EQ(space.space().size(), 26u);
  EXPECT_EQ(space.space().paths().front(), "network.edge_1_0");
  EXPECT_EQ(space.space().paths()[20], "network.edge_6_5");
  EXPECT_EQ(space.space().paths().back(), "network.operation_5");
  EXPECT_EQ(space.space().cardinality().exact, (std::uint64_t{1} << 21) * 243);
  EXPECT_TRUE(space.has_network());
}

// nasbench's README prints this cell's trainable parameters; its hash is in the benchmark's file.
TEST(NasBench101, KnowsTheCellOfTheReadme) {
  const DesignSpace space = read_space(cell(inception));
  const Candidate only = space.space().unrank(0);
  EXPECT_EQ(space.space().cardinality().exact, 1u);
  EXPECT_EQ(space.label(only, "network.architecture"), inception);
  EXPECT_EQ(space.label(only, "network.hash"), "28cfc7874f6d200472e1a9dcd8650aa0");
  EXPECT_EQ(network_of(space, only).parameters(), 2'694'282);
}

TEST(NasBench101, CandidatesAreFixedByTheirEncoding) {
  const DesignSpace space = read_space(whole);
  Random random(1, "test");
  for (int i = 0; i < 100; ++i) {
    const Candidate candidate = space.space().sample(random);
    const std::string text = space.label(candidate, "network.architecture");
    const DesignSpace fixed = read_space(cell(text));
    const Candidate only = fixed.space().unrank(0);
    EXPECT_EQ(fixed.label(only, "network.architecture"), text);
    EXPECT_EQ(fixed.label(only, "network.hash"), space.label(candidate, "network.hash"));
    EXPECT_TRUE(network_of(fixed, only) == network_of(space, candidate));
  }
}

// Seven vertices, of which 3 and 5 are on no path; vertex 4 feeds vertex 2 of the output's channels.
TEST(NasBench101, BuildsTheBenchmarksCell) {
  const DesignSpace space = read_space(
      "network: {type: nas_bench_101, stacks: 1, cells: 1, channels: 13, input: [3, 4, 4], "
      "architecture: '0-1-1-0-0-0-1-"
      "0-0-1-0-1-0-0-"
      "0-0-0-0-0-0-1-"
      "0-0-0-0-0-0-1-"
      "0-0-0-0-0-1-1-"
      "0-0-0-0-0-0-0-"
      "0-0-0-0-0-0-0-"
      "0-3-2-4-4-2-1'}");
  const Candidate only = space.space().unrank(0);
  EXPECT_EQ(quantity(space, only, "network.edges"), 7);
  const Network network = network_of(space, only);
  const auto at = [&](const std::string& name) { return network.node(network.find("stack1.cell1." + name).value()); };
  const auto id = [&](const std::string& name) { return network.find("stack1.cell1." + name).value(); };
  EXPECT_FALSE(network.find("stack1.cell1.vertex3"));
  EXPECT_FALSE(network.find("stack1.cell1.vertex5"));
  // 13 channels are divided between vertices 2 and 4, the first takes the odd one; vertex 1 has those of the widest reader.
  EXPECT_EQ(at("vertex2").shape, (Shape{1, 7, 4, 4}));
  EXPECT_EQ(at("vertex4").shape, (Shape{1, 6, 4, 4}));
  EXPECT_EQ(at("vertex1").shape, (Shape{1, 7, 4, 4}));
  EXPECT_EQ(at("vertex4.cut_1").op, Operator(Slice{{0, 0, 0, 0}, {1, 6, 4, 4}, {1, 1, 1, 1}}));
  EXPECT_EQ(at("vertex2.add").inputs, (std::vector<NodeId>{id("vertex1_act"), id("vertex2.projection_act")}));
  EXPECT_EQ(at("vertex2").op, Operator(Pool{.kernel = 3, .stride = 1, .padding = 1}));
  EXPECT_EQ(at("concat").inputs, (std::vector<NodeId>{id("vertex2"), id("vertex4_act")}));
  EXPECT_EQ(at("add").inputs, (std::vector<NodeId>{id("concat"), id("projection_act")}));
  // Stem 3·13·9, projections into 1 (7), 2 (7) and the output (13), vertex 1 (7·7) and 4 (6·6·9), at 16 positions, and
  // the classifier.
  EXPECT_EQ(network.macs(), (3 * 13 * 9 + 13 * (7 + 7 + 13) + 7 * 7 + 6 * 6 * 9) * 16 + 13 * 10);
}

TEST(NasBench101, ConstraintsAreTheBenchmarks) {
  const DesignSpace space = read_space(whole);
  const auto assigned = [&](const std::set<std::string>& edges) {
    std::string text = "network: {";
    for (int to = 1; to < 7; ++to) {
      for (int from = 0; from < to; ++from) {
        const std::string name = fmt::format("edge_{}_{}", to, from);
        text += fmt::format("{}: {}, ", name, edges.count(name));
      }
    }
    for (int v = 1; v < 6; ++v) text += fmt::format("operation_{}: maxpool3x3, ", v);
    return text + "}";
  };
  try {
    read_candidate(space, assigned({"edge_1_0", "edge_6_2"}));
    ADD_FAILURE() << "the output is not reachable";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("edges (0) >= 1"));
  }
  const std::set<std::string> nine{"edge_1_0", "edge_2_0", "edge_2_1", "edge_3_0", "edge_3_1",
                                   "edge_3_2", "edge_6_0", "edge_6_1", "edge_6_3"};
  std::set<std::string> more = nine;
  more.insert({"edge_5_0", "edge_5_1"});  // lead nowhere and do not count
  EXPECT_EQ(quantity(space, read_candidate(space, assigned(more)), "network.edges"), 9);
  more = nine;
  more.insert("edge_6_2");
  try {
    read_candidate(space, assigned(more));
    ADD_FAILURE() << "ten edges";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("edges (10) <= 9"));
  }
}

TEST(NasBench101, RefusesMalformedEncodings) {
  const auto why = [](const std::string& text) { return refusal(cell(text)); };
  EXPECT_THAT(why("0-1-x"), StartsWith("space.yaml:1:46: "));
  EXPECT_THAT(why("0-1-x"), HasSubstr("expected numbers"));
  EXPECT_THAT(why("0-1-"), HasSubstr("expected numbers"));
  EXPECT_THAT(why("0-1-0"), HasSubstr("n·n + n numbers, n = 2 to 7"));
  EXPECT_THAT(why("0-1-1-0-0-1"), HasSubstr("on and below the diagonal"));
  EXPECT_THAT(why("0-2-0-0-0-1"), HasSubstr("holds 2"));
  EXPECT_THAT(why("0-1-0-0-0-2"), HasSubstr("the last 1 (output)"));
  EXPECT_THAT(why("0-0-0-0-0-1"), HasSubstr("no path"));
  EXPECT_THAT(why("0-1-0-0-0-1-0-0-0-0-5-1"), HasSubstr("operation 5 of vertex 1"));
  EXPECT_EQ(why("0-1-0-0-0-1-0-0-0-0-2-1"), "");
  EXPECT_THAT(refusal(cell("0-1-0-0-0-1-0-0-0-0-2-1", ", edges: 1")), HasSubstr("2 edges are on paths"));
  EXPECT_THAT(refusal("network: {type: nas_bench_101, input: [3, 3, 32]}"), HasSubstr("at least 4"));
}

// NASLib's cells have 7×7 matrices before pruning, some with more than nine edges; its figures print six digits.
TEST(NasBench101, CountsEqualTheSample) {
  const auto path = reference_data("nb101_sample500.csv");
  if (!path) GTEST_SKIP() << "NAS-Bench-101 reference data not found";
  std::ifstream file(*path);
  std::string line;
  std::getline(file, line);
  ASSERT_THAT(line, StartsWith("encoding,flops,params,"));
  std::size_t rows = 0, flops = 0, parameters = 0;
  while (std::getline(file, line)) {
    std::vector<std::string> fields;
    std::stringstream stream(line);
    for (std::string field; std::getline(stream, field, ',');) fields.push_back(field);
    const DesignSpace space = read_space(cell(fields.at(0)));
    const Candidate only = space.space().unrank(0);
    EXPECT_EQ(space.space().why_invalid(only), std::nullopt);
    flops += fmt::format("{:.6g}", quantity(space, only, "network.flops_m")) == fields.at(1) ? 1 : 0;
    parameters += fmt::format("{:.6g}", quantity(space, only, "network.parameters") / 1e6) == fields.at(2) ? 1 : 0;
    ++rows;
  }
  EXPECT_EQ(rows, 500u);
  EXPECT_EQ(flops, rows);
  EXPECT_EQ(parameters, rows);
}

/// A cell in the tests' own words: bit v·size + w of `matrix` is the edge from v to w.
struct Graph {
  std::size_t size;
  std::uint64_t matrix;
  std::array<int, 7> labels;
  bool edge(std::size_t v, std::size_t w) const { return (matrix >> (v * size + w) & 1) != 0; }
};

/// The smallest (matrix, labels) over all orders of the inner vertices: a canonical form.
std::pair<std::uint64_t, std::vector<int>> canonical(const Graph& graph) {
  std::vector<std::size_t> order(graph.size);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::optional<std::pair<std::uint64_t, std::vector<int>>> best;
  do {
    std::pair<std::uint64_t, std::vector<int>> form{0, {}};
    for (std::size_t v = 0; v < graph.size; ++v) {
      for (std::size_t w = 0; w < graph.size; ++w) {
        if (graph.edge(order[v], order[w])) form.first |= std::uint64_t{1} << (v * graph.size + w);
      }
      form.second.push_back(graph.labels[order[v]]);
    }
    if (!best || form < *best) best = form;
  } while (std::next_permutation(order.begin() + 1, order.end() - 1));
  return *best;
}

/// Whether every vertex is on a path from the first to the last.
bool all_on_paths(const Graph& graph) {
  for (std::size_t v = 0; v < graph.size; ++v) {
    bool in = v == 0, out = v + 1 == graph.size;
    for (std::size_t w = 0; w < graph.size; ++w) {
      in = in || graph.edge(w, v);
      out = out || graph.edge(v, w);
    }
    if (!in || !out) return false;
  }
  return true;
}

/// Calls visit(graph) for every upper-triangular matrix of `size` vertices and at most nine edges that leaves no vertex
/// out, with every labelling.
template <class Visit>
void enumerate(std::size_t size, const Visit& visit) {
  std::vector<std::size_t> positions;
  for (std::size_t v = 0; v < size; ++v) {
    for (std::size_t w = v + 1; w < size; ++w) positions.push_back(v * size + w);
  }
  std::size_t labellings = 1;
  for (std::size_t v = 2; v < size; ++v) labellings *= 3;
  for (std::uint32_t bits = 0; bits < std::uint32_t{1} << positions.size(); ++bits) {
    if (__builtin_popcount(bits) > 9) continue;
    Graph graph{size, 0, {}};
    for (std::size_t i = 0; i < positions.size(); ++i) {
      if ((bits >> i & 1) != 0) graph.matrix |= std::uint64_t{1} << positions[i];
    }
    if (!all_on_paths(graph)) continue;
    graph.labels[0] = 3;
    graph.labels[size - 1] = 4;
    for (std::size_t labelling = 0; labelling < labellings; ++labelling) {
      std::size_t rest = labelling;
      for (std::size_t v = 1; v + 1 < size; ++v, rest /= 3) graph.labels[v] = static_cast<int>(rest % 3);
      visit(graph);
    }
  }
}

std::string encoding(const Graph& graph) {
  static constexpr int codes[]{4, 3, 2, 0, 1};
  std::string text;
  for (std::size_t v = 0; v < graph.size; ++v) {
    for (std::size_t w = 0; w < graph.size; ++w) text += graph.edge(v, w) ? "1-" : "0-";
  }
  for (std::size_t v = 0; v < graph.size; ++v) text += fmt::format("{}-", codes[graph.labels[v]]);
  text.pop_back();
  return text;
}

// Of the benchmark's 423,624 cells 1, 6, 84 and 2,441 have 2, 3, 4 and 5 vertices.
TEST(NasBench101, HashTellsTheIsomorphismClassesOfSmallCells) {
  const DesignSpace space = read_space("network: {type: nas_bench_101, vertices: 5}");
  ASSERT_EQ(space.space().cardinality().exact, 27'648u);
  std::set<std::string> hashes;
  for (std::uint64_t rank = 0; rank < 27'648; ++rank) {
    const Candidate candidate = space.space().unrank(rank);
    if (space.space().valid(candidate)) hashes.insert(space.label(candidate, "network.hash"));
  }
  EXPECT_EQ(hashes.size(), 1u + 6u + 84u + 2'441u);

  std::map<std::size_t, std::set<std::pair<std::uint64_t, std::vector<int>>>> forms;
  for (std::size_t size = 2; size <= 5; ++size) {
    enumerate(size, [&](const Graph& graph) { forms[size].insert(canonical(graph)); });
  }
  EXPECT_EQ(forms[2].size(), 1u);
  EXPECT_EQ(forms[3].size(), 6u);
  EXPECT_EQ(forms[4].size(), 84u);
  EXPECT_EQ(forms[5].size(), 2'441u);
}

/// Rounds of neighbours' hashes as in the benchmark, with 64-bit mixing in place of MD5.
std::uint64_t fast_hash(const Graph& graph) {
  const auto mix = [](std::uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
  };
  std::array<std::uint64_t, 7> hashes{}, next{};
  for (std::size_t v = 0; v < graph.size; ++v) hashes[v] = mix(static_cast<std::uint64_t>(graph.labels[v]) + 1);
  for (std::size_t round = 0; round + 1 < graph.size; ++round) {
    for (std::size_t v = 0; v < graph.size; ++v) {
      std::uint64_t before = 0, after = 0;
      for (std::size_t w = 0; w < v; ++w) before += graph.edge(w, v) ? hashes[w] : 0;
      for (std::size_t w = v + 1; w < graph.size; ++w) after += graph.edge(v, w) ? hashes[w] : 0;
      next[v] = mix(hashes[v] + 3 * mix(before + 0x9e3779b97f4a7c15ULL) + 7 * mix(after + 0x7f4a7c159e3779b9ULL));
    }
    hashes = next;
  }
  std::uint64_t sum = 0;
  for (std::size_t v = 0; v < graph.size; ++v) sum += mix(hashes[v]);
  return sum;
}

// The number of the paper's abstract, by enumeration; the space's hash agrees on every 200th class: equal for its first
// and its last member, different from all others.
TEST(SlowNasBench101, Has423624Cells) {
  std::set<std::string> hashes;
  std::size_t classes = 0, checked = 0;
  for (std::size_t size = 2; size <= 7; ++size) {
    std::unordered_map<std::uint64_t, std::pair<Graph, Graph>> members;
    enumerate(size, [&](const Graph& graph) {
      const auto [found, inserted] = members.try_emplace(fast_hash(graph), graph, graph);
      if (!inserted) found->second.second = graph;
    });
    if (size == 6) {
      EXPECT_EQ(members.size(), 62'010u);
    }
    classes += members.size();
    for (const auto& [hash, pair] : members) {
      if (hash % 200 != 0) continue;
      const auto label = [](const Graph& graph) {
        const DesignSpace space = read_space(cell(encoding(graph)));
        return space.label(space.space().unrank(0), "network.hash");
      };
      const std::string first = label(pair.first);
      EXPECT_EQ(first, label(pair.second));
      EXPECT_TRUE(hashes.insert(first).second) << encoding(pair.first);
      ++checked;
    }
  }
  EXPECT_EQ(classes, 423'624u);
  EXPECT_GT(checked, 1'500u);
}

}  // namespace
}  // namespace duet
