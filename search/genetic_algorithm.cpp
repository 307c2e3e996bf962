#include "search/genetic_algorithm.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace duet {
namespace {

using Parameters = std::span<const std::size_t>;

/// What `hold` may name: every path and every part of the tree above one, ascending.
std::vector<std::string> parts(const Space& space) {
  std::vector<std::string> parts;
  for (const Parameter& parameter : space.parameters()) {
    parts.push_back(parameter.path);
    for (std::size_t dot = parameter.path.rfind('.'); dot != std::string::npos && dot > 0;
         dot = parameter.path.rfind('.', dot - 1)) {
      parts.push_back(parameter.path.substr(0, dot));
    }
  }
  std::sort(parts.begin(), parts.end());
  parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
  return parts;
}

}  // namespace

GeneticAlgorithm::GeneticAlgorithm(const Problem& problem, const Options& options, Pace pace)
    : problem_(problem),
      population_size_(static_cast<std::size_t>(options.integer("population"))),
      pace_(pace),
      crossover_rate_(options.number("crossover_rate")),
      mutation_rate_(options.number("mutation_rate")),
      difference_rate_(options.number("difference_rate")),
      hold_rate_(options.number("hold_rate")),
      variation_(*problem.space, variation_settings(options)),
      seen_(*problem.space) {
  const std::string& hold = options.text("hold");
  if (hold.empty()) return;
  held_ = problem.space->under(hold);
  if (held_.empty()) {
    options.fail("hold", "no parameter lies under '" + hold + "'" + hint(hold, parts(*problem.space)));
  }
  if (held_.size() == problem.space->size()) {
    options.fail("hold", "every parameter lies under '" + hold + "', so that nothing is left to vary");
  }
  for (std::size_t i = 0; i < problem.space->size(); ++i) {
    if (!std::binary_search(held_.begin(), held_.end(), i)) rest_.push_back(i);
  }
}

std::vector<Proposal> GeneticAlgorithm::ask(std::uint64_t first, std::size_t count,
                                            std::span<const PendingTrial> pending) {
  seen_.add(pending);
  // Generation 0 takes in all trials that were there before the first of its own.
  if (generation_end_ == 0) generation_end_ = std::max<std::uint64_t>(population_size_, first - 1);
  std::vector<Proposal> proposals;
  for (std::uint64_t number = first; number < first + count; ++number) {
    if (pace_ == Pace::generation && number > generation_end_) {
      if (!pending.empty() || !proposals.empty()) break;
      survive();
      generation_end_ = number - 1 + population_size_;
    }
    Random random = problem_.random(number);
    std::optional<Proposal> proposal;
    if (pace_ == Pace::generation || number > generation_end_) proposal = unseen_offspring(random);
    if (!proposal) {
      std::optional<Candidate> candidate = seen_.draw(random);
      if (!candidate) break;
      proposal = Proposal{std::move(*candidate)};
    }
    proposals.push_back(std::move(*proposal));
  }
  return proposals;
}

void GeneticAlgorithm::tell(std::span<const FinishedTrial> finished) {
  seen_.add(finished);
  for (const FinishedTrial& trial : finished) {
    if (!trial.ok() || trial.duplicate_of) continue;
    told_.emplace_back(trial);
    if (pace_ == Pace::trial) survive();
  }
}

void GeneticAlgorithm::join() {
  std::move(told_.begin(), told_.end(), std::back_inserter(parents_));
  told_.clear();
}

/// Binary tournament between two different parents, if there are two.
std::size_t GeneticAlgorithm::tournament(Random& random) const {
  if (parents_.size() == 1) return 0;
  const std::size_t a = random.below(parents_.size());
  std::size_t b = random.below(parents_.size() - 1);
  if (b >= a) ++b;
  return before(parents_[b], parents_[a]) ? b : a;
}

/// Nothing if there are no parents, or if all that was tried had been proposed before.
std::optional<Proposal> GeneticAlgorithm::unseen_offspring(Random& random) {
  if (parents_.empty()) return std::nullopt;
  for (int attempt = 0; attempt < SeenCandidates::max_tries; ++attempt) {
    // Where all variations of the rest have been seen, holding on to the held part is given up half-way.
    const bool hold = !held_.empty() && attempt < SeenCandidates::max_tries / 2 && random.chance(hold_rate_);
    const Individual& first = parents_[tournament(random)];
    Proposal proposal{first.candidate, {first.number}};
    if (random.chance(crossover_rate_)) {
      const Individual& second = parents_[tournament(random)];
      if (second.number != first.number) {
        const Parameters held = hold ? Parameters(held_) : Parameters();
        proposal.parents.push_back(second.number);
        if (variation_.any_numeric() && random.chance(difference_rate_)) {
          const Individual& third = parents_[random.below(parents_.size())];
          proposal.candidate =
              variation_.differ(first.candidate, second.candidate, third.candidate, random, held);
          if (third.number != first.number && third.number != second.number) proposal.parents.push_back(third.number);
        } else {
          proposal.candidate = variation_.crossover(first.candidate, second.candidate, random, held);
        }
      }
    }
    variation_.mutate_sometimes(proposal.candidate, random, mutation_rate_, proposal.parents.size() == 1,
                                hold ? Parameters(rest_) : Parameters());
    if (seen_.add(proposal.candidate)) return proposal;
  }
  return std::nullopt;
}

std::vector<Option> genetic_options(std::string population) {
  std::vector<Option> options{{.name = "population",
                               .kind = Option::Kind::integer,
                               .fallback = std::move(population),
                               .sentence = "Parents kept; as many trials are random before evolution begins.",
                               .minimum = 2,
                               .maximum = 1'000'000}};
  for (Option& option : variation_options()) options.push_back(std::move(option));
  options.push_back({.name = "difference_rate",
                     .kind = Option::Kind::number,
                     .fallback = "0",
                     .sentence = "Probability that real parameters move along a difference of others instead of being "
                                 "crossed.",
                     .minimum = 0,
                     .maximum = 1});
  options.push_back({.name = "hold",
                     .kind = Option::Kind::text,
                     .fallback = "",
                     .sentence = "Path of a part of the design that most offspring inherit unchanged; empty: none."});
  options.push_back({.name = "hold_rate",
                     .kind = Option::Kind::number,
                     .fallback = "0.9",
                     .sentence = "Probability that an offspring inherits the part named by `hold` unchanged.",
                     .minimum = 0,
                     .maximum = 1});
  return options;
}

}  // namespace duet
