// CSV files → tables: every format on small files and on the published ones, joining, and what is refused.

#include "experiments/table_import.hpp"

#include <cmath>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

#include "core/errors.hpp"
#include "estimators/csv.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Files = std::vector<std::pair<std::string, std::string>>;

ImportedTable import(TableFormat format, const Files& files) {
  TableImport import(std::move(format));
  for (const auto& [name, text] : files) import.add(text, name);
  return import.finish();
}
ImportedTable import(const std::string& format, const Files& files) { return import(table_format(format), files); }

/// The `csv` format with one key.
TableFormat csv(const std::vector<std::string>& key) {
  TableFormat format = table_format("csv");
  format.keys.push_back(key);
  return format;
}

const ImportedTable::Column& column(const ImportedTable& table, const std::string& name) {
  for (const ImportedTable::Column& one : table.columns) {
    if (one.name == name) return one;
  }
  std::vector<std::string> names;
  for (const ImportedTable::Column& one : table.columns) names.push_back(one.name);
  throw std::runtime_error(fmt::format("no column {} among {}", name, fmt::join(names, ", ")));
}

/// "1.5 s lower": first value, unit and direction of a column.
std::string first(const ImportedTable& table, const std::string& name) {
  const ImportedTable::Column& one = column(table, name);
  if (!one.number) return "'" + one.texts.at(0) + "'";
  return fmt::format("{}{}{}", one.numbers.at(0), one.unit ? " " + *one.unit : "",
                     !one.direction ? "" : *one.direction == Direction::minimize ? " lower" : " higher");
}

std::string refusal(TableFormat format, const Files& files) {
  try {
    import(std::move(format), files);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}
std::string refusal(const std::string& text) { return refusal(csv({"k"}), {{"t.csv", text}}); }

// --- Formats

TEST(TableFormat, AllDescriptionsAreRead) {
  const std::vector<std::string> names = table_format_names();
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    const TableFormat format = table_format(name);
    EXPECT_EQ(format.name, name);
    EXPECT_FALSE(format.summary.empty());
    if (name == "csv") continue;
    EXPECT_FALSE(format.source.empty());
    EXPECT_FALSE(format.keys.empty());
    for (const ColumnRule& rule : format.rules) {
      EXPECT_TRUE(rule.unit || rule.text.value_or(false)) << rule.pattern << " has no unit";
      EXPECT_TRUE(rule.direction || rule.text.value_or(false)) << rule.pattern << " has no direction";
      EXPECT_TRUE(rule.description || rule.text.value_or(false)) << rule.pattern << " has no description";
    }
  }
}

TEST(TableFormat, UnknownOnesAreRefusedWithTheNearest) {
  const auto error = [](const auto& action) -> std::string {
    try {
      action();
    } catch (const ConfigError& thrown) {
      return thrown.what();
    }
    return "";
  };
  EXPECT_EQ(error([] { table_format("nas_bench_21"); }),
            "there is no table format 'nas_bench_21'; did you mean 'nas_bench_201'?");
  const auto read = [](const std::string& yaml) {
    return [yaml] { read_table_format(Config::parse(yaml, "f.yaml"), "f"); };
  };
  EXPECT_EQ(error(read("keys: [a]\ncolums: {}\n")), "f.yaml:2:1: unknown key 'colums'; did you mean 'columns'?");
  EXPECT_EQ(error(read("columns: {a: {unit: parsec}}\n")),
            "f.yaml:1:21: 'parsec' is not a unit; \"1\" stands for pure numbers");
  EXPECT_EQ(error(read("columns: {'*_*': {unit: s}}\n")), "f.yaml:1:18: a pattern has at most one '*'");
  EXPECT_THAT(error(read("columns: {a: {direction: up}}\n")), HasSubstr("minimize"));
  EXPECT_THAT(error(read("columns: {a: {scale: 0}}\n")), HasSubstr("greater than 0"));
  EXPECT_THAT(error(read("keys: [[]]\n")), HasSubstr("a set of columns needs at least one"));
  EXPECT_THAT(error(read("[]\n")), HasSubstr("expected a description of a table"));
}

