#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <set>

#include "core/errors.hpp"
#include "hw_models/lowering.hpp"
#include "tests/estimators/toy.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;
using testing::joint_space;
using testing::make_estimator;
using testing::refusal;
using testing::sampled_design;
using testing::toy_space;

double value(const Estimator& estimator, const Evaluation& evaluation, std::string_view metric) {
  for (std::size_t i = 0; i < evaluation.values.size(); ++i) {
    if (estimator.metrics()[i].name == metric) return evaluation.values[i];
  }
  ADD_FAILURE() << "no metric " << metric << ": " << evaluation.reason;
  return 0;
}

/// A part that is whatever a function of the parameter n says.
class FixedPart final : public DesignPart {
 public:
  explicit FixedPart(std::function<std::optional<Network>(std::int64_t)> network,
                     std::function<std::optional<Accelerator>(std::int64_t)> accelerator)
      : network_(std::move(network)), accelerator_(std::move(accelerator)) {}
  std::vector<SpaceNode> nodes() const override { return {integer("n", 1, 4)}; }
  std::optional<Network> network(const Assignment& a) const override {
    return network_ ? network_(a.integer("n")) : std::nullopt;
  }
  std::optional<Accelerator> accelerator(const Assignment& a) const override {
    return accelerator_ ? accelerator_(a.integer("n")) : std::nullopt;
  }

 private:
  std::function<std::optional<Network>(std::int64_t)> network_;
  std::function<std::optional<Accelerator>(std::int64_t)> accelerator_;
};

/// n linear layers of 8 features; with four of them the network makes no sense.
std::optional<Network> stack(std::int64_t n) {
  if (n == 4) throw NetworkError("node 'x': four is too many");
  Network network;
  NodeId last = network.add("input", Input{{1, 8}});
  for (std::int64_t i = 1; i <= n; ++i) last = network.add("fc" + std::to_string(i), Linear{8, true}, {last});
  return network;
}

DesignSpace fixed_space(const std::string& yaml) {
  Catalog<SpacePlugin> catalog("space");
  const auto add = [&](std::string name, auto network, auto accelerator) {
    catalog.add({name, "A part for tests.", "", {}, [=](const Options&) {
                   return std::make_unique<FixedPart>(network, accelerator);
                 }});
  };
  add("stack", stack, nullptr);
  // n rows; zero bytes of scratchpad where n is 3.
  add("array", nullptr, [](std::int64_t n) -> std::optional<Accelerator> {
    SystolicArray array;
    array.rows = n;
    array.columns = 4;
    if (n == 3) array.input_sram_bytes = 0;
    return array;
  });
  // A buffer of 64 bytes; no clock where n is 3.
  add("levels", nullptr, [](std::int64_t n) -> std::optional<Accelerator> {
    Architecture architecture = read_architecture(Config::parse(
        "{clock: 1MHz, levels: [{name: DRAM, word_bits: 16, energy: {read: 3pJ, write: 5pJ}}, {name: buffer, capacity: 64B, "
        "energy: {read: 1pJ, write: 1pJ, leak: 1pJ}}], compute: {instances: {x: 4}, energy: 2pJ}}", "levels.yaml"));
    if (n == 3) architecture.clock_hz = 0;
    if (n == 4) architecture.levels[1].capacity_bits = 1;
    return architecture;
  });
  return DesignSpace::read(Config::parse(yaml, "space.yaml"), catalog);
}

