#include "search/model_based.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_set>
#include <utility>

#include "core/pareto.hpp"

namespace duet {

SpaceRows::SpaceRows(const Space& space, FreeStatistics statistics)
    : space_(&space), statistics_(std::move(statistics)) {
  for (const Parameter& parameter : space.parameters()) {
    columns_.push_back({parameter.kind == Parameter::Kind::choice ? parameter.options.size() : 0,
                        parameter.parent.has_value()});
  }
  for (const learn::Column& column : statistics_.columns()) columns_.push_back(column);
}

void SpaceRows::append(const Candidate& candidate, std::vector<double>& rows) const {
  for (std::size_t i = 0; i < space_->size(); ++i) {
    const Parameter& parameter = (*space_)[i];
    const double code = candidate[i];
    if (!candidate.has(i) || parameter.kind == Parameter::Kind::choice) {
      rows.push_back(code);  // NaN if absent
    } else if (parameter.maximum <= parameter.minimum) {
      rows.push_back(0);
    } else if (parameter.logarithmic) {
      const double low = std::log(parameter.minimum);
      rows.push_back((std::log(code) - low) / (std::log(parameter.maximum) - low));
    } else {
      // Halves, because the range of the largest doubles overflows.
      rows.push_back((code / 2 - parameter.minimum / 2) / (parameter.maximum / 2 - parameter.minimum / 2));
    }
  }
  statistics_.append(candidate, rows);
}

std::vector<double> SpaceRows::rows(std::span<const Candidate> candidates) const {
  std::vector<double> rows;
  rows.reserve(candidates.size() * columns_.size());
  for (const Candidate& candidate : candidates) append(candidate, rows);
  return rows;
}

// --- The loop

ModelBased::ModelBased(const Problem& problem, std::uint64_t initial, std::int64_t pretrain)
    : problem_(problem),
      initial_(initial),
      rows_(*problem.space, FreeStatistics(problem, static_cast<std::size_t>(pretrain))),
      seen_(*problem.space) {}

std::vector<Proposal> ModelBased::ask(std::uint64_t first, std::size_t count, std::span<const PendingTrial> pending) {
  seen_.add(pending);
  std::vector<Candidate> waiting;
  for (const PendingTrial& trial : pending) waiting.push_back(trial.candidate);
  std::vector<Proposal> proposals;
  for (std::uint64_t number = first; number < first + count; ++number) {
    Random random = problem_.random(number);
    std::optional<Candidate> candidate;
    if (number <= initial_) {
      candidate = initial_candidate(waiting, random);
    } else {
      if (successes_ >= 2) candidate = propose(number, waiting, random);
      if (!candidate) candidate = seen_.draw(random);
    }
    if (!candidate) break;
    seen_.add(*candidate);
    waiting.push_back(*candidate);
    proposals.push_back({std::move(*candidate)});
  }
  return proposals;
}

void ModelBased::tell(std::span<const FinishedTrial> finished) {
  seen_.add(finished);
  for (const FinishedTrial& trial : finished) {
    if (trial.duplicate_of) continue;
    told_.push_back(trial);
    if (trial.ok()) ++successes_;
  }
}

/// Of a few random candidates the one that differs most from all that have been proposed.
std::optional<Candidate> ModelBased::initial_candidate(std::span<const Candidate> pending, Random& random) {
  constexpr int draws = 8;
  std::vector<double> known;
  for (const FinishedTrial& trial : told_) rows_.append(trial.candidate, known);
  for (const Candidate& candidate : pending) rows_.append(candidate, known);
  const learn::Rows others = rows_.view(known);
  std::optional<Candidate> best;
  double best_distance = -1;
  for (int draw = 0; draw < draws; ++draw) {
    std::optional<Candidate> candidate = space().try_sample(random);
    if (!candidate) break;
    if (seen_.has(*candidate)) continue;
    const std::vector<double> row = rows_.rows(std::span(&*candidate, 1));
    double nearest = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < others.size(); ++i) {
      double distance = 0;
      for (std::size_t c = 0; c < space().size(); ++c) {  // of the parameters alone
        const double a = row[c], b = others[i][c];
        if (std::isnan(a) && std::isnan(b)) continue;
        if (std::isnan(a) || std::isnan(b)) {
          distance += 1;
        } else {
          distance += rows_.columns()[c].categories > 0 ? (a == b ? 0.0 : 1.0) : std::abs(a - b);
        }
      }
      nearest = std::min(nearest, distance);
    }
    if (nearest > best_distance) {
      best_distance = nearest;
      best = std::move(candidate);
    }
  }
  return best ? best : seen_.draw(random);
}

