/// The trainer on libtorch: the only file that includes its headers.

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <limits>
#include <map>
#include <numbers>
#include <numeric>
#include <omp.h>
#include <stdexcept>
#include <string>
#include <utility>

// Only the operators in use: all of ATen would take several times as long to compile.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/Version.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/conv_transpose2d.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/grid_sampler.h>
#include <ATen/ops/hardswish.h>
#include <ATen/ops/hardtanh.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <torch/csrc/api/include/torch/version.h>

#include "core/random.hpp"
#include "estimators/trainer.hpp"
#include "estimators/training_plan.hpp"
#include "spaces/execution.hpp"

namespace duet {
namespace {

using Clock = std::chrono::steady_clock;

// Of batch normalisation, and the weight of a batch in the running statistics: as in the papers' own code and every library
// since.
constexpr double normalisation_epsilon = 1e-5;
constexpr double running_statistics_momentum = 0.1;

constexpr std::int64_t evaluation_batch = 250;
constexpr std::int64_t calibration_images = 256;
constexpr std::size_t calibration_values = 4096;  // kept of each tensor

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

/// Keeps OpenMP, and with it libtorch and oneDNN, to the calling thread, and leaves the thread as it was.
class SingleThread {
 public:
  SingleThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~SingleThread() { omp_set_num_threads(before_); }
  SingleThread(const SingleThread&) = delete;
  SingleThread& operator=(const SingleThread&) = delete;

 private:
  int before_;
};

// --- Images --------------------------------------------------------------------------------------

/// What a pixel becomes: (value − mean) / standard deviation over all training images.
using PixelTable = std::array<float, 256>;

PixelScale scale_of(const ImageSet& images) {
  std::array<std::int64_t, 256> counts{};
  for (const std::uint8_t pixel : images.pixels) ++counts[pixel];
  const auto total = static_cast<double>(images.pixels.size());
  double mean = 0;
  for (std::size_t i = 0; i < counts.size(); ++i)
    mean += static_cast<double>(i) * static_cast<double>(counts[i]) / total;
  double variance = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double difference = static_cast<double>(i) - mean;
    variance += difference * difference * static_cast<double>(counts[i]) / total;
  }
  return {mean, std::sqrt(std::max(variance, 1e-6))};
}

PixelTable table_of(const PixelScale& scale) {
  PixelTable table{};
  for (std::size_t i = 0; i < table.size(); ++i) {
    table[i] = static_cast<float>((static_cast<double>(i) - scale.mean) / scale.deviation);
  }
  return table;
}

/// The images at `positions` as (size, 1, height, width), mirrored where `mirrored` is not 0 (empty:
/// nowhere).
at::Tensor to_tensor(const ImageSet& images, const PixelTable& table, std::span<const std::int64_t> positions,
                     std::span<const char> mirrored = {}) {
  at::Tensor tensor =
      at::empty({static_cast<std::int64_t>(positions.size()), 1, images.height, images.width}, at::kFloat);
  float* target = tensor.data_ptr<float>();
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const std::uint8_t* image = images.pixels.data() + positions[i] * images.pixels_per_image();
    for (std::int64_t p = 0; p < images.pixels_per_image(); ++p) target[p] = table[image[p]];
    if (!mirrored.empty() && mirrored[i] != 0) {
      for (std::int64_t y = 0; y < images.height; ++y) {
        std::reverse(target + y * images.width, target + (y + 1) * images.width);
      }
    }
    target += images.pixels_per_image();
  }
  return tensor;
}

at::Tensor labels_tensor(const ImageSet& images, std::span<const std::int64_t> positions) {
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(positions.size())}, at::kLong);
  auto* target = tensor.data_ptr<std::int64_t>();
  for (const std::int64_t position : positions) *target++ = images.labels[static_cast<std::size_t>(position)];
  return tensor;
}

std::vector<std::int64_t> range(std::int64_t first, std::int64_t last) {
  std::vector<std::int64_t> positions(static_cast<std::size_t>(last - first));
  std::iota(positions.begin(), positions.end(), first);
  return positions;
}

// --- The network ---------------------------------------------------------------------------------

/// What a node has learned, in the order of weight_slots(); undefined tensors where its operator has no such thing.
struct Parameters {
  at::Tensor weight;  // of normalisations: scale; of constants: the value
  at::Tensor bias;    // of normalisations: shift
  at::Tensor running_mean;
  at::Tensor running_variance;
};
using State = std::vector<Parameters>;  // by node

at::IntArrayRef sizes(const Shape& shape) { return {shape.data(), shape.size()}; }

at::Tensor activate(const at::Tensor& x, Activation::Kind kind) {
  switch (kind) {
    case Activation::Kind::relu:
      return at::relu(x);
    case Activation::Kind::relu6:
      return at::hardtanh(x, 0, 6);
    case Activation::Kind::sigmoid:
      return at::sigmoid(x);
    case Activation::Kind::tanh:
      return at::tanh(x);
    case Activation::Kind::hard_swish:
      return at::hardswish(x);
    case Activation::Kind::silu:
      return at::silu(x);
    case Activation::Kind::gelu:
      return at::gelu(x);
  }
  throw std::logic_error("not an activation");
}

// --- Functions of single elements and of axes, by ONNX's names: those that execute() knows --------

at::Tensor number(const at::Tensor& truth) { return truth.to(at::kFloat); }
at::Tensor truth(const at::Tensor& x) { return x.ne(0); }

using Settings = std::vector<float>;
using Unary = at::Tensor (*)(const at::Tensor&, const Settings&);
using Binary = at::Tensor (*)(const at::Tensor&, const at::Tensor&);

