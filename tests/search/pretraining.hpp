#pragma once
/// What learning from free statistics is worth: how well a predictor ranks designs that it has not seen, and how good the
/// designs are that it selects. Used by the tests and by bench/pretraining.cpp.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "core/statistics.hpp"
#include "search/predictor.hpp"
#include "tests/search/table.hpp"

namespace duet::testing {

/// Designs whose accuracy is known.
struct Pool {
  std::shared_ptr<const Space> space;
  std::vector<Candidate> candidates;
  std::vector<double> values;  ///< of the candidates, to be minimised
};

/// All 6,561 networks of NAS-Bench-Macro.
inline Pool macro_pool() {
  const TableProblem table = table_problem("macro");
  Pool pool{table.problem.space, {}, {}};
  for (std::uint64_t rank = 0; rank < pool.space->cardinality().exact.value(); ++rank) {
    pool.candidates.push_back(pool.space->unrank(rank));
    pool.values.push_back(table.problem.evaluate(pool.candidates.back(), 0).objectives[0]);
  }
  return pool;
}

/// Multiply-accumulates (convolutions, squeeze-and-excitation, classifier) and parameters of a network of
/// Accel-NASBench: the skeleton of EfficientNet-B0 (Tan and Le, ICML 2019, table 1) at 224 × 224 with expansion, kernel,
/// depth and squeeze-and-excitation of each block as given. The parameters are those of the benchmark's table; its
/// multiply-accumulates are 4 to 17% more, because normalisations and activations are counted as well.
inline std::pair<double, double> accel_counts(const std::vector<double>& values) {
  constexpr int width[7] = {16, 24, 40, 80, 112, 192, 320}, stride[7] = {1, 2, 2, 2, 1, 2, 1};
  double macs = 112 * 112 * 27 * 32, parameters = 27 * 32 + 2 * 32;
  int side = 112;
  double in = 32;
  for (std::size_t block = 0; block < 7; ++block) {
    const double expansion = values[4 * block], kernel = values[4 * block + 1];
    const double out = width[block];
    for (int layer = 0; layer < static_cast<int>(values[4 * block + 2]); ++layer) {
      const double middle = in * expansion;
      if (expansion > 1) {
        macs += side * side * in * middle;
        parameters += in * middle + 2 * middle;
      }
      if (layer == 0) side = (side + stride[block] - 1) / stride[block];
      macs += side * side * kernel * kernel * middle;
      parameters += kernel * kernel * middle + 2 * middle;
      if (values[4 * block + 3] > 0) {
        const double squeezed = std::max(1.0, std::floor(in / 4));
        macs += 2 * middle * squeezed;
        parameters += 2 * middle * squeezed + squeezed + middle;
      }
      macs += side * side * middle * out;
      parameters += middle * out + 2 * out;
      in = out;
    }
  }
  macs += side * side * in * 1280 + 1280 * 1000;
  parameters += in * 1280 + 2 * 1280 + 1280 * 1000 + 1000;
  return {macs, parameters};
}

/// The 5,138 networks of Accel-NASBench by their 28 parameters.
inline Pool accel_pool() {
  const auto path = reference_data("accel_nasbench.csv");
  if (!path) throw std::runtime_error("there is no reference table accel_nasbench.csv");
  const auto columns = read_csv(*path);
  std::vector<SpaceNode> nodes;
  for (int block = 0; block < 7; ++block) {
    const std::string prefix = "block" + std::to_string(block);
    nodes.push_back(ordinal(prefix + "_e", {1, 4, 6}));
    nodes.push_back(ordinal(prefix + "_k", {3, 5}));
    nodes.push_back(ordinal(prefix + "_l", {1, 2, 3}));
    nodes.push_back(ordinal(prefix + "_se", {0, 1}));
  }
  const auto space = std::make_shared<Space>(nodes);
  const auto counts = [](const Space& of, const Candidate& candidate) {
    std::vector<double> values;
    for (std::size_t i = 0; i < candidate.size(); ++i) values.push_back(of.number(candidate, i));
    return accel_counts(values);
  };
  // Not through `space`, which would own itself.
  const auto plain = std::make_shared<const Space>(nodes);
  space->add_derived({"macs", "1", "", [plain, counts](const Candidate& c) { return counts(*plain, c).first; }});
  space->add_derived({"parameters", "1", "", [plain, counts](const Candidate& c) { return counts(*plain, c).second; }});
  Pool pool{space, {}, {}};
  const std::vector<std::string>& accuracies = columns.at("val_top1");
  for (std::size_t row = 0; row < accuracies.size(); ++row) {
    Candidate candidate(space->size());
    for (std::size_t i = 0; i < space->size(); ++i) {
      const Parameter& parameter = (*space)[i];
      const auto found = std::find(parameter.values.begin(), parameter.values.end(),
                                   std::stod(columns.at(parameter.path)[row]));
      candidate.set(i, static_cast<double>(found - parameter.values.begin()));
    }
    pool.candidates.push_back(std::move(candidate));
    pool.values.push_back(-std::stod(accuracies[row]));
  }
  return pool;
}

/// Kendall's τ_b.
inline double kendall_tau(const std::vector<double>& a, const std::vector<double>& b) {
  double both = 0, in_a = 0, in_b = 0;
  const auto sign = [](double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0; };
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const double x = sign(a[i] - a[j]), y = sign(b[i] - b[j]);
      both += x * y;
      in_a += x * x;
      in_b += y * y;
    }
  }
  return in_a > 0 && in_b > 0 ? both / std::sqrt(in_a * in_b) : 0;
}

