#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <limits>
#include <numeric>
#include <onnx/onnx_pb.h>
#include <set>

#include "core/errors.hpp"
#include "spaces/onnx.hpp"
#include "spaces/onnx_functions.hpp"

namespace duet {
namespace {

using onnx::AttributeProto;
using onnx::NodeProto;
using onnx::TensorProto;
using Ints = std::vector<std::int64_t>;

constexpr float epsilon = 1e-5F;  // of batch normalisation
// Protocol buffers end at 2 GB.
constexpr std::int64_t most_bytes_within = (std::int64_t{1} << 31) - (std::int64_t{1} << 24);

void set(NodeProto& node, const char* name, std::int64_t value) {
  AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(AttributeProto::INT);
  attribute.set_i(value);
}

void set(NodeProto& node, const char* name, float value) {
  AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(AttributeProto::FLOAT);
  attribute.set_f(value);
}

void set(NodeProto& node, const char* name, const Ints& values) {
  AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(AttributeProto::INTS);
  for (const std::int64_t value : values) attribute.add_ints(value);
}

void set(NodeProto& node, const char* name, const std::string& value) {
  AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(AttributeProto::STRING);
  attribute.set_s(value);
}

/// "reduce_mean" as "ReduceMean".
std::string camel_case(std::string_view name) {
  std::string result;
  bool upper = true;
  for (const char c : name) {
    if (c == '_') {
      upper = true;
      continue;
    }
    result += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = false;
  }
  return result;
}

class Exporter {
 public:
  Exporter(const Network& network, const std::filesystem::path& file, const OnnxExportOptions& options)
      : network_(network),
        file_(file),
        options_(options),
        types_(network.nodes().size(), TensorProto::FLOAT),
        draw_(network, options.seed) {
    if (options_.weights != nullptr) check(network, *options_.weights);
    if (options_.external_data.empty()) return;
    const std::filesystem::path data = file.parent_path() / options_.external_data;
    external_.open(data, std::ios::binary | std::ios::trunc);
    if (!external_) throw ConfigError(fmt::format("{}: cannot be written", data.string()));
  }

  void run() {
    model_.set_ir_version(8);
    model_.set_producer_name("duet");
    model_.add_opset_import()->set_version(17);
    graph().set_name("network");
    find_types();
    for (NodeId id = 0; id < network_.nodes().size(); ++id) {
      id_ = id;
      load();
      std::visit([this](const auto& op) { write(op); }, node().op);
    }
    const Node& last = network_.node(network_.output());
    if (std::holds_alternative<Outputs>(last.op)) {
      for (const NodeId id : last.inputs) add_output(id);
    } else {
      add_output(network_.output());
    }
    save();
  }

 private:
  onnx::GraphProto& graph() { return *model_.mutable_graph(); }
  const Node& node() const { return network_.node(id_); }
  const Shape& input_shape(std::size_t i = 0) const { return network_.node(node().inputs[i]).shape; }
  /// The name of the i-th input, of the type that the node takes.
  std::string input(std::size_t i = 0) {
    const NodeId source = node().inputs[i];
    const std::string& name = network_.node(source).name;
    const int type = type_for(id_, i);
    if (types_[source] == type) return name;
    const std::string made = part(fmt::format("as_{}_{}", type == TensorProto::BOOL ? "truth" : type == TensorProto::INT64 ? "integer" : "number", i));
    if (cast_.insert(made).second) set(add("Cast", made, {name}), "to", std::int64_t{type});
    return made;
  }

  static bool moves(const Operator& op) {
    return std::holds_alternative<Reshape>(op) || std::holds_alternative<Slice>(op) || std::holds_alternative<Transpose>(op) ||
           std::holds_alternative<Identity>(op) || std::holds_alternative<Flatten>(op) || std::holds_alternative<Expand>(op);
  }

  /// What is true or false.
  static bool is_truth(const Operator& op) {
    static constexpr std::string_view functions[] = {"and", "equal", "greater", "greater_or_equal", "is_inf", "is_na_n",
                                                     "less", "less_or_equal", "not", "or", "xor"};
    const auto* function = std::get_if<Elementwise>(&op);
    return function != nullptr && std::find(std::begin(functions), std::end(functions), function->function) != std::end(functions);
  }

