#include "estimators/cache.hpp"

#include <atomic>
#include <fmt/format.h>
#include <utility>

#include "core/errors.hpp"
#include "core/units.hpp"

namespace duet {
namespace {

constexpr std::string_view format_name = "duet1";

std::string checksum(std::string_view text) {
  return Hasher().add(text).finish().hex();
}

/// "duet1 0.25 3e-05 … checksum": legible in the database, and exact, as the shortest form of a double reads
/// back to the same bits.
std::string serialise(std::span<const double> values) {
  std::string text(format_name);
  for (const double value : values) text += " " + shortest(value);
  return text + " " + checksum(text);
}

/// The values, if `text` is what serialise() wrote for so many.
std::optional<std::vector<double>> parse(std::string_view text, std::size_t expected) {
  const std::size_t end = text.rfind(' ');
  if (end == std::string_view::npos || text.substr(end + 1) != checksum(text.substr(0, end)))
    return std::nullopt;
  text = text.substr(0, end);
  if (!text.starts_with(format_name)) return std::nullopt;
  text.remove_prefix(format_name.size());

  std::vector<double> values;
  while (!text.empty()) {
    text.remove_prefix(1);
    const std::string_view word = text.substr(0, text.find(' '));
    const std::optional<double> value = parse_number(word);
    if (!value) return std::nullopt;
    values.push_back(*value);
    text.remove_prefix(word.size());
  }
  if (values.size() != expected) return std::nullopt;
  return values;
}

/// The stored result for so many metrics, if there is one that can be trusted.
std::optional<Evaluation> recall(KeyValueStore& store, const Fingerprint& key, std::size_t metrics) {
  std::optional<std::string> stored;
  try {
    stored = store.get(key);
  } catch (const StoreError&) {
    return std::nullopt;  // a cache that cannot be read costs time, not results
  }
  if (!stored) return std::nullopt;
  std::optional<std::vector<double>> values = parse(*stored, metrics);
  if (!values) return std::nullopt;
  return Evaluation{Status::ok, "", std::move(*values), true, 0};
}

void keep(KeyValueStore& store, const Fingerprint& key, const Evaluation& evaluation) {
  if (evaluation.status != Status::ok) return;
  try {
    store.put(key, serialise(evaluation.values));
  } catch (const StoreError&) {
    // The result is good all the same; a broken database shows when the trial is written.
  }
}

}  // namespace

struct CachedEstimator::Shared {
  /// An evaluation that some thread is busy with.
  struct InFlight {
    bool finished = false;
    std::optional<Evaluation> result;  ///< once finished; none if the thread was told to stop
  };

  std::mutex mutex;
  std::condition_variable_any finished;
  std::unordered_map<Fingerprint, std::shared_ptr<InFlight>> in_flight;
  std::unordered_map<Fingerprint, Evaluation> failures;
  std::atomic<std::size_t> misses{0};

  /// Hands `result` to whoever waits for it.
  void finish(const Fingerprint& key, const std::shared_ptr<InFlight>& flight,
              std::optional<Evaluation> result) {
    {
      const std::lock_guard lock(mutex);
      if (result && result->status != Status::ok && result->status != Status::timed_out)
        failures[key] = *result;
      flight->result = std::move(result);
      flight->finished = true;
      in_flight.erase(key);
    }
    finished.notify_all();
  }
};

CachedEstimator::CachedEstimator(std::unique_ptr<Estimator> inner, Fingerprint identity,
                                 std::shared_ptr<KeyValueStore> store)
    : inner_(std::move(inner)),
      identity_(identity),
      store_(std::move(store)),
      shared_(std::make_unique<Shared>()) {}

CachedEstimator::~CachedEstimator() = default;

std::size_t CachedEstimator::misses() const {
  return shared_->misses;
}

std::vector<Evaluation> CachedEstimator::estimate(std::span<const Design> designs,
                                                  std::stop_token stop) const {
  std::vector<Evaluation> results;
  results.reserve(designs.size());
  for (const Design& design : designs) results.push_back(estimate_one(design, stop));
  return results;
}

Evaluation CachedEstimator::estimate_one(const Design& design, std::stop_token stop) const {
  Fingerprint key;
  try {
    key = Hasher().add(identity_).add(inner_->key(design)).finish();
  } catch (const std::exception& error) {
    return Evaluation::failure(error.what());  // the design makes no sense
  }
  const auto from_cache = [](Evaluation evaluation) {
    evaluation.cached = true;
    evaluation.duration_s = 0;
    return evaluation;
  };

  const auto flight = std::make_shared<Shared::InFlight>();
  {
    std::unique_lock lock(shared_->mutex);
    while (true) {
      if (const auto known = shared_->failures.find(key); known != shared_->failures.end()) {
        return from_cache(known->second);
      }
      const auto [at, first] = shared_->in_flight.try_emplace(key, flight);
      if (first) break;
      const std::shared_ptr<Shared::InFlight> other = at->second;
      if (!shared_->finished.wait(lock, stop, [&] { return other->finished; })) {
        return Evaluation::failure("stopped");
      }
      if (other->result) return from_cache(*other->result);
      // The thread that was busy with it has been stopped: it is our turn.
    }
  }

  std::optional<Evaluation> result;
  try {
    result = recall(*store_, key, metrics().size());
    if (!result) {
      ++shared_->misses;
      result = estimate_checked(*inner_, design, stop);
      if (!stop.stop_requested()) keep(*store_, key, *result);
    }
  } catch (...) {
    shared_->finish(key, flight, std::nullopt);
    throw;
  }
  const bool incomplete = stop.stop_requested() && !result->cached;
  shared_->finish(key, flight, incomplete ? std::nullopt : result);
  return *result;
}

}  // namespace duet
