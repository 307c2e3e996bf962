// Tables in their database, and the estimator `table` on them.

#include "experiments/table_file.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <thread>

#include "core/errors.hpp"
#include "estimators/csv.hpp"
#include "experiments/specification.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class TableFileTest : public ::testing::Test {
 protected:
  static ImportedTable table_of(const std::string& text, std::vector<std::vector<std::string>> groups = {},
                                std::vector<ColumnRule> overrides = {}) {
    TableFormat format = table_format("csv");
    format.keys = {{"k"}};
    format.groups = std::move(groups);
    format.overrides = std::move(overrides);
    TableImport import(format);
    import.add(text, "t.csv");
    return import.finish();
  }
  TableWriting write(const std::string& name, const std::string& text, bool replace = false) const {
    return write_table(file_, name, table_of(text), replace);
  }
  /// What a StoreError or ConfigError says, the folder's name cut out.
  template <class Action>
  std::string error(const Action& action) const {
    std::string text;
    try {
      action();
    } catch (const std::runtime_error& thrown) {
      text = thrown.what();
    }
    const std::string folder = folder_.path().string() + "/";
    for (std::size_t at; (at = text.find(folder)) != std::string::npos;) text.erase(at, folder.size());
    return text;
  }
  void sql(const std::string& statements) const {
    sqlite3* handle = nullptr;
    ASSERT_EQ(sqlite3_open(file_.c_str(), &handle), SQLITE_OK);
    char* message = nullptr;
    EXPECT_EQ(sqlite3_exec(handle, statements.c_str(), nullptr, nullptr, &message), SQLITE_OK) << message;
    sqlite3_close(handle);
  }

  /// The estimator on `file_`, for the space {p.a: x or y, p.n: 1 ... 4, p.m only if a is y}.
  std::unique_ptr<Estimator> estimator(const std::string& options) {
    const EstimatorPlugin& plugin = registry_.estimators.at("table");
    const Environment environment{1, folder_.path(), &space_,
                                  [](const std::filesystem::path& path, const std::string& name) {
                                    return std::make_unique<TableFile>(path, name);
                                  }};
    return plugin.create(Options::read(Config::parse("file: t.db\n" + options, "exp.yaml"), plugin.options, "estimator table"),
                         environment);
  }
  Evaluation ask(const Estimator& table, const std::string& values) {
    const Design design = space_.design(space_.space().read_candidate(Config::parse(values, "design.yaml")));
    return estimate_checked(table, design);
  }
  std::string refused(const std::string& options) {
    return error([&] { estimator(options); });
  }

  const testing::TemporaryDirectory folder_;
  const std::filesystem::path file_ = folder_ / "t.db";
  const Registry registry_ = builtin_registry();
  const DesignSpace space_ = DesignSpace::read(
      Config::parse("p: {type: parameters, parameters: {a: {choice: {x: {}, y: {m: {integer: [1, 9]}}}}, n: {integer: [1, 4]}}}",
                    "space.yaml"),
      registry_.spaces);
};

// --- The file

TEST_F(TableFileTest, KeepsEveryCellAndWhatIsKnownOfIt) {
  ImportedTable table = table_of("k,lat_ms,note,v\n01,2.5,\"a \"\"b\"\"\",0.1\n2,,,-1e-300\n", {},
                                 {{.pattern = "lat_ms", .unit = "ms", .direction = Direction::minimize, .description = "A note."},
                                  {.pattern = "note", .text = true}});
  ASSERT_EQ(write_table(file_, "t", table), TableWriting::created);
  const TableFile read(file_, "");
  EXPECT_EQ(read.name(), "t");
  EXPECT_EQ(read.format(), "csv");
  EXPECT_THAT(read.files(), ElementsAre("t.csv"));
  EXPECT_THAT(read.keys(), ElementsAre(ElementsAre("k")));
  ASSERT_EQ(read.columns().size(), 4U);
  EXPECT_EQ(read.columns()[1].name, "lat_s");
  EXPECT_EQ(read.columns()[1].original, "lat_ms");
  EXPECT_EQ(read.columns()[1].unit, "s");
  EXPECT_EQ(read.columns()[1].direction, Direction::minimize);
  EXPECT_EQ(read.columns()[1].description, "A note.");
  EXPECT_FALSE(read.columns()[2].number);
  EXPECT_EQ(read.columns()[3].unit, std::nullopt);
  EXPECT_EQ(read.columns()[3].direction, std::nullopt);
  std::vector<std::string> rows;
  const std::vector<std::size_t> texts{0, 2}, numbers{3, 1};
  read.read(texts, numbers, [&](std::span<const std::string> text, std::span<const double> number) {
    rows.push_back(fmt::format("{}|{}|{}|{}", text[0], text[1], number[0], number[1]));
  });
  EXPECT_THAT(rows, ElementsAre("01|a \"b\"|0.1|0.0025", "2||-1e-300|nan"));
  read.check();
}

