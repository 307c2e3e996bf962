#include "estimators/cache.hpp"

#include <atomic>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <thread>

#include "core/errors.hpp"
#include "tests/estimators/toy.hpp"

namespace duet {
namespace {

using testing::design;
using testing::toy_space;

/// Counts its calls; what it answers is up to the test.
class Counting final : public Estimator {
 public:
  using Answer = std::function<Evaluation(const Design&, std::stop_token)>;
  Counting(std::atomic<int>& calls, Answer answer) : calls_(calls), answer_(std::move(answer)) {}

  std::span<const Metric> metrics() const override { return metrics_; }
  /// Only "a" counts, "n" does not.
  Fingerprint key(const Design& design) const override {
    return Hasher().add(std::string_view(design.space().option(design.candidate(), "p.a"))).finish();
  }
  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token stop) const override {
    std::vector<Evaluation> results;
    for (const Design& design : designs) {
      ++calls_;
      results.push_back(answer_(design, stop));
    }
    return results;
  }

 private:
  std::atomic<int>& calls_;
  Answer answer_;
  std::vector<Metric> metrics_{{"x", "1", Direction::minimize, Source::analytical, ""},
                               {"y", "1", Direction::minimize, Source::analytical, ""}};
};

class CacheTest : public ::testing::Test {
 protected:
  std::unique_ptr<CachedEstimator> make(Counting::Answer answer, Fingerprint identity = {1, 2}) {
    return std::make_unique<CachedEstimator>(std::make_unique<Counting>(calls_, std::move(answer)), identity,
                                             store_);
  }
  Evaluation ask(const CachedEstimator& cache, const std::string& values, std::stop_token stop = {}) {
    const Design one = design(space_, values);
    return cache.estimate({&one, 1}, stop).at(0);
  }

  static Evaluation ok(double x, double y) { return {Status::ok, "", {x, y}, false, 0}; }

  const DesignSpace space_ = toy_space();
  std::atomic<int> calls_{0};
  std::shared_ptr<MemoryStore> store_ = std::make_shared<MemoryStore>();
};

TEST_F(CacheTest, AsksOnceForEachKey) {
  const auto cache = make([](const Design&, std::stop_token) { return ok(1, 2); });
  EXPECT_FALSE(ask(*cache, "{p: {a: x, n: 1}}").cached);
  const Evaluation again = ask(*cache, "{p: {a: x, n: 4}}");
  EXPECT_TRUE(again.cached);
  EXPECT_EQ(again.values, (std::vector<double>{1, 2}));
  EXPECT_FALSE(ask(*cache, "{p: {a: y, n: 1}}").cached);
  EXPECT_EQ(calls_, 2);
  EXPECT_EQ(cache->misses(), 2U);
}

TEST_F(CacheTest, BatchesKeepTheirOrder) {
  const auto cache = make([](const Design& one, std::stop_token) {
    return ok(one.space().option(one.candidate(), "p.a") == "x" ? 1 : 2, 0);
  });
  const std::vector<Design> batch{design(space_, "{p: {a: y, n: 1}}"), design(space_, "{p: {a: x, n: 1}}"),
                                  design(space_, "{p: {a: y, n: 2}}")};
  const std::vector<Evaluation> results = cache->estimate(batch, {});
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(results[0].values[0], 2);
  EXPECT_EQ(results[1].values[0], 1);
  EXPECT_EQ(results[2].values[0], 2);
  EXPECT_EQ(calls_, 2);
}

TEST_F(CacheTest, OutlivesTheEstimatorToTheBit) {
  const double tiny = std::numeric_limits<double>::denorm_min();
  const auto answer = [=](const Design& one, std::stop_token) {
    return one.space().option(one.candidate(), "p.a") == "x" ? ok(0.1 + 0.2, -0.0)
                                                             : ok(tiny, 1.7976931348623157e308);
  };
  const auto first = make(answer);
  for (const std::string values : {"{p: {a: x, n: 1}}", "{p: {a: y, n: 1}}"}) {
    const Evaluation computed = ask(*first, values);
    const auto second = make(answer);
    const Evaluation stored = ask(*second, values);
    EXPECT_TRUE(stored.cached);
    EXPECT_EQ(second->misses(), 0U);
    ASSERT_EQ(stored.values.size(), 2U);
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(stored.values[i], computed.values[i]);
      EXPECT_EQ(std::signbit(stored.values[i]), std::signbit(computed.values[i]));
    }
  }
}

