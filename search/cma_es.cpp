#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>
#include <utility>

#include "search/builtin.hpp"
#include "search/individual.hpp"
#include "search/margin.hpp"
#include "search/seen_candidates.hpp"

namespace duet {
namespace {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;
using Index = Eigen::Index;

/// CMA-ES: Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772, 2016. Integers and ordinals by the margin
/// of Hamano, Saito, Nomura and Shirakawa, "CMA-ES with margin", GECCO 2022; choices by probabilities with a margin as
/// in CatCMA (Hamano et al., GECCO 2024). Restarts with growing populations: Auger and Hansen, CEC 2005 (IPOP); Hansen,
/// GECCO workshops 2009 (BIPOP). Coordinates are positions of parameters between their bounds, in [0, 1].
class CmaEs final : public Strategy {
 public:
  CmaEs(const Problem& problem, const Options& options)
      : problem_(problem),
        restarts_(options.text("restarts")),
        first_sigma_(options.number("sigma")),
        seen_(*problem.space) {
    double size = 0;
    for (std::size_t i = 0; i < problem.space->size(); ++i) {
      const Parameter& parameter = (*problem.space)[i];
      if (!(parameter.maximum > parameter.minimum)) continue;
      if (parameter.kind == Parameter::Kind::choice) {
        choices_.push_back(i);
        size += static_cast<double>(parameter.levels() - 1);
      } else {
        numeric_.push_back(i);
        size += 1;
      }
    }
    default_lambda_ = static_cast<std::size_t>(options.integer("population"));
    if (default_lambda_ == 0) default_lambda_ = 4 + static_cast<std::size_t>(3 * std::log(std::max(1.0, size)));
    large_lambda_ = default_lambda_;
  }

  std::vector<Proposal> ask(std::uint64_t first, std::size_t count,
                            std::span<const PendingTrial> pending) override {
    seen_.add(pending);
    std::vector<Proposal> proposals;
    for (std::uint64_t number = first; number < first + count; ++number) {
      if (proposed_ == lambda_) {  // of this generation; at the beginning both are 0
        if (!pending.empty() || !proposals.empty()) break;
        next_generation(number);
      }
      Random random = problem_.random(number);
      std::optional<Sample> sample = unseen_sample(random);
      if (!sample) break;
      ++proposed_;
      proposals.push_back({sample->candidate});
      samples_.emplace(number, std::move(*sample));
    }
    return proposals;
  }

  void tell(std::span<const FinishedTrial> finished) override {
    seen_.add(finished);
    for (const FinishedTrial& trial : finished) {
      const auto sample = samples_.find(trial.number);
      if (sample == samples_.end()) {  // an initial design
        if (trial.ok() && (!start_ || fitter(Individual(trial), *start_))) start_ = Individual(trial);
        continue;
      }
      if (trial.ok()) {
        told_.push_back({Individual(trial), std::move(sample->second.step)});
      }
      samples_.erase(sample);
    }
  }

 private:
  struct Sample {
    Candidate candidate;
    Vector step;  ///< y: (x - mean) / sigma
  };
  struct Told {
    Individual individual;
    Vector step;
  };

  Index n() const { return static_cast<Index>(numeric_.size()); }

  // --- Runs

