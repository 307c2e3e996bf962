#include "spaces/onnx_constants.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <onnx/onnx_pb.h>
#include <set>
#include <utility>

#include "spaces/execution.hpp"
#include "spaces/onnx_importer.hpp"

namespace duet::onnx_graph {
namespace {

using onnx::AttributeProto;
using onnx::NodeProto;
using onnx::TensorProto;

constexpr std::size_t most_computed = std::size_t{1} << 28;  // elements of a constant computed of others
constexpr std::int64_t most_small_work = std::int64_t{1} << 27;  // the same of those whose numbers are followed
constexpr std::int64_t most_work = std::int64_t{1} << 31;    // elements and MACs of all of them

bool is_computed(const Value& value) {
  return value.constant && value.source == nullptr && !value.data && value.maker != nullptr;
}

}  // namespace

FloatTensor ConstantNumbers::tensor(const std::string& name, Shape to) {
  FloatTensor result{std::move(to), {}};
  if (!source_.wanted) return result;
  result.values = numbers(name);
  const auto count = static_cast<std::size_t>(elements(result.shape));
  if (result.values.size() == 1 && count > 1 && count <= most_computed) result.values.assign(count, result.values.front());
  if (result.values.size() != count) {
    throw Refusal(fmt::format("'{}' holds {} numbers, needed are those of {}", name, result.values.size(),
                              to_string(result.shape)));
  }
  return result;
}

FloatTensor ConstantNumbers::turned(const std::string& name, const Shape& from) {
  return source_.wanted ? transposed(tensor(name, from)) : FloatTensor{};
}

std::vector<float> ConstantNumbers::numbers(const std::string& name) {
  const auto found = values_.find(name);
  if (found == values_.end() || !found->second.constant) {
    throw Refusal(fmt::format("'{}' is computed from the network's inputs: it is no weight", name));
  }
  const Value& constant = found->second;
  if (constant.source != nullptr) return read_floats(*constant.source, source_);
  if (constant.data) return {constant.data->begin(), constant.data->end()};
  if (constant.maker == nullptr) throw Refusal(fmt::format("the numbers of '{}' are not known", name));
  compute(name);
  Computed& made = computed_.at(name);
  std::vector<float> result = made.uses > 1 ? made.numbers : std::move(made.numbers);
  release(name);
  return result;
}

void ConstantNumbers::release(const std::string& name) {
  const auto found = computed_.find(name);
  if (found != computed_.end() && --found->second.uses <= 0) computed_.erase(found);
}

void ConstantNumbers::compute(const std::string& name) {
  std::vector<const std::string*> open{&name};
  while (!open.empty()) {
    const std::string& next = *open.back();
    if (computed_.contains(next)) {
      open.pop_back();
      continue;
    }
    const NodeProto& maker = *values_.at(next).maker;
    const std::size_t before = open.size();
    for (const std::string& operand : maker.input()) {
      if (maker.op_type() == "ConstantOfShape") break;  // needs the shape only
      const auto found = values_.find(operand);
      if (found == values_.end() || !is_computed(found->second) || computed_.contains(operand)) continue;
      open.push_back(&operand);
    }
    if (open.size() > before) continue;
    const auto uses = uses_.find(next);
    computed_.insert_or_assign(next, Computed{computed(next, maker), uses == uses_.end() ? 1 : std::max(uses->second, 1)});
    open.pop_back();
  }
}

void ConstantNumbers::spend(std::int64_t work) {
  if (work > most_work - work_) throw Refusal("too much is computed from constants: over 2^31 elements and MACs");
  work_ += work;
}

std::vector<float> ConstantNumbers::computed(const std::string& name, const NodeProto& node) {
  const std::int64_t size = count_of(*values_.at(name).shape);
  const auto unknown = [&] {
    return Refusal(fmt::format("the numbers of '{}', which {} computes, are not known", name, node.op_type()));
  };
  if (size > static_cast<std::int64_t>(most_computed)) throw unknown();
  spend(size);
  if (node.op_type() == "ConstantOfShape") {
    const AttributeProto* filling = attribute(node, "value");
    return std::vector<float>(static_cast<std::size_t>(size), filling == nullptr ? 0 : read_floats(filling->t(), source_).at(0));
  }
  if (node.op_type() == "DequantizeLinear") return dequantised(node);
  onnx::ModelProto model = alone(name, node);
  std::vector<FloatTensor> inputs;
  std::set<std::string> seen;
  for (int i = 0; i < node.input_size(); ++i) {
    if (!has(node, i)) continue;
    if (!seen.insert(node.input(i)).second) {
      release(node.input(i));
      continue;
    }
    spend(count_of(shape_at(values_, node, i)));
    const Value& operand = value_at(values_, node, i);
    if (operand.data && !is_float(operand.type)) {  // shapes and positions
      put_constant(model, node.input(i));
      continue;
    }
    put_input(model, node.input(i));
    inputs.push_back(tensor(node.input(i), extents(shape_at(values_, node, i))));
  }
  OnnxImport made;
  if (!inputs.empty()) Importer(model, {}, source_).run(made);
  const auto nodes = made.network.nodes();
  const bool large = std::any_of(nodes.begin(), nodes.end(), [](const Node& one) {
    return elements(one.shape) > static_cast<std::int64_t>(most_computed);
  });
  if (inputs.empty() || large || made.count(OnnxFidelity::approximated) > 0) throw unknown();
  spend(made.network.macs());
  return execute(made.network, made.weights, inputs).front().values;
}

/// (words − zero point) · scale; these are one for all, or one for each place along an axis.
std::vector<float> ConstantNumbers::dequantised(const NodeProto& node) {
  const Shape& of = shape_at(values_, node, 0);
  std::vector<float> result = numbers(node.input(0));
  const std::vector<float> scale = numbers(node.input(1));
  const std::vector<float> zero = has(node, 2) ? numbers(node.input(2)) : std::vector<float>(scale.size(), 0);
  std::size_t run = result.size();
  if (scale.size() != 1) {
    const std::size_t axis = axis_of(integer(node, "axis", 1), of.size());
    run = static_cast<std::size_t>(count_of(Shape(of.begin() + static_cast<std::ptrdiff_t>(axis) + 1, of.end())));
    if (static_cast<std::int64_t>(scale.size()) != of[axis]) throw Refusal("its scales do not fit the weights");
  }
  if (zero.size() != scale.size()) throw Refusal("its scales and zero points do not fit");
  for (std::size_t i = 0; i < result.size(); ++i) {
    const std::size_t at = i / run % scale.size();
    result[i] = static_cast<float>((static_cast<double>(result[i]) - static_cast<double>(zero[at])) * static_cast<double>(scale[at]));
  }
  return result;
}

onnx::ModelProto ConstantNumbers::alone(const std::string& name, const NodeProto& node) const {
  onnx::ModelProto model;
  model.add_opset_import()->set_version(opset_);
  *model.mutable_graph()->add_node() = node;
  model.mutable_graph()->add_output()->set_name(name);
  return model;
}

void ConstantNumbers::put_constant(onnx::ModelProto& model, const std::string& name) const {
  const Value& operand = values_.at(name);
  TensorProto& made = *model.mutable_graph()->add_initializer();
  made.set_name(name);
  made.set_data_type(is_float(operand.type) ? TensorProto::FLOAT : TensorProto::INT64);
  for (const std::int64_t extent : *operand.shape) made.add_dims(extent);
  for (const double element : *operand.data) {
    is_float(operand.type) ? made.add_float_data(static_cast<float>(element)) : made.add_int64_data(whole(element));
  }
}

void ConstantNumbers::put_input(onnx::ModelProto& model, const std::string& name) const {
  const Value& operand = values_.at(name);
  auto& info = *model.mutable_graph()->add_input();
  info.set_name(name);
  auto& type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(operand.type);
  type.mutable_shape();
  for (const std::int64_t extent : *operand.shape) type.mutable_shape()->add_dim()->set_dim_value(extent);
}

std::optional<std::vector<double>> ConstantNumbers::small(const std::string& name, const NodeProto& node) {
  constexpr double exact = 1 << 24;
  const auto followed = [&](const Value& value) {
    return value.data && value.shape && !value.data->empty() && value.data->size() <= most_folded &&
           std::all_of(value.data->begin(), value.data->end(), [&](double x) { return std::abs(x) <= exact; });
  };
  const auto& to = values_.at(name).shape;
  if (!to || count_of(*to) > static_cast<std::int64_t>(most_folded) || count_of(*to) == 0) return std::nullopt;
  for (int i = 0; i < node.input_size(); ++i) {
    if (has(node, i) && !followed(value_at(values_, node, i))) return std::nullopt;
  }
  onnx::ModelProto model = alone(name, node);
  std::vector<FloatTensor> inputs;
  std::set<std::string> seen;
  for (int i = 0; i < node.input_size(); ++i) {
    if (!has(node, i) || !seen.insert(node.input(i)).second) continue;
    const Value& operand = value_at(values_, node, i);
    if (inputs.empty()) {
      put_input(model, node.input(i));
      inputs.push_back({extents(*operand.shape), {operand.data->begin(), operand.data->end()}});
    } else {
      put_constant(model, node.input(i));
    }
  }
  if (inputs.empty()) return std::nullopt;
  try {
    OnnxImport made;
    Importer(model, {}, WeightSource{true, std::nullopt}).run(made);
    const auto nodes = made.network.nodes();
    const bool large = std::any_of(nodes.begin(), nodes.end(), [](const Node& one) {
      return elements(one.shape) > static_cast<std::int64_t>(most_folded);
    });
    if (large || made.count(OnnxFidelity::approximated) > 0) return std::nullopt;
    small_work_ += made.network.macs();
    for (const Node& one : nodes) small_work_ += elements(one.shape);
    if (small_work_ > most_small_work) return std::nullopt;
    const std::vector<float> values = execute(made.network, made.weights, inputs).front().values;
    return std::vector<double>(values.begin(), values.end());
  } catch (const std::exception&) {
    return std::nullopt;  // refused, or nothing that can be executed
  }
}

}  // namespace duet::onnx_graph
