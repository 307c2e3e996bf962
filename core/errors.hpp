#pragma once
/// What can go wrong and whose fault it is. The user's mistakes and the world's are exceptions that carry a
/// complete sentence; our own mistakes are assertions.

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

namespace duet {

/// The user's input is wrong: a configuration, an option, a plug-in, an unsuitable problem. `what()` is a complete
/// message that begins with the position where there is one
/// (`exp.yaml:12:5: unknown key 'search.populatoin'; did you mean 'population'?`). The command exits with 2.
/// A message is one line, whatever it quotes: control characters become blanks, and of words longer than any name the middle
/// is left out.
class ConfigError : public std::runtime_error {
 public:
  explicit ConfigError(std::string message) : std::runtime_error(one_line(std::move(message))) {}

 private:
  static std::string one_line(std::string message) {
    for (char& c : message) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
    }
    return shortened(std::move(message));
  }
  static std::string shortened(std::string message) {
    constexpr std::size_t longest_word = 400, shown = 100;
    // Characters of UTF-8 stay whole; what is none has no more than three bytes to step over either.
    const auto first_byte = [&](std::size_t at) {
      for (int i = 0; i < 3 && (static_cast<unsigned char>(message[at]) & 0xC0) == 0x80; ++i) --at;
      return at;
    };
    for (std::size_t begin = 0; begin < message.size();) {
      const std::size_t end = std::min(message.find(' ', begin), message.size());
      if (end - begin > longest_word) {
        const std::size_t from = first_byte(begin + shown), to = first_byte(end - shown);
        message.replace(from, to - from, "…");
        begin = from;
      } else {
        begin = end + 1;
      }
    }
    return message;
  }
};

/// The result database cannot be opened, read, written or trusted. The command exits with 3.
class StoreError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace duet
