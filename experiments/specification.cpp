#include "experiments/specification.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "core/errors.hpp"
#include "estimators/isolation.hpp"
#include "experiments/table_file.hpp"
#include "experiments/warm_start.hpp"

namespace duet {
namespace {

const std::vector<std::string> known_keys{"name",        "seed",   "output", "space",  "estimators", "objectives",
                                          "constraints", "search", "budget", "window", "initial",    "max_duplicates"};

// Names that the database uses itself.
const std::set<std::string, std::less<>> reserved_names{"experiments", "parameters", "metrics",     "trials",
                                                        "finals",      "notes",      "evaluations", "options"};

void check_name(const std::string& name, const std::function<void(const std::string&)>& fail) {
  const bool clean = !name.empty() && name.size() <= 100 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
  });
  if (!clean) fail(fmt::format("the name '{}' must be made of letters, digits, '_', '-' and '.'", name));
  std::string lower = name;  // SQLite does not tell case apart
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (reserved_names.contains(lower) || lower.starts_with("trial_") || lower.starts_with("trials_") ||
      lower.starts_with("sqlite_")) {
    fail(fmt::format("the name '{}' is taken by a table of the database", name));
  }
}

std::vector<std::string> metric_names(const std::vector<StoredMetric>& metrics) {
  std::vector<std::string> names;
  for (const StoredMetric& stored : metrics) names.push_back(stored.metric.name);
  return names;
}

std::size_t find_metric(const std::vector<StoredMetric>& metrics, const std::string& name, const Config& where) {
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    if (metrics[i].metric.name == name) return i;
  }
  where.fail(fmt::format("no estimator reports a metric '{}'{}", name, hint(name, metric_names(metrics))));
}

/// The entries of `estimators:`, which may be one.
std::vector<Config> scorer_entries(const Config& section) {
  return section.is_map() ? std::vector<Config>{section} : section.items(true);
}

const EstimatorPlugin& scorer_plugin(const Config& given, const Registry& registry) {
  // "- analytical" is short for "- type: analytical"
  if (!given.is_scalar() && !given.is_map()) {
    given.fail("expected the name of an estimator, or a mapping with its type");
  }
  return registry.estimators.at(given.is_scalar() ? given : given.at("type"));
}

Options scorer_options(const Config& given, const EstimatorPlugin& plugin) {
  static const std::vector<std::string> reserved{"type", "isolation", "time_limit", "memory_limit"};
  for (const Option& option : plugin.options) {
    if (std::find(reserved.begin(), reserved.end(), option.name) != reserved.end()) {
      given.fail(fmt::format("estimator {} has an option '{}', but every estimator has a key of that name", plugin.name,
                             option.name));
    }
  }
  return Options::read(given.is_scalar() ? std::nullopt : std::optional(given), plugin.options,
                       "estimator " + plugin.name, reserved);
}

/// What an experiment is recognised by does not depend on where its estimators run.
std::string scorer_identity(const Config& section) {
  std::vector<std::string> texts;
  for (const Config& given : scorer_entries(section)) {
    std::string text = given.canonical({"isolation", "time_limit", "memory_limit"});
    const std::string type = given.is_map() ? given.at("type").canonical() : text;
    texts.push_back(text == fmt::format("{{\"type\":{}}}", type) ? type : text);
  }
  return fmt::format("[{}]", fmt::join(texts, ","));
}

/// The keys beside `type` that say where an estimator runs; nothing: here.
std::optional<IsolationLimits> read_isolation(const Config& given, const Registry& registry) {
  static const std::vector<std::string> words{"none", "process"};
  if (!given.is_map()) return std::nullopt;
  const auto isolation = given.find("isolation");
  IsolationLimits limits;
  if (const auto limit = given.find("time_limit")) limits.time_s = limit->quantity("s", 0.001, 1e7);
  if (const auto limit = given.find("memory_limit")) limits.memory_bytes = limit->quantity("B", 1 << 24, 1e15);
  if (!isolation || isolation->one_of(words) == "none") {
    for (const char* key : {"time_limit", "memory_limit"}) {
      if (given.has(key)) given.at(key).fail(fmt::format("'{}' needs 'isolation: process'", key));
    }
    return std::nullopt;
  }
  if (!registry.worker) isolation->fail("this program cannot start worker processes; the command duet can");
  return limits;
}

/// What a worker needs to know to create the estimator of entry `index`: see serve_worker().
std::vector<std::string> worker_task(const Config& section, std::size_t index, const Specification& specification) {
  return {section.document(), section.document_text(), specification.directory.string(),
          std::to_string(specification.seed), std::to_string(index)};
}

