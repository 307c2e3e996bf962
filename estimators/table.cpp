#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
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

/// "{network.architecture}-{network.width}": text with labels, parameters and expressions over the space's quantities
/// in braces; {{ and }} stand for braces.
class KeyTemplate {
 public:
  /// \throws ConfigError (without position)
  KeyTemplate(const std::string& text, const DesignSpace& space) : space_(&space) {
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
        pieces_.push_back(piece(text.substr(i + 1, end - i - 1), text));
        pieces_.back().literal = std::exchange(literal, "");
        i = end;
      }
    }
    rest_ = std::move(literal);
  }

  /// Whether it gives the same text for every design.
  bool constant() const { return pieces_.empty(); }

  /// Whether all parameters that it names are active.
  bool applies_to(const Candidate& candidate) const {
    return std::all_of(pieces_.begin(), pieces_.end(), [&](const Piece& piece) {
      return !piece.parameter || candidate.has(*piece.parameter);
    });
  }

  std::string fill(const Candidate& candidate) const {
    const Space& space = space_->space();
    std::string text;
    for (const Piece& piece : pieces_) {
      text += piece.literal;
      if (piece.parameter) {
        if (candidate.has(*piece.parameter)) {
          text += space.format(*piece.parameter, candidate[*piece.parameter]);
        }
      } else if (piece.expression) {
        const double value =
            piece.expression->evaluate([&](std::size_t symbol) { return space.read(candidate, symbol); });
        if (!std::isnan(value)) text += shortest(value + 0.0);  // "0", not "-0"
      } else {
        text += space_->label(candidate, piece.label);
      }
    }
    return text + rest_;
  }

 private:
  struct Piece {
    std::string literal;  ///< before it
    std::string label;
    std::optional<std::size_t> parameter;
    std::optional<Expression> expression;
  };

  Piece piece(const std::string& inside, const std::string& text) const {
    const std::vector<std::string> names = space_->label_names();
    if (const auto parameter = space_->space().find(inside)) return {"", inside, parameter, {}};
    if (std::find(names.begin(), names.end(), inside) != names.end()) return {"", inside, {}, {}};
    const bool is_name = std::all_of(inside.begin(), inside.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '_' || c == '.';
    });
    const std::vector<Symbol> symbols = space_->space().symbols();
    const bool derived = std::any_of(symbols.begin(), symbols.end(),
                                     [&](const Symbol& symbol) { return symbol.name == inside; });
    if (is_name && !derived) {
      throw ConfigError(
          fmt::format("unknown name '{}' in the key '{}'{}", inside, text, hint(inside, names)));
    }
    try {
      return {"", "", {}, Expression::parse(inside, symbols)};
    } catch (const ConfigError& error) {
      std::string_view what = error.what();  // "expression:1:3: …", of which the place says nothing here
      if (const std::size_t colon = what.find(": "); what.starts_with("expression:")) what.remove_prefix(colon + 2);
      throw ConfigError(fmt::format("'{{{}}}' in the key '{}': {}", inside, text, what));
    }
  }

  const DesignSpace* space_;
  std::vector<Piece> pieces_;
  std::string rest_;  ///< behind the last piece
};

/// One template per key column: the texts that name a row.
using RowKey = std::vector<KeyTemplate>;

Fingerprint fingerprint_of(std::span<const std::string> key) {
  Hasher hasher;
  for (const std::string& part : key) hasher.add(std::string_view(part));
  return hasher.finish();
}

/// Whether a cell says that there is no value.
bool is_missing(std::string_view cell) {
  return cell.empty() || cell == "nan" || cell == "NaN" || cell == "NAN";
}

/// By what it begins with; a file that cannot be read or is shorter is none.
bool is_database(const std::filesystem::path& path) {
  constexpr std::string_view magic("SQLite format 3\0", 16);
  std::array<char, 16> begin{};
  std::ifstream stream(path, std::ios::binary);
  stream.read(begin.data(), begin.size());
  if (stream.gcount() == 16 && std::string_view(begin.data(), begin.size()) == magic) return true;
  const std::string extension = path.extension().string();
  return extension == ".db" || extension == ".sqlite" || extension == ".sqlite3";
}

