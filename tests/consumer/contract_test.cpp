// contract_test PLUGIN.so: duet's contract tests on every strategy and estimator that a plug-in brings.

#include <cstdio>
#include <string>

#include <gtest/gtest.h>

#include "experiments/plugin.hpp"
#include "tests/contracts/estimator_contract.hpp"
#include "tests/contracts/strategy_contract.hpp"

namespace {

std::string plugin_file;

TEST(Contract, Holds) {
  const duet::Registry builtin = duet::builtin_registry();
  duet::Registry registry = duet::builtin_registry();
  duet::load_plugin(plugin_file, registry);
  int checked = 0;
  for (const std::string& name : registry.strategies.names()) {
    if (builtin.strategies.find(name) != nullptr) continue;
    duet::contracts::expect_strategy_contract(registry.strategies.at(name));
    ++checked;
  }
  const bool has_machine = registry.spaces.find("roofline") != nullptr;
  const auto space = duet::DesignSpace::read(
      duet::Config::parse(has_machine ? "{network: {type: cnn}, accelerator: {type: roofline}}" : "{network: {type: cnn}}",
                          "space.yaml"),
      registry.spaces);
  for (const std::string& name : registry.estimators.names()) {
    if (builtin.estimators.find(name) != nullptr) continue;
    const duet::EstimatorPlugin& plugin = registry.estimators.at(name);
    const duet::Environment environment{1, ".", &space};
    duet::contracts::expect_estimator_contract(plugin, duet::Options::defaults(plugin.options, name), environment);
    ++checked;
  }
  EXPECT_GT(checked, 0) << "the plug-in brings nothing";
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 2) {
    std::fprintf(stderr, "usage: contract_test PLUGIN.so\n");
    return 2;
  }
  plugin_file = argv[1];
  return RUN_ALL_TESTS();
}
