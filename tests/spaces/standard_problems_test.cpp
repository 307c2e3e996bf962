#include "spaces/standard_problems.hpp"

#include <cmath>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <numbers>
#include <sstream>

#include "core/errors.hpp"
#include "spaces/wfg.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using std::numbers::pi;
using ::testing::DoubleNear;
using ::testing::HasSubstr;
using Values = std::vector<double>;

Values evaluate(std::string_view name, const Values& x, StandardProblemSize size = {}) {
  return standard_problem(name, size).evaluate(x);
}

void expect_near(const Values& values, const Values& expected, double tolerance = 1e-12) {
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], tolerance) << "value " << i;
}

Values filled(std::size_t count, double rest, std::initializer_list<double> first) {
  Values x(first);
  x.resize(count, rest);
  return x;
}

TEST(StandardProblems, OneObjectiveByHand) {
  expect_near(evaluate("sphere", filled(10, 0, {3, 4})), {25});
  expect_near(evaluate("rosenbrock", Values(10, 1.0)), {0});
  expect_near(evaluate("rosenbrock", {2, 3, 1}, {3, 0}), {101 + 6404});  // 100 + 1, 100 * 64 + 4
  expect_near(evaluate("rastrigin", filled(10, 0, {1, 0.5})), {1 + 20.25});
  expect_near(evaluate("ackley", Values(10, 0.0)), {0});
  expect_near(evaluate("ackley", Values(10, 1.0)), {20 - 20 * std::exp(-0.2)});
}

TEST(StandardProblems, ZdtByHand) {
  expect_near(evaluate("zdt1", filled(30, 0, {0.25})), {0.25, 0.5});
  expect_near(evaluate("zdt1", filled(30, 0.5, {0.25})), {0.25, 5.5 - std::sqrt(0.25 * 5.5)});
  expect_near(evaluate("zdt2", filled(30, 0, {0.5})), {0.5, 0.75});
  expect_near(evaluate("zdt3", filled(30, 0, {0.25})), {0.25, 0.5 - 0.25 * std::sin(2.5 * pi)});
  expect_near(evaluate("zdt4", filled(10, 0, {0.25})), {0.25, 0.5});
  expect_near(evaluate("zdt4", filled(10, 0, {0.25, 1})), {0.25, 2 - std::sqrt(0.5)});
  expect_near(evaluate("zdt6", filled(10, 0, {1.0 / 12})), {1 - std::exp(-1.0 / 3), 1 - std::pow(1 - std::exp(-1.0 / 3), 2)});
  // x1: two of 30 ones; one string all ones (1), one with three (5), nine empty (2 each)
  Values bits(80, 0.0);
  bits[0] = bits[7] = 1;
  for (std::size_t i = 30; i < 35; ++i) bits[i] = 1;
  for (std::size_t i = 35; i < 38; ++i) bits[i] = 1;
  expect_near(evaluate("zdt5", bits), {3, (1 + 5 + 8 * 2) / 3.0});
}

TEST(StandardProblems, DtlzByHand) {
  expect_near(evaluate("dtlz1", filled(7, 0.5, {0.25, 0.5})), {0.0625, 0.0625, 0.375});
  expect_near(evaluate("dtlz1", filled(7, 0.5, {0.25, 0.5, 0.6})), {0.0625 * 2, 0.0625 * 2, 0.375 * 2}, 1e-9);  // g = 1
  expect_near(evaluate("dtlz2", filled(12, 0.5, {1.0 / 3, 0.5})),
              {std::cos(pi / 6) * std::sqrt(0.5), std::cos(pi / 6) * std::sqrt(0.5), 0.5});
  expect_near(evaluate("dtlz2", filled(12, 0.5, {0, 0, 1})), {1.25, 0, 0});
  expect_near(evaluate("dtlz3", filled(12, 0.5, {0, 0, 1})), {1 + 100 * 0.25, 0, 0}, 1e-9);
  expect_near(evaluate("dtlz4", filled(12, 0.5, {1, 0})), {0, 0, 1});
  // g = 0: the second angle is pi / 4 whatever x2
  expect_near(evaluate("dtlz5", filled(12, 0.5, {0.5, 0.9})), {0.5, 0.5, std::sqrt(0.5)});
  expect_near(evaluate("dtlz6", filled(12, 0, {0.5, 0.9})), {0.5, 0.5, std::sqrt(0.5)});
  expect_near(evaluate("dtlz7", filled(22, 0, {0.5, 0})), {0.5, 0, 2 * (3 - 0.25 * (1 + std::sin(1.5 * pi)))});
}

