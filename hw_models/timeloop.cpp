#include "hw_models/timeloop.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <utility>

#include "core/units.hpp"
#include "spaces/energy_table.hpp"

namespace duet {
namespace {

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// Timeloop takes hyphens and underscores in keys for the same.
std::optional<Config> attribute(const Config& attributes, std::initializer_list<std::string_view> names) {
  for (const std::string& key : attributes.keys()) {
    std::string plain = key;
    std::replace(plain.begin(), plain.end(), '-', '_');
    if (std::find(names.begin(), names.end(), plain) != names.end()) {
      const Config value = attributes.at(key);
      if (!value.is_null()) return value;
    }
  }
  return std::nullopt;
}

/// "spad[1..168]" → "spad", 168.
std::pair<std::string, std::int64_t> split_name(const Config& config) {
  const std::string& text = config.text();
  const std::size_t open = text.find('[');
  if (open == std::string::npos) return {text, 1};
  const std::size_t dots = text.find("..", open), close = text.find(']', open);
  std::string digits = "0";
  std::string last = text.substr(open + 1, close == std::string::npos ? std::string::npos : close - open - 1);
  if (dots != std::string::npos) {
    digits = text.substr(open + 1, dots - open - 1);
    last = text.substr(dots + 2, close - dots - 2);
  }
  const auto from = parse_number(digits), to = parse_number(last);
  if (close == std::string::npos || !from || !to) config.fail_wrong("a name or a name with a range such as 'spad[0..167]'");
  const double count = dots == std::string::npos ? *to : *to - *from + 1;
  if (count < 1 || count != std::floor(count)) config.fail_wrong("a name with a range of at least one instance");
  return {text.substr(0, open), static_cast<std::int64_t>(count)};
}

struct Component {
  std::string name;
  std::string kind;  ///< its class, in lower case
  std::int64_t instances = 1;
  Config config;
  std::optional<Config> attributes;
};

void collect(const Config& node, std::int64_t instances, std::vector<Component>& found) {
  if (const auto local = node.find("local")) {
    for (const Config& item : local->items()) {
      auto [name, count] = split_name(item.at("name"));
      std::string kind;
      for (const char* key : {"class", "subclass"}) {
        if (const auto value = item.find(key)) kind += lower_case(value->text()) + " ";
      }
      found.push_back({std::move(name), std::move(kind), instances * count, item, item.find("attributes")});
    }
  }
  if (const auto subtree = node.find("subtree")) {
    for (const Config& item : subtree->items()) {
      collect(item, instances * (item.has("name") ? split_name(item.at("name")).second : 1), found);
    }
  }
}

std::int64_t whole_attribute(const std::optional<Config>& attributes, std::initializer_list<std::string_view> names,
                             std::int64_t fallback) {
  if (attributes) {
    if (const auto value = attribute(*attributes, names)) return value->integer(0, std::int64_t{1} << 50);
  }
  return fallback;
}

void read_mesh(const Component& component, std::int64_t& x, std::int64_t& y) {
  const std::int64_t given_x = whole_attribute(component.attributes, {"meshX", "meshx"}, 0);
  const std::int64_t given_y = whole_attribute(component.attributes, {"meshY", "meshy"}, 0);
  const std::int64_t instances = whole_attribute(component.attributes, {"instances"}, component.instances);
  x = given_x > 0 ? given_x : given_y > 0 ? instances / given_y : instances;
  y = given_y > 0 ? given_y : instances / std::max<std::int64_t>(1, x);
  if (x * y != instances) {
    component.config.fail(fmt::format("'{}' has {} instances, and a mesh of {}×{}", component.name, instances, x, y));
  }
}

StorageLevel read_level(const Component& component) {
  StorageLevel level;
  level.name = component.name;
  read_mesh(component, level.mesh_x, level.mesh_y);
  const auto& attributes = component.attributes;
  const std::int64_t word = std::max<std::int64_t>(1, whole_attribute(attributes, {"datawidth", "word_bits", "word_width"}, 8));
  const std::int64_t cluster = std::max<std::int64_t>(1, whole_attribute(attributes, {"cluster_size"}, 1));
  const std::int64_t width = whole_attribute(attributes, {"width", "memory_width"}, 0);
  std::int64_t block = whole_attribute(attributes, {"block_size", "n_words"}, 0);
  if (block == 0) block = width > 0 ? std::max<std::int64_t>(1, width / (word * cluster)) : 1;
  level.word_bits.fill(word);
  level.block_bits = block * word;
  const bool dram = component.kind.find("dram") != std::string::npos;
  if (const std::int64_t entries = whole_attribute(attributes, {"entries"}, 0); entries > 0) {
    level.capacity_bits = entries * word;
  } else if (const std::int64_t depth = whole_attribute(attributes, {"depth", "memory_depth"}, 0); depth > 0 && !dram) {
    level.capacity_bits = depth * block * word;
  } else if (const std::int64_t kilobytes = whole_attribute(attributes, {"sizeKB"}, 0); kilobytes > 0) {
    level.capacity_bits = kilobytes * 1024 * 8 / word * word;
  }
  if (attributes) {
    const auto bandwidth = [&](std::string_view name, std::optional<double>& words) {
      if (const auto value = attribute(*attributes, {name})) words = value->number(0);
    };
    bandwidth("read_bandwidth", level.read_bandwidth);
    bandwidth("write_bandwidth", level.write_bandwidth);
    bandwidth("shared_bandwidth", level.shared_bandwidth);
    if (const auto value = attribute(*attributes, {"multiple_buffering"})) level.multiple_buffering = value->number(1);
    if (const auto value = attribute(*attributes, {"min_utilization"})) {
      level.constraints.min_capacity_utilization = value->number(0, 1);
    }
  }
  return level;
}

/// Words separated by blanks or commas; or, without these, dimension names one after another.
std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> parts;
  std::string part;
  for (const char c : text + " ") {
    if (c != ' ' && c != ',' && c != '\t' && c != '\n') {
      part += c;
    } else if (!part.empty()) {
      parts.push_back(std::exchange(part, {}));
    }
  }
  return parts;
}

std::vector<std::size_t> read_permutation(const Config& config, const Einsum& einsum) {
  std::vector<std::size_t> order;
  std::vector<std::string> parts;
  if (config.is_sequence()) {
    for (const Config& item : config.items()) parts.push_back(item.text());
  } else {
    parts = words(config.text());
  }
  for (const std::string& part : parts) {
    for (std::size_t at = 0; at < part.size();) {
      // The longest name that fits.
      std::optional<std::size_t> best;
      for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) {
        const std::string& name = einsum.dimensions[d].name;
        if (part.compare(at, name.size(), name) == 0 && (!best || name.size() > einsum.dimensions[*best].name.size())) {
          best = d;
        }
      }
      if (!best) config.fail(fmt::format("'{}' is no dimension of the problem", part.substr(at)));
      if (std::find(order.begin(), order.end(), *best) != order.end()) {
        config.fail(fmt::format("dimension '{}' occurs twice", einsum.dimensions[*best].name));
      }
      order.push_back(*best);
      at += einsum.dimensions[*best].name.size();
    }
  }
  return order;
}

}  // namespace

