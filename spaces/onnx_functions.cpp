#include "spaces/onnx_functions.hpp"

#include <algorithm>
#include <cstddef>
#include <fmt/format.h>
#include <map>
#include <onnx/onnx_pb.h>
#include <stdexcept>
#include <string>
#include <utility>

namespace duet {
namespace {

using onnx::FunctionProto;
using onnx::NodeProto;

class Expansion {
 public:
  explicit Expansion(const onnx::ModelProto& model) {
    for (const FunctionProto& function : model.functions()) {
      if (function.domain() == own_domain && function.name() == deformable_sampling) continue;
      functions_[{function.domain(), function.name()}] = &function;
    }
  }

  onnx::GraphProto run(const onnx::GraphProto& graph) {
    for (const NodeProto& node : graph.node()) add(node, 0);
    return std::move(result_);
  }

 private:
  /// What is copied, and what is looked through for it.
  void spend(std::size_t bytes) {
    constexpr std::size_t most = std::size_t{1} << 29;
    bytes_ += bytes;
    if (bytes_ > most) throw std::runtime_error("its functions have more than 512 MB where they are called");
  }

  void add(const NodeProto& node, int depth) {
    constexpr int deepest = 32, most = 1'000'000;
    // Calls count too: functions of nothing else would never end.
    if (++added_ > most) throw std::runtime_error("its functions have more than a million nodes and calls");
    const auto found = functions_.find({node.domain(), node.op_type()});
    if (found == functions_.end()) {
      *result_.add_node() = node;
      return;
    }
    const FunctionProto& function = *found->second;
    const auto fail = [&](const char* why) {
      throw std::runtime_error(fmt::format("function '{}' {}", function.name(), why));
    };
    if (depth > deepest) fail("calls itself, or others too deeply");
    if (node.input_size() > function.input_size() || node.output_size() > function.output_size()) {
      fail("is called with more inputs or outputs than it has");
    }
    const auto named = std::find_if(node.output().begin(), node.output().end(), [](const auto& name) { return !name.empty(); });
    if (named == node.output().end()) return;
    const std::string prefix = *named + "/";
    spend(prefix.size() + static_cast<std::size_t>(function.input_size()));

    // What its values are called outside.
    std::map<std::string, std::string> names{{"", ""}};
    for (int i = 0; i < function.input_size(); ++i) names[function.input(i)] = i < node.input_size() ? node.input(i) : "";
    for (int i = 0; i < node.output_size(); ++i) {
      if (node.output(i).empty()) continue;
      const auto [known, fresh] = names.emplace(function.output(i), node.output(i));
      if (fresh) continue;
      NodeProto same;  // an output that is an input
      same.set_op_type("Identity");
      same.add_input(known->second);
      same.add_output(node.output(i));
      add(same, depth + 1);  // which may be a function as well
    }
    const auto outside = [&](const std::string& name) -> const std::string& {
      auto known = names.find(name);
      if (known == names.end()) known = names.emplace(name, prefix + name).first;
      spend(known->second.size());
      return known->second;
    };
    for (const NodeProto& inner : function.node()) {
      spend(inner.ByteSizeLong());
      NodeProto copy = inner;
      if (!inner.name().empty()) {
        spend(prefix.size());
        copy.set_name(prefix + inner.name());
      }
      for (std::string& input : *copy.mutable_input()) input = outside(input);
      for (std::string& output : *copy.mutable_output()) output = outside(output);
      copy.clear_attribute();
      for (const auto& attribute : inner.attribute()) {
        if (attribute.ref_attr_name().empty()) {
          auto& kept = *copy.add_attribute();
          kept = attribute;
          if (kept.has_g()) rename(*kept.mutable_g(), outside);
          continue;
        }
        spend(static_cast<std::size_t>(node.attribute_size()));
        for (const auto& given : node.attribute()) {
          if (given.name() != attribute.ref_attr_name()) continue;
          spend(given.ByteSizeLong());
          auto& made = *copy.add_attribute();
          made = given;
          made.set_name(attribute.name());
        }
      }
      add(copy, depth + 1);
    }
  }

  /// Values within a node's graph, which sees those around it. How deep graphs lie is bounded by the parser.
  template <class Outside>
  static void rename(onnx::GraphProto& graph, const Outside& outside) {
    for (auto& tensor : *graph.mutable_initializer()) tensor.set_name(outside(tensor.name()));
    for (auto& info : *graph.mutable_value_info()) info.set_name(outside(info.name()));
    for (auto& output : *graph.mutable_output()) output.set_name(outside(output.name()));
    for (NodeProto& node : *graph.mutable_node()) {
      for (std::string& input : *node.mutable_input()) input = outside(input);
      for (std::string& output : *node.mutable_output()) output = outside(output);
      for (auto& attribute : *node.mutable_attribute()) {
        if (attribute.has_g()) rename(*attribute.mutable_g(), outside);
      }
    }
  }

  std::map<std::pair<std::string, std::string>, const FunctionProto*> functions_;
  onnx::GraphProto result_;
  int added_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace

void expand_functions(onnx::ModelProto& model) {
  if (model.functions_size() == 0) return;
  onnx::GraphProto nodes = Expansion(model).run(model.graph());
  model.mutable_graph()->mutable_node()->Swap(nodes.mutable_node());
}

}  // namespace duet
