#include "hw_models/lowering.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <optional>
#include <utility>

#include "hw_models/number_format.hpp"

namespace duet {
namespace {

std::int64_t leading(const Shape& shape, std::size_t trailing) {
  return elements(Shape(shape.begin(), shape.end() - static_cast<std::ptrdiff_t>(trailing)));
}

/// Lowers one node, told whether it may be applied while its input is being produced.
class Lowering {
 public:
  Lowering(const Network& network, const Node& node, bool fused)
      : network_(network), node_(node), fused_(fused) {}

  Workload operator()(const Input&) const { return {}; }
  Workload operator()(const Zeros&) const { return {}; }
  Workload operator()(const Concat&) const { return {}; }
  Workload operator()(const Flatten&) const { return {}; }
  Workload operator()(const Identity&) const { return {}; }
  Workload operator()(const Constant&) const { return {}; }
  Workload operator()(const Reshape&) const { return {}; }
  Workload operator()(const Transpose&) const { return {}; }
  Workload operator()(const Slice&) const { return {}; }
  Workload operator()(const Pad&) const { return {}; }
  Workload operator()(const Expand&) const { return {}; }
  Workload operator()(const Outputs&) const { return {}; }

  Workload operator()(const Convolution& op) const {
    const Shape& in = input(0);
    SystolicWorkload w;
    w.groups = op.groups;
    w.batch = in[0];
    w.channels = in[1] / op.groups;
    w.input_h = in[2];
    w.input_w = in[3];
    w.filters = op.out_channels / op.groups;
    w.kernel_h = op.kernel_h;
    w.kernel_w = op.kernel_w;
    w.stride_h = op.stride_h;
    w.stride_w = op.stride_w;
    w.padding_h = op.padding_h;
    w.padding_w = op.padding_w;
    w.dilation_h = op.dilation_h;
    w.dilation_w = op.dilation_w;
    w.output_h = node_.shape[2];
    w.output_w = node_.shape[3];
    return w;
  }

  Workload operator()(const Linear& op) const {
    return matrix_product(leading(input(0), 1), op.out_features, input(0).back());
  }

  Workload operator()(const MatMul&) const {
    const Shape& out = node_.shape;
    return matrix_product(out[out.size() - 2], out.back(), input(0).back(), leading(out, 2));
  }

  Workload operator()(const Pool& op) const { return vector(op.kernel * op.kernel * elements(node_.shape)); }
  Workload operator()(const GlobalPool&) const { return vector(elements(input(0))); }
  Workload operator()(const Add&) const { return combining(); }
  Workload operator()(const Multiply&) const { return combining(); }

  Workload operator()(const Activation&) const {
    if (fused_) return {};
    return vector(elements(node_.shape));
  }
  Workload operator()(const BatchNormalization&) const {
    if (fused_) return {};
    return vector(elements(node_.shape), 2 * input(0)[1]);
  }
  // Mean, variance, scaling; maximum, sum of exponentials, division.
  Workload operator()(const LayerNormalization&) const {
    return vector(3 * elements(node_.shape), 2 * input(0).back());
  }
  Workload operator()(const Softmax&) const { return vector(3 * elements(node_.shape)); }
  // Mean of squares, scaling.
  Workload operator()(const RmsNormalization&) const {
    return vector(2 * elements(node_.shape), input(0).back());
  }

  Workload operator()(const WindowPool& op) const {
    return vector(op.kernel_h * op.kernel_w * elements(node_.shape));
  }
  Workload operator()(const Reduce&) const { return vector(elements(input(0))); }
  Workload operator()(const TopK&) const { return vector(elements(input(0))); }
  Workload operator()(const Resize&) const { return vector(elements(node_.shape)); }
  /// Four products for each value. Where the range is limited a line buffer holds all that a window may reach, and every
  /// element of the image is fetched once; else the four neighbours of each place come from wherever they are.
  Workload operator()(const DeformableSampling& op) const {
    VectorWorkload w = vector(4 * elements(node_.shape));
    if (op.range == 0) w.input_words += 4 * elements(node_.shape) - elements(input(0));
    return w;
  }
  Workload operator()(const Elementwise&) const {
    const auto terms = static_cast<std::int64_t>(node_.inputs.size());
    return vector(std::max<std::int64_t>(1, terms - 1) * elements(node_.shape));
  }
  /// Reads one row of the table for every index, and the indices.
  Workload operator()(const Embedding&) const { return vector(elements(node_.shape), elements(node_.shape)); }

