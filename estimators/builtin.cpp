#include "estimators/builtin.hpp"

namespace duet {

void add_builtin_estimators(Catalog<EstimatorPlugin>& catalog) {
  catalog.add(analytical_estimator());
  catalog.add(command_estimator());
  catalog.add(network_counts_estimator());
  catalog.add(table_estimator());
  catalog.add(test_problem_estimator());
  catalog.add(trained_estimator());
}

}  // namespace duet
