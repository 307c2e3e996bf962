#include "experiments/run.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <mutex>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.hpp"
#include "core/random.hpp"
#include "tests/experiments/toy_experiment.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using testing::reproducible_csv;
using testing::run_text;
using testing::TemporaryDirectory;
using testing::toy_calls;
using testing::toy_registry;
using testing::toy_specification;
using ::testing::HasSubstr;

/// A delay of up to `most_ms` that depends on the trial and on `seed` only.
std::function<void(std::uint64_t)> delays(std::uint64_t seed, double most_ms) {
  return [=](std::uint64_t number) {
    Random random(seed, "delay", number);
    std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(random.uniform(0, most_ms)));
  };
}

class EveryStrategy : public ::testing::TestWithParam<std::string> {
 protected:
  Registry registry_ = toy_registry();
  TemporaryDirectory directory_;
  std::string text_ = toy_specification(registry_, GetParam());
};

TEST_P(EveryStrategy, GivesTheSameRowsForAnyNumberOfWorkers) {
  run_text(registry_, text_, directory_ / "one.db", {.workers = 1});
  const std::string expected = reproducible_csv(directory_ / "one.db");
  EXPECT_GT(std::count(expected.begin(), expected.end(), '\n'), 55);
  for (const std::size_t workers : {2, 5, 8}) {
    for (const std::uint64_t seed : {1, 2}) {
      const auto file = directory_ / fmt::format("{}_{}.db", workers, seed);
      RunOptions options{.workers = workers};
      options.before_scoring = delays(seed, 3);
      run_text(registry_, text_, file, options);
      EXPECT_EQ(reproducible_csv(file), expected) << workers << " workers";
    }
  }
}

// A child process runs the experiment with delays and is killed at a random moment, again and again.
TEST_P(EveryStrategy, GivesTheSameRowsHoweverOftenItIsKilled) {
  const std::string text = toy_specification(registry_, GetParam(), 150);
  run_text(registry_, text, directory_ / "whole.db", {.workers = 1});
  const std::string expected = reproducible_csv(directory_ / "whole.db");

  Random random(11, "kills");
  int kills = 0;
  // The loop is the same for all; what a strategy can do wrong here, few kills show.
  const int enough = GetParam() == "nsga2" || GetParam() == "regularized_evolution" ? 25 : 8;
  for (int round = 0; kills < enough; ++round) {
    ASSERT_LT(round, 10) << "too few kills hit: " << kills;
    const auto file = directory_ / fmt::format("killed_{}.db", round);
    double patience = 1;  // grows, so that strategies that take their time to replay get on, too
    for (bool done = false; !done; patience *= 1.05) {
      const pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        RunOptions options{.workers = 2};
        options.before_scoring = delays(static_cast<std::uint64_t>(kills), 6);
        try {
          run_text(registry_, text, file, options);
        } catch (const std::exception& error) {
          fmt::print(stderr, "{}\n", error.what());
          _exit(3);
        }
        _exit(0);
      }
      if (kills < 25) {
        std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(patience * random.uniform(4, 40)));
        kill(child, SIGKILL);
      }
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      if (WIFSIGNALED(status)) {
        ++kills;
      } else {
        ASSERT_EQ(WEXITSTATUS(status), 0);
        done = true;
      }
    }
    EXPECT_EQ(reproducible_csv(file), expected);
    EXPECT_THAT(Store(file, Store::Mode::read).check(), ::testing::IsEmpty());
  }
}

TEST_P(EveryStrategy, GoesOnWhenTheBudgetIsRaised) {
  run_text(registry_, text_, directory_ / "whole.db");
  Overrides less;
  less.trials = 23;
  const RunSummary first = run_text(registry_, text_, directory_ / "parts.db", {.workers = 2}, less);
  EXPECT_EQ(first.originals, 23U);
  const RunSummary second = run_text(registry_, text_, directory_ / "parts.db", {.workers = 2});
  EXPECT_EQ(second.replayed, first.trials);
  EXPECT_EQ(reproducible_csv(directory_ / "parts.db"), reproducible_csv(directory_ / "whole.db"));
}

TEST_P(EveryStrategy, ResumingAFinishedRunScoresNothing) {
  const RunSummary first = run_text(registry_, text_, directory_ / "a.db");
  const std::string before = reproducible_csv(directory_ / "a.db");
  const std::size_t calls = toy_calls();
  const RunSummary second = run_text(registry_, text_, directory_ / "a.db");
  EXPECT_EQ(toy_calls(), calls);
  EXPECT_EQ(second.replayed, first.trials);
  EXPECT_EQ(reproducible_csv(directory_ / "a.db"), before);
}

