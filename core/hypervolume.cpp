#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "core/pareto.hpp"

// Inside this file points are *gains*: how much better than a reference point they are in each objective. Gains are
// positive and larger is better, a point's box is the product of its gains, and what two boxes share is the box of
// the lesser gains. So exclusive volumes come from inclusive ones (While, Bradstreet, Barone: "A Fast Way of
// Calculating Exact Hypervolumes", IEEE TEVC 16(1), 2012), and sweeps add up what each point adds times its height.

namespace duet {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
/// Up to this many steps a sorted array beats a tree, although inserting is linear.
constexpr std::size_t flat_limit = 2048;

struct Step {
  double first = 0, second = 0;
};

/// What Staircase needs of std::map<double, double>, on a sorted array.
class FlatSteps {
 public:
  using Iterator = std::vector<Step>::iterator;
  Iterator begin() { return steps_.begin(); }
  Iterator end() { return steps_.end(); }
  Iterator lower_bound(double x) {
    return std::partition_point(steps_.begin(), steps_.end(), [x](const Step& step) { return step.first < x; });
  }
  Iterator erase(Iterator first, Iterator last) { return steps_.erase(first, last); }
  void emplace_hint(Iterator position, double x, double y) { steps_.insert(position, Step{x, y}); }
  void clear() { steps_.clear(); }

 private:
  std::vector<Step> steps_;
};

/// The union of rectangles [0, x] × [0, y]: steps with x ascending and y strictly descending.
template <class Steps>
class Staircase {
 public:
  /// \returns the area that the rectangle adds.
  double insert(double x, double y) {
    auto next = steps_.lower_bound(x);  // the first step that reaches as far as x
    double height = 0;                  // of the stairs to the left of `right`
    if (next != steps_.end()) {
      if (next->second >= y) return 0;
      height = next->second;
    }
    // Leftwards, column by column, over the steps that the rectangle covers.
    double area = 0;
    double right = x;
    auto first = next;
    while (first != steps_.begin()) {
      const auto previous = std::prev(first);
      if (previous->second > y) break;
      area += (right - previous->first) * (y - height);
      right = previous->first;
      height = previous->second;
      first = previous;
    }
    const double left = first == steps_.begin() ? 0 : std::prev(first)->first;
    area += (right - left) * (y - height);
    if (next != steps_.end() && next->first == x) ++next;
    steps_.emplace_hint(steps_.erase(first, next), x, y);
    return area;
  }
  void clear() { steps_.clear(); }

 private:
  Steps steps_;
};

template <std::size_t M>
using Gains = std::array<double, M>;

/// Descending, from the last objective to the first: a point can only be covered by points before it, and sums do
/// not depend on the order in which points were given.
template <std::size_t M>
void sort_descending(std::vector<Gains<M>>& points) {
  std::sort(points.begin(), points.end(), [](const Gains<M>& a, const Gains<M>& b) {
    for (std::size_t k = M; k-- > 0;) {
      if (a[k] != b[k]) return a[k] > b[k];
    }
    return false;
  });
}

template <class Steps>
double sweep(const std::vector<Gains<3>>& points) {
  Staircase<Steps> stairs;
  double volume = 0;
  for (const Gains<3>& p : points) volume += stairs.insert(p[0], p[1]) * p[2];
  return volume;
}

/// Computes volumes, and keeps its memory from one to the next.
class Volume {
 public:
  /// Of the union of the boxes; `rows` holds `objectives` gains per point, one point after another.
  double operator()(std::size_t objectives, const std::vector<double>& rows) {
    if (levels_.size() <= objectives) levels_.resize(objectives + 1);
    return volume(objectives, rows);
  }

 private:
  struct Level {
    std::vector<std::size_t> order;
    std::vector<double> section;  ///< the front of the points so far, without their last objective
    std::vector<double> limited;  ///< what `section` shares with a point
  };

  double volume(std::size_t objectives, const std::vector<double>& rows) {
    switch (objectives) {
      case 1:
        return rows.empty() ? 0 : *std::max_element(rows.begin(), rows.end());
      case 2:
        return volume2(unpack<2>(rows, points2_));
      case 3:
        return volume3(unpack<3>(rows, points3_));
      case 4:
        return volume4(unpack<4>(rows, points4_));
      default:
        return sliced(objectives, rows);
    }
  }

  template <std::size_t M>
  static const std::vector<Gains<M>>& unpack(const std::vector<double>& rows, std::vector<Gains<M>>& points) {
    points.resize(rows.size() / M);
    for (std::size_t i = 0; i < points.size(); ++i) {
      std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(i * M), M, points[i].begin());
    }
    sort_descending<M>(points);
    return points;
  }

  static double volume2(const std::vector<Gains<2>>& points) {
    double area = 0;
    double x = 0;
    for (const Gains<2>& p : points) {
      if (p[0] <= x) continue;
      area += (p[0] - x) * p[1];
      x = p[0];
    }
    return area;
  }

