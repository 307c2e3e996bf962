#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "spaces/blocks.hpp"
#include "spaces/builtin.hpp"

namespace duet {
namespace {

const std::vector<std::string> edge_operators{"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3",
                                         "avg_pool_3x3"};

/// The cell's edges in the order of its architecture string: `to`, `from`.
struct Edge {
  int to, from;
  std::string_view name;
};
constexpr std::array<Edge, 6> edges{{{1, 0, "edge_1_0"},
                                     {2, 0, "edge_2_0"},
                                     {2, 1, "edge_2_1"},
                                     {3, 0, "edge_3_0"},
                                     {3, 1, "edge_3_1"},
                                     {3, 2, "edge_3_2"}}};
using EdgeOperators = std::array<std::string_view, edges.size()>;  ///< an operator for each edge
constexpr int last_node = 3;

constexpr std::int64_t stages = 3;

/// Made for every look-up in a table, so it does without formatting.
std::string architecture_string(const EdgeOperators& cell) {
  std::string text;
  text.reserve(96);
  for (std::size_t i = 0; i < edges.size(); ++i) {
    if (edges[i].from == 0) text += text.empty() ? "|" : "+|";
    text += cell[i];
    text += '~';
    text += static_cast<char>('0' + edges[i].from);
    text += '|';
  }
  return text;
}

/// The string by which NATS-Bench tells isomorphic cells (Dong et al., "NATS-Bench", TPAMI 2021): sums of
/// sorted terms, skips left out, "#" for zeros. A sum that a skip hands on stays one term, and zeros are terms.
std::string unique_string(const EdgeOperators& cell) {
  std::array<std::string, last_node + 1> nodes{"0"};
  for (int to = 1; to <= last_node; ++to) {
    std::vector<std::string> terms;
    for (std::size_t i = 0; i < edges.size(); ++i) {
      if (edges[i].to != to) continue;
      const std::string& from = nodes[static_cast<std::size_t>(edges[i].from)];
      if (cell[i] == "none" || from == "#") {
        terms.push_back("#");
      } else {
        terms.push_back(cell[i] == "skip_connect" ? from : fmt::format("({})@{}", from, cell[i]));
      }
    }
    std::sort(terms.begin(), terms.end());
    nodes[static_cast<std::size_t>(to)] = fmt::format("{}", fmt::join(terms, "+"));
  }
  return nodes[last_node];
}

class NasBench201 final : public DesignPart {
 public:
  explicit NasBench201(const Options& options)
      : input_(image_shape(options, "input")),
        classes_(options.integer("classes")),
        channels_(options.integer("channels")),
        cells_(options.integer("cells")) {
    // Two reductions by a strided convolution beside a pooling: their sizes agree only where both halve.
    if (input_[2] % 4 != 0 || input_[3] % 4 != 0) {
      options.fail("input", "height and width must be multiples of 4: the network halves them twice");
    }
    choices_.fill(options.list("operators"));
    if (!options.text("architecture").empty()) fix(options);
  }

  std::vector<SpaceNode> nodes() const override {
    std::vector<SpaceNode> nodes;
    for (std::size_t i = 0; i < edges.size(); ++i) {
      nodes.push_back(choice(std::string(edges[i].name), choices_[i],
                             fmt::format("Operation from node {} to node {}.", edges[i].from, edges[i].to)));
    }
    return nodes;
  }

  std::vector<PartQuantity> quantities() const override {
    std::vector<PartQuantity> result = network_quantities([this](const Assignment& a) { return build(a); });
    const double biases = static_cast<double>(classes_);
    result.push_back(
        {"flops_m", "1",
         "Millions of FLOPs as the benchmark counts them: multiply-accumulates and the classifier's biases.",
         [macs = result.front().compute, biases](const Assignment& a) { return (macs(a) + biases) / 1e6; }});
    return result;
  }

  std::vector<PartLabel> labels() const override {
    return {{"architecture", "The benchmark's architecture string.",
             [](const Assignment& a) { return architecture_string(cell(a)); }},
            {"unique", "NATS-Bench's unique string: equal for the cells that it holds isomorphic.",
             [](const Assignment& a) { return unique_string(cell(a)); }}};
  }

  std::optional<Network> network(const Assignment& assignment) const override { return build(assignment); }

 private:
  /// Views into the space's own texts.
  static EdgeOperators cell(const Assignment& assignment) {
    EdgeOperators cell;
    for (std::size_t i = 0; i < edges.size(); ++i) cell[i] = assignment.option(edges[i].name);
    return cell;
  }

  /// Leaves one operator per edge: those of the option `architecture`.
  void fix(const Options& options) {
    const std::string& text = options.text("architecture");
    const std::string form = architecture_string({"op", "op", "op", "op", "op", "op"});
    const auto refuse = [&](const std::string& what) {
      options.fail("architecture", fmt::format("'{}' is no architecture string: {}", text, what));
    };
    std::size_t position = 0;
    for (std::size_t i = 0; i < edges.size(); ++i) {
      const std::string opening = i == 0 ? "|" : edges[i].from == 0 ? "+|" : "";
      const std::string closing = fmt::format("~{}|", edges[i].from);
      const std::size_t begin = position + opening.size();
      const std::size_t end = text.find('~', begin);
      if (text.compare(position, opening.size(), opening) != 0 || end == std::string::npos ||
          text.compare(end, closing.size(), closing) != 0) {
        refuse("expected the form " + form);
      }
      const std::string name = text.substr(begin, end - begin);
      if (std::find(edge_operators.begin(), edge_operators.end(), name) == edge_operators.end()) {
        refuse(fmt::format("unknown operator '{}'{}", name, hint(name, edge_operators)));
      }
      choices_[i] = {name};
      position = end + closing.size();
    }
    if (position != text.size()) refuse("expected the form " + form);
  }