/// Numbers by key, in memory: about 60 bytes a row and 8 for each number.
class Rows {
 public:
  explicit Rows(std::size_t width) : width_(width) {}

  void reserve(std::size_t rows) {
    index_.reserve(rows);
    values_.reserve(rows * width_);
  }

  /// The row of the key, and whether it is new. NaN stands for a missing value. A row that is there already is
  /// left alone.
  std::pair<std::size_t, bool> add(const Fingerprint& key, std::span<const double> values) {
    const auto [at, is_new] = index_.emplace(key, static_cast<std::uint32_t>(size()));
    if (is_new) values_.insert(values_.end(), values.begin(), values.end());
    return {at->second, is_new};
  }

  std::size_t size() const { return width_ == 0 ? index_.size() : values_.size() / width_; }
  /// Empty if there is none.
  std::span<const double> find(const Fingerprint& key) const {
    const auto at = index_.find(key);
    if (at == index_.end()) return {};
    return std::span(values_).subspan(at->second * width_, width_);
  }
  std::span<double> operator[](std::size_t row) { return std::span(values_).subspan(row * width_, width_); }
  void shrink() { values_.shrink_to_fit(); }

 private:
  std::size_t width_;
  std::unordered_map<Fingerprint, std::uint32_t> index_;
  std::vector<double> values_;  ///< row by row
};

/// Where the cost of an evaluation comes from.
struct CostColumn {
  std::string column;
  std::string spelling = "1";  ///< unit of its numbers
  double scale = 1;
  Config config;
};

class Table final : public Estimator {
 public:
  Table(const Options& options, const Environment& environment) {
    read_keys(options, *environment.space);
    const std::filesystem::path file = environment.directory / options.text("file");
    std::error_code absent;
    if (is_database(file) && std::filesystem::exists(file, absent)) {
      open_stored(options, environment, file);
    } else {
      read_csv(options, file);
    }
    rows_.shrink();
    for (const DeclaredMetric& declared : declared_) metrics_.push_back(declared.metric);
    if (!costs_.empty()) {
      metrics_.push_back({std::string(simulated_cost_metric), "s", Direction::minimize, Source::table,
                          "Time that the evaluation would have taken."});
    }
  }

