#pragma once
/// Tables and views of the result database, and how a database of an older schema gets those of today.
/// Internal to the store; docs/schema.md tells users what there is.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <fmt/format.h>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/fingerprint.hpp"
#include "experiments/sqlite.hpp"
#include "experiments/store.hpp"

namespace duet::database {

constexpr std::int64_t application_id = 0x64756574;  // "duet"
constexpr std::size_t columns_per_table = 1900;  // SQLite allows 2,000; the first table has fixed columns too

/// In a new file, everything but the tables of trials.
void create_tables(sqlite::Connection& connection);
/// migrations()[i] leads from schema i + 1 to i + 2. A step may use create_views() to rebuild the views.
std::span<const sqlite::Migration> migrations();

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

inline Layout layout_of(const ExperimentRecord& experiment) {
  return {experiment.id, experiment.metrics.size(), experiment.parameters.size()};
}

/// Codes and metrics as they are written. Metrics have no declared type, because a REAL column loses the sign
/// of zero.
void create_trial_tables(sqlite::Connection& connection, const ExperimentRecord& experiment);
/// Names of the view's columns, metrics first, then parameters. SQLite does not distinguish case: what would
/// clash becomes "metric.x" or "parameter.x", with a number where that is taken too.
std::vector<std::string> view_columns(const ExperimentRecord& experiment);
/// Views named after the experiment: one per table, with readable values. By name, the statement that creates it.
std::map<std::string, std::string> views(const ExperimentRecord& experiment);
void create_views(sqlite::Connection& connection, const ExperimentRecord& experiment);
/// The views `trials`, `trials_2`, … stand for the experiment begun last; without one there are none.
void create_latest_views(sqlite::Connection& connection);
/// Refuses names that a view cannot have. \throws StoreError
void check_name(sqlite::Connection& connection, const ExperimentRecord& experiment);
/// Tables of trials that belong to no experiment.
std::vector<std::string> orphan_tables(sqlite::Connection& connection);

/// Seeds and the like: all 64 bits in SQLite's signed integer.
inline std::int64_t as_signed(std::uint64_t value) {
  return std::bit_cast<std::int64_t>(value);
}
inline std::uint64_t as_unsigned(std::int64_t value) {
  return std::bit_cast<std::uint64_t>(value);
}
inline bool is_whole(double value) {
  return std::abs(value) <= 9007199254740992.0 && value == std::floor(value);
}
/// Of what was added to the hasher: 32 bits. Short, so that a row has only four bytes more; a flipped bit is found for
/// certain but for one in 2^32.
std::int64_t checksum(const Hasher& hasher);
/// As SQLite compares names: in ASCII.
std::string lower_case(std::string_view text);

/// "exp.db is damaged: …"
[[noreturn]] void damaged(const sqlite::Connection& connection, const std::string& what);

}  // namespace duet::database
