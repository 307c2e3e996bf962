// Operators of ONNX that duet says with others of its own: what becomes of a node computes what ONNX defines.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <onnx/checker.h>
#include <onnx/defs/parser.h>
#include <onnx/shape_inference/implementation.h>
#include <onnx/onnx_pb.h>

#include "core/errors.hpp"
#include "core/random.hpp"
#include "spaces/execution.hpp"
#include "spaces/onnx.hpp"
#include "tests/spaces/onnx_text.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::Pointwise;
using testing::import_text;

using Held = std::map<std::string, FloatTensor>;

FloatTensor drawn(const Shape& shape, std::string_view key) {
  FloatTensor tensor{shape, {}};
  Random random(1, key);
  for (std::int64_t i = 0; i < elements(shape); ++i) tensor.values.push_back(static_cast<float>(random.uniform(-1, 1)));
  return tensor;
}

FloatTensor counting(const Shape& shape) {
  FloatTensor tensor{shape, {}};
  for (std::int64_t i = 0; i < elements(shape); ++i) tensor.values.push_back(static_cast<float>(i));
  return tensor;
}

/// Everything is modelled, and this is what it computes.
std::vector<FloatTensor> results(const OnnxImport& imported, const std::vector<FloatTensor>& inputs) {
  for (const OnnxNode& node : imported.nodes) {
    EXPECT_NE(node.fidelity, OnnxFidelity::approximated) << node.name << ": " << node.note;
  }
  return execute(imported.network, imported.weights, inputs);
}

FloatTensor result(const std::string& graph, const std::vector<FloatTensor>& inputs, const Held& weights = {},
                   int opset = 17) {
  return results(import_text(graph, weights, opset), inputs).at(0);
}

// --- Einsum --------------------------------------------------------------------------------------

/// Every combination of all indices, one by one. `equation` has "->" and no ellipsis.
FloatTensor sum_of_products(const std::string& equation, const std::vector<FloatTensor>& operands) {
  const std::size_t arrow = equation.find("->");
  std::vector<std::string> terms{""};
  std::map<char, std::int64_t> extents;
  for (const char c : equation.substr(0, arrow)) {
    if (c == ',') {
      terms.emplace_back();
      continue;
    }
    extents[c] = operands[terms.size() - 1].shape[terms.back().size()];
    terms.back() += c;
  }
  const std::string to = equation.substr(arrow + 2);
  std::map<char, std::int64_t> at;
  FloatTensor made;
  for (const char c : to) made.shape.push_back(extents[c]);
  if (to.empty()) made.shape = {1};
  std::vector<double> sums(static_cast<std::size_t>(elements(made.shape)), 0);
  const auto offset = [&](const std::string& indices) {
    std::int64_t result = 0;
    for (const char c : indices) result = result * extents[c] + at[c];
    return static_cast<std::size_t>(result);
  };
  std::int64_t all = 1;
  for (const auto& [c, extent] : extents) all *= extent;
  for (std::int64_t i = 0; i < all; ++i) {
    std::int64_t rest = i;
    for (const auto& [c, extent] : extents) {
      at[c] = rest % extent;
      rest /= extent;
    }
    double product = 1;
    for (std::size_t k = 0; k < terms.size(); ++k) product *= static_cast<double>(operands[k].values[offset(terms[k])]);
    sums[offset(to)] += product;
  }
  made.values.assign(sums.begin(), sums.end());
  return made;
}

std::string type_of(const Shape& shape) {
  std::string text = "float[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += fmt::format("{}{}", i > 0 ? ", " : "", shape[i]);
  return text + "]";
}

