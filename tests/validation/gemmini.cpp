// 36,496 mappings on 51 Gemmini-like architectures, costed by Timeloop and Accelergy for DOSA.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>

#include "core/statistics.hpp"
#include "hw_models/cost_model.hpp"
#include "spaces/architecture_template.hpp"
#include "tests/validation/report.hpp"

namespace duet::validation {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

/// The text of a file that gzip packed.
std::string unpacked(const std::filesystem::path& file) {
  std::FILE* pipe = popen(fmt::format("gzip -dc '{}'", file.string()).c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot run gzip");
  std::string text;
  std::array<char, 65536> buffer;
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe)) text.append(buffer.data(), count);
  if (pclose(pipe) != 0) throw std::runtime_error("cannot unpack " + file.string());
  return text;
}

/// A line of the table by the names of its columns.
class Row {
 public:
  Row(const std::map<std::string, std::size_t>& columns, const std::string& line) : columns_(&columns), cells_(split(line, ',')) {}
  const std::string& text(const std::string& column) const { return cells_.at(columns_->at(column)); }
  double number(const std::string& column) const { return std::stod(text(column)); }
  std::int64_t integer(const std::string& column) const { return std::stoll(text(column)); }

 private:
  const std::map<std::string, std::size_t>* columns_;
  std::vector<std::string> cells_;
};

/// Dimensions in the order in which Timeloop's layer has them; K is duet's M.
constexpr std::string_view letters = "RSPQCK";

Einsum layer_of(const Row& row) {
  Einsum einsum;
  for (const char letter : letters) {
    einsum.dimensions.push_back({letter == 'K' ? "M" : std::string(1, letter), row.integer(std::string(1, letter))});
  }
  einsum.tensors = {EinsumTensor{"weight", {{{5, 1}}, {{4, 1}}, {{0, 1}}, {{1, 1}}}},
                    EinsumTensor{"input", {{{4, 1}}, {{2, row.integer("strideW")}, {0, 1}}, {{3, row.integer("strideH")}, {1, 1}}}},
                    EinsumTensor{"output", {{{5, 1}}, {{2, 1}}, {{3, 1}}}}};
  return einsum;
}

/// "L3[WIO] C3 K16 - L2[WI] N1 K2X - L1[O] C4X - L0[W] P16": loops outer to inner, X spatial.
Mapping mapping_of(const Row& row) {
  Mapping mapping;
  mapping.level_count = 4;
  const std::vector<std::string> levels = split(row.text("mapping"), '-');
  if (levels.size() != 4) throw std::runtime_error("a mapping has not four levels: " + row.text("mapping"));
  for (std::size_t l = 0; l < 4; ++l) {
    LevelMapping& level = mapping.levels[l];
    std::istringstream words(levels[l]);
    std::string word;
    words >> word;
    level.keep = {word.find('W') != std::string::npos, word.find('I') != std::string::npos,
                  word.find('O') != std::string::npos};
    std::vector<std::uint8_t> order;
    while (words >> word) {
      if (word[0] == 'N') continue;  // batch 1
      const auto d = letters.find(word[0]);
      if (d == std::string_view::npos) throw std::runtime_error("no dimension: " + word);
      const std::int64_t factor = std::stoll(word.substr(1));
      if (word.back() != 'X') {
        level.temporal[d] = factor;
        order.push_back(static_cast<std::uint8_t>(d));
      } else {
        // Columns stand along x, rows along y.
        (l == 2 ? level.y : level.x)[d] = factor;
      }
    }
    std::vector<std::uint8_t> all;
    for (std::uint8_t d = 0; d < letters.size(); ++d) {
      if (std::find(order.begin(), order.end(), d) == order.end()) all.push_back(d);
    }
    all.insert(all.end(), order.begin(), order.end());
    std::copy(all.begin(), all.end(), level.order.begin());
  }
  return mapping;
}

/// The template at the row's sizes, with the bandwidths of DOSA's architecture and without energies or areas of its own.
Architecture architecture_of(const Row& row, const ArchitectureTemplate& gemmini) {
  const auto dim = row.number("meshX");
  Architecture a = gemmini.instantiate({{"dim", dim},
                                        {"scratchpad", row.number("spad_entries")},
                                        {"accumulator", 4 * row.number("acc_entries") * dim},
                                        {"node", 40e-9}});
  return a;
}

/// DOSA's own summary of Accelergy's tables (dataset/dse/energy_model.py of ucb-bar/dosa, commit 31df891): pJ per word as a
/// function of the buffers' KiB.
void set_dosa_energies(Architecture& a, const Row& row) {
  const double dim = row.number("meshX");
  const double scratchpad_kib = row.number("spad_entries") / 1024, accumulator_kib = row.number("acc_entries") * 4 * dim / 1024;
  const auto set = [&](std::size_t level, double pj_per_word, double words) {
    const double joules = pj_per_word * words * 1e-12;
    a.levels[level].energy = {joules, joules, joules, 0};
  };
  set(0, 100, 64);
  set(1, 0.02513 * scratchpad_kib + 0.49, dim);
  set(2, 0.1005 * accumulator_kib / dim + 1.94, 1);
  set(3, 0.48746172, 1);
  a.compute.energy_j = 0.5608e-12;
}

