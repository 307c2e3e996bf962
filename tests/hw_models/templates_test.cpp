// Every template maps every layer of the networks that everybody knows, under its own constraints.

#include <gtest/gtest.h>

#include "hw_models/cost_model.hpp"
#include "hw_models/einsum.hpp"
#include "spaces/architecture_template.hpp"
#include "spaces/zoo.hpp"

namespace duet {
namespace {

std::int64_t smallest_factor(std::int64_t n) {
  for (std::int64_t f = 2; f * f <= n; ++f) {
    if (n % f == 0) return f;
  }
  return n;
}

/// Begins with everything in the outermost loops and moves prime factors inwards, to the fan-outs first, as long as the
/// mapping stays what the architecture wants.
Mapping greedy_mapping(const CostModel& model) {
  const Einsum& einsum = model.einsum();
  const Architecture& architecture = model.architecture();
  Mapping mapping = trivial_mapping(einsum, architecture);
  for (std::size_t l = 0; l < mapping.level_count; ++l) {
    auto& order = mapping.levels[l].order;
    for (const std::string& name : architecture.levels[l].constraints.order) {
      const auto d = einsum.find_dimension(name);
      if (!d) continue;
      const auto end = order.begin() + static_cast<std::ptrdiff_t>(einsum.dimensions.size());
      std::rotate(std::find(order.begin(), end, *d), std::find(order.begin(), end, *d) + 1, end);
    }
  }
  const auto grow = [&](auto LevelMapping::*loops) {
    for (std::size_t l = mapping.level_count; l-- > 0;) {
      for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) {
        for (bool moved = true; moved && mapping.levels[0].temporal[d] > 1;) {
          const Mapping before = mapping;
          const std::int64_t factor = smallest_factor(mapping.levels[0].temporal[d]);
          mapping.levels[0].temporal[d] /= factor;
          (mapping.levels[l].*loops)[d] *= factor;
          moved = !model.why_invalid(mapping, true) && (l > 0 || loops != &LevelMapping::temporal);
          if (!moved) mapping = before;
        }
      }
    }
  };
  grow(&LevelMapping::x);
  grow(&LevelMapping::y);
  grow(&LevelMapping::temporal);
  return mapping;
}

class Templates : public ::testing::TestWithParam<std::string> {};

TEST_P(Templates, MapEveryOrdinaryLayer) {
  const Architecture architecture = ArchitectureTemplate::load(GetParam()).instantiate();
  double busiest = 0;
  int layers = 0;
  for (const char* network : {"alexnet", "vgg16", "resnet18", "resnet50", "mobilenet_v2", "bert_base"}) {
    for (const RepeatedEinsum& layer : einsums(zoo_network(network).build())) {
      SCOPED_TRACE(std::string(network) + " " + layer.names[0]);
      const CostModel model(layer.einsum, architecture);
      EXPECT_EQ(model.why_invalid(trivial_mapping(layer.einsum, architecture), true), std::nullopt);
      const Mapping mapping = greedy_mapping(model);
      ASSERT_EQ(model.why_invalid(mapping, true), std::nullopt);
      const MappingCost cost = model.evaluate(mapping);
      EXPECT_GT(cost.energy_j, 0);
      busiest = std::max(busiest, cost.macs / cost.compute_cycles / static_cast<double>(architecture.compute.instances()));
      ++layers;
    }
  }
  EXPECT_GT(layers, 80);
  EXPECT_GT(busiest, 0.5) << "no layer comes near to filling the array";
}

INSTANTIATE_TEST_SUITE_P(Hardware, Templates, ::testing::ValuesIn(template_names()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace duet
