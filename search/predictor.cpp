#include "search/predictor.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/learn/normal.hpp"

namespace duet {
namespace {

constexpr std::size_t networks = 3;
constexpr std::size_t pretraining_steps = 2000;

}  // namespace

Predictor::Kind Predictor::kind(const std::string& name) {
  return name == "gp" ? Kind::gp : name == "forest" ? Kind::forest : name == "ridge" ? Kind::ridge : Kind::network;
}

Predictor::Predictor(const Problem& problem, const SpaceRows& rows, Kind kind)
    : problem_(problem), rows_(&rows), kind_(kind), surrogate_(rows, problem.objectives.size(), problem.seed, {}) {
  if (kind_ != Kind::network) return;
  const std::size_t width = learn::one_hot_size(rows.columns());
  const FreeStatistics& statistics = rows.statistics();
  const std::vector<double> data = rows.rows(statistics.designs());
  const std::vector<double> features = learn::one_hot(rows.columns(), rows.view(data));
  for (std::size_t k = 0; k < networks; ++k) {
    pretrained_.emplace_back(width, learn::NetworkSettings{.hidden = 32}, Random(problem.seed, "predictor network", k));
    Random random(problem.seed, "predictor pretraining", k);
    pretrained_.back().pretrain({features, width}, statistics.standardised(), pretraining_steps, random);
  }
}

Predictor::Regressor Predictor::learn(std::uint64_t number, std::size_t k, std::span<const double> data,
                                      std::span<const double> features, const std::vector<double>& values) const {
  const std::size_t width = learn::one_hot_size(rows_->columns());
  Regressor regressor;
  if (kind_ == Kind::forest) {
    regressor.forest = learn::Forest(rows_->columns(), rows_->view(data), values, learn::ForestSettings{.trees = 30},
                                     problem_.random(number, "forest " + std::to_string(k)));
  } else if (kind_ == Kind::ridge) {
    regressor.ridge = learn::Ridge({features, width}, values);
  } else {
    regressor.networks = pretrained_;
    for (std::size_t i = 0; i < networks; ++i) {
      Random random = problem_.random(number, "predictor " + std::to_string(k) + " training " + std::to_string(i));
      regressor.networks[i].train({features, width}, values, 150 + values.size(), random);
    }
  }
  return regressor;
}

void Predictor::fit(std::uint64_t number, std::span<const FinishedTrial> told, const std::vector<Point>& targets) {
  if (kind_ == Kind::gp) {
    surrogate_.update(told, targets, {});
    return;
  }
  std::vector<double> data;
  std::vector<std::vector<double>> missed;  // by constraint, or of all in sum where no more is known
  bool any_infeasible = false;
  for (const FinishedTrial& trial : told) {
    if (!trial.ok()) continue;
    rows_->append(trial.candidate, data);
    any_infeasible = any_infeasible || trial.violation > 0;
    missed.resize(trial.excess.empty() ? 1 : trial.excess.size());
    for (std::size_t c = 0; c < missed.size(); ++c) {
      missed[c].push_back(trial.excess.empty() ? (trial.violation > 0 ? 1 : -1) : trial.excess[c]);
    }
  }
  const std::vector<double> features = learn::one_hot(rows_->columns(), rows_->view(data));
  objectives_.clear();
  constraints_.clear();
  worst_.clear();
  for (std::size_t k = 0; k < problem_.objectives.size(); ++k) {
    std::vector<double> values;
    for (const Point& point : targets) values.push_back(point[k]);
    values = learn::half_rank(values);
    const learn::Scale scale(values);
    for (double& value : values) value = scale.to_standard(value);
    worst_.push_back(*std::max_element(values.begin(), values.end()));
    objectives_.push_back(learn(number, k, data, features, values));
  }
  for (std::size_t c = 0; any_infeasible && c < missed.size(); ++c) {
    const std::vector<double> values = about_the_bound(std::move(missed[c]));  // 0 stays where it is
    constraints_.push_back(learn(number, objectives_.size() + c, data, features, values));
  }
}

double Predictor::predict(const Regressor& regressor, std::span<const double> row,
                          std::span<const double> features) const {
  if (kind_ == Kind::forest) return regressor.forest.predict(row).mean;
  if (kind_ == Kind::ridge) return regressor.ridge.predict(features);
  double sum = 0;
  for (const learn::Network& network : regressor.networks) sum += network.predict(features).mean;
  return sum / static_cast<double>(networks);
}

std::vector<Point> Predictor::predict(std::span<const Candidate> candidates) const {
  if (kind_ == Kind::gp) {
    std::vector<Point> points = surrogate_.predict_means(candidates);
    const std::vector<double> doubt = surrogate_.predict_infeasible(candidates);
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (doubt[i] <= 0) continue;
      for (std::size_t k = 0; k < points[i].size(); ++k) points[i][k] = surrogate_.worst()[k] + doubt[i];
    }
    return points;
  }
  const std::vector<double> data = rows_->rows(candidates);
  const std::size_t width = learn::one_hot_size(rows_->columns());
  const std::vector<double> features = learn::one_hot(rows_->columns(), rows_->view(data));
  std::vector<Point> points;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const std::span<const double> row = rows_->view(data)[i];
    const std::span<const double> own = std::span(features).subspan(i * width, width);
    double doubt = 0;
    for (const Regressor& constraint : constraints_) doubt += std::max(0.0, predict(constraint, row, own));
    Point point;
    for (std::size_t k = 0; k < objectives_.size(); ++k) {
      point.push_back(doubt > 0 ? worst_[k] + doubt : predict(objectives_[k], row, own));
    }
    points.push_back(std::move(point));
  }
  return points;
}

}  // namespace duet
