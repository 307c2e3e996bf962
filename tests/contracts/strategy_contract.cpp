#include "tests/contracts/strategy_contract.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <limits>
#include <stdexcept>
#include <utility>

#include "core/errors.hpp"
#include "core/pareto.hpp"

namespace duet::contracts {
namespace {

// --- Problems ---

using Names = std::vector<std::string>;
using Branches = std::vector<OptionNode>;

/// A number in [0, 1) that belongs to the arguments.
double scatter(std::uint64_t a, std::uint64_t b, std::uint64_t c = 0) {
  return static_cast<double>(Hasher().add(a).add(b).add(c).finish().low >> 11) * 0x1p-53;
}

/// Objective number k: each active parameter has a best value and adds what its own value is worse; choices
/// add a scattered amount per option. In [0, 1]: the mean over the active parameters.
double objective(const Space& space, const Candidate& candidate, std::size_t k) {
  double sum = 0;
  std::size_t active = 0;
  for (std::size_t i = 0; i < space.size(); ++i) {
    if (!candidate.has(i)) continue;
    const Parameter& parameter = space[i];
    ++active;
    if (parameter.kind == Parameter::Kind::choice) {
      sum += scatter(k, i, static_cast<std::uint64_t>(candidate[i]) + 1);
    } else if (parameter.maximum > parameter.minimum) {
      const double position = (candidate[i] - parameter.minimum) / (parameter.maximum - parameter.minimum);
      sum += std::abs(position - scatter(k, i));
    }
  }
  return active == 0 ? 0 : sum / static_cast<double>(active);
}

std::shared_ptr<const Space> flat_space() {
  std::vector<SpaceNode> nodes;
  for (int i = 1; i <= 6; ++i)
    nodes.push_back(choice("edge" + std::to_string(i), Names{"a", "b", "c", "d", "e"}));
  return std::make_shared<Space>(nodes);
}

std::shared_ptr<const Space> conditional_space() {
  const SpaceNode position =
      choice("position", Branches{{"none", {}}, {"learned", {integer("length", 8, 64)}}});
  return std::make_shared<Space>(std::vector<SpaceNode>{
      choice("operator", Branches{{"convolution", {ordinal("kernel", {1, 3, 5, 7}), integer("groups", 1, 8)}},
                                  {"pooling", {choice("kind", Names{"average", "maximum"})}},
                                  {"attention", {integer("heads", 1, 16), position}},
                                  {"skip", {}}}),
      integer("depth", 1, 12)});
}

std::shared_ptr<const Space> repeated_space() {
  return std::make_shared<Space>(std::vector<SpaceNode>{
      repeat("stage", integer("stages", 1, 4),
             {ordinal("width", {16, 24, 32, 48, 64}),
              repeat("block", integer("blocks", 1, 3), {choice("kernel", Names{"3", "5", "7"})})})});
}

std::shared_ptr<const Space> constrained_space() {
  auto space = std::make_shared<Space>(std::vector<SpaceNode>{
      integer("rows", 1, 64), integer("columns", 1, 64), choice("dataflow", Names{"os", "ws", "is"})});
  space->add_constraint(Expression::parse("rows * columns <= 512", space->symbols()));
  space->add_constraint(Expression::parse("dataflow != \"os\" or rows <= columns", space->symbols()));
  return space;
}

std::shared_ptr<const Space> mixed_space() {
  return std::make_shared<Space>(std::vector<SpaceNode>{
      real("rate", 1e-4, 1, "1", "", true), real("momentum", 0, 0.99),
      integer("width", 8, 512, "1", "", true),
      choice("schedule", Branches{{"constant", {}}, {"step", {real("factor", 0.1, 0.9)}}})});
}

std::shared_ptr<const Space> continuous_space() {
  std::vector<SpaceNode> nodes;
  for (int i = 1; i <= 5; ++i) nodes.push_back(real("x" + std::to_string(i), -1, 1));
  return std::make_shared<Space>(nodes);
}

/// Every kind of parameter, repeated parts, and a hard constraint across them.
std::shared_ptr<const Space> mixed_constrained_space() {
  auto space = std::make_shared<Space>(std::vector<SpaceNode>{
      repeat("layer", integer("layers", 1, 3), {integer("units", 8, 256, "1", "", true), real("dropout", 0, 0.5)}),
      choice("optimizer", Branches{{"sgd", {real("momentum", 0, 0.99)}}, {"adam", {}}}),
      ordinal("batch", {16, 32, 64, 128})});
  space->add_constraint(Expression::parse("sum(layer*.units) <= 300", space->symbols()));
  return space;
}

/// 2 * 3 candidates of which 5 are valid.
std::shared_ptr<const Space> tiny_space() {
  auto space =
      std::make_shared<Space>(std::vector<SpaceNode>{choice("a", Names{"x", "y"}), integer("b", 1, 3)});
  space->add_constraint(Expression::parse("a == \"x\" or b < 3", space->symbols()));
  return space;
}

TestProblem separable(std::string name, std::shared_ptr<const Space> space, std::size_t objectives) {
  TestProblem problem;
  problem.name = std::move(name);
  problem.space = space;
  for (std::size_t k = 0; k < objectives; ++k) problem.objectives.push_back("cost" + std::to_string(k + 1));
  problem.evaluate = [space, objectives](const Candidate& candidate, std::uint64_t) {
    Outcome outcome;
    for (std::size_t k = 0; k < objectives; ++k)
      outcome.objectives.push_back(objective(*space, candidate, k));
    return outcome;
  };
  return problem;
}

/// About this share of the candidates fails.
TestProblem failing(std::string name, std::shared_ptr<const Space> space, double share) {
  TestProblem problem = separable(std::move(name), space, 1);
  problem.evaluate = [space, share, inner = problem.evaluate](const Candidate& candidate,
                                                              std::uint64_t number) {
    const Fingerprint id = space->fingerprint(candidate);
    if (scatter(id.low, id.high) < share) {
      return Outcome{id.low % 2 == 0 ? Status::failed : Status::timed_out, {}, 0};
    }
    return inner(candidate, number);
  };
  return problem;
}

/// Of the metrics, the first may not exceed 0.4 and the best of the second lies elsewhere.
TestProblem with_metric_constraint(std::string name, std::shared_ptr<const Space> space,
                                   std::size_t objectives) {
  TestProblem problem = separable(std::move(name), space, objectives);
  problem.constrained = true;
  problem.evaluate = [space, objectives, inner = problem.evaluate](const Candidate& candidate,
                                                                   std::uint64_t number) {
    Outcome outcome = inner(candidate, number);
    outcome.excess = {objective(*space, candidate, objectives) - 0.4};
    outcome.violation = std::max(0.0, outcome.excess.front());
    return outcome;
  };
  return problem;
}

TestProblem noisy(std::string name, std::shared_ptr<const Space> space) {
  TestProblem problem = separable(std::move(name), space, 1);
  problem.evaluate = [inner = problem.evaluate](const Candidate& candidate, std::uint64_t number) {
    Outcome outcome = inner(candidate, number);
    outcome.objectives.front() += 0.05 * Random(7, "noise", number).normal();
    return outcome;
  };
  return problem;
}

/// All defaults if `yaml` is empty.
Options read_options(const StrategyPlugin& plugin, const std::string& yaml) {
  std::optional<Config> config;
  if (!yaml.empty()) config = Config::parse(yaml, "options");
  return Options::read(config, plugin.options, "strategy " + plugin.name);
}

// --- Checks ---

std::string windowed(const TestProblem& problem, const DriveSettings& settings) {
  return fmt::format("problem '{}', window {}, {} initial", problem.name, settings.window, settings.initial);
}

/// The ways in which problems are driven; checks that cost several runs take some of them.
std::vector<DriveSettings> all_settings() {
  std::vector<DriveSettings> all(4);
  all[1].window = 4;
  all[2].window = 8;
  all[2].initial = 3;
  all[3].initial = 12;
  return all;
}
std::vector<DriveSettings> some_settings(std::initializer_list<std::size_t> positions) {
  std::vector<DriveSettings> some;
  for (const std::size_t i : positions) some.push_back(all_settings()[i]);
  return some;
}

using Breaches = std::vector<std::string>;

void append(Breaches& breaches, const Breaches& more) {
  breaches.insert(breaches.end(), more.begin(), more.end());
}

/// Why the strategy does not take the problem: because of what it declares, or in a sentence from create.
std::optional<std::string> why_refused(const StrategyPlugin& plugin, const TestProblem& test, std::size_t window) {
  const Problem problem = test.problem(1, window);
  if (auto why = why_unsuitable(plugin, problem)) return why;
  try {
    plugin.create(problem, Options::defaults(plugin.options, "strategy " + plugin.name));
  } catch (const ConfigError& error) {
    return error.what();
  } catch (...) {  // not a refusal: the check that drives it will report this
  }
  return std::nullopt;
}

/// Calls `check` for every suitable problem and way of driving.
template <class Check>
Breaches for_all_suitable(const StrategyPlugin& plugin, const std::vector<DriveSettings>& ways, const Check& check) {
  Breaches breaches;
  for (const TestProblem& problem : test_problems()) {
    for (const DriveSettings& settings : ways) {
      if (why_refused(plugin, problem, settings.window)) continue;
      append(breaches, check(problem, settings));
    }
  }
  return breaches;
}

/// Where the proposals of two runs differ.
Breaches differences(const TestProblem& problem, const StrategyDriver& a, const StrategyDriver& b,
                     const std::string& what) {
  Breaches breaches = a.breaches();
  append(breaches, b.breaches());
  if (!breaches.empty()) return breaches;
  const std::size_t common = std::min(a.trials().size(), b.trials().size());
  for (std::size_t i = 0; i < common; ++i) {
    const Proposal& left = a.trials()[i].proposal;
    const Proposal& right = b.trials()[i].proposal;
    if (!(left.candidate == right.candidate)) {
      return {fmt::format("{}: trial {} is '{}' in one and '{}' in the other", what, i + 1,
                          problem.space->describe(left.candidate), problem.space->describe(right.candidate))};
    }
    if (left.parents != right.parents)
      return {fmt::format("{}: the parents of trial {} differ", what, i + 1)};
  }
  if (a.trials().size() != b.trials().size()) {
    return {
        fmt::format("{}: {} trials in one and {} in the other", what, a.trials().size(), b.trials().size())};
  }
  return {};
}

Breaches check_description(const StrategyPlugin& plugin) {
  Breaches breaches;
  const auto expect = [&](bool holds, const std::string& sentence) {
    if (!holds) breaches.push_back(sentence);
  };
  const auto snake_case = [](const std::string& name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    });
  };
  expect(snake_case(plugin.name), "the name '" + plugin.name + "' is not snake_case");
  expect(!plugin.summary.empty() && plugin.summary.back() == '.',
         "the summary is not a sentence with a full stop");
  expect(!plugin.source.empty(), "there is no source");
  expect(plugin.capabilities.max_objectives >= 1, "it handles no objectives");
  for (const Option& option : plugin.options) {
    expect(snake_case(option.name), "the option name '" + option.name + "' is not snake_case");
    expect(!option.sentence.empty() && option.sentence.back() == '.',
           "the sentence of option '" + option.name + "' has no full stop");
    expect(option.fallback.has_value(), "option '" + option.name + "' has no default");
  }
  if (!breaches.empty()) return breaches;
  try {
    Options::defaults(plugin.options, "strategy " + plugin.name);
  } catch (const std::exception& error) {
    breaches.push_back(fmt::format("the defaults of the options are refused: {}", error.what()));
  }
  return breaches;
}

