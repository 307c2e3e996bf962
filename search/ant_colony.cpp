#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "search/builtin.hpp"
#include "search/individual.hpp"
#include "search/steady_state.hpp"

namespace duet {
namespace {

/// ACO_MV: Liao, Socha, Montes de Oca, Stützle and Dorigo, "Ant colony optimization for mixed-variable optimization
/// problems", IEEE TEVC 18(4), 2014; for reals it is ACO_R (Socha and Dorigo, EJOR 185(3), 2008). The pheromone is an
/// archive of the best designs: an ant samples around one of them, and takes options that good designs have. It is
/// told at once: no waiting.
class AntColony final : public SteadyState {
 public:
  AntColony(const Problem& problem, const Options& options)
      : SteadyState(problem),
        size_(static_cast<std::size_t>(options.integer("archive"))),
        locality_(options.number("locality")),
        width_(options.number("width")) {}

  void tell(std::span<const FinishedTrial> finished) override {
    seen_.add(finished);
    for (const FinishedTrial& trial : finished) {
      if (!trial.ok() || trial.duplicate_of) continue;
      Individual individual(trial);
      const auto place = std::upper_bound(archive_.begin(), archive_.end(), individual, fitter);
      archive_.insert(place, std::move(individual));
      if (archive_.size() > size_) archive_.pop_back();
      weights_.clear();
      const double spread = locality_ * static_cast<double>(archive_.size());
      for (std::size_t l = 0; l < archive_.size(); ++l) {
        weights_.push_back(std::exp(-0.5 * std::pow(static_cast<double>(l) / spread, 2)));
      }
    }
  }

  std::vector<std::uint64_t> population() const override { return numbers_of(archive_); }

 private:
  std::size_t initial() const override { return size_; }

  std::optional<Proposal> propose(std::uint64_t, Random& random) override {
    if (archive_.size() < 2) return std::nullopt;
    for (int attempt = 0; attempt < SeenCandidates::max_tries; ++attempt) {
      const std::size_t guide = random.weighted(weights_);
      Candidate candidate = walk(guide, random);
      if (!problem_.space->constraints().empty() && !problem_.space->valid(candidate)) continue;
      if (seen_.add(candidate)) return Proposal{std::move(candidate), {archive_[guide].number}};
    }
    return std::nullopt;
  }

  Candidate walk(std::size_t guide, Random& random) const {
    const Space& space = *problem_.space;
    Candidate candidate(space.size());
    for (std::size_t i = 0; i < space.size(); ++i) {
      if (!space.active(candidate, i)) continue;
      candidate.set(i, space[i].kind == Parameter::Kind::choice ? option(i, random) : place(i, guide, random));
    }
    return candidate;
  }

  /// An option by the weight of the best design that has it, shared among all that have it; options that none has get
  /// an equal part of q / (their number) (eq. 5 to 7 of Liao et al.).
  double option(std::size_t i, Random& random) const {
    const auto levels = static_cast<std::size_t>((*problem_.space)[i].levels());
    std::vector<double> best(levels, 0), users(levels, 0), weights(levels, 0);
    for (std::size_t l = 0; l < archive_.size(); ++l) {
      if (!archive_[l].candidate.has(i)) continue;
      const auto code = static_cast<std::size_t>(archive_[l].candidate[i]);
      if (users[code] == 0) best[code] = weights_[l];
      ++users[code];
    }
    const auto unused = static_cast<double>(std::count(users.begin(), users.end(), 0.0));
    for (std::size_t v = 0; v < levels; ++v) {
      weights[v] = users[v] > 0 ? best[v] / users[v] : 0;
      if (unused > 0) weights[v] += users[v] > 0 ? 0 : locality_ / unused / static_cast<double>(archive_.size());
    }
    // With every option in use, some of the weight is spread evenly, so that none is lost for ever.
    double total = 0;
    for (const double weight : weights) total += weight;
    for (double& weight : weights) weight += 0.02 * total / static_cast<double>(levels);
    return static_cast<double>(random.weighted(weights));
  }

  /// Normal around the guide's position; the deviation is the mean distance of the archive from it, times `width`.
  double place(std::size_t i, std::size_t guide, Random& random) const {
    const Space& space = *problem_.space;
    if (!archive_[guide].candidate.has(i)) {
      std::vector<double> weights = weights_;
      bool any = false;
      for (std::size_t l = 0; l < archive_.size(); ++l) {
        if (!archive_[l].candidate.has(i)) weights[l] = 0;
        any = any || weights[l] > 0;
      }
      if (!any) return space.sample_code(i, random);
      guide = random.weighted(weights);
    }
    const double centre = space.position(i, archive_[guide].candidate[i]);
    double distance = 0;
    std::size_t others = 0;
    for (const Individual& other : archive_) {
      if (!other.candidate.has(i)) continue;
      distance += std::abs(space.position(i, other.candidate[i]) - centre);
      ++others;
    }
    double deviation = others > 1 ? width_ * distance / static_cast<double>(others - 1) : 0.1;
    if (space[i].discrete() && space[i].levels() > 1) {  // enough to reach the next value
      deviation = std::max(deviation, 0.3 / static_cast<double>(space[i].levels() - 1));
    }
    return space.code_at(i, centre + deviation * random.normal());
  }

  std::size_t size_;
  double locality_, width_;
  std::vector<Individual> archive_;  // best first
  std::vector<double> weights_;      // of the archive's members
};

}  // namespace

StrategyPlugin ant_colony_strategy() {
  return {
      .name = "ant_colony",
      .summary = "Ant colony optimisation of mixed parameters: samples around an archive of the best designs.",
      .source =
          "Liao et al., Ant colony optimization for mixed-variable optimization problems, IEEE TEVC 18(4), 2014; after "
          "Socha and Dorigo, European J. Operational Research 185(3), 2008",
      .options = {{.name = "archive",
                   .kind = Option::Kind::integer,
                   .fallback = "50",
                   .sentence = "Best designs remembered; as many trials are random before the first ant.",
                   .minimum = 2,
                   .maximum = 1'000'000},
                  {.name = "locality",
                   .kind = Option::Kind::number,
                   .fallback = "0.05",
                   .sentence = "q: the smaller, the more the best of the archive are preferred.",
                   .minimum = 1e-6,
                   .maximum = 100},
                  {.name = "width",
                   .kind = Option::Kind::number,
                   .fallback = "0.68",
                   .sentence = "xi: spread of samples relative to the mean distance within the archive.",
                   .minimum = 0,
                   .maximum = 10}},
      .capabilities = {.max_objectives = 1, .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<AntColony>(problem, options); },
  };
}

}  // namespace duet
