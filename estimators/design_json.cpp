#include "estimators/design_json.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace duet {
namespace {

using Json = nlohmann::json;

/// Whole numbers without a fraction, as any reader would write them.
Json number(double value) {
  constexpr double exact = 9007199254740992.0;  // 2^53
  if (value == std::trunc(value) && std::abs(value) <= exact) return static_cast<std::int64_t>(value);
  return value;
}

/// Adds an operator's attributes to its node.
struct Attributes {
  Json& node;

  template <class Op>
  void window(const Op& op) const {
    node["kernel"] = {op.kernel_h, op.kernel_w};
    node["stride"] = {op.stride_h, op.stride_w};
    node["padding"] = {op.padding_h, op.padding_w};
    node["dilation"] = {op.dilation_h, op.dilation_w};
  }

  void operator()(const Convolution& op) const {
    node["out_channels"] = op.out_channels;
    window(op);
    node["groups"] = op.groups;
    node["bias"] = op.bias;
  }
  void operator()(const Linear& op) const {
    node["out_features"] = op.out_features;
    node["bias"] = op.bias;
  }
  void operator()(const MatMul& op) const { node["transpose_b"] = op.transpose_b; }
  void operator()(const Pool& op) const {
    node["kind"] = op.kind == Pool::Kind::max ? "max" : "average";
    node["kernel"] = {op.kernel, op.kernel};
    node["stride"] = {op.stride, op.stride};
    node["padding"] = {op.padding, op.padding};
    node["count_include_pad"] = op.count_include_pad;
  }
  void operator()(const Concat& op) const { node["axis"] = op.axis; }
  void operator()(const Activation& op) const { node["kind"] = name_of(op.kind); }
  void operator()(const Softmax& op) const { node["axis"] = op.axis; }
  // The shape says it all.
  void operator()(const Input&) const {}
  void operator()(const Zeros&) const {}
  void operator()(const GlobalPool&) const {}
  void operator()(const Add&) const {}
  void operator()(const Multiply&) const {}
  void operator()(const BatchNormalization&) const {}
  void operator()(const LayerNormalization&) const {}
  void operator()(const Flatten&) const {}
  void operator()(const Identity&) const {}
  void operator()(const RmsNormalization&) const {}
  void operator()(const Reshape&) const {}
  void operator()(const Expand&) const {}
  void operator()(const Outputs&) const {}

  void operator()(const Constant& op) const { node["learned"] = op.learned; }
  void operator()(const Embedding& op) const {
    node["entries"] = op.entries;
    node["features"] = op.features;
  }
  void operator()(const TransposedConvolution& op) const {
    node["out_channels"] = op.out_channels;
    window(op);
    node["output_padding"] = {op.output_padding_h, op.output_padding_w};
    node["groups"] = op.groups;
    node["bias"] = op.bias;
  }
  void operator()(const WindowPool& op) const {
    node["kind"] = op.kind == Pool::Kind::max ? "max" : "average";
    node["kernel"] = {op.kernel_h, op.kernel_w};
    node["stride"] = {op.stride_h, op.stride_w};
    node["padding"] = {op.padding_top, op.padding_left, op.padding_bottom, op.padding_right};
    node["dilation"] = {op.dilation_h, op.dilation_w};
    node["count_include_pad"] = op.count_include_pad;
  }
  void operator()(const Elementwise& op) const {
    node["function"] = op.function;
    const auto settings = settings_of(op.function);
    for (std::size_t i = 0; i < op.settings.size(); ++i) {
      if (std::isfinite(op.settings[i])) node[std::string(settings[i].name)] = op.settings[i];
    }
  }
  void operator()(const Reduce& op) const {
    node["function"] = op.function;
    node["axes"] = op.axes;
    node["keep_dimensions"] = op.keep_dimensions;
  }
  void operator()(const Transpose& op) const { node["permutation"] = op.permutation; }
  void operator()(const Slice& op) const {
    node["starts"] = op.starts;
    node["steps"] = op.steps;
  }
  void operator()(const Pad& op) const {
    node["before"] = op.before;
    node["after"] = op.after;
  }
  void operator()(const Resize& op) const {
    node["mode"] = op.mode;
    if (op.coordinates != "half_pixel") node["coordinates"] = op.coordinates;
  }
  void operator()(const TopK& op) const {
    node["k"] = op.k;
    node["indices"] = op.indices;
  }
  void operator()(const DeformableSampling& op) const {
    window(op);
    node["range"] = op.range;
    node["square"] = op.square;
  }
  void operator()(const Other& op) const { node["type"] = op.type; }
};

/// One value under `name`; several also as a list under `plural`.
template <typename T>
void add(Json& request, const std::vector<T>& values, const char* name, const char* plural) {
  if (values.empty()) return;
  request[name] = to_json(values.front());
  if (values.size() == 1) return;
  for (const T& value : values) request[plural].push_back(to_json(value));
}

}  // namespace

