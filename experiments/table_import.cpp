#include "experiments/table_import.hpp"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "core/errors.hpp"
#include "core/units.hpp"
#include "estimators/csv.hpp"
#include "estimators/declared_metrics.hpp"

namespace duet {
namespace {

constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

/// Whether a cell says that there is no value.
bool is_missing(std::string_view cell) {
  return cell.empty() || cell == "nan" || cell == "NaN" || cell == "NAN";
}

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// User text for a message: never long, never cut inside a UTF-8 sequence.
std::string clipped(std::string_view text) {
  std::size_t length = std::min<std::size_t>(text.size(), 40);
  while (length < text.size() && length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80)
    --length;
  return std::string(text.substr(0, length)) + (length < text.size() ? "…" : "");
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t most = 12;
  const std::size_t shown = std::min(names.size(), most);
  return fmt::format("{}{}",
                     fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
                     shown < names.size() ? fmt::format(" and {} more", names.size() - shown) : "");
}

/// "{}" in `text` replaced.
std::string filled(std::string text, const std::string& star) {
  for (std::size_t at = 0; (at = text.find("{}", at)) != std::string::npos; at += star.size()) {
    text.replace(at, 2, star);
  }
  return text;
}

/// The names of the header; a column without one gets its number.
std::vector<std::string> column_names(const CsvReader& reader) {
  std::vector<std::string> names = reader.columns();
  std::map<std::string, std::size_t> seen;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) names[i] = fmt::format("column_{}", i + 1);
    // SQLite does not tell upper and lower case apart.
    const auto [other, is_new] = seen.emplace(lower_case(names[i]), i);
    if (!is_new) {
      const std::string& first = names[other->second];
      reader.fail(i, first == names[i] ? fmt::format("more than one column is named '{}'", clipped(first))
                                       : fmt::format("the columns '{}' and '{}' differ in upper and lower case only",
                                                     clipped(first), clipped(names[i])));
    }
  }
  return names;
}

}  // namespace

// --- The table

Fingerprint ImportedTable::Column::content() const {
  Hasher hasher;
  if (number) {
    for (const double value : numbers) hasher.add(std::isnan(value) ? nothing : value);
  } else {
    for (const std::string& text : texts) hasher.add(std::string_view(text));
  }
  return hasher.finish();
}

Fingerprint ImportedTable::content() const {
  Hasher hasher;
  hasher.add(static_cast<std::uint64_t>(rows));
  for (const Column& column : columns) {
    hasher.add(std::string_view(column.name)).add(std::string_view(column.unit.value_or("")));
    hasher.add(std::string_view(column.direction ? to_string(*column.direction) : "")).add(column.content());
  }
  for (const auto* sets : {&keys, &groups}) {
    for (const std::vector<std::string>& set : *sets) {
      for (const std::string& name : set) hasher.add(std::string_view(name));
      hasher.add(std::uint64_t{0});
    }
  }
  return hasher.finish();
}

std::string table_name_from(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    name += plain ? c : '_';
  }
  return name;
}

// --- Importing

TableImport::TableImport(TableFormat format) : format_(std::move(format)) {
  table_.format = format_.name;
  table_.summary = format_.summary;
  table_.source = format_.source;
}

ColumnRule TableImport::rule_for(const std::string& column, std::string& star) const {
  ColumnRule rule;
  for (const ColumnRule& candidate : format_.rules) {
    if (const auto match = match_pattern(candidate.pattern, column)) {
      rule = candidate;
      star = *match;
      break;
    }
  }
  for (const ColumnRule& own : format_.overrides) {
    if (own.pattern != column) continue;
    const auto set = [](auto& to, const auto& from) {
      if (from) to = from;
    };
    if (own.unit) rule.scale.reset();  // whoever says the unit anew speaks of the numbers as they are
    set(rule.name, own.name);
    set(rule.text, own.text);
    set(rule.skip, own.skip);
    set(rule.unit, own.unit);
    set(rule.scale, own.scale);
    set(rule.direction, own.direction);
    set(rule.description, own.description);
  }
  return rule;
}

/// The columns that the patterns stand for, in the order of `names`; empty if one fits none.
std::vector<std::string> TableImport::expand(const std::vector<std::string>& patterns,
                                             const std::vector<std::string>& names) const {
  std::vector<std::string> columns;
  for (const std::string& pattern : patterns) {
    bool fits = false;
    for (const std::string& name : names) {
      if (!match_pattern(pattern, name)) continue;
      fits = true;
      if (std::find(columns.begin(), columns.end(), name) == columns.end()) columns.push_back(name);
    }
    if (!fits) return {};
  }
  return columns;
}

