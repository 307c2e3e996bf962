#include "experiments/store.hpp"

#include <sqlite3.h>
#include <atomic>
#include <bit>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "core/errors.hpp"
#include "core/random.hpp"
#include "experiments/sqlite.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Path = std::filesystem::path;

// --- What is stored

Parameter choice_parameter(std::string path, std::vector<std::string> options) {
  Parameter p;
  p.path = std::move(path);
  p.kind = Parameter::Kind::choice;
  p.description = "which operator";
  p.maximum = static_cast<double>(options.size() - 1);
  p.options = std::move(options);
  return p;
}

Parameter ordinal_parameter(std::string path, std::vector<double> values, std::string unit = "1") {
  Parameter p;
  p.path = std::move(path);
  p.kind = Parameter::Kind::ordinal;
  p.unit = std::move(unit);
  p.maximum = static_cast<double>(values.size() - 1);
  p.values = std::move(values);
  return p;
}

Parameter range_parameter(std::string path, Parameter::Kind kind, double minimum, double maximum) {
  Parameter p;
  p.path = std::move(path);
  p.kind = kind;
  p.minimum = minimum;
  p.maximum = maximum;
  return p;
}

StoredMetric metric(std::string name, std::string unit, Direction direction, Source source) {
  return {
      {std::move(name), std::move(unit), direction, source, "it's measured"}, "analytical", true, direction};
}

/// Every kind of parameter; `network.kernel` is active for the first two operators only.
ExperimentRecord sample_experiment(std::string name = "sample") {
  ExperimentRecord e;
  e.name = std::move(name);
  e.specification = "space: sample\n# 'quoted' \"text\"\n";
  e.identity = "identity";
  e.seed = 0xfedcba9876543210ULL;
  e.strategy = "nsga2";
  e.space_fingerprint = {0x0123456789abcdefULL, 0xfedcba9876543210ULL};
  e.parameters = {choice_parameter("network.operator", {"conv", "depthwise", "it's\"odd"}),
                  ordinal_parameter("network.kernel", {3, 5, 7}),
                  range_parameter("network.depth", Parameter::Kind::integer, 1, 9),
                  range_parameter("accelerator.ratio", Parameter::Kind::real, 0, 1),
                  ordinal_parameter("accelerator.voltage", {0.1, 0.55, 3}, "1")};
  e.parameters[1].parent = 0;
  e.parameters[1].parent_high = 1;
  e.parameters[3].logarithmic = true;
  e.metrics = {metric("accuracy", "1", Direction::maximize, Source::trained),
               metric("latency_s", "s", Direction::minimize, Source::analytical)};
  e.metrics[1].direction = Direction::maximize;
  e.metrics[1].objective = false;
  e.constraints = {"latency_s <= 5 ms", "accuracy >= 0.9"};
  e.code_version = "0.1.0";
  e.machine = R"({"cpu": "any"})";
  e.created_at = "2026-01-31T12:00:00Z";
  return e;
}

TrialRecord sample_trial(std::uint64_t number) {
  Random random(1, "store test", number);
  TrialRecord t;
  t.number = number;
  t.candidate = Candidate(5);
  const double op = static_cast<double>(random.below(3));
  t.candidate.set(0, op);
  if (op < 2) t.candidate.set(1, static_cast<double>(random.below(3)));
  t.candidate.set(2, static_cast<double>(random.between(1, 9)));
  t.candidate.set(3, random.uniform());
  t.candidate.set(4, static_cast<double>(random.below(3)));
  t.values = {random.uniform(), random.uniform()};
  t.started_at = 1.7e9 + random.uniform();
  t.duration_s = random.uniform();
  return t;
}

/// Trials of every sort: 1 and 2 ok (2 with awkward doubles), 3 failed, 4 timed out, 5 invalid, 6 duplicates
/// 1, 7 violates a constraint, 8 has parents and came from the cache.
std::vector<TrialRecord> sample_trials() {
  std::vector<TrialRecord> trials;
  for (std::uint64_t number = 1; number <= 8; ++number) trials.push_back(sample_trial(number));
  trials[1].values = {1.0 / 3, std::numeric_limits<double>::denorm_min()};
  trials[1].candidate.set(3, 0.1 + 0.2);
  for (const auto& [index, status] :
       {std::pair{2U, Status::failed}, std::pair{3U, Status::timed_out}, std::pair{4U, Status::invalid}}) {
    trials[index].status = status;
    trials[index].reason = "it's the \"reason\"";
    trials[index].values.clear();
  }
  trials[4].candidate = Candidate(5);
  trials[4].candidate.set(0, 17);  // what the space rules out may be malformed
  trials[5].candidate = trials[0].candidate;
  trials[5].values.clear();
  trials[5].duplicate_of = 1;
  trials[6].violation = 0.25;
  trials[7].parents = {3, 7};
  trials[7].cached = true;
  return trials;
}

bool same_bits(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

void expect_equal(const TrialRecord& a, const TrialRecord& b) {
  SCOPED_TRACE(b.number);
  EXPECT_EQ(a.number, b.number);
  EXPECT_EQ(a.candidate, b.candidate);
  EXPECT_EQ(a.status, b.status);
  EXPECT_EQ(a.reason, b.reason);
  ASSERT_EQ(a.values.size(), b.values.size());
  for (std::size_t i = 0; i < a.values.size(); ++i)
    EXPECT_TRUE(same_bits(a.values[i], b.values[i])) << a.values[i];
  EXPECT_EQ(a.violation, b.violation);
  EXPECT_EQ(a.duplicate_of, b.duplicate_of);
  EXPECT_EQ(a.parents, b.parents);
  EXPECT_EQ(a.cached, b.cached);
  EXPECT_EQ(a.started_at, b.started_at);
  EXPECT_EQ(a.duration_s, b.duration_s);
}

void expect_equal(const std::vector<TrialRecord>& a, const std::vector<TrialRecord>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) expect_equal(a[i], b[i]);
}

void expect_equal(const ExperimentRecord& a, const ExperimentRecord& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.specification, b.specification);
  EXPECT_EQ(a.identity, b.identity);
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.strategy, b.strategy);
  EXPECT_EQ(a.space_fingerprint, b.space_fingerprint);
  EXPECT_EQ(a.constraints, b.constraints);
  EXPECT_EQ(a.code_version, b.code_version);
  EXPECT_EQ(a.machine, b.machine);
  EXPECT_EQ(a.created_at, b.created_at);
  ASSERT_EQ(a.parameters.size(), b.parameters.size());
  for (std::size_t i = 0; i < a.parameters.size(); ++i) {
    const Parameter &p = a.parameters[i], &q = b.parameters[i];
    SCOPED_TRACE(q.path);
    EXPECT_EQ(p.path, q.path);
    EXPECT_EQ(p.kind, q.kind);
    EXPECT_EQ(p.unit, q.unit);
    EXPECT_EQ(p.description, q.description);
    EXPECT_EQ(p.options, q.options);
    EXPECT_EQ(p.values, q.values);
    EXPECT_EQ(p.minimum, q.minimum);
    EXPECT_EQ(p.maximum, q.maximum);
    EXPECT_EQ(p.logarithmic, q.logarithmic);
    EXPECT_EQ(p.parent, q.parent);
    EXPECT_EQ(p.parent_low, q.parent_low);
    EXPECT_EQ(p.parent_high, q.parent_high);
  }
  ASSERT_EQ(a.metrics.size(), b.metrics.size());
  for (std::size_t i = 0; i < a.metrics.size(); ++i) {
    const StoredMetric &m = a.metrics[i], &n = b.metrics[i];
    EXPECT_EQ(m.metric.name, n.metric.name);
    EXPECT_EQ(m.metric.unit, n.metric.unit);
    EXPECT_EQ(m.metric.direction, n.metric.direction);
    EXPECT_EQ(m.metric.source, n.metric.source);
    EXPECT_EQ(m.metric.description, n.metric.description);
    EXPECT_EQ(m.estimator, n.estimator);
    EXPECT_EQ(m.objective, n.objective);
    EXPECT_EQ(m.direction, n.direction);
  }
}

const FinalRecord sample_final{
    1, 2, "test_accuracy", "1", 0.912345678901234, "epochs 20", "2026-01-31T13:00:00Z"};

/// The database that tests/data/schema_N.sql holds in the form of each schema N.
void write_sample(const Path& path) {
  Store store(path, Store::Mode::write);
  const std::int64_t id = store.create(sample_experiment());
  for (const TrialRecord& trial : sample_trials()) store.append(id, trial);
  store.append_final(id, sample_final);
  store.evaluations()->put({1, 2}, std::string("\0value", 6));
}

