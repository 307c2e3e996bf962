#include "estimators/isolation.hpp"

#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "core/errors.hpp"
#include "tests/estimators/toy.hpp"

namespace duet::testing {
namespace {

using ::testing::StartsWith;

const std::string toy_yaml = "p: {type: parameters, parameters: {a: {choice: [x, y]}, n: {integer: [1, 4]}}}";
const std::string joint_yaml =
    "network: {type: nas_bench_201, input: [1, 16, 16], channels: 4, cells: 1}\n"
    "accelerator: {type: systolic_array, rows: [4, 8], columns: [4, 8]}\n";

std::unique_ptr<IsolatedEstimator> isolated(std::vector<std::string> task, IsolationLimits limits = {}) {
  Process worker;
  worker.program = DUET_ISOLATION_WORKER;
  worker.arguments = {"worker"};
  worker.environment = environment_with({});
  return std::make_unique<IsolatedEstimator>(worker, std::move(task), limits);
}

class Isolation : public ::testing::Test {
 protected:
  Design n(int value) const { return design(space, "{p.a: x, p.n: " + std::to_string(value) + "}"); }
  Evaluation score(const Estimator& estimator, int value) const { return estimate_checked(estimator, n(value)); }
  const DesignSpace space = toy_space();
};

TEST_F(Isolation, GivesWhatTheEstimatorGivesToTheBit) {
  const DesignSpace joint = joint_space();
  for (const std::string name : {"analytical", "network_counts"}) {
    const auto here = make_estimator(name, "{}", joint);
    const auto there = isolated({name, joint_yaml, "{}", "."});
    ASSERT_EQ(there->metrics().size(), here->metrics().size());
    for (std::size_t i = 0; i < here->metrics().size(); ++i) {
      EXPECT_EQ(there->metrics()[i].name, here->metrics()[i].name);
      EXPECT_EQ(there->metrics()[i].unit, here->metrics()[i].unit);
      EXPECT_EQ(there->metrics()[i].direction, here->metrics()[i].direction);
      EXPECT_EQ(there->metrics()[i].source, here->metrics()[i].source);
      EXPECT_EQ(there->metrics()[i].description, here->metrics()[i].description);
    }
    EXPECT_EQ(there->inputs(), here->inputs());
    EXPECT_EQ(there->expensive(), here->expensive());
    for (std::uint64_t number = 0; number < 20; ++number) {
      const Design one = sampled_design(joint, number);
      EXPECT_EQ(there->key(one), here->key(one));
      EXPECT_EQ(estimate_checked(*there, one).values, estimate_checked(*here, one).values);
    }
    EXPECT_EQ(there->started(), 1U);
  }
}

TEST_F(Isolation, KnowsWhatTheEstimatorReads) {
  const TemporaryDirectory folder;
  const std::string options =
      "{file: t.csv, key: '{p.a}{p.n}', key_column: k, metrics: {v: {unit: ms, direction: minimize}}}";
  write_file(folder / "t.csv", "k,v\nx1,1\nx2,2.5\n");
  const auto there = isolated({"table", toy_yaml, options, folder.path()});
  const auto here = make_estimator("table", options, space, folder.path());
  EXPECT_EQ(there->inputs(), here->inputs());
  EXPECT_EQ(score(*there, 2).values, score(*here, 2).values);
  EXPECT_EQ(score(*there, 3).reason, score(*here, 3).reason);

  // A second worker that reads another table than the first is no worker.
  write_file(folder / "t.csv", "k,v\nx1,1\nx2,7\n");
  std::vector<std::string> reasons;
  std::mutex mutex;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 50; ++j) {
        const Evaluation one = score(*there, 2);
        if (one.status == Status::ok) {
          EXPECT_EQ(one.values.at(0), 0.0025);
        } else {
          const std::lock_guard lock(mutex);
          reasons.push_back(one.reason);
        }
      }
    });
  }
  threads.clear();
  for (const std::string& reason : reasons) {
    EXPECT_EQ(reason, "what the estimator reads has changed since this run began");
  }
}

TEST_F(Isolation, ACrashCostsOneDesign) {
  const auto estimator = isolated({"fragile", toy_yaml});
  const Evaluation crashed = score(*estimator, 4);
  EXPECT_EQ(crashed.status, Status::failed);
  EXPECT_EQ(crashed.reason, "killed by signal 6 (aborted) while scoring");
  EXPECT_EQ(score(*estimator, 3).values.at(0), 3);
  EXPECT_EQ(estimator->started(), 2U);
  EXPECT_EQ(score(*estimator, 4).reason, crashed.reason) << "in a worker that has scored before";
}

