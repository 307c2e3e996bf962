#include "tests/hw_models/systolic_oracle.hpp"

#include <cmath>
#include <set>
#include <tuple>
#include <vector>

namespace duet::testing {
namespace {

using Index = std::int64_t;
using Indices = std::vector<Index>;
/// Image, channel, row: what moves as a whole.
using InputRow = std::tuple<Index, Index, Index>;
using InputRows = std::set<InputRow>;

/// What one fold multiplies.
struct Fold {
  Index row = 0, column = 0;  ///< position in the grid of folds
  Indices pixels, filters, depth;
  InputRows input_rows;
  std::set<std::pair<Index, Index>> weights;  ///< (depth, filter)
};

struct Transfers {
  Index input = 0, weight = 0, partial_sums_in = 0;
  Index partial_sums_out = 0, outputs = 0;
};

Indices piece(Index extent, Index size, Index number) {
  Indices result;
  for (Index i = 0; i < extent; ++i) {
    if (i / size == number) result.push_back(i);
  }
  return result;
}

Index pieces(Index extent, Index size) {
  Index count = 0;
  for (Index i = 0; i < extent; i += size) ++count;
  return count;
}

class Simulation {
 public:
  Simulation(const SystolicWorkload& workload, const SystolicArray& array) : w_(workload), a_(array) {
    build_folds();
    choose_what_stays();
  }

  SystolicCost run() {
    const Index group_folds = static_cast<Index>(folds_.size());
    std::vector<Transfers> transfers;
    for (Index group = 0; group < w_.groups; ++group) {
      input_present_.clear();
      weights_present_.clear();
      for (Index f = 0; f < group_folds; ++f) transfers.push_back(transfer(f));
    }

    double mapping = 0, busy = 0;
    Index last_cycle = -1;
    for (std::size_t step = 0; step < transfers.size(); ++step) {
      const Fold& fold = folds_[step % folds_.size()];
      const Index duration = walk_elements(fold, mapping, busy);
      last_cycle += duration;
      Index words = transfers[step].partial_sums_in + transfers[step].partial_sums_out;
      if (step + 1 < transfers.size()) words += transfers[step + 1].input + transfers[step + 1].weight;
      if (step > 0) words += transfers[step - 1].outputs;
      const Index needed = channel_cycles(words);
      if (needed > duration) result_.stall_cycles += needed - duration;
    }
    result_.fill_cycles = channel_cycles(transfers.front().input + transfers.front().weight);
    result_.drain_cycles = channel_cycles(transfers.back().outputs);
    result_.stall_cycles += result_.fill_cycles + result_.drain_cycles;
    result_.folds = static_cast<Index>(transfers.size());
    result_.compute_cycles = last_cycle;
    for (const Transfers& t : transfers) {
      result_.input.from_dram += t.input;
      result_.weight.from_dram += t.weight;
      result_.output.from_dram += t.partial_sums_in;
      result_.output.to_dram += t.partial_sums_out + t.outputs;
    }
    result_.mapping_efficiency = mapping / static_cast<double>(transfers.size());
    result_.compute_utilisation = busy / static_cast<double>(transfers.size());
    result_.utilisation = static_cast<double>(result_.macs) /
                          (static_cast<double>(a_.rows * a_.columns) *
                           static_cast<double>(result_.compute_cycles + result_.stall_cycles));
    return result_;
  }

 private:
  bool os() const { return a_.dataflow == Dataflow::output_stationary; }
  bool ws() const { return a_.dataflow == Dataflow::weight_stationary; }
  bool is() const { return a_.dataflow == Dataflow::input_stationary; }

  /// The input row behind a pixel and a position in the window, if it isn't padding.
  bool row_of(Index pixel, Index depth, InputRow& row) const {
    const Index image = pixel / (w_.output_h * w_.output_w);
    const Index p = pixel / w_.output_w % w_.output_h;
    const Index channel = depth / (w_.kernel_h * w_.kernel_w);
    const Index tap = depth / w_.kernel_w % w_.kernel_h;
    const Index h = p * w_.stride_h - w_.padding_h + tap * w_.dilation_h;
    row = {image, channel, h};
    return h >= 0 && h < w_.input_h;
  }

