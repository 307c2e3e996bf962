#pragma once
/// Trials as rows of their tables. Internal to the store.

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/store_schema.hpp"

namespace duet::database {

/// Reads the rows of an experiment in number order, all tables in step.
class TrialReader {
 public:
  /// `checksums`: whether the schema has them. `experiment` must outlive the reader.
  TrialReader(sqlite::Connection& connection, const ExperimentRecord& experiment, bool checksums);

  /// From here on next() gives at most `limit` trials with numbers above `after`.
  void seek(std::uint64_t after, std::uint64_t limit);

  /// \returns whether there was a row. If there was one and it cannot be what append() wrote, `problem` says
  /// why, and of `trial` only the number is to be used; else it is empty.
  bool next(TrialRecord& trial, std::string& problem);
  /// For those who need sound trials. \returns whether there was a row. \throws StoreError if it is damaged.
  bool next(TrialRecord& trial);

  /// The trial that next() gave is a possible one, but not the one that was stored.
  bool altered() const { return altered_; }
  static constexpr const char* alteration = "its checksum is wrong: it is not what was stored";

 private:
  std::string decode(TrialRecord& trial);

  sqlite::Connection& connection_;
  const ExperimentRecord& experiment_;
  Layout layout_;
  std::vector<sqlite::Statement> statements_;
  bool altered_ = false;
};

/// Appends trials to an experiment, through prepared statements.
class TrialWriter {
 public:
  /// \throws StoreError if there is no such experiment.
  TrialWriter(sqlite::Connection& connection, std::int64_t experiment);

  const Layout& layout() const { return layout_; }
  /// As Store::append().
  void append(const TrialRecord& trial);

 private:
  void check(const TrialRecord& trial) const;
  void bind(const TrialRecord& trial, std::size_t part, const std::string& parents);

  sqlite::Connection& connection_;
  Layout layout_;
  std::vector<std::string> metric_names_;
  std::vector<sqlite::Statement> inserts_;
};

}  // namespace duet::database
