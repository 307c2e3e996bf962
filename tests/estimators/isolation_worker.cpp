// The worker process of isolation_test.cpp: serves the estimator that the task names.

#include <cstdlib>
#include <unistd.h>

#include "core/errors.hpp"
#include "estimators/isolation.hpp"
#include "tests/estimators/toy.hpp"

namespace duet::testing {
namespace {

/// Counts what it has been told; crashes on n = 4, and on n = 3 once it has scored n = 2.
class Fragile final : public Estimator {
 public:
  explicit Fragile(bool learns) : learns_(learns) {}
  std::span<const Metric> metrics() const override { return metrics_; }
  Fingerprint key(const Design& design) const override {
    if (design.candidate()[1] == 1) throw std::runtime_error("n = 1 has no key");
    return design.space().fingerprint(design.candidate());
  }
  bool learns() const override { return learns_; }
  void observe(const Design& design, const Evaluation& evaluation) override {
    told_ = told_ * 10 + design.candidate()[1] + (evaluation.status == Status::ok ? evaluation.values.at(0) : 0.5);
  }
  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token) const override {
    return estimate_each(designs, [this](const Design& design) {
      const double n = design.candidate()[1];
      if (n == 4 || (n == 3 && damaged_)) std::abort();
      damaged_ = damaged_ || n == 2;
      return Evaluation{Status::ok, "", {told_ + n, static_cast<double>(getpid())}, false, 0};
    });
  }

 private:
  bool learns_;
  mutable bool damaged_ = false;
  double told_ = 0;
  std::vector<Metric> metrics_{{"v", "1", Direction::minimize, Source::learned, ""},
                               {"process", "1", Direction::minimize, Source::measured, "Where it was scored."}};
};

ServedEstimator create(std::span<const std::string> task) {
  ServedEstimator served;
  served.space = std::make_unique<DesignSpace>(read_space(task[1]));
  if (task[0] == "refuse") throw ConfigError("exp.yaml:1:2: it does not suit");
  if (task[0] == "crash") std::abort();
  if (task[0] == "fragile" || task[0] == "learning") {
    served.estimator = std::make_unique<Fragile>(task[0] == "learning");
  } else {
    served.estimator = make_estimator(task[0], task[2], *served.space, task[3]);
  }
  return served;
}

}  // namespace
}  // namespace duet::testing

int main() { duet::serve_isolated(duet::testing::create); }
