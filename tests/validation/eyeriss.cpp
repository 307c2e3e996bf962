// The Eyeriss chip on AlexNet, layer by layer: row-stationary mappings of the paper in duet's loop nest.

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>

#include "core/units.hpp"
#include "hw_models/cost_model.hpp"
#include "spaces/architecture_template.hpp"
#include "tests/validation/report.hpp"

namespace duet::validation {
namespace {

/// A convolution of AlexNet as Eyeriss ran it (two groups in three layers) and how it was mapped: JSSC 2017, table III,
/// written from memory of the paper; r × t sets of R × e elements are the chip's active elements in all five layers.
struct Layer {
  const char* name;
  std::int64_t groups, filters, channels, side, kernel, stride;  ///< filters and channels of one group
  std::int64_t m;  ///< filters whose sums are in the buffer
  std::int64_t n;  ///< images at a time
  std::int64_t e;  ///< output rows at a time
  std::int64_t p;  ///< filters of an element
  std::int64_t q;  ///< channels of an element
  std::int64_t r;  ///< sets of elements on different channels
  std::int64_t t;  ///< sets of elements on different filters
};

constexpr std::array<Layer, 5> layers{{
    {"CONV1", 1, 96, 3, 55, 11, 4, 96, 1, 7, 16, 1, 1, 2},
    {"CONV2", 2, 128, 48, 27, 5, 1, 64, 1, 27, 16, 2, 1, 1},
    {"CONV3", 1, 384, 256, 13, 3, 1, 64, 4, 13, 16, 4, 1, 4},
    {"CONV4", 2, 192, 192, 13, 3, 1, 64, 4, 13, 16, 3, 2, 2},
    {"CONV5", 2, 128, 192, 13, 3, 1, 64, 4, 13, 16, 3, 2, 2},
}};

constexpr std::int64_t batch = 4;
constexpr std::int64_t columns = 14;  // of the array

std::int64_t divided_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

Mapping row_stationary(const Layer& layer, const Einsum& einsum) {
  const auto d = [&](const char* name) { return einsum.find_dimension(name); };
  Mapping mapping;
  mapping.level_count = 5;
  enum Level : std::size_t { dram, buffer, input_spad, weight_spad, sum_spad };
  mapping.levels[buffer].keep = {false, true, true};
  mapping.levels[input_spad].keep = {false, true, false};
  mapping.levels[weight_spad].keep = {true, false, false};
  mapping.levels[sum_spad].keep = {false, false, true};
  const std::size_t N = *d("N"), M = *d("M"), C = *d("C"), P = *d("P"), Q = *d("Q"), R = *d("R"), S = *d("S");
  // An element: p filters times q channels of one row of the window.
  mapping.levels[sum_spad].temporal[M] = layer.p;
  mapping.levels[weight_spad].temporal[C] = layer.q;
  mapping.levels[weight_spad].temporal[S] = layer.kernel;
  // Sets of R × e elements; a set wider than the array is folded (P along y).
  LevelMapping& shared = mapping.levels[buffer];
  shared.x[P] = std::min(layer.e, columns);
  shared.y[P] = divided_up(layer.e, columns);
  shared.y[R] = layer.kernel;
  shared.y[C] = layer.r;
  // Two sets of half the width stand side by side; others one above the other.
  (2 * layer.e <= columns ? shared.x : shared.y)[M] = layer.t;
  // A pass slides along the columns of n images; passes over the filters whose sums are in the buffer follow.
  shared.temporal[Q] = layer.side;
  shared.temporal[N] = layer.n;
  shared.temporal[M] = layer.m / (layer.p * layer.t);
  LevelMapping& outer = mapping.levels[dram];
  outer.temporal[C] = layer.channels / (layer.q * layer.r);
  outer.temporal[P] = divided_up(layer.side, layer.e);
  outer.temporal[N] = batch / layer.n;
  outer.temporal[M] = divided_up(layer.filters, layer.m);
  if (layer.groups > 1) outer.temporal[*d("G")] = layer.groups;
  const auto order = [&](LevelMapping& level, std::vector<std::size_t> inner) {
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < einsum.dimensions.size(); ++i) {
      if (std::find(inner.begin(), inner.end(), i) == inner.end()) all.push_back(i);
    }
    all.insert(all.end(), inner.begin(), inner.end());
    for (std::size_t i = 0; i < all.size(); ++i) level.order[i] = static_cast<std::uint8_t>(all[i]);
  };
  order(outer, {M, N, P, C});    // sums stay in the buffer until all channels are added
  order(shared, {M, N, Q});      // weights stay in the elements while the images slide past
  return mapping;
}

struct Measured {
  double power_w, total_ms, processing_ms, active, buffer_mb, dram_mb;
};

std::map<std::string, Measured> read_measurements(const std::filesystem::path& file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  if (!line.starts_with("chip,workload,layer,batch,macs_G,power_mW,total_ms,proc_ms,active_pes,glb_MB,dram_MB")) {
    throw std::runtime_error(file.string() + ": other columns than expected");
  }
  std::map<std::string, Measured> found;
  while (std::getline(stream, line)) {
    std::istringstream cells(line);
    std::vector<std::string> parts;
    for (std::string part; std::getline(cells, part, ',');) parts.push_back(part);
    const auto number = [&](std::size_t i) { return std::stod(parts.at(i)); };
    found[parts.at(2)] = {number(5) * 1e-3, number(6), number(7), number(8), number(9), number(10)};
  }
  return found;
}

}  // namespace

