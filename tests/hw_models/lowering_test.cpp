#include "hw_models/lowering.hpp"

#include <gtest/gtest.h>

namespace duet {
namespace {

const SystolicWorkload& array_work(const Workload& workload) {
  return std::get<SystolicWorkload>(workload);
}
const VectorWorkload& vector_work(const Workload& workload) {
  return std::get<VectorWorkload>(workload);
}
bool is_free(const Workload& workload) {
  return std::holds_alternative<std::monostate>(workload);
}

TEST(Lowering, ConvolutionsKeepTheirGeometry) {
  Network network;
  const NodeId in = network.add("in", Input{{2, 8, 9, 7}});
  const NodeId conv = network.add("conv",
                                  Convolution{.out_channels = 12,
                                              .kernel_h = 3,
                                              .kernel_w = 2,
                                              .stride_h = 2,
                                              .stride_w = 1,
                                              .padding_h = 1,
                                              .padding_w = 0,
                                              .dilation_h = 1,
                                              .dilation_w = 2,
                                              .groups = 4},
                                  {in});
  const Workload workload = lower(network).at(conv);
  const SystolicWorkload& w = array_work(workload);
  EXPECT_EQ(w.groups, 4);
  EXPECT_EQ(w.m(), 2 * 5 * 5);
  EXPECT_EQ(w.n(), 3);
  EXPECT_EQ(w.k(), 2 * 3 * 2);
  EXPECT_EQ(w.macs(), network.macs(conv));
  EXPECT_EQ(w.input_h, 9);
  EXPECT_EQ(w.padding_h, 1);
  EXPECT_EQ(w.dilation_w, 2);
}

TEST(Lowering, DepthwiseIsOneSmallProductPerChannel) {
  Network network;
  const NodeId in = network.add("in", Input{{1, 32, 14, 14}});
  const NodeId conv = network.add(
      "dw",
      Convolution{
          .out_channels = 32, .kernel_h = 3, .kernel_w = 3, .padding_h = 1, .padding_w = 1, .groups = 32},
      {in});
  const Workload workload = lower(network).at(conv);
  const SystolicWorkload& w = array_work(workload);
  EXPECT_EQ(w.groups, 32);
  EXPECT_EQ(w.m(), 196);
  EXPECT_EQ(w.n(), 1);
  EXPECT_EQ(w.k(), 9);
}

TEST(Lowering, LinearAndMatMulArePlainProducts) {
  Network network;
  const NodeId q = network.add("q", Input{{2, 4, 10, 16}});
  const NodeId k = network.add("k", Input{{2, 4, 12, 16}});
  const NodeId scores = network.add("scores", MatMul{.transpose_b = true}, {q, k});
  const NodeId linear = network.add("linear", Linear{.out_features = 5}, {q});
  const auto workloads = lower(network);
  EXPECT_EQ(array_work(workloads[scores]), matrix_product(10, 12, 16, 8));
  EXPECT_EQ(array_work(workloads[linear]), matrix_product(80, 5, 16));
  EXPECT_EQ(array_work(workloads[scores]).macs(), network.macs(scores));
  EXPECT_EQ(array_work(workloads[linear]).macs(), network.macs(linear));
}

TEST(Lowering, NormalisationAndActivationFollowTheirProducerForFree) {
  Network network;
  const NodeId in = network.add("in", Input{{1, 3, 8, 8}});
  const NodeId early = network.add("early", Activation{}, {in});
  const NodeId conv = network.add("conv", Convolution{.out_channels = 4}, {early});
  const NodeId bn = network.add("bn", BatchNormalization{}, {conv});
  const NodeId relu = network.add("relu", Activation{}, {bn});
  const NodeId shared = network.add("shared", BatchNormalization{}, {relu});
  const NodeId other = network.add("other", Activation{}, {relu});
  network.add("sum", Add{}, {shared, other});
  const auto workloads = lower(network);
  // The network's input comes from DRAM: nothing produces it.
  EXPECT_EQ(vector_work(workloads[early]), (VectorWorkload{192, 192, 0, 192}));
  EXPECT_TRUE(is_free(workloads[bn]));
  EXPECT_TRUE(is_free(workloads[relu]));
  // Two users need the value of relu, so each reads it.
  EXPECT_EQ(vector_work(workloads[shared]), (VectorWorkload{256, 256, 8, 256}));
  EXPECT_EQ(vector_work(workloads[other]), (VectorWorkload{256, 256, 0, 256}));
}

TEST(Lowering, TheOutputItselfIsAUser) {
  Network network;
  const NodeId in = network.add("in", Input{{1, 3, 8, 8}});
  const NodeId conv = network.add("conv", Convolution{.out_channels = 4}, {in});
  const NodeId relu = network.add("relu", Activation{}, {conv});
  network.set_output(conv);
  EXPECT_FALSE(is_free(lower(network)[relu]));
  network.set_output(relu);
  EXPECT_TRUE(is_free(lower(network)[relu]));
}

TEST(Lowering, VectorOperators) {
  Network network;
  const NodeId in = network.add("in", Input{{1, 4, 8, 8}});
  const NodeId pool = network.add("pool", Pool{.kernel = 3, .stride = 2, .padding = 1}, {in});
  const NodeId global = network.add("global", GlobalPool{}, {pool});
  const NodeId scale = network.add("scale", Multiply{}, {pool, global});
  const NodeId sum = network.add("sum", Add{}, {pool, scale, pool});
  const NodeId flat = network.add("flat", Flatten{}, {sum});
  const NodeId norm = network.add("norm", LayerNormalization{}, {flat});
  const NodeId softmax = network.add("softmax", Softmax{}, {norm});
  const NodeId zeros = network.add("zeros", Zeros{{1, 64}});
  const NodeId concat = network.add("concat", Concat{}, {softmax, zeros});
  const NodeId same = network.add("same", Identity{}, {concat});
  const auto workloads = lower(network);
  EXPECT_EQ(vector_work(workloads[pool]), (VectorWorkload{64 * 9, 256, 0, 64}));
  EXPECT_EQ(vector_work(workloads[global]), (VectorWorkload{64, 64, 0, 4}));
  EXPECT_EQ(vector_work(workloads[scale]), (VectorWorkload{64, 64 + 4, 0, 64}));
  EXPECT_EQ(vector_work(workloads[sum]), (VectorWorkload{2 * 64, 3 * 64, 0, 64}));
  EXPECT_EQ(vector_work(workloads[norm]), (VectorWorkload{3 * 64, 64, 2 * 64, 64}));
  EXPECT_EQ(vector_work(workloads[softmax]), (VectorWorkload{3 * 64, 64, 0, 64}));
  for (const NodeId id : {in, flat, zeros, concat, same}) EXPECT_TRUE(is_free(workloads[id])) << id;
}

TEST(Lowering, SamplingOfLimitedRangeReadsTheImageOnce) {
  Network network;
  const NodeId image = network.add("image", Input{{1, 4, 8, 8}});
  const NodeId offsets = network.add("offsets", Input{{1, 18, 8, 8}});
  DeformableSampling op{.padding_h = 1, .padding_w = 1};
  const NodeId anywhere = network.add("anywhere", op, {image, offsets});
  op.range = 2;
  const NodeId near = network.add("near", op, {image, offsets});
  const auto workloads = lower(network);
  constexpr std::int64_t values = 4 * 9 * 64, displacements = 18 * 64;
  EXPECT_EQ(vector_work(workloads[anywhere]), (VectorWorkload{4 * values, 4 * values + displacements, 0, values}));
  EXPECT_EQ(vector_work(workloads[near]), (VectorWorkload{4 * values, 4 * 64 + displacements, 0, values}));
}

TEST(VectorUnit, OfAnArchitectureStreamsFromTheOutermostLevel) {
  Architecture a;
  a.levels.emplace_back();
  a.levels[0].name = "DRAM";
  a.levels[0].word_bits = {8, 8, 16};
  a.levels[0].block_bits = 64;
  a.levels[0].energy = {.read_j = 5, .write_j = 7, .update_j = 11, .leak_j = 0.5};
  a.vector_unit = VectorUnit{.lanes = 16, .energy_j = 0.25};
  const VectorWorkload work{1601, 100, 10, 90};
  VectorCost c = cost(work, a);
  EXPECT_EQ(c.compute_cycles, 101);
  EXPECT_EQ(c.cycles, 101);
  EXPECT_EQ(c.reads, 110);
  EXPECT_EQ(c.writes, 90);
  EXPECT_EQ(c.compute_energy_j, 1601 * 0.25);
  // 13 blocks of 8 inputs, 2 of parameters, 23 of 4 outputs.
  EXPECT_EQ(c.memory_energy_j, 15 * 5 + 23 * 11 + 101 * 0.5);
  a.levels[0].write_bandwidth = 0.5;
  EXPECT_EQ(cost(work, a).cycles, 180);
  a.levels[0].shared_bandwidth = 1;
  EXPECT_EQ(cost(work, a).cycles, 200);
  a.levels[0].read_bandwidth = 0.25;
  EXPECT_EQ(cost(work, a).cycles, 440);
  a.vector_unit->lanes = 1;
  EXPECT_EQ(cost(work, a).cycles, 1601);
}

TEST(VectorUnit, ComputesOrWaitsForTheChannel) {
  SystolicArray a;
  a.columns = 16;
  a.clock_hz = 1e9;
  a.dram_bandwidth_bytes_per_s = 4e9;
  LayerCost layer = cost(Workload{VectorWorkload{1601, 100, 10, 90}}, a);
  EXPECT_EQ(layer.unit, LayerCost::Unit::vector);
  EXPECT_EQ(layer.cycles, 101);
  EXPECT_EQ(layer.stall_cycles, 0);
  layer = cost(Workload{VectorWorkload{160, 100, 10, 90}}, a);
  EXPECT_EQ(layer.cycles, 50);
  EXPECT_EQ(layer.stall_cycles, 40);
  EXPECT_EQ(layer.dram_bytes, 200);
  EXPECT_EQ(layer.macs, 0);
  EXPECT_EQ(layer.sram_accesses(), 2 * 200);
}

/// A residual network with a depthwise block, a head and two equal convolutions.
Network small_network() {
  Network network;
  NodeId x = network.add("in", Input{{1, 3, 28, 28}});
  x = network.add("stem",
                  Convolution{.out_channels = 16,
                              .kernel_h = 3,
                              .kernel_w = 3,
                              .stride_h = 2,
                              .stride_w = 2,
                              .padding_h = 1,
                              .padding_w = 1},
                  {x});
  x = network.add("stem.bn", BatchNormalization{}, {x});
  const NodeId trunk = network.add("stem.relu", Activation{}, {x});
  const Convolution same{.out_channels = 16, .kernel_h = 3, .kernel_w = 3, .padding_h = 1, .padding_w = 1};
  x = network.add("block.a", same, {trunk});
  x = network.add("block.b", same, {x});
  x = network.add("block.add", Add{}, {x, trunk});
  Convolution depthwise = same;
  depthwise.groups = 16;
  x = network.add("dw", depthwise, {x});
  x = network.add("pw", Convolution{.out_channels = 32}, {x});
  x = network.add("pool", GlobalPool{}, {x});
  x = network.add("flatten", Flatten{}, {x});
  x = network.add("head", Linear{.out_features = 10}, {x});
  network.add("softmax", Softmax{}, {x});
  return network;
}

TEST(NetworkCost, AddsUpItsLayers) {
  const Network network = small_network();
  for (const Dataflow dataflow :
       {Dataflow::output_stationary, Dataflow::weight_stationary, Dataflow::input_stationary}) {
    SystolicArray a;
    a.rows = 16;
    a.columns = 8;
    a.dataflow = dataflow;
    const NetworkCost total = cost(network, a);
    ASSERT_EQ(total.layers.size(), network.nodes().size());
    EXPECT_EQ(total.macs, network.macs());
    std::int64_t cycles = 0, stalls = 0, bytes = 0, accesses = 0;
    double energy_j = 0;
    for (NodeId id = 0; id < total.layers.size(); ++id) {
      const LayerCost& layer = total.layers[id];
      EXPECT_EQ(layer.node, id);
      EXPECT_EQ(layer.name, network.node(id).name);
      EXPECT_EQ(layer.macs, network.macs(id)) << layer.name;
      EXPECT_GE(layer.cycles, layer.stall_cycles);
      cycles += layer.cycles;
      stalls += layer.stall_cycles;
      bytes += layer.dram_bytes;
      accesses += layer.sram_accesses();
      energy_j += layer.energy.total_j();
    }
    EXPECT_EQ(total.cycles, cycles);
    EXPECT_EQ(total.stall_cycles, stalls);
    EXPECT_EQ(total.dram_bytes, bytes);
    EXPECT_EQ(total.sram_accesses, accesses);
    EXPECT_NEAR(total.energy_j(), energy_j, 1e-12 * energy_j);
    EXPECT_DOUBLE_EQ(total.latency_s, static_cast<double>(cycles) / a.clock_hz);
    EXPECT_DOUBLE_EQ(total.area_mm2(), area(a).total_mm2());
    EXPECT_GT(total.utilisation, 0.0);
    EXPECT_LE(total.utilisation, 1.0);
    // block.a and block.b are the same work.
    EXPECT_EQ(total.layers[4].cycles, total.layers[5].cycles);
    EXPECT_EQ(total.layers[4].energy, total.layers[5].energy);
  }
}

TEST(NetworkCost, ALayerCostsWhatItsWorkloadCosts) {
  const Network network = small_network();
  const SystolicArray a;
  const auto workloads = lower(network);
  const NetworkCost total = cost(network, a);
  const SystolicCost stem = cost(array_work(workloads[1]), a);
  EXPECT_EQ(total.layers[1].cycles, stem.cycles());
  EXPECT_EQ(total.layers[1].input, stem.input);
  EXPECT_EQ(total.layers[1].energy, energy(stem, a));
  // 3 · 28 · 28 inputs and 3 · 9 · 16 weights in, 16 · 14 · 14 outputs out, each once.
  EXPECT_EQ(total.layers[1].dram_bytes, 2352 + 432 + 3136);
}

TEST(NetworkCost, WordBitsScaleTraffic) {
  const Network network = small_network();
  SystolicArray a;
  a.input_sram_bytes = a.weight_sram_bytes = a.output_sram_bytes = 1 << 20;
  const NetworkCost wide = cost(network, a);
  a.word_bits = 4;
  const NetworkCost narrow = cost(network, a);
  EXPECT_EQ(2 * narrow.dram_bytes, wide.dram_bytes);
  EXPECT_LT(narrow.energy_j(), wide.energy_j());
  EXPECT_LT(narrow.area_mm2(), wide.area_mm2());
}

TEST(NetworkCost, AnEmptyNetworkIsFree) {
  const NetworkCost total = cost(Network{}, SystolicArray{});
  EXPECT_EQ(total.cycles, 0);
  EXPECT_EQ(total.latency_s, 0.0);
  EXPECT_EQ(total.utilisation, 0.0);
}

TEST(Lowering, ARepeatedLayerIsThatManyOfThem) {
  const SystolicArray array;
  const LayerCost once = cost(Workload(VectorWorkload{1000, 3000, 10, 1000}), array);
  const NetworkCost three = sum({once, once, once}, array), repeated_three = sum({repeated(once, 3)}, array);
  EXPECT_GT(three.cycles, 0);
  EXPECT_EQ(repeated_three.cycles, three.cycles);
  EXPECT_EQ(repeated_three.dram_bytes, three.dram_bytes);
  EXPECT_EQ(repeated_three.sram_accesses, three.sram_accesses);
  EXPECT_DOUBLE_EQ(repeated_three.energy_j(), three.energy_j());
  EXPECT_EQ(sum({}, array).utilisation, 0) << "nothing takes no time";
}

}  // namespace
}  // namespace duet
