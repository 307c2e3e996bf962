// Einsums, architectures and mappings as values: lowering, YAML in and out, errors with their position.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.hpp"
#include "hw_models/cost_model.hpp"
#include "hw_models/lowering.hpp"
#include "tests/hw_models/random_mapping.hpp"
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

TEST(Einsum, EveryOperatorOfTheArrayIsLowered) {
  Network network;
  const NodeId image = network.add("image", Input{{2, 8, 9, 7}});
  Convolution grouped{.out_channels = 12, .kernel_h = 3, .kernel_w = 2, .stride_h = 2, .padding_h = 1, .dilation_w = 2,
                      .groups = 4};
  const NodeId conv = network.add("conv", grouped, {image});
  network.add("dw", Convolution{.out_channels = 8, .kernel_h = 3, .kernel_w = 3, .groups = 8}, {image});
  const NodeId tokens = network.add("tokens", Input{{2, 5, 6}});
  const NodeId q = network.add("q", Linear{.out_features = 6}, {tokens});
  const NodeId k = network.add("k", Linear{.out_features = 6}, {tokens});
  const NodeId v = network.add("v", Linear{.out_features = 6}, {tokens});
  const NodeId scores = network.add("scores", MatMul{.transpose_b = true}, {q, k});
  const NodeId weights = network.add("weights", Softmax{}, {scores});
  const NodeId attended = network.add("attended", MatMul{}, {weights, v});
  const std::vector<RepeatedEinsum> found = einsums(network);
  ASSERT_EQ(found.size(), 5U);
  for (const RepeatedEinsum& item : found) {
    EXPECT_EQ(why_invalid(item.einsum), std::nullopt);
    for (const NodeId node : item.nodes) EXPECT_EQ(item.einsum.macs(), network.macs(node)) << item.names[0];
  }
  EXPECT_EQ(found[2].repeats, 3) << "q, k and v are one shape";
  EXPECT_EQ(found[2].names, (std::vector<std::string>{"q", "k", "v"}));
  EXPECT_EQ(found[3].nodes, std::vector<NodeId>{scores});
  EXPECT_EQ(found[4].nodes, std::vector<NodeId>{attended});

  const Einsum& e = found[0].einsum;
  EXPECT_EQ(found[0].nodes, std::vector<NodeId>{conv});
  EXPECT_EQ(e.size(e.find_dimension("G").value()), 4);
  EXPECT_EQ(e.size(e.find_dimension("M").value()), 3);
  EXPECT_EQ(e.size(e.find_dimension("C").value()), 2);
  // (5 − 1)·2 + (3 − 1)·1 + 1 rows and (5 − 1)·1 + (2 − 1)·2 + 1 columns of 8 channels of 2 images.
  EXPECT_EQ(e.box_words(Tensor::input), 2 * 8 * 11 * 7);
  EXPECT_EQ(e.box_words(Tensor::weight), network.parameters(conv));
  EXPECT_EQ(e.box_words(Tensor::output), 2 * 12 * 5 * 5);
  // Everything else is the vector unit's or free, and nothing is both.
  const std::vector<Workload> work = lower(network);
  for (NodeId id = 0; id < work.size(); ++id) {
    bool here = false;
    for (const RepeatedEinsum& item : found) {
      here = here || std::find(item.nodes.begin(), item.nodes.end(), id) != item.nodes.end();
    }
    EXPECT_EQ(here, std::holds_alternative<SystolicWorkload>(work[id])) << network.node(id).name;
  }
}

TEST(Einsum, WhatTheModelCannotTakeIsSaid) {
  Einsum e = matrix_einsum(2, 3, 4);
  EXPECT_EQ(why_invalid(e), std::nullopt);
  e.tensors[2].axes[0][0].coefficient = 2;
  EXPECT_EQ(why_invalid(e), "an axis of the output is not a single dimension");
  e = matrix_einsum(2, 3, 4);
  e.tensors[1].axes.push_back({{0, 1}});
  EXPECT_EQ(why_invalid(e), "the input uses dimension N twice");
  e = matrix_einsum(0, 3, 4);
  EXPECT_EQ(why_invalid(e), "dimension N has no point");
}

