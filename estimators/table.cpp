#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <optional>
#include <string>
#include <system_error>
#include <unordered_map>

#include "core/errors.hpp"
#include "core/units.hpp"
#include "estimators/builtin.hpp"
#include "estimators/csv.hpp"
#include "estimators/declared_metrics.hpp"

namespace duet {
namespace {

/// "{network.architecture}-{network.width}": text with the names of labels and parameters in braces; {{ and
/// }} stand for braces.
class KeyTemplate {
 public:
  /// \throws ConfigError (without position)
  KeyTemplate(const std::string& text, const DesignSpace& space) {
    const std::vector<std::string> names = space.label_names();
    std::string literal;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (c != '{' && c != '}') {
        literal += c;
      } else if (i + 1 < text.size() && text[i + 1] == c) {
        literal += c;
        ++i;
      } else if (c == '}') {
        throw ConfigError(fmt::format("'}}' without '{{' in the key '{}'", text));
      } else {
        const std::size_t end = text.find('}', i);
        if (end == std::string::npos) {
          throw ConfigError(fmt::format("'{{' without '}}' in the key '{}'", text));
        }
        std::string name = text.substr(i + 1, end - i - 1);
        if (std::find(names.begin(), names.end(), name) == names.end()) {
          throw ConfigError(
              fmt::format("unknown name '{}' in the key '{}'{}", name, text, hint(name, names)));
        }
        pieces_.push_back({std::move(literal), std::move(name)});
        literal.clear();
        i = end;
      }
    }
    rest_ = std::move(literal);
  }

  /// Whether it gives the same text for every design.
  bool constant() const { return pieces_.empty(); }

  std::string fill(const Design& design) const {
    std::string text;
    for (const Piece& piece : pieces_) {
      text += piece.literal + design.design_space().label(design.candidate(), piece.name);
    }
    return text + rest_;
  }

 private:
  struct Piece {
    std::string literal;  ///< before the name
    std::string name;
  };
  std::vector<Piece> pieces_;
  std::string rest_;  ///< behind the last name
};

/// Stands between the columns of a key; never occurs inside one, as CSV text has no zero bytes.
constexpr char key_separator = '\0';

std::string readable(std::string key) {
  for (std::size_t at = 0; (at = key.find(key_separator, at)) != std::string::npos; at += 3)
    key.replace(at, 1, ", ");
  return key;
}

/// Whether a cell says that there is no value.
bool is_missing(std::string_view cell) {
  return cell.empty() || cell == "nan" || cell == "NaN" || cell == "NAN";
}

class Table final : public Estimator {
 public:
  Table(const Options& options, const Environment& environment) {
    read_keys(options, *environment.space);
    const std::optional<Config> config = options.config("metrics");
    declared_ = read_declared_metrics(*config, Source::table, {"column"});
    for (const DeclaredMetric& declared : declared_) metrics_.push_back(declared.metric);
    const std::filesystem::path file = environment.directory / options.text("file");
    read_rows(options, file);
    inputs_ = fingerprint_file(file);
  }

  std::span<const Metric> metrics() const override { return metrics_; }
  Fingerprint key(const Design& design) const override {
    return Hasher().add(std::string_view(row_key(design))).finish();
  }
  Fingerprint inputs() const override { return inputs_; }
  bool expensive() const override { return false; }

  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token) const override {
    return estimate_each(designs, [&](const Design& design) { return look_up(row_key(design)); });
  }

 private:
  Fingerprint inputs_;

  void read_keys(const Options& options, const DesignSpace& space) {
    const std::vector<std::string>& keys = options.list("key");
    if (keys.empty()) options.fail("key", "the key needs at least one template");
    if (keys.size() != options.list("key_column").size()) {
      options.fail("key_column", fmt::format("{} key columns for {} keys: there must be one for each",
                                             options.list("key_column").size(), keys.size()));
    }
    for (const std::string& key : keys) {
      try {
        keys_.emplace_back(key, space);
      } catch (const ConfigError& error) {
        options.fail("key", error.what());
      }
    }
    if (std::all_of(keys_.begin(), keys_.end(), [](const KeyTemplate& key) { return key.constant(); })) {
      options.fail("key", fmt::format("the key '{}' is the same for every design: it needs a name in braces",
                                      fmt::join(keys, ", ")));
    }
  }

  std::string row_key(const Design& design) const {
    std::string key;
    for (const KeyTemplate& part : keys_) {
      if (&part != &keys_.front()) key += key_separator;
      key += part.fill(design);
    }
    return key;
  }