std::vector<Candidate> fittest(std::span<const FinishedTrial> told, std::size_t count, Random& random) {
  std::vector<std::size_t> feasible, infeasible;
  std::vector<Point> points;
  for (std::size_t i = 0; i < told.size(); ++i) {
    if (told[i].feasible()) {
      feasible.push_back(i);
      points.push_back(told[i].objectives);
    } else if (told[i].ok()) {
      infeasible.push_back(i);
    }
  }
  const std::vector<std::size_t> ranks = non_dominated_ranks(points);
  std::vector<std::size_t> order(feasible.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  random.shuffle(order);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return ranks[a] < ranks[b]; });
  std::vector<Candidate> result;
  for (std::size_t i = 0; i < order.size() && result.size() < count; ++i) {
    result.push_back(told[feasible[order[i]]].candidate);
  }
  std::stable_sort(infeasible.begin(), infeasible.end(),
                   [&](std::size_t a, std::size_t b) { return told[a].violation < told[b].violation; });
  for (std::size_t i = 0; i < infeasible.size() && result.size() < count; ++i) {
    result.push_back(told[infeasible[i]].candidate);
  }
  return result;
}

// --- Maximising an acquisition function

namespace {

/// Everything that has been scored in one search, best first on demand.
class Pool {
 public:
  Pool(const Space& space, const Acquisition& acquisition, const SeenCandidates& seen)
      : space_(space), acquisition_(acquisition), seen_(seen) {}

  /// Scores what is new among the candidates. \returns the position of the first of them in entries().
  std::size_t add(std::vector<Candidate> candidates) {
    const std::size_t begin = entries_.size();
    std::vector<Candidate> fresh;
    std::vector<bool> known;
    for (Candidate& candidate : candidates) {
      const Fingerprint fingerprint = space_.fingerprint(candidate);
      if (!visited_.insert(fingerprint).second) continue;
      known.push_back(seen_.has(fingerprint));
      fresh.push_back(std::move(candidate));
    }
    if (fresh.empty()) return begin;
    const std::vector<double> scores = acquisition_(fresh);
    for (std::size_t i = 0; i < fresh.size(); ++i) entries_.push_back({std::move(fresh[i]), scores[i], known[i]});
    return begin;
  }

  struct Entry {
    Candidate candidate;
    double score = 0;
    bool seen = false;
  };
  const std::vector<Entry>& entries() const { return entries_; }

  /// Positions of the best entries, best first.
  std::vector<std::size_t> best(std::size_t count, bool only_new) const {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (!only_new || !entries_[i].seen) order.push_back(i);
    }
    count = std::min(count, order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                      [&](std::size_t a, std::size_t b) {
                        if (entries_[a].score != entries_[b].score) return entries_[a].score > entries_[b].score;
                        return a < b;
                      });
    order.resize(count);
    return order;
  }

 private:
  const Space& space_;
  const Acquisition& acquisition_;
  const SeenCandidates& seen_;
  std::vector<Entry> entries_;
  std::unordered_set<Fingerprint> visited_;  // never iterated
};

