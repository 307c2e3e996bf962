#include "spaces/onnx_folding.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <onnx/onnx_pb.h>
#include <string>

#include "spaces/onnx_importer.hpp"

namespace duet::onnx_graph {
namespace {

using onnx::AttributeProto;
using onnx::NodeProto;
using onnx::TensorProto;

Ints strides_of(const Shape& of) {
  Ints strides(of.size(), 1);
  for (std::size_t i = of.size(); i-- > 1;) strides[i - 1] = strides[i] * of[i];
  return strides;
}

/// Elements at `first` and as many strides from it as there are extents; nothing where they are more than are followed.
std::optional<std::vector<double>> picked(const std::vector<double>& from, std::int64_t first, const Shape& extents,
                                          const Ints& strides) {
  const std::int64_t count = count_of(extents);
  if (count > static_cast<std::int64_t>(most_folded)) return std::nullopt;
  std::vector<double> result;
  result.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t at = first, rest = i;
    for (std::size_t axis = extents.size(); axis-- > 0;) {
      at += rest % extents[axis] * strides[axis];
      rest /= extents[axis];
    }
    result.push_back(from.at(static_cast<std::size_t>(at)));
  }
  return result;
}

/// Of equally many elements, or one.
std::optional<std::vector<double>> arithmetic(const std::string& type,
                                              const std::vector<const std::vector<double>*>& in, bool whole) {
  using Binary = double (*)(double, double);
  static const std::map<std::string, Binary> binary{
      {"Add", [](double a, double b) { return a + b; }},
      {"Sub", [](double a, double b) { return a - b; }},
      {"Mul", [](double a, double b) { return a * b; }},
      {"Div", [](double a, double b) { return a / b; }},
      {"Min", [](double a, double b) { return std::min(a, b); }},
      {"Max", [](double a, double b) { return std::max(a, b); }},
      {"Pow", [](double a, double b) { return std::pow(a, b); }},
      {"Equal", [](double a, double b) { return a == b ? 1.0 : 0.0; }},
      {"Less", [](double a, double b) { return a < b ? 1.0 : 0.0; }},
      {"Greater", [](double a, double b) { return a > b ? 1.0 : 0.0; }},
      {"Mod", [](double a, double b) { return a - std::floor(a / b) * b; }},
  };
  using Unary = double (*)(double);
  static const std::map<std::string, Unary> unary{
      {"Floor", [](double a) { return std::floor(a); }}, {"Ceil", [](double a) { return std::ceil(a); }},
      {"Sqrt", [](double a) { return std::sqrt(a); }},   {"Neg", [](double a) { return -a; }},
      {"Abs", [](double a) { return std::abs(a); }},     {"Not", [](double a) { return a == 0 ? 1.0 : 0.0; }},
  };
  std::size_t size = 1;
  for (const auto* operand : in) {
    if (operand->size() != 1 && size != 1 && operand->size() != size) return std::nullopt;
    if (operand->size() != 1) size = operand->size();
  }
  const auto at = [&in](std::size_t operand, std::size_t i) {
    return (*in[operand])[in[operand]->size() == 1 ? 0 : i];
  };
  std::vector<double> result(size);
  if (type == "Mod" && !whole) return std::nullopt;
  if (const auto found = binary.find(type); found != binary.end() && in.size() == 2) {
    for (std::size_t i = 0; i < size; ++i) {
      result[i] = found->second(at(0, i), at(1, i));
      if (whole) result[i] = std::trunc(result[i]);
      if (!std::isfinite(result[i])) return std::nullopt;
    }
    return result;
  }
  if (const auto found = unary.find(type); found != unary.end() && in.size() == 1) {
    for (std::size_t i = 0; i < size; ++i) result[i] = found->second(at(0, i));
    return result;
  }
  if (type == "Where" && in.size() == 3) {
    for (std::size_t i = 0; i < size; ++i) result[i] = at(0, i) != 0 ? at(1, i) : at(2, i);
    return result;
  }
  return std::nullopt;
}

bool all_constant(const Values& values, const NodeProto& node) {
  for (int i = 0; i < node.input_size(); ++i) {
    if (has(node, i) && !value_at(values, node, i).constant) return false;
  }
  return true;
}

bool is_random(const std::string& type) {
  return type.starts_with("Random") || type == "Bernoulli" || type == "Multinomial";
}

}  // namespace

