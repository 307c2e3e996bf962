#pragma once
/// What is shown while an experiment runs.

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "core/pareto_archive.hpp"
#include "experiments/simulated_clock.hpp"
#include "experiments/specification.hpp"

namespace duet::cli {

/// One live line on a terminal, plain log lines elsewhere. Not thread-safe: called from the run's thread.
class Progress {
 public:
  Progress(const Specification& specification, std::FILE* stream);
  void on_trial(const TrialRecord& trial, bool replayed);
  void warn(const std::string& sentence);
  /// Ends the live line.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  std::string line() const;
  void show(bool last);

  const Specification& specification_;
  std::FILE* stream_;
  bool terminal_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_{};
  std::uint64_t told_ = 0, shown_told_ = 0, originals_ = 0, replayed_ = 0, failed_ = 0, infeasible_ = 0;
  std::uint64_t replayed_originals_ = 0;
  SimulatedClock simulated_;
  double replayed_simulated_s_ = 0;
  std::string last_reason_;
  bool warned_of_failures_ = false;
  ParetoArchive front_;                 ///< objectives, all minimised
  Point ideal_, nadir_;                 ///< of all feasible trials
};

}  // namespace duet::cli
