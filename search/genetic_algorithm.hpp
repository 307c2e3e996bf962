#pragma once
/// What the genetic algorithms share: generation 0, offspring that are new, parts that offspring inherit whole, and
/// waiting between generations. They differ in who survives.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "search/individual.hpp"
#include "search/seen_candidates.hpp"
#include "search/strategy.hpp"
#include "search/variation.hpp"

namespace duet {

class GeneticAlgorithm : public Strategy {
 public:
  std::vector<Proposal> ask(std::uint64_t first, std::size_t count,
                            std::span<const PendingTrial> pending) override;
  void tell(std::span<const FinishedTrial> finished) override;
  std::vector<std::uint64_t> population() const override { return numbers_of(parents_); }

 protected:
  enum class Pace {
    generation,  ///< a generation is proposed from a fixed set of parents; the next one waits for all of it
    trial,       ///< steady state: every trial that is told may change the parents at once
  };

  /// Reads the options of genetic_options().
  GeneticAlgorithm(const Problem& problem, const Options& options, Pace pace);

  /// Joins told_ to parents_ and leaves at most population_size_ parents.
  virtual void survive() = 0;
  /// Who wins a tournament between parents.
  virtual bool before(const Individual& a, const Individual& b) const = 0;

  void join();  ///< told_ to the end of parents_

  Problem problem_;
  std::size_t population_size_;
  std::vector<Individual> parents_;
  std::vector<Individual> told_;  ///< since survive() was last called

 private:
  std::size_t tournament(Random& random) const;
  std::optional<Proposal> unseen_offspring(Random& random);

  Pace pace_;
  double crossover_rate_;
  double mutation_rate_;
  double difference_rate_;
  double hold_rate_;
  std::vector<std::size_t> held_;  // parameters under `hold`, and all others
  std::vector<std::size_t> rest_;
  Variation variation_;
  SeenCandidates seen_;
  std::uint64_t generation_end_ = 0;  // number of the last trial of this generation
};

/// population, hold, hold_rate, and variation_options().
std::vector<Option> genetic_options(std::string population);

}  // namespace duet
