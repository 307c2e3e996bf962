#pragma once
/// Shapes of a node's outputs, by libonnx.

#include <string>
#include <vector>

#include "spaces/onnx_graph.hpp"

namespace onnx {
class OpSchema;
class TypeProto;
}  // namespace onnx

namespace duet::onnx_graph {

/// The types of a node's outputs as its operator infers them from what is known of its inputs; empty ones where there is no
/// schema. `error` is why it could not, or empty. \throws Refusal for nodes that hold graphs
std::vector<onnx::TypeProto> infer_types(const onnx::OpSchema* schema, const onnx::NodeProto& node, const Values& values,
                                         std::string& error);

}  // namespace duet::onnx_graph
