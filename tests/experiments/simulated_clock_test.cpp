// The simulated clock: summed over trials, a budget, the same for every run.

#include "experiments/simulated_clock.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>

#include "core/errors.hpp"
#include "tests/experiments/toy_experiment.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;
using testing::reproducible_csv;
using testing::run_text;

/// 64 designs, of which one in eight is not in the table; each takes as many hours as its row says.
class SimulatedClockTest : public ::testing::Test {
 protected:
  SimulatedClockTest() {
    std::string csv = "k,v,hours\n";
    for (int x = 0; x < 8; ++x) {
      for (int y = 1; y < 8; ++y) csv += fmt::format("{}-{},{},{}\n", x, y, x * y, 0.5 + x);
    }
    testing::write_file(folder_ / "t.csv", csv);
  }
  std::string text(const std::string& budget, int window, const std::string& strategy = "random") const {
    return fmt::format(
        "name: clock\nseed: 3\nspace: {{p: {{type: parameters, parameters: {{x: {{integer: [0, 7]}}, y: {{integer: [0, 7]}}}}}}}}\n"
        "estimators:\n  - type: table\n    file: {}\n    key: '{{p.x}}-{{p.y}}'\n    key_column: k\n"
        "    metrics: {{v: {{unit: '1', direction: maximize}}}}\n    clock: {{column: hours, unit: h}}\n"
        "objectives: v\nsearch: {}\nbudget: {}\nwindow: {}\n",
        (folder_ / "t.csv").string(), strategy, budget, window);
  }
  /// Column of the reproducible CSV.
  static std::vector<std::string> column(const std::string& csv, const std::string& name) {
    std::istringstream lines(csv);
    std::vector<std::string> values;
    std::optional<std::size_t> at;
    for (std::string line; std::getline(lines, line);) {
      std::vector<std::string> cells;
      std::istringstream fields(line);
      for (std::string cell; std::getline(fields, cell, ',');) cells.push_back(cell);
      if (!at) {
        at = static_cast<std::size_t>(std::find(cells.begin(), cells.end(), name) - cells.begin());
        EXPECT_LT(*at, cells.size()) << "no column " << name;
        continue;
      }
      values.push_back(*at < cells.size() ? cells[*at] : "");
    }
    return values;
  }
  const testing::TemporaryDirectory folder_;
  const Registry registry_ = builtin_registry();
};

TEST_F(SimulatedClockTest, EndsTheRunWhenTheTrialsHaveCostThatMuch) {
  const RunSummary summary = run_text(registry_, text("{simulated_time: 20h}", 1), folder_ / "a.db");
  EXPECT_EQ(summary.end, RunSummary::End::budget);
  EXPECT_EQ(summary.sentence, "the budget of 20 h of simulated time is spent");
  ASSERT_TRUE(summary.simulated_s);
  EXPECT_GE(*summary.simulated_s, 72'000);

  // By hand: the sum of what each ok trial cost, in number order, and it ends with the first that reaches 20 h.
  const std::string csv = reproducible_csv(folder_ / "a.db");
  const std::vector<std::string> x = column(csv, "p.x"), status = column(csv, "status"), total = column(csv, "simulated_total_s");
  double hours = 0;
  bool failed = false;
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_LT(hours, 20) << "trial " << i + 1 << " should not be there";
    if (status[i] == "ok") hours += 0.5 + std::stod(x[i]);
    failed = failed || status[i] == "failed";
    EXPECT_EQ(std::stod(total[i]), hours * 3600);
  }
  EXPECT_GE(hours, 20);
  EXPECT_TRUE(failed) << "some trial should have cost nothing";
  EXPECT_EQ(*summary.simulated_s, hours * 3600);
}

TEST_F(SimulatedClockTest, IsTheSameForAnyNumberOfWorkers) {
  for (const char* strategy : {"random", "regularized_evolution"}) {
    std::string first;
    for (const std::size_t workers : {1U, 2U, 5U}) {
      const auto file = folder_ / fmt::format("{}{}.db", strategy, workers);
      run_text(registry_, text("{simulated_time: 60h}", 5, strategy), file, {.workers = workers});
      const std::string csv = reproducible_csv(file);
      if (first.empty()) first = csv;
      EXPECT_EQ(csv, first);
    }
  }
}

TEST_F(SimulatedClockTest, ALargerBudgetGoesOnWhereItStopped) {
  run_text(registry_, text("{simulated_time: 60h}", 3, "regularized_evolution"), folder_ / "whole.db");
  for (const char* hours : {"5h", "20h", "60h"}) {
    run_text(registry_, text(fmt::format("{{simulated_time: {}}}", hours), 3, "regularized_evolution"), folder_ / "parts.db");
  }
  EXPECT_EQ(reproducible_csv(folder_ / "parts.db"), reproducible_csv(folder_ / "whole.db"));
}

TEST_F(SimulatedClockTest, TrialsMayEndItFirst) {
  const RunSummary summary = run_text(registry_, text("{trials: 3, simulated_time: 1000h}", 1), folder_ / "a.db");
  EXPECT_EQ(summary.sentence, "the budget of 3 trials is spent");
  EXPECT_EQ(summary.originals, 3U);
}

TEST_F(SimulatedClockTest, AnExhaustedSpaceEndsIt) {
  const RunSummary summary = run_text(registry_, text("{simulated_time: 10000h}", 4), folder_ / "a.db");
  EXPECT_EQ(summary.end, RunSummary::End::exhausted);
  EXPECT_EQ(*summary.simulated_s, 3600 * 7 * (8 * 0.5 + 28));
}

TEST_F(SimulatedClockTest, NeedsAnEstimatorThatReportsIt) {
  const auto error = [&](const std::string& wrong) -> std::string {
    try {
      run_text(registry_, wrong, folder_ / "b.db");
    } catch (const ConfigError& thrown) {
      return thrown.what();
    }
    return "";
  };
  std::string none = text("{simulated_time: 10h}", 1);
  const std::string clock = "    clock: {column: hours, unit: h}\n";
  none.erase(none.find(clock), clock.size());
  EXPECT_EQ(error(none),
            "toy.yaml:12:26: no estimator reports 'simulated_s' in s; the option 'clock' of table does");
  EXPECT_THAT(error(text("{simulated_time: 0h}", 1)), HasSubstr("greater than 0"));
  EXPECT_THAT(error(text("{simulated_time: 10}", 1)), HasSubstr("needs a unit"));
  EXPECT_THAT(error(text("{}", 1)), HasSubstr("trials"));
}

TEST(SimulatedClock, WithoutTheMetricStandsStill) {
  SimulatedClock clock({});
  EXPECT_FALSE(clock.exists());
  EXPECT_EQ(clock.tell({}), 0);
}

}  // namespace
}  // namespace duet
