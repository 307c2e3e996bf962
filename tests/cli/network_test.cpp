#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/duet_process.hpp"
#include "tests/testing.hpp"

namespace duet::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class NetworkCommand : public ::testing::Test {
 protected:
  Finished run(const std::vector<std::string>& arguments) { return duet(folder.path(), arguments); }
  json parsed(const std::vector<std::string>& arguments) {
    const Finished done = run(arguments);
    EXPECT_EQ(done.exit_code, 0) << done.err;
    return json::parse(done.out);
  }

  TemporaryDirectory folder;
};

// What a search has found leaves it as a file that is the same network.
TEST_F(NetworkCommand, TakesNetworksOutOfASearch) {
  write_file(folder / "pair.yaml", R"(
space:
  large: {type: cnn, stages: 1, depth: 2}
  small: {type: cnn, stages: 1, depth: 1}
estimators: [network_counts]
objectives: {macs: minimize, parameters: maximize}
search: random
budget: 3
)");
  ASSERT_EQ(run({"run", "-q", "pair.yaml"}).exit_code, 0);
  for (const char* part : {"large", "small"}) {
    const json searched = parsed({"network", "pair.db", "--trial", "3", "--part", part, "--export", "net.onnx", "--json"});
    EXPECT_EQ(searched.at("name"), "pair.db trial 3");
    const json file = parsed({"network", "net.onnx", "--json"});
    EXPECT_EQ(file.at("nodes"), searched.at("nodes"));
    EXPECT_EQ(file.at("onnx").at("approximated"), 0);
  }
  EXPECT_NE(parsed({"network", "pair.yaml", "--trial", "3", "--part", "large", "--json"}).at("macs"),
            parsed({"network", "pair.yaml", "--trial", "3", "--part", "small", "--json"}).at("macs"));
  const Finished which = run({"network", "pair.db", "--trial", "3"});
  EXPECT_EQ(which.exit_code, 2);
  EXPECT_EQ(which.err, "a design of experiment 'pair' has 2 networks; choose one with --part: large, small\n");
  EXPECT_THAT(run({"network", "pair.db", "--trial", "3", "--part", "smal"}).err, HasSubstr("did you mean 'small'?"));
}

TEST_F(NetworkCommand, HandsTheWeightsOfAFileOn) {
  ASSERT_EQ(run({"network", "mobilenet_v2", "--export", "first.onnx", "--seed", "7"}).exit_code, 0);
  ASSERT_EQ(run({"network", "first.onnx", "--export", "second.onnx", "--weights", "file"}).exit_code, 0);
  EXPECT_TRUE(read_file(folder / "first.onnx") == read_file(folder / "second.onnx"));
  ASSERT_EQ(run({"network", "first.onnx", "--export", "third.onnx"}).exit_code, 0);
  EXPECT_FALSE(read_file(folder / "first.onnx") == read_file(folder / "third.onnx"));
}

}  // namespace
}  // namespace duet::testing
