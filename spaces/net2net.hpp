#pragma once
/// Transformations that change a network and leave its function as it is, so that a search can go on with what a smaller
/// network has learned (Chen, Goodfellow, Shlens, "Net2Net: accelerating learning via knowledge transfer", ICLR 2016; used
/// as actions by Cai et al., "Efficient architecture search by network transformation", AAAI 2018).
///
/// The same for all: `network` and `weights` belong together (see `check`); the result computes the same outputs for the
/// same inputs, up to what rounding makes of sums in another order; nodes that do not change keep their names.
/// \throws NetworkError that names the node where the transformation does not apply.

#include <cstdint>

#include "spaces/network.hpp"
#include "spaces/weights.hpp"

namespace duet {

/// A network and what it has learned.
struct WeightedNetwork {
  Network network;
  NetworkWeights weights;
};

/// Net2WiderNet (section 2.2): a convolution of one group, or a linear layer over features, gets `width` outputs: its own
/// and copies of ones drawn at random by `seed`; whoever reads a value that is there k times takes the k-th part of each.
/// Copies pass through normalisations, activations, poolings, depthwise convolutions, flattening and joining. Where the
/// layer's values are added to or multiplied with others, the layers that make those are widened alike.
/// Refused where copies reach the output, an operator that mixes channels otherwise, or values that cannot be widened.
WeightedNetwork widen(const Network& network, const NetworkWeights& weights, NodeId layer, std::int64_t width,
                      std::uint64_t seed);

struct Deepening {
  std::int64_t kernel = 3;    ///< of a convolution, odd
  bool normalization = true;  ///< batch normalisation after it, which does nothing at first
  bool relu = true;           ///< ReLU after that; only where values are not negative already
};

/// Net2DeeperNet (section 2.3): an identity layer after `node`: a convolution with identity kernels for images, a linear
/// layer for features. Exact but for the rounding of the normalisation.
WeightedNetwork deepen(const Network& network, const NetworkWeights& weights, NodeId node, const Deepening& deepening = {});

/// Adds to the value of `to` a convolution (for features a linear layer) of the value of `from`, all of whose weights are 0:
/// a skip connection that training may open (the zero initialisation of Wei et al., "Network morphism", ICML 2016, section
/// 3). `from` stands before `to`, at its size or a multiple of it, which becomes the stride; `kernel` is odd. Exact.
WeightedNetwork add_skip_connection(const Network& network, const NetworkWeights& weights, NodeId from, NodeId to,
                                    std::int64_t kernel = 1);

}  // namespace duet
