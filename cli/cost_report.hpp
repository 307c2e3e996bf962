#pragma once
/// What `cost` and `map` print: tables for people, JSON for programs.

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "hw_models/network_cost.hpp"
#include "hw_models/scalesim.hpp"
#include "hw_models/sensitivity.hpp"

namespace duet::cli {

/// Costs of a workload on an architecture of storage levels, and what they are called.
struct LevelsReport {
  std::string workload;
  Architecture architecture;
  CostOptions options;
  ArchitectureCost cost;
  std::string mapper;  ///< that found the mappings; empty: they were given
  std::optional<SensitivityReport> explain;
  bool one_layer = false;  ///< one einsum that runs once: its levels are the report
};

std::string text(const LevelsReport& report);
nlohmann::ordered_json json(const LevelsReport& report);
/// Where the mappings stand: what the mapper proved, and each mapping.
std::string mappings_text(const LevelsReport& report, const MapperRequest& request);

/// Costs on a systolic array.
struct SystolicReport {
  std::string workload;
  SystolicArray array;
  NetworkCost cost;
  /// One resource doubled at a time.
  std::vector<Sensitivity> explain;
};

std::string text(const SystolicReport& report);
nlohmann::ordered_json json(const SystolicReport& report);

struct ScaleSimReport {
  ScaleSimConfig config;
  std::vector<ScaleSimLayer> layers;
  std::vector<SystolicCost> costs;
};

std::string text(const ScaleSimReport& report);
nlohmann::ordered_json json(const ScaleSimReport& report);

}  // namespace duet::cli
