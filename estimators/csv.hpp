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
class CsvReader {
 public:
  /// Takes the whole text; `name` begins every message. Reads the header.
  /// \throws ConfigError "name:line: …" for an empty text, and as next() does.
  CsvReader(std::string text, std::string name, char separator = ',');
  CsvReader(const CsvReader&) = delete;
  CsvReader& operator=(const CsvReader&) = delete;

  const std::vector<std::string>& columns() const { return columns_; }
  /// Position of a column. \throws ConfigError with the nearest match if there is none or more than one of
  /// that name.
  std::size_t column(std::string_view name) const;

  /// Moves to the next row; false at the end. \throws ConfigError for a row with too few or too many fields,
  /// a quote that is never closed or followed by text, a zero byte.
  bool next();
  /// Of the current row; valid until the next call of next().
  std::string_view operator[](std::size_t column) const { return fields_[column]; }
  /// Line of the file on which the current row begins, from 1.
  std::size_t line() const { return row_line_; }

  [[noreturn]] void fail(std::size_t line, std::string_view message) const;

 private:
  bool read_row();
  std::string_view read_field();

  std::string text_;
  std::string name_;
  char separator_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  std::size_t row_line_ = 1;
  std::vector<std::string> columns_;
  std::vector<std::string_view> fields_;
};

/// The whole file. \throws std::system_error with the system's reason.
std::string read_whole_file(const std::filesystem::path& path);

}  // namespace duet