  void begin_run(std::uint64_t number) {
    Random random = problem_.random(number, "run");
    ++run_;
    mean_ = Vector::Constant(n(), 0.5);
    sigma_ = first_sigma_;
    lambda_ = default_lambda_;
    if (run_ > 1) {
      for (Index j = 0; j < n(); ++j) mean_[j] = random.uniform();
      if (restarts_ == "ipop") {
        lambda_ = default_lambda_ << std::min<std::uint64_t>(run_ - 1, 16);
      } else {  // bipop: whichever kind of run has had fewer trials
        (large_run_ ? large_trials_ : small_trials_) += number - run_begin_;
        large_run_ = run_ == 2 || large_trials_ <= small_trials_;
        if (large_run_) {
          large_lambda_ *= 2;
          lambda_ = large_lambda_;
        } else {
          const double u = random.uniform();
          const double ratio = 0.5 * static_cast<double>(large_lambda_) / static_cast<double>(default_lambda_);
          lambda_ = std::max<std::size_t>(
              4, static_cast<std::size_t>(static_cast<double>(default_lambda_) * std::pow(std::max(1.0, ratio), u * u)));
          sigma_ = first_sigma_ * std::pow(10.0, -2 * random.uniform());
        }
      }
    } else if (start_) {
      const Candidate& from = start_->candidate;
      for (Index j = 0; j < n(); ++j) {
        const std::size_t i = numeric_[static_cast<std::size_t>(j)];
        if (from.has(i)) mean_[j] = problem_.space->position(i, from[i]);
      }
    } else {
      for (Index j = 0; j < n(); ++j) mean_[j] = random.uniform();
    }
    run_begin_ = number;
    covariance_ = Matrix::Identity(n(), n());
    basis_ = covariance_;
    scale_ = Vector::Ones(n());
    margin_ = Vector::Ones(n());
    path_ = Vector::Zero(n());
    sigma_path_ = path_;
    generation_ = 0;
    history_.clear();
    first_range_ = 0;
    probabilities_.clear();
    for (const std::size_t i : choices_) {
      const auto levels = static_cast<std::size_t>((*problem_.space)[i].levels());
      probabilities_.emplace_back(levels, 1.0 / static_cast<double>(levels));
    }
    set_constants();
  }

  /// Of the tutorial's table 1; what is worst is learned from too (active CMA: Jastrebski and Arnold, CEC 2006).
  void set_constants() {
    const double dimensions = static_cast<double>(std::max<Index>(n(), 1));
    const auto half = static_cast<double>(lambda_) / 2;
    weights_.clear();
    against_.clear();
    double sum = 0, squares = 0, negative_sum = 0, negative_squares = 0;
    for (std::size_t i = 0; i < lambda_; ++i) {
      const double weight = std::log(half + 0.5) - std::log(static_cast<double>(i + 1));
      if (i < lambda_ / 2) {
        weights_.push_back(weight);
        sum += weight;
      } else {
        against_.push_back(std::min(weight, 0.0));
        negative_sum += against_.back();
        negative_squares += against_.back() * against_.back();
      }
    }
    for (double& weight : weights_) {
      weight /= sum;
      squares += weight * weight;
    }
    mu_ = 1 / squares;
    sigma_rate_ = (mu_ + 2) / (dimensions + mu_ + 5);
    sigma_damping_ = 1 + 2 * std::max(0.0, std::sqrt((mu_ - 1) / (dimensions + 1)) - 1) + sigma_rate_;
    path_rate_ = (4 + mu_ / dimensions) / (dimensions + 4 + 2 * mu_ / dimensions);
    rank_one_ = 2 / ((dimensions + 1.3) * (dimensions + 1.3) + mu_);
    rank_mu_ = std::min(1 - rank_one_, 2 * (mu_ - 2 + 1 / mu_) / ((dimensions + 2) * (dimensions + 2) + mu_));
    const double negative_mu = negative_squares > 0 ? negative_sum * negative_sum / negative_squares : 0;
    const double most = std::min({1 + rank_one_ / rank_mu_, 1 + 2 * negative_mu / (mu_ + 2),
                                  (1 - rank_one_ - rank_mu_) / (dimensions * rank_mu_)});
    for (double& weight : against_) weight *= negative_sum < 0 ? most / -negative_sum : 0;
    normal_length_ = std::sqrt(dimensions) * (1 - 1 / (4 * dimensions) + 1 / (21 * dimensions * dimensions));
    margin_share_ = 1 / (dimensions * static_cast<double>(lambda_));
  }

  void next_generation(std::uint64_t number) {
    if (lambda_ == 0) {
      begin_run(number);
    } else {
      update();
      if (restarts_ != "none" && converged()) begin_run(number);
    }
    proposed_ = 0;
    strangers_ = 0;
    told_.clear();
  }

  // --- Sampling

