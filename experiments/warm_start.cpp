#include "experiments/warm_start.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <span>

#include <fmt/format.h>

#include "core/errors.hpp"
#include "core/pareto.hpp"
#include "experiments/store.hpp"

namespace duet {
namespace {

/// Numbers of the feasible trials, best first.
std::vector<std::uint64_t> best_first(const Store& store, const ExperimentRecord& experiment,
                                      const std::vector<WarmStartTarget>& objectives) {
  std::vector<std::size_t> metrics;
  std::vector<Direction> directions;
  for (const WarmStartTarget& objective : objectives) {
    for (std::size_t i = 0; i < experiment.metrics.size(); ++i) {
      if (experiment.metrics[i].metric.name != objective.metric) continue;
      metrics.push_back(i);
      directions.push_back(objective.direction);
    }
  }
  if (metrics.size() != objectives.size()) {
    metrics.clear();
    directions.clear();
    for (std::size_t i = 0; i < experiment.metrics.size(); ++i) {
      if (!experiment.metrics[i].objective) continue;
      metrics.push_back(i);
      directions.push_back(experiment.metrics[i].direction);
    }
  }
  std::vector<std::uint64_t> trials;
  std::vector<Point> points;
  store.for_each_score(experiment, metrics, [&](std::uint64_t number, std::span<const double> values) {
    trials.push_back(number);
    Point& point = points.emplace_back(values.begin(), values.end());
    for (std::size_t k = 0; k < point.size(); ++k) {
      if (directions[k] == Direction::maximize) point[k] = -point[k];
    }
  });
  const std::vector<std::size_t> ranks = non_dominated_ranks(points);
  std::vector<double> crowding(ranks.size(), 0);
  for (std::size_t rank = 0; rank <= (ranks.empty() ? 0 : *std::max_element(ranks.begin(), ranks.end())); ++rank) {
    std::vector<std::size_t> members;
    std::vector<Point> front;
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      if (ranks[i] != rank) continue;
      members.push_back(i);
      front.push_back(points[i]);
    }
    const std::vector<double> distances = crowding_distance(front);
    for (std::size_t i = 0; i < members.size(); ++i) crowding[members[i]] = distances[i];
  }
  std::vector<std::size_t> order(ranks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return ranks[a] != ranks[b] ? ranks[a] < ranks[b] : crowding[a] > crowding[b];
  });
  std::vector<std::uint64_t> numbers;
  for (const std::size_t i : order) numbers.push_back(trials[i]);
  return numbers;
}

/// The design in another space; nothing if that does not have it.
std::optional<Candidate> carry_over(const Candidate& earlier, const std::vector<Parameter>& parameters,
                                    const std::map<std::string, std::size_t>& paths, const Space& space,
                                    Random& random) {
  for (int attempt = 0; attempt < Space::max_retries; ++attempt) {
    Candidate candidate(space.size());
    bool drawn = false;
    for (std::size_t i = 0; i < space.size(); ++i) {
      if (!space.active(candidate, i)) continue;
      const auto found = paths.find(space[i].path);
      if (found == paths.end() || !earlier.has(found->second)) {
        candidate.set(i, space.sample_code(i, random));
        drawn = true;
        continue;
      }
      std::string problem;
      const auto code = space.parse(i, format_code(parameters[found->second], earlier[found->second]), problem);
      if (!code) return std::nullopt;
      candidate.set(i, *code);
    }
    if (space.valid(candidate)) return candidate;
    if (!drawn) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

WarmStart read_warm_start(const Config& config, const Space& space, const std::vector<WarmStartTarget>& objectives,
                          std::uint64_t seed) {
  if (!config.is_map()) config.fail_wrong("a mapping: {database: earlier.db, experiment: NAME, best: 20}");
  config.allow_only({"database", "experiment", "best"});
  const Config database = config.at("database");
  const auto best = config.has("best") ? static_cast<std::size_t>(config.at("best").integer(1, 100'000)) : 20;
  WarmStart result;
  try {
    const Store store(database.text(), Store::Mode::read);
    const ExperimentRecord experiment = store.at(config.has("experiment") ? config.at("experiment").text() : "");
    std::map<std::string, std::size_t> paths;
    std::size_t common = 0;
    for (std::size_t i = 0; i < experiment.parameters.size(); ++i) {
      paths.emplace(experiment.parameters[i].path, i);
      common += space.find(experiment.parameters[i].path) ? 1 : 0;
    }
    if (common == 0) {
      config.fail(fmt::format("experiment '{}' has no parameter in common with this space", experiment.name));
    }
    std::vector<std::uint64_t> numbers = best_first(store, experiment, objectives);
    if (numbers.size() > best) numbers.resize(best);
    std::set<Fingerprint> seen;
    for (const std::uint64_t number : numbers) {
      Random random(seed, "warm start", number);
      const auto trial = store.trial(experiment, number);
      const auto candidate = carry_over(trial->candidate, experiment.parameters, paths, space, random);
      if (!candidate) {
        ++result.dropped;
      } else if (seen.insert(space.fingerprint(*candidate)).second) {
        result.designs.push_back(*candidate);
      }
    }
    result.sentence = fmt::format(
        "warm start with {} of the best {} designs of experiment '{}' in {}; {} of its parameters are in this space, "
        "which has {}; {} designs are not in this space",
        result.designs.size(), numbers.size(), experiment.name, database.text(), common, space.size(), result.dropped);
  } catch (const StoreError& error) {
    database.fail(error.what());
  }
  return result;
}

}  // namespace duet