std::vector<float> triangle_of(const Shape& matrix, bool upper, std::int64_t k) {
  std::vector<float> mask;
  for (std::int64_t row = 0; row < matrix[0]; ++row) {
    for (std::int64_t column = 0; column < matrix[1]; ++column) {
      mask.push_back((upper ? column - row >= k : column - row <= k) ? 1.0F : 0.0F);
    }
  }
  return mask;
}

Slice slice_of(const Values& values, const NodeProto& node) {
  const Shape x_shape = shape_at(values, node, 0);
  const auto starts = list_at(values, node, "starts", 1), ends = list_at(values, node, "ends", 2);
  if (!starts || !ends || starts->size() != ends->size()) throw Refusal("lacks starts or ends");
  std::optional<Ints> axes = list_at(values, node, "axes", 3), steps;
  if (has(node, 4)) steps = list_at(values, node, "steps", 4);
  if (!axes) {
    axes = Ints(starts->size());
    std::iota(axes->begin(), axes->end(), 0);
  }
  if (!steps) steps = Ints(starts->size(), 1);
  if (axes->size() != starts->size() || steps->size() != starts->size()) throw Refusal("its lists differ in length");
  Slice op{Ints(x_shape.size(), 0), x_shape, Ints(x_shape.size(), 1)};
  for (std::size_t i = 0; i < axes->size(); ++i) {
    const std::size_t axis = axis_of((*axes)[i], x_shape.size());
    const std::int64_t extent = x_shape[axis];
    const std::int64_t step = (*steps)[i];
    if (step == 0) throw Refusal("a step is 0");
    if (extent == 0) continue;  // nothing to take from
    const auto clamp = [&](std::int64_t at, std::int64_t least, std::int64_t most) {
      if (at < 0) at = at < -extent ? -extent - 1 + extent : at + extent;
      return std::clamp(at, least, most);
    };
    const std::int64_t begin = step > 0 ? clamp((*starts)[i], 0, extent) : clamp((*starts)[i], 0, extent - 1);
    const std::int64_t end = step > 0 ? clamp((*ends)[i], 0, extent) : clamp((*ends)[i], -1, extent - 1);
    const std::int64_t span = step > 0 ? end - begin : begin - end;
    if (step < -max_count || step > max_count) throw Refusal("a step is out of range");
    const std::int64_t size = span <= 0 ? 0 : (span - 1) / std::abs(step) + 1;
    op.starts[axis] = begin;
    op.extents[axis] = size;
    op.steps[axis] = size <= 1 ? 1 : step;
  }
  return op;
}

