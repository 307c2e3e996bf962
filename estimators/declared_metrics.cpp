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

DeclaredMetric read_metric(const std::string& name, const std::optional<Config>& entry, const Config& place,
                           Source source, std::span<const std::string> keys, const MetricSource& source_of) {
  if (!is_identifier(name)) {
    place.fail(fmt::format("'{}' cannot be a metric's name: letters, digits and '_' only", name));
  }
  // With everything known, "name:" alone says enough.
  const bool bare = !entry || (source_of && entry->is_null());
  if (!bare) {
    if (!entry->is_map()) place.fail_wrong("a mapping such as {unit: ms, direction: minimize}");
    entry->allow_only(keys);
  }
  const std::optional<Config> given = bare ? std::nullopt : entry;
  const KnownMetric known = source_of ? source_of(name, place) : KnownMetric{};
  const auto option = [&](std::string_view key) { return given ? given->find(key) : std::nullopt; };
  const auto need = [&](std::string_view key) {
    if (given) return given->at(key);
    place.fail(fmt::format("the table does not say the {0} of '{1}': give it as {1}: {{{0}: …}}", key, name));
  };

  DeclaredMetric declared{{name, "", Direction::minimize, source, known.description}, "1", 1, place};
  if (known.unit) {
    declared.metric.unit = *known.unit;
    if (const auto unit = option("unit"); unit && unit->text() != *known.unit) {
      unit->fail(fmt::format("the values of '{}' are kept in '{}' in the table: leave out the unit", name, *known.unit));
    }
  } else {
    const Config unit = need("unit");
    declared.spelling = unit.text();
    const std::optional<std::string> base = base_unit(declared.spelling);
    if (!base) {
      unit.fail(fmt::format("'{}' is not a unit; \"1\" stands for pure numbers", declared.spelling));
    }
    declared.metric.unit = *base;
    if (const auto better = renamed_for_base_unit(name, declared.spelling)) {
      unit.fail(fmt::format("the values of '{}' will be kept in {}: name it '{}'", name, *base, *better));
    }
  }

  static const std::vector<std::string> directions{"minimize", "maximize"};
  if (const auto direction = option("direction")) {
    declared.metric.direction =
        direction->one_of(directions) == "minimize" ? Direction::minimize : Direction::maximize;
  } else {
    declared.metric.direction = known.direction ? *known.direction
                                : need("direction").one_of(directions) == "minimize" ? Direction::minimize
                                                                                      : Direction::maximize;
  }
  if (const auto description = option("description")) declared.metric.description = description->text();
  if (const auto scale = option("scale")) {
    if (known.unit) scale->fail(fmt::format("the values of '{}' were scaled when they were imported", name));
    declared.scale = scale->number();
    if (declared.scale <= 0) scale->fail_wrong("greater than 0");
  }
  if (const auto word = option("source")) {
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

std::optional<std::string> base_unit(const std::string& spelling) {
  if (spelling == "1") return spelling;
  if (spelling.empty()) return std::nullopt;
  for (const std::string_view unit : base_units) {
    std::string problem;
    if (parse_quantity("1" + spelling, unit, problem)) return std::string(unit);
  }
  return std::nullopt;
}

std::optional<std::string> renamed_for_base_unit(const std::string& name, const std::string& spelling) {
  const std::optional<std::string> base = base_unit(spelling);
  const std::string suffix = "_" + lower_case(spelling);
  if (!base || spelling == *base || !lower_case(name).ends_with(suffix)) return std::nullopt;
  return name.substr(0, name.size() - suffix.size()) + "_" + lower_case(*base);
}

std::optional<double> to_base_unit(double value, const std::string& spelling, const std::string& unit,
                                   double scale) {
  if (!std::isfinite(value)) return std::nullopt;
  if (spelling != "1") {
    std::string problem;
    const std::optional<double> base = parse_quantity(shortest(value) + spelling, unit, problem);
    if (!base) return std::nullopt;
    value = *base;
  }
  value *= scale;
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::optional<double> DeclaredMetric::convert(double value) const {
  return to_base_unit(value, spelling, metric.unit, scale);
}

std::vector<DeclaredMetric> read_declared_metrics(const Config& config, Source metric_source,
                                                  std::initializer_list<std::string_view> more,
                                                  const MetricSource& known) {
  std::vector<DeclaredMetric> metrics;
  if (known && !config.is_map() && !config.is_null()) {
    for (const Config& name : config.items(true)) {
      if (!name.is_scalar()) name.fail("expected the name of a column");
      metrics.push_back(read_metric(name.text(), std::nullopt, name, metric_source, {}, known));
    }
    if (metrics.empty()) config.fail_wrong("a list or mapping of at least one column");
    return metrics;
  }
  if (!config.is_map() || config.size() == 0) {
    config.fail_wrong("a mapping from metrics to {unit: …, direction: minimize | maximize}");
  }
  std::vector<std::string> keys{"unit", "direction", "description", "scale"};
  keys.insert(keys.end(), more.begin(), more.end());
  for (const std::string& name : config.keys()) {
    const Config entry = config.at(name);
    metrics.push_back(read_metric(name, entry, entry, metric_source, keys, known));
  }
  return metrics;
}

}  // namespace duet