nlohmann::json to_json(const Network& network) {
  Json nodes = Json::array();
  for (NodeId id = 0; id < network.nodes().size(); ++id) {
    const Node& node = network.node(id);
    Json inputs = Json::array();
    for (const NodeId input : node.inputs) inputs.push_back(network.node(input).name);
    Json entry{{"name", node.name},
               {"op", name_of(node.op)},
               {"inputs", inputs},
               {"shape", node.shape},
               {"parameters", network.parameters(id)},
               {"macs", network.macs(id)}};
    std::visit(Attributes{entry}, node.op);
    if (const NumberFormat& format = node.format; format != NumberFormat{}) {
      if (format.weight_bits != 0) entry["weight_bits"] = format.weight_bits;
      if (format.activation_bits != 0) entry["activation_bits"] = format.activation_bits;
      if (format.density != 1) entry["density"] = format.density;
      if (format.sparsity_group != 0) entry["sparsity_group"] = format.sparsity_group;
    }
    nodes.push_back(std::move(entry));
  }
  return {{"nodes", std::move(nodes)},
          {"output", network.node(network.output()).name},
          {"parameters", network.parameters()},
          {"macs", network.macs()}};
}

namespace {

Json accelerator_json(const SystolicArray& array) {
  return {{"type", "systolic_array"},
          {"rows", array.rows},
          {"columns", array.columns},
          {"dataflow", to_string(array.dataflow)},
          {"input_sram_bytes", array.input_sram_bytes},
          {"weight_sram_bytes", array.weight_sram_bytes},
          {"output_sram_bytes", array.output_sram_bytes},
          {"word_bits", array.word_bits},
          {"clock_hz", number(array.clock_hz)},
          {"dram_bandwidth_bytes_per_s", number(array.dram_bandwidth_bytes_per_s)}};
}

/// Names of the tensors for which a level has the policy.
Json tensors(const StorageLevel& level, StorageLevel::Policy policy) {
  Json names = Json::array();
  for (const Tensor tensor : all_tensors) {
    if (level.policy[static_cast<std::size_t>(tensor)] == policy) names.push_back(to_string(tensor));
  }
  return names;
}

Json accelerator_json(const Architecture& architecture) {
  Json levels = Json::array();
  for (const StorageLevel& level : architecture.levels) {
    Json entry{{"name", level.name},
               {"instances", {level.mesh_x, level.mesh_y}},
               {"block_bits", level.block_bits},
               {"cluster", level.cluster},
               {"multiple_buffering", number(level.multiple_buffering)},
               {"keep", tensors(level, StorageLevel::Policy::keep)},
               {"bypass", tensors(level, StorageLevel::Policy::bypass)},
               {"multicast", level.multicast},
               {"reduction", level.reduction},
               {"energy_j",
                {{"read", level.energy.read_j},
                 {"write", level.energy.write_j},
                 {"update", level.energy.update_j},
                 {"leak", level.energy.leak_j}}},
               {"area_mm2", number(level.area_mm2)}};
    for (const Tensor tensor : all_tensors) {
      entry["word_bits"][to_string(tensor)] = level.word_bits[static_cast<std::size_t>(tensor)];
    }
    if (level.capacity_bits) entry["capacity_bits"] = *level.capacity_bits;
    if (level.read_bandwidth) entry["read_bandwidth"] = number(*level.read_bandwidth);
    if (level.write_bandwidth) entry["write_bandwidth"] = number(*level.write_bandwidth);
    if (level.shared_bandwidth) entry["shared_bandwidth"] = number(*level.shared_bandwidth);
    levels.push_back(std::move(entry));
  }
  const ComputeUnits& compute = architecture.compute;
  Json entry{{"type", "architecture"},
             {"name", architecture.name},
             {"clock_hz", number(architecture.clock_hz)},
             {"levels", std::move(levels)},
             {"compute",
              {{"name", compute.name},
               {"instances", {compute.mesh_x, compute.mesh_y}},
               {"energy_j", compute.energy_j},
               {"area_mm2", number(compute.area_mm2)}}}};
  if (const auto& unit = architecture.vector_unit) {
    entry["vector_unit"] = {{"lanes", unit->lanes}, {"energy_j", unit->energy_j}, {"area_mm2", number(unit->area_mm2)}};
  }
  return entry;
}

}  // namespace

nlohmann::json to_json(const Accelerator& accelerator) {
  return std::visit([](const auto& machine) { return accelerator_json(machine); }, accelerator);
}

nlohmann::json request_json(const Design& design) {
  const Space& space = design.space();
  const Candidate& candidate = design.candidate();
  Json parameters = Json::object();
  for (std::size_t i = 0; i < space.size(); ++i) {
    if (!candidate.has(i)) continue;
    const bool is_choice = space[i].kind == Parameter::Kind::choice;
    parameters[space[i].path] =
        is_choice ? Json(space.option(candidate, i)) : number(space.number(candidate, i));
  }
  Json labels = Json::object();
  for (const std::string& name : design.design_space().label_names()) {
    if (!space.find(name)) labels[name] = design.design_space().label(candidate, name);
  }
  Json request{{"version", 1}, {"design", {{"parameters", parameters}, {"labels", labels}}}};
  add(request, design.networks(), "network", "networks");
  add(request, design.accelerators(), "accelerator", "accelerators");
  return request;
}

}  // namespace duet
