// Architecture templates: those that come with duet, their files, values and mistakes.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.hpp"
#include "core/random.hpp"
#include "spaces/architecture_template.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

template <class Action>
std::string message(Action action) {
  try {
    action();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

Architecture read(const std::string& text) { return read_architecture(Config::parse(text, "chip.yaml")); }

TEST(ArchitectureTemplates, AreTheFilesOfTheFolder) {
  EXPECT_THAT(template_names(), ElementsAre("eyeriss", "gemmini", "nvdla", "shidiannao", "simba", "tpu"));
  for (const std::string& name : template_names()) {
    SCOPED_TRACE(name);
    const auto file = testing::source_root() / "spaces" / "templates" / (name + ".yaml");
    EXPECT_EQ(template_text(name), testing::read_file(file));
    const ArchitectureTemplate built_in = ArchitectureTemplate::load(name);
    EXPECT_EQ(built_in.name(), name);
    EXPECT_FALSE(built_in.summary().empty());
    EXPECT_FALSE(built_in.source().empty());
    EXPECT_EQ(built_in.instantiate().name, name);
    // By name and by file.
    EXPECT_EQ(read("template: " + name), built_in.instantiate());
    EXPECT_EQ(read("template: " + file.string()), built_in.instantiate());
  }
}

TEST(ArchitectureTemplates, EveryValueGivesAnArchitecture) {
  for (const std::string& name : template_names()) {
    SCOPED_TRACE(name);
    const ArchitectureTemplate from = ArchitectureTemplate::load(name);
    Random random(1, name);
    for (int i = 0; i < 60; ++i) {
      ParameterValues values;
      std::string text;
      for (const TemplateParameter& parameter : from.parameters()) {
        EXPECT_FALSE(parameter.sentence.empty());
        // The corners of what is permitted, and what a search chooses from.
        const double value = i < 8 ? (random.below(2) == 0 ? parameter.minimum : parameter.maximum)
                                   : parameter.search[random.below(parameter.search.size())];
        EXPECT_GE(value, parameter.minimum);
        EXPECT_LE(value, parameter.maximum);
        values[parameter.name] = value;
        text += fmt::format("{}={} ", parameter.name, value);
      }
      const Architecture a = from.instantiate(values);
      EXPECT_EQ(why_invalid(a), std::nullopt) << text;
      EXPECT_GT(a.compute.energy_j, 0);
      EXPECT_GT(a.total_area_mm2(), 0);
      for (const StorageLevel& level : a.levels) EXPECT_GT(level.energy.read_j, 0) << level.name;
    }
  }
}

TEST(ArchitectureTemplates, EyerissByHand) {
  const Architecture a = read("{template: eyeriss, name: mine, parameters: {pe_x: 16, buffer: 64KiB, word_bits: 8, clock: 100MHz}}");
  EXPECT_EQ(a.name, "mine");
  EXPECT_EQ(a.clock_hz, 100e6);
  ASSERT_EQ(a.levels.size(), 5U);
  EXPECT_EQ(a.levels[0].shared_bandwidth, 4.8) << "480 MB/s at 100 MHz in words of a byte";
  EXPECT_EQ(a.levels[1].capacity_bits, 64 * 1024 * 8);
  EXPECT_EQ(a.levels[3].mesh_x, 16);
  EXPECT_EQ(a.levels[3].mesh_y, 12);
  EXPECT_EQ(a.levels[3].word_bits[0], 8);
  EXPECT_EQ(a.compute.instances(), 192);
  EXPECT_EQ(a.fanout_x(1), 16);
}

TEST(ArchitectureTemplates, MistakesAreSaid) {
  const auto reading = [](const std::string& text) { return message([&] { read(text); }); };
  EXPECT_THAT(reading("template: eyerriss"), StartsWith("chip.yaml:1:11: there is no template 'eyerriss'; did you mean 'eyeriss'?"));
  EXPECT_THAT(reading("template: mine.yaml"), HasSubstr("there is no file 'mine.yaml'"));
  EXPECT_THAT(reading("template: eyeriss\nparameters: {pe_w: 3}"), HasSubstr("chip.yaml:2:14: "));
  EXPECT_THAT(reading("template: eyeriss\nparameters: {pe_w: 3}"), HasSubstr("did you mean 'pe_x'"));
  EXPECT_THAT(reading("template: eyeriss\nparameters: {pe_x: 0}"), StartsWith("chip.yaml:2:20: "));
  EXPECT_THAT(reading("template: eyeriss\nparameters: {pe_x: 2.5}"), HasSubstr("whole number"));
  EXPECT_THAT(reading("template: eyeriss\nparameters: {buffer: 64}"), HasSubstr("needs a unit, for example '512KiB'"));
  EXPECT_THAT(reading("template: eyeriss\nlevels: []"), HasSubstr("unknown key 'levels'"));
}

constexpr const char* mine = R"(name: mine
parameters:
  lanes: {default: 4, range: [1, 64], search: [2, 4], sentence: "Lanes."}
  memory: {default: 1KiB, range: [1B, 1MiB], unit: B, sentence: "Memory."}
derived:
  each: memory / lanes
architecture:
  levels:
  - {name: DRAM}
  - {name: local, instances: {x: lanes}, capacity: each, energy: {read: 1pJ}}
  compute: {instances: {x: 2 * lanes}}
)";

TEST(ArchitectureTemplates, OfOnesOwnCalculate) {
  const testing::TemporaryDirectory folder;
  testing::write_file(folder / "mine.yaml", mine);
  testing::write_file(folder / "chip.yaml", "template: mine.yaml\nparameters: {lanes: 8}\n");
  const Architecture a = load_architecture(folder / "chip.yaml");
  EXPECT_EQ(a.levels[1].capacity_bits, 128 * 8);
  EXPECT_EQ(a.compute.mesh_x, 16);

  const auto reading = [](const std::string& from, const std::string& to) {
    return message([&] { ArchitectureTemplate::read(Config::parse(testing::replaced(mine, from, to), "mine.yaml")); });
  };
  EXPECT_THAT(reading("x: lanes}, c", "x: lane}, c"), HasSubstr("did you mean 'lanes'"));
  EXPECT_THAT(reading("x: lanes}, c", "x: lane}, c"), StartsWith("mine.yaml:10:34: "));
  EXPECT_THAT(reading("2 * lanes", "lanes / 3"), HasSubstr("not a whole number"));
  EXPECT_THAT(reading("2 * lanes", "lanes - 4"), HasSubstr("not between 1"));
  EXPECT_THAT(reading("2 * lanes", "lanes + 1"), HasSubstr("cannot be shared out"));
  EXPECT_THAT(reading("default: 4", "default: 65"), StartsWith("mine.yaml:3:20: "));
  EXPECT_THAT(reading("search: [2, 4]", "search: [4, 2]"), HasSubstr("ascend"));
  EXPECT_THAT(reading("each: memory", "lanes: memory"), HasSubstr("is a parameter already"));
}

}  // namespace
}  // namespace duet