Breaches check_suitability(const StrategyPlugin& plugin) {
  Breaches breaches;
  bool any = false;
  for (const TestProblem& test : test_problems()) {
    const auto why = why_refused(plugin, test, 1);
    any = any || !why;
    if (why && why->find("'" + plugin.name + "'") == std::string::npos) {
      breaches.push_back(
          fmt::format("the refusal of problem '{}' does not name the strategy: {}", test.name, *why));
    }
  }
  if (!any) breaches.push_back("every problem is refused");
  return breaches;
}

Breaches check_proposals(const StrategyPlugin& plugin) {
  return for_all_suitable(plugin, all_settings(), [&](const TestProblem& problem, const DriveSettings& settings) {
    StrategyDriver driver(plugin, problem, settings);
    driver.run();
    Breaches breaches = driver.breaches();
    if (breaches.empty() && driver.trials().empty()) {
      breaches.push_back(windowed(problem, settings) + ": it proposes nothing");
    }
    return breaches;
  });
}

Breaches check_process(const StrategyPlugin& plugin) {
  const ProcessState before;
  for_all_suitable(plugin, some_settings({0}), [&](const TestProblem& problem, const DriveSettings& settings) {
    StrategyDriver(plugin, problem, settings).run();
    return Breaches();
  });
  return before.restore();
}

