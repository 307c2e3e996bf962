#include "spaces/onnx_graph.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <limits>
#include <onnx/onnx_pb.h>
#include <system_error>
#include <utility>

#include "core/utf8.hpp"

namespace duet::onnx_graph {

using onnx::AttributeProto;
using onnx::NodeProto;
using onnx::TensorProto;

bool is_float(int type) {
  return type == TensorProto::FLOAT || type == TensorProto::FLOAT16 || type == TensorProto::DOUBLE ||
         type == TensorProto::BFLOAT16;
}

bool is_whole(int type) { return type != TensorProto::UNDEFINED && type != TensorProto::STRING && !is_float(type); }

std::size_t bytes_of(int type) {
  switch (type) {
    case TensorProto::BOOL:
    case TensorProto::INT8:
    case TensorProto::UINT8:
      return 1;
    case TensorProto::INT16:
    case TensorProto::UINT16:
    case TensorProto::FLOAT16:
    case TensorProto::BFLOAT16:
      return 2;
    case TensorProto::INT64:
    case TensorProto::UINT64:
    case TensorProto::DOUBLE:
    case TensorProto::COMPLEX64:
      return 8;
    case TensorProto::COMPLEX128:
      return 16;
    default:
      return 4;
  }
}

std::int64_t count_of(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0) throw Refusal(fmt::format("shape {} has a negative extent", to_string(shape)));
    if (extent > 0 && count > max_count / extent) {
      throw Refusal(fmt::format("shape {} has more than 2^53 elements", to_string(shape)));
    }
    count *= extent;
  }
  return count;
}

std::int64_t product_of(const Shape& a, const Shape& b) {
  Shape all = a;
  all.insert(all.end(), b.begin(), b.end());
  return count_of(all);
}

Shape extents(const Shape& shape) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) {
    throw Refusal(fmt::format("of shape {} has no elements", to_string(shape)));
  }
  count_of(shape);
  return shape.empty() ? Shape{1} : shape;
}

std::int64_t whole(double value) {
  if (std::isnan(value)) throw Refusal("holds something that is no number");
  constexpr double most = 9223372036854774784.0;  // the last double below 2^63
  if (value > most) return std::numeric_limits<std::int64_t>::max();
  return value < -most ? std::numeric_limits<std::int64_t>::min() + 1 : static_cast<std::int64_t>(value);
}

namespace {

template <class T>
std::vector<double> raw_doubles(const std::string& raw) {
  std::vector<double> values(raw.size() / sizeof(T));
  for (std::size_t i = 0; i < values.size(); ++i) {
    T value;
    std::memcpy(&value, raw.data() + i * sizeof(T), sizeof(T));
    values[i] = static_cast<double>(value);
  }
  return values;
}

}  // namespace

