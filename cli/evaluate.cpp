#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "core/errors.hpp"
#include "core/units.hpp"
#include "experiments/run.hpp"

namespace duet::cli {
namespace {

struct EvaluateArguments {
  std::string file;
  std::vector<std::string> settings;
  std::optional<std::uint64_t> trial;
  std::optional<std::uint64_t> random;
  std::string database;
  std::string experiment;
  std::optional<std::uint64_t> seed;
  bool json = false;
};

/// "--set a=1 --set b=x" as a configuration, so that errors read like those of a file.
Config settings_as_config(const std::vector<std::string>& settings) {
  std::string text;
  for (const std::string& setting : settings) {
    const auto equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw ConfigError(fmt::format("--set {}: expected path=value", setting));
    }
    text += fmt::format("{}: {}\n", json_text(setting.substr(0, equals)), json_text(setting.substr(equals + 1)));
  }
  return Config::parse(text.empty() ? "{}" : text, "--set");
}

Candidate chosen_design(const EvaluateArguments& arguments, const Specification& specification) {
  const Space& space = specification.space->space();
  std::optional<Candidate> base;
  if (arguments.trial) {
    const Selection selection{arguments.database.empty() ? specification.output.string() : arguments.database,
                              arguments.experiment.empty() ? specification.name : arguments.experiment};
    const OpenExperiment open = open_experiment(selection);
    if (open.record.space_fingerprint != space.fingerprint()) {
      throw StoreError(fmt::format("{}: experiment '{}' has another space than {}", selection.file,
                                   open.record.name, arguments.file));
    }
    if (open.record.seed != specification.seed) {
      throw ConfigError(fmt::format("experiment '{0}' was run with seed {1}, not {2}; add --seed {1}", open.record.name,
                                    open.record.seed, specification.seed));
    }
    const auto trial = open.store.trial(open.record, *arguments.trial);
    if (!trial) throw ConfigError(fmt::format("{}: there is no trial {}", selection.file, *arguments.trial));
    base = trial->candidate;
  } else if (arguments.random) {
    Random random(*arguments.random, "evaluate");
    base = space.sample(random);
  } else if (!specification.initial.empty()) {
    base = specification.initial.front();
  }
  const Config settings = settings_as_config(arguments.settings);
  try {
    return space.read_candidate(settings, base ? &*base : nullptr);
  } catch (const ConfigError& error) {
    // Line and column would be those of a text that the user never saw.
    const std::string_view message = error.what();
    throw ConfigError("--set: " + std::string(message.substr(message.find(": ") + 2)));
  }
}

void execute(const EvaluateArguments& arguments, Context& context) {
  Overrides overrides;
  overrides.seed = arguments.seed;
  const Specification specification = load_specification(arguments.file, context.registry, overrides);
  const Candidate candidate = chosen_design(arguments, specification);
  const Space& space = specification.space->space();
  const Evaluation evaluation = score(specification, specification.space->design(candidate));

  if (arguments.json) {
    nlohmann::ordered_json out;
    nlohmann::ordered_json design = nlohmann::ordered_json::object();
    for (std::size_t i = 0; i < space.size(); ++i) {
      if (candidate.has(i)) design[space[i].path] = value_json(space[i], candidate[i]);
    }
    out["design"] = design;
    out["status"] = to_string(evaluation.status);
    if (!evaluation.reason.empty()) out["reason"] = evaluation.reason;
    out["metrics"] = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < evaluation.values.size(); ++i) {
      const StoredMetric& stored = specification.metrics[i];
      out["metrics"].push_back({{"name", stored.metric.name},
                                {"value", evaluation.values[i]},
                                {"unit", stored.metric.unit},
                                {"source", to_string(stored.metric.source)},
                                {"estimator", stored.estimator}});
    }
    if (evaluation.status == Status::ok && !specification.constraints.empty()) {
      out["violation"] = specification.violation(evaluation.values);
    }
    fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print("{}\n\n", space.describe(candidate));
    if (evaluation.status != Status::ok) {
      fmt::print("{}: {}\n", to_string(evaluation.status), evaluation.reason);
    } else {
      TextTable table({"metric", "value", "exact", "unit", "source", "estimator"});
      for (std::size_t i = 0; i < evaluation.values.size(); ++i) {
        const StoredMetric& stored = specification.metrics[i];
        table.add({stored.metric.name, human(evaluation.values[i], stored.metric.unit),
                   shortest(evaluation.values[i]), stored.metric.unit, std::string(to_string(stored.metric.source)),
                   stored.estimator});
      }
      fmt::print("{}", table.text());
      for (const Expression& constraint : specification.constraints) {
        const auto read = [&](std::size_t symbol) { return evaluation.values[symbol]; };
        const auto holds = constraint.holds(read);
        fmt::print("constraint {}: {}\n", constraint.text(), !holds ? "does not apply" : *holds ? "holds" : "violated");
      }
    }
  }
  if (evaluation.status != Status::ok) context.exit_code = user_error;
}

}  // namespace

void add_evaluate(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("evaluate", "Score one design: every metric and where it comes from");
  auto arguments = std::make_shared<EvaluateArguments>();
  command->add_option("FILE", arguments->file, "Experiment file (YAML)")->required();
  command
      ->add_option("-s,--set", arguments->settings,
                   "path=value; what is not set comes from --trial, --random, or the file's first `initial` design")
      ->allow_extra_args(false);
  auto* trial = command->add_option("--trial", arguments->trial, "Start from this trial of the database");
  command->add_option("--database", arguments->database, "In place of the file's `output`")->needs(trial);
  command->add_option("-e,--experiment", arguments->experiment, "In place of the file's `name`")->needs(trial);
  command->add_option("--seed", arguments->seed, "In place of the file's `seed`");
  command->add_option("--random", arguments->random, "Start from the random design of this seed")->excludes(trial);
  command->add_flag("--json", arguments->json, "As JSON");
  command->callback([arguments, &context] { execute(*arguments, context); });
}

}  // namespace duet::cli
