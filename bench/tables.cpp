// How good a strategy is on tables in which every candidate has been evaluated already.
//
//   build/bench/bench/bench_tables STRATEGY PROBLEM TRIALS FIRST_SEED SEEDS [OPTIONS] [WINDOW]
//
//   PROBLEM   macro                       NAS-Bench-Macro, mean accuracy
//             macro/flops, macro/params   the same with a second objective
//             nb201/COLUMN                NAS-Bench-201, a column of nb201_accuracy.csv
//             nb201/COLUMN/DEVICE         with a column of nb201_latency_help.csv as a second objective
//             PROBLEM:0.3                 only the designs up to the quantile 0.3 of the last column are feasible
//             PROBLEM?0.3                 the same, and that column is no objective
//   OPTIONS   of the strategy, as YAML: "{population: 48}"
//
// Prints the median over the seeds: one objective: regret (in the column's unit); two: the hypervolume as a share of that
// of the true front, and the share of its points that were found; objectives normalised to their range in the whole
// table, reference point (1, 1). The tables are those of DUET_TEST_DATA (tests/README.md).

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include "core/pareto.hpp"
#include "tests/contracts/strategy_contract.hpp"
#include "tests/search/table.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

int main_of(const std::vector<std::string>& arguments) {
  const std::size_t sign = std::min(arguments.at(1).find_first_of(":?"), arguments[1].size());
  testing::TableProblem table = testing::table_problem(arguments[1].substr(0, sign));
  if (sign < arguments[1].size()) {
    table = testing::bounded(std::move(table), std::stod(arguments[1].substr(sign + 1)), arguments[1][sign] == ':');
  }
  Catalog<StrategyPlugin> catalog("strategy");
  add_builtin_strategies(catalog);
  const StrategyPlugin& plugin = catalog.at(arguments.at(0));
  contracts::DriveSettings settings;
  settings.trials = std::stoull(arguments.at(2));
  const std::uint64_t first_seed = std::stoull(arguments.at(3));
  const std::uint64_t seeds = std::stoull(arguments.at(4));
  if (arguments.size() > 5) settings.options = arguments[5];
  if (arguments.size() > 6) settings.window = std::stoull(arguments[6]);

  const std::vector<std::size_t> checkpoints{25, 50, 75, 100, 150, 200, 300, 500, 1000};
  std::vector<std::vector<double>> scores(checkpoints.size()), shares(checkpoints.size()), wasted(checkpoints.size());
  const auto begin = std::chrono::steady_clock::now();
  for (settings.seed = first_seed; settings.seed < first_seed + seeds; ++settings.seed) {
    contracts::StrategyDriver driver(plugin, table.problem, settings);
    driver.run();
    for (const std::string& breach : driver.breaches()) fmt::print("{}\n", breach);
    std::vector<Point> found;
    std::size_t told = 0;
    for (const contracts::DrivenTrial& trial : driver.trials()) {
      if (!trial.told) break;
      ++told;
      if (trial.finished.feasible()) found.push_back(trial.finished.objectives);
      const auto checkpoint = std::find(checkpoints.begin(), checkpoints.end(), told);
      if (checkpoint == checkpoints.end()) continue;
      const auto position = static_cast<std::size_t>(checkpoint - checkpoints.begin());
      scores[position].push_back(table.score(found));
      shares[position].push_back(table.share_of_front(found));
      wasted[position].push_back(1 - static_cast<double>(found.size()) / static_cast<double>(told));
    }
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (std::size_t i = 0; i < checkpoints.size(); ++i) {
    if (scores[i].empty()) continue;
    std::vector<double> sorted = scores[i];
    std::sort(sorted.begin(), sorted.end());
    fmt::print("{:>5} trials  median {:.5f}  quartiles {:.5f} {:.5f}  mean {:.5f}", checkpoints[i], median(sorted),
               sorted[sorted.size() / 4], sorted[sorted.size() * 3 / 4],
               std::accumulate(sorted.begin(), sorted.end(), 0.0) / static_cast<double>(sorted.size()));
    if (table.problem.objectives.size() > 1) fmt::print("  share of the front {:.3f}", median(shares[i]));
    if (table.problem.constrained) fmt::print("  infeasible {:.3f}", median(wasted[i]));
    fmt::print("\n");
  }
  fmt::print("{} {} seeds {}..{}: {:.2f} s per run\n", arguments[0], arguments[1], first_seed, first_seed + seeds - 1,
             seconds / static_cast<double>(seeds));
  return 0;
}

}  // namespace
}  // namespace duet

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fputs("usage: bench_tables STRATEGY PROBLEM TRIALS FIRST_SEED SEEDS [OPTIONS] [WINDOW]\n", stderr);
    return 2;
  }
  return duet::main_of({argv + 1, argv + argc});
}
