#include "core/space.hpp"

#include <algorithm>
#include <cassert>
#include <cctype>
#include <cmath>
#include <limits>
#include <memory>

#include <boost/multiprecision/cpp_int.hpp>
#include <fmt/format.h>

#include "core/errors.hpp"
#include "core/units.hpp"

namespace duet {
namespace {

constexpr std::size_t max_parameters = 100'000;
constexpr double largest_whole = 9007199254740992.0;  // 2^53: whole numbers beyond it are not exact in a code

bool is_identifier(std::string_view name) {
  if (name.empty() || (std::isalpha(static_cast<unsigned char>(name[0])) == 0 && name[0] != '_')) return false;
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

bool is_option_name(std::string_view name) {
  return !name.empty() && std::none_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isspace(c) != 0 || std::iscntrl(c) != 0 || c == '\'' || c == '"' || c == ',';
  });
}

bool is_whole(double value) { return std::floor(value) == value && std::abs(value) <= largest_whole; }

Parameter::Kind parameter_kind(SpaceNode::Kind kind) {
  switch (kind) {
    case SpaceNode::Kind::choice: return Parameter::Kind::choice;
    case SpaceNode::Kind::ordinal: return Parameter::Kind::ordinal;
    case SpaceNode::Kind::real: return Parameter::Kind::real;
    default: return Parameter::Kind::integer;
  }
}

std::string kind_and_values(const Parameter& parameter) {
  const auto with_unit = [&](const std::string& text) {
    return parameter.unit == "1" ? text : text + " " + parameter.unit;
  };
  switch (parameter.kind) {
    case Parameter::Kind::choice: return fmt::format("choice [{}]", fmt::join(parameter.options, ", "));
    case Parameter::Kind::ordinal: {
      std::vector<std::string> texts;
      for (const double value : parameter.values) texts.push_back(shortest(value));
      return with_unit(fmt::format("ordinal [{}]", fmt::join(texts, ", ")));
    }
    case Parameter::Kind::integer:
    case Parameter::Kind::real:
      return with_unit(fmt::format("{} {}..{}{}", parameter.kind == Parameter::Kind::integer ? "integer" : "real",
                                   shortest(parameter.minimum), shortest(parameter.maximum),
                                   parameter.logarithmic ? " log" : ""));
  }
  return "";
}

/// "ordinal [8 KiB, 16 KiB]": as a user writes them.
std::string values_with_units(const Parameter& parameter) {
  if (parameter.kind != Parameter::Kind::ordinal || parameter.unit == "1") return kind_and_values(parameter);
  std::vector<std::string> texts;
  for (const double value : parameter.values) {
    texts.push_back(human(value, parameter.unit));
    std::string problem;
    if (parse_quantity(texts.back(), parameter.unit, problem) != value) {  // four digits do not say it
      texts.back() = fmt::format("{} {}", shortest(value), parameter.unit);
    }
  }
  return fmt::format("ordinal [{}]", fmt::join(texts, ", "));
}

}  // namespace

// --- Description -----------------------------------------------------------------------------------------------------

SpaceNode choice(std::string name, std::vector<OptionNode> options, std::string description) {
  SpaceNode node;
  node.kind = SpaceNode::Kind::choice;
  node.name = std::move(name);
  node.options = std::move(options);
  node.description = std::move(description);
  return node;
}

SpaceNode choice(std::string name, std::vector<std::string> options, std::string description) {
  std::vector<OptionNode> nodes;
  nodes.reserve(options.size());
  for (std::string& option : options) nodes.push_back({std::move(option), {}});
  return choice(std::move(name), std::move(nodes), std::move(description));
}

SpaceNode choice(std::string name, std::initializer_list<const char*> options, std::string description) {
  return choice(std::move(name), std::vector<std::string>(options.begin(), options.end()), std::move(description));
}

SpaceNode ordinal(std::string name, std::vector<double> values, std::string unit, std::string description) {
  SpaceNode node;
  node.kind = SpaceNode::Kind::ordinal;
  node.name = std::move(name);
  node.values = std::move(values);
  node.unit = std::move(unit);
  node.description = std::move(description);
  return node;
}

SpaceNode integer(std::string name, std::int64_t minimum, std::int64_t maximum, std::string unit,
                  std::string description, bool logarithmic) {
  SpaceNode node;
  node.kind = SpaceNode::Kind::integer;
  node.name = std::move(name);
  node.minimum = static_cast<double>(minimum);
  node.maximum = static_cast<double>(maximum);
  node.unit = std::move(unit);
  node.description = std::move(description);
  node.logarithmic = logarithmic;
  return node;
}

SpaceNode real(std::string name, double minimum, double maximum, std::string unit, std::string description,
               bool logarithmic) {
  SpaceNode node;
  node.kind = SpaceNode::Kind::real;
  node.name = std::move(name);
  node.minimum = minimum;
  node.maximum = maximum;
  node.unit = std::move(unit);
  node.description = std::move(description);
  node.logarithmic = logarithmic;
  return node;
}

