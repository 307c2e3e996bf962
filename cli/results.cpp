#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "core/errors.hpp"
#include "core/units.hpp"
#include "experiments/export.hpp"
#include "experiments/simulated_clock.hpp"

namespace duet::cli {
namespace {

std::string status_text(const TrialRecord& trial) {
  return trial.duplicate_of ? fmt::format("= {}", *trial.duplicate_of) : std::string(to_string(trial.status));
}

/// By trial number: what the simulated clock shows after it. Empty where there is none.
using Times = std::map<std::uint64_t, double>;

Times simulated_times(const ExperimentRecord& record, const std::vector<TrialRecord>& trials) {
  Times times;
  SimulatedClock clock(record.metrics);
  if (!clock.exists()) return times;
  for (const TrialRecord& trial : trials) times[trial.number] = clock.tell(trial);
  return times;
}

nlohmann::ordered_json trial_json(const ExperimentRecord& record, const TrialRecord& trial, const Times& times = {}) {
  nlohmann::ordered_json out;
  out["number"] = trial.number;
  out["status"] = trial.duplicate_of ? "duplicate" : to_string(trial.status);
  if (trial.duplicate_of) out["duplicate_of"] = *trial.duplicate_of;
  if (!trial.reason.empty()) out["reason"] = trial.reason;
  nlohmann::ordered_json design = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < record.parameters.size(); ++i) {
    if (!trial.candidate.has(i)) continue;
    const Parameter& parameter = record.parameters[i];
    design[parameter.path] = value_json(parameter, trial.candidate[i]);
  }
  out["design"] = design;
  nlohmann::ordered_json metrics = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < trial.values.size(); ++i) metrics[record.metrics[i].metric.name] = trial.values[i];
  if (!trial.values.empty()) out["metrics"] = metrics;
  if (const auto time = times.find(trial.number); time != times.end()) out["simulated_total_s"] = time->second;
  if (!record.constraints.empty() && trial.status == Status::ok) out["violation"] = trial.violation;
  return out;
}

std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

void print_trials(const ExperimentRecord& record, const std::vector<TrialRecord>& trials, bool as_json,
                  const Times& times = {}) {
  if (as_json) {
    nlohmann::ordered_json out = nlohmann::ordered_json::array();
    for (const TrialRecord& trial : trials) out.push_back(trial_json(record, trial, times));
    fmt::print("{}\n", dump(out));
    return;
  }
  std::vector<std::string> header{"trial", "status"};
  std::vector<std::size_t> shown;
  for (const bool objective : {true, false}) {
    for (std::size_t i = 0; i < record.metrics.size(); ++i) {
      if (record.metrics[i].objective == objective) shown.push_back(i);
    }
  }
  if (shown.size() > 8) shown.resize(8);
  for (const std::size_t i : shown) header.push_back(record.metrics[i].metric.name);
  if (!times.empty()) header.push_back("simulated total");
  header.push_back("reason");
  TextTable table(header);
  for (const TrialRecord& trial : trials) {
    std::vector<std::string> row{std::to_string(trial.number), status_text(trial)};
    for (const std::size_t i : shown) {
      row.push_back(trial.values.empty() ? "" : human(trial.values[i], record.metrics[i].metric.unit));
    }
    if (!times.empty()) row.push_back(human(times.at(trial.number), "s"));
    row.push_back(trial.duplicate_of        ? ""
                  : !trial.reason.empty()   ? trial.reason
                  : trial.violation > 0     ? fmt::format("infeasible, violation {:.3g}", trial.violation)
                                            : "");
    table.add(std::move(row));
  }
  fmt::print("{}", table.text());
}

struct TrialsArguments {
  Selection selection;
  std::string status;
  std::size_t limit = 0;
  std::uint64_t number = 0;
  bool json = false;
};

