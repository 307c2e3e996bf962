#include "spaces/onnx.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <onnx/checker.h>
#include <onnx/defs/parser.h>
#include <onnx/onnx_pb.h>
#include <random>
#include <unistd.h>

#include "core/errors.hpp"
#include "core/random.hpp"
#include "spaces/execution.hpp"
#include "spaces/onnx_wire.hpp"
#include "tests/spaces/read_space.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A model in ONNX's own notation, such as "(float[1, 4] x) => (float[1, 4] y) { y = Relu(x) }", with initializers of
/// given names and shapes, whose contents are left out.
std::string model_of(const std::string& graph, const std::map<std::string, Shape>& weights = {}, int opset = 17) {
  onnx::ModelProto model;
  const std::string text = fmt::format("<ir_version: 8, opset_import: [\"\" : {}]> g {}", opset, graph);
  onnx::OnnxParser parser(text.c_str());
  const auto status = parser.Parse(model);
  if (!status.IsOK()) throw std::runtime_error(status.ErrorMessage());
  for (const auto& [name, shape] : weights) {
    auto* tensor = model.mutable_graph()->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(onnx::TensorProto::FLOAT);
    for (const std::int64_t extent : shape) tensor->add_dims(extent);
  }
  return model.SerializeAsString();
}

OnnxImport import(const std::string& graph, const std::map<std::string, Shape>& weights = {},
                  const OnnxDimensions& dimensions = {}, int opset = 17) {
  return import_onnx(model_of(graph, weights, opset), "m.onnx", dimensions);
}

