#pragma once
/// What silicon costs: energy and area of arithmetic and memories from published constants, scaled between nodes. Pure
/// functions, any thread. Everything without a node is at 45 nm.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace duet {

/// A published number that a model rests on.
struct PublishedConstant {
  std::string_view name;
  double value;
  std::string_view unit;
  std::string_view technology;  ///< node and what else the source says of it
  int year;                     ///< of the source
  std::string_view source;
};

/// Every constant behind the functions below, for reports and documentation.
std::span<const PublishedConstant> energy_area_constants();

// --- Nodes.

inline constexpr double reference_node_m = 45e-9;
inline constexpr double smallest_node_m = 7e-9, largest_node_m = 130e-9;

/// What a node's energy per operation and area are relative to 45 nm, at one supply of 0.9 V.
struct NodeFactors {
  double node_m, energy, area;
};
/// The tabulated nodes, largest first. Stillmaker and Baas, "Scaling equations for the accurate prediction of CMOS device
/// performance from 180 nm to 7 nm", Integration 58, 2017: the area table's 45 nm column, and the energy polynomials
/// a·V² + b·V + c at V = 0.9 V, as CiMLoop's scaling.py (MIT, read 2026) lists them.
std::span<const NodeFactors> node_factors();
/// Between tabulated nodes a power law. \pre smallest_node_m ≤ node_m ≤ largest_node_m
NodeFactors node_factors(double node_m);

// --- Arithmetic at 45 nm.

/// Energy of one integer multiplication in J, `bits` ≥ 1: the parabola a·b² + c·b through 0 and the sourced
/// 8-bit and 32-bit points.
double multiplier_energy_j(std::int64_t bits);
/// Energy of one integer addition in J, `bits` ≥ 1: the line through the sourced 8-bit and 32-bit points.
double adder_energy_j(std::int64_t bits);
/// Area of one integer multiplier in mm²; scaled as its energy is.
double multiplier_area_mm2(std::int64_t bits);
/// Area of one integer adder in mm²; scaled as its energy is.
double adder_area_mm2(std::int64_t bits);
/// Energy of writing so many bits of registers in J, and their area in mm².
double register_energy_j(double bits);
double register_area_mm2(double bits);

// --- Memories at 45 nm.

/// Energy of reading one bit from an SRAM of the given capacity in J: a power law between neighbouring points
/// of the sourced 8 KiB, 32 KiB and 1 MiB, extended with the outer segments' exponents. A write is charged
/// the same.
double sram_bit_energy_j(std::int64_t bytes);
/// Area of an SRAM in mm², `bytes` × a sourced density with its periphery.
double sram_area_mm2(std::int64_t bytes);
/// Energy of one bit of a register file of the given capacity in J: a straight line from a single register (0 bytes) to
/// a file of 512 B, one 16-bit word of which costs as much as a 16-bit multiply-accumulate (Eyeriss).
double register_file_bit_energy_j(double bytes);
/// Energy of so many bits between chip and DRAM in J, the interface included (Horowitz's lower end).
double dram_energy_j(double bits);

enum class MemoryKind { register_file, sram, dram, ddr3, lpddr2, lpddr4, gddr5, hbm2 };
/// As in YAML: "register_file", "sram", "dram" (Horowitz's) and kinds of DRAM.
const std::vector<std::string>& memory_kind_names();
bool is_dram(MemoryKind kind);

/// Energy of one bit read or written, in J. DRAM costs the same whatever the chip's node and the capacity.
double memory_bit_energy_j(MemoryKind kind, double capacity_bits, double node_m);
/// Area on the chip in mm²; none for DRAM.
double memory_area_mm2(MemoryKind kind, double capacity_bits, double node_m);
/// A multiplication of `operand_bits` and an addition of `sum_bits`, in J and mm².
double mac_energy_j(std::int64_t operand_bits, std::int64_t sum_bits, double node_m);
double mac_area_mm2(std::int64_t operand_bits, std::int64_t sum_bits, double node_m);

}  // namespace duet
