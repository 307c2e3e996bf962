#pragma once
/// The result database: one SQLite file with any number of experiments. docs/schema.md documents tables and
/// views.
///
/// One writer: Store holds an exclusive lock on the file for as long as it is open for writing, released by
/// the system when the process ends however it ends. Readers are never blocked (WAL). A trial is durable once
/// append() returns: it survives SIGKILL; a power cut may lose the last commits but never corrupts
/// (synchronous=NORMAL).
///
/// Every message of a StoreError begins with the path of the file.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/candidate.hpp"
#include "core/evaluation.hpp"
#include "core/key_value_store.hpp"
#include "core/space.hpp"

namespace duet {

/// A metric as an experiment uses it.
struct StoredMetric {
  Metric metric;
  std::string estimator;                      ///< the name of the one that reports it
  bool objective = false;                     ///< one of the objectives, in the order of the list
  Direction direction = Direction::minimize;  ///< the experiment's, which may differ from metric.direction
};

/// Everything that is known about an experiment before its first trial.
struct ExperimentRecord {
  std::int64_t id = 0;        ///< given by the store
  std::string name;           ///< unique in the file; also the name of its view
  std::string specification;  ///< the YAML text, as written
  std::string identity;       ///< canonical form of all that determines the rows; must match to resume
  std::uint64_t seed = 0;
  std::string strategy;
  Fingerprint space_fingerprint;
  std::vector<Parameter> parameters;     ///< in the order of the space
  std::vector<StoredMetric> metrics;     ///< objectives keep their order
  std::vector<std::string> constraints;  ///< on metrics, as text
  std::string code_version;
  std::string machine;     ///< JSON: CPU, flags, libraries, compiler: what the bits depend on
  std::string created_at;  ///< ISO 8601, UTC
};

/// One row.
struct TrialRecord {
  std::uint64_t number = 0;  ///< from 1
  Candidate candidate;
  Status status = Status::ok;
  std::string reason;
  std::vector<double> values;  ///< one per metric of the experiment; empty unless an ok original
  double violation = 0;        ///< of the constraints on metrics, ≥ 0
  std::optional<std::uint64_t> duplicate_of;
  std::vector<std::uint64_t> parents;
  bool cached = false;    ///< every expensive estimator answered from its cache
  double started_at = 0;  ///< Unix time, s (measured)
  double duration_s = 0;  ///< (measured)
};

/// A number that `finalize` measured.
struct FinalRecord {
  std::uint64_t trial = 0;
  std::uint64_t replicate = 0;  ///< which of the n seeds, from 1
  std::string metric;           ///< "test_accuracy"
  std::string unit;
  double value = 0;
  std::string recipe;  ///< what was done, as text
  std::string created_at;
};

/// The answer to a query. Cells are text: reals in shortest round-trip form, blobs in hexadecimal, null
/// empty.
struct Table {
  struct Cell {
    enum class Kind { null, integer, real, text } kind = Kind::null;
    std::string text;
  };
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows;
};

/// Thread-safe: writing and reading use two connections, so a long query does not hold up append(). Must not
/// be used across fork().
class Store {
 public:
  enum class Mode {
    write,  ///< create the file if need be (not its folder), migrate it to the present schema, lock it
    read,   ///< must exist, and may have any schema up to the present one; nothing is changed
  };

  /// \throws StoreError if it cannot be opened, is not a duet database, is damaged, was written by a newer
  /// duet, or (write) another process is writing to it; the sentence says which and what to do.
  Store(const std::filesystem::path& path, Mode mode);
  ~Store();
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;

  const std::filesystem::path& path() const;

  // --- Experiments
  std::vector<ExperimentRecord> experiments() const;
  /// \returns nothing if there is none of that name.
  std::optional<ExperimentRecord> find(std::string_view name) const;
  /// The named one, or the only one, or the one begun last if `name` is empty. \throws StoreError with the
  /// nearest match.
  ExperimentRecord at(std::string_view name) const;
  /// Inserts it (`id` is ignored), creates its trial table and its view. \returns its id, which is never used
  /// again. \throws StoreError if the name is taken or is one that the database itself uses.
  std::int64_t create(const ExperimentRecord& experiment);
  /// Removes an experiment with its trials. The file keeps its size; the space is used again.
  void erase(std::int64_t experiment);
  /// Gives space that is not used back to the file system, by writing the file anew: needs as much again meanwhile.
  void compact();
  /// A line of history: "begun", "resumed", "ended: stopped on request", with time.
  void note(std::int64_t experiment, std::string_view event);
  /// In order, each with its time: "2026-01-31T12:00:00Z begun".
  std::vector<std::string> notes(std::int64_t experiment) const;

