#include <algorithm>
#include <limits>
#include <utility>

#include "search/builtin.hpp"
#include "search/individual.hpp"
#include "search/seen_candidates.hpp"

namespace duet {
namespace {

/// Local search with restarts: White, Nolen and Savani, "Exploring the loss landscape in neural architecture search", UAI
/// 2021; with several objectives, Pareto local search: Paquete, Chiarandini and Stützle, 2004. Real parameters are moved
/// by steps that are halved where nothing improves (compass search: Kolda, Lewis and Torczon, SIAM Review 45(3), 2003).
class LocalSearch final : public Strategy {
 public:
  LocalSearch(const Problem& problem, const Options& options)
      : problem_(problem),
        starts_(static_cast<std::uint64_t>(options.integer("starts"))),
        first_step_(options.number("step")),
        last_step_(options.number("last_step")),
        perturbs_(options.text("restart") == "perturb"),
        seen_(*problem.space) {
    for (std::size_t i = 0; i < problem.space->size(); ++i) {
      const Parameter& parameter = (*problem.space)[i];
      const bool scale = parameter.maximum > parameter.minimum && parameter.kind != Parameter::Kind::choice;
      if (scale && (!parameter.discrete() || parameter.levels() > Space::max_neighbours)) long_.push_back(i);
    }
  }

  std::vector<Proposal> ask(std::uint64_t first, std::size_t count,
                            std::span<const PendingTrial> pending) override {
    seen_.add(pending);
    std::vector<Proposal> proposals;
    for (std::uint64_t number = first; number < first + count; ++number) {
      Random random = problem_.random(number);
      std::optional<Proposal> proposal;
      if (starting_ == 0) {
        proposal = next_neighbour(random);
        if (!proposal) {
          if (!pending.empty() || !proposals.empty()) break;  // they may show where to go on
          restart();
        }
      }
      if (!proposal) {  // a starting point
        std::optional<Candidate> candidate = start(random);
        if (!candidate) break;
        --starting_;
        proposal = Proposal{std::move(*candidate)};
      }
      proposals.push_back(std::move(*proposal));
    }
    return proposals;
  }

  void tell(std::span<const FinishedTrial> finished) override {
    seen_.add(finished);
    for (const FinishedTrial& trial : finished) {
      if (!trial.ok() || trial.duplicate_of) continue;
      Individual individual(trial);
      if (!best_ || beats(individual, *best_)) best_ = individual;
      accept(std::move(individual));
    }
  }

  std::vector<std::uint64_t> population() const override {
    std::vector<std::uint64_t> numbers;
    for (const Member& member : archive_) numbers.push_back(member.individual.number);
    return numbers;
  }

 private:
  struct Member {
    Individual individual;
    bool explored = false;  ///< all its neighbours have been proposed
  };

  static bool beats(const Individual& a, const Individual& b) {
    if (a.violation != b.violation) return a.violation < b.violation;
    return dominates(a.objectives, b.objectives);
  }

  /// Into the archive of what this start has led to, unless it is beaten; what it beats leaves.
  void accept(Individual individual) {
    for (const Member& member : archive_) {
      if (beats(member.individual, individual) || member.individual.objectives == individual.objectives) return;
    }
    std::erase_if(archive_, [&](const Member& member) { return beats(individual, member.individual); });
    archive_.push_back({std::move(individual), false});
    // The first improvement is taken: the neighbours of what has been beaten are left alone.
    const bool current_left = std::none_of(archive_.begin(), archive_.end(), [&](const Member& member) {
      return member.individual.number == current_;
    });
    if (current_left) queue_.clear();
  }

  std::optional<Proposal> next_neighbour(Random& random) {
    for (;;) {
      while (!queue_.empty()) {
        Candidate candidate = std::move(queue_.back());
        queue_.pop_back();
        if (seen_.add(candidate)) return Proposal{std::move(candidate), {current_}};
      }
      for (Member& member : archive_) member.explored = member.explored || member.individual.number == current_;
      Member* next = choose(random);
      if (next == nullptr) {
        if (long_.empty() || step_ / 2 < last_step_ || archive_.empty()) return std::nullopt;
        step_ /= 2;
        for (Member& member : archive_) member.explored = false;
        current_ = 0;
        continue;
      }
      current_ = next->individual.number;
      list_neighbours(next->individual.candidate, random);
    }
  }

