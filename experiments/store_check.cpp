/// Is the file sound, and what can be mended?

#include <algorithm>
#include <limits>
#include <sqlite3.h>
#include <utility>

#include "core/errors.hpp"
#include "experiments/store_implementation.hpp"

namespace duet {

using database::as_signed;
using database::as_unsigned;
using database::create_latest_views;
using database::create_views;
using database::Layout;
using database::layout_of;
using database::orphan_tables;
using database::TrialReader;
using sqlite::Connection;
using sqlite::Statement;
using sqlite::Transaction;

namespace {

constexpr std::size_t most_problems = 20;  // per kind, in check()

struct Findings {
  std::vector<std::string> problems;
  std::vector<std::pair<ExperimentRecord, std::vector<std::uint64_t>>> damaged_trials;
  /// Rows of notes, finals (by id) and evaluations (by key) that are not what was stored.
  std::vector<std::int64_t> damaged_notes, damaged_finals;
  std::vector<std::string> damaged_evaluations;
};

/// Which trials can be read, where the pages of a table are damaged: from the first on and from the last
/// back.
std::string readable(Connection& connection, const ExperimentRecord& experiment) {
  const auto count = [&](const char* order, std::int64_t& last) {
    std::uint64_t read = 0;
    try {
      Statement rows = connection.prepare(fmt::format("SELECT number, duration_s FROM {} ORDER BY number {}",
                                                      layout_of(experiment).table(0), order));
      for (; rows.step(); ++read) last = rows.integer(0);
    } catch (const StoreError&) {
    }
    return read;
  };
  std::int64_t up = 0, down = 0;
  const std::uint64_t from_first = count("ASC", up);
  const std::uint64_t from_last = count("DESC", down);
  std::string text = fmt::format("of its trials {} can be read from the first on", from_first);
  if (from_first > 0) text += fmt::format(", to trial {}", up);
  text += fmt::format(", and {} from the last back", from_last);
  return text + (from_last > 0 ? fmt::format(", to trial {}", down) : "");
}

/// A view that was not made by duet, or has been damaged since, may tell anything.
std::vector<std::string> view_problems(Connection& connection, const ExperimentRecord& experiment) {
  std::vector<std::string> problems;
  Statement find = connection.prepare("SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?");
  for (const auto& [name, sql] : database::views(experiment)) {
    if (!find.bind(1, name).step()) {
      problems.push_back(name == experiment.name ? "its view is missing" : fmt::format("its view {} is missing", name));
    } else if (find.text(0) != sql) {
      problems.push_back(fmt::format("its view {} is not the one that was stored", name));
    }
    find.reset();
  }
  return problems;
}

/// Whether the description of an experiment is what was stored.
bool is_as_stored(Connection& connection, const ExperimentRecord& experiment) {
  Statement stored = connection.prepare("SELECT checksum FROM experiments WHERE id = ?");
  if (!stored.bind(1, experiment.id).step() || stored.is_null(0)) return true;
  if (stored.integer(0) != database::checksum(experiment)) return false;
  std::vector<std::string> columns;
  for (const char* table : {"metrics", "parameters"}) {
    Statement rows =
        connection.prepare(fmt::format("SELECT view_column FROM {} WHERE experiment = ? ORDER BY position", table));
    rows.bind(1, experiment.id);
    while (rows.step()) columns.push_back(rows.text(0));
  }
  return columns == database::view_columns(experiment);
}

/// Rows of the tables that all experiments share.
void check_shared_rows(Connection& connection, Findings& findings) {
  const auto report = [&](std::size_t found, const std::string& what) {
    if (found > 0) findings.problems.push_back(fmt::format("{} {} not what was stored: wrong checksum", found, what));
  };
  Statement notes = connection.prepare("SELECT id, time, event, checksum FROM notes WHERE checksum IS NOT NULL");
  while (notes.step()) {
    if (notes.integer(3) != database::checksum_of_note(notes.text(1), notes.text(2))) {
      findings.damaged_notes.push_back(notes.integer(0));
    }
  }
  report(findings.damaged_notes.size(), "notes are");
  Statement finals = connection.prepare(
      "SELECT trial, replicate, metric, unit, value, recipe, created_at, id, checksum FROM finals WHERE checksum IS NOT "
      "NULL");
  while (finals.step()) {
    const FinalRecord record{as_unsigned(finals.integer(0)), as_unsigned(finals.integer(1)), finals.text(2),
                             finals.text(3),                 finals.real(4),                 finals.text(5),
                             finals.text(6)};
    if (finals.integer(8) != database::checksum(record)) findings.damaged_finals.push_back(finals.integer(7));
  }
  report(findings.damaged_finals.size(), "final measurements are");
  Statement evaluations =
      connection.prepare("SELECT key, value, checksum FROM evaluations WHERE checksum IS NOT NULL");
  while (evaluations.step()) {
    std::string key = evaluations.text(0);
    if (evaluations.integer(2) != database::checksum_of_evaluation(key, evaluations.text(1))) {
      findings.damaged_evaluations.push_back(std::move(key));
    }
  }
  report(findings.damaged_evaluations.size(), "cached results are");
}

/// \returns the numbers of the trials whose rows are damaged.
std::vector<std::uint64_t> check_experiment(Connection& connection, const ExperimentRecord& experiment,
                                            bool checksums, std::vector<std::string>& problems) {
  const std::string prefix = fmt::format("experiment '{}': ", experiment.name);
  std::size_t found = 0;
  std::vector<std::uint64_t> damaged_trials;
  const auto report = [&](std::uint64_t number, const std::string& what) {
    if (++found <= most_problems) problems.push_back(fmt::format("{}trial {}: {}", prefix, number, what));
  };
  TrialReader rows(connection, experiment, checksums);
  rows.seek(0, std::numeric_limits<std::uint64_t>::max());
  std::vector<std::uint64_t> originals;
  TrialRecord trial;
  std::string problem;
  const auto next = [&] {
    try {
      return rows.next(trial, problem);
    } catch (const sqlite::Error& error) {
      problems.push_back(fmt::format("{}{}", prefix, readable(connection, experiment)));
      throw;
    }
  };
  while (next()) {
    if (!problem.empty()) {
      report(trial.number, problem);
      damaged_trials.push_back(trial.number);
      continue;
    }
    if (rows.altered()) {
      report(trial.number, TrialReader::alteration);
      damaged_trials.push_back(trial.number);
    }
    if (trial.number == 0 || trial.number > as_unsigned(std::numeric_limits<std::int64_t>::max())) {
      report(trial.number, "trials are numbered from 1");
    }
    if (trial.status != Status::ok && trial.reason.empty())
      report(trial.number, "it is not ok but has no reason");
    if (!trial.duplicate_of) {
      originals.push_back(trial.number);
    } else if (!std::binary_search(originals.begin(), originals.end(), *trial.duplicate_of)) {
      report(trial.number,
             fmt::format("it is a duplicate of trial {}, which is no earlier original", *trial.duplicate_of));
    }
    for (const std::uint64_t parent : trial.parents) {
      if (parent == 0 || parent >= trial.number)
        report(trial.number, "one of its parents is no earlier trial");
    }
  }
  if (found > most_problems)
    problems.push_back(fmt::format("{}{} more like these", prefix, found - most_problems));

  const Layout layout = layout_of(experiment);
  constexpr std::size_t at_once = 500;  // SQLite limits the depth of an expression to 1,000
  for (std::size_t part = 0; part < layout.tables(); ++part) {
    const std::size_t first = std::max(layout.begin(part), layout.metrics());
    for (std::size_t begin = first; begin < layout.end(part); begin += at_once) {
      std::string differs = "0";
      for (std::size_t i = begin; i < std::min(begin + at_once, layout.end(part)); ++i) {
        differs += fmt::format(" OR copy.{0} IS NOT original.{0}", layout.column(i));
      }
      Statement copies = connection.prepare(
          fmt::format("SELECT trial.number FROM {0} AS trial JOIN {1} AS copy ON copy.number = trial.number "
                      "JOIN {1} AS original ON original.number = trial.duplicate_of WHERE {2} LIMIT {3}",
                      layout.table(0), layout.table(part), differs, most_problems));
      while (copies.step()) {
        problems.push_back(fmt::format("{}trial {}: it differs from the trial it is a duplicate of", prefix,
                                       copies.integer(0)));
      }
    }
  }
  Statement finals =
      connection.prepare(fmt::format("SELECT DISTINCT trial FROM finals WHERE experiment = {} AND trial NOT "
                                     "IN (SELECT number FROM {}) LIMIT {}",
                                     experiment.id, layout.table(0), most_problems));
  while (finals.step()) {
    problems.push_back(
        fmt::format("{}a final measurement is of trial {}, which does not exist", prefix, finals.integer(0)));
  }
  return damaged_trials;
}

Findings check_file(Connection& connection, std::int64_t schema) {
  Findings findings;
  std::vector<std::string>& problems = findings.problems;
  const auto part = [&](auto&& work) {
    try {
      work();
    } catch (const StoreError& error) {
      if (std::find(problems.begin(), problems.end(), error.what()) == problems.end())
        problems.emplace_back(error.what());
    }
  };
  part([&] {
    Statement integrity = connection.prepare(fmt::format("PRAGMA integrity_check({})", most_problems));
    while (integrity.step()) {
      const std::string line = integrity.text(0);
      if (line != "ok") problems.push_back("SQLite: " + line);
    }
  });
  part([&] {
    Statement references = connection.prepare("PRAGMA foreign_key_check");
    for (std::size_t i = 0; i < most_problems && references.step(); ++i) {
      problems.push_back(fmt::format("a row of table {} belongs to no experiment", references.text(0)));
    }
  });
  part([&] {
    for (const std::string& table : orphan_tables(connection))
      problems.push_back(fmt::format("table {} belongs to no experiment", table));
  });
  std::vector<ExperimentRecord> experiments;
  part([&] { experiments = database::read_experiments(connection); });
  for (const ExperimentRecord& experiment : experiments) {
    part([&] {
      if (schema >= 3 && !is_as_stored(connection, experiment)) {
        problems.push_back(
            fmt::format("experiment '{}': its description is not what was stored: wrong checksum", experiment.name));
        return;  // of such a description nothing follows for the views
      }
      for (const std::string& problem : view_problems(connection, experiment)) {
        problems.push_back(fmt::format("experiment '{}': {}", experiment.name, problem));
      }
    });
    part([&] {
      auto damaged_here = check_experiment(connection, experiment, schema >= 2, problems);
      findings.damaged_trials.emplace_back(experiment, std::move(damaged_here));
    });
  }
  if (schema >= 3) part([&] { check_shared_rows(connection, findings); });
  return findings;
}

}  // namespace

std::vector<std::string> Store::check() const {
  const std::lock_guard lock(implementation_->reader_mutex);
  Connection& connection = *implementation_->reader;
  std::vector<std::string> problems = check_file(connection, implementation_->schema).problems;
  // Of less than a page SQLite does not say that it is missing. (Opening the file here would drop SQLite's locks.) While a
  // log is there, somebody may be moving its pages to the file.
  std::error_code absent, unknown;
  const auto log = std::filesystem::file_size(path().string() + "-wal", absent);
  const auto size = std::filesystem::file_size(path(), unknown);
  if ((absent || log == 0) && !unknown) {
    try {
      const std::uint64_t expected =
          as_unsigned(connection.integer("PRAGMA page_count")) * as_unsigned(connection.integer("PRAGMA page_size"));
      if (size < expected) {
        problems.insert(problems.begin(), fmt::format("the file is truncated: {} of {} bytes are there", size, expected));
      }
    } catch (const StoreError&) {  // is among the problems
    }
  }
  return problems;
}

std::vector<std::string> Store::repair() {
  const Findings findings = [&] {
    const std::lock_guard lock(implementation_->reader_mutex);
    return check_file(*implementation_->reader, implementation_->schema);
  }();
  const std::lock_guard lock(implementation_->main_mutex);
  Connection& connection = implementation_->writer();
  std::vector<std::string> done;
  Transaction transaction(connection, Transaction::Kind::write);
  connection.run("REINDEX");
  for (const char* table : {"parameters", "options", "metrics", "constraints", "notes", "finals"}) {
    connection.run(fmt::format("DELETE FROM {} WHERE experiment NOT IN (SELECT id FROM experiments)", table));
    const int rows = sqlite3_changes(connection.handle());
    if (rows > 0)
      done.push_back(fmt::format("{} rows of {} that belong to no experiment are gone", rows, table));
  }
  for (const std::string& table : orphan_tables(connection)) {
    connection.run("DROP TABLE " + sqlite::identifier(table));
    done.push_back(fmt::format("table {}, which belongs to no experiment, is gone", table));
  }
  for (const auto& [experiment, numbers] : findings.damaged_trials) {
    const Layout layout = layout_of(experiment);
    for (std::size_t part = 0; part < layout.tables(); ++part) {
      Statement remove =
          connection.prepare(fmt::format("DELETE FROM {} WHERE number = ?", layout.table(part)));
      for (const std::uint64_t number : numbers) remove.bind(1, as_signed(number)).run();
    }
    if (!numbers.empty()) {
      done.push_back(fmt::format(
          "experiment '{}': {} damaged trials are gone; 'duet run' with its file evaluates them again",
          experiment.name, numbers.size()));
    }
    if (is_as_stored(connection, experiment) && !view_problems(connection, experiment).empty()) {
      for (const auto& [name, sql] : database::views(experiment)) {
        connection.run("DROP VIEW IF EXISTS " + sqlite::identifier(name));
      }
      create_views(connection, experiment);
      done.push_back(fmt::format("experiment '{}': its view is there again", experiment.name));
    }
  }
  const auto remove = [&](const char* sql, const auto& keys, const std::string& what) {
    Statement statement = connection.prepare(sql);
    for (const auto& key : keys) {
      if constexpr (std::is_same_v<std::decay_t<decltype(key)>, std::string>) {
        statement.bind_blob(1, key).run();
      } else {
        statement.bind(1, key).run();
      }
    }
    if (!keys.empty()) done.push_back(fmt::format("{} {} gone", keys.size(), what));
  };
  remove("DELETE FROM notes WHERE id = ?", findings.damaged_notes, "damaged notes are");
  remove("DELETE FROM finals WHERE id = ?", findings.damaged_finals, "damaged final measurements are");
  remove("DELETE FROM evaluations WHERE key = ?", findings.damaged_evaluations, "damaged cached results are");
  create_latest_views(connection);
  transaction.commit();
  return done;
}

}  // namespace duet
