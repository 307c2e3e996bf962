#include "search/gaussian_surrogate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/learn/normal.hpp"
#include "core/pareto.hpp"
#include "search/gp_options.hpp"

namespace duet {
namespace {

constexpr std::size_t first_tuning_evaluations = 24;
constexpr std::size_t tuning_evaluations = 10;  // from where they were before

/// Whether all that is known of a trial that is not feasible is that it is not.
bool plainly_infeasible(const FinishedTrial& trial) {
  return !trial.ok() || (trial.violation > 0 && trial.excess.empty());
}

constexpr std::size_t warps = 2;

struct Warped {
  std::vector<double> values;  // standardised
  Axis axis;
};

/// Values on a scale for the model, and how it relates to theirs.
Warped warped(std::span<const double> natural, std::size_t warp) {
  constexpr std::size_t knots = 16;
  Warped result;
  result.values = warp == 0 ? learn::half_rank(natural) : learn::log_above_least(natural);
  const learn::Scale standard(result.values);
  for (double& value : result.values) value = standard.to_standard(value);
  std::vector<std::pair<double, double>> pairs;
  for (std::size_t i = 0; i < natural.size(); ++i) pairs.emplace_back(result.values[i], natural[i]);
  std::sort(pairs.begin(), pairs.end());
  Axis& axis = result.axis;
  for (std::size_t i = 0; i < knots && !pairs.empty(); ++i) {
    const auto [on_model, on_natural] = pairs[i * (pairs.size() - 1) / (knots - 1)];
    // Steps too small for a slope are passed over.
    if (axis.model.empty() || (on_model > axis.model.back() + 1e-9 && on_natural > axis.natural.back())) {
      axis.model.push_back(on_model);
      axis.natural.push_back(on_natural);
    }
  }
  return result;
}

/// Logarithm of the slope of the model's scale at a value: what makes likelihoods on different scales comparable.
double log_slope(const Axis& axis, double natural) {
  if (axis.model.size() < 2) return 0;
  const auto after = std::lower_bound(axis.natural.begin(), axis.natural.end(), natural) - axis.natural.begin();
  const auto i = std::clamp<std::size_t>(static_cast<std::size_t>(after), 1, axis.model.size() - 1);
  return std::log((axis.model[i] - axis.model[i - 1]) / (axis.natural[i] - axis.natural[i - 1]));
}

}  // namespace

std::vector<double> about_the_bound(std::vector<double> excesses) {
  std::vector<double> distances;
  for (double& value : excesses) {
    value = std::clamp(value, -1e100, 1e100);
    if (value != 0) distances.push_back(std::abs(value));
  }
  if (distances.empty()) return excesses;
  const auto middle = distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2);
  std::nth_element(distances.begin(), middle, distances.end());
  const double unit = *middle;
  for (double& value : excesses) value = std::copysign(std::log1p(std::abs(value) / unit), value);
  return excesses;
}

GaussianSurrogate::GaussianSurrogate(const SpaceRows& rows, std::size_t targets, std::uint64_t seed,
                                     SurrogateSettings settings)
    : space_(&rows), seed_(seed), settings_(settings) {
  for (std::size_t k = 0; k < targets; ++k) processes_.emplace_back(rows.columns());
}