void show_trials(const TrialsArguments& arguments) {
  const OpenExperiment open = open_experiment(arguments.selection);
  if (arguments.number != 0) {
    const auto trial = open.store.trial(open.record, arguments.number);
    if (!trial) throw ConfigError(fmt::format("{}: there is no trial {}", open.store.path().string(), arguments.number));
    Times times;  // its place among the others counts only if there is a clock
    if (SimulatedClock(open.record.metrics).exists()) {
      times = simulated_times(open.record, open.store.trials(open.record, 0, arguments.number));
    }
    if (arguments.json) {
      fmt::print("{}\n", dump(trial_json(open.record, *trial, times)));
      return;
    }
    print_trials(open.record, {*trial}, false, times);
    fmt::print("\n");
    for (std::size_t i = 0; i < open.record.parameters.size(); ++i) {
      if (!trial->candidate.has(i)) continue;
      const Parameter& parameter = open.record.parameters[i];
      fmt::print("  {} = {}{}\n", parameter.path, format_code(parameter, trial->candidate[i]),
                 parameter.unit == "1" ? "" : " " + parameter.unit);
    }
    for (std::size_t i = 0; i < trial->values.size(); ++i) {
      const Metric& metric = open.record.metrics[i].metric;
      fmt::print("  {} = {}{}  ({})\n", metric.name, shortest(trial->values[i]),
                 metric.unit == "1" ? "" : " " + metric.unit, to_string(metric.source));
    }
    for (const FinalRecord& final : open.store.finals(open.record.id)) {
      if (final.trial != trial->number) continue;
      fmt::print("  final {} = {}{}  (replicate {}, {})\n", final.metric, shortest(final.value),
                 final.unit == "1" ? "" : " " + final.unit, final.replicate, final.recipe);
    }
    return;
  }
  std::vector<TrialRecord> trials = open.store.trials(open.record);
  const Times times = simulated_times(open.record, trials);
  if (!arguments.status.empty()) {
    std::erase_if(trials, [&](const TrialRecord& trial) {
      return (trial.duplicate_of ? "duplicate" : to_string(trial.status)) != arguments.status;
    });
  }
  const std::size_t all = trials.size();
  if (arguments.limit != 0 && all > arguments.limit) {
    trials.erase(trials.begin(), trials.end() - static_cast<std::ptrdiff_t>(arguments.limit));
  }
  print_trials(open.record, trials, arguments.json, times);
  if (!arguments.json && trials.size() < all) {
    fmt::print("(the last {} of {}; --limit 0 shows all)\n", trials.size(), all);
  }
}

struct BestArguments {
  Selection selection;
  std::string metric;
  std::size_t count = 5;
  bool json = false;
};

void show_best(const BestArguments& arguments) {
  const OpenExperiment open = open_experiment(arguments.selection);
  std::vector<std::size_t> metrics;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < open.record.metrics.size(); ++i) {
    names.push_back(open.record.metrics[i].metric.name);
    if (arguments.metric.empty() ? open.record.metrics[i].objective : names.back() == arguments.metric) {
      metrics.push_back(i);
    }
  }
  if (metrics.empty()) {
    throw ConfigError(fmt::format("experiment '{}' has no metric '{}'{}", open.record.name, arguments.metric,
                                  hint(arguments.metric, names)));
  }
  const Store::Scores scores = open.store.scores(open.record, metrics);
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  for (std::size_t k = 0; k < metrics.size(); ++k) {
    const StoredMetric& stored = open.record.metrics[metrics[k]];
    std::vector<std::size_t> order(scores.numbers.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    const std::size_t count = std::min(arguments.count, order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                      [&](std::size_t a, std::size_t b) {
                        const double x = scores.values[a][k];
                        const double y = scores.values[b][k];
                        if (x != y) return stored.direction == Direction::minimize ? x < y : x > y;
                        return scores.numbers[a] < scores.numbers[b];
                      });
    std::vector<TrialRecord> trials;
    for (std::size_t i = 0; i < count; ++i) trials.push_back(*open.store.trial(open.record, scores.numbers[order[i]]));
    if (arguments.json) {
      nlohmann::ordered_json list = nlohmann::ordered_json::array();
      for (const TrialRecord& trial : trials) list.push_back(trial_json(open.record, trial));
      out[stored.metric.name] = list;
      continue;
    }
    if (trials.empty()) {
      fmt::print("No feasible trial among {} yet.\n", open.store.count(open.record.id));
      return;
    }
    fmt::print("{}{} ({}):\n", k == 0 ? "" : "\n", stored.metric.name, to_string(stored.direction));
    print_trials(open.record, trials, false);
  }
  if (arguments.json) fmt::print("{}\n", dump(out));
}

struct ParetoArguments {
  Selection selection;
  bool json = false;
};

void show_pareto(const ParetoArguments& arguments) {
  const OpenExperiment open = open_experiment(arguments.selection);
  if (!arguments.json) {
    fmt::print("{}", front_text(open.store, open.record, static_cast<std::size_t>(-1)));
    return;
  }
  const Front front = pareto_front_of(open.store, open.record);
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const std::uint64_t number : front.numbers) {
    out.push_back(trial_json(open.record, *open.store.trial(open.record, number)));
  }
  fmt::print("{}\n", dump(out));
}

struct ExportArguments {
  Selection selection;
  bool csv = false;
  bool json = false;
  bool reproducible = false;
  std::string output;
};

void export_trials(const ExportArguments& arguments) {
  const OpenExperiment open = open_experiment(arguments.selection);
  const ExportOptions options{arguments.reproducible};
  const std::string text = arguments.json ? export_json(open.store, open.record, options)
                                          : export_csv(open.store, open.record, options);
  if (arguments.output.empty()) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return;
  }
  std::error_code absent;
  if (std::filesystem::equivalent(arguments.output, open.store.path(), absent)) {
    throw ConfigError(arguments.output + " is the database itself; choose another output");
  }
  errno = 0;
  std::ofstream stream(arguments.output, std::ios::binary);
  stream << text;
  stream.close();
  if (!stream) {
    throw ConfigError(fmt::format("{} cannot be written: {}", arguments.output, std::strerror(errno)));
  }
}

