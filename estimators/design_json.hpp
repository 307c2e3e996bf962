#pragma once
/// Designs as JSON, for programs outside: docs/estimators/command.md describes the form.

#include <nlohmann/json_fwd.hpp>

#include "spaces/design_space.hpp"

namespace duet {

/// {"version": 1, "design": {"parameters": …, "labels": …}, "network": …, "accelerator": …}. \throws
/// NetworkError as the design's accessors do.
nlohmann::json request_json(const Design& design);

/// {"nodes": [{"name", "op", "inputs", "shape", attributes…}], "output", "parameters", "macs"}
nlohmann::json to_json(const Network& network);

/// {"type": "systolic_array", the fields of SystolicArray…} or {"type": "architecture", "levels": [outermost first],
/// "compute", …}
nlohmann::json to_json(const Accelerator& accelerator);

}  // namespace duet
