// Weights on their way out to ONNX and in again.
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <onnx/checker.h>
#include <onnx/onnx_pb.h>

#include "core/errors.hpp"
#include "core/random.hpp"
#include "spaces/execution.hpp"
#include "spaces/onnx.hpp"
#include "tests/spaces/onnx_text.hpp"
#include "tests/spaces/read_space.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;
using Values = std::vector<float>;

/// Numbers that no layer has by itself: statistics too.
NetworkWeights some_weights(const Network& network, std::uint64_t seed) {
  NetworkWeights weights = initial_weights(network, seed);
  Random random(seed, "some weights");
  for (std::vector<FloatTensor>& tensors : weights) {
    for (FloatTensor& tensor : tensors) {
      if (tensor.shape.size() > 1) continue;
      for (float& value : tensor.values) value = static_cast<float>(random.uniform(0.5, 1.5));
    }
  }
  return weights;
}

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

/// Every operator that holds something.
Network every_holder() {
  Network n;
  NodeId x = n.add("x", Input{{2, 4, 9, 9}});
  const NodeId words = n.add("words", Input{{2, 2}});
  x = n.add("conv", Convolution{.out_channels = 6, .kernel_h = 3, .kernel_w = 2, .groups = 2, .bias = true}, {x});
  x = n.add("bn", BatchNormalization{}, {x});
  x = n.add("up", TransposedConvolution{.out_channels = 8, .kernel_h = 2, .kernel_w = 3, .groups = 2}, {x});
  x = n.add("rows", Reshape{{2, 8, 80}}, {x});
  x = n.add("ln", LayerNormalization{1e-3F}, {x});
  x = n.add("rms", RmsNormalization{1e-6F}, {x});
  x = n.add("sequence", Linear{5, true}, {x});
  x = n.add("more", Linear{5, false}, {x});
  x = n.add("flat", Flatten{}, {x});
  x = n.add("fc", Linear{3, true}, {x});
  const NodeId own = n.add("own", Embedding{7, 3}, {words});
  const NodeId table = n.add("table", Constant{{7, 3}});
  const NodeId shared = n.add("shared", Embedding{7, 3}, {words, table});
  x = n.add("sum", Add{}, {x, own, shared});
  const NodeId mask = n.add("mask", Constant{{3}, false});
  x = n.add("masked", Multiply{}, {x, mask});
  n.add("y", MatMul{true}, {x, table});
  return n;
}

class OnnxWeightsFolder : public ::testing::Test {
 protected:
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  testing::TemporaryDirectory folder_;
};

TEST_F(OnnxWeightsFolder, ComeBackToTheBit) {
  std::vector<Network> networks{every_holder()};
  for (const char* text : {"network: {type: cnn, depth: 1}", "network: {type: nas_bench_macro}"}) {
    const DesignSpace space = testing::read_space(text);
    Random random(1, "test");
    networks.push_back(testing::network_of(space, space.space().sample(random)));
  }
  for (const Network& network : networks) {
    const NetworkWeights weights = some_weights(network, 5);
    for (const char* external : {"", "n.weights"}) {
      SCOPED_TRACE(fmt::format("{} nodes, external data '{}'", network.nodes().size(), external));
      export_onnx(network, path() / "n.onnx", {.external_data = external, .weights = &weights});
      EXPECT_NO_THROW(onnx::checker::check_model((path() / "n.onnx").string()));
      const OnnxImport back = import_onnx(path() / "n.onnx", {}, OnnxWeights::read);
      ASSERT_TRUE(back.network == network);
      EXPECT_TRUE(back.weights == weights);
      EXPECT_EQ(back.count(OnnxFidelity::approximated), 0u);
      EXPECT_TRUE(import_onnx(path() / "n.onnx").weights.empty());
    }
  }
}

// Without weights given, those of the seed are written.
TEST_F(OnnxWeightsFolder, InitialOnesAreThoseOfTheSeed) {
  const Network network = every_holder();
  export_onnx(network, path() / "n.onnx", {.seed = 4});
  EXPECT_TRUE(import_onnx(path() / "n.onnx", {}, OnnxWeights::read).weights == initial_weights(network, 4));
  NetworkWeights few = initial_weights(network, 4);
  few[2].pop_back();
  EXPECT_THROW(export_onnx(network, path() / "n.onnx", {.weights = &few}), NetworkError);
}

