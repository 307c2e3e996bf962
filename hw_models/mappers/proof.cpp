#include "hw_models/mappers/proof.hpp"

#include <fmt/format.h>
#include <ostream>

namespace duet {
namespace {

std::string factors(const FactorVector& values, std::size_t count) {
  return fmt::format("{}",
                     fmt::join(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count), " "));
}

std::string optional_number(const std::optional<double>& number) {
  return number ? fmt::format("{}", *number) : "-";
}

std::string named(const std::map<std::string, std::int64_t>& values) {
  std::string text = fmt::format("{}", values.size());
  for (const auto& [name, factor] : values) text += fmt::format(" {} {}", name, factor);
  return text;
}

std::string names(const std::optional<std::vector<std::string>>& list) {
  if (!list) return "-";
  std::string text = fmt::format("{}", list->size());
  for (const std::string& name : *list) text += " " + name;
  return text;
}

}  // namespace

void write_proof(const CostModel& model, const Objective& objective, const MapperResult& result,
                 const ObjectiveValue& claimed_bound, const std::vector<ProofNode>& nodes,
                 std::ostream& out) {
  const Einsum& einsum = model.einsum();
  const Architecture& architecture = model.architecture();
  const std::size_t count = einsum.dimensions.size();
  out << "duet-proof 1\n";
  out << fmt::format("footprint {}\n", model.options().footprint == Footprint::box ? "box" : "distinct");
  out << fmt::format("objective {} {} {}\n", to_string(objective.kind), objective.per_second,
                     objective.per_joule);
  out << fmt::format("dimensions {}\n", count);
  for (const Dimension& dimension : einsum.dimensions)
    out << fmt::format("dimension {} {}\n", dimension.name, dimension.size);
  for (std::size_t t = 0; t < tensor_count; ++t) {
    out << fmt::format("tensor {} {}\n", to_string(all_tensors[t]), einsum.tensors[t].axes.size());
    for (const IndexExpression& axis : einsum.tensors[t].axes) {
      out << fmt::format("axis {}", axis.size());
      for (const IndexTerm& term : axis) out << fmt::format(" {} {}", term.dimension, term.coefficient);
      out << "\n";
    }
  }
  out << fmt::format("architecture {} {}\n", architecture.clock_hz, architecture.levels.size());
  constexpr std::array<std::string_view, 3> policies{"free", "keep", "bypass"};
  for (const StorageLevel& level : architecture.levels) {
    const LevelConstraints& wanted = level.constraints;
    out << fmt::format("level {} {}\n", level.mesh_x, level.mesh_y);
    out << fmt::format("capacity {} {}\n",
                       level.capacity_bits ? fmt::format("{}", *level.capacity_bits) : "-",
                       level.multiple_buffering);
    out << fmt::format("words {} block {}\n", fmt::join(level.word_bits, " "), level.block_bits);
    out << fmt::format("bandwidth {} {} {}\n", optional_number(level.read_bandwidth),
                       optional_number(level.write_bandwidth), optional_number(level.shared_bandwidth));
    out << fmt::format("policy {} {} {}\n", policies[static_cast<std::size_t>(level.policy[0])],
                       policies[static_cast<std::size_t>(level.policy[1])],
                       policies[static_cast<std::size_t>(level.policy[2])]);
    out << fmt::format("network {} {}\n", level.multicast ? 1 : 0, level.reduction ? 1 : 0);
    out << fmt::format("energy {} {} {} {}\n", level.energy.read_j, level.energy.write_j,
                       level.energy.update_j, level.energy.leak_j);
    out << fmt::format("temporal {}\n", named(wanted.temporal_factors));
    out << fmt::format("x {} {}\n", named(wanted.x_factors), names(wanted.x_dimensions));
    out << fmt::format("y {} {}\n", named(wanted.y_factors), names(wanted.y_dimensions));
    out << fmt::format("order {}\n", names(wanted.order));
    out << fmt::format("least {} {}\n", wanted.min_capacity_utilization, wanted.min_fanout_utilization);
  }
  out << fmt::format("compute {} {} {}\n", architecture.compute.mesh_x, architecture.compute.mesh_y,
                     architecture.compute.energy_j);
  for (std::size_t l = 0; l < architecture.levels.size(); ++l) {
    const LevelMapping& level = result.mapping->levels[l];
    std::string order;
    for (std::size_t d = 0; d < count; ++d) order += fmt::format(" {}", level.order[d]);
    out << fmt::format("mapping {} temporal {} order{} x {} y {} keep {} {} {}\n", l,
                       factors(level.temporal, count), order, factors(level.x, count),
                       factors(level.y, count), level.keep[0] ? 1 : 0, level.keep[1] ? 1 : 0,
                       level.keep[2] ? 1 : 0);
  }
  out << fmt::format("claim value {} {} cycles {} energy {} bound {} {}\n", result.value.first,
                     result.value.second, result.cost.cycles, result.cost.energy_j, claimed_bound.first,
                     claimed_bound.second);
  out << fmt::format("nodes {}\n", nodes.size());
  for (const ProofNode& node : nodes) {
    out << "node spread";
    for (const FactorVector& spread : node.spreads) out << " " << factors(spread, count);
    out << " delivered";
    for (const auto& counts : node.delivered)
      out << fmt::format(" {} {} {}", counts[0], counts[1], counts[2]);
    out << fmt::format(" cycles {} bound {} {}\n", node.cycles, node.bound.first, node.bound.second);
  }
  out << "end\n";
}

}  // namespace duet
