#pragma once
/// Random forest regression over mixed inputs.

#include <cstdint>
#include <span>
#include <vector>

#include "core/learn/columns.hpp"
#include "core/random.hpp"

namespace duet::learn {

struct ForestSettings {
  std::size_t trees = 10;
  std::size_t min_leaf = 2;    ///< rows on each side of a split, at least
  double share = 5.0 / 6;      ///< of the columns considered at a split
  bool bootstrap = true;       ///< every tree sees as many rows drawn with replacement
};

/// Breiman, "Random forests", Machine Learning 45, 2001, with the uncertainty of Hutter et al., "Algorithm runtime
/// prediction", Artificial Intelligence 206, 2014, §11.3.3: by the law of total variance, the variance of the trees'
/// means plus the mean of their leaves' variances. Numbers split at a threshold drawn between two neighbouring values;
/// categories by their mean target into the lower and the upper ones, which for squares finds the best of all subsets
/// (Breiman et al. 1984, §4.2); an absent cell is a category of its own, or stands before all numbers. A regular value.
class Forest {
 public:
  Forest() = default;
  Forest(std::vector<Column> columns, Rows rows, std::span<const double> targets, const ForestSettings& settings,
         Random random);

  struct Prediction {
    double mean = 0, variance = 0;
  };
  Prediction predict(std::span<const double> row) const;

 private:
  struct Node {
    std::int32_t column = -1;   // -1: a leaf
    std::uint32_t left = 0;     // the right child stands behind it
    double threshold = 0;       // numbers: below it to the left
    std::uint64_t to_left = 0;  // categories: a bit for each
    double mean = 0, variance = 0;
  };
  class Builder;
  static bool goes_left(const Node& node, double cell, const Column& column);

  std::vector<Column> columns_;
  std::vector<std::vector<Node>> trees_;
  Scale scale_;
};

}  // namespace duet::learn