constexpr const char* chip = R"(name: small
clock: 500MHz
levels:
- name: DRAM
  word_bits: {weight: 8, input: 8, output: 32}
  block_bits: 64
  keep: [weight, input, output]
  energy: {read: 100pJ, write: 120pJ}
- name: buffer
  capacity: 64B
  read_bandwidth: 2
  multiple_buffering: 2
  bypass: weight
  energy: {read: 1pJ, write: 2pJ, update: 3pJ, leak: 1fJ}
  area: 0.5mm2
  constraints: {temporal: {M: rest}, x: {dimensions: [C]}, order: [M, C]}
compute: {name: multiplier, instances: {x: 4}, energy: 2pJ, area: 100um2}
)";

TEST(Architecture, IsReadFromYaml) {
  const Architecture a = read_architecture(Config::parse(chip, "chip.yaml"));
  EXPECT_EQ(a.clock_hz, 500e6);
  ASSERT_EQ(a.levels.size(), 2U);
  EXPECT_EQ(a.levels[0].block_words(Tensor::weight), 8);
  EXPECT_EQ(a.levels[0].block_words(Tensor::output), 2);
  EXPECT_EQ(a.levels[0].energy.update_j, 120e-12) << "an update costs what a write does";
  EXPECT_EQ(a.levels[1].capacity_bits, 512);
  EXPECT_EQ(a.levels[1].policy[0], StorageLevel::Policy::bypass);
  EXPECT_EQ(a.levels[1].policy[1], StorageLevel::Policy::free);
  EXPECT_EQ(a.fanout_x(0), 1);
  EXPECT_EQ(a.fanout_x(1), 4);
  EXPECT_DOUBLE_EQ(a.total_area_mm2(), 0.5 + 4 * 100e-6);
}

TEST(Architecture, ErrorsSayWhere) {
  const auto reading = [](const char* what, const char* instead) {
    std::string text = chip;
    text.replace(text.find(what), std::string(what).size(), instead);
    return message([&] { read_architecture(Config::parse(text, "chip.yaml")); });
  };
  EXPECT_THAT(reading("read_bandwidth", "read_bandwith"), StartsWith("chip.yaml:11:3: unknown key"));
  EXPECT_THAT(reading("read_bandwidth", "read_bandwith"), HasSubstr("did you mean 'read_bandwidth'"));
  EXPECT_THAT(reading("capacity: 64B", "capacity: 64"), StartsWith("chip.yaml:10:13: "));
  EXPECT_THAT(reading("bypass: weight", "bypass: weights"), StartsWith("chip.yaml:13:11: "));
  EXPECT_THAT(reading("name: buffer", "name: DRAM"), HasSubstr("two levels are called 'DRAM'"));
  EXPECT_THAT(reading("bypass: weight", "instances: {x: 3}"),
              HasSubstr("the 4×1 instances of 'multiplier' cannot be shared out among the 3×1 of 'buffer'"));
}

TEST(Mapping, YamlGoesInAndOut) {
  for (std::uint64_t index = 0; index < 100; ++index) {
    testing::MappingCase c = testing::random_mapping_case(3, index);
    if (index % 2 == 0) std::reverse(c.mapping.levels[0].spatial_order.begin(),
                                     c.mapping.levels[0].spatial_order.begin() +
                                         static_cast<std::ptrdiff_t>(c.einsum.dimensions.size()));
    const std::string yaml = mapping_yaml(c.mapping, c.einsum, c.architecture);
    EXPECT_EQ(read_mapping(Config::parse(yaml, "mapping"), c.einsum, c.architecture), c.mapping) << yaml;
  }
}

