#include "hw_models/network_mapping.hpp"

#include <atomic>
#include <memory>

#include <gtest/gtest.h>

#include "core/key_value_store.hpp"
#include "hw_models/lowering.hpp"
#include "hw_models/number_format.hpp"
#include "spaces/zoo.hpp"

namespace duet {
namespace {

Architecture architecture() {
  return read_architecture(Config::parse(R"(
name: two
clock: 500MHz
levels:
- {name: DRAM, energy: {read: 512pJ, write: 512pJ}}
- {name: 'buffer: shared', energy: {read: 6pJ, write: 6pJ}, keep: [weight, input, output]}
compute: {instances: {x: 16, y: 16}, energy: 0.5pJ}
)",
                                         "test"));
}

/// Everything in the outermost loops; refuses sums over more than `limit` channels.
class OneMapping final : public Mapper {
 public:
  explicit OneMapping(std::int64_t limit = 1'000'000) : limit_(limit) {}
  std::string_view name() const override { return "one"; }
  MapperResult map(const CostModel& model, const MapperRequest& request) const override {
    ++calls;
    MapperResult result;
    result.evaluations = 1;
    result.complete = request.time_limit_s > 0;
    if (model.einsum().size(*model.einsum().find_dimension("C")) > limit_) {
      result.why_none = "that's too many channels";
      return result;
    }
    result.mapping = trivial_mapping(model.einsum(), model.architecture());
    result.mapping->levels[1].order = {1, 0, 2, 3, 4, 5, 6, 7};
    result.cost = model.quick(*result.mapping);
    result.value = value(request.objective, result.cost.cycles, result.cost.energy_j, model.architecture().clock_hz);
    result.lower_bound = result.value.first / 3;
    return result;
  }
  mutable std::atomic<int> calls{0};

