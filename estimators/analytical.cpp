#include <fmt/format.h>
#include <memory>
#include <variant>
#include <vector>

#include "core/errors.hpp"
#include "estimators/builtin.hpp"
#include "hw_models/lowering.hpp"
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
      metric("energy_j", "J", "Energy for one batch: arithmetic, registers, scratchpads and DRAM."),
      metric("area_mm2", "mm2", "Silicon area of the array and its scratchpads."),
      metric("power_w", "W", "Mean power while it runs: energy_j ÷ latency_s; without leakage."),
      metric("cycles", "1", "Clock cycles for one batch, stalls included."),
      metric("stall_cycles", "1", "Cycles in which the array waits for DRAM."),
      metric("utilization", "1", "Multiply-accumulate operations ÷ (processing elements × cycles).",
             Direction::maximize),
      metric("dram_bytes", "B", "Bytes read from and written to DRAM."),
      metric("sram_accesses", "1", "Words read from and written to the scratchpads."),
      metric("compute_energy_j", "J", "The part of energy_j in arithmetic and the array's registers."),
      metric("sram_energy_j", "J", "The part of energy_j in the scratchpads."),
      metric("dram_energy_j", "J", "The part of energy_j in DRAM."),
  };
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
  std::span<const Metric> metrics() const override { return metrics_; }

  Fingerprint key(const Design& design) const override {
    Hasher hasher;
    for (const Network& network : design.networks()) hasher.add(network.fingerprint());
    for (const Accelerator& accelerator : design.accelerators()) {
      hasher.add(fingerprint(accelerator));
    }
    return hasher.finish();
  }

  bool expensive() const override { return false; }

  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token) const override {
    return estimate_each(designs, [](const Design& design) { return estimate_one(design); });
  }

 private:
  static Evaluation estimate_one(const Design& design) {
    if (design.networks().empty()) return Evaluation::failure("the design has no network");
    if (design.accelerators().size() != 1) {
      return Evaluation::failure(
          fmt::format("the design has {} accelerators instead of one", design.accelerators().size()));
    }
    const auto* machine = std::get_if<SystolicArray>(&design.accelerators().front());
    if (machine == nullptr) return Evaluation::failure("the accelerator is not a systolic array");
    const SystolicArray& array = *machine;
    if (const auto problem = why_invalid(array)) return Evaluation::failure(*problem);
    return {Status::ok, "", costs(design.networks(), array), false, 0};
  }

  std::vector<Metric> metrics_ = analytical_metrics();
};

}  // namespace

EstimatorPlugin analytical_estimator() {
  return {
      .name = "analytical",
      .summary = "Latency, energy and area of the network on the accelerator, in closed form.",
      .source =
          "Cycles as in SCALE-Sim (Samajdar et al., ISPASS 2020); energy and area: docs/hardware/systolic_array.md",
      .options = {},
      .create = [](const Options&, const Environment& environment) -> std::unique_ptr<Estimator> {
        if (!environment.space->has_network()) {
          throw ConfigError("estimator 'analytical' needs a network, and no part of the space is one");
        }
        if (!environment.space->has_accelerator()) {
          throw ConfigError("estimator 'analytical' needs an accelerator, and no part of the space is one");
        }
        return std::make_unique<Analytical>();
      },
  };
}

}  // namespace duet
