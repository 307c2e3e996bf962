#include "experiments/warm_start.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "core/errors.hpp"
#include "core/pareto.hpp"
#include "tests/experiments/toy_experiment.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using testing::run_text;
using ::testing::HasSubstr;

constexpr const char* earlier =
    "name: earlier\n"
    "space: {p: {type: test_problem, problem: zdt1, variables: 3}}\n"
    "estimators: [{type: test_problem, problem: zdt1}]\n"
    "objectives: [f1, f2]\n"
    "search: nsga2\n"
    "budget: 200\n";

class WarmStartTest : public ::testing::Test {
 protected:
  WarmStartTest() { run_text(registry_, earlier, database_); }

  WarmStart read(const Space& space, const std::string& more = "best: 10", std::uint64_t seed = 1) const {
    return read_warm_start(
        Config::parse(fmt::format("{{database: '{}', experiment: earlier, {}}}", database_.string(), more), "exp.yaml"),
        space, {{"f1", Direction::minimize}, {"f2", Direction::minimize}}, seed);
  }

  Registry registry_ = builtin_registry();
  testing::TemporaryDirectory directory_;
  std::filesystem::path database_ = directory_ / "earlier.db";
};

std::vector<SpaceNode> part(std::vector<SpaceNode> nodes) { return {group("p", std::move(nodes))}; }

TEST_F(WarmStartTest, TakesTheBestOfTheSameSpaceAsTheyAre) {
  const Space space(part({real("x1", 0, 1), real("x2", 0, 1), real("x3", 0, 1)}));
  const WarmStart start = read(space);
  ASSERT_EQ(start.designs.size(), 10u);
  EXPECT_EQ(start.dropped, 0u);
  const Store store(database_, Store::Mode::read);
  const ExperimentRecord experiment = store.at("earlier");
  std::vector<std::uint64_t> numbers;
  std::vector<Point> points;
  store.for_each_score(experiment, {0, 1}, [&](std::uint64_t number, std::span<const double> values) {
    numbers.push_back(number);
    points.emplace_back(values.begin(), values.end());
  });
  const std::vector<std::size_t> front = pareto_front(points);
  ASSERT_GE(front.size(), 10u);
  for (const Candidate& design : start.designs) {
    bool on_front = false;
    for (const std::size_t i : front) on_front = on_front || store.trial(experiment, numbers[i])->candidate == design;
    EXPECT_TRUE(on_front) << space.describe(design);
  }
}

TEST_F(WarmStartTest, MapsByPathDrawsWhatIsMissingAndDropsWhatDoesNotFit) {
  // x3 is gone, x2 may be at most 0.3, and there is a new parameter.
  const Space space(part({choice("kind", {"a", "b", "c"}), real("x2", 0, 0.3), real("x1", 0, 1)}));
  const WarmStart start = read(space, "best: 100");
  EXPECT_GT(start.dropped, 0u);
  ASSERT_GT(start.designs.size(), 1u);
  EXPECT_LE(start.designs.size() + start.dropped, 100u);
  std::set<double> kinds;
  for (const Candidate& design : start.designs) {
    EXPECT_FALSE(space.why_invalid(design));
    kinds.insert(design[0]);
  }
  EXPECT_GT(kinds.size(), 1u);
  EXPECT_THAT(start.sentence, HasSubstr("2 of its parameters are in this space, which has 3"));
  EXPECT_THAT(start.sentence, HasSubstr(fmt::format("{} designs are not in this space", start.dropped)));
  EXPECT_EQ(read(space, "best: 100").designs, start.designs);
  EXPECT_NE(read(space, "best: 100", 2).designs, start.designs);
}

TEST_F(WarmStartTest, RefusesWhatIsNotThere) {
  const auto refusal = [&](const std::string& text, const Space& space) -> std::string {
    try {
      read_warm_start(Config::parse(text, "exp.yaml"), space, {}, 1);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  const Space other({real("z", 0, 1)});
  const std::string file = database_.string();
  EXPECT_THAT(refusal("{database: nowhere.db}", other), HasSubstr("exp.yaml:1:12: nowhere.db"));
  EXPECT_THAT(refusal(fmt::format("{{database: '{}', experiment: earlyer}}", file), other), HasSubstr("'earlier'"));
  EXPECT_THAT(refusal(fmt::format("{{database: '{}'}}", file), other),
              HasSubstr("experiment 'earlier' has no parameter in common with this space"));
  EXPECT_THAT(refusal(fmt::format("{{database: '{}', worst: 3}}", file), other), HasSubstr("worst"));
}

TEST_F(WarmStartTest, TheDesignsAreTheFirstTrialsOfTheNewExperiment) {
  const std::string text = fmt::format(
      "name: later\n"
      "space: {{p: {{type: test_problem, problem: zdt1, variables: 3}}}}\n"
      "estimators: [{{type: test_problem, problem: zdt1}}]\n"
      "objectives: [f1, f2]\n"
      "search: {{type: sms_emoa, population: 10, warm_start: {{database: '{}', experiment: earlier, best: 10}}}}\n"
      "budget: 40\n",
      database_.string());
  run_text(registry_, text, directory_ / "later.db");
  {
    const Store store(directory_ / "later.db", Store::Mode::read);
    const ExperimentRecord later = store.at("later");
    const std::vector<TrialRecord> trials = store.trials(later);
    ASSERT_GE(trials.size(), 40u);
    const WarmStart start = read(Space(part({real("x1", 0, 1), real("x2", 0, 1), real("x3", 0, 1)})), "best: 10", 0);
    for (std::size_t i = 0; i < start.designs.size(); ++i) EXPECT_EQ(trials[i].candidate, start.designs[i]);
    EXPECT_FALSE(trials[10].parents.empty()) << "they take the place of random trials";
    EXPECT_THAT(store.notes(later.id), ::testing::Contains(HasSubstr("warm start with 10 of the best 10")));
  }
  // It resumes, as long as the earlier experiment would give the same designs.
  Overrides more;
  more.trials = 60;
  EXPECT_GE(run_text(registry_, text, directory_ / "later.db", {}, more).replayed, 40u);
}

}  // namespace
}  // namespace duet