const std::map<std::string, Unary, std::less<>>& unary_functions() {
  using X = const at::Tensor&;
  using S = const Settings&;
  static const std::map<std::string, Unary, std::less<>> functions{
      {"abs", [](X x, S) { return x.abs(); }},
      {"acos", [](X x, S) { return x.acos(); }},
      {"acosh", [](X x, S) { return x.acosh(); }},
      {"asin", [](X x, S) { return x.asin(); }},
      {"asinh", [](X x, S) { return x.asinh(); }},
      {"atan", [](X x, S) { return x.atan(); }},
      {"atanh", [](X x, S) { return x.atanh(); }},
      {"ceil", [](X x, S) { return x.ceil(); }},
      {"celu", [](X x, S s) { return x.clamp_min(0) + x.clamp_max(0).div(s[0]).expm1() * s[0]; }},
      {"clip", [](X x, S s) { return x.clamp(s[0], s[1]); }},
      {"cos", [](X x, S) { return x.cos(); }},
      {"cosh", [](X x, S) { return x.cosh(); }},
      {"elu", [](X x, S s) { return x.clamp_min(0) + x.clamp_max(0).expm1() * s[0]; }},
      {"erf", [](X x, S) { return x.erf(); }},
      {"exp", [](X x, S) { return x.exp(); }},
      {"floor", [](X x, S) { return x.floor(); }},
      {"hard_sigmoid", [](X x, S s) { return (x * s[0] + s[1]).clamp(0, 1); }},
      {"is_inf", [](X x, S) { return number(x.isinf()); }},
      {"is_na_n", [](X x, S) { return number(x.isnan()); }},
      {"leaky_relu", [](X x, S s) { return x.clamp_min(0) + x.clamp_max(0) * s[0]; }},
      {"log", [](X x, S) { return x.log(); }},
      {"neg", [](X x, S) { return x.neg(); }},
      {"not", [](X x, S) { return number(x.eq(0)); }},
      {"reciprocal", [](X x, S) { return x.reciprocal(); }},
      {"round", [](X x, S) { return x.round(); }},
      {"selu", [](X x, S s) { return (x.clamp_min(0) + x.clamp_max(0).expm1() * s[0]) * s[1]; }},
      {"shrink",
       [](X x, S s) { return number(x.lt(-s[1])) * (x + s[0]) + number(x.gt(s[1])) * (x - s[0]); }},
      {"sign", [](X x, S) { return x.sign(); }},
      {"sin", [](X x, S) { return x.sin(); }},
      {"sinh", [](X x, S) { return x.sinh(); }},
      {"softplus", [](X x, S) { return x.clamp_min(0) + x.abs().neg().exp().log1p(); }},
      {"softsign", [](X x, S) { return x / (x.abs() + 1); }},
      {"sqrt", [](X x, S) { return x.sqrt(); }},
      {"tan", [](X x, S) { return x.tan(); }},
      {"thresholded_relu", [](X x, S s) { return x * number(x.gt(s[0])); }},
  };
  return functions;
}

const std::map<std::string, Binary, std::less<>>& binary_functions() {
  using X = const at::Tensor&;
  static const std::map<std::string, Binary, std::less<>> functions{
      {"and", [](X a, X b) { return number(truth(a).logical_and(truth(b))); }},
      {"div", [](X a, X b) { return a.div(b); }},
      {"equal", [](X a, X b) { return number(a.eq(b)); }},
      {"greater", [](X a, X b) { return number(a.gt(b)); }},
      {"greater_or_equal", [](X a, X b) { return number(a.ge(b)); }},
      {"less", [](X a, X b) { return number(a.lt(b)); }},
      {"less_or_equal", [](X a, X b) { return number(a.le(b)); }},
      {"max", [](X a, X b) { return a.maximum(b); }},
      {"min", [](X a, X b) { return a.minimum(b); }},
      {"mod", [](X a, X b) { return a.remainder(b); }},
      {"or", [](X a, X b) { return number(truth(a).logical_or(truth(b))); }},
      {"pow", [](X a, X b) { return a.pow(b); }},
      {"prelu", [](X a, X slope) { return a.clamp_min(0) + a.clamp_max(0) * slope; }},
      {"sub", [](X a, X b) { return a.sub(b); }},
      {"xor", [](X a, X b) { return number(truth(a).logical_xor(truth(b))); }},
  };
  return functions;
}

at::Tensor compute(const Elementwise& op, const std::vector<at::Tensor>& x) {
  if (const auto found = unary_functions().find(op.function); found != unary_functions().end()) {
    Settings settings = op.settings;
    if (settings.empty()) {
      for (const FunctionSetting& setting : settings_of(op.function)) settings.push_back(setting.usual);
    }
    return found->second(x[0], settings);
  }
  if (op.function == "where") return x[1].where(truth(x[0]), x[2]);
  const Binary combine = op.function == "mean" ? [](const at::Tensor& a, const at::Tensor& b) { return a.add(b); }
                                               : binary_functions().at(op.function);
  at::Tensor result = x[0];
  for (std::size_t i = 1; i < x.size(); ++i) result = combine(result, x[i]);
  return op.function == "mean" ? result / static_cast<double>(x.size()) : result;
}

