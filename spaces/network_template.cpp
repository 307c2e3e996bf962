#include "spaces/network_template.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
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

/// What is known of a template without understanding its network.
struct NetworkTemplate::Header {
  std::string name, summary, source;
  std::vector<TemplateParameter> parameters;
  std::vector<Config> standards;  ///< of the parameters, where they stand

  explicit Header(const Config& config) {
    config.allow_only({"name", "summary", "source", "parameters", "derived", "constraints", "labels", "blocks", "network"});
    name = read_name(config.at("name"));
    if (const auto given = config.find("summary")) summary = given->text();
    if (const auto given = config.find("source")) source = given->text();
    const auto declared = config.find("parameters");
    if (!declared || declared->is_null()) return;
    for (const std::string& key : declared->keys()) {
      const Config place = declared->at(key);
      check_name(key, place);
      if (key == "type" || key == "macs" || key == "parameters") place.fail(fmt::format("'{}' has a meaning of its own; choose another name", key));
      parameters.push_back(TemplateParameter::read(key, place, true));
      standards.push_back(place);
    }
  }
};

struct NetworkTemplate::Definition : Header {
  std::vector<std::pair<std::string, Config>> derived;
  std::vector<Config> constraints;
  std::vector<std::pair<std::string, Config>> labels;
  Blocks blocks;
  std::set<std::string> words;
  Config network;
  Body body;
  Fingerprint file;  ///< of the user's own; zero where it comes with duet

  explicit Definition(const Config& config) : Header(config), network(config.at("network")) {
    const Library& built_in = library();
    if (const auto given = config.find("derived")) {
      for (const std::string& key : given->keys()) derived.emplace_back(key, given->at(key));
    }
    if (const auto given = config.find("constraints")) constraints = given->items(true);
    if (const auto given = config.find("labels")) {
      for (const std::string& key : given->keys()) {
        check_name(key, given->at(key));
        labels.emplace_back(key, given->at(key));
      }
    }
    blocks = built_in.blocks;
    if (const auto given = config.find("blocks"); given && !given->is_null()) blocks = read_blocks(*given, built_in.blocks, false);
    words = built_in.words;
    collect_words(config, words);
    body = read_body(network, blocks);
  }
};

namespace {

/// The networks of a template with its parameters set.
class TemplatePart final : public DesignPart {
 public:
  TemplatePart(CompiledNetwork compiled, std::vector<std::pair<std::string, double>> fixed, const std::vector<std::pair<std::string, Config>>& derived,
               const std::vector<Config>& constraints, const std::vector<std::pair<std::string, Config>>& labels, const Fingerprint& inputs)
      : inputs_(inputs), decisions_(std::move(compiled.decisions)), program_(std::move(compiled.program)), tree_(decisions_), fixed_(std::move(fixed)) {
    names_ = tree_.symbols();
    names_.push_back({"macs", {}});
    names_.push_back({"parameters", {}});
    for (const auto& [name, value] : fixed_) names_.push_back({name, {}});
    for (const auto& [name, expression] : derived) {
      check_name(name, expression);
      const auto taken = [&name = name](const Symbol& symbol) { return symbol.name == name; };
      if (std::any_of(names_.begin(), names_.end(), taken)) expression.fail(fmt::format("'{}' is defined already", name));
      Expression parsed = Expression::parse(expression, names_);
      std::vector<std::size_t> reads = parsed.reads();
      derived_.push_back({name, std::move(parsed), std::move(reads)});
      names_.push_back({name, {}});
    }
    for (const Config& constraint : constraints) {
      Expression::parse(constraint, names_);  // parsed again with the names of the whole space
      constraints_.push_back(constraint.text());
    }
    for (const auto& [name, text] : labels) labels_.emplace_back(name, read_label(text));
  }

  Fingerprint inputs() const override { return inputs_; }
  std::vector<SpaceNode> nodes() const override { return decisions_; }

  std::optional<Network> network(const Assignment& a) const override { return build(program_, a.candidate(), first(a)); }
  Network build_own(const Candidate& candidate) const { return build(program_, candidate, 0); }
  const Space& tree() const { return tree_; }

