#pragma once
/// Runs of duet's own strategies through the contract's driver, which checks every call.

#include <cstdint>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "tests/contracts/strategy_contract.hpp"
#include "tests/search/standard.hpp"

namespace duet::testing {

inline contracts::StrategyDriver drive(const std::string& name, const contracts::TestProblem& problem, std::uint64_t trials,
                                       const std::string& options = "", std::uint64_t seed = 1, std::size_t window = 1) {
  contracts::DriveSettings settings;
  settings.trials = trials;
  settings.options = options;
  settings.seed = seed;
  settings.window = window;
  contracts::StrategyDriver driver(builtin_strategy(name), problem, settings);
  driver.run();
  EXPECT_THAT(driver.breaches(), ::testing::IsEmpty());
  return driver;
}

}  // namespace duet::testing
