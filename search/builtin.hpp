#pragma once
/// The strategies that come with duet, each defined in the file of its name.

#include "search/strategy.hpp"

namespace duet {

StrategyPlugin boshnas_strategy();
StrategyPlugin gp_ehvi_strategy();
StrategyPlugin gp_ei_strategy();
StrategyPlugin linas_strategy();
StrategyPlugin parego_strategy();
StrategyPlugin random_strategy();
StrategyPlugin regularized_evolution_strategy();
StrategyPlugin nsga2_strategy();
StrategyPlugin smac_strategy();
StrategyPlugin tpe_strategy();

}  // namespace duet
