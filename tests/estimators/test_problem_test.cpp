#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.hpp"
#include "estimators/estimator.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;

struct Fixture {
  Catalog<SpacePlugin> spaces{"space"};
  Catalog<EstimatorPlugin> estimators{"estimator"};
  std::unique_ptr<DesignSpace> space;
  std::unique_ptr<Estimator> estimator;

  Fixture(const std::string& space_text, const std::string& options, std::uint64_t seed = 1) {
    add_builtin_spaces(spaces);
    add_builtin_estimators(estimators);
    space = std::make_unique<DesignSpace>(DesignSpace::read(Config::parse(space_text, "space"), spaces));
    const EstimatorPlugin& plugin = estimators.at("test_problem");
    estimator = plugin.create(Options::read(Config::parse(options, "options"), plugin.options, "estimator"),
                              {seed, ".", space.get()});
  }

  std::vector<double> score(const std::string& design) const {
    const Candidate candidate = space->space().read_candidate(Config::parse(design, "design"));
    return estimate_checked(*estimator, space->design(candidate)).values;
  }
};

std::string refusal(const std::string& space, const std::string& options) {
  try {
    const Fixture fixture(space, options);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(TestProblemEstimator, ScoresTheSpaceOfTheSameName) {
  const Fixture fixture("x: {type: test_problem, problem: c2_dtlz2, variables: 3}", "{problem: c2_dtlz2}");
  ASSERT_EQ(fixture.estimator->metrics().size(), 4u);
  EXPECT_EQ(fixture.estimator->metrics()[0].name, "f1");
  EXPECT_EQ(fixture.estimator->metrics()[3].name, "g1");
  const std::vector<double> values = fixture.score("{x.x1: 0, x.x2: 0, x.x3: 0.5}");
  ASSERT_EQ(values.size(), 4u);
  EXPECT_DOUBLE_EQ(values[0], 1);
  EXPECT_DOUBLE_EQ(values[3], -0.16);
}

TEST(TestProblemEstimator, ScoresPlainParametersToo) {
  const Fixture fixture("{a: {type: parameters, parameters: {u: {real: [0, 1]}, v: {real: [0, 1]}}},"
                        " b: {type: parameters, parameters: {w: {integer: [1, 9]}}}}",
                        "{problem: zdt1, part: a}");
  const std::vector<double> values = fixture.score("{a.u: 0.25, a.v: 0, b.w: 3}");
  EXPECT_DOUBLE_EQ(values.at(0), 0.25);
  EXPECT_DOUBLE_EQ(values.at(1), 0.5);
}

TEST(TestProblemEstimator, NoiseBelongsToDesignAndSeedAndShrinksWithReplicates) {
  const std::string space = "x: {type: test_problem, problem: sphere, variables: 1}";
  double one = 0, many = 0;
  for (int i = 0; i < 50; ++i) {
    const std::string design = "{x.x1: " + std::to_string(0.01 * i) + "}";
    const double truth = std::pow(std::stod(std::to_string(0.01 * i)), 2);
    const Fixture noisy(space, "{problem: sphere, noise: 1}");
    EXPECT_EQ(noisy.score(design), noisy.score(design));
    EXPECT_NE(noisy.score(design), Fixture(space, "{problem: sphere, noise: 1}", 2).score(design));
    one += std::pow(noisy.score(design)[0] - truth, 2) / 50;
    many += std::pow(Fixture(space, "{problem: sphere, noise: 1, replicates: 100}").score(design)[0] - truth, 2) / 50;
  }
  EXPECT_NEAR(one, 1, 0.6);  // variance of the mean of 50 squares: 2 / 50
  EXPECT_NEAR(many, 0.01, 0.006);
}

TEST(TestProblemEstimator, RefusesASpaceThatDoesNotFit) {
  EXPECT_THAT(refusal("x: {type: test_problem, problem: zdt4}", "{problem: zdt1}"),
              HasSubstr("'x.x2' cannot be variable 2 of 'zdt1', which lies between 0 and 1"));
  EXPECT_THAT(refusal("x: {type: test_problem, problem: zdt1}", "{problem: zdt1, variables: 10}"),
              HasSubstr("'zdt1' has 10 variables, but 30 parameters lie in the space"));
  EXPECT_THAT(refusal("x: {type: test_problem}", "{problem: zdt1, part: y}"), HasSubstr("no parameter lies under 'y'"));
  EXPECT_THAT(refusal("x: {type: test_problem, problem: zdt1, variables: 1}", "{problem: zdt1}"),
              HasSubstr("problem 'zdt1' needs at least 2 variables, not 1"));
  EXPECT_THAT(refusal("x: {type: test_problem, problem: zdt8}", "{}"), HasSubstr("zdt8"));
}

}  // namespace
}  // namespace duet