SpaceNode group(std::string name, std::vector<SpaceNode> children, std::string description) {
  SpaceNode node;
  node.kind = SpaceNode::Kind::group;
  node.name = std::move(name);
  node.children = std::move(children);
  node.description = std::move(description);
  return node;
}

SpaceNode repeat(std::string name, SpaceNode count, std::vector<SpaceNode> children, std::string description) {
  SpaceNode node;
  node.kind = SpaceNode::Kind::repeat;
  node.name = std::move(name);
  node.children = std::move(children);
  node.count.push_back(std::move(count));
  node.description = std::move(description);
  return node;
}

// --- Compilation -----------------------------------------------------------------------------------------------------

Space::Space(const std::vector<SpaceNode>& nodes) {
  compile(nodes, "", std::nullopt, 0, 0);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    path_hashes_.push_back(Hasher().add(parameter.path).finish().low);
    encoded_size_ += parameter.kind == Parameter::Kind::choice ? parameter.options.size()
                                                               : (parameter.parent ? 2 : 1);
  }
}

void Space::compile(const std::vector<SpaceNode>& nodes, const std::string& prefix,
                    std::optional<std::size_t> parent, double low, double high) {
  for (const SpaceNode& node : nodes) {
    const std::string path = prefix.empty() ? node.name : prefix + "." + node.name;
    const auto refuse = [&](const std::string& what) { throw ConfigError("parameter '" + path + "' " + what); };
    if (!is_identifier(node.name)) {
      refuse("has a name that is not an identifier (letters, digits and '_', not beginning with a digit)");
    }
    if (node.kind == SpaceNode::Kind::group) {
      compile(node.children, path, parent, low, high);
      continue;
    }

    const SpaceNode& decision = node.kind == SpaceNode::Kind::repeat ? node.count.at(0) : node;
    Parameter parameter;
    parameter.kind = parameter_kind(decision.kind);
    parameter.path = node.kind == SpaceNode::Kind::repeat
                         ? (prefix.empty() ? decision.name : prefix + "." + decision.name)
                         : path;
    parameter.unit = decision.unit;
    parameter.description = decision.description;
    parameter.logarithmic = decision.logarithmic;
    parameter.parent = parent;
    parameter.parent_low = low;
    parameter.parent_high = high;
    if (!is_known_unit(parameter.unit)) refuse("has an unknown unit '" + parameter.unit + "'");

    switch (decision.kind) {
      case SpaceNode::Kind::choice:
        if (decision.options.empty()) refuse("is a choice without options");
        for (const OptionNode& option : decision.options) {
          if (!is_option_name(option.name)) refuse("has a malformed option '" + option.name + "'");
          if (std::count(parameter.options.begin(), parameter.options.end(), option.name) > 0) {
            refuse("has the option '" + option.name + "' twice");
          }
          parameter.options.push_back(option.name);
        }
        parameter.maximum = static_cast<double>(parameter.options.size() - 1);
        break;
      case SpaceNode::Kind::ordinal:
        if (decision.values.empty()) refuse("is an ordinal without values");
        for (std::size_t i = 0; i < decision.values.size(); ++i) {
          if (!std::isfinite(decision.values[i])) refuse("has a value that is not finite");
          if (i > 0 && decision.values[i - 1] >= decision.values[i]) {
            refuse("must list its values in ascending order, each once");
          }
        }
        parameter.values = decision.values;
        parameter.maximum = static_cast<double>(parameter.values.size() - 1);
        break;
      case SpaceNode::Kind::integer:
      case SpaceNode::Kind::real:
        parameter.minimum = decision.minimum;
        parameter.maximum = decision.maximum;
        if (!std::isfinite(decision.minimum) || !std::isfinite(decision.maximum)) refuse("has bounds that are not finite");
        if (decision.minimum > decision.maximum) {
          refuse(fmt::format("has its bounds the wrong way round: {}..{}", shortest(decision.minimum),
                             shortest(decision.maximum)));
        }
        if (decision.logarithmic && decision.minimum <= 0) refuse("is logarithmic and must have a minimum above 0");
        if (decision.kind == SpaceNode::Kind::integer && (!is_whole(decision.minimum) || !is_whole(decision.maximum))) {
          refuse("must have whole bounds below 2^53");
        }
        break;
      default: refuse("needs an integer or an ordinal as its count");
    }

    const bool is_repeat = node.kind == SpaceNode::Kind::repeat;
    const auto value_of = [&](double code) {
      return parameter.kind == Parameter::Kind::ordinal ? parameter.values[static_cast<std::size_t>(code)] : code;
    };
    if (is_repeat) {
      if (parameter.kind != Parameter::Kind::integer && parameter.kind != Parameter::Kind::ordinal) {
        refuse("needs an integer or an ordinal as its count");
      }
      if (!is_identifier(decision.name)) refuse("needs a count with a name");
      if (value_of(parameter.minimum) < 0 || value_of(parameter.maximum) > 10'000) {
        refuse("must have a count between 0 and 10,000");
      }
      for (double code = parameter.minimum; code <= parameter.maximum; ++code) {
        if (!is_whole(value_of(code))) refuse("must have a whole count");
      }
    }

    // A count that cannot vary is no decision; its copies hang on the enclosing parameter.
    const bool decides = !is_repeat || parameter.minimum < parameter.maximum;
    std::size_t self = 0;
    if (decides) {
      self = parameters_.size();
      if (self >= max_parameters) refuse("is one too many: a space has at most 100,000 parameters");
      if (!index_.emplace(parameter.path, self).second) refuse("is described twice");
      parameters_.push_back(parameter);
    }
    if (is_repeat) {
      double code = parameter.minimum;
      const auto copies = static_cast<std::size_t>(value_of(parameter.maximum));
      for (std::size_t copy = 1; copy <= copies; ++copy) {
        while (value_of(code) < static_cast<double>(copy)) ++code;
        const std::string copy_path = path + std::to_string(copy);
        if (decides) {
          compile(node.children, copy_path, self, code, parameter.maximum);
        } else {
          compile(node.children, copy_path, parent, low, high);
        }
      }
    } else {
      for (std::size_t i = 0; i < node.options.size(); ++i) {
        const OptionNode& option = node.options[i];
        if (option.children.empty()) continue;
        if (!is_identifier(option.name)) {
          refuse("has an option '" + option.name + "' with parameters of its own, whose name is not an identifier");
        }
        compile(option.children, path + "." + option.name, self, static_cast<double>(i), static_cast<double>(i));
      }
    }
  }
}

