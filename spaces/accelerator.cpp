#include "spaces/accelerator.hpp"

#include <algorithm>
#include <cassert>
#include <string_view>
#include <vector>

namespace duet {

std::string to_string(Dataflow dataflow) {
  switch (dataflow) {
    case Dataflow::output_stationary:
      return "output_stationary";
    case Dataflow::weight_stationary:
      return "weight_stationary";
    case Dataflow::input_stationary:
      return "input_stationary";
  }
  assert(false && "not a dataflow");
  return {};
}

namespace {

std::int64_t bits_of(const SystolicArray& array) { return array.word_bits; }

std::int64_t bits_of(const Architecture& architecture) {
  std::int64_t bits = 64;
  for (const StorageLevel& level : architecture.levels) {
    for (const Tensor tensor : {Tensor::weight, Tensor::input}) {
      const auto t = static_cast<std::size_t>(tensor);
      if (level.policy[t] != StorageLevel::Policy::bypass) bits = std::min(bits, level.word_bits[t]);
    }
  }
  return bits;
}

void add(Hasher& hasher, const SystolicArray& array) {
  hasher.add(array.rows).add(array.columns).add(std::string_view(to_string(array.dataflow)));
  hasher.add(array.input_sram_bytes).add(array.weight_sram_bytes).add(array.output_sram_bytes);
  hasher.add(array.word_bits).add(array.clock_hz).add(array.dram_bandwidth_bytes_per_s);
}

std::uint64_t count(std::size_t size) { return size; }

void add(Hasher& hasher, const LevelConstraints& constraints) {
  for (const auto* factors : {&constraints.temporal_factors, &constraints.x_factors, &constraints.y_factors}) {
    hasher.add(count(factors->size()));
    for (const auto& [name, factor] : *factors) hasher.add(std::string_view(name)).add(factor);
  }
  const auto names = [&](const std::vector<std::string>& list) {
    hasher.add(count(list.size()));
    for (const std::string& name : list) hasher.add(std::string_view(name));
  };
  names(constraints.order);
  for (const auto* dimensions : {&constraints.x_dimensions, &constraints.y_dimensions}) {
    hasher.add(count(dimensions->has_value() ? 1 : 0));
    if (*dimensions) names(**dimensions);
  }
  hasher.add(constraints.min_capacity_utilization).add(constraints.min_fanout_utilization);
}

void add(Hasher& hasher, const StorageLevel& level) {
  hasher.add(std::string_view(level.name)).add(level.mesh_x).add(level.mesh_y);
  hasher.add(level.capacity_bits.value_or(-1)).add(level.block_bits).add(level.cluster);
  for (std::size_t t = 0; t < tensor_count; ++t) {
    hasher.add(level.word_bits[t]).add(static_cast<std::uint64_t>(level.policy[t]));
  }
  for (const auto& bandwidth : {level.read_bandwidth, level.write_bandwidth, level.shared_bandwidth}) {
    hasher.add(bandwidth.value_or(-1));
  }
  hasher.add(level.multiple_buffering).add(count((level.multicast ? 1U : 0U) + (level.reduction ? 2U : 0U)));
  hasher.add(level.energy.read_j).add(level.energy.write_j).add(level.energy.update_j).add(level.energy.leak_j);
  hasher.add(level.area_mm2);
  add(hasher, level.constraints);
}

void add(Hasher& hasher, const Architecture& architecture) {
  hasher.add(architecture.clock_hz).add(count(architecture.levels.size()));
  for (const StorageLevel& level : architecture.levels) add(hasher, level);
  const ComputeUnits& compute = architecture.compute;
  hasher.add(compute.mesh_x).add(compute.mesh_y).add(compute.energy_j).add(compute.area_mm2);
  const VectorUnit vector = architecture.vector_unit.value_or(VectorUnit{.lanes = 0});
  hasher.add(vector.lanes).add(vector.energy_j).add(vector.area_mm2);
}

}  // namespace

Accelerator read_accelerator(const Config& config) {
  if (!config.is_map() || !config.has("systolic_array")) return read_architecture(config);
  config.allow_only({"systolic_array"});
  const Config given = config.at("systolic_array");
  SystolicArray array;
  if (given.is_null()) return array;
  given.allow_only({"rows", "columns", "dataflow", "input_sram", "weight_sram", "output_sram", "word_bits", "clock",
                    "dram_bandwidth"});
  const auto count = [&](std::string_view key, std::int64_t& to, std::int64_t most) {
    if (const auto value = given.find(key)) to = value->integer(1, most);
  };
  const auto bytes = [&](std::string_view key, std::int64_t& to) {
    if (const auto value = given.find(key)) to = static_cast<std::int64_t>(value->quantity("B", 1, 0x1p40));
  };
  count("rows", array.rows, 1 << 16);
  count("columns", array.columns, 1 << 16);
  if (const auto value = given.find("dataflow")) {
    const std::vector<std::string> names{"output_stationary", "weight_stationary", "input_stationary"};
    const std::string name = value->one_of(names);
    for (const Dataflow dataflow :
         {Dataflow::output_stationary, Dataflow::weight_stationary, Dataflow::input_stationary}) {
      if (to_string(dataflow) == name) array.dataflow = dataflow;
    }
  }
  bytes("input_sram", array.input_sram_bytes);
  bytes("weight_sram", array.weight_sram_bytes);
  bytes("output_sram", array.output_sram_bytes);
  count("word_bits", array.word_bits, 64);
  if (const auto value = given.find("clock")) array.clock_hz = value->quantity("Hz", 1);
  if (const auto value = given.find("dram_bandwidth")) array.dram_bandwidth_bytes_per_s = value->quantity("B/s", 1);
  return array;
}

std::int64_t operand_bits(const Accelerator& accelerator) {
  return std::visit([](const auto& machine) { return bits_of(machine); }, accelerator);
}

Fingerprint fingerprint(const Accelerator& accelerator) {
  Hasher hasher;
  if (!std::holds_alternative<SystolicArray>(accelerator)) hasher.add(count(accelerator.index()));
  std::visit([&](const auto& machine) { add(hasher, machine); }, accelerator);
  return hasher.finish();
}

}  // namespace duet