 private:
  std::int64_t limit_;
};

TEST(NetworkMapping, AddsUpRepeats) {
  const Network network = zoo_network("resnet50").build();
  const OneMapping mapper;
  const NetworkMapping mapped = map_network(network, architecture(), mapper, {});
  const auto workloads = einsums(network);
  ASSERT_EQ(mapped.layers.size(), workloads.size());
  EXPECT_EQ(mapper.calls, static_cast<int>(workloads.size()));
  EXPECT_EQ(mapped.evaluations, workloads.size());
  EXPECT_EQ(mapped.why_none, "");
  double macs = 0, cycles = 0, energy = 0;
  for (std::size_t i = 0; i < workloads.size(); ++i) {
    EXPECT_EQ(mapped.layers[i].workload.einsum, workloads[i].einsum);
    const MappingCost& cost = mapped.layers[i].cost;
    EXPECT_EQ(cost.cycles, mapped.layers[i].result.cost.cycles);
    macs += static_cast<double>(workloads[i].repeats * workloads[i].einsum.macs());
    cycles += static_cast<double>(workloads[i].repeats) * cost.cycles;
    energy += static_cast<double>(workloads[i].repeats) * cost.energy_j;
  }
  EXPECT_EQ(mapped.macs, macs);
  EXPECT_EQ(mapped.cycles, cycles);
  EXPECT_EQ(mapped.cycles, macs);  // one unit does all of it
  EXPECT_EQ(mapped.energy_j, energy);
  EXPECT_EQ(mapped.latency_s, cycles / 500e6);
  EXPECT_DOUBLE_EQ(mapped.utilization, 1 / 256.0);
}

TEST(NetworkMapping, ThreadsChangeNothing) {
  const Network network = zoo_network("resnet50").build();
  const NetworkMapping one = map_network(network, architecture(), OneMapping(), {});
  const NetworkMapping three = map_network(network, architecture(), OneMapping(), {}, {.cost = {}, .threads = 3});
  ASSERT_EQ(one.layers.size(), three.layers.size());
  for (std::size_t i = 0; i < one.layers.size(); ++i) {
    EXPECT_EQ(one.layers[i].result.mapping, three.layers[i].result.mapping);
    EXPECT_EQ(one.layers[i].cost.energy_j, three.layers[i].cost.energy_j);
  }
  EXPECT_EQ(one.energy_j, three.energy_j);
}

TEST(NetworkMapping, SaysWhichLayerHasNone) {
  const NetworkMapping mapped =
      map_network(zoo_network("resnet50").build(), architecture(), OneMapping(2047), {}, {.cost = {}, .threads = 2});
  EXPECT_NE(mapped.why_none.find("layer '"), std::string::npos);
  EXPECT_NE(mapped.why_none.find("that's too many channels"), std::string::npos);
  EXPECT_GT(mapped.cycles, 0);
}

TEST(NumberFormats, NarrowNumbersArePackedInMemories) {
  Architecture machine = architecture();
  machine.levels[0].word_bits = {16, 16, 16};
  machine.levels[0].shared_bandwidth = 4;
  machine.levels[1].word_bits = {8, 16, 32};
  machine.levels[1].block_bits = 64;
  machine.levels[1].read_bandwidth = 2;
  const Architecture same = packed(machine, {.density = 0.5, .sparsity_group = 4});
  EXPECT_EQ(same, machine);

  const Architecture narrow = packed(machine, {.weight_bits = 4, .activation_bits = 8});
  EXPECT_EQ(narrow.levels[0].word_bits, (std::array<std::int64_t, tensor_count>{4, 8, 8}));
  EXPECT_EQ(narrow.levels[0].block_bits, 16);        // what one access moved
  EXPECT_EQ(narrow.levels[0].shared_bandwidth, 8.0);  // the widest tensor halves
  EXPECT_EQ(narrow.levels[1].word_bits, (std::array<std::int64_t, tensor_count>{4, 8, 32}));
  EXPECT_EQ(narrow.levels[1].block_words(Tensor::weight), 16);
  EXPECT_EQ(narrow.levels[1].read_bandwidth, 2.0);  // partial sums stay
  EXPECT_EQ(packed(machine, {.weight_bits = 32, .activation_bits = 32}).levels[1].word_bits, machine.levels[1].word_bits);

  const SystolicArray array = packed(SystolicArray{}, {.weight_bits = 2, .activation_bits = 4});
  EXPECT_EQ(array.word_bits, 4);
  EXPECT_EQ(packed(SystolicArray{}, {.weight_bits = 2}).word_bits, SystolicArray{}.word_bits);
}

TEST(NumberFormats, ProductsOfActivationsAreNarrowOnBothSides) {
  Network network;
  const NodeId a = network.add("a", Input{{1, 32, 64}});
  const NodeId b = network.add("b", Input{{1, 64, 32}});
  network.set_format(network.add("product", MatMul{}, {a, b}), {.activation_bits = 4});
  ASSERT_EQ(einsums(network).size(), 1u);
  EXPECT_EQ(einsums(network)[0].format.weight_bits, 4);
  SystolicArray array;
  array.word_bits = 16;
  SystolicArray narrow = array;
  narrow.word_bits = 4;
  EXPECT_EQ(cost(network, array).dram_bytes, cost(network.without_formats(), narrow).dram_bytes);
}

TEST(NumberFormats, EqualLayersOfDifferentWidthsAreDifferentWork) {
  Network network;
  NodeId x = network.add("input", Input{{1, 32, 8, 8}});
  for (const char* name : {"a", "b", "c"}) x = network.add(name, Convolution{.out_channels = 32}, {x});
  ASSERT_EQ(einsums(network).size(), 1u);
  network.set_format(2, {.weight_bits = 4, .activation_bits = 4});
  const std::vector<RepeatedEinsum> works = einsums(network);
  ASSERT_EQ(works.size(), 2u);
  EXPECT_EQ(works[0].repeats, 2);
  EXPECT_EQ(works[1].format.weight_bits, 4);
  const OneMapping mapper;
  const NetworkMapping mapped = map_network(network, architecture(), mapper, {});
  EXPECT_LT(mapped.layers[1].cost.energy_j, mapped.layers[0].cost.energy_j);
}

TEST(MappingCache, AnswersFromMemoryAndStore) {
  const Network network = zoo_network("resnet50").build();
  const auto store = std::make_shared<MemoryStore>();
  const OneMapping mapper(2047);
  MappingCache cache(1'000, store);
  const NetworkMappingOptions options{.cost = {}, .threads = 2, .cache = &cache};
  const NetworkMapping first = map_network(network, architecture(), mapper, {}, options);
  const int calls = mapper.calls;
  EXPECT_EQ(cache.size(), first.layers.size());
  EXPECT_EQ(cache.misses(), first.layers.size());
  const NetworkMapping second = map_network(network, architecture(), mapper, {}, options);
  EXPECT_EQ(mapper.calls, calls);
  MappingCache later(3, store);  // of another process
  const NetworkMapping third = map_network(network, architecture(), mapper, {}, {.cost = {}, .threads = 1, .cache = &later});
  EXPECT_EQ(mapper.calls, calls);
  EXPECT_EQ(later.size(), 3U);
  EXPECT_EQ(later.hits(), first.layers.size());
  for (std::size_t i = 0; i < first.layers.size(); ++i) {
    EXPECT_FALSE(first.layers[i].cached);
    for (const NetworkMapping* again : {&second, &third}) {
      const MapperResult &a = first.layers[i].result, &b = again->layers[i].result;
      EXPECT_TRUE(again->layers[i].cached);
      EXPECT_EQ(a.mapping, b.mapping);
      EXPECT_EQ(a.why_none, b.why_none);
      EXPECT_EQ(a.value, b.value);
      EXPECT_EQ(a.lower_bound, b.lower_bound);
      EXPECT_EQ(a.evaluations, b.evaluations);
    }
  }
  EXPECT_EQ(first.energy_j, third.energy_j);
}

TEST(MappingCache, KeyKnowsEverythingThatDecides) {
  const CostModel model(matrix_einsum(4, 8, 16), architecture());
  const auto key = mapping_key(model, "one", {});
  EXPECT_EQ(key, mapping_key(CostModel(matrix_einsum(4, 8, 16), architecture()), "one", {}));
  EXPECT_EQ(key, mapping_key(model, "one", {.objective = {}, .seed = 1, .effort = 0, .time_limit_s = 3, .threads = 7}));
  EXPECT_NE(key, mapping_key(model, "two", {}));
  EXPECT_NE(key, mapping_key(model, "one", {.objective = {.kind = Objective::Kind::cycles}}));
  EXPECT_NE(key, mapping_key(model, "one", {.objective = {}, .seed = 2}));
  EXPECT_NE(key, mapping_key(model, "one", {.objective = {}, .seed = 1, .effort = 10}));
  EXPECT_NE(key, mapping_key(CostModel(matrix_einsum(4, 8, 17), architecture()), "one", {}));
  EXPECT_NE(key, mapping_key(CostModel(matrix_einsum(4, 8, 16), architecture(), {.footprint = Footprint::distinct}), "one", {}));
  Architecture other = architecture();
  other.levels[1].constraints.order = {"C"};
  EXPECT_NE(key, mapping_key(CostModel(matrix_einsum(4, 8, 16), other), "one", {}));
}

TEST(MappingCache, PassesOverWhatIsNotCompleteOrNotUnderstood) {
  const CostModel model(matrix_einsum(4, 8, 16), architecture());
  const auto store = std::make_shared<MemoryStore>();
  MappingCache cache(10, store);
  const auto key = mapping_key(model, "one", {});
  cache.insert(key, OneMapping().map(model, {.objective = {}, .seed = 1, .effort = 0, .time_limit_s = 0}), model);
  EXPECT_FALSE(cache.find(key, model, {}));
  for (const char* text : {"", "version: 0\n", "version: 1\nmapping: {}\n", "{", "version: 1\nlower_bound: 0\nproven: false\n"
                           "evaluations: 1\nmapping: {DRAM: {temporal: {C: 2}}}\n"}) {
    store->put(key, text);
    EXPECT_FALSE(cache.find(key, model, {})) << text;
  }
}

}  // namespace
}  // namespace duet
