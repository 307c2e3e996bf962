#include "tests/contracts/estimator_contract.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <set>
#include <thread>

#include "core/units.hpp"

namespace duet::contracts {
namespace {

using Results = std::vector<Evaluation>;

/// Collects breaches of one estimator.
class Examination {
 public:
  Examination(const EstimatorPlugin& plugin, const Options& options, const Environment& environment,
              EstimatorCheckSettings settings)
      : plugin_(plugin.name),
        watchdog_(settings.longest_call_s),
        space_(*environment.space),
        settings_(settings),
        estimator_(plugin.create(options, environment)),
        twin_(plugin.create(options, environment)),
        metrics_(estimator_->metrics().begin(), estimator_->metrics().end()) {
    Random random(environment.seed, "estimator contract");
    for (std::size_t i = 0; i < settings.designs; ++i) candidates_.push_back(space_.space().sample(random));
    candidates_.push_back(candidates_.front());  // a design that occurs twice
  }

  std::vector<std::string> run() {
    check_metrics();
    if (!breaches_.empty()) return breaches_;
    const std::optional<Results> first = estimate(*estimator_, candidates_, "in a batch");
    if (!first) return breaches_;
    for (const Evaluation& result : *first) check_result(result);
    if (!breaches_.empty()) return breaches_;
    const bool any = std::any_of(first->begin(), first->end(), [](const auto& r) { return r.status == Status::ok; });
    if (!any) {
      breach(fmt::format("no design could be scored, which checks nothing ({}); is this the space for it?",
                         first->front().reason));
    }

    expect_same(*first, estimate(*estimator_, candidates_, "a second time"), "a second time");
    expect_same(*first, estimate(*twin_, candidates_, "by a twin"),
                "by a second estimator with the same options");
    check_single(*first);
    check_threads(*first);
    check_keys(*first);
    check_odd_cases();
    for (std::string& change : before_.restore()) breach(std::move(change));
    return breaches_;
  }

 private:
  void breach(std::string sentence) {
    if (std::find(breaches_.begin(), breaches_.end(), sentence) == breaches_.end()) {
      breaches_.push_back(std::move(sentence));
    }
  }

  std::vector<Design> designs(std::span<const Candidate> candidates) const {
    std::vector<Design> designs;
    for (const Candidate& candidate : candidates) designs.push_back(space_.design(candidate));
    return designs;
  }

  /// Nothing if the answer is no answer.
  std::optional<Results> estimate(const Estimator& estimator, std::span<const Candidate> candidates,
                                  std::string_view when, std::stop_token stop = {}) {
    try {
      watchdog_.begins(fmt::format("estimator {}: estimate() {}", plugin_, when));
      Results results = estimator.estimate(designs(candidates), std::move(stop));
      watchdog_.ends();
      if (results.size() == candidates.size()) return results;
      breach(fmt::format("estimate() {} gives {} results for {} designs", when, results.size(),
                         candidates.size()));
    } catch (const std::exception& error) {
      breach(fmt::format("estimate() {} throws: {}", when, error.what()));
    } catch (...) {
      breach(fmt::format("estimate() {} throws", when));
    }
    watchdog_.ends();
    return std::nullopt;
  }

  void check_metrics() {
    if (metrics_.empty()) breach("metrics() is empty");
    std::set<std::string> names;
    for (const Metric& metric : metrics_) {
      if (metric.name.empty()) breach("a metric has no name");
      if (!names.insert(metric.name).second) breach(fmt::format("two metrics are named '{}'", metric.name));
      if (!is_known_unit(metric.unit)) {
        breach(fmt::format("metric '{}' has the unknown unit '{}'", metric.name, metric.unit));
      }
    }
  }

  void check_result(const Evaluation& result) {
    if (result.status != Status::ok) {
      if (result.reason.empty()) breach("a failure has no reason");
      return;
    }
    if (result.values.size() != metrics_.size()) {
      breach(fmt::format("{} values for {} metrics", result.values.size(), metrics_.size()));
      return;
    }
    for (std::size_t i = 0; i < metrics_.size(); ++i) {
      if (!std::isfinite(result.values[i]))
        breach(fmt::format("metric '{}' is not finite", metrics_[i].name));
    }
  }

