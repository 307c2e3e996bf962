#include "core/expression.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "core/errors.hpp"
#include "core/units.hpp"

namespace duet {
namespace {

constexpr double absent = std::numeric_limits<double>::quiet_NaN();
constexpr int max_nesting = 200;
constexpr std::size_t max_stack = 256;

// clang-format off
enum class Op : std::uint8_t {
  constant, load, active,
  aggregate_sum, aggregate_product, aggregate_minimum, aggregate_maximum, aggregate_count,
  // one operand:
  translate,  ///< a code of one symbol's words into another's
  negate, logical_not, abs, ceil, floor, round, sqrt, log2, ln, exp,
  // two operands:
  add, subtract, multiply, divide, modulo, power, min, max,
  equal, not_equal, less, less_equal, greater, greater_equal, logical_and, logical_or,
  // three operands:
  select,
};
// clang-format on

struct Instruction {
  Op op = Op::constant;
  std::uint32_t index = 0;  ///< symbol, table, or first member of an aggregate
  std::uint32_t count = 0;  ///< members of an aggregate
  double value = 0;         ///< constant
};

int operands(Op op) {
  if (op == Op::select) return 3;
  if (op >= Op::add) return 2;
  return op >= Op::translate ? 1 : 0;
}

bool is_absent(double value) {
  return std::isnan(value);
}

/// The remainder with the sign of the divisor: a - b·floor(a / b).
double floored_modulo(double a, double b) {
  const double remainder = std::fmod(a, b);
  return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

double compare(Op op, double a, double b) {
  if (is_absent(a) || is_absent(b)) return absent;
  switch (op) {
    case Op::equal:
      return a == b ? 1 : 0;
    case Op::not_equal:
      return a != b ? 1 : 0;
    case Op::less:
      return a < b ? 1 : 0;
    case Op::less_equal:
      return a <= b ? 1 : 0;
    case Op::greater:
      return a > b ? 1 : 0;
    default:
      return a >= b ? 1 : 0;
  }
}

double unary(Op op, double a) {
  switch (op) {
    case Op::negate:
      return -a;
    case Op::logical_not:
      return is_absent(a) ? absent : a == 0 ? 1 : 0;
    case Op::abs:
      return std::abs(a);
    case Op::ceil:
      return std::ceil(a);
    case Op::floor:
      return std::floor(a);
    case Op::round:
      return std::round(a);
    case Op::sqrt:
      return std::sqrt(a);
    case Op::log2:
      return std::log2(a);
    case Op::ln:
      return std::log(a);
    default:
      return std::exp(a);
  }
}

double binary(Op op, double a, double b) {
  switch (op) {
    case Op::add:
      return a + b;
    case Op::subtract:
      return a - b;
    case Op::multiply:
      return a * b;
    case Op::divide:
      return a / b;
    case Op::modulo:
      return floored_modulo(a, b);
    // std::pow(1, NaN), std::fmin and std::fmax would pass over an absent side.
    case Op::power:
      return is_absent(a) || is_absent(b) ? absent : std::pow(a, b);
    case Op::min:
      return is_absent(a) || is_absent(b) ? absent : std::min(a, b);
    case Op::max:
      return is_absent(a) || is_absent(b) ? absent : std::max(a, b);
    case Op::logical_and:
      if (is_absent(a) && is_absent(b)) return absent;
      return a != 0 && b != 0 ? 1 : 0;  // an absent side compares unequal to 0
    case Op::logical_or:
      if (is_absent(a) && is_absent(b)) return absent;
      return (!is_absent(a) && a != 0) || (!is_absent(b) && b != 0) ? 1 : 0;
    default:
      return compare(op, a, b);
  }
}

/// How far a plain value is from being true, or from not being so.
double shortfall(double value) {
  return is_absent(value) ? 0 : value == 0 ? 1 : -1;
}

/// How far a comparison is from holding, which is positive, or from not holding, which is not.
double distance(Op op, double a, double b, bool holds) {
  if (op == Op::equal || op == Op::not_equal) return holds ? -1 : 1;
  const double excess = op == Op::less || op == Op::less_equal ? a - b : b - a;
  const double relative = excess / std::max(1.0, std::abs(b));
  if (is_absent(relative)) return (holds ? -1 : 1) * std::numeric_limits<double>::infinity();  // against infinity
  return holds ? std::min(relative, 0.0) : std::max(relative, std::numeric_limits<double>::min());  // `<` of equal sides
}

/// Of `a and b`: what both lack, or what the nearer to not holding has left.
double both(double a, double b) {
  return a > 0 || b > 0 ? std::max(a, 0.0) + std::max(b, 0.0) : std::max(a, b);
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_word_character(char c) {
  return is_letter(c) || is_digit(c);
}
bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/// Whether `pattern` matches all of `text`; `*` stands for any characters except '.'.
bool matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0;
  std::size_t star = std::string_view::npos,
              resume = 0;  // the last star of this segment and where it stopped eating
  while (t < text.size() || p < pattern.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && t < text.size() && pattern[p] == text[t]) {
      if (text[t] == '.') star = std::string_view::npos;
      ++p;
      ++t;
    } else if (star != std::string_view::npos && resume < text.size() && text[resume] != '.') {
      t = ++resume;
      p = star + 1;
    } else {
      return false;
    }
  }
  return true;
}

/// For people, who count whole numbers in digits rather than in powers of ten.
std::string in_full(double value) {
  const bool whole = std::abs(value) < 1e15 && value == std::trunc(value);
  return whole ? fmt::format("{:.0f}", value + 0.0) : shortest(value);
}

struct Function {
  std::string_view name;
  std::size_t least;
  std::size_t most;  ///< arguments
  Op op;
};

constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();
constexpr Function functions[] = {
    {"min", 2, unlimited, Op::min}, {"max", 2, unlimited, Op::max}, {"abs", 1, 1, Op::abs},
    {"ceil", 1, 1, Op::ceil},       {"floor", 1, 1, Op::floor},     {"round", 1, 1, Op::round},
    {"sqrt", 1, 1, Op::sqrt},       {"log2", 1, 1, Op::log2},       {"ln", 1, 1, Op::ln},
    {"exp", 1, 1, Op::exp},         {"pow", 2, 2, Op::power},       {"if", 3, 3, Op::select},
};
constexpr std::pair<std::string_view, Op> aggregates[] = {
    {"sum", Op::aggregate_sum},         {"product", Op::aggregate_product},
    {"minimum", Op::aggregate_minimum}, {"maximum", Op::aggregate_maximum},
    {"count", Op::aggregate_count},
};

}  // namespace

/// A postfix program: every instruction takes its operands from a stack and leaves its value there.
struct Expression::Program {
  class Parser;

