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
/// nothing, and a box without an end has infinite volume. Exact but for rounding, and independent of the order of the
/// points, to the bit. Sweeps for two and three objectives (O(n log n), Beume et al., IEEE TEVC 13(5), 2009) and four
/// (O(n² log n), after Guerreiro et al., CCCG 2012), beyond them slices with exclusive volumes (WFG: While et al.,
/// IEEE TEVC 16(1), 2012). Requires at least one objective.
double hypervolume(std::span<const Point> points, std::span<const double> reference);

/// What each point adds: the volume that it alone of all the points dominates, bounded by `reference`. 0 for points
/// that another one equals or dominates, and for points not better than the reference everywhere; infinity where
/// nothing ends it. O(n log n) for two objectives; beyond, one hypervolume of the others per point, within the
/// part of space that the point alone can dominate.
std::vector<double> hypervolume_contributions(std::span<const Point> points, std::span<const double> reference);

}  // namespace duet