  /// The products of every input element with its window of weights; adding up where windows overlap is part of
  /// writing the output.
  Workload operator()(const TransposedConvolution& op) const {
    const Shape& in = input(0);
    return matrix_product(in[0] * in[2] * in[3], op.out_channels / op.groups * op.kernel_h * op.kernel_w,
                          in[1] / op.groups, op.groups);
  }

  /// As a matrix product with as many MACs, where there are as many for each output.
  Workload operator()(const Other& op) const {
    const std::int64_t outputs = elements(node_.shape);
    if (op.macs == 0) return vector(outputs, op.parameters);
    if (op.macs % outputs != 0) return matrix_product(1, 1, op.macs);
    return matrix_product(leading(node_.shape, 1), node_.shape.back(), op.macs / outputs);
  }

 private:
  const Shape& input(std::size_t i) const { return network_.node(node_.inputs[i]).shape; }

  Workload combining() const {
    return vector((static_cast<std::int64_t>(node_.inputs.size()) - 1) * elements(node_.shape));
  }

  VectorWorkload vector(std::int64_t operations, std::int64_t parameters = 0) const {
    VectorWorkload w;
    w.operations = operations;
    for (const NodeId id : node_.inputs) w.input_words += elements(network_.node(id).shape);
    w.parameter_words = parameters;
    w.output_words = elements(node_.shape);
    return w;
  }

