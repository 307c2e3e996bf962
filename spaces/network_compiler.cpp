#include "spaces/network_compiler.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "core/errors.hpp"
#include "core/expression.hpp"
#include "core/units.hpp"

namespace duet {
namespace {

constexpr std::size_t max_statements = 100'000;
constexpr std::size_t max_copies = 10'000;
constexpr std::size_t max_depth = 200;     // of bodies within bodies, blocks included
constexpr std::size_t max_names = 1'000;   // of a body
constexpr std::size_t max_path = 512;      // letters
constexpr std::size_t max_decisions = 2'000;
constexpr double max_exact = 9007199254740992.0;

/// A number or a word that a name stands for.
struct Value {
  Term term;
  bool word = false;
};

/// The value that flows from statement to statement.
struct Cursor {
  static constexpr Register nothing = std::numeric_limits<Register>::max();
  Register at = nothing;
  std::optional<Shape> shape = {};  ///< where it does not depend on decisions
  bool exists() const { return at != nothing; }
};

/// Names that are known in a body: those it defines and those of the bodies around it.
struct Scope {
  const Scope* outer = nullptr;
  std::vector<std::pair<std::string, Value>> names = {};
  std::vector<std::pair<std::string, Cursor>> values = {};

  const Value* find(std::string_view name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->outer) {
      for (auto entry = scope->names.rbegin(); entry != scope->names.rend(); ++entry) {
        if (entry->first == name) return &entry->second;
      }
    }
    return nullptr;
  }
  const Cursor* find_value(std::string_view name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->outer) {
      for (const auto& [known, cursor] : scope->values) {
        if (known == name) return &cursor;
      }
    }
    return nullptr;
  }
};

/// Where nodes get their names: "layer3.mbconv", and how often each was given.
struct Naming {
  std::string path;
  std::map<std::string, unsigned, std::less<>> used = {};
  std::set<std::string, std::less<>> given = {};

  std::string below(const std::string& name) const { return path.empty() ? name : path + "." + name; }
};

/// Where decisions go.
struct Tree {
  std::string path;
  std::vector<SpaceNode>* nodes = nullptr;
  std::string below(const std::string& name) const { return path.empty() ? name : path + "." + name; }
};

/// What a body is translated in.
struct Frame {
  Scope* scope = nullptr;
  Naming* naming = nullptr;
  Tree tree;
  Steps* steps = nullptr;
  const Blocks* blocks = nullptr;
};

bool same(const SpaceNode& a, const SpaceNode& b);
bool same(const std::vector<SpaceNode>& a, const std::vector<SpaceNode>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const SpaceNode& x, const SpaceNode& y) { return same(x, y); });
}
bool same(const SpaceNode& a, const SpaceNode& b) {
  return a.kind == b.kind && a.name == b.name && a.unit == b.unit && a.values == b.values && a.minimum == b.minimum &&
         a.maximum == b.maximum && a.logarithmic == b.logarithmic && same(a.children, b.children) && same(a.count, b.count) &&
         std::equal(a.options.begin(), a.options.end(), b.options.begin(), b.options.end(),
                    [](const OptionNode& x, const OptionNode& y) { return x.name == y.name && same(x.children, y.children); });
}

const std::vector<std::pair<std::string, Dimension>>& dimensions() {
  static const std::vector<std::pair<std::string, Dimension>> all{{"in.channels", Dimension::channels},
                                                                  {"in.height", Dimension::height},
                                                                  {"in.width", Dimension::width},
                                                                  {"in.features", Dimension::features},
                                                                  {"in.length", Dimension::length}};
  return all;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_part(char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '.'; }

/// The names that an expression may mention.
std::vector<std::string_view> names_in(std::string_view text) {
  std::vector<std::string_view> names;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    while (end < text.size() && is_part(text[end])) ++end;
    if (end > at && is_letter(text[at])) names.push_back(text.substr(at, end - at));
    at = end > at ? end : at + 1;
  }
  return names;
}

class Compiler {
 public:
  Compiler(const Blocks& blocks, const Blocks& library, const std::set<std::string>& words) : blocks_(blocks), library_(library) {
    for (const std::string& word : words) word_of(word);
    for (const OperatorKind& kind : operator_kinds()) {
      for (const OperatorAttribute& attribute : kind.attributes) {
        for (const std::string& word : attribute.words) word_of(word);
      }
    }
  }

  CompiledNetwork compile(const Config& network, const Body& body, const std::vector<ParameterChoice>& parameters) {
    Scope scope;
    Naming naming;
    Steps steps;
    Frame frame{&scope, &naming, {"", &decisions_}, &steps, &blocks_};
    for (const ParameterChoice& parameter : parameters) declare(parameter, frame);
    parameters_ = &scope;
    Scope inner{&scope};
    frame.scope = &inner;
    const Cursor result = statements(body, frame, {}, false);
    if (!result.exists()) network.fail("the network has no nodes: begin with input: [channels, height, width]");
    program_.steps = std::move(steps);
    program_.result = result.at;
    program_.registers = registers_;
    program_.slots = slots_;
    program_.most_nodes = std::min<std::size_t>(longest(program_.steps), 4096);
    try {
      const Space space(decisions_);
      for (const std::string& path : program_.decisions) program_.parameters.push_back(space.at(path));
    } catch (const ConfigError& error) {
      network.fail(error.what());
    }
    return {std::move(decisions_), std::move(program_)};
  }

 private:
  // --- Words, registers, slots, names.

  double word_of(const std::string& word) {
    const auto [entry, fresh] = word_codes_.emplace(word, program_.words.size());
    if (fresh) program_.words.push_back(word);
    return static_cast<double>(entry->second);
  }
  const std::string& text_of(const Value& word) const { return program_.words[static_cast<std::size_t>(word.term.value)]; }

