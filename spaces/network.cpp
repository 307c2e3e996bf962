#include "spaces/network.hpp"

#include <algorithm>
#include <bit>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/depth_first_search.hpp>
#include <boost/graph/topological_sort.hpp>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <type_traits>
#include <utility>

namespace duet {
namespace {

// Largest integer below which every integer is a double: counts stay exact wherever they are averaged or
// divided.
constexpr std::int64_t max_count = std::int64_t{1} << 53;
// Bounds kernels, strides, paddings and dilations so that dilation·(kernel − 1) and H + 2·padding cannot
// overflow.
constexpr std::int64_t max_window = std::numeric_limits<std::int32_t>::max();

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

/// Product of positive factors, or nothing where it exceeds max_count.
template <class Factors>
std::optional<std::int64_t> product(const Factors& factors) {
  std::int64_t result = 1;
  for (const std::int64_t factor : factors) {
    if (factor > max_count / result) return std::nullopt;
    result *= factor;
  }
  return result;
}

struct Arity {
  std::size_t least;
  std::size_t most;
};

template <class... Operators>
bool is_any_of(const Operator& op) {
  return (std::holds_alternative<Operators>(op) || ...);
}

Arity arity_of(const Operator& op) {
  constexpr std::size_t any = std::numeric_limits<std::size_t>::max();
  if (is_any_of<Input, Zeros, Constant>(op)) return {0, 0};
  if (is_any_of<MatMul, DeformableSampling>(op)) return {2, 2};
  if (is_any_of<Add, Multiply>(op)) return {2, any};
  if (is_any_of<Concat, Elementwise, Outputs>(op)) return {1, any};
  if (is_any_of<Other>(op)) return {0, any};
  if (is_any_of<Embedding>(op)) return {1, 2};
  return {1, 1};
}

/// The window of a convolution or a pooling along H and W.
struct Window {
  std::int64_t kernel_h, kernel_w;
  std::int64_t stride_h, stride_w;
  std::int64_t padding_h, padding_w;
  std::int64_t dilation_h, dilation_w;
};

/// One node in its network: checks it, infers its shape and counts what it holds and does.
class Inference {
 public:
  Inference(std::string_view name, const Operator& op, std::span<const Shape* const> inputs)
      : name_(name), op_(op), inputs_(inputs) {}

  [[noreturn]] void fail(const std::string& reason) const {
    throw NetworkError(fmt::format("node '{}' ({}): {}", name_, name_of(op_), reason));
  }

  Shape shape() const {
    const auto [least, most] = arity_of(op_);
    if (inputs_.size() < least || inputs_.size() > most) {
      fail(fmt::format(
          "takes {}{} input{}, got {}", least == most ? "" : "at least ", least, least == 1 ? "" : "s",
          inputs_.empty() ? "none" : std::to_string(inputs_.size()) + ": " + input_shapes(", ")));
    }
    Shape result = std::visit([this](const auto& op) { return infer(op); }, op_);
    if (!product(result)) fail(fmt::format("output {} has more than 2^53 elements", to_string(result)));
    return result;
  }

  std::int64_t parameters() const {
    return std::visit(
        Overloaded{
            [this](const Convolution& op) {
              return weights({op.out_channels, input()[1] / op.groups, op.kernel_h, op.kernel_w}, op.bias);
            },
            [this](const Linear& op) {
              return weights({op.out_features, input().back()}, op.bias);
            },
            [this](const BatchNormalization&) {
              return weights({2, input()[1]}, false);
            },
            [this](const LayerNormalization&) {
              return weights({2, input().back()}, false);
            },
            [](const Constant& op) { return op.learned ? elements(op.shape) : 0; },
            [this](const Embedding& op) {
              return inputs_.size() == 2 ? 0 : weights({op.entries, op.features}, false);
            },
            [this](const TransposedConvolution& op) {
              return weights({op.out_channels, input()[1] / op.groups, op.kernel_h, op.kernel_w}, op.bias);
            },
            [this](const RmsNormalization&) { return input().back(); },
            [](const Other& op) { return op.parameters; },
            [](const auto&) { return std::int64_t{0}; }},
        op_);
  }

  std::int64_t macs(const Shape& output) const {
    return std::visit(
        Overloaded{[&](const Convolution& op) {
                     return multiply_accumulates(output, {input()[1] / op.groups, op.kernel_h, op.kernel_w});
                   },
                   [&](const Linear&) { return multiply_accumulates(output, {input().back()}); },
                   [&](const MatMul&) { return multiply_accumulates(output, {input().back()}); },
                   [&](const TransposedConvolution& op) {
                     return multiply_accumulates(input(), {op.out_channels / op.groups, op.kernel_h, op.kernel_w});
                   },
                   [](const Other& op) { return op.macs; },
                   [](const auto&) { return std::int64_t{0}; }},
        op_);
  }

 private:
  const Shape& input(std::size_t i = 0) const { return *inputs_[i]; }

  /// "(1, 2), (3, 4) and (5, 6)" with `last` = " and ".
  std::string input_shapes(std::string_view last = " and ") const {
    std::string text;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (i > 0) text += i + 1 < inputs_.size() ? ", " : last;
      text += to_string(input(i));
    }
    return text;
  }

  void require_range(std::string_view attribute, std::int64_t value, std::int64_t least,
                     std::int64_t most) const {
    if (value < least || value > most) {
      fail(fmt::format("{} is {}, must be in [{}, {}] for input {}", attribute, value, least, most,
                       input_shapes()));
    }
  }

