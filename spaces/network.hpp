#pragma once
/// Neural networks as directed acyclic graphs of typed operators, with shape inference and exact counts.
///
/// A Network is a regular value. Nodes are added in a topological order (inputs before users), and every
/// node's output shape is inferred, and checked, as it is added. Shapes include the batch and follow ONNX:
/// (N, C, H, W) for images, (N, F) for features, (N, T, F) for sequences. Numbers of elements, parameters and
/// multiply-accumulates stay within 2^53, so they are exact as doubles too.

#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/fingerprint.hpp"
#include "core/small_vector.hpp"

namespace duet {

using Shape = SmallVector<std::int64_t, 5>;

/// "(1, 16, 28, 28)".
std::string to_string(const Shape& shape);

/// A graph that makes no sense. `what()` names the node, its operator and the shapes:
/// "node 'stage1.block2.add' (add): inputs (1, 16, 28, 28) and (1, 32, 14, 14) cannot be broadcast".
class NetworkError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Operators. Their fields carry the usual names of the attributes; extents are in elements.

/// A value that the user feeds: a batch of images, sequences, ….
struct Input {
  Shape shape;
  bool operator==(const Input&) const = default;
};

/// All-zero tensor of a given shape: what remains of a node that nothing reaches.
struct Zeros {
  Shape shape;
  bool operator==(const Zeros&) const = default;
};

/// Two-dimensional cross-correlation of an (N, C, H, W) input with symmetric zero padding. `groups` divides
/// input and output channels; groups == input channels is a depthwise convolution. The kernel must fit the
/// padded input. Output side = floor((H + 2·padding − dilation·(kernel − 1) − 1) / stride) + 1
/// (Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, relationship 15).
struct Convolution {
  std::int64_t out_channels = 1;
  std::int64_t kernel_h = 1, kernel_w = 1;
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t padding_h = 0, padding_w = 0;
  std::int64_t dilation_h = 1, dilation_w = 1;
  std::int64_t groups = 1;
  bool bias = false;
  bool operator==(const Convolution&) const = default;
};

/// y = x·Wᵀ + b over the last dimension: (N, …, F) → (N, …, out_features).
struct Linear {
  std::int64_t out_features = 1;
  bool bias = true;
  bool operator==(const Linear&) const = default;
};

/// Batched product of two activations over their last two dimensions, (…, M, K) × (…, K, N) → (…, M, N);
/// leading dimensions broadcast as in NumPy. With `transpose_b` the second input is (…, N, K).
struct MatMul {
  bool transpose_b = false;
  bool operator==(const MatMul&) const = default;
};

/// Square window over an (N, C, H, W) input, each channel by itself; symmetric padding of at most half the
/// kernel. Output side = floor((H + 2·padding − kernel) / stride) + 1.
struct Pool {
  enum class Kind { max, average };  ///< fingerprints hold the position: append only
  Kind kind = Kind::max;
  std::int64_t kernel = 2, stride = 2, padding = 0;
  bool count_include_pad = false;  ///< average only: whether padding counts in the divisor
  bool operator==(const Pool&) const = default;
};

/// Average over H and W: (N, C, H, W) → (N, C, 1, 1).
struct GlobalPool {
  bool operator==(const GlobalPool&) const = default;
};

/// Sum of two or more inputs, with NumPy broadcasting.
struct Add {
  bool operator==(const Add&) const = default;
};

/// Elementwise product of two or more inputs, with NumPy broadcasting.
struct Multiply {
  bool operator==(const Multiply&) const = default;
};

/// Joins one or more inputs along `axis`, negative from the end; all other dimensions are equal.
struct Concat {
  std::int64_t axis = 1;
  bool operator==(const Concat&) const = default;
};

/// Elementwise nonlinearity.
struct Activation {
  /// Fingerprints hold the position: append only.
  enum class Kind { relu, relu6, sigmoid, tanh, hard_swish, silu, gelu };
  Kind kind = Kind::relu;
  bool operator==(const Activation&) const = default;
};

/// Per-channel normalisation of axis 1 with learned scale and shift (2·C parameters). 1e-5 is added to the variance.
struct BatchNormalization {
  bool operator==(const BatchNormalization&) const = default;
};

/// Normalisation over the last dimension with learned scale and shift (2·F parameters).
struct LayerNormalization {
  float epsilon = 1e-5F;  ///< added to the variance
  bool operator==(const LayerNormalization&) const = default;
};

/// Along `axis`, negative from the end.
struct Softmax {
  std::int64_t axis = -1;
  bool operator==(const Softmax&) const = default;
};

/// (N, …) → (N, product of the rest).
struct Flatten {
  bool operator==(const Flatten&) const = default;
};

/// Its input, unchanged: a skip connection.
struct Identity {
  bool operator==(const Identity&) const = default;
};

// What networks from elsewhere need besides. Lists of axes and extents have an entry for every dimension of
// the input unless said otherwise.

/// A tensor that belongs to the network: `learned` ones are parameters (position embeddings, layer scales), the
/// others are fixed (masks, factors).
struct Constant {
  /// Matrices along the last two dimensions, rows r and columns c from 0, N rows; the same for all dimensions before.
  enum class Content {
    unsaid,           ///< random numbers if learned, else ones
    number,           ///< `number` everywhere
    causal_mask,      ///< added to scores: 0 where c − r ≤ `first`, else −1e9; row r sees what is not later than itself
    rotary_cosines,   ///< cos((`first` + r)·`number`^(−(c mod h) / h)), 2h columns (Su et al., "RoFormer", eq. 15 and 34)
    rotary_sines,     ///< the same with sines
    cosine_transform, ///< √(2 / N)·cos(π·r·(2c + 1) / 2N), its first row over √2: the orthonormal DCT-II
    fourier_cosines,  ///< cos(2π·r·c / N): the real part of the discrete Fourier transform
    fourier_sines,    ///< sin(2π·r·c / N): its negated imaginary part
  };

