#include "spaces/training_recipe.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <string>
#include <vector>

#include "core/errors.hpp"
#include "spaces/builtin.hpp"

namespace duet {
namespace {

struct Ingredient {
  std::string name;
  bool whole = false;
  double minimum = 0, maximum = 0;
};

/// The bounds of the options of the estimator `trained`.
const std::vector<Ingredient> ingredients{{"epochs", true, 1, 1e4},         {"batch_size", true, 1, 65'536},
                                          {"learning_rate", false, 0, 100}, {"momentum", false, 0, 0.9999},
                                          {"weight_decay", false, 0, 1},    {"label_smoothing", false, 0, 0.9}};
constexpr std::string_view flip = "flip";

class RecipeSpace final : public DesignPart {
 public:
  explicit RecipeSpace(const Options& options) {
    const auto given = options.config("parameters");
    if (!given) {
      nodes_ = {real("learning_rate", 0.01, 0.5, "1", "At the first step.", true),
                real("weight_decay", 1e-5, 1e-2, "1", "Of the weights.", true),
                ordinal("label_smoothing", {0, 0.1}, "1", "Probability spread over all classes."),
                choice(std::string(flip), {"false", "true"}, "Whether images are mirrored.")};
      return;
    }
    nodes_ = read_space_nodes(*given);
    std::vector<std::string> known{std::string(flip)};
    for (const Ingredient& ingredient : ingredients) known.push_back(ingredient.name);
    for (const SpaceNode& node : nodes_) {
      if (std::find(known.begin(), known.end(), node.name) == known.end()) {
        given->fail_unknown_key(node.name, known, "the training recipe");
      }
      check(node, given->at(node.name));
    }
    if (nodes_.empty()) given->fail("the recipe needs at least one parameter");
  }

  std::vector<SpaceNode> nodes() const override { return nodes_; }

  std::optional<TrainingRecipe> recipe(const Assignment& a) const override {
    TrainingRecipe recipe;
    const auto number = [&](const char* name, std::optional<double>& value) {
      if (a.has(name)) value = a.number(name);
    };
    number("learning_rate", recipe.learning_rate);
    number("momentum", recipe.momentum);
    number("weight_decay", recipe.weight_decay);
    number("label_smoothing", recipe.label_smoothing);
    if (a.has("epochs")) recipe.epochs = a.integer("epochs");
    if (a.has("batch_size")) recipe.batch_size = a.integer("batch_size");
    if (a.has(flip)) recipe.flip = a.option(flip) == "true";
    return recipe;
  }

 private:
  static void check(const SpaceNode& node, const Config& config) {
    if (node.name == flip) {
      const bool words = node.kind == SpaceNode::Kind::choice &&
                         std::all_of(node.options.begin(), node.options.end(), [](const OptionNode& option) {
                           return (option.name == "true" || option.name == "false") && option.children.empty();
                         });
      if (!words) config.fail("'flip' is {choice: [false, true]}");
      return;
    }
    const Ingredient& ingredient =
        *std::find_if(ingredients.begin(), ingredients.end(), [&](const Ingredient& i) { return i.name == node.name; });
    std::vector<double> values = node.values;
    switch (node.kind) {
      case SpaceNode::Kind::ordinal:
        break;
      case SpaceNode::Kind::integer:
        values = {node.minimum, node.maximum};
        break;
      case SpaceNode::Kind::real:
        if (ingredient.whole) config.fail(fmt::format("'{}' takes whole numbers: {{integer: [minimum, maximum]}}", node.name));
        values = {node.minimum, node.maximum};
        break;
      default:
        config.fail(fmt::format("'{}' is a number: ordinal, integer or real", node.name));
    }
    for (const double value : values) {
      if (value < ingredient.minimum || value > ingredient.maximum || (ingredient.whole && value != std::floor(value))) {
        config.fail(fmt::format("'{}' cannot be {}: it is {}between {} and {}", node.name, value,
                                ingredient.whole ? "a whole number " : "", ingredient.minimum, ingredient.maximum));
      }
    }
  }

  std::vector<SpaceNode> nodes_;
};

}  // namespace

Fingerprint fingerprint(const TrainingRecipe& recipe) {
  Hasher hasher;
  hasher.add(std::string_view("duet.recipe"));
  const auto add = [&](const auto& value) {
    hasher.add(static_cast<std::int64_t>(value.has_value()));
    if (value) hasher.add(static_cast<double>(*value));
  };
  add(recipe.epochs);
  add(recipe.batch_size);
  add(recipe.learning_rate);
  add(recipe.momentum);
  add(recipe.weight_decay);
  add(recipe.label_smoothing);
  add(recipe.flip);
  return hasher.finish();
}

SpacePlugin training_recipe_space() {
  return {
      .name = "training_recipe",
      .summary = "How the network is trained: learning rate, epochs, weight decay, augmentation, … as part of the design.",
      .source = "Dai et al., \"FBNetV3: joint architecture-recipe search using predictor pretraining\", CVPR 2021",
      .options = {{.name = "parameters",
                   .kind = Option::Kind::config,
                   .fallback = "",
                   .sentence = "What to search, in the form of the space `parameters`, by the names of the estimator's "
                               "options: epochs, batch_size, learning_rate, momentum, weight_decay, label_smoothing, flip."}},
      .create = [](const Options& options) { return std::make_unique<RecipeSpace>(options); },
  };
}

}  // namespace duet