void expect_sample(const Store& store) {
  const ExperimentRecord experiment = store.at("sample");
  expect_equal(experiment, sample_experiment());
  expect_equal(store.trials(experiment), sample_trials());
  const auto finals = store.finals(experiment.id);
  ASSERT_EQ(finals.size(), 1U);
  EXPECT_EQ(finals[0].trial, sample_final.trial);
  EXPECT_EQ(finals[0].replicate, sample_final.replicate);
  EXPECT_EQ(finals[0].metric, sample_final.metric);
  EXPECT_EQ(finals[0].unit, sample_final.unit);
  EXPECT_EQ(finals[0].value, sample_final.value);
  EXPECT_EQ(finals[0].recipe, sample_final.recipe);
  EXPECT_EQ(finals[0].created_at, sample_final.created_at);
  EXPECT_THAT(store.check(), IsEmpty());
}

template <class Function>
std::string store_error(Function&& function) {
  try {
    function();
  } catch (const StoreError& error) {
    return error.what();
  }
  return "no error";
}

std::string open_error(const Path& path, Store::Mode mode) {
  return store_error([&] { Store(path, mode); });
}

/// Runs SQL as a stranger would.
void tamper(const Path& path, const std::string& sql) {
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &handle), SQLITE_OK);
  char* message = nullptr;
  sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, &message);
  EXPECT_EQ(message, nullptr) << message << " in " << sql;
  sqlite3_free(message);
  sqlite3_close(handle);
}

std::vector<std::uint64_t> numbers(const std::vector<TrialRecord>& trials) {
  std::vector<std::uint64_t> result;
  for (const TrialRecord& trial : trials) result.push_back(trial.number);
  return result;
}

std::vector<std::string> first_column(const Table& table) {
  std::vector<std::string> cells;
  for (const auto& row : table.rows) cells.push_back(row[0].text);
  return cells;
}

// --- Experiments and trials

TEST(Store, ReturnsWhatWasStored) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  write_sample(path);
  for (const auto mode : {Store::Mode::read, Store::Mode::write}) {
    Store store(path, mode);
    expect_sample(store);
    EXPECT_EQ(store.evaluations()->get({1, 2}), std::string("\0value", 6));
    EXPECT_EQ(store.evaluations()->get({2, 1}), std::nullopt);
    EXPECT_EQ(store.count(1), 8U);
    expect_equal(*store.trial(store.at(""), 7), sample_trials()[6]);
    EXPECT_FALSE(store.trial(store.at(""), 9));
    EXPECT_FALSE(store.trial(store.at(""), 0));
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "results.db-wal"));  // and readers leave nothing behind
}

TEST(Store, DoublesAreStoredToTheBit) {
  const testing::TemporaryDirectory folder;
  Store store(folder / "results.db", Store::Mode::write);
  ExperimentRecord e = sample_experiment();
  e.id = store.create(e);
  using Limits = std::numeric_limits<double>;
  TrialRecord trial = sample_trial(1);
  for (const double value : {-0.0, 0.0, 3.0, -1e22, 9007199254740994.0, 0.1 + 0.2, Limits::max(),
                             Limits::denorm_min(), -Limits::min(), 1 + Limits::epsilon()}) {
    trial.values = {value, -value};
    trial.violation = std::abs(value);
    trial.started_at = value;
    store.append(e.id, trial);
    expect_equal(*store.trial(e, trial.number), trial);
    ++trial.number;
  }
}

TEST(Store, TrialsCanBePagedThrough) {
  const testing::TemporaryDirectory folder;
  Store store(folder / "results.db", Store::Mode::write);
  ExperimentRecord e = sample_experiment();
  e.id = store.create(e);
  // In the order in which workers finish, with one still running.
  for (const std::uint64_t number : {3U, 1U, 2U, 6U, 4U}) store.append(e.id, sample_trial(number));
  EXPECT_THAT(numbers(store.trials(e)), ElementsAre(1, 2, 3, 4, 6));
  EXPECT_THAT(numbers(store.trials(e, 2, 2)), ElementsAre(3, 4));
  EXPECT_THAT(numbers(store.trials(e, 4)), ElementsAre(6));
  EXPECT_THAT(numbers(store.trials(e, 6)), IsEmpty());
}

TEST(Store, ScoresAreOfFeasibleSuccessfulOriginals) {
  const testing::TemporaryDirectory folder;
  write_sample(folder / "results.db");
  const Store store(folder / "results.db", Store::Mode::read);
  const auto trials = sample_trials();
  std::vector<std::uint64_t> seen;
  store.for_each_score(store.at(""), {1, 0}, [&](std::uint64_t number, std::span<const double> values) {
    seen.push_back(number);
    const auto& expected = trials.at(number - 1).values;
    EXPECT_THAT(values, ElementsAre(expected[1], expected[0]));
  });
  EXPECT_THAT(seen, ElementsAre(1, 2, 8));
}

TEST(Store, TrialsCanBeChosenByNumberAndOutcome) {
  const testing::TemporaryDirectory folder;
  write_sample(folder / "results.db");
  const Store store(folder / "results.db", Store::Mode::read);
  const ExperimentRecord e = store.at("");
  const std::vector<std::uint64_t> wanted{7, 0, 99, 2};
  EXPECT_THAT(numbers(store.trials(e, wanted)), ElementsAre(7, 2));
  using Outcome = Store::Outcome;
  EXPECT_THAT(store.last(e.id, 3), ElementsAre(6, 7, 8));
  EXPECT_THAT(store.last(e.id, 100, Outcome::ok), ElementsAre(1, 2, 7, 8));
  EXPECT_THAT(store.last(e.id, 1, Outcome::ok), ElementsAre(8));
  EXPECT_THAT(store.last(e.id, 9, Outcome::failed), ElementsAre(3));
  EXPECT_THAT(store.last(e.id, 9, Outcome::timed_out), ElementsAre(4));
  EXPECT_THAT(store.last(e.id, 9, Outcome::invalid), ElementsAre(5));
  EXPECT_THAT(store.last(e.id, 9, Outcome::duplicate), ElementsAre(6));
  EXPECT_EQ(store.count(e.id), 8U);
  EXPECT_EQ(store.count(e.id, Outcome::ok), 4U);
  EXPECT_EQ(store.count(e.id, Outcome::duplicate), 1U);
}

TEST(Store, VisitsEveryTrialOnce) {
  const testing::TemporaryDirectory folder;
  Store store(folder / "results.db", Store::Mode::write);
  const std::int64_t id = store.create(sample_experiment());
  const ExperimentRecord e = store.at("");
  store.for_each(e, [](const TrialRecord&) { FAIL(); });
  // More than a page, with gaps.
  std::vector<std::uint64_t> expected;
  for (std::uint64_t number = 1; number <= 9500; number += number % 3 == 0 ? 2 : 1) {
    expected.push_back(number);
    store.append(id, sample_trial(number));
  }
  std::vector<std::uint64_t> seen;
  store.for_each(e, [&](const TrialRecord& trial) {
    seen.push_back(trial.number);
    if (trial.number == 1) store.append(id, sample_trial(20'000));  // later than the beginning
  });
  EXPECT_EQ(seen, expected);
}

TEST(Store, RefusesTrialsThatCannotBe) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  Store store(path, Store::Mode::write);
  const std::int64_t id = store.create(sample_experiment());
  const auto error = [&](auto&& change) {
    TrialRecord trial = sample_trial(2);
    change(trial);
    return store_error([&] { store.append(id, trial); });
  };
  const std::string prefix = path.string() + ": trial ";
  EXPECT_EQ(error([](TrialRecord& t) { t.number = 0; }),
            prefix + "0 cannot be stored: trials are numbered from 1");
  EXPECT_EQ(error([](TrialRecord& t) { t.values.pop_back(); }),
            prefix + "2 cannot be stored: it has 1 values of metrics instead of 2");
  EXPECT_EQ(error([](TrialRecord& t) { t.values[1] = std::nan(""); }),
            prefix + "2 cannot be stored: 'latency_s' is not finite");
  EXPECT_EQ(error([](TrialRecord& t) { t.candidate = Candidate(4); }),
            prefix + "2 cannot be stored: it has 4 parameters, the experiment 5");
  EXPECT_EQ(error([](TrialRecord& t) { t.duplicate_of = 2; }),
            prefix + "2 cannot be stored: the original of a duplicate must be earlier");
  EXPECT_EQ(store.count(id), 0U);
  store.append(id, sample_trial(2));
  EXPECT_EQ(error([](TrialRecord&) {}), prefix + "2 is stored already");
  EXPECT_EQ(store_error([&] { store.append(99, sample_trial(1)); }), path.string() + " has no experiment 99");
  EXPECT_EQ(store.count(id), 1U);
}

TEST(Store, KeepsSeveralExperiments) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  Store store(path, Store::Mode::write);
  EXPECT_EQ(store_error([&] { store.at(""); }), path.string() + " holds no experiments");
  const auto first = store.create(sample_experiment("first"));
  const auto second = store.create(sample_experiment("se'c\"ond"));
  store.append(first, sample_trial(1));
  store.append(second, sample_trial(1));
  store.append(second, sample_trial(2));
  EXPECT_EQ(store.at("").name, "se'c\"ond");
  EXPECT_EQ(store.at("first").id, first);
  EXPECT_EQ(store.find("third"), std::nullopt);
  EXPECT_EQ(store_error([&] { store.at("frist"); }),
            path.string() + " has no experiment 'frist'; did you mean 'first'?");
  EXPECT_THAT(first_column(store.query("SELECT count(*) FROM trials")), ElementsAre("2"));

  store.append_final(second, sample_final);
  store.erase(second);
  EXPECT_THAT(first_column(store.query("SELECT count(*) FROM trials")), ElementsAre("1"));
  EXPECT_TRUE(store.finals(second).empty());
  EXPECT_EQ(store.at("").name, "first");
  EXPECT_THAT(store.check(), IsEmpty());
  const auto third = store.create(sample_experiment("se'c\"ond"));
  EXPECT_GT(third, second);  // ids are never used again
  EXPECT_EQ(store.count(third), 0U);
  store.erase(third);
  store.erase(first);
  EXPECT_TRUE(store.experiments().empty());
  EXPECT_THAT(store_error([&] { store.query("SELECT * FROM trials"); }), HasSubstr("no such table: trials"));
}