TEST(TableFormat, PatternsHaveOneStar) {
  EXPECT_EQ(match_pattern("a", "a"), "");
  EXPECT_EQ(match_pattern("a", "b"), std::nullopt);
  EXPECT_EQ(match_pattern("*_ms", "pixel3_ms"), "pixel3");
  EXPECT_EQ(match_pattern("*_ms", "_ms"), "");
  EXPECT_EQ(match_pattern("*_ms", "ms"), std::nullopt);
  EXPECT_EQ(match_pattern("a*a", "a"), std::nullopt) << "the same letter is not used twice";
  EXPECT_EQ(match_pattern("*", ""), "");
}

TEST(TableFormat, NasBench201JoinsItsFiles) {
  const ImportedTable table =
      import("nas_bench_201",
             {{"accuracy.csv", "idx,arch,c10_test_200,c100_val_12,iso_rep,flops_M_c10\n0,|a~0|,85.5,31.84,0,15.64737\n"
                               "1,|b~0|,93.66,50,1,113.95137\n"},
              {"latency.csv", "idx,1080ti_1_ms,pixel3_ms\n1,12.9,17.2381\n0,10.7544,3.60585\n"},
              {"hw.csv", "idx,eyeriss_energy,fpga_latency\n1,2,3\n"},
              {"zero.csv", "idx,cifar10_val200,c10_synflow,ImageNet16-120_val200\n1,89.24,-1e+08,\n"}});
  EXPECT_EQ(table.rows, 2U);
  EXPECT_THAT(table.keys, ElementsAre(ElementsAre("idx"), ElementsAre("arch")));
  EXPECT_EQ(first(table, "arch"), "'|a~0|'");
  EXPECT_EQ(first(table, "c10_test_200"), "0.855 1 higher");
  EXPECT_EQ(first(table, "flops_c10"), "15647370 1 lower");
  EXPECT_EQ(first(table, "latency_1080ti_1_s"), "0.0107544 s lower");
  EXPECT_EQ(first(table, "latency_pixel3_s"), "0.00360585 s lower");
  EXPECT_EQ(column(table, "latency_pixel3_s").original, "pixel3_ms");
  EXPECT_EQ(column(table, "latency_pixel3_s").description, "Measured latency on pixel3.");
  EXPECT_TRUE(std::isnan(column(table, "energy_eyeriss_j").numbers[0]));
  EXPECT_EQ(column(table, "energy_eyeriss_j").numbers[1], 0.002);
  EXPECT_EQ(column(table, "cifar10_val_200").numbers[1], 0.8924);
  EXPECT_TRUE(std::isnan(column(table, "ImageNet16_120_val_200").numbers[1]));
  EXPECT_EQ(column(table, "c10_synflow").numbers[1], -1e8);
}

