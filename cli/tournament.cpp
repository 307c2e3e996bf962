#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/commands.hpp"
#include "cli/signals.hpp"
#include "experiments/tournament.hpp"
#include "experiments/tournament_report.hpp"

namespace duet::cli {
namespace {

struct TournamentArguments {
  std::string file;
  std::size_t workers = std::max(1U, std::thread::hardware_concurrency());
  std::string output;
  std::size_t seeds = 0;
  std::uint64_t trials = 0;
  bool quiet = false;
};

void execute(const TournamentArguments& arguments, Context& context) {
  const SignalWatcher signals;
  Tournament tournament = load_tournament(arguments.file, context.registry);
  if (!arguments.output.empty()) tournament.output = arguments.output;
  if (arguments.seeds > 0 && arguments.seeds < tournament.seeds.size()) tournament.seeds.resize(arguments.seeds);
  for (Contest& problem : tournament.problems) {
    if (arguments.trials > 0) problem.trials = arguments.trials;
  }
  TournamentOptions options;
  options.workers = arguments.workers;
  options.stop = signals.token();
  const bool terminal = isatty(STDERR_FILENO) == 1;
  if (!arguments.quiet) {
    options.on_run = [terminal](std::size_t done, std::size_t all, const std::string& run) {
      if (terminal) {
        fmt::print(stderr, "\r\033[K{} of {} runs: {}", done, all, run);
        if (done == all) fmt::print(stderr, "\r\033[K");
      } else if (done == all || done % std::max<std::size_t>(1, all / 10) == 0) {
        fmt::print(stderr, "{} of {} runs\n", done, all);
      }
    };
  }
  const TournamentResults results = run(tournament, context.registry, options);
  if (results.stopped) {
    fmt::print(stderr, "{}: stopped on request; the same command goes on\n", tournament.name);
    context.exit_code = interrupted;
    return;
  }
  const Verdict verdict = conclude(tournament, results);
  fmt::print("{}", summary_text(tournament, results, verdict));
  const std::vector<std::filesystem::path> files = write_report(tournament, results, verdict);
  fmt::print("\nThe whole report: {}\n", files.back().string());
}

}  // namespace

void add_tournament(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("tournament", "Compare strategies on problems over many seeds, with statistics");
  auto arguments = std::make_shared<TournamentArguments>();
  command->add_option("FILE", arguments->file, "Tournament file (YAML, docs/tournament.md)")->required();
  command->add_option("-j,--jobs", arguments->workers, "Runs at the same time (the results do not depend on it)")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("-o,--output", arguments->output, "Folder, in place of the file's `output`");
  command->add_option("--seeds", arguments->seeds, "Only the first of the file's seeds")->check(AtLeastOne());
  command->add_option("--trials", arguments->trials, "Budget of every run, in place of the problems'")->check(AtLeastOne());
  command->add_flag("-q,--quiet", arguments->quiet, "No progress");
  command->callback([arguments, &context] { execute(*arguments, context); });
}

}  // namespace duet::cli
