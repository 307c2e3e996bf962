// The spaces of spaces/networks/: each against the figures that were published for it, or counted by hand.

#include <cmath>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <sstream>

#include "core/random.hpp"
#include "spaces/function_hash.hpp"
#include "spaces/zoo.hpp"
#include "tests/spaces/read_space.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using namespace duet::testing;
using Row = std::map<std::string, std::string>;

/// The rows of a CSV file without quotes, by column.
std::vector<Row> read_rows(const std::filesystem::path& path) {
  const auto fields = [](const std::string& line) {
    std::vector<std::string> result;
    std::stringstream stream(line);
    for (std::string cell; std::getline(stream, cell, ',');) result.push_back(cell);
    return result;
  };
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  const std::vector<std::string> names = fields(line);
  std::vector<Row> rows;
  while (std::getline(file, line)) {
    const std::vector<std::string> values = fields(line);
    Row row;
    for (std::size_t i = 0; i < names.size() && i < values.size(); ++i) row[names[i]] = values[i];
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

/// A line "network.PATH: VALUE" of a candidate.
template <class Value>
void assign(std::ostringstream& out, const std::string& path, const Value& value) {
  out << "network." << path << ": " << value << '\n';
}

/// As a published table has it, in `unit`s with six significant digits.
double rounded(double value, double unit) {
  std::ostringstream text;
  text.precision(6);
  text << value / unit;
  return std::stod(text.str());
}

/// Random candidates are networks without dead ends, of the output given, and their quantities are what the network counts.
void expect_sound(const std::string& yaml, int count, const std::optional<Shape>& output) {
  const DesignSpace space = read_space(yaml);
  std::set<Fingerprint> different;
  for (int i = 0; i < count; ++i) {
    Random random(1, "networks", static_cast<std::uint64_t>(i));
    const Candidate candidate = space.space().sample(random);
    SCOPED_TRACE(space.space().describe(candidate));
    const Network network = network_of(space, candidate);
    if (output) {
      ASSERT_EQ(network.node(network.output()).shape, *output);
    }
    ASSERT_EQ(network.pruned().nodes().size(), network.nodes().size()) << "a node reaches no output";
    ASSERT_EQ(quantity(space, candidate, "network.macs"), static_cast<double>(network.macs()));
    ASSERT_EQ(quantity(space, candidate, "network.parameters"), static_cast<double>(network.parameters()));
    ASSERT_EQ(network_of(space, candidate), network);
    different.insert(network.fingerprint());
  }
  EXPECT_GE(different.size(), static_cast<std::size_t>(count) * 3 / 4) << "most networks are the same";
}

void expect_counts(const std::string& space_yaml, const std::string& candidate_yaml, std::int64_t parameters,
                   std::int64_t macs) {
  const DesignSpace space = read_space(space_yaml);
  const Network network = network_of(space, read_candidate(space, candidate_yaml));
  EXPECT_EQ(network.parameters(), parameters);
  EXPECT_EQ(network.macs(), macs);
}

// --- ProxylessNAS

/// The operators in order, "-": left out; stages of 4, 4, 4, 4, 4 and 1.
std::string proxyless(const std::string& operators) {
  std::ostringstream out;
  const auto names = split(operators, ' ');
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string path = "stage" + std::to_string(i / 4 + 1) + ".block" + std::to_string(i % 4 + 1) + ".operator";
    assign(out, path, names[i] == "-" ? "skip" : "k" + names[i].substr(0, 1) + "_e" + names[i].substr(1));
  }
  return out.str();
}

TEST(ProxylessNas, HasSixOrSevenOperatorsInTwentyOneLayers) {
  const DesignSpace space = read_space("network: {type: proxylessnas}");
  EXPECT_EQ(space.space().cardinality().exact, 46'656ULL * 4'747'561'509'943ULL);  // 6^6 · 7^15
  EXPECT_TRUE(space.space().find("network.stage2.block1.operator"));
  expect_sound("network: {type: proxylessnas, resolution: 64, classes: 10}", 300, Shape{1, 10});
}

TEST(ProxylessNas, PublishedNetworksCountAsPublished) {
  // The architectures, and the weights, of the published models as pytorchcv (osmr/imgclsmob) lists them; the paper's
  // FLOPs are 320 M (mobile, its repository) and 465 M (GPU).
  expect_counts("network: {type: proxylessnas, first_width: 32}",
                proxyless("53 33 - - 73 33 53 53 76 53 53 53 56 53 53 53 76 76 73 73 76"), 4'080'512, 320'427'584);
  expect_counts("network: {type: proxylessnas, width_percent: 135}",
                proxyless("53 - - - 73 - - 33 76 - - 53 56 - 33 53 76 76 76 56 76"), 7'119'848, 465'260'160);
}

// --- Once-for-all

TEST(OfaMobileNetV3, HasFiveStagesOfElasticDepthKernelAndExpansion) {
  // A stage has 9^2 + 9^3 + 9^4 forms; five of them, and 25 resolutions.
  const DesignSpace space = read_space("network: {type: ofa_mobilenet_v3}");
  EXPECT_EQ(space.space().cardinality().text, "543966387314312146275");
  expect_sound("network: {type: ofa_mobilenet_v3}", 300, Shape{1, 1000});
}

TEST(OfaMobileNetV3, CountsEqualTheTraces) {
  const auto path = reference_data("dynast_ofa_mbv3_traces.csv");
  if (!path) GTEST_SKIP() << "traces of OFA's sub-networks not found";
  const DesignSpace space = read_space("network: {type: ofa_mobilenet_v3, resolution: 224}");
  std::size_t exact = 0;
  const std::vector<Row> rows = read_rows(*path);
  for (const Row& row : rows) {
    const auto kernels = split(row.at("ks"), '-'), expansions = split(row.at("e"), '-'), depths = split(row.at("d"), '-');
    std::ostringstream out;
    for (std::size_t stage = 0; stage < 5; ++stage) {
      const std::string name = "stage" + std::to_string(stage + 1);
      assign(out, name + ".depth", depths[stage]);
      for (int block = 0; block < std::stoi(depths[stage]); ++block) {
        const std::string in = name + ".block" + std::to_string(block + 1);
        assign(out, in + ".kernel", kernels[4 * stage + static_cast<std::size_t>(block)]);
        assign(out, in + ".expansion", expansions[4 * stage + static_cast<std::size_t>(block)]);
      }
    }
    const Candidate candidate = read_candidate(space, out.str());
    const bool equal = quantity(space, candidate, "network.parameters") == std::stod(row.at("params")) &&
                       quantity(space, candidate, "network.macs") == std::stod(row.at("macs"));
    EXPECT_TRUE(equal) << row.at("run") << " " << row.at("eval_no");
    exact += equal ? 1 : 0;
  }
  EXPECT_EQ(rows.size(), 2'373U);
  EXPECT_EQ(exact, rows.size());
}

// --- MnasNet with squeeze-excitation

TEST(MnasNetSe, HasSevenStagesOfFourDecisions) {
  const DesignSpace space = read_space("network: {type: mnasnet_se}");
  EXPECT_EQ(space.space().cardinality().exact, 104'485'552'128ULL);  // (3·2·2)^7 · 3^6 · 4
  expect_sound("network: {type: mnasnet_se, resolution: 64}", 300, Shape{1, 1000});
}

/// What the profiler of the table's makers (thop) counts: besides multiply-accumulates four operations for every element
/// of a normalisation, and the elements and results of a global pooling.
double profiled(const Network& network) {
  double total = static_cast<double>(network.macs());
  for (const Node& node : network.nodes()) {
    if (std::holds_alternative<BatchNormalization>(node.op)) total += 4 * static_cast<double>(elements(node.shape));
    if (std::holds_alternative<GlobalPool>(node.op)) {
      total += static_cast<double>(elements(network.node(node.inputs[0]).shape) + elements(node.shape));
    }
  }
  return total;
}

TEST(MnasNetSe, CountsEqualAccelNasBench) {
  const auto path = reference_data("accel_nasbench.csv");
  if (!path) GTEST_SKIP() << "Accel-NASBench reference data not found";
  const DesignSpace space = read_space("network: {type: mnasnet_se}");
  const std::vector<Row> rows = read_rows(*path);
  std::size_t exact = 0;
  for (const Row& row : rows) {
    std::ostringstream out;
    for (int stage = 0; stage < 7; ++stage) {
      const std::string theirs = "block" + std::to_string(stage) + "_", ours = "stage" + std::to_string(stage + 1);
      assign(out, ours + ".expansion", row.at(theirs + "e"));
      assign(out, ours + ".kernel", row.at(theirs + "k"));
      assign(out, ours + ".depth", row.at(theirs + "l"));
      assign(out, ours + ".squeeze_excitation", row.at(theirs + "se"));
    }
    const Network network = network_of(space, read_candidate(space, out.str()));
    const bool equal = rounded(static_cast<double>(network.parameters()), 1e6) == std::stod(row.at("params_M")) &&
                       rounded(profiled(network), 1e6) == std::stod(row.at("macs_M"));
    EXPECT_TRUE(equal) << row.at("id");
    exact += equal ? 1 : 0;
  }
  EXPECT_EQ(rows.size(), 5'138U);
  EXPECT_EQ(exact, rows.size());
}

// --- NATS-Bench's size space

TEST(NatsSize, HasFiveLayersOfEightWidths) {
  const DesignSpace space = read_space("network: {type: nats_size}");
  EXPECT_EQ(space.space().cardinality().exact, 32'768U);
  EXPECT_EQ(space.space().paths(), (std::vector<std::string>{"network.layer1.channels", "network.layer2.channels", "network.layer3.channels",
                                                             "network.layer4.channels", "network.layer5.channels"}));
  expect_sound("network: {type: nats_size}", 300, Shape{1, 10});
}

TEST(NatsSize, CountsEqualTheTable) {
  const auto path = reference_data("nats_sample_archs_full.csv");
  if (!path) GTEST_SKIP() << "NATS-Bench reference data not found";
  std::map<std::string, DesignSpace> spaces;
  for (const char* set : {"cifar10", "cifar10-valid"}) spaces.emplace(set, read_space("network: {type: nats_size}"));
  spaces.emplace("cifar100", read_space("network: {type: nats_size, classes: 100}"));
  spaces.emplace("ImageNet16-120", read_space("network: {type: nats_size, resolution: 16, classes: 120}"));
  std::size_t checked = 0;
  for (const Row& row : read_rows(*path)) {
    if (row.at("space") != "sss") continue;
    const DesignSpace& space = spaces.at(row.at("dataset"));
    std::ostringstream out;
    const auto channels = split(row.at("arch"), ':');
    for (std::size_t i = 0; i < 5; ++i) assign(out, "layer" + std::to_string(i + 1) + ".channels", channels[i]);
    const Network network = network_of(space, read_candidate(space, out.str()));
    EXPECT_EQ(static_cast<double>(network.parameters()), std::round(std::stod(row.at("params_M")) * 1e6));
    // Their FLOPs count the classifier's biases.
    const auto biases = static_cast<double>(network.node(network.output()).shape.back());
    EXPECT_EQ(static_cast<double>(network.macs()) + biases, std::round(std::stod(row.at("flops_M")) * 1e6)) << row.at("arch");
    ++checked;
  }
  EXPECT_EQ(checked, 135U);
}

// --- HyTra

/// What the downsampling positions allow: the layers' operators, by hand.
TEST(HyTra, HasTheFabricsPaths) {
  const DesignSpace space = read_space("network: {type: hytra, resolution: 64, classes: 10}");
  // 16 · 17 positions and 2 + 4 + … + 2^16 operators, before the constraints.
  EXPECT_EQ(space.space().cardinality().exact, 16ULL * 17 * 131'070);
  // The published enumeration (get_all_path_16) has 2,818,103 paths, of which 17 never reach 1/16.
  std::uint64_t paths = 0;
  for (int hybrid = 1; hybrid <= 16; ++hybrid) {
    for (int first = 0; first <= 15; ++first) {
      for (int second = 0; second <= 16; ++second) {
        std::ostringstream out;
        assign(out, "stride4_layers", first);
        assign(out, "stride16_layers", second);
        assign(out, "hybrid_layers", hybrid);
        for (int i = 1; i <= hybrid; ++i) assign(out, "layer" + std::to_string(i) + ".block", "convolution");
        try {
          const Candidate candidate = read_candidate(space, out.str());
          paths += std::uint64_t{1} << hybrid;
          const Network network = network_of(space, candidate);
          // Where the image ends: 64 pixels / 16, or / 32 if layers are left for it.
          const Node& last = network.node(network.node(network.find("global_pool").value()).inputs[0]);
          EXPECT_EQ(last.shape, (second == hybrid ? Shape{1, 1024, 4, 4} : Shape{1, 2048, 2, 2}));
        } catch (const ConfigError& error) {
          EXPECT_THAT(error.what(), ::testing::HasSubstr("stride"));
        }
      }
    }
  }
  EXPECT_EQ(paths, 2'818'103U - 17U);
  expect_sound("network: {type: hytra, resolution: 64, classes: 10}", 300, Shape{1, 10});
}

std::string hytra(int first, int second, const std::string& blocks) {
  std::ostringstream out;
  assign(out, "stride4_layers", first);
  assign(out, "stride16_layers", second);
  assign(out, "hybrid_layers", blocks.size());
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    assign(out, "layer" + std::to_string(i + 1) + ".block", blocks[i] == 'a' ? "attention" : "convolution");
  }
  return out.str();
}

TEST(HyTra, BossNetT0CountsAsPublished) {
  // [[1], [1], [1, 1, 1, 0, 1], [0, 0, 0, 1, 0, 0, 0, 0, 0]]: the multiply-accumulates of boss_madds.py, without
  // squeeze-excitation (3.4 G in the paper); that script's 37,231,232 weights and, by hand, normalisations and biases.
  expect_counts("network: {type: hytra}", hytra(1, 5, "cccacaaacaaaaa"), 37'319'080, 3'441'888'768);
  // By hand: everything at 1/32 and attention; everything at 1/16 after six convolutions at 1/8.
  expect_counts("network: {type: hytra}", hytra(0, 0, std::string(16, 'a')), 48'680'232, 2'438'393'856);
  expect_counts("network: {type: hytra}", hytra(0, 3, "ccc" + std::string(13, 'a')), 44'713'256, 2'818'652'672);
  expect_counts("network: {type: hytra}", hytra(0, 10, std::string(10, 'a')), 10'409'256, 3'222'423'552);
}

// --- FlexiBERT

TEST(FlexiBert, HasThePapersCardinality) {
  // A layer: 3 operations of 2 kinds, 2 numbers of heads, 2 widths, 2 + 2^3 feed-forward parts. 2 or 4 layers.
  const DesignSpace space = read_space("network: {type: flexibert}");
  EXPECT_EQ(space.space().cardinality().exact, 240ULL * 240 + 240ULL * 240 * 240 * 240);  // 3.32e9 in the paper
  expect_sound("network: {type: flexibert, vocabulary: 100, tokens: 16}", 300, Shape{1, 2});
}

struct Encoder {
  int hidden, heads;
  std::string operation, detail;
  std::vector<int> widths;
};

std::string flexibert(const std::vector<Encoder>& layers) {
  static const std::map<std::string, std::string> details{
      {"self_attention", "similarity"}, {"linear_transform", "transform"}, {"dynamic_convolution", "kernel"}};
  std::ostringstream out;
  assign(out, "layers", layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Encoder& layer = layers[i];
    const std::string in = "layer" + std::to_string(i + 1) + ".";
    assign(out, in + "hidden", layer.hidden);
    assign(out, in + "heads", layer.heads);
    assign(out, in + "operation", layer.operation);
    assign(out, in + "operation." + layer.operation + "." + details.at(layer.operation), layer.detail);
    assign(out, in + "stacks", layer.widths.size());
    for (std::size_t j = 0; j < layer.widths.size(); ++j) {
      assign(out, in + "feed_forward" + std::to_string(j + 1) + ".width", layer.widths[j]);
    }
  }
  return out.str();
}

TEST(FlexiBert, HoldsBertTinyAndBertMini) {
  // google/bert_uncased_L-2_H-128_A-2 and L-4_H-256_A-4 have 4,385,920 and 11,170,560 parameters; a classifier of two is
  // added. Multiply-accumulates by hand.
  const Encoder tiny{128, 2, "self_attention", "scaled_dot_product", {512}};
  expect_counts("network: {type: flexibert}", flexibert({tiny, tiny}), 4'385'920 + 258, 58'736'896);
  const Encoder mini{256, 4, "self_attention", "scaled_dot_product", {1024}};
  expect_counts("network: {type: flexibert}", flexibert({mini, mini, mini, mini}), 11'170'560 + 514, 436'273'664);
}

TEST(FlexiBert, MixedLayersCountAsByHand) {
  expect_counts("network: {type: flexibert}",
                flexibert({{128, 2, "self_attention", "weighted_multiplicative", {512}},
                           {256, 4, "dynamic_convolution", "9", {1024, 512, 1024}},
                           {256, 2, "linear_transform", "dft", {512}},
                           {128, 4, "linear_transform", "dct", {512, 512, 512}}}),
                7'073'300, 431'718'656);
}

// --- Decoders

std::string decoder(int layers, int width, int key_value_heads, const std::string& ratio, const std::string& feed_forward) {
  std::ostringstream out;
  assign(out, "layers", layers);
  assign(out, "width", width);
  assign(out, "key_value_heads", key_value_heads);
  assign(out, "feed_forward_ratio", ratio);
  assign(out, "feed_forward", feed_forward);
  return out.str();
}

TEST(DecoderLm, CountsAsPublishedAndByHand) {
  // TinyLlama 1.1B (jzhang38/TinyLlama): 22 layers, width 2048, 32 heads over 4, feed-forward 5632.
  expect_counts("network: {type: decoder_lm}", decoder(22, 2048, 4, "2.75", "dense"), 1'100'048'384, 1'126'785'024);
  // Experts: a decoded token, and a prompt of 16.
  expect_counts("network: {type: decoder_lm}", decoder(8, 512, 2, "3", "experts8_top2"), 189'047'296, 67'805'184);
  expect_counts("network: {type: decoder_lm, tokens: 16, past: 0}", decoder(4, 1024, 8, "4", "experts16_top1"), 883'500'032,
                1'534'066'688);
}

TEST(DecoderLm, HasFiveDecisions) {
  const DesignSpace space = read_space("network: {type: decoder_lm}");
  EXPECT_EQ(space.space().cardinality().exact, 4U * 4 * 4 * 7 * 6);
  expect_sound("network: {type: decoder_lm}", 100, Shape{1, 1, 32'000});
  expect_sound("network: {type: decoder_lm, tokens: 8, past: 0, vocabulary: 100}", 100, Shape{1, 8, 100});
}

// --- Perceptrons

TEST(Mlp, CountsAsByHand) {
  const DesignSpace space = read_space("network: {type: mlp}");
  std::uint64_t layers = 0, power = 1;
  for (int depth = 1; depth <= 6; ++depth) layers += power *= 6 * 3 * 3;
  EXPECT_EQ(space.space().cardinality().exact, 4 * layers);
  expect_sound("network: {type: mlp}", 300, Shape{1, 10});
  std::ostringstream out;
  assign(out, "activation", "tanh");
  assign(out, "depth", 2);
  assign(out, "layer1.units", 64);
  assign(out, "layer1.weight_bits", 2);
  assign(out, "layer1.activation_bits", 8);
  assign(out, "layer2.units", 16);
  assign(out, "layer2.weight_bits", 4);
  assign(out, "layer2.activation_bits", 2);
  expect_counts("network: {type: mlp}", out.str(), 784 * 64 + 64 + 64 * 16 + 16 + 16 * 10 + 10, 784 * 64 + 64 * 16 + 16 * 10);
  const Network network = network_of(space, read_candidate(space, out.str()));
  std::vector<NumberFormat> formats;
  for (const Node& node : network.nodes()) {
    if (is_layer(node.op)) formats.push_back(node.format);
  }
  const std::vector<NumberFormat> expected{{.weight_bits = 2, .activation_bits = 8},
                                           {.weight_bits = 4, .activation_bits = 2},
                                           {.weight_bits = 8, .activation_bits = 8}};
  EXPECT_EQ(formats, expected);
}

// --- ResNet

std::string resnet(const std::vector<int>& depths, const std::string& operation) {
  std::ostringstream out;
  for (std::size_t stage = 0; stage < depths.size(); ++stage) {
    const std::string name = "stage" + std::to_string(stage + 1);
    assign(out, name + ".depth", depths[stage]);
    for (int i = 1; i <= depths[stage]; ++i) assign(out, name + ".block" + std::to_string(i) + ".operator", operation);
  }
  return out.str();
}

TEST(ResNet, HoldsResNet18And34) {
  const DesignSpace space = read_space("network: {type: resnet, width_percent: 100}");
  EXPECT_EQ(space.space().cardinality().exact, 155ULL * 780 * 19'530 * 155);
  expect_sound("network: {type: resnet, resolution: 64}", 300, Shape{1, 1000});
  const Network network = network_of(space, read_candidate(space, resnet({2, 2, 2, 2}, "convolution")));
  EXPECT_EQ(function_hash(network), function_hash(zoo_network("resnet18").build()));
  // torchvision's counts.
  expect_counts("network: {type: resnet, width_percent: 100}", resnet({3, 4, 6, 3}, "convolution"), 21'797'672, 3'663'761'408);
}

// --- Vision transformers

/// Twelve layers, all with so many heads.
Network vision_transformer(int width, int heads) {
  const DesignSpace space = read_space("network: {type: vision_transformer, width: " + std::to_string(width) +
                                       ", most_layers: 12, fewest_heads: 1, most_heads: 12}");
  std::ostringstream out;
  for (int i = 1; i <= 12; ++i) {
    assign(out, "layer" + std::to_string(i) + ".heads", heads);
    assign(out, "layer" + std::to_string(i) + ".ratio", 4);
  }
  return network_of(space, read_candidate(space, out.str()));
}

TEST(VisionTransformer, HoldsViTAndDeiT) {
  const DesignSpace space = read_space("network: {type: vision_transformer}");
  // Three widths; 12 to 14 layers of two numbers of heads and two of hidden features.
  EXPECT_EQ(space.space().cardinality().exact, 3ULL * ((1ULL << 24) + (1ULL << 26) + (1ULL << 28)));
  expect_sound("network: {type: vision_transformer, resolution: 64, patch: [8, 16], classes: 10}", 100, Shape{1, 10});
  const Network base = vision_transformer(768, 12);
  EXPECT_EQ(function_hash(base), function_hash(zoo_network("vit_b_16").build()));
  EXPECT_EQ(base.parameters(), 86'567'656);  // torchvision's
  // H. Touvron et al., "Training data-efficient image transformers", ICML 2021: its published models.
  EXPECT_EQ(vision_transformer(192, 3).parameters(), 5'717'416);
  EXPECT_EQ(vision_transformer(384, 6).parameters(), 22'050'664);
}

TEST(ResNet, PoolingLeavesNoWeightsInSpace) {
  const DesignSpace space = read_space("network: {type: resnet, width_percent: 100}");
  for (const char* operation : {"max_pool", "average_pool"}) {
    const Network network = network_of(space, read_candidate(space, resnet({1, 1, 1, 1}, operation)));
    for (const Node& node : network.nodes()) {
      if (const auto* convolution = std::get_if<Convolution>(&node.op)) {
        EXPECT_TRUE(convolution->kernel_h == 1 || node.name.starts_with("stem")) << node.name;
      }
    }
  }
}

}  // namespace
}  // namespace duet
