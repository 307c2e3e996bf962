#include <limits>
#include <numeric>

#include "search/builtin.hpp"
#include "search/design_of_experiments.hpp"

namespace duet {
namespace {

/// McKay, Beckman and Conover, "A comparison of three methods for selecting values of input variables in the analysis of
/// output from a computer code", Technometrics 21(2), 1979. Every `samples` points are one design, in which each of
/// `samples` equal intervals of each coordinate holds one point.
class LatinHypercube final : public DesignOfExperiments {
 public:
  LatinHypercube(const Problem& problem, const Options& options)
      : DesignOfExperiments(problem), samples_(static_cast<std::uint64_t>(options.integer("samples"))) {}

 protected:
  std::vector<double> point(std::uint64_t index) override {
    const std::uint64_t design = index / samples_;
    if (index % samples_ == 0) {
      columns_.clear();
      Random random = problem_.random(design, "latin hypercube");
      for (std::size_t i = 0; i < problem_.space->size(); ++i) {
        std::vector<std::uint64_t> intervals(samples_);
        std::iota(intervals.begin(), intervals.end(), std::uint64_t{0});
        random.shuffle(intervals);
        columns_.push_back(std::move(intervals));
      }
    }
    Random random = problem_.random(index, "within the interval");
    std::vector<double> coordinates;
    for (const std::vector<std::uint64_t>& intervals : columns_) {
      const auto interval = static_cast<double>(intervals[static_cast<std::size_t>(index % samples_)]);
      coordinates.push_back((interval + random.uniform()) / static_cast<double>(samples_));
    }
    return coordinates;
  }

 private:
  std::uint64_t samples_;
  std::vector<std::vector<std::uint64_t>> columns_;  // of the present design
};

}  // namespace

StrategyPlugin latin_hypercube_strategy() {
  return {
      .name = "latin_hypercube",
      .summary = "Designs in which each parameter's range is covered evenly.",
      .source =
          "McKay, Beckman and Conover, A comparison of three methods for selecting values of input variables in the "
          "analysis of output from a computer code, Technometrics 21(2), 1979",
      .options = {{.name = "samples",
                   .kind = Option::Kind::integer,
                   .fallback = "100",
                   .sentence = "Trials in which the ranges are covered once; best the budget, or a fraction of it.",
                   .minimum = 1,
                   .maximum = 1'000'000}},
      .capabilities = {.max_objectives = std::numeric_limits<std::size_t>::max(), .constraints = true},
      .create = [](const Problem& problem,
                   const Options& options) { return std::make_unique<LatinHypercube>(problem, options); },
  };
}

}  // namespace duet