TEST(StandardProblems, ConstraintsOfDtlzByHand) {
  expect_near(evaluate("c1_dtlz1", filled(7, 0.5, {0.25, 0.5})), {0.0625, 0.0625, 0.375, 0.375 / 0.6 + 0.25 - 1});
  expect_near(evaluate("c1_dtlz3", filled(12, 0.5, {0, 0})), {1, 0, 0, -(1.0 - 16) * (1 - 81)});
  EXPECT_GT(evaluate("c1_dtlz3", filled(12, 0.5, {0, 0, 0.7}))[3], 0);  // radius 5: in the band
  expect_near(evaluate("c2_dtlz2", filled(12, 0.5, {0, 0})), {1, 0, 0, -0.16});
  EXPECT_GT(evaluate("c2_dtlz2", filled(12, 0.5, {0, 0.5}))[3], 0);
  expect_near(evaluate("c3_dtlz4", filled(12, 0.5, {1, 0})), {0, 0, 1, 0, 0, 1 - 0.25});
}

TEST(StandardProblems, WfgByHand) {
  const Values zero(24, 0.0);
  expect_near(evaluate("wfg1", zero), {1, 5});
  expect_near(evaluate("wfg3", zero), {2.0 / 3, 14.0 / 3});  // two values of 1 reduce to 2 / 3
  expect_near(evaluate("wfg4", zero), {3, 1});
}

/// Points and what another implementation makes of them. WFG8 is left out: there, pagmo 2.18 reduces values that it has
/// transformed already, where the paper (table IX, t1) reduces y as it came; on the front the paper's holds (below).
TEST(StandardProblems, AgreeWithPagmo) {
  std::ifstream file(testing::source_root() / "tests/data/standard_problems.csv");
  std::string line;
  std::getline(file, line);
  std::map<std::string, int> rows;
  while (std::getline(file, line)) {
    std::istringstream cells(line);
    std::string name, cell;
    std::getline(cells, name, ',');
    std::vector<double> numbers;
    while (std::getline(cells, cell, ',')) numbers.push_back(std::stod(cell));
    const auto variables = static_cast<std::size_t>(numbers.at(0)), objectives = static_cast<std::size_t>(numbers.at(1));
    ASSERT_EQ(numbers.size(), 2 + objectives + variables);
    const auto first = numbers.begin() + 2;
    const Values expected(first, first + static_cast<std::ptrdiff_t>(objectives));
    const Values x(first + static_cast<std::ptrdiff_t>(objectives), numbers.end());
    const Values values = evaluate(name, x, {variables, name.front() == 'z' ? 0 : objectives});
    ASSERT_EQ(values.size(), objectives);
    for (std::size_t k = 0; k < objectives; ++k) {
      EXPECT_NEAR(values[k], expected[k], 1e-9 * std::max(1.0, std::abs(expected[k]))) << line;
    }
    ++rows[name];
  }
  EXPECT_EQ(rows.size(), 6U + 7U + 8U);
}

/// Distance parameters that lie on the front (Huband et al. 2006, §VIII).
Values optimal(int number, std::size_t k, std::size_t n, double position) {
  Values y(n, 0.35);
  for (std::size_t i = 0; i < k; ++i) y[i] = position;
  const auto mean = [&](std::size_t first, std::size_t last) {
    double sum = 0;
    for (std::size_t i = first; i < last; ++i) sum += y[i];
    return sum / static_cast<double>(last - first);
  };
  constexpr double a = 0.98 / 49.98;
  for (std::size_t i = k; i < n; ++i) {
    if (number == 8) {
      const double u = mean(0, i);
      y[i] = std::pow(0.35, 1 / (0.02 + 49.98 * (a - (1 - 2 * u) * std::abs(std::floor(0.5 - u) + a))));
    }
  }
  if (number == 9) {
    for (std::size_t i = n - 1; i-- > k;) y[i] = std::pow(0.35, 1 / (0.02 + 1.96 * mean(i + 1, n)));
  }
  Values z;
  for (std::size_t i = 0; i < n; ++i) z.push_back(y[i] * 2 * static_cast<double>(i + 1));
  return z;
}

TEST(StandardProblems, WfgReachesItsFrontWhereThePaperSaysItDoes) {
  for (int number = 1; number <= 9; ++number) {
    SCOPED_TRACE(number);
    const StandardProblem problem = standard_problem("wfg" + std::to_string(number), {24, 3});
    const Values f = problem.evaluate(optimal(number, 4, 24, 0.35));
    if (number >= 4) {
      double squares = 0;
      for (std::size_t m = 0; m < 3; ++m) squares += std::pow(f[m] / (2 * static_cast<double>(m + 1)), 2);
      EXPECT_NEAR(squares, 1, 1e-6);
    } else if (number == 3) {
      EXPECT_NEAR(f[0] / 2 + f[1] / 4 + f[2] / 6, 1, 1e-6);
    }
    // The distance is 0: no other distance is better.
    Values worse = optimal(number, 4, 24, 0.35);
    worse.back() *= 0.5;
    EXPECT_FALSE(dominates(problem.evaluate(worse), f));
  }
}