std::string refusal(const std::string& graph, const std::map<std::string, Shape>& weights = {},
                    const OnnxDimensions& dimensions = {}, int opset = 17) {
  try {
    import(graph, weights, dimensions, opset);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

Operator last_operator(const OnnxImport& imported) {
  return imported.network.node(imported.network.output()).op;
}

TEST(OnnxImport, ConvolutionsKeepTheirWindows) {
  const auto plain = import(
      "(float[1, 4, 9, 9] x) => (float[1, 8, 5, 5] y) { y = Conv<strides = [2, 2], pads = [1, 1, 1, 1], group = 2>(x, w, b) }",
      {{"w", {8, 2, 3, 3}}, {"b", {8}}});
  EXPECT_EQ(last_operator(plain), Operator(Convolution{.out_channels = 8, .kernel_h = 3, .kernel_w = 3, .stride_h = 2,
                                                       .stride_w = 2, .padding_h = 1, .padding_w = 1, .groups = 2,
                                                       .bias = true}));
  EXPECT_EQ(plain.network.macs(), 8 * 5 * 5 * 2 * 9);
  EXPECT_EQ(plain.network.parameters(), 8 * 2 * 9 + 8);

  // TensorFlow's "same" pads more at the end.
  const auto same = import("(float[1, 3, 8, 8] x) => (float[1, 8, 4, 4] y) { y = Conv<strides = [2, 2], auto_pad = \"SAME_UPPER\">(x, w) }",
                           {{"w", {8, 3, 3, 3}}});
  ASSERT_EQ(same.network.nodes().size(), 3u);
  EXPECT_EQ(same.network.node(1).op, Operator(Pad{{0, 0, 0, 0}, {0, 0, 1, 1}}));
  EXPECT_EQ(same.network.macs(), 8 * 4 * 4 * 27);
  EXPECT_EQ(same.nodes[0].fidelity, OnnxFidelity::modelled);

  const auto sequence = import("(float[1, 3, 20] x) => (float[1, 8, 18] y) { y = Conv(x, w) }", {{"w", {8, 3, 3}}});
  EXPECT_EQ(sequence.network.node(sequence.network.output()).shape, (Shape{1, 8, 18}));
  EXPECT_EQ(sequence.network.macs(), 8 * 18 * 9);

  const auto volume = import("(float[1, 3, 6, 6, 6] x) => (float[1, 8, 4, 4, 4] y) { y = Conv(x, w) }",
                             {{"w", {8, 3, 3, 3, 3}}});
  EXPECT_EQ(volume.nodes[0].fidelity, OnnxFidelity::approximated);
  EXPECT_EQ(volume.network.macs(), 8 * 64 * 81);
  EXPECT_EQ(volume.network.parameters(), 8 * 81);
}

TEST(OnnxImport, TransposedConvolutions) {
  const auto even = import(
      "(float[1, 4, 5, 5] x) => (float[1, 6, 10, 10] y) { y = ConvTranspose<strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1]>(x, w) }",
      {{"w", {4, 6, 3, 3}}});
  EXPECT_EQ(even.network.macs(), 25 * 4 * 6 * 9);
  EXPECT_EQ(even.network.parameters(), 4 * 6 * 9);
  const auto uneven = import(
      "(float[1, 4, 5, 5] x) => (float[1, 6, 10, 10] y) { y = ConvTranspose<strides = [2, 2], pads = [0, 0, 1, 1]>(x, w) }",
      {{"w", {4, 6, 3, 3}}});
  EXPECT_EQ(uneven.network.node(uneven.network.output()).shape, (Shape{1, 6, 10, 10}));
  EXPECT_EQ(uneven.network.macs(), 25 * 4 * 6 * 9);
}

TEST(OnnxImport, MatricesWithWeightsAreLinear) {
  const auto gemm = import("(float[2, 5] x) => (float[2, 7] y) { y = Gemm<transB = 1>(x, w, b) }", {{"w", {7, 5}}, {"b", {7}}});
  EXPECT_EQ(last_operator(gemm), Operator(Linear{7, true}));
  const auto fused = import("(float[1, 3, 5] x) => (float[1, 3, 7] y) { t = MatMul(x, w) y = Add(b, t) }",
                            {{"w", {5, 7}}, {"b", {7}}});
  EXPECT_EQ(last_operator(fused), Operator(Linear{7, true}));
  EXPECT_EQ(fused.network.parameters(), 42);
  EXPECT_EQ(fused.nodes[0].note, "part of 'y'");
  const auto product = import("(float[2, 3, 5] x, float[2, 5, 4] z) => (float[2, 3, 4] y) { y = MatMul(x, z) }");
  EXPECT_EQ(last_operator(product), Operator(MatMul{}));
  EXPECT_EQ(product.network.macs(), 2 * 3 * 4 * 5);
  const auto dot = import("(float[5] x, float[5] z) => (float y) { y = MatMul(x, z) }");
  EXPECT_EQ(dot.network.macs(), 5);
}

TEST(OnnxImport, SharedWeightsCountOnce) {
  const auto tied = import(
      "(int64[1, 6] x) => (float[1, 6, 100] y) { e = Gather(table, x) t = Transpose<perm = [1, 0]>(table) y = MatMul(e, t) }",
      {{"table", {100, 16}}});
  EXPECT_EQ(tied.network.parameters(), 1600);
  EXPECT_EQ(tied.network.macs(), 6 * 16 * 100);
  EXPECT_EQ(last_operator(tied), Operator(MatMul{true}));
}

TEST(OnnxImport, FindsFunctionsSpelledOutInNodes) {
  const auto last_of = [](const std::string& body, const std::map<std::string, Shape>& weights = {}) {
    const auto imported = import("(float[1, 4, 8] x) => (float[1, 4, 8] y) { " + body + " }", weights);
    EXPECT_EQ(imported.network.nodes().size(), 2u) << body;
    // The Gelu of a network is that by erf.
    const bool by_tanh = body.find("Tanh") != std::string::npos;
    EXPECT_EQ(imported.count(OnnxFidelity::approximated), by_tanh ? 1u : 0u) << body;
    EXPECT_EQ(imported.nodes.back().note.find("Gelu by tanh, as by erf") != std::string::npos, by_tanh) << body;
    return last_operator(imported);
  };
  const std::string number = " = Constant<value = float {";
  EXPECT_EQ(last_of("r" + number + "1.41421356}>() o" + number + "1}>() h" + number + "0.5}>() "
                    "a = Div(x, r) b = Erf(a) c = Add(b, o) d = Mul(x, c) y = Mul(d, h)"),
            Operator(Activation{Activation::Kind::gelu}));
  EXPECT_EQ(last_of("r" + number + "0.70710678}>() o" + number + "1}>() h" + number + "0.5}>() "
                    "a = Mul(r, x) b = Erf(a) c = Add(o, b) d = Mul(h, x) y = Mul(d, c)"),
            Operator(Activation{Activation::Kind::gelu}));
  EXPECT_EQ(last_of("k" + number + "0.044715}>() p" + number + "3}>() s" + number + "0.7978845}>() o" + number +
                    "1}>() h" + number + "0.5}>() "
                    "a = Pow(x, p) b = Mul(a, k) c = Add(x, b) d = Mul(c, s) e = Tanh(d) f = Add(e, o) g = Mul(x, h) y = Mul(g, f)"),
            Operator(Activation{Activation::Kind::gelu}));
  EXPECT_EQ(last_of("s = Sigmoid(x) y = Mul(x, s)"), Operator(Activation{Activation::Kind::silu}));
  EXPECT_EQ(last_of("s = HardSigmoid<alpha = 0.16666667, beta = 0.5>(x) y = Mul(s, x)"),
            Operator(Activation{Activation::Kind::hard_swish}));
  // As PaddlePaddle and old PyTorch write it.
  const std::string gate = "h" + number + "3}>() z" + number + "0}>() s" + number + "6}>() a = Add(x, h) c = Clip(a, z, s) ";
  EXPECT_EQ(last_of(gate + "m = Mul(x, c) y = Div(m, s)"), Operator(Activation{Activation::Kind::hard_swish}));
  EXPECT_EQ(last_of(gate + "d = Div(c, s) y = Mul(d, x)"), Operator(Activation{Activation::Kind::hard_swish}));
  EXPECT_EQ(last_of(gate + "k" + number + "0.16666667}>() d = Mul(c, x) y = Mul(k, d)"),
            Operator(Activation{Activation::Kind::hard_swish}));
  EXPECT_EQ(last_of("t" + number + "2}>() e" + number + "0.00001}>() m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) "
                    "q = Pow(d, t) v = ReduceMean<axes = [-1]>(q) w = Add(v, e) r = Sqrt(w) n = Div(d, r) s = Mul(n, scale) "
                    "y = Add(s, shift)",
                    {{"scale", {8}}, {"shift", {8}}}),
            Operator(LayerNormalization{}));
  EXPECT_EQ(last_of("e" + number + "0.00001}>() q = Mul(x, x) v = ReduceMean<axes = [-1]>(q) w = Add(v, e) r = Sqrt(w) "
                    "i = Reciprocal(r) n = Mul(x, i) y = Mul(scale, n)",
                    {{"scale", {8}}}),
            Operator(RmsNormalization{}));
}

// What only resembles a pattern stays what it is.
TEST(OnnxImport, PatternsNeedTheirNumbersAndTheirPrivacy) {
  const std::string number = " = Constant<value = float {";
  const auto wrong = import("(float[1, 4] x) => (float[1, 4] y) { r" + number + "2}>() o" + number + "1}>() h" + number +
                            "0.5}>() a = Div(x, r) b = Erf(a) c = Add(b, o) d = Mul(x, c) y = Mul(d, h) }");
  EXPECT_EQ(last_operator(wrong), Operator(Multiply{}));
  const auto coarse = import("(float[1, 4] x) => (float[1, 4] y) { r" + number + "1.415}>() o" + number + "1}>() h" + number +
                             "0.5}>() a = Div(x, r) b = Erf(a) c = Add(b, o) d = Mul(x, c) y = Mul(d, h) }");
  EXPECT_EQ(last_operator(coarse), Operator(Multiply{}));
  const auto used = import("(float[1, 4] x) => (float[1, 4] y, float[1, 4] z) { s = Sigmoid(x) y = Mul(x, s) z = Neg(s) }");
  EXPECT_EQ(used.network.node(used.network.find("y").value()).op, Operator(Multiply{}));
  EXPECT_EQ(last_operator(used), Operator(Outputs{}));
}

TEST(OnnxImport, FoldsArithmeticOnShapes) {
  const auto imported = import(
      "(float[2, 3, 4] x) => (float[n, m] y) { s = Shape(x) i = Constant<value_ints = [0]>() b = Gather(s, i) "
      "r = Constant<value_ints = [-1]>() t = Concat<axis = 0>(b, r) y = Reshape(x, t) }");
  EXPECT_EQ(last_operator(imported), Operator(Reshape{{2, 12}}));
  EXPECT_EQ(imported.network.nodes().size(), 2u);
  EXPECT_EQ(imported.count(OnnxFidelity::ignored), 5u);
  EXPECT_EQ(imported.count(OnnxFidelity::modelled), 1u);
}

TEST(OnnxImport, EveryNodeIsAccountedFor) {
  const auto imported = import(
      "(float[1, 3, 8, 8] x) => (float[1, 3, 16, 16] y) { a = Dropout(x) b = LeakyRelu<alpha = 0.1>(a) "
      "c = Hardmax(b) s = Constant<value_floats = [1.0, 1.0, 2.0, 2.0]>() y = Resize(c, , s) }");
  ASSERT_EQ(imported.nodes.size(), 5u);
  EXPECT_EQ(imported.nodes[0].fidelity, OnnxFidelity::ignored);
  EXPECT_EQ(imported.nodes[1].fidelity, OnnxFidelity::modelled);
  EXPECT_EQ(imported.nodes[2].fidelity, OnnxFidelity::approximated);
  EXPECT_EQ(imported.nodes[3].fidelity, OnnxFidelity::ignored);
  EXPECT_EQ(last_operator(imported), Operator(Resize{{1, 3, 16, 16}, "nearest"}));
}

TEST(OnnxImport, CountsWhatItDoesNotModel) {
  // An LSTM of few steps is unrolled, a longer one counted: the same, but for the fidelity.
  for (const auto& [steps, fidelity] : {std::pair{1, OnnxFidelity::modelled}, std::pair{7, OnnxFidelity::modelled},
                                        std::pair{65, OnnxFidelity::approximated}}) {
    const auto lstm = import(fmt::format("(float[{0}, 2, 10] x) => (float[{0}, 1, 2, 16] y) {{ y = LSTM<hidden_size = 16>(x, w, r, b) }}", steps),
                             {{"w", {1, 64, 10}}, {"r", {1, 64, 16}}, {"b", {1, 128}}});
    EXPECT_EQ(lstm.network.macs(), steps * 2 * 64 * (10 + 16));
    EXPECT_EQ(lstm.network.parameters(), 64 * 26 + 128);
    EXPECT_EQ(lstm.nodes[0].fidelity, fidelity);
  }
  const auto einsum = import("(float[2, 3, 5] x, float[2, 5, 4] z) => (float[2, 3, 4] y) { y = Einsum<equation = \"bij,bjk->bik\">(x, z) }");
  EXPECT_EQ(einsum.network.macs(), 2 * 3 * 5 * 4);
}

TEST(OnnxImport, LstmsOfAFewStepsAreUnrolled) {
  constexpr std::int64_t size = 2, features = 3;
  Random random(1, "test");
  const auto drawn = [&random](std::int64_t count) {
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(random.uniform(-1, 1)));
    return values;
  };
  for (const std::int64_t steps : {1, 3}) {
    onnx::ModelProto model;
    ASSERT_TRUE(model.ParseFromString(model_of(
        fmt::format("(float[{0}, 1, 3] x, float[1, 1, 2] h, float[1, 1, 2] c) => (float[{0}, 1, 1, 2] y, float[1, 1, 2] hn, "
                    "float[1, 1, 2] cn) {{ y, hn, cn = LSTM<hidden_size = 2>(x, w, r, b, , h, c) }}", steps),
        {{"b", {1, 16}}, {"r", {1, 8, 2}}, {"w", {1, 8, 3}}})));
    std::map<std::string, std::vector<float>> weights;
    for (auto& tensor : *model.mutable_graph()->mutable_initializer()) {
      weights[tensor.name()] = drawn(tensor.name() == "w" ? 24 : 16);
      for (const float value : weights[tensor.name()]) tensor.add_float_data(value);
    }
    const OnnxImport imported = import_onnx(model.SerializeAsString(), "m.onnx", {}, OnnxWeights::read);
    EXPECT_EQ(imported.nodes[0].fidelity, OnnxFidelity::modelled);
    EXPECT_EQ(imported.network.macs(), steps * 4 * size * (features + size));
    EXPECT_EQ(imported.network.parameters(), 4 * size * (features + size + 2));
    const std::vector<float> x = drawn(steps * features), h0 = drawn(size), c0 = drawn(size);
    const auto results = execute(imported.network, imported.weights, {{{steps, 1, 3}, x}, {{1, 1, 2}, h0}, {{1, 1, 2}, c0}});
    ASSERT_EQ(results.size(), 3u);

    const auto sigmoid = [](double z) { return 1 / (1 + std::exp(-z)); };
    std::vector<double> h(h0.begin(), h0.end()), c(c0.begin(), c0.end());
    for (std::int64_t t = 0; t < steps; ++t) {
      std::vector<double> sums(8);
      for (std::size_t g = 0; g < 8; ++g) {
        sums[g] = static_cast<double>(weights["b"][g]) + static_cast<double>(weights["b"][8 + g]);
        for (std::size_t i = 0; i < 3; ++i) {
          sums[g] += static_cast<double>(weights["w"][3 * g + i]) * static_cast<double>(x[static_cast<std::size_t>(t) * 3 + i]);
        }
        for (std::size_t i = 0; i < 2; ++i) sums[g] += static_cast<double>(weights["r"][2 * g + i]) * h[i];
      }
      for (std::size_t i = 0; i < 2; ++i) {  // input, output, forget, candidate
        c[i] = sigmoid(sums[4 + i]) * c[i] + sigmoid(sums[i]) * std::tanh(sums[6 + i]);
      }
      for (std::size_t i = 0; i < 2; ++i) {
        h[i] = sigmoid(sums[2 + i]) * std::tanh(c[i]);
        EXPECT_NEAR(results[0].values[static_cast<std::size_t>(t) * 2 + i], h[i], 1e-6);
      }
    }
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_NEAR(results[1].values[i], h[i], 1e-6);
      EXPECT_NEAR(results[2].values[i], c[i], 1e-6);
    }
  }
}

