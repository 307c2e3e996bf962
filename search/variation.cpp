#include "search/variation.hpp"

#include <algorithm>
#include <cmath>

namespace duet {
namespace {

/// Discrete parameters with more values than this are varied on their scale.
constexpr std::uint64_t few_levels = 20;

bool satisfies_constraints(const Space& space, const Candidate& candidate) {
  return space.constraints().empty() || space.valid(candidate);
}

}  // namespace

Variation::Variation(const Space& space, VariationSettings settings)
    : space_(&space), settings_(settings), numeric_(space.size()) {
  for (std::size_t i = 0; i < space.size(); ++i) {
    const Parameter& parameter = space[i];
    numeric_[i] = parameter.kind != Parameter::Kind::choice && parameter.maximum > parameter.minimum &&
                  (!parameter.discrete() || parameter.levels() > few_levels);
  }
  for (const Parameter& parameter : space.parameters()) {
    if (parameter.parent) numeric_[*parameter.parent] = false;
  }
  any_numeric_ = std::find(numeric_.begin(), numeric_.end(), true) != numeric_.end();
}

double Variation::blend(std::size_t parameter, double first, double second, Random& random) const {
  const double a = space_->position(parameter, first), b = space_->position(parameter, second);
  const double low = std::min(a, b), high = std::max(a, b);
  const double spread = high - low;
  const bool lower = random.chance(0.5);
  const double u = random.uniform();
  if (spread < 1e-14) return first;
  const double exponent = 1 / (settings_.crossover_index + 1);
  const double room = 1 + 2 * (lower ? low : 1 - high) / spread;
  const double alpha = 2 - std::pow(room, -(settings_.crossover_index + 1));
  const double factor = u <= 1 / alpha ? std::pow(u * alpha, exponent) : std::pow(1 / (2 - u * alpha), exponent);
  return space_->code_at(parameter, 0.5 * (low + high + (lower ? -factor : factor) * spread));
}

double Variation::perturb(std::size_t parameter, double code, Random& random) const {
  const double position = space_->position(parameter, code);
  const double u = random.uniform();
  const double exponent = 1 / (settings_.mutation_index + 1);
  double step = 0;
  if (u < 0.5) {
    const double value = 2 * u + (1 - 2 * u) * std::pow(1 - position, settings_.mutation_index + 1);
    step = std::pow(value, exponent) - 1;
  } else {
    const double value = 2 * (1 - u) + (2 * u - 1) * std::pow(position, settings_.mutation_index + 1);
    step = 1 - std::pow(value, exponent);
  }
  const Parameter& described = (*space_)[parameter];
  double changed = space_->code_at(parameter, position + step);
  if (described.discrete() && changed == code) {  // less than one step
    const bool up = code <= described.minimum || (code < described.maximum && u >= 0.5);
    changed = up ? code + 1 : code - 1;
  }
  return changed;
}

Candidate Variation::crossover(const Candidate& first, const Candidate& second, Random& random,
                               std::span<const std::size_t> from_first) const {
  if (!any_numeric_) return space_->crossover(first, second, random, from_first);
  for (int attempt = 0; attempt < Space::max_retries; ++attempt) {
    Candidate child = space_->crossover(first, second, random, from_first);
    std::size_t held = 0;  // both lists ascend
    for (std::size_t i = 0; i < numeric_.size(); ++i) {
      while (held < from_first.size() && from_first[held] < i) ++held;
      if (held < from_first.size() && from_first[held] == i) continue;
      if (!numeric_[i] || !child.has(i) || !first.has(i) || !second.has(i)) continue;
      child.set(i, random.chance(0.5) ? blend(i, first[i], second[i], random) : first[i]);
    }
    if (satisfies_constraints(*space_, child)) return child;
  }
  return first;
}

Candidate Variation::differ(const Candidate& first, const Candidate& plus, const Candidate& minus, Random& random,
                            std::span<const std::size_t> from_first) const {
  for (int attempt = 0; attempt < Space::max_retries; ++attempt) {
    Candidate child = first;
    const double rate = random.chance(0.5) ? 0.9 : 0.2;  // together, or few at a time
    const double factor = random.uniform(0.3, 0.9);
    for (std::size_t i = 0; i < numeric_.size(); ++i) {
      if (!numeric_[i] || !first.has(i) || !plus.has(i) || !minus.has(i)) continue;
      if (std::binary_search(from_first.begin(), from_first.end(), i) || !random.chance(rate)) continue;
      const double from = space_->position(i, first[i]);
      double to = from + factor * (space_->position(i, plus[i]) - space_->position(i, minus[i]));
      // Back from beyond a bound: between it and where it came from.
      if (to < 0) to = from * random.uniform();
      if (to > 1) to = 1 - (1 - from) * random.uniform();
      child.set(i, space_->code_at(i, to));
    }
    if (satisfies_constraints(*space_, child)) return child;
  }
  return first;
}

Candidate Variation::mutate(const Candidate& parent, Random& random, double rate,
                            std::span<const std::size_t> among) const {
  if (!any_numeric_) return space_->mutate(parent, random, rate, among);
  std::vector<std::size_t> changeable;
  const auto consider = [&](std::size_t i) {
    const Parameter& parameter = (*space_)[i];
    if (parent.has(i) && parameter.maximum > parameter.minimum) changeable.push_back(i);
  };
  if (among.empty()) {
    for (std::size_t i = 0; i < space_->size(); ++i) consider(i);
  } else {
    for (const std::size_t i : among) consider(i);
  }
  if (changeable.empty()) return parent;
  for (int attempt = 0; attempt < Space::max_retries; ++attempt) {
    Candidate child = parent;
    const std::size_t forced = random.pick(changeable);
    for (const std::size_t i : changeable) {
      if (i != forced && !random.chance(rate)) continue;
      if (!child.has(i)) continue;  // an earlier change switched it off
      if (numeric_[i]) {
        child.set(i, perturb(i, child[i], random));
      } else {
        child = space_->with(child, i, space_->sample_code(i, random, child[i]), random, &parent);
      }
    }
    if (!(child == parent) && satisfies_constraints(*space_, child)) return child;
  }
  return parent;
}

void Variation::mutate_sometimes(Candidate& candidate, Random& random, double rate, bool always,
                                 std::span<const std::size_t> among) const {
  std::size_t active = 0;
  if (among.empty()) {
    for (std::size_t i = 0; i < candidate.size(); ++i) active += candidate.has(i) ? 1 : 0;
  } else {
    for (const std::size_t i : among) active += candidate.has(i) ? 1 : 0;
  }
  if (active == 0) return;
  if (rate <= 0) rate = 1.0 / static_cast<double>(active);
  double unchanged = 1;  // probability that no decision changes
  for (std::size_t i = 0; i < active; ++i) unchanged *= 1.0 - rate;
  if (!always && random.chance(unchanged)) return;
  candidate = mutate(candidate, random, rate, among);
}

std::vector<Option> variation_options() {
  return {{.name = "crossover_rate",
           .kind = Option::Kind::number,
           .fallback = "0.9",
           .sentence = "Probability that an offspring has two parents.",
           .minimum = 0,
           .maximum = 1},
          {.name = "mutation_rate",
           .kind = Option::Kind::number,
           .fallback = "0",
           .sentence = "Probability that a decision changes; 0 means 1 / number of active parameters.",
           .minimum = 0,
           .maximum = 1},
          {.name = "crossover_index",
           .kind = Option::Kind::number,
           .fallback = "15",
           .sentence = "Distribution index of simulated binary crossover: larger keeps children nearer to the parents.",
           .minimum = 0,
           .maximum = 1000},
          {.name = "mutation_index",
           .kind = Option::Kind::number,
           .fallback = "20",
           .sentence = "Distribution index of polynomial mutation: larger means smaller steps.",
           .minimum = 0,
           .maximum = 1000}};
}

VariationSettings variation_settings(const Options& options) {
  return {options.number("crossover_index"), options.number("mutation_index")};
}

}  // namespace duet
