#include "hw_models/workload.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <tuple>
#include <utility>

#include "core/units.hpp"

namespace duet {
namespace {

constexpr std::int64_t largest = std::int64_t{1} << 40;

std::int64_t size_of(const Config& config, std::string_view key, std::int64_t fallback, std::int64_t least = 1) {
  const auto value = config.find(key);
  return value ? value->integer(least, largest) : fallback;
}

/// One number for both, or [height, width].
std::pair<std::int64_t, std::int64_t> sides(const Config& value, std::int64_t least) {
  const std::vector<Config> items = value.items(true);
  if (items.empty() || items.size() > 2) value.fail_wrong("one number, or two: [height, width]");
  return {items.front().integer(least, largest), items.back().integer(least, largest)};
}

std::pair<std::int64_t, std::int64_t> sides(const Config& config, std::string_view key, std::int64_t fallback,
                                            std::int64_t least = 1) {
  const auto value = config.find(key);
  return value ? sides(*value, least) : std::pair{fallback, fallback};
}

SystolicWorkload read_convolution(const Config& config) {
  config.allow_only({"batch", "in_channels", "out_channels", "input", "output", "kernel", "stride", "padding", "dilation",
                     "groups"});
  SystolicWorkload w;
  w.batch = size_of(config, "batch", 1);
  w.groups = size_of(config, "groups", 1);
  const std::int64_t in = config.at("in_channels").integer(1, largest);
  const std::int64_t out = config.at("out_channels").integer(1, largest);
  for (const char* key : {"in_channels", "out_channels"}) {
    if (config.at(key).integer() % w.groups != 0) {
      config.at(key).fail(fmt::format("{} channels cannot be shared out among {} groups", config.at(key).text(), w.groups));
    }
  }
  w.channels = in / w.groups;
  w.filters = out / w.groups;
  std::tie(w.kernel_h, w.kernel_w) = sides(config, "kernel", 1);
  std::tie(w.stride_h, w.stride_w) = sides(config, "stride", 1);
  std::tie(w.padding_h, w.padding_w) = sides(config, "padding", 0, 0);
  std::tie(w.dilation_h, w.dilation_w) = sides(config, "dilation", 1);
  const auto input = config.find("input"), output = config.find("output");
  if (input.has_value() == output.has_value()) config.fail("a convolution has either 'input' or 'output': [height, width]");
  const std::int64_t window_h = (w.kernel_h - 1) * w.dilation_h + 1, window_w = (w.kernel_w - 1) * w.dilation_w + 1;
  if (output) {
    std::tie(w.output_h, w.output_w) = sides(*output, 1);
    w.input_h = (w.output_h - 1) * w.stride_h + window_h - 2 * w.padding_h;
    w.input_w = (w.output_w - 1) * w.stride_w + window_w - 2 * w.padding_w;
    if (w.input_h < 1 || w.input_w < 1) output->fail("the padding alone is larger than the image that this output needs");
  } else {
    std::tie(w.input_h, w.input_w) = sides(*input, 1);
    if (w.input_h + 2 * w.padding_h < window_h || w.input_w + 2 * w.padding_w < window_w) {
      input->fail(fmt::format("a window of {}×{} does not fit the image", window_h, window_w));
    }
    w.output_h = (w.input_h + 2 * w.padding_h - window_h) / w.stride_h + 1;
    w.output_w = (w.input_w + 2 * w.padding_w - window_w) / w.stride_w + 1;
  }
  return w;
}

SystolicWorkload read_matrix(const Config& config) {
  config.allow_only({"rows", "columns", "sum", "count"});
  return matrix_product(config.at("rows").integer(1, largest), config.at("columns").integer(1, largest),
                        config.at("sum").integer(1, largest), size_of(config, "count", 1));
}

/// "2*P + R": each term a dimension, before or behind it a coefficient.
IndexExpression read_axis(const Config& config, const Einsum& einsum) {
  std::string text;
  for (const char c : config.text()) {
    if (std::isspace(static_cast<unsigned char>(c)) == 0) text += c;
  }
  IndexExpression axis;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t plus = std::min(text.find('+', at), text.size());
    std::string name = text.substr(at, plus - at);
    IndexTerm term;
    if (const std::size_t star = name.find('*'); star != std::string::npos) {
      std::string left = name.substr(0, star), right = name.substr(star + 1);
      if (parse_number(right)) std::swap(left, right);
      const auto number = parse_number(left);
      if (!number || *number < 1 || *number > 0x1p30 || *number != static_cast<double>(static_cast<std::int64_t>(*number))) {
        config.fail_wrong("a sum of dimensions with whole coefficients such as '2*P + R'");
      }
      term.coefficient = static_cast<std::int64_t>(*number);
      name = right;
    }
    const auto d = einsum.find_dimension(name);
    if (!d) {
      std::vector<std::string> known;
      for (const Dimension& dimension : einsum.dimensions) known.push_back(dimension.name);
      config.fail(fmt::format("'{}' is no dimension of the einsum{}", name, hint(name, known)));
    }
    term.dimension = *d;
    axis.push_back(term);
    at = plus + 1;
  }
  return axis;
}

Einsum read_einsum(const Config& config) {
  config.allow_only({"dimensions", "weight", "input", "output"});
  Einsum einsum;
  const Config dimensions = config.at("dimensions");
  for (const std::string& name : dimensions.keys()) einsum.dimensions.push_back({name, dimensions.at(name).integer(1, largest)});
  for (const Tensor tensor : all_tensors) {
    EinsumTensor& to = einsum.tensors[static_cast<std::size_t>(tensor)];
    to.name = to_string(tensor);
    for (const Config& axis : config.at(to_string(tensor)).items(true)) to.axes.push_back(read_axis(axis, einsum));
  }
  if (const auto why = why_invalid(einsum)) config.fail(*why);
  return einsum;
}

WorkloadLayer read_layer(const Config& config) {
  config.allow_only({"name", "repeats", "convolution", "matrix", "einsum"});
  WorkloadLayer layer;
  if (const auto name = config.find("name")) layer.name = name->text();
  layer.repeats = size_of(config, "repeats", 1);
  const auto convolution = config.find("convolution"), matrix = config.find("matrix"), general = config.find("einsum");
  if ((convolution ? 1 : 0) + (matrix ? 1 : 0) + (general ? 1 : 0) != 1) {
    config.fail("a layer is one of 'convolution', 'matrix' and 'einsum'");
  }
  if (general) {
    layer.work = read_einsum(*general);
  } else {
    const SystolicWorkload work = convolution ? read_convolution(*convolution) : read_matrix(*matrix);
    if (const auto why = why_invalid(einsum(work))) (convolution ? *convolution : *matrix).fail(*why);
    layer.work = work;
  }
  return layer;
}

}  // namespace

