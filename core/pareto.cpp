#include "core/pareto.hpp"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <limits>
#include <map>
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

/// Lexicographic from the last objective to the first: the order of the sweeps below. It makes sums
/// independent of the order in which the points were given.
bool before(const Point& a, const Point& b) {
  return std::lexicographical_compare(a.rbegin(), a.rend(), b.rbegin(), b.rend());
}

/// The lower-left staircase of points in the plane and the area between it and the reference point.
class Staircase {
 public:
  Staircase(double x_reference, double y_reference) : x_reference_(x_reference), y_reference_(y_reference) {}

  void insert(double x, double y) {
    auto next = steps_.upper_bound(x);  // the first step to the right of x
    double y_left = y_reference_;
    if (next != steps_.begin()) {
      const auto previous = std::prev(next);
      if (previous->second <= y) return;
      if (previous->first < x) {
        y_left = previous->second;
      } else {  // at x itself: the new point covers it
        y_left = previous == steps_.begin() ? y_reference_ : std::prev(previous)->second;
        next = previous;
      }
    }
    // Column by column, what the new point adds below the steps it covers.
    double x_left = x;
    double height = y_left;
    while (next != steps_.end() && next->second >= y) {
      area_ += (next->first - x_left) * (height - y);
      x_left = next->first;
      height = next->second;
      next = steps_.erase(next);
    }
    const double x_right = next == steps_.end() ? x_reference_ : next->first;
    area_ += (x_right - x_left) * (height - y);
    steps_.emplace_hint(next, x, y);
  }

  double area() const { return area_; }

 private:
  double x_reference_;
  double y_reference_;
  std::map<double, double> steps_;  // x ascending, y strictly descending
  double area_ = 0;
};

double hypervolume_2d(const std::vector<Point>& points, std::span<const double> reference) {
  double area = 0;
  double x = reference[0];
  for (std::size_t i = 0; i < points.size(); ++i) {  // y ascending
    x = std::min(x, points[i][0]);
    const double y_next = i + 1 < points.size() ? points[i + 1][1] : reference[1];
    area += (reference[0] - x) * (y_next - points[i][1]);
  }
  return area;
}

double hypervolume_3d(const std::vector<Point>& points, std::span<const double> reference) {
  Staircase staircase(reference[0], reference[1]);
  double volume = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {  // z ascending
    staircase.insert(points[i][0], points[i][1]);
    const double z_next = i + 1 < points.size() ? points[i + 1][2] : reference[2];
    volume += staircase.area() * (z_next - points[i][2]);
  }
  return volume;
}

/// Requires points strictly better than the reference everywhere, in the order of `before`.
double sliced_hypervolume(const std::vector<Point>& points, std::span<const double> reference) {
  const std::size_t last = reference.size() - 1;
  if (points.empty()) return 0;
  if (last == 0) return reference[0] - points.front()[0];
  if (last == 1) return hypervolume_2d(points, reference);
  if (last == 2) return hypervolume_3d(points, reference);

  // Between two neighbouring values of the last objective the cross-section is constant: what the points so
  // far dominate in the other objectives. `section` holds their front, in order.
  double volume = 0;
  double section_volume = 0;
  bool stale = false;
  std::vector<Point> section;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Point projection(points[i].begin(), points[i].end() - 1);
    const bool adds = std::none_of(section.begin(), section.end(),
                                   [&](const Point& member) { return covers(member, projection); });
    if (adds) {
      std::erase_if(section, [&](const Point& member) { return covers(projection, member); });
      section.insert(std::upper_bound(section.begin(), section.end(), projection, before), projection);
      stale = true;
    }
    const double thickness =
        (i + 1 < points.size() ? points[i + 1][last] : reference[last]) - points[i][last];
    if (thickness <= 0) continue;
    if (stale) section_volume = sliced_hypervolume(section, reference.first(last));
    stale = false;
    volume += section_volume * thickness;
  }
  return volume;
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

double hypervolume(std::span<const Point> points, std::span<const double> reference) {
  assert(!reference.empty());
  std::vector<Point> inside;
  for (const Point& point : points) {
    assert(point.size() == reference.size());
    bool better = true;
    for (std::size_t k = 0; k < reference.size(); ++k) better = better && point[k] < reference[k];
    if (better) inside.push_back(point);
  }
  std::sort(inside.begin(), inside.end(), before);
  return sliced_hypervolume(inside, reference);
}

}  // namespace duet
