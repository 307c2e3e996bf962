#pragma once
/// The order in which a graph's nodes are imported.

#include <vector>

namespace onnx {
class GraphProto;
class NodeProto;
}  // namespace onnx

namespace duet::onnx_graph {

/// Nodes after those whose outputs they use: the file's order, if it is one, as it should be.
std::vector<const onnx::NodeProto*> in_order(const onnx::GraphProto& graph);

}  // namespace duet::onnx_graph
