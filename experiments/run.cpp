#include "experiments/run.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <unordered_map>

#include <fmt/format.h>

#include "core/errors.hpp"
#include "core/thread_pool.hpp"
#include "core/units.hpp"
#include "estimators/cache.hpp"
#include "estimators/trainer.hpp"
#include "experiments/provenance.hpp"
#include "experiments/simulated_clock.hpp"

namespace duet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double unix_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Puts a cache in front of every expensive estimator. Idempotent.
void attach_caches(Specification& specification, Store& store) {
  for (Specification::Scorer& scorer : specification.scorers) {
    // What learns gives other results tomorrow: not for a cache.
    if (!scorer.estimator->expensive() || scorer.estimator->learns() || dynamic_cast<CachedEstimator*>(scorer.estimator.get()) != nullptr) continue;
    scorer.estimator->use_store(store.evaluations());
    scorer.estimator =
        std::make_unique<CachedEstimator>(std::move(scorer.estimator), scorer.identity, store.evaluations());
  }
}

/// What the database held of an experiment when the run began, in pages: a replay needs trials in number order.
class StoredTrials {
 public:
  StoredTrials(const Store& store, const ExperimentRecord& experiment) : store_(store), experiment_(experiment) {}

  /// Null if it is not stored, or taken. Valid until the next call.
  TrialRecord* find(std::uint64_t number) {
    while (!all_read_ && read_ < number) {
      std::vector<TrialRecord> page = store_.trials(experiment_, read_, page_size);
      all_read_ = page.size() < page_size;
      if (!page.empty()) read_ = page.back().number;
      for (TrialRecord& trial : page) waiting_.emplace(trial.number, std::move(trial));
    }
    const auto found = waiting_.find(number);
    return found == waiting_.end() ? nullptr : &found->second;
  }
  void take(std::uint64_t number) { waiting_.erase(number); }
  /// Trials that are stored and have not been taken.
  std::size_t left() const {
    std::size_t count = waiting_.size();
    for (std::uint64_t last = read_; !all_read_;) {
      const std::vector<TrialRecord> page = store_.trials(experiment_, last, page_size);
      count += page.size();
      if (page.size() < page_size) break;
      last = page.back().number;
    }
    return count;
  }

 private:
  static constexpr std::uint64_t page_size = 4096;
  const Store& store_;
  const ExperimentRecord& experiment_;
  std::unordered_map<std::uint64_t, TrialRecord> waiting_;
  std::uint64_t read_ = 0;  ///< up to this number
  bool all_read_ = false;   ///< what is stored later is this run's own
};

/// The state of a run between two events. Only the thread that called run() touches it; workers hand their results
/// over through `completed_`.
class Loop {
 public:
  Loop(Specification& specification, Store& store, ExperimentRecord experiment, const RunOptions& options)
      : specification_(specification),
        store_(store),
        experiment_(std::move(experiment)),
        options_(options),
        space_(specification.space->space()),
        simulated_(specification.metrics),
        strategy_(specification.strategy->create(specification.problem(), specification.strategy_options)),
        stored_(store_, experiment_) {
    // A learning estimator must have been told the trials 1 … t - 1, and no others, when it scores trial t.
    const bool learning = std::any_of(specification.scorers.begin(), specification.scorers.end(),
                                      [](const auto& scorer) { return scorer.estimator->learns(); });
    if (options_.workers > 1 && !learning) pool_ = std::make_unique<ThreadPool>(options_.workers);
  }

