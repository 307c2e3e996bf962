#include "spaces/variants.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <fmt/format.h>
#include <utility>

#include "core/errors.hpp"
#include "core/random.hpp"
#include "spaces/blocks.hpp"

namespace duet {
namespace {

const std::vector<std::string> replacement_names{"none", "depthwise_separable", "max_pool", "deformable", "deformable_depthwise"};

const std::vector<std::string> offset_shapes{"free", "square"};

bool deformable(Replacement replacement) {
  return replacement == Replacement::deformable || replacement == Replacement::deformable_depthwise;
}

Replacement replacement_called(std::string_view name) {
  return static_cast<Replacement>(std::find(replacement_names.begin(), replacement_names.end(), name) - replacement_names.begin());
}

const std::vector<Option> option_table{
    {.name = "segments",
     .kind = Option::Kind::integer,
     .fallback = "1",
     .sentence = "Parts of equal numbers of layers, in order, each with widths, sparsity and replacement of its own; as "
                 "many as the network has layers: layer by layer.",
     .minimum = 1,
     .maximum = 1'000},
    {.name = "weight_bits",
     .kind = Option::Kind::integers,
     .fallback = "[]",
     .sentence = "Widths of weights to choose from; empty: as wide as the hardware's words.",
     .minimum = 1,
     .maximum = 64},
    {.name = "activation_bits",
     .kind = Option::Kind::integers,
     .fallback = "[]",
     .sentence = "Widths of the layers' inputs to choose from.",
     .minimum = 1,
     .maximum = 64},
    {.name = "sparsity",
     .kind = Option::Kind::list,
     .fallback = "[]",
     .sentence = "Of the weights, to choose from: the share of zeros (0.75), or N:M with N of M weights kept (\"2:4\").",
     .words = {}},
    {.name = "replacement",
     .kind = Option::Kind::words,
     .fallback = "[]",
     .sentence = "What stands in for convolutions with a window, to choose from.",
     .words = replacement_names},
    {.name = "offset_range",
     .kind = Option::Kind::integers,
     .fallback = "[0]",
     .sentence = "Of deformable replacements: how far offsets reach, in pixels, to choose from; 0: anywhere.",
     .minimum = 0,
     .maximum = 65'536},
    {.name = "offset_shape",
     .kind = Option::Kind::words,
     .fallback = "[free]",
     .sentence = "Of deformable replacements, to choose from: offsets of each tap (free), or of the window's extent (square).",
     .words = offset_shapes},
    {.name = "resolution",
     .kind = Option::Kind::integers,
     .fallback = "[]",
     .sentence = "Sides of the square input image to choose from; empty: as the space has it.",
     .minimum = 1,
     .maximum = 65'536}};

/// "0.75" or "2:4". \returns nothing if it is neither.
std::optional<NumberFormat> read_sparsity(const std::string& text) {
  NumberFormat format;
  const auto whole = [](std::string_view digits) -> std::optional<std::int64_t> {
    if (digits.empty() || digits.size() > 4 || digits.find_first_not_of("0123456789") != std::string_view::npos) return {};
    return std::stoll(std::string(digits));
  };
  if (const std::size_t colon = text.find(':'); colon != std::string::npos) {
    const auto kept = whole(std::string_view(text).substr(0, colon));
    const auto group = whole(std::string_view(text).substr(colon + 1));
    if (!kept || !group || *kept < 1 || *kept > *group) return {};
    if (*kept == *group) return format;
    format.density = static_cast<double>(*kept) / static_cast<double>(*group);
    format.sparsity_group = *group;
    return format;
  }
  std::size_t used = 0;
  try {
    const double zeros = std::stod(text, &used);
    if (used != text.size() || !(zeros >= 0 && zeros < 1)) return {};
    format.density = 1 - zeros;
  } catch (const std::exception&) {
    return {};
  }
  return format;
}

std::vector<double> ascending(const Options& options, std::string_view name) {
  std::vector<double> values = options.quantities(name);
  std::sort(values.begin(), values.end());
  if (std::adjacent_find(values.begin(), values.end()) != values.end()) options.fail(name, "a value is listed twice");
  return values;
}

/// Builds the network anew with some layers replaced.
class Replacing {
 public:
  Replacing(const Network& network, std::span<const NodeReplacement> replacements)
      : network_(network), replacements_(replacements), renumbered_(network.nodes().size()) {
    for (id_ = 0; id_ < network.nodes().size(); ++id_) renumbered_[id_] = replace();
    result_.set_output(renumbered_[network.output()]);
  }

  Network take() { return std::move(result_); }
  /// For every node of the result the one it stands for.
  const std::vector<NodeId>& origin() const { return origin_; }

 private:
  const Node& node() const { return network_.node(id_); }

  NodeId add(std::string name, Operator op, NodeIds inputs) {
    origin_.push_back(id_);
    const NodeId added = result_.add(std::move(name), std::move(op), std::move(inputs));
    if (is_layer(result_.node(added).op)) result_.set_format(added, node().format);
    return added;
  }

  NodeId replace() {
    NodeIds inputs;
    for (const NodeId input : node().inputs) inputs.push_back(renumbered_[input]);
    const auto* op = std::get_if<Convolution>(&node().op);
    if (op != nullptr && (op->kernel_h > 1 || op->kernel_w > 1)) {
      const NodeId x = inputs[0];
      const std::int64_t channels = result_.node(x).shape[1];
      switch (replacements_[id_].kind) {
        case Replacement::none:
          break;
        case Replacement::depthwise_separable:
          if (op->groups == 1) return separable(*op, x, node().name);
          break;
        case Replacement::max_pool:
          if (op->out_channels == channels) return add(node().name, max_pool(*op), {x});
          break;
        case Replacement::deformable:
          return add(node().name, of_taps(*op), {sampled(*op, x)});
        case Replacement::deformable_depthwise:
          if (op->groups != 1) break;
          const NodeId depthwise = add(node().name + ".depthwise", of_taps(depthwise_of(*op, channels)), {sampled(*op, x)});
          return add(node().name, pointwise_of(*op), {depthwise});
      }
    }
    return add(node().name, node().op, std::move(inputs));
  }

  static Convolution depthwise_of(Convolution op, std::int64_t channels) {
    op.out_channels = op.groups = channels;
    op.bias = false;
    return op;
  }

  static Convolution pointwise_of(const Convolution& op) { return {.out_channels = op.out_channels, .bias = op.bias}; }

  /// The convolution of taps that stand side by side as channels.
  static Convolution of_taps(const Convolution& op) {
    return {.out_channels = op.out_channels, .groups = op.groups, .bias = op.bias};
  }

  NodeId separable(const Convolution& op, NodeId x, const std::string& name) {
    const NodeId depthwise = add(name + ".depthwise", depthwise_of(op, result_.node(x).shape[1]), {x});
    return add(name, pointwise_of(op), {depthwise});
  }

  /// What a deformable convolution reads.
  NodeId sampled(const Convolution& op, NodeId x) {
    const NodeReplacement& how = replacements_[id_];
    Convolution offsets = op;
    offsets.out_channels = how.square_offsets ? 1 : 2 * op.kernel_h * op.kernel_w;
    offsets.bias = true;
    const bool cheap = op.groups > 1 || how.kind == Replacement::deformable_depthwise;
    offsets.groups = 1;
    const std::string name = node().name + ".offsets";
    const NodeId displaced = cheap ? separable(offsets, x, name) : add(name, offsets, {x});
    const DeformableSampling sampling{.kernel_h = op.kernel_h,
                                      .kernel_w = op.kernel_w,
                                      .stride_h = op.stride_h,
                                      .stride_w = op.stride_w,
                                      .padding_h = op.padding_h,
                                      .padding_w = op.padding_w,
                                      .dilation_h = op.dilation_h,
                                      .dilation_w = op.dilation_w,
                                      .range = how.offset_range,
                                      .square = how.square_offsets};
    return add(node().name + ".sampled", sampling, {x, displaced});
  }

  static Operator max_pool(const Convolution& op) {
    const bool square = op.kernel_h == op.kernel_w && op.stride_h == op.stride_w && op.dilation_h == 1 && op.dilation_w == 1 &&
                        op.padding_h == op.padding_w && 2 * op.padding_h <= op.kernel_h;
    // The plain operator where it will do: trainers know it.
    if (square) return Pool{.kind = Pool::Kind::max, .kernel = op.kernel_h, .stride = op.stride_h, .padding = op.padding_h};
    return WindowPool{.kind = Pool::Kind::max,
                      .kernel_h = op.kernel_h,
                      .kernel_w = op.kernel_w,
                      .stride_h = op.stride_h,
                      .stride_w = op.stride_w,
                      .padding_top = op.padding_h,
                      .padding_left = op.padding_w,
                      .padding_bottom = op.padding_h,
                      .padding_right = op.padding_w,
                      .dilation_h = op.dilation_h,
                      .dilation_w = op.dilation_w};
  }

  const Network& network_;
  std::span<const NodeReplacement> replacements_;
  std::vector<NodeId> renumbered_;
  Network result_;
  std::vector<NodeId> origin_;
  NodeId id_ = 0;
};

class Variants final : public DesignPart {
 public:
  Variants(std::shared_ptr<const DesignPart> part, const Options& options)
      : part_(std::move(part)),
        segments_(static_cast<std::size_t>(options.integer("segments"))),
        weight_bits_(ascending(options, "weight_bits")),
        activation_bits_(ascending(options, "activation_bits")),
        sparsities_(options.list("sparsity")),
        replacements_(options.list("replacement")),
        offset_ranges_(ascending(options, "offset_range")),
        offset_shapes_(options.list("offset_shape")),
        resolutions_(ascending(options, "resolution")) {
    const bool any = std::any_of(replacements_.begin(), replacements_.end(),
                                 [](const std::string& name) { return deformable(replacement_called(name)); });
    for (const std::string_view name : {"offset_range", "offset_shape"}) {
      if (!any && options.given(name)) options.fail(name, fmt::format("'{}' is about deformable replacements, and 'replacement' lists none", name));
    }
    if (offset_ranges_.empty()) options.fail("offset_range", "needs at least one value");
    if (offset_shapes_.empty()) options.fail("offset_shape", "needs at least one value");
    for (std::size_t i = 0; i < sparsities_.size(); ++i) {
      const auto format = read_sparsity(sparsities_[i]);
      if (!format) {
        options.fail("sparsity", fmt::format("'{}' is no sparsity: expected a share of zeros below 1 (0.75), or N:M with N "
                                             "of M weights kept (\"2:4\")", sparsities_[i]));
      }
      formats_.push_back(*format);
      if (std::find(formats_.begin(), formats_.end() - 1, *format) != formats_.end() - 1) {
        options.fail("sparsity", fmt::format("'{}' is listed twice", sparsities_[i]));
      }
    }
    probe(options);
  }

  std::vector<SpaceNode> nodes() const override {
    std::vector<SpaceNode> dimensions;
    if (!resolutions_.empty()) dimensions.push_back(ordinal("resolution", resolutions_, "1", "Side of the input image."));
    for (std::size_t i = 1; i <= segments_; ++i) {
      std::vector<SpaceNode> of_segment;
      if (!weight_bits_.empty()) of_segment.push_back(ordinal("weight_bits", weight_bits_, "bit", "Width of weights."));
      if (!activation_bits_.empty()) {
        of_segment.push_back(ordinal("activation_bits", activation_bits_, "bit", "Width of the layers' inputs."));
      }
      if (!sparsities_.empty()) {
        of_segment.push_back(choice("sparsity", sparsities_, "Share of zeros among the weights, or how many of how many are kept."));
      }
      if (!replacements_.empty()) of_segment.push_back(replacement_node());
      if (!of_segment.empty()) dimensions.push_back(group(fmt::format("segment{}", i), std::move(of_segment)));
    }
    std::vector<SpaceNode> nodes = part_->nodes();
    if (!dimensions.empty()) nodes.push_back(group("variants", std::move(dimensions)));
    return nodes;
  }

  std::vector<PartQuantity> quantities() const override {
    std::vector<PartQuantity> quantities = part_->quantities();
    if (replacements_.empty() && resolutions_.empty()) return quantities;
    const std::vector<PartQuantity> counted = network_quantities([this](const Assignment& a) { return build(a); });
    // The others are of the network as the space has it: constraints of its own read them.
    for (PartQuantity& quantity : quantities) {
      for (const PartQuantity& c : counted) {
        if (c.name == quantity.name) quantity.compute = c.compute;
      }
    }
    return quantities;
  }

  std::vector<PartLabel> labels() const override { return part_->labels(); }
  std::vector<std::string> constraints() const override { return part_->constraints(); }
  Fingerprint inputs() const override { return part_->inputs(); }
  std::optional<Network> network(const Assignment& assignment) const override { return build(assignment); }

 private:
  /// What varies of a deformable replacement lies below it.
  SpaceNode replacement_node() const {
    std::vector<OptionNode> kinds;
    for (const std::string& name : replacements_) {
      OptionNode& kind = kinds.emplace_back(OptionNode{name, {}});
      if (!deformable(replacement_called(name))) continue;
      if (offset_ranges_.size() > 1) {
        kind.children.push_back(ordinal("offset_range", offset_ranges_, "1", "How far offsets reach, in pixels; 0: anywhere."));
      }
      if (offset_shapes_.size() > 1) {
        kind.children.push_back(choice("offset_shape", offset_shapes_, "Whether offsets are of each tap or of the window's extent."));
      }
    }
    return choice("replacement", std::move(kinds), "What stands in for convolutions with a window.");
  }

  NodeReplacement replacement(const Assignment& assignment, std::size_t segment) const {
    const std::string chosen = path(segment, "replacement");
    const std::string& name = assignment.option(chosen);
    NodeReplacement how{.kind = replacement_called(name)};
    if (!deformable(how.kind)) return how;
    const std::string below = fmt::format("{}.{}.", chosen, name);
    how.offset_range = offset_ranges_.size() > 1 ? assignment.integer(below + "offset_range")
                                                 : static_cast<std::int64_t>(offset_ranges_[0]);
    how.square_offsets = (offset_shapes_.size() > 1 ? assignment.option(below + "offset_shape") : offset_shapes_[0]) == "square";
    return how;
  }

  /// Some designs for each resolution: what networks of the space cannot be is found at once.
  void probe(const Options& options) const {
    if (!resolutions_.empty()) {
      const std::vector<SpaceNode> nodes = part_->nodes();
      const std::vector<PartQuantity> quantities = part_->quantities();
      const auto called = [](const auto& one) { return one.name == "resolution"; };
      if (std::any_of(nodes.begin(), nodes.end(), called) || std::any_of(quantities.begin(), quantities.end(), called)) {
        options.fail("resolution", "the space has a resolution of its own: give it there");
      }
    }
    const Space space({group("network", part_->nodes())});
    for (std::uint64_t i = 0; i < 16; ++i) {
      Random random(0, "variants", i);
      const Candidate candidate = space.sample_any(random);
      std::optional<Network> network;
      try {
        network = part_->network(Assignment(space, candidate, "network"));
      } catch (const NetworkError&) {  // no sensible network, but one
        continue;
      }
      if (!network) options.fail("segments", "variants are of networks, and this part of the space is none");
      if (resolutions_.empty()) return;
      const auto is_image = [](const Node& node) { return std::holds_alternative<Input>(node.op) && node.shape.size() == 4; };
      if (std::none_of(network->nodes().begin(), network->nodes().end(), is_image)) {
        options.fail("resolution", "networks of this space have no image for an input");
      }
      for (const double side : resolutions_) {
        try {
          resized(*network, static_cast<std::int64_t>(side), static_cast<std::int64_t>(side));
        } catch (const NetworkError& error) {
          options.fail("resolution", fmt::format("networks of this space cannot have images of {0}×{0}: {1}", side, error.what()));
        }
      }
    }
  }

  Network build(const Assignment& assignment) const {
    Network network = *part_->network(assignment);
    if (!resolutions_.empty()) {
      const std::int64_t side = assignment.integer("variants.resolution");
      network = resized(network, side, side);
    }
    // Replaced layers belong to the segment of the original.
    std::vector<NodeId> layers;
    for (NodeId id = 0; id < network.nodes().size(); ++id) {
      if (is_layer(network.node(id).op)) layers.push_back(id);
    }
    std::vector<std::size_t> segment(network.nodes().size(), 0);
    for (std::size_t i = 0; i < layers.size(); ++i) segment[layers[i]] = 1 + i * segments_ / layers.size();

    if (!replacements_.empty()) {
      std::vector<NodeReplacement> replacements(network.nodes().size());
      for (const NodeId id : layers) replacements[id] = replacement(assignment, segment[id]);
      Replacing replacing(network, replacements);
      std::vector<std::size_t> moved;
      for (const NodeId id : replacing.origin()) moved.push_back(segment[id]);
      segment = std::move(moved);
      network = replacing.take();
    }
    for (NodeId id = 0; id < network.nodes().size(); ++id) {
      if (segment[id] == 0 || !is_layer(network.node(id).op)) continue;
      NumberFormat format;
      if (!std::holds_alternative<MatMul>(network.node(id).op)) {
        if (!sparsities_.empty()) {
          const auto found = std::find(sparsities_.begin(), sparsities_.end(), assignment.option(path(segment[id], "sparsity")));
          format = formats_[static_cast<std::size_t>(found - sparsities_.begin())];
        }
        if (!weight_bits_.empty()) format.weight_bits = assignment.integer(path(segment[id], "weight_bits"));
      }
      if (!activation_bits_.empty()) format.activation_bits = assignment.integer(path(segment[id], "activation_bits"));
      network.set_format(id, merged(network.node(id).format, format));
    }
    return network;
  }

  static std::string path(std::size_t segment, std::string_view name) {
    return fmt::format("variants.segment{}.{}", segment, name);
  }

  std::shared_ptr<const DesignPart> part_;
  std::size_t segments_;
  std::vector<double> weight_bits_, activation_bits_;
  std::vector<std::string> sparsities_;
  std::vector<NumberFormat> formats_;  ///< of `sparsities_`
  std::vector<std::string> replacements_;
  std::vector<double> offset_ranges_;
  std::vector<std::string> offset_shapes_;
  std::vector<double> resolutions_;
};

}  // namespace

std::span<const Option> variant_options() { return option_table; }

std::shared_ptr<const DesignPart> with_variants(std::shared_ptr<const DesignPart> part, const Options& options) {
  return std::make_shared<Variants>(std::move(part), options);
}

Network replaced(const Network& network, std::span<const NodeReplacement> replacements) {
  return Replacing(network, replacements).take();
}

Network resized(const Network& network, std::int64_t height, std::int64_t width) {
  Network result;
  std::int64_t old_height = 0, old_width = 0;
  for (NodeId id = 0; id < network.nodes().size(); ++id) {
    const Node& node = network.node(id);
    Operator op = node.op;
    if (auto* input = std::get_if<Input>(&op); input != nullptr && input->shape.size() == 4) {
      old_height = input->shape[2];
      old_width = input->shape[3];
      input->shape[2] = height;
      input->shape[3] = width;
    } else if (auto* zeros = std::get_if<Zeros>(&op); zeros != nullptr && zeros->shape.size() == 4) {
      for (const auto [axis, to, from] : {std::array{std::int64_t{2}, height, old_height}, {3, width, old_width}}) {
        std::int64_t& extent = zeros->shape[static_cast<std::size_t>(axis)];
        if (from == 0) throw NetworkError(fmt::format("node '{}' (zeros): its shape is fixed before any image is read", node.name));
        if (extent > (std::int64_t{1} << 31) || extent * to % from != 0) {
          throw NetworkError(fmt::format("node '{}' (zeros): an extent of {} does not scale by {} / {}", node.name, extent, to, from));
        }
        extent = extent * to / from;
      }
    }
    const NodeId added = result.add(node.name, std::move(op), node.inputs);
    if (node.format != NumberFormat{}) result.set_format(added, node.format);
  }
  result.set_output(network.output());
  return result;
}

}  // namespace duet
