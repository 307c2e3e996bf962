#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>

#include "core/learn/normal.hpp"
#include "core/pareto.hpp"
#include "search/builtin.hpp"
#include "search/model_based.hpp"

namespace duet {
namespace {

/// How one parameter is smoothed. On the unit scale of SpaceRows.
struct Smoothing {
  enum class Kind { category, grid, continuous };
  Kind kind = Kind::continuous;
  std::size_t levels = 0;  ///< categories, or positions of a grid
};

/// A mixture over designs: around each of `centres` a product of one kernel per parameter, and one uniform component.
/// A parameter that a centre does not have, but a candidate has, is judged by the mixture of all centres that have it:
/// so that a centre says something about every branch of a conditional space.
class Mixture {
 public:
  Mixture(std::span<const Smoothing> smoothings, std::span<const double> rows)
      : smoothings_(smoothings), columns_(smoothings.size()), size_(columns_ == 0 ? 0 : rows.size() / columns_) {
    const double n = static_cast<double>(std::max<std::size_t>(1, size_));
    // Scott's rule with the magnitude of Optuna's multivariate TPE.
    deviation_ = std::max(0.02, 0.2 * std::pow(n, -1 / (static_cast<double>(columns_) + 4)));
    inverse_ = 1 / deviation_;
    centres_.resize(rows.size());
    norms_.resize(rows.size());
    levels_.resize(rows.size());
    absent_.assign(columns_, false);
    for (std::size_t c = 0; c < columns_; ++c) {
      for (std::size_t j = 0; j < size_; ++j) {
        centres_[c * size_ + j] = rows[j * columns_ + c];
        absent_[c] = absent_[c] || std::isnan(rows[j * columns_ + c]);
      }
    }
    parts_.resize(columns_);
    for (std::size_t c = 0; c < columns_; ++c) prepare(c);
  }

  std::size_t size() const { return size_; }
  double centre(std::size_t j, std::size_t column) const { return centres_[column * size_ + j]; }

  /// Logarithm of the density at a row.
  double log_density(std::span<const double> row, std::vector<double>& sums) const {
    sums.assign(size_ + 1, 0);  // the last one is the uniform component
    for (std::size_t c = 0; c < columns_; ++c) {
      if (std::isnan(row[c])) continue;
      sums[size_] += parts_[c].uniform;
      add(c, row[c], sums.data());
    }
    const double largest = *std::max_element(sums.begin(), sums.end());
    double total = 0;
    for (const double sum : sums) total += std::exp(sum - largest);
    return largest + std::log(total / static_cast<double>(size_ + 1));
  }

  /// A value for a parameter around centre j (j = size(): uniform), on the unit scale.
  double draw(std::size_t j, std::size_t column, Random& random) const {
    double centre = std::numeric_limits<double>::quiet_NaN();
    if (j < size_) centre = this->centre(j, column);
    if (std::isnan(centre) && j < size_) {
      const std::size_t other = random.below(size_ + 1);  // of all that have it, and uniform
      if (other < size_) centre = this->centre(other, column);
    }
    const Smoothing& smoothing = smoothings_[column];
    if (smoothing.kind == Smoothing::Kind::category) {
      if (std::isnan(centre) || random.chance(parts_[column].spread)) {
        return static_cast<double>(random.below(smoothing.levels));
      }
      return centre;
    }
    double value = random.uniform();
    if (!std::isnan(centre)) {
      for (int attempt = 0; attempt < 20; ++attempt) {
        const double drawn = centre + deviation_of(column) * random.normal();
        const double margin = smoothing.kind == Smoothing::Kind::grid ? 0.5 * step(column) : 0;
        if (drawn < -margin || drawn > 1 + margin) continue;
        value = std::clamp(drawn, 0.0, 1.0);
        break;
      }
    }
    if (smoothing.kind != Smoothing::Kind::grid || smoothing.levels < 2) return value;
    return std::round(value / step(column)) * step(column);
  }

