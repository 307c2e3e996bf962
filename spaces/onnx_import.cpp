#include <algorithm>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <functional>
#include <google/protobuf/io/coded_stream.h>
#include <limits>
#include <numeric>
#include <onnx/defs/schema.h>
#include <onnx/onnx_pb.h>
#include <optional>
#include <set>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unordered_map>

#include "core/config.hpp"
#include "core/errors.hpp"
#include "core/utf8.hpp"
#include "spaces/execution.hpp"
#include "spaces/onnx.hpp"
#include "spaces/onnx_folding.hpp"
#include "spaces/onnx_functions.hpp"
#include "spaces/onnx_graph.hpp"
#include "spaces/onnx_inference.hpp"
#include "spaces/onnx_order.hpp"
#include "spaces/onnx_patterns.hpp"
#include "spaces/onnx_wire.hpp"

namespace duet {
namespace {

using onnx::AttributeProto;
using onnx::NodeProto;
using onnx::TensorProto;
using onnx::TypeProto;
using namespace onnx_graph;

constexpr std::int64_t newest_opset = 17;                      // of libonnx 1.12
constexpr std::size_t most_computed = std::size_t{1} << 28;  // elements of a constant computed of others
constexpr std::int64_t most_steps = 64;                        // of recurrent networks that are unrolled
constexpr std::int64_t most_work = std::int64_t{1} << 31;    // elements and MACs of all of them

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

class Importer {
 public:
  Importer(const onnx::ModelProto& model, const OnnxDimensions& dimensions, const WeightSource& source)
      : graph_(model.graph()), dimensions_(dimensions), source_(source) {
    for (const auto& import : model.opset_import()) {
      if (import.domain().empty() || import.domain() == "ai.onnx") opset_ = import.version();
    }
    if (opset_ == 0) opset_ = newest_opset;
  }

  void run(OnnxImport& result) {
    uses_ = count_uses(graph_);
    read_initializers(graph_);
    read_inputs();
    read_value_info(graph_);
    import_nodes(graph_, result);
    set_outputs();
    result.network = std::move(network_);
    if (!source_.wanted) return;
    weights_.resize(result.network.nodes().size());
    result.weights = std::move(weights_);
    check(result.network, result.weights);
  }

 private:
  /// A refusal that says where.
  class Located : public Refusal {
   public:
    using Refusal::Refusal;
  };

  [[noreturn]] static void refuse(const NodeProto& node, const std::string& why) {
    throw Located(fmt::format("node '{}' ({}): {}", label(node), node.op_type(), why.substr(0, why.find('\n'))));
  }

  const onnx::OpSchema* schema_of(const NodeProto& node) const {
    if (!node.domain().empty() && node.domain() != "ai.onnx") return nullptr;
    return onnx::OpSchemaRegistry::Schema(node.op_type(), static_cast<int>(opset_));
  }

  /// Every node has the inputs, outputs and attributes of its operator: what follows relies on it.
  void verify(const onnx::GraphProto& graph) const {
    for (const NodeProto& node : graph.node()) {
      try {
        if (const onnx::OpSchema* schema = schema_of(node)) schema->Verify(node);
      } catch (const std::exception& error) {
        refuse(node, error.what());
      }
    }
  }

  // --- Graphs, and those within their nodes ---

  void import_nodes(const onnx::GraphProto& graph, OnnxImport& result) {
    verify(graph);
    const auto [ends, part_of] = find_patterns(graph, values_, uses_);
    for (const NodeProto* next : in_order(graph)) {
      const NodeProto& node = *next;
      entry_ = {label(node), node.op_type(), OnnxFidelity::modelled, ""};
      try {
        if (const auto part = part_of.find(&node); part != part_of.end()) {
          entry_.note = fmt::format("part of '{}'", label(*part->second));
        } else if (node.op_type() == "If" && schema_of(node) != nullptr) {
          branch(node, result);
          continue;
        } else {
          const auto end = ends.find(&node);
          import(node, end == ends.end() ? nullptr : &end->second);
        }
      } catch (const Located&) {
        throw;
      } catch (const NetworkError& error) {
        throw Located(error.what());  // names the node
      } catch (const std::exception& error) {
        refuse(node, error.what());
      }
      result.nodes.push_back(entry_);
    }
  }

  /// How often each value is used. One branch of several runs: the largest count.
  Uses count_uses(const onnx::GraphProto& graph) {
    Uses uses;
    for (const NodeProto& node : graph.node()) {
      for (const std::string& input : node.input()) ++uses[input];
      if (node.op_type() == "If" && node.input_size() > 0) conditions_.insert(node.input(0));
      Uses inside;
      for (const AttributeProto& attribute : node.attribute()) {
        if (!attribute.has_g()) continue;
        for (const auto& [name, count] : count_uses(attribute.g())) inside[name] = std::max(inside[name], count);
      }
      for (const auto& [name, count] : inside) uses[name] += count;
    }
    for (const auto& output : graph.output()) ++uses[output.name()];
    return uses;
  }

  /// The nodes of the branch that runs, which must be known.
  void branch(const NodeProto& node, OnnxImport& result) {
    const auto condition = known(node, 0);
    const auto chosen = dimensions_.find(node.input(0));
    const bool decided = condition && condition->size() == 1;
    if (!decided && chosen == dimensions_.end()) {
      std::string why = fmt::format("which branch runs depends on data; choose with --dim {0}=1 (then) or --dim {0}=0 (else)",
                                    node.input(0));
      if (!unbound_numbers_.empty()) why += fmt::format(", or give input '{0}': --dim {0}=NUMBER", unbound_numbers_.front());
      throw Refusal(why);
    }
    const bool yes = decided ? condition->front() != 0 : chosen->second != 0;
    const AttributeProto* taken = attribute(node, yes ? "then_branch" : "else_branch");
    const AttributeProto* other = attribute(node, yes ? "else_branch" : "then_branch");
    if (taken == nullptr || !taken->has_g()) throw Refusal("lacks a branch");
    const onnx::GraphProto& graph = taken->g();
    if (graph.output_size() != node.output_size()) throw Refusal("has another number of outputs than its branch");
    const int rest = other == nullptr ? 0 : other->g().node_size();
    const std::string what = fmt::format("the {} branch runs; {} nodes of the other do not", yes ? "then" : "else", rest);
    if (decided) {
      ignore(what);
    } else {
      approximate(what + ", as --dim says");
    }
    result.nodes.push_back(entry_);

    read_initializers(graph);
    read_value_info(graph);
    import_nodes(graph, result);
    std::vector<Value> made;
    for (const auto& output : graph.output()) {
      const auto found = values_.find(output.name());
      if (found == values_.end()) throw Refusal(fmt::format("output '{}' of its branch is never computed", output.name()));
      made.push_back(found->second);
    }
    for (int i = 0; i < node.output_size(); ++i) {
      if (node.output(i).empty()) continue;
      const bool fresh = values_.emplace(node.output(i), std::move(made[static_cast<std::size_t>(i)])).second;
      if (!fresh) throw Refusal(fmt::format("'{}' is computed twice", node.output(i)));
      if (zero_filled_.contains(graph.output(i).name())) zero_filled_.insert(node.output(i));
    }
  }

  // --- Reading a graph's frame ---

  void read_initializers(const onnx::GraphProto& graph) {
    for (const TensorProto& tensor : graph.initializer()) {
      if (&graph != &graph_ && values_.contains(tensor.name())) {
        throw Refusal(fmt::format("'{}' is defined twice", tensor.name()));
      }
      Value value = read_tensor(tensor);
      // One number is a factor or an epsilon, not something that was learned.
      value.learned = is_float(value.type) && count_of(*value.shape) > 1;
      value.root = tensor.name();
      values_[tensor.name()] = std::move(value);
    }
    for (const auto& tensor : graph.sparse_initializer()) {
      Value value;
      value.constant = true;
      value.type = tensor.values().data_type();
      value.learned = is_float(value.type);
      value.shape = Shape(tensor.dims().begin(), tensor.dims().end());
      count_of(*value.shape);
      if (source_.wanted) throw Refusal(fmt::format("tensor '{}' is sparse: its numbers are not read", tensor.values().name()));
      value.root = tensor.values().name();
      values_[tensor.values().name()] = std::move(value);
    }
  }

  /// The type with its symbolic dimensions bound, nothing where one is not: these go to `unbound`, each once.
  std::optional<Shape> bound(const std::string& name, const TypeProto& type, std::vector<std::string>* unbound) {
    if (!type.has_tensor_type() || !type.tensor_type().has_shape()) return std::nullopt;
    Shape shape;
    int i = 0;
    bool whole_shape = true;
    for (const auto& dim : type.tensor_type().shape().dim()) {
      const std::string position = fmt::format("{}:{}", name, i++);
      const std::string symbol = dim.has_dim_param() && !dim.dim_param().empty() ? dim.dim_param() : position;
      if (dim.has_dim_value()) {
        shape.push_back(dim.dim_value());
      } else if (const auto value = dimensions_.find(symbol); value != dimensions_.end()) {
        if (value->second < 1) {
          throw Refusal(fmt::format("dimension '{}' is {}, must be at least 1", symbol, value->second));
        }
        used_dimensions_.insert(symbol);
        shape.push_back(value->second);
      } else {
        whole_shape = false;
        if (unbound != nullptr && std::find(unbound->begin(), unbound->end(), symbol) == unbound->end()) {
          unbound->push_back(symbol);
        }
      }
    }
    if (!whole_shape) return std::nullopt;
    return shape;
  }

