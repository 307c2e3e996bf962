#include "estimators/trained.hpp"

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iostream>
#include <set>
#include <thread>

#include "core/errors.hpp"
#include "core/random.hpp"
#include "estimators/builtin.hpp"
#include "estimators/training_plan.hpp"
#include "spaces/execution.hpp"
#include "spaces/onnx.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;
using ::testing::SizeIs;
using testing::TemporaryDirectory;
using testing::write_file;

bool trainer_is_built() {
  try {
    find_trainer_module();
    return true;
  } catch (const ConfigError&) {
    return false;
  }
}

#define REQUIRE_TRAINER() \
  if (!trainer_is_built()) GTEST_SKIP() << "built without libtorch"

template <class Statement>
std::string refusal(Statement statement) {
  try {
    statement();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "not refused";
}

// --- Data ----------------------------------------------------------------------------------------

constexpr std::int64_t toy_side = 8;
constexpr std::int64_t toy_classes = 4;

/// Noisy images of which one quarter, the class, is brighter.
ImageSet toy_images(std::int64_t count, std::uint64_t seed) {
  ImageSet images{toy_side, toy_side, {}, {}};
  Random random(seed, "toy images");
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t label = i % toy_classes;
    for (std::int64_t y = 0; y < toy_side; ++y) {
      for (std::int64_t x = 0; x < toy_side; ++x) {
        const bool bright = 2 * y / toy_side == label / 2 && 2 * x / toy_side == label % 2;
        images.pixels.push_back(static_cast<std::uint8_t>(random.below(200) + (bright ? 55 : 0)));
      }
    }
    images.labels.push_back(static_cast<std::uint8_t>(label));
  }
  return images;
}

void write_images(const std::filesystem::path& directory, const std::string& prefix, const ImageSet& images) {
  const auto extent = [](std::int64_t n) {
    return std::string{'\0', '\0', static_cast<char>(n >> 8), static_cast<char>(n)};
  };
  const auto bytes = [](const std::vector<std::uint8_t>& values) {
    return std::string(values.begin(), values.end());
  };
  write_file(directory / (prefix + "-images-idx3-ubyte"), std::string{'\0', '\0', '\x08', '\x03'} +
                                                              extent(images.size()) + extent(images.height) +
                                                              extent(images.width) + bytes(images.pixels));
  write_file(directory / (prefix + "-labels-idx1-ubyte"),
             std::string{'\0', '\0', '\x08', '\x01'} + extent(images.size()) + bytes(images.labels));
}

// --- Networks ------------------------------------------------------------------------------------

Convolution convolution(std::int64_t channels, std::int64_t kernel, std::int64_t stride = 1) {
  Convolution op;
  op.out_channels = channels;
  op.kernel_h = op.kernel_w = kernel;
  op.stride_h = op.stride_w = stride;
  op.padding_h = op.padding_w = kernel / 2;
  return op;
}

/// Convolutions with stride 2 while they last, then all positions into a linear layer.
Network small_cnn(std::int64_t side, std::int64_t channels, std::int64_t layers, std::int64_t classes) {
  Network network;
  NodeId x = network.add("input", Input{{1, 1, side, side}});
  for (std::int64_t i = 1; i <= layers; ++i) {
    x = network.add(fmt::format("conv{}", i), convolution(channels << (i - 1), 3, 2), {x});
    x = network.add(fmt::format("norm{}", i), BatchNormalization{}, {x});
    x = network.add(fmt::format("relu{}", i), Activation{}, {x});
  }
  x = network.add("flatten", Flatten{}, {x});
  network.add("classifier", Linear{classes, true}, {x});
  return network;
}

Network toy_cnn(std::int64_t channels = 4) {
  return small_cnn(toy_side, channels, 1, toy_classes);
}

/// Every operator, each in another of its forms.
Network everything() {
  Network network;
  const NodeId input = network.add("input", Input{{1, 1, toy_side, toy_side}});
  Convolution dilated = convolution(4, 3);
  dilated.dilation_h = dilated.dilation_w = dilated.padding_h = dilated.padding_w = 2;
  dilated.bias = true;
  NodeId x = network.add("dilated", dilated, {input});
  x = network.add("norm", BatchNormalization{}, {x});
  x = network.add("relu6", Activation{Activation::Kind::relu6}, {x});
  Convolution depthwise = convolution(4, 3);
  depthwise.groups = 4;
  x = network.add("depthwise", depthwise, {x});
  x = network.add("hard_swish", Activation{Activation::Kind::hard_swish}, {x});
  const NodeId average = network.add("average", Pool{Pool::Kind::average, 3, 1, 1, true}, {x});
  x = network.add("norm of a pool", BatchNormalization{}, {average});  // cannot be folded
  NodeId gate = network.add("squeeze", GlobalPool{}, {x});
  gate = network.add("excite", convolution(4, 1), {gate});
  gate = network.add("sigmoid", Activation{Activation::Kind::sigmoid}, {gate});
  x = network.add("scale", Multiply{}, {x, gate});
  const NodeId scores = network.add("attention", MatMul{true}, {x, x});
  const NodeId attention = network.add("softmax", Softmax{}, {scores});
  x = network.add("attended", MatMul{}, {attention, x});
  x = network.add("layer_norm", LayerNormalization{}, {x});
  x = network.add("mlp", Linear{toy_side, true}, {x});
  x = network.add("gelu", Activation{Activation::Kind::gelu}, {x});
  const NodeId skip = network.add("skip", Identity{}, {average});
  const NodeId none = network.add("none", Zeros{{1, 4, toy_side, toy_side}});
  x = network.add("sum", Add{}, {x, skip, none});
  const NodeId silu = network.add("silu", Activation{Activation::Kind::silu}, {x});
  const NodeId tanh = network.add("tanh", Activation{Activation::Kind::tanh}, {x});
  x = network.add("joined", Concat{}, {silu, none, tanh});
  Convolution offsets = convolution(18, 3);
  offsets.bias = true;
  NodeId places = network.add("offsets", offsets, {x});
  x = network.add("deformed", DeformableSampling{.padding_h = 1, .padding_w = 1, .range = 2}, {x, places});
  x = network.add("of taps", convolution(4, 1), {x});
  offsets.out_channels = 1;
  offsets.stride_h = 2;
  places = network.add("growth", offsets, {x});
  x = network.add("grown", DeformableSampling{.stride_h = 2, .padding_h = 1, .padding_w = 1, .square = true}, {x, places});
  x = network.add("max", Pool{}, {x});
  x = network.add("flatten", Flatten{}, {x});
  x = network.add("hidden", Linear{16, false}, {x});
  x = network.add("norm of features", BatchNormalization{}, {x});
  x = network.add("classifier", Linear{toy_classes, true}, {x});
  network.add("probabilities", Softmax{}, {x});
  return network;
}