  Shape shape;
  bool learned = true;
  /// What it holds until weights say something else. Not of the graph: constants that differ in this alone are equal, and
  /// have equal hashes.
  Content content = Content::unsaid;
  float number = 1;
  std::int64_t first = 0;

  bool operator==(const Constant& other) const { return shape == other.shape && learned == other.learned; }
};

/// Rows of a learned (entries, features) table: indices (N, …) → (N, …, features). The table is the node's own, or where
/// it is shared its second input, a Constant.
struct Embedding {
  std::int64_t entries = 1, features = 1;
  bool operator==(const Embedding&) const = default;
};

/// The transpose of a convolution. Output side = (H − 1)·stride − 2·padding + dilation·(kernel − 1) +
/// output_padding + 1 (Dumoulin and Visin, 2016, relationship 14, with dilation).
struct TransposedConvolution {
  std::int64_t out_channels = 1;
  std::int64_t kernel_h = 1, kernel_w = 1;
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t padding_h = 0, padding_w = 0;
  std::int64_t dilation_h = 1, dilation_w = 1;
  std::int64_t output_padding_h = 0, output_padding_w = 0;
  std::int64_t groups = 1;
  bool bias = false;
  bool operator==(const TransposedConvolution&) const = default;
};

/// A Pool whose window and padding need not be square, symmetric or small. Padding is below the dilated kernel.
struct WindowPool {
  Pool::Kind kind = Pool::Kind::max;
  std::int64_t kernel_h = 1, kernel_w = 1;
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t padding_top = 0, padding_left = 0, padding_bottom = 0, padding_right = 0;
  std::int64_t dilation_h = 1, dilation_w = 1;
  bool count_include_pad = false;  ///< average only: whether padding counts in the divisor
  bool operator==(const WindowPool&) const = default;
};

/// Any function of one or more inputs, element by element, with NumPy broadcasting. `function` is the snake_case name of
/// ONNX's operator: "subtract" is "sub", "square root" is "sqrt". `settings` are those of `settings_of(function)`, all of
/// them; empty: the usual ones.
struct Elementwise {
  std::string function;
  std::vector<float> settings = {};
  bool operator==(const Elementwise&) const = default;
};

/// A number that a function of one input is given once and for all: the slope of a leaky_relu.
struct FunctionSetting {
  std::string_view name;  ///< of ONNX's attribute, or input of Clip
  float usual;            ///< ONNX's own, but for hard_sigmoid, which is hard_swish's; infinite: without a bound
};
/// In the order in which functions have them; empty for most.
std::span<const FunctionSetting> settings_of(std::string_view function);

/// Combines the elements along `axes` (increasing, from 0): "mean", "sum", "max", "min", "prod", "l2", ….
struct Reduce {
  std::string function = "mean";
  std::vector<std::int64_t> axes;
  bool keep_dimensions = true;
  bool operator==(const Reduce&) const = default;
};

/// x / √(mean of x² + ε) over the last dimension, with learned scale (F parameters); Zhang and Sennrich, "Root mean square
/// layer normalization", NeurIPS 2019, eq. 4.
struct RmsNormalization {
  float epsilon = 1e-5F;
  bool operator==(const RmsNormalization&) const = default;
};

/// The same elements in another shape.
struct Reshape {
  Shape shape;
  bool operator==(const Reshape&) const = default;
};

/// Output dimension i is input dimension permutation[i].
struct Transpose {
  std::vector<std::int64_t> permutation;
  bool operator==(const Transpose&) const = default;
};

/// The elements starts + i·steps, i < extents, along every dimension; steps may be negative.
struct Slice {
  std::vector<std::int64_t> starts;
  Shape extents;
  std::vector<std::int64_t> steps;
  bool operator==(const Slice&) const = default;
};

/// Elements put before and after each dimension.
struct Pad {
  std::vector<std::int64_t> before, after;
  bool operator==(const Pad&) const = default;
};

/// Resampling to a shape of the same rank; `mode` is "nearest", "linear" or "cubic". `coordinates` says where element i of
/// `out` lies among `in`, as ONNX names it: "half_pixel" is (i + 1/2)·in/out − 1/2, "align_corners" i·(in − 1)/(out − 1),
/// "asymmetric" i·in/out. The nearest is the element there, of two the lower one; with "asymmetric" the last one before.
struct Resize {
  Shape shape;
  std::string mode = "nearest";
  std::string coordinates = "half_pixel";
  bool operator==(const Resize&) const = default;
};

/// Repeats along dimensions of extent 1 until the shape is reached, aligned at the last dimension.
struct Expand {
  Shape shape;
  bool operator==(const Expand&) const = default;
};

/// The k largest elements along the last dimension, or where they are.
struct TopK {
  std::int64_t k = 1;
  bool indices = false;
  bool operator==(const TopK&) const = default;
};

/// What a deformable convolution reads (Dai et al., "Deformable convolutional networks", arXiv:1703.06211, eq. 2 to 4): the
/// values of an (N, C, H, W) image under a window whose taps the second input displaces, interpolated bilinearly, zeros
/// outside. Offsets (N, 2·kernel_h·kernel_w, H', W') are pixels, of each tap first down, then to the right →
/// (N, C·kernel_h·kernel_w, H', W'), the taps of a channel side by side: a 1×1 convolution of these with as many groups is
/// the deformable convolution. H' and W' are a convolution's. Two restrictions spare hardware (Huang et al., "CoDeNet",
/// FPGA 2021, arXiv:2006.08357): a limited range and a fixed shape.
struct DeformableSampling {
  std::int64_t kernel_h = 3, kernel_w = 3;
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t padding_h = 0, padding_w = 0;
  std::int64_t dilation_h = 1, dilation_w = 1;
  std::int64_t range = 0;  ///< offsets end at ±range pixels; 0: they do not
  /// The window stays a rectangle: offsets (N, 1, H', W') say how many more pixels lie between neighbouring taps, seen from
  /// the centre.
  bool square = false;
  bool operator==(const DeformableSampling&) const = default;
};

/// An operator known by its name, its output and what it counts only; any number of inputs.
struct Other {
  std::string type;
  Shape shape;
  std::int64_t macs = 0;
  std::int64_t parameters = 0;
  bool operator==(const Other&) const = default;
};

/// Several results of one network, in order. Its own value is the first.
struct Outputs {
  bool operator==(const Outputs&) const = default;
};

using Operator =
    std::variant<Input, Zeros, Convolution, Linear, MatMul, Pool, GlobalPool, Add, Multiply, Concat,
                 Activation, BatchNormalization, LayerNormalization, Softmax, Flatten, Identity, Constant,
                 Embedding, TransposedConvolution, WindowPool, Elementwise, Reduce, RmsNormalization, Reshape,
                 Transpose, Slice, Pad, Resize, Expand, TopK, Other, Outputs,
                 DeformableSampling>;

/// The operator's snake_case name: "convolution", "batch_normalization", ….
std::string_view name_of(const Operator& op);
/// "relu", "hard_swish", ….
std::string_view name_of(Activation::Kind kind);

/// Adds the operator's name and attributes.
void hash(Hasher& hasher, const Operator& op);

using NodeId = std::size_t;
using NodeIds = SmallVector<NodeId, 2>;

/// How the numbers of a layer are represented: what quantisation and pruning decide, whatever the operator.
struct NumberFormat {
  std::int64_t weight_bits = 0;      ///< 1 … 64; 0: as wide as the hardware's words
  std::int64_t activation_bits = 0;  ///< of the layer's inputs; 1 … 64, 0 as above
  double density = 1;                ///< share of the weights that are not zero, in (0, 1]; biases are dense
  /// M of N:M sparsity, N = density·M: of any M weights in a row along the input channels at most N are not zero
  /// (Mishra et al., "Accelerating sparse deep neural networks", arXiv:2104.08378); 0: zeros may be anywhere.
  std::int64_t sparsity_group = 0;
  bool operator==(const NumberFormat&) const = default;
};

/// `format` where it says something, else `outer`. Density and group are one thing.
NumberFormat merged(const NumberFormat& format, const NumberFormat& outer);

/// "4-bit weights, 8-bit activations, 2:4 sparse"; empty where nothing is said.
std::string to_string(const NumberFormat& format);

/// Of so many weights that a format speaks of together (a group in a row, or all of a layer) how many it lets be other than
/// 0: their share, rounded up.
std::int64_t kept(const NumberFormat& format, std::int64_t weights);

struct Node {
  std::string name;  ///< unique in the network, a dotted path: "stage1.block2.conv"
  Operator op;
  NodeIds inputs;    ///< in the operator's order, each smaller than this node's own id
  Shape shape;       ///< of the output, inferred
  NumberFormat format = {};  ///< of layers only (see Network::set_format)
  bool operator==(const Node&) const = default;
};

/// Whether a node computes with weights, or multiplies activations: convolutions, linear layers, matmul.
bool is_layer(const Operator& op);

/// Adds nothing where nothing is said.
void hash(Hasher& hasher, const NumberFormat& format);

/// The product of the extents.
std::int64_t elements(const Shape& shape);

/// What follows from an operator and the shapes of its inputs.
struct Inferred {
  Shape shape;  ///< of the output
  std::int64_t parameters = 0;
  std::int64_t macs = 0;
};
/// Shape and counts of a node, as Network::add finds them. `name` stands in messages. \throws NetworkError
Inferred infer(std::string_view name, const Operator& op, std::span<const Shape* const> inputs);

/// Safe to read from several threads at once; adding needs exclusive access.
class Network {
 public:
  /// Adds a node, infers its shape and returns its id: the number of nodes before it.
  /// \throws NetworkError for an empty or duplicate name, an unknown input, a wrong number of inputs, an
  /// attribute out of range, shapes that do not fit, or a count above 2^53. The network is unchanged then.
  NodeId add(std::string name, Operator op, NodeIds inputs = {});