  /// The type of elements that a user's i-th input must have.
  int type_for(NodeId user, std::size_t i) const {
    const Operator& op = network_.node(user).op;
    if (std::holds_alternative<Embedding>(op) && i == 0) return TensorProto::INT64;
    if (moves(op) || std::holds_alternative<Concat>(op)) return types_[user];
    const auto* function = std::get_if<Elementwise>(&op);
    if (function == nullptr) return TensorProto::FLOAT;
    const std::string& name = function->function;
    const bool truths = name == "and" || name == "not" || name == "or" || name == "xor" || (name == "where" && i == 0);
    return truths ? TensorProto::BOOL : TensorProto::FLOAT;
  }

  /// Numbers are floats, but for token numbers, positions and what only moves them, and for what is true or false.
  void find_types() {
    const auto nodes = network_.nodes();
    std::vector<std::vector<int>> wanted(nodes.size());  // of inputs and fixed constants, by their users
    for (NodeId id = nodes.size(); id-- > 0;) {
      const Node& user = nodes[id];
      const bool moved = moves(user.op) && !wanted[id].empty();
      for (std::size_t i = 0; i < user.inputs.size(); ++i) {
        const int type = moved ? *std::max_element(wanted[id].begin(), wanted[id].end()) : type_for(id, i);
        wanted[user.inputs[i]].push_back(type);
      }
    }
    for (NodeId id = 0; id < nodes.size(); ++id) {
      const Node& made = nodes[id];
      const auto* constant = std::get_if<Constant>(&made.op);
      const auto* top = std::get_if<TopK>(&made.op);
      const bool integral = std::find(wanted[id].begin(), wanted[id].end(), TensorProto::INT64) != wanted[id].end();
      const bool alike = !wanted[id].empty() && std::count(wanted[id].begin(), wanted[id].end(), wanted[id][0]) ==
                                                    static_cast<std::ptrdiff_t>(wanted[id].size());
      if ((std::holds_alternative<Input>(made.op) && integral) || (top != nullptr && top->indices)) types_[id] = TensorProto::INT64;
      if (constant != nullptr && !constant->learned && alike) types_[id] = wanted[id][0];
      if (is_truth(made.op)) types_[id] = TensorProto::BOOL;
      if (!moves(made.op) && !std::holds_alternative<Concat>(made.op)) continue;
      const int first = types_[made.inputs[0]];
      const bool all = std::all_of(made.inputs.begin(), made.inputs.end(), [&](NodeId source) { return types_[source] == first; });
      if (all) types_[id] = first;
    }
  }

  void add_type(onnx::ValueInfoProto& info, NodeId id) {
    info.set_name(network_.node(id).name);
    auto* tensor = info.mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(types_[id]);
    for (const std::int64_t extent : network_.node(id).shape) tensor->mutable_shape()->add_dim()->set_dim_value(extent);
  }

  void add_output(NodeId id) { add_type(*graph().add_output(), id); }

  NodeProto& add(const std::string& type, const std::string& name, const std::vector<std::string>& inputs) {
    NodeProto& made = *graph().add_node();
    made.set_op_type(type);
    made.set_name(name);
    made.add_output(name);
    for (const std::string& input : inputs) made.add_input(input);
    return made;
  }

  std::string part(std::string_view suffix) const { return fmt::format("{}/{}", node().name, suffix); }

  // --- Tensors ---

  /// The numbers of the node's tensors.
  void load() {
    slots_ = weight_slots(network_, id_);
    // Before there is memory for them.
    for (const WeightSlot& slot : slots_) {
      if (!options_.external_data.empty()) break;
      within_ += elements(slot.shape) * static_cast<std::int64_t>(sizeof(float));
      if (within_ > most_bytes_within) {
        throw ConfigError(fmt::format("{}: the model is above 2 GB: its weights must go to a file of external data",
                                      file_.string()));
      }
    }
    if (options_.weights != nullptr) return;
    if (!options_.zeros) {
      drawn_ = draw_.next();
    } else if (options_.external_data.empty()) {
      drawn_.clear();
      for (const WeightSlot& slot : slots_) {
        const float value = slot.start == WeightSlot::Start::ones ? 1.0F : 0.0F;
        drawn_.push_back({slot.shape, std::vector<float>(static_cast<std::size_t>(elements(slot.shape)), value)});
      }
    }  // else there are holes in the file
  }

