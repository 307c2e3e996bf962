// A strategy whose designs somebody else evaluates: a program on the other end of a pipe (bench/peers).
//
//   build/bench/bench/bench_ask STRATEGY PROBLEM.yaml TRIALS SEED [OPTIONS] [WINDOW]
//
//   PROBLEM.yaml  space: as in an experiment file
//                 objectives: [names], all to be minimised
//                 constrained: true    (default false) answers say how much each constraint is missed
//                 hard: [expressions]  (default none) constraints that are checked before evaluation
//                 derived: [names]     (default none) quantities that cost nothing
//   OPTIONS       of the strategy, as YAML: "{population: 48}"
//
// Writes one line for each trial, "evaluate", and the active parameters, "path=value", behind tabs; reads one line: the
// objectives' values, and behind a bar what each constraint is missed by (> 0) or has left; or "failed". Lines that begin
// with "derive" ask for the derived quantities in the same way. Ends with a line "end", the seconds that the strategy took
// for each trial, answers not counted, and what it broke of its contract, if anything.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include "core/config.hpp"
#include "tests/contracts/strategy_contract.hpp"

namespace duet {
namespace {

using Clock = std::chrono::steady_clock;

/// The other end of the pipe.
class Answers {
 public:
  explicit Answers(const Space& space) : space_(space) {}

  /// The line that answers a question about a candidate.
  std::string about(const char* question, const Candidate& candidate) {
    const auto begin = Clock::now();
    std::string line = question;
    for (std::size_t i = 0; i < space_.size(); ++i) {
      if (candidate.has(i)) line += "\t" + space_[i].path + "=" + space_.format(i, candidate[i]);
    }
    std::cout << line << std::endl;
    std::string answer;
    if (!std::getline(std::cin, answer)) throw std::runtime_error("nobody answers");
    waited_ += Clock::now() - begin;
    return answer;
  }
  double waited_s() const { return std::chrono::duration<double>(waited_).count(); }

 private:
  const Space& space_;
  Clock::duration waited_{};
};

std::vector<double> numbers(const std::string& text) {
  std::istringstream stream(text);
  std::vector<double> values;
  for (double value; stream >> value;) values.push_back(value);
  return values;
}

int main_of(const std::vector<std::string>& arguments) {
  Catalog<StrategyPlugin> catalog("strategy");
  add_builtin_strategies(catalog);
  const StrategyPlugin& plugin = catalog.at(arguments.at(0));
  const Config file = Config::load(arguments.at(1));
  const auto space = std::make_shared<Space>(read_space_nodes(file.at("space")));
  const auto names = [&](const char* key) {
    std::vector<std::string> texts;
    if (const auto list = file.find(key)) {
      for (const Config& name : list->items()) texts.push_back(name.text());
    }
    return texts;
  };
  Answers answers(*space);
  std::unordered_map<Fingerprint, std::vector<double>> known;
  const std::vector<std::string> derived = names("derived");
  for (std::size_t d = 0; d < derived.size(); ++d) {
    space->add_derived({derived[d], "1", "", [&, d](const Candidate& candidate) {
                          auto [entry, fresh] = known.try_emplace(space->fingerprint(candidate));
                          if (fresh) entry->second = numbers(answers.about("derive", candidate));
                          return entry->second.at(d);
                        }});
  }
  if (const auto hard = file.find("hard")) {
    for (const Config& expression : hard->items()) space->add_constraint(expression);
  }
  contracts::TestProblem problem;
  problem.name = arguments[1];
  problem.space = space;
  problem.objectives = names("objectives");
  problem.constrained = file.has("constrained") && file.at("constrained").boolean();
  problem.evaluate = [&](const Candidate& candidate, std::uint64_t) {
    const std::string answer = answers.about("evaluate", candidate);
    contracts::Outcome outcome{Status::ok, numbers(answer.substr(0, answer.find('|')))};
    if (outcome.objectives.empty()) outcome.status = Status::failed;
    if (const std::size_t bar = answer.find('|'); bar != std::string::npos) {
      outcome.excess = numbers(answer.substr(bar + 1));
      for (const double excess : outcome.excess) outcome.violation += std::max(0.0, excess);
    }
    return outcome;
  };
  contracts::DriveSettings settings;
  settings.trials = std::stoull(arguments.at(2));
  settings.seed = std::stoull(arguments.at(3));
  if (arguments.size() > 4) settings.options = arguments[4];
  if (arguments.size() > 5) settings.window = std::stoull(arguments[5]);
  const auto begin = Clock::now();
  contracts::StrategyDriver driver(plugin, problem, settings);
  driver.run();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count() - answers.waited_s();
  std::cout << fmt::format("end\t{}", seconds / static_cast<double>(std::max<std::size_t>(1, driver.trials().size())));
  for (const std::string& breach : driver.breaches()) std::cout << "\t" << breach;
  std::cout << std::endl;
  return 0;
}

}  // namespace
}  // namespace duet

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fputs("usage: bench_ask STRATEGY PROBLEM.yaml TRIALS SEED [OPTIONS] [WINDOW]\n", stderr);
    return 2;
  }
  try {
    return duet::main_of({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_ask: %s\n", error.what());
    return 1;
  }
}
