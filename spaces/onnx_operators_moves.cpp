#include "spaces/onnx_importer.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>
#include <onnx/onnx_pb.h>

#include "spaces/onnx_folding.hpp"

namespace duet::onnx_graph {

using onnx::NodeProto;

void Importer::concat(const NodeProto& node) {
  std::vector<NodeId> inputs;
  for (int i = 0; i < node.input_size(); ++i) {
    const Shape& part = shape(node, i);
    if (std::find(part.begin(), part.end(), 0) != part.end()) continue;  // adds nothing
    inputs.push_back(input(node, i));
  }
  if (inputs.empty()) throw Refusal("has no elements");
  const std::int64_t axis = integer(node, "axis", 1);
  axis_of(axis, shape(node, 0).size());
  finish(node, Concat{axis}, inputs);
}

void Importer::flatten(const NodeProto& node) {
  const Shape x_shape = shape(node, 0);
  const NodeId x = input(node, 0);
  const std::int64_t axis = integer(node, "axis", 1);
  if (axis == 1 && x_shape.size() > 1) return finish(node, Flatten{}, {x});
  finish(node, Reshape{extents(output_shape(node))}, {x});
}

void Importer::reshape(const NodeProto& node) {
  const NodeId x = input(node, 0);
  const Shape& to = output_shape(node);
  finish(node, Reshape{extents(to)}, {x});
}

void Importer::transpose(const NodeProto& node) {
  const std::size_t rank = shape(node, 0).size();
  const NodeId x = input(node, 0);
  if (rank == 0) return finish(node, Identity{}, {x});
  Ints permutation(rank);
  std::iota(permutation.rbegin(), permutation.rend(), 0);
  finish(node, Transpose{integers(node, "perm").value_or(permutation)}, {x});
}

void Importer::split(const NodeProto& node) {
  const Shape x_shape = shape(node, 0);
  const std::size_t axis = axis_of(integer(node, "axis", 0), x_shape.size());
  const int parts = node.output_size();
  std::optional<Ints> sizes = list(node, "split", 1);
  if (!sizes) {
    if (x_shape[axis] % parts != 0) throw Refusal(fmt::format("{} does not divide into {}", x_shape[axis], parts));
    sizes = Ints(static_cast<std::size_t>(parts), x_shape[axis] / parts);
  }
  if (sizes->size() != static_cast<std::size_t>(parts)) throw Refusal("has another number of outputs than sizes");
  const NodeId x = input(node, 0);
  Slice piece{Ints(x_shape.size(), 0), x_shape, Ints(x_shape.size(), 1)};
  for (int i = 0; i < parts; ++i) {
    piece.extents[axis] = (*sizes)[static_cast<std::size_t>(i)];
    if (!node.output(i).empty() && piece.extents[axis] > 0) {
      const std::string name = parts == 1 ? label(node) : node.output(i);
      set_output(node, network_.add(unique(name), piece, {x}), i);
    }
    piece.starts[axis] += piece.extents[axis];
  }
}

void Importer::slice(const NodeProto& node) {
  const Slice op = slice_of(values_, node);
  extents(op.extents);
  const NodeId x = input(node, 0);
  finish(node, op, {x});
}

void Importer::gather(const NodeProto& node) {
  const Shape table = shape(node, 0), indices = shape(node, 1);
  const std::int64_t axis = integer(node, "axis", 0);
  const std::size_t at = axis_of(axis, table.size());
  Value& source = value(node, 0);
  if (source.constant && at == 0 && table.size() == 2 && is_float(source.type)) {
    const NodeId index = input(node, 1);
    const Embedding op{table[0], table[1]};
    std::vector<NodeId> inputs{index};
    const bool shared = uses_[node.input(0)] > 1;
    if (!indices.empty() && source.learned) {
      if (shared) inputs.push_back(input(node, 0));
      std::vector<FloatTensor> tensors;
      if (!shared) tensors.push_back(tensor(node, 0, table));
      return finish(node, op, inputs, std::move(tensors));
    }
  }
  const auto known_indices = known_integers(node, 1);
  if (known_indices && known_indices->size() == 1) {
    std::int64_t index = known_indices->front();
    if (index < 0) index += table[at];
    if (index < 0 || index >= table[at]) throw Refusal(fmt::format("index {} is out of range", known_indices->front()));
    Slice op{Ints(table.size(), 0), table, Ints(table.size(), 1)};
    op.starts[at] = index;
    op.extents[at] = 1;
    extents(op.extents);
    const NodeId x = input(node, 0);
    if (indices.size() == 1) return finish(node, op, {x});
    const NodeId one = add(node, "slice", op, {x});
    return finish(node, Reshape{extents(output_shape(node))}, {one});
  }
  other(node, "moves data");
}

void Importer::pad(const NodeProto& node) {
  const Shape x_shape = shape(node, 0);
  const auto pads = list(node, "pads", 1);
  if (!pads || pads->size() != 2 * x_shape.size()) throw Refusal("pads do not fit the input");
  const auto middle = pads->begin() + static_cast<std::ptrdiff_t>(x_shape.size());
  const bool cuts = std::any_of(pads->begin(), pads->end(), [](std::int64_t p) { return p < 0; });
  NodeId x = input(node, 0);
  if (cuts) return other(node, "cuts off");
  const std::string mode = text(node, "mode", "constant");
  if (mode == "reflect" || mode == "edge") {
    return margins(node, x, Ints(pads->begin(), middle), Ints(middle, pads->end()), mode == "reflect");
  }
  if (mode != "constant") approximate("as padding with zeros");
  const auto filling = known(node, 2);
  const double number = !has(node, 2) ? real(node, "value", 0) : filling && filling->size() == 1 ? filling->front() : 1;
  if (number != 0) approximate("as padding with zeros");
  finish(node, Pad{Ints(pads->begin(), middle), Ints(middle, pads->end())}, {x});
}

/// Mirrored margins are pieces of the input, backwards; others its first and last elements, repeated.
void Importer::margins(const NodeProto& node, NodeId x, const Ints& before, const Ints& after, bool mirrored) {
  std::vector<std::size_t> axes;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i] > 0 || after[i] > 0) axes.push_back(i);
  }
  if (axes.empty()) return finish(node, Identity{}, {x});
  for (const std::size_t axis : axes) {
    const Shape whole_shape = network_.node(x).shape;
    const std::int64_t extent = whole_shape[axis];
    const auto margin = [&](std::int64_t size, std::int64_t start) {
      Slice piece{Ints(whole_shape.size(), 0), whole_shape, Ints(whole_shape.size(), 1)};
      piece.starts[axis] = start;
      piece.extents[axis] = mirrored ? size : 1;
      piece.steps[axis] = mirrored && size > 1 ? -1 : 1;
      const NodeId made = add(node, "margin", piece, {x});
      if (mirrored || size == 1) return made;
      Shape repeated = whole_shape;
      repeated[axis] = size;
      return add(node, "repeated", Expand{repeated}, {made});
    };
    if (mirrored && std::max(before[axis], after[axis]) >= extent) {
      throw Refusal(fmt::format("mirrors {} elements of {}", std::max(before[axis], after[axis]), extent));
    }
    std::vector<NodeId> parts;
    if (before[axis] > 0) parts.push_back(margin(before[axis], mirrored ? before[axis] : 0));
    parts.push_back(x);
    if (after[axis] > 0) parts.push_back(margin(after[axis], mirrored ? extent - 2 : extent - 1));
    const Concat joined{static_cast<std::int64_t>(axis)};
    if (axis == axes.back()) return finish(node, joined, parts);
    x = add(node, "padded", joined, parts);
  }
}

