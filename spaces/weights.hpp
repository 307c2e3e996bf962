#pragma once
/// The numbers that a network has learned, beside its graph: what training makes, ONNX files hold and the reference
/// executor computes with.

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/random.hpp"
#include "spaces/network.hpp"

namespace duet {

/// Numbers in a shape, the last dimension contiguous.
struct FloatTensor {
  Shape shape;
  std::vector<float> values;  ///< as many as `elements(shape)`

  bool operator==(const FloatTensor&) const = default;
};

/// A tensor that a node holds.
struct WeightSlot {
  enum class Start { random, zeros, ones, content };

  std::string_view name;  ///< "weight", "bias", …; empty where the node is the tensor
  Shape shape;
  Start start = Start::random;
  std::int64_t fan_in = 1;  ///< inputs of one output, for random numbers
};

/// What a node holds, in this order:
///
/// | operator | tensors |
/// |---|---|
/// | convolution | weight (out, in / groups, kernel_h, kernel_w); bias (out) if it has one |
/// | transposed_convolution | weight (in, out / groups, kernel_h, kernel_w); bias (out) if it has one |
/// | linear | weight (out, in); bias (out) if it has one |
/// | batch_normalization | scale, shift, mean, variance, all (channels) |
/// | layer_normalization | scale, shift, both (features) |
/// | rms_normalization | scale (features) |
/// | embedding | table (entries, features), unless the table is its second input |
/// | constant | its value, learned or not |
///
/// All others hold nothing; what `Other` holds is not known.
std::vector<WeightSlot> weight_slots(const Network& network, NodeId id);

/// What a constant with a content holds; ones where none is said.
std::vector<float> content_of(const Constant& constant);

/// For every node of a network, by its id, the tensors of its `weight_slots`. A regular value.
using NetworkWeights = std::vector<std::vector<FloatTensor>>;

/// Draws weights before training node by node, so that those of large networks never need to be in memory together.
class InitialWeights {
 public:
  /// `network` must live as long.
  InitialWeights(const Network& network, std::uint64_t seed) : network_(network), seed_(seed) {}

  /// The tensors of the next node, in the order of ids: uniform numbers with the standard deviation √(2 / fan-in) (He et
  /// al., "Delving deep into rectifiers", ICCV 2015, eq. 10), zeros for biases, shifts and means, ones for scales and
  /// variances; constants hold their content, where none is said random numbers if they are learned and ones if not. Keyed by the seed and the number of the tensor.
  std::vector<FloatTensor> next();

 private:
  const Network& network_;
  std::uint64_t seed_;
  std::uint64_t stream_ = 0;
  NodeId id_ = 0;
};

/// All that InitialWeights draws.
NetworkWeights initial_weights(const Network& network, std::uint64_t seed);

/// \throws NetworkError that names the node whose tensors are missing, too many, or of another shape.
void check(const Network& network, const NetworkWeights& weights);

/// (a, b) as (b, a).
FloatTensor transposed(const FloatTensor& matrix);

}  // namespace duet
