#pragma once
/// Crossover and mutation on any space: real parameters, and integers and ordinals with many values, as real-coded
/// genetic algorithms do it; all other decisions down the tree, as Space does it.

#include <cstddef>
#include <span>
#include <vector>

#include "core/options.hpp"
#include "core/random.hpp"
#include "core/space.hpp"

namespace duet {

/// What the operators of a genetic algorithm may be told. A larger distribution index keeps children nearer.
struct VariationSettings {
  double crossover_index = 15;
  double mutation_index = 20;
};

/// Const after construction.
class Variation {
 public:
  /// `space` outlives it.
  explicit Variation(const Space& space, VariationSettings settings = {});

  /// Whether the parameter is varied on its scale: a real, or a long range of discrete values on which nothing depends.
  bool numeric(std::size_t parameter) const { return numeric_[parameter]; }

  /// Uniform crossover of decisions; a numeric parameter that both parents have comes from the first parent or, as
  /// often, from simulated binary crossover within the bounds (Deb and Agrawal, Complex Systems 9, 1995; bounds as in
  /// Deb's code). Parameters in `from_first` come from the first parent. \returns a valid candidate, the first parent
  /// if no other was found.
  Candidate crossover(const Candidate& first, const Candidate& second, Random& random,
                      std::span<const std::size_t> from_first = {}) const;

  /// The first candidate, in which about half of the numeric parameters move along the difference of two others
  /// (differential evolution: Storn and Price, J. Global Optimization 11, 1997). \returns a valid candidate, the first if
  /// no other was found.
  Candidate differ(const Candidate& first, const Candidate& plus, const Candidate& minus, Random& random,
                   std::span<const std::size_t> from_first = {}) const;
  bool any_numeric() const { return any_numeric_; }

  /// Changes each active parameter with probability `rate`, at least one in all, restricted to `among` if that is not
  /// empty: a numeric one by polynomial mutation (Deb and Goyal, Computer Science and Informatics 26(4), 1996), any
  /// other to another value. \returns a valid candidate, the parent if no other was found.
  Candidate mutate(const Candidate& parent, Random& random, double rate,
                   std::span<const std::size_t> among = {}) const;

  /// Each decision changes with probability `rate` (0: 1 / number of active parameters), so that it may be left as it
  /// is unless `always`. Restricted to `among` if that is not empty.
  void mutate_sometimes(Candidate& candidate, Random& random, double rate, bool always,
                        std::span<const std::size_t> among = {}) const;

 private:
  double blend(std::size_t parameter, double first, double second, Random& random) const;
  double perturb(std::size_t parameter, double code, Random& random) const;

  const Space* space_;
  VariationSettings settings_;
  std::vector<bool> numeric_;
  bool any_numeric_ = false;
};

/// The rows of an option table that genetic algorithms share: crossover_rate, mutation_rate, crossover_index,
/// mutation_index.
std::vector<Option> variation_options();
VariationSettings variation_settings(const Options& options);

}  // namespace duet
