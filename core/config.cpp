#include "core/config.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <deque>
#include <fmt/format.h>
#include <limits>
#include <mutex>
#include <sstream>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "core/errors.hpp"
#include "core/units.hpp"
#include "core/utf8.hpp"

namespace duet {
namespace {

constexpr std::size_t max_bytes = std::size_t{64} << 20;  ///< of a document, and of the texts it expands to
constexpr std::size_t max_nodes = 1'000'000;
constexpr int max_depth = 64;
constexpr std::size_t longest_shown = 80;      ///< bytes of user text quoted in a message
constexpr std::size_t longest_compared = 256;  ///< bytes of a word whose nearest match is looked for
constexpr std::size_t most_listed = 12;        ///< words listed in a hint

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

/// User text in quotes for a message: shortened at a character boundary where it is long.
std::string in_quotes(std::string_view text) {
  if (text.size() <= longest_shown) return fmt::format("'{}'", text);
  std::size_t length = longest_shown;
  while (length > 0 && is_continuation(text[length])) --length;
  return fmt::format("'{}…'", text.substr(0, length));
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Optimal string alignment distance: insertions, deletions, substitutions and transpositions of neighbours
/// count one, letters that differ in case nothing.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

std::string bound_text(double value, std::string_view unit) {
  const std::string text = human(value, unit);
  std::string problem;
  if (parse_quantity(text, unit, problem) == value) return text;
  return unit == "1" ? shortest(value) : fmt::format("{} {}", shortest(value), unit);
}

/// The whole number that `text` spells: decimal, possibly with exponent or fraction (1e6, 2.50e1), or 0x….
/// Nothing with `out_of_range` set if it is one that does not fit.
std::optional<std::int64_t> whole_number(std::string_view text, bool& out_of_range) {
  out_of_range = false;
  const bool negative = text.starts_with('-');
  const std::string_view unsigned_text = text.substr(negative || text.starts_with('+') ? 1 : 0);

  std::string digits;
  int base = 10;
  if (unsigned_text.starts_with("0x") || unsigned_text.starts_with("0X")) {
    base = 16;
    digits = unsigned_text.substr(2);
    if (digits.empty() || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
      return std::nullopt;
    }
  } else {
    if (text.empty() || number_prefix(text) != text.size()) return std::nullopt;
    long exponent = 0;
    bool fraction = false;
    for (std::size_t i = 0; i < unsigned_text.size(); ++i) {
      const char c = unsigned_text[i];
      if (c == '_') continue;
      if (c == '.') {
        fraction = true;
      } else if (c == 'e' || c == 'E') {
        const char* first = unsigned_text.data() + i + 1;
        if (*first == '+') ++first;
        long written = 0;
        const auto read = std::from_chars(first, unsigned_text.data() + unsigned_text.size(), written);
        if (read.ec != std::errc{}) written = *first == '-' ? -1'000'000'000L : 1'000'000'000L;
        exponent += std::clamp(written, -1'000'000'000L, 1'000'000'000L);
        break;
      } else {
        digits += c;
        if (fraction) --exponent;
      }
    }
    digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
    while (exponent < 0 && !digits.empty()) {
      if (digits.back() != '0') return std::nullopt;
      digits.pop_back();
      ++exponent;
    }
    if (digits.empty()) return 0;
    if (exponent > 20) {
      out_of_range = true;
      return std::nullopt;
    }
    digits.append(static_cast<std::size_t>(exponent), '0');
  }
  if (negative) digits.insert(digits.begin(), '-');
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  out_of_range = error == std::errc::result_out_of_range;
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

void append_json(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

/// What the parser's terse messages mean for a user; the others pass.
std::string_view in_plain_words(std::string_view message) {
  static constexpr std::pair<std::string_view, std::string_view> known[] = {
      {"illegal map value", "unexpected ':'; wrong indentation, or a text with ': ' in it that needs quotes"},
      {"illegal block entry", "unexpected '-'; a list begins on a line of its own"},
      {"illegal flow end", "this bracket closes nothing"},
      {"unknown token", "a value cannot begin like this; quote it"},
      {"end of map not found", "expected a key with ':'; wrong indentation or an unfinished line"},
      {"end of sequence not found", "expected '- '; wrong indentation or an unfinished line"},
      {"end of map flow not found", "expected ',' or '}'"},
      {"end of sequence flow not found", "expected ',' or ']'"},
      {"illegal EOF in scalar", "this quote is not closed"},
      {"illegal map key", "unexpected '?'; quote a text that begins so"},
      {"unexpected character in block scalar", "a text after '|' or '>' begins on the next line; quote other texts that begin so"},
      {"alias not found after *", "'*' begins an alias; quote a text that begins so"},
      {"anchor not found after &", "'&' begins the name of a value; quote a text that begins so"},
      {"the referenced anchor is not defined", "this alias stands for nothing: no value before it has the name; quote a text that begins with '*'"},
  };
  for (const auto& [terse, plain] : known) {
    if (message == terse) return plain;
  }
  // The parser names the first byte of a character, which is no text.
  if (message.starts_with("unknown escape character")) {
    return "unknown escape in a text in double quotes; a backslash is \"\\\\\", or use single quotes";
  }
  return message;
}

bool truth_word(std::string_view text, bool& value) {
  static constexpr std::string_view yes[] = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"};
  static constexpr std::string_view no[] = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"};
  value = std::find(std::begin(yes), std::end(yes), text) != std::end(yes);
  return value || std::find(std::begin(no), std::end(no), text) != std::end(no);
}

}  // namespace

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates) {
  if (word.size() > longest_compared) return std::nullopt;
  const std::size_t allowed = std::max<std::size_t>(1, word.size() / 3);
  const std::string* best = nullptr;
  std::size_t best_distance = allowed + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t difference =
        candidate.size() > word.size() ? candidate.size() - word.size() : word.size() - candidate.size();
    if (difference >= best_distance) continue;
    const std::size_t distance = edit_distance(word, candidate);
    if (distance >= best_distance) continue;
    best = &candidate;
    best_distance = distance;
  }
  if (best == nullptr) return std::nullopt;
  return *best;
}

std::string hint(std::string_view word, std::span<const std::string> candidates) {
  if (const auto near = nearest(word, candidates)) return fmt::format("; did you mean '{}'?", *near);
  if (candidates.empty() || candidates.size() > most_listed) return "";
  return fmt::format("; known: {}", fmt::join(candidates, ", "));
}

// --- The tree

namespace {

/// Where something stands in the text: all 0-based and in bytes.
struct Mark {
  std::size_t offset = 0;
  std::size_t line = 0;
  std::size_t column = 0;
};

}  // namespace

struct Config::Node {
  struct Entry {
    std::string key;  ///< empty in sequences
    Mark key_mark;
    const Node* value = nullptr;
  };

