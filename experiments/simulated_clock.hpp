#pragma once
/// The simulated clock: what the trials of an experiment would have cost had their designs really been evaluated.
///
/// It is the plain sum of the metric `simulated_s` over the trials in number order: device time, not elapsed time.
/// Duplicates and trials without values cost nothing. So it depends on rows only, never on workers or the window.

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "experiments/store.hpp"

namespace duet {

class SimulatedClock {
 public:
  explicit SimulatedClock(const std::vector<StoredMetric>& metrics) {
    const auto found = std::find_if(metrics.begin(), metrics.end(), [](const StoredMetric& stored) {
      return stored.metric.name == simulated_cost_metric;
    });
    if (found != metrics.end()) metric_ = static_cast<std::size_t>(found - metrics.begin());
  }

  /// Whether the experiment has the metric.
  bool exists() const { return metric_.has_value(); }
  /// Takes the next trial; returns the time after it, in s.
  double tell(const TrialRecord& trial) {
    if (metric_ && !trial.duplicate_of && *metric_ < trial.values.size()) now_s_ += trial.values[*metric_];
    return now_s_;
  }
  double now_s() const { return now_s_; }

 private:
  std::optional<std::size_t> metric_;
  double now_s_ = 0;
};

}  // namespace duet
