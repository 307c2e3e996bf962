#include "estimators/trained.hpp"

#include <algorithm>
#include <condition_variable>
#include <fmt/format.h>
#include <list>
#include <mutex>
#include <numeric>
#include <unordered_map>
#include <utility>
#include <variant>

#include "core/errors.hpp"
#include "core/random.hpp"
#include "estimators/builtin.hpp"
#include "estimators/idx.hpp"
#include "estimators/trainer.hpp"
#include "estimators/training_plan.hpp"

namespace duet {
namespace {

constexpr const char* fashion_mnist_directory = "/usr/share/datasets/fashion-mnist";
// A trained model takes about a megabyte beside its weights.
constexpr std::size_t max_models = 64;

const std::vector<Option> option_table{
    {"dataset", Option::Kind::text, "fashion_mnist",
     "fashion_mnist, or a directory with the four IDX files of an MNIST-like data set under MNIST's names."},
    {"train_images", Option::Kind::integer, "6000", "Number of images to train on.", "1", 1, 1e7},
    {"validation_images", Option::Kind::integer, "2000",
     "Number of other images of the training part on which accuracy is measured.", "1", 1, 1e7},
    {"epochs", Option::Kind::integer, "2", "How often each image is trained on.", "1", 1, 1e4},
    {"batch_size", Option::Kind::integer, "64", "Images per step of gradient descent.", "1", 1, 65536},
    {"learning_rate", Option::Kind::number, "0.1", "At the first step; falls to 0 along half a cosine.", "1",
     0, 100},
    {"momentum", Option::Kind::number, "0.9", "Nesterov momentum.", "1", 0, 0.9999},
    {"weight_decay", Option::Kind::number, "0.0005", "Of the weights of convolutions and linear layers.", "1",
     0, 1},
    {"label_smoothing", Option::Kind::number, "0", "Probability spread evenly over all classes.", "1", 0,
     0.9},
    {"flip", Option::Kind::boolean, "false",
     "Whether half of the images are mirrored left to right in training."},
    {"word_bits", Option::Kind::integer, "32",
     "Width of weights and activations when accuracy is measured; if not given, that of the design's "
     "accelerator. 25 "
     "and more: not quantised.",
     "1", 2, 64},
    {"replicates", Option::Kind::integer, "1",
     "Trainings from different initial weights; accuracy is their mean.", "1", 1, 1000},
    {"timeout", Option::Kind::quantity, "30min", "Longest time that one training may take.", "s", 0.001, 1e7},
};

Recipe read_recipe(const Options& options) {
  Recipe recipe;
  recipe.epochs = options.integer("epochs");
  recipe.batch_size = options.integer("batch_size");
  recipe.learning_rate = options.number("learning_rate");
  recipe.momentum = options.number("momentum");
  recipe.weight_decay = options.number("weight_decay");
  recipe.label_smoothing = options.number("label_smoothing");
  recipe.flip = options.boolean("flip");
  recipe.time_limit_s = options.number("timeout");
  return recipe;
}

// --- Data ----------------------------------------------------------------------------------------

struct Data {
  ImageSet train;
  ImageSet validation;
  std::int64_t classes = 0;
};

std::filesystem::path dataset_directory(const Options& options, const Environment& environment) {
  const std::string& dataset = options.text("dataset");
  if (dataset == "fashion_mnist") {
    if (!std::filesystem::is_directory(fashion_mnist_directory)) {
      options.fail("dataset",
                   fmt::format("{} does not exist; install the Debian package dataset-fashion-mnist",
                               fashion_mnist_directory));
    }
    return fashion_mnist_directory;
  }
  const std::filesystem::path directory = environment.directory / dataset;
  if (!std::filesystem::is_directory(directory)) {
    options.fail("dataset", fmt::format("{} is not a directory", directory.string()));
  }
  return directory;
}

/// Splits the data set's training part, in an order that is the same for all experiments: the first
/// `train_images` for training, the next for validation. Any more for training (see finalize) come from
/// behind these.
Data load_data(const Options& options, const Environment& environment, std::int64_t train_images) {
  const ImageSet all = read_images(dataset_directory(options, environment), ImagePart::train);
  const std::int64_t search_images = options.integer("train_images");
  const std::int64_t validation_images = options.integer("validation_images");
  const std::int64_t most = all.size() - validation_images;
  if (search_images > most) {
    options.fail("train_images",
                 fmt::format("{} images to train and {} to validate with are more than the {} of the "
                             "data set",
                             search_images, validation_images, all.size()));
  }
  if (train_images > most) {
    throw ConfigError(fmt::format("cannot train on {} images: {} remain beside the {} to validate with",
                                  train_images, most, validation_images));
  }
  if (train_images == 0) train_images = most;

  std::vector<std::int64_t> order(static_cast<std::size_t>(all.size()));
  std::iota(order.begin(), order.end(), 0);
  Random(0, "trained split").shuffle(order);
  const auto validation = order.begin() + search_images;
  const std::vector<std::int64_t> held_out(validation, validation + validation_images);
  order.erase(validation, validation + validation_images);
  order.resize(static_cast<std::size_t>(train_images));

  const std::int64_t classes = *std::max_element(all.labels.begin(), all.labels.end()) + 1;
  return {all.subset(order), all.subset(held_out), classes};
}

// --- Designs -------------------------------------------------------------------------------------

/// The part of the design's network that reaches its output. \throws NetworkError if there is not just one
/// network.
Network trained_part(const Design& design) {
  const std::vector<Network>& networks = design.networks();
  if (networks.size() != 1) {
    throw NetworkError(
        fmt::format("the design has {} networks, but just one can be trained", networks.size()));
  }
  return networks.front().pruned();
}

/// \throws ConfigError if the words are too narrow.
std::int64_t word_bits_of(const Design& design, const Options& options) {
  std::int64_t bits = options.integer("word_bits");
  if (!options.given("word_bits")) {
    for (const Accelerator& accelerator : design.accelerators()) {
      bits = std::min(bits, operand_bits(accelerator));
    }
  }
  if (bits < 2)
    throw ConfigError(fmt::format("words of {} bit cannot hold signed numbers; at least 2 bits do", bits));
  return std::min(bits, full_precision_bits);
}

std::vector<NumberFormat> formats_of(const Network& network) {
  std::vector<NumberFormat> formats;
  for (const Node& node : network.nodes()) formats.push_back(node.format);
  return formats;
}

/// \throws ConfigError if some layer's numbers are too narrow to train with a sign.
void check_formats(const Network& network) {
  for (const Node& node : network.nodes()) {
    for (const std::int64_t bits : {node.format.weight_bits, node.format.activation_bits}) {
      if (bits == 1) throw ConfigError(fmt::format("layer '{}': words of 1 bit cannot hold signed numbers", node.name));
    }
  }
}

/// The options' recipe with what the design decides.
Recipe recipe_of(const Design& design, Recipe recipe) {
  const TrainingRecipe chosen = design.recipe();
  recipe.epochs = chosen.epochs.value_or(recipe.epochs);
  recipe.batch_size = chosen.batch_size.value_or(recipe.batch_size);
  recipe.learning_rate = chosen.learning_rate.value_or(recipe.learning_rate);
  recipe.momentum = chosen.momentum.value_or(recipe.momentum);
  recipe.weight_decay = chosen.weight_decay.value_or(recipe.weight_decay);
  recipe.label_smoothing = chosen.label_smoothing.value_or(recipe.label_smoothing);
  recipe.flip = chosen.flip.value_or(recipe.flip);
  return recipe;
}

// --- Models --------------------------------------------------------------------------------------

/// The trainings of the last networks, by fingerprint and replicate. A training that another thread is busy
/// with is awaited.
class Models {
 public:
  template <class Train>
  Training find_or(const Fingerprint& key, std::stop_token stop, Train&& train) {
    {
      std::unique_lock lock(mutex_);
      while (true) {
        const auto [found, inserted] = entries_.try_emplace(key);
        if (inserted) break;
        if (found->second.finished) {
          recent_.splice(recent_.begin(), recent_, found->second.position);
          return *found->second.finished;
        }
        // The entry is gone if the thread that was busy with it has been stopped: then it is our turn.
        const auto settled = [&] {
          const auto entry = entries_.find(key);
          return entry == entries_.end() || entry->second.finished;
        };
        if (!changed_.wait(lock, stop, settled)) return {Status::failed, "stopped", nullptr, 0};
      }
    }
    std::optional<Training> result;
    try {
      result = train();
    } catch (...) {
      settle(key, std::nullopt);
      throw;
    }
    // A time-out may be the machine's fault: it is not kept.
    settle(key, stop.stop_requested() || result->status == Status::timed_out ? std::nullopt : result);
    return *result;
  }

