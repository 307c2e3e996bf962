#pragma once
/// Strategies against each other: every strategy on every problem with every seed, as ordinary experiments that can be
/// looked into, and what became of them over the evaluations. docs/tournament.md is the manual.
///
///   read_tournament(file)  →  run(tournament)  →  results  →  compare (comparison.hpp)  →  write_report (report.hpp)

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/config.hpp"
#include "core/pareto.hpp"
#include "core/space.hpp"
#include "experiments/specification.hpp"

namespace duet {

/// A strategy that takes part.
struct Entrant {
  std::string name;
  Config search;           ///< as in an experiment file
  Space vary;              ///< options that are drawn, by name; empty: none
  std::size_t draws = 0;   ///< how many sets of options are drawn, besides the one written down
};

/// What a problem's results are measured by.
struct Yardstick {
  enum class Kind { automatic, exhaustive, seen, optimum, front };
  Kind kind = Kind::automatic;
  std::optional<Config> optimum;  ///< kind optimum: a quantity of the metric, in its own direction
  std::filesystem::path front;    ///< kind front: CSV with a column per objective, in base units where it says none
};

/// A problem is an experiment file whose `search` is left out of account.
struct Contest {
  std::string name;
  std::filesystem::path file;
  std::optional<std::uint64_t> trials;  ///< in the place of the file's budget
  std::optional<std::size_t> window;    ///< in the place of the file's
  Yardstick yardstick;
};

struct Tournament {
  std::string name;
  std::filesystem::path output;  ///< folder: a database per problem, and the report
  std::vector<std::uint64_t> seeds;
  std::vector<Entrant> entrants;
  std::vector<Contest> problems;
  std::vector<std::uint64_t> checkpoints;  ///< evaluations at which tables are made; the budget is always one
  double alpha = 0.05;                     ///< level of significance
};

/// Whether a file is meant as a tournament: a mapping with the key `problems`. \throws ConfigError if it is not YAML.
bool is_tournament(const std::filesystem::path& file);
/// \throws ConfigError with position
Tournament load_tournament(const std::filesystem::path& file, const Registry& registry);

/// How good a problem's results can be. All objectives minimised, infeasible designs left out.
struct Reference {
  std::vector<std::string> objectives;  ///< "accuracy (maximize)"
  std::string unit;                     ///< of the only objective
  std::vector<Point> front;             ///< mutually non-dominated; one objective: the optimum
  Point low, high;                      ///< several objectives: the range that is scaled to [0, 1]
  double hypervolume = 0;               ///< of the front, scaled, bounded by (1, …, 1)
  std::string origin;                   ///< "all 6561 designs", "the best of all runs", …

  bool single() const { return objectives.size() == 1; }
  /// Distance of a set of results from the best: for one objective the regret in its unit, for several one minus the
  /// share of the hypervolume. Infinity (regret) or 1 for no results.
  double gap(std::span<const Point> results) const;
};

/// One run.
struct ContestRun {
  std::size_t problem = 0, entrant = 0;
  std::size_t draw = 0;        ///< 0: the options as written, from 1: drawn
  std::size_t seed = 0;        ///< position in Tournament::seeds
  std::vector<double> gaps;    ///< by checkpoint of its problem
  double found = 0;            ///< share of the reference's front among its results
  double strategy_s = 0;       ///< time spent in the strategy (measured)
  double total_s = 0;          ///< time of the whole run (measured)
  std::uint64_t evaluations = 0;
};

struct TournamentResults {
  std::vector<Reference> references;                    ///< by problem
  std::vector<std::vector<std::uint64_t>> checkpoints;  ///< by problem: evaluations, ascending, the budget last
  std::vector<ContestRun> runs;                         ///< ascending by problem, entrant, draw, seed
  /// Entrants that cannot take a problem: "cma_es on macro: strategy 'cma_es' needs …". They have no runs there.
  std::vector<std::string> refusals;
  bool stopped = false;  ///< before all runs were over; nothing else is filled in

  /// The run, or nullptr.
  const ContestRun* find(std::size_t problem, std::size_t entrant, std::size_t draw, std::size_t seed) const;
};

struct TournamentOptions {
  std::size_t workers = 1;  ///< runs at the same time
  std::stop_token stop = {};
  std::function<void(std::size_t done, std::size_t all, const std::string& run)> on_run = {};  ///< from one thread at a time
};

/// Does what is left to be done: finished runs are taken from the databases. The results do not depend on the number of
/// workers. \throws ConfigError, StoreError
TournamentResults run(const Tournament& tournament, const Registry& registry, const TournamentOptions& options);

/// Reads every problem's experiment with every strategy that suits it, and runs nothing. \throws ConfigError
void check(const Tournament& tournament, const Registry& registry);

/// The options of draw `draw` (from 1), as a `search` section.
Config drawn_search(const Entrant& entrant, std::size_t draw);

}  // namespace duet
