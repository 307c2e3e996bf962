#include "experiments/tournament.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <exception>
#include <limits>
#include <mutex>
#include <set>
#include <thread>
#include <tuple>

#include <fmt/format.h>

#include "core/errors.hpp"
#include "core/units.hpp"
#include "estimators/csv.hpp"
#include "experiments/run.hpp"

namespace duet {
namespace {

constexpr std::uint64_t most_exhaustive = 200'000;
constexpr std::size_t most_curve_points = 40;

// --- The file

std::vector<std::uint64_t> read_seeds(const Config& config) {
  std::vector<std::uint64_t> seeds;
  if (config.is_map()) {
    config.allow_only({"first", "count"});
    const std::int64_t first = config.has("first") ? config.at("first").integer(0, INT64_MAX - 100'000) : 0;
    const std::int64_t count = config.at("count").integer(1, 100'000);
    for (std::int64_t i = 0; i < count; ++i) seeds.push_back(static_cast<std::uint64_t>(first + i));
  } else if (config.is_sequence()) {
    for (const Config& item : config.items()) {
      const auto seed = static_cast<std::uint64_t>(item.integer(0));
      if (std::find(seeds.begin(), seeds.end(), seed) != seeds.end()) item.fail(fmt::format("seed {} is given twice", seed));
      seeds.push_back(seed);
    }
    if (seeds.empty()) config.fail("at least one seed is needed");
  } else {
    const std::int64_t count = config.integer(1, 100'000);
    for (std::int64_t i = 0; i < count; ++i) seeds.push_back(static_cast<std::uint64_t>(i));
  }
  return seeds;
}

/// Names become names of experiments, databases and columns.
std::string checked_name(const std::string& name, const Config& where, std::set<std::string>& taken, const char* what) {
  const bool clean = !name.empty() && name.size() <= 40 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-';
  });
  if (!clean) where.fail(fmt::format("the name '{}' must be made of letters, digits, '_' and '-'", name));
  if (!taken.insert(name).second) where.fail(fmt::format("two {} are named '{}'; give one another name", what, name));
  return name;
}

const StrategyPlugin& plugin_of(const Config& search, const Registry& registry) {
  return registry.strategies.at(search.is_map() ? search.at("type") : search);
}

Entrant read_entrant(const Config& config, const Registry& registry, std::set<std::string>& names) {
  const bool wrapped = config.is_map() && config.has("search");
  Entrant entrant{.name = "", .search = wrapped ? config.at("search") : config, .vary = {}, .draws = 0};
  const Config& search = entrant.search;
  if (!search.is_map() && !search.is_scalar()) search.fail("expected a strategy: {type: nsga2, …}");
  const StrategyPlugin& plugin = plugin_of(search, registry);
  if (!wrapped) {
    entrant.name = checked_name(plugin.name, config, names, "strategies");
    return entrant;
  }
  config.allow_only({"name", "search", "vary", "draws"});
  entrant.name = config.has("name") ? checked_name(config.at("name").text(), config.at("name"), names, "strategies")
                                    : checked_name(plugin.name, config, names, "strategies");
  if (const auto vary = config.find("vary")) {
    entrant.vary = Space(read_space_nodes(*vary));
    for (const Parameter& parameter : entrant.vary.parameters()) {
      const auto known = std::find_if(plugin.options.begin(), plugin.options.end(),
                                      [&](const Option& option) { return option.name == parameter.path; });
      if (known != plugin.options.end()) continue;
      std::vector<std::string> options;
      for (const Option& option : plugin.options) options.push_back(option.name);
      vary->fail(fmt::format("strategy {} has no option '{}'{}", plugin.name, parameter.path, hint(parameter.path, options)));
    }
    entrant.draws = static_cast<std::size_t>(config.at("draws").integer(1, 10'000));
  } else if (const auto draws = config.find("draws")) {
    draws->fail("there is nothing to draw; say under 'vary' which options, and from where: "
                "vary: {population: {integer: [8, 100]}}");
  }
  return entrant;
}

Yardstick read_yardstick(const Config& config) {
  Yardstick yardstick;
  if (config.is_map()) {
    config.allow_only({"optimum", "front"});
    if (config.size() != 1) config.fail("expected either an optimum or a front");
    if (const auto optimum = config.find("optimum")) {
      yardstick.kind = Yardstick::Kind::optimum;
      yardstick.optimum = *optimum;
    } else {
      yardstick.kind = Yardstick::Kind::front;
      yardstick.front = config.at("front").file();
    }
    return yardstick;
  }
  static const std::vector<std::string> words{"exhaustive", "seen"};
  yardstick.kind = config.one_of(words) == "seen" ? Yardstick::Kind::seen : Yardstick::Kind::exhaustive;
  return yardstick;
}

Contest read_problem(const Config& config, const std::filesystem::path& directory, std::set<std::string>& names) {
  Contest contest;
  if (config.is_scalar()) {
    contest.file = directory / config.text();
    contest.name = checked_name(contest.file.stem().string(), config, names, "problems");
    return contest;
  }
  if (!config.is_map()) config.fail("expected an experiment file, or a mapping with the key 'experiment'");
  config.allow_only({"name", "experiment", "trials", "window", "reference"});
  contest.file = directory / config.at("experiment").text();
  contest.name = config.has("name")
                     ? checked_name(config.at("name").text(), config.at("name"), names, "problems")
                     : checked_name(contest.file.stem().string(), config.at("experiment"), names, "problems");
  if (const auto trials = config.find("trials")) contest.trials = static_cast<std::uint64_t>(trials->integer(1));
  if (const auto window = config.find("window")) contest.window = static_cast<std::size_t>(window->integer(1, 100'000));
  if (const auto reference = config.find("reference")) contest.yardstick = read_yardstick(*reference);
  return contest;
}

// --- Running

/// The experiment of one run.
Specification specification_of(const Tournament& tournament, const Contest& problem, const Registry& registry,
                               const Config& search, std::uint64_t seed, const std::string& name) {
  Overrides overrides;
  overrides.seed = seed;
  overrides.trials = problem.trials;
  overrides.output = (tournament.output / (problem.name + ".db")).string();
  overrides.name = name;
  overrides.search = search;
  overrides.window = problem.window;
  return load_specification(problem.file, registry, overrides);
}

/// The experiment with a strategy that can take anything: to see what kind of problem it is.
Specification plain_specification(const Tournament& tournament, const Contest& problem, const Registry& registry) {
  return specification_of(tournament, problem, registry, Config::parse("random", "random"), 0, "random");
}

std::string run_name(const Entrant& entrant, std::size_t draw, std::uint64_t seed) {
  return draw == 0 ? fmt::format("{}.seed_{}", entrant.name, seed)
                   : fmt::format("{}.draw_{}.seed_{}", entrant.name, draw, seed);
}

/// What a run cost. Stands in the history of a finished one, so that it need not be repeated for its times.
struct Times {
  double strategy_s = 0, total_s = 0;
};

/// The times of a run that had come to its end, nothing if it had not.
std::optional<Times> finished_times(const Store& store, const Specification& specification) {
  const auto record = store.find(specification.name);
  if (!record || record->identity != specification.identity) return std::nullopt;
  const std::vector<std::string> notes = store.notes(record->id);
  if (notes.empty()) return std::nullopt;
  Times times;
  unsigned long long budget = 0;
  const std::size_t begin = notes.back().find("spent ");
  if (begin == std::string::npos ||
      std::sscanf(notes.back().c_str() + begin, "spent %lf s in the strategy, %lf s in all, budget %llu", &times.strategy_s,
                  &times.total_s, &budget) != 3 ||
      budget != specification.budget.trials) {
    return std::nullopt;
  }
  return times;
}

/// Feasible results in the order of their evaluation, and after how many evaluations each came.
struct Results {
  std::vector<Point> points;
  std::vector<std::uint64_t> at;
  std::uint64_t evaluations = 0;
};

Results read_results(const Store& store, const Specification& specification) {
  Results results;
  const ExperimentRecord record = store.at(specification.name);
  for (const TrialRecord& trial : store.trials(record)) {
    if (trial.duplicate_of) continue;
    if (++results.evaluations > specification.budget.trials) break;
    if (trial.status != Status::ok || trial.violation > 0) continue;
    results.points.push_back(specification.objective_values(trial.values));
    results.at.push_back(results.evaluations);
  }
  return results;
}

std::vector<Point> front_of(const std::vector<Point>& points) {
  std::vector<Point> front;
  for (const std::size_t i : pareto_front(points)) front.push_back(points[i]);
  return front;
}

Point scaled(const Point& point, const Point& low, const Point& high) {
  Point result(point.size());
  for (std::size_t i = 0; i < point.size(); ++i) {
    result[i] = high[i] > low[i] ? (point[i] - low[i]) / (high[i] - low[i]) : point[i] <= low[i] ? 0.0 : 1.0;
  }
  return result;
}

double scaled_hypervolume(std::span<const Point> points, const Reference& reference) {
  std::vector<Point> inside;
  for (const Point& point : points) inside.push_back(scaled(point, reference.low, reference.high));
  return hypervolume(inside, Point(reference.low.size(), 1.0));
}

/// Every design of the space, scored. Requires an exactly known cardinality.
std::vector<Point> score_everything(const Specification& specification, std::uint64_t designs, std::size_t workers,
                                    std::stop_token stop) {
  const Space& space = specification.space->space();
  constexpr std::uint64_t chunk = 256;
  std::vector<std::vector<Point>> parts(static_cast<std::size_t>((designs + chunk - 1) / chunk));
  std::exception_ptr problem;
  std::mutex mutex;
  {
    std::atomic<std::size_t> next = 0;
    const auto work = [&] {
      for (std::size_t part = next++; part < parts.size() && !stop.stop_requested(); part = next++) {
        const std::uint64_t begin = part * chunk;
        for (std::uint64_t rank = begin; rank < std::min(designs, begin + chunk); ++rank) {
          Candidate candidate = space.unrank(rank);
          if (!space.valid(candidate)) continue;
          const Evaluation evaluation = score(specification, specification.space->design(std::move(candidate)), stop);
          if (evaluation.status != Status::ok || specification.violation(evaluation.values) > 0) continue;
          parts[part].push_back(specification.objective_values(evaluation.values));
        }
      }
    };
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < workers; ++i) {
      threads.emplace_back([&] {
        try {
          work();
        } catch (...) {
          const std::lock_guard lock(mutex);
          problem = std::current_exception();
          next = parts.size();
        }
      });
    }
  }
  if (problem) std::rethrow_exception(problem);
  std::vector<Point> all;
  for (auto& part : parts) std::move(part.begin(), part.end(), std::back_inserter(all));
  return all;
}

std::vector<Point> read_front(const std::filesystem::path& file, const Specification& specification) {
  CsvReader csv(read_whole_file(file), file.string());
  std::vector<std::size_t> columns;
  for (const SearchObjective& objective : specification.objectives) {
    columns.push_back(csv.column(specification.metrics[objective.metric].metric.name));
  }
  std::vector<Point> points;
  while (csv.next()) {
    Point point;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const std::string_view text = csv[columns[i]];
      const std::string& unit = specification.metrics[specification.objectives[i].metric].metric.unit;
      std::string why = "not a number";
      std::optional<double> value = parse_number(text);
      if (!value && is_known_unit(unit)) value = parse_quantity(text, unit, why);
      if (!value || !std::isfinite(*value)) csv.fail(csv.line(), fmt::format("'{}': {}", text, why));
      point.push_back(specification.objectives[i].direction == Direction::minimize ? *value : -*value);
    }
    points.push_back(std::move(point));
  }
  if (points.empty()) throw ConfigError(file.string() + ": the front has no points");
  return front_of(points);
}

/// The reference, but for what has to come from the runs themselves (kind `seen`): then it is left without a front.
Reference known_reference(const Contest& problem, const Specification& specification, const TournamentOptions& options) {
  Reference reference;
  for (const SearchObjective& objective : specification.objectives) {
    reference.objectives.push_back(
        fmt::format("{} ({})", specification.metrics[objective.metric].metric.name, to_string(objective.direction)));
  }
  if (reference.single()) reference.unit = specification.metrics[specification.objectives[0].metric].metric.unit;

  const auto bounds_from = [&](const std::vector<Point>& points) {
    reference.low = reference.high = points.front();
    for (const Point& point : points) {
      for (std::size_t i = 0; i < point.size(); ++i) {
        reference.low[i] = std::min(reference.low[i], point[i]);
        reference.high[i] = std::max(reference.high[i], point[i]);
      }
    }
  };
  Yardstick::Kind kind = problem.yardstick.kind;
  const Cardinality cardinality = specification.space->space().cardinality();
  const bool enumerable = cardinality.finite && cardinality.exact && *cardinality.exact <= most_exhaustive;
  const bool cheap = std::none_of(specification.scorers.begin(), specification.scorers.end(),
                                  [](const auto& scorer) { return scorer.estimator->expensive() || scorer.estimator->learns(); });
  if (kind == Yardstick::Kind::automatic) kind = enumerable && cheap ? Yardstick::Kind::exhaustive : Yardstick::Kind::seen;
  switch (kind) {
    case Yardstick::Kind::automatic:
    case Yardstick::Kind::seen:
      break;
    case Yardstick::Kind::exhaustive: {
      if (!enumerable) {
        throw ConfigError(fmt::format("{}: 'reference: exhaustive' scores every design, and there are {} (at most {} are "
                                      "allowed); take 'seen', an optimum or a front",
                                      problem.file.string(), cardinality.text, most_exhaustive));
      }
      const std::vector<Point> all = score_everything(specification, *cardinality.exact, options.workers, options.stop);
      if (options.stop.stop_requested()) break;
      if (all.empty()) throw ConfigError(problem.file.string() + ": not one design of the space is feasible");
      reference.front = front_of(all);
      bounds_from(all);
      reference.origin = fmt::format("all {} feasible designs", all.size());
      break;
    }
    case Yardstick::Kind::optimum: {
      if (!reference.single()) {
        throw ConfigError(fmt::format("{}: an optimum is for one objective; there are {}: give a front", problem.file.string(),
                                      reference.objectives.size()));
      }
      const bool minimize = specification.objectives[0].direction == Direction::minimize;
      const Config& given = *problem.yardstick.optimum;
      const double optimum = is_known_unit(reference.unit) ? given.quantity(reference.unit) : given.number();
      reference.front = {{minimize ? optimum : -optimum}};
      reference.origin = "given";
      break;
    }
    case Yardstick::Kind::front:
      reference.front = read_front(problem.yardstick.front, specification);
      bounds_from(reference.front);
      reference.origin = problem.yardstick.front.filename().string();
      break;
  }
  return reference;
}

/// Evaluations at which a run's state is looked at: the given ones, the budget, and enough in between for a curve.
std::vector<std::uint64_t> curve_points(std::uint64_t budget, const std::vector<std::uint64_t>& given) {
  std::set<std::uint64_t> points{budget};
  for (const std::uint64_t point : given) {
    if (point <= budget) points.insert(point);
  }
  for (std::size_t i = 0; i < most_curve_points; ++i) {
    const double share = static_cast<double>(i) / (most_curve_points - 1);
    points.insert(static_cast<std::uint64_t>(std::llround(std::pow(static_cast<double>(budget), share))));
  }
  return {points.begin(), points.end()};
}

}  // namespace

double Reference::gap(std::span<const Point> results) const {
  if (single()) {
    double best = std::numeric_limits<double>::infinity();
    for (const Point& point : results) best = std::min(best, point[0]);
    return best - front[0][0];
  }
  if (hypervolume <= 0) return results.empty() ? 1 : 0;  // the front is at the corners only: it encloses nothing
  return 1 - scaled_hypervolume(results, *this) / hypervolume;
}

const ContestRun* TournamentResults::find(std::size_t problem, std::size_t entrant, std::size_t draw,
                                          std::size_t seed) const {
  const auto key = std::tuple(problem, entrant, draw, seed);
  const auto key_of = [](const ContestRun& run) { return std::tuple(run.problem, run.entrant, run.draw, run.seed); };
  const auto found = std::lower_bound(runs.begin(), runs.end(), key, [&](const ContestRun& run, const auto& wanted) {
    return key_of(run) < wanted;
  });
  return found == runs.end() || key_of(*found) != key ? nullptr : &*found;
}

Config drawn_search(const Entrant& entrant, std::size_t draw) {
  Random random(0, "tournament " + entrant.name, draw);
  const Candidate candidate = entrant.vary.sample(random);
  std::string text = "{";
  if (entrant.search.is_map()) {
    for (const std::string& key : entrant.search.keys()) {
      if (!entrant.vary.find(key)) text += fmt::format("{}: {}, ", key, entrant.search.at(key).canonical());
    }
  } else {
    text += fmt::format("type: {}, ", entrant.search.text());
  }
  for (std::size_t i = 0; i < entrant.vary.size(); ++i) {
    if (!entrant.vary.active(candidate, i)) continue;
    const Parameter& parameter = entrant.vary[i];
    text += fmt::format("{}: {}", parameter.path, entrant.vary.format(i, candidate[i]));
    if (parameter.unit != "1") text += parameter.unit;
    text += ", ";
  }
  return Config::parse(text + "}", fmt::format("draw {} of {}", draw, entrant.name));
}

bool is_tournament(const std::filesystem::path& file) {
  const Config config = Config::load(file);
  return config.is_map() && config.has("problems");
}

void check(const Tournament& tournament, const Registry& registry) {
  for (const Contest& contest : tournament.problems) {
    const Specification plain = plain_specification(tournament, contest, registry);
    const Problem problem = plain.problem();  // points into it
    for (const Entrant& entrant : tournament.entrants) {
      if (why_unsuitable(plugin_of(entrant.search, registry), problem)) continue;
      for (std::size_t draw = 0; draw <= entrant.draws; ++draw) {
        specification_of(tournament, contest, registry, draw == 0 ? entrant.search : drawn_search(entrant, draw), 0,
                         run_name(entrant, draw, 0));
      }
    }
  }
}

Tournament load_tournament(const std::filesystem::path& file, const Registry& registry) {
  const Config config = Config::load(file);
  if (!config.is_map()) config.fail("a tournament file is a mapping with the keys strategies, problems and seeds");
  config.allow_only({"name", "output", "seeds", "strategies", "problems", "checkpoints", "alpha"});
  const std::filesystem::path directory = std::filesystem::absolute(file).parent_path();
  Tournament tournament;
  tournament.name = config.has("name") ? config.at("name").text() : file.stem().string();
  tournament.output = config.has("output") ? config.at("output").text() : tournament.name;
  if (tournament.output.empty()) config.fail("the output needs the name of a folder");
  tournament.seeds = read_seeds(config.at("seeds"));
  std::set<std::string> names;
  for (const Config& entry : config.at("strategies").items(true)) {
    tournament.entrants.push_back(read_entrant(entry, registry, names));
  }
  if (tournament.entrants.empty()) config.at("strategies").fail("at least one strategy is needed");
  names.clear();
  for (const Config& entry : config.at("problems").items(true)) {
    tournament.problems.push_back(read_problem(entry, directory, names));
  }
  if (tournament.problems.empty()) config.at("problems").fail("at least one problem is needed");
  if (const auto checkpoints = config.find("checkpoints")) {
    for (const Config& entry : checkpoints->items(true)) {
      tournament.checkpoints.push_back(static_cast<std::uint64_t>(entry.integer(1)));
    }
  }
  if (const auto alpha = config.find("alpha")) tournament.alpha = alpha->number(1e-6, 0.5);
  return tournament;
}

TournamentResults run(const Tournament& tournament, const Registry& registry, const TournamentOptions& options) {
  std::error_code failure;
  std::filesystem::create_directories(tournament.output, failure);
  if (failure) {
    throw ConfigError(fmt::format("{}: cannot be created: {}", tournament.output.string(), failure.message()));
  }
  TournamentResults out;
  std::vector<Store> stores;
  std::vector<std::uint64_t> budgets;
  for (std::size_t p = 0; p < tournament.problems.size(); ++p) {
    const Contest& problem = tournament.problems[p];
    const Specification plain = plain_specification(tournament, problem, registry);
    budgets.push_back(plain.budget.trials);
    out.checkpoints.push_back(curve_points(plain.budget.trials, tournament.checkpoints));
    out.references.push_back(known_reference(problem, plain, options));
    stores.emplace_back(tournament.output / (problem.name + ".db"), Store::Mode::write);
    for (std::size_t e = 0; e < tournament.entrants.size(); ++e) {
      const Entrant& entrant = tournament.entrants[e];
      if (const auto reason = why_unsuitable(plugin_of(entrant.search, registry), plain.problem())) {
        out.refusals.push_back(fmt::format("{} on {}: {}", entrant.name, problem.name, *reason));
        continue;
      }
      for (std::size_t draw = 0; draw <= entrant.draws; ++draw) {
        for (std::size_t seed = 0; seed < tournament.seeds.size(); ++seed) {
          ContestRun& run = out.runs.emplace_back();
          run.problem = p;
          run.entrant = e;
          run.draw = draw;
          run.seed = seed;
        }
      }
    }
  }

  std::vector<Results> results(out.runs.size());
  std::exception_ptr problem;
  std::mutex mutex;
  std::atomic<std::size_t> next = 0;
  std::size_t done = 0;
  const auto work = [&](ContestRun& run, Results& result) {
    const Contest& contest = tournament.problems[run.problem];
    const Entrant& entrant = tournament.entrants[run.entrant];
    const std::uint64_t seed = tournament.seeds[run.seed];
    Specification specification =
        specification_of(tournament, contest, registry, run.draw == 0 ? entrant.search : drawn_search(entrant, run.draw), seed,
                         run_name(entrant, run.draw, seed));
    Store& store = stores[run.problem];
    auto times = finished_times(store, specification);
    if (!times) {
      RunOptions run_options;
      run_options.stop = options.stop;
      const RunSummary summary = duet::run(specification, store, run_options);
      if (summary.end == RunSummary::End::stopped) return;
      times = Times{summary.strategy_s, summary.duration_s};
      store.note(store.at(specification.name).id,
                 fmt::format("spent {:.6f} s in the strategy, {:.6f} s in all, budget {}", times->strategy_s, times->total_s,
                             specification.budget.trials));
    }
    run.strategy_s = times->strategy_s;
    run.total_s = times->total_s;
    result = read_results(store, specification);
    run.evaluations = result.evaluations;
    const std::lock_guard lock(mutex);
    ++done;
    if (options.on_run) options.on_run(done, out.runs.size(), contest.name + ": " + specification.name);
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t thread = 0; thread < std::max<std::size_t>(1, options.workers); ++thread) {
      threads.emplace_back([&] {
        for (std::size_t i = next++; i < out.runs.size() && !options.stop.stop_requested(); i = next++) {
          try {
            work(out.runs[i], results[i]);
          } catch (...) {
            const std::lock_guard lock(mutex);
            if (!problem) problem = std::current_exception();
            next = out.runs.size();
          }
        }
      });
    }
  }
  if (problem) std::rethrow_exception(problem);
  if (options.stop.stop_requested()) {
    out.stopped = true;
    return out;
  }

  // References that are made of what was seen, then everybody's distance from the references.
  for (std::size_t p = 0; p < out.references.size(); ++p) {
    Reference& reference = out.references[p];
    if (reference.front.empty()) {
      std::vector<Point> all;
      for (std::size_t i = 0; i < out.runs.size(); ++i) {
        if (out.runs[i].problem == p) all.insert(all.end(), results[i].points.begin(), results[i].points.end());
      }
      if (all.empty()) {
        throw ConfigError(tournament.problems[p].file.string() + ": no run found a feasible design; there is nothing to compare");
      }
      reference.front = front_of(all);
      reference.low = reference.high = all.front();
      for (const Point& point : all) {
        for (std::size_t i = 0; i < point.size(); ++i) {
          reference.low[i] = std::min(reference.low[i], point[i]);
          reference.high[i] = std::max(reference.high[i], point[i]);
        }
      }
      reference.origin = "the best of all runs";
    }
    if (!reference.single()) reference.hypervolume = scaled_hypervolume(reference.front, reference);
  }
  for (std::size_t i = 0; i < out.runs.size(); ++i) {
    ContestRun& run = out.runs[i];
    const Reference& reference = out.references[run.problem];
    std::vector<Point> front;
    std::size_t used = 0;
    for (const std::uint64_t checkpoint : out.checkpoints[run.problem]) {
      const std::size_t before = used;
      while (used < results[i].points.size() && results[i].at[used] <= checkpoint) front.push_back(results[i].points[used++]);
      if (used > before) front = front_of(front);
      const bool same = used == before && !run.gaps.empty();
      run.gaps.push_back(same ? run.gaps.back() : reference.gap(front));
    }
    std::size_t found = 0;
    for (const Point& point : reference.front) found += std::find(front.begin(), front.end(), point) != front.end();
    run.found = static_cast<double>(found) / static_cast<double>(reference.front.size());
  }
  return out;
}

}  // namespace duet