  /// Adds a node that is known to fit, in constant time. \pre its inputs are smaller than its id, its name is in no other
  /// node, and its shape and counts are those of infer().
  NodeId adopt(Node node, std::int64_t parameters, std::int64_t macs);
  /// The same of a copy of `node` that reads other inputs, without a detour.
  NodeId adopt(const Node& node, const NodeIds& inputs, std::int64_t parameters, std::int64_t macs);
  /// Makes room for so many nodes.
  void reserve(std::size_t nodes);

  /// Marks the node whose value is the network's result; the last node added unless told otherwise.
  /// \throws NetworkError where there is no such node.
  void set_output(NodeId node);
  /// \throws NetworkError for an empty network.
  NodeId output() const;

  /// Says how a layer's numbers are represented. \throws NetworkError where the node is no layer (see is_layer), where weights
  /// are spoken of that it has not, for a width beyond 64 bits, and for a density outside (0, 1] or of
  /// which the group has no whole number.
  void set_format(NodeId node, const NumberFormat& format);
  /// The network with every layer's numbers as the hardware has them.
  Network without_formats() const;

  std::span<const Node> nodes() const { return nodes_; }
  /// \throws std::out_of_range where there is no such node; so do the counts below.
  const Node& node(NodeId id) const { return nodes_.at(id); }
  /// The node of that name. Constant time in a network whose nodes were added one by one, linear where some were adopted.
  std::optional<NodeId> find(std::string_view name) const;

