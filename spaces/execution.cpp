#include "spaces/execution.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <numeric>

namespace duet {
namespace {

using Numbers = std::vector<float>;
using Ints = std::vector<std::int64_t>;

constexpr double unbounded = std::numeric_limits<double>::infinity();

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }
double wide(float value) { return static_cast<double>(value); }
float narrow(double value) { return static_cast<float>(value); }

/// Elements of `shape` from dimension `first` on, before `last`.
std::int64_t extent(const Shape& shape, std::size_t first, std::size_t last) {
  std::int64_t product = 1;
  for (std::size_t i = first; i < last; ++i) product *= shape[i];
  return product;
}

std::size_t axis_of(std::int64_t axis, const Shape& shape) {
  return index(axis < 0 ? axis + static_cast<std::int64_t>(shape.size()) : axis);
}

Ints strides_of(const Shape& shape) {
  Ints strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

/// Strides that repeat a tensor along the dimensions of `to`, aligned at the last.
Ints broadcast_strides(const Shape& from, const Shape& to) {
  const Ints own = strides_of(from);
  Ints strides(to.size(), 0);
  for (std::size_t i = 1; i <= from.size(); ++i) {
    if (from[from.size() - i] != 1) strides[to.size() - i] = own[from.size() - i];
  }
  return strides;
}

/// Calls use(offset) for every position of `shape` in order; the offset moves by `strides`.
template <class Use>
void walk(const Shape& shape, const Ints& strides, std::int64_t offset, Use use) {
  Ints at(shape.size(), 0);
  for (std::int64_t left = elements(shape); left > 0; --left) {
    use(index(offset));
    for (std::size_t d = shape.size(); d-- > 0;) {
      offset += strides[d];
      if (++at[d] < shape[d]) break;
      offset -= strides[d] * shape[d];
      at[d] = 0;
    }
  }
}

Numbers gathered(const Numbers& source, const Shape& shape, const Ints& strides, std::int64_t offset = 0) {
  Numbers result;
  result.reserve(index(elements(shape)));
  walk(shape, strides, offset, [&](std::size_t at) { result.push_back(source[at]); });
  return result;
}

Numbers broadcast(const FloatTensor& x, const Shape& shape) {
  if (x.shape == shape) return x.values;
  return gathered(x.values, shape, broadcast_strides(x.shape, shape));
}

template <class Function>
Numbers mapped(const Numbers& x, Function function) {
  Numbers result(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) result[i] = narrow(function(wide(x[i])));
  return result;
}

double dot(const float* a, const float* b, std::size_t size) {
  double sums[4] = {0, 0, 0, 0};  // independent, so that additions need not wait for one another
  std::size_t i = 0;
  for (; i + 4 <= size; i += 4) {
    for (std::size_t k = 0; k < 4; ++k) sums[k] += wide(a[i + k]) * wide(b[i + k]);
  }
  for (; i < size; ++i) sums[0] += wide(a[i]) * wide(b[i]);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// --- Functions -----------------------------------------------------------------------------------

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double hard_sigmoid(double x) { return std::clamp(x / 6 + 0.5, 0.0, 1.0); }
double from(bool truth) { return truth ? 1 : 0; }

double activate(Activation::Kind kind, double x) {
  switch (kind) {
    case Activation::Kind::relu:
      return std::max(x, 0.0);
    case Activation::Kind::relu6:
      return std::clamp(x, 0.0, 6.0);
    case Activation::Kind::sigmoid:
      return sigmoid(x);
    case Activation::Kind::tanh:
      return std::tanh(x);
    case Activation::Kind::hard_swish:
      return x * hard_sigmoid(x);
    case Activation::Kind::silu:
      return x * sigmoid(x);
    case Activation::Kind::gelu:
      return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
  }
  return x;
}

using Unary = double (*)(double);
using Binary = double (*)(double, double);

using Settings = const std::vector<double>&;
using Adjusted = double (*)(double, Settings);

/// Functions that have settings, by ONNX's names.
const std::map<std::string, Adjusted, std::less<>>& adjusted_functions() {
  static const std::map<std::string, Adjusted, std::less<>> functions{
      {"celu", [](double x, Settings s) { return std::max(x, 0.0) + std::min(0.0, s[0] * std::expm1(x / s[0])); }},
      {"clip", [](double x, Settings s) { return std::min(std::max(x, s[0]), s[1]); }},
      {"elu", [](double x, Settings s) { return x < 0 ? s[0] * std::expm1(x) : x; }},
      {"hard_sigmoid", [](double x, Settings s) { return std::clamp(s[0] * x + s[1], 0.0, 1.0); }},
      {"leaky_relu", [](double x, Settings s) { return x < 0 ? s[0] * x : x; }},
      // Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017, eq. 14.
      {"selu", [](double x, Settings s) { return s[1] * (x > 0 ? x : s[0] * std::expm1(x)); }},
      {"shrink", [](double x, Settings s) { return x < -s[1] ? x + s[0] : x > s[1] ? x - s[0] : 0; }},
      {"thresholded_relu", [](double x, Settings s) { return x > s[0] ? x : 0; }},
  };
  return functions;
}

/// By ONNX's names.
const std::map<std::string, Unary, std::less<>>& unary_functions() {
  static const std::map<std::string, Unary, std::less<>> functions{
      {"abs", [](double x) { return std::abs(x); }},
      {"acos", [](double x) { return std::acos(x); }},
      {"acosh", [](double x) { return std::acosh(x); }},
      {"asin", [](double x) { return std::asin(x); }},
      {"asinh", [](double x) { return std::asinh(x); }},
      {"atan", [](double x) { return std::atan(x); }},
      {"atanh", [](double x) { return std::atanh(x); }},
      {"ceil", [](double x) { return std::ceil(x); }},
      {"cos", [](double x) { return std::cos(x); }},
      {"cosh", [](double x) { return std::cosh(x); }},
      {"erf", [](double x) { return std::erf(x); }},
      {"exp", [](double x) { return std::exp(x); }},
      {"floor", [](double x) { return std::floor(x); }},
      {"is_inf", [](double x) { return from(std::isinf(x)); }},
      {"is_na_n", [](double x) { return from(std::isnan(x)); }},
      {"log", [](double x) { return std::log(x); }},
      {"neg", [](double x) { return -x; }},
      {"not", [](double x) { return from(x == 0); }},
      {"reciprocal", [](double x) { return 1 / x; }},
      {"round", [](double x) { return std::nearbyint(x); }},  // halves to even
      {"sign", [](double x) { return from(x > 0) - from(x < 0); }},
      {"sin", [](double x) { return std::sin(x); }},
      {"sinh", [](double x) { return std::sinh(x); }},
      {"softplus", [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }},
      {"softsign", [](double x) { return x / (1 + std::abs(x)); }},
      {"sqrt", [](double x) { return std::sqrt(x); }},
      {"tan", [](double x) { return std::tan(x); }},
  };
  return functions;
}

const std::map<std::string, Binary, std::less<>>& binary_functions() {
  static const std::map<std::string, Binary, std::less<>> functions{
      {"and", [](double a, double b) { return from(a != 0 && b != 0); }},
      {"div", [](double a, double b) { return a / b; }},
      {"equal", [](double a, double b) { return from(a == b); }},
      {"greater", [](double a, double b) { return from(a > b); }},
      {"greater_or_equal", [](double a, double b) { return from(a >= b); }},
      {"less", [](double a, double b) { return from(a < b); }},
      {"less_or_equal", [](double a, double b) { return from(a <= b); }},
      {"max", [](double a, double b) { return std::max(a, b); }},
      {"min", [](double a, double b) { return std::min(a, b); }},
      {"mod", [](double a, double b) { return a - std::floor(a / b) * b; }},
      {"or", [](double a, double b) { return from(a != 0 || b != 0); }},
      {"pow", [](double a, double b) { return std::pow(a, b); }},
      {"prelu", [](double a, double slope) { return a < 0 ? a * slope : a; }},
      {"sub", [](double a, double b) { return a - b; }},
      {"xor", [](double a, double b) { return from((a != 0) != (b != 0)); }},
  };
  return functions;
}

/// A reduction: where it starts, how it goes on, how it ends.
struct Fold {
  double start;
  Binary step;
  double (*end)(double total, double count) = [](double total, double) { return total; };
};

const std::map<std::string, Fold, std::less<>>& folds() {
  static const Binary add = [](double total, double x) { return total + x; };
  static const std::map<std::string, Fold, std::less<>> table{
      {"mean", {0, add, [](double total, double count) { return total / count; }}},
      {"sum", {0, add}},
      {"max", {-unbounded, [](double total, double x) { return std::max(total, x); }}},
      {"min", {unbounded, [](double total, double x) { return std::min(total, x); }}},
      {"prod", {1, [](double total, double x) { return total * x; }}},
      {"l1", {0, [](double total, double x) { return total + std::abs(x); }}},
      {"l2",
       {0, [](double total, double x) { return total + x * x; }, [](double total, double) { return std::sqrt(total); }}},
      {"sum_square", {0, [](double total, double x) { return total + x * x; }}},
      {"log_sum", {0, add, [](double total, double) { return std::log(total); }}},
      {"log_sum_exp",
       {-unbounded, [](double total, double x) {
          const double most = std::max(total, x);
          return std::isinf(most) ? most : most + std::log(std::exp(total - most) + std::exp(x - most));
        }}},
  };
  return table;
}

// --- Operators -----------------------------------------------------------------------------------

/// One node with the values of its inputs.
class Step {
 public:
  Step(const Node& node, std::vector<const FloatTensor*> inputs, const std::vector<FloatTensor>& weights)
      : node_(node), inputs_(std::move(inputs)), weights_(weights) {}

  [[noreturn]] void fail(const std::string& why) const {
    throw NetworkError(fmt::format("node '{}' ({}): {}", node_.name, name_of(node_.op), why));
  }

  Numbers operator()(const Input&) const { fail("has no value"); }
  Numbers operator()(const Zeros&) const { return Numbers(size(), 0); }
  Numbers operator()(const Constant&) const { return weights_[0].values; }
  Numbers operator()(const Other& op) const { fail(fmt::format("'{}' is known by its name only", op.type)); }
  Numbers operator()(const Outputs&) const { return x().values; }
  Numbers operator()(const Identity&) const { return x().values; }
  Numbers operator()(const Flatten&) const { return x().values; }
  Numbers operator()(const Reshape&) const { return x().values; }

  // One output channel at a time, row by row: sums stay in the cache.
  Numbers operator()(const Convolution& op) const {
    const Shape &in = x().shape, &out = node_.shape;
    const std::int64_t channels = in[1] / op.groups, per_group = op.out_channels / op.groups;
    const std::int64_t area = out[2] * out[3];
    const float* weight = weights_[0].values.data();
    Numbers result;
    result.reserve(size());
    std::vector<double> plane(index(area));
    for (std::int64_t n = 0; n < out[0]; ++n) {
      for (std::int64_t o = 0; o < op.out_channels; ++o) {
        std::fill(plane.begin(), plane.end(), op.bias ? wide(weights_[1].values[index(o)]) : 0.0);
        for (std::int64_t c = 0; c < channels; ++c) {
          const float* image = &x().values[index((n * in[1] + o / per_group * channels + c) * in[2] * in[3])];
          for (std::int64_t ky = 0; ky < op.kernel_h; ++ky) {
            for (std::int64_t kx = 0; kx < op.kernel_w; ++kx) {
              const double w = wide(weight[((o * channels + c) * op.kernel_h + ky) * op.kernel_w + kx]);
              const std::int64_t shift = kx * op.dilation_w - op.padding_w;
              // The columns whose input lies within the image.
              const std::int64_t first = shift < 0 ? (-shift + op.stride_w - 1) / op.stride_w : 0;
              const std::int64_t last = in[3] - 1 - shift < 0 ? 0 : std::min(out[3], (in[3] - 1 - shift) / op.stride_w + 1);
              for (std::int64_t y = 0; y < out[2]; ++y) {
                const std::int64_t row = y * op.stride_h - op.padding_h + ky * op.dilation_h;
                if (row < 0 || row >= in[2]) continue;
                const float* from_row = image + row * in[3] + shift;
                double* to = plane.data() + y * out[3];
                if (op.stride_w == 1) {
                  for (std::int64_t i = first; i < last; ++i) to[i] += w * wide(from_row[i]);
                } else {
                  for (std::int64_t i = first; i < last; ++i) to[i] += w * wide(from_row[i * op.stride_w]);
                }
              }
            }
          }
        }
        for (const double sum : plane) result.push_back(narrow(sum));
      }
    }
    return result;
  }

  Numbers operator()(const TransposedConvolution& op) const {
    const Shape &in = x().shape, &out = node_.shape;
    const std::int64_t channels = in[1] / op.groups, per_group = op.out_channels / op.groups;
    std::vector<double> sums(size(), 0);
    for (std::int64_t n = 0; n < in[0]; ++n) {
      for (std::int64_t o = 0; o < op.out_channels; ++o) {
        double* plane = &sums[index((n * out[1] + o) * out[2] * out[3])];
        std::fill(plane, plane + out[2] * out[3], op.bias ? wide(weights_[1].values[index(o)]) : 0.0);
      }
      for (std::int64_t c = 0; c < in[1]; ++c) {
        for (std::int64_t o = 0; o < per_group; ++o) {
          const float* image = &x().values[index((n * in[1] + c) * in[2] * in[3])];
          const float* kernel = &weights_[0].values[index((c * per_group + o) * op.kernel_h * op.kernel_w)];
          double* plane = &sums[index((n * out[1] + c / channels * per_group + o) * out[2] * out[3])];
          for (std::int64_t y = 0; y < in[2] * op.kernel_h; ++y) {
            const std::int64_t row = y / op.kernel_h * op.stride_h - op.padding_h + y % op.kernel_h * op.dilation_h;
            if (row < 0 || row >= out[2]) continue;
            for (std::int64_t i = 0; i < in[3] * op.kernel_w; ++i) {
              const std::int64_t column = i / op.kernel_w * op.stride_w - op.padding_w + i % op.kernel_w * op.dilation_w;
              if (column < 0 || column >= out[3]) continue;
              plane[row * out[3] + column] += wide(image[y / op.kernel_h * in[3] + i / op.kernel_w]) *
                                              wide(kernel[y % op.kernel_h * op.kernel_w + i % op.kernel_w]);
            }
          }
        }
      }
    }
    return Numbers(sums.begin(), sums.end());
  }

  /// a (rows, inner) · bᵀ (columns, inner)
  static void multiply(const float* a, const float* b, std::int64_t rows, std::int64_t columns, std::int64_t inner,
                       const float* bias, float* result) {
    for (std::int64_t column = 0; column < columns; ++column) {
      for (std::int64_t row = 0; row < rows; ++row) {
        const double sum = dot(a + row * inner, b + column * inner, index(inner));
        result[row * columns + column] = narrow(sum + (bias == nullptr ? 0 : wide(bias[column])));
      }
    }
  }

  Numbers operator()(const Linear& op) const {
    const std::int64_t inner = x().shape.back();
    Numbers result(size());
    multiply(x().values.data(), weights_[0].values.data(), elements(x().shape) / inner, op.out_features, inner,
             op.bias ? weights_[1].values.data() : nullptr, result.data());
    return result;
  }

  Numbers operator()(const MatMul& op) const {
    const Shape &a = x(0).shape, &b = x(1).shape, &out = node_.shape;
    const std::int64_t rows = a[a.size() - 2], inner = a.back(), columns = out.back();
    const Shape batch(out.begin(), out.end() - 2);
    const auto starts = [&batch](const Shape& of) {
      std::vector<std::size_t> result;
      walk(batch, broadcast_strides(Shape(of.begin(), of.end() - 2), batch), 0, [&](std::size_t at) { result.push_back(at); });
      return result;
    };
    const std::vector<std::size_t> a_starts = starts(a), b_starts = starts(b);
    Numbers result(size());
    for (std::size_t i = 0; i < a_starts.size(); ++i) {
      const float* second = x(1).values.data() + b_starts[i] * index(inner * columns);
      FloatTensor turned;
      if (!op.transpose_b) {
        turned = transposed({{inner, columns}, Numbers(second, second + inner * columns)});
        second = turned.values.data();
      }
      multiply(x().values.data() + a_starts[i] * index(rows * inner), second, rows, columns, inner, nullptr,
               result.data() + i * index(rows * columns));
    }
    return result;
  }

  /// The first position within the image of a window that starts at `start`, and the end of its positions there.
  static std::pair<std::int64_t, std::int64_t> seen_by_window(std::int64_t start, std::int64_t kernel, std::int64_t dilation,
                                                              std::int64_t side) {
    const std::int64_t before = start < 0 ? (-start + dilation - 1) / dilation : 0;
    return {start + before * dilation, std::min(side, start + (kernel - 1) * dilation + 1)};
  }

  Numbers operator()(const WindowPool& op) const {
    const Shape &in = x().shape, &out = node_.shape;
    const bool average = op.kind == Pool::Kind::average;
    Numbers result;
    result.reserve(size());
    for (std::int64_t plane = 0; plane < in[0] * in[1]; ++plane) {
      const float* image = x().values.data() + plane * in[2] * in[3];
      for (std::int64_t y = 0; y < out[2]; ++y) {
        for (std::int64_t i = 0; i < out[3]; ++i) {
          double total = average ? 0 : -unbounded;
          std::int64_t seen = 0;
          const auto rows = seen_by_window(y * op.stride_h - op.padding_top, op.kernel_h, op.dilation_h, in[2]);
          const auto columns = seen_by_window(i * op.stride_w - op.padding_left, op.kernel_w, op.dilation_w, in[3]);
          for (std::int64_t row = rows.first; row < rows.second; row += op.dilation_h) {
            for (std::int64_t column = columns.first; column < columns.second; column += op.dilation_w) {
              const double value = wide(image[row * in[3] + column]);
              total = average ? total + value : std::max(total, value);
              ++seen;
            }
          }
          const std::int64_t divisor = op.count_include_pad ? op.kernel_h * op.kernel_w : std::max<std::int64_t>(seen, 1);
          result.push_back(narrow(average ? total / static_cast<double>(divisor) : total));
        }
      }
    }
    return result;
  }

  Numbers operator()(const Pool& op) const {
    return (*this)(WindowPool{op.kind, op.kernel, op.kernel, op.stride, op.stride, op.padding, op.padding, op.padding,
                              op.padding, 1, 1, op.count_include_pad});
  }

  Numbers operator()(const GlobalPool&) const { return (*this)(Reduce{"mean", {2, 3}, true}); }

  Numbers operator()(const Add&) const {
    return combined([](double a, double b) { return a + b; });
  }
  Numbers operator()(const Multiply&) const {
    return combined([](double a, double b) { return a * b; });
  }

  Numbers operator()(const Concat& op) const {
    const std::size_t axis = axis_of(op.axis, node_.shape);
    Numbers result;
    result.reserve(size());
    for (std::int64_t i = 0; i < extent(node_.shape, 0, axis); ++i) {
      for (const FloatTensor* part : inputs_) {
        const auto run = extent(part->shape, axis, part->shape.size());
        result.insert(result.end(), part->values.begin() + i * run, part->values.begin() + (i + 1) * run);
      }
    }
    return result;
  }

  Numbers operator()(const Activation& op) const {
    return mapped(x().values, [&op](double value) { return activate(op.kind, value); });
  }

  Numbers operator()(const BatchNormalization&) const {
    constexpr double epsilon = 1e-5;
    const std::int64_t channels = x().shape[1], area = extent(x().shape, 2, x().shape.size());
    Numbers result(size());
    for (std::size_t i = 0; i < result.size(); ++i) {
      const std::size_t c = index(static_cast<std::int64_t>(i) / area % channels);
      const auto of = [&](std::size_t slot) { return wide(weights_[slot].values[c]); };
      result[i] = narrow((wide(x().values[i]) - of(2)) / std::sqrt(of(3) + epsilon) * of(0) + of(1));
    }
    return result;
  }

  Numbers operator()(const LayerNormalization& op) const { return normalized(true, wide(op.epsilon)); }
  Numbers operator()(const RmsNormalization& op) const { return normalized(false, wide(op.epsilon)); }

  Numbers operator()(const Softmax& op) const {
    const std::size_t axis = axis_of(op.axis, node_.shape);
    const std::int64_t length = node_.shape[axis], step = extent(node_.shape, axis + 1, node_.shape.size());
    Numbers result(size());
    for (std::int64_t line = 0; line < elements(node_.shape) / length; ++line) {
      const std::int64_t first = line / step * length * step + line % step;
      const auto value = [&](std::int64_t i) { return wide(x().values[index(first + i * step)]); };
      double most = -unbounded, total = 0;
      for (std::int64_t i = 0; i < length; ++i) most = std::max(most, value(i));
      for (std::int64_t i = 0; i < length; ++i) total += std::exp(value(i) - most);
      for (std::int64_t i = 0; i < length; ++i) result[index(first + i * step)] = narrow(std::exp(value(i) - most) / total);
    }
    return result;
  }

  Numbers operator()(const Embedding& op) const {
    const Numbers& table = inputs_.size() == 2 ? x(1).values : weights_[0].values;
    Numbers result;
    result.reserve(size());
    for (const float number : x().values) {
      const double entry = wide(number) < 0 ? wide(number) + static_cast<double>(op.entries) : wide(number);
      if (!(entry >= 0 && entry < static_cast<double>(op.entries))) {
        fail(fmt::format("entry {} is outside a table of {}", number, op.entries));
      }
      const auto row = table.begin() + static_cast<std::int64_t>(entry) * op.features;
      result.insert(result.end(), row, row + op.features);
    }
    return result;
  }

  Numbers operator()(const Elementwise& op) const {
    if (const auto found = unary_functions().find(op.function); found != unary_functions().end() && inputs_.size() == 1) {
      return mapped(x().values, found->second);
    }
    if (const auto found = adjusted_functions().find(op.function);
        found != adjusted_functions().end() && inputs_.size() == 1) {
      std::vector<double> settings(op.settings.begin(), op.settings.end());
      if (settings.empty()) {
        for (const FunctionSetting& setting : settings_of(op.function)) settings.push_back(wide(setting.usual));
      }
      return mapped(x().values, [&](double value) { return found->second(value, settings); });
    }
    if (op.function == "where" && inputs_.size() == 3) {
      const Numbers chosen = broadcast(x(0), node_.shape), yes = broadcast(x(1), node_.shape);
      Numbers result = broadcast(x(2), node_.shape);
      for (std::size_t i = 0; i < result.size(); ++i) result[i] = chosen[i] != 0 ? yes[i] : result[i];
      return result;
    }
    if (op.function == "mean") {
      const Numbers total = (*this)(Add{});
      const auto count = static_cast<double>(inputs_.size());
      return mapped(total, [count](double sum) { return sum / count; });
    }
    const auto found = binary_functions().find(op.function);
    const bool any_number = op.function == "max" || op.function == "min";
    if (found == binary_functions().end() || (inputs_.size() != 2 && !any_number)) {
      fail(fmt::format("'{}' of {} inputs is known by its name only", op.function, inputs_.size()));
    }
    return combined(found->second);
  }

  Numbers operator()(const Reduce& op) const {
    const auto found = folds().find(op.function);
    if (found == folds().end()) fail(fmt::format("'{}' is known by its name only", op.function));
    const Fold& fold = found->second;
    Shape kept = x().shape;
    for (const std::int64_t axis : op.axes) kept[index(axis)] = 1;
    std::vector<double> totals(index(elements(kept)), fold.start);
    std::size_t i = 0;
    walk(x().shape, broadcast_strides(kept, x().shape), 0, [&](std::size_t to) {
      totals[to] = fold.step(totals[to], wide(x().values[i++]));
    });
    const auto count = static_cast<double>(x().values.size() / totals.size());
    Numbers result;
    for (const double total : totals) result.push_back(narrow(fold.end(total, count)));
    return result;
  }

  Numbers operator()(const Transpose& op) const {
    const Ints own = strides_of(x().shape);
    Ints strides;
    for (const std::int64_t axis : op.permutation) strides.push_back(own[index(axis)]);
    return gathered(x().values, node_.shape, strides);
  }

  Numbers operator()(const Slice& op) const {
    Ints strides = strides_of(x().shape);
    const std::int64_t first = std::inner_product(op.starts.begin(), op.starts.end(), strides.begin(), std::int64_t{0});
    for (std::size_t i = 0; i < strides.size(); ++i) strides[i] *= op.steps[i];
    return gathered(x().values, node_.shape, strides, first);
  }

  Numbers operator()(const Pad& op) const {
    const Ints strides = strides_of(node_.shape);
    const std::int64_t first = std::inner_product(op.before.begin(), op.before.end(), strides.begin(), std::int64_t{0});
    Numbers result(size(), 0);
    std::size_t i = 0;
    walk(x().shape, strides, first, [&](std::size_t to) { result[to] = x().values[i++]; });
    return result;
  }

  // Dimension by dimension: interpolation is separable.
  Numbers operator()(const Resize& op) const {
    if (op.mode != "nearest" && op.mode != "linear" && op.mode != "cubic") fail(fmt::format("mode is '{}'", op.mode));
    Shape shape = x().shape;
    std::vector<double> values(x().values.begin(), x().values.end());
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      const std::int64_t in = shape[axis], out = op.shape[axis];
      if (in == out) continue;
      const std::int64_t run = extent(shape, axis + 1, shape.size()), blocks = extent(shape, 0, axis);
      std::vector<double> next(index(blocks * out * run), 0);
      for (std::int64_t i = 0; i < out; ++i) {
        for (const auto& [source, weight] : interpolation_taps(op, i, in, out)) {
          for (std::int64_t block = 0; block < blocks; ++block) {
            for (std::int64_t k = 0; k < run; ++k) {
              next[index((block * out + i) * run + k)] += weight * values[index((block * in + source) * run + k)];
            }
          }
        }
      }
      values = std::move(next);
      shape[axis] = out;
    }
    return Numbers(values.begin(), values.end());
  }

  Numbers operator()(const DeformableSampling& op) const {
    const Shape &in = x().shape, &out = node_.shape;
    const std::int64_t taps = op.kernel_h * op.kernel_w, area = out[2] * out[3];
    const auto limit = op.range == 0 ? unbounded : static_cast<double>(op.range);
    Numbers result(size());
    for (std::int64_t n = 0; n < out[0]; ++n) {
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        const std::int64_t ky = tap / op.kernel_w, kx = tap % op.kernel_w;
        for (std::int64_t at = 0; at < area; ++at) {
          const auto offset = [&](std::int64_t axis) {
            if (!op.square) return wide(x(1).values[index((n * 2 * taps + 2 * tap + axis) * area + at)]);
            const std::int64_t from_centre = axis == 0 ? 2 * ky - (op.kernel_h - 1) : 2 * kx - (op.kernel_w - 1);
            return wide(x(1).values[index(n * area + at)]) * static_cast<double>(from_centre) / 2;
          };
          const auto place = [&](std::int64_t axis, std::int64_t regular) {
            return static_cast<double>(regular) + std::clamp(offset(axis), -limit, limit);
          };
          const double y = place(0, at / out[3] * op.stride_h - op.padding_h + ky * op.dilation_h);
          const double i = place(1, at % out[3] * op.stride_w - op.padding_w + kx * op.dilation_w);
          const double down = y - std::floor(y), right = i - std::floor(i);
          for (std::int64_t c = 0; c < in[1]; ++c) {
            const float* image = &x().values[index((n * in[1] + c) * in[2] * in[3])];
            const auto pixel = [&](double row, double column) {
              if (!(row >= 0 && row < static_cast<double>(in[2]) && column >= 0 && column < static_cast<double>(in[3]))) return 0.0;
              return wide(image[static_cast<std::int64_t>(row) * in[3] + static_cast<std::int64_t>(column)]);
            };
            const double top = std::floor(y), left = std::floor(i);
            result[index((n * out[1] + c * taps + tap) * area + at)] =
                narrow((1 - down) * ((1 - right) * pixel(top, left) + right * pixel(top, left + 1)) +
                       down * ((1 - right) * pixel(top + 1, left) + right * pixel(top + 1, left + 1)));
          }
        }
      }
    }
    return result;
  }

  Numbers operator()(const Expand&) const { return broadcast(x(), node_.shape); }

  // The lower index first among equals.
  Numbers operator()(const TopK& op) const {
    const std::size_t length = index(x().shape.back()), k = index(op.k);
    Numbers result;
    std::vector<std::size_t> order(length);
    for (auto row = x().values.begin(); row != x().values.end(); row += x().shape.back()) {
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return row[static_cast<std::ptrdiff_t>(a)] > row[static_cast<std::ptrdiff_t>(b)]; });
      for (std::size_t i = 0; i < k; ++i) {
        result.push_back(op.indices ? static_cast<float>(order[i]) : row[static_cast<std::ptrdiff_t>(order[i])]);
      }
    }
    return result;
  }

 private:
  const FloatTensor& x(std::size_t i = 0) const { return *inputs_[i]; }
  std::size_t size() const { return index(elements(node_.shape)); }

  /// All inputs one after another, broadcast.
  Numbers combined(Binary function) const {
    std::vector<double> totals;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const Numbers next = broadcast(x(i), node_.shape);
      if (i == 0) {
        totals.assign(next.begin(), next.end());
      } else {
        for (std::size_t k = 0; k < totals.size(); ++k) totals[k] = function(totals[k], wide(next[k]));
      }
    }
    return Numbers(totals.begin(), totals.end());
  }

  /// Over the last dimension: (x − mean) / √(variance + ε) · scale + shift, or without mean and shift.
  Numbers normalized(bool centred, double epsilon) const {
    const std::size_t features = index(x().shape.back());
    const auto count = static_cast<double>(features);
    Numbers result(size());
    for (std::size_t row = 0; row < result.size(); row += features) {
      const float* values = x().values.data() + row;
      double mean = 0, squares = 0;
      for (std::size_t i = 0; centred && i < features; ++i) mean += wide(values[i]) / count;
      for (std::size_t i = 0; i < features; ++i) squares += (wide(values[i]) - mean) * (wide(values[i]) - mean) / count;
      const double root = std::sqrt(squares + epsilon);
      for (std::size_t i = 0; i < features; ++i) {
        const double shift = centred ? wide(weights_[1].values[i]) : 0;
        result[row + i] = narrow((wide(values[i]) - mean) / root * wide(weights_[0].values[i]) + shift);
      }
    }
    return result;
  }

  const Node& node_;
  std::vector<const FloatTensor*> inputs_;
  const std::vector<FloatTensor>& weights_;
};

}  // namespace

