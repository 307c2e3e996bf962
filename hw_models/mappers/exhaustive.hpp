#pragma once
/// `exhaustive`: evaluates every mapping of the mapspace (one of each class of equals). For small spaces, and
/// as the measure of the other mappers.

#include <memory>

#include "hw_models/mapper.hpp"

namespace duet {

/// `effort`: mappings at most; 0: a hundred million. A space that is not finished has no lower bound.
std::unique_ptr<Mapper> make_exhaustive_mapper();

}  // namespace duet