TEST(Analytical, ReportsTheCostModelsNumbers) {
  const DesignSpace space = joint_space();
  const auto estimator = make_estimator("analytical", "{}", space);
  EXPECT_FALSE(estimator->expensive());
  for (std::uint64_t number = 0; number < 20; ++number) {
    const Design design = sampled_design(space, number);
    const Evaluation evaluation = estimate_checked(*estimator, design);
    ASSERT_EQ(evaluation.status, Status::ok) << evaluation.reason;
    const auto& array = std::get<SystolicArray>(design.accelerators().at(0));
    const NetworkCost cost = duet::cost(design.networks().at(0), array);
    EXPECT_DOUBLE_EQ(value(*estimator, evaluation, "latency_s"), cost.latency_s);
    EXPECT_DOUBLE_EQ(value(*estimator, evaluation, "energy_j"), cost.energy_j());
    EXPECT_DOUBLE_EQ(value(*estimator, evaluation, "area_mm2"), cost.area_mm2());
    EXPECT_DOUBLE_EQ(value(*estimator, evaluation, "utilization"), cost.utilisation);
    EXPECT_EQ(value(*estimator, evaluation, "cycles"), static_cast<double>(cost.cycles));
    EXPECT_EQ(value(*estimator, evaluation, "stall_cycles"), static_cast<double>(cost.stall_cycles));
    EXPECT_EQ(value(*estimator, evaluation, "dram_bytes"), static_cast<double>(cost.dram_bytes));
    EXPECT_EQ(value(*estimator, evaluation, "sram_accesses"), static_cast<double>(cost.sram_accesses));
    EXPECT_DOUBLE_EQ(value(*estimator, evaluation, "power_w"), cost.energy_j() / cost.latency_s);
    EXPECT_NEAR(value(*estimator, evaluation, "compute_energy_j") +
                    value(*estimator, evaluation, "sram_energy_j") +
                    value(*estimator, evaluation, "dram_energy_j"),
                cost.energy_j(), 1e-12 * cost.energy_j());
  }
}

TEST(Analytical, SeveralNetworksRunOneAfterAnother) {
  const DesignSpace one = fixed_space("{first: {type: stack}, chip: {type: array}}");
  const DesignSpace two = fixed_space("{first: {type: stack}, second: {type: stack}, chip: {type: array}}");
  const auto single = make_estimator("analytical", "{}", one);
  const auto both = make_estimator("analytical", "{}", two);
  const Evaluation a = estimate_checked(*single, testing::design(one, "{first: {n: 1}, chip: {n: 2}}"));
  const Evaluation b = estimate_checked(*single, testing::design(one, "{first: {n: 3}, chip: {n: 2}}"));
  const Evaluation sum =
      estimate_checked(*both, testing::design(two, "{first: {n: 1}, second: {n: 3}, chip: {n: 2}}"));
  ASSERT_EQ(sum.status, Status::ok) << sum.reason;
  for (const std::string metric :
       {"latency_s", "energy_j", "cycles", "stall_cycles", "dram_bytes", "sram_accesses"}) {
    const double expected = value(*single, a, metric) + value(*single, b, metric);
    EXPECT_NEAR(value(*both, sum, metric), expected, 1e-12 * expected) << metric;
  }
  EXPECT_EQ(value(*both, sum, "area_mm2"), value(*single, a, "area_mm2"));
  // 64 multiply-accumulates per layer on 2 × 4 elements.
  EXPECT_DOUBLE_EQ(value(*both, sum, "utilization"), 4 * 64 / (8 * value(*both, sum, "cycles")));
}

TEST(Analytical, DesignsThatMakeNoSenseAreFailures) {
  const DesignSpace space = fixed_space("{net: {type: stack}, chip: {type: array}}");
  const auto estimator = make_estimator("analytical", "{}", space);
  const Evaluation network =
      estimate_checked(*estimator, testing::design(space, "{net: {n: 4}, chip: {n: 1}}"));
  EXPECT_EQ(network.status, Status::failed);
  EXPECT_EQ(network.reason, "node 'x': four is too many");
  const Design bad_array = testing::design(space, "{net: {n: 1}, chip: {n: 3}}");
  const Evaluation array = estimate_checked(*estimator, bad_array);
  EXPECT_EQ(array.status, Status::failed);
  EXPECT_EQ(array.reason, why_invalid(std::get<SystolicArray>(bad_array.accelerators().at(0))));
}

