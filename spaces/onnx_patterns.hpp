#pragma once
/// Functions that ONNX files spell out in several nodes: Gelu, normalisations, products with weights and a bias.

#include <string>
#include <unordered_map>
#include <vector>

#include "spaces/onnx_graph.hpp"

namespace onnx {
class GraphProto;
}

namespace duet::onnx_graph {

/// Functions that files spell out in several nodes.
struct Pattern {
  enum class Kind { gelu, silu, hard_swish, layer_normalization, rms_normalization, biased_linear, transposed_matmul };
  Kind kind;
  std::string input;
  std::vector<const onnx::NodeProto*> nodes = {};  ///< all but the last
  std::vector<std::string> weights = {};        ///< in the order of the operator's tensors
  float epsilon = 1e-5F;                           ///< of a normalisation
  bool by_tanh = false;                            ///< a Gelu that is only nearly that by erf
};

struct Patterns {
  std::unordered_map<const onnx::NodeProto*, Pattern> ends;                    ///< by their last node
  std::unordered_map<const onnx::NodeProto*, const onnx::NodeProto*> part_of;  ///< the last node by the others
};

/// How often a value is used: by nodes, what these hold, and as an output.
using Uses = std::unordered_map<std::string, int>;

/// `values` are what is known before the graph's first node.
Patterns find_patterns(const onnx::GraphProto& graph, const Values& values, const Uses& uses);

}  // namespace duet::onnx_graph
