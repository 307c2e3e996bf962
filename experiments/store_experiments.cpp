/// What the database knows of an experiment before its first trial.

#include <algorithm>
#include <charconv>
#include <optional>
#include <sqlite3.h>

#include "core/config.hpp"
#include "core/errors.hpp"
#include "experiments/store_implementation.hpp"

namespace duet {
namespace database {

using sqlite::Connection;
using sqlite::Statement;
using sqlite::Transaction;

namespace {

std::string_view to_string(Parameter::Kind kind) {
  switch (kind) {
    case Parameter::Kind::choice:
      return "choice";
    case Parameter::Kind::ordinal:
      return "ordinal";
    case Parameter::Kind::integer:
      return "integer";
    case Parameter::Kind::real:
      return "real";
  }
  return "?";
}

/// The enumerator among the first `count` whose to_string() is `word`.
template <class Enum>
std::optional<Enum> enumerator(std::string_view word, int count) {
  for (int i = 0; i < count; ++i) {
    if (to_string(static_cast<Enum>(i)) == word) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

std::optional<Fingerprint> parse_fingerprint(const std::string& hex) {
  if (hex.size() != 32) return std::nullopt;
  Fingerprint result;
  for (const auto& [begin, word] : {std::pair{0, &result.high}, std::pair{16, &result.low}}) {
    const char* first = hex.data() + begin;
    const auto [end, error] = std::from_chars(first, first + 16, *word, 16);
    if (error != std::errc() || end != first + 16) return std::nullopt;
  }
  return result;
}

void read_parameters(Connection& connection, ExperimentRecord& record) {
  Statement rows = connection.prepare(
      "SELECT position, path, kind, unit, description, minimum, maximum, logarithmic, parent, parent_low, "
      "parent_high "
      "FROM parameters WHERE experiment = ? ORDER BY position");
  rows.bind(1, record.id);
  while (rows.step()) {
    Parameter parameter;
    parameter.path = rows.text(1);
    const auto kind = enumerator<Parameter::Kind>(rows.text(2), 4);
    const auto position = static_cast<std::int64_t>(record.parameters.size());
    if (!kind || rows.integer(0) != position || !rows.is_number(5) || !rows.is_number(6)) {
      damaged(connection, fmt::format("parameter {} of '{}' cannot be read", position, record.name));
    }
    parameter.kind = *kind;
    parameter.unit = rows.text(3);
    parameter.description = rows.text(4);
    parameter.minimum = rows.real(5);
    parameter.maximum = rows.real(6);
    parameter.logarithmic = rows.integer(7) != 0;
    if (!rows.is_null(8)) {
      const std::int64_t parent = rows.integer(8);
      if (parent < 0 || parent >= position) {
        damaged(connection, fmt::format("the parent of '{}' of '{}' is none", parameter.path, record.name));
      }
      parameter.parent = static_cast<std::size_t>(parent);
      parameter.parent_low = rows.real(9);
      parameter.parent_high = rows.real(10);
    }
    record.parameters.push_back(std::move(parameter));
  }
  Statement options = connection.prepare(
      "SELECT parameter, code, value FROM options WHERE experiment = ? ORDER BY parameter, code");
  options.bind(1, record.id);
  while (options.step()) {
    const std::uint64_t index = as_unsigned(options.integer(0));
    if (index >= record.parameters.size())
      damaged(connection, fmt::format("an option of '{}' has no parameter", record.name));
    Parameter& parameter = record.parameters[index];
    const bool is_choice = parameter.kind == Parameter::Kind::choice;
    const std::size_t known = is_choice ? parameter.options.size() : parameter.values.size();
    if (as_unsigned(options.integer(1)) != known || (!is_choice && !options.is_number(2))) {
      damaged(connection,
              fmt::format("the options of '{}' of '{}' cannot be read", parameter.path, record.name));
    }
    if (is_choice) {
      parameter.options.push_back(options.text(2));
    } else {
      parameter.values.push_back(options.real(2));
    }
  }
  for (const Parameter& parameter : record.parameters) {
    const bool listed =
        parameter.kind == Parameter::Kind::choice || parameter.kind == Parameter::Kind::ordinal;
    const std::size_t count = parameter.options.size() + parameter.values.size();
    if (listed ? count == 0 || parameter.minimum != 0 || parameter.maximum != static_cast<double>(count - 1)
               : count != 0 || !(parameter.minimum <= parameter.maximum)) {
      damaged(connection,
              fmt::format("the values of '{}' of '{}' are incomplete", parameter.path, record.name));
    }
  }
}

void read_metrics(Connection& connection, ExperimentRecord& record) {
  Statement rows = connection.prepare(
      "SELECT position, name, unit, direction, natural_direction, source, estimator, objective, "
      "description "
      "FROM metrics WHERE experiment = ? ORDER BY position");
  rows.bind(1, record.id);
  while (rows.step()) {
    StoredMetric stored;
    stored.metric.name = rows.text(1);
    stored.metric.unit = rows.text(2);
    const auto direction = enumerator<Direction>(rows.text(3), 2);
    const auto natural = enumerator<Direction>(rows.text(4), 2);
    const auto source = enumerator<Source>(rows.text(5), 6);
    if (rows.integer(0) != static_cast<std::int64_t>(record.metrics.size()) || !direction || !natural ||
        !source) {
      damaged(connection, fmt::format("metric '{}' of '{}' cannot be read", stored.metric.name, record.name));
    }
    stored.direction = *direction;
    stored.metric.direction = *natural;
    stored.metric.source = *source;
    stored.estimator = rows.text(6);
    stored.objective = rows.integer(7) != 0;
    stored.metric.description = rows.text(8);
    record.metrics.push_back(std::move(stored));
  }
}

/// Parameters, metrics and constraints.
void insert_description(Connection& connection, const ExperimentRecord& record) {
  const auto position_of = [](std::size_t i) { return static_cast<std::int64_t>(i); };
  const std::vector<std::string> columns = view_columns(record);
  Statement parameters = connection.prepare("INSERT INTO parameters VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)");
  Statement options = connection.prepare("INSERT INTO options VALUES (?,?,?,?)");
  for (std::size_t i = 0; i < record.parameters.size(); ++i) {
    const Parameter& p = record.parameters[i];
    parameters.bind(1, record.id).bind(2, position_of(i)).bind(3, p.path).bind(4, to_string(p.kind));
    parameters.bind(5, p.unit).bind(6, p.description).bind(7, p.minimum).bind(8, p.maximum);
    parameters.bind(9, std::int64_t{p.logarithmic});
    if (p.parent) {
      parameters.bind(10, position_of(*p.parent)).bind(11, p.parent_low).bind(12, p.parent_high);
    } else {
      parameters.bind_null(10).bind_null(11).bind_null(12);
    }
    parameters.bind(13, columns[record.metrics.size() + i]).run();
    options.bind(1, record.id).bind(2, position_of(i));
    for (std::size_t code = 0; code < p.options.size(); ++code) {
      options.bind(3, position_of(code)).bind(4, p.options[code]).run();
    }
    const bool whole = std::all_of(p.values.begin(), p.values.end(), is_whole);
    for (std::size_t code = 0; code < p.values.size(); ++code) {
      options.bind(3, position_of(code));
      whole ? options.bind(4, static_cast<std::int64_t>(p.values[code])) : options.bind(4, p.values[code]);
      options.run();
    }
  }
  Statement metrics = connection.prepare("INSERT INTO metrics VALUES (?,?,?,?,?,?,?,?,?,?,?)");
  for (std::size_t i = 0; i < record.metrics.size(); ++i) {
    const StoredMetric& m = record.metrics[i];
    metrics.bind(1, record.id).bind(2, position_of(i)).bind(3, m.metric.name).bind(4, m.metric.unit);
    metrics.bind(5, duet::to_string(m.direction)).bind(6, duet::to_string(m.metric.direction));
    metrics.bind(7, duet::to_string(m.metric.source)).bind(8, m.estimator).bind(9, std::int64_t{m.objective});
    metrics.bind(10, m.metric.description).bind(11, columns[i]).run();
  }
  Statement constraints = connection.prepare("INSERT INTO constraints VALUES (?,?,?)");
  for (std::size_t i = 0; i < record.constraints.size(); ++i) {
    constraints.bind(1, record.id).bind(2, position_of(i)).bind(3, record.constraints[i]).run();
  }
}

}  // namespace

std::int64_t checksum(const ExperimentRecord& experiment) {
  Hasher hasher;
  hasher.add(experiment.name).add(experiment.specification).add(experiment.identity).add(experiment.seed);
  hasher.add(experiment.strategy).add(experiment.space_fingerprint.hex()).add(experiment.code_version);
  hasher.add(experiment.machine).add(experiment.created_at).add(experiment.parameters.size());
  for (const Parameter& p : experiment.parameters) {
    hasher.add(p.path).add(to_string(p.kind)).add(p.unit).add(p.description).add(std::uint64_t{p.logarithmic});
    hasher.add(p.minimum).add(p.maximum);
    hasher.add(p.parent ? *p.parent + 1 : 0);
    if (p.parent) hasher.add(p.parent_low).add(p.parent_high);
    hasher.add(p.options.size()).add(p.values.size());
    for (const std::string& option : p.options) hasher.add(option);
    for (const double value : p.values) hasher.add(value);
  }
  hasher.add(experiment.metrics.size());
  for (const StoredMetric& m : experiment.metrics) {
    hasher.add(m.metric.name).add(m.metric.unit).add(m.metric.description).add(m.estimator);
    hasher.add(duet::to_string(m.direction)).add(duet::to_string(m.metric.direction));
    hasher.add(duet::to_string(m.metric.source)).add(std::uint64_t{m.objective});
  }
  hasher.add(experiment.constraints.size());
  for (const std::string& constraint : experiment.constraints) hasher.add(constraint);
  return checksum(hasher);
}

std::int64_t checksum(const FinalRecord& record) {
  return checksum(Hasher().add(record.trial).add(record.replicate).add(record.metric).add(record.unit)
                      .add(record.value).add(record.recipe).add(record.created_at));
}

std::int64_t checksum_of_note(std::string_view time, std::string_view event) {
  return checksum(Hasher().add(time).add(event));
}

std::int64_t checksum_of_evaluation(std::string_view key, std::string_view value) {
  return checksum(Hasher().add(key).add(value));
}

std::vector<ExperimentRecord> read_experiments(Connection& connection) {
  Transaction snapshot(connection, Transaction::Kind::read);
  Statement rows = connection.prepare(
      "SELECT id, name, specification, identity, seed, strategy, space_fingerprint, code_version, machine, "
      "created_at "
      "FROM experiments ORDER BY id");
  std::vector<ExperimentRecord> result;
  while (rows.step()) {
    ExperimentRecord record;
    record.id = rows.integer(0);
    record.name = rows.text(1);
    record.specification = rows.text(2);
    record.identity = rows.text(3);
    record.seed = as_unsigned(rows.integer(4));
    record.strategy = rows.text(5);
    const auto fingerprint = parse_fingerprint(rows.text(6));
    if (!fingerprint) damaged(connection, fmt::format("the space fingerprint of '{}' is none", record.name));
    record.space_fingerprint = *fingerprint;
    record.code_version = rows.text(7);
    record.machine = rows.text(8);
    record.created_at = rows.text(9);
    read_parameters(connection, record);
    read_metrics(connection, record);
    Statement constraints =
        connection.prepare("SELECT expression FROM constraints WHERE experiment = ? ORDER BY position");
    constraints.bind(1, record.id);
    while (constraints.step()) record.constraints.push_back(constraints.text(0));
    result.push_back(std::move(record));
  }
  return result;
}

}  // namespace database

std::vector<ExperimentRecord> Store::experiments() const {
  const std::lock_guard lock(implementation_->reader_mutex);
  return database::read_experiments(*implementation_->reader);
}

std::optional<ExperimentRecord> Store::find(std::string_view name) const {
  for (ExperimentRecord& record : experiments()) {
    if (record.name == name) return std::move(record);
  }
  return std::nullopt;
}

ExperimentRecord Store::at(std::string_view name) const {
  std::vector<ExperimentRecord> all = experiments();
  if (all.empty()) throw StoreError(path().string() + " holds no experiments");
  if (name.empty()) return std::move(all.back());
  std::vector<std::string> names;
  for (ExperimentRecord& record : all) {
    if (record.name == name) return std::move(record);
    names.push_back(record.name);
  }
  throw StoreError(fmt::format("{} has no experiment '{}'{}", path().string(), name, hint(name, names)));
}

std::int64_t Store::create(const ExperimentRecord& experiment) {
  const std::lock_guard lock(implementation_->main_mutex);
  sqlite::Connection& connection = implementation_->writer();
  sqlite::Transaction transaction(connection, sqlite::Transaction::Kind::write);
  database::check_name(connection, experiment);
  ExperimentRecord record = experiment;
  const std::string fingerprint = record.space_fingerprint.hex();
  connection
      .prepare(
          "INSERT INTO experiments (name, specification, identity, seed, strategy, space_fingerprint, "
          "code_version, machine, created_at, checksum) VALUES (?,?,?,?,?,?,?,?,?,?)")
      .bind(1, record.name)
      .bind(2, record.specification)
      .bind(3, record.identity)
      .bind(4, database::as_signed(record.seed))
      .bind(5, record.strategy)
      .bind(6, fingerprint)
      .bind(7, record.code_version)
      .bind(8, record.machine)
      .bind(9, record.created_at)
      .bind(10, database::checksum(record))
      .run();
  record.id = sqlite3_last_insert_rowid(connection.handle());
  database::insert_description(connection, record);
  database::create_trial_tables(connection, record);
  database::create_views(connection, record);
  database::create_latest_views(connection);
  transaction.commit();
  return record.id;
}

void Store::erase(std::int64_t experiment) {
  const std::lock_guard lock(implementation_->main_mutex);
  sqlite::Connection& connection = implementation_->writer();
  const database::TrialWriter& known = implementation_->trial_writer(experiment);  // throws if there is none
  const database::Layout layout = known.layout();
  implementation_->trial_writers.erase(experiment);
  sqlite::Transaction transaction(connection, sqlite::Transaction::Kind::write);
  std::string name;
  {
    sqlite::Statement find = connection.prepare("SELECT name FROM experiments WHERE id = ?");
    if (find.bind(1, experiment).step()) name = find.text(0);
  }
  for (std::size_t part = 0; part < layout.tables(); ++part) {
    connection.run("DROP VIEW IF EXISTS " + sqlite::identifier(name + database::Layout::suffix(part)));
    connection.run("DROP TABLE " + layout.table(part));
  }
  connection.prepare("DELETE FROM experiments WHERE id = ?").bind(1, experiment).run();
  database::create_latest_views(connection);
  transaction.commit();
}

}  // namespace duet