Environment environment_of(std::uint64_t seed, const std::filesystem::path& directory, const DesignSpace& space) {
  return {seed, directory, &space, [](const std::filesystem::path& path, const std::string& table) {
            return std::make_unique<TableFile>(path, table);
          }};
}

void read_scorers(const Config& section, const Registry& registry, Specification& specification) {
  if (section.is_null()) section.fail("expected a list of estimators: - type: analytical");
  const std::vector<Config> entries = scorer_entries(section);
  if (entries.empty()) section.fail("at least one estimator is needed");
  const Environment environment = environment_of(specification.seed, specification.directory, *specification.space);
  for (std::size_t index = 0; index < entries.size(); ++index) {
    const Config& given = entries[index];
    const EstimatorPlugin& plugin = scorer_plugin(given, registry);
    Specification::Scorer scorer;
    scorer.name = plugin.name;
    scorer.options = scorer_options(given, plugin);
    const std::optional<IsolationLimits> isolation = read_isolation(given, registry);
    scorer.identity = Hasher()
                          .add(std::string_view(plugin.name))
                          .add(std::int64_t{plugin.version})
                          .add(scorer.options.fingerprint())
                          .add(specification.seed)
                          .finish();
    try {
      scorer.estimator = isolation ? std::make_unique<IsolatedEstimator>(
                                         *registry.worker, worker_task(section, index, specification), *isolation)
                                   : plugin.create(scorer.options, environment);
    } catch (const ConfigError& error) {
      if (std::string_view(error.what()).starts_with(given.document())) throw;
      given.fail(error.what());
    }
    Hasher identity;
    identity.add(scorer.identity).add(scorer.estimator->inputs());
    for (const Metric& metric : scorer.estimator->metrics()) {  // cached values are told apart by their position only
      identity.add(std::string_view(metric.name)).add(std::string_view(metric.unit));
    }
    scorer.identity = identity.finish();
    scorer.first_metric = specification.metrics.size();
    for (const Metric& metric : scorer.estimator->metrics()) {
      for (const StoredMetric& other : specification.metrics) {
        if (other.metric.name == metric.name) {
          given.fail(fmt::format("metric '{}' is reported by both '{}' and '{}'", metric.name, other.estimator,
                                 plugin.name));
        }
      }
      static const std::set<std::string, std::less<>> columns{"number",  "status", "reason",     "violation", "duplicate_of",
                                                              "parents", "cached", "started_at", "duration_s",
                                                              "simulated_total_s"};
      if (columns.contains(metric.name)) {
        given.fail(fmt::format("metric '{}' has the name of a column that every trial has", metric.name));
      }
      if (specification.space->space().find(metric.name)) {
        given.fail(fmt::format("metric '{}' has the name of a parameter", metric.name));
      }
      specification.metrics.push_back({metric, plugin.name, false, metric.direction});
    }
    specification.scorers.push_back(std::move(scorer));
  }
}

void read_objectives(const Config& section, Specification& specification) {
  static const std::vector<std::string> directions{"minimize", "maximize"};
  const auto add = [&](const std::string& name, const Config& where, std::optional<Direction> direction) {
    const std::size_t metric = find_metric(specification.metrics, name, where);
    StoredMetric& stored = specification.metrics[metric];
    if (stored.objective) where.fail(fmt::format("objective '{}' is given twice", name));
    stored.objective = true;
    stored.direction = direction.value_or(stored.metric.direction);
    specification.objectives.push_back({metric, stored.direction});
  };
  const auto add_map = [&](const Config& map) {
    for (const std::string& name : map.keys()) {
      const Config value = map.at(name);
      if (std::none_of(specification.metrics.begin(), specification.metrics.end(),
                       [&](const StoredMetric& stored) { return stored.metric.name == name; })) {
        throw ConfigError(fmt::format("{}: no estimator reports a metric '{}'{}", map.position_of_key(name), name,
                                      hint(name, metric_names(specification.metrics))));
      }
      add(name, value, value.one_of(directions) == "minimize" ? Direction::minimize : Direction::maximize);
    }
  };
  if (section.is_map()) {
    add_map(section);
  } else {
    for (const Config& item : section.items(true)) {
      if (item.is_map()) {
        add_map(item);
      } else {
        add(item.text(), item, std::nullopt);
      }
    }
  }
  if (specification.objectives.empty()) section.fail("at least one objective is needed");
}

}  // namespace

Problem Specification::problem() const {
  Problem problem;
  problem.space = &space->space();
  for (const SearchObjective& objective : objectives) problem.objectives.push_back(metrics[objective.metric].metric.name);
  problem.constrained = !constraints.empty();
  problem.seed = seed;
  problem.window = window;
  return problem;
}