// --- Parameters ------------------------------------------------------------------------------------------------------

std::optional<std::size_t> Space::find(std::string_view path) const {
  const auto found = index_.find(std::string(path));
  if (found == index_.end()) return std::nullopt;
  return found->second;
}

std::size_t Space::at(std::string_view path) const {
  if (const auto found = find(path)) return *found;
  throw ConfigError(fmt::format("unknown parameter '{}'{}", path, hint(path, paths())));
}

std::vector<std::size_t> Space::under(std::string_view prefix) const {
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const std::string_view path = parameters_[i].path;
    if (prefix.empty() || path == prefix ||
        (path.size() > prefix.size() && path.starts_with(prefix) && path[prefix.size()] == '.')) {
      result.push_back(i);
    }
  }
  return result;
}

std::vector<std::string> Space::paths() const {
  std::vector<std::string> result;
  for (const Parameter& parameter : parameters_) result.push_back(parameter.path);
  return result;
}

// --- Derived quantities and constraints ------------------------------------------------------------------------------

void Space::add_derived(Derived derived) {
  for (const Derived& other : derived_) {
    if (other.name == derived.name) throw ConfigError("derived quantity '" + derived.name + "' is described twice");
  }
  if (find(derived.name)) throw ConfigError("derived quantity '" + derived.name + "' has the name of a parameter");
  if (!is_known_unit(derived.unit)) {
    throw ConfigError("derived quantity '" + derived.name + "' has an unknown unit '" + derived.unit + "'");
  }
  derived_.push_back(std::move(derived));
}

std::vector<Symbol> Space::symbols() const {
  std::vector<Symbol> result;
  for (const Parameter& parameter : parameters_) result.push_back({parameter.path, parameter.options});
  for (const Derived& derived : derived_) result.push_back({derived.name, {}});
  return result;
}

void Space::add_derived(std::string name, std::string unit, const Config& expression) {
  const std::vector<Symbol> known = symbols();
  Expression compiled = Expression::parse(expression, known);
  // The closure must survive moves of the Space: it keeps what it reads, not `this`. Shared, because later closures
  // hold copies of earlier ones.
  struct Reading {
    Expression expression;
    std::vector<Parameter> parameters;
    std::vector<Derived> earlier;
  };
  const auto reading = std::make_shared<const Reading>(Reading{std::move(compiled), parameters_, derived_});
  const std::string& text = reading->expression.text();
  try {
    add_derived({std::move(name), std::move(unit), "= " + text,
                 [reading](const Candidate& candidate) {
                   return reading->expression.evaluate([&](std::size_t symbol) {
                     const auto& parameters = reading->parameters;
                     if (symbol >= parameters.size()) {
                       return reading->earlier[symbol - parameters.size()].compute(candidate);
                     }
                     const double code = candidate[symbol];
                     if (std::isnan(code) || parameters[symbol].kind != Parameter::Kind::ordinal) return code;
                     return parameters[symbol].values[static_cast<std::size_t>(code)];
                   });
                 },
                 text});
  } catch (const ConfigError& error) {
    expression.fail(error.what());
  }
}

void Space::add_constraint(const Config& expression) { add_constraint(Expression::parse(expression, symbols())); }

void Space::add_constraint(Expression expression) { constraints_.push_back(std::move(expression)); }

double Space::read(const Candidate& candidate, std::size_t symbol) const {
  return symbol < parameters_.size() ? number(candidate, symbol)
                                     : derived_[symbol - parameters_.size()].compute(candidate);
}