  void require_rank(std::size_t least) const {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (input(i).size() < least) {
        fail(fmt::format("needs inputs of at least {} dimensions, got {}", least, input_shapes()));
      }
    }
  }

  void require_image() const {
    if (input().size() != 4) fail(fmt::format("needs an (N, C, H, W) input, got {}", input_shapes()));
  }

  /// Index of an axis that may count from the end.
  std::size_t axis_index(std::int64_t axis) const {
    const auto rank = static_cast<std::int64_t>(input().size());
    if (axis < -rank || axis >= rank) {
      fail(fmt::format("axis {} is outside [{}, {}] of input {}", axis, -rank, rank - 1, to_string(input())));
    }
    return static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
  }

  Shape constant(const Shape& shape) const {
    if (shape.empty()) fail("shape () lacks the batch dimension");
    if (std::any_of(shape.begin(), shape.end(), [](std::int64_t extent) { return extent < 1; })) {
      fail(fmt::format("shape {} has an extent below 1", to_string(shape)));
    }
    return shape;
  }

  /// Slides a window, its attributes within bounds, over an (N, C, H, W) input.
  Shape slide(const Window& window, std::int64_t channels) const {
    const std::int64_t rest_h =
        input()[2] + 2 * window.padding_h - window.dilation_h * (window.kernel_h - 1) - 1;
    const std::int64_t rest_w =
        input()[3] + 2 * window.padding_w - window.dilation_w * (window.kernel_w - 1) - 1;
    if (rest_h < 0 || rest_w < 0) {
      fail(fmt::format("a {}x{} kernel with dilation {}x{} does not fit input {} with padding {}x{}",
                       window.kernel_h, window.kernel_w, window.dilation_h, window.dilation_w,
                       to_string(input()), window.padding_h, window.padding_w));
    }
    return {input()[0], channels, rest_h / window.stride_h + 1, rest_w / window.stride_w + 1};
  }

  /// The same after checking the attributes of a convolution's window.
  template <class Op>
  Shape slide_of(const Op& op, std::int64_t channels) const {
    require_range("kernel_h", op.kernel_h, 1, max_window);
    require_range("kernel_w", op.kernel_w, 1, max_window);
    require_range("stride_h", op.stride_h, 1, max_window);
    require_range("stride_w", op.stride_w, 1, max_window);
    require_range("padding_h", op.padding_h, 0, max_window);
    require_range("padding_w", op.padding_w, 0, max_window);
    require_range("dilation_h", op.dilation_h, 1, max_window);
    require_range("dilation_w", op.dilation_w, 1, max_window);
    return slide({op.kernel_h, op.kernel_w, op.stride_h, op.stride_w, op.padding_h, op.padding_w, op.dilation_h, op.dilation_w},
                 channels);
  }

  /// NumPy's rule: aligned at the last dimension, equal or 1. Nothing where two extents clash.
  static std::optional<Shape> broadcast(Shape a, Shape b) {
    if (a.size() < b.size()) std::swap(a, b);
    for (std::size_t i = 1; i <= b.size(); ++i) {
      std::int64_t& extent = a[a.size() - i];
      const std::int64_t other = b[b.size() - i];
      if (extent != other && extent != 1 && other != 1) return std::nullopt;
      extent = std::max(extent, other);
    }
    return a;
  }

  Shape broadcast_inputs() const {
    Shape result = input();
    for (std::size_t i = 1; i < inputs_.size(); ++i) {
      std::optional<Shape> both = broadcast(std::move(result), input(i));
      if (!both) fail(fmt::format("inputs {} cannot be broadcast", input_shapes()));
      result = *std::move(both);
    }
    return result;
  }

  Shape infer(const Input& op) const { return constant(op.shape); }
  Shape infer(const Zeros& op) const { return constant(op.shape); }

  Shape infer(const Convolution& op) const {
    require_image();
    require_range("out_channels", op.out_channels, 1, max_count);
    require_range("groups", op.groups, 1, max_count);
    if (input()[1] % op.groups != 0 || op.out_channels % op.groups != 0) {
      fail(fmt::format("{} groups do not divide the {} channels of input {} and {} output channels",
                       op.groups, input()[1], to_string(input()), op.out_channels));
    }
    return slide_of(op, op.out_channels);
  }

  Shape infer(const Linear& op) const {
    require_rank(2);
    require_range("out_features", op.out_features, 1, max_count);
    Shape result = input();
    result.back() = op.out_features;
    return result;
  }

