#include "search/free_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <string>
#include <utility>

namespace duet {

FreeStatistics::FreeStatistics(const Problem& problem, std::size_t designs) : space_(problem.space) {
  if (space_->derived().empty() || designs == 0) return;
  Random random = problem.random(0, "free statistics");
  for (std::size_t i = 0; i < designs; ++i) {
    std::optional<Candidate> candidate = space_->try_sample(random);
    if (!candidate) break;
    designs_.push_back(std::move(*candidate));
  }
  std::vector<std::vector<double>> kept;  // by statistic: the positions of all designs
  for (std::size_t d = 0; d < space_->derived().size(); ++d) {
    std::vector<double> natural, sorted;
    for (const Candidate& candidate : designs_) {
      natural.push_back(space_->derived()[d].compute(candidate));
      if (std::isfinite(natural.back())) sorted.push_back(natural.back());
    }
    std::sort(sorted.begin(), sorted.end());
    Statistic statistic{.derived = d, .optional = sorted.size() < natural.size(), .values = {}, .positions = {}};
    const auto n = static_cast<double>(sorted.size());
    for (auto begin = sorted.begin(); begin != sorted.end();) {  // equal ones share the middle of their places
      const auto end = std::upper_bound(begin, sorted.end(), *begin);
      const auto places = static_cast<double>((begin - sorted.begin()) + (end - sorted.begin()));
      statistic.values.push_back(*begin);
      statistic.positions.push_back(0.5 * places / n);
      begin = end;
    }
    if (statistic.values.size() < 2) continue;
    std::vector<double> positions;
    for (const double value : natural) positions.push_back(statistic.position(value));
    const bool known = std::any_of(kept.begin(), kept.end(), [&](const std::vector<double>& other) {
      return std::equal(other.begin(), other.end(), positions.begin(),
                        [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); });
    });
    if (known) continue;
    kept.push_back(std::move(positions));
    statistics_.push_back(std::move(statistic));
  }
  for (std::size_t i = 0; i < designs_.size(); ++i) {
    for (const std::vector<double>& positions : kept) {  // a uniform distribution has the variance 1/12
      standardised_.push_back(std::isnan(positions[i]) ? 0 : (positions[i] - 0.5) * 2 * std::numbers::sqrt3);
    }
  }
}

double FreeStatistics::Statistic::position(double value) const {
  if (!std::isfinite(value)) return optional ? std::numeric_limits<double>::quiet_NaN() : 0.5;
  // Halves, because the range of the largest doubles overflows.
  const double range = values.back() / 2 - values.front() / 2;
  if (value < values.front()) return std::max(-0.5, positions.front() + (value / 2 - values.front() / 2) / range);
  if (value > values.back()) return std::min(1.5, positions.back() + (value / 2 - values.back() / 2) / range);
  const auto above = std::lower_bound(values.begin(), values.end(), value);
  const auto i = static_cast<std::size_t>(above - values.begin());
  if (*above == value) return positions[i];
  const double share = (value / 2 - values[i - 1] / 2) / (values[i] / 2 - values[i - 1] / 2);
  return positions[i - 1] + share * (positions[i] - positions[i - 1]);
}

std::vector<learn::Column> FreeStatistics::columns() const {
  std::vector<learn::Column> columns;
  for (const Statistic& statistic : statistics_) columns.push_back({.categories = 0, .optional = statistic.optional});
  return columns;
}

void FreeStatistics::append(const Candidate& candidate, std::vector<double>& row) const {
  for (const Statistic& statistic : statistics_) {
    row.push_back(statistic.position(space_->derived()[statistic.derived].compute(candidate)));
  }
}

Option pretrain_option(std::string_view fallback) {
  return {.name = "pretrain",
          .kind = Option::Kind::integer,
          .fallback = std::string(fallback),
          .sentence = "Random designs from which the model first learns the space's derived quantities, such as MACs, "
                      "which cost nothing; 0: it ignores them.",
          .minimum = 0,
          .maximum = 1'000'000};
}

}  // namespace duet
