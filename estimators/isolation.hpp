#pragma once
/// An estimator that owns worker processes, in which another estimator works: what crashes, hangs or takes all memory
/// there costs one design, not the search.
///
///   our process:     IsolatedEstimator(worker, task, limits)   →  as any estimator
///   worker process:  serve_isolated(create)                    →  create(task), then answers until we close

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "estimators/estimator.hpp"
#include "estimators/process.hpp"

namespace duet {

/// What a worker may take.
struct IsolationLimits {
  std::optional<double> time_s;        ///< for one answer
  std::optional<double> memory_bytes;  ///< for one worker, duet itself included
};

/// Answers with what the estimator in the worker answers, to the bit. Each call occupies one worker; there are as many
/// as there have been calls at a time. A worker that ends by itself, gives no answer in time or asks for more memory
/// than allowed is killed with all that it started, and its end is the reason of the design's failure. If it had
/// scored others before, one of those may have done the damage, and the design gets a second chance in a fresh
/// worker: results do not depend on who was scored where. (Not after a time-out: the second would take as long.)
///
/// A learning estimator is told in each worker, before its next answer, whatever that worker has not yet been told.
class IsolatedEstimator final : public Estimator {
 public:
  /// Starts a first worker to learn what the estimator is. `worker` has to call serve_isolated(), and gets `task` there.
  /// \throws ConfigError as `create` does in the worker, or if there is no worker, with the reason.
  IsolatedEstimator(Process worker, std::vector<std::string> task, IsolationLimits limits);
  ~IsolatedEstimator() override;

  std::span<const Metric> metrics() const override { return about_.metrics; }
  /// \throws std::runtime_error with the message of what was thrown in the worker, or how the worker ended.
  Fingerprint key(const Design& design) const override;
  Fingerprint inputs() const override { return about_.inputs; }
  bool expensive() const override { return about_.expensive; }
  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token stop) const override;
  bool learns() const override { return about_.learns; }
  void observe(const Design& design, const Evaluation& evaluation) override;

  /// How many worker processes have been started. Thread-safe.
  std::size_t started() const;

 private:
  /// What a worker says of its estimator.
  struct About {
    std::vector<Metric> metrics;
    Fingerprint inputs;
    bool expensive = true;
    bool learns = false;
  };
  class Worker;
  struct Answer;

  std::unique_ptr<Worker> start(std::stop_token stop) const;
  std::unique_ptr<Worker> start_another(std::stop_token stop) const;
  std::unique_ptr<Worker> take() const;
  void give_back(std::unique_ptr<Worker> worker) const;
  /// The answer to one request, from whatever workers it takes.
  Answer ask(char kind, const std::string& request, std::string_view doing, std::stop_token stop) const;
  Answer ask_worker(Worker& worker, char kind, const std::string& request, std::string_view doing,
                    std::stop_token stop) const;
  static About read_about(const std::string& description);

  Process process_;
  std::vector<std::string> task_;
  IsolationLimits limits_;
  About about_;
  std::string description_;                ///< what the first worker said of its estimator: others must say the same
  std::vector<std::string> observations_;  ///< of a learning estimator, in order

  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Worker>> idle_;  ///< guarded by mutex_
  mutable std::size_t started_ = 0;                    ///< guarded by mutex_
};

/// An estimator and the space that it refers to.
struct ServedEstimator {
  std::unique_ptr<const DesignSpace> space;
  std::unique_ptr<Estimator> estimator;
};

/// In a worker process: answers an IsolatedEstimator until it closes the connection. Standard output is thrown away,
/// and the end of standard error becomes part of the reason when the worker ends.
/// \throws ConfigError if this process was not started by an IsolatedEstimator
void serve_isolated(const std::function<ServedEstimator(std::span<const std::string> task)>& create);

}  // namespace duet
