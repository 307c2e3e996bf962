// The cost model against Timeloop's own results: every access count, cycles and energies of the reference cases, from
// Timeloop's own files.

#include <cmath>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/errors.hpp"
#include "hw_models/timeloop.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using Json = nlohmann::json;

struct Case {
  Einsum einsum;
  Architecture architecture;
  Mapping mapping;
};

Case load(const std::filesystem::path& folder, const Json& item) {
  const auto file = [&](const char* key) { return Config::load(folder / item.at(key).get<std::string>()); };
  Case c;
  c.einsum = read_timeloop_problem(file("problem"));
  c.architecture = read_timeloop_architecture(file("architecture"));
  c.mapping = read_timeloop_mapping(file("mapping"), c.einsum, c.architecture);
  return c;
}

TEST(Timeloop, EveryReferenceCaseIsReproduced) {
  const auto folder = testing::reference_data("timeloop_reference");
  if (!folder) GTEST_SKIP() << "timeloop_reference is absent";
  std::ifstream stream(*folder / "reference.json");
  const Json reference = Json::parse(stream);

  std::size_t cases = 0, counts = 0;
  double worst = 0;
  std::vector<std::string> approximate;  // cases in which Timeloop's extrapolation is not what the loop nest does
  for (const Json& item : reference.at("cases")) {
    SCOPED_TRACE(item.at("case").get<std::string>());
    const Case c = load(*folder, item);
    const CostModel model(c.einsum, c.architecture, timeloop_options());
    ASSERT_EQ(model.why_invalid(c.mapping), std::nullopt);
    const MappingCost cost = model.evaluate(c.mapping);
    EXPECT_EQ(cost.cycles, item.at("cycles").get<double>());
    EXPECT_EQ(cost.macs, item.at("computes").get<double>());
    const auto near = [&](double joules, double picojoules) {
      if (picojoules == 0) {
        EXPECT_EQ(joules, 0);
      } else {
        worst = std::max(worst, std::abs(joules * 1e12 / picojoules - 1));
        EXPECT_NEAR(joules * 1e12 / picojoules, 1, 5e-5);  // Timeloop prints leakage with four digits
      }
    };
    double total_pj = 0;
    for (const auto& [name, energy] : item.at("energy_pJ_by_component").items()) {
      SCOPED_TRACE(name);
      const double dynamic = energy.at("dynamic_pJ").get<double>(), leakage = energy.at("leakage_pJ").get<double>();
      total_pj += dynamic + leakage;
      if (const auto l = c.architecture.find_level(name)) {
        near(cost.levels[*l].dynamic_energy_j, dynamic);
        if (leakage > 100) near(cost.levels[*l].leakage_energy_j, leakage);
      } else {
        near(cost.compute_energy_j, dynamic);
      }
    }
    near(cost.energy_j, total_pj);
    for (const Json& level : item.at("levels")) {
      const std::string name = level.at("name");
      SCOPED_TRACE(name);
      const auto l = c.architecture.find_level(name);
      if (!l) continue;
      for (std::size_t t = 0; t < tensor_count; ++t) {
        const TensorTraffic& traffic = cost.levels[*l].tensors[t];
        const std::string& tensor = c.einsum.tensors[t].name;
        SCOPED_TRACE(tensor);
        ASSERT_EQ(traffic.kept, level.at("stats").contains(tensor));
        if (!traffic.kept) continue;
        const Json& stats = level.at("stats").at(tensor);
        const double instances = cost.levels[*l].utilized_instances;
        EXPECT_EQ(instances, stats.at("Utilized instances (max)").get<double>());
        EXPECT_EQ(traffic.tile_words, stats.at("Utilized capacity").get<double>());
        EXPECT_EQ(std::round(traffic.reads / instances), stats.at("Scalar reads (per-instance)").get<double>());
        EXPECT_EQ(std::round(traffic.fills / instances), stats.at("Scalar fills (per-instance)").get<double>());
        EXPECT_EQ(std::round(traffic.updates / instances), stats.at("Scalar updates (per-instance)").get<double>());
        counts += 5;
      }
    }
    ++cases;
    const MappingCost exact = CostModel(c.einsum, c.architecture).evaluate(c.mapping);
    for (std::size_t l = 0; l < cost.levels.size(); ++l) {
      if (exact.levels[l].tensors != cost.levels[l].tensors) {
        approximate.push_back(item.at("case").get<std::string>());
        break;
      }
    }
  }
  EXPECT_EQ(cases, 76U);
  EXPECT_GT(counts, 2000U);
  RecordProperty("cases", static_cast<int>(cases));
  RecordProperty("counts", static_cast<int>(counts));
  RecordProperty("extrapolated", fmt::format("{}", fmt::join(approximate, " ")));
  RecordProperty("worst_energy_error", fmt::format("{:.2g}", worst));
}

}  // namespace
}  // namespace duet
