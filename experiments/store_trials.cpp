#include "experiments/store_trials.hpp"

#include <charconv>
#include <limits>
#include <optional>
#include <set>
#include <sqlite3.h>

#include "core/errors.hpp"
#include "experiments/store_implementation.hpp"

namespace duet {
namespace database {

using sqlite::Connection;
using sqlite::Statement;
using sqlite::Transaction;

namespace {

constexpr std::uint64_t check_place_every = 64;  // trials
constexpr std::uint64_t page_of_trials = 4096;  // read in one snapshot, by for_each()

/// The columns of a trial's first table that are neither parameters nor metrics.
constexpr const char* fixed_columns =
    ", status, violation, duplicate_of, reason, parents, cached, started_at, duration_s";

/// "[3,17]"
std::string join_numbers(const std::vector<std::uint64_t>& numbers) {
  return fmt::format("[{}]", fmt::join(numbers, ","));
}

std::optional<std::vector<std::uint64_t>> parse_numbers(std::string_view text) {
  if (text.size() < 3 || text.front() != '[' || text.back() != ']') return std::nullopt;
  std::vector<std::uint64_t> numbers;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  while (at + 1 < end) {
    ++at;  // the bracket or the comma
    std::uint64_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc() || next == end || (*next != ',' && next + 1 != end)) return std::nullopt;
    numbers.push_back(number);
    at = next;
  }
  return numbers;
}

/// Why these codes are not a well-formed candidate, as a phrase; nothing if they are.
std::optional<std::string> why_malformed(const std::vector<Parameter>& parameters,
                                         const Candidate& candidate) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& parameter = parameters[i];
    bool active = true;
    if (parameter.parent) {
      // Comparisons with NaN, the code of an absent parent, are false.
      const double code = candidate[*parameter.parent];
      active = code >= parameter.parent_low && code <= parameter.parent_high;
    }
    if (candidate.has(i) != active) {
      return fmt::format("{} value of '{}', which is {}", active ? "no" : "a", parameter.path,
                         active ? "active" : "not active");
    }
    if (!active) continue;
    const double code = candidate[i];
    if (!(code >= parameter.minimum && code <= parameter.maximum) ||
        (parameter.discrete() && code != std::floor(code))) {
      return fmt::format("a value of '{}' that it cannot have", parameter.path);
    }
  }
  return std::nullopt;
}

/// Of everything that a trial is.
std::int64_t checksum(const TrialRecord& trial) {
  Hasher hasher;
  hasher.add(trial.number).add(static_cast<std::uint64_t>(trial.status)).add(trial.violation);
  hasher.add(trial.duplicate_of.value_or(0)).add(trial.reason).add(std::uint64_t{trial.cached});
  hasher.add(trial.started_at).add(trial.duration_s).add(trial.parents.size());
  for (const std::uint64_t parent : trial.parents) hasher.add(parent);
  for (const double value : trial.values) hasher.add(value);
  for (std::size_t i = 0; i < trial.candidate.size(); ++i) {
    if (trial.candidate.has(i)) hasher.add(std::uint64_t{i}).add(trial.candidate[i]);
  }
  return database::checksum(hasher);
}

Layout stored_layout(Connection& connection, std::int64_t experiment) {
  Statement counts = connection.prepare(
      "SELECT (SELECT count(*) FROM metrics WHERE experiment = id), (SELECT count(*) FROM parameters WHERE "
      "experiment = id) FROM experiments WHERE id = ?");
  if (!counts.bind(1, experiment).step()) {
    throw StoreError(fmt::format("{} has no experiment {}", connection.shown(), experiment));
  }
  return {experiment, static_cast<std::size_t>(counts.integer(0)),
          static_cast<std::size_t>(counts.integer(1))};
}

/// " WHERE …" for trials that ended so.
std::string condition(std::optional<Store::Outcome> outcome) {
  if (!outcome) return "";
  if (*outcome == Store::Outcome::duplicate) return " WHERE duplicate_of IS NOT NULL";
  return fmt::format(" WHERE status = {} AND duplicate_of IS NULL", static_cast<int>(*outcome));
}

}  // namespace

// --- Reading

TrialReader::TrialReader(Connection& connection, const ExperimentRecord& experiment, bool checksums)
    : connection_(connection), experiment_(experiment), layout_(layout_of(experiment)) {
  for (std::size_t part = 0; part < layout_.tables(); ++part) {
    statements_.push_back(
        connection.prepare(fmt::format("SELECT number{}{}{} FROM {} WHERE number > ? ORDER BY number LIMIT ?",
                                       part == 0 ? fixed_columns : "",
                                       part != 0   ? ""
                                       : checksums ? ", checksum"
                                                   : ", NULL",
                                       layout_.list(part), layout_.table(part))));
  }
}