/// A predictor that is told of designs of a pool one after another.
class PoolPredictor {
 public:
  PoolPredictor(const Pool& pool, Predictor::Kind kind, std::size_t pretrain, std::uint64_t seed)
      : pool_(&pool),
        problem_{.space = pool.space.get(), .objectives = {"error"}, .constrained = false, .seed = seed, .window = 1},
        rows_(*pool.space, FreeStatistics(problem_, pretrain)),
        predictor_(problem_, rows_, kind) {}

  void tell(std::size_t i) {
    FinishedTrial trial;
    trial.number = told_.size() + 1;
    trial.candidate = pool_->candidates[i];
    trial.objectives = {pool_->values[i]};
    targets_.push_back(trial.objectives);
    told_.push_back(std::move(trial));
  }
  /// Learns, and predicts the designs.
  std::vector<double> predict(const std::vector<std::size_t>& which) {
    predictor_.fit(told_.size() + 1, told_, targets_);
    std::vector<Candidate> candidates;
    for (const std::size_t i : which) candidates.push_back(pool_->candidates[i]);
    std::vector<double> result;
    for (const Point& point : predictor_.predict(candidates)) result.push_back(point[0]);
    return result;
  }

 private:
  const Pool* pool_;
  Problem problem_;
  SpaceRows rows_;
  Predictor predictor_;
  std::vector<FinishedTrial> told_;
  std::vector<Point> targets_;
};

/// τ on 500 unseen designs after learning from each of `samples` (ascending) random ones.
inline std::vector<double> rank_correlations(const Pool& pool, Predictor::Kind kind, std::size_t pretrain,
                                             const std::vector<std::size_t>& samples, std::uint64_t seed) {
  std::vector<std::size_t> order(pool.candidates.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random(seed, "rank correlations");
  random.shuffle(order);
  const std::vector<std::size_t> unseen(order.end() - 500, order.end());
  std::vector<double> truth;
  for (const std::size_t i : unseen) truth.push_back(pool.values[i]);
  PoolPredictor predictor(pool, kind, pretrain, seed);
  std::vector<double> result;
  std::size_t told = 0;
  for (const std::size_t count : samples) {
    while (told < count) predictor.tell(order[told++]);
    result.push_back(kendall_tau(predictor.predict(unseen), truth));
  }
  return result;
}

/// The iterative part of FBNetV3's search on a pool: 20 random designs, then again and again the 8 that are predicted to be
/// the best of all the others. Regret in the pool after each of `after` (ascending) evaluations.
inline std::vector<double> pool_regrets(const Pool& pool, Predictor::Kind kind, std::size_t pretrain,
                                        const std::vector<std::size_t>& after, std::uint64_t seed) {
  std::vector<std::size_t> left(pool.candidates.size());
  std::iota(left.begin(), left.end(), std::size_t{0});
  Random random(seed, "pool");
  random.shuffle(left);
  const double optimum = *std::min_element(pool.values.begin(), pool.values.end());
  PoolPredictor predictor(pool, kind, pretrain, seed);
  std::vector<double> result;
  double best = std::numeric_limits<double>::infinity();
  std::size_t evaluations = 0;
  const auto evaluate = [&](std::size_t i) {
    predictor.tell(i);
    best = std::min(best, pool.values[i]);
    if (++evaluations == after[result.size()]) result.push_back(best - optimum);
  };
  while (result.size() < after.size()) {
    std::size_t count = 20;
    if (evaluations > 0) {
      count = 8;
      const std::vector<double> predicted = predictor.predict(left);
      std::vector<std::size_t> order(left.size());
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(),
                       [&](std::size_t a, std::size_t b) { return predicted[a] > predicted[b]; });
      std::vector<std::size_t> sorted;  // the best last
      for (const std::size_t i : order) sorted.push_back(left[i]);
      left = std::move(sorted);
    }
    for (; count > 0 && result.size() < after.size(); --count) {
      evaluate(left.back());
      left.pop_back();
    }
  }
  return result;
}

}  // namespace duet::testing