 private:
  struct Entry {
    std::optional<Training> finished;
    std::list<Fingerprint>::iterator position;  // in recent_, once finished
  };

  void settle(const Fingerprint& key, std::optional<Training> result) {
    {
      const std::lock_guard lock(mutex_);
      if (!result) {
        entries_.erase(key);
      } else {
        if (recent_.size() == max_models) {
          entries_.erase(recent_.back());
          recent_.pop_back();
        }
        recent_.push_front(key);
        entries_[key] = {std::move(result), recent_.begin()};
      }
    }
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::unordered_map<Fingerprint, Entry> entries_;
  std::list<Fingerprint> recent_;  // finished, latest use first
};

class TrainedEstimator final : public Estimator {
 public:
  TrainedEstimator(const Options& options, const Environment& environment)
      : options_(options), seed_(environment.seed), recipe_(read_recipe(options)) {
    if (environment.space != nullptr && !environment.space->has_network()) {
      throw ConfigError("estimator 'trained' needs a space with a network");
    }
    find_trainer_module();
    data_ = load_data(options, environment, options.integer("train_images"));
  }

  std::span<const Metric> metrics() const override {
    static const std::vector<Metric> metrics{
        {"accuracy", "1", Direction::maximize, Source::trained,
         "Fraction of validation images classified correctly after training, with quantised words."},
        {"trained_parameters", "1", Direction::minimize, Source::analytical,
         "Trainable parameters on a path to the output."},
        {"epochs", "1", Direction::minimize, Source::trained,
         "Passes over the training images, all replicates."},
        {"training_time_s", "s", Direction::minimize, Source::measured, "Wall-clock time of all replicates."},
    };
    return metrics;
  }

