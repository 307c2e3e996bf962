#include "experiments/store.hpp"

#include <sqlite3.h>
#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fstream>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <unordered_map>
#include <utility>

#include "core/config.hpp"
#include "core/units.hpp"
#include "experiments/sqlite.hpp"

namespace duet {
namespace {

using sqlite::Connection;
using sqlite::Statement;
using sqlite::Transaction;

constexpr std::int64_t application_id = 0x64756574;  // "duet"
constexpr std::size_t columns_per_table = 1900;  // SQLite allows 2,000; the first table has fixed columns too
constexpr std::size_t longest_case = 16;   // longer lists of options are looked up in the table `options`
constexpr std::size_t most_problems = 20;  // per kind, in check()
constexpr std::uint64_t page_of_trials = 4096;  // read in one snapshot, by for_each()

// The write-ahead log, in pages of 2 KiB. Every `log_step` pages what no reader needs goes to the database; only where
// no reader is active can the log begin anew. Readers that take turns would let it grow for ever: from `log_limit` on
// the writer waits for those that are reading, so that the next ones find a new log.
constexpr int log_step = 4000;
constexpr int log_limit = 32'000;
constexpr int longest_wait_ms = 2000;

// --- The lock

/// This process's use of one database file, and the writer's lock on it.
///
/// SQLite's own locks are POSIX record locks, which the system drops for the whole process as soon as the
/// process closes *any* descriptor of the file. So the descriptor that carries the writer's lock is opened
/// before SQLite opens the file and closed only when no Store of this process uses the file any more: hence
/// one table per process. The lock is flock(2), which does not interfere with record locks (on local file
/// systems) and which the system releases when the process ends, however it ends.
class FileUse {
 public:
  FileUse(const std::filesystem::path& path, bool write) : write_(write) {
    const std::lock_guard guard(mutex());
    struct stat status {};
    int created = -1;
    if (::stat(path.c_str(), &status) != 0) {
      if (!write)
        throw StoreError(fmt::format("{} cannot be opened: {}", path.string(), std::strerror(errno)));
      created = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
      if (created < 0 || ::fstat(created, &status) != 0) {
        throw StoreError(fmt::format("{} cannot be created: {}", path.string(), std::strerror(errno)));
      }
    }
    if (!S_ISREG(status.st_mode)) throw StoreError(path.string() + " is not a regular file");
    key_ = {status.st_dev, status.st_ino};
    Entry& entry = table()[key_];
    if (created >= 0) entry.descriptor = created;
    try {
      if (write) lock(entry, path);
    } catch (...) {
      forget_if_unused(entry);
      throw;
    }
    ++entry.users;
  }

  ~FileUse() {
    const std::lock_guard guard(mutex());
    Entry& entry = table()[key_];
    if (write_) {
      ::flock(entry.descriptor, LOCK_UN);
      entry.writing = false;
    }
    --entry.users;
    forget_if_unused(entry);
  }

  FileUse(const FileUse&) = delete;
  FileUse& operator=(const FileUse&) = delete;

 private:
  struct Entry {
    int descriptor = -1;
    int users = 0;
    bool writing = false;
  };
  using Key = std::pair<dev_t, ino_t>;

  static std::mutex& mutex() {
    static std::mutex instance;
    return instance;
  }
  static std::map<Key, Entry>& table() {
    static std::map<Key, Entry> instance;
    return instance;
  }

  void lock(Entry& entry, const std::filesystem::path& path) {
    if (entry.writing) throw StoreError(path.string() + " is being written by this process already");
    if (entry.descriptor < 0) entry.descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (entry.descriptor < 0) {
      throw StoreError(
          fmt::format("{} cannot be opened for writing: {}", path.string(), std::strerror(errno)));
    }
    if (::flock(entry.descriptor, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) {
        throw StoreError(fmt::format("{} cannot be locked: {}", path.string(), std::strerror(errno)));
      }
      const std::optional<long> pid = owner();
      throw StoreError(
          fmt::format("{} is being written by another duet process{}; wait for it or choose another output",
                      path.string(), pid ? fmt::format(" (pid {})", *pid) : std::string()));
    }
    entry.writing = true;
  }

  /// The process that holds the lock, where the system tells: a line of /proc/locks reads
  /// "7: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF".
  std::optional<long> owner() const {
    const std::string file =
        fmt::format("{:02x}:{:02x}:{}", major(key_.first), minor(key_.first), key_.second);
    std::ifstream locks("/proc/locks");
    for (std::string line; std::getline(locks, line);) {
      std::istringstream words(line);
      std::string number, kind, advisory, mode, where;
      long pid = 0;
      if (words >> number >> kind >> advisory >> mode >> pid >> where && kind == "FLOCK" && where == file &&
          pid > 0) {
        return pid;
      }
    }
    return std::nullopt;
  }

  void forget_if_unused(Entry& entry) {
    if (entry.users > 0) return;
    if (entry.descriptor >= 0) ::close(entry.descriptor);
    table().erase(key_);
  }

  Key key_{};
  bool write_;
};

// --- The schema

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
  created_at TEXT NOT NULL);
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
  event TEXT NOT NULL);
CREATE TABLE finals (
  id INTEGER PRIMARY KEY,
  experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
  trial INTEGER NOT NULL,
  replicate INTEGER NOT NULL,
  metric TEXT NOT NULL,
  unit TEXT NOT NULL,
  value REAL NOT NULL,
  recipe TEXT NOT NULL,
  created_at TEXT NOT NULL);
CREATE TABLE evaluations (
  key BLOB PRIMARY KEY,
  value BLOB NOT NULL) WITHOUT ROWID;
)sql";

/// Schema 2: every trial has a checksum. Those from before have none, which is NULL.
void add_checksums(Connection& connection) {
  std::vector<std::int64_t> experiments;
  {
    Statement rows = connection.prepare("SELECT id FROM experiments");
    while (rows.step()) experiments.push_back(rows.integer(0));
  }
  for (const std::int64_t id : experiments) {
    connection.run(fmt::format("ALTER TABLE trial_{} ADD COLUMN checksum INTEGER", id));
  }
}

/// migrations()[i] leads from schema i + 1 to i + 2. A step may use create_views() to rebuild the views.
std::span<const sqlite::Migration> migrations() {
  static const std::vector<sqlite::Migration> steps{add_checksums};
  return steps;
}

// --- Words

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

/// "2026-01-31T12:00:00Z"
std::string now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
}

