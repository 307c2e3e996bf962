#include "experiments/store.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fstream>
#include <sqlite3.h>
#include <unistd.h>
#include <utility>

#include "core/errors.hpp"
#include "experiments/store_implementation.hpp"

namespace duet {

using database::as_signed;
using database::as_unsigned;
using sqlite::Connection;
using sqlite::Statement;
using sqlite::Transaction;

namespace {

// The write-ahead log, in pages of 2 KiB. Every `log_step` pages what no reader needs goes to the database;
// only where no reader is active can the log begin anew. Readers that take turns would let it grow for ever:
// from `log_limit` on the writer waits for those that are reading, so that the next ones find a new log.
constexpr int log_step = 4000;
constexpr int log_limit = 32'000;
constexpr int longest_wait_ms = 2000;

/// "2026-01-31T12:00:00Z"
std::string now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
}

/// What an existing file holds, from its header and its table of contents.
enum class Content { nothing, duet, other };

Content content(Connection& connection) {
  if (connection.integer("PRAGMA application_id") == database::application_id) {
    // A view can hold a query that never ends; nothing that duet reads is one.
    Statement view = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'view' AND (name GLOB 'trial_[0-9]*' OR name IN "
        "('experiments', "
        "'parameters', 'options', 'metrics', 'constraints', 'notes', 'finals', 'evaluations'))");
    if (view.step()) {
      throw StoreError(
          fmt::format("{} is damaged: its table {} is a view", connection.shown(), view.text(0)));
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

// --- Opening

Store::Implementation::Implementation(std::filesystem::path file, Mode mode)
    : path(std::move(file)), writable(mode == Mode::write), use(path, writable), log_next(log_step) {
  try {
    writable ? open_for_writing() : open_for_reading();
  } catch (const sqlite::Error& error) {
    if (error.primary_code() == SQLITE_CORRUPT) refuse_truncated();
    throw;
  }
  get_evaluation.emplace(*main, fmt::format("SELECT value, {} FROM evaluations WHERE key = ?",
                                            schema >= 3 ? "checksum" : "NULL"));
  if (writable) {
    put_evaluation.emplace(
        *main,
        "INSERT INTO evaluations VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, checksum = "
        "excluded.checksum");
  }
  reader->run("PRAGMA query_only = 1; PRAGMA cache_size = -16000");
}

void Store::Implementation::open_for_writing() {
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
    database::create_tables(*main);
    main->run(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", database::application_id,
                          schema_version));
    transaction.commit();
  } else {
    sqlite::migrate(*main, static_cast<int>(main->integer("PRAGMA user_version")), database::migrations());
  }
  open_reader(Connection::Access::read);
}

/// Called by SQLite after every commit with the length of the log.
int Store::Implementation::after_commit(void* self, sqlite3* handle, const char*, int pages) {
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

void Store::Implementation::open_for_reading() {
  try {
    open_main_for_reading(Connection::Access::write);
  } catch (const sqlite::Error& error) {
    // A database in WAL mode cannot be read where SQLite cannot create the files beside it, unless we
    // promise that nobody writes to it. That is safe if there is no log: whoever writes needs to create
    // one, in that folder.
    const bool blocked = error.primary_code() == SQLITE_CANTOPEN || error.primary_code() == SQLITE_READONLY ||
                         error.primary_code() == SQLITE_PERM;
    if (!blocked || ::access(path.c_str(), R_OK) != 0) throw;
    std::error_code missing;
    const auto log_size = std::filesystem::file_size(path.string() + "-wal", missing);
    if (!missing && log_size > 0) {
      throw StoreError(
          fmt::format("{0} cannot be read here: the newest trials are in {0}-wal, which needs a folder that "
                      "can be written to; copy both files to one",
                      shown()));
    }
    open_main_for_reading(Connection::Access::immutable);
    open_reader(Connection::Access::immutable);
    return;
  }
  open_reader(Connection::Access::read);
}

void Store::Implementation::open_main_for_reading(Connection::Access access) {
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

void Store::Implementation::open_reader(Connection::Access access) {
  reader.emplace(path, access, shown());
  wait_for_locks(*reader);
}

/// SQLite says of a truncated file only that it is damaged. Bytes 16 and 28 of the header have the size of
/// pages and their number.
void Store::Implementation::refuse_truncated() const {
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
  throw StoreError(
      fmt::format("{} is truncated: {} of {} bytes are there; take another copy, or 'sqlite3 FILE .recover' "
                  "may save what is left",
                  shown(), size, expected));
}

void Store::Implementation::refuse_foreign() const {
  throw StoreError(shown() + " is an SQLite database, but not one of duet's; choose another file");
}

void Store::Implementation::check_version(bool writing) {
  const std::int64_t version = main->integer("PRAGMA user_version");
  if (version > schema_version) {
    throw StoreError(fmt::format("{} was written by a newer duet (schema {}, this one knows {})", shown(),
                                 version, schema_version));
  }
  if (version < 1) throw StoreError(fmt::format("{} is damaged: its schema version is {}", shown(), version));
  // Readers understand every schema so far: a file that cannot be written to can always be read.
  schema = writing ? schema_version : version;
}

Connection& Store::Implementation::writer() {
  if (!writable) throw StoreError(shown() + " was opened for reading only");
  return *main;
}

void Store::Implementation::check_place() const {
  if (use.leads_to_it(path)) return;
  throw StoreError(shown() + " has been removed, renamed or replaced while it was written: what was stored is not in the "
                             "file of this name");
}

database::TrialWriter& Store::Implementation::trial_writer(std::int64_t experiment) {
  const auto known = trial_writers.find(experiment);
  if (known != trial_writers.end()) return known->second;
  return trial_writers.emplace(experiment, database::TrialWriter(*main, experiment)).first->second;
}

// --- The cache

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
    if (statement.bind_blob(1, bytes).step()) {
      value = statement.text(0);
      // What is not what was stored is not there: it is computed again.
      if (!statement.is_null(1) && statement.integer(1) != database::checksum_of_evaluation(bytes, *value)) value.reset();
    }
    statement.reset();
    return value;
  }

  void put(const Fingerprint& key, std::string value) override {
    const std::string bytes = to_bytes(key);
    const std::lock_guard lock(database_->main_mutex);
    database_->writer();  // or throws
    database_->put_evaluation->bind_blob(1, bytes)
        .bind_blob(2, value)
        .bind(3, database::checksum_of_evaluation(bytes, value))
        .run();
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

// --- Store

Store::Store(const std::filesystem::path& path, Mode mode)
    : implementation_(std::make_shared<Implementation>(path, mode)) {}
Store::~Store() = default;
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;

const std::filesystem::path& Store::path() const {
  return implementation_->path;
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
  implementation_->check_place();
  implementation_->writer()
      .prepare("INSERT INTO notes (experiment, time, event, checksum) VALUES (?,?,?,?)")
      .bind(1, experiment)
      .bind(2, time)
      .bind(3, event)
      .bind(4, database::checksum_of_note(time, event))
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

void Store::append_final(std::int64_t experiment, const FinalRecord& record) {
  const std::lock_guard lock(implementation_->main_mutex);
  implementation_->writer()
      .prepare(
          "INSERT INTO finals (experiment, trial, replicate, metric, unit, value, recipe, created_at, checksum) "
          "VALUES (?,?,?,?,?,?,?,?,?)")
      .bind(1, experiment)
      .bind(2, as_signed(record.trial))
      .bind(3, as_signed(record.replicate))
      .bind(4, record.metric)
      .bind(5, record.unit)
      .bind(6, record.value)
      .bind(7, record.recipe)
      .bind(8, record.created_at)
      .bind(9, database::checksum(record))
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
  if (created < 0)
    throw StoreError(fmt::format("{} cannot be created: {}", part.string(), std::strerror(errno)));
  ::close(created);
  {
    const std::lock_guard lock(implementation_->reader_mutex);
    std::optional<Connection> copy;
    copy.emplace(part, Connection::Access::write, part.string());
    copy->run("PRAGMA synchronous = FULL");
    sqlite3_backup* const backup =
        sqlite3_backup_init(copy->handle(), "main", implementation_->reader->handle(), "main");
    if (backup == nullptr) fail(sqlite3_errmsg(copy->handle()));
    // All pages in one step, hence of one moment, while the writer goes on: with several steps the copy would
    // begin again with every commit.
    const int code = sqlite3_backup_step(backup, -1);
    const int finished = sqlite3_backup_finish(backup);
    copy.reset();
    if (code != SQLITE_DONE || finished != SQLITE_OK)
      fail(sqlite3_errstr(code != SQLITE_DONE ? code : finished));
  }
  std::filesystem::rename(part, target, error);
  if (error) fail(error.message());
}

}  // namespace duet
