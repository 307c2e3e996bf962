#pragma once
/// The space `onnx_model`: networks from ONNX files, as they are. Part of duet::onnx, which needs libonnx; whoever composes
/// the catalog adds it.

#include "spaces/design_space.hpp"

namespace duet {

SpacePlugin onnx_model_space();

}  // namespace duet