  Register new_register() { return registers_++; }
  std::uint32_t new_slot() { return slots_++; }

  static Value known(double number, bool word = false) { return {{.value = number}, word}; }

  void count_statement(const Config& place, std::size_t statements = 1) {
    statements_ += statements;
    if (statements_ > max_statements) {
      place.fail(fmt::format("the template expands to more than {} statements", max_statements));
    }
  }

  std::size_t decision(const std::string& path, const Config& place) {
    if (!paths_.insert(path).second) place.fail(fmt::format("there is a decision '{}' already", path));
    if (path == "macs" || path == "parameters") place.fail(fmt::format("'{}' is a quantity of every network; choose another name", path));
    if (program_.decisions.size() >= max_decisions) place.fail(fmt::format("the template has more than {} decisions", max_decisions));
    if (path.size() > max_path) place.fail(fmt::format("the decision's name has more than {} letters", max_path));
    program_.decisions.push_back(path);
    return program_.decisions.size() - 1;
  }

  void define(Scope& scope, const std::string& name, Value value, const Config& place) {
    if (scope.find(name) != nullptr) {
      place.fail(fmt::format("'{}' is defined already; a name has one meaning in a body and the bodies inside it", name));
    }
    if (scope.names.size() >= max_names) place.fail(fmt::format("a body defines more than {} names", max_names));
    scope.names.emplace_back(name, std::move(value));
  }

  /// The name of a statement's nodes below the body's own.
  std::string claim(Naming& naming, std::string name, const std::string& standard, const Config& place) {
    if (name.empty()) {
      unsigned& number = naming.used[standard];
      do {
        ++number;
        name = number == 1 ? standard : standard + std::to_string(number);
      } while (naming.given.count(name) > 0);
    }
    claim_exactly(naming, name, place);
    return name;
  }
  void claim_exactly(Naming& naming, const std::string& name, const Config& place) {
    if (!naming.given.insert(name).second) place.fail(fmt::format("the name '{}' is taken by another statement of the body", name));
    if (naming.path.size() + name.size() > max_path) place.fail(fmt::format("the name '{}...' has more than {} letters", naming.path.substr(0, 40), max_path));
  }

  // --- Expressions.

  static std::optional<Dimension> dimension_named(std::string_view name) {
    for (const auto& [known, dimension] : dimensions()) {
      if (known == name) return dimension;
    }
    return std::nullopt;
  }

  std::optional<Term> dimension_term(std::string_view name, const Cursor& in, const Config& place) const {
    const std::optional<Dimension> dimension = dimension_named(name);
    if (!dimension) return std::nullopt;
    if (!in.exists()) place.fail(fmt::format("'{}': there is no value yet", name));
    if (!in.shape) return Term{.kind = Term::Kind::dimension, .dimension = *dimension, .index = in.at};
    const double value = dimension_of(*in.shape, *dimension);
    if (std::isnan(value)) place.fail(fmt::format("'{}': the value {} has none", name, to_string(*in.shape)));
    return Term{.value = value};
  }

  std::vector<std::string> names_known(const Scope& scope) const {
    std::vector<std::string> names;
    for (const Scope* at = &scope; at != nullptr; at = at->outer) {
      for (const auto& entry : at->names) names.push_back(entry.first);
    }
    for (const auto& entry : dimensions()) names.push_back(entry.first);
    return names;
  }

  /// A number; what is known already is computed.
  Term expression(const Config& config, const Frame& frame, const Cursor& in) {
    const std::string& text = config.text();
    if (const auto number = parse_number(text)) return {.value = *number};
    std::vector<std::string_view> mentioned;
    std::vector<Term> terms;
    std::vector<bool> is_word;
    std::string key = text;  // the same text over the same kinds of names is the same expression
    for (const std::string_view name : names_in(text)) {
      if (std::find(mentioned.begin(), mentioned.end(), name) != mentioned.end()) continue;
      const Value* value = frame.scope->find(name);
      const std::optional<Term> term = value != nullptr ? value->term : dimension_term(name, in, config);
      if (!term) continue;
      mentioned.push_back(name);
      terms.push_back(*term);
      is_word.push_back(value != nullptr && value->word);
      key.append(is_word.back() ? "\nword " : "\nnumber ").append(name);
    }
    auto parsed = expressions_.find(key);
    if (parsed == expressions_.end()) parsed = expressions_.emplace(key, parse(config, mentioned, is_word, *frame.scope)).first;
    const Expression& read = parsed->second;
    bool constant = true;
    for (const std::size_t symbol : read.reads()) {
      constant = constant && terms[symbol].constant();
      if (text == mentioned[symbol] && is_word[symbol]) config.fail(fmt::format("'{}' is a word; a number was expected", text));
    }
    if (constant) {
      const double value = read.evaluate([&terms](std::size_t symbol) { return terms[symbol].value; });
      if (std::isnan(value)) config.fail(fmt::format("'{}' has no value", text));
      return {.value = value};
    }
    if (text == mentioned.front()) return terms.front();
    return {.kind = Term::Kind::formula, .formula = std::make_shared<const Formula>(Formula{read, std::move(terms)})};
  }

