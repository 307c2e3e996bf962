#include "experiments/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "core/statistics.hpp"

namespace duet {
namespace {

/// P(sum of two differences > 0) where one value beats the other with this probability and both are normal.
double paired_probability(double smaller) {
  return normal_cdf(std::sqrt(2.0) * normal_quantile(smaller));
}

constexpr double large_effect = 0.71;  // Vargha and Delaney 2000
constexpr double wanted_power = 0.8;

/// Each value's rank among all runs of its problem, scaled to (0, 1]: by problem, strategy, seed.
std::vector<std::vector<std::vector<double>>> ranked_within_problems(
    const std::vector<std::vector<std::vector<double>>>& values) {
  auto result = values;
  for (auto& problem : result) {
    std::vector<double> all;
    for (const auto& strategy : problem) all.insert(all.end(), strategy.begin(), strategy.end());
    const std::vector<double> ranks = mid_ranks(all);
    std::size_t next = 0;
    for (auto& strategy : problem) {
      for (double& value : strategy) value = ranks[next++] / static_cast<double>(all.size());
    }
  }
  return result;
}

void warn_of_low_power(Comparison& comparison, std::size_t k, double alpha) {
  const double each = alpha / static_cast<double>(k - 1);  // the best against every other
  const double probability = paired_probability(large_effect);
  comparison.power = wilcoxon_power(comparison.blocks, probability, each);
  if (comparison.power >= wanted_power) return;
  std::size_t needed = comparison.blocks;
  while (wilcoxon_power(needed, probability, each) < wanted_power) ++needed;
  comparison.warnings.push_back(fmt::format(
      "{} runs of each strategy are few: a large difference (A = {:.2f}) would be found with probability {:.2f} only; "
      "{} runs (problems × seeds) would find it with {:.1f}",
      comparison.blocks, large_effect, comparison.power, needed, wanted_power));
  const double smallest = wilcoxon_smallest_p_value(comparison.blocks) * static_cast<double>(comparison.pairs.size());
  if (smallest >= alpha) {
    comparison.warnings.push_back(fmt::format(
        "with {} runs and {} pairs no difference between two strategies can be significant, however large",
        comparison.blocks, comparison.pairs.size()));
  }
}

}  // namespace

Comparison compare(const RunValues& runs, double alpha) {
  const std::size_t k = runs.strategies.size();
  Comparison result;
  const auto ranked = ranked_within_problems(runs.values);
  std::vector<std::vector<double>> blocks;              // by block, strategy
  std::vector<std::vector<double>> by_strategy(k);      // by strategy, block
  for (const auto& problem : ranked) {
    for (std::size_t seed = 0; seed < problem[0].size(); ++seed) {
      std::vector<double>& block = blocks.emplace_back();
      for (std::size_t strategy = 0; strategy < k; ++strategy) {
        block.push_back(problem[strategy][seed]);
        by_strategy[strategy].push_back(problem[strategy][seed]);
      }
    }
  }
  result.blocks = blocks.size();
  if (k == 1) {
    result.mean_ranks = {1};
    result.leaders = {0};
    return result;
  }
  const FriedmanTest friedman = friedman_test(blocks);
  result.mean_ranks = friedman.mean_ranks;
  result.critical_difference = nemenyi_critical_difference(k, blocks.size(), alpha);
  std::vector<double> p_values;
  for (std::size_t a = 0; a < k; ++a) {
    for (std::size_t b = a + 1; b < k; ++b) {
      Pair pair{.a = a, .b = b};
      pair.nemenyi_p = nemenyi_p_value(result.mean_ranks[a] - result.mean_ranks[b], k, blocks.size());
      pair.wilcoxon_p = wilcoxon_signed_rank_test(by_strategy[a], by_strategy[b]).p_value;
      for (const auto& problem : runs.values) {
        pair.probability_smaller +=
            probability_smaller(problem[a], problem[b]) / static_cast<double>(runs.values.size());
      }
      p_values.push_back(pair.wilcoxon_p);
      result.pairs.push_back(pair);
    }
  }
  const std::vector<double> adjusted = holm_adjusted(p_values);
  for (std::size_t i = 0; i < adjusted.size(); ++i) result.pairs[i].holm_p = adjusted[i];
  result.friedman_p = k == 2 ? result.pairs[0].wilcoxon_p : friedman.p_value;
  result.significant = result.friedman_p < alpha;
  result.best = static_cast<std::size_t>(
      std::min_element(result.mean_ranks.begin(), result.mean_ranks.end()) - result.mean_ranks.begin());
  for (std::size_t strategy = 0; strategy < k; ++strategy) {
    const auto differs = [&](const Pair& pair) {
      return (pair.a == strategy || pair.b == strategy) && (pair.a == result.best || pair.b == result.best) &&
             pair.holm_p < alpha;
    };
    if (!result.significant || strategy == result.best || std::none_of(result.pairs.begin(), result.pairs.end(), differs)) {
      result.leaders.push_back(strategy);
    }
  }
  warn_of_low_power(result, k, alpha);
  return result;
}

Lottery lottery(const std::vector<std::string>& strategies,
                const std::vector<std::vector<std::vector<double>>>& values) {
  Lottery result;
  const auto ranked = ranked_within_problems(values);
  for (std::size_t strategy = 0; strategy < strategies.size(); ++strategy) {
    Lottery::Entry entry{strategies[strategy], std::vector<double>(ranked[0][strategy].size(), 0.0)};
    for (const auto& problem : ranked) {
      for (std::size_t draw = 0; draw < entry.scores.size(); ++draw) {
        entry.scores[draw] += problem[strategy][draw] / static_cast<double>(ranked.size());
      }
    }
    result.entries.push_back(std::move(entry));
  }
  double sum = 0;
  std::size_t count = 0;
  for (const auto& entry : result.entries) {
    sum = std::accumulate(entry.scores.begin(), entry.scores.end(), sum);
    count += entry.scores.size();
  }
  const double mean = sum / static_cast<double>(count);
  double within = 0;
  double total = 0;
  for (const auto& entry : result.entries) {
    const double own = std::accumulate(entry.scores.begin(), entry.scores.end(), 0.0) / static_cast<double>(entry.scores.size());
    for (const double score : entry.scores) {
      within += (score - own) * (score - own);
      total += (score - mean) * (score - mean);
    }
  }
  result.share = total > 0 ? within / total : 1;
  const auto best = std::min_element(result.entries.begin(), result.entries.end(), [](const auto& a, const auto& b) {
    return median(a.scores) < median(b.scores);
  });
  double upsets = 0;
  for (auto other = result.entries.begin(); other != result.entries.end(); ++other) {
    if (other != best) upsets += probability_smaller(other->scores, best->scores);
  }
  result.upset = upsets / static_cast<double>(result.entries.size() - 1);
  return result;
}

}  // namespace duet
