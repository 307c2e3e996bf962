#include "spaces/builtin.hpp"

namespace duet {

void add_builtin_spaces(Catalog<SpacePlugin>& catalog) {
  catalog.add(architecture_template_space());
  catalog.add(cnn_space());
  catalog.add(dag_space());
  catalog.add(darts_space());
  catalog.add(nas_bench_101_space());
  catalog.add(nas_bench_201_space());
  catalog.add(nas_bench_macro_space());
  catalog.add(network_template_space());
  for (SpacePlugin& plugin : network_template_spaces()) catalog.add(std::move(plugin));
  catalog.add(parameters_space());
  catalog.add(systolic_array_space());
  catalog.add(test_problem_space());
  catalog.add(training_recipe_space());
  catalog.add(zoo_space());
}

}  // namespace duet
