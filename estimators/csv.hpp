#pragma once
/// Comma-separated files (RFC 4180), read row by row.

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace duet {

/// Fields may stand in double quotes, inside which separators and line ends are text and "" is a quote. Lines
/// end in LF or CR LF; a UTF-8 byte order mark and empty lines are passed over; blanks around an unquoted
/// field do not count. Every row has as many fields as the header.
///
/// Errors are ConfigErrors "name:line:column: …"; lines and columns (in characters) are counted from 1.
class CsvReader {
 public:
  /// Takes the whole text; `name` begins every message. Reads the header.
  /// \throws ConfigError for a text that is empty, compressed, not UTF-8, and as next() does.
  CsvReader(std::string text, std::string name, char separator = ',');
  CsvReader(const CsvReader&) = delete;
  CsvReader& operator=(const CsvReader&) = delete;

  const std::vector<std::string>& columns() const { return columns_; }
  /// Position of a column. \throws ConfigError with the nearest match if there is none or more than one of
  /// that name.
  std::size_t column(std::string_view name) const;

  /// Moves to the next row; false at the end. \throws ConfigError for a row with too few or too many fields,
  /// a quote that is never closed or followed by text, a zero byte, a field beyond max_field bytes.
  bool next();
  /// Of the current row; valid until the next call of next().
  std::string_view operator[](std::size_t column) const { return fields_[column]; }
  /// Line of the file on which the current row begins, from 1.
  std::size_t line() const { return row_line_; }

  /// What is wrong with a field of the current row (before the first row: of the header).
  [[noreturn]] void fail(std::size_t column, std::string_view message) const;

  static constexpr std::size_t max_field = std::size_t{1} << 20;

 private:
  struct Position {
    std::size_t line = 1, column = 1;
  };
  bool read_row();
  std::string_view read_field();
  void check_utf8() const;
  [[noreturn]] void fail_at(Position position, std::string_view message) const;

  std::string text_;
  std::string name_;
  char separator_;
  std::size_t at_ = 0;
  Position here_;  ///< of at_
  std::size_t row_line_ = 1;
  std::vector<std::string> columns_;
  std::vector<std::string_view> fields_;
  std::vector<Position> starts_;  ///< of the fields
};

/// The whole file. \throws std::system_error with the system's reason.
std::string read_whole_file(const std::filesystem::path& path);

}  // namespace duet