  Fingerprint key(const Design& design) const override {
    return Hasher()
        .add(trained_part(design).fingerprint())
        .add(word_bits_of(design, options_))
        .add(fingerprint(design.recipe()))
        .finish();
  }

  Fingerprint inputs() const override {
    Hasher hasher;
    for (const ImageSet* images : {&data_.train, &data_.validation}) {
      for (const std::vector<std::uint8_t>* bytes : {&images->pixels, &images->labels}) {
        hasher.add(std::string_view(reinterpret_cast<const char*>(bytes->data()), bytes->size()));
      }
    }
    return hasher.finish();
  }

  std::vector<Evaluation> estimate(std::span<const Design> designs, std::stop_token stop) const override {
    return estimate_each(designs, [&](const Design& design) { return estimate_one(design, stop); });
  }

 private:
  Evaluation estimate_one(const Design& design, const std::stop_token& stop) const {
    const Network with_formats = trained_part(design);
    check_formats(with_formats);
    // One training serves all formats.
    const Network network = with_formats.without_formats();
    const Recipe recipe = recipe_of(design, recipe_);
    const std::int64_t word_bits = word_bits_of(design, options_);
    if (auto reason = why_untrainable(network, data_.train.height, data_.train.width, data_.classes)) {
      return Evaluation::failure(*std::move(reason));
    }
    const std::int64_t replicates = options_.integer("replicates");
    double accuracy = 0;
    double training_time_s = 0;
    for (std::int64_t i = 0; i < replicates; ++i) {
      const auto replicate = static_cast<std::uint64_t>(i);
      const Fingerprint key = Hasher().add(network.fingerprint()).add(fingerprint(design.recipe())).add(replicate).finish();
      const Training training = models_.find_or(key, stop, [&] {
        return load_trainer().train(network, recipe, data_.train, seed_, replicate, stop);
      });
      if (training.status != Status::ok) return Evaluation::failure(training.reason, training.status);
      accuracy += training.model->accuracy(data_.validation, word_bits, formats_of(with_formats)) / static_cast<double>(replicates);
      training_time_s += training.duration_s;
    }
    return {Status::ok,
            "",
            {accuracy, static_cast<double>(network.parameters()),
             static_cast<double>(recipe.epochs * replicates), training_time_s}};
  }

