#include "core/units.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <string>

namespace duet {
namespace {

double quantity(std::string_view text, std::string_view unit) {
  std::string problem;
  const auto value = parse_quantity(text, unit, problem);
  EXPECT_TRUE(value.has_value()) << text << ": " << problem;
  return value.value_or(std::numeric_limits<double>::quiet_NaN());
}

std::string problem_of(std::string_view text, std::string_view unit) {
  std::string problem;
  EXPECT_FALSE(parse_quantity(text, unit, problem).has_value()) << text;
  EXPECT_FALSE(problem.empty());
  return problem;
}

TEST(Units, EveryDimensionIsKnown) {
  for (const char* unit : {"s", "J", "W", "Hz", "m", "mm2", "B", "B/s", "bit", "1"})
    EXPECT_TRUE(is_known_unit(unit)) << unit;
  for (const char* unit : {"", "ms", "m2", "KiB", "x"}) EXPECT_FALSE(is_known_unit(unit)) << unit;
}

TEST(Units, ExamplesParse) {
  for (const char* unit : {"s", "J", "W", "Hz", "m", "mm2", "B", "B/s", "bit", "1"}) {
    EXPECT_GT(quantity(example_quantity(unit), unit), 0) << unit;
  }
}

TEST(Units, QuantitiesAreCorrectlyRounded) {
  EXPECT_EQ(quantity("512KiB", "B"), 524288);
  EXPECT_EQ(quantity("1.5 GHz", "Hz"), 1.5e9);
  EXPECT_EQ(quantity("3ns", "s"), 3e-9);  // 3 * 1e-9 is another double
  EXPECT_EQ(quantity("0.1ns", "s"), 1e-10);
  EXPECT_EQ(quantity("7fJ", "J"), 7e-15);
  EXPECT_EQ(quantity("1.5e3 uJ", "J"), 1.5e-3);
  EXPECT_EQ(quantity("5%", "1"), 0.05);
  EXPECT_EQ(quantity("16nm", "m"), 16e-9);
  EXPECT_EQ(quantity("250um2", "mm2"), 250e-6);
  EXPECT_EQ(quantity("2min", "s"), 120);
  EXPECT_EQ(quantity("1.5h", "s"), 5400);
  EXPECT_EQ(quantity("1.5d", "s"), 129'600);
  EXPECT_EQ(quantity("2MB", "B"), 2e6);
  EXPECT_EQ(quantity("1TiB", "B"), 1099511627776.0);
  EXPECT_EQ(quantity("16 GB/s", "B/s"), 16e9);
  EXPECT_EQ(quantity("2GiB/s", "B/s"), 2147483648.0);
  EXPECT_EQ(quantity("3 \xC2\xB5s", "s"), 3e-6);
  EXPECT_EQ(quantity("3\xCE\xBCs", "s"), 3e-6);
  EXPECT_EQ(quantity("4Mbit", "bit"), 4e6);
  EXPECT_EQ(quantity("8", "bit"), 8);
  EXPECT_EQ(quantity("1_000ms", "s"), 1);
  EXPECT_EQ(quantity("  2ms\t", "s"), 2e-3);
  EXPECT_EQ(quantity("-2ms", "s"), -2e-3);
}

TEST(Units, ProblemsAreNamed) {
  EXPECT_EQ(problem_of("512", "B"), "missing unit, expected for example '512KiB'");
  EXPECT_EQ(problem_of("3ms", "B"), "'ms' is not a unit of memory (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)");
  EXPECT_EQ(problem_of("3KB", "B"), "'KB' is not a unit of memory (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)");
  EXPECT_EQ(problem_of("fast", "Hz"), "'fast' is not a number with a unit, expected for example '1GHz'");
  EXPECT_EQ(problem_of("", "s"), "'' is not a number with a unit, expected for example '5ms'");
  EXPECT_EQ(problem_of("abc", "1"), "'abc' is not a number");
  EXPECT_EQ(problem_of("1e999ms", "s"), "'1e999ms' is out of range");
  EXPECT_EQ(problem_of("1e308KiB", "B"), "'1e308KiB' is out of range");
  EXPECT_EQ(problem_of("1e99999999999999999999 s", "s"), "'1e99999999999999999999 s' is out of range");
  problem_of("nan s", "s");
  problem_of("inf s", "s");
  problem_of("1 2 s", "s");
  problem_of("1ss", "s");
}

TEST(Units, NumberPrefix) {
  EXPECT_EQ(number_prefix("12KiB"), 2u);
  EXPECT_EQ(number_prefix("1_000x"), 5u);
  EXPECT_EQ(number_prefix("1__0"), 1u);
  EXPECT_EQ(number_prefix("1_"), 1u);
  EXPECT_EQ(number_prefix("-1.5e-3 s"), 7u);
  EXPECT_EQ(number_prefix("1e"), 1u);
  EXPECT_EQ(number_prefix("1e+"), 1u);
  EXPECT_EQ(number_prefix(".5"), 2u);
  EXPECT_EQ(number_prefix("."), 0u);
  EXPECT_EQ(number_prefix("-"), 0u);
  EXPECT_EQ(number_prefix("x1"), 0u);
  EXPECT_EQ(number_prefix(""), 0u);
}

TEST(Units, NumbersAreWholeTexts) {
  EXPECT_EQ(parse_number("1e-5"), 1e-5);
  EXPECT_EQ(parse_number("+1_000.25"), 1000.25);
  for (const char* text :
       {"", "abc", "1x", "0x10", "inf", "nan", "1e999", "1,5", " 1", "1 ", "--1", "1e5e5"}) {
    EXPECT_FALSE(parse_number(text).has_value()) << text;
  }
}

TEST(Units, ShortestExamples) {
  EXPECT_EQ(shortest(0.1), "0.1");
  EXPECT_EQ(shortest(1e-5), "1e-05");
  EXPECT_EQ(shortest(3), "3");
  EXPECT_EQ(shortest(-0.25), "-0.25");
}

TEST(Units, ShortestParsesBackForAnyDouble) {
  std::mt19937_64 random(1);
  int finite = 0;
  for (int i = 0; i < 200'000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    ++finite;
    const auto back = parse_number(shortest(value));
    ASSERT_TRUE(back.has_value()) << shortest(value);
    ASSERT_EQ(std::bit_cast<std::uint64_t>(*back), std::bit_cast<std::uint64_t>(value)) << shortest(value);
  }
  EXPECT_GT(finite, 190'000);
}

TEST(Units, HumanExamples) {
  EXPECT_EQ(human(0.00123, "s"), "1.23 ms");
  EXPECT_EQ(human(524288, "B"), "512 KiB");
  EXPECT_EQ(human(0, "J"), "0 J");
  EXPECT_EQ(human(1e9, "Hz"), "1 GHz");
  EXPECT_EQ(human(16e9, "B/s"), "16 GB/s");
  EXPECT_EQ(human(0.5, "mm2"), "0.5 mm2");
  EXPECT_EQ(human(0.0025, "mm2"), "2500 um2");
  EXPECT_EQ(human(999.99e-6, "s"), "1 ms");  // never "1000 us"
  EXPECT_EQ(human(90, "s"), "1.5 min");
  EXPECT_EQ(human(7200, "s"), "2 h");
  EXPECT_EQ(human(1000 * 86400.0, "s"), "1000 d");
  EXPECT_EQ(human(-0.002, "s"), "-2 ms");
  EXPECT_EQ(human(123456, "1"), "123456");
  EXPECT_EQ(human(0.123456, "1"), "0.1235");
  EXPECT_EQ(human(-0.0, "1"), "0");
  EXPECT_EQ(human(12, "cycles"), "12 cycles");
  EXPECT_EQ(human(1e-14, "s"), "0.01 ps");
  EXPECT_EQ(human(1023.9, "B"), "1024 B");
}

TEST(Units, HumanIsCloseForAnyValueAndUnit) {
  std::mt19937_64 random(2);
  const char* const units[] = {"s", "J", "W", "Hz", "m", "mm2", "B", "B/s", "bit", "1"};
  for (int i = 0; i < 50'000; ++i) {
    const char* unit = units[random() % std::size(units)];
    const double mantissa = 1 + 9 * static_cast<double>(random() >> 11) * 0x1p-53;
    const double value = mantissa * std::pow(10.0, static_cast<int>(random() % 36) - 18);
    const std::string text = human(value, unit);
    ASSERT_FALSE(text.empty());
    std::string problem;
    const auto back = parse_quantity(text, unit, problem);
    ASSERT_TRUE(back.has_value()) << text << ": " << problem;
    // Half a unit in the fourth digit.
    ASSERT_NEAR(*back / value, 1, 5.001e-4) << text;
  }
  for (const double odd : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                           std::numeric_limits<double>::max(), std::numeric_limits<double>::denorm_min()}) {
    for (const char* unit : units) EXPECT_FALSE(human(odd, unit).empty());
  }
}

TEST(ParseQuantity, SaysThatAWordIsNoNumber) {
  EXPECT_EQ(problem_of("0x10", "1"), "'0x10' is not a number");
  EXPECT_EQ(problem_of("5 furlong", "1"), "'5 furlong' is not a number");
}

}  // namespace
}  // namespace duet
