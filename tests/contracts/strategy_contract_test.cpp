#include "tests/contracts/strategy_contract.hpp"

#include <algorithm>
#include <cfenv>
#include <filesystem>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <utility>

#include "core/errors.hpp"

namespace duet::contracts {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Catalog<StrategyPlugin> builtin_catalog() {
  Catalog<StrategyPlugin> catalog("strategy");
  add_builtin_strategies(catalog);
  return catalog;
}

/// A strategy as it comes, but for models that look at fewer candidates: the contract is about the loop around them.
StrategyPlugin builtin(const std::string& name) {
  StrategyPlugin plugin = builtin_catalog().at(name);
  for (Option& option : plugin.options) {
    if (option.name == "evaluations") option.fallback = "40";
    if (option.name == "generations") option.fallback = "3";
  }
  return plugin;
}

bool has_dear_model(const StrategyPlugin& plugin) {
  return std::any_of(plugin.options.begin(), plugin.options.end(), [](const Option& option) {
    return option.name == "evaluations" || option.name == "descents" || option.name == "predictor";
  });
}

std::vector<std::string> check_names() {
  std::vector<std::string> names;
  for (const StrategyCheck& check : strategy_checks()) names.push_back(check.name);
  return names;
}

std::vector<std::string> run_check(const std::string& name, const StrategyPlugin& plugin) {
  for (const StrategyCheck& check : strategy_checks()) {
    if (check.name == name) return check.run(plugin);
  }
  throw std::out_of_range("no check is named '" + name + "'");
}

// --- Every strategy of the catalog ---

class BuiltinStrategy : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(BuiltinStrategy, KeepsTheContract) {
  const auto& [strategy, check] = GetParam();
  EXPECT_THAT(run_check(check, builtin(strategy)), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Catalog, BuiltinStrategy,
                         ::testing::Combine(::testing::ValuesIn(builtin_catalog().names()),
                                            ::testing::ValuesIn(check_names())),
                         [](const auto& instance) {
                           return std::get<0>(instance.param) + "_" + std::get<1>(instance.param);
                         });

class LearningStrategy : public ::testing::TestWithParam<std::string> {};

TEST_P(LearningStrategy, BeatsSampling) {
  static const std::set<std::string> spread{"exhaustive", "latin_hypercube", "random", "sobol"};
  if (spread.contains(GetParam())) GTEST_SKIP() << "does not claim to learn";
  const StrategyPlugin plugin = builtin(GetParam());
  if (has_dear_model(plugin)) GTEST_SKIP() << "tests/search/bayesian_test.cpp compares it with random";
  EXPECT_THAT(check_beats_sampling(plugin), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Catalog, LearningStrategy, ::testing::ValuesIn(builtin_catalog().names()),
                         [](const auto& instance) { return instance.param; });

// --- The checks find what they are for: strategies that are wrong on purpose ---

/// A strategy made of two functions.
class Custom : public Strategy {
 public:
  using Ask = std::function<std::vector<Proposal>(std::uint64_t, std::size_t, std::span<const PendingTrial>)>;
  using Tell = std::function<void(std::span<const FinishedTrial>)>;
  Custom(Ask ask, Tell tell) : ask_(std::move(ask)), tell_(std::move(tell)) {}

  std::vector<Proposal> ask(std::uint64_t first, std::size_t count,
                            std::span<const PendingTrial> pending) override {
    return ask_(first, count, pending);
  }
  void tell(std::span<const FinishedTrial> finished) override {
    if (tell_) tell_(finished);
  }

 private:
  Ask ask_;
  Tell tell_;
};

StrategyPlugin custom(std::function<std::unique_ptr<Strategy>(const Problem&)> create) {
  return {.name = "custom",
          .summary = "Does something.",
          .source = "This test",
          .options = {},
          .capabilities = {.max_objectives = 9, .constraints = true},
          .create = [create = std::move(create)](const Problem& problem, const Options&) {
            return create(problem);
          }};
}

/// Proposes samples drawn by `draw`.
StrategyPlugin sampling(std::function<Candidate(const Problem&, std::uint64_t number)> draw) {
  return custom([draw](const Problem& problem) {
    return std::make_unique<Custom>(
        [draw, problem](std::uint64_t first, std::size_t count, std::span<const PendingTrial>) {
          std::vector<Proposal> proposals;
          for (std::uint64_t number = first; number < first + count; ++number) {
            proposals.push_back({draw(problem, number)});
          }
          return proposals;
        },
        nullptr);
  });
}

TEST(StrategyContract, HoldsForPlainSampling) {
  const StrategyPlugin plugin = sampling([](const Problem& problem, std::uint64_t number) {
    Random random = problem.random(number);
    return problem.space->sample(random);
  });
  expect_strategy_contract(plugin);
}

TEST(StrategyContract, FindsCandidatesThatViolateHardConstraints) {
  const StrategyPlugin plugin = sampling([](const Problem& problem, std::uint64_t number) {
    Random random = problem.random(number);
    return problem.space->sample_any(random);
  });
  EXPECT_THAT(run_check("makes_valid_proposals", plugin), Contains(HasSubstr("is not a valid candidate")));
}

TEST(StrategyContract, FindsMoreProposalsThanAskedFor) {
  const StrategyPlugin plugin = custom([](const Problem& problem) {
    return std::make_unique<Custom>(
        [problem](std::uint64_t first, std::size_t, std::span<const PendingTrial>) {
          Random random = problem.random(first);
          return std::vector<Proposal>(10, Proposal{problem.space->sample(random)});
        },
        nullptr);
  });
  EXPECT_THAT(run_check("makes_valid_proposals", plugin),
              Contains(HasSubstr("asked for 1 proposals, it makes 10")));
}

TEST(StrategyContract, FindsParentsFromTheFuture) {
  const StrategyPlugin plugin = custom([](const Problem& problem) {
    return std::make_unique<Custom>(
        [problem](std::uint64_t first, std::size_t, std::span<const PendingTrial>) {
          Random random = problem.random(first);
          return std::vector<Proposal>{{problem.space->sample(random), {first}}};
        },
        nullptr);
  });
  EXPECT_THAT(run_check("makes_valid_proposals", plugin),
              Contains(HasSubstr("trial 1 names trial 1 as a parent")));
}

TEST(StrategyContract, FindsStateSharedBetweenInstances) {
  const auto draws = std::make_shared<std::uint64_t>(0);
  const StrategyPlugin plugin = sampling([draws](const Problem& problem, std::uint64_t) {
    Random random = problem.random((*draws)++);
    return problem.space->sample(random);
  });
  EXPECT_THAT(run_check("repeats_itself_for_the_same_seed", plugin),
              Contains(HasSubstr("the same seed twice: trial")));
  EXPECT_THAT(run_check("can_be_resumed_by_replay", plugin),
              Contains(HasSubstr("a run and its resumption: trial")));
}

TEST(StrategyContract, FindsDependenceOnHowCallsAreCut) {
  // One stream of random numbers per call instead of one per trial.
  const StrategyPlugin plugin = custom([](const Problem& problem) {
    return std::make_unique<Custom>(
        [problem](std::uint64_t first, std::size_t count, std::span<const PendingTrial>) {
          Random random = problem.random(first);
          std::vector<Proposal> proposals;
          while (proposals.size() < count) proposals.push_back({problem.space->sample(random)});
          return proposals;
        },
        nullptr);
  });
  EXPECT_THAT(run_check("repeats_itself_for_the_same_seed", plugin), IsEmpty());
  EXPECT_THAT(run_check("does_not_depend_on_how_calls_are_cut", plugin),
              Contains(HasSubstr("many trials per call and one trial per call: trial")));
}

TEST(StrategyContract, FindsBarriersThatFailuresCloseForEver) {
  // Generations of ten that wait for ten successes.
  const StrategyPlugin plugin = custom([](const Problem& problem) {
    const auto successes = std::make_shared<std::uint64_t>(0);
    const auto proposed = std::make_shared<std::uint64_t>(0);
    return std::make_unique<Custom>(
        [=](std::uint64_t first, std::size_t count, std::span<const PendingTrial>) {
          std::vector<Proposal> proposals;
          for (std::uint64_t number = first; number < first + count; ++number) {
            if (*proposed >= 10 && *successes < 10) break;
            if (*proposed >= 10) *proposed = *successes = 0;
            Random random = problem.random(number);
            proposals.push_back({problem.space->sample(random)});
            ++*proposed;
          }
          return proposals;
        },
        [=](std::span<const FinishedTrial> finished) {
          for (const FinishedTrial& trial : finished) *successes += trial.ok() ? 1 : 0;
        });
  });
  EXPECT_THAT(run_check("survives_failures", plugin), Contains(HasSubstr("it gives up after")));
}

TEST(StrategyContract, FindsAFinishThatIsTakenBack) {
  const StrategyPlugin plugin = custom([](const Problem& problem) {
    const auto calls = std::make_shared<int>(0);
    return std::make_unique<Custom>(
        [=](std::uint64_t first, std::size_t, std::span<const PendingTrial>) {
          std::vector<Proposal> proposals;
          if (++*calls % 3 == 0) return proposals;
          Random random = problem.random(first);
          proposals.push_back({problem.space->sample(random)});
          return proposals;
        },
        nullptr);
  });
  EXPECT_THAT(run_check("makes_valid_proposals", plugin),
              Contains(HasSubstr("with nothing pending, it goes on")));
}

TEST(StrategyContract, FindsProposalsThatArePending) {
  // Every design twice in a row.
  const StrategyPlugin plugin = sampling([](const Problem& problem, std::uint64_t number) {
    Random random = problem.random((number + 1) / 2);
    return problem.space->sample(random);
  });
  EXPECT_THAT(run_check("honours_what_is_pending", plugin),
              Contains(HasSubstr("trial 2 is proposed while its equal, trial 1, is pending")));
}

TEST(StrategyContract, ARefusalByCreateNamesTheStrategy) {
  const StrategyPlugin plugin = custom([](const Problem& problem) -> std::unique_ptr<Strategy> {
    if (problem.space->size() != 6) throw ConfigError("six parameters, please");
    return std::make_unique<Custom>(
        [problem](std::uint64_t first, std::size_t, std::span<const PendingTrial>) {
          Random random = problem.random(first);
          return std::vector<Proposal>{{problem.space->sample(random)}};
        },
        nullptr);
  });
  EXPECT_THAT(run_check("refuses_what_it_cannot_do_with_a_sentence", plugin),
              Contains(HasSubstr("does not name the strategy: six parameters, please")));
  EXPECT_THAT(run_check("makes_valid_proposals", plugin), IsEmpty());
}

TEST(StrategyContract, FindsExceptions) {
  const StrategyPlugin plugin = custom([](const Problem& problem) {
    return std::make_unique<Custom>(
        [problem](std::uint64_t first, std::size_t, std::span<const PendingTrial>) {
          Random random = problem.random(first);
          return std::vector<Proposal>{{problem.space->sample(random)}};
        },
        [](std::span<const FinishedTrial> finished) {
          for (const FinishedTrial& trial : finished) {
            if (!trial.ok()) throw std::runtime_error("no objectives");
          }
        });
  });
  EXPECT_THAT(run_check("survives_failures", plugin), Contains(HasSubstr("it throws: no objectives")));
}

TEST(StrategyContract, FindsWhatConcernsTheWholeProcess) {
  const StrategyPlugin plugin = sampling([](const Problem& problem, std::uint64_t number) {
    Random random = problem.random(number);
    std::fesetround(FE_UPWARD);
    std::filesystem::current_path("/");
    return problem.space->sample(random);
  });
  const std::filesystem::path before = std::filesystem::current_path();
  const std::vector<std::string> breaches = run_check("leaves_the_process_as_it_was", plugin);
  EXPECT_THAT(breaches, Contains("it changes how the process rounds"));
  EXPECT_THAT(breaches, Contains("it changes the working folder of the process"));
  EXPECT_EQ(std::filesystem::current_path(), before);
  EXPECT_EQ(std::fegetround(), FE_TONEAREST);
}

TEST(StrategyContractDeathTest, EndsCallsThatDoNotReturn) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const StrategyPlugin plugin = sampling([](const Problem& problem, std::uint64_t number) {
    Random random = problem.random(number);
    while (number == 3) random.bits();
    return problem.space->sample(random);
  });
  const auto drive = [&] { StrategyDriver(plugin, test_problem("flat"), {.longest_call_s = 0.2}).run(); };
  EXPECT_DEATH(drive(), "problem 'flat'.*: ask\\(\\) for trial 3 has not returned for 0.2 s");
}

TEST(StrategyContract, FindsAnOptionWithoutASentence) {
  StrategyPlugin plugin = custom([](const Problem&) { return nullptr; });
  plugin.options = {{.name = "population", .fallback = "10", .sentence = ""}};
  EXPECT_THAT(run_check("describes_itself", plugin), Contains(HasSubstr("option 'population'")));
  EXPECT_THAT(run_check("makes_valid_proposals", plugin), Contains(HasSubstr("create returns nothing")));
}

TEST(StrategyContract, FindsAStrategyThatDoesNotLearn) {
  // Varies the one design that it began with.
  const StrategyPlugin plugin = sampling([](const Problem& problem, std::uint64_t number) {
    Random beginning = problem.random(1);
    Random random = problem.random(number);
    return problem.space->mutate_one(problem.space->sample(beginning), random);
  });
  EXPECT_THAT(check_beats_sampling(plugin), Contains(HasSubstr("is worse than")));
}

}  // namespace
}  // namespace duet::contracts