  /// Every node after all its inputs; ties in order of insertion.
  std::vector<NodeId> topological_order() const;

  /// The network without the nodes from which no path leads to the output. Inputs always stay; names and
  /// order are kept. Zeros are not folded: what they feed still counts as contributing.
  Network pruned() const;

  /// Of the node's parameters those that formats are about: weights of convolutions and linear layers, not biases.
  std::int64_t weights(NodeId id) const;
  /// Of these, how many the node's format lets be other than 0. Under N:M sparsity a row (the weights of one output along
  /// the input channels of its group) that is no multiple of M keeps N/M of its rest, rounded up.
  std::int64_t kept_weights(NodeId id) const;
  /// Trainable parameters of a node: weights and biases, normalisation scale and shift, learned constants.
  std::int64_t parameters(NodeId id) const;
  /// Multiply-accumulate operations of a node for the whole batch; padding counts, biases do not:
  /// convolution N·out_channels·H_out·W_out·(C_in / groups)·kernel_h·kernel_w; linear N·…·F·out_features;
  /// matmul batch·M·K·N; transposed convolution N·C_in·H·W·(out_channels / groups)·kernel_h·kernel_w; what `Other`
  /// says; 0 for the rest.
  std::int64_t macs(NodeId id) const;
  /// Of all nodes, whether they contribute to the output or not (see `pruned`). \throws NetworkError above
  /// 2^53.
  std::int64_t parameters() const;
  /// Of all nodes, whether they contribute to the output or not (see `pruned`). \throws NetworkError above
  /// 2^53.
  std::int64_t macs() const;

  /// The most elements that are alive at once when the nodes run in their order: inputs live from the beginning, a node's
  /// output from when it runs, both until the last user has run, the result to the end. Constants are parameters, not
  /// activations, and do not count.
  std::int64_t peak_activations() const;

  /// Of structure, attributes and formats, not of names: equal for networks that compute the same nodes in the same
  /// order.
  Fingerprint fingerprint() const;

  /// Same nodes, names included, in the same order, and the same output.
  bool operator==(const Network& other) const;

 private:
  struct Counts {
    std::int64_t parameters = 0, macs = 0;
  };
  std::size_t slot_of(std::string_view name) const;
  void index_names();

  std::vector<Node> nodes_;
  std::vector<Counts> counts_;
  std::optional<NodeId> output_;
  /// Node numbers plus 1 by hash of the name, open addressing; of the first `indexed_` nodes.
  std::vector<std::uint32_t> names_;
  std::size_t indexed_ = 0;
};

}  // namespace duet