TEST(TableFormat, TheOthersKnowTheirColumns) {
  const ImportedTable nats = import(
      "nats_bench", {{"n.csv", "space,idx,arch,hp,dataset,seed,params_M,flops_M,latency_s,train_time_total_s,"
                               "train_acc_last,eval_name,eval_acc_last\n"
                               "tss,0,|a|,12,cifar10,777,0.129306,15.6,0.0139,86.65,63.92,ori-test@11,62.8\n"
                               "tss,0,|a|,12,cifar10,888,0.129306,15.6,0.0139,86.35,63.92,ori-test@11,62.6\n"}});
  EXPECT_EQ(first(nats, "train_s"), "86.65 s lower");
  EXPECT_EQ(first(nats, "params"), "129306 1 lower");
  EXPECT_EQ(first(nats, "eval_acc_last"), "0.628 1 higher");
  EXPECT_EQ(nats.keys.size(), 2U);
  EXPECT_EQ(nats.groups.size(), 2U);

  const ImportedTable nb101 = import("nas_bench_101", {{"n.csv", "encoding,flops,val_accuracy,synflow\n0-1-4,624.5,92.5,88\n"}});
  EXPECT_EQ(first(nb101, "val_accuracy"), "0.925 1 higher");
  EXPECT_EQ(first(nb101, "flops"), "624500000 1 lower");
  EXPECT_EQ(first(nb101, "synflow"), "88 1 higher");

  const ImportedTable macro = import("nas_bench_macro", {{"m.csv", "arch,acc_s0,mean_acc,std,params,flops\n00000001,64.34,64.2,0.1,791594,14115328\n"}});
  EXPECT_EQ(first(macro, "arch"), "'00000001'") << "leading zeros are kept";
  EXPECT_EQ(first(macro, "mean_acc"), "0.642 1 higher");
  EXPECT_EQ(first(macro, "flops"), "14115328 1 lower");

  const ImportedTable help = import("help", {{"h.csv", "idx,gold_6240_ms\n0,6.6145\n"}});
  EXPECT_EQ(first(help, "latency_gold_6240_s"), "0.0066145 s lower");

  const ImportedTable hw = import("hw_nas_bench", {{"h.csv", "idx,edgegpu_latency,edgegpu_energy,eyeriss_arithmetic_intensity\n0,5.5,24,16.5\n"}});
  EXPECT_EQ(first(hw, "latency_edgegpu_s"), "0.0055 s lower");
  EXPECT_EQ(first(hw, "energy_edgegpu_j"), "0.024 J lower");
  EXPECT_EQ(first(hw, "eyeriss_arithmetic_intensity"), "16.5 1 higher");

  const ImportedTable accel = import("accel_nasbench", {{"a.csv", "id,block0_e,block0_k,val_top1,train_time,macs_M,throughput_a100_ips,throughput_a100_std_ips\n0,6,3,59.5,2660.5,415.361,7034.5,7.5\n"}});
  EXPECT_EQ(first(accel, "train_s"), "2660.5 s lower");
  EXPECT_EQ(first(accel, "throughput_a100_ips"), "7034.5 1 higher");
  EXPECT_EQ(first(accel, "throughput_a100_std_ips"), "7.5 1 lower");
  EXPECT_EQ(first(accel, "macs"), "415361000 1 lower");
  EXPECT_THAT(accel.groups, ElementsAre(ElementsAre("block0_e", "block0_k")));

  const ImportedTable ofa = import("ofa_latency", {{"o.csv", "op,mean_ms,var\nclassifier-input:1280-output:1000,0.5,0.25\n"}});
  EXPECT_EQ(first(ofa, "latency_s"), "0.0005 s lower");
  EXPECT_EQ(first(ofa, "latency_variance_s2"), "2.5e-07 1 lower");

  const ImportedTable dynas = import("dynas_t", {{"d.csv", "run,eval_no,params,macs,top1,ks,e,d,r\na,1,5029656,255502624,75.5,5-7,4-3,2-3,224\nb,1,5029656,255502624,75.5,5-7,4-3,2-3,224\n"}});
  EXPECT_EQ(first(dynas, "top1"), "0.755 1 higher");
  EXPECT_THAT(dynas.keys, ElementsAre(ElementsAre("run", "eval_no")));
  EXPECT_THAT(dynas.groups, ElementsAre(ElementsAre("ks", "e", "d", "r")));
}

TEST(TableImport, CsvIsWhatOneSaysOfIt) {
  TableFormat format = csv({"k"});
  format.overrides.push_back({.pattern = "lat_ms", .unit = "ms", .direction = Direction::minimize});
  format.overrides.push_back({.pattern = "size", .name = "size_b", .unit = "KiB"});
  format.overrides.push_back({.pattern = "note", .text = true});
  format.overrides.push_back({.pattern = "junk", .skip = true});
  const ImportedTable table = import(format, {{"t.csv", "k,lat_ms,size,note,junk,plain\n8.0,2.5,2,\"a,b\",?,7\n"}});
  EXPECT_EQ(table.columns.size(), 5U);
  EXPECT_EQ(first(table, "k"), "'8.0'") << "keys are texts";
  EXPECT_EQ(first(table, "lat_s"), "0.0025 s lower");
  EXPECT_EQ(first(table, "size_b"), "2048 B");
  EXPECT_EQ(first(table, "note"), "'a,b'");
  EXPECT_EQ(first(table, "plain"), "7") << "no unit, no direction: nobody said";
}

// --- Joining