  std::span<const Metric> metrics() const override { return metrics_; }
  Fingerprint key(const Design& design) const override {
    Hasher hasher;
    for (const std::vector<std::string>& key : row_keys(design)) hasher.add(fingerprint_of(key));
    return hasher.finish();
  }
  Fingerprint inputs() const override { return inputs_; }
  bool expensive() const override { return false; }

  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token) const override {
    return estimate_each(designs, [&](const Design& design) { return look_up(design); });
  }

 private:
  // --- Options

  void read_keys(const Options& options, const DesignSpace& space) {
    const std::vector<std::string>& keys = options.list("key");
    if (keys.empty()) options.fail("key", "the key needs at least one template");
    if (keys.size() != options.list("key_column").size()) {
      options.fail("key_column", fmt::format("{} key columns for {} keys: there must be one for each",
                                             options.list("key_column").size(), keys.size()));
    }
    RowKey& first = keys_.emplace_back();
    for (const std::string& key : keys) {
      try {
        first.emplace_back(key, space);
      } catch (const ConfigError& error) {
        options.fail("key", error.what());
      }
    }
    if (const auto sum = options.config("sum")) {
      for (const Config& entry : sum->items(true)) {
        RowKey& more = keys_.emplace_back();
        const std::vector<Config> parts = entry.items(true);
        if (parts.size() != keys.size()) {
          entry.fail(fmt::format("{} templates for {} key columns: there must be one for each", parts.size(),
                                 keys.size()));
        }
        for (const Config& part : parts) {
          try {
            more.emplace_back(part.text(), space);
          } catch (const ConfigError& error) {
            part.fail(error.what());
          }
        }
      }
    }
    const auto constant = [](const RowKey& key) {
      return std::all_of(key.begin(), key.end(), [](const KeyTemplate& part) { return part.constant(); });
    };
    if (std::all_of(keys_.begin(), keys_.end(), constant)) {
      options.fail("key", fmt::format("the key '{}' is the same for every design: it needs a name in braces",
                                      fmt::join(keys, ", ")));
    }
  }

  /// The option `clock`: a column, {column, unit, scale}, or a list of these.
  void read_costs(const Options& options) {
    const std::optional<Config> clock = options.config("clock");
    if (!clock) return;
    for (const Config& entry : clock->is_map() ? std::vector<Config>{*clock} : clock->items(true)) {
      CostColumn cost{"", "1", 1, entry};
      if (entry.is_map()) {
        entry.allow_only({"column", "unit", "scale"});
        cost.column = entry.at("column").text();
        if (const auto scale = entry.find("scale")) {
          cost.scale = scale->number();
          if (cost.scale <= 0) scale->fail_wrong("greater than 0");
        }
      } else if (entry.is_scalar()) {
        cost.column = entry.text();
      } else {
        entry.fail_wrong("a column, or a mapping {column: …, unit: s}");
      }
      costs_.push_back(std::move(cost));
    }
    if (costs_.empty()) clock->fail_wrong("a column, or a list of columns");
    for (const DeclaredMetric& declared : declared_) {
      if (declared.metric.name != simulated_cost_metric) continue;
      declared.config.fail(
          fmt::format("the clock's metric has the name '{}': give this one another", simulated_cost_metric));
    }
  }

  /// Settles in which unit a cost column's numbers are; `known` is the table's word.
  static void set_cost_unit(CostColumn& cost, const std::optional<std::string>& known) {
    std::optional<std::string> given;
    if (cost.config.is_map() && cost.config.has("unit")) given = cost.config.at("unit").text();
    if (known && *known != "1") {
      if (*known != "s") {
        cost.config.fail(fmt::format("the column '{}' is in {}, which is not a time", cost.column, *known));
      }
      if (given && *given != "s") {
        cost.config.fail(fmt::format("the column '{}' is kept in s: leave out the unit", cost.column));
      }
    } else if (!given) {
      cost.config.fail(fmt::format("the clock needs the unit of time that '{0}' is in: {{column: {0}, unit: s}}",
                                   cost.column));
    } else if (base_unit(*given) != "s") {
      cost.config.at("unit").fail(fmt::format("'{}' is not a unit of time", *given));
    } else {
      cost.spelling = *given;
    }
  }

  static std::string column_of(const std::string& metric, const std::optional<Config>& entry) {
    const std::optional<Config> column = entry && entry->is_map() ? entry->find("column") : std::nullopt;
    return column ? column->text() : metric;
  }

  std::size_t width() const { return declared_.size() + costs_.size(); }

  /// A number of the file as it is kept: in position `i` of a row. NaN stays NaN.
  std::optional<double> converted(double value, std::size_t i) const {
    if (std::isnan(value)) return value;
    if (i < declared_.size()) return declared_[i].convert(value);
    const CostColumn& cost = costs_[i - declared_.size()];
    return to_base_unit(value, cost.spelling, "s", cost.scale);
  }

  // --- CSV

  void read_csv(const Options& options, const std::filesystem::path& path) {
    name_ = path.filename().string();
    if (!options.text("table").empty()) {
      options.fail("table", fmt::format("{} is a CSV file, which has no tables in it", name_));
    }
    std::string text;
    try {
      text = read_whole_file(path);
    } catch (const std::system_error& error) {
      options.fail("file", fmt::format("cannot read '{}': {}", path.string(), error.code().message()));
    }
    declared_ = read_declared_metrics(*options.config("metrics"), Source::table, {"column"});
    read_costs(options);
    for (CostColumn& cost : costs_) set_cost_unit(cost, std::nullopt);
    static const std::unordered_map<std::string, char> separators{
        {"comma", ','}, {"semicolon", ';'}, {"tab", '\t'}};
    CsvReader reader(std::move(text), path.string(), separators.at(options.text("separator")));

    std::vector<std::size_t> key_columns, value_columns;
    for (const std::string& column : options.list("key_column")) key_columns.push_back(reader.column(column));
    for (const DeclaredMetric& declared : declared_) {
      value_columns.push_back(reader.column(column_of(declared.metric.name, declared.config)));
    }
    for (const CostColumn& cost : costs_) value_columns.push_back(reader.column(cost.column));

    rows_ = Rows(width());
    std::vector<std::size_t> lines;
    std::vector<std::string> key(key_columns.size());
    std::vector<double> values(width());
    while (reader.next()) {
      for (std::size_t i = 0; i < key.size(); ++i) key[i] = reader[key_columns[i]];
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = read_value(reader, value_columns[i], i);
      const auto [row, is_new] = rows_.add(fingerprint_of(key), values);
      if (!is_new) {
        reader.fail(key_columns[0], fmt::format("a second row for '{}'; the first is in line {}",
                                                fmt::join(key, ", "), lines[row]));
      }
      lines.push_back(reader.line());
    }
    if (lines.empty()) reader.fail(0, "the table has no rows");
    inputs_ = fingerprint_file(path);
  }

  double read_value(const CsvReader& reader, std::size_t column, std::size_t i) const {
    const std::string_view cell = reader[column];
    if (is_missing(cell)) return std::numeric_limits<double>::quiet_NaN();
    std::optional<double> value = parse_number(cell);
    if (value) value = converted(*value, i);
    if (!value) {
      reader.fail(column, fmt::format("'{}' in column '{}' is not a number", cell.substr(0, 40),
                                      reader.columns()[column]));
    }
    return *value;
  }

  // --- Tables of duet import

  void open_stored(const Options& options, const Environment& environment, const std::filesystem::path& path) {
    if (!environment.open_table) options.fail("file", "this program cannot read databases of tables");
    try {
      const std::unique_ptr<StoredTable> table = environment.open_table(path, options.text("table"));
      name_ = fmt::format("table {} of {}", table->name(), path.filename().string());
      read_stored(options, *table);
    } catch (const StoreError& error) {
      options.fail(options.text("table").empty() ? "file" : "table", error.what());
    }
  }

  std::size_t find_column(const StoredTable& table, const std::string& name, bool number,
                          const std::function<void(const std::string&)>& fail) const {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < table.columns().size(); ++i) {
      const StoredTable::Column& column = table.columns()[i];
      if (column.name == name) {
        if (number && !column.number) fail(fmt::format("column '{}' of {} holds text", name, name_));
        return i;
      }
      if (column.number == number) names.push_back(column.name);
    }
    for (const StoredTable::Column& column : table.columns()) {
      if (column.original != name) continue;
      fail(fmt::format("no column '{}' in {}: it was imported as '{}'", name, name_, column.name));
    }
    fail(fmt::format("no column '{}' in {}{}", name, name_, hint(name, names)));
    return 0;
  }

  void read_stored(const Options& options, const StoredTable& table) {
    const auto at_key = [&](const std::string& message) { options.fail("key_column", message); };
    const std::vector<std::string>& key_columns = options.list("key_column");
    std::vector<std::size_t> texts, numbers;
    for (const std::string& column : key_columns) texts.push_back(find_column(table, column, false, at_key));

    const MetricSource source = [&](const std::string& name, const std::optional<Config>& entry) {
      const Config place = entry ? *entry : *options.config("metrics");
      const std::size_t column = find_column(table, column_of(name, entry), true,
                                             [&](const std::string& message) { place.fail(message); });
      const StoredTable::Column& known = table.columns()[column];
      return KnownMetric{known.unit, known.direction, known.description};
    };
    declared_ = read_declared_metrics(*options.config("metrics"), Source::table, {"column"}, source);
    read_costs(options);
    for (const DeclaredMetric& declared : declared_) {
      numbers.push_back(find_column(table, column_of(declared.metric.name, declared.config), true,
                                    [&](const std::string& message) { declared.config.fail(message); }));
    }
    for (CostColumn& cost : costs_) {
      numbers.push_back(find_column(table, cost.column, true,
                                    [&](const std::string& message) { cost.config.fail(message); }));
      set_cost_unit(cost, table.columns()[numbers.back()].unit);
    }

    // Rows that agree in a group's columns are repetitions: the mean of those that have a value.
    const bool grouped = !names_a_row(table, key_columns, at_key);
    std::vector<std::uint32_t> counts;
    rows_ = Rows(width());
    rows_.reserve(table.rows());
    std::vector<double> values(width());
    table.read(texts, numbers, [&](std::span<const std::string> key, std::span<const double> given) {
      // Without a value in a key column it is a row that this key does not name.
      if (std::any_of(key.begin(), key.end(), [](const std::string& part) { return part.empty(); })) return;
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::optional<double> value = converted(given[i], i);
        if (!value) {
          throw StoreError(fmt::format("the value {} for '{}' in {} is out of range", shortest(given[i]),
                                       fmt::join(key, ", "), name_));
        }
        values[i] = *value;
      }
      const auto [row, is_new] = rows_.add(fingerprint_of(key), values);
      if (!grouped) {
        if (!is_new) throw StoreError(fmt::format("{} has two rows for '{}'", name_, fmt::join(key, ", ")));
        return;
      }
      if (is_new) {
        for (const double value : values) counts.push_back(std::isnan(value) ? 0 : 1);
        return;
      }
      const std::span<double> sums = rows_[row];
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (std::isnan(values[i])) continue;
        std::uint32_t& count = counts[row * values.size() + i];
        sums[i] = count == 0 ? values[i] : sums[i] + values[i];
        ++count;
      }
    });
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] > 1) rows_[i / values.size()][i % values.size()] /= counts[i];
    }

    Hasher inputs;
    for (const std::vector<std::size_t>* list : {&texts, &numbers}) {
      for (const std::size_t column : *list) {
        inputs.add(table.columns()[column].content).add(std::string_view(table.columns()[column].unit.value_or("")));
      }
    }
    inputs_ = inputs.finish();
  }

  /// Whether the columns name single rows; if not, groups of them. They must do one or the other.
  static bool names_a_row(const StoredTable& table, std::vector<std::string> columns,
                          const std::function<void(const std::string&)>& fail) {
    std::sort(columns.begin(), columns.end());
    const auto is_one_of = [&](const std::vector<std::vector<std::string>>& sets) {
      return std::any_of(sets.begin(), sets.end(), [&](std::vector<std::string> set) {
        std::sort(set.begin(), set.end());
        return set == columns;
      });
    };
    if (is_one_of(table.keys())) return true;
    if (is_one_of(table.groups())) return false;
    std::vector<std::string> known;
    for (const auto* sets : {&table.keys(), &table.groups()}) {
      for (const auto& set : *sets) known.push_back(fmt::format("[{}]", fmt::join(set, ", ")));
    }
    fail(fmt::format("[{}] does not name the rows of this table; what does: {}", fmt::join(columns, ", "),
                     fmt::join(known, ", ")));
    return false;
  }

  // --- Looking up

  std::vector<std::vector<std::string>> row_keys(const Design& design) const {
    std::vector<std::vector<std::string>> all;
    for (const RowKey& key : keys_) {
      const bool passed_over = &key != &keys_.front() &&
                               !std::all_of(key.begin(), key.end(), [&](const KeyTemplate& part) {
                                 return part.applies_to(design.candidate());
                               });
      if (passed_over) continue;
      std::vector<std::string>& texts = all.emplace_back();
      for (const KeyTemplate& part : key) texts.push_back(part.fill(design.candidate()));
    }
    return all;
  }

  Evaluation look_up(const Design& design) const {
    Evaluation evaluation;
    evaluation.values.assign(declared_.size(), 0.0);
    double cost = 0;
    for (const std::vector<std::string>& key : row_keys(design)) {
      const std::span<const double> row = rows_.find(fingerprint_of(key));
      if (row.empty()) {
        return Evaluation::failure(fmt::format("'{}' is not in {}", fmt::join(key, ", "), name_));
      }
      for (std::size_t i = 0; i < row.size(); ++i) {
        if (std::isnan(row[i])) {
          const std::string& what =
              i < declared_.size() ? declared_[i].metric.name : costs_[i - declared_.size()].column;
          return Evaluation::failure(
              fmt::format("{} has no value of '{}' for '{}'", name_, what, fmt::join(key, ", ")));
        }
        if (i < declared_.size()) {
          evaluation.values[i] += row[i];
        } else if (row[i] < 0) {
          return Evaluation::failure(fmt::format("{} has a cost below zero, {} s, for '{}'", name_,
                                                 shortest(row[i]), fmt::join(key, ", ")));
        } else {
          cost += row[i];
        }
      }
    }
    if (!costs_.empty()) evaluation.values.push_back(cost);
    return evaluation;
  }

  std::vector<RowKey> keys_;  ///< the rows to be added up, mostly one
  std::vector<DeclaredMetric> declared_;
  std::vector<CostColumn> costs_;
  std::vector<Metric> metrics_;
  std::string name_;  ///< of file or table, for messages
  Rows rows_{0};      ///< numbers of declared_, then of costs_
  Fingerprint inputs_;
};

}  // namespace