  void read_rows(const Options& options, const std::filesystem::path& path) {
    name_ = path.filename().string();
    std::string text;
    try {
      text = read_whole_file(path);
    } catch (const std::system_error& error) {
      options.fail("file", fmt::format("cannot read '{}': {}", path.string(), error.code().message()));
    }
    static const std::unordered_map<std::string, char> separators{
        {"comma", ','}, {"semicolon", ';'}, {"tab", '\t'}};
    CsvReader reader(std::move(text), path.string(), separators.at(options.text("separator")));

    std::vector<std::size_t> key_columns, value_columns;
    for (const std::string& column : options.list("key_column")) key_columns.push_back(reader.column(column));
    for (const DeclaredMetric& declared : declared_) {
      const std::optional<Config> column = declared.config.find("column");
      value_columns.push_back(reader.column(column ? column->text() : declared.metric.name));
    }
    std::vector<std::size_t> lines;
    while (reader.next()) {
      std::string key;
      for (std::size_t i = 0; i < key_columns.size(); ++i) {
        if (i > 0) key += key_separator;
        key += reader[key_columns[i]];
      }
      const auto [at, is_new] = rows_.emplace(std::move(key), lines.size());
      if (!is_new) {
        reader.fail(reader.line(), fmt::format("a second row for '{}'; the first is in line {}",
                                               readable(at->first), lines[at->second]));
      }
      lines.push_back(reader.line());
      for (std::size_t i = 0; i < declared_.size(); ++i)
        values_.push_back(read_value(reader, value_columns[i], i));
    }
    if (lines.empty()) reader.fail(1, "the table has no rows");
    values_.shrink_to_fit();
  }

  /// NaN stands for a missing value.
  double read_value(const CsvReader& reader, std::size_t column, std::size_t metric) const {
    const std::string_view cell = reader[column];
    if (is_missing(cell)) return std::numeric_limits<double>::quiet_NaN();
    std::optional<double> value = parse_number(cell);
    if (value) value = declared_[metric].convert(*value);
    if (!value) {
      reader.fail(reader.line(), fmt::format("'{}' in column '{}' is not a number", cell.substr(0, 40),
                                             reader.columns()[column]));
    }
    return *value;
  }

  Evaluation look_up(const std::string& key) const {
    const auto row = rows_.find(key);
    if (row == rows_.end())
      return Evaluation::failure(fmt::format("'{}' is not in {}", readable(key), name_));
    const auto first = values_.begin() + static_cast<std::ptrdiff_t>(row->second * metrics_.size());
    Evaluation evaluation{
        Status::ok, "", {first, first + static_cast<std::ptrdiff_t>(metrics_.size())}, false, 0};
    for (std::size_t i = 0; i < metrics_.size(); ++i) {
      if (!std::isnan(evaluation.values[i])) continue;
      return Evaluation::failure(
          fmt::format("{} has no value of '{}' for '{}'", name_, metrics_[i].name, readable(key)));
    }
    return evaluation;
  }

  std::vector<KeyTemplate> keys_;
  std::vector<DeclaredMetric> declared_;
  std::vector<Metric> metrics_;
  std::string name_;  ///< of the file, for messages
  std::unordered_map<std::string, std::size_t> rows_;
  std::vector<double> values_;  ///< row by row, one per metric
};

}  // namespace

EstimatorPlugin table_estimator() {
  return {
      .name = "table",
      .summary = "Looks the design up in a CSV file.",
      .source = "Tabular benchmarks: Ying et al., NAS-Bench-101, ICML 2019",
      .options =
          {
              {.name = "file",
               .kind = Option::Kind::text,
               .fallback = std::nullopt,
               .sentence =
                   "The CSV file, relative to the experiment file; its first line names the columns."},
              {.name = "key",
               .kind = Option::Kind::list,
               .fallback = std::nullopt,
               .sentence =
                   "Text that names a design: labels and parameters in braces, \"{network.architecture}\"."},
              {.name = "key_column",
               .kind = Option::Kind::list,
               .fallback = std::nullopt,
               .sentence = "The column that holds this text; one for each key."},
              {.name = "metrics",
               .kind = Option::Kind::config,
               .fallback = std::nullopt,
               .sentence = "Mapping from metrics to {column, unit, direction, scale, description}."},
              {.name = "separator",
               .kind = Option::Kind::word,
               .fallback = "comma",
               .sentence = "What stands between fields.",
               .words = {"comma", "semicolon", "tab"}},
          },
      .create = [](const Options& options, const Environment& environment) -> std::unique_ptr<Estimator> {
        return std::make_unique<Table>(options, environment);
      },
  };
}

}  // namespace duet
