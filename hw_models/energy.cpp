#include "hw_models/energy.hpp"

namespace duet {

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
  result.dram_j = dram_energy_j(bits(dram_words));
  return result;
}

Energy energy(const SystolicCost& cost, const SystolicArray& array) {
  Energy result = traffic_energy(cost.input, cost.weight, cost.output, array);
  const auto macs = static_cast<double>(cost.macs);
  const std::int64_t sum_bits = accumulator_bits(array.word_bits);
  const std::int64_t moving_operands = array.dataflow == Dataflow::output_stationary ? 2 : 1;
  result.mac_j = macs * (multiplier_energy_j(array.word_bits) + adder_energy_j(sum_bits));
  result.register_j = register_energy_j(macs * static_cast<double>(moving_operands * array.word_bits + sum_bits));
  return result;
}

Area area(const SystolicArray& array) {
  const std::int64_t sum_bits = accumulator_bits(array.word_bits);
  const double element_mm2 =
      multiplier_area_mm2(array.word_bits) + adder_area_mm2(sum_bits) +
      register_area_mm2(static_cast<double>(2 * array.word_bits + sum_bits));
  Area result;
  result.array_mm2 = static_cast<double>(array.rows) * static_cast<double>(array.columns) * element_mm2;
  result.input_sram_mm2 = sram_area_mm2(array.input_sram_bytes);
  result.weight_sram_mm2 = sram_area_mm2(array.weight_sram_bytes);
  result.output_sram_mm2 = sram_area_mm2(array.output_sram_bytes);
  return result;
}

}  // namespace duet
