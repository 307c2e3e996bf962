#pragma once
/// Mappings as values: how a loop nest is cut into tiles, level by level. Fixed size, no allocation, so that mappers
/// may copy and change them freely.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "core/config.hpp"
#include "hw_models/einsum.hpp"
#include "spaces/architecture.hpp"

namespace duet {

/// What happens at one level: `temporal` loops run over the tiles of the level below one after another; `x` and `y` loops
/// (inside the temporal ones) spread them over the children. Factors are by dimension, 1 where there is no loop.
template <class Factor>
struct BasicLevelMapping {
  std::array<Factor, max_dimensions> temporal, x, y;
  std::array<std::uint8_t, max_dimensions> order;  ///< temporal loops, outermost first: a permutation of the dimensions
  /// Loops along x (and along y), outermost first: only who is whose neighbour depends on it.
  std::array<std::uint8_t, max_dimensions> spatial_order;
  std::array<bool, tensor_count> keep{true, true, true};  ///< by Tensor; false: bypassed

  BasicLevelMapping() {
    temporal.fill(Factor(1));
    x.fill(Factor(1));
    y.fill(Factor(1));
    for (std::size_t i = 0; i < max_dimensions; ++i) order[i] = spatial_order[i] = static_cast<std::uint8_t>(i);
  }
  bool operator==(const BasicLevelMapping&) const = default;
};

/// The tile of a level in one dimension is the product of its own factors and all below it. A dimension's factors
/// multiply to its size, or to more (*ragged*): then the last tiles are cut off at the edge.
template <class Factor>
struct BasicMapping {
  std::array<BasicLevelMapping<Factor>, max_levels> levels;  ///< outermost first; those of the architecture count
  std::size_t level_count = 0;
  bool operator==(const BasicMapping&) const = default;
};

using LevelMapping = BasicLevelMapping<std::int64_t>;
using Mapping = BasicMapping<std::int64_t>;

/// Mappings that share their loop orders and kept tensors and differ in factors alone, side by side as vector units want
/// them: what mappers fill that vary factors.
struct MappingBatch {
  static constexpr std::size_t lanes = 8;
  using Factors = std::array<std::array<std::int32_t, lanes>, max_dimensions>;
  struct Level {
    alignas(32) Factors temporal, x, y;  ///< [dimension][lane]; those of a dimension of size 1 are not read
    std::array<std::uint8_t, max_dimensions> order;
    std::array<bool, tensor_count> keep;
  };
  std::array<Level, max_levels> levels;  ///< outermost first
  std::size_t level_count = 0;

  MappingBatch() = default;
  /// `mapping` in every lane. \pre its factors are below 2^31
  explicit MappingBatch(const Mapping& mapping);
  Mapping mapping(std::size_t lane) const;
};

/// All of the iteration in temporal loops of the outermost level, everything kept that the architecture allows (first
/// choice of a free level: keep).
Mapping trivial_mapping(const Einsum& einsum, const Architecture& architecture);

/// Whether every dimension's factors multiply to exactly its size.
bool is_perfect(const Mapping& mapping, const Einsum& einsum);

/// Reads a mapping; factors that are left out are 1, and `rest` takes what is left of a dimension.
/// \throws ConfigError with position for an unknown level, dimension or tensor.
Mapping read_mapping(const Config& config, const Einsum& einsum, const Architecture& architecture);
/// YAML that read_mapping takes back to an equal mapping.
std::string mapping_yaml(const Mapping& mapping, const Einsum& einsum, const Architecture& architecture);

/// A loop nest as people write it:
///
///     DRAM [ weight input output ]
///     for M in 0…8
///       for C in 0…12
///         shared_glb [ input output ]
///         parallel-x for Q in 0…3
std::string loop_nest(const Mapping& mapping, const Einsum& einsum, const Architecture& architecture);

}  // namespace duet
