#pragma once
/// Architectures after published chips, for tests and benchmarks.

namespace duet::testing {

/// 168 elements with three scratchpads each under one buffer.
inline constexpr const char* eyeriss_like = R"(
name: eyeriss_like
clock: 1GHz
levels:
- {name: DRAM, word_bits: 8, block_bits: 64, keep: [weight, input, output], energy: {read: 512pJ, write: 512pJ}}
- name: buffer
  capacity: 128KiB
  block_bits: 64
  read_bandwidth: 16
  write_bandwidth: 16
  keep: [input, output]
  bypass: weight
  energy: {read: 18.2pJ, write: 14.1pJ}
- {name: column, bypass: [weight, input, output]}
- {name: row, instances: {x: 14}, bypass: [weight, input, output]}
- name: input_scratchpad
  instances: {x: 14, y: 12}
  capacity: 24B
  block_bits: 16
  read_bandwidth: 2
  write_bandwidth: 2
  keep: input
  bypass: [weight, output]
  energy: {read: 0.20pJ, write: 0.18pJ}
- name: weight_scratchpad
  instances: {x: 14, y: 12}
  capacity: 384B
  block_bits: 16
  read_bandwidth: 2
  write_bandwidth: 2
  keep: weight
  bypass: [input, output]
  energy: {read: 1.98pJ, write: 1.88pJ}
- name: sum_scratchpad
  instances: {x: 14, y: 12}
  capacity: 32B
  word_bits: 16
  read_bandwidth: 2
  write_bandwidth: 2
  keep: output
  bypass: [weight, input]
  energy: {read: 0.25pJ, write: 0.22pJ}
compute: {instances: {x: 14, y: 12}, energy: 0.21pJ}
)";

/// 16 elements of 8 lanes of 8 multipliers, weight and accumulation buffers in every lane.
inline constexpr const char* simba_like = R"(
name: simba_like
clock: 1GHz
levels:
- {name: DRAM, word_bits: 8, block_bits: 64, keep: [weight, input, output], energy: {read: 512pJ, write: 512pJ}}
- name: buffer
  capacity: 64KiB
  block_bits: 256
  keep: [input, output]
  bypass: weight
  read_bandwidth: 32
  write_bandwidth: 32
  energy: {read: 30pJ, write: 28pJ}
- name: input_buffer
  instances: {x: 4, y: 4}
  capacity: 8KiB
  block_bits: 64
  keep: input
  bypass: [weight, output]
  read_bandwidth: 8
  energy: {read: 6pJ, write: 6pJ}
- name: weight_buffer
  instances: {x: 4, y: 32}
  capacity: 4KiB
  block_bits: 64
  keep: weight
  bypass: [input, output]
  read_bandwidth: 8
  energy: {read: 4pJ, write: 4pJ}
- name: accumulators
  instances: {x: 4, y: 32}
  capacity: 384B
  word_bits: 24
  keep: output
  bypass: [weight, input]
  energy: {read: 0.5pJ, write: 0.5pJ}
- name: weight_registers
  instances: {x: 32, y: 32}
  capacity: 1B
  keep: weight
  bypass: [input, output]
  energy: {read: 0.01pJ, write: 0.01pJ}
compute: {instances: {x: 32, y: 32}, energy: 0.21pJ}
)";

}  // namespace duet::testing
