#pragma once
/// What bench programs evaluate where evaluating must cost nothing: two metrics that are hashes of the design and
/// trade off against each other.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "experiments/specification.hpp"

namespace duet::bench {

class Nothing final : public Estimator {
 public:
  std::span<const Metric> metrics() const override { return metrics_; }
  Fingerprint key(const Design& design) const override { return design.space().fingerprint(design.candidate()); }
  bool expensive() const override { return false; }
  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token) const override {
    return estimate_each(designs, [](const Design& design) {
      const Fingerprint hash = design.space().fingerprint(design.candidate());
      const double x = static_cast<double>(hash.low >> 11) * 0x1.0p-53;
      const double y = static_cast<double>(hash.high >> 11) * 0x1.0p-53;
      Evaluation result;
      result.values = {x, (1 - x) * (1 - x) + y};
      return result;
    });
  }

 private:
  std::vector<Metric> metrics_{{"a", "1", Direction::minimize, Source::analytical, ""},
                               {"b", "1", Direction::minimize, Source::analytical, ""}};
};

inline Registry registry() {
  Registry registry = builtin_registry();
  EstimatorPlugin plugin;
  plugin.name = "nothing";
  plugin.create = [](const Options&, const Environment&) { return std::make_unique<Nothing>(); };
  registry.estimators.add(plugin);
  return registry;
}

/// 64 parameters of a joint cnn × systolic array space, about 30 of them active in a design.
inline Specification specification(const Registry& known, const std::string& strategy, std::int64_t trials,
                                   std::int64_t window) {
  return read_specification(
      Config::parse(fmt::format("name: bench\nspace: {{network: {{type: cnn}}, accelerator: {{type: systolic_array}}}}\n"
                                "estimators: [nothing]\nobjectives: [a, b]\nsearch: {{type: {}}}\nbudget: {}\nwindow: {}\n",
                                strategy, trials, window),
                    "bench"),
      ".", known);
}

}  // namespace duet::bench
