// Every file that the fuzzers have collected, once through its target: a regression shows here in seconds.

#include <algorithm>
#include <filesystem>
#include <vector>

#include <gtest/gtest.h>

#include "tests/fuzz/targets.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

void replay(const std::string& name, void (*target)(std::string_view)) {
  const std::filesystem::path folder = testing::source_root() / "tests" / "fuzz" / "corpus" / name;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  ASSERT_GT(files.size(), 10U) << folder;
  for (const std::filesystem::path& file : files) {
    const ::testing::ScopedTrace trace(__FILE__, __LINE__, file.string());
    ASSERT_NO_THROW(target(testing::read_file(file)));  // a broken promise aborts and is printed
  }
  target("");
}

TEST(FuzzCorpus, Command) { replay("command", fuzz::fuzz_command); }
TEST(FuzzCorpus, Config) { replay("config", fuzz::fuzz_config); }
TEST(FuzzCorpus, Csv) { replay("csv", fuzz::fuzz_csv); }
TEST(FuzzCorpus, Database) { replay("database", fuzz::fuzz_database); }
TEST(FuzzCorpus, Expression) { replay("expression", fuzz::fuzz_expression); }
TEST(FuzzCorpus, NetworkTemplate) { replay("network_template", fuzz::fuzz_network_template); }
TEST(FuzzCorpus, Onnx) { replay("onnx", fuzz::fuzz_onnx); }

}  // namespace
}  // namespace duet
