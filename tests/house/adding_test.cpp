// docs/adding-*.md as a test: their excerpts are the files they name.

#include <filesystem>
#include <gtest/gtest.h>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/testing.hpp"

namespace duet {
namespace {

namespace fs = std::filesystem;

/// A fenced block that a line "`path/to/file`:" stands before.
struct Excerpt {
  std::string file;  ///< empty: no such line
  std::string text;
  std::size_t line = 0;
};

std::vector<Excerpt> excerpts_of(const std::string& page) {
  static const std::regex heading("^`([^`]+/[^`]+)`:$");
  std::vector<Excerpt> found;
  bool inside = false;
  std::string before;
  std::size_t number = 0;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.starts_with("```")) {
      inside = !inside;
      std::smatch match;
      if (inside) found.push_back({std::regex_match(before, match, heading) ? match[1].str() : "", "", number});
      before.clear();
    } else if (inside) {
      found.back().text += line + "\n";
    } else if (!line.empty()) {
      before = line;
    }
  }
  return found;
}

/// Whether the file has these lines, one after the other.
bool has(const std::string& file, const std::string& lines) { return ("\n" + file).find("\n" + lines) != std::string::npos; }

TEST(AddingPages, ShowTheFilesThatAreBuiltAndRun) {
  std::size_t pages = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(testing::source_root() / "docs")) {
    if (!entry.path().filename().string().starts_with("adding-")) continue;
    ++pages;
    const std::vector<Excerpt> excerpts = excerpts_of(testing::read_file(entry.path()));
    EXPECT_GT(excerpts.size(), 6U) << entry.path();
    for (const Excerpt& excerpt : excerpts) {
      SCOPED_TRACE(entry.path().filename().string() + ":" + std::to_string(excerpt.line));
      if (excerpt.file.empty()) {
        ADD_FAILURE() << "an excerpt of no file: nothing makes sure that it is right";
        continue;
      }
      ASSERT_TRUE(fs::exists(testing::source_root() / excerpt.file)) << excerpt.file;
      EXPECT_TRUE(has(testing::read_file(testing::source_root() / excerpt.file), excerpt.text))
          << excerpt.file << " does not have:\n" << excerpt.text;
    }
  }
  EXPECT_EQ(pages, 3U);
}

TEST(AddingPages, AreComparedLineByLine) {
  const std::vector<Excerpt> found =
      excerpts_of("text\n\n`a/b.cpp`:\n\n```cpp\n  one\n\ntwo\n```\n\n`b.cpp`:\n```\nx\n```\n```text\ny\n```\n");
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].file, "a/b.cpp");
  EXPECT_EQ(found[0].text, "  one\n\ntwo\n");
  EXPECT_EQ(found[0].line, 5U);
  EXPECT_EQ(found[1].file, "") << "not a path";
  EXPECT_EQ(found[2].file, "") << "nothing before it";
  EXPECT_TRUE(has("zero\n  one\n\ntwo\nthree\n", found[0].text));
  EXPECT_FALSE(has("zero\n one\n\ntwo\n", found[0].text));
  EXPECT_FALSE(has("zero  one\n\ntwo\n", found[0].text));
  EXPECT_FALSE(has("  one\n\ntwo", found[0].text));
}

}  // namespace
}  // namespace duet