Value read_tensor(const TensorProto& tensor) {
  Value value;
  value.constant = true;
  value.source = &tensor;
  value.type = tensor.data_type();
  value.shape = Shape(tensor.dims().begin(), tensor.dims().end());
  const auto count = static_cast<std::uint64_t>(count_of(*value.shape));
  if (!TensorProto::DataType_IsValid(value.type) || value.type == TensorProto::UNDEFINED) {
    throw Refusal(fmt::format("tensor '{}' has the unknown element type {}", tensor.name(), value.type));
  }
  if (tensor.data_location() == TensorProto::EXTERNAL || value.type == TensorProto::STRING) return value;
  const auto require_count = [&](std::uint64_t have, std::uint64_t want) {
    if (have != want) {
      throw Refusal(fmt::format("tensor '{}' of shape {} holds {} instead of {} elements", tensor.name(),
                                to_string(*value.shape), have, want));
    }
  };
  const bool complex = value.type == TensorProto::COMPLEX64 || value.type == TensorProto::COMPLEX128;
  if (tensor.has_raw_data() && !tensor.raw_data().empty()) {
    if (tensor.raw_data().size() % bytes_of(value.type) != 0) {
      throw Refusal(fmt::format("tensor '{}' ends within an element", tensor.name()));
    }
    require_count(tensor.raw_data().size() / bytes_of(value.type), count);
    if (count > most_folded) return value;
    const std::string& raw = tensor.raw_data();
    if (value.type == TensorProto::FLOAT) value.data = raw_doubles<float>(raw);
    if (value.type == TensorProto::DOUBLE) value.data = raw_doubles<double>(raw);
    if (value.type == TensorProto::INT64) value.data = raw_doubles<std::int64_t>(raw);
    if (value.type == TensorProto::INT32) value.data = raw_doubles<std::int32_t>(raw);
    if (value.type == TensorProto::BOOL || value.type == TensorProto::UINT8) {
      value.data = raw_doubles<std::uint8_t>(raw);
    }
    if (value.type == TensorProto::INT8) value.data = raw_doubles<std::int8_t>(raw);
    return value;
  }
  const auto take = [&](const auto& field) {
    if (field.empty()) return false;
    require_count(static_cast<std::uint64_t>(field.size()), complex ? 2 * count : count);
    const bool plain = value.type != TensorProto::FLOAT16 && value.type != TensorProto::BFLOAT16;
    if (!complex && plain && count <= most_folded) value.data = doubles(field);
    return true;
  };
  const bool some = take(tensor.float_data()) || take(tensor.int32_data()) || take(tensor.int64_data()) ||
                    take(tensor.double_data()) || take(tensor.uint64_data());
  if (!some && count == 0) value.data.emplace();
  return value;
}

double to_half(double value) {
  if (!std::isfinite(value) || value == 0) return value;
  const double step = std::ldexp(1.0, std::max(std::ilogb(value) - 10, -24));
  const double rounded = std::nearbyint(value / step) * step;
  return std::abs(rounded) > 65504 ? std::copysign(std::numeric_limits<double>::infinity(), value) : rounded;
}

namespace {

/// IEEE 754's half precision.
float half(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const auto mantissa = static_cast<float>(bits & 1023);
  float magnitude = std::ldexp(exponent == 0 ? mantissa : mantissa + 1024, std::max(exponent, 1) - 25);
  if (exponent == 31) magnitude = mantissa == 0 ? std::numeric_limits<float>::infinity() : std::nanf("");
  return bits >> 15 != 0 ? -magnitude : magnitude;
}

float brain(std::uint16_t bits) {
  const std::uint32_t word = static_cast<std::uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

template <class T, class Convert>
std::vector<float> raw_floats(std::string_view raw, Convert convert) {
  std::vector<float> values(raw.size() / sizeof(T));
  for (std::size_t i = 0; i < values.size(); ++i) {
    T value;
    std::memcpy(&value, raw.data() + i * sizeof(T), sizeof(T));
    values[i] = convert(value);
  }
  return values;
}

std::vector<float> raw_floats(std::string_view raw, int type) {
  const auto plain = [](auto value) { return static_cast<float>(value); };
  switch (type) {
    case TensorProto::FLOAT:
      return raw_floats<float>(raw, plain);
    case TensorProto::DOUBLE:
      return raw_floats<double>(raw, plain);
    case TensorProto::FLOAT16:
      return raw_floats<std::uint16_t>(raw, half);
    case TensorProto::BFLOAT16:
      return raw_floats<std::uint16_t>(raw, brain);
    case TensorProto::BOOL:
    case TensorProto::UINT8:
      return raw_floats<std::uint8_t>(raw, plain);
    case TensorProto::INT8:
      return raw_floats<std::int8_t>(raw, plain);
    case TensorProto::UINT16:
      return raw_floats<std::uint16_t>(raw, plain);
    case TensorProto::INT16:
      return raw_floats<std::int16_t>(raw, plain);
    case TensorProto::UINT32:
      return raw_floats<std::uint32_t>(raw, plain);
    case TensorProto::INT32:
      return raw_floats<std::int32_t>(raw, plain);
    case TensorProto::UINT64:
      return raw_floats<std::uint64_t>(raw, plain);
    case TensorProto::INT64:
      return raw_floats<std::int64_t>(raw, plain);
    default:
      throw Refusal("complex numbers and strings are no weights");
  }
}

/// The bytes of a tensor that lies in a file beside the model.
std::string external_bytes(const TensorProto& tensor, std::size_t size, const WeightSource& from) {
  const auto fail = [&tensor](const std::string& why) {
    throw Refusal(fmt::format("the external data of tensor '{}' {}", tensor.name(), why));
  };
  std::string location;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
  const auto number = [&fail](const std::string& text) {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [parsed, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || parsed != end) fail("have an offset or length that is no number of bytes");
    return value;
  };
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = number(entry.value());
    if (entry.key() == "length") length = number(entry.value());
  }
  if (!from.folder) fail("are in a file, which a model that is no file has not");
  const std::filesystem::path path(location);
  const bool outside = location.empty() || path.is_absolute() || std::find(path.begin(), path.end(), "..") != path.end();
  if (outside) fail(fmt::format("are not beside the model: '{}'", location));
  if (length && *length != size) fail(fmt::format("have {} bytes instead of {}", *length, size));
  std::ifstream stream(*from.folder / path, std::ios::binary);
  if (!stream || offset > static_cast<std::uint64_t>(max_count)) fail(fmt::format("cannot be read from '{}'", location));
  stream.seekg(static_cast<std::streamoff>(offset));
  // Piece by piece: a damaged file may promise more than there is memory for.
  std::string bytes;
  constexpr std::size_t piece = std::size_t{1} << 24;
  while (bytes.size() < size) {
    const std::size_t before = bytes.size(), more = std::min(piece, size - before);
    bytes.resize(before + more);
    if (!stream.read(bytes.data() + before, static_cast<std::streamsize>(more))) {
      fail(fmt::format("end too early in '{}'", location));
    }
  }
  return bytes;
}

}  // namespace