TEST_F(TableFileTest, ImportingAgainChangesNothing) {
  EXPECT_EQ(write("t", "k,v\na,1\n"), TableWriting::created);
  const std::string before = testing::read_file(file_);
  EXPECT_EQ(write("t", "k,v\na,1\n"), TableWriting::unchanged);
  EXPECT_EQ(write("T", "k,v\na,1\n"), TableWriting::unchanged) << "SQL does not tell case apart";
  EXPECT_EQ(testing::read_file(file_), before);
  EXPECT_EQ(error([&] { write("t", "k,v\na,2\n"); }),
            "t.db has another table 't' already (1 rows, of t.csv); --replace puts the new one in its place, --table "
            "NAME gives it another name");
  EXPECT_EQ(testing::read_file(file_), before);
  EXPECT_EQ(write("t", "k,w,v\na,0,2\nb,0,3\n", true), TableWriting::replaced);
  EXPECT_EQ(TableFile(file_, "t").rows(), 2U);
  EXPECT_EQ(TableFile(file_, "t").columns().size(), 3U);
  EXPECT_EQ(write("other", "k,v\na,1\n"), TableWriting::created);
  EXPECT_THAT(TableFile::names(file_), ElementsAre("other", "t"));
}

TEST_F(TableFileTest, TheSameFilesGiveTheSameBytes) {
  write("t", "k,v\na,1\nb,2\n");
  write_table(folder_ / "u.db", "t", table_of("k,v\na,1\nb,2\n"));
  EXPECT_EQ(testing::read_file(file_), testing::read_file(folder_ / "u.db"));
}

TEST_F(TableFileTest, WhatIsNotAFileOfTablesIsRefused) {
  EXPECT_EQ(error([&] { TableFile(file_, ""); }), "t.db cannot be opened: No such file or directory");
  EXPECT_EQ(error([&] { TableFile(folder_.path(), ""); }).find("cannot be opened: Is a directory") == std::string::npos, false);
  testing::write_file(file_, "");
  EXPECT_EQ(error([&] { TableFile(file_, ""); }), "t.db is empty; 'duet import' puts tables into it");
  testing::write_file(file_, "k,v\na,1\n and more, so that it is longer than SQLite's header\n");
  EXPECT_EQ(error([&] { TableFile(file_, ""); }), "t.db is not a database; choose another file");
  EXPECT_EQ(error([&] { write("t", "k,v\na,1\n"); }), "t.db is not a database; choose another file");
  EXPECT_THAT(testing::read_file(file_), StartsWith("k,v")) << "it is left alone";
  std::filesystem::remove(file_);
  sql("CREATE TABLE mine (x)");
  EXPECT_EQ(error([&] { TableFile(file_, ""); }),
            "t.db is another program's database, not one of tables that duet imported");
  EXPECT_EQ(error([&] { write("t", "k,v\na,1\n"); }),
            "t.db is another program's database, not one of tables that duet imported");
  std::filesystem::remove(file_);
  { const Store store(file_, Store::Mode::write); }
  EXPECT_EQ(error([&] { TableFile(file_, ""); }),
            "t.db is a database of results, not of tables; 'duet import' writes to a file of its own");
  EXPECT_EQ(error([&] { write("t", "k,v\na,1\n"); }),
            "t.db is a database of results, not of tables; 'duet import' writes to a file of its own");
  std::filesystem::remove(file_);
  write("t", "k,v\na,1\n");
  EXPECT_NE(error([&] { Store(file_, Store::Mode::write); }), "") << "and the other way round";
  sql("PRAGMA user_version = 99");
  EXPECT_EQ(error([&] { TableFile(file_, ""); }), "t.db was written by a newer duet (schema 99, this one knows 1); update duet");
  EXPECT_EQ(error([&] { write("t", "k,v\na,1\n"); }), "t.db was written by a newer duet (schema 99, this one knows 1); update duet");
}

