#include "estimators/estimator.hpp"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <stdexcept>

#include "core/units.hpp"
#include "tests/estimators/toy.hpp"

namespace duet {
namespace {

using testing::toy_space;

/// Answers with whatever it is given.
class Scripted final : public Estimator {
 public:
  explicit Scripted(std::function<std::vector<Evaluation>()> answer) : answer_(std::move(answer)) {}
  std::span<const Metric> metrics() const override { return metrics_; }
  Fingerprint key(const Design&) const override { return {}; }
  std::vector<Evaluation> estimate(std::span<const Design>, std::stop_token) const override {
    return answer_();
  }

 private:
  std::function<std::vector<Evaluation>()> answer_;
  std::vector<Metric> metrics_{{"first", "1", Direction::minimize, Source::analytical, ""},
                               {"second_s", "s", Direction::minimize, Source::analytical, ""}};
};

Evaluation checked(std::function<std::vector<Evaluation>()> answer) {
  const DesignSpace space = toy_space();
  return estimate_checked(Scripted(std::move(answer)), testing::sampled_design(space, 0));
}

Evaluation with_values(std::vector<double> values) {
  return {Status::ok, "", std::move(values), false, 0};
}

TEST(EstimateChecked, PassesAGoodAnswerOn) {
  const Evaluation evaluation = checked([] { return std::vector{with_values({1, 2})}; });
  EXPECT_EQ(evaluation.status, Status::ok);
  EXPECT_EQ(evaluation.values, (std::vector<double>{1, 2}));
  EXPECT_EQ(evaluation.reason, "");
  EXPECT_GT(evaluation.duration_s, 0);
}

TEST(EstimateChecked, KeepsFailuresAndTimeOuts) {
  Evaluation evaluation = checked([] { return std::vector{Evaluation::failure("too large")}; });
  EXPECT_EQ(evaluation.status, Status::failed);
  EXPECT_EQ(evaluation.reason, "too large");
  evaluation = checked([] { return std::vector{Evaluation::failure("slow", Status::timed_out)}; });
  EXPECT_EQ(evaluation.status, Status::timed_out);
}

TEST(EstimateChecked, MakesAFailureOfAStatusThatThereIsNot) {
  const Evaluation evaluation = checked([] {
    return std::vector{Evaluation{static_cast<Status>(77), "", {1, 2}, false, 0}};
  });
  EXPECT_EQ(evaluation.status, Status::failed);
  EXPECT_EQ(evaluation.reason, "the estimator gave a status that there is not: 77");
}

TEST(EstimateChecked, KeepsReasonsToOneLineOfSomeLength) {
  EXPECT_EQ(checked([] { return std::vector{Evaluation::failure("line 1\nline\t2")}; }).reason, "line 1 line 2");
  std::string longest;
  for (int i = 0; i < 5000; ++i) longest += "ä";
  const std::string reason = checked([&] { return std::vector{Evaluation::failure(longest)}; }).reason;
  EXPECT_EQ(reason, longest.substr(0, 2000) + "…");
  EXPECT_EQ(checked([&] { return std::vector{Evaluation::failure("." + longest)}; }).reason,
            "." + longest.substr(0, 1998) + "…");
}

TEST(EstimateChecked, DropsTheValuesOfAFailure) {
  const Evaluation evaluation = checked([] {
    return std::vector{Evaluation{Status::failed, "", {1, 2}, false, 0}};
  });
  EXPECT_TRUE(evaluation.values.empty());
  EXPECT_EQ(evaluation.reason, "the estimator gave no reason");
}

TEST(EstimateChecked, TurnsEveryBreachIntoAFailure) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<std::pair<std::function<std::vector<Evaluation>()>, std::string>> cases{
      {[&] {
         return std::vector{with_values({1, nan})};
       },
       "metric 'second_s' is not a number"},
      {[&] {
         return std::vector{with_values({-infinity, 1})};
       },
       "metric 'first' is infinite"},
      {[] { return std::vector{with_values({1})}; }, "the estimator gave 1 values for 2 metrics"},
      {[] {
         return std::vector{with_values({1, 2, 3})};
       },
       "the estimator gave 3 values for 2 metrics"},
      {[] { return std::vector<Evaluation>{}; }, "the estimator gave 0 answers for one design"},
      {[] { return std::vector<Evaluation>(2); }, "the estimator gave 2 answers for one design"},
      {[]() -> std::vector<Evaluation> { throw std::runtime_error("broken"); }, "broken"},
      {[]() -> std::vector<Evaluation> { throw std::bad_alloc(); }, "out of memory"},
      {[]() -> std::vector<Evaluation> { throw 42; }, "the estimator failed without saying why"},
  };
  for (const auto& [answer, reason] : cases) {
    const Evaluation evaluation = checked(answer);
    EXPECT_EQ(evaluation.status, Status::failed);
    EXPECT_EQ(evaluation.reason, reason);
    EXPECT_TRUE(evaluation.values.empty());
  }
}

TEST(BuiltinEstimators, DescribeThemselves) {
  Catalog<EstimatorPlugin> catalog("estimator");
  add_builtin_estimators(catalog);
  EXPECT_THAT(catalog.names(),
              ::testing::ElementsAre("analytical", "command", "network_counts", "table", "test_problem", "trained"));
  for (const std::string& name : catalog.names()) {
    const EstimatorPlugin& plugin = catalog.at(name);
    EXPECT_TRUE(plugin.summary.ends_with('.')) << name;
    EXPECT_FALSE(plugin.source.empty()) << name;
    for (const Option& option : plugin.options)
      EXPECT_TRUE(option.sentence.ends_with('.')) << name << option.name;
  }
}

}  // namespace
}  // namespace duet