TEST(TableImport, TheOrderOfRowsAndFilesDoesNotMatter) {
  TableFormat format = table_format("csv");
  format.keys = {{"i"}, {"n"}};
  const ImportedTable a = import(format, {{"a.csv", "i,n,x\n1,one,10\n2,two,20\n"}, {"b.csv", "i,y\n2,200\n1,100\n"}});
  EXPECT_THAT(column(a, "y").numbers, ElementsAre(100, 200));
  const ImportedTable b = import(format, {{"b.csv", "i,y\n2,200\n1,100\n"}, {"a.csv", "i,n,x\n1,one,10\n2,two,20\n"}});
  EXPECT_THAT(column(b, "i").texts, ElementsAre("2", "1"));
  EXPECT_THAT(column(b, "n").texts, ElementsAre("two", "one"));
  EXPECT_THAT(column(b, "x").numbers, ElementsAre(20, 10));
  // By the second key, which the first file has too.
  const ImportedTable c = import(format, {{"a.csv", "i,n\n1,one\n2,two\n"}, {"c.csv", "n,z\ntwo,5\n"}});
  EXPECT_TRUE(std::isnan(column(c, "z").numbers[0]));
  EXPECT_EQ(column(c, "z").numbers[1], 5);
}

TEST(TableImport, FilesMayHaveDifferentRows) {
  const ImportedTable table = import(csv({"k"}), {{"a.csv", "k,x\n1,10\n"}, {"b.csv", "k,x\n2,20\n1,10\n"}});
  EXPECT_EQ(table.rows, 2U);
  EXPECT_THAT(column(table, "x").numbers, ElementsAre(10, 20));
}

TEST(TableImport, KeysMayHaveSeveralColumns) {
  const ImportedTable table = import(csv({"p", "q"}), {{"t.csv", "p,q,v\nx1,2,1\nx,12,2\n"}});
  EXPECT_EQ(table.rows, 2U) << "they do not run together";
}

TEST(TableImport, ContentsAreComparedByTheirBits) {
  const Files files{{"t.csv", "k,v\na,0.1\nb,\n"}};
  const ImportedTable one = import(csv({"k"}), files);
  EXPECT_EQ(one.content(), import(csv({"k"}), files).content());
  EXPECT_NE(one.content(), import(csv({"k"}), {{"t.csv", "k,v\na,0.1000000000000001\nb,\n"}}).content());
  EXPECT_NE(one.content(), import(csv({"k"}), {{"t.csv", "k,v\na,0.1\nb,0\n"}}).content());
  EXPECT_EQ(one.content(), import(csv({"k"}), {{"t.csv", "k,v\r\n\"a\", 1e-1\r\nb,nan\r\n"}}).content());
}

// --- What is refused

TEST(TableImport, ErrorsSayWhere) {
  EXPECT_EQ(refusal("k,v\na,1\nb,fast\n"),
            "t.csv:3:3: 'fast' in column 'v' is not a number (--text keeps the column as text, --skip leaves it out)");
  EXPECT_EQ(refusal("k,v\na,1\nb,1e999\n"),
            "t.csv:3:3: '1e999' in column 'v' is not a number (--text keeps the column as text, --skip leaves it out)");
  EXPECT_EQ(refusal("k,v\na,1\na,1\n"), "t.csv:3:1: a second row for 'a'; the first is in line 2");
  EXPECT_EQ(refusal("k,v\na,1\n ,2\n"), "t.csv:3:1: no value in the key column 'k'");
  EXPECT_EQ(refusal("k,v\na\n"), "t.csv:2:1: the row has 1 field where the header has 2");
  EXPECT_EQ(refusal("k,v\na,1,2\n"), "t.csv:2:5: the row has 3 fields where the header has 2");
  EXPECT_EQ(refusal("kk,v\na,1\n"), "t.csv:1:1: no column that names a row (k); did you mean 'kk'?; there are kk, v");
  EXPECT_EQ(refusal(table_format("csv"), {{"t.csv", "a,b\n1,2\n"}}),
            "t.csv:1:1: which column names a row? --key COLUMN says so; there are a, b");
  EXPECT_EQ(refusal("k,v,v\na,1,2\n"), "t.csv:1:5: more than one column is named 'v'");
  EXPECT_EQ(refusal("k,v,V\na,1,2\n"), "t.csv:1:5: the columns 'v' and 'V' differ in upper and lower case only");
  EXPECT_EQ(refusal(""), "t.csv:1:1: the file is empty: expected a line with the columns' names");
  EXPECT_EQ(refusal("k,v\n"), "t.csv: the table has no rows");
  EXPECT_EQ(refusal("k,v\na,\"1\n"), "t.csv:2:3: a quote is opened here and never closed");
  EXPECT_EQ(refusal("k,v\na,\xE9\n"), "t.csv:2:3: the byte 0xE9 is not UTF-8; save the file as UTF-8");
  EXPECT_EQ(refusal("k,v\n\xC3\xA9\xC3\xA9,\xFF\n"), "t.csv:2:4: the byte 0xFF is not UTF-8; save the file as UTF-8")
      << "columns count characters";
  EXPECT_EQ(refusal("\xFF\xFEk\0"), "t.csv:1:1: the file is in UTF-16; save it as UTF-8");
  EXPECT_EQ(refusal("\x1f\x8b\x08"), "t.csv:1:1: the file is compressed; unpack it first");
  EXPECT_EQ(refusal("k,v\ra,1\r"), "t.csv:1:1: lines end in CR alone; save the file with LF or CR LF");
  EXPECT_EQ(refusal("k;v\na;1\n"), "t.csv:1:1: no column that names a row (k); is it --separator semicolon?; there are k;v");
  EXPECT_EQ(refusal(std::string("k,v\na,\0\n", 9)), "t.csv:2:3: a zero byte: this is not a text file");
  EXPECT_EQ(refusal("k,v\n" + std::string(CsvReader::max_field + 1, 'x') + ",1\n"),
            "t.csv:2:1: a field of more than 1048576 bytes; is a quote missing?");
}

