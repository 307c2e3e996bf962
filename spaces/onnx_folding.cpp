#include "spaces/onnx_folding.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <onnx/onnx_pb.h>
#include <string>

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

}  // namespace

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

std::optional<std::vector<double>> evaluate(const Values& values, const NodeProto& node) {
  const std::string& type = node.op_type();
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
  if (type == "ReduceProd" || type == "ReduceSum") {
    if (shape_at(values, node, 0).size() > 1) return std::nullopt;
    double result = type == "ReduceProd" ? 1 : 0;
    for (const double element : *in[0]) result = type == "ReduceProd" ? result * element : result + element;
    return std::vector<double>{result};
  }
  return arithmetic(type, in, whole);
}

}  // namespace duet::onnx_graph