  Kind kind = Kind::null;
  bool quoted = false;
  std::string text;
  Mark mark;
  const Node* parent = nullptr;
  std::size_t index = 0;  ///< among the parent's entries
  std::vector<Entry> entries;
  std::vector<std::uint32_t> by_key;  ///< indices of a mapping's entries in the order of their keys

  const Entry* find(std::string_view key) const {
    const auto at = std::lower_bound(by_key.begin(), by_key.end(), key,
                                     [&](std::uint32_t i, std::string_view k) { return entries[i].key < k; });
    return at != by_key.end() && entries[*at].key == key ? &entries[*at] : nullptr;
  }
};

struct Config::Document {
  struct Builder;

  std::string name;
  std::string text;
  std::deque<Node> nodes;  ///< a deque: nodes point at each other
  const Node* root = nullptr;

  /// Paths are made when they are first asked for: stored for every node they could take more memory than the
  /// rest.
  mutable std::mutex paths_mutex;
  mutable std::unordered_map<const Node*, std::string> paths;

  /// "exp.yaml:12:5", columns in characters, as editors count them.
  std::string position(const Mark& mark) const {
    std::size_t column = mark.column;
    if (mark.offset <= text.size() && mark.column <= mark.offset) {
      const std::size_t start = mark.offset - mark.column;
      column = static_cast<std::size_t>(std::count_if(text.begin() + static_cast<std::ptrdiff_t>(start),
                                                      text.begin() + static_cast<std::ptrdiff_t>(mark.offset),
                                                      [](char c) { return !is_continuation(c); }));
    }
    return fmt::format("{}:{}:{}", name, mark.line + 1, column + 1);
  }

