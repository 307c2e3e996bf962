#include "spaces/zoo.hpp"

#include <filesystem>
#include <gtest/gtest.h>
#include <map>
#include <onnx/checker.h>
#include <set>
#include <unistd.h>

#include "core/errors.hpp"
#include "spaces/onnx.hpp"

namespace duet {
namespace {

struct Published {
  std::int64_t parameters;
  double gmacs;  ///< 0: nobody has published a figure for these shapes
  std::string source;
};

// Parameters and GFLOPS (which are multiply-accumulates) as the weights' metadata of torchvision 0.15 print them
// (pytorch.org/vision/stable/models.html); parameters of language models as Hugging Face's num_parameters() counts them.
// MobileNet: Howard et al. 2017, table 8 (569 million MACs); its parameters without the moving averages.
const std::map<std::string, Published>& published() {
  static const std::map<std::string, Published> figures{
      {"alexnet", {61'100'840, 0.714, "torchvision"}},
      {"bert_base", {109'482'240, 0, "Hugging Face"}},
      {"densenet121", {7'978'856, 2.834, "torchvision"}},
      {"efficientnet_b0", {5'288'548, 0.386, "torchvision"}},
      {"googlenet", {6'624'904, 1.498, "torchvision"}},
      {"gpt2", {124'439'808, 0, "Hugging Face"}},
      {"llama_2_7b_decode", {6'738'415'616, 0, "Hugging Face"}},
      {"llama_2_7b_prefill", {6'738'415'616, 0, "Hugging Face"}},
      {"mixtral_8x7b_decode", {46'702'792'704, 0, "Hugging Face"}},
      {"mobilenet_v1", {4'231'976, 0.569, "arXiv:1704.04861, table 8"}},
      {"mobilenet_v2", {3'504'872, 0.301, "torchvision"}},
      {"mobilenet_v3_large", {5'483'032, 0.217, "torchvision"}},
      {"resnet18", {11'689'512, 1.814, "torchvision"}},
      {"resnet50", {25'557'032, 4.089, "torchvision"}},
      {"vgg16", {138'357'544, 15.47, "torchvision"}},
      {"vit_b_16", {86'567'656, 17.564, "torchvision"}},
  };
  return figures;
}

class ZooFolder : public ::testing::Test {
 protected:
  ZooFolder()
      : folder_(std::filesystem::temp_directory_path() /
                ("duet_zoo_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~ZooFolder() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

// Of the same parts as the whole, and small.
TEST(Zoo, SmallOnesAreOfTheSameDefinition) {
  for (const ZooNetwork& known : zoo()) {
    SCOPED_TRACE(known.name);
    const Network whole = known.build(), small = known.build_small();
    const auto operators = [](const Network& network) {
      std::set<std::string_view> names;
      for (const Node& node : network.nodes()) names.insert(name_of(node.op));
      return names;
    };
    EXPECT_EQ(operators(small), operators(whole));
    EXPECT_LT(small.macs(), 500'000'000);
    EXPECT_LT(small.macs(), whole.macs());
    EXPECT_LT(small.parameters(), 60'000'000);
  }
}

TEST(Zoo, NamesAreSortedAndFound) {
  for (std::size_t i = 1; i < zoo().size(); ++i) EXPECT_LT(zoo()[i - 1].name, zoo()[i].name);
  EXPECT_EQ(zoo().size(), published().size());
  EXPECT_EQ(zoo_network("gpt2").name, "gpt2");
  EXPECT_THROW(zoo_network("gpt3"), ConfigError);
}

// 12 layers of 7,077,888 weights, and 2·T·d MACs for every query of T tokens.
TEST(Zoo, TransformersCountAttention) {
  const std::int64_t tokens = 128, width = 768;
  const std::int64_t layers = 12 * (tokens * 12 * width * width + 2 * tokens * tokens * width);
  EXPECT_EQ(zoo_network("bert_base").build().macs(), layers + width * width);
  EXPECT_EQ(zoo_network("gpt2").build().macs(), layers + tokens * width * 50257);
}

// A decoded token meets every weight but those of the embedding, of the mixture 2 of 8 experts, and 2·1024 keys and
// values of 4096 for every layer.
TEST(Zoo, DecodingMeetsEveryActiveWeightOnce) {
  const std::int64_t attention = 32 * 2 * 1024 * 4096, embedding = 32000 * 4096, norms = (2 * 32 + 1) * 4096;
  EXPECT_EQ(zoo_network("llama_2_7b_decode").build().macs(), 6'738'415'616 - embedding - norms + attention);
  const std::int64_t idle = 32 * std::int64_t{6} * 3 * 4096 * 14336;
  EXPECT_EQ(zoo_network("mixtral_8x7b_decode").build().macs(),
            46'702'792'704 - embedding - norms - idle + attention);
}

// Written as ONNX, with weights in a sparse file of up to 187 GB, checked, and read again: the same network, and what it
// counts is what was published.
TEST_F(ZooFolder, EveryNetworkComesBackFromOnnx) {
  for (const ZooNetwork& known : zoo()) {
    SCOPED_TRACE(known.name);
    const Network network = known.build();
    const std::filesystem::path file = folder_ / (known.name + ".onnx");
    export_onnx(network, file, {.external_data = known.name + ".weights", .zeros = true});
    EXPECT_NO_THROW(onnx::checker::check_model(file.string()));
    const OnnxImport imported = import_onnx(file);
    EXPECT_EQ(imported.network.fingerprint(), network.fingerprint());
    EXPECT_TRUE(imported.network == network);
    for (const OnnxNode& node : imported.nodes) {
      // hard_sigmoid is the one function with attributes of its own.
      EXPECT_TRUE(node.fidelity != OnnxFidelity::approximated || node.type == "HardSigmoid") << node.name;
    }
    const Published& figures = published().at(known.name);
    EXPECT_EQ(imported.network.parameters(), figures.parameters);
    if (figures.gmacs > 0) {
      const double gmacs = static_cast<double>(imported.network.macs()) / 1e9;
      EXPECT_NEAR(gmacs, figures.gmacs, 0.005 * figures.gmacs);
    }
    std::filesystem::remove(folder_ / (known.name + ".weights"));
  }
}

TEST(Zoo, LanguageModelsSeeWhatWasBeforeAndNotWhatIsLater) {
  for (const char* name : {"gpt2", "llama_2_7b_prefill"}) {
    const Network network = zoo_network(name).build_small();
    const NetworkWeights weights = initial_weights(network, 1);
    FloatTensor words{network.node(*network.find("tokens")).shape, {}};
    for (std::int64_t i = 0; i < words.shape[1]; ++i) words.values.push_back(static_cast<float>(7 * i + 3));
    const FloatTensor before = execute(network, weights, {words}).front();
    const auto changed = static_cast<std::size_t>(words.shape[1] / 2);
    words.values[changed] = 1;
    const FloatTensor after = execute(network, weights, {words}).front();
    const auto features = static_cast<std::size_t>(before.shape.back());
    for (std::size_t token = 0; token < words.values.size(); ++token) {
      bool same = true;
      for (std::size_t k = token * features; k < (token + 1) * features; ++k) same = same && before.values[k] == after.values[k];
      EXPECT_EQ(same, token < changed) << name << ", token " << token;
    }
  }
}

}  // namespace
}  // namespace duet