Breaches check_reproducibility(const StrategyPlugin& plugin) {
  return for_all_suitable(plugin, some_settings({0, 2}), [&](const TestProblem& problem, const DriveSettings& settings) {
    StrategyDriver first(plugin, problem, settings);
    StrategyDriver second(plugin, problem, settings);
    first.run();
    second.run();
    return differences(problem, first, second, windowed(problem, settings) + ", the same seed twice");
  });
}

Breaches check_replay(const StrategyPlugin& plugin) {
  return for_all_suitable(plugin, some_settings({2, 3}), [&](const TestProblem& problem, const DriveSettings& settings) {
    StrategyDriver original(plugin, problem, settings);
    while (original.trials().size() < settings.trials / 2 && original.step()) {
    }
    // A fresh strategy is fed the stored results only; what lies beyond them must not be asked for in this
    // phase.
    TestProblem stored = problem;
    bool replaying = true;
    stored.evaluate = [&](const Candidate& candidate, std::uint64_t number) {
      if (!replaying) return problem.evaluate(candidate, number);
      const FinishedTrial& result = original.trials().at(number - 1).finished;
      return Outcome{result.status, result.objectives, result.violation, result.excess};
    };
    StrategyDriver resumed(plugin, stored, settings);
    const auto told = [](const StrategyDriver& driver) {
      return std::count_if(driver.trials().begin(), driver.trials().end(),
                           [](const auto& trial) { return trial.told; });
    };
    while (told(resumed) < told(original) && resumed.step()) {
    }
    replaying = false;
    // Side by side to the end: state shared between instances would show.
    for (bool more = true; more;) {
      const bool first_more = original.step();
      const bool second_more = resumed.step();
      more = first_more || second_more;
    }
    return differences(problem, original, resumed,
                       windowed(problem, settings) + ", a run and its resumption");
  });
}

