#include "spaces/function_hash.hpp"

#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "tests/spaces/read_space.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using namespace duet::testing;

const Convolution conv3{.out_channels = 4, .kernel_h = 3, .kernel_w = 3, .padding_h = 1, .padding_w = 1};
const Pool pool3{.kind = Pool::Kind::average, .kernel = 3, .stride = 1, .padding = 1};
const Shape image{1, 4, 6, 6};

/// The hash of what `build` makes of one input.
template <class Build>
Fingerprint hash_of(Build build) {
  Network network;
  const NodeId x = network.add("x", Input{image});
  build(network, x);
  return function_hash(network);
}

TEST(FunctionHash, SkipsIdentitiesAndWhatReachesNoOutput) {
  const Fingerprint plain = hash_of([](Network& n, NodeId x) { n.add("c", conv3, {x}); });
  EXPECT_EQ(plain, hash_of([](Network& n, NodeId x) {
              const NodeId skip = n.add("skip", Identity{}, {x});
              n.add("dead", pool3, {x});
              n.add("c", conv3, {skip});
            }));
  EXPECT_NE(plain, hash_of([](Network& n, NodeId x) { n.add("c", pool3, {x}); }));
  EXPECT_NE(plain, hash_of([](Network& n, NodeId x) {
              Convolution dilated = conv3;
              dilated.dilation_h = dilated.dilation_w = dilated.padding_h = dilated.padding_w = 2;
              n.add("c", dilated, {x});
            }));
}

TEST(FunctionHash, FlattensSumsWithMultiplicities) {
  const auto nested = hash_of([](Network& n, NodeId x) {  // (x + pool) + x
    const NodeId p = n.add("p", pool3, {x});
    const NodeId inner = n.add("inner", Add{}, {x, p});
    n.add("outer", Add{}, {inner, x});
  });
  EXPECT_EQ(nested, hash_of([](Network& n, NodeId x) {
              const NodeId p = n.add("p", pool3, {x});
              n.add("sum", Add{}, {p, x, x});
            }));
  EXPECT_NE(nested, hash_of([](Network& n, NodeId x) {
              const NodeId p = n.add("p", pool3, {x});
              n.add("sum", Add{}, {p, p, x});
            }));
  EXPECT_NE(nested, hash_of([](Network& n, NodeId x) {
              const NodeId p = n.add("p", pool3, {x});
              n.add("sum", Add{}, {p, x});
            }));
  // Sums stay apart where something other than a sum or an identity lies between.
  EXPECT_NE(nested, hash_of([](Network& n, NodeId x) {
              const NodeId p = n.add("p", pool3, {x});
              const NodeId inner = n.add("inner", Add{}, {x, p});
              const NodeId act = n.add("act", Activation{}, {inner});
              n.add("outer", Add{}, {act, x});
            }));
}

TEST(FunctionHash, ZerosVanish) {
  const auto identity = hash_of([](Network& n, NodeId x) { n.set_output(x); });
  EXPECT_EQ(identity, hash_of([](Network& n, NodeId x) {
              const NodeId zero = n.add("z", Zeros{image});
              const NodeId c = n.add("c", conv3, {zero});
              const NodeId bn = n.add("bn", BatchNormalization{}, {c});
              n.add("sum", Add{}, {bn, x});
            }));
  // sigmoid(0) = 0.5
  EXPECT_NE(identity, hash_of([](Network& n, NodeId x) {
              const NodeId zero = n.add("z", Zeros{image});
              const NodeId half = n.add("half", Activation{Activation::Kind::sigmoid}, {zero});
              n.add("sum", Add{}, {half, x});
            }));
  // x · 0 = 0
  EXPECT_EQ(hash_of([](Network& n, NodeId) { n.add("z", Zeros{image}); }), hash_of([](Network& n, NodeId x) {
              const NodeId zero = n.add("z", Zeros{image});
              n.add("product", Multiply{}, {x, zero});
            }));
  // Zeros that broadcast are more than nothing.
  const auto wide = hash_of([](Network& n, NodeId x) {
    const NodeId zero = n.add("z", Zeros{{1, 4, 6, 6}});
    const NodeId pooled = n.add("pooled", GlobalPool{}, {x});
    n.add("sum", Add{}, {zero, pooled});
  });
  EXPECT_NE(wide, hash_of([](Network& n, NodeId x) { n.add("pooled", GlobalPool{}, {x}); }));
}