// --- Candidates ------------------------------------------------------------------------------------------------------

bool Space::active(const Candidate& candidate, std::size_t parameter) const {
  const Parameter& described = parameters_[parameter];
  if (!described.parent) return true;
  const double code = candidate[*described.parent];  // NaN, if the parent is inactive, fails both comparisons
  return code >= described.parent_low && code <= described.parent_high;
}

std::optional<std::size_t> Space::first_violated(const Candidate& candidate) const {
  for (std::size_t i = 0; i < constraints_.size(); ++i) {
    const auto holds = constraints_[i].holds([&](std::size_t symbol) { return read(candidate, symbol); });
    if (holds.has_value() && !*holds) return i;
  }
  return std::nullopt;
}

std::optional<std::string> Space::why_malformed(const Candidate& candidate) const {
  if (candidate.size() != parameters_.size()) {
    return fmt::format("the candidate has {} parameters, the space {}", candidate.size(), parameters_.size());
  }
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    if (active(candidate, i) != candidate.has(i)) {
      return candidate.has(i) ? fmt::format("'{}' is set but not active", parameter.path)
                              : fmt::format("'{}' is active but not set", parameter.path);
    }
    if (!candidate.has(i)) continue;
    const double code = candidate[i];
    if (!(code >= parameter.minimum && code <= parameter.maximum) || (parameter.discrete() && !is_whole(code))) {
      return fmt::format("'{}' has a value outside {}", parameter.path, kind_and_values(parameter));
    }
  }
  return std::nullopt;
}

std::optional<std::string> Space::why_invalid(const Candidate& candidate) const {
  if (auto malformed = why_malformed(candidate)) return malformed;
  if (const auto violated = first_violated(candidate)) {
    return "violates " + constraints_[*violated].explain([&](std::size_t symbol) { return read(candidate, symbol); });
  }
  return std::nullopt;
}

bool Space::valid(const Candidate& candidate) const {
  return !why_malformed(candidate) && !first_violated(candidate);
}

std::string Space::describe(const Candidate& candidate) const {
  std::string text;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!candidate.has(i)) continue;
    if (!text.empty()) text += ' ';
    text += parameters_[i].path + "=" + format(i, candidate[i]);
  }
  return text;
}

Fingerprint Space::fingerprint(const Candidate& candidate) const {
  // A sum over the active parameters is independent of their order.
  Fingerprint sum;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!candidate.has(i)) continue;
    Hasher hasher;
    hasher.add(path_hashes_[i]);
    if (parameters_[i].kind == Parameter::Kind::choice) {
      hasher.add(std::string_view(option(candidate, i)));
    } else {
      hasher.add(number(candidate, i));
    }
    const Fingerprint term = hasher.finish();
    sum.high += term.high;
    sum.low += term.low;
  }
  return sum;
}

double Space::number(const Candidate& candidate, std::size_t parameter) const {
  const double code = candidate[parameter];
  if (std::isnan(code) || parameters_[parameter].kind != Parameter::Kind::ordinal) return code;
  return parameters_[parameter].values[static_cast<std::size_t>(code)];
}

const std::string& Space::option(const Candidate& candidate, std::size_t parameter) const {
  assert(candidate.has(parameter) && parameters_[parameter].kind == Parameter::Kind::choice);
  return parameters_[parameter].options[static_cast<std::size_t>(candidate[parameter])];
}

std::string format_code(const Parameter& parameter, double code) {
  if (parameter.discrete() && !(code >= parameter.minimum && code <= parameter.maximum)) return "?";
  switch (parameter.kind) {
    case Parameter::Kind::choice: return parameter.options[static_cast<std::size_t>(code)];
    case Parameter::Kind::ordinal: {
      const double value = parameter.values[static_cast<std::size_t>(code)];
      // 200000000, not 2e+08: what people and the keys of tables write.
      return is_whole(value) ? fmt::format("{}", static_cast<std::int64_t>(value)) : shortest(value);
    }
    case Parameter::Kind::integer: return fmt::format("{}", static_cast<std::int64_t>(code));
    case Parameter::Kind::real: return shortest(code);
  }
  return "";
}

std::string Space::format(std::size_t parameter, double code) const {
  return format_code(parameters_[parameter], code);
}