  const FloatTensor& tensor(std::size_t i) const {
    return options_.weights != nullptr ? (*options_.weights)[id_][i] : drawn_[i];
  }

  static std::string_view bytes_of(const std::vector<float>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
  }

  /// The node's i-th tensor becomes an initializer, a matrix the other way round if that is asked for.
  std::string weights(std::size_t i, bool transpose = false) {
    const WeightSlot& slot = slots_[i];
    TensorProto& made = *graph().add_initializer();
    made.set_name(slot.name.empty() ? node().name : part(slot.name));
    made.set_data_type(TensorProto::FLOAT);
    Shape shape = slot.shape;
    if (transpose) std::swap(shape[0], shape[1]);
    for (const std::int64_t extent : shape) made.add_dims(extent);
    const std::int64_t size = elements(shape) * static_cast<std::int64_t>(sizeof(float));
    if (options_.external_data.empty()) {
      made.set_raw_data(std::string(bytes_of(transpose ? transposed(tensor(i)).values : tensor(i).values)));
      return made.name();
    }
    made.set_data_location(TensorProto::EXTERNAL);
    const auto entry = [&made](const char* key, const std::string& value) {
      auto* added = made.add_external_data();
      added->set_key(key);
      added->set_value(value);
    };
    entry("location", options_.external_data);
    entry("offset", std::to_string(offset_));
    entry("length", std::to_string(size));
    if (!sparse()) external_ << bytes_of(transpose ? transposed(tensor(i)).values : tensor(i).values);
    offset_ += size;
    return made.name();
  }

  /// Whether external data are a hole.
  bool sparse() const { return options_.zeros && options_.weights == nullptr; }

  std::string number(const char* suffix, float value) {
    TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(part(suffix));
    tensor.set_data_type(TensorProto::FLOAT);
    tensor.add_float_data(value);
    return tensor.name();
  }

  std::string floats(const char* suffix, const Shape& shape, const std::vector<float>& values) {
    TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(part(suffix));
    tensor.set_data_type(TensorProto::FLOAT);
    for (const std::int64_t extent : shape) tensor.add_dims(extent);
    tensor.set_raw_data(std::string(bytes_of(values)));
    return tensor.name();
  }

  std::string integers(const char* suffix, const Ints& values) {
    TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(part(suffix));
    tensor.set_data_type(TensorProto::INT64);
    tensor.add_dims(static_cast<std::int64_t>(values.size()));
    for (const std::int64_t value : values) tensor.add_int64_data(value);
    return tensor.name();
  }

  // --- Operators ---

  void write(const Input&) { add_type(*graph().add_input(), id_); }

  void write(const Zeros& op) { add("ConstantOfShape", node().name, {integers("shape", op.shape)}); }

  void write(const Constant& op) {
    if (op.learned) {
      weights(0);
      return;
    }
    NodeProto& made = add("Constant", node().name, {});
    AttributeProto& value = *made.add_attribute();
    value.set_name("value");
    value.set_type(AttributeProto::TENSOR);
    TensorProto& made_tensor = *value.mutable_t();
    made_tensor.set_data_type(types_[id_]);
    for (const std::int64_t extent : op.shape) made_tensor.add_dims(extent);
    const std::vector<float> values = sparse() ? content_of(op) : tensor(0).values;
    if (types_[id_] == TensorProto::FLOAT) {
      made_tensor.set_raw_data(std::string(bytes_of(values)));
      return;
    }
    for (const float element : values) {
      types_[id_] == TensorProto::BOOL ? made_tensor.add_int32_data(element != 0 ? 1 : 0)
                                       : made_tensor.add_int64_data(static_cast<std::int64_t>(element));
    }
  }

  void write(const Convolution& op) {
    std::vector<std::string> inputs{input(), weights(0)};
    if (op.bias) inputs.push_back(weights(1));
    NodeProto& made = add("Conv", node().name, inputs);
    set(made, "dilations", Ints{op.dilation_h, op.dilation_w});
    set(made, "group", op.groups);
    set(made, "kernel_shape", Ints{op.kernel_h, op.kernel_w});
    set(made, "pads", Ints{op.padding_h, op.padding_w, op.padding_h, op.padding_w});
    set(made, "strides", Ints{op.stride_h, op.stride_w});
  }