EstimatorPlugin table_estimator() {
  return {
      .name = "table",
      .summary = "Looks the design up in a table: a CSV file, or what duet import made of one.",
      .source = "Tabular benchmarks: Ying et al., NAS-Bench-101, ICML 2019",
      .options =
          {
              {.name = "file",
               .kind = Option::Kind::text,
               .fallback = std::nullopt,
               .sentence = "CSV file, or database of duet import, relative to the experiment file."},
              {.name = "table",
               .kind = Option::Kind::text,
               .fallback = "",
               .sentence = "Which table of the database; empty: its only one."},
              {.name = "key",
               .kind = Option::Kind::list,
               .fallback = std::nullopt,
               .sentence = "Text that names a design: labels, parameters and expressions in braces, "
                           "\"{network.architecture}\"."},
              {.name = "key_column",
               .kind = Option::Kind::list,
               .fallback = std::nullopt,
               .sentence = "The column that holds this text; one for each key."},
              {.name = "metrics",
               .kind = Option::Kind::config,
               .fallback = std::nullopt,
               .sentence = "Mapping from metrics to {column, unit, direction, scale, description}; a list of columns "
                           "where the table knows the rest."},
              {.name = "sum",
               .kind = Option::Kind::config,
               .fallback = "",
               .sentence = "Keys of further rows, whose values are added to the first's; one that names an inactive "
                           "parameter is passed over."},
              {.name = "clock",
               .kind = Option::Kind::config,
               .fallback = "",
               .sentence = "The column, or columns, with the time that an evaluation would have taken: reported as "
                           "simulated_s."},
              {.name = "separator",
               .kind = Option::Kind::word,
               .fallback = "comma",
               .sentence = "What stands between fields of a CSV file.",
               .words = {"comma", "semicolon", "tab"}},
          },
      .create = [](const Options& options, const Environment& environment) -> std::unique_ptr<Estimator> {
        return std::make_unique<Table>(options, environment);
      },
  };
}

}  // namespace duet
