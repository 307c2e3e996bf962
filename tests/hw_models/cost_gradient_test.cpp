#include "hw_models/cost_gradient.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "core/random.hpp"
#include "tests/hw_models/random_mapping.hpp"

namespace duet::kernel {
namespace {

/// What has been drawn, with energies and ports under which nothing is rounded.
duet::testing::MappingCase priced_case(std::uint64_t index) {
  duet::testing::MappingCase c = duet::testing::random_mapping_case(21, index);
  for (StorageLevel& level : c.architecture.levels) level.energy = {1.5e-12, 2.25e-12, 3e-12, 1e-15};
  c.architecture.compute.energy_j = 0.7e-12;
  return c;
}

BasicMapping<Variable> constants(const Mapping& mapping) {
  BasicMapping<Variable> result;
  result.level_count = mapping.level_count;
  for (std::size_t l = 0; l < mapping.level_count; ++l) {
    const LevelMapping& from = mapping.levels[l];
    auto& to = result.levels[l];
    to.order = from.order;
    to.keep = from.keep;
    for (std::size_t d = 0; d < max_dimensions; ++d) {
      to.temporal[d] = Variable(static_cast<double>(from.temporal[d]));
      to.x[d] = Variable(static_cast<double>(from.x[d]));
      to.y[d] = Variable(static_cast<double>(from.y[d]));
    }
  }
  return result;
}

std::vector<Variable*> loops(BasicMapping<Variable>& mapping) {
  std::vector<Variable*> result;
  for (std::size_t l = 0; l < mapping.level_count; ++l) {
    for (auto* factors : {&mapping.levels[l].temporal, &mapping.levels[l].x, &mapping.levels[l].y}) {
      for (Variable& factor : *factors) {
        if (factor.v != 1) result.push_back(&factor);
      }
    }
  }
  return result;
}

TEST(CostGradient, TapeKnowsTheChainRule) {
  Tape tape;
  tape.clear();
  const Variable a = tape.variable(3), b = tape.variable(2);
  const Variable f = (a * b + 4.0 / b - a) * (a / b) + log(a) - larger(a, b) / 2.0;
  tape.reverse(f);
  EXPECT_DOUBLE_EQ(f.v, (6 + 2 - 3) * 1.5 + std::log(3) - 1.5);
  // f = a² + 4a/b² − a²/b + ln a − a/2
  EXPECT_DOUBLE_EQ(tape.derivative(a), 6 + 1 - 3 + 1 / 3.0 - 0.5);
  EXPECT_DOUBLE_EQ(tape.derivative(b), -8 * 3 / 8.0 + 9 / 4.0);
  EXPECT_EQ(tape.derivative(Variable(5)), 0);
}

TEST(CostGradient, ValuesAreTheModelsOwnWhereNothingIsRounded) {
  std::size_t compared = 0;
  for (std::uint64_t index = 0; index < 3'000; ++index) {
    SCOPED_TRACE(index);
    const duet::testing::MappingCase c = priced_case(index);
    if (!is_perfect(c.mapping, c.einsum)) continue;
    const CostOptions options{.footprint = index % 2 == 0 ? Footprint::box : Footprint::distinct};
    const QuickCost exact = CostModel(c.einsum, c.architecture, options).quick(c.mapping);
    ASSERT_TRUE(exact.valid);
    const RelaxedCost relaxed = relaxed_cost(plan(c.einsum, c.architecture, options), constants(c.mapping));
    EXPECT_EQ(relaxed.cycles.v, exact.cycles);
    EXPECT_EQ(relaxed.energy_j.v, exact.energy_j);
    ++compared;
  }
  EXPECT_GT(compared, 1'000U);
}

TEST(CostGradient, DerivativesAreThoseOfFiniteDifferences) {
  Tape tape;
  std::size_t compared = 0, kinks = 0;
  for (std::uint64_t index = 0; index < 600; ++index) {
    SCOPED_TRACE(index);
    const duet::testing::MappingCase c = priced_case(index);
    const Plan p = plan(c.einsum, c.architecture, {});
    Random random(4, "gradient", index);
    BasicMapping<Variable> at = constants(c.mapping);
    for (Variable* factor : loops(at)) *factor = Variable(factor->v * random.uniform(1.05, 1.95));
    tape.clear();
    BasicMapping<Variable> mapping = at;
    const std::vector<Variable*> variables = loops(mapping);
    for (Variable* factor : variables) *factor = tape.variable(factor->v);
    const RelaxedCost cost = relaxed_cost(p, mapping);
    const auto check = [&](auto part) {
      tape.reverse(part(cost));
      for (std::size_t i = 0; i < variables.size(); ++i) {
        const auto shifted = [&](double by) {
          BasicMapping<Variable> other = at;
          Variable* factor = loops(other)[i];
          *factor = Variable(factor->v + by);
          return part(relaxed_cost(p, other)).v;
        };
        const double h = 1e-6, here = part(cost).v;
        const double right = (shifted(h) - here) / h, left = (here - shifted(-h)) / h;
        const double scale = std::max({std::abs(left), std::abs(right), std::abs(here) * 1e-3, 1e-30});
        if (std::abs(right - left) > 1e-3 * scale) {
          ++kinks;
          continue;
        }
        EXPECT_NEAR(tape.derivative(*variables[i]) / scale, (left + right) / 2 / scale, 1e-3);
        ++compared;
      }
    };
    check([](const RelaxedCost& of) { return of.cycles; });
    check([](const RelaxedCost& of) { return of.energy_j; });
    check([&](const RelaxedCost& of) { return of.bits[p.levels - 1]; });
  }
  EXPECT_GT(compared, 5'000U);
  EXPECT_LT(kinks, compared / 50);
}

}  // namespace
}  // namespace duet::kernel