Breaches check_chunks(const StrategyPlugin& plugin) {
  return for_all_suitable(plugin, some_settings({1, 2}), [&](const TestProblem& problem, DriveSettings settings) {
    StrategyDriver together(plugin, problem, settings);
    settings.one_by_one = true;
    StrategyDriver apart(plugin, problem, settings);
    together.run();
    apart.run();
    return differences(problem, together, apart,
                       windowed(problem, settings) + ", many trials per call and one trial per call");
  });
}

Breaches check_failures(const StrategyPlugin& plugin) {
  Breaches breaches;
  for (DriveSettings settings : all_settings()) {
    settings.trials = 200;
    if (why_refused(plugin, test_problem("flat"), settings.window)) continue;
    StrategyDriver healthy(plugin, test_problem("flat"), settings);
    StrategyDriver ill(plugin, test_problem("failing"), settings);
    healthy.run();
    ill.run();
    append(breaches, ill.breaches());
    if (!healthy.finished() && ill.finished()) {
      breaches.push_back(
          fmt::format("{}: it gives up after {} trials, which it does not if none of them fail",
                      windowed(test_problem("failing"), settings), ill.trials().size()));
    }
  }
  return breaches;
}

/// While there is plenty that is new, what is under way is not proposed again.
Breaches check_pending(const StrategyPlugin& plugin) {
  Breaches breaches;
  for (const char* name : {"flat", "mixed_constrained", "two_objectives", "failing"}) {
    const TestProblem problem = test_problem(name);
    DriveSettings settings;
    settings.window = 16;
    settings.trials = 100;
    if (why_refused(plugin, problem, settings.window)) continue;
    StrategyDriver driver(plugin, problem, settings);
    driver.run();
    append(breaches, driver.breaches());
    for (const DrivenTrial& trial : driver.trials()) {
      const auto original = trial.finished.duplicate_of;
      if (!original || *original + settings.window <= trial.number) continue;
      breaches.push_back(fmt::format("{}: trial {} is proposed while its equal, trial {}, is pending",
                                     windowed(problem, settings), trial.number, *original));
      break;
    }
  }
  return breaches;
}

