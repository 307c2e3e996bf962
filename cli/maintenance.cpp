#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "core/errors.hpp"

namespace duet::cli {
namespace {

void show_experiments(const std::string& file, bool as_json) {
  const Store store(file, Store::Mode::read);
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  TextTable table({"experiment", "strategy", "seed", "trials", "begun", "last event"});
  for (const ExperimentRecord& experiment : store.experiments()) {
    const std::uint64_t trials = store.count(experiment.id);
    const std::vector<std::string> notes = store.notes(experiment.id);
    const std::string last = notes.empty() ? "" : notes.back();
    out.push_back({{"name", experiment.name},
                   {"strategy", experiment.strategy},
                   {"seed", experiment.seed},
                   {"trials", trials},
                   {"created_at", experiment.created_at},
                   {"last_event", last}});
    table.add({experiment.name, experiment.strategy, std::to_string(experiment.seed), std::to_string(trials),
               experiment.created_at, last});
  }
  fmt::print("{}", as_json ? out.dump(2) + "\n" : table.text());
}

void examine(const std::string& file, Context& context) {
  const std::vector<std::string> problems = Store(file, Store::Mode::read).check();
  for (const std::string& problem : problems) fmt::print("{}\n", problem);
  if (problems.empty()) {
    fmt::print("{}: all is well\n", file);
  } else {
    context.exit_code = store_error;
  }
}

void delete_experiment(const std::string& file, const std::string& name) {
  Store store(file, Store::Mode::write);
  const ExperimentRecord experiment = store.at(name);
  const std::uint64_t trials = store.count(experiment.id);
  store.erase(experiment.id);
  fmt::print("{}: experiment '{}' with its {} trials is gone\n", file, name, trials);
}

}  // namespace

void add_maintenance(CLI::App& app, Context& context) {
  const auto file_of = [](CLI::App& command) {
    auto file = std::make_shared<std::string>();
    command.add_option("DATABASE", *file, "Database")->required();
    return file;
  };
  {
    auto* command = app.add_subcommand("experiments", "List the experiments of a database");
    auto file = file_of(*command);
    auto as_json = std::make_shared<bool>(false);
    command->add_flag("--json", *as_json, "As JSON");
    command->callback([file, as_json] { show_experiments(*file, *as_json); });
  }
  {
    auto* command = app.add_subcommand("doctor", "Check that a database is sound: SQLite's own check and duet's rules");
    auto file = file_of(*command);
    command->callback([file, &context] { examine(*file, context); });
  }
  {
    auto* command = app.add_subcommand("delete", "Delete an experiment with its trials from a database");
    auto file = file_of(*command);
    auto name = std::make_shared<std::string>();
    command->add_option("EXPERIMENT", *name, "Its name, in full")->required();
    command->callback([file, name] { delete_experiment(*file, *name); });
  }
}

}  // namespace duet::cli