TEST_F(TableFileTest, NamesAreChecked) {
  EXPECT_EQ(error([&] { write("tables", "k,v\na,1\n"); }),
            "a table cannot be named 'tables': the file uses that name itself; --table NAME gives it another name");
  EXPECT_THAT(error([&] { write("my table", "k,v\na,1\n"); }), StartsWith("a table cannot be named 'my table': letters"));
  EXPECT_FALSE(std::filesystem::exists(file_)) << "nothing is left behind";
  EXPECT_THAT(error([&] { write_table(folder_ / "none" / "t.db", "t", table_of("k,v\na,1\n")); }),
              HasSubstr("t.db cannot be created: No such file or directory"));
}

TEST_F(TableFileTest, WhichTableMustBeClear) {
  write("first", "k,v\na,1\n");
  write("second", "k,v\na,1\n");
  EXPECT_EQ(error([&] { TableFile(file_, ""); }), "t.db has 2 tables; say which: first, second");
  EXPECT_EQ(error([&] { TableFile(file_, "frist"); }), "t.db has no table 'frist'; did you mean 'first'?");
  EXPECT_EQ(TableFile(file_, "FIRST").name(), "first");
}

TEST_F(TableFileTest, ChangesByOthersAreNoticed) {
  write("t", "k,v,w\na,1,1\nb,2,2\n");
  sql("UPDATE t SET v = 3 WHERE k = 'b'");
  const TableFile table(file_, "t");
  const auto read = [&](std::vector<std::size_t> numbers) {
    return error([&] { table.read(std::vector<std::size_t>{0}, numbers, [](const auto&, const auto&) {}); });
  };
  EXPECT_EQ(read({1}),
            "t.db: the table 't' is not what was imported: another program changed it; import it again with --replace");
  EXPECT_EQ(read({2}), "") << "this column is as it was";
  EXPECT_THAT(error([&] { table.check(); }), HasSubstr("is not what was imported"));
  sql("UPDATE t SET v = 2 WHERE k = 'b'; DELETE FROM t WHERE k = 'a'");
  EXPECT_THAT(read({2}), HasSubstr("is not what was imported"));
}

