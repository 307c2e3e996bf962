#include "experiments/export.hpp"

#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/units.hpp"
#include "experiments/simulated_clock.hpp"

namespace duet {
namespace {

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"') result += '"';
    result += c;
  }
  return result + "\"";
}

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

/// The columns of an export, and a trial's cells in them.
class Row {
 public:
  Row(const ExperimentRecord& experiment, const ExportOptions& options)
      : experiment_(experiment), options_(options), clock_(experiment.metrics) {
    for (const char* name : {"number", "status", "reason", "duplicate_of", "parents"}) add(name, name[0] == 'n' || name[0] == 'd');
    for (const Parameter& parameter : experiment.parameters) add(parameter.path, parameter.kind != Parameter::Kind::choice);
    for (std::size_t i = 0; i < experiment.metrics.size(); ++i) {
      const Metric& metric = experiment.metrics[i].metric;
      if (options.reproducible && metric.source == Source::measured) continue;
      add(metric.name, true);
      metrics_.push_back(i);
    }
    if (clock_.exists()) add("simulated_total_s", true);
    violation_ = !experiment.constraints.empty() && !(options.reproducible && constrains_measured(experiment));
    if (violation_) add("violation", true);
    if (!options.reproducible) {
      for (const char* name : {"cached", "started_at", "duration_s"}) add(name, true);
    }
  }

  const std::vector<std::string>& names() const { return names_; }
  /// Whether the column's values are numbers.
  bool number(std::size_t column) const { return numbers_[column]; }

  /// One text per column; empty: absent. To be asked for every trial, in number order: the simulated clock runs along.
  const std::vector<std::string>& cells(const TrialRecord& trial) {
    cells_.clear();
    cells_.push_back(std::to_string(trial.number));
    cells_.emplace_back(trial.duplicate_of ? "duplicate" : to_string(trial.status));
    cells_.push_back(trial.reason);
    cells_.push_back(trial.duplicate_of ? std::to_string(*trial.duplicate_of) : "");
    cells_.push_back(trial.parents.empty() ? "" : fmt::format("{}", fmt::join(trial.parents, " ")));
    for (std::size_t i = 0; i < experiment_.parameters.size(); ++i) {
      cells_.push_back(trial.candidate.has(i) ? format_code(experiment_.parameters[i], trial.candidate[i]) : "");
    }
    for (const std::size_t metric : metrics_) {
      cells_.push_back(trial.values.empty() ? "" : shortest(trial.values[metric]));
    }
    if (clock_.exists()) cells_.push_back(shortest(clock_.tell(trial)));
    if (violation_) cells_.push_back(shortest(trial.violation));
    if (!options_.reproducible) {
      cells_.emplace_back(trial.cached ? "1" : "0");
      cells_.push_back(shortest(trial.started_at));
      cells_.push_back(shortest(trial.duration_s));
    }
    return cells_;
  }

 private:
  void add(std::string name, bool number) {
    names_.push_back(std::move(name));
    numbers_.push_back(number);
  }

  const ExperimentRecord& experiment_;
  const ExportOptions& options_;
  SimulatedClock clock_;
  std::vector<std::string> names_;
  std::vector<bool> numbers_;
  std::vector<std::size_t> metrics_;  ///< those that are exported
  bool violation_ = false;
  std::vector<std::string> cells_;
};

constexpr std::size_t block = std::size_t{1} << 16;  ///< bytes that are handed over at once

}  // namespace

void export_csv(const Store& store, const ExperimentRecord& experiment, const ExportOptions& options,
                const ExportSink& sink) {
  Row row(experiment, options);
  std::string text;
  const auto line = [&text](const std::vector<std::string>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i > 0) text += ',';
      if (cells[i].find_first_of(",\"\r\n") == std::string::npos) {
        text += cells[i];
      } else {
        text += quoted(cells[i]);
      }
    }
    text += '\n';
  };
  line(row.names());
  store.for_each(experiment, [&](const TrialRecord& trial) {
    line(row.cells(trial));
    if (text.size() < block) return;
    sink(text);
    text.clear();
  });
  sink(text);
}

void export_json(const Store& store, const ExperimentRecord& experiment, const ExportOptions& options,
                 const ExportSink& sink) {
  Row row(experiment, options);
  std::vector<std::string> keys;
  for (const std::string& name : row.names()) keys.push_back(nlohmann::json(name).dump() + ": ");
  std::string text = "[";
  bool first = true;
  store.for_each(experiment, [&](const TrialRecord& trial) {
    text += first ? "\n  {" : ",\n  {";
    first = false;
    bool first_cell = true;
    const std::vector<std::string>& cells = row.cells(trial);
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (cells[i].empty()) continue;
      if (!first_cell) text += ", ";
      text += keys[i];
      const bool finite = cells[i].find_first_of("in") == std::string::npos;  // JSON has no inf
      text += !row.number(i) ? nlohmann::json(cells[i]).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
              : finite       ? cells[i]
                             : "null";
      first_cell = false;
    }
    text += "}";
    if (text.size() < block) return;
    sink(text);
    text.clear();
  });
  sink(text + (first ? "]\n" : "\n]\n"));
}

std::string export_csv(const Store& store, const ExperimentRecord& experiment, const ExportOptions& options) {
  std::string text;
  export_csv(store, experiment, options, [&text](std::string_view part) { text += part; });
  return text;
}

std::string export_json(const Store& store, const ExperimentRecord& experiment, const ExportOptions& options) {
  std::string text;
  export_json(store, experiment, options, [&text](std::string_view part) { text += part; });
  return text;
}

}  // namespace duet