/// A vision transformer in little: patches, a token for the class, places, heads by reshaping, and what else networks from
/// elsewhere have, each in another of its forms.
Network transformer() {
  constexpr std::int64_t tokens = 17, features = 8, heads = 2;
  Network network;
  const NodeId input = network.add("input", Input{{1, 1, toy_side, toy_side}});
  Convolution patch = convolution(features, 2, 2);
  patch.padding_h = patch.padding_w = 0;
  NodeId x = network.add("patches", patch, {input});
  x = network.add("rows", Reshape{{1, features, tokens - 1}}, {x});
  x = network.add("tokens", Transpose{{0, 2, 1}}, {x});
  const NodeId token = network.add("class", Constant{{1, 1, features}});
  x = network.add("with class", Concat{1}, {token, x});
  x = network.add("placed", Add{}, {x, network.add("places", Constant{{tokens, features}})});
  const NodeId skip = x;
  x = network.add("norm", RmsNormalization{1e-3F}, {x});
  const auto head = [&](const std::string& name) {
    NodeId y = network.add(name, Linear{features, false}, {x});
    y = network.add(name + " of heads", Reshape{{1, tokens, heads, features / heads}}, {y});
    return network.add(name + " by head", Transpose{{0, 2, 1, 3}}, {y});
  };
  const NodeId query = head("query"), key = head("key"), value = head("value");
  NodeId scores = network.add("scores", MatMul{true}, {query, key});
  scores = network.add("scaled", Elementwise{"div"}, {scores, network.add("scale", Constant{{1}, false})});
  x = network.add("attended", MatMul{}, {network.add("softmax", Softmax{}, {scores}), value});
  x = network.add("together", Transpose{{0, 2, 1, 3}}, {x});
  x = network.add("heads", Reshape{{1, tokens, features}}, {x});
  x = network.add("out", MatMul{}, {x, network.add("projection", Constant{{features, features}})});
  x = network.add("residual", Add{}, {skip, x});
  x = network.add("after", LayerNormalization{1e-6F}, {x});
  const NodeId first = network.add("of class", Slice{{0, 0, 0}, {1, 1, features}, {1, 1, 1}}, {x});
  const NodeId mean = network.add("mean", Reduce{"mean", {1}, true}, {x});

  // Beside it, an image that is pooled, grown and cut.
  NodeId image = network.add("wide", WindowPool{Pool::Kind::max, 3, 2, 1, 2, 2, 0, 0, 1, 1, 1}, {input});
  image = network.add("averaged", WindowPool{Pool::Kind::average, 2, 3, 1, 1, 1, 1, 0, 0, 1, 1, false}, {image});
  TransposedConvolution up;
  up.out_channels = 4;
  up.kernel_h = 3;
  up.kernel_w = 2;
  up.stride_h = 2;
  up.padding_h = 1;
  up.output_padding_h = 1;
  up.bias = true;
  image = network.add("up", up, {image});
  up.groups = 2;
  up.dilation_w = 2;
  up.bias = false;
  image = network.add("up in groups", up, {image});
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    const std::int64_t height = mode[0] == 'n' ? 9 : mode[0] == 'l' ? 13 : 6;
    image = network.add(mode, Resize{{1, 4, height, 7}, mode, mode[0] == 'l' ? "align_corners" : "half_pixel"}, {image});
  }
  image = network.add("bordered", Pad{{0, 0, 1, 0}, {0, 1, 0, 2}}, {image});
  image = network.add("every other", Slice{{0, 4, 1, 8}, {1, 2, 3, 4}, {1, -3, 2, -2}}, {image});
  const NodeId largest = network.add("largest", Reduce{"max", {2, 3}, false}, {image});
  const NodeId length = network.add("length", Reduce{"l2", {2, 3}, false}, {image});
  const NodeId other = network.add("log", Reduce{"log_sum_exp", {2, 3}, false}, {image});
  const NodeId slopes = network.add("slopes", Elementwise{"neg"}, {network.add("learned", Constant{{1, 2}})});
  const NodeId bent = network.add("bent", Elementwise{"prelu"}, {largest, slopes});
  const NodeId spread = network.add("spread", Expand{{1, 2}}, {network.add("one", Reduce{"mean", {1}, true}, {other})});
  const NodeId chosen = network.add("chosen", Elementwise{"where"}, {network.add("more", Elementwise{"greater"}, {length, spread}), bent, other});

  x = network.add("all", Concat{1}, {network.add("a", Flatten{}, {first}), network.add("b", Flatten{}, {mean}), chosen, spread});
  network.add("classifier", Linear{toy_classes, true}, {x});
  return network;
}

