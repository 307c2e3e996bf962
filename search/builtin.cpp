#include "search/builtin.hpp"

namespace duet {

void add_builtin_strategies(Catalog<StrategyPlugin>& catalog) {
  catalog.add(boshnas_strategy());
  catalog.add(gp_ehvi_strategy());
  catalog.add(gp_ei_strategy());
  catalog.add(linas_strategy());
  catalog.add(nsga2_strategy());
  catalog.add(parego_strategy());
  catalog.add(random_strategy());
  catalog.add(regularized_evolution_strategy());
  catalog.add(smac_strategy());
  catalog.add(tpe_strategy());
}

}  // namespace duet
