#pragma once
/// What can go wrong and whose fault it is. The user's mistakes and the world's are exceptions that carry a
/// complete sentence; our own mistakes are assertions.

#include <stdexcept>
#include <string>
#include <utility>

namespace duet {

/// The user's input is wrong: a configuration, an option, a plug-in, an unsuitable problem. `what()` is a complete
/// message that begins with the position where there is one
/// (`exp.yaml:12:5: unknown key 'search.populatoin'; did you mean 'population'?`). The command exits with 2.
/// A message is one line, whatever it quotes: control characters become blanks.
class ConfigError : public std::runtime_error {
 public:
  explicit ConfigError(std::string message) : std::runtime_error(one_line(std::move(message))) {}

 private:
  static std::string one_line(std::string message) {
    for (char& c : message) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
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
