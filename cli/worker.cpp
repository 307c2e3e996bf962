#include "cli/commands.hpp"

namespace duet::cli {

void add_worker(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("worker", "Serve an estimator with `isolation: process`");
  command->group("");  // not for people
  command->callback([&context] { serve_worker(context.registry); });
}

}  // namespace duet::cli
