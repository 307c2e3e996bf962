#pragma once
/// How a network is to be trained, as a part of the design: searched together with the network (Dai et al., "FBNetV3: joint
/// architecture-recipe search using predictor pretraining", CVPR 2021).

#include <cstdint>
#include <optional>

#include "core/fingerprint.hpp"

namespace duet {

/// What the design decides; the rest is the trainer's own (docs/estimators/trained.md has the meanings).
struct TrainingRecipe {
  std::optional<std::int64_t> epochs, batch_size;
  std::optional<double> learning_rate, momentum, weight_decay, label_smoothing;
  std::optional<bool> flip;
  bool operator==(const TrainingRecipe&) const = default;
};

/// Equal for equal recipes.
Fingerprint fingerprint(const TrainingRecipe& recipe);

}  // namespace duet
