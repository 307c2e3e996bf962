#pragma once
/// Configuration with positions: a YAML tree in which every node knows its file, line, column and dotted
/// path, so that whoever finds a value wrong can say where it stands.

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace duet {

/// The candidate nearest to `word` by edit distance (transpositions count one), if it is near enough to be
/// what was meant: distance ≤ max(1, length / 3). Case does not count; of equally near candidates the first.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

/// "; did you mean 'population'?" or, where nothing is near and there are few, "; known: a, b, c"; may be
/// empty.
std::string hint(std::string_view word, std::span<const std::string> candidates);

/// A node of a configuration. Cheap to copy; keeps its document alive. All readers throw ConfigError with
/// position.
class Config {
 public:
  enum class Kind { null, scalar, sequence, map };

  /// \throws ConfigError if the file cannot be read or is not YAML. A key that occurs twice in one mapping is
  /// an error; so are documents nested deeper than 64 levels or that expand (aliases) beyond 1,000,000 nodes.
  /// An empty file is a null. Merge keys (`<<`) are understood; tags other than YAML's own are not.
  static Config load(const std::filesystem::path& file);
  /// Like load, for text that came from elsewhere; `name` stands where the file name would.
  static Config parse(std::string text, std::string name);

  Kind kind() const;
  bool is_null() const { return kind() == Kind::null; }
  bool is_scalar() const { return kind() == Kind::scalar; }
  bool is_sequence() const { return kind() == Kind::sequence; }
  bool is_map() const { return kind() == Kind::map; }

  /// "exp.yaml:12:5"; columns count characters. What came through an alias stands where it was written.
  std::string position() const;
  /// Dotted path from the root: "search.options.population", "initial[0].network"; empty at the root.
  const std::string& path() const;
  /// The document's name as given to load() or parse().
  const std::string& document() const;
  /// The whole text of the document (without a byte order mark).
  const std::string& document_text() const;

  // --- Mappings: keys in the order of the file.
  std::vector<std::string> keys() const;
  bool has(std::string_view key) const;
  /// The value of a key that must be there.
  Config at(std::string_view key) const;
  std::optional<Config> find(std::string_view key) const;
  /// \throws ConfigError at the first key that is none of `known`, with the nearest match.
  void allow_only(std::span<const std::string> known) const;
  void allow_only(std::initializer_list<std::string_view> known) const;
  /// What allow_only throws for `key`, one of keys(); `owner`, if any, says whose keys are known ("strategy
  /// nsga2").
  [[noreturn]] void fail_unknown_key(std::string_view key, std::span<const std::string> known,
                                     std::string_view owner = {}) const;
  /// Position of the key itself (not of its value).
  std::string position_of_key(std::string_view key) const;

  // --- Sequences.
  std::size_t size() const;  ///< of a sequence or mapping
  Config at(std::size_t index) const;
  /// The elements; a scalar counts as a sequence of one if `scalar_is_one`.
  std::vector<Config> items(bool scalar_is_one = false) const;

  // --- Scalars.
  /// The text as written, without quotes.
  const std::string& text() const;
  bool quoted() const;
  bool boolean() const;  ///< true/false/yes/no/on/off
  /// The file of that name, relative to the folder of the document. \throws ConfigError where there is none.
  std::filesystem::path file() const;
  /// Whole number; 1e6, 1_000 and 0xff are accepted, 1.5 is not.
  std::int64_t integer(std::int64_t minimum = INT64_MIN, std::int64_t maximum = INT64_MAX) const;
  double number(double minimum = -1e308, double maximum = 1e308) const;  ///< finite
  /// See parse_quantity in core/units.hpp.
  double quantity(std::string_view unit, double minimum = -1e308, double maximum = 1e308) const;
  /// One of the given words. \throws ConfigError with the nearest match.
  std::string one_of(std::span<const std::string> words) const;

  /// \throws ConfigError "position: message".
  [[noreturn]] void fail(std::string_view message) const;
  /// "position: 'path' must be <expected>, not 'text'".
  [[noreturn]] void fail_wrong(std::string_view expected) const;
  /// Like fail, pointing `offset` bytes into this scalar's text (for expressions inside a scalar) where the
  /// file shows that text literally; else at the scalar: behind an escape or a line break, and in block
  /// scalars.
  [[noreturn]] void fail_at(std::size_t offset, std::string_view message) const;

  /// Canonical text of this subtree: equal for configurations that differ only in layout, comments and key
  /// order. JSON with sorted keys, except that plain numbers and truth values stand as they were written.
  /// `without`: keys of this mapping that are left out.
  std::string canonical(std::initializer_list<std::string_view> without = {}) const;

 private:
  struct Document;
  struct Node;
  [[noreturn]] void fail_bound(std::string_view relation, std::string_view bound) const;
  Config(std::shared_ptr<const Document> document, const Node* node)
      : document_(std::move(document)), node_(node) {}

  std::shared_ptr<const Document> document_;
  const Node* node_ = nullptr;
};

}  // namespace duet
