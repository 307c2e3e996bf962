#include <cmath>
#include <fstream>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "core/errors.hpp"
#include "core/units.hpp"
#include "estimators/trained.hpp"
#include "experiments/provenance.hpp"
#include "spaces/onnx.hpp"

namespace duet::cli {
namespace {

struct FinalizeArguments {
  Selection selection;
  std::uint64_t trial = 0;
  std::int64_t epochs = 10;
  std::int64_t train_images = 0;
  std::uint64_t seeds = 3;
  std::string onnx_file;
  bool json = false;
};

std::string mean_and_deviation(const std::vector<double>& values) {
  double mean = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  if (values.size() < 2) return fmt::format("{:.4f}", mean);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return fmt::format("{:.4f} ± {:.4f}", mean, std::sqrt(squares / static_cast<double>(values.size() - 1)));
}

void execute(const FinalizeArguments& arguments, Context& context) {
  OpenExperiment open = open_experiment(arguments.selection, Store::Mode::write);
  const TrialRecord trial = trial_of(open, arguments.trial);
  const Specification specification = specification_of(arguments.selection, open, context.registry);
  const Specification::Scorer* trained = nullptr;
  for (const auto& scorer : specification.scorers) {
    if (scorer.name == "trained") trained = &scorer;
  }
  if (trained == nullptr) {
    throw ConfigError(fmt::format("experiment '{}' has no estimator 'trained': there is nothing to train again",
                                  open.record.name));
  }
  const Environment environment{specification.seed, specification.directory, specification.space.get()};
  const Design design = specification.space->design(trial.candidate);

  // Before minutes of training.
  if (!arguments.onnx_file.empty() && !std::ofstream(arguments.onnx_file, std::ios::app)) {
    throw ConfigError(fmt::format("{}: cannot be written", arguments.onnx_file));
  }

  std::vector<double> test;
  std::vector<double> validation;
  std::string recipe;
  std::optional<FinalAccuracy> best;
  std::uint64_t best_seed = 0;
  for (std::uint64_t replicate = 1; replicate <= arguments.seeds; ++replicate) {
    FinalAccuracy result = finalize(trained->options, environment, design, replicate, arguments.epochs,
                                          arguments.train_images);
    if (result.status != Status::ok) throw ConfigError(fmt::format("trial {}: {}", arguments.trial, result.reason));
    recipe = fmt::format("{} epochs of {} images, {} word bits; {} validation and {} test images", result.epochs,
                         result.train_images, result.word_bits, result.validation_images, result.test_images);
    const std::string now = timestamp();
    const auto keep = [&](const char* metric, const char* unit, double value) {
      open.store.append_final(open.record.id, {arguments.trial, replicate, metric, unit, value, recipe, now});
    };
    keep("test_accuracy", "1", result.test_accuracy);
    keep("validation_accuracy", "1", result.validation_accuracy);
    keep("training_time_s", "s", result.training_time_s);
    test.push_back(result.test_accuracy);
    validation.push_back(result.validation_accuracy);
    if (!arguments.json) {
      fmt::print("seed {}: test accuracy {:.4f}, validation accuracy {:.4f}, {:.1f} s\n", replicate,
                 result.test_accuracy, result.validation_accuracy, result.training_time_s);
      std::fflush(stdout);
    }
    if (!best || result.validation_accuracy > best->validation_accuracy) {
      best = std::move(result);
      best_seed = replicate;
    }
  }
  if (!arguments.onnx_file.empty()) {
    export_onnx(best->network, arguments.onnx_file, {.weights = &best->weights});
  }
  if (arguments.json) {
    nlohmann::ordered_json json{{"trial", arguments.trial},
                                {"recipe", recipe},
                                {"test_accuracy", test},
                                {"validation_accuracy", validation}};
    if (!arguments.onnx_file.empty()) {
      json["export"] = {{"file", arguments.onnx_file},
                        {"seed", best_seed},
                        {"pixel_mean", best->pixel_scale.mean},
                        {"pixel_deviation", best->pixel_scale.deviation}};
    }
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print("\nTrial {}, {}:\n  test accuracy        {}\n  validation accuracy  {}\nStored in table `finals`.\n",
             arguments.trial, recipe, mean_and_deviation(test), mean_and_deviation(validation));
  if (!arguments.onnx_file.empty()) {
    fmt::print("Written to {}: the network of seed {}, which is the best by validation accuracy. Its input is (pixel - "
               "{:.4f}) / {:.4f}.\n",
               arguments.onnx_file, best_seed, best->pixel_scale.mean, best->pixel_scale.deviation);
  }
}

}  // namespace

void add_finalize(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("finalize", "Train a trial's network again with the full recipe and several seeds, "
                                                 "and report its test accuracy");
  auto arguments = std::make_shared<FinalizeArguments>();
  add_selection(*command, arguments->selection);
  command->add_option("TRIAL", arguments->trial, "Number of the trial")->required();
  command->add_option("--epochs", arguments->epochs, "Epochs")->check(AtLeastOne())->capture_default_str();
  command->add_option("--train-images", arguments->train_images, "Training images (0: all there are)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--seeds", arguments->seeds, "How many times, each with another initialisation")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command->add_option("--export", arguments->onnx_file,
                      "Write the network with its trained weights, of the seed that validates best, as an ONNX file");
  command->add_flag("--json", arguments->json, "As JSON");
  command->callback([arguments, &context] { execute(*arguments, context); });
}

}  // namespace duet::cli