TEST(OnnxImport, SymbolicDimensionsAreBound) {
  const std::string graph = "(float[batch, 4] x) => (float[batch, 4] y) { y = Relu(x) }";
  EXPECT_EQ(import(graph, {}, {{"batch", 3}}).network.node(1).shape, (Shape{3, 4}));
  EXPECT_EQ(refusal(graph), "m.onnx: the dimension batch has no value; give it, such as --dim batch=1");
  EXPECT_THAT(refusal(graph, {}, {{"batch", 0}}), HasSubstr("must be at least 1"));
  EXPECT_THAT(refusal(graph, {}, {{"batch", 1}, {"bath", 1}}), HasSubstr("no symbolic dimension 'bath'"));
  EXPECT_EQ(refusal(graph, {}, {{"bath", 1}}),
            "m.onnx: there is no symbolic dimension 'bath' among the inputs; did you mean 'batch'?");
  // All that are open at once, each once.
  const std::string two = "(float[batch, words] x, float[batch, 1] z) => (float[batch, words] y) { y = Add(x, z) }";
  EXPECT_EQ(refusal(two),
            "m.onnx: the dimensions batch, words have no value; give them, such as --dim batch=1 --dim words=1");
  EXPECT_EQ(refusal(two, {}, {{"batch", 2}}), "m.onnx: the dimension words has no value; give it, such as --dim words=1");
}