  void write(const TransposedConvolution& op) {
    std::vector<std::string> inputs{input(), weights(0)};
    if (op.bias) inputs.push_back(weights(1));
    NodeProto& made = add("ConvTranspose", node().name, inputs);
    set(made, "dilations", Ints{op.dilation_h, op.dilation_w});
    set(made, "group", op.groups);
    set(made, "kernel_shape", Ints{op.kernel_h, op.kernel_w});
    set(made, "output_padding", Ints{op.output_padding_h, op.output_padding_w});
    set(made, "pads", Ints{op.padding_h, op.padding_w, op.padding_h, op.padding_w});
    set(made, "strides", Ints{op.stride_h, op.stride_w});
  }

  void write(const Linear& op) {
    if (input_shape().size() == 2) {
      std::vector<std::string> inputs{input(), weights(0)};
      if (op.bias) inputs.push_back(weights(1));
      set(add("Gemm", node().name, inputs), "transB", std::int64_t{1});
      return;
    }
    const std::string weight = weights(0, true);
    if (!op.bias) {
      add("MatMul", node().name, {input(), weight});
      return;
    }
    add("MatMul", part("matmul"), {input(), weight});
    add("Add", node().name, {part("matmul"), weights(1)});
  }

  void write(const MatMul& op) {
    std::string second = input(1);
    if (op.transpose_b) {
      Ints permutation(input_shape(1).size());
      std::iota(permutation.begin(), permutation.end(), 0);
      std::swap(permutation.back(), permutation[permutation.size() - 2]);
      set(add("Transpose", part("transpose"), {second}), "perm", permutation);
      second = part("transpose");
    }
    add("MatMul", node().name, {input(), second});
  }

  void write_pool(const WindowPool& op, bool dilated) {
    NodeProto& made = add(op.kind == Pool::Kind::max ? "MaxPool" : "AveragePool", node().name, {input()});
    if (op.kind == Pool::Kind::average) {
      if (dilated) unknown("a dilated average");
      set(made, "count_include_pad", std::int64_t{op.count_include_pad ? 1 : 0});
    } else {
      set(made, "dilations", Ints{op.dilation_h, op.dilation_w});
    }
    set(made, "kernel_shape", Ints{op.kernel_h, op.kernel_w});
    set(made, "pads", Ints{op.padding_top, op.padding_left, op.padding_bottom, op.padding_right});
    set(made, "strides", Ints{op.stride_h, op.stride_w});
  }

  void write(const Pool& op) {
    write_pool({op.kind, op.kernel, op.kernel, op.stride, op.stride, op.padding, op.padding, op.padding, op.padding, 1,
                1, op.count_include_pad},
               false);
  }

  void write(const WindowPool& op) { write_pool(op, op.dilation_h != 1 || op.dilation_w != 1); }

  void write(const GlobalPool&) { add("GlobalAveragePool", node().name, {input()}); }

  std::vector<std::string> inputs() {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < node().inputs.size(); ++i) names.push_back(input(i));
    return names;
  }

  void write(const Add&) { add(node().inputs.size() == 2 ? "Add" : "Sum", node().name, inputs()); }

  void write(const Multiply&) {
    std::string product = input();
    for (std::size_t i = 1; i < node().inputs.size(); ++i) {
      const bool last = i + 1 == node().inputs.size();
      const std::string name = last ? node().name : fmt::format("{}/{}", node().name, i);
      add("Mul", name, {product, input(i)});
      product = name;
    }
  }

  void write(const Concat& op) { set(add("Concat", node().name, inputs()), "axis", op.axis); }