  void read_inputs() {
    std::vector<std::string> unbound;
    for (const auto& input : graph_.input()) {
      if (values_.contains(input.name())) continue;  // before IR version 4 initializers were inputs too
      const TypeProto& type = input.type();
      if (!type.has_tensor_type()) {
        throw Refusal(fmt::format("input '{}' is not a tensor: sequences, optional values and sparse tensors are not "
                                  "supported", input.name()));
      }
      if (type.tensor_type().elem_type() == TensorProto::STRING) {
        throw Refusal(fmt::format("input '{}' holds strings, which are not supported", input.name()));
      }
      if (!type.tensor_type().has_shape()) throw Refusal(fmt::format("input '{}' has no shape", input.name()));
      Value value;
      value.type = type.tensor_type().elem_type();
      value.shape = bound(input.name(), type, &unbound);
      if (!value.shape) continue;
      try {
        if (is_whole(value.type) && count_of(*value.shape) == 1) {
          if (const auto number = dimensions_.find(input.name()); number != dimensions_.end()) {
            used_dimensions_.insert(input.name());
            value.constant = true;
            value.data = {static_cast<double>(number->second)};
            values_[input.name()] = std::move(value);
            continue;
          }
          unbound_numbers_.push_back(input.name());
        }
        value.node = network_.add(unique(input.name()), Input{extents(*value.shape)});
      } catch (const Refusal& error) {
        throw Refusal(fmt::format("input '{}' {}", input.name(), error.what()));
      }
      values_[input.name()] = std::move(value);
    }
    check_dimensions(unbound);
  }

  /// All that are open have a value, and no other.
  void check_dimensions(const std::vector<std::string>& unbound) const {
    std::vector<std::string> open = unbound;
    open.insert(open.end(), unbound_numbers_.begin(), unbound_numbers_.end());
    for (const auto& [name, value] : dimensions_) {
      if (used_dimensions_.contains(name) || conditions_.contains(name)) continue;
      throw Refusal(fmt::format("there is no symbolic dimension '{}' among the inputs{}", name, hint(name, open)));
    }
    if (unbound.empty()) return;
    std::string options;
    for (const std::string& name : unbound) options += fmt::format(" --dim {}=1", name);
    throw Refusal(fmt::format("the dimension{} {} ha{} no value; give {}, such as{}", unbound.size() > 1 ? "s" : "",
                              fmt::join(unbound, ", "), unbound.size() > 1 ? "ve" : "s",
                              unbound.size() > 1 ? "them" : "it", options));
  }

  void read_value_info(const onnx::GraphProto& graph) {
    const auto read = [this](const auto& infos) {
      for (const auto& info : infos) {
        if (auto shape = bound(info.name(), info.type(), nullptr)) {
          declared_[info.name()] = {info.type().tensor_type().elem_type(), *std::move(shape)};
        }
      }
    };
    read(graph.value_info());
    read(graph.output());
  }

  // --- Values ---

  std::string unique(const std::string& name) {
    std::string result = name.empty() ? "node" : name;
    for (int i = 2; names_.contains(result); ++i) result = fmt::format("{}_{}", name, i);
    names_.insert(result);
    return result;
  }

  Value& value(const NodeProto& node, int i) { return value_at(values_, node, i); }
  const Shape& shape(const NodeProto& node, int i) const { return shape_at(values_, node, i); }
  std::optional<std::vector<double>> known(const NodeProto& node, int i) const { return known_at(values_, node, i); }
  std::optional<Ints> known_integers(const NodeProto& node, int i) const { return known_integers_at(values_, node, i); }
  std::optional<Ints> list(const NodeProto& node, std::string_view name, int i) const {
    return list_at(values_, node, name, i);
  }

  /// The network's node of a value; constants become one when they are first used.
  NodeId materialise(const std::string& name, Value& found) {
    if (found.node) return *found.node;
    if (!found.constant) throw Refusal(fmt::format("'{}' was not modelled", name));
    if (!found.shape) throw Refusal(fmt::format("the shape of '{}' is not known", name));
    const bool zeros = !found.learned && found.root.empty() && found.data && !found.data->empty() &&
                       std::all_of(found.data->begin(), found.data->end(), [](double v) { return v == 0; });
    const bool filled_with_zeros = zero_filled_.contains(name);
    if ((zeros && found.data->size() > 1) || filled_with_zeros) {
      found.node = network_.add(unique(name), Zeros{extents(*found.shape)});
    } else {
      FloatTensor held = tensor(name, extents(*found.shape));
      found.node = network_.add(unique(name), Constant{extents(*found.shape), found.learned});
      hold(*found.node, {std::move(held)});
    }
    return *found.node;
  }

  NodeId input(const NodeProto& node, int i) { return materialise(node.input(i), value(node, i)); }

  NodeId add(const NodeProto& node, std::string_view suffix, Operator op, NodeIds inputs,
             std::vector<FloatTensor> weights = {}) {
    const NodeId id = network_.add(unique(fmt::format("{}/{}", label(node), suffix)), std::move(op), std::move(inputs));
    give_format(id);
    hold(id, std::move(weights));
    return id;
  }

  /// The node's own operator, which bears its name.
  void finish(const NodeProto& node, Operator op, NodeIds inputs, std::vector<FloatTensor> weights = {}) {
    const NodeId id = network_.add(unique(label(node)), std::move(op), std::move(inputs));
    give_format(id);
    hold(id, std::move(weights));
    set_output(node, id);
  }

  /// Layers have the words of a quantised node; products of two activations have no weights.
  void give_format(NodeId id) {
    const Operator& op = network_.node(id).op;
    if (format_ == NumberFormat{} || !is_layer(op)) return;
    if (std::holds_alternative<MatMul>(op)) format_.weight_bits = 0;
    network_.set_format(id, format_);
    entry_.note = to_string(format_);
  }

  // --- Weights ---

  void hold(NodeId id, std::vector<FloatTensor> tensors) {
    if (!source_.wanted) return;
    weights_.resize(id + 1);
    weights_[id] = std::move(tensors);
  }