Architecture read_timeloop_architecture(const Config& config, const std::optional<Config>& tables) {
  const Config root = config.at("architecture");
  std::vector<Component> components;
  collect(root, 1, components);
  if (components.size() < 2) root.fail("an architecture has at least one storage level and a compute unit");
  auto compute = std::find_if(components.begin(), components.end(), [](const Component& component) {
    return component.kind.find("mac") != std::string::npos || component.kind.find("compute") != std::string::npos;
  });
  if (compute == components.end()) compute = components.end() - 1;
  const Component unit = *compute;
  components.erase(compute);

  Architecture architecture;
  architecture.name = config.document();
  const auto tree = root.find("subtree");
  if (tree && tree->size() > 0) {
    if (const auto attributes = tree->at(std::size_t{0}).find("attributes")) {
      if (const auto seconds = attribute(*attributes, {"global_cycle_seconds"})) {
        architecture.clock_hz = 1 / seconds->number(1e-15, 1);
      }
    }
  }
  for (const Component& component : components) architecture.levels.push_back(read_level(component));
  architecture.compute.name = unit.name;
  read_mesh(unit, architecture.compute.mesh_x, architecture.compute.mesh_y);
  EnergyTable table = tables ? EnergyTable::read(*tables) : EnergyTable();
  table.merge(EnergyTable::read(config));
  table.apply(architecture);
  if (const auto why = why_invalid(architecture)) root.fail(*why);
  return architecture;
}