  Network build(const Assignment& assignment) const {
    const auto operations = cell(assignment);
    Network network;
    NodeId x = network.add("input", Input{input_});
    x = add_convolution_bn(network, "stem", x, channels_, {3, 1});
    std::int64_t channels = channels_;
    for (std::int64_t stage = 1; stage <= stages; ++stage) {
      if (stage > 1) {
        channels *= 2;
        x = add_reduction(network, fmt::format("reduction{}", stage - 1), x, channels);
      }
      for (std::int64_t i = 1; i <= cells_; ++i) {
        x = add_cell(network, fmt::format("stage{}.cell{}", stage, i), x, operations);
      }
    }
    x = network.add("last_bn", BatchNormalization{}, {x});
    x = network.add("last_act", Activation{}, {x});
    add_classifier(network, x, classes_);
    return network;
  }

  static NodeId add_relu_conv_bn(Network& network, const std::string& name, NodeId x, std::int64_t channels,
                                 Window window) {
    x = network.add(name + "_act", Activation{}, {x});
    return add_convolution_bn(network, name, x, channels, window);
  }

  /// The basic residual block of stride 2 between stages; its shortcut pools, then widens.
  static NodeId add_reduction(Network& network, const std::string& name, NodeId x, std::int64_t channels) {
    NodeId residual = add_relu_conv_bn(network, name + ".conv1", x, channels, {3, 2});
    residual = add_relu_conv_bn(network, name + ".conv2", residual, channels, {3, 1});
    NodeId shortcut = network.add(name + ".shortcut_pool", Pool{.kind = Pool::Kind::average}, {x});
    shortcut = network.add(name + ".shortcut", Convolution{.out_channels = channels}, {shortcut});
    return network.add(name + ".add", Add{}, {shortcut, residual});
  }

  /// Node j is the sum over i < j of the edge operations on node i; node 0 is the input, node 3 the output.
  static NodeId add_cell(Network& network, const std::string& name, NodeId input,
                         const EdgeOperators& operations) {
    const Shape shape = network.node(input).shape;
    std::array<NodeId, last_node + 1> nodes{input};
    for (int to = 1; to <= last_node; ++to) {
      std::vector<NodeId> terms;
      for (std::size_t i = 0; i < edges.size(); ++i) {
        if (edges[i].to != to || operations[i] == "none") continue;
        terms.push_back(add_operation(network, fmt::format("{}.{}", name, edges[i].name),
                                      nodes[static_cast<std::size_t>(edges[i].from)], operations[i],
                                      shape[1]));
      }
      const std::string sum = fmt::format("{}.node_{}", name, to);
      nodes[static_cast<std::size_t>(to)] = terms.empty()       ? network.add(sum, Zeros{shape})
                                            : terms.size() == 1 ? terms.front()
                                                                : network.add(sum, Add{}, terms);
    }
    return nodes[last_node];
  }

  static NodeId add_operation(Network& network, const std::string& name, NodeId x,
                              std::string_view operation, std::int64_t channels) {
    if (operation == "skip_connect") return network.add(name, Identity{}, {x});
    if (operation == "avg_pool_3x3") {
      return network.add(name, Pool{.kind = Pool::Kind::average, .kernel = 3, .stride = 1, .padding = 1},
                         {x});
    }
    return add_relu_conv_bn(network, name, x, channels, {operation == "nor_conv_1x1" ? 1 : 3, 1});
  }

  Shape input_;
  std::int64_t classes_, channels_, cells_;
  std::array<std::vector<std::string>, edges.size()> choices_;
};

}  // namespace

SpacePlugin nas_bench_201_space() {
  return {
      .name = "nas_bench_201",
      .summary = "NAS-Bench-201: a cell of four nodes and five operations, repeated in a fixed network.",
      .source =
          "Dong and Yang, \"NAS-Bench-201: extending the scope of reproducible neural architecture "
          "search\", ICLR 2020",
      .options = {{.name = "architecture",
                   .kind = Option::Kind::text,
                   .fallback = "",
                   .sentence =
                       "Architecture string that fixes the cell, in quotes; empty: the cell is searched."},
                  operators_option(edge_operators, "Operations to choose from on every edge."),
                  image_option(),
                  classes_option(),
                  {.name = "channels",
                   .kind = Option::Kind::integer,
                   .fallback = "16",
                   .sentence = "Channels of the stem and the first stage; each further stage doubles them.",
                   .minimum = 1,
                   .maximum = 65'536},
                  {.name = "cells",
                   .kind = Option::Kind::integer,
                   .fallback = "5",
                   .sentence = "Cells in each of the three stages.",
                   .minimum = 1,
                   .maximum = 100}},
      .create = [](const Options& options) { return std::make_unique<NasBench201>(options); },
  };
}

}  // namespace duet