/// Scores that the reference computes with the same weights, per image.
FloatTensor reference_scores(const Network& network, const NetworkWeights& weights, const PixelScale& scale,
                             const ImageSet& images) {
  FloatTensor all{{images.size(), toy_classes}, {}};
  for (std::int64_t i = 0; i < images.size(); ++i) {
    FloatTensor input{{1, 1, toy_side, toy_side}, {}};
    for (std::int64_t p = 0; p < toy_side * toy_side; ++p) {
      const auto pixel = static_cast<double>(images.pixels[static_cast<std::size_t>(i * toy_side * toy_side + p)]);
      input.values.push_back(static_cast<float>((pixel - scale.mean) / scale.deviation));
    }
    const FloatTensor scores = execute(network, weights, {input}).front();
    all.values.insert(all.values.end(), scores.values.begin(), scores.values.end());
  }
  return all;
}

// --- Designs -------------------------------------------------------------------------------------

/// A part whose parameter n is a network by number, or the words and rows of an accelerator.
class NetworkPart final : public DesignPart {
 public:
  explicit NetworkPart(std::vector<Network> networks) : networks_(std::move(networks)) {}
  std::vector<SpaceNode> nodes() const override {
    return {integer("n", 0, static_cast<std::int64_t>(networks_.size()) - 1)};
  }
  std::optional<Network> network(const Assignment& a) const override {
    return networks_[static_cast<std::size_t>(a.integer("n"))];
  }

 private:
  std::vector<Network> networks_;
};

class AcceleratorPart final : public DesignPart {
 public:
  std::vector<SpaceNode> nodes() const override {
    return {integer("word_bits", 1, 32), integer("rows", 1, 64)};
  }
  std::optional<Accelerator> accelerator(const Assignment& a) const override {
    SystolicArray array;
    array.word_bits = a.integer("word_bits");
    array.rows = a.integer("rows");
    return array;
  }
};

DesignSpace space_of(std::vector<Network> networks, const std::string& yaml) {
  Catalog<SpacePlugin> catalog("space");
  catalog.add({"networks", "", "", {}, [networks](const Options&) -> std::unique_ptr<DesignPart> {
                 return std::make_unique<NetworkPart>(networks);
               }});
  catalog.add({"array", "", "", {}, [](const Options&) -> std::unique_ptr<DesignPart> {
                 return std::make_unique<AcceleratorPart>();
               }});
  return DesignSpace::read(Config::parse(yaml, "exp.yaml"), catalog);
}

Design design_of(const DesignSpace& space, const std::string& yaml) {
  return space.design(space.space().read_candidate(Config::parse(yaml, "design")));
}

Options options_of(const std::string& yaml) {
  return Options::read(Config::parse(yaml, "exp.yaml"), trained_options(), "estimator trained");
}

/// 400 toy images to search with, 100 for the test.
class TrainedTest : public ::testing::Test {
 protected:
  TrainedTest() {
    write_images(directory_.path(), "train", toy_images(400, 1));
    write_images(directory_.path(), "t10k", toy_images(100, 2));
  }

  Options options(const std::string& more = "epochs: 4") const {
    return options_of("{dataset: '.', train_images: 240, validation_images: 100, batch_size: 16, " + more +
                      "}");
  }

  std::unique_ptr<Estimator> make(const std::string& more = "epochs: 4", std::uint64_t seed = 1) const {
    return trained_estimator().create(options(more), environment(seed));
  }
  Environment environment(std::uint64_t seed = 1) const { return {seed, directory_.path(), &space_}; }

  Evaluation estimate(const Estimator& estimator, const std::string& values,
                      std::stop_token stop = {}) const {
    const Design design = design_of(space_, values);
    return estimator.estimate({&design, 1}, stop).at(0);
  }

  TemporaryDirectory directory_;
  DesignSpace space_ = space_of(
      {toy_cnn(), toy_cnn(6), everything(), small_cnn(12, 4, 1, toy_classes), small_cnn(toy_side, 4, 1, 5), transformer()},
      "{network: {type: networks}, accelerator: {type: array}}");
};

constexpr const char* first = "{network.n: 0, accelerator.word_bits: 32, accelerator.rows: 1}";

TEST_F(TrainedTest, LearnsAndReportsEveryMetric) {
  REQUIRE_TRAINER();
  const auto estimator = make();
  const Evaluation result = estimate(*estimator, first);
  ASSERT_EQ(result.status, Status::ok) << result.reason;
  ASSERT_THAT(result.values, SizeIs(estimator->metrics().size()));
  EXPECT_GT(result.values[0], 0.9);  // chance: 0.25
  EXPECT_EQ(result.values[1], 4 * 9 + 2 * 4 + 4 * (4 * 16 + 1));
  EXPECT_EQ(result.values[2], 4);
  EXPECT_GT(result.values[3], 0);
}

TEST_F(TrainedTest, UnderstandsEveryOperator) {
  REQUIRE_TRAINER();
  for (const int network : {2, 5}) {
    const auto estimator = make(network == 2 ? "epochs: 6" : "epochs: 15, learning_rate: 0.05");
    for (const int bits : {32, 8}) {
      const Evaluation result = estimate(
          *estimator, fmt::format("{{network.n: {}, accelerator.word_bits: {}, accelerator.rows: 1}}", network, bits));
      ASSERT_EQ(result.status, Status::ok) << result.reason;
      EXPECT_GT(result.values[0], network == 2 ? 0.6 : 0.38) << bits << " bits";  // chance: 0.25
    }
  }
}

