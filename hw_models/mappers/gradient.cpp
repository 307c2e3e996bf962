#include "hw_models/mappers/gradient.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "core/random.hpp"
#include "hw_models/cost_gradient.hpp"
#include "hw_models/mappers/sampling.hpp"

namespace duet {
namespace {

using kernel::Variable;
using mappers::Slot;

constexpr std::uint64_t default_effort = 60'000;
constexpr int steps = 40;
constexpr std::uint64_t step_effort = 8;  ///< evaluations that a step of descent takes the time of
/// D. P. Kingma and J. Ba, "Adam: A method for stochastic optimization", ICLR 2015, algorithm 1.
constexpr double rate = 0.15, decay_1 = 0.9, decay_2 = 0.99, tiny = 1e-8;
/// A real factor below this is no loop: every loop with an iteration and a bit would count as one that moves tiles.
constexpr double least_factor = 1.25;

Variable& factor(BasicMapping<Variable>& mapping, const Slot& slot, std::size_t d) {
  auto& level = mapping.levels[slot.level];
  return slot.kind == Slot::Kind::temporal ? level.temporal[d] : slot.kind == Slot::Kind::x ? level.x[d] : level.y[d];
}

/// One start: weights of every dimension's slots; a factor is (what is free of the dimension) to the power of its slot's
/// share, the softmax of the weights. So factors multiply to the size at every point.
class Descent {
 public:
  Descent(const kernel::Plan& plan, const mappers::Slots& slots, const Objective& objective, const Mapping& start)
      : plan_(plan), slots_(slots), objective_(objective), structure_(start) {
    for (const mappers::Slots::Freedom& freedom : slots.freedoms()) {
      double log_size = 0;
      for (const std::int64_t prime : freedom.primes) log_size += std::log(static_cast<double>(prime));
      log_sizes_.push_back(log_size);
      std::vector<double>& weights = weights_.emplace_back();
      for (const Slot& slot : freedom.slots) {
        const auto now = static_cast<double>(mappers::factor(start, slot, freedom.dimension));
        weights.push_back(std::log(std::log(now) / log_size + 0.02));
      }
      first_.emplace_back(weights.size(), 0.0);
      second_.emplace_back(weights.size(), 0.0);
    }
  }

  /// Logarithms of the real factors.
  std::vector<std::vector<double>> logs() const {
    std::vector<std::vector<double>> result;
    for (std::size_t f = 0; f < weights_.size(); ++f) {
      std::vector<double>& shares = result.emplace_back(weights_[f]);
      const double most = *std::max_element(shares.begin(), shares.end());
      double sum = 0;
      for (double& share : shares) {
        share = std::exp(share - most);
        sum += share;
      }
      for (double& share : shares) share = share / sum * log_sizes_[f];
    }
    return result;
  }

  void step(int number, double penalty) {
    const auto logs_now = logs();
    tape_.clear();
    BasicMapping<Variable> mapping;
    mapping.level_count = structure_.level_count;
    for (std::size_t l = 0; l < structure_.level_count; ++l) {
      const LevelMapping& from = structure_.levels[l];
      auto& to = mapping.levels[l];
      to.order = from.order;
      to.keep = from.keep;
      for (std::size_t d = 0; d < plan_.dimensions; ++d) {
        to.temporal[d] = Variable(static_cast<double>(from.temporal[d]));
        to.x[d] = Variable(static_cast<double>(from.x[d]));
        to.y[d] = Variable(static_cast<double>(from.y[d]));
      }
    }
    std::vector<std::vector<Variable>> factors;
    for (std::size_t f = 0; f < weights_.size(); ++f) {
      const mappers::Slots::Freedom& freedom = slots_.freedoms()[f];
      factors.emplace_back();
      for (std::size_t s = 0; s < freedom.slots.size(); ++s) {
        const double value = std::exp(logs_now[f][s]);
        factors.back().push_back(value < least_factor ? Variable(1.0) : tape_.variable(value));
        factor(mapping, freedom.slots[s], freedom.dimension) = factors.back().back();
      }
    }
    const kernel::RelaxedCost cost = kernel::relaxed_cost(plan_, mapping);
    Variable loss = objective(cost);
    // What is too much, as a logarithm, squared.
    for (std::size_t l = 0; l < plan_.levels; ++l) {
      const kernel::Plan::Level& level = plan_.level[l];
      const auto punish = [&](const Variable& have, double most) {
        if (have.v <= most) return;
        const Variable excess = log(have / most);
        loss = loss + (excess + excess * excess) * penalty;
      };
      if (level.bounded_capacity && level.capacity_bits > 0) punish(cost.bits[l], level.capacity_bits);
      Variable x(1.0), y(1.0);
      for (std::size_t d = 0; d < plan_.dimensions; ++d) {
        x = x * mapping.levels[l].x[d];
        y = y * mapping.levels[l].y[d];
      }
      punish(x, level.fanout_x);
      punish(y, level.fanout_y);
    }
    tape_.reverse(loss);
    for (std::size_t f = 0; f < weights_.size(); ++f) {
      // Through exp and softmax: d loss / d weight_j = share_j · (g_j − Σ share · g) · log size, g = d loss / d log factor.
      double mean = 0;
      std::vector<double> slope(weights_[f].size());
      for (std::size_t s = 0; s < slope.size(); ++s) {
        slope[s] = tape_.derivative(factors[f][s]) * factors[f][s].v;
        mean += logs_now[f][s] / log_sizes_[f] * slope[s];
      }
      for (std::size_t s = 0; s < slope.size(); ++s) {
        const double g = logs_now[f][s] * (slope[s] - mean);
        double &first = first_[f][s], &second = second_[f][s];
        first = decay_1 * first + (1 - decay_1) * g;
        second = decay_2 * second + (1 - decay_2) * g * g;
        weights_[f][s] -= rate * (first / (1 - std::pow(decay_1, number))) /
                          (std::sqrt(second / (1 - std::pow(decay_2, number))) + tiny);
      }
    }
  }

