#include "estimators/csv.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <fstream>
#include <system_error>

#include "core/config.hpp"
#include "core/errors.hpp"

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
  if (text_.starts_with("\x1f\x8b")) fail(1, "the file is compressed; unpack it first");
  if (text_.starts_with(byte_order_mark)) at_ = byte_order_mark.size();
  if (!read_row()) fail(1, "the file is empty: expected a line with the columns' names");
  columns_.assign(fields_.begin(), fields_.end());
}

std::size_t CsvReader::column(std::string_view name) const {
  const auto found = std::find(columns_.begin(), columns_.end(), name);
  if (found == columns_.end()) fail(1, fmt::format("no column '{}'{}", name, hint(name, columns_)));
  if (std::find(found + 1, columns_.end(), name) != columns_.end()) {
    fail(1, fmt::format("more than one column is named '{}'", name));
  }
  return static_cast<std::size_t>(found - columns_.begin());
}

bool CsvReader::next() {
  if (!read_row()) return false;
  if (fields_.size() != columns_.size()) {
    fail(row_line_, fmt::format("the row has {} field{} where the header has {}", fields_.size(),
                                fields_.size() == 1 ? "" : "s", columns_.size()));
  }
  return true;
}

bool CsvReader::read_row() {
  fields_.clear();
  while (at_ < text_.size() && (text_[at_] == '\n' || text_.compare(at_, 2, "\r\n") == 0)) {
    at_ += text_[at_] == '\n' ? 1 : 2;
    ++line_;
  }
  if (at_ >= text_.size()) return false;
  row_line_ = line_;
  while (true) {
    fields_.push_back(read_field());
    if (at_ >= text_.size()) return true;
    const char end = text_[at_++];
    if (end == separator_) continue;
    if (end == '\r') ++at_;  // of CR LF
    ++line_;
    return true;
  }
}

/// Leaves at_ on the separator or line end behind the field.
std::string_view CsvReader::read_field() {
  const auto at_end = [&] {
    return at_ >= text_.size() || text_[at_] == separator_ || text_[at_] == '\n' ||
           text_.compare(at_, 2, "\r\n") == 0;
  };
  const auto next_character = [&] {
    if (text_[at_] == '\0') fail(line_, "a zero byte: this is not a text file");
    return text_[at_++];
  };

  const std::size_t begin = at_;
  std::size_t quote = begin;
  while (quote < text_.size() && text_[quote] == ' ') ++quote;
  if (quote >= text_.size() || text_[quote] != '"') {
    while (!at_end()) next_character();
    return trim(std::string_view(text_).substr(begin, at_ - begin));
  }

  // The text without its quotes is never longer, so it is written over the quoted one.
  const std::size_t opening_line = line_;
  at_ = quote + 1;
  std::size_t length = 0;
  while (true) {
    if (at_ >= text_.size()) fail(opening_line, "a quote is opened here and never closed");
    char character = next_character();
    if (character == '"') {
      if (at_ >= text_.size() || text_[at_] != '"') break;
      ++at_;
    }
    if (character == '\n') ++line_;
    text_[quote + length++] = character;
  }
  while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  if (!at_end()) fail(line_, "text behind a closing quote (a quote inside a quoted field is written twice)");
  return std::string_view(text_).substr(quote, length);
}

void CsvReader::fail(std::size_t line, std::string_view message) const {
  throw ConfigError(fmt::format("{}:{}: {}", name_, line, message));
}

std::string read_whole_file(const std::filesystem::path& path) {
  const auto fail = [&](int code) { throw std::system_error(code, std::generic_category()); };
  if (std::filesystem::is_directory(path)) fail(EISDIR);
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) fail(errno != 0 ? errno : EIO);
  std::string text;
  char buffer[65536];
  while (stream.read(buffer, sizeof buffer) || stream.gcount() > 0) {
    text.append(buffer, static_cast<std::size_t>(stream.gcount()));
  }
  if (stream.bad()) fail(EIO);
  return text;
}

}  // namespace duet