TEST_F(TrainedTest, ANetworkIsTrainedOnceHoweverManyAcceleratorsAreTriedWithIt) {
  REQUIRE_TRAINER();
  const auto estimator = make();
  const Evaluation wide = estimate(*estimator, first);
  const Evaluation narrow =
      estimate(*estimator, "{network.n: 0, accelerator.word_bits: 2, accelerator.rows: 1}");
  // The measured time of a second training would differ.
  EXPECT_EQ(wide.values.at(3), narrow.values.at(3));
  EXPECT_LT(narrow.values.at(0), wide.values.at(0));
}

TEST_F(TrainedTest, ATrainingInFlightIsAwaited) {
  REQUIRE_TRAINER();
  const auto estimator = make();
  std::array<Evaluation, 3> results;
  {
    std::vector<std::jthread> threads;
    for (Evaluation& result : results) threads.emplace_back([&] { result = estimate(*estimator, first); });
  }
  ASSERT_EQ(results[0].status, Status::ok) << results[0].reason;
  EXPECT_EQ(results[0].values, results[1].values);
  EXPECT_EQ(results[0].values, results[2].values);
}

TEST_F(TrainedTest, WhoeverWaitsForAStoppedTrainingDoesItItself) {
  REQUIRE_TRAINER();
  const auto estimator = make("epochs: 200");
  std::stop_source stop;
  Evaluation stopped;
  Evaluation patient;
  {
    std::jthread one([&] { stopped = estimate(*estimator, first, stop.get_token()); });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    std::jthread two([&] { patient = estimate(*estimator, first); });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop.request_stop();
  }
  EXPECT_EQ(stopped.reason, "stopped");
  EXPECT_EQ(patient.status, Status::ok) << patient.reason;
}

TEST_F(TrainedTest, KeyIsTheNetworkAndTheWordBits) {
  REQUIRE_TRAINER();
  const auto estimator = make();
  const auto key = [&](const Estimator& of, int n, int bits, int rows) {
    return of.key(design_of(
        space_,
        fmt::format("{{network.n: {}, accelerator.word_bits: {}, accelerator.rows: {}}}", n, bits, rows)));
  };
  EXPECT_EQ(key(*estimator, 0, 8, 1), key(*estimator, 0, 8, 64));
  EXPECT_EQ(key(*estimator, 0, 25, 1), key(*estimator, 0, 32, 1));  // both hold a float
  EXPECT_NE(key(*estimator, 0, 8, 1), key(*estimator, 0, 4, 1));
  EXPECT_NE(key(*estimator, 0, 8, 1), key(*estimator, 1, 8, 1));
  const auto fixed = make("epochs: 4, word_bits: 8");  // given: the accelerator's do not count
  EXPECT_EQ(key(*fixed, 0, 2, 1), key(*estimator, 0, 8, 1));
}

TEST_F(TrainedTest, SeedAndReplicateChangeTheResult) {
  REQUIRE_TRAINER();
  const auto accuracy = [&](std::uint64_t seed) {
    return estimate(*make("epochs: 1, learning_rate: 0.01", seed), first).values.at(0);
  };
  EXPECT_EQ(accuracy(1), accuracy(1));
  EXPECT_NE(accuracy(1), accuracy(2));
  const Trainer& trainer = load_trainer();
  const ImageSet train = toy_images(64, 1);
  const auto weights = [&](std::uint64_t replicate) {
    return trainer.train(toy_cnn(), {}, train, 1, replicate, {}).model->weights();
  };
  EXPECT_NE(weights(0), weights(1));
  const auto twice = make("epochs: 4, replicates: 2");
  EXPECT_EQ(estimate(*twice, first).values.at(2), 8);
}

TEST_F(TrainedTest, UnsuitableNetworksFailWithASentence) {
  REQUIRE_TRAINER();
  const auto estimator = make();
  const Evaluation shape =
      estimate(*estimator, "{network.n: 3, accelerator.word_bits: 8, accelerator.rows: 1}");
  EXPECT_EQ(shape.status, Status::failed);
  EXPECT_EQ(shape.reason, "input 'input' has shape (1, 1, 12, 12), but the images need (1, 1, 8, 8)");
  const Evaluation classes =
      estimate(*estimator, "{network.n: 4, accelerator.word_bits: 8, accelerator.rows: 1}");
  EXPECT_EQ(classes.status, Status::failed);
  EXPECT_EQ(classes.reason,
            "output 'classifier' has shape (1, 5), but the data set has 4 classes, which need (1, 4)");
  const Evaluation bits =
      estimate(*estimator, "{network.n: 0, accelerator.word_bits: 1, accelerator.rows: 1}");
  EXPECT_THAT(bits.reason, HasSubstr("words of 1 bit"));
}

TEST_F(TrainedTest, ADesignWithTwoNetworksFailsWithASentence) {
  REQUIRE_TRAINER();
  const DesignSpace two = space_of({toy_cnn()}, "{a: {type: networks}, b: {type: networks}}");
  Environment here = environment();
  here.space = &two;
  const auto estimator = trained_estimator().create(options(), here);
  const Design design = design_of(two, "{a.n: 0, b.n: 0}");
  EXPECT_EQ(estimator->estimate({&design, 1}, {}).at(0).reason,
            "the design has 2 networks, but just one can be trained");
}

TEST_F(TrainedTest, DivergenceIsAStatus) {
  REQUIRE_TRAINER();
  const Evaluation result = estimate(*make("learning_rate: 100, weight_decay: 1, epochs: 50"), first);
  EXPECT_EQ(result.status, Status::failed);
  EXPECT_THAT(result.reason, HasSubstr("training diverged"));
}

