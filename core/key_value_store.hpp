#pragma once
/// Where caches keep what must outlive the process.

#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "core/fingerprint.hpp"

namespace duet {

/// Bytes by fingerprint. Thread-safe. Implemented on SQLite in experiments/ and in memory below.
class KeyValueStore {
 public:
  virtual ~KeyValueStore() = default;
  virtual std::optional<std::string> get(const Fingerprint& key) = 0;
  /// Replaces what was there.
  virtual void put(const Fingerprint& key, std::string value) = 0;
};

class MemoryStore final : public KeyValueStore {
 public:
  std::optional<std::string> get(const Fingerprint& key) override {
    const std::lock_guard lock(mutex_);
    const auto found = values_.find(key);
    return found == values_.end() ? std::nullopt : std::optional(found->second);
  }
  void put(const Fingerprint& key, std::string value) override {
    const std::lock_guard lock(mutex_);
    values_[key] = std::move(value);
  }

 private:
  std::mutex mutex_;
  std::unordered_map<Fingerprint, std::string> values_;
};

}  // namespace duet
