#pragma once
/// Beginning where an earlier experiment ended: its best designs become trials of the new one, also where the two spaces
/// are not the same.

#include <cstdint>
#include <string>
#include <vector>

#include "core/config.hpp"
#include "core/evaluation.hpp"
#include "core/space.hpp"

namespace duet {

struct WarmStart {
  std::vector<Candidate> designs;  ///< best first, valid and different
  std::size_t dropped = 0;         ///< designs that the new space does not have
  std::string sentence;            ///< what came of it, for people
};

/// What the new experiment asks for.
struct WarmStartTarget {
  std::string metric;
  Direction direction = Direction::minimize;
};

/// Reads {database, experiment, best} (docs/experiment_file.md) and takes the `best` feasible trials: by non-dominated
/// rank, then by crowding, in the new experiment's objectives if the earlier one recorded all of them, in its own
/// otherwise. Values are carried over by the parameters' paths. A parameter that the earlier space does not have is
/// drawn; a design with a value that the new space does not have, or that violates its constraints, is dropped and
/// counted. \throws ConfigError if there is no such database or experiment, or if the spaces have no parameter in common.
WarmStart read_warm_start(const Config& config, const Space& space, const std::vector<WarmStartTarget>& objectives,
                          std::uint64_t seed);

}  // namespace duet
