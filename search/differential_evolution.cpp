#include <algorithm>
#include <cmath>
#include <numbers>
#include <unordered_map>
#include <utility>

#include "search/builtin.hpp"
#include "search/individual.hpp"
#include "search/steady_state.hpp"

namespace duet {
namespace {

/// SHADE: Tanabe and Fukunaga, "Success-history based parameter adaptation for differential evolution", CEC 2013;
/// current-to-pbest/1/bin with an archive. Trial t competes with member t mod N as soon as it is told: no waiting.
/// Integers and ordinals are moved on their scale and rounded; a choice takes the option of one of the parents.
class DifferentialEvolution final : public SteadyState {
 public:
  DifferentialEvolution(const Problem& problem, const Options& options)
      : SteadyState(problem),
        members_(static_cast<std::size_t>(options.integer("population"))),
        best_share_(options.number("best_share")),
        memory_factor_(memory, 0.5),
        memory_rate_(memory, 0.5) {}

  void tell(std::span<const FinishedTrial> finished) override {
    seen_.add(finished);
    for (const FinishedTrial& trial : finished) {
      Settings settings;
      const auto known = settings_.find(trial.number);
      const bool child = known != settings_.end();
      if (child) {
        settings = known->second;
        settings_.erase(known);
      }
      if (trial.ok() && !trial.duplicate_of) compete(Individual(trial), child ? &settings : nullptr);
    }
  }

  std::vector<std::uint64_t> population() const override {
    std::vector<std::uint64_t> numbers;
    for (const auto& member : members_) {
      if (member) numbers.push_back(member->number);
    }
    return numbers;
  }

 private:
  static constexpr std::size_t memory = 20;

  struct Settings {
    double factor = 0.5;  ///< F
    double rate = 0.5;    ///< CR
  };

  void compete(Individual individual, const Settings* settings) {
    std::optional<Individual>& member = members_[static_cast<std::size_t>((individual.number - 1) % members_.size())];
    if (!member) {
      member = std::move(individual);
      return;
    }
    if (fitter(*member, individual)) return;
    if (settings != nullptr && fitter(individual, *member)) {
      const double gain = member->violation != individual.violation
                              ? member->violation - individual.violation
                              : member->objectives.front() - individual.objectives.front();
      successes_.push_back({*settings, gain});
    }
    // What was beaten still shows directions.
    if (archive_.size() < members_.size()) {
      archive_.push_back(std::move(*member));
    } else {
      Random random = problem_.random(individual.number, "archive");
      archive_[random.below(archive_.size())] = std::move(*member);
    }
    member = std::move(individual);
    if (successes_.size() >= 5) remember();
  }

  /// Algorithm 1 of the paper: means of what succeeded, weighted by the gain.
  void remember() {
    double total = 0, rate = 0, factor = 0, squares = 0;
    for (const auto& [settings, gain] : successes_) total += gain;
    for (const auto& [settings, gain] : successes_) {
      const double weight = total > 0 && std::isfinite(total) ? gain / total : 1.0 / static_cast<double>(successes_.size());
      rate += weight * settings.rate;
      factor += weight * settings.factor;
      squares += weight * settings.factor * settings.factor;
    }
    memory_factor_[oldest_] = factor > 0 ? squares / factor : 0.5;
    memory_rate_[oldest_] = rate;
    oldest_ = (oldest_ + 1) % memory;
    successes_.clear();
  }

  Settings draw_settings(Random& random) const {
    const auto slot = static_cast<std::size_t>(random.below(memory));
    Settings settings;
    settings.rate = std::clamp(memory_rate_[slot] + 0.1 * random.normal(), 0.0, 1.0);
    for (int attempt = 0; attempt < 100; ++attempt) {  // a Cauchy deviate above 0
      settings.factor = memory_factor_[slot] + 0.1 * std::tan(std::numbers::pi * (random.uniform() - 0.5));
      if (settings.factor > 0) break;
    }
    settings.factor = std::clamp(settings.factor, 0.01, 1.0);
    return settings;
  }

  std::size_t initial() const override { return members_.size(); }

