// `duet import` and `duet tables`, and a search on an imported table, as a user meets them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/duet_process.hpp"

namespace duet::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Import : public ::testing::Test {
 protected:
  Import() {
    write_file(folder_ / "a.csv", "id,acc,hours\n0,50,1\n1,60,2\n2,70,1.5\n3,80,0.25\n4,,1\n");
    write_file(folder_ / "b.csv", "id,lat_ms\n4,1\n3,4\n2,3\n1,2\n0,5\n");
    write_file(folder_ / "e.yaml",
               "name: e\nspace: {p: {type: parameters, parameters: {id: {integer: [0, 5]}}}}\n"
               "estimators:\n  - {type: table, file: t.db, key: '{p.id}', key_column: id, metrics: [acc, lat_s], clock: hours_s}\n"
               "objectives: [acc, lat_s]\nsearch: random\nbudget: 6\nwindow: 2\n");
  }
  Finished run(const std::vector<std::string>& arguments) const { return duet(folder_.path(), arguments); }
  Finished import(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"import", "csv", "a.csv", "b.csv", "-o", "t.db", "--key", "id", "--unit", "acc=%",
                                       "--maximize", "acc", "--unit", "lat_ms=ms", "--minimize", "lat_ms",
                                       "--unit", "hours=h", "--rename", "hours=hours_s"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
  void refused(const std::vector<std::string>& arguments, int exit_code, const std::string& message) const {
    const Finished done = run(arguments);
    EXPECT_EQ(done.exit_code, exit_code);
    EXPECT_EQ(done.err, message + "\n");
    EXPECT_EQ(done.out, "");
  }
  const TemporaryDirectory folder_;
};

TEST_F(Import, HelpNamesEveryOption) {
  const std::string help = run({"import", "--help"}).out;
  for (const char* option : {"FORMAT", "FILE", "--output", "--table", "--replace", "--key", "--group", "--unit", "--scale",
                             "--rename", "--minimize", "--maximize", "--text", "--skip", "--separator", "--list", "--describe"}) {
    EXPECT_THAT(help, HasSubstr(option));
  }
}

TEST_F(Import, FormatsAreListedAndDescribed) {
  const std::string list = run({"import", "--list"}).out;
  for (const char* format : {"nas_bench_201", "nats_bench", "nas_bench_101", "nas_bench_macro", "help", "hw_nas_bench",
                             "accel_nasbench", "ofa_latency", "dynas_t", "csv"}) {
    EXPECT_THAT(list, HasSubstr(std::string("\n") + format + " ")) << list;
    EXPECT_THAT(run({"import", format, "--describe"}).out, AllOf(StartsWith("summary: "), HasSubstr("\nkeys: ")));
  }
  write_file(folder_ / "copy.yaml", run({"import", "nas_bench_macro", "--describe"}).out);
  write_file(folder_ / "m.csv", "arch,mean_acc\n00000000,45\n");
  const Finished done = run({"import", "copy.yaml", "m.csv", "-o", "m.db"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, StartsWith("m.db: table 'copy' created: 1 rows, 2 columns, "));
}

TEST_F(Import, MistakesAreExplained) {
  refused({"import"}, 2, "duet import: which format? 'duet import --list' shows what there is");
  refused({"import", "csv"}, 2, "duet import: which files?");
  refused({"import", "csv", "a.csv"}, 2, "duet import: to which database? -o FILE");
  refused({"import", "nasbench_201", "a.csv", "-o", "t.db"}, 2,
          "there is no table format 'nasbench_201'; did you mean 'nas_bench_201'?");
  refused({"import", "csv", "none.csv", "-o", "t.db", "--key", "id"}, 2, "none.csv cannot be read: No such file or directory");
  refused({"import", "csv", "a.csv", "-o", "t.db"}, 2,
          "a.csv:1:1: which column names a row? --key COLUMN says so; there are id, acc, hours");
  refused({"import", "csv", "a.csv", "-o", "t.db", "--key", "idd"}, 2,
          "a.csv:1:1: no column that names a row (idd); did you mean 'id'?; there are id, acc, hours");
  refused({"import", "csv", "a.csv", "-o", "t.db", "--key", "id", "--unit", "acc"}, 2, "--unit takes COLUMN=VALUE, not 'acc'");
  refused({"import", "csv", "a.csv", "-o", "t.db", "--key", "id", "--unit", "acc=percent"}, 2,
          "--unit acc=percent: 'percent' is not a unit; 1 stands for pure numbers");
  refused({"import", "csv", "a.csv", "-o", "t.db", "--key", "id", "--scale", "acc=-1"}, 2,
          "--scale acc=-1: '-1' is not a number greater than 0");
  refused({"import", "csv", "a.csv", "-o", "t.db", "--key", "id", "--maximize", "ac"}, 2,
          "no column 'ac' in a.csv; did you mean 'acc'?");
  refused({"import", "csv", "a.csv", "-o", "t.db", "--key", "id", "--table", "columns"}, 2,
          "a table cannot be named 'columns': the file uses that name itself; --table NAME gives it another name");
  refused({"import", "nas_bench_201", "a.csv", "-o", "t.db"}, 2,
          "a.csv:1:1: no column that names a row (idx, or arch); did you mean 'id'?; there are id, acc, hours");
  refused({"tables", "t.db"}, 3, "t.db cannot be opened: No such file or directory");
  EXPECT_FALSE(fs::exists(folder_ / "t.db")) << "nothing is left behind";
}

TEST_F(Import, ABadFileLeavesTheDatabaseAsItWas) {
  ASSERT_EQ(import().exit_code, 0);
  const std::string before = read_file(folder_ / "t.db");
  write_file(folder_ / "bad.csv", "id,v\n0,1\n1,x\n");
  refused({"import", "csv", "bad.csv", "-o", "t.db", "--key", "id"}, 2,
          "bad.csv:3:3: 'x' in column 'v' is not a number (--text keeps the column as text, --skip leaves it out)");
  EXPECT_EQ(read_file(folder_ / "t.db"), before);
  EXPECT_THAT(import().out, HasSubstr("t.db: table 'a' is there already, with the same 5 rows"));
  write_file(folder_ / "b.csv", "id,lat_ms\n0,1\n");
  const Finished other = import();
  EXPECT_EQ(other.exit_code, 3);
  EXPECT_EQ(other.err, "t.db has another table 'a' already (5 rows, of a.csv, b.csv); --replace puts the new one in its "
                       "place, --table NAME gives it another name\n");
  EXPECT_EQ(read_file(folder_ / "t.db"), before);
  EXPECT_THAT(import({"--replace"}).out, StartsWith("t.db: table 'a' replaced: 5 rows"));
  EXPECT_EQ(run({"tables", "t.db", "--check"}).out, "t.db: the table is as imported\n");
}

TEST_F(Import, TablesAreDataForPrograms) {
  ASSERT_EQ(import().exit_code, 0);
  const auto list = nlohmann::json::parse(run({"tables", "t.db", "--json"}).out);
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].at("name"), "a");
  EXPECT_EQ(list[0].at("rows"), 5);
  EXPECT_EQ(list[0].at("keys"), nlohmann::json::parse("[[\"id\"]]"));
  const auto table = nlohmann::json::parse(run({"tables", "t.db", "a", "--json"}).out);
  EXPECT_EQ(table.at("columns").at(3).at("name"), "lat_s");
  EXPECT_EQ(table.at("columns").at(3).at("unit"), "s");
  EXPECT_EQ(table.at("columns").at(3).at("original"), "lat_ms");
  EXPECT_EQ(table.at("columns").at(3).at("direction"), "minimize");
}

