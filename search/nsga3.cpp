#include <algorithm>
#include <cmath>
#include <limits>

#include "search/builtin.hpp"
#include "search/genetic_algorithm.hpp"
#include "search/reference_directions.hpp"

namespace duet {
namespace {

/// Solves a x = b by elimination with row pivots. \returns nothing if a is singular.
std::optional<Point> solve(std::vector<Point> a, Point b) {
  const std::size_t n = b.size();
  for (std::size_t column = 0; column < n; ++column) {
    std::size_t pivot = column;
    for (std::size_t row = column + 1; row < n; ++row) {
      if (std::abs(a[row][column]) > std::abs(a[pivot][column])) pivot = row;
    }
    if (std::abs(a[pivot][column]) < 1e-12) return std::nullopt;
    std::swap(a[pivot], a[column]);
    std::swap(b[pivot], b[column]);
    for (std::size_t row = column + 1; row < n; ++row) {
      const double factor = a[row][column] / a[column][column];
      for (std::size_t k = column; k < n; ++k) a[row][k] -= factor * a[column][k];
      b[row] -= factor * b[column];
    }
  }
  for (std::size_t row = n; row-- > 0;) {
    for (std::size_t k = row + 1; k < n; ++k) b[row] -= a[row][k] * b[k];
    b[row] /= a[row][row];
  }
  return b;
}

/// NSGA-III: Deb and Jain, "An evolutionary many-objective optimization algorithm using reference-point-based
/// nondominated sorting approach, part I", IEEE TEVC 18(4), 2014; constraints by Jain and Deb, part II.
class Nsga3 final : public GeneticAlgorithm {
 public:
  Nsga3(const Problem& problem, const Options& options)
      : GeneticAlgorithm(problem, options, Pace::generation),
        directions_(reference_directions(problem.objectives.size(), population_size_)),
        ideal_(problem.objectives.size(), std::numeric_limits<double>::infinity()) {
    for (Point& direction : directions_) {
      double length = 0;
      for (const double value : direction) length += value * value;
      for (double& value : direction) value /= std::sqrt(length);
    }
  }

 protected:
  void survive() override {
    join();
    ++generation_;
    assign_ranks(parents_);
    sort_by_rank(parents_);
    if (parents_.size() <= population_size_) return;
    // Fronts that fit as a whole; the one after them is cut.
    const std::size_t rank = parents_[population_size_ - 1].rank;
    std::size_t begin = 0, end = 0;
    while (parents_[begin].rank < rank) ++begin;
    end = begin;
    while (end < parents_.size() && parents_[end].rank == rank) ++end;
    if (parents_[begin].violation <= 0 && end > population_size_) fill(begin, end);
    parents_.resize(population_size_);
  }

  /// The paper draws parents at random but for feasibility (part II, §II-B); ranks converge sooner.
  bool before(const Individual& a, const Individual& b) const override { return a.rank < b.rank; }

 private:
  /// Orders the members [begin, end) so that those which the niches need stand first (algorithm 4).
  void fill(std::size_t begin, std::size_t end) {
    normalise(end);
    const std::size_t n = directions_.size();
    std::vector<std::size_t> nearest(end);
    std::vector<double> distance(end);
    std::vector<std::size_t> crowd(n, 0);
    for (std::size_t i = 0; i < end; ++i) {
      associate(parents_[i].objectives, nearest[i], distance[i]);
      if (i < begin) ++crowd[nearest[i]];
    }
    Random random = problem_.random(generation_, "niching");
    std::vector<std::vector<std::size_t>> waiting(n);
    for (std::size_t i = begin; i < end; ++i) waiting[nearest[i]].push_back(i);
    std::vector<std::size_t> chosen;
    std::vector<std::size_t> candidates;
    while (begin + chosen.size() < population_size_) {
      std::size_t fewest = std::numeric_limits<std::size_t>::max();
      candidates.clear();
      for (std::size_t j = 0; j < n; ++j) {
        if (waiting[j].empty() || crowd[j] > fewest) continue;
        if (crowd[j] < fewest) candidates.clear();
        fewest = crowd[j];
        candidates.push_back(j);
      }
      const std::size_t j = random.pick(candidates);
      auto member = waiting[j].begin();
      if (crowd[j] == 0) {
        member = std::min_element(waiting[j].begin(), waiting[j].end(),
                                  [&](std::size_t a, std::size_t b) { return distance[a] < distance[b]; });
      } else {
        member += static_cast<std::ptrdiff_t>(random.below(waiting[j].size()));
      }
      chosen.push_back(*member);
      waiting[j].erase(member);
      ++crowd[j];
    }
    std::sort(chosen.begin(), chosen.end());
    for (std::size_t i = 0; i < chosen.size(); ++i) std::swap(parents_[begin + i], parents_[chosen[i]]);
  }

