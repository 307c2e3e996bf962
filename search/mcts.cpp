#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "search/builtin.hpp"
#include "search/individual.hpp"
#include "search/seen_candidates.hpp"

namespace duet {
namespace {

/// Where a walk down the tree of decisions stands: the next one, and what is left of its values.
struct Step {
  std::size_t parameter = 0;
  double low = 0, high = 0;  ///< codes; of real parameters positions in [0, 1]
};

/// Monte Carlo tree search over the space's own tree (Negrinho and Gordon, "DeepArchitect", arXiv:1704.08792, section 5): the
/// decisions are made one after another, parents first; each goes to the branch with the greatest upper confidence bound
/// (Kocsis and Szepesvári, "Bandit based Monte-Carlo planning", ECML 2006), those that no trial took first; below the known
/// part of the tree all is random. Ordered values are halved until one is left (the paper's bisection), so that a number's
/// neighbours share what is learned of them.
class MonteCarloTreeSearch final : public Strategy {
 public:
  MonteCarloTreeSearch(const Problem& problem, const Options& options)
      : problem_(problem),
        exploration_(options.number("exploration")),
        smallest_part_(std::ldexp(1.0, -static_cast<int>(options.integer("halvings")))),
        seen_(*problem.space),
        nodes_(1) {}

  std::vector<Proposal> ask(std::uint64_t first, std::size_t count, std::span<const PendingTrial> pending) override {
    seen_.add(pending);
    for (const PendingTrial& trial : pending) pass(trial.candidate);
    std::vector<Proposal> proposals;
    while (proposals.size() < count) {
      Random random = problem_.random(first + proposals.size());
      std::optional<Candidate> candidate = descend(random);
      if (!candidate) candidate = seen_.draw(random);
      if (!candidate) break;
      pass(*candidate);
      proposals.push_back({std::move(*candidate)});
    }
    for (const std::size_t node : passed_) --nodes_[node].pending;
    passed_.clear();
    return proposals;
  }

  void tell(std::span<const FinishedTrial> finished) override {
    seen_.add(finished);
    for (const FinishedTrial& trial : finished) {
      if (trial.duplicate_of) continue;
      if (trial.ok()) {
        const Individual& result = results_.emplace_back(trial);
        merits_.insert(std::upper_bound(merits_.begin(), merits_.end(), merit(result)), merit(result));
        if (results_.size() > valued_ + valued_ / 2) {
          value_all();  // what was the best may be so no more
        } else {
          visit(trial.candidate, utility(result));
        }
      } else {
        failures_.push_back(trial.candidate);
        visit(trial.candidate, 0);
      }
    }
  }

 private:
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  static constexpr int rollouts = 10;  // of one branch before it is taken for a dead end

  struct Node {
    double utility = 0;  ///< summed over the trials that passed
    std::uint32_t visits = 0, pending = 0;
    std::vector<std::size_t> children;  ///< by branch; none: no trial took it; empty: nobody went beyond
  };

  // --- Decisions.

  const Space& space() const { return *problem_.space; }

  Step all_of(std::size_t parameter) const {
    const Parameter& p = space()[parameter];
    return p.discrete() ? Step{parameter, p.minimum, p.maximum} : Step{parameter, 0, 1};
  }

  /// Whether nothing is left to decide about the parameter.
  bool decided(const Step& step) const {
    const Parameter& p = space()[step.parameter];
    return p.discrete() ? step.low == step.high : step.high - step.low <= smallest_part_ || p.minimum == p.maximum;
  }

  std::size_t branches(const Step& step) const {
    return space()[step.parameter].kind == Parameter::Kind::choice ? static_cast<std::size_t>(step.high - step.low) + 1 : 2;
  }

  Step branch(const Step& step, std::size_t i) const {
    const Parameter& p = space()[step.parameter];
    if (p.kind == Parameter::Kind::choice) return {step.parameter, step.low + static_cast<double>(i), step.low + static_cast<double>(i)};
    const double middle = (step.low + step.high) / 2;
    if (i == 0) return {step.parameter, step.low, p.discrete() ? std::floor(middle) : middle};
    return {step.parameter, p.discrete() ? std::floor(middle) + 1 : middle, step.high};
  }