TEST_F(CacheTest, OtherIdentitiesDoNotShare) {
  const auto answer = [](const Design&, std::stop_token) { return ok(1, 2); };
  ask(*make(answer, {1, 2}), "{p: {a: x, n: 1}}");
  EXPECT_FALSE(ask(*make(answer, {1, 3}), "{p: {a: x, n: 1}}").cached);
}

/// Hands out what the test wants instead of what was put.
class SpoiledStore final : public KeyValueStore {
 public:
  explicit SpoiledStore(std::function<std::string(std::string)> spoil) : spoil_(std::move(spoil)) {}
  std::optional<std::string> get(const Fingerprint& key) override {
    const auto value = inner_.get(key);
    return value ? std::optional(spoil_(*value)) : std::nullopt;
  }
  void put(const Fingerprint& key, std::string value) override { inner_.put(key, std::move(value)); }

 private:
  std::function<std::string(std::string)> spoil_;
  MemoryStore inner_;
};

TEST_F(CacheTest, ADamagedValueIsAMiss) {
  const std::vector<std::function<std::string(std::string)>> damages{
      [](std::string) { return std::string(); },
      [](std::string) { return std::string("duet1"); },
      [](const std::string& text) { return text.substr(0, text.size() - 1); },
      [](const std::string& text) { return text.substr(1); },
      [](std::string text) {
        text[6] = text[6] == '1' ? '3' : '1';  // a digit of the first value
        return text;
      },
      [](std::string text) {
        text[0] = '\0';
        return text;
      },
      [](const std::string& text) { return text + text; },
  };
  for (std::size_t i = 0; i <= damages.size(); ++i) {
    const bool intact = i == damages.size();
    const auto spoil = intact ? [](std::string text) { return text; } : damages[i];
    const auto store = std::make_shared<SpoiledStore>(spoil);
    for (int round = 0; round < 2; ++round) {
      CachedEstimator cache(
          std::make_unique<Counting>(calls_, [](const Design&, std::stop_token) { return ok(1, 2); }), {},
          store);
      const Evaluation result = ask(cache, "{p: {a: x, n: 1}}");
      EXPECT_EQ(result.values, (std::vector<double>{1, 2}));
      EXPECT_EQ(result.cached, intact && round == 1) << "damage " << i;
    }
  }
}

TEST_F(CacheTest, AnotherNumberOfMetricsIsAMiss) {
  ask(*make([](const Design&, std::stop_token) { return ok(1, 2); }), "{p: {a: x, n: 1}}");
  class Single final : public Estimator {
   public:
    std::span<const Metric> metrics() const override { return metrics_; }
    Fingerprint key(const Design& design) const override {
      return Hasher().add(std::string_view(design.space().option(design.candidate(), "p.a"))).finish();
    }
    std::vector<Evaluation> estimate(std::span<const Design>, std::stop_token) const override {
      return {{Status::ok, "", {5}, false, 0}};
    }

   private:
    std::vector<Metric> metrics_{{"x", "1", Direction::minimize, Source::analytical, ""}};
  };
  const CachedEstimator cache(std::make_unique<Single>(), {1, 2}, store_);
  EXPECT_EQ(ask(cache, "{p: {a: x, n: 1}}").values, (std::vector<double>{5}));
}

TEST_F(CacheTest, ABrokenStoreCostsTimeOnly) {
  class BrokenStore final : public KeyValueStore {
   public:
    std::optional<std::string> get(const Fingerprint&) override { throw StoreError("cannot read"); }
    void put(const Fingerprint&, std::string) override { throw StoreError("cannot write"); }
  };
  const CachedEstimator cache(
      std::make_unique<Counting>(calls_, [](const Design&, std::stop_token) { return ok(1, 2); }), {},
      std::make_shared<BrokenStore>());
  for (int i = 0; i < 2; ++i) EXPECT_EQ(ask(cache, "{p: {a: x, n: 1}}").status, Status::ok);
  EXPECT_EQ(calls_, 2);
}

TEST_F(CacheTest, FailuresAreKeptInMemoryOnly) {
  const auto answer = [](const Design&, std::stop_token) { return Evaluation::failure("no"); };
  const auto cache = make(answer);
  EXPECT_FALSE(ask(*cache, "{p: {a: x, n: 1}}").cached);
  const Evaluation again = ask(*cache, "{p: {a: x, n: 2}}");
  EXPECT_TRUE(again.cached);
  EXPECT_EQ(again.status, Status::failed);
  EXPECT_EQ(again.reason, "no");
  EXPECT_EQ(calls_, 1);
  EXPECT_FALSE(ask(*make(answer), "{p: {a: x, n: 1}}").cached);
  EXPECT_EQ(calls_, 2);
}