std::optional<double> Space::parse(std::size_t parameter, std::string_view text, std::string& problem) const {
  const Parameter& described = parameters_[parameter];
  const auto refuse = [&](std::string why) {
    problem = fmt::format("'{}' cannot be '{}': {}", described.path, text, why);
    return std::nullopt;
  };
  if (described.kind == Parameter::Kind::choice) {
    const auto found = std::find(described.options.begin(), described.options.end(), text);
    if (found == described.options.end()) {
      problem = fmt::format("'{}' cannot be '{}'{}", described.path, text, hint(text, described.options));
      return std::nullopt;
    }
    return static_cast<double>(found - described.options.begin());
  }
  // A bare number is in the parameter's unit: this is what format() writes.
  std::string reason;
  std::optional<double> value = parse_quantity(text, "1", reason);
  if (!value) value = parse_quantity(text, described.unit, reason);
  if (!value) return refuse(reason);
  if (described.kind == Parameter::Kind::ordinal) {
    const auto found = std::find(described.values.begin(), described.values.end(), *value);
    if (found == described.values.end()) return refuse("it is one of " + values_with_units(described));
    return static_cast<double>(found - described.values.begin());
  }
  if (described.kind == Parameter::Kind::integer && !is_whole(*value)) return refuse("it must be a whole number");
  if (*value < described.minimum || *value > described.maximum) {
    return refuse("it must be in " + kind_and_values(described));
  }
  return *value;
}

namespace {

// Flattens nested and dotted keys to (path, scalar).
void collect(const Config& config, const std::string& prefix, std::vector<std::pair<std::string, Config>>& out) {
  if (config.is_map()) {
    for (const std::string& key : config.keys()) collect(config.at(key), prefix.empty() ? key : prefix + "." + key, out);
  } else if (config.is_scalar()) {
    out.emplace_back(prefix, config);
  } else if (!config.is_null()) {
    config.fail(fmt::format("'{}' must be a value or a mapping of parameters, not a list", prefix));
  }
}

}  // namespace

Candidate Space::read_candidate(const Config& assignments, const Candidate* base) const {
  std::vector<std::pair<std::string, Config>> given;
  collect(assignments, "", given);
  std::vector<std::optional<std::pair<double, Config>>> codes(parameters_.size());
  for (const auto& [path, scalar] : given) {
    const auto parameter = find(path);
    if (!parameter) scalar.fail(fmt::format("unknown parameter '{}'{}", path, hint(path, paths())));
    if (codes[*parameter]) scalar.fail(fmt::format("'{}' is given twice", path));
    std::string problem;
    const auto code = parse(*parameter, scalar.text(), problem);
    if (!code) scalar.fail(problem);
    codes[*parameter].emplace(*code, scalar);
  }
  Candidate candidate(parameters_.size());
  std::vector<std::string> missing;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    if (!active(candidate, i)) {
      if (codes[i]) {
        const Parameter& parent = parameters_[*parameter.parent];
        codes[i]->second.fail(fmt::format(
            "'{}' is not active here: it depends on '{}'{}", parameter.path, parent.path,
            candidate.has(*parameter.parent)
                ? ", which is " + format(*parameter.parent, candidate[*parameter.parent])
                : std::string(", which is not active either")));
      }
      continue;
    }
    if (codes[i]) {
      candidate.set(i, codes[i]->first);
    } else if (base != nullptr && base->has(i)) {
      candidate.set(i, (*base)[i]);
    } else if (parameter.discrete() && parameter.levels() == 1) {
      candidate.set(i, parameter.minimum);
    } else {
      missing.push_back(fmt::format("{} ({})", parameter.path, values_with_units(parameter)));
    }
  }
  if (!missing.empty()) assignments.fail("no value for " + fmt::format("{}", fmt::join(missing, ", ")));
  if (const auto reason = why_invalid(candidate)) assignments.fail("the design " + *reason);
  return candidate;
}

Candidate Space::with(const Candidate& candidate, std::size_t parameter, double code, Random& random,
                      const Candidate* donor) const {
  Candidate result = candidate;
  result.set(parameter, code);
  for (std::size_t i = parameter + 1; i < parameters_.size(); ++i) {  // descendants stand behind in pre-order
    const bool now = active(result, i);
    if (now == result.has(i)) continue;
    if (!now) {
      result.clear(i);
    } else if (donor != nullptr && donor->has(i)) {
      result.set(i, (*donor)[i]);
    } else {
      result.set(i, sample_code(i, random));
    }
  }
  return result;
}

// --- Sampling and variation ------------------------------------------------------------------------------------------

double Space::to_unit(std::size_t parameter, double code) const {
  const Parameter& described = parameters_[parameter];
  if (described.maximum <= described.minimum) return 0;
  if (described.logarithmic) {
    const double low = std::log(described.minimum);
    return (std::log(code) - low) / (std::log(described.maximum) - low);
  }
  // Halves, because the range of the largest doubles overflows.
  return (code / 2 - described.minimum / 2) / (described.maximum / 2 - described.minimum / 2);
}

double Space::from_unit(std::size_t parameter, double position) const {
  const Parameter& described = parameters_[parameter];
  position = std::isnan(position) ? 0.0 : std::clamp(position, 0.0, 1.0);
  double code = (1 - position) * described.minimum + position * described.maximum;
  if (described.logarithmic) {
    const double low = std::log(described.minimum);
    code = std::exp(low + position * (std::log(described.maximum) - low));
  }
  if (described.discrete()) code = std::round(code);
  return std::clamp(code, described.minimum, described.maximum);
}