/// One number moved by a Gaussian step between 0.1 % and 10 % of its range, or the candidate itself.
Candidate small_step(const Space& space, const Candidate& candidate, std::span<const std::size_t> numbers,
                     Random& random) {
  Candidate result = candidate;
  const std::size_t i = numbers[random.below(numbers.size())];
  const Parameter& parameter = space[i];
  const double step = 0.1 * std::pow(10.0, -2 * random.uniform()) * random.normal();
  double code = 0;
  if (parameter.logarithmic) {
    code = candidate[i] * std::exp(step * (std::log(parameter.maximum) - std::log(parameter.minimum)));
  } else {
    code = candidate[i] + step * (parameter.maximum - parameter.minimum);
  }
  if (!std::isfinite(code)) return result;
  if (parameter.discrete()) code = std::round(code);
  result = space.with(candidate, i, std::clamp(code, parameter.minimum, parameter.maximum), random, &candidate);
  return space.valid(result) ? result : candidate;
}

}  // namespace

std::optional<Candidate> maximize_acquisition(const Space& space, const Acquisition& acquisition,
                                              std::span<const Candidate> starts, const SeenCandidates& seen,
                                              Random& random, const AcquisitionSearch& settings) {
  constexpr std::size_t parents = 24;
  constexpr std::size_t climbers = 3;
  Pool pool(space, acquisition, seen);
  std::vector<std::size_t> real_or_long;  // numbers whose neighbourhood Space::neighbours does not cover
  for (std::size_t i = 0; i < space.size(); ++i) {
    const bool is_long = space[i].discrete() && space[i].levels() > Space::max_neighbours;
    if (space[i].kind != Parameter::Kind::choice && (!space[i].discrete() || is_long) &&
        space[i].maximum > space[i].minimum) {
      real_or_long.push_back(i);
    }
  }

  std::vector<Candidate> batch;
  for (std::size_t i = 0; i < settings.random; ++i) {
    std::optional<Candidate> candidate = space.try_sample(random);
    if (!candidate) break;
    batch.push_back(std::move(*candidate));
  }
  const std::size_t generations = 3;
  const std::size_t generation = settings.evaluations / 2 / generations;
  for (const Candidate& start : starts) batch.push_back(start);
  for (std::size_t i = 0; !starts.empty() && i < generation; ++i) {
    batch.push_back(space.mutate_one(starts[i % starts.size()], random));
  }
  pool.add(std::move(batch));
  for (std::size_t g = 1; g < generations; ++g) {
    const std::vector<std::size_t> best = pool.best(parents, false);
    if (best.empty()) return std::nullopt;
    batch.clear();
    for (std::size_t i = 0; i < generation; ++i) {
      const Candidate& first = pool.entries()[best[random.below(best.size())]].candidate;
      if (random.chance(0.5)) {
        batch.push_back(space.mutate(first, random, 1.0 / static_cast<double>(1 + space.size())));
      } else {
        const Candidate& second = pool.entries()[best[random.below(best.size())]].candidate;
        batch.push_back(space.crossover(first, second, random));
      }
    }
    pool.add(std::move(batch));
  }

  // Steepest ascent from each of the best in turn.
  for (const std::size_t begin : pool.best(climbers, true)) {
    std::size_t position = begin;
    for (int step = 0; step < 30 && pool.entries().size() < 2 * settings.evaluations; ++step) {
      const Candidate here = pool.entries()[position].candidate;
      const double score = pool.entries()[position].score;
      batch = space.neighbours(here);
      std::vector<std::size_t> numbers;
      for (const std::size_t i : real_or_long) {
        if (here.has(i)) numbers.push_back(i);
      }
      for (std::size_t i = 0; !numbers.empty() && i < 16 + numbers.size(); ++i) {
        batch.push_back(small_step(space, here, numbers, random));
      }
      std::size_t next = position;
      double next_score = score;
      for (std::size_t i = pool.add(std::move(batch)); i < pool.entries().size(); ++i) {
        if (!pool.entries()[i].seen && pool.entries()[i].score > next_score) {
          next = i;
          next_score = pool.entries()[i].score;
        }
      }
      if (next == position) break;
      position = next;
    }
  }
  const std::vector<std::size_t> best = pool.best(1, true);
  if (best.empty()) return std::nullopt;
  return pool.entries()[best.front()].candidate;
}

}  // namespace duet
