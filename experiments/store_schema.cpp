#include "experiments/store_schema.hpp"

#include <map>
#include <set>

#include "core/errors.hpp"
#include "core/units.hpp"

namespace duet::database {

using sqlite::Connection;
using sqlite::Statement;

namespace {

constexpr std::size_t longest_case = 16;  // longer lists of options are looked up in the table `options`

constexpr const char* schema = R"sql(
CREATE TABLE experiments (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  specification TEXT NOT NULL,
  identity TEXT NOT NULL,
  seed INTEGER NOT NULL,
  strategy TEXT NOT NULL,
  space_fingerprint TEXT NOT NULL,
  code_version TEXT NOT NULL,
  machine TEXT NOT NULL,
  created_at TEXT NOT NULL, checksum INTEGER);
CREATE TABLE parameters (
  experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
  position INTEGER NOT NULL,
  path TEXT NOT NULL,
  kind TEXT NOT NULL,
  unit TEXT NOT NULL,
  description TEXT NOT NULL,
  minimum REAL NOT NULL,
  maximum REAL NOT NULL,
  logarithmic INTEGER NOT NULL,
  parent INTEGER,
  parent_low REAL,
  parent_high REAL,
  view_column TEXT NOT NULL,
  PRIMARY KEY (experiment, position)) WITHOUT ROWID;
CREATE TABLE options (
  experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
  parameter INTEGER NOT NULL,
  code INTEGER NOT NULL,
  value NOT NULL,
  PRIMARY KEY (experiment, parameter, code)) WITHOUT ROWID;
CREATE TABLE metrics (
  experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
  position INTEGER NOT NULL,
  name TEXT NOT NULL,
  unit TEXT NOT NULL,
  direction TEXT NOT NULL,
  natural_direction TEXT NOT NULL,
  source TEXT NOT NULL,
  estimator TEXT NOT NULL,
  objective INTEGER NOT NULL,
  description TEXT NOT NULL,
  view_column TEXT NOT NULL,
  PRIMARY KEY (experiment, position)) WITHOUT ROWID;
CREATE TABLE constraints (
  experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
  position INTEGER NOT NULL,
  expression TEXT NOT NULL,
  PRIMARY KEY (experiment, position)) WITHOUT ROWID;
CREATE TABLE notes (
  id INTEGER PRIMARY KEY,
  experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
  time TEXT NOT NULL,
  event TEXT NOT NULL, checksum INTEGER);
CREATE TABLE finals (
  id INTEGER PRIMARY KEY,
  experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
  trial INTEGER NOT NULL,
  replicate INTEGER NOT NULL,
  metric TEXT NOT NULL,
  unit TEXT NOT NULL,
  value REAL NOT NULL,
  recipe TEXT NOT NULL,
  created_at TEXT NOT NULL, checksum INTEGER);
CREATE TABLE evaluations (
  key BLOB PRIMARY KEY,
  value BLOB NOT NULL, checksum INTEGER) WITHOUT ROWID;
)sql";

/// Schema 2: every trial has a checksum. Those from before have none, which is NULL.
void add_checksums_of_trials(Connection& connection) {
  std::vector<std::int64_t> experiments;
  {
    Statement rows = connection.prepare("SELECT id FROM experiments");
    while (rows.step()) experiments.push_back(rows.integer(0));
  }
  for (const std::int64_t id : experiments) {
    connection.run(fmt::format("ALTER TABLE trial_{} ADD COLUMN checksum INTEGER", id));
  }
}

/// Schema 3: so have descriptions of experiments, notes, final measurements and cached results.
void add_checksums_of_the_rest(Connection& connection) {
  for (const char* table : {"experiments", "notes", "finals", "evaluations"}) {
    connection.run(fmt::format("ALTER TABLE {} ADD COLUMN checksum INTEGER", table));
  }
}

/// An expression for the readable value of a parameter's code: the option's text, the ordinal's value.
std::string value_expression(const ExperimentRecord& experiment, std::size_t index) {
  const Parameter& parameter = experiment.parameters[index];
  const bool is_choice = parameter.kind == Parameter::Kind::choice;
  const std::string column = fmt::format("p{}", index);
  if (!is_choice && parameter.kind != Parameter::Kind::ordinal) return column;
  const std::size_t count = is_choice ? parameter.options.size() : parameter.values.size();
  if (count > longest_case) {
    return fmt::format("(SELECT value FROM options WHERE experiment = {} AND parameter = {} AND code = {})",
                       experiment.id, index, column);
  }
  const bool whole = std::all_of(parameter.values.begin(), parameter.values.end(), is_whole);
  std::string sql = "CASE " + column;
  for (std::size_t code = 0; code < count; ++code) {
    std::string value =
        is_choice ? sqlite::literal(parameter.options[code]) : shortest(parameter.values[code]);
    if (!is_choice && !whole && value.find_first_of(".e") == std::string::npos) value += ".0";
    sql += fmt::format(" WHEN {} THEN {}", code, value);
  }
  return sql + " END";
}

}  // namespace