  Shape infer(const MatMul& op) const {
    require_rank(2);
    const Shape& a = input(0);
    const Shape& b = input(1);
    std::int64_t inner = b[b.size() - 2];
    std::int64_t columns = b[b.size() - 1];
    if (op.transpose_b) std::swap(inner, columns);
    if (a.back() != inner) {
      fail(fmt::format("inputs {}{} disagree on the inner dimension: {} against {}", input_shapes(),
                       op.transpose_b ? " (transposed)" : "", a.back(), inner));
    }
    std::optional<Shape> result = broadcast(Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2));
    if (!result) fail(fmt::format("leading dimensions of inputs {} cannot be broadcast", input_shapes()));
    result->push_back(a[a.size() - 2]);
    result->push_back(columns);
    return *result;
  }

  Shape infer(const Pool& op) const {
    require_image();
    require_range("kernel", op.kernel, 1, max_window);
    require_range("stride", op.stride, 1, max_window);
    // More padding would let a window see nothing but padding.
    require_range("padding", op.padding, 0, op.kernel / 2);
    return slide({op.kernel, op.kernel, op.stride, op.stride, op.padding, op.padding, 1, 1}, input()[1]);
  }

  Shape infer(const GlobalPool&) const {
    require_image();
    return {input()[0], input()[1], 1, 1};
  }

  Shape infer(const Add&) const { return broadcast_inputs(); }
  Shape infer(const Multiply&) const { return broadcast_inputs(); }

  Shape infer(const Concat& op) const {
    const std::size_t axis = axis_index(op.axis);
    Shape result = input();
    for (std::size_t i = 1; i < inputs_.size(); ++i) {
      Shape other = input(i);
      const bool same_rank = other.size() == result.size();
      const std::int64_t extent = same_rank ? std::exchange(other[axis], result[axis]) : 0;
      if (!same_rank || other != result) {
        fail(fmt::format("inputs {} differ outside axis {}", input_shapes(), op.axis));
      }
      // Each extent is at most 2^53, so the sum cannot overflow before it is refused.
      result[axis] += extent;
      if (!product(result)) fail(fmt::format("output {} has more than 2^53 elements", to_string(result)));
    }
    return result;
  }

  Shape infer(const Activation&) const { return input(); }

  Shape infer(const BatchNormalization&) const {
    require_rank(2);
    return input();
  }

  Shape infer(const LayerNormalization&) const {
    require_rank(2);
    return input();
  }

  Shape infer(const Softmax& op) const {
    axis_index(op.axis);
    return input();
  }

  Shape infer(const Flatten&) const {
    std::int64_t features = 1;
    for (std::size_t i = 1; i < input().size(); ++i) features *= input()[i];
    return {input()[0], features};
  }

  Shape infer(const Identity&) const { return input(); }

  Shape infer(const Constant& op) const {
    const Shape shape = constant(op.shape);
    using Content = Constant::Content;
    if (op.content == Content::unsaid || op.content == Content::number) return shape;
    if (shape.size() < 2) fail(fmt::format("{} has no rows and columns", to_string(shape)));
    const bool rotary = op.content == Content::rotary_cosines || op.content == Content::rotary_sines;
    if (rotary && shape.back() % 2 != 0) fail(fmt::format("{} has an odd number of columns", to_string(shape)));
    require_range("first", op.first, -max_count, max_count);
    return shape;
  }

  Shape infer(const Embedding& op) const {
    require_range("entries", op.entries, 1, max_count);
    require_range("features", op.features, 1, max_count);
    if (inputs_.size() == 2 && input(1) != Shape{op.entries, op.features}) {
      fail(fmt::format("the table {} does not have {} entries of {} features", to_string(input(1)), op.entries,
                       op.features));
    }
    Shape result = input();
    result.push_back(op.features);
    return result;
  }

  Shape infer(const TransposedConvolution& op) const {
    require_image();
    require_range("out_channels", op.out_channels, 1, max_count);
    require_range("groups", op.groups, 1, max_count);
    if (input()[1] % op.groups != 0 || op.out_channels % op.groups != 0) {
      fail(fmt::format("{} groups do not divide the {} channels of input {} and {} output channels",
                       op.groups, input()[1], to_string(input()), op.out_channels));
    }
    const auto side = [&](std::string_view axis, std::int64_t extent, std::int64_t kernel, std::int64_t stride,
                          std::int64_t padding, std::int64_t dilation, std::int64_t output_padding) {
      require_range(fmt::format("kernel_{}", axis), kernel, 1, max_window);
      require_range(fmt::format("stride_{}", axis), stride, 1, max_window);
      require_range(fmt::format("padding_{}", axis), padding, 0, max_window);
      require_range(fmt::format("dilation_{}", axis), dilation, 1, max_window);
      require_range(fmt::format("output_padding_{}", axis), output_padding, 0, max_window);
      if (extent > max_count / stride) fail(fmt::format("the output of input {} is too large", to_string(input())));
      const std::int64_t result =
          (extent - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1;
      if (result < 1) fail(fmt::format("nothing of input {} remains", to_string(input())));
      return result;
    };
    return {input()[0], op.out_channels,
            side("h", input()[2], op.kernel_h, op.stride_h, op.padding_h, op.dilation_h, op.output_padding_h),
            side("w", input()[3], op.kernel_w, op.stride_w, op.padding_w, op.dilation_w, op.output_padding_w)};
  }

  Shape infer(const WindowPool& op) const {
    require_image();
    const auto side = [&](std::string_view axis, std::int64_t extent, std::int64_t kernel, std::int64_t stride,
                          std::int64_t before, std::int64_t after, std::int64_t dilation) {
      require_range(fmt::format("kernel_{}", axis), kernel, 1, max_window);
      require_range(fmt::format("stride_{}", axis), stride, 1, max_window);
      require_range(fmt::format("dilation_{}", axis), dilation, 1, max_window);
      const std::int64_t window = dilation * (kernel - 1) + 1;
      require_range("padding", before, 0, std::min(window - 1, max_window));
      // What is rounded up at the end may need a window more.
      require_range("padding", after, 0, std::min(window - 1 + stride - 1, max_window));
      const std::int64_t rest = extent + before + after - window;
      if (rest < 0) fail(fmt::format("the window does not fit input {}", to_string(input())));
      return rest / stride + 1;
    };
    return {input()[0], input()[1],
            side("h", input()[2], op.kernel_h, op.stride_h, op.padding_top, op.padding_bottom, op.dilation_h),
            side("w", input()[3], op.kernel_w, op.stride_w, op.padding_left, op.padding_right, op.dilation_w)};
  }

  Shape infer(const Elementwise& op) const {
    if (op.function.empty()) fail("needs a function");
    const std::size_t settings = settings_of(op.function).size();
    if (!op.settings.empty() && op.settings.size() != settings) {
      fail(fmt::format("'{}' has {} settings, got {}", op.function, settings, op.settings.size()));
    }
    return broadcast_inputs();
  }

  Shape infer(const Reduce& op) const {
    Shape result = input();
    for (std::size_t i = 0; i < op.axes.size(); ++i) {
      if (i > 0 && op.axes[i] <= op.axes[i - 1]) fail("axes must increase");
      require_range("axis", op.axes[i], 0, static_cast<std::int64_t>(result.size()) - 1);
      result[static_cast<std::size_t>(op.axes[i])] = op.keep_dimensions ? 1 : 0;
    }
    result.erase(std::remove(result.begin(), result.end(), 0), result.end());
    if (result.empty()) result = {1};
    return result;
  }

  Shape infer(const RmsNormalization&) const { return input(); }

  Shape infer(const Reshape& op) const {
    if (product(constant(op.shape)) != product(input())) {
      fail(fmt::format("{} and input {} do not have the same number of elements", to_string(op.shape),
                       to_string(input())));
    }
    return op.shape;
  }

  void require_entries(std::string_view attribute, std::size_t count) const {
    if (count != input().size()) {
      fail(fmt::format("{} has {} entries for input {}", attribute, count, to_string(input())));
    }
  }

  Shape infer(const Transpose& op) const {
    require_entries("permutation", op.permutation.size());
    Shape result;
    std::vector<bool> seen(input().size(), false);
    for (const std::int64_t axis : op.permutation) {
      require_range("axis", axis, 0, static_cast<std::int64_t>(input().size()) - 1);
      const auto i = static_cast<std::size_t>(axis);
      if (seen[i]) fail(fmt::format("axis {} occurs twice in the permutation", axis));
      seen[i] = true;
      result.push_back(input()[i]);
    }
    return result;
  }

  Shape infer(const Slice& op) const {
    require_entries("starts", op.starts.size());
    require_entries("extents", op.extents.size());
    require_entries("steps", op.steps.size());
    for (std::size_t i = 0; i < op.extents.size(); ++i) {
      const std::int64_t extent = input()[i];
      require_range("start", op.starts[i], 0, extent - 1);
      require_range("extent", op.extents[i], 1, extent);
      if (op.steps[i] == 0) fail("a step is 0");
      require_range("step", op.steps[i], -max_count, max_count);
      const std::int64_t room = op.steps[i] > 0 ? extent - 1 - op.starts[i] : op.starts[i];
      if (op.extents[i] > 1 && room / (op.extents[i] - 1) < std::abs(op.steps[i])) {
        fail(fmt::format("leaves input {} along dimension {}", to_string(input()), i));
      }
    }
    return op.extents;
  }

  Shape infer(const Pad& op) const {
    require_entries("before", op.before.size());
    require_entries("after", op.after.size());
    Shape result = input();
    for (std::size_t i = 0; i < result.size(); ++i) {
      require_range("before", op.before[i], 0, max_window);
      require_range("after", op.after[i], 0, max_window);
      result[i] += op.before[i] + op.after[i];
    }
    return result;
  }

  Shape infer(const Resize& op) const {
    require_entries("shape", op.shape.size());
    return constant(op.shape);
  }

  Shape infer(const Expand& op) const {
    const std::optional<Shape> both = broadcast(constant(op.shape), input());
    if (!both || *both != op.shape) {
      fail(fmt::format("input {} does not expand to {}", to_string(input()), to_string(op.shape)));
    }
    return op.shape;
  }

  Shape infer(const TopK& op) const {
    require_range("k", op.k, 1, input().back());
    Shape result = input();
    result.back() = op.k;
    return result;
  }

  Shape infer(const DeformableSampling& op) const {
    require_image();
    require_range("range", op.range, 0, max_window);
    Shape result = slide_of(op, 1);
    const std::optional<std::int64_t> channels = product(std::initializer_list<std::int64_t>{input()[1], op.kernel_h, op.kernel_w});
    if (!channels) fail(fmt::format("output of input {} has more than 2^53 elements", to_string(input())));
    const Shape offsets{input()[0], op.square ? 1 : 2 * op.kernel_h * op.kernel_w, result[2], result[3]};
    if (input(1) != offsets) {
      fail(fmt::format("needs offsets {} for input {}, got {}", to_string(offsets), to_string(input()), to_string(input(1))));
    }
    result[1] = *channels;
    return result;
  }

  Shape infer(const Other& op) const {
    if (op.type.empty()) fail("needs a type");
    if (op.macs < 0 || op.macs > max_count) fail("macs are out of range");
    if (op.parameters < 0 || op.parameters > max_count) fail("parameters are out of range");
    return constant(op.shape);
  }

  Shape infer(const Outputs&) const { return input(); }

  /// Elements of a weight tensor, and of a bias as long as its first dimension.
  std::int64_t weights(std::initializer_list<std::int64_t> extents, bool bias) const {
    const std::optional<std::int64_t> count = product(extents);
    const std::int64_t biases = bias ? *extents.begin() : 0;
    if (!count || *count > max_count - biases) {
      fail(fmt::format("has more than 2^53 parameters on input {}", to_string(input())));
    }
    return *count + biases;
  }

  /// One per output element and element of the reduced extents.
  std::int64_t multiply_accumulates(const Shape& output, std::initializer_list<std::int64_t> reduced) const {
    const std::optional<std::int64_t> outputs = product(output), each = product(reduced);
    if (!outputs || !each || *each > max_count / *outputs) {
      fail(fmt::format("needs more than 2^53 multiply-accumulates on inputs {}", input_shapes()));
    }
    return *outputs * *each;
  }

  std::string_view name_;
  const Operator& op_;
  std::span<const Shape* const> inputs_;
};

