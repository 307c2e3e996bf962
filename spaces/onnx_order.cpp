#include "spaces/onnx_order.hpp"

#include <cstddef>
#include <onnx/onnx_pb.h>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

namespace duet::onnx_graph {
namespace {

using onnx::AttributeProto;
using onnx::NodeProto;

/// Calls `use` with the inputs of a node and of those in the graphs that it holds. How deep these lie is bounded by the
/// parser of protocol buffers.
template <class Use>
void for_each_use(const NodeProto& node, const Use& use) {
  for (const std::string& input : node.input()) use(input);
  for (const AttributeProto& attribute : node.attribute()) {
    if (!attribute.has_g()) continue;
    for (const NodeProto& inner : attribute.g().node()) for_each_use(inner, use);
    for (const auto& output : attribute.g().output()) use(output.name());
  }
}

}  // namespace

std::vector<const NodeProto*> in_order(const onnx::GraphProto& graph) {
  const auto size = static_cast<std::size_t>(graph.node_size());
  std::unordered_map<std::string_view, std::size_t> makers;
  for (std::size_t i = 0; i < size; ++i) {
    for (const std::string& output : graph.node(static_cast<int>(i)).output()) {
      if (!output.empty()) makers.emplace(output, i);
    }
  }
  std::vector<std::vector<std::size_t>> users(size);
  std::vector<std::size_t> waiting(size, 0);
  bool sorted = true;
  for (std::size_t i = 0; i < size; ++i) {
    for_each_use(graph.node(static_cast<int>(i)), [&](const std::string& name) {
      const auto maker = makers.find(name);
      if (maker == makers.end()) return;
      users[maker->second].push_back(i);
      ++waiting[i];
      sorted = sorted && maker->second < i;
    });
  }
  std::vector<const NodeProto*> order;
  order.reserve(size);
  if (sorted) {
    for (const NodeProto& node : graph.node()) order.push_back(&node);
    return order;
  }
  std::set<std::size_t> ready;
  std::vector<bool> placed(size, false);
  const auto place = [&](std::size_t i) {
    placed[i] = true;
    order.push_back(&graph.node(static_cast<int>(i)));
  };
  for (std::size_t i = 0; i < size; ++i) {
    if (waiting[i] == 0) ready.insert(i);
  }
  while (!ready.empty()) {
    const std::size_t i = *ready.begin();
    ready.erase(ready.begin());
    place(i);
    for (const std::size_t user : users[i]) {
      if (--waiting[user] == 0) ready.insert(user);
    }
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (!placed[i]) place(i);  // a circle: refused where it is entered
  }
  return order;
}

}  // namespace duet::onnx_graph
