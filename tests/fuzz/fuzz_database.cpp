#include <cmath>
#include <fstream>
#include <iterator>
#include <sqlite3.h>
#include <sstream>

#include "core/errors.hpp"
#include "experiments/export.hpp"
#include "experiments/store.hpp"
#include "tests/fuzz/targets.hpp"

namespace duet::fuzz {
namespace {

constexpr const char* file_name = "experiment.db";
constexpr const char* copy_name = "copy.db";

void remove_database() {
  std::error_code ignored;
  for (const char* name : {file_name, copy_name}) {
    for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
      std::filesystem::remove(scratch_folder() / (std::string(name) + suffix), ignored);
    }
  }
}

/// Parameters of every kind, one of them conditional, and metrics of both directions.
ExperimentRecord record(const std::string& name) {
  ExperimentRecord record;
  record.name = name;
  record.specification = "name: " + name;
  record.identity = "{}";
  record.seed = 0xfeedfacecafebeefULL;
  record.strategy = "random";
  record.code_version = "0";
  record.machine = "{}";
  record.created_at = "2026-01-31T12:00:00Z";
  Parameter kind;
  kind.path = "a.kind";
  kind.kind = Parameter::Kind::choice;
  kind.options = {"plain", "deep"};
  kind.maximum = 1;
  Parameter depth;
  depth.path = "a.depth";
  depth.kind = Parameter::Kind::integer;
  depth.minimum = 1;
  depth.maximum = 9;
  depth.parent = 0;
  depth.parent_low = depth.parent_high = 1;
  Parameter size;
  size.path = "b.size";
  size.kind = Parameter::Kind::ordinal;
  size.unit = "B";
  size.values = {1024, 2048, 4096};
  size.maximum = 2;
  Parameter rate;
  rate.path = "b.rate";
  rate.kind = Parameter::Kind::real;
  rate.minimum = 0.5;
  rate.maximum = 2;
  rate.logarithmic = true;
  record.parameters = {kind, depth, size, rate};
  record.metrics = {{{"latency_s", "s", Direction::minimize, Source::analytical, "Time."}, "toy", true, Direction::minimize},
                    {{"accuracy", "1", Direction::maximize, Source::trained, ""}, "toy", true, Direction::maximize}};
  record.constraints = {"latency_s <= 1"};
  return record;
}

TrialRecord trial(std::uint64_t number) {
  TrialRecord trial;
  trial.number = number;
  trial.candidate = Candidate(4);
  const bool deep = number % 2 == 0;
  trial.candidate.set(0, deep ? 1 : 0);
  if (deep) trial.candidate.set(1, static_cast<double>(number % 9 + 1));
  trial.candidate.set(2, static_cast<double>(number % 3));
  trial.candidate.set(3, 0.5 + static_cast<double>(number) / 100);
  trial.values = {0.01 * static_cast<double>(number), 1 / static_cast<double>(number)};
  trial.started_at = 1e9;
  trial.duration_s = 0.25;
  if (number == 3) trial.violation = 0.5;
  if (number == 4) {
    trial.status = Status::failed;
    trial.reason = "it failed";
    trial.values.clear();
  }
  if (number == 5) {
    trial.duplicate_of = 1;
    trial.parents = {1, 3};
    trial.values.clear();
  }
  return trial;
}

/// The bytes of a small database in which nothing is wrong.
const std::string& good_database() {
  static const std::string bytes = [] {
    remove_database();
    const std::filesystem::path path = scratch_folder() / file_name;
    {
      Store store(path, Store::Mode::write);
      for (const char* name : {"first", "second"}) {
        const std::int64_t id = store.create(record(name));
        store.note(id, "begun");
        for (std::uint64_t number = 1; number <= 6; ++number) store.append(id, trial(number));
        store.append_final(id, {1, 1, "test_accuracy", "1", 0.5, "{}", "2026-01-31T12:00:00Z"});
      }
      store.evaluations()->put({1, 2}, "duet1 0.5 0");
    }
    std::ifstream stream(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(stream), {});
  }();
  return bytes;
}

/// Keeps the SQL of the input within the file and the machine.
int allow(void*, int action, const char* first, const char*, const char*, const char*) {
  if (action == SQLITE_ATTACH || action == SQLITE_DETACH) return SQLITE_DENY;
  if (action == SQLITE_PRAGMA) {
    for (const char* harmless : {"writable_schema", "user_version", "application_id", "foreign_keys", "schema_version"}) {
      if (std::string_view(first) == harmless) return SQLITE_OK;
    }
    return SQLITE_DENY;
  }
  return SQLITE_OK;
}

void damage(const std::filesystem::path& path, const std::string& sql) {
  sqlite3* handle = nullptr;
  require(sqlite3_open(path.c_str(), &handle) == SQLITE_OK, "a good database opens");
  sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, 100'000);
  sqlite3_set_authorizer(handle, allow, nullptr);
  int steps = 0;
  sqlite3_progress_handler(handle, 1000, [](void* count) { return ++*static_cast<int*>(count) > 100 ? 1 : 0; }, &steps);
  // One by one, so that a mistake in one statement does not shield the file from the next.
  std::istringstream lines(sql);
  for (std::string line; std::getline(lines, line, ';');) sqlite3_exec(handle, line.c_str(), nullptr, nullptr, nullptr);
  sqlite3_close(handle);
}

template <class Function>
void attempt(const std::filesystem::path& path, const Function& function) {
  try {
    function();
  } catch (const StoreError& error) {
    require(std::string_view(error.what()).starts_with(path.string()), "errors name the file", error.what());
  }
}

void read(const Store& store) {
  const std::filesystem::path& path = store.path();
  for (const ExperimentRecord& experiment : store.experiments()) {
    std::size_t trials = 0;
    bool complete = false;
    attempt(path, [&] {
      for (const TrialRecord& one : store.trials(experiment, 0, 100)) {
        ++trials;
        require(one.candidate.size() == experiment.parameters.size(), "a candidate has all parameters");
        const bool ok = one.status == Status::ok && !one.duplicate_of;
        require(one.values.size() == (ok ? experiment.metrics.size() : 0), "a trial that is ok has all values");
        for (const double value : one.values) require(std::isfinite(value), "values are finite");
      }
      complete = trials < 100;
    });
    attempt(path, [&] { store.trial(experiment, 2); });
    attempt(path, [&] { require(store.count(experiment.id) >= trials || !complete, "trials are counted"); });
    attempt(path, [&] {
      std::vector<std::size_t> all;
      for (std::size_t i = 0; i < experiment.metrics.size(); ++i) all.push_back(i);
      store.for_each_score(experiment, all, [&](std::uint64_t, std::span<const double> values) {
        require(values.size() == all.size(), "a score has the metrics asked for");
      });
    });
    attempt(path, [&] { store.notes(experiment.id); });
    attempt(path, [&] { store.finals(experiment.id); });
    attempt(path, [&] { store.at(experiment.name); });
    attempt(path, [&] {
      export_csv(store, experiment, {});
      export_json(store, experiment, {.reproducible = true});
    });
  }
  attempt(path, [&] { store.at("frist"); });
  attempt(path, [&] { store.query("SELECT * FROM trials LIMIT 10"); });
  attempt(path, [&] { store.query("SELECT name, sql FROM sqlite_schema LIMIT 10"); });
}

void write(Store& store) {
  const std::filesystem::path& path = store.path();
  attempt(path, [&] { store.evaluations()->put({3, 4}, "value"); });
  std::vector<ExperimentRecord> experiments;
  attempt(path, [&] { experiments = store.experiments(); });
  for (const ExperimentRecord& experiment : experiments) {
    attempt(path, [&] { store.note(experiment.id, "resumed"); });
    attempt(path, [&] { store.append(experiment.id, trial(1'000'000)); });
    attempt(path, [&] { store.append_final(experiment.id, {1, 1, "test_accuracy", "1", 0.5, "{}", "now"}); });
  }
  attempt(path, [&] { store.append(store.create(record("third")), trial(1)); });
  if (!experiments.empty()) attempt(path, [&] { store.erase(experiments.front().id); });
}

}  // namespace

void fuzz_database(std::string_view input) {
  const std::string& good = good_database();
  remove_database();
  const bool is_file = input.starts_with("SQLite format 3");
  const std::filesystem::path path = scratch_file(file_name, is_file ? input : std::string_view(good));
  if (!is_file) damage(path, std::string(input));
  for (const Store::Mode mode : {Store::Mode::read, Store::Mode::write}) {
    attempt(path, [&] {
      Store store(path, mode);
      store.check();
      attempt(path, [&] { store.evaluations()->get({1, 2}); });
      mode == Store::Mode::read ? attempt(path, [&] { read(store); }) : write(store);
    });
  }
  // What `duet copy` and `duet doctor --repair` do.
  attempt(path, [&] {
    const std::filesystem::path copy = scratch_folder() / copy_name;
    Store(path, Store::Mode::read).copy_to(copy);
    attempt(copy, [&] {
      Store repaired(copy, Store::Mode::write);
      repaired.repair();
      attempt(copy, [&] { read(repaired); });
    });
  });
  remove_database();
}

}  // namespace duet::fuzz
