#pragma once
/// CSV files → one table. Files are joined by the format's keys: a row of one file and a row of another that agree in a
/// key are one row, whatever the order of files and rows.
///
///   TableImport import(table_format("nas_bench_201"));
///   import.add(read_whole_file("accuracy.csv"), "accuracy.csv");
///   import.add(read_whole_file("latency.csv"), "latency.csv");
///   const ImportedTable table = import.finish();

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/fingerprint.hpp"
#include "experiments/table_format.hpp"

namespace duet {

/// A table in memory.
struct ImportedTable {
  struct Column {
    std::string name;
    std::string original;  ///< in the file
    bool number = true;
    std::optional<std::string> unit;  ///< the base unit in which the numbers are; nothing: nobody said
    std::optional<Direction> direction;
    std::string description;
    std::vector<double> numbers;     ///< one per row; NaN: no value
    std::vector<std::string> texts;  ///< one per row; empty: no value
    /// Of the cells, in order.
    Fingerprint content() const;
  };

  std::string format, summary, source;
  std::vector<std::string> files;  ///< names, without folders
  std::size_t rows = 0;
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> keys, groups;  ///< names of columns

  /// Of everything but where it came from.
  Fingerprint content() const;
};

/// Reads text only: no files, no side effects. Not thread-safe.
class TableImport {
 public:
  explicit TableImport(TableFormat format);

  /// Reads one file. `name` begins the messages.
  /// \throws ConfigError "name:line:column: …" for what is not CSV (see CsvReader), a file without the columns of any
  /// key, a cell that is no number, a row without a key or with one that the file has already, a value that contradicts
  /// that of an earlier file. The import is of no more use then.
  void add(std::string text, const std::string& name, char separator = ',');

  /// The table. \throws ConfigError if no file had a row, or an override names a column that no file has.
  ImportedTable finish();

  static constexpr std::size_t max_columns = 1'900;  ///< of SQLite's 2,000

 private:
  struct Cell;
  /// A set of columns that names rows, and the rows by it.
  struct Key {
    std::vector<std::string> columns;
    std::unordered_map<Fingerprint, std::uint32_t> rows;
  };
  /// How a column of a file becomes one of the table.
  struct Target {
    std::size_t column = 0;  ///< in table_.columns
    bool skip = false;
    bool key = false;
    std::string spelling = "1";
    double scale = 1;
  };
  ColumnRule rule_for(const std::string& column, std::string& star) const;
  std::vector<std::string> expand(const std::vector<std::string>& patterns,
                                  const std::vector<std::string>& names) const;

  TableFormat format_;
  ImportedTable table_;
  std::vector<Key> keys_;
  std::vector<std::uint32_t> lines_;  ///< of each row, where it was last met
  std::vector<std::uint32_t> met_;    ///< in which file, from 1
  std::map<std::string, std::string> known_;  ///< original names, and one file that has each
};

/// A name that SQL and metrics take as it is, made of this text.
std::string table_name_from(const std::string& text);

}  // namespace duet