Breaches check_exhaustion(const StrategyPlugin& plugin) {
  Breaches breaches;
  for (const char* name : {"tiny", "single"}) {
    const TestProblem problem = test_problem(name);
    for (DriveSettings settings : all_settings()) {
      settings.trials =
          10'000;  // more than there are candidates: only the strategy, or duplicates, can end the run
      if (why_refused(plugin, problem, settings.window)) continue;
      StrategyDriver driver(plugin, problem, settings);
      std::size_t steps = 0;
      while (driver.step() && ++steps < 10'000) {
      }
      append(breaches, driver.breaches());
      if (steps == 10'000) breaches.push_back(windowed(problem, settings) + ": the run does not end");
    }
  }
  return breaches;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return 0.5 * (values[(n - 1) / 2] + values[n / 2]);
}

/// To be minimised: the best objective, or minus the hypervolume below 1 in each.
double score(const std::vector<Point>& points) {
  if (points.front().size() > 1) return -hypervolume(points, Point(points.front().size(), 1.0));
  double best = std::numeric_limits<double>::infinity();
  for (const Point& point : points) best = std::min(best, point.front());
  return best;
}

}  // namespace

Problem TestProblem::problem(std::uint64_t seed, std::size_t window) const {
  Problem problem;
  problem.space = space.get();
  problem.objectives = objectives;
  problem.constrained = constrained;
  problem.seed = seed;
  problem.window = window;
  return problem;
}

std::vector<TestProblem> test_problems() {
  return {
      separable("flat", flat_space(), 1),
      separable("conditional", conditional_space(), 1),
      separable("repeated", repeated_space(), 1),
      separable("constrained", constrained_space(), 1),
      separable("mixed", mixed_space(), 1),
      separable("continuous", continuous_space(), 1),
      separable("mixed_constrained", mixed_constrained_space(), 1),
      separable("two_objectives", flat_space(), 2),
      separable("two_objectives_mixed", mixed_constrained_space(), 2),
      separable("two_objectives_conditional", conditional_space(), 2),
      separable("four_objectives_mixed", mixed_space(), 4),
      with_metric_constraint("metric_constraint", flat_space(), 1),
      with_metric_constraint("metric_constraint_two_objectives", repeated_space(), 2),
      noisy("noisy", flat_space()),
      failing("failing", flat_space(), 0.3),
      failing("failing_mixed", mixed_space(), 0.3),
      failing("hopeless", conditional_space(), 1.0),
      separable("tiny", tiny_space(), 1),
      separable("single", std::make_shared<Space>(std::vector<SpaceNode>{choice("only", Names{"one"})}), 1),
  };
}

