#include <chrono>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

#include "core/errors.hpp"
#include "estimators/csv.hpp"
#include "tests/estimators/toy.hpp"

namespace duet {
namespace {

using testing::design;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::make_estimator;
using testing::read_space;
using testing::refusal;
using ::testing::StartsWith;
using testing::toy_space;

// --- CSV
// -------------------------------------------------------------------------------------------------------------

using Rows = std::vector<std::vector<std::string>>;

Rows read_csv(const std::string& text, char separator = ',') {
  CsvReader reader(text, "t.csv", separator);
  Rows rows{reader.columns()};
  while (reader.next()) {
    std::vector<std::string>& row = rows.emplace_back();
    for (std::size_t i = 0; i < reader.columns().size(); ++i) row.emplace_back(reader[i]);
  }
  return rows;
}

std::string csv_error(const std::string& text) {
  try {
    read_csv(text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(Csv, ReadsPlainRows) {
  const Rows expected{{"a", "b"}, {"1", "2"}, {"3", ""}};
  EXPECT_EQ(read_csv("a,b\n1,2\n3,\n"), expected);
  EXPECT_EQ(read_csv("a,b\n1,2\n3,"), expected) << "no line end at the end";
  EXPECT_EQ(read_csv("a,b\r\n1,2\r\n3,\r\n"), expected) << "CR LF";
  EXPECT_EQ(read_csv("\xEF\xBB\xBF"
                     "a,b\n1,2\n3,\n"),
            expected)
      << "byte order mark";
  EXPECT_EQ(read_csv("\na,b\n\n1,2\r\n\r\n3,\n\n"), expected) << "empty lines";
  EXPECT_EQ(read_csv(" a , b\n1 ,\t2\n3, \n"), expected) << "blanks";
  EXPECT_EQ(read_csv("a;b\n1;2\n3;\n", ';'), expected);
  EXPECT_EQ(read_csv("a\tb\n1\t2\n3\t\n", '\t'), expected);
}

TEST(Csv, ReadsQuotedFields) {
  EXPECT_EQ(read_csv("a,b\n\"1,2\",\"say \"\"hi\"\"\"\n"), (Rows{{"a", "b"}, {"1,2", "say \"hi\""}}));
  EXPECT_EQ(read_csv("a,b\n\"two\nlines\", \" x \" \n"), (Rows{{"a", "b"}, {"two\nlines", " x "}}));
  EXPECT_EQ(read_csv("a,b\n\"\",5\" disk\n"), (Rows{{"a", "b"}, {"", "5\" disk"}}));
}

TEST(Csv, ErrorsNameTheLine) {
  EXPECT_EQ(csv_error(""), "t.csv:1:1: the file is empty: expected a line with the columns' names");
  EXPECT_EQ(csv_error("\n\n"), "t.csv:1:1: the file is empty: expected a line with the columns' names");
  EXPECT_EQ(csv_error("a,b\n1,2\n\n3\n"), "t.csv:4:1: the row has 1 field where the header has 2");
  EXPECT_EQ(csv_error("a,b\n1,2,3\n"), "t.csv:2:5: the row has 3 fields where the header has 2");
  EXPECT_EQ(csv_error("a,b\n\"x\ny\",1\n1\n"), "t.csv:4:1: the row has 1 field where the header has 2");
  EXPECT_EQ(csv_error("a,b\n1,\"2\n3,4\n"), "t.csv:2:3: a quote is opened here and never closed");
  EXPECT_EQ(csv_error("a,b\n\"1\"2,3\n"),
            "t.csv:2:4: text behind a closing quote (a quote inside a quoted field is written twice)");
  EXPECT_EQ(csv_error(std::string("a,b\n1,\0\n", 8)), "t.csv:2:3: a zero byte: this is not a text file");
  EXPECT_EQ(csv_error("\x1f\x8b\x08"), "t.csv:1:1: the file is compressed; unpack it first");
}

// --- Table
// -----------------------------------------------------------------------------------------------------------

class TableTest : public ::testing::Test {
 protected:
  /// The estimator on a file of this text, with more options than the file's name.
  std::unique_ptr<Estimator> make(const std::string& csv, const std::string& options = usual) {
    testing::write_file(folder_ / "t.csv", csv);
    return make_estimator("table", "file: t.csv\n" + options, space_, folder_.path());
  }
  /// The error, with the temporary folder's name cut out.
  std::string error(const std::string& csv, const std::string& options = usual) {
    testing::write_file(folder_ / "t.csv", csv);
    std::string text = refusal("table", "file: t.csv\n" + options, space_, folder_.path());
    const std::string folder = folder_.path().string() + "/";
    for (std::size_t at; (at = text.find(folder)) != std::string::npos;) text.erase(at, folder.size());
    return text;
  }
  Evaluation ask(const Estimator& table, const std::string& values) {
    const Design one = design(space_, values);
    return estimate_checked(table, one);
  }

  static constexpr const char* usual =
      "key: '{p.a}-{p.n}'\n"
      "key_column: name\n"
      "metrics: {latency_s: {column: lat, unit: ms, direction: minimize}}\n";

  const DesignSpace space_ = toy_space();
  const testing::TemporaryDirectory folder_;
};

TEST_F(TableTest, LooksUp) {
  const auto table = make("name,lat\nx-1,2.5\nx-2,3\n");
  ASSERT_EQ(table->metrics().size(), 1U);
  EXPECT_EQ(table->metrics()[0].name, "latency_s");
  EXPECT_EQ(table->metrics()[0].unit, "s");
  EXPECT_EQ(table->metrics()[0].source, Source::table);
  EXPECT_FALSE(table->expensive());
  EXPECT_THAT(ask(*table, "{p: {a: x, n: 1}}").values, ElementsAre(0.0025));
  EXPECT_THAT(ask(*table, "{p: {a: x, n: 2}}").values, ElementsAre(0.003));
}

TEST_F(TableTest, AMissingDesignIsAFailure) {
  const auto table = make("name,lat\nx-1,2.5\n");
  const Evaluation missing = ask(*table, "{p: {a: y, n: 3}}");
  EXPECT_EQ(missing.status, Status::failed);
  EXPECT_EQ(missing.reason, "'y-3' is not in t.csv");
}

TEST_F(TableTest, AnEmptyCellIsAFailure) {
  const auto table = make("name,lat\nx-1,\nx-2,nan\nx-3,1\n");
  EXPECT_EQ(ask(*table, "{p: {a: x, n: 1}}").reason, "t.csv has no value of 'latency_s' for 'x-1'");
  EXPECT_EQ(ask(*table, "{p: {a: x, n: 2}}").reason, "t.csv has no value of 'latency_s' for 'x-2'");
  EXPECT_EQ(ask(*table, "{p: {a: x, n: 3}}").status, Status::ok);
}

TEST_F(TableTest, KeysMayHaveSeveralColumns) {
  const auto table = make("which,size,lat\nx,1,1\nx,2,2\ny,1,3\n",
                          "key: ['{p.a}', '{p.n}']\nkey_column: [which, size]\n"
                          "metrics: {lat: {unit: '1', direction: maximize}}\n");
  EXPECT_THAT(ask(*table, "{p: {a: y, n: 1}}").values, ElementsAre(3));
  EXPECT_THAT(ask(*table, "{p: {a: x, n: 2}}").values, ElementsAre(2));
  EXPECT_EQ(ask(*table, "{p: {a: y, n: 4}}").reason, "'y, 4' is not in t.csv");
  EXPECT_EQ(table->metrics()[0].direction, Direction::maximize);
}

TEST_F(TableTest, KeysOfSeveralColumnsDoNotRunTogether) {
  const auto table = make("p,q,v\nx1,2,1\nx,12,2\n",
                          "key: ['{p.a}{p.n}', '2']\nkey_column: [p, q]\n"
                          "metrics: {v: {unit: '1', direction: minimize}}\n");
  EXPECT_THAT(ask(*table, "{p: {a: x, n: 1}}").values, ElementsAre(1));
}

TEST_F(TableTest, BracesCanBeWrittenTwice) {
  const auto table = make("name,lat\n{x}1,4\n",
                          "key: '{{{p.a}}}{p.n}'\nkey_column: name\n"
                          "metrics: {m: {column: lat, unit: '1', direction: minimize, scale: 1e6}}\n");
  EXPECT_THAT(ask(*table, "{p: {a: x, n: 1}}").values, ElementsAre(4e6));
}

TEST_F(TableTest, EqualKeysForEqualRowsOnly) {
  const auto table = make("name,lat\nx,1\n",
                          "key: '{p.a}'\nkey_column: name\n"
                          "metrics: {lat: {unit: '1', direction: minimize}}\n");
  const Design a = design(space_, "{p: {a: x, n: 1}}"), b = design(space_, "{p: {a: x, n: 2}}"),
               c = design(space_, "{p: {a: y, n: 1}}");
  EXPECT_EQ(table->key(a), table->key(b));
  EXPECT_NE(table->key(a), table->key(c));
}

TEST_F(TableTest, ErrorsOfTheFileNameItsLine) {
  EXPECT_EQ(error("name,lat\nx-1,1\nx-1,2\n"), "t.csv:3:1: a second row for 'x-1'; the first is in line 2");
  EXPECT_EQ(error("name,lat\nx-1,1\nx-2,fast\n"), "t.csv:3:5: 'fast' in column 'lat' is not a number");
  EXPECT_EQ(error("name,lat\nx-1,inf\n"), "t.csv:2:5: 'inf' in column 'lat' is not a number");
  EXPECT_EQ(error("name,lat\nx-1,1e999\n"), "t.csv:2:5: '1e999' in column 'lat' is not a number");
  EXPECT_EQ(error("name,lat,other\nx-1,1,fast\n"), "") << "columns that are not used may hold anything";
  EXPECT_EQ(error("name,lat\nx-1\n"), "t.csv:2:1: the row has 1 field where the header has 2");
  EXPECT_EQ(error("name,latt\nx-1,1\n"), "t.csv:1:1: no column 'lat'; did you mean 'latt'?");
  EXPECT_EQ(error("names,lat\nx-1,1\n"), "t.csv:1:1: no column 'name'; did you mean 'names'?");
  EXPECT_EQ(error("name,lat,lat\nx-1,1,2\n"), "t.csv:1:1: more than one column is named 'lat'");
  EXPECT_EQ(error("name,lat\n"), "t.csv:1:1: the table has no rows");
  EXPECT_EQ(error(""), "t.csv:1:1: the file is empty: expected a line with the columns' names");
}

TEST_F(TableTest, ErrorsOfTheOptionsNameTheirPlace) {
  const std::string metrics = "key_column: name\nmetrics: {lat: {unit: '1', direction: minimize}}\n";
  const std::string csv = "name,lat\nx-1,1\n";
  EXPECT_EQ(error(csv, "key: '{p.b}'\n" + metrics),
            "exp.yaml:2:6: unknown name 'p.b' in the key '{p.b}'; did you mean 'p.a'?");
  EXPECT_THAT(error(csv, "key: '{p.a'\n" + metrics), EndsWith("'{' without '}' in the key '{p.a'"));
  EXPECT_THAT(error(csv, "key: 'p.a}'\n" + metrics), EndsWith("'}' without '{' in the key 'p.a}'"));
  EXPECT_THAT(error(csv, "key: always\n" + metrics),
              HasSubstr("the key 'always' is the same for every design"));
  EXPECT_EQ(error(csv, "key: ['{p.a}', '{p.n}']\n" + metrics),
            "exp.yaml:3:13: 1 key columns for 2 keys: there must be one for each");
  EXPECT_EQ(error(csv, "key: []\n" + metrics), "exp.yaml:2:6: the key needs at least one template");

  const std::string key = "key: '{p.a}'\nkey_column: name\nmetrics: ";
  EXPECT_THAT(error(csv, key + "{}\n"), HasSubstr("'metrics' must be a mapping from metrics to"));
  EXPECT_THAT(error(csv, key + "{lat: ms}\n"), HasSubstr("must be a mapping such as {unit: ms"));
  EXPECT_THAT(error(csv, key + "{lat: {direction: minimize}}\n"), HasSubstr("unit"));
  EXPECT_THAT(error(csv, key + "{lat: {unit: ms}}\n"), HasSubstr("direction"));
  EXPECT_THAT(error(csv, key + "{lat: {unit: parsec, direction: minimize}}\n"),
              EndsWith("'parsec' is not a unit; \"1\" stands for pure numbers"));
  EXPECT_THAT(error(csv, key + "{lat_ms: {column: lat, unit: ms, direction: minimize}}\n"),
              EndsWith("the values of 'lat_ms' will be kept in s: name it 'lat_s'"));
  EXPECT_THAT(error(csv, key + "{lat: {unit: ms, direction: minimise}}\n"),
              HasSubstr("did you mean 'minimize'?"));
  EXPECT_THAT(error(csv, key + "{lat: {unit: ms, direction: minimize, colum: x}}\n"),
              HasSubstr("did you mean 'column'?"));
  EXPECT_THAT(error(csv, key + "{lat: {unit: ms, direction: minimize, scale: 0}}\n"),
              HasSubstr("greater than 0"));
  EXPECT_THAT(error(csv, key + "{'my lat': {unit: ms, direction: minimize}}\n"),
              HasSubstr("'my lat' cannot be a metric's name"));
}

TEST_F(TableTest, AnUnreadableFileIsAnErrorAtTheOption) {
  EXPECT_THAT(
      refusal("table", std::string("file: none.csv\n") + usual, space_, folder_.path()),
      AllOf(StartsWith("exp.yaml:1:7: cannot read '"), EndsWith("none.csv': No such file or directory")));
  EXPECT_THAT(refusal("table", std::string("file: .\n") + usual, space_, folder_.path()),
              EndsWith("Is a directory"));
}

TEST_F(TableTest, AbsolutePathsAreTakenAsTheyAre) {
  testing::write_file(folder_ / "t.csv", "name,lat\nx-1,1\n");
  const auto table =
      make_estimator("table", "file: " + (folder_ / "t.csv").string() + "\n" + usual, space_, "/nowhere");
  EXPECT_EQ(ask(*table, "{p: {a: x, n: 1}}").status, Status::ok);
}

TEST_F(TableTest, NasBench201) {
  const auto path = testing::reference_data("nb201_accuracy.csv");
  if (!path) GTEST_SKIP() << "nb201_accuracy.csv: reference data not found";
  const DesignSpace space = read_space("network: {type: nas_bench_201}");
  const auto table = make_estimator("table",
                                    "file: " + path->string() +
                                        "\nkey: '{network.architecture}'\nkey_column: arch\n"
                                        "metrics:\n"
                                        "  c100: {column: c100_test_200, unit: '%', direction: maximize}\n"
                                        "  c10: {column: c10_test_200, unit: '1', direction: maximize}\n",
                                    space);
  double best = 0;
  const std::uint64_t cells = *space.space().cardinality().exact;
  ASSERT_EQ(cells, 15625U);
  std::vector<Design> designs;
  for (std::uint64_t rank = 0; rank < cells; ++rank)
    designs.push_back(space.design(space.space().unrank(rank)));
  const auto start = std::chrono::steady_clock::now();
  const std::vector<Evaluation> results = table->estimate(designs, {});
  const std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - start;
  for (const Evaluation& result : results) {
    ASSERT_EQ(result.status, Status::ok) << result.reason;
    best = std::max(best, result.values[0]);
  }
  EXPECT_NEAR(best, 0.735133, 1e-6);
  RecordProperty("microseconds_per_lookup", std::to_string(spent.count() / static_cast<double>(cells)));
  EXPECT_LT(spent.count() / static_cast<double>(cells), 200)
      << "generous, for sanitizers and shared machines";
}

/// Random damage to a good file gives a ConfigError or a table, never anything else.
TEST_F(TableTest, SurvivesDamagedFiles) {
  const std::string good =
      "\xEF\xBB\xBFname,lat,note\r\nx-1,2.5,\"a, \"\"b\"\"\"\r\nx-2,1e-3,\r\ny-4,nan,\"two\nlines\"\r\n";
  std::mt19937 random(1);
  const std::string alphabet = std::string("\",;\n\r\t {}0.9e-xn\xEF\xFF", 19) + '\0';
  int refused = 0, accepted = 0;
  for (int i = 0; i < 1'000; ++i) {
    std::string text = good;
    for (auto edits = 1 + random() % 4; edits > 0; --edits) {
      const std::size_t at = random() % (text.size() + 1);
      switch (random() % 4) {
        case 0:
          text.insert(at, 1, alphabet[random() % alphabet.size()]);
          break;
        case 1:
          text.erase(at, 1 + random() % 8);
          break;
        case 2:
          text.insert(at, text.substr(random() % (text.size() + 1), 12));
          break;
        default:
          if (at < text.size()) text[at] = alphabet[random() % alphabet.size()];
      }
    }
    testing::write_file(folder_ / "t.csv", text);
    try {
      const auto table =
          make_estimator("table", fmt::format("file: t.csv\n{}", usual), space_, folder_.path());
      const Evaluation result = ask(*table, "{p: {a: x, n: 1}}");
      EXPECT_TRUE(result.status == Status::ok ? result.values.size() == 1 : !result.reason.empty());
      ++accepted;
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr("t.csv:"));
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(accepted, 50);
}

}  // namespace
}  // namespace duet