// Structured bindings stop compiling when an operator gets a field that is not hashed.
class AttributeHasher {
 public:
  explicit AttributeHasher(Hasher& hasher) : hasher_(hasher) {}

  void operator()(const Input& op) const { hash_shape(op.shape); }
  void operator()(const Zeros& op) const { hash_shape(op.shape); }
  void operator()(const Convolution& op) const {
    const auto& [out_channels, kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, dilation_h,
                 dilation_w, groups, bias] = op;
    hash(out_channels, kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w,
         groups, bias);
  }
  void operator()(const Linear& op) const {
    const auto& [out_features, bias] = op;
    hash(out_features, bias);
  }
  void operator()(const MatMul& op) const {
    const auto& [transpose_b] = op;
    hash(transpose_b);
  }
  void operator()(const Pool& op) const {
    const auto& [kind, kernel, stride, padding, count_include_pad] = op;
    hash(kind, kernel, stride, padding, count_include_pad);
  }
  void operator()(const Concat& op) const {
    const auto& [axis] = op;
    hash(axis);
  }
  void operator()(const Activation& op) const {
    const auto& [kind] = op;
    hash(kind);
  }
  void operator()(const LayerNormalization& op) const {
    const auto& [epsilon] = op;
    hash_epsilon(epsilon);
  }
  void operator()(const RmsNormalization& op) const {
    const auto& [epsilon] = op;
    hash_epsilon(epsilon);
  }
  void operator()(const Softmax& op) const {
    const auto& [axis] = op;
    hash(axis);
  }
  void operator()(const Constant& op) const {
    hash_shape(op.shape);
    hash(op.learned);
  }
  void operator()(const Embedding& op) const {
    const auto& [entries, features] = op;
    hash(entries, features);
  }
  void operator()(const TransposedConvolution& op) const {
    const auto& [out_channels, kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, dilation_h,
                 dilation_w, output_padding_h, output_padding_w, groups, bias] = op;
    hash(out_channels, kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w,
         output_padding_h, output_padding_w, groups, bias);
  }
  void operator()(const WindowPool& op) const {
    const auto& [kind, kernel_h, kernel_w, stride_h, stride_w, top, left, bottom, right, dilation_h, dilation_w,
                 count_include_pad] = op;
    hash(kind, kernel_h, kernel_w, stride_h, stride_w, top, left, bottom, right, dilation_h, dilation_w,
         count_include_pad);
  }
  void operator()(const Elementwise& op) const {
    const auto& [function, settings] = op;
    hasher_.add(std::string_view(function));
    // The usual ones have always gone without.
    for (const float setting : settings) hasher_.add(static_cast<double>(setting));
  }
  void operator()(const Reduce& op) const {
    const auto& [function, axes, keep_dimensions] = op;
    hasher_.add(std::string_view(function));
    hash_shape(axes);
    hash(keep_dimensions);
  }
  void operator()(const Reshape& op) const {
    const auto& [shape] = op;
    hash_shape(shape);
  }
  void operator()(const Transpose& op) const {
    const auto& [permutation] = op;
    hash_shape(permutation);
  }
  void operator()(const Slice& op) const {
    const auto& [starts, extents, steps] = op;
    hash_shape(starts);
    hash_shape(extents);
    hash_shape(steps);
  }
  void operator()(const Pad& op) const {
    const auto& [before, after] = op;
    hash_shape(before);
    hash_shape(after);
  }
  void operator()(const Resize& op) const {
    const auto& [shape, mode, coordinates] = op;
    hash_shape(shape);
    hasher_.add(std::string_view(mode));
    if (coordinates != "half_pixel") hasher_.add(std::string_view(coordinates));
  }
  void operator()(const Expand& op) const {
    const auto& [shape] = op;
    hash_shape(shape);
  }
  void operator()(const TopK& op) const {
    const auto& [k, indices] = op;
    hash(k, indices);
  }
  void operator()(const DeformableSampling& op) const {
    const auto& [kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w, range, square] = op;
    hash(kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w, range, square);
  }
  void operator()(const Other& op) const {
    const auto& [type, shape, macs, parameters] = op;
    hasher_.add(std::string_view(type));
    hash_shape(shape);
    hash(macs, parameters);
  }
  template <class Plain>
  void operator()(const Plain&) const {
    static_assert(std::is_empty_v<Plain>, "the operator's attributes are not hashed");
  }

