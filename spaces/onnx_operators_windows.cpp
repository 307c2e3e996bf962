#include "spaces/onnx_importer.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>
#include <onnx/onnx_pb.h>

namespace duet::onnx_graph {
namespace {

using onnx::NodeProto;

struct WindowOf {
  Ints kernel, strides, dilations, pads;
};

/// Padding is that of the first side.
template <class Op>
void set_window(Op& op, const WindowOf& w) {
  op.kernel_h = w.kernel[0];
  op.kernel_w = w.kernel[1];
  op.stride_h = w.strides[0];
  op.stride_w = w.strides[1];
  op.padding_h = w.pads[0];
  op.padding_w = w.pads[1];
  op.dilation_h = w.dilations[0];
  op.dilation_w = w.dilations[1];
}

/// A window's pads at top, left, bottom, right; with auto_pad as ONNX defines it.
Ints window_pads(const NodeProto& node, const Shape& image, const Ints& kernel, const Ints& strides,
                 const Ints& dilations) {
  const std::string automatic = text(node, "auto_pad", "NOTSET");
  const std::size_t rank = kernel.size();
  Ints pads = integers(node, "pads").value_or(Ints(2 * rank, 0));
  if (pads.size() != 2 * rank) throw Refusal("pads do not fit the kernel");
  if (automatic == "NOTSET" || automatic.empty()) return pads;
  std::fill(pads.begin(), pads.end(), 0);
  if (automatic == "VALID") return pads;
  if (automatic != "SAME_UPPER" && automatic != "SAME_LOWER") {
    throw Refusal(fmt::format("auto_pad is '{}'", automatic));
  }
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t extent = image[i + 2];
    const std::int64_t out = (extent + strides[i] - 1) / strides[i];
    const std::int64_t total =
        std::max<std::int64_t>(0, (out - 1) * strides[i] + dilations[i] * (kernel[i] - 1) + 1 - extent);
    const std::int64_t less = total / 2;
    pads[i] = automatic == "SAME_UPPER" ? less : total - less;
    pads[i + rank] = total - pads[i];
  }
  return pads;
}

/// A window over one or two dimensions; one is H = 1.
WindowOf window(const NodeProto& node, const Shape& image, Ints kernel) {
  const std::size_t rank = image.size() - 2;
  if (kernel.size() != rank) throw Refusal("the kernel does not fit the input");
  WindowOf w;
  w.kernel = std::move(kernel);
  w.strides = integers(node, "strides").value_or(Ints(rank, 1));
  w.dilations = integers(node, "dilations").value_or(Ints(rank, 1));
  if (w.strides.empty()) w.strides.assign(rank, 1);
  if (w.dilations.empty()) w.dilations.assign(rank, 1);
  if (w.strides.size() != rank || w.dilations.size() != rank) throw Refusal("strides do not fit the kernel");
  for (std::size_t i = 0; i < rank; ++i) {
    if (w.kernel[i] < 1 || w.kernel[i] > (std::int64_t{1} << 31) || image[i + 2] < 1) {
      throw Refusal("the kernel is out of range");
    }
  }
  w.pads = window_pads(node, image, w.kernel, w.strides, w.dilations);
  if (rank == 1) {
    w.kernel.insert(w.kernel.begin(), 1);
    w.strides.insert(w.strides.begin(), 1);
    w.dilations.insert(w.dilations.begin(), 1);
    w.pads = {0, w.pads[0], 0, w.pads[1]};
  }
  return w;
}

}  // namespace

/// (N, C, L) as (N, C, 1, L).
NodeId Importer::as_image(const NodeProto& node, NodeId x) {
  const Shape& have = network_.node(x).shape;
  if (have.size() != 3) return x;
  return add(node, "image", Reshape{{have[0], have[1], 1, have[2]}}, {x});
}

/// Adds the operator on images; a sequence gets its shape back.
void Importer::finish_image(const NodeProto& node, Operator op, NodeId x, bool sequence,
                            std::vector<FloatTensor> weights) {
  if (!sequence) return finish(node, std::move(op), {x}, std::move(weights));
  const NodeId made = add(node, "image_out", std::move(op), {x}, std::move(weights));
  const Shape& have = network_.node(made).shape;
  finish(node, Reshape{{have[0], have[1], have[3]}}, {made});
}

/// The tensors of a convolution with filters at input `at`.
std::vector<FloatTensor> Importer::filters_of(const NodeProto& node, int at, Shape filters, std::int64_t outputs,
                                              bool bias) {
  if (filters.size() == 3) filters.insert(filters.begin() + 2, 1);
  std::vector<FloatTensor> tensors{tensor(node, at, std::move(filters))};
  if (bias) tensors.push_back(tensor(node, at + 1, {outputs}));
  return tensors;
}

