#pragma once
/// Metrics that the user declares in the experiment file, for estimators that cannot know them themselves.
///
///   metrics:
///     latency_s: {unit: ms, direction: minimize, description: On the phone.}

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.hpp"
#include "core/evaluation.hpp"

namespace duet {

/// A metric and how its numbers are written where they come from.
struct DeclaredMetric {
  Metric metric;         ///< its unit is a base unit
  std::string spelling;  ///< the unit of the numbers outside: "ms"; "1": pure numbers
  double scale = 1;      ///< they are multiplied by this too
  Config config;         ///< where it was declared

  /// A number from outside in the base unit; 2.5 with "ms" is the double nearest to 0.0025. Nothing beyond
  /// the range of double.
  std::optional<double> convert(double value) const;
};

/// Reads the mapping from names to {unit, direction, description, scale} and whatever keys `more` names; unit
/// and direction must be there. `source` is every metric's, unless `more` has a key "source" and it is given.
/// \throws ConfigError for an empty mapping, a name that is no identifier or names another unit than its
/// values will have, an unknown unit, direction or key, a scale that is not positive.
std::vector<DeclaredMetric> read_declared_metrics(const Config& config, Source source,
                                                  std::initializer_list<std::string_view> more = {});

}  // namespace duet