TEST_F(TrainedTest, TimeOutIsAStatus) {
  REQUIRE_TRAINER();
  const Evaluation result = estimate(*make("epochs: 10000, timeout: 100ms"), first);
  EXPECT_EQ(result.status, Status::timed_out);
  EXPECT_THAT(result.reason, HasSubstr("training took longer than 0.1 s"));
}

TEST_F(TrainedTest, AStopIsObeyedBetweenBatches) {
  REQUIRE_TRAINER();
  const auto estimator = make("epochs: 10000");
  std::stop_source stop;
  std::chrono::steady_clock::time_point asked;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    asked = std::chrono::steady_clock::now();
    stop.request_stop();
  });
  const Evaluation result = estimate(*estimator, first, stop.get_token());
  stopper.join();
  EXPECT_EQ(result.status, Status::failed);
  EXPECT_EQ(result.reason, "stopped");
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(2));
}

TEST_F(TrainedTest, WrongOptionsAreRefusedWithTheirPosition) {
  REQUIRE_TRAINER();
  const auto create = [&](const std::string& yaml) {
    return refusal([&] { trained_estimator().create(options_of(yaml), environment()); });
  };
  EXPECT_THAT(create("{dataset: nowhere}"), HasSubstr("exp.yaml:1:11: "));
  EXPECT_THAT(create("{dataset: nowhere}"), HasSubstr("nowhere is not a directory"));
  EXPECT_THAT(
      create("{dataset: '.', train_images: 301, validation_images: 100}"),
      HasSubstr("301 images to train and 100 to validate with are more than the 400 of the data set"));
  std::filesystem::remove(directory_ / "train-labels-idx1-ubyte");
  EXPECT_THAT(create("{dataset: '.', train_images: 1, validation_images: 1}"),
              HasSubstr("there is neither 'train-labels-idx1-ubyte'"));
}

TEST_F(TrainedTest, NeedsASpaceWithANetwork) {
  REQUIRE_TRAINER();
  const DesignSpace hardware = space_of({toy_cnn()}, "{accelerator: {type: array}}");
  Environment here = environment();
  here.space = &hardware;
  EXPECT_THAT(refusal([&] { trained_estimator().create(options(), here); }),
              HasSubstr("estimator 'trained' needs a space with a network"));
}

TEST_F(TrainedTest, FinalAccuracyIsThatOfTheTestImages) {
  REQUIRE_TRAINER();
  const Design design = design_of(space_, first);
  const FinalAccuracy all = finalize(options(), environment(), design, 0, 5, 0);
  ASSERT_EQ(all.status, Status::ok) << all.reason;
  EXPECT_EQ(all.train_images, 300);
  EXPECT_EQ(all.validation_images, 100);
  EXPECT_EQ(all.test_images, 100);
  EXPECT_EQ(all.epochs, 5);
  EXPECT_GT(all.test_accuracy, 0.9);
  EXPECT_NO_THROW(check(all.network, all.weights));
  EXPECT_EQ(all.network.parameters(), design.networks().front().pruned().parameters());
  EXPECT_GT(all.pixel_scale.deviation, 0);

  // The same images and epochs as in the search: the same network to the bit.
  const FinalAccuracy again = finalize(options(), environment(), design, 0, 4, 240);
  EXPECT_EQ(again.validation_accuracy, estimate(*make(), first).values.at(0));

  // Test labels turned round: only the test accuracy may notice.
  ImageSet wrong = toy_images(100, 2);
  for (std::uint8_t& label : wrong.labels) label = static_cast<std::uint8_t>((label + 1) % toy_classes);
  write_images(directory_.path(), "t10k", wrong);
  const FinalAccuracy turned = finalize(options(), environment(), design, 0, 4, 240);
  EXPECT_EQ(turned.validation_accuracy, again.validation_accuracy);
  EXPECT_LT(turned.test_accuracy, 0.1);

  EXPECT_THAT(refusal([&] { finalize(options(), environment(), design, 0, 1, 301); }),
              HasSubstr("cannot train on 301 images: 300 remain beside the 100 to validate with"));
}

// What leaves duet computes elsewhere what it computed here: through the file, and without libtorch.
TEST_F(TrainedTest, ExportedNetworksComputeWhatTheTrainerDoes) {
  REQUIRE_TRAINER();
  const ImageSet images = toy_images(12, 3);
  Recipe recipe;
  recipe.batch_size = 16;
  recipe.learning_rate = 0.02;
  for (Network network : {toy_cnn(), everything(), transformer()}) {
    const Training training = load_trainer().train(network, recipe, toy_images(128, 1), 1, 0, {});
    ASSERT_EQ(training.status, Status::ok) << training.reason;
    const NetworkWeights weights = training.model->weights();
    if (const auto classifier = network.find("classifier")) network.set_output(*classifier);  // not the softmax
    export_onnx(network, directory_ / "net.onnx", {.weights = &weights});
    const OnnxImport back = import_onnx(directory_ / "net.onnx", {}, OnnxWeights::read);

    const PixelScale scale = training.model->pixel_scale();
    const FloatTensor scores = training.model->scores(images);
    ASSERT_EQ(scores.shape, (Shape{images.size(), toy_classes}));
    const FloatTensor expected = reference_scores(network, weights, scale, images);
    const FloatTensor again = reference_scores(back.network, back.weights, scale, images);
    const float largest = *std::max_element(expected.values.begin(), expected.values.end());
    EXPECT_THAT(scores.values, Pointwise(FloatNear(1e-4F * largest), expected.values));
    EXPECT_THAT(again.values, Pointwise(FloatNear(1e-4F * largest), expected.values));
  }
}

// --- Trainer -------------------------------------------------------------------------------------