std::vector<float> read_floats(const TensorProto& tensor, const WeightSource& from) {
  const Shape shape(tensor.dims().begin(), tensor.dims().end());
  const auto count = static_cast<std::size_t>(count_of(shape));
  const int type = tensor.data_type();
  std::vector<float> values;
  if (tensor.data_location() == TensorProto::EXTERNAL) {
    if (count > static_cast<std::size_t>(max_count) / 16) throw Refusal(fmt::format("tensor '{}' is too large", tensor.name()));
    return raw_floats(external_bytes(tensor, count * bytes_of(type), from), type);
  }
  const auto take = [&values](const auto& field) {
    for (const auto value : field) values.push_back(static_cast<float>(value));
  };
  if (!tensor.raw_data().empty()) {
    values = raw_floats(tensor.raw_data(), type);
  } else if (type == TensorProto::FLOAT16 || type == TensorProto::BFLOAT16) {
    for (const std::int32_t word : tensor.int32_data()) {
      const auto bits = static_cast<std::uint16_t>(word);
      values.push_back(type == TensorProto::FLOAT16 ? half(bits) : brain(bits));
    }
  } else {
    take(tensor.float_data());
    take(tensor.int32_data());
    take(tensor.int64_data());
    take(tensor.double_data());
    take(tensor.uint64_data());
  }
  if (values.size() != count) {
    throw Refusal(fmt::format("tensor '{}' of shape {} holds {} instead of {} numbers", tensor.name(), to_string(shape),
                              values.size(), count));
  }
  return values;
}

// --- Attributes ----------------------------------------------------------------------------------

const AttributeProto* attribute(const NodeProto& node, std::string_view name) {
  for (const AttributeProto& candidate : node.attribute()) {
    if (candidate.name() == name) return &candidate;
  }
  return nullptr;
}

std::int64_t integer(const NodeProto& node, std::string_view name, std::int64_t fallback) {
  const AttributeProto* found = attribute(node, name);
  return found == nullptr ? fallback : found->i();
}

double real(const NodeProto& node, std::string_view name, double fallback) {
  const AttributeProto* found = attribute(node, name);
  return found == nullptr ? fallback : static_cast<double>(found->f());
}

std::string text(const NodeProto& node, std::string_view name, const std::string& fallback) {
  const AttributeProto* found = attribute(node, name);
  if (found == nullptr) return fallback;
  if (invalid_utf8(found->s()) != std::string::npos) throw Refusal(fmt::format("{} is no text in UTF-8", name));
  return found->s();
}

