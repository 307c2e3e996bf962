#include "tests/contracts/estimator_contract.hpp"

#include <atomic>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <stdexcept>

#include "core/errors.hpp"
#include "tests/testing.hpp"

namespace duet::contracts {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

DesignSpace read_space(const std::string& yaml) {
  Catalog<SpacePlugin> catalog("space");
  add_builtin_spaces(catalog);
  return DesignSpace::read(Config::parse(yaml, "space.yaml"), catalog);
}

Catalog<EstimatorPlugin> builtin_estimators() {
  Catalog<EstimatorPlugin> catalog("estimator");
  add_builtin_estimators(catalog);
  return catalog;
}

// --- Every estimator of the catalog
// ----------------------------------------------------------------------------------

/// What an estimator is tried on.
struct Case {
  std::string space;
  std::string options = "{}";
  EstimatorCheckSettings settings = {};
};

constexpr const char* joint =
    "network: {type: nas_bench_201, input: [1, 28, 28], channels: 4, cells: 1}\n"
    "accelerator: {type: systolic_array, rows: [4, 8], columns: [4, 8]}\n";
constexpr const char* plain =
    "p: {type: parameters, parameters: {a: {choice: [x, y]}, n: {integer: [1, 4]}}}";

const std::map<std::string, Case>& cases() {
  static const std::map<std::string, Case> all{
      {"analytical", {joint}},
      {"network_counts", {joint}},
      // Has rows for some of the designs only.
      {"table",
       {plain,
        "{file: t.csv, key: '{p.a}{p.n}', key_column: k, metrics: {v: {unit: ms, direction: minimize}}}",
        {.designs = 20}}},
      {"command",
       {plain,
        "{command: ./sim.sh, metrics: {v: {unit: '1', direction: minimize}}}",
        {.designs = 3, .threads = 2}}},
      {"test_problem", {"x: {type: test_problem, problem: dtlz2}", "{problem: dtlz2, noise: 0.1}"}},
      {"trained",
       {joint, "{train_images: 128, validation_images: 64, epochs: 1}", {.designs = 2, .threads = 2}}},
  };
  return all;
}

class BuiltinEstimator : public ::testing::TestWithParam<std::string> {};

TEST_P(BuiltinEstimator, KeepsTheContract) {
  ASSERT_TRUE(cases().contains(GetParam())) << "a new estimator needs a line in cases()";
  const Case& one = cases().at(GetParam());
  const testing::TemporaryDirectory folder;
  testing::write_file(folder / "t.csv", "k,v\nx1,1\nx2,2.5\ny3,\n");
  testing::write_file(folder / "sim.sh", "#!/bin/sh\ncksum | sed 's/ .*/}}/; s/^/{\"metrics\":{\"v\":/'\n");
  std::filesystem::permissions(folder / "sim.sh", std::filesystem::perms::owner_all);

  const Catalog<EstimatorPlugin> catalog = builtin_estimators();
  const EstimatorPlugin& plugin = catalog.at(GetParam());
  const DesignSpace space = read_space(one.space);
  const Environment environment{1, folder.path(), &space};
  const Options options =
      Options::read(Config::parse(one.options, "options"), plugin.options, "estimator " + plugin.name);
  if (GetParam() == "trained") {
    try {
      plugin.create(options, environment);
    } catch (const ConfigError& error) {
      GTEST_SKIP() << error.what();
    }
  }
  expect_estimator_contract(plugin, options, environment, one.settings);
}

INSTANTIATE_TEST_SUITE_P(Catalog, BuiltinEstimator, ::testing::ValuesIn(builtin_estimators().names()),
                         [](const auto& instance) { return instance.param; });

// --- The checks themselves
// -------------------------------------------------------------------------------------------

/// An estimator that breaks one rule.
struct Behaviour {
  std::vector<Metric> metrics{{"v", "s", Direction::minimize, Source::analytical, ""}};
  std::function<Fingerprint(const Design&)> key = [](const Design& design) {
    return design.space().fingerprint(design.candidate());
  };
  std::function<std::vector<Evaluation>(std::span<const Design>)> estimate =
      [](std::span<const Design> designs) { return good(designs); };

  static std::vector<Evaluation> good(std::span<const Design> designs) {
    std::vector<Evaluation> results;
    for (const Design& design : designs) {
      const double n = design.candidate().has(1) ? design.candidate()[1] : 0;
      results.push_back({Status::ok, "", {n}, false, 0});
    }
    return results;
  }
};

class Breaking final : public Estimator {
 public:
  explicit Breaking(Behaviour behaviour) : behaviour_(std::move(behaviour)) {}
  std::span<const Metric> metrics() const override { return behaviour_.metrics; }
  Fingerprint key(const Design& design) const override { return behaviour_.key(design); }
  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token) const override {
    return behaviour_.estimate(designs);
  }

