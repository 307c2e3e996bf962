// A hardware model in one file: an accelerator space of two parameters, and the estimator that costs a network on it
// by the roofline (Williams, Waterman and Patterson, CACM 52(4), 2009).

#include <algorithm>
#include <memory>

#include "core/errors.hpp"
#include "experiments/plugin.hpp"

namespace {

// What can be built: a part of the design space.
class RooflineSpace final : public duet::DesignPart {
 public:
  std::vector<duet::SpaceNode> nodes() const override {
    return {duet::ordinal("macs_per_s", {1e9, 4e9, 16e9, 64e9}, "1", "Peak multiply-accumulates per second."),
            duet::ordinal("bandwidth", {1e9, 4e9, 16e9}, "B/s", "Peak memory bandwidth.")};
  }
};

// What it costs. `accelerator` must be the name of the part.
class Roofline final : public duet::Estimator {
 public:
  std::span<const duet::Metric> metrics() const override { return metrics_; }

  duet::Fingerprint key(const duet::Design& design) const override {
    return design.space().fingerprint(design.candidate());
  }

  bool expensive() const override { return false; }

  std::vector<duet::Evaluation> estimate(std::span<const duet::Design> designs, std::stop_token) const override {
    return duet::estimate_each(designs, [](const duet::Design& design) {
      const duet::Assignment accelerator(design.space(), design.candidate(), "accelerator");
      double latency_s = 0;
      for (const duet::Network& network : design.networks()) {
        for (duet::NodeId id = 0; id < network.nodes().size(); ++id) {
          const double compute_s = static_cast<double>(network.macs(id)) / accelerator.number("macs_per_s");
          double words = static_cast<double>(network.parameters(id) + elements(network.node(id).shape));
          for (const duet::NodeId input : network.node(id).inputs) {
            words += static_cast<double>(elements(network.node(input).shape));
          }
          latency_s += std::max(compute_s, words / accelerator.number("bandwidth"));  // a word is a byte
        }
      }
      duet::Evaluation result;
      result.values = {latency_s};
      return result;
    });
  }

 private:
  static std::int64_t elements(const duet::Shape& shape) {
    std::int64_t product = 1;
    for (const std::int64_t extent : shape) product *= extent;
    return product;
  }

  std::vector<duet::Metric> metrics_{{"roofline_s", "s", duet::Direction::minimize, duet::Source::analytical,
                                      "Sum over layers of the longer of computing and moving."}};
};

void add(duet::Registry& registry) {
  duet::SpacePlugin space;
  space.name = "roofline";
  space.summary = "A machine of two numbers: peak arithmetic and peak bandwidth.";
  space.source = "Williams, Waterman and Patterson, CACM 52(4), 2009";
  space.create = [](const duet::Options&) { return std::make_unique<RooflineSpace>(); };
  registry.spaces.add(space);

  duet::EstimatorPlugin estimator;
  estimator.name = "roofline";
  estimator.summary = "Latency of the network on a `roofline` accelerator.";
  estimator.source = space.source;
  estimator.create = [](const duet::Options&, const duet::Environment& environment) {
    if (!environment.space->space().find("accelerator.macs_per_s")) {
      throw duet::ConfigError("estimator roofline needs a part 'accelerator' of type roofline");
    }
    return std::make_unique<Roofline>();
  };
  registry.estimators.add(estimator);
}

}  // namespace

DUET_PLUGIN(add)
