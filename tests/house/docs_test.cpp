// The documentation as a test. CONTRIBUTING.md states the conventions for its examples.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <vector>

#include "core/config.hpp"
#include "experiments/specification.hpp"
#include "spaces/onnx_model.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

namespace fs = std::filesystem;

// --- Reading Markdown

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// Without blanks at both ends; blanks inside count as one.
std::string squeezed(const std::string& text) {
  std::istringstream words(text);
  std::string out;
  for (std::string word; words >> word;) out += (out.empty() ? "" : " ") + word;
  return out;
}

/// A fenced block of a page.
struct Block {
  std::string language;
  std::string file;  ///< the line before it says: "`first.yaml`:"
  std::string text;
  std::size_t line = 0;  ///< of its first line, from 1
};

struct Page {
  std::vector<Block> blocks;
  std::vector<std::string> prose;  ///< the lines outside of blocks
};

Page read_page(const std::string& text) {
  static const std::regex fence("^ *```([a-z]*)$");
  static const std::regex file_name("^`([^`/]+)`:$");
  Page page;
  std::optional<Block> block;
  std::string before;
  std::size_t number = 0;
  for (const std::string& line : lines_of(text)) {
    ++number;
    std::smatch match;
    if (block && squeezed(line) == "```") {
      page.blocks.push_back(*block);
      block.reset();
      before.clear();
    } else if (block) {
      block->text += line + "\n";
    } else if (std::regex_match(line, match, fence)) {
      block = Block{match[1], "", "", number + 1};
      if (std::regex_match(before, match, file_name)) block->file = match[1];
    } else {
      page.prose.push_back(line);
      if (!line.empty()) before = line;
    }
  }
  EXPECT_FALSE(block) << "a fenced block is not closed";
  return page;
}

/// All Markdown files of the project, relative to its root.
std::vector<fs::path> pages() {
  std::vector<fs::path> found;
  const fs::path root = testing::source_root();
  for (auto it = fs::recursive_directory_iterator(root); it != fs::recursive_directory_iterator(); ++it) {
    const std::string name = it->path().filename();
    if (it->is_directory() && (name.starts_with("build") || name.starts_with('.')))
      it.disable_recursion_pending();
    if (it->path().extension() == ".md") found.push_back(fs::relative(it->path(), root));
  }
  std::sort(found.begin(), found.end());
  EXPECT_GT(found.size(), 20U) << "the pages were not found";
  return found;
}

Page page_at(const fs::path& path) {
  return read_page(testing::read_file(testing::source_root() / path));
}

// --- Running commands

struct Outcome {
  int exit_code = -1;
  std::string output;  ///< standard output and standard error
};

/// Runs a line of shell in `directory`, with `duet` in the search path.
Outcome run(const std::string& command, const fs::path& directory) {
  const std::string line =
      fmt::format("cd '{}' && PATH='{}':\"$PATH\" && export PATH && {{ {}\n}} 2>&1 </dev/null",
                  directory.string(), fs::path(DUET_BINARY).parent_path().string(), command);
  std::FILE* pipe = popen(line.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot run " + command);
  Outcome outcome;
  char buffer[4096];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, pipe))
    outcome.output.append(buffer, count);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  return outcome;
}

bool has_program(const std::string& name) {
  return run("command -v " + name, "/").exit_code == 0;
}

/// What an example needs and this machine or build does not have; empty: nothing.
std::string missing_for(const std::string& example) {
#ifdef DUET_WITH_TORCH
  const bool trains = fs::exists("/usr/share/datasets/fashion-mnist");
#else
  const bool trains = false;
#endif
  static const std::regex trained("\\btrained\\b|quickstart");
  if (!trains && std::regex_search(example, trained)) return "libtorch and the data set fashion-mnist";
  if (example.find("python3") != std::string::npos && !has_program("python3")) return "python3";
  return "";
}

void write_files(const Page& page, const fs::path& directory) {
  for (const Block& block : page.blocks) {
    if (!block.file.empty()) testing::write_file(directory / block.file, block.text);
  }
}

// --- YAML

const std::map<std::string, std::string> standard_experiment{
    {"space", "space:\n  network: {type: nas_bench_201}\n  accelerator: {type: systolic_array}\n"},
    {"estimators", "estimators:\n  - analytical\n  - network_counts\n"},
    {"objectives", "objectives: [cost]\n"},
    {"search", "search: random\n"},
    {"budget", "budget: 10\n"},
};
// An estimator for any space, so that every fragment has an objective.
const std::string cost_estimator =
    "estimators:\n  - {type: command, command: [\"true\"], metrics: {cost: {unit: \"1\", direction: "
    "minimize}}}\n";