TEST(Store, NotesHaveATime) {
  const testing::TemporaryDirectory folder;
  Store store(folder / "results.db", Store::Mode::write);
  const auto id = store.create(sample_experiment());
  store.note(id, "begun");
  store.note(id, "finished: budget spent");
  const auto notes = store.notes(id);
  ASSERT_EQ(notes.size(), 2U);
  EXPECT_THAT(notes[0], ::testing::MatchesRegex("20..-..-..T..:..:..Z begun"));
  EXPECT_THAT(notes[1], HasSubstr(" finished: budget spent"));
}

TEST(Store, ExperimentNamesThatClashAreRefused) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  Store store(path, Store::Mode::write);
  store.create(sample_experiment("mine"));
  const auto error = [&](const std::string& name) {
    return store_error([&] { store.create(sample_experiment(name)); });
  };
  for (const char* name : {"trials", "Trial_1", "sqlite_x", "TRIALS_2"}) {
    EXPECT_EQ(error(name),
              fmt::format("{}: no experiment can be named '{}', which the database itself uses; choose "
                          "another name",
                          path.string(), name));
  }
  EXPECT_THAT(error("Metrics"),
              HasSubstr("'Metrics' is a table or view of the database; choose another name"));
  EXPECT_THAT(error("MINE"), HasSubstr("has an experiment 'mine' already"));
  EXPECT_EQ(error("mine"), path.string() + " has an experiment 'mine' already");
  EXPECT_THAT(error(""), HasSubstr("an experiment needs a name"));
  EXPECT_EQ(store.experiments().size(), 1U);
}

TEST(Store, KeepsWideExperimentsInSeveralTables) {
  const testing::TemporaryDirectory folder;
  Store store(folder / "results.db", Store::Mode::write);
  ExperimentRecord e = sample_experiment("wide");
  constexpr std::size_t count = 4000;
  e.parameters.clear();
  for (std::size_t i = 0; i < count; ++i) {
    e.parameters.push_back(range_parameter(fmt::format("x{}", i), Parameter::Kind::integer, 0, 1e6));
  }
  e.id = store.create(e);
  for (std::uint64_t number = 1; number <= 3; ++number) {
    TrialRecord t;
    t.number = number;
    t.values = {0.5, static_cast<double>(number)};
    t.candidate = Candidate(count);
    for (std::size_t i = 0; i < count; ++i) t.candidate.set(i, static_cast<double>(i * number));
    store.append(e.id, t);
    expect_equal(*store.trial(e, number), t);
  }
  EXPECT_EQ(store.trials(e).size(), 3U);
  double last_value = 0;
  store.for_each_score(e, {1}, [&](std::uint64_t, std::span<const double> values) { last_value = values[0]; });
  EXPECT_EQ(last_value, 3.0);
  EXPECT_THAT(
      first_column(store.query("SELECT x3999 FROM trials JOIN trials_3 USING (number) WHERE status = 'ok'")),
      ElementsAre("3999", "7998", "11997"));
  EXPECT_THAT(first_column(store.query("SELECT x3000 FROM wide_2 WHERE number = 2")), ElementsAre("6000"));
  EXPECT_THAT(store.check(), IsEmpty());
  store.erase(e.id);
  EXPECT_THAT(first_column(store.query("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%trial%'")),
              ElementsAre("0"));
}

// --- Views and queries

TEST(StoreViews, ShowReadableColumns) {
  const testing::TemporaryDirectory folder;
  write_sample(folder / "results.db");
  const Store store(folder / "results.db", Store::Mode::read);
  for (const char* view : {"trials", "sample"}) {
    const Table table = store.query(fmt::format("SELECT * FROM {} ORDER BY number", view));
    EXPECT_THAT(table.columns, ElementsAre("number", "status", "reason", "network.operator", "network.kernel",
                                           "network.depth", "accelerator.ratio", "accelerator.voltage",
                                           "accuracy", "latency_s", "violation", "duplicate_of", "parents",
                                           "cached", "started_at", "duration_s"));
    const ExperimentRecord e = sample_experiment();
    const auto trials = sample_trials();
    ASSERT_EQ(table.rows.size(), trials.size());
    for (std::size_t i = 0; i < trials.size(); ++i) {
      if (trials[i].status == Status::invalid) continue;
      const auto& row = table.rows[i];
      const Candidate& c = trials[i].candidate;
      EXPECT_EQ(row[1].text, trials[i].duplicate_of ? "duplicate" : to_string(trials[i].status));
      EXPECT_EQ(row[3].text, e.parameters[0].options[static_cast<std::size_t>(c[0])]);
      EXPECT_EQ(row[4].text,
                c.has(1) ? fmt::format("{}", e.parameters[1].values[static_cast<std::size_t>(c[1])]) : "");
      EXPECT_EQ(row[4].kind, c.has(1) ? Table::Cell::Kind::integer : Table::Cell::Kind::null);
      EXPECT_EQ(row[5].text, fmt::format("{}", c[2]));
      EXPECT_EQ(std::stod(row[6].text), c[3]);
      EXPECT_EQ(std::stod(row[7].text), e.parameters[4].values[static_cast<std::size_t>(c[4])]);
      EXPECT_EQ(row[7].kind, Table::Cell::Kind::real);
      if (trials[i].status == Status::ok && !trials[i].duplicate_of) {
        EXPECT_EQ(std::strtod(row[9].text.c_str(), nullptr), trials[i].values[1]);
      }
    }
    EXPECT_EQ(table.rows[7][12].text, "[3,7]");
    EXPECT_EQ(table.rows[5][11].text, "1");
  }
  EXPECT_THAT(first_column(store.query("SELECT value FROM trials, json_each(parents) WHERE number = 8")),
              ElementsAre("3", "7"));
}

TEST(StoreViews, LongListsOfOptionsAreLookedUp) {
  const testing::TemporaryDirectory folder;
  Store store(folder / "results.db", Store::Mode::write);
  ExperimentRecord e = sample_experiment();
  std::vector<std::string> names;
  std::vector<double> values;
  for (int i = 0; i < 100; ++i) {
    names.push_back(fmt::format("option{}", i));
    values.push_back(i * 0.1);
  }
  e.parameters[0] = choice_parameter("network.operator", names);
  e.parameters[4] = ordinal_parameter("accelerator.voltage", values);
  e.id = store.create(e);
  TrialRecord t = sample_trial(1);
  t.candidate.clear(1);
  t.candidate.set(0, 77);
  t.candidate.set(4, 3);
  store.append(e.id, t);
  const Table table = store.query(R"(SELECT "network.operator", "accelerator.voltage" FROM trials)");
  EXPECT_EQ(table.rows.at(0).at(0).text, "option77");
  EXPECT_EQ(std::stod(table.rows[0][1].text), values[3]);
}

