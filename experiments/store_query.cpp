/// Queries of users: any SELECT, and nothing else.

#include <fmt/format.h>
#include <memory>
#include <sqlite3.h>

#include "core/errors.hpp"
#include "core/units.hpp"
#include "experiments/store_implementation.hpp"

namespace duet {
namespace {

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
      const std::string name = first == nullptr ? "" : database::lower_case(first);
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

}  // namespace

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

}  // namespace duet