  ~Loop() { abandon_.request_stop(); }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  RunSummary run() {
    const auto start = Clock::now();
    // Abandoned evaluations are told to stop when we leave, before the pool waits for them.
    const std::stop_callback forward(options_.stop, [this] {
      abandon_.request_stop();
      const std::lock_guard lock(mutex_);
      wake_.notify_all();
    });
    propose();
    for (;;) {
      while (!open_.empty() && open_.front().done && !options_.stop.stop_requested()) {
        tell_first();
        propose();
      }
      if (options_.stop.stop_requested()) {
        ended_ = false;  // whatever was about to end it, the user did
        finish(RunSummary::End::stopped, "stopped on request");
        break;
      }
      if (open_.empty()) {
        finish(RunSummary::End::exhausted, exhausted_sentence());
        break;
      }
      if (specification_.budget.time_s && !ended_ && seconds_since(start) >= *specification_.budget.time_s) {
        finish(RunSummary::End::time, "the time budget is spent");
        // What has not begun is left for the next run; what has is waited for.
        inline_.clear();
        drop_queued_ = true;
      }
      if (drop_queued_ && running_ == 0) {
        const std::lock_guard lock(mutex_);
        if (completed_.empty()) break;
      }
      collect(start);
    }
    abandon_.request_stop();
    pool_.reset();
    if (summary_.end == RunSummary::End::budget && options_.on_warning) {
      const std::size_t more = stored_.left();
      if (more > 0) options_.on_warning(fmt::format("the database holds {} more trials than this budget asks for", more));
    }
    summary_.trials = told_;
    summary_.originals = originals_;
    summary_.duration_s = seconds_since(start);
    if (simulated_.exists()) summary_.simulated_s = simulated_.now_s();
    return summary_;
  }

 private:
  /// A trial that has been asked for and not been told.
  struct Open {
    TrialRecord record;
    bool done = false;
    bool replayed = false;
    std::vector<std::uint64_t> waiting;  ///< duplicates that need this trial's result
  };
  /// What later duplicates need to know of a trial that has been told.
  struct Outcome {
    Status status;
    double violation;
    std::vector<double> objectives, excess;
  };

  Open& open(std::uint64_t number) { return open_[static_cast<std::size_t>(number - told_ - 1)]; }

  void finish(RunSummary::End end, std::string sentence) {
    if (ended_) return;
    ended_ = true;
    summary_.end = end;
    summary_.sentence = std::move(sentence);
  }

  std::string exhausted_sentence() const {
    return fmt::format("the strategy has nothing left to propose after {} trials", told_);
  }

  // Trial t is asked for when exactly the trials 1 … t - window have been told: after every single tell, the window is
  // filled up. `count` is the room in the window whatever is left of the budget, so that a run whose budget is raised
  // later asks the same questions.
  void propose() {
    while (!ended_ && asked_ < told_ + specification_.window) {
      if (originals_ >= specification_.budget.trials) {
        return finish(RunSummary::End::budget, fmt::format("the budget of {} trials is spent", originals_));
      }
      // By what the trials told so far have cost: those under way are finished and count, too.
      if (const auto& most = specification_.budget.simulated_s; most && simulated_.now_s() >= *most) {
        return finish(RunSummary::End::budget,
                      fmt::format("the budget of {} of simulated time is spent", human(*most, "s")));
      }
      if (asked_ < specification_.initial.size()) {
        accept({specification_.initial[static_cast<std::size_t>(asked_)], {}});
        continue;
      }
      const auto room = static_cast<std::size_t>(told_ + specification_.window - asked_);
      const auto asked_at = Clock::now();
      std::vector<Proposal> proposals = strategy_->ask(asked_ + 1, room, pending_);
      summary_.strategy_s += seconds_since(asked_at);
      if (proposals.empty()) return;
      if (proposals.size() > room) proposals.resize(room);
      for (Proposal& proposal : proposals) {
        if (originals_ >= specification_.budget.trials || ended_) break;
        accept(std::move(proposal));
      }
    }
  }