TEST(OnnxOperators, EinsumIsProductsOfMatrices) {
  struct Case {
    std::string equation, plainly;  // plainly: without ellipsis and with a result
    std::vector<Shape> shapes;
    std::int64_t macs;
  };
  const std::vector<Case> cases{
      {"bij,bjk->bik", "", {{2, 3, 4}, {2, 4, 5}}, 2 * 3 * 4 * 5},
      {"bhqd,bhkd->bhqk", "", {{2, 3, 4, 5}, {2, 3, 6, 5}}, 2 * 3 * 4 * 5 * 6},
      {"bqhd,bkhd->bhqk", "", {{2, 4, 3, 5}, {2, 6, 3, 5}}, 2 * 3 * 4 * 5 * 6},
      {"nchw,oc->nohw", "", {{1, 4, 2, 3}, {5, 4}}, 4 * 6 * 5},
      {"btd,dhk->bthk", "", {{2, 3, 4}, {4, 2, 5}}, 2 * 3 * 4 * 10},
      {"bqhk,hkd->bqd", "", {{2, 3, 2, 5}, {2, 5, 4}}, 2 * 3 * 10 * 4},
      {"i,j->ij", "", {{3}, {4}}, 0},
      {"i,i->", "", {{5}, {5}}, 5},
      {"abc,cd", "abc,cd->abd", {{2, 3, 4}, {4, 5}}, 2 * 3 * 4 * 5},
      {"...ij,...jk->...ik", "abij,abjk->abik", {{2, 2, 3, 4}, {2, 2, 4, 5}}, 4 * 3 * 4 * 5},
      {"bij->bji", "", {{2, 3, 4}}, 0},
      {"bij->b", "", {{2, 3, 4}}, 0},
      {"abx,aby->ab", "", {{2, 3, 4}, {2, 3, 5}}, 0},  // both sum before anything is multiplied
      {"bqd,bkd,bqk->b", "", {{2, 3, 4}, {2, 5, 4}, {2, 3, 5}}, 2 * 3 * 4 * 5 + 2 * 3 * 5},
  };
  for (const Case& one : cases) {
    std::vector<FloatTensor> operands;
    std::string inputs, names;
    for (std::size_t i = 0; i < one.shapes.size(); ++i) {
      operands.push_back(drawn(one.shapes[i], fmt::format("{}{}", one.equation, i)));
      inputs += fmt::format("{}{} x{}", i > 0 ? ", " : "", type_of(one.shapes[i]), i);
      names += fmt::format("{}x{}", i > 0 ? ", " : "", i);
    }
    const FloatTensor want = sum_of_products(one.plainly.empty() ? one.equation : one.plainly, operands);
    const std::string node = fmt::format("=> (float[n] y) {{ y = Einsum<equation = \"{}\">({}) }}", one.equation, names);
    const OnnxImport imported = import_text(fmt::format("({}) {}", inputs, node));
    EXPECT_EQ(imported.network.macs(), one.macs) << one.equation;
    EXPECT_EQ(imported.network.parameters(), 0) << one.equation;
    const FloatTensor have = results(imported, operands).at(0);
    EXPECT_EQ(have.shape, want.shape) << one.equation;
    EXPECT_THAT(have.values, Pointwise(FloatNear(1e-5F), want.values)) << one.equation;
    if (one.shapes.size() != 2) continue;
    for (const std::size_t held : {0U, 1U}) {  // each operand as weights
      const OnnxImport with_weights =
          import_text(fmt::format("({} x{}) {}", type_of(one.shapes[1 - held]), 1 - held, node), {{fmt::format("x{}", held), operands[held]}});
      EXPECT_EQ(with_weights.network.macs(), one.macs) << one.equation;
      EXPECT_EQ(with_weights.network.parameters(), elements(one.shapes[held])) << one.equation;
      EXPECT_THAT(results(with_weights, {operands[1 - held]}).at(0).values, Pointwise(FloatNear(1e-5F), want.values)) << one.equation;
    }
  }
  // A projection with weights is a layer.
  const OnnxImport layer = import_text("(float[2, 3, 4] x) => (float[n] y) { y = Einsum<equation = \"btd,dhk->bthk\">(x, w) }",
                                      {{"w", drawn({4, 2, 5}, "w")}});
  EXPECT_TRUE(std::any_of(layer.network.nodes().begin(), layer.network.nodes().end(),
                          [](const Node& node) { return node.op == Operator(Linear{10, false}); }));
}

TEST(OnnxOperators, EinsumThatIsNoProductOfMatricesIsCounted) {
  const OnnxImport diagonal = import_text("(float[2, 3, 3] x) => (float[n] y) { y = Einsum<equation = \"bii->b\">(x) }");
  EXPECT_EQ(diagonal.nodes[0].fidelity, OnnxFidelity::approximated);
  EXPECT_EQ(diagonal.network.node(diagonal.network.output()).shape, (Shape{2}));
  for (const char* wrong : {"ij->i", "bijk->b", "bij,b->b", "bij->bb", "bij->x", "b?j->b"}) {
    EXPECT_THROW(import_text(fmt::format("(float[2, 3, 4] x) => (float[n] y) {{ y = Einsum<equation = \"{}\">(x) }}", wrong)),
                 std::runtime_error)
        << wrong;
  }
}

// --- Recurrent networks --------------------------------------------------------------------------

using Numbers = std::vector<double>;

/// The equations of ONNX for one direction of a GRU (three gates) or an RNN, batch 1.
struct Recurrence {
  std::size_t gates, size, features;
  const float *w, *r, *b;  // b: those of the input, then those of the state