  /// The member to be explored next: the one in the widest gap of the front.
  Member* choose(Random& random) {
    std::vector<std::size_t> open;
    for (std::size_t i = 0; i < archive_.size(); ++i) {
      if (!archive_[i].explored) open.push_back(i);
    }
    if (open.empty()) return nullptr;
    if (archive_.size() < 3) return &archive_[random.pick(open)];
    std::vector<Point> points;
    for (const Member& member : archive_) points.push_back(member.individual.objectives);
    const std::vector<double> crowding = crowding_distance(points);
    const std::size_t best = *std::max_element(
        open.begin(), open.end(), [&](std::size_t a, std::size_t b) { return crowding[a] < crowding[b]; });
    return &archive_[best];
  }

  void list_neighbours(const Candidate& centre, Random& random) {
    const Space& space = *problem_.space;
    queue_ = space.neighbours(centre);
    for (const std::size_t i : long_) {
      if (!centre.has(i)) continue;
      for (const double step : {-step_, step_}) {
        const double code = space.code_at(i, space.position(i, centre[i]) + step);
        if (code == centre[i]) continue;
        Candidate neighbour = space.with(centre, i, code, random, &centre);
        if (space.valid(neighbour)) queue_.push_back(std::move(neighbour));
      }
    }
    random.shuffle(queue_);
  }

  /// Everything there is to find from here has been found.
  void restart() {
    archive_.clear();
    queue_.clear();
    current_ = 0;
    step_ = first_step_;
    starting_ = begun_ && perturbs_ ? 1 : starts_;
    begun_ = true;
  }

  std::optional<Candidate> start(Random& random) {
    if (perturbs_ && best_ && starting_ == 1 && archive_.empty()) {
      // Iterated local search: from the best design so far with some decisions changed.
      for (int attempt = 0; attempt < SeenCandidates::max_tries; ++attempt) {
        Candidate candidate = best_->candidate;
        for (int change = 0; change < 3 + attempt / 10; ++change) {
          candidate = problem_.space->mutate_one(candidate, random);
        }
        if (seen_.add(candidate)) return candidate;
      }
    }
    return seen_.draw(random);
  }

  Problem problem_;
  std::uint64_t starts_;
  double first_step_, last_step_;
  bool perturbs_;
  SeenCandidates seen_;
  std::vector<std::size_t> long_;  // parameters moved by steps on their scale
  std::vector<Member> archive_;
  std::optional<Individual> best_;  // of all starts
  std::vector<Candidate> queue_;   // neighbours not proposed yet, the next one last
  std::uint64_t current_ = 0;      // trial whose neighbours they are
  double step_ = 0;
  std::uint64_t starting_ = 0;     // starting points still to be proposed
  bool begun_ = false;
};

}  // namespace

StrategyPlugin local_search_strategy() {
  return {
      .name = "local_search",
      .summary = "Moves to better neighbours until there are none, then starts again elsewhere.",
      .source =
          "White, Nolen and Savani, Exploring the loss landscape in neural architecture search, UAI 2021; "
          "Paquete, Chiarandini and Stuetzle, Pareto local optimum sets in the biobjective traveling salesman problem, "
          "2004",
      .options = {{.name = "starts",
                   .kind = Option::Kind::integer,
                   .fallback = "5",
                   .sentence = "Random designs of a start, of which the best is where it goes on.",
                   .minimum = 1,
                   .maximum = 1'000'000},
                  {.name = "restart",
                   .kind = Option::Kind::word,
                   .fallback = "random",
                   .sentence = "Where to start again: at random designs, or at the best so far with decisions changed.",
                   .words = {"random", "perturb"}},
                  {.name = "step",
                   .kind = Option::Kind::number,
                   .fallback = "0.25",
                   .sentence = "First step of real parameters, as a share of their range.",
                   .minimum = 0,
                   .maximum = 1},
                  {.name = "last_step",
                   .kind = Option::Kind::number,
                   .fallback = "0.001",
                   .sentence = "Steps are halved where nothing improves, down to this share of the range.",
                   .minimum = 1e-12,
                   .maximum = 1}},
      .capabilities = {.max_objectives = std::numeric_limits<std::size_t>::max(), .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<LocalSearch>(problem, options); },
  };
}

}  // namespace duet