  /// The branch that a candidate takes.
  std::size_t branch_of(const Step& step, const Candidate& candidate) const {
    const Parameter& p = space()[step.parameter];
    const double code = candidate[step.parameter];
    if (p.kind == Parameter::Kind::choice) return static_cast<std::size_t>(code - step.low);
    const double at = p.discrete() ? code : space().position(step.parameter, code);
    return at <= branch(step, 0).high ? 0 : 1;
  }

  /// The first decision from `parameter` on that is not made; nothing after the last.
  template <class Active>
  std::optional<Step> next(std::size_t parameter, const Active& active) const {
    for (; parameter < space().size(); ++parameter) {
      if (!active(parameter)) continue;
      const Step step = all_of(parameter);
      if (!decided(step)) return step;
    }
    return std::nullopt;
  }

  // --- What is known.

  /// Calls use(node) for the root and every known node that the candidate passes; grows the tree by one node if told to.
  template <class Use>
  void walk(const Candidate& candidate, bool grow, const Use& use) {
    const auto active = [&](std::size_t i) { return candidate.has(i); };
    std::size_t at = 0;
    use(at);
    for (std::optional<Step> step = next(0, active); step;) {
      if (nodes_[at].children.empty()) {
        if (!grow) return;
        nodes_[at].children.assign(branches(*step), none);
      }
      const std::size_t taken = branch_of(*step, candidate);
      std::size_t child = nodes_[at].children[taken];
      const bool fresh = child == none;
      if (fresh) {
        if (!grow) return;
        child = nodes_.size();
        nodes_[at].children[taken] = child;
        nodes_.emplace_back();
      }
      use(child);
      if (fresh) return;
      at = child;
      step = branch(*step, taken);
      if (decided(*step)) step = next(step->parameter + 1, active);
    }
  }

  void visit(const Candidate& candidate, double utility) {
    walk(candidate, true, [&](std::size_t node) {
      nodes_[node].utility += utility;
      ++nodes_[node].visits;
    });
  }

  /// A candidate whose result is not known yet counts as a visit while others are chosen.
  void pass(const Candidate& candidate) {
    walk(candidate, false, [&](std::size_t node) {
      ++nodes_[node].pending;
      passed_.push_back(node);
    });
  }

  /// Feasible before infeasible, then less violation, then the better objective.
  static std::pair<double, double> merit(const Individual& individual) {
    return {individual.violation, individual.objectives.front()};
  }

  /// From 1 for what no trial betters to 0 for what all better, on the scale of the logarithm: it tells the best from the good,
  /// whatever the objective's scale.
  double utility(const Individual& individual) const {
    const auto better = std::lower_bound(merits_.begin(), merits_.end(), merit(individual)) - merits_.begin();
    return 1 - std::log1p(static_cast<double>(better)) / std::log1p(static_cast<double>(merits_.size()));
  }

  void value_all() {
    nodes_.assign(1, {});
    for (const Candidate& candidate : failures_) visit(candidate, 0);
    for (const Individual& individual : results_) visit(individual.candidate, utility(individual));
    valued_ = results_.size();
  }

  // --- What to try.

  /// A new candidate; nothing if all that was found had been proposed before or violates constraints.
  std::optional<Candidate> descend(Random& random) {
    std::vector<std::pair<std::size_t, std::size_t>> dead;  // branches in which nothing new was found
    for (int attempt = 0; attempt < SeenCandidates::max_tries; ++attempt) {
      Candidate partial(space().size());
      std::vector<Step> made;  // of each parameter the last
      std::size_t at = 0;
      const auto active = [&](std::size_t i) {
        if (!space().active(partial, i)) return false;
        // Others may hang on what has one value only.
        if (space()[i].minimum == space()[i].maximum) partial.set(i, space()[i].minimum);
        return true;
      };
      std::optional<std::pair<std::size_t, std::size_t>> last;
      const auto take = [&](std::optional<Step>& step, std::size_t chosen) {
        *step = branch(*step, chosen);
        if (!made.empty() && made.back().parameter == step->parameter) made.pop_back();
        made.push_back(*step);
        if (!decided(*step)) return;
        if (space()[step->parameter].discrete()) partial.set(step->parameter, step->low);
        step = next(step->parameter + 1, active);
      };
      std::optional<Step> step = next(0, active);
      while (step && at != none && !nodes_[at].children.empty()) {
        const std::optional<std::size_t> chosen = select(at, dead, random);
        if (!chosen) break;
        last = {at, *chosen};
        at = nodes_[at].children[*chosen];
        take(step, *chosen);
      }
      for (int i = 0; i < rollouts; ++i) {
        Candidate candidate = completed(made, random);
        if ((space().constraints().empty() || space().valid(candidate)) && seen_.add(candidate)) return candidate;
      }
      if (!last) return std::nullopt;
      dead.push_back(*last);
    }
    return std::nullopt;
  }

