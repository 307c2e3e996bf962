// The certified mapper against exhaustive search.

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "core/random.hpp"
#include "hw_models/mappers/certified.hpp"
#include "hw_models/mapspace.hpp"
#include "hw_models/proof_checker.hpp"
#include "tests/hw_models/random_problem.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

/// Enough mappings for a search of all to be quick.
constexpr std::uint64_t most_mappings = 20'000;

void expect_equal(const MapperResult& certified, const MapperResult& exhaustive, const Objective& objective) {
  ASSERT_EQ(certified.mapping.has_value(), exhaustive.mapping.has_value()) << certified.why_none << exhaustive.why_none;
  if (!exhaustive.mapping) return;
  EXPECT_TRUE(certified.proven);
  const double room = 1e-12;
  EXPECT_NEAR(certified.value.first, exhaustive.value.first, room * exhaustive.value.first);
  if (objective.kind == Objective::Kind::cycles_then_energy) {
    EXPECT_EQ(certified.value.first, exhaustive.value.first);
    EXPECT_NEAR(certified.value.second, exhaustive.value.second, room * exhaustive.value.second);
  }
  if (objective.kind == Objective::Kind::energy_then_cycles) {
    // Which of two energies that differ by rounding alone is the lower is nobody's merit.
    EXPECT_LE(certified.value.second, exhaustive.value.second);
  }
}

TEST(CertifiedMapper, FindsWhatExhaustiveSearchFinds) {
  std::size_t compared = 0, found = 0;
  const std::size_t want = 1000;
  for (std::uint64_t index = 0; compared < want; ++index) {
    SCOPED_TRACE(index);
    const testing::MapperProblem problem = testing::random_problem(1, index);
    const CostModel model(problem.einsum, problem.architecture, problem.options);
    MapperRequest request;
    request.objective = problem.objective;
    request.effort = most_mappings;
    const MapperResult all = make_mapper("exhaustive")->map(model, request);
    if (!all.proven && all.evaluations >= most_mappings) continue;
    request.effort = 0;
    const MapperResult best = make_mapper("certified")->map(model, request);
    expect_equal(best, all, problem.objective);
    if (best.mapping) {
      EXPECT_EQ(model.why_invalid(*best.mapping, true), std::nullopt);
    }
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << "objective " << to_string(problem.objective.kind) << " macs " << problem.einsum.macs();
      if (all.mapping) ADD_FAILURE() << loop_nest(*all.mapping, problem.einsum, problem.architecture);
      if (best.mapping) ADD_FAILURE() << loop_nest(*best.mapping, problem.einsum, problem.architecture);
      return;
    }
    ++compared;
    found += all.mapping ? 1U : 0U;
  }
  EXPECT_GT(found, want / 2);
  RecordProperty("with_mapping", static_cast<int>(found));
}

std::string proof_of(const CostModel& model, const Objective& objective, MapperResult* result = nullptr) {
  MapperRequest request;
  request.objective = objective;
  std::ostringstream out;
  const MapperResult found = CertifiedMapper().map(model, request, &out);
  if (result != nullptr) *result = found;
  return out.str();
}

ProofVerdict checked(const std::string& log) {
  std::istringstream in(log);
  return check_proof(in);
}

TEST(ProofChecker, AcceptsEveryLog) {
  std::size_t logs = 0;
  for (std::uint64_t index = 0; logs < 300; ++index) {
    SCOPED_TRACE(index);
    const testing::MapperProblem problem = testing::random_problem(3, index);
    const std::string log = proof_of(CostModel(problem.einsum, problem.architecture, problem.options), problem.objective);
    if (log.empty()) continue;
    const ProofVerdict verdict = checked(log);
    ASSERT_TRUE(verdict.accepted) << verdict.line << ": " << verdict.message << "\n" << log;
    ++logs;
  }
}

}  // namespace
}  // namespace duet
