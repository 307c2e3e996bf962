#include <algorithm>
#include <chrono>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "core/errors.hpp"
#include "core/units.hpp"
#include "estimators/csv.hpp"
#include "estimators/declared_metrics.hpp"
#include "experiments/table_file.hpp"

namespace duet::cli {
namespace {

struct ImportArguments {
  std::string format;
  std::vector<std::string> files;
  std::string output, table, separator = "comma";
  std::vector<std::string> keys, groups, units, scales, names, minimize, maximize, text, skip;
  bool replace = false, list = false, describe = false;
};

void list_formats() {
  TextTable table({"format", "what", "rows are named by"});
  for (const std::string& name : table_format_names()) {
    const TableFormat format = table_format(name);
    std::string keys;
    for (const auto& set : format.keys) keys += fmt::format("{}{}", keys.empty() ? "" : "; ", fmt::join(set, ", "));
    table.add({name, format.summary, keys});
  }
  fmt::print("{}\n`duet import FORMAT --describe` shows what it knows of columns, as YAML to copy and change.\n",
             table.text());
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

/// "COLUMN=VALUE": the last sign counts, as columns may be named anything.
std::pair<std::string, std::string> assignment(const std::string& option, const std::string& text) {
  const std::size_t sign = text.rfind('=');
  if (sign == std::string::npos || sign == 0 || sign + 1 == text.size()) {
    throw ConfigError(fmt::format("{} takes COLUMN=VALUE, not '{}'", option, text));
  }
  return {text.substr(0, sign), text.substr(sign + 1)};
}

TableFormat format_of(const ImportArguments& arguments) {
  TableFormat format = table_format(arguments.format);
  if (arguments.format == "csv") format.summary.clear();  // it speaks of the format, not of the table
  for (const std::string& key : arguments.keys) format.keys.push_back(split(key));
  for (const std::string& group : arguments.groups) format.groups.push_back(split(group));
  const auto column = [&](const std::string& name) -> ColumnRule& {
    for (ColumnRule& rule : format.overrides) {
      if (rule.pattern == name) return rule;
    }
    format.overrides.emplace_back().pattern = name;
    return format.overrides.back();
  };
  for (const std::string& text : arguments.units) {
    const auto [name, unit] = assignment("--unit", text);
    if (!base_unit(unit)) throw ConfigError(fmt::format("--unit {}: '{}' is not a unit; 1 stands for pure numbers", text, unit));
    column(name).unit = unit;
  }
  for (const std::string& text : arguments.scales) {
    const auto [name, factor] = assignment("--scale", text);
    const std::optional<double> scale = parse_number(factor);
    if (!scale || *scale <= 0) throw ConfigError(fmt::format("--scale {}: '{}' is not a number greater than 0", text, factor));
    column(name).scale = scale;
  }
  for (const std::string& text : arguments.names) {
    const auto [name, better] = assignment("--rename", text);
    column(name).name = better;
  }
  for (const std::string& name : arguments.minimize) column(name).direction = Direction::minimize;
  for (const std::string& name : arguments.maximize) column(name).direction = Direction::maximize;
  for (const std::string& name : arguments.text) column(name).text = true;
  for (const std::string& name : arguments.skip) column(name).skip = true;
  return format;
}

std::string table_name_of(const ImportArguments& arguments, const TableFormat& format) {
  if (!arguments.table.empty()) return arguments.table;
  std::string name =
      table_name_from(format.name == "csv" ? std::filesystem::path(arguments.files.front()).stem().string() : format.name);
  if (!name.empty() && name[0] >= '0' && name[0] <= '9') name = "table_" + name;
  return name;
}

void import_table(const ImportArguments& arguments) {
  if (arguments.list) return list_formats();
  if (arguments.format.empty()) throw ConfigError("duet import: which format? 'duet import --list' shows what there is");
  if (arguments.describe) {
    fmt::print("{}", table_format_text(arguments.format));
    return;
  }
  if (arguments.files.empty()) throw ConfigError("duet import: which files?");
  if (arguments.output.empty()) throw ConfigError("duet import: to which database? -o FILE");
  const auto start = std::chrono::steady_clock::now();
  const char separator = arguments.separator == "tab" ? '\t' : arguments.separator == "semicolon" ? ';' : ',';
  const TableFormat format = format_of(arguments);
  const std::string name = table_name_of(arguments, format);
  TableImport import(format);
  for (const std::string& file : arguments.files) {
    std::string text;
    try {
      text = read_whole_file(file);
    } catch (const std::system_error& error) {
      throw ConfigError(fmt::format("{} cannot be read: {}", file, error.code().message()));
    }
    import.add(std::move(text), file, separator);
  }
  const ImportedTable table = import.finish();
  const TableWriting done = write_table(arguments.output, name, table, arguments.replace);
  if (done == TableWriting::unchanged) {
    fmt::print("{}: table '{}' is there already, with the same {} rows\n", arguments.output, name, table.rows);
    return;
  }
  std::vector<std::string> keys;
  for (const auto& set : table.keys) keys.push_back(fmt::format("{}", fmt::join(set, " with ")));
  fmt::print("{}: table '{}' {}: {} rows, {} columns, {:.2f} s; rows are named by {}\n", arguments.output, name,
             done == TableWriting::replaced ? "replaced" : "created", table.rows, table.columns.size(),
             std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
             fmt::join(keys, ", or by "));
  fmt::print("Its columns: duet tables {} {}\n", arguments.output, name);
}

struct TablesArguments {
  std::string file, table;
  bool json = false, check = false;
};

nlohmann::ordered_json json_of(const TableFile& table, bool with_columns) {
  nlohmann::ordered_json out{{"name", table.name()},     {"format", table.format()}, {"summary", table.summary()},
                             {"source", table.source()}, {"files", table.files()},   {"rows", table.rows()},
                             {"keys", table.keys()},     {"groups", table.groups()}};
  if (!with_columns) return out;
  nlohmann::ordered_json columns = nlohmann::ordered_json::array();
  for (const StoredTable::Column& column : table.columns()) {
    nlohmann::ordered_json one{{"name", column.name}, {"kind", column.number ? "number" : "text"}};
    if (column.unit) one["unit"] = *column.unit;
    if (column.direction) one["direction"] = to_string(*column.direction);
    one["original"] = column.original;
    if (!column.description.empty()) one["description"] = column.description;
    columns.push_back(std::move(one));
  }
  out["columns"] = columns;
  return out;
}

std::string sets_text(const std::vector<std::vector<std::string>>& sets) {
  std::vector<std::string> texts;
  for (const auto& set : sets) texts.push_back(fmt::format("{}", fmt::join(set, ", ")));
  return fmt::format("{}", fmt::join(texts, "; "));
}

void show_table(const TableFile& table) {
  fmt::print("{}: {} rows\n", table.name(), table.rows());
  const auto line = [](const char* what, const std::string& text) {
    if (!text.empty()) fmt::print("  {:<8} {}\n", what, text);
  };
  line("", table.summary());
  line("source", table.source());
  line("files", fmt::format("{}", fmt::join(table.files(), ", ")));
  line("keys", sets_text(table.keys()));
  line("groups", sets_text(table.groups()));
  TextTable columns({"column", "unit", "better", "from", "description"});
  for (const StoredTable::Column& column : table.columns()) {
    columns.add({column.name, !column.number ? "text" : column.unit.value_or("?"),
                 !column.direction                            ? ""
                 : *column.direction == Direction::minimize ? "lower"
                                                              : "higher",
                 column.original == column.name ? "" : column.original, column.description});
  }
  fmt::print("\n{}", columns.text());
}

void show_tables(const TablesArguments& arguments) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  TextTable list({"table", "rows", "columns", "keys", "format"});
  std::vector<std::string> names = TableFile::names(arguments.file);
  if (!arguments.table.empty()) names = {arguments.table};
  for (const std::string& name : names) {
    const TableFile table(arguments.file, name);
    if (arguments.check) table.check();
    out.push_back(json_of(table, !arguments.table.empty()));
    list.add({table.name(), std::to_string(table.rows()), std::to_string(table.columns().size()),
              sets_text(table.keys()), table.format()});
    if (!arguments.table.empty() && !arguments.json && !arguments.check) return show_table(table);
  }
  if (arguments.check) {
    fmt::print("{}: {} as imported\n", arguments.file, names.size() == 1 ? "the table is" : "all tables are");
  } else if (arguments.json) {
    fmt::print("{}\n", (arguments.table.empty() ? out : out.front()).dump(2));
  } else {
    fmt::print("{}", list.text());
  }
}

}  // namespace

void add_import(CLI::App& app, Context& /*context*/) {
  {
    auto* command = app.add_subcommand(
        "import",
        "Put a table (CSV) into a database that the estimator `table` reads; several files are joined by their keys");
    auto arguments = std::make_shared<ImportArguments>();
    command->add_option("FORMAT", arguments->format,
                        "What the columns mean: a format of --list, `csv` for any table, or a description (.yaml)");
    command->add_option("FILE", arguments->files, "CSV files with the parts of one table");
    command->add_option("-o,--output", arguments->output, "Database; made if need be, may hold other tables");
    command->add_option("--table", arguments->table, "Name of the table (default: the format's, for csv the file's)");
    command->add_flag("--replace", arguments->replace, "Replace a table of this name with other contents");
    const auto list = [&](const char* flag, std::vector<std::string>& target, const char* sentence) {
      command->add_option(flag, target, sentence)->allow_extra_args(false);
    };
    list("--key", arguments->keys, "COLUMN, or COLUMN,COLUMN…, whose values name a row; may be repeated");
    list("--group", arguments->groups,
         "COLUMN,… to look up by as well; rows that agree there are repetitions, of which the mean counts");
    list("--unit", arguments->units, "COLUMN=UNIT of its numbers: latency=ms; 1 for pure numbers");
    list("--scale", arguments->scales, "COLUMN=FACTOR that its numbers are multiplied by: flops=1e6");
    list("--rename", arguments->names, "COLUMN=NAME to keep it under");
    list("--minimize", arguments->minimize, "COLUMN of which less is better");
    list("--maximize", arguments->maximize, "COLUMN of which more is better");
    list("--text", arguments->text, "COLUMN that holds text");
    list("--skip", arguments->skip, "COLUMN to leave out");
    command->add_option("--separator", arguments->separator, "What stands between fields")
        ->check(CLI::IsMember({"comma", "semicolon", "tab"}))
        ->capture_default_str();
    command->add_flag("--list", arguments->list, "List the formats");
    command->add_flag("--describe", arguments->describe, "Show the format's description");
    command->callback([arguments] { import_table(*arguments); });
  }
  {
    auto* command = app.add_subcommand("tables", "List the tables of a database that import made, or the columns of one");
    auto arguments = std::make_shared<TablesArguments>();
    command->add_option("DATABASE", arguments->file, "Database of tables")->required();
    command->add_option("TABLE", arguments->table, "One table, with its columns");
    command->add_flag("--check", arguments->check, "Read everything and compare with what was imported");
    command->add_flag("--json", arguments->json, "As JSON");
    command->callback([arguments] { show_tables(*arguments); });
  }
}

}  // namespace duet::cli
