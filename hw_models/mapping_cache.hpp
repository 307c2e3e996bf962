#pragma once
/// What mappers have found, kept for the next time that the same einsum meets the same architecture.

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/fingerprint.hpp"
#include "core/key_value_store.hpp"
#include "hw_models/mapper.hpp"

namespace duet {

/// Everything that decides a mapper's result: einsum, architecture, footprint and counting, mapper, objective, effort and
/// seed. Neither threads nor a time limit are in it: they do not change results that are complete.
Fingerprint mapping_key(const CostModel& model, std::string_view mapper, const MapperRequest& request);

/// A result as YAML, for a KeyValueStore: the mapping as mapping_yaml writes it, bounds and counts. Costs are left out;
/// the model says them again.
std::string mapper_result_yaml(const MapperResult& result, const CostModel& model);
/// What mapper_result_yaml wrote; nothing if the text is not of this version or its mapping is not valid under `model`.
std::optional<MapperResult> read_mapper_result(const std::string& text, const CostModel& model, const Objective& objective);

/// Complete results in memory, the latest `capacity` of them, and in a store behind it if there is one. Thread-safe.
class MappingCache {
 public:
  explicit MappingCache(std::size_t capacity = 100'000, std::shared_ptr<KeyValueStore> store = nullptr);

  /// \pre `key` is mapping_key's of the model and objective.
  std::optional<MapperResult> find(const Fingerprint& key, const CostModel& model, const Objective& objective);
  /// Passes over a result that is not complete.
  void insert(const Fingerprint& key, const MapperResult& result, const CostModel& model);

  std::size_t size() const;  ///< in memory
  std::size_t hits() const;
  std::size_t misses() const;

 private:
  void remember(const Fingerprint& key, const MapperResult& result);

  mutable std::mutex mutex_;
  std::size_t capacity_, hits_ = 0, misses_ = 0;
  std::shared_ptr<KeyValueStore> store_;
  std::unordered_map<Fingerprint, MapperResult> results_;
  std::deque<Fingerprint> order_;  ///< oldest first
};

}  // namespace duet
