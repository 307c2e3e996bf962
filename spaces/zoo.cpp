#include "spaces/zoo.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

#include "core/errors.hpp"
#include "core/config.hpp"
#include "spaces/blocks.hpp"
#include "spaces/builtin.hpp"

namespace duet {
namespace {

using Kind = Activation::Kind;

constexpr std::int64_t classes = 1000;

/// Adds nodes one after another, each on the last.
class Chain {
 public:
  Chain(Network& network, NodeId at) : network_(&network), at_(at) {}

  operator NodeId() const { return at_; }
  const Shape& shape() const { return network_->node(at_).shape; }

  Chain& then(const std::string& name, Operator op) {
    at_ = network_->add(name, std::move(op), {at_});
    return *this;
  }
  Chain& then(const std::string& name, Operator op, NodeId second) {
    at_ = network_->add(name, std::move(op), {at_, second});
    return *this;
  }
  Chain& conv_bn(const std::string& name, std::int64_t channels, Window window, Kind activation,
                 std::int64_t groups = 1) {
    at_ = add_convolution_bn_act(*network_, name, at_, channels, window, activation, groups);
    return *this;
  }

 private:
  Network* network_;
  NodeId at_;
};

Convolution square(std::int64_t channels, std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                   bool bias = false) {
  return {.out_channels = channels,
          .kernel_h = kernel,
          .kernel_w = kernel,
          .stride_h = stride,
          .stride_w = stride,
          .padding_h = padding,
          .padding_w = padding,
          .bias = bias};
}

NodeId image(Network& network, std::int64_t side) { return network.add("input", Input{{1, 3, side, side}}); }

Network alexnet(std::int64_t side) {
  Network network;
  Chain x(network, image(network, side));
  const auto layer = [&](int i, Convolution op, bool pool) {
    x.then(fmt::format("conv{}", i), op).then(fmt::format("relu{}", i), Activation{});
    if (pool) x.then(fmt::format("pool{}", i), Pool{.kernel = 3, .stride = 2});
  };
  layer(1, square(64, 11, 4, 2, true), true);
  layer(2, square(192, 5, 1, 2, true), true);
  layer(3, square(384, 3, 1, 1, true), false);
  layer(4, square(256, 3, 1, 1, true), false);
  layer(5, square(256, 3, 1, 1, true), true);
  x.then("flatten", Flatten{});
  x.then("fc6", Linear{4096}).then("relu6", Activation{}).then("fc7", Linear{4096}).then("relu7", Activation{});
  x.then("fc8", Linear{classes});
  return network;
}

Network vgg16(std::int64_t side) {
  Network network;
  Chain x(network, image(network, side));
  constexpr std::array<std::array<std::int64_t, 2>, 5> stages{{{64, 2}, {128, 2}, {256, 3}, {512, 3}, {512, 3}}};
  for (std::size_t s = 0; s < stages.size(); ++s) {
    for (std::int64_t i = 1; i <= stages[s][1]; ++i) {
      x.then(fmt::format("conv{}_{}", s + 1, i), square(stages[s][0], 3, 1, 1, true));
      x.then(fmt::format("relu{}_{}", s + 1, i), Activation{});
    }
    x.then(fmt::format("pool{}", s + 1), Pool{});
  }
  x.then("flatten", Flatten{});
  x.then("fc6", Linear{4096}).then("relu6", Activation{}).then("fc7", Linear{4096}).then("relu7", Activation{});
  x.then("fc8", Linear{classes});
  return network;
}

/// Bottlenecks with the stride on the 3×3 convolution ("v1.5"), as torchvision has them.
Network resnet(const std::array<std::int64_t, 4>& depths, bool bottleneck, std::int64_t side) {
  Network network;
  Chain x(network, image(network, side));
  x.conv_bn("stem", 64, {7, 2}, Kind::relu).then("stem_pool", Pool{.kernel = 3, .stride = 2, .padding = 1});
  for (std::size_t s = 0; s < depths.size(); ++s) {
    const std::int64_t width = std::int64_t{64} << s;
    const std::int64_t out = bottleneck ? 4 * width : width;
    for (std::int64_t i = 1; i <= depths[s]; ++i) {
      const std::string name = fmt::format("stage{}.block{}", s + 1, i);
      const std::int64_t stride = i == 1 && s > 0 ? 2 : 1;
      Chain residual(network, x);
      if (bottleneck) {
        residual.conv_bn(name + ".conv1", width, {1, 1}, Kind::relu);
        residual.conv_bn(name + ".conv2", width, {3, stride}, Kind::relu);
        residual = Chain(network, add_convolution_bn(network, name + ".conv3", residual, out, {1, 1}));
      } else {
        residual.conv_bn(name + ".conv1", out, {3, stride}, Kind::relu);
        residual = Chain(network, add_convolution_bn(network, name + ".conv2", residual, out, {3, 1}));
      }
      const NodeId skip = add_skip(network, name + ".skip", x, out, stride);
      x = Chain(network, residual);
      x.then(name + ".add", Add{}, skip).then(name + ".act", Activation{});
    }
  }
  add_classifier(network, x, classes);
  return network;
}

Network resnet18(std::int64_t side) { return resnet({2, 2, 2, 2}, false, side); }
Network resnet50(std::int64_t side) { return resnet({3, 4, 6, 3}, true, side); }

Network mobilenet_v1(std::int64_t side) {
  Network network;
  NodeId x = add_convolution_bn_act(network, "stem", image(network, side), 32, {3, 2}, Kind::relu);
  constexpr std::array<std::array<std::int64_t, 2>, 13> blocks{{{64, 1},
                                                                {128, 2},
                                                                {128, 1},
                                                                {256, 2},
                                                                {256, 1},
                                                                {512, 2},
                                                                {512, 1},
                                                                {512, 1},
                                                                {512, 1},
                                                                {512, 1},
                                                                {512, 1},
                                                                {1024, 2},
                                                                {1024, 1}}};
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    x = add_depthwise_separable(network, fmt::format("block{}", i + 1), x, blocks[i][0], {3, blocks[i][1]},
                                Kind::relu);
  }
  add_classifier(network, x, classes);
  return network;
}

Network mobilenet_v2(std::int64_t side) {
  Network network;
  NodeId x = add_convolution_bn_act(network, "stem", image(network, side), 32, {3, 2}, Kind::relu6);
  struct Stage {
    std::int64_t expansion, channels, blocks, stride;
  };
  constexpr std::array<Stage, 7> stages{
      {{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}}};
  for (std::size_t s = 0; s < stages.size(); ++s) {
    for (std::int64_t i = 1; i <= stages[s].blocks; ++i) {
      x = add_inverted_residual(network, fmt::format("stage{}.block{}", s + 1, i), x, stages[s].channels,
                                {3, i == 1 ? stages[s].stride : 1}, stages[s].expansion, Kind::relu6);
    }
  }
  x = add_convolution_bn_act(network, "last", x, 1280, {1, 1}, Kind::relu6);
  add_classifier(network, x, classes);
  return network;
}

/// Hu et al., "Squeeze-and-excitation networks", CVPR 2018, section 3, with convolutions.
void squeeze_excite(Network& network, const std::string& name, Chain& x, std::int64_t squeezed, Kind activation,
                    const Operator& gate) {
  const std::int64_t channels = x.shape()[1];
  Chain weight(network, x);
  weight.then(name + ".pool", GlobalPool{}).then(name + ".reduce", square(squeezed, 1, 1, 0, true));
  weight.then(name + ".act", Activation{activation}).then(name + ".expand", square(channels, 1, 1, 0, true));
  weight.then(name + ".gate", gate);
  x.then(name, Multiply{}, weight);
}

/// The multiple of 8 that is nearest to `width` and not below nine tenths of it (Sandler's reference code).
std::int64_t divisible(std::int64_t width) {
  const std::int64_t rounded = std::max<std::int64_t>(8, (width + 4) / 8 * 8);
  return 10 * rounded < 9 * width ? rounded + 8 : rounded;
}

Network mobilenet_v3_large(std::int64_t side) {
  Network network;
  Chain x(network, image(network, side));
  x.conv_bn("stem", 16, {3, 2}, Kind::hard_swish);
  struct Block {
    std::int64_t kernel, expanded, channels;
    bool squeeze;
    Kind activation;
    std::int64_t stride;
  };
  constexpr Kind re = Kind::relu, hs = Kind::hard_swish;
  constexpr std::array<Block, 15> blocks{{{3, 16, 16, false, re, 1},
                                          {3, 64, 24, false, re, 2},
                                          {3, 72, 24, false, re, 1},
                                          {5, 72, 40, true, re, 2},
                                          {5, 120, 40, true, re, 1},
                                          {5, 120, 40, true, re, 1},
                                          {3, 240, 80, false, hs, 2},
                                          {3, 200, 80, false, hs, 1},
                                          {3, 184, 80, false, hs, 1},
                                          {3, 184, 80, false, hs, 1},
                                          {3, 480, 112, true, hs, 1},
                                          {3, 672, 112, true, hs, 1},
                                          {5, 672, 160, true, hs, 2},
                                          {5, 960, 160, true, hs, 1},
                                          {5, 960, 160, true, hs, 1}}};
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Block& b = blocks[i];
    const std::string name = fmt::format("block{}", i + 1);
    const NodeId input = x;
    const std::int64_t channels = x.shape()[1];
    if (b.expanded != channels) x.conv_bn(name + ".expand", b.expanded, {1, 1}, b.activation);
    x.conv_bn(name + ".depthwise", b.expanded, {b.kernel, b.stride}, b.activation, b.expanded);
    if (b.squeeze) {
      squeeze_excite(network, name + ".squeeze", x, divisible(b.expanded / 4), Kind::relu,
                     Elementwise{"hard_sigmoid"});
    }
    x = Chain(network, add_convolution_bn(network, name + ".project", x, b.channels, {1, 1}));
    if (b.stride == 1 && channels == b.channels) x.then(name + ".add", Add{}, input);
  }
  x.conv_bn("last", 960, {1, 1}, hs);
  x.then("pool", GlobalPool{}).then("flatten", Flatten{}).then("hidden", Linear{1280});
  x.then("hidden_act", Activation{hs}).then("classifier", Linear{classes});
  return network;
}

