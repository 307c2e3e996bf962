#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/learn/network.hpp"
#include "core/learn/normal.hpp"
#include "search/builtin.hpp"
#include "search/model_based.hpp"

namespace duet {
namespace {

/// BOSHNAS (Tuli, Dedhia, Tuli and Jha 2022): networks that predict a mean and its own scatter, several of them so that
/// their disagreement shows what is not known; the next trial minimises mean - k₁ scatter - k₂ disagreement, which is
/// found by second-order descent from inputs to inputs through the networks (GOBI) over the relaxed encoding of the
/// space, and then decoded. Where the paper has one student network that learns the teacher's disagreement, there are
/// `networks` teachers here.
class Boshnas final : public ModelBased {
 public:
  Boshnas(const Problem& problem, const Options& options)
      : ModelBased(problem, static_cast<std::uint64_t>(options.integer("initial")), options.integer("pretrain")),
        scatter_weight_(options.number("scatter_weight")),
        disagreement_weight_(options.number("disagreement_weight")),
        descents_(static_cast<std::size_t>(options.integer("descents"))),
        random_share_(options.number("random_share")) {
    settings_.hidden = static_cast<std::size_t>(options.integer("hidden"));
    for (std::int64_t k = 0; k < options.integer("networks"); ++k) {
      networks_.emplace_back(space().encoded_size(), settings_,
                             Random(problem.seed, "boshnas network", static_cast<std::uint64_t>(k)));
    }
  }

 protected:
  std::optional<Candidate> propose(std::uint64_t number, std::span<const Candidate> pending, Random& random) override {
    if (random.chance(random_share_)) return std::nullopt;
    for (; taken_ < told().size(); ++taken_) {
      const FinishedTrial& trial = told()[taken_];
      if (!trial.ok()) continue;
      const std::vector<double> encoded = space().encode(trial.candidate);
      inputs_.insert(inputs_.end(), encoded.begin(), encoded.end());
      values_.push_back(trial.objectives.front());
      violations_.push_back(trial.violation);
    }
    if (values_.size() >= next_fit_) fit(number);
    believe(number, pending);

    std::vector<Candidate> starts = fittest(told(), descents_, random);
    std::vector<Candidate> found;
    for (std::size_t k = 0; k < starts.size(); ++k) {
      // From a good design, from its mutation, from the middle between two.
      std::vector<double> input = space().encode(k % 3 == 1 ? space().mutate_one(starts[k], random) : starts[k]);
      if (k % 3 == 2) {
        const std::vector<double> other = space().encode(starts[random.below(starts.size())]);
        for (std::size_t i = 0; i < input.size(); ++i) input[i] = 0.5 * (input[i] + other[i]);
      }
      descend(input, random);
      Candidate candidate = space().decode(input);
      if (space().valid(candidate)) found.push_back(std::move(candidate));
    }
    if (found.empty()) found = std::move(starts);
    // Decoding rounds: the best new candidate among what was reached and what lies next to it.
    const Acquisition acquisition = [&](std::span<const Candidate> candidates) {
      std::vector<double> scores;
      for (const Candidate& candidate : candidates) scores.push_back(-bound(space().encode(candidate)));
      return scores;
    };
    return maximize_acquisition(space(), acquisition, found, seen(), random, {.evaluations = 90, .random = 0});
  }

 private:
  void fit(std::uint64_t number) {
    next_fit_ = values_.size() + 1 + values_.size() / 10;
    // Infeasible trials count as worse than all feasible ones, by their violation.
    double worst = -std::numeric_limits<double>::infinity();
    for (const double value : values_) worst = std::max(worst, value);
    std::vector<double> targets = learn::half_rank(values_);
    const learn::Scale scale(targets);
    const learn::Scale violation_scale(violations_);
    for (std::size_t i = 0; i < targets.size(); ++i) {
      targets[i] = scale.to_standard(targets[i]);
      if (violations_[i] > 0) targets[i] = 2 + std::max(-1.0, violation_scale.to_standard(violations_[i]));
    }
    const std::size_t n = targets.size();
    const std::size_t steps = trained_ ? 20 + n / 8 : 200;
    if (!trained_) pretrain();
    trained_ = true;
    targets_ = std::move(targets);
    train(networks_, inputs_, targets_, steps, number, "boshnas training ");
  }

