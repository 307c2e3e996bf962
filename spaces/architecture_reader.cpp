// Architectures from YAML: plain ones, those that calculate with a template's parameters, and instances of templates.

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>

#include "core/expression.hpp"
#include "core/units.hpp"
#include "spaces/architecture.hpp"
#include "spaces/architecture_template.hpp"
#include "spaces/energy_table.hpp"
#include "spaces/technology.hpp"

namespace duet {
namespace {

constexpr double unlimited = 1e300;

std::size_t read_tensor(const Config& config) {
  const std::string name = config.one_of(tensor_names());
  return static_cast<std::size_t>(std::find(tensor_names().begin(), tensor_names().end(), name) -
                                  tensor_names().begin());
}

/// Reads the numbers of a text, which may be expressions where there are names to calculate with.
class Reader {
 public:
  explicit Reader(const ArchitectureValues& values) : values_(values) {
    for (const std::string& name : values.names) symbols_.push_back({name});
  }

  double quantity(const Config& config, std::string_view unit, double minimum, double maximum = unlimited) const {
    std::string problem;
    if (symbols_.empty() || !config.is_scalar() || parse_quantity(config.text(), unit, problem)) {
      return config.quantity(unit, minimum, maximum);
    }
    const Expression expression = Expression::parse(config, symbols_);
    const double value = expression.evaluate([&](std::size_t i) { return values_.values[i]; });
    if (!(value >= minimum && value <= maximum)) {
      config.fail(fmt::format("'{}' is {}, which is not between {} and {}", config.text(), human(value, unit),
                              human(minimum, unit), human(maximum, unit)));
    }
    return value;
  }
  double number(const Config& config, double minimum, double maximum = unlimited) const {
    return quantity(config, "1", minimum, maximum);
  }
  std::int64_t integer(const Config& config, std::int64_t minimum, std::int64_t maximum) const {
    if (symbols_.empty()) return config.integer(minimum, maximum);
    return whole(config, quantity(config, "1", static_cast<double>(minimum), static_cast<double>(maximum)));
  }
  std::int64_t bits(const Config& config) const { return whole(config, quantity(config, "bit", 1, 0x1p52)); }

  StorageLevel level(const Config& config) const;
  void mesh(const Config& config, std::int64_t& x, std::int64_t& y) const;

 private:
  std::int64_t whole(const Config& config, double value) const {
    if (value != std::floor(value)) config.fail(fmt::format("'{}' is {}, not a whole number", config.text(), shortest(value)));
    return static_cast<std::int64_t>(value);
  }
  std::map<std::string, std::int64_t> factors(const Config& config) const {
    std::map<std::string, std::int64_t> found;
    for (const std::string& key : config.keys()) {
      const Config value = config.at(key);
      found[key] = value.text() == "rest" ? 0 : integer(value, 1, std::int64_t{1} << 50);
    }
    return found;
  }
  LevelConstraints constraints(const Config& config) const;