void Importer::resize(const NodeProto& node) {
  const Shape x_shape = shape(node, 0);
  Value& made = values_.at(node.output(0));
  if (!made.shape) {
    // libonnx needs scales it may not see: floor(extent · scale).
    const auto scales = node.op_type() == "Upsample" ? known(node, 1) : known(node, 2);
    const auto sizes = has(node, 3) ? known_integers(node, 3) : std::nullopt;
    if (sizes && sizes->size() == x_shape.size()) {
      made.shape = *sizes;
    } else if (scales && scales->size() == x_shape.size()) {
      made.shape.emplace();
      for (std::size_t i = 0; i < x_shape.size(); ++i) {
        const double extent = std::floor(static_cast<double>(x_shape[i]) * (*scales)[i]);
        if (!(extent >= 0 && extent < 9e15)) throw Refusal("a scale is out of range");
        made.shape->push_back(static_cast<std::int64_t>(extent));
      }
    }
  }
  const std::string mode = text(node, "mode", "nearest");
  if (!resizes_by_half_pixels(node, x_shape, output_shape(node))) approximate("its coordinates are not kept");
  finish(node, Resize{extents(output_shape(node)), mode}, {input(node, 0)});
}

/// Whether elements come from where a Resize without attributes takes them.
bool Importer::resizes_by_half_pixels(const NodeProto& node, const Shape& from, const Shape& to) {
  const bool old = node.op_type() == "Upsample" || opset_ < 11;
  const std::string mode = text(node, "mode", "nearest");
  const std::string coordinates = old ? "asymmetric" : text(node, "coordinate_transformation_mode", "half_pixel");
  const std::string rounding = old ? "floor" : text(node, "nearest_mode", "round_prefer_floor");
  const int input = old ? 1 : 2;
  const auto scales = known(node, input);
  if (has(node, input) && !scales) return false;
  bool whole = true, larger_than_one = true;
  for (std::size_t i = 0; i < from.size(); ++i) {
    whole = whole && to[i] % from[i] == 0;
    larger_than_one = larger_than_one && to[i] > 1;
    // What a scale leaves of an element moves all the others.
    if (scales && scales->size() == from.size() &&
        std::abs((*scales)[i] * static_cast<double>(from[i]) - static_cast<double>(to[i])) > 1e-4) {
      return false;
    }
  }
  if (mode == "nearest" && whole && coordinates == "asymmetric" && rounding == "floor") return true;
  if (coordinates != "half_pixel" && !(coordinates == "pytorch_half_pixel" && larger_than_one)) return false;
  if (mode == "nearest") return rounding == "round_prefer_floor";
  return mode == "linear" ||
         (mode == "cubic" && real(node, "cubic_coeff_a", -0.75) == -0.75 && integer(node, "exclude_outside", 0) == 0);
}

}  // namespace duet::onnx_graph
