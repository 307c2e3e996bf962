#include "spaces/onnx_importer.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <onnx/defs/schema.h>
#include <onnx/onnx_pb.h>
#include <utility>

#include "core/config.hpp"
#include "spaces/onnx_inference.hpp"
#include "spaces/onnx_order.hpp"

namespace duet::onnx_graph {
namespace {

using onnx::AttributeProto;
using onnx::NodeProto;
using onnx::TensorProto;
using onnx::TypeProto;

/// A refusal that says where.
class Located : public Refusal {
 public:
  using Refusal::Refusal;
};

[[noreturn]] void refuse(const NodeProto& node, const std::string& why) {
  throw Located(fmt::format("node '{}' ({}): {}", label(node), node.op_type(), why.substr(0, why.find('\n'))));
}

std::int64_t opset_of(const onnx::ModelProto& model) {
  std::int64_t opset = 0;
  for (const auto& import : model.opset_import()) {
    if (import.domain().empty() || import.domain() == "ai.onnx") opset = import.version();
  }
  return opset == 0 ? newest_opset : opset;
}

}  // namespace

Importer::Importer(const onnx::ModelProto& model, const OnnxDimensions& dimensions, const WeightSource& source)
    : graph_(model.graph()),
      dimensions_(dimensions),
      source_(source),
      opset_(opset_of(model)),
      constants_(values_, uses_, opset_, source_) {}

void Importer::run(OnnxImport& result) {
  uses_ = count_uses(graph_);
  read_initializers(graph_);
  read_inputs();
  read_value_info(graph_);
  import_nodes(graph_, result);
  set_outputs();
  result.network = std::move(network_);
  result.counted_again = counted_again_;
  if (!source_.wanted) return;
  weights_.resize(result.network.nodes().size());
  result.weights = std::move(weights_);
  check(result.network, result.weights);
}

const onnx::OpSchema* Importer::schema_of(const NodeProto& node) const {
  if (!node.domain().empty() && node.domain() != "ai.onnx") return nullptr;
  return onnx::OpSchemaRegistry::Schema(node.op_type(), static_cast<int>(opset_));
}

void Importer::verify(const onnx::GraphProto& graph) const {
  for (const NodeProto& node : graph.node()) {
    try {
      if (const onnx::OpSchema* schema = schema_of(node)) schema->Verify(node);
    } catch (const std::exception& error) {
      refuse(node, error.what());
    }
  }
}

// --- Graphs, and those within their nodes ---

void Importer::import_nodes(const onnx::GraphProto& graph, OnnxImport& result) {
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

Uses Importer::count_uses(const onnx::GraphProto& graph) {
  Uses uses;
  for (const NodeProto& node : graph.node()) {
    for (const std::string& input : node.input()) ++uses[input];
    if (node.op_type() == "If" && node.input_size() > 0) conditions_.insert(node.input(0));
    if (finds_elements(node.op_type()) && node.output_size() > 0) conditions_.insert({node.output(0), node.op_type()});
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

void Importer::branch(const NodeProto& node, OnnxImport& result) {
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

void Importer::read_initializers(const onnx::GraphProto& graph) {
  for (const TensorProto& tensor : graph.initializer()) {
    if (values_.contains(tensor.name())) {
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

std::optional<Shape> Importer::bound(const std::string& name, const TypeProto& type,
                                     std::vector<std::string>* unbound) {
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

void Importer::read_inputs() {
  std::vector<std::string> unbound;
  std::set<std::string_view> seen;
  for (const auto& input : graph_.input()) {
    if (!seen.insert(input.name()).second) throw Refusal(fmt::format("input '{}' is declared twice", input.name()));
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

void Importer::check_dimensions(const std::vector<std::string>& unbound) const {
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

void Importer::read_value_info(const onnx::GraphProto& graph) {
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

void Importer::set_outputs() {
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

// --- Values ---

std::string Importer::unique(const std::string& name) {
  std::string result = name.empty() ? "node" : name;
  for (int i = 2; names_.contains(result); ++i) result = fmt::format("{}_{}", name, i);
  names_.insert(result);
  return result;
}

const Value& Importer::weights(const NodeProto& node, int i) {
  const Value& found = value(node, i);
  if (!found.shape) throw Refusal(fmt::format("the shape of weights '{}' is not known", node.input(i)));
  return found;
}

const Shape& Importer::output_shape(const NodeProto& node, int i) {
  const auto& found = values_.at(node.output(i)).shape;
  if (found) return *found;
  if (!inference_error_.empty()) throw Refusal(inference_error_);
  throw Refusal("the shape of its output depends on data");
}

NodeId Importer::materialise(const std::string& name, Value& found) {
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

NodeId Importer::input(const NodeProto& node, int i) { return materialise(node.input(i), value(node, i)); }

NodeId Importer::fixed(const NodeProto& node, std::string_view suffix, double number) {
  return add(node, suffix, Constant{{1}, false}, {}, {{{1}, {static_cast<float>(number)}}});
}

NodeId Importer::per_channel(const NodeProto& node, int i, std::size_t rank) {
  const NodeId flat = input(node, i);
  Shape aligned(rank - 1, 1);
  aligned[0] = count_of(shape(node, i));
  return add(node, "per_channel", Reshape{aligned}, {flat});
}

// --- Operators one after another ---

Importer::Chain& Importer::Chain::then(std::string_view suffix, Operator op, const NodeIds& more,
                                       std::vector<FloatTensor> weights) {
  NodeIds inputs{id()};
  for (const NodeId other : more) inputs.push_back(other);
  next_ = Step{suffix, std::move(op), std::move(inputs), std::move(weights)};
  return *this;
}

Importer::Chain& Importer::Chain::reshape(const Shape& to) { return shape() == to ? *this : then("shaped", Reshape{to}); }

Importer::Chain& Importer::Chain::transpose(const Ints& permutation) {
  return std::is_sorted(permutation.begin(), permutation.end()) ? *this : then("turned", Transpose{permutation});
}

Shape Importer::Chain::shape() const {
  if (!next_) return importer_.network_.node(last_).shape;
  std::vector<const Shape*> inputs;
  for (const NodeId input : next_->inputs) inputs.push_back(&importer_.network_.node(input).shape);
  return duet::infer(label(node_), next_->op, inputs).shape;
}

NodeId Importer::Chain::id() {
  if (next_) last_ = importer_.add(node_, next_->suffix, std::move(next_->op), std::move(next_->inputs), std::move(next_->weights));
  next_.reset();
  return last_;
}

void Importer::Chain::finish(int output) {
  if (!next_) then("", Identity{});
  const bool named = output == 0 || !has_output(node_, 0) || importer_.uses_[node_.output(0)] == 0;
  const NodeId made = importer_.network_.add(importer_.unique(named ? label(node_) : node_.output(output)),
                                             std::move(next_->op), std::move(next_->inputs));
  importer_.give_format(made);
  importer_.hold(made, std::move(next_->weights));
  importer_.set_output(node_, made, output);
  next_.reset();
  last_ = made;
}

// --- What becomes of a node ---

NodeId Importer::add(const NodeProto& node, std::string_view suffix, Operator op, NodeIds inputs,
                     std::vector<FloatTensor> weights) {
  const NodeId id = network_.add(unique(fmt::format("{}/{}", label(node), suffix)), std::move(op), std::move(inputs));
  give_format(id);
  hold(id, std::move(weights));
  return id;
}

void Importer::finish(const NodeProto& node, Operator op, NodeIds inputs, std::vector<FloatTensor> weights) {
  const NodeId id = network_.add(unique(label(node)), std::move(op), std::move(inputs));
  give_format(id);
  hold(id, std::move(weights));
  set_output(node, id);
}

void Importer::give_format(NodeId id) {
  const Operator& op = network_.node(id).op;
  if (format_ == NumberFormat{} || !is_layer(op)) return;
  if (std::holds_alternative<MatMul>(op)) format_.weight_bits = 0;
  network_.set_format(id, format_);
  entry_.note = to_string(format_);
}

void Importer::hold(NodeId id, std::vector<FloatTensor> tensors) {
  if (!source_.wanted) return;
  weights_.resize(id + 1);
  weights_[id] = std::move(tensors);
}

FloatTensor Importer::tensor(const NodeProto& node, int i, Shape to) { return tensor(node.input(i), std::move(to)); }

void Importer::quantised(const Value& x, const Value& weight) {
  if (weight.constant) format_.weight_bits = 8 * static_cast<std::int64_t>(bytes_of(weight.type));
  format_.activation_bits = 8 * static_cast<std::int64_t>(bytes_of(x.type));
  if (source_.wanted) throw Refusal("its weights are quantised, and are not read");
}

void Importer::words_of(const Value& x, const Value& weight) {
  if (x.bits == 0 && weight.bits == 0) return;
  if (weight.constant) format_.weight_bits = weight.bits;
  format_.activation_bits = x.bits;
}

void Importer::set_output(const NodeProto& node, NodeId id, int output) {
  Value& made = values_[node.output(output)];
  made.node = id;
  const Shape& have = network_.node(id).shape;
  if (made.shape && extents(*made.shape) != have) {
    throw Refusal(fmt::format("its output should have shape {}, but has {}", to_string(*made.shape),
                              to_string(have)));
  }
  if (!made.shape) made.shape = have;
}

void Importer::pass(const NodeProto& node, const std::string& why) {
  Value& made = values_[node.output(0)];
  const int type = made.type;
  made = value(node, 0);
  if (type != TensorProto::UNDEFINED) made.type = type;
  ignore(why);
}

void Importer::ignore(const std::string& why) {
  entry_.fidelity = OnnxFidelity::ignored;
  entry_.note = why;
}

void Importer::approximate(const std::string& why) {
  if (entry_.fidelity == OnnxFidelity::approximated) {
    entry_.note += "; " + why;
    return;
  }
  entry_.fidelity = OnnxFidelity::approximated;
  entry_.note = why;
}

void Importer::check_ranks(const NodeProto& node) {
  const std::string& type = node.op_type();
  if ((type == "LSTM" || type == "GRU" || type == "RNN") && node.input_size() > 0) {
    const auto x = values_.find(node.input(0));
    if (x == values_.end() || !x->second.shape || x->second.shape->size() == 3) return;
    throw Refusal(fmt::format("its input has {} dimensions, must have 3", x->second.shape->size()));
  }
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

void Importer::infer(const NodeProto& node) {
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
  check_ranks(node);
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
      if (inference_error_.empty()) made.shape = bound("", type, nullptr);  // else it is not whole
    }
    if (const auto declared = declared_.find(node.output(i)); declared != declared_.end()) {
      if (made.type == TensorProto::UNDEFINED) made.type = declared->second.first;
      if (!made.shape) made.shape = declared->second.second;
    }
    if (made.shape) count_of(*made.shape);
    values_[node.output(i)] = std::move(made);
  }
}

}  // namespace duet::onnx_graph
