// The architecture as a test: which folder may include what (docs/architecture.md).

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/testing.hpp"

namespace duet {
namespace {

namespace fs = std::filesystem;

const std::set<std::string> folders{"core", "spaces", "hw_models", "estimators", "search", "experiments", "cli", "tests"};

const std::map<std::string, std::set<std::string>> may_include{
    {"core", {"core"}},
    {"spaces", {"spaces", "core"}},
    {"hw_models", {"hw_models", "spaces", "core"}},
    {"estimators", {"estimators", "hw_models", "spaces", "core"}},
    {"search", {"search", "core"}},
    {"experiments", {"experiments", "search", "estimators", "spaces", "core"}},
    {"cli", {"cli", "experiments", "search", "estimators", "hw_models", "spaces", "core"}},
};

/// Third-party headers and the folders whose sources may include them. "cpp": not in headers.
struct ThirdParty {
  std::regex header;
  std::set<std::string> folders;
  bool cpp_only;
};

const std::vector<ThirdParty>& third_parties() {
  static const std::vector<ThirdParty> rules{
      {std::regex("yaml-cpp/.*"), {"core"}, true},
      {std::regex("Eigen/.*"), {"core", "search"}, true},
      {std::regex("boost/graph/.*"), {"spaces"}, true},
      {std::regex("boost/(math|multiprecision)/.*"), {"core"}, true},
      {std::regex("boost/random/.*"), {"search"}, true},
      {std::regex("(google/protobuf|onnx)/.*"), {"spaces"}, true},
      {std::regex("sqlite3.h"), {"experiments"}, true},
      {std::regex("(torch|ATen|c10)/.*"), {"estimators"}, true},
      {std::regex("zlib.h"), {"estimators"}, true},
      {std::regex("nlohmann/.*"), {"estimators", "experiments", "cli"}, false},
      {std::regex("CLI/.*"), {"cli"}, false},
      {std::regex("fmt/.*"), {"core", "spaces", "hw_models", "estimators", "search", "experiments", "cli"}, false},
  };
  return rules;
}

struct Include {
  std::string target;
  bool quoted;
};

std::vector<Include> includes_of(const std::string& text) {
  static const std::regex pattern(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  std::vector<Include> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_search(line, match, pattern)) found.push_back({match[2], match[1] == "\""});
  }
  return found;
}

/// What is wrong with one file, one sentence each.
std::vector<std::string> violations(const std::string& folder, const std::string& file, const std::string& text) {
  std::vector<std::string> found;
  const bool is_header = file.ends_with(".hpp");
  for (const Include& include : includes_of(text)) {
    const auto slash = include.target.find('/');
    if (include.quoted) {
      const std::string target = slash == std::string::npos ? "" : include.target.substr(0, slash);
      if (!folders.contains(target)) {
        found.push_back(file + " includes \"" + include.target + "\", which does not begin with a folder");
      } else if (!may_include.at(folder).contains(target)) {
        found.push_back(file + " (" + folder + ") must not include \"" + include.target + "\"");
      }
      continue;
    }
    bool known = slash == std::string::npos || include.target.starts_with("sys/");  // the standard library, POSIX
    for (const ThirdParty& rule : third_parties()) {
      if (!std::regex_match(include.target, rule.header)) continue;
      known = true;
      if (!rule.folders.contains(folder)) found.push_back(file + " (" + folder + ") must not include <" + include.target + ">");
      if (rule.cpp_only && is_header) found.push_back(file + " must include <" + include.target + "> in the .cpp only");
    }
    if (!known) found.push_back(file + " includes <" + include.target + ">, which no rule allows");
  }
  return found;
}

TEST(House, NoForbiddenInclude) {
  std::size_t files = 0;
  for (const auto& [folder, allowed] : may_include) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(testing::source_root() / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".hpp" && extension != ".cpp") continue;
      ++files;
      const std::string file = fs::relative(entry.path(), testing::source_root());
      for (const std::string& sentence : violations(folder, file, testing::read_file(entry.path()))) {
        ADD_FAILURE() << sentence;
      }
    }
  }
  EXPECT_GT(files, 30U) << "the sources were not found";
}