void TrialReader::seek(std::uint64_t after, std::uint64_t limit) {
  const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  for (Statement& statement : statements_) {
    statement.reset();
    statement.bind(1, static_cast<std::int64_t>(std::min(after, most)));
    statement.bind(2, static_cast<std::int64_t>(std::min(limit, most)));
  }
}

bool TrialReader::next(TrialRecord& trial, std::string& problem) {
  problem.clear();
  altered_ = false;
  trial = {};
  if (!statements_.front().step()) return false;
  for (std::size_t part = 1; part < statements_.size(); ++part) {
    if (!statements_[part].step() || statements_[part].integer(0) != statements_.front().integer(0)) {
      problem = "its row is incomplete: " + layout_.table(part);
      trial.number = as_unsigned(statements_.front().integer(0));
      return true;
    }
  }
  problem = decode(trial);
  const Statement& first = statements_.front();
  if (problem.empty() && !first.is_null(9)) altered_ = first.integer(9) != checksum(trial);
  return true;
}

bool TrialReader::next(TrialRecord& trial) {
  std::string problem;
  if (!next(trial, problem)) return false;
  if (problem.empty() && altered_) problem = alteration;
  if (!problem.empty()) {
    damaged(connection_, fmt::format("trial {} of '{}': {}", trial.number, experiment_.name, problem));
  }
  return true;
}

std::string TrialReader::decode(TrialRecord& trial) {
  const Statement& first = statements_.front();
  trial.number = as_unsigned(first.integer(0));
  const std::int64_t status = first.integer(1);
  if (first.type(1) != SQLITE_INTEGER || status < 0 || status > static_cast<int>(Status::invalid)) {
    return "its status is none";
  }
  trial.status = static_cast<Status>(status);
  for (const int column : {2, 7, 8}) {
    if (!first.is_number(column)) return "violation, start or duration is no number";
  }
  trial.violation = first.real(2);
  if (!(trial.violation >= 0)) return "its violation is negative";
  if (!first.is_null(3)) {
    const std::int64_t original = first.integer(3);
    if (original < 1 || as_unsigned(original) >= trial.number) return "it is a duplicate of no earlier trial";
    trial.duplicate_of = as_unsigned(original);
  }
  trial.reason = first.text(4);
  if (!first.is_null(5)) {
    auto parents = parse_numbers(first.text(5));
    if (!parents) return "its parents are no list of numbers";
    trial.parents = std::move(*parents);
  }
  trial.cached = first.integer(6) != 0;
  trial.started_at = first.real(7);
  trial.duration_s = first.real(8);

  trial.candidate = Candidate(layout_.parameters());
  const bool ok = trial.status == Status::ok && !trial.duplicate_of;
  if (ok) trial.values.resize(layout_.metrics());
  for (std::size_t part = 0; part < statements_.size(); ++part) {
    const Statement& statement = statements_[part];
    int column = part == 0 ? 10 : 1;
    for (std::size_t i = layout_.begin(part); i < layout_.end(part); ++i, ++column) {
      const int type = statement.type(column);
      const bool number = type == SQLITE_FLOAT || type == SQLITE_INTEGER;
      if (layout_.is_metric(i)) {
        const std::string& name = experiment_.metrics[i].metric.name;
        if (ok && !(number && std::isfinite(statement.real(column)))) {
          return fmt::format("it is ok but has no value of '{}'", name);
        }
        if (!ok && type != SQLITE_NULL)
          return fmt::format("it is not an original that is ok but has a value of '{}'", name);
        if (ok) trial.values[i] = statement.real(column);
      } else if (number) {
        trial.candidate.set(i - layout_.metrics(), statement.real(column));
      } else if (type != SQLITE_NULL) {
        return fmt::format("'{}' is no number", experiment_.parameters[i - layout_.metrics()].path);
      }
    }
  }
  // What the space ruled out may be malformed; that may be why.
  if (trial.status == Status::invalid) return {};
  const auto malformed = why_malformed(experiment_.parameters, trial.candidate);
  return malformed ? "it has " + *malformed : std::string();
}

// --- Writing

TrialWriter::TrialWriter(Connection& connection, std::int64_t experiment)
    : connection_(connection), layout_(stored_layout(connection, experiment)) {
  Statement metrics = connection.prepare("SELECT name FROM metrics WHERE experiment = ? ORDER BY position");
  metrics.bind(1, experiment);
  while (metrics.step()) metric_names_.push_back(metrics.text(0));
  for (std::size_t part = 0; part < layout_.tables(); ++part) {
    const std::size_t columns = layout_.end(part) - layout_.begin(part) + (part == 0 ? 10 : 1);
    std::string marks = "?";
    for (std::size_t i = 1; i < columns; ++i) marks += ",?";
    inserts_.push_back(connection.prepare(fmt::format(
        "INSERT INTO {} (number{}{}{}) VALUES ({})", layout_.table(part), part == 0 ? fixed_columns : "",
        part == 0 ? ", checksum" : "", layout_.list(part), marks)));
  }
}

