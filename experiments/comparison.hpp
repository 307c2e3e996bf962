#pragma once
/// Who won, and how sure that is: rank statistics over the final values of repeated runs (core/statistics.hpp).

#include <cstddef>
#include <string>
#include <vector>

namespace duet {

/// The final values of every run; smaller is better, infinite where a run found nothing feasible.
struct RunValues {
  std::vector<std::string> strategies;  ///< k ≥ 1
  std::vector<std::string> problems;    ///< at least one
  std::vector<std::vector<std::vector<double>>> values;  ///< by problem, strategy, seed; all of n seeds
};

/// Two strategies compared over all runs, paired by problem and seed.
struct Pair {
  std::size_t a = 0, b = 0;        ///< positions in RunValues::strategies, a < b
  double nemenyi_p = 1;            ///< of the difference of their mean ranks
  double wilcoxon_p = 1;           ///< signed ranks, two-sided
  double holm_p = 1;               ///< the same, adjusted for the number of pairs
  double probability_smaller = 0;  ///< Vargha and Delaney's A for a against b, averaged over the problems
};

struct Comparison {
  std::size_t blocks = 0;           ///< problems × seeds: one rank of each strategy in each
  std::vector<double> mean_ranks;   ///< by strategy; 1 is best
  double friedman_p = 1;            ///< two strategies: Wilcoxon's
  double critical_difference = 0;   ///< of mean ranks, Nemenyi at `alpha`
  std::vector<Pair> pairs;          ///< all, in order of a, then b
  std::size_t best = 0;             ///< the strategy of the smallest mean rank
  /// The strategies that are not significantly worse than the best one: the overall test is significant, and their
  /// pair's Holm-adjusted p is not; or everybody, where the overall test is not significant.
  std::vector<std::size_t> leaders;
  bool significant = false;         ///< the strategies differ (friedman_p < alpha)
  double power = 0;                 ///< probability that a large difference between two (A = 0.71) would be found
  std::vector<std::string> warnings;
};

/// So that problems of different scales can be put together, the signed-rank test compares ranks among all runs of a
/// problem instead of the values themselves. Conclusions hold for these problems; other problems are another matter.
Comparison compare(const RunValues& runs, double alpha = 0.05);

/// ArchGym's hyperparameter lottery (Krishnan et al., ISCA 2023) as a number: how much of what decides a run is the luck
/// of its hyperparameters, and how much the choice of the strategy.
struct Lottery {
  struct Entry {
    std::string strategy;
    std::vector<double> scores;  ///< one per draw: mean over problems of the draw's median, as a rank in [0, 1]; 0 is best
  };
  std::vector<Entry> entries;
  /// Share of the variance of all scores that is between draws of one strategy: 0: the strategy decides, 1: the draw.
  double share = 0;
  /// Probability that a random draw of another strategy beats a random draw of the strategy whose median draw is best.
  double upset = 0;
};
/// `values` by problem, strategy, draw: the median final value over the seeds. Requires two strategies with two draws.
Lottery lottery(const std::vector<std::string>& strategies,
                const std::vector<std::vector<std::vector<double>>>& values);

}  // namespace duet