TestProblem test_problem(const std::string& name) {
  for (TestProblem& problem : test_problems()) {
    if (problem.name == name) return problem;
  }
  throw std::out_of_range("no test problem is named '" + name + "'");
}

StrategyDriver::StrategyDriver(const StrategyPlugin& plugin, const TestProblem& problem,
                               DriveSettings settings)
    : problem_(problem),
      settings_(settings),
      plugin_(plugin.name),
      where_(windowed(problem, settings)),
      watchdog_(std::make_unique<Watchdog>(settings.longest_call_s)) {
  try {
    strategy_ = plugin.create(problem_.problem(settings_.seed, settings_.window),
                              read_options(plugin, settings_.options));
    if (!strategy_) breach("create returns nothing");
  } catch (const std::exception& error) {
    breach(fmt::format("create throws: {}", error.what()));
  }
  for (std::uint64_t number = 1; number <= settings_.initial; ++number) {
    Random random(settings_.seed, "initial designs", number);
    append({problem_.space->sample(random)});
  }
}

void StrategyDriver::breach(const std::string& sentence) {
  breaches_.push_back(where_ + ": " + sentence);
}

void StrategyDriver::append(Proposal proposal) {
  DrivenTrial trial;
  trial.number = trials_.size() + 1;
  trial.finished.number = trial.number;
  trial.finished.candidate = proposal.candidate;
  for (const DrivenTrial& earlier : trials_) {
    if (earlier.proposal.candidate == proposal.candidate) {
      trial.finished.duplicate_of = earlier.number;
      break;
    }
  }
  trial.proposal = std::move(proposal);
  if (trial.finished.duplicate_of) {
    ++duplicates_in_a_row_;
  } else {
    ++distinct_;
    duplicates_in_a_row_ = 0;
  }
  trials_.push_back(std::move(trial));
}

void StrategyDriver::ask() {
  const std::uint64_t first = trials_.size() + 1;
  std::size_t count = settings_.window - pending();
  if (settings_.one_by_one) count = 1;
  std::vector<PendingTrial> waiting;
  for (std::size_t i = told_; i < trials_.size(); ++i) {
    waiting.push_back({trials_[i].number, trials_[i].proposal.candidate});
  }
  watchdog_->begins(fmt::format("strategy {}, {}: ask() for trial {}", plugin_, where_, first));
  std::vector<Proposal> proposals = strategy_->ask(first, count, waiting);
  watchdog_->ends();
  if (proposals.size() > count) {
    return breach(fmt::format("asked for {} proposals, it makes {}", count, proposals.size()));
  }
  if (proposals.empty() && waiting.empty()) {
    finished_ = true;
    if (!strategy_->ask(first, count, waiting).empty()) {
      breach(fmt::format("having proposed nothing with nothing pending, it goes on at trial {}", first));
    }
    return;
  }
  waiting_ = proposals.size() < count;
  for (Proposal& proposal : proposals) {
    if (distinct_ >= settings_.trials) break;  // the budget is spent; the rest is not looked at
    const std::uint64_t number = trials_.size() + 1;
    if (const auto why = problem_.space->why_invalid(proposal.candidate)) {
      return breach(fmt::format("trial {} is not a valid candidate: {}", number, *why));
    }
    for (const std::uint64_t parent : proposal.parents) {
      if (parent < 1 || parent >= first) {
        return breach(fmt::format("trial {} names trial {} as a parent", number, parent));
      }
    }
    append(std::move(proposal));
  }
}

