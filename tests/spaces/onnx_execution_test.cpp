// Models that others made, with the outputs that they expect: Debian's libonnx-testdata. What duet takes for modelled has
// to compute the same.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <onnx/onnx_pb.h>
#include <optional>
#include <set>

#include "core/errors.hpp"
#include "spaces/execution.hpp"
#include "spaces/onnx.hpp"

namespace duet {
namespace {

template <class Message>
std::optional<Message> read(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  Message message;
  if (!stream || !message.ParseFromIstream(&stream)) return std::nullopt;
  return message;
}

/// The tensors input_0.pb, input_1.pb, … or output_0.pb, …; nothing if one is a sequence.
std::optional<std::vector<onnx::TensorProto>> tensors(const std::filesystem::path& folder, const char* kind) {
  std::vector<onnx::TensorProto> result;
  for (int i = 0;; ++i) {
    const std::filesystem::path file = folder / fmt::format("{}_{}.pb", kind, i);
    if (!std::filesystem::exists(file)) return result;
    auto tensor = read<onnx::TensorProto>(file);
    if (!tensor || tensor->data_type() == onnx::TensorProto::UNDEFINED) return std::nullopt;
    result.push_back(*std::move(tensor));
  }
}

/// A model that is nothing but the tensor has it as its constant.
std::optional<FloatTensor> numbers(const onnx::TensorProto& tensor) {
  onnx::ModelProto model;
  model.add_opset_import()->set_version(13);
  *model.mutable_graph()->add_initializer() = tensor;
  model.mutable_graph()->mutable_initializer(0)->set_name("t");
  model.mutable_graph()->add_output()->set_name("t");
  try {
    return import_onnx(model.SerializeAsString(), "tensor", {}, OnnxWeights::read).weights.at(0).at(0);
  } catch (const ConfigError&) {
    return std::nullopt;
  }
}

bool agree(float have, float want) {
  if (std::isnan(want)) return std::isnan(have);
  if (std::isinf(want)) return have == want;
  return std::abs(have - want) <= 1e-5F + 1e-4F * std::abs(want);
}

enum class Outcome { not_executed, agrees, differs };

struct Verdict {
  Outcome outcome = Outcome::not_executed;
  std::string why;
};

/// The model with all inputs but `kept` given as weights; with all of them as inputs where `kept` is none of them.
Verdict run(onnx::ModelProto model, const std::vector<std::string>& names, const std::vector<onnx::TensorProto>& given,
            const std::vector<onnx::TensorProto>& expected, std::size_t kept) {
  std::map<std::string, FloatTensor> values;
  auto* inputs = model.mutable_graph()->mutable_input();
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto info = std::find_if(inputs->begin(), inputs->end(), [&](const auto& input) { return input.name() == names[i]; });
    if (kept < names.size() && i != kept) {
      *model.mutable_graph()->add_initializer() = given[i];
      model.mutable_graph()->mutable_initializer()->rbegin()->set_name(names[i]);
      continue;
    }
    auto* shape = info->mutable_type()->mutable_tensor_type()->mutable_shape();
    shape->clear_dim();
    for (const std::int64_t extent : given[i].dims()) shape->add_dim()->set_dim_value(extent);
    auto value = numbers(given[i]);
    if (!value) return {Outcome::not_executed, "an input is no tensor of numbers"};
    values[names[i]] = *std::move(value);
  }
  std::vector<FloatTensor> results;
  try {
    const OnnxImport imported = import_onnx(model.SerializeAsString(), "model", {}, OnnxWeights::read);
    if (imported.count(OnnxFidelity::approximated) > 0) return {Outcome::not_executed, "approximated"};
    std::vector<FloatTensor> in;
    for (const Node& node : imported.network.nodes()) {
      if (std::holds_alternative<Input>(node.op)) in.push_back(values.at(node.name));
    }
    results = execute(imported.network, imported.weights, in);
  } catch (const ConfigError& error) {
    return {Outcome::not_executed, error.what()};
  } catch (const NetworkError& error) {
    return {Outcome::not_executed, error.what()};
  }
  for (std::size_t i = 0; i < std::min(results.size(), expected.size()); ++i) {
    const auto want = numbers(expected[i]);
    if (!want) return {Outcome::not_executed, "an output is no tensor of numbers"};
    if (results[i].shape != want->shape) {
      return {Outcome::differs, fmt::format("output {} has shape {}, expected {}", i, to_string(results[i].shape), to_string(want->shape))};
    }
    for (std::size_t k = 0; k < want->values.size(); ++k) {
      if (!agree(results[i].values[k], want->values[k])) {
        return {Outcome::differs, fmt::format("output {} has {} at {}, expected {}", i, results[i].values[k], k, want->values[k])};
      }
    }
  }
  return {Outcome::agrees, ""};
}

TEST(OnnxTestData, WhatIsModelledComputesWhatIsExpected) {
  const std::filesystem::path folder = "/usr/share/libonnx-testdata/data";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "libonnx-testdata is not installed";
  std::vector<std::filesystem::path> models;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".onnx") models.push_back(entry.path());
  }
  std::sort(models.begin(), models.end());
  const std::map<std::string, std::string> excluded{
      {"test_cast_BFLOAT16_to_FLOAT", "the file's input is of type uint16"},
      {"test_castlike_BFLOAT16_to_FLOAT_expanded", "the same"},
  };
  int agreeing = 0, with_outputs = 0;
  for (const std::filesystem::path& file : models) {
    const std::string name = file.parent_path().filename().string();
    const auto model = read<onnx::ModelProto>(file);
    const auto given = tensors(file.parent_path() / "test_data_set_0", "input");
    const auto expected = tensors(file.parent_path() / "test_data_set_0", "output");
    if (!model || !given || !expected || expected->empty()) continue;
    ++with_outputs;
    std::set<std::string> initializers;
    for (const auto& tensor : model->graph().initializer()) initializers.insert(tensor.name());
    std::vector<std::string> names;
    for (const auto& input : model->graph().input()) {
      if (!initializers.contains(input.name())) names.push_back(input.name());
    }
    if (names.size() != given->size()) continue;
    bool agrees = false, differs = false;
    for (std::size_t kept = 0; kept <= names.size(); ++kept) {
      const Verdict verdict = run(*model, names, *given, *expected, kept);
      agrees = agrees || verdict.outcome == Outcome::agrees;
      differs = differs || verdict.outcome == Outcome::differs;
      if (verdict.outcome == Outcome::differs && !excluded.contains(name)) ADD_FAILURE() << name << ": " << verdict.why;
    }
    if (excluded.contains(name)) {
      EXPECT_TRUE(differs) << name << " agrees: it need not be excluded";
    }
    if (agrees && !differs) ++agreeing;
  }
  std::printf("%d of %d models with expected outputs are executed and agree\n", agreeing, with_outputs);
  EXPECT_GE(agreeing, 640);
}

}  // namespace
}  // namespace duet
