#pragma once
/// What a Store holds. Internal to the store, whose members are defined in
///   store.cpp              opening, notes, final measurements, the cache, copies
///   store_experiments.cpp  experiments: what is known before the first trial
///   store_trials.cpp       trials: rows, written and read
///   store_query.cpp        SQL of users
///   store_check.cpp        checks and repairs
/// on top of
///   store_lock.hpp         one writer per file
///   store_schema.hpp       tables, views, migrations

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "experiments/sqlite.hpp"
#include "experiments/store.hpp"
#include "experiments/store_lock.hpp"
#include "experiments/store_schema.hpp"
#include "experiments/store_trials.hpp"

namespace duet {

namespace database {

/// In the order in which they were begun. \throws StoreError if the description of one is damaged.
std::vector<ExperimentRecord> read_experiments(sqlite::Connection& connection);
/// Of an experiment's description, of a row of these tables.
std::int64_t checksum(const ExperimentRecord& experiment);
std::int64_t checksum(const FinalRecord& record);
std::int64_t checksum_of_note(std::string_view time, std::string_view event);
std::int64_t checksum_of_evaluation(std::string_view key, std::string_view value);

}  // namespace database

struct Store::Implementation {
  std::filesystem::path path;
  bool writable;
  database::FileUse use;  ///< outlives the connections

  // `main` writes. Opened by a reader too, where the file permits: the last connection that could write
  // removes the -wal and -shm files when it closes, read-only ones leave them behind. `reader` answers
  // everything else, so that a long query does not hold up append(). Each is guarded by its mutex; nothing
  // takes both.
  std::optional<sqlite::Connection> main;
  std::mutex main_mutex;
  std::optional<sqlite::Connection> reader;
  std::mutex reader_mutex;
  std::uint64_t appended = 0;  ///< trials
  int log_pages = 0, log_next = 0;  ///< of the write-ahead log: its length, and when to shorten it
  std::int64_t schema = schema_version;  ///< of the file; those who write migrate
  std::unordered_map<std::int64_t, database::TrialWriter> trial_writers;
  std::optional<sqlite::Statement> get_evaluation, put_evaluation;

  Implementation(std::filesystem::path file, Mode mode);
  Implementation(const Implementation&) = delete;  // SQLite has its address

  std::string shown() const { return path.string(); }
  /// `main`. Requires main_mutex. \throws StoreError in a store for reading.
  sqlite::Connection& writer();
  /// Requires main_mutex.
  database::TrialWriter& trial_writer(std::int64_t experiment);
  /// Writing goes on in a file that has been removed, and all of it is lost. \throws StoreError
  void check_place() const;
  /// Whether trials have checksums.
  bool checksums() const { return schema >= 2; }

 private:
  void open_for_writing();
  void open_for_reading();
  void open_main_for_reading(sqlite::Connection::Access access);
  void open_reader(sqlite::Connection::Access access);
  static int after_commit(void* self, sqlite3* handle, const char*, int pages);
  void refuse_truncated() const;
  [[noreturn]] void refuse_foreign() const;
  void check_version(bool writing);
};

}  // namespace duet
