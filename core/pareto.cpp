#include "core/pareto.hpp"

#include <algorithm>
#include <cassert>
#include <limits>
#include <numeric>

namespace duet {
namespace {

/// No worse than b in every objective.
bool covers(std::span<const double> a, std::span<const double> b) {
  for (std::size_t k = 0; k < a.size(); ++k) {
    if (a[k] > b[k]) return false;
  }
  return true;
}

/// Indices in lexicographic order of the points, equal points by index. A point can only be dominated by
/// points that stand before it.
std::vector<std::size_t> lexicographic_order(std::span<const Point> points) {
  std::vector<std::size_t> order(points.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
    assert(points[i].size() == points[j].size());
    if (points[i] != points[j]) return points[i] < points[j];
    return i < j;
  });
  return order;
}

}  // namespace

bool dominates(std::span<const double> a, std::span<const double> b) {
  assert(a.size() == b.size());
  bool better = false;
  for (std::size_t k = 0; k < a.size(); ++k) {
    if (a[k] > b[k]) return false;
    better = better || a[k] < b[k];
  }
  return better;
}

std::vector<std::size_t> pareto_front(std::span<const Point> points) {
  std::vector<std::size_t> front;
  if (points.empty()) return front;
  if (points.front().size() == 2) {
    double lowest = std::numeric_limits<double>::infinity();
    for (const std::size_t i : lexicographic_order(points)) {
      if (front.empty() || points[i][1] < lowest) {
        lowest = points[i][1];
        front.push_back(i);
      }
    }
  } else {
    for (const std::size_t i : lexicographic_order(points)) {
      const bool covered = std::any_of(front.begin(), front.end(),
                                       [&](std::size_t member) { return covers(points[member], points[i]); });
      if (!covered) front.push_back(i);
    }
  }
  std::sort(front.begin(), front.end());
  return front;
}

std::vector<std::size_t> non_dominated_ranks(std::span<const Point> points) {
  std::vector<std::size_t> ranks(points.size());
  if (points.empty()) return ranks;
  const std::vector<std::size_t> order = lexicographic_order(points);
  const bool planar = points.front().size() == 2;

  // Points enter in lexicographic order. If a member of front k dominates the point then so does some member
  // of every earlier front, therefore the point's front is found by bisection (ENS-BS of Zhang et al., IEEE
  // TEVC 19(2), 2015). In the plane the member that entered a front last has its least second objective and
  // decides alone.
  std::vector<double> lowest;                     // planar: the least second objective of each front
  std::vector<std::vector<std::size_t>> members;  // otherwise: the points of each front
  for (std::size_t position = 0; position < order.size(); ++position) {
    const std::size_t i = order[position];
    if (position > 0 && points[i] == points[order[position - 1]]) {
      ranks[i] = ranks[order[position - 1]];
      continue;
    }
    if (planar) {
      const double y = points[i][1];
      const auto front = std::upper_bound(lowest.begin(), lowest.end(), y);
      ranks[i] = static_cast<std::size_t>(front - lowest.begin());
      if (front == lowest.end()) {
        lowest.push_back(y);
      } else {
        *front = y;
      }
    } else {
      const auto front = std::partition_point(members.begin(), members.end(), [&](const auto& list) {
        return std::any_of(list.rbegin(), list.rend(),
                           [&](std::size_t member) { return dominates(points[member], points[i]); });
      });
      ranks[i] = static_cast<std::size_t>(front - members.begin());
      if (front == members.end()) {
        members.push_back({i});
      } else {
        front->push_back(i);
      }
    }
  }
  return ranks;
}

std::vector<double> crowding_distance(std::span<const Point> points) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> distance(points.size(), points.size() <= 2 ? infinity : 0.0);
  if (points.size() <= 2) return distance;
  std::vector<std::size_t> order(points.size());
  for (std::size_t k = 0; k < points.front().size(); ++k) {
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
      if (points[i][k] != points[j][k]) return points[i][k] < points[j][k];
      return i < j;
    });
    // Halves, so that no difference of finite values overflows.
    const auto half = [&](std::size_t position) { return 0.5 * points[order[position]][k]; };
    const double range = half(order.size() - 1) - half(0);
    if (!(range > 0)) continue;  // the objective does not tell these points apart
    distance[order.front()] = infinity;
    distance[order.back()] = infinity;
    for (std::size_t position = 1; position + 1 < order.size(); ++position) {
      distance[order[position]] += (half(position + 1) - half(position - 1)) / range;
    }
  }
  return distance;
}

}  // namespace duet