  /// The mark of a byte of the text.
  Mark mark_at(std::size_t offset) const {
    const std::string_view before = std::string_view(text).substr(0, offset);
    const std::size_t newline = before.rfind('\n');
    return {offset, static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')),
            newline == std::string_view::npos ? offset : offset - newline - 1};
  }

  [[noreturn]] void fail(const Mark& mark, std::string_view message) const {
    throw ConfigError(fmt::format("{}: {}", position(mark), message));
  }

  static std::string extended(const std::string& path, const Node::Entry& entry, const Node& parent,
                              std::size_t index) {
    if (parent.kind == Kind::sequence) return fmt::format("{}[{}]", path, index);
    return path.empty() ? entry.key : fmt::format("{}.{}", path, entry.key);
  }

  const std::string& path(const Node* node) const {
    const std::lock_guard lock(paths_mutex);
    const auto [at, is_new] = paths.try_emplace(node);
    if (is_new) {
      std::vector<const Node*> line;
      for (const Node* n = node; n->parent != nullptr; n = n->parent) line.push_back(n);
      std::string path;
      for (auto n = line.rbegin(); n != line.rend(); ++n) {
        path = extended(path, (*n)->parent->entries[(*n)->index], *(*n)->parent, (*n)->index);
      }
      at->second = std::move(path);
    }
    return at->second;
  }