/// `count` rows, ascending: half of them the best, the others at random.
std::vector<std::size_t> GaussianSurrogate::choose(const std::vector<Point>& targets, std::size_t count,
                                                   std::uint64_t key) const {
  std::vector<std::size_t> order(targets.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (targets.size() <= count) return order;
  const std::vector<std::size_t> ranks = non_dominated_ranks(targets);
  Random random(seed_, "surrogate rows", key);
  random.shuffle(order);
  const auto best = order.begin() + static_cast<std::ptrdiff_t>(count / 2);
  std::nth_element(order.begin(), best, order.end(), [&](std::size_t a, std::size_t b) {
    return ranks[a] != ranks[b] ? ranks[a] < ranks[b] : a < b;
  });
  std::sort(best, order.end());
  for (std::size_t i = count / 2; i < count; ++i) {  // the rest in random order
    std::swap(order[i], order[i + random.below(order.size() - i)]);
  }
  order.resize(count);
  std::sort(order.begin(), order.end());
  return order;
}

/// Fits the hyperparameters to the values of all rows, of which some are looked at. \returns the negative logarithm of
/// their density.
double GaussianSurrogate::tune(Process& process, const std::vector<double>& data, const std::vector<std::size_t>& rows,
                               const std::vector<double>& values, bool restart) const {
  std::vector<double> some, targets;
  for (const std::size_t row : rows) {
    const std::span<const double> cells = space_->view(data)[row];
    some.insert(some.end(), cells.begin(), cells.end());
    targets.push_back(values[row]);
  }
  return process.model.tune(space_->view(some), targets, restart ? first_tuning_evaluations : tuning_evaluations,
                            restart);
}

void GaussianSurrogate::tune(std::vector<Process>& processes, const std::vector<double>& data,
                             const std::vector<Point>& targets) const {
  const std::vector<std::size_t> rows = choose(targets, settings_.max_tuning_rows, 2 * targets.size());
  for (Process& process : processes) tune(process, data, rows, process.values, process.tunings++ % 4 == 0);
}

/// Tunes the model on each scale, and keeps the one on which the targets as they are have the largest density.
void GaussianSurrogate::choose_warp(Process& process, std::span<const double> natural,
                                    const std::vector<std::size_t>& rows) {
  const bool restart = process.tunings++ % 4 == 0;
  process.thetas.resize(warps, process.model.hyperparameters());
  double best = -std::numeric_limits<double>::infinity();
  process.warp = 0;
  for (std::size_t warp = 0; warp < warps; ++warp) {
    const Warped candidate = warped(natural, warp);
    process.model.set_hyperparameters(process.thetas[warp]);
    double score = -tune(process, success_rows_, rows, candidate.values, restart);
    process.thetas[warp] = process.model.hyperparameters();
    for (const std::size_t row : rows) score += log_slope(candidate.axis, natural[row]);
    if (score > best) {
      best = score;
      process.warp = warp;
    }
  }
  process.model.set_hyperparameters(process.thetas[process.warp]);
}

/// Targets to the model's scale, and how it relates to the natural one. Where it is time to, the scale is chosen anew.
void GaussianSurrogate::scale(const std::vector<Point>& targets, bool choose_anew) {
  axes_.assign(processes_.size(), {});
  std::vector<std::size_t> rows;
  if (choose_anew) rows = choose(targets, settings_.max_tuning_rows, 2 * targets.size());
  for (std::size_t k = 0; k < processes_.size(); ++k) {
    std::vector<double> natural;
    for (const Point& point : targets) natural.push_back(point[k]);
    const learn::Scale linear(natural);
    for (double& value : natural) value = linear.to_standard(value);
    if (choose_anew) choose_warp(processes_[k], natural, rows);
    Warped result = warped(natural, processes_[k].warp);
    processes_[k].values = std::move(result.values);
    axes_[k] = std::move(result.axis);
  }
}

void GaussianSurrogate::fit(std::vector<Process>& processes, const std::vector<double>& data,
                            const std::vector<Point>& targets, bool tuned) {
  const learn::Rows all = space_->view(data);
  const std::size_t n = targets.size();
  const auto gather = [&](const std::vector<std::size_t>& rows) {
    std::vector<double> gathered;
    for (const std::size_t row : rows) gathered.insert(gathered.end(), all[row].begin(), all[row].end());
    return gathered;
  };
  std::vector<std::size_t>& rows = processes.front().rows;
  const std::size_t fresh = n - (rows.empty() ? 0 : rows.back() + 1);
  if (tuned || rows.empty() || rows.size() + fresh > settings_.max_rows + settings_.max_rows / 4) {
    rows = choose(targets, settings_.max_rows, 2 * n + 1);
    if (rows.back() != n - 1) rows.back() = n - 1;  // so that it is known up to where they were considered
    const std::vector<double> some = gather(rows);
    for (Process& process : processes) process.model.condition(space_->view(some));
  } else {
    const std::size_t known = rows.size();
    for (Process& process : processes) process.model.truncate(known);  // without what was pending
    for (std::size_t row = n - fresh; row < n; ++row) {
      rows.push_back(row);
      for (Process& process : processes) process.model.append(all[row]);
    }
  }
  for (Process& process : processes) {
    process.rows = processes.front().rows;
    std::vector<double> values;
    for (const std::size_t row : process.rows) values.push_back(process.values[row]);
    process.model.set_targets(values);
  }
}

double GaussianSurrogate::Process::learn(std::vector<double> natural, double limit) {
  const learn::Scale standard(natural);
  for (double& value : natural) value = standard.to_standard(value);
  values = std::move(natural);
  return standard.to_standard(limit);
}

void GaussianSurrogate::update(std::span<const FinishedTrial> told, const std::vector<Point>& targets,
                               std::span<const Candidate> pending) {
  for (; taken_ < told.size(); ++taken_) {
    space_->append(told[taken_].candidate, all_rows_);
    if (!told[taken_].ok()) continue;
    space_->append(told[taken_].candidate, success_rows_);
    successes_.push_back(taken_);
  }
  const auto due = [&](std::size_t n, std::size_t& next) {
    if (n < next) return false;
    next = std::max(n + 2, static_cast<std::size_t>(static_cast<double>(n) * settings_.tuning_growth));
    return true;
  };
  const bool tune_targets = due(targets.size(), next_tuning_);
  scale(targets, tune_targets);
  fit(processes_, success_rows_, targets, tune_targets);

  // Constraints: what each lacks or has left, as soon as any trial shows that they matter.
  const std::size_t constraints = successes_.empty() ? 0 : told[successes_.front()].excess.size();
  const bool any_excess = std::any_of(told.begin(), told.end(), [](const FinishedTrial& trial) {
    return trial.ok() && trial.violation > 0 && !trial.excess.empty();
  });
  if (any_excess) {
    if (constraints_.empty()) {
      for (std::size_t c = 0; c < constraints; ++c) constraints_.emplace_back(space_->columns());
    }
    constraint_limits_.clear();
    for (std::size_t c = 0; c < constraints_.size(); ++c) {
      std::vector<double> excesses;
      for (const std::size_t i : successes_) excesses.push_back(told[i].excess[c]);
      constraint_limits_.push_back(constraints_[c].learn(about_the_bound(std::move(excesses)), 0));
    }
    const bool tune_constraints = due(targets.size(), next_constraint_tuning_);
    if (tune_constraints) tune(constraints_, success_rows_, targets);
    fit(constraints_, success_rows_, targets, tune_constraints);
  }
  // Failures: a classification by regression on -1 and 1.
  if (std::any_of(told.begin(), told.end(), plainly_infeasible)) {
    if (failure_.empty()) failure_.emplace_back(space_->columns());
    std::vector<double> labels;
    std::vector<Point> label_points;
    for (const FinishedTrial& trial : told) {
      labels.push_back(plainly_infeasible(trial) ? 1 : -1);
      label_points.push_back({labels.back()});
    }
    failure_limit_ = failure_.front().learn(labels, 0);
    const bool tune_failure = due(told.size(), next_failure_tuning_);
    if (tune_failure) tune(failure_, all_rows_, label_points);
    fit(failure_, all_rows_, label_points, tune_failure);
  }

  // Incumbents before the believers, which may become some.
  worst_.assign(processes_.size(), -std::numeric_limits<double>::infinity());
  incumbents_.clear();
  for (std::size_t i = 0; i < successes_.size(); ++i) {
    Point point;
    for (std::size_t k = 0; k < processes_.size(); ++k) {
      point.push_back(processes_[k].values[i]);
      worst_[k] = std::max(worst_[k], point[k]);
    }
    if (told[successes_[i]].feasible()) incumbents_.push_back(std::move(point));
  }
  if (settings_.noisy) {
    incumbents_.clear();
    std::vector<Candidate> candidates;
    for (const std::size_t row : processes_.front().rows) {
      if (told[successes_[row]].feasible()) candidates.push_back(told[successes_[row]].candidate);
    }
    incumbents_ = predict_means(candidates);
  }

  for (const Candidate& candidate : pending) {
    const std::vector<double> row = space_->rows(std::span(&candidate, 1));
    const auto believe = [&](Process& process) {
      double mean = 0;
      process.model.predict_mean(space_->view(row), std::span(&mean, 1));
      std::vector<double> values(process.model.targets().begin(), process.model.targets().end());
      values.push_back(mean);
      process.model.append(row);
      process.model.set_targets(values);
      return mean;
    };
    Point believed;
    for (Process& process : processes_) believed.push_back(believe(process));
    incumbents_.push_back(std::move(believed));
    for (Process& process : constraints_) believe(process);
    for (Process& process : failure_) believe(process);
  }
}

GaussianSurrogate::Prediction GaussianSurrogate::predict(std::span<const Candidate> candidates) const {
  const std::vector<double> rows = space_->rows(candidates);
  Prediction prediction;
  std::vector<double> mean(candidates.size()), variance(candidates.size());
  for (const Process& process : processes_) {
    process.model.predict(space_->view(rows), mean, variance);
    // Where results repeat, what the columns cannot explain belongs to the result of a new candidate, too.
    const double noise = settings_.noisy ? 0 : process.model.noise_variance();
    prediction.mean.push_back(mean);
    for (double& value : variance) value = std::sqrt(value + noise);
    prediction.deviation.push_back(variance);
  }
  prediction.log_feasible.assign(candidates.size(), 0);
  const auto multiply = [&](const Process& process, double limit) {
    process.model.predict(space_->view(rows), mean, variance);
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const double deviation = std::sqrt(variance[i] + process.model.noise_variance());
      prediction.log_feasible[i] += learn::log_normal_cdf((limit - mean[i]) / deviation);
    }
  };
  for (std::size_t c = 0; c < constraints_.size(); ++c) multiply(constraints_[c], constraint_limits_[c]);
  for (const Process& process : failure_) multiply(process, failure_limit_);
  return prediction;
}