/// Seeds and the like: all 64 bits in SQLite's signed integer.
std::int64_t as_signed(std::uint64_t value) {
  return std::bit_cast<std::int64_t>(value);
}
std::uint64_t as_unsigned(std::int64_t value) {
  return std::bit_cast<std::uint64_t>(value);
}

bool is_whole(double value) {
  return std::abs(value) <= 9007199254740992.0 && value == std::floor(value);
}

// --- Trial tables

/// Where the metrics and parameters of an experiment stand: m0, m1, …, p0, p1, … in this order over as many
/// tables as it takes, trial_<id>, trial_<id>_2, …, all of which have the column `number`.
class Layout {
 public:
  Layout(std::int64_t experiment, std::size_t metrics, std::size_t parameters)
      : experiment_(experiment), metrics_(metrics), parameters_(parameters) {}

  std::size_t metrics() const { return metrics_; }
  std::size_t parameters() const { return parameters_; }
  /// Number of tables, at least one.
  std::size_t tables() const {
    return std::max<std::size_t>(1, (metrics_ + parameters_ + columns_per_table - 1) / columns_per_table);
  }
  std::string table(std::size_t part) const { return fmt::format("trial_{}{}", experiment_, suffix(part)); }
  /// Columns [begin, end) stand in this table.
  std::size_t begin(std::size_t part) const { return part * columns_per_table; }
  std::size_t end(std::size_t part) const {
    return std::min(begin(part) + columns_per_table, metrics_ + parameters_);
  }
  std::size_t part_of(std::size_t column) const { return column / columns_per_table; }
  bool is_metric(std::size_t column) const { return column < metrics_; }
  std::string column(std::size_t column) const {
    return is_metric(column) ? fmt::format("m{}", column) : fmt::format("p{}", column - metrics_);
  }
  /// ", m0, m1, …" of one table.
  std::string list(std::size_t part) const {
    std::string text;
    for (std::size_t i = begin(part); i < end(part); ++i) text += ", " + column(i);
    return text;
  }
  static std::string suffix(std::size_t part) { return part == 0 ? "" : fmt::format("_{}", part + 1); }

 private:
  std::int64_t experiment_;
  std::size_t metrics_, parameters_;
};

Layout layout_of(const ExperimentRecord& experiment) {
  return {experiment.id, experiment.metrics.size(), experiment.parameters.size()};
}

/// Codes and metrics as they are written. Metrics have no declared type, because a REAL column loses the sign
/// of zero.
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

std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

/// Names of the view's columns, metrics first, then parameters. SQLite does not distinguish case: what would
/// clash becomes "metric.x" or "parameter.x", with a number where that is taken too.
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

void create_views(Connection& connection, const ExperimentRecord& experiment) {
  const Layout layout = layout_of(experiment);
  const std::vector<std::string> names = view_columns(experiment);
  for (std::size_t part = 0; part < layout.tables(); ++part) {
    std::string sql = fmt::format("CREATE VIEW {} AS SELECT number",
                                  sqlite::identifier(experiment.name + Layout::suffix(part)));
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
    connection.run(fmt::format("{} FROM {}", sql, layout.table(part)));
  }
}

/// The views `trials`, `trials_2`, … stand for the experiment begun last; without one there are none.
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

/// Refuses names that a view cannot have. \throws StoreError
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

/// 32 bits over everything that a trial is. Short, so that a row has only four bytes more; a flipped bit is found for
/// certain but for one in 2^32.
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
  return static_cast<std::int32_t>(hasher.finish().low & 0xffffffff);
}

/// The columns of a trial's first table that are neither parameters nor metrics.
constexpr const char* fixed_columns =
    ", status, violation, duplicate_of, reason, parents, cached, started_at, duration_s";

/// Reads the rows of an experiment in number order, all tables in step.
class TrialReader {
 public:
  /// `checksums`: whether the schema has them.
  TrialReader(Connection& connection, const ExperimentRecord& experiment, bool checksums)
      : experiment_(experiment), layout_(layout_of(experiment)) {
    for (std::size_t part = 0; part < layout_.tables(); ++part) {
      statements_.push_back(connection.prepare(
          fmt::format("SELECT number{}{}{} FROM {} WHERE number > ? ORDER BY number LIMIT ?",
                      part == 0 ? fixed_columns : "", part != 0 ? "" : checksums ? ", checksum" : ", NULL",
                      layout_.list(part), layout_.table(part))));
    }
  }

  /// From here on next() gives at most `limit` trials with numbers above `after`.
  void seek(std::uint64_t after, std::uint64_t limit) {
    const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    for (Statement& statement : statements_) {
      statement.reset();
      statement.bind(1, static_cast<std::int64_t>(std::min(after, most)));
      statement.bind(2, static_cast<std::int64_t>(std::min(limit, most)));
    }
  }

  /// \returns whether there was a row. If there was one and it cannot be what append() wrote, `problem` says
  /// why, and of `trial` only the number is to be used; else it is empty.
  bool next(TrialRecord& trial, std::string& problem) {
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

  /// The trial that next() gave is a possible one, but not the one that was stored.
  bool altered() const { return altered_; }
  static constexpr const char* alteration = "its checksum is wrong: it is not what was stored";

 private:
  std::string decode(TrialRecord& trial) {
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
      if (original < 1 || as_unsigned(original) >= trial.number)
        return "it is a duplicate of no earlier trial";
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
          if (!ok && type != SQLITE_NULL) return fmt::format("it is not an original that is ok but has a value of '{}'", name);
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

  const ExperimentRecord& experiment_;
  Layout layout_;
  std::vector<Statement> statements_;
  bool altered_ = false;
};

/// The prepared statements that append a trial.
struct Appender {
  Layout layout;
  std::vector<std::string> metric_names;
  std::vector<Statement> inserts;
};

/// " WHERE …" for trials that ended so.
std::string condition(std::optional<Store::Outcome> outcome) {
  if (!outcome) return "";
  if (*outcome == Store::Outcome::duplicate) return " WHERE duplicate_of IS NOT NULL";
  return fmt::format(" WHERE status = {} AND duplicate_of IS NULL", static_cast<int>(*outcome));
}

// --- Cells of query()

/// Refuses what SQLite counts as read-only although it changes the connection: transactions, ATTACH, most
/// PRAGMAs. (Everything else that writes is told by sqlite3_stmt_readonly(). An authorizer that allows
/// reading only would refuse table-valued functions such as json_each.)
int refuse_side_effects(void*, int action, const char* first, const char* second, const char*, const char*) {
  switch (action) {
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
      return SQLITE_DENY;
    case SQLITE_PRAGMA: {
      const std::string name = first == nullptr ? "" : lower_case(first);
      for (const char* known : {"table_info", "table_xinfo", "table_list", "index_list", "index_info"}) {
        if (name == known) return SQLITE_OK;
      }
      return second == nullptr ? SQLITE_OK : SQLITE_DENY;  // without an argument it only answers
    }
    default:
      return SQLITE_OK;
  }
}

Table::Cell cell(sqlite3_stmt* statement, int column) {
  using Kind = Table::Cell::Kind;
  const auto bytes = [&] {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(statement, column));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement, column));
    return data == nullptr ? std::string_view() : std::string_view(data, size);
  };
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return {Kind::integer, fmt::format("{}", sqlite3_column_int64(statement, column))};
    case SQLITE_FLOAT:
      return {Kind::real, shortest(sqlite3_column_double(statement, column))};
    case SQLITE_TEXT:
      return {Kind::text, std::string(bytes())};
    case SQLITE_BLOB: {
      std::string hex;
      for (const char c : bytes()) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
      return {Kind::text, std::move(hex)};
    }
    default:
      return {};
  }
}

