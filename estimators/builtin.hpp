#pragma once
/// The estimators that come with duet, each defined in the file of its name.

#include "estimators/estimator.hpp"

namespace duet {

EstimatorPlugin analytical_estimator();
EstimatorPlugin command_estimator();
EstimatorPlugin network_counts_estimator();
EstimatorPlugin table_estimator();
EstimatorPlugin test_problem_estimator();
EstimatorPlugin trained_estimator();

}  // namespace duet