void create_tables(Connection& connection) {
  connection.run(schema);
}

std::span<const sqlite::Migration> migrations() {
  static const std::vector<sqlite::Migration> steps{add_checksums_of_trials, add_checksums_of_the_rest};
  return steps;
}

void create_trial_tables(Connection& connection, const ExperimentRecord& experiment) {
  const Layout layout = layout_of(experiment);
  for (std::size_t part = 0; part < layout.tables(); ++part) {
    std::string sql = fmt::format("CREATE TABLE {} (number INTEGER PRIMARY KEY", layout.table(part));
    if (part == 0) sql += ", status INTEGER NOT NULL, violation REAL NOT NULL, duplicate_of INTEGER";
    for (std::size_t i = layout.begin(part); i < layout.end(part); ++i) {
      sql += ", " + layout.column(i);
      if (!layout.is_metric(i))
        sql += experiment.parameters[i - layout.metrics()].discrete() ? " INTEGER" : " REAL";
    }
    if (part == 0) {
      sql +=
          ", reason TEXT, parents TEXT, cached INTEGER NOT NULL, started_at REAL NOT NULL, duration_s REAL "
          "NOT NULL, checksum INTEGER";
    }
    connection.run(sql + ")");
  }
}

std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

std::vector<std::string> view_columns(const ExperimentRecord& experiment) {
  std::set<std::string> taken{"number",  "status", "reason",     "violation", "duplicate_of",
                              "parents", "cached", "started_at", "duration_s"};
  std::vector<std::string> names;
  const auto add = [&](const std::string& name, const char* prefix) {
    std::string unique = name;
    if (taken.count(lower_case(unique)) > 0) unique = prefix + name;
    for (int i = 2; taken.count(lower_case(unique)) > 0; ++i)
      unique = fmt::format("{}{}_{}", prefix, name, i);
    taken.insert(lower_case(unique));
    names.push_back(unique);
  };
  for (const StoredMetric& metric : experiment.metrics) add(metric.metric.name, "metric.");
  for (const Parameter& parameter : experiment.parameters) add(parameter.path, "parameter.");
  return names;
}

std::map<std::string, std::string> views(const ExperimentRecord& experiment) {
  const Layout layout = layout_of(experiment);
  const std::vector<std::string> names = view_columns(experiment);
  std::map<std::string, std::string> result;
  for (std::size_t part = 0; part < layout.tables(); ++part) {
    const std::string view = experiment.name + Layout::suffix(part);
    std::string sql = fmt::format("CREATE VIEW {} AS SELECT number", sqlite::identifier(view));
    if (part == 0) {
      sql += ", CASE WHEN duplicate_of IS NOT NULL THEN 'duplicate' ELSE CASE status";
      for (const Status status : {Status::ok, Status::failed, Status::timed_out, Status::invalid}) {
        sql += fmt::format(" WHEN {} THEN '{}'", static_cast<int>(status), duet::to_string(status));
      }
      sql += " END END AS status, reason";
    }
    // Parameters before metrics, as people read a row: what was tried, what came out.
    for (const bool metrics : {false, true}) {
      for (std::size_t i = layout.begin(part); i < layout.end(part); ++i) {
        if (layout.is_metric(i) != metrics) continue;
        const std::string value =
            metrics ? layout.column(i) : value_expression(experiment, i - layout.metrics());
        sql += fmt::format(", {} AS {}", value, sqlite::identifier(names[i]));
      }
    }
    if (part == 0) sql += ", violation, duplicate_of, parents, cached, started_at, duration_s";
    result.emplace(view, fmt::format("{} FROM {}", sql, layout.table(part)));
  }
  return result;
}

