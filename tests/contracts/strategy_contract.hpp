#pragma once
/// The contract of search strategies (search/strategy.hpp) as executable checks, for the strategies that come
/// with duet and for plug-ins from outside:
///
///   TEST(MyStrategy, KeepsTheContract) { duet::contracts::expect_strategy_contract(my_plugin()); }
///
/// A check drives the strategy through a small loop that follows the same rules as an experiment.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "search/strategy.hpp"
#include "tests/contracts/watch.hpp"

namespace duet::contracts {

/// What became of a candidate.
struct Outcome {
  Status status = Status::ok;
  std::vector<double> objectives;
  double violation = 0;
  std::vector<double> excess = {};  ///< of each constraint on metrics; may be left out
};

/// A problem together with its evaluation.
struct TestProblem {
  std::string name;
  std::shared_ptr<const Space> space;
  std::vector<std::string> objectives;
  bool constrained = false;
  /// A pure function of the candidate and, for noisy problems, the trial's number.
  std::function<Outcome(const Candidate&, std::uint64_t number)> evaluate;

  Problem problem(std::uint64_t seed, std::size_t window) const;
};

/// Flat, conditional, repeated, constrained, mixed, multi-objective, noisy, failing, exhaustible problems.
std::vector<TestProblem> test_problems();
/// One of them. \throws std::out_of_range
TestProblem test_problem(const std::string& name);

/// How a strategy is driven.
struct DriveSettings {
  std::uint64_t seed = 1;
  std::size_t window = 1;
  std::uint64_t trials = 60;  ///< that are not duplicates, `initial` ones included
  std::size_t initial = 0;    ///< trials that the strategy is told of without having proposed them
  /// Asks for one proposal per call and tells one trial per call, where otherwise as much as the rules allow
  /// is put into one call.
  bool one_by_one = false;
  std::string options = "";  ///< of the strategy, as YAML; empty: all defaults
  /// A call that takes longer ends the process, with a sentence.
  double longest_call_s = 120;
};

/// A trial of a driven run.
struct DrivenTrial {
  std::uint64_t number = 0;
  Proposal proposal;
  FinishedTrial finished;  ///< meaningful once told
  bool told = false;
};

/// Runs a strategy on a problem by the rules of an experiment: trial t is asked for when exactly the trials
/// 1 … t - window have been told, in number order; where the strategy proposes less than it was asked for, it
/// is asked again after the next tell; a proposal equal to an earlier one is told with the earlier result.
class StrategyDriver {
 public:
  StrategyDriver(const StrategyPlugin& plugin, const TestProblem& problem, DriveSettings settings);

  /// One call of ask and of tell at most. \returns false when the run is over.
  bool step();
  /// Until the run is over.
  void run();

  const std::vector<DrivenTrial>& trials() const { return trials_; }
  /// The strategy had nothing more to propose.
  bool finished() const { return finished_; }
  /// Breaches of the contract seen so far, one sentence each. A run ends with its first breach.
  const std::vector<std::string>& breaches() const { return breaches_; }

  static constexpr std::size_t max_duplicates_in_a_row = 50;

 private:
  void append(Proposal proposal);
  void ask();
  void tell(std::size_t count);
  void breach(const std::string& sentence);
  std::size_t pending() const { return trials_.size() - told_; }

  TestProblem problem_;
  DriveSettings settings_;
  std::string plugin_, where_;
  std::unique_ptr<Strategy> strategy_;
  std::vector<DrivenTrial> trials_;
  std::size_t told_ = 0;
  std::uint64_t distinct_ = 0;
  std::size_t duplicates_in_a_row_ = 0;
  bool waiting_ = false;  // at a barrier, until the next tell
  bool finished_ = false;
  std::vector<std::string> breaches_;
  std::unique_ptr<Watchdog> watchdog_;  // drivers can be moved
};

/// A part of the contract.
struct StrategyCheck {
  std::string name;
  /// The breaches found, one sentence each; empty: none.
  std::function<std::vector<std::string>(const StrategyPlugin&)> run;
};

/// Every part that holds for any strategy.
std::vector<StrategyCheck> strategy_checks();

/// Whether the strategy finds better results than uniform sampling does in as many trials, or equal ones
/// (median of 20 seeds): for strategies that claim to learn.
std::vector<std::string> check_beats_sampling(const StrategyPlugin& plugin);

/// Runs all strategy_checks() and reports every breach as a GoogleTest failure.
void expect_strategy_contract(const StrategyPlugin& plugin);

}  // namespace duet::contracts
