#include "spaces/architecture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace duet {
namespace {

const std::vector<std::string>& tensor_names() {
  static const std::vector<std::string> names{"weight", "input", "output"};
  return names;
}

std::size_t read_tensor(const Config& config) {
  const std::string name = config.one_of(tensor_names());
  return static_cast<std::size_t>(std::find(tensor_names().begin(), tensor_names().end(), name) -
                                  tensor_names().begin());
}

std::int64_t read_bits(const Config& config) {
  const double bits = config.quantity("bit", 1, 0x1p52);
  if (bits != static_cast<double>(static_cast<std::int64_t>(bits))) config.fail_wrong("a whole number of bits");
  return static_cast<std::int64_t>(bits);
}

std::map<std::string, std::int64_t> read_factors(const Config& config) {
  std::map<std::string, std::int64_t> factors;
  for (const std::string& key : config.keys()) {
    const Config value = config.at(key);
    factors[key] = value.text() == "rest" ? 0 : value.integer(1);
  }
  return factors;
}

std::vector<std::string> read_names(const Config& config) {
  std::vector<std::string> names;
  for (const Config& item : config.items(true)) names.push_back(item.text());
  return names;
}

LevelConstraints read_constraints(const Config& config) {
  config.allow_only({"temporal", "x", "y", "order", "capacity_utilization", "fanout_utilization"});
  LevelConstraints constraints;
  if (const auto factors = config.find("temporal")) constraints.temporal_factors = read_factors(*factors);
  const auto spatial = [](const Config& side, std::map<std::string, std::int64_t>& factors,
                          std::optional<std::vector<std::string>>& dimensions) {
    side.allow_only({"factors", "dimensions"});
    if (const auto found = side.find("factors")) factors = read_factors(*found);
    if (const auto found = side.find("dimensions")) dimensions = read_names(*found);
  };
  if (const auto side = config.find("x")) spatial(*side, constraints.x_factors, constraints.x_dimensions);
  if (const auto side = config.find("y")) spatial(*side, constraints.y_factors, constraints.y_dimensions);
  if (const auto order = config.find("order")) constraints.order = read_names(*order);
  if (const auto share = config.find("capacity_utilization")) {
    constraints.min_capacity_utilization = share->quantity("1", 0, 1);
  }
  if (const auto share = config.find("fanout_utilization")) {
    constraints.min_fanout_utilization = share->quantity("1", 0, 1);
  }
  return constraints;
}

void read_mesh(const Config& config, std::int64_t& x, std::int64_t& y) {
  config.allow_only({"x", "y"});
  if (const auto side = config.find("x")) x = side->integer(1, 1 << 20);
  if (const auto side = config.find("y")) y = side->integer(1, 1 << 20);
}

StorageLevel read_level(const Config& config) {
  config.allow_only({"name", "instances", "capacity", "word_bits", "block_bits", "cluster", "read_bandwidth", "write_bandwidth",
                     "shared_bandwidth", "multiple_buffering", "keep", "bypass", "multicast", "reduction", "energy",
                     "area", "constraints"});
  StorageLevel level;
  level.name = config.at("name").text();
  if (const auto mesh = config.find("instances")) read_mesh(*mesh, level.mesh_x, level.mesh_y);
  if (const auto capacity = config.find("capacity")) {
    level.capacity_bits = static_cast<std::int64_t>(capacity->quantity("B", 0, 0x1p49) * 8);
  }
  if (const auto bits = config.find("word_bits")) {
    if (bits->is_map()) {
      bits->allow_only(tensor_names());
      for (const std::string& key : bits->keys()) {
        const auto t = static_cast<std::size_t>(
            std::find(tensor_names().begin(), tensor_names().end(), key) - tensor_names().begin());
        level.word_bits[t] = read_bits(bits->at(key));
      }
    } else {
      level.word_bits.fill(read_bits(*bits));
    }
  }
  if (const auto bits = config.find("block_bits")) level.block_bits = read_bits(*bits);
  if (const auto instances = config.find("cluster")) level.cluster = instances->integer(1, std::int64_t{1} << 40);
  const auto bandwidth = [&](std::string_view key, std::optional<double>& words) {
    if (const auto value = config.find(key)) words = value->number(1e-9);
  };
  bandwidth("read_bandwidth", level.read_bandwidth);
  bandwidth("write_bandwidth", level.write_bandwidth);
  bandwidth("shared_bandwidth", level.shared_bandwidth);
  if (const auto factor = config.find("multiple_buffering")) level.multiple_buffering = factor->number(1, 1e6);
  if (const auto keep = config.find("keep")) {
    for (const Config& tensor : keep->items(true)) level.policy[read_tensor(tensor)] = StorageLevel::Policy::keep;
  }
  if (const auto bypass = config.find("bypass")) {
    for (const Config& tensor : bypass->items(true)) {
      StorageLevel::Policy& policy = level.policy[read_tensor(tensor)];
      if (policy == StorageLevel::Policy::keep) {
        tensor.fail(fmt::format("level '{}' cannot both keep and bypass the {}", level.name, tensor.text()));
      }
      policy = StorageLevel::Policy::bypass;
    }
  }
  if (const auto value = config.find("multicast")) level.multicast = value->boolean();
  if (const auto value = config.find("reduction")) level.reduction = value->boolean();
  if (const auto energy = config.find("energy")) {
    energy->allow_only({"read", "write", "update", "leak"});
    const auto action = [&](std::string_view key, double& joules) {
      if (const auto value = energy->find(key)) joules = value->quantity("J", 0);
    };
    action("read", level.energy.read_j);
    action("write", level.energy.write_j);
    level.energy.update_j = level.energy.write_j;
    action("update", level.energy.update_j);
    action("leak", level.energy.leak_j);
  }
  if (const auto area = config.find("area")) level.area_mm2 = area->quantity("mm2", 0);
  if (const auto constraints = config.find("constraints")) level.constraints = read_constraints(*constraints);
  return level;
}

/// Why a grid of children does not stand below a grid of parents.
std::optional<std::string> why_no_fanout(const std::string& parent, std::int64_t parent_x, std::int64_t parent_y,
                                         const std::string& child, std::int64_t x, std::int64_t y) {
  if (x >= 1 && y >= 1 && x % parent_x == 0 && y % parent_y == 0) return std::nullopt;
  return fmt::format("the {}×{} instances of '{}' cannot be shared out among the {}×{} of '{}'", x, y, child, parent_x,
                     parent_y, parent);
}

}  // namespace

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
    if (level.cluster < 1 || level.instances() % level.cluster != 0) {
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

Architecture read_architecture(const Config& config) {
  config.allow_only({"name", "clock", "levels", "compute", "vector_unit"});
  Architecture architecture;
  if (const auto name = config.find("name")) architecture.name = name->text();
  if (const auto clock = config.find("clock")) architecture.clock_hz = clock->quantity("Hz", 1);
  for (const Config& level : config.at("levels").items()) architecture.levels.push_back(read_level(level));
  const Config compute = config.at("compute");
  compute.allow_only({"name", "instances", "energy", "area"});
  if (const auto name = compute.find("name")) architecture.compute.name = name->text();
  if (const auto mesh = compute.find("instances")) {
    read_mesh(*mesh, architecture.compute.mesh_x, architecture.compute.mesh_y);
  }
  if (const auto energy = compute.find("energy")) architecture.compute.energy_j = energy->quantity("J", 0);
  if (const auto area = compute.find("area")) architecture.compute.area_mm2 = area->quantity("mm2", 0);
  if (const auto unit = config.find("vector_unit")) {
    unit->allow_only({"lanes", "energy", "area"});
    VectorUnit& vector = architecture.vector_unit.emplace();
    vector.lanes = unit->at("lanes").integer(1, std::int64_t{1} << 40);
    if (const auto energy = unit->find("energy")) vector.energy_j = energy->quantity("J", 0);
    if (const auto area = unit->find("area")) vector.area_mm2 = area->quantity("mm2", 0);
  }
  if (const auto why = why_invalid(architecture)) config.at("levels").fail(*why);
  return architecture;
}

Architecture load_architecture(const std::filesystem::path& file) { return read_architecture(Config::load(file)); }

}  // namespace duet