 private:
  Behaviour behaviour_;
};

std::vector<std::string> breaches_of(const Behaviour& behaviour) {
  const DesignSpace space = read_space(plain);
  EstimatorPlugin plugin;
  plugin.name = "breaking";
  plugin.create = [&](const Options&, const Environment&) { return std::make_unique<Breaking>(behaviour); };
  return estimator_breaches(plugin, Options(), {1, ".", &space});
}

TEST(EstimatorContract, AcceptsAGoodEstimator) {
  EXPECT_THAT(breaches_of({}), IsEmpty());
}

TEST(EstimatorContract, FindsBadMetrics) {
  Behaviour behaviour;
  behaviour.metrics.clear();
  EXPECT_THAT(breaches_of(behaviour), Contains("metrics() is empty"));
  behaviour = {};
  behaviour.metrics.push_back(behaviour.metrics.front());
  EXPECT_THAT(breaches_of(behaviour), Contains("two metrics are named 'v'"));
  behaviour = {};
  behaviour.metrics[0].unit = "ms";
  EXPECT_THAT(breaches_of(behaviour), Contains("metric 'v' has the unknown unit 'ms'"));
}

TEST(EstimatorContract, FindsBadAnswers) {
  Behaviour behaviour;
  behaviour.estimate = [](std::span<const Design> designs) {
    return std::vector<Evaluation>(designs.size(), Evaluation::failure(""));
  };
  EXPECT_THAT(breaches_of(behaviour), Contains("a failure has no reason"));
  behaviour.estimate = [](std::span<const Design> designs) {
    return std::vector<Evaluation>(designs.size(), {Status::ok, "", {std::nan("")}, false, 0});
  };
  EXPECT_THAT(breaches_of(behaviour), Contains("metric 'v' is not finite"));
  behaviour.estimate = [](std::span<const Design>) {
    return std::vector<Evaluation>(1, Evaluation::failure("x"));
  };
  EXPECT_THAT(breaches_of(behaviour), Contains("estimate() in a batch gives 1 results for 9 designs"));
  behaviour.estimate = [](std::span<const Design> designs) {
    for (const Design& design : designs) {
      if (!design.candidate().has(0)) throw std::out_of_range("no value");
    }
    return Behaviour::good(designs);
  };
  EXPECT_THAT(breaches_of(behaviour), Contains("estimate() of a design without any value throws: no value"));
}

TEST(EstimatorContract, IsNotContentWithFailuresOnly) {
  Behaviour behaviour;
  behaviour.estimate = [](std::span<const Design> designs) {
    return std::vector<Evaluation>(designs.size(), Evaluation::failure("no licence"));
  };
  EXPECT_THAT(breaches_of(behaviour),
              Contains("no design could be scored, which checks nothing (no licence); is this the space for it?"));
}

TEST(EstimatorContract, FindsWhatConcernsTheWholeProcess) {
  Behaviour behaviour;
  behaviour.estimate = [](std::span<const Design> designs) {
    std::filesystem::current_path("/");
    return Behaviour::good(designs);
  };
  EXPECT_THAT(breaches_of(behaviour), Contains("it changes the working folder of the process"));
}

TEST(EstimatorContract, FindsMoods) {
  const auto calls = std::make_shared<std::atomic<int>>(0);
  Behaviour behaviour;
  behaviour.estimate = [calls](std::span<const Design> designs) {
    std::vector<Evaluation> results = Behaviour::good(designs);
    const double call = ++*calls;
    for (Evaluation& result : results) result.values[0] += call;
    return results;
  };
  EXPECT_THAT(breaches_of(behaviour), Contains("another result for the same design a second time"));
  behaviour.metrics[0].source = Source::measured;
  EXPECT_THAT(breaches_of(behaviour), IsEmpty()) << "measurements may differ";
}

TEST(EstimatorContract, FindsAnswersThatDependOnTheBatch) {
  Behaviour behaviour;
  behaviour.estimate = [](std::span<const Design> designs) {
    std::vector<Evaluation> results = Behaviour::good(designs);
    for (Evaluation& result : results) result.values[0] += static_cast<double>(designs.size());
    return results;
  };
  EXPECT_THAT(breaches_of(behaviour), Contains("another result for the same design alone"));
}

TEST(EstimatorContract, FindsKeysThatForgetSomething) {
  Behaviour behaviour;
  behaviour.key = [](const Design&) { return Fingerprint{}; };
  EXPECT_THAT(breaches_of(behaviour), Contains("equal keys but other results"));
}

}  // namespace
}  // namespace duet::contracts