  void accept(Proposal proposal) {
    if (proposal.candidate.size() != space_.size()) {
      throw ConfigError(fmt::format("strategy '{}' proposed a candidate with {} parameters; the space has {}",
                                    specification_.strategy->name, proposal.candidate.size(), space_.size()));
    }
    const std::uint64_t number = ++asked_;
    pending_.push_back({number, proposal.candidate});
    open_.emplace_back();
    Open& trial = open_.back();
    trial.record.number = number;
    trial.record.candidate = std::move(proposal.candidate);
    trial.record.parents = std::move(proposal.parents);

    TrialRecord* const stored = stored_.find(number);
    if (stored != nullptr && !(stored->candidate == trial.record.candidate)) {
      throw StoreError(fmt::format(
          "{}: trial {} of experiment '{}' cannot be reproduced: stored is '{}', proposed now is '{}'; was the file "
          "written by another version of duet, or changed?",
          store_.path().string(), number, experiment_.name, space_.describe(stored->candidate),
          space_.describe(trial.record.candidate)));
    }

    if (auto reason = space_.why_malformed(trial.record.candidate)) {
      ++originals_;
      duplicates_in_a_row_ = 0;
      rule_out(trial, *reason);
      return;
    }
    const auto [first, is_new] = firsts_.try_emplace(space_.fingerprint(trial.record.candidate), number);
    if (!is_new) {
      trial.record.duplicate_of = first->second;
      trial.record.reason = fmt::format("same design as trial {}", first->second);
      if (++duplicates_in_a_row_ >= specification_.max_duplicates) {
        finish(RunSummary::End::duplicates,
               fmt::format("the last {} proposals had all been tried before; the search has converged or the space "
                           "is exhausted (max_duplicates)",
                           duplicates_in_a_row_));
      }
      if (first->second <= told_) {
        take_over(trial, outcomes_[static_cast<std::size_t>(first->second - 1)]);
        complete(trial);
      } else if (Open& original = open(first->second); original.done) {
        take_over(trial, outcome(original.record));
        complete(trial);
      } else {
        original.waiting.push_back(number);
      }
      return;
    }
    duplicates_in_a_row_ = 0;
    ++originals_;

    if (stored != nullptr) {
      trial.record = std::move(*stored);
      trial.replayed = true;
      complete(trial);
      return;
    }
    if (auto reason = space_.why_invalid(trial.record.candidate)) {
      rule_out(trial, "the design " + *reason);
      return;
    }
    dispatch(trial.record.number, trial.record.candidate);
  }

  void rule_out(Open& trial, std::string reason) {
    trial.record.status = Status::invalid;
    trial.record.reason = std::move(reason);
    if (stored_.find(trial.record.number) == nullptr) trial.record.started_at = unix_time();
    complete(trial);
  }

  static void take_over(Open& duplicate, const Outcome& original) {
    duplicate.record.status = original.status;
    duplicate.record.violation = original.violation;
  }

  Outcome outcome(const TrialRecord& record) const {
    if (record.status != Status::ok) return {record.status, record.violation, {}, {}};
    return {record.status, record.violation, specification_.objective_values(record.values),
            specification_.excess(record.values)};
  }

  void dispatch(std::uint64_t number, Candidate candidate) {
    auto work = [this, number, candidate = std::move(candidate)]() mutable {
      const Running guard(*this);
      if (abandon_.stop_requested() || drop_queued_) return;
      if (options_.before_scoring) options_.before_scoring(number);
      const double started = unix_time();
      const auto start = Clock::now();
      Evaluation evaluation = score(specification_, specification_.space->design(std::move(candidate)),
                                    abandon_.get_token());
      evaluation.duration_s = seconds_since(start);
      if (abandon_.stop_requested() && evaluation.status != Status::ok) return;  // its result may owe to the stop
      const std::lock_guard lock(mutex_);
      completed_.push_back({number, started, std::move(evaluation)});
      wake_.notify_all();
    };
    if (pool_) {
      pool_->submit(std::move(work));
    } else {
      inline_.push_back(std::move(work));
    }
  }