at::Tensor compute(const Reduce& op, const at::Tensor& x) {
  const at::IntArrayRef axes(op.axes);
  const bool keep = op.keep_dimensions;
  if (axes.empty()) {  // libtorch would take all of them; nothing is combined, but norms and logarithms remain
    if (op.function == "l1" || op.function == "l2") return x.abs();
    if (op.function == "sum_square") return x.square();
    return op.function == "log_sum" ? x.log() : x;
  }
  if (op.function == "mean") return x.mean(axes, keep);
  if (op.function == "sum") return x.sum(axes, keep);
  if (op.function == "max") return x.amax(axes, keep);
  if (op.function == "min") return x.amin(axes, keep);
  if (op.function == "l1") return x.abs().sum(axes, keep);
  if (op.function == "l2") return x.square().sum(axes, keep).sqrt();
  if (op.function == "sum_square") return x.square().sum(axes, keep);
  if (op.function == "log_sum") return x.sum(axes, keep).log();
  if (op.function == "log_sum_exp") return x.logsumexp(axes, keep);
  if (op.function != "prod") throw std::logic_error(fmt::format("no reduction '{}'", op.function));
  at::Tensor result = x;  // libtorch multiplies along one axis at a time
  for (std::size_t i = axes.size(); i-- > 0;) result = result.prod(axes[i], keep);
  return result;
}

// --- Operators -----------------------------------------------------------------------------------

/// As a convolution with a 1×1 kernel: oneDNN's is several times as fast as the reference BLAS.
at::Tensor linear(const at::Tensor& x, const Parameters& p) {
  const std::int64_t features = x.size(-1);
  const std::int64_t out_features = p.weight.size(0);
  const at::Tensor rows = x.reshape({-1, features, 1, 1});
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = out_features;
  return at::conv2d(rows, p.weight.view({out_features, features, 1, 1}), p.bias).reshape(shape);
}

/// The values of the image where the displaced taps of the window are: see DeformableSampling.
at::Tensor sample(const at::Tensor& image, const at::Tensor& offsets, const DeformableSampling& op, const Shape& out) {
  const std::int64_t batch = image.size(0), taps = op.kernel_h * op.kernel_w, height = out[2], width = out[3];
  const auto places = [&](std::int64_t kernel, std::int64_t extent, std::int64_t stride, std::int64_t padding,
                          std::int64_t dilation) {  // (kernel, extent)
    return at::arange(kernel, at::kFloat).mul(static_cast<double>(dilation)).view({kernel, 1}) +
           at::arange(extent, at::kFloat).mul(static_cast<double>(stride)).view({1, extent}) - static_cast<double>(padding);
  };
  at::Tensor displaced;  // (images, taps, 2, height, width)
  if (op.square) {
    const auto from_centre = [](std::int64_t kernel) {
      return at::arange(kernel, at::kFloat) - static_cast<double>(kernel - 1) / 2;
    };
    const at::Tensor down = from_centre(op.kernel_h).view({-1, 1}).expand({op.kernel_h, op.kernel_w});
    const at::Tensor right = from_centre(op.kernel_w).view({1, -1}).expand({op.kernel_h, op.kernel_w});
    displaced = offsets.view({batch, 1, 1, height, width}) *
                at::stack({down.reshape({taps}), right.reshape({taps})}, 1).view({1, taps, 2, 1, 1});
  } else {
    displaced = offsets.view({batch, taps, 2, height, width});
  }
  if (op.range != 0) displaced = displaced.clamp(-static_cast<double>(op.range), static_cast<double>(op.range));
  const at::Tensor rows = places(op.kernel_h, height, op.stride_h, op.padding_h, op.dilation_h)
                              .view({op.kernel_h, 1, height, 1}).expand({op.kernel_h, op.kernel_w, height, width});
  const at::Tensor columns = places(op.kernel_w, width, op.stride_w, op.padding_w, op.dilation_w)
                                 .view({1, op.kernel_w, 1, width}).expand({op.kernel_h, op.kernel_w, height, width});
  // From pixels to units of half the image from its centre, as the sampler counts.
  const auto scaled = [](const at::Tensor& pixels, std::int64_t extent) {
    return (pixels + 0.5).mul(2.0 / static_cast<double>(extent)) - 1;
  };
  const at::Tensor y = scaled(displaced.select(2, 0) + rows.reshape({1, taps, height, width}), image.size(2));
  const at::Tensor x = scaled(displaced.select(2, 1) + columns.reshape({1, taps, height, width}), image.size(3));
  const at::Tensor grid = at::stack({x, y}, -1).view({batch, taps * height, width, 2});
  constexpr std::int64_t bilinear = 0, zeros = 0;
  return at::grid_sampler(image, grid, bilinear, zeros, false).reshape({batch, out[1], height, width});
}

at::Tensor pool(const at::Tensor& x, const WindowPool& op) {
  const std::int64_t around[] = {op.padding_left, op.padding_right, op.padding_top, op.padding_bottom};
  const bool maximum = op.kind == Pool::Kind::max;
  const at::Tensor padded = at::constant_pad_nd(x, around, maximum ? -std::numeric_limits<float>::infinity() : 0.0F);
  if (maximum) {
    return at::max_pool2d(padded, {op.kernel_h, op.kernel_w}, {op.stride_h, op.stride_w}, 0, {op.dilation_h, op.dilation_w});
  }
  // Sums under the window, of the values and of ones.
  const auto total = [&](const at::Tensor& images) {
    const at::Tensor planes = images.reshape({-1, 1, images.size(2), images.size(3)});
    const at::Tensor sums = at::conv2d(planes, at::ones({1, 1, op.kernel_h, op.kernel_w}), at::Tensor(), {op.stride_h, op.stride_w},
                                       at::IntArrayRef({0, 0}), {op.dilation_h, op.dilation_w});
    return sums.view({images.size(0), images.size(1), sums.size(2), sums.size(3)});
  };
  if (op.count_include_pad) return total(padded) / static_cast<double>(op.kernel_h * op.kernel_w);
  return total(padded) / total(at::constant_pad_nd(at::ones({1, 1, x.size(2), x.size(3)}), around, 0)).clamp_min(1);
}