 private:
  /// What is the same for all centres.
  struct Part {
    double uniform = 0;              // log density of the uniform component
    double spread = 0;               // category: share that is spread over all categories
    double same = 0, other = 0;      // category: log probabilities
    std::vector<double> by_distance;  // grid: log mass at this many steps, before normalisation
  };

  double step(std::size_t column) const { return 1 / static_cast<double>(smoothings_[column].levels - 1); }
  /// A grid is never smoothed by much less than its step.
  double deviation_of(std::size_t column) const {
    const Smoothing& smoothing = smoothings_[column];
    if (smoothing.kind != Smoothing::Kind::grid) return deviation_;
    return std::max(deviation_, 0.4 * step(column));
  }

  void prepare(std::size_t column) {
    const Smoothing& smoothing = smoothings_[column];
    Part& part = parts_[column];
    const double n = static_cast<double>(size_);
    const double levels = static_cast<double>(smoothing.levels);
    double* norms = norms_.data() + column * size_;
    const double* centres = centres_.data() + column * size_;
    if (smoothing.kind == Smoothing::Kind::category) {
      part.uniform = -std::log(levels);
      part.spread = levels / (n + levels);
      part.same = std::log(1 - part.spread + part.spread / levels);
      part.other = std::log(part.spread / levels);
      return;
    }
    const double deviation = deviation_of(column);
    if (smoothing.kind == Smoothing::Kind::continuous) {
      // The share of a normal that lies inside, straight between 65 points: it is smooth, and the same for all columns.
      constexpr std::size_t points = 65;
      if (inside_.empty()) {
        for (std::size_t i = 0; i < points; ++i) {
          const double centre = static_cast<double>(i) / (points - 1);
          const double mass = learn::normal_cdf((1 - centre) / deviation) - learn::normal_cdf(-centre / deviation);
          inside_.push_back(-std::log(mass * deviation) - 0.91893853320467274178);
        }
      }
      for (std::size_t j = 0; j < size_; ++j) {
        if (std::isnan(centres[j])) continue;
        const double position = centres[j] * (points - 1);
        const auto left = std::min<std::size_t>(static_cast<std::size_t>(position), points - 2);
        const double share = position - static_cast<double>(left);
        norms[j] = (1 - share) * inside_[left] + share * inside_[left + 1];
      }
      return;
    }
    part.uniform = -std::log(levels);
    std::vector<double> mass(smoothing.levels), before(smoothing.levels + 1, 0);
    for (std::size_t k = 0; k < smoothing.levels; ++k) {
      const double distance = static_cast<double>(k) * step(column) / deviation;
      mass[k] = std::max(std::exp(-0.5 * distance * distance), 1e-300);
      before[k + 1] = before[k] + mass[k];
    }
    for (const double value : mass) part.by_distance.push_back(std::log(value));
    std::vector<double> by_level;
    for (std::size_t level = 0; level < smoothing.levels; ++level) {
      by_level.push_back(-std::log(before[level + 1] + before[smoothing.levels - level] - mass[0]));
    }
    for (std::size_t j = 0; j < size_; ++j) {
      if (std::isnan(centres[j])) continue;
      const std::size_t level = level_of(column, centres[j]);
      levels_[column * size_ + j] = static_cast<std::uint16_t>(level);
      norms[j] = by_level[level];
    }
  }

  std::size_t level_of(std::size_t column, double value) const {
    return static_cast<std::size_t>(std::lround(value * static_cast<double>(smoothings_[column].levels - 1)));
  }