namespace {

/// Piece `output` of a Split.
std::optional<std::vector<double>> piece(const Values& values, const NodeProto& node, int output) {
  const Shape& from = shape_at(values, node, 0);
  const auto& whole_data = value_at(values, node, 0).data;
  const std::size_t axis = axis_of(integer(node, "axis", 0), from.size());
  std::int64_t first = 0;
  for (int i = 0; i < output; ++i) {
    if (node.output(i).empty() || !values.at(node.output(i)).shape) return std::nullopt;
    first += values.at(node.output(i)).shape->at(axis);
  }
  const auto& to = values.at(node.output(output)).shape;
  if (!whole_data || !to || to->size() != from.size() || first + (*to)[axis] > from[axis]) return std::nullopt;
  const Ints strides = strides_of(from);
  return picked(*whole_data, first * strides[axis], *to, strides);
}

/// Pieces of the first operand, where the second points, are those of the third: masks of windows are made so.
std::optional<std::vector<double>> scattered(const Values& values, const NodeProto& node) {
  const Shape &to = shape_at(values, node, 0), &indices = shape_at(values, node, 1);
  const auto &data = value_at(values, node, 0).data, &at = value_at(values, node, 1).data;
  const auto& updates = value_at(values, node, 2).data;
  if (!data || !at || !updates || indices.empty() || text(node, "reduction", "none") != "none") return std::nullopt;
  const auto depth = static_cast<std::size_t>(indices.back());
  if (depth == 0 || depth > to.size()) throw Refusal("its indices do not fit");
  const Ints strides = strides_of(to);
  const auto size = static_cast<std::size_t>(strides[depth - 1]);
  if (updates->size() != at->size() / depth * size) throw Refusal("its updates do not fit");
  std::vector<double> result = *data;
  for (std::size_t i = 0; i * depth < at->size(); ++i) {
    std::int64_t first = 0;
    for (std::size_t k = 0; k < depth; ++k) {
      std::int64_t index = whole((*at)[i * depth + k]);
      if (index < 0) index += to[k];
      if (index < 0 || index >= to[k]) throw Refusal("an index is out of range");
      first += index * strides[k];
    }
    std::copy_n(updates->begin() + static_cast<std::ptrdiff_t>(i * size), size, result.begin() + static_cast<std::ptrdiff_t>(first));
  }
  return result;
}

}  // namespace