Einsum WorkloadLayer::einsum() const {
  if (const auto* systolic = std::get_if<SystolicWorkload>(&work)) return duet::einsum(*systolic);
  return std::get<Einsum>(work);
}

WorkloadFile read_workload(const Config& config) {
  WorkloadFile file;
  if (!config.is_map()) config.fail("a workload is a mapping with 'network', 'layers', or one layer's 'convolution', 'matrix' or 'einsum'");
  if (const auto name = config.find("name")) file.name = name->text();
  if (const auto network = config.find("network")) {
    config.allow_only({"name", "network"});
    file.network = network->text();
  } else if (const auto layers = config.find("layers")) {
    config.allow_only({"name", "layers"});
    for (const Config& item : layers->items()) {
      file.layers.push_back(read_layer(item));
      if (file.layers.back().name.empty()) file.layers.back().name = fmt::format("layer{}", file.layers.size());
      for (std::size_t i = 0; i + 1 < file.layers.size(); ++i) {
        if (file.layers[i].name == file.layers.back().name) {
          item.fail(fmt::format("two layers are called '{}'", file.layers[i].name));
        }
      }
    }
    if (file.layers.empty()) layers->fail("no layer");
  } else {
    file.layers.push_back(read_layer(config));
    if (file.layers.back().name.empty()) file.layers.back().name = "layer";
  }
  return file;
}

std::vector<RepeatedEinsum> einsums(const std::vector<WorkloadLayer>& layers) {
  std::vector<RepeatedEinsum> found;
  for (const WorkloadLayer& layer : layers) {
    Einsum work = layer.einsum();
    auto known = std::find_if(found.begin(), found.end(), [&](const RepeatedEinsum& other) { return other.einsum == work; });
    if (known == found.end()) known = found.insert(found.end(), {std::move(work), 0, {}, {}, {}});
    known->repeats += layer.repeats;
    known->names.push_back(layer.name);
  }
  return found;
}

}  // namespace duet
