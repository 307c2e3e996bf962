#pragma once
/// The seam between duet and the library that trains networks. Nothing here needs that library's headers; the
/// implementation is a shared module (torch_trainer.cpp) that is opened when a network is first trained,
/// because loading libtorch takes hundreds of milliseconds, which `duet list` should not cost.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "core/evaluation.hpp"
#include "estimators/idx.hpp"
#include "spaces/network.hpp"
#include "spaces/weights.hpp"

namespace duet {

/// How a network is trained: cross-entropy, stochastic gradient descent with Nesterov momentum (Sutskever et
/// al., "On the importance of initialization and momentum in deep learning", ICML 2013, in the form of its
/// deep-learning libraries), and a learning rate that falls from `learning_rate` to 0 along half a cosine
/// over all steps (Loshchilov and Hutter, "SGDR", ICLR 2017, eq. 5, one period).
struct Recipe {
  std::int64_t epochs = 2;
  std::int64_t batch_size = 64;  ///< an incomplete last batch is left out, unless it is the only one
  double learning_rate = 0.1;    ///< at the first step
  double momentum = 0.9;         ///< in [0, 1)
  double weight_decay = 5e-4;    ///< of the weights of convolutions and linear layers; nothing else decays
  double label_smoothing = 0;    ///< in [0, 1)
  bool flip = false;             ///< whether images are mirrored left to right with probability 1/2
  double time_limit_s = 1e9;     ///< of wall-clock time
};

/// What a pixel becomes before the network sees it: (pixel − mean) / deviation, over all training images.
struct PixelScale {
  double mean = 0;
  double deviation = 1;

  bool operator==(const PixelScale&) const = default;
};

/// Words of at least this many bits hold what a float's 24-bit significand holds: nothing is quantised.
inline constexpr std::int64_t full_precision_bits = 25;

/// A trained network. Immutable: all functions may be called from several threads at once.
class TrainedModel {
 public:
  virtual ~TrainedModel() = default;

  /// The fraction of images that are classified correctly when every word of the machine has `word_bits` >= 2
  /// bits; see docs/estimators/trained.md. Batch normalisations are folded into the convolutions before them.
  /// `formats`, by node of the network or empty: layers with widths and sparsity of their own.
  /// \throws std::runtime_error if libtorch fails.
  virtual double accuracy(const ImageSet& images, std::int64_t word_bits,
                          std::span<const NumberFormat> formats = {}) const = 0;

  /// The network's scores (images, classes) as floats: nothing is quantised.
  /// \throws std::runtime_error if libtorch fails.
  virtual FloatTensor scores(const ImageSet& images) const = 0;

  /// As trained: batch normalisations by themselves, nothing quantised or pruned.
  virtual NetworkWeights weights() const = 0;

  virtual PixelScale pixel_scale() const = 0;
};

/// How a training ended.
struct Training {
  Status status = Status::failed;
  std::string reason;                         ///< one sentence, empty if ok
  std::shared_ptr<const TrainedModel> model;  ///< if ok
  double duration_s = 0;                      ///< wall-clock time (measured)
};

/// Trains networks. Thread-safe. The result is a function of the arguments alone, to the bit, on one machine
/// with one version of libtorch: each training runs on the calling thread only.
class Trainer {
 public:
  virtual ~Trainer() = default;

  /// Trains a network for which why_untrainable() has no objection, on all of `images`. Initial weights (He
  /// et al., "Delving deep into rectifiers", ICCV 2015, eq. 10: normal, variance 2 / fan-in) and the order of
  /// the images are drawn from streams of `seed`, named after the network's fingerprint, numbered by
  /// `replicate` < 2^32. A stop request is obeyed between batches; so is the recipe's time limit. Throws
  /// nothing.
  virtual Training train(const Network& network, const Recipe& recipe, const ImageSet& images,
                         std::uint64_t seed, std::uint64_t replicate, std::stop_token stop) const = 0;

  /// Library and version, processor features, BLAS: for provenance.
  virtual std::string description() const = 0;
};

/// The file that load_trainer() opens: the first "libduet_torch.so" in the directories of the environment
/// variable DUET_MODULE_PATH (separated by ':'), the directory of the running program, ../lib/duet beside it,
/// and the directories that duet was built and installed in. \throws ConfigError if there is none, which says
/// what to do.
std::filesystem::path find_trainer_module();

/// The process's trainer, loaded on the first call; lives until the process ends. Thread-safe.
/// \throws ConfigError if the module is missing, cannot be opened or belongs to another version of duet.
const Trainer& load_trainer();

/// Raised whenever anything in this header changes: the module refuses callers that were built with another
/// value.
inline constexpr int trainer_interface = 3;

}  // namespace duet

/// What the module exports: its trainer, or null if `interface` is not its own trainer_interface.
extern "C" using DuetTorchTrainer = const duet::Trainer * (int interface);