void TrialWriter::check(const TrialRecord& trial) const {
  const auto refuse = [&](const std::string& what) {
    throw StoreError(
        fmt::format("{}: trial {} cannot be stored: {}", connection_.shown(), trial.number, what));
  };
  if (trial.number == 0 || trial.number > as_unsigned(std::numeric_limits<std::int64_t>::max())) {
    refuse("trials are numbered from 1");
  }
  if (trial.candidate.size() != layout_.parameters()) {
    refuse(
        fmt::format("it has {} parameters, the experiment {}", trial.candidate.size(), layout_.parameters()));
  }
  if (trial.duplicate_of && (*trial.duplicate_of == 0 || *trial.duplicate_of >= trial.number)) {
    refuse("the original of a duplicate must be earlier");
  }
  // A duplicate points at the trial that has the values.
  const bool valued = trial.status == Status::ok && !trial.duplicate_of;
  const std::size_t expected = valued ? layout_.metrics() : 0;
  if (trial.values.size() != expected) {
    refuse(fmt::format("it has {} values of metrics instead of {}", trial.values.size(), expected));
  }
  for (std::size_t i = 0; i < expected; ++i) {
    if (!std::isfinite(trial.values[i])) refuse(fmt::format("'{}' is not finite", metric_names_[i]));
  }
  if (!(trial.violation >= 0)) refuse("its violation is not a number from 0");
  const auto status = static_cast<int>(trial.status);
  if (status < 0 || status > static_cast<int>(Status::invalid)) refuse("its status is none");
}

void TrialWriter::bind(const TrialRecord& trial, std::size_t part, const std::string& parents) {
  Statement& insert = inserts_[part];
  insert.bind(1, as_signed(trial.number));
  int index = 1;
  if (part == 0) {
    insert.bind(2, static_cast<std::int64_t>(trial.status)).bind(3, trial.violation);
    trial.duplicate_of ? insert.bind(4, as_signed(*trial.duplicate_of)) : insert.bind_null(4);
    trial.reason.empty() ? insert.bind_null(5) : insert.bind(5, trial.reason);
    trial.parents.empty() ? insert.bind_null(6) : insert.bind(6, parents);
    insert.bind(7, std::int64_t{trial.cached}).bind(8, trial.started_at).bind(9, trial.duration_s);
    insert.bind(10, checksum(trial));
    index = 10;
  }
  for (std::size_t i = layout_.begin(part); i < layout_.end(part); ++i) {
    const bool metric = layout_.is_metric(i);
    const std::size_t parameter = i - layout_.metrics();
    ++index;
    if (metric ? trial.values.empty() : !trial.candidate.has(parameter)) {
      insert.bind_null(index);
    } else {
      insert.bind(index, metric ? trial.values[i] : trial.candidate[parameter]);
    }
  }
}

void TrialWriter::append(const TrialRecord& trial) {
  const std::string parents = trial.parents.empty() ? std::string() : join_numbers(trial.parents);
  check(trial);
  try {
    // One statement is a transaction by itself.
    std::optional<Transaction> transaction;
    if (inserts_.size() > 1) transaction.emplace(connection_, Transaction::Kind::write);
    for (std::size_t part = 0; part < inserts_.size(); ++part) {
      bind(trial, part, parents);
      inserts_[part].run();
    }
    if (transaction) transaction->commit();
  } catch (const sqlite::Error& error) {
    if (error.primary_code() != SQLITE_CONSTRAINT) throw;
    throw StoreError(fmt::format("{}: trial {} is stored already", connection_.shown(), trial.number));
  }
}

}  // namespace database

// --- Store

using database::Layout;
using database::TrialReader;

void Store::append(std::int64_t experiment, const TrialRecord& trial) {
  const std::lock_guard lock(implementation_->main_mutex);
  implementation_->writer();  // or throws
  implementation_->trial_writer(experiment).append(trial);
  if (++implementation_->appended % database::check_place_every == 0) implementation_->check_place();
}

std::vector<TrialRecord> Store::trials(const ExperimentRecord& experiment, std::uint64_t after,
                                       std::uint64_t limit) const {
  const std::lock_guard lock(implementation_->reader_mutex);
  sqlite::Connection& connection = *implementation_->reader;
  sqlite::Transaction snapshot(connection, sqlite::Transaction::Kind::read);
  TrialReader rows(connection, experiment, implementation_->checksums());
  rows.seek(after, limit);
  std::vector<TrialRecord> result;
  TrialRecord trial;
  while (rows.next(trial)) result.push_back(std::move(trial));
  return result;
}

