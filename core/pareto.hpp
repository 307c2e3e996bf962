#pragma once
/// Pareto dominance, fronts, sorting and exact hypervolume. All objectives are minimised.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace duet {

using Point = std::vector<double>;

/// a is no worse than b everywhere and better somewhere. Requires equal sizes.
bool dominates(std::span<const double> a, std::span<const double> b);

/// Indices of the points that no other point dominates, ascending; of equal points the first only.
/// O(n log n) for one and two objectives, O(n · front) beyond.
std::vector<std::size_t> pareto_front(std::span<const Point> points);

/// Rank of every point: 0 for the front, 1 for the front of the rest, …; equal points share a rank.
/// Efficient non-dominated sort with binary search (Zhang et al., IEEE TEVC 19(2), 2015): O(n log n) for two
/// objectives, O(m n²) at worst beyond.
std::vector<std::size_t> non_dominated_ranks(std::span<const Point> points);

/// Crowding distance of each point within the given set (Deb et al. 2002, §III-B): infinity at the extremes.
std::vector<double> crowding_distance(std::span<const Point> points);

/// Volume dominated by the points and bounded by `reference`; points not better than it in every objective count
/// nothing. Exact: sweeps for two (O(n log n)) and three objectives (O(n log n), Beume et al. 2009); beyond three,
/// slicing by the last objective. Requires at least one objective.
double hypervolume(std::span<const Point> points, std::span<const double> reference);

}  // namespace duet