  void build_folds() {
    std::set<Index> touched_columns;
    for (Index q = 0; q < w_.output_w; ++q) {
      for (Index tap = 0; tap < w_.kernel_w; ++tap) {
        const Index x = q * w_.stride_w - w_.padding_w + tap * w_.dilation_w;
        if (x >= 0 && x < w_.input_w) touched_columns.insert(x);
      }
    }
    row_words_ = static_cast<Index>(touched_columns.size());

    const Index m = w_.m(), n = w_.n(), k = w_.k();
    rows_ = pieces(os() ? m : k, a_.rows);
    columns_ = pieces(is() ? m : n, a_.columns);
    for (Index c = 0; c < columns_; ++c) {
      for (Index r = 0; r < rows_; ++r) {
        Fold fold;
        fold.row = r;
        fold.column = c;
        fold.pixels = os() ? piece(m, a_.rows, r) : ws() ? piece(m, m, 0) : piece(m, a_.columns, c);
        fold.filters = is() ? piece(n, n, 0) : piece(n, a_.columns, c);
        fold.depth = os() ? piece(k, k, 0) : piece(k, a_.rows, r);
        const Index window = w_.kernel_h * w_.kernel_w;
        std::set<Index> channels;
        for (const Index d : fold.depth) {
          channels.insert(d / window);
          for (const Index filter : fold.filters) fold.weights.insert({d, filter});
        }
        // All of a channel that the pixels see moves, even if the fold has only some positions of its window.
        for (Index d = 0; d < k; ++d) {
          if (channels.count(d / window) == 0) continue;
          InputRow row;
          for (const Index pixel : fold.pixels) {
            if (row_of(pixel, d, row)) fold.input_rows.insert(row);
          }
        }
        folds_.push_back(fold);
      }
    }
  }

  void choose_what_stays() {
    InputRows tensor;
    std::vector<InputRows> bands(static_cast<std::size_t>(os() ? rows_ : is() ? columns_ : 1));
    std::set<std::pair<Index, Index>> all_weights;
    Index largest_tile = 0, largest_band = 0, largest_weight_tile = 0, largest_output_tile = 0;
    for (const Fold& fold : folds_) {
      tensor.insert(fold.input_rows.begin(), fold.input_rows.end());
      InputRows& band = bands[static_cast<std::size_t>(band_of(fold))];
      band.insert(fold.input_rows.begin(), fold.input_rows.end());
      all_weights.insert(fold.weights.begin(), fold.weights.end());
      largest_tile = std::max(largest_tile, words(fold.input_rows));
      largest_band = std::max(largest_band, words(band));
      largest_weight_tile = std::max(largest_weight_tile, static_cast<Index>(fold.weights.size()));
      largest_output_tile =
          std::max(largest_output_tile, static_cast<Index>(fold.pixels.size() * fold.filters.size()));
    }
    tensor_stays_ = fits(words(tensor), a_.input_sram_bytes);
    band_stays_ = fits(largest_band, a_.input_sram_bytes);
    tile_stays_ = fits(largest_tile, a_.input_sram_bytes);
    all_weights_stay_ = fits(static_cast<Index>(all_weights.size()), a_.weight_sram_bytes);
    weight_tile_stays_ = fits(largest_weight_tile, a_.weight_sram_bytes);
    outputs_stay_ = fits(largest_output_tile, a_.output_sram_bytes);
  }

  /// Number of the range of output pixels that a fold belongs to.
  Index band_of(const Fold& fold) const { return os() ? fold.row : is() ? fold.column : 0; }

  Index words(const InputRows& rows) const { return static_cast<Index>(rows.size()) * row_words_; }

  /// Whether so many words fit half a scratchpad.
  bool fits(Index count, Index sram_bytes) const { return 2 * count * a_.word_bits <= sram_bytes * 8; }