  /// How messages call a node: its path in quotes.
  std::string subject(const Node* node) const {
    return node->parent == nullptr ? "the document" : in_quotes(path(node));
  }
};

/// Receives the parser's events, checks the limits before anything grows, and builds the tree.
struct Config::Document::Builder : YAML::EventHandler {
  explicit Builder(Document& target) : document(target) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (started) {
      const Mark at = convert(mark);
      if (document.text.compare(at.offset, 3, "---") == 0) {
        document.fail(at, "a second document begins here; a file must hold one");
      }
      document.fail(at, "not valid YAML: unexpected text after the end of the document");
    }
    started = true;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node& node = add(Kind::null, convert(mark), anchor, {}, false);
    // The parser gives an empty value the position of what follows; point at the key (or the parent) instead.
    const std::string_view rest =
        std::string_view(document.text).substr(std::min(node.mark.offset, document.text.size()));
    const bool written = rest.starts_with('~') || rest.starts_with("null") || rest.starts_with("Null") ||
                         rest.starts_with("NULL");
    if (!open.empty() && open.back().has_key && !written) check_colon(open.back());
    if (!open.empty() && !written)
      node.mark = open.back().has_key ? open.back().key_mark : open.back().node->mark;
    finish(node);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const Mark at = convert(mark);
    const auto known = anchors.find(anchor);
    if (known == anchors.end())
      document.fail(at, "not valid YAML: an alias may not stand inside what it names");
    if (!open.empty() && open.back().is_map && !open.back().has_key) {
      if (known->second->kind != Kind::scalar) document.fail(at, "a key must be a text");
      take_key(known->second->text, at, known->second->quoted);
      return;
    }
    finish(copy(*known->second, at, static_cast<int>(open.size())));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    const Mark at = convert(mark);
    const bool quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    check_tag(tag, mark);
    if (quoted) check_closed(at);
    if (value.find('\0') != std::string::npos) document.fail(at, "a text may not hold the byte 0x00");
    const bool is_key = !open.empty() && open.back().is_map && !open.back().has_key;
    if (is_key) take_key(value, at, quoted);
    if (is_key && anchor == YAML::NullAnchor) return;
    Node& node = add(Kind::scalar, at, anchor, value, quoted);
    if (!is_key) finish(node);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    start(Kind::sequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { end(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    start(Kind::map, mark, tag, anchor);
  }
  void OnMapEnd() override { end(); }

  /// A container whose end has not been seen.
  struct Open {
    Node* node = nullptr;
    YAML::anchor_t anchor = YAML::NullAnchor;
    bool is_map = false;
    bool has_key = false;
    bool is_merge = false;  ///< the key is '<<'
    std::string key;
    Mark key_mark;
    std::vector<const Node*> merged;  ///< mappings to merge, the strongest first
  };

  /// Where the bracket stands that was open when the parser gave up, if there is one: it may be far above.
  std::string opened() const {
    if (open.empty()) return "";
    const Mark& mark = open.back().node->mark;
    const char bracket = mark.offset < document.text.size() ? document.text[mark.offset] : '\0';
    if (bracket != '[' && bracket != '{') return "";
    return fmt::format("; the '{}' of line {} is open", bracket, mark.line + 1);
  }

  static Mark unshifted(const YAML::Mark& mark) {
    if (mark.is_null()) return {};
    return {static_cast<std::size_t>(mark.pos), static_cast<std::size_t>(mark.line),
            static_cast<std::size_t>(mark.column)};
  }

  Mark convert(const YAML::Mark& mark) const {
    Mark at = unshifted(mark);
    // The position of a value with anchor or tag is that of the value.
    const std::string& text = document.text;
    for (std::size_t i = at.offset; i < text.size() && (text[i] == '&' || text[i] == '!');) {
      i = text.find_first_of(" \t\r\n", i);
      i = std::min(i, text.size());
      while (i < text.size() && (text[i] == ' ' || text[i] == '\t')) ++i;
      if (i == text.size() || text[i] == '\n' || text[i] == '\r' || text[i] == '#') break;
      at.column += i - at.offset;
      at.offset = i;
    }
    return at;
  }

  void check_tag(const std::string& tag, const YAML::Mark& mark) const {
    if (tag.empty() || tag == "?" || tag == "!" || tag.starts_with("tag:yaml.org,2002:")) return;
    document.fail(unshifted(mark), fmt::format("the tag {} is not supported", in_quotes(tag)));
  }

  /// The place behind the quote that closes the one at `offset`; npos where there is none.
  std::size_t behind_quoted(std::size_t offset) const {
    const std::string& text = document.text;
    const char quote = text[offset];
    for (std::size_t i = offset + 1; i < text.size();) {
      const bool pair =
          i + 1 < text.size() && (quote == '"' ? text[i] == '\\' : text.compare(i, 2, "''") == 0);
      if (!pair && text[i] == quote) return i + 1;
      i += pair ? 2 : 1;
    }
    return std::string::npos;
  }

  bool is_quote(std::size_t offset) const {
    return offset < document.text.size() && (document.text[offset] == '"' || document.text[offset] == '\'');
  }

  /// The parser takes a quote that is still open at the end of the document for closed.
  void check_closed(const Mark& at) const {
    if (is_quote(at.offset) && behind_quoted(at.offset) == std::string::npos) {
      document.fail(at, "not valid YAML: this quote is not closed");
    }
  }

  /// The parser takes a last line without ':' for a key.
  void check_colon(const Open& map) const {
    const std::string& text = document.text;
    const std::size_t key = map.key_mark.offset;
    const std::size_t before = key == 0 ? std::string::npos : text.find_last_not_of(" \t", key - 1);
    const bool is_explicit = before != std::string::npos && text[before] == '?';
    const bool is_flow = map.node->mark.offset < text.size() && text[map.node->mark.offset] == '{';
    if (is_explicit || is_flow) return;
    std::size_t end = std::string::npos;
    if (is_quote(key)) {
      end = behind_quoted(key);
    } else if (text.compare(std::min(key, text.size()), map.key.size(), map.key) == 0) {
      end = key + map.key.size();
    }
    if (end == std::string::npos) return;
    end = text.find_first_not_of(" \t", end);
    if (end == std::string::npos || text[end] != ':') {
      document.fail(map.key_mark, fmt::format("not valid YAML: expected ':' after {}", in_quotes(map.key)));
    }
  }

  Node& new_node(Kind kind, const Mark& mark, std::string_view text) {
    bytes += text.size();
    if (document.nodes.size() >= max_nodes || bytes > max_bytes) {
      document.fail(mark, fmt::format("the document has more than {} values (aliases expanded)", max_nodes));
    }
    Node& node = document.nodes.emplace_back();
    node.kind = kind;
    node.mark = mark;
    node.text = text;
    return node;
  }

  Node& add(Kind kind, const Mark& mark, YAML::anchor_t anchor, std::string_view text, bool quoted) {
    Node& node = new_node(kind, mark, text);
    node.quoted = quoted;
    if (anchor != YAML::NullAnchor && (kind == Kind::scalar || kind == Kind::null)) anchors[anchor] = &node;
    return node;
  }

  void take_key(const std::string& key, const Mark& at, bool quoted) {
    bytes += key.size();
    open.back().has_key = true;
    open.back().is_merge = key == "<<" && !quoted;
    open.back().key = key;
    open.back().key_mark = at;
  }

  void start(Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    const Mark at = convert(mark);
    check_tag(tag, mark);
    if (!open.empty() && open.back().is_map && !open.back().has_key) {
      // A bracket that is never closed looks like a key to the parser.
      const char c = document.text[std::min(at.offset, document.text.size())];
      const bool bracket = c == '[' || c == '{';
      document.fail(at, bracket ? fmt::format("this '{}' is not closed, or is a key, which must be a text", c)
                                : "a key must be a text");
    }
    if (open.size() >= max_depth) document.fail(at, fmt::format("nested deeper than {} levels", max_depth));
    Open& container = open.emplace_back();
    container.node = &new_node(kind, at, {});
    container.anchor = anchor;
    container.is_map = kind == Kind::map;
  }

  void end() {
    const Open container = std::move(open.back());
    open.pop_back();
    if (container.is_map) complete_map(container);
    if (container.anchor != YAML::NullAnchor) anchors[container.anchor] = container.node;
    finish(*container.node);
  }

  void complete_map(const Open& container) {
    Node& map = *container.node;
    sort_keys(map);
    for (std::size_t i = 1; i < map.by_key.size(); ++i) {
      const Node::Entry& first = map.entries[map.by_key[i - 1]];
      const Node::Entry& second = map.entries[map.by_key[i]];
      if (first.key == second.key) {
        document.fail(second.key_mark, fmt::format("key {} occurs twice; it stands in line {} already",
                                                   in_quotes(first.key), first.key_mark.line + 1));
      }
    }
    for (const Node* source : container.merged) {
      for (const Node::Entry& entry : source->entries) {
        if (map.find(entry.key) != nullptr) continue;
        Node& value = copy(*entry.value, entry.key_mark, static_cast<int>(open.size()) + 1);
        bytes += entry.key.size();
        value.parent = &map;
        value.index = map.entries.size();
        map.entries.push_back({entry.key, entry.key_mark, &value});
      }
      sort_keys(map);  // a mapping's own keys are distinct, so once per source is enough
    }
  }

  static void sort_keys(Node& map) {
    map.by_key.resize(map.entries.size());
    for (std::size_t i = 0; i < map.by_key.size(); ++i) map.by_key[i] = static_cast<std::uint32_t>(i);
    std::stable_sort(map.by_key.begin(), map.by_key.end(), [&](std::uint32_t a, std::uint32_t b) {
      return map.entries[a].key < map.entries[b].key;
    });
  }

  /// A copy of an anchored subtree for the alias at `alias`; every copy has a place, hence a path, of its
  /// own.
  Node& copy(const Node& original, const Mark& alias, int depth) {
    const bool container = original.kind == Kind::map || original.kind == Kind::sequence;
    if (container && depth >= max_depth)
      document.fail(alias, fmt::format("nested deeper than {} levels", max_depth));
    Node& node = new_node(original.kind, original.mark, original.text);
    node.quoted = original.quoted;
    node.by_key = original.by_key;
    node.entries.reserve(original.entries.size());
    for (const Node::Entry& entry : original.entries) {
      bytes += entry.key.size();
      Node& value = copy(*entry.value, alias, depth + 1);
      value.parent = &node;
      value.index = node.entries.size();
      node.entries.push_back({entry.key, entry.key_mark, &value});
    }
    return node;
  }

  /// Puts a complete node where it belongs.
  void finish(Node& node) {
    if (open.empty()) {
      document.root = &node;
      return;
    }
    Open& container = open.back();
    if (container.is_map && !container.has_key) document.fail(node.mark, "a key must be a text");
    if (container.is_map && container.is_merge) {
      merge(container, node);
    } else {
      node.parent = container.node;
      node.index = container.node->entries.size();
      container.node->entries.push_back({container.key, container.key_mark, &node});
    }
    container.has_key = false;
    container.is_merge = false;
    container.key.clear();
  }

  void merge(Open& container, const Node& value) const {
    const auto accept = [&](const Node& map) {
      if (map.kind != Kind::map) document.fail(container.key_mark, "'<<' merges mappings only");
      container.merged.push_back(&map);
    };
    if (value.kind != Kind::sequence) return accept(value);
    for (const Node::Entry& entry : value.entries) accept(*entry.value);
  }

  Document& document;
  bool started = false;
  std::size_t bytes = 0;
  std::vector<Open> open;
  std::unordered_map<YAML::anchor_t, const Node*> anchors;
};

Config Config::parse(std::string text, std::string name) {
  auto document = std::make_shared<Document>();
  document->name = std::move(name);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  document->text = std::move(text);
  const std::string& source = document->text;

  const auto refuse = [&](std::string_view message) {
    throw ConfigError(fmt::format("{}: {}", document->name, message));
  };
  if (source.size() > max_bytes)
    refuse(fmt::format("cannot read: larger than {}", human(double{max_bytes}, "B")));
  if (source.starts_with("\xFF\xFE") || source.starts_with("\xFE\xFF"))
    document->fail(document->mark_at(0), "not a text file in UTF-8: it begins like UTF-16");
  if (const std::size_t at = invalid_utf8(source); at != std::string_view::npos) {
    document->fail(document->mark_at(at), "not a text file in UTF-8");
  }
  const auto forbidden = std::find_if(source.begin(), source.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F;
  });
  if (forbidden != source.end()) {
    document->fail(
        document->mark_at(static_cast<std::size_t>(forbidden - source.begin())),
        fmt::format("not a text file: it contains the byte 0x{:02X}", static_cast<unsigned>(*forbidden)));
  }

  Document::Builder builder(*document);
  try {
    std::istringstream stream(source);
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
  } catch (const YAML::Exception& error) {
    if (error.mark.is_null()) refuse(fmt::format("not valid YAML: {}", error.msg));
    const Mark mark = Document::Builder::unshifted(error.mark);
    // The parser finds many words for a tab where blanks should be.
    const std::size_t line = mark.column <= mark.offset ? mark.offset - mark.column : 0;
    const std::size_t tab = source.find_first_not_of(' ', line);
    if (tab < source.size() && source[tab] == '\t') {
      document->fail(document->mark_at(tab), "not valid YAML: a tab in the indentation; indent with blanks");
    }
    document->fail(mark, fmt::format("not valid YAML: {}{}", in_plain_words(error.msg), builder.opened()));
  }
  if (document->root == nullptr) document->root = &document->nodes.emplace_back();
  const Node* root = document->root;
  return {std::move(document), root};
}

Config Config::load(const std::filesystem::path& file) {
  const std::string name = file.string();
  const auto fail_with_errno = [&] {
    throw ConfigError(fmt::format("{}: cannot read: {}", name, std::generic_category().message(errno)));
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(std::fopen(name.c_str(), "rb"), &std::fclose);
  if (stream == nullptr) fail_with_errno();
  std::string text;
  std::vector<char> block(std::size_t{64} << 10);
  // One block past the limit at most: special files never end.
  while (text.size() <= max_bytes) {
    errno = 0;
    const std::size_t count = std::fread(block.data(), 1, block.size(), stream.get());
    text.append(block.data(), count);
    if (std::ferror(stream.get()) != 0) fail_with_errno();
    if (count < block.size()) break;
  }
  return parse(std::move(text), name);
}

// --- Readers

namespace {

std::string_view describe(Config::Kind kind) {
  switch (kind) {
    case Config::Kind::null:
      return "empty";
    case Config::Kind::scalar:
      return "a single value";
    case Config::Kind::sequence:
      return "a list";
    case Config::Kind::map:
      return "a mapping";
  }
  return "";
}

}  // namespace

Config::Kind Config::kind() const {
  return node_->kind;
}

std::string Config::position() const {
  return document_->position(node_->mark);
}

const std::string& Config::path() const {
  return document_->path(node_);
}

const std::string& Config::document() const {
  return document_->name;
}

const std::string& Config::document_text() const {
  return document_->text;
}

void Config::fail(std::string_view message) const {
  document_->fail(node_->mark, message);
}

void Config::fail_wrong(std::string_view expected) const {
  const std::string found = is_scalar() ? in_quotes(node_->text) : std::string(describe(kind()));
  fail(fmt::format("{} must be {}, not {}", document_->subject(node_), expected, found));
}

void Config::fail_at(std::size_t offset, std::string_view message) const {
  // The text of the document equals the scalar's up to the offset unless there are escapes or line breaks.
  const std::string& source = document_->text;
  std::size_t start = node_->mark.offset;
  if (node_->quoted && start < source.size() && (source[start] == '"' || source[start] == '\'')) ++start;
  const std::size_t length = std::min(offset, node_->text.size());
  const bool plain = is_scalar() && start <= source.size() &&
                     source.compare(start, length, node_->text, 0, length) == 0 &&
                     node_->text.find('\n') >= length;
  if (!plain) fail(message);
  Mark mark = node_->mark;
  mark.column += start - mark.offset + length;
  mark.offset = start + length;
  document_->fail(mark, message);
}

std::vector<std::string> Config::keys() const {
  if (!is_map()) fail_wrong("a mapping");
  std::vector<std::string> keys;
  keys.reserve(node_->entries.size());
  for (const Node::Entry& entry : node_->entries) keys.push_back(entry.key);
  return keys;
}

std::optional<Config> Config::find(std::string_view key) const {
  if (!is_map()) fail_wrong("a mapping");
  const Node::Entry* entry = node_->find(key);
  if (entry == nullptr) return std::nullopt;
  return Config(document_, entry->value);
}

bool Config::has(std::string_view key) const {
  return find(key).has_value();
}

Config Config::at(std::string_view key) const {
  auto value = find(key);
  if (!value) {
    fail(fmt::format("missing key {}",
                     in_quotes(path().empty() ? std::string(key) : fmt::format("{}.{}", path(), key))));
  }
  return *std::move(value);
}

void Config::allow_only(std::span<const std::string> known) const {
  if (!is_map()) fail_wrong("a mapping");
  for (const Node::Entry& entry : node_->entries) {
    if (std::find(known.begin(), known.end(), entry.key) == known.end()) fail_unknown_key(entry.key, known);
  }
}

void Config::allow_only(std::initializer_list<std::string_view> known) const {
  allow_only(std::vector<std::string>(known.begin(), known.end()));
}

void Config::fail_unknown_key(std::string_view key, std::span<const std::string> known,
                              std::string_view owner) const {
  if (!is_map()) fail_wrong("a mapping");
  const Node::Entry* entry = node_->find(key);
  assert(entry != nullptr);
  const std::string full = path().empty() ? entry->key : fmt::format("{}.{}", path(), entry->key);
  document_->fail(entry->key_mark,
                  fmt::format("unknown key {}{}{}", in_quotes(full),
                              owner.empty() ? "" : fmt::format(" of {}", owner), hint(key, known)));
}

std::string Config::position_of_key(std::string_view key) const {
  if (!is_map()) fail_wrong("a mapping");
  const Node::Entry* entry = node_->find(key);
  if (entry == nullptr) at(key);
  return document_->position(entry->key_mark);
}

std::size_t Config::size() const {
  if (!is_map() && !is_sequence()) fail_wrong("a list or a mapping");
  return node_->entries.size();
}

Config Config::at(std::size_t index) const {
  if (!is_sequence()) fail_wrong("a list");
  if (index >= node_->entries.size()) {
    fail(fmt::format("{} must have at least {} elements, not {}", document_->subject(node_), index + 1,
                     node_->entries.size()));
  }
  return Config(document_, node_->entries[index].value);
}

std::vector<Config> Config::items(bool scalar_is_one) const {
  if (scalar_is_one && is_scalar()) return {*this};
  if (!is_sequence()) fail_wrong("a list");
  std::vector<Config> items;
  items.reserve(node_->entries.size());
  for (const Node::Entry& entry : node_->entries) items.push_back(Config(document_, entry.value));
  return items;
}

const std::string& Config::text() const {
  if (!is_scalar()) fail_wrong("a text");
  return node_->text;
}

std::filesystem::path Config::file() const {
  const std::filesystem::path file = std::filesystem::path(document()).parent_path() / text();
  if (!std::filesystem::exists(file)) fail(fmt::format("there is no file '{}'", file.string()));
  return file;
}

bool Config::quoted() const {
  return node_->quoted;
}

bool Config::boolean() const {
  bool value = false;
  if (!is_scalar() || !truth_word(node_->text, value)) fail_wrong("true or false");
  return value;
}

std::int64_t Config::integer(std::int64_t minimum, std::int64_t maximum) const {
  bool out_of_range = false;
  const auto value = is_scalar() ? whole_number(node_->text, out_of_range) : std::nullopt;
  if (!value && !out_of_range) fail_wrong("a whole number");
  if (out_of_range) {
    const bool negative = node_->text.starts_with('-');
    if (negative) fail_wrong(fmt::format("at least {}", minimum));
    fail_wrong(fmt::format("at most {}", maximum));
  }
  if (*value < minimum) fail_bound("at least", std::to_string(minimum));
  if (*value > maximum) fail_bound("at most", std::to_string(maximum));
  return *value;
}

double Config::number(double minimum, double maximum) const {
  const auto value = is_scalar() ? parse_number(node_->text) : std::nullopt;
  if (!value)
    fail_wrong(is_scalar() && number_prefix(node_->text) == node_->text.size() && !node_->text.empty()
                   ? "a number that fits into a double"
                   : "a number");
  if (*value < minimum) fail_bound("at least", bound_text(minimum, "1"));
  if (*value > maximum) fail_bound("at most", bound_text(maximum, "1"));
  return *value;
}

double Config::quantity(std::string_view unit, double minimum, double maximum) const {
  if (!is_scalar()) fail_wrong(fmt::format("a quantity such as '{}'", example_quantity(unit)));
  std::string problem;
  const auto value = parse_quantity(node_->text, unit, problem);
  if (!value) {
    const std::string subject = document_->subject(node_);
    if (problem.starts_with("missing unit")) {
      fail(fmt::format("{} needs a unit, for example '{}'", subject, example_quantity(unit)));
    }
    fail(fmt::format("{}: {}", subject, problem));
  }
  if (*value < minimum) fail_bound("at least", bound_text(minimum, unit));
  if (*value > maximum) fail_bound("at most", bound_text(maximum, unit));
  return *value;
}

void Config::fail_bound(std::string_view relation, std::string_view bound) const {
  const std::string& text = node_->text;
  const bool bare = text.size() <= longest_shown && number_prefix(text) == text.size();
  fail(fmt::format("{} must be {} {}, not {}", document_->subject(node_), relation, bound,
                   bare ? text : in_quotes(text)));
}

std::string Config::one_of(std::span<const std::string> words) const {
  if (!is_scalar()) fail_wrong(fmt::format("one of {}", fmt::join(words, ", ")));
  if (std::find(words.begin(), words.end(), node_->text) != words.end()) return node_->text;
  const auto near = nearest(node_->text, words);
  if (near) {
    fail(fmt::format("{} cannot be {}; did you mean '{}'?", document_->subject(node_), in_quotes(node_->text),
                     *near));
  }
  fail(fmt::format("{} must be one of {}, not {}", document_->subject(node_), fmt::join(words, ", "),
                   in_quotes(node_->text)));
}

std::string Config::canonical(std::initializer_list<std::string_view> without) const {
  std::string out;
  // Recursion is bounded by max_depth.
  const auto write = [&](const auto& self, const Node& node) -> void {
    bool truth = false;
    switch (node.kind) {
      case Kind::null:
        out += "null";
        return;
      case Kind::scalar:
        if (!node.quoted && (truth_word(node.text, truth) ||
                             (!node.text.empty() && number_prefix(node.text) == node.text.size()))) {
          out += node.text;
        } else {
          append_json(out, node.text);
        }
        return;
      case Kind::sequence:
        out += '[';
        for (const Node::Entry& entry : node.entries) {
          if (out.back() != '[') out += ',';
          self(self, *entry.value);
        }
        out += ']';
        return;
      case Kind::map:
        out += '{';
        for (const std::uint32_t i : node.by_key) {
          const std::string_view key = node.entries[i].key;
          if (&node == node_ && std::find(without.begin(), without.end(), key) != without.end()) continue;
          if (out.back() != '{') out += ',';
          append_json(out, node.entries[i].key);
          out += ':';
          self(self, *node.entries[i].value);
        }
        out += '}';
        return;
    }
  };
  write(write, *node_);
  return out;
}

}  // namespace duet
