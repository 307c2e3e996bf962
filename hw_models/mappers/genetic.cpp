#include "hw_models/mappers/genetic.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <vector>

#include "core/random.hpp"
#include "hw_models/mappers/sampling.hpp"

namespace duet {
namespace {

constexpr std::uint64_t default_effort = 40'000;
constexpr std::size_t population_size = 40, children = 24;
/// Generations without a better mapping after which all but the best begin anew.
constexpr std::size_t patience = 12;

struct Individual {
  Mapping mapping;
  ObjectiveValue value;
};

class Genetic final : public Mapper {
 public:
  std::string_view name() const override { return "genetic"; }

  MapperResult map(const CostModel& model, const MapperRequest& request) const override {
    const mappers::Slots slots(model);
    mappers::Search search(model, request, default_effort);
    std::optional<Mapping> sample;
    if (!slots.impossible().empty()) return search.finish(slots, sample);
    Random random(request.seed, "mapper genetic");
    const std::uint64_t polishing = search.effort() / 4;

    std::vector<Individual> population;
    const auto litter = [&](const Mapping& parent, std::vector<Individual>& to) {
      MappingBatch batch(parent);
      std::array<ObjectiveValue, MappingBatch::lanes> values;
      for (std::size_t lane = 1; lane < MappingBatch::lanes; ++lane) {
        for (std::uint64_t changes = 1 + random.below(3); changes > 0; --changes) slots.mutate(random, batch, lane);
      }
      search.evaluate(slots, batch, values);
      const std::size_t best = static_cast<std::size_t>(std::min_element(values.begin(), values.end()) - values.begin());
      if (values[best] < ObjectiveValue{}) to.push_back({batch.mapping(best), values[best]});
    };
    const auto begin = [&] {
      for (std::size_t i = 0; i < population_size && search.more(); ++i) {
        const auto mapping = slots.random(random);
        search.count(1);  // so that a hopeless case ends
        if (!mapping) continue;
        sample = mapping;
        litter(*mapping, population);
      }
    };
    const auto select = [&] {
      std::stable_sort(population.begin(), population.end(),
                       [](const Individual& a, const Individual& b) { return a.value < b.value; });
      // Of equal ones one is enough.
      population.erase(std::unique(population.begin(), population.end(),
                                   [](const Individual& a, const Individual& b) { return a.value == b.value; }),
                       population.end());
      if (population.size() > population_size) population.erase(population.begin() + population_size, population.end());
    };

    // Rounds: evolve until nothing improves, polish the best, begin anew.
    while (search.more()) {
      population.clear();
      begin();
      select();
      ObjectiveValue last;
      for (std::size_t still = 0; still < patience && !population.empty() && search.more(); ++still) {
        if (search.evaluations() + polishing > search.effort() && search.best_mapping()) break;
        if (population[0].value < last) still = 0;
        last = population[0].value;
        std::vector<Individual> born;
        for (std::size_t i = 0; i < children; ++i) {
          const auto parent = [&]() -> const Individual& {
            const std::uint64_t a = random.below(population.size()), b = random.below(population.size());
            return population[static_cast<std::size_t>(std::min(a, b))];  // they are sorted
          };
          Mapping child = parent().mapping;
          bool fits = true;
          if (random.chance(0.5)) {
            cross(random, slots, child, parent().mapping);
            fits = slots.repair(child);
          }
          if (random.chance(0.5)) {
            const auto l = static_cast<std::size_t>(random.below(child.level_count));
            const auto orders = slots.neighbours(l, child.levels[l].order);
            if (random.chance(0.3)) {
              child.levels[l].order = slots.random_order(random, l);
            } else if (!orders.empty()) {
              child.levels[l].order = random.pick(orders);
            }
          }
          if (!slots.free_keeps().empty() && random.chance(0.15)) {
            const auto& [l, t] = random.pick(slots.free_keeps());
            child.levels[l].keep[t] = !child.levels[l].keep[t];
            fits = slots.repair(child) && fits;
          }
          if (fits) litter(child, born);
        }
        population.insert(population.end(), born.begin(), born.end());
        select();
        search.count(1);
      }
      // Polish a few of the best: they are often different hills.
      for (std::size_t i = 0; i < std::min<std::size_t>(3, population.size()); ++i) {
        if (!search.more()) break;
        search.polish(slots, population[i].mapping, population[i].value, search.effort() - search.evaluations());
      }
    }
    return search.finish(slots, sample);
  }

 private:
  static void cross(Random& random, const mappers::Slots& slots, Mapping& child, const Mapping& other) {
    for (const mappers::Slots::Freedom& freedom : slots.freedoms()) {
      if (random.chance(0.5)) continue;
      for (const mappers::Slot& slot : freedom.slots) {
        factor(child, slot, freedom.dimension) = factor(other, slot, freedom.dimension);
      }
    }
    for (std::size_t l = 0; l < child.level_count; ++l) {
      if (random.chance(0.5)) continue;
      child.levels[l].order = other.levels[l].order;
      child.levels[l].keep = other.levels[l].keep;
    }
  }
};

}  // namespace

std::unique_ptr<Mapper> make_genetic_mapper() { return std::make_unique<Genetic>(); }

}  // namespace duet
