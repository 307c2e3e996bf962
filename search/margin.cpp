#include "search/margin.hpp"

#include <algorithm>

#include "core/learn/normal.hpp"

namespace duet {

Marginal keep_margin(Marginal marginal, double deviation, std::optional<double> low, std::optional<double> high,
                     double share) {
  const double wide = deviation * marginal.factor;
  if (!low || !high) {
    const double most = wide * learn::normal_quantile(1 - share);
    if (low) marginal.mean = std::min(marginal.mean, *low + most);
    if (high) marginal.mean = std::max(marginal.mean, *high - most);
    return marginal;
  }
  const double half = share / 2;
  const double below = learn::normal_cdf((*low - marginal.mean) / wide);
  const double above = learn::normal_cdf((marginal.mean - *high) / wide);
  if (below >= half && above >= half) return marginal;
  const double raised_below = std::max(half, below), raised_above = std::max(half, above);
  // What was raised is taken from all three in proportion to what each has above its margin (eq. 25 to 28).
  const double middle = 1 - below - above;
  const double excess = (1 - raised_below - raised_above - middle) / (raised_below + raised_above + middle - 3 * half);
  const double a = learn::normal_quantile(1 - (raised_below + excess * (raised_below - half)));
  const double b = learn::normal_quantile(1 - (raised_above + excess * (raised_above - half)));
  if (!(a + b > 0)) return marginal;
  marginal.factor = (*high - *low) / (deviation * (a + b));
  marginal.mean = *low + (*high - *low) * a / (a + b);
  return marginal;
}

}  // namespace duet
