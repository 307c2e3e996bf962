#include <algorithm>
#include <cmath>
#include <limits>

#include "core/learn/forest.hpp"
#include "core/learn/normal.hpp"
#include "search/builtin.hpp"
#include "search/model_based.hpp"

namespace duet {
namespace {

/// SMAC (Hutter, Hoos and Leyton-Brown 2011): expected improvement under a random forest, which takes categories and
/// conditional parameters as they are. A share of the trials is random, so that the forest cannot mislead for ever.
class Smac final : public ModelBased {
 public:
  Smac(const Problem& problem, const Options& options)
      : ModelBased(problem, static_cast<std::uint64_t>(options.integer("initial")), options.integer("pretrain")),
        evaluations_(static_cast<std::size_t>(options.integer("evaluations"))),
        random_share_(options.number("random_share")) {
    settings_.trees = static_cast<std::size_t>(options.integer("trees"));
  }

 protected:
  std::optional<Candidate> propose(std::uint64_t number, std::span<const Candidate> pending, Random& random) override {
    if (random.chance(random_share_)) return std::nullopt;
    for (; taken_ < told().size(); ++taken_) {
      const FinishedTrial& trial = told()[taken_];
      rows().append(trial.candidate, all_rows_);
      if (!trial.feasible()) any_infeasible_ = true;
      feasibility_.push_back(trial.feasible() ? 0 : 1);
      if (!trial.ok()) continue;
      rows().append(trial.candidate, rows_);
      values_.push_back(trial.objectives.front());
      if (trial.feasible()) best_ = std::min(best_, trial.objectives.front());
    }
    // The forest grows anew for every trial at first, later when there are two percent more.
    if (values_.size() >= next_fit_ || !pending.empty()) {
      next_fit_ = values_.size() + 1 + values_.size() / 50;
      fit(number, pending);
    }

    const double best = std::min(best_, *std::max_element(values_.begin(), values_.end()));
    const double scaled_best = scale_.to_standard(best);
    const double unit = scale_.width(1);
    const bool any = best_ < std::numeric_limits<double>::infinity();
    const Acquisition acquisition = [&](std::span<const Candidate> candidates) {
      std::vector<double> scores;
      std::vector<double> row;
      for (const Candidate& candidate : candidates) {
        row.clear();
        rows().append(candidate, row);
        double score = 0;
        if (any) {
          const learn::Forest::Prediction prediction = forest_.predict(row);
          score = learn::log_expected_improvement(scaled_best, scale_.to_standard(prediction.mean),
                                                  std::sqrt(prediction.variance) / unit);
        }
        if (any_infeasible_) {
          const double infeasible = feasibility_forest_.predict(row).mean;
          score += std::log(std::clamp(1 - infeasible, 0.01, 1.0));
        }
        scores.push_back(score);
      }
      return scores;
    };
    const AcquisitionSearch search{.evaluations = evaluations_, .random = evaluations_ / 3};
    return maximize_acquisition(space(), acquisition, fittest(told(), 10, random), seen(), random, search);
  }

 private:
  void fit(std::uint64_t number, std::span<const Candidate> pending) {
    std::vector<double> warped = learn::half_rank(values_);
    scale_ = learn::Scale(warped);
    forest_ = learn::Forest(rows().columns(), rows().view(rows_), warped, settings_, problem().random(number, "forest"));
    if (any_infeasible_) {
      feasibility_forest_ = learn::Forest(rows().columns(), rows().view(all_rows_), feasibility_, settings_,
                                          problem().random(number, "feasibility forest"));
    }
    if (pending.empty()) return;
    // A pending trial counts as told with what is expected of it.
    std::vector<double> with_pending = rows_;
    for (const Candidate& candidate : pending) {
      const std::size_t begin = with_pending.size();
      rows().append(candidate, with_pending);
      warped.push_back(forest_.predict(std::span(with_pending).subspan(begin)).mean);
    }
    forest_ = learn::Forest(rows().columns(), rows().view(with_pending), warped, settings_,
                            problem().random(number, "forest with pending"));
  }

  std::size_t evaluations_;
  double random_share_;
  learn::ForestSettings settings_;
  std::size_t taken_ = 0;
  std::vector<double> rows_, values_;           // of successful trials
  std::vector<double> all_rows_, feasibility_;  // of all trials; 1: infeasible
  bool any_infeasible_ = false;
  double best_ = std::numeric_limits<double>::infinity();
  std::size_t next_fit_ = 0;
  learn::Scale scale_;
  learn::Forest forest_, feasibility_forest_;
};

}  // namespace

StrategyPlugin smac_strategy() {
  return {
      .name = "smac",
      .summary = "Bayesian optimisation of one objective: random forest and expected improvement.",
      .source = "Hutter, Hoos and Leyton-Brown, Sequential model-based optimization for general algorithm configuration, "
                "LION 2011",
      .options = {{.name = "initial",
                   .kind = Option::Kind::integer,
                   .fallback = "10",
                   .sentence = "Trials at random, spread over the space, before the model is asked.",
                   .minimum = 2,
                   .maximum = 1'000'000},
                  {.name = "evaluations",
                   .kind = Option::Kind::integer,
                   .fallback = "300",
                   .sentence = "Candidates that the model looks at for each trial, about.",
                   .minimum = 10,
                   .maximum = 1'000'000},
                  {.name = "trees",
                   .kind = Option::Kind::integer,
                   .fallback = "20",
                   .sentence = "Trees of the forest.",
                   .minimum = 2,
                   .maximum = 10'000},
                  pretrain_option("0"),
                  {.name = "random_share",
                   .kind = Option::Kind::number,
                   .fallback = "0.1",
                   .sentence = "Share of the later trials that are random.",
                   .minimum = 0,
                   .maximum = 1}},
      .capabilities = {.max_objectives = 1, .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<Smac>(problem, options); },
  };
}

}  // namespace duet
