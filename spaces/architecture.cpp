#include "spaces/architecture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace duet {
namespace {

/// Why a grid of children does not stand below a grid of parents.
std::optional<std::string> why_no_fanout(const std::string& parent, std::int64_t parent_x, std::int64_t parent_y,
                                         const std::string& child, std::int64_t x, std::int64_t y) {
  if (x >= 1 && y >= 1 && x % parent_x == 0 && y % parent_y == 0) return std::nullopt;
  return fmt::format("the {}×{} instances of '{}' cannot be shared out among the {}×{} of '{}'", x, y, child, parent_x,
                     parent_y, parent);
}

}  // namespace

const std::vector<std::string>& tensor_names() {
  static const std::vector<std::string> names{"weight", "input", "output"};
  return names;
}

std::string_view to_string(Tensor tensor) {
  return tensor_names()[static_cast<std::size_t>(tensor)];
}

std::int64_t StorageLevel::block_words(Tensor tensor) const {
  return std::max<std::int64_t>(1, block_bits / word_bits[static_cast<std::size_t>(tensor)]);
}

std::optional<std::size_t> Architecture::find_level(std::string_view level) const {
  for (std::size_t l = 0; l < levels.size(); ++l) {
    if (levels[l].name == level) return l;
  }
  return std::nullopt;
}

std::int64_t Architecture::fanout_x(std::size_t level) const {
  return (level + 1 < levels.size() ? levels[level + 1].mesh_x : compute.mesh_x) / levels[level].mesh_x;
}

std::int64_t Architecture::fanout_y(std::size_t level) const {
  return (level + 1 < levels.size() ? levels[level + 1].mesh_y : compute.mesh_y) / levels[level].mesh_y;
}

double Architecture::total_area_mm2() const {
  double total = static_cast<double>(compute.instances()) * compute.area_mm2;
  if (vector_unit) total += vector_unit->area_mm2;
  for (const StorageLevel& level : levels) total += static_cast<double>(level.instances()) * level.area_mm2;
  return total;
}

std::optional<std::string> why_invalid(const Architecture& architecture) {
  const auto& levels = architecture.levels;
  if (levels.empty()) return "the architecture has no storage level";
  if (levels.size() > max_levels) {
    return fmt::format("the architecture has {} levels, and {} is the most", levels.size(), max_levels);
  }
  if (!(architecture.clock_hz > 0)) return "the clock must run";
  if (architecture.vector_unit && architecture.vector_unit->lanes < 1) return "the vector unit has no lane";
  std::set<std::string_view> names;
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const StorageLevel& level = levels[l];
    if (level.name.empty()) return fmt::format("level {} has no name", l);
    if (!names.insert(level.name).second) return fmt::format("two levels are called '{}'", level.name);
    if (level.mesh_x < 1 || level.mesh_y < 1) return fmt::format("level '{}' has no instance", level.name);
    if (level.capacity_bits && *level.capacity_bits < 0) return fmt::format("level '{}' has a negative capacity", level.name);
    if (level.cluster < 1 || level.cluster > level.instances()) {
      return fmt::format("the {} instances of '{}' are no clusters of {}", level.instances(), level.name, level.cluster);
    }
    if (!(level.multiple_buffering >= 1)) return fmt::format("level '{}': multiple buffering below 1", level.name);
    for (const Tensor tensor : all_tensors) {
      const auto t = static_cast<std::size_t>(tensor);
      if (level.word_bits[t] < 1) return fmt::format("level '{}': words of the {} have no bits", level.name, to_string(tensor));
      if (l == 0 && level.policy[t] == StorageLevel::Policy::bypass) {
        return fmt::format("level '{}' is the outermost and cannot bypass the {}", level.name, to_string(tensor));
      }
    }
    if (l == 0 && level.instances() != 1) return fmt::format("level '{}' is the outermost and must be single", level.name);
    const bool last = l + 1 == levels.size();
    if (auto why = why_no_fanout(level.name, level.mesh_x, level.mesh_y,
                                 last ? architecture.compute.name : levels[l + 1].name,
                                 last ? architecture.compute.mesh_x : levels[l + 1].mesh_x,
                                 last ? architecture.compute.mesh_y : levels[l + 1].mesh_y)) {
      return why;
    }
  }
  return std::nullopt;
}

}  // namespace duet