/// What an existing file holds, from its header and its table of contents.
enum class Content { nothing, duet, other };

Content content(Connection& connection) {
  if (connection.integer("PRAGMA application_id") == application_id) {
    // A view can hold a query that never ends; nothing that duet reads is one.
    Statement view = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'view' AND (name GLOB 'trial_[0-9]*' OR name IN ('experiments', "
        "'parameters', 'options', 'metrics', 'constraints', 'notes', 'finals', 'evaluations'))");
    if (view.step()) {
      throw StoreError(fmt::format("{} is damaged: its table {} is a view", connection.shown(), view.text(0)));
    }
    return Content::duet;
  }
  const bool empty = connection.integer("SELECT count(*) FROM sqlite_schema") == 0 &&
                     connection.integer("PRAGMA user_version") == 0 &&
                     connection.integer("PRAGMA application_id") == 0;
  return empty ? Content::nothing : Content::other;
}

void wait_for_locks(Connection& connection) {
  // Only a stranger (a shell that holds a transaction open) can make us wait.
  sqlite3_busy_timeout(connection.handle(), 60'000);
}

}  // namespace

// --- Store

struct Store::Implementation {
  std::filesystem::path path;
  bool writable;
  FileUse use;  ///< outlives the connections

  // `main` writes. Opened by a reader too, where the file permits: the last connection that could write
  // removes the -wal and -shm files when it closes, read-only ones leave them behind. `reader` answers
  // everything else, so that a long query does not hold up append(). Each is guarded by its mutex; nothing
  // takes both.
  std::optional<Connection> main;
  std::mutex main_mutex;
  std::optional<Connection> reader;
  std::mutex reader_mutex;
  int log_pages = 0, log_next = log_step;  ///< of the write-ahead log: its length, and when to shorten it
  bool checksums = true;  ///< whether the schema has them; those who write migrate
  std::unordered_map<std::int64_t, Appender> appenders;
  std::optional<Statement> get_evaluation, put_evaluation;

  Implementation(std::filesystem::path file, Mode mode)
      : path(std::move(file)), writable(mode == Mode::write), use(path, writable) {
    try {
      writable ? open_for_writing() : open_for_reading();
    } catch (const sqlite::Error& error) {
      if (error.primary_code() == SQLITE_CORRUPT) refuse_truncated();
      throw;
    }
    get_evaluation.emplace(*main, "SELECT value FROM evaluations WHERE key = ?");
    if (writable) {
      put_evaluation.emplace(
          *main,
          "INSERT INTO evaluations VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value");
    }
    reader->run("PRAGMA query_only = 1; PRAGMA cache_size = -16000");
  }

  std::string shown() const { return path.string(); }

  void open_for_writing() {
    main.emplace(path, Connection::Access::write, shown());
    wait_for_locks(*main);
    const Content found = content(*main);
    if (found == Content::other) refuse_foreign();
    if (found == Content::duet) check_version(true);
    // Each trial is one commit: WAL makes it one sequential write without fsync, and readers never block it.
    // What is written is the page at the end of the trial table: small pages make a commit cheaper (measured:
    // 2 KiB holds 22 parameters and 4 metrics per trial at half the time of 4 KiB and 3% more space; 1 KiB
    // gains nothing more).
    if (found == Content::nothing) main->run("PRAGMA page_size = 2048");
    main->run(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = 1;"
        "PRAGMA secure_delete = 0; PRAGMA journal_size_limit = 67108864");
    sqlite3_wal_hook(main->handle(), &Implementation::after_commit, this);
    if (found == Content::nothing) {
      Transaction transaction(*main, Transaction::Kind::write);
      main->run(schema);
      main->run(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", application_id,
                            schema_version));
      transaction.commit();
    } else {
      sqlite::migrate(*main, static_cast<int>(main->integer("PRAGMA user_version")), migrations());
    }
    open_reader(Connection::Access::read);
  }

  /// Called by SQLite after every commit with the length of the log.
  static int after_commit(void* self, sqlite3* handle, const char*, int pages) {
    auto& database = *static_cast<Implementation*>(self);
    if (pages < database.log_pages) database.log_next = log_step;  // it has begun anew
    database.log_pages = pages;
    if (pages < database.log_next) return SQLITE_OK;
    database.log_next = pages + log_step;
    // A checkpoint that does not succeed, for readers or a full disk, is no error: the log has everything.
    if (pages < log_limit) {
      sqlite3_wal_checkpoint_v2(handle, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    } else {
      sqlite3_busy_timeout(handle, longest_wait_ms);
      sqlite3_wal_checkpoint_v2(handle, nullptr, SQLITE_CHECKPOINT_RESTART, nullptr, nullptr);
      wait_for_locks(*database.main);
    }
    return SQLITE_OK;
  }

  void open_for_reading() {
    try {
      open_main_for_reading(Connection::Access::write);
    } catch (const sqlite::Error& error) {
      // A database in WAL mode cannot be read where SQLite cannot create the files beside it, unless we
      // promise that nobody writes to it. That is safe if there is no log: whoever writes needs to create
      // one, in that folder.
      const bool blocked = error.primary_code() == SQLITE_CANTOPEN ||
                           error.primary_code() == SQLITE_READONLY || error.primary_code() == SQLITE_PERM;
      if (!blocked || ::access(path.c_str(), R_OK) != 0) throw;
      std::error_code missing;
      const auto log_size = std::filesystem::file_size(path.string() + "-wal", missing);
      if (!missing && log_size > 0) {
        throw StoreError(fmt::format(
            "{0} cannot be read here: the newest trials are in {0}-wal, which needs a folder that "
            "can be written to; copy both files to one",
            shown()));
      }
      open_main_for_reading(Connection::Access::immutable);
      open_reader(Connection::Access::immutable);
      return;
    }
    open_reader(Connection::Access::read);
  }

  void open_main_for_reading(Connection::Access access) {
    main.reset();
    main.emplace(path, access, shown());
    wait_for_locks(*main);
    const Content found = content(*main);
    if (found == Content::nothing)
      throw StoreError(shown() + " is empty: no experiment has been written to it");
    if (found == Content::other) refuse_foreign();
    check_version(false);
    main->run("PRAGMA query_only = 1");
  }

  void open_reader(Connection::Access access) {
    reader.emplace(path, access, shown());
    wait_for_locks(*reader);
  }

  /// SQLite says of a truncated file only that it is damaged. Bytes 16 and 28 of the header have the size of pages and
  /// their number.
  void refuse_truncated() const {
    std::ifstream file(path, std::ios::binary);
    unsigned char header[32] = {};
    if (!file.read(reinterpret_cast<char*>(header), sizeof header)) return;
    const auto number = [&](int at, int bytes) {
      std::uintmax_t value = 0;
      for (int i = 0; i < bytes; ++i) value = value << 8 | header[at + i];
      return value;
    };
    std::error_code absent;
    const auto size = std::filesystem::file_size(path, absent);
    const std::uintmax_t expected = std::max<std::uintmax_t>(number(16, 2), 512) * number(28, 4);
    if (absent || size >= expected) return;
    throw StoreError(fmt::format(
        "{} is truncated: {} of {} bytes are there; take another copy, or 'sqlite3 FILE .recover' may save what is left",
        shown(), size, expected));
  }

  [[noreturn]] void refuse_foreign() const {
    throw StoreError(shown() + " is an SQLite database, but not one of duet's; choose another file");
  }

  void check_version(bool writing) {
    const std::int64_t version = main->integer("PRAGMA user_version");
    if (version > schema_version) {
      throw StoreError(fmt::format("{} was written by a newer duet (schema {}, this one knows {})", shown(),
                                   version, schema_version));
    }
    if (version < 1)
      throw StoreError(fmt::format("{} is damaged: its schema version is {}", shown(), version));
    // Readers understand every schema so far: a file that cannot be written to can always be read.
    checksums = version >= 2 || writing;
  }

  [[noreturn]] void damaged(const std::string& what) const {
    throw StoreError(shown() + " is damaged: " + what);
  }

  /// The next trial, which must be sound. \returns whether there was one.
  bool read(TrialReader& rows, const ExperimentRecord& experiment, TrialRecord& trial) const {
    std::string problem;
    if (!rows.next(trial, problem)) return false;
    if (problem.empty() && rows.altered()) problem = TrialReader::alteration;
    if (!problem.empty()) damaged(fmt::format("trial {} of '{}': {}", trial.number, experiment.name, problem));
    return true;
  }

  Connection& writer() {
    if (!writable) throw StoreError(shown() + " was opened for reading only");
    return *main;
  }

  // --- Reading experiments. Requires reader_mutex.

  std::vector<ExperimentRecord> read_experiments() {
    Transaction snapshot(*reader, Transaction::Kind::read);
    Statement rows = reader->prepare(
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
      if (!fingerprint) damaged(fmt::format("the space fingerprint of '{}' is none", record.name));
      record.space_fingerprint = *fingerprint;
      record.code_version = rows.text(7);
      record.machine = rows.text(8);
      record.created_at = rows.text(9);
      read_parameters(record);
      read_metrics(record);
      Statement constraints =
          reader->prepare("SELECT expression FROM constraints WHERE experiment = ? ORDER BY position");
      constraints.bind(1, record.id);
      while (constraints.step()) record.constraints.push_back(constraints.text(0));
      result.push_back(std::move(record));
    }
    return result;
  }

  void read_parameters(ExperimentRecord& record) {
    Statement rows = reader->prepare(
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
        damaged(fmt::format("parameter {} of '{}' cannot be read", position, record.name));
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
          damaged(fmt::format("the parent of '{}' of '{}' is none", parameter.path, record.name));
        }
        parameter.parent = static_cast<std::size_t>(parent);
        parameter.parent_low = rows.real(9);
        parameter.parent_high = rows.real(10);
      }
      record.parameters.push_back(std::move(parameter));
    }
    Statement options = reader->prepare(
        "SELECT parameter, code, value FROM options WHERE experiment = ? ORDER BY parameter, code");
    options.bind(1, record.id);
    while (options.step()) {
      const std::uint64_t index = as_unsigned(options.integer(0));
      if (index >= record.parameters.size())
        damaged(fmt::format("an option of '{}' has no parameter", record.name));
      Parameter& parameter = record.parameters[index];
      const bool is_choice = parameter.kind == Parameter::Kind::choice;
      const std::size_t known = is_choice ? parameter.options.size() : parameter.values.size();
      if (as_unsigned(options.integer(1)) != known || (!is_choice && !options.is_number(2))) {
        damaged(fmt::format("the options of '{}' of '{}' cannot be read", parameter.path, record.name));
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
        damaged(fmt::format("the values of '{}' of '{}' are incomplete", parameter.path, record.name));
      }
    }
  }

  void read_metrics(ExperimentRecord& record) {
    Statement rows = reader->prepare(
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
        damaged(fmt::format("metric '{}' of '{}' cannot be read", stored.metric.name, record.name));
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

  // --- Writing experiments. Requires main_mutex.

  void insert_experiment(const ExperimentRecord& record) {
    const auto position_of = [](std::size_t i) { return static_cast<std::int64_t>(i); };
    const std::vector<std::string> columns = view_columns(record);
    Statement parameters = main->prepare("INSERT INTO parameters VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)");
    Statement options = main->prepare("INSERT INTO options VALUES (?,?,?,?)");
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
    Statement metrics = main->prepare("INSERT INTO metrics VALUES (?,?,?,?,?,?,?,?,?,?,?)");
    for (std::size_t i = 0; i < record.metrics.size(); ++i) {
      const StoredMetric& m = record.metrics[i];
      metrics.bind(1, record.id).bind(2, position_of(i)).bind(3, m.metric.name).bind(4, m.metric.unit);
      metrics.bind(5, duet::to_string(m.direction)).bind(6, duet::to_string(m.metric.direction));
      metrics.bind(7, duet::to_string(m.metric.source))
          .bind(8, m.estimator)
          .bind(9, std::int64_t{m.objective});
      metrics.bind(10, m.metric.description).bind(11, columns[i]).run();
    }
    Statement constraints = main->prepare("INSERT INTO constraints VALUES (?,?,?)");
    for (std::size_t i = 0; i < record.constraints.size(); ++i) {
      constraints.bind(1, record.id).bind(2, position_of(i)).bind(3, record.constraints[i]).run();
    }
  }

  Appender& appender(std::int64_t experiment) {
    const auto known = appenders.find(experiment);
    if (known != appenders.end()) return known->second;
    std::vector<std::string> names;
    Statement metrics = main->prepare("SELECT name FROM metrics WHERE experiment = ? ORDER BY position");
    metrics.bind(1, experiment);
    while (metrics.step()) names.push_back(metrics.text(0));
    Statement parameters = main->prepare(
        "SELECT (SELECT count(*) FROM parameters WHERE experiment = id) FROM experiments WHERE id = ?");
    if (!parameters.bind(1, experiment).step())
      throw StoreError(fmt::format("{} has no experiment {}", shown(), experiment));
    const Layout layout(experiment, names.size(), static_cast<std::size_t>(parameters.integer(0)));
    Appender result{layout, std::move(names), {}};
    for (std::size_t part = 0; part < layout.tables(); ++part) {
      const std::size_t columns = layout.end(part) - layout.begin(part) + (part == 0 ? 10 : 1);
      std::string marks = "?";
      for (std::size_t i = 1; i < columns; ++i) marks += ",?";
      result.inserts.push_back(main->prepare(fmt::format(
          "INSERT INTO {} (number{}{}{}) VALUES ({})", layout.table(part), part == 0 ? fixed_columns : "",
          part == 0 ? ", checksum" : "", layout.list(part), marks)));
    }
    return appenders.emplace(experiment, std::move(result)).first->second;
  }

  void check_trial(const Appender& appender, const TrialRecord& trial) const {
    const auto refuse = [&](const std::string& what) {
      throw StoreError(fmt::format("{}: trial {} cannot be stored: {}", shown(), trial.number, what));
    };
    const Layout& layout = appender.layout;
    if (trial.number == 0 || trial.number > as_unsigned(std::numeric_limits<std::int64_t>::max())) {
      refuse("trials are numbered from 1");
    }
    if (trial.candidate.size() != layout.parameters()) {
      refuse(fmt::format("it has {} parameters, the experiment {}", trial.candidate.size(),
                         layout.parameters()));
    }
    if (trial.duplicate_of && (*trial.duplicate_of == 0 || *trial.duplicate_of >= trial.number)) {
      refuse("the original of a duplicate must be earlier");
    }
    // A duplicate points at the trial that has the values.
    const bool valued = trial.status == Status::ok && !trial.duplicate_of;
    const std::size_t expected = valued ? layout.metrics() : 0;
    if (trial.values.size() != expected) {
      refuse(fmt::format("it has {} values of metrics instead of {}", trial.values.size(), expected));
    }
    for (std::size_t i = 0; i < expected; ++i) {
      if (!std::isfinite(trial.values[i]))
        refuse(fmt::format("'{}' is not finite", appender.metric_names[i]));
    }
    if (!(trial.violation >= 0)) refuse("its violation is not a number from 0");
  }

  void bind_trial(Appender& appender, const TrialRecord& trial, std::size_t part,
                  const std::string& parents) {
    const Layout& layout = appender.layout;
    Statement& insert = appender.inserts[part];
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
    for (std::size_t i = layout.begin(part); i < layout.end(part); ++i) {
      const bool metric = layout.is_metric(i);
      const std::size_t parameter = i - layout.metrics();
      ++index;
      if (metric ? trial.values.empty() : !trial.candidate.has(parameter)) {
        insert.bind_null(index);
      } else {
        insert.bind(index, metric ? trial.values[i] : trial.candidate[parameter]);
      }
    }
  }

  // --- Checks. Requires reader_mutex.

  /// Which trials can be read, where the pages of a table are damaged: from the first on and from the last back.
  std::string readable(const ExperimentRecord& experiment) {
    const auto count = [&](const char* order, std::int64_t& last) {
      std::uint64_t read = 0;
      try {
        Statement rows = reader->prepare(fmt::format("SELECT number, duration_s FROM {} ORDER BY number {}",
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
  std::vector<std::uint64_t> check_experiment(const ExperimentRecord& experiment,
                                              std::vector<std::string>& problems) {
    const std::string prefix = fmt::format("experiment '{}': ", experiment.name);
    std::size_t found = 0;
    std::vector<std::uint64_t> damaged_trials;
    const auto report = [&](std::uint64_t number, const std::string& what) {
      if (++found <= most_problems) problems.push_back(fmt::format("{}trial {}: {}", prefix, number, what));
    };
    TrialReader rows(*reader, experiment, checksums);
    rows.seek(0, std::numeric_limits<std::uint64_t>::max());
    std::vector<std::uint64_t> originals;
    TrialRecord trial;
    std::string problem;
    const auto next = [&] {
      try {
        return rows.next(trial, problem);
      } catch (const sqlite::Error& error) {
        problems.push_back(fmt::format("{}{}", prefix, readable(experiment)));
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
        report(trial.number, fmt::format("it is a duplicate of trial {}, which is no earlier original",
                                         *trial.duplicate_of));
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
        Statement copies = reader->prepare(fmt::format(
            "SELECT trial.number FROM {0} AS trial JOIN {1} AS copy ON copy.number = trial.number "
            "JOIN {1} AS original ON original.number = trial.duplicate_of WHERE {2} LIMIT {3}",
            layout.table(0), layout.table(part), differs, most_problems));
        while (copies.step()) {
          problems.push_back(fmt::format("{}trial {}: it differs from the trial it is a duplicate of", prefix,
                                         copies.integer(0)));
        }
      }
    }
    Statement finals =
        reader->prepare(fmt::format("SELECT DISTINCT trial FROM finals WHERE experiment = {} AND trial NOT "
                                    "IN (SELECT number FROM {}) LIMIT {}",
                                    experiment.id, layout.table(0), most_problems));
    while (finals.step()) {
      problems.push_back(fmt::format("{}a final measurement is of trial {}, which does not exist", prefix,
                                     finals.integer(0)));
    }
    Statement views = reader->prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'view' AND name = ?");
    if (views.bind(1, experiment.name).step() && views.integer(0) != 1)
      problems.push_back(prefix + "its view is missing");
    return damaged_trials;
  }

  /// What check() finds; and by experiment the damaged trials, where `damaged_trials` is given.
  std::vector<std::string> check(
      std::vector<std::pair<ExperimentRecord, std::vector<std::uint64_t>>>* damaged_trials = nullptr) {
    std::vector<std::string> problems;
    const auto part = [&](auto&& work) {
      try {
        work();
      } catch (const StoreError& error) {
        if (std::find(problems.begin(), problems.end(), error.what()) == problems.end())
          problems.emplace_back(error.what());
      }
    };
    part([&] {
      Statement integrity = reader->prepare(fmt::format("PRAGMA integrity_check({})", most_problems));
      while (integrity.step()) {
        const std::string line = integrity.text(0);
        if (line != "ok") problems.push_back("SQLite: " + line);
      }
    });
    part([&] {
      Statement references = reader->prepare("PRAGMA foreign_key_check");
      for (std::size_t i = 0; i < most_problems && references.step(); ++i) {
        problems.push_back(fmt::format("a row of table {} belongs to no experiment", references.text(0)));
      }
    });
    part([&] {
      for (const std::string& table : orphan_tables(*reader))
        problems.push_back(fmt::format("table {} belongs to no experiment", table));
    });
    std::vector<ExperimentRecord> experiments;
    part([&] { experiments = read_experiments(); });
    for (const ExperimentRecord& experiment : experiments) {
      part([&] {
        auto damaged_here = check_experiment(experiment, problems);
        if (damaged_trials != nullptr) damaged_trials->emplace_back(experiment, std::move(damaged_here));
      });
    }
    return problems;
  }

  static std::vector<std::string> orphan_tables(Connection& connection) {
    Statement tables = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'trial_[0-9]*' AND "
        "CAST(substr(name, 7) AS INTEGER) NOT IN (SELECT id FROM experiments)");
    std::vector<std::string> names;
    while (tables.step()) names.push_back(tables.text(0));
    return names;
  }
};

namespace {

/// The cache of the file. Keeps the database open for as long as it lives.
template <class Implementation>
class EvaluationStore final : public KeyValueStore {
 public:
  explicit EvaluationStore(std::shared_ptr<Implementation> implementation)
      : database_(std::move(implementation)) {}

  std::optional<std::string> get(const Fingerprint& key) override {
    const std::string bytes = to_bytes(key);
    const std::lock_guard lock(database_->main_mutex);
    Statement& statement = *database_->get_evaluation;
    std::optional<std::string> value;
    if (statement.bind_blob(1, bytes).step()) value = statement.text(0);
    statement.reset();
    return value;
  }

  void put(const Fingerprint& key, std::string value) override {
    const std::string bytes = to_bytes(key);
    const std::lock_guard lock(database_->main_mutex);
    database_->writer();  // or throws
    database_->put_evaluation->bind_blob(1, bytes).bind_blob(2, value).run();
  }

 private:
  /// Big-endian, so that hex(key) reads like Fingerprint::hex().
  static std::string to_bytes(const Fingerprint& key) {
    std::string bytes;
    for (const std::uint64_t word : {key.high, key.low}) {
      for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>((word >> shift) & 0xff);
    }
    return bytes;
  }

  std::shared_ptr<Implementation> database_;
};

}  // namespace

Store::Store(const std::filesystem::path& path, Mode mode)
    : implementation_(std::make_shared<Implementation>(path, mode)) {}
Store::~Store() = default;
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;

const std::filesystem::path& Store::path() const {
  return implementation_->path;
}

std::vector<ExperimentRecord> Store::experiments() const {
  const std::lock_guard lock(implementation_->reader_mutex);
  return implementation_->read_experiments();
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
  Connection& connection = implementation_->writer();
  Transaction transaction(connection, Transaction::Kind::write);
  check_name(connection, experiment);
  ExperimentRecord record = experiment;
  const std::string fingerprint = record.space_fingerprint.hex();
  connection
      .prepare(
          "INSERT INTO experiments (name, specification, identity, seed, strategy, space_fingerprint, "
          "code_version, "
          "machine, created_at) VALUES (?,?,?,?,?,?,?,?,?)")
      .bind(1, record.name)
      .bind(2, record.specification)
      .bind(3, record.identity)
      .bind(4, as_signed(record.seed))
      .bind(5, record.strategy)
      .bind(6, fingerprint)
      .bind(7, record.code_version)
      .bind(8, record.machine)
      .bind(9, record.created_at)
      .run();
  record.id = sqlite3_last_insert_rowid(connection.handle());
  implementation_->insert_experiment(record);
  create_trial_tables(connection, record);
  create_views(connection, record);
  create_latest_views(connection);
  transaction.commit();
  return record.id;
}

void Store::erase(std::int64_t experiment) {
  const std::lock_guard lock(implementation_->main_mutex);
  Connection& connection = implementation_->writer();
  const Appender& known = implementation_->appender(experiment);  // throws if there is none
  const Layout layout = known.layout;
  implementation_->appenders.erase(experiment);
  Transaction transaction(connection, Transaction::Kind::write);
  std::string name;
  {
    Statement find = connection.prepare("SELECT name FROM experiments WHERE id = ?");
    if (find.bind(1, experiment).step()) name = find.text(0);
  }
  for (std::size_t part = 0; part < layout.tables(); ++part) {
    connection.run("DROP VIEW IF EXISTS " + sqlite::identifier(name + Layout::suffix(part)));
    connection.run("DROP TABLE " + layout.table(part));
  }
  connection.prepare("DELETE FROM experiments WHERE id = ?").bind(1, experiment).run();
  create_latest_views(connection);
  transaction.commit();
}

void Store::compact() {
  const std::lock_guard lock(implementation_->main_mutex);
  Connection& connection = implementation_->writer();
  connection.run("VACUUM");
  // The new pages are in the log; readers that use the old ones may hinder this, then it happens later.
  sqlite3_wal_checkpoint_v2(connection.handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
}

void Store::note(std::int64_t experiment, std::string_view event) {
  const std::string time = now();
  const std::lock_guard lock(implementation_->main_mutex);
  implementation_->writer()
      .prepare("INSERT INTO notes (experiment, time, event) VALUES (?,?,?)")
      .bind(1, experiment)
      .bind(2, time)
      .bind(3, event)
      .run();
}

std::vector<std::string> Store::notes(std::int64_t experiment) const {
  const std::lock_guard lock(implementation_->reader_mutex);
  Statement rows =
      implementation_->reader->prepare("SELECT time, event FROM notes WHERE experiment = ? ORDER BY id");
  rows.bind(1, experiment);
  std::vector<std::string> result;
  while (rows.step()) result.push_back(rows.text(0) + " " + rows.text(1));
  return result;
}

void Store::append(std::int64_t experiment, const TrialRecord& trial) {
  const std::string parents = trial.parents.empty() ? std::string() : join_numbers(trial.parents);
  const std::lock_guard lock(implementation_->main_mutex);
  Connection& connection = implementation_->writer();
  Appender& appender = implementation_->appender(experiment);
  implementation_->check_trial(appender, trial);
  try {
    // One statement is a transaction by itself.
    std::optional<Transaction> transaction;
    if (appender.inserts.size() > 1) transaction.emplace(connection, Transaction::Kind::write);
    for (std::size_t part = 0; part < appender.inserts.size(); ++part) {
      implementation_->bind_trial(appender, trial, part, parents);
      appender.inserts[part].run();
    }
    if (transaction) transaction->commit();
  } catch (const sqlite::Error& error) {
    if (error.primary_code() != SQLITE_CONSTRAINT) throw;
    throw StoreError(fmt::format("{}: trial {} is stored already", path().string(), trial.number));
  }
}

std::vector<TrialRecord> Store::trials(const ExperimentRecord& experiment, std::uint64_t after,
                                       std::uint64_t limit) const {
  const std::lock_guard lock(implementation_->reader_mutex);
  Connection& connection = *implementation_->reader;
  Transaction snapshot(connection, Transaction::Kind::read);
  TrialReader rows(connection, experiment, implementation_->checksums);
  rows.seek(after, limit);
  std::vector<TrialRecord> result;
  TrialRecord trial;
  while (implementation_->read(rows, experiment, trial)) result.push_back(std::move(trial));
  return result;
}

std::vector<TrialRecord> Store::trials(const ExperimentRecord& experiment,
                                       std::span<const std::uint64_t> numbers) const {
  const std::lock_guard lock(implementation_->reader_mutex);
  Connection& connection = *implementation_->reader;
  Transaction snapshot(connection, Transaction::Kind::read);
  TrialReader rows(connection, experiment, implementation_->checksums);
  std::vector<TrialRecord> result;
  TrialRecord trial;
  for (const std::uint64_t number : numbers) {
    if (number == 0) continue;
    rows.seek(number - 1, 1);
    if (implementation_->read(rows, experiment, trial) && trial.number == number) result.push_back(std::move(trial));
  }
  return result;
}

void Store::for_each(const ExperimentRecord& experiment,
                     const std::function<void(const TrialRecord&)>& visit) const {
  // Page by page, so that neither memory nor the time for which the log is needed grows with the experiment.
  std::uint64_t last = 0;
  const auto end = as_unsigned([&] {
    const std::lock_guard lock(implementation_->reader_mutex);
    return implementation_->reader->integer(
        fmt::format("SELECT max(number) FROM {}", layout_of(experiment).table(0)));
  }());
  while (last < end) {
    const std::vector<TrialRecord> page = trials(experiment, last, page_of_trials);
    for (const TrialRecord& trial : page) {
      if (trial.number > end) return;
      visit(trial);
    }
    if (page.size() < page_of_trials) return;
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
  return as_unsigned(implementation_->reader->integer(
      fmt::format("SELECT count(*) FROM {}{}", Layout(experiment, 0, 0).table(0), condition(outcome))));
}

std::vector<std::uint64_t> Store::last(std::int64_t experiment, std::uint64_t limit,
                                       std::optional<Outcome> outcome) const {
  const std::lock_guard lock(implementation_->reader_mutex);
  Statement rows = implementation_->reader->prepare(
      fmt::format("SELECT number FROM {}{} ORDER BY number DESC LIMIT ?", Layout(experiment, 0, 0).table(0),
                  condition(outcome)));
  const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  rows.bind(1, static_cast<std::int64_t>(std::min(limit, most)));
  std::vector<std::uint64_t> numbers;
  while (rows.step()) numbers.push_back(as_unsigned(rows.integer(0)));
  std::reverse(numbers.begin(), numbers.end());
  return numbers;
}

void Store::for_each_score(
    const ExperimentRecord& experiment, const std::vector<std::size_t>& metrics,
    const std::function<void(std::uint64_t, std::span<const double>)>& visit) const {
  const Layout layout = layout_of(experiment);
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
  Statement rows = implementation_->reader->prepare(
      fmt::format("SELECT t0.number{} FROM {} WHERE status = {} AND violation = 0 AND duplicate_of IS NULL "
                  "ORDER BY t0.number",
                  columns, tables, static_cast<int>(Status::ok)));
  std::vector<double> values(metrics.size());
  while (rows.step()) {
    const std::int64_t number = rows.integer(0);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const int column = static_cast<int>(i) + 1;
      if (!rows.is_number(column)) {
        implementation_->damaged(fmt::format("trial {} of '{}': it is ok but has no value of '{}'", number,
                                             experiment.name, experiment.metrics[metrics[i]].metric.name));
      }
      values[i] = rows.real(column);
    }
    visit(as_unsigned(number), values);
  }
}

void Store::append_final(std::int64_t experiment, const FinalRecord& record) {
  const std::lock_guard lock(implementation_->main_mutex);
  implementation_->writer()
      .prepare(
          "INSERT INTO finals (experiment, trial, replicate, metric, unit, value, recipe, created_at) "
          "VALUES (?,?,?,?,?,?,?,?)")
      .bind(1, experiment)
      .bind(2, as_signed(record.trial))
      .bind(3, as_signed(record.replicate))
      .bind(4, record.metric)
      .bind(5, record.unit)
      .bind(6, record.value)
      .bind(7, record.recipe)
      .bind(8, record.created_at)
      .run();
}

std::vector<FinalRecord> Store::finals(std::int64_t experiment) const {
  const std::lock_guard lock(implementation_->reader_mutex);
  Statement rows = implementation_->reader->prepare(
      "SELECT trial, replicate, metric, unit, value, recipe, created_at FROM finals WHERE experiment = ? "
      "ORDER BY id");
  rows.bind(1, experiment);
  std::vector<FinalRecord> result;
  while (rows.step()) {
    result.push_back({as_unsigned(rows.integer(0)), as_unsigned(rows.integer(1)), rows.text(2), rows.text(3),
                      rows.real(4), rows.text(5), rows.text(6)});
  }
  return result;
}

std::shared_ptr<KeyValueStore> Store::evaluations() {
  return std::make_shared<EvaluationStore<Implementation>>(implementation_);
}

Table Store::query(std::string_view sql) const {
  const std::lock_guard lock(implementation_->reader_mutex);
  sqlite3* const handle = implementation_->reader->handle();
  const auto fail = [&](const std::string& what) {
    throw StoreError(fmt::format("{}: {}", path().string(), what));
  };
  const std::string refusal = "a query is one SELECT statement; it cannot change anything";
  const auto check = [&](int code) {
    if (code == SQLITE_OK) return;
    if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_IOERR) implementation_->reader->fail(code);
    fail((code & 0xff) == SQLITE_AUTH || (code & 0xff) == SQLITE_READONLY ? refusal : sqlite3_errmsg(handle));
  };
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  const auto prepare = [&](std::string_view text, const char** tail) {
    sqlite3_stmt* statement = nullptr;
    check(sqlite3_prepare_v2(handle, text.data(), static_cast<int>(text.size()), &statement, tail));
    return std::unique_ptr<sqlite3_stmt, Finalizer>(statement);
  };
  // The authorizer is asked again when SQLite prepares anew after a change of the schema, so it stays to the
  // end.
  struct Authorizer {
    explicit Authorizer(sqlite3* connection) : handle(connection) {
      sqlite3_set_authorizer(handle, refuse_side_effects, nullptr);
    }
    ~Authorizer() { sqlite3_set_authorizer(handle, nullptr, nullptr); }
    sqlite3* handle;
  } const authorizer(handle);

  if (sql.size() > 1'000'000'000) fail("the query is too long");
  if (sql.find('\0') != std::string_view::npos) fail("the query holds a zero byte");
  const char* rest = nullptr;
  const auto statement = prepare(sql, &rest);
  if (!statement) fail("the query is empty");
  if (sqlite3_stmt_readonly(statement.get()) == 0) fail(refusal);
  while (rest != sql.data() + sql.size()) {  // comments and blanks may follow
    const char* next = nullptr;
    if (prepare(sql.substr(static_cast<std::size_t>(rest - sql.data())), &next))
      fail("only one statement at a time");
    rest = next;
  }

  Table table;
  const int columns = sqlite3_column_count(statement.get());
  for (int i = 0; i < columns; ++i) table.columns.emplace_back(sqlite3_column_name(statement.get(), i));
  int code;
  while ((code = sqlite3_step(statement.get())) == SQLITE_ROW) {
    std::vector<Table::Cell>& row = table.rows.emplace_back();
    row.reserve(static_cast<std::size_t>(columns));
    for (int i = 0; i < columns; ++i) row.push_back(cell(statement.get(), i));
  }
  if (code != SQLITE_DONE) check(code);
  return table;
}

std::vector<std::string> Store::check() const {
  const std::lock_guard lock(implementation_->reader_mutex);
  return implementation_->check();
}

std::vector<std::string> Store::repair() {
  std::vector<std::pair<ExperimentRecord, std::vector<std::uint64_t>>> damaged_trials;
  {
    const std::lock_guard lock(implementation_->reader_mutex);
    implementation_->check(&damaged_trials);
  }
  const std::lock_guard lock(implementation_->main_mutex);
  Connection& connection = implementation_->writer();
  std::vector<std::string> done;
  Transaction transaction(connection, Transaction::Kind::write);
  connection.run("REINDEX");
  for (const char* table : {"parameters", "options", "metrics", "constraints", "notes", "finals"}) {
    connection.run(
        fmt::format("DELETE FROM {} WHERE experiment NOT IN (SELECT id FROM experiments)", table));
    const int rows = sqlite3_changes(connection.handle());
    if (rows > 0) done.push_back(fmt::format("{} rows of {} that belong to no experiment are gone", rows, table));
  }
  for (const std::string& table : Implementation::orphan_tables(connection)) {
    connection.run("DROP TABLE " + sqlite::identifier(table));
    done.push_back(fmt::format("table {}, which belongs to no experiment, is gone", table));
  }
  for (const auto& [experiment, numbers] : damaged_trials) {
    const Layout layout = layout_of(experiment);
    for (std::size_t part = 0; part < layout.tables(); ++part) {
      Statement remove = connection.prepare(fmt::format("DELETE FROM {} WHERE number = ?", layout.table(part)));
      for (const std::uint64_t number : numbers) remove.bind(1, as_signed(number)).run();
    }
    if (!numbers.empty()) {
      done.push_back(fmt::format(
          "experiment '{}': {} damaged trials are gone; 'duet run' with its file evaluates them again",
          experiment.name, numbers.size()));
    }
    Statement view = connection.prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'view' AND name = ?");
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

void Store::copy_to(const std::filesystem::path& target) const {
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(target, error))) {
    throw StoreError(fmt::format("{} exists already; choose another name for the copy", target.string()));
  }
  // Under another name until it is whole.
  const std::filesystem::path part = target.string() + ".part";
  const auto fail = [&](const std::string& why) {
    std::filesystem::remove(part, error);
    throw StoreError(fmt::format("{} cannot be written: {}", target.string(), why));
  };
  const int created = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (created < 0) throw StoreError(fmt::format("{} cannot be created: {}", part.string(), std::strerror(errno)));
  ::close(created);
  {
    const std::lock_guard lock(implementation_->reader_mutex);
    std::optional<Connection> copy;
    copy.emplace(part, Connection::Access::write, part.string());
    copy->run("PRAGMA synchronous = FULL");
    sqlite3_backup* const backup =
        sqlite3_backup_init(copy->handle(), "main", implementation_->reader->handle(), "main");
    if (backup == nullptr) fail(sqlite3_errmsg(copy->handle()));
    // All pages in one step, hence of one moment, while the writer goes on: with several steps the copy would begin
    // again with every commit.
    const int code = sqlite3_backup_step(backup, -1);
    const int finished = sqlite3_backup_finish(backup);
    copy.reset();
    if (code != SQLITE_DONE || finished != SQLITE_OK) fail(sqlite3_errstr(code != SQLITE_DONE ? code : finished));
  }
  std::filesystem::rename(part, target, error);
  if (error) fail(error.message());
}

}  // namespace duet
