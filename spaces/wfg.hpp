#pragma once
/// The WFG toolkit: Huband, Hingston, Barone and While, "A review of multiobjective test problems and a scalable test
/// problem toolkit", IEEE TEVC 10(5), 2006.

#include <cstddef>
#include <span>
#include <vector>

#include "core/pareto.hpp"

namespace duet {

/// Objectives of WFG`number` (1 … 9). z[i] in [0, 2 (i + 1)]; the first `k` are position parameters, a multiple of
/// objectives - 1; the rest are distance parameters, of an even number for WFG2 and WFG3.
std::vector<double> wfg(int number, std::span<const double> z, std::size_t k, std::size_t objectives);

/// The point of the front's shape at x (objectives - 1 numbers in [0, 1]); not all of WFG2's are on the true front.
Point wfg_shape(int number, std::span<const double> x, std::size_t objectives);

}  // namespace duet