  void write(const Activation& op) {
    switch (op.kind) {
      case Activation::Kind::relu:
        add("Relu", node().name, {input()});
        return;
      case Activation::Kind::relu6:
        add("Clip", node().name, {input(), number("min", 0), number("max", 6)});
        return;
      case Activation::Kind::sigmoid:
        add("Sigmoid", node().name, {input()});
        return;
      case Activation::Kind::tanh:
        add("Tanh", node().name, {input()});
        return;
      case Activation::Kind::hard_swish:
        add("HardSwish", node().name, {input()});
        return;
      case Activation::Kind::silu:
        add("Sigmoid", part("gate"), {input()});
        add("Mul", node().name, {input(), part("gate")});
        return;
      case Activation::Kind::gelu:
        add("Div", part("scaled"), {input(), number("root_of_two", static_cast<float>(std::sqrt(2.0)))});
        add("Erf", part("erf"), {part("scaled")});
        add("Add", part("gate"), {part("erf"), number("one", 1)});
        add("Mul", part("gated"), {input(), part("gate")});
        add("Mul", node().name, {part("gated"), number("half", 0.5)});
        return;
    }
  }

  void write(const BatchNormalization&) {
    set(add("BatchNormalization", node().name, {input(), weights(0), weights(1), weights(2), weights(3)}),
        "epsilon", epsilon);
  }

  void write(const LayerNormalization& op) {
    NodeProto& made = add("LayerNormalization", node().name, {input(), weights(0), weights(1)});
    set(made, "axis", std::int64_t{-1});
    set(made, "epsilon", op.epsilon);
  }

  void write(const RmsNormalization& op) {
    add("Pow", part("squares"), {input(), number("two", 2)});
    NodeProto& mean = add("ReduceMean", part("mean"), {part("squares")});
    set(mean, "axes", Ints{-1});
    set(mean, "keepdims", std::int64_t{1});
    add("Add", part("shifted"), {part("mean"), number("epsilon", op.epsilon)});
    add("Sqrt", part("root"), {part("shifted")});
    add("Div", part("normalized"), {input(), part("root")});
    add("Mul", node().name, {part("normalized"), weights(0)});
  }

  void write(const Softmax& op) { set(add("Softmax", node().name, {input()}), "axis", op.axis); }
  void write(const Flatten&) { set(add("Flatten", node().name, {input()}), "axis", std::int64_t{1}); }
  void write(const Identity&) { add("Identity", node().name, {input()}); }

  void write(const Embedding&) {
    const std::string table = node().inputs.size() == 2 ? input(1) : weights(0);
    set(add("Gather", node().name, {table, input()}), "axis", std::int64_t{0});
  }

  void write(const Elementwise& op) {
    if (op.function == "cast" || op.function == "quantize_linear" || op.function == "dequantize_linear" ||
        op.function == "bit_shift") {
      unknown(op.function);
    }
    const auto settings = settings_of(op.function);
    const auto setting = [&](std::size_t i) { return op.settings.empty() ? settings[i].usual : op.settings[i]; };
    std::vector<std::string> names = inputs();
    if (op.function == "clip") {
      for (std::size_t i = 0; i < settings.size(); ++i) {
        const bool bounded = std::isfinite(setting(i));
        names.push_back(bounded ? number(std::string(settings[i].name).c_str(), setting(i)) : std::string());
      }
      while (names.back().empty()) names.pop_back();
    }
    NodeProto& made = add(op.function == "prelu" ? "PRelu" : camel_case(op.function), node().name, names);
    // Among the usual ones is one that is not ONNX's.
    if (op.function == "clip" || (op.settings.empty() && op.function != "hard_sigmoid")) return;
    for (std::size_t i = 0; i < settings.size(); ++i) set(made, std::string(settings[i].name).c_str(), setting(i));
  }

  void write(const Reduce& op) {
    const bool sum = op.function == "sum";
    std::vector<std::string> names{input()};
    if (sum) names.push_back(integers("axes", op.axes));
    // Where nothing is left, ONNX's result has no dimension, the network's has one.
    const bool scalar = !op.keep_dimensions && op.axes.size() == input_shape().size();
    const std::string name = scalar ? part("scalar") : node().name;
    NodeProto& made = add("Reduce" + camel_case(op.function), name, names);
    if (!sum) set(made, "axes", op.axes);
    set(made, "keepdims", std::int64_t{op.keep_dimensions ? 1 : 0});
    if (scalar) add("Reshape", node().name, {name, integers("shape", {1})});
  }

