#include "hw_models/systolic.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <fmt/format.h>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

namespace duet {
namespace {

std::int64_t ceil_div(std::int64_t dividend, std::int64_t divisor) {
  return (dividend + divisor - 1) / divisor;
}

/// One spatial axis of a convolution: which input rows do output rows touch? Padding is not an input row.
class TouchedRows {
 public:
  TouchedRows(std::int64_t input, std::int64_t output, std::int64_t kernel, std::int64_t stride,
              std::int64_t padding, std::int64_t dilation) {
    // Output row p touches row p·stride − padding + t·dilation with tap t. The same row is touched again, by
    // tap t − shift, from output row p + period, and from no output row in between.
    const std::int64_t divisor = std::gcd(stride, dilation);
    period_ = dilation / divisor;
    const std::int64_t shift = stride / divisor;

    all_taps_.assign(static_cast<std::size_t>(output) + 1, 0);
    fresh_taps_ = all_taps_;
    for (std::int64_t p = 0; p < output; ++p) {
      const std::int64_t first_row = p * stride - padding;
      const std::int64_t last_row = input - 1;
      const std::int64_t first_tap = first_row >= 0 ? 0 : ceil_div(-first_row, dilation);
      const std::int64_t end_tap =
          first_row > last_row ? 0 : std::min(kernel, (last_row - first_row) / dilation + 1);
      const auto i = static_cast<std::size_t>(p);
      all_taps_[i + 1] = all_taps_[i] + std::max<std::int64_t>(0, end_tap - first_tap);
      const std::int64_t first_fresh = std::max(first_tap, kernel - shift);
      fresh_taps_[i + 1] = fresh_taps_[i] + std::max<std::int64_t>(0, end_tap - first_fresh);
    }
  }

  std::int64_t outputs() const { return static_cast<std::int64_t>(all_taps_.size()) - 1; }

  /// Distinct input rows that the output rows [begin, end) of one image touch.
  std::int64_t count(std::int64_t begin, std::int64_t end) const {
    const std::int64_t repeating = std::min(end, begin + period_);
    return at(all_taps_, repeating) - at(all_taps_, begin) + at(fresh_taps_, end) -
           at(fresh_taps_, repeating);
  }

  /// The same for output rows that are numbered through a batch of images.
  std::int64_t count_in_batch(std::int64_t begin, std::int64_t end) const {
    if (begin >= end) return 0;
    if (end <= outputs()) return count(begin, end);
    const std::int64_t first_image = begin / outputs();
    const std::int64_t last_image = (end - 1) / outputs();
    const std::int64_t from = begin - first_image * outputs();
    const std::int64_t to = end - last_image * outputs();
    if (first_image == last_image) return count(from, to);
    return count(from, outputs()) + (last_image - first_image - 1) * count(0, outputs()) + count(0, to);
  }

 private:
  static std::int64_t at(const std::vector<std::int64_t>& sums, std::int64_t i) {
    return sums[static_cast<std::size_t>(i)];
  }

  std::int64_t period_ = 1;
  std::vector<std::int64_t> all_taps_;    ///< prefix sums over p: taps that hit an input row
  std::vector<std::int64_t> fresh_taps_;  ///< those whose row output row p − period did not touch
};

/// How much of the input stays in its scratchpad: the largest of these that fits the working half.
enum class Residency {
  tensor,  ///< all of it: nothing is ever fetched twice
  band,    ///< the rows of one range of output pixels: the next range fetches only the rows it adds
  tile,  ///< what one fold reads: the next fold of the same column fetches only the channels or rows it adds
  none,  ///< every fold fetches all it reads
};

/// The input as the scratchpad sees it. Its unit is one row of one channel of one image, without the columns
/// that no output touches.
class InputTensor {
 public:
  explicit InputTensor(const SystolicWorkload& w)
      : rows_(w.input_h, w.output_h, w.kernel_h, w.stride_h, w.padding_h, w.dilation_h),
        window_(w.kernel_h * w.kernel_w),
        row_pixels_(w.output_w),
        channels_(w.channels),
        all_rows_(w.batch * rows_.count(0, w.output_h)),
        row_words_(TouchedRows(w.input_w, w.output_w, w.kernel_w, w.stride_w, w.padding_w, w.dilation_w)
                       .count(0, w.output_w)) {}

