#include <algorithm>
#include <cmath>
#include <memory>
#include <variant>
#include <vector>

#include "core/errors.hpp"
#include "estimators/builtin.hpp"

namespace duet {
namespace {

/// Where a format says nothing: single-precision numbers.
constexpr double default_bits = 32;

double width(std::int64_t bits) { return bits == 0 ? default_bits : static_cast<double>(bits); }

/// Bits that a layer's parameters take: weights that are not zero at their width and where they are, the rest (biases,
/// normalisations, tables) in single precision.
double stored_bits(const Network& network, NodeId id) {
  const NumberFormat& format = network.node(id).format;
  const auto weights = static_cast<double>(network.weights(id));
  const auto kept = static_cast<double>(network.kept_weights(id));
  double bits = (static_cast<double>(network.parameters(id)) - weights) * default_bits + kept * width(format.weight_bits);
  if (format.sparsity_group > 1) {
    bits += kept * std::ceil(std::log2(static_cast<double>(format.sparsity_group)));
  } else if (format.density < 1) {
    bits += weights;  // a bitmap
  }
  return bits;
}

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
    double effective_macs = 0, bit_operations = 0, bits = 0;
    for (const Network& network : design.networks()) {
      for (NodeId id = 0; id < network.nodes().size(); ++id) {
        const NumberFormat& format = network.node(id).format;
        double effective = static_cast<double>(network.macs(id));
        // Every weight takes part in as many products.
        if (const std::int64_t weights = network.weights(id); weights > 0) {
          effective *= static_cast<double>(network.kept_weights(id)) / static_cast<double>(weights);
        }
        effective_macs += effective;
        // A product of activations has no weights: both sides are as wide as the inputs.
        const bool activations = std::holds_alternative<MatMul>(network.node(id).op);
        bit_operations += effective * width(activations ? format.activation_bits : format.weight_bits) *
                          width(format.activation_bits);
        bits += stored_bits(network, id);
      }
      macs += network.macs();
      parameters += network.parameters();
      peak = std::max(peak, network.peak_activations());
    }
    return {Status::ok,
            "",
            {static_cast<double>(macs), static_cast<double>(parameters), static_cast<double>(peak), effective_macs,
             bit_operations, std::ceil(bits / 8)},
            false,
            0};
  }

  std::vector<Metric> metrics_{
      {"macs", "1", Direction::minimize, Source::analytical, "Multiply-accumulate operations for one batch."},
      {"parameters", "1", Direction::minimize, Source::analytical, "Trainable parameters."},
      {"peak_activations", "1", Direction::minimize, Source::analytical,
       "Most elements of node outputs alive at once, for one batch."},
      {"effective_macs", "1", Direction::minimize, Source::analytical,
       "Multiply-accumulate operations with weights that are not zero, for one batch."},
      {"bit_operations", "1", Direction::minimize, Source::analytical,
       "effective_macs times the bits of weight and activation, 32 where no width is chosen."},
      {"weight_bytes", "B", Direction::minimize, Source::analytical,
       "Memory of all parameters: weights that are not zero at their widths and where they are, the rest in 32 bits."},
  };
};

}  // namespace

EstimatorPlugin network_counts_estimator() {
  return {
      .name = "network_counts",
      .summary = "Multiply-accumulates, parameters, peak activations and bits of the network, counted exactly.",
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
