#include "experiments/plugin.hpp"

#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::TemporaryDirectory;
using testing::write_file;

const std::string odd = DUET_ODD_PLUGIN_FILE;

/// The registry with the plug-in that brings `what`.
Registry with_odd(const std::string& what) {
  setenv("DUET_ODD_PLUGIN", what.c_str(), 1);
  Registry registry = builtin_registry();
  load_plugin(odd, registry);
  return registry;
}

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

std::string odd_refusal(const std::string& what) {
  return refusal([&] { with_odd(what); });
}

std::string file_refusal(const std::filesystem::path& file) {
  return refusal([&] {
    Registry registry;
    load_plugin(file, registry);
  });
}

std::unique_ptr<Strategy> odd_strategy(const Registry& registry) {
  return registry.strategies.at("odd").create({}, Options::defaults(registry.strategies.at("odd").options, "odd"));
}

TEST(Plugin, AddsToWhatIsThere) {
  const Registry registry = with_odd("");
  EXPECT_NE(registry.strategies.find("odd"), nullptr);
  EXPECT_NE(registry.strategies.find("nsga2"), nullptr);
}

TEST(Plugin, IsRefusedWithASentenceIfItIsNone) {
  const TemporaryDirectory folder;
  EXPECT_THAT(file_refusal(folder / "none.so"), HasSubstr("there is no such file"));
  EXPECT_THAT(file_refusal(folder / std::string(5000, 'a')), HasSubstr("cannot be read: File name too long"));
  EXPECT_THAT(file_refusal(folder.path()), HasSubstr("is a folder"));
  for (const char* text : {"", "hello", "\x7f" "ELF"}) {
    write_file(folder / "text.so", text);
    EXPECT_THAT(file_refusal(folder / "text.so"), HasSubstr("is no shared object"));
  }
}

TEST(Plugin, IsRefusedIfItIsNotWhole) {
  const TemporaryDirectory folder;
  std::filesystem::copy_file(odd, folder / "part.so");
  const std::uintmax_t size = std::filesystem::file_size(odd);
  for (const std::uintmax_t left : {size - 1, size / 3, std::uintmax_t{4000}, std::uintmax_t{100}}) {
    std::filesystem::resize_file(folder / "part.so", left);
    EXPECT_THAT(file_refusal(folder / "part.so"), HasSubstr("is truncated")) << left;
  }
}

TEST(Plugin, ThatCannotBeUsedIsRefusedWithItsName) {
  const std::string begin = "plug-in " + odd + ": ";
  EXPECT_EQ(odd_refusal("throws"), begin + "its function failed: no licence");
  EXPECT_EQ(odd_refusal("throws a number"), begin + "its function failed: what it threw is no std::exception");
  EXPECT_THAT(odd_refusal("taken"), StartsWith(begin + "two plug-ins of kind 'strategy' are named 'nsga2'"));
  EXPECT_THAT(odd_refusal("bad name"), StartsWith(begin + "strategy 'a name' cannot be used: its name must be made of"));
  EXPECT_EQ(odd_refusal("no create"), begin + "strategy 'odd' cannot be used: it has no function 'create'");
  EXPECT_THAT(odd_refusal("bad default"), HasSubstr("the default of option 'members' of strategy odd is wrong"));
  EXPECT_THAT(odd_refusal("option twice"), HasSubstr("option 'members' of strategy odd is declared twice"));
}

TEST(Plugin, GivenTwiceIsNamedAsWhatItIs) {
  Registry registry = with_odd("");
  EXPECT_THAT(refusal([&] { load_plugin(odd, registry); }), HasSubstr("was this plug-in given twice?"));
}

TEST(Plugin, IsBlamedForWhatItThrows) {
  const std::string begin = "plug-in " + odd + ": strategy 'odd' ";
  EXPECT_EQ(refusal([] { odd_strategy(with_odd("creates nothing")); }),
            begin + "cannot be created: create returns nothing");
  EXPECT_EQ(refusal([] { odd_strategy(with_odd("creation throws")); }),
            begin + "cannot be created: odd declares no option 'undeclared'");
  const std::unique_ptr<Strategy> strategy = odd_strategy(with_odd(""));
  EXPECT_EQ(refusal([&] { strategy->ask(1, 1, {}); }), begin + "failed in ask(): no licence");
  EXPECT_EQ(refusal([&] { strategy->tell({}); }), begin + "failed in tell(): what it threw is no std::exception");
  const Registry registry = with_odd("space");
  EXPECT_EQ(refusal([&] { DesignSpace::read(Config::parse("p: {type: odd_space}", "e.yaml"), registry.spaces); }),
            "e.yaml:1:4: plug-in " + odd + ": space 'odd_space' cannot be created: at()");
}

}  // namespace
}  // namespace duet