  Options options_;
  std::uint64_t seed_;
  Recipe recipe_;
  Data data_;
  mutable Models models_;
};

}  // namespace

std::span<const Option> trained_options() {
  return option_table;
}

FinalAccuracy finalize(const Options& options, const Environment& environment, const Design& design,
                       std::uint64_t replicate, std::int64_t epochs, std::int64_t train_images,
                       std::stop_token stop) {
  const Trainer& trainer = load_trainer();
  const Data data = load_data(options, environment, train_images);
  const ImageSet test = read_images(dataset_directory(options, environment), ImagePart::test);
  Recipe recipe = recipe_of(design, read_recipe(options));
  recipe.epochs = epochs;

  FinalAccuracy result;
  result.train_images = data.train.size();
  result.validation_images = data.validation.size();
  result.test_images = test.size();
  result.epochs = epochs;
  const auto fail = [&](Status status, std::string reason) {
    result.status = status;
    result.reason = std::move(reason);
    return result;
  };
  try {
    const Network with_formats = trained_part(design);
    check_formats(with_formats);
    const Network network = with_formats.without_formats();
    const std::vector<NumberFormat> formats = formats_of(with_formats);
    result.word_bits = word_bits_of(design, options);
    if (auto reason = why_untrainable(network, test.height, test.width, data.classes)) {
      return fail(Status::failed, *std::move(reason));
    }
    if (auto reason = why_untrainable(network, data.train.height, data.train.width, data.classes)) {
      return fail(Status::failed, *std::move(reason));
    }
    const Training training = trainer.train(network, recipe, data.train, environment.seed, replicate, stop);
    if (training.status != Status::ok) return fail(training.status, training.reason);
    result.test_accuracy = training.model->accuracy(test, result.word_bits, formats);
    result.validation_accuracy = training.model->accuracy(data.validation, result.word_bits, formats);
    result.training_time_s = training.duration_s;
    result.network = network;
    result.weights = training.model->weights();
    result.pixel_scale = training.model->pixel_scale();
  } catch (const std::exception& error) {
    return fail(Status::failed, error.what());
  }
  return result;
}

EstimatorPlugin trained_estimator() {
  EstimatorPlugin plugin;
  plugin.name = "trained";
  plugin.summary =
      "Trains the network on real images and reports its validation accuracy with quantised words.";
  plugin.source =
      "Loshchilov and Hutter, \"SGDR: Stochastic Gradient Descent with Warm Restarts\", ICLR 2017 (recipe); "
      "Xiao, Rasul "
      "and Vollgraf, \"Fashion-MNIST\", 2017 (data)";
  plugin.options = option_table;
  plugin.create = [](const Options& options, const Environment& environment) -> std::unique_ptr<Estimator> {
    return std::make_unique<TrainedEstimator>(options, environment);
  };
  return plugin;
}

}  // namespace duet