 private:
  Variable objective(const kernel::RelaxedCost& cost) const {
    const Variable cycles = log(cost.cycles);
    if (!(cost.energy_j.v > 0)) return cycles;
    const Variable energy = log(cost.energy_j);
    switch (objective_.kind) {
      case Objective::Kind::cycles: return cycles;
      case Objective::Kind::energy: return energy;
      case Objective::Kind::energy_delay: return cycles + energy;
      case Objective::Kind::weighted:
        return log(cost.cycles * (objective_.per_second / plan_.clock_hz) + cost.energy_j * objective_.per_joule);
      case Objective::Kind::cycles_then_energy: return cycles + energy * 0.01;
      case Objective::Kind::energy_then_cycles: return energy + cycles * 0.01;
    }
    return cycles;
  }

  const kernel::Plan& plan_;
  const mappers::Slots& slots_;
  const Objective& objective_;
  const Mapping& structure_;
  kernel::Tape tape_;
  std::vector<double> log_sizes_;
  std::vector<std::vector<double>> weights_, first_, second_;  ///< by freedom and slot
};

class Gradient final : public Mapper {
 public:
  std::string_view name() const override { return "gradient"; }

  MapperResult map(const CostModel& model, const MapperRequest& request) const override {
    const mappers::Slots slots(model);
    mappers::Search search(model, request, default_effort);
    std::optional<Mapping> sample;
    if (!slots.impossible().empty()) return search.finish(slots, sample);
    Random random(request.seed, "mapper gradient");
    CostOptions options = model.options();
    options.as_timeloop = false;  // a close model of it is smooth enough
    const kernel::Plan plan = kernel::plan(model.einsum(), model.architecture(), options);

    while (search.more()) {
      // The best of a few random ones as a start.
      std::optional<Mapping> start;
      ObjectiveValue lowest;
      for (int i = 0; i < 16; ++i) {
        const auto mapping = slots.random(random);
        search.count(1);
        if (!mapping) continue;
        sample = mapping;
        const ObjectiveValue value = search.evaluate(slots, *mapping);
        if (!start || value < lowest) {
          start = mapping;
          lowest = value;
        }
      }
      if (!start) continue;
      Descent descent(plan, slots, request.objective, *start);
      for (int i = 1; i <= steps && search.more(); ++i) {
        descent.step(i, i < steps / 2 ? 1 : 4);
        search.count(step_effort);
      }
      Mapping mapping = slots.rounded(*start, descent.logs());
      ObjectiveValue value;
      if (slots.repair(mapping)) value = search.evaluate(slots, mapping);
      if (!(value < ObjectiveValue{})) continue;
      if (search.more()) search.polish(slots, mapping, value, search.effort() - search.evaluations());
    }
    return search.finish(slots, sample);
  }
};

}  // namespace

std::unique_ptr<Mapper> make_gradient_mapper() { return std::make_unique<Gradient>(); }

}  // namespace duet
