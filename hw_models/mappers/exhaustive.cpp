#include "hw_models/mappers/exhaustive.hpp"

#include <chrono>

#include "hw_models/mapspace.hpp"

namespace duet {
namespace {

class Exhaustive : public Mapper {
 public:
  std::string_view name() const override { return "exhaustive"; }

  MapperResult map(const CostModel& model, const MapperRequest& request) const override {
    constexpr std::uint64_t default_effort = 100'000'000, look_at_clock = 1024;
    const Mapspace space(model.einsum(), model.architecture());
    const std::uint64_t most = request.effort > 0 ? request.effort : default_effort;
    const auto start = std::chrono::steady_clock::now();
    MapperResult result;
    bool out_of_effort = false;
    const bool finished = space.for_each([&](const Mapping& mapping) {
      if (result.evaluations == most) {
        out_of_effort = true;
        return false;
      }
      if (++result.evaluations % look_at_clock == 0 &&
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() >
              request.time_limit_s) {
        result.complete = false;
        return false;
      }
      const QuickCost cost = model.quick(mapping);
      if (!cost.valid) return true;
      const ObjectiveValue now =
          value(request.objective, cost.cycles, cost.energy_j, model.architecture().clock_hz);
      // The least filling of capacities is all that for_each does not see to; asked only where it matters.
      if (result.mapping && now >= result.value) return true;
      if (model.why_invalid(mapping, true)) return true;
      result.mapping = mapping;
      result.cost = cost;
      result.value = now;
      return true;
    });
    result.proven = finished && result.mapping.has_value();
    if (result.proven) result.lower_bound = result.value.first;
    if (!result.mapping) {
      result.why_none = finished        ? "no mapping of the mapspace fits the capacities and constraints"
                        : out_of_effort ? "none of the mappings that the effort allowed is valid"
                                        : "none of the mappings seen within the time limit is valid";
    }
    return result;
  }
};

}  // namespace

std::unique_ptr<Mapper> make_exhaustive_mapper() {
  return std::make_unique<Exhaustive>();
}

}  // namespace duet
