#include <cerrno>
#include <chrono>
#include <cstring>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unistd.h>

#include "core/units.hpp"
#include "estimators/builtin.hpp"
#include "estimators/command_reply.hpp"
#include "estimators/declared_metrics.hpp"
#include "estimators/design_json.hpp"
#include "estimators/process.hpp"

namespace duet {
namespace {

using Json = nlohmann::json;

constexpr std::size_t output_limit = std::size_t{16} << 20;
constexpr std::size_t error_limit = 2000;  ///< of standard error; some more than is shown, as blanks shrink

class Command final : public Estimator {
 public:
  Command(const Options& options, const Environment& environment) : timeout_s_(options.number("timeout")) {
    const std::optional<Config> metrics = options.config("metrics");
    declared_ = read_declared_metrics(*metrics, Source::external, {"source"});
    for (const DeclaredMetric& declared : declared_) metrics_.push_back(declared.metric);

    std::error_code ignored;
    process_.directory = std::filesystem::absolute(
        environment.directory.empty() ? std::filesystem::path(".") : environment.directory, ignored);
    read_environment(options);
    read_command(options);
  }

  std::span<const Metric> metrics() const override { return metrics_; }

  /// All that the program is sent.
  Fingerprint key(const Design& design) const override {
    return Hasher().add(std::string_view(request(design))).finish();
  }

  /// The files that the command line names by a path: the program, and a script given to an interpreter. What PATH
  /// finds is the system's and may be updated.
  Fingerprint inputs() const override {
    Hasher hasher;
    for (std::size_t i = 0; i < process_.arguments.size(); ++i) {
      const std::string& argument = process_.arguments[i];
      if (i == 0 && argument.find('/') == std::string::npos) continue;
      std::error_code ignored;
      const std::filesystem::path file = process_.directory / argument;
      if (std::filesystem::is_regular_file(file, ignored)) hasher.add(fingerprint_file(file));
    }
    return hasher.finish();
  }

  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token stop) const override {
    return estimate_each(designs, [&](const Design& design) { return run(request(design), stop); });
  }

 private:
  void read_environment(const Options& options) {
    std::vector<std::string> variables;
    if (const std::optional<Config> config = options.config("environment")) {
      for (const std::string& name : config->keys()) {
        if (name.empty() || name.find('=') != std::string::npos) {
          config->at(name).fail(fmt::format("'{}' cannot be the name of an environment variable", name));
        }
        variables.push_back(name + "=" + config->at(name).text());
      }
    }
    process_.environment = environment_with(variables);
  }

  void read_command(const Options& options) {
    process_.arguments = options.list("command");
    if (process_.arguments.empty() || process_.arguments.front().empty()) {
      options.fail("command", "the command is empty: expected [program, argument, …]");
    }
    if (options.boolean("shell")) {
      if (process_.arguments.size() != 1)
        options.fail("command", "with 'shell: true' the command is one text");
      process_.arguments = {"sh", "-c", process_.arguments.front()};
      process_.program = "/bin/sh";
      name_ = "the command";
      return;
    }
    const std::string& program = process_.arguments.front();
    name_ = fmt::format("'{}'", program);
    process_.program = find_program(program, process_.directory, search_path());
    std::error_code ignored;
    if (process_.program.empty()) {
      const bool is_line = program.find(' ') != std::string::npos;
      options.fail(
          "command",
          fmt::format("no program '{}' in PATH{}", program,
                      is_line ? "; write the arguments apart, [program, argument], or set 'shell: true'"
                      : std::filesystem::exists(process_.directory / program, ignored)
                          ? fmt::format("; did you mean './{}'?", program)
                          : ""));
    }
    if (!std::filesystem::is_regular_file(process_.program, ignored)) {
      options.fail("command", fmt::format("no program '{}'", process_.program.string()));
    }
    if (access(process_.program.c_str(), X_OK) != 0) {
      options.fail("command", fmt::format("'{}' is not executable (chmod +x)", process_.program.string()));
    }
  }