at::Tensor transpose_convolved(const at::Tensor& x, const TransposedConvolution& op, const Parameters& p) {
  return at::conv_transpose2d(x, p.weight, p.bias, {op.stride_h, op.stride_w}, {op.padding_h, op.padding_w},
                              {op.output_padding_h, op.output_padding_w}, op.groups, {op.dilation_h, op.dilation_w});
}

/// Along the dimensions that change, one after another, a product with the weights of the taps.
at::Tensor resized(const at::Tensor& x, const Resize& op, std::int64_t first) {
  at::Tensor result = x;
  for (std::int64_t axis = first; axis < x.dim(); ++axis) {
    const std::int64_t in = x.size(axis), out = op.shape[static_cast<std::size_t>(axis)];
    if (in == out) continue;
    const at::Tensor weights = at::zeros({in, out});
    for (std::int64_t i = 0; i < out; ++i) {
      for (const InterpolationTap& tap : interpolation_taps(op, i, in, out)) {
        weights.data_ptr<float>()[tap.source * out + i] += static_cast<float>(tap.weight);
      }
    }
    result = at::matmul(result.transpose(axis, -1), weights).transpose(axis, -1);
  }
  return result;
}

/// Dimensions before `first` stay as they are; so in `resized`.
at::Tensor sliced(const at::Tensor& x, const Slice& op, std::int64_t first) {
  at::Tensor result = x;
  for (std::int64_t axis = first; axis < x.dim(); ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    if (op.starts[i] == 0 && op.steps[i] == 1 && op.extents[i] == x.size(axis)) continue;
    result = result.index_select(axis, at::arange(op.extents[i], at::kLong) * op.steps[i] + op.starts[i]);
  }
  return result;
}

at::Tensor padded(const at::Tensor& x, const Pad& op) {
  std::vector<std::int64_t> around;  // from the last dimension on
  for (std::size_t i = op.before.size(); i-- > 0;) {
    around.push_back(op.before[i]);
    around.push_back(op.after[i]);
  }
  return at::constant_pad_nd(x, around, 0);
}

/// A constant as one for every image.
at::Tensor repeated(const at::Tensor& x, std::int64_t batch) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.front() = batch;
  return x.expand(shape);
}

/// A tensor of normal numbers.
at::Tensor normal(const Shape& shape, double deviation, Random& random) {
  at::Tensor tensor = at::empty(sizes(shape), at::kFloat);
  float* values = tensor.data_ptr<float>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i) values[i] = static_cast<float>(deviation * random.normal());
  return tensor;
}

at::Tensor he_normal(const Shape& shape, std::int64_t fan_in, Random& random) {
  return normal(shape, std::sqrt(2.0 / static_cast<double>(fan_in)), random);
}

/// Weights before training: normal with variance 2 / fan-in (He et al., "Delving deep into rectifiers", ICCV 2015, eq. 10);
/// learned constants normal with deviation 0.02 (Devlin et al., "BERT", NAACL 2019, published code; as in vision
/// transformers since); others ones; normalisations 1 and 0.
State initial_state(const Network& network, Random& random) {
  constexpr double constants = 0.02;
  State state(network.nodes().size());
  // Windows begin undeformed (Dai et al., "Deformable convolutional networks", arXiv:1703.06211, section 2.1).
  std::vector<bool> offsets(state.size());
  for (const Node& node : network.nodes()) {
    if (as<DeformableSampling>(node)) offsets[node.inputs[1]] = true;
  }
  for (NodeId id = 0; id < state.size(); ++id) {
    const Node& node = network.node(id);
    Parameters& p = state[id];
    if (const auto* convolution = as<Convolution>(node)) {
      const std::int64_t in_channels = network.node(node.inputs[0]).shape[1] / convolution->groups;
      p.weight = he_normal({convolution->out_channels, in_channels, convolution->kernel_h, convolution->kernel_w},
                           in_channels * convolution->kernel_h * convolution->kernel_w, random);
      if (offsets[id]) p.weight.zero_();
      if (convolution->bias) p.bias = at::zeros({convolution->out_channels});
    } else if (const auto* up = as<TransposedConvolution>(node)) {
      const std::int64_t in_channels = network.node(node.inputs[0]).shape[1];
      p.weight = he_normal({in_channels, up->out_channels / up->groups, up->kernel_h, up->kernel_w},
                           in_channels / up->groups * up->kernel_h * up->kernel_w, random);
      if (up->bias) p.bias = at::zeros({up->out_channels});
    } else if (const auto* layer = as<Linear>(node)) {
      const std::int64_t features = network.node(node.inputs[0]).shape.back();
      p.weight = he_normal({layer->out_features, features}, features, random);
      if (layer->bias) p.bias = at::zeros({layer->out_features});
    } else if (as<BatchNormalization>(node)) {
      p = {at::ones({node.shape[1]}), at::zeros({node.shape[1]}), at::zeros({node.shape[1]}),
           at::ones({node.shape[1]})};
    } else if (as<LayerNormalization>(node)) {
      p.weight = at::ones({node.shape.back()});
      p.bias = at::zeros({node.shape.back()});
    } else if (as<RmsNormalization>(node)) {
      p.weight = at::ones({node.shape.back()});
    } else if (const auto* constant = as<Constant>(node)) {
      if (constant->learned && constant->content == Constant::Content::unsaid) {
        p.weight = normal(constant->shape, constants, random);
      } else {
        const std::vector<float> content = content_of(*constant);
        p.weight = at::empty(sizes(constant->shape), at::kFloat);
        std::copy(content.begin(), content.end(), p.weight.data_ptr<float>());
      }
    }
  }
  return state;
}

