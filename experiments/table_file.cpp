#include "experiments/table_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/config.hpp"
#include "core/errors.hpp"
#include "experiments/sqlite.hpp"

namespace duet {
namespace {

using sqlite::Connection;
using sqlite::identifier;
using sqlite::Statement;
using sqlite::Transaction;

constexpr std::int64_t table_application_id = 0x64746162;  // "dtab"
constexpr std::int64_t results_id = 0x64756574;      // of result databases

constexpr const char* catalogue = R"sql(
CREATE TABLE tables (
  name TEXT PRIMARY KEY COLLATE NOCASE,
  format TEXT NOT NULL, summary TEXT NOT NULL, source TEXT NOT NULL,
  files TEXT NOT NULL,    -- JSON: what it was imported from
  keys TEXT NOT NULL,     -- JSON: lists of columns; no two rows have the same values in one
  "groups" TEXT NOT NULL, -- JSON: lists of columns that repetitions have in common
  rows INTEGER NOT NULL,
  content TEXT NOT NULL   -- fingerprint of all cells
) WITHOUT ROWID;
CREATE TABLE columns (
  "table" TEXT NOT NULL COLLATE NOCASE,
  position INTEGER NOT NULL,
  name TEXT NOT NULL,
  original TEXT NOT NULL, -- its name in the file
  kind TEXT NOT NULL CHECK (kind IN ('number', 'text')),
  unit TEXT,              -- NULL: nobody said
  direction TEXT CHECK (direction IN ('minimize', 'maximize')),
  description TEXT NOT NULL,
  content TEXT NOT NULL,  -- fingerprint of its cells
  PRIMARY KEY ("table", position)
) WITHOUT ROWID;
)sql";

bool exists(Connection& connection, const std::string& table) {
  Statement statement = connection.prepare("SELECT 1 FROM tables WHERE name = ?1");
  return statement.bind(1, table).step();
}

/// Makes sure that the file is one of tables. \returns whether it is empty instead.
bool check_kind(Connection& connection) {
  const std::string& shown = connection.shown();
  const std::int64_t id = connection.integer("PRAGMA application_id");
  const std::int64_t version = connection.integer("PRAGMA user_version");
  if (id == results_id) {
    throw StoreError(shown + " is a database of results, not of tables; 'duet import' writes to a file of its own");
  }
  if (id != table_application_id) {
    if (id == 0 && version == 0 && connection.integer("SELECT count(*) FROM sqlite_schema") == 0) return true;
    throw StoreError(shown + " is another program's database, not one of tables that duet imported");
  }
  if (version > TableFile::schema_version) {
    throw StoreError(fmt::format("{} was written by a newer duet (schema {}, this one knows {}); update duet", shown,
                                 version, TableFile::schema_version));
  }
  return false;
}

Connection open_for_reading(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) {
    throw StoreError(fmt::format("{} cannot be opened: {}", file.string(),
                                 error ? error.message() : std::strerror(ENOENT)));
  }
  if (std::filesystem::is_directory(file, error)) {
    throw StoreError(fmt::format("{} cannot be opened: {}", file.string(), std::strerror(EISDIR)));
  }
  Connection connection(file, Connection::Access::read, file.string());
  connection.run("PRAGMA busy_timeout = 5000");
  if (check_kind(connection)) {
    throw StoreError(file.string() + " is empty; 'duet import' puts tables into it");
  }
  return connection;
}

std::vector<std::string> names_in(Connection& connection) {
  std::vector<std::string> names;
  Statement statement = connection.prepare("SELECT name FROM tables ORDER BY name");
  while (statement.step()) names.push_back(statement.text(0));
  return names;
}

template <class T>
T from_json(const std::string& shown, const std::string& text) {
  try {
    return nlohmann::json::parse(text).get<T>();
  } catch (const nlohmann::json::exception&) {
    throw StoreError(shown + " is damaged: its catalogue cannot be read");
  }
}

Fingerprint fingerprint_from(const std::string& shown, const std::string& hex) {
  Fingerprint value;
  const auto read = [&](std::size_t at, std::uint64_t& to) {
    return std::from_chars(hex.data() + at, hex.data() + at + 16, to, 16).ptr == hex.data() + at + 16;
  };
  if (hex.size() != 32 || !read(0, value.high) || !read(16, value.low)) {
    throw StoreError(shown + " is damaged: its catalogue cannot be read");
  }
  return value;
}

void check_name(const std::string& name) {
  const bool clean = !name.empty() && name.size() <= 100 && table_name_from(name) == name && !(name[0] >= '0' && name[0] <= '9');
  if (!clean) {
    throw ConfigError(fmt::format(
        "a table cannot be named '{}': letters, digits and '_', not beginning with a digit; --table NAME gives it another name", name));
  }
  std::string lower = name;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (lower == "tables" || lower == "columns" || lower.starts_with("sqlite_")) {
    throw ConfigError(fmt::format("a table cannot be named '{}': the file uses that name itself; --table NAME gives it another name", name));
  }
}

