#include "hw_models/energy.hpp"

#include <array>
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

constexpr std::string_view nm45 = "45 nm, 0.9 V";
constexpr std::string_view tsmc45 = "45 nm, TSMC, synthesised";
constexpr std::string_view tsmc45_macro = "45 nm, TSMC GP, placed and routed";
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

constexpr std::array constants{adder8_pj,   adder32_pj,      multiplier8_pj,   multiplier32_pj, sram8k_pj,
                               sram32k_pj,  sram1m_pj,       dram_pj,          register_pj,     adder8_um2,
                               adder32_um2, multiplier8_um2, multiplier32_um2, register_um2,    sram_um2};

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

}  // namespace

std::span<const PublishedConstant> energy_area_constants() {
  return constants;
}

Energy& Energy::operator+=(const Energy& other) {
  mac_j += other.mac_j;
  register_j += other.register_j;
  input_sram_j += other.input_sram_j;
  weight_sram_j += other.weight_sram_j;
  output_sram_j += other.output_sram_j;
  dram_j += other.dram_j;
  return *this;
}

std::int64_t accumulator_bits(std::int64_t word_bits) {
  return 2 * word_bits + 16;
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

Energy traffic_energy(const BufferTraffic& input, const BufferTraffic& weight, const BufferTraffic& output,
                      const SystolicArray& array) {
  const auto bits = [&](std::int64_t words) { return static_cast<double>(words * array.word_bits); };
  const auto sram = [&](const BufferTraffic& traffic, std::int64_t bytes) {
    return bits(traffic.reads() + traffic.writes()) * sram_bit_energy_j(bytes);
  };
  Energy result;
  result.input_sram_j = sram(input, array.input_sram_bytes);
  result.weight_sram_j = sram(weight, array.weight_sram_bytes);
  result.output_sram_j = sram(output, array.output_sram_bytes);
  const std::int64_t dram_words =
      input.from_dram + input.to_dram + weight.from_dram + weight.to_dram + output.from_dram + output.to_dram;
  result.dram_j = bits(dram_words) * joules_per_pj * dram_pj.value / 64;
  return result;
}

Energy energy(const SystolicCost& cost, const SystolicArray& array) {
  Energy result = traffic_energy(cost.input, cost.weight, cost.output, array);
  const auto macs = static_cast<double>(cost.macs);
  const std::int64_t sum_bits = accumulator_bits(array.word_bits);
  const std::int64_t moving_operands = array.dataflow == Dataflow::output_stationary ? 2 : 1;
  result.mac_j = macs * (multiplier_energy_j(array.word_bits) + adder_energy_j(sum_bits));
  result.register_j = macs * static_cast<double>(moving_operands * array.word_bits + sum_bits) *
                      joules_per_pj * register_pj.value;
  return result;
}

Area area(const SystolicArray& array) {
  const std::int64_t sum_bits = accumulator_bits(array.word_bits);
  const double element_mm2 =
      multiplier_area_mm2(array.word_bits) + adder_area_mm2(sum_bits) +
      static_cast<double>(2 * array.word_bits + sum_bits) * mm2_per_um2 * register_um2.value;
  Area result;
  result.array_mm2 = static_cast<double>(array.rows) * static_cast<double>(array.columns) * element_mm2;
  result.input_sram_mm2 = sram_area_mm2(array.input_sram_bytes);
  result.weight_sram_mm2 = sram_area_mm2(array.weight_sram_bytes);
  result.output_sram_mm2 = sram_area_mm2(array.output_sram_bytes);
  return result;
}

}  // namespace duet