double Space::sample_code(std::size_t parameter, Random& random, std::optional<double> other_than) const {
  const Parameter& described = parameters_[parameter];
  if (described.kind == Parameter::Kind::real) return from_unit(parameter, random.uniform());
  if (described.logarithmic) {
    // Equal probability per unit of the logarithm; each integer owns the interval around it.
    const double low = std::log(described.minimum - 0.5 > 0 ? described.minimum - 0.5 : 0.5);
    const double high = std::log(described.maximum + 0.5);
    for (int attempt = 0; attempt < max_retries; ++attempt) {
      const double code =
          std::clamp(std::round(std::exp(random.uniform(low, high))), described.minimum, described.maximum);
      if (!other_than || code != *other_than) return code;
    }
  }
  const std::uint64_t levels = described.levels();
  if (!other_than || levels == 1) return described.minimum + static_cast<double>(random.below(levels));
  const double code = described.minimum + static_cast<double>(random.below(levels - 1));
  return code >= *other_than ? code + 1 : code;
}

double Space::code_at_quantile(std::size_t parameter, double u) const {
  const Parameter& described = parameters_[parameter];
  if (described.kind == Parameter::Kind::real) return from_unit(parameter, u);
  double code = described.minimum + std::floor(u * static_cast<double>(described.levels()));
  if (described.logarithmic) {
    const double low = std::log(described.minimum - 0.5 > 0 ? described.minimum - 0.5 : 0.5);
    code = std::round(std::exp(low + u * (std::log(described.maximum + 0.5) - low)));
  }
  return std::clamp(code, described.minimum, described.maximum);
}

double Space::step_code(std::size_t parameter, double code, Random& random) const {
  const Parameter& described = parameters_[parameter];
  if (described.kind == Parameter::Kind::choice) return sample_code(parameter, random, code);
  if (described.kind == Parameter::Kind::real) {
    return from_unit(parameter, to_unit(parameter, code) + 0.1 * random.normal());
  }
  if (described.levels() == 1) return code;
  double stepped = code;
  if (described.levels() > 20) stepped = from_unit(parameter, to_unit(parameter, code) + 0.1 * random.normal());
  if (stepped == code) {
    const bool up = code <= described.minimum || (code < described.maximum && random.chance(0.5));
    stepped = up ? code + 1 : code - 1;
  }
  return stepped;
}

Candidate Space::sample_any(Random& random) const {
  Candidate candidate(parameters_.size());
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (active(candidate, i)) candidate.set(i, sample_code(i, random));
  }
  return candidate;
}

std::optional<Candidate> Space::try_sample(Random& random) const {
  for (int attempt = 0; attempt < max_rejections; ++attempt) {
    Candidate candidate = sample_any(random);
    if (!first_violated(candidate)) return candidate;
  }
  return std::nullopt;
}

Candidate Space::sample(Random& random) const {
  std::vector<int> violations(constraints_.size());
  for (int attempt = 0; attempt < max_rejections; ++attempt) {
    Candidate candidate = sample_any(random);
    const auto violated = first_violated(candidate);
    if (!violated) return candidate;
    ++violations[*violated];
  }
  const auto worst = static_cast<std::size_t>(std::max_element(violations.begin(), violations.end()) -
                                              violations.begin());
  throw ConfigError(fmt::format(
      "no valid design among {} drawn at random; the constraint violated most often ({} times) is '{}'",
      max_rejections, violations[worst], constraints_[worst].text()));
}

Candidate Space::mutate(const Candidate& parent, Random& random, double rate,
                        std::span<const std::size_t> among) const {
  std::vector<std::size_t> changeable;
  const auto consider = [&](std::size_t i) {
    const bool can = parameters_[i].kind == Parameter::Kind::real ? parameters_[i].maximum > parameters_[i].minimum
                                                                  : parameters_[i].levels() > 1;
    if (parent.has(i) && can) changeable.push_back(i);
  };
  if (among.empty()) {
    for (std::size_t i = 0; i < parameters_.size(); ++i) consider(i);
  } else {
    for (const std::size_t i : among) consider(i);
  }
  if (changeable.empty()) return parent;
  for (int attempt = 0; attempt < max_retries; ++attempt) {
    Candidate child = parent;
    const std::size_t forced = random.pick(changeable);
    for (const std::size_t i : changeable) {
      if (i != forced && !random.chance(rate)) continue;
      if (!child.has(i)) continue;  // an earlier change switched it off
      const double code = parameters_[i].kind == Parameter::Kind::real && random.chance(0.5)
                              ? step_code(i, child[i], random)
                              : sample_code(i, random, child[i]);
      child = with(child, i, code, random, &parent);
    }
    if (!(child == parent) && !first_violated(child)) return child;
  }
  return parent;
}

Candidate Space::mutate_one(const Candidate& parent, Random& random, std::span<const std::size_t> among) const {
  return mutate(parent, random, 0.0, among);
}