TEST_F(CacheTest, TimeOutsAreNotKept) {
  const auto cache =
      make([](const Design&, std::stop_token) { return Evaluation::failure("slow", Status::timed_out); });
  for (int i = 0; i < 2; ++i) {
    const Evaluation result = ask(*cache, "{p: {a: x, n: 1}}");
    EXPECT_EQ(result.status, Status::timed_out);
    EXPECT_FALSE(result.cached);
  }
  EXPECT_EQ(calls_, 2);
}

TEST_F(CacheTest, AnExceptionIsAFailureAndHoldsNobodyUp) {
  const auto cache =
      make([](const Design&, std::stop_token) -> Evaluation { throw std::runtime_error("boom"); });
  EXPECT_EQ(ask(*cache, "{p: {a: x, n: 1}}").reason, "boom");
  EXPECT_EQ(ask(*cache, "{p: {a: x, n: 1}}").reason, "boom");
  EXPECT_EQ(calls_, 1);
}

TEST_F(CacheTest, ADesignWithoutAKeyFails) {
  const auto cache = make([](const Design&, std::stop_token) { return ok(1, 2); });
  const Design senseless = space_.design(Candidate());
  class Unkeyed final : public Estimator {
   public:
    std::span<const Metric> metrics() const override { return {}; }
    Fingerprint key(const Design&) const override { throw NetworkError("node 'a': no"); }
    std::vector<Evaluation> estimate(std::span<const Design>, std::stop_token) const override { return {}; }
  };
  const CachedEstimator unkeyed(std::make_unique<Unkeyed>(), {}, store_);
  EXPECT_EQ(unkeyed.estimate({&senseless, 1}, {}).at(0).reason, "node 'a': no");
}

TEST_F(CacheTest, EightThreadsOneEvaluation) {
  for (int round = 0; round < 50; ++round) {
    calls_ = 0;
    store_ = std::make_shared<MemoryStore>();
    const auto cache = make([](const Design&, std::stop_token) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      return ok(1, 2);
    });
    std::atomic<int> right{0}, computed{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        const Evaluation result = ask(*cache, "{p: {a: x, n: 1}}");
        right += result.values == std::vector<double>{1, 2};
        computed += !result.cached;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(calls_, 1);
    EXPECT_EQ(computed, 1);
    EXPECT_EQ(right, 8);
  }
}

TEST_F(CacheTest, AStoppedEvaluationIsNotKept) {
  std::stop_source stop;
  const auto cache = make([&](const Design&, std::stop_token) {
    stop.request_stop();
    return Evaluation::failure("stopped half-way");
  });
  ask(*cache, "{p: {a: x, n: 1}}", stop.get_token());
  EXPECT_FALSE(ask(*cache, "{p: {a: x, n: 1}}").cached);
  EXPECT_EQ(calls_, 2);
}

TEST_F(CacheTest, AWaiterTakesOverFromAStoppedThread) {
  std::stop_source stop;
  std::atomic<bool> begun{false};
  const auto cache = make([&](const Design&, std::stop_token token) {
    if (!begun.exchange(true)) {
      while (!token.stop_requested()) std::this_thread::yield();
      return Evaluation::failure("stopped half-way");
    }
    return ok(1, 2);
  });
  std::thread leader([&] { ask(*cache, "{p: {a: x, n: 1}}", stop.get_token()); });
  while (!begun) std::this_thread::yield();
  Evaluation result;
  std::thread waiter([&] { result = ask(*cache, "{p: {a: x, n: 1}}"); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  stop.request_stop();
  leader.join();
  waiter.join();
  EXPECT_EQ(result.values, (std::vector<double>{1, 2}));
  EXPECT_EQ(calls_, 2);
}

TEST_F(CacheTest, AWaiterCanBeStopped) {
  std::atomic<bool> begun{false}, go_on{false};
  const auto cache = make([&](const Design&, std::stop_token) {
    begun = true;
    while (!go_on) std::this_thread::yield();
    return ok(1, 2);
  });
  std::thread leader([&] { ask(*cache, "{p: {a: x, n: 1}}"); });
  while (!begun) std::this_thread::yield();
  std::stop_source stop;
  Evaluation result;
  std::thread waiter([&] { result = ask(*cache, "{p: {a: x, n: 1}}", stop.get_token()); });
  stop.request_stop();
  waiter.join();  // the leader is still busy
  EXPECT_EQ(result.reason, "stopped");
  go_on = true;
  leader.join();
  EXPECT_EQ(calls_, 1);
}

}  // namespace
}  // namespace duet