 private:
  template <class... Values>
  void hash(Values... values) const {
    static_assert(((std::is_integral_v<Values> || std::is_enum_v<Values>)&&...), "would lose its fraction");
    (hasher_.add(static_cast<std::int64_t>(values)), ...);
  }
  /// The usual one has always gone without.
  void hash_epsilon(float epsilon) const {
    if (epsilon != 1e-5F) hasher_.add(static_cast<double>(epsilon));
  }
  void hash_shape(const Shape& shape) const {
    hasher_.add(static_cast<std::uint64_t>(shape.size()));
    for (const std::int64_t extent : shape) hasher_.add(extent);
  }

  Hasher& hasher_;
};

using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS>;

/// Edges lead from a node to its inputs, in their order.
Graph dependencies(std::span<const Node> nodes) {
  Graph graph(nodes.size());
  for (NodeId id = 0; id < nodes.size(); ++id) {
    for (const NodeId input : nodes[id].inputs) boost::add_edge(id, input, graph);
  }
  return graph;
}

/// Adds up a count over all nodes; like every node's own, the sum stays within 2^53.
template <class CountOfNode>
std::int64_t total(std::size_t nodes, std::string_view what, CountOfNode count_of) {
  std::int64_t sum = 0;
  for (NodeId id = 0; id < nodes; ++id) {
    const std::int64_t count = count_of(id);
    if (count > max_count - sum) throw NetworkError(fmt::format("the network has more than 2^53 {}", what));
    sum += count;
  }
  return sum;
}

}  // namespace

