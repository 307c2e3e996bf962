#pragma once
/// Gaussian processes of what trials give: one for each target, for each constraint on metrics and, where trials fail,
/// for failing. Kept up to date trial by trial, so that a proposal among n trials costs O(n²), and among many trials no more than among `max_rows`.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/learn/gaussian_process.hpp"
#include "core/pareto.hpp"
#include "search/hypervolume_improvement.hpp"
#include "search/model_based.hpp"
#include "search/strategy.hpp"

namespace duet {

struct SurrogateSettings {
  /// Rows that a process is conditioned on at most. Beyond it, half of them are the best by non-dominated rank and half
  /// are drawn from the rest; more follow as they are told until a quarter more stand there, and it is chosen anew.
  std::size_t max_rows = 300;
  std::size_t max_tuning_rows = 100;  ///< the same for the hyperparameters
  double tuning_growth = 1.25;        ///< they are fitted anew when the trials have grown by this factor
  bool noisy = false;                 ///< results of a candidate vary: incumbents are what the model believes
};

class GaussianSurrogate {
 public:
  GaussianSurrogate(const SpaceRows& rows, std::size_t targets, std::uint64_t seed, SurrogateSettings settings);

  /// Takes in what was told since the last call (`told` grows at its end) and what is pending. `targets` has for each
  /// successful trial, in order, the values to be learnt, all to be minimised; they may change from call to call.
  /// A pending candidate counts as told with the mean that is expected of it (Ginsbourger et al., "Kriging is
  /// well-suited to parallelize optimization", 2010: the kriging believer).
  void update(std::span<const FinishedTrial> told, const std::vector<Point>& targets,
              std::span<const Candidate> pending);

  /// All on the model's scale: each target by learn::half_rank or learn::log_above_least, whichever makes what is known
  /// likelier (after Snelson, Rasmussen and Ghahramani, "Warped Gaussian processes", NeurIPS 2003), then mean 0 and
  /// deviation 1.
  struct Prediction {
    std::vector<std::vector<double>> mean, deviation;  ///< by target and candidate
    std::vector<double> log_feasible;                  ///< log of the probability that the trial is feasible
  };
  Prediction predict(std::span<const Candidate> candidates) const;
  /// Means only: much cheaper.
  std::vector<Point> predict_means(std::span<const Candidate> candidates) const;

  /// By how many deviations of their models, in sum, each candidate is expected to miss the constraints; 0: feasible.
  std::vector<double> predict_infeasible(std::span<const Candidate> candidates) const;

  /// The feasible trials, and what is believed of pending ones, on the model's scale.
  const std::vector<Point>& incumbents() const { return incumbents_; }
  /// How the model's scale of each target relates to a linear scale.
  const std::vector<Axis>& axes() const { return axes_; }
  /// The worst value of each target so far, on the model's scale.
  const Point& worst() const { return worst_; }

 private:
  struct Process {
    explicit Process(const std::vector<learn::Column>& columns) : model(columns) {}

    learn::GaussianProcess model;
    std::vector<std::size_t> rows;  // what it is conditioned on
    std::vector<double> values;     // standardised targets of all rows
    std::size_t tunings = 0;
    std::size_t warp = 0;                     // targets: which scale
    std::vector<std::vector<double>> thetas;  // targets: the hyperparameters on each scale, once tuned

    /// Takes in values, standardised. \returns the standardised limit.
    double learn(std::vector<double> natural, double limit);
  };
  std::vector<std::size_t> choose(const std::vector<Point>& targets, std::size_t count, std::uint64_t key) const;
  void scale(const std::vector<Point>& targets, bool choose_anew);
  void choose_warp(Process& process, std::span<const double> natural, const std::vector<std::size_t>& rows);
  double tune(Process& process, const std::vector<double>& data, const std::vector<std::size_t>& rows,
              const std::vector<double>& values, bool restart) const;
  void tune(std::vector<Process>& processes, const std::vector<double>& data, const std::vector<Point>& targets) const;
  void fit(std::vector<Process>& processes, const std::vector<double>& data, const std::vector<Point>& targets,
           bool tuned);

  const SpaceRows* space_;
  std::uint64_t seed_;
  SurrogateSettings settings_;
  std::size_t taken_ = 0;               // of `told`
  std::vector<double> success_rows_;    // successful trials
  std::vector<double> all_rows_;        // all trials
  std::vector<std::size_t> successes_;  // their positions in `told`
  std::vector<Process> processes_;      // by target
  std::vector<Process> constraints_;    // by constraint, once one of them was not met
  std::vector<double> constraint_limits_;
  std::vector<Process> failure_;        // one, once a trial failed
  double failure_limit_ = 0;
  std::size_t next_tuning_ = 0, next_constraint_tuning_ = 0, next_failure_tuning_ = 0;
  std::vector<Axis> axes_;
  std::vector<Point> incumbents_;
  Point worst_;
};

/// Excesses on a scale that is fine about the bound and coarse far from it (the bilog transform of Eriksson and
/// Poloczek, "Scalable constrained Bayesian optimization", AISTATS 2021), in units of the median distance from the bound.
std::vector<double> about_the_bound(std::vector<double> excesses);

/// Logarithm of the expected improvement of the first target over the best incumbent, plus that of the probability of
/// being feasible, which alone counts while there is no incumbent (Jones et al. 1998; Gardner et al., ICML 2014). Refers
/// to the surrogate as it is when it is called.
Acquisition expected_improvement(const GaussianSurrogate& surrogate);

}  // namespace duet