  Expression parse(const Config& config, const std::vector<std::string_view>& names, const std::vector<bool>& is_word, const Scope& scope) const {
    const auto symbol = [this](std::string_view name, bool word) {
      return Symbol{std::string(name), word ? program_.words : std::vector<std::string>{}};
    };
    std::vector<Symbol> symbols;
    for (std::size_t i = 0; i < names.size(); ++i) symbols.push_back(symbol(names[i], is_word[i]));
    try {
      return Expression::parse(config, symbols);
    } catch (const ConfigError&) {
      // Once more with all the names there are, for the sake of the message.
      symbols.clear();
      for (const std::string& name : names_known(scope)) {
        const Value* value = scope.find(name);
        symbols.push_back(symbol(name, value != nullptr && value->word));
      }
      Expression::parse(config, symbols);
      throw;
    }
  }

  /// The word that a scalar is, or nothing: a name that stands for one, or in quotes, or `literal` words as they are.
  std::optional<Value> word(const Config& config, const Frame& frame, bool literal) {
    if (!config.is_scalar()) return std::nullopt;
    const std::string& text = config.text();
    if (text.empty() || !is_letter(text.front()) || !std::all_of(text.begin(), text.end(), is_part)) return std::nullopt;
    if (config.quoted()) return known(word_of(text), true);  // longer texts in quotes are expressions that YAML needs quotes for
    if (const Value* value = frame.scope->find(text)) return value->word ? std::optional<Value>(*value) : std::nullopt;
    if (text == "true" || text == "false" || !literal || text.find('.') != std::string::npos) return std::nullopt;
    return known(word_of(text), true);
  }

  /// A number or a word. Bare words that are no names count as words if `literal`.
  Value value(const Config& config, const Frame& frame, const Cursor& in, bool literal) {
    if (auto found = word(config, frame, literal)) return *found;
    if (!config.is_scalar()) config.fail("expected a value: a number, a word or an expression");
    return {expression(config, frame, in)};
  }

  double constant(const Config& config, const Frame& frame, const Cursor& in, std::string_view what) {
    const Term term = expression(config, frame, in);
    if (!term.constant()) config.fail(fmt::format("'{}' depends on a decision; {} must be known without", config.text(), what));
    return term.value;
  }

  static double whole(double number, const Config& config, std::string_view what) {
    if (number != std::floor(number) || !(std::abs(number) <= max_exact)) {
      const std::string computed = parse_number(config.text()) ? "" : fmt::format(" ('{}')", config.text());
      config.fail(fmt::format("{} must be a whole number, not {}{}", what, shortest(number), computed));
    }
    return number;
  }

  // --- Parameters of the template.

  void declare(const ParameterChoice& parameter, Frame& frame) {
    const SpaceNode& node = parameter.node;
    const bool word = node.kind == SpaceNode::Kind::choice;
    std::vector<double> values = node.values;
    for (const OptionNode& option : node.options) values.push_back(word_of(option.name));
    define(*frame.scope, node.name, decide(node, std::move(values), word, frame, parameter.place), parameter.place);
  }

  /// Makes a decision, unless there is but one value.
  Value decide(const SpaceNode& node, std::vector<double> values, bool word, Frame& frame, const Config& place) {
    if (values.size() == 1) return known(values.front(), word);
    if (values.empty() && node.kind == SpaceNode::Kind::integer && node.minimum == node.maximum) return known(node.minimum);
    const Decide step{.slot = new_slot(), .decision = decision(frame.tree.below(node.name), place), .values = std::move(values)};
    frame.tree.nodes->push_back(node);
    frame.steps->push_back({step});
    return {{.kind = Term::Kind::slot, .index = step.slot}, word};
  }

  // --- Statements.

  Cursor statements(const Body& body, Frame& frame, Cursor current, bool holds_alone) {
    const auto makes = [](const Statement& s) {
      return s.kind != Statement::Kind::let && s.kind != Statement::Kind::choose && s.kind != Statement::Kind::wire;
    };
    const bool alone = holds_alone && std::count_if(body.begin(), body.end(), makes) == 1;
    if (++depth_ > max_depth && !body.empty()) body.front().config.fail(fmt::format("bodies and blocks are nested deeper than {}", max_depth));
    for (const Statement& s : body) current = statement(s, frame, current, alone);
    --depth_;
    return current;
  }

  Cursor statement(const Statement& s, Frame& frame, const Cursor& current, bool alone) {
    count_statement(s.config);
    std::vector<Cursor> inputs;
    for (const Config& name : s.from) {
      const Cursor* found = frame.scope->find_value(name.text());
      if (found == nullptr) {
        std::vector<std::string> names;
        for (const Scope* scope = frame.scope; scope != nullptr; scope = scope->outer) {
          for (const auto& entry : scope->values) names.push_back(entry.first);
        }
        name.fail(fmt::format("there is no value '{}'{}", name.text(), hint(name.text(), names)));
      }
      inputs.push_back(*found);
    }
    if (s.from.empty()) inputs.push_back(current);

    Cursor result;
    const Term condition = s.when ? expression(*s.when, frame, inputs.front()) : Term{.value = 1};
    if (condition.constant()) {
      result = condition.value != 0 ? perform(s, frame, inputs, alone) : current;
    } else {
      result = perhaps(s, condition, frame, inputs, current, alone);
    }
    if (!s.as.empty()) {
      if (!result.exists()) s.config.fail(fmt::format("there is no value yet that '{}' could name", s.as));
      if (frame.scope->values.size() >= max_names) s.config.fail(fmt::format("a body names more than {} values", max_names));
      if (frame.scope->find_value(s.as) != nullptr) s.config.fail(fmt::format("there is a value '{}' already", s.as));
      frame.scope->values.emplace_back(s.as, result);
    }
    return result;
  }