  Numbers rows(const float* matrix, const Numbers& x, const float* shift) const {
    Numbers sums(gates * size);
    for (std::size_t i = 0; i < sums.size(); ++i) {
      sums[i] = static_cast<double>(shift[i]);
      for (std::size_t k = 0; k < x.size(); ++k) sums[i] += static_cast<double>(matrix[i * x.size() + k]) * x[k];
    }
    return sums;
  }
  Numbers next(const Numbers& x, const Numbers& h, bool reset_after) const {
    const auto sigmoid = [](double z) { return 1 / (1 + std::exp(-z)); };
    const Numbers fed = rows(w, x, b), state = rows(r, h, b + gates * size);
    Numbers made(size);
    if (gates == 1) {
      for (std::size_t i = 0; i < size; ++i) made[i] = std::tanh(fed[i] + state[i]);
      return made;
    }
    Numbers reset(size), gated(size);
    for (std::size_t i = 0; i < size; ++i) {
      reset[i] = sigmoid(fed[size + i] + state[size + i]);
      gated[i] = reset[i] * h[i];
    }
    const Numbers before = rows(r, gated, b + gates * size);
    for (std::size_t i = 0; i < size; ++i) {
      const double z = sigmoid(fed[i] + state[i]);
      const double from_state = reset_after ? reset[i] * state[2 * size + i] : before[2 * size + i];
      made[i] = (1 - z) * std::tanh(fed[2 * size + i] + from_state) + z * h[i];
    }
    return made;
  }
};

TEST(OnnxOperators, GrusAndRnnsOfAFewStepsAreUnrolled) {
  constexpr std::size_t size = 2, features = 3;
  for (const std::string type : {"GRU", "RNN"}) {
    for (const std::string direction : {"forward", "reverse", "bidirectional"}) {
      for (const bool reset_after : {false, true}) {
        for (const std::int64_t steps : {1, 4}) {
          if (type == "RNN" && reset_after) continue;
          const std::size_t gates = type == "GRU" ? 3 : 1, directions = direction == "bidirectional" ? 2 : 1;
          const auto d = static_cast<std::int64_t>(directions), rows = static_cast<std::int64_t>(gates * size);
          const Held weights{{"w", drawn({d, rows, 3}, "w")}, {"r", drawn({d, rows, 2}, "r")}, {"b", drawn({d, 2 * rows}, "b")}};
          const OnnxImport imported = import_text(
              fmt::format("(float[{0}, 1, 3] x, float[{1}, 1, 2] h) => (float[{0}, {1}, 1, 2] y, float[{1}, 1, 2] z) "
                          "{{ y, z = {2}<hidden_size = 2, direction = \"{3}\"{4}>(x, w, r, b, , h) }}",
                          steps, d, type, direction, reset_after ? ", linear_before_reset = 1" : ""),
              weights);
          EXPECT_EQ(imported.network.macs(), steps * d * rows * 5);
          EXPECT_EQ(imported.network.parameters(), d * rows * (3 + 2 + 2));
          const FloatTensor x = drawn({steps, 1, 3}, "x"), h0 = drawn({d, 1, 2}, "h");
          const auto have = results(imported, {x, h0});
          for (std::size_t k = 0; k < directions; ++k) {
            const Recurrence one{gates, size, features, &weights.at("w").values[k * gates * size * features],
                                 &weights.at("r").values[k * gates * size * size], &weights.at("b").values[k * 2 * gates * size]};
            Numbers h(h0.values.begin() + static_cast<std::ptrdiff_t>(k * size), h0.values.begin() + static_cast<std::ptrdiff_t>((k + 1) * size));
            for (std::int64_t i = 0; i < steps; ++i) {
              const auto t = static_cast<std::size_t>(direction == "reverse" || k == 1 ? steps - 1 - i : i);
              h = one.next({x.values.begin() + static_cast<std::ptrdiff_t>(t * 3), x.values.begin() + static_cast<std::ptrdiff_t>(t * 3 + 3)}, h, reset_after);
              for (std::size_t j = 0; j < size; ++j) EXPECT_NEAR(have[0].values[(t * directions + k) * size + j], h[j], 1e-5);
            }
            for (std::size_t j = 0; j < size; ++j) EXPECT_NEAR(have[1].values[k * size + j], h[j], 1e-5);
          }
        }
      }
    }
  }
}