  void write(const Reshape& op) { add("Reshape", node().name, {input(), integers("shape", op.shape)}); }
  void write(const Transpose& op) { set(add("Transpose", node().name, {input()}), "perm", op.permutation); }

  void write(const Slice& op) {
    Ints ends, axes(op.starts.size());
    std::iota(axes.begin(), axes.end(), 0);
    for (std::size_t i = 0; i < op.starts.size(); ++i) {
      const std::int64_t last = op.starts[i] + (op.extents[i] - 1) * op.steps[i];
      const std::int64_t end = op.steps[i] > 0 ? last + 1 : last - 1;
      ends.push_back(end < 0 ? std::numeric_limits<std::int64_t>::min() : end);
    }
    add("Slice", node().name, {input(), integers("starts", op.starts), integers("ends", ends), integers("axes", axes),
                               integers("steps", op.steps)});
  }

  void write(const Pad& op) {
    Ints pads = op.before;
    pads.insert(pads.end(), op.after.begin(), op.after.end());
    add("Pad", node().name, {input(), integers("pads", pads)});
  }

  void write(const Resize& op) {
    NodeProto& made = add("Resize", node().name, {input(), "", "", integers("sizes", op.shape)});
    set(made, "mode", op.mode);
    if (op.coordinates != "half_pixel") set(made, "coordinate_transformation_mode", op.coordinates);
    if (op.coordinates == "asymmetric" && op.mode == "nearest") set(made, "nearest_mode", "floor");
  }

  void write(const Expand& op) { add("Expand", node().name, {input(), integers("shape", op.shape)}); }

  void write(const TopK& op) {
    const std::string from = input();
    NodeProto& made = *graph().add_node();
    made.set_op_type("TopK");
    made.set_name(node().name);
    made.add_input(from);
    made.add_input(integers("k", {op.k}));
    made.add_output(op.indices ? part("values") : node().name);
    made.add_output(op.indices ? node().name : part("indices"));
    set(made, "axis", std::int64_t{-1});
  }

  /// Opset 17 has no deformable convolution: a call of the model's own function, whose attributes say to duet what its
  /// tensors say to everybody else.
  void write(const DeformableSampling& op) {
    define_deformable_sampling();
    const Shape &in = input_shape(), &out = node().shape;
    const std::int64_t taps = op.kernel_h * op.kernel_w;
    const auto unit = [](std::int64_t extent) { return 2 / static_cast<float>(extent); };
    std::vector<float> window, factors;
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      const std::int64_t ky = tap / op.kernel_w, kx = tap % op.kernel_w;
      for (const std::int64_t twice : {2 * ky - (op.kernel_h - 1), 2 * kx - (op.kernel_w - 1)}) {
        factors.push_back(static_cast<float>(twice) / 2);
      }
      for (std::int64_t at = 0; at < out[2] * out[3]; ++at) {
        const std::int64_t y = at / out[3] * op.stride_h - op.padding_h + ky * op.dilation_h;
        const std::int64_t x = at % out[3] * op.stride_w - op.padding_w + kx * op.dilation_w;
        // The first pixel is centred half a pixel from the border.
        window.push_back((static_cast<float>(x) + 0.5F) * unit(in[3]) - 1);
        window.push_back((static_cast<float>(y) + 0.5F) * unit(in[2]) - 1);
      }
    }
    const float range = op.range == 0 ? std::numeric_limits<float>::max() : static_cast<float>(op.range);
    const Ints by_tap{out[0], op.square ? 1 : taps, op.square ? 1 : 2, out[2], out[3]};
    NodeProto& made = add(deformable_sampling, node().name,
                          {input(0), input(1), integers("by_tap", by_tap),
                           op.square ? floats("factors", {1, taps, 2, 1, 1}, factors) : floats("factors", {1, 1, 1, 1, 1}, {1}),
                           number("least", -range), number("most", range), floats("units", {2}, {unit(in[3]), unit(in[2])}),
                           floats("window", {1, taps, out[2], out[3], 2}, window),
                           integers("grid_shape", {out[0], taps * out[2], out[3], 2}), integers("shape", out)});
    made.set_domain(own_domain);
    set(made, "dilations", Ints{op.dilation_h, op.dilation_w});
    set(made, "kernel_shape", Ints{op.kernel_h, op.kernel_w});
    set(made, "pads", Ints{op.padding_h, op.padding_w, op.padding_h, op.padding_w});
    set(made, "range", op.range);
    set(made, "square", std::int64_t{op.square ? 1 : 0});
    set(made, "strides", Ints{op.stride_h, op.stride_w});
  }