// An input of one whole number is what the file leaves open, too: where it is bound, it decides which branch runs.
TEST(OnnxImport, BranchesWhoseConditionIsKnown) {
  const std::string rate =
      "(float[1, 1, 8] x, int64 rate) => (float[n, m] y) { fast = Constant<value_int = 16000>() c = Equal(rate, fast) "
      "y = If<then_branch = wide () => (float[n, m] t) { f = Flatten(x) t = MatMul(f, w) }, "
      "else_branch = narrow () => (float[n, m] e) { s = Shape(x) i = Constant<value_ints = [1]>() g = Gather(s, i) "
      "o = Constant<value_ints = [1]>() d = Equal(g, o) b = Cast<to = 9>(d) "
      "e = If<then_branch = flat () => (float[n, m] p) { q = Squeeze(x, o) p = Relu(q) }, "
      "else_branch = same () => (float[n, m] r) { r = Identity(x) }>(b) }>(c) }";
  const std::map<std::string, Shape> weights{{"w", {8, 5}}};
  const auto wide = import(rate, weights, {{"rate", 16000}});
  EXPECT_EQ(last_operator(wide), Operator(Linear{5, false}));
  EXPECT_EQ(wide.network.nodes().size(), 3u);  // the rate is no input any more
  ASSERT_EQ(wide.nodes.size(), 5u);
  EXPECT_EQ(wide.nodes[2].fidelity, OnnxFidelity::ignored);
  EXPECT_EQ(wide.nodes[2].note, "the then branch runs; 7 nodes of the other do not");
  EXPECT_EQ(wide.count(OnnxFidelity::approximated), 0u);
  const auto narrow = import(rate, weights, {{"rate", 8000}});
  EXPECT_EQ(last_operator(narrow), Operator(Activation{}));
  EXPECT_EQ(narrow.network.macs(), 0);
  EXPECT_EQ(narrow.network.parameters(), 0);

  EXPECT_EQ(refusal(rate, weights),
            "m.onnx: node 'y' (If): which branch runs depends on data; choose with --dim c=1 (then) or --dim c=0 (else), "
            "or give input 'rate': --dim rate=NUMBER");
  const auto chosen = import(rate, weights, {{"c", 1}});
  EXPECT_TRUE(chosen.network.node(chosen.network.output()).op == Operator(Linear{5, false}));
  EXPECT_EQ(chosen.nodes[2].fidelity, OnnxFidelity::approximated);
  EXPECT_EQ(chosen.nodes[2].note, "the then branch runs; 7 nodes of the other do not, as --dim says");
  // A refusal within a branch names the node there.
  EXPECT_THAT(refusal("(float[1, 4] x, bool c) => (float[1, n] y) { y = If<then_branch = a () => (float[1, n] t) { t = Gemm(x, x) }, "
                      "else_branch = b () => (float[1, n] e) { e = Relu(x) }>(c) }", {}, {{"c", 1}}),
              StartsWith("m.onnx: node 't' (Gemm)"));
}

// A weight of both branches is one of whichever runs, a value that a branch needs is not lost in a pattern.
TEST(OnnxImport, BranchesUseWhatIsAroundThem) {
  const std::string both =
      "(float[1, 4] x, bool c) => (float[1, 4] y) { s = Sigmoid(x) g = Mul(x, s) "
      "y = If<then_branch = a () => (float[1, 4] t) { u = MatMul(s, w) t = Add(u, g) }, "
      "else_branch = b () => (float[1, 4] e) { e = MatMul(g, w) }>(c) }";
  for (const std::int64_t c : {0, 1}) {
    const auto imported = import(both, {{"w", {4, 4}}}, {{"c", c}});
    EXPECT_EQ(imported.network.macs(), 16);
    EXPECT_EQ(imported.network.parameters(), 16);
    EXPECT_EQ(imported.network.node(imported.network.find("g").value()).op, Operator(Multiply{}));
    EXPECT_EQ(imported.count(OnnxFidelity::approximated), 0u);
  }
}

TEST(OnnxImport, NodesNeedNotBeInOrder) {
  const std::string ordered = "(float[1, 4] x) => (float[1, 4] y) { a = Relu(x) b = Neg(a) y = Add(a, b) }";
  const std::string mixed = "(float[1, 4] x) => (float[1, 4] y) { y = Add(a, b) b = Neg(a) a = Relu(x) }";
  EXPECT_TRUE(import(mixed).network == import(ordered).network);
  EXPECT_EQ(import(mixed).nodes.front().name, "a");
  EXPECT_THAT(refusal("(float[1, 4] x) => (float[1, 4] y) { y = Add(x, b) b = Neg(y) }"),
              HasSubstr("is not computed before it"));
}