TEST(OnnxOperators, LstmsOfBothDirectionsAreTwo) {
  const std::string node = "{{ y, h, c = LSTM<hidden_size = 2{}>(x, w, r, b) }}";
  const FloatTensor w = drawn({2, 8, 3}, "w"), r = drawn({2, 8, 2}, "r"), b = drawn({2, 16}, "b"), x = drawn({4, 1, 3}, "x");
  const auto half = [](const FloatTensor& both, std::size_t k) {
    const auto size = static_cast<std::ptrdiff_t>(both.values.size() / 2), first = static_cast<std::ptrdiff_t>(k) * size;
    FloatTensor one{both.shape, {both.values.begin() + first, both.values.begin() + first + size}};
    one.shape[0] = 1;
    return one;
  };
  const auto both = results(import_text("(float[4, 1, 3] x) => (float[4, 2, 1, 2] y, float[2, 1, 2] h, float[2, 1, 2] c) " +
                                           fmt::format(fmt::runtime(node), ", direction = \"bidirectional\""),
                                       {{"w", w}, {"r", r}, {"b", b}}), {x});
  FloatTensor backwards = x;
  for (std::size_t i = 0; i < 12; ++i) backwards.values[i] = x.values[(3 - i / 3) * 3 + i % 3];
  for (const std::size_t k : {0U, 1U}) {
    const auto one = results(import_text("(float[4, 1, 3] x) => (float[4, 1, 1, 2] y, float[1, 1, 2] h, float[1, 1, 2] c) " +
                                            fmt::format(fmt::runtime(node), ""),
                                        {{"w", half(w, k)}, {"r", half(r, k)}, {"b", half(b, k)}}), {k == 0 ? x : backwards});
    for (std::size_t t = 0; t < 4; ++t) {
      for (std::size_t j = 0; j < 2; ++j) EXPECT_EQ(both[0].values[(t * 2 + k) * 2 + j], one[0].values[(k == 0 ? t : 3 - t) * 2 + j]);
    }
    for (std::size_t j = 0; j < 2; ++j) EXPECT_EQ(both[2].values[k * 2 + j], one[2].values[j]);
  }
}

TEST(OnnxOperators, WeightsThatAreComputedCountOnce) {
  // PyTorch's gates in the order of ONNX's, where the exporter folds no constants.
  const OnnxImport gru = import_text(
      "(float[3, 1, 4] x) => (float[3, 1, 1, 2] y) { a, c = Split<axis = 1>(w) v = Concat<axis = 1>(c, a) "
      "y = GRU<hidden_size = 2>(x, v, r) }",
      {{"w", drawn({1, 6, 4}, "w")}, {"r", drawn({1, 6, 2}, "r")}});
  EXPECT_EQ(gru.network.parameters(), 24 + 12);
  EXPECT_EQ(gru.network.macs(), 3 * 6 * (4 + 2));
  // Heads that several scales share.
  const OnnxImport shared = import_text(
      "(float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] y) { a = Conv(x, w, b) c = Conv(a, w, b) y = ConvTranspose(c, w) }",
      {{"w", drawn({2, 2, 1, 1}, "w")}, {"b", drawn({2}, "b")}});
  EXPECT_EQ(shared.network.parameters() - shared.counted_again, 4 + 2);
  EXPECT_EQ(shared.nodes[0].fidelity, OnnxFidelity::modelled);
  EXPECT_EQ(shared.nodes[1].fidelity, OnnxFidelity::approximated);
  EXPECT_EQ(shared.nodes[2].fidelity, OnnxFidelity::approximated);
  const OnnxImport convolution = import_text(
      "(float[1, 2, 4, 4] x, float[3, 2, 3, 3] w) => (float[1, 3, 2, 2] y) { y = Conv(x, w, b) }", {{"b", drawn({3}, "b")}});
  EXPECT_EQ(convolution.network.parameters(), 3);
  EXPECT_EQ(convolution.network.macs(), 12 * 18);
}

// --- Normalisations ------------------------------------------------------------------------------

TEST(OnnxOperators, InstancesAreNormalized) {
  const FloatTensor x = drawn({2, 3, 4, 2}, "x"), scale = drawn({3}, "scale"), shift = drawn({3}, "shift");
  const OnnxImport imported = import_text(
      "(float[2, 3, 4, 2] x) => (float[2, 3, 4, 2] y) { y = InstanceNormalization<epsilon = 0.01>(x, s, b) }", {{"s", scale}, {"b", shift}});
  EXPECT_EQ(imported.network.parameters(), 6);
  const FloatTensor have = results(imported, {x}).at(0);
  for (std::size_t plane = 0; plane < 6; ++plane) {
    double mean = 0, variance = 0;
    for (std::size_t i = 0; i < 8; ++i) mean += static_cast<double>(x.values[plane * 8 + i]) / 8;
    for (std::size_t i = 0; i < 8; ++i) variance += std::pow(static_cast<double>(x.values[plane * 8 + i]) - mean, 2) / 8;
    for (std::size_t i = 0; i < 8; ++i) {
      const double want = (static_cast<double>(x.values[plane * 8 + i]) - mean) / std::sqrt(variance + 0.01) *
                              static_cast<double>(scale.values[plane % 3]) + static_cast<double>(shift.values[plane % 3]);
      EXPECT_NEAR(have.values[plane * 8 + i], want, 1e-5);
    }
  }
  // PyTorch's group normalisation: its ones and zeros are no parameters.
  const OnnxImport groups = import_text(
      "(float[2, 4, 6] x) => (float[2, 4, 6] y) { s = Constant<value_floats = [1.0, 1.0]>() b = Constant<value_floats = [0.0, 0.0]>() "
      "g = Constant<value_ints = [2, 2, -1]>() r = Reshape(x, g) n = InstanceNormalization(r, s, b) t = Shape(x) y = Reshape(n, t) }");
  EXPECT_EQ(groups.network.parameters(), 0);
  const FloatTensor normalised = results(groups, {drawn({2, 4, 6}, "g")}).at(0);
  for (std::size_t group = 0; group < 4; ++group) {
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i < 12; ++i) {
      sum += static_cast<double>(normalised.values[group * 12 + i]);
      squares += std::pow(static_cast<double>(normalised.values[group * 12 + i]), 2);
    }
    EXPECT_NEAR(sum, 0, 1e-4);
    EXPECT_NEAR(squares, 12, 1e-2);
  }
}

