// The cost model against Timeloop's own results: every access count, cycles and energies of the reference cases, from
// Timeloop's own files.

#include <cmath>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/errors.hpp"
#include "hw_models/timeloop.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using Json = nlohmann::json;

struct Case {
  Einsum einsum;
  Architecture architecture;
  Mapping mapping;
};

Case load(const std::filesystem::path& folder, const Json& item) {
  const auto file = [&](const char* key) { return Config::load(folder / item.at(key).get<std::string>()); };
  Case c;
  c.einsum = read_timeloop_problem(file("problem"));
  c.architecture = read_timeloop_architecture(file("architecture"));
  c.mapping = read_timeloop_mapping(file("mapping"), c.einsum, c.architecture);
  return c;
}

TEST(Timeloop, EveryReferenceCaseIsReproduced) {
  const auto folder = testing::reference_data("timeloop_reference");
  if (!folder) GTEST_SKIP() << "timeloop_reference is absent";
  std::ifstream stream(*folder / "reference.json");
  const Json reference = Json::parse(stream);

  std::size_t cases = 0, counts = 0;
  double worst = 0;
  std::vector<std::string> approximate;  // cases in which Timeloop's extrapolation is not what the loop nest does
  for (const Json& item : reference.at("cases")) {
    SCOPED_TRACE(item.at("case").get<std::string>());
    const Case c = load(*folder, item);
    const CostModel model(c.einsum, c.architecture, timeloop_options());
    ASSERT_EQ(model.why_invalid(c.mapping), std::nullopt);
    const MappingCost cost = model.evaluate(c.mapping);
    EXPECT_EQ(cost.cycles, item.at("cycles").get<double>());
    EXPECT_EQ(cost.macs, item.at("computes").get<double>());
    const auto near = [&](double joules, double picojoules) {
      if (picojoules == 0) {
        EXPECT_EQ(joules, 0);
      } else {
        worst = std::max(worst, std::abs(joules * 1e12 / picojoules - 1));
        EXPECT_NEAR(joules * 1e12 / picojoules, 1, 5e-5);  // Timeloop prints leakage with four digits
      }
    };
    double total_pj = 0;
    for (const auto& [name, energy] : item.at("energy_pJ_by_component").items()) {
      SCOPED_TRACE(name);
      const double dynamic = energy.at("dynamic_pJ").get<double>(), leakage = energy.at("leakage_pJ").get<double>();
      total_pj += dynamic + leakage;
      if (const auto l = c.architecture.find_level(name)) {
        near(cost.levels[*l].dynamic_energy_j, dynamic);
        if (leakage > 100) near(cost.levels[*l].leakage_energy_j, leakage);
      } else {
        near(cost.compute_energy_j, dynamic);
      }
    }
    near(cost.energy_j, total_pj);
    for (const Json& level : item.at("levels")) {
      const std::string name = level.at("name");
      SCOPED_TRACE(name);
      const auto l = c.architecture.find_level(name);
      if (!l) continue;
      for (std::size_t t = 0; t < tensor_count; ++t) {
        const TensorTraffic& traffic = cost.levels[*l].tensors[t];
        const std::string& tensor = c.einsum.tensors[t].name;
        SCOPED_TRACE(tensor);
        ASSERT_EQ(traffic.kept, level.at("stats").contains(tensor));
        if (!traffic.kept) continue;
        const Json& stats = level.at("stats").at(tensor);
        const double instances = cost.levels[*l].utilized_instances;
        EXPECT_EQ(instances, stats.at("Utilized instances (max)").get<double>());
        EXPECT_EQ(traffic.tile_words, stats.at("Utilized capacity").get<double>());
        EXPECT_EQ(std::round(traffic.reads / instances), stats.at("Scalar reads (per-instance)").get<double>());
        EXPECT_EQ(std::round(traffic.fills / instances), stats.at("Scalar fills (per-instance)").get<double>());
        EXPECT_EQ(std::round(traffic.updates / instances), stats.at("Scalar updates (per-instance)").get<double>());
        counts += 5;
      }
    }
    ++cases;
    const MappingCost exact = CostModel(c.einsum, c.architecture).evaluate(c.mapping);
    for (std::size_t l = 0; l < cost.levels.size(); ++l) {
      if (exact.levels[l].tensors != cost.levels[l].tensors) {
        approximate.push_back(item.at("case").get<std::string>());
        break;
      }
    }
  }
  EXPECT_EQ(cases, 76U);
  EXPECT_GT(counts, 2000U);
  RecordProperty("cases", static_cast<int>(cases));
  RecordProperty("counts", static_cast<int>(counts));
  RecordProperty("extrapolated", fmt::format("{}", fmt::join(approximate, " ")));
  RecordProperty("worst_energy_error", fmt::format("{:.2g}", worst));
}

