#pragma once
/// What the parts of the ONNX importer share: values, tensors and attributes of a file's graph. For sources that include
/// libonnx's headers; everybody else wants spaces/onnx.hpp.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "spaces/network.hpp"

namespace onnx {
class AttributeProto;
class NodeProto;
class TensorProto;
}  // namespace onnx

namespace duet::onnx_graph {

using Ints = std::vector<std::int64_t>;

constexpr std::size_t most_folded = 4096;  // elements of tensors whose values are followed
constexpr std::int64_t max_count = std::int64_t{1} << 53;

/// Why a node cannot be imported; the position is added where it is caught.
class Refusal : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The types are TensorProto::DataType.
bool is_float(int type);
bool is_whole(int type);
std::size_t bytes_of(int type);

/// What is known of a value of the file's graph.
struct Value {
  int type = 0;                             ///< a TensorProto::DataType, 0 is undefined
  std::optional<Shape> shape;               ///< ONNX's: () is a scalar, extents may be 0
  std::optional<std::vector<double>> data;  ///< of small constants; exact for integers up to 2^53
  bool constant = false;                    ///< known before the network runs
  bool learned = false;                     ///< a constant that is a parameter
  std::int64_t bits = 0;                    ///< of the words that a DequantizeLinear has made it of
  std::string root;                         ///< the initializer that a constant was made of
  const onnx::TensorProto* source = nullptr;  ///< the tensor of the file that a constant is
  const onnx::NodeProto* maker = nullptr;  ///< the node of the file that computes a constant
  std::optional<NodeId> node;               ///< where the network has it
};

using Values = std::unordered_map<std::string, Value>;

/// The product of the extents, of which some may be 0. \throws Refusal above 2^53
std::int64_t count_of(const Shape& shape);

/// The product of the extents of both. \throws Refusal above 2^53
std::int64_t product_of(const Shape& a, const Shape& b);

/// ONNX's shape as the network's: scalars are tensors of one element. \throws Refusal where an extent is 0
Shape extents(const Shape& shape);

/// The nearest whole number: those beyond 2^63, which stand for "to the end", are the last ones. \throws Refusal for NaN
std::int64_t whole(double value);

template <class Field>
std::vector<double> doubles(const Field& field) {
  return std::vector<double>(field.begin(), field.end());
}

/// Checks a tensor of the file; its elements if they are there, numbers, and few.
Value read_tensor(const onnx::TensorProto& tensor);

/// Where weights come from, if they are wanted.
struct WeightSource {
  bool wanted = false;
  std::optional<std::filesystem::path> folder = {};  ///< of the model, for its external data
};

/// All numbers of a tensor of the file.
std::vector<float> read_floats(const onnx::TensorProto& tensor, const WeightSource& from);

/// The nearest number of half precision.
double to_half(double value);

/// Null where the node has none of that name.
const onnx::AttributeProto* attribute(const onnx::NodeProto& node, std::string_view name);
std::int64_t integer(const onnx::NodeProto& node, std::string_view name, std::int64_t fallback);
double real(const onnx::NodeProto& node, std::string_view name, double fallback);
std::string text(const onnx::NodeProto& node, std::string_view name, const std::string& fallback);
std::optional<Ints> integers(const onnx::NodeProto& node, std::string_view name);
/// Extents that libonnx's shape inference divides by or counts with.
void check_attributes(const onnx::NodeProto& node);

/// An axis that may count from the end as an index.
std::size_t axis_of(std::int64_t axis, std::size_t rank);

/// A node's name, or that of its first output.
std::string label(const onnx::NodeProto& node);
bool has(const onnx::NodeProto& node, int i);  ///< an input
bool has_output(const onnx::NodeProto& node, int i);

/// What is known of a node's input. \throws Refusal where the node lacks it, or it is not computed before the node
const Value& value_at(const Values& values, const onnx::NodeProto& node, int i);
Value& value_at(Values& values, const onnx::NodeProto& node, int i);
/// \throws Refusal also where it is not known
const Shape& shape_at(const Values& values, const onnx::NodeProto& node, int i);
/// Small integers or reals known at import, from an input.
std::optional<std::vector<double>> known_at(const Values& values, const onnx::NodeProto& node, int i);
std::optional<Ints> known_integers_at(const Values& values, const onnx::NodeProto& node, int i);
/// A list that was an attribute in old opsets and is an input in new ones. \throws Refusal where it depends on data
std::optional<Ints> list_at(const Values& values, const onnx::NodeProto& node, std::string_view name, int i);

/// "ReduceMean" as "reduce_mean".
std::string snake_case(const std::string& type);

}  // namespace duet::onnx_graph