Network efficientnet_b0(std::int64_t side) {
  Network network;
  Chain x(network, image(network, side));
  x.conv_bn("stem", 32, {3, 2}, Kind::silu);
  struct Stage {
    std::int64_t expansion, kernel, stride, channels, blocks;
  };
  constexpr std::array<Stage, 7> stages{{{1, 3, 1, 16, 1},
                                         {6, 3, 2, 24, 2},
                                         {6, 5, 2, 40, 2},
                                         {6, 3, 2, 80, 3},
                                         {6, 5, 1, 112, 3},
                                         {6, 5, 2, 192, 4},
                                         {6, 3, 1, 320, 1}}};
  for (std::size_t s = 0; s < stages.size(); ++s) {
    for (std::int64_t i = 1; i <= stages[s].blocks; ++i) {
      const std::string name = fmt::format("stage{}.block{}", s + 1, i);
      const NodeId input = x;
      const std::int64_t channels = x.shape()[1];
      const std::int64_t stride = i == 1 ? stages[s].stride : 1;
      const std::int64_t expanded = channels * stages[s].expansion;
      if (expanded != channels) x.conv_bn(name + ".expand", expanded, {1, 1}, Kind::silu);
      x.conv_bn(name + ".depthwise", expanded, {stages[s].kernel, stride}, Kind::silu, expanded);
      squeeze_excite(network, name + ".squeeze", x, channels / 4, Kind::silu, Activation{Kind::sigmoid});
      x = Chain(network, add_convolution_bn(network, name + ".project", x, stages[s].channels, {1, 1}));
      if (stride == 1 && channels == stages[s].channels) x.then(name + ".add", Add{}, input);
    }
  }
  x.conv_bn("last", 1280, {1, 1}, Kind::silu);
  add_classifier(network, x, classes);
  return network;
}

