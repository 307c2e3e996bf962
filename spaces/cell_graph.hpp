#pragma once
/// Cells whose wiring is searched edge by edge: a directed acyclic graph of a few vertices, where each pair of vertices
/// may be an edge. What `nas_bench_101` and `dag` share.

#include <cstdint>
#include <string>
#include <vector>

#include "spaces/design_space.hpp"

namespace duet {

/// Vertices 0 (the cell's input) to size − 1 (its output); edges lead from a lower to a higher number.
class CellGraph {
 public:
  static constexpr std::size_t max_vertices = 32;

  /// Without edges. Requires 2 ≤ vertices ≤ max_vertices.
  explicit CellGraph(std::size_t vertices) : sources_(vertices, 0) {}

  std::size_t size() const { return sources_.size(); }
  /// Whether the edge is there; requires from < to < size().
  bool edge(std::size_t from, std::size_t to) const { return (sources_[to] >> from & 1) != 0; }
  void connect(std::size_t from, std::size_t to) { sources_[to] |= std::uint32_t{1} << from; }
  std::size_t in_degree(std::size_t vertex) const;
  std::size_t edges() const;

  /// The vertices on a path from the input to the output, ascending; empty where there is no such path.
  std::vector<std::size_t> on_paths() const;
  /// The graph of these vertices (ascending) and the edges among them; they are numbered anew.
  CellGraph induced(const std::vector<std::size_t>& vertices) const;

 private:
  std::vector<std::uint32_t> sources_;  ///< of each vertex: a bit for every vertex that an edge comes from
};

/// The parameters of a graph's edges, `edge_TO_FROM`: 1 where the edge is there. Ordered by TO, then FROM.
class EdgeParameters {
 public:
  explicit EdgeParameters(std::size_t vertices);

  /// Leaves this graph only. Requires a graph of that many vertices.
  void fix(const CellGraph& graph);
  std::vector<SpaceNode> nodes() const;
  CellGraph read(const Assignment& assignment) const;
  /// Quantity `edges`: those on paths from the input to the output, 0 where there is no path.
  PartQuantity quantity() const;

 private:
  struct Edge {
    std::size_t from, to;
    std::string name;
    std::int64_t least = 0, most = 1;
  };
  std::size_t vertices_;
  std::vector<Edge> edges_;
};

}  // namespace duet
