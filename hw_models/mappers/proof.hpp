#pragma once
/// The log of a certified mapping, as text (format: docs/hardware/mappers.md). Written here; read and checked
/// by proof_checker.cpp, which shares no line with this.

#include <array>
#include <iosfwd>
#include <vector>

#include "hw_models/mapper.hpp"
#include "hw_models/mapspace.hpp"

namespace duet {

/// A part of the mapspace that had to be solved: the spread of every fan-out, how many different tiles it
/// delivers of each tensor, the least cycles of its ports, and what it costs at least before solving.
struct ProofNode {
  std::vector<FactorVector> spreads;
  std::vector<std::array<double, tensor_count>> delivered;
  double cycles = 0;
  ObjectiveValue bound;
};

/// \pre result.mapping
void write_proof(const CostModel& model, const Objective& objective, const MapperResult& result,
                 const ObjectiveValue& claimed_bound, const std::vector<ProofNode>& nodes, std::ostream& out);

}  // namespace duet
