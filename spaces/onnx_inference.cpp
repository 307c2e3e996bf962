#include "spaces/onnx_inference.hpp"

#include <algorithm>
#include <limits>
#include <onnx/defs/schema.h>
#include <onnx/onnx_pb.h>
#include <utility>

namespace duet::onnx_graph {
namespace {

using onnx::AttributeProto;
using onnx::NodeProto;
using onnx::TensorProto;
using onnx::TypeProto;

class NodeContext final : public onnx::InferenceContext {
 public:
  NodeContext(const NodeProto& node, const Values& values) : node_(node) {
    const auto size = static_cast<std::size_t>(node.input_size());
    types_.resize(size);
    tensors_.resize(size);
    known_.assign(size, false);
    has_data_.assign(size, false);
    for (std::size_t i = 0; i < size; ++i) {
      const auto found = values.find(node.input(static_cast<int>(i)));
      if (found == values.end()) continue;
      const Value& value = found->second;
      known_[i] = true;
      auto* tensor = types_[i].mutable_tensor_type();
      tensor->set_elem_type(value.type);
      if (value.shape) {
        auto* shape = tensor->mutable_shape();
        for (const std::int64_t extent : *value.shape) shape->add_dim()->set_dim_value(extent);
      }
      if (value.data) set_data(i, value);
    }
    outputs_.resize(static_cast<std::size_t>(node.output_size()));
  }

  const AttributeProto* getAttribute(const std::string& name) const override { return attribute(node_, name); }
  std::size_t getNumInputs() const override { return types_.size(); }
  const TypeProto* getInputType(std::size_t i) const override {
    return i < types_.size() && known_[i] ? &types_[i] : nullptr;
  }
  const TensorProto* getInputData(std::size_t i) const override {
    return i < tensors_.size() && has_data_[i] ? &tensors_[i] : nullptr;
  }
  std::size_t getNumOutputs() const override { return outputs_.size(); }
  TypeProto* getOutputType(std::size_t i) override {
    if (i >= outputs_.size()) throw Refusal("has too few outputs");
    return &outputs_[i];
  }
  onnx::GraphInferencer* getGraphAttributeInferencer(const std::string&) override {
    throw Refusal("holds a graph");
  }
  const onnx::SparseTensorProto* getInputSparseData(std::size_t) const override { return nullptr; }
  const onnx::TensorShapeProto* getSymbolicInput(std::size_t) const override { return nullptr; }

  std::vector<TypeProto> take_outputs() { return std::move(outputs_); }

 private:
  void set_data(std::size_t i, const Value& value) {
    TensorProto& tensor = tensors_[i];
    tensor.set_data_type(value.type);
    for (const std::int64_t extent : *value.shape) tensor.add_dims(extent);
    for (const double element : *value.data) {
      switch (value.type) {
        case TensorProto::FLOAT:
          tensor.add_float_data(static_cast<float>(element));
          break;
        case TensorProto::DOUBLE:
          tensor.add_double_data(element);
          break;
        case TensorProto::INT64:
          tensor.add_int64_data(whole(element));
          break;
        case TensorProto::INT32:
        case TensorProto::BOOL:
          tensor.add_int32_data(static_cast<std::int32_t>(
              std::clamp<std::int64_t>(whole(element), std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max())));
          break;
        default:
          return;
      }
    }
    has_data_[i] = true;
  }

  const NodeProto& node_;
  std::vector<TypeProto> types_, outputs_;
  std::vector<TensorProto> tensors_;
  std::vector<bool> known_, has_data_;
};

}  // namespace

std::vector<TypeProto> infer_types(const onnx::OpSchema* schema, const NodeProto& node, const Values& values,
                                   std::string& error) {
  NodeContext context(node, values);
  if (schema == nullptr) return context.take_outputs();
  try {
    schema->GetTypeAndShapeInferenceFunction()(context);
  } catch (const std::exception& failure) {
    error = failure.what();
  }
  return context.take_outputs();
}

}  // namespace duet::onnx_graph
