#pragma once
/// Restarts for strategies that have none of their own.

#include "search/strategy.hpp"

namespace duet {

/// The strategy with one more option, `restart_after`: after so many trials without an improvement it begins anew, with
/// other random numbers and an empty population. An improvement is a better result than all of this run, or with several
/// objectives one that none of this run dominates or equals. What an earlier run has had scored is not proposed again
/// but told to the new run at once, as a trial of its own, so that going over the same ground costs nothing.
StrategyPlugin with_restarts(StrategyPlugin plugin);

}  // namespace duet
