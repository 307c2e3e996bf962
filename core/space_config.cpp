#include <cmath>

#include <fmt/format.h>

#include "core/errors.hpp"
#include "core/space.hpp"
#include "core/units.hpp"

namespace duet {
namespace {

constexpr std::string_view kinds[] = {"choice", "ordinal", "integer", "real", "group", "repeat"};

std::vector<SpaceNode> read_children(const Config& config);

std::pair<double, double> read_bounds(const Config& bounds, const std::string& unit) {
  if (!bounds.is_sequence() || bounds.size() != 2) bounds.fail("expected [minimum, maximum]");
  const double minimum = bounds.at(std::size_t{0}).quantity(unit);
  const double maximum = bounds.at(std::size_t{1}).quantity(unit);
  if (minimum > maximum) bounds.fail("the minimum is above the maximum");
  return {minimum, maximum};
}

SpaceNode read_node(const std::string& name, const Config& config) {
  if (!config.is_map()) config.fail("expected a mapping with one of: choice, ordinal, integer, real, group, repeat");
  std::string kind;
  for (const std::string_view candidate : kinds) {
    if (!config.has(candidate)) continue;
    if (!kind.empty()) config.fail(fmt::format("'{}' is both '{}' and '{}'", name, kind, candidate));
    kind = candidate;
  }
  if (kind.empty()) {
    config.allow_only({"choice", "ordinal", "integer", "real", "group", "repeat", "of", "unit", "log", "description"});
    config.fail(fmt::format("parameter '{}' needs one of: choice, ordinal, integer, real, group, repeat", name));
  }
  const Config value = config.at(kind);
  const std::string description = config.has("description") ? config.at("description").text() : "";
  std::string unit = "1";
  if (const auto given = config.find("unit")) {
    unit = given->text();
    if (!is_known_unit(unit)) given->fail("unknown unit '" + unit + "'");
  }
  const bool logarithmic = config.has("log") && config.at("log").boolean();

  if (kind == "choice") {
    config.allow_only({"choice", "description"});
    std::vector<OptionNode> options;
    if (value.is_sequence()) {
      for (const Config& option : value.items()) options.push_back({option.text(), {}});
    } else if (value.is_map()) {
      for (const std::string& option : value.keys()) {
        const Config children = value.at(option);
        options.push_back({option, children.is_null() ? std::vector<SpaceNode>{} : read_children(children)});
      }
    } else if (!value.is_null()) {
      value.fail("expected a list of options, or a mapping from option to its parameters");
    }
    if (options.empty()) value.fail(fmt::format("choice '{}' has no options", name));
    return choice(name, std::move(options), description);
  }
  if (kind == "ordinal") {
    config.allow_only({"ordinal", "unit", "description"});
    if (!value.is_sequence() || value.size() == 0) value.fail("expected a list of ascending numbers");
    std::vector<double> values;
    for (const Config& item : value.items()) {
      values.push_back(item.quantity(unit));
      if (values.size() > 1 && values[values.size() - 2] >= values.back()) {
        item.fail("values of an ordinal must ascend, each once");
      }
    }
    return ordinal(name, std::move(values), unit, description);
  }
  if (kind == "integer" || kind == "real") {
    config.allow_only({"integer", "real", "unit", "log", "description"});
    const auto [minimum, maximum] = read_bounds(value, unit);
    if (logarithmic && minimum <= 0) value.fail("a logarithmic parameter must have a minimum above 0");
    if (kind == "real") return real(name, minimum, maximum, unit, description, logarithmic);
    constexpr double largest = 9007199254740992.0;
    if (std::floor(minimum) != minimum || std::floor(maximum) != maximum || std::abs(minimum) > largest ||
        std::abs(maximum) > largest) {
      value.fail("an integer parameter must have whole bounds below 2^53");
    }
    return integer(name, static_cast<std::int64_t>(minimum), static_cast<std::int64_t>(maximum), unit, description,
                   logarithmic);
  }
  if (kind == "group") {
    config.allow_only({"group", "description"});
    return group(name, read_children(value), description);
  }
  config.allow_only({"repeat", "of", "description"});
  const Config of = config.at("of");
  if (value.is_scalar()) {
    const std::int64_t copies = value.integer(0, 10'000);
    return repeat(name, integer("count", copies, copies), read_children(of), description);
  }
  // The count is a parameter beside the copies: {depth: {integer: [1, 4]}}.
  if (!value.is_map() || value.size() != 1) {
    value.fail("expected a whole number, or the parameter that says how many: {depth: {integer: [1, 4]}}");
  }
  const std::string count = value.keys().front();
  return repeat(name, read_node(count, value.at(count)), read_children(of), description);
}

std::vector<SpaceNode> read_children(const Config& config) {
  if (!config.is_map()) config.fail("expected a mapping from names to parameters");
  std::vector<SpaceNode> nodes;
  for (const std::string& name : config.keys()) nodes.push_back(read_node(name, config.at(name)));
  return nodes;
}

}  // namespace

std::vector<SpaceNode> read_space_nodes(const Config& config) {
  std::vector<SpaceNode> nodes = read_children(config);
  try {
    const Space compiled(nodes);  // whatever else can be wrong is reported here, with a position
  } catch (const ConfigError& error) {
    config.fail(error.what());
  }
  return nodes;
}

}  // namespace duet
