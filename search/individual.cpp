#include "search/individual.hpp"

#include <algorithm>

namespace duet {

void assign_ranks(std::vector<Individual>& individuals) {
  std::vector<Point> feasible;
  std::vector<double> violations;
  for (const Individual& individual : individuals) {
    if (individual.violation > 0) {
      violations.push_back(individual.violation);
    } else {
      feasible.push_back(individual.objectives);
    }
  }
  std::sort(violations.begin(), violations.end());
  violations.erase(std::unique(violations.begin(), violations.end()), violations.end());
  const std::vector<std::size_t> ranks = non_dominated_ranks(feasible);
  const std::size_t fronts = ranks.empty() ? 0 : 1 + *std::max_element(ranks.begin(), ranks.end());
  std::size_t next = 0;
  for (Individual& individual : individuals) {
    if (individual.violation > 0) {
      const auto position = std::lower_bound(violations.begin(), violations.end(), individual.violation);
      individual.rank = fronts + static_cast<std::size_t>(position - violations.begin());
    } else {
      individual.rank = ranks[next++];
    }
  }
}

void sort_by_rank(std::vector<Individual>& individuals) {
  std::stable_sort(individuals.begin(), individuals.end(),
                   [](const Individual& a, const Individual& b) { return a.rank < b.rank; });
}

void assign_crowding(std::vector<Individual>& individuals) {
  for (std::size_t begin = 0, end = 0; begin < individuals.size(); begin = end) {
    std::vector<Point> front;
    for (; end < individuals.size() && individuals[end].rank == individuals[begin].rank; ++end) {
      front.push_back(individuals[end].objectives);
    }
    const std::vector<double> crowding = crowding_distance(front);
    for (std::size_t i = 0; i < crowding.size(); ++i) individuals[begin + i].crowding = crowding[i];
  }
}

std::vector<std::uint64_t> numbers_of(const std::vector<Individual>& individuals) {
  std::vector<std::uint64_t> numbers;
  for (const Individual& individual : individuals) numbers.push_back(individual.number);
  return numbers;
}

}  // namespace duet
