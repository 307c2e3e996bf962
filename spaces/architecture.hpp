#pragma once
/// Architectures as values: storage levels from DRAM to the multiply-accumulate units, for the loop-nest cost model.
/// Read from YAML or built in code; regular values.

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.hpp"

namespace duet {

/// The three tensors of every workload: output += weight · input.
enum class Tensor { weight, input, output };
inline constexpr std::size_t tensor_count = 3;
inline constexpr std::array<Tensor, tensor_count> all_tensors{Tensor::weight, Tensor::input, Tensor::output};
/// "weight", "input" or "output".
std::string_view to_string(Tensor tensor);
/// Of all tensors, in their order.
const std::vector<std::string>& tensor_names();

/// The most storage levels that an architecture may have.
inline constexpr std::size_t max_levels = 10;

/// Energies of one instance in J. Reads, writes and updates are of one block (StorageLevel::block_bits).
struct AccessEnergy {
  double read_j = 0;
  double write_j = 0;   ///< a block that is filled from the level above
  double update_j = 0;  ///< a block of partial sums that comes back from below
  double leak_j = 0;    ///< per cycle
  bool operator==(const AccessEnergy&) const = default;
};

/// What a mapping may do at a level; names of dimensions are the workload's ("C", "M", …), and those that a workload
/// does not have are passed over.
struct LevelConstraints {
  std::map<std::string, std::int64_t> temporal_factors;  ///< fixed; 0: all that is left of the dimension
  std::map<std::string, std::int64_t> x_factors, y_factors;
  std::vector<std::string> order;                         ///< innermost temporal loops, outermost of them first
  std::optional<std::vector<std::string>> x_dimensions;   ///< that alone may be spread along x
  std::optional<std::vector<std::string>> y_dimensions;
  double min_capacity_utilization = 0;                    ///< of the capacity, 0…1
  double min_fanout_utilization = 0;                      ///< of the instances below, 0…1
  bool operator==(const LevelConstraints&) const = default;
};

/// A level of storage, or with everything bypassed just a stage of the network between levels.
struct StorageLevel {
  enum class Policy { free, keep, bypass };  ///< free: the mapping decides

  std::string name;
  std::int64_t mesh_x = 1, mesh_y = 1;                   ///< instances of the whole chip, as a grid
  std::optional<std::int64_t> capacity_bits;             ///< of one instance; nothing: unbounded
  std::array<std::int64_t, tensor_count> word_bits{8, 8, 8};
  std::int64_t block_bits = 0;                           ///< moved by one access; 0: one word
  /// Words per cycle and instance of a read port, a write port and of both together; nothing: unbounded.
  std::optional<double> read_bandwidth, write_bandwidth, shared_bandwidth;
  /// Instances that one access serves together: its energy is that of all of them. Those that a mapping uses are taken to
  /// be spread over all clusters.
  std::int64_t cluster = 1;
  double multiple_buffering = 1;                         ///< 2: half of the capacity holds the tile
  std::array<Policy, tensor_count> policy{};
  bool multicast = true;   ///< the network below delivers one read to all children that want the same tile
  bool reduction = true;   ///< the network below adds the partial sums of children with the same output tile
  AccessEnergy energy;
  double area_mm2 = 0;  ///< of one instance
  LevelConstraints constraints;

  std::int64_t instances() const { return mesh_x * mesh_y; }
  /// Words of a tensor that one access moves, ≥ 1.
  std::int64_t block_words(Tensor tensor) const;
  bool operator==(const StorageLevel&) const = default;
};

/// The multiply-accumulate units.
struct ComputeUnits {
  std::string name = "mac";
  std::int64_t mesh_x = 1, mesh_y = 1;
  double energy_j = 0;  ///< of one multiply-accumulate
  double area_mm2 = 0;  ///< of one unit
  std::int64_t instances() const { return mesh_x * mesh_y; }
  bool operator==(const ComputeUnits&) const = default;
};

/// Lanes without reuse for what is no einsum (pooling, normalisation, softmax…): data stream from and to the outermost level.
struct VectorUnit {
  std::int64_t lanes = 1;  ///< operations per cycle
  double energy_j = 0;     ///< of one operation
  double area_mm2 = 0;     ///< of all lanes
  bool operator==(const VectorUnit&) const = default;
};

struct Architecture {
  std::string name;
  double clock_hz = 1e9;
  std::vector<StorageLevel> levels;  ///< outermost first; the first has one instance and keeps every tensor
  ComputeUnits compute;
  std::optional<VectorUnit> vector_unit;  ///< nothing: vector operators are not modelled

  std::size_t innermost() const { return levels.size() - 1; }
  std::optional<std::size_t> find_level(std::string_view level) const;
  /// Children of one instance along x and y: instances of the next level (or of the compute units) ÷ own.
  std::int64_t fanout_x(std::size_t level) const;
  std::int64_t fanout_y(std::size_t level) const;
  /// All instances of all levels, the compute units and the vector unit.
  double total_area_mm2() const;

  bool operator==(const Architecture&) const = default;
};

/// Why the model cannot take it, one sentence, or nothing: no level or more than max_levels, a name twice, a first level
/// that has several instances or bypasses a tensor, grids that do not divide, sizes below 1.
std::optional<std::string> why_invalid(const Architecture& architecture);

/// Numbers by name that an architecture's text may calculate with.
struct ArchitectureValues {
  std::vector<std::string> names;
  std::vector<double> values;  ///< as long as names; in base units
};

/// Reads an architecture (docs/hardware/loop_nest.md has the keys), or the instance of a template
/// (docs/hardware/templates.md). Where there are `values`, any number may be an expression over them (core/expression.hpp)
/// in its base unit. \throws ConfigError with position.
Architecture read_architecture(const Config& config, const ArchitectureValues& values = {});
Architecture load_architecture(const std::filesystem::path& file);

}  // namespace duet
