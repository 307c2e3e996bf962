#include <cmath>
#include <memory>

#include "core/errors.hpp"
#include "estimators/csv.hpp"
#include "estimators/estimator.hpp"
#include "experiments/table_import.hpp"
#include "spaces/design_space.hpp"
#include "tests/fuzz/targets.hpp"

namespace duet::fuzz {
namespace {

struct Cells {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;

  bool operator==(const Cells&) const = default;
};

Cells read(std::string text, char separator) {
  CsvReader reader(std::move(text), "table.csv", separator);
  Cells cells;
  cells.columns = reader.columns();
  std::size_t line = 0;
  while (reader.next()) {
    require(reader.line() > line, "rows stand on lines of their own");
    line = reader.line();
    std::vector<std::string>& row = cells.rows.emplace_back();
    for (std::size_t i = 0; i < cells.columns.size(); ++i) row.emplace_back(reader[i]);
  }
  return cells;
}

std::string write(const Cells& cells, char separator) {
  std::string text;
  const auto add = [&](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0) text += separator;
      text += '"';
      for (const char c : row[i]) text += c == '"' ? std::string("\"\"") : std::string(1, c);
      text += '"';
    }
    text += '\n';
  };
  add(cells.columns);
  for (const auto& row : cells.rows) add(row);
  return text;
}

void require_position(std::string_view message) {
  require(message.starts_with("table.csv:") || message.find("/table.csv:") != std::string_view::npos,
          "errors name the file and the line", std::string(message));
}

/// The estimator `table`, which looks designs up in such a file.
void look_up(const std::string& text, char separator) {
  static const Catalog<SpacePlugin> spaces = [] {
    Catalog<SpacePlugin> catalog("space");
    add_builtin_spaces(catalog);
    return catalog;
  }();
  static const Catalog<EstimatorPlugin> estimators = [] {
    Catalog<EstimatorPlugin> catalog("estimator");
    add_builtin_estimators(catalog);
    return catalog;
  }();
  static const DesignSpace space = DesignSpace::read(
      Config::parse("p: {type: parameters, parameters: {a: {choice: [x, y, y-z]}, n: {integer: [1, 3]}}}", "space.yaml"),
      spaces);
  static const auto options = [](const char* word) {
    const Config config = Config::parse(std::string("{file: table.csv, key: ['{p.a}', '{p.n}'], key_column: [a, n], "
                                                    "metrics: {t_s: {unit: ms, direction: minimize, column: t}}, separator: ") +
                                            word + "}",
                                        "table.yaml");
    return Options::read(config, estimators.at("table").options, "estimator table");
  };
  static const Options comma = options("comma"), semicolon = options("semicolon"), tab = options("tab");

  scratch_file("table.csv", text);
  const Options& chosen = separator == ',' ? comma : separator == ';' ? semicolon : tab;
  std::unique_ptr<Estimator> table;
  try {
    table = estimators.at("table").create(chosen, {1, scratch_folder(), &space});
  } catch (const ConfigError& error) {
    require_position(error.what());
    return;
  }
  for (const char* design : {"{p: {a: x, n: 1}}", "{p: {a: y-z, n: 3}}"}) {
    const Design one = space.design(space.space().read_candidate(Config::parse(design, "design.yaml")));
    const Evaluation found = estimate_checked(*table, one);
    require((found.status == Status::ok) == found.reason.empty(), "a row is found or there is a reason", found.reason);
  }
}

/// `duet import`: under a format that knows nothing of the columns and one that uses all that a format can say.
void import(const std::string& text, char separator) {
  static const TableFormat plain = table_format("csv");
  static const TableFormat rich = read_table_format(
      Config::parse("{summary: s, source: s, keys: [a, [b, 'k_*']], groups: [[b, c]], columns: {'*_ms': {name: 'latency_{}_s', "
                    "unit: ms, direction: minimize, description: 'On {}.'}, c: {text: true}, 'x*': {skip: true}, "
                    "'*%': {name: 'share_{}', scale: 0.01}}}",
                    "format.yaml"),
      "rich");
  for (const TableFormat& format : {plain, rich}) {
    try {
      TableImport once(format);
      once.add(text, "table.csv", separator);
      const ImportedTable table = once.finish();
      for (const ImportedTable::Column& column : table.columns) {
        require(!column.name.empty(), "columns have names");
        require((column.number ? column.numbers.size() : column.texts.size()) == table.rows, "every row has every cell");
      }
      TableImport twice(format);
      twice.add(text, "table.csv", separator);
      twice.add(text, "again.csv", separator);
      require(twice.finish().content() == table.content() || format.keys.empty(), "a file adds nothing to itself");
    } catch (const ConfigError& error) {
      require(std::string_view(error.what()).find(".csv") != std::string_view::npos ||
                  std::string_view(error.what()).find("row") != std::string_view::npos,
              "errors say what is wrong with which file", error.what());
      require_sentence(error.what());
    }
  }
}

}  // namespace

void fuzz_csv(std::string_view input) {
  if (input.empty()) return;
  const char separator = std::string_view(",;\t")[static_cast<unsigned char>(input.front()) % 3];
  const std::string text(input.substr(1));
  const bool database = text.starts_with("SQLite format 3");  // fuzz_database's business
  if (!database) look_up(text, separator);
  import(text, separator);
  try {
    const Cells cells = read(text, separator);
    for (const auto& row : cells.rows) require(row.size() == cells.columns.size(), "rows are as wide as the header");
    require(read(write(cells, separator), separator) == cells, "what was read can be written and read again");
  } catch (const ConfigError& error) {
    require_position(error.what());
  }
}

}  // namespace duet::fuzz
