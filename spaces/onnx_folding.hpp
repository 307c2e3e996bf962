#pragma once
/// What nodes compute of values that are known before the network runs: arithmetic on shapes, for the most part.

#include <optional>
#include <vector>

#include "spaces/onnx_graph.hpp"

namespace duet::onnx_graph {

/// The elements of an output, where arithmetic on shapes needs them.
std::optional<std::vector<double>> evaluate(const Values& values, const onnx::NodeProto& node, int output = 0);

/// What a Slice takes; extents may be 0.
Slice slice_of(const Values& values, const onnx::NodeProto& node);

/// 1 where a Trilu keeps an element of a matrix, else 0.
std::vector<float> triangle_of(const Shape& matrix, bool upper, std::int64_t k);

}  // namespace duet::onnx_graph
