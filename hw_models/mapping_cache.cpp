#include "hw_models/mapping_cache.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "core/config.hpp"
#include "core/errors.hpp"

namespace duet {
namespace {

/// Changes whenever a mapper or the model answers differently.
constexpr std::uint64_t version = 1;

void add(Hasher& hasher, const Einsum& einsum) {
  hasher.add(static_cast<std::uint64_t>(einsum.dimensions.size()));
  for (const Dimension& dimension : einsum.dimensions) hasher.add(dimension.name).add(dimension.size);
  for (const EinsumTensor& tensor : einsum.tensors) {
    hasher.add(static_cast<std::uint64_t>(tensor.axes.size()));
    for (const IndexExpression& axis : tensor.axes) {
      hasher.add(static_cast<std::uint64_t>(axis.size()));
      for (const IndexTerm& term : axis) hasher.add(static_cast<std::uint64_t>(term.dimension)).add(term.coefficient);
    }
  }
}

void add(Hasher& hasher, const std::map<std::string, std::int64_t>& factors) {
  hasher.add(static_cast<std::uint64_t>(factors.size()));
  for (const auto& [name, factor] : factors) hasher.add(name).add(factor);
}
void add(Hasher& hasher, const std::vector<std::string>& names) {
  hasher.add(static_cast<std::uint64_t>(names.size()));
  for (const std::string& name : names) hasher.add(name);
}
void add(Hasher& hasher, const std::optional<std::vector<std::string>>& names) {
  hasher.add(std::uint64_t{names.has_value()});
  if (names) add(hasher, *names);
}

void add(Hasher& hasher, const Architecture& architecture) {
  hasher.add(architecture.clock_hz).add(static_cast<std::uint64_t>(architecture.levels.size()));
  for (const StorageLevel& level : architecture.levels) {
    hasher.add(level.name).add(level.mesh_x).add(level.mesh_y).add(level.capacity_bits.value_or(-1));
    for (std::size_t t = 0; t < tensor_count; ++t) {
      hasher.add(level.word_bits[t]).add(static_cast<std::uint64_t>(level.policy[t]));
    }
    hasher.add(level.block_bits).add(level.cluster);
    hasher.add(level.read_bandwidth.value_or(-1)).add(level.write_bandwidth.value_or(-1));
    hasher.add(level.shared_bandwidth.value_or(-1)).add(level.multiple_buffering);
    hasher.add(std::uint64_t{level.multicast}).add(std::uint64_t{level.reduction});
    hasher.add(level.energy.read_j).add(level.energy.write_j).add(level.energy.update_j).add(level.energy.leak_j);
    const LevelConstraints& constraints = level.constraints;
    add(hasher, constraints.temporal_factors);
    add(hasher, constraints.x_factors);
    add(hasher, constraints.y_factors);
    add(hasher, constraints.order);
    add(hasher, constraints.x_dimensions);
    add(hasher, constraints.y_dimensions);
    hasher.add(constraints.min_capacity_utilization).add(constraints.min_fanout_utilization);
  }
  hasher.add(architecture.compute.mesh_x).add(architecture.compute.mesh_y).add(architecture.compute.energy_j);
}

std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("''") : std::string(1, c);
  return result + "'";
}

}  // namespace

Fingerprint mapping_key(const CostModel& model, std::string_view mapper, const MapperRequest& request) {
  Hasher hasher;
  hasher.add(std::string_view("mapping")).add(version);
  add(hasher, model.einsum());
  add(hasher, model.architecture());
  hasher.add(static_cast<std::uint64_t>(model.options().footprint)).add(std::uint64_t{model.options().as_timeloop});
  hasher.add(mapper).add(to_string(request.objective.kind));
  hasher.add(request.objective.per_second).add(request.objective.per_joule);
  hasher.add(request.effort).add(request.seed);
  return hasher.finish();
}

std::string mapper_result_yaml(const MapperResult& result, const CostModel& model) {
  std::string text = fmt::format("version: {}\nlower_bound: {}\nproven: {}\nevaluations: {}\n", version, result.lower_bound,
                                 result.proven, result.evaluations);
  if (!result.mapping) return text + fmt::format("why_none: {}\n", quoted(result.why_none));
  text += "mapping:\n";
  const std::string mapping = mapping_yaml(*result.mapping, model.einsum(), model.architecture());
  for (std::size_t begin = 0; begin < mapping.size();) {
    const std::size_t end = mapping.find('\n', begin) + 1;
    text += "  " + mapping.substr(begin, end - begin);
    begin = end;
  }
  return text;
}

std::optional<MapperResult> read_mapper_result(const std::string& text, const CostModel& model,
                                               const Objective& objective) {
  try {
    const Config config = Config::parse(text, "stored mapping");
    if (config.at("version").integer() != static_cast<std::int64_t>(version)) return std::nullopt;
    MapperResult result;
    result.lower_bound = config.at("lower_bound").number();
    result.proven = config.at("proven").boolean();
    result.evaluations = static_cast<std::uint64_t>(config.at("evaluations").integer(0));
    if (const auto why = config.find("why_none")) {
      result.why_none = why->text();
      return result;
    }
    result.mapping = read_mapping(config.at("mapping"), model.einsum(), model.architecture());
    result.cost = model.quick(*result.mapping);
    if (!result.cost.valid) return std::nullopt;
    result.value = value(objective, result.cost.cycles, result.cost.energy_j, model.architecture().clock_hz);
    return result;
  } catch (const ConfigError&) {
    return std::nullopt;  // written by a version that knew another form
  }
}

MappingCache::MappingCache(std::size_t capacity, std::shared_ptr<KeyValueStore> store)
    : capacity_(std::max<std::size_t>(1, capacity)), store_(std::move(store)) {}

std::optional<MapperResult> MappingCache::find(const Fingerprint& key, const CostModel& model, const Objective& objective) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = results_.find(key); found != results_.end()) {
      ++hits_;
      return found->second;
    }
  }
  std::optional<MapperResult> result;
  if (store_) {
    if (const auto text = store_->get(key)) result = read_mapper_result(*text, model, objective);
  }
  const std::lock_guard lock(mutex_);
  if (result) {
    remember(key, *result);
    ++hits_;
  } else {
    ++misses_;
  }
  return result;
}

void MappingCache::insert(const Fingerprint& key, const MapperResult& result, const CostModel& model) {
  if (!result.complete) return;
  {
    const std::lock_guard lock(mutex_);
    remember(key, result);
  }
  if (store_) store_->put(key, mapper_result_yaml(result, model));
}

void MappingCache::remember(const Fingerprint& key, const MapperResult& result) {
  if (!results_.insert_or_assign(key, result).second) return;
  order_.push_back(key);
  if (order_.size() <= capacity_) return;
  results_.erase(order_.front());
  order_.pop_front();
}

std::size_t MappingCache::size() const {
  const std::lock_guard lock(mutex_);
  return results_.size();
}
std::size_t MappingCache::hits() const {
  const std::lock_guard lock(mutex_);
  return hits_;
}
std::size_t MappingCache::misses() const {
  const std::lock_guard lock(mutex_);
  return misses_;
}

}  // namespace duet
