// Searches that really train: the same rows for any number of workers and through any number of kills, and
// final trainings.

#include <chrono>
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/random.hpp"
#include "tests/cli/duet_process.hpp"

namespace duet::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// Eight networks (two widths, two kernels, two operators) on six accelerators.
const std::string joint = R"(name: joint
seed: 3
space:
  network:
    type: cnn
    stem_width: 8
    stages: 1
    depth: 1
    width: [8, 12]
    kernel: [3, 5]
    operator: [convolution, depthwise_separable]
  accelerator:
    type: systolic_array
    rows: [8, 16, 32]
    columns: 16
    dataflow: weight_stationary
    input_sram: 32KiB
    weight_sram: 32KiB
    output_sram: 32KiB
    word_bits: [4, 8]
    clock: 200MHz
    dram_bandwidth: 1GB/s
estimators:
  - {type: trained, epochs: 1, train_images: 320, validation_images: 200}
  - analytical
objectives: [accuracy, latency_s, energy_j]
search: {type: nsga2, population: 6, hold: network, hold_rate: 0.7}
budget: {trials: 24}
window: 6
)";

class SlowTrained : public ::testing::Test {
 protected:
  void SetUp() override {
    write_file(folder / "joint.yaml", joint);
    const Finished valid = run({"validate", "joint.yaml"});
    if (valid.exit_code == 2 && (valid.err.find("dataset-fashion-mnist") != std::string::npos ||
                                 valid.err.find("built without libtorch") != std::string::npos)) {
      GTEST_SKIP() << valid.err;
    }
    ASSERT_EQ(valid.exit_code, 0) << valid.err;
  }
  Finished run(const std::vector<std::string>& arguments) { return duet(folder.path(), arguments); }
  std::string csv(const std::string& file) { return reproducible_csv(folder.path(), file); }
  const TemporaryDirectory folder;
};

TEST_F(SlowTrained, GivesTheSameRowsForAnyNumberOfWorkersAndHoweverOftenItIsKilled) {
  const auto start = std::chrono::steady_clock::now();
  ASSERT_EQ(run({"run", "-q", "-j1", "joint.yaml", "-o", "1.db"}).exit_code, 0);
  const auto whole = std::chrono::duration<double>(std::chrono::steady_clock::now() - start);
  const std::string expected = csv("1.db");
  const json networks =
      json::parse(run({"query", "1.db", "--json",
                       "SELECT count(DISTINCT \"network.stage1.width\" || "
                       "\"network.stage1.block1.operator\" || "
                       "coalesce(\"network.stage1.block1.operator.convolution.kernel\", "
                       "\"network.stage1.block1.operator.depthwise_separable.kernel\")) AS n, "
                       "sum(status = 'ok') AS ok FROM trials"})
                      .out);
  EXPECT_LE(networks[0].at("n"), 8);
  EXPECT_EQ(networks[0].at("ok"), 24);

  ASSERT_EQ(run({"run", "-q", "-j2", "joint.yaml", "-o", "2.db"}).exit_code, 0);
  EXPECT_EQ(csv("2.db"), expected);

  // Kills at random moments of a run's length. What survives them all is resumed; when it gets to its end
  // before the last kill, another begins.
  constexpr int kills = 20;
  Random random(1, "kills");
  int killed = 0, resumed = 0;
  for (int series = 0; killed < kills; ++series) {
    const std::string database = "killed" + std::to_string(series) + ".db";
    for (bool ended = false; !ended;) {
      Background process(folder.path(),
                         {"run", "-q", series % 2 == 0 ? "-j2" : "-j1", "joint.yaml", "-o", database});
      if (killed < kills) {
        const double moment = 0.9 * random.uniform() * whole.count();
        ended = process.ended_within(std::chrono::milliseconds(static_cast<int>(1000 * moment)));
        if (!ended) {
          process.send(SIGKILL);
          if (process.wait().signal == SIGKILL) {
            ++killed;
            continue;
          }  // else it had just come to its end
        }
      }
      EXPECT_EQ(process.wait().exit_code, 0);
      ended = true;
    }
    EXPECT_EQ(csv(database), expected) << database;
    const json notes = json::parse(
        run({"query", database, "SELECT count(*) AS n FROM notes WHERE event = 'resumed'", "--json"}).out);
    resumed += notes[0].at("n").get<int>();
  }
  EXPECT_GE(resumed, 1) << "all kills came before the first trial was stored";
  RecordProperty("killed", killed);
  RecordProperty("resumed", resumed);
}

TEST_F(SlowTrained, FinalizeReportsTestAccuracyApartFromValidationAccuracy) {
  ASSERT_EQ(run({"run", "-q", "joint.yaml", "--trials", "2"}).exit_code, 0);
  const std::vector<std::string> recipe{"--epochs", "1", "--train-images", "400", "--seeds", "2"};
  std::vector<std::string> command{"finalize", "joint.yaml", "1"};
  command.insert(command.end(), recipe.begin(), recipe.end());
  const Finished text = run(command);
  ASSERT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("seed 1: test accuracy 0."));
  EXPECT_THAT(text.out, HasSubstr("seed 2: test accuracy 0."));
  EXPECT_THAT(text.out, HasSubstr("\nTrial 1, 1 epochs of 400 images, "));
  EXPECT_THAT(text.out, HasSubstr("; 200 validation and 10000 test images:\n"));
  EXPECT_THAT(text.out, HasSubstr(" ± "));

  const json finals = json::parse(run({"query", "joint.db", "--json",
                                       "SELECT trial, replicate, metric, unit, value FROM finals WHERE unit "
                                       "= '1' ORDER BY replicate, metric"})
                                      .out);
  ASSERT_EQ(finals.size(), 4U);
  EXPECT_EQ(finals[0].at("metric"), "test_accuracy");
  EXPECT_EQ(finals[1].at("metric"), "validation_accuracy");
  EXPECT_NE(finals[0].at("value"), finals[2].at("value")) << "two seeds, one result";
  EXPECT_THAT(run({"trials", "joint.db", "1"}).out, HasSubstr("  final test_accuracy = "));

  // The same command gives the same numbers, and a file of the network.
  command.insert(command.end(), {"--json", "--export", "net.onnx"});
  const json again = json::parse(run(command).out);
  EXPECT_EQ(again.at("export").at("file"), "net.onnx");
  EXPECT_GT(again.at("export").at("pixel_deviation"), 1);
  const json exported = json::parse(run({"network", "net.onnx", "--json"}).out);
  const json searched = json::parse(run({"network", "joint.db", "--trial", "1", "--json"}).out);
  EXPECT_EQ(exported.at("parameters"), searched.at("parameters"));
  EXPECT_EQ(exported.at("onnx").at("approximated"), 0);
  EXPECT_EQ(again.at("trial"), 1);
  for (const std::size_t i : {0U, 1U}) {
    EXPECT_EQ(again.at("test_accuracy")[i], finals[2 * i].at("value"));
    EXPECT_EQ(again.at("validation_accuracy")[i], finals[2 * i + 1].at("value"));
  }
}

}  // namespace
}  // namespace duet::testing