TEST(OnnxImport, FunctionsKeepTheirSettings) {
  const auto op_of = [](const std::string& body) {
    const auto imported = import("(float[1, 4] x) => (float[1, 4] y) { " + body + " }");
    EXPECT_EQ(imported.count(OnnxFidelity::approximated), 0u) << body;
    return last_operator(imported);
  };
  EXPECT_EQ(op_of("y = LeakyRelu<alpha = 0.2>(x)"), Operator(Elementwise{"leaky_relu", {0.2F}}));
  EXPECT_EQ(op_of("y = LeakyRelu(x)"), Operator(Elementwise{"leaky_relu"}));
  EXPECT_EQ(op_of("y = HardSigmoid(x)"), Operator(Elementwise{"hard_sigmoid", {0.2F, 0.5F}}));
  EXPECT_EQ(op_of("y = HardSigmoid<alpha = 0.16666667>(x)"), Operator(Elementwise{"hard_sigmoid"}));
  EXPECT_EQ(op_of("l = Constant<value_float = 0.5>() y = Clip(x, l)"),
            Operator(Elementwise{"clip", {0.5F, std::numeric_limits<float>::infinity()}}));
  EXPECT_EQ(op_of("y = Clip(x)"), Operator(Elementwise{"clip"}));
  EXPECT_EQ(op_of("l = Constant<value_float = 0.0>() m = Constant<value_float = 6.0>() y = Clip(x, l, m)"),
            Operator(Activation{Activation::Kind::relu6}));
  EXPECT_EQ(op_of("m = ReduceMax(x) y = Clip(x, m)"), Operator(Elementwise{"max"}));
}

// The end of PyTorch's slices is the largest number there is.
TEST(OnnxImport, SlicesToTheEnd) {
  const auto imported = import(
      "(float[1, 9] x) => (float[1, n] y) { s = Constant<value_ints = [2]>() e = Constant<value_ints = [9223372036854775807]>() "
      "a = Constant<value_ints = [1]>() y = Slice(x, s, e, a) }");
  EXPECT_EQ(imported.network.node(imported.network.output()).shape, (Shape{1, 7}));
  // Until opset 9 these were attributes, in arithmetic on shapes too.
  const auto old = import(
      "(float[2, 3, 4] x) => (float[n, m] y) { s = Shape(x) b = Slice<axes = [0], starts = [0], ends = [1]>(s) "
      "r = Constant<value = int64[1] {-1}>() t = Concat<axis = 0>(b, r) y = Reshape(x, t) }",
      {}, {}, 9);
  EXPECT_EQ(last_operator(old), Operator(Reshape{{2, 12}}));
}

// PyTorch turns the order of its pads round by arithmetic on matrices.
TEST(OnnxImport, FoldsArithmeticOnMatrices) {
  const auto imported = import(
      "(float[1, 8] x) => (float[n, m] y) { p = Constant<value_ints = [3, 5, 0, 0]>() two = Constant<value_ints = [-1, 2]>() "
      "r = Reshape(p, two) first = Constant<value_ints = [0]>() last = Constant<value_ints = [-1]>() "
      "end = Constant<value_ints = [-9223372036854775807]>() q = Slice(r, last, end, first, last) t = Transpose<perm = [1, 0]>(q) "
      "all = Constant<value_ints = [-1]>() l = Reshape(t, all) y = Pad(x, l) }");
  EXPECT_EQ(last_operator(imported), Operator(Pad{{0, 3}, {0, 5}}));
  EXPECT_EQ(imported.network.nodes().size(), 2u);
}

TEST(OnnxImport, BoundsThatAreComputed) {
  const auto imported = import_onnx(
      model_of("(float[1, 4] x) => (float[1, 4] y) { m = ReduceMax<axes = [1]>(x) t = Constant<value_float = 0.5>() "
               "h = Mul(m, t) y = Clip(x, , h) }"),
      "m.onnx", {}, OnnxWeights::read);
  EXPECT_EQ(imported.count(OnnxFidelity::approximated), 0u);
  EXPECT_THAT(execute(imported.network, imported.weights, {{{1, 4}, {1, 2, 3, 4}}}).front().values,
              ::testing::ElementsAre(1, 2, 2, 2));
}

TEST(OnnxImport, MirroredAndRepeatedMargins) {
  const auto padded = [](const char* mode) {
    const std::string graph = fmt::format(
        "(float[1, 4] x) => (float[1, n] y) {{ p = Constant<value_ints = [0, 2, 0, 1]>() y = Pad<mode = \"{}\">(x, p) }}", mode);
    const auto imported = import_onnx(model_of(graph), "m.onnx", {}, OnnxWeights::read);
    EXPECT_EQ(imported.count(OnnxFidelity::approximated), 0u);
    return execute(imported.network, imported.weights, {{{1, 4}, {1, 2, 3, 4}}}).front().values;
  };
  EXPECT_THAT(padded("reflect"), ::testing::ElementsAre(3, 2, 1, 2, 3, 4, 3));
  EXPECT_THAT(padded("edge"), ::testing::ElementsAre(1, 1, 1, 2, 3, 4, 4));
  EXPECT_THAT(refusal("(float[1, 4] x) => (float[1, n] y) { p = Constant<value_ints = [0, 4, 0, 0]>() y = Pad<mode = \"reflect\">(x, p) }"),
              HasSubstr("mirrors 4 elements of 4"));
}

// Layers of quantised files have their words.
TEST(OnnxImport, QuantisedLayersKeepTheirWords) {
  const auto model = [](int words) {
    onnx::ModelProto made;
    EXPECT_TRUE(made.ParseFromString(model_of("(uint8[1, 4] x) => (int32[1, 6] y) { y = MatMulInteger(x, w) }", {{"w", {4, 6}}})));
    made.mutable_graph()->mutable_initializer(0)->set_data_type(words);
    return import_onnx(made.SerializeAsString(), "m.onnx");
  };
  const auto imported = model(onnx::TensorProto::INT8);
  EXPECT_EQ(last_operator(imported), Operator(Linear{6, false}));
  EXPECT_EQ(imported.network.node(imported.network.output()).format, (NumberFormat{8, 8}));
  EXPECT_EQ(imported.nodes[0].fidelity, OnnxFidelity::modelled);
  EXPECT_EQ(imported.nodes[0].note, "8-bit weights, 8-bit activations");
  const auto both = import("(uint8[2, 4] x, uint8[4, 6] z) => (int32[2, 6] y) { y = MatMulInteger(x, z) }");
  EXPECT_EQ(both.network.node(both.network.output()).format, (NumberFormat{0, 8}));
}

