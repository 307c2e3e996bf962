#pragma once
/// An estimator that owns an estimator and never asks it the same question twice.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "estimators/estimator.hpp"

namespace duet {

/// Keeps successful results in a KeyValueStore under (identity, key(design)); failures are kept in memory only, as a
/// later session may have repaired their cause; time-outs are not kept. A design whose key is being evaluated by
/// another thread waits for that result.
class CachedEstimator final : public Estimator {
 public:
  /// `identity`: of the inner estimator: name, version, options, seed.
  CachedEstimator(std::unique_ptr<Estimator> inner, Fingerprint identity, std::shared_ptr<KeyValueStore> store);
  ~CachedEstimator() override;

  std::span<const Metric> metrics() const override { return inner_->metrics(); }
  Fingerprint key(const Design& design) const override { return inner_->key(design); }
  Fingerprint inputs() const override { return inner_->inputs(); }
  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token stop) const override;
  bool learns() const override { return inner_->learns(); }
  void observe(const Design& design, const Evaluation& evaluation) override { inner_->observe(design, evaluation); }

  /// How many evaluations the inner estimator has done. Thread-safe.
  std::size_t misses() const;

 private:
  Evaluation estimate_one(const Design& design, std::stop_token stop) const;

  std::unique_ptr<Estimator> inner_;
  Fingerprint identity_;
  std::shared_ptr<KeyValueStore> store_;
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

}  // namespace duet