  /// A statement whose condition depends on decisions.
  Cursor perhaps(const Statement& s, const Term& condition, Frame& frame, const std::vector<Cursor>& inputs, const Cursor& current,
                 bool alone) {
    if (!current.exists()) s.when->fail("the first statement cannot depend on a decision");
    if (s.kind == Statement::Kind::let) s.when->fail(unknown_condition(*s.when, "names"));
    Steps body;
    Frame inner = frame;
    inner.steps = &body;
    const std::size_t decisions = program_.decisions.size();
    const Cursor made = perform(s, inner, inputs, alone);
    if (program_.decisions.size() != decisions) s.when->fail(unknown_condition(*s.when, "decisions"));
    Cursor result{new_register(), made.shape == current.shape ? made.shape : std::nullopt};
    body.push_back({Move{made.at, result.at}});
    frame.steps->push_back({Move{current.at, result.at}});
    frame.steps->push_back({When{condition, std::move(body)}});
    return result;
  }

  static std::string unknown_condition(const Config& when, std::string_view what) {
    return fmt::format("'{}' depends on a decision, and what it leaves out has {} of its own: make it an option of a choice", when.text(), what);
  }

  Cursor perform(const Statement& s, Frame& frame, const std::vector<Cursor>& inputs, bool alone) {
    if (s.format.empty()) return bare(s, frame, inputs, alone);
    Formatted formatted;
    for (const Setting& setting : s.format) {
      Term& term = setting.name == "weight_bits"       ? formatted.weight_bits
                   : setting.name == "activation_bits" ? formatted.activation_bits
                   : setting.name == "density"         ? formatted.density
                                                       : formatted.sparsity_group;
      term = expression(setting.value, frame, inputs.front());
    }
    Frame inner = frame;
    inner.steps = &formatted.body;
    const Cursor result = bare(s, inner, inputs, alone);
    frame.steps->push_back({std::move(formatted)});
    return result;
  }

  Cursor bare(const Statement& s, Frame& frame, const std::vector<Cursor>& inputs, bool alone) {
    switch (s.kind) {
      case Statement::Kind::operation: return operation(s, frame, inputs, alone);
      case Statement::Kind::call: return call(s, frame, inputs.front(), alone);
      case Statement::Kind::parallel: return parallel(s, frame, inputs.front());
      case Statement::Kind::choice: return choice_of(s, frame, inputs.front(), alone);
      case Statement::Kind::choose: choose(s, frame, inputs.front()); break;
      case Statement::Kind::let:
        for (const Setting& setting : s.settings) let(setting, frame, inputs.front());
        break;
      case Statement::Kind::repeat: return repeat_of(s, frame, inputs.front());
      case Statement::Kind::wire: break;
    }
    return inputs.front();
  }

  void let(const Setting& setting, Frame& frame, const Cursor& in) {
    define(*frame.scope, setting.name, stored(value(setting.value, frame, in, true), frame), setting.value);
  }

  /// Computed once, where it is not known.
  Value stored(Value value, Frame& frame) {
    if (value.term.kind != Term::Kind::formula && value.term.kind != Term::Kind::dimension) return value;
    const std::uint32_t slot = new_slot();
    frame.steps->push_back({Assign{slot, std::move(value.term)}});
    return {{.kind = Term::Kind::slot, .index = slot}, value.word};
  }

  void choose(const Statement& s, Frame& frame, const Cursor& in) {
    const auto [node, values, is_word] = domain(s, s.word, frame, in);
    define(*frame.scope, s.word, decide(node, values, is_word, frame, s.config), s.config);
  }

  struct Domain {
    SpaceNode node;
    std::vector<double> values;
    bool word = false;
  };

  /// What `choose` chooses from.
  Domain domain(const Statement& s, const std::string& name, const Frame& frame, const Cursor& in) {
    if (s.range) {
      const Config first = s.range->at(std::size_t{0}), second = s.range->at(std::size_t{1});
      const auto bound = [&](const Config& config) { return whole(constant(config, frame, in, "a bound"), config, "a bound"); };
      const double low = bound(first), high = bound(second);
      if (low > high) s.range->fail("the lower bound is above the upper one");
      if (s.logarithmic && low <= 0) s.range->fail("a logarithmic range begins above 0");
      return {integer(name, static_cast<std::int64_t>(low), static_cast<std::int64_t>(high), s.unit, s.sentence, s.logarithmic), {}, false};
    }
    Domain result;
    count_statement(s.config, s.values->size());
    std::vector<std::string> words;
    std::set<std::string> seen;
    for (const Config& item : s.values->items()) {
      if (s.unit != "1") {
        result.values.push_back(item.quantity(s.unit));
      } else {
        const Value one = value(item, frame, in, true);
        if (!one.term.constant()) item.fail(fmt::format("'{}' depends on a decision; what there is to choose from must be known without", item.text()));
        if (result.values.empty()) result.word = one.word;
        if (one.word != result.word) item.fail("numbers and words cannot be mixed");
        result.values.push_back(one.term.value);
        if (one.word) {
          words.push_back(text_of(one));
          if (!seen.insert(words.back()).second) item.fail(fmt::format("'{}' is there twice", words.back()));
        }
      }
      const std::size_t count = result.values.size();
      if (!result.word && count > 1 && !(result.values[count - 2] < result.values[count - 1])) item.fail("values must ascend, each once");
    }
    result.node = result.word ? choice(name, words, s.sentence) : ordinal(name, result.values, s.unit, s.sentence);
    return result;
  }

  // --- Operators.

