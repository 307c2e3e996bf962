#include "search/builtin.hpp"

#include "search/restarts.hpp"

namespace duet {

void add_builtin_strategies(Catalog<StrategyPlugin>& catalog) {
  catalog.add(with_restarts(ant_colony_strategy()));
  catalog.add(boshnas_strategy());
  catalog.add(cma_es_strategy());
  catalog.add(with_restarts(differential_evolution_strategy()));
  catalog.add(exhaustive_strategy());
  catalog.add(gp_ehvi_strategy());
  catalog.add(gp_ei_strategy());
  catalog.add(latin_hypercube_strategy());
  catalog.add(linas_strategy());
  catalog.add(local_search_strategy());
  catalog.add(mcts_strategy());
  catalog.add(with_restarts(moead_strategy()));
  catalog.add(with_restarts(nsga2_strategy()));
  catalog.add(with_restarts(nsga3_strategy()));
  catalog.add(parego_strategy());
  catalog.add(random_strategy());
  catalog.add(with_restarts(regularized_evolution_strategy()));
  catalog.add(simulated_annealing_strategy());
  catalog.add(smac_strategy());
  catalog.add(with_restarts(sms_emoa_strategy()));
  catalog.add(sobol_strategy());
  catalog.add(tpe_strategy());
}

}  // namespace duet
