#include <filesystem>
#include <fstream>
#include <memory>

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "core/errors.hpp"
#include "hw_models/proof_checker.hpp"

namespace duet::cli {
namespace {

void check(const std::string& file, Context& context) {
  std::ifstream stream(file);
  if (!stream || std::filesystem::is_directory(file)) throw ConfigError(fmt::format("{}: cannot be read", file));
  const ProofVerdict verdict = check_proof(stream);
  if (verdict.accepted) {
    fmt::print("{}: {}; {} parts of the mapspace searched again\n", file, verdict.message, verdict.parts);
    return;
  }
  fmt::print(stderr, "{}: {}\n", verdict.line > 0 ? fmt::format("{}:{}", file, verdict.line) : file, verdict.message);
  context.exit_code = 1;
}

}  // namespace

void add_check_proof(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand(
      "check-proof", "Check the log of a certified mapping: its problem, mapping and value, and that nothing can be better");
  auto file = std::make_shared<std::string>();
  command->add_option("FILE", *file, "Log that `certified` wrote")->required();
  command->callback([file, &context] { check(*file, context); });
}

}  // namespace duet::cli