  Cursor operation(const Statement& s, Frame& frame, std::vector<Cursor> inputs, bool alone) {
    const OperatorKind& kind = *s.operation;
    const Cursor in = inputs.front();
    if (kind.most_inputs == 0) {
      if (!s.from.empty()) s.config.fail(fmt::format("'{}' takes no value", kind.name));
      inputs.clear();
    } else if (!in.exists()) {
      s.config.fail(fmt::format("'{}' takes a value, but there is none yet: begin with input: [channels, height, width]", kind.name));
    }
    return node(s, frame, inputs, in, alone && !frame.naming->path.empty(), false);
  }

  Cursor node(const Statement& s, Frame& frame, const std::vector<Cursor>& inputs, const Cursor& in, bool unnamed, bool join) {
    const OperatorKind& kind = *s.operation;
    DynamicNode dynamic;
    dynamic.kind = &kind;
    const bool shared = s.kind == Statement::Kind::parallel;  // its name is that of its branches' group
    const std::string given_name = shared ? "" : s.name;
    if (unnamed && given_name.empty()) {
      dynamic.name = frame.naming->path;
    } else {
      dynamic.name = frame.naming->below(claim(*frame.naming, given_name, kind.name, s.config));
    }
    dynamic.batch = kind.name == "input";
    dynamic.join = join;
    bool fixed = !join, attributes_known = true;
    std::vector<const Shape*> shapes;
    for (const Cursor& input : inputs) {
      dynamic.inputs.push_back(input.at);
      fixed = fixed && input.shape.has_value();
      if (input.shape) shapes.push_back(&*input.shape);
    }
    dynamic.attributes.resize(kind.attributes.size());
    std::vector<bool> given(kind.attributes.size(), false);
    for (const Setting& setting : s.settings) {
      for (const std::size_t target : kind.targets(setting.name)) {
        dynamic.attributes[target] = attribute(setting, kind.attributes[target], frame, in);
        given[target] = true;
      }
    }
    for (std::size_t i = 0; i < kind.attributes.size(); ++i) {
      const OperatorAttribute& attribute = kind.attributes[i];
      if (!given[i]) {
        if (!attribute.standard) s.config.fail(fmt::format("'{}' needs '{}'", kind.name, missing_name(kind, i)));
        dynamic.attributes[i].term.value = *attribute.standard;
      }
      attributes_known = attributes_known && dynamic.attributes[i].term.constant();
      for (const Term& term : dynamic.attributes[i].list) attributes_known = attributes_known && term.constant();
    }
    const Register result = new_register();
    dynamic.result = result;
    if (!fixed || !attributes_known) {
      if (attributes_known) dynamic.op = make(dynamic);
      frame.steps->push_back({std::move(dynamic)});
      return {result};
    }
    StaticNode node = fix(dynamic, shapes, s.config);
    Cursor cursor{result, node.node.shape};
    frame.steps->push_back({std::move(node)});
    return cursor;
  }

  static std::string missing_name(const OperatorKind& kind, std::size_t attribute) {
    for (const auto& [name, full] : kind.shorts) {
      if (std::find(full.begin(), full.end(), kind.attributes[attribute].name) != full.end()) return name;
    }
    return kind.attributes[attribute].name;
  }

  DynamicNode::Attribute attribute(const Setting& setting, const OperatorAttribute& attribute, const Frame& frame, const Cursor& in) {
    const Config& config = setting.value;
    DynamicNode::Attribute result;
    switch (attribute.kind) {
      case OperatorAttribute::Kind::list:
        if (config.is_sequence()) count_statement(config, config.size());
        for (const Config& item : config.items(true)) {
          result.list.push_back(expression(item, frame, in));
          if (result.list.back().constant()) whole(result.list.back().value, item, fmt::format("'{}'", setting.name));
        }
        return result;
      case OperatorAttribute::Kind::boolean:
      case OperatorAttribute::Kind::real:
      case OperatorAttribute::Kind::whole:
        if (!config.is_scalar()) config.fail(fmt::format("'{}' must be a number", setting.name));
        result.term = expression(config, frame, in);
        if (attribute.kind == OperatorAttribute::Kind::whole && result.term.constant()) {
          whole(result.term.value, config, fmt::format("'{}'", setting.name));
        }
        return result;
      case OperatorAttribute::Kind::word:
      case OperatorAttribute::Kind::text: break;
    }
    const std::optional<Value> found = word(config, frame, true);
    if (!found) config.fail(fmt::format("'{}' must be a word{}", setting.name, attribute.words.empty() ? "" : fmt::format(": one of {}", fmt::join(attribute.words, ", "))));
    result.term = found->term;
    if (attribute.kind == OperatorAttribute::Kind::text) {
      if (found->term.constant()) result.text = text_of(*found);
      return result;
    }
    const auto position = [&attribute](const std::string& text) {
      const auto at = std::find(attribute.words.begin(), attribute.words.end(), text);
      return at == attribute.words.end() ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(at - attribute.words.begin());
    };
    if (found->term.constant()) {
      const std::string& text = text_of(*found);
      result.term.value = position(text);
      if (std::isnan(result.term.value)) {
        std::vector<std::string> names = attribute.words;
        config.fail(fmt::format("'{}' is not a value of '{}'{}", text, setting.name,
                                text == config.text() || config.quoted() ? hint(text, names) : fmt::format("; known: {}", fmt::join(names, ", "))));
      }
      return result;
    }
    // One for all nodes that have the attribute, made anew only where words have been added since.
    std::shared_ptr<const std::vector<double>>& shared = codes_[&attribute];
    if (!shared || shared->size() != program_.words.size()) {
      std::vector<double> codes;
      codes.reserve(program_.words.size());
      for (const std::string& text : program_.words) codes.push_back(position(text));
      shared = std::make_shared<const std::vector<double>>(std::move(codes));
    }
    result.codes = shared;
    return result;
  }

