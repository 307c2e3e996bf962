#include "tests/hw_models/random_problem.hpp"

#include <fmt/format.h>

#include "core/random.hpp"

namespace duet::testing {
namespace {

Einsum small_einsum(Random& random) {
  const auto side = [&](double chance) {
    return random.chance(chance) ? random.pick(std::vector<std::int64_t>{2, 2, 3, 4, 4, 6, 8}) : 1;
  };
  for (;;) {
    Einsum einsum;
    if (random.chance(0.2)) {
      einsum = matrix_einsum(side(0.7), side(0.7), side(0.7), side(0.3), random.chance(0.5));
    } else {
      ConvolutionShape shape;
      shape.batch = side(0.1);
      shape.groups = side(0.15);
      shape.out_channels = side(0.45);
      shape.in_channels = side(0.45);
      shape.output_h = side(0.6);
      shape.output_w = side(0.2);
      shape.kernel_h = side(0.5);
      shape.kernel_w = side(0.2);
      shape.stride_h = random.chance(0.3) ? random.between(2, 4) : 1;
      shape.stride_w = random.chance(0.3) ? random.between(2, 3) : 1;
      shape.dilation_h = random.chance(0.3) ? random.between(2, 3) : 1;
      einsum = convolution_einsum(shape);
    }
    std::size_t real = 0;
    for (const Dimension& dimension : einsum.dimensions) real += dimension.size > 1 ? 1U : 0U;
    if (real >= 1 && real <= 4 && einsum.macs() <= 400) return einsum;
  }
}

}  // namespace

MapperProblem random_problem(std::uint64_t seed, std::uint64_t index) {
  Random random(seed, "mapper problem", index);
  MapperProblem problem;
  problem.einsum = small_einsum(random);
  problem.options.footprint = random.chance(0.5) ? Footprint::box : Footprint::distinct;
  const auto levels = static_cast<std::size_t>(random.between(1, 3));
  Architecture& architecture = problem.architecture;
  architecture.clock_hz = 1e9;
  std::int64_t mesh_x = 1, mesh_y = 1;
  for (std::size_t l = 0; l < levels; ++l) {
    StorageLevel level;
    level.name = fmt::format("level{}", l);
    level.mesh_x = mesh_x;
    level.mesh_y = mesh_y;
    if (random.chance(0.4)) mesh_x *= random.between(2, 4);
    if (random.chance(0.25)) mesh_y *= random.between(2, 3);
    const bool fan_out = mesh_x * mesh_y > level.instances();
    for (std::int64_t& bits : level.word_bits) bits = random.chance(0.7) ? 8 : 16;
    if (l > 0 && random.chance(0.7)) level.capacity_bits = random.between(1, 30) * 8;
    if (l == 0 && random.chance(0.05)) level.capacity_bits = 2400;
    if (random.chance(0.3)) level.block_bits = random.pick(std::vector<std::int64_t>{16, 32, 64});
    if (random.chance(0.3)) level.read_bandwidth = static_cast<double>(random.between(1, 8)) / 4;
    if (random.chance(0.3)) level.write_bandwidth = static_cast<double>(random.between(1, 8)) / 4;
    if (random.chance(0.15)) level.shared_bandwidth = static_cast<double>(random.between(1, 12)) / 4;
    if (random.chance(0.1)) level.multiple_buffering = 2;
    for (std::size_t t = 0; t < tensor_count; ++t) {
      using Policy = StorageLevel::Policy;
      level.policy[t] =
          random.pick(l == 0 ? std::vector<Policy>{Policy::free, Policy::keep}
                             : std::vector<Policy>{Policy::free, Policy::free, Policy::keep, Policy::bypass});
    }
    level.multicast = !random.chance(0.15);
    level.reduction = !random.chance(0.15);
    const double scale = l == 0 ? 100 : l == 1 ? 5 : 1;
    const auto joules = [&] {
      return random.chance(0.1) ? 0 : scale * static_cast<double>(random.between(1, 40)) * 1e-13;
    };
    level.energy = {joules(), joules(), joules(),
                    random.chance(0.5) ? 0 : 1e-14 * static_cast<double>(random.between(1, 50))};
    // Constraints, now and then.
    const auto dimension = [&] {
      return problem.einsum.dimensions[static_cast<std::size_t>(
          random.between(0, static_cast<std::int64_t>(problem.einsum.dimensions.size()) - 1))];
    };
    LevelConstraints& wanted = level.constraints;
    if (random.chance(0.15)) {
      const Dimension d = dimension();
      wanted.temporal_factors[d.name] = random.pick(std::vector<std::int64_t>{0, 1, 1, 2, 3, d.size});
    }
    if (random.chance(0.15)) wanted.order = {dimension().name};
    if (random.chance(0.1)) {
      wanted.order = {problem.einsum.dimensions[1].name, problem.einsum.dimensions[0].name};
    }
    if (fan_out && random.chance(0.2)) wanted.x_dimensions = {dimension().name, dimension().name};
    if (fan_out && random.chance(0.1)) wanted.y_dimensions = {dimension().name};
    if (fan_out && random.chance(0.1)) wanted.x_factors[dimension().name] = random.between(0, 2);
    if (fan_out && random.chance(0.1)) wanted.min_fanout_utilization = 0.5;
    if (level.capacity_bits && random.chance(0.1)) wanted.min_capacity_utilization = 0.25;
    architecture.levels.push_back(level);
  }
  architecture.compute.mesh_x = mesh_x;
  architecture.compute.mesh_y = mesh_y;
  architecture.compute.energy_j = 2e-13;
  using Kind = Objective::Kind;
  problem.objective.kind =
      random.pick(std::vector<Kind>{Kind::energy_delay, Kind::energy_delay, Kind::cycles, Kind::energy,
                                    Kind::weighted, Kind::cycles_then_energy, Kind::energy_then_cycles});
  if (problem.objective.kind == Kind::weighted) {
    problem.objective.per_second = static_cast<double>(random.between(0, 4));
    problem.objective.per_joule = static_cast<double>(random.between(0, 4)) * 100 + 1;
  }
  return problem;
}

}  // namespace duet::testing
