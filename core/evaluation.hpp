#pragma once
/// What is known of a design once it has been scored.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace duet {

enum class Direction { minimize, maximize };

/// Where a metric's value comes from. `measured` values are physical measurements (time on a clock) and are the only
/// ones that may differ between two runs of the same file.
enum class Source { analytical, learned, measured, trained, table, external };

std::string_view to_string(Direction direction);
std::string_view to_string(Source source);

/// A quantity that an estimator reports.
struct Metric {
  std::string name;  ///< snake_case, with its unit as suffix where it has one: "latency_s"
  std::string unit;  ///< see core/units.hpp
  Direction direction = Direction::minimize;  ///< which way is better, unless an experiment says otherwise
  Source source = Source::analytical;
  std::string description;
};

/// Name of the metric, in s, that says what an evaluation would have cost had it really been done. An experiment adds it
/// up over its trials: the simulated clock.
inline constexpr std::string_view simulated_cost_metric = "simulated_s";

/// How the scoring of a design ended.
enum class Status {
  ok,         ///< every metric has a finite value
  failed,     ///< the estimator could not score it; `reason` says why
  timed_out,  ///< it took longer than allowed
  invalid,    ///< a hard constraint or the space itself rules it out; it was not scored
};

std::string_view to_string(Status status);

/// The scores of one design by one estimator, or by all estimators of an experiment together.
struct Evaluation {
  Status status = Status::ok;
  std::string reason;           ///< one sentence, empty if ok
  std::vector<double> values;   ///< in the order of the estimator's metrics(); empty unless ok
  bool cached = false;          ///< came out of a cache
  double duration_s = 0;        ///< wall-clock time spent (measured)

  static Evaluation failure(std::string reason, Status status = Status::failed) {
    return {status, std::move(reason), {}, false, 0};
  }
};

}  // namespace duet