Network densenet121(std::int64_t side) {
  Network network;
  Chain x(network, image(network, side));
  x.conv_bn("stem", 64, {7, 2}, Kind::relu).then("stem_pool", Pool{.kernel = 3, .stride = 2, .padding = 1});
  constexpr std::int64_t growth = 32;
  constexpr std::array<int, 4> depths{6, 12, 24, 16};
  for (std::size_t s = 0; s < depths.size(); ++s) {
    for (int i = 1; i <= depths[s]; ++i) {
      const std::string name = fmt::format("block{}.layer{}", s + 1, i);
      Chain grown(network, x);
      grown.then(name + ".bn", BatchNormalization{}).then(name + ".act", Activation{});
      grown.conv_bn(name + ".conv1", 4 * growth, {1, 1}, Kind::relu).then(name + ".conv2", square(growth, 3, 1, 1));
      x.then(name, Concat{}, grown);
    }
    if (s + 1 == depths.size()) break;
    const std::string name = fmt::format("transition{}", s + 1);
    x.then(name + ".bn", BatchNormalization{}).then(name + ".act", Activation{});
    x.then(name + ".conv", square(x.shape()[1] / 2, 1, 1, 0));
    x.then(name + ".pool", Pool{.kind = Pool::Kind::average});
  }
  x.then("last_bn", BatchNormalization{}).then("last_act", Activation{});
  add_classifier(network, x, classes);
  return network;
}

/// A 3×3 pooling of stride 2 whose size is rounded up.
Operator pool_up(const Shape& image) {
  const std::int64_t more = (image[2] - 3) % 2;
  return WindowPool{.kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .padding_bottom = more,
                    .padding_right = more};
}

