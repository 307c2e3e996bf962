#pragma once
/// Timeloop's input files, version 0.4: architecture (with Accelergy's energy and area reference tables, ERT and ART),
/// problem and mapping, as duet's values; older forms too: sizes without `instance`, shapes by name, the lists `arithmetic`
/// and `storage`, and the lists of `nodes` of its Python front end. What duet has no word for is passed over, as Timeloop does; what it cannot
/// express is an error with position. Formats: https://timeloop.csail.mit.edu/v3 (read 2025).

#include <filesystem>
#include <optional>

#include "core/config.hpp"
#include "hw_models/cost_model.hpp"
#include "hw_models/einsum.hpp"
#include "hw_models/mapping.hpp"
#include "spaces/architecture.hpp"

namespace duet {

/// A file of Timeloop's. Tags (`!Component`) are passed over. \throws ConfigError.
Config load_timeloop(const std::filesystem::path& file);

/// Levels in the file's order, outermost first; the class whose name says mac or compute, the last one otherwise, is
/// the compute unit; classes that neither compute nor store are passed over. Energies in pJ per access of a block (`width`), areas in µm². The tables may stand in the same
/// file or in `tables`, which is searched first. \throws ConfigError.
Architecture read_timeloop_architecture(const Config& config, const std::optional<Config>& tables = std::nullopt);

/// The data space that is read and written is the output; of the others the one that is called weights, filter or kernel
/// (the first, if none is) is the weight. \throws ConfigError.
Einsum read_timeloop_problem(const Config& config);

/// Factors, permutations (leftmost innermost), splits and bypass. \throws ConfigError.
Mapping read_timeloop_mapping(const Config& config, const Einsum& einsum, const Architecture& architecture);

/// The options under which the model counts as Timeloop does.
inline CostOptions timeloop_options() { return {.footprint = Footprint::box, .as_timeloop = true}; }

}  // namespace duet