  const ArchitectureValues& values_;
  std::vector<Symbol> symbols_;
};

std::vector<std::string> read_names(const Config& config) {
  std::vector<std::string> names;
  for (const Config& item : config.items(true)) names.push_back(item.text());
  return names;
}

LevelConstraints Reader::constraints(const Config& config) const {
  config.allow_only({"temporal", "x", "y", "order", "capacity_utilization", "fanout_utilization"});
  LevelConstraints read;
  if (const auto found = config.find("temporal")) read.temporal_factors = factors(*found);
  const auto spatial = [&](const Config& side, std::map<std::string, std::int64_t>& along,
                           std::optional<std::vector<std::string>>& dimensions) {
    side.allow_only({"factors", "dimensions"});
    if (const auto found = side.find("factors")) along = factors(*found);
    if (const auto found = side.find("dimensions")) dimensions = read_names(*found);
  };
  if (const auto side = config.find("x")) spatial(*side, read.x_factors, read.x_dimensions);
  if (const auto side = config.find("y")) spatial(*side, read.y_factors, read.y_dimensions);
  if (const auto order = config.find("order")) read.order = read_names(*order);
  if (const auto share = config.find("capacity_utilization")) read.min_capacity_utilization = number(*share, 0, 1);
  if (const auto share = config.find("fanout_utilization")) read.min_fanout_utilization = number(*share, 0, 1);
  return read;
}

void Reader::mesh(const Config& config, std::int64_t& x, std::int64_t& y) const {
  config.allow_only({"x", "y"});
  if (const auto side = config.find("x")) x = integer(*side, 1, 1 << 20);
  if (const auto side = config.find("y")) y = integer(*side, 1, 1 << 20);
}

StorageLevel Reader::level(const Config& config) const {
  config.allow_only({"name", "instances", "capacity", "word_bits", "block_bits", "cluster", "read_bandwidth",
                     "write_bandwidth", "shared_bandwidth", "multiple_buffering", "keep", "bypass", "multicast", "reduction", "energy",
                     "area", "technology", "constraints"});
  StorageLevel level;
  level.name = config.at("name").text();
  if (const auto grid = config.find("instances")) mesh(*grid, level.mesh_x, level.mesh_y);
  if (const auto capacity = config.find("capacity")) {
    level.capacity_bits = static_cast<std::int64_t>(quantity(*capacity, "B", 0, 0x1p49) * 8);
  }
  if (const auto word = config.find("word_bits")) {
    if (word->is_map()) {
      word->allow_only(tensor_names());
      for (const std::string& key : word->keys()) {
        const auto t = static_cast<std::size_t>(
            std::find(tensor_names().begin(), tensor_names().end(), key) - tensor_names().begin());
        level.word_bits[t] = bits(word->at(key));
      }
    } else {
      level.word_bits.fill(bits(*word));
    }
  }
  if (const auto block = config.find("block_bits")) level.block_bits = bits(*block);
  if (const auto together = config.find("cluster")) level.cluster = integer(*together, 1, std::int64_t{1} << 40);
  const auto bandwidth = [&](std::string_view key, std::optional<double>& words) {
    if (const auto value = config.find(key)) words = number(*value, 1e-9);
  };
  bandwidth("read_bandwidth", level.read_bandwidth);
  bandwidth("write_bandwidth", level.write_bandwidth);
  bandwidth("shared_bandwidth", level.shared_bandwidth);
  if (const auto factor = config.find("multiple_buffering")) level.multiple_buffering = number(*factor, 1, 1e6);
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
      if (const auto value = energy->find(key)) joules = quantity(*value, "J", 0);
    };
    action("read", level.energy.read_j);
    action("write", level.energy.write_j);
    level.energy.update_j = level.energy.write_j;
    action("update", level.energy.update_j);
    action("leak", level.energy.leak_j);
  }
  if (const auto area = config.find("area")) level.area_mm2 = quantity(*area, "mm2", 0);
  if (const auto found = config.find("constraints")) level.constraints = constraints(*found);
  return level;
}

bool keeps_anything(const StorageLevel& level) {
  return std::any_of(level.policy.begin(), level.policy.end(),
                     [](StorageLevel::Policy policy) { return policy != StorageLevel::Policy::bypass; });
}

/// Bits of one access: a block, or the widest word that the level may keep, in every instance of a cluster.
double access_bits(const StorageLevel& level) {
  std::int64_t bits = 1;
  for (std::size_t t = 0; t < tensor_count; ++t) {
    if (level.policy[t] != StorageLevel::Policy::bypass) bits = std::max(bits, level.word_bits[t]);
  }
  const std::int64_t block = level.block_bits == 0 ? bits : std::max(bits, level.block_bits / bits * bits);
  return static_cast<double>(block * level.cluster);
}

/// Energies and areas that the text does not give, from the technology.
class Technology {
 public:
  Technology(const Reader& reader, const Config& document) : reader_(reader) {
    if (const auto given = document.find("technology")) node_m_ = node(*given);
  }

  void complete(const Config& config, StorageLevel& level, bool outermost) const {
    const auto given = config.find("technology");
    if (!given && (!node_m_ || !keeps_anything(level))) return;
    // What the level's technology is made of, unless it is said: DRAM outside, registers where a few words suffice.
    constexpr std::int64_t largest_register_file = 8 * 1024;
    MemoryKind kind = outermost ? MemoryKind::dram : MemoryKind::sram;
    if (!outermost && level.capacity_bits && *level.capacity_bits <= largest_register_file) kind = MemoryKind::register_file;
    double node_m = node_m_.value_or(reference_node_m);
    if (given && given->is_map()) {
      given->allow_only({"kind", "node"});
      kind = memory_kind(given->at("kind"));
      if (const auto own = given->find("node")) node_m = node(*own);
    } else if (given) {
      kind = memory_kind(*given);
    }
    const bool energy = !config.has("energy"), area = !config.has("area");
    if ((!energy && !area) || is_dram(kind)) {
      if (energy) set_energy(level, memory_bit_energy_j(kind, 0, node_m));
      return;
    }
    if (!level.capacity_bits) {
      (given ? *given : config).fail(fmt::format("level '{}' has no capacity, which its energy and area follow from", level.name));
    }
    const auto capacity = static_cast<double>(*level.capacity_bits);
    if (energy) set_energy(level, memory_bit_energy_j(kind, capacity, node_m));
    if (area) level.area_mm2 = memory_area_mm2(kind, capacity, node_m);
  }

