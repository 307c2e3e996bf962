#include "spaces/network_template.hpp"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <set>

#include <fmt/format.h>

#include "core/errors.hpp"
#include "core/expression.hpp"
#include "core/units.hpp"
#include "spaces/builtin.hpp"
#include "spaces/network_compiler.hpp"
#include "spaces/network_statements.hpp"
#include "spaces/template_texts.hpp"

namespace duet {
namespace {




struct Library {
  Blocks blocks;
  std::set<std::string> words;
};

const Library& library() {
  static const Library built_in = [] {
    Library result;
    const Config config = Config::parse(std::string(network_template_text("blocks")), "blocks.yaml");
    config.allow_only({"blocks"});
    result.blocks = read_blocks(config.at("blocks"), {}, true);
    collect_words(config, result.words);
    return result;
  }();
  return built_in;
}

}  // namespace

struct NetworkTemplate::Definition {
  explicit Definition(Config described) : network(std::move(described)) {}
  std::string name, summary, source;
  std::vector<TemplateParameter> parameters;
  std::vector<Config> standards;  ///< of the parameters, where they stand
  std::vector<std::pair<std::string, Config>> derived;
  std::vector<Config> constraints;
  Blocks blocks;
  std::set<std::string> words;
  Config network;
  Body body;
};

namespace {

/// The networks of a template with its parameters set.
class TemplatePart final : public DesignPart {
 public:
  TemplatePart(CompiledNetwork compiled, const std::vector<std::pair<std::string, Config>>& derived,
               const std::vector<Config>& constraints)
      : decisions_(std::move(compiled.decisions)), program_(std::move(compiled.program)), tree_(decisions_) {
    names_ = tree_.symbols();
    names_.push_back({"macs", {}});
    names_.push_back({"parameters", {}});
    for (const auto& [name, expression] : derived) {
      check_name(name, expression);
      const auto taken = [&name = name](const Symbol& symbol) { return symbol.name == name; };
      if (std::any_of(names_.begin(), names_.end(), taken)) expression.fail(fmt::format("'{}' is defined already", name));
      derived_.push_back({name, Expression::parse(expression, names_)});
      names_.push_back({name, {}});
    }
    for (const Config& constraint : constraints) {
      Expression::parse(constraint, names_);  // parsed again with the names of the whole space
      constraints_.push_back(constraint.text());
    }
  }

  std::vector<SpaceNode> nodes() const override { return decisions_; }

  std::optional<Network> network(const Assignment& a) const override { return build(program_, a.candidate(), first(a)); }
  Network build_own(const Candidate& candidate) const { return build(program_, candidate, 0); }
  const Space& tree() const { return tree_; }

  std::vector<PartQuantity> quantities() const override {
    std::vector<PartQuantity> result{
        {"macs", "1", "Multiply-accumulates of one inference.", [this](const Assignment& a) { return symbol(a, tree_.size()); }},
        {"parameters", "1", "Trainable parameters.", [this](const Assignment& a) { return symbol(a, tree_.size() + 1); }}};
    for (std::size_t i = 0; i < derived_.size(); ++i) {
      result.push_back({derived_[i].first, "1", "= " + derived_[i].second.text(),
                        [this, i](const Assignment& a) { return symbol(a, tree_.size() + 2 + i); }});
    }
    return result;
  }

  std::vector<std::string> constraints() const override { return constraints_; }

 private:
  /// Where this part's parameters begin in a candidate of the whole space.
  std::size_t first(const Assignment& a) const { return tree_.size() == 0 ? 0 : a.index(tree_[0].path); }

  /// Too large a network is infinitely large, so that an upper bound refuses it.
  static double counted(const Program& program, const Assignment& a, std::size_t first, std::int64_t NetworkCounts::*what) {
    try {
      return static_cast<double>(count(program, a.candidate(), first).*what);
    } catch (const NetworkError&) {
      return std::numeric_limits<double>::infinity();
    }
  }