/// Cycles and energy of counts.
struct Cost {
  double cycles = 0, energy_j = 0;
};

/// What DOSA's Timeloop counts differently, applied to the counts of the loop nest.
class Corrected {
 public:
  Corrected(const CostModel& model, const Mapping& mapping, MappingCost cost)
      : model_(model), mapping_(mapping), cost_(std::move(cost)) {}

  /// The accumulator reads before every update, the first one of an element too.
  void read_before_first_update() { set(2, Tensor::output, &TensorTraffic::reads, cost_.levels[2].tensor(Tensor::output).updates); }

  /// A loop over filters inside the loop that slides the input makes its halo be fetched again.
  void no_halo_across_filters() {
    const LevelMapping& outer = mapping_.levels[0];
    const Einsum& einsum = model_.einsum();
    bool filters = false;
    double steps = 1;
    for (std::size_t i = einsum.dimensions.size(); i-- > 0;) {
      const std::size_t d = outer.order[i];
      if (outer.temporal[d] == 1) continue;
      const bool relevant = letters[d] != 'K';
      if (steps == 1 && !relevant) {
        filters = true;
        continue;
      }
      if (!filters) return;
      steps *= static_cast<double>(outer.temporal[d]);
    }
    if (!filters) return;
    const double words = steps * cost_.levels[1].tensor(Tensor::input).tile_words;
    set(0, Tensor::input, &TensorTraffic::reads, words);
    set(1, Tensor::input, &TensorTraffic::fills, words);
  }

  Cost result() const {
    Cost result{cost_.compute_cycles, cost_.energy_j};
    const Architecture& a = model_.architecture();
    for (std::size_t l = 0; l < a.levels.size(); ++l) {
      double accesses = 0;
      for (const TensorTraffic& traffic : cost_.levels[l].tensors) accesses += traffic.reads + traffic.fills + traffic.updates;
      if (const auto bandwidth = a.levels[l].shared_bandwidth) {
        result.cycles = std::max(result.cycles, std::ceil(accesses / cost_.levels[l].utilized_instances / *bandwidth));
      }
    }
    return result;
  }

 private:
  void set(std::size_t l, Tensor tensor, double TensorTraffic::*words, double value) {
    const StorageLevel& level = model_.architecture().levels[l];
    double& count = cost_.levels[l].tensors[static_cast<std::size_t>(tensor)].*words;
    cost_.energy_j += (value - count) / static_cast<double>(level.block_words(tensor)) * level.energy.read_j;
    count = value;
  }
  const CostModel& model_;
  const Mapping& mapping_;
  MappingCost cost_;
};

double median_ratio(const std::vector<double>& ours, const std::vector<double>& theirs) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.size(); ++i) ratios.push_back(ours[i] / theirs[i]);
  return median(ratios);
}

/// One way of counting over all rows.
struct Way {
  std::string name;
  std::vector<double> cycles, energy;
  std::size_t within_one = 0;
};

}  // namespace