  static Operator make(const DynamicNode& dynamic) {
    std::vector<AttributeValue> values(dynamic.attributes.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i].number = dynamic.attributes[i].term.value;
      values[i].text = dynamic.attributes[i].text;
      if (dynamic.batch) values[i].list.push_back(1);
      for (const Term& term : dynamic.attributes[i].list) values[i].list.push_back(static_cast<std::int64_t>(term.value));
    }
    return dynamic.kind->make(values);
  }

  /// The operator and its shape, now.
  StaticNode fix(const DynamicNode& dynamic, const std::vector<const Shape*>& shapes, const Config& place) const {
    StaticNode result;
    result.result = dynamic.result;
    result.node.name = dynamic.name;
    result.node.op = make(dynamic);
    for (const Register input : dynamic.inputs) result.node.inputs.push_back(input);
    try {
      Inferred inferred = infer(result.node.name, result.node.op, shapes);
      result.node.shape = std::move(inferred.shape);
      result.parameters = inferred.parameters;
      result.macs = inferred.macs;
    } catch (const NetworkError& error) {
      place.fail(error.what());
    }
    return result;
  }

  // --- Blocks.

  template <class Work>
  auto within(const Statement& s, const std::string& what, const Work& work) {
    try {
      return work();
    } catch (const ConfigError& error) {
      const std::string_view text = error.what();
      if (text.size() > 2000) throw;
      throw ConfigError(fmt::format("{} (in {}, {})", text, what, s.config.position()));
    }
  }

  Cursor call(const Statement& s, Frame& frame, const Cursor& in, bool alone) {
    const BlockDefinition& block = *frame.blocks->find(s.word)->second;
    Scope scope{block.library ? nullptr : parameters_};
    Frame inner = frame;
    inner.scope = &scope;
    inner.blocks = block.library ? &library_ : &blocks_;

    std::vector<std::string> known_arguments;
    for (const BlockArgument& argument : block.arguments) known_arguments.push_back(argument.name);
    for (const Setting& setting : s.settings) {
      if (std::count(known_arguments.begin(), known_arguments.end(), setting.name) == 0) {
        setting.value.fail(fmt::format("'{}' has no argument '{}'{}", block.name, setting.name, hint(setting.name, known_arguments)));
      }
    }
    for (const BlockArgument& argument : block.arguments) {
      const auto given = std::find_if(s.settings.begin(), s.settings.end(), [&](const Setting& one) { return one.name == argument.name; });
      Value bound;
      if (given != s.settings.end()) {
        bound = value(given->value, frame, in, takes_word(argument, given->value));
        check_argument(argument, bound, given->value);
      } else if (argument.standard) {
        bound = within(s, fmt::format("block '{}'", block.name), [&] { return value(*argument.standard, inner, in, true); });
      } else {
        s.config.fail(fmt::format("'{}' needs '{}'", block.name, argument.name));
      }
      // An argument hides a parameter of the template of that name.
      scope.names.emplace_back(argument.name, stored(std::move(bound), frame));
    }

    Naming naming;
    std::vector<SpaceNode> decisions;
    const bool unnamed = alone && s.name.empty();
    std::string name;
    if (!unnamed) {
      name = claim(*frame.naming, s.name, block.name, s.config);
      naming.path = frame.naming->below(name);
      inner.naming = &naming;
      inner.tree = {frame.tree.below(name), &decisions};
    }
    const Cursor result = within(s, fmt::format("block '{}'", block.name), [&] { return statements(block.body, inner, in, true); });
    if (!decisions.empty()) frame.tree.nodes->push_back(group(name, std::move(decisions)));
    return result;
  }

  /// Whether a bare word is taken as it is: not where a number is expected, so that a misspelt name is found.
  static bool takes_word(const BlockArgument& argument, const Config& given) {
    if (!argument.words.empty()) return true;
    if (argument.standard) {
      const std::string& text = argument.standard->is_scalar() ? argument.standard->text() : "";
      return argument.standard->quoted() || (!text.empty() && std::all_of(text.begin(), text.end(), is_part) && is_letter(text.front()) &&
                                             text.find('.') == std::string::npos && text != "true" && text != "false");
    }
    // Of an argument without a default nothing is known: the words of operators will do.
    for (const OperatorKind& kind : operator_kinds()) {
      for (const OperatorAttribute& attribute : kind.attributes) {
        if (given.is_scalar() && std::count(attribute.words.begin(), attribute.words.end(), given.text()) > 0) return true;
      }
    }
    return false;
  }

  void check_argument(const BlockArgument& argument, const Value& value, const Config& place) const {
    if (argument.words.empty()) return;
    const std::vector<std::string>& words = argument.words;
    if (!value.word) place.fail(fmt::format("'{}' must be a word: one of {}", argument.name, fmt::join(words, ", ")));
    if (value.term.constant() && std::count(words.begin(), words.end(), text_of(value)) == 0) {
      place.fail(fmt::format("'{}' is not a value of '{}'{}", text_of(value), argument.name, hint(text_of(value), words)));
    }
  }

  // --- Branches.

  Cursor parallel(const Statement& s, Frame& frame, const Cursor& in) {
    if (!in.exists()) s.config.fail("'parallel' takes a value, but there is none yet: begin with input: [channels, height, width]");
    Naming naming;
    std::vector<SpaceNode> decisions;
    Frame inner = frame;
    if (!s.name.empty()) {
      claim_exactly(*frame.naming, s.name, s.config);
      naming.path = frame.naming->below(s.name);
      inner.naming = &naming;
      inner.tree = {frame.tree.below(s.name), &decisions};
    }
    std::vector<Cursor> results;
    bool join = false;
    for (const Branch& branch : s.branches) {
      count_statement(branch.config);
      const Term condition = branch.when ? expression(*branch.when, frame, in) : Term{.value = 1};
      if (condition.constant() && condition.value == 0) continue;
      Scope scope{frame.scope};
      Steps body;
      Frame own = inner;
      own.scope = &scope;
      if (condition.constant()) {
        results.push_back(statements(branch.body, own, in, false));
        continue;
      }
      join = true;
      own.steps = &body;
      const std::size_t before = program_.decisions.size();
      const Cursor made = statements(branch.body, own, in, false);
      if (program_.decisions.size() != before) branch.when->fail(unknown_condition(*branch.when, "decisions"));
      const Cursor result{new_register(), made.shape};
      body.push_back({Move{made.at, result.at}});
      // A register that was not written says that the branch was left out, and each is written at most once.
      frame.steps->push_back({When{condition, std::move(body)}});
      results.push_back(result);
    }
    if (!decisions.empty()) frame.tree.nodes->push_back(group(s.name, std::move(decisions)));
    if (results.empty()) s.config.fail("no branch remains");
    if (!join && results.size() == 1) return results.front();
    return node(s, inner, results, in, false, join);
  }

  // --- Decisions.

  Cursor choice_of(const Statement& s, Frame& frame, const Cursor& in, bool alone) {
    const std::string path = frame.tree.below(s.word);
    Select step{.decision = decision(path, s.config), .options = {}};
    SpaceNode node = choice(s.word, std::vector<std::string>{}, s.sentence);
    Naming naming;
    Frame inner = frame;
    if (!alone) {
      claim_exactly(*frame.naming, s.word, s.config);
      naming.path = frame.naming->below(s.word);
      inner.naming = &naming;
    }
    const Naming before = *inner.naming;  // options exclude each other: each begins anew
    Cursor result{in.exists() ? new_register() : Cursor::nothing};
    std::vector<std::pair<std::string, std::vector<Value>>> names;
    std::vector<const Branch*> options;
    for (const Branch& option : s.branches) {
      count_statement(option.config);
      if (option.when && constant(*option.when, frame, in, "whether an option exists") == 0) continue;
      options.push_back(&option);
      std::vector<SpaceNode> children;
      Steps body;
      Scope scope{frame.scope};
      inner.scope = &scope;
      inner.steps = &body;
      inner.tree = {path + "." + option.name, &children};
      *inner.naming = before;
      const Cursor made = statements(option.body, inner, in, true);
      if (made.exists() && options.size() == 1 && !result.exists()) result.at = new_register();
      if (made.exists() != result.exists()) {
        s.config.fail(fmt::format("'{}' comes before any value, and only some of its options make one", s.word));
      }
      if (made.exists()) body.push_back({Move{made.at, result.at}});
      result.shape = options.size() == 1 || made.shape == result.shape ? made.shape : std::nullopt;
      for (const Setting& setting : option.values) {
        auto entry = std::find_if(names.begin(), names.end(), [&](const auto& one) { return one.first == setting.name; });
        if (entry == names.end()) entry = names.insert(names.end(), {setting.name, {}});
        entry->second.push_back(value(setting.value, frame, in, true));
        if (entry->second.front().word != entry->second.back().word) {
          setting.value.fail(fmt::format("'{}' is a word in some options and a number in others", setting.name));
        }
      }
      node.options.push_back({option.name, std::move(children)});
      step.options.push_back(std::move(body));
    }
    if (options.empty()) s.config.fail(fmt::format("no option of '{}' remains", s.word));
    for (auto& [name, values] : names) {
      Value meaning = values.front();
      const bool equal = std::all_of(values.begin(), values.end(), [&](const Value& one) {
        return one.term.constant() && meaning.term.constant() && one.term.value == meaning.term.value;
      });
      if (!equal) {
        const std::uint32_t slot = new_slot();
        for (std::size_t i = 0; i < values.size(); ++i) step.options[i].push_back({Assign{slot, values[i].term}});
        meaning.term = {.kind = Term::Kind::slot, .index = slot};
      }
      define(*frame.scope, name, std::move(meaning), s.config);
    }
    frame.tree.nodes->push_back(std::move(node));
    frame.steps->push_back({std::move(step)});
    return result;
  }

  Cursor repeat_of(const Statement& s, Frame& frame, const Cursor& in) {
    // How often.
    std::vector<double> counts;
    Value count;
    std::optional<SpaceNode> searched;
    if (!s.count_name.empty()) {
      const auto [node, values, is_word] = domain(s, s.count_name, frame, in);
      if (is_word) s.values->fail("a count is a whole number");
      counts = values;
      if (values.empty()) {
        for (double value = node.minimum; value <= node.maximum && counts.size() <= max_copies + 1; ++value) counts.push_back(value);
      }
      const Config& place = s.values ? *s.values : *s.range;
      for (const double value : counts) {
        if (value < 0 || value > static_cast<double>(max_copies) || value != std::floor(value)) {
          place.fail(fmt::format("a count is a whole number from 0 to {}, not {}", max_copies, shortest(value)));
        }
      }
      std::vector<SpaceNode> unused;
      Frame apart = frame;
      apart.tree.nodes = &unused;  // the count hangs on the repeat
      count = decide(node, values, false, apart, s.config);
      if (!count.term.constant()) searched = node;
    } else {
      double number = 0;
      if (s.count) {
        number = whole(constant(*s.count, frame, in, "the count of a repeat"), *s.count, "the count");
      } else {
        const auto list = std::find_if(s.settings.begin(), s.settings.end(), [](const Setting& one) { return one.value.is_sequence(); });
        if (list == s.settings.end()) s.config.fail(fmt::format("'{}' needs a count, or a list in 'each'", s.word));
        number = static_cast<double>(list->value.size());
      }
      if (number < 0 || number > static_cast<double>(max_copies)) {
        s.count.value_or(s.config).fail(fmt::format("a count is a whole number from 0 to {}, not {}", max_copies, shortest(number)));
      }
      counts = {number};
      count = known(number);
    }
    const auto copies = static_cast<std::size_t>(counts.back());
    const auto least = static_cast<std::size_t>(counts.front());
    for (const Setting& setting : s.settings) {
      if (setting.value.is_sequence() && setting.value.size() != copies) {
        setting.value.fail(fmt::format("'{}' has {} values for {} copies", setting.name, setting.value.size(), copies));
      }
    }

    Cursor current = in;
    Cursor result = in;
    if (searched && copies > least && !in.exists()) s.config.fail("the first statement cannot depend on a decision");
    bool shape_known = true;
    const auto ends_here = [&](std::size_t copy) { return std::find(counts.begin(), counts.end(), static_cast<double>(copy)) != counts.end(); };
    std::optional<Shape> shape;
    bool any_end = false;
    const auto end = [&](std::size_t copy) {
      if (!ends_here(copy)) return;
      if (!any_end) shape = current.shape;
      shape_known = shape_known && current.shape && shape == current.shape;
      any_end = true;
    };
    end(0);
    std::vector<SpaceNode> first;
    for (std::size_t copy = 1; copy <= copies; ++copy) {
      count_statement(s.config);
      const std::string name = s.word + std::to_string(copy);
      Scope scope{frame.scope};
      scope.names.emplace_back("index", known(static_cast<double>(copy)));
      scope.names.emplace_back("count", count);
      Naming naming;
      claim_exactly(*frame.naming, name, s.config);
      naming.path = frame.naming->below(name);
      std::vector<SpaceNode> nodes;
      Steps body;
      const bool optional = copy > least;
      const Cursor before = current;
      Frame inner = frame;
      inner.scope = &scope;
      inner.naming = &naming;
      inner.tree = {frame.tree.below(name), &nodes};
      if (optional) inner.steps = &body;
      within(s, name, [&] {
        for (const Setting& setting : s.settings) {
          const Value one = setting.value.is_sequence() ? value(setting.value.at(copy - 1), frame, current, true)
                                                        : value(setting.value, inner, current, true);
          define(scope, setting.name, stored(one, inner), setting.value);
        }
        current = statements(s.branches.front().body, inner, current, true);
        return 0;
      });
      if (searched) {
        if (copy == 1) {
          first = nodes;
        } else if (!same(first, nodes)) {
          s.config.fail(fmt::format("the copies of '{}' have different decisions, but their number is searched: {} is not like {}1", s.word, name, s.word));
        }
      } else if (!nodes.empty()) {
        frame.tree.nodes->push_back(group(name, std::move(nodes)));
      }
      if (optional) {
        // Beyond the least count, a register of its own holds whatever came last.
        if (copy == least + 1) {
          result = {new_register()};
          frame.steps->push_back({Move{before.at, result.at}});
        }
        body.push_back({Move{current.at, result.at}});
        const Term condition = at_least(count.term, static_cast<double>(copy));
        frame.steps->push_back({When{condition, std::move(body)}});
      } else {
        result = current;
      }
      end(copy);
    }
    result.shape = shape_known ? shape : std::nullopt;
    if (searched) frame.tree.nodes->push_back(repeat(s.word, *searched, std::move(first), s.sentence));
    return result;
  }

  /// count >= copy
  static Term at_least(const Term& count, double copy) {
    if (count.constant()) return {.value = count.value >= copy ? 1.0 : 0.0};
    const std::vector<Symbol> symbols{{"count"}};
    return {.kind = Term::Kind::formula,
            .formula = std::make_shared<const Formula>(Formula{Expression::parse("count >= " + shortest(copy), symbols), {count}})};
  }

  static std::size_t longest(const Steps& steps) {
    std::size_t nodes = 0;
    for (const Step& step : steps) {
      if (std::holds_alternative<StaticNode>(step.what) || std::holds_alternative<DynamicNode>(step.what)) ++nodes;
      if (const When* when = std::get_if<When>(&step.what)) nodes += longest(when->body);
      if (const Formatted* formatted = std::get_if<Formatted>(&step.what)) nodes += longest(formatted->body);
      if (const Select* select = std::get_if<Select>(&step.what)) {
        std::size_t most = 0;
        for (const Steps& option : select->options) most = std::max(most, longest(option));
        nodes += most;
      }
    }
    return nodes;
  }

  const Blocks& blocks_;
  const Blocks& library_;
  std::map<std::string, std::size_t> word_codes_;
  std::map<std::string, Expression> expressions_;
  std::map<const OperatorAttribute*, std::shared_ptr<const std::vector<double>>> codes_;  ///< from words to the attribute's
  Program program_;
  std::vector<SpaceNode> decisions_;
  std::set<std::string> paths_;
  const Scope* parameters_ = nullptr;
  Register registers_ = 0;
  std::uint32_t slots_ = 0;
  std::size_t statements_ = 0;
  std::size_t depth_ = 0;
};

}  // namespace

CompiledNetwork compile_network(const Config& network, const Body& body, const Blocks& blocks, const Blocks& library,
                                const std::vector<ParameterChoice>& parameters, const std::set<std::string>& words) {
  return Compiler(blocks, library, words).compile(network, body, parameters);
}

}  // namespace duet