  std::vector<PartQuantity> quantities() const override {
    std::vector<PartQuantity> result{
        {"macs", "1", "Multiply-accumulates of one inference.", [this](const Assignment& a) { return symbol(a, tree_.size()); }},
        {"parameters", "1", "Trainable parameters.", [this](const Assignment& a) { return symbol(a, tree_.size() + 1); }}};
    // Whether a parameter is searched or not, constraints may read it.
    for (const auto& [name, value] : fixed_) {
      result.push_back({name, "1", "As it was set.", [constant = value](const Assignment&) { return constant; }});
    }
    for (std::size_t i = 0; i < derived_.size(); ++i) {
      result.push_back({derived_[i].name, "1", "= " + derived_[i].expression.text(), [this, i](const Assignment& a) { return derived(a, i); }});
    }
    return result;
  }

  std::vector<std::string> constraints() const override { return constraints_; }

  std::vector<PartLabel> labels() const override {
    std::vector<PartLabel> result;
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      result.push_back({labels_[i].first, "Of the template.", [this, i](const Assignment& a) { return label(a, labels_[i].second); }});
    }
    return result;
  }

 private:
  struct Derived {
    std::string name;
    Expression expression;
    std::vector<std::size_t> reads;  ///< symbols, ascending: of derived ones only those before it
  };

  /// A piece of a label: a text, or a decision's value or position.
  struct Piece {
    std::string text;
    std::optional<std::size_t> decision = {};
    bool position = false;
  };

  /// "{layer1.block}" stands for the decision's value, "{#layer1.block}" for its position, counted from 0.
  std::vector<Piece> read_label(const Config& config) const {
    std::vector<Piece> pieces;
    const std::string& text = config.text();
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t open = text.find('{', at), close = text.find('}', at);
      if (open == std::string::npos) {
        pieces.push_back({text.substr(at)});
        break;
      }
      if (close == std::string::npos || close < open) config.fail_at(open, "this '{' is not closed");
      if (open > at) pieces.push_back({text.substr(at, open - at)});
      const bool position = text[open + 1] == '#';
      const std::string name = text.substr(open + 1 + (position ? 1 : 0), close - open - 1 - (position ? 1 : 0));
      const auto decision = tree_.find(name);
      if (!decision) config.fail_at(open + 1, fmt::format("there is no decision '{}'{}", name, hint(name, tree_.paths())));
      pieces.push_back({"", *decision, position});
      at = close + 1;
    }
    return pieces;
  }

  std::string label(const Assignment& a, const std::vector<Piece>& pieces) const {
    std::string result;
    for (const Piece& piece : pieces) {
      if (!piece.decision) {
        result += piece.text;
      } else if (const double code = a.candidate()[first(a) + *piece.decision]; !std::isnan(code)) {
        result += piece.position ? shortest(code - tree_[*piece.decision].minimum) : tree_.format(*piece.decision, code);
      }
    }
    return result;
  }

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

  /// Of all but the derived ones.
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
    return fixed_[i - tree_.size() - 2].second;
  }

  /// Each that it needs once, in order, and the network counted at most once for each count.
  double derived(const Assignment& a, std::size_t last) const {
    const std::size_t counts = tree_.size(), begin = counts + 2 + fixed_.size();
    std::vector<bool> needed(last + 1, false);
    needed[last] = true;
    for (std::size_t i = last + 1; i-- > 0;) {
      if (!needed[i]) continue;
      for (const std::size_t of : derived_[i].reads) {
        if (of >= begin) needed[of - begin] = true;
      }
    }
    std::vector<double> values(last + 1, std::numeric_limits<double>::quiet_NaN());
    std::array<std::optional<double>, 2> counted_once;
    const Expression::Reader read = [&](std::size_t of) {
      if (of >= begin) return values[of - begin];
      if (of != counts && of != counts + 1) return symbol(a, of);
      std::optional<double>& known = counted_once[of - counts];
      if (!known) known = symbol(a, of);
      return *known;
    };
    for (std::size_t i = 0; i <= last; ++i) {
      if (needed[i]) values[i] = derived_[i].expression.evaluate(read);
    }
    return values[last];
  }

  Fingerprint inputs_;
  std::vector<SpaceNode> decisions_;
  Program program_;
  Space tree_;  ///< of the decisions alone: their order is that of the candidate's part
  std::vector<std::pair<std::string, double>> fixed_;  ///< parameters that are numbers and not searched
  std::vector<Symbol> names_;
  std::vector<Derived> derived_;
  std::vector<std::string> constraints_;
  std::vector<std::pair<std::string, std::vector<Piece>>> labels_;
};

}  // namespace

