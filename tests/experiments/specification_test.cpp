#include "experiments/specification.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.hpp"
#include "tests/experiments/toy_experiment.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;

const std::string valid = R"(name: demo
space:
  p:
    type: parameters
    parameters:
      x: {integer: [0, 9]}
      y: {choice: [a, b]}
estimators:
  - type: toy
objectives: [cost_s, quality]
constraints: [cost_s <= 5ms]
search: {type: nsga2, population: 10}
budget: {trials: 20, time: 2min}
window: 4
initial:
  - {p.x: 3, p.y: b}
)";

Specification read(const std::string& text, const Overrides& overrides = {}) {
  static const Registry registry = testing::toy_registry();
  return read_specification(Config::parse(text, "demo.yaml"), ".", registry, overrides);
}

std::string error_of(const std::string& text) {
  try {
    read(text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

std::string replaced(const std::string& from, const std::string& to) {
  std::string text = valid;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  return text;
}

TEST(Specification, ReadsEverything) {
  const Specification specification = read(valid);
  EXPECT_EQ(specification.name, "demo");
  EXPECT_EQ(specification.output, "demo.db");
  EXPECT_EQ(specification.space->space().size(), 2U);
  ASSERT_EQ(specification.objectives.size(), 2U);
  EXPECT_EQ(specification.objectives[1].direction, Direction::maximize);
  EXPECT_EQ(specification.budget.trials, 20U);
  EXPECT_EQ(specification.budget.time_s, 120.0);
  EXPECT_EQ(specification.window, 4U);
  ASSERT_EQ(specification.initial.size(), 1U);
  EXPECT_EQ(specification.space->space().describe(specification.initial[0]), "p.x=3 p.y=b");
  EXPECT_EQ(specification.objective_values({1.0, 2.0}), (std::vector<double>{1.0, -2.0}));
  EXPECT_EQ(specification.violation({0.004, 0.0}), 0.0);
  EXPECT_GT(specification.violation({0.006, 0.0}), 0.0);
  EXPECT_TRUE(specification.problem().constrained);
}

TEST(Specification, IdentityIgnoresLayoutNameAndBudgetOnly) {
  const std::string identity = read(valid).identity;
  EXPECT_EQ(read(replaced("budget: {trials: 20, time: 2min}", "budget: 40   # more")).identity, identity);
  EXPECT_EQ(read(replaced("name: demo", "name: other\noutput: elsewhere.db")).identity, identity);
  EXPECT_NE(read(replaced("population: 10", "population: 12")).identity, identity);
  EXPECT_NE(read(replaced("window: 4", "window: 5")).identity, identity);
  EXPECT_NE(read(replaced("[0, 9]", "[0, 8]")).identity, identity);
  EXPECT_NE(read(valid + "seed: 3\n").identity, identity);
  // Nor does it matter how the type of an estimator without options is written, or where it runs.
  EXPECT_EQ(read(replaced("  - type: toy", "  - toy")).identity, identity);
  EXPECT_EQ(read(replaced("  - type: toy", "  {type: toy, isolation: none}")).identity, identity);
  EXPECT_NE(read(replaced("  - type: toy", "  {type: toy, expensive: false}")).identity, identity);
}

// Rows hold metrics by position: a file with its metrics in another order is another experiment.
TEST(Specification, IdentityKeepsTheOrderThatRowsDependOn) {
  const auto with_order = [](const std::string& parameters, const std::string& objectives) {
    return read("name: o\nspace: {p: {type: parameters, parameters: {" + parameters +
                "}}}\nestimators: [toy]\nobjectives: {" + objectives + "}\nsearch: random\nbudget: 3\n")
        .identity;
  };
  const std::string x = "x: {integer: [0, 9]}", y = "y: {integer: [0, 9]}";
  const std::string cost = "cost_s: minimize", quality = "quality: maximize";
  const std::string identity = with_order(x + ", " + y, cost + ", " + quality);
  EXPECT_EQ(with_order(x + ", " + y, cost + ", " + quality), identity);
  EXPECT_NE(with_order(y + ", " + x, cost + ", " + quality), identity);
  EXPECT_NE(with_order(x + ", " + y, quality + ", " + cost), identity);
}

TEST(Specification, OverridesTakeTheFilesPlace) {
  Overrides overrides;
  overrides.seed = 5;
  overrides.trials = 7;
  overrides.output = "x.db";
  const Specification specification = read(valid, overrides);
  EXPECT_EQ(specification.seed, 5U);
  EXPECT_EQ(specification.budget.trials, 7U);
  EXPECT_EQ(specification.output, "x.db");
}

TEST(Specification, AnObjectiveMayTurnTheDirection) {
  const Specification specification = read(replaced("[cost_s, quality]", "{cost_s: maximize, quality: maximize}"));
  EXPECT_EQ(specification.objectives[0].direction, Direction::maximize);
}

struct BadCase {
  std::string from, to, message;
};

class BadSpecification : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadSpecification, IsRefusedWithItsPosition) {
  EXPECT_THAT(error_of(replaced(GetParam().from, GetParam().to)), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, BadSpecification,
    ::testing::Values(
        BadCase{"objectives:", "objectivs:", "demo.yaml:10:1: unknown key 'objectivs'; did you mean 'objectives'?"},
        BadCase{"type: toy", "type: toyy", "demo.yaml:9:11: unknown estimator 'toyy'; did you mean 'toy'?"},
        BadCase{"type: toy", "{type: toy, isolation: process}",
                "demo.yaml:9:28: this program cannot start worker processes; the command duet can"},
        BadCase{"type: toy", "{type: toy, isolation: thread}", "demo.yaml:9:28: 'estimators[0].isolation' must be one of none, process"},
        BadCase{"type: toy", "{type: toy, time_limit: 3s}", "demo.yaml:9:29: 'time_limit' needs 'isolation: process'"},
        BadCase{"type: toy", "{type: toy, memory_limit: 9}", "demo.yaml:9:31: 'estimators[0].memory_limit' needs a unit"},
        BadCase{"type: nsga2", "type: nsga", "demo.yaml:12:16: unknown strategy 'nsga'; did you mean 'nsga2'?"},
        BadCase{"population: 10", "population: ten", "demo.yaml:12:35: 'search.population'"},
        BadCase{"population: 10", "population: 1", "demo.yaml:12:35: 'search.population'"},
        BadCase{"[cost_s, quality]", "[cost, quality]", "demo.yaml:10:14: no estimator reports a metric 'cost'"},
        BadCase{"[cost_s, quality]", "[cost_s, cost_s]", "demo.yaml:10:22: objective 'cost_s' is given twice"},
        BadCase{"[cost_s, quality]", "[]", "demo.yaml:10:13: at least one objective is needed"},
        BadCase{"cost_s <= 5ms", "costs <= 5ms", "demo.yaml:11:15: unknown name 'costs'"},
        BadCase{"trials: 20", "trials: 0", "demo.yaml:13:18: 'budget.trials' must be at least 1"},
        BadCase{"time: 2min", "time: 2", "demo.yaml:13:28: 'budget.time' needs a unit"},
        BadCase{"window: 4", "window: 0", "demo.yaml:14:9: 'window' must be"},
        BadCase{"name: demo", "name: trials", "demo.yaml:1:7: the name 'trials' is taken"},
        BadCase{"name: demo", "name: a b", "demo.yaml:1:7: the name 'a b'"},
        BadCase{"p.x: 3", "p.x: 30", "demo.yaml:16:11: 'p.x' cannot be '30'"},
        BadCase{"p.x: 3", "p.z: 3", "demo.yaml:16:11: unknown parameter 'p.z'"},
        BadCase{"{p.x: 3, p.y: b}", "{p.x: 3}", "demo.yaml:16:5: no value for p.y (choice [a, b])"},
        BadCase{"choice: [a, b]", "choice: []", "demo.yaml:7:19: choice 'y' has no options"},
        BadCase{"integer: [0, 9]", "integer: [9, 0]", "demo.yaml:6:20: the minimum is above the maximum"},
        BadCase{"integer: [0, 9]", "intger: [0, 9]", "demo.yaml:6:11: unknown key"},
        BadCase{"type: parameters\n", "type: parametrs\n", "demo.yaml:4:11: unknown space 'parametrs'"},
        BadCase{"type: nsga2, population: 10", "type: regularized_evolution",
                "demo.yaml:12:9: strategy 'regularized_evolution' handles 1 objective"}));

TEST(Specification, AnUnsatisfiableConstraintIsFoundBeforeTheRun) {
  const std::string text = replaced("estimators:", "  constraints: [p.x > 5 and p.x < 4]\nestimators:");
  EXPECT_THAT(error_of(text), HasSubstr("demo.yaml:8:16: no valid design among 10000 drawn at random; the constraint "
                                        "violated most often (10000 times) is 'p.x > 5 and p.x < 4'"));
}

TEST(Specification, TwoEstimatorsWithTheSameMetricAreRefused) {
  EXPECT_THAT(error_of(replaced("  - type: toy\n", "  - type: toy\n  - toy\n")),
              HasSubstr("demo.yaml:10:5: metric 'cost_s' is reported by both 'toy' and 'toy'"));
}

}  // namespace
}  // namespace duet
