#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>

#include "spaces/blocks.hpp"
#include "spaces/builtin.hpp"

namespace duet {
namespace {

/// The operations of the paper, then `none`, which the search may be given and the paper's final cells never have.
const std::vector<std::string> darts_operators{"max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3",
                                         "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5", "none"};
const std::vector<std::string> cell_names{"normal", "reduction"};

/// States of a cell: 0 and 1 are the outputs of the two cells before, 2 to 5 its nodes.
constexpr std::size_t first_node = 2, states = 6;

/// A node reads two states, each through an operation.
struct CellNode {
  std::array<std::size_t, 2> inputs{};
  std::array<std::string, 2> operations;
};
using Cell = std::array<CellNode, states - first_node>;

/// The pairs of states that node `state` may read, as the options' names: "0-1", "0-2", "1-2", ….
std::vector<std::string> input_pairs(std::size_t state) {
  std::vector<std::string> pairs;
  for (std::size_t second = 1; second < state; ++second) {
    for (std::size_t first = 0; first < second; ++first) pairs.push_back(fmt::format("{}-{}", first, second));
  }
  return pairs;
}

/// As the authors' code prints it.
std::string genotype(const std::array<Cell, 2>& cells) {
  std::array<std::string, 2> lists;
  for (std::size_t c = 0; c < 2; ++c) {
    std::vector<std::string> terms;
    for (const CellNode& node : cells[c]) {
      for (std::size_t i = 0; i < 2; ++i)
        terms.push_back(fmt::format("('{}', {})", node.operations[i], node.inputs[i]));
    }
    lists[c] = fmt::format("{}", fmt::join(terms, ", "));
  }
  return fmt::format("Genotype(normal=[{}], normal_concat=[2, 3, 4, 5], reduce=[{}], reduce_concat=[2, 3, 4, 5])",
                     lists[0], lists[1]);
}

/// Reads the option `genotype`; blanks and the kind of quotes do not matter.
class GenotypeReader {
 public:
  explicit GenotypeReader(const Options& options) : options_(options) {
    for (const char c : options.text("genotype")) {
      if (c != ' ' && c != '\n' && c != '\t' && c != '\'' && c != '"') text_ += c;
    }
  }

  std::array<Cell, 2> read() {
    std::array<Cell, 2> cells;
    expect("Genotype(normal=[");
    read(cells[0]);
    expect("],normal_concat=");
    concat();
    expect(",reduce=[");
    read(cells[1]);
    expect("],reduce_concat=");
    concat();
    expect(")");
    if (position_ != text_.size()) refuse("something follows the closing parenthesis");
    return cells;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    options_.fail("genotype", fmt::format("'{}' is no genotype: {}", options_.text("genotype"), what));
  }

  bool accept(std::string_view token) {
    if (text_.compare(position_, token.size(), token) != 0) return false;
    position_ += token.size();
    return true;
  }

  void expect(std::string_view token) {
    if (!accept(token)) {
      refuse(fmt::format("expected '{}' before '{}'", token, text_.substr(position_, 20)));
    }
  }

  void concat() {
    if (!accept("[2,3,4,5]") && !accept("range(2,6)")) refuse("the cell's output must join nodes 2 to 5: [2, 3, 4, 5]");
  }