NetworkTemplate NetworkTemplate::parse(const Config& config) {
  NetworkTemplate result;
  result.definition_ = std::make_shared<const Definition>(config);
  return result;
}

NetworkTemplate NetworkTemplate::read(const Config& config) {
  NetworkTemplate result = parse(config);
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
  std::vector<std::pair<std::string, double>> fixed;
  for (const ParameterChoice& one : choices) {
    if (one.node.kind == SpaceNode::Kind::ordinal && one.node.values.size() == 1) fixed.emplace_back(one.node.name, one.node.values.front());
    const bool single = one.node.kind == SpaceNode::Kind::integer && one.node.minimum == one.node.maximum;
    if (single) fixed.emplace_back(one.node.name, one.node.minimum);
  }
  CompiledNetwork compiled = compile_network(definition_->network, definition_->body, definition_->blocks, library().blocks,
                                             choices, definition_->words);
  return std::make_unique<TemplatePart>(std::move(compiled), std::move(fixed), definition_->derived, definition_->constraints,
                                        definition_->labels, definition_->file);
}

const std::string& NetworkTemplate::name() const { return definition_->name; }
const std::string& NetworkTemplate::summary() const { return definition_->summary; }
const std::string& NetworkTemplate::source() const { return definition_->source; }
std::span<const TemplateParameter> NetworkTemplate::parameters() const { return definition_->parameters; }

NetworkTemplate NetworkTemplate::load(std::string_view name) {
  return read(Config::parse(std::string(network_template_text(name)), std::string(name) + ".yaml"));
}

NetworkTemplate NetworkTemplate::load(const Config& name_or_file) {
  if (const auto file = template_file(name_or_file)) {
    NetworkTemplate result = read(*file);
    auto definition = std::make_shared<Definition>(*result.definition_);
    definition->file = Hasher().add(std::string_view(file->canonical())).finish();
    result.definition_ = std::move(definition);
    return result;
  }
  const std::string& text = name_or_file.text();
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

SpacePlugin NetworkTemplate::plugin(const Header& header, std::function<NetworkTemplate()> make) {
  SpacePlugin plugin{.name = header.name, .summary = header.summary, .source = header.source, .options = {}, .create = {}};
  for (const TemplateParameter& parameter : header.parameters) {
    std::vector<std::string> search;
    for (const double value : parameter.search) search.push_back(parameter.words.empty() ? shortest(value) : parameter.format(value));
    plugin.options.push_back({.name = parameter.name,
                              .kind = Option::Kind::config,
                              .fallback = search.size() == 1 ? search.front() : fmt::format("[{}]", fmt::join(search, ", ")),
                              .sentence = parameter.sentence});
  }
  plugin.create = [make = std::move(make)](const Options& options) {
    const NetworkTemplate from = make();
    std::map<std::string, Config, std::less<>> settings;
    for (const TemplateParameter& parameter : from.parameters()) {
      if (options.given(parameter.name)) settings.emplace(parameter.name, *options.config(parameter.name));
    }
    return from.part(settings);
  };
  return plugin;
}

SpacePlugin NetworkTemplate::plugin() const {
  return plugin(*definition_, [self = *this] { return self; });
}

std::vector<SpacePlugin> NetworkTemplate::built_in() {
  // Only what a list of plug-ins shows is read now: duet starts faster.
  static const std::vector<SpacePlugin> plugins = [] {
    std::vector<SpacePlugin> result;
    for (const std::string& name : network_template_names()) {
      const Config config = Config::parse(std::string(network_template_text(name)), name + ".yaml");
      result.push_back(plugin(Header(config), [config] { return parse(config); }));
    }
    return result;
  }();
  return plugins;
}

std::vector<SpacePlugin> network_template_spaces() { return NetworkTemplate::built_in(); }

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