TEST_F(TableFileTest, ReadersAndAnImportDoNotDisturbEachOther) {
  std::string text = "k,v\n";
  for (int i = 0; i < 2'000; ++i) text += fmt::format("row{},{}\n", i, i);
  write("t", text);
  std::vector<std::thread> readers;
  std::atomic<int> good = 0;
  for (int r = 0; r < 4; ++r) {
    readers.emplace_back([&] {
      for (int i = 0; i < 10; ++i) {
        double sum = 0;
        const TableFile table(file_, "t");
        table.read(std::vector<std::size_t>{}, std::vector<std::size_t>{1},
                   [&](std::span<const std::string>, std::span<const double> number) { sum += number[0]; });
        if (sum == 1999000) ++good;
      }
    });
  }
  for (int i = 0; i < 5; ++i) write(fmt::format("more{}", i), "k,v\na,1\n");
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(good, 40);
  EXPECT_EQ(TableFile::names(file_).size(), 6U);
}

// --- The estimator on it

TEST_F(TableFileTest, TheCatalogueSaysUnitsAndDirections) {
  write_table(file_, "t", table_of("k,lat_ms,acc\nx1,2.5,50\n", {},
                                   {{.pattern = "lat_ms", .unit = "ms", .direction = Direction::minimize, .description = "Slow."},
                                    {.pattern = "acc", .unit = "%", .direction = Direction::maximize}}));
  const auto table = estimator("key: '{p.a}{p.n}'\nkey_column: k\nmetrics: [lat_s, acc]\n");
  ASSERT_EQ(table->metrics().size(), 2U);
  EXPECT_EQ(table->metrics()[0].unit, "s");
  EXPECT_EQ(table->metrics()[0].direction, Direction::minimize);
  EXPECT_EQ(table->metrics()[0].description, "Slow.");
  EXPECT_EQ(table->metrics()[1].direction, Direction::maximize);
  EXPECT_EQ(table->metrics()[1].source, Source::table);
  EXPECT_THAT(ask(*table, "{p: {a: x, n: 1}}").values, ElementsAre(0.0025, 0.5));
  EXPECT_EQ(ask(*table, "{p: {a: x, n: 2}}").reason, "'x2' is not in table t of t.db");
  const auto renamed = estimator("key: '{p.a}{p.n}'\nkey_column: k\n"
                                 "metrics: {latency_s: {column: lat_s, direction: maximize, description: New.}, acc: }\n");
  EXPECT_EQ(renamed->metrics()[0].name, "latency_s");
  EXPECT_EQ(renamed->metrics()[0].direction, Direction::maximize);
  EXPECT_EQ(renamed->metrics()[0].description, "New.");
  EXPECT_EQ(renamed->metrics()[1].name, "acc");
}

TEST_F(TableFileTest, WhatTheCatalogueDoesNotSayTheFileMust) {
  write("t", "k,lat\nx1,2.5\n");
  const std::string key = "key: '{p.a}{p.n}'\nkey_column: k\n";
  const auto table = estimator(key + "metrics: {lat: {unit: ms, direction: minimize, scale: 2}}\n");
  EXPECT_THAT(ask(*table, "{p: {a: x, n: 1}}").values, ElementsAre(0.005));
  EXPECT_EQ(refused(key + "metrics: [lat]\n"),
            "exp.yaml:4:11: the table does not say the unit of 'lat': give it as lat: {unit: …}");
  EXPECT_THAT(refused(key + "metrics: {lat: {unit: ms}}\n"), HasSubstr("direction"));
}

TEST_F(TableFileTest, OptionsThatDoNotFitTheTableAreRefused) {
  write_table(file_, "t", table_of("k,g,lat_ms,note\nx1,1,2.5,n\n", {{"g"}},
                                   {{.pattern = "lat_ms", .unit = "ms", .direction = Direction::minimize},
                                    {.pattern = "note", .text = true}}));
  const std::string key = "key: '{p.a}{p.n}'\nkey_column: k\n";
  EXPECT_EQ(refused(key + "metrics: [lat_ms]\n"),
            "exp.yaml:4:11: no column 'lat_ms' in table t of t.db: it was imported as 'lat_s'");
  EXPECT_EQ(refused(key + "metrics: [lat]\n"), "exp.yaml:4:11: no column 'lat' in table t of t.db; known: lat_s");
  EXPECT_EQ(refused(key + "metrics: [note]\n"), "exp.yaml:4:11: column 'note' of table t of t.db holds text");
  EXPECT_EQ(refused(key + "metrics: {lat_s: {unit: ms}}\n"),
            "exp.yaml:4:25: the values of 'lat_s' are kept in 's' in the table: leave out the unit");
  EXPECT_EQ(refused(key + "metrics: {lat_s: {scale: 2}}\n"),
            "exp.yaml:4:26: the values of 'lat_s' were scaled when they were imported");
  EXPECT_EQ(refused("key: '{p.a}'\nkey_column: kk\nmetrics: [lat_s]\n"),
            "exp.yaml:3:13: no column 'kk' in table t of t.db; did you mean 'k'?");
  EXPECT_EQ(refused("key: '{p.a}'\nkey_column: note\nmetrics: [lat_s]\n"),
            "exp.yaml:3:13: [note] does not name the rows of this table; what does: [k], [g]");
  EXPECT_EQ(refused(key + "table: u\nmetrics: [lat_s]\n"), "exp.yaml:4:8: t.db has no table 'u'; did you mean 't'?");
  std::filesystem::remove(file_);
  EXPECT_EQ(refused(key + "metrics: [lat_s]\n"), "exp.yaml:1:7: cannot read 't.db': No such file or directory");
  testing::write_file(file_, "k,lat\nx1,1\n");
  EXPECT_EQ(refused(key + "metrics: [lat_s]\n"), "exp.yaml:1:7: t.db is not a database; choose another file");
}

TEST_F(TableFileTest, AGroupIsTheMeanOfItsRows) {
  write_table(file_, "t", table_of("k,g,v\n1,x1,1\n2,x1,2\n3,x1,\n4,x2,\n5,,7\n", {{"g"}},
                                   {{.pattern = "v", .unit = "1", .direction = Direction::minimize}}));
  const auto table = estimator("key: '{p.a}{p.n}'\nkey_column: g\nmetrics: [v]\n");
  EXPECT_THAT(ask(*table, "{p: {a: x, n: 1}}").values, ElementsAre(1.5));
  EXPECT_EQ(ask(*table, "{p: {a: x, n: 2}}").reason, "table t of t.db has no value of 'v' for 'x2'");
}

TEST_F(TableFileTest, KeysMayHoldExpressions) {
  write_table(file_, "t", table_of("k,v\nx-3,1\ny-8,2\n", {}, {{.pattern = "v", .unit = "1", .direction = Direction::minimize}}));
  const auto table = estimator("key: '{p.a}-{if(active(p.a.y.m), p.a.y.m, 0) + p.n}'\nkey_column: k\nmetrics: [v]\n");
  EXPECT_THAT(ask(*table, "{p: {a: x, n: 3}}").values, ElementsAre(1));
  EXPECT_THAT(ask(*table, "{p: {a: y, n: 1, a.y.m: 7}}").values, ElementsAre(2));
  EXPECT_THAT(refused("key: '{p.a}-{p.n +}'\nkey_column: k\nmetrics: [v]\n"), StartsWith("exp.yaml:2:6: '{p.n +}' in the key"));
  EXPECT_EQ(refused("key: '{p.b}'\nkey_column: k\nmetrics: [v]\n"),
            "exp.yaml:2:6: unknown name 'p.b' in the key '{p.b}'; did you mean 'p.a'?");
}

TEST_F(TableFileTest, RowsCanBeAddedUp) {
  write_table(file_, "t", table_of("k,v\nstem,1\nn1,10\nn2,20\nm7,100\n", {}, {{.pattern = "v", .unit = "1", .direction = Direction::minimize}}));
  const auto table = estimator("key: 'n{p.n}'\nsum: [stem, 'm{p.a.y.m}']\nkey_column: k\nmetrics: [v]\n");
  EXPECT_THAT(ask(*table, "{p: {a: x, n: 2}}").values, ElementsAre(21)) << "m is not active";
  EXPECT_THAT(ask(*table, "{p: {a: y, n: 1, a.y.m: 7}}").values, ElementsAre(111));
  EXPECT_EQ(ask(*table, "{p: {a: y, n: 1, a.y.m: 6}}").reason, "'m6' is not in table t of t.db");
  EXPECT_THAT(refused("key: 'n{p.n}'\nsum: [[a, b]]\nkey_column: k\nmetrics: [v]\n"),
              EndsWith("2 templates for 1 key columns: there must be one for each"));
}

TEST_F(TableFileTest, TheClockIsAMetric) {
  write_table(file_, "t", table_of("k,v,train_h,eval,joule\nx1,1,0.5,60,1\nx2,1,,60,1\nx3,1,1,-60,1\n", {},
                                   {{.pattern = "v", .unit = "1", .direction = Direction::minimize},
                                    {.pattern = "train_h", .unit = "h"},
                                    {.pattern = "joule", .unit = "J"}}));
  const std::string key = "key: '{p.a}{p.n}'\nkey_column: k\nmetrics: [v]\n";
  const auto table = estimator(key + "clock: [train_s, {column: eval, unit: min, scale: 2}]\n");
  ASSERT_EQ(table->metrics().size(), 2U);
  EXPECT_EQ(table->metrics()[1].name, "simulated_s");
  EXPECT_EQ(table->metrics()[1].unit, "s");
  EXPECT_EQ(table->metrics()[1].source, Source::table);
  EXPECT_THAT(ask(*table, "{p: {a: x, n: 1}}").values, ElementsAre(1, 1800 + 7200));
  EXPECT_EQ(ask(*table, "{p: {a: x, n: 2}}").reason, "table t of t.db has no value of 'train_s' for 'x2'");
  EXPECT_EQ(ask(*table, "{p: {a: x, n: 3}}").reason, "table t of t.db has a cost below zero, -7200 s, for 'x3'");
  EXPECT_EQ(refused(key + "clock: eval\n"),
            "exp.yaml:5:8: the clock needs the unit of time that 'eval' is in: {column: eval, unit: s}");
  EXPECT_EQ(refused(key + "clock: joule\n"), "exp.yaml:5:8: the column 'joule' is in J, which is not a time");
  EXPECT_EQ(refused(key + "clock: {column: eval, unit: J}\n"), "exp.yaml:5:29: 'J' is not a unit of time");
  EXPECT_EQ(refused(key + "clock: {column: train_s, unit: h}\n"), "exp.yaml:5:8: the column 'train_s' is kept in s: leave out the unit");
  EXPECT_THAT(refused(key + "clock: tain_s\n"), EndsWith("did you mean 'train_s'?"));
  EXPECT_THAT(refused("key: '{p.a}'\nkey_column: k\nmetrics: {simulated_s: {column: v}}\nclock: train_s\n"),
              HasSubstr("give this one another"));
}

TEST_F(TableFileTest, InputsAreTheCellsThatAreRead) {
  const std::string options = "key: '{p.a}{p.n}'\nkey_column: k\nmetrics: {v: {unit: '1', direction: minimize}}\n";
  write("t", "k,v,w\nx1,1,1\n");
  const Fingerprint before = estimator(options)->inputs();
  write("t", "k,v,w\nx1,1,2\n", true);
  EXPECT_EQ(estimator(options)->inputs(), before) << "of w nothing is read";
  write("t", "k,v,w\nx1,2,2\n", true);
  EXPECT_NE(estimator(options)->inputs(), before);
}

/// Every row of a published table, by CSV and by import, to the bit.
TEST_F(TableFileTest, NasBenchMacroIsWhatItsCsvSays) {
  const auto path = testing::reference_data("nas_bench_macro.csv");
  if (!path) GTEST_SKIP() << "nas_bench_macro.csv: reference data not found";
  TableImport import(table_format("nas_bench_macro"));
  import.add(read_whole_file(*path), path->string());
  ASSERT_EQ(write_table(file_, "macro", import.finish()), TableWriting::created);

  const DesignSpace space = DesignSpace::read(Config::parse("network: {type: nas_bench_macro}", "s"), registry_.spaces);
  const EstimatorPlugin& plugin = registry_.estimators.at("table");
  const auto make = [&](const std::string& options) {
    const Environment environment{1, folder_.path(), &space, [](const std::filesystem::path& file, const std::string& name) {
                                    return std::make_unique<TableFile>(file, name);
                                  }};
    return plugin.create(Options::read(Config::parse("key: '{network.architecture}'\nkey_column: arch\n" + options, "e"),
                                       plugin.options, "estimator table"),
                         environment);
  };
  const auto csv = make("file: " + path->string() +
                        "\nmetrics:\n  mean_acc: {unit: '%', direction: maximize}\n  std: {unit: '%', direction: minimize}\n"
                        "  flops: {unit: '1', direction: minimize}\n");
  const auto stored = make("file: t.db\nmetrics: [mean_acc, std, flops]\n");
  std::vector<Design> designs;
  for (std::uint64_t rank = 0; rank < 6'561; ++rank) designs.push_back(space.design(space.space().unrank(rank)));
  const std::vector<Evaluation> a = csv->estimate(designs, {}), b = stored->estimate(designs, {});
  for (std::size_t i = 0; i < designs.size(); ++i) {
    ASSERT_EQ(a[i].status, Status::ok) << a[i].reason;
    ASSERT_EQ(a[i].values, b[i].values);
  }
}

}  // namespace
}  // namespace duet