/// The experiment that a block stands for; nothing if it continues the block before it.
std::optional<std::string> as_experiment(std::string text) {
  if (text.starts_with("   ")) return std::nullopt;
  if (text.starts_with("  ")) text = "space:\n" + text;
  static const std::regex key("^([a-z_]+):");
  std::set<std::string> keys;
  for (const std::string& line : lines_of(text)) {
    std::smatch match;
    if (std::regex_search(line, match, key)) keys.insert(match[1]);
  }
  if (keys.contains("space") && keys.contains("search")) return text;
  if (keys.contains("problems")) return text;  // a tournament: validate takes it as it is
  const std::string opening = "estimators:\n";
  if (keys.contains("estimators")) {
    text.replace(text.find(opening), opening.size(), cost_estimator);
  } else {
    const std::string more =
        keys.contains("space") ? "" : standard_experiment.at("estimators").substr(opening.size());
    text += cost_estimator + more;
  }
  for (const auto& [name, standard] : standard_experiment) {
    if (name != "estimators" && !keys.contains(name)) text += standard;
  }
  return text;
}

/// The same for a table that `duet import` made: its one row has the columns that the estimator reads.
void write_stand_in_database(const Config& estimator, const fs::path& file, const fs::path& directory) {
  std::string header, row, key, flags;
  for (const Config& column : estimator.at("key_column").items(true)) {
    key += (key.empty() ? "" : ",") + column.text();
    header += column.text() + ",";
    row += "key,";
  }
  const auto add = [&](const std::string& column, const std::string& unit) {
    header += column + ",";
    row += "1,";
    flags += fmt::format(" --minimize {0} --unit {0}={1}", column, unit);
  };
  const Config metrics = estimator.at("metrics");
  for (const std::string& name : metrics.is_map() ? metrics.keys() : std::vector<std::string>()) {
    const Config metric = metrics.at(name);
    add(metric.is_map() && metric.has("column") ? metric.at("column").text() : name, "1");
  }
  if (!metrics.is_map()) {
    for (const Config& name : metrics.items(true)) add(name.text(), "1");
  }
  if (estimator.has("clock")) {
    for (const Config& entry : estimator.at("clock").items(true)) {
      add(entry.is_map() ? entry.at("column").text() : entry.text(), "s");
    }
  }
  header.back() = row.back() = '\n';
  testing::write_file(directory / "stand_in.csv", header + row);
  const std::string table = estimator.has("table") ? " --table " + estimator.at("table").text() : "";
  const Outcome done = run(fmt::format("duet import csv stand_in.csv -o {} --key {}{}{}", file.filename().string(), key,
                                       flags, table),
                           directory);
  EXPECT_EQ(done.exit_code, 0) << done.output;
}

/// A table with the columns that the experiment's `table` estimators read, where there is none: their
/// configuration can then be checked without the published tables.
void write_stand_in_tables(const std::string& experiment, const fs::path& directory) {
  const Config config = Config::parse(experiment, "example");
  if (!config.has("estimators")) return;
  const Config estimators = config.at("estimators");
  if (!estimators.is_sequence()) return;
  for (const Config& estimator : estimators.items()) {
    if (!estimator.is_map() || estimator.at("type").text() != "table") continue;
    const fs::path file = directory / estimator.at("file").text();
    if (fs::exists(file)) continue;
    if (file.extension() == ".db") {
      write_stand_in_database(estimator, file, directory);
      continue;
    }
    std::string header, row;
    for (const Config& column : estimator.at("key_column").items(true)) {
      header += column.text() + ",";
      row += "key,";
    }
    const Config metrics = estimator.at("metrics");
    for (const std::string& name : metrics.keys()) {
      header += (metrics.at(name).has("column") ? metrics.at(name).at("column").text() : name) + ",";
      row += "1,";
    }
    header.back() = row.back() = '\n';
    testing::write_file(file, header + row);
  }
}