  void read(Cell& cell) {
    for (std::size_t i = 0; i < cell.size(); ++i) {
      const std::size_t state = i + first_node;
      for (std::size_t term = 0; term < 2; ++term) {
        expect(i + term == 0 ? "(" : ",(");
        const std::size_t comma = std::min(text_.find(',', position_), text_.size());
        const std::string name = text_.substr(position_, comma - position_);
        if (std::find(darts_operators.begin(), darts_operators.end(), name) == darts_operators.end()) {
          refuse(fmt::format("unknown operation '{}'{}", name, hint(name, darts_operators)));
        }
        position_ = comma;
        expect(",");
        std::size_t input = states;
        const char* end = text_.data() + text_.size();
        const auto [stop, error] = std::from_chars(text_.data() + position_, end, input);
        if (error != std::errc() || input >= state) {
          refuse(fmt::format("node {} reads two of the states 0 to {}", state, state - 1));
        }
        position_ = static_cast<std::size_t>(stop - text_.data());
        expect(")");
        cell[i].operations[term] = name;
        cell[i].inputs[term] = input;
      }
      if (cell[i].inputs[0] == cell[i].inputs[1])
        refuse(fmt::format("node {} reads state {} twice", state, cell[i].inputs[0]));
      if (cell[i].inputs[0] > cell[i].inputs[1]) {
        std::swap(cell[i].inputs[0], cell[i].inputs[1]);
        std::swap(cell[i].operations[0], cell[i].operations[1]);
      }
    }
  }

  const Options& options_;
  std::string text_;
  std::size_t position_ = 0;
};

class Darts final : public DesignPart {
 public:
  explicit Darts(const Options& options)
      : input_(image_shape(options, "input")),
        classes_(options.integer("classes")),
        channels_(options.integer("channels")),
        cells_(options.integer("cells")),
        imagenet_(options.text("stem") == "imagenet"),
        operators_(options.list("operators")) {
    // Where a reduction's two halves are joined their sizes agree only if the size is even.
    const std::int64_t divisor = imagenet_ ? 32 : 4;
    if (input_[2] % divisor != 0 || input_[3] % divisor != 0) {
      options.fail("input", fmt::format("height and width must be multiples of {}: the network halves them {} times",
                                        divisor, imagenet_ ? 5 : 2));
    }
    if (channels_ % 2 != 0) options.fail("channels", "must be even: a reduction joins two halves");
    if (!options.text("genotype").empty()) fixed_ = GenotypeReader(options).read();
  }

  std::vector<SpaceNode> nodes() const override {
    std::vector<SpaceNode> result;
    for (std::size_t c = 0; c < cell_names.size(); ++c) {
      std::vector<SpaceNode> cell;
      for (std::size_t state = first_node; state < states; ++state) {
        std::vector<std::string> inputs = input_pairs(state);
        std::array<std::vector<std::string>, 2> operations{operators_, operators_};
        if (fixed_) {
          const CellNode& node = (*fixed_)[c][state - first_node];
          inputs = {fmt::format("{}-{}", node.inputs[0], node.inputs[1])};
          for (std::size_t i = 0; i < 2; ++i) operations[i] = {node.operations[i]};
        }
        cell.push_back(
            group(fmt::format("node{}", state), {choice("inputs", inputs, "The two states that the node reads."),
                                                 choice("operation1", operations[0], "On the first of them."),
                                                 choice("operation2", operations[1], "On the second.")}));
      }
      result.push_back(group(cell_names[c], cell, fmt::format("The {} cell.", cell_names[c])));
    }
    return result;
  }

  std::vector<PartQuantity> quantities() const override {
    return network_quantities([this](const Assignment& a) { return build(a); });
  }

  std::vector<PartLabel> labels() const override {
    return {{"genotype", "Both cells as the authors' code prints them.",
             [](const Assignment& a) { return genotype(read(a)); }}};
  }

  std::optional<Network> network(const Assignment& assignment) const override { return build(assignment); }

 private:
  static std::array<Cell, 2> read(const Assignment& assignment) {
    std::array<Cell, 2> cells;
    for (std::size_t c = 0; c < 2; ++c) {
      for (std::size_t state = first_node; state < states; ++state) {
        const std::string path = fmt::format("{}.node{}.", cell_names[c], state);
        CellNode& node = cells[c][state - first_node];
        const std::string& inputs = assignment.option(path + "inputs");
        node.inputs = {static_cast<std::size_t>(inputs.front() - '0'), static_cast<std::size_t>(inputs.back() - '0')};
        node.operations = {assignment.option(path + "operation1"), assignment.option(path + "operation2")};
      }
    }
    return cells;
  }