Network googlenet(std::int64_t side) {
  Network network;
  Chain x(network, image(network, side));
  x.conv_bn("conv1", 64, {7, 2}, Kind::relu);
  x.then("pool1", pool_up(x.shape()));
  x.conv_bn("conv2", 64, {1, 1}, Kind::relu).conv_bn("conv3", 192, {3, 1}, Kind::relu);
  x.then("pool2", pool_up(x.shape()));
  struct Module {
    const char* name;
    std::int64_t one, reduce3, three, reduce5, five, pool;
  };
  constexpr std::array<Module, 9> modules{{{"3a", 64, 96, 128, 16, 32, 32},
                                           {"3b", 128, 128, 192, 32, 96, 64},
                                           {"4a", 192, 96, 208, 16, 48, 64},
                                           {"4b", 160, 112, 224, 24, 64, 64},
                                           {"4c", 128, 128, 256, 24, 64, 64},
                                           {"4d", 112, 144, 288, 32, 64, 64},
                                           {"4e", 256, 160, 320, 32, 128, 128},
                                           {"5a", 256, 160, 320, 32, 128, 128},
                                           {"5b", 384, 192, 384, 48, 128, 128}}};
  for (const Module& m : modules) {
    const std::string name = fmt::format("inception{}", m.name);
    if (name == "inception4a") x.then("pool3", pool_up(x.shape()));
    if (name == "inception5a") x.then("pool4", Pool{});
    Chain one(network, x), three(network, x), five(network, x), pool(network, x);
    one.conv_bn(name + ".one", m.one, {1, 1}, Kind::relu);
    three.conv_bn(name + ".reduce3", m.reduce3, {1, 1}, Kind::relu).conv_bn(name + ".three", m.three, {3, 1}, Kind::relu);
    // The paper's 5×5; torchvision's, by an old mistake that it keeps, is 3×3.
    five.conv_bn(name + ".reduce5", m.reduce5, {1, 1}, Kind::relu).conv_bn(name + ".five", m.five, {3, 1}, Kind::relu);
    pool.then(name + ".pool", Pool{.kernel = 3, .stride = 1, .padding = 1});
    pool.conv_bn(name + ".pool_proj", m.pool, {1, 1}, Kind::relu);
    x = Chain(network, network.add(name, Concat{}, {one, three, five, pool}));
  }
  add_classifier(network, x, classes);
  return network;
}

// --- Transformers ---

struct Heads {
  std::int64_t query, key_value, size;
};

/// (1, T, heads · size) → (1, heads, T, size)
NodeId split_heads(Network& network, const std::string& name, NodeId x, std::int64_t heads, std::int64_t size) {
  const std::int64_t tokens = network.node(x).shape[1];
  return Chain(network, x)
      .then(name + "_split", Reshape{{1, tokens, heads, size}})
      .then(name + "_heads", Transpose{{0, 2, 1, 3}});
}

using Content = Constant::Content;

Constant number(float value) { return {{1}, false, Content::number, value}; }
Constant causal_mask(std::int64_t tokens, std::int64_t context) {
  return {{tokens, context}, false, Content::causal_mask, 1, context - tokens};
}

/// Scores, their normalisation, the mean of the values, and the heads side by side again. `mask`: whether one is added.
NodeId attend(Network& network, const std::string& name, NodeId query, NodeId key, NodeId value, bool mask) {
  const Shape q = network.node(query).shape;
  const std::int64_t context = network.node(key).shape[2];
  Chain x(network, query);
  x.then(name + ".scores", MatMul{.transpose_b = true}, key);
  x.then(name + ".scaled", Multiply{}, network.add(name + ".scale", number(1 / std::sqrt(static_cast<float>(q[3])))));
  if (mask) x.then(name + ".masked", Add{}, network.add(name + ".mask", causal_mask(q[2], context)));
  x.then(name + ".weights", Softmax{}).then(name + ".mixed", MatMul{}, value);
  x.then(name + ".joined", Transpose{{0, 2, 1, 3}}).then(name + ".context", Reshape{{1, q[2], q[1] * q[3]}});
  return x;
}

NodeId self_attention(Network& network, const std::string& name, NodeId x, std::int64_t heads, bool mask) {
  const std::int64_t width = network.node(x).shape.back();
  const auto projected = [&](const char* which) {
    const NodeId y = network.add(name + which, Linear{width}, {x});
    return split_heads(network, name + which, y, heads, width / heads);
  };
  const NodeId query = projected(".query"), key = projected(".key"), value = projected(".value");
  return network.add(name + ".output", Linear{width}, {attend(network, name, query, key, value, mask)});
}

