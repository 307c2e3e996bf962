#include "tests/estimators/toy.hpp"

#include "core/errors.hpp"

namespace duet::testing {

DesignSpace read_space(const std::string& yaml) {
  Catalog<SpacePlugin> catalog("space");
  add_builtin_spaces(catalog);
  return DesignSpace::read(Config::parse(yaml, "space.yaml"), catalog);
}

DesignSpace toy_space() {
  return read_space("p: {type: parameters, parameters: {a: {choice: [x, y]}, n: {integer: [1, 4]}}}");
}

DesignSpace joint_space() {
  return read_space(
      "network: {type: nas_bench_201, input: [1, 16, 16], channels: 4, cells: 1}\n"
      "accelerator: {type: systolic_array, rows: [4, 8], columns: [4, 8]}\n");
}

std::unique_ptr<Estimator> make_estimator(const std::string& name, const std::string& yaml,
                                          const DesignSpace& space, const std::filesystem::path& directory) {
  Catalog<EstimatorPlugin> catalog("estimator");
  add_builtin_estimators(catalog);
  const EstimatorPlugin& plugin = catalog.at(name);
  const Config config = Config::parse(yaml, "exp.yaml");
  return plugin.create(Options::read(config, plugin.options, "estimator " + name), {1, directory, &space});
}

std::string refusal(const std::string& name, const std::string& yaml, const DesignSpace& space,
                    const std::filesystem::path& directory) {
  try {
    make_estimator(name, yaml, space, directory);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

Design design(const DesignSpace& space, const std::string& yaml) {
  return space.design(space.space().read_candidate(Config::parse(yaml, "design.yaml")));
}

Design sampled_design(const DesignSpace& space, std::uint64_t number) {
  Random random(7, "test", number);
  return space.design(space.space().sample(random));
}

}  // namespace duet::testing
