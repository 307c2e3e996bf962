#include "core/options.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <stdexcept>
#include <utility>

#include "core/errors.hpp"
#include "core/units.hpp"

namespace duet {
namespace {

using Kind = Option::Kind;

/// Integers in lists are kept as double.
constexpr double largest_exact_integer = 9007199254740992.0;  // 2^53

/// The bound as an integer, rounded into the allowed range and saturated.
std::int64_t integer_bound(double bound, bool is_minimum) {
  const double whole = is_minimum ? std::ceil(bound) : std::floor(bound);
  if (whole >= 9223372036854775808.0) return std::numeric_limits<std::int64_t>::max();
  if (whole < -9223372036854775808.0) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(whole);
}

std::int64_t read_integer(const Config& config, double minimum, double maximum) {
  return config.integer(integer_bound(minimum, true), integer_bound(maximum, false));
}

/// The elements of a list option; an empty document is an empty list: the default "".
std::vector<Config> elements(const Config& config) {
  const bool empty_default = config.is_null() && config.path().empty();
  return empty_default ? std::vector<Config>{} : config.items(true);
}

/// A text as YAML would need it written on one line.
std::string as_word(const std::string& text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '/';
  });
  if (plain) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c == '\n' ? ' ' : c;
  }
  return quoted + '"';
}

std::string with_unit(double value, std::string_view unit) {
  return unit == "1" ? shortest(value) : fmt::format("{} {}", shortest(value), unit);
}

template <typename Range, typename Function>
std::string bracketed(const Range& range, const Function& write) {
  std::string out = "[";
  for (const auto& element : range) {
    if (out.size() > 1) out += ", ";
    out += write(element);
  }
  return out + "]";
}

std::string kind_text(const Option& option) {
  switch (option.kind) {
    case Kind::boolean:
      return "true or false";
    case Kind::integer:
      return "integer";
    case Kind::number:
      return "number";
    case Kind::quantity:
      return option.unit == "1" ? "number" : fmt::format("quantity in {}", option.unit);
    case Kind::text:
      return "text";
    case Kind::word:
      return fmt::format("{}", fmt::join(option.words, " | "));
    case Kind::list:
      return "list of texts";
    case Kind::integers:
      return "list of integers";
    case Kind::quantities:
      return option.unit == "1" ? "list of numbers" : fmt::format("list of quantities in {}", option.unit);
    case Kind::words:
      return fmt::format("list of {}", fmt::join(option.words, " | "));
    case Kind::config:
      return "any YAML";
  }
  return "";
}

std::string bounds_text(const Option& option) {
  const auto bound = [&](double value) {
    return option.unit == "1" ? shortest(value) : human(value, option.unit);
  };
  const bool below = std::isfinite(option.minimum);
  const bool above = std::isfinite(option.maximum);
  if (below && above) return fmt::format(", {} to {}", bound(option.minimum), bound(option.maximum));
  if (below) return fmt::format(", at least {}", bound(option.minimum));
  if (above) return fmt::format(", at most {}", bound(option.maximum));
  return "";
}

std::string fallback_text(const Option& option) {
  if (!option.fallback) return "required";
  if (!option.fallback->empty()) return fmt::format("default {}", *option.fallback);
  return option.kind == Kind::config ? "optional" : "default empty";
}

/// Characters, not bytes: what alignment has to count.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