  /// GridSample reads an image where a grid says, to the right and down, in units of half the image from its centre. The taps
  /// stand one below the other there.
  void define_deformable_sampling() {
    if (model_.functions_size() > 0) return;
    auto* domain = model_.add_opset_import();
    domain->set_domain(own_domain);
    domain->set_version(1);
    onnx::FunctionProto& function = *model_.add_functions();
    function.set_domain(own_domain);
    function.set_name(deformable_sampling);
    function.add_opset_import()->set_version(17);
    for (const char* name : {"image", "offsets", "by_tap", "factors", "least", "most", "units", "window", "grid_shape", "shape"}) {
      function.add_input(name);
    }
    for (const char* name : {"dilations", "kernel_shape", "pads", "range", "square", "strides"}) function.add_attribute(name);
    function.add_output("sampled");
    const auto step = [&](const char* type, const char* output, const std::vector<const char*>& inputs) -> NodeProto& {
      NodeProto& made = *function.add_node();
      made.set_op_type(type);
      made.add_output(output);
      for (const char* input : inputs) made.add_input(input);
      return made;
    };
    step("Reshape", "given", {"offsets", "by_tap"});
    step("Mul", "displaced", {"given", "factors"});
    step("Clip", "limited", {"displaced", "least", "most"});
    set(step("Transpose", "pairs", {"limited"}), "perm", Ints{0, 1, 3, 4, 2});
    NodeProto& order = step("Constant", "right_first", {});
    AttributeProto& value = *order.add_attribute();
    value.set_name("value_ints");
    value.set_type(AttributeProto::INTS);
    for (const std::int64_t axis : {1, 0}) value.add_ints(axis);
    set(step("Gather", "turned", {"pairs", "right_first"}), "axis", std::int64_t{4});
    step("Mul", "scaled", {"turned", "units"});
    step("Add", "places", {"scaled", "window"});
    step("Reshape", "grid", {"places", "grid_shape"});
    NodeProto& sample = step("GridSample", "values", {"image", "grid"});
    set(sample, "align_corners", std::int64_t{0});
    set(sample, "mode", std::string("bilinear"));
    set(sample, "padding_mode", std::string("zeros"));
    step("Reshape", "sampled", {"values", "shape"});
  }

  void write(const Other& op) { unknown(op.type); }
  void write(const Outputs&) {
    if (id_ != network_.output()) unknown("outputs in the middle of a network");
  }

  [[noreturn]] void unknown(const std::string& what) const {
    throw ConfigError(fmt::format("node '{}' cannot be exported: ONNX's attributes of {} are not known", node().name,
                                  what));
  }

  void save() {
    if (!options_.external_data.empty()) {
      external_.close();
      const std::filesystem::path data = file_.parent_path() / options_.external_data;
      std::error_code error;
      if (sparse()) std::filesystem::resize_file(data, static_cast<std::uintmax_t>(offset_), error);
      if (!external_ || error) throw ConfigError(fmt::format("{}: cannot be written", data.string()));
    }
    std::ofstream stream(file_, std::ios::binary | std::ios::trunc);
    if (!stream || !model_.SerializeToOstream(&stream) || !stream.flush()) {
      throw ConfigError(fmt::format("{}: cannot be written", file_.string()));
    }
  }

  const Network& network_;
  std::filesystem::path file_;
  const OnnxExportOptions& options_;
  std::set<std::string> cast_;  ///< inputs in another type, by name
  std::vector<int> types_;  ///< of the nodes' elements
  onnx::ModelProto model_;
  std::ofstream external_;
  std::int64_t offset_ = 0, within_ = 0;
  InitialWeights draw_;
  std::vector<WeightSlot> slots_;
  std::vector<FloatTensor> drawn_;
  NodeId id_ = 0;
};

}  // namespace

void export_onnx(const Network& network, const std::filesystem::path& file, const OnnxExportOptions& options) {
  Exporter(network, file, options).run();
}

}  // namespace duet