TEST(Docs, EveryYamlBlockIsAValidExperiment) {
  int checked = 0;
  for (const fs::path& path : pages()) {
    const Page page = page_at(path);
    const testing::TemporaryDirectory directory;
    write_files(page, directory.path());
    for (const Block& block : page.blocks) {
      if (block.language != "yaml") continue;
      SCOPED_TRACE(fmt::format("{}:{}", path.string(), block.line));
      if (const std::string missing = missing_for(block.text); !missing.empty()) {
        fmt::print("{}:{}: not checked: needs {}\n", path.string(), block.line, missing);
        continue;
      }
      const auto experiment = as_experiment(block.text);
      if (!experiment) continue;
      ASSERT_NO_THROW(write_stand_in_tables(*experiment, directory.path())) << *experiment;
      testing::write_file(directory / "example.yaml", *experiment);
      const Outcome outcome = run("duet validate example.yaml", directory.path());
      EXPECT_EQ(outcome.exit_code, 0) << outcome.output << *experiment;
      ++checked;
    }
  }
  EXPECT_GT(checked, 20);
}

TEST(Docs, FragmentsAreCompletedToExperiments) {
  EXPECT_EQ(as_experiment("space: {}\nsearch: random\n"), "space: {}\nsearch: random\n");
  EXPECT_EQ(as_experiment("      key: [a]\n"), std::nullopt);
  const std::string part = *as_experiment("  network:\n    type: cnn\n");
  EXPECT_TRUE(part.starts_with("space:\n  network:\n    type: cnn\nestimators:\n  - {type: command"));
  EXPECT_EQ(part.find("analytical"), std::string::npos) << "it needs an accelerator";
  const std::string search = *as_experiment("search: random\n");
  EXPECT_NE(search.find("analytical"), std::string::npos);
  EXPECT_EQ(search.find("search", 1), std::string::npos);
}

// --- Console

/// Whether a line of output is as shown: "…" stands for anything, and blanks count as one.
bool looks_like(const std::string& line, const std::string& shown) {
  static const std::string anything = "…";
  const std::string text = squeezed(line);
  const std::string pattern = squeezed(shown);
  std::size_t at = 0, from = 0;
  for (;;) {
    const std::size_t end = pattern.find(anything, from);
    const std::string piece = pattern.substr(from, end == std::string::npos ? end : end - from);
    if (end == std::string::npos) {  // the last piece stands at the end, the only one is everything
      if (from == 0) return text == piece;
      return text.size() >= at + piece.size() && text.ends_with(piece);
    }
    const std::size_t found = text.find(piece, at);
    if (found == std::string::npos || (from == 0 && found != 0)) return false;
    at = found + piece.size();
    from = end + anything.size();
  }
}

TEST(Docs, ShownLinesAreComparedWithWildcards) {
  EXPECT_TRUE(looks_like("a  b", " a b"));
  EXPECT_FALSE(looks_like("a b c", "a b"));
  EXPECT_TRUE(looks_like("a: 12 trials in 0.1 s: done", "a: 12 trials in … s: done"));
  EXPECT_TRUE(looks_like("a b c", "… c"));
  EXPECT_TRUE(looks_like("a b c", "a…"));
  EXPECT_FALSE(looks_like("x a b", "a …"));
  EXPECT_FALSE(looks_like("a b", "a … c"));
  EXPECT_FALSE(looks_like("aba", "ab…ba"));
}

struct Command {
  std::string line;
  int exit_code = 0;
  std::vector<std::string> shown;
  std::size_t number = 0;  ///< of the line in its page
};

std::vector<Command> commands_of(const Page& page) {
  static const std::regex exits("# exits ([0-9]+)$");
  std::vector<Command> commands;
  for (const Block& block : page.blocks) {
    if (block.language != "console") continue;
    std::size_t number = block.line;
    for (const std::string& line : lines_of(block.text)) {
      std::smatch match;
      if (line.starts_with("$ ")) {
        commands.push_back({line.substr(2), 0, {}, number});
        if (std::regex_search(line, match, exits)) commands.back().exit_code = std::stoi(match[1]);
      } else if (!commands.empty() && !line.empty()) {
        commands.back().shown.push_back(line);
      }
      ++number;
    }
  }
  return commands;
}

class Console : public ::testing::TestWithParam<std::string> {};

