#pragma once
/// What nodes compute of values that are known before the network runs: arithmetic on shapes, for the most part.

#include <optional>
#include <vector>

#include "spaces/onnx_graph.hpp"

namespace duet::onnx_graph {

/// The elements of the first output, where arithmetic on shapes needs them.
std::optional<std::vector<double>> evaluate(const Values& values, const onnx::NodeProto& node);

/// What a Slice takes; extents may be 0.
Slice slice_of(const Values& values, const onnx::NodeProto& node);

}  // namespace duet::onnx_graph
