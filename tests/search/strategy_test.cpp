#include "search/strategy.hpp"

#include <filesystem>

#include <gtest/gtest.h>

#include "tests/testing.hpp"

namespace duet {
namespace {

class WhyUnsuitable : public ::testing::Test {
 protected:
  WhyUnsuitable() {
    plugin_.name = "example";
    problem_.space = &space_;
    problem_.objectives = {"accuracy"};
  }

  Space space_{{integer("depth", 1, 4),
                choice("op", std::vector<OptionNode>{{"conv", {integer("kernel", 1, 7)}}, {"skip", {}}}),
                real("rate", 0, 1)}};
  StrategyPlugin plugin_;
  Problem problem_;
};

TEST_F(WhyUnsuitable, NothingIfTheStrategyCanHandleIt) {
  EXPECT_EQ(why_unsuitable(plugin_, problem_), std::nullopt);
  plugin_.capabilities = {.max_objectives = 2, .constraints = true};
  problem_.objectives = {"accuracy", "latency_s"};
  problem_.constrained = true;
  EXPECT_EQ(why_unsuitable(plugin_, problem_), std::nullopt);
}

TEST_F(WhyUnsuitable, TooManyObjectives) {
  problem_.objectives = {"accuracy", "latency_s"};
  EXPECT_EQ(why_unsuitable(plugin_, problem_),
            "strategy 'example' handles 1 objective, not 2 (accuracy, latency_s)");
  plugin_.capabilities.max_objectives = 2;
  problem_.objectives.push_back("energy_j");
  EXPECT_EQ(why_unsuitable(plugin_, problem_),
            "strategy 'example' handles at most 2 objectives, not 3 (accuracy, latency_s, energy_j)");
}

TEST_F(WhyUnsuitable, Constraints) {
  problem_.constrained = true;
  EXPECT_EQ(why_unsuitable(plugin_, problem_), "strategy 'example' does not handle constraints on metrics");
}

TEST_F(WhyUnsuitable, RealParameters) {
  plugin_.capabilities.reals = false;
  EXPECT_EQ(why_unsuitable(plugin_, problem_),
            "strategy 'example' does not handle real parameters such as 'rate'");
}

TEST_F(WhyUnsuitable, ConditionalParameters) {
  plugin_.capabilities.conditional = false;
  EXPECT_EQ(
      why_unsuitable(plugin_, problem_),
      "strategy 'example' does not handle conditional parameters such as 'op.conv.kernel', which exists for some "
      "values of 'op' only");
}

TEST(BuiltinStrategies, StandInTheCatalogUnderTheNamesOfTheirFiles) {
  Catalog<StrategyPlugin> catalog("strategy");
  add_builtin_strategies(catalog);
  EXPECT_GT(catalog.names().size(), 15U);
  for (const std::string& name : catalog.names()) {
    EXPECT_TRUE(std::filesystem::exists(testing::source_root() / "search" / (name + ".cpp"))) << name;
  }
}

}  // namespace
}  // namespace duet
