#include "experiments/sqlite.hpp"

#include <sqlite3.h>

#include <fmt/format.h>
#include <utility>

namespace duet::sqlite {
namespace {

std::string quoted(std::string_view text, char mark) {
  std::string result(1, mark);
  for (const char c : text) {
    if (c == mark) result += mark;
    result += c;
  }
  return result + mark;
}

/// The path as a URI that asks for an immutable file; everything that is not plain is escaped.
std::string immutable_uri(const std::filesystem::path& file) {
  std::string uri = "file:";
  for (const char c : file.string()) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '/' || c == '.' || c == '-' || c == '_';
    uri += plain ? std::string(1, c) : fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  return uri + "?immutable=1";
}

std::string sentence(int code, const std::string& shown, const std::string& message) {
  switch (code & 0xff) {
    case SQLITE_NOTADB:
      return shown + " is not a database; choose another file";
    case SQLITE_CORRUPT:
      return fmt::format("{} is damaged (SQLite: {}); 'sqlite3 FILE .recover' may save what is left", shown,
                         message);
    case SQLITE_FULL:
      return fmt::format("{} cannot be written: the disk is full", shown);
    case SQLITE_IOERR:
      return fmt::format("{} cannot be read or written (SQLite: {}); check disk and quota", shown, message);
    case SQLITE_CANTOPEN:
      return fmt::format("{} cannot be opened (SQLite: {}); check the permissions of the file and its folder",
                         shown, message);
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return fmt::format("{} cannot be written (SQLite: {})", shown, message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return fmt::format("{} is locked by another program; close it there and try again", shown);
    case SQLITE_NOMEM:
      return fmt::format("{}: out of memory", shown);
    default:
      return fmt::format("{} is damaged or was changed by another program (SQLite: {})", shown, message);
  }
}

}  // namespace

std::string identifier(std::string_view name) {
  return quoted(name, '"');
}
std::string literal(std::string_view text) {
  return quoted(text, '\'');
}

Connection::Connection(const std::filesystem::path& file, Access access, std::string shown)
    : shown_(std::move(shown)) {
  // Absolute, so that no name is taken for a URI or for ":memory:".
  const std::filesystem::path absolute = std::filesystem::absolute(file);
  const bool immutable = access == Access::immutable;
  const int flags = (access == Access::write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
                    SQLITE_OPEN_NOMUTEX | (immutable ? SQLITE_OPEN_URI : 0);
  const std::string name = immutable ? immutable_uri(absolute) : absolute.string();
  const int code = sqlite3_open_v2(name.c_str(), &handle_, flags, nullptr);
  if (code != SQLITE_OK) {
    const std::string message = handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
    sqlite3_close_v2(handle_);
    throw Error(sentence(code, shown_, message), code);
  }
  sqlite3_extended_result_codes(handle_, 1);
  // The file may come from anywhere: nothing in its schema may have side effects or rewrite the schema.
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
}

Connection::~Connection() {
  sqlite3_close_v2(handle_);
}

Connection::Connection(Connection&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), shown_(std::move(other.shown_)) {}

void Connection::run(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
}

Statement Connection::prepare(std::string_view sql) {
  return {*this, sql};
}

std::int64_t Connection::integer(std::string_view sql) {
  Statement statement(*this, sql);
  return statement.step() ? statement.integer(0) : 0;
}

void Connection::fail(int code) const {
  throw Error(sentence(code, shown_, sqlite3_errmsg(handle_)), code);
}

Statement::Statement(Connection& connection, std::string_view sql) : connection_(&connection) {
  check(sqlite3_prepare_v3(connection.handle(), sql.data(), static_cast<int>(sql.size()),
                           SQLITE_PREPARE_PERSISTENT, &handle_, nullptr));
}

Statement::~Statement() {
  sqlite3_finalize(handle_);
}

Statement::Statement(Statement&& other) noexcept
    : connection_(other.connection_), handle_(std::exchange(other.handle_, nullptr)) {}

Statement& Statement::bind_null(int index) {
  check(sqlite3_bind_null(handle_, index));
  return *this;
}

Statement& Statement::bind(int index, std::int64_t value) {
  check(sqlite3_bind_int64(handle_, index, value));
  return *this;
}

Statement& Statement::bind(int index, double value) {
  check(sqlite3_bind_double(handle_, index, value));
  return *this;
}

Statement& Statement::bind(int index, std::string_view text) {
  // A null pointer would bind NULL, not the empty text.
  const char* data = text.empty() ? "" : text.data();
  check(sqlite3_bind_text64(handle_, index, data, text.size(), SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_blob(int index, std::string_view bytes) {
  const char* data = bytes.empty() ? "" : bytes.data();
  check(sqlite3_bind_blob64(handle_, index, data, bytes.size(), SQLITE_STATIC));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  try {
    connection_->fail(code);
  } catch (...) {
    sqlite3_reset(handle_);  // releases its locks and makes it usable again
    throw;
  }
}

void Statement::run() {
  while (step()) {
  }
  reset();
}

void Statement::reset() {
  sqlite3_reset(handle_);
}

int Statement::type(int column) const { return sqlite3_column_type(handle_, column); }

bool Statement::is_null(int column) const { return type(column) == SQLITE_NULL; }

bool Statement::is_number(int column) const {
  return type(column) == SQLITE_INTEGER || type(column) == SQLITE_FLOAT;
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(handle_, column); }

double Statement::real(int column) const { return sqlite3_column_double(handle_, column); }

std::string Statement::text(int column) const {
  const void* data = sqlite3_column_blob(handle_, column);
  const int size = sqlite3_column_bytes(handle_, column);
  return data == nullptr ? std::string()
                         : std::string(static_cast<const char*>(data), static_cast<std::size_t>(size));
}

void Statement::check(int code) const {
  if (code != SQLITE_OK) connection_->fail(code);
}

Transaction::Transaction(Connection& connection, Kind kind) : connection_(connection) {
  connection_.run(kind == Kind::write ? "BEGIN IMMEDIATE" : "BEGIN");
}

Transaction::~Transaction() {
  // A failed statement may have rolled back already; then this is an error that tells nothing.
  if (open_) sqlite3_exec(connection_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  connection_.run("COMMIT");
  open_ = false;
}

void migrate(Connection& connection, int version, std::span<const Migration> migrations) {
  const int newest = static_cast<int>(migrations.size()) + 1;
  if (version >= newest) return;
  Transaction transaction(connection, Transaction::Kind::write);
  for (int next = version; next < newest; ++next) migrations[static_cast<std::size_t>(next - 1)](connection);
  connection.run(fmt::format("PRAGMA user_version = {}", newest));
  transaction.commit();
}

}  // namespace duet::sqlite
