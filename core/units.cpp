#include "core/units.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <span>

namespace duet {
namespace {

/// One spelling: value in the base unit = number × 10^exponent × factor. Powers of ten are kept apart from
/// the factor so that they can be applied to the decimal text, where they are exact.
struct Unit {
  std::string_view name;
  int exponent = 0;
  double factor = 1;
  bool shown = true;  ///< human() may choose it

  double scale() const { return std::pow(10.0, exponent) * factor; }
};

struct Dimension {
  std::string_view unit;
  std::string_view noun;
  std::string_view example;
  std::span<const Unit> units;  ///< those shown stand in ascending order
};

constexpr double kibi = 1024.0;

constexpr Unit time_units[] = {{"ps", -12}, {"ns", -9},     {"us", -6},    {"ms", -3},
                               {"s", 0},    {"min", 0, 60}, {"h", 0, 3600}, {"d", 0, 86400}};
constexpr Unit energy_units[] = {{"fJ", -15}, {"pJ", -12}, {"nJ", -9}, {"uJ", -6},
                                 {"mJ", -3},  {"J", 0},    {"kJ", 3}};
constexpr Unit power_units[] = {{"nW", -9}, {"uW", -6}, {"mW", -3}, {"W", 0}, {"kW", 3}};
constexpr Unit frequency_units[] = {{"Hz", 0}, {"kHz", 3}, {"MHz", 6}, {"GHz", 9}};
constexpr Unit length_units[] = {{"nm", -9}, {"um", -6}, {"mm", -3}, {"m", 0}};
constexpr Unit area_units[] = {{"um2", -6}, {"mm2", 0}};
constexpr Unit memory_units[] = {{"B", 0},
                                 {"kB", 3, 1, false},
                                 {"MB", 6, 1, false},
                                 {"GB", 9, 1, false},
                                 {"TB", 12, 1, false},
                                 {"KiB", 0, kibi},
                                 {"MiB", 0, kibi* kibi},
                                 {"GiB", 0, kibi* kibi* kibi},
                                 {"TiB", 0, kibi* kibi* kibi* kibi}};
constexpr Unit rate_units[] = {{"B/s", 0},
                               {"kB/s", 3},
                               {"MB/s", 6},
                               {"GB/s", 9},
                               {"TB/s", 12},
                               {"KiB/s", 0, kibi, false},
                               {"MiB/s", 0, kibi* kibi, false},
                               {"GiB/s", 0, kibi* kibi* kibi, false},
                               {"TiB/s", 0, kibi* kibi* kibi* kibi, false}};
constexpr Unit information_units[] = {{"bit", 0}, {"kbit", 3}, {"Mbit", 6}, {"Gbit", 9}};
constexpr Unit pure_units[] = {{"%", -2, 1, false}};

constexpr Dimension dimensions[] = {
    {"s", "time", "5ms", time_units},
    {"J", "energy", "2.5pJ", energy_units},
    {"W", "power", "250mW", power_units},
    {"Hz", "frequency", "1GHz", frequency_units},
    {"m", "length", "16nm", length_units},
    {"mm2", "area", "2.5mm2", area_units},
    {"B", "memory", "512KiB", memory_units},
    {"B/s", "bandwidth", "16GB/s", rate_units},
    {"bit", "information", "8bit", information_units},
    {"1", "pure numbers", "0.5", pure_units},
};

const Dimension* find_dimension(std::string_view unit) {
  for (const Dimension& dimension : dimensions) {
    if (dimension.unit == unit) return &dimension;
  }
  return nullptr;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Length of the digits at `at`, single underscores between them included.
std::size_t digits_at(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size()) {
    const bool separator = text[end] == '_' && end > at && end + 1 < text.size() && is_digit(text[end + 1]);
    if (!is_digit(text[end]) && !separator) break;
    ++end;
  }
  return end - at;
}

/// The value of `text`, which is a whole number_prefix, times ten to the `shift`; correctly rounded.
std::optional<double> decimal(std::string_view text, int shift) {
  std::string plain;
  plain.reserve(text.size() + 8);
  for (const char c : text) {
    if (c != '_' && !(c == '+' && plain.empty())) plain += c;
  }
  if (shift != 0) {
    long exponent = 0;
    if (const std::size_t e = plain.find_first_of("eE"); e != std::string::npos) {
      const char* first = plain.data() + e + 1;
      if (*first == '+') ++first;
      const auto read = std::from_chars(first, plain.data() + plain.size(), exponent);
      if (read.ec != std::errc{}) return std::nullopt;
      // Far beyond the range of double either way, and far from overflowing when the shift is added.
      exponent = std::clamp(exponent, -1'000'000'000L, 1'000'000'000L);
      plain.resize(e);
    }
    plain += fmt::format("e{}", exponent + shift);
  }
  double value = 0;
  const auto [end, error] = std::from_chars(plain.data(), plain.data() + plain.size(), value);
  if (error != std::errc{} || end != plain.data() + plain.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// User text for a message: never long, never cut inside a UTF-8 sequence.
std::string_view clipped(std::string_view text) {
  std::size_t length = std::min<std::size_t>(text.size(), 40);
  while (length < text.size() && length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80)
    --length;
  return text.substr(0, length);
}

/// `value` with up to four significant digits, without trailing zeros.
std::string four_digits(double value) {
  return fmt::format("{:.4g}", value);
}

}  // namespace

bool is_known_unit(std::string_view unit) {
  return find_dimension(unit) != nullptr;
}

std::string_view example_quantity(std::string_view unit) {
  const Dimension* dimension = find_dimension(unit);
  assert(dimension != nullptr);
  return dimension->example;
}

std::size_t number_prefix(std::string_view text) {
  std::size_t end = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
  const std::size_t whole = digits_at(text, end);
  end += whole;
  std::size_t fraction = 0;
  if (end < text.size() && text[end] == '.') {
    fraction = digits_at(text, end + 1);
    if (whole + fraction > 0) end += 1 + fraction;
  }
  if (whole + fraction == 0) return 0;
  if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    std::size_t power = end + 1;
    if (power < text.size() && (text[power] == '+' || text[power] == '-')) ++power;
    std::size_t stop = power;
    while (stop < text.size() && is_digit(text[stop])) ++stop;
    if (stop > power) end = stop;
  }
  return end;
}

std::optional<double> parse_number(std::string_view text) {
  if (text.empty() || number_prefix(text) != text.size()) return std::nullopt;
  return decimal(text, 0);
}

std::optional<double> parse_quantity(std::string_view text, std::string_view unit, std::string& problem) {
  const Dimension* dimension = find_dimension(unit);
  assert(dimension != nullptr);

  text = trim(text);
  const std::size_t length = number_prefix(text);
  if (length == 0) {
    problem = fmt::format("'{}' is not a number with a unit, expected for example '{}'", clipped(text),
                          dimension->example);
    if (unit == "1") problem = fmt::format("'{}' is not a number", clipped(text));
    return std::nullopt;
  }
  const std::string_view number = text.substr(0, length);
  std::string name(trim(text.substr(length)));
  for (const std::string_view micro : {"\u00b5", "\u03bc"}) {
    if (name.starts_with(micro)) name = fmt::format("u{}", name.substr(micro.size()));
  }

  Unit chosen{dimension->unit};
  if (name.empty()) {
    if (unit != "1" && unit != "bit") {
      problem = fmt::format("missing unit, expected for example '{}'", dimension->example);
      return std::nullopt;
    }
  } else {
    const auto known = std::find_if(dimension->units.begin(), dimension->units.end(),
                                    [&](const Unit& candidate) { return candidate.name == name; });
    if (known == dimension->units.end() && unit == "1") {
      problem = fmt::format("'{}' is not a number", clipped(text));
      return std::nullopt;
    }
    if (known == dimension->units.end()) {
      std::string names;
      for (const Unit& candidate : dimension->units) {
        names += fmt::format("{}{}", names.empty() ? "" : ", ", candidate.name);
      }
      problem = fmt::format("'{}' is not a unit of {} ({})", clipped(name), dimension->noun, names);
      return std::nullopt;
    }
    chosen = *known;
  }
  const std::optional<double> value = decimal(number, chosen.exponent);
  if (!value || !std::isfinite(*value * chosen.factor)) {
    problem = fmt::format("'{}' is out of range", clipped(text));
    return std::nullopt;
  }
  return *value * chosen.factor;
}

std::string shortest(double value) {
  std::array<char, 32> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  assert(error == std::errc{});
  static_cast<void>(error);
  return {buffer.data(), end};
}

std::string human(double value, std::string_view unit) { return human(value, unit, value); }

std::string human(double value, std::string_view unit, double like) {
  const Dimension* dimension = find_dimension(unit);
  if (unit == "1" || unit.empty() || dimension == nullptr) {
    const bool in_full = std::abs(value) < 1e6 && value == std::trunc(value);
    const std::string number = in_full ? fmt::format("{:.0f}", value + 0.0) : four_digits(value);
    return unit == "1" || unit.empty() ? number : fmt::format("{} {}", number, unit);
  }
  if (like == 0 || !std::isfinite(like)) like = value;
  if (like == 0 || !std::isfinite(value)) return fmt::format("{} {}", four_digits(value + 0.0), unit);

  const Unit* chosen = nullptr;
  for (const Unit& candidate : dimension->units) {
    if (!candidate.shown) continue;
    // A unit is large enough to be left behind once the next one shows at least 1 after rounding, or where
    // the step to the next is so wide (um2, mm2) that the number would grow past four digits.
    const bool reached = std::abs(like) / candidate.scale() >= 0.99995;
    const bool too_long = chosen != nullptr && std::abs(like) / chosen->scale() >= 1e4;
    if (chosen == nullptr || reached || too_long) chosen = &candidate;
  }
  return fmt::format("{} {}", four_digits(value / chosen->scale()), chosen->name);
}

}  // namespace duet