TEST(Mapping, RestTakesWhatIsLeftAndTheNestCanBeRead) {
  const Architecture a = read_architecture(Config::parse(chip, "chip.yaml"));
  const Einsum e = matrix_einsum(2, 6, 10);
  const Mapping m = read_mapping(Config::parse("DRAM: {temporal: {N: 2, C: rest}, order: [C, N]}\n"
                                               "buffer: {temporal: {M: 6}, x: {C: 4}, keep: [input, output]}\n",
                                               "m.yaml"),
                                 e, a);
  EXPECT_EQ(m.levels[0].temporal[e.find_dimension("C").value()], 3) << "⌈10 ÷ 4⌉, the last tile is cut off";
  EXPECT_EQ(loop_nest(m, e, a),
            "DRAM [ weight input output ]\n"
            "for C in 0…2\n"
            "  for N in 0…1\n"
            "    buffer [ input output ]\n"
            "    for M in 0…5\n"
            "      parallel-x for C in 0…3\n"
            "        multiplier\n");
  const auto reading = [&](const char* text) {
    return message([&] { read_mapping(Config::parse(text, "m.yaml"), e, a); });
  };
  EXPECT_THAT(reading("bufer: {}\n"), StartsWith("m.yaml:1:1: unknown key 'bufer'; did you mean 'buffer'?"));
  EXPECT_THAT(reading("buffer: {temporal: {K: 2}}\n"), HasSubstr("K"));
  EXPECT_THAT(reading("buffer: {order: [M, M]}\n"), StartsWith("m.yaml:1:21: 'M' occurs twice"));
  EXPECT_THAT(reading("buffer: {temporal: {M: rest}}\nDRAM: {temporal: {M: rest}}\n"), HasSubstr("two factors 'rest'"));
}

TEST(Mapping, InvalidOnesGetOneSentence) {
  const Architecture a = read_architecture(Config::parse(chip, "chip.yaml"));
  const Einsum e = matrix_einsum(2, 6, 10);
  const CostModel model(e, a);
  const auto why = [&](const char* text, bool constraints = false) {
    return model.why_invalid(read_mapping(Config::parse(text, "m.yaml"), e, a), constraints).value_or("");
  };
  EXPECT_EQ(why("DRAM: {temporal: {N: 2, M: 6, C: 10}}\n"), "");
  EXPECT_EQ(why("DRAM: {temporal: {N: 2, M: 6, C: 5}}\n"), "the factors of C multiply to 5, which does not cover its 10");
  EXPECT_EQ(why("DRAM: {temporal: {N: 2, M: 6, C: 10}}\nbuffer: {x: {M: 5}}\n"),
            "level 'buffer': the loops along x use 5 children, and there are 4");
  EXPECT_EQ(why("DRAM: {temporal: {N: 2, C: 10}}\nbuffer: {temporal: {M: 6}, x: {M: 2}}\n"),
            "level 'buffer': a loop over M has 6 iterations, and 3 would cover the dimension");
  // Half of 64 bytes for the tile: 10 inputs and 2·6 outputs at 8 bits fit, 20 and 12 do not.
  EXPECT_EQ(why("DRAM: {temporal: {N: 2}}\nbuffer: {temporal: {M: 6, C: 10}}\n"), "");
  EXPECT_EQ(why("DRAM: {}\nbuffer: {temporal: {N: 2, M: 6, C: 10}}\n"), "");
  EXPECT_EQ(why("DRAM: {temporal: {N: 2, M: 6, C: 10}}\nbuffer: {keep: [weight, input]}\n"),
            "level 'buffer' must bypass the weight");
  const Einsum wide = matrix_einsum(4, 6, 10);
  EXPECT_EQ(CostModel(wide, a).why_invalid(
                read_mapping(Config::parse("buffer: {temporal: {N: 4, M: 6, C: 10}}\n", "m"), wide, a)),
            "level 'buffer': with the tile of the input it holds 8 words too many (320 bits of 256)");
  // Constraints of the architecture.
  EXPECT_EQ(why("DRAM: {temporal: {N: 2, C: 10}}\nbuffer: {temporal: {M: 6}}\n", true), "");
  EXPECT_EQ(why("DRAM: {temporal: {N: 2, M: 6, C: 10}}\n", true),
            "level 'buffer': all that is left of M must be in its temporal loops");
  EXPECT_EQ(why("DRAM: {temporal: {N: 2, C: 10}}\nbuffer: {temporal: {M: 3}, x: {M: 2}}\n", true),
            "level 'buffer': M must not be spread along x");
}

}  // namespace
}  // namespace duet