  std::optional<Sample> unseen_sample(Random& random) {
    for (int attempt = 0; attempt < SeenCandidates::max_tries; ++attempt) {
      Sample sample = draw(random);
      if (!problem_.space->constraints().empty() && !problem_.space->valid(sample.candidate)) continue;
      if (seen_.add(sample.candidate)) return sample;
    }
    // Everything near has been seen: any other design, as far as one step may go (Hansen, "Injecting external solutions
    // into CMA-ES", 2011).
    std::optional<Candidate> candidate = seen_.draw(random);
    if (!candidate) return std::nullopt;
    ++strangers_;
    Vector step = Vector::Zero(n());
    for (Index j = 0; j < n(); ++j) {
      const std::size_t i = numeric_[static_cast<std::size_t>(j)];
      if (!candidate->has(i)) continue;
      step[j] = (problem_.space->position(i, (*candidate)[i]) - mean_[j]) / (sigma_ * margin_[j]);
    }
    if (n() > 0) {
      const double length = (basis_.transpose() * step).cwiseQuotient(scale_).norm();
      const double most = std::sqrt(static_cast<double>(n())) + 2.0 * static_cast<double>(n()) / (static_cast<double>(n()) + 2);
      if (length > most) step *= most / length;
    }
    return Sample{std::move(*candidate), std::move(step)};
  }

  Sample draw(Random& random) const {
    const Space& space = *problem_.space;
    Vector z(n());
    for (Index j = 0; j < n(); ++j) z[j] = random.normal();
    Vector step = basis_ * scale_.cwiseProduct(z);
    std::vector<double> codes(space.size(), 0);
    for (Index j = 0; j < n(); ++j) {
      const std::size_t i = numeric_[static_cast<std::size_t>(j)];
      double position = mean_[j] + sigma_ * margin_[j] * step[j];
      if (!space[i].discrete()) {  // repaired, and learned from as it was scored
        position = std::clamp(position, 0.0, 1.0);
        step[j] = (position - mean_[j]) / (sigma_ * margin_[j]);
      }
      codes[i] = space.code_at(i, position);
    }
    for (std::size_t c = 0; c < choices_.size(); ++c) {
      codes[choices_[c]] = static_cast<double>(random.weighted(probabilities_[c]));
    }
    Candidate candidate(space.size());
    for (std::size_t i = 0; i < space.size(); ++i) {
      if (!space.active(candidate, i)) continue;
      candidate.set(i, space[i].maximum > space[i].minimum ? codes[i] : space[i].minimum);
    }
    return {std::move(candidate), std::move(step)};
  }

  // --- Learning

  void update() {
    if (told_.empty()) return;
    std::stable_sort(told_.begin(), told_.end(),
                     [](const Told& a, const Told& b) { return fitter(a.individual, b.individual); });
    ++generation_;
    const std::size_t chosen = std::min(weights_.size(), told_.size());
    double total = 0;
    for (std::size_t i = 0; i < chosen; ++i) total += weights_[i];

    if (n() > 0) {
      Vector shift = Vector::Zero(n());
      for (std::size_t i = 0; i < chosen; ++i) shift += weights_[i] / total * told_[i].step;
      for (Index j = 0; j < n(); ++j) mean_[j] = moved(j, shift[j]);
      const Vector white = basis_ * (basis_.transpose() * shift).cwiseQuotient(scale_);
      sigma_path_ = (1 - sigma_rate_) * sigma_path_ + std::sqrt(sigma_rate_ * (2 - sigma_rate_) * mu_) * white;
      const double length = sigma_path_.norm();
      const double decay = std::pow(1 - sigma_rate_, 2.0 * static_cast<double>(generation_));
      const double bound = (1.4 + 2 / (static_cast<double>(n()) + 1)) * normal_length_;
      const double moves = length / std::sqrt(1 - decay) < bound ? 1 : 0;
      path_ = (1 - path_rate_) * path_ + moves * std::sqrt(path_rate_ * (2 - path_rate_) * mu_) * shift;
      const double forgotten = (1 - moves) * rank_one_ * path_rate_ * (2 - path_rate_);
      // All or nothing: after failures, who is worst is not known.
      const bool all = told_.size() == weights_.size() + against_.size();
      double against = 0;
      for (const double weight : against_) against += all ? weight : 0;
      covariance_ *= 1 - rank_one_ - rank_mu_ * (1 + against) + forgotten;
      covariance_ += rank_one_ * path_ * path_.transpose();
      for (std::size_t i = 0; i < chosen; ++i) {
        covariance_ += rank_mu_ * weights_[i] / total * told_[i].step * told_[i].step.transpose();
      }
      for (std::size_t i = 0; i < against_.size() && all; ++i) {
        const Vector& step = told_[weights_.size() + i].step;
        const double square = (basis_.transpose() * step).cwiseQuotient(scale_).squaredNorm();
        covariance_ += rank_mu_ * against_[i] * static_cast<double>(n()) / std::max(square, 1e-12) * step * step.transpose();
      }
      sigma_ *= std::exp(std::min(1.0, sigma_rate_ / sigma_damping_ * (length / normal_length_ - 1)));
      sigma_ = std::min(sigma_, 10.0);
      const double lazy = 1 / (10 * static_cast<double>(n()) * (rank_one_ + rank_mu_));
      if (generation_ % std::max<std::uint64_t>(1, static_cast<std::uint64_t>(lazy)) == 0) decompose();
      for (Index j = 0; j < n(); ++j) leave_margin(j);
    }
    learn_choices(chosen, total);

    const double best = told_.front().individual.objectives.front();
    const double range = told_.back().individual.objectives.front() - best;
    if (generation_ == 1) first_range_ = std::abs(range);
    last_range_ = std::abs(range);
    history_.push_back(best);
  }