  /// The dimension sweep of Beume, Fonseca, López-Ibáñez, Paquete, Vahrenhold: "On the Complexity of Computing the
  /// Hypervolume Indicator", IEEE TEVC 13(5), 2009: O(n log n).
  static double volume3(const std::vector<Gains<3>>& points) {
    return points.size() <= flat_limit ? sweep<FlatSteps>(points) : sweep<std::map<double, double>>(points);
  }

  /// Sweeps the fourth objective downwards and adds what each point adds to the volume in the other three, itself a
  /// sweep over their front, which is kept sorted (as HV4D does: Guerreiro, Fonseca, Emmerich: "A Fast
  /// Dimension-Sweep Algorithm for the Hypervolume Indicator in Four Dimensions", CCCG 2012): O(n² log n) at worst.
  double volume4(const std::vector<Gains<4>>& points) {
    std::vector<Gains<3>>& front = front3_;  // third objective descending
    front.clear();
    double volume = 0;
    for (const Gains<4>& p : points) {
      const auto higher = std::partition_point(front.begin(), front.end(),
                                               [&](const Gains<3>& q) { return q[2] >= p[2]; });
      const auto beside = [&](const Gains<3>& q) { return q[0] >= p[0] && q[1] >= p[1]; };
      if (std::any_of(front.begin(), higher, beside)) continue;
      stairs_.clear();
      double free = p[0] * p[1];  // of the point's rectangle, at height `top`
      double top = p[2];
      double added = 0;
      for (auto q = front.begin(); q != higher; ++q) {
        free -= stairs_.insert(std::min((*q)[0], p[0]), std::min((*q)[1], p[1]));
      }
      for (auto q = higher; q != front.end(); ++q) {
        const bool all = beside(*q);
        const double taken = all ? free : stairs_.insert(std::min((*q)[0], p[0]), std::min((*q)[1], p[1]));
        if (taken == 0) continue;
        added += free * (top - (*q)[2]);
        top = (*q)[2];
        free -= taken;
        if (all) break;
      }
      added += free * top;
      volume += added * p[3];
      const auto level = std::partition_point(front.begin(), higher, [&](const Gains<3>& q) { return q[2] > p[2]; });
      front.erase(std::remove_if(level, front.end(),
                                 [&](const Gains<3>& q) { return q[0] <= p[0] && q[1] <= p[1]; }),
                  front.end());
      front.insert(std::partition_point(front.begin(), front.end(), [&](const Gains<3>& q) { return q[2] >= p[2]; }),
                   {p[0], p[1], p[2]});
    }
    return volume;
  }

  /// The same in more objectives, where what a point adds is its box less what it shares with the front (While et al.,
  /// with the slicing of their §III-C).
  double sliced(std::size_t objectives, const std::vector<double>& rows) {
    Level& level = levels_[objectives];
    const std::size_t last = objectives - 1;
    level.order.resize(rows.size() / objectives);
    for (std::size_t i = 0; i < level.order.size(); ++i) level.order[i] = i * objectives;
    std::sort(level.order.begin(), level.order.end(), [&](std::size_t a, std::size_t b) {
      for (std::size_t k = objectives; k-- > 0;) {
        if (rows[a + k] != rows[b + k]) return rows[a + k] > rows[b + k];
      }
      return false;
    });
    level.section.clear();
    double total = 0;
    for (const std::size_t i : level.order) {
      const double* const p = rows.data() + i;
      const auto members = level.section.size() / last;
      const auto member = [&](std::size_t j) { return level.section.data() + j * last; };
      const auto covers = [last](const double* a, const double* b) {
        for (std::size_t k = 0; k < last; ++k) {
          if (a[k] < b[k]) return false;
        }
        return true;
      };
      bool covered = false;
      for (std::size_t j = 0; j < members && !covered; ++j) covered = covers(member(j), p);
      if (covered) continue;
      level.limited.resize(level.section.size());
      double box = 1;
      for (std::size_t k = 0; k < last; ++k) box *= p[k];
      for (std::size_t j = 0; j < members; ++j) {
        for (std::size_t k = 0; k < last; ++k) level.limited[j * last + k] = std::min(member(j)[k], p[k]);
      }
      total += std::max(0.0, box - volume(last, level.limited)) * p[last];
      std::size_t kept = 0;
      for (std::size_t j = 0; j < members; ++j) {
        if (covers(p, member(j))) continue;
        if (kept != j) std::copy_n(member(j), last, level.section.data() + kept * last);
        ++kept;
      }
      level.section.resize(kept * last);
      level.section.insert(level.section.end(), p, p + last);
    }
    return total;
  }

  std::vector<Level> levels_;  // by number of objectives; never resized within a computation
  std::vector<Gains<2>> points2_;
  std::vector<Gains<3>> points3_;
  std::vector<Gains<4>> points4_;
  std::vector<Gains<3>> front3_;
  Staircase<FlatSteps> stairs_;
};