bool is_executable(const Node& node) {
  if (const auto* op = std::get_if<Elementwise>(&node.op)) {
    const bool several = op->function == "max" || op->function == "min";
    switch (node.inputs.size()) {
      case 1:
        return unary_functions().contains(op->function) || adjusted_functions().contains(op->function) || several ||
               op->function == "mean";
      case 2:
        return binary_functions().contains(op->function) || op->function == "mean";
      default:
        return several || op->function == "mean" || (op->function == "where" && node.inputs.size() == 3);
    }
  }
  if (const auto* op = std::get_if<Reduce>(&node.op)) return folds().contains(op->function);
  return !std::holds_alternative<Other>(node.op);
}

std::vector<InterpolationTap> interpolation_taps(const Resize& op, std::int64_t i, std::int64_t in, std::int64_t out) {
  const std::string& mode = op.mode;
  const auto position = static_cast<double>(i), from = static_cast<double>(in), to = static_cast<double>(out);
  const bool asymmetric = op.coordinates == "asymmetric";
  const bool corners = op.coordinates == "align_corners";
  double x = (position + 0.5) * from / to - 0.5;
  if (asymmetric) x = position * from / to;
  if (corners) x = out == 1 ? 0 : position * (from - 1) / (to - 1);
  const auto inside = [in](double at) { return std::clamp<std::int64_t>(static_cast<std::int64_t>(at), 0, in - 1); };
  if (mode == "nearest") return {{inside(asymmetric ? std::floor(x) : std::ceil(x - 0.5)), 1}};
  const double floor = std::floor(x), t = x - floor;
  if (mode == "linear") return {{inside(floor), 1 - t}, {inside(floor + 1), t}};
  constexpr double a = -0.75;
  const auto near = [](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  const auto far = [](double d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
  return {{inside(floor - 1), far(1 + t)}, {inside(floor), near(t)}, {inside(floor + 1), near(1 - t)}, {inside(floor + 2), far(2 - t)}};
}

std::vector<FloatTensor> execute(const Network& network, const NetworkWeights& weights,
                                 const std::vector<FloatTensor>& inputs) {
  check(network, weights);
  const auto nodes = network.nodes();
  const NodeId last = network.output();
  std::vector<NodeId> results{last};
  if (std::holds_alternative<Outputs>(nodes[last].op)) results = nodes[last].inputs;

  std::vector<std::size_t> uses(nodes.size(), 0);
  for (const Node& node : nodes) {
    for (const NodeId input : node.inputs) ++uses[input];
  }
  for (const NodeId id : results) ++uses[id];

  std::vector<FloatTensor> values(nodes.size());
  const auto value = [&](NodeId id) {
    return std::holds_alternative<Constant>(nodes[id].op) ? &weights[id][0] : &values[id];
  };
  std::size_t given = 0;
  for (NodeId id = 0; id < nodes.size(); ++id) {
    const Node& node = nodes[id];
    if (std::holds_alternative<Constant>(node.op)) continue;
    if (std::holds_alternative<Input>(node.op)) {
      if (given >= inputs.size()) throw NetworkError(fmt::format("node '{}' (input): is not given", node.name));
      const FloatTensor& input = inputs[given++];
      if (input.shape != node.shape || input.values.size() != static_cast<std::size_t>(elements(node.shape))) {
        throw NetworkError(fmt::format("node '{}' (input): has shape {}, got {} with {} numbers", node.name,
                                       to_string(node.shape), to_string(input.shape), input.values.size()));
      }
      values[id] = input;
      continue;
    }
    std::vector<const FloatTensor*> sources;
    for (const NodeId input : node.inputs) sources.push_back(value(input));
    values[id] = {node.shape, std::visit(Step(node, std::move(sources), weights[id]), node.op)};
    for (const NodeId input : node.inputs) {
      if (--uses[input] == 0) values[input] = {};
    }
    if (uses[id] == 0) values[id] = {};
  }
  if (given != inputs.size()) {
    throw NetworkError(fmt::format("the network has {} inputs, got {}", given, inputs.size()));
  }
  std::vector<FloatTensor> outputs;
  for (const NodeId id : results) outputs.push_back(*value(id));
  return outputs;
}

}  // namespace duet
