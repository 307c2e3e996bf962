#include "spaces/onnx_model.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/errors.hpp"
#include "spaces/onnx.hpp"

namespace duet {
namespace {

class OnnxModel final : public DesignPart {
 public:
  explicit OnnxModel(const Options& options) {
    OnnxDimensions dimensions;
    if (const auto given = options.config("dimensions")) {
      if (!given->is_map()) given->fail("expected a mapping from symbolic dimensions to numbers: {batch: 1}");
      for (const std::string& name : given->keys()) dimensions[name] = given->at(name).integer(1, std::int64_t{1} << 40);
    }
    const auto files = options.config("file");
    if (!files) options.fail("file", "the space needs a file: model.onnx, or a list of files");
    for (const Config& item : files->items(true)) {
      const std::filesystem::path file = item.file();
      std::string name = file.stem().string();
      std::replace_if(name.begin(), name.end(), [](unsigned char c) { return c <= ' ' || c == ',' || c == '"' || c == '\''; }, '_');
      if (std::find(names_.begin(), names_.end(), name) != names_.end()) item.fail(fmt::format("two files are called '{}'", name));
      try {
        networks_.push_back(import_onnx(file, dimensions).network);
      } catch (const ConfigError& error) {
        item.fail(error.what());
      }
      names_.push_back(std::move(name));
    }
    if (names_.empty()) files->fail("the space needs at least one file");
  }

  std::vector<SpaceNode> nodes() const override { return {choice("model", names_, "Which file.")}; }

  std::vector<PartQuantity> quantities() const override {
    return {{"macs", "1", "Multiply-accumulates of the model as it is.",
             [this](const Assignment& a) { return static_cast<double>(chosen(a).macs()); }},
            {"parameters", "1", "Learned parameters.",
             [this](const Assignment& a) { return static_cast<double>(chosen(a).parameters()); }}};
  }

  std::optional<Network> network(const Assignment& a) const override { return chosen(a); }

  Fingerprint inputs() const override {
    Hasher hasher;
    for (const Network& network : networks_) hasher.add(network.fingerprint());
    return hasher.finish();
  }

 private:
  const Network& chosen(const Assignment& a) const {
    const auto found = std::find(names_.begin(), names_.end(), a.option("model"));
    return networks_[static_cast<std::size_t>(found - names_.begin())];
  }

  std::vector<std::string> names_;
  std::vector<Network> networks_;
};

}  // namespace

SpacePlugin onnx_model_space() {
  return {
      .name = "onnx_model",
      .summary = "Networks from ONNX files, as they are, for searches of hardware; weights are not read.",
      .source = "",
      .options = {{.name = "file",
                   .kind = Option::Kind::config,
                   .fallback = std::nullopt,
                   .sentence = "An ONNX file beside the experiment, or a list of files to choose from."},
                  {.name = "dimensions",
                   .kind = Option::Kind::config,
                   .fallback = "",
                   .sentence = "Values of symbolic dimensions, by name: {batch: 1}."}},
      .create = [](const Options& options) { return std::make_unique<OnnxModel>(options); },
  };
}

}  // namespace duet
