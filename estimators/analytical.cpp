#include <algorithm>
#include <exception>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "core/errors.hpp"
#include "core/random.hpp"
#include "estimators/builtin.hpp"
#include "hw_models/lowering.hpp"
#include "hw_models/network_cost.hpp"
#include "hw_models/systolic.hpp"

namespace duet {
namespace {

std::vector<Metric> analytical_metrics() {
  const auto metric = [](std::string name, std::string unit, std::string description,
                         Direction direction = Direction::minimize) {
    return Metric{std::move(name), std::move(unit), direction, Source::analytical, std::move(description)};
  };
  return {
      metric("latency_s", "s", "Time for one batch: cycles ÷ clock."),
      metric("energy_j", "J", "Energy for one batch: arithmetic, registers, scratchpads or levels, and DRAM."),
      metric("area_mm2", "mm2", "Silicon area of the array and its scratchpads, or of all levels and units."),
      metric("power_w", "W", "Mean power while it runs: energy_j ÷ latency_s; leakage only where levels have one."),
      metric("cycles", "1", "Clock cycles for one batch, stalls included."),
      metric("stall_cycles", "1", "Cycles in which the array waits for memory."),
      metric("utilization", "1", "Multiply-accumulate operations ÷ (processing elements × cycles).",
             Direction::maximize),
      metric("dram_bytes", "B", "Bytes read from and written to DRAM, the outermost level."),
      metric("sram_accesses", "1", "Words read from and written to the scratchpads or all other levels."),
      metric("compute_energy_j", "J", "The part of energy_j in arithmetic and the array's registers."),
      metric("sram_energy_j", "J", "The part of energy_j in the scratchpads or all other levels."),
      metric("dram_energy_j", "J", "The part of energy_j in DRAM, the outermost level."),
  };
}

/// How mappings onto an architecture of storage levels are found.
struct MappingPolicy {
  std::shared_ptr<const Mapper> mapper;
  MapperRequest request;
  std::shared_ptr<MappingCache> cache;
};

/// Several networks run one after another on the same architecture.
Evaluation evaluate(std::span<const Network> networks, const Architecture& architecture, const MappingPolicy& policy) {
  ArchitectureCost total;
  for (const Network& network : networks) {
    const ArchitectureCost one = duet::cost(network, architecture, *policy.mapper, policy.request,
                                            {.cost = {}, .threads = 1, .cache = policy.cache.get()});
    if (!one.mapping.why_none.empty()) return Evaluation::failure(one.mapping.why_none);
    total.cycles += one.cycles;
    total.compute_cycles += one.compute_cycles;
    total.latency_s += one.latency_s;
    total.energy_j += one.energy_j;
    total.compute_energy_j += one.compute_energy_j;
    total.outermost_energy_j += one.outermost_energy_j;
    total.macs += one.macs;
    total.dram_bytes += one.dram_bytes;
    total.sram_accesses += one.sram_accesses;
  }
  const double slots = static_cast<double>(architecture.compute.instances()) * total.cycles;
  return {Status::ok,
          "",
          {total.latency_s, total.energy_j, architecture.total_area_mm2(),
           total.latency_s > 0 ? total.energy_j / total.latency_s : 0, total.cycles, total.cycles - total.compute_cycles,
           slots > 0 ? total.macs / slots : 0, total.dram_bytes, total.sram_accesses, total.compute_energy_j,
           total.energy_j - total.compute_energy_j - total.outermost_energy_j, total.outermost_energy_j},
          false,
          0};
}

/// Several networks run one after another on the same array.
std::vector<double> costs(std::span<const Network> networks, const SystolicArray& array) {
  std::int64_t cycles = 0, stall_cycles = 0, macs = 0, dram_bytes = 0, sram_accesses = 0;
  double latency_s = 0;
  Energy energy;
  for (const Network& network : networks) {
    const NetworkCost cost = duet::cost(network, array);
    cycles += cost.cycles;
    stall_cycles += cost.stall_cycles;
    macs += cost.macs;
    dram_bytes += cost.dram_bytes;
    sram_accesses += cost.sram_accesses;
    latency_s += cost.latency_s;
    energy += cost.energy;
  }
  const auto whole = [](std::int64_t count) { return static_cast<double>(count); };
  const double slots = whole(array.rows * array.columns) * whole(cycles);
  const double energy_j = energy.total_j();
  return {
      latency_s,
      energy_j,
      area(array).total_mm2(),
      latency_s > 0 ? energy_j / latency_s : 0,
      whole(cycles),
      whole(stall_cycles),
      slots > 0 ? whole(macs) / slots : 0,
      whole(dram_bytes),
      whole(sram_accesses),
      energy.mac_j + energy.register_j,
      energy.input_sram_j + energy.weight_sram_j + energy.output_sram_j,
      energy.dram_j,
  };
}

class Analytical final : public Estimator {
 public:
  Analytical(MappingPolicy policy, bool expensive) : policy_(std::move(policy)), expensive_(expensive) {}

