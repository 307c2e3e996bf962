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
  Statement views = connection.prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'view' AND name = ?");
  if (views.bind(1, experiment.name).step() && views.integer(0) != 1)
    problems.push_back(prefix + "its view is missing");
  return damaged_trials;
}

Findings check_file(Connection& connection, bool checksums) {
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
      auto damaged_here = check_experiment(connection, experiment, checksums, problems);
      findings.damaged_trials.emplace_back(experiment, std::move(damaged_here));
    });
  }
  return findings;
}

}  // namespace

std::vector<std::string> Store::check() const {
  const std::lock_guard lock(implementation_->reader_mutex);
  return check_file(*implementation_->reader, implementation_->checksums).problems;
}

std::vector<std::string> Store::repair() {
  const Findings findings = [&] {
    const std::lock_guard lock(implementation_->reader_mutex);
    return check_file(*implementation_->reader, implementation_->checksums);
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
    Statement view =
        connection.prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'view' AND name = ?");
    if (view.bind(1, experiment.name).step() && view.integer(0) == 0) {
      for (std::size_t part = 1; part < layout.tables(); ++part) {
        connection.run("DROP VIEW IF EXISTS " + sqlite::identifier(experiment.name + Layout::suffix(part)));
      }
      create_views(connection, experiment);
      done.push_back(fmt::format("experiment '{}': its view is there again", experiment.name));
    }
  }
  create_latest_views(connection);
  transaction.commit();
  return done;
}

}  // namespace duet