TEST(House, TheTestItselfNoticesViolations) {
  EXPECT_TRUE(violations("search", "search/a.cpp", "#include \"core/space.hpp\"\n#include <vector>\n").empty());
  EXPECT_EQ(violations("search", "search/a.cpp", "#include \"spaces/network.hpp\"\n").size(), 1U);
  EXPECT_EQ(violations("core", "core/a.cpp", "  #  include \"search/strategy.hpp\"\n").size(), 1U);
  EXPECT_EQ(violations("core", "core/a.hpp", "#include <yaml-cpp/yaml.h>\n").size(), 1U);
  EXPECT_EQ(violations("search", "search/a.cpp", "#include <torch/torch.h>\n").size(), 1U);
  EXPECT_EQ(violations("core", "core/a.cpp", "#include <openssl/sha.h>\n").size(), 1U);
  EXPECT_EQ(violations("core", "core/a.cpp", "#include \"space.hpp\"\n").size(), 1U);
}

TEST(House, EveryFolderHasItsPage) {
  for (const auto& [folder, allowed] : may_include) {
    EXPECT_TRUE(fs::exists(testing::source_root() / folder / "README.md")) << folder << " has no README.md";
  }
}

// What CMake links must agree with what the sources include: search stands on core alone.
TEST(House, SearchLinksNothingButCore) {
  const std::string text = testing::read_file(testing::source_root() / "search" / "CMakeLists.txt");
  std::set<std::string> targets;
  const std::regex target(R"(duet::(\w+))");
  for (std::sregex_iterator it(text.begin(), text.end(), target), end; it != end; ++it) targets.insert((*it)[1]);
  EXPECT_EQ(targets, std::set<std::string>{"core"});
}

// Libraries do not print or leave the process; only the command does.
TEST(House, LibrariesDoNotPrintOrExit) {
  const std::regex forbidden(R"(std::cout|std::cerr|\bprintf\s*\(|fmt::print|\b(std::)?exit\s*\(|\babort\s*\(|\brand\s*\()");
  for (const auto& [folder, allowed] : may_include) {
    if (folder == "cli") continue;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(testing::source_root() / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".hpp" && extension != ".cpp") continue;
      std::istringstream lines(testing::read_file(entry.path()));
      int number = 0;
      for (std::string line; std::getline(lines, line);) {
        ++number;
        const std::string code = line.substr(0, line.find("//"));
        EXPECT_FALSE(std::regex_search(code, forbidden)) << entry.path() << ":" << number << ": " << line;
      }
    }
  }
}

/// What authors of plug-ins get (cmake/public_headers.cmake) includes nothing that they do not get.
TEST(Includes, OfInstalledHeadersAreInstalled) {
  const fs::path root = testing::source_root();
  std::set<std::string> installed;
  std::ifstream list(root / "cmake" / "public_headers.cmake");
  for (std::string line; std::getline(list, line);) {
    std::smatch match;
    if (std::regex_match(line, match, std::regex("  ([a-z0-9_/]+\\.hpp)"))) installed.insert(match[1]);
  }
  EXPECT_TRUE(installed.contains("experiments/plugin.hpp"));
  for (const std::string& header : installed) {
    ASSERT_TRUE(fs::is_regular_file(root / header)) << header;
    std::ifstream source(root / header);
    for (std::string line; std::getline(source, line);) {
      std::smatch match;
      if (!std::regex_match(line, match, std::regex("#include \"(.+)\".*"))) continue;
      EXPECT_TRUE(installed.contains(match[1])) << header << " includes " << match[1] << ", which is not installed";
    }
  }
}

}  // namespace
}  // namespace duet