  /// Adds the log kernel of every centre at `value`.
  void add(std::size_t column, double value, double* sums) const {
    const double* centres = centres_.data() + column * size_;
    const double* norms = norms_.data() + column * size_;
    const std::uint16_t* levels = levels_.data() + column * size_;
    const Part& part = parts_[column];
    const Smoothing::Kind kind = smoothings_[column].kind;
    const std::size_t level = kind == Smoothing::Kind::grid ? level_of(column, value) : 0;
    const auto kernel = [&](std::size_t j) {
      switch (kind) {
        case Smoothing::Kind::category: return centres[j] == value ? part.same : part.other;
        case Smoothing::Kind::grid: {
          const std::size_t other = levels[j];
          return part.by_distance[level > other ? level - other : other - level] + norms[j];
        }
        default: {
          const double distance = (value - centres[j]) * inverse_;
          return norms[j] - 0.5 * distance * distance;
        }
      }
    };
    if (!absent_[column]) {
      if (kind == Smoothing::Kind::category) {
        for (std::size_t j = 0; j < size_; ++j) sums[j] += centres[j] == value ? part.same : part.other;
      } else if (kind == Smoothing::Kind::continuous) {
        for (std::size_t j = 0; j < size_; ++j) {
          const double distance = (value - centres[j]) * inverse_;
          sums[j] += norms[j] - 0.5 * distance * distance;
        }
      } else {
        for (std::size_t j = 0; j < size_; ++j) sums[j] += kernel(j);
      }
      return;
    }
    double mixture = std::exp(part.uniform);
    std::size_t present = 1;
    for (std::size_t j = 0; j < size_; ++j) {
      if (std::isnan(centres[j])) continue;
      const double log = kernel(j);
      sums[j] += log;
      mixture += std::exp(log);
      ++present;
    }
    const double log_mixture = std::log(mixture / static_cast<double>(present));
    for (std::size_t j = 0; j < size_; ++j) {
      if (std::isnan(centres[j])) sums[j] += log_mixture;
    }
  }

  std::span<const Smoothing> smoothings_;
  std::size_t columns_;
  std::size_t size_;
  double deviation_ = 0, inverse_ = 0;
  std::vector<double> inside_;  // log of one over the mass within the bounds, by centre
  std::vector<double> centres_, norms_;  // by column
  std::vector<std::uint16_t> levels_;    // the same as positions, for grids
  std::vector<bool> absent_;             // by column: whether some centre lacks it
  std::vector<Part> parts_;
};

/// Tree-structured Parzen estimator: Bergstra et al. 2011, with one joint kernel per trial (Falkner et al., "BOHB", ICML
/// 2018) and the split for several objectives of Ozaki et al., "Multiobjective tree-structured Parzen estimator", JAIR
/// 73, 2022: by non-dominated rank, and within the rank that does not fit by greedy hypervolume subset selection.
/// Infeasible trials rank behind all feasible ones, by violation; failures and pending trials are bad.
class Tpe final : public ModelBased {
 public:
  Tpe(const Problem& problem, const Options& options)
      : ModelBased(problem, static_cast<std::uint64_t>(options.integer("initial"))),
        share_(options.number("good_share")),
        max_good_(static_cast<std::size_t>(options.integer("max_good"))),
        candidates_(static_cast<std::size_t>(options.integer("candidates"))) {
    for (const Parameter& parameter : space().parameters()) {
      Smoothing smoothing;
      if (parameter.kind == Parameter::Kind::choice) {
        smoothing = {Smoothing::Kind::category, parameter.options.size()};
      } else if (parameter.discrete() && !parameter.logarithmic && parameter.levels() > 1 && parameter.levels() <= 64) {
        smoothing = {Smoothing::Kind::grid, static_cast<std::size_t>(parameter.levels())};
      }
      smoothings_.push_back(smoothing);
    }
  }