  // Waits for results and files them; without a pool, this is where the work is done.
  void collect(Clock::time_point start) {
    if (!inline_.empty()) {
      const auto work = std::move(inline_.front());
      inline_.pop_front();
      work();
    }
    std::vector<Completed> completed;
    {
      std::unique_lock lock(mutex_);
      const auto ready = [this] {
        return !completed_.empty() || options_.stop.stop_requested() || (drop_queued_ && running_ == 0);
      };
      if (pool_) {
        if (specification_.budget.time_s && !ended_) {
          const double left = *specification_.budget.time_s - seconds_since(start);
          wake_.wait_for(lock, std::chrono::duration<double>(std::max(left, 0.0)), ready);
        } else {
          wake_.wait(lock, ready);
        }
      }
      completed.swap(completed_);
    }
    for (Completed& result : completed) {
      Open& trial = open(result.number);
      trial.record.status = result.evaluation.status;
      trial.record.reason = std::move(result.evaluation.reason);
      trial.record.values = std::move(result.evaluation.values);
      trial.record.cached = result.evaluation.cached;
      trial.record.duration_s = result.evaluation.duration_s;
      trial.record.started_at = result.started_at;
      if (trial.record.status == Status::ok) trial.record.violation = specification_.violation(trial.record.values);
      complete(trial);
    }
  }

  // The trial has its result: makes it durable and lets its duplicates have it.
  void complete(Open& trial) {
    trial.done = true;
    if (stored_.find(trial.record.number) != nullptr) {
      trial.replayed = true;
      stored_.take(trial.record.number);
    } else {
      store_.append(experiment_.id, trial.record);
    }
    if (trial.waiting.empty()) return;
    const Outcome result = outcome(trial.record);
    for (const std::uint64_t number : std::exchange(trial.waiting, {})) {
      Open& duplicate = open(number);
      take_over(duplicate, result);
      complete(duplicate);
    }
  }

  void tell_first() {
    Open trial = std::move(open_.front());
    open_.pop_front();
    pending_.erase(pending_.begin());
    ++told_;
    if (trial.replayed) ++summary_.replayed;

    const TrialRecord& record = trial.record;
    simulated_.tell(record);
    outcomes_.push_back(record.duplicate_of ? outcomes_[static_cast<std::size_t>(*record.duplicate_of - 1)]
                                            : outcome(record));
    for (const Specification::Scorer& scorer : specification_.scorers) {
      if (!scorer.estimator->learns() || record.duplicate_of) continue;
      Evaluation own{record.status, record.reason, {}, record.cached, record.duration_s};
      if (record.status == Status::ok) {
        const auto begin = record.values.begin() + static_cast<std::ptrdiff_t>(scorer.first_metric);
        own.values.assign(begin, begin + static_cast<std::ptrdiff_t>(scorer.estimator->metrics().size()));
      }
      scorer.estimator->observe(specification_.space->design(record.candidate), own);
    }
    const Outcome& told = outcomes_.back();
    const FinishedTrial finished{record.number,   record.candidate, told.status,
                                 told.objectives, told.violation,   record.duplicate_of,
                                 told.excess};
    const auto told_at = Clock::now();
    strategy_->tell(std::span(&finished, 1));
    summary_.strategy_s += seconds_since(told_at);
    if (options_.on_trial) options_.on_trial(record, trial.replayed);
  }

  Specification& specification_;
  Store& store_;
  ExperimentRecord experiment_;
  const RunOptions& options_;
  const Space& space_;
  SimulatedClock simulated_;
  std::unique_ptr<Strategy> strategy_;

  std::uint64_t asked_ = 0;      // trials proposed so far
  std::uint64_t told_ = 0;       // trials told so far: always 1 … told_
  std::uint64_t originals_ = 0;  // proposed and not duplicates
  std::uint64_t duplicates_in_a_row_ = 0;
  std::deque<Open> open_;        // trials told_ + 1 … asked_
  std::vector<PendingTrial> pending_;
  std::vector<Outcome> outcomes_;                       // by trial number - 1
  std::unordered_map<Fingerprint, std::uint64_t> firsts_;  // the first trial of every design
  StoredTrials stored_;  // from the database, not yet replayed
  bool ended_ = false;           // no more proposals
  RunSummary summary_;

  /// Counts the tasks that have begun and not ended.
  class Running {
   public:
    explicit Running(Loop& loop) : loop_(loop) { ++loop_.running_; }
    ~Running() {
      const std::lock_guard lock(loop_.mutex_);
      --loop_.running_;
      loop_.wake_.notify_all();
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    Loop& loop_;
  };