TEST_P(Console, CommandsDoWhatThePageSays) {
  const Page page = page_at(GetParam());
  const testing::TemporaryDirectory directory;
  write_files(page, directory.path());
  const std::vector<Command> commands = commands_of(page);
  EXPECT_FALSE(commands.empty());
  for (const Command& command : commands) {
    SCOPED_TRACE(fmt::format("{}:{}: $ {}", GetParam(), command.number, command.line));
    std::string example = command.line;
    for (const Block& block : page.blocks) {
      if (!block.file.empty() && command.line.find(block.file) != std::string::npos) example += block.text;
    }
    if (const std::string missing = missing_for(example); !missing.empty()) {
      fmt::print("{}:{}: not run: needs {}\n", GetParam(), command.number, missing);
      continue;
    }
    const Outcome outcome = run(command.line, directory.path());
    EXPECT_EQ(outcome.exit_code, command.exit_code) << outcome.output;
    const std::vector<std::string> output = lines_of(outcome.output);
    auto at = output.begin();
    for (const std::string& shown : command.shown) {
      const auto found =
          std::find_if(at, output.end(), [&](const auto& line) { return looks_like(line, shown); });
      if (found == output.end()) {
        ADD_FAILURE() << "not in the output, or not in this order: " << shown << "\n"
                      << outcome.output.substr(0, 4000);
        break;
      }
      at = found + 1;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Docs, Console,
                         ::testing::Values("README.md", "docs/command_line.md", "docs/tables.md",
                                           "docs/tournament.md"),
                         [](const auto& page) {
                           std::string name = fs::path(page.param).stem().string();
                           std::erase(name, '_');
                           return name;
                         });

// --- Option tables

/// Name and default of every option in the tables of a page that begin with "| option | default |".
std::map<std::string, std::string> documented_options(const Page& page) {
  static const std::regex row("^\\| *`?([^|`]*[^|` ])`? *\\| *([^|]*[^| ])? *\\|.*");
  std::map<std::string, std::string> options;
  bool inside = false;
  for (const std::string& line : page.prose) {
    std::smatch match;
    if (!std::regex_match(line, match, row)) {
      inside = false;
    } else if (match[1] == "option" && match[2] == "default") {
      inside = true;
    } else if (inside && match[1].str().find_first_not_of("-:") != std::string::npos) {
      std::string fallback = match[2];
      std::erase(fallback, '`');
      EXPECT_TRUE(options.emplace(match[1], fallback).second) << match[1] << " stands there twice";
    }
  }
  return options;
}

/// Whether a default as documented means the default of the option. "all three" means all words, "…" what one
/// guesses.
bool means(const std::string& documented, const Option& option) {
  if (!option.fallback) return documented == "required";
  const std::string& fallback = *option.fallback;
  if (fallback.empty()) return documented == "(empty)" || documented == "empty" || documented == "none";
  if (documented.starts_with("all ")) {
    const Config list = Config::parse(fallback, "default");
    return !option.words.empty() && list.items(true).size() == option.words.size();
  }
  return looks_like(fallback, documented);
}

template <class Plugin>
void check_pages(const Catalog<Plugin>& catalog, const std::string& folder) {
  for (const std::string& name : catalog.names()) {
    const fs::path path = fs::path("docs") / folder / (name + ".md");
    SCOPED_TRACE(path.string());
    if (!fs::exists(testing::source_root() / path)) {
      ADD_FAILURE() << catalog.kind() << " '" << name << "' has no page";
      continue;
    }
    const std::map<std::string, std::string> documented = documented_options(page_at(path));
    std::set<std::string> known;
    for (const Option& option : catalog.at(name).options) {
      known.insert(option.name);
      const auto found = documented.find(option.name);
      if (found == documented.end()) {
        ADD_FAILURE() << "the option '" << option.name << "' is missing";
      } else {
        EXPECT_TRUE(means(found->second, option))
            << "the default of '" << option.name << "' is " << option.fallback.value_or("required")
            << ", not " << found->second;
      }
    }
    for (const auto& [option, fallback] : documented) {
      EXPECT_TRUE(known.contains(option)) << "there is no option '" << option << "'";
    }
    for (const std::string index : {"README.md", "docs/README.md"}) {
      const std::string link = fmt::format("({}{}/{}.md)", index == "README.md" ? "docs/" : "", folder, name);
      EXPECT_NE(testing::read_file(testing::source_root() / index).find(link), std::string::npos)
          << index << " does not mention it";
    }
  }
}

TEST(Docs, EveryPluginHasItsPageWithAllOptionsAndDefaults) {
  Registry registry = builtin_registry();
  registry.spaces.add(onnx_model_space());
  check_pages(registry.spaces, "spaces");
  check_pages(registry.estimators, "estimators");
  check_pages(registry.strategies, "strategies");
}

TEST(Docs, OptionTablesAreUnderstood) {
  const Page page = read_page(
      "| metric | unit |\n|---|---|\n| `epochs` | 1 |\n\n"
      "| option | default | |\n|---|---|---|\n| `size` | [1, 2, …, 8] | x |\n| `hold` | (empty) | |\n| `op` "
      "| all two | |\n");
  const auto options = documented_options(page);
  EXPECT_EQ(options.size(), 3U);
  using Kind = Option::Kind;
  EXPECT_TRUE(
      means(options.at("size"), {.name = "size", .kind = Kind::integers, .fallback = "[1, 2, 4, 8]"}));
  EXPECT_FALSE(means(options.at("size"), {.name = "size", .kind = Kind::integers, .fallback = "[1, 2, 4]"}));
  EXPECT_FALSE(means(options.at("size"), {.name = "size", .kind = Kind::integers}));
  EXPECT_TRUE(means(options.at("hold"), {.name = "hold", .kind = Kind::text, .fallback = ""}));
  const Option words{.name = "op", .kind = Kind::words, .fallback = "[a, b]", .words = {"a", "b"}};
  EXPECT_TRUE(means(options.at("op"), words));
  EXPECT_FALSE(means("a", words));
}

// --- Links

/// The anchor that a heading gets.
std::string anchor(const std::string& heading) {
  std::string out;
  for (const char c : heading) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '_' || byte >= 0x80)
      out += static_cast<char>(std::tolower(byte));
    if (c == ' ') out += '-';
  }
  return out;
}

