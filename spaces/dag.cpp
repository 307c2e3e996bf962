#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "spaces/blocks.hpp"
#include "spaces/builtin.hpp"
#include "spaces/cell_graph.hpp"

namespace duet {
namespace {

const std::vector<std::string> vertex_operators{
    "convolution_1x1",         "convolution_3x3", "convolution_5x5",  "depthwise_separable_3x3",
    "depthwise_separable_5x5", "max_pool_3x3",    "average_pool_3x3", "skip"};

class Dag final : public DesignPart {
 public:
  explicit Dag(const Options& options)
      : input_(image_shape(options, "input")),
        classes_(options.integer("classes")),
        channels_(options.integer("channels")),
        stages_(options.integer("stages")),
        cells_(options.integer("cells")),
        vertices_(static_cast<std::size_t>(options.integer("vertices"))),
        edges_(vertices_ + 2),
        max_edges_(options.integer("edges")),
        operators_(options.list("operators")),
        aggregations_(options.list("aggregation")),
        widths_(options.quantities("width")) {
    std::sort(widths_.begin(), widths_.end());
    for (std::size_t v = 1; v <= vertices_; ++v) {
      operation_names_.push_back(fmt::format("operation_{}", v));
      width_names_.push_back(fmt::format("width_{}", v));
    }
  }

  std::vector<SpaceNode> nodes() const override {
    std::vector<SpaceNode> nodes = edges_.nodes();
    for (std::size_t i = 0; i < vertices_; ++i) {
      nodes.push_back(choice(operation_names_[i], operators_, fmt::format("Operation of vertex {}.", i + 1)));
      nodes.push_back(ordinal(width_names_[i], widths_, "1",
                              fmt::format("Channels of vertex {} per channel of the stage.", i + 1)));
    }
    nodes.push_back(choice("aggregation", aggregations_, "How a vertex puts together what it reads."));
    return nodes;
  }

  std::vector<PartQuantity> quantities() const override {
    std::vector<PartQuantity> result = network_quantities([this](const Assignment& a) { return build(a); });
    result.push_back(edges_.quantity());
    return result;
  }

  std::vector<std::string> constraints() const override {
    std::vector<std::string> result{"edges >= 1"};
    if (max_edges_ > 0) result.push_back(fmt::format("edges <= {}", max_edges_));
    return result;
  }

  std::optional<Network> network(const Assignment& assignment) const override { return build(assignment); }

 private:
  Network build(const Assignment& assignment) const {
    const CellGraph graph = edges_.read(assignment);
    const std::vector<std::size_t> vertices = graph.on_paths();
    if (vertices.empty()) throw NetworkError("the cell's output cannot be reached from its input");
    constexpr Activation::Kind relu = Activation::Kind::relu;
    Network network;
    NodeId x = network.add("input", Input{input_});
    x = add_convolution_bn_act(network, "stem", x, channels_, {3, 1}, relu);
    std::int64_t channels = channels_;
    for (std::int64_t stage = 1; stage <= stages_; ++stage) {
      if (stage > 1) {
        channels *= 2;
        x = add_convolution_bn_act(network, fmt::format("reduction{}", stage - 1), x, channels, {3, 2}, relu);
      }
      for (std::int64_t i = 1; i <= cells_; ++i) {
        x = add_cell(network, fmt::format("stage{}.cell{}", stage, i), x, channels, graph, vertices, assignment);
      }
    }
    add_classifier(network, x, classes_);
    return network;
  }

  NodeId add_cell(Network& network, const std::string& name, NodeId input, std::int64_t stage_channels,
                  const CellGraph& graph, const std::vector<std::size_t>& vertices,
                  const Assignment& assignment) const {
    const bool concat = assignment.option("aggregation") == "concat";
    std::vector<NodeId> values(graph.size(), input);
    for (const std::size_t v : vertices) {
      if (v == 0) continue;
      const bool output = v == vertices_ + 1;
      const std::string vertex = output ? name + ".output" : fmt::format("{}.vertex{}", name, v);
      std::vector<NodeId> read;
      for (const std::size_t from : vertices) {
        if (from < v && graph.edge(from, v)) read.push_back(values[from]);
      }
      if (output) return aggregate(network, vertex, read, stage_channels, concat, true);
      const double width = assignment.number(width_names_[v - 1]) * static_cast<double>(stage_channels);
      const auto channels = std::max<std::int64_t>(1, std::llround(width));
      const std::string& operation = assignment.option(operation_names_[v - 1]);
      const bool keeps_channels = operation == "skip" || operation.find("pool") != std::string::npos;
      const NodeId sum = aggregate(network, vertex, read, channels, concat, keeps_channels);
      values[v] = add_operation(network, vertex, sum, operation, channels);
    }
    return values.back();
  }