std::string list_of(const std::vector<std::string>& columns) {
  std::string text;
  for (const std::string& column : columns) text += (text.empty() ? "" : ", ") + identifier(column);
  return text;
}

void write_rows(Connection& connection, const std::string& name, const ImportedTable& table) {
  std::string columns, places;
  for (const ImportedTable::Column& column : table.columns) {
    columns += fmt::format("{}{} {}", columns.empty() ? "" : ", ", identifier(column.name), column.number ? "REAL" : "TEXT");
    places += places.empty() ? "?" : ", ?";
  }
  connection.run(fmt::format("CREATE TABLE {} ({})", identifier(name), columns));
  Statement insert = connection.prepare(fmt::format("INSERT INTO {} VALUES ({})", identifier(name), places));
  for (std::size_t row = 0; row < table.rows; ++row) {
    int place = 0;
    for (const ImportedTable::Column& column : table.columns) {
      ++place;
      if (column.number ? std::isnan(column.numbers[row]) : column.texts[row].empty()) {
        insert.bind_null(place);
      } else if (column.number) {
        insert.bind(place, column.numbers[row]);
      } else {
        insert.bind(place, std::string_view(column.texts[row]));
      }
    }
    insert.run();
  }
  int number = 0;
  for (const std::vector<std::string>& key : table.keys) {
    connection.run(fmt::format("CREATE UNIQUE INDEX {} ON {} ({})", identifier(fmt::format("{}_key_{}", name, ++number)),
                               identifier(name), list_of(key)));
  }
  number = 0;
  for (const std::vector<std::string>& group : table.groups) {
    connection.run(fmt::format("CREATE INDEX {} ON {} ({})", identifier(fmt::format("{}_group_{}", name, ++number)),
                               identifier(name), list_of(group)));
  }
}

void write_catalogue(Connection& connection, const std::string& name, const ImportedTable& table) {
  const std::string files = nlohmann::json(table.files).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const std::string keys = nlohmann::json(table.keys).dump(), groups = nlohmann::json(table.groups).dump();
  const std::string content = table.content().hex();
  Statement row = connection.prepare("INSERT INTO tables VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
  row.bind(1, name).bind(2, table.format).bind(3, table.summary).bind(4, table.source).bind(5, files);
  row.bind(6, keys).bind(7, groups).bind(8, static_cast<std::int64_t>(table.rows)).bind(9, content).run();
  Statement insert = connection.prepare("INSERT INTO columns VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
  std::int64_t position = 0;
  for (const ImportedTable::Column& column : table.columns) {
    const std::string hex = column.content().hex();
    insert.bind(1, name).bind(2, position++).bind(3, column.name).bind(4, column.original);
    insert.bind(5, std::string_view(column.number ? "number" : "text"));
    column.unit ? insert.bind(6, *column.unit) : insert.bind_null(6);
    column.direction ? insert.bind(7, to_string(*column.direction)) : insert.bind_null(7);
    insert.bind(8, column.description).bind(9, hex).run();
  }
}

/// Creates the file if there is none, and removes what it created unless all went well.
class NewFile {
 public:
  explicit NewFile(const std::filesystem::path& path) : path_(path) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    created_ = descriptor >= 0;
    if (created_) {
      ::close(descriptor);
    } else if (errno != EEXIST) {
      throw StoreError(fmt::format("{} cannot be created: {}", path.string(), std::strerror(errno)));
    }
  }
  ~NewFile() {
    std::error_code ignored;
    if (created_) std::filesystem::remove(path_, ignored);
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  void keep() { created_ = false; }

 private:
  std::filesystem::path path_;
  bool created_ = false;
};

}  // namespace

TableWriting write_table(const std::filesystem::path& file, const std::string& name, const ImportedTable& table,
                         bool replace) {
  check_name(name);
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) {
    throw StoreError(fmt::format("{} cannot be written: {}", file.string(), std::strerror(EISDIR)));
  }
  NewFile created(file);
  TableWriting done = TableWriting::created;
  {
    Connection connection(file, Connection::Access::write, file.string());
    connection.run("PRAGMA busy_timeout = 5000");
    Transaction transaction(connection, Transaction::Kind::write);
    if (check_kind(connection)) {
      connection.run(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}; {}", table_application_id,
                                 TableFile::schema_version, catalogue));
    }
    if (exists(connection, name)) {
      Statement old = connection.prepare("SELECT content, rows, files, name FROM tables WHERE name = ?1");
      old.bind(1, name).step();
      if (old.text(0) == table.content().hex()) return TableWriting::unchanged;
      if (!replace) {
        throw StoreError(fmt::format(
            "{} has another table '{}' already ({} rows, of {}); --replace puts the new one in its place, --table NAME "
            "gives it another name",
            file.string(), old.text(3), old.integer(1),
            fmt::join(from_json<std::vector<std::string>>(file.string(), old.text(2)), ", ")));
      }
      const std::string present = old.text(3);
      old.reset();
      connection.run(fmt::format("DROP TABLE {}", identifier(present)));
      for (const char* rows : {"DELETE FROM columns WHERE \"table\" = ?1", "DELETE FROM tables WHERE name = ?1"}) {
        connection.prepare(rows).bind(1, present).run();
      }
      done = TableWriting::replaced;
    }
    write_rows(connection, name, table);
    write_catalogue(connection, name, table);
    transaction.commit();
  }
  created.keep();
  return done;
}