  /// Where the text names symbols, for explain().
  struct Mention {
    std::size_t end = 0;
    std::vector<std::size_t> symbols;
  };

  std::vector<Instruction> code;
  std::vector<std::size_t> members;         ///< of all aggregates
  std::vector<std::vector<double>> tables;  ///< from one symbol's codes to another's
  std::vector<Mention> mentions;
  std::map<std::size_t, std::vector<std::string>> words;  ///< of the text symbols it reads

  struct Result {
    double value = 0;
    double excess = 0;
  };
  template <bool with_excess>
  Result run(const Reader& read) const;

  double aggregate(const Instruction& step, const Reader& read) const {
    double result = step.op == Op::aggregate_product ? 1 : 0;
    bool any = false;
    for (std::uint32_t i = step.index; i < step.index + step.count; ++i) {
      const double value = read(members[i]);
      if (is_absent(value)) continue;
      switch (step.op) {
        case Op::aggregate_sum:
          result += value;
          break;
        case Op::aggregate_product:
          result *= value;
          break;
        case Op::aggregate_minimum:
          result = any ? std::min(result, value) : value;
          break;
        case Op::aggregate_maximum:
          result = any ? std::max(result, value) : value;
          break;
        default:
          result += 1;
          break;
      }
      any = true;
    }
    const bool needs_one = step.op == Op::aggregate_minimum || step.op == Op::aggregate_maximum;
    return any || !needs_one ? result : absent;
  }

