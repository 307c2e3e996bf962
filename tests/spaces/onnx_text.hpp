#pragma once
/// ONNX models from ONNX's text, "(float[1, 2] x) => (float[1, 2] y) { y = Relu(x) }", with weights as initializers.

#include <fmt/format.h>
#include <map>
#include <onnx/defs/parser.h>
#include <onnx/onnx_pb.h>
#include <stdexcept>
#include <string>

#include "spaces/onnx.hpp"

namespace duet::testing {

inline onnx::ModelProto onnx_model(const std::string& graph, const std::map<std::string, FloatTensor>& weights = {},
                                   int opset = 17) {
  onnx::ModelProto model;
  const std::string text = fmt::format("<ir_version: 8, opset_import: [\"\" : {}]> g {}", opset, graph);
  onnx::OnnxParser parser(text.c_str());
  const auto status = parser.Parse(model);
  if (!status.IsOK()) throw std::runtime_error(status.ErrorMessage());
  for (const auto& [name, tensor] : weights) {
    auto* made = model.mutable_graph()->add_initializer();
    made->set_name(name);
    made->set_data_type(onnx::TensorProto::FLOAT);
    for (const std::int64_t extent : tensor.shape) made->add_dims(extent);
    for (const float value : tensor.values) made->add_float_data(value);
  }
  return model;
}

inline OnnxImport import_text(const std::string& graph, const std::map<std::string, FloatTensor>& weights = {},
                              int opset = 17) {
  return import_onnx(onnx_model(graph, weights, opset).SerializeAsString(), "m.onnx", {}, OnnxWeights::read);
}

}  // namespace duet::testing