std::string gemmini_section(const std::filesystem::path& data) {
  const std::vector<std::string> lines = split(unpacked(data / "gemmini_timeloop.csv.gz"), '\n');
  std::map<std::string, std::size_t> columns;
  for (const std::string& name : split(lines.at(0), ',')) columns.emplace(name, columns.size());
  const ArchitectureTemplate gemmini = ArchitectureTemplate::load("gemmini");

  std::vector<double> cycles, energy, own_energy;
  std::array<Way, 4> ways{{{"the loop nest", {}, {}, 0},
                           {"`as_timeloop`", {}, {}, 0},
                           {"the loop nest, with 1 below", {}, {}, 0},
                           {"the loop nest, with 1 and 2 below", {}, {}, 0}}};
  std::map<std::string, std::pair<double, double>> areas;  // by architecture: ours, theirs
  std::size_t invalid = 0, sliding = 0, unexplained = 0;
  std::set<std::string> layers;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const Row row(columns, lines[i]);
    const Mapping mapping = mapping_of(row);
    Architecture architecture = architecture_of(row, gemmini);
    const Einsum einsum = layer_of(row);
    const CostModel own(einsum, architecture);
    if (own.why_invalid(mapping)) {
      ++invalid;
      continue;
    }
    std::string layer;
    for (const char* column : {"C", "K", "P", "Q", "R", "S", "strideH"}) layer += row.text(column) + " ";
    layers.insert(layer);
    areas[fmt::format("{} {} {}", row.text("pe"), row.text("acc_depth"), row.text("spad_depth"))] = {
        architecture.total_area_mm2(), row.number("area_mm2")};
    own_energy.push_back(own.evaluate(mapping).energy_j);
    set_dosa_energies(architecture, row);
    const CostModel exact(einsum, architecture), timeloop(einsum, architecture, {.as_timeloop = true});
    cycles.push_back(row.number("cycles"));
    energy.push_back(row.number("energy_uJ") * 1e-6);
    const MappingCost cost = exact.evaluate(mapping), as_timeloop = timeloop.evaluate(mapping);
    Corrected corrected(exact, mapping, cost);
    std::array<Cost, 4> costs;
    costs[0] = {cost.cycles, cost.energy_j};
    costs[1] = {as_timeloop.cycles, as_timeloop.energy_j};
    corrected.read_before_first_update();
    costs[2] = corrected.result();
    corrected.no_halo_across_filters();
    costs[3] = corrected.result();
    for (std::size_t w = 0; w < ways.size(); ++w) {
      ways[w].cycles.push_back(costs[w].cycles);
      ways[w].energy.push_back(costs[w].energy_j);
      if (std::abs(costs[w].cycles - cycles.back()) <= 1) ++ways[w].within_one;
    }
    if (std::abs(costs[3].cycles - cycles.back()) > 1 || std::abs(costs[3].energy_j / energy.back() - 1) > 0.005) {
      ++unexplained;
      // Loops over the window outside of the buffer are where duet's loop nest and Timeloop's extrapolation part.
      const LevelMapping& outer = mapping.levels[0];
      if ((outer.temporal[0] > 1 || outer.temporal[1] > 1) && (outer.temporal[2] > 1 || outer.temporal[3] > 1)) ++sliding;
    }
  }

  std::string text = fmt::format(R"(## Gemmini, Timeloop with Accelergy

{} rows of DOSA's data set (ucb-bar/dosa): {} architectures, {} layers, mappings drawn at random. Levels and bandwidths are those of the template [gemmini](hardware/templates.md#gemmini); mappings are read from the table; {} are refused. Energies per action are DOSA's own summary of Accelergy's tables (a constant or a straight line in the buffer's size per component, `energy_model.py`), not fitted here.

| cycles | rows | exact | ρ | median error | 95% below | largest |
|---|---|---|---|---|---|---|
)",
                                 grouped(cycles.size()), areas.size(), layers.size(), invalid);
  for (const Way& way : ways) text += fmt::format("| {} | {} |\n", way.name, cells(agreement(way.cycles, cycles)));
  text += "\n| energy | rows | exact | ρ | median error | 95% below | largest |\n|---|---|---|---|---|---|---|\n";
  for (const Way& way : ways) text += fmt::format("| {} | {} |\n", way.name, cells(agreement(way.energy, energy)));
  text += fmt::format("| the loop nest, energies of duet's technology at 40 nm | {} |\n", cells(agreement(own_energy, energy)));
  std::vector<double> our_areas, their_areas;
  for (const auto& [name, pair] : areas) {
    our_areas.push_back(pair.first);
    their_areas.push_back(pair.second);
  }
  text += fmt::format(R"(
| area | architectures | exact | ρ | median error | 95% below | largest |
|---|---|---|---|---|---|---|
| duet's technology at 40 nm | {} |

Why they differ:

1. **The first update.** DOSA's Timeloop reads an accumulator before every update; in duet (and Timeloop 4cf6d4c) the first sum of an output is stored without being read. Where the accumulator limits, that is the whole difference.
2. **Halos.** If the loop over filters is the innermost one in DRAM, DOSA's Timeloop fetches the whole next input tile when an outer loop slides it; in duet the part that is in the scratchpad already stays.
3. **Rounding.** Timeloop divides the cycles of computing by a slowdown that is itself a quotient, and rounds up: one cycle more or less. With 1 and 2 counted as there, {} rows ({}) agree to one cycle, {} of them exactly.
4. **What is left:** {} rows differ by more than one cycle or 0.5% of energy even so; in {} of them loops over the window and over output pixels stand together in DRAM, where Timeloop extrapolates from two iterations. DOSA's version does not do that in the way of 4cf6d4c, which `as_timeloop` reproduces.
5. **Energy per action** as a straight line of the capacity leaves the median error of energy; single architectures lie beside the line.
6. **duet's own technology** knows nothing of Accelergy's plug-ins. Its energies are {:.2f} times as high (median; DRAM costs 8 pJ per bit instead of 12.5), its areas {:.2f} times: memories and multipliers alone, with one port where DOSA's accumulators have two. Ranks agree, values are those of other sources.

)",
                      cells(agreement(our_areas, their_areas)), grouped(ways[3].within_one),
                      percent(static_cast<double>(ways[3].within_one) / static_cast<double>(cycles.size())),
                      grouped(agreement(ways[3].cycles, cycles).exact), grouped(unexplained), grouped(sliding),
                      median_ratio(own_energy, energy), median_ratio(our_areas, their_areas));
  return text;
}

}  // namespace duet::validation