TEST(StandardProblems, HypervolumesOfFrontsByHand) {
  EXPECT_NEAR(standard_problem("zdt1").front_hypervolume(1), 2.0 / 3, 1e-12);
  EXPECT_NEAR(standard_problem("zdt2").front_hypervolume(1), 1.0 / 3, 1e-12);
  EXPECT_NEAR(standard_problem("zdt2").front_hypervolume(1.1), 1.21 - 2.0 / 3, 1e-12);
  EXPECT_NEAR(standard_problem("dtlz1").front_hypervolume(1), 5.0 / 6, 1e-12);
  EXPECT_NEAR(standard_problem("dtlz2").front_hypervolume(1), 1 - pi / 6, 1e-12);
  EXPECT_NEAR(standard_problem("wfg4").front_hypervolume(1), 1 - pi / 4, 1e-12);
  // Deb et al. 2005: the first objective of DTLZ7's front ends at 0.8594, the last begins at 2.614.
  const StandardProblem dtlz7 = standard_problem("dtlz7");
  EXPECT_NEAR(dtlz7.nadir[0], 0.8594, 1e-4);
  EXPECT_NEAR(dtlz7.ideal[2], 2.614, 1e-3);
  // ZDT3's pieces end at 0.8518328654 (the value that jMetal and pymoo list).
  EXPECT_NEAR(standard_problem("zdt3").nadir[0], 0.85183, 1e-4);
  EXPECT_NEAR(standard_problem("zdt6").ideal[0], 0.2807753191, 1e-9);
}

class EveryStandardProblem : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryStandardProblem, HasAFrontThatNothingBeats) {
  const StandardProblem problem = standard_problem(GetParam());
  const Space space(problem.nodes);
  std::vector<Point> front;
  if (problem.objectives > 1) {
    for (const Point& point : problem.front(problem.objectives == 2 ? 1000 : 2500)) {
      front.push_back(problem.normalised(point));
      for (const double value : front.back()) {
        EXPECT_GE(value, -1e-9);
        EXPECT_LE(value, 1 + 1e-9);
      }
    }
    const double exact = problem.front_hypervolume(1.1);
    const double sampled = hypervolume(front, Point(problem.objectives, 1.1));
    EXPECT_NEAR(sampled, exact, (problem.objectives == 2 ? 0.003 : 0.03) * exact);
  } else {
    front.push_back({0});
  }
  Random random(1, "standard problems");
  for (int i = 0; i < 300; ++i) {
    const Candidate candidate = space.sample(random);
    Values codes;
    for (std::size_t k = 0; k < candidate.size(); ++k) codes.push_back(candidate[k]);
    const Values values = problem.evaluate(codes);
    ASSERT_EQ(values.size(), problem.objectives + problem.constraints);
    for (const double value : values) ASSERT_TRUE(std::isfinite(value));
    bool feasible = true;
    for (std::size_t k = problem.objectives; k < values.size(); ++k) feasible = feasible && values[k] <= 0;
    if (!feasible) continue;
    Values objectives(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(problem.objectives));
    const Point point = problem.objectives == 1 ? objectives : problem.normalised(objectives);
    for (const Point& best : front) {
      Point shifted = point;
      for (double& value : shifted) value += 1e-9;
      ASSERT_FALSE(dominates(shifted, best)) << space.describe(candidate);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryStandardProblem, ::testing::ValuesIn(standard_problem_names()),
                         [](const auto& instance) { return instance.param; });

TEST(StandardProblems, MixedOnesReachTheirOptimum) {
  for (const char* name : {"mixed_ackley", "mixed_zdt1"}) {
    const StandardProblem problem = standard_problem(name, {3, 0});
    double best = 1e9;
    for (double option = 0; option < 5; ++option) {
      best = std::min(best, problem.evaluate(Values{0, 0, option}).back());
    }
    EXPECT_NEAR(best, problem.objectives == 1 ? 0 : 1, 1e-12) << name;
  }
}

TEST(StandardProblems, RefuseSizesThatTheyCannotHave) {
  const auto refusal = [](std::string_view name, StandardProblemSize size) -> std::string {
    try {
      standard_problem(name, size);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal("zdt9", {}), "unknown problem 'zdt9'; did you mean 'zdt1'?");
  EXPECT_EQ(refusal("zdt1", {30, 3}), "problem 'zdt1' has 2 objectives, not 3");
  EXPECT_EQ(refusal("sphere", {30, 2}), "problem 'sphere' has 1 objective, not 2");
  EXPECT_EQ(refusal("dtlz2", {2, 3}), "problem 'dtlz2' needs at least 3 variables, not 2");
  EXPECT_THAT(refusal("wfg2", {25, 2}), HasSubstr("an even number more"));
  EXPECT_EQ(refusal("wfg4", {25, 2}), "");
}

}  // namespace
}  // namespace duet
