#pragma once
/// Workloads as einsums: a product of two operands summed into a result, over named dimensions, where every
/// tensor is addressed by affine expressions of the dimensions (`p·stride + r·dilation`). Convolution (grouped,
/// depthwise, strided, dilated), matrix products and attention are all this one thing. Regular values; pure
/// functions, any thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hw_models/systolic.hpp"
#include "spaces/architecture.hpp"
#include "spaces/network.hpp"

namespace duet {

/// The most dimensions that an einsum may have.
inline constexpr std::size_t max_dimensions = 8;

/// One dimension of the iteration space, `size` ≥ 1 points from 0 on. Lowered operators use a subset of these
/// names, so that an architecture's constraints can speak of them: N batch, G groups (or independent matrices),
/// M output channels, C input channels of one group, P and Q output rows and columns, R and S kernel rows and
/// columns. A matrix product has rows N, columns M and the summed dimension C.
struct Dimension {
  std::string name;
  std::int64_t size = 1;
  bool operator==(const Dimension&) const = default;
};

/// `coefficient` (≥ 1) times the index of a dimension.
struct IndexTerm {
  std::size_t dimension = 0;
  std::int64_t coefficient = 1;
  bool operator==(const IndexTerm&) const = default;
};

/// One coordinate of a tensor: the sum of one or two terms.
using IndexExpression = std::vector<IndexTerm>;

/// How one tensor is addressed. A dimension that occurs in no expression is irrelevant to the tensor.
struct EinsumTensor {
  std::string name;
  std::vector<IndexExpression> axes;
  bool operator==(const EinsumTensor&) const = default;
};

/// output[…] += weight[…] · input[…] for every point of the iteration space.
struct Einsum {
  std::vector<Dimension> dimensions;
  std::array<EinsumTensor, tensor_count> tensors;  ///< by Tensor: weight, input, output

  const EinsumTensor& tensor(Tensor which) const { return tensors[static_cast<std::size_t>(which)]; }
  std::optional<std::size_t> find_dimension(std::string_view name) const;
  std::int64_t size(std::size_t dimension) const { return dimensions[dimension].size; }
  /// Points of the iteration space.
  std::int64_t macs() const;
  /// Words of a tensor under the bounding-box convention: per axis Σ coefficient · (size − 1) + 1.
  std::int64_t box_words(Tensor which) const;

  bool operator==(const Einsum&) const = default;
};

/// Why the model cannot take it, one sentence, or nothing: no dimension or more than max_dimensions, a name twice, a
/// size or coefficient below 1, an axis without or with more than two terms, a dimension twice in a tensor, more than
/// one term on an axis of the output, more than 2^53 multiply-accumulates.
std::optional<std::string> why_invalid(const Einsum& einsum);

/// Extents of a convolution, all of them per group where groups divide.
struct ConvolutionShape {
  std::int64_t batch = 1, groups = 1;
  std::int64_t out_channels = 1, in_channels = 1;  ///< of one group
  std::int64_t output_h = 1, output_w = 1;
  std::int64_t kernel_h = 1, kernel_w = 1;
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t dilation_h = 1, dilation_w = 1;
};

/// Dimensions N, G (where groups > 1), M, C, P, Q, R, S. Padding counts as data: the input has
/// (output − 1)·stride + (kernel − 1)·dilation + 1 rows.
Einsum convolution_einsum(const ConvolutionShape& shape);

/// `count` products (rows × sum) · (sum × columns): dimensions G (where count > 1), N rows, M columns, C summed. The
/// second matrix is the weight; with `shared_weight` all products share it (then it has no G).
Einsum matrix_einsum(std::int64_t rows, std::int64_t columns, std::int64_t sum, std::int64_t count = 1,
                     bool shared_weight = false);

/// One distinct einsum of a network and how often it runs.
struct RepeatedEinsum {
  Einsum einsum;
  std::int64_t repeats = 0;
  NumberFormat format = {};    ///< of all its nodes
  std::vector<NodeId> nodes;  ///< that are this einsum
  std::vector<std::string> names;
};

/// The same work as an einsum: of 1×1 images under 1×1 kernels a matrix product, else a convolution.
Einsum einsum(const SystolicWorkload& work);

/// Every node that lower() gives to the array (see lowering.hpp), equal ones once, in order of first appearance. What it
/// gives to the vector unit (elementwise, pooling, normalisation, softmax) is not in it.
std::vector<RepeatedEinsum> einsums(const Network& network);

}  // namespace duet
