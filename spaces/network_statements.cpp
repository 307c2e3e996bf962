#include "spaces/network_statements.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/units.hpp"

namespace duet {
namespace {

constexpr std::size_t max_name = 64;

bool is_identifier(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !text.empty() && letter(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

using Strings = std::vector<std::string>;
/// What may stand beside any statement.
const Strings common{"when", "from", "as"};
const Strings heads{"parallel", "choice", "choose", "let", "repeat"};

class Reader {
 public:
  explicit Reader(const std::set<std::string, std::less<>>& blocks) : blocks_(blocks) {}

  Body body(const Config& config) const {
    Body result;
    if (config.is_null()) return result;
    if (!config.is_sequence()) {
      result.push_back(statement(config));
      return result;
    }
    for (const Config& item : config.items()) result.push_back(statement(item));
    return result;
  }

 private:
  Strings known_words() const {
    Strings known = heads;
    for (const OperatorKind& kind : operator_kinds()) known.push_back(kind.name);
    known.insert(known.end(), blocks_.begin(), blocks_.end());
    return known;
  }

  [[noreturn]] void fail_unknown(const Config& config, const std::string& word) const {
    const Strings known = known_words();
    const auto meant = nearest(word, known);
    config.fail(fmt::format("unknown operator or block '{}'{}", word, meant ? "; did you mean '" + *meant + "'?" : ""));
  }

  Statement statement(const Config& config) const {
    Statement result{.config = config};
    if (config.is_scalar()) {
      head(result, config.text(), std::nullopt);
      return result;
    }
    if (!config.is_map()) config.fail("expected a statement: an operator, a block, parallel, choice, choose, let or repeat");

    Strings modifiers = common;
    for (const char* more : {"name", "format", "sentence", "branches", "options", "values", "range", "unit", "log", "count", "each", "body"}) {
      modifiers.emplace_back(more);
    }
    std::optional<std::string> word;
    for (const std::string& key : config.keys()) {
      if (std::find(modifiers.begin(), modifiers.end(), key) != modifiers.end()) continue;
      // Attributes of what joins the branches stand beside `parallel`.
      if (config.has("parallel") && (key == "axis" || key == "transpose_b")) continue;
      if (word) {
        const Strings known = known_words();
        const bool second_known = std::find(known.begin(), known.end(), key) != known.end();
        if (!second_known) fail_unknown(config.at(key), key);
        config.fail(fmt::format("a statement is one of '{}' and '{}', not both", *word, key));
      }
      word = key;
    }
    if (!word) {
      for (const std::string& key : config.keys()) {
        if (key != "from" && key != "as" && key != "when") {
          config.fail(fmt::format("'{}' belongs to a statement: which operator or block is it?", key));
        }
      }
      if (config.keys().empty()) config.fail("expected a statement");
    } else {
      head(result, *word, config.at(*word));
    }
    common_keys(result);
    return result;
  }

  void common_keys(Statement& s) const {
    const Config& config = s.config;
    if (const auto when = config.find("when")) s.when = *when;
    if (const auto as = config.find("as")) s.as = read_name(*as);
    if (const auto name = config.find("name")) s.name = read_name(*name);
    if (const auto sentence = config.find("sentence")) s.sentence = read_sentence(*sentence);
    if (const auto from = config.find("from")) {
      s.from = from->items(true);
      if (s.from.empty()) from->fail("expected the name of a value, or a list of them");
      for (const Config& one : s.from) one.text();
      const bool joins = s.kind == Statement::Kind::operation;
      if (s.from.size() > 1 && !joins) s.from[1].fail("only an operator takes several values");
    }
  }

  static const std::string& read_sentence(const Config& config) {
    if (config.text().size() > 500) config.fail("a sentence has at most 500 letters");
    return config.text();
  }

  void allow(const Statement& s, std::initializer_list<const char*> keys) const {
    Strings known = common;
    for (const char* key : keys) known.emplace_back(key);
    s.config.allow_only(known);
  }

  void head(Statement& s, const std::string& word, const std::optional<Config>& value) const {
    if (word == "parallel") return parallel(s, value);
    if (word == "choice") return choice(s, value);
    if (word == "choose") return choose(s, value);
    if (word == "let") return let(s, value);
    if (word == "repeat") return repeat(s, value);
    s.word = word;
    s.operation = find_operator(word);
    // A file's own block comes before an operator of the same name: its definition says so.
    const bool block = blocks_.find(word) != blocks_.end();
    if (!block && s.operation == nullptr) fail_unknown(value && s.config.is_map() ? key_place(s.config, word) : s.config, word);
    s.kind = block ? Statement::Kind::call : Statement::Kind::operation;
    if (!value) return;
    allow(s, {"name", "format", word.c_str()});
    if (const auto format = s.config.find("format")) {
      format->allow_only({"weight_bits", "activation_bits", "density", "sparsity_group"});
      for (const std::string& key : format->keys()) s.format.push_back({key, format->at(key)});
      static const Strings layers{"convolution", "linear", "matmul", "transposed_convolution"};
      if (!block && std::find(layers.begin(), layers.end(), word) == layers.end()) {
        format->fail(fmt::format("'{}' is no layer: formats are of {}, and of blocks", word, fmt::join(layers, ", ")));
      }
    }
    if (value->is_null()) return;
    if (block) {
      if (!value->is_map()) {
        value->fail(fmt::format("expected the arguments of '{}': {{name: value, ...}}", word));
      }
      for (const std::string& key : value->keys()) s.settings.push_back({key, value->at(key)});
      return;
    }
    attributes(s, *value);
  }

  /// Messages about a key point to its value, which is as near as positions come.
  static Config key_place(const Config& config, const std::string& key) {
    const Config value = config.at(key);
    return value.is_null() ? config : value;
  }

  void attributes(Statement& s, const Config& value) const {
    const OperatorKind& kind = *s.operation;
    if (!value.is_map()) {
      if (kind.attributes.empty()) value.fail(fmt::format("'{}' has no attributes", kind.name));
      s.settings.push_back({kind.attributes.front().name, value});
      return;
    }
    for (const std::string& key : value.keys()) attribute(s, key, value.at(key), value);
  }

  void attribute(Statement& s, const std::string& key, const Config& value, const Config& owner) const {
    const OperatorKind& kind = *s.operation;
    const std::vector<std::size_t> targets = kind.targets(key);
    if (targets.empty()) {
      const Strings known = kind.attribute_names();
      if (known.empty()) value.fail(fmt::format("'{}' has no attributes", kind.name));
      owner.fail_unknown_key(key, known, kind.name);
    }
    for (const Setting& earlier : s.settings) {
      const std::vector<std::size_t> taken = kind.targets(earlier.name);
      for (const std::size_t target : targets) {
        if (std::find(taken.begin(), taken.end(), target) != taken.end()) {
          value.fail(fmt::format("'{}' is given by '{}' already", kind.attributes[target].name, earlier.name));
        }
      }
    }
    s.settings.push_back({key, value});
  }

  void parallel(Statement& s, const std::optional<Config>& value) const {
    if (!value) s.config.fail("expected parallel: add, multiply, concat or matmul, and branches");
    s.kind = Statement::Kind::parallel;
    s.word = value->one_of(Strings{"add", "multiply", "concat", "matmul"});
    s.operation = find_operator(s.word);
    allow(s, {"parallel", "branches", "name", "axis", "transpose_b"});
    for (const char* key : {"axis", "transpose_b"}) {
      if (const auto given = s.config.find(key)) attribute(s, key, *given, s.config);
    }
    const Config branches = s.config.at("branches");
    if (!branches.is_sequence()) branches.fail("expected a list of branches");
    for (const Config& item : branches.items()) s.branches.push_back(branch("", item));
    if (s.branches.empty()) branches.fail("expected a list of branches");
  }

  /// A body, or {when: condition, body: body}.
  Branch branch(const std::string& name, const Config& config) const {
    Branch result(name, config);
    if (config.is_map() && (config.has("body") || is_only(config, "when")) && !config.has("repeat")) {
      config.allow_only({"when", "body"});
      result.when = config.find("when");
      if (const auto inner = config.find("body")) result.body = body(*inner);
    } else {
      result.body = body(config);
    }
    return result;
  }

  static bool is_only(const Config& config, std::string_view key) {
    const Strings keys = config.keys();
    return keys.size() == 1 && keys.front() == key;
  }

  void choice(Statement& s, const std::optional<Config>& value) const {
    if (!value) s.config.fail("expected choice: NAME, and options");
    s.kind = Statement::Kind::choice;
    s.word = read_name(*value);
    allow(s, {"choice", "options", "sentence"});
    const Config options = s.config.at("options");
    if (!options.is_map() || options.keys().empty()) options.fail("expected the options: {NAME: statements, ...}");
    for (const std::string& name : options.keys()) {
      const Config option = options.at(name);
      if (name.size() > max_name) option.fail(fmt::format("the name '{}...' is longer than {} letters", name.substr(0, 20), max_name));
      if (option.is_map() && !option.has("body")) {
        Branch values(name, option);
        for (const std::string& key : option.keys()) {
          check_name(key, option.at(key));
          values.values.push_back({key, option.at(key)});
        }
        s.branches.push_back(std::move(values));
      } else {
        s.branches.push_back(branch(name, option));
      }
    }
    // The names that one option defines, all have to.
    const auto names = [](const Branch& option) {
      Strings result;
      for (const Setting& setting : option.values) result.push_back(setting.name);
      std::sort(result.begin(), result.end());
      return result;
    };
    const Strings first = names(s.branches.front());
    for (const Branch& option : s.branches) {
      if (names(option) == first) continue;
      option.config.fail(fmt::format("the options of '{}' must define the same names: {{{}}} here, {{{}}} in '{}'", s.word,
                                     fmt::join(names(option), ", "), fmt::join(first, ", "), s.branches.front().name));
    }
  }

  void domain(Statement& s, const Config& config) const {
    s.values = config.find("values");
    s.range = config.find("range");
    if (s.values.has_value() == s.range.has_value()) config.fail("expected values: [...] or range: [low, high]");
    if (s.values && (!s.values->is_sequence() || s.values->size() == 0)) s.values->fail("expected a list of values");
    if (s.range && (!s.range->is_sequence() || s.range->size() != 2)) s.range->fail("expected [low, high]");
    if (const auto log = config.find("log")) {
      if (!s.range) log->fail("'log' belongs to a range");
      s.logarithmic = log->boolean();
    }
    if (const auto unit = config.find("unit")) {
      s.unit = unit->text();
      if (!is_known_unit(s.unit)) unit->fail("unknown unit '" + s.unit + "'");
    }
  }

  void choose(Statement& s, const std::optional<Config>& value) const {
    if (!value) s.config.fail("expected choose: NAME, and values or a range");
    s.kind = Statement::Kind::choose;
    s.word = read_name(*value);
    allow(s, {"choose", "values", "range", "log", "unit", "sentence"});
    domain(s, s.config);
  }

  void let(Statement& s, const std::optional<Config>& value) const {
    if (!value || !value->is_map() || value->keys().empty()) {
      value.value_or(s.config).fail("expected let: {name: expression, ...}");
    }
    s.kind = Statement::Kind::let;
    allow(s, {"let"});
    for (const std::string& key : value->keys()) {
      check_name(key, value->at(key));
      s.settings.push_back({key, value->at(key)});
    }
  }

  void repeat(Statement& s, const std::optional<Config>& value) const {
    if (!value) s.config.fail("expected repeat: NAME, count or each, and a body");
    s.kind = Statement::Kind::repeat;
    s.word = read_name(*value);
    allow(s, {"repeat", "count", "each", "body", "sentence"});
    if (const auto count = s.config.find("count")) {
      if (count->is_map()) {
        count->allow_only({"choose", "values", "range", "log", "sentence"});
        s.count_name = read_name(count->at("choose"));
        domain(s, *count);
        if (const auto sentence = count->find("sentence")) s.sentence = read_sentence(*sentence);
      } else {
        s.count = *count;
      }
    }
    if (const auto each = s.config.find("each")) {
      if (!each->is_map()) each->fail("expected each: {name: [values], ...}");
      for (const std::string& key : each->keys()) {
        check_name(key, each->at(key));
        s.settings.push_back({key, each->at(key)});
      }
    }
    Branch inner("", s.config.at("body"));
    inner.body = body(inner.config);
    s.branches.push_back(std::move(inner));
  }

  const std::set<std::string, std::less<>>& blocks_;
};

std::set<std::string, std::less<>> names_of(const Blocks& blocks) {
  std::set<std::string, std::less<>> names;
  for (const auto& [name, block] : blocks) names.insert(name);
  return names;
}

/// The blocks that a body calls, in order, each with the place of the call.
void calls_of(const Body& body, std::vector<const Statement*>& calls) {
  for (const Statement& s : body) {
    if (s.kind == Statement::Kind::call) calls.push_back(&s);
    for (const Branch& branch : s.branches) calls_of(branch.body, calls);
  }
}

/// Finds a block that contains itself; a walk with a stack of its own, as a file may have a long chain of blocks.
void refuse_recursion(const Blocks& blocks) {
  enum class State { begun, done };
  std::map<std::string, State, std::less<>> state;
  struct Visit {
    const BlockDefinition* block;
    std::vector<const Statement*> calls;
    std::size_t next = 0;
  };
  for (const auto& [start, first] : blocks) {
    if (state.count(start) > 0) continue;
    std::vector<Visit> path;
    const auto enter = [&](const BlockDefinition* block) {
      state[block->name] = State::begun;
      path.push_back({block, {}});
      calls_of(block->body, path.back().calls);
    };
    enter(first.get());
    while (!path.empty()) {
      Visit& visit = path.back();
      if (visit.next == visit.calls.size()) {
        state[visit.block->name] = State::done;
        path.pop_back();
        continue;
      }
      const Statement& call = *visit.calls[visit.next++];
      const auto known = state.find(call.word);
      if (known == state.end()) {
        const BlockDefinition* block = blocks.find(call.word)->second.get();
        if (!block->library || first->library) enter(block);  // library blocks use only each other
      } else if (known->second == State::begun) {
        std::string chain;
        bool inside = false;
        for (const Visit& step : path) {
          inside = inside || step.block->name == call.word;
          if (inside && chain.size() < 200) chain += "'" + step.block->name + "' uses ";
        }
        call.config.fail(fmt::format("a block cannot contain itself: {}'{}'", chain, call.word));
      }
    }
  }
}

}  // namespace

Branch::Branch(std::string option, Config place) : name(std::move(option)), config(std::move(place)) {}

bool is_reserved(std::string_view name) {
  constexpr std::array<std::string_view, 8> reserved{"in", "index", "count", "and", "or", "not", "true", "false"};
  return std::find(reserved.begin(), reserved.end(), name) != reserved.end();
}

void check_name(const std::string& name, const Config& place) {
  if (!is_identifier(name)) {
    place.fail(fmt::format("'{}' is not a name: letters, digits and '_', not beginning with a digit", name.substr(0, 80)));
  }
  if (name.size() > max_name) place.fail(fmt::format("the name '{}...' is longer than {} letters", name.substr(0, 20), max_name));
  if (is_reserved(name)) place.fail(fmt::format("'{}' has a meaning of its own; choose another name", name));
}

const std::string& read_name(const Config& config) {
  check_name(config.text(), config);
  return config.text();
}

Body read_body(const Config& config, const Blocks& blocks) {
  const auto names = names_of(blocks);
  return Reader(names).body(config);
}

Blocks read_blocks(const Config& config, const Blocks& library, bool is_library) {
  if (!config.is_map()) config.fail("expected blocks: {NAME: {arguments: ..., body: ...}}");
  auto names = names_of(library);
  for (const std::string& name : config.keys()) {
    const Config place = config.at(name);
    check_name(name, place);
    if (std::find(heads.begin(), heads.end(), name) != heads.end()) {
      place.fail(fmt::format("'{}' is a statement of its own; choose another name", name));
    }
    if (find_operator(name) != nullptr) place.fail(fmt::format("'{}' is an operator; choose another name", name));
    names.insert(name);
  }
  const Reader reader(names);
  Blocks result = library;
  for (const std::string& name : config.keys()) {
    const Config block = config.at(name);
    block.allow_only({"arguments", "body"});
    BlockDefinition definition{.name = name, .config = block};
    definition.library = is_library;
    if (const auto arguments = block.find("arguments")) {
      for (const std::string& key : arguments->keys()) {
        const Config standard = arguments->at(key);
        check_name(key, standard);
        BlockArgument argument{.name = key};
        if (standard.is_sequence()) {
          for (const Config& word : standard.items()) argument.words.push_back(word.text());
          if (argument.words.empty()) standard.fail("expected a list of words, the first of them the default");
          argument.standard = standard.at(std::size_t{0});
        } else if (!standard.is_null()) {
          argument.standard = standard;
        }
        definition.arguments.push_back(std::move(argument));
      }
    }
    definition.body = reader.body(block.at("body"));
    result[name] = std::make_shared<const BlockDefinition>(std::move(definition));
  }
  refuse_recursion(result);
  return result;
}

void collect_words(const Config& config, std::set<std::string>& words) {
  if (config.is_scalar()) {
    if (config.text().size() <= max_name && (config.quoted() || is_identifier(config.text()))) words.insert(config.text());
  } else if (config.is_map()) {
    for (const std::string& key : config.keys()) collect_words(config.at(key), words);
  } else if (config.is_sequence()) {
    for (const Config& item : config.items()) collect_words(item, words);
  }
}

}  // namespace duet
