#pragma once
/// Option tables: declared once by a plug-in, they drive parsing, unknown-key errors, `duet describe` and the
/// docs.

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/config.hpp"
#include "core/fingerprint.hpp"

namespace duet {

/// One row of an option table.
struct Option {
  enum class Kind {
    boolean,
    integer,
    number,    ///< a pure number
    quantity,  ///< a number with a unit
    text,
    word,        ///< one of `words`
    list,        ///< of texts; a single scalar counts as a list of one
    integers,    ///< list of integers up to 2^53; a single scalar counts as a list of one
    quantities,  ///< list of quantities in `unit` (or pure numbers if `unit` is "1")
    words,       ///< list of `words`
    config,      ///< a subtree that the plug-in reads itself
  };

  std::string name;
  Kind kind = Kind::integer;
  /// Default as the user would write it in YAML; nothing: the option must be given. "" means an empty text or
  /// list, for `config` absent.
  std::optional<std::string> fallback = {};
  std::string sentence = {};  ///< what it does, ending in a full stop
  std::string unit = "1";
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  std::vector<std::string> words = {};
};

/// Values of a plug-in's options, complete (defaults filled in) and checked.
class Options {
 public:
  /// Reads `config` (a mapping, or null for "all defaults") against `table`. Keys in `reserved` are passed
  /// over (they belong to whoever holds the mapping, for instance "type"). `owner` names the plug-in in
  /// messages: "strategy nsga2".
  ///
  /// \throws ConfigError for an unknown key, a wrong type, a value out of bounds, a missing required option.
  ///
  /// A table that contradicts itself (a default that does not parse or is out of bounds, a name declared
  /// twice or reserved) is our own mistake, as is reading an option that is not declared or of another kind: both throw
  /// std::logic_error, in every build, naming the option.
  static Options read(const std::optional<Config>& config, std::span<const Option> table,
                      std::string_view owner, std::span<const std::string> reserved = {});
  /// All defaults. \throws ConfigError if the table has a required option.
  static Options defaults(std::span<const Option> table, std::string_view owner);

  bool boolean(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;            ///< number or quantity (in the base unit)
  const std::string& text(std::string_view name) const;  ///< text or word
  const std::vector<std::string>& list(std::string_view name) const;  ///< list or words
  std::vector<std::int64_t> integers(std::string_view name) const;
  const std::vector<double>& quantities(std::string_view name) const;  ///< quantities or integers
  std::optional<Config> config(std::string_view name) const;

  /// Whether the user gave this option.
  bool given(std::string_view name) const;
  /// The place to point at when this option turns out to be wrong: its value if given, else the owner's
  /// mapping.
  ///
  /// \throws ConfigError always.
  [[noreturn]] void fail(std::string_view name, std::string_view message) const;

  /// Of all values, given or not: part of the cache key.
  Fingerprint fingerprint() const;
  /// "population: 40, mutation_rate: 0.1": for logs and provenance.
  std::string summary() const;

 private:
  using Value = std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>,
                             std::vector<double>, std::optional<Config>>;
  struct Entry {
    Value value;
    std::optional<Config> source;
    std::string unit;
  };
  static Value read_value(const Option& option, const Config& config);
  const Entry& entry(std::string_view name) const;
  template <typename T>
  const T& value(std::string_view name) const;

  std::string owner_;
  std::optional<Config> config_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<std::string> order_;  ///< names as in the table
};

/// The table as aligned text: name, kind with bounds and unit, default, sentence.
std::string describe(std::span<const Option> table);

}  // namespace duet