void StrategyDriver::tell(std::size_t count) {
  std::vector<FinishedTrial> finished;
  for (; count > 0; --count, ++told_) {
    DrivenTrial& trial = trials_[told_];
    if (trial.finished.duplicate_of) {
      const FinishedTrial& original = trials_[*trial.finished.duplicate_of - 1].finished;
      trial.finished.status = original.status;
      trial.finished.objectives = original.objectives;
      trial.finished.violation = original.violation;
      trial.finished.excess = original.excess;
    } else {
      Outcome outcome = problem_.evaluate(trial.proposal.candidate, trial.number);
      trial.finished.status = outcome.status;
      trial.finished.objectives = std::move(outcome.objectives);
      trial.finished.violation = outcome.violation;
      trial.finished.excess = std::move(outcome.excess);
    }
    trial.told = true;
    finished.push_back(trial.finished);
  }
  watchdog_->begins(fmt::format("strategy {}, {}: tell() of trial {}", plugin_, where_, told_));
  strategy_->tell(finished);
  watchdog_->ends();
  waiting_ = false;
}

bool StrategyDriver::step() {
  if (!breaches_.empty()) return false;
  try {
    if (pending() >= settings_.window) {
      // More than one only at the beginning, when there are more initial trials than the window holds.
      const std::size_t due = pending() - settings_.window + 1;
      tell(settings_.one_by_one ? 1 : due);
      return true;
    }
    const bool over =
        finished_ || distinct_ >= settings_.trials || duplicates_in_a_row_ >= max_duplicates_in_a_row;
    if (!over && !waiting_) {
      ask();
      return breaches_.empty() && !(finished_ && pending() == 0);
    }
    if (pending() == 0) return false;
    tell(1);
    return true;
  } catch (const std::exception& error) {
    breach(fmt::format("after trial {}, it throws: {}", trials_.size(), error.what()));
  } catch (...) {
    breach(fmt::format("after trial {}, it throws", trials_.size()));
  }
  watchdog_->ends();
  return false;
}

void StrategyDriver::run() {
  while (step()) {
  }
}

std::vector<StrategyCheck> strategy_checks() {
  return {{"describes_itself", check_description},
          {"leaves_the_process_as_it_was", check_process},
          {"refuses_what_it_cannot_do_with_a_sentence", check_suitability},
          {"makes_valid_proposals", check_proposals},
          {"repeats_itself_for_the_same_seed", check_reproducibility},
          {"can_be_resumed_by_replay", check_replay},
          {"does_not_depend_on_how_calls_are_cut", check_chunks},
          {"honours_what_is_pending", check_pending},
          {"survives_failures", check_failures},
          {"ends_when_the_space_is_exhausted", check_exhaustion}};
}

std::vector<std::string> check_beats_sampling(const StrategyPlugin& plugin) {
  Breaches breaches;
  for (const char* name : {"flat", "two_objectives"}) {
    const TestProblem problem = test_problem(name);
    DriveSettings settings;
    settings.trials = 200;
    if (why_refused(plugin, problem, settings.window)) continue;
    std::vector<double> scores;
    std::vector<double> baseline;
    for (settings.seed = 0; settings.seed < 20; ++settings.seed) {
      StrategyDriver driver(plugin, problem, settings);
      driver.run();
      append(breaches, driver.breaches());
      if (!breaches.empty()) return breaches;
      std::vector<Point> points;
      for (const DrivenTrial& trial : driver.trials()) points.push_back(trial.finished.objectives);
      scores.push_back(score(points));
      points.clear();
      for (std::uint64_t number = 1; number <= settings.trials; ++number) {
        Random random(settings.seed, "baseline", number);
        points.push_back(problem.evaluate(problem.space->sample(random), number).objectives);
      }
      baseline.push_back(score(points));
    }
    if (median(scores) > median(baseline)) {
      breaches.push_back(
          fmt::format("problem '{}', {} trials: its median {:.4f} is worse than {:.4f} by sampling", name,
                      settings.trials, median(scores), median(baseline)));
    }
  }
  return breaches;
}

void expect_strategy_contract(const StrategyPlugin& plugin) {
  for (const StrategyCheck& check : strategy_checks()) {
    for (const std::string& breach : check.run(plugin)) {
      ADD_FAILURE() << "strategy " << plugin.name << ", " << check.name << ": " << breach;
    }
  }
}

}  // namespace duet::contracts
