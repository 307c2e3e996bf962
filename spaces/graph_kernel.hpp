#pragma once
/// How alike two networks are as graphs of operators: the Weisfeiler-Lehman subtree kernel.

#include <vector>

#include "core/fingerprint.hpp"
#include "spaces/network.hpp"

namespace duet {

struct WeisfeilerLehman {
  int rounds = 3;          ///< of refinement: neighbourhoods of this radius are compared; at least 0
  bool attributes = true;  ///< whether 3×3 and 5×5 convolutions, or 16 and 32 channels, are different operators
};

/// For every round, from 0 to `rounds`, a label for every node: first the operator, then in each round the label before
/// with those of its inputs and of its users, in any order (Shervashidze et al., "Weisfeiler-Lehman graph kernels", JMLR 12
/// (2011), algorithm 1, with edge directions told apart). Labels of different networks can be compared.
std::vector<std::vector<Fingerprint>> weisfeiler_lehman_labels(const Network& network, const WeisfeilerLehman& options = {});

/// The subtree kernel of that paper (definition 4), of what reaches the output: the number of pairs of nodes with equal
/// labels, over all rounds, divided by √(k(a, a)·k(b, b)). In [0, 1]; 1 where the labels occur in the same proportions, as
/// in isomorphic networks. Names, the order of nodes and the order of inputs do not matter. √(2 − 2k) is a distance: it
/// holds the triangle inequality. \throws NetworkError for an empty network.
double weisfeiler_lehman_similarity(const Network& a, const Network& b, const WeisfeilerLehman& options = {});

}  // namespace duet
