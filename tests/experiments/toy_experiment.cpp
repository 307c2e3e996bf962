#include "tests/experiments/toy_experiment.hpp"

#include <atomic>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "experiments/export.hpp"

namespace duet::testing {
namespace {

std::atomic<std::size_t> calls = 0;

class Toy final : public Estimator {
 public:
  explicit Toy(bool expensive) : expensive_(expensive) {}
  std::span<const Metric> metrics() const override { return metrics_; }
  Fingerprint key(const Design& design) const override { return design.space().fingerprint(design.candidate()); }
  bool expensive() const override { return expensive_; }
  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token) const override {
    std::vector<Evaluation> results;
    for (const Design& design : designs) {
      ++calls;
      const Fingerprint hash = design.space().fingerprint(design.candidate());
      if (hash.low % 11 == 0) {
        results.push_back(Evaluation::failure("the toy does not like this design"));
        continue;
      }
      double cost = 0.1 + static_cast<double>(hash.high % 1000) * 1e-4;
      double quality = 0;
      for (std::size_t i = 0; i < design.space().size(); ++i) {
        const double value = design.space().number(design.candidate(), i);
        if (std::isnan(value)) continue;
        cost += value * 0.1;
        quality += std::sin(value);
      }
      if (hash.low % 37 == 1) quality = std::numeric_limits<double>::quiet_NaN();
      results.push_back({Status::ok, "", {cost, quality}, false, 0});
    }
    return results;
  }

 private:
  bool expensive_;
  std::vector<Metric> metrics_{{"cost_s", "s", Direction::minimize, Source::analytical, "What it costs."},
                               {"quality", "1", Direction::maximize, Source::analytical, "What it is worth."}};
};

}  // namespace

std::size_t toy_calls() { return calls; }

Registry toy_registry() {
  Registry registry = builtin_registry();
  EstimatorPlugin toy;
  toy.name = "toy";
  toy.summary = "A function for tests.";
  toy.source = "none";
  toy.options = {{.name = "expensive", .kind = Option::Kind::boolean, .fallback = "true", .sentence = "Cached."}};
  toy.create = [](const Options& options, const Environment&) {
    return std::make_unique<Toy>(options.boolean("expensive"));
  };
  registry.estimators.add(toy);
  return registry;
}

std::string toy_specification(const Registry& registry, const std::string& strategy, std::uint64_t trials,
                              std::size_t window) {
  const StrategyPlugin& plugin = registry.strategies.at(strategy);
  return fmt::format(R"(name: toy
seed: 7
space:
  a:
    type: parameters
    parameters:
      kind:
        choice:
          plain: {{}}
          deep: {{layers: {{repeat: {{depth: {{integer: [1, 3]}}}}, of: {{width: {{ordinal: [1, 2, 4, 8]}}}}}}}}
          wide: {{factor: {{integer: [1, 100], log: true}}}}
      level: {{integer: [0, 9]}}
  b:
    type: parameters
    parameters:
      flag: {{choice: [yes, no]}}
      size: {{ordinal: [1KiB, 2KiB, 4KiB], unit: B}}
  constraints:
    - a.level != 5 or b.flag == yes
estimators:
  - type: toy
objectives: [{}]
{}search: {{type: {}}}
budget: {{trials: {}}}
window: {}
max_duplicates: 300
initial:
  - {{a.kind: plain, a.level: 1, b.flag: yes, b.size: 1KiB}}
  - {{a: {{kind: wide, level: 3}}, a.kind.wide.factor: 10, b: {{flag: no, size: 4KiB}}}}
)",
                     plugin.capabilities.max_objectives > 1 ? "cost_s, quality" : "quality",
                     plugin.capabilities.constraints ? "constraints: [cost_s <= 400ms]\n" : "", strategy, trials, window);
}

RunSummary run_text(const Registry& registry, const std::string& text, const std::filesystem::path& database,
                    const RunOptions& options, const Overrides& overrides) {
  Overrides all = overrides;
  all.output = database.string();
  Specification specification =
      read_specification(Config::parse(text, "toy.yaml"), std::filesystem::current_path(), registry, all);
  Store store(database, Store::Mode::write);
  return run(specification, store, options);
}

std::string reproducible_csv(const std::filesystem::path& database) {
  const Store store(database, Store::Mode::read);
  return export_csv(store, store.at(""), {.reproducible = true});
}

}  // namespace duet::testing