NodeId feed_forward(Network& network, const std::string& name, NodeId x, std::int64_t hidden) {
  const std::int64_t width = network.node(x).shape.back();
  return Chain(network, x)
      .then(name + ".up", Linear{hidden})
      .then(name + ".act", Activation{Kind::gelu})
      .then(name + ".down", Linear{width});
}

/// Normalisation before each half (Xiong et al., "On layer normalization in the transformer architecture", ICML 2020).
void pre_norm_block(Network& network, const std::string& name, Chain& x, std::int64_t heads, bool mask) {
  const std::int64_t width = x.shape().back();
  const NodeId first = network.add(name + ".ln1", LayerNormalization{}, {x});
  x.then(name + ".add1", Add{}, self_attention(network, name + ".attention", first, heads, mask));
  const NodeId second = network.add(name + ".ln2", LayerNormalization{}, {x});
  x.then(name + ".add2", Add{}, feed_forward(network, name + ".ffn", second, 4 * width));
}

Network vit_b_16(std::int64_t side, std::int64_t layers) {
  Network network;
  constexpr std::int64_t width = 768;
  const std::int64_t patches = side / 16 * (side / 16);
  Chain patched(network, image(network, side));
  patched.then("patches", square(width, 16, 16, 0, true)).then("rows", Reshape{{1, width, patches}});
  patched.then("tokens", Transpose{{0, 2, 1}});
  const NodeId token = network.add("class_token", Constant{{1, 1, width}});
  Chain x(network, network.add("sequence", Concat{1}, {token, patched}));
  x.then("embedded", Add{}, network.add("positions", Constant{{1, patches + 1, width}}));
  for (std::int64_t i = 1; i <= layers; ++i) pre_norm_block(network, fmt::format("layer{}", i), x, 12, false);
  x.then("last_ln", LayerNormalization{});
  x.then("class", Slice{{0, 0, 0}, {1, 1, width}, {1, 1, 1}}).then("flatten", Reshape{{1, width}});
  x.then("classifier", Linear{classes});
  return network;
}

/// The first rows of a learned table of positions.
NodeId positions(Network& network, std::int64_t most, std::int64_t tokens, std::int64_t width) {
  const NodeId table = network.add("position_table", Constant{{most, width}});
  return network.add("positions", Slice{{0, 0}, {tokens, width}, {1, 1}}, {table});
}

struct Encoder {
  std::int64_t layers, tokens, vocabulary;
};

Network bert_base(const Encoder& e) {
  Network network;
  constexpr std::int64_t width = 768;
  const std::int64_t tokens = e.tokens;
  const NodeId words = network.add("tokens", Input{{1, tokens}});
  const NodeId types = network.add("token_types", Input{{1, tokens}});
  Chain x(network, network.add("word", Embedding{e.vocabulary, width}, {words}));
  x.then("word_and_type", Add{}, network.add("type", Embedding{2, width}, {types}));
  x.then("embedded", Add{}, positions(network, 512, tokens, width)).then("embedded_ln", LayerNormalization{});
  for (std::int64_t i = 1; i <= e.layers; ++i) {
    const std::string name = fmt::format("layer{}", i);
    x.then(name + ".add1", Add{}, self_attention(network, name + ".attention", x, 12, false));
    x.then(name + ".ln1", LayerNormalization{});
    x.then(name + ".add2", Add{}, feed_forward(network, name + ".ffn", x, 4 * width));
    x.then(name + ".ln2", LayerNormalization{});
  }
  x.then("first", Slice{{0, 0, 0}, {1, 1, width}, {1, 1, 1}}).then("first_row", Reshape{{1, width}});
  x.then("pooler", Linear{width}).then("pooled", Activation{Kind::tanh});
  return network;
}

Network gpt2(const Encoder& e) {
  Network network;
  constexpr std::int64_t width = 768;
  const std::int64_t tokens = e.tokens, vocabulary = e.vocabulary;
  const NodeId words = network.add("tokens", Input{{1, tokens}});
  const NodeId table = network.add("word_table", Constant{{vocabulary, width}});
  Chain x(network, network.add("word", Embedding{vocabulary, width}, {words, table}));
  x.then("embedded", Add{}, positions(network, 1024, tokens, width));
  for (std::int64_t i = 1; i <= e.layers; ++i) pre_norm_block(network, fmt::format("layer{}", i), x, 12, true);
  x.then("last_ln", LayerNormalization{}).then("logits", MatMul{.transpose_b = true}, table);
  return network;
}

struct Decoder {
  std::int64_t layers, width, hidden, vocabulary;
  Heads heads;
  std::int64_t experts = 0, chosen = 0;  ///< 0: one feed-forward part for all tokens
  float rotary_base = 10000;
};