TEST(StoreViews, ResolveClashesOfNames) {
  const testing::TemporaryDirectory folder;
  Store store(folder / "results.db", Store::Mode::write);
  ExperimentRecord e = sample_experiment();
  e.parameters[2].path = "status";
  e.parameters[3].path = "Accuracy";
  e.parameters[4].path = "ACCURACY";
  e.metrics[1].metric.name = "number";
  e.id = store.create(e);
  store.append(e.id, sample_trial(1));
  const Table table = store.query("SELECT * FROM trials");
  for (const char* name :
       {"parameter.status", "parameter.Accuracy", "parameter.ACCURACY_2", "metric.number", "accuracy"}) {
    EXPECT_THAT(table.columns, ::testing::Contains(name));
  }
  EXPECT_THAT(first_column(store.query("SELECT view_column FROM metrics ORDER BY position")),
              ElementsAre("accuracy", "metric.number"));
  expect_equal(*store.trial(e, 1), sample_trial(1));
}

TEST(StoreViews, WorkInTheStockShell) {
  if (std::system("sqlite3 --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "sqlite3 is not installed";
  const testing::TemporaryDirectory folder;
  write_sample(folder / "results.db");
  const Path out = folder / "out";
  const std::string command = fmt::format(
      "sqlite3 {} \"SELECT number, \\\"network.depth\\\", accuracy FROM trials WHERE status='ok' "
      "ORDER BY accuracy DESC LIMIT 1\" > {}",
      (folder / "results.db").string(), out.string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_THAT(testing::read_file(out), ::testing::MatchesRegex("[0-9]+\\|[1-9]\\|0\\.[0-9]+\n"));
}

TEST(StoreQuery, IsReadOnly) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  write_sample(path);
  const std::string refusal = path.string() + ": a query is one SELECT statement; it cannot change anything";
  for (const auto mode : {Store::Mode::read, Store::Mode::write}) {
    const Store store(path, mode);
    const auto error = [&](const std::string& sql) { return store_error([&] { store.query(sql); }); };
    for (const char* sql :
         {"DELETE FROM trial_1", "DROP VIEW trials", "CREATE TABLE x (y)", "BEGIN", "COMMIT", "SAVEPOINT s",
          "VACUUM", "INSERT INTO notes VALUES (1, 1, 'x', 'y', 0) RETURNING id", "PRAGMA user_version = 9",
          "PRAGMA query_only = 0", "PRAGMA journal_mode = DELETE", "PRAGMA writable_schema(1)",
          "ATTACH ':memory:' AS x", "DETACH main", "CREATE TEMP TABLE x (y)",
          "WITH x AS (SELECT 1) DELETE FROM notes", "ANALYZE"}) {
      EXPECT_EQ(error(sql), refusal) << sql;
    }
    EXPECT_EQ(error("SELECT load_extension('x')"), path.string() + ": not authorized");
    EXPECT_EQ(error("SELECT 1; SELECT 2"), path.string() + ": only one statement at a time");
    EXPECT_EQ(error("SELECT 1; DELETE FROM notes"), path.string() + ": only one statement at a time");
    EXPECT_EQ(error(" -- nothing"), path.string() + ": the query is empty");
    EXPECT_EQ(error("SELECT accuracyy FROM trials"), path.string() + ": no such column: accuracyy");
    EXPECT_EQ(error("SELEKT 1"), path.string() + ": near \"SELEKT\": syntax error");
    expect_sample(store);
  }
}

TEST(StoreQuery, AnswersInExactText) {
  const testing::TemporaryDirectory folder;
  write_sample(folder / "results.db");
  const Store store(folder / "results.db", Store::Mode::read);
  const Table table =
      store.query("SELECT 1 AS a, 0.1 + 0.2, 'x''y', NULL, x'0aff', '' ; -- done\n /* yes */");
  ASSERT_EQ(table.rows.size(), 1U);
  using Kind = Table::Cell::Kind;
  const std::vector<std::pair<Kind, std::string>> expected{
      {Kind::integer, "1"}, {Kind::real, "0.30000000000000004"},
      {Kind::text, "x'y"},  {Kind::null, ""},
      {Kind::text, "0aff"}, {Kind::text, ""}};
  ASSERT_EQ(table.rows[0].size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(table.rows[0][i].kind, expected[i].first) << i;
    EXPECT_EQ(table.rows[0][i].text, expected[i].second) << i;
  }
  EXPECT_EQ(table.columns[0], "a");
  EXPECT_FALSE(store.query("PRAGMA table_info(trials)").rows.empty());
  EXPECT_FALSE(store.query("EXPLAIN QUERY PLAN SELECT * FROM trials").rows.empty());
}

// --- Opening

TEST(StoreOpen, ExplainsWhatIsWrong) {
  const testing::TemporaryDirectory folder;
  const auto path = [&](const char* name) { return folder / name; };
  using enum Store::Mode;
  EXPECT_EQ(open_error(path("missing.db"), read),
            path("missing.db").string() + " cannot be opened: No such file or directory");
  EXPECT_FALSE(std::filesystem::exists(path("missing.db")));
  EXPECT_EQ(open_error(path("no") / "folder.db", write),
            (path("no") / "folder.db").string() + " cannot be created: No such file or directory");
  EXPECT_EQ(open_error(folder.path(), write), folder.path().string() + " is not a regular file");
  EXPECT_EQ(open_error("/dev/null", read), "/dev/null is not a regular file");

  testing::write_file(path("empty.db"), "");
  EXPECT_EQ(open_error(path("empty.db"), read),
            path("empty.db").string() + " is empty: no experiment has been written to it");
  const std::string text(5000, 'x');
  testing::write_file(path("text.db"), text);
  for (const auto mode : {read, write}) {
    EXPECT_EQ(open_error(path("text.db"), mode),
              path("text.db").string() + " is not a database; choose another file");
  }
  EXPECT_EQ(testing::read_file(path("text.db")), text);

  tamper(path("foreign.db"), "CREATE TABLE x (y)");
  const std::string foreign = testing::read_file(path("foreign.db"));
  for (const auto mode : {read, write}) {
    EXPECT_EQ(
        open_error(path("foreign.db"), mode),
        path("foreign.db").string() + " is an SQLite database, but not one of duet's; choose another file");
  }
  EXPECT_EQ(testing::read_file(path("foreign.db")), foreign);

  write_sample(path("newer.db"));
  tamper(path("newer.db"), "PRAGMA user_version = 7");
  for (const auto mode : {read, write}) {
    EXPECT_EQ(open_error(path("newer.db"), mode),
              fmt::format("{} was written by a newer duet (schema 7, this one knows {})",
                          path("newer.db").string(), Store::schema_version));
  }

  write_sample(path("truncated.db"));
  std::filesystem::resize_file(path("truncated.db"), 3000);
  EXPECT_THAT(store_error([&] { Store(path("truncated.db"), read).experiments(); }),
              StartsWith(path("truncated.db").string() + " is truncated: 3000 of "));
  // What opens may be truncated, too.
  write_sample(path("end.db"));
  std::filesystem::resize_file(path("end.db"), std::filesystem::file_size(path("end.db")) - 1000);
  EXPECT_THAT(Store(path("end.db"), read).check(),
              ::testing::Contains(StartsWith("the file is truncated: ")));
}

TEST(StoreOpen, ReadersCannotWrite) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  write_sample(path);
  Store store(path, Store::Mode::read);
  const std::string sentence = path.string() + " was opened for reading only";
  EXPECT_EQ(store_error([&] { store.append(1, sample_trial(9)); }), sentence);
  EXPECT_EQ(store_error([&] { store.create(sample_experiment("other")); }), sentence);
  EXPECT_EQ(store_error([&] { store.erase(1); }), sentence);
  EXPECT_EQ(store_error([&] { store.note(1, "x"); }), sentence);
  EXPECT_EQ(store_error([&] { store.append_final(1, sample_final); }), sentence);
  EXPECT_EQ(store_error([&] { store.evaluations()->put({3, 4}, "x"); }), sentence);
  expect_sample(store);
}

/// Gives up root's rights for a while, which file permissions do not bind.
class Unprivileged {
 public:
  Unprivileged() : root_(::geteuid() == 0) {
    if (root_ && ::seteuid(65534) != 0) ADD_FAILURE() << "cannot give up root's rights";
  }
  ~Unprivileged() {
    if (root_ && ::seteuid(0) != 0) std::abort();
  }

 private:
  bool root_;
};

TEST(StoreOpen, ReadOnlyFolders) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results #1?.db";
  write_sample(path);
  ASSERT_EQ(::chmod(path.c_str(), 0444), 0);
  ASSERT_EQ(::chmod(folder.path().c_str(), 0555), 0);
  {
    const Unprivileged user;
    expect_sample(Store(path, Store::Mode::read));
    EXPECT_EQ(open_error(path, Store::Mode::write),
              path.string() + " cannot be opened for writing: Permission denied");
    EXPECT_EQ(open_error(folder / "new.db", Store::Mode::write),
              (folder / "new.db").string() + " cannot be created: Permission denied");
  }
  // A log that was left behind holds trials; without it the database would be incomplete.
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
  testing::write_file(path.string() + "-wal", "some log");
  ASSERT_EQ(::chmod(folder.path().c_str(), 0555), 0);
  {
    const Unprivileged user;
    EXPECT_THAT(open_error(path, Store::Mode::read),
                HasSubstr(" cannot be read here: the newest trials are in "));
  }
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
}