  double symbol(const Assignment& a, std::size_t i) const {
    const std::size_t begin = first(a);
    if (i < tree_.size()) {
      const double code = a.candidate()[begin + i];
      const Parameter& parameter = tree_[i];
      const bool by_position = parameter.kind == Parameter::Kind::ordinal && a.candidate().has(begin + i);
      return by_position ? parameter.values[static_cast<std::size_t>(code)] : code;
    }
    if (i == tree_.size()) return counted(program_, a, begin, &NetworkCounts::macs);
    if (i == tree_.size() + 1) return counted(program_, a, begin, &NetworkCounts::parameters);
    return derived_[i - tree_.size() - 2].second.evaluate([this, &a](std::size_t of) { return symbol(a, of); });
  }

  std::vector<SpaceNode> decisions_;
  Program program_;
  Space tree_;  ///< of the decisions alone: their order is that of the candidate's part
  std::vector<Symbol> names_;
  std::vector<std::pair<std::string, Expression>> derived_;
  std::vector<std::string> constraints_;
};

}  // namespace

NetworkTemplate NetworkTemplate::read(const Config& config) {
  config.allow_only({"name", "summary", "source", "parameters", "derived", "constraints", "blocks", "network"});
  const Library& built_in = library();
  auto definition = std::make_shared<Definition>(config.at("network"));
  definition->name = read_name(config.at("name"));
  if (const auto summary = config.find("summary")) definition->summary = summary->text();
  if (const auto source = config.find("source")) definition->source = source->text();
  if (const auto parameters = config.find("parameters"); parameters && !parameters->is_null()) {
    for (const std::string& name : parameters->keys()) {
      const Config place = parameters->at(name);
      check_name(name, place);
      definition->parameters.push_back(TemplateParameter::read(name, place, true));
      definition->standards.push_back(place);
    }
  }
  if (const auto derived = config.find("derived")) {
    for (const std::string& name : derived->keys()) definition->derived.emplace_back(name, derived->at(name));
  }
  if (const auto constraints = config.find("constraints")) definition->constraints = constraints->items(true);
  definition->blocks = built_in.blocks;
  if (const auto blocks = config.find("blocks"); blocks && !blocks->is_null()) {
    definition->blocks = read_blocks(*blocks, built_in.blocks, false);
  }
  definition->words = built_in.words;
  collect_words(config, definition->words);
  definition->body = read_body(definition->network, definition->blocks);

  NetworkTemplate result;
  result.definition_ = std::move(definition);
  // Shapes that depend on decisions fail now rather than in the middle of a run, if they fail always.
  const std::unique_ptr<DesignPart> part = result.part();
  const auto& own = static_cast<const TemplatePart&>(*part);
  std::string problem;
  for (std::uint64_t i = 0; i < 8; ++i) {
    Random random(0, "network template", i);
    try {
      own.build_own(own.tree().sample_any(random));
      return result;
    } catch (const NetworkError& error) {
      problem = error.what();
    }
  }
  result.definition_->network.fail("no network could be made: " + problem);
}

std::unique_ptr<DesignPart> NetworkTemplate::part(const std::map<std::string, Config, std::less<>>& settings) const {
  std::vector<ParameterChoice> choices;
  for (std::size_t i = 0; i < definition_->parameters.size(); ++i) {
    const TemplateParameter& parameter = definition_->parameters[i];
    const auto given = settings.find(parameter.name);
    if (given == settings.end()) {
      choices.push_back({parameter.node(), definition_->standards[i]});
    } else {
      choices.push_back({parameter.node(given->second), given->second});
    }
  }
  CompiledNetwork compiled = compile_network(definition_->network, definition_->body, definition_->blocks, library().blocks,
                                             choices, definition_->words);
  return std::make_unique<TemplatePart>(std::move(compiled), definition_->derived, definition_->constraints);
}

const std::string& NetworkTemplate::name() const { return definition_->name; }
const std::string& NetworkTemplate::summary() const { return definition_->summary; }
const std::string& NetworkTemplate::source() const { return definition_->source; }
std::span<const TemplateParameter> NetworkTemplate::parameters() const { return definition_->parameters; }

NetworkTemplate NetworkTemplate::load(std::string_view name) {
  return read(Config::parse(std::string(network_template_text(name)), std::string(name) + ".yaml"));
}

NetworkTemplate NetworkTemplate::load(const Config& name_or_file) {
  const std::string& text = name_or_file.text();
  if (text.ends_with(".yaml") || text.ends_with(".yml")) {
    const std::filesystem::path file = std::filesystem::path(name_or_file.document()).parent_path() / text;
    if (!std::filesystem::exists(file)) name_or_file.fail(fmt::format("there is no file '{}'", file.string()));
    return read(Config::load(file));
  }
  const std::vector<std::string> names = network_template_names();
  if (std::find(names.begin(), names.end(), text) == names.end()) {
    name_or_file.fail(fmt::format("there is no network template '{}'{}", text, hint(text, names)));
  }
  return load(text);
}

std::vector<std::string> network_template_names() {
  std::vector<std::string> names;
  for (const TemplateText& known : network_template_texts()) {
    if (known.name != "blocks") names.emplace_back(known.name);
  }
  return names;
}

std::string_view network_template_text(std::string_view name) {
  for (const TemplateText& known : network_template_texts()) {
    if (known.name == name) return known.text;
  }
  throw ConfigError(fmt::format("there is no network template '{}'{}", name, hint(name, network_template_names())));
}

SpacePlugin NetworkTemplate::plugin() const {
  SpacePlugin plugin{.name = name(), .summary = summary(), .source = source(), .options = {}, .create = {}};
  for (const TemplateParameter& parameter : parameters()) {
    std::vector<std::string> search;
    for (const double value : parameter.search) search.push_back(parameter.words.empty() ? shortest(value) : parameter.format(value));
    plugin.options.push_back({.name = parameter.name,
                              .kind = Option::Kind::config,
                              .fallback = search.size() == 1 ? search.front() : fmt::format("[{}]", fmt::join(search, ", ")),
                              .sentence = parameter.sentence});
  }
  plugin.create = [self = *this](const Options& options) {
    std::map<std::string, Config, std::less<>> settings;
    for (const TemplateParameter& parameter : self.parameters()) {
      if (options.given(parameter.name)) settings.emplace(parameter.name, *options.config(parameter.name));
    }
    return self.part(settings);
  };
  return plugin;
}

std::vector<SpacePlugin> network_template_spaces() {
  static const std::vector<SpacePlugin> plugins = [] {
    std::vector<SpacePlugin> result;
    for (const std::string& name : network_template_names()) result.push_back(NetworkTemplate::load(name).plugin());
    return result;
  }();
  return plugins;
}

SpacePlugin network_template_space() {
  return {
      .name = "network_template",
      .summary = "Networks that a file describes by operators, blocks and decisions.",
      .source = "Negrinho and Gordon, \"DeepArchitect: automatically designing and training deep architectures\", arXiv:1704.08792, 2017",
      .options = {{.name = "template",
                   .kind = Option::Kind::config,
                   .fallback = std::nullopt,
                   .sentence = "A YAML file beside the experiment, or the name of a template that comes with duet."},
                  {.name = "parameters",
                   .kind = Option::Kind::config,
                   .fallback = "",
                   .sentence = "The template's parameters: a value, a list of values to search, or {range: [low, high], log: true}."}},
      .create = [](const Options& options) -> std::unique_ptr<DesignPart> {
        const NetworkTemplate from = NetworkTemplate::load(*options.config("template"));
        std::map<std::string, Config, std::less<>> settings;
        if (const auto given = options.config("parameters")) {
          std::vector<std::string> names;
          for (const TemplateParameter& parameter : from.parameters()) names.push_back(parameter.name);
          for (const std::string& key : given->keys()) {
            if (std::count(names.begin(), names.end(), key) == 0) given->fail_unknown_key(key, names, "template " + from.name());
            settings.emplace(key, given->at(key));
          }
        }
        return from.part(settings);
      },
  };
}

}  // namespace duet
