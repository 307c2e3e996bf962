#include "spaces/cell_graph.hpp"

#include <algorithm>
#include <bitset>
#include <fmt/format.h>

namespace duet {

std::size_t CellGraph::in_degree(std::size_t vertex) const {
  return std::bitset<max_vertices>(sources_[vertex]).count();
}

std::size_t CellGraph::edges() const {
  std::size_t count = 0;
  for (std::size_t v = 0; v < size(); ++v) count += in_degree(v);
  return count;
}

std::vector<std::size_t> CellGraph::on_paths() const {
  std::uint32_t reached = 1, useful = std::uint32_t{1} << (size() - 1);
  for (std::size_t v = 1; v < size(); ++v) {
    if ((sources_[v] & reached) != 0) reached |= std::uint32_t{1} << v;
  }
  for (std::size_t v = size(); v-- > 0;) {
    if ((useful >> v & 1) != 0) useful |= sources_[v];
  }
  std::vector<std::size_t> result;
  if ((reached >> (size() - 1) & 1) == 0) return result;
  for (std::size_t v = 0; v < size(); ++v) {
    if ((reached & useful) >> v & 1) result.push_back(v);
  }
  return result;
}

CellGraph CellGraph::induced(const std::vector<std::size_t>& vertices) const {
  CellGraph result(vertices.size());
  for (std::size_t to = 0; to < vertices.size(); ++to) {
    for (std::size_t from = 0; from < to; ++from) {
      if (edge(vertices[from], vertices[to])) result.connect(from, to);
    }
  }
  return result;
}

EdgeParameters::EdgeParameters(std::size_t vertices) : vertices_(vertices) {
  for (std::size_t to = 1; to < vertices; ++to) {
    for (std::size_t from = 0; from < to; ++from) edges_.push_back({from, to, fmt::format("edge_{}_{}", to, from)});
  }
}

void EdgeParameters::fix(const CellGraph& graph) {
  for (Edge& edge : edges_) edge.least = edge.most = graph.edge(edge.from, edge.to) ? 1 : 0;
}

std::vector<SpaceNode> EdgeParameters::nodes() const {
  std::vector<SpaceNode> nodes;
  for (const Edge& edge : edges_) {
    nodes.push_back(integer(edge.name, edge.least, edge.most, "1",
                            fmt::format("Whether vertex {} reads vertex {}.", edge.to, edge.from)));
  }
  return nodes;
}

CellGraph EdgeParameters::read(const Assignment& assignment) const {
  CellGraph graph(vertices_);
  for (const Edge& edge : edges_) {
    if (assignment.integer(edge.name) != 0) graph.connect(edge.from, edge.to);
  }
  return graph;
}

PartQuantity EdgeParameters::quantity() const {
  return {"edges", "1", "Edges on paths from the cell's input to its output; 0 where there is no path.",
          [edges = *this](const Assignment& assignment) {
            const CellGraph graph = edges.read(assignment);
            const std::vector<std::size_t> vertices = graph.on_paths();
            return vertices.empty() ? 0.0 : static_cast<double>(graph.induced(vertices).edges());
          }};
}

}  // namespace duet