 protected:
  std::optional<Candidate> propose(std::uint64_t, std::span<const Candidate> pending, Random& random) override {
    take_in();
    const std::size_t good = std::clamp<std::size_t>(
        static_cast<std::size_t>(std::ceil(share_ * static_cast<double>(told().size()))), 1, max_good_);
    const std::vector<std::size_t> best = this->best(good);
    std::vector<double> good_rows, bad_rows;
    for (const std::size_t i : best) rows().append(told()[i].candidate, good_rows);
    for (const std::size_t i : sample_) {
      if (std::find(best.begin(), best.end(), i) == best.end()) rows().append(told()[i].candidate, bad_rows);
    }
    for (const Candidate& candidate : pending) rows().append(candidate, bad_rows);
    const Mixture good_mixture(smoothings_, good_rows);
    const Mixture bad_mixture(smoothings_, bad_rows);

    std::optional<Candidate> chosen;
    double chosen_score = -std::numeric_limits<double>::infinity();
    std::vector<double> row, sums;
    for (int round = 0; round < 4 && !chosen; ++round) {
      for (std::size_t k = 0; k < candidates_; ++k) {
        const Candidate candidate = draw(good_mixture, random);
        if (!space().valid(candidate) || seen().has(candidate)) continue;
        row.clear();
        rows().append(candidate, row);
        const double score = good_mixture.log_density(row, sums) - bad_mixture.log_density(row, sums);
        if (score > chosen_score) {
          chosen_score = score;
          chosen = candidate;
        }
      }
    }
    return chosen;
  }

 private:
  static constexpr std::size_t max_bad = 96;

  Candidate draw(const Mixture& mixture, Random& random) const {
    const std::size_t j = random.below(mixture.size() + 1);
    Candidate candidate(space().size());
    for (std::size_t i = 0; i < space().size(); ++i) {
      if (!space().active(candidate, i)) continue;
      const Parameter& parameter = space()[i];
      const double value = mixture.draw(j, i, random);
      double code = value;
      if (parameter.kind != Parameter::Kind::choice) {
        code = (1 - value) * parameter.minimum + value * parameter.maximum;
        if (parameter.logarithmic) {
          const double low = std::log(parameter.minimum);
          code = std::exp(low + value * (std::log(parameter.maximum) - low));
        }
        if (parameter.discrete()) code = std::round(code);
        code = std::clamp(code, parameter.minimum, parameter.maximum);
      }
      candidate.set(i, code);
    }
    return candidate;
  }

  /// Keeps what may still be among the best, and of all trials a uniform sample to stand for the bad: so that a proposal
  /// costs the same among a hundred trials and among a million.
  void take_in() {
    for (; taken_ < told().size(); ++taken_) {
      if (told()[taken_].ok()) pool_.push_back(taken_);
      if (sample_.size() < max_bad) {
        sample_.push_back(taken_);
      } else {
        Random random = problem().random(taken_, "bad trials");
        const std::uint64_t place = random.below(taken_ + 1);
        if (place < max_bad) sample_[place] = taken_;
      }
      if (pool_.size() > 4 * max_good_ + 64) pool_ = best(2 * max_good_ + 32);
    }
  }

  /// The best `count` of the pool, best rank first.
  std::vector<std::size_t> best(std::size_t count) const {
    std::vector<std::size_t> feasible, infeasible;
    std::vector<Point> points;
    for (const std::size_t i : pool_) {
      if (told()[i].feasible()) {
        feasible.push_back(i);
        points.push_back(told()[i].objectives);
      } else {
        infeasible.push_back(i);
      }
    }
    std::vector<std::size_t> result;
    const std::vector<std::size_t> ranks = non_dominated_ranks(points);
    for (std::size_t rank = 0; result.size() < std::min(count, feasible.size()); ++rank) {
      std::vector<std::size_t> front;
      for (std::size_t i = 0; i < feasible.size(); ++i) {
        if (ranks[i] == rank) front.push_back(i);
      }
      if (result.size() + front.size() > count) front = subset(points, front, count - result.size());
      for (const std::size_t i : front) result.push_back(feasible[i]);
    }
    std::stable_sort(infeasible.begin(), infeasible.end(),
                     [&](std::size_t a, std::size_t b) { return told()[a].violation < told()[b].violation; });
    for (std::size_t i = 0; i < infeasible.size() && result.size() < count; ++i) result.push_back(infeasible[i]);
    return result;
  }