/// x·cos + rotated(x)·sin, halves swapped and the second negated (Su et al., "RoFormer", arXiv:2104.09864, eq. 34).
/// `past` tokens come before.
NodeId rotary(Network& network, const std::string& name, NodeId x, std::int64_t past, float base) {
  const Shape s = network.node(x).shape;
  const std::int64_t half = s[3] / 2;
  const Shape part{s[0], s[1], s[2], half}, table{1, 1, s[2], s[3]};
  const NodeId cosine = network.add(name + ".cos", Constant{table, false, Content::rotary_cosines, base, past});
  const NodeId straight = network.add(name + ".straight", Multiply{}, {x, cosine});
  const NodeId second = network.add(name + ".second", Slice{{0, 0, 0, half}, part, {1, 1, 1, 1}}, {x});
  const NodeId negated = network.add(name + ".negated", Elementwise{"neg"}, {second});
  const NodeId first = network.add(name + ".first", Slice{{0, 0, 0, 0}, part, {1, 1, 1, 1}}, {x});
  const NodeId swapped = network.add(name + ".swapped", Concat{-1}, {negated, first});
  const NodeId sine = network.add(name + ".sin", Constant{table, false, Content::rotary_sines, base, past});
  const NodeId turned = network.add(name + ".turned", Multiply{}, {swapped, sine});
  return network.add(name, Add{}, {straight, turned});
}

/// Every head of keys or values serves several of queries (Ainslie et al., "GQA", EMNLP 2023).
NodeId repeat_heads(Network& network, const std::string& name, NodeId x, const Heads& heads) {
  if (heads.query == heads.key_value) return x;
  const Shape s = network.node(x).shape;
  return Chain(network, x)
      .then(name + ".grouped", Reshape{{1, heads.key_value, 1, s[2], heads.size}})
      .then(name + ".repeated", Expand{{1, heads.key_value, heads.query / heads.key_value, s[2], heads.size}})
      .then(name, Reshape{{1, heads.query, s[2], heads.size}});
}

/// silu(x·gate) · (x·up) · down (Shazeer, "GLU variants improve transformer", arXiv:2002.05202, eq. 6).
NodeId gated_feed_forward(Network& network, const std::string& name, NodeId x, const Decoder& d) {
  Chain gate(network, network.add(name + ".gate", Linear{d.hidden, false}, {x}));
  gate.then(name + ".act", Activation{Kind::silu});
  gate.then(name + ".product", Multiply{}, network.add(name + ".up", Linear{d.hidden, false}, {x}));
  return gate.then(name + ".down", Linear{d.width, false});
}

/// A token goes through `chosen` of the experts, whose weights are looked up (Jiang et al., "Mixtral of experts",
/// arXiv:2401.04088, section 2.1). One token only: each has its own experts.
NodeId experts(Network& network, const std::string& name, NodeId x, const Decoder& d) {
  const NodeId router = network.add(name + ".router", Linear{d.experts, false}, {x});
  Chain weight(network, network.add(name + ".best", TopK{d.chosen, false}, {router}));
  weight.then(name + ".shares", Softmax{}).then(name + ".share", Reshape{{1, d.chosen, 1, 1}});
  const NodeId which = network.add(name + ".which", TopK{d.chosen, true}, {router});
  const NodeId token = network.add(name + ".token", Reshape{{1, 1, 1, d.width}}, {x});
  const auto matrix = [&](const std::string& part, std::int64_t rows, std::int64_t columns) {
    return Chain(network, which)
        .then(name + part + "_flat", Embedding{d.experts, rows * columns})
        .then(name + part, Reshape{{1, d.chosen, rows, columns}});
  };
  Chain y(network, token);
  y.then(name + ".gated", MatMul{}, matrix(".gate", d.width, d.hidden)).then(name + ".act", Activation{Kind::silu});
  const NodeId up = network.add(name + ".raised", MatMul{}, {token, matrix(".up", d.width, d.hidden)});
  y.then(name + ".product", Multiply{}, up);
  y.then(name + ".lowered", MatMul{}, matrix(".down", d.hidden, d.width)).then(name + ".shared", Multiply{}, weight);
  return y.then(name + ".sum", Reduce{"sum", {1}, true}).then(name + ".out", Reshape{{1, 1, d.width}});
}