  void decompose() {
    covariance_ = (covariance_ + covariance_.transpose()) / 2;
    const Eigen::SelfAdjointEigenSolver<Matrix> solver(covariance_);
    if (solver.info() != Eigen::Success || !solver.eigenvalues().allFinite()) {
      ill_ = true;
      return;
    }
    const double largest = std::max(solver.eigenvalues().maxCoeff(), std::numeric_limits<double>::min());
    ill_ = solver.eigenvalues().minCoeff() < largest * 1e-14;
    basis_ = solver.eigenvectors();
    scale_ = solver.eigenvalues().cwiseMax(largest * 1e-14).cwiseSqrt();
  }

  /// Where a step takes the mean. As in Hamano et al. 2022, algorithm 1, it is not widened by the margin, so that within
  /// one value of a discrete coordinate selection, which cannot see it, does not drive the mean about; but where most of
  /// the better half have another value, the mean goes there with them.
  double moved(Index j, double step) const {
    const Space& space = *problem_.space;
    const std::size_t i = numeric_[static_cast<std::size_t>(j)];
    const double with_margin = mean_[j] + sigma_ * margin_[j] * step;
    const bool leaves = space[i].discrete() && space.code_at(i, with_margin) != space.code_at(i, mean_[j]);
    return leaves ? with_margin : mean_[j] + sigma_ * step;
  }

  /// A discrete coordinate keeps the probability of leaving its present value.
  void leave_margin(Index j) {
    const Space& space = *problem_.space;
    const std::size_t i = numeric_[static_cast<std::size_t>(j)];
    const Parameter& parameter = space[i];
    mean_[j] = std::clamp(mean_[j], 0.0, 1.0);
    if (!parameter.discrete()) return;
    const double code = space.code_at(i, mean_[j]);
    std::optional<double> low, high;
    if (code > parameter.minimum) low = space.position(i, code - 0.5);
    if (code < parameter.maximum) high = space.position(i, code + 0.5);
    const double deviation = sigma_ * std::sqrt(std::max(covariance_(j, j), 1e-300));
    const Marginal kept = keep_margin({mean_[j], margin_[j]}, deviation, low, high, margin_share_);
    mean_[j] = kept.mean;
    margin_[j] = kept.factor;
  }

  void learn_choices(std::size_t chosen, double total) {
    if (choices_.empty()) return;
    const auto count = static_cast<double>(choices_.size());
    const double rate = mu_ / (mu_ + 2 * count + 5);
    for (std::size_t c = 0; c < choices_.size(); ++c) {
      std::vector<double>& probabilities = probabilities_[c];
      double seen = 0;  // weight of those where the choice is active
      std::vector<double> target(probabilities.size(), 0);
      for (std::size_t k = 0; k < chosen; ++k) {
        const Candidate& candidate = told_[k].individual.candidate;
        if (!candidate.has(choices_[c])) continue;
        target[static_cast<std::size_t>(candidate[choices_[c]])] += weights_[k] / total;
        seen += weights_[k] / total;
      }
      const auto options = static_cast<double>(probabilities.size());
      const double least = (1 - std::pow(0.73, 1 / count)) / (options - 1);
      double above = 0, lifted = 0;
      for (std::size_t v = 0; v < probabilities.size(); ++v) {
        probabilities[v] = std::max(least, probabilities[v] + rate * (target[v] - seen * probabilities[v]));
        lifted += probabilities[v];
        above += probabilities[v] - least;
      }
      // What was lifted to the margin is taken from the others.
      for (double& probability : probabilities) {
        if (above > 0) probability -= (lifted - 1) * (probability - least) / above;
      }
    }
  }

