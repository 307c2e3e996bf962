#pragma once
/// Counter-based random numbers: a stream is a pure function of (seed, component, index), so any trial's numbers can
/// be had again without drawing those of the trials before it. The generator is Philox4x32-10 (Salmon et al.,
/// "Parallel random numbers: as easy as 1, 2, 3", SC 2011). The helpers give the same values on every platform.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace duet {

/// Ten rounds of Philox4x32 on one counter block.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

/// A stream of random numbers. A regular value: a copy continues from the same point.
class Random {
 public:
  /// The stream of `component` ("strategy", "network initialisation") number `index` (usually the trial number)
  /// under `seed`.
  Random(std::uint64_t seed, std::string_view component, std::uint64_t index = 0);

  /// 64 uniform bits.
  std::uint64_t bits();
  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform();
  /// Uniform in [low, high); `low` if they are equal.
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform in {0, …, n-1}, unbiased (Lemire 2019). Requires n > 0.
  std::uint64_t below(std::uint64_t n);
  /// Uniform in {low, …, high}. Requires low <= high.
  std::int64_t between(std::int64_t low, std::int64_t high);
  bool chance(double probability) { return uniform() < probability; }
  /// Standard normal (Box and Muller 1958, cosine branch only, so that no state outlives the call).
  double normal();
  /// Index drawn with probability proportional to its weight (≥ 0, not all zero).
  std::size_t weighted(std::span<const double> weights);

  template <class T>
  const T& pick(const std::vector<T>& items) {
    return items[static_cast<std::size_t>(below(items.size()))];
  }
  /// Fisher-Yates.
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[static_cast<std::size_t>(below(i))]);
  }

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> block_{};
  unsigned used_ = 4;  // words of block_ already given out
};

}  // namespace duet
