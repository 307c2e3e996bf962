// Architecture templates: those that come with duet, their files, values and mistakes.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.hpp"
#include "core/random.hpp"
#include "spaces/architecture_template.hpp"
#include "tests/spaces/read_space.hpp"
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

TEST(ArchitectureFile, OfATemplateIsNamedAsOne) {
  try {
    read("{name: mine, summary: s, parameters: {}, architecture: {}}");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "chip.yaml:1:1: this is a template; a file with 'template: chip.yaml' and values for its "
                               "parameters is an architecture");
  }
}

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

TEST(ArchitectureTemplates, PagesShowEveryParameter) {
  const std::string page = testing::read_file(testing::source_root() / "docs" / "hardware" / "templates.md");
  for (const std::string& name : template_names()) {
    const std::size_t begin = page.find("\n## " + name + "\n");
    ASSERT_NE(begin, std::string::npos) << name;
    const std::string section = page.substr(begin, page.find("\n## ", begin + 1) - begin);
    EXPECT_THAT(section, HasSubstr("### What " + name + " ignores"));
    EXPECT_THAT(section, HasSubstr("**Source:**"));
    const Config parameters = Config::parse(std::string(template_text(name)), name).at("parameters");
    std::size_t rows = 0;
    for (const std::string& key : parameters.keys()) {
      const Config parameter = parameters.at(key), range = parameter.at("range");
      std::string search;
      for (const Config& item : (parameter.has("search") ? parameter.at("search") : parameter.at("default")).items(true)) {
        search += (search.empty() ? "" : ", ") + item.text();
      }
      EXPECT_THAT(section, HasSubstr(fmt::format("| `{}` | {} | {} … {} | {} | {} |\n", key, parameter.at("default").text(),
                                                 range.at(std::size_t{0}).text(), range.at(std::size_t{1}).text(), search,
                                                 parameter.at("sentence").text())));
      ++rows;
    }
    std::size_t shown = 0;
    for (std::size_t at = 0; (at = section.find("\n| `", at)) != std::string::npos; ++at) ++shown;
    EXPECT_EQ(shown, rows) << name << ": a row of no parameter";
  }
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

TEST(TemplateSpace, SearchesTheTemplatesLists) {
  const DesignSpace space = testing::read_space("accelerator: {type: architecture_template, template: eyeriss}");
  EXPECT_EQ(space.space().cardinality().exact, 6U * 5 * 5 * 2 * 4 * 4 * 3 * 3);
  const Design design = space.design(space.space().unrank(0));
  const ArchitectureTemplate eyeriss = ArchitectureTemplate::load("eyeriss");
  ParameterValues first;
  for (const TemplateParameter& parameter : eyeriss.parameters()) first[parameter.name] = parameter.search.front();
  const Architecture expected = eyeriss.instantiate(first);
  EXPECT_EQ(std::get<Architecture>(design.accelerators().at(0)), expected);
  EXPECT_EQ(testing::quantity(space, design.candidate(), "accelerator.pe_count"), 64);
  EXPECT_EQ(testing::quantity(space, design.candidate(), "accelerator.storage_bytes"), 32 * 1024 + 64 * (24 + 128 + 16));
  EXPECT_EQ(testing::quantity(space, design.candidate(), "accelerator.chip_area"), expected.total_area_mm2());
}

TEST(TemplateSpace, TakesValuesListsAndRanges) {
  const DesignSpace space = testing::read_space(
      "accelerator: {type: architecture_template, template: gemmini, parameters: {dim: 16, scratchpad: [256KiB, 64KiB], "
      "accumulator: {range: [16KiB, 64KiB], log: true}, clock: {range: [0.5GHz, 1GHz]}, dram_bandwidth: 8GB/s}}");
  EXPECT_FALSE(space.space().cardinality().finite);
  Random random(1, "space");
  for (int i = 0; i < 20; ++i) {
    const Design design = space.design(space.space().sample(random));
    const Architecture a = std::get<Architecture>(design.accelerators().at(0));
    EXPECT_EQ(why_invalid(a), std::nullopt);
    EXPECT_EQ(a.compute.mesh_x, 16);
    EXPECT_GE(a.clock_hz, 5e8);
    EXPECT_LE(a.clock_hz, 1e9);
  }
  const auto refused = [](const std::string& options) {
    return testing::refusal("accelerator: {type: architecture_template, " + options + "}");
  };
  EXPECT_THAT(refused("parameters: {dim: 4}"), HasSubstr("template"));
  EXPECT_THAT(refused("template: gemini"), HasSubstr("did you mean 'gemmini'"));
  EXPECT_THAT(refused("template: gemmini, parameters: {dims: 4}"), HasSubstr("did you mean 'dim'"));
  EXPECT_THAT(refused("template: gemmini, parameters: {dim: [4, 512]}"), HasSubstr("space.yaml:1:"));
  EXPECT_THAT(refused("template: gemmini, parameters: {dim: [4, 4]}"), HasSubstr("twice"));
  EXPECT_THAT(refused("template: gemmini, parameters: {dim: {range: [8, 4]}}"), HasSubstr("above"));
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