TEST_F(Import, ASearchOnTheTable) {
  ASSERT_EQ(import().exit_code, 0);
  ASSERT_EQ(run({"run", "-q", "-j1", "e.yaml", "-o", "one.db"}).exit_code, 0);
  ASSERT_EQ(run({"run", "-q", "-j2", "e.yaml", "-o", "two.db"}).exit_code, 0);
  EXPECT_EQ(reproducible_csv(folder_.path(), "one.db"), reproducible_csv(folder_.path(), "two.db"));
  const Finished run_again = run({"run", "e.yaml", "-o", "one.db"});
  EXPECT_THAT(run_again.err, HasSubstr(" s (4.75 h simulated): the budget of 6 trials is spent"));
  EXPECT_THAT(reproducible_csv(folder_.path(), "one.db"),
              AllOf(HasSubstr(",p.id,acc,lat_s,simulated_s,simulated_total_s\n"), HasSubstr(",17100\n")));
  EXPECT_THAT(run({"trials", "one.db"}).out, AllOf(HasSubstr("simulated total"), HasSubstr("4.75 h")));
  const auto trials = nlohmann::json::parse(run({"trials", "one.db", "--json"}).out);
  EXPECT_EQ(trials.back().at("simulated_total_s"), 17'100);
  EXPECT_EQ(nlohmann::json::parse(run({"trials", "one.db", "6", "--json"}).out).at("simulated_total_s"), 17'100);
  EXPECT_THAT(run({"trials", "one.db", "--status", "failed"}).out,
              AllOf(HasSubstr("table: '5' is not in table a of t.db"), HasSubstr("table: table a of t.db has no value of 'acc' for '4'")));

  write_file(folder_ / "b.csv", "id,lat_ms\n0,1\n");
  ASSERT_EQ(import({"--replace"}).exit_code, 0);
  EXPECT_THAT(run({"run", "e.yaml", "-o", "one.db"}).err, HasSubstr("what results depend on has changed"));
}

}  // namespace
}  // namespace duet::testing
