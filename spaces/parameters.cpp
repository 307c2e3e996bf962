#include "spaces/builtin.hpp"

namespace duet {
namespace {

class Parameters final : public DesignPart {
 public:
  explicit Parameters(const Options& options) {
    const auto tree = options.config("parameters");
    if (!tree) options.fail("parameters", "the space needs parameters: {name: {integer: [1, 4]}, …}");
    nodes_ = read_space_nodes(*tree);
    if (nodes_.empty()) options.fail("parameters", "the space needs at least one parameter");
  }

  std::vector<SpaceNode> nodes() const override { return nodes_; }

 private:
  std::vector<SpaceNode> nodes_;
};

}  // namespace

SpacePlugin parameters_space() {
  return {
      .name = "parameters",
      .summary =
          "Any tree of parameters, written in the experiment file; what they mean is up to the estimator.",
      .source = "",
      .options = {{.name = "parameters",
                   .kind = Option::Kind::config,
                   .fallback = std::nullopt,
                   .sentence =
                       "The tree: a mapping from names to choice, ordinal, integer, real, group or repeat."}},
      .create = [](const Options& options) { return std::make_unique<Parameters>(options); },
  };
}

}  // namespace duet
