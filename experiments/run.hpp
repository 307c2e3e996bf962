#pragma once
/// The one loop: asks the strategy, has designs scored, stores the trials, tells the strategy.

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "experiments/specification.hpp"
#include "experiments/store.hpp"

namespace duet {

struct RunOptions {
  std::size_t workers = 1;
  std::stop_token stop = {};  ///< ends the run soon; trials in flight are abandoned (and done again on resume)
  /// After each trial has been told, in number order, stored ones included.
  std::function<void(const TrialRecord&, bool replayed)> on_trial = {};
  /// A sentence worth the user's attention.
  std::function<void(const std::string&)> on_warning = {};
  /// In the worker, before a trial is scored: tests use it to shuffle the order in which trials finish.
  std::function<void(std::uint64_t number)> before_scoring = {};
};

struct RunSummary {
  enum class End { budget, time, exhausted, duplicates, stopped };
  End end = End::budget;
  std::string sentence;        ///< why it ended, for people
  std::uint64_t trials = 0;    ///< told in all
  std::uint64_t originals = 0;
  std::uint64_t replayed = 0;  ///< of them taken from the database
  double duration_s = 0;
  double strategy_s = 0;       ///< of it spent in the strategy
  std::optional<double> simulated_s;  ///< what the simulated clock shows, if there is one
};

/// Runs or resumes the experiment in an open store. Stored trials are replayed through a fresh strategy: only proposals
/// are recomputed. \throws StoreError if the store holds an experiment of this name with another specification, or if a
/// recomputed proposal differs from the stored one.
RunSummary run(Specification& specification, Store& store, const RunOptions& options);

/// Scores one design with every estimator of the specification, as a trial would be (status, reason, all metrics).
Evaluation score(const Specification& specification, const Design& design, std::stop_token stop = {});

}  // namespace duet