std::vector<Point> GaussianSurrogate::predict_means(std::span<const Candidate> candidates) const {
  const std::vector<double> rows = space_->rows(candidates);
  std::vector<Point> points(candidates.size(), Point(processes_.size()));
  std::vector<double> mean(candidates.size());
  for (std::size_t k = 0; k < processes_.size(); ++k) {
    processes_[k].model.predict_mean(space_->view(rows), mean);
    for (std::size_t i = 0; i < candidates.size(); ++i) points[i][k] = mean[i];
  }
  return points;
}

std::vector<double> GaussianSurrogate::predict_infeasible(std::span<const Candidate> candidates) const {
  std::vector<double> doubt(candidates.size(), 0);
  const std::vector<double> rows = space_->rows(candidates);
  std::vector<double> mean(candidates.size());
  const auto add = [&](const Process& process, double limit) {
    process.model.predict_mean(space_->view(rows), mean);
    for (std::size_t i = 0; i < doubt.size(); ++i) doubt[i] += std::max(0.0, mean[i] - limit);
  };
  for (std::size_t c = 0; c < constraints_.size(); ++c) add(constraints_[c], constraint_limits_[c]);
  for (const Process& process : failure_) add(process, failure_limit_);
  return doubt;
}

// --- Options

std::vector<Option> gp_options(std::string_view pretrain) {
  return {{.name = "initial",
           .kind = Option::Kind::integer,
           .fallback = "10",
           .sentence = "Trials at random, spread over the space, before the model is asked.",
           .minimum = 2,
           .maximum = 1'000'000},
          {.name = "evaluations",
           .kind = Option::Kind::integer,
           .fallback = "500",
           .sentence = "Candidates that the model looks at for each trial, about; fewer from 150 trials on.",
           .minimum = 10,
           .maximum = 1'000'000},
          {.name = "max_rows",
           .kind = Option::Kind::integer,
           .fallback = "300",
           .sentence = "Trials that the model stands on at most; of more, the best half and a random half.",
           .minimum = 10,
           .maximum = 10'000},
          pretrain_option(pretrain),
          {.name = "noisy",
           .kind = Option::Kind::boolean,
           .fallback = "false",
           .sentence = "Whether measuring a design again would give something else."}};
}

std::uint64_t gp_initial(const Options& options) { return static_cast<std::uint64_t>(options.integer("initial")); }

AcquisitionSearch gp_search(const Options& options, std::size_t trials) {
  // A prediction costs the square of the rows, while the model needs less of a search the better it knows the space.
  const double rows = static_cast<double>(std::min(trials, gp_settings(options).max_rows));
  const double share = std::min(1.0, 150 / std::max(1.0, rows));
  const auto evaluations = static_cast<std::size_t>(static_cast<double>(options.integer("evaluations")) * share);
  return {.evaluations = evaluations, .random = evaluations / 5};
}

SurrogateSettings gp_settings(const Options& options) {
  return {.max_rows = static_cast<std::size_t>(options.integer("max_rows")), .noisy = options.boolean("noisy")};
}

Acquisition expected_improvement(const GaussianSurrogate& surrogate) {
  double best = std::numeric_limits<double>::infinity();
  for (const Point& point : surrogate.incumbents()) best = std::min(best, point.front());
  const bool any = best < std::numeric_limits<double>::infinity();
  return [&surrogate, best, any](std::span<const Candidate> candidates) {
    const GaussianSurrogate::Prediction prediction = surrogate.predict(candidates);
    std::vector<double> scores = prediction.log_feasible;
    for (std::size_t i = 0; i < scores.size() && any; ++i) {
      scores[i] += learn::log_expected_improvement(best, prediction.mean[0][i], prediction.deviation[0][i]);
    }
    return scores;
  };
}

}  // namespace duet
