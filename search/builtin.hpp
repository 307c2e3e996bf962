#pragma once
/// The strategies that come with duet, each defined in the file of its name.

#include "search/strategy.hpp"

namespace duet {

StrategyPlugin ant_colony_strategy();
StrategyPlugin boshnas_strategy();
StrategyPlugin cma_es_strategy();
StrategyPlugin differential_evolution_strategy();
StrategyPlugin exhaustive_strategy();
StrategyPlugin gp_ehvi_strategy();
StrategyPlugin gp_ei_strategy();
StrategyPlugin latin_hypercube_strategy();
StrategyPlugin linas_strategy();
StrategyPlugin local_search_strategy();
StrategyPlugin mcts_strategy();
StrategyPlugin moead_strategy();
StrategyPlugin nsga2_strategy();
StrategyPlugin nsga3_strategy();
StrategyPlugin parego_strategy();
StrategyPlugin random_strategy();
StrategyPlugin regularized_evolution_strategy();
StrategyPlugin simulated_annealing_strategy();
StrategyPlugin smac_strategy();
StrategyPlugin sms_emoa_strategy();
StrategyPlugin sobol_strategy();
StrategyPlugin tpe_strategy();

}  // namespace duet