  double translated(const Instruction& step, double code_value) const {
    if (is_absent(code_value)) return absent;
    const std::vector<double>& table = tables[step.index];
    const bool inside = code_value >= 0 && code_value < static_cast<double>(table.size());
    return inside ? table[static_cast<std::size_t>(code_value)] : -1;
  }
};

template <bool with_excess>
Expression::Program::Result Expression::Program::run(const Reader& read) const {
  // Left uninitialised: the parser has made sure that what is read was written and that the stack suffices.
  std::array<double, max_stack> values;
  std::array<double, with_excess ? max_stack : 1> excesses;
  std::size_t top = 0;  // number of values

  for (const Instruction& step : code) {
    const auto count = static_cast<std::size_t>(operands(step.op));
    const std::size_t at = top - count;  // where the operands begin and the result goes
    double value = 0;
    std::optional<double> excess;  // nothing: that of a plain value
    switch (step.op) {
      case Op::constant:
        value = step.value;
        break;
      case Op::load:
        value = read(step.index);
        break;
      case Op::active:
        value = is_absent(read(step.index)) ? 0 : 1;
        break;
      case Op::translate:
        value = translated(step, values[at]);
        break;
      case Op::aggregate_sum:
      case Op::aggregate_product:
      case Op::aggregate_minimum:
      case Op::aggregate_maximum:
      case Op::aggregate_count:
        value = aggregate(step, read);
        break;
      case Op::select: {
        const std::size_t branch = values[at] != 0 ? at + 1 : at + 2;
        value = is_absent(values[at]) ? absent : values[branch];
        if constexpr (with_excess) excess = is_absent(value) ? 0 : excesses[branch];
        break;
      }
      default:
        if (count == 1) {
          value = unary(step.op, values[at]);
          break;
        }
        value = binary(step.op, values[at], values[at + 1]);
        if constexpr (with_excess) {
          const bool left = !is_absent(values[at]), right = !is_absent(values[at + 1]);
          if (step.op >= Op::equal && step.op <= Op::greater_equal) {
            excess = is_absent(value) ? 0 : distance(step.op, values[at], values[at + 1], value != 0);
          } else if (step.op == Op::logical_and || step.op == Op::logical_or) {
            if (left && right) {
              excess = step.op == Op::logical_and ? both(excesses[at], excesses[at + 1])
                                                  : std::min(excesses[at], excesses[at + 1]);
            } else {  // an absent side has no say
              excess = left ? excesses[at] : right ? excesses[at + 1] : 0;
            }
          }
        }
    }
    values[at] = value;
    if constexpr (with_excess) excesses[at] = excess ? *excess : shortfall(value);
    top = at + 1;
  }
  assert(top == 1);
  if constexpr (with_excess) return {values[0], excesses[0]};
  return {values[0], 0};
}

/// Recursive descent that emits the program as it reads.
class Expression::Program::Parser {
 public:
  using Fail = std::function<void(std::size_t offset, const std::string& message)>;

  Parser(std::string_view text, std::span<const Symbol> symbols, Program& program, const Fail& fail)
      : text_(text), symbols_(symbols), program_(program), fail_(fail) {}

  void parse() {
    skip_space();
    if (at_end()) fail(0, "the expression is empty");
    const Operand value = parse_or();
    require_number(value);
    skip_space();
    if (!at_end()) fail_unexpected();
  }

 private:
  /// What has been read, as far as its code is not all there is to it.
  struct Operand {
    enum class Kind {
      number,   ///< a number, emitted
      text,     ///< a symbol with words, emitted
      literal,  ///< a text in quotes, not emitted
      bare,     ///< a word that is no symbol, not emitted: another side's word, or an error
    };
    Kind kind = Kind::number;
    std::size_t offset = 0;
    std::string_view spelling = {};  ///< of literals, bare words and constants
    std::string_view unit = {};      ///< of bare words that begin with a number: the rest, which is no unit
    std::size_t index = 0;           ///< symbol, or instruction of a constant
    bool is_symbol = false;
    bool is_constant = false;
  };