TEST(OnnxImport, RefusesWithASentence) {
  EXPECT_THAT(refusal("(float[1, 4] x) => (float[1, 4] y) { y = Frobnicate(x) }"),
              StartsWith("m.onnx: node 'y' (Frobnicate): there is no such operator in opset 17"));
  EXPECT_THAT(refusal("(float[1, 4] x) => (float[1, 4] y) { y = Relu(z) }"), HasSubstr("'z' is not computed before it"));
  EXPECT_THAT(refusal("(float[1, 4, 9, 9] x) => (float[1, 8, 7, 7] y) { y = Conv<strides = [0, 1]>(x, w) }", {{"w", {8, 4, 3, 3}}}),
              HasSubstr("attribute strides is 0"));
  EXPECT_THAT(refusal("(float[1, 4, 9, 9] x) => (float[1, 8, 7, 7] y) { y = Conv(x, w) }", {{"w", {8, 5, 3, 3}}}),
              HasSubstr("do not fit input"));
  EXPECT_THAT(refusal("(float[1, 4] x, float[1, 5] z) => (float[1, 4] y) { y = Add(x, z) }"), HasSubstr("broadcast"));
  EXPECT_THAT(refusal("(float[1, 4] x) => (int64[2, n] y) { y = NonZero(x) }"),
              HasSubstr("how many elements it finds depends on data"));
  EXPECT_THAT(refusal("(float[9007199254740992, 4] x) => (float[1, 4] y) { y = Relu(x) }"), HasSubstr("2^53"));
  const auto bytes = model_of("(float[1, 4] x) => (float[1, 4] y) { y = Relu(x) }", {}, 18);
  EXPECT_THROW(import_onnx(bytes, "m.onnx"), ConfigError);
  EXPECT_THROW(import_onnx("", "m.onnx"), ConfigError);
  EXPECT_THROW(import_onnx(std::filesystem::path("/nowhere.onnx")), ConfigError);
  EXPECT_THROW(import_onnx(std::filesystem::path("/")), ConfigError);
}

// Functions of the model itself stand for their nodes: one that calls another, with an attribute handed on.
TEST(OnnxImport, ExpandsTheModelsOwnFunctions) {
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(model_of("(float[1, 4] x) => (float[1, 4] y) { a = Relu(x) y = Relu(a) }")));
  model.add_opset_import()->set_domain("own");
  model.mutable_opset_import()->rbegin()->set_version(1);
  const auto function = [&](const char* name) {
    auto* made = model.add_functions();
    made->set_domain("own");
    made->set_name(name);
    made->add_input("u");
    made->add_output("v");
    return made;
  };
  const auto node = [](auto* to, const char* domain, const char* type, const char* input, const char* output) {
    auto* made = to->add_node();
    made->set_domain(domain);
    made->set_op_type(type);
    made->add_input(input);
    made->add_output(output);
    return made;
  };
  auto* twice = function("Twice");
  twice->add_attribute("slope");
  for (const auto& [from, to] : {std::pair{"u", "t"}, std::pair{"t", "v"}}) {
    auto* alpha = node(twice, "", "LeakyRelu", from, to)->add_attribute();
    alpha->set_name("alpha");
    alpha->set_ref_attr_name("slope");
    alpha->set_type(onnx::AttributeProto::FLOAT);
  }
  auto* outer = function("Outer");
  auto* slope = node(outer, "own", "Twice", "u", "w")->add_attribute();
  slope->set_name("slope");
  slope->set_type(onnx::AttributeProto::FLOAT);
  slope->set_f(0.01F);
  node(outer, "", "Neg", "w", "v");
  auto* graph = model.mutable_graph();
  for (auto& call : *graph->mutable_node()) {
    call.set_domain("own");
    call.set_op_type("Outer");
  }
  const OnnxImport imported = import_onnx(model.SerializeAsString(), "m.onnx", {}, OnnxWeights::read);
  EXPECT_EQ(imported.nodes.size(), 6u);
  EXPECT_EQ(imported.count(OnnxFidelity::modelled), 6u);  // the slope is the usual one
  EXPECT_EQ(imported.network.node(1).name, "a/w/t");
  EXPECT_THAT(execute(imported.network, imported.weights, {{{1, 4}, {-1, 0, 2, -10000}}}).front().values,
              ::testing::Pointwise(::testing::FloatNear(1e-6F), std::vector<float>{-1e-4F, 0, 2e-4F, -1}));

  node(outer, "own", "Outer", "v", "z");
  try {
    import_onnx(model.SerializeAsString(), "m.onnx");
    FAIL() << "a function that calls itself";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("calls itself, or others too deeply"));
  }
}