  /// Ideal point, extreme points and intercepts (algorithm 2) from the members [0, end), which are feasible.
  void normalise(std::size_t end) {
    const std::size_t m = ideal_.size();
    for (std::size_t i = 0; i < end; ++i) {
      for (std::size_t k = 0; k < m; ++k) ideal_[k] = std::min(ideal_[k], parents_[i].objectives[k]);
    }
    Point worst(m, -std::numeric_limits<double>::infinity()), worst_of_front = worst;
    std::vector<Point> points = extremes_;
    for (std::size_t i = 0; i < end; ++i) {
      const Point& point = parents_[i].objectives;
      for (std::size_t k = 0; k < m; ++k) {
        worst[k] = std::max(worst[k], point[k]);
        if (parents_[i].rank == 0) worst_of_front[k] = std::max(worst_of_front[k], point[k]);
      }
      if (parents_[i].rank == 0) points.push_back(point);
    }
    // The extreme point of an axis has the least achievement scalarising function along it.
    std::vector<Point> extremes(m);
    for (std::size_t axis = 0; axis < m; ++axis) {
      double least = std::numeric_limits<double>::infinity();
      for (const Point& point : points) {
        double value = 0;
        for (std::size_t k = 0; k < m; ++k) {
          value = std::max(value, (point[k] - ideal_[k]) * (k == axis ? 1 : 1e6));
        }
        if (value < least || extremes[axis].empty()) {
          least = value;
          extremes[axis] = point;
        }
      }
    }
    extremes_ = extremes;
    for (Point& point : extremes) {
      for (std::size_t k = 0; k < m; ++k) point[k] -= ideal_[k];
    }
    // The hyperplane through the extreme points meets the axes at the intercepts.
    const std::optional<Point> plane = solve(extremes, Point(m, 1));
    range_.assign(m, 0);
    for (std::size_t k = 0; k < m; ++k) {
      if (plane) range_[k] = 1 / (*plane)[k];
      const bool usable = plane && std::isfinite(range_[k]) && range_[k] > 1e-6 && ideal_[k] + range_[k] <= worst[k];
      if (!usable) range_[k] = worst_of_front[k] - ideal_[k];
      if (!(range_[k] > 1e-6)) range_[k] = worst[k] - ideal_[k];
      if (!(range_[k] > 0)) range_[k] = 1;
    }
  }

  /// The direction of least perpendicular distance (algorithm 3).
  void associate(const Point& objectives, std::size_t& nearest, double& distance) const {
    const std::size_t m = ideal_.size();
    Point point(m);
    double square = 0;
    for (std::size_t k = 0; k < m; ++k) {
      point[k] = (objectives[k] - ideal_[k]) / range_[k];
      square += point[k] * point[k];
    }
    double longest = -1;
    for (std::size_t j = 0; j < directions_.size(); ++j) {
      double along = 0;
      for (std::size_t k = 0; k < m; ++k) along += directions_[j][k] * point[k];
      if (along > longest) {
        longest = along;
        nearest = j;
      }
    }
    distance = std::sqrt(std::max(0.0, square - longest * longest));
  }

  std::vector<Point> directions_;  // of length 1
  Point ideal_, range_;
  std::vector<Point> extremes_;
  std::uint64_t generation_ = 0;
};

}  // namespace

StrategyPlugin nsga3_strategy() {
  return {
      .name = "nsga3",
      .summary = "Genetic algorithm that spreads the population over reference directions, for many objectives.",
      .source =
          "Deb and Jain, An evolutionary many-objective optimization algorithm using reference-point-based "
          "nondominated sorting approach, part I, IEEE TEVC 18(4), 2014",
      .options = genetic_options("48"),
      .capabilities = {.max_objectives = 15, .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<Nsga3>(problem, options); },
  };
}

}  // namespace duet