std::optional<std::vector<double>> evaluate(const Values& values, const NodeProto& node, int output) {
  const std::string& type = node.op_type();
  if (type == "Split") return piece(values, node, output);
  if (output > 0) return std::nullopt;
  if (type == "ScatterND") return scattered(values, node);
  std::vector<const std::vector<double>*> in;
  for (int i = 0; i < node.input_size(); ++i) {
    if (!has(node, i)) return std::nullopt;
    const Value& found = value_at(values, node, i);
    if (!found.data || !found.shape || found.data->size() > most_folded) return std::nullopt;
    in.push_back(&*found.data);
  }
  const Value& out = values.at(node.output(0));
  const bool whole = !is_float(out.type);
  if (type == "Cast") {
    if (out.type == TensorProto::BFLOAT16) return std::nullopt;
    std::vector<double> result = *in[0];
    if (out.type == TensorProto::FLOAT16) std::transform(result.begin(), result.end(), result.begin(), to_half);
    if (whole) {
      for (double& element : result) element = std::trunc(element);
    }
    if (out.type == TensorProto::BOOL) {
      for (double& element : result) element = element != 0 ? 1 : 0;
    }
    return result;
  }
  if (type == "Identity" || type == "Reshape" || type == "Squeeze" || type == "Unsqueeze" || type == "Flatten") {
    return *in[0];
  }
  if (type == "Gather" && shape_at(values, node, 0).size() == 1) {
    std::vector<double> result;
    const auto size = static_cast<double>(in[0]->size());
    for (double index : *in[1]) {
      if (index < 0) index += size;
      if (!(index >= 0 && index < size)) throw Refusal("an index is out of range");
      result.push_back((*in[0])[static_cast<std::size_t>(index)]);
    }
    return result;
  }
  if (type == "Concat") {
    std::vector<double> result;
    for (int i = 0; i < node.input_size(); ++i) {
      if (shape_at(values, node, i).size() != 1) return std::nullopt;
      result.insert(result.end(), in[static_cast<std::size_t>(i)]->begin(), in[static_cast<std::size_t>(i)]->end());
    }
    return result;
  }
  if ((type == "Slice" || type == "Transpose") && in[0]->empty()) return *in[0];
  if (type == "Slice") {
    const Slice op = slice_of(values, node);
    const Ints own = strides_of(shape_at(values, node, 0));
    Ints strides(own.size());
    std::int64_t first = 0;
    for (std::size_t i = 0; i < own.size(); ++i) {
      first += op.starts[i] * own[i];
      strides[i] = op.steps[i] * own[i];
    }
    return picked(*in[0], first, op.extents, strides);
  }
  if (type == "Transpose") {
    const Shape& from = shape_at(values, node, 0);
    Ints backwards(from.size());
    std::iota(backwards.rbegin(), backwards.rend(), 0);
    const Ints permutation = integers(node, "perm").value_or(backwards);
    if (!std::is_permutation(permutation.begin(), permutation.end(), backwards.begin(), backwards.end())) {
      throw Refusal("perm is no permutation");
    }
    const Ints own = strides_of(from);
    Shape to;
    Ints strides;
    for (const std::int64_t axis : permutation) {
      to.push_back(from[static_cast<std::size_t>(axis)]);
      strides.push_back(own[static_cast<std::size_t>(axis)]);
    }
    return picked(*in[0], 0, to, strides);
  }
  if (type == "ConstantOfShape" && out.shape && count_of(*out.shape) <= static_cast<std::int64_t>(most_folded)) {
    double filling = 0;
    if (const AttributeProto* given = attribute(node, "value")) {
      const Value tensor = read_tensor(given->t());
      if (!tensor.data || tensor.data->size() != 1) return std::nullopt;
      filling = tensor.data->front();
    }
    return std::vector<double>(static_cast<std::size_t>(count_of(*out.shape)), filling);
  }
  if (type == "Range" && out.shape && count_of(*out.shape) <= static_cast<std::int64_t>(most_folded)) {
    std::vector<double> result;
    for (std::int64_t i = 0; i < count_of(*out.shape); ++i) {
      result.push_back(in[0]->front() + static_cast<double>(i) * in[2]->front());
    }
    return result;
  }
  const bool given_diagonal = node.input_size() < 2 || in[1]->size() == 1;
  if (type == "Trilu" && shape_at(values, node, 0).size() == 2 && given_diagonal) {
    const std::int64_t k = node.input_size() < 2 ? 0 : duet::onnx_graph::whole(in[1]->front());
    const std::vector<float> mask = triangle_of(shape_at(values, node, 0), integer(node, "upper", 1) != 0, k);
    std::vector<double> result = *in[0];
    for (std::size_t i = 0; i < result.size(); ++i) {
      if (mask[i] == 0) result[i] = 0;
    }
    return result;
  }
  if (type == "NonZero") {
    const Ints strides = strides_of(shape_at(values, node, 0));
    std::vector<double> result;
    for (std::size_t axis = 0; axis < strides.size(); ++axis) {
      const std::int64_t extent = shape_at(values, node, 0)[axis];
      for (std::size_t i = 0; i < in[0]->size(); ++i) {
        if ((*in[0])[i] != 0) result.push_back(static_cast<double>(static_cast<std::int64_t>(i) / strides[axis] % extent));
      }
    }
    return result;
  }
  if (type == "ReduceProd" || type == "ReduceSum") {
    if (shape_at(values, node, 0).size() > 1) return std::nullopt;
    double result = type == "ReduceProd" ? 1 : 0;
    for (const double element : *in[0]) result = type == "ReduceProd" ? result * element : result + element;
    return std::vector<double>{result};
  }
  return arithmetic(type, in, whole);
}

