#pragma once
/// What is known of any design at no cost, for models to learn from before, and beside, what trials tell.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/learn/columns.hpp"
#include "core/options.hpp"
#include "search/strategy.hpp"

namespace duet {

/// The derived quantities of a space (multiply-accumulates, parameters, processing elements, …), each as its position
/// among those of designs drawn at random: the share of them in which it is smaller. So neither unit nor scale matters.
/// After Dai et al., "FBNetV3: joint architecture-recipe search using predictor pretraining", CVPR 2021, section 3.2.2.
class FreeStatistics {
 public:
  /// None.
  FreeStatistics() = default;
  /// Draws up to `designs` candidates; 0 gives no statistics. Left out are quantities that are the same in all of them, or
  /// that order them as an earlier one does.
  FreeStatistics(const Problem& problem, std::size_t designs);

  std::size_t size() const { return statistics_.size(); }
  /// One column each, for core/learn.
  std::vector<learn::Column> columns() const;
  /// Appends the positions of a candidate: within [0, 1], beyond for what exceeds all that was drawn; NaN if absent.
  void append(const Candidate& candidate, std::vector<double>& row) const;

  /// What was drawn.
  const std::vector<Candidate>& designs() const { return designs_; }
  /// The statistics of designs(), row by row, with mean 0 and deviation 1, about; 0 where absent.
  learn::Rows standardised() const { return {standardised_, size()}; }

 private:
  struct Statistic {
    std::size_t derived = 0;                // of the space
    bool optional = false;                  // whether it was absent from a design drawn
    std::vector<double> values, positions;  // ascending
    double position(double value) const;
  };

  const Space* space_ = nullptr;
  std::vector<Statistic> statistics_;
  std::vector<Candidate> designs_;
  std::vector<double> standardised_;
};

/// The option of all strategies that can learn from them.
Option pretrain_option(std::string_view fallback);

}  // namespace duet