Options::Value Options::read_value(const Option& option, const Config& config) {
  switch (option.kind) {
    case Kind::boolean:
      return config.boolean();
    case Kind::integer:
      return read_integer(config, option.minimum, option.maximum);
    case Kind::number:
      return config.number(option.minimum, option.maximum);
    case Kind::quantity:
      return config.quantity(option.unit, option.minimum, option.maximum);
    case Kind::text: {
      const bool empty_default = config.is_null() && config.path().empty();
      return empty_default ? std::string() : config.text();
    }
    case Kind::word:
      return config.one_of(option.words);
    case Kind::list: {
      std::vector<std::string> texts;
      for (const Config& element : elements(config)) texts.push_back(element.text());
      return texts;
    }
    case Kind::words: {
      std::vector<std::string> texts;
      for (const Config& element : elements(config)) texts.push_back(element.one_of(option.words));
      return texts;
    }
    case Kind::integers: {
      std::vector<double> values;
      for (const Config& element : elements(config)) {
        values.push_back(
            static_cast<double>(read_integer(element, std::max(option.minimum, -largest_exact_integer),
                                             std::min(option.maximum, largest_exact_integer))));
      }
      return values;
    }
    case Kind::quantities: {
      std::vector<double> values;
      for (const Config& element : elements(config)) {
        values.push_back(element.quantity(option.unit, option.minimum, option.maximum));
      }
      return values;
    }
    case Kind::config:
      return std::optional<Config>(config);
  }
  throw std::logic_error(fmt::format("option '{}' is of no kind", option.name));
}

Options Options::read(const std::optional<Config>& config, std::span<const Option> table,
                      std::string_view owner, std::span<const std::string> reserved) {
  Options options;
  options.owner_ = owner;
  options.config_ = config;
  const bool has_keys = config && !config->is_null();
  if (has_keys) {
    std::vector<std::string> names;
    for (const Option& option : table) names.push_back(option.name);
    for (const std::string& key : config->keys()) {
      if (std::find(names.begin(), names.end(), key) != names.end()) continue;
      if (std::find(reserved.begin(), reserved.end(), key) != reserved.end()) continue;
      std::vector<std::string> known = names;
      known.insert(known.end(), reserved.begin(), reserved.end());
      config->fail_unknown_key(key, known, owner);
    }
  }

  for (const Option& option : table) {
    if (std::find(reserved.begin(), reserved.end(), option.name) != reserved.end()) {
      throw std::logic_error(fmt::format("option '{}' of {} has the name of a key that has a meaning already", option.name, owner));
    }
    Entry entry;
    entry.unit = option.unit;
    if (has_keys) entry.source = config->find(option.name);
    if (entry.source) {
      entry.value = read_value(option, *entry.source);
    } else if (!option.fallback) {
      const std::string path = config && !config->path().empty() ? config->path() + "." : "";
      const std::string message = fmt::format("missing key '{}{}' of {}", path, option.name, owner);
      if (config) config->fail(message);
      throw ConfigError(message);
    } else if (option.kind == Kind::config && option.fallback->empty()) {
      entry.value = std::optional<Config>();
    } else {
      try {
        entry.value = read_value(option, Config::parse(*option.fallback, "default"));
      } catch (const ConfigError& error) {
        // Not the user's fault: the table contradicts itself.
        throw std::logic_error(
            fmt::format("the default of option '{}' of {} is wrong: {}", option.name, owner, error.what()));
      }
    }
    if (!options.entries_.emplace(option.name, std::move(entry)).second) {
      throw std::logic_error(fmt::format("option '{}' of {} is declared twice", option.name, owner));
    }
    options.order_.push_back(option.name);
  }
  return options;
}

Options Options::defaults(std::span<const Option> table, std::string_view owner) {
  return read(std::nullopt, table, owner);
}

const Options::Entry& Options::entry(std::string_view name) const {
  const auto at = entries_.find(name);
  if (at == entries_.end()) throw std::logic_error(fmt::format("{} declares no option '{}'", owner_, name));
  return at->second;
}

template <typename T>
const T& Options::value(std::string_view name) const {
  const T* value = std::get_if<T>(&entry(name).value);
  if (value == nullptr)
    throw std::logic_error(fmt::format("option '{}' of {} is of another kind", name, owner_));
  return *value;
}

bool Options::boolean(std::string_view name) const {
  return value<bool>(name);
}

std::int64_t Options::integer(std::string_view name) const {
  return value<std::int64_t>(name);
}

double Options::number(std::string_view name) const {
  return value<double>(name);
}

const std::string& Options::text(std::string_view name) const {
  return value<std::string>(name);
}

const std::vector<std::string>& Options::list(std::string_view name) const {
  return value<std::vector<std::string>>(name);
}

