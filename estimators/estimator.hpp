#pragma once
/// Estimators: everything that scores a design.
///
///   create(options, environment)  →  metrics()            what it reports
///                                    key(design)          the part of the design that it reads
///                                    estimate(designs)    pure, from several threads at once
///                                    observe(design, …)   learning estimators only, in trial order
///
/// A design that cannot be scored is a status with a reason, never an exception.

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "core/evaluation.hpp"
#include "core/key_value_store.hpp"
#include "core/options.hpp"
#include "core/registry.hpp"
#include "estimators/stored_table.hpp"
#include "spaces/design_space.hpp"

namespace duet {

/// What surrounds an estimator.
struct Environment {
  std::uint64_t seed = 0;            ///< of the experiment
  std::filesystem::path directory;   ///< relative paths in options start here (the experiment file's folder)
  const DesignSpace* space = nullptr;  ///< outlives the estimator
  /// Opens a table of a file that `duet import` made; an empty name means the only one. Empty where there is no way to
  /// read one. \throws StoreError
  std::function<std::unique_ptr<StoredTable>(const std::filesystem::path& file, const std::string& table)> open_table =
      {};
};

class Estimator {
 public:
  virtual ~Estimator() = default;

  /// Fixed for the life of the estimator; at least one.
  virtual std::span<const Metric> metrics() const = 0;

  /// Identifies what this estimator reads of the design: designs with equal keys get equal results. The cache adds
  /// the estimator's name, version and options itself. \throws NetworkError as the design's accessors do.
  virtual Fingerprint key(const Design& design) const = 0;

  /// Of what else results depend on, besides options and designs: the contents of tables, data sets and programs.
  /// Part of every cache key and of an experiment's identity.
  virtual Fingerprint inputs() const { return {}; }

  /// Whether keeping results is worth more than computing them again. Cheap closed forms say no.
  virtual bool expensive() const { return true; }

  /// Where parts of results (a layer's mapping) can be kept for later runs, under keys of the estimator's own. Called before
  /// estimate(), if at all. The default keeps nothing.
  virtual void use_store(std::shared_ptr<KeyValueStore> store);

  /// One Evaluation per design, in order, each with one finite value per metric or a reason. Thread-safe. A stop
  /// request ends long evaluations early; their results are then discarded.
  virtual std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token stop) const = 0;

  /// Whether it wants to be told the results of all trials.
  virtual bool learns() const { return false; }
  /// Learning estimators: every finished trial, in number order, with this estimator's own metrics. Not called while
  /// estimate() runs. The default ignores it.
  virtual void observe(const Design& design, const Evaluation& evaluation);
};

/// estimate() of an estimator that scores one design at a time: whatever `score` throws becomes a failed Evaluation.
std::vector<Evaluation> estimate_each(std::span<const Design> designs,
                                      const std::function<Evaluation(const Design&)>& score);

struct EstimatorPlugin {
  std::string name;      ///< as in YAML
  int version = 1;       ///< to be raised when results change: part of every cache key
  std::string summary;   ///< one sentence
  std::string source;    ///< where it was published
  std::vector<Option> options;
  /// \throws ConfigError if the options do not suit the space.
  std::function<std::unique_ptr<Estimator>(const Options&, const Environment&)> create;
};

/// Calls estimate() on one design and makes sure of its contract: any exception, a missing or superfluous value, a NaN
/// or an infinity becomes a failed Evaluation with a reason. Fills in duration_s.
Evaluation estimate_checked(const Estimator& estimator, const Design& design, std::stop_token stop = {});

/// All estimators that come with duet. (`trained` says so when it is created in a duet that was built without libtorch.)
void add_builtin_estimators(Catalog<EstimatorPlugin>& catalog);

}  // namespace duet
