#include "search/strategy.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace duet {

std::optional<std::string> why_unsuitable(const StrategyPlugin& plugin, const Problem& problem) {
  const Capabilities& can = plugin.capabilities;
  if (problem.objectives.size() > can.max_objectives) {
    return fmt::format("strategy '{}' handles {}{} objective{}, not {} ({})", plugin.name,
                       can.max_objectives == 1 ? "" : "at most ", can.max_objectives,
                       can.max_objectives == 1 ? "" : "s", problem.objectives.size(),
                       fmt::join(problem.objectives, ", "));
  }
  if (problem.constrained && !can.constraints) {
    return fmt::format("strategy '{}' does not handle constraints on metrics", plugin.name);
  }
  for (const Parameter& parameter : problem.space->parameters()) {
    if (!can.reals && !parameter.discrete()) {
      return fmt::format("strategy '{}' does not handle real parameters such as '{}'", plugin.name,
                         parameter.path);
    }
    if (!can.conditional && parameter.parent) {
      return fmt::format(
          "strategy '{}' does not handle conditional parameters such as '{}', which exists for some values "
          "of '{}' only",
          plugin.name, parameter.path, (*problem.space)[*parameter.parent].path);
    }
  }
  return std::nullopt;
}

}  // namespace duet