/// The same function at inference with batch normalisations merged into the layers before them.
State folded(const TrainingPlan& plan, State state) {
  for (NodeId id = 0; id < state.size(); ++id) {
    if (!plan.foldable(id)) continue;
    const Parameters norm = std::exchange(state[id], {});
    Parameters& layer = state[plan.network.node(id).inputs.front()];
    const at::Tensor scale = norm.weight.div(norm.running_variance.add(normalisation_epsilon).sqrt());
    std::vector<std::int64_t> per_channel(static_cast<std::size_t>(layer.weight.dim()), 1);
    per_channel.front() = -1;
    layer.weight = layer.weight.mul(scale.view(per_channel));
    const at::Tensor centred =
        layer.bias.defined() ? layer.bias.sub(norm.running_mean) : norm.running_mean.neg();
    layer.bias = centred.mul(scale).add(norm.bias);
  }
  return state;
}

/// The value of a node that is no input. `batch` images, where the network has its own number.
at::Tensor apply(const TrainingPlan& plan, NodeId id, const std::vector<at::Tensor>& x, const Parameters& p, std::int64_t batch,
                 bool training) {
  const Node& node = plan.network.node(id);
  const bool images = plan.per_image[id];
  const std::int64_t first_axis = images ? 1 : 0;  // of those that the network knows
  Shape shape = node.shape;
  if (images) shape.front() = batch;
  return std::visit(
      Overloaded{
          [&](const Input&) -> at::Tensor { throw std::logic_error("inputs are given, not computed"); },
          [&](const Zeros&) { return at::zeros(sizes(shape)); },
          [&](const Constant&) { return p.weight; },
          [&](const Convolution& op) {
            return at::conv2d(x[0], p.weight, p.bias, {op.stride_h, op.stride_w},
                              {op.padding_h, op.padding_w}, {op.dilation_h, op.dilation_w}, op.groups);
          },
          [&](const TransposedConvolution& op) { return transpose_convolved(x[0], op, p); },
          [&](const Linear&) { return linear(x[0], p); },
          [&](const MatMul& op) { return at::matmul(x[0], op.transpose_b ? x[1].transpose(-2, -1) : x[1]); },
          [&](const Pool& op) {
            if (op.kind == Pool::Kind::max) return at::max_pool2d(x[0], op.kernel, op.stride, op.padding);
            return at::avg_pool2d(x[0], op.kernel, op.stride, op.padding, false, op.count_include_pad);
          },
          [&](const WindowPool& op) { return pool(x[0], op); },
          [&](const GlobalPool&) {
            return at::adaptive_avg_pool2d(x[0], {1, 1});
          },
          [&](const Add&) {
            at::Tensor sum = x[0].add(x[1]);
            for (std::size_t i = 2; i < x.size(); ++i) sum = sum.add(x[i]);
            return sum;
          },
          [&](const Multiply&) {
            at::Tensor product = x[0].mul(x[1]);
            for (std::size_t i = 2; i < x.size(); ++i) product = product.mul(x[i]);
            return product;
          },
          [&](const Elementwise& op) { return compute(op, x); },
          [&](const Reduce& op) { return compute(op, x[0]); },
          [&](const Concat& op) {
            std::vector<at::Tensor> parts = x;
            for (std::size_t i = 0; i < x.size() && images; ++i) {
              if (!plan.per_image[node.inputs[i]]) parts[i] = repeated(x[i], batch);
            }
            return at::cat(parts, op.axis);
          },
          [&](const Activation& op) { return activate(x[0], op.kind); },
          [&](const BatchNormalization&) {
            if (!p.weight.defined()) return x[0];  // folded
            return at::batch_norm(x[0], p.weight, p.bias, p.running_mean, p.running_variance, training,
                                  running_statistics_momentum, normalisation_epsilon, false);
          },
          [&](const LayerNormalization& op) {
            return at::layer_norm(x[0], {x[0].size(-1)}, p.weight, p.bias, static_cast<double>(op.epsilon), false);
          },
          [&](const RmsNormalization& op) {
            return x[0] * (x[0].square().mean(-1, true) + static_cast<double>(op.epsilon)).rsqrt() * p.weight;
          },
          [&](const Softmax& op) { return at::softmax(x[0], op.axis); },
          [&](const DeformableSampling& op) { return sample(x[0], x[1], op, node.shape); },
          [&](const Flatten&) { return x[0].flatten(1); }, [&](const Identity&) { return x[0]; },
          [&](const Reshape&) { return x[0].reshape(sizes(shape)); },
          [&](const Transpose& op) { return x[0].permute(op.permutation); },
          [&](const Slice& op) { return sliced(x[0], op, first_axis); },
          [&](const Pad& op) { return padded(x[0], op); },
          [&](const Resize& op) { return resized(x[0], op, first_axis); },
          [&](const Expand&) { return x[0].expand(sizes(shape)); },
          [&](const auto&) -> at::Tensor { throw std::logic_error("why_untrainable() refuses this operator"); }},
      node.op);
}

/// Scores (images, classes). `after(id, value)` sees, and may replace, the value of every node as it is
/// computed.
template <class After>
at::Tensor run(const TrainingPlan& plan, const State& state, const at::Tensor& images, bool training, After&& after) {
  const auto nodes = plan.network.nodes();
  std::vector<at::Tensor> values(nodes.size());
  std::vector<std::size_t> uses(nodes.size());  // still to come: a value that nobody needs any more is let go
  for (NodeId id = 0; id < nodes.size(); ++id) uses[id] = plan.users[id].size();
  for (NodeId id = 0; id <= plan.scores; ++id) {
    const Node& node = nodes[id];
    std::vector<at::Tensor> inputs;
    for (const NodeId input : node.inputs) {
      inputs.push_back(values[input]);
      if (--uses[input] == 0) values[input].reset();
    }
    values[id] = as<Input>(node) ? images : apply(plan, id, inputs, state[id], images.size(0), training);
    after(id, values[id]);
  }
  return values[plan.scores].flatten(1);
}

