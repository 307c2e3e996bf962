#include "search/reference_directions.hpp"

namespace duet {
namespace {

void extend(std::vector<Point>& directions, Point& point, std::size_t left, std::size_t divisions, std::size_t k) {
  if (k + 1 == point.size()) {
    point[k] = static_cast<double>(left) / static_cast<double>(divisions);
    directions.push_back(point);
    return;
  }
  for (std::size_t part = 0; part <= left; ++part) {
    point[k] = static_cast<double>(part) / static_cast<double>(divisions);
    extend(directions, point, left - part, divisions, k + 1);
  }
}

/// C(objectives + divisions - 1, divisions), or something above `limit`.
std::size_t count_directions(std::size_t objectives, std::size_t divisions, std::size_t limit) {
  std::size_t count = 1;
  for (std::size_t i = 1; i < objectives; ++i) {
    count = count * (divisions + i) / i;
    if (count > limit * objectives) return limit + 1;
  }
  return count;
}

std::size_t most_divisions(std::size_t objectives, std::size_t count) {
  std::size_t divisions = 1;
  while (count_directions(objectives, divisions + 1, count) <= count) ++divisions;
  return divisions;
}

}  // namespace

std::vector<Point> das_dennis(std::size_t objectives, std::size_t divisions) {
  std::vector<Point> directions;
  Point point(objectives, 0);
  extend(directions, point, divisions, divisions, 0);
  return directions;
}

std::vector<Point> reference_directions(std::size_t objectives, std::size_t count) {
  if (objectives == 1) return {{1}};
  const std::size_t divisions = most_divisions(objectives, count);
  std::vector<Point> directions = das_dennis(objectives, divisions);
  if (divisions >= objectives || directions.size() >= count) return directions;
  const std::size_t rest = count - directions.size();
  if (rest < objectives) return directions;
  for (Point inner : das_dennis(objectives, most_divisions(objectives, rest))) {
    for (double& value : inner) value = value / 2 + 0.5 / static_cast<double>(objectives);
    directions.push_back(std::move(inner));
  }
  return directions;
}

}  // namespace duet