TEST(Analytical, TwoAcceleratorsAreOneTooMany) {
  const DesignSpace space = fixed_space("{net: {type: stack}, chip: {type: array}, other: {type: array}}");
  const auto estimator = make_estimator("analytical", "{}", space);
  EXPECT_EQ(estimate_checked(*estimator, testing::design(space, "{net: {n: 1}, chip: {n: 1}, other: {n: 1}}"))
                .reason,
            "the design has 2 accelerators instead of one");
}

TEST(Analytical, ArchitecturesOfLevelsAreMapped) {
  const DesignSpace space = fixed_space("{net: {type: stack}, chip: {type: levels}}");
  const auto estimator = make_estimator("analytical", "{mapper: exhaustive, objective: energy}", space);
  EXPECT_TRUE(estimator->expensive());
  const auto metric = [&](const std::string& design, const char* name) {
    const Evaluation evaluation = estimate_checked(*estimator, testing::design(space, design));
    EXPECT_EQ(evaluation.status, Status::ok) << evaluation.reason;
    return value(*estimator, evaluation, name);
  };
  const std::string one = "{net: {n: 1}, chip: {n: 1}}", two = "{net: {n: 2}, chip: {n: 1}}";
  // 64 multiply-accumulates on four units; every weight, input and output crosses DRAM once: (64 + 8) reads, 8 writes.
  EXPECT_EQ(metric(one, "cycles"), 16);
  EXPECT_EQ(metric(one, "stall_cycles"), 0);
  EXPECT_DOUBLE_EQ(metric(one, "latency_s"), 16e-6);
  EXPECT_DOUBLE_EQ(metric(one, "utilization"), 1);
  EXPECT_EQ(metric(one, "dram_bytes"), 2 * 80);
  EXPECT_NEAR(metric(one, "dram_energy_j"), (72 * 3 + 8 * 5) * 1e-12, 1e-20);
  EXPECT_NEAR(metric(one, "compute_energy_j"), 128e-12, 1e-20);
  EXPECT_NEAR(metric(one, "compute_energy_j") + metric(one, "sram_energy_j") + metric(one, "dram_energy_j"),
              metric(one, "energy_j"), 1e-20);
  for (const char* name : {"cycles", "energy_j", "dram_bytes", "sram_accesses"}) {
    EXPECT_DOUBLE_EQ(metric(two, name), 2 * metric(one, name)) << name;
  }
  const auto reason = [&](const std::string& design) {
    const Evaluation evaluation = estimate_checked(*estimator, testing::design(space, design));
    EXPECT_EQ(evaluation.status, Status::failed);
    return evaluation.reason;
  };
  EXPECT_EQ(reason("{net: {n: 1}, chip: {n: 3}}"), "the clock must run");
  // What was found is kept by layer: two layers of one shape are one entry, and a second estimator finds it.
  class Counting final : public KeyValueStore {
   public:
    std::optional<std::string> get(const Fingerprint& key) override {
      const auto found = values.find(key);
      return found == values.end() ? std::nullopt : std::optional(found->second);
    }
    void put(const Fingerprint& key, std::string value) override {
      values[key] = std::move(value);
      ++puts;
    }
    std::map<Fingerprint, std::string> values;
    int puts = 0;
  };
  const auto store = std::make_shared<Counting>();
  for (int round = 0; round < 2; ++round) {
    const auto other = make_estimator("analytical", "{mapper: exhaustive, objective: energy}", space);
    other->use_store(store);
    const Evaluation evaluation = estimate_checked(*other, testing::design(space, two));
    EXPECT_EQ(value(*other, evaluation, "energy_j"), metric(two, "energy_j"));
    EXPECT_EQ(store->puts, 1);
  }
  EXPECT_THAT(refusal("analytical", "{mapper: exhaustiv}", space), HasSubstr("did you mean 'exhaustive'?"));
  EXPECT_THAT(refusal("analytical", "{objective: enery}", space), HasSubstr("did you mean 'energy'?"));
}