TEST(StoreOpen, OneWriterPerFile) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  int ready[2], done[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(done), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const Store store(path, Store::Mode::write);
    char byte = 'r';
    if (::write(ready[1], &byte, 1) == 1 && ::read(done[0], &byte, 1) == 1) ::_exit(0);
    ::_exit(1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THAT(open_error(path, Store::Mode::write),
              ::testing::AnyOf(
                  fmt::format("{} is being written by another duet process (pid {}); wait for it or choose "
                              "another output",
                              path.string(), child),
                  path.string() + " is being written by another duet process; wait for it or choose "
                                  "another output"));
  EXPECT_TRUE(Store(path, Store::Mode::read).experiments().empty());
  ASSERT_EQ(::write(done[1], &byte, 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  for (const int descriptor : {ready[0], ready[1], done[0], done[1]}) ::close(descriptor);

  // The lock ended with the process; within one process it holds as well, and as long as the cache is in use.
  std::optional<Store> store(std::in_place, path, Store::Mode::write);
  const std::string sentence = path.string() + " is being written by this process already";
  EXPECT_EQ(open_error(path, Store::Mode::write), sentence);
  auto cache = store->evaluations();
  store.reset();
  EXPECT_EQ(open_error(path, Store::Mode::write), sentence);
  cache->put({1, 1}, "x");
  cache.reset();
  EXPECT_EQ(open_error(path, Store::Mode::write), "no error");
}

TEST(StoreOpen, ARefusedSecondWriterDoesNotFreeTheLocksOfTheFirst) {
  // The last connection to close empties and removes the log. Were SQLite's locks lost, a reader in another
  // process would take itself for the last one and remove it under the writer.
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  Store store(path, Store::Mode::write);
  const auto id = store.create(sample_experiment());
  EXPECT_NE(open_error(path, Store::Mode::write), "no error");
  { const Store reader(path, Store::Mode::read); }
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(STDOUT_FILENO);
    ::execlp("sqlite3", "sqlite3", path.c_str(), "SELECT count(*) FROM experiments",
             static_cast<char*>(nullptr));
    ::_exit(0);  // not installed: nothing to see
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(std::filesystem::exists(folder / "results.db-wal"));
  store.append(id, sample_trial(1));
  EXPECT_EQ(Store(path, Store::Mode::read).count(id), 1U);
}

// --- Faults

int limit_pages(sqlite3* handle, const char**, const void*) {
  return sqlite3_exec(handle, "PRAGMA max_page_count = 60", nullptr, nullptr, nullptr);
}

TEST(StoreFaults, AFullDiskIsReportedAndLosesNothing) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  write_sample(path);
  const auto hook = reinterpret_cast<void (*)()>(limit_pages);
  sqlite3_auto_extension(hook);
  std::uint64_t stored = 8;
  {
    Store store(path, Store::Mode::write);
    const std::string error = store_error([&] {
      for (;; ++stored) store.append(1, sample_trial(stored + 1));
    });
    EXPECT_EQ(error, path.string() + " cannot be written: the disk is full");
    EXPECT_GT(stored, 100U);
    EXPECT_EQ(store.count(1), stored);
  }
  sqlite3_cancel_auto_extension(hook);
  Store store(path, Store::Mode::write);
  store.append(1, sample_trial(stored + 1));
  EXPECT_EQ(store.trials(store.at("")).size(), stored + 1);
  EXPECT_THAT(store.check(), IsEmpty());
}

TEST(StoreFaults, KilledWritersLoseNothingAcknowledged) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  { Store(path, Store::Mode::write).create(sample_experiment()); }
  Random random(1, "kill");
  std::uint64_t last = 0;
  for (int round = 0; round < 20; ++round) {
    int acknowledged[2];
    ASSERT_EQ(::pipe(acknowledged), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      Store store(path, Store::Mode::write);
      for (std::uint64_t number = store.count(1) + 1;; ++number) {
        store.append(1, sample_trial(number));
        if (::write(acknowledged[1], &number, sizeof number) != sizeof number) ::_exit(1);
      }
    }
    ::close(acknowledged[1]);
    std::thread killer([child, delay = random.between(1, 40)] {
      std::this_thread::sleep_for(std::chrono::milliseconds(delay));
      ::kill(child, SIGKILL);
    });
    std::uint64_t number = 0;
    while (::read(acknowledged[0], &number, sizeof number) == sizeof number) last = number;
    ::close(acknowledged[0]);
    killer.join();
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    const Store store(path, Store::Mode::read);
    const std::uint64_t count = store.count(1);
    ASSERT_GE(count, last);
    ASSERT_LE(count, last + 1);  // one may have been stored and not yet acknowledged
    last = count;
  }
  EXPECT_GT(last, 20U);
  const Store store(path, Store::Mode::read);
  const auto trials = store.trials(store.at(""));
  ASSERT_EQ(trials.size(), last);
  for (std::uint64_t i = 0; i < last; ++i) expect_equal(trials[i], sample_trial(i + 1));
  EXPECT_THAT(store.check(), IsEmpty());
}

TEST(StoreFaults, ReadersSeeAConsistentFileWhileItIsWritten) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  Store store(path, Store::Mode::write);
  const auto id = store.create(sample_experiment());
  const auto cache = store.evaluations();
  std::atomic<bool> stop = false;
  std::atomic<int> rounds = 0;
  std::vector<std::thread> threads;
  threads.emplace_back([&] {  // another reader
    const Store reader(path, Store::Mode::read);
    const ExperimentRecord e = reader.at("");
    std::size_t seen = 0;
    while (!stop || rounds == 0) {
      const auto trials = reader.trials(e);
      EXPECT_GE(trials.size(), seen);
      for (std::size_t i = 0; i < trials.size(); ++i) ASSERT_EQ(trials[i].number, i + 1);
      seen = trials.size();
      EXPECT_EQ(reader.query("SELECT count(*), max(number) FROM trials").rows.size(), 1U);
      ++rounds;
    }
  });
  threads.emplace_back([&] {  // a worker that uses the cache
    for (std::uint64_t i = 0; i < 500; ++i) {
      cache->put({i, i}, std::to_string(i));
      EXPECT_EQ(cache->get({i, i}), std::to_string(i));
    }
  });
  threads.emplace_back([&] {  // the progress line
    while (!stop) store.count(id);
  });
  for (std::uint64_t number = 1; number <= 3000; ++number) store.append(id, sample_trial(number));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(rounds, 0);
  EXPECT_EQ(store.count(id), 3000U);
}

/// Everything a reader can ask. Whatever comes back without an error can be used.
void read_all(Store& store) {
  for (const ExperimentRecord& e : store.experiments()) {
    store_error([&] {
      for (const TrialRecord& t : store.trials(e)) {
        for (std::size_t i = 0; i < e.parameters.size(); ++i) {
          if (t.status == Status::invalid || !t.candidate.has(i)) continue;
          const Parameter& p = e.parameters[i];
          const auto code = static_cast<std::size_t>(t.candidate[i]);
          if (p.kind == Parameter::Kind::choice) {
            ASSERT_LT(code, p.options.size());
          } else if (p.kind == Parameter::Kind::ordinal) {
            ASSERT_LT(code, p.values.size());
          }
        }
        ASSERT_EQ(t.values.size(), t.status == Status::ok && !t.duplicate_of ? e.metrics.size() : 0U);
      }
    });
    store_error([&] { store.count(e.id); });
    store_error([&] { store.for_each_score(e, {0, 1}, [](std::uint64_t, std::span<const double>) {}); });
    store_error([&] { store.finals(e.id); });
    store_error([&] { store.notes(e.id); });
  }
  store_error([&] { store.query("SELECT * FROM trials ORDER BY accuracy"); });
  store_error([&] { store.evaluations()->get({1, 2}); });
}

