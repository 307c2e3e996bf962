#include <algorithm>
#include <fmt/format.h>

#include "core/errors.hpp"
#include "core/random.hpp"
#include "estimators/builtin.hpp"
#include "spaces/standard_problems.hpp"

namespace duet {
namespace {

class TestProblem final : public Estimator {
 public:
  TestProblem(const Options& options, const Environment& environment)
      : noise_(options.number("noise")),
        replicates_(static_cast<std::uint64_t>(options.integer("replicates"))),
        seed_(environment.seed) {
    const Space& space = environment.space->space();
    const std::string& part = options.text("part");
    parameters_ = space.under(part);
    if (parameters_.empty()) {
      options.fail("part", fmt::format("no parameter lies under '{}'{}", part, hint(part, space.paths())));
    }
    auto variables = static_cast<std::size_t>(options.integer("variables"));
    if (variables == 0) variables = parameters_.size();
    try {
      problem_ = standard_problem(options.text("problem"),
                                  {variables, static_cast<std::size_t>(options.integer("objectives"))});
    } catch (const ConfigError& error) {
      options.fail("problem", error.what());
    }
    const Space variables_space(problem_.nodes);
    if (variables_space.size() != parameters_.size()) {
      options.fail("problem", fmt::format("'{}' has {} variables, but {} parameters lie in the space", problem_.name,
                                          variables_space.size(), parameters_.size()));
    }
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const Parameter& given = space[parameters_[i]];
      const Parameter& wanted = variables_space[i];
      if (given.kind != wanted.kind || given.minimum < wanted.minimum || given.maximum > wanted.maximum ||
          given.parent) {
        options.fail("problem", fmt::format("'{}' cannot be variable {} of '{}', which lies between {} and {}; the space "
                                            "'test_problem' has the right variables",
                                            given.path, i + 1, problem_.name,
                                            variables_space.format(i, wanted.minimum),
                                            variables_space.format(i, wanted.maximum)));
      }
    }
    for (std::size_t k = 1; k <= problem_.objectives; ++k) {
      metrics_.push_back({fmt::format("f{}", k), "1", Direction::minimize, Source::analytical,
                          fmt::format("Objective {} of {}.", k, problem_.name)});
    }
    for (std::size_t k = 1; k <= problem_.constraints; ++k) {
      metrics_.push_back({fmt::format("g{}", k), "1", Direction::minimize, Source::analytical,
                          fmt::format("Constraint {} of {}: satisfied where it is at most 0.", k, problem_.name)});
    }
  }

  std::span<const Metric> metrics() const override { return metrics_; }

  Fingerprint key(const Design& design) const override {
    Hasher hasher;
    for (const double code : codes(design)) hasher.add(code);
    return hasher.finish();
  }

  bool expensive() const override { return false; }

  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token) const override {
    return estimate_each(designs, [this](const Design& design) {
      for (const std::size_t i : parameters_) {
        if (!design.candidate().has(i)) {
          return Evaluation::failure(fmt::format("'{}' has no value", design.space()[i].path));
        }
      }
      Evaluation result;
      result.values = problem_.evaluate(codes(design));
      add_noise(design, result.values);
      return result;
    });
  }

 private:
  std::vector<double> codes(const Design& design) const {
    std::vector<double> values;
    for (const std::size_t i : parameters_) values.push_back(design.candidate()[i]);
    return values;
  }

  /// The mean of the replicates' normal deviates, which belong to the design and the experiment's seed: scoring it
  /// again gives the same number.
  void add_noise(const Design& design, std::vector<double>& values) const {
    if (noise_ == 0) return;
    Random random(seed_, "noise of test_problem", key(design).low);
    for (std::size_t k = 0; k < problem_.objectives; ++k) {
      double sum = 0;
      for (std::uint64_t i = 0; i < replicates_; ++i) sum += random.normal();
      values[k] += noise_ * sum / static_cast<double>(replicates_);
    }
  }

  StandardProblem problem_;
  std::vector<std::size_t> parameters_;
  std::vector<Metric> metrics_;
  double noise_;
  std::uint64_t replicates_;
  std::uint64_t seed_;
};

}  // namespace

EstimatorPlugin test_problem_estimator() {
  return {
      .name = "test_problem",
      .summary = "Standard test problems for strategies: ZDT, DTLZ, C-DTLZ, WFG, Rosenbrock, mixed functions and more.",
      .source = "Zitzler et al. 2000 (ZDT), Deb et al. 2005 (DTLZ), Jain and Deb 2014 (C-DTLZ), Huband et al. 2006 (WFG)",
      .options = {{.name = "problem",
                   .kind = Option::Kind::word,
                   .fallback = "zdt1",
                   .sentence = "Which problem.",
                   .words = standard_problem_names()},
                  {.name = "variables",
                   .kind = Option::Kind::integer,
                   .fallback = "0",
                   .sentence = "How many variables; 0: as many as the space has parameters.",
                   .minimum = 0,
                   .maximum = 1000},
                  {.name = "objectives",
                   .kind = Option::Kind::integer,
                   .fallback = "0",
                   .sentence = "How many objectives (DTLZ and WFG); 0: as many as usual.",
                   .minimum = 0,
                   .maximum = 15},
                  {.name = "part",
                   .kind = Option::Kind::text,
                   .fallback = "",
                   .sentence = "The part of the space that holds the variables; empty: the whole space."},
                  {.name = "noise",
                   .kind = Option::Kind::number,
                   .fallback = "0",
                   .sentence = "Standard deviation of normal noise on every objective, fixed per design and seed.",
                   .minimum = 0,
                   .maximum = 1e6},
                  {.name = "replicates",
                   .kind = Option::Kind::integer,
                   .fallback = "1",
                   .sentence = "Noisy evaluations per design, of which the mean is reported.",
                   .minimum = 1,
                   .maximum = 1'000'000}},
      .create =
          [](const Options& options, const Environment& environment) {
            return std::make_unique<TestProblem>(options, environment);
          },
  };
}

}  // namespace duet
