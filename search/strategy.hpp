#pragma once
/// Search strategies. A strategy proposes candidates and is told what became of them; it never loops, never
/// reads a clock, and knows nothing of networks or hardware.
///
///   create(problem, options)
///        │
///        ▼          ┌──────────────── told once per trial, in number order ────────────────┐
///      ask(first, count, pending) ──→ proposals ──→ (scored elsewhere) ──→ tell(finished) ──┘
///
/// Both calls come from one thread. The experiment asks for trial t when exactly the trials 1 … t - window
/// have been told, so what a strategy does depends on nothing but the problem, its options and the results.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/evaluation.hpp"
#include "core/options.hpp"
#include "core/random.hpp"
#include "core/registry.hpp"
#include "core/space.hpp"

namespace duet {

/// What is to be solved. Every objective is to be minimised (the experiment negates those that are
/// maximised).
struct Problem {
  const Space* space = nullptr;         ///< outlives the strategy
  std::vector<std::string> objectives;  ///< names, for messages; at least one
  bool constrained = false;             ///< whether trials may carry a violation > 0
  std::uint64_t seed = 0;
  std::size_t window = 1;    ///< most trials that can be pending at once

  /// The random numbers of trial `number`; `purpose` separates streams of one trial.
  Random random(std::uint64_t number, std::string_view purpose = "proposal") const {
    return Random(seed, purpose, number);
  }
};

/// A candidate that the strategy wants scored.
struct Proposal {
  Candidate candidate;
  /// Numbers of the trials that it was made from, for the record of lineage; empty: made from nothing.
  std::vector<std::uint64_t> parents = {};
};

/// A trial that has been proposed and not been told yet.
struct PendingTrial {
  std::uint64_t number = 0;
  Candidate candidate;
};

/// A trial that is over.
struct FinishedTrial {
  std::uint64_t number = 0;
  Candidate candidate;
  Status status = Status::ok;
  std::vector<double> objectives;  ///< to be minimised, finite; empty unless status is ok
  double violation = 0;            ///< of the constraints on metrics, summed, ≥ 0; 0: feasible
  /// The candidate had been proposed before: the result is that of this earlier trial.
  std::optional<std::uint64_t> duplicate_of;
  /// Of each constraint on metrics, in the problem's order: by how much it is not met (> 0), or what is left to its bound
  /// (≤ 0); finite or infinite, never NaN. Empty unless status is ok, and where only `violation` is known.
  std::vector<double> excess = {};

  bool ok() const { return status == Status::ok; }
  bool feasible() const { return ok() && violation <= 0; }
};

class Strategy {
 public:
  virtual ~Strategy() = default;

  /// Up to `count` proposals, which become trials `first`, `first` + 1, …. Fewer, or none, mean a barrier:
  /// the strategy waits for pending trials and is asked again after the next tell. With nothing pending, none
  /// means that it has finished. `pending` is complete.
  virtual std::vector<Proposal> ask(std::uint64_t first, std::size_t count,
                                    std::span<const PendingTrial> pending) = 0;

  /// Trials that have finished since the last call, in number order, each exactly once, failures and
  /// duplicates included. Trials that the strategy did not propose (`initial` designs) come with numbers
  /// below its own.
  virtual void tell(std::span<const FinishedTrial> finished) = 0;

  /// Numbers of the trials that it builds on at present, for reports and tests; empty where it keeps no population.
  virtual std::vector<std::uint64_t> population() const { return {}; }
};

/// What a strategy can handle; an unsuitable problem is refused before the run.
struct Capabilities {
  std::size_t max_objectives = 1;
  bool constraints = false;  ///< uses FinishedTrial::violation
  bool reals = true;         ///< real parameters
  bool conditional = true;   ///< parameters with parents
};

struct StrategyPlugin {
  std::string name;     ///< as in YAML
  std::string summary;  ///< one sentence
  std::string source;   ///< where it was published
  std::vector<Option> options;
  Capabilities capabilities;
  /// \throws ConfigError if the options do not suit the problem.
  std::function<std::unique_ptr<Strategy>(const Problem&, const Options&)> create;
};

/// One sentence that says why this strategy cannot take this problem, or nothing.
std::optional<std::string> why_unsuitable(const StrategyPlugin& plugin, const Problem& problem);

/// All strategies that come with duet.
void add_builtin_strategies(Catalog<StrategyPlugin>& catalog);

}  // namespace duet