// --- Quantisation --------------------------------------------------------------------------------

/// A symmetric uniform quantiser: the values −q·step, …, −step, 0, step, …, q·step with q = 2^(bits − 1) − 1.
struct Quantizer {
  float step = 0;  // 0: everything is 0
  float largest = 0;

  float operator()(float value) const {
    if (step == 0) return 0;
    return std::clamp(std::nearbyint(value / step), -largest, largest) * step;
  }
};

/// The quantiser with the least squared error on `sample`, among those that clip at `maximum`·2^(−k/4), k = 0
/// … 20: few bits are worth more where the values are dense than at their rare extremes (Banner et al., "Post
/// training 4-bit quantization of convolutional networks for rapid-deployment", NeurIPS 2019, §2; there in
/// closed form).
Quantizer best_quantizer(std::span<const float> sample, float maximum, std::int64_t bits) {
  const auto largest = static_cast<float>((std::int64_t{1} << (bits - 1)) - 1);
  Quantizer best{0, largest};
  double least = std::numeric_limits<double>::infinity();
  if (maximum == 0) return best;
  for (int k = 0; k <= 20; ++k) {
    const Quantizer candidate{static_cast<float>(maximum * std::exp2(-k / 4.0)) / largest, largest};
    double error = 0;
    for (const float value : sample) {
      const double difference = value - candidate(value);
      error += difference * difference;
    }
    if (error < least) {
      least = error;
      best = candidate;
    }
  }
  return best;
}

/// What the calibration images showed of a stored value.
struct Calibration {
  std::vector<float> sample;
  float maximum = 0;  // of the magnitudes, over all elements
};

