#include "experiments/export.hpp"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/experiments/toy_experiment.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

struct Exported : ::testing::Test {
  Exported() : store(directory / "e.db", Store::Mode::write) {
    ExperimentRecord record;
    record.name = "e";
    record.identity = "{}";
    record.strategy = "random";
    const Space space({choice("op", {"conv", "pool"}), ordinal("size", {1024, 2048}, "B"), real("x", 0, 1)});
    record.parameters.assign(space.parameters().begin(), space.parameters().end());
    record.metrics = {{{"cost", "1", Direction::minimize, Source::analytical, ""}, "a", true, Direction::minimize},
                      {{"time_s", "s", Direction::minimize, Source::measured, ""}, "b", false, Direction::minimize}};
    store.create(record);
    Candidate candidate(3);
    candidate.set(0, 1);
    candidate.set(1, 1);
    candidate.set(2, 0.1);
    append(2, candidate, Status::ok, "", {0.1, 3.0}, {});
    append(1, candidate, Status::failed, "said \"no\", twice\nand again", {}, {});
    append(3, candidate, Status::ok, "same design as trial 2", {}, 2);
  }
  void append(std::uint64_t number, const Candidate& candidate, Status status, const std::string& reason,
              std::vector<double> values, std::optional<std::uint64_t> duplicate_of) {
    TrialRecord trial;
    trial.number = number;
    trial.candidate = candidate;
    trial.status = status;
    trial.reason = reason;
    trial.values = std::move(values);
    trial.duplicate_of = duplicate_of;
    trial.parents = {1};
    trial.started_at = 1.5;
    store.append(store.at("e").id, trial);
  }
  testing::TemporaryDirectory directory;
  Store store;
};

TEST_F(Exported, CsvHasOneLinePerTrialInNumberOrderWithShortestNumbers) {
  EXPECT_EQ(export_csv(store, store.at("e"), {.reproducible = true}),
            "number,status,reason,duplicate_of,parents,op,size,x,cost\n"
            "1,failed,\"said \"\"no\"\", twice\nand again\",,1,pool,2048,0.1,\n"
            "2,ok,,,1,pool,2048,0.1,0.1\n"
            "3,duplicate,same design as trial 2,2,1,pool,2048,0.1,\n");
}

TEST_F(Exported, OnlyTheReproducibleFormLeavesOutWhatWasMeasured) {
  const std::string csv = export_csv(store, store.at("e"), {});
  EXPECT_THAT(csv, StartsWith("number,status,reason,duplicate_of,parents,op,size,x,cost,time_s,cached,started_at,"
                              "duration_s\n"));
  EXPECT_THAT(csv, HasSubstr("2,ok,,,1,pool,2048,0.1,0.1,3,0,1.5,0\n"));
}

TEST_F(Exported, JsonLeavesOutWhatIsAbsent) {
  const std::string json = export_json(store, store.at("e"), {.reproducible = true});
  EXPECT_THAT(json, HasSubstr("{\"number\": 2, \"status\": \"ok\", \"parents\": \"1\", \"op\": \"pool\", \"size\": 2048, "
                              "\"x\": 0.1, \"cost\": 0.1}"));
  EXPECT_THAT(json, Not(HasSubstr("time_s")));
}

}  // namespace
}  // namespace duet
