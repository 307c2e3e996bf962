#include "core/config.hpp"

#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "core/errors.hpp"
#include "core/expression.hpp"
#include "core/units.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Config parse(std::string text) {
  return Config::parse(std::move(text), "exp.yaml");
}

/// The message of the ConfigError that `action` throws.
std::string message(const std::function<void()>& action) {
  try {
    action();
  } catch (const ConfigError& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

std::string parse_message(const std::string& text) {
  return message([&] { parse(text); });
}

const char* const example = R"(# an experiment
seed: 7
space:
  network: {kernel: [3, 5], "quoted key": 'yes'}
  blocks:
    - depth: 2
    - depth: 3
search:
  options:
    population: 40
)";

TEST(Config, TreeKeepsOrderPathsAndPositions) {
  const Config root = parse(example);
  EXPECT_TRUE(root.is_map());
  EXPECT_EQ(root.path(), "");
  EXPECT_EQ(root.document(), "exp.yaml");
  EXPECT_EQ(root.document_text(), example);
  EXPECT_THAT(root.keys(), ElementsAre("seed", "space", "search"));
  EXPECT_EQ(root.position(), "exp.yaml:2:1");
  EXPECT_EQ(root.at("seed").position(), "exp.yaml:2:7");
  EXPECT_EQ(root.position_of_key("space"), "exp.yaml:3:1");

  const Config kernel = root.at("space").at("network").at("kernel");
  EXPECT_EQ(kernel.path(), "space.network.kernel");
  EXPECT_EQ(kernel.position(), "exp.yaml:4:21");
  EXPECT_EQ(kernel.at(std::size_t{1}).path(), "space.network.kernel[1]");
  EXPECT_EQ(kernel.at(std::size_t{1}).position(), "exp.yaml:4:25");
  EXPECT_EQ(kernel.size(), 2u);

  const Config depth = root.at("space").at("blocks").at(std::size_t{1}).at("depth");
  EXPECT_EQ(depth.path(), "space.blocks[1].depth");
  EXPECT_EQ(depth.position(), "exp.yaml:7:14");
  EXPECT_EQ(depth.integer(), 3);

  EXPECT_TRUE(root.has("seed"));
  EXPECT_FALSE(root.has("sead"));
  EXPECT_FALSE(root.find("sead").has_value());
}

TEST(Config, NodesKeepTheirDocumentAlive) {
  const auto seed = [] { return parse("a: {seed: 12}").at("a").at("seed"); }();
  EXPECT_EQ(seed.integer(), 12);
  EXPECT_EQ(seed.path(), "a.seed");
}

TEST(Config, ColumnsCountCharacters) {
  const Config root = parse("\xEF\xBB\xBF{\xC3\xA4\xC3\xB6\xE2\x82\xAC: \xF0\x9F\x98\x80, b: x}");
  EXPECT_EQ(root.at("\xC3\xA4\xC3\xB6\xE2\x82\xAC").position(), "exp.yaml:1:7");
  EXPECT_EQ(root.position_of_key("b"), "exp.yaml:1:10");
  EXPECT_EQ(root.at("b").position(), "exp.yaml:1:13");
}

TEST(Config, CarriageReturnsAndTabs) {
  const Config root = parse("a: 1\r\nb:\t2\r\nc:\r\n  d: x\r\n");
  EXPECT_EQ(root.at("a").integer(), 1);
  EXPECT_EQ(root.at("b").integer(), 2);
  EXPECT_EQ(root.at("c").at("d").text(), "x");
  EXPECT_EQ(root.at("c").at("d").position(), "exp.yaml:4:6");
  EXPECT_EQ(parse_message("a:\n\tb: 1\n"),
            "exp.yaml:2:1: not valid YAML: a tab in the indentation; indent with blanks");
}

TEST(Config, EmptyDocumentsAreNull) {
  for (const char* text : {"", "\n\n", "# only a comment\n", "---\n", "\xEF\xBB\xBF", "~", "null"}) {
    EXPECT_TRUE(parse(text).is_null()) << text;
    EXPECT_EQ(parse(text).canonical(), "null");
  }
}

TEST(Config, EmptyValuesPointAtTheirKey) {
  const Config root = parse("a:\nb: ~\nc: ''\n");
  EXPECT_TRUE(root.at("a").is_null());
  EXPECT_EQ(root.at("a").position(), "exp.yaml:1:1");
  EXPECT_TRUE(root.at("b").is_null());
  EXPECT_EQ(root.at("b").position(), "exp.yaml:2:4");
  EXPECT_TRUE(root.at("c").is_scalar());
  EXPECT_EQ(message([&] { root.at("a").integer(); }), "exp.yaml:1:1: 'a' must be a whole number, not empty");
}

TEST(Config, UnknownKeysHaveHints) {
  const Config search = parse("search:\n  strategy: x\n  populatoin: 4\n").at("search");
  EXPECT_EQ(message([&] {
              search.allow_only({"strategy", "population"});
            }),
            "exp.yaml:3:3: unknown key 'search.populatoin'; did you mean 'population'?");
  EXPECT_EQ(message([&] {
              search.allow_only({"strategy", "seed"});
            }),
            "exp.yaml:3:3: unknown key 'search.populatoin'; known: strategy, seed");
  EXPECT_NO_THROW(search.allow_only({"populatoin", "strategy"}));
  EXPECT_EQ(message([&] { search.at("strategy").allow_only({"a"}); }),
            "exp.yaml:2:13: 'search.strategy' must be a mapping, not 'x'");
}

TEST(Config, MissingKeysPointAtTheMapping) {
  const Config root = parse("\na:\n  b: 1\n");
  EXPECT_EQ(message([&] { root.at("space"); }), "exp.yaml:2:1: missing key 'space'");
  EXPECT_EQ(message([&] { root.at("a").at("c"); }), "exp.yaml:3:3: missing key 'a.c'");
  EXPECT_EQ(message([&] { root.position_of_key("x"); }), "exp.yaml:2:1: missing key 'x'");
}

TEST(Config, Integers) {
  const Config list = parse(
      "[0, -5, 1e6, 1_000, 1.5e3, 2.50e1, 0xff, 9223372036854775807, -9223372036854775808, +3, 10e-1, 0e99]");
  std::vector<std::int64_t> values;
  for (const Config& item : list.items()) values.push_back(item.integer());
  EXPECT_THAT(values, ElementsAre(0, -5, 1000000, 1000, 1500, 25, 255, INT64_MAX, INT64_MIN, 3, 1, 0));
  for (const char* text :
       {"1.5", "abc", "''", "1e-1", "1__0", "0x", "0xg", "1 2", "inf", "--1", "1e", "true"}) {
    EXPECT_EQ(message([&] { parse(fmt::format("seed:   {}", text)).at("seed").integer(); }),
              fmt::format("exp.yaml:1:9: 'seed' must be a whole number, not {}",
                          text[0] == '\'' ? "''" : fmt::format("'{}'", text)));
  }
  EXPECT_EQ(message([] { parse("n: 9223372036854775808").at("n").integer(); }),
            "exp.yaml:1:4: 'n' must be at most 9223372036854775807, not '9223372036854775808'");
  EXPECT_THAT(message([] { parse("n: 1e99999999999999999999").at("n").integer(); }),
              HasSubstr("must be at most"));
  EXPECT_THAT(message([] { parse("n: -1e30").at("n").integer(); }), HasSubstr("must be at least"));
  EXPECT_EQ(message([] { parse("budget: {trials: 0}").at("budget").at("trials").integer(1); }),
            "exp.yaml:1:18: 'budget.trials' must be at least 1, not 0");
  EXPECT_EQ(message([] { parse("n: 11").at("n").integer(1, 10); }),
            "exp.yaml:1:4: 'n' must be at most 10, not 11");
  EXPECT_EQ(message([] { parse("n: [1]").at("n").integer(); }),
            "exp.yaml:1:4: 'n' must be a whole number, not a list");
  EXPECT_EQ(message([] { parse("{}").integer(); }),
            "exp.yaml:1:1: the document must be a whole number, not a mapping");
}

TEST(Config, Numbers) {
  EXPECT_EQ(parse("0.1").number(), 0.1);
  EXPECT_EQ(parse("-1e-3").number(), -1e-3);
  EXPECT_EQ(parse("1_000.5").number(), 1000.5);
  for (const char* text : {"abc", "1,5", ".inf", ".nan", "nan", "0x10", "5%"}) {
    EXPECT_THAT(message([&] { parse(fmt::format("rate: {}", text)).at("rate").number(); }),
                HasSubstr("'rate' must be a number, not"));
  }
  EXPECT_THAT(message([] { parse("1e999").number(); }), HasSubstr("fits into a double"));
  EXPECT_EQ(message([] { parse("rate: 1.5").at("rate").number(0, 1); }),
            "exp.yaml:1:7: 'rate' must be at most 1, not 1.5");
}

TEST(Config, Quantities) {
  EXPECT_EQ(parse("512KiB").quantity("B"), 524288);
  EXPECT_EQ(parse("'1 GHz'").quantity("Hz"), 1e9);
  EXPECT_EQ(message([] { parse("accelerator:\n  sram:  512").at("accelerator").at("sram").quantity("B"); }),
            "exp.yaml:2:10: 'accelerator.sram' needs a unit, for example '512KiB'");
  EXPECT_THAT(message([] { parse("sram: 5ms").at("sram").quantity("B"); }),
              StartsWith("exp.yaml:1:7: 'sram': 'ms' is not a unit of memory"));
  EXPECT_EQ(message([] { parse("sram: 512B").at("sram").quantity("B", 1024); }),
            "exp.yaml:1:7: 'sram' must be at least 1 KiB, not '512B'");
  EXPECT_EQ(message([] { parse("sram: {}").at("sram").quantity("B"); }),
            "exp.yaml:1:7: 'sram' must be a quantity such as '512KiB', not a mapping");
}

TEST(Config, BooleansAndWords) {
  for (const char* text : {"true", "yes", "on", "True"}) EXPECT_TRUE(parse(text).boolean()) << text;
  for (const char* text : {"false", "no", "off", "OFF"}) EXPECT_FALSE(parse(text).boolean()) << text;
  EXPECT_EQ(message([] { parse("a: maybe").at("a").boolean(); }),
            "exp.yaml:1:4: 'a' must be true or false, not 'maybe'");
  const std::vector<std::string> words = {"minimize", "maximize"};
  EXPECT_EQ(parse("minimize").one_of(words), "minimize");
  EXPECT_EQ(message([&] { parse("a: minimise").at("a").one_of(words); }),
            "exp.yaml:1:4: 'a' cannot be 'minimise'; did you mean 'minimize'?");
  EXPECT_EQ(message([&] { parse("a: up").at("a").one_of(words); }),
            "exp.yaml:1:4: 'a' must be one of minimize, maximize, not 'up'");
}

TEST(Config, Sequences) {
  const Config root = parse("a: [x, y]\nb: z\n");
  EXPECT_EQ(root.at("a").items().at(1).text(), "y");
  EXPECT_EQ(root.at("b").items(true).at(0).text(), "z");
  EXPECT_EQ(message([&] { root.at("b").items(); }), "exp.yaml:2:4: 'b' must be a list, not 'z'");
  EXPECT_EQ(message([&] { root.at("a").at(std::size_t{2}); }),
            "exp.yaml:1:4: 'a' must have at least 3 elements, not 2");
}

TEST(Config, DuplicateKeysNameBothLines) {
  EXPECT_EQ(parse_message("a: 1\nb: 2\na: 3\n"),
            "exp.yaml:3:1: key 'a' occurs twice; it stands in line 1 already");
  EXPECT_EQ(parse_message("x: {a: 1, 'a': 3}\n"),
            "exp.yaml:1:11: key 'a' occurs twice; it stands in line 1 already");
}

TEST(Config, AliasesExpandWithPathsOfTheirOwn) {
  const Config root =
      parse("base: &b {depth: 3, list: [1, 2]}\nother: *b\nmany: [*b, &s word, *s]\nempty: [&e , *e]\n");
  EXPECT_EQ(root.at("other").at("list").at(std::size_t{1}).path(), "other.list[1]");
  EXPECT_EQ(root.at("other").at("depth").position(), "exp.yaml:1:18");
  EXPECT_EQ(root.at("many").at(std::size_t{0}).at("depth").path(), "many[0].depth");
  EXPECT_EQ(root.at("many").at(std::size_t{1}).position(), "exp.yaml:3:15");
  EXPECT_EQ(root.at("many").at(std::size_t{2}).text(), "word");
  EXPECT_TRUE(root.at("empty").at(std::size_t{1}).is_null());
  EXPECT_EQ(parse_message("a: &a [1, *a]\n"),
            "exp.yaml:1:11: not valid YAML: an alias may not stand inside what it names");
  EXPECT_THAT(parse_message("a: *nobody\n"), StartsWith("exp.yaml:1:4: not valid YAML: "));
}

TEST(Config, MergeKeys) {
  const Config root = parse(
      "base: &b {depth: 3, width: 4}\nmore: &m {width: 5, kernel: 7}\n"
      "one: {<<: *b, width: 6}\ntwo:\n  <<: [*b, *m]\n  x: 1\nthree: {'<<': plain}\n");
  EXPECT_EQ(root.at("one").canonical(), R"({"depth":3,"width":6})");
  EXPECT_EQ(root.at("two").canonical(), R"({"depth":3,"kernel":7,"width":4,"x":1})");
  EXPECT_EQ(root.at("two").at("kernel").path(), "two.kernel");
  EXPECT_EQ(root.at("three").at("<<").text(), "plain");
  EXPECT_EQ(parse_message("a: {<<: 5}\n"), "exp.yaml:1:5: '<<' merges mappings only");
}

TEST(Config, AliasBombsAreRefused) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    bomb += fmt::format(
        "a{0}: &a{0} [*a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}]\n", i, i - 1);
  }
  EXPECT_THAT(parse_message(bomb), HasSubstr("the document has more than 1000000 values (aliases expanded)"));
  // A few huge texts do as well.
  std::string texts = "a: &a " + std::string(1 << 20, 'x') + "\nb: [";
  for (int i = 0; i < 200; ++i) texts += "*a, ";
  EXPECT_THAT(parse_message(texts + "]\n"), HasSubstr("aliases expanded"));
}