/// The space `training_recipe` stands below this folder and cannot ask: its bounds are the options'.
TEST(TrainedRecipe, HasTheBoundsOfTheOptions) {
  Catalog<SpacePlugin> catalog("space");
  add_builtin_spaces(catalog);
  const auto accepts = [&](const std::string& name, const std::string& kind, double value) {
    try {
      DesignSpace::read(Config::parse(fmt::format("recipe: {{type: training_recipe, parameters: {{{}: {{{}: [{}, {}]}}}}}}", name,
                                                  kind, value, value),
                                      "space.yaml"),
                        catalog);
      return true;
    } catch (const ConfigError&) {
      return false;
    }
  };
  int checked = 0;
  for (const Option& option : trained_options()) {
    static const std::set<std::string> numbers{"epochs", "batch_size", "learning_rate", "momentum", "weight_decay", "label_smoothing"};
    if (!numbers.contains(option.name)) continue;
    const bool whole = option.kind == Option::Kind::integer;
    const std::string kind = whole ? "integer" : "real";
    const double step = whole ? 1 : 0.1;
    EXPECT_TRUE(accepts(option.name, kind, option.minimum)) << option.name;
    EXPECT_FALSE(accepts(option.name, kind, option.minimum - step)) << option.name;
    EXPECT_TRUE(accepts(option.name, kind, option.maximum)) << option.name;
    EXPECT_FALSE(accepts(option.name, kind, option.maximum + step)) << option.name;
    ++checked;
  }
  EXPECT_EQ(checked, 6);
}

TEST(Trainer, SaysWhatIsMissingWhereItWasNotBuilt) {
  if (trainer_is_built()) GTEST_SKIP() << "it was built";
  EXPECT_THAT(refusal([] { find_trainer_module(); }), HasSubstr("this duet was built without libtorch"));
}

TEST(Trainer, ModulePathComesFirst) {
  const TemporaryDirectory directory;
  write_file(directory / "libduet_torch.so", "");
  setenv("DUET_MODULE_PATH", ("/nowhere::" + directory.path().string()).c_str(), 1);
  EXPECT_EQ(find_trainer_module(), directory / "libduet_torch.so");
  unsetenv("DUET_MODULE_PATH");
}

/// All bits of a training.
std::string digest(const Training& training, const ImageSet& images) {
  Hasher hasher;
  for (const std::vector<FloatTensor>& tensors : training.model->weights()) {
    for (const FloatTensor& tensor : tensors) {
      for (const float value : tensor.values) hasher.add(static_cast<double>(value));
    }
  }
  for (const std::int64_t bits : {32, 8, 3}) hasher.add(training.model->accuracy(images, bits));
  return hasher.finish().hex();
}

Recipe short_recipe() {
  Recipe recipe;
  recipe.epochs = 2;
  recipe.batch_size = 16;
  recipe.flip = true;
  return recipe;
}

std::string train_and_digest(const Network& network) {
  const ImageSet train = toy_images(200, 1);
  const Training training = load_trainer().train(network, short_recipe(), train, 7, 0, {});
  return training.model == nullptr ? training.reason : digest(training, toy_images(100, 2));
}

TEST(Trainer, GivesTheSameBitsAloneAndBesideOthers) {
  REQUIRE_TRAINER();
  const std::vector<Network> networks{toy_cnn(), toy_cnn(16), everything()};
  std::vector<std::string> alone;
  for (const Network& network : networks) alone.push_back(train_and_digest(network));
  std::vector<std::string> together(2 * networks.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < together.size(); ++i) {
      threads.emplace_back([&, i] { together[i] = train_and_digest(networks[i % networks.size()]); });
    }
  }
  for (std::size_t i = 0; i < together.size(); ++i) EXPECT_EQ(together[i], alone[i % networks.size()]);
}

TEST(TrainerDeathTest, GivesTheSameBitsInAnotherProcess) {
  REQUIRE_TRAINER();
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // starts the program anew
  const std::string here = train_and_digest(everything());
  EXPECT_EXIT(
      {
        std::cerr << train_and_digest(everything());
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0), HasSubstr(here));
}

/// Where a function is defined.
enum class Domain { all, between_0_and_1, above_1 };

/// A network of one function of the image, and where it has more inputs of mirror images.
Network of_function(const Operator& op, int inputs, Domain domain) {
  Network network;
  NodeId image = network.add("input", Input{{1, 1, toy_side, toy_side}});
  if (domain != Domain::all) image = network.add("between 0 and 1", Activation{Activation::Kind::sigmoid}, {image});
  if (domain == Domain::above_1) image = network.add("above 1", Elementwise{"reciprocal"}, {image});
  NodeIds operands{image};
  for (int i = 1; i < inputs; ++i) {
    Slice mirrored{{0, 0, 0, toy_side - 1}, {1, 1, toy_side, toy_side}, {1, 1, 1, -1}};
    if (i == 2) mirrored.starts[2] = toy_side - 1, mirrored.steps[2] = -1;
    operands.push_back(network.add(fmt::format("other{}", i), mirrored, {image}));
  }
  NodeId x = network.add("function", op, operands);
  x = network.add("bounded", Elementwise{"clip", {-3.0F, 3.0F}}, {x});
  x = network.add("flatten", Flatten{}, {x});
  network.add("classifier", Linear{toy_classes, true}, {x});
  return network;
}