TEST(StoreFaults, AViewInThePlaceOfATableIsRefused) {
  // It could hold a query that never ends, and takes memory as long as it runs.
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  for (const char* table : {"notes", "trial_1"}) {
    std::filesystem::remove(path);
    write_sample(path);
    sqlite3* handle = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &handle), SQLITE_OK);
    const std::string sql = fmt::format(
        "DROP TABLE {0}; CREATE VIEW {0} AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) "
        "SELECT 1 AS experiment, 'x' AS time, 'y' AS event, id FROM n",
        table);
    ASSERT_EQ(sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(handle);
    sqlite3_close(handle);
    for (const Store::Mode mode : {Store::Mode::read, Store::Mode::write}) {
      EXPECT_EQ(store_error([&] { Store(path, mode).notes(1); }),
                fmt::format("{} is damaged: its table {} is a view", path.string(), table));
    }
  }
}

TEST(StoreFaults, DamagedFilesGiveErrorsOnly) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  write_sample(path);
  {
    Store store(path, Store::Mode::write);
    for (std::uint64_t number = 9; number <= 200; ++number) store.append(1, sample_trial(number));
  }
  const std::string good = testing::read_file(path);
  int refused = 0;
  for (std::uint64_t variant = 0; variant < 200; ++variant) {
    SCOPED_TRACE(variant);
    Random random(7, "damage", variant);
    std::string bytes = good;
    const auto position = [&] {
      // Half of the hits go to the headers of pages, where they do most.
      const auto anywhere = static_cast<std::size_t>(random.below(bytes.size()));
      return random.chance(0.5) ? anywhere
                                : anywhere / 2048 * 2048 + static_cast<std::size_t>(random.below(120));
    };
    if (variant % 10 == 0) bytes.resize(static_cast<std::size_t>(random.below(bytes.size())));
    for (std::uint64_t i = random.below(20) + 1; i > 0 && !bytes.empty(); --i) {
      const std::size_t at = position();
      if (at < bytes.size()) bytes[at] = static_cast<char>(random.below(256));
    }
    for (const char* rest : {"-wal", "-shm"}) std::filesystem::remove(path.string() + rest);
    testing::write_file(path, bytes);
    std::string error = store_error([&] {
      Store store(path, Store::Mode::read);
      read_all(store);
      if (!store.check().empty()) throw StoreError(path.string() + " has problems");
    });
    if (error != "no error") {
      ++refused;
      EXPECT_THAT(error, StartsWith(path.string()));
    }
    error = store_error([&] {
      Store store(path, Store::Mode::write);
      store_error([&] { store.append(1, sample_trial(201)); });
      store_error([&] { store.evaluations()->put({5, 6}, "x"); });
      read_all(store);
      store_error([&] { store.erase(1); });
    });
    if (error != "no error") {
      EXPECT_THAT(error, StartsWith(path.string()));
    }
  }
  EXPECT_GT(refused, 100);  // the rest hit unused bytes or values that may be anything
}

TEST(StoreFaults, CheckFindsBrokenInvariants) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  const auto problems_after = [&](const std::string& sql) {
    std::filesystem::remove(path);
    write_sample(path);
    tamper(path, sql);
    return Store(path, Store::Mode::read).check();
  };
  EXPECT_THAT(problems_after("SELECT 1"), IsEmpty());
  const auto expect = [&](const std::string& sql, const std::string& problem) {
    EXPECT_THAT(problems_after(sql), ::testing::Contains(problem)) << sql;
  };
  const std::string sample = "experiment 'sample': ";
  expect("UPDATE trial_1 SET m1 = NULL WHERE number = 2",
         sample + "trial 2: it is ok but has no value of 'latency_s'");
  expect("UPDATE trial_1 SET m1 = 3 WHERE number = 3",
         sample + "trial 3: it is not an original that is ok but has a value of 'latency_s'");
  expect("UPDATE trial_1 SET duplicate_of = 7 WHERE number = 6",
         sample + "trial 6: it is a duplicate of no earlier trial");
  expect("UPDATE trial_1 SET reason = NULL WHERE number = 3",
         sample + "trial 3: it is not ok but has no reason");
  expect("UPDATE trial_1 SET p2 = 10 WHERE number = 1 OR number = 6",
         sample + "trial 1: it has a value of 'network.depth' that it cannot have");
  expect("UPDATE trial_1 SET p2 = NULL WHERE number = 2",
         sample + "trial 2: it has no value of 'network.depth', which is active");
  expect("UPDATE trial_1 SET p2 = 1 + (p2 = 1) WHERE number = 6",
         sample + "trial 6: it differs from the trial it is a duplicate of");
  expect("UPDATE trial_1 SET parents = '[9]' WHERE number = 8",
         sample + "trial 8: one of its parents is no earlier trial");
  expect("UPDATE trial_1 SET parents = '9' WHERE number = 8",
         sample + "trial 8: its parents are no list of numbers");
  expect("UPDATE trial_1 SET status = 4 WHERE number = 8", sample + "trial 8: its status is none");
  expect("UPDATE finals SET trial = 9", sample + "a final measurement is of trial 9, which does not exist");
  expect("CREATE TABLE trial_2 (number)", "table trial_2 belongs to no experiment");
  expect("INSERT INTO notes VALUES (1, 5, 't', 'e', NULL)", "a row of table notes belongs to no experiment");
  expect("DROP VIEW sample", sample + "its view is missing");

  problems_after("UPDATE trial_1 SET m1 = NULL WHERE number = 2");
  const Store store(path, Store::Mode::read);
  EXPECT_EQ(store_error([&] { store.trials(store.at("")); }),
            path.string() + " is damaged: trial 2 of 'sample': it is ok but has no value of 'latency_s'");
}

/// What no rule of SQLite or duet forbids, but is not what was stored.
TEST(StoreFaults, FlippedBitsAreFound) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  for (const char* sql : {"m0 = m0 + 1e-9", "p2 = 1 + (p2 = 1)", "p3 = p3 / 2", "started_at = started_at + 1",
                          "duration_s = 0", "violation = 0.5", "cached = 1", "parents = '[1]'"}) {
    std::filesystem::remove(path);
    write_sample(path);
    tamper(path, fmt::format("UPDATE trial_1 SET {} WHERE number = 2", sql));
    const Store store(path, Store::Mode::read);
    EXPECT_THAT(store.check(), ElementsAre("experiment 'sample': trial 2: its checksum is wrong: it is not what was stored"))
        << sql;
    EXPECT_EQ(store_error([&] { store.trial(store.at(""), 2); }),
              path.string() + " is damaged: trial 2 of 'sample': its checksum is wrong: it is not what was stored");
    EXPECT_TRUE(store.trial(store.at(""), 1));
  }
}

TEST(StoreFaults, ChangesOfAnythingElseAreFound) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  const std::string description = "experiment 'sample': its description is not what was stored: wrong checksum";
  for (const auto& [sql, problem] : std::initializer_list<std::pair<const char*, std::string>>{
           {"UPDATE experiments SET specification = specification || ' '", description},
           {"UPDATE experiments SET machine = '{}'", description},
           {"UPDATE parameters SET unit = 'B' WHERE position = 0", description},
           {"UPDATE parameters SET view_column = 'x' WHERE position = 0", description},
           {"UPDATE options SET value = value || 'x' WHERE parameter = 0 AND code = 0", description},
           {"UPDATE metrics SET unit = 'J' WHERE position = 1", description},
           {"UPDATE constraints SET expression = 'latency_s < 1'", description},
           {"UPDATE notes SET event = 'x'", "1 notes are not what was stored: wrong checksum"},
           {"UPDATE finals SET value = value + 1 WHERE id = 1",
            "1 final measurements are not what was stored: wrong checksum"},
           {"UPDATE evaluations SET value = x'00'", "1 cached results are not what was stored: wrong checksum"},
           {"DROP VIEW sample; CREATE VIEW sample AS SELECT 1 AS number",
            "experiment 'sample': its view sample is not the one that was stored"}}) {
    std::filesystem::remove(path);
    write_sample(path);
    {
      Store store(path, Store::Mode::write);
      store.note(1, "begun");
      ASSERT_THAT(store.check(), IsEmpty());
    }
    tamper(path, sql);
    Store store(path, Store::Mode::write);
    EXPECT_THAT(store.check(), ElementsAre(problem.find("description") != std::string::npos ? description : problem)) << sql;
    store.repair();
    if (problem != description) {
      EXPECT_THAT(store.check(), IsEmpty()) << sql;
    }
  }
}

