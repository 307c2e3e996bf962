#include "hw_models/mapspace.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace duet {
namespace {

/// What the factors along one side of a fan-out may be, by dimension.
std::vector<std::vector<std::int64_t>> side_choices(
    const Einsum& einsum, const std::map<std::string, std::int64_t>& factors,
    const std::optional<std::vector<std::string>>& dimensions) {
  std::vector<std::vector<std::int64_t>> choices;
  for (const Dimension& dimension : einsum.dimensions) {
    std::vector<std::int64_t> allowed = divisors(dimension.size);
    if (dimensions && std::find(dimensions->begin(), dimensions->end(), dimension.name) == dimensions->end())
      allowed = {1};
    const auto fixed = factors.find(dimension.name);
    if (fixed != factors.end() && fixed->second != 0 && dimension.size >= fixed->second) {
      std::erase_if(allowed, [&](std::int64_t factor) { return factor != fixed->second; });
    }
    choices.push_back(std::move(allowed));
  }
  return choices;
}

/// Writes `spread.factors` as a product of factors along x and y that both sides allow and have room for, if
/// it can be done.
bool split(const std::vector<std::vector<std::int64_t>>& xs, const std::vector<std::vector<std::int64_t>>& ys,
           std::size_t d, std::int64_t room_x, std::int64_t room_y, Spread& spread) {
  if (d == xs.size()) return true;
  for (const std::int64_t x : xs[d]) {
    if (x > room_x || x > spread.factors[d]) break;
    const std::int64_t y = spread.factors[d] / x;
    if (spread.factors[d] % x != 0 || y > room_y || !std::binary_search(ys[d].begin(), ys[d].end(), y))
      continue;
    spread.x[d] = x;
    spread.y[d] = y;
    if (split(xs, ys, d + 1, room_x / x, room_y / y, spread)) return true;
  }
  return false;
}

}  // namespace

std::vector<std::int64_t> divisors(std::int64_t n) {
  std::vector<std::int64_t> low, high;
  for (std::int64_t f = 1; f * f <= n; ++f) {
    if (n % f != 0) continue;
    low.push_back(f);
    if (f * f != n) high.push_back(n / f);
  }
  low.insert(low.end(), high.rbegin(), high.rend());
  return low;
}

Mapspace::Mapspace(const Einsum& einsum, const Architecture& architecture)
    : einsum_(einsum), architecture_(architecture) {
  const std::size_t count = einsum.dimensions.size();
  for (std::size_t l = 0; l < architecture.levels.size(); ++l) {
    const StorageLevel& level = architecture.levels[l];
    LevelRules rules;
    rules.capacity_bits = std::numeric_limits<double>::infinity();
    if (level.capacity_bits) {
      rules.capacity_bits = std::floor(static_cast<double>(*level.capacity_bits) / level.multiple_buffering);
      rules.min_capacity_bits = rules.capacity_bits * level.constraints.min_capacity_utilization;
    }
    for (std::size_t t = 0; t < tensor_count; ++t) {
      rules.may_keep[t] = level.policy[t] != StorageLevel::Policy::bypass;
      rules.may_bypass[t] = level.policy[t] != StorageLevel::Policy::keep && l > 0;
    }
    const LevelConstraints& wanted = level.constraints;
    for (std::size_t d = 0; d < count; ++d) {
      const std::string& name = einsum.dimensions[d].name;
      const auto found = wanted.temporal_factors.find(name);
      // A factor larger than the dimension is satisfied by whatever is smaller.
      if (found != wanted.temporal_factors.end() && found->second <= einsum.size(d))
        rules.fixed[d] = found->second;
      for (const auto* factors : {&wanted.temporal_factors, &wanted.x_factors, &wanted.y_factors}) {
        const auto entry = factors->find(name);
        if (entry != factors->end() && entry->second == 0) rules.rest[d] = true;
      }
    }
    for (const std::string& name : wanted.order) {
      if (const auto d = einsum.find_dimension(name)) rules.order.push_back(*d);
    }
    rules_.push_back(std::move(rules));

    const auto xs = side_choices(einsum, wanted.x_factors, wanted.x_dimensions);
    const auto ys = side_choices(einsum, wanted.y_factors, wanted.y_dimensions);
    const std::int64_t width = architecture.fanout_x(l), height = architecture.fanout_y(l);
    const double least =
        static_cast<double>(width) * static_cast<double>(height) * wanted.min_fanout_utilization;
    std::vector<Spread> spreads;
    Spread spread;
    spread.factors.fill(1);
    const auto choose = [&](const auto& self, std::size_t d, std::int64_t children) -> void {
      if (d == count) {
        spread.children = children;
        spread.x.fill(1);
        spread.y.fill(1);
        if (static_cast<double>(children) >= least && split(xs, ys, 0, width, height, spread))
          spreads.push_back(spread);
        return;
      }
      for (const std::int64_t factor : divisors(einsum.size(d))) {
        if (factor > width * height / children) break;
        spread.factors[d] = factor;
        self(self, d + 1, children * factor);
      }
      spread.factors[d] = 1;
    };
    choose(choose, 0, 1);
    std::stable_sort(spreads.begin(), spreads.end(),
                     [](const Spread& a, const Spread& b) { return a.children > b.children; });
    spreads_.push_back(std::move(spreads));
  }
}

