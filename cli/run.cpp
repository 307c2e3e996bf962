#include "experiments/run.hpp"

#include <thread>

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/progress.hpp"
#include "cli/signals.hpp"
#include "core/units.hpp"

namespace duet::cli {
namespace {

struct RunArguments {
  std::string file;
  std::size_t workers = std::max(1U, std::thread::hardware_concurrency());
  bool workers_given = false;
  Overrides overrides;
  bool quiet = false;
};

void execute(const RunArguments& arguments, Context& context) {
  const SignalWatcher signals;
  Specification specification = load_specification(arguments.file, context.registry, arguments.overrides);
  // Who did not ask for a number of workers is not told that some would idle.
  const std::size_t workers =
      arguments.workers_given ? arguments.workers : std::min(arguments.workers, specification.window);
  Store store(specification.output, Store::Mode::write);
  Progress progress(specification, stderr);
  if (!arguments.quiet) {
    fmt::print(stderr, "{}: {} on {} parameters, {} workers, window {}; results in {}\n", specification.name,
               specification.strategy->name, specification.space->space().size(), workers,
               specification.window, specification.output.string());
  }
  if (workers > specification.window) {
    progress.warn(fmt::format("window {} keeps at most {} of {} workers busy", specification.window,
                              specification.window, workers));
  }
  RunOptions options;
  options.workers = workers;
  options.stop = signals.token();
  if (!arguments.quiet) {
    options.on_trial = [&](const TrialRecord& trial, bool replayed) { progress.on_trial(trial, replayed); };
  }
  options.on_warning = [&](const std::string& sentence) { progress.warn(sentence); };
  const RunSummary summary = run(specification, store, options);
  if (!arguments.quiet) {
    progress.finish();
    const std::string simulated =
        summary.simulated_s ? fmt::format(" ({} simulated)", human(*summary.simulated_s, "s")) : "";
    fmt::print(stderr, "{}: {} trials ({} from before) in {:.1f} s{}: {}\n\n", specification.name, summary.trials,
               summary.replayed, summary.duration_s, simulated, summary.sentence);
    const ExperimentRecord record = store.at(specification.name);
    fmt::print("{}", front_text(store, record, 20));
    fmt::print("\nLook further:\n"
               "  duet pareto {0}            every member of the front (--json)\n"
               "  duet best {0}              the best trials by each objective\n"
               "  duet trials {0}            all trials\n"
               "  duet query {0} 'SELECT …'  anything, in SQL (docs/schema.md)\n",
               specification.output.string());
  }
  if (summary.end == RunSummary::End::stopped) context.exit_code = interrupted;
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("run", "Run an experiment file, or resume it where it stopped");
  auto arguments = std::make_shared<RunArguments>();
  command->add_option("FILE", arguments->file, "Experiment file (YAML)")->required();
  auto* jobs = command->add_option("-j,--jobs", arguments->workers,
                                   "Trials scored at the same time (the rows do not depend on it)");
  jobs->check(CLI::Range(1, 1024))->capture_default_str();
  command->add_option("-o,--output", arguments->overrides.output, "Database, in place of the file's `output`");
  command->add_option("--name", arguments->overrides.name, "Name of the experiment, in place of the file's");
  command->add_option("--seed", arguments->overrides.seed, "In place of the file's `seed`")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{9223372036854775807ULL}, "0 to 2^63 - 1"));
  command->add_option("--trials", arguments->overrides.trials, "In place of the file's `budget.trials`")
      ->check(AtLeastOne());
  command->add_flag("-q,--quiet", arguments->quiet, "Only warnings and errors");
  command->callback([arguments, jobs, &context] {
    arguments->workers_given = jobs->count() > 0;
    execute(*arguments, context);
  });
}

}  // namespace duet::cli
