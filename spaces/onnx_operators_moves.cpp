#include "spaces/onnx_importer.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>
#include <onnx/onnx_pb.h>

#include "spaces/onnx_folding.hpp"

namespace duet::onnx_graph {

using onnx::NodeProto;

namespace {

constexpr std::int64_t max_window = std::int64_t{1} << 31;
constexpr std::int64_t most_masked = std::int64_t{1} << 24;  // elements of a mask

}  // namespace

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
  auto known_indices = known_integers(node, 1);
  for (std::int64_t& index : known_indices ? *known_indices : known_indices.emplace()) {
    const std::int64_t asked = index;
    if (index < 0) index += table[at];
    if (index < 0 || index >= table[at]) throw Refusal(fmt::format("index {} is out of range", asked));
  }
  if (known_indices->size() == 1) {
    Slice op{Ints(table.size(), 0), table, Ints(table.size(), 1)};
    op.starts[at] = known_indices->front();
    op.extents[at] = 1;
    extents(op.extents);
    const NodeId x = input(node, 0);
    if (indices.size() == 1) return finish(node, op, {x});
    const NodeId one = add(node, "slice", op, {x});
    return finish(node, Reshape{extents(output_shape(node))}, {one});
  }
  if (gather_runs(node, at, *known_indices)) return;
  other(node, "moves data");
}

/// Known indices are few runs of equal steps: slices, joined.
bool Importer::gather_runs(const NodeProto& node, std::size_t axis, const Ints& indices) {
  constexpr std::size_t most_runs = 64;
  const Shape table = shape(node, 0);
  std::vector<Slice> runs;
  for (std::size_t i = 0; i < indices.size();) {
    std::size_t end = i + 1;
    const std::int64_t step = end < indices.size() ? indices[end] - indices[i] : 0;
    while (step != 0 && end < indices.size() && indices[end] - indices[end - 1] == step) ++end;
    Slice run{Ints(table.size(), 0), table, Ints(table.size(), 1)};
    run.starts[axis] = indices[i];
    run.extents[axis] = static_cast<std::int64_t>(end - i);
    if (end - i > 1) run.steps[axis] = step;
    runs.push_back(std::move(run));
    if (runs.size() > most_runs) return false;
    i = end;
  }
  if (runs.empty()) return false;
  const NodeId x = input(node, 0);
  NodeIds rest;
  for (std::size_t i = 1; i < runs.size(); ++i) rest.push_back(add(node, "run", runs[i], {x}));
  Chain chain(*this, node, x);
  chain.then("run", runs.front());
  if (!rest.empty()) chain.then("joined", Concat{static_cast<std::int64_t>(axis)}, rest);
  chain.reshape(extents(output_shape(node))).finish();
  return true;
}