  bool same(const Evaluation& a, const Evaluation& b) const {
    if (a.status != b.status || a.values.size() != b.values.size()) return false;
    for (std::size_t i = 0; i < a.values.size(); ++i) {
      if (metrics_[i].source != Source::measured && a.values[i] != b.values[i]) return false;
    }
    return true;
  }

  void expect_same(const Results& first, const std::optional<Results>& again, std::string_view when) {
    if (!again) return;
    for (std::size_t i = 0; i < first.size(); ++i) {
      if (!same(first[i], (*again)[i])) breach(fmt::format("another result for the same design {}", when));
    }
  }

  void check_single(const Results& first) {
    Results single;
    for (const Candidate& candidate : candidates_) {
      std::optional<Results> one = estimate(*estimator_, {&candidate, 1}, "of one design");
      if (!one) return;
      single.push_back(std::move(one->front()));
    }
    expect_same(first, single, "alone");
  }

  void check_threads(const Results& first) {
    std::vector<std::vector<std::string>> found(settings_.threads);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < settings_.threads; ++t) {
      threads.emplace_back([&, t] {
        try {
          const Results results = estimator_->estimate(designs(candidates_), {});
          for (std::size_t i = 0; i < first.size(); ++i) {
            if (i >= results.size() || !same(first[i], results[i])) {
              found[t].push_back("another result for the same design beside other threads");
            }
          }
        } catch (...) {
          found[t].push_back("estimate() throws beside other threads");
        }
      });
    }
    watchdog_.begins(fmt::format("estimator {}: estimate() in several threads", plugin_));
    for (std::thread& thread : threads) thread.join();
    watchdog_.ends();
    for (const auto& sentences : found) {
      for (const std::string& sentence : sentences) breach(sentence);
    }
  }

  void check_keys(const Results& results) {
    std::vector<Fingerprint> keys;
    try {
      for (const Design& design : designs(candidates_)) keys.push_back(estimator_->key(design));
      for (std::size_t i = 0; i < candidates_.size(); ++i) {
        if (twin_->key(space_.design(candidates_[i])) != keys[i]) breach("another key for the same design");
      }
    } catch (const std::exception& error) {
      breach(fmt::format("key() throws: {}", error.what()));
      return;
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (keys[i] == keys[j] && !same(results[i], results[j])) breach("equal keys but other results");
      }
    }
  }

  void check_odd_cases() {
    estimate(*estimator_, {}, "of no design");
    const Candidate empty(space_.space().size());
    if (const auto results = estimate(*estimator_, {&empty, 1}, "of a design without any value")) {
      check_result(results->front());
    }
    std::stop_source stopped;
    stopped.request_stop();
    estimate(*estimator_, {&candidates_.front(), 1}, "after a stop request", stopped.get_token());
  }

  const ProcessState before_;
  std::string plugin_;
  Watchdog watchdog_;
  const DesignSpace& space_;
  EstimatorCheckSettings settings_;
  std::unique_ptr<Estimator> estimator_, twin_;
  std::vector<Metric> metrics_;
  std::vector<Candidate> candidates_;
  std::vector<std::string> breaches_;
};

}  // namespace

std::vector<std::string> estimator_breaches(const EstimatorPlugin& plugin, const Options& options,
                                            const Environment& environment, EstimatorCheckSettings settings) {
  return Examination(plugin, options, environment, settings).run();
}

void expect_estimator_contract(const EstimatorPlugin& plugin, const Options& options,
                               const Environment& environment, EstimatorCheckSettings settings) {
  for (const std::string& sentence : estimator_breaches(plugin, options, environment, settings)) {
    ADD_FAILURE() << "estimator " << plugin.name << ": " << sentence;
  }
}

}  // namespace duet::contracts