TEST(Analytical, NeedsNetworkAndAccelerator) {
  EXPECT_EQ(refusal("analytical", "{}", testing::read_space("network: {type: nas_bench_201}")),
            "estimator 'analytical' needs an accelerator, and no part of the space is one");
  EXPECT_EQ(refusal("analytical", "{}", testing::read_space("accelerator: {type: systolic_array}")),
            "estimator 'analytical' needs a network, and no part of the space is one");
}

TEST(Analytical, KeyCoversNetworkAndAcceleratorOnly) {
  const DesignSpace space = testing::read_space(
      "network: {type: nas_bench_201, input: [1, 16, 16], channels: 4, cells: 1}\n"
      "accelerator: {type: systolic_array, rows: [4, 8], columns: [4, 8]}\n"
      "p: {type: parameters, parameters: {n: {integer: [1, 4]}}}\n");
  const auto estimator = make_estimator("analytical", "{}", space);
  const Design design = sampled_design(space, 1);
  std::set<Fingerprint> keys{estimator->key(design)};
  for (const Candidate& neighbour : space.space().neighbours(design.candidate())) {
    const Design other = space.design(neighbour);
    const bool same = other.networks().at(0).fingerprint() == design.networks().at(0).fingerprint() &&
                      other.accelerators() == design.accelerators();
    EXPECT_EQ(estimator->key(other) == estimator->key(design), same) << space.space().describe(neighbour);
    keys.insert(estimator->key(other));
  }
  EXPECT_GT(keys.size(), 10U);
}

/// 2 images of 3×4×4; convolution to 5 channels without padding (5×2×2), added to a copy of itself,
/// flattened, to 7 features.
TEST(NetworkCounts, CountsByHand) {
  Catalog<SpacePlugin> catalog("space");
  catalog.add({"fixed", "A network for tests.", "", {}, [](const Options&) {
                 return std::make_unique<FixedPart>(
                     [](std::int64_t) -> std::optional<Network> {
                       Network network;
                       const NodeId input = network.add("input", Input{{2, 3, 4, 4}});
                       Convolution convolution;
                       convolution.out_channels = 5;
                       convolution.kernel_h = convolution.kernel_w = 3;
                       const NodeId conv = network.add("conv", convolution, {input});
                       const NodeId relu = network.add("relu", Activation{}, {conv});
                       const NodeId sum = network.add("sum", Add{}, {conv, relu});
                       const NodeId flat = network.add("flat", Flatten{}, {sum});
                       network.add("fc", Linear{7, true}, {flat});
                       return network;
                     },
                     nullptr);
               }});
  const DesignSpace space = DesignSpace::read(Config::parse("net: {type: fixed}", "space.yaml"), catalog);
  const auto estimator = make_estimator("network_counts", "{}", space);
  const Evaluation evaluation = estimate_checked(*estimator, sampled_design(space, 0));
  ASSERT_EQ(evaluation.status, Status::ok) << evaluation.reason;
  // conv: 2·5·2·2 outputs of 3·3·3 products; fc: 2·7 outputs of 20 products.
  EXPECT_EQ(value(*estimator, evaluation, "macs"), 40 * 27 + 14 * 20);
  EXPECT_EQ(value(*estimator, evaluation, "parameters"), 5 * 27 + 7 * 20 + 7);
  // input (96) and conv (40) are alive together; later conv, relu and sum: 120.
  EXPECT_EQ(value(*estimator, evaluation, "peak_activations"), 136);
  // Nothing said: dense, 32 bits.
  EXPECT_EQ(value(*estimator, evaluation, "effective_macs"), 40 * 27 + 14 * 20);
  EXPECT_EQ(value(*estimator, evaluation, "bit_operations"), (40 * 27 + 14 * 20) * 1024);
  EXPECT_EQ(value(*estimator, evaluation, "weight_bytes"), 4 * (5 * 27 + 7 * 20 + 7));
}