bool Importer::fold(const NodeProto& node) {
  const std::string& type = node.op_type();
  if (type == "Shape" || type == "Size") {
    const Shape& of = shape(node, 0);
    Value& made = values_.at(node.output(0));
    made.constant = true;
    made.type = TensorProto::INT64;
    if (type == "Size") {
      made.data = {static_cast<double>(count_of(of))};
    } else {
      const auto rank = static_cast<std::int64_t>(of.size());
      const auto clamp = [rank](std::int64_t i) { return std::clamp<std::int64_t>(i < 0 ? i + rank : i, 0, rank); };
      const std::int64_t begin = clamp(integer(node, "start", 0)), end = clamp(integer(node, "end", rank));
      made.data.emplace();
      for (std::int64_t i = begin; i < end; ++i) made.data->push_back(static_cast<double>(of[static_cast<std::size_t>(i)]));
    }
    made.shape = type == "Size" ? Shape{} : Shape{static_cast<std::int64_t>(made.data->size())};
    ignore("reads a shape");
    return true;
  }
  if (type == "Constant") {
    constant(node);
    return true;
  }
  if (is_random(type) || !all_constant(values_, node) || node.input_size() == 0) return false;
  if (!node.domain().empty() && node.domain() != "ai.onnx") return false;
  bool learned = false;
  std::string root;
  for (int i = 0; i < node.input_size(); ++i) {
    if (!has(node, i)) continue;
    learned = learned || value(node, i).learned;
    if (root.empty()) root = value(node, i).root;
  }
  // The numbers are the parameters, not how they are scaled.
  const bool scaled = type == "DequantizeLinear" && count_of(shape(node, 0)) > 1;
  if (scaled) learned = false;
  // Parameters are conserved: what picks some of them is a part of the network.
  std::int64_t before = 0, after = 0;
  for (int i = 0; learned && i < node.input_size(); ++i) {
    if (has(node, i) && value(node, i).learned) before += count_of(shape(node, i));
  }
  for (int i = 0; learned && i < node.output_size(); ++i) {
    if (!node.output(i).empty()) after += count_of(output_shape(node, i));
  }
  if (after != before || (learned && node.output_size() > 1)) return false;
  // So are multiply-accumulates, those with constant operands too.
  if (learned && (type.find("Conv") != std::string::npos || type.find("MatMul") != std::string::npos || type == "Gemm" ||
                  type == "Einsum")) {
    return false;
  }
  for (int i = 0; i < node.output_size(); ++i) {
    if (node.output(i).empty()) continue;
    Value& made = values_.at(node.output(i));
    made.constant = true;
    made.maker = &node;
    if (made.type == TensorProto::UNDEFINED) made.type = value(node, 0).type;
    made.learned = (learned || scaled) && is_float(made.type);
    made.bits = type == "DequantizeLinear" ? 8 * static_cast<std::int64_t>(bytes_of(value(node, 0).type)) : value(node, 0).bits;
    made.root = root;
    if (!made.shape) output_shape(node, i);
    auto result = evaluate(values_, node, i);
    if (!result && i == 0) result = constants_.small(node.output(i), node);
    if (result && result->size() == static_cast<std::size_t>(count_of(*made.shape))) {
      made.data = *result;
    }
  }
  if (type == "ConstantOfShape") {
    const AttributeProto* filling = attribute(node, "value");
    const bool zero = filling == nullptr || (read_tensor(filling->t()).data.value_or(std::vector<double>{1}).at(0) == 0);
    if (zero) zero_filled_.insert(node.output(0));
  }
  ignore("computed from constants");
  return true;
}

void Importer::constant(const NodeProto& node) {
  Value made;
  made.constant = true;
  if (const AttributeProto* tensor = attribute(node, "value")) {
    made = read_tensor(tensor->t());
  } else if (const AttributeProto* one = attribute(node, "value_float")) {
    made.type = TensorProto::FLOAT;
    made.shape = Shape{};
    made.data = {static_cast<double>(one->f())};
  } else if (const AttributeProto* whole = attribute(node, "value_int")) {
    made.type = TensorProto::INT64;
    made.shape = Shape{};
    made.data = {static_cast<double>(whole->i())};
  } else if (const AttributeProto* reals = attribute(node, "value_floats")) {
    made.type = TensorProto::FLOAT;
    made.shape = Shape{reals->floats_size()};
    made.data = doubles(reals->floats());
  } else if (const AttributeProto* wholes = attribute(node, "value_ints")) {
    made.type = TensorProto::INT64;
    made.shape = Shape{wholes->ints_size()};
    made.data = doubles(wholes->ints());
  } else if (const AttributeProto* sparse = attribute(node, "sparse_value")) {
    made.type = sparse->sparse_tensor().values().data_type();
    made.shape = Shape(sparse->sparse_tensor().dims().begin(), sparse->sparse_tensor().dims().end());
    count_of(*made.shape);
  } else {
    throw Refusal("strings are not supported");
  }
  if (made.type == TensorProto::STRING) throw Refusal("strings are not supported");
  values_[node.output(0)] = std::move(made);
  ignore("a constant");
}

}  // namespace duet::onnx_graph