/// `past` tokens lie in the cache of keys and values, `tokens` new ones are computed at once.
Network decoder(const Decoder& d, std::int64_t tokens, std::int64_t past) {
  Network network;
  const NodeId words = network.add("tokens", Input{{1, tokens}});
  std::vector<std::array<NodeId, 2>> cache;
  for (std::int64_t i = 1; past > 0 && i <= d.layers; ++i) {
    const Shape shape{1, d.heads.key_value, past, d.heads.size};
    const NodeId keys = network.add(fmt::format("layer{}.past_keys", i), Input{shape});
    cache.push_back({keys, network.add(fmt::format("layer{}.past_values", i), Input{shape})});
  }
  Chain x(network, network.add("word", Embedding{d.vocabulary, d.width}, {words}));
  for (std::int64_t i = 1; i <= d.layers; ++i) {
    const std::string name = fmt::format("layer{}", i);
    const NodeId normal = network.add(name + ".norm1", RmsNormalization{}, {x});
    const auto projected = [&](const std::string& which, std::int64_t heads) {
      const NodeId y = network.add(name + which, Linear{heads * d.heads.size, false}, {normal});
      return split_heads(network, name + which, y, heads, d.heads.size);
    };
    const NodeId query = rotary(network, name + ".query_rope", projected(".query", d.heads.query), past, d.rotary_base);
    NodeId key = rotary(network, name + ".key_rope", projected(".key", d.heads.key_value), past, d.rotary_base);
    NodeId value = projected(".value", d.heads.key_value);
    if (past > 0) {
      const auto& [keys, values] = cache[static_cast<std::size_t>(i - 1)];
      key = network.add(name + ".keys", Concat{2}, {keys, key});
      value = network.add(name + ".values", Concat{2}, {values, value});
    }
    key = repeat_heads(network, name + ".all_keys", key, d.heads);
    value = repeat_heads(network, name + ".all_values", value, d.heads);
    const NodeId context = attend(network, name + ".attention", query, key, value, tokens > 1);
    x.then(name + ".add1", Add{}, network.add(name + ".output", Linear{d.width, false}, {context}));
    const NodeId second = network.add(name + ".norm2", RmsNormalization{}, {x});
    x.then(name + ".add2", Add{}, d.experts > 0 ? experts(network, name + ".experts", second, d)
                                                : gated_feed_forward(network, name + ".ffn", second, d));
  }
  x.then("last_norm", RmsNormalization{}).then("logits", Linear{d.vocabulary, false});
  return network;
}

constexpr Decoder llama{.layers = 32, .width = 4096, .hidden = 11008, .vocabulary = 32000, .heads = {32, 32, 128}};
constexpr Decoder mixtral{.layers = 32,
                          .width = 4096,
                          .hidden = 14336,
                          .vocabulary = 32000,
                          .heads = {32, 8, 128},
                          .experts = 8,
                          .chosen = 2,
                          .rotary_base = 1e6F};

// Small enough to compute with.
constexpr Encoder few_layers{.layers = 2, .tokens = 16, .vocabulary = 500};
constexpr Decoder small_llama{.layers = 2, .width = 128, .hidden = 344, .vocabulary = 500, .heads = {4, 4, 32}};
constexpr Decoder small_mixtral{.layers = 2,
                                .width = 128,
                                .hidden = 448,
                                .vocabulary = 500,
                                .heads = {4, 2, 32},
                                .experts = 8,
                                .chosen = 2,
                                .rotary_base = 1e6F};

template <Network (*definition)(std::int64_t), std::int64_t side>
Network of_side() {
  return definition(side);
}

}  // namespace