void TableImport::add(std::string text, const std::string& name, char separator) {
  const auto expected = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  CsvReader reader(std::move(text), name, separator);
  const std::vector<std::string> names = column_names(reader);
  const auto position = [&](const std::string& column) {
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), column) - names.begin());
  };
  table_.files.push_back(name.substr(name.rfind('/') + 1));
  const auto file = static_cast<std::uint32_t>(table_.files.size());
  for (const std::string& column : names) known_.emplace(column, table_.files.back());

  // Which keys the file has, and whether it can be joined.
  std::vector<Key*> present;
  bool joined = file == 1;
  keys_.reserve(keys_.size() + format_.keys.size());  // `present` points into it
  for (const std::vector<std::string>& patterns : format_.keys) {
    const std::vector<std::string> columns = expand(patterns, names);
    if (columns.empty()) continue;
    auto key = std::find_if(keys_.begin(), keys_.end(), [&](const Key& one) { return one.columns == columns; });
    if (key == keys_.end()) {
      key = keys_.insert(keys_.end(), {columns, {}});
      key->rows.reserve(expected);
    } else {
      joined = true;
    }
    present.push_back(&*key);
  }
  if (present.empty() || !joined) {
    std::vector<std::string> sets;
    std::string near;
    for (const std::vector<std::string>& patterns : format_.keys) {
      sets.push_back(fmt::format("{}", fmt::join(patterns, " with ")));
      for (const std::string& pattern : patterns) {
        if (!near.empty() || !expand({pattern}, names).empty()) continue;
        if (const auto one = nearest(pattern, names)) near = fmt::format("; did you mean '{}'?", *one);
      }
    }
    if (!joined && !present.empty()) {
      reader.fail(0, fmt::format("no key in common with {}: rows are joined by {}", table_.files.front(),
                                 fmt::join(sets, ", or by ")));
    }
    if (sets.empty()) {
      reader.fail(0, fmt::format("which column names a row? --key COLUMN says so; there are {}", listed(names)));
    }
    if (names.size() == 1 && near.empty()) {
      if (names[0].find(';') != std::string::npos) near = "; is it --separator semicolon?";
      if (names[0].find('\t') != std::string::npos) near = "; is it --separator tab?";
    }
    reader.fail(0, fmt::format("no column that names a row ({}){}; there are {}", fmt::join(sets, ", or "), near,
                               listed(names)));
  }

  // What becomes of each column.
  std::vector<std::string> named;  // by keys and groups: texts
  for (const Key* key : present) named.insert(named.end(), key->columns.begin(), key->columns.end());
  for (const std::vector<std::string>& patterns : format_.groups) {
    for (const std::string& column : expand(patterns, names)) named.push_back(column);
  }
  std::vector<Target> targets;
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::string star;
    const ColumnRule rule = rule_for(names[i], star);
    Target target;
    target.key = std::find(named.begin(), named.end(), names[i]) != named.end();
    target.skip = !target.key && rule.skip.value_or(false);
    if (target.skip) {
      targets.push_back(target);
      continue;
    }
    ImportedTable::Column column;
    column.original = names[i];
    column.name = names[i];
    column.number = !target.key && !rule.text.value_or(false);
    column.description = filled(rule.description.value_or(""), star);
    if (column.number) {
      column.direction = rule.direction;
      target.scale = rule.scale.value_or(1);
      if (rule.unit) {
        target.spelling = *rule.unit;
        column.unit = base_unit(*rule.unit);
        column.name = renamed_for_base_unit(column.name, *rule.unit).value_or(column.name);
      }
    }
    if (!target.key && rule.name) column.name = filled(*rule.name, table_name_from(star));
    const auto same = std::find_if(table_.columns.begin(), table_.columns.end(), [&](const auto& other) {
      return lower_case(other.name) == lower_case(column.name);
    });
    if (same == table_.columns.end()) {
      target.column = table_.columns.size();
      (column.number ? column.numbers.reserve(expected) : column.texts.reserve(expected));
      table_.columns.push_back(std::move(column));
    } else if (same->original != column.original || same->number != column.number) {
      reader.fail(i, fmt::format("'{}' and '{}' would both be the column '{}'", clipped(same->original),
                                 clipped(column.original), clipped(column.name)));
    } else {
      target.column = static_cast<std::size_t>(same - table_.columns.begin());
    }
    targets.push_back(std::move(target));
  }
  if (table_.columns.size() > max_columns) {
    reader.fail(0, fmt::format("the table would have {} columns; {} is the most", table_.columns.size(), max_columns));
  }
  std::vector<std::vector<std::size_t>> key_positions;
  for (const Key* key : present) {
    std::vector<std::size_t>& positions = key_positions.emplace_back();
    for (const std::string& column : key->columns) positions.push_back(position(column));
  }

  const auto shown_key = [&](std::size_t k) {
    std::vector<std::string> parts;
    for (const std::size_t i : key_positions[k]) parts.push_back(clipped(reader[i]));
    return fmt::format("{}", fmt::join(parts, ", "));
  };
  std::vector<Fingerprint> fingerprints(present.size());
  while (reader.next()) {
    // The row that it is.
    constexpr auto none = std::numeric_limits<std::uint32_t>::max();
    std::uint32_t row = none;
    for (std::size_t k = 0; k < present.size(); ++k) {
      Hasher hasher;
      for (const std::size_t i : key_positions[k]) {
        if (reader[i].empty()) reader.fail(i, fmt::format("no value in the key column '{}'", names[i]));
        hasher.add(reader[i]);
      }
      fingerprints[k] = hasher.finish();
      const auto at = present[k]->rows.find(fingerprints[k]);
      if (at == present[k]->rows.end()) continue;
      if (met_[at->second] == file) {
        reader.fail(key_positions[k][0], fmt::format("a second row for '{}'; the first is in line {}", shown_key(k),
                                                     lines_[at->second]));
      }
      if (row != none && row != at->second) {
        reader.fail(key_positions[k][0],
                    fmt::format("'{}' and '{}' name different rows of {}", shown_key(0), shown_key(k),
                                table_.files.front()));
      }
      row = at->second;
    }
    if (row == none) {
      row = static_cast<std::uint32_t>(table_.rows++);
      lines_.push_back(0);
      met_.push_back(0);
    }
    lines_[row] = static_cast<std::uint32_t>(reader.line());
    met_[row] = file;
    for (std::size_t k = 0; k < present.size(); ++k) present[k]->rows.emplace(fingerprints[k], row);

    for (std::size_t i = 0; i < targets.size(); ++i) {
      const Target& target = targets[i];
      if (target.skip) continue;
      ImportedTable::Column& column = table_.columns[target.column];
      const std::string_view cell = reader[i];
      const auto contradicts = [&] {
        reader.fail(i, fmt::format("'{}' in column '{}' contradicts another file's value for '{}'", clipped(cell),
                                   clipped(names[i]), shown_key(0)));
      };
      if (!column.number) {
        if (column.texts.size() <= row) column.texts.resize(row + 1);
        std::string& kept = column.texts[row];
        if (!kept.empty() && !cell.empty() && kept != cell) contradicts();
        if (!cell.empty()) kept = cell;
        continue;
      }
      if (column.numbers.size() <= row) column.numbers.resize(row + 1, nothing);
      if (is_missing(cell)) continue;
      std::optional<double> value = parse_number(cell);
      const bool is_number = value.has_value();
      if (value) value = to_base_unit(*value, target.spelling, column.unit.value_or("1"), target.scale);
      if (!value) {
        reader.fail(i, is_number ? fmt::format("{} in column '{}' is out of range", clipped(cell), clipped(names[i]))
                                 : fmt::format("'{}' in column '{}' is not a number (--text keeps the column as text, "
                                               "--skip leaves it out)",
                                               clipped(cell), clipped(names[i])));
      }
      double& kept = column.numbers[row];
      if (!std::isnan(kept) && std::bit_cast<std::uint64_t>(kept) != std::bit_cast<std::uint64_t>(*value)) {
        contradicts();
      }
      kept = *value;
    }
  }
}

ImportedTable TableImport::finish() {
  std::vector<std::string> names;
  for (const auto& [name, file] : known_) names.push_back(name);
  for (const ColumnRule& own : format_.overrides) {
    if (!known_.contains(own.pattern)) {
      throw ConfigError(fmt::format("no column '{}' in {}{}", own.pattern, fmt::join(table_.files, ", "),
                                    hint(own.pattern, names)));
    }
  }
  if (table_.rows == 0) {
    throw ConfigError(fmt::format("{}: the table has no rows", fmt::join(table_.files, ", ")));
  }
  names.clear();
  for (ImportedTable::Column& column : table_.columns) {
    if (column.number) {
      column.numbers.resize(table_.rows, nothing);
    } else {
      column.texts.resize(table_.rows);
    }
    names.push_back(column.name);
  }
  for (const Key& key : keys_) table_.keys.push_back(key.columns);
  keys_.clear();
  for (const std::vector<std::string>& patterns : format_.groups) {
    std::vector<std::string> columns = expand(patterns, names);
    if (!columns.empty()) table_.groups.push_back(std::move(columns));
  }
  return std::move(table_);
}

}  // namespace duet