Einsum read_timeloop_problem(const Config& config) {
  const Config problem = config.at("problem");
  const Config shape = problem.at("shape"), instance = problem.at("instance");
  Einsum einsum;
  for (const Config& item : shape.at("dimensions").items()) {
    einsum.dimensions.push_back({item.text(), instance.at(item.text()).integer(1)});
  }
  std::map<std::string, std::int64_t> coefficients;
  if (const auto list = shape.find("coefficients")) {
    for (const Config& item : list->items()) {
      const std::string& name = item.at("name").text();
      if (const auto value = instance.find(name)) {
        coefficients[name] = value->integer(1);
      } else {
        coefficients[name] = item.has("default") ? item.at("default").integer(1) : 1;
      }
    }
  }
  std::vector<std::pair<EinsumTensor, Config>> operands;
  bool output = false;
  const auto spaces = [&] {
    for (const char* key : {"data_spaces", "data-spaces"}) {
      if (const auto found = shape.find(key)) return *found;
    }
    shape.fail("a shape has data_spaces");
  }();
  for (const Config& space : spaces.items()) {
    EinsumTensor tensor;
    tensor.name = space.at("name").text();
    for (const Config& sum : space.at("projection").items()) {
      IndexExpression axis;
      for (const Config& product : sum.items()) {
        const std::vector<Config> parts = product.items(true);
        if (parts.empty()) product.fail("a term of a projection names a dimension");
        const auto d = einsum.find_dimension(parts[0].text());
        if (!d) parts[0].fail(fmt::format("'{}' is no dimension of the problem", parts[0].text()));
        IndexTerm term{*d, 1};
        if (parts.size() > 1) {
          const auto known = coefficients.find(parts[1].text());
          term.coefficient = known != coefficients.end() ? known->second : parts[1].integer(1);
        }
        axis.push_back(term);
      }
      tensor.axes.push_back(std::move(axis));
    }
    bool written = false;
    for (const char* key : {"read_write", "read-write"}) {
      if (const auto value = space.find(key)) written = value->boolean();
    }
    if (!written) {
      operands.emplace_back(std::move(tensor), space);
    } else {
      if (output) space.fail("a second data space that is written; duet's workloads have one output");
      output = true;
      einsum.tensors[static_cast<std::size_t>(Tensor::output)] = std::move(tensor);
    }
  }
  if (!output || operands.size() != 2) shape.fail("duet's workloads have two operands and one output (read_write: true)");
  const auto is_weight = [](const EinsumTensor& tensor) {
    const std::string name = lower_case(tensor.name);
    return name.find("weight") != std::string::npos || name.find("filter") != std::string::npos ||
           name.find("kernel") != std::string::npos;
  };
  if (is_weight(operands[1].first) && !is_weight(operands[0].first)) std::swap(operands[0], operands[1]);
  einsum.tensors[static_cast<std::size_t>(Tensor::weight)] = std::move(operands[0].first);
  einsum.tensors[static_cast<std::size_t>(Tensor::input)] = std::move(operands[1].first);
  if (const auto why = why_invalid(einsum)) shape.fail(*why);
  return einsum;
}