TEST(OnnxOperators, StatisticsMayBeComputed) {
  const FloatTensor have = result("(float[1, 2, 2] x, float[2] m) => (float[1, 2, 2] y) { y = BatchNormalization<epsilon = 0.0>(x, s, b, m, v) }",
                                  {{{1, 2, 2}, {1, 2, 3, 4}}, {{2}, {1, 4}}}, {{"s", {{2}, {1, 6}}}, {"b", {{2}, {0, 1}}}, {"v", {{2}, {4, 9}}}});
  EXPECT_THAT(have.values, ElementsAre(0, 0.5, -1, 1));
}

TEST(OnnxOperators, LogarithmsOfASoftmax) {
  const FloatTensor x{{2, 3}, {1, 2, 3, 0, 0, -200}};
  const FloatTensor have = result("(float[2, 3] x) => (float[2, 3] y) { y = LogSoftmax(x) }", {x});
  EXPECT_THAT(have.values, Pointwise(FloatNear(1e-4F), std::vector<float>{-2.40761F, -1.40761F, -0.40761F, -0.69315F, -0.69315F, -200.69315F}));
  // Until opset 12 the axis and all after it were one dimension.
  const FloatTensor old = result("(float[1, 2, 2] x) => (float[1, 2, 2] y) { y = LogSoftmax(x) }", {{{1, 2, 2}, {0, 0, 0, 0}}}, {}, 12);
  EXPECT_THAT(old.values, Pointwise(FloatNear(1e-5F), std::vector<float>(4, -std::log(4.0F))));
}

// --- Quantised files -----------------------------------------------------------------------------

// Words of weights, scaled by channel; as PyTorch, TensorRT and onnxruntime write them.
TEST(OnnxOperators, LayersOfDequantisedNumbersHaveTheirWords) {
  const std::string weights =
      "q = Constant<value = int8[2, 2, 1, 1] {1, -2, 3, 4}>() s = Constant<value_floats = [0.5, 2.0]>() z = Constant<value = int8[2] {0, 1}>() "
      "w = DequantizeLinear<axis = 0>(q, s, z) ";
  // Weights alone: the numbers are known.
  const OnnxImport alone = import_text("(float[1, 2, 1, 2] x) => (float[1, 2, 1, 2] y) { " + weights + "y = Conv(x, w) }");
  EXPECT_EQ(alone.network.parameters(), 4);
  EXPECT_EQ(alone.network.node(alone.network.output()).format, (NumberFormat{8, 0}));
  EXPECT_THAT(results(alone, {counting({1, 2, 1, 2})}).at(0).values, ElementsAre(-2, -2.5, 12, 22));
  // Activations too.
  const std::string both = "(float[2, 2] x) => (float[2, 2] y) { a = Constant<value_float = 0.1>() o = Constant<value = uint8 {128}>() "
                           "c = QuantizeLinear(x, a, o) d = DequantizeLinear(c, a, o) "
                           "q = Constant<value = int8[2, 2] {1, -2, 3, 4}>() w = DequantizeLinear(q, a) y = ";
  const OnnxImport product = import_text(both + "Gemm(d, w) }");
  EXPECT_EQ(product.network.parameters(), 4);
  EXPECT_EQ(product.network.node(product.network.output()).format, (NumberFormat{8, 8}));
  // What follows has words of its own.
  const OnnxImport then = import_text(both.substr(0, both.size() - 4) + "g = MatMul(d, w) r = Relu(g) m = MatMul(r, v) y = Add(m, b) }",
                                     {{"v", drawn({2, 2}, "v")}, {"b", drawn({2}, "b")}});
  EXPECT_EQ(then.network.node(*then.network.find("g")).format, (NumberFormat{8, 8}));
  EXPECT_EQ(then.network.node(then.network.output()).format, NumberFormat{});
}

// --- Moves ---------------------------------------------------------------------------------------

TEST(OnnxOperators, DepthAndSpace) {
  const FloatTensor depth = counting({1, 8, 1, 2});
  EXPECT_THAT(result("(float[1, 8, 1, 2] x) => (float[1, 2, 2, 4] y) { y = DepthToSpace<blocksize = 2>(x) }", {depth}).values,
              ElementsAre(0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15));
  EXPECT_THAT(result("(float[1, 8, 1, 2] x) => (float[1, 2, 2, 4] y) { y = DepthToSpace<blocksize = 2, mode = \"CRD\">(x) }", {depth}).values,
              ElementsAre(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15));
  EXPECT_EQ(result("(float[1, 8, 1, 2] x) => (float[1, 8, 1, 2] y) { s = DepthToSpace<blocksize = 2>(x) y = SpaceToDepth<blocksize = 2>(s) }", {depth}),
            depth);
}

