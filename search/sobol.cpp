#include <algorithm>
#include <boost/random/sobol.hpp>
#include <limits>

#include "search/builtin.hpp"
#include "search/design_of_experiments.hpp"

namespace duet {
namespace {

std::uint32_t reverse_bits(std::uint32_t x) {
  x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
  x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
  x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
  x = (x >> 8 & 0x00ff00ffu) | (x & 0x00ff00ffu) << 8;
  return x >> 16 | x << 16;
}

/// Nested uniform scrambling of the digits (Owen 1995), by a hash in which each bit depends on those above it only:
/// Burley, "Practical hash-based Owen scrambling", J. Computer Graphics Techniques 9(4), 2020, with the function of
/// Laine and Karras (Eurographics Symposium on Rendering 2011).
std::uint32_t scramble(std::uint32_t x, std::uint32_t seed) {
  x = reverse_bits(x);
  x += seed;
  x ^= x * 0x6c50b47cu;
  x ^= x * 0xb82f1e52u;
  x ^= x * 0xc7afe638u;
  x ^= x * 0x8d22f6e6u;
  return reverse_bits(x);
}

/// Sobol's sequence with the direction numbers of Joe and Kuo (SIAM J. Scientific Computing 30(5), 2008).
class Sobol final : public DesignOfExperiments {
 public:
  Sobol(const Problem& problem, const Options& options)
      : DesignOfExperiments(problem), scrambled_(options.boolean("scramble")), sequence_(dimensions(problem)) {
    for (std::size_t i = 0; i < dimensions(problem); ++i) {
      seeds_.push_back(static_cast<std::uint32_t>(Random(problem.seed, "sobol", i).bits()));
    }
  }

 protected:
  std::vector<double> point(std::uint64_t index) override {
    std::vector<double> coordinates;
    // The generator leaves out the origin, which is the sequence's first point.
    const bool origin = index == 0;
    for (std::size_t i = 0; i < problem_.space->size(); ++i) {
      if (i >= seeds_.size()) {  // beyond the table: plain random numbers
        coordinates.push_back(Random(problem_.seed, "sobol: more dimensions", index * problem_.space->size() + i).uniform());
        continue;
      }
      std::uint32_t x = origin ? 0 : static_cast<std::uint32_t>(sequence_());
      if (scrambled_) x = scramble(x, seeds_[i]);
      coordinates.push_back(static_cast<double>(x) * 0x1p-32);
    }
    return coordinates;
  }

 private:
  /// Boost's table ends there.
  static std::size_t dimensions(const Problem& problem) { return std::clamp<std::size_t>(problem.space->size(), 1, 3667); }

  bool scrambled_;
  boost::random::sobol_engine<std::uint32_t, 32> sequence_;
  std::vector<std::uint32_t> seeds_;
};

}  // namespace

StrategyPlugin sobol_strategy() {
  return {
      .name = "sobol",
      .summary = "A low-discrepancy sequence: fills the space more evenly than random designs do.",
      .source =
          "Sobol 1967; direction numbers of Joe and Kuo, Constructing Sobol sequences with better two-dimensional "
          "projections, SIAM J. Scientific Computing 30(5), 2008",
      .options = {{.name = "scramble",
                   .kind = Option::Kind::boolean,
                   .fallback = "true",
                   .sentence = "Scramble the digits (Owen) by the seed; otherwise the same points for every seed."}},
      .capabilities = {.max_objectives = std::numeric_limits<std::size_t>::max(), .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<Sobol>(problem, options); },
  };
}

}  // namespace duet