INSTANTIATE_TEST_SUITE_P(Builtin, EveryStrategy, ::testing::ValuesIn(builtin_registry().strategies.names()),
                         [](const auto& parameter) { return parameter.param; });

/// Proposes what a script says: for tests of the loop's own rules.
class Scripted final : public Strategy {
 public:
  struct Log {
    std::vector<std::string> lines;
  };
  Scripted(const Problem& problem, std::vector<std::uint64_t> ranks, std::shared_ptr<Log> log, std::size_t barrier)
      : space_(problem.space), ranks_(std::move(ranks)), log_(std::move(log)), barrier_(barrier) {}

  std::vector<Proposal> ask(std::uint64_t first, std::size_t count, std::span<const PendingTrial> pending) override {
    log_->lines.push_back(fmt::format("ask {}+{} told {} pending {}", first, count, told_, pending.size()));
    std::vector<Proposal> proposals;
    while (proposals.size() < count && next_ < ranks_.size()) {
      if (barrier_ != 0 && next_ % barrier_ == 0 && told_ < next_) break;
      proposals.push_back({space_->unrank(ranks_[next_++]), {}});
    }
    return proposals;
  }
  void tell(std::span<const FinishedTrial> finished) override {
    for (const FinishedTrial& trial : finished) {
      ++told_;
      log_->lines.push_back(fmt::format("tell {}{}", trial.number,
                                        trial.duplicate_of ? fmt::format("={}", *trial.duplicate_of) : ""));
    }
  }

 private:
  const Space* space_;
  std::vector<std::uint64_t> ranks_;
  std::shared_ptr<Log> log_;
  std::size_t barrier_;
  std::size_t next_ = 0;
  std::size_t told_ = 0;
};

struct ScriptedRun {
  Registry registry = toy_registry();
  std::shared_ptr<Scripted::Log> log = std::make_shared<Scripted::Log>();
  TemporaryDirectory directory;
  std::size_t barrier = 0;
  std::string extra;

  RunSummary run(std::vector<std::uint64_t> ranks, std::size_t window, std::uint64_t trials, std::size_t workers = 1,
                 const std::string& file = "s.db") {
    StrategyPlugin plugin;
    plugin.name = "scripted";
    plugin.capabilities = {.max_objectives = 9, .constraints = true};
    plugin.create = [this, ranks](const Problem& problem, const Options&) {
      return std::make_unique<Scripted>(problem, ranks, log, barrier);
    };
    Registry fresh = toy_registry();
    fresh.strategies.add(plugin);
    registry = std::move(fresh);
    const std::string text = fmt::format(
        "name: s\nspace: {{p: {{type: parameters, parameters: {{x: {{integer: [0, 99]}}}}}}{}}}\n"
        "estimators: [toy]\nobjectives: [cost_s]\nsearch: scripted\nbudget: {}\nwindow: {}\nmax_duplicates: 3\n",
        extra, trials, window);
    RunOptions options{.workers = workers};
    if (workers > 1) options.before_scoring = delays(3, 4);
    return run_text(registry, text, directory / file, options);
  }
  std::vector<TrialRecord> rows(const std::string& file = "s.db") {
    const Store store(directory / file, Store::Mode::read);
    return store.trials(store.at("s"));
  }
};

TEST(Loop, AsksForTrialTWhenExactlyTheTrialsUpToTMinusWindowAreTold) {
  for (const std::size_t workers : {1, 4}) {
    ScriptedRun scripted;
    scripted.run({1, 2, 3, 4, 5, 6}, 3, 6, workers);
    EXPECT_THAT(scripted.log->lines,
                ::testing::ElementsAre("ask 1+3 told 0 pending 0", "tell 1", "ask 4+1 told 1 pending 2", "tell 2",
                                       "ask 5+1 told 2 pending 2", "tell 3", "ask 6+1 told 3 pending 2", "tell 4",
                                       "tell 5", "tell 6"))
        << workers << " workers";
  }
}

TEST(Loop, ABarrierIsAskedAgainAfterTheNextTell) {
  ScriptedRun scripted;
  scripted.barrier = 2;
  const RunSummary summary = scripted.run({1, 2, 3, 4}, 3, 4, 3);
  EXPECT_EQ(summary.trials, 4U);
  EXPECT_THAT(scripted.log->lines,
              ::testing::ElementsAre("ask 1+3 told 0 pending 0", "ask 3+1 told 0 pending 2", "tell 1",
                                     "ask 3+2 told 1 pending 1", "tell 2", "ask 3+3 told 2 pending 0", "tell 3", "tell 4"));
}

