// Sourced energies and areas, their scaling between nodes, and what an architecture's text takes from them.

#include <cmath>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.hpp"
#include "spaces/architecture.hpp"
#include "spaces/energy_table.hpp"
#include "spaces/technology.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

template <class Action>
std::string message(Action action) {
  try {
    action();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

Architecture read(const std::string& text) { return read_architecture(Config::parse(text, "chip.yaml")); }

double published(std::string_view name) {
  for (const PublishedConstant& constant : energy_area_constants()) {
    if (constant.name == name) return constant.value;
  }
  throw std::out_of_range(std::string(name));
}

TEST(Technology, NodesScaleMonotonicallyAndThroughTheTable) {
  EXPECT_EQ(node_factors(45e-9).energy, 1);
  EXPECT_EQ(node_factors(45e-9).area, 1);
  double energy = 1e9, area = 1e9;
  for (const NodeFactors& node : node_factors()) {
    EXPECT_LT(node.energy, energy);
    EXPECT_LT(node.area, area);
    energy = node.energy, area = node.area;
    EXPECT_EQ(node_factors(node.node_m).energy, node.energy);
  }
  // By hand: (3.755·0.81 − 4.398·0.9 + 1.975) / (1.103·0.81 − 0.362·0.9 + 0.2767).
  EXPECT_NEAR(node_factors(65e-9).energy, 1.05835 / 0.84433, 1e-5);
  const NodeFactors between = node_factors(28e-9);
  EXPECT_LT(between.energy, node_factors(32e-9).energy);
  EXPECT_GT(between.energy, node_factors(20e-9).energy);
  EXPECT_LT(between.area, 0.46);
  EXPECT_GT(between.area, 0.21);
}

TEST(Technology, RelativeCostsAreEyerissOrNearThem) {
  const double mac = mac_energy_j(16, 16, 65e-9);
  const auto relative = [&](MemoryKind kind, double bytes) { return 16 * memory_bit_energy_j(kind, 8 * bytes, 65e-9) / mac; };
  EXPECT_NEAR(relative(MemoryKind::register_file, 512), published("16-bit access, register file of 0.5 KiB"), 1e-12);
  // Not used, and from another source: within a factor of two.
  const double buffer = relative(MemoryKind::sram, 100 * 1024) / published("16-bit access, buffer of 100 KiB");
  EXPECT_GT(buffer, 0.5);
  EXPECT_LT(buffer, 2);
  const double dram = relative(MemoryKind::dram, 0) / published("16-bit access, DRAM");
  EXPECT_GT(dram, 0.5);
  EXPECT_LT(dram, 2);
}

TEST(Technology, MemoriesByHand) {
  EXPECT_NEAR(64 * memory_bit_energy_j(MemoryKind::sram, 8 * 32768, 45e-9), 20e-12, 1e-23);
  EXPECT_NEAR(64 * memory_bit_energy_j(MemoryKind::dram, 0, 7e-9), 1300e-12, 1e-21);
  EXPECT_NEAR(memory_bit_energy_j(MemoryKind::hbm2, 0, 7e-9), 3.92e-12, 1e-24);
  EXPECT_NEAR(memory_bit_energy_j(MemoryKind::register_file, 0, 45e-9), 8.999495e-15, 1e-26);
  EXPECT_NEAR(memory_area_mm2(MemoryKind::sram, 162 * 1024 * 8, 45e-9), 0.594786, 1e-12);
  EXPECT_NEAR(memory_area_mm2(MemoryKind::register_file, 1000, 90e-9), 2.8 * 5.981433e-3, 1e-12);
  EXPECT_EQ(memory_area_mm2(MemoryKind::lpddr4, 1e9, 45e-9), 0);
  EXPECT_NEAR(mac_energy_j(8, 32, 45e-9), 0.3e-12, 1e-24);
  EXPECT_NEAR(mac_area_mm2(8, 32, 45e-9), 419e-6, 1e-15);
}

constexpr const char* chip = R"(technology: 65nm
levels:
- {name: DRAM, word_bits: 16, block_bits: 64}
- {name: buffer, capacity: 32KiB, word_bits: 16, block_bits: 64}
- {name: row, bypass: [weight, input, output]}
- {name: spad, capacity: 512B, word_bits: 16, energy: {read: 1pJ, write: 2pJ}}
- {name: sums, capacity: 64B, word_bits: {output: 24}, keep: output, bypass: [weight, input], technology: {kind: sram, node: 45nm}, area: 1mm2}
compute: {name: mac}
)";

TEST(Technology, ArchitecturesTakeWhatTheyDoNotSay) {
  const Architecture a = read(chip);
  const double scale = node_factors(65e-9).energy;
  EXPECT_NEAR(a.levels[0].energy.read_j, 1300e-12, 1e-21) << "the outermost level is DRAM";
  EXPECT_EQ(a.levels[0].area_mm2, 0);
  EXPECT_NEAR(a.levels[1].energy.read_j, scale * 20e-12, 1e-20);
  EXPECT_EQ(a.levels[1].energy.update_j, a.levels[1].energy.read_j);
  EXPECT_NEAR(a.levels[1].area_mm2, 1.5 * sram_area_mm2(32768), 1e-12);
  EXPECT_EQ(a.levels[2].energy, AccessEnergy()) << "a stage of the network costs nothing";
  EXPECT_EQ(a.levels[3].energy.read_j, 1e-12) << "what is said counts";
  EXPECT_EQ(a.levels[3].energy.update_j, 2e-12);
  EXPECT_NEAR(a.levels[3].area_mm2, 1.5 * register_area_mm2(512 * 8), 1e-12) << "few words are a register file";
  EXPECT_NEAR(a.levels[4].energy.read_j, 24 * sram_bit_energy_j(64), 1e-22);
  EXPECT_EQ(a.levels[4].area_mm2, 1);
  EXPECT_NEAR(a.compute.energy_j, scale * (multiplier_energy_j(16) + adder_energy_j(24)), 1e-22);

  const auto reading = [](const std::string& from, const std::string& to) {
    return message([&] { read(testing::replaced(chip, from, to)); });
  };
  EXPECT_THAT(reading("65nm", "65"), StartsWith("chip.yaml:1:13: "));
  EXPECT_THAT(reading("65nm", "180nm"), StartsWith("chip.yaml:1:13: "));
  EXPECT_THAT(reading("kind: sram", "kind: srm"), HasSubstr("did you mean 'sram'"));
  EXPECT_THAT(reading("capacity: 32KiB, ", ""), HasSubstr("level 'buffer' has no capacity"));
  // Without a technology nothing is derived.
  const Architecture plain = read(testing::replaced(chip, "technology: 65nm\n", ""));
  EXPECT_EQ(plain.levels[1].energy, AccessEnergy());
  EXPECT_EQ(plain.compute.energy_j, 0);
}

TEST(EnergyTable, OverridesWhatItKnows) {
  const testing::TemporaryDirectory folder;
  testing::write_file(folder / "ert.yaml", R"(ERT:
  version: 0.4
  tables:
  - name: system.chip.buffer[1..1]
    actions:
    - {name: read, arguments: {}, energy: 3.5}
    - {name: write, energy: 4}
    - {name: leak, energy: 0.25}
  - name: system.chip.pe[0..167].mac
    actions: [{name: mac_random, energy: 2.2}]
ART:
  tables:
  - {name: "system.chip.buffer[1..1]", area: 5000}
)");
  testing::write_file(folder / "chip.yaml", fmt::format("{}{}", chip, "energy_table: ert.yaml\n"));
  const Architecture a = load_architecture(folder / "chip.yaml");
  EXPECT_NEAR(a.levels[1].energy.read_j, 3.5e-12, 1e-24);
  EXPECT_NEAR(a.levels[1].energy.update_j, 4e-12, 1e-24) << "an update is a write unless given";
  EXPECT_NEAR(a.levels[1].energy.leak_j, 0.25e-12, 1e-24);
  EXPECT_NEAR(a.levels[1].area_mm2, 0.005, 1e-12);
  EXPECT_NEAR(a.compute.energy_j, 2.2e-12, 1e-24);
  EXPECT_EQ(a.levels[3].energy.read_j, 1e-12) << "what the table does not know stays";

  const auto with = [&](const std::string& table) {
    testing::write_file(folder / "ert.yaml", table);
    return message([&] { load_architecture(folder / "chip.yaml"); });
  };
  EXPECT_THAT(with("ERT: {tables: [{name: a.bufer, actions: [{name: read, energy: 1}]}]}"),
              HasSubstr("has no energy or area of any component"));
  EXPECT_THAT(with("ERT: {tables: [{name: a.buffer, actions: [{name: read, energy: much}]}]}"),
              HasSubstr("ert.yaml:1:64: "));
}

}  // namespace
}  // namespace duet
