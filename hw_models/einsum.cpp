#include "hw_models/einsum.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "hw_models/lowering.hpp"
#include "hw_models/number_format.hpp"

namespace duet {
namespace {

/// Collects dimensions in order and tensors by their names.
class Builder {
 public:
  Builder& dimension(std::string name, std::int64_t size) {
    einsum_.dimensions.push_back({std::move(name), size});
    return *this;
  }

  /// "N", "G" and so on as axes of their own; those that the einsum does not have are passed over.
  Builder& axes(Tensor tensor, std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
      if (const auto d = einsum_.find_dimension(name)) axis(tensor, {{*d, 1}});
    }
    return *this;
  }

  Builder& axis(Tensor tensor, IndexExpression expression) {
    einsum_.tensors[static_cast<std::size_t>(tensor)].axes.push_back(std::move(expression));
    return *this;
  }

  std::size_t at(std::string_view name) const { return einsum_.find_dimension(name).value(); }

  Einsum finish() {
    for (const Tensor tensor : all_tensors) {
      einsum_.tensors[static_cast<std::size_t>(tensor)].name = to_string(tensor);
    }
    return std::move(einsum_);
  }

 private:
  Einsum einsum_;
};

}  // namespace

std::optional<std::size_t> Einsum::find_dimension(std::string_view name) const {
  for (std::size_t d = 0; d < dimensions.size(); ++d) {
    if (dimensions[d].name == name) return d;
  }
  return std::nullopt;
}

std::int64_t Einsum::macs() const {
  std::int64_t result = 1;
  for (const Dimension& dimension : dimensions) result *= dimension.size;
  return result;
}

std::int64_t Einsum::box_words(Tensor which) const {
  std::int64_t words = 1;
  for (const IndexExpression& axis : tensor(which).axes) {
    std::int64_t extent = 1;
    for (const IndexTerm& term : axis) extent += term.coefficient * (size(term.dimension) - 1);
    words *= extent;
  }
  return words;
}

std::optional<std::string> why_invalid(const Einsum& einsum) {
  if (einsum.dimensions.empty()) return "the workload has no dimension";
  if (einsum.dimensions.size() > max_dimensions) {
    return fmt::format("the workload has {} dimensions, and {} is the most", einsum.dimensions.size(), max_dimensions);
  }
  double macs = 1;
  for (std::size_t d = 0; d < einsum.dimensions.size(); ++d) {
    const Dimension& dimension = einsum.dimensions[d];
    if (dimension.name.empty()) return fmt::format("dimension {} has no name", d);
    if (einsum.find_dimension(dimension.name) != d) return fmt::format("two dimensions are called {}", dimension.name);
    if (dimension.size < 1) return fmt::format("dimension {} has no point", dimension.name);
    macs *= static_cast<double>(dimension.size);
  }
  if (macs > 0x1p53) return "the workload has more than 2^53 multiply-accumulates";
  for (const Tensor tensor : all_tensors) {
    std::vector<bool> used(einsum.dimensions.size(), false);
    if (einsum.tensor(tensor).axes.size() > max_dimensions) {
      return fmt::format("the {} has {} axes, and {} is the most", to_string(tensor), einsum.tensor(tensor).axes.size(),
                         max_dimensions);
    }
    for (const IndexExpression& axis : einsum.tensor(tensor).axes) {
      if (axis.empty() || axis.size() > 2) {
        return fmt::format("an axis of the {} is a sum of {} terms; one or two are possible", to_string(tensor),
                           axis.size());
      }
      if (tensor == Tensor::output && (axis.size() != 1 || axis[0].coefficient != 1)) {
        return "an axis of the output is not a single dimension";
      }
      for (const IndexTerm& term : axis) {
        if (term.dimension >= einsum.dimensions.size()) {
          return fmt::format("an axis of the {} uses a dimension that there is not", to_string(tensor));
        }
        if (term.coefficient < 1) return fmt::format("a coefficient of the {} is below 1", to_string(tensor));
        if (used[term.dimension]) {
          return fmt::format("the {} uses dimension {} twice", to_string(tensor),
                             einsum.dimensions[term.dimension].name);
        }
        used[term.dimension] = true;
      }
    }
  }
  return std::nullopt;
}

Einsum convolution_einsum(const ConvolutionShape& shape) {
  Builder builder;
  builder.dimension("N", shape.batch);
  if (shape.groups > 1) builder.dimension("G", shape.groups);
  builder.dimension("M", shape.out_channels)
      .dimension("C", shape.in_channels)
      .dimension("P", shape.output_h)
      .dimension("Q", shape.output_w)
      .dimension("R", shape.kernel_h)
      .dimension("S", shape.kernel_w);
  builder.axes(Tensor::weight, {"G", "M", "C", "R", "S"});
  builder.axes(Tensor::input, {"N", "G", "C"})
      .axis(Tensor::input, {{builder.at("P"), shape.stride_h}, {builder.at("R"), shape.dilation_h}})
      .axis(Tensor::input, {{builder.at("Q"), shape.stride_w}, {builder.at("S"), shape.dilation_w}});
  builder.axes(Tensor::output, {"N", "G", "M", "P", "Q"});
  return builder.finish();
}

Einsum matrix_einsum(std::int64_t rows, std::int64_t columns, std::int64_t sum, std::int64_t count, bool shared_weight) {
  Builder builder;
  if (count > 1) builder.dimension("G", count);
  builder.dimension("N", rows).dimension("M", columns).dimension("C", sum);
  if (!shared_weight) builder.axes(Tensor::weight, {"G"});
  builder.axes(Tensor::weight, {"M", "C"});
  builder.axes(Tensor::input, {"G", "N", "C"});
  builder.axes(Tensor::output, {"G", "N", "M"});
  return builder.finish();
}

Einsum einsum(const SystolicWorkload& work) {
  if (work.output_h * work.output_w * work.kernel_h * work.kernel_w == 1) {
    return matrix_einsum(work.batch, work.filters, work.channels, work.groups);
  }
  return convolution_einsum({.batch = work.batch,
                             .groups = work.groups,
                             .out_channels = work.filters,
                             .in_channels = work.channels,
                             .output_h = work.output_h,
                             .output_w = work.output_w,
                             .kernel_h = work.kernel_h,
                             .kernel_w = work.kernel_w,
                             .stride_h = work.stride_h,
                             .stride_w = work.stride_w,
                             .dilation_h = work.dilation_h,
                             .dilation_w = work.dilation_w});
}

std::vector<RepeatedEinsum> einsums(const Network& network) {
  std::vector<RepeatedEinsum> found;
  const std::vector<Workload> workloads = lower(network);
  for (NodeId id = 0; id < workloads.size(); ++id) {
    const auto* work = std::get_if<SystolicWorkload>(&workloads[id]);
    if (work == nullptr) continue;
    Einsum lowered = einsum(*work);
    const NumberFormat format = operand_format(network.node(id));
    auto known = std::find_if(found.begin(), found.end(),
                              [&](const RepeatedEinsum& other) {
                                return other.einsum == lowered && other.format == format;
                              });
    if (known == found.end()) {
      known = found.insert(found.end(), {std::move(lowered), 0, format, {}, {}});
    }
    ++known->repeats;
    known->nodes.push_back(id);
    known->names.push_back(network.node(id).name);
  }
  return found;
}

}  // namespace duet