Mapping read_timeloop_mapping(const Config& config, const Einsum& einsum, const Architecture& architecture) {
  const Config list = config.is_map() ? config.at("mapping") : config;
  Mapping mapping;
  mapping.level_count = architecture.levels.size();
  const auto tensor_of = [&](const Config& item) {
    std::vector<std::string> names;
    for (std::size_t t = 0; t < tensor_count; ++t) {
      names.push_back(einsum.tensors[t].name);
      if (names.back() == item.text()) return t;
    }
    item.fail(fmt::format("'{}' is no data space of the problem{}", item.text(), hint(item.text(), names)));
  };
  for (const Config& entry : list.items()) {
    const Config target = entry.at("target");
    std::vector<std::string> names;
    for (const StorageLevel& level : architecture.levels) names.push_back(level.name);
    const auto l = architecture.find_level(target.text());
    if (!l) target.fail(fmt::format("'{}' is no level of the architecture{}", target.text(), hint(target.text(), names)));
    LevelMapping& level = mapping.levels[*l];
    const std::string type =
        entry.at("type").one_of(std::vector<std::string>{"temporal", "spatial", "datatype", "dataspace", "bypass"});
    if (type == "datatype" || type == "dataspace" || type == "bypass") {
      for (const char* key : {"keep", "bypass"}) {
        const auto items = entry.find(key);
        if (!items || items->is_null()) continue;
        for (const Config& item : items->items(true)) level.keep[tensor_of(item)] = key == std::string_view("keep");
      }
      continue;
    }
    std::array<std::int64_t, max_dimensions> factors;
    factors.fill(1);
    if (const auto given = entry.find("factors")) {
      for (const std::string& word : words(given->text())) {
        const std::size_t digit = word.find_first_of("0123456789=");
        const auto d = einsum.find_dimension(word.substr(0, digit));
        const std::size_t begin = digit == std::string::npos ? digit : word.find_first_of("0123456789", digit);
        const double number =
            begin == std::string::npos ? -1 : parse_number(word.substr(begin)).value_or(-1);
        if (!d || number < 0) {
          given->fail(fmt::format("'{}' is not a factor such as '{}2'", word, einsum.dimensions[0].name));
        }
        factors[*d] = static_cast<std::int64_t>(number);
      }
    }
    std::vector<std::size_t> order;  // innermost first
    if (const auto given = entry.find("permutation")) order = read_permutation(*given, einsum);
    for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) {
      if (std::find(order.begin(), order.end(), d) == order.end()) order.push_back(d);
    }
    if (type == "temporal") {
      level.temporal = factors;
      for (std::size_t i = 0; i < order.size(); ++i) level.order[order.size() - 1 - i] = static_cast<std::uint8_t>(order[i]);
    } else {
      for (std::size_t i = 0; i < order.size(); ++i) {
        level.spatial_order[order.size() - 1 - i] = static_cast<std::uint8_t>(order[i]);
      }
      std::size_t split = order.size();
      if (const auto given = entry.find("split")) split = static_cast<std::size_t>(given->integer(0, 1000));
      for (std::size_t i = 0; i < order.size(); ++i) {
        (i < split ? level.x : level.y)[order[i]] = factors[order[i]];
      }
    }
  }
  // A factor of 0 takes what is left.
  for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) {
    std::int64_t product = 1;
    std::int64_t* open = nullptr;
    for (std::size_t l = 0; l < mapping.level_count; ++l) {
      LevelMapping& level = mapping.levels[l];
      for (auto* factors : {&level.temporal, &level.x, &level.y}) {
        if ((*factors)[d] == 0) {
          open = &(*factors)[d];
        } else {
          product *= (*factors)[d];
        }
      }
    }
    if (open != nullptr) *open = (einsum.size(d) + product - 1) / product;
  }
  return mapping;
}

}  // namespace duet
