#pragma once
/// The experiment file: YAML in, everything that a run needs out. docs/experiment_file.md is its manual.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/config.hpp"
#include "estimators/estimator.hpp"
#include "estimators/process.hpp"
#include "experiments/store.hpp"
#include "search/strategy.hpp"
#include "spaces/design_space.hpp"

namespace duet {

/// All plug-ins that are known to this process.
struct Registry {
  Catalog<SpacePlugin> spaces{"space"};
  Catalog<EstimatorPlugin> estimators{"estimator"};
  Catalog<StrategyPlugin> strategies{"strategy"};
  /// How to start a process that knows the same plug-ins and calls serve_worker(); nothing: `isolation: process` is
  /// refused.
  std::optional<Process> worker = {};
};

/// Everything that comes with duet.
Registry builtin_registry();

/// One of the metrics that the search pursues.
struct SearchObjective {
  std::size_t metric = 0;  ///< position in Specification::metrics
  Direction direction = Direction::minimize;
};

struct Budget {
  std::uint64_t trials = 0;      ///< original trials (duplicates cost nothing); at least 1
  std::optional<double> time_s;  ///< wall-clock; ends a run, never steers it
  std::optional<double> simulated_s;  ///< of the simulated clock (experiments/simulated_clock.hpp)

  static constexpr std::uint64_t default_trials = 1'000'000;  ///< where only simulated_s is given
};

/// A parsed and checked experiment. Movable; its objects refer to each other through stable addresses.
struct Specification {
  std::string name;
  std::uint64_t seed = 0;
  std::filesystem::path output;     ///< the database
  std::string text;                 ///< of the file, as written
  std::string identity;             ///< canonical form of all that determines the rows: not name, output and budget
  std::filesystem::path directory;  ///< of the file

  std::unique_ptr<DesignSpace> space;

  struct Scorer {
    std::string name;               ///< of the plug-in
    std::unique_ptr<Estimator> estimator;
    Fingerprint identity;           ///< name, version, options, seed: part of cache keys
    Options options;
    std::size_t first_metric = 0;   ///< where its metrics begin in Specification::metrics
  };
  std::vector<Scorer> scorers;
  std::vector<StoredMetric> metrics;  ///< of all scorers, one after the other
  std::vector<SearchObjective> objectives;
  std::vector<Expression> constraints;  ///< over metrics, by position

  const StrategyPlugin* strategy = nullptr;
  Options strategy_options;
  Budget budget;
  std::size_t window = 8;
  std::uint64_t max_duplicates = 1000;
  std::vector<Candidate> initial;        ///< those of a warm start last
  std::string warm_start;                ///< what came of it, in a sentence; empty: none
  std::size_t warm_start_dropped = 0;    ///< designs that were not in this space

  /// What a strategy is given.
  Problem problem() const;
  /// The row of the experiments table (id, created_at and machine are left to the caller).
  ExperimentRecord record() const;
  /// Objective values of a trial, all to be minimised.
  std::vector<double> objective_values(const std::vector<double>& metric_values) const;
  /// Of each constraint on metrics, what it lacks (> 0) or has left (≤ 0).
  std::vector<double> excess(const std::vector<double>& metric_values) const;
  /// Sum of the violations of all constraints on metrics; 0: feasible.
  double violation(const std::vector<double>& metric_values) const;
};

/// Values that the command line or a tournament puts in the place of the file's.
struct Overrides {
  std::optional<std::uint64_t> seed;
  std::optional<std::uint64_t> trials;
  std::optional<std::string> output;
  std::optional<std::string> name;
  std::optional<std::size_t> window;
  std::optional<Config> search;  ///< the section; the file then needs none
};

/// Reads and checks the file, creates space and estimators, and makes sure that the strategy suits the problem.
/// The registry must outlive the result. \throws ConfigError with position
Specification load_specification(const std::filesystem::path& file, const Registry& registry,
                                 const Overrides& overrides = {});
Specification read_specification(const Config& config, const std::filesystem::path& directory,
                                 const Registry& registry, const Overrides& overrides = {});

/// In a process that was started as Registry::worker says: serves an estimator with `isolation: process`, until the
/// experiment's process closes the connection. \throws ConfigError if it was started by somebody else.
void serve_worker(const Registry& registry);

}  // namespace duet
