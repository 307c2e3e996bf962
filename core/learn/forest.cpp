#include "core/learn/forest.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <utility>

namespace duet::learn {
namespace {

constexpr double before_all = -1e300;  // an absent number

/// Which of 64 groups a category belongs to; the last is that of absent cells. More than 63 share groups.
unsigned group_of(double cell) { return std::isnan(cell) ? 63 : static_cast<unsigned>(cell) % 63; }

}  // namespace

bool Forest::goes_left(const Node& node, double cell, const Column& column) {
  if (column.categories > 0) return ((node.to_left >> group_of(cell)) & 1) != 0;
  return (std::isnan(cell) ? before_all : cell) < node.threshold;
}

/// Grows one tree.
class Forest::Builder {
 public:
  Builder(const std::vector<Column>& columns, Rows rows, std::span<const double> targets,
          const ForestSettings& settings, Random& random)
      : columns_(columns), rows_(rows), targets_(targets), settings_(settings), random_(random) {}

  std::vector<Node> grow() {
    std::vector<std::size_t> members(targets_.size());
    std::iota(members.begin(), members.end(), std::size_t{0});
    if (settings_.bootstrap) {
      for (std::size_t& member : members) member = random_.below(targets_.size());
    }
    nodes_.emplace_back();
    split(0, members);
    return std::move(nodes_);
  }

 private:
  struct Split {
    double gain = 0;
    Node node;
  };

