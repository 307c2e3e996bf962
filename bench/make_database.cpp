// Makes a database of any size through the real loop and store: what to measure commands on that read results.
//
//   build/bench/bench/make_database million.db 1000000
//   command time -f '%e s, %M KiB' build/bench/bin/duet pareto million.db
//
// Random search in the space of nothing.hpp: 64 parameters, 2 metrics; a million trials take about a minute.

#include <charconv>
#include <cstdio>
#include <cstring>
#include <exception>

#include "bench/nothing.hpp"
#include "experiments/run.hpp"
#include "experiments/store.hpp"

int main(int argc, char** argv) {
  std::int64_t trials = 0;
  if (argc == 3) std::from_chars(argv[2], argv[2] + std::strlen(argv[2]), trials);
  if (trials < 1) {
    std::fputs("usage: make_database FILE TRIALS\n", stderr);
    return 2;
  }
  try {
    const duet::Registry known = duet::bench::registry();
    duet::Specification experiment = duet::bench::specification(known, "random", trials, 24);
    duet::Store store(argv[1], duet::Store::Mode::write);
    std::puts(duet::run(experiment, store, {}).sentence.c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
