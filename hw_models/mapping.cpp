#include "hw_models/mapping.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace duet {
namespace {

std::vector<std::string> dimension_names(const Einsum& einsum) {
  std::vector<std::string> names;
  for (const Dimension& dimension : einsum.dimensions) names.push_back(dimension.name);
  return names;
}

std::size_t read_dimension(const Config& config, const Einsum& einsum) {
  return einsum.find_dimension(config.one_of(dimension_names(einsum))).value();
}

using Factors = std::array<std::int64_t, max_dimensions>;

/// "rest" is left as 0.
void read_factors(const Config& config, const Einsum& einsum, Factors& factors) {
  config.allow_only(dimension_names(einsum));
  for (const std::string& key : config.keys()) {
    const Config value = config.at(key);
    factors[einsum.find_dimension(key).value()] = value.text() == "rest" ? 0 : value.integer(1, std::int64_t{1} << 52);
  }
}

/// Innermost loops, outermost of them first; those that are not named stand outside, in the order of the workload.
void read_order(const Config& config, const Einsum& einsum, std::array<std::uint8_t, max_dimensions>& order) {
  std::vector<std::size_t> inner;
  for (const Config& item : config.items(true)) {
    const std::size_t d = read_dimension(item, einsum);
    if (std::find(inner.begin(), inner.end(), d) != inner.end()) {
      item.fail(fmt::format("'{}' occurs twice in the order", item.text()));
    }
    inner.push_back(d);
  }
  std::size_t next = 0;
  for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) {
    if (std::find(inner.begin(), inner.end(), d) == inner.end()) order[next++] = static_cast<std::uint8_t>(d);
  }
  for (const std::size_t d : inner) order[next++] = static_cast<std::uint8_t>(d);
}

}  // namespace

MappingBatch::MappingBatch(const Mapping& mapping) : level_count(mapping.level_count) {
  for (std::size_t l = 0; l < level_count; ++l) {
    const LevelMapping& from = mapping.levels[l];
    for (std::size_t d = 0; d < max_dimensions; ++d) {
      levels[l].temporal[d].fill(static_cast<std::int32_t>(from.temporal[d]));
      levels[l].x[d].fill(static_cast<std::int32_t>(from.x[d]));
      levels[l].y[d].fill(static_cast<std::int32_t>(from.y[d]));
    }
    levels[l].order = from.order;
    levels[l].keep = from.keep;
  }
}

Mapping MappingBatch::mapping(std::size_t lane) const {
  Mapping mapping;
  mapping.level_count = level_count;
  for (std::size_t l = 0; l < level_count; ++l) {
    LevelMapping& level = mapping.levels[l];
    for (std::size_t d = 0; d < max_dimensions; ++d) {
      level.temporal[d] = levels[l].temporal[d][lane];
      level.x[d] = levels[l].x[d][lane];
      level.y[d] = levels[l].y[d][lane];
    }
    level.order = levels[l].order;
    level.keep = levels[l].keep;
  }
  return mapping;
}

namespace {

/// A level's name as a key: quoted where it is not a plain word.
std::string as_key(const std::string& name) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto inside = [&](char c) { return plain(c) || (c >= '0' && c <= '9') || c == '-' || c == '.'; };
  if (!name.empty() && plain(name[0]) && std::all_of(name.begin(), name.end(), inside)) return name;
  std::string key = "'";
  for (const char c : name) {
    key += c;
    if (c == '\'') key += c;
  }
  return key + "'";
}

}  // namespace

Mapping trivial_mapping(const Einsum& einsum, const Architecture& architecture) {
  Mapping mapping;
  mapping.level_count = architecture.levels.size();
  for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) mapping.levels[0].temporal[d] = einsum.size(d);
  for (std::size_t l = 0; l < mapping.level_count; ++l) {
    for (std::size_t t = 0; t < tensor_count; ++t) {
      mapping.levels[l].keep[t] = architecture.levels[l].policy[t] != StorageLevel::Policy::bypass;
    }
  }
  return mapping;
}

bool is_perfect(const Mapping& mapping, const Einsum& einsum) {
  for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) {
    std::int64_t product = 1;
    for (std::size_t l = 0; l < mapping.level_count; ++l) {
      product *= mapping.levels[l].temporal[d] * mapping.levels[l].x[d] * mapping.levels[l].y[d];
    }
    if (product != einsum.size(d)) return false;
  }
  return true;
}