float largest_magnitude(std::span<const float> values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

std::span<const float> elements(const at::Tensor& contiguous) {
  return {contiguous.data_ptr<float>(), static_cast<std::size_t>(contiguous.numel())};
}

Calibration calibrate(const at::Tensor& value, Random& random) {
  const at::Tensor contiguous = value.contiguous();
  const std::span<const float> all = elements(contiguous);
  Calibration result{{}, largest_magnitude(all)};
  if (all.size() <= calibration_values) {
    result.sample.assign(all.begin(), all.end());
  } else {
    for (std::size_t i = 0; i < calibration_values; ++i)
      result.sample.push_back(all[random.below(all.size())]);
  }
  return result;
}

/// One quantiser per output channel.
at::Tensor quantized_weights(const at::Tensor& weight, std::int64_t bits) {
  at::Tensor result = weight.contiguous().clone();
  const auto channels = static_cast<std::size_t>(result.size(0));
  const std::size_t size = static_cast<std::size_t>(result.numel()) / channels;
  for (std::size_t channel = 0; channel < channels; ++channel) {
    const std::span<float> values(result.data_ptr<float>() + channel * size, size);
    const Quantizer quantizer = best_quantizer(values, largest_magnitude(values), bits);
    for (float& value : values) value = quantizer(value);
  }
  return result;
}

/// The weights of least magnitude set to 0: of every group in a row along the input channels, or of the whole layer
/// (Han et al., "Learning both weights and connections for efficient neural networks", NeurIPS 2015; without retraining).
/// Of equal ones the first stay. An incomplete last group keeps its share, rounded up.
at::Tensor pruned_weights(const at::Tensor& weight, const NumberFormat& format) {
  // (out, window, in): groups lie along the last dimension.
  const bool image = weight.dim() == 4;
  at::Tensor result = (image ? weight.permute({0, 2, 3, 1}) : weight).contiguous().clone();
  const std::int64_t row = format.sparsity_group == 0 ? result.numel() : result.size(-1);
  const std::int64_t group = format.sparsity_group == 0 ? result.numel() : std::min(row, format.sparsity_group);
  float* values = result.data_ptr<float>();
  std::vector<std::int64_t> order;
  for (std::int64_t first = 0; first < result.numel(); first += row) {
    for (std::int64_t begin = first; begin < first + row; begin += group) {
      const std::int64_t size = std::min(group, first + row - begin);
      order.resize(static_cast<std::size_t>(size));
      std::iota(order.begin(), order.end(), begin);
      std::stable_sort(order.begin(), order.end(),
                       [&](std::int64_t a, std::int64_t b) { return std::abs(values[a]) > std::abs(values[b]); });
      for (std::int64_t i = kept(format, size); i < size; ++i) values[order[static_cast<std::size_t>(i)]] = 0;
    }
  }
  return image ? result.permute({0, 3, 1, 2}).contiguous() : result;
}

void quantize(at::Tensor& value, const Quantizer& quantizer) {
  value = quantizer.step == 0 ? at::zeros_like(value)
                              : value.div(quantizer.step)
                                    .round_()
                                    .clamp_(-quantizer.largest, quantizer.largest)
                                    .mul_(quantizer.step);
}

// --- The model -----------------------------------------------------------------------------------

class TorchModel final : public TrainedModel {
 public:
  /// `images`: those that it was trained on. The model is usable only if finite().
  TorchModel(const TrainingPlan& plan, State state, const PixelScale& scale, const ImageSet& images, Random random)
      : plan_(plan),
        state_(std::move(state)),
        scale_(scale),
        table_(table_of(scale)),
        calibrations_(state_.size()) {
    folded_ = folded(plan_, state_);
    const auto first = range(0, std::min(images.size(), calibration_images));
    const at::Tensor scores =
        run(plan_, folded_, to_tensor(images, table_, first), false, [&](NodeId id, const at::Tensor& value) {
          if (plan_.stored(id)) calibrations_[id] = calibrate(value, random);
        });
    finite_ = scores.isfinite().all().item<bool>();
  }

  bool finite() const { return finite_; }

  double accuracy(const ImageSet& images, std::int64_t word_bits,
                  std::span<const NumberFormat> formats) const override try {
    const SingleThread single;
    const c10::InferenceMode inference;
    State state = folded_;
    std::vector<std::optional<Quantizer>> quantizers(state.size());
    const std::vector<std::int64_t> stored_bits = value_bits(word_bits, formats);
    for (NodeId id = 0; id < state.size(); ++id) {
      const Node& node = plan_.network.node(id);
      const bool inputs_first = as<TransposedConvolution>(node) != nullptr;
      if (as<Convolution>(node) || as<Linear>(node) || inputs_first) {
        const NumberFormat format = formats.empty() ? NumberFormat{} : formats[id];
        at::Tensor weight = inputs_first ? state[id].weight.transpose(0, 1) : state[id].weight;
        if (format.density < 1) weight = pruned_weights(weight, format);
        const std::int64_t bits = format.weight_bits != 0 ? format.weight_bits : word_bits;
        if (bits < full_precision_bits) weight = quantized_weights(weight, bits);
        state[id].weight = inputs_first ? weight.transpose(0, 1) : weight;
      }
      if (plan_.stored(id) && stored_bits[id] < full_precision_bits) {
        quantizers[id] = best_quantizer(calibrations_[id].sample, calibrations_[id].maximum, stored_bits[id]);
      }
    }

    std::int64_t correct = 0;
    for (std::int64_t first = 0; first < images.size(); first += evaluation_batch) {
      const auto positions = range(first, std::min(first + evaluation_batch, images.size()));
      const at::Tensor scores =
          run(plan_, state, to_tensor(images, table_, positions), false, [&](NodeId id, at::Tensor& value) {
            if (quantizers[id]) quantize(value, *quantizers[id]);
          }).contiguous();
      const float* row = scores.data_ptr<float>();
      for (const std::int64_t position : positions) {
        const std::ptrdiff_t best = std::max_element(row, row + scores.size(1)) - row;
        correct += best == images.labels[static_cast<std::size_t>(position)] ? 1 : 0;
        row += scores.size(1);
      }
    }
    return static_cast<double>(correct) / static_cast<double>(images.size());
  } catch (const c10::Error& error) {
    throw std::runtime_error(error.what_without_backtrace());
  }

  FloatTensor scores(const ImageSet& images) const override try {
    const SingleThread single;
    const c10::InferenceMode inference;
    FloatTensor result{{images.size(), 0}, {}};
    for (std::int64_t first = 0; first < images.size(); first += evaluation_batch) {
      const auto positions = range(first, std::min(first + evaluation_batch, images.size()));
      const at::Tensor batch = run(plan_, folded_, to_tensor(images, table_, positions), false,
                                   [](NodeId, const at::Tensor&) {}).contiguous();
      const std::span<const float> values = elements(batch);
      result.shape[1] = batch.size(1);
      result.values.insert(result.values.end(), values.begin(), values.end());
    }
    return result;
  } catch (const c10::Error& error) {
    throw std::runtime_error(error.what_without_backtrace());
  }

  // The fields of Parameters have the order of weight_slots().
  NetworkWeights weights() const override {
    NetworkWeights result(state_.size());
    for (NodeId id = 0; id < state_.size(); ++id) {
      const Parameters& p = state_[id];
      for (const at::Tensor* tensor : {&p.weight, &p.bias, &p.running_mean, &p.running_variance}) {
        if (!tensor->defined()) continue;
        const std::span<const float> values = elements(*tensor);
        result[id].push_back({tensor->sizes().vec(), {values.begin(), values.end()}});
      }
    }
    return result;
  }

  PixelScale pixel_scale() const override { return scale_; }

 private:
  /// Widths of the nodes' values: what the layers that read them ask for, the widest of them; `word_bits` where nobody
  /// asks. Operators without weights hand on what is asked of them.
  std::vector<std::int64_t> value_bits(std::int64_t word_bits, std::span<const NumberFormat> formats) const {
    std::vector<std::int64_t> bits(state_.size(), 0);
    for (NodeId id = state_.size(); id-- > 0;) {
      const Node& node = plan_.network.node(id);
      if (bits[id] == 0) bits[id] = word_bits;
      const bool layer = is_layer(node.op);
      const std::int64_t own = formats.empty() ? 0 : formats[id].activation_bits;
      for (const NodeId input : node.inputs) bits[input] = std::max(bits[input], layer ? (own != 0 ? own : word_bits) : bits[id]);
    }
    return bits;
  }

  TrainingPlan plan_;
  State state_;  // contiguous
  State folded_;
  PixelScale scale_;
  PixelTable table_;
  std::vector<Calibration> calibrations_;
  bool finite_ = false;
};

// --- Training ------------------------------------------------------------------------------------

/// Stochastic gradient descent with Nesterov momentum; see Recipe.
class Optimizer {
 public:
  Optimizer(const Network& network, State& state, const Recipe& recipe) : recipe_(recipe) {
    for (NodeId id = 0; id < state.size(); ++id) {
      const Node& node = network.node(id);
      const bool decays = as<Convolution>(node) || as<TransposedConvolution>(node) || as<Linear>(node);
      if (const auto* constant = as<Constant>(node); constant && !constant->learned) continue;
      if (state[id].weight.defined()) add(state[id].weight, decays);
      if (state[id].bias.defined()) add(state[id].bias, false);
    }
  }

  /// Moves all variables along their gradients and forgets these.
  void step(double learning_rate) {
    const at::NoGradGuard no_grad;
    for (Variable& variable : variables_) {
      at::Tensor& gradient = variable.value.mutable_grad();
      if (!gradient.defined()) continue;
      if (variable.decays) gradient.add_(variable.value, recipe_.weight_decay);
      variable.velocity.mul_(recipe_.momentum).add_(gradient);
      gradient.add_(variable.velocity, recipe_.momentum);
      variable.value.sub_(gradient, learning_rate);
      gradient.reset();
    }
  }

 private:
  struct Variable {
    at::Tensor value;
    at::Tensor velocity;
    bool decays;
  };

  void add(at::Tensor& value, bool decays) {
    value.requires_grad_(true);
    variables_.push_back({value, at::zeros_like(value), decays});
  }

  const Recipe& recipe_;
  std::vector<Variable> variables_;
};

Training ended(Status status, std::string reason) {
  return {status, std::move(reason), nullptr, 0};
}

Training train_model(const Network& network, const Recipe& recipe, const ImageSet& images, std::uint64_t seed,
                     std::uint64_t replicate, const std::stop_token& stop) {
  const SingleThread single;
  const auto start = Clock::now();
  const std::string name = network.fingerprint().hex();
  const TrainingPlan plan(network);
  const PixelScale scale = scale_of(images);
  const PixelTable table = table_of(scale);
  Random initialisation(seed, "trained initialisation " + name, replicate);
  State state = initial_state(network, initialisation);
  Optimizer optimizer(network, state, recipe);

  const std::int64_t batch = std::min(recipe.batch_size, images.size());
  const std::int64_t batches = images.size() / batch;
  const std::int64_t steps = recipe.epochs * batches;
  for (std::int64_t step = 0; step < steps;) {
    Random order(seed, "trained order " + name, replicate << 32 | static_cast<std::uint64_t>(step / batches));
    std::vector<std::int64_t> positions = range(0, images.size());
    order.shuffle(positions);
    for (std::int64_t i = 0; i < batches; ++i, ++step) {
      if (stop.stop_requested()) return ended(Status::failed, "stopped");
      if (const std::chrono::duration<double> spent = Clock::now() - start;
          spent.count() > recipe.time_limit_s) {
        return ended(Status::timed_out, fmt::format("training took longer than {} s ({} of {} steps done)",
                                                    recipe.time_limit_s, step, steps));
      }
      const std::span<const std::int64_t> chosen(positions.data() + i * batch,
                                                 static_cast<std::size_t>(batch));
      std::vector<char> mirrored;
      for (std::int64_t k = 0; recipe.flip && k < batch; ++k) mirrored.push_back(order.chance(0.5) ? 1 : 0);

      const at::Tensor scores = run(plan, state, to_tensor(images, table, chosen, mirrored), true,
                                    [](NodeId, const at::Tensor&) {});
      const at::Tensor loss = at::cross_entropy_loss(scores, labels_tensor(images, chosen), {},
                                                     at::Reduction::Mean, -100, recipe.label_smoothing);
      if (!std::isfinite(loss.item<float>())) {
        return ended(
            Status::failed,
            fmt::format(
                "training diverged: the loss was not finite in step {} of {}; a smaller learning_rate "
                "may help",
                step + 1, steps));
      }
      loss.backward();
      optimizer.step(
          recipe.learning_rate / 2 *
          (1 + std::cos(std::numbers::pi * static_cast<double>(step) / static_cast<double>(steps))));
    }
  }

  const at::NoGradGuard no_grad;
  for (Parameters& p : state) {
    for (at::Tensor* tensor : {&p.weight, &p.bias}) {
      if (tensor->defined()) *tensor = tensor->detach();
    }
  }
  auto model = std::make_shared<TorchModel>(plan, std::move(state), scale, images,
                                            Random(seed, "trained calibration " + name, replicate));
  if (!model->finite()) {
    return ended(Status::failed,
                 "training diverged: the last scores were not finite; a smaller learning_rate may help");
  }
  const std::chrono::duration<double> spent = Clock::now() - start;
  return {Status::ok, "", std::move(model), spent.count()};
}

class TorchTrainer final : public Trainer {
 public:
  TorchTrainer() {
    // Threads that libtorch starts later inherit these; SingleThread does the rest.
    const int before = omp_get_max_threads();
    at::set_num_threads(1);
    at::set_num_interop_threads(1);
    omp_set_num_threads(before);
    // An OpenBLAS that stands in for the reference BLAS has threads of its own.
    if (void* set_threads = dlsym(RTLD_DEFAULT, "openblas_set_num_threads")) {
      reinterpret_cast<void (*)(int)>(set_threads)(1);
    }
  }

  Training train(const Network& network, const Recipe& recipe, const ImageSet& images, std::uint64_t seed,
                 std::uint64_t replicate, std::stop_token stop) const override try {
    return train_model(network, recipe, images, seed, replicate, stop);
  } catch (const c10::Error& error) {
    return ended(Status::failed, fmt::format("libtorch: {}", error.what_without_backtrace()));
  } catch (const std::exception& error) {
    return ended(Status::failed, error.what());
  }

  std::string description() const override {
    std::string blas = "no BLAS";
    Dl_info info{};
    if (void* sgemm = dlsym(RTLD_DEFAULT, "sgemm_"); sgemm != nullptr && dladdr(sgemm, &info) != 0) {
      std::error_code ignored;
      blas = std::filesystem::weakly_canonical(info.dli_fname, ignored).string();
    }
    return fmt::format("libtorch {}, {}, BLAS {}", TORCH_VERSION, at::get_mkldnn_version(), blas);
  }
};

}  // namespace
}  // namespace duet

extern "C" __attribute__((visibility("default"))) const duet::Trainer* duet_torch_trainer(int interface) {
  if (interface != duet::trainer_interface) return nullptr;
  static const duet::TorchTrainer trainer;
  return &trainer;
}