TEST(StoreFaults, ADamagedCachedResultIsNotThere) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  write_sample(path);
  tamper(path, "UPDATE evaluations SET value = x'00'");
  Store store(path, Store::Mode::write);
  EXPECT_FALSE(store.evaluations()->get({1, 2}));
  store.evaluations()->put({1, 2}, "new");
  EXPECT_EQ(store.evaluations()->get({1, 2}), "new");
  EXPECT_THAT(store.check(), IsEmpty());
}

/// All that the file tells, or why it does not.
std::string told(const Path& path) {
  try {
    const Store store(path, Store::Mode::read);
    std::string text;
    for (const char* sql :
         {"SELECT * FROM sample", "SELECT * FROM trials", "SELECT * FROM experiments", "SELECT * FROM parameters",
          "SELECT * FROM options", "SELECT * FROM metrics", "SELECT * FROM constraints", "SELECT * FROM notes",
          "SELECT * FROM finals", "SELECT * FROM evaluations"}) {
      for (const auto& row : store.query(sql).rows) {
        for (const Table::Cell& cell : row) text += cell.text + "|";
      }
    }
    return text;
  } catch (const StoreError& error) {
    return error.what();
  }
}

TEST(StoreFaults, AnyFlippedBitIsFoundOrChangesNothing) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db", flipped = folder / "flipped.db";
  write_sample(path);
  const std::string sound = testing::read_file(path), all = told(path);
  int noticed = 0;
  Random random(1, "bits");
  for (int i = 0; i < 300; ++i) {
    std::string bytes = sound;
    const std::uint64_t bit = random.below(bytes.size() * 8);
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    testing::write_file(flipped, bytes);
    std::filesystem::remove(flipped.string() + "-wal");
    std::filesystem::remove(flipped.string() + "-shm");
    try {
      if (!Store(flipped, Store::Mode::read).check().empty()) {
        ++noticed;
      } else {
        EXPECT_EQ(told(flipped), all) << "bit " << bit % 8 << " of byte " << bit / 8;
      }
    } catch (const StoreError&) {
      ++noticed;
    }
  }
  EXPECT_GT(noticed, 30);
}

TEST(StoreFaults, WritingToAFileWithoutItsNameIsAnError) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  for (const bool replaced : {false, true}) {
    write_sample(path);
    Store store(path, Store::Mode::write);
    const ExperimentRecord experiment = store.at("");
    std::filesystem::rename(path, folder / "elsewhere.db");
    if (replaced) testing::write_file(path, "");
    const std::string sentence = path.string() + " has been removed, renamed or replaced while it was written: what was "
                                 "stored is not in the file of this name";
    EXPECT_EQ(store_error([&] { store.note(experiment.id, "ended"); }), sentence);
    EXPECT_EQ(store_error([&] {
                for (std::uint64_t number = 10; number < 200; ++number) store.append(experiment.id, sample_trial(number));
              }),
              sentence);
    for (const char* file : {"results.db", "elsewhere.db", "elsewhere.db-wal", "elsewhere.db-shm"}) {
      std::filesystem::remove(folder / file);
    }
  }
}

TEST(StoreFaults, RepairMendsWhatItCan) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  write_sample(path);
  tamper(path,
         "UPDATE trial_1 SET m0 = 0.5 WHERE number = 2; UPDATE trial_1 SET status = 9 WHERE number = 8;"
         "INSERT INTO notes VALUES (1, 5, 't', 'e', NULL); CREATE TABLE trial_2 (number); DROP VIEW sample");
  {
    // An index that misses a row, as a lost write leaves it.
    sqlite3* handle = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &handle), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(handle,
                           "CREATE INDEX lost ON trial_1 (violation); PRAGMA writable_schema = 1;"
                           "CREATE TABLE stray (violation, number); INSERT INTO stray VALUES (7, 7);"
                           "CREATE INDEX stray_index ON stray (violation, number);"
                           "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = "
                           "'stray_index') WHERE name = 'lost';"
                           "DELETE FROM sqlite_schema WHERE name IN ('stray', 'stray_index')",
                           nullptr, nullptr, nullptr),
              SQLITE_OK);
    sqlite3_close(handle);
  }
  Store store(path, Store::Mode::write);
  const auto problems = store.check();
  EXPECT_THAT(problems, ::testing::Contains(HasSubstr("SQLite: row 1 missing from index lost")));
  const auto done = store.repair();
  EXPECT_THAT(done, ElementsAre("1 rows of notes that belong to no experiment are gone",
                                "table trial_2, which belongs to no experiment, is gone",
                                "experiment 'sample': 2 damaged trials are gone; 'duet run' with its file evaluates "
                                "them again",
                                "experiment 'sample': its view is there again"));
  for (const std::string& problem : store.check()) {
    // Pages of the table that was cut out of the schema.
    EXPECT_THAT(problem, ::testing::AllOf(HasSubstr("SQLite"), HasSubstr("never used"))) << problem;
  }
  EXPECT_THAT(numbers(store.trials(store.at(""))), ElementsAre(1, 3, 4, 5, 6, 7));
  EXPECT_EQ(store.query("SELECT count(*) FROM trials").rows[0][0].text, "6");
}

TEST(StoreFaults, ChecksSayWhatIsLeft) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  {
    Store store(path, Store::Mode::write);
    const auto id = store.create(sample_experiment());
    for (std::uint64_t number = 1; number <= 2000; ++number) store.append(id, sample_trial(number));
  }
  const std::string good = testing::read_file(path);
  testing::write_file(path, good.substr(0, good.size() - 20 * 2048));
  for (const auto mode : {Store::Mode::read, Store::Mode::write}) {
    EXPECT_EQ(open_error(path, mode),
              fmt::format("{} is truncated: {} of {} bytes are there; take another copy, or 'sqlite3 FILE .recover' may "
                          "save what is left",
                          path.string(), good.size() - 20 * 2048, good.size()));
  }
  // A page of trials in the middle.
  std::string bytes = good;
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(good.size() / 2 / 2048 * 2048), 2048, '\xaa');
  testing::write_file(path, bytes);
  EXPECT_THAT(Store(path, Store::Mode::read).check(),
              ::testing::Contains(::testing::ContainsRegex(
                  "experiment 'sample': of its trials [0-9]+ can be read from the first on, to trial [0-9]+, and [0-9]+ "
                  "from the last back, to trial [0-9]+")));
  EXPECT_THAT(Store(path, Store::Mode::write).repair(), IsEmpty());  // nothing that can be mended
  EXPECT_THAT(Store(path, Store::Mode::read).check(), ::testing::Not(IsEmpty()));
}

TEST(StoreCopy, IsWholeWhileTheOriginalIsWritten) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  Store store(path, Store::Mode::write);
  const auto id = store.create(sample_experiment());
  for (std::uint64_t number = 1; number <= 2000; ++number) store.append(id, sample_trial(number));
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> written = 2000;
  std::thread writer([&] {
    while (!stop) {
      store.append(id, sample_trial(written + 1));
      ++written;
    }
  });
  for (int round = 0; round < 5; ++round) {
    const std::uint64_t before = written;
    const Path copy = folder / fmt::format("copy{}.db", round);
    Store(path, Store::Mode::read).copy_to(copy);
    const std::uint64_t after = written;
    const Store read(copy, Store::Mode::read);
    const std::uint64_t count = read.count(id);
    EXPECT_GE(count, before);
    EXPECT_LE(count, after + 1);
    EXPECT_THAT(read.check(), IsEmpty());
    EXPECT_THAT(read.last(id, 1), ElementsAre(count));  // no trial is missing in between
  }
  stop = true;
  writer.join();
  EXPECT_EQ(store_error([&] { store.copy_to(folder / "copy0.db"); }),
            (folder / "copy0.db").string() + " exists already; choose another name for the copy");
  EXPECT_THAT(store_error([&] { store.copy_to(folder / "no" / "copy.db"); }), HasSubstr("cannot be created"));
  EXPECT_FALSE(std::filesystem::exists(folder / "copy0.db.part"));
  Store continued(folder / "copy1.db", Store::Mode::write);  // a copy is a database like any other
  continued.append(id, sample_trial(100'000));
}

/// A writer at full speed and four processes that open the file, ask everything and close it, again and again.
TEST(StoreFaults, ReadersAtFullSpeedMeetNoLockAndDoNotStarveTheLog) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  Store store(path, Store::Mode::write);
  const auto id = store.create(sample_experiment());
  for (std::uint64_t number = 1; number <= 500; ++number) store.append(id, sample_trial(number));
  std::vector<pid_t> readers;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(60);  // should the parent die
      int rounds = 0;
      const std::string failed = store_error([&] {
        while (!std::filesystem::exists(folder / "stop") || rounds < 3) {
          const Store reader(path, Store::Mode::read);
          const ExperimentRecord e = reader.at("");
          std::uint64_t scores = 0;
          reader.for_each_score(e, {0, 1}, [&](std::uint64_t, std::span<const double>) { ++scores; });
          if (scores < 500 || reader.count(e.id) < scores) throw StoreError("trials are missing");
          reader.trials(e, reader.last(e.id, 20));
          reader.query("SELECT \"network.depth\", max(accuracy) FROM trials GROUP BY 1");
          ++rounds;
        }
      });
      testing::write_file(folder / fmt::format("reader{}", i), fmt::format("{} after {} rounds", failed, rounds));
      ::_exit(failed == "no error" ? 0 : 1);
    }
    readers.push_back(child);
  }
  std::uint64_t number = 500;
  std::uintmax_t longest_log = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < end || number < 1000) {
    for (int i = 0; i < 50; ++i) store.append(id, sample_trial(++number));
    longest_log = std::max(longest_log, std::filesystem::file_size(path.string() + "-wal"));
  }
  testing::write_file(folder / "stop", "");
  for (std::size_t i = 0; i < readers.size(); ++i) {
    int status = 0;
    ASSERT_EQ(::waitpid(readers[i], &status, 0), readers[i]);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
        << status << ": " << testing::read_file(folder / fmt::format("reader{}", i));
  }
  std::printf("%s beside 4 readers (%s), log of %ju bytes at most\n", fmt::format("{} trials in 2 s", number - 500).c_str(),
              testing::read_file(folder / "reader0").c_str(), longest_log);
  EXPECT_LT(longest_log, 100'000'000U);
  EXPECT_THAT(store.check(), IsEmpty());
}

