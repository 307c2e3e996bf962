// Breaks the contract: all designs have one key but not one result, and the second metric is missing.

#include "experiments/plugin.hpp"

namespace {

class Broken final : public duet::Estimator {
 public:
  std::span<const duet::Metric> metrics() const override { return metrics_; }
  duet::Fingerprint key(const duet::Design&) const override { return {}; }
  std::vector<duet::Evaluation> estimate(std::span<const duet::Design> designs, std::stop_token) const override {
    std::vector<duet::Evaluation> results;
    for (const duet::Design& design : designs) {
      duet::Evaluation result;
      result.values = {static_cast<double>(design.space().fingerprint(design.candidate()).low % 1000)};
      results.push_back(result);
    }
    return results;
  }

 private:
  std::vector<duet::Metric> metrics_{{"a", "1", duet::Direction::minimize, duet::Source::analytical, ""},
                                     {"b", "1", duet::Direction::minimize, duet::Source::analytical, ""}};
};

void add(duet::Registry& registry) {
  duet::EstimatorPlugin plugin;
  plugin.name = "broken";
  plugin.create = [](const duet::Options&, const duet::Environment&) { return std::make_unique<Broken>(); };
  registry.estimators.add(plugin);
}

}  // namespace

DUET_PLUGIN(add)
