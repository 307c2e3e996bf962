#pragma once
/// What the columns of a published table mean. A format is a description, and importing is one algorithm:
///
///   summary: "One line."
///   source: Who measured it, and where it was published.
///   keys: [idx, arch]                # a column that names a row, or a list of columns that do together
///   groups: [[arch, epochs]]         # further columns to look up by; the rows they share are repetitions
///   columns:                         # the first pattern that fits counts; "*" stands for anything
///     "*_ms": {name: "latency_{}_s", unit: ms, direction: minimize, description: "Latency on {}."}
///     note: {text: true}
///     "tmp_*": {skip: true}

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.hpp"
#include "core/evaluation.hpp"

namespace duet {

/// What is known of the columns whose names fit a pattern.
struct ColumnRule {
  std::string pattern = {};              ///< a name; at most one '*' stands for any text
  std::optional<std::string> name = {};  ///< to be kept under; "{}" is what the '*' stands for
  std::optional<bool> text = {};         ///< texts; else numbers
  std::optional<bool> skip = {};         ///< not to be imported
  std::optional<std::string> unit = {};  ///< of the numbers in the file, as users write it: "ms", "%", "1"
  std::optional<double> scale = {};      ///< the numbers are multiplied by this too
  std::optional<Direction> direction = {};
  std::optional<std::string> description = {};  ///< "{}" is what the '*' stands for
};

struct TableFormat {
  std::string name;
  std::string summary;
  std::string source;
  /// Sets of columns (patterns): no two rows have the same values in one.
  std::vector<std::vector<std::string>> keys;
  /// Sets of columns (patterns) that repetitions of one experiment have in common.
  std::vector<std::vector<std::string>> groups;
  std::vector<ColumnRule> rules;
  /// For single columns, by name: what is set here counts more than the rules, and the column must exist.
  std::vector<ColumnRule> overrides;
};

/// Reads a description. \throws ConfigError with position for an unknown key or unit, a pattern with two stars.
TableFormat read_table_format(const Config& config, std::string name);

/// The formats that duet knows, sorted by name; "csv" knows nothing of its columns.
std::vector<std::string> table_format_names();
/// Its description, as YAML to read, copy and change. \throws ConfigError with the nearest match.
std::string_view table_format_text(std::string_view name);
/// A format of duet's, or that of a file if the name ends in .yaml or .yml. \throws ConfigError
TableFormat table_format(const std::string& name);

/// What `*` stands for where `text` fits the pattern (empty without a star); nothing where it does not fit.
std::optional<std::string> match_pattern(std::string_view pattern, std::string_view text);

}  // namespace duet
