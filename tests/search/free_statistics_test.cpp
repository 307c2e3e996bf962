#include "search/free_statistics.hpp"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

#include "search/model_based.hpp"
#include "tests/contracts/strategy_contract.hpp"

namespace duet {
namespace {

Space with_quantities() {
  Space space({integer("size", 1, 9), choice("kind", {"a", "b"}), real("rate", 0, 1)});
  const auto add = [&](const std::string& name, std::function<double(const Candidate&)> compute) {
    space.add_derived({name, "1", "", std::move(compute)});
  };
  add("square", [](const Candidate& c) { return c[0] * c[0]; });
  add("cube", [](const Candidate& c) { return 1e300 * c[0] * c[0] * c[0]; });  // the same order
  add("one", [](const Candidate&) { return 1.0; });
  add("sometimes", [](const Candidate& c) { return c[1] == 0 ? c[2] : std::numeric_limits<double>::quiet_NaN(); });
  add("huge", [](const Candidate& c) {
    return c[1] == 0 ? (2 * c[2] - 1) * 1.7e308 : std::numeric_limits<double>::infinity();
  });
  add("never", [](const Candidate&) { return std::numeric_limits<double>::quiet_NaN(); });
  return space;
}

Problem problem_of(const Space& space, std::uint64_t seed) {
  Problem problem;
  problem.space = &space;
  problem.objectives = {"cost"};
  problem.seed = seed;
  return problem;
}

Candidate candidate_of(double size, double kind, double rate) {
  Candidate candidate(3);
  candidate.set(0, size);
  candidate.set(1, kind);
  candidate.set(2, rate);
  return candidate;
}

TEST(FreeStatistics, KeepWhatTellsDesignsApartAndNothingTwice) {
  const Space space = with_quantities();
  const FreeStatistics statistics(problem_of(space, 1), 200);
  ASSERT_EQ(statistics.size(), 2U);  // square and sometimes; huge orders designs like the latter
  EXPECT_EQ(statistics.designs().size(), 200U);
  const std::vector<learn::Column> columns = statistics.columns();
  EXPECT_EQ(columns[0].categories, 0U);
  EXPECT_FALSE(columns[0].optional);
  EXPECT_TRUE(columns[1].optional);
}

TEST(FreeStatistics, ArePositionsAmongTheDesignsDrawn) {
  const Space space = with_quantities();
  const FreeStatistics statistics(problem_of(space, 1), 2000);
  double last = -1;
  for (int size = 1; size <= 9; ++size) {
    std::vector<double> row;
    statistics.append(candidate_of(size, 0, 0.25), row);
    ASSERT_EQ(row.size(), 2U);
    EXPECT_NEAR(row[0], (size - 0.5) / 9, 0.03);
    EXPECT_GT(row[0], last);
    EXPECT_NEAR(row[1], 0.25, 0.04);
    last = row[0];
    row.clear();
    statistics.append(candidate_of(size, 1, 0.25), row);
    EXPECT_TRUE(std::isnan(row[1]));
  }
  // Beyond what was drawn they go on, but not far.
  std::vector<double> lowest, highest;
  const FreeStatistics few(problem_of(space, 1), 5);
  few.append(candidate_of(1, 0, 0), lowest);
  few.append(candidate_of(9, 0, 1), highest);
  for (std::size_t k = 0; k < few.size(); ++k) {
    EXPECT_GE(lowest[k], -0.5);
    EXPECT_LE(highest[k], 1.5);
    EXPECT_LT(lowest[k], highest[k]);
  }
}

TEST(FreeStatistics, AreStandardisedForNetworks) {
  const Space space = with_quantities();
  const FreeStatistics statistics(problem_of(space, 1), 1000);
  const learn::Rows rows = statistics.standardised();
  ASSERT_EQ(rows.size(), 1000U);
  double mean = 0, squares = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    mean += rows[i][0] / 1000;
    squares += rows[i][0] * rows[i][0] / 1000;
    EXPECT_FALSE(std::isnan(rows[i][1]));
  }
  EXPECT_NEAR(mean, 0, 0.01);
  EXPECT_NEAR(squares, 1, 0.05);
}

TEST(FreeStatistics, AreKeyedByTheSeedAndAbsentWithoutQuantities) {
  const Space space = with_quantities();
  const FreeStatistics one(problem_of(space, 1), 20), same(problem_of(space, 1), 20), other(problem_of(space, 2), 20);
  EXPECT_TRUE(one.designs() == same.designs());
  EXPECT_FALSE(one.designs() == other.designs());
  const Space plain({integer("size", 1, 9)});
  const FreeStatistics none(problem_of(plain, 1), 20), off(problem_of(space, 1), 0);
  for (const FreeStatistics* statistics : {&none, &off}) {
    EXPECT_EQ(statistics->size(), 0U);
    EXPECT_TRUE(statistics->designs().empty());
  }
  EXPECT_EQ(SpaceRows(space).columns().size(), 3U);
  EXPECT_EQ(SpaceRows(space, one).columns().size(), 3U + one.size());
}

/// A problem of the contract's in a space with quantities that are useful, useless, absent and infinite.
contracts::TestProblem with_statistics(contracts::TestProblem problem) {
  auto space = std::make_shared<Space>(*problem.space);
  const auto first = [](const Candidate& c) {
    for (std::size_t i = 0; i < c.size(); ++i) {
      if (c.has(i)) return c[i];
    }
    return 0.0;
  };
  space->add_derived({"first", "1", "", first});
  space->add_derived({"last", "1", "", [](const Candidate& c) { return c.size() == 0 ? 0 : c[c.size() - 1]; }});
  space->add_derived({"inverse", "1", "", [first](const Candidate& c) { return 1 / first(c); }});
  problem.space = space;
  return problem;
}

TEST(FreeStatistics, LetRunsBeReplayedAndSplitUp) {
  Catalog<StrategyPlugin> catalog("strategy");
  add_builtin_strategies(catalog);
  for (const std::string name : {"gp_ei", "gp_ehvi", "parego", "smac", "boshnas", "linas", "linas network"}) {
    const StrategyPlugin& plugin = catalog.at(name.substr(0, name.find(' ')));
    for (const char* problem_name : {"metric_constraint", "conditional"}) {
      const contracts::TestProblem problem = with_statistics(contracts::test_problem(problem_name));
      contracts::DriveSettings settings;
      settings.trials = name.starts_with("linas") ? 36 : 24;
      settings.window = 3;
      const std::string first = name == "linas network" ? "{predictor: network, initial: 12, " : "{";
      settings.options = first + "pretrain: 64}";
      contracts::StrategyDriver whole(plugin, problem, settings);
      settings.one_by_one = true;
      contracts::StrategyDriver single(plugin, problem, settings);
      settings.options = first + "pretrain: 0}";
      contracts::StrategyDriver without(plugin, problem, settings);
      whole.run();
      single.run();
      without.run();
      EXPECT_THAT(whole.breaches(), ::testing::IsEmpty());
      ASSERT_EQ(whole.trials().size(), single.trials().size());
      bool differ = false;
      for (std::size_t i = 0; i < whole.trials().size(); ++i) {
        ASSERT_EQ(whole.trials()[i].proposal.candidate, single.trials()[i].proposal.candidate) << name << problem_name;
        differ = differ || i >= without.trials().size() ||
                 !(whole.trials()[i].proposal.candidate == without.trials()[i].proposal.candidate);
      }
      EXPECT_TRUE(differ) << name << " makes no use of what it is given on " << problem_name;
    }
  }
}

}  // namespace
}  // namespace duet