TEST(Trainer, EveryFunctionIsTheReferences) {
  REQUIRE_TRAINER();
  const ImageSet images = toy_images(6, 3);
  Recipe recipe;
  recipe.learning_rate = 0;
  recipe.epochs = 1;
  const auto expect_same = [&](const std::string& name, const Operator& op, int inputs, Domain domain) {
    const Network network = of_function(op, inputs, domain);
    ASSERT_EQ(why_untrainable(network, toy_side, toy_side, toy_classes), std::nullopt) << name;
    const Training training = load_trainer().train(network, recipe, images, 1, 0, {});
    ASSERT_EQ(training.status, Status::ok) << name << ": " << training.reason;
    const FloatTensor expected =
        reference_scores(network, training.model->weights(), training.model->pixel_scale(), images);
    EXPECT_THAT(training.model->scores(images).values, Pointwise(FloatNear(1e-4F), expected.values)) << name;
  };
  for (const char* name : {"abs", "asinh", "atan", "ceil", "cos", "cosh", "erf", "exp", "floor", "is_inf", "is_na_n", "neg",
                           "not", "round", "sign", "sin", "sinh", "softplus", "softsign", "tan", "celu", "elu",
                           "hard_sigmoid", "leaky_relu", "selu", "shrink", "thresholded_relu", "max", "min", "mean"}) {
    expect_same(name, Elementwise{name}, 1, Domain::all);
  }
  for (const char* name : {"acos", "asin", "atanh", "log", "reciprocal", "sqrt"}) {
    expect_same(name, Elementwise{name}, 1, Domain::between_0_and_1);
  }
  expect_same("acosh", Elementwise{"acosh"}, 1, Domain::above_1);
  expect_same("clip", Elementwise{"clip", {-0.5F, 0.25F}}, 1, Domain::all);
  expect_same("elu", Elementwise{"elu", {0.3F}}, 1, Domain::all);
  for (const char* name : {"and", "equal", "greater", "greater_or_equal", "less", "less_or_equal", "max", "mean", "min",
                           "mod", "or", "prelu", "sub", "xor"}) {
    expect_same(name, Elementwise{name}, 2, Domain::all);
  }
  for (const char* name : {"div", "pow"}) expect_same(name, Elementwise{name}, 2, Domain::between_0_and_1);
  for (const char* name : {"max", "mean", "min", "where"}) expect_same(name, Elementwise{name}, 3, Domain::all);
  for (const bool with_padding : {false, true}) {
    expect_same("dilated average", WindowPool{Pool::Kind::average, 2, 3, 1, 2, 1, 2, 0, 1, 1, 2, with_padding}, 1, Domain::all);
  }
  for (const char* name : {"mean", "sum", "max", "min", "prod", "l1", "l2", "sum_square", "log_sum", "log_sum_exp"}) {
    expect_same(name, Reduce{name, {1, 3}, true}, 1, Domain::between_0_and_1);
    expect_same(name, Reduce{name, {2}, false}, 1, Domain::between_0_and_1);
    expect_same(name, Reduce{name, {}, true}, 1, Domain::between_0_and_1);
  }
}

TEST(Trainer, KnowsWhatCannotBeTrained) {
  const auto why = [](const Network& network) {
    return why_untrainable(network, 8, 8, 4).value_or("trainable");
  };
  EXPECT_EQ(why(toy_cnn()), "trainable");
  EXPECT_EQ(why(everything()), "trainable");
  EXPECT_EQ(why(transformer()), "trainable");
  EXPECT_EQ(why({}), "the network is empty");

  Network constant;
  constant.add("none", Zeros{{1, 4}});
  EXPECT_EQ(why(constant), "the network has no input");

  Network no_parameters;
  NodeId x = no_parameters.add("input", Input{{1, 1, 8, 8}});
  x = no_parameters.add("pool", Pool{Pool::Kind::average, 4, 4, 0}, {x});
  no_parameters.add("flatten", Flatten{}, {x});
  EXPECT_EQ(why(no_parameters), "the network has no parameters to train");

  Network two_inputs = toy_cnn();
  two_inputs.add("other", Input{{1, 4}});
  EXPECT_THAT(why(two_inputs), HasSubstr("the inputs 'input' and 'other'"));

  Network mixed;
  x = mixed.add("input", Input{{1, 1, 8, 8}});
  x = mixed.add("both", Concat{0}, {x, x});
  EXPECT_THAT(why(mixed),
              HasSubstr("node 'both' (concat) with output (2, 1, 8, 8) does not keep the images"));

  Network normalised;
  x = normalised.add("input", Input{{1, 1, 8, 8}});
  normalised.add("over images", Softmax{-4}, {x});
  EXPECT_THAT(why(normalised), HasSubstr("does not keep the images of a batch apart"));

  const auto after_rows = [&](const Operator& op, bool with_matrix = false, bool matrix_first = false) {
    Network network;
    NodeIds inputs{network.add("input", Input{{1, 1, 8, 8}})};
    inputs[0] = network.add("rows", Reshape{{1, 64}}, inputs);
    if (with_matrix) inputs.push_back(network.add("matrix", Constant{matrix_first ? Shape{4, 1} : Shape{64, 4}}));
    if (matrix_first) std::swap(inputs[0], inputs[1]);
    network.add("node", op, inputs);
    return why(network);
  };
  constexpr const char* mixes = "does not keep the images of a batch apart";
  EXPECT_EQ(after_rows(MatMul{}, true), "trainable");
  EXPECT_THAT(after_rows(MatMul{}, true, true), HasSubstr(mixes));
  EXPECT_THAT(after_rows(Reduce{"mean", {0}, true}), HasSubstr(mixes));
  EXPECT_THAT(after_rows(Reduce{"mean", {0, 1}, true}), HasSubstr(mixes));
  EXPECT_THAT(after_rows(Transpose{{1, 0}}), HasSubstr(mixes));
  EXPECT_THAT(after_rows(Pad{{1, 0}, {0, 0}}), HasSubstr(mixes));
  EXPECT_THAT(after_rows(Reshape{{8, 8}}), HasSubstr(mixes));
  EXPECT_THAT(after_rows(Expand{{4, 1, 64}}), HasSubstr(mixes));
  EXPECT_THAT(after_rows(Elementwise{"sorted"}), HasSubstr("node 'node' is the function 'sorted', which cannot be trained"));
  EXPECT_THAT(after_rows(TopK{4}), HasSubstr("node 'node' is a top_k, which cannot be trained"));
  EXPECT_THAT(after_rows(Other{"NonZero", {1, 4}}), HasSubstr("node 'node' is 'NonZero', known by its name only, which"));

  Network turned;  // the first axis is the batch no longer, though it has the same extent
  x = turned.add("input", Input{{1, 1, 8, 8}});
  turned.add("turned", Transpose{{1, 0, 2, 3}}, {x});
  EXPECT_THAT(why(turned), HasSubstr(mixes));

  Network deaf = toy_cnn();
  deaf.add("answer", Constant{{1, 4}});
  EXPECT_EQ(why(deaf), "the output does not depend on the input");
}