/// Every convolution of a network has weights of its own.
void Importer::count_shared(const NodeProto& node, int at, bool bias) {
  for (int i = at; i <= at + (bias ? 1 : 0); ++i) {
    if (uses_[node.input(i)] < 2 || held_.insert(node.input(i)).second) continue;
    counted_again_ += count_of(shape(node, i));
    if (i == at) approximate("its weights are those of a node before it, and counted again");
  }
}

void Importer::convolution(const NodeProto& node) {
  const bool quantized = node.op_type() == "QLinearConv";
  const int at = quantized ? 3 : 1;
  const bool bias = quantized ? has(node, 8) : node.op_type() == "Conv" && has(node, 2);
  const Value& weight = weights(node, at);
  const Shape filters = *weight.shape;
  const Shape image = shape(node, 0);
  const std::int64_t groups = integer(node, "group", 1);
  if (filters.size() < 3 || filters.size() != image.size()) throw Refusal("weights do not fit the input");
  if (image[1] != filters[1] * groups) {
    throw Refusal(fmt::format("weights {} with {} groups do not fit input {}", to_string(filters), groups,
                              to_string(image)));
  }
  node.op_type() != "Conv" ? quantised(value(node, 0), weight) : words_of(value(node, 0), weight);
  const bool computed_bias = bias && !value(node, quantized ? 8 : 2).constant;
  if (!weight.constant || computed_bias || filters.size() > 4) {
    const std::int64_t macs = product_of(output_shape(node), Shape(filters.begin() + 1, filters.end()));
    const std::int64_t parameters = (weight.constant ? count_of(filters) : 0) + (bias && !computed_bias ? filters[0] : 0);
    std::vector<int> positions{0};
    if (!weight.constant) positions.push_back(at);
    if (computed_bias) positions.push_back(quantized ? 8 : 2);
    return other(node, filters.size() > 4 ? "a convolution over more than two dimensions" : "its weights are computed",
                 macs, parameters, positions);
  }
  count_shared(node, at, bias);
  Ints kernel(filters.begin() + 2, filters.end());
  const WindowOf w = window(node, image, kernel);
  NodeId x = as_image(node, input(node, 0));
  Convolution op{.out_channels = filters[0], .groups = groups, .bias = bias};
  set_window(op, w);
  if (w.pads[0] != w.pads[2] || w.pads[1] != w.pads[3]) {
    x = add(node, "pad", Pad{{0, 0, w.pads[0], w.pads[1]}, {0, 0, w.pads[2], w.pads[3]}}, {x});
    op.padding_h = op.padding_w = 0;
  }
  finish_image(node, op, x, image.size() == 3, filters_of(node, at, filters, filters[0], bias));
}

void Importer::transposed_convolution(const NodeProto& node) {
  const Value& weight = weights(node, 1);
  const Shape filters = *weight.shape;  // (C_in, C_out / groups, …)
  const Shape image = shape(node, 0);
  const std::int64_t groups = integer(node, "group", 1);
  if (filters.size() < 3 || filters.size() != image.size() || filters[0] != image[1]) {
    throw Refusal("weights do not fit the input");
  }
  const bool bias = has(node, 2);
  words_of(value(node, 0), weight);
  const bool output_shape_given = attribute(node, "output_shape") != nullptr;
  if (!weight.constant || filters.size() > 4 || output_shape_given || text(node, "auto_pad", "NOTSET") != "NOTSET") {
    const std::int64_t macs = product_of(image, Shape(filters.begin() + 1, filters.end()));
    const bool own_bias = bias && value(node, 2).constant;
    const std::int64_t parameters = (weight.constant ? count_of(filters) : 0) + (own_bias ? filters[1] * groups : 0);
    return other(node, "counted only", macs, parameters, weight.constant ? std::vector<int>{0} : std::vector<int>{0, 1});
  }
  Ints kernel(filters.begin() + 2, filters.end());
  const WindowOf w = window(node, image, kernel);
  count_shared(node, 1, bias);
  Ints more = integers(node, "output_padding").value_or(Ints(kernel.size(), 0));
  if (more.size() == 1) more.insert(more.begin(), 0);
  if (more.size() != 2) throw Refusal("output_padding does not fit the kernel");
  NodeId x = as_image(node, input(node, 0));
  TransposedConvolution op{.out_channels = filters[1] * groups,
                           .output_padding_h = more[0],
                           .output_padding_w = more[1],
                           .groups = groups,
                           .bias = bias};
  set_window(op, w);
  std::vector<FloatTensor> tensors = filters_of(node, 1, filters, op.out_channels, bias);
  if (w.pads[0] == w.pads[2] && w.pads[1] == w.pads[3]) {
    return finish_image(node, op, x, image.size() == 3, std::move(tensors));
  }
  // Nothing is cut off by the operator, then the sides by different amounts.
  op.padding_h = op.padding_w = 0;
  x = add(node, "whole", op, {x}, std::move(tensors));
  Shape cut = network_.node(x).shape;
  cut[2] -= w.pads[0] + w.pads[2];
  cut[3] -= w.pads[1] + w.pads[3];
  finish_image(node, Slice{{0, 0, w.pads[0], w.pads[1]}, cut, {1, 1, 1, 1}}, x, image.size() == 3);
}

