#pragma once
/// How far apart two networks are as graphs of operators: the cheapest edits that turn one into the other.

#include <cstddef>

#include "spaces/network.hpp"

namespace duet {

/// What the edits cost. As long as operation ≤ 2·node, attributes ≤ operation and all are positive, the distance is a
/// metric on networks up to isomorphism.
struct EditCosts {
  double node = 1;          ///< adding or removing a node
  double operation = 1;     ///< making a node another operator
  double attributes = 0.5;  ///< changing all attributes of a node; of a convolution's seven, a share of it for each
  double edge = 0.5;        ///< adding or removing an edge
};

struct EditSearch {
  std::size_t exact_nodes = 40;   ///< networks with more nodes get bounds only; at most 64
  std::size_t states = 200'000;   ///< of the exact search before it gives up
  std::size_t assigned_nodes = 1'500;  ///< networks with more get bounds that are weaker, in time that grows almost linearly
};

/// The distance is in [lower, upper]; both are the distance itself where it is known.
struct EditDistance {
  double lower = 0, upper = 0;
  bool exact() const { return lower == upper; }
};

/// Of what reaches the output. An edge leads from a node to one that reads it; the order of inputs does not matter, but a
/// value that is read twice has two edges. Names and the order of nodes do not matter.
///
/// Small networks: A* over the assignments of nodes, exact (Riesen, Fankhauser, Bunke, "Speeding up graph edit distance
/// computation with a bipartite heuristic", MLG 2007), and where it has looked at `states` partial assignments the bound
/// that it has reached. Others: the bipartite approximation, an assignment of nodes with what their own edges cost at least
/// (Riesen and Bunke, "Approximate graph edit distance computation by means of bipartite graph matching", Image and Vision
/// Computing 27 (2009)); the edits that the assignment means, after a local search (Riesen and Bunke, "Improving bipartite
/// graph edit distance approximation using various search strategies", Pattern Recognition 48 (2015)), are an upper bound,
/// and with each edge shared between its ends its cost is a lower one (Riesen, Fischer, Bunke, "Estimating graph edit
/// distance using lower and upper bounds of bipartite approximations", IJPRAI 29 (2015)). Its time grows with the cube of the
/// nodes: above `assigned_nodes` the lower bound only counts operators, attributes and edges, and the upper one is of an
/// assignment in order of nodes with equal neighbourhoods (those of the Weisfeiler-Lehman kernel), without local search.
///
/// Deterministic and symmetric. \throws NetworkError for an empty network.
EditDistance edit_distance(const Network& a, const Network& b, const EditCosts& costs = {}, const EditSearch& search = {});

}  // namespace duet