std::vector<TrialRecord> Store::trials(const ExperimentRecord& experiment,
                                       std::span<const std::uint64_t> numbers) const {
  const std::lock_guard lock(implementation_->reader_mutex);
  sqlite::Connection& connection = *implementation_->reader;
  sqlite::Transaction snapshot(connection, sqlite::Transaction::Kind::read);
  TrialReader rows(connection, experiment, implementation_->checksums());
  std::vector<TrialRecord> result;
  TrialRecord trial;
  for (const std::uint64_t number : numbers) {
    if (number == 0) continue;
    rows.seek(number - 1, 1);
    if (rows.next(trial) && trial.number == number) result.push_back(std::move(trial));
  }
  return result;
}

void Store::for_each(const ExperimentRecord& experiment,
                     const std::function<void(const TrialRecord&)>& visit) const {
  // Page by page, so that neither memory nor the time for which the log is needed grows with the experiment.
  std::uint64_t last = 0;
  const auto end = database::as_unsigned([&] {
    const std::lock_guard lock(implementation_->reader_mutex);
    return implementation_->reader->integer(
        fmt::format("SELECT max(number) FROM {}", database::layout_of(experiment).table(0)));
  }());
  while (last < end) {
    const std::vector<TrialRecord> page = trials(experiment, last, database::page_of_trials);
    for (const TrialRecord& trial : page) {
      if (trial.number > end) return;
      visit(trial);
    }
    if (page.size() < database::page_of_trials) return;
    last = page.back().number;
  }
}

std::optional<TrialRecord> Store::trial(const ExperimentRecord& experiment, std::uint64_t number) const {
  std::vector<TrialRecord> found = trials(experiment, std::span(&number, 1));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

std::uint64_t Store::count(std::int64_t experiment, std::optional<Outcome> outcome) const {
  const std::lock_guard lock(implementation_->reader_mutex);
  return database::as_unsigned(implementation_->reader->integer(fmt::format(
      "SELECT count(*) FROM {}{}", Layout(experiment, 0, 0).table(0), database::condition(outcome))));
}

std::vector<std::uint64_t> Store::last(std::int64_t experiment, std::uint64_t limit,
                                       std::optional<Outcome> outcome) const {
  const std::lock_guard lock(implementation_->reader_mutex);
  sqlite::Statement rows = implementation_->reader->prepare(
      fmt::format("SELECT number FROM {}{} ORDER BY number DESC LIMIT ?", Layout(experiment, 0, 0).table(0),
                  database::condition(outcome)));
  const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  rows.bind(1, static_cast<std::int64_t>(std::min(limit, most)));
  std::vector<std::uint64_t> numbers;
  while (rows.step()) numbers.push_back(database::as_unsigned(rows.integer(0)));
  std::reverse(numbers.begin(), numbers.end());
  return numbers;
}

void Store::for_each_score(const ExperimentRecord& experiment, const std::vector<std::size_t>& metrics,
                           const std::function<void(std::uint64_t, std::span<const double>)>& visit) const {
  const Layout layout = database::layout_of(experiment);
  const std::lock_guard lock(implementation_->reader_mutex);
  std::string columns, tables = layout.table(0) + " AS t0";
  std::set<std::size_t> parts{0};
  for (const std::size_t metric : metrics) {
    const std::size_t part = layout.part_of(metric);
    if (parts.insert(part).second) {
      tables += fmt::format(" JOIN {} AS t{} ON t{}.number = t0.number", layout.table(part), part, part);
    }
    columns += fmt::format(", t{}.{}", part, layout.column(metric));
  }
  sqlite::Statement rows = implementation_->reader->prepare(
      fmt::format("SELECT t0.number{} FROM {} WHERE status = {} AND violation = 0 AND duplicate_of IS NULL "
                  "ORDER BY t0.number",
                  columns, tables, static_cast<int>(Status::ok)));
  std::vector<double> values(metrics.size());
  while (rows.step()) {
    const std::int64_t number = rows.integer(0);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const int column = static_cast<int>(i) + 1;
      if (!rows.is_number(column)) {
        database::damaged(*implementation_->reader,
                          fmt::format("trial {} of '{}': it is ok but has no value of '{}'", number,
                                      experiment.name, experiment.metrics[metrics[i]].metric.name));
      }
      values[i] = rows.real(column);
    }
    visit(database::as_unsigned(number), values);
  }
}

}  // namespace duet