TEST_F(OnnxWeightsFolder, ExternalDataAreBesideTheModel) {
  const Network network = every_holder();
  export_onnx(network, path() / "n.onnx", {.seed = 4, .external_data = "n.weights"});
  const auto read = [&] { import_onnx(path() / "n.onnx", {}, OnnxWeights::read); };
  EXPECT_EQ(refusal(read), "");
  const auto size = std::filesystem::file_size(path() / "n.weights");
  std::filesystem::resize_file(path() / "n.weights", size - 1);
  EXPECT_THAT(refusal(read), HasSubstr("end too early in 'n.weights'"));
  std::filesystem::remove(path() / "n.weights");
  EXPECT_THAT(refusal(read), HasSubstr("cannot be read from 'n.weights'"));
  const std::string bytes = testing::read_file(path() / "n.onnx");
  EXPECT_THAT(refusal([&] { import_onnx(bytes, "m", {}, OnnxWeights::read); }), HasSubstr("are in a file"));

  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(bytes));
  const auto with_location = [&](const char* location) {
    for (auto& entry : *model.mutable_graph()->mutable_initializer(0)->mutable_external_data()) {
      if (entry.key() == "location") entry.set_value(location);
    }
    testing::write_file(path() / "n.onnx", model.SerializeAsString());
    return refusal(read);
  };
  EXPECT_THAT(with_location("../n.weights"), HasSubstr("are not beside the model"));
  EXPECT_THAT(with_location("/etc/passwd"), HasSubstr("are not beside the model"));

  // Numbers beyond 64 bits are not 0.
  export_onnx(network, path() / "n.onnx", {.seed = 4, .external_data = "n.weights"});
  ASSERT_TRUE(model.ParseFromString(testing::read_file(path() / "n.onnx")));
  for (const char* key : {"offset", "length"}) {
    onnx::ModelProto bad = model;
    auto* entry = bad.mutable_graph()->mutable_initializer(0)->add_external_data();
    entry->set_key(key);
    entry->set_value("99999999999999999999999");
    testing::write_file(path() / "n.onnx", bad.SerializeAsString());
    EXPECT_THAT(refusal(read), HasSubstr("have an offset or length that is no number of bytes")) << key;
  }
}

TEST(OnnxWeights, MatricesLieEitherWay) {
  const FloatTensor in_out{{3, 2}, {1, 2, 3, 4, 5, 6}}, bias{{2}, {7, 8}};
  const FloatTensor out_in{{2, 3}, {1, 3, 5, 2, 4, 6}};
  const auto weights = [&](const std::string& body, const FloatTensor& matrix) {
    const OnnxImport imported = testing::import_text("(float[1, 3] x) => (float[1, 2] y) { " + body + " }", {{"w", matrix}, {"b", bias}});
    return imported.weights.at(imported.network.output());
  };
  EXPECT_THAT(weights("y = MatMul(x, w)", in_out), ElementsAre(out_in));
  EXPECT_THAT(weights("y = Gemm(x, w, b)", in_out), ElementsAre(out_in, bias));
  EXPECT_THAT(weights("y = Gemm<transB = 1>(x, w, b)", out_in), ElementsAre(out_in, bias));
  EXPECT_THAT(weights("t = MatMul(x, w) y = Add(b, t)", in_out), ElementsAre(out_in, bias));
  EXPECT_THAT(weights("t = Transpose<perm = [1, 0]>(w) y = Gemm(x, t, b)", out_in), ElementsAre(out_in, bias));
  // Factors go into the weights.
  EXPECT_THAT(weights("y = Gemm<alpha = 2.0, beta = 0.5>(x, w, b)", in_out),
              ElementsAre(FloatTensor{{2, 3}, {2, 6, 10, 4, 8, 12}}, FloatTensor{{2}, {3.5, 4}}));
}

TEST(OnnxWeights, NormalisationsKeepTheirEpsilon) {
  const FloatTensor two{{2}, {1, 2}}, ones{{2}, {1, 1}};
  const auto batch = testing::import_text("(float[1, 2] x) => (float[1, 2] y) { y = BatchNormalization<epsilon = 0.5>(x, s, b, m, v) }",
                            {{"s", two}, {"b", ones}, {"m", two}, {"v", {{2}, {0.25, 3.5}}}});
  const Values y = execute(batch.network, batch.weights, {{{1, 2}, {4, 6}}}).front().values;
  EXPECT_THAT(y, Pointwise(FloatNear(1e-5F), Values{3 / std::sqrt(0.75F) + 1, 2 * 4 / 2.0F + 1}));
  const auto layer = testing::import_text("(float[1, 2] x) => (float[1, 2] y) { y = LayerNormalization<epsilon = 3.0>(x, s, b) }",
                            {{"s", two}, {"b", ones}});
  EXPECT_EQ(layer.network.node(1).op, Operator(LayerNormalization{3}));
  EXPECT_THAT(execute(layer.network, layer.weights, {{{1, 2}, {1, 3}}}).front().values,
              Pointwise(FloatNear(1e-5F), Values{0.5, 2}));
  const auto rms = testing::import_text("(float[1, 2] x) => (float[1, 2] y) { e = Constant<value = float {0.001}>() q = Mul(x, x) "
                          "v = ReduceMean<axes = [-1]>(q) w = Add(v, e) r = Sqrt(w) n = Div(x, r) y = Mul(n, s) }",
                          {{"s", two}});
  EXPECT_EQ(rms.network.node(1).op, Operator(RmsNormalization{0.001F}));
  EXPECT_THAT(rms.weights[1], ElementsAre(two));
}