void Importer::pool(const NodeProto& node) {
  const Shape image = shape(node, 0);
  const bool average = node.op_type() == "AveragePool";
  if (node.output_size() > 1 && !node.output(1).empty()) approximate("the indices are not kept");
  if (image.size() < 3 || image.size() > 4) return other(node, "a window over more than two dimensions");
  WindowOf w = window(node, image, integers(node, "kernel_shape").value_or(Ints{}));
  const bool include = integer(node, "count_include_pad", 0) != 0;
  const bool sequence = image.size() == 3;
  if (integer(node, "ceil_mode", 0) != 0) {
    // The last window may begin within the input and end beyond its padding.
    for (const std::size_t i : {0U, 1U}) {
      if (sequence && i == 0) continue;
      const std::int64_t extent = sequence ? image[2] : image[i + 2];
      const std::int64_t rest = extent + w.pads[i] + w.pads[i + 2] - w.dilations[i] * (w.kernel[i] - 1) - 1;
      if (rest > 0 && rest % w.strides[i] != 0) w.pads[i + 2] += w.strides[i] - rest % w.strides[i];
    }
    if (average && include) approximate("what is rounded up counts as padding");
  }
  NodeId x = as_image(node, input(node, 0));
  const Pool::Kind kind = average ? Pool::Kind::average : Pool::Kind::max;
  const bool square = w.kernel[0] == w.kernel[1] && w.strides[0] == w.strides[1] &&
                      std::all_of(w.pads.begin(), w.pads.end(), [&](std::int64_t p) { return p == w.pads[0]; }) &&
                      w.pads[0] <= w.kernel[0] / 2 && w.dilations == Ints{1, 1};
  Operator op;
  if (square) {
    op = Pool{kind, w.kernel[0], w.strides[0], w.pads[0], average && include};
  } else {
    op = WindowPool{kind,      w.kernel[0], w.kernel[1], w.strides[0],    w.strides[1],    w.pads[0],
                    w.pads[1], w.pads[2],   w.pads[3],   w.dilations[0], w.dilations[1], average && include};
  }
  finish_image(node, op, x, sequence);
  if (node.output_size() > 1 && !node.output(1).empty()) {
    values_[node.output(1)].node = values_[node.output(0)].node;
    values_[node.output(1)].shape = values_[node.output(0)].shape;
  }
}

/// A function that duet wrote.
void Importer::sampling(const NodeProto& node) {
  if (!has(node, 0) || !has(node, 1)) throw Refusal("needs an image and offsets");
  const Shape image = shape(node, 0);
  if (image.size() != 4) throw Refusal("needs an image");
  const WindowOf w = window(node, image, integers(node, "kernel_shape").value_or(Ints{}));
  if (w.pads[0] != w.pads[2] || w.pads[1] != w.pads[3]) throw Refusal("its padding is not the same on both sides");
  NodeId x = input(node, 0);
  const NodeId offsets = input(node, 1);
  values_.at(node.output(0)).type = value(node, 0).type;
  DeformableSampling op{.range = integer(node, "range", 0), .square = integer(node, "square", 0) != 0};
  set_window(op, w);
  finish(node, op, {x, offsets});
}

void Importer::global_pool(const NodeProto& node) {
  const Shape image = shape(node, 0);
  if (image.size() < 3) throw Refusal("needs an image");
  const bool average = node.op_type() == "GlobalAveragePool";
  const NodeId x = input(node, 0);
  if (average && image.size() == 4) return finish(node, GlobalPool{}, {x});
  Ints axes(image.size() - 2);
  std::iota(axes.begin(), axes.end(), 2);
  finish(node, Reduce{average ? "mean" : "max", axes, true}, {x});
}

}  // namespace duet::onnx_graph
