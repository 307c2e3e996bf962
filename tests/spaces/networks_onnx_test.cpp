// Networks of the spaces of spaces/networks/, written as ONNX and read again.

#include <filesystem>
#include <gtest/gtest.h>
#include <onnx/checker.h>

#include "core/random.hpp"
#include "spaces/network_template.hpp"
#include "spaces/onnx.hpp"
#include "tests/spaces/read_space.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using namespace duet::testing;

TEST(NetworksAsOnnx, RandomOnesOfEverySpaceComeBack) {
  const TemporaryDirectory folder;
  for (const std::string& name : network_template_names()) {
    const DesignSpace space = read_space("network: {type: " + name + "}");
    for (std::uint64_t i = 0; i < 2; ++i) {
      Random random(2, "networks as onnx", i);
      const Candidate candidate = space.space().sample(random);
      SCOPED_TRACE(name + ": " + space.space().describe(candidate));
      const Network network = network_of(space, candidate);
      const std::filesystem::path file = folder / (name + ".onnx");
      export_onnx(network, file, {.external_data = name + ".weights", .zeros = true});
      EXPECT_NO_THROW(onnx::checker::check_model(file.string()));
      const OnnxImport imported = import_onnx(file);
      EXPECT_EQ(imported.network.node(imported.network.output()).shape, network.node(network.output()).shape);
      EXPECT_EQ(imported.network.macs(), network.macs());
      EXPECT_EQ(imported.network.parameters(), network.parameters());
      std::filesystem::remove(folder / (name + ".weights"));
    }
  }
}

}  // namespace
}  // namespace duet