  struct Completed {
    std::uint64_t number;
    double started_at;
    Evaluation evaluation;
  };
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Completed> completed_;  // guarded by mutex_
  std::stop_source abandon_;
  std::atomic<bool> drop_queued_ = false;  // the time is over: tasks that have not begun do not begin
  std::atomic<std::size_t> running_ = 0;   // decremented under mutex_
  std::deque<std::function<void()>> inline_;  // work of a run with one worker
  std::unique_ptr<ThreadPool> pool_;  // last: its threads use what stands above
};

}  // namespace

Evaluation score(const Specification& specification, const Design& design, std::stop_token stop) {
  // The cheap ones first: a design that fails there need not be trained.
  std::vector<const Specification::Scorer*> order;
  for (const auto& scorer : specification.scorers) order.push_back(&scorer);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return a->estimator->expensive() < b->estimator->expensive();
  });
  Evaluation all;
  all.values.resize(specification.metrics.size());
  bool any_expensive = false;
  bool all_cached = true;
  for (const Specification::Scorer* scorer : order) {
    Evaluation one = estimate_checked(*scorer->estimator, design, stop);
    all.duration_s += one.duration_s;
    if (one.status != Status::ok) {
      one.reason = scorer->name + ": " + one.reason;
      one.duration_s = all.duration_s;
      one.values.clear();
      return one;
    }
    std::copy(one.values.begin(), one.values.end(),
              all.values.begin() + static_cast<std::ptrdiff_t>(scorer->first_metric));
    if (scorer->estimator->expensive()) {
      any_expensive = true;
      all_cached = all_cached && one.cached;
    }
  }
  all.cached = any_expensive && all_cached;
  return all;
}

RunSummary run(Specification& specification, Store& store, const RunOptions& options) {
  attach_caches(specification, store);
  ExperimentRecord experiment = specification.record();
  experiment.code_version = code_version();
  const bool trains = std::any_of(specification.scorers.begin(), specification.scorers.end(),
                                  [](const auto& scorer) { return scorer.name == "trained"; });
  std::vector<std::pair<std::string, std::string>> inputs;
  for (const auto& scorer : specification.scorers) inputs.emplace_back(scorer.name, scorer.estimator->inputs().hex());
  experiment.machine = machine_description(trains ? load_trainer().description() : "", inputs);
  experiment.created_at = timestamp();
  if (auto existing = store.find(specification.name)) {
    if (existing->identity != experiment.identity || existing->space_fingerprint != experiment.space_fingerprint) {
      throw StoreError(fmt::format(
          "{}: experiment '{}' was begun with another specification ({}); choose another name or output, or delete it",
          store.path().string(), specification.name,
          existing->identity != experiment.identity ? first_difference(existing->identity, experiment.identity)
                                                    : "its parameters mean something else in this version of duet"));
    }
    if (existing->machine != experiment.machine && options.on_warning) {
      options.on_warning(fmt::format(
          "what results depend on has changed since this experiment was begun ({}): what is stored is replayed exactly, "
          "new trials may differ",
          first_difference(existing->machine, experiment.machine)));
    }
    if (existing->code_version != experiment.code_version && options.on_warning) {
      options.on_warning(fmt::format("this experiment was begun with duet {}, this is {}: what is stored is replayed, new "
                                     "trials may differ",
                                     existing->code_version, experiment.code_version));
    }
    experiment = *existing;
    store.note(experiment.id, "resumed");
  } else {
    experiment.id = store.create(experiment);
    store.note(experiment.id, "begun");
    if (!specification.warm_start.empty()) store.note(experiment.id, specification.warm_start);
    if (specification.warm_start_dropped > 0 && options.on_warning) options.on_warning(specification.warm_start);
  }
  RunSummary summary = Loop(specification, store, experiment, options).run();
  store.note(experiment.id, "ended: " + summary.sentence);
  return summary;
}

}  // namespace duet
