#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "core/errors.hpp"
#include "core/units.hpp"
#include "experiments/export.hpp"
#include "experiments/simulated_clock.hpp"

namespace duet::cli {
namespace {

constexpr std::string_view outcomes[] = {"ok", "failed", "timed_out", "invalid", "duplicate"};  // as Store::Outcome
constexpr std::size_t trials_at_once = 1000;

std::string status_text(const TrialRecord& trial) {
  return trial.duplicate_of ? fmt::format("= {}", *trial.duplicate_of) : std::string(to_string(trial.status));
}

/// What the simulated clock shows after each trial, by number; empty where there is none.
using Times = std::vector<double>;

Times simulated_times(const OpenExperiment& open) {
  Times times;
  SimulatedClock clock(open.record.metrics);
  if (!clock.exists()) return times;
  open.store.for_each(open.record, [&](const TrialRecord& trial) {
    times.resize(std::max<std::size_t>(times.size(), trial.number + 1), clock.now_s());
    times[trial.number] = clock.tell(trial);
  });
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
  if (trial.number < times.size()) out["simulated_total_s"] = times[trial.number];
  if (!record.constraints.empty() && trial.status == Status::ok) out["violation"] = trial.violation;
  return out;
}

std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// Prints trials as they come: a JSON array, or tables of many rows each, the first with the header.
class TrialPrinter {
 public:
  TrialPrinter(const ExperimentRecord& record, bool as_json, const Times& times = {})
      : record_(record), as_json_(as_json), times_(times) {
    for (const bool objective : {true, false}) {
      for (std::size_t i = 0; i < record.metrics.size(); ++i) {
        if (record.metrics[i].objective == objective) shown_.push_back(i);
      }
    }
    if (shown_.size() > 8) shown_.resize(8);
    begin_table();
  }

  void add(const TrialRecord& trial) {
    if (as_json_) {
      std::string text = dump(trial_json(record_, trial, times_));
      for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 3) text.insert(at + 1, "  ");
      fmt::print("{}\n  {}", count_ == 0 ? "[" : ",", text);
      ++count_;
      return;
    }
    std::vector<std::string> row{std::to_string(trial.number), status_text(trial)};
    for (const std::size_t i : shown_) {
      row.push_back(trial.values.empty() ? "" : human(trial.values[i], record_.metrics[i].metric.unit));
    }
    if (!times_.empty()) row.push_back(trial.number < times_.size() ? human(times_[trial.number], "s") : "");
    row.push_back(trial.duplicate_of        ? ""
                  : !trial.reason.empty()   ? trial.reason
                  : trial.violation > 0     ? fmt::format("infeasible, violation {:.3g}", trial.violation)
                                            : "");
    table_->add(std::move(row));
    if (++count_ % rows_per_table != 0) return;
    fmt::print("{}", table_->text());
    begin_table();
  }

  void finish() {
    if (as_json_) {
      fmt::print("{}", count_ == 0 ? "[]\n" : "\n]\n");
    } else if (count_ == 0 || count_ % rows_per_table != 0) {
      fmt::print("{}", table_->text());
    }
  }

 private:
  static constexpr std::size_t rows_per_table = 10'000;

  void begin_table() {
    std::vector<std::string> header{"trial", "status"};
    for (const std::size_t i : shown_) header.push_back(record_.metrics[i].metric.name);
    if (!times_.empty()) header.push_back("simulated total");
    header.push_back("reason");
    table_.emplace(header);
  }

  const ExperimentRecord& record_;
  bool as_json_;
  Times times_;
  std::vector<std::size_t> shown_;
  std::size_t count_ = 0;
  std::optional<TextTable> table_;
};

void print_trials(const ExperimentRecord& record, const std::vector<TrialRecord>& trials, bool as_json,
                  const Times& times = {}) {
  TrialPrinter printer(record, as_json, times);
  for (const TrialRecord& trial : trials) printer.add(trial);
  printer.finish();
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
    const Times times = simulated_times(open);
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
  std::optional<Store::Outcome> outcome;
  if (!arguments.status.empty()) {
    const auto* const word = std::find(std::begin(outcomes), std::end(outcomes), arguments.status);
    outcome = static_cast<Store::Outcome>(word - std::begin(outcomes));
  }
  const std::uint64_t limit = arguments.limit != 0 ? arguments.limit : std::numeric_limits<std::uint64_t>::max();
  const std::vector<std::uint64_t> numbers = open.store.last(open.record.id, limit, outcome);
  TrialPrinter printer(open.record, arguments.json, simulated_times(open));
  for (std::size_t begin = 0; begin < numbers.size(); begin += trials_at_once) {
    const auto page = std::span(numbers).subspan(begin, std::min(trials_at_once, numbers.size() - begin));
    for (const TrialRecord& trial : open.store.trials(open.record, page)) printer.add(trial);
  }
  printer.finish();
  const std::uint64_t all = open.store.count(open.record.id, outcome);
  if (!arguments.json && numbers.size() < all) {
    fmt::print("(the last {} of {}; --limit 0 shows all)\n", numbers.size(), all);
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
  // Of each metric the best so far, the worst of them on top.
  using Scored = std::pair<double, std::uint64_t>;  // minimised value, number: the earlier of equals is better
  std::vector<std::vector<Scored>> best(metrics.size());
  open.store.for_each_score(open.record, metrics, [&](std::uint64_t number, std::span<const double> values) {
    for (std::size_t k = 0; k < metrics.size(); ++k) {
      const bool minimize = open.record.metrics[metrics[k]].direction == Direction::minimize;
      const Scored scored{minimize ? values[k] : -values[k], number};
      std::vector<Scored>& heap = best[k];
      if (heap.size() == arguments.count) {
        if (!(scored < heap.front())) continue;
        std::pop_heap(heap.begin(), heap.end());
        heap.pop_back();
      }
      heap.push_back(scored);
      std::push_heap(heap.begin(), heap.end());
    }
  });
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  for (std::size_t k = 0; k < metrics.size(); ++k) {
    const StoredMetric& stored = open.record.metrics[metrics[k]];
    std::sort_heap(best[k].begin(), best[k].end());
    std::vector<std::uint64_t> numbers;
    for (const Scored& scored : best[k]) numbers.push_back(scored.second);
    const std::vector<TrialRecord> trials = open.store.trials(open.record, numbers);
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
  print_trials(open.record, open.store.trials(open.record, front.numbers), true);
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
  const auto write = [&](const ExportSink& sink) {
    if (arguments.json) {
      export_json(open.store, open.record, options, sink);
    } else {
      export_csv(open.store, open.record, options, sink);
    }
  };
  if (arguments.output.empty()) {
    write([](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); });
    return;
  }
  std::error_code absent;
  if (std::filesystem::equivalent(arguments.output, open.store.path(), absent)) {
    throw ConfigError(arguments.output + " is the database itself; choose another output");
  }
  errno = 0;
  std::ofstream stream(arguments.output, std::ios::binary);
  write([&](std::string_view text) { stream << text; });
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