  // --- Trials
  /// Writes one trial in one transaction. Trials may come in any order. \throws StoreError if its number is
  /// stored already, if it does not fit the experiment (numbers of parameters and values, values not finite),
  /// or if it cannot be written (disk full): then nothing of it is stored, and append() may be called again; if the file has
  /// been removed or replaced (looked at from time to time).
  void append(std::int64_t experiment, const TrialRecord& trial);
  /// The trials with numbers above `after` in number order, at most `limit`: by default all, which for a large
  /// experiment is much memory. \throws StoreError if a row is damaged.
  std::vector<TrialRecord> trials(const ExperimentRecord& experiment, std::uint64_t after = 0,
                                  std::uint64_t limit = std::numeric_limits<std::uint64_t>::max()) const;
  /// Those of these numbers that are stored, in the order given.
  std::vector<TrialRecord> trials(const ExperimentRecord& experiment,
                                  std::span<const std::uint64_t> numbers) const;
  std::optional<TrialRecord> trial(const ExperimentRecord& experiment, std::uint64_t number) const;
  /// All trials in number order, in little memory. What is stored meanwhile may be among them or not, up to the last
  /// number of the beginning. `visit` may call the store.
  void for_each(const ExperimentRecord& experiment,
                const std::function<void(const TrialRecord&)>& visit) const;

  /// How a trial ended, as people see it: a duplicate is one however its original ended.
  enum class Outcome { ok, failed, timed_out, invalid, duplicate };
  /// Number of trials stored, of those that ended so if asked. Reads through the table: about 0.1 s for a million.
  std::uint64_t count(std::int64_t experiment, std::optional<Outcome> outcome = std::nullopt) const;
  /// Ascending numbers of the last `limit` trials, of those that ended so if asked.
  std::vector<std::uint64_t> last(std::int64_t experiment, std::uint64_t limit,
                                  std::optional<Outcome> outcome = std::nullopt) const;
  /// Feasible and successful original trials only (no duplicates): number and the values of the metrics asked
  /// for (positions in experiment.metrics), in number order. Fast: no candidates are built; a third of a second for
  /// a million. `visit` must not call the store.
  void for_each_score(const ExperimentRecord& experiment, const std::vector<std::size_t>& metrics,
                      const std::function<void(std::uint64_t, std::span<const double>)>& visit) const;

  void append_final(std::int64_t experiment, const FinalRecord& record);
  std::vector<FinalRecord> finals(std::int64_t experiment) const;

  // --- Anything else
  /// Results of expensive estimators by key; shared by all experiments of the file. Keeps the file open, and
  /// locked, for as long as it lives. put() throws StoreError in a Store for reading.
  std::shared_ptr<KeyValueStore> evaluations();
  /// Runs one read-only statement. \throws StoreError with SQLite's message, or one of our own for anything
  /// that could change the file or the connection.
  Table query(std::string_view sql) const;
  /// Sentences about what is wrong with the file; empty: all is well. (SQLite's integrity check, checksums and our
  /// invariants.) Where pages cannot be read, it says which trials can.
  std::vector<std::string> check() const;
  /// Mends what can be mended without inventing anything, in one transaction: builds indexes and views anew, removes
  /// what belongs to no experiment, and removes trials whose rows are damaged, which a resumed run evaluates again.
  /// \returns what it has done. Pages that are damaged stay so. \throws StoreError where these are in the way.
  std::vector<std::string> repair();
  /// Writes a copy of the whole file as it is at this moment, while anybody may be writing to it. The target must
  /// not exist; it appears when it is whole. \throws StoreError
  void copy_to(const std::filesystem::path& target) const;

  /// 2: checksums of trials; 3: of everything else. tests/data has a database of every schema.
  static constexpr int schema_version = 3;

 private:
  struct Implementation;
  std::shared_ptr<Implementation> implementation_;  ///< shared with evaluations()
};

}  // namespace duet
