#include <filesystem>

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

void examine(const std::string& file, bool repair, Context& context) {
  std::vector<std::string> problems = Store(file, Store::Mode::read).check();
  for (const std::string& problem : problems) fmt::print("{}\n", problem);
  if (problems.empty()) {
    fmt::print("{}: all is well\n", file);
    return;
  }
  if (repair) {
    const std::string backup = file + ".before-repair";
    Store(file, Store::Mode::read).copy_to(backup);
    fmt::print("{} is as it was before\n", backup);
    {
      Store store(file, Store::Mode::write);
      for (const std::string& sentence : store.repair()) fmt::print("{}\n", sentence);
    }
    problems = Store(file, Store::Mode::read).check();
    for (const std::string& problem : problems) fmt::print("{}\n", problem);
    fmt::print("{}: {}\n", file, problems.empty() ? "all is well now" : "what is left cannot be mended here; "
                                                        "'sqlite3 FILE .recover' may save more");
  } else {
    fmt::print("'duet doctor {} --repair' mends what it can, and keeps a copy of the file as it is\n", file);
  }
  if (!problems.empty()) context.exit_code = store_error;
}

void delete_experiment(const std::string& file, const std::string& name) {
  Store(file, Store::Mode::read).at(name);  // a file that is not there is not to be made
  Store store(file, Store::Mode::write);
  const ExperimentRecord experiment = store.at(name);
  const std::uint64_t trials = store.count(experiment.id);
  store.erase(experiment.id);
  fmt::print("{}: experiment '{}' with its {} trials is gone\n", file, name, trials);
  try {
    store.compact();
  } catch (const StoreError& error) {
    fmt::print(stderr, "warning: the file keeps its size: {}\n", error.what());
  }
}

void copy_database(const std::string& file, const std::string& target) {
  std::filesystem::path to = target;
  if (std::filesystem::is_directory(to)) to /= std::filesystem::path(file).filename();
  Store(file, Store::Mode::read).copy_to(to);
  const Store copy(to, Store::Mode::read);
  std::uint64_t trials = 0;
  const std::vector<ExperimentRecord> experiments = copy.experiments();
  for (const ExperimentRecord& experiment : experiments) trials += copy.count(experiment.id);
  fmt::print("{}: {} experiments with {} trials\n", to.string(), experiments.size(), trials);
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
    auto repair = std::make_shared<bool>(false);
    command->add_flag("--repair", *repair, "Mend what can be mended; DATABASE.before-repair keeps the file as it was");
    command->callback([file, repair, &context] { examine(*file, *repair, context); });
  }
  {
    auto* command = app.add_subcommand("copy", "Copy a database as it is at this moment, even while it is written");
    auto file = file_of(*command);
    auto target = std::make_shared<std::string>();
    command->add_option("TO", *target, "The copy, or a folder for it")->required();
    command->callback([file, target] { copy_database(*file, *target); });
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