std::string to_string(const Shape& shape) {
  return fmt::format("({})", fmt::join(shape, ", "));
}

std::span<const FunctionSetting> settings_of(std::string_view function) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  static constexpr FunctionSetting clip[] = {{"min", -infinity}, {"max", infinity}};
  static constexpr FunctionSetting hard_sigmoid[] = {{"alpha", 1.0F / 6}, {"beta", 0.5F}};
  static constexpr FunctionSetting leaky_relu[] = {{"alpha", 0.01F}};
  static constexpr FunctionSetting selu[] = {{"alpha", 1.67326319217681884765625F}, {"gamma", 1.05070102214813232421875F}};
  static constexpr FunctionSetting shrink[] = {{"bias", 0}, {"lambd", 0.5F}};
  static constexpr FunctionSetting one[] = {{"alpha", 1}};
  if (function == "clip") return clip;
  if (function == "hard_sigmoid") return hard_sigmoid;
  if (function == "leaky_relu") return leaky_relu;
  if (function == "selu") return selu;
  if (function == "shrink") return shrink;
  if (function == "elu" || function == "celu" || function == "thresholded_relu") return one;
  return {};
}

std::string_view name_of(const Operator& op) {
  using Name = std::string_view;
  return std::visit(
      Overloaded{
          [](const Input&) -> Name { return "input"; }, [](const Zeros&) -> Name { return "zeros"; },
          [](const Convolution&) -> Name { return "convolution"; },
          [](const Linear&) -> Name { return "linear"; }, [](const MatMul&) -> Name { return "matmul"; },
          [](const Pool&) -> Name { return "pool"; }, [](const GlobalPool&) -> Name { return "global_pool"; },
          [](const Add&) -> Name { return "add"; }, [](const Multiply&) -> Name { return "multiply"; },
          [](const Concat&) -> Name { return "concat"; },
          [](const Activation&) -> Name { return "activation"; },
          [](const BatchNormalization&) -> Name { return "batch_normalization"; },
          [](const LayerNormalization&) -> Name { return "layer_normalization"; },
          [](const Softmax&) -> Name { return "softmax"; }, [](const Flatten&) -> Name { return "flatten"; },
          [](const Identity&) -> Name { return "identity"; },
          [](const Constant&) -> Name { return "constant"; },
          [](const Embedding&) -> Name { return "embedding"; },
          [](const TransposedConvolution&) -> Name { return "transposed_convolution"; },
          [](const WindowPool&) -> Name { return "window_pool"; },
          [](const Elementwise&) -> Name { return "elementwise"; },
          [](const Reduce&) -> Name { return "reduce"; },
          [](const RmsNormalization&) -> Name { return "rms_normalization"; },
          [](const Reshape&) -> Name { return "reshape"; },
          [](const Transpose&) -> Name { return "transpose"; }, [](const Slice&) -> Name { return "slice"; },
          [](const Pad&) -> Name { return "pad"; }, [](const Resize&) -> Name { return "resize"; },
          [](const Expand&) -> Name { return "expand"; }, [](const TopK&) -> Name { return "top_k"; },
          [](const Other&) -> Name { return "other"; }, [](const Outputs&) -> Name { return "outputs"; },
          [](const DeformableSampling&) -> Name { return "deformable_sampling"; }},
      op);
}

std::string_view name_of(Activation::Kind kind) {
  switch (kind) {
    case Activation::Kind::relu:
      return "relu";
    case Activation::Kind::relu6:
      return "relu6";
    case Activation::Kind::sigmoid:
      return "sigmoid";
    case Activation::Kind::tanh:
      return "tanh";
    case Activation::Kind::hard_swish:
      return "hard_swish";
    case Activation::Kind::silu:
      return "silu";
    case Activation::Kind::gelu:
      return "gelu";
  }
  return "?";
}

NumberFormat merged(const NumberFormat& format, const NumberFormat& outer) {
  NumberFormat result = format;
  if (result.weight_bits == 0) result.weight_bits = outer.weight_bits;
  if (result.activation_bits == 0) result.activation_bits = outer.activation_bits;
  if (result.density == 1 && result.sparsity_group == 0) {
    result.density = outer.density;
    result.sparsity_group = outer.sparsity_group;
  }
  return result;
}

