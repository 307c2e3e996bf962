#include "spaces/onnx_importer.hpp"

#include <cmath>
#include <onnx/onnx_pb.h>
#include <set>

namespace duet::onnx_graph {
namespace {

using onnx::AttributeProto;
using onnx::NodeProto;
using onnx::TensorProto;

const std::set<std::string, std::less<>>& elementwise_operators() {
  static const std::set<std::string, std::less<>> names{
      "Abs",      "Acos",     "Acosh",  "And",    "Asin",           "Asinh",      "Atan",    "Atanh",
      "BitShift", "Cast",     "Ceil",   "Celu",   "Clip",           "Cos",        "Cosh",    "Div",
      "Elu",      "Equal",    "Erf",    "Exp",    "Floor",          "Greater",    "GreaterOrEqual",
      "HardSigmoid", "IsInf", "IsNaN",  "LeakyRelu", "Less",        "LessOrEqual", "Log",    "Max",
      "Mean",     "Min",      "Mod",    "Neg",    "Not",            "Or",         "PRelu",   "Pow",
      "QuantizeLinear", "DequantizeLinear", "Reciprocal", "Round",  "Selu",       "Shrink",  "Sign",
      "Sin",      "Sinh",     "Softplus", "Softsign", "Sqrt",       "Sub",        "Tan",     "ThresholdedRelu",
      "Where",    "Xor"};
  return names;
}

/// Functions whose attributes the network does not keep.
bool has_parameters_of_its_own(const NodeProto& node) {
  const std::string& type = node.op_type();
  if (type == "Mod") return integer(node, "fmod", 0) != 0;
  if (type == "IsInf") return integer(node, "detect_negative", 1) == 0 || integer(node, "detect_positive", 1) == 0;
  return type == "BitShift";
}

}  // namespace

bool Importer::is_elementwise(const std::string& type) { return elementwise_operators().contains(type); }

bool Importer::is_relu6(const NodeProto& node) {
  const auto bound_of = [&](const char* name, int i, double& to) {
    if (const AttributeProto* given = attribute(node, name)) {
      to = static_cast<double>(given->f());
      return true;
    }
    const auto data = known(node, i);
    if (!data || data->size() != 1) return false;
    to = data->front();
    return true;
  };
  double least = -1, most = -1;
  return bound_of("min", 1, least) && bound_of("max", 2, most) && least == 0 && most == 6;
}

/// Until opset 6 the second of two operands stood at an `axis` of the first, not at its end.
void Importer::align(const NodeProto& node, std::vector<NodeId>& inputs) {
  if (inputs.size() != 2 || attribute(node, "broadcast") == nullptr || attribute(node, "axis") == nullptr) return;
  const Shape first = shape(node, 0), second = shape(node, 1);
  const std::size_t axis = axis_of(integer(node, "axis", 0), first.size());
  if (axis + second.size() > first.size()) throw Refusal("the second operand reaches beyond the first");
  if (axis + second.size() == first.size()) return;
  Shape aligned = second;
  aligned.resize(first.size() - axis, 1);
  inputs[1] = add(node, "aligned", Reshape{aligned}, {inputs[1]});
}

void Importer::nary(const NodeProto& node, Operator op) {
  std::vector<NodeId> inputs;
  for (int i = 0; i < node.input_size(); ++i) inputs.push_back(input(node, i));
  if (inputs.size() == 1) return finish(node, Identity{}, inputs);
  align(node, inputs);
  finish(node, std::move(op), inputs);
}

void Importer::elementwise(const NodeProto& node) {
  const std::string& type = node.op_type();
  const auto settings = settings_in(node);
  if (type == "Clip" && !settings) return clip_by_data(node);
  if (!settings || has_parameters_of_its_own(node)) approximate("its attributes are not kept");
  const int from = value(node, 0).type;
  int& to = values_.at(node.output(0)).type;
  // libonnx does not say so of all comparisons.
  if (type == "GreaterOrEqual" || type == "LessOrEqual") to = TensorProto::BOOL;
  if (type == "Div" && is_whole(from)) approximate("as a division of reals");
  // Words are the machine's: what changes the format alone changes nothing here.
  if (type == "Cast" && (is_float(to) || (is_whole(from) && is_whole(to) && (to != TensorProto::BOOL || from == to)))) {
    if (bytes_of(to) < bytes_of(from)) approximate("the words of the hardware model apply: nothing is rounded");
    return finish(node, Identity{}, {input(node, 0)});
  }
  std::vector<NodeId> inputs;
  const bool one = type == "QuantizeLinear" || type == "DequantizeLinear" || type == "Clip";
  for (int i = 0; i < (one ? 1 : node.input_size()); ++i) {
    if (has(node, i)) inputs.push_back(input(node, i));
  }
  if (type == "PRelu") {
    // Until opset 6 a slope per channel was a vector.
    const Shape x_shape = shape(node, 0), slope = shape(node, 1);
    if (slope.size() == 1 && x_shape.size() > 2 && slope[0] == x_shape[1] && slope[0] != x_shape.back()) {
      Shape per_channel(x_shape.size() - 1, 1);
      per_channel[0] = slope[0];
      inputs[1] = add(node, "slope", Reshape{per_channel}, {inputs[1]});
    }
  }
  align(node, inputs);
  finish(node, Elementwise{snake_case(type), settings.value_or(std::vector<float>{})}, inputs);
  if (type == "DequantizeLinear") values_.at(node.output(0)).bits = 8 * static_cast<std::int64_t>(bytes_of(from));
}

/// Bounds that the network computes.
void Importer::clip_by_data(const NodeProto& node) {
  NodeId x = input(node, 0);
  if (has(node, 1) && has(node, 2)) x = add(node, "max", Elementwise{"max"}, {x, input(node, 1)});
  const int last = has(node, 2) ? 2 : 1;
  const NodeId bound = input(node, last);
  finish(node, Elementwise{last == 2 ? "min" : "max"}, {x, bound});
}

/// The node's settings, none where they are the usual ones; nothing where they depend on data.
std::optional<std::vector<float>> Importer::settings_in(const NodeProto& node) {
  const std::string function = snake_case(node.op_type());
  std::vector<float> settings;
  bool usual = true;
  for (const FunctionSetting& setting : settings_of(function)) {
    const std::string name(setting.name);
    // The network's own usual one is not ONNX's here.
    const double absent = function == "hard_sigmoid" && name == "alpha" ? static_cast<double>(0.2F) : static_cast<double>(setting.usual);
    double number = real(node, name, absent);
    const int at = name == "min" ? 1 : 2;
    if (function == "clip" && has(node, at)) {
      const auto data = known(node, at);
      if (!data || data->size() != 1) return std::nullopt;
      number = data->front();
    }
    if (std::isnan(number) || (std::isinf(number) && function != "clip")) return std::nullopt;
    settings.push_back(static_cast<float>(number));
    usual = usual && (settings.back() == setting.usual || std::abs(settings.back() - setting.usual) <= 1e-6F);
  }
  if (usual) settings.clear();
  return settings;
}

void Importer::dropout(const NodeProto& node) {
  if (node.output_size() > 1 && !node.output(1).empty() && uses_[node.output(1)] > 0) {
    Value& mask = values_[node.output(1)];
    mask.constant = true;
    mask.shape = shape(node, 0);
  }
  pass(node, "does nothing at inference");
  const auto training = known(node, 2), ratio = known(node, 1);
  const bool nothing = ratio && !ratio->empty() && ratio->front() == 0;
  if (!nothing && has(node, 2) && (!training || training->empty() || training->front() != 0)) {
    entry_.fidelity = OnnxFidelity::approximated;
    entry_.note = "in training mode";
  }
}

}  // namespace duet::onnx_graph
