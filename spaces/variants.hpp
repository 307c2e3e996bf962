#pragma once
/// Dimensions that any network space gains: `variants:` beside its `type:` (docs/spaces/variants.md).
///
///   network:
///     type: nas_bench_macro
///     variants: {segments: 4, weight_bits: [2, 4, 8], sparsity: [0, "2:4"], resolution: [24, 32]}

#include <memory>
#include <span>

#include "spaces/design_space.hpp"

namespace duet {

/// What `variants:` may say.
std::span<const Option> variant_options();

/// The same part with these dimensions added below `variants`. \throws ConfigError at the option that is wrong, for a
/// part that is no network, and for a resolution that its networks cannot have.
std::shared_ptr<const DesignPart> with_variants(std::shared_ptr<const DesignPart> part, const Options& options);

/// The network on images of another size: every Input of rank 4 becomes (N, C, height, width); Zeros of rank 4 shrink and
/// grow with it. \throws NetworkError where shapes do not fit any more, or were fixed.
Network resized(const Network& network, std::int64_t height, std::int64_t width);

/// What may stand in for a convolution with a window.
enum class Replacement {
  none,
  /// A depthwise convolution of the same window and one of 1×1, for convolutions without groups (Howard et al.,
  /// "MobileNets", arXiv:1704.04861, section 3.1).
  depthwise_separable,
  /// Maximum pooling of the same window and stride, for convolutions that keep the number of channels: no parameters.
  max_pool,
  /// The same convolution of what a DeformableSampling reads. Its offsets come from one more convolution of the same window,
  /// with a bias; where the replaced one has groups that is depthwise, and one of 1×1 follows.
  deformable,
  /// Both: a depthwise deformable convolution and one of 1×1, for convolutions without groups (Huang et al., "CoDeNet",
  /// arXiv:2006.08357, section 3).
  deformable_depthwise,
};

/// What stands in for one node.
struct NodeReplacement {
  Replacement kind = Replacement::none;
  std::int64_t offset_range = 0;  ///< DeformableSampling::range
  bool square_offsets = false;    ///< DeformableSampling::square
};

/// The network with some layers replaced, by node id; where the operator does not qualify the node stays as it is. Nodes
/// keep their names, and layers their formats, which what is added has too; it is called after what it stands before.
/// \pre replacements.size() == network.nodes().size()
Network replaced(const Network& network, std::span<const NodeReplacement> replacements);

}  // namespace duet
