#pragma once
/// What a network computes, number by number: the reference that files, transformations and other libraries are compared
/// with. For checks, not for speed.

#include <cstdint>
#include <string>
#include <vector>

#include "spaces/network.hpp"
#include "spaces/weights.hpp"

namespace duet {

/// Runs a network. `inputs` are those of its Input nodes, in the order of their ids; the result is the network's output,
/// or one tensor for every input of a last `Outputs`. Numbers between nodes are floats, sums and products within a node
/// are doubles, in a fixed order: the same bits on every run. Integers (indices) are exact up to 2^24. A node's memory is
/// released after its last use.
/// \throws NetworkError that names the node: an input that does not fit, weights that do not (see `check`), an index
/// outside its table, or what is known by name only (`Other`, and functions of types of words: cast, quantize_linear, …).
std::vector<FloatTensor> execute(const Network& network, const NetworkWeights& weights,
                                 const std::vector<FloatTensor>& inputs);

/// Whether execute() knows what the node computes, given weights.
bool is_executable(const Node& node);

/// What one element of a resampled dimension takes from the elements before.
struct InterpolationTap {
  std::int64_t source = 0;
  double weight = 1;
};

/// Of element `i` of `out`, of a dimension that had `in`: ONNX's Resize (Keys, "Cubic convolution interpolation for digital
/// image processing", 1981, with a = −0.75).
std::vector<InterpolationTap> interpolation_taps(const Resize& op, std::int64_t i, std::int64_t in, std::int64_t out);

}  // namespace duet