double Mapspace::cardinality() const {
  double count = 1;
  for (std::size_t d = 0; d < dimensions(); ++d) {
    std::size_t slots = levels();
    for (std::size_t l = 0; l < levels(); ++l) {
      slots += (architecture_.fanout_x(l) > 1 ? 1U : 0U) + (architecture_.fanout_y(l) > 1 ? 1U : 0U);
    }
    std::int64_t left = einsum_.size(d);
    for (std::int64_t p = 2; left > 1; ++p) {
      if (p * p > left) p = left;
      double exponent = 0;
      for (; left % p == 0; left /= p) ++exponent;
      // exponent equal balls into the slots
      for (double i = 1; i <= exponent; ++i) count *= (static_cast<double>(slots) - 1 + i) / i;
    }
  }
  for (std::size_t l = 0; l < levels(); ++l) {
    for (std::size_t d = 2; d <= dimensions(); ++d) count *= static_cast<double>(d);
    for (std::size_t t = 0; t < tensor_count; ++t)
      count *= rules_[l].may_keep[t] && rules_[l].may_bypass[t] ? 2 : 1;
  }
  return std::round(count);
}

bool Mapspace::for_each(const std::function<bool(const Mapping&)>& visit) const {
  Mapping mapping;
  mapping.level_count = levels();
  FactorVector left;
  left.fill(1);
  for (std::size_t d = 0; d < dimensions(); ++d) left[d] = einsum_.size(d);

  // Keep masks, innermost decision last.
  const auto keeps = [&](const auto& self, std::size_t l) -> bool {
    if (l == levels()) return visit(mapping);
    for (unsigned mask = 0; mask < 1U << tensor_count; ++mask) {
      bool allowed = true;
      for (std::size_t t = 0; t < tensor_count; ++t) {
        const bool keep = ((mask >> t) & 1U) != 0;
        allowed = allowed && (keep ? rules_[l].may_keep[t] : rules_[l].may_bypass[t]);
        mapping.levels[l].keep[t] = keep;
      }
      if (allowed && !self(self, l + 1)) return false;
    }
    return true;
  };
  // Orders of the loops of every level; loops of one iteration stand outside.
  const auto orders = [&](const auto& self, std::size_t l) -> bool {
    if (l == levels()) return keeps(keeps, 0);
    LevelMapping& level = mapping.levels[l];
    std::vector<std::uint8_t> real, idle, inner;
    for (const std::size_t d : rules_[l].order) {
      if (level.temporal[d] > 1) inner.push_back(static_cast<std::uint8_t>(d));
    }
    for (std::size_t d = 0; d < dimensions(); ++d) {
      const auto name = static_cast<std::uint8_t>(d);
      if (level.temporal[d] == 1) idle.push_back(name);
      if (level.temporal[d] > 1 && std::find(inner.begin(), inner.end(), name) == inner.end())
        real.push_back(name);
    }
    do {
      auto end = std::copy(idle.begin(), idle.end(), level.order.begin());
      end = std::copy(real.begin(), real.end(), end);
      std::copy(inner.begin(), inner.end(), end);
      if (!self(self, l + 1)) return false;
    } while (std::next_permutation(real.begin(), real.end()));
    return true;
  };
  const auto factors = [&](const auto& self, std::size_t l, std::size_t d) -> bool {
    if (l == levels()) return orders(orders, 0);
    if (d == dimensions()) return self(self, l + 1, 0);
    std::int64_t& factor = mapping.levels[l].temporal[d];
    const std::int64_t room = left[d];
    for (const std::int64_t f : divisors(room)) {
      if (rules_[l].fixed[d] != 0 && f != rules_[l].fixed[d]) continue;
      if (l + 1 == levels() && f != room) continue;
      // All that is left must be here: nothing of it further out.
      if (rules_[l].rest[d]) {
        bool outside = false;
        for (std::size_t o = 0; o < l; ++o) {
          outside =
              outside || mapping.levels[o].temporal[d] * mapping.levels[o].x[d] * mapping.levels[o].y[d] > 1;
        }
        if (outside) continue;
      }
      factor = f;
      left[d] = room / f;
      const bool go_on = self(self, l, d + 1);
      left[d] = room;
      factor = 1;
      if (!go_on) return false;
    }
    return true;
  };
  const auto spreading = [&](const auto& self, std::size_t l) -> bool {
    if (l == levels()) return factors(factors, 0, 0);
    for (const Spread& spread : spreads_[l]) {
      bool divides = true;
      for (std::size_t d = 0; d < dimensions(); ++d) divides = divides && left[d] % spread.factors[d] == 0;
      if (!divides) continue;
      for (std::size_t d = 0; d < dimensions(); ++d) left[d] /= spread.factors[d];
      mapping.levels[l].x = spread.x;
      mapping.levels[l].y = spread.y;
      const bool go_on = self(self, l + 1);
      for (std::size_t d = 0; d < dimensions(); ++d) left[d] *= spread.factors[d];
      if (!go_on) return false;
    }
    return true;
  };
  return spreading(spreading, 0);
}

}  // namespace duet