// --- Schemas

/// The schema as SQL text, then the rows of every table.
std::string dump(const Path& path) {
  sqlite::Connection connection(path, sqlite::Connection::Access::read, path.string());
  std::string text;
  for (const char* pragma : {"application_id", "user_version"}) {
    text += fmt::format("PRAGMA {} = {};\n", pragma, connection.integer(fmt::format("PRAGMA {}", pragma)));
  }
  std::string rows;
  auto objects = connection.prepare(
      "SELECT name, sql, type FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY "
      "type, name");
  while (objects.step()) {
    text += objects.text(1) + ";\n";
    if (objects.text(2) != "table") continue;
    const std::string table = sqlite::identifier(objects.text(0));
    auto cells = connection.prepare("SELECT * FROM " + table);
    auto quote = connection.prepare("SELECT quote(?)");
    while (cells.step()) {
      rows += fmt::format("INSERT INTO {} VALUES (", table);
      for (int i = 0; i < sqlite3_column_count(cells.handle()); ++i) {
        sqlite3_bind_value(quote.handle(), 1, sqlite3_column_value(cells.handle(), i));
        quote.step();
        rows += (i > 0 ? "," : "") + quote.text(0);
        quote.reset();
      }
      rows += ");\n";
    }
  }
  return text + rows;
}

Path schema_file(int version) {
  return testing::source_root() / "tests" / "data" / fmt::format("schema_{}.sql", version);
}

TEST(StoreSchema, EveryOldDatabaseOpensAndReadsTheSame) {
  for (int version = 1; version <= Store::schema_version; ++version) {
    SCOPED_TRACE(version);
    const testing::TemporaryDirectory folder;
    const Path path = folder / "old.db";
    tamper(path, testing::read_file(schema_file(version)));
    expect_sample(Store(path, Store::Mode::read));  // as it is
    {
      // So for files that nobody may write to.
      ASSERT_EQ(::chmod(path.c_str(), 0444), 0);
      ASSERT_EQ(::chmod(folder.path().c_str(), 0555), 0);
      expect_sample(Store(path, Store::Mode::read));
      ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
      ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
    }
    Store store(path, Store::Mode::write);
    expect_sample(store);
    EXPECT_EQ(store.evaluations()->get({1, 2}), std::string("\0value", 6));
    store.append(1, sample_trial(9));
    EXPECT_EQ(store.create(sample_experiment("next")), 2);
    EXPECT_THAT(store.check(), IsEmpty());
  }
}

/// A change of the schema needs a new version, a migration and a file. DUET_WRITE_SCHEMA=1 writes the file.
TEST(StoreSchema, IsTheOneOnFile) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "new.db";
  write_sample(path);
  const std::string text = dump(path);
  const Path file = schema_file(Store::schema_version);
  if (std::getenv("DUET_WRITE_SCHEMA") != nullptr) testing::write_file(file, text);
  EXPECT_EQ(text, testing::read_file(file))
      << "the schema has changed: raise Store::schema_version, add a migration, and "
         "run this test with DUET_WRITE_SCHEMA=1";
}

TEST(StoreSchema, AMigratedDatabaseIsLikeANewOne) {
  const testing::TemporaryDirectory folder;
  const Path fresh = folder / "new.db";
  write_sample(fresh);
  const auto schema_of = [](const Path& path) {
    sqlite::Connection connection(path, sqlite::Connection::Access::read, path.string());
    auto rows = connection.prepare("SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM sqlite_schema ORDER BY name)");
    rows.step();
    return rows.text(0);
  };
  for (int version = 1; version < Store::schema_version; ++version) {
    const Path old = folder / fmt::format("{}.db", version);
    tamper(old, testing::read_file(schema_file(version)));
    { Store store(old, Store::Mode::write); }
    EXPECT_EQ(schema_of(old), schema_of(fresh)) << version;
  }
}

TEST(StoreSchema, AKilledMigrationLeavesTheOldDatabase) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "old.db";
  tamper(path, testing::read_file(schema_file(1)));
  const pid_t child = ::fork();
  if (child == 0) {
    sqlite::Connection connection(path, sqlite::Connection::Access::write, path.string());
    connection.run("PRAGMA journal_mode = WAL; PRAGMA cache_size = 1");  // so that pages are written before the commit
    const std::vector<sqlite::Migration> steps{
        [](sqlite::Connection& c) {
          c.run("ALTER TABLE trial_1 ADD COLUMN checksum INTEGER");
          c.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
                "INSERT INTO notes (experiment, time, event) SELECT 1, '', hex(randomblob(50)) FROM n");
        },
        [](sqlite::Connection&) { ::raise(SIGKILL); }};
    sqlite::migrate(connection, 1, steps);
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  {
    const Store store(path, Store::Mode::read);
    expect_sample(store);
    EXPECT_EQ(store.query("SELECT count(*) FROM pragma_table_info('trial_1') WHERE name = 'checksum'").rows[0][0].text, "0");
    EXPECT_EQ(store.query("PRAGMA user_version").rows[0][0].text, "1");
    EXPECT_THAT(store.notes(1), IsEmpty());
  }
  expect_sample(Store(path, Store::Mode::write));  // and the real one succeeds
}

TEST(StoreSchema, MigrationsAreOneTransaction) {
  const testing::TemporaryDirectory folder;
  const Path path = folder / "results.db";
  write_sample(path);
  sqlite::Connection connection(path, sqlite::Connection::Access::write, path.string());
  connection.run("PRAGMA user_version = 1");
  const auto colour = [](sqlite::Connection& c) { c.run("ALTER TABLE experiments ADD COLUMN colour TEXT"); };
  const auto paint = [](sqlite::Connection& c) { c.run("UPDATE experiments SET colour = 'red'"); };
  const auto fail = [](sqlite::Connection& c) { c.run("UPDATE nonsense SET x = 1"); };
  const auto columns = [&] {
    return connection.integer("SELECT count(*) FROM pragma_table_info('experiments')");
  };
  const auto before = columns();

  const std::vector<sqlite::Migration> broken{colour, paint, fail};
  EXPECT_THROW(sqlite::migrate(connection, 1, broken), StoreError);
  EXPECT_EQ(columns(), before);
  EXPECT_EQ(connection.integer("PRAGMA user_version"), 1);

  const std::vector<sqlite::Migration> sound{colour, paint};
  sqlite::migrate(connection, 1, sound);
  EXPECT_EQ(columns(), before + 1);
  EXPECT_EQ(connection.integer("PRAGMA user_version"), 3);
  EXPECT_EQ(connection.integer("SELECT count(*) FROM experiments WHERE colour = 'red'"), 1);
  sqlite::migrate(connection, 3, sound);  // nothing to do
  EXPECT_EQ(columns(), before + 1);
}

}  // namespace
}  // namespace duet
