#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <new>

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "core/errors.hpp"
#include "experiments/plugin.hpp"
#include "experiments/provenance.hpp"

namespace {

using namespace duet;
using namespace duet::cli;

int report(const CLI::ParseError& error, const CLI::App& app, const std::vector<std::string>& arguments) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);  // --help, --version
  std::vector<std::string> names;
  for (const CLI::App* command : visible_commands(app)) names.push_back(command->get_name());
  std::string message = error.what();
  if (!arguments.empty() && arguments[0][0] != '-' &&
      std::find(names.begin(), names.end(), arguments[0]) == names.end()) {
    message = fmt::format("unknown command '{}'{}", arguments[0], hint(arguments[0], names));
  }
  fmt::print(stderr, "duet: {}\nTry 'duet --help'.\n", message);
  return user_error;
}

/// This program once more, with the same plug-ins.
Process worker_process(const std::vector<std::string>& plugins) {
  Process process;
  process.program = "/proc/self/exe";  // also when the file has been replaced since
  process.arguments = {"duet"};
  for (const std::string& plugin : plugins) {
    process.arguments.push_back("--plugin");
    process.arguments.push_back(std::filesystem::absolute(plugin).string());
  }
  process.arguments.push_back("worker");
  process.environment = environment_with({});
  return process;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  std::vector<std::string> plugins;
  const auto bug = [&](const std::string& what) {
    fmt::print(stderr, "duet: internal error: {}\nThis is a bug{}; please report it.\n", what,
               plugins.empty() ? "" : fmt::format(" of duet or of {}", fmt::join(plugins, ", ")));
    return internal_error;
  };
  try {
    Context context;
    CLI::App app{"Searches neural networks and the hardware that runs them as one design.\n"
                 "Exit codes: 0 success, 1 internal error, 2 bad input, 3 database error, 130 interrupted.",
                 "duet"};
    app.set_version_flag("--version", "duet " + code_version());
    app.require_subcommand(1);
    app.fallthrough();
    app.add_option("--plugin", plugins, "Shared object with more strategies, estimators or spaces; may be repeated")
        ->allow_extra_args(false);
    app.parse_complete_callback([&] {
      for (const std::string& plugin : plugins) load_plugin(plugin, context.registry);
      context.registry.worker = worker_process(plugins);
    });
    add_run(app, context);
    add_catalog(app, context);
    add_evaluate(app, context);
    add_cost(app, context);
    add_results(app, context);
    add_tournament(app, context);
    add_check_proof(app, context);
    add_import(app, context);
    add_finalize(app, context);
    add_network(app, context);
    add_maintenance(app, context);
    add_worker(app, context);
    add_shell(app);
    if (!arguments.empty() && arguments[0] == "__complete") {  // asked by the scripts of `completion`
      fmt::print("{}", completions(app, context, {arguments.begin() + 1, arguments.end()}));
      return 0;
    }
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return report(error, app, arguments);
    }
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      throw ConfigError(fmt::format("standard output cannot be written: {}", std::strerror(errno)));
    }
    return context.exit_code;
  } catch (const ConfigError& error) {
    fmt::print(stderr, "{}\n", error.what());
    return user_error;
  } catch (const StoreError& error) {
    fmt::print(stderr, "{}\n", error.what());
    return store_error;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "duet: out of memory\n");
    return internal_error;
  } catch (const std::exception& error) {
    if (std::ferror(stdout) != 0) {  // fmt says so in words of its own
      fmt::print(stderr, "standard output cannot be written: {}\n", std::strerror(errno));
      return user_error;
    }
    return bug(error.what());
  } catch (...) {
    return bug("what was thrown is no std::exception");
  }
}