// What a small file asks for may be without end.
TEST(OnnxImport, ExpansionOfFunctionsIsBounded) {
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(model_of("(float[1, 4] x) => (float[1, 4] y) { y = Relu(x) z = Relu(x) }")));
  model.add_opset_import()->set_domain("own");
  model.mutable_opset_import()->rbegin()->set_version(1);
  const auto call = [](auto* to, const std::string& function, const std::string& output) {
    auto* made = to->add_node();
    made->set_domain("own");
    made->set_op_type(function);
    made->add_input("u");
    made->add_output(output);
    return made;
  };
  const auto function = [&model](const std::string& name) {
    auto* made = model.add_functions();
    made->set_domain("own");
    made->set_name(name);
    made->add_input("u");
    made->add_output("v");
    return made;
  };
  const auto reason = [&model] {
    try {
      import_onnx(model.SerializeAsString(), "m.onnx");
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  auto* last = model.mutable_graph()->mutable_node(1);
  last->set_domain("own");
  last->set_op_type("F0");
  constexpr int levels = 28;
  for (int i = 0; i < levels; ++i) {
    auto* twice = function(fmt::format("F{}", i));
    for (const char* output : {"p", "q"}) call(twice, fmt::format("F{}", i + 1), output);
  }
  function(fmt::format("F{}", levels));  // nothing at all
  EXPECT_THAT(reason(), HasSubstr("more than a million nodes and calls"));

  // One long name in a thousand copies.
  model.clear_functions();
  auto* many = function("F0");
  for (int i = 0; i < 1000; ++i) call(many, "F1", fmt::format("p{}", i));
  call(function("F1"), "F2", "p")->set_name(std::string(std::size_t{1} << 20, 'n'));
  function("F2");
  EXPECT_THAT(reason(), HasSubstr("more than 512 MB"));

  // An operator's own name, which its function leads to again.
  model.clear_functions();
  last->set_domain("");
  last->set_op_type("Identity");
  auto* same = function("Identity");
  same->set_domain("");
  same->set_output(0, "u");
  EXPECT_THAT(reason(), HasSubstr("calls itself, or others too deeply"));
}

// Until opset 6 operands broadcast along a named axis.
TEST(OnnxImport, OldModelsBroadcastAlongAnAxis) {
  const auto old = import("(float[1, 3, 4, 4] x) => (float[1, 3, 4, 4] y) { y = Add<axis = 1, broadcast = 1>(x, b) }",
                          {{"b", {3}}}, {}, 6);
  EXPECT_EQ(old.opset, 6);
  EXPECT_EQ(old.network.node(old.network.output()).shape, (Shape{1, 3, 4, 4}));
  EXPECT_EQ(old.network.parameters(), 3);
  const std::string last = refusal("(float[1, 3, 4, 4] x) => (float[1, 3, 4, 4] y) { y = Add<axis = 3, broadcast = 1>(x, b) }",
                                   {{"b", {4, 4}}}, {}, 6);
  EXPECT_THAT(last, HasSubstr("node 'y' (Add): the second operand reaches beyond the first"));
}

// Any byte may be wrong: an error, or another network, never more.
TEST(OnnxImport, DamagedFilesAreErrors) {
  const std::string good = model_of(
      "(float[1, 4, 9, 9] x) => (float[1, 10] y) { a = Conv<strides = [2, 2], pads = [1, 1, 1, 1]>(x, w, b) "
      "r = Relu(a) p = MaxPool<kernel_shape = [3, 3]>(r) f = Flatten(p) s = Shape(f) y = Gemm<transB = 1>(f, v) }",
      {{"w", {8, 4, 3, 3}}, {"b", {8}}, {"v", {10, 72}}});
  ASSERT_NO_THROW(import_onnx(good, "m.onnx"));
  const std::string branches = model_of(
      "(float[1, 4] x, int64 c) => (float[1, n] y) { z = Constant<value_int = 0>() d = Equal(c, z) "
      "p = Constant<value_ints = [0, 0, 1, 2]>() zero = Constant<value_ints = [0]>() far = Constant<value_ints = [-9]>() two = Constant<value_ints = [-1, 2]>() r = Reshape(p, two) "
      "t = Transpose<perm = [1, 0]>(r) i = Constant<value_ints = [-1]>() f = Slice(t, i, far, zero, i) l = Reshape(t, i) "
      "y = If<then_branch = a () => (float[1, n] u) { k = Relu(x) u = Pad<mode = \"reflect\">(k, l) }, "
      "else_branch = b () => (float[1, n] e) { s = LeakyRelu<alpha = 0.3>(x) e = If<then_branch = h () => (float[1, n] o) "
      "{ o = Clip(s) }, else_branch = g () => (float[1, n] q) { q = Neg(s) }>(d) }>(d) }");
  ASSERT_NO_THROW(import_onnx(branches, "m.onnx", {{"c", 0}}));
  std::size_t refused = 0;
  const auto attempt = [&](const std::string& bytes, const OnnxDimensions& dimensions = {}) {
    try {
      import_onnx(bytes, "m.onnx", dimensions);
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), StartsWith("m.onnx: "));
      EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("\n")));
      ++refused;
    }
  };
  for (std::size_t size = 0; size < good.size(); ++size) attempt(good.substr(0, size));
  EXPECT_GT(refused, good.size() * 9 / 10);
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    std::string bad = good;
    for (auto k = 1 + random() % 3; k > 0; --k) bad[random() % bad.size()] = static_cast<char>(random());
    attempt(bad);
    bad = branches;
    for (auto k = 1 + random() % 3; k > 0; --k) bad[random() % bad.size()] = static_cast<char>(random());
    attempt(bad, {{"c", i % 2}});
  }
  EXPECT_GT(refused, 2000u);
}