TEST(OnnxOperators, LargestAndSmallest) {
  const FloatTensor x{{2, 3}, {5, 1, 5, 2, 9, 0}};
  EXPECT_THAT(result("(float[2, 3] x) => (int64[2, 1] y) { y = ArgMax<axis = 1>(x) }", {x}).values, ElementsAre(0, 1));
  EXPECT_THAT(result("(float[2, 3] x) => (int64[3] y) { y = ArgMin<axis = 0, keepdims = 0>(x) }", {x}).values, ElementsAre(1, 0, 1));
  const auto both = results(import_text("(float[2, 3] x) => (float[1, 3] y, int64[1, 3] i) { k = Constant<value_ints = [1]>() "
                                       "y, i = TopK<axis = 0, largest = 0>(x, k) }"), {x});
  EXPECT_THAT(both.at(0).values, ElementsAre(2, 1, 0));
  EXPECT_THAT(both.at(1).values, ElementsAre(1, 0, 1));
  EXPECT_THAT(result("(float[2, 3] x) => (int64[2, 2] i) { k = Constant<value_ints = [2]>() y, i = TopK(x, k) }", {x}).values, ElementsAre(0, 2, 1, 0));
}

TEST(OnnxOperators, PiecesAndRepetitions) {
  const FloatTensor x = counting({2, 6});
  // Runs of equal steps, one of which goes backwards.
  EXPECT_THAT(result("(float[2, 6] x) => (float[2, 5] y) { i = Constant<value_ints = [4, 3, 2, 5, -6]>() y = Gather<axis = 1>(x, i) }", {x}).values,
              ElementsAre(4, 3, 2, 5, 0, 10, 9, 8, 11, 6));
  EXPECT_THAT(result("(float[2, 2] x) => (float[2, 4] y) { i = Constant<value_ints = [1, 2]>() y = Tile(x, i) }", {counting({2, 2})}).values,
              ElementsAre(0, 1, 0, 1, 2, 3, 2, 3));
  EXPECT_THAT(result("(float[2, 6] x) => (float[2, 3] y) { p = Constant<value_ints = [0, -4, 0, 1]>() y = Pad(x, p) }", {x}).values,
              ElementsAre(4, 5, 0, 10, 11, 0));
  EXPECT_THAT(result("(float[3, 3] x) => (float[3, 3] y) { k = Constant<value_int = 1>() y = Trilu(x, k) }", {counting({3, 3})}).values,
              ElementsAre(0, 1, 2, 0, 0, 5, 0, 0, 0));
  // A mask keeps no trace of what it hides.
  const FloatTensor infinite{{2, 2}, std::vector<float>(4, -std::numeric_limits<float>::infinity())};
  EXPECT_THAT(result("(float[2, 2] x) => (float[2, 2] y) { y = Trilu<upper = 0>(x) }", {infinite}).values,
              ElementsAre(-INFINITY, 0, -INFINITY, -INFINITY));
}

TEST(OnnxOperators, ResizedAlongCorners) {
  const FloatTensor x{{1, 1, 1, 3}, {0, 2, 8}};
  const std::string sizes = "(float[1, 1, 1, 3] x) => (float[1, 1, 1, 5] y) {{ s = Constant<value_ints = [1, 1, 1, 5]>() y = Resize<{}>(x, , , s) }}";
  EXPECT_THAT(result(fmt::format(fmt::runtime(sizes), "mode = \"linear\", coordinate_transformation_mode = \"align_corners\""), {x}).values,
              ElementsAre(0, 1, 2, 5, 8));
  EXPECT_THAT(result(fmt::format(fmt::runtime(sizes), "coordinate_transformation_mode = \"asymmetric\", nearest_mode = \"floor\""), {x}).values,
              ElementsAre(0, 0, 2, 2, 8));
}

TEST(OnnxOperators, VectorsAreRows) {
  const Held weights{{"w", {{2, 2}, {1, 2, 3, 4}}}, {"b", {{2}, {10, 20}}}};
  EXPECT_THAT(result("(float[2] x) => (float[2] y) { p = MatMul(x, w) y = Add(p, b) }", {{{2}, {1, 2}}}, weights).values, ElementsAre(17, 30));
}

TEST(OnnxOperators, FactorsOfAProduct) {
  const FloatTensor a{{1, 2}, {1, 2}}, b{{2, 1}, {3, 4}}, c{{1, 1}, {100}};
  EXPECT_THAT(result("(float[1, 2] a, float[2, 1] b, float[1, 1] c) => (float[1, 1] y) { y = Gemm<alpha = 2.0, beta = 0.5>(a, b, c) }", {a, b, c}).values,
              ElementsAre(72));
}

