#include <algorithm>
#include <memory>
#include <vector>

#include "core/errors.hpp"
#include "estimators/builtin.hpp"

namespace duet {
namespace {

class NetworkCounts final : public Estimator {
 public:
  std::span<const Metric> metrics() const override { return metrics_; }

  Fingerprint key(const Design& design) const override {
    Hasher hasher;
    for (const Network& network : design.networks()) hasher.add(network.fingerprint());
    return hasher.finish();
  }

  bool expensive() const override { return false; }

  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token) const override {
    return estimate_each(designs, [](const Design& design) { return estimate_one(design); });
  }

 private:
  static Evaluation estimate_one(const Design& design) {
    if (design.networks().empty()) return Evaluation::failure("the design has no network");
    std::int64_t macs = 0, parameters = 0, peak = 0;
    for (const Network& network : design.networks()) {
      macs += network.macs();
      parameters += network.parameters();
      peak = std::max(peak, network.peak_activations());
    }
    return {Status::ok,
            "",
            {static_cast<double>(macs), static_cast<double>(parameters), static_cast<double>(peak)},
            false,
            0};
  }

  std::vector<Metric> metrics_{
      {"macs", "1", Direction::minimize, Source::analytical, "Multiply-accumulate operations for one batch."},
      {"parameters", "1", Direction::minimize, Source::analytical, "Trainable parameters."},
      {"peak_activations", "1", Direction::minimize, Source::analytical,
       "Most elements of node outputs alive at once, for one batch."},
  };
};

}  // namespace

EstimatorPlugin network_counts_estimator() {
  return {
      .name = "network_counts",
      .summary = "Multiply-accumulates, parameters and peak activations of the network, counted exactly.",
      .source = "Counting rules: docs/estimators/network_counts.md",
      .options = {},
      .create = [](const Options&, const Environment& environment) -> std::unique_ptr<Estimator> {
        if (!environment.space->has_network()) {
          throw ConfigError("estimator 'network_counts' needs a network, and no part of the space is one");
        }
        return std::make_unique<NetworkCounts>();
      },
  };
}

}  // namespace duet
