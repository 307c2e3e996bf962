#include "experiments/export.hpp"

#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/units.hpp"
#include "experiments/simulated_clock.hpp"

namespace duet {
namespace {

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"') result += '"';
    result += c;
  }
  return result + "\"";
}

// One cell: a name and a value that writes itself both ways.
struct Cell {
  std::string name;
  std::string text;        // empty: absent
  bool number = false;
};

/// Whether a constraint reads a measured metric: its violation is a measurement then.
bool constrains_measured(const ExperimentRecord& experiment) {
  const auto reads = [](const std::string& constraint, const std::string& name) {
    const auto is_part = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.'; };
    for (std::size_t at = 0; (at = constraint.find(name, at)) != std::string::npos; ++at) {
      const bool begins = at == 0 || !is_part(constraint[at - 1]);
      const bool ends = at + name.size() == constraint.size() || !is_part(constraint[at + name.size()]);
      if (begins && ends) return true;
    }
    return false;
  };
  for (const StoredMetric& stored : experiment.metrics) {
    if (stored.metric.source != Source::measured) continue;
    for (const std::string& constraint : experiment.constraints) {
      if (reads(constraint, stored.metric.name)) return true;
    }
  }
  return false;
}

std::vector<Cell> row(const ExperimentRecord& experiment, const TrialRecord& trial, const ExportOptions& options,
                      SimulatedClock& clock) {
  std::vector<Cell> cells;
  cells.push_back({"number", std::to_string(trial.number), true});
  cells.push_back({"status", trial.duplicate_of ? "duplicate" : std::string(to_string(trial.status)), false});
  cells.push_back({"reason", trial.reason, false});
  cells.push_back({"duplicate_of", trial.duplicate_of ? std::to_string(*trial.duplicate_of) : "", true});
  cells.push_back({"parents", fmt::format("{}", fmt::join(trial.parents, " ")), false});
  for (std::size_t i = 0; i < experiment.parameters.size(); ++i) {
    const Parameter& parameter = experiment.parameters[i];
    cells.push_back({parameter.path, trial.candidate.has(i) ? format_code(parameter, trial.candidate[i]) : "",
                     parameter.kind != Parameter::Kind::choice});
  }
  for (std::size_t i = 0; i < experiment.metrics.size(); ++i) {
    const Metric& metric = experiment.metrics[i].metric;
    if (options.reproducible && metric.source == Source::measured) continue;
    cells.push_back({metric.name, trial.values.empty() ? "" : shortest(trial.values[i]), true});
  }
  if (clock.exists()) cells.push_back({"simulated_total_s", shortest(clock.tell(trial)), true});
  if (!experiment.constraints.empty() && !(options.reproducible && constrains_measured(experiment))) cells.push_back({"violation", shortest(trial.violation), true});
  if (!options.reproducible) {
    cells.push_back({"cached", trial.cached ? "1" : "0", true});
    cells.push_back({"started_at", shortest(trial.started_at), true});
    cells.push_back({"duration_s", shortest(trial.duration_s), true});
  }
  return cells;
}

}  // namespace

std::string export_csv(const Store& store, const ExperimentRecord& experiment, const ExportOptions& options) {
  // The header is the same row without values, so that an experiment without trials has one too.
  TrialRecord none;
  none.candidate = Candidate(experiment.parameters.size());
  std::string text;
  const auto line = [&text](const std::vector<Cell>& cells, auto value) {
    for (std::size_t i = 0; i < cells.size(); ++i) text += (i == 0 ? "" : ",") + quoted(value(cells[i]));
    text += '\n';
  };
  SimulatedClock clock(experiment.metrics);
  line(row(experiment, none, options, clock), [](const Cell& cell) { return cell.name; });
  for (const TrialRecord& trial : store.trials(experiment)) {
    line(row(experiment, trial, options, clock), [](const Cell& cell) { return cell.text; });
  }
  return text;
}

std::string export_json(const Store& store, const ExperimentRecord& experiment, const ExportOptions& options) {
  std::string text = "[";
  SimulatedClock clock(experiment.metrics);
  bool first = true;
  for (const TrialRecord& trial : store.trials(experiment)) {
    text += first ? "\n  {" : ",\n  {";
    first = false;
    bool first_cell = true;
    for (const Cell& cell : row(experiment, trial, options, clock)) {
      if (cell.text.empty()) continue;
      text += (first_cell ? "" : ", ") + nlohmann::json(cell.name).dump() + ": ";
      const bool finite = cell.text.find_first_of("in") == std::string::npos;  // JSON has no inf
      text += !cell.number ? nlohmann::json(cell.text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
              : finite     ? cell.text
                           : "null";
      first_cell = false;
    }
    text += "}";
  }
  return text + (first ? "]\n" : "\n]\n");
}

}  // namespace duet