std::vector<std::int64_t> Options::integers(std::string_view name) const {
  std::vector<std::int64_t> integers;
  for (const double number : value<std::vector<double>>(name))
    integers.push_back(static_cast<std::int64_t>(number));
  return integers;
}

const std::vector<double>& Options::quantities(std::string_view name) const {
  return value<std::vector<double>>(name);
}

std::optional<Config> Options::config(std::string_view name) const {
  return value<std::optional<Config>>(name);
}

bool Options::given(std::string_view name) const {
  return entry(name).source.has_value();
}

void Options::fail(std::string_view name, std::string_view message) const {
  if (const auto& source = entry(name).source) source->fail(message);
  if (config_) config_->fail(message);
  throw ConfigError(fmt::format("{}: {}", owner_, message));
}

Fingerprint Options::fingerprint() const {
  Hasher hasher;
  const auto add_all = [&](const auto& values) {
    hasher.add(std::uint64_t{values.size()});
    for (const auto& element : values) hasher.add(element);
  };
  for (const auto& [name, entry] : entries_) {
    hasher.add(std::string_view(name)).add(std::uint64_t{entry.value.index()});
    std::visit(
        [&](const auto& value) {
          using T = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<T, bool>) {
            hasher.add(std::uint64_t{value});
          } else if constexpr (std::is_same_v<T, std::vector<std::string>> ||
                               std::is_same_v<T, std::vector<double>>) {
            add_all(value);
          } else if constexpr (std::is_same_v<T, std::optional<Config>>) {
            hasher.add(std::uint64_t{value.has_value()});
            if (value) hasher.add(std::string_view(value->canonical()));
          } else if constexpr (std::is_same_v<T, std::string>) {
            hasher.add(std::string_view(value));
          } else {
            hasher.add(value);
          }
        },
        entry.value);
  }
  return hasher.finish();
}

std::string Options::summary() const {
  std::string out;
  for (const std::string& name : order_) {
    const Entry& entry = this->entry(name);
    const auto write = [&](const auto& value) -> std::string {
      using T = std::decay_t<decltype(value)>;
      if constexpr (std::is_same_v<T, bool>) {
        return value ? "true" : "false";
      } else if constexpr (std::is_same_v<T, std::int64_t>) {
        return std::to_string(value);
      } else if constexpr (std::is_same_v<T, double>) {
        return with_unit(value, entry.unit);
      } else if constexpr (std::is_same_v<T, std::string>) {
        return as_word(value);
      } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
        return bracketed(value, as_word);
      } else if constexpr (std::is_same_v<T, std::vector<double>>) {
        return bracketed(value, [&](double element) { return with_unit(element, entry.unit); });
      } else {
        return value ? value->canonical() : "";
      }
    };
    const std::string text = std::visit(write, entry.value);
    if (!text.empty()) out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", name, text);
  }
  return out;
}

std::string describe(std::span<const Option> table) {
  constexpr std::size_t widest = 48;  // of a column: lists of words may be longer
  std::vector<std::array<std::string, 3>> cells;
  std::array<std::size_t, 3> widths{};
  for (const Option& option : table) {
    cells.push_back({option.name, kind_text(option) + bounds_text(option), fallback_text(option)});
    for (std::size_t c = 0; c < widths.size(); ++c) {
      if (width(cells.back()[c]) <= widest) widths[c] = std::max(widths[c], width(cells.back()[c]));
    }
  }
  std::string out;
  for (std::size_t row = 0; row < cells.size(); ++row) {
    std::size_t indent = 0;
    for (std::size_t c = 0; c < widths.size(); ++c) {
      out += cells[row][c];
      indent += widths[c] + 2;
      if (width(cells[row][c]) > widths[c]) {  // the rest of the row stands below
        out += '\n';
        out.append(indent, ' ');
      } else {
        out.append(widths[c] - width(cells[row][c]) + 2, ' ');
      }
    }
    out += table[row].sentence + '\n';
  }
  return out;
}

}  // namespace duet
