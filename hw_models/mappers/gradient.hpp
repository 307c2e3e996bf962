#pragma once
/// `gradient`: descent through the differentiable cost model (docs/hardware/mappers.md).

#include <memory>

#include "hw_models/mapper.hpp"

namespace duet {

/// Factors as real numbers, descended by Adam under several random orders, then rounded to divisors and polished. `effort`
/// counts evaluations, a step of descent as eight of them; uses one thread. After C. Hong, Q. Huang, G. Dinh, M. Subedar
/// and Y. S. Shao, "DOSA: Differentiable model-based one-loop search for DNN accelerators", MICRO 2023.
std::unique_ptr<Mapper> make_gradient_mapper();

}  // namespace duet
