#include <algorithm>
#include <limits>
#include <utility>

#include "search/builtin.hpp"
#include "search/genetic_algorithm.hpp"

namespace duet {
namespace {

/// SMS-EMOA: Beume, Naujoks and Emmerich, "SMS-EMOA: multiobjective selection based on dominated hypervolume", European
/// J. Operational Research 181(3), 2007. Steady-state: whenever a trial is told, the individual leaves that adds least
/// to the hypervolume of the last front.
class SmsEmoa final : public GeneticAlgorithm {
 public:
  SmsEmoa(const Problem& problem, const Options& options)
      : GeneticAlgorithm(problem, options, Pace::trial), tournaments_(options.text("mating") == "tournament") {}

 protected:
  void survive() override {
    join();
    if (parents_.size() <= population_size_) return;
    assign_ranks(parents_);
    std::size_t last = 0;
    for (const Individual& individual : parents_) last = std::max(last, individual.rank);
    std::vector<std::size_t> front;
    for (std::size_t i = 0; i < parents_.size(); ++i) {
      if (parents_[i].rank == last) front.push_back(i);
    }
    parents_.erase(parents_.begin() + static_cast<std::ptrdiff_t>(front.size() == 1 ? front.front() : least(front)));
  }

  bool before(const Individual& a, const Individual& b) const override { return tournaments_ && a.rank < b.rank; }

 private:
  /// The member of a front that adds least. Objectives are normalised to the front's range, so that their units do not
  /// matter; the reference point lies beyond the worst values by the distance of neighbours in an even front (Ishibuchi,
  /// Imada, Setoguchi and Nojima, Evolutionary Computation 26(3), 2018), and the extremes of two objectives stay.
  std::size_t least(const std::vector<std::size_t>& front) const {
    const std::size_t objectives = parents_[front.front()].objectives.size();
    if (parents_[front.front()].violation > 0) return front.back();  // of equal violation
    Point low(objectives, std::numeric_limits<double>::infinity());
    Point high(objectives, -std::numeric_limits<double>::infinity());
    for (const std::size_t i : front) {
      for (std::size_t k = 0; k < objectives; ++k) {
        low[k] = std::min(low[k], parents_[i].objectives[k]);
        high[k] = std::max(high[k], parents_[i].objectives[k]);
      }
    }
    std::vector<Point> points;
    for (const std::size_t i : front) {
      Point point(objectives, 0);
      for (std::size_t k = 0; k < objectives; ++k) {
        // Halves, so that no difference of finite values overflows.
        const double range = high[k] / 2 - low[k] / 2;
        if (range > 0) point[k] = (parents_[i].objectives[k] / 2 - low[k] / 2) / range;
      }
      points.push_back(std::move(point));
    }
    const double margin = objectives == 2 ? 1 : 0.1;
    const std::vector<double> adds = hypervolume_contributions(points, Point(objectives, 1 + margin));
    return front[static_cast<std::size_t>(std::min_element(adds.begin(), adds.end()) - adds.begin())];
  }

  bool tournaments_;
};

}  // namespace

StrategyPlugin sms_emoa_strategy() {
  std::vector<Option> options = genetic_options("100");
  for (Option& option : options) {  // measured for this strategy: docs/strategies/sms_emoa.md
    if (option.name == "crossover_rate") option.fallback = "1";
    if (option.name == "difference_rate") option.fallback = "0.15";
  }
  options.push_back({.name = "mating",
                     .kind = Option::Kind::word,
                     .fallback = "tournament",
                     .sentence = "Parents win a tournament by rank, or are any members (as in the paper).",
                     .words = {"tournament", "random"}});
  return {
      .name = "sms_emoa",
      .summary = "Steady-state genetic algorithm that keeps the population of largest hypervolume.",
      .source =
          "Beume et al., SMS-EMOA: multiobjective selection based on dominated hypervolume, "
          "European J. Operational Research 181(3), 2007",
      .options = std::move(options),
      .capabilities = {.max_objectives = 6, .constraints = true},
      .create = [](const Problem& problem,
                   const Options& given) { return std::make_unique<SmsEmoa>(problem, given); },
  };
}

}  // namespace duet
