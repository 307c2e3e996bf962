#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/spaces/read_space.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace duet::testing;

constexpr const char* tree = R"(
tuning:
  type: parameters
  parameters:
    optimizer:
      choice:
        sgd: {momentum: {real: [0, 0.99]}}
        adam:
    learning_rate: {real: [1e-4, 1e-1], log: true, description: Step size.}
    batch: {ordinal: [16, 32, 64]}
    layer:
      repeat: {layers: {integer: [1, 3]}}
      of: {units: {integer: [8, 256], log: true}}
    buffer: {ordinal: [8KiB, 64KiB], unit: B}
)";

TEST(Parameters, CompilesTheUsersTree) {
  const DesignSpace space = read_space(tree);
  EXPECT_EQ(space.space().paths(),
            (std::vector<std::string>{"tuning.optimizer", "tuning.optimizer.sgd.momentum", "tuning.learning_rate",
                                      "tuning.batch", "tuning.layers", "tuning.layer1.units",
                                      "tuning.layer2.units", "tuning.layer3.units", "tuning.buffer"}));
  EXPECT_FALSE(space.has_network());
  EXPECT_FALSE(space.has_accelerator());
  EXPECT_FALSE(space.space().cardinality().finite);
  const Parameter& rate = space.space()[space.space().at("tuning.learning_rate")];
  EXPECT_TRUE(rate.logarithmic);
  EXPECT_EQ(rate.description, "Step size.");
}

TEST(Parameters, RandomCandidatesAreValidAndMeanNoDesign) {
  const DesignSpace space = read_space(tree);
  Random random(1, "parameters");
  for (int i = 0; i < 1'000; ++i) {
    const Candidate candidate = space.space().sample(random);
    EXPECT_EQ(space.space().why_invalid(candidate), std::nullopt);
    const Design design = space.design(candidate);
    EXPECT_TRUE(design.networks().empty());
    EXPECT_TRUE(design.accelerators().empty());
  }
}

TEST(Parameters, ValuesAreLabels) {
  const DesignSpace space = read_space(tree);
  const Candidate candidate = read_candidate(
      space,
      "tuning: {optimizer: adam, learning_rate: 0.01, batch: 32, layers: 1, layer1.units: 8, buffer: 64KiB}");
  EXPECT_EQ(space.label(candidate, "tuning.optimizer"), "adam");
  EXPECT_EQ(space.label(candidate, "tuning.optimizer.sgd.momentum"), "");
  EXPECT_EQ(space.label(candidate, "tuning.learning_rate"), "0.01");
  EXPECT_EQ(space.label(candidate, "tuning.buffer"), "65536");
}

TEST(Parameters, RefusesMissingAndBrokenTrees) {
  EXPECT_THAT(testing::refusal("tuning: {type: parameters}"), HasSubstr("parameters"));
  EXPECT_THAT(testing::refusal("tuning: {type: parameters, parameters: {}}"), HasSubstr("at least one parameter"));
  EXPECT_THAT(testing::refusal("tuning: {type: parameters, parameters: {x: {integer: [4, 1]}}}"),
              StartsWith("space.yaml:1:54: the minimum is above the maximum"));
  EXPECT_THAT(testing::refusal("tuning: {type: parameters, parameters: {x: {choice: []}}}"), HasSubstr("no options"));
  EXPECT_THAT(testing::refusal("tuning: {type: parameters, parameters: {x: {intger: [1, 4]}}}"),
              HasSubstr("did you mean 'integer'?"));
  EXPECT_THAT(testing::refusal("tuning: {type: parameters, parameters: {2x: {integer: [1, 4]}}}"),
              HasSubstr("not an identifier"));
}

}  // namespace
}  // namespace duet
