#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

#include "spaces/blocks.hpp"
#include "spaces/builtin.hpp"
#include "spaces/cell_graph.hpp"

namespace duet {
namespace {

const std::vector<std::string> operators{"conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"};
/// Their numbers in NASLib's encoding, where 0 is the input and 1 the output.
constexpr std::array<int, 3> codes{4, 3, 2};

std::size_t operator_index(std::string_view name) {
  return static_cast<std::size_t>(std::find(operators.begin(), operators.end(), name) - operators.begin());
}

/// MD5 (RFC 1321) in hexadecimal digits: the benchmark names its cells by it.
std::string md5(std::string_view text) {
  static const std::array<std::uint32_t, 64> sines = [] {
    std::array<std::uint32_t, 64> table{};
    for (std::size_t i = 0; i < 64; ++i) {
      table[i] = static_cast<std::uint32_t>(std::floor(std::abs(std::sin(static_cast<double>(i + 1))) * 0x1p32));
    }
    return table;
  }();
  static constexpr int shifts[4][4]{{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
  std::string message(text);
  message += '\x80';
  while (message.size() % 64 != 56) message += '\0';
  for (std::size_t i = 0; i < 8; ++i) message += static_cast<char>(text.size() * 8 >> (8 * i) & 0xff);

  std::array<std::uint32_t, 4> state{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  for (std::size_t block = 0; block < message.size(); block += 64) {
    const auto word = [&](std::size_t i) {
      std::uint32_t value = 0;
      for (std::size_t byte = 4; byte-- > 0;) {
        value = value << 8 | static_cast<unsigned char>(message[block + 4 * i + byte]);
      }
      return value;
    };
    auto [a, b, c, d] = state;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::size_t round = i / 16;
      const std::uint32_t mixed = round == 0   ? (b & c) | (~b & d)
                                  : round == 1 ? (b & d) | (c & ~d)
                                  : round == 2 ? b ^ c ^ d
                                               : c ^ (b | ~d);
      const std::size_t index = round == 0 ? i : round == 1 ? 5 * i + 1 : round == 2 ? 3 * i + 5 : 7 * i;
      const std::uint32_t sum = a + mixed + sines[i] + word(index % 16);
      const int shift = shifts[round][i % 4];
      a = d;
      d = c;
      c = b;
      b += sum << shift | sum >> (32 - shift);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
  }
  static constexpr char digits[] = "0123456789abcdef";
  std::string result;
  for (const std::uint32_t part : state) {
    for (int byte = 0; byte < 4; ++byte) {
      result += digits[part >> (8 * byte + 4) & 0xf];
      result += digits[part >> (8 * byte) & 0xf];
    }
  }
  return result;
}

/// A cell: its wiring, and for each vertex between input and output which operator.
struct Cell {
  CellGraph graph;
  std::vector<std::size_t> operations;  ///< of vertex i + 1
  std::vector<std::size_t> vertices;    ///< their numbers before pruning
};

/// Without the vertices that are on no path; nothing is left where there is no path.
Cell pruned(const Cell& cell) {
  const std::vector<std::size_t> vertices = cell.graph.on_paths();
  if (vertices.empty()) return {CellGraph(2), {}, {}};
  Cell result{cell.graph.induced(vertices), {}, vertices};
  for (std::size_t i = 1; i + 1 < vertices.size(); ++i) result.operations.push_back(cell.operations[vertices[i] - 1]);
  return result;
}

/// The benchmark's `hash_module` (google-research/nasbench, lib/graph_util.py): rounds of hashes of each vertex'
/// neighbours, equal for isomorphic cells. Of the pruned cell.
std::string module_hash(const Cell& cell) {
  const CellGraph& graph = cell.graph;
  const std::size_t size = graph.size();
  const auto edge = [&](std::size_t a, std::size_t b) { return a < b && graph.edge(a, b); };
  std::vector<std::string> hashes(size);
  for (std::size_t v = 0; v < size; ++v) {
    std::size_t out = 0;
    for (std::size_t to = v + 1; to < size; ++to) out += graph.edge(v, to) ? 1 : 0;
    const int label = v == 0 ? -1 : v + 1 == size ? -2 : static_cast<int>(cell.operations[v - 1]);
    hashes[v] = md5(fmt::format("({}, {}, {})", out, graph.in_degree(v), label));
  }
  for (std::size_t round = 0; round < size; ++round) {
    std::vector<std::string> next(size);
    for (std::size_t v = 0; v < size; ++v) {
      std::vector<std::string> before, after;
      for (std::size_t w = 0; w < size; ++w) {
        if (edge(w, v)) before.push_back(hashes[w]);
        if (edge(v, w)) after.push_back(hashes[w]);
      }
      std::sort(before.begin(), before.end());
      std::sort(after.begin(), after.end());
      next[v] = md5(fmt::format("{}|{}|{}", fmt::join(before, ""), fmt::join(after, ""), hashes[v]));
    }
    hashes = std::move(next);
  }
  std::sort(hashes.begin(), hashes.end());
  return md5(fmt::format("['{}']", fmt::join(hashes, "', '")));
}

/// Channels of every vertex (compute_vertex_channels of the benchmark's model_builder.py): those that the output joins
/// share its channels, the first ones taking what is left over; any other has as many as the widest that reads it.
std::vector<std::int64_t> vertex_channels(const CellGraph& graph, std::int64_t input, std::int64_t output) {
  const std::size_t last = graph.size() - 1;
  std::vector<std::int64_t> channels(graph.size(), 0);
  channels[0] = input;
  channels[last] = output;
  if (last == 1) return channels;
  const auto joined = static_cast<std::int64_t>(graph.in_degree(last)) - (graph.edge(0, last) ? 1 : 0);
  std::int64_t left_over = output % joined;
  for (std::size_t v = 1; v < last; ++v) {
    if (graph.edge(v, last)) channels[v] = output / joined + (left_over-- > 0 ? 1 : 0);
  }
  for (std::size_t v = last; v-- > 1;) {
    if (graph.edge(v, last)) continue;
    for (std::size_t to = v + 1; to < last; ++to) {
      if (graph.edge(v, to)) channels[v] = std::max(channels[v], channels[to]);
    }
  }
  return channels;
}

class NasBench101 final : public DesignPart {
 public:
  explicit NasBench101(const Options& options)
      : input_(image_shape(options, "input")),
        classes_(options.integer("classes")),
        channels_(options.integer("channels")),
        stacks_(options.integer("stacks")),
        cells_(options.integer("cells")),
        max_edges_(options.integer("edges")),
        vertices_(static_cast<std::size_t>(options.integer("vertices"))),
        edges_(vertices_),
        choices_(vertices_ - 2, options.list("operators")) {
    if (std::min(input_[2], input_[3]) >> (stacks_ - 1) < 1) {
      options.fail("input", fmt::format("height and width must be at least {}: they are halved {} times",
                                        std::int64_t{1} << (stacks_ - 1), stacks_ - 1));
    }
    if (!options.text("architecture").empty()) fix(options);
    for (std::size_t v = 1; v + 1 < vertices_; ++v) operation_names_.push_back(fmt::format("operation_{}", v));
  }

  std::vector<SpaceNode> nodes() const override {
    std::vector<SpaceNode> nodes = edges_.nodes();
    for (std::size_t i = 0; i < operation_names_.size(); ++i) {
      nodes.push_back(choice(operation_names_[i], choices_[i], fmt::format("Operation of vertex {}.", i + 1)));
    }
    return nodes;
  }

  std::vector<PartQuantity> quantities() const override {
    std::vector<PartQuantity> result = network_quantities([this](const Assignment& a) { return build(a); });
    result.push_back(
        {"flops_m", "1",
         "Millions of FLOPs as NASLib counts them: multiply-accumulates, two for each normalised value, one "
         "for each ReLU, the window for each maximum.",
         [this](const Assignment& a) { return flops(build(a)) / 1e6; }});
    result.push_back(edges_.quantity());
    return result;
  }

  std::vector<std::string> constraints() const override {
    return {"edges >= 1", fmt::format("edges <= {}", max_edges_)};
  }

  std::vector<PartLabel> labels() const override {
    return {{"architecture", "NASLib's encoding: the adjacency matrix by rows, then the vertices' operations.",
             [this](const Assignment& a) { return encoding(cell(a)); }},
            {"hash", "The benchmark's module hash: equal for isomorphic cells.",
             [this](const Assignment& a) { return module_hash(pruned(cell(a))); }}};
  }

  std::optional<Network> network(const Assignment& assignment) const override { return build(assignment); }

 private:
  Cell cell(const Assignment& assignment) const {
    Cell cell{edges_.read(assignment), {}, {}};
    for (const std::string& name : operation_names_) {
      cell.operations.push_back(operator_index(assignment.option(name)));
    }
    return cell;
  }

  static std::string encoding(const Cell& cell) {
    const std::size_t size = cell.graph.size();
    std::string text;
    for (std::size_t from = 0; from < size; ++from) {
      for (std::size_t to = 0; to < size; ++to) text += from < to && cell.graph.edge(from, to) ? "1-" : "0-";
    }
    text += "0-";
    for (const std::size_t operation : cell.operations) text += fmt::format("{}-", codes[operation]);
    return text + "1";
  }

  /// Leaves the cell of the option `architecture`.
  void fix(const Options& options) {
    const std::string& text = options.text("architecture");
    const auto refuse = [&](const std::string& what) {
      options.fail("architecture", fmt::format("'{}' is no encoding of a cell: {}", text, what));
    };
    std::vector<int> numbers;
    for (const char* at = text.data(); at <= text.data() + text.size();) {
      const char* end = std::find(at, text.data() + text.size(), '-');
      int number = -1;
      if (const auto [stop, error] = std::from_chars(at, end, number);
          error != std::errc() || stop != end || *at == '-') {
        refuse("expected numbers with '-' between them");
      }
      numbers.push_back(number);
      at = end + 1;
    }
    std::size_t size = 2;
    while (size < vertices_ && size * size + size < numbers.size()) ++size;
    if (size * size + size != numbers.size()) {
      refuse(fmt::format(
          "expected n·n + n numbers, n = 2 to {} (the adjacency matrix by rows, then the operations), not {}",
          vertices_, numbers.size()));
    }
    CellGraph graph(size);
    for (std::size_t from = 0; from < size; ++from) {
      for (std::size_t to = 0; to < size; ++to) {
        const int number = numbers[from * size + to];
        if (number != 0 && number != 1) refuse(fmt::format("the matrix holds {}, which is neither 0 nor 1", number));
        if (number == 0) continue;
        if (from >= to) refuse("the matrix must be 0 on and below the diagonal");
        graph.connect(from, to);
      }
    }
    if (numbers[size * size] != 0 || numbers.back() != 1)
      refuse("the first operation is 0 (input), the last 1 (output)");
    choices_.clear();
    for (std::size_t v = 1; v + 1 < size; ++v) {
      const auto found = std::find(codes.begin(), codes.end(), numbers[size * size + v]);
      if (found == codes.end()) {
        refuse(
            fmt::format("operation {} of vertex {}: expected 2 (maxpool3x3), 3 (conv1x1-bn-relu) or 4 "
                        "(conv3x3-bn-relu)",
                        numbers[size * size + v], v));
      }
      choices_.push_back({operators[static_cast<std::size_t>(found - codes.begin())]});
    }
    const std::vector<std::size_t> useful = graph.on_paths();
    if (useful.empty()) refuse("no path leads from the input to the output");
    if (const std::size_t count = graph.induced(useful).edges(); static_cast<std::int64_t>(count) > max_edges_) {
      refuse(fmt::format("{} edges are on paths from the input to the output, at most {} may be", count, max_edges_));
    }
    vertices_ = size;
    edges_ = EdgeParameters(size);
    edges_.fix(graph);
  }

  Network build(const Assignment& assignment) const {
    const Cell cell = pruned(this->cell(assignment));
    if (cell.vertices.empty()) throw NetworkError("the cell's output cannot be reached from its input");
    constexpr Activation::Kind relu = Activation::Kind::relu;
    Network network;
    NodeId x = network.add("input", Input{input_});
    x = add_convolution_bn_act(network, "stem", x, channels_, {3, 1}, relu);
    std::int64_t channels = channels_;
    for (std::int64_t stack = 1; stack <= stacks_; ++stack) {
      if (stack > 1) {
        x = network.add(fmt::format("downsample{}", stack - 1), Pool{.kernel = 2, .stride = 2}, {x});
        channels *= 2;
      }
      for (std::int64_t i = 1; i <= cells_; ++i) {
        x = add_cell(network, fmt::format("stack{}.cell{}", stack, i), x, channels, cell);
      }
    }
    add_classifier(network, x, classes_);
    return network;
  }

  /// As build_module of the benchmark's model_builder.py: vertices add up what they read, cut to their channels, or
  /// projected from the input; the output joins its vertices and adds the input's projection.
  static NodeId add_cell(Network& network, const std::string& name, NodeId input, std::int64_t output_channels,
                         const Cell& cell) {
    constexpr Activation::Kind relu = Activation::Kind::relu;
    const CellGraph& graph = cell.graph;
    const std::size_t last = graph.size() - 1;
    const Shape shape = network.node(input).shape;
    const std::vector<std::int64_t> channels = vertex_channels(graph, shape[1], output_channels);
    std::vector<NodeId> values(graph.size(), input);
    std::vector<NodeId> joined;
    for (std::size_t v = 1; v < last; ++v) {
      const std::string vertex = fmt::format("{}.vertex{}", name, cell.vertices[v]);
      std::vector<NodeId> terms;
      for (std::size_t from = 1; from < v; ++from) {
        if (!graph.edge(from, v)) continue;
        NodeId term = values[from];
        if (channels[from] > channels[v]) {
          const Shape kept{shape[0], channels[v], shape[2], shape[3]};
          term = network.add(fmt::format("{}.cut_{}", vertex, cell.vertices[from]),
                             Slice{{0, 0, 0, 0}, kept, {1, 1, 1, 1}}, {term});
        }
        terms.push_back(term);
      }
      if (graph.edge(0, v)) {
        terms.push_back(add_convolution_bn_act(network, vertex + ".projection", input, channels[v], {1, 1}, relu));
      }
      const NodeId sum = terms.size() == 1 ? terms.front() : network.add(vertex + ".add", Add{}, terms);
      const std::string& operation = operators[cell.operations[v - 1]];
      if (operation == "maxpool3x3") {
        values[v] = network.add(vertex, Pool{.kernel = 3, .stride = 1, .padding = 1}, {sum});
      } else {
        const Window window{operation == "conv3x3-bn-relu" ? 3 : 1, 1};
        values[v] = add_convolution_bn_act(network, vertex, sum, channels[v], window, relu);
      }
      if (graph.edge(v, last)) joined.push_back(values[v]);
    }
    std::optional<NodeId> output;
    if (joined.size() == 1) output = joined.front();
    if (joined.size() > 1) output = network.add(name + ".concat", Concat{1}, joined);
    if (!graph.edge(0, last)) return *output;
    const NodeId projection =
        add_convolution_bn_act(network, name + ".projection", input, output_channels, {1, 1}, relu);
    return output ? network.add(name + ".add", Add{}, {*output, projection}) : projection;
  }

  static double flops(const Network& network) {
    std::int64_t result = network.macs();
    for (const Node& node : network.nodes()) {
      const std::int64_t size = elements(node.shape);
      if (std::holds_alternative<BatchNormalization>(node.op)) result += 2 * size;
      if (std::holds_alternative<Activation>(node.op)) result += size;
      if (const auto* pool = std::get_if<Pool>(&node.op)) result += pool->kernel * pool->kernel * size;
    }
    return static_cast<double>(result);
  }

  Shape input_;
  std::int64_t classes_, channels_, stacks_, cells_, max_edges_;
  std::size_t vertices_;
  EdgeParameters edges_;
  std::vector<std::vector<std::string>> choices_;  ///< of vertex i + 1
  std::vector<std::string> operation_names_;
};

}  // namespace

SpacePlugin nas_bench_101_space() {
  return {
      .name = "nas_bench_101",
      .summary = "NAS-Bench-101: any cell of up to seven vertices and nine edges, repeated in a fixed network.",
      .source = "Ying et al., \"NAS-Bench-101: towards reproducible neural architecture search\", ICML 2019",
      .options = {{.name = "architecture",
                   .kind = Option::Kind::text,
                   .fallback = "",
                   .sentence =
                       "Encoding that fixes the cell, in quotes: the adjacency matrix by rows, then the vertices' "
                       "operations (0 input, 1 output, 2 maxpool3x3, 3 conv1x1-bn-relu, 4 conv3x3-bn-relu), with "
                       "'-' between; empty: the cell is searched."},
                  operators_option(operators, "Operations to choose from for every vertex."),
                  integer_option("vertices", "7", "Vertices of the cell, input and output among them.", 2, 12),
                  integer_option("edges", "9", "The most edges on paths from the cell's input to its output.", 1, 66),
                  image_option(),
                  classes_option(),
                  integer_option("channels", "128",
                                 "Channels of the stem and the first stack; each further stack doubles "
                                 "them.",
                                 12, 65'536),
                  integer_option("stacks", "3", "Stacks of cells; a 2×2 pooling stands before each but the first.", 1,
                                 8),
                  integer_option("cells", "3", "Cells in each stack.", 1, 100)},
      .create = [](const Options& options) { return std::make_unique<NasBench101>(options); },
  };
}

}  // namespace duet
