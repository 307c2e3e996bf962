#pragma once
/// Checks the log of a certified mapping (docs/hardware/mappers.md). Shares the values (einsum, architecture) with the rest of
/// duet and no arithmetic: evaluation, bounds and search are written a second time, from docs/hardware/loop_nest.md. Nothing
/// in the log is believed but what the problem is.

#include <cstddef>
#include <iosfwd>
#include <string>

namespace duet {

struct ProofVerdict {
  bool accepted = false;
  std::size_t line = 0;     ///< of the log, where something is wrong; 0: nowhere in particular
  std::string message;      ///< one sentence: what is wrong, or what has been shown
  std::size_t parts = 0;    ///< of the mapspace that had to be searched
};

/// Reads a log to its end. Never throws for what it says. May take several times as long as the search did.
ProofVerdict check_proof(std::istream& log);

}  // namespace duet