  void complete(const Config& config, Architecture& architecture) const {
    if (!node_m_) return;
    // Words as they arrive: those of the innermost levels that may keep them.
    std::array<std::int64_t, tensor_count> bits{};
    for (const StorageLevel& level : architecture.levels) {
      for (std::size_t t = 0; t < tensor_count; ++t) {
        if (level.policy[t] != StorageLevel::Policy::bypass) bits[t] = level.word_bits[t];
      }
    }
    const std::int64_t operand = std::max(bits[0], bits[1]);
    if (!config.has("energy")) architecture.compute.energy_j = mac_energy_j(operand, bits[2], *node_m_);
    if (!config.has("area")) architecture.compute.area_mm2 = mac_area_mm2(operand, bits[2], *node_m_);
  }

  /// Lanes multiply and add words as they come from the outermost level.
  void complete(const Config& config, const StorageLevel& outermost, VectorUnit& vector) const {
    if (!node_m_) return;
    const std::int64_t bits = outermost.word_bits[static_cast<std::size_t>(Tensor::input)];
    if (!config.has("energy")) vector.energy_j = mac_energy_j(bits, bits, *node_m_);
    if (!config.has("area")) vector.area_mm2 = static_cast<double>(vector.lanes) * mac_area_mm2(bits, bits, *node_m_);
  }

 private:
  double node(const Config& config) const {
    return reader_.quantity(config, "m", smallest_node_m, largest_node_m);
  }
  static MemoryKind memory_kind(const Config& config) {
    const std::string name = config.one_of(memory_kind_names());
    const auto& names = memory_kind_names();
    return static_cast<MemoryKind>(std::find(names.begin(), names.end(), name) - names.begin());
  }
  static void set_energy(StorageLevel& level, double bit_j) {
    const double access_j = access_bits(level) * bit_j;
    level.energy.read_j = level.energy.write_j = level.energy.update_j = access_j;
  }

  const Reader& reader_;
  std::optional<double> node_m_;
};

void apply_energy_table(const Config& config, Architecture& architecture) {
  const auto file = config.find("energy_table");
  if (!file) return;
  const EnergyTable table = EnergyTable::read(Config::load(file->file()));
  if (!table.apply(architecture)) {
    file->fail(fmt::format("'{}' has no energy or area of any component of the architecture", file->text()));
  }
}

Architecture read_instance(const Config& config) {
  config.allow_only({"template", "parameters", "name", "energy_table"});
  const ArchitectureTemplate from = ArchitectureTemplate::load(config.at("template"));
  const auto parameters = config.find("parameters");
  Architecture architecture = from.instantiate(parameters ? from.read_values(*parameters) : ParameterValues());
  if (const auto name = config.find("name")) architecture.name = name->text();
  apply_energy_table(config, architecture);
  return architecture;
}

}  // namespace

Architecture read_architecture(const Config& config, const ArchitectureValues& values) {
  if (config.has("template")) return read_instance(config);
  if (config.has("architecture") && config.has("parameters")) {
    config.fail(fmt::format("this is a template; a file with 'template: {}' and values for its parameters is an architecture",
                            config.document()));
  }
  config.allow_only({"name", "clock", "technology", "energy_table", "levels", "compute", "vector_unit"});
  const Reader reader(values);
  const Technology technology(reader, config);
  Architecture architecture;
  if (const auto name = config.find("name")) architecture.name = name->text();
  if (const auto clock = config.find("clock")) architecture.clock_hz = reader.quantity(*clock, "Hz", 1);
  for (const Config& item : config.at("levels").items()) {
    architecture.levels.push_back(reader.level(item));
    technology.complete(item, architecture.levels.back(), architecture.levels.size() == 1);
  }
  const Config compute = config.at("compute");
  compute.allow_only({"name", "instances", "energy", "area"});
  if (const auto name = compute.find("name")) architecture.compute.name = name->text();
  if (const auto mesh = compute.find("instances")) {
    reader.mesh(*mesh, architecture.compute.mesh_x, architecture.compute.mesh_y);
  }
  if (const auto energy = compute.find("energy")) architecture.compute.energy_j = reader.quantity(*energy, "J", 0);
  if (const auto area = compute.find("area")) architecture.compute.area_mm2 = reader.quantity(*area, "mm2", 0);
  technology.complete(compute, architecture);
  if (const auto unit = config.find("vector_unit")) {
    unit->allow_only({"lanes", "energy", "area"});
    VectorUnit& vector = architecture.vector_unit.emplace();
    vector.lanes = reader.integer(unit->at("lanes"), 1, std::int64_t{1} << 40);
    if (const auto energy = unit->find("energy")) vector.energy_j = reader.quantity(*energy, "J", 0);
    if (const auto area = unit->find("area")) vector.area_mm2 = reader.quantity(*area, "mm2", 0);
    technology.complete(*unit, architecture.levels.front(), vector);
  }
  apply_energy_table(config, architecture);
  if (const auto why = why_invalid(architecture)) config.at("levels").fail(*why);
  return architecture;
}

Architecture load_architecture(const std::filesystem::path& file) { return read_architecture(Config::load(file)); }

}  // namespace duet
