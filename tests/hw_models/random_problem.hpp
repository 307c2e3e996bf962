#pragma once
/// Small random workloads on random architectures with every kind of rule (policies, capacities, ports, networks,
/// constraints), for mappers to be compared with each other on.

#include <cstdint>

#include "hw_models/cost_model.hpp"
#include "hw_models/mapper.hpp"

namespace duet::testing {

struct MapperProblem {
  Einsum einsum;
  Architecture architecture;
  CostOptions options;
  Objective objective;
};

/// A pure function of both numbers. At most four dimensions above 1 and three levels; not all have a valid mapping.
MapperProblem random_problem(std::uint64_t seed, std::uint64_t index);

}  // namespace duet::testing