void Importer::pad(const NodeProto& node) {
  const Shape x_shape = shape(node, 0);
  auto pads = list(node, "pads", 1);
  if (!pads || pads->size() != 2 * x_shape.size()) throw Refusal("pads do not fit the input");
  const auto middle = pads->begin() + static_cast<std::ptrdiff_t>(x_shape.size());
  NodeId x = input(node, 0);
  if (std::any_of(pads->begin(), pads->end(), [](std::int64_t p) { return p < 0; })) {  // cuts off
    Slice rest{Ints(x_shape.size(), 0), x_shape, Ints(x_shape.size(), 1)};
    for (std::size_t i = 0; i < 2 * x_shape.size(); ++i) {
      const std::size_t axis = i % x_shape.size();
      const std::int64_t cut = std::min(-std::min<std::int64_t>((*pads)[i], 0), x_shape[axis]);
      if (i < x_shape.size()) rest.starts[axis] = cut;
      rest.extents[axis] -= cut;
      (*pads)[i] = std::max<std::int64_t>((*pads)[i], 0);
    }
    if (std::any_of(rest.extents.begin(), rest.extents.end(), [](std::int64_t left) { return left < 1; })) {
      throw Refusal(fmt::format("cuts off more than {} has", to_string(x_shape)));
    }
    x = add(node, "cut", rest, {x});
  }
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

void Importer::depth_and_space(const NodeProto& node) {
  const Shape from = shape(node, 0);
  const std::int64_t block = integer(node, "blocksize", 0);
  if (from.size() != 4 || block < 1 || block > max_window) throw Refusal("needs an image and a block size");
  const std::int64_t square = block * block;
  const bool to_space = node.op_type() == "DepthToSpace";
  if (to_space ? from[1] % square != 0 : from[2] % block != 0 || from[3] % block != 0) {
    throw Refusal(fmt::format("blocks of {} do not fit {}", block, to_string(from)));
  }
  Chain chain(*this, node, input(node, 0));
  if (!to_space) {
    chain.then("blocks", Reshape{{from[0], from[1], from[2] / block, block, from[3] / block, block}}).transpose({0, 3, 5, 1, 2, 4});
  } else if (text(node, "mode", "DCR") == "CRD") {
    chain.then("blocks", Reshape{{from[0], from[1] / square, block, block, from[2], from[3]}}).transpose({0, 1, 4, 2, 5, 3});
  } else {
    chain.then("blocks", Reshape{{from[0], block, block, from[1] / square, from[2], from[3]}}).transpose({0, 3, 4, 1, 5, 2});
  }
  chain.reshape(extents(output_shape(node))).finish();
}

/// Between dimensions of extent 1, along which a tensor expands.
void Importer::tile(const NodeProto& node) {
  const Shape from = shape(node, 0);
  const auto repeats = known_integers(node, 1);
  if (!repeats || repeats->size() != from.size()) return other(node, "its shape and counts only");
  Shape apart, expanded;
  for (std::size_t i = 0; i < from.size(); ++i) {
    if ((*repeats)[i] != 1) {
      apart.push_back(1);
      expanded.push_back((*repeats)[i]);
    }
    apart.push_back(from[i]);
    expanded.push_back(from[i]);
  }
  Chain chain(*this, node, input(node, 0));
  if (apart != from) chain.reshape(extents(apart)).then("repeated", Expand{extents(expanded)});
  chain.reshape(extents(output_shape(node))).finish();
}

/// libonnx knows it for scalars only.
void Importer::shape_one_hot(const NodeProto& node) {
  Value& made = values_.at(node.output(0));
  const auto depth = known_integers(node, 1);
  if (made.shape || !depth || depth->size() != 1) return;
  Shape to = shape(node, 0);
  to.insert(to.begin() + static_cast<std::ptrdiff_t>(axis_of(integer(node, "axis", -1), to.size() + 1)), depth->front());
  count_of(to);
  made.shape = to;
}

/// The elements that a mask keeps, the others 0.
void Importer::triangle(const NodeProto& node) {
  const Shape x_shape = shape(node, 0);
  const auto k = known_integers(node, 1);
  if (x_shape.size() < 2 || (has(node, 1) && (!k || k->size() != 1))) return other(node, "its shape and counts only");
  const Shape matrix(x_shape.end() - 2, x_shape.end());
  FloatTensor mask{matrix, {}};
  if (source_.wanted) {
    if (count_of(matrix) > most_masked) throw Refusal("its mask is too large");
    mask.values = triangle_of(matrix, integer(node, "upper", 1) != 0, k ? k->front() : 0);
  }
  const NodeId x = input(node, 0);
  const NodeId kept = add(node, "mask", Constant{matrix, false}, {}, {std::move(mask)});
  const NodeId zero = add(node, "zero", Zeros{{1}}, {});
  finish(node, Elementwise{"where"}, {kept, x, zero});
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
  if (extents(output_shape(node)).size() != extents(x_shape).size()) throw Refusal("its output has another number of dimensions");
  const std::string mode = text(node, "mode", "nearest");
  const auto coordinates = coordinates_of(node, x_shape, output_shape(node));
  if (!coordinates) approximate("its coordinates are not kept");
  finish(node, Resize{extents(output_shape(node)), mode, coordinates.value_or("half_pixel")}, {input(node, 0)});
}

/// Where elements come from, if a Resize of the network can say it.
std::optional<std::string> Importer::coordinates_of(const NodeProto& node, const Shape& from, const Shape& to) {
  const bool old = node.op_type() == "Upsample" || opset_ < 11;
  const std::string mode = text(node, "mode", "nearest");
  const std::string coordinates = old ? "asymmetric" : text(node, "coordinate_transformation_mode", "half_pixel");
  const std::string rounding = old ? "floor" : text(node, "nearest_mode", "round_prefer_floor");
  const int input = old ? 1 : 2;
  const auto scales = known(node, input);
  if (has(node, input) && !scales) return std::nullopt;
  bool whole = true, larger_than_one = true, scaled = true;
  for (std::size_t i = 0; i < from.size(); ++i) {
    whole = whole && to[i] % from[i] == 0;
    larger_than_one = larger_than_one && to[i] > 1;
    // What a scale leaves of an element moves all the others.
    scaled = scaled && (!scales || scales->size() != from.size() ||
                        std::abs((*scales)[i] * static_cast<double>(from[i]) - static_cast<double>(to[i])) <= 1e-4);
  }
  const bool nearest = mode == "nearest";
  if (!nearest && mode != "linear" && mode != "cubic") return std::nullopt;
  if (mode == "cubic" && (real(node, "cubic_coeff_a", -0.75) != -0.75 || integer(node, "exclude_outside", 0) != 0)) {
    return std::nullopt;
  }
  if (!scaled) return std::nullopt;
  if (coordinates == "align_corners") return nearest ? std::nullopt : std::optional<std::string>("align_corners");
  if (nearest && whole && coordinates == "asymmetric" && rounding == "floor") return "half_pixel";  // the same there
  if (coordinates == "asymmetric") return nearest && rounding != "floor" ? std::nullopt : std::optional<std::string>("asymmetric");
  if (coordinates != "half_pixel" && !(coordinates == "pytorch_half_pixel" && larger_than_one)) return std::nullopt;
  return nearest && rounding != "round_prefer_floor" ? std::nullopt : std::optional<std::string>("half_pixel");
}

}  // namespace duet::onnx_graph
