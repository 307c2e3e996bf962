#pragma once
/// The spaces that come with duet, each defined in the file of its name.

#include "spaces/design_space.hpp"

namespace duet {

SpacePlugin architecture_template_space();
SpacePlugin cnn_space();
SpacePlugin dag_space();
SpacePlugin darts_space();
SpacePlugin nas_bench_101_space();
SpacePlugin nas_bench_201_space();
SpacePlugin nas_bench_macro_space();
SpacePlugin network_template_space();
/// A space for each network template that comes with duet.
std::vector<SpacePlugin> network_template_spaces();
SpacePlugin parameters_space();
SpacePlugin systolic_array_space();
SpacePlugin test_problem_space();
SpacePlugin training_recipe_space();
SpacePlugin zoo_space();

}  // namespace duet