struct QueryArguments {
  std::string file;
  std::string sql;
  bool json = false;
};

void show_query(const QueryArguments& arguments) {
  const Selection selection{arguments.file, ""};
  const std::filesystem::path path = arguments.file;
  // For a database no experiment needs to exist; an experiment file is resolved like everywhere else.
  const bool is_yaml = path.extension() == ".yaml" || path.extension() == ".yml";
  const Table table = is_yaml ? open_experiment(selection).store.query(arguments.sql)
                              : Store(path, Store::Mode::read).query(arguments.sql);
  if (arguments.json) {
    std::string text = "[";
    for (std::size_t r = 0; r < table.rows.size(); ++r) {
      text += r == 0 ? "\n  {" : ",\n  {";
      for (std::size_t c = 0; c < table.columns.size(); ++c) {
        const Table::Cell& cell = table.rows[r][c];
        text += (c == 0 ? "" : ", ") + json_text(table.columns[c]) + ": ";
        const bool bare = cell.kind == Table::Cell::Kind::integer || cell.kind == Table::Cell::Kind::real;
        const bool finite = cell.text.find_first_of("in") == std::string::npos;  // not inf, -inf, nan
        text += cell.kind == Table::Cell::Kind::null || (bare && !finite) ? "null"
                : bare                                                    ? cell.text
                                                                          : json_text(cell.text);
      }
      text += "}";
    }
    fmt::print("{}{}]\n", text, table.rows.empty() ? "" : "\n");
    return;
  }
  TextTable out(table.columns);
  for (const auto& row : table.rows) {
    std::vector<std::string> cells;
    for (const Table::Cell& cell : row) cells.push_back(cell.text);
    out.add(std::move(cells));
  }
  fmt::print("{}", out.text());
}

}  // namespace

void add_results(CLI::App& app, Context& /*context*/) {
  {
    auto* command = app.add_subcommand("trials", "Show trials, or one of them whole");
    auto arguments = std::make_shared<TrialsArguments>();
    arguments->limit = 50;
    add_selection(*command, arguments->selection);
    command->add_option("NUMBER", arguments->number, "One trial, with all its values")->check(AtLeastOne());
    command->add_option("--status", arguments->status, "ok, failed, timed_out, invalid or duplicate")
        ->check(CLI::IsMember({"ok", "failed", "timed_out", "invalid", "duplicate"}));
    command->add_option("-n,--limit", arguments->limit, "Show the last N (0: all)")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    command->add_flag("--json", arguments->json, "As JSON");
    command->callback([arguments] { show_trials(*arguments); });
  }
  {
    auto* command = app.add_subcommand("best", "Show the best feasible trials by each objective, or by one metric");
    auto arguments = std::make_shared<BestArguments>();
    add_selection(*command, arguments->selection);
    command->add_option("-m,--metric", arguments->metric, "By this metric (default: each objective)");
    command->add_option("-n,--count", arguments->count, "How many")->check(AtLeastOne())->capture_default_str();
    command->add_flag("--json", arguments->json, "As JSON");
    command->callback([arguments] { show_best(*arguments); });
  }
  {
    auto* command = app.add_subcommand("pareto", "Show the non-dominated feasible trials");
    auto arguments = std::make_shared<ParetoArguments>();
    add_selection(*command, arguments->selection);
    command->add_flag("--json", arguments->json, "As JSON");
    command->callback([arguments] { show_pareto(*arguments); });
  }
  {
    auto* command = app.add_subcommand("export", "Write all trials as CSV or JSON");
    auto arguments = std::make_shared<ExportArguments>();
    add_selection(*command, arguments->selection);
    auto* csv = command->add_flag("--csv", arguments->csv, "As CSV (the default)");
    command->add_flag("--json", arguments->json, "As JSON")->excludes(csv);
    command->add_flag("--reproducible", arguments->reproducible,
                      "Leave out times, cache hits and measured metrics: the same bytes for every run of the same file");
    command->add_option("-o,--output", arguments->output, "To this file (default: standard output)");
    command->callback([arguments] { export_trials(*arguments); });
  }
  {
    auto* command = app.add_subcommand("query", "Run one read-only SQL statement (docs/schema.md has a cookbook)");
    auto arguments = std::make_shared<QueryArguments>();
    command->add_option("FILE", arguments->file, "Database, or experiment file (its output is read)")->required();
    command->add_option("SQL", arguments->sql, "One SELECT")->required();
    command->add_flag("--json", arguments->json, "As JSON");
    command->callback([arguments] { show_query(*arguments); });
  }
}

}  // namespace duet::cli