  void split(std::size_t at, std::span<std::size_t> members) {
    double sum = 0, squares = 0;
    for (const std::size_t i : members) {
      sum += targets_[i];
      squares += targets_[i] * targets_[i];
    }
    const double n = static_cast<double>(members.size());
    nodes_[at].mean = sum / n;
    nodes_[at].variance = std::max(0.0, squares / n - sum / n * (sum / n));
    if (members.size() < 2 * settings_.min_leaf || nodes_[at].variance < 1e-14) return;

    std::vector<std::size_t> order(columns_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    random_.shuffle(order);
    const auto wanted = static_cast<std::size_t>(std::ceil(settings_.share * static_cast<double>(order.size())));
    Split best;
    for (std::size_t k = 0; k < order.size() && (k < wanted || best.gain <= 0); ++k) {
      if (columns_[order[k]].categories > 0) {
        try_categories(order[k], members, sum, best);
      } else {
        try_numbers(order[k], members, sum, best);
      }
    }
    if (best.gain <= 1e-12) return;
    best.node.mean = nodes_[at].mean;
    best.node.variance = nodes_[at].variance;
    best.node.left = static_cast<std::uint32_t>(nodes_.size());
    nodes_[at] = best.node;
    nodes_.emplace_back();
    nodes_.emplace_back();
    const auto column = static_cast<std::size_t>(best.node.column);
    const auto middle = std::stable_partition(members.begin(), members.end(), [&](std::size_t i) {
      return goes_left(best.node, rows_[i][column], columns_[column]);
    });
    const auto count = static_cast<std::size_t>(middle - members.begin());
    const std::size_t left = best.node.left;
    split(left, members.first(count));
    split(left + 1, members.subspan(count));
  }

  /// How much a split lowers the sum of squares.
  static double gain_of(double left_sum, double left_count, double sum, double count) {
    const double right_sum = sum - left_sum, right_count = count - left_count;
    return left_sum * left_sum / left_count + right_sum * right_sum / right_count - sum * sum / count;
  }

  void try_numbers(std::size_t column, std::span<const std::size_t> members, double sum, Split& best) {
    pairs_.clear();
    for (const std::size_t i : members) {
      const double cell = rows_[i][column];
      pairs_.emplace_back(std::isnan(cell) ? before_all : cell, targets_[i]);
    }
    std::sort(pairs_.begin(), pairs_.end());
    double left_sum = 0;
    for (std::size_t i = 0; i + settings_.min_leaf < pairs_.size(); ++i) {
      left_sum += pairs_[i].second;
      if (i + 1 < settings_.min_leaf || pairs_[i].first == pairs_[i + 1].first) continue;
      const double gain =
          gain_of(left_sum, static_cast<double>(i + 1), sum, static_cast<double>(pairs_.size()));
      if (gain <= best.gain) continue;
      best.gain = gain;
      best.node = Node();
      best.node.column = static_cast<std::int32_t>(column);
      const double low = pairs_[i].first, high = pairs_[i + 1].first;
      // Drawn where the neighbours leave room, so that trees differ there.
      const double drawn = low == before_all ? high : low + (high - low) * random_.uniform();
      best.node.threshold = drawn > low ? drawn : high;
    }
  }

  void try_categories(std::size_t column, std::span<const std::size_t> members, double sum, Split& best) {
    double sums[64] = {};
    std::size_t counts[64] = {};
    for (const std::size_t i : members) {
      const unsigned group = group_of(rows_[i][column]);
      sums[group] += targets_[i];
      ++counts[group];
    }
    std::vector<unsigned> present;
    for (unsigned group = 0; group < 64; ++group) {
      if (counts[group] > 0) present.push_back(group);
    }
    std::sort(present.begin(), present.end(), [&](unsigned a, unsigned b) {
      const double first = sums[a] / static_cast<double>(counts[a]), second = sums[b] / static_cast<double>(counts[b]);
      return first != second ? first < second : a < b;
    });
    double left_sum = 0;
    std::size_t left_count = 0;
    std::uint64_t to_left = 0;
    for (std::size_t k = 0; k + 1 < present.size(); ++k) {
      left_sum += sums[present[k]];
      left_count += counts[present[k]];
      to_left |= std::uint64_t{1} << present[k];
      if (left_count < settings_.min_leaf || members.size() - left_count < settings_.min_leaf) continue;
      const double gain =
          gain_of(left_sum, static_cast<double>(left_count), sum, static_cast<double>(members.size()));
      if (gain <= best.gain) continue;
      best.gain = gain;
      best.node = Node();
      best.node.column = static_cast<std::int32_t>(column);
      best.node.to_left = to_left;
    }
    // Categories that did not occur here go to a random side.
    if (best.node.column == static_cast<std::int32_t>(column)) {
      for (unsigned group = 0; group < 64; ++group) {
        if (counts[group] == 0 && random_.chance(0.5)) best.node.to_left |= std::uint64_t{1} << group;
      }
    }
  }

  const std::vector<Column>& columns_;
  Rows rows_;
  std::span<const double> targets_;
  const ForestSettings& settings_;
  Random& random_;
  std::vector<Node> nodes_;
  std::vector<std::pair<double, double>> pairs_;
};

Forest::Forest(std::vector<Column> columns, Rows rows, std::span<const double> targets, const ForestSettings& settings,
               Random random)
    : columns_(std::move(columns)), scale_(targets) {
  assert(rows.size() == targets.size() && !targets.empty());
  std::vector<double> standard;
  for (const double target : targets) standard.push_back(scale_.to_standard(target));
  for (std::size_t tree = 0; tree < settings.trees; ++tree) {
    trees_.push_back(Builder(columns_, rows, standard, settings, random).grow());
  }
}

Forest::Prediction Forest::predict(std::span<const double> row) const {
  double mean = 0, squares = 0, within = 0;
  for (const std::vector<Node>& tree : trees_) {
    std::size_t at = 0;
    while (tree[at].column >= 0) {
      const auto column = static_cast<std::size_t>(tree[at].column);
      at = tree[at].left + (goes_left(tree[at], row[column], columns_[column]) ? 0 : 1);
    }
    mean += tree[at].mean;
    squares += tree[at].mean * tree[at].mean;
    within += tree[at].variance;
  }
  const double n = static_cast<double>(trees_.size());
  mean /= n;
  const double deviation = std::sqrt(std::max(0.0, squares / n - mean * mean) + within / n);
  const double width = scale_.width(deviation);
  return {scale_.from_standard(mean), width * width};
}

}  // namespace duet::learn
