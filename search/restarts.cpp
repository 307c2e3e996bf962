#include "search/restarts.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>

#include "core/fingerprint.hpp"
#include "core/pareto.hpp"

namespace duet {
namespace {

/// Each run is a strategy of its own that counts its trials from 1. Between runs it waits for what is pending.
class Restarting final : public Strategy {
 public:
  using Create = std::function<std::unique_ptr<Strategy>(const Problem&, const Options&)>;

  Restarting(const Problem& problem, const Options& options, Create create)
      : problem_(problem),
        options_(options),
        create_(std::move(create)),
        patience_(static_cast<std::uint64_t>(options.integer("restart_after"))),
        run_(create_(problem, options)) {}

  std::vector<Proposal> ask(std::uint64_t first, std::size_t count, std::span<const PendingTrial> pending) override {
    if (idle_ >= patience_) {
      if (!pending.empty()) return {};
      begin();
    }
    if (runs_ == 1) return run_->ask(first, count, pending);
    std::vector<Proposal> proposals;
    for (std::size_t known = 0; proposals.size() < count;) {
      std::vector<PendingTrial> waiting;
      for (const Slot& slot : slots_) waiting.push_back({slot.number, slot.candidate});
      const std::uint64_t number = numbers_.size() + 1;
      std::vector<Proposal> next = run_->ask(number, 1, waiting);
      if (next.empty()) break;
      for (std::uint64_t& parent : next[0].parents) parent = numbers_[parent - 1];
      const auto earlier = results_.find(problem_.space->fingerprint(next[0].candidate));
      slots_.push_back({number, next[0].candidate, {}});
      if (earlier != results_.end() && known < most_known_at_once) {
        ++known;
        numbers_.push_back(earlier->second.number);
        finish(slots_.back(), earlier->second);
        continue;
      }
      numbers_.push_back(first + proposals.size());
      proposals.push_back(std::move(next[0]));
    }
    return proposals;
  }

  void tell(std::span<const FinishedTrial> finished) override {
    if (runs_ == 1) run_->tell(finished);
    for (const FinishedTrial& trial : finished) {
      if (!trial.duplicate_of) {
        results_.emplace(problem_.space->fingerprint(trial.candidate), trial);
        ++idle_;
      }
      const auto slot = std::find_if(slots_.begin(), slots_.end(), [&](const Slot& waiting) {
        return numbers_[waiting.number - 1] == trial.number;
      });
      if (runs_ == 1) {
        note(trial);
      } else if (slot != slots_.end()) {
        finish(*slot, trial);
      }
    }
  }

  std::vector<std::uint64_t> population() const override {
    std::vector<std::uint64_t> members = run_->population();
    for (std::uint64_t& member : members) member = runs_ == 1 ? member : numbers_[member - 1];
    return members;
  }

 private:
  static constexpr std::size_t most_known_at_once = 1'000;  // then one is proposed again, which the experiment sees

  /// A trial of the present run that it has not been told yet.
  struct Slot {
    std::uint64_t number;  // as the run counts
    Candidate candidate;
    std::optional<FinishedTrial> result;
  };

  void begin() {
    ++runs_;
    Problem problem = problem_;
    problem.seed = Hasher().add(problem_.seed).add(std::string_view("restart")).add(runs_).finish().low;
    run_ = create_(problem, options_);
    idle_ = 0;
    front_.clear();
    least_violation_.reset();
    slots_.clear();
    numbers_.clear();
  }

  /// Whether it improves on all of this run.
  void note(const FinishedTrial& trial) {
    if (!trial.ok()) return;
    if (!least_violation_ || trial.violation < *least_violation_) {
      least_violation_ = trial.violation;
      front_.clear();
    } else if (trial.violation > *least_violation_) {
      return;
    }
    const auto no_better = [&](const Point& point) {
      return point == trial.objectives || dominates(point, trial.objectives);
    };
    if (std::any_of(front_.begin(), front_.end(), no_better)) return;
    std::erase_if(front_, [&](const Point& point) { return dominates(trial.objectives, point); });
    front_.push_back(trial.objectives);
    idle_ = 0;
  }

  /// A trial of this run is over; it is told when all before it are.
  void finish(Slot& slot, const FinishedTrial& trial) {
    note(trial);
    slot.result = trial;
    slot.result->number = slot.number;
    // To this run, what only an earlier one has had scored is news.
    const std::uint64_t original = trial.duplicate_of.value_or(trial.number);
    const auto end = numbers_.begin() + static_cast<std::ptrdiff_t>(slot.number) - 1;
    const auto own = std::find(numbers_.begin(), end, original);
    slot.result->duplicate_of.reset();
    if (own != end) slot.result->duplicate_of = static_cast<std::uint64_t>(own - numbers_.begin()) + 1;
    for (; !slots_.empty() && slots_.front().result; slots_.pop_front()) {
      run_->tell(std::span(&*slots_.front().result, 1));
    }
  }

  Problem problem_;
  Options options_;
  Create create_;
  std::uint64_t patience_;
  std::unique_ptr<Strategy> run_;
  std::uint64_t runs_ = 1;
  std::uint64_t idle_ = 0;                 // trials since the last improvement
  std::optional<double> least_violation_;  // of this run
  std::vector<Point> front_;               // of this run's trials of that violation
  std::deque<Slot> slots_;                 // of this run, by number
  std::vector<std::uint64_t> numbers_;     // the experiment's, by that of this run - 1
  std::unordered_map<Fingerprint, FinishedTrial> results_;  // of all runs; never iterated
};

}  // namespace

StrategyPlugin with_restarts(StrategyPlugin plugin) {
  plugin.options.push_back({.name = "restart_after",
                            .kind = Option::Kind::integer,
                            .fallback = "0",
                            .sentence = "Trials without an improvement after which it begins anew; 0: never.",
                            .minimum = 0,
                            .maximum = 1'000'000'000});
  plugin.create = [create = std::move(plugin.create)](const Problem& problem,
                                                      const Options& options) -> std::unique_ptr<Strategy> {
    if (options.integer("restart_after") == 0) return create(problem, options);
    return std::make_unique<Restarting>(problem, options, create);
  };
  return plugin;
}

}  // namespace duet