  std::string_view search_path() const {
    constexpr std::string_view name = "PATH=";
    for (const std::string& variable : process_.environment) {
      if (variable.starts_with(name)) return std::string_view(variable).substr(name.size());
    }
    return "/usr/local/bin:/usr/bin:/bin";
  }

  static std::string request(const Design& design) {
    return request_json(design).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }

  Evaluation run(const std::string& input, std::stop_token stop) const {
    using End = ProcessResult::End;
    const ProcessResult result = run_process(process_, input, std::chrono::duration<double>(timeout_s_),
                                             output_limit, error_limit, std::move(stop));
    const std::string error = error_excerpt(result.error_tail);
    switch (result.end) {
      case End::exited:
        if (result.code == 0) return read_reply(result.output, declared_, name_, error);
        return Evaluation::failure(
            fmt::format("{} exited with code {}{}", name_, result.code, reason(result, error)));
      case End::killed:
        return Evaluation::failure(fmt::format("{} was killed by signal {} ({}){}", name_, result.code,
                                               signal_name(result.code), error));
      case End::timed_out:
        return Evaluation::failure(
            fmt::format("{} took longer than {}{}", name_, human(timeout_s_, "s"), error), Status::timed_out);
      case End::overflowed:
        return Evaluation::failure(fmt::format("{} wrote more than {} to standard output{}", name_,
                                               human(double{output_limit}, "B"), error));
      case End::stopped:
        return Evaluation::failure("stopped");
      case End::not_started:
        return Evaluation::failure(fmt::format("{} cannot be started: {}{}", name_,
                                               std::generic_category().message(result.code),
                                               start_hint(result.code)));
    }
    return Evaluation::failure("unknown end of a process");
  }

  static std::string reason(const ProcessResult& result, const std::string& error) {
    const std::optional<std::string> sentence = reported_error(result.output);
    return sentence ? ": " + *sentence : error;
  }

  static std::string_view start_hint(int code) {
    if (code == ENOEXEC) return " (a script's first line must be like '#!/bin/sh')";
    if (code == ENOENT) return " (does the interpreter in the script's first line exist?)";
    return "";
  }

  static std::string signal_name(int signal) {
    const char* name = sigabbrev_np(signal);
    return name != nullptr ? fmt::format("SIG{}", name) : "unknown";
  }

  double timeout_s_;
  std::vector<DeclaredMetric> declared_;
  std::vector<Metric> metrics_;
  Process process_;
  std::string name_;  ///< for messages
};

}  // namespace

EstimatorPlugin command_estimator() {
  return {
      .name = "command",
      .summary = "Runs a program of yours that reads the design as JSON and writes its metrics as JSON.",
      .source = "Protocol: docs/estimators/command.md.",
      .options =
          {
              {.name = "command",
               .kind = Option::Kind::list,
               .fallback = std::nullopt,
               .sentence = "The program and its arguments; runs in the experiment file's folder."},
              {.name = "shell",
               .kind = Option::Kind::boolean,
               .fallback = "false",
               .sentence = "Whether the command is one line for /bin/sh."},
              {.name = "timeout",
               .kind = Option::Kind::quantity,
               .fallback = "10min",
               .sentence = "Time after which the program and all that it started are killed.",
               .unit = "s",
               .minimum = 0.001,
               .maximum = 1e7},
              {.name = "metrics",
               .kind = Option::Kind::config,
               .fallback = std::nullopt,
               .sentence = "Mapping from metrics to {unit, direction, source, scale, description}."},
              {.name = "environment",
               .kind = Option::Kind::config,
               .fallback = "",
               .sentence = "Mapping of environment variables to set."},
              {.name = "revision",
               .kind = Option::Kind::text,
               .fallback = "",
               .sentence = "Any text; change it when the program's results change, as cached ones then no "
                           "longer count."},
          },
      .create = [](const Options& options, const Environment& environment) -> std::unique_ptr<Estimator> {
        return std::make_unique<Command>(options, environment);
      },
  };
}

}  // namespace duet