TEST(Loop, ADuplicateHasANumberPointsToTheOriginalAndCostsNothing) {
  for (const std::size_t workers : {1, 4}) {
    ScriptedRun scripted;
    const std::size_t calls = toy_calls();
    const RunSummary summary = scripted.run({1, 1, 2, 1, 3, 4, 5}, 2, 4, workers);
    EXPECT_EQ(summary.originals, 4U);
    EXPECT_EQ(summary.trials, 6U);
    EXPECT_EQ(summary.end, RunSummary::End::budget);
    EXPECT_EQ(toy_calls() - calls, 4U);
    const auto rows = scripted.rows();
    ASSERT_EQ(rows.size(), 6U);
    EXPECT_EQ(rows[1].duplicate_of, 1U);
    EXPECT_EQ(rows[3].duplicate_of, 1U);
    EXPECT_EQ(rows[1].status, rows[0].status);
    EXPECT_TRUE(rows[1].values.empty());
    EXPECT_FALSE(rows[4].duplicate_of);
  }
}

TEST(Loop, EndsAfterTooManyDuplicatesInARowAndSaysWhy) {
  ScriptedRun scripted;
  const RunSummary summary = scripted.run({1, 2, 1, 1, 2, 5}, 2, 100);
  EXPECT_EQ(summary.end, RunSummary::End::duplicates);
  EXPECT_EQ(summary.trials, 5U);
  EXPECT_THAT(summary.sentence, HasSubstr("last 3 proposals"));
}

TEST(Loop, EndsWhenTheStrategyHasNothingLeft) {
  ScriptedRun scripted;
  const RunSummary summary = scripted.run({1, 2}, 5, 100, 2);
  EXPECT_EQ(summary.end, RunSummary::End::exhausted);
  EXPECT_EQ(summary.trials, 2U);
}

TEST(Loop, AProposalThatViolatesAConstraintIsAnExplainedRow) {
  ScriptedRun scripted;
  scripted.extra = ", constraints: [p.x <= 50]";
  const RunSummary summary = scripted.run({1, 80, 2}, 2, 3, 2);
  EXPECT_EQ(summary.trials, 3U);
  const auto rows = scripted.rows();
  EXPECT_EQ(rows[1].status, Status::invalid);
  EXPECT_THAT(rows[1].reason, HasSubstr("p.x (80) <= 50"));
}

TEST(Loop, AStrategyThatProposesSomethingElseOnResumeIsCaught) {
  ScriptedRun scripted;
  scripted.run({1, 2, 3}, 1, 2);
  try {
    scripted.run({1, 4, 3}, 1, 3);
    FAIL() << "the difference went unnoticed";
  } catch (const StoreError& error) {
    EXPECT_THAT(error.what(), HasSubstr("trial 2 of experiment 's' cannot be reproduced"));
    EXPECT_THAT(error.what(), HasSubstr("stored is 'p.x=2', proposed now is 'p.x=4'"));
  }
}

TEST(Loop, AnotherSpecificationUnderTheSameNameIsRefused) {
  ScriptedRun scripted;
  scripted.run({1, 2, 3}, 1, 2);
  try {
    scripted.run({1, 2, 3}, 2, 2);
    FAIL();
  } catch (const StoreError& error) {
    EXPECT_THAT(error.what(), HasSubstr("window: 1 there, 2 here"));
  }
}

TEST(Loop, AStopRequestEndsTheRunAndResumingCompletesIt) {
  const Registry registry = toy_registry();
  const TemporaryDirectory directory;
  const std::string text = toy_specification(registry, "nsga2");
  run_text(registry, text, directory / "whole.db");
  std::stop_source source;
  RunOptions options{.workers = 2, .stop = source.get_token()};
  options.before_scoring = delays(1, 3);
  std::uint64_t told = 0;
  options.on_trial = [&](const TrialRecord&, bool) {
    if (++told == 20) source.request_stop();
  };
  const RunSummary summary = run_text(registry, text, directory / "stopped.db", options);
  EXPECT_EQ(summary.end, RunSummary::End::stopped);
  EXPECT_LT(summary.trials, 40U);
  run_text(registry, text, directory / "stopped.db");
  EXPECT_EQ(reproducible_csv(directory / "stopped.db"), reproducible_csv(directory / "whole.db"));
}

