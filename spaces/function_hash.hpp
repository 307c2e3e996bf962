#pragma once
/// A hash of what a network computes, whatever its nodes are called and in whatever order they were added.

#include "core/fingerprint.hpp"
#include "spaces/network.hpp"

namespace duet {

/// Equal for networks whose outputs are the same expression of the same inputs:
///
/// - what does not reach the output is left out, identities are skipped;
/// - sums are flattened and their terms unordered, with multiplicities: (a + b) + a equals b + 2·a; factors
/// are
///   unordered;
/// - zeros vanish from sums, and stay zeros through whatever maps zero to zero while learned offsets are zero,
/// as they
///   are before training: not through sigmoid and softmax;
/// - inputs are told apart by their order among the inputs.
///
/// Expressions are compared, not weights: the sum of two convolutions alike on the same value equals twice
/// one of them. On the cells of NAS-Bench-201 this gives 4,930 classes, each a union of the 6,466 of
/// NATS-Bench's unique strings (Dong et al., "NATS-Bench", TPAMI 2021, which keep sums apart that an identity
/// joins). Hashes of 128 bits are taken for equality of expressions. Linear in nodes, edges and the flattened
/// terms; any thread. \throws NetworkError for an empty network.
Fingerprint function_hash(const Network& network);

}  // namespace duet
