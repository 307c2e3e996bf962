#pragma once
/// What predicts the objectives of designs that have not been tried, for strategies that search on predictions.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/learn/columns.hpp"
#include "core/learn/forest.hpp"
#include "core/learn/network.hpp"
#include "core/learn/ridge.hpp"
#include "core/pareto.hpp"
#include "search/gaussian_surrogate.hpp"
#include "search/model_based.hpp"
#include "search/strategy.hpp"

namespace duet {

/// One regressor for each objective and, once one was missed, for each constraint: Gaussian processes, random forests,
/// ridge regressions or networks. Networks are taught the free statistics of `rows` first, once, and go on from there at
/// every fit (FreeStatistics); to the others, and to networks too, they are columns like the parameters.
class Predictor {
 public:
  enum class Kind { gp, forest, ridge, network };
  static Kind kind(const std::string& name);

  /// `rows` outlives it.
  Predictor(const Problem& problem, const SpaceRows& rows, Kind kind);

  /// Learns from all trials told so far (`told` grows at its end). `targets`: the objectives of the successful ones, in
  /// order, two at least; `number` keys the random numbers.
  void fit(std::uint64_t number, std::span<const FinishedTrial> told, const std::vector<Point>& targets);
  /// Objectives on a scale of the model's, which orders as the natural one does; of what is probably infeasible, moved
  /// behind everything, the more so the less probable.
  std::vector<Point> predict(std::span<const Candidate> candidates) const;

 private:
  struct Regressor {
    learn::Forest forest;
    learn::Ridge ridge;
    std::vector<learn::Network> networks;
  };
  Regressor learn(std::uint64_t number, std::size_t k, std::span<const double> data, std::span<const double> features,
                  const std::vector<double>& values) const;
  double predict(const Regressor& regressor, std::span<const double> row, std::span<const double> features) const;

  Problem problem_;
  const SpaceRows* rows_;
  Kind kind_;
  GaussianSurrogate surrogate_;
  std::vector<learn::Network> pretrained_;
  std::vector<Regressor> objectives_, constraints_;
  Point worst_;  // of each objective so far, on the model's scale
};

}  // namespace duet