const std::vector<ZooNetwork>& zoo() {
  static const std::vector<ZooNetwork> networks{
      {"alexnet", "AlexNet for one GPU, 224 x 224 pixels.",
       "Krizhevsky, \"One weird trick for parallelizing convolutional neural networks\", arXiv:1404.5997; torchvision",
       of_side<alexnet, 224>, of_side<alexnet, 64>},
      {"bert_base", "BERT-base with its pooler, 128 tokens.",
       "Devlin et al., \"BERT\", NAACL 2019; Hugging Face bert-base-uncased",
       [] { return bert_base({12, 128, 30522}); }, [] { return bert_base(few_layers); }},
      {"densenet121", "DenseNet-121, 224 x 224 pixels.",
       "Huang et al., \"Densely connected convolutional networks\", CVPR 2017; torchvision",
       of_side<densenet121, 224>, of_side<densenet121, 64>},
      {"efficientnet_b0", "EfficientNet-B0, 224 x 224 pixels.", "Tan and Le, \"EfficientNet\", ICML 2019; torchvision",
       of_side<efficientnet_b0, 224>, of_side<efficientnet_b0, 64>},
      {"googlenet", "GoogLeNet (Inception v1) with batch normalisation, without auxiliary classifiers, 224 x 224 pixels.",
       "Szegedy et al., \"Going deeper with convolutions\", CVPR 2015; torchvision",
       of_side<googlenet, 224>, of_side<googlenet, 64>},
      {"gpt2", "GPT-2 small with its tied output, 128 tokens at once.",
       "Radford et al., \"Language models are unsupervised multitask learners\", 2019; Hugging Face gpt2",
       [] { return gpt2({12, 128, 50257}); }, [] { return gpt2(few_layers); }},
      {"llama_2_7b_decode", "Llama 2 7B, one token after 1,023.",
       "Touvron et al., \"Llama 2\", arXiv:2307.09288; Hugging Face Llama-2-7b-hf",
       [] { return decoder(llama, 1, 1023); }, [] { return decoder(small_llama, 1, 15); }},
      {"llama_2_7b_prefill", "Llama 2 7B, 512 tokens at once.",
       "Touvron et al., \"Llama 2\", arXiv:2307.09288; Hugging Face Llama-2-7b-hf",
       [] { return decoder(llama, 512, 0); }, [] { return decoder(small_llama, 16, 0); }},
      {"mixtral_8x7b_decode", "Mixtral 8x7B, a mixture of 8 experts of which 2 compute: one token after 1,023.",
       "Jiang et al., \"Mixtral of experts\", arXiv:2401.04088; Hugging Face Mixtral-8x7B-v0.1",
       [] { return decoder(mixtral, 1, 1023); }, [] { return decoder(small_mixtral, 1, 15); }},
      {"mobilenet_v1", "MobileNet 1.0, 224 x 224 pixels.", "Howard et al., \"MobileNets\", arXiv:1704.04861",
       of_side<mobilenet_v1, 224>, of_side<mobilenet_v1, 64>},
      {"mobilenet_v2", "MobileNetV2 1.0, 224 x 224 pixels.", "Sandler et al., \"MobileNetV2\", CVPR 2018; torchvision",
       of_side<mobilenet_v2, 224>, of_side<mobilenet_v2, 64>},
      {"mobilenet_v3_large", "MobileNetV3-Large 1.0, 224 x 224 pixels.",
       "Howard et al., \"Searching for MobileNetV3\", ICCV 2019; torchvision",
       of_side<mobilenet_v3_large, 224>, of_side<mobilenet_v3_large, 64>},
      {"resnet18", "ResNet-18, 224 x 224 pixels.", "He et al., \"Deep residual learning\", CVPR 2016; torchvision",
       of_side<resnet18, 224>, of_side<resnet18, 64>},
      {"resnet50", "ResNet-50 with strides on the 3x3 convolutions (v1.5), 224 x 224 pixels.",
       "He et al., \"Deep residual learning\", CVPR 2016; torchvision", of_side<resnet50, 224>, of_side<resnet50, 64>},
      {"vgg16", "VGG-16, 224 x 224 pixels.",
       "Simonyan and Zisserman, \"Very deep convolutional networks\", ICLR 2015; torchvision",
       of_side<vgg16, 224>, of_side<vgg16, 32>},
      {"vit_b_16", "Vision transformer ViT-B/16, 224 x 224 pixels.",
       "Dosovitskiy et al., \"An image is worth 16x16 words\", ICLR 2021; torchvision", [] { return vit_b_16(224, 12); },
       [] { return vit_b_16(64, 2); }},
  };
  return networks;
}

const ZooNetwork& zoo_network(std::string_view name) {
  std::vector<std::string> names;
  for (const ZooNetwork& network : zoo()) {
    if (network.name == name) return network;
    names.push_back(network.name);
  }
  throw ConfigError(fmt::format("there is no network '{}'{}", name, hint(name, names)));
}

namespace {

class Zoo final : public DesignPart {
 public:
  explicit Zoo(const Options& options) : names_(options.list("network")) {}

  std::vector<SpaceNode> nodes() const override { return {choice("network", names_, "A network that everybody knows.")}; }
  std::optional<Network> network(const Assignment& a) const override { return zoo_network(a.option("network")).build(); }

 private:
  std::vector<std::string> names_;
};

}  // namespace

SpacePlugin zoo_space() {
  std::vector<std::string> names;
  for (const ZooNetwork& network : zoo()) names.push_back(network.name);
  return {
      .name = "zoo",
      .summary = "Networks that everybody knows, by name: for hardware that shall run them.",
      .source = "",
      .options = {{.name = "network",
                   .kind = Option::Kind::words,
                   .fallback = "resnet18",
                   .sentence = "Networks to choose from.",
                   .words = std::move(names)}},
      .create = [](const Options& options) { return std::make_unique<Zoo>(options); },
  };
}

}  // namespace duet