// --- What is known before the network runs -------------------------------------------------------

TEST(OnnxOperators, ArithmeticOnShapesGoesFar) {
  // A window that does not divide the image is padded: Swin.
  const OnnxImport padded = import_text(
      "(float[1, 10] x) => (float[n, m] y) { s = Shape(x) i = Constant<value_ints = [1]>() e = Gather(s, i) w = Constant<value_ints = [7]>() "
      "r = Mod(e, w) d = Sub(w, r) p = Mod(d, w) z = Constant<value_ints = [0, 0, 0]>() a = Concat<axis = 0>(z, p) y = Pad(x, a) }");
  EXPECT_EQ(padded.network.node(padded.network.output()).shape, (Shape{1, 14}));
  // Pieces of a shape.
  const OnnxImport split = import_text(
      "(float[2, 6] x) => (float[n, m] y) { s = Shape(x) a, b = Split(s) r = Concat<axis = 0>(b, a) y = Reshape(x, r) }");
  EXPECT_EQ(split.network.node(split.network.output()).shape, (Shape{6, 2}));
  // A mask that is written piece by piece.
  const FloatTensor masked = result(
      "(float[4] x) => (float[4] y) { s = Shape(x) z = ConstantOfShape(s) i = Constant<value = int64[2, 1] {1, 3}>() "
      "u = Constant<value_floats = [5.0, 7.0]>() m = ScatterND(z, i, u) y = Add(x, m) }", {counting({4})});
  EXPECT_THAT(masked.values, ElementsAre(0, 6, 2, 10));
  // What no rule knows is executed.
  const OnnxImport executed = import_text(
      "(float[2, 6] x) => (float[n, m] y) { s = Shape(x) g = Constant<value = int64[2, 2] {0, 1, 0, 1}>() p = Gather(s, g) "
      "r = ReduceMax<axes = [0], keepdims = 0>(p) y = Expand(x, r) }");
  EXPECT_EQ(executed.count(OnnxFidelity::approximated), 0u);
  EXPECT_EQ(executed.network.node(executed.network.output()).op, Operator(Expand{{2, 6}}));
}

// Token numbers, positions, truths: a file has a type for each.
TEST(OnnxOperators, ExportedFilesHaveTypes) {
  const std::string graphs[] = {
      "(int64[2, 3] t) => (float[2, 3, 4] y) { z = Constant<value_int = 0>() e = Equal(t, z) c = Cast<to = 1>(e) a = Constant<value_ints = [2]>() "
      "m = Unsqueeze(c, a) r = Gather(w, t) y = Mul(r, m) }",                                                      // a mask of padding
      "(float[2, 3] x) => (int64[3] y) { y = ArgMax<axis = 0, keepdims = 0>(x) }",                                 // positions that move on
      "(float[2, 3] x) => (float[2, 3] y) { g = Trilu(x) z = Constant<value_float = 0.0>() a = Greater(g, z) b = Less(x, z) o = Or(a, b) y = Where(o, x, g) }",
      "(float[2, 3] x) => (float y) { y = ReduceMean<keepdims = 0>(x) }",                                          // a scalar
      "(float[2, 4] x) => (float[2, 4] y) { i = Constant<value = int64[2] {4, 1}>() r = Gather(w, i) y = Add(x, r) }",
      "(float[2, 3] x) => (float[2, 3, 4] y) { z = Constant<value_float = 0.0>() g = Greater(x, z) c = Cast<to = 7>(g) y = Gather(w, c) }",
  };
  const duet::testing::TemporaryDirectory folder;
  for (const std::string& graph : graphs) {
    const OnnxImport first = import_text(graph, graph.find('w') == std::string::npos ? Held{} : Held{{"w", drawn({6, 4}, "w")}});
    const auto file = folder.path() / "out.onnx";
    export_onnx(first.network, file, {.weights = &first.weights});
    onnx::ModelProto model;
    std::ifstream stream(file, std::ios::binary);
    ASSERT_TRUE(model.ParseFromIstream(&stream));
    EXPECT_NO_THROW(onnx::checker::check_model(model)) << graph;
    onnx::ShapeInferenceOptions strict(true, 1);
    EXPECT_NO_THROW(onnx::shape_inference::InferShapes(model, onnx::OpSchemaRegistry::Instance(), strict)) << graph;
    const OnnxImport again = import_onnx(file, {}, OnnxWeights::read);
    FloatTensor x = graph.find("int64[2, 3] t") == std::string::npos ? drawn({2, graph.find("float[2, 4] x") == std::string::npos ? 3 : 4}, "x")
                                                                     : FloatTensor{{2, 3}, {1, 0, 5, 0, 2, 3}};
    EXPECT_EQ(execute(again.network, again.weights, {x}), execute(first.network, first.weights, {x})) << graph;
  }
}