void create_views(Connection& connection, const ExperimentRecord& experiment) {
  for (const auto& [name, sql] : views(experiment)) connection.run(sql);
}

void create_latest_views(Connection& connection) {
  std::vector<std::string> old;
  {
    Statement views = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'view' AND (name = 'trials' OR "
        "name GLOB 'trials_[0-9]*')");
    while (views.step()) old.push_back(views.text(0));
  }
  for (const std::string& name : old) connection.run("DROP VIEW " + sqlite::identifier(name));
  std::string latest;
  std::size_t metrics = 0, parameters = 0;
  {
    Statement find = connection.prepare(
        "SELECT name, (SELECT count(*) FROM metrics WHERE experiment = id), (SELECT count(*) FROM parameters "
        "WHERE experiment = id) FROM experiments ORDER BY id DESC LIMIT 1");
    if (!find.step()) return;
    latest = find.text(0);
    metrics = static_cast<std::size_t>(find.integer(1));
    parameters = static_cast<std::size_t>(find.integer(2));
  }
  for (std::size_t part = 0; part < Layout(0, metrics, parameters).tables(); ++part) {
    connection.run(fmt::format("CREATE VIEW trials{} AS SELECT * FROM {}", Layout::suffix(part),
                               sqlite::identifier(latest + Layout::suffix(part))));
  }
}

void check_name(Connection& connection, const ExperimentRecord& experiment) {
  const std::string& name = experiment.name;
  if (name.empty() || name.find('\0') != std::string::npos) {
    throw StoreError(connection.shown() + ": an experiment needs a name");
  }
  const std::string lower = lower_case(name);
  const auto starts_with = [&](std::string_view prefix) {
    return lower.compare(0, prefix.size(), prefix) == 0;
  };
  if (lower == "trials" || starts_with("trials_") || starts_with("trial_") || starts_with("sqlite_")) {
    throw StoreError(fmt::format(
        "{}: no experiment can be named '{}', which the database itself uses; choose another name",
        connection.shown(), name));
  }
  Statement same = connection.prepare("SELECT name FROM experiments WHERE name = ?");
  if (same.bind(1, name).step()) {
    const std::string other = same.text(0);
    throw StoreError(fmt::format("{} has an experiment '{}' already{}", connection.shown(), other,
                                 other == name ? "" : " (upper and lower case are not distinguished)"));
  }
  Statement taken = connection.prepare("SELECT name FROM sqlite_schema WHERE lower(name) = lower(?)");
  for (std::size_t part = 0; part < layout_of(experiment).tables(); ++part) {
    const std::string view = name + Layout::suffix(part);
    if (taken.bind(1, view).step()) {
      throw StoreError(
          fmt::format("{}: no experiment can be named '{}': '{}' is a table or view of the database; choose "
                      "another name",
                      connection.shown(), name, view));
    }
    taken.reset();
  }
}

std::vector<std::string> orphan_tables(Connection& connection) {
  Statement tables = connection.prepare(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'trial_[0-9]*' AND "
      "CAST(substr(name, 7) AS INTEGER) NOT IN (SELECT id FROM experiments)");
  std::vector<std::string> names;
  while (tables.step()) names.push_back(tables.text(0));
  return names;
}

void damaged(const Connection& connection, const std::string& what) {
  throw StoreError(connection.shown() + " is damaged: " + what);
}

std::int64_t checksum(const Hasher& hasher) {
  return static_cast<std::int32_t>(hasher.finish().low & 0xffffffff);
}

}  // namespace duet::database