  Network build(const Assignment& assignment) const {
    const std::array<Cell, 2> cells = read(assignment);
    Network network;
    const NodeId input = network.add("input", Input{input_});
    std::array<NodeId, 2> states_before{};
    bool reduced = false;
    if (imagenet_) {
      NodeId x = add_convolution_bn_act(network, "stem0.conv1", input, channels_ / 2, {3, 2}, Activation::Kind::relu);
      states_before[0] = add_convolution_bn(network, "stem0.conv2", x, channels_, {3, 2});
      states_before[1] = add_relu_conv_bn(network, "stem1", states_before[0], channels_, {3, 2});
      reduced = true;
    } else {
      states_before.fill(add_convolution_bn(network, "stem", input, 3 * channels_, {3, 1}));
    }
    std::int64_t channels = channels_;
    for (std::int64_t i = 0; i < cells_; ++i) {
      const bool reduce = i == cells_ / 3 || i == 2 * cells_ / 3;
      if (reduce) channels *= 2;
      const NodeId x = add_cell(network, fmt::format("cell{}", i + 1), states_before, channels, cells[reduce ? 1 : 0],
                                reduce, reduced);
      states_before = {states_before[1], x};
      reduced = reduce;
    }
    add_classifier(network, states_before[1], classes_);
    return network;
  }

  static NodeId add_relu_conv_bn(Network& network, const std::string& name, NodeId x, std::int64_t channels,
                                 Window window, std::int64_t groups = 1) {
    x = network.add(name + "_relu", Activation{}, {x});
    return add_convolution_bn(network, name, x, channels, window, groups);
  }

  /// Halves the size: two strided 1×1 convolutions, the second moved by a pixel, each making half of the channels.
  static NodeId add_factorized_reduction(Network& network, const std::string& name, NodeId x, std::int64_t channels) {
    x = network.add(name + "_relu", Activation{}, {x});
    const Shape& shape = network.node(x).shape;
    const Convolution half{.out_channels = channels / 2, .stride_h = 2, .stride_w = 2};
    const Slice moved{{0, 0, 1, 1}, {shape[0], shape[1], shape[2] - 1, shape[3] - 1}, {1, 1, 1, 1}};
    const NodeId first = network.add(name + ".conv1", half, {x});
    x = network.add(name + ".shift", moved, {x});
    const NodeId second = network.add(name + ".conv2", half, {x});
    x = network.add(name, Concat{1}, {first, second});
    return network.add(name + "_bn", BatchNormalization{}, {x});
  }

  static NodeId add_cell(Network& network, const std::string& name, std::array<NodeId, 2> before, std::int64_t channels,
                         const Cell& cell, bool reduce, bool reduced_before) {
    std::vector<NodeId> values;
    values.push_back(reduced_before ? add_factorized_reduction(network, name + ".input0", before[0], channels)
                                    : add_relu_conv_bn(network, name + ".input0", before[0], channels, {1, 1}));
    values.push_back(add_relu_conv_bn(network, name + ".input1", before[1], channels, {1, 1}));
    for (const CellNode& node : cell) {
      const std::string node_name = fmt::format("{}.node{}", name, values.size());
      std::vector<NodeId> terms;
      for (std::size_t i = 0; i < 2; ++i) {
        const std::size_t from = node.inputs[i];
        const std::int64_t stride = reduce && from < first_node ? 2 : 1;
        if (const auto term = add_operation(network, fmt::format("{}.from{}", node_name, from), values[from],
                                            node.operations[i], channels, stride)) {
          terms.push_back(*term);
        }
      }
      if (terms.empty()) {
        Shape shape = network.node(values[1]).shape;
        if (reduce) shape = {shape[0], shape[1], shape[2] / 2, shape[3] / 2};
        values.push_back(network.add(node_name, Zeros{shape}));
      } else {
        values.push_back(terms.size() == 1 ? terms.front() : network.add(node_name, Add{}, terms));
      }
    }
    return network.add(name, Concat{1}, {values.begin() + first_node, values.end()});
  }

