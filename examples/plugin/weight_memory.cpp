// An estimator in one file: how much memory the network's weights take.

#include <memory>

#include "experiments/plugin.hpp"

namespace {

class WeightMemory final : public duet::Estimator {
 public:
  explicit WeightMemory(std::int64_t bits) : bits_(bits) {}

  std::span<const duet::Metric> metrics() const override { return metrics_; }

  // Designs with equal keys have equal results: only the network matters here.
  duet::Fingerprint key(const duet::Design& design) const override {
    duet::Hasher hasher;
    for (const duet::Network& network : design.networks()) hasher.add(network.fingerprint());
    return hasher.finish();
  }

  bool expensive() const override { return false; }  // counting is quicker than looking it up

  std::vector<duet::Evaluation> estimate(std::span<const duet::Design> designs, std::stop_token) const override {
    return duet::estimate_each(designs, [this](const duet::Design& design) {
      if (design.networks().empty()) {
        return duet::Evaluation::failure("the design has no network");
      }
      std::int64_t bits = 0;
      for (const duet::Network& network : design.networks()) bits += network.parameters() * bits_;
      duet::Evaluation result;
      result.values = {static_cast<double>((bits + 7) / 8)};
      return result;
    });
  }

 private:
  std::int64_t bits_;
  std::vector<duet::Metric> metrics_{{"weight_bytes", "B", duet::Direction::minimize, duet::Source::analytical,
                                      "Memory for the weights of all networks."}};
};

void add(duet::Registry& registry) {
  duet::EstimatorPlugin plugin;
  plugin.name = "weight_memory";
  plugin.summary = "Memory that the network's weights take.";
  plugin.source = "a product";
  plugin.options = {{.name = "bits",
                     .kind = duet::Option::Kind::integer,
                     .fallback = "8",
                     .sentence = "Bits per weight.",
                     .unit = "bit",
                     .minimum = 1,
                     .maximum = 64}};
  plugin.create = [](const duet::Options& options, const duet::Environment&) {
    return std::make_unique<WeightMemory>(options.integer("bits"));
  };
  registry.estimators.add(plugin);
}

}  // namespace

DUET_PLUGIN(add)