TableFile::TableFile(const std::filesystem::path& file, const std::string& name) : file_(file), name_(name) {
  Connection connection = open_for_reading(file);
  const std::string shown = file.string();
  const std::vector<std::string> known = names_in(connection);
  if (known.empty()) throw StoreError(shown + " has no tables; 'duet import' puts them into it");
  if (name.empty()) {
    if (known.size() > 1) {
      throw StoreError(fmt::format("{} has {} tables; say which: {}", shown, known.size(), fmt::join(known, ", ")));
    }
    name_ = known.front();
  }
  Statement table = connection.prepare(
      "SELECT name, format, summary, source, files, keys, \"groups\", rows FROM tables WHERE name = ?1");
  if (!table.bind(1, name_).step()) {
    throw StoreError(fmt::format("{} has no table '{}'{}", shown, name_, hint(name_, known)));
  }
  name_ = table.text(0);
  format_ = table.text(1);
  summary_ = table.text(2);
  source_ = table.text(3);
  files_ = from_json<std::vector<std::string>>(shown, table.text(4));
  keys_ = from_json<std::vector<std::vector<std::string>>>(shown, table.text(5));
  groups_ = from_json<std::vector<std::vector<std::string>>>(shown, table.text(6));
  rows_ = static_cast<std::size_t>(table.integer(7));
  Statement column = connection.prepare(
      "SELECT name, original, kind, unit, direction, description, content FROM columns WHERE \"table\" = ?1 "
      "ORDER BY position");
  column.bind(1, name_);
  while (column.step()) {
    Column& one = columns_.emplace_back();
    one.name = column.text(0);
    one.original = column.text(1);
    one.number = column.text(2) == "number";
    if (!column.is_null(3)) one.unit = column.text(3);
    if (!column.is_null(4)) {
      one.direction = column.text(4) == "minimize" ? Direction::minimize : Direction::maximize;
    }
    one.description = column.text(5);
    one.content = fingerprint_from(shown, column.text(6));
  }
}

std::vector<std::string> TableFile::names(const std::filesystem::path& file) {
  Connection connection = open_for_reading(file);
  return names_in(connection);
}

void TableFile::read(std::span<const std::size_t> texts, std::span<const std::size_t> numbers,
                     const Visitor& visit) const {
  std::vector<std::string> names;
  for (const auto& list : {texts, numbers}) {
    for (const std::size_t column : list) names.push_back(columns_.at(column).name);
  }
  Connection connection = open_for_reading(file_);
  Statement rows = connection.prepare(
      fmt::format("SELECT {} FROM {} ORDER BY rowid", names.empty() ? "1" : list_of(names), identifier(name_)));
  std::vector<std::string> text(texts.size());
  std::vector<double> number(numbers.size());
  std::vector<Hasher> contents(names.size());
  std::size_t count = 0;
  while (rows.step()) {
    ++count;
    int place = 0;
    for (std::string& cell : text) {
      cell = rows.text(place);
      contents[static_cast<std::size_t>(place++)].add(std::string_view(cell));
    }
    for (double& cell : number) {
      cell = rows.is_null(place) ? std::numeric_limits<double>::quiet_NaN() : rows.real(place);
      contents[static_cast<std::size_t>(place++)].add(cell);
    }
    visit(text, number);
  }
  bool same = count == rows_;
  for (std::size_t i = 0; i < names.size() && same; ++i) {
    const std::size_t column = i < texts.size() ? texts[i] : numbers[i - texts.size()];
    same = contents[i].finish() == columns_[column].content;
  }
  if (!same) {
    throw StoreError(fmt::format("{}: the table '{}' is not what was imported: another program changed it; import it "
                                 "again with --replace",
                                 file_.string(), name_));
  }
}

void TableFile::check() const {
  std::vector<std::size_t> texts, numbers;
  for (std::size_t i = 0; i < columns_.size(); ++i) (columns_[i].number ? numbers : texts).push_back(i);
  read(texts, numbers, [](std::span<const std::string>, std::span<const double>) {});
  Connection connection = open_for_reading(file_);
  Statement quick = connection.prepare("PRAGMA quick_check(1)");
  if (quick.step() && quick.text(0) != "ok") {
    throw StoreError(fmt::format("{} is damaged: {}", file_.string(), quick.text(0)));
  }
}

}  // namespace duet
