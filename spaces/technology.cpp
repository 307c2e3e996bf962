#include "spaces/technology.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

namespace duet {
namespace {

constexpr std::string_view horowitz =
    "M. Horowitz, \"Computing's energy problem (and what we can do about it)\", ISSCC 2014, 1.1, figure "
    "1.1.9";
constexpr std::string_view dally =
    "W. J. Dally, \"High-performance hardware for machine learning\", NIPS tutorial 2015, cost of operations";
constexpr std::string_view eie =
    "S. Han et al., \"EIE: efficient inference engine on compressed deep neural network\", ISCA 2016, table "
    "II: "
    "594,786 um^2 of memory in a processing element with 162 KiB of SRAM";
constexpr std::string_view aladdin =
    "Y. S. Shao et al., \"Aladdin\", ISCA 2014, power model of the released tool, registers at 1 ns";

constexpr std::string_view eyeriss =
    "Y.-H. Chen et al., \"Eyeriss: a spatial architecture for energy-efficient dataflow\", ISCA 2016, table IV "
    "(normalized energy, from a commercial 65 nm process); written from memory of the paper";
constexpr std::string_view malladi =
    "K. T. Malladi et al., \"Towards energy-proportional datacenter memory with mobile DRAM\", ISCA 2012; written from "
    "memory of the paper";
constexpr std::string_view oconnor =
    "M. O'Connor et al., \"Fine-grained DRAM\", MICRO 2017, table 1; written from memory of the paper";
constexpr std::string_view accelergy =
    "Y. N. Wu et al., \"Accelergy\", ICCAD 2019, table of the released tool: 512 pJ for 64 bits of LPDDR4";

constexpr std::string_view nm45 = "45 nm, 0.9 V";
constexpr std::string_view tsmc45 = "45 nm, TSMC, synthesised";
constexpr std::string_view tsmc45_macro = "45 nm, TSMC GP, placed and routed";
constexpr std::string_view nm65 = "65 nm, relative";
constexpr std::string_view dram_device = "DRAM device and interface, whatever the chip's node";
constexpr std::string_view nm40 = "40 nm, commercial library, used unscaled";

constexpr PublishedConstant adder8_pj{"8-bit integer addition", 0.03, "pJ", nm45, 2014, horowitz};
constexpr PublishedConstant adder32_pj{"32-bit integer addition", 0.1, "pJ", nm45, 2014, horowitz};
constexpr PublishedConstant multiplier8_pj{"8-bit integer multiplication", 0.2, "pJ", nm45, 2014, horowitz};
constexpr PublishedConstant multiplier32_pj{"32-bit integer multiplication", 3.1, "pJ", nm45, 2014, horowitz};
constexpr PublishedConstant sram8k_pj{"64-bit access, 8 KiB SRAM", 10, "pJ", nm45, 2014, horowitz};
constexpr PublishedConstant sram32k_pj{"64-bit access, 32 KiB SRAM", 20, "pJ", nm45, 2014, horowitz};
constexpr PublishedConstant sram1m_pj{"64-bit access, 1 MiB SRAM", 100, "pJ", nm45, 2014, horowitz};
// The lower end of the published 1.3 to 2.6 nJ; Han et al. (ISCA 2016, table I) use the same 20 pJ per bit.
constexpr PublishedConstant dram_pj{"64-bit access, DRAM (lower end)", 1300, "pJ", nm45, 2014, horowitz};
constexpr PublishedConstant register_pj{"register write, per bit", 8.999495e-3, "pJ", nm40, 2014, aladdin};
constexpr PublishedConstant adder8_um2{"8-bit integer adder", 36, "um^2", tsmc45, 2015, dally};
constexpr PublishedConstant adder32_um2{"32-bit integer adder", 137, "um^2", tsmc45, 2015, dally};
constexpr PublishedConstant multiplier8_um2{"8-bit integer multiplier", 282, "um^2", tsmc45, 2015, dally};
constexpr PublishedConstant multiplier32_um2{"32-bit integer multiplier", 3495, "um^2", tsmc45, 2015, dally};
constexpr PublishedConstant register_um2{"register, per bit", 5.981433, "um^2", nm40, 2014, aladdin};
constexpr PublishedConstant sram_um2{
    "SRAM with periphery, per bit", 594786.0 / (162 * 1024 * 8), "um^2", tsmc45_macro, 2016, eie};

// Relative costs of one 16-bit access and one 16-bit multiply-accumulate.
constexpr PublishedConstant register_file_macs{"16-bit access, register file of 0.5 KiB", 1, "MAC", nm65, 2016, eyeriss};
constexpr PublishedConstant network_macs{"16-bit transfer between elements", 2, "MAC", nm65, 2016, eyeriss};
constexpr PublishedConstant buffer_macs{"16-bit access, buffer of 100 KiB", 6, "MAC", nm65, 2016, eyeriss};
constexpr PublishedConstant dram_macs{"16-bit access, DRAM", 200, "MAC", nm65, 2016, eyeriss};
constexpr PublishedConstant ddr3_pj{"DDR3, per bit", 70, "pJ", dram_device, 2012, malladi};
constexpr PublishedConstant lpddr2_pj{"LPDDR2, per bit", 40, "pJ", dram_device, 2012, malladi};
constexpr PublishedConstant lpddr4_pj{"LPDDR4, per bit", 8, "pJ", dram_device, 2019, accelergy};
constexpr PublishedConstant gddr5_pj{"GDDR5, per bit", 14, "pJ", dram_device, 2017, oconnor};
constexpr PublishedConstant hbm2_pj{"HBM2, per bit", 3.92, "pJ", dram_device, 2017, oconnor};

constexpr std::array constants{adder8_pj,   adder32_pj,      multiplier8_pj,   multiplier32_pj, sram8k_pj,
                               sram32k_pj,  sram1m_pj,       dram_pj,          register_pj,     adder8_um2,
                               adder32_um2, multiplier8_um2, multiplier32_um2, register_um2,    sram_um2,
                               register_file_macs, network_macs, buffer_macs, dram_macs,
                               ddr3_pj,     lpddr2_pj,       lpddr4_pj,        gddr5_pj,        hbm2_pj};

constexpr double joules_per_pj = 1e-12;
constexpr double mm2_per_um2 = 1e-6;

/// a·b² + c·b through the values at 8 and 32 bits.
double parabola(double at8, double at32, std::int64_t bits) {
  const double a = (at32 - 4 * at8) / (32.0 * 32.0 - 4 * 8.0 * 8.0);
  const double c = at8 / 8 - 8 * a;
  const auto b = static_cast<double>(bits);
  return (a * b + c) * b;
}

double line(double at8, double at32, std::int64_t bits) {
  return at8 + (at32 - at8) * static_cast<double>(bits - 8) / 24;
}

/// Energies relative to 45 nm from the polynomials at 0.9 V.
constexpr double polynomial(double a, double b, double c) { return (a * 0.9 + b) * 0.9 + c; }
constexpr double polynomial_45 = polynomial(1.103, -0.362, 0.2767);
constexpr std::array<NodeFactors, 10> nodes{{
    {130e-9, polynomial(7.171, -6.709, 2.904) / polynomial_45, 6.4},
    {90e-9, polynomial(4.762, -4.781, 2.092) / polynomial_45, 2.8},
    {65e-9, polynomial(3.755, -4.398, 1.975) / polynomial_45, 1.5},
    {45e-9, 1, 1},
    {32e-9, polynomial(0.9559, -0.7823, 0.471) / polynomial_45, 0.46},
    {20e-9, polynomial(0.373, -0.1582, 0.04104) / polynomial_45, 0.21},
    {16e-9, polynomial(0.2958, -0.1241, 0.03024) / polynomial_45, 0.19},
    {14e-9, polynomial(0.2363, -0.09675, 0.02239) / polynomial_45, 0.17},
    {10e-9, polynomial(0.2068, -0.09311, 0.02375) / polynomial_45, 0.1},
    {7e-9, polynomial(0.1776, -0.09097, 0.02447) / polynomial_45, 0.059},
}};

}  // namespace

std::span<const PublishedConstant> energy_area_constants() {
  return constants;
}

std::span<const NodeFactors> node_factors() {
  return nodes;
}

NodeFactors node_factors(double node_m) {
  assert(node_m >= smallest_node_m && node_m <= largest_node_m);
  std::size_t i = 1;
  while (i + 1 < nodes.size() && nodes[i].node_m > node_m) ++i;
  const NodeFactors &large = nodes[i - 1], &small = nodes[i];
  // At a tabulated node exactly its values.
  if (node_m == large.node_m) return large;
  if (node_m == small.node_m) return small;
  const double share = std::log(node_m / small.node_m) / std::log(large.node_m / small.node_m);
  return {node_m, small.energy * std::pow(large.energy / small.energy, share),
          small.area * std::pow(large.area / small.area, share)};
}

double multiplier_energy_j(std::int64_t bits) {
  return joules_per_pj * parabola(multiplier8_pj.value, multiplier32_pj.value, bits);
}

double adder_energy_j(std::int64_t bits) {
  return joules_per_pj * line(adder8_pj.value, adder32_pj.value, bits);
}

double multiplier_area_mm2(std::int64_t bits) {
  return mm2_per_um2 * parabola(multiplier8_um2.value, multiplier32_um2.value, bits);
}

double adder_area_mm2(std::int64_t bits) {
  return mm2_per_um2 * line(adder8_um2.value, adder32_um2.value, bits);
}

double sram_bit_energy_j(std::int64_t bytes) {
  constexpr double kib8 = 8 * 1024, kib32 = 32 * 1024, mib1 = 1024 * 1024;
  const auto capacity = static_cast<double>(bytes);
  const auto power_law = [&](double x0, double y0, double x1, double y1) {
    return y0 * std::pow(capacity / x0, std::log(y1 / y0) / std::log(x1 / x0));
  };
  const double access_pj = capacity <= kib32 ? power_law(kib8, sram8k_pj.value, kib32, sram32k_pj.value)
                                             : power_law(kib32, sram32k_pj.value, mib1, sram1m_pj.value);
  return joules_per_pj * access_pj / 64;
}

double sram_area_mm2(std::int64_t bytes) {
  return mm2_per_um2 * sram_um2.value * 8 * static_cast<double>(bytes);
}

double register_energy_j(double bits) {
  return bits * joules_per_pj * register_pj.value;
}

double register_area_mm2(double bits) {
  return bits * mm2_per_um2 * register_um2.value;
}

double register_file_bit_energy_j(double bytes) {
  const double single = register_energy_j(1);
  const double mac16 = multiplier_energy_j(16) + adder_energy_j(16);
  const double at512 = register_file_macs.value * mac16 / 16;
  return single + (at512 - single) * bytes / 512;
}

double dram_energy_j(double bits) {
  return bits * joules_per_pj * dram_pj.value / 64;
}

const std::vector<std::string>& memory_kind_names() {
  static const std::vector<std::string> names{"register_file", "sram", "dram", "ddr3", "lpddr2", "lpddr4", "gddr5", "hbm2"};
  return names;
}

bool is_dram(MemoryKind kind) {
  return kind != MemoryKind::register_file && kind != MemoryKind::sram;
}

double memory_bit_energy_j(MemoryKind kind, double capacity_bits, double node_m) {
  switch (kind) {
    case MemoryKind::register_file:
      return node_factors(node_m).energy * register_file_bit_energy_j(capacity_bits / 8);
    case MemoryKind::sram:
      return node_factors(node_m).energy *
             sram_bit_energy_j(std::max<std::int64_t>(1, static_cast<std::int64_t>(capacity_bits / 8)));
    case MemoryKind::dram:
      return dram_energy_j(1);
    case MemoryKind::ddr3:
      return joules_per_pj * ddr3_pj.value;
    case MemoryKind::lpddr2:
      return joules_per_pj * lpddr2_pj.value;
    case MemoryKind::lpddr4:
      return joules_per_pj * lpddr4_pj.value;
    case MemoryKind::gddr5:
      return joules_per_pj * gddr5_pj.value;
    case MemoryKind::hbm2:
      return joules_per_pj * hbm2_pj.value;
  }
  assert(false && "not a kind of memory");
  return 0;
}

double memory_area_mm2(MemoryKind kind, double capacity_bits, double node_m) {
  if (is_dram(kind)) return 0;
  const double bit = kind == MemoryKind::sram ? sram_area_mm2(1) / 8 : register_area_mm2(1);
  return node_factors(node_m).area * bit * capacity_bits;
}

double mac_energy_j(std::int64_t operand_bits, std::int64_t sum_bits, double node_m) {
  return node_factors(node_m).energy * (multiplier_energy_j(operand_bits) + adder_energy_j(sum_bits));
}

double mac_area_mm2(std::int64_t operand_bits, std::int64_t sum_bits, double node_m) {
  return node_factors(node_m).area * (multiplier_area_mm2(operand_bits) + adder_area_mm2(sum_bits));
}

}  // namespace duet