std::string eyeriss_section(const std::filesystem::path& data) {
  const std::map<std::string, Measured> chip = read_measurements(data / "eyeriss_alexnet_measured.csv");
  const Architecture architecture = ArchitectureTemplate::load("eyeriss").instantiate();
  std::string time =
      "| layer | elements in use, chip | model | processing, chip | model | ratio | with loading, chip | model | ratio |\n"
      "|---|---|---|---|---|---|---|---|---|\n";
  std::string traffic =
      "| layer | DRAM, chip | model | ratio | buffer, chip | model | ratio | energy of the chip, chip | model | ratio |\n"
      "|---|---|---|---|---|---|---|---|---|---|\n";
  std::vector<double> model_time, chip_time, model_dram, chip_dram, model_buffer, chip_buffer, model_energy, chip_energy;
  const double bytes = 2;
  for (const Layer& layer : layers) {
    const Measured& measured = chip.at(layer.name);
    ConvolutionShape shape;
    shape.batch = batch;
    shape.groups = layer.groups;
    shape.out_channels = layer.filters;
    shape.in_channels = layer.channels;
    shape.output_h = shape.output_w = layer.side;
    shape.kernel_h = shape.kernel_w = layer.kernel;
    shape.stride_h = shape.stride_w = layer.stride;
    const Einsum einsum = convolution_einsum(shape);
    const CostModel model(einsum, architecture);
    const Mapping mapping = row_stationary(layer, einsum);
    if (const auto why = model.why_invalid(mapping, true)) throw std::runtime_error(std::string(layer.name) + ": " + *why);
    const MappingCost cost = model.evaluate(mapping);
    const auto words = [&](std::size_t level) {
      double sum = 0;
      for (const TensorTraffic& t : cost.levels[level].tensors) sum += t.reads + t.fills + t.updates;
      return sum;
    };
    const double active = cost.levels[4].utilized_instances;
    const double processing_ms = 1e3 * cost.compute_cycles / architecture.clock_hz;
    const double total_ms = 1e3 * cost.latency_s;
    const double dram_mb = words(0) * bytes * 1e-6, buffer_mb = words(1) * bytes * 1e-6;
    const double energy_mj = 1e3 * (cost.energy_j - cost.levels[0].dynamic_energy_j);
    const double chip_mj = measured.power_w * measured.total_ms;
    time += fmt::format("| {} | {:.0f} | {:.0f} | {:.1f} ms | {:.1f} ms | {:.2f} | {:.1f} ms | {:.1f} ms | {:.2f} |\n", layer.name,
                        measured.active, active, measured.processing_ms, processing_ms,
                        processing_ms / measured.processing_ms, measured.total_ms, total_ms, total_ms / measured.total_ms);
    traffic += fmt::format("| {} | {:.1f} MB | {:.1f} MB | {:.2f} | {:.1f} MB | {:.1f} MB | {:.2f} | {:.2f} mJ | {:.2f} mJ | {:.2f} |\n",
                           layer.name, measured.dram_mb, dram_mb, dram_mb / measured.dram_mb, measured.buffer_mb, buffer_mb,
                           buffer_mb / measured.buffer_mb, chip_mj, energy_mj, energy_mj / chip_mj);
    model_time.push_back(processing_ms), chip_time.push_back(measured.processing_ms);
    model_dram.push_back(dram_mb), chip_dram.push_back(measured.dram_mb);
    model_buffer.push_back(buffer_mb), chip_buffer.push_back(measured.buffer_mb);
    model_energy.push_back(energy_mj), chip_energy.push_back(chip_mj);
  }
  const auto total = [](const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return sum;
  };
  const auto row = [&](const char* name, const std::vector<double>& model, const std::vector<double>& silicon, const char* unit) {
    return fmt::format("| {} | {:.1f} {} | {:.1f} {} | {:.2f} | {:.2f} |\n", name, total(silicon), unit, total(model), unit,
                       total(model) / total(silicon), agreement(model, silicon).spearman);
  };
  return "## The Eyeriss chip on AlexNet\n\n"
         "Five convolutional layers, batch 4, measured on the chip (Chen et al., JSSC 2017; written down from memory of the "
         "paper), against the template [eyeriss](hardware/templates.md#eyeriss) with its standard values under the paper's "
         "row-stationary mappings (its table III: m, n, e, p, q, r, t; from memory too, and confirmed by the elements in use "
         "and by fitting the buffer and the template's constraints).\n\n" +
         time + "\n" + traffic + "\n| sum | chip | model | ratio | ρ |\n|---|---|---|---|---|\n" +
         row("processing", model_time, chip_time, "ms") + row("DRAM", model_dram, chip_dram, "MB") +
         row("buffer", model_buffer, chip_buffer, "MB") + row("energy without DRAM", model_energy, chip_energy, "mJ") +
         R"(
Why they differ:

1. **Processing.** The model computes without pause; the chip fills and drains its elements at every pass, which costs CONV1 with its rows of 55 pixels in 8 strips most.
2. **With loading.** The model overlaps DRAM with computing; the chip loads the first pass and the configuration of a layer before it computes, and its link is slower than the words alone ask for.
3. **DRAM.** The chip codes runs of zeros: the paper gives a factor of 1.2 (CONV1) to 1.9 (CONV5) for it (from memory), which is the ratio here. The model moves every word.
4. **Buffer.** Sums that pass through the buffer once per set of channels are nearly all of it, and four layers agree to 5%. CONV3 is not explained: the channels per pass in our memory of the table (4 in 256) need 64 passes, and the measurement suits 43.
5. **Energy.** The model has multipliers, scratchpads and the buffer at 0.9 V from sources other than this chip; the measurement at 1 V also holds the clock network, control, the networks on the chip and idle time. Order of magnitude only; what is compared between designs are ratios.

)";
}

}  // namespace duet::validation