TEST(OnnxWire, LeavesOutLargeTensorsOnly) {
  onnx::ModelProto model;
  auto* large = model.mutable_graph()->add_initializer();
  large->set_raw_data(std::string(100'000, 'x'));
  large->add_dims(25'000);
  auto* small = model.mutable_graph()->add_initializer();
  small->set_raw_data("abcd");
  model.set_producer_name("somebody");
  onnx::ModelProto left;
  ASSERT_TRUE(left.ParseFromString(without_weights(model.SerializeAsString())));
  large->clear_raw_data();
  EXPECT_EQ(left.SerializeAsString(), model.SerializeAsString());
  EXPECT_THROW(without_weights("\x0a\xff"), OnnxWireError);
  EXPECT_THROW(without_weights("\x0f"), OnnxWireError);
}

class OnnxFolder : public ::testing::Test {
 protected:
  OnnxFolder() : folder_(std::filesystem::temp_directory_path() / fmt::format("duet_onnx_{}", ::getpid())) {
    std::filesystem::create_directories(folder_);
  }
  ~OnnxFolder() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

TEST_F(OnnxFolder, NetworksOfSpacesComeBack) {
  for (const char* text : {"network: {type: cnn, depth: 1}", "network: {type: nas_bench_201, cells: 1}",
                           "network: {type: nas_bench_macro}", "network: {type: nas_bench_101, cells: 1}",
                           "network: {type: darts, cells: 3}",
                           "network: {type: nas_bench_macro, variants: {replacement: [deformable, deformable_depthwise], offset_range: [0, 2], offset_shape: [free, square]}}", "network: {type: dag, aggregation: [add, concat]}"}) {
    const DesignSpace space = testing::read_space(text);
    Random random(1, "test");
    for (int i = 0; i < 5; ++i) {
      const Network network = testing::network_of(space, space.space().sample(random));
      const bool zeros = std::any_of(network.nodes().begin(), network.nodes().end(), [](const Node& node) {
        return std::holds_alternative<Zeros>(node.op);
      });
      export_onnx(network, folder_ / "n.onnx", {.seed = 3});
      onnx::ModelProto model;
      std::ifstream stream(folder_ / "n.onnx", std::ios::binary);
      ASSERT_TRUE(model.ParseFromIstream(&stream));
      EXPECT_NO_THROW(onnx::checker::check_model(model));
      const Network back = import_onnx(folder_ / "n.onnx").network;
      // Zeros are added where they are first used.
      if (!zeros) {
        EXPECT_TRUE(back == network) << text;
      }
      EXPECT_EQ(back.macs(), network.macs());
      EXPECT_EQ(back.parameters(), network.parameters());
    }
  }
}

TEST_F(OnnxFolder, SettingsOfFunctionsComeBack) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  Network network;
  NodeId last = network.add("x", Input{{1, 4}});
  for (const Elementwise& op : {Elementwise{"leaky_relu", {0.2F}}, Elementwise{"leaky_relu"}, Elementwise{"elu", {2}},
                                Elementwise{"celu", {2}}, Elementwise{"selu", {1, 2}}, Elementwise{"shrink", {0.25F, 1}},
                                Elementwise{"thresholded_relu", {0.5F}}, Elementwise{"hard_sigmoid"},
                                Elementwise{"hard_sigmoid", {0.2F, 0.5F}}, Elementwise{"clip"},
                                Elementwise{"clip", {-1, 2}}, Elementwise{"clip", {0, infinity}},
                                Elementwise{"clip", {-infinity, 0.5F}}}) {
    last = network.add(fmt::format("y{}", last), op, {last});
  }
  export_onnx(network, folder_ / "n.onnx");
  onnx::ModelProto model;
  std::ifstream stream(folder_ / "n.onnx", std::ios::binary);
  ASSERT_TRUE(model.ParseFromIstream(&stream));
  EXPECT_NO_THROW(onnx::checker::check_model(model));
  const OnnxImport back = import_onnx(folder_ / "n.onnx");
  EXPECT_TRUE(back.network == network);
  EXPECT_EQ(back.count(OnnxFidelity::approximated), 0u);
}

TEST_F(OnnxFolder, SameSeedSameFile) {
  Network network;
  network.add("y", Linear{64}, {network.add("x", Input{{1, 64}})});
  const auto bytes = [&](std::uint64_t seed) {
    export_onnx(network, folder_ / "n.onnx", {.seed = seed});
    return testing::read_file(folder_ / "n.onnx");
  };
  const std::string first = bytes(1);
  EXPECT_EQ(bytes(1), first);
  EXPECT_NE(bytes(2), first);
}

// 1.6 GB in the file itself: none of it is read.
TEST_F(OnnxFolder, WeightsAreNotLoaded) {
  Network network;
  NodeId x = network.add("x", Input{{1, 20'000}});
  network.add("y", Linear{20'000, false}, {x});
  export_onnx(network, folder_ / "external.onnx", {.external_data = "external.bin", .zeros = true});
  EXPECT_EQ(std::filesystem::file_size(folder_ / "external.bin"), 1'600'000'000u);
  EXPECT_TRUE(import_onnx(folder_ / "external.onnx").network == network);
  std::filesystem::remove(folder_ / "external.bin");
  EXPECT_TRUE(import_onnx(folder_ / "external.onnx").network == network);

  // The same inline, as a hole in the file: model { 7: graph { 5: tensor { dims, type, name, 9: raw_data } … } }.
  onnx::ModelProto model;
  std::ifstream stream(folder_ / "external.onnx", std::ios::binary);
  ASSERT_TRUE(model.ParseFromIstream(&stream));
  auto* tensor = model.mutable_graph()->mutable_initializer(0);
  tensor->clear_external_data();
  tensor->clear_data_location();
  const auto varint = [](std::uint64_t value) {
    std::string bytes;
    for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
    return bytes + static_cast<char>(value);
  };
  const std::uint64_t weights = 1'600'000'000;
  const std::string head = tensor->SerializeAsString() + "\x4a" + varint(weights);
  const std::string tensor_head = "\x2a" + varint(head.size() + weights);
  model.mutable_graph()->clear_initializer();
  const std::string graph = model.graph().SerializeAsString();
  model.clear_graph();
  const std::string start = model.SerializeAsString() + "\x3a" +
                            varint(graph.size() + tensor_head.size() + head.size() + weights) + graph + tensor_head + head;
  std::ofstream(folder_ / "inline.onnx", std::ios::binary) << start;
  std::filesystem::resize_file(folder_ / "inline.onnx", start.size() + weights);
  EXPECT_TRUE(import_onnx(folder_ / "inline.onnx").network == network);
}

TEST_F(OnnxFolder, ExportRefuses) {
  Network network;
  NodeId x = network.add("x", Input{{1, 4}});
  network.add("y", Other{"lstm", {1, 4}, 1, 1}, {x});
  EXPECT_THROW(export_onnx(network, folder_ / "n.onnx"), ConfigError);
  Network fine;
  fine.add("y", Activation{}, {fine.add("x", Input{{1, 4}})});
  EXPECT_THROW(export_onnx(fine, folder_ / "nowhere" / "n.onnx"), ConfigError);
  Network huge;
  huge.add("y", Linear{50'000}, {huge.add("x", Input{{1, 50'000}})});
  EXPECT_THROW(export_onnx(huge, folder_ / "n.onnx", {.zeros = true}), ConfigError);
}

// Debian's libonnx-testdata: the models of ONNX's own test suite and of old PyTorch.
TEST(OnnxTestData, ModelsImportOrAreRefusedWithAReason) {
  const std::filesystem::path folder = "/usr/share/libonnx-testdata/data";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "libonnx-testdata is not installed";
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".onnx") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  const std::vector<std::string> reasons{
      "sequences, optional values", "strings", "depend on data", "depends on data", "control flow", "has no elements",
      "cannot be converted", "no value", "an ellipsis in the equation",
  };
  std::map<std::string, int> refused;
  int imported = 0, exact = 0;
  for (const std::filesystem::path& file : files) {
    try {
      const OnnxImport result = import_onnx(file);
      ++imported;
      exact += result.count(OnnxFidelity::approximated) == 0 ? 1 : 0;
      EXPECT_EQ(result.count(OnnxFidelity::modelled) + result.count(OnnxFidelity::approximated) +
                    result.count(OnnxFidelity::ignored),
                result.nodes.size());
    } catch (const ConfigError& error) {
      const std::string message = error.what();
      const auto reason = std::find_if(reasons.begin(), reasons.end(), [&](const std::string& text) {
        return message.find(text) != std::string::npos;
      });
      EXPECT_NE(reason, reasons.end()) << message;
      if (reason != reasons.end()) ++refused[*reason];
    }
  }
  for (const auto& [reason, count] : refused) RecordProperty(reason, count);
  std::string counts;
  for (const auto& [reason, count] : refused) counts += fmt::format("\n{:6} {}", count, reason);
  std::printf("%d of %zu import, %d without approximation; refused:%s\n", imported, files.size(), exact, counts.c_str());
  EXPECT_GE(imported * 100, static_cast<int>(files.size()) * 85);
}

}  // namespace
}  // namespace duet