  /// Nothing for `none`.
  static std::optional<NodeId> add_operation(Network& network, const std::string& name, NodeId x,
                                             const std::string& operation, std::int64_t channels, std::int64_t stride) {
    if (operation == "none") return std::nullopt;
    if (operation == "skip_connect") {
      return stride == 1 ? network.add(name, Identity{}, {x}) : add_factorized_reduction(network, name, x, channels);
    }
    if (operation == "max_pool_3x3" || operation == "avg_pool_3x3") {
      const Pool::Kind kind = operation == "max_pool_3x3" ? Pool::Kind::max : Pool::Kind::average;
      return network.add(name, Pool{.kind = kind, .kernel = 3, .stride = stride, .padding = 1}, {x});
    }
    const std::int64_t kernel = operation.back() - '0';
    if (operation.starts_with("dil_conv")) {
      x = network.add(name + "_relu", Activation{}, {x});
      const std::int64_t padding = kernel - 1;  // dilation 2
      x = network.add(name + ".depthwise",
                      Convolution{.out_channels = channels,
                                  .kernel_h = kernel,
                                  .kernel_w = kernel,
                                  .stride_h = stride,
                                  .stride_w = stride,
                                  .padding_h = padding,
                                  .padding_w = padding,
                                  .dilation_h = 2,
                                  .dilation_w = 2,
                                  .groups = channels},
                      {x});
      return add_convolution_bn(network, name + ".pointwise", x, channels, {1, 1});
    }
    // The separable convolution is applied twice, strided the first time; its halves have no normalisation between.
    for (int i = 1; i <= 2; ++i, stride = 1) {
      const std::string half = fmt::format("{}.conv{}", name, i);
      x = network.add(half + "_relu", Activation{}, {x});
      x = network.add(half + ".depthwise",
                      Convolution{.out_channels = channels,
                                  .kernel_h = kernel,
                                  .kernel_w = kernel,
                                  .stride_h = stride,
                                  .stride_w = stride,
                                  .padding_h = kernel / 2,
                                  .padding_w = kernel / 2,
                                  .groups = channels},
                      {x});
      x = add_convolution_bn(network, half + ".pointwise", x, channels, {1, 1});
    }
    return x;
  }

  Shape input_;
  std::int64_t classes_, channels_, cells_;
  bool imagenet_;
  std::vector<std::string> operators_;
  std::optional<std::array<Cell, 2>> fixed_;
};

}  // namespace

SpacePlugin darts_space() {
  return {
      .name = "darts",
      .summary = "DARTS: a normal and a reduction cell of four nodes that read two states each.",
      .source = "Liu, Simonyan, Yang, \"DARTS: differentiable architecture search\", ICLR 2019",
      .options = {{.name = "genotype",
                   .kind = Option::Kind::text,
                   .fallback = "",
                   .sentence =
                       "Fixes both cells: Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=[2, 3, 4, 5], "
                       "reduce=[…], reduce_concat=[2, 3, 4, 5]), in quotes; empty: they are searched."},
                  {.name = "operators",
                   .kind = Option::Kind::words,
                   .fallback = fmt::format("[{}]", fmt::join(darts_operators.begin(), darts_operators.end() - 1, ", ")),
                   .sentence = "Operations to choose from; `none`, which the default leaves out, is nothing at all.",
                   .words = darts_operators},
                  {.name = "stem",
                   .kind = Option::Kind::word,
                   .fallback = "cifar",
                   .sentence = "What stands before the cells: one 3×3 convolution, or three that halve the size each.",
                   .words = {"cifar", "imagenet"}},
                  image_option(),
                  classes_option(),
                  integer_option("channels", "36",
                                 "Channels of a node of the first cells, even; reductions double them.", 2, 65'536),
                  integer_option("cells", "20", "Cells, with reductions after each third.", 1, 200)},
      .create = [](const Options& options) { return std::make_unique<Darts>(options); },
  };
}

}  // namespace duet