TEST(OnnxWeights, AreComputedFromConstants) {
  const auto sum = testing::import_text("(float[1, 2] x) => (float[1, 2] y) { a = Mul(s, t) b = Exp(a) y = Add(x, b) }",
                          {{"s", {{2}, {1, 2}}}, {"t", {{1}, {0}}}});
  EXPECT_THAT(execute(sum.network, sum.weights, {{{1, 2}, {4, 6}}}).front().values, ElementsAre(5, 7));
  // Reals in half the width.
  onnx::ModelProto model = testing::onnx_model("(float16[1, 4] x) => (float16[1, 4] y) { y = Add(x, h) }", {});
  auto* half = model.mutable_graph()->add_initializer();
  half->set_name("h");
  half->set_data_type(onnx::TensorProto::FLOAT16);
  half->add_dims(4);
  for (const int bits : {0x3c00, 0xc500, 0x0001, 0x7bff}) half->add_int32_data(bits);
  const OnnxImport halves = import_onnx(model.SerializeAsString(), "m.onnx", {}, OnnxWeights::read);
  EXPECT_THAT(halves.weights.at(1).at(0).values, ElementsAre(1, -5, 0x1p-24F, 65504));
}

// Neither the stack nor the time grows with more than the number of nodes.
TEST(OnnxWeights, ChainsOfConstantsMayBeLong) {
  const std::string begin = "(float[1, 2] x) => (float[1, 2] y) { z = Constant<value_floats = [0.0, 0.0]>() a0 = Exp(z) ";
  const auto result = [](const std::string& graph) {
    const OnnxImport imported = testing::import_text(graph, {});
    return execute(imported.network, imported.weights, {{{1, 2}, {4, 6}}}).front().values;
  };
  std::string chain = begin;
  constexpr int length = 20'000;
  for (int i = 0; i < length; ++i) chain += fmt::format("a{} = Neg(a{}) ", i + 1, i);
  EXPECT_THAT(result(fmt::format("{}y = Add(x, a{}) }}", chain, length)), ElementsAre(5, 7));
  std::string doubled = begin;  // each of two of the last
  constexpr int steps = 40;
  for (int i = 0; i < steps; ++i) doubled += fmt::format("b{0} = Neg(a{0}) a{1} = Sub(a{0}, b{0}) ", i, i + 1);
  EXPECT_THAT(result(fmt::format("{}y = Mul(x, a{}) }}", doubled, steps)), ElementsAre(0x1p42F, 6 * 0x1p40F));
  std::string squared = begin;  // each of the last twice, and used by the network too
  for (int i = 0; i < 4; ++i) squared += fmt::format("a{1} = Add(a{0}, a{0}) ", i, i + 1);
  EXPECT_THAT(result(squared + "u = Mul(x, a4) v = Add(u, a2) y = Mul(v, a4) }"), ElementsAre(68 * 16, 100 * 16));
}

TEST(OnnxWeights, TooMuchToComputeIsRefused) {
  // 2^33 multiply-accumulates are not begun.
  EXPECT_THAT(refusal([] {
                testing::import_text("(float[2048, 2048] x) => (float[2048, 2048] y) { s = Constant<value_ints = [2048, 2048]>() "
                       "a = ConstantOfShape(s) m = MatMul(a, a) y = Add(x, m) }",
                       {});
              }),
              HasSubstr("node 'y' (Add): too much is computed from constants"));
}

TEST(OnnxWeights, RefusesWithASentence) {
  onnx::ModelProto sparse = testing::onnx_model("(float[1, 2] x) => (float[1, 2] y) { y = Add(x, s) }", {});
  auto* tensor = sparse.mutable_graph()->add_sparse_initializer();
  tensor->add_dims(2);
  tensor->mutable_values()->set_name("s");
  tensor->mutable_values()->set_data_type(onnx::TensorProto::FLOAT);
  EXPECT_THAT(refusal([&] { import_onnx(sparse.SerializeAsString(), "m.onnx", {}, OnnxWeights::read); }),
              HasSubstr("tensor 's' is sparse: its numbers are not read"));
  EXPECT_THAT(refusal([] { testing::import_text("(float[1, 2] x) => (float[1, 2] y) { y = Add(x, s) }", {{"s", {{2}, {1}}}}); }),
              HasSubstr("instead of 2"));
  EXPECT_THAT(refusal([] {
                testing::import_text("(float[1, 4] x) => (float[1, 4] y) { a = Constant<value = int64 {1}>() c = CumSum(s, a) y = Add(x, c) }",
                       {{"s", {{1, 4}, {1, 2, 3, 4}}}});
              }),
              HasSubstr("the numbers of 'c', which CumSum computes, are not known"));
}

}  // namespace
}  // namespace duet