  std::span<const Metric> metrics() const override { return metrics_; }

  Fingerprint key(const Design& design) const override {
    Hasher hasher;
    for (const Network& network : design.networks()) hasher.add(network.fingerprint());
    for (const Accelerator& accelerator : design.accelerators()) {
      hasher.add(fingerprint(accelerator));
    }
    return hasher.finish();
  }

  /// A systolic array costs microseconds, mappings onto levels are worth keeping.
  bool expensive() const override { return expensive_; }

  void use_store(std::shared_ptr<KeyValueStore> store) override {
    policy_.cache = std::make_shared<MappingCache>(100'000, std::move(store));
  }

  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token) const override {
    return estimate_each(designs, [this](const Design& design) { return estimate_one(design); });
  }

 private:
  Evaluation estimate_one(const Design& design) const {
    if (design.networks().empty()) return Evaluation::failure("the design has no network");
    if (design.accelerators().size() != 1) {
      return Evaluation::failure(
          fmt::format("the design has {} accelerators instead of one", design.accelerators().size()));
    }
    const Accelerator& accelerator = design.accelerators().front();
    if (const auto* architecture = std::get_if<Architecture>(&accelerator)) {
      if (const auto problem = why_invalid(*architecture)) return Evaluation::failure(*problem);
      if (!policy_.mapper) return Evaluation::failure("this duet was built without mappers");
      return evaluate(design.networks(), *architecture, policy_);
    }
    const SystolicArray& array = std::get<SystolicArray>(accelerator);
    if (const auto problem = why_invalid(array)) return Evaluation::failure(*problem);
    return {Status::ok, "", costs(design.networks(), array), false, 0};
  }

  std::vector<Metric> metrics_ = analytical_metrics();
  MappingPolicy policy_;
  bool expensive_;
};

MappingPolicy read_policy(const Options& options) {
  MappingPolicy policy;
  const auto words = mapper_names();
  if (const std::string& name = options.text("mapper"); std::find(words.begin(), words.end(), name) != words.end()) {
    policy.mapper = make_mapper(name);
  } else if (options.given("mapper")) {
    const std::vector<std::string> known(words.begin(), words.end());
    options.fail("mapper", fmt::format("there is no mapper '{}'{}", name, hint(name, known)));
  }
  if (const auto objective = options.config("objective")) policy.request.objective = read_objective(*objective);
  policy.request.effort = static_cast<std::uint64_t>(options.integer("effort"));
  policy.request.seed = static_cast<std::uint64_t>(options.integer("mapper_seed"));
  policy.cache = std::make_shared<MappingCache>();
  return policy;
}

/// Whether the space has architectures of storage levels: one design says it.
bool has_levels(const DesignSpace& space) {
  Random random(0, "analytical");
  const auto candidate = space.space().try_sample(random);
  if (!candidate) return false;
  try {
    const Design design = space.design(*candidate);
    for (const Accelerator& accelerator : design.accelerators()) {
      if (std::holds_alternative<Architecture>(accelerator)) return true;
    }
  } catch (const std::exception&) {  // a design that makes no sense is a failed trial later on
  }
  return false;
}

}  // namespace

EstimatorPlugin analytical_estimator() {
  return {
      .name = "analytical",
      .summary = "Latency, energy and area of the network on the accelerator, in closed form.",
      .source =
          "Cycles as in SCALE-Sim (Samajdar et al., ISPASS 2020); energy and area: docs/hardware/systolic_array.md; "
          "architectures of storage levels as in Timeloop (Parashar et al., ISPASS 2019): docs/hardware/loop_nest.md",
      .options =
          {
              {.name = "mapper",
               .kind = Option::Kind::text,
               .fallback = "genetic",
               .sentence = "What finds mappings onto an architecture of storage levels."},
              {.name = "objective",
               .kind = Option::Kind::config,
               .fallback = "energy_delay",
               .sentence = "What each layer's mapping minimises: cycles, energy, energy_delay, "
                           "cycles_then_energy, energy_then_cycles or {weighted: {per_second, per_joule}}."},
              {.name = "effort",
               .kind = Option::Kind::integer,
               .fallback = "0",
               .sentence = "Mappings that are tried for each layer at most; 0: the mapper's own default.",
               .minimum = 0,
               .maximum = 1e12},
              {.name = "mapper_seed",
               .kind = Option::Kind::integer,
               .fallback = "1",
               .sentence = "Seed of the mapper.",
               .minimum = 0,
               .maximum = 1e15},
          },
      .create = [](const Options& options, const Environment& environment) -> std::unique_ptr<Estimator> {
        if (!environment.space->has_network()) {
          throw ConfigError("estimator 'analytical' needs a network, and no part of the space is one");
        }
        if (!environment.space->has_accelerator()) {
          throw ConfigError("estimator 'analytical' needs an accelerator, and no part of the space is one");
        }
        return std::make_unique<Analytical>(read_policy(options), has_levels(*environment.space));
      },
  };
}

}  // namespace duet
