#pragma once
/// A thin layer over SQLite's C interface: lifetimes, typed binding, and errors as complete sentences.
/// Included by .cpp files only; nothing outside the store needs it.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "core/errors.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace duet::sqlite {

/// A StoreError that remembers SQLite's (extended) result code.
class Error : public StoreError {
 public:
  Error(const std::string& sentence, int code) : StoreError(sentence), code_(code) {}
  int code() const { return code_; }
  /// Without the extension: SQLITE_BUSY for SQLITE_BUSY_SNAPSHOT.
  int primary_code() const { return code_ & 0xff; }

 private:
  int code_;
};

/// "x" → "\"x\"": any text as an SQL identifier.
std::string identifier(std::string_view name);
/// x → 'x': any text as an SQL string literal.
std::string literal(std::string_view text);

class Statement;

/// One connection. Not thread-safe: whoever owns it serialises its use.
class Connection {
 public:
  enum class Access {
    write,      ///< the file must exist
    read,       ///< SQLITE_OPEN_READONLY
    immutable,  ///< the same without locks and without a write-ahead log, for media nobody can write to
  };

  /// `shown` is the path as it begins error messages. \throws Error
  Connection(const std::filesystem::path& file, Access access, std::string shown);
  ~Connection();
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&&) = delete;

  /// Runs any number of statements that return no rows of interest. \throws Error
  void run(const std::string& sql);
  /// \throws Error
  Statement prepare(std::string_view sql);
  /// First column of the first row as an integer; 0 if there is none. \throws Error
  std::int64_t integer(std::string_view sql);

  /// Throws the sentence for `code`.
  [[noreturn]] void fail(int code) const;
  sqlite3* handle() const { return handle_; }
  const std::string& shown() const { return shown_; }

 private:
  sqlite3* handle_ = nullptr;
  std::string shown_;
};

/// A prepared statement. Columns are counted from 0, placeholders from 1.
/// Text and blobs that are bound must outlive the execution.
class Statement {
 public:
  Statement(Connection& connection, std::string_view sql);
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;

  Statement& bind_null(int index);
  Statement& bind(int index, std::int64_t value);
  Statement& bind(int index, double value);
  Statement& bind(int index, std::string_view text);
  Statement& bind_blob(int index, std::string_view bytes);

  /// \returns whether there is a row. \throws Error
  bool step();
  /// For statements without rows: executes and makes ready for the next execution. \throws Error
  void run();
  void reset();

  bool is_null(int column) const;
  bool is_number(int column) const;
  int type(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;
  /// Bytes of text or blob; empty if null.
  std::string text(int column) const;
  sqlite3_stmt* handle() const { return handle_; }

 private:
  void check(int code) const;

  Connection* connection_;
  sqlite3_stmt* handle_ = nullptr;
};

/// Rolls back unless committed.
class Transaction {
 public:
  enum class Kind { read, write };
  Transaction(Connection& connection, Kind kind);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Connection& connection_;
  bool open_ = true;
};

/// Takes a database from one schema version to the next.
using Migration = std::function<void(Connection&)>;

/// Brings a database from schema `version` to the newest: migrations[i] leads from version i + 1 to i + 2.
/// All steps and the new `user_version` are one transaction: after a crash or an error the old database is
/// there, unchanged.
void migrate(Connection& connection, int version, std::span<const Migration> migrations);

}  // namespace duet::sqlite
