#include "core/errors.hpp"
#include "spaces/builtin.hpp"
#include "spaces/standard_problems.hpp"

namespace duet {
namespace {

class TestProblem final : public DesignPart {
 public:
  explicit TestProblem(const Options& options) {
    try {
      nodes_ = standard_problem(options.text("problem"), {static_cast<std::size_t>(options.integer("variables")),
                                                          static_cast<std::size_t>(options.integer("objectives"))})
                   .nodes;
    } catch (const ConfigError& error) {
      options.fail(options.integer("objectives") != 0 ? "objectives" : "variables", error.what());
    }
  }

  std::vector<SpaceNode> nodes() const override { return nodes_; }

 private:
  std::vector<SpaceNode> nodes_;
};

}  // namespace

SpacePlugin test_problem_space() {
  return {
      .name = "test_problem",
      .summary = "The variables of a standard test problem, x1, x2, …; the estimator of the same name scores them.",
      .source = "Zitzler et al. 2000 (ZDT), Deb et al. 2005 (DTLZ), Jain and Deb 2014 (C-DTLZ), Huband et al. 2006 (WFG)",
      .options = {{.name = "problem",
                   .kind = Option::Kind::word,
                   .fallback = "zdt1",
                   .sentence = "Which problem.",
                   .words = standard_problem_names()},
                  {.name = "variables",
                   .kind = Option::Kind::integer,
                   .fallback = "0",
                   .sentence = "How many variables; 0: as many as usual.",
                   .minimum = 0,
                   .maximum = 1000},
                  {.name = "objectives",
                   .kind = Option::Kind::integer,
                   .fallback = "0",
                   .sentence = "For how many objectives (DTLZ and WFG); 0: as many as usual.",
                   .minimum = 0,
                   .maximum = 15}},
      .create = [](const Options& options) { return std::make_unique<TestProblem>(options); },
  };
}

}  // namespace duet