  std::int64_t channels() const { return channels_; }
  std::int64_t plane_words() const { return all_rows_ * row_words_; }
  std::int64_t words() const { return channels_ * plane_words(); }

  /// Words of one channel in the rows that the output pixels [begin, end) touch.
  std::int64_t band_words(std::int64_t begin, std::int64_t end) const {
    return row_words_ * rows_.count_in_batch(begin / row_pixels_, ceil_div(end, row_pixels_));
  }

  /// Channels in [begin, end) of the k axis, which is ordered channel by channel.
  std::int64_t channels_in(std::int64_t begin, std::int64_t end) const {
    return (end - 1) / window_ - begin / window_ + 1;
  }
  /// Those of them that [0, begin) does not touch.
  std::int64_t added_channels(std::int64_t begin, std::int64_t end) const {
    return ceil_div(end, window_) - ceil_div(begin, window_);
  }

 private:
  TouchedRows rows_;
  std::int64_t window_;
  std::int64_t row_pixels_;
  std::int64_t channels_;
  std::int64_t all_rows_;
  std::int64_t row_words_;
};

/// One axis of the fold grid: `extent` cut into pieces of `size`, the last of them possibly smaller.
struct Axis {
  std::int64_t extent, size;
  std::int64_t folds() const { return ceil_div(extent, size); }
  std::int64_t begin(std::int64_t fold) const { return fold * size; }
  std::int64_t end(std::int64_t fold) const { return std::min(extent, (fold + 1) * size); }
  std::int64_t length(std::int64_t fold) const { return end(fold) - begin(fold); }
  std::int64_t longest() const { return std::min(extent, size); }
};

/// The transfers of one group, in words. Folds (r, c) run with r in the inner loop; what a fold moves is a
/// sum of products of a term in r and a term in c, which is why no sum has to visit all folds.
struct Schedule {
  std::int64_t fold_cycles = 0;
  std::vector<std::int64_t> own_load;      ///< [r], of the operand that depends on r alone
  std::vector<std::int64_t> shared_load;   ///< [r], × column_load[c]: of the other operand
  std::vector<std::int64_t> column_load;   ///< [c]
  std::vector<std::int64_t> store;         ///< [r], × column_store[c]: finished outputs
  std::vector<std::int64_t> column_store;  ///< [c]
  bool own_stays = false;                  ///< own_load is needed in the first column only
  std::int64_t spill = 0;  ///< × column_store[c]: partial sums that leave the chip after every r but the last
                           ///< and return before every r but the first

  std::size_t row_folds() const { return own_load.size(); }
  std::size_t column_folds() const { return column_load.size(); }

  std::int64_t load(std::size_t r, std::size_t c) const {
    return (own_stays && c > 0 ? 0 : own_load[r]) + shared_load[r] * column_load[c];
  }
  std::int64_t stored(std::size_t r, std::size_t c) const { return store[r] * column_store[c]; }
  std::int64_t spilled(std::size_t r, std::size_t c) const {
    return ((r > 0 ? spill : 0) + (r + 1 < row_folds() ? spill : 0)) * column_store[c];
  }
};

/// Turns words on the DRAM channel into cycles that the computation of one fold does not hide.
class Channel {
 public:
  Channel(const SystolicArray& array, std::int64_t fold_cycles) : array_(array), fold_cycles_(fold_cycles) {
    const double bits_per_cycle = 8.0 * array.dram_bandwidth_bytes_per_s / array.clock_hz;
    const double limit = std::min(
        static_cast<double>(fold_cycles) * bits_per_cycle / static_cast<double>(array.word_bits), 1e15);
    // One less than the quotient is hidden whatever the rounding; the exact test decides the rest.
    hidden_words_ = std::max<std::int64_t>(0, static_cast<std::int64_t>(limit * (1 - 1e-12)) - 1);
  }