  /// The networks are not given the statistics, of which the gradient is not known, but learn what they depend on.
  void pretrain() {
    const FreeStatistics& statistics = rows().statistics();
    if (statistics.size() == 0) return;
    std::vector<double> inputs;
    for (const Candidate& candidate : statistics.designs()) {
      const std::vector<double> encoded = space().encode(candidate);
      inputs.insert(inputs.end(), encoded.begin(), encoded.end());
    }
    for (std::size_t k = 0; k < networks_.size(); ++k) {
      Random random(problem().seed, "boshnas pretraining", k);
      networks_[k].pretrain({inputs, space().encoded_size()}, statistics.standardised(), pretraining_steps, random);
    }
  }

  void train(std::vector<learn::Network>& networks, std::span<const double> inputs, std::span<const double> targets,
             std::size_t steps, std::uint64_t number, const std::string& purpose) const {
    for (std::size_t k = 0; k < networks.size(); ++k) {
      Random random = problem().random(number, purpose + std::to_string(k));
      networks[k].train({inputs, space().encoded_size()}, targets, steps, random);
    }
  }

  /// A pending trial counts as told with what is expected of it: trained on that, the networks agree about it, so that
  /// the next trial is sought elsewhere.
  void believe(std::uint64_t number, std::span<const Candidate> pending) {
    present_ = &networks_;
    if (pending.empty()) return;
    std::vector<double> targets = targets_;
    std::vector<double> inputs(inputs_.begin(),
                               inputs_.begin() + static_cast<std::ptrdiff_t>(targets.size() * space().encoded_size()));
    for (const Candidate& candidate : pending) {
      const std::vector<double> encoded = space().encode(candidate);
      double mean = 0;
      for (const learn::Network& network : networks_) mean += network.predict(encoded).mean;
      targets.push_back(mean / static_cast<double>(networks_.size()));
      inputs.insert(inputs.end(), encoded.begin(), encoded.end());
    }
    believers_ = networks_;
    train(believers_, inputs, targets, 20 + targets.size() / 8, number, "boshnas training with pending ");
    present_ = &believers_;
  }

  /// The lower confidence bound; its gradient, if there is room for one.
  double bound(std::span<const double> input, std::span<double> gradient = {}) const {
    const std::vector<learn::Network>& networks = *present_;
    const std::size_t d = input.size();
    const double n = static_cast<double>(networks.size());
    std::vector<learn::Network::Prediction> predictions;
    std::vector<double> means(gradient.empty() ? 0 : d * networks.size()), deviations(means.size());
    for (std::size_t k = 0; k < networks.size(); ++k) {
      if (gradient.empty()) {
        predictions.push_back(networks[k].predict(input));
      } else {
        predictions.push_back(networks[k].predict(input, std::span(means).subspan(k * d, d),
                                                   std::span(deviations).subspan(k * d, d)));
      }
    }
    double mean = 0, scatter = 0, squares = 0;
    for (const auto& prediction : predictions) {
      mean += prediction.mean / n;
      scatter += prediction.deviation / n;
      squares += prediction.mean * prediction.mean / n;
    }
    const double disagreement = std::sqrt(std::max(1e-12, squares - mean * mean));
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      double sum = 0;
      for (std::size_t k = 0; k < networks.size(); ++k) {
        const double by_mean = means[k * d + i];
        sum += by_mean - scatter_weight_ * deviations[k * d + i] -
               disagreement_weight_ * (predictions[k].mean - mean) / disagreement * by_mean;
      }
      gradient[i] = sum / n;
    }
    return mean - scatter_weight_ * scatter - disagreement_weight_ * disagreement;
  }