TEST(FunctionHash, InputsAreToldApart) {
  const auto difference = [](bool swapped) {
    Network network;
    const NodeId a = network.add("a", Input{{1, 4, 4}});
    const NodeId b = network.add("b", Input{{1, 4, 4}});
    network.add("product", MatMul{}, swapped ? std::vector{b, a} : std::vector{a, b});
    return function_hash(network);
  };
  EXPECT_NE(difference(false), difference(true));
  EXPECT_THROW(function_hash(Network()), NetworkError);
}

/// The same graph with other names, its nodes in another topological order, the terms of sums shuffled.
Network shuffled(const Network& network, std::mt19937& random) {
  const std::size_t size = network.nodes().size();
  std::vector<NodeId> new_id(size, size);
  Network result;
  while (result.nodes().size() < size) {
    std::vector<NodeId> ready;
    for (NodeId id = 0; id < size; ++id) {
      const auto& inputs = network.node(id).inputs;
      const bool fed = std::all_of(inputs.begin(), inputs.end(), [&](NodeId i) { return new_id[i] < size; });
      if (new_id[id] == size && fed) ready.push_back(id);
    }
    const NodeId id = ready[random() % ready.size()];
    std::vector<NodeId> inputs;
    for (const NodeId input : network.node(id).inputs) inputs.push_back(new_id[input]);
    if (std::holds_alternative<Add>(network.node(id).op)) std::shuffle(inputs.begin(), inputs.end(), random);
    new_id[id] = result.add("other" + std::to_string(id), network.node(id).op, inputs);
  }
  result.set_output(new_id[network.output()]);
  return result;
}

TEST(FunctionHash, IsTheSameForIsomorphicNetworks) {
  const DesignSpace space = read_space("network: {type: nas_bench_201, cells: 2, channels: 2, input: [3, 8, 8]}");
  std::mt19937 random(1);
  std::set<Fingerprint> orders;
  for (std::uint64_t rank = 0; rank < 15'625; rank += 97) {
    const Network network = network_of(space, space.space().unrank(rank));
    const Network other = shuffled(network, random);
    EXPECT_EQ(function_hash(network), function_hash(other)) << rank;
    orders.insert(other.fingerprint());
  }
  EXPECT_GT(orders.size(), 150u);  // of 162: almost every one was told apart by its order
}

// NATS-Bench counts 6,466 cells that are not isomorphic by its unique string; as functions there are 4,930.
TEST(FunctionHash, ClassesOfNasBench201) {
  const auto path = reference_data("nb201_accuracy.csv");
  if (!path) GTEST_SKIP() << "NAS-Bench-201 reference data not found";
  const DesignSpace space =
      read_space("network: {type: nas_bench_201, cells: 1, channels: 1, input: [1, 4, 4], classes: 2}");
  struct Row {
    std::string unique;
    Fingerprint function;
  };
  std::map<std::string, Row> cells;
  for (std::uint64_t rank = 0; rank < 15'625; ++rank) {
    const Candidate candidate = space.space().unrank(rank);
    cells[space.label(candidate, "network.architecture")] = {space.label(candidate, "network.unique"),
                                                             function_hash(network_of(space, candidate))};
  }
  std::ifstream file(*path);
  std::string line;
  std::getline(file, line);
  ASSERT_TRUE(line.starts_with("idx,arch,")) << line;
  std::map<std::string, std::string> class_of_unique;       // the smallest index with that string
  std::map<std::string, Fingerprint> function_of_class;
  std::set<Fingerprint> functions;
  std::size_t rows = 0;
  while (std::getline(file, line)) {
    std::vector<std::string> fields;
    std::stringstream stream(line);
    for (std::string field; std::getline(stream, field, ',');) fields.push_back(field);
    const auto cell = cells.find(fields[1]);
    ASSERT_NE(cell, cells.end()) << line;
    const std::string& iso_rep = fields[8];
    EXPECT_EQ(class_of_unique.emplace(cell->second.unique, fields[0]).first->second, iso_rep) << line;
    EXPECT_EQ(function_of_class.emplace(iso_rep, cell->second.function).first->second, cell->second.function) << line;
    functions.insert(cell->second.function);
    ++rows;
  }
  EXPECT_EQ(rows, 15'625u);
  EXPECT_EQ(class_of_unique.size(), 6'466u);
  EXPECT_EQ(function_of_class.size(), 6'466u);
  EXPECT_EQ(functions.size(), 4'930u);
}

}  // namespace
}  // namespace duet
