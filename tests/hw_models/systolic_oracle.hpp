#pragma once
/// Brute-force simulation of the definition in docs/hardware/systolic_array.md: walks every processing
/// element, every element of every fold and every transfer, group after group. Slow, simple, and without any
/// code in common with hw_models/systolic.cpp.

#include "hw_models/systolic.hpp"

namespace duet::testing {

/// All fields of SystolicCost, by counting.
SystolicCost simulate(const SystolicWorkload& workload, const SystolicArray& array);

}  // namespace duet::testing
