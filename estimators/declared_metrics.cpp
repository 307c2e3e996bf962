#include "estimators/declared_metrics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

#include "core/units.hpp"

namespace duet {
namespace {

constexpr std::array<std::string_view, 10> base_units{"1", "s",   "J", "W",   "Hz",
                                                      "m", "mm2", "B", "B/s", "bit"};

/// The unit that quantities written with `spelling` are kept in: "ms" → "s".
std::optional<std::string> base_unit(const std::string& spelling) {
  if (spelling == "1") return spelling;
  if (spelling.empty()) return std::nullopt;
  for (const std::string_view unit : base_units) {
    std::string problem;
    if (parse_quantity("1" + spelling, unit, problem)) return std::string(unit);
  }
  return std::nullopt;
}

bool is_identifier(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return !name.empty() && !is_digit(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || is_digit(c); });
}

std::string lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

DeclaredMetric read_metric(const Config& metrics, const std::string& name, Source source,
                           std::span<const std::string> known) {
  const Config config = metrics.at(name);
  if (!is_identifier(name)) {
    config.fail(fmt::format("'{}' cannot be a metric's name: letters, digits and '_' only", name));
  }
  if (!config.is_map()) config.fail_wrong("a mapping such as {unit: ms, direction: minimize}");
  config.allow_only(known);

  DeclaredMetric declared{{name, "", Direction::minimize, source, ""}, "", 1, config};
  const Config unit = config.at("unit");
  declared.spelling = unit.text();
  const std::optional<std::string> base = base_unit(declared.spelling);
  if (!base) {
    unit.fail(fmt::format("'{}' is not a unit; \"1\" stands for pure numbers", declared.spelling));
  }
  declared.metric.unit = *base;
  const std::string suffix = "_" + lower_case(declared.spelling);
  if (declared.spelling != *base && lower_case(name).ends_with(suffix)) {
    unit.fail(fmt::format("the values of '{}' will be kept in {}: name it '{}_{}'", name, *base,
                          name.substr(0, name.size() - suffix.size()), lower_case(*base)));
  }

  static const std::vector<std::string> directions{"minimize", "maximize"};
  declared.metric.direction =
      config.at("direction").one_of(directions) == "minimize" ? Direction::minimize : Direction::maximize;
  if (const auto description = config.find("description")) declared.metric.description = description->text();
  if (const auto scale = config.find("scale")) {
    declared.scale = scale->number();
    if (declared.scale <= 0) scale->fail_wrong("greater than 0");
  }
  if (const auto word = config.find("source")) {
    constexpr std::array sources{Source::analytical, Source::learned, Source::measured,
                                 Source::trained,    Source::table,   Source::external};
    std::vector<std::string> words;
    for (const Source one : sources) words.emplace_back(to_string(one));
    const auto at = std::find(words.begin(), words.end(), word->one_of(words));
    declared.metric.source = sources[static_cast<std::size_t>(at - words.begin())];
  }
  return declared;
}

}  // namespace

std::optional<double> DeclaredMetric::convert(double value) const {
  if (!std::isfinite(value)) return std::nullopt;
  if (spelling != "1") {
    std::string problem;
    const std::optional<double> base = parse_quantity(shortest(value) + spelling, metric.unit, problem);
    if (!base) return std::nullopt;
    value = *base;
  }
  value *= scale;
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::vector<DeclaredMetric> read_declared_metrics(const Config& config, Source source,
                                                  std::initializer_list<std::string_view> more) {
  if (!config.is_map() || config.size() == 0) {
    config.fail_wrong("a mapping from metrics to {unit: …, direction: minimize | maximize}");
  }
  std::vector<std::string> known{"unit", "direction", "description", "scale"};
  known.insert(known.end(), more.begin(), more.end());
  std::vector<DeclaredMetric> metrics;
  for (const std::string& name : config.keys()) metrics.push_back(read_metric(config, name, source, known));
  return metrics;
}

}  // namespace duet
