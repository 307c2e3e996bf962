#pragma once
/// The contract of estimators (estimators/estimator.hpp) as executable checks, for the estimators that come
/// with duet and for plug-ins from outside:
///
///   TEST(MyEstimator, KeepsTheContract) { duet::contracts::expect_estimator_contract(my_plugin(), options,
///   environment); }

#include <cstddef>
#include <string>
#include <vector>

#include "estimators/estimator.hpp"
#include "tests/contracts/watch.hpp"

namespace duet::contracts {

/// How much is tried. Every design is estimated six times and more.
struct EstimatorCheckSettings {
  std::size_t designs = 8;  ///< sampled from the space
  std::size_t threads = 4;
  double longest_call_s = 600;  ///< a call that takes longer ends the process, with a sentence
};

/// The breaches found, one sentence each; empty: none. Metrics: at least one, unique names, known units,
/// fixed. Results: one per design, as many finite values as metrics or a reason; the same for the same design
/// whenever it is asked, alone or in a batch, from another thread and from another estimator with the same
/// options, unless measured; the same for designs with equal keys. A design that makes no sense and a stop
/// request are no exceptions. At least one design can be scored. The process is left as it was. `environment.space` must be set.
std::vector<std::string> estimator_breaches(const EstimatorPlugin& plugin, const Options& options,
                                            const Environment& environment,
                                            EstimatorCheckSettings settings = {});

/// Reports every breach as a GoogleTest failure.
void expect_estimator_contract(const EstimatorPlugin& plugin, const Options& options,
                               const Environment& environment, EstimatorCheckSettings settings = {});

}  // namespace duet::contracts