  /// The sum of the inputs, projected to `channels`, or all of them side by side; of `channels` channels if `exact`.
  static NodeId aggregate(Network& network, const std::string& name, std::vector<NodeId> inputs, std::int64_t channels,
                          bool concat, bool exact) {
    const auto project = [&](NodeId x, const std::string& projection) {
      return network.node(x).shape[1] == channels ? x : add_convolution_bn(network, projection, x, channels, {1, 1});
    };
    if (concat || inputs.size() == 1) {
      const NodeId x = inputs.size() == 1 ? inputs.front() : network.add(name + ".concat", Concat{1}, inputs);
      return exact ? project(x, name + ".projection") : x;
    }
    for (std::size_t i = 0; i < inputs.size(); ++i)
      inputs[i] = project(inputs[i], fmt::format("{}.projection{}", name, i + 1));
    return network.add(name + ".add", Add{}, inputs);
  }

  static NodeId add_operation(Network& network, const std::string& name, NodeId x, const std::string& operation,
                              std::int64_t channels) {
    constexpr Activation::Kind relu = Activation::Kind::relu;
    if (operation == "skip") return network.add(name, Identity{}, {x});
    const Window window{operation.back() - '0', 1};
    if (operation.starts_with("convolution")) return add_convolution_bn_act(network, name, x, channels, window, relu);
    if (operation.starts_with("depthwise")) return add_depthwise_separable(network, name, x, channels, window, relu);
    const Pool::Kind kind = operation.starts_with("max") ? Pool::Kind::max : Pool::Kind::average;
    return network.add(name, Pool{.kind = kind, .kernel = 3, .stride = 1, .padding = 1}, {x});
  }

  Shape input_;
  std::int64_t classes_, channels_, stages_, cells_;
  std::size_t vertices_;
  EdgeParameters edges_;
  std::int64_t max_edges_;
  std::vector<std::string> operators_, aggregations_;
  std::vector<double> widths_;
  std::vector<std::string> operation_names_, width_names_;
};

}  // namespace

SpacePlugin dag_space() {
  return {
      .name = "dag",
      .summary = "Cells with any edges between their vertices and an operation on each, repeated in stages.",
      .source =
          "Generalises Ying et al., \"NAS-Bench-101\", ICML 2019, and Xie et al., \"Exploring randomly wired neural "
          "networks\", ICCV 2019",
      .options = {integer_option("vertices", "4", "Vertices of the cell between its input and its output.", 1, 20),
                  integer_option("edges", "0",
                                 "The most edges on paths from the cell's input to its output; 0: any number.", 0, 231),
                  operators_option(vertex_operators, "Operations to choose from for every vertex."),
                  {.name = "aggregation",
                   .kind = Option::Kind::words,
                   .fallback = "add",
                   .sentence = "How vertices put together what they read, one for the whole network: sum or join.",
                   .words = {"add", "concat"}},
                  {.name = "width",
                   .kind = Option::Kind::quantities,
                   .fallback = "1",
                   .sentence = "Channels of a vertex per channel of its stage, chosen for each.",
                   .minimum = 0.01,
                   .maximum = 16},
                  image_option(),
                  classes_option(),
                  integer_option("channels", "16",
                                 "Channels of the stem and the first stage; each further stage doubles them "
                                 "and halves the size.",
                                 1, 65'536),
                  integer_option("stages", "3", "Stages of cells.", 1, 16),
                  integer_option("cells", "1", "Cells in each stage, all alike.", 1, 100)},
      .create = [](const Options& options) { return std::make_unique<Dag>(options); },
  };
}

}  // namespace duet