/// Volume of `rows` of gains, computed on gains between 0 and 1, which powers of two make of any: products neither
/// overflow nor vanish on the way.
double scaled_volume(Volume& volume, std::size_t objectives, std::vector<double>& rows) {
  int exponents = 0;
  for (std::size_t k = 0; k < objectives; ++k) {
    double largest = 0;
    for (std::size_t i = k; i < rows.size(); i += objectives) largest = std::max(largest, rows[i]);
    int exponent = 0;
    std::frexp(largest, &exponent);
    for (std::size_t i = k; i < rows.size(); i += objectives) rows[i] = std::ldexp(rows[i], -exponent);
    exponents += exponent;
  }
  return std::ldexp(volume(objectives, rows), exponents);
}

bool better_everywhere(const Point& point, std::span<const double> reference) {
  assert(point.size() == reference.size());
  for (std::size_t k = 0; k < reference.size(); ++k) {
    if (!(point[k] < reference[k])) return false;
  }
  return true;
}

/// What `point` alone dominates, where `others` (all but itself, or all that matter) and the reference end it.
double exclusive(Volume& volume, const Point& point, const std::vector<const Point*>& others,
                 std::span<const double> reference) {
  // A point that is worse in one objective only ends what this one alone dominates there. The box up to these ends is
  // small even where the reference is far away: less to subtract, and more digits that are right.
  const std::size_t objectives = point.size();
  Point end(reference.begin(), reference.end());
  for (const Point* other : others) {
    std::size_t behind = objectives;  // the objective in which the other is worse
    std::size_t count = 0;
    for (std::size_t k = 0; k < objectives && count < 2; ++k) {
      if ((*other)[k] > point[k]) {
        behind = k;
        ++count;
      }
    }
    if (count == 0) return 0;
    if (count == 1) end[behind] = std::min(end[behind], (*other)[behind]);
  }
  std::vector<double> rows;
  for (std::size_t k = 0; k < objectives; ++k) {
    rows.push_back(end[k] - point[k]);
    if (rows.back() == infinity) return infinity;
  }
  double box = 1;
  int exponents = 0;
  for (const double gain : rows) {
    int exponent = 0;
    box *= std::frexp(gain, &exponent);
    exponents += exponent;
  }
  box = std::ldexp(box, exponents);
  rows.clear();
  for (const Point* other : others) {
    if (!better_everywhere(*other, end)) continue;
    for (std::size_t k = 0; k < objectives; ++k) rows.push_back(end[k] - std::max((*other)[k], point[k]));
  }
  return rows.empty() ? box : std::max(0.0, box - scaled_volume(volume, objectives, rows));
}

/// Two objectives: only neighbours on the front end a point, and only what it alone covers takes from it.
void planar_contributions(std::span<const Point> points, std::vector<std::size_t>& inside,
                          std::span<const double> reference, std::vector<double>& result) {
  std::sort(inside.begin(), inside.end(), [&](std::size_t i, std::size_t j) {
    return points[i] != points[j] ? points[i] < points[j] : i < j;
  });
  std::vector<std::size_t> front;
  for (const std::size_t i : inside) {
    if (front.empty() || points[i][1] < points[front.back()][1]) front.push_back(i);
  }
  std::vector<std::vector<const Point*>> others(front.size());
  for (std::size_t f = 0; f < front.size(); ++f) {
    if (f > 0) others[f].push_back(&points[front[f - 1]]);
    if (f + 1 < front.size()) others[f].push_back(&points[front[f + 1]]);
  }
  for (const std::size_t i : inside) {
    // The members that cover it are neighbours: the last that starts no later, and those before it while low enough.
    const auto after = std::partition_point(front.begin(), front.end(),
                                            [&](std::size_t member) { return points[member][0] <= points[i][0]; });
    const auto last = static_cast<std::size_t>(after - front.begin()) - 1;
    if (front[last] == i) continue;
    if (last > 0 && points[front[last - 1]][1] <= points[i][1]) continue;  // two of them
    others[last].push_back(&points[i]);
  }
  Volume volume;
  for (std::size_t f = 0; f < front.size(); ++f) {
    result[front[f]] = exclusive(volume, points[front[f]], others[f], reference);
  }
}

}  // namespace

double hypervolume(std::span<const Point> points, std::span<const double> reference) {
  assert(!reference.empty());
  std::vector<double> rows;
  for (const Point& point : points) {
    if (!better_everywhere(point, reference)) continue;
    for (std::size_t k = 0; k < reference.size(); ++k) {
      rows.push_back(reference[k] - point[k]);
      if (rows.back() == infinity) return infinity;
    }
  }
  if (rows.empty()) return 0;
  Volume volume;
  return scaled_volume(volume, reference.size(), rows);
}

std::vector<double> hypervolume_contributions(std::span<const Point> points, std::span<const double> reference) {
  assert(!reference.empty());
  std::vector<double> result(points.size(), 0.0);
  std::vector<std::size_t> inside;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (better_everywhere(points[i], reference)) inside.push_back(i);
  }
  if (reference.size() == 2) {
    planar_contributions(points, inside, reference, result);
    return result;
  }
  Volume volume;
  std::vector<const Point*> others;
  for (const std::size_t i : inside) {
    others.clear();
    for (const std::size_t j : inside) {
      if (j != i) others.push_back(&points[j]);
    }
    result[i] = exclusive(volume, points[i], others, reference);
  }
  return result;
}

}  // namespace duet