ExperimentRecord Specification::record() const {
  ExperimentRecord record;
  record.name = name;
  record.specification = text;
  record.identity = identity;
  record.seed = seed;
  record.strategy = strategy->name;
  record.space_fingerprint = space->space().fingerprint();
  record.parameters.assign(space->space().parameters().begin(), space->space().parameters().end());
  record.metrics = metrics;
  for (const Expression& constraint : constraints) record.constraints.push_back(constraint.text());
  return record;
}

std::vector<double> Specification::objective_values(const std::vector<double>& metric_values) const {
  std::vector<double> values;
  values.reserve(objectives.size());
  for (const SearchObjective& objective : objectives) {
    const double value = metric_values[objective.metric];
    values.push_back(objective.direction == Direction::minimize ? value : -value);
  }
  return values;
}

std::vector<double> Specification::excess(const std::vector<double>& metric_values) const {
  std::vector<double> values;
  for (const Expression& constraint : constraints) {
    values.push_back(constraint.excess([&](std::size_t symbol) { return metric_values[symbol]; }));
  }
  return values;
}

double Specification::violation(const std::vector<double>& metric_values) const {
  double sum = 0;
  for (const double value : excess(metric_values)) sum += std::max(0.0, value);
  return sum;
}

Specification load_specification(const std::filesystem::path& file, const Registry& registry,
                                 const Overrides& overrides) {
  const Config config = Config::load(file);
  if (!config.is_map()) config.fail("an experiment file is a mapping with the keys space, estimators, objectives, "
                                    "search and budget");
  Overrides completed = overrides;
  if (!completed.name && !config.has("name")) completed.name = file.stem().string();
  return read_specification(config, std::filesystem::absolute(file).parent_path(), registry, completed);
}

