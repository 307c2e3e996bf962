#include "hw_models/scalesim.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "core/errors.hpp"
#include "core/units.hpp"

namespace duet {
namespace {

std::string trimmed(std::string_view text) {
  const auto blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return std::string(text);
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

struct Line {
  std::size_t number;
  std::string text;
};

/// What is not blank, without a byte order mark.
std::vector<Line> lines_of(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::vector<Line> lines;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    ++number;
    if (std::string line = trimmed(text.substr(0, end)); !line.empty()) lines.push_back({number, std::move(line)});
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

[[noreturn]] void fail(const std::string& name, std::size_t line, const std::string& message) {
  throw ConfigError(fmt::format("{}:{}: {}", name, line, message));
}

std::optional<std::int64_t> whole(const std::string& text) {
  const auto number = parse_number(text);
  if (!number || *number != std::floor(*number) || std::abs(*number) > 0x1p40) return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

struct Entry {
  std::size_t line;
  std::string value;
};

}  // namespace

ScaleSimConfig read_scalesim_config(std::string_view text, const std::string& name) {
  std::map<std::string, Entry> entries;  // "section/key", lower case
  std::string section;
  std::size_t last = 1;
  for (const Line& line : lines_of(text)) {
    last = line.number;
    if (line.text[0] == '#' || line.text[0] == ';') continue;
    if (line.text[0] == '[') {
      if (line.text.back() != ']') fail(name, line.number, fmt::format("'{}' is not a section such as '[general]'", line.text));
      section = lower_case(trimmed(line.text.substr(1, line.text.size() - 2)));
      continue;
    }
    const std::size_t split = line.text.find_first_of(":=");
    if (split == std::string::npos) fail(name, line.number, fmt::format("'{}' is not 'key: value'", line.text));
    if (section.empty()) fail(name, line.number, "a key before the first section");
    entries[section + "/" + lower_case(trimmed(line.text.substr(0, split)))] = {line.number,
                                                                               trimmed(line.text.substr(split + 1))};
  }
  const auto find = [&](std::string_view in, std::string_view key) -> const Entry* {
    const auto found = entries.find(fmt::format("{}/{}", in, lower_case(std::string(key))));
    return found == entries.end() ? nullptr : &found->second;
  };
  const auto required = [&](std::string_view key) -> const Entry& {
    const Entry* entry = find("architecture_presets", key);
    if (entry == nullptr) fail(name, last, fmt::format("[architecture_presets] has no '{}'", key));
    return *entry;
  };
  const auto size = [&](std::string_view key, std::int64_t least) {
    const Entry& entry = required(key);
    const auto value = whole(entry.value);
    if (!value || *value < least) {
      fail(name, entry.line, fmt::format("'{}' must be a whole number from {}, not '{}'", key, least, entry.value));
    }
    return *value;
  };

  ScaleSimConfig config;
  if (const Entry* run = find("general", "run_name")) config.run_name = run->value;
  SystolicArray& array = config.array;
  array.rows = size("ArrayHeight", 1);
  array.columns = size("ArrayWidth", 1);
  array.input_sram_bytes = size("IfmapSramSzkB", 1) * 1024;
  array.weight_sram_bytes = size("FilterSramSzkB", 1) * 1024;
  array.output_sram_bytes = size("OfmapSramSzkB", 1) * 1024;
  const Entry& dataflow = required("Dataflow");
  const std::string flow = lower_case(dataflow.value);
  if (flow == "os") {
    array.dataflow = Dataflow::output_stationary;
  } else if (flow == "ws") {
    array.dataflow = Dataflow::weight_stationary;
  } else if (flow == "is") {
    array.dataflow = Dataflow::input_stationary;
  } else {
    fail(name, dataflow.line, fmt::format("'Dataflow' must be os, ws or is, not '{}'", dataflow.value));
  }
  if (const Entry* mode = find("run_presets", "InterfaceBandwidth")) {
    const std::string word = lower_case(mode->value);
    if (word != "calc" && word != "user") {
      fail(name, mode->line, fmt::format("'InterfaceBandwidth' must be CALC or USER, not '{}'", mode->value));
    }
    config.unbounded = word == "calc";
  }
  if (const Entry* sparsity = find("sparsity", "SparsitySupport"); sparsity && lower_case(sparsity->value) == "true") {
    fail(name, sparsity->line, "sparsity is not modelled");
  }
  array.dram_bandwidth_bytes_per_s = 1e18;
  if (!config.unbounded) {
    const Entry& bandwidth = required("Bandwidth");
    const auto words = parse_number(bandwidth.value);
    if (!words || !(*words > 0)) {
      fail(name, bandwidth.line, fmt::format("'Bandwidth' must be a number of words per cycle, not '{}'", bandwidth.value));
    }
    array.dram_bandwidth_bytes_per_s = *words * array.clock_hz;
  }
  if (const auto why = why_invalid(array)) fail(name, required("ArrayHeight").line, *why);
  return config;
}

std::vector<ScaleSimLayer> read_scalesim_topology(std::string_view text, const std::string& name) {
  std::vector<ScaleSimLayer> layers;
  bool first = true;
  for (const Line& line : lines_of(text)) {
    std::vector<std::string> fields;
    std::string_view rest = line.text;
    while (true) {
      const std::size_t comma = rest.find(',');
      fields.push_back(trimmed(rest.substr(0, comma)));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
    while (!fields.empty() && fields.back().empty()) fields.pop_back();
    const bool header = first && fields.size() > 1 && !parse_number(fields[1]);
    first = false;
    if (header || fields.empty()) continue;
    // A last column such as 2:4 says which part of the weights is not zero.
    if (fields.size() > 1 && fields.back().find(':') != std::string::npos) {
      const std::string ratio = fields.back();
      if (ratio.substr(0, ratio.find(':')) != ratio.substr(ratio.find(':') + 1)) {
        fail(name, line.number, fmt::format("sparsity ({}) is not modelled", ratio));
      }
      fields.pop_back();
    }
    std::vector<std::int64_t> d;
    for (std::size_t i = 1; i < fields.size(); ++i) {
      const auto value = whole(fields[i]);
      if (!value || *value < 1) {
        fail(name, line.number, fmt::format("column {} must be a whole number from 1, not '{}'", i + 1, fields[i]));
      }
      d.push_back(*value);
    }
    ScaleSimLayer layer;
    layer.name = fields[0];
    if (d.size() == 3) {
      layer.work = matrix_product(d[0], d[1], d[2]);
    } else if (d.size() == 7 || d.size() == 8) {
      SystolicWorkload& w = layer.work;
      w.input_h = d[0];
      w.input_w = d[1];
      w.kernel_h = d[2];
      w.kernel_w = d[3];
      w.channels = d[4];
      w.filters = d[5];
      w.stride_h = d[6];
      w.stride_w = d.size() == 8 ? d[7] : d[6];
      if (w.kernel_h > w.input_h || w.kernel_w > w.input_w) {
        fail(name, line.number, fmt::format("a {}×{} filter does not fit an image of {}×{}", w.kernel_h, w.kernel_w,
                                            w.input_h, w.input_w));
      }
      w.output_h = (w.input_h - w.kernel_h + 2 * w.stride_h - 1) / w.stride_h;
      w.output_w = (w.input_w - w.kernel_w + 2 * w.stride_w - 1) / w.stride_w;
    } else {
      fail(name, line.number,
           fmt::format("{} numbers; a convolution has 7 (image, filter, channels, filters, stride), a matrix product 3 (M, "
                       "N, K)",
                       d.size()));
    }
    if (static_cast<double>(layer.work.m()) * static_cast<double>(layer.work.n()) * static_cast<double>(layer.work.k()) >
        0x1p53) {
      fail(name, line.number, "the layer has more than 2^53 multiply-accumulates");
    }
    layers.push_back(std::move(layer));
  }
  if (layers.empty()) fail(name, 1, "no layer");
  return layers;
}

SystolicCost cost(const ScaleSimLayer& layer, const ScaleSimConfig& config) {
  SystolicCost result = cost(layer.work, config.array);
  if (config.unbounded) {
    result.stall_cycles = result.fill_cycles = result.drain_cycles = 0;
    const double slots = static_cast<double>(config.array.rows) * static_cast<double>(config.array.columns) *
                         static_cast<double>(result.cycles());
    if (slots > 0) result.utilisation = static_cast<double>(result.macs) / slots;
  }
  return result;
}

}  // namespace duet
