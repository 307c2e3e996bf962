#include "search/builtin.hpp"

namespace duet {

void add_builtin_strategies(Catalog<StrategyPlugin>& catalog) {
  catalog.add(nsga2_strategy());
  catalog.add(random_strategy());
  catalog.add(regularized_evolution_strategy());
}

}  // namespace duet
