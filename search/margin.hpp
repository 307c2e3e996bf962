#pragma once
/// The margin of CMA-ES on integers: Hamano, Saito, Nomura and Shirakawa, "CMA-ES with margin: lower-bounding marginal
/// probability for mixed-integer black-box optimization", GECCO 2022, §4.2 and §4.3.

#include <optional>

namespace duet {

/// One coordinate of the normal distribution: its mean, and the factor (A) by which its deviation is widened.
struct Marginal {
  double mean = 0;
  double factor = 1;
};

/// The marginal moved and widened as little as needed so that samples still leave the present value, whose cell begins
/// at `low` and ends at `high` (nothing: there is no value beyond). With a value on one side only, its probability is at
/// least `share` afterwards; with values on both sides, that of each is at least `share` / 2. `deviation` is that without
/// the factor. Requires low <= mean <= high, 0 < share < 0.5, deviation > 0.
Marginal keep_margin(Marginal marginal, double deviation, std::optional<double> low, std::optional<double> high,
                     double share);

}  // namespace duet