  /// A constant's numbers in a shape of as many elements; nothing if they are not wanted.
  FloatTensor tensor(const std::string& name, Shape to) {
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
  FloatTensor tensor(const NodeProto& node, int i, Shape to) { return tensor(node.input(i), std::move(to)); }

  /// A matrix (in, out) of the file as (out, in).
  FloatTensor turned(const std::string& name, const Shape& from) {
    return source_.wanted ? transposed(tensor(name, from)) : FloatTensor{};
  }

  static FloatTensor scaled(FloatTensor by_one, double factor) {
    for (float& value : by_one.values) value = static_cast<float>(static_cast<double>(value) * factor);
    return by_one;
  }

  std::vector<float> numbers(const std::string& name) {
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

  /// The numbers of a constant that a node computes, while other nodes are still to use them.
  struct Computed {
    std::vector<float> numbers;
    int uses;
  };

  static bool is_computed(const Value& value) {
    return value.constant && value.source == nullptr && !value.data && value.maker != nullptr;
  }

  void release(const std::string& name) {
    const auto found = computed_.find(name);
    if (found != computed_.end() && --found->second.uses <= 0) computed_.erase(found);
  }

  /// Puts a constant among the computed ones, what it is made of first. Chains may be as long as the file: no recursion.
  void compute(const std::string& name) {
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
      computed_.insert_or_assign(next, Computed{computed(next, maker), std::max(uses_[next], 1)});
      open.pop_back();
    }
  }

  void spend(std::int64_t work) {
    if (work > most_work - work_) throw Refusal("too much is computed from constants: over 2^31 elements and MACs");
    work_ += work;
  }

  /// What a node makes of constants: a network of that node alone says it.
  std::vector<float> computed(const std::string& name, const NodeProto& node) {
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
    onnx::ModelProto model;
    model.add_opset_import()->set_version(opset_);
    *model.mutable_graph()->add_node() = node;
    std::vector<FloatTensor> inputs;
    std::set<std::string> seen;
    for (int i = 0; i < node.input_size(); ++i) {
      if (!has(node, i)) continue;
      if (!seen.insert(node.input(i)).second) {
        release(node.input(i));
        continue;
      }
      spend(count_of(shape(node, i)));
      const Value& operand = value(node, i);
      if (operand.data && !is_float(operand.type)) {  // shapes and positions
        TensorProto& made = *model.mutable_graph()->add_initializer();
        made.set_name(node.input(i));
        made.set_data_type(TensorProto::INT64);
        for (const std::int64_t extent : *operand.shape) made.add_dims(extent);
        for (const double element : *operand.data) made.add_int64_data(whole(element));
        continue;
      }
      auto& info = *model.mutable_graph()->add_input();
      info.set_name(node.input(i));
      auto& type = *info.mutable_type()->mutable_tensor_type();
      type.set_elem_type(operand.type);
      type.mutable_shape();
      for (const std::int64_t extent : shape(node, i)) type.mutable_shape()->add_dim()->set_dim_value(extent);
      inputs.push_back(tensor(node.input(i), extents(shape(node, i))));
    }
    model.mutable_graph()->add_output()->set_name(name);
    OnnxImport alone;
    if (!inputs.empty()) Importer(model, {}, source_).run(alone);
    const auto nodes = alone.network.nodes();
    const bool large = std::any_of(nodes.begin(), nodes.end(), [](const Node& made) {
      return elements(made.shape) > static_cast<std::int64_t>(most_computed);
    });
    if (inputs.empty() || large || alone.count(OnnxFidelity::approximated) > 0) throw unknown();
    spend(alone.network.macs());
    return execute(alone.network, alone.weights, inputs).front().values;
  }

  void set_output(const NodeProto& node, NodeId id, int output = 0) {
    Value& made = values_[node.output(output)];
    made.node = id;
    const Shape& have = network_.node(id).shape;
    if (made.shape && extents(*made.shape) != have) {
      throw Refusal(fmt::format("its output should have shape {}, but has {}", to_string(*made.shape),
                                to_string(have)));
    }
    if (!made.shape) made.shape = have;
  }

  /// Its output is its input.
  void pass(const NodeProto& node, const std::string& why) {
    Value& made = values_[node.output(0)];
    const int type = made.type;
    made = value(node, 0);
    if (type != TensorProto::UNDEFINED) made.type = type;
    ignore(why);
  }

  void ignore(const std::string& why) {
    entry_.fidelity = OnnxFidelity::ignored;
    entry_.note = why;
  }

  void approximate(const std::string& why) {
    if (entry_.fidelity == OnnxFidelity::approximated) {
      entry_.note += "; " + why;
      return;
    }
    entry_.fidelity = OnnxFidelity::approximated;
    entry_.note = why;
  }

  // --- One node ---

  /// libonnx's inference reads beyond its vectors where filters have more dimensions than the input.
  void check_filters(const NodeProto& node) {
    if (node.op_type().find("Conv") == std::string::npos) return;
    const int filters = node.op_type() == "QLinearConv" ? 3 : 1;
    if (node.input_size() <= filters) return;
    const auto x = values_.find(node.input(0)), w = values_.find(node.input(filters));
    if (x == values_.end() || w == values_.end() || !x->second.shape || !w->second.shape) return;
    if (x->second.shape->size() != w->second.shape->size()) {
      throw Refusal(fmt::format("its filters have {} dimensions, its input has {}", w->second.shape->size(),
                                x->second.shape->size()));
    }
  }

  void infer(const NodeProto& node) {
    inference_error_.clear();
    for (const std::string& output : node.output()) {
      if (output.empty()) continue;
      if (values_.contains(output)) throw Refusal(fmt::format("'{}' is computed twice", output));
    }
    const bool standard = node.domain().empty() || node.domain() == "ai.onnx";
    const onnx::OpSchema* schema = schema_of(node);
    if (standard && schema == nullptr) {
      throw Refusal(fmt::format("there is no such operator in opset {}", opset_));
    }
    check_filters(node);
    if (schema != nullptr && schema->Deprecated()) throw Refusal("the operator is deprecated");
    const std::vector<TypeProto> types = infer_types(schema, node, values_, inference_error_);
    for (int i = 0; i < node.output_size(); ++i) {
      if (node.output(i).empty()) continue;
      Value made;
      const TypeProto& type = types[static_cast<std::size_t>(i)];
      if (type.has_sequence_type() || type.has_optional_type() || type.has_map_type()) {
        throw Refusal("sequences, optional values and maps are not supported");
      }
      if (type.has_tensor_type()) {
        made.type = type.tensor_type().elem_type();
        made.shape = bound("", type, nullptr);
      }
      if (const auto declared = declared_.find(node.output(i)); declared != declared_.end()) {
        if (made.type == TensorProto::UNDEFINED) made.type = declared->second.first;
        if (!made.shape) made.shape = declared->second.second;
      }
      if (made.shape) count_of(*made.shape);
      values_[node.output(i)] = std::move(made);
    }
  }

  void import(const NodeProto& node, const Pattern* pattern) {
    if (node.output_size() == 0) throw Refusal("has no output");
    for (const AttributeProto& candidate : node.attribute()) {
      if (candidate.has_g() || candidate.graphs_size() > 0) throw Refusal("control flow is not supported");
    }
    if (pattern != nullptr) {
      import_pattern(node, *pattern);
      return;
    }
    format_ = {};
    check_attributes(node);
    for (int i = 0; i < node.input_size(); ++i) {
      if (has(node, i) && value(node, i).type == TensorProto::STRING) throw Refusal("strings are not supported");
    }
    infer(node);
    if (fold(node)) return;
    const std::string& type = node.op_type();
    if (node.domain() == own_domain && type == deformable_sampling) return sampling(node);
    if (!node.domain().empty() && node.domain() != "ai.onnx") return other(node, "an operator from outside ONNX");

    if (type == "Conv" || type == "QLinearConv" || type == "ConvInteger") return convolution(node);
    if (type == "ConvTranspose") return transposed_convolution(node);
    if (type == "Gemm") return gemm(node);
    if (type == "MatMul" || type == "QLinearMatMul" || type == "MatMulInteger") return matmul(node);
    if (type == "MaxPool" || type == "AveragePool") return pool(node);
    if (type == "GlobalAveragePool" || type == "GlobalMaxPool") return global_pool(node);
    if (type == "BatchNormalization") return batch_normalization(node);
    if (type == "LayerNormalization") return layer_normalization(node);
    if (type == "Softmax" || type == "LogSoftmax" || type == "Hardmax") return softmax(node);
    if (type == "Relu") return finish(node, Activation{Activation::Kind::relu}, {input(node, 0)});
    if (type == "Sigmoid") return finish(node, Activation{Activation::Kind::sigmoid}, {input(node, 0)});
    if (type == "Tanh") return finish(node, Activation{Activation::Kind::tanh}, {input(node, 0)});
    if (type == "HardSwish") return finish(node, Activation{Activation::Kind::hard_swish}, {input(node, 0)});
    if (type == "Clip" && is_relu6(node)) {
      return finish(node, Activation{Activation::Kind::relu6}, {input(node, 0)});
    }
    if (type == "Add" || type == "Sum") return nary(node, Add{});
    if (type == "Mul") return nary(node, Multiply{});
    if (type == "Identity") return finish(node, Identity{}, {input(node, 0)});
    if (type == "Dropout") return dropout(node);
    if (type == "Concat") return concat(node);
    if (type == "Flatten") return flatten(node);
    if (type == "Reshape" || type == "Squeeze" || type == "Unsqueeze") return reshape(node);
    if (type == "Transpose") return transpose(node);
    if (type == "Split") return split(node);
    if (type == "Slice") return slice(node);
    if (type == "Gather") return gather(node);
    if (type == "Expand") return finish(node, Expand{extents(output_shape(node))}, {input(node, 0)});
    if (type == "Pad") return pad(node);
    if (type == "Resize" || type == "Upsample") return resize(node);
    if (type == "TopK") return top_k(node);
    if (type.starts_with("Reduce")) return reduce(node);
    if (elementwise_operators().contains(type)) return elementwise(node);
    if (type == "Einsum") return einsum(node);
    if (type == "LSTM" || type == "GRU" || type == "RNN") return recurrent(node);
    if (type == "InstanceNormalization") {
      return other(node, "counted only", 0, 2 * count_of(shape(node, 1)), {0});
    }
    return other(node, "its shape and counts only");
  }

  void import_pattern(const NodeProto& node, const Pattern& pattern) {
    const auto found = values_.find(pattern.input);
    if (found == values_.end()) throw Refusal(fmt::format("input '{}' is not computed before it", pattern.input));
    const NodeId x = materialise(pattern.input, found->second);
    const int type = found->second.type;
    switch (pattern.kind) {
      case Pattern::Kind::gelu:
        finish(node, Activation{Activation::Kind::gelu}, {x});
        break;
      case Pattern::Kind::silu:
        finish(node, Activation{Activation::Kind::silu}, {x});
        break;
      case Pattern::Kind::hard_swish:
        finish(node, Activation{Activation::Kind::hard_swish}, {x});
        break;
      case Pattern::Kind::layer_normalization: {
        const Shape features{network_.node(x).shape.back()};
        finish(node, LayerNormalization{pattern.epsilon}, {x},
               {tensor(pattern.weights[0], features), tensor(pattern.weights[1], features)});
        break;
      }
      case Pattern::Kind::rms_normalization:
        finish(node, RmsNormalization{pattern.epsilon}, {x},
               {tensor(pattern.weights[0], {network_.node(x).shape.back()})});
        break;
      case Pattern::Kind::transposed_matmul: {
        const std::string& source = pattern.nodes.front()->input(0);
        const auto second = values_.find(source);
        if (second == values_.end()) throw Refusal(fmt::format("input '{}' is not computed before it", source));
        if (network_.node(x).shape.size() < 2) throw Refusal("a vector times a transposed matrix is not supported");
        const NodeId b = materialise(source, second->second);
        finish(node, MatMul{true}, {x, b});
        break;
      }
      case Pattern::Kind::biased_linear: {
        const Value& weight = values_.at(pattern.nodes.front()->input(1));
        if (network_.node(x).shape.back() != weight.shape->front()) {
          throw Refusal(fmt::format("input {} does not fit weights {}", to_string(network_.node(x).shape),
                                    to_string(*weight.shape)));
        }
        if (network_.node(x).shape.size() < 2) throw Refusal("a vector times a matrix plus a vector is not supported");
        finish(node, Linear{weight.shape->back(), true}, {x},
               {turned(pattern.weights[0], *weight.shape), tensor(pattern.weights[1], {weight.shape->back()})});
        break;
      }
    }
    values_[node.output(0)].type = type;
    entry_.note = fmt::format("{} nodes as one", pattern.nodes.size() + 1);
    if (pattern.by_tanh) approximate(entry_.note + ": Gelu by tanh, as by erf");
  }

  const Shape& output_shape(const NodeProto& node, int i = 0) {
    const auto& found = values_.at(node.output(i)).shape;
    if (found) return *found;
    if (!inference_error_.empty()) throw Refusal(inference_error_);
    throw Refusal("the shape of its output depends on data");
  }

  // --- Constants ---

  bool all_constant(const NodeProto& node) {
    for (int i = 0; i < node.input_size(); ++i) {
      if (has(node, i) && !value(node, i).constant) return false;
    }
    return true;
  }

  static bool is_random(const std::string& type) {
    return type.starts_with("Random") || type == "Bernoulli" || type == "Multinomial";
  }

  /// Whether the node's result does not depend on the network's inputs.
  bool fold(const NodeProto& node) {
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
    if (is_random(type) || !all_constant(node) || node.input_size() == 0) return false;
    if (!node.domain().empty() && node.domain() != "ai.onnx") return false;
    bool learned = false;
    std::string root;
    for (int i = 0; i < node.input_size(); ++i) {
      if (!has(node, i)) continue;
      learned = learned || value(node, i).learned;
      if (root.empty()) root = value(node, i).root;
    }
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
    std::optional<std::vector<double>> result = evaluate(values_, node);
    for (int i = 0; i < node.output_size(); ++i) {
      if (node.output(i).empty()) continue;
      Value& made = values_.at(node.output(i));
      made.constant = true;
      made.maker = &node;
      if (made.type == TensorProto::UNDEFINED) made.type = value(node, 0).type;
      made.learned = learned && is_float(made.type);
      made.root = root;
      if (!made.shape) output_shape(node, i);
      if (i == 0 && result && result->size() == static_cast<std::size_t>(count_of(*made.shape))) {
        made.data = result;
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

  void constant(const NodeProto& node) {
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

  // --- Operators ---

  /// A window's pads at top, left, bottom, right; with auto_pad as ONNX defines it.
  static Ints window_pads(const NodeProto& node, const Shape& image, const Ints& kernel, const Ints& strides,
                          const Ints& dilations) {
    const std::string automatic = text(node, "auto_pad", "NOTSET");
    const std::size_t rank = kernel.size();
    Ints pads = integers(node, "pads").value_or(Ints(2 * rank, 0));
    if (pads.size() != 2 * rank) throw Refusal("pads do not fit the kernel");
    if (automatic == "NOTSET" || automatic.empty()) return pads;
    std::fill(pads.begin(), pads.end(), 0);
    if (automatic == "VALID") return pads;
    if (automatic != "SAME_UPPER" && automatic != "SAME_LOWER") {
      throw Refusal(fmt::format("auto_pad is '{}'", automatic));
    }
    for (std::size_t i = 0; i < rank; ++i) {
      const std::int64_t extent = image[i + 2];
      const std::int64_t out = (extent + strides[i] - 1) / strides[i];
      const std::int64_t total =
          std::max<std::int64_t>(0, (out - 1) * strides[i] + dilations[i] * (kernel[i] - 1) + 1 - extent);
      const std::int64_t less = total / 2;
      pads[i] = automatic == "SAME_UPPER" ? less : total - less;
      pads[i + rank] = total - pads[i];
    }
    return pads;
  }

  struct WindowOf {
    Ints kernel, strides, dilations, pads;
  };

  /// A window over one or two dimensions; one is H = 1.
  WindowOf window(const NodeProto& node, const Shape& image, Ints kernel) {
    const std::size_t rank = image.size() - 2;
    if (kernel.size() != rank) throw Refusal("the kernel does not fit the input");
    WindowOf w;
    w.kernel = std::move(kernel);
    w.strides = integers(node, "strides").value_or(Ints(rank, 1));
    w.dilations = integers(node, "dilations").value_or(Ints(rank, 1));
    if (w.strides.empty()) w.strides.assign(rank, 1);
    if (w.dilations.empty()) w.dilations.assign(rank, 1);
    if (w.strides.size() != rank || w.dilations.size() != rank) throw Refusal("strides do not fit the kernel");
    for (std::size_t i = 0; i < rank; ++i) {
      if (w.kernel[i] < 1 || w.kernel[i] > (std::int64_t{1} << 31) || image[i + 2] < 1) {
        throw Refusal("the kernel is out of range");
      }
    }
    w.pads = window_pads(node, image, w.kernel, w.strides, w.dilations);
    if (rank == 1) {
      w.kernel.insert(w.kernel.begin(), 1);
      w.strides.insert(w.strides.begin(), 1);
      w.dilations.insert(w.dilations.begin(), 1);
      w.pads = {0, w.pads[0], 0, w.pads[1]};
    }
    return w;
  }

  /// (N, C, L) as (N, C, 1, L).
  NodeId as_image(const NodeProto& node, NodeId x) {
    const Shape& have = network_.node(x).shape;
    if (have.size() != 3) return x;
    return add(node, "image", Reshape{{have[0], have[1], 1, have[2]}}, {x});
  }

  /// Adds the operator on images; a sequence gets its shape back.
  void finish_image(const NodeProto& node, Operator op, NodeId x, bool sequence, std::vector<FloatTensor> weights = {}) {
    if (!sequence) return finish(node, std::move(op), {x}, std::move(weights));
    const NodeId made = add(node, "image_out", std::move(op), {x}, std::move(weights));
    const Shape& have = network_.node(made).shape;
    finish(node, Reshape{{have[0], have[1], have[3]}}, {made});
  }

  /// The layer that follows has the words of the file.
  void quantised(const Value& x, const Value& weight) {
    if (weight.constant) format_.weight_bits = 8 * static_cast<std::int64_t>(bytes_of(weight.type));
    format_.activation_bits = 8 * static_cast<std::int64_t>(bytes_of(x.type));
    if (source_.wanted) throw Refusal("its weights are quantised, and are not read");
  }

  /// The tensors of a convolution with filters at input `at`.
  std::vector<FloatTensor> filters_of(const NodeProto& node, int at, Shape filters, std::int64_t outputs, bool bias) {
    if (filters.size() == 3) filters.insert(filters.begin() + 2, 1);
    std::vector<FloatTensor> tensors{tensor(node, at, std::move(filters))};
    if (bias) tensors.push_back(tensor(node, at + 1, {outputs}));
    return tensors;
  }

  const Value& weights(const NodeProto& node, int i) {
    const Value& found = value(node, i);
    if (!found.shape) throw Refusal(fmt::format("the shape of weights '{}' is not known", node.input(i)));
    return found;
  }

  void convolution(const NodeProto& node) {
    const bool quantized = node.op_type() == "QLinearConv";
    const int at = quantized ? 3 : 1;
    const bool bias = quantized ? has(node, 8) : node.op_type() == "Conv" && has(node, 2);
    const Value& weight = weights(node, at);
    const Shape filters = *weight.shape;
    const Shape image = shape(node, 0);
    const std::int64_t groups = integer(node, "group", 1);
    if (filters.size() < 3 || filters.size() != image.size()) throw Refusal("weights do not fit the input");
    if (image[1] != filters[1] * groups) {
      throw Refusal(fmt::format("weights {} with {} groups do not fit input {}", to_string(filters), groups,
                                to_string(image)));
    }
    if (node.op_type() != "Conv") quantised(value(node, 0), weight);
    const bool shared = weight.constant && uses_[node.input(at)] > 1;
    if (!weight.constant || filters.size() > 4) {
      const std::int64_t macs = product_of(output_shape(node), Shape(filters.begin() + 1, filters.end()));
      const std::int64_t parameters = weight.constant ? count_of(filters) + (bias ? filters[0] : 0) : 0;
      return other(node, filters.size() > 4 ? "a convolution over more than two dimensions" : "its weights are computed",
                   macs, parameters, weight.constant ? std::vector<int>{0} : std::vector<int>{0, at});
    }
    if (shared) approximate("its weights are shared, and counted for each");
    Ints kernel(filters.begin() + 2, filters.end());
    const WindowOf w = window(node, image, kernel);
    NodeId x = as_image(node, input(node, 0));
    Convolution op{.out_channels = filters[0],
                   .kernel_h = w.kernel[0],
                   .kernel_w = w.kernel[1],
                   .stride_h = w.strides[0],
                   .stride_w = w.strides[1],
                   .padding_h = w.pads[0],
                   .padding_w = w.pads[1],
                   .dilation_h = w.dilations[0],
                   .dilation_w = w.dilations[1],
                   .groups = groups,
                   .bias = bias};
    if (w.pads[0] != w.pads[2] || w.pads[1] != w.pads[3]) {
      x = add(node, "pad", Pad{{0, 0, w.pads[0], w.pads[1]}, {0, 0, w.pads[2], w.pads[3]}}, {x});
      op.padding_h = op.padding_w = 0;
    }
    finish_image(node, op, x, image.size() == 3, filters_of(node, at, filters, filters[0], bias));
  }

  void transposed_convolution(const NodeProto& node) {
    const Value& weight = weights(node, 1);
    const Shape filters = *weight.shape;  // (C_in, C_out / groups, …)
    const Shape image = shape(node, 0);
    const std::int64_t groups = integer(node, "group", 1);
    if (filters.size() < 3 || filters.size() != image.size() || filters[0] != image[1]) {
      throw Refusal("weights do not fit the input");
    }
    const bool bias = has(node, 2);
    const bool output_shape_given = attribute(node, "output_shape") != nullptr;
    if (!weight.constant || filters.size() > 4 || output_shape_given || text(node, "auto_pad", "NOTSET") != "NOTSET") {
      const std::int64_t macs = product_of(image, Shape(filters.begin() + 1, filters.end()));
      const std::int64_t parameters = weight.constant ? count_of(filters) + (bias ? filters[1] * groups : 0) : 0;
      return other(node, "counted only", macs, parameters, {0});
    }
    Ints kernel(filters.begin() + 2, filters.end());
    const WindowOf w = window(node, image, kernel);
    Ints more = integers(node, "output_padding").value_or(Ints(kernel.size(), 0));
    if (more.size() == 1) more.insert(more.begin(), 0);
    if (more.size() != 2) throw Refusal("output_padding does not fit the kernel");
    NodeId x = as_image(node, input(node, 0));
    TransposedConvolution op{.out_channels = filters[1] * groups,
                             .kernel_h = w.kernel[0],
                             .kernel_w = w.kernel[1],
                             .stride_h = w.strides[0],
                             .stride_w = w.strides[1],
                             .padding_h = w.pads[0],
                             .padding_w = w.pads[1],
                             .dilation_h = w.dilations[0],
                             .dilation_w = w.dilations[1],
                             .output_padding_h = more[0],
                             .output_padding_w = more[1],
                             .groups = groups,
                             .bias = bias};
    std::vector<FloatTensor> tensors = filters_of(node, 1, filters, op.out_channels, bias);
    if (w.pads[0] == w.pads[2] && w.pads[1] == w.pads[3]) {
      return finish_image(node, op, x, image.size() == 3, std::move(tensors));
    }
    // Nothing is cut off by the operator, then the sides by different amounts.
    op.padding_h = op.padding_w = 0;
    x = add(node, "whole", op, {x}, std::move(tensors));
    Shape cut = network_.node(x).shape;
    cut[2] -= w.pads[0] + w.pads[2];
    cut[3] -= w.pads[1] + w.pads[3];
    finish_image(node, Slice{{0, 0, w.pads[0], w.pads[1]}, cut, {1, 1, 1, 1}}, x, image.size() == 3);
  }

  void gemm(const NodeProto& node) {
    NodeId a = input(node, 0);
    if (integer(node, "transA", 0) != 0) a = add(node, "transposed", Transpose{{1, 0}}, {a});
    const Value& b = weights(node, 1);
    const bool transposed = integer(node, "transB", 0) != 0;
    if (b.shape->size() != 2 || shape(node, 0).size() != 2) throw Refusal("takes matrices");
    const std::int64_t inner = (*b.shape)[transposed ? 1 : 0];
    const std::int64_t columns = (*b.shape)[transposed ? 0 : 1];
    if (network_.node(a).shape.back() != inner) {
      throw Refusal(fmt::format("matrices {} and {} do not fit", to_string(network_.node(a).shape), to_string(*b.shape)));
    }
    const bool bias = has(node, 2) && value(node, 2).constant && shape(node, 2) == Shape{columns};
    const bool own = b.constant && uses_[node.input(1)] == 1;
    const double alpha = real(node, "alpha", 1), beta = real(node, "beta", 1);
    std::vector<FloatTensor> tensors;
    if (own) {
      tensors.push_back(scaled(transposed ? tensor(node, 1, *b.shape) : turned(node.input(1), *b.shape), alpha));
    }
    if (own && (bias || !has(node, 2))) {
      if (bias) tensors.push_back(scaled(tensor(node, 2, {columns}), beta));
      return finish(node, Linear{columns, bias}, {a}, std::move(tensors));
    }
    const bool addend = has(node, 2);
    if ((!own && alpha != 1) || (addend && beta != 1)) approximate("its factors are not kept");
    std::vector<NodeId> inputs{a};
    Operator product = Linear{columns, false};
    if (!own) {
      NodeId second = input(node, 1);
      inputs.push_back(second);
      product = MatMul{transposed};
    }
    if (!addend) return finish(node, product, inputs, std::move(tensors));
    const NodeId made = add(node, "product", product, inputs, std::move(tensors));
    const NodeId c = input(node, 2);
    finish(node, Add{}, {made, c});
  }

  void matmul(const NodeProto& node) {
    const bool quantized = node.op_type() == "QLinearMatMul";
    const int second = quantized ? 3 : 1;
    const Shape a_shape = shape(node, 0), b_shape = shape(node, second);
    const Value& b = value(node, second);
    if (node.op_type() != "MatMul") quantised(value(node, 0), b);
    if (a_shape.empty() || b_shape.empty()) throw Refusal("takes no scalars");
    NodeId a = input(node, 0);
    if (b.constant && b_shape.size() == 2 && uses_[node.input(second)] == 1 && a_shape.size() >= 2) {
      if (a_shape.back() != b_shape[0]) {
        throw Refusal(fmt::format("matrices {} and {} do not fit", to_string(a_shape), to_string(b_shape)));
      }
      return finish(node, Linear{b_shape[1], false}, {a}, {turned(node.input(second), b_shape)});
    }
    NodeId other_matrix = input(node, second);
    if (a_shape.size() >= 2 && b_shape.size() >= 2) return finish(node, MatMul{}, {a, other_matrix});
    if (a_shape.size() == 1) a = add(node, "row", Reshape{{1, a_shape[0]}}, {a});
    if (b_shape.size() == 1) other_matrix = add(node, "column", Reshape{{b_shape[0], 1}}, {other_matrix});
    const NodeId product = add(node, "product", MatMul{}, {a, other_matrix});
    finish(node, Reshape{extents(output_shape(node))}, {product});
  }

  void pool(const NodeProto& node) {
    const Shape image = shape(node, 0);
    const bool average = node.op_type() == "AveragePool";
    if (node.output_size() > 1 && !node.output(1).empty()) approximate("the indices are not kept");
    if (image.size() < 3 || image.size() > 4) return other(node, "a window over more than two dimensions");
    WindowOf w = window(node, image, integers(node, "kernel_shape").value_or(Ints{}));
    const bool include = integer(node, "count_include_pad", 0) != 0;
    const bool sequence = image.size() == 3;
    if (integer(node, "ceil_mode", 0) != 0) {
      // The last window may begin within the input and end beyond its padding.
      for (const std::size_t i : {0U, 1U}) {
        if (sequence && i == 0) continue;
        const std::int64_t extent = sequence ? image[2] : image[i + 2];
        const std::int64_t rest = extent + w.pads[i] + w.pads[i + 2] - w.dilations[i] * (w.kernel[i] - 1) - 1;
        if (rest > 0 && rest % w.strides[i] != 0) w.pads[i + 2] += w.strides[i] - rest % w.strides[i];
      }
      if (average && include) approximate("what is rounded up counts as padding");
    }
    NodeId x = as_image(node, input(node, 0));
    const Pool::Kind kind = average ? Pool::Kind::average : Pool::Kind::max;
    const bool square = w.kernel[0] == w.kernel[1] && w.strides[0] == w.strides[1] &&
                        std::all_of(w.pads.begin(), w.pads.end(), [&](std::int64_t p) { return p == w.pads[0]; }) &&
                        w.pads[0] <= w.kernel[0] / 2 && w.dilations == Ints{1, 1};
    Operator op;
    if (square) {
      op = Pool{kind, w.kernel[0], w.strides[0], w.pads[0], average && include};
    } else {
      op = WindowPool{kind,      w.kernel[0], w.kernel[1], w.strides[0],    w.strides[1],    w.pads[0],
                      w.pads[1], w.pads[2],   w.pads[3],   w.dilations[0], w.dilations[1], average && include};
    }
    finish_image(node, op, x, sequence);
    if (node.output_size() > 1 && !node.output(1).empty()) {
      values_[node.output(1)].node = values_[node.output(0)].node;
      values_[node.output(1)].shape = values_[node.output(0)].shape;
    }
  }

  /// A function that duet wrote.
  void sampling(const NodeProto& node) {
    if (!has(node, 0) || !has(node, 1)) throw Refusal("needs an image and offsets");
    const Shape image = shape(node, 0);
    if (image.size() != 4) throw Refusal("needs an image");
    const WindowOf w = window(node, image, integers(node, "kernel_shape").value_or(Ints{}));
    if (w.pads[0] != w.pads[2] || w.pads[1] != w.pads[3]) throw Refusal("its padding is not the same on both sides");
    NodeId x = input(node, 0);
    const NodeId offsets = input(node, 1);
    values_.at(node.output(0)).type = value(node, 0).type;
    finish(node,
           DeformableSampling{w.kernel[0], w.kernel[1], w.strides[0], w.strides[1], w.pads[0], w.pads[1], w.dilations[0],
                              w.dilations[1], integer(node, "range", 0), integer(node, "square", 0) != 0},
           {x, offsets});
  }

  void global_pool(const NodeProto& node) {
    const Shape image = shape(node, 0);
    if (image.size() < 3) throw Refusal("needs an image");
    const bool average = node.op_type() == "GlobalAveragePool";
    const NodeId x = input(node, 0);
    if (average && image.size() == 4) return finish(node, GlobalPool{}, {x});
    Ints axes(image.size() - 2);
    std::iota(axes.begin(), axes.end(), 2);
    finish(node, Reduce{average ? "mean" : "max", axes, true}, {x});
  }

  void batch_normalization(const NodeProto& node) {
    if (integer(node, "training_mode", 0) != 0) approximate("in training mode");
    for (int i = 1; i < node.output_size(); ++i) {
      if (!node.output(i).empty()) {
        values_[node.output(i)].constant = true;
        values_[node.output(i)].shape = shape(node, 1);
      }
    }
    if (shape(node, 0).size() < 2) return other(node, "counted only", 0, 2 * count_of(shape(node, 1)), {0});
    if (count_of(shape(node, 1)) != shape(node, 0)[1]) throw Refusal("the scale does not fit the input");
    const Shape channels{shape(node, 0)[1]};
    std::vector<FloatTensor> tensors;
    for (const int i : {1, 2, 3, 4}) tensors.push_back(tensor(node, i, channels));
    // duet's own epsilon and the rest of the file's: the same sum.
    const double more = real(node, "epsilon", static_cast<double>(1e-5F)) - static_cast<double>(1e-5F);
    for (float& variance : tensors[3].values) variance = static_cast<float>(static_cast<double>(variance) + more);
    finish(node, BatchNormalization{}, {input(node, 0)}, std::move(tensors));
  }

  void layer_normalization(const NodeProto& node) {
    const Shape x_shape = shape(node, 0);
    const std::size_t axis = axis_of(integer(node, "axis", -1), x_shape.size());
    const bool bias = has(node, 2);
    bool statistics = false;
    for (int i = 1; i < node.output_size(); ++i) statistics = statistics || uses_[node.output(i)] > 0;
    const std::int64_t features = count_of(Shape(x_shape.begin() + static_cast<std::ptrdiff_t>(axis), x_shape.end()));
    if (statistics || !bias || !value(node, 1).constant || !value(node, 2).constant || count_of(shape(node, 1)) != features || x_shape.size() < 2) {
      return other(node, "counted only", 0, value(node, 1).constant ? count_of(shape(node, 1)) : 0, {0});
    }
    NodeId x = input(node, 0);
    const LayerNormalization op{static_cast<float>(real(node, "epsilon", static_cast<double>(1e-5F)))};
    std::vector<FloatTensor> tensors{tensor(node, 1, {features}), tensor(node, 2, {features})};
    if (axis + 1 == x_shape.size()) return finish(node, op, {x}, std::move(tensors));
    x = add(node, "flat", Reshape{{count_of(x_shape) / features, features}}, {x});
    x = add(node, "normalized", op, {x}, std::move(tensors));
    finish(node, Reshape{x_shape}, {x});
  }

  void softmax(const NodeProto& node) {
    const Shape x_shape = shape(node, 0);
    const std::int64_t axis = integer(node, "axis", opset_ < 13 ? 1 : -1);
    if (x_shape.empty()) throw Refusal("takes no scalar");
    const std::size_t at = axis_of(axis, x_shape.size());
    if (node.op_type() != "Softmax") approximate("as a softmax");
    const NodeId x = input(node, 0);
    if (opset_ >= 13 || at + 1 == x_shape.size()) {
      const bool last = at + 1 == x_shape.size();
      return finish(node, Softmax{last ? -1 : static_cast<std::int64_t>(at)}, {x});
    }
    // Until opset 12 all dimensions from the axis on were one.
    const std::int64_t rows = count_of(Shape(x_shape.begin(), x_shape.begin() + static_cast<std::ptrdiff_t>(at)));
    const NodeId flat = add(node, "flat", Reshape{{rows, count_of(x_shape) / rows}}, {x});
    const NodeId made = add(node, "softmax", Softmax{}, {flat});
    finish(node, Reshape{x_shape}, {made});
  }

  bool is_relu6(const NodeProto& node) {
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
  void align(const NodeProto& node, std::vector<NodeId>& inputs) {
    if (inputs.size() != 2 || attribute(node, "broadcast") == nullptr || attribute(node, "axis") == nullptr) return;
    const Shape first = shape(node, 0), second = shape(node, 1);
    const std::size_t axis = axis_of(integer(node, "axis", 0), first.size());
    if (axis + second.size() > first.size()) throw Refusal("the second operand reaches beyond the first");
    if (axis + second.size() == first.size()) return;
    Shape aligned = second;
    aligned.resize(first.size() - axis, 1);
    inputs[1] = add(node, "aligned", Reshape{aligned}, {inputs[1]});
  }

  void nary(const NodeProto& node, Operator op) {
    std::vector<NodeId> inputs;
    for (int i = 0; i < node.input_size(); ++i) inputs.push_back(input(node, i));
    if (inputs.size() == 1) return finish(node, Identity{}, inputs);
    align(node, inputs);
    finish(node, std::move(op), inputs);
  }

  void elementwise(const NodeProto& node) {
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
  }

  /// Bounds that the network computes.
  void clip_by_data(const NodeProto& node) {
    NodeId x = input(node, 0);
    if (has(node, 1) && has(node, 2)) x = add(node, "max", Elementwise{"max"}, {x, input(node, 1)});
    const int last = has(node, 2) ? 2 : 1;
    const NodeId bound = input(node, last);
    finish(node, Elementwise{last == 2 ? "min" : "max"}, {x, bound});
  }

  /// The node's settings, none where they are the usual ones; nothing where they depend on data.
  std::optional<std::vector<float>> settings_in(const NodeProto& node) {
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

  void dropout(const NodeProto& node) {
    if (node.output_size() > 1 && !node.output(1).empty() && uses_[node.output(1)] > 0) {
      Value& mask = values_[node.output(1)];
      mask.constant = true;
      mask.shape = shape(node, 0);
    }
    pass(node, "does nothing at inference");
    const auto training = known(node, 2);
    if (has(node, 2) && (!training || training->front() != 0)) {
      entry_.fidelity = OnnxFidelity::approximated;
      entry_.note = "in training mode";
    }
  }

  void concat(const NodeProto& node) {
    std::vector<NodeId> inputs;
    for (int i = 0; i < node.input_size(); ++i) {
      const Shape& part = shape(node, i);
      if (std::find(part.begin(), part.end(), 0) != part.end()) continue;  // adds nothing
      inputs.push_back(input(node, i));
    }
    if (inputs.empty()) throw Refusal("has no elements");
    const std::int64_t axis = integer(node, "axis", 1);
    axis_of(axis, shape(node, 0).size());
    finish(node, Concat{axis}, inputs);
  }

  void flatten(const NodeProto& node) {
    const Shape x_shape = shape(node, 0);
    const NodeId x = input(node, 0);
    const std::int64_t axis = integer(node, "axis", 1);
    if (axis == 1 && x_shape.size() > 1) return finish(node, Flatten{}, {x});
    finish(node, Reshape{extents(output_shape(node))}, {x});
  }

  void reshape(const NodeProto& node) {
    const NodeId x = input(node, 0);
    const Shape& to = output_shape(node);
    finish(node, Reshape{extents(to)}, {x});
  }

  void transpose(const NodeProto& node) {
    const std::size_t rank = shape(node, 0).size();
    const NodeId x = input(node, 0);
    if (rank == 0) return finish(node, Identity{}, {x});
    Ints permutation(rank);
    std::iota(permutation.rbegin(), permutation.rend(), 0);
    finish(node, Transpose{integers(node, "perm").value_or(permutation)}, {x});
  }

  void split(const NodeProto& node) {
    const Shape x_shape = shape(node, 0);
    const std::size_t axis = axis_of(integer(node, "axis", 0), x_shape.size());
    const int parts = node.output_size();
    std::optional<Ints> sizes = list(node, "split", 1);
    if (!sizes) {
      if (x_shape[axis] % parts != 0) throw Refusal(fmt::format("{} does not divide into {}", x_shape[axis], parts));
      sizes = Ints(static_cast<std::size_t>(parts), x_shape[axis] / parts);
    }
    if (sizes->size() != static_cast<std::size_t>(parts)) throw Refusal("has another number of outputs than sizes");
    const NodeId x = input(node, 0);
    Slice piece{Ints(x_shape.size(), 0), x_shape, Ints(x_shape.size(), 1)};
    for (int i = 0; i < parts; ++i) {
      piece.extents[axis] = (*sizes)[static_cast<std::size_t>(i)];
      if (!node.output(i).empty() && piece.extents[axis] > 0) {
        const std::string name = parts == 1 ? label(node) : node.output(i);
        set_output(node, network_.add(unique(name), piece, {x}), i);
      }
      piece.starts[axis] += piece.extents[axis];
    }
  }

  void slice(const NodeProto& node) {
    const Slice op = slice_of(values_, node);
    extents(op.extents);
    const NodeId x = input(node, 0);
    finish(node, op, {x});
  }

  void gather(const NodeProto& node) {
    const Shape table = shape(node, 0), indices = shape(node, 1);
    const std::int64_t axis = integer(node, "axis", 0);
    const std::size_t at = axis_of(axis, table.size());
    Value& source = value(node, 0);
    if (source.constant && at == 0 && table.size() == 2 && is_float(source.type)) {
      const NodeId index = input(node, 1);
      const Embedding op{table[0], table[1]};
      std::vector<NodeId> inputs{index};
      const bool shared = uses_[node.input(0)] > 1;
      if (!indices.empty() && source.learned) {
        if (shared) inputs.push_back(input(node, 0));
        std::vector<FloatTensor> tensors;
        if (!shared) tensors.push_back(tensor(node, 0, table));
        return finish(node, op, inputs, std::move(tensors));
      }
    }
    const auto known_indices = known_integers(node, 1);
    if (known_indices && known_indices->size() == 1) {
      std::int64_t index = known_indices->front();
      if (index < 0) index += table[at];
      if (index < 0 || index >= table[at]) throw Refusal(fmt::format("index {} is out of range", known_indices->front()));
      Slice op{Ints(table.size(), 0), table, Ints(table.size(), 1)};
      op.starts[at] = index;
      op.extents[at] = 1;
      extents(op.extents);
      const NodeId x = input(node, 0);
      if (indices.size() == 1) return finish(node, op, {x});
      const NodeId one = add(node, "slice", op, {x});
      return finish(node, Reshape{extents(output_shape(node))}, {one});
    }
    other(node, "moves data");
  }

  void pad(const NodeProto& node) {
    const Shape x_shape = shape(node, 0);
    const auto pads = list(node, "pads", 1);
    if (!pads || pads->size() != 2 * x_shape.size()) throw Refusal("pads do not fit the input");
    const auto middle = pads->begin() + static_cast<std::ptrdiff_t>(x_shape.size());
    const bool cuts = std::any_of(pads->begin(), pads->end(), [](std::int64_t p) { return p < 0; });
    NodeId x = input(node, 0);
    if (cuts) return other(node, "cuts off");
    const std::string mode = text(node, "mode", "constant");
    if (mode == "reflect" || mode == "edge") {
      return margins(node, x, Ints(pads->begin(), middle), Ints(middle, pads->end()), mode == "reflect");
    }
    if (mode != "constant") approximate("as padding with zeros");
    const auto filling = known(node, 2);
    const double number = !has(node, 2) ? real(node, "value", 0) : filling && filling->size() == 1 ? filling->front() : 1;
    if (number != 0) approximate("as padding with zeros");
    finish(node, Pad{Ints(pads->begin(), middle), Ints(middle, pads->end())}, {x});
  }

  /// Mirrored margins are pieces of the input, backwards; others its first and last elements, repeated.
  void margins(const NodeProto& node, NodeId x, const Ints& before, const Ints& after, bool mirrored) {
    std::vector<std::size_t> axes;
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (before[i] > 0 || after[i] > 0) axes.push_back(i);
    }
    if (axes.empty()) return finish(node, Identity{}, {x});
    for (const std::size_t axis : axes) {
      const Shape whole_shape = network_.node(x).shape;
      const std::int64_t extent = whole_shape[axis];
      const auto margin = [&](std::int64_t size, std::int64_t start) {
        Slice piece{Ints(whole_shape.size(), 0), whole_shape, Ints(whole_shape.size(), 1)};
        piece.starts[axis] = start;
        piece.extents[axis] = mirrored ? size : 1;
        piece.steps[axis] = mirrored && size > 1 ? -1 : 1;
        const NodeId made = add(node, "margin", piece, {x});
        if (mirrored || size == 1) return made;
        Shape repeated = whole_shape;
        repeated[axis] = size;
        return add(node, "repeated", Expand{repeated}, {made});
      };
      if (mirrored && std::max(before[axis], after[axis]) >= extent) {
        throw Refusal(fmt::format("mirrors {} elements of {}", std::max(before[axis], after[axis]), extent));
      }
      std::vector<NodeId> parts;
      if (before[axis] > 0) parts.push_back(margin(before[axis], mirrored ? before[axis] : 0));
      parts.push_back(x);
      if (after[axis] > 0) parts.push_back(margin(after[axis], mirrored ? extent - 2 : extent - 1));
      const Concat joined{static_cast<std::int64_t>(axis)};
      if (axis == axes.back()) return finish(node, joined, parts);
      x = add(node, "padded", joined, parts);
    }
  }

  void resize(const NodeProto& node) {
    const Shape x_shape = shape(node, 0);
    Value& made = values_.at(node.output(0));
    if (!made.shape) {
      // libonnx needs scales it may not see: floor(extent · scale).
      const auto scales = node.op_type() == "Upsample" ? known(node, 1) : known(node, 2);
      const auto sizes = has(node, 3) ? known_integers(node, 3) : std::nullopt;
      if (sizes && sizes->size() == x_shape.size()) {
        made.shape = *sizes;
      } else if (scales && scales->size() == x_shape.size()) {
        made.shape.emplace();
        for (std::size_t i = 0; i < x_shape.size(); ++i) {
          const double extent = std::floor(static_cast<double>(x_shape[i]) * (*scales)[i]);
          if (!(extent >= 0 && extent < 9e15)) throw Refusal("a scale is out of range");
          made.shape->push_back(static_cast<std::int64_t>(extent));
        }
      }
    }
    const std::string mode = text(node, "mode", "nearest");
    if (!resizes_by_half_pixels(node, x_shape, output_shape(node))) approximate("its coordinates are not kept");
    finish(node, Resize{extents(output_shape(node)), mode}, {input(node, 0)});
  }

  /// Whether elements come from where a Resize without attributes takes them.
  bool resizes_by_half_pixels(const NodeProto& node, const Shape& from, const Shape& to) {
    const bool old = node.op_type() == "Upsample" || opset_ < 11;
    const std::string mode = text(node, "mode", "nearest");
    const std::string coordinates = old ? "asymmetric" : text(node, "coordinate_transformation_mode", "half_pixel");
    const std::string rounding = old ? "floor" : text(node, "nearest_mode", "round_prefer_floor");
    const int input = old ? 1 : 2;
    const auto scales = known(node, input);
    if (has(node, input) && !scales) return false;
    bool whole = true, larger_than_one = true;
    for (std::size_t i = 0; i < from.size(); ++i) {
      whole = whole && to[i] % from[i] == 0;
      larger_than_one = larger_than_one && to[i] > 1;
      // What a scale leaves of an element moves all the others.
      if (scales && scales->size() == from.size() &&
          std::abs((*scales)[i] * static_cast<double>(from[i]) - static_cast<double>(to[i])) > 1e-4) {
        return false;
      }
    }
    if (mode == "nearest" && whole && coordinates == "asymmetric" && rounding == "floor") return true;
    if (coordinates != "half_pixel" && !(coordinates == "pytorch_half_pixel" && larger_than_one)) return false;
    if (mode == "nearest") return rounding == "round_prefer_floor";
    return mode == "linear" ||
           (mode == "cubic" && real(node, "cubic_coeff_a", -0.75) == -0.75 && integer(node, "exclude_outside", 0) == 0);
  }

  void top_k(const NodeProto& node) {
    const Shape x_shape = shape(node, 0);
    const std::size_t axis = axis_of(integer(node, "axis", -1), x_shape.size());
    if (axis + 1 != x_shape.size()) return other(node, "not along the last dimension");
    if (integer(node, "largest", 1) == 0) approximate("as the largest");
    const Shape made = output_shape(node);
    const NodeId x = input(node, 0);
    bool named = false;
    for (const int i : {0, 1}) {
      if (i >= node.output_size() || node.output(i).empty() || uses_[node.output(i)] == 0) continue;
      const std::string name = named ? node.output(i) : label(node);
      set_output(node, network_.add(unique(name), TopK{made.back(), i == 1}, {x}), i);
      named = true;
    }
    if (!named) set_output(node, network_.add(unique(label(node)), TopK{made.back(), false}, {x}), 0);
  }

  void reduce(const NodeProto& node) {
    const Shape x_shape = shape(node, 0);
    std::string function = snake_case(node.op_type().substr(6));
    std::optional<Ints> axes = list(node, "axes", 1);
    const bool keep = integer(node, "keepdims", 1) != 0;
    const NodeId x = input(node, 0);
    if (axes && axes->empty() && integer(node, "noop_with_empty_axes", 0) != 0) return finish(node, Identity{}, {x});
    if (x_shape.empty()) return finish(node, Reduce{function, {0}, true}, {x});
    std::set<std::int64_t> sorted;
    for (const std::int64_t axis : axes.value_or(Ints{})) {
      sorted.insert(static_cast<std::int64_t>(axis_of(axis, x_shape.size())));
    }
    if (!axes || axes->empty()) {
      for (std::size_t i = 0; i < x_shape.size(); ++i) sorted.insert(static_cast<std::int64_t>(i));
    }
    finish(node, Reduce{function, Ints(sorted.begin(), sorted.end()), keep}, {x});
  }

  /// Two operands: one multiply-accumulate for every combination of all indices.
  void einsum(const NodeProto& node) {
    const std::string equation = text(node, "equation", "");
    std::map<char, std::int64_t> sizes;
    int operand = 0;
    std::size_t position = 0;
    for (const char c : equation) {
      if (c == ' ') continue;
      if (c == '-') break;
      if (c == ',') {
        ++operand;
        position = 0;
        continue;
      }
      if (c == '.') throw Refusal("an ellipsis in the equation is not supported");
      const Shape& of = shape(node, operand);
      if (position >= of.size()) throw Refusal("the equation does not fit the inputs");
      sizes[c] = std::max(sizes[c], of[position++]);
    }
    Shape all;
    for (const auto& [index, size] : sizes) all.push_back(size);
    other(node, "counted only", node.input_size() == 2 ? count_of(all) : 0);
  }

  /// Per step, direction and gate one matrix product with the input and one with the state.
  void recurrent(const NodeProto& node) {
    const Shape x_shape = shape(node, 0), weight = shape(node, 1), state = shape(node, 2);
    if (x_shape.size() != 3 || weight.size() != 3 || state.size() != 3) throw Refusal("its shapes do not fit");
    if (unrolls(node)) return unroll(node);
    const std::int64_t steps = count_of({x_shape[0], x_shape[1]});
    const std::int64_t macs = product_of({steps}, {weight[0], weight[1], weight[2] + state[2]});
    std::int64_t parameters = count_of(weight) + count_of(state);
    if (has(node, 3)) parameters += count_of(shape(node, 3));
    other(node, "counted only", macs, parameters, {0});
  }

  /// Whether the node is a plain LSTM of a few steps with weights of its own.
  bool unrolls(const NodeProto& node) {
    if (node.op_type() != "LSTM" || has(node, 4) || has(node, 7)) return false;  // lengths of sequences, peepholes
    for (const char* special : {"activations", "activation_alpha", "activation_beta", "clip"}) {
      if (attribute(node, special) != nullptr) return false;
    }
    if (text(node, "direction", "forward") != "forward" || integer(node, "input_forget", 0) != 0 ||
        integer(node, "layout", 0) != 0) {
      return false;
    }
    const Shape x = shape(node, 0), weight = shape(node, 1), state = shape(node, 2);
    const std::int64_t size = state[2];
    if (x[0] < 1 || x[0] > most_steps - steps_ || size < 1 || size > max_count / 8) return false;
    if (weight != Shape{1, 4 * size, x[2]} || state != Shape{1, 4 * size, size}) return false;
    for (const int i : {1, 2, 3}) {
      if (has(node, i) && (!value(node, i).constant || uses_[node.input(i)] > 1)) return false;
    }
    if (has(node, 3) && shape(node, 3) != Shape{1, 8 * size}) return false;
    for (const int i : {5, 6}) {
      if (has(node, i) && shape(node, i) != Shape{1, x[1], size}) return false;
    }
    return true;
  }

  /// An LSTM step by step: gates i, o, f of (0, H), (H, 2H), (2H, 3H) and the candidate c (Hochreiter and Schmidhuber, 1997,
  /// with the forget gate of Gers et al., 2000; the equations of ONNX).
  void unroll(const NodeProto& node) {
    const Shape x_shape = shape(node, 0);
    const std::int64_t steps = x_shape[0], batch = x_shape[1], size = shape(node, 2)[2];
    const bool bias = has(node, 3);
    FloatTensor both = bias ? tensor(node, 3, {8 * size}) : FloatTensor{};
    FloatTensor second{{4 * size}, {}};
    if (!both.values.empty()) {
      const auto middle = both.values.begin() + 4 * size;
      second.values.assign(middle, both.values.end());
      both.values.erase(middle, both.values.end());
    }
    both.shape = {4 * size};
    const auto with = [bias](FloatTensor weight, const FloatTensor& shift) {
      std::vector<FloatTensor> tensors{std::move(weight)};
      if (bias) tensors.push_back(shift);
      return tensors;
    };
    const NodeId x = input(node, 0);
    const NodeId fed = add(node, "input", Linear{4 * size, bias}, {x}, with(tensor(node, 1, {4 * size, x_shape[2]}), both));
    FloatTensor recurrent_weights = tensor(node, 2, {4 * size, size});
    NodeId weights = 0, shift = 0;
    if (steps > 1) {  // they are shared by all steps
      weights = add(node, "recurrent", Constant{{4 * size, size}, true}, {}, {std::move(recurrent_weights)});
      if (bias) shift = add(node, "shift", Constant{{4 * size}, true}, {}, {std::move(second)});
    }
    const auto start = [&](int i, const char* what) {
      if (!has(node, i)) return add(node, what, Zeros{{batch, size}}, {});
      const NodeId given = input(node, i);
      return add(node, what, Reshape{{batch, size}}, {given});
    };
    NodeId h = start(5, "h"), c = start(6, "c");
    const auto gates = [&](NodeId of, std::int64_t first, std::int64_t count) {
      return add(node, "gate", Slice{{0, first * size}, {batch, count * size}, {1, 1}}, {of});
    };
    NodeIds results;
    for (std::int64_t t = 0; t < steps; ++t) {
      NodeId own = fed;
      if (steps > 1) own = add(node, "step", Slice{{t, 0, 0}, {1, batch, 4 * size}, {1, 1, 1}}, {fed});
      NodeIds terms{add(node, "fed", Reshape{{batch, 4 * size}}, {own})};
      if (steps == 1) {
        terms.push_back(add(node, "recurrent", Linear{4 * size, bias}, {h}, with(std::move(recurrent_weights), second)));
      } else {
        terms.push_back(add(node, "state", MatMul{true}, {h, weights}));
        if (bias) terms.push_back(shift);
      }
      const NodeId sum = add(node, "sum", Add{}, terms);
      const NodeId open = add(node, "gates", Activation{Activation::Kind::sigmoid}, {gates(sum, 0, 3)});
      const NodeId candidate = add(node, "candidate", Activation{Activation::Kind::tanh}, {gates(sum, 3, 1)});
      const NodeId kept = add(node, "kept", Multiply{}, {gates(open, 2, 1), c});
      const NodeId taken = add(node, "taken", Multiply{}, {gates(open, 0, 1), candidate});
      c = add(node, "c", Add{}, {kept, taken});
      const NodeId bounded = add(node, "bounded", Activation{Activation::Kind::tanh}, {c});
      h = add(node, "h", Multiply{}, {gates(open, 1, 1), bounded});
      if (has_output(node, 0)) results.push_back(add(node, "y", Reshape{{1, 1, batch, size}}, {h}));
    }
    steps_ += steps;
    bool named = false;
    const auto deliver = [&](int i, Operator op, NodeIds from) {
      if (!has_output(node, i)) return;
      set_output(node, network_.add(unique(named ? node.output(i) : label(node)), std::move(op), std::move(from)), i);
      named = true;
    };
    deliver(0, Concat{0}, results);
    deliver(1, Reshape{{1, batch, size}}, {h});
    deliver(2, Reshape{{1, batch, size}}, {c});
    if (!named) throw Refusal("has no output");
    entry_.note = fmt::format("{} step{} unrolled", steps, steps > 1 ? "s" : "");
  }

  /// An operator that duet has not: shape and counts. `inputs` empty: all of them.
  void other(const NodeProto& node, const std::string& why, std::int64_t macs = 0, std::int64_t parameters = 0,
             std::vector<int> positions = {}) {
    if (positions.empty()) {
      positions.resize(static_cast<std::size_t>(node.input_size()));
      std::iota(positions.begin(), positions.end(), 0);
    }
    std::vector<NodeId> inputs;
    for (const int i : positions) {
      if (!has(node, i)) continue;
      const Value& found = value(node, i);
      // Empty tensors and arithmetic on shapes have no place in the network.
      if (found.shape && std::find(found.shape->begin(), found.shape->end(), 0) != found.shape->end()) continue;
      if (!found.node && found.constant && !found.learned) continue;
      inputs.push_back(input(node, i));
    }
    bool first = true;
    for (int i = 0; i < node.output_size(); ++i) {
      if (node.output(i).empty()) continue;
      if (!first && uses_[node.output(i)] == 0) continue;
      const Shape made = extents(output_shape(node, i));
      const Other op{snake_case(node.op_type()), made, first ? macs : 0, first ? parameters : 0};
      set_output(node, network_.add(unique(first ? label(node) : node.output(i)), op, inputs), i);
      first = false;
    }
    approximate(why);
  }

  void set_outputs() {
    std::vector<NodeId> results;
    for (const auto& output : graph_.output()) {
      const auto found = values_.find(output.name());
      if (found == values_.end()) throw Refusal(fmt::format("output '{}' is never computed", output.name()));
      try {
        results.push_back(materialise(output.name(), found->second));
      } catch (const std::exception& error) {
        throw Refusal(fmt::format("output '{}': {}", output.name(), error.what()));
      }
    }
    if (results.empty()) throw Refusal("the graph has no output");
    if (results.size() == 1) {
      network_.set_output(results.front());
    } else {
      network_.set_output(network_.add(unique("outputs"), Outputs{}, results));
    }
  }

  const onnx::GraphProto& graph_;
  const OnnxDimensions& dimensions_;
  const WeightSource& source_;
  NetworkWeights weights_;
  std::unordered_map<std::string, Computed> computed_;
  std::int64_t work_ = 0;
  std::int64_t opset_ = 0;
  Values values_;
  std::unordered_map<std::string, std::pair<int, Shape>> declared_;
  Uses uses_;
  std::set<std::string, std::less<>> used_dimensions_, conditions_, names_, zero_filled_;
  std::vector<std::string> unbound_numbers_;  // inputs of one whole number
  std::string inference_error_;
  Network network_;
  OnnxNode entry_;
  NumberFormat format_;  // of the node's layers
  std::int64_t steps_ = 0;  // of recurrent networks, unrolled
};

onnx::ModelProto parse(std::string_view bytes) {
  onnx::ModelProto model;
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  if (!model.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) {
    throw Refusal("not an ONNX model, or a damaged one");
  }
  return model;
}

/// A file in memory, without reading what is not looked at.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& file) {
    const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) throw Refusal(fmt::format("cannot be opened: {}", std::strerror(errno)));
    struct stat status {};
    const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    size_ = regular ? static_cast<std::size_t>(status.st_size) : 0;
    if (size_ > 0) data_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    const int error = errno;
    ::close(descriptor);
    if (!regular) throw Refusal("is not a file");
    if (data_ == MAP_FAILED) throw Refusal(fmt::format("cannot be read: {}", std::strerror(error)));
  }
  ~MappedFile() {
    if (size_ > 0 && data_ != MAP_FAILED) ::munmap(data_, size_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return size_ == 0 ? std::string_view() : std::string_view(static_cast<const char*>(data_), size_); }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Names end up on screens and in JSON. \throws Refusal for one that is not UTF-8, which protocol buffers let pass.
void check_texts(const google::protobuf::Message& message) {
  using google::protobuf::FieldDescriptor;
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->type() == FieldDescriptor::TYPE_STRING) {
        const std::string text =
            field->is_repeated() ? reflection->GetRepeatedString(message, field, i) : reflection->GetString(message, field);
        if (invalid_utf8(text) != std::string::npos) {
          throw Refusal(fmt::format("damaged: the {} of a {} is no text in UTF-8", field->name(), message.GetTypeName()));
        }
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        check_texts(field->is_repeated() ? reflection->GetRepeatedMessage(message, field, i)
                                         : reflection->GetMessage(message, field));
      } else {
        break;
      }
    }
  }
}

OnnxImport import_bytes(std::string_view bytes, const OnnxDimensions& dimensions, const WeightSource& source) {
  OnnxImport result;
  if (bytes.empty()) throw Refusal("is empty");
  onnx::ModelProto model;
  if (source.wanted) {
    if (bytes.size() >= std::size_t{1} << 31) throw Refusal("is above 2 GB: its weights must be external data to be read");
    model = parse(bytes);
  } else {
    const std::string graph_only = without_weights(bytes);
    if (graph_only.size() > std::size_t{1} << 30) throw Refusal("its graph is above 1 GB");
    model = parse(graph_only);
  }
  if (!model.has_graph()) throw Refusal("not an ONNX model: it has no graph");
  check_texts(model);
  result.producer = model.producer_name();
  result.opset = model.opset_import_size() == 0 ? 1 : 0;
  for (const auto& import : model.opset_import()) {
    if (import.domain().empty() || import.domain() == "ai.onnx") result.opset = import.version();
  }
  if (result.opset > newest_opset) {
    throw Refusal(fmt::format("is of opset {}; opsets up to {} are supported", result.opset, newest_opset));
  }
  if (result.opset == 0 && model.opset_import_size() > 0) result.opset = newest_opset;  // other domains only
  if (result.opset < 1) throw Refusal("does not say which version of ONNX's operators it uses");
  expand_functions(model);
  Importer(model, dimensions, source).run(result);
  return result;
}

template <class Import>
OnnxImport with_name(const std::string& name, Import import) {
  try {
    return import();
  } catch (const std::exception& error) {
    std::string message = error.what();
    std::replace(message.begin(), message.end(), '\n', ' ');
    throw ConfigError(fmt::format("{}: {}", name, message));
  }
}

}  // namespace

std::string_view to_string(OnnxFidelity fidelity) {
  switch (fidelity) {
    case OnnxFidelity::modelled:
      return "modelled";
    case OnnxFidelity::approximated:
      return "approximated";
    case OnnxFidelity::ignored:
      return "ignored";
  }
  return "?";
}

std::size_t OnnxImport::count(OnnxFidelity fidelity) const {
  return static_cast<std::size_t>(
      std::count_if(nodes.begin(), nodes.end(), [&](const OnnxNode& node) { return node.fidelity == fidelity; }));
}

OnnxImport import_onnx(const std::filesystem::path& file, const OnnxDimensions& dimensions, OnnxWeights weights) {
  return with_name(file.string(), [&] {
    return import_bytes(MappedFile(file).bytes(), dimensions, {weights == OnnxWeights::read, file.parent_path()});
  });
}

OnnxImport import_onnx(std::string_view bytes, const std::string& name, const OnnxDimensions& dimensions,
                       OnnxWeights weights) {
  return with_name(name, [&] { return import_bytes(bytes, dimensions, {weights == OnnxWeights::read}); });
}

}  // namespace duet