  std::int64_t surely_hidden() const { return hidden_words_; }

  std::int64_t stall(std::int64_t words) const {
    if (words <= hidden_words_) return 0;
    return std::max<std::int64_t>(0, transfer_cycles(words, array_) - fold_cycles_);
  }

 private:
  const SystolicArray& array_;
  std::int64_t fold_cycles_;
  std::int64_t hidden_words_ = 0;
};

std::int64_t sum(const std::vector<std::int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

std::int64_t largest(const std::vector<std::int64_t>& values) {
  return *std::max_element(values.begin(), values.end());
}

/// Stall cycles of the folds of column c when groups follow one another without end: during a fold the
/// channel loads for the next one and stores for the previous one.
std::int64_t column_stalls(const Schedule& s, const Channel& channel, std::size_t c) {
  const std::size_t rows = s.row_folds();
  const std::size_t columns = s.column_folds();
  const std::size_t next = c + 1 < columns ? c + 1 : 0;
  const std::size_t previous = c > 0 ? c - 1 : columns - 1;
  std::int64_t total = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    const std::int64_t load = r + 1 < rows ? s.load(r + 1, c) : s.load(0, next);
    const std::int64_t store = r > 0 ? s.stored(r - 1, c) : s.stored(rows - 1, previous);
    total += channel.stall(load + s.spilled(r, c) + store);
  }
  return total;
}

/// The same for all columns. Columns that move the same amounts are visited once.
std::int64_t endless_stalls(const Schedule& s, const Channel& channel) {
  const std::int64_t most = largest(s.own_load) + largest(s.shared_load) * largest(s.column_load) +
                            (largest(s.store) + 2 * s.spill) * largest(s.column_store);
  if (most <= channel.surely_hidden()) return 0;

  struct Seen {
    std::int64_t load, next_load, store, previous_store;
    bool own, next_own;
    bool operator==(const Seen&) const = default;
  };
  std::vector<std::pair<Seen, std::int64_t>> seen;
  std::int64_t total = 0;
  const std::size_t columns = s.column_folds();
  for (std::size_t c = 0; c < columns; ++c) {
    const std::size_t next = c + 1 < columns ? c + 1 : 0;
    const std::size_t previous = c > 0 ? c - 1 : columns - 1;
    const Seen key{s.column_load[c],         s.column_load[next],    s.column_store[c],
                   s.column_store[previous], !s.own_stays || c == 0, !s.own_stays || next == 0};
    auto known =
        std::find_if(seen.begin(), seen.end(), [&](const auto& entry) { return entry.first == key; });
    if (known == seen.end()) known = seen.insert(seen.end(), {key, column_stalls(s, channel, c)});
    total += known->second;
  }
  return total;
}

/// Stall cycles of `groups` groups in a row, without fill and drain.
std::int64_t fold_stalls(const Schedule& s, const Channel& channel, std::int64_t groups) {
  const std::size_t r = s.row_folds() - 1;
  const std::size_t c = s.column_folds() - 1;
  const std::int64_t group_load = s.load(0, 0);
  const std::int64_t group_store = s.stored(r, c);
  std::int64_t total = groups * endless_stalls(s, channel);
  // The very first fold has nothing to store, the very last nothing to load for.
  if (r == 0 && c == 0) {
    const std::int64_t usual = channel.stall(group_load + group_store);
    if (groups == 1) return total - usual;
    return total - 2 * usual + channel.stall(group_load) + channel.stall(group_store);
  }
  const std::int64_t second_load = r > 0 ? s.load(1, 0) : s.load(0, 1);
  const std::int64_t first = second_load + s.spilled(0, 0);
  const std::int64_t last = s.spilled(r, c) + (r > 0 ? s.stored(r - 1, c) : s.stored(0, c - 1));
  total += channel.stall(first) - channel.stall(first + group_store);
  total += channel.stall(last) - channel.stall(last + group_load);
  return total;
}

/// Words that half a scratchpad holds.
std::int64_t half_words(std::int64_t sram_bytes, std::int64_t word_bits) {
  return sram_bytes * 4 / word_bits;
}

/// Words per channel that each range of output pixels touches.
std::vector<std::int64_t> band_words(const InputTensor& input, const Axis& pixels) {
  std::vector<std::int64_t> words;
  for (std::int64_t f = 0; f < pixels.folds(); ++f)
    words.push_back(input.band_words(pixels.begin(f), pixels.end(f)));
  return words;
}

/// `depth` is null if every fold reads all channels.
Residency input_residency(const InputTensor& input, const std::vector<std::int64_t>& bands, const Axis* depth,
                          std::int64_t half) {
  if (input.words() <= half) return Residency::tensor;
  const std::int64_t band = largest(bands);
  if (band * input.channels() <= half) return Residency::band;
  if (depth == nullptr) return Residency::none;
  std::int64_t channels = 0;
  for (std::int64_t f = 0; f < depth->folds(); ++f)
    channels = std::max(channels, input.channels_in(depth->begin(f), depth->end(f)));
  return band * channels <= half ? Residency::tile : Residency::none;
}

/// Words per channel that each range of output pixels fetches, given those it touches.
std::vector<std::int64_t> band_loads(const InputTensor& input, const Axis& pixels, Residency residency,
                                     const std::vector<std::int64_t>& bands) {
  if (residency == Residency::tile || residency == Residency::none) return bands;
  std::vector<std::int64_t> loads = bands;
  std::int64_t before = bands.front();  // words of what stays, up to the end of the previous range
  for (std::int64_t f = 1; f < pixels.folds(); ++f) {
    const auto i = static_cast<std::size_t>(f);
    const bool all_stays = residency == Residency::tensor;
    const std::int64_t together = input.band_words(all_stays ? 0 : pixels.begin(f - 1), pixels.end(f));
    loads[i] = together - before;
    before = all_stays ? together : bands[i];
  }
  return loads;
}

/// Channels that each range of the k axis fetches.
std::vector<std::int64_t> channel_loads(const InputTensor& input, const Axis& depth, Residency residency) {
  std::vector<std::int64_t> loads;
  for (std::int64_t f = 0; f < depth.folds(); ++f)
    loads.push_back(residency == Residency::none ? input.channels_in(depth.begin(f), depth.end(f))
                                                 : input.added_channels(depth.begin(f), depth.end(f)));
  return loads;
}

std::vector<std::int64_t> lengths(const Axis& axis, std::int64_t factor = 1) {
  std::vector<std::int64_t> result;
  for (std::int64_t f = 0; f < axis.folds(); ++f) result.push_back(factor * axis.length(f));
  return result;
}

/// Weight and input stationary: sums over k are completed in the output scratchpad, or in DRAM.
void accumulate_over_rows(Schedule& s, const Axis& columns, std::int64_t streamed, std::int64_t output_half) {
  s.store.assign(s.row_folds(), 0);
  s.store.back() = streamed;
  s.column_store = lengths(columns);
  if (streamed * columns.longest() > output_half) s.spill = streamed;
}

bool is_positive(const SystolicWorkload& w) {
  for (const std::int64_t extent :
       {w.groups, w.batch, w.channels, w.input_h, w.input_w, w.filters, w.kernel_h, w.kernel_w, w.stride_h,
        w.stride_w, w.dilation_h, w.dilation_w, w.output_h, w.output_w, w.padding_h + 1, w.padding_w + 1}) {
    if (extent < 1) return false;
  }
  return true;
}

std::optional<std::string> why_outside(std::string_view what, std::int64_t value, std::int64_t most) {
  if (value >= 1 && value <= most) return std::nullopt;
  return fmt::format("a systolic array needs {} between 1 and {}, not {}", what, most, value);
}

std::optional<std::string> why_too_small(std::string_view what, std::int64_t bytes, std::int64_t word_bits,
                                         std::int64_t edge, std::string_view unit) {
  const std::int64_t needed = ceil_div(edge * word_bits, 4);
  if (bytes >= needed) return std::nullopt;
  return fmt::format(
      "the {} SRAM of {} bytes is {} bytes too small: half of it must hold one {}-bit word for each of the "
      "{} {}",
      what, bytes, needed - bytes, word_bits, edge, unit);
}

}  // namespace

SystolicWorkload matrix_product(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t count) {
  SystolicWorkload workload;
  workload.groups = count;
  workload.batch = m;
  workload.channels = k;
  workload.filters = n;
  return workload;
}

BufferTraffic& BufferTraffic::operator+=(const BufferTraffic& other) {
  from_dram += other.from_dram;
  to_array += other.to_array;
  from_array += other.from_array;
  to_dram += other.to_dram;
  return *this;
}

std::optional<std::string> why_invalid(const SystolicArray& a) {
  constexpr std::int64_t most_bytes = std::int64_t{1} << 40;
  if (auto why = why_outside("rows", a.rows, 65536)) return why;
  if (auto why = why_outside("columns", a.columns, 65536)) return why;
  if (auto why = why_outside("word bits", a.word_bits, 64)) return why;
  if (auto why = why_outside("input SRAM bytes", a.input_sram_bytes, most_bytes)) return why;
  if (auto why = why_outside("weight SRAM bytes", a.weight_sram_bytes, most_bytes)) return why;
  if (auto why = why_outside("output SRAM bytes", a.output_sram_bytes, most_bytes)) return why;
  if (!(std::isfinite(a.clock_hz) && a.clock_hz > 0))
    return fmt::format("a systolic array needs a clock above 0 Hz, not {} Hz", a.clock_hz);
  if (!(std::isfinite(a.dram_bandwidth_bytes_per_s) && a.dram_bandwidth_bytes_per_s > 0 &&
        a.dram_bandwidth_bytes_per_s / a.clock_hz >= 1e-6)) {
    return fmt::format(
        "a systolic array needs a DRAM bandwidth of at least one byte per million cycles, not {} B/s "
        "at {} Hz",
        a.dram_bandwidth_bytes_per_s, a.clock_hz);
  }
  const bool input_stationary = a.dataflow == Dataflow::input_stationary;
  if (auto why =
          why_too_small("input", a.input_sram_bytes, a.word_bits, input_stationary ? a.columns : a.rows,
                        input_stationary ? "columns" : "rows")) {
    return why;
  }
  if (auto why =
          why_too_small("weight", a.weight_sram_bytes, a.word_bits, input_stationary ? a.rows : a.columns,
                        input_stationary ? "rows" : "columns")) {
    return why;
  }
  return why_too_small("output", a.output_sram_bytes, a.word_bits, a.columns, "columns");
}

std::int64_t transfer_cycles(std::int64_t words, const SystolicArray& array) {
  const double bits_per_cycle = 8.0 * array.dram_bandwidth_bytes_per_s / array.clock_hz;
  return static_cast<std::int64_t>(std::ceil(static_cast<double>(words * array.word_bits) / bits_per_cycle));
}

SystolicCost cost(const SystolicWorkload& w, const SystolicArray& a) {
  assert(!why_invalid(a));
  assert(is_positive(w));
  const std::int64_t m = w.m(), n = w.n(), k = w.k();
  const bool weight_stationary = a.dataflow == Dataflow::weight_stationary;
  const bool output_stationary = a.dataflow == Dataflow::output_stationary;
  // The axes of the array, and the length of the third dimension, which streams through it.
  const Axis rows{output_stationary ? m : k, a.rows};
  const Axis columns{a.dataflow == Dataflow::input_stationary ? m : n, a.columns};
  const std::int64_t streamed = output_stationary ? k : weight_stationary ? m : n;
  const std::int64_t folds = rows.folds() * columns.folds();

  const InputTensor input(w);
  const std::int64_t input_half = half_words(a.input_sram_bytes, a.word_bits);
  const std::int64_t weight_half = half_words(a.weight_sram_bytes, a.word_bits);
  const std::int64_t output_half = half_words(a.output_sram_bytes, a.word_bits);

  SystolicCost result;
  result.macs = w.macs();
  result.folds = w.groups * folds;

  Schedule s;
  std::int64_t busy_fold_cycles = 0;  // of one processing element, by SCALE-Sim's count
  if (output_stationary) {
    s.fold_cycles = streamed + a.rows + a.columns - 2;
    busy_fold_cycles = s.fold_cycles;

    const std::vector<std::int64_t> bands = band_words(input, rows);
    const Residency residency = input_residency(input, bands, nullptr, input_half);
    s.own_load = band_loads(input, rows, residency, bands);
    for (std::int64_t& words : s.own_load) words *= w.channels;
    s.own_stays = residency == Residency::tensor;
    const bool weights_stay = k * columns.longest() <= weight_half;
    s.shared_load.assign(s.row_folds(), weights_stay ? 0 : k);
    s.shared_load.front() = k;
    s.column_load = lengths(columns);
    s.store = lengths(rows);
    s.column_store = lengths(columns);

    result.input.to_array = w.groups * m * k * columns.folds();
    result.weight.to_array = w.groups * k * n * rows.folds();
    result.output.from_array = w.groups * m * n;
  } else {
    s.fold_cycles = streamed + 2 * a.rows + a.columns - 2;
    busy_fold_cycles = s.fold_cycles + a.columns - 1;

    if (weight_stationary) {
      const Residency residency = input_residency(input, {input.plane_words()}, &rows, input_half);
      s.own_load = channel_loads(input, rows, residency);
      for (std::int64_t& words : s.own_load) words *= input.plane_words();
      s.own_stays = residency == Residency::tensor;
      s.shared_load = lengths(rows);
      s.column_load = lengths(columns);

      result.input.to_array = w.groups * m * k * columns.folds();
      result.weight.to_array = w.groups * k * n;
    } else {
      const std::vector<std::int64_t> bands = band_words(input, columns);
      const Residency residency = input_residency(input, bands, &rows, input_half);
      s.own_load = lengths(rows, n);
      s.own_stays = k * n <= weight_half;
      s.shared_load = channel_loads(input, rows, residency);
      s.column_load = band_loads(input, columns, residency, bands);

      result.input.to_array = w.groups * m * k;
      result.weight.to_array = w.groups * k * n * columns.folds();
    }
    accumulate_over_rows(s, columns, streamed, output_half);
    result.output.from_array = w.groups * m * n * rows.folds();
    result.output.to_array = w.groups * m * n * (rows.folds() - 1);
  }

  const std::int64_t own = w.groups * sum(s.own_load) * (s.own_stays ? 1 : columns.folds());
  const std::int64_t shared = w.groups * sum(s.shared_load) * sum(s.column_load);
  const bool input_is_own = a.dataflow != Dataflow::input_stationary;
  result.input.from_dram = input_is_own ? own : shared;
  result.weight.from_dram = input_is_own ? shared : own;
  const std::int64_t spilled = s.spill == 0 ? 0 : w.groups * m * n * (rows.folds() - 1);
  result.output.from_dram = spilled;
  result.output.to_dram = w.groups * m * n + spilled;

  const Channel channel(a, s.fold_cycles);
  result.fill_cycles = transfer_cycles(s.load(0, 0), a);
  result.drain_cycles = transfer_cycles(s.stored(s.row_folds() - 1, s.column_folds() - 1), a);
  result.stall_cycles = result.fill_cycles + fold_stalls(s, channel, w.groups) + result.drain_cycles;
  // SCALE-Sim reports the number of the last cycle, counted from zero.
  result.compute_cycles = w.groups * folds * s.fold_cycles - 1;

  const double elements = static_cast<double>(a.rows) * static_cast<double>(a.columns);
  result.mapping_efficiency = static_cast<double>(rows.extent) * static_cast<double>(columns.extent) /
                              (static_cast<double>(folds) * elements);
  result.compute_utilisation =
      result.mapping_efficiency * static_cast<double>(streamed) / static_cast<double>(busy_fold_cycles);
  result.utilisation = static_cast<double>(result.macs) / (elements * static_cast<double>(result.cycles()));
  return result;
}

}  // namespace duet
