#pragma once
/// Small random workloads with an architecture that can run them and a valid mapping, ragged ones among them: what the
/// oracle can execute.

#include <cstdint>

#include "hw_models/cost_model.hpp"

namespace duet::testing {

struct MappingCase {
  Einsum einsum;
  Architecture architecture;
  Mapping mapping;
};

/// A pure function of both numbers. At most 400 multiply-accumulates and 4 levels; every level has ports of half a word per
/// cycle, unbounded capacity and energies of 0.
MappingCase random_mapping_case(std::uint64_t seed, std::uint64_t index);

}  // namespace duet::testing