  /// Of a front, greedily the points that dominate the most volume together. With two objectives exactly that; with more,
  /// whose volumes are dear, by crowding distance.
  static std::vector<std::size_t> subset(const std::vector<Point>& points, const std::vector<std::size_t>& front,
                                         std::size_t count) {
    std::vector<std::size_t> chosen;
    const std::size_t objectives = points[front.front()].size();
    if (objectives != 2) {
      std::vector<Point> members;
      for (const std::size_t i : front) members.push_back(points[i]);
      const std::vector<double> crowding = crowding_distance(members);
      std::vector<std::size_t> order(front.size());
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return crowding[a] > crowding[b]; });
      for (std::size_t i = 0; i < count; ++i) chosen.push_back(front[order[i]]);
      return chosen;
    }
    double reference[2], unit[2];
    for (std::size_t k = 0; k < 2; ++k) {
      double low = points[front.front()][k], high = low;
      for (const std::size_t i : front) {
        low = std::min(low, points[i][k]);
        high = std::max(high, points[i][k]);
      }
      unit[k] = high / 2 - low / 2 > 0 ? high / 2 - low / 2 : 1;
      reference[k] = high / unit[k] + 0.2;
    }
    // For each point the volume that it adds is a rectangle cut by its chosen neighbours: keep these.
    std::vector<std::pair<double, double>> bounds(front.size(), {reference[0], reference[1]});
    std::vector<bool> taken(front.size(), false);
    while (chosen.size() < count) {
      std::size_t next = front.size();
      double most = -1;
      for (std::size_t i = 0; i < front.size(); ++i) {
        if (taken[i]) continue;
        const double volume = (bounds[i].first - points[front[i]][0] / unit[0]) *
                              (bounds[i].second - points[front[i]][1] / unit[1]);
        if (volume > most) {
          most = volume;
          next = i;
        }
      }
      if (next == front.size()) break;
      taken[next] = true;
      chosen.push_back(front[next]);
      const double x = points[front[next]][0] / unit[0], y = points[front[next]][1] / unit[1];
      for (std::size_t i = 0; i < front.size(); ++i) {
        if (points[front[i]][0] / unit[0] <= x) bounds[i].first = std::min(bounds[i].first, x);
        if (points[front[i]][1] / unit[1] <= y) bounds[i].second = std::min(bounds[i].second, y);
      }
    }
    return chosen;
  }

  double share_;
  std::size_t max_good_;
  std::size_t candidates_;
  std::vector<Smoothing> smoothings_;
  std::size_t taken_ = 0;
  std::vector<std::size_t> pool_;    // successful trials that may be good
  std::vector<std::size_t> sample_;  // of all trials
};

}  // namespace

StrategyPlugin tpe_strategy() {
  return {
      .name = "tpe",
      .summary = "Tree-structured Parzen estimator: proposes what looks like the good trials and unlike the others.",
      .source = "Bergstra et al., Algorithms for hyper-parameter optimization, NeurIPS 2011; several objectives: Ozaki et "
                "al., Multiobjective tree-structured Parzen estimator, JAIR 73, 2022",
      .options = {{.name = "initial",
                   .kind = Option::Kind::integer,
                   .fallback = "10",
                   .sentence = "Trials at random, spread over the space, before the model is asked.",
                   .minimum = 2,
                   .maximum = 1'000'000},
                  {.name = "good_share",
                   .kind = Option::Kind::number,
                   .fallback = "0.1",
                   .sentence = "Share of the trials that count as good.",
                   .minimum = 0.001,
                   .maximum = 0.9},
                  {.name = "max_good",
                   .kind = Option::Kind::integer,
                   .fallback = "25",
                   .sentence = "Most trials that count as good.",
                   .minimum = 1,
                   .maximum = 10'000},
                  {.name = "candidates",
                   .kind = Option::Kind::integer,
                   .fallback = "24",
                   .sentence = "Candidates drawn for each trial, of which the most promising is proposed.",
                   .minimum = 1,
                   .maximum = 100'000}},
      .capabilities = {.max_objectives = std::numeric_limits<std::size_t>::max(), .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<Tpe>(problem, options); },
  };
}

}  // namespace duet