Candidate Space::crossover(const Candidate& first, const Candidate& second, Random& random,
                           std::span<const std::size_t> from_first) const {
  for (int attempt = 0; attempt < max_retries; ++attempt) {
    Candidate child(parameters_.size());
    std::size_t held = 0;  // both lists ascend
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      while (held < from_first.size() && from_first[held] < i) ++held;
      const bool fixed = held < from_first.size() && from_first[held] == i;
      if (!active(child, i)) continue;
      if (first.has(i) && (fixed || !second.has(i))) {
        child.set(i, first[i]);
      } else if (first.has(i) && second.has(i)) {
        child.set(i, random.chance(0.5) ? first[i] : second[i]);
      } else if (second.has(i)) {
        child.set(i, second[i]);
      } else {
        child.set(i, sample_code(i, random));
      }
    }
    if (!first_violated(child)) return child;
  }
  return first;
}

std::vector<Candidate> Space::neighbours(const Candidate& candidate) const {
  std::vector<Candidate> result;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!candidate.has(i) || !parameters_[i].discrete()) continue;
    // Of a long range only the two nearest codes are neighbours.
    const bool is_long = parameters_[i].kind != Parameter::Kind::choice && parameters_[i].levels() > max_neighbours;
    const double first = is_long ? std::max(candidate[i] - 1, parameters_[i].minimum) : parameters_[i].minimum;
    const double last = is_long ? std::min(candidate[i] + 1, parameters_[i].maximum) : parameters_[i].maximum;
    for (double code = first; code <= last; ++code) {
      if (code == candidate[i]) continue;
      Candidate neighbour = candidate;
      neighbour.set(i, code);
      for (std::size_t j = i + 1; j < parameters_.size(); ++j) {
        const bool now = active(neighbour, j);
        if (now == neighbour.has(j)) continue;
        if (now) {
          neighbour.set(j, parameters_[j].minimum);
        } else {
          neighbour.clear(j);
        }
      }
      if (!first_violated(neighbour)) result.push_back(std::move(neighbour));
    }
  }
  return result;
}

// --- Enumeration -----------------------------------------------------------------------------------------------------

namespace {

using Big = boost::multiprecision::cpp_int;

}  // namespace

/// Number of assignments of a parameter together with all parameters that depend on it, per code of the parameter.
/// Children that hang on the same range of codes are gathered, so that an integer with a wide range stays cheap.
struct Space::Counts {
  struct Segment {
    double low = 0, high = 0;  // a run of codes whose children are the same
    Big each = 1;              // assignments of the children, per code
  };
  std::vector<std::vector<Segment>> segments;  // by parameter; empty for reals
  std::vector<Big> total;                      // by parameter: sum over its codes
  Big all = 1;                                 // of the space
  bool finite = true;

  explicit Counts(const std::vector<Parameter>& parameters)
      : segments(parameters.size()), total(parameters.size(), 0) {
    std::vector<std::vector<std::size_t>> children(parameters.size());
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (parameters[i].parent) children[*parameters[i].parent].push_back(i);
    }
    for (std::size_t i = parameters.size(); i-- > 0;) {
      const Parameter& parameter = parameters[i];
      if (!parameter.discrete()) {
        if (parameter.minimum < parameter.maximum) finite = false;
        total[i] = 1;
        segments[i].push_back({parameter.minimum, parameter.minimum, 1});
        continue;
      }
      std::vector<double> starts{parameter.minimum};
      for (const std::size_t child : children[i]) {
        starts.push_back(parameters[child].parent_low);
        if (parameters[child].parent_high < parameter.maximum) starts.push_back(parameters[child].parent_high + 1);
      }
      std::sort(starts.begin(), starts.end());
      starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
      for (std::size_t s = 0; s < starts.size(); ++s) {
        Segment segment{starts[s], s + 1 < starts.size() ? starts[s + 1] - 1 : parameter.maximum, 1};
        for (const std::size_t child : children[i]) {
          if (parameters[child].parent_low <= segment.low && segment.low <= parameters[child].parent_high) {
            segment.each *= total[child];
          }
        }
        total[i] += segment.each * Big(static_cast<std::uint64_t>(segment.high - segment.low) + 1);
        segments[i].push_back(std::move(segment));
      }
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (!parameters[i].parent) all *= total[i];
    }
  }
};

Cardinality Space::cardinality() const {
  const Counts counts(parameters_);
  Cardinality result;
  result.finite = counts.finite;
  if (!counts.finite) {
    result.approximate = std::numeric_limits<double>::infinity();
    result.text = "infinite";
    return result;
  }
  result.approximate = counts.all.convert_to<double>();
  result.text = counts.all.str();
  if (counts.all <= Big(std::numeric_limits<std::uint64_t>::max())) {
    result.exact = counts.all.convert_to<std::uint64_t>();
  }
  return result;
}

// Rank and unrank see the active parameters in pre-order as digits of a mixed-radix number whose later digits depend on
// earlier ones. `open` is the number of assignments of what stands behind but does not depend on the present digit.