  /// A branch that no trial took, at random, else the one with the greatest upper confidence bound; nothing if all are dead.
  std::optional<std::size_t> select(std::size_t at, const std::vector<std::pair<std::size_t, std::size_t>>& dead, Random& random) const {
    const Node& node = nodes_[at];
    std::vector<std::size_t> fresh;
    std::optional<std::size_t> best;
    double greatest = 0;
    const double log_visits = std::log(1.0 + node.visits + node.pending);
    for (std::size_t i = 0; i < node.children.size(); ++i) {
      if (std::find(dead.begin(), dead.end(), std::pair{at, i}) != dead.end()) continue;
      if (node.children[i] == none) {
        fresh.push_back(i);
        continue;
      }
      const Node& child = nodes_[node.children[i]];
      const double visits = child.visits;
      const double bound = child.utility / visits + exploration_ * std::sqrt(2 * log_visits / (visits + child.pending));
      if (!best || bound > greatest) {
        best = i;
        greatest = bound;
      }
    }
    if (!fresh.empty()) return random.pick(fresh);
    return best;
  }

  /// What has been decided, and the rest at random.
  Candidate completed(const std::vector<Step>& made, Random& random) const {
    Candidate candidate(space().size());
    auto decision = made.begin();
    for (std::size_t i = 0; i < space().size(); ++i) {
      const bool restricted = decision != made.end() && decision->parameter == i;
      if (!space().active(candidate, i)) continue;
      if (!restricted) {
        candidate.set(i, space().sample_code(i, random));
        continue;
      }
      const double width = decision->high - decision->low;
      candidate.set(i, space()[i].discrete() ? decision->low + static_cast<double>(random.below(static_cast<std::uint64_t>(width) + 1))
                                             : space().code_at(i, decision->low + width * random.uniform()));
      ++decision;
    }
    return candidate;
  }

  Problem problem_;
  double exploration_;
  double smallest_part_;  // of a real parameter's range, in which values are random
  SeenCandidates seen_;
  std::vector<Node> nodes_;  // the root first
  std::vector<std::size_t> passed_;
  std::vector<Individual> results_;
  std::vector<std::pair<double, double>> merits_;  // theirs, the best first
  std::vector<Candidate> failures_;
  std::size_t valued_ = 0;  // results when all were valued last
};

}  // namespace

StrategyPlugin mcts_strategy() {
  return {
      .name = "mcts",
      .summary = "Monte Carlo tree search: decisions one after another, each to the branch whose trials were good or are few; for one objective.",
      .source = "Negrinho and Gordon, DeepArchitect: automatically designing and training deep architectures, "
                "arXiv:1704.08792, 2017",
      .options = {{.name = "exploration",
                   .kind = Option::Kind::number,
                   .fallback = "0.2",
                   .sentence = "Weight of how few trials a branch has had against how good they were.",
                   .minimum = 0,
                   .maximum = 100},
                  {.name = "halvings",
                   .kind = Option::Kind::integer,
                   .fallback = "6",
                   .sentence = "How often the range of a real parameter is halved; within the last part values are random.",
                   .minimum = 0,
                   .maximum = 50}},
      .capabilities = {.max_objectives = 1, .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<MonteCarloTreeSearch>(problem, options); },
  };
}

}  // namespace duet