Mapping read_mapping(const Config& config, const Einsum& einsum, const Architecture& architecture) {
  std::vector<std::string> levels;
  for (const StorageLevel& level : architecture.levels) levels.push_back(level.name);
  config.allow_only(levels);

  Mapping mapping;
  mapping.level_count = levels.size();
  for (std::size_t l = 0; l < levels.size(); ++l) {
    LevelMapping& level = mapping.levels[l];
    for (std::size_t t = 0; t < tensor_count; ++t) {
      level.keep[t] = architecture.levels[l].policy[t] != StorageLevel::Policy::bypass;
    }
    const auto from = config.find(levels[l]);
    if (!from) continue;
    from->allow_only({"keep", "temporal", "order", "x", "y", "spatial_order"});
    if (const auto keep = from->find("keep")) {
      level.keep.fill(false);
      for (const Config& item : keep->items(true)) {
        std::vector<std::string> names;
        for (const Tensor tensor : all_tensors) names.emplace_back(to_string(tensor));
        const std::string name = item.one_of(names);
        for (const Tensor tensor : all_tensors) {
          if (to_string(tensor) == name) level.keep[static_cast<std::size_t>(tensor)] = true;
        }
      }
    }
    if (const auto factors = from->find("temporal")) read_factors(*factors, einsum, level.temporal);
    if (const auto factors = from->find("x")) read_factors(*factors, einsum, level.x);
    if (const auto factors = from->find("y")) read_factors(*factors, einsum, level.y);
    if (const auto order = from->find("order")) read_order(*order, einsum, level.order);
    if (const auto order = from->find("spatial_order")) read_order(*order, einsum, level.spatial_order);
  }
  for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) {
    std::int64_t* open = nullptr;
    std::int64_t product = 1;
    for (std::size_t l = 0; l < levels.size(); ++l) {
      for (Factors* factors : {&mapping.levels[l].temporal, &mapping.levels[l].x, &mapping.levels[l].y}) {
        std::int64_t& factor = (*factors)[d];
        if (factor != 0) {
          product *= factor;
        } else if (open == nullptr) {
          open = &factor;
        } else {
          config.fail(fmt::format("dimension {} has two factors 'rest'", einsum.dimensions[d].name));
        }
      }
    }
    if (open != nullptr) *open = (einsum.size(d) + product - 1) / product;
  }
  return mapping;
}

std::string mapping_yaml(const Mapping& mapping, const Einsum& einsum, const Architecture& architecture) {
  std::string text;
  for (std::size_t l = 0; l < mapping.level_count; ++l) {
    const LevelMapping& level = mapping.levels[l];
    std::vector<std::string_view> kept;
    for (const Tensor tensor : all_tensors) {
      if (level.keep[static_cast<std::size_t>(tensor)]) kept.push_back(to_string(tensor));
    }
    text += fmt::format("{}:\n  keep: [{}]\n", as_key(architecture.levels[l].name), fmt::join(kept, ", "));
    const auto factors = [&](const char* key, const Factors& values) {
      std::vector<std::string> parts;
      for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) {
        if (values[d] != 1) parts.push_back(fmt::format("{}: {}", einsum.dimensions[d].name, values[d]));
      }
      if (!parts.empty()) text += fmt::format("  {}: {{{}}}\n", key, fmt::join(parts, ", "));
    };
    factors("temporal", level.temporal);
    std::vector<std::string> order;
    for (std::size_t i = 0; i < einsum.dimensions.size(); ++i) order.push_back(einsum.dimensions[level.order[i]].name);
    text += fmt::format("  order: [{}]\n", fmt::join(order, ", "));
    factors("x", level.x);
    factors("y", level.y);
    if (!std::is_sorted(level.spatial_order.begin(), level.spatial_order.end())) {
      order.clear();
      for (std::size_t i = 0; i < einsum.dimensions.size(); ++i) {
        order.push_back(einsum.dimensions[level.spatial_order[i]].name);
      }
      text += fmt::format("  spatial_order: [{}]\n", fmt::join(order, ", "));
    }
  }
  return text;
}

std::string loop_nest(const Mapping& mapping, const Einsum& einsum, const Architecture& architecture) {
  std::string text;
  std::size_t depth = 0;
  for (std::size_t l = 0; l < mapping.level_count; ++l) {
    const LevelMapping& level = mapping.levels[l];
    text += fmt::format("{:{}}{} [", "", 2 * depth, architecture.levels[l].name);
    for (const Tensor tensor : all_tensors) {
      if (level.keep[static_cast<std::size_t>(tensor)]) text += fmt::format(" {}", to_string(tensor));
    }
    text += " ]\n";
    const auto loop = [&](const char* words, std::size_t d, std::int64_t factor) {
      if (factor == 1) return;
      text += fmt::format("{:{}}{} {} in 0…{}\n", "", 2 * depth, words, einsum.dimensions[d].name, factor - 1);
      ++depth;
    };
    for (std::size_t i = 0; i < einsum.dimensions.size(); ++i) loop("for", level.order[i], level.temporal[level.order[i]]);
    for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) loop("parallel-y for", d, level.y[d]);
    for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) loop("parallel-x for", d, level.x[d]);
  }
  text += fmt::format("{:{}}{}\n", "", 2 * depth, architecture.compute.name);
  return text;
}

}  // namespace duet