  /// Hansen 2009, §2: nothing left to gain in this run.
  bool converged() const {
    if (2 * strangers_ > lambda_) return true;
    if (generation_ == 0) return false;
    if (n() == 0) return false;
    if (ill_ || !mean_.allFinite() || !std::isfinite(sigma_)) return true;
    double widest = 0;
    for (Index j = 0; j < n(); ++j) {
      widest = std::max(widest, sigma_ * margin_[j] * std::sqrt(std::max(covariance_(j, j), 0.0)));
    }
    if (widest < 1e-11) return true;
    const std::size_t horizon = 10 + static_cast<std::size_t>(30 * static_cast<double>(n()) / static_cast<double>(lambda_));
    if (history_.size() < horizon) return false;
    const auto [least, most] = std::minmax_element(history_.end() - static_cast<std::ptrdiff_t>(horizon), history_.end());
    return std::max(*most - *least, last_range_) <= 1e-12 * first_range_;
  }

  Problem problem_;
  std::string restarts_;
  double first_sigma_;
  SeenCandidates seen_;
  std::vector<std::size_t> numeric_, choices_;
  std::size_t default_lambda_ = 0;
  std::optional<Individual> start_;  // the best of the initial designs

  // The present run
  std::uint64_t run_ = 0, run_begin_ = 0;
  bool large_run_ = false;
  std::uint64_t large_trials_ = 0, small_trials_ = 0;
  std::size_t large_lambda_ = 0;
  std::size_t lambda_ = 0;
  std::vector<double> weights_, against_;  // of the better half, and of the worse
  double mu_ = 1, sigma_rate_ = 0, sigma_damping_ = 1, path_rate_ = 0, rank_one_ = 0, rank_mu_ = 0, normal_length_ = 1;
  double margin_share_ = 0;
  double sigma_ = 0;
  Vector mean_, path_, sigma_path_, scale_, margin_;
  Matrix covariance_, basis_;
  bool ill_ = false;
  std::vector<std::vector<double>> probabilities_;  // of each choice
  std::uint64_t generation_ = 0;
  std::vector<double> history_;  // best of each generation
  double first_range_ = 0, last_range_ = 0;

  // The present generation
  std::size_t proposed_ = 0;
  std::size_t strangers_ = 0;  // samples that came from anywhere, because all near ones had been seen
  std::unordered_map<std::uint64_t, Sample> samples_;  // under way; never iterated
  std::vector<Told> told_;
};

}  // namespace

StrategyPlugin cma_es_strategy() {
  return {
      .name = "cma_es",
      .summary = "Learns the shape of the landscape around the best designs, restarts where it has settled; for one "
                 "objective.",
      .source =
          "Hansen, The CMA evolution strategy: a tutorial, arXiv:1604.00772, 2016; Hamano et al., CMA-ES with margin, "
          "GECCO 2022; Auger and Hansen, A restart CMA evolution strategy with increasing population size, CEC 2005",
      .options = {{.name = "population",
                   .kind = Option::Kind::integer,
                   .fallback = "0",
                   .sentence = "Trials per generation of the first run; 0: 4 + 3 ln(dimensions).",
                   .minimum = 0,
                   .maximum = 1'000'000},
                  {.name = "sigma",
                   .kind = Option::Kind::number,
                   .fallback = "0.3",
                   .sentence = "First standard deviation, as a share of each parameter's range.",
                   .minimum = 1e-6,
                   .maximum = 1},
                  {.name = "restarts",
                   .kind = Option::Kind::word,
                   .fallback = "ipop",
                   .sentence = "After settling: none; populations that double (ipop); large and small ones (bipop).",
                   .words = {"none", "ipop", "bipop"}}},
      .capabilities = {.max_objectives = 1, .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<CmaEs>(problem, options); },
  };
}

}  // namespace duet