  [[noreturn]] void fail(std::size_t offset, const std::string& message) const {
    fail_(offset, message);
    throw ConfigError(message);  // fail_ does not return
  }

  bool at_end() const { return at_ == text_.size(); }
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  void skip_space() {
    while (!at_end() && is_space(text_[at_])) ++at_;
  }
  /// Takes `token` if it comes next.
  bool take(std::string_view token) {
    skip_space();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  /// The name that comes next: words separated by single dots; may be empty.
  std::string_view peek_name() const {
    if (at_end() || !is_letter(text_[at_])) return {};
    std::size_t end = at_;
    while (end < text_.size() &&
           (is_word_character(text_[end]) ||
            (text_[end] == '.' && end + 1 < text_.size() && is_word_character(text_[end + 1])))) {
      ++end;
    }
    return text_.substr(at_, end - at_);
  }
  bool take_word(std::string_view word) {
    skip_space();
    if (peek_name() != word) return false;
    at_ += word.size();
    return true;
  }

  /// What comes next, for a message.
  std::string found() const {
    if (at_end()) return "the end";
    if (const std::string_view name = peek_name(); !name.empty())
      return fmt::format("'{}'", name.substr(0, 40));
    std::size_t end = at_ + 1;  // a whole UTF-8 sequence
    while (end < text_.size() && (static_cast<unsigned char>(text_[end]) & 0xC0) == 0x80) ++end;
    return fmt::format("'{}'", text_.substr(at_, end - at_));
  }

  [[noreturn]] void fail_unexpected() const {
    const char c = peek();
    if (c == '=') fail(at_, "'=' is not an operator; '==' compares");
    if (c == '&') fail(at_, "'&' is not an operator; write 'and'");
    if (c == '|') fail(at_, "'|' is not an operator; write 'or'");
    if (c == '!') fail(at_, "'!' is not an operator; write 'not'");
    if (c == ')') fail(at_, "this ')' closes nothing");
    fail(at_, fmt::format("expected an operator, found {}", found()));
  }

  void expect(std::string_view token) {
    skip_space();
    if (take(token)) return;
    if (at_end() || peek() == ',' || peek() == ')')
      fail(at_, fmt::format("expected '{}', found {}", token, found()));
    fail_unexpected();
  }

  /// Counts a level of recursion while it lives.
  struct Level {
    explicit Level(const Parser& parser) : count(parser.nesting_) {
      if (++count > max_nesting) {
        --count;
        parser.fail(parser.at_, fmt::format("nested deeper than {} levels", max_nesting));
      }
    }
    ~Level() { --count; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    int& count;
  };

  void emit(Instruction step) {
    stack_ = stack_ + 1 - static_cast<std::size_t>(operands(step.op));
    if (stack_ > max_stack) fail(at_, "too many unfinished operations; split the expression");
    program_.code.push_back(step);
  }
  void emit(Op op) { emit(Instruction{.op = op}); }

  [[noreturn]] void fail_unknown(const Operand& bare) const {
    if (!bare.unit.empty()) fail(bare.offset, fmt::format("'{}' is not a unit", bare.unit.substr(0, 40)));
    fail_unknown(bare.offset, bare.spelling);
  }
  [[noreturn]] void fail_unknown(std::size_t offset, std::string_view name) const {
    fail(offset, fmt::format("unknown name '{}'{}", name.substr(0, 80), hint(name, names())));
  }

  void require_number(const Operand& operand) const {
    switch (operand.kind) {
      case Operand::Kind::number:
        return;
      case Operand::Kind::bare:
        fail_unknown(operand);
      case Operand::Kind::literal:
        fail(operand.offset, "a text can only be compared, with == or !=");
      case Operand::Kind::text:
        fail(operand.offset, fmt::format("'{}' is a text; it can only be compared, with == or !=",
                                         symbols_[operand.index].name));
    }
  }

  /// Emits `op` on two numbers: one that has been read and one that `next` reads.
  Operand combine(Op op, const Operand& left, Operand (Parser::*next)()) {
    require_number(left);
    require_number((this->*next)());
    emit(op);
    return {.offset = left.offset};
  }

  Operand parse_or() {
    const Level level(*this);
    Operand left = parse_and();
    while (take_word("or")) left = combine(Op::logical_or, left, &Parser::parse_and);
    return left;
  }

  Operand parse_and() {
    Operand left = parse_not();
    while (take_word("and")) left = combine(Op::logical_and, left, &Parser::parse_not);
    return left;
  }

  Operand parse_not() {
    skip_space();
    const std::size_t offset = at_;
    if (!take_word("not")) return parse_comparison();
    const Level level(*this);
    require_number(parse_not());
    emit(Op::logical_not);
    return {.offset = offset};
  }

  std::optional<Op> take_comparison() {
    if (take("==")) return Op::equal;
    if (take("!=")) return Op::not_equal;
    if (take("<=")) return Op::less_equal;
    if (take(">=")) return Op::greater_equal;
    if (take("<")) return Op::less;
    if (take(">")) return Op::greater;
    return std::nullopt;
  }

  Operand parse_comparison() {
    const Operand left = parse_sum();
    skip_space();
    const std::size_t offset = at_;
    const auto op = take_comparison();
    if (!op) return left;
    const Operand right = parse_sum();
    skip_space();
    if (const std::size_t second = at_; take_comparison()) {
      fail(second, "comparisons cannot be chained; write 'a < b and b < c'");
    }
    compare(*op, offset, left, right);
    return {.offset = left.offset};
  }

  void compare(Op op, std::size_t offset, const Operand& left, const Operand& right) {
    using Kind = Operand::Kind;
    const bool with_text = left.kind == Kind::text || left.kind == Kind::literal ||
                           right.kind == Kind::text || right.kind == Kind::literal;
    if (!with_text) {
      require_number(left);
      require_number(right);
      emit(op);
      return;
    }
    if (op != Op::equal && op != Op::not_equal) fail(offset, "texts can only be compared with == and !=");
    if (left.kind == Kind::text && right.kind == Kind::text) {
      translate(left, right, offset);
    } else if (left.kind == Kind::text) {
      emit_code(left, right);
    } else if (right.kind == Kind::text) {
      emit_code(right, left);
    } else if (left.kind == Kind::literal && right.kind == Kind::literal) {
      emit({.op = Op::constant, .value = 0});
      emit({.op = Op::constant, .value = left.spelling == right.spelling ? 0.0 : 1.0});
    } else {
      const Operand& other = left.kind == Kind::literal ? right : left;
      if (other.kind == Kind::bare) fail_unknown(other);
      const std::string name = other.is_symbol ? fmt::format("'{}' is a number", symbols_[other.index].name)
                                               : std::string("the other side is a number");
      fail((left.kind == Kind::literal ? left : right).offset,
           fmt::format("a text cannot be compared with a number: {}", name));
    }
    emit(op);
  }

  /// The code that `other`, a word in one way or another, has for `symbol`.
  void emit_code(const Operand& symbol, const Operand& other) {
    const Symbol& declared = symbols_[symbol.index];
    if (other.kind == Operand::Kind::number && !other.is_constant) {
      fail(symbol.offset, fmt::format("'{}' is a text; it cannot be compared with a number", declared.name));
    }
    const auto word = std::find(declared.words.begin(), declared.words.end(), other.spelling);
    if (word == declared.words.end()) {
      fail(other.offset, fmt::format("'{}' is not a value of '{}'{}", other.spelling.substr(0, 80),
                                     declared.name, hint(other.spelling, declared.words)));
    }
    const auto code = static_cast<double>(word - declared.words.begin());
    if (other.is_constant) {
      program_.code[other.index].value = code;
    } else {
      emit({.op = Op::constant, .value = code});
    }
  }

  /// Two text symbols: the right one's code, which was emitted last, becomes the left one's.
  void translate(const Operand& left, const Operand& right, std::size_t offset) {
    const std::vector<std::string>& target = symbols_[left.index].words;
    const std::vector<std::string>& source = symbols_[right.index].words;
    if (source == target) return;
    std::vector<double> table;
    bool any = false;
    for (const std::string& word : source) {
      const auto same = std::find(target.begin(), target.end(), word);
      any = any || same != target.end();
      table.push_back(same != target.end() ? static_cast<double>(same - target.begin()) : -1);
    }
    if (!any) {
      fail(offset, fmt::format("'{}' and '{}' have no value in common", symbols_[left.index].name,
                               symbols_[right.index].name));
    }
    emit({.op = Op::translate, .index = static_cast<std::uint32_t>(program_.tables.size())});
    program_.tables.push_back(std::move(table));
  }

  Operand parse_sum() {
    Operand left = parse_product();
    for (;;) {
      if (take("+")) {
        left = combine(Op::add, left, &Parser::parse_product);
      } else if (take("-")) {
        left = combine(Op::subtract, left, &Parser::parse_product);
      } else {
        return left;
      }
    }
  }

  Operand parse_product() {
    Operand left = parse_unary();
    for (;;) {
      skip_space();
      if (peek() == '*' && peek(1) == '*') fail(at_, "'**' is not an operator; '^' raises to a power");
      if (take("*")) {
        left = combine(Op::multiply, left, &Parser::parse_unary);
      } else if (take("/")) {
        left = combine(Op::divide, left, &Parser::parse_unary);
      } else if (take("%")) {
        left = combine(Op::modulo, left, &Parser::parse_unary);
      } else {
        return left;
      }
    }
  }

  Operand parse_unary() {
    skip_space();
    const std::size_t offset = at_;
    if (!take("-")) return parse_power();
    const Level level(*this);
    require_number(parse_unary());
    emit(Op::negate);
    return {.offset = offset};
  }

  Operand parse_power() {
    const Operand base = parse_primary();
    if (!take("^")) return base;
    const Level level(*this);
    return combine(Op::power, base, &Parser::parse_unary);
  }

  Operand parse_primary() {
    skip_space();
    const std::size_t offset = at_;
    const char c = peek();
    if (take("(")) {
      Operand inner = parse_or();
      expect(")");
      return inner;
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return parse_constant();
    if (c == '\'' || c == '"') return parse_literal();
    const std::string_view name = peek_name();
    if (name.empty() || name == "and" || name == "or" || name == "not") {
      if (c == '!' || c == '&' || c == '|' || c == '=') fail_unexpected();
      fail(at_, fmt::format("expected a value, found {}", found()));
    }
    at_ += name.size();
    skip_space();
    if (peek() == '(') return parse_call(name, offset);

    if (const auto symbol = find(name)) {
      at_ = offset + name.size();
      mention({*symbol});
      emit({.op = Op::load, .index = static_cast<std::uint32_t>(*symbol)});
      const bool is_text = !symbols_[*symbol].words.empty();
      return {.kind = is_text ? Operand::Kind::text : Operand::Kind::number,
              .offset = offset,
              .index = *symbol,
              .is_symbol = true};
    }
    if (name == "true" || name == "false") return constant(name == "true" ? 1 : 0, offset, name);
    return {.kind = Operand::Kind::bare, .offset = offset, .spelling = name};
  }

  Operand constant(double value, std::size_t offset, std::string_view spelling) {
    emit({.op = Op::constant, .value = value});
    return {.offset = offset, .spelling = spelling, .index = program_.code.size() - 1, .is_constant = true};
  }

  /// A number, perhaps with a unit. What is no number may still be a word that begins with a digit, such as
  /// 3x3.
  Operand parse_constant() {
    const std::size_t offset = at_;
    const std::size_t digits = number_prefix(text_.substr(at_));
    std::size_t end = at_ + digits;
    while (end < text_.size() &&
           (is_word_character(text_[end]) || (static_cast<unsigned char>(text_[end]) & 0x80)))
      ++end;
    const std::size_t unit_at = at_ + digits;
    std::string_view unit = text_.substr(unit_at, end - unit_at);
    const std::string_view rest = text_.substr(end);
    if (unit.ends_with('B') && rest.starts_with("/s") && (rest.size() == 2 || !is_word_character(rest[2]))) {
      unit = text_.substr(unit_at, unit.size() + 2);
    }
    const std::string_view spelling = text_.substr(offset, digits + unit.size());
    at_ += spelling.size();

    if (unit.empty()) {
      const auto value = parse_number(spelling);
      if (!value) fail(offset, fmt::format("'{}' is out of range", spelling.substr(0, 40)));
      return constant(*value, offset, spelling);
    }
    std::string problem;
    for (const std::string_view dimension : {"s", "J", "W", "Hz", "m", "mm2", "B", "B/s", "bit"}) {
      if (const auto value = parse_quantity(spelling, dimension, problem))
        return constant(*value, offset, spelling);
      if (problem.ends_with("out of range")) fail(offset, problem);
    }
    return {.kind = Operand::Kind::bare, .offset = offset, .spelling = spelling, .unit = unit};
  }

  Operand parse_literal() {
    const std::size_t offset = at_;
    const std::size_t close = text_.find(peek(), at_ + 1);
    if (close == std::string_view::npos) fail(offset, "this quote is not closed");
    at_ = close + 1;
    return {.kind = Operand::Kind::literal,
            .offset = offset,
            .spelling = text_.substr(offset + 1, close - offset - 1)};
  }

  Operand parse_call(std::string_view name, std::size_t offset) {
    expect("(");
    if (name == "active") return parse_active(offset);
    for (const auto& [aggregate, op] : aggregates) {
      if (name == aggregate) return parse_aggregate(name, op, offset);
    }
    const auto function = std::find_if(std::begin(functions), std::end(functions),
                                       [&](const Function& candidate) { return candidate.name == name; });
    if (function == std::end(functions)) {
      std::vector<std::string> known = {"active"};
      for (const Function& candidate : functions) known.emplace_back(candidate.name);
      for (const auto& aggregate : aggregates) known.emplace_back(aggregate.first);
      fail(offset, fmt::format("unknown function '{}'{}", name.substr(0, 80), hint(name, known)));
    }
    std::size_t count = 0;
    skip_space();
    if (peek() != ')') {
      do {
        require_number(parse_or());
        ++count;
        // min and max combine as they go, so that any number of arguments needs two places.
        if (function->most == unlimited && count > 1) emit(function->op);
      } while (take(","));
    }
    expect(")");
    if (count < function->least || count > function->most) {
      const std::string_view more = function->most == unlimited ? " or more" : "";
      fail(offset, fmt::format("{} takes {}{} argument{}, not {}", name, function->least, more,
                               function->least == 1 ? "" : "s", count));
    }
    if (function->most != unlimited) emit(function->op);
    return {.offset = offset};
  }

  Operand parse_active(std::size_t offset) {
    skip_space();
    const std::string_view name = peek_name();
    if (name.empty()) fail(at_, fmt::format("active takes a name, found {}", found()));
    const auto symbol = find(name);
    if (!symbol) fail_unknown(at_, name);
    at_ += name.size();
    mention({*symbol});
    expect(")");
    emit({.op = Op::active, .index = static_cast<std::uint32_t>(*symbol)});
    return {.offset = offset};
  }

  Operand parse_aggregate(std::string_view function, Op op, std::size_t offset) {
    skip_space();
    const std::size_t start = at_;
    while (!at_end() && (is_word_character(peek()) || peek() == '.' || peek() == '*')) ++at_;
    const std::string_view pattern = text_.substr(start, at_ - start);
    if (pattern.empty()) fail(at_, fmt::format("{} takes a name pattern, found {}", function, found()));
    std::vector<std::size_t> found_symbols;
    for (std::size_t i = 0; i < symbols_.size(); ++i) {
      if (!matches(pattern, symbols_[i].name)) continue;
      if (op != Op::aggregate_count && !symbols_[i].words.empty()) {
        fail(start, fmt::format("'{}' is a text; {} needs numbers", symbols_[i].name, function));
      }
      found_symbols.push_back(i);
    }
    if (found_symbols.empty()) {
      fail(start, fmt::format("no name matches '{}'{}", pattern.substr(0, 80),
                              pattern.find('*') == std::string_view::npos ? hint(pattern, names()) : ""));
    }
    emit({.op = op,
          .index = static_cast<std::uint32_t>(program_.members.size()),
          .count = static_cast<std::uint32_t>(found_symbols.size())});
    program_.members.insert(program_.members.end(), found_symbols.begin(), found_symbols.end());
    mention(std::move(found_symbols));
    skip_space();
    if (!take(")"))
      fail(at_, fmt::format("{} takes one name pattern; expected ')', found {}", function, found()));
    return {.offset = offset};
  }

  std::optional<std::size_t> find(std::string_view name) const {
    const auto symbol = std::find_if(symbols_.begin(), symbols_.end(),
                                     [&](const Symbol& candidate) { return candidate.name == name; });
    if (symbol == symbols_.end()) return std::nullopt;
    return static_cast<std::size_t>(symbol - symbols_.begin());
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    names.reserve(symbols_.size());
    for (const Symbol& symbol : symbols_) names.push_back(symbol.name);
    return names;
  }

  /// The name that ends here stands for these symbols.
  void mention(std::vector<std::size_t> symbols) {
    for (const std::size_t symbol : symbols) {
      if (!symbols_[symbol].words.empty()) program_.words[symbol] = symbols_[symbol].words;
    }
    program_.mentions.push_back({at_, std::move(symbols)});
  }

  std::string_view text_;
  std::span<const Symbol> symbols_;
  Program& program_;
  const Fail& fail_;
  std::size_t at_ = 0;
  mutable int nesting_ = 0;
  std::size_t stack_ = 0;
};

Expression Expression::parse(const Config& scalar, std::span<const Symbol> symbols) {
  Expression expression;
  expression.text_ = scalar.text();
  auto program = std::make_shared<Program>();
  Program::Parser(expression.text_, symbols, *program, [&](std::size_t offset, const std::string& message) {
    scalar.fail_at(offset, message);
  }).parse();
  expression.program_ = std::move(program);
  return expression;
}

Expression Expression::parse(std::string_view text, std::span<const Symbol> symbols) {
  Expression expression;
  expression.text_ = text;
  auto program = std::make_shared<Program>();
  Program::Parser(expression.text_, symbols, *program, [&](std::size_t offset, const std::string& message) {
    throw ConfigError(fmt::format("expression:1:{}: {}", offset + 1, message));
  }).parse();
  expression.program_ = std::move(program);
  return expression;
}

double Expression::evaluate(const Reader& read) const {
  assert(program_ != nullptr);
  return program_->run<false>(read).value;
}

std::optional<bool> Expression::holds(const Reader& read) const {
  const double value = evaluate(read);
  if (is_absent(value)) return std::nullopt;
  return value != 0;
}

double Expression::excess(const Reader& read) const {
  assert(program_ != nullptr);
  return program_->run<true>(read).excess;
}

std::vector<std::size_t> Expression::reads() const {
  assert(program_ != nullptr);
  std::set<std::size_t> symbols;
  for (const Program::Mention& mention : program_->mentions)
    symbols.insert(mention.symbols.begin(), mention.symbols.end());
  return {symbols.begin(), symbols.end()};
}

std::string Expression::explain(const Reader& read) const {
  assert(program_ != nullptr);
  const auto describe = [&](std::size_t symbol) -> std::string {
    const double value = read(symbol);
    if (is_absent(value)) return "inactive";
    const auto words = program_->words.find(symbol);
    if (words == program_->words.end()) return in_full(value);
    const bool known = value >= 0 && value < static_cast<double>(words->second.size());
    return known ? words->second[static_cast<std::size_t>(value)] : in_full(value);
  };
  std::string out;
  std::size_t copied = 0;
  for (const Program::Mention& mention : program_->mentions) {
    out.append(text_, copied, mention.end - copied);
    copied = mention.end;
    std::string values;
    for (const std::size_t symbol : mention.symbols) {
      values += fmt::format("{}{}", values.empty() ? "" : ", ", describe(symbol));
    }
    out += fmt::format(" ({})", values);
  }
  return out.append(text_, copied);
}

}  // namespace duet