Specification read_specification(const Config& config, const std::filesystem::path& directory,
                                 const Registry& registry, const Overrides& overrides) {
  config.allow_only(known_keys);
  Specification result;
  result.text = config.document_text();
  result.directory = directory;

  if (overrides.name) {
    result.name = *overrides.name;
    check_name(result.name, [&](const std::string& message) { config.fail(message); });
  } else {
    const Config name = config.at("name");
    result.name = name.text();
    check_name(result.name, [&](const std::string& message) { name.fail(message); });
  }
  if (overrides.seed) {
    result.seed = *overrides.seed;
  } else if (const auto seed = config.find("seed")) {
    result.seed = static_cast<std::uint64_t>(seed->integer(0));
  }
  result.output = overrides.output            ? *overrides.output
                  : config.has("output")      ? config.at("output").text()
                                              : result.name + ".db";
  if (result.output.empty() && overrides.output) throw ConfigError("--output needs the name of a file");
  if (result.output.empty()) config.at("output").fail("the output needs a file name");

  result.space = std::make_unique<DesignSpace>(DesignSpace::read(config.at("space"), registry.spaces));
  read_scorers(config.at("estimators"), registry, result);
  read_objectives(config.at("objectives"), result);

  std::vector<Symbol> symbols;
  for (const StoredMetric& stored : result.metrics) symbols.push_back({stored.metric.name, {}});
  if (const auto constraints = config.find("constraints")) {
    for (const Config& constraint : constraints->items(true)) {
      result.constraints.push_back(Expression::parse(constraint, symbols));
    }
  }

  const Config budget = config.at("budget");
  if (budget.is_map()) {
    budget.allow_only({"trials", "time", "simulated_time"});
    const auto simulated = budget.find("simulated_time");
    const auto trials = simulated ? budget.find("trials") : std::optional(budget.at("trials"));
    result.budget.trials = trials ? static_cast<std::uint64_t>(trials->integer(1)) : Budget::default_trials;
    if (simulated) {
      result.budget.simulated_s = simulated->quantity("s", 0);
      if (*result.budget.simulated_s <= 0) simulated->fail_wrong("greater than 0");
      if (std::none_of(result.metrics.begin(), result.metrics.end(), [](const StoredMetric& stored) {
            return stored.metric.name == simulated_cost_metric && stored.metric.unit == "s";
          })) {
        simulated->fail(fmt::format("no estimator reports '{}' in s; the option 'clock' of table does",
                                    simulated_cost_metric));
      }
    }
    if (const auto time = budget.find("time")) result.budget.time_s = time->quantity("s", 0);
  } else {
    result.budget.trials = static_cast<std::uint64_t>(budget.integer(1));
  }
  if (overrides.trials) result.budget.trials = *overrides.trials;
  if (overrides.window) {
    result.window = *overrides.window;
  } else if (const auto window = config.find("window")) {
    result.window = static_cast<std::size_t>(window->integer(1, 100'000));
  }
  if (const auto most = config.find("max_duplicates")) {
    result.max_duplicates = static_cast<std::uint64_t>(most->integer(1));
  }

  const Config search = overrides.search ? *overrides.search : config.at("search");
  if (!search.is_map() && !search.is_scalar()) search.fail("expected a strategy: {type: nsga2, …}");
  result.strategy = &registry.strategies.at(search.is_scalar() ? search : search.at("type"));
  static const std::vector<std::string> reserved{"type", "warm_start"};
  result.strategy_options = Options::read(search.is_scalar() ? std::nullopt : std::optional(search),
                                          result.strategy->options, "strategy " + result.strategy->name, reserved);
  if (const auto reason = why_unsuitable(*result.strategy, result.problem())) search.fail(*reason);
  try {
    result.strategy->create(result.problem(), result.strategy_options);  // refuses options that do not suit
  } catch (const ConfigError& error) {
    if (std::string_view(error.what()).starts_with(search.document())) throw;
    search.fail(error.what());
  }

  if (const auto initial = config.find("initial")) {
    for (const Config& design : initial->items()) {
      result.initial.push_back(result.space->space().read_candidate(design));
    }
  }

  if (const auto warm = search.is_map() ? search.find("warm_start") : std::nullopt) {
    std::vector<WarmStartTarget> targets;
    for (const SearchObjective& objective : result.objectives) {
      targets.push_back({result.metrics[objective.metric].metric.name, objective.direction});
    }
    const WarmStart start = read_warm_start(*warm, result.space->space(), targets, result.seed);
    result.initial.insert(result.initial.end(), start.designs.begin(), start.designs.end());
    result.warm_start = start.sentence;
    result.warm_start_dropped = start.dropped;
  }

  const auto part = [&](std::string_view key) {
    const auto found = config.find(key);
    return found ? found->canonical() : std::string("null");
  };
  // What the order of keys decides: rows store values by position, and objectives are summed in their order.
  std::vector<std::string> metrics;
  for (const StoredMetric& stored : result.metrics) {
    metrics.push_back(fmt::format("\"{} [{}]\"", stored.metric.name, stored.metric.unit));
  }
  std::vector<std::string> goals;
  for (const SearchObjective& objective : result.objectives) {
    goals.push_back(fmt::format("\"{} {}\"", to_string(objective.direction),
                                result.metrics[objective.metric].metric.name));
  }
  std::vector<std::string> paths;
  for (const Parameter& parameter : result.space->space().parameters()) paths.push_back("\"" + parameter.path + "\"");
  result.identity = fmt::format(
      "{{\"order of metrics\":[{}],\"order of objectives\":[{}],"
      "\"order of parameters\":[{}],\"constraints\":{},\"estimators\":{},\"initial\":{},\"max_duplicates\":{},\"objectives\":{},\"search\":{},"
      "\"seed\":{},\"space\":{},\"window\":{}}}",
      fmt::join(metrics, ","), fmt::join(goals, ","), fmt::join(paths, ","),
      part("constraints"), scorer_identity(config.at("estimators")), part("initial"), result.max_duplicates, part("objectives"),
      search.canonical(), result.seed, part("space"), result.window);
  if (const Fingerprint files = result.space->inputs(); files != Fingerprint{}) {
    result.identity.insert(result.identity.size() - 1, fmt::format(",\"files of the space\":\"{}\"", files.hex()));
  }
  if (!result.warm_start.empty()) {  // the earlier experiment may have grown since
    Hasher designs;
    for (const Candidate& design : result.initial) designs.add(result.space->space().fingerprint(design));
    result.identity.insert(result.identity.size() - 1, fmt::format(",\"warm start\":\"{}\"", designs.finish().hex()));
  }
  return result;
}

void serve_worker(const Registry& registry) {
  serve_isolated([&](std::span<const std::string> task) {
    const Config config = Config::parse(task[1], task[0]);
    ServedEstimator served;
    served.space = std::make_unique<DesignSpace>(DesignSpace::read(config.at("space"), registry.spaces));
    const Environment environment = environment_of(std::stoull(task[3]), task[2], *served.space);
    const Config given = scorer_entries(config.at("estimators"))[std::stoul(task[4])];
    const EstimatorPlugin& plugin = scorer_plugin(given, registry);
    served.estimator = plugin.create(scorer_options(given, plugin), environment);
    return served;
  });
}

}  // namespace duet
