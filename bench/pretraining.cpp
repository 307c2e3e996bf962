// What learning from free statistics is worth (tests/search/pretraining.hpp): with and without `pretrain`.
//
//   build/bench/bench/bench_pretraining TABLE PREDICTOR FIRST_SEED SEEDS [tau]
//
//   TABLE       macro (NAS-Bench-Macro) or accel (Accel-NASBench), accuracy
//   PREDICTOR   gp, forest, ridge or network
//
// Prints medians over the seeds: Kendall's tau on 500 unseen designs after 20, 50, 100 and 200 random ones, and, unless
// `tau` says that this is enough, the regret in % after 50, 100 and 200 evaluations of a search in the table that takes
// what is predicted best. The tables are those of DUET_TEST_DATA (tests/README.md).

#include <cstdio>
#include <cstdlib>
#include <string>

#include <fmt/format.h>

#include "tests/search/pretraining.hpp"

int main(int argc, char** argv) {
  using namespace duet;
  if (argc < 5) {
    std::fputs("usage: bench_pretraining TABLE PREDICTOR FIRST_SEED SEEDS [tau]\n", stderr);
    return 2;
  }
  const testing::Pool pool = std::string(argv[1]) == "macro" ? testing::macro_pool() : testing::accel_pool();
  const Predictor::Kind kind = Predictor::kind(argv[2]);
  const std::uint64_t first = std::stoull(argv[3]), seeds = std::stoull(argv[4]);
  for (const std::size_t pretrain : {0, 256}) {
    std::vector<std::vector<double>> correlations(4), regrets(3);
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
      const std::vector<double> tau = testing::rank_correlations(pool, kind, pretrain, {20, 50, 100, 200}, seed);
      for (std::size_t i = 0; i < tau.size(); ++i) correlations[i].push_back(tau[i]);
      if (argc > 5) continue;
      const std::vector<double> regret = testing::pool_regrets(pool, kind, pretrain, {50, 100, 200}, seed);
      for (std::size_t i = 0; i < regret.size(); ++i) regrets[i].push_back(regret[i]);
    }
    fmt::print("{} {} seeds {}..{} pretrain {:>3}: tau", argv[1], argv[2], first, first + seeds - 1, pretrain);
    for (const auto& values : correlations) fmt::print(" {:.3f}", median(values));
    if (argc == 5) {
      fmt::print("; regret");
      for (const auto& values : regrets) fmt::print(" {:.3f}", median(values));
    }
    fmt::print("\n");
  }
  return 0;
}