TEST(Config, DepthIsBounded) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']');
  };
  EXPECT_NO_THROW(parse(nested(64)));
  EXPECT_EQ(parse_message(nested(65)), "exp.yaml:1:65: nested deeper than 64 levels");
  EXPECT_EQ(parse_message(std::string(100'000, '[')),
            "exp.yaml:1:1: this '[' is not closed, or is a key, which must be a text");
  EXPECT_THAT(parse_message("a:\n  " + std::string(100'000, '[')), StartsWith("exp.yaml:"));
  EXPECT_THAT(parse_message(std::string(100'000, '{')), StartsWith("exp.yaml:"));
  std::string through_aliases = "a0: &a0 " + nested(40) + "\n";
  EXPECT_THAT(parse_message(through_aliases + "b: " + std::string(30, '[') + "*a0" + std::string(30, ']')),
              HasSubstr("nested deeper than 64 levels"));
}

TEST(Config, WhatIsNotOneYamlDocumentIsRefused) {
  EXPECT_EQ(parse_message("a: 1\n---\nb: 2\n"),
            "exp.yaml:2:1: a second document begins here; a file must hold one");
  EXPECT_NO_THROW(parse("---\na: 1\n...\n"));
  EXPECT_THAT(parse_message("'a' 'b'\n"), StartsWith("exp.yaml:1:5: not valid YAML: "));
  EXPECT_EQ(parse_message("a: [1, 2\nb: 3\n"),
            "exp.yaml:2:2: not valid YAML: expected ',' or ']'; the '[' of line 1 is open");
  EXPECT_EQ(parse_message("a: b: c\n"),
            "exp.yaml:1:5: not valid YAML: unexpected ':'; wrong indentation, or a text with "
            "': ' in it that needs quotes");
  for (const char* last : {"b", "b\n", "b  # c\n", "'b'\n"}) {
    EXPECT_THAT(parse_message(std::string("a: 1\n") + last),
                StartsWith("exp.yaml:2:1: not valid YAML: expected "));
  }
  EXPECT_EQ(parse("a: 1\nb :\n").canonical(), R"({"a":1,"b":null})");
  EXPECT_EQ(parse("? a\n? 'b'\n").canonical(), R"({"a":null,"b":null})");
  EXPECT_EQ(parse("{a, b}").canonical(), R"({"a":null,"b":null})");
  EXPECT_EQ(parse_message("&k a:\n*k :\n"),
            "exp.yaml:2:1: key 'a' occurs twice; it stands in line 1 already");
  EXPECT_EQ(parse_message("a: 'open\n"), "exp.yaml:1:4: not valid YAML: this quote is not closed");
  EXPECT_EQ(parse_message("a: \"open\\\"\nb: 1\n"), "exp.yaml:1:4: not valid YAML: this quote is not closed");
  EXPECT_EQ(parse("a: 'it''s'\nb: \"\\\\\"\n").at("b").text(), "\\");
  EXPECT_THAT(parse_message("}"), StartsWith("exp.yaml:1:1: not valid YAML: "));
  EXPECT_EQ(parse_message("[1, 2]: 3\n"),
            "exp.yaml:1:1: this '[' is not closed, or is a key, which must be a text");
  EXPECT_THAT(parse_message("? {a: b}\n: 3\n"), HasSubstr("a key, which must be a text"));
  EXPECT_THAT(parse_message("~: 3\n"), HasSubstr("a key must be a text"));
  EXPECT_EQ(parse_message("a: !python/object x\n"),
            "exp.yaml:1:4: the tag '!python/object' is not supported");
  EXPECT_EQ(parse("a: !!str 5").at("a").quoted(), true);
  EXPECT_EQ(parse("a: !!int 5").at("a").integer(), 5);
}

TEST(Config, WordsOfTheParserBecomeSentences) {
  EXPECT_THAT(parse_message("a: {b: \"1"), HasSubstr("this quote is not closed"));
  EXPECT_THAT(parse_message("a: *"), HasSubstr("'*' begins an alias"));
  EXPECT_THAT(parse_message("a: &"), HasSubstr("'&' begins the name of a value"));
  EXPECT_THAT(parse_message("a: *b"), HasSubstr("this alias stands for nothing"));
  EXPECT_THAT(parse_message("a: >=3"), HasSubstr("a text after '|' or '>' begins on the next line"));
  EXPECT_EQ(parse_message("a: \"x\\0\""), "exp.yaml:1:4: a text may not hold the byte 0x00");
}

TEST(Config, MessagesQuoteNoBooks) {
  std::string word;
  for (int i = 0; i < 3000; ++i) word += "ä";
  const std::string message = ConfigError("exp.yaml:1:1: '" + word + "' is a word; '" + std::string(400, 'x') + "' another").what();
  EXPECT_LT(message.size(), 900U);
  EXPECT_THAT(message, HasSubstr("exp.yaml:1:1: 'ää"));
  EXPECT_THAT(message, HasSubstr("ä…ä"));
  EXPECT_THAT(message, ::testing::EndsWith("' another"));
  const std::string whole(400, 'y');
  EXPECT_EQ(ConfigError(whole).what(), whole);
  EXPECT_LT(std::string(ConfigError(std::string(100'000, '\x80')).what()).size(), 300U);  // no characters at all
}

TEST(Config, BinaryIsRefusedWithPosition) {
  EXPECT_EQ(parse_message(std::string("a: 1\nb\0: 2", 10)),
            "exp.yaml:2:2: not a text file: it contains the byte 0x00");
  EXPECT_EQ(parse_message("a: \x1b[31m"), "exp.yaml:1:4: not a text file: it contains the byte 0x1B");
  EXPECT_EQ(parse_message("\xFF\xFE"
                          "a"),
            "exp.yaml:1:1: not a text file in UTF-8: it begins like UTF-16");
  for (const char* bad : {"\x80", "\xC0\xAF", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80",
                          "\xF0\x8F\xBF\xBF", "\xC3(", "\xE2\x82"}) {
    EXPECT_EQ(parse_message(std::string("a: ") + bad), "exp.yaml:1:4: not a text file in UTF-8");
  }
}

TEST(Config, FilesThatCannotBeRead) {
  const testing::TemporaryDirectory directory;
  const auto load_message = [](const std::filesystem::path& file) {
    return message([&] { Config::load(file); });
  };
  EXPECT_EQ(message([] { Config::load("no_such_file.yaml"); }),
            "no_such_file.yaml: cannot read: No such file or directory");
  EXPECT_EQ(load_message(directory.path()), directory.path().string() + ": cannot read: Is a directory");
  const auto large = directory / "large.yaml";
  testing::write_file(large, "");
  std::filesystem::resize_file(large, (std::uintmax_t{64} << 20) + 1);
  EXPECT_EQ(load_message(large), large.string() + ": cannot read: larger than 64 MiB");
  const auto good = directory / "good.yaml";
  testing::write_file(good, "a: 5\n");
  EXPECT_EQ(Config::load(good).at("a").position(), good.string() + ":1:4");
}

TEST(Config, FailAtPointsIntoScalars) {
  const auto at = [](const std::string& text, std::size_t offset) {
    const std::string full = message([&] { parse(text).at("e").fail_at(offset, "here"); });
    return full.substr(0, full.rfind(':'));
  };
  EXPECT_EQ(at("e: a + b", 4), "exp.yaml:1:8");
  EXPECT_EQ(at("e: 'a + b'", 4), "exp.yaml:1:9");
  EXPECT_EQ(at("e: \"a + b\"", 0), "exp.yaml:1:5");
  EXPECT_EQ(at("e: &x !!str 'a + b'", 4), "exp.yaml:1:18");
  EXPECT_EQ(at("e: \"a \\t b\"", 1), "exp.yaml:1:6");
  EXPECT_EQ(at("e: \"a \\t b\"", 4), "exp.yaml:1:4");  // behind an escape: the scalar
  EXPECT_EQ(at("e: 'it''s'", 5), "exp.yaml:1:4");
  EXPECT_EQ(at("e: |\n  a + b\n", 4), "exp.yaml:1:4");
  EXPECT_EQ(at("e: >\n  a\n  + b\n", 3), "exp.yaml:1:4");
  EXPECT_EQ(at("e: a\n  + b\n", 0), "exp.yaml:1:4");
  EXPECT_EQ(at("e: a\n  + b\n", 3), "exp.yaml:1:4");
  EXPECT_EQ(at("e: abc", 1000), "exp.yaml:1:7");
  EXPECT_EQ(at("{\xC3\xA4: 1, e: \xC3\xA4 + b}", 3), "exp.yaml:1:13");
}

TEST(Config, FilesLieBesideTheDocument) {
  const testing::TemporaryDirectory folder;
  testing::write_file(folder / "inner.yaml", "x: 1\n");
  testing::write_file(folder / "outer.yaml", "there: inner.yaml\nmissing: other.yaml\n");
  const Config config = Config::load(folder / "outer.yaml");
  EXPECT_EQ(Config::load(config.at("there").file()).at("x").integer(), 1);
  try {
    config.at("missing").file();
    FAIL() << "a file that is not there";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("outer.yaml:2:10: there is no file '"));
  }
}

TEST(Config, MessagesAreOneShortLine) {
  const std::string long_word(100'000, 'x');
  EXPECT_LT(message([&] { parse("a: " + long_word).at("a").integer(); }).size(), 300u);
  EXPECT_LT(message([&] { parse(long_word.substr(0, 900) + ": 1").allow_only({"a"}); }).size(), 300u);
  EXPECT_EQ(message([] { parse("a: \"x\\ny\\e\"").at("a").integer(); }).find('\n'), std::string::npos);
}

TEST(Config, CanonicalForgetsLayoutAndOrder) {
  const Config one = parse("b: [1, 'x', yes]\na: {d: ~, c: \"q\\\"\"}  # comment\n");
  const Config two = parse("{\"a\": {c: 'q\"',\n d: null}, b: [1,\n  x, yes]}");
  EXPECT_EQ(one.canonical(), R"({"a":{"c":"q\"","d":null},"b":[1,"x",yes]})");
  EXPECT_EQ(one.canonical(), two.canonical());
  EXPECT_NE(parse("5").canonical(), parse("'5'").canonical());
  EXPECT_NE(parse("[a, b]").canonical(), parse("[b, a]").canonical());
  EXPECT_EQ(parse("''").canonical(), "\"\"");
  EXPECT_EQ(parse("[[], {}, [[1]]]").canonical(), "[[],{},[[1]]]");
}

TEST(Nearest, DistanceWithTranspositions) {
  const std::vector<std::string> words = {"population", "mutation", "seed", "Window"};
  EXPECT_EQ(nearest("populatoin", words), "population");
  EXPECT_EQ(nearest("sede", words), "seed");  // one transposition
  EXPECT_EQ(nearest("sd", words), std::nullopt);
  EXPECT_EQ(nearest("WINDOW", words), "Window");
  EXPECT_EQ(nearest("popul", words), std::nullopt);
  EXPECT_EQ(nearest("", words), std::nullopt);
  EXPECT_EQ(nearest(std::string(10'000, 'x'), words), std::nullopt);
  // Optimal string alignment: "ca" → "abc" is 3 (unrestricted Damerau-Levenshtein would say 2).
  EXPECT_EQ(nearest("cacaca", std::vector<std::string>{"abcabc"}), std::nullopt);
  EXPECT_EQ(hint("x", std::vector<std::string>(13, "yyy")), "");
  EXPECT_EQ(hint("x", {}), "");
}

// --- Nothing but ConfigError comes out, whatever goes in

/// Deterministic mutations of seed texts: bytes flipped, inserted, removed; pieces doubled and spliced.
class Mutator {
 public:
  explicit Mutator(std::vector<std::string> seeds) : seeds_(std::move(seeds)) {}

  std::string next() {
    std::string text = seeds_[pick(seeds_.size())];
    const std::size_t changes = 1 + pick(6);
    for (std::size_t i = 0; i < changes; ++i) change(text);
    return text.substr(0, 4096);
  }

 private:
  std::size_t pick(std::size_t count) { return static_cast<std::size_t>(random_() % count); }

  void change(std::string& text) {
    static const std::string tokens[] = {"[",
                                         "]",
                                         "{",
                                         "}",
                                         ": ",
                                         "- ",
                                         "\n",
                                         "\n  ",
                                         "&a ",
                                         "*a ",
                                         "<<: ",
                                         "? ",
                                         "!",
                                         "|\n",
                                         ">-\n",
                                         "'",
                                         "\"",
                                         "#",
                                         "---\n",
                                         "...\n",
                                         "%YAML 1.2\n",
                                         "\\",
                                         "\\u12",
                                         ", ",
                                         "\t",
                                         "\r",
                                         std::string(1, '\0'),
                                         "\xC3",
                                         "\xEF\xBB\xBF",
                                         "\xE2\x80\xA8",
                                         "1e999",
                                         "~",
                                         "(",
                                         ")",
                                         " and ",
                                         " or ",
                                         "not ",
                                         "^",
                                         "-",
                                         "*",
                                         "==",
                                         "<=",
                                         "sum(",
                                         "9"};
    const std::size_t at = pick(text.size() + 1);
    switch (pick(6)) {
      case 0:
        text.insert(at, tokens[pick(std::size(tokens))]);
        break;
      case 1:
        text.erase(at, 1 + pick(8));
        break;
      case 2:
        if (!text.empty()) text[std::min(at, text.size() - 1)] = static_cast<char>(pick(256));
        break;
      case 3:
        text.insert(at, text.substr(pick(text.size() + 1), pick(32)));
        break;
      case 4: {
        const std::string& other = seeds_[pick(seeds_.size())];
        text.insert(at, other.substr(pick(other.size() + 1), pick(64)));
        break;
      }
      default: {
        const std::string& token = tokens[pick(std::size(tokens))];
        const std::size_t count = pick(120);
        for (std::size_t i = 0; i < count; ++i) text.insert(std::min(at, text.size()), token);
      }
    }
  }

  std::vector<std::string> seeds_;
  std::mt19937_64 random_{20240601};
};

void read_everything(const Config& node, int& values) {
  ++values;
  static_cast<void>(node.position());
  const auto attempt = [](const auto& action) {
    try {
      action();
    } catch (const ConfigError& error) {
      ASSERT_THAT(error.what(), StartsWith("fuzz:"));
    }
  };
  attempt([&] { node.integer(0, 10); });
  attempt([&] { node.number(0, 10); });
  attempt([&] { node.quantity("B", 1); });
  attempt([&] { node.boolean(); });
  attempt([&] { node.fail_at(3, "x"); });
  if (node.is_map()) {
    for (const std::string& key : node.keys()) read_everything(node.at(key), values);
  } else if (node.is_sequence()) {
    for (const Config& item : node.items()) read_everything(item, values);
  }
}

TEST(Fuzz, ConfigThrowsNothingButConfigError) {
  Mutator mutator({example, "a: &x [1, 2]\nb: *x\nc: {<<: {k: v}, d: \"e\\x41\"}\n",
                   "- |\n  block\n  text\n- >-\n  folded\n- 'q''q'\n", "? complex\n: value\n? [a]\n: b\n",
                   "%TAG ! tag:example.com,2000:\n---\na: !!str x\n...\n",
                   "{a: [b, {c: d}], e: 512KiB, f: 1e6, g: yes}"});
  int accepted = 0, values = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = mutator.next();
    try {
      const Config root = Config::parse(text, "fuzz");
      ++accepted;
      read_everything(root, values);
      // The canonical text of a tree is stable, and is YAML.
      EXPECT_EQ(Config::parse(text, "again").canonical(), root.canonical());
    } catch (const ConfigError& error) {
      ASSERT_THAT(error.what(), StartsWith("fuzz:")) << text;
    }
  }
  EXPECT_GT(accepted, 2'000);
  EXPECT_LT(accepted, 18'000);
}

TEST(Fuzz, QuantitiesAndExpressionsThrowNothingButConfigError) {
  const std::vector<Symbol> symbols = {
      {"a", {}}, {"n.s1.depth", {}}, {"n.s2.depth", {}}, {"flow", {"WS", "OS", "3x3"}}};
  Mutator mutator({"a * 2 <= 512KiB and not n.s1.depth == 3", "sum(n.s*.depth) + min(a, 2, 3) ^ -2 % 5 > 1e3",
                   "if(active(a), a, 0) != 7 or flow == \"WS\"", "flow == OS and (a - 1) / 2 >= 1.5GB/s",
                   "12.5 MiB", "3e5ms"});
  int parsed = 0, quantities = 0;
  for (int i = 0; i < 30'000; ++i) {
    const std::string text = mutator.next();
    std::string problem;
    for (const char* unit : {"s", "B", "B/s", "1"})
      quantities += parse_quantity(text, unit, problem).has_value() ? 1 : 0;
    try {
      const Expression expression = Expression::parse(text, symbols);
      ++parsed;
      const auto read = [](std::size_t symbol) {
        return symbol == 1 ? std::nan("") : static_cast<double>(symbol);
      };
      const double violation = expression.violation(read);
      ASSERT_GE(violation, 0) << text;
      ASSERT_EQ(violation == 0, expression.holds(read).value_or(true)) << text;
      ASSERT_FALSE(expression.explain(read).empty());
    } catch (const ConfigError& error) {
      ASSERT_THAT(error.what(), StartsWith("expression:1:")) << text;
    }
  }
  EXPECT_GT(parsed, 500);
  EXPECT_GT(quantities, 50);
}

}  // namespace
}  // namespace duet
