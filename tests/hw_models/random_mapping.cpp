#include "tests/hw_models/random_mapping.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/random.hpp"

namespace duet::testing {
namespace {

Einsum random_einsum(Random& random) {
  if (random.chance(0.15)) {
    return matrix_einsum(random.between(1, 7), random.between(1, 7), random.between(1, 7), random.between(1, 3),
                         random.chance(0.5));
  }
  ConvolutionShape shape;
  const bool depthwise = random.chance(0.2);
  shape.batch = random.chance(0.2) ? 2 : 1;
  shape.groups = depthwise ? random.between(2, 4) : random.chance(0.2) ? 2 : 1;
  shape.out_channels = depthwise ? 1 : random.between(1, 4);
  shape.in_channels = depthwise ? 1 : random.between(1, 4);
  shape.output_h = random.between(1, 7);
  shape.output_w = random.chance(0.5) ? random.between(1, 4) : 1;
  shape.kernel_h = random.between(1, 4);
  shape.kernel_w = random.chance(0.4) ? random.between(1, 3) : 1;
  shape.stride_h = random.chance(0.5) ? random.between(2, 4) : 1;
  shape.stride_w = random.chance(0.5) ? random.between(2, 3) : 1;
  shape.dilation_h = random.chance(0.4) ? random.between(2, 4) : 1;
  shape.dilation_w = random.chance(0.4) ? random.between(2, 3) : 1;
  return convolution_einsum(shape);
}

std::int64_t random_factor(Random& random, std::int64_t left, bool ragged) {
  if (left == 1 || random.chance(0.4)) return 1;
  if (ragged) return random.between(1, left);
  std::vector<std::int64_t> divisors;
  for (std::int64_t f = 1; f <= left; ++f) {
    if (left % f == 0) divisors.push_back(f);
  }
  return random.pick(divisors);
}

}  // namespace

MappingCase random_mapping_case(std::uint64_t seed, std::uint64_t index) {
  Random random(seed, "mapping oracle", index);
  MappingCase c;
  do {
    c.einsum = random_einsum(random);
  } while (c.einsum.macs() > 400);
  const auto levels = static_cast<std::size_t>(random.between(1, 4));
  const bool ragged = random.chance(0.5);
  const std::size_t dimensions = c.einsum.dimensions.size();
  c.mapping.level_count = levels;
  for (std::size_t d = 0; d < dimensions; ++d) {
    std::int64_t covered = 1;
    const auto take = [&](std::int64_t& factor, bool all) {
      const std::int64_t left = (c.einsum.size(d) + covered - 1) / covered;
      factor = all ? left : random_factor(random, left, ragged);
      covered *= factor;
    };
    for (std::size_t l = levels; l-- > 0;) {
      LevelMapping& level = c.mapping.levels[l];
      if (random.chance(0.5)) take(level.x[d], false);
      if (random.chance(0.25)) take(level.y[d], false);
      take(level.temporal[d], l == 0);
    }
  }
  c.architecture.clock_hz = 1e9;
  std::int64_t mesh_x = 1, mesh_y = 1;
  for (std::size_t l = 0; l < levels; ++l) {
    LevelMapping& mapping = c.mapping.levels[l];
    std::vector<std::uint8_t> order;
    for (std::size_t d = 0; d < dimensions; ++d) order.push_back(static_cast<std::uint8_t>(d));
    random.shuffle(order);
    std::copy(order.begin(), order.end(), mapping.order.begin());
    StorageLevel level;
    level.name = fmt::format("level{}", l);
    level.mesh_x = mesh_x;
    level.mesh_y = mesh_y;
    level.multicast = !random.chance(0.15);
    level.reduction = !random.chance(0.15);
    level.read_bandwidth = level.write_bandwidth = 0.5;
    for (std::size_t t = 0; t < tensor_count; ++t) mapping.keep[t] = l == 0 || random.chance(0.7);
    std::int64_t x = 1, y = 1;
    for (std::size_t d = 0; d < dimensions; ++d) {
      x *= mapping.x[d];
      y *= mapping.y[d];
    }
    mesh_x *= x + (random.chance(0.3) ? 1 : 0);
    mesh_y *= y;
    c.architecture.levels.push_back(level);
  }
  c.architecture.compute.mesh_x = mesh_x;
  c.architecture.compute.mesh_y = mesh_y;
  return c;
}

}  // namespace duet::testing