  Transfers transfer(Index f) {
    const Fold& fold = folds_[static_cast<std::size_t>(f)];
    Transfers t;

    // Input: forget what the chosen residency cannot keep, then fetch what is missing.
    if (!tensor_stays_) {
      if (f == 0) {
        // nothing yet
      } else if (band_stays_) {
        const Fold& before = folds_[static_cast<std::size_t>(f - 1)];
        if (fold.row == 0 && (os() || ws())) input_present_.clear();
        if (band_of(fold) != band_of(before)) keep_band(band_of(before));
      } else if (tile_stays_) {
        if (fold.row == 0)
          input_present_.clear();
        else
          input_present_ = folds_[static_cast<std::size_t>(f - 1)].input_rows;
      } else {
        input_present_.clear();
      }
    }
    for (const InputRow& row : fold.input_rows) {
      if (input_present_.insert(row).second) t.input += row_words_;
    }

    // Weights.
    if (!(is() && all_weights_stay_) && !(os() && weight_tile_stays_)) weights_present_.clear();
    for (const auto& weight : fold.weights) {
      if (weights_present_.insert(weight).second) t.weight += 1;
    }

    const Index outputs = static_cast<Index>(fold.pixels.size() * fold.filters.size());
    const bool first = os() || fold.row == 0;
    const bool last = os() || fold.row == rows_ - 1;
    if (last) t.outputs = outputs;
    if (!outputs_stay_ && !last) t.partial_sums_out = outputs;
    if (!outputs_stay_ && !first) t.partial_sums_in = outputs;
    return t;
  }

  /// Keeps only the rows that folds of the given band use.
  void keep_band(Index band) {
    InputRows kept;
    for (const Fold& fold : folds_) {
      if (band_of(fold) != band) continue;
      for (const InputRow& row : fold.input_rows) {
        if (input_present_.count(row) > 0) kept.insert(row);
      }
    }
    input_present_ = kept;
  }

  /// Visits the processing elements of a fold, counts what crosses the edges of the array, and returns the
  /// number of cycles until the last output has left.
  Index walk_elements(const Fold& fold, double& mapping, double& busy) {
    const Indices& down = os() ? fold.pixels : fold.depth;
    const Indices& across = is() ? fold.pixels : fold.filters;
    const Index stream = static_cast<Index>(os()   ? fold.depth.size()
                                            : ws() ? fold.pixels.size()
                                                   : fold.filters.size());
    Index cycles = 0, used = 0, multiplications = 0;
    for (Index i = 0; i < a_.rows; ++i) {
      for (Index j = 0; j < a_.columns; ++j) {
        const bool works = i < static_cast<Index>(down.size()) && j < static_cast<Index>(across.size());
        if (works) ++used;
        for (Index t = 0; t < stream; ++t) {
          // Operands enter skewed by one cycle per row and column, stationary ones `rows` cycles before.
          const Index cycle = (os() ? 0 : a_.rows) + t + i + j;
          cycles = std::max(cycles, cycle + 1);
          if (!works) continue;
          ++multiplications;
          if (os()) {
            if (j == 0) ++result_.input.to_array;
            if (i == 0) ++result_.weight.to_array;
          } else {
            if (j == 0) ++(ws() ? result_.input : result_.weight).to_array;
            if (i == 0) {
              ++result_.output.from_array;
              if (fold.row > 0) ++result_.output.to_array;
            }
          }
        }
        if (works && os()) ++result_.output.from_array;
        if (works && ws()) ++result_.weight.to_array;
        if (works && is()) ++result_.input.to_array;
      }
    }
    result_.macs += multiplications;
    const double elements = static_cast<double>(a_.rows * a_.columns);
    mapping += static_cast<double>(used) / elements;
    const Index reported = os() ? cycles : cycles + a_.columns - 1;  // SCALE-Sim's denominator
    busy += static_cast<double>(multiplications) / (elements * static_cast<double>(reported));
    return cycles;
  }

  Index channel_cycles(Index count) const {
    const double bits_per_cycle = 8.0 * a_.dram_bandwidth_bytes_per_s / a_.clock_hz;
    return static_cast<Index>(std::ceil(static_cast<double>(count * a_.word_bits) / bits_per_cycle));
  }

  const SystolicWorkload& w_;
  const SystolicArray& a_;
  Index row_words_ = 0, rows_ = 0, columns_ = 0;
  std::vector<Fold> folds_;
  bool tensor_stays_ = false, band_stays_ = false, tile_stays_ = false;
  bool all_weights_stay_ = false, weight_tile_stays_ = false, outputs_stay_ = false;
  InputRows input_present_;
  std::set<std::pair<Index, Index>> weights_present_;
  SystolicCost result_;
};

}  // namespace

SystolicCost simulate(const SystolicWorkload& workload, const SystolicArray& array) {
  return Simulation(workload, array).run();
}

}  // namespace duet::testing