TEST(Loop, ATimeBudgetEndsTheRun) {
  const Registry registry = toy_registry();
  const TemporaryDirectory directory;
  std::string text = toy_specification(registry, "random", 100'000);
  text.replace(text.find("budget: {trials: 100000}"), 24, "budget: {trials: 100000, time: 0.2s}");
  RunOptions options{.workers = 2};
  options.before_scoring = delays(1, 10);
  const RunSummary summary = run_text(registry, text, directory / "t.db", options);
  EXPECT_EQ(summary.end, RunSummary::End::time);
  EXPECT_GT(summary.trials, 2U);
  EXPECT_LT(summary.trials, 10'000U);
}

// What has not begun when the time is over does not begin, and is there after a resume.
TEST(Loop, ATimeBudgetDoesNotWaitForTheWholeWindow) {
  const Registry registry = toy_registry();
  const TemporaryDirectory directory;
  const std::string text = toy_specification(registry, "random", 60, 50);
  run_text(registry, text, directory / "whole.db");
  for (const std::size_t workers : {1, 2}) {
    const auto file = directory / fmt::format("{}.db", workers);
    std::string limited = text;
    limited.replace(limited.find("budget: {trials: 60}"), 20, "budget: {trials: 60, time: 60ms}");
    RunOptions options{.workers = workers};
    options.before_scoring = [](std::uint64_t) { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
    const RunSummary summary = run_text(registry, limited, file, options);
    EXPECT_EQ(summary.end, RunSummary::End::time);
    EXPECT_LT(summary.trials, 50U) << workers << " workers";
    run_text(registry, text, file);
    EXPECT_EQ(reproducible_csv(file), reproducible_csv(directory / "whole.db"));
  }
}

// Three designs of 400 are valid: random search ends in order when none is left.
TEST(Loop, ASpaceWithFewValidDesignsEndsInOrder) {
  const Registry registry = toy_registry();
  const TemporaryDirectory directory;
  const RunSummary summary = run_text(
      registry,
      "name: t\nspace: {p: {type: parameters, parameters: {a: {integer: [1, 400]}}}, constraints: [p.a <= 3]}\n"
      "estimators: [toy]\nobjectives: [cost_s]\nsearch: random\nbudget: 100\n",
      directory / "t.db");
  EXPECT_EQ(summary.end, RunSummary::End::exhausted);
  EXPECT_EQ(summary.originals, 3U);
}

TEST(Loop, AMalformedProposalIsAnExplainedRow) {
  Registry registry = toy_registry();
  class Malformed final : public Strategy {
   public:
    explicit Malformed(const Space& space) : space_(space) {}
    std::vector<Proposal> ask(std::uint64_t first, std::size_t, std::span<const PendingTrial>) override {
      Candidate candidate = space_.unrank(first);
      if (first == 2) candidate.set(0, 7);  // of three options
      return {{candidate, {}}};
    }
    void tell(std::span<const FinishedTrial>) override {}

   private:
    const Space& space_;
  };
  StrategyPlugin plugin;
  plugin.name = "malformed";
  plugin.create = [](const Problem& problem, const Options&) { return std::make_unique<Malformed>(*problem.space); };
  registry.strategies.add(plugin);
  const TemporaryDirectory directory;
  const std::string text =
      "name: m\nspace: {p: {type: parameters, parameters: {c: {choice: [a, b, c]}, n: {integer: [0, 9]}}}}\n"
      "estimators: [toy]\nobjectives: [cost_s]\nsearch: malformed\nbudget: 3\nwindow: 1\n";
  EXPECT_EQ(run_text(registry, text, directory / "m.db").originals, 3U);
  const std::string rows = reproducible_csv(directory / "m.db");
  EXPECT_THAT(rows, HasSubstr("2,invalid,\"'p.c' has a value outside choice [a, b, c]\""));
  EXPECT_EQ(run_text(registry, text, directory / "m.db").replayed, 3U);
  EXPECT_EQ(reproducible_csv(directory / "m.db"), rows);
}

TEST(Loop, FailuresAreStoredWithTheirReason) {
  const Registry registry = toy_registry();
  const TemporaryDirectory directory;
  run_text(registry, toy_specification(registry, "random", 200), directory / "f.db", {.workers = 2});
  const Store store(directory / "f.db", Store::Mode::read);
  std::set<std::string> reasons;
  for (const TrialRecord& trial : store.trials(store.at(""))) {
    if (trial.status == Status::failed && !trial.duplicate_of) {
      EXPECT_TRUE(trial.values.empty());
      reasons.insert(trial.reason);
    }
  }
  EXPECT_THAT(reasons, ::testing::Contains(HasSubstr("toy: the toy does not like this design")));
  EXPECT_THAT(reasons, ::testing::Contains(HasSubstr("'quality'")));  // the NaN
}

}  // namespace
}  // namespace duet