std::string why_not(const std::string& graph, const Held& weights = {}) {
  try {
    import_text(graph, weights);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(OnnxOperators, SayWhatDoesNotFit) {
  using ::testing::HasSubstr;
  EXPECT_EQ(why_not("(float[2] x, float[2] x) => (float[2] y) { y = Relu(x) }"), "m.onnx: input 'x' is declared twice");
  EXPECT_THAT(why_not("(float[2, 3] x) => (float[n] y) { y = com.me.Mine(x) }"),
              HasSubstr("(Mine): an operator from outside ONNX ('com.me'), and the file does not say the shape of 'y'"));
  EXPECT_THAT(why_not("(float[1, 4, 2, 3] x) => (float[n] y) { y = SpaceToDepth<blocksize = 2>(x) }"), HasSubstr("blocks of 2 do not fit (1, 4, 2, 3)"));
  EXPECT_THAT(why_not("(float[2, 3, 4] x) => (float[n, m, k] y) { y = InstanceNormalization(x, s, s) }", {{"s", {{2}, {1, 1}}}}),
              HasSubstr("its scale and shift do not fit the channels"));
  EXPECT_THAT(why_not("(float[3] x) => (float[3] y) { z = Constant<value_floats = [0.0]>() i = Constant<value = int64[1, 1] {7}>() "
                      "u = Constant<value_floats = [5.0]>() m = ScatterND(z, i, u) y = Add(x, m) }"),
              HasSubstr("node 'm' (ScatterND): an index is out of range"));
  // More is cut off than there is, by numbers at the end of their range.
  EXPECT_THAT(why_not("(float[1, 4] x) => (float[n, m] y) { p = Constant<value_ints = [-9223372036854775807, 0, -9223372036854775807, 0]>() "
                      "y = Pad(x, p) }"), HasSubstr("(Pad): cuts off more than (1, 4) has"));
}

TEST(OnnxOperators, WhatIsFoundDependsOnData) {
  // Of what is known it is counted.
  const FloatTensor picked = result("(float[4] x) => (float[n] y) { m = Constant<value = bool[2, 2] {0, 1, 1, 1}>() n = NonZero(m) a = Constant<value_ints = [1]>() "
                                    "z = Constant<value_int = 1>() c = Gather<axis = 0>(n, z) y = Gather(x, c) }", {counting({4})});
  EXPECT_THAT(picked.values, ElementsAre(1, 0, 1));
  const std::string graph = "(float[3, 5] x) => (float[n, m] y) { i = NonZero(x) t = Transpose(i) y = GatherND(x, t) }";
  EXPECT_EQ(why_not(graph), "m.onnx: node 'i' (NonZero): how many elements it finds depends on data; say it with --dim i=COUNT, or of all such nodes "
                            "with --dim NonZero=COUNT");
  onnx::ModelProto model;
  const std::string text = "<ir_version: 8, opset_import: [\"\" : 17]> g " + graph;
  onnx::OnnxParser parser(text.c_str());
  ASSERT_TRUE(parser.Parse(model).IsOK());
  for (const char* name : {"i", "NonZero"}) {
    const OnnxImport found = import_onnx(model.SerializeAsString(), "m.onnx", {{name, 7}});
    EXPECT_EQ(found.network.node(found.network.output()).shape, (Shape{7}));
    EXPECT_EQ(found.nodes[0].fidelity, OnnxFidelity::approximated);
  }
  EXPECT_THROW(import_onnx(model.SerializeAsString(), "m.onnx", {{"i", 0}}), ConfigError);
}

TEST(OnnxOperators, DropsNothingWithoutARatio) {
  const OnnxImport none = import_text(
      "(float[4] x) => (float[4] y) { r = Constant<value_float = 0.0>() t = Constant<value = bool {1}>() d = Dropout(x, r, t) y = Relu(d) }");
  EXPECT_EQ(none.count(OnnxFidelity::approximated), 0u);
  const OnnxImport half = import_text(
      "(float[4] x) => (float[4] y) { r = Constant<value_float = 0.5>() t = Constant<value = bool {1}>() d = Dropout(x, r, t) y = Relu(d) }");
  EXPECT_EQ(half.count(OnnxFidelity::approximated), 1u);
}

TEST(OnnxOperators, ShapesThatLibonnxLeavesOpen) {
  const OnnxImport one_hot = import_text(
      "(int64[2, 3] i) => (float[n, m, k] y) { d = Constant<value_ints = [5]>() v = Constant<value_floats = [0.0, 1.0]>() y = OneHot(i, d, v) }");
  EXPECT_EQ(one_hot.network.node(one_hot.network.output()).shape, (Shape{2, 3, 5}));
}

}  // namespace
}  // namespace duet
