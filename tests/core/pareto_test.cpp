#include "core/pareto.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>

namespace duet {
namespace {

constexpr double unbounded = std::numeric_limits<double>::infinity();

/// Points with integer coordinates in 0 … levels - 1: small numbers of levels give ties and duplicates.
std::vector<Point> grid_points(std::size_t count, std::size_t objectives, unsigned levels,
                               std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Point> points(count, Point(objectives));
  for (Point& point : points) {
    for (double& value : point) value = static_cast<double>(random() % levels);
  }
  return points;
}

/// By definition: less or equal everywhere, less somewhere.
bool better(const Point& a, const Point& b) {
  std::size_t less = 0, greater = 0;
  for (std::size_t k = 0; k < a.size(); ++k) {
    less += a[k] < b[k] ? 1 : 0;
    greater += a[k] > b[k] ? 1 : 0;
  }
  return less > 0 && greater == 0;
}

std::vector<std::size_t> brute_force_front(const std::vector<Point>& points) {
  std::vector<std::size_t> front;
  for (std::size_t i = 0; i < points.size(); ++i) {
    bool in_front = true;
    for (std::size_t j = 0; j < points.size(); ++j) {
      in_front = in_front && !better(points[j], points[i]) && !(j < i && points[j] == points[i]);
    }
    if (in_front) front.push_back(i);
  }
  return front;
}

/// Peels fronts off one after another.
std::vector<std::size_t> brute_force_ranks(const std::vector<Point>& points) {
  constexpr std::size_t unknown = std::numeric_limits<std::size_t>::max();
  std::vector<std::size_t> ranks(points.size(), unknown);
  for (std::size_t rank = 0; std::count(ranks.begin(), ranks.end(), unknown) > 0; ++rank) {
    std::vector<std::size_t> peeled;
    for (std::size_t i = 0; i < points.size(); ++i) {
      bool dominated = ranks[i] != unknown;
      for (std::size_t j = 0; j < points.size(); ++j) {
        dominated = dominated || (ranks[j] == unknown && better(points[j], points[i]));
      }
      if (!dominated) peeled.push_back(i);
    }
    for (const std::size_t i : peeled) ranks[i] = rank;
  }
  return ranks;
}

/// Counts the unit cells below `levels` in every objective that some point dominates.
double counted_hypervolume(const std::vector<Point>& points, std::size_t objectives, unsigned levels) {
  std::size_t cells = 1;
  for (std::size_t k = 0; k < objectives; ++k) cells *= levels;
  double dominated = 0;
  for (std::size_t cell = 0; cell < cells; ++cell) {
    Point corner(objectives);
    std::size_t rest = cell;
    for (double& value : corner) {
      value = static_cast<double>(rest % levels);
      rest /= levels;
    }
    dominated += std::any_of(points.begin(), points.end(),
                             [&](const Point& point) { return point == corner || better(point, corner); })
                     ? 1
                     : 0;
  }
  return dominated;
}

/// Inclusion and exclusion over all subsets of the points, which lie below the reference.
double inclusion_exclusion(const std::vector<Point>& points, const Point& reference) {
  double volume = 0;
  for (std::size_t subset = 1; subset < (std::size_t{1} << points.size()); ++subset) {
    Point corner(reference.size(), -unbounded);
    int sign = -1;
    for (std::size_t i = 0; i < points.size(); ++i) {
      if ((subset >> i & 1) == 0) continue;
      sign = -sign;
      for (std::size_t k = 0; k < corner.size(); ++k) corner[k] = std::max(corner[k], points[i][k]);
    }
    double box = 1;
    for (std::size_t k = 0; k < corner.size(); ++k) box *= reference[k] - corner[k];
    volume += sign * box;
  }
  return volume;
}

TEST(Dominates, NeedsNoWorseEverywhereAndBetterSomewhere) {
  EXPECT_TRUE(dominates(Point{1, 2}, Point{1, 3}));
  EXPECT_TRUE(dominates(Point{0, 2}, Point{1, 3}));
  EXPECT_FALSE(dominates(Point{1, 2}, Point{1, 2}));
  EXPECT_FALSE(dominates(Point{0, 4}, Point{1, 3}));
  EXPECT_FALSE(dominates(Point{1, 3}, Point{0, 4}));
  EXPECT_TRUE(dominates(Point{-1}, Point{0}));
}

TEST(ParetoFront, OfEqualPointsTheFirstOnly) {
  const std::vector<Point> points = {{2, 2}, {1, 3}, {2, 2}, {3, 3}, {1, 3}, {3, 1}};
  EXPECT_EQ(pareto_front(points), (std::vector<std::size_t>{0, 1, 5}));
  EXPECT_TRUE(pareto_front(std::vector<Point>{}).empty());
  const std::vector<Point> single = {{3}, {1}, {2}, {1}};
  EXPECT_EQ(pareto_front(single), std::vector<std::size_t>{1});
}

TEST(ParetoFront, InfiniteObjectivesAreOrdinaryValues) {
  const std::vector<Point> points = {{1, unbounded}, {2, unbounded}, {3, -unbounded}, {4, 0}};
  EXPECT_EQ(pareto_front(points), (std::vector<std::size_t>{0, 2}));
}

TEST(ParetoFront, AgreesWithBruteForce) {
  std::uint32_t seed = 0;
  for (std::size_t objectives = 1; objectives <= 5; ++objectives) {
    for (const unsigned levels : {2u, 5u, 1000u}) {
      for (const std::size_t count : {1u, 2u, 7u, 60u}) {
        for (int repeat = 0; repeat < 5; ++repeat) {
          const auto points = grid_points(count, objectives, levels, ++seed);
          ASSERT_EQ(pareto_front(points), brute_force_front(points)) << "seed " << seed;
        }
      }
    }
  }
}

TEST(ParetoFront, OfAMillionPoints) {
  std::mt19937 random(1);
  std::vector<Point> points;
  for (std::size_t i = 0; i < 1'000'000; ++i) {
    const double x = static_cast<double>(random() % 100'000);
    // Every thousandth point lies on the line x + y = 99,999, all others above it.
    points.push_back({x, 99'999 - x + (i % 1000 == 0 ? 0 : 1 + static_cast<double>(random() % 1000))});
  }
  const auto front = pareto_front(points);
  // The oracle walks the columns of equal x from left to right.
  std::vector<double> lowest(100'000, unbounded);
  for (const Point& point : points) {
    double& column = lowest[static_cast<std::size_t>(point[0])];
    column = std::min(column, point[1]);
  }
  std::size_t expected = 0;
  double least = unbounded;
  for (const double y : lowest) {
    expected += y < least ? 1 : 0;
    least = std::min(least, y);
  }
  EXPECT_EQ(front.size(), expected);
  EXPECT_TRUE(std::is_sorted(front.begin(), front.end()));
}

TEST(NonDominatedRanks, EqualPointsShareARank) {
  const std::vector<Point> points = {{1, 1}, {2, 2}, {1, 1}, {2, 2}, {0, 3}, {3, 3}};
  EXPECT_EQ(non_dominated_ranks(points), (std::vector<std::size_t>{0, 1, 0, 1, 0, 2}));
  const std::vector<Point> single = {{3}, {1}, {2}, {1}};
  EXPECT_EQ(non_dominated_ranks(single), (std::vector<std::size_t>{2, 0, 1, 0}));
  EXPECT_TRUE(non_dominated_ranks(std::vector<Point>{}).empty());
}

TEST(NonDominatedRanks, AgreesWithPeeling) {
  std::uint32_t seed = 1000;
  for (std::size_t objectives = 1; objectives <= 5; ++objectives) {
    for (const unsigned levels : {2u, 5u, 1000u}) {
      for (const std::size_t count : {1u, 2u, 7u, 60u}) {
        for (int repeat = 0; repeat < 5; ++repeat) {
          const auto points = grid_points(count, objectives, levels, ++seed);
          ASSERT_EQ(non_dominated_ranks(points), brute_force_ranks(points)) << "seed " << seed;
        }
      }
    }
  }
}

TEST(CrowdingDistance, HandComputed) {
  // Sorted by x: (0,10) (1,6) (3,5) (10,0); ranges 10 and 10.
  const std::vector<Point> points = {{3, 5}, {0, 10}, {10, 0}, {1, 6}};
  const auto distance = crowding_distance(points);
  EXPECT_DOUBLE_EQ(distance[0], (10.0 - 1.0) / 10 + (6.0 - 0.0) / 10);
  EXPECT_EQ(distance[1], unbounded);
  EXPECT_EQ(distance[2], unbounded);
  EXPECT_DOUBLE_EQ(distance[3], (3.0 - 0.0) / 10 + (10.0 - 5.0) / 10);
}

TEST(CrowdingDistance, FewPointsAreAllExtreme) {
  EXPECT_TRUE(crowding_distance(std::vector<Point>{}).empty());
  EXPECT_EQ(crowding_distance(std::vector<Point>{{1, 2}}), (std::vector<double>{unbounded}));
  EXPECT_EQ(crowding_distance(std::vector<Point>{{1, 2}, {2, 1}}), (std::vector<double>{unbounded, unbounded}));
}

TEST(CrowdingDistance, ConstantObjectivesAndDuplicatesAddNothing) {
  const std::vector<Point> points = {{0, 7}, {1, 7}, {1, 7}, {1, 7}, {4, 7}};
  const auto distance = crowding_distance(points);
  EXPECT_EQ(distance[0], unbounded);
  EXPECT_DOUBLE_EQ(distance[1], 0.25);
  EXPECT_DOUBLE_EQ(distance[2], 0);
  EXPECT_DOUBLE_EQ(distance[3], 0.75);
  EXPECT_EQ(distance[4], unbounded);
  EXPECT_EQ(crowding_distance(std::vector<Point>(4, Point{5, 5})), (std::vector<double>(4, 0.0)));
}

TEST(CrowdingDistance, LargestValuesDoNotOverflow) {
  const double huge = std::numeric_limits<double>::max();
  const std::vector<Point> points = {{-huge, huge}, {0, 0}, {huge, -huge}};
  EXPECT_DOUBLE_EQ(crowding_distance(points)[1], 2.0);
}

TEST(Hypervolume, HandComputed) {
  EXPECT_EQ(hypervolume(std::vector<Point>{{3}, {1}, {9}}, Point{5}), 4);
  // Boxes 3x1, 2x2 and 1x3 that overlap: a staircase of 6 unit squares.
  EXPECT_EQ(hypervolume(std::vector<Point>{{1, 3}, {2, 2}, {3, 1}}, Point{4, 4}), 6);
  EXPECT_EQ(hypervolume(std::vector<Point>{{0, 0, 1}, {1, 1, 0}}, Point{2, 2, 2}), 5);
  EXPECT_EQ(hypervolume(std::vector<Point>{{0, 0, 0, 1}, {1, 1, 1, 0}}, Point{2, 2, 2, 2}), 9);
}

TEST(Hypervolume, PointsNotBetterThanTheReferenceCountNothing) {
  EXPECT_EQ(hypervolume(std::vector<Point>{}, Point{1, 1}), 0);
  EXPECT_EQ(hypervolume(std::vector<Point>{{-5, 1}, {2, -5}, {1, 1}}, Point{1, 1}), 0);
  EXPECT_EQ(hypervolume(std::vector<Point>{{-5, 1, 0}, {0, 0, 0}}, Point{1, 1, 1}), 1);
}

TEST(Hypervolume, CountsCellsExactly) {
  std::uint32_t seed = 2000;
  for (std::size_t objectives = 1; objectives <= 7; ++objectives) {
    for (const unsigned levels : {2u, 4u, 7u}) {
      if (objectives > 5 && levels > 4) continue;
      for (const std::size_t count : {1u, 2u, 5u, 40u}) {
        for (int repeat = 0; repeat < 5; ++repeat) {
          const auto points = grid_points(count, objectives, levels, ++seed);
          const Point reference(objectives, static_cast<double>(levels));
          ASSERT_EQ(hypervolume(points, reference), counted_hypervolume(points, objectives, levels))
              << "seed " << seed << ", " << objectives << " objectives";
        }
      }
    }
  }
}

TEST(Hypervolume, AgreesWithInclusionAndExclusion) {
  std::mt19937 random(3);
  for (std::size_t objectives = 1; objectives <= 7; ++objectives) {
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::vector<Point> points(1 + random() % 9, Point(objectives));
      for (Point& point : points) {
        for (double& value : point) value = static_cast<double>(random()) / 4294967296.0;
      }
      const Point reference(objectives, 1.0);
      EXPECT_NEAR(hypervolume(points, reference), inclusion_exclusion(points, reference), 1e-12);
    }
  }
}

TEST(Hypervolume, DoesNotDependOnTheOrderOfThePoints) {
  std::mt19937 random(4);
  for (std::size_t objectives = 2; objectives <= 6; ++objectives) {
    std::vector<Point> points(50, Point(objectives));
    for (Point& point : points) {
      for (double& value : point) value = static_cast<double>(random() % 20) / 19.0;
    }
    const Point reference(objectives, 1.1);
    const double volume = hypervolume(points, reference);
    for (int repeat = 0; repeat < 10; ++repeat) {
      std::shuffle(points.begin(), points.end(), random);
      EXPECT_EQ(hypervolume(points, reference), volume);
    }
  }
}

TEST(Hypervolume, OfLargeSets) {
  // x + y (+ z) = n with integer coordinates: a staircase whose volume has a closed form.
  std::vector<Point> line;
  constexpr double n = 100'000;
  for (double x = 0; x <= n; ++x) line.push_back({x, n - x});
  EXPECT_EQ(hypervolume(line, Point{n + 1, n + 1}), (n + 1) * (n + 2) / 2);
  std::vector<Point> triangle;
  constexpr double side = 300;
  for (double x = 0; x <= side; ++x) {
    for (double y = 0; x + y <= side; ++y) triangle.push_back({x, y, side - x - y});
  }
  // Not dominated: cells with x + y + z <= side - 1, the tetrahedral number of side.
  const double cells = (side + 1) * (side + 1) * (side + 1);
  EXPECT_EQ(hypervolume(triangle, Point{side + 1, side + 1, side + 1}),
            cells - side * (side + 1) * (side + 2) / 6);
}

/// Points of which none dominates another: on a sphere around the origin.
std::vector<Point> sphere_points(std::size_t count, std::size_t objectives, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Point> points(count, Point(objectives));
  for (Point& point : points) {
    double length = 0;
    for (double& value : point) {
      value = 0.01 + static_cast<double>(random()) / 4294967296.0;
      length += value * value;
    }
    for (double& value : point) value /= -std::sqrt(length);
  }
  return points;
}

TEST(Hypervolume, OfManyPointsIsWhatTheyAddOneByOne) {
  for (std::size_t objectives = 2; objectives <= 6; ++objectives) {
    const auto points = sphere_points(objectives < 5 ? 120 : 50, objectives, 5);
    const Point reference(objectives, 0.0);
    // Column by column: the volume is the integral of the sections over the first objective.
    std::vector<Point> sorted = points;
    std::sort(sorted.begin(), sorted.end());
    double volume = 0;
    std::vector<Point> section;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      section.emplace_back(sorted[i].begin() + 1, sorted[i].end());
      const double next = i + 1 < sorted.size() ? sorted[i + 1][0] : 0;
      volume += (next - sorted[i][0]) * hypervolume(section, Point(objectives - 1, 0.0));
    }
    EXPECT_NEAR(hypervolume(points, reference), volume, 1e-12 * volume) << objectives;
  }
}

TEST(Hypervolume, WithoutAnEndIsInfinite) {
  EXPECT_EQ(hypervolume(std::vector<Point>{{-unbounded, 0}, {0, 0}}, Point{1, 1}), unbounded);
  EXPECT_EQ(hypervolume(std::vector<Point>{{0, 0, 0}}, Point{1, unbounded, 1}), unbounded);
  // Not better than the reference everywhere, so nothing at all.
  EXPECT_EQ(hypervolume(std::vector<Point>{{-unbounded, 1}, {unbounded, 0}}, Point{1, 1}), 0);
  EXPECT_EQ(hypervolume(std::vector<Point>{{std::nan(""), 0}, {0, 0}}, Point{1, 1}), 1);
}

TEST(Hypervolume, OfHugeAndTinyValues) {
  for (const int exponent : {-600, 0, 250}) {
    for (std::size_t objectives = 2; objectives <= 6; ++objectives) {
      if (std::abs(exponent) * static_cast<int>(objectives) > 1000) continue;  // the volume is no double
      auto points = grid_points(20, objectives, 9, 6);
      const double plain = hypervolume(points, Point(objectives, 9.0));
      for (Point& point : points) {
        for (double& value : point) value = std::ldexp(value, exponent);
      }
      EXPECT_EQ(hypervolume(points, Point(objectives, std::ldexp(9.0, exponent))),
                std::ldexp(plain, exponent * static_cast<int>(objectives)));
    }
  }
  // Neither factor's square is a double, the volume is.
  EXPECT_EQ(hypervolume(std::vector<Point>{{0, 0, 0, 0, 0}}, Point{0x1p600, 0x1p600, 0x1p-600, 0x1p-600, 2}), 2);
}

TEST(HypervolumeContributions, AreWhatIsLostWithoutThePoint) {
  std::uint32_t seed = 3000;
  for (std::size_t objectives = 1; objectives <= 6; ++objectives) {
    for (const unsigned levels : {2u, 4u, 1000u}) {
      for (const std::size_t count : {1u, 2u, 5u, 30u}) {
        for (int repeat = 0; repeat < 4; ++repeat) {
          const auto points = grid_points(count, objectives, levels, ++seed);
          // Some points are on the reference or beyond it.
          const Point reference(objectives, static_cast<double>(levels - repeat % 2));
          const auto contributions = hypervolume_contributions(points, reference);
          ASSERT_EQ(contributions.size(), count);
          const double all = hypervolume(points, reference);
          for (std::size_t i = 0; i < count; ++i) {
            auto rest = points;
            rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
            // Whole numbers below 2^53, except for the largest boxes.
            ASSERT_NEAR(contributions[i], all - hypervolume(rest, reference), 1e-12 * all)
                << "seed " << seed << ", " << objectives << " objectives, point " << i;
          }
        }
      }
    }
  }
}

TEST(HypervolumeContributions, HandComputed) {
  using Values = std::vector<double>;
  EXPECT_TRUE(hypervolume_contributions(std::vector<Point>{}, Point{1, 1}).empty());
  EXPECT_EQ(hypervolume_contributions(std::vector<Point>{{1, 3}, {2, 2}, {3, 1}}, Point{4, 4}), (Values{1, 1, 1}));
  // (3, 3) is dominated, by (2, 2) alone, and takes two cells of its six.
  EXPECT_EQ(hypervolume_contributions(std::vector<Point>{{1, 4}, {3, 3}, {2, 2}, {5, 1}}, Point{6, 6}),
            (Values{2, 0, 4, 1}));
  // Equal points: without one of them nothing is lost.
  EXPECT_EQ(hypervolume_contributions(std::vector<Point>{{1, 1}, {1, 1}, {0, 2}}, Point{3, 3}), (Values{0, 0, 1}));
  EXPECT_EQ(hypervolume_contributions(std::vector<Point>{{0, 0, 1}, {1, 1, 0}, {2, 0, 0}}, Point{2, 2, 2}),
            (Values{3, 1, 0}));
}

TEST(HypervolumeContributions, InfinityWhereNothingEndsThem) {
  // The inner point is ended by its neighbours although the reference is not.
  EXPECT_EQ(hypervolume_contributions(std::vector<Point>{{0, 2}, {1, 1}, {2, 0}}, Point{unbounded, unbounded}),
            (std::vector<double>{unbounded, 1, unbounded}));
  EXPECT_EQ(hypervolume_contributions(std::vector<Point>{{-unbounded, 2, 0}, {-unbounded, 2, 0}, {1, 1, 0}},
                                      Point{3, 3, 3}),
            (std::vector<double>{0, 0, 6}));
}

TEST(HypervolumeContributions, KeepTheirDigitsWhereTheReferenceIsFarAway) {
  for (std::size_t objectives = 3; objectives <= 5; ++objectives) {
    // Points x and x + e_j around a corner: what lies between is a unit cube, whatever the reference.
    std::vector<Point> points{Point(objectives, 0.0)};
    for (std::size_t k = 0; k < objectives; ++k) {
      points.emplace_back(objectives, -1.0);
      points.back()[k] = 1;
    }
    EXPECT_EQ(hypervolume_contributions(points, Point(objectives, 1e9))[0], 1.0) << objectives;
  }
}

}  // namespace
}  // namespace duet