TEST_F(Isolation, DamageDoneByOneDesignDoesNotReachAnother) {
  const auto estimator = isolated({"fragile", toy_yaml});
  const Evaluation first = score(*estimator, 2);
  const Evaluation second = score(*estimator, 3);
  EXPECT_EQ(second.status, Status::ok) << second.reason;
  EXPECT_NE(first.values.at(1), second.values.at(1));
  EXPECT_EQ(estimator->started(), 2U);
}

TEST_F(Isolation, AnIdleWorkerThatIsKilledIsReplaced) {
  const auto estimator = isolated({"fragile", toy_yaml});
  const auto process = static_cast<pid_t>(score(*estimator, 1).values.at(1));
  ASSERT_EQ(kill(process, SIGKILL), 0);
  EXPECT_EQ(score(*estimator, 1).values.at(0), 1);
}

TEST_F(Isolation, KeysThatCannotBeComputedAreExceptions) {
  const auto estimator = isolated({"fragile", toy_yaml});
  try {
    estimator->key(n(1));
    FAIL() << "it has a key";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "n = 1 has no key");
  }
  EXPECT_EQ(estimator->key(n(2)), space.space().fingerprint(n(2).candidate()));
}

TEST_F(Isolation, AWorkerThatReplacesAnotherHasBeenToldTheSame) {
  const auto estimator = isolated({"learning", toy_yaml});
  ASSERT_TRUE(estimator->learns());
  EXPECT_EQ(score(*estimator, 1).values.at(0), 1);
  estimator->observe(n(1), {Status::ok, "", {1, 0}, false, 0});
  EXPECT_EQ(score(*estimator, 1).values.at(0), 3);
  estimator->observe(n(3), Evaluation::failure("no"));
  EXPECT_EQ(score(*estimator, 1).values.at(0), 24.5);
  EXPECT_EQ(score(*estimator, 4).status, Status::failed);
  EXPECT_EQ(score(*estimator, 1).values.at(0), 24.5);
  EXPECT_GE(estimator->started(), 2U);
}

TEST_F(Isolation, ThereAreAsManyWorkersAsCallsAtATime) {
  const auto estimator = isolated({"fragile", toy_yaml});
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 200; ++j) EXPECT_EQ(score(*estimator, 1).values.at(0), 1);
    });
  }
  threads.clear();
  EXPECT_LE(estimator->started(), 3U);
}

TEST_F(Isolation, AStopRequestEndsTheWait) {
  // The program sleeps for as long as it likes.
  const auto estimator =
      isolated({"command", toy_yaml, "{command: [sleep, '600'], metrics: {v: {unit: '1', direction: minimize}}}", "."});
  std::stop_source stop;
  const auto start = std::chrono::steady_clock::now();
  std::jthread stopping([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop.request_stop();
  });
  EXPECT_EQ(estimate_checked(*estimator, n(1), stop.get_token()).status, Status::failed);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

TEST_F(Isolation, NoAnswerInTimeIsATimeOut) {
  const auto estimator =
      isolated({"command", toy_yaml, "{command: [sleep, '600'], metrics: {v: {unit: '1', direction: minimize}}}", "."},
               {.time_s = 0.2, .memory_bytes = {}});
  const Evaluation late = score(*estimator, 1);
  EXPECT_EQ(late.status, Status::timed_out);
  EXPECT_EQ(late.reason, "no answer within 200 ms while scoring");
  EXPECT_EQ(estimator->started(), 1U);
}

std::string refusal_of(const std::vector<std::string>& task) {
  try {
    isolated(task);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST_F(Isolation, WhoCannotStartSaysWhy) {
  EXPECT_EQ(refusal_of({"refuse", toy_yaml}), "exp.yaml:1:2: it does not suit");
  EXPECT_EQ(refusal_of({"crash", toy_yaml}),
            "the worker process cannot be started: killed by signal 6 (aborted) while starting");
  EXPECT_THAT(refusal_of({"no_such_estimator", toy_yaml, "{}", "."}), StartsWith("unknown estimator"));
  Process worker;
  worker.program = "/no/such/program";
  worker.arguments = {"worker"};
  EXPECT_THROW(
      {
        try {
          IsolatedEstimator(worker, {}, {});
        } catch (const ConfigError& error) {
          EXPECT_STREQ(error.what(), "the worker process cannot be started: No such file or directory");
          throw;
        }
      },
      ConfigError);
}

}  // namespace
}  // namespace duet::testing
