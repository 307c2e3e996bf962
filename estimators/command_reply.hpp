#pragma once
/// What the program of the estimator `command` wrote: bytes of any kind, and what they mean.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/evaluation.hpp"
#include "estimators/declared_metrics.hpp"

namespace duet {

/// ": <the end of standard error, on one line>", or nothing if it is empty.
std::string error_excerpt(std::string_view error);

/// The sentence in {"error": "…"}, if the output is that.
std::optional<std::string> reported_error(const std::string& output);

/// The values in {"metrics": {…}}, one per metric, or a failure with its reason. Never throws but for want of memory;
/// replies nested deeper than 64 levels are none. `program` names it in messages, `error` is its error_excerpt().
Evaluation read_reply(const std::string& output, std::span<const DeclaredMetric> metrics, std::string_view program,
                      std::string_view error);

}  // namespace duet