  const Network& network_;
  const Node& node_;
  bool fused_;
};

std::int64_t dram_bytes(const LayerCost& layer, const SystolicArray& array) {
  const std::int64_t words = layer.input.from_dram + layer.weight.from_dram + layer.output.from_dram +
                             layer.input.to_dram + layer.weight.to_dram + layer.output.to_dram;
  return (words * array.word_bits + 7) / 8;
}

LayerCost array_cost(const SystolicWorkload& workload, const SystolicArray& array) {
  const SystolicCost systolic = cost(workload, array);
  LayerCost layer;
  layer.unit = LayerCost::Unit::array;
  layer.cycles = systolic.cycles();
  layer.stall_cycles = systolic.stall_cycles;
  layer.macs = systolic.macs;
  layer.utilisation = systolic.utilisation;
  layer.input = systolic.input;
  layer.weight = systolic.weight;
  layer.output = systolic.output;
  layer.dram_bytes = dram_bytes(layer, array);
  layer.energy = energy(systolic, array);
  return layer;
}

LayerCost vector_cost(const VectorWorkload& w, const SystolicArray& array) {
  LayerCost layer;
  layer.unit = LayerCost::Unit::vector;
  const std::int64_t compute = (w.operations + array.columns - 1) / array.columns;
  layer.cycles =
      std::max(compute, transfer_cycles(w.input_words + w.parameter_words + w.output_words, array));
  layer.stall_cycles = layer.cycles - compute;
  layer.input.from_dram = layer.input.to_array = w.input_words;
  layer.weight.from_dram = layer.weight.to_array = w.parameter_words;
  layer.output.from_array = layer.output.to_dram = w.output_words;
  layer.dram_bytes = dram_bytes(layer, array);
  layer.energy = traffic_energy(layer.input, layer.weight, layer.output, array);
  layer.energy.mac_j = static_cast<double>(w.operations) *
                       (multiplier_energy_j(array.word_bits) + adder_energy_j(array.word_bits));
  return layer;
}

}  // namespace

std::vector<Workload> lower(const Network& network) {
  const auto nodes = network.nodes();
  std::vector<int> uses(nodes.size(), 0);
  for (const Node& node : nodes) {
    for (const NodeId id : node.inputs) ++uses[id];
  }
  if (!nodes.empty()) ++uses[network.output()];

  std::vector<Workload> workloads(nodes.size());
  // Whether a node's value comes out of the array or the vector unit, with what was fused onto it.
  std::vector<bool> produced(nodes.size(), false);
  for (NodeId id = 0; id < nodes.size(); ++id) {
    const Node& node = nodes[id];
    const bool fused = node.inputs.size() == 1 && produced[node.inputs[0]] && uses[node.inputs[0]] == 1;
    workloads[id] = std::visit(Lowering(network, node, fused), node.op);
    const bool fusible =
        std::holds_alternative<Activation>(node.op) || std::holds_alternative<BatchNormalization>(node.op);
    produced[id] = !std::holds_alternative<std::monostate>(workloads[id]) || (fusible && fused);
  }
  return workloads;
}

LayerCost cost(const Workload& workload, const SystolicArray& array) {
  assert(!why_invalid(array));
  if (const auto* systolic = std::get_if<SystolicWorkload>(&workload)) return array_cost(*systolic, array);
  if (const auto* vector = std::get_if<VectorWorkload>(&workload)) return vector_cost(*vector, array);
  return {};
}

LayerCost repeated(LayerCost layer, std::int64_t times) {
  for (BufferTraffic* traffic : {&layer.input, &layer.weight, &layer.output}) {
    for (std::int64_t* words : {&traffic->from_dram, &traffic->to_array, &traffic->from_array, &traffic->to_dram}) {
      *words *= times;
    }
  }
  for (std::int64_t* count : {&layer.cycles, &layer.stall_cycles, &layer.macs, &layer.dram_bytes}) *count *= times;
  Energy& energy = layer.energy;
  for (double* joules : {&energy.mac_j, &energy.register_j, &energy.input_sram_j, &energy.weight_sram_j,
                         &energy.output_sram_j, &energy.dram_j}) {
    *joules *= static_cast<double>(times);
  }
  return layer;
}

NetworkCost sum(std::vector<LayerCost> layers, const SystolicArray& array) {
  NetworkCost total;
  total.area = area(array);
  for (const LayerCost& layer : layers) {
    total.cycles += layer.cycles;
    total.stall_cycles += layer.stall_cycles;
    total.energy += layer.energy;
    total.macs += layer.macs;
    total.sram_accesses += layer.sram_accesses();
    total.dram_bytes += layer.dram_bytes;
  }
  total.layers = std::move(layers);
  total.latency_s = static_cast<double>(total.cycles) / array.clock_hz;
  if (total.cycles > 0) {
    total.utilisation = static_cast<double>(total.macs) /
                        (static_cast<double>(array.rows) * static_cast<double>(array.columns) *
                         static_cast<double>(total.cycles));
  }
  return total;
}

NetworkCost cost(const Network& network, const SystolicArray& array) {
  std::vector<LayerCost> layers;
  struct Known {
    Workload workload;
    NumberFormat format;
    LayerCost cost;
  };
  std::vector<Known> known;
  const std::vector<Workload> workloads = lower(network);
  for (NodeId id = 0; id < workloads.size(); ++id) {
    const NumberFormat format = operand_format(network.node(id));
    auto entry = std::find_if(known.begin(), known.end(), [&](const Known& k) {
      return k.workload == workloads[id] && k.format == format;
    });
    if (entry == known.end()) {
      entry = known.insert(known.end(), {workloads[id], format, cost(workloads[id], packed(array, format))});
    }
    LayerCost& layer = layers.emplace_back(entry->cost);
    layer.node = id;
    layer.name = network.node(id).name;
  }
  return sum(std::move(layers), array);
}

VectorCost cost(const VectorWorkload& work, const Architecture& architecture) {
  assert(architecture.vector_unit);
  const VectorUnit& unit = *architecture.vector_unit;
  const StorageLevel& memory = architecture.levels.front();
  VectorCost result;
  const auto operations = static_cast<double>(work.operations);
  result.compute_cycles = std::ceil(operations / static_cast<double>(unit.lanes));
  result.reads = static_cast<double>(work.input_words + work.parameter_words);
  result.writes = static_cast<double>(work.output_words);
  result.cycles = result.compute_cycles;
  const auto wait = [&](const std::optional<double>& words_per_cycle, double words) {
    if (words_per_cycle) result.cycles = std::max(result.cycles, std::ceil(words / *words_per_cycle));
  };
  wait(memory.read_bandwidth, result.reads);
  wait(memory.write_bandwidth, result.writes);
  wait(memory.shared_bandwidth, result.reads + result.writes);
  const auto blocks = [&](std::int64_t words, Tensor tensor) {
    return std::ceil(static_cast<double>(words) / static_cast<double>(memory.block_words(tensor)));
  };
  result.compute_energy_j = operations * unit.energy_j;
  result.memory_energy_j =
      (blocks(work.input_words, Tensor::input) + blocks(work.parameter_words, Tensor::weight)) * memory.energy.read_j +
      blocks(work.output_words, Tensor::output) * memory.energy.update_j + result.cycles * memory.energy.leak_j;
  return result;
}

}  // namespace duet