TEST(Trainer, FewerBitsCostAccuracyOnAverage) {
  REQUIRE_TRAINER();
  const ImageSet train = toy_images(400, 1);
  const ImageSet other = toy_images(400, 2);
  const std::vector<std::int64_t> bits{2, 3, 4, 6, 8, 32};
  std::vector<double> mean(bits.size());
  constexpr int networks = 6;
  for (int i = 0; i < networks; ++i) {
    Recipe recipe = short_recipe();
    recipe.epochs = 3;
    recipe.flip = false;
    const Training training = load_trainer().train(small_cnn(8, 6, 2, toy_classes), recipe, train, 1,
                                                   static_cast<std::uint64_t>(i), {});
    ASSERT_EQ(training.status, Status::ok) << training.reason;
    for (std::size_t k = 0; k < bits.size(); ++k)
      mean[k] += training.model->accuracy(other, bits[k]) / networks;
  }
  for (std::size_t k = 1; k < bits.size(); ++k) {
    EXPECT_GE(mean[k], mean[k - 1] - 0.01) << bits[k] << " bits against " << bits[k - 1];
  }
  EXPECT_NEAR(mean[4], mean[5], 0.01);  // 8 bits: nearly nothing
  EXPECT_LT(mean[0], mean[5] - 0.1);    // 2 bits: much
}

/// Accuracy of the same weights under one format for all layers.
TEST(Trainer, LayersMayHaveWidthsAndSparsityOfTheirOwn) {
  REQUIRE_TRAINER();
  const ImageSet train = toy_images(400, 1);
  const ImageSet other = toy_images(400, 2);
  const Network network = small_cnn(8, 6, 2, toy_classes);
  Recipe recipe = short_recipe();
  recipe.epochs = 6;
  recipe.flip = false;
  const Training training = load_trainer().train(network, recipe, train, 1, 0, {});
  ASSERT_EQ(training.status, Status::ok) << training.reason;
  const auto accuracy = [&](const NumberFormat& format, std::int64_t word_bits) {
    std::vector<NumberFormat> formats(network.nodes().size());
    for (NodeId id = 0; id < formats.size(); ++id) {
      if (is_layer(network.node(id).op)) formats[id] = format;
    }
    return training.model->accuracy(other, word_bits, formats);
  };
  for (const std::int64_t bits : {2, 4, 8}) {
    // Widths of the layers stand in for the machine's, and the machine's for what is not said.
    EXPECT_EQ(accuracy({.weight_bits = bits, .activation_bits = bits}, 32), training.model->accuracy(other, bits));
    EXPECT_EQ(accuracy({}, bits), training.model->accuracy(other, bits));
    EXPECT_EQ(accuracy({.weight_bits = bits}, bits), training.model->accuracy(other, bits));
  }
  const double dense = training.model->accuracy(other, 32);
  EXPECT_EQ(accuracy({.density = 1}, 32), dense);
  EXPECT_GT(dense, 0.8);
  EXPECT_GT(accuracy({.density = 0.9}, 32), dense - 0.1);
  EXPECT_LT(accuracy({.density = 0.02}, 32), dense - 0.1);
  EXPECT_GT(accuracy({.density = 0.75, .sparsity_group = 4}, 32), dense - 0.1);
  EXPECT_LT(accuracy({.density = 1.0 / 16, .sparsity_group = 16}, 32), dense - 0.1);
}

// --- Fashion-MNIST -------------------------------------------------------------------------------

TEST(SlowTrained, LearnsFashionMnistInOneEpoch) {
  REQUIRE_TRAINER();
  if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist")) {
    GTEST_SKIP() << "the Debian package dataset-fashion-mnist is not installed";
  }
  const DesignSpace space =
      space_of({small_cnn(28, 8, 2, 10)}, "{network: {type: networks}, accelerator: {type: array}}");
  const auto estimator = trained_estimator().create(options_of("{epochs: 1}"), {1, "", &space});
  const auto accuracy = [&](int bits) {
    const Design design = design_of(
        space, fmt::format("{{network.n: 0, accelerator.word_bits: {}, accelerator.rows: 1}}", bits));
    const Evaluation result = estimator->estimate({&design, 1}, {}).at(0);
    EXPECT_EQ(result.status, Status::ok) << result.reason;
    return result.status == Status::ok ? result.values[0] : 0;
  };
  const double full = accuracy(32);
  EXPECT_GT(full, 0.7);
  EXPECT_NEAR(accuracy(8), full, 0.01);
  EXPECT_LT(accuracy(2), full - 0.2);
}

}  // namespace
}  // namespace duet
