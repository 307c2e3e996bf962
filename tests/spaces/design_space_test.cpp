#include "spaces/design_space.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/units.hpp"
#include "tests/spaces/read_space.hpp"

namespace duet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace duet::testing;

constexpr const char* joint = R"(
network: {type: nas_bench_macro}
accelerator: {type: systolic_array}
)";

TEST(DesignSpace, AnyPartsMakeAJointSpace) {
  const DesignSpace space = read_space(joint);
  EXPECT_EQ(space.space().cardinality().exact, 6'561ull * (5u * 5 * 3 * 7 * 7 * 7 * 3 * 5 * 6));
  EXPECT_TRUE(space.has_network());
  EXPECT_TRUE(space.has_accelerator());
  Random random(1, "joint");
  for (int i = 0; i < 1'000; ++i) {
    const Candidate candidate = space.space().sample(random);
    const Design design = space.design(candidate);
    ASSERT_EQ(design.networks().size(), 1u);
    ASSERT_EQ(design.accelerators().size(), 1u);
    EXPECT_EQ(design.networks().at(0).node(design.networks().at(0).output()).shape, (Shape{1, 10}));
    EXPECT_EQ(std::get<SystolicArray>(design.accelerators().at(0)).rows,
              static_cast<std::int64_t>(space.space().number(candidate, "accelerator.rows")));
    EXPECT_EQ(design.candidate(), candidate);
  }
}

TEST(DesignSpace, SeveralNetworksAndAcceleratorsKeepTheirOrder) {
  const DesignSpace space = read_space(
      "big: {type: systolic_array, rows: 64}\n"
      "second: {type: nas_bench_macro}\n"
      "tuning: {type: parameters, parameters: {x: {integer: [0, 9]}}}\n"
      "first: {type: cnn}\n"
      "little: {type: systolic_array, rows: 4}\n");
  Random random(1, "many");
  const Design design = space.design(space.space().sample(random));
  ASSERT_EQ(design.networks().size(), 2u);
  EXPECT_EQ(design.networks()[0].node(0).shape, (Shape{1, 3, 32, 32}));
  EXPECT_EQ(design.networks()[1].node(0).shape, (Shape{1, 1, 28, 28}));
  ASSERT_EQ(design.accelerators().size(), 2u);
  EXPECT_EQ(std::get<SystolicArray>(design.accelerators()[0]).rows, 64);
  EXPECT_EQ(std::get<SystolicArray>(design.accelerators()[1]).rows, 4);
}

/// At most one of two switches, whatever the part is called.
class Switches final : public DesignPart {
 public:
  std::vector<SpaceNode> nodes() const override {
    return {integer("left", 0, 1), group("inner", {integer("right", 0, 1)})};
  }
  std::vector<PartQuantity> quantities() const override {
    return {{"total", "1", "Both together.",
             [](const Assignment& a) { return a.number("left") + a.number("inner.right"); }}};
  }
  std::vector<std::string> constraints() const override { return {"total <= 1", "left + inner.right < 2"}; }
};

TEST(DesignSpace, PartsHaveConstraintsOfTheirOwn) {
  Catalog<SpacePlugin> catalog("space");
  catalog.add({.name = "switches", .summary = "", .source = "", .options = {},
               .create = [](const Options&) { return std::make_unique<Switches>(); }});
  const DesignSpace space = DesignSpace::read(
      Config::parse("first: {type: switches}\ninner: {type: switches}\n", "test.yaml"), catalog);
  int valid = 0;
  for (std::uint64_t rank = 0; rank < 16; ++rank) valid += space.space().valid(space.space().unrank(rank)) ? 1 : 0;
  EXPECT_EQ(valid, 9);
  const Candidate both = space.space().unrank(15);
  EXPECT_THAT(space.space().why_invalid(both).value_or(""), HasSubstr("total (2) <= 1"));
}

TEST(DesignSpace, ConstraintsSpanPartsAndQuantities) {
  const DesignSpace space = read_space(R"(
network: {type: cnn}
accelerator: {type: systolic_array}
derived:
  macs_per_pe: network.macs / accelerator.pe_count
constraints:
  - macs_per_pe <= 4000
  - network.stages != 2 or accelerator.dataflow == "weight_stationary"
  - sum(network.stage*.depth) <= 5
)");
  Random random(1, "constraints");
  int two_stages = 0;
  for (int i = 0; i < 300; ++i) {
    const Candidate candidate = space.space().sample(random);
    const Design design = space.design(candidate);
    const auto& array = std::get<SystolicArray>(design.accelerators().at(0));
    EXPECT_LE(design.networks().at(0).macs(), 4000 * array.rows * array.columns);
    if (space.label(candidate, "network.stages") == "2") {
      ++two_stages;
      EXPECT_EQ(array.dataflow, Dataflow::weight_stationary);
    }
    double blocks = 0;
    for (const std::size_t i_depth : space.space().under("network")) {
      const std::string& path = space.space()[i_depth].path;
      if (path.ends_with(".depth") && candidate.has(i_depth))
        blocks += space.space().number(candidate, i_depth);
    }
    EXPECT_LE(blocks, 5);
  }
  EXPECT_GT(two_stages, 20);
}

TEST(DesignSpace, AConstraintThatNothingSatisfiesIsFoundAtOnce) {
  EXPECT_THAT(refusal("accelerator: {type: systolic_array}\n"
                      "constraints:\n"
                      "  - accelerator.rows >= 4\n"
                      "  - accelerator.pe_count < 16\n"),
              AllOf(StartsWith("space.yaml:3:"), HasSubstr("no valid design among 10000"),
                    HasSubstr("'accelerator.pe_count < 16'")));
}

TEST(DesignSpace, UnknownNamesGetAHint) {
  EXPECT_THAT(refusal("network: {type: nas_bench_202}"),
              AllOf(StartsWith("space.yaml:1:17: "), HasSubstr("did you mean 'nas_bench_201'?")));
  EXPECT_THAT(refusal("accelerator: {type: systolic_array, row: 4}"),
              AllOf(StartsWith("space.yaml:1:37: "), HasSubstr("did you mean 'rows'?")));
  EXPECT_THAT(refusal("accelerator: {type: systolic_array}\nconstraints: accelerator.row <= 4"),
              AllOf(StartsWith("space.yaml:2:14: "), HasSubstr("did you mean 'accelerator.rows'?")));
  EXPECT_THAT(refusal("accelerator: {rows: 4}"),
              AllOf(StartsWith("space.yaml:1:14: "), HasSubstr("needs a type")));
  EXPECT_EQ(refusal("{n: {type: cnn}, constraint: [n.macs < 1]}"),
            "space.yaml:1:18: unknown key 'constraint'; did you mean 'constraints'?");
  EXPECT_THAT(refusal("constraints: []"), HasSubstr("at least one part"));
  EXPECT_THAT(refusal("[]"), HasSubstr("mapping from parts"));
}

TEST(DesignSpace, LabelsAreParametersAndWhatPartsAdd) {
  const DesignSpace space = read_space(joint);
  const std::vector<std::string> names = space.label_names();
  EXPECT_THAT(names, ::testing::IsSupersetOf({"network.layer1", "accelerator.rows", "network.architecture"}));
  EXPECT_EQ(names.size(), space.space().size() + 1);
  Random random(1, "labels");
  const Candidate candidate = space.space().sample(random);
  for (const std::string& name : names) EXPECT_NE(space.label(candidate, name), "") << name;
  EXPECT_EQ(space.label(candidate, "accelerator.rows"),
            shortest(space.space().number(candidate, "accelerator.rows")));
  EXPECT_THROW(
      {
        try {
          space.label(candidate, "network.architectur");
        } catch (const ConfigError& error) {
          EXPECT_THAT(error.what(), HasSubstr("did you mean 'network.architecture'?"));
          throw;
        }
      },
      ConfigError);
}

TEST(DesignSpace, SurvivesCopiesAndMoves) {
  std::optional<DesignSpace> original(
      read_space(std::string(joint) + "constraints: accelerator.pe_count <= 64"));
  const DesignSpace copy = *original;
  DesignSpace moved = std::move(*original);
  original.reset();
  Random a(3, "copies"), b(3, "copies");
  for (int i = 0; i < 50; ++i) {
    const Candidate candidate = copy.space().sample(a);
    EXPECT_EQ(moved.space().sample(b), candidate);
    EXPECT_EQ(moved.label(candidate, "network.architecture"), copy.label(candidate, "network.architecture"));
    EXPECT_EQ(moved.design(candidate).networks(), copy.design(candidate).networks());
  }
}

TEST(DesignSpace, DesignsAreBuiltOnce) {
  const DesignSpace space = read_space(joint);
  Random random(1, "once");
  const Design design = space.design(space.space().sample(random));
  EXPECT_EQ(&design.networks(), &design.networks());
  EXPECT_EQ(&design.accelerators(), &design.accelerators());
  EXPECT_EQ(&design.design_space(), &space);
}

TEST(Assignment, ReadsOnlyItsPart) {
  const DesignSpace space = read_space(
      "one: {type: systolic_array, rows: 4}\n"
      "two: {type: cnn, stages: [1, 2]}\n");
  const Candidate candidate = space.space().unrank(0);
  const Assignment one(space.space(), candidate, "one"), two(space.space(), candidate, "two");
  EXPECT_EQ(one.integer("rows"), 4);
  EXPECT_EQ(one.option("dataflow"), "output_stationary");
  EXPECT_FALSE(one.has("stages"));
  EXPECT_EQ(two.number("stages"), 1);
  EXPECT_FALSE(two.has("stage2.width"));  // inactive
  EXPECT_THROW(two.number("stage2.width"), std::out_of_range);
  EXPECT_THROW(two.option("rows"), std::out_of_range);
}

TEST(BuiltinSpaces, DescribeThemselves) {
  Catalog<SpacePlugin> catalog("space");
  add_builtin_spaces(catalog);
  for (const char* name : {"architecture_template", "cnn", "dag", "darts", "fbnet", "nas_bench_101", "nas_bench_201",
                           "nas_bench_macro", "network_template", "parameters", "systolic_array", "test_problem",
                           "training_recipe", "zoo"}) {
    EXPECT_THAT(catalog.names(), ::testing::Contains(name));
  }
  for (const std::string& name : catalog.names()) {
    const SpacePlugin& plugin = catalog.at(name);
    EXPECT_EQ(plugin.name, name);
    EXPECT_TRUE(plugin.summary.ends_with('.')) << name;
    for (const Option& option : plugin.options) EXPECT_TRUE(option.sentence.ends_with('.')) << option.name;
  }
}

}  // namespace
}  // namespace duet