TEST(TableImport, FilesMustFitTogether) {
  TableFormat format = table_format("csv");
  format.keys = {{"i"}, {"n"}};
  EXPECT_EQ(refusal(format, {{"a.csv", "i,x\n1,10\n"}, {"b.csv", "n,y\none,1\n"}}),
            "b.csv:1:1: no key in common with a.csv: rows are joined by i, or by n");
  EXPECT_EQ(refusal(format, {{"a.csv", "i,n\n1,one\n2,two\n"}, {"b.csv", "i,n\n1,two\n"}}),
            "b.csv:2:3: '1' and 'two' name different rows of a.csv");
  EXPECT_EQ(refusal(format, {{"a.csv", "i,n\n1,one\n"}, {"b.csv", "i,n\n1,uno\n"}}),
            "b.csv:2:3: 'uno' in column 'n' contradicts another file's value for '1'");
  EXPECT_EQ(refusal(csv({"k"}), {{"a.csv", "k,x\n1,10\n"}, {"b.csv", "k,x\n1,11\n"}}),
            "b.csv:2:3: '11' in column 'x' contradicts another file's value for '1'");
  EXPECT_EQ(refusal(table_format("nas_bench_201"),
                    {{"a.csv", "idx,pixel3_ms\n0,1\n"}, {"b.csv", "idx,pixel3_latency\n0,2\n"}}),
            "b.csv:1:5: 'pixel3_ms' and 'pixel3_latency' would both be the column 'latency_pixel3_s'");
  TableFormat typo = csv({"k"});
  typo.overrides.push_back({.pattern = "latt", .unit = "ms"});
  EXPECT_EQ(refusal(typo, {{"a.csv", "k,lat\n1,10\n"}}), "no column 'latt' in a.csv; did you mean 'lat'?");
  std::string many = "k";
  for (int i = 0; i < 2'000; ++i) many += fmt::format(",c{}", i);
  EXPECT_EQ(refusal(many + "\n"), "t.csv:1:1: the table would have 2001 columns; 1900 is the most");
}

TEST(TableImport, ColumnsWithoutANameGetTheirNumber) {
  const ImportedTable table = import(csv({"k"}), {{"t.csv", ",k\n0,a\n"}});
  EXPECT_EQ(table.columns[0].name, "column_1");
}

/// Random damage to good files gives a ConfigError or a table, never anything else.
TEST(TableImport, SurvivesDamage) {
  const std::string a = "\xEF\xBB\xBFidx,arch,c10_test_200,flops_M_c10\r\n0,|a~0|,85.5,1\r\n1,\"|b,~0|\",,2\r\n";
  const std::string b = "idx,pixel3_ms\n1,2.5\n0,1e-3\n";
  std::mt19937 random(1);
  const std::string alphabet = std::string("\",;\n\r\t 0.9e-xn\xEF\xFF*~|", 19) + '\0';
  const TableFormat format = table_format("nas_bench_201");
  int refused = 0, accepted = 0;
  for (int i = 0; i < 1'000; ++i) {
    std::string text[2] = {a, b};
    std::string& damaged = text[random() % 2];
    for (auto edits = 1 + random() % 3; edits > 0; --edits) {
      const std::size_t at = random() % (damaged.size() + 1);
      switch (random() % 3) {
        case 0:
          damaged.insert(at, 1, alphabet[random() % alphabet.size()]);
          break;
        case 1:
          damaged.erase(at, 1 + random() % 8);
          break;
        default:
          damaged.insert(at, damaged.substr(random() % (damaged.size() + 1), 12));
      }
    }
    try {
      const ImportedTable table = import(format, {{"a.csv", text[0]}, {"b.csv", text[1]}});
      EXPECT_GT(table.rows, 0U);
      for (const ImportedTable::Column& one : table.columns) {
        EXPECT_EQ(one.number ? one.numbers.size() : one.texts.size(), table.rows);
      }
      ++accepted;
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr(".csv"));
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(accepted, 100);
}

// --- The published tables

struct Published {
  std::string format;
  std::vector<std::string> files;
  std::size_t rows;
  std::string key, key_value, column;  ///< a spot
  double value;
};

class PublishedTable : public ::testing::TestWithParam<Published> {};

TEST_P(PublishedTable, IsImported) {
  const Published& one = GetParam();
  TableImport import(table_format(one.format));
  for (const std::string& file : one.files) {
    const auto path = testing::reference_data(file);
    if (!path) GTEST_SKIP() << file << ": reference data not found";
    import.add(read_whole_file(*path), file);
  }
  const ImportedTable table = import.finish();
  EXPECT_EQ(table.rows, one.rows);
  const std::vector<std::string>& keys = column(table, one.key).texts;
  const auto at = std::find(keys.begin(), keys.end(), one.key_value);
  ASSERT_NE(at, keys.end());
  EXPECT_EQ(column(table, one.column).numbers[static_cast<std::size_t>(at - keys.begin())], one.value);
  for (const ImportedTable::Column& each : table.columns) {
    EXPECT_FALSE(each.number && !each.unit) << each.original << ": the format does not know it";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Data, PublishedTable,
    ::testing::Values(
        Published{"nas_bench_201",
                  {"nb201_accuracy.csv", "nb201_latency_help.csv", "nb201_val200_zerocost_sample.csv"},
                  15'625, "idx", "9930", "c100_test_200", 0.735133},
        Published{"help", {"nb201_latency_help.csv"}, 15'625, "idx", "1", "latency_pixel3_s", 0.0172381},
        Published{"hw_nas_bench", {"nb201_latency_help.csv"}, 15'625, "idx", "0", "latency_samsung_s7_s", 0.029},
        Published{"nats_bench", {"nats_sample_archs_full.csv"}, 249, "arch", "8:8:8:8:8", "params", 11714},
        Published{"nas_bench_101", {"nb101_sample500.csv"}, 500, "encoding",
                  "0-1-1-1-1-0-1-0-0-0-0-0-1-1-0-0-0-0-0-0-1-0-0-0-0-1-1-0-0-0-0-0-"
                  "0-1-1-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-2-2-4-4-4-1",
                  "val_accuracy", 0.925781},
        Published{"nas_bench_macro", {"nas_bench_macro.csv"}, 6'561, "arch", "22212202", "mean_acc", 0.931267},
        Published{"accel_nasbench", {"accel_nasbench.csv"}, 5'138, "id", "1", "train_s", 1779.27},
        Published{"dynas_t", {"dynast_ofa_mbv3_traces.csv"}, 2'373, "eval_no", "1", "top1", 0.75462},
        Published{"ofa_latency", {"ofa_lut_i7_8700k.csv"}, 4'050, "op",
                  "MBConv-input:100x100x16-output:100x100x16-expand:1-kernel:3-stride:1-idskip:1-se:0", "latency_s",
                  0.000459526}),
    [](const auto& test) { return test.param.format; });

}  // namespace
}  // namespace duet