std::set<std::string> anchors_of(const Page& page) {
  static const std::regex heading("^#+ +(.*[^ ]) *$");
  std::set<std::string> found;
  for (const std::string& line : page.prose) {
    std::smatch match;
    if (std::regex_match(line, match, heading)) found.insert(anchor(match[1]));
  }
  return found;
}

TEST(Docs, LinksLeadSomewhere) {
  static const std::regex code("`[^`]*`");
  static const std::regex link("\\]\\(([^)# ]*)(#([^) ]*))?\\)");
  int checked = 0;
  for (const fs::path& path : pages()) {
    for (const std::string& written : page_at(path).prose) {
      const std::string line = std::regex_replace(written, code, "code");
      for (std::sregex_iterator it(line.begin(), line.end(), link), end; it != end; ++it) {
        const std::string target = (*it)[1];
        if (target.find("://") != std::string::npos) continue;
        SCOPED_TRACE(path.string() + ": " + it->str());
        const fs::path file = target.empty() ? path : (path.parent_path() / target).lexically_normal();
        EXPECT_TRUE(fs::exists(testing::source_root() / file)) << "there is no " << file;
        if ((*it)[3].length() > 0 && file.extension() == ".md" && fs::exists(testing::source_root() / file)) {
          EXPECT_TRUE(anchors_of(page_at(file)).contains((*it)[3])) << "there is no such heading";
        }
        ++checked;
      }
    }
  }
  EXPECT_GT(checked, 50);
  EXPECT_EQ(anchor("name, seed, output"), "name-seed-output");
}

// --- The cookbook

/// Rows below a header line.
std::size_t rows(const std::string& output) {
  const std::size_t lines = lines_of(output).size();
  return lines == 0 ? 0 : lines - 1;
}

TEST(SlowDocs, QueriesOfTheCookbookRunOnTheQuickstart) {
  if (const std::string missing = missing_for("quickstart"); !missing.empty())
    GTEST_SKIP() << "needs " << missing;
  const testing::TemporaryDirectory directory;
  const fs::path example = testing::source_root() / "experiments" / "examples" / "quickstart.yaml";
  const Outcome search =
      run(fmt::format("duet run '{}' --trials 12 -o q.db", example.string()), directory.path());
  ASSERT_EQ(search.exit_code, 0) << search.output;
  const bool shell = has_program("sqlite3");
  int queries = 0;
  for (const Block& block : page_at("docs/schema.md").blocks) {
    if (block.language != "sql") continue;
    SCOPED_TRACE(fmt::format("docs/schema.md:{}", block.line));
    testing::write_file(directory / "query.sql", block.text);
    const Outcome ours = run("duet query q.db \"$(cat query.sql)\"", directory.path());
    EXPECT_EQ(ours.exit_code, 0) << ours.output;
    if (shell) {
      const Outcome stock = run("sqlite3 -bail -header q.db \"$(cat query.sql)\"", directory.path());
      EXPECT_EQ(stock.exit_code, 0) << stock.output;
      EXPECT_EQ(rows(stock.output), rows(ours.output)) << stock.output << ours.output;
    }
    ++queries;
  }
  EXPECT_GT(queries, 10);
}

}  // namespace
}  // namespace duet
