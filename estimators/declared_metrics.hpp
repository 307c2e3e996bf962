#pragma once
/// Metrics that the user declares in the experiment file, for estimators that cannot know them themselves.
///
///   metrics:
///     latency_s: {unit: ms, direction: minimize, description: On the phone.}

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.hpp"
#include "core/evaluation.hpp"

namespace duet {

/// The unit that quantities written with `spelling` are kept in: "ms" → "s", "%" → "1". Nothing: not a unit.
std::optional<std::string> base_unit(const std::string& spelling);
/// "lat_ms" → "lat_s": a name whose suffix is the unit `spelling`, for values that are kept in another. Nothing: it does
/// not say.
std::optional<std::string> renamed_for_base_unit(const std::string& name, const std::string& spelling);
/// A number of the unit `spelling` in `unit`, its base unit, times `scale`; 2.5 with "ms" is the double nearest to
/// 0.0025. Nothing for what is not finite or leaves the range of double.
std::optional<double> to_base_unit(double value, const std::string& spelling, const std::string& unit,
                                   double scale = 1);

/// What the source of a metric says of it, so that the user need not.
struct KnownMetric {
  std::optional<std::string> unit;  ///< base unit that its numbers are in
  std::optional<Direction> direction;
  std::string description;
};

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

/// What is known of a metric before the user speaks: its name, and what stands under it (nothing in a list of names).
using MetricSource = std::function<KnownMetric(const std::string& name, const std::optional<Config>& entry)>;

/// Reads the mapping from names to {unit, direction, description, scale} and whatever keys `more` names; unit
/// and direction must be there, unless `known` has them: then a plain list of names will do too, and a unit or scale
/// that contradicts is refused. `metric_source` is every metric's, unless `more` has a key "source" and it is given.
/// \throws ConfigError for an empty mapping, a name that is no identifier or names another unit than its
/// values will have, an unknown unit, direction or key, a scale that is not positive.
std::vector<DeclaredMetric> read_declared_metrics(const Config& config, Source metric_source,
                                                  std::initializer_list<std::string_view> more = {},
                                                  const MetricSource& known = {});

}  // namespace duet
