#pragma once
/// The estimator `trained` and what `duet finalize` needs of it.

#include <cstdint>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "core/options.hpp"
#include "estimators/estimator.hpp"
#include "estimators/trainer.hpp"

namespace duet {

/// The option table of `trained`.
std::span<const Option> trained_options();

/// The accuracy of a design that a search has chosen, on images that the search has never seen.
struct FinalAccuracy {
  Status status = Status::ok;
  std::string reason;              ///< one sentence, empty if ok
  double test_accuracy = 0;        ///< on all images of the data set's test part
  double validation_accuracy = 0;  ///< on the images that the search validated with
  std::int64_t train_images = 0;
  std::int64_t validation_images = 0;
  std::int64_t test_images = 0;
  std::int64_t epochs = 0;
  std::int64_t word_bits = 0;        ///< that both accuracies hold for
  double training_time_s = 0;        ///< measured
  Network network;                   ///< as trained: what does not reach the output is left out, formats too
  NetworkWeights weights;            ///< of `network`, before normalisations are folded and words quantised
  PixelScale pixel_scale;            ///< what its input is
};

/// Trains the design's network anew for `epochs` epochs on `train_images` images, 0 for all that the data
/// set's training part has besides the validation images, otherwise with the options that the search had.
/// `replicate` numbers the random streams: the one of the same number within a search is the same start on
/// other images. A design that cannot be trained, a time-out and a stop are a status with a reason. \throws
/// ConfigError if the data set or the trainer is missing or too few images remain.
FinalAccuracy finalize(const Options& options, const Environment& environment, const Design& design,
                       std::uint64_t replicate, std::int64_t epochs, std::int64_t train_images,
                       std::stop_token stop = {});

}  // namespace duet
