#pragma once
/// The numbers of a file's constants, for the weights of the network.

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "spaces/onnx_graph.hpp"
#include "spaces/onnx_patterns.hpp"
#include "spaces/weights.hpp"

namespace onnx {
class ModelProto;
}

namespace duet::onnx_graph {

/// Reads constants from the file, and computes those that nodes make of others.
class ConstantNumbers {
 public:
  /// What is referred to must live as long, and may change.
  ConstantNumbers(const Values& values, const Uses& uses, std::int64_t opset, const WeightSource& source)
      : values_(values), uses_(uses), opset_(opset), source_(source) {}

  /// A constant's numbers in a shape of as many elements; nothing if they are not wanted.
  FloatTensor tensor(const std::string& name, Shape to);
  /// A matrix (in, out) of the file as (out, in).
  FloatTensor turned(const std::string& name, const Shape& from);
  /// The numbers that a node makes of constants whose own are followed, wanted or not; nothing where they are many, beyond
  /// 2^24 and so not exact here, or duet does not know the operator.
  std::optional<std::vector<double>> small(const std::string& name, const onnx::NodeProto& node);

 private:
  /// The numbers of a constant that a node computes, while other nodes are still to use them.
  struct Computed {
    std::vector<float> numbers;
    int uses;
  };

  std::vector<float> numbers(const std::string& name);
  /// Puts a constant among the computed ones, what it is made of first. Chains may be as long as the file: no recursion.
  void compute(const std::string& name);
  /// What a node makes of constants: a network of that node alone says it.
  std::vector<float> computed(const std::string& name, const onnx::NodeProto& node);
  std::vector<float> dequantised(const onnx::NodeProto& node);
  /// A model of the node alone, whose operands are inputs that `put` adds, or constants.
  onnx::ModelProto alone(const std::string& name, const onnx::NodeProto& node) const;
  void put_constant(onnx::ModelProto& model, const std::string& name) const;
  void put_input(onnx::ModelProto& model, const std::string& name) const;
  void release(const std::string& name);
  void spend(std::int64_t work);

  const Values& values_;
  const Uses& uses_;
  const std::int64_t opset_;
  const WeightSource& source_;
  std::unordered_map<std::string, Computed> computed_;
  std::int64_t work_ = 0, small_work_ = 0;
};

}  // namespace duet::onnx_graph
