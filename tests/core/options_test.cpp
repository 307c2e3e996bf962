#include "core/options.hpp"

#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/errors.hpp"

namespace duet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = Option::Kind;

const std::vector<Option>& table() {
  static const std::vector<Option> rows = {
      {.name = "population",
       .kind = Kind::integer,
       .fallback = "40",
       .sentence = "Size.",
       .minimum = 2,
       .maximum = 1000},
      {.name = "mutation_rate",
       .kind = Kind::number,
       .fallback = "0.1",
       .sentence = "Rate.",
       .minimum = 0,
       .maximum = 1},
      {.name = "elitist", .kind = Kind::boolean, .fallback = "yes", .sentence = "Keeps the best."},
      {.name = "sram",
       .kind = Kind::quantity,
       .fallback = "512KiB",
       .sentence = "Buffer.",
       .unit = "B",
       .minimum = 1024},
      {.name = "label", .kind = Kind::text, .fallback = "", .sentence = "Name."},
      {.name = "order",
       .kind = Kind::word,
       .fallback = "first",
       .sentence = "Order.",
       .words = {"first", "last"}},
      {.name = "files", .kind = Kind::list, .fallback = "", .sentence = "Files."},
      {.name = "sizes", .kind = Kind::integers, .fallback = "[1, 2]", .sentence = "Sizes.", .minimum = 1},
      {.name = "clocks", .kind = Kind::quantities, .fallback = "1GHz", .sentence = "Clocks.", .unit = "Hz"},
      {.name = "modes", .kind = Kind::words, .fallback = "[a]", .sentence = "Modes.", .words = {"a", "b"}},
      {.name = "inner", .kind = Kind::config, .fallback = "", .sentence = "Inner part."},
  };
  return rows;
}

