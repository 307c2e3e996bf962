#pragma once
/// What a tournament says, as text, tables, charts and files.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "experiments/comparison.hpp"
#include "experiments/tournament.hpp"

namespace duet {

/// Everything that is concluded from the results.
struct Verdict {
  /// Over the problems that every entrant can take, options as written, values at the end of the budget; nothing if
  /// there is no such problem.
  std::optional<Comparison> overall;
  std::vector<std::size_t> common;      ///< those problems
  std::vector<Comparison> by_problem;   ///< each among the entrants that can take it
  std::vector<std::vector<std::size_t>> takers;  ///< by problem: those entrants
  std::optional<Lottery> lottery;       ///< if at least two entrants draw options
};

Verdict conclude(const Tournament& tournament, const TournamentResults& results);

/// For the terminal.
std::string summary_text(const Tournament& tournament, const TournamentResults& results, const Verdict& verdict);

/// Writes into the tournament's folder: report.html with everything, runs.csv and curves.csv, summary.json, and the charts
/// as SVG. \returns the files. \throws ConfigError if one cannot be written.
std::vector<std::filesystem::path> write_report(const Tournament& tournament, const TournamentResults& results,
                                                const Verdict& verdict);

}  // namespace duet