  std::optional<Proposal> propose(std::uint64_t number, Random& random) override {
    std::vector<const Individual*> living;
    for (const auto& member : members_) {
      if (member) living.push_back(&*member);
    }
    if (living.size() < 4) return std::nullopt;
    const std::optional<Individual>& own = members_[static_cast<std::size_t>((number - 1) % members_.size())];
    const Individual& target = own ? *own : *living[random.below(living.size())];
    const auto best = static_cast<std::size_t>(
        std::max(2.0, std::ceil(best_share_ * static_cast<double>(living.size()))));
    std::vector<const Individual*> order = living;
    std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(best) - 1, order.end(),
                     [](const Individual* a, const Individual* b) {
                       return fitter(*a, *b) || (!fitter(*b, *a) && a->number < b->number);
                     });
    order.resize(best);
    std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->number < b->number; });
    for (int attempt = 0; attempt < SeenCandidates::max_tries; ++attempt) {
      const Settings settings = draw_settings(random);
      const Individual& leader = *random.pick(order);
      const Individual& plus = *random.pick(living);
      const std::size_t k = random.below(living.size() + archive_.size());
      const Individual& minus = k < living.size() ? *living[k] : archive_[k - living.size()];
      if (plus.number == target.number || minus.number == target.number || plus.number == minus.number) continue;
      Candidate child = combine(target.candidate, leader.candidate, plus.candidate, minus.candidate, settings, random);
      if (!problem_.space->constraints().empty() && !problem_.space->valid(child)) continue;
      if (!seen_.add(child)) continue;
      settings_.emplace(number, settings);
      return Proposal{std::move(child), {target.number, leader.number, plus.number}};
    }
    return std::nullopt;
  }

  Candidate combine(const Candidate& target, const Candidate& leader, const Candidate& plus, const Candidate& minus,
                    const Settings& settings, Random& random) const {
    const Space& space = *problem_.space;
    const std::size_t forced = random.below(space.size());
    Candidate child(space.size());
    for (std::size_t i = 0; i < space.size(); ++i) {
      const bool crosses = random.chance(settings.rate) || i == forced;
      if (!space.active(child, i)) continue;
      if (!crosses && target.has(i)) {
        child.set(i, target[i]);
        continue;
      }
      child.set(i, mutant(i, target, leader, plus, minus, settings.factor, random));
    }
    return child;
  }

  /// target + F (leader - target) + F (plus - minus); a parameter that not all of them have comes from one that has it.
  double mutant(std::size_t i, const Candidate& target, const Candidate& leader, const Candidate& plus,
                const Candidate& minus, double factor, Random& random) const {
    const Space& space = *problem_.space;
    const double base = target.has(i) ? target[i] : leader.has(i) ? leader[i] : plus.has(i) ? plus[i] : minus[i];
    if (std::isnan(base)) return space.sample_code(i, random);
    if (space[i].kind == Parameter::Kind::choice) {
      double code = base;
      if (leader.has(i) && random.chance(factor)) code = leader[i];
      // Where the two differ, the population has not settled.
      if (plus.has(i) && minus.has(i) && plus[i] != minus[i] && random.chance(factor)) code = plus[i];
      return code;
    }
    const auto at = [&](const Candidate& candidate) {
      return space.position(i, candidate.has(i) ? candidate[i] : base);
    };
    const double from = at(target);
    double to = from + factor * (at(leader) - from) + factor * (at(plus) - at(minus));
    // Back from beyond a bound: half-way between it and the target (Zhang and Sanderson, IEEE TEVC 13(5), 2009).
    if (to < 0) to = from / 2;
    if (to > 1) to = (1 + from) / 2;
    if (space[i].discrete()) {  // random rounding, so that short steps are not lost
      const double levels = static_cast<double>(space[i].levels() - 1);
      if (levels > 0) to += (random.uniform() - 0.5) / levels;
    }
    return space.code_at(i, to);
  }

  std::vector<std::optional<Individual>> members_;
  double best_share_;
  std::vector<Individual> archive_;
  std::vector<double> memory_factor_, memory_rate_;
  std::size_t oldest_ = 0;
  std::vector<std::pair<Settings, double>> successes_;
  std::unordered_map<std::uint64_t, Settings> settings_;  // of children under way; never iterated
};

}  // namespace

StrategyPlugin differential_evolution_strategy() {
  return {
      .name = "differential_evolution",
      .summary = "Moves designs along differences of others, with settings that adapt themselves; for one objective.",
      .source =
          "Tanabe and Fukunaga, Success-history based parameter adaptation for differential evolution, CEC 2013; after "
          "Storn and Price, J. Global Optimization 11, 1997",
      .options = {{.name = "population",
                   .kind = Option::Kind::integer,
                   .fallback = "40",
                   .sentence = "Members; as many trials are random before evolution begins.",
                   .minimum = 4,
                   .maximum = 1'000'000},
                  {.name = "best_share",
                   .kind = Option::Kind::number,
                   .fallback = "0.1",
                   .sentence = "Share of the best members towards which the others move.",
                   .minimum = 0,
                   .maximum = 1}},
      .capabilities = {.max_objectives = 1, .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<DifferentialEvolution>(problem, options); },
  };
}

}  // namespace duet