Options read(const std::string& text) {
  const std::vector<std::string> reserved = {"type"};
  return Options::read(Config::parse(text, "exp.yaml"), table(), "strategy nsga2", reserved);
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const ConfigError& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(Options, Defaults) {
  const Options options = Options::defaults(table(), "strategy nsga2");
  EXPECT_EQ(options.integer("population"), 40);
  EXPECT_EQ(options.number("mutation_rate"), 0.1);
  EXPECT_TRUE(options.boolean("elitist"));
  EXPECT_EQ(options.number("sram"), 524288);
  EXPECT_EQ(options.text("label"), "");
  EXPECT_EQ(options.text("order"), "first");
  EXPECT_THAT(options.list("files"), IsEmpty());
  EXPECT_THAT(options.integers("sizes"), ElementsAre(1, 2));
  EXPECT_THAT(options.quantities("clocks"), ElementsAre(1e9));
  EXPECT_THAT(options.list("modes"), ElementsAre("a"));
  EXPECT_FALSE(options.config("inner").has_value());
  EXPECT_FALSE(options.given("population"));
  // A mapping that is there but empty says the same.
  EXPECT_EQ(read("").fingerprint(), options.fingerprint());
  EXPECT_EQ(read("{}").fingerprint(), options.fingerprint());
}

TEST(Options, GivenValues) {
  const Options options = read(
      "{type: nsga2, population: 1e2, mutation_rate: 0.5, elitist: no, sram: 2 MiB, label: x y, order: last,"
      " files: a.onnx, sizes: 3, clocks: [1MHz, 2MHz], modes: [b, a], inner: {deep: 5}}");
  EXPECT_EQ(options.integer("population"), 100);
  EXPECT_EQ(options.number("mutation_rate"), 0.5);
  EXPECT_FALSE(options.boolean("elitist"));
  EXPECT_EQ(options.number("sram"), 2097152);
  EXPECT_EQ(options.text("label"), "x y");
  EXPECT_EQ(options.text("order"), "last");
  EXPECT_THAT(options.list("files"), ElementsAre("a.onnx"));
  EXPECT_THAT(options.integers("sizes"), ElementsAre(3));
  EXPECT_THAT(options.quantities("sizes"), ElementsAre(3.0));
  EXPECT_THAT(options.quantities("clocks"), ElementsAre(1e6, 2e6));
  EXPECT_THAT(options.list("modes"), ElementsAre("b", "a"));
  EXPECT_EQ(options.config("inner")->at("deep").integer(), 5);
  EXPECT_TRUE(options.given("population"));
}

TEST(Options, MistakesPointAtTheValue) {
  EXPECT_EQ(message_of([] { read("type: nsga2\npopulatoin: 4\n"); }),
            "exp.yaml:2:1: unknown key 'populatoin' of strategy nsga2; did you mean 'population'?");
  EXPECT_EQ(message_of([] { read("population: abc\n"); }),
            "exp.yaml:1:13: 'population' must be a whole number, not 'abc'");
  EXPECT_EQ(message_of([] { read("population: 1\n"); }),
            "exp.yaml:1:13: 'population' must be at least 2, not 1");
  EXPECT_EQ(message_of([] { read("mutation_rate: 2\n"); }),
            "exp.yaml:1:16: 'mutation_rate' must be at most 1, not 2");
  EXPECT_EQ(message_of([] { read("sram: 5\n"); }), "exp.yaml:1:7: 'sram' needs a unit, for example '512KiB'");
  EXPECT_EQ(message_of([] { read("sram: 5B\n"); }), "exp.yaml:1:7: 'sram' must be at least 1 KiB, not '5B'");
  EXPECT_EQ(message_of([] { read("order: frist\n"); }),
            "exp.yaml:1:8: 'order' cannot be 'frist'; did you mean 'first'?");
  EXPECT_EQ(message_of([] { read("sizes: [1, 0]\n"); }), "exp.yaml:1:12: 'sizes[1]' must be at least 1, not 0");
  EXPECT_THAT(message_of([] { read("sizes: [9007199254740993]\n"); }),
              HasSubstr("must be at most 9007199254740992"));
  EXPECT_EQ(message_of([] { read("files:\n"); }), "exp.yaml:1:1: 'files' must be a list, not empty");
  EXPECT_EQ(message_of([] { read("label:\n"); }), "exp.yaml:1:1: 'label' must be a text, not empty");
  EXPECT_EQ(message_of([] { read("[1]"); }), "exp.yaml:1:1: the document must be a mapping, not a list");
}

TEST(Options, RequiredOptions) {
  const std::vector<Option> required = {{.name = "file", .kind = Kind::text, .sentence = "File."}};
  const Config root = Config::parse("search:\n  other: {}\n", "exp.yaml");
  EXPECT_EQ(message_of([&] { Options::read(root.at("search").at("other"), required, "estimator tabular"); }),
            "exp.yaml:2:10: missing key 'search.other.file' of estimator tabular");
  EXPECT_EQ(message_of([&] { Options::defaults(required, "estimator tabular"); }),
            "missing key 'file' of estimator tabular");
}

TEST(Options, FailPointsAtValueOrOwner) {
  const Options options = read("type: nsga2\npopulation:   41\n");
  EXPECT_EQ(message_of([&] { options.fail("population", "must be even"); }), "exp.yaml:2:15: must be even");
  EXPECT_EQ(message_of([&] { options.fail("sram", "too small"); }), "exp.yaml:1:1: too small");
  const Options defaults = Options::defaults(table(), "strategy nsga2");
  EXPECT_EQ(message_of([&] { defaults.fail("sram", "too small"); }), "strategy nsga2: too small");
}

TEST(Options, FingerprintCoversNamesAndValues) {
  const Fingerprint base = read("").fingerprint();
  EXPECT_EQ(read("{population: 4e1, sram: 0.5MiB, clocks: 1000MHz}").fingerprint(), base);  // other spellings
  for (const char* text : {"population: 41", "mutation_rate: 0.2", "elitist: no", "sram: 1MiB", "label: x",
                           "order: last", "files: [x]", "files: ['']", "sizes: [2, 1]", "sizes: 1",
                           "clocks: 2GHz", "modes: b", "inner: {}", "inner: ~"}) {
    EXPECT_NE(read(text).fingerprint(), base) << text;
  }
  EXPECT_EQ(read("inner: {a: 1, b: 2}").fingerprint(), read("inner: {b: 2,   a: 1}").fingerprint());
  const std::vector<Option> one = {{.name = "a", .fallback = "1", .sentence = ""}};
  const std::vector<Option> two = {{.name = "b", .fallback = "1", .sentence = ""}};
  EXPECT_NE(Options::defaults(one, "x").fingerprint(), Options::defaults(two, "x").fingerprint());
}

TEST(Options, SummaryIsInTableOrder) {
  EXPECT_EQ(
      read("{label: \"a b\", files: [x, \"y,z\"]}").summary(),
      "population: 40, mutation_rate: 0.1, elitist: true, sram: 524288 B, label: \"a b\", order: first, "
      "files: [x, \"y,z\"], sizes: [1, 2], clocks: [1e+09 Hz], modes: [a]");
}

TEST(Options, OurOwnMistakes) {
  const std::vector<Option> bad_type = {{.name = "n", .fallback = "abc", .sentence = ""}};
  const std::vector<Option> bad_bound = {{.name = "n", .fallback = "0", .sentence = "", .minimum = 1}};
  const std::vector<Option> twice = {{.name = "n", .fallback = "0", .sentence = ""},
                                     {.name = "n", .fallback = "0", .sentence = ""}};
  EXPECT_THROW(Options::defaults(bad_type, "x"), std::logic_error);
  EXPECT_THROW(Options::defaults(bad_bound, "x"), std::logic_error);
  EXPECT_THROW(Options::defaults(twice, "x"), std::logic_error);
  const Options options = read("");
  EXPECT_THROW(options.integer("no_such"), std::logic_error);
  EXPECT_THROW(options.integer("label"), std::logic_error);
}

TEST(Options, DescribeIsAligned) {
  const std::vector<Option> rows = {
      {.name = "population", .kind = Kind::integer, .fallback = "40", .sentence = "Size.", .minimum = 2},
      {.name = "sram",
       .kind = Kind::quantity,
       .sentence = "Buffer.",
       .unit = "B",
       .minimum = 1024,
       .maximum = 1048576},
      {.name = "order",
       .kind = Kind::word,
       .fallback = "first",
       .sentence = "Order.",
       .words = {"first", "last"}},
  };
  EXPECT_EQ(describe(rows),
            "population  integer, at least 2            default 40     Size.\n"
            "sram        quantity in B, 1 KiB to 1 MiB  required       Buffer.\n"
            "order       first | last                   default first  Order.\n");
}

TEST(Options, DescribeKeepsALongListFromWideningTheTable) {
  const std::vector<Option> rows = {
      {.name = "size", .fallback = "4", .sentence = "Size."},
      {.name = "problem",
       .kind = Kind::word,
       .fallback = "second_of_the_words",
       .sentence = "Problem.",
       .words = {"first_of_the_words", "second_of_the_words", "third_of_the_words"}},
  };
  EXPECT_EQ(describe(rows),
            "size     integer  default 4                    Size.\n"
            "problem  first_of_the_words | second_of_the_words | third_of_the_words\n"
            "                  default second_of_the_words  Problem.\n");
}

}  // namespace
}  // namespace duet
