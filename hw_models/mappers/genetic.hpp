#pragma once
/// `genetic`: a population of mappings (docs/hardware/mappers.md).

#include <memory>

#include "hw_models/mapper.hpp"

namespace duet {

/// Initial mappings fill the arrays first. A child takes every dimension's factors and every level's order from one of two
/// parents, is repaired, and comes as a litter of eight that differ in a few prime factors: one batch. A local search ends
/// it. `effort` counts evaluations; uses one thread. After S.-C. Kao and T. Krishna, "GAMMA: Automating the HW mapping of
/// DNN models on accelerators via genetic algorithm", ICCAD 2020.
std::unique_ptr<Mapper> make_genetic_mapper();

}  // namespace duet
