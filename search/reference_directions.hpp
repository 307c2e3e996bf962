#pragma once
/// Evenly spread weights, for strategies that divide the front among them.

#include <cstddef>
#include <vector>

#include "core/pareto.hpp"

namespace duet {

/// All points of the unit simplex whose coordinates are multiples of 1 / divisions: Das and Dennis, SIAM J. Optimization
/// 8(3), 1998. Their number is C(objectives + divisions - 1, divisions).
std::vector<Point> das_dennis(std::size_t objectives, std::size_t divisions);

/// As many even directions as there are without exceeding `count` (but at least one per objective): one layer with as
/// many divisions as possible, or, where that has no inner point, a second layer shrunk by half towards the centre (Deb
/// and Jain, IEEE TEVC 18(4), 2014, §V).
std::vector<Point> reference_directions(std::size_t objectives, std::size_t count);

}  // namespace duet
