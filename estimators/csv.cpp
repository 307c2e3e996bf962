#include "estimators/csv.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <fstream>
#include <system_error>

#include "core/config.hpp"
#include "core/errors.hpp"
#include "core/utf8.hpp"

namespace duet {
namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

CsvReader::CsvReader(std::string text, std::string name, char separator)
    : text_(std::move(text)), name_(std::move(name)), separator_(separator) {
  if (text_.starts_with("\x1f\x8b")) fail_at({}, "the file is compressed; unpack it first");
  if (text_.starts_with("\xFF\xFE") || text_.starts_with("\xFE\xFF"))
    fail_at({}, "the file is in UTF-16; save it as UTF-8");
  if (text_.find('\n') == std::string::npos && text_.find('\r') != std::string::npos)
    fail_at({}, "lines end in CR alone; save the file with LF or CR LF");
  check_utf8();
  if (text_.starts_with(byte_order_mark)) at_ = byte_order_mark.size();
  if (!read_row()) fail_at({}, "the file is empty: expected a line with the columns' names");
  columns_.assign(fields_.begin(), fields_.end());
}

std::size_t CsvReader::column(std::string_view name) const {
  const auto found = std::find(columns_.begin(), columns_.end(), name);
  if (found == columns_.end()) fail_at({}, fmt::format("no column '{}'{}", name, hint(name, columns_)));
  if (std::find(found + 1, columns_.end(), name) != columns_.end()) {
    fail_at({}, fmt::format("more than one column is named '{}'", name));
  }
  return static_cast<std::size_t>(found - columns_.begin());
}

bool CsvReader::next() {
  if (!read_row()) return false;
  if (fields_.size() != columns_.size()) {
    const std::string message = fmt::format("the row has {} field{} where the header has {}", fields_.size(),
                                            fields_.size() == 1 ? "" : "s", columns_.size());
    // At the first field too many, or behind the last there is.
    if (fields_.size() > columns_.size()) fail(columns_.size(), message);
    fail(fields_.size() - 1, message);
  }
  return true;
}

bool CsvReader::read_row() {
  fields_.clear();
  starts_.clear();
  while (at_ < text_.size() && (text_[at_] == '\n' || text_.compare(at_, 2, "\r\n") == 0)) {
    at_ += text_[at_] == '\n' ? 1 : 2;
    here_ = {here_.line + 1, 1};
  }
  if (at_ >= text_.size()) return false;
  row_line_ = here_.line;
  while (true) {
    starts_.push_back(here_);
    fields_.push_back(read_field());
    if (at_ >= text_.size()) return true;
    const char end = text_[at_++];
    if (end == separator_) {
      ++here_.column;
      continue;
    }
    if (end == '\r') ++at_;  // of CR LF
    here_ = {here_.line + 1, 1};
    return true;
  }
}

/// Leaves at_ on the separator or line end behind the field.
std::string_view CsvReader::read_field() {
  const std::size_t begin = at_;
  const auto at_end = [&] {
    return at_ >= text_.size() || text_[at_] == separator_ || text_[at_] == '\n' ||
           text_.compare(at_, 2, "\r\n") == 0;
  };
  const auto next_character = [&] {
    const char c = text_[at_];
    if (c == '\0') fail_at(here_, "a zero byte: this is not a text file");
    if (at_ - begin >= max_field) {
      fail_at(starts_.back(), fmt::format("a field of more than {} bytes; is a quote missing?", max_field));
    }
    ++at_;
    if (c == '\n') {
      here_ = {here_.line + 1, 1};
    } else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) {
      ++here_.column;
    }
    return c;
  };

  while (at_ < text_.size() && text_[at_] == ' ') next_character();
  if (at_ >= text_.size() || text_[at_] != '"') {
    while (!at_end()) next_character();
    return trim(std::string_view(text_).substr(begin, at_ - begin));
  }

  // The text without its quotes is never longer, so it is written over the quoted one.
  const std::size_t quote = at_;
  const Position opening = here_;
  next_character();
  std::size_t length = 0;
  while (true) {
    if (at_ >= text_.size()) fail_at(opening, "a quote is opened here and never closed");
    const char character = next_character();
    if (character == '"') {
      if (at_ >= text_.size() || text_[at_] != '"') break;
      next_character();
    }
    text_[quote + length++] = character;
  }
  while (at_ < text_.size() && text_[at_] == ' ') next_character();
  if (!at_end()) {
    fail_at(here_, "text behind a closing quote (a quote inside a quoted field is written twice)");
  }
  return std::string_view(text_).substr(quote, length);
}

/// Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF).
void CsvReader::check_utf8() const {
  const std::size_t end = invalid_utf8(text_);
  if (end == std::string_view::npos) return;
  Position position;
  for (std::size_t i = text_.starts_with(byte_order_mark) ? byte_order_mark.size() : 0; i < end; ++i) {
    if (text_[i] == '\n') {
      position = {position.line + 1, 1};
    } else if ((static_cast<unsigned char>(text_[i]) & 0xC0) != 0x80) {
      ++position.column;
    }
  }
  fail_at(position, fmt::format("the byte 0x{:02X} is not UTF-8; save the file as UTF-8",
                                static_cast<unsigned char>(text_[end])));
}

void CsvReader::fail(std::size_t column, std::string_view message) const {
  fail_at(column < starts_.size() ? starts_[column] : Position{row_line_, 1}, message);
}

void CsvReader::fail_at(Position position, std::string_view message) const {
  throw ConfigError(fmt::format("{}:{}:{}: {}", name_, position.line, position.column, message));
}

std::string read_whole_file(const std::filesystem::path& path) {
  const auto fail = [&](int code) { throw std::system_error(code, std::generic_category()); };
  if (std::filesystem::is_directory(path)) fail(EISDIR);
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) fail(errno != 0 ? errno : EIO);
  std::string text;
  std::error_code unknown;  // of a pipe, for instance
  if (const std::uintmax_t size = std::filesystem::file_size(path, unknown); !unknown) text.reserve(size);
  char buffer[65536];
  while (stream.read(buffer, sizeof buffer) || stream.gcount() > 0) {
    text.append(buffer, static_cast<std::size_t>(stream.gcount()));
  }
  if (stream.bad()) fail(EIO);
  return text;
}

}  // namespace duet