std::string to_string(const NumberFormat& format) {
  std::vector<std::string> parts;
  if (format.weight_bits != 0) parts.push_back(fmt::format("{}-bit weights", format.weight_bits));
  if (format.activation_bits != 0) parts.push_back(fmt::format("{}-bit activations", format.activation_bits));
  if (format.sparsity_group != 0) {
    const double kept = format.density * static_cast<double>(format.sparsity_group);
    parts.push_back(fmt::format("{}:{} sparse", std::llround(kept), format.sparsity_group));
  } else if (format.density != 1) {
    parts.push_back(fmt::format("density {}", format.density));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::int64_t kept(const NumberFormat& format, std::int64_t weights) {
  // 0.3·10 is a bit more than 3.
  return static_cast<std::int64_t>(std::ceil(format.density * static_cast<double>(weights) - 1e-9));
}

bool is_layer(const Operator& op) {
  return std::holds_alternative<Convolution>(op) || std::holds_alternative<Linear>(op) ||
         std::holds_alternative<TransposedConvolution>(op) || std::holds_alternative<MatMul>(op);
}

std::int64_t elements(const Shape& shape) {
  std::int64_t result = 1;
  for (const std::int64_t extent : shape) result *= extent;
  return result;
}

void hash(Hasher& hasher, const Operator& op) {
  hasher.add(name_of(op));
  std::visit(AttributeHasher(hasher), op);
}

void hash(Hasher& hasher, const NumberFormat& format) {
  if (format == NumberFormat{}) return;
  hasher.add(std::string_view("format"));
  hasher.add(format.weight_bits).add(format.activation_bits).add(format.density).add(format.sparsity_group);
}

Inferred infer(std::string_view name, const Operator& op, std::span<const Shape* const> inputs) {
  const Inference inference(name, op, inputs);
  Inferred result;
  result.shape = inference.shape();
  // Counts that are too large are refused here, so that counting a node of a network never fails.
  result.parameters = inference.parameters();
  result.macs = inference.macs(result.shape);
  return result;
}

NodeId Network::add(std::string name, Operator op, NodeIds inputs) {
  const Inference inference(name, op, {});
  if (name.empty()) inference.fail("a node needs a name");
  index_names();
  const std::size_t slot = slot_of(name);
  if (const std::uint32_t taken = names_[slot]; taken != 0) {
    inference.fail(fmt::format("the name is taken by node {} ({})", taken - 1, name_of(nodes_[taken - 1].op)));
  }
  SmallVector<const Shape*, 8> shapes;
  for (const NodeId input : inputs) {
    if (input >= nodes_.size()) {
      inference.fail(fmt::format("input {} does not exist; there are {} nodes so far", input, nodes_.size()));
    }
    shapes.push_back(&nodes_[input].shape);
  }
  Inferred inferred = infer(name, op, shapes);
  const NodeId id = adopt({std::move(name), std::move(op), std::move(inputs), std::move(inferred.shape)},
                          inferred.parameters, inferred.macs);
  names_[slot] = static_cast<std::uint32_t>(id + 1);
  indexed_ = nodes_.size();
  return id;
}

NodeId Network::adopt(Node node, std::int64_t parameters, std::int64_t macs) {
  nodes_.push_back(std::move(node));
  counts_.push_back({parameters, macs});
  return nodes_.size() - 1;
}

NodeId Network::adopt(const Node& node, const NodeIds& inputs, std::int64_t parameters, std::int64_t macs) {
  nodes_.push_back(node);
  nodes_.back().inputs = inputs;
  counts_.push_back({parameters, macs});
  return nodes_.size() - 1;
}

void Network::reserve(std::size_t nodes) {
  nodes_.reserve(nodes);
  counts_.reserve(nodes);
}

/// Where the name is in the table, or the free place where it would be. \pre the table has a free place
std::size_t Network::slot_of(std::string_view name) const {
  const std::size_t mask = names_.size() - 1;
  std::size_t slot = std::hash<std::string_view>()(name) & mask;
  while (names_[slot] != 0 && nodes_[names_[slot] - 1].name != name) slot = (slot + 1) & mask;
  return slot;
}

/// Brings the table up to date with room for one more, at most half full.
void Network::index_names() {
  if (names_.size() < 2 * (nodes_.size() + 1)) {
    names_.assign(std::max<std::size_t>(64, 4 * std::bit_ceil(nodes_.size() + 1)), 0);
    indexed_ = 0;
  }
  for (; indexed_ < nodes_.size(); ++indexed_) {
    names_[slot_of(nodes_[indexed_].name)] = static_cast<std::uint32_t>(indexed_ + 1);
  }
}

std::optional<NodeId> Network::find(std::string_view name) const {
  if (!names_.empty() && indexed_ == nodes_.size()) {
    const std::uint32_t found = names_[slot_of(name)];
    return found != 0 ? std::optional<NodeId>(found - 1) : std::nullopt;
  }
  const auto found =
      std::find_if(nodes_.begin(), nodes_.end(), [name](const Node& node) { return node.name == name; });
  if (found == nodes_.end()) return std::nullopt;
  return static_cast<NodeId>(found - nodes_.begin());
}

void Network::set_output(NodeId node) {
  if (node >= nodes_.size()) {
    throw NetworkError(fmt::format("output {} does not exist; there are {} nodes", node, nodes_.size()));
  }
  output_ = node;
}

void Network::set_format(NodeId id, const NumberFormat& format) {
  Node& at = nodes_.at(id);
  const auto fail = [&](const std::string& what) {
    throw NetworkError(fmt::format("node '{}' ({}): {}", at.name, name_of(at.op), what));
  };
  if (format != NumberFormat{} && !is_layer(at.op)) fail("only layers have number formats");
  if (std::holds_alternative<MatMul>(at.op) && (format.weight_bits != 0 || format.density != 1)) {
    fail("it has no weights");
  }
  for (const std::int64_t bits : {format.weight_bits, format.activation_bits}) {
    if (bits < 0 || bits > 64) fail(fmt::format("words of {} bits", bits));
  }
  if (!(format.density > 0 && format.density <= 1)) fail(fmt::format("a density of {}", format.density));
  const double kept = format.density * static_cast<double>(format.sparsity_group);
  if (format.sparsity_group < 0 || std::abs(kept - std::round(kept)) > 1e-9) {
    fail(fmt::format("{} of {} weights", kept, format.sparsity_group));
  }
  at.format = format;
}

Network Network::without_formats() const {
  Network result = *this;
  for (Node& node : result.nodes_) node.format = {};
  return result;
}

NodeId Network::output() const {
  if (nodes_.empty()) throw NetworkError("the network is empty: it has no output");
  return output_.value_or(nodes_.size() - 1);
}

std::vector<NodeId> Network::topological_order() const {
  // Depth-first from the first node on, along edges to the inputs: a node is written after all its inputs,
  // and, as these stand before it, in order of insertion.
  std::vector<NodeId> order;
  order.reserve(nodes_.size());
  const Graph graph = dependencies(nodes_);
  boost::topological_sort(graph, std::back_inserter(order));
  return order;
}

Network Network::pruned() const {
  if (nodes_.empty()) return {};
  const Graph graph = dependencies(nodes_);
  std::vector<boost::default_color_type> color(nodes_.size(), boost::white_color);
  boost::depth_first_visit(graph, output(), boost::default_dfs_visitor(),
                           boost::make_iterator_property_map(color.begin(), get(boost::vertex_index, graph)));
  Network result;
  std::vector<NodeId> new_id(nodes_.size());
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    if (color[id] == boost::white_color && !std::holds_alternative<Input>(nodes_[id].op)) continue;
    Node node = nodes_[id];
    for (NodeId& input : node.inputs) input = new_id[input];
    new_id[id] = result.nodes_.size();
    result.adopt(std::move(node), counts_[id].parameters, counts_[id].macs);
  }
  result.output_ = new_id[output()];
  return result;
}

std::int64_t Network::parameters(NodeId id) const { return counts_.at(id).parameters; }

std::int64_t Network::weights(NodeId id) const {
  const Node& at = node(id);
  if (!is_layer(at.op)) return 0;
  const std::int64_t biases = std::visit(
      Overloaded{[](const Convolution& op) { return op.bias ? op.out_channels : 0; },
                 [](const TransposedConvolution& op) { return op.bias ? op.out_channels : 0; },
                 [](const Linear& op) { return op.bias ? op.out_features : 0; },
                 [](const auto&) { return std::int64_t{0}; }},
      at.op);
  return parameters(id) - biases;
}

std::int64_t Network::kept_weights(NodeId id) const {
  const Node& at = node(id);
  const std::int64_t all = weights(id);
  if (all == 0 || at.format.density == 1) return all;
  const std::int64_t group = at.format.sparsity_group;
  if (group == 0) return kept(at.format, all);
  const Shape& input = nodes_[at.inputs.front()].shape;
  const std::int64_t row = std::visit(Overloaded{[&](const Convolution& op) { return input[1] / op.groups; },
                                                 [&](const TransposedConvolution& op) { return input[1] / op.groups; },
                                                 [&](const auto&) { return input.back(); }},
                                      at.op);
  return all / row * (row / group * kept(at.format, group) + kept(at.format, row % group));
}

std::int64_t Network::macs(NodeId id) const { return counts_.at(id).macs; }

std::int64_t Network::parameters() const {
  return total(nodes_.size(), "parameters", [this](NodeId id) { return parameters(id); });
}

std::int64_t Network::macs() const {
  return total(nodes_.size(), "multiply-accumulates", [this](NodeId id) { return macs(id); });
}

std::int64_t Network::peak_activations() const {
  if (nodes_.empty()) return 0;
  std::vector<NodeId> last_user(nodes_.size());
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    last_user[id] = id;
    for (const NodeId input : nodes_[id].inputs) last_user[input] = id;
  }
  last_user[output()] = nodes_.size();

  const auto is_input = [this](NodeId id) { return std::holds_alternative<Input>(nodes_[id].op); };
  std::vector<std::int64_t> freed_after(nodes_.size() + 1, 0);
  std::int64_t alive = 0, peak = 0;
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    if (is_input(id)) alive += elements(nodes_[id].shape);
  }
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    const std::int64_t size = std::holds_alternative<Constant>(nodes_[id].op) ? 0 : elements(nodes_[id].shape);
    if (!is_input(id)) alive += size;
    peak = std::max(peak, alive);
    freed_after[last_user[id]] += size;
    alive -= freed_after[id];
  }
  return peak;
}

Fingerprint Network::fingerprint() const {
  Hasher hasher;
  hasher.add(std::string_view("duet.network"));
  hasher.add(static_cast<std::uint64_t>(nodes_.size()));
  for (const Node& node : nodes_) {
    hash(hasher, node.op);
    hasher.add(static_cast<std::uint64_t>(node.inputs.size()));
    for (const NodeId input : node.inputs) hasher.add(static_cast<std::uint64_t>(input));
    hash(hasher, node.format);
  }
  if (!nodes_.empty()) hasher.add(static_cast<std::uint64_t>(output()));
  return hasher.finish();
}

bool Network::operator==(const Network& other) const {
  // An output that was left to be the last node equals one that was set to it.
  return nodes_ == other.nodes_ && (nodes_.empty() || output() == other.output());
}

}  // namespace duet
