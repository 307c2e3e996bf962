#pragma once
/// A small experiment on a function, for tests of the loop and the store.

#include <filesystem>
#include <functional>
#include <string>

#include "experiments/run.hpp"
#include "experiments/specification.hpp"

namespace duet::testing {

/// The builtin registry with one more estimator, `toy`: metrics `cost_s` and `quality` (maximise), a function of the
/// parameters that fails for about one design in ten and gives NaN for some more; option `expensive` (boolean), option
/// `calls` does not exist: see toy_calls().
Registry toy_registry();

/// How often `toy` has been asked since the process began.
std::size_t toy_calls();

/// An experiment file: a conditional, repeated, constrained space of parameters, two objectives unless the strategy
/// handles one only, and a metric constraint if it handles those.
std::string toy_specification(const Registry& registry, const std::string& strategy, std::uint64_t trials = 60,
                              std::size_t window = 5);

/// Runs the text as an experiment named "toy" into `database`.
RunSummary run_text(const Registry& registry, const std::string& text, const std::filesystem::path& database,
                    const RunOptions& options = {}, const Overrides& overrides = {});

/// The reproducible CSV of the experiment begun last.
std::string reproducible_csv(const std::filesystem::path& database);

}  // namespace duet::testing