std::optional<Ints> integers(const NodeProto& node, std::string_view name) {
  const AttributeProto* found = attribute(node, name);
  if (found == nullptr) return std::nullopt;
  return Ints(found->ints().begin(), found->ints().end());
}

void check_attributes(const NodeProto& node) {
  constexpr std::int64_t largest = std::numeric_limits<std::int32_t>::max();
  for (const AttributeProto& candidate : node.attribute()) {
    const std::string& name = candidate.name();
    const bool positive = name == "strides" || name == "dilations" || name == "kernel_shape" || name == "group" ||
                          name == "blocksize" || name == "hidden_size";
    const bool bounded = positive || name == "pads" || name == "output_padding" || name == "output_shape" ||
                         name == "split" || name == "axis" || name == "axes" || name == "perm";
    if (!bounded) continue;
    const auto check = [&](std::int64_t value) {
      if (value < (positive ? 1 : -largest) || value > largest) {
        throw Refusal(fmt::format("attribute {} is {}", name, value));
      }
    };
    if (candidate.type() == AttributeProto::INT) check(candidate.i());
    for (const std::int64_t value : candidate.ints()) check(value);
  }
}

std::size_t axis_of(std::int64_t axis, std::size_t rank) {
  const auto signed_rank = static_cast<std::int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) {
    throw Refusal(fmt::format("axis {} is outside a tensor of {} dimensions", axis, rank));
  }
  return static_cast<std::size_t>(axis < 0 ? axis + signed_rank : axis);
}

std::string label(const NodeProto& node) {
  if (!node.name().empty()) return node.name();
  for (const std::string& output : node.output()) {
    if (!output.empty()) return output;
  }
  return node.op_type();
}

bool has(const NodeProto& node, int i) { return i < node.input_size() && !node.input(i).empty(); }

bool has_output(const NodeProto& node, int i) { return i < node.output_size() && !node.output(i).empty(); }

const Value& value_at(const Values& values, const NodeProto& node, int i) {
  if (!has(node, i)) throw Refusal(fmt::format("lacks input {}", i));
  const auto found = values.find(node.input(i));
  if (found == values.end()) throw Refusal(fmt::format("input '{}' is not computed before it", node.input(i)));
  return found->second;
}

Value& value_at(Values& values, const NodeProto& node, int i) {
  return const_cast<Value&>(value_at(std::as_const(values), node, i));
}

const Shape& shape_at(const Values& values, const NodeProto& node, int i) {
  const Value& found = value_at(values, node, i);
  if (!found.shape) throw Refusal(fmt::format("the shape of '{}' is not known", node.input(i)));
  return *found.shape;
}

std::optional<std::vector<double>> known_at(const Values& values, const NodeProto& node, int i) {
  if (!has(node, i)) return std::nullopt;
  return value_at(values, node, i).data;
}

std::optional<Ints> known_integers_at(const Values& values, const NodeProto& node, int i) {
  const auto data = known_at(values, node, i);
  if (!data) return std::nullopt;
  Ints result;
  for (const double element : *data) result.push_back(whole(element));
  return result;
}

std::optional<Ints> list_at(const Values& values, const NodeProto& node, std::string_view name, int i) {
  if (auto found = integers(node, name)) return found;
  if (!has(node, i)) return std::nullopt;
  auto found = known_integers_at(values, node, i);
  if (!found) throw Refusal(fmt::format("{} depend on data", name));
  return found;
}

std::string snake_case(const std::string& type) {
  std::string result;
  for (std::size_t i = 0; i < type.size(); ++i) {
    const bool upper = type[i] >= 'A' && type[i] <= 'Z';
    const bool after_lower = i > 0 && !(type[i - 1] >= 'A' && type[i - 1] <= 'Z');
    if (upper && i > 0 && after_lower) result += '_';
    result += upper ? static_cast<char>(type[i] - 'A' + 'a') : type[i];
  }
  return result;
}

}  // namespace duet::onnx_graph
