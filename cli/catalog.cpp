#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "core/errors.hpp"
#include "core/random.hpp"
#include "core/units.hpp"
#include "experiments/tournament.hpp"
#include "spaces/architecture_template.hpp"
#include "spaces/network_template.hpp"
#include "spaces/onnx_model.hpp"
#include "spaces/zoo.hpp"

namespace duet::cli {
namespace {

template <class Plugin>
void list_kind(const Catalog<Plugin>& catalog, const std::string& title, nlohmann::json* json) {
  if (json != nullptr) {
    for (const std::string& name : catalog.names()) {
      const Plugin& plugin = catalog.at(name);
      json->push_back({{"kind", catalog.kind()}, {"name", name}, {"summary", plugin.summary}, {"source", plugin.source}});
    }
    return;
  }
  fmt::print("{}\n", title);
  for (const std::string& name : catalog.names()) fmt::print("  {:<24} {}\n", name, catalog.at(name).summary);
  fmt::print("\n");
}

/// What is not a plug-in but has a name all the same.
struct Named {
  std::string name, summary, source;
};

std::vector<Named> networks() {
  std::vector<Named> all;
  for (const ZooNetwork& network : zoo()) all.push_back({network.name, network.summary, network.source});
  return all;
}

std::vector<Named> templates() {
  std::vector<Named> all;
  for (const std::string& name : template_names()) {
    const ArchitectureTemplate one = ArchitectureTemplate::load(name);
    all.push_back({name, one.summary(), one.source()});
  }
  return all;
}

void list_named(const std::vector<Named>& all, const std::string& kind, const std::string& title, nlohmann::json* json) {
  if (json == nullptr) fmt::print("{}\n", title);
  for (const Named& one : all) {
    if (json != nullptr) {
      json->push_back({{"kind", kind}, {"name", one.name}, {"summary", one.summary}, {"source", one.source}});
    } else {
      fmt::print("  {:<24} {}\n", one.name, one.summary);
    }
  }
  if (json == nullptr) fmt::print("\n");
}

void list(const Registry& registry, const std::string& kind, bool as_json) {
  nlohmann::json json = nlohmann::json::array();
  nlohmann::json* target = as_json ? &json : nullptr;
  if (kind.empty() || kind == "spaces") list_kind(registry.spaces, "Spaces", target);
  if (kind.empty() || kind == "estimators") list_kind(registry.estimators, "Estimators", target);
  if (kind.empty() || kind == "strategies") list_kind(registry.strategies, "Strategies", target);
  if (kind.empty() || kind == "networks") list_named(networks(), "network", "Networks (duet network NAME)", target);
  if (kind.empty() || kind == "templates") {
    list_named(templates(), "template", "Architecture templates (duet cost FILE with template: NAME)", target);
  }
  if (as_json) {
    fmt::print("{}\n", json.dump(2));
  } else {
    fmt::print("`duet describe NAME` shows options and sources.\n");
  }
}

template <class Plugin>
bool describe_plugin(const Catalog<Plugin>& catalog, const std::string& name) {
  const Plugin* plugin = catalog.find(name);
  if (plugin == nullptr) return false;
  fmt::print("{} ({})\n  {}\n{}\nOptions:\n{}", plugin->name, catalog.kind(), plugin->summary,
             plugin->source.empty() ? "" : "  Source: " + plugin->source + "\n", plugin->options.empty() ? "  none\n" : describe(std::span(plugin->options)));
  return true;
}

void describe_named(const Named& one, const std::string& kind) {
  fmt::print("{} ({})\n  {}\n{}", one.name, kind, one.summary, one.source.empty() ? "" : "  Source: " + one.source + "\n");
}

/// What a network template means, and its text: the beginning of a template of one's own.
void describe_network_template(const Registry& registry, const std::string& name) {
  const std::vector<std::string> names = network_template_names();
  if (std::find(names.begin(), names.end(), name) == names.end() || registry.spaces.find(name) == nullptr) return;
  const DesignSpace space = DesignSpace::read(Config::parse("network: {type: " + name + "}", "describe"), registry.spaces);
  fmt::print("\nThe space: {} parameters, {} networks{}\n{}\nThe template; save it as a file of your own and name that in `network_template`:\n\n{}",
             space.space().size(), space.space().cardinality().text, space.space().constraints().empty() ? "" : " before constraints",
             space.space().describe(), network_template_text(name));
}

bool describe_network(const std::string& name) {
  for (const Named& one : networks()) {
    if (one.name != name) continue;
    describe_named(one, "network");
    fmt::print("\n`duet network {}` counts its layers.\n", name);
    return true;
  }
  return false;
}

bool describe_template(const std::string& name) {
  for (const Named& one : templates()) {
    if (one.name != name) continue;
    describe_named(one, "template");
    TextTable table({"  parameter", "default", "from", "to", "description"});
    const ArchitectureTemplate architecture = ArchitectureTemplate::load(name);
    for (const TemplateParameter& parameter : architecture.parameters()) {
      table.add({"  " + parameter.name, human(parameter.standard, parameter.unit), human(parameter.minimum, parameter.unit),
                 human(parameter.maximum, parameter.unit), parameter.sentence});
    }
    fmt::print("\nParameters:\n{}", table.text());
    return true;
  }
  return false;
}

void describe_experiment(const Specification& specification) {
  const Space& space = specification.space->space();
  fmt::print("{}\n\nSpace: {} parameters, {} designs{}\n{}\n", specification.name, space.size(),
             space.cardinality().text, space.constraints().empty() ? "" : " before constraints", space.describe());
  std::string labels;
  for (const std::string& name : specification.space->label_names()) {
    if (!space.find(name)) labels += " {" + name + "}";
  }
  if (!labels.empty()) fmt::print("Labels for keys of tables, besides the parameters:{}\n\n", labels);
  fmt::print("Metrics:\n");
  TextTable table({"  metric", "unit", "goal", "source", "estimator", "description"});
  for (const StoredMetric& stored : specification.metrics) {
    table.add({"  " + stored.metric.name, stored.metric.unit == "1" ? "" : stored.metric.unit,
               stored.objective ? std::string(to_string(stored.direction)) : "",
               std::string(to_string(stored.metric.source)), stored.estimator, stored.metric.description});
  }
  fmt::print("{}", table.text());
  for (const Expression& constraint : specification.constraints) fmt::print("  constraint {}\n", constraint.text());
  fmt::print("\nSearch: {} ({})\nBudget: {} trials{}{}, window {}, seed {}\nOutput: {}\n", specification.strategy->name,
             specification.strategy_options.summary(), specification.budget.trials,
             specification.budget.time_s ? ", " + human(*specification.budget.time_s, "s") : "",
             specification.budget.simulated_s
                 ? fmt::format(", {} of simulated time", human(*specification.budget.simulated_s, "s"))
                 : "",
             specification.window,
             specification.seed, specification.output.string());
}

/// What a space promises is not always a network: some random designs show it before a search does.
void warn_of_failures(const std::string& file, const DesignSpace& space) {
  constexpr int draws = 32;
  Random random(0, "validate");
  int failures = 0;
  std::string why;
  for (int i = 0; i < draws; ++i) {
    try {
      space.design(space.space().sample(random)).networks();
    } catch (const NetworkError& error) {
      if (failures++ == 0) why = error.what();
    }
  }
  if (failures == 0) return;
  fmt::print(stderr, "{}: warning: {} of {} random designs are no network, and would fail: {}\n", file, failures, draws, why);
}

}  // namespace

Registry whole_registry() {
  Registry registry = builtin_registry();
  registry.spaces.add(onnx_model_space());
  return registry;
}

void add_catalog(CLI::App& app, Context& context) {
  auto* list_command = app.add_subcommand("list", "List the spaces, estimators, strategies, networks and templates there are");
  auto kind = std::make_shared<std::string>();
  auto as_json = std::make_shared<bool>(false);
  list_command->add_option("KIND", *kind, "spaces, estimators, strategies, networks or templates (default: all)")
      ->check(CLI::IsMember({"spaces", "estimators", "strategies", "networks", "templates"}));
  list_command->add_flag("--json", *as_json, "As JSON");
  list_command->callback([kind, as_json, &context] { list(context.registry, *kind, *as_json); });

  auto* describe_command =
      app.add_subcommand("describe", "Show a plug-in with its options, a network, a template, or an experiment with its space and metrics");
  auto name = std::make_shared<std::string>();
  describe_command->add_option("NAME", *name, "Plug-in, network, template, or experiment file")->required();
  auto text_only = std::make_shared<bool>(false);
  describe_command->add_flag("--template", *text_only, "Of a template only its file, to be saved and changed");
  describe_command->callback([name, text_only, &context] {
    const Registry& registry = context.registry;
    if (*text_only) {
      const std::vector<std::string> of_networks = network_template_names();
      const bool of_network = std::find(of_networks.begin(), of_networks.end(), *name) != of_networks.end();
      fmt::print("{}", of_network ? network_template_text(*name) : template_text(*name));
      return;
    }
    if (name->ends_with(".yaml") || name->ends_with(".yml")) {
      describe_experiment(load_specification(*name, registry));
      return;
    }
    // One name may exist in several catalogs: all are shown.
    bool found = describe_plugin(registry.spaces, *name);
    describe_network_template(registry, *name);
    found = describe_plugin(registry.estimators, *name) || found;
    found = describe_plugin(registry.strategies, *name) || found;
    found = describe_network(*name) || found;
    found = describe_template(*name) || found;
    if (found) return;
    std::vector<std::string> known = registry.spaces.names();
    for (const auto& more : {registry.estimators.names(), registry.strategies.names()}) {
      known.insert(known.end(), more.begin(), more.end());
    }
    for (const auto& more : {networks(), templates()}) {
      for (const Named& one : more) known.push_back(one.name);
    }
    throw ConfigError(fmt::format("there is no plug-in '{}'{}", *name, hint(*name, known)));
  });

  auto* validate_command = app.add_subcommand("validate", "Check an experiment or tournament file without running it");
  auto file = std::make_shared<std::string>();
  validate_command->add_option("FILE", *file, "Experiment or tournament file (YAML)")->required();
  validate_command->callback([file, &context] {
    if (is_tournament(*file)) {
      const Tournament tournament = load_tournament(*file, context.registry);
      check(tournament, context.registry);
      fmt::print("{}: valid: {} strategies, {} problems, {} seeds\n", *file, tournament.entrants.size(),
                 tournament.problems.size(), tournament.seeds.size());
      return;
    }
    const Specification specification = load_specification(*file, context.registry);
    fmt::print("{}: valid: {} parameters, {} designs, {} metrics, {} objectives, {}, {} trials\n", *file,
               specification.space->space().size(), specification.space->space().cardinality().text,
               specification.metrics.size(), specification.objectives.size(), specification.strategy->name,
               specification.budget.trials);
    warn_of_failures(*file, *specification.space);
  });
}

}  // namespace duet::cli