// --- The ways in which these files are written

Architecture architecture(const std::string& text) { return read_timeloop_architecture(Config::parse(text, "a.yaml")); }
Einsum problem(const std::string& text) { return read_timeloop_problem(Config::parse(text, "p.yaml")); }

template <class Action>
std::string message(Action action) {
  try {
    action();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

const std::string tree = R"(
architecture:
  version: 0.3
  subtree:
  - name: system
    attributes: {global_cycle_seconds: 1e-9}
    local:
    - {name: DRAM, class: DRAM, attributes: {width: 64, block-size: 4, word-bits: 16}}
    - {name: noc, class: XY_NoC}
    subtree:
    - name: chip
      local:
      - {name: glb, class: smartbuffer_SRAM, attributes: {depth: 1024, block-size: 4, word-bits: 16, bandwidth: 8}}
      subtree:
      - name: PE[0..7]
        local:
        - {name: spad, class: regfile, attributes: {depth: 16, word-bits: 16, meshX: 4}}
        - {name: mac, class: intmac, attributes: {meshX: 4}}
)";

/// 38 words through a port of 2: 19 cycles, but 13 ÷ (2 ÷ (13/13 + 13/13 + 12/13)) is a bit more than 19.
TEST(Timeloop, NarrowPortsAreRoundedAsItDoes) {
  const Einsum einsum = matrix_einsum(1, 1, 13);
  Architecture architecture;
  architecture.levels.resize(1);
  architecture.levels[0].name = "DRAM";
  architecture.levels[0].read_bandwidth = 2;
  const Mapping mapping = trivial_mapping(einsum, architecture);
  EXPECT_EQ(CostModel(einsum, architecture).evaluate(mapping).cycles, 19);
  EXPECT_EQ(CostModel(einsum, architecture, timeloop_options()).evaluate(mapping).cycles, 20);
  EXPECT_EQ(CostModel(einsum, architecture, timeloop_options()).quick(mapping).cycles, 20);
  architecture.levels[0].read_bandwidth = 3;  // wide enough
  EXPECT_EQ(CostModel(einsum, architecture, timeloop_options()).evaluate(mapping).cycles, 13);
}

TEST(TimeloopForms, TreesOfSubtrees) {
  const Architecture a = architecture(tree);
  ASSERT_EQ(a.levels.size(), 3U) << "networks are passed over";
  EXPECT_DOUBLE_EQ(a.clock_hz, 1e9);
  EXPECT_EQ(a.levels[0].block_words(Tensor::weight), 4);
  EXPECT_EQ(a.levels[1].capacity_bits, 1024 * 4 * 16);
  EXPECT_EQ(a.levels[1].read_bandwidth, 4) << "one half of the older 'bandwidth' each";
  EXPECT_EQ(a.levels[1].write_bandwidth, 4);
  EXPECT_EQ(a.levels[2].mesh_x, 4);
  EXPECT_EQ(a.levels[2].mesh_y, 2);
  EXPECT_EQ(a.compute.name, "mac");
  EXPECT_EQ(a.compute.instances(), 8);
  EXPECT_EQ(a.levels[0].word_bits[0], 16);
}

TEST(TimeloopForms, ListsOfNodesWithTags) {
  const auto folder = testing::TemporaryDirectory();
  testing::write_file(folder / "nodes.yaml", R"(
architecture:
  version: 0.4
  nodes:
  - !Container
    name: system
    attributes: {technology: "45nm"}   # !not a tag
  - !Component {name: DRAM, class: DRAM, attributes: {width: 64, datawidth: 16}}
  - !Component
    name: glb
    class: smartbuffer_SRAM
    attributes: {depth: 1024, width: 64, datawidth: 16, read_bandwidth: 4, write_bandwidth: 4}
  - !Container {name: PE, spatial: {meshX: 4, meshY: 2}}
  - !Component {name: spad, class: regfile, attributes: {depth: 16, datawidth: 16}}
  - !Component {name: mac, class: intmac}
variables: {version: 0.4, global_cycle_seconds: 1e-9}
)");
  const Architecture a = read_timeloop_architecture(load_timeloop(folder / "nodes.yaml"));
  ASSERT_EQ(a.levels.size(), 4U);
  EXPECT_EQ(a.levels[2].name, "inter_PE_spatial");
  EXPECT_EQ(a.levels[2].instances(), 1);
  EXPECT_EQ(a.fanout_x(2), 4);
  EXPECT_EQ(a.fanout_y(2), 2);
  for (const auto policy : a.levels[2].policy) EXPECT_EQ(policy, StorageLevel::Policy::bypass);
  EXPECT_DOUBLE_EQ(a.clock_hz, 1e9);
  Architecture plain = architecture(tree);
  EXPECT_EQ(a.levels[0], plain.levels[0]);
  EXPECT_EQ(a.levels[1], plain.levels[1]);
  EXPECT_EQ(a.levels[3], plain.levels[2]);
  testing::write_file(folder / "bad.yaml", "architecture:\n- !Container {name: x, y: [}\n");
  EXPECT_NE(message([&] { load_timeloop(folder / "bad.yaml"); }).find("bad.yaml:2:"), std::string::npos);
}

TEST(TimeloopForms, ListsOfStorage) {
  const Architecture a = architecture(R"(
arch:
  arithmetic: {name: MACs, instances: 8, meshX: 4, word-bits: 16}
  storage:
  - {name: spad, entries: 16, instances: 8, meshX: 4, word-bits: 16, vector-access-energy: 2}
  - {name: glb, sizeKB: 8, instances: 1, word-bits: 16, block-size: 4, read_bandwidth: 4, write_bandwidth: 4}
  - {name: DRAM, technology: DRAM, instances: 1, word-bits: 16, block-size: 4}
)");
  const Architecture plain = architecture(tree);
  EXPECT_EQ(a.levels[0], plain.levels[0]);
  EXPECT_EQ(a.levels[1], plain.levels[1]);
  EXPECT_EQ(a.levels[2].capacity_bits, plain.levels[2].capacity_bits);
  EXPECT_DOUBLE_EQ(a.levels[2].energy.read_j, 2e-12);
  EXPECT_EQ(a.compute.mesh_x, 4);
  EXPECT_EQ(a.compute.mesh_y, 2);
}

TEST(TimeloopForms, TablesOfEnergies) {
  const Architecture a = architecture(tree + R"(
ERT:
  version: 0.3
  tables:
  - name: system.chip.PE[0..7].spad
    actions:
    - {name: read, arguments: {data_delta: 0, address_delta: 0}, energy: 0.5}
    - {name: read, arguments: {data_delta: 1, address_delta: 1}, energy: 2}
    - {name: write, energy: 3}
    - {name: leak, energy: 0.25}
  - {name: 'system.chip.PE[0..7].mac', actions: [{name: mac_random, energy: 7}]}
ART_summary:
  table_summary:
  - {name: system.chip.glb, area: 1000000}
)");
  EXPECT_DOUBLE_EQ(a.levels[2].energy.read_j, 2e-12) << "the dearest";
  EXPECT_DOUBLE_EQ(a.levels[2].energy.update_j, 3e-12);
  EXPECT_DOUBLE_EQ(a.levels[2].energy.leak_j, 0.25e-12);
  EXPECT_DOUBLE_EQ(a.compute.energy_j, 7e-12);
  EXPECT_DOUBLE_EQ(a.levels[1].area_mm2, 1);
}

/// 16 registers of 4 units each make one access together: of 8 that are used, two clusters pay.
TEST(TimeloopForms, ClustersShareAccesses) {
  const Architecture a = architecture(R"(
architecture:
  subtree:
  - name: system
    local:
    - {name: DRAM, class: DRAM, attributes: {datawidth: 8}}
    - {name: "regs[1..32]", class: storage, attributes: {depth: 1, width: 128, cluster_size: 16, datawidth: 8, meshX: 32}}
    - {name: "mac[1..32]", class: intmac, attributes: {meshX: 32}}
ERT: {tables: [{name: system.regs, actions: [{name: read, energy: 2}, {name: write, energy: 3}]}]}
)");
  EXPECT_EQ(a.levels[1].cluster, 16);
  EXPECT_EQ(a.levels[1].block_words(Tensor::weight), 1);
  const Einsum e = problem("problem: {instance: {C: 8, M: 4, R: 1, S: 1, N: 1, P: 1, Q: 1}}");
  const CostModel model(e, a, timeloop_options());
  const auto energy = [&](const char* factors) {
    const Mapping mapping = read_timeloop_mapping(
        Config::parse(fmt::format("- {{target: DRAM, type: spatial, factors: {}}}\n- {{target: DRAM, type: temporal, factors: "
                                  "C0 M0}}\n- {{target: regs, type: bypass, keep: [Weights], bypass: [Inputs, Outputs]}}\n",
                                  factors), "m.yaml"), e, a);
    EXPECT_EQ(model.why_invalid(mapping), std::nullopt);
    const MappingCost cost = model.evaluate(mapping);
    EXPECT_EQ(model.quick(mapping).energy_j, cost.energy_j);
    return cost.levels[1].dynamic_energy_j * 1e12;
  };
  // 32 weights, each read and filled once; by 8 units 4 times 2 clusters, by one 32 times one.
  EXPECT_NEAR(energy("C8"), 4 * 2 * (2 + 3), 1e-9);
  EXPECT_NEAR(energy("C1"), 32 * (2 + 3), 1e-9);
}

TEST(TimeloopForms, Problems) {
  const std::string sizes = "C: 3, M: 8, R: 3, S: 3, N: 1, P: 7, Q: 5, Wstride: 2";
  const Einsum named = problem("problem: {shape: cnn-layer, instance: {" + sizes + "}}");
  EXPECT_EQ(problem("problem: {instance: {" + sizes + "}}"), named);
  EXPECT_EQ(problem("problem: {shape: cnn-layer, " + sizes + "}"), named);
  EXPECT_EQ(problem(R"(
problem:
  shape:
    name: CNN
    dimensions: [C, M, R, S, N, P, Q]
    coefficients: [{name: Wstride, default: 1}, {name: Hstride, default: 1}]
    data-spaces:
    - {name: Outputs, projection: [[[N]], [[M]], [[Q]], [[P]]], read-write: True}
    - {name: Inputs, projection: [[[N]], [[C]], [[R], [P, Wstride]], [[S], [Q, Hstride]]]}
    - {name: Weights, projection: [[[C]], [[M]], [[R]], [[S]]]}
  instance: {)" + sizes + "}"), named);
  const IndexExpression& axis = named.tensor(Tensor::input).axes[2];
  EXPECT_EQ(axis[1].coefficient, 2);
  EXPECT_EQ(named.macs(), 3 * 8 * 9 * 35);
  EXPECT_EQ(message([&] { problem("problem: {shape: winograd, instance: {C: 3}}"); }),
            "p.yaml:1:18: shape 'winograd' is not written out; known by name: cnn-layer");
  EXPECT_EQ(message([&] { problem("problem: {instance: {C: 3}}"); }), "p.yaml:1:21: the size of dimension 'M' is missing");
}

TEST(TimeloopForms, Mappings) {
  const Architecture a = architecture(tree);
  const Einsum e = problem("problem: {instance: {C: 4, M: 8, R: 3, S: 1, N: 1, P: 6, Q: 1}}");
  const auto mapping = [&](const std::string& text) { return read_timeloop_mapping(Config::parse(text, "m.yaml"), e, a); };
  const Mapping plain = mapping(R"(
mapping:
- {target: DRAM, type: temporal, factors: C1 M1 R1 S1 N1 P6 Q1, permutation: CMRSNPQ}
- {target: glb, type: spatial, factors: C4 M2, permutation: CMRSNPQ, split: 1}
- {target: glb, type: temporal, factors: M4, permutation: RMCSNPQ}
- {target: spad, type: temporal, factors: R3}
- {target: spad, type: bypass, keep: [Weights], bypass: [Inputs, Outputs]}
)");
  EXPECT_EQ(plain.levels[1].x[0], 4);
  EXPECT_EQ(plain.levels[1].y[1], 2);
  EXPECT_EQ(plain.levels[2].keep, (std::array<bool, 3>{true, false, false}));
  EXPECT_EQ(CostModel(e, a, timeloop_options()).why_invalid(plain), std::nullopt);
  // Levels by number, lists, '=', commas, comments, what is left of a dimension; and the list alone.
  EXPECT_EQ(mapping(R"(
- {target: 2, type: temporal, factors: [P=6, C=1], permutation: [C, M, R, S, N, P, Q]}
- {target: 1, type: spatial, factors: "C=4,M=2", permutation: "C M, R S N P Q", split: 1}
- {target: glb, type: temporal, factors: "M 0 # the rest", permutation: RMCSNPQ}
- {target: spad, type: temporal, factors: {R: 3}}
- {target: spad, type: datatype, keep: Weights, bypass: [Inputs, Outputs]}
)"), plain);
  // Ragged: 4 of 6 rows, then 2.
  const Mapping ragged = mapping("- {target: DRAM, type: temporal, factors: 'P2 M8'}\n- {target: spad, type: temporal, factors: 'P4,2 C4 R3'}\n");
  EXPECT_FALSE(is_perfect(ragged, e));
  EXPECT_EQ(ragged.levels[2].temporal[5], 4);
  EXPECT_EQ(message([&] { mapping("- {target: spad, type: temporal, factors: C4 X3}"); }),
            "m.yaml:1:43: 'X3' is not a factor such as 'C2'");
  EXPECT_EQ(message([&] { mapping("- {target: sapd, type: temporal}"); }),
            "m.yaml:1:12: 'sapd' is no level of the architecture; did you mean 'spad'?");
  EXPECT_NE(message([&] { mapping("- {target: spad, type: temporl}"); }).find("did you mean 'temporal'?"), std::string::npos);
  EXPECT_NE(message([&] { mapping("- {target: spad, type: bypass, keep: [Weight]}"); }).find("did you mean 'Weights'?"), std::string::npos);
}

TEST(TimeloopForms, WhatCannotBeReadIsRefusedWithItsPlace) {
  EXPECT_EQ(message([&] { architecture("architectur: {}"); }).substr(0, 9), "a.yaml:1:");
  EXPECT_NE(message([&] { architecture("architecture: {subtree: [{name: a}, {name: b}]}"); }).find("several branches"),
            std::string::npos);
  EXPECT_NE(message([&] {
              architecture("architecture: {subtree: [{name: a, local: [{name: 'x[3..1]', class: DRAM}, {name: m, class: mac}]}]}");
            }).find("at least one instance"),
            std::string::npos);
}

}  // namespace
}  // namespace duet