/// The same layers; 2:4 sparse weights of 4 bits under activations of 8, and half of the weights of 2 bits anywhere.
TEST(NetworkCounts, KnowsNumberFormats) {
  Catalog<SpacePlugin> catalog("space");
  catalog.add({"fixed", "A network for tests.", "", {}, [](const Options&) {
                 return std::make_unique<FixedPart>(
                     [](std::int64_t) -> std::optional<Network> {
                       Network network;
                       const NodeId input = network.add("input", Input{{1, 4, 2, 2}});
                       const NodeId conv = network.add("conv", Convolution{.out_channels = 6}, {input});
                       const NodeId flat = network.add("flat", Flatten{}, {conv});
                       const NodeId fc = network.add("fc", Linear{10, true}, {flat});
                       network.set_format(conv, {.weight_bits = 4, .activation_bits = 8, .density = 0.5, .sparsity_group = 4});
                       network.set_format(fc, {.weight_bits = 2, .activation_bits = 0, .density = 0.5});
                       return network;
                     },
                     nullptr);
               }});
  const DesignSpace space = DesignSpace::read(Config::parse("net: {type: fixed}", "space.yaml"), catalog);
  const auto estimator = make_estimator("network_counts", "{}", space);
  const Evaluation evaluation = estimate_checked(*estimator, sampled_design(space, 0));
  ASSERT_EQ(evaluation.status, Status::ok) << evaluation.reason;
  EXPECT_EQ(value(*estimator, evaluation, "macs"), 4 * 24 + 240);
  EXPECT_EQ(value(*estimator, evaluation, "effective_macs"), 4 * 12 + 120);
  EXPECT_EQ(value(*estimator, evaluation, "bit_operations"), 48 * 4 * 8 + 120 * 2 * 32);
  // conv: 12 weights of 4 bits and 2 of position; fc: 120 of 2 bits, a bitmap of 240, 10 biases of 32 bits.
  EXPECT_EQ(value(*estimator, evaluation, "weight_bytes"), (12 * 6 + 120 * 2 + 240 + 320) / 8);
}

/// Words as narrow as the layers': twice as many in the same room and time.
TEST(Analytical, NarrowLayersCostWhatANarrowMachineCosts) {
  const auto evaluate = [](const std::string& variants, const std::string& array) {
    Catalog<SpacePlugin> catalog("space");
    add_builtin_spaces(catalog);
    const DesignSpace space = DesignSpace::read(
        Config::parse("network: {type: nas_bench_macro, architecture: '11111111'" + variants +
                          "}\naccelerator: {type: systolic_array, rows: 16, columns: 16, " + array + "}\n",
                      "space.yaml"),
        catalog);
    const auto estimator = make_estimator("analytical", "{}", space);
    const Evaluation evaluation = estimate_checked(*estimator, space.design(space.space().unrank(0)));
    EXPECT_EQ(evaluation.status, Status::ok) << evaluation.reason;
    return value(*estimator, evaluation, "dram_bytes");
  };
  const double wide = evaluate("", "word_bits: 8");
  EXPECT_EQ(evaluate(", variants: {weight_bits: 8, activation_bits: 16}", "word_bits: 8"), wide);
  EXPECT_EQ(evaluate(", variants: {weight_bits: 2, activation_bits: 8}", "word_bits: 8"), wide);  // the wider decides
  EXPECT_LT(evaluate(", variants: {weight_bits: 4, activation_bits: 4}", "word_bits: 8"), 0.6 * wide);
}

TEST(NetworkCounts, NeedsANetwork) {
  EXPECT_EQ(refusal("network_counts", "{}", toy_space()),
            "estimator 'network_counts' needs a network, and no part of the space is one");
}

}  // namespace
}  // namespace duet