  /// Second-order input optimisation: AdaHessian (Yao et al., AAAI 2021) with Hutchinson's estimate of the Hessian's
  /// diagonal, its products taken from differences of gradients; within the unit box.
  void descend(std::vector<double>& input, Random& random) const {
    constexpr int steps = 12;
    constexpr double rate = 0.15, beta1 = 0.9, beta2 = 0.99, width = 1e-3;
    const std::size_t d = input.size();
    std::vector<double> gradient(d), above(d), below(d), moment(d, 0), curvature(d, 0), sign(d), shifted(d);
    for (int step = 1; step <= steps; ++step) {
      bound(input, gradient);
      for (std::size_t i = 0; i < d; ++i) sign[i] = random.chance(0.5) ? 1 : -1;
      for (std::size_t i = 0; i < d; ++i) shifted[i] = input[i] + width * sign[i];
      bound(shifted, above);
      for (std::size_t i = 0; i < d; ++i) shifted[i] = input[i] - width * sign[i];
      bound(shifted, below);
      const double correction1 = 1 - std::pow(beta1, step), correction2 = 1 - std::pow(beta2, step);
      for (std::size_t i = 0; i < d; ++i) {
        const double diagonal = sign[i] * (above[i] - below[i]) / (2 * width);
        moment[i] = beta1 * moment[i] + (1 - beta1) * gradient[i];
        curvature[i] = beta2 * curvature[i] + (1 - beta2) * diagonal * diagonal;
        const double move = rate * moment[i] / correction1 / (std::sqrt(curvature[i] / correction2) + 0.1);
        input[i] = std::clamp(input[i] - std::clamp(move, -0.3, 0.3), 0.0, 1.0);
      }
    }
  }

  static constexpr std::size_t pretraining_steps = 2000;

  double scatter_weight_;
  double disagreement_weight_;
  std::size_t descents_;
  double random_share_;
  learn::NetworkSettings settings_;
  std::vector<learn::Network> networks_, believers_;  // believers: trained on pending trials too
  const std::vector<learn::Network>* present_ = &networks_;
  std::size_t taken_ = 0;
  std::vector<double> inputs_, values_, violations_;  // of successful trials
  std::vector<double> targets_;                       // of those at the last training, standardised
  std::size_t next_fit_ = 0;
  bool trained_ = false;
};

}  // namespace

StrategyPlugin boshnas_strategy() {
  return {
      .name = "boshnas",
      .summary = "Heteroscedastic networks as a surrogate of one objective, with second-order optimisation of the inputs.",
      .source = "Tuli, Dedhia, Tuli and Jha, FlexiBERT: Are current transformer architectures too homogeneous and rigid?, "
                "JAIR 77, 2023 (arXiv 2205.11656), section 3.4",
      .options = {{.name = "initial",
                   .kind = Option::Kind::integer,
                   .fallback = "12",
                   .sentence = "Trials at random, spread over the space, before the model is asked.",
                   .minimum = 2,
                   .maximum = 1'000'000},
                  {.name = "networks",
                   .kind = Option::Kind::integer,
                   .fallback = "3",
                   .sentence = "Networks whose disagreement says what is not known.",
                   .minimum = 2,
                   .maximum = 100},
                  {.name = "hidden",
                   .kind = Option::Kind::integer,
                   .fallback = "16",
                   .sentence = "Units in each of the two hidden layers of a network.",
                   .minimum = 1,
                   .maximum = 1'000},
                  {.name = "descents",
                   .kind = Option::Kind::integer,
                   .fallback = "6",
                   .sentence = "Starting points from which the inputs are optimised for each trial.",
                   .minimum = 1,
                   .maximum = 1'000},
                  pretrain_option("256"),
                  {.name = "scatter_weight",
                   .kind = Option::Kind::number,
                   .fallback = "0.1",
                   .sentence = "Weight of the predicted scatter of the results (k1).",
                   .minimum = 0,
                   .maximum = 100},
                  {.name = "disagreement_weight",
                   .kind = Option::Kind::number,
                   .fallback = "0.5",
                   .sentence = "Weight of the disagreement between the networks (k2).",
                   .minimum = 0,
                   .maximum = 100},
                  {.name = "random_share",
                   .kind = Option::Kind::number,
                   .fallback = "0.1",
                   .sentence = "Share of the later trials that are random.",
                   .minimum = 0,
                   .maximum = 1}},
      .capabilities = {.max_objectives = 1, .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<Boshnas>(problem, options); },
  };
}

}  // namespace duet