Candidate Space::unrank(std::uint64_t rank) const {
  const Counts counts(parameters_);
  assert(counts.finite && Big(rank) < counts.all);
  Candidate candidate(parameters_.size());
  Big rest = rank;
  Big open = counts.all;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!active(candidate, i)) continue;
    open /= counts.total[i];
    for (const Counts::Segment& segment : counts.segments[i]) {
      const Big each = segment.each * open;
      const Big size = each * Big(static_cast<std::uint64_t>(segment.high - segment.low) + 1);
      if (rest < size) {
        const Big offset = rest / each;
        candidate.set(i, segment.low + offset.convert_to<double>());
        rest -= offset * each;
        open *= segment.each;
        break;
      }
      rest -= size;
    }
  }
  return candidate;
}

std::uint64_t Space::rank(const Candidate& candidate) const {
  const Counts counts(parameters_);
  Big result = 0;
  Big open = counts.all;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!candidate.has(i)) continue;
    open /= counts.total[i];
    for (const Counts::Segment& segment : counts.segments[i]) {
      if (candidate[i] > segment.high) {
        result += segment.each * open * Big(static_cast<std::uint64_t>(segment.high - segment.low) + 1);
        continue;
      }
      result += segment.each * open * Big(static_cast<std::uint64_t>(candidate[i] - segment.low));
      open *= segment.each;
      break;
    }
  }
  return result.convert_to<std::uint64_t>();
}

// --- Encoding --------------------------------------------------------------------------------------------------------

void Space::encode(const Candidate& candidate, std::span<double> out) const {
  assert(out.size() == encoded_size_);
  std::size_t column = 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    const bool present = candidate.has(i);
    if (parameter.kind == Parameter::Kind::choice) {
      for (std::size_t k = 0; k < parameter.options.size(); ++k) {
        out[column++] = present && candidate[i] == static_cast<double>(k) ? 1.0 : 0.0;
      }
      continue;
    }
    if (parameter.parent) out[column++] = present ? 1.0 : 0.0;
    out[column++] = present ? to_unit(i, candidate[i]) : 0.0;
  }
}

std::vector<double> Space::encode(const Candidate& candidate) const {
  std::vector<double> out(encoded_size_);
  encode(candidate, out);
  return out;
}

Candidate Space::decode(std::span<const double> encoded) const {
  assert(encoded.size() == encoded_size_);
  Candidate candidate(parameters_.size());
  std::size_t column = 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    const bool present = active(candidate, i);
    if (parameter.kind == Parameter::Kind::choice) {
      const auto columns = encoded.subspan(column, parameter.options.size());
      column += columns.size();
      if (present) {
        candidate.set(i, static_cast<double>(std::max_element(columns.begin(), columns.end()) - columns.begin()));
      }
      continue;
    }
    if (parameter.parent) ++column;
    if (present) candidate.set(i, from_unit(i, encoded[column]));
    ++column;
  }
  return candidate;
}

// --- The space as a whole --------------------------------------------------------------------------------------------

Fingerprint Space::fingerprint() const {
  Hasher hasher;
  for (const Parameter& parameter : parameters_) {
    hasher.add(parameter.path).add(static_cast<std::uint64_t>(parameter.kind)).add(parameter.unit);
    hasher.add(parameter.minimum).add(parameter.maximum).add(std::uint64_t{parameter.logarithmic});
    for (const std::string& option : parameter.options) hasher.add(option);
    for (const double value : parameter.values) hasher.add(value);
    hasher.add(parameter.parent ? static_cast<std::uint64_t>(*parameter.parent) + 1 : std::uint64_t{0});
    hasher.add(parameter.parent_low).add(parameter.parent_high);
  }
  for (const Derived& derived : derived_) hasher.add(derived.name).add(derived.unit).add(derived.expression);
  for (const Expression& constraint : constraints_) hasher.add(constraint.text());
  return hasher.finish();
}

std::string Space::describe() const {
  std::string text;
  std::vector<std::size_t> depth(parameters_.size());
  std::size_t width = 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (parameters_[i].parent) depth[i] = depth[*parameters_[i].parent] + 1;
    width = std::max(width, parameters_[i].path.size() + 2 * depth[i]);
  }
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    text += fmt::format("{:<{}}  {}", std::string(2 * depth[i], ' ') + parameter.path, width,
                        kind_and_values(parameter));
    if (parameter.parent) {
      const std::string low = format(*parameter.parent, parameter.parent_low);
      const bool upwards = parameter.parent_high == parameters_[*parameter.parent].maximum &&
                           parameter.parent_low != parameter.parent_high;
      const std::string& parent = parameters_[*parameter.parent].path;
      text += upwards ? fmt::format("; if {} >= {}", parent, low) : fmt::format("; if {} = {}", parent, low);
    }
    if (!parameter.description.empty()) text += "  # " + parameter.description;
    text += '\n';
  }
  for (const Derived& derived : derived_) {
    text += fmt::format("derived {} [{}]  # {}\n", derived.name, derived.unit, derived.description);
  }
  for (const Expression& constraint : constraints_) text += fmt::format("constraint {}\n", constraint.text());
  return text;
}

}  // namespace duet
