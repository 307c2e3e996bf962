#include "core/pareto_archive.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <random>

namespace duet {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// What the archive should be: a list that is gone through from end to end.
class PlainArchive {
 public:
  bool insert(std::uint64_t id, const Point& point, std::vector<std::uint64_t>& left) {
    left.clear();
    for (const auto& [other, member] : members_) {
      if (member == point || dominates(member, point)) return false;
    }
    for (auto at = members_.begin(); at != members_.end();) {
      if (dominates(point, at->second)) {
        left.push_back(at->first);
        at = members_.erase(at);
      } else {
        ++at;
      }
    }
    members_.emplace(id, point);
    return true;
  }
  const std::map<std::uint64_t, Point>& members() const { return members_; }

 private:
  std::map<std::uint64_t, Point> members_;
};

void expect_agreement(const std::vector<Point>& points, std::size_t objectives, const std::string& where) {
  ParetoArchive archive(objectives);
  PlainArchive plain;
  std::vector<std::uint64_t> left, expected_left;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const std::uint64_t id = 1000 + i;
    const bool expected = plain.insert(id, points[i], expected_left);
    ASSERT_EQ(archive.insert(id, points[i], &left), expected) << where << ", point " << i;
    std::sort(left.begin(), left.end());
    ASSERT_EQ(left, expected_left) << where << ", point " << i;
    ASSERT_EQ(archive.size(), plain.members().size());
  }
  const auto entries = archive.entries();
  ASSERT_EQ(entries.size(), plain.members().size());
  std::size_t at = 0;
  for (const auto& [id, point] : plain.members()) {
    ASSERT_EQ(entries[at].id, id) << where;
    ASSERT_EQ(entries[at].point, point) << where;
    ++at;
  }
}

TEST(ParetoArchive, AgreesWithAPlainListOnTiesAndDuplicates) {
  std::uint32_t seed = 0;
  for (std::size_t objectives = 1; objectives <= 6; ++objectives) {
    for (const unsigned levels : {2u, 5u, 30u, 100'000u}) {
      for (const std::size_t count : {3u, 60u, 600u}) {
        std::mt19937 random(++seed);
        std::vector<Point> points(count, Point(objectives));
        for (Point& point : points) {
          for (double& value : point) value = static_cast<double>(random() % levels);
        }
        expect_agreement(points, objectives, ::testing::PrintToString(seed));
      }
    }
  }
}

TEST(ParetoArchive, AgreesWhereFrontsAreLargeAndAdvance) {
  // Shells of which each dominates much of the one before: whole subtrees leave.
  for (std::size_t objectives = 2; objectives <= 5; ++objectives) {
    std::mt19937 random(7);
    std::vector<Point> points;
    for (std::size_t i = 0; i < 1500; ++i) {
      Point point(objectives);
      double length = 0;
      for (double& value : point) {
        value = 0.01 + static_cast<double>(random()) / 4294967296.0;
        length += value * value;
      }
      for (std::size_t k = 0; k < objectives; ++k) {
        // Units differ by orders of magnitude, as those of latency and energy do.
        point[k] *= -std::sqrt(std::floor(1 + static_cast<double>(i) / 300) / length) * std::pow(1e-4, k);
      }
      points.push_back(point);
    }
    expect_agreement(points, objectives, ::testing::PrintToString(objectives));
  }
}

TEST(ParetoArchive, InfinitiesAreValuesAndNothingComparesWithNaN) {
  std::mt19937 random(8);
  const double values[] = {-infinity, -1, 0, 1, infinity};
  for (std::size_t objectives = 1; objectives <= 4; ++objectives) {
    std::vector<Point> points(300, Point(objectives));
    for (Point& point : points) {
      for (double& value : point) value = values[random() % 5];
      if (point[0] > 0) point[0] += static_cast<double>(random() % 100);
    }
    expect_agreement(points, objectives, ::testing::PrintToString(objectives));
    // Large fronts with infinities among them.
    for (Point& point : points) {
      for (double& value : point) value = random() % 10 == 0 ? infinity : static_cast<double>(random());
    }
    expect_agreement(points, objectives, ::testing::PrintToString(objectives));
    ParetoArchive archive(objectives);
    EXPECT_FALSE(archive.insert(1, Point(objectives, std::nan(""))));
    EXPECT_TRUE(archive.empty());
    EXPECT_TRUE(archive.insert(2, Point(objectives, infinity)));
  }
}

TEST(ParetoArchive, KeepsTheFirstOfEqualPointsAfterOthersHaveLeft) {
  // The bounds of a node that has shrunk to one member still span those that left.
  ParetoArchive archive(3);
  EXPECT_TRUE(archive.insert(1, Point{1, 5, 5}));
  EXPECT_TRUE(archive.insert(2, Point{5, 1, 1}));
  EXPECT_TRUE(archive.insert(3, Point{1, 1, 1}));
  EXPECT_FALSE(archive.insert(4, Point{1, 1, 1}));
  ASSERT_EQ(archive.size(), 1u);
  EXPECT_EQ(archive.entries()[0].id, 3u);
}

TEST(ParetoArchive, IsTheFrontWhateverTheOrder) {
  std::mt19937 random(9);
  std::vector<Point> points(2000, Point(3));
  for (Point& point : points) {
    for (double& value : point) value = static_cast<double>(random());
  }
  std::vector<Point> expected;
  for (const std::size_t i : pareto_front(points)) expected.push_back(points[i]);
  std::sort(expected.begin(), expected.end());
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::shuffle(points.begin(), points.end(), random);
    ParetoArchive archive(3);
    for (std::size_t i = 0; i < points.size(); ++i) archive.insert(i, points[i]);
    auto front = archive.points();
    std::sort(front.begin(), front.end());
    EXPECT_EQ(front, expected);
  }
}

TEST(ParetoArchive, HoldsAHundredThousandMembers) {
  std::mt19937 random(10);
  ParetoArchive archive(2);
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    const double x = static_cast<double>(i * 7919 % 100'000);
    ASSERT_TRUE(archive.insert(i, Point{x, -x}));
  }
  EXPECT_EQ(archive.size(), 100'000u);
  std::vector<std::uint64_t> left;
  EXPECT_TRUE(archive.insert(100'000, Point{-1, -100'000}, &left));
  EXPECT_EQ(left.size(), 100'000u);
  EXPECT_EQ(archive.size(), 1u);
}

}  // namespace
}  // namespace duet
