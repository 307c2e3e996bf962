#include "core/expression.hpp"

#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/errors.hpp"
#include "core/units.hpp"

namespace duet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr double inactive = std::numeric_limits<double>::quiet_NaN();

const std::vector<Symbol>& symbols() {
  static const std::vector<Symbol> list = {
      {"rows", {}},                                                             // 0: 64
      {"columns", {}},                                                          // 1: 32
      {"off", {}},                                                              // 2: inactive
      {"accelerator.dataflow", {"weight_stationary", "output_stationary"}},     // 3: output_stationary
      {"network.stage1.depth", {}},                                             // 4: 3
      {"network.stage2.depth", {}},                                             // 5: 4
      {"network.stage3.depth", {}},                                             // 6: inactive
      {"network.stage1.block.depth", {}},                                       // 7: 100
      {"kernel", {"3x3", "5x5", "16", "true"}},                                 // 8: 16
      {"other.dataflow", {"input", "output_stationary", "weight_stationary"}},  // 9: output_stationary
      {"negative", {}},                                                         // 10: -3
  };
  return list;
}

double read(std::size_t symbol) {
  static const double values[] = {64, 32, inactive, 1, 3, 4, inactive, 100, 2, 1, -3};
  return values[symbol];
}

Expression expression_of(std::string_view text) {
  return Expression::parse(text, symbols());
}
double value(std::string_view text) {
  return expression_of(text).evaluate(read);
}

std::string message(std::string_view text) {
  try {
    expression_of(text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown for " << text;
  return "";
}

TEST(Expression, Precedence) {
  EXPECT_EQ(value("1 + 2 * 3"), 7);
  EXPECT_EQ(value("(1 + 2) * 3"), 9);
  EXPECT_EQ(value("10 - 3 - 2"), 5);
  EXPECT_EQ(value("2 ^ 3 ^ 2"), 512);
  EXPECT_EQ(value("-2 ^ 2"), -4);
  EXPECT_EQ(value("2 ^ -1"), 0.5);
  EXPECT_EQ(value("- -2"), 2);
  EXPECT_EQ(value("12 / 3 / 2"), 2);
  EXPECT_EQ(value("7 % 4 * 2"), 6);
  EXPECT_EQ(value("not 1 == 2"), 1);
  EXPECT_EQ(value("1 or 0 and 0"), 1);
  EXPECT_EQ(value("not 0 and 0"), 0);
  EXPECT_EQ(value("1 + 1 == 2 and 3 > 2"), 1);
  EXPECT_EQ(value("true + true"), 2);
  EXPECT_EQ(value("1<2"), 1);
  EXPECT_EQ(value("  1\n+\t2 "), 3);
}

TEST(Expression, ModuloHasTheSignOfTheDivisor) {
  EXPECT_EQ(value("-1 % 4"), 3);
  EXPECT_EQ(value("1 % -4"), -3);
  EXPECT_EQ(value("5.5 % 2"), 1.5);
  EXPECT_EQ(value("-8 % 4"), 0);
  EXPECT_EQ(value("50%30"), 20);
}

TEST(Expression, Functions) {
  EXPECT_EQ(value("min(3, 1, 2)"), 1);
  EXPECT_EQ(value("max(3, 1)"), 3);
  EXPECT_EQ(value("abs(negative) + ceil(1.2) + floor(-1.2) + round(2.5)"), 3 + 2 - 2 + 3);
  EXPECT_EQ(value("sqrt(16) + log2(8) + ln(1) + exp(0) + pow(2, 5)"), 4 + 3 + 0 + 1 + 32);
  EXPECT_EQ(value("if(rows > 10, 1, 2)"), 1);
  EXPECT_EQ(value("if(rows < 10, 1, 2)"), 2);
  EXPECT_EQ(value("active(rows) + active(off)"), 1);
}

TEST(Expression, NumbersWithUnits) {
  EXPECT_EQ(value("512KiB"), 524288);
  EXPECT_EQ(value("1.5GHz / 3ns"), 1.5e9 / 3e-9);
  EXPECT_EQ(value("16GB/s"), 16e9);
  EXPECT_EQ(value("2mm2 + 500um2"), 2 + 500e-6);
  EXPECT_EQ(value("1e3"), 1000);
  EXPECT_EQ(value("1_000 + .5"), 1000.5);
  EXPECT_EQ(value("8bit"), 8);
  EXPECT_EQ(message("3KB > 1"), "expression:1:1: 'KB' is not a unit");
  EXPECT_EQ(message("1 < 1e999"), "expression:1:5: '1e999' is out of range");
}

TEST(Expression, Texts) {
  EXPECT_EQ(value("accelerator.dataflow == \"output_stationary\""), 1);
  EXPECT_EQ(value("accelerator.dataflow != 'output_stationary'"), 0);
  EXPECT_EQ(value("'weight_stationary' == accelerator.dataflow"), 0);
  EXPECT_EQ(value("accelerator.dataflow == output_stationary"), 1);
  EXPECT_EQ(value("(accelerator.dataflow) == (output_stationary)"), 1);
  EXPECT_EQ(value("kernel == 16"), 1);
  EXPECT_EQ(value("16 == kernel"), 1);
  EXPECT_EQ(value("kernel == '16'"), 1);
  EXPECT_EQ(value("kernel == 3x3"), 0);
  EXPECT_EQ(value("kernel == true"), 0);
  EXPECT_EQ(value("'a' == 'a'"), 1);
  EXPECT_EQ(value("'a' == 'b'"), 0);
  // Between names by the texts, though their codes differ.
  EXPECT_EQ(value("accelerator.dataflow == other.dataflow"), 1);
  EXPECT_EQ(value("accelerator.dataflow != other.dataflow"), 0);
  const auto elsewhere = [](std::size_t symbol) { return symbol == 9 ? 0.0 : read(symbol); };
  EXPECT_EQ(expression_of("accelerator.dataflow == other.dataflow").evaluate(elsewhere), 0);
  EXPECT_EQ(expression_of("other.dataflow == accelerator.dataflow").evaluate(elsewhere), 0);
}

TEST(Expression, TextMistakes) {
  EXPECT_EQ(message("accelerator.dataflow == 'weight_stationery'"),
            "expression:1:25: 'weight_stationery' is not a value of 'accelerator.dataflow'; "
            "did you mean 'weight_stationary'?");
  EXPECT_EQ(message("accelerator.dataflow == output_stationari"),
            "expression:1:25: 'output_stationari' is not a value of 'accelerator.dataflow'; "
            "did you mean 'output_stationary'?");
  EXPECT_THAT(message("kernel == 17"), HasSubstr("'17' is not a value of 'kernel'"));
  EXPECT_EQ(message("kernel < '3x3'"), "expression:1:8: texts can only be compared with == and !=");
  EXPECT_EQ(message("kernel == rows"),
            "expression:1:1: 'kernel' is a text; it cannot be compared with a number");
  EXPECT_EQ(message("rows == 'x'"),
            "expression:1:9: a text cannot be compared with a number: 'rows' is a number");
  EXPECT_EQ(message("kernel + 1"),
            "expression:1:1: 'kernel' is a text; it can only be compared, with == or !=");
  EXPECT_EQ(message("1 + 'x'"), "expression:1:5: a text can only be compared, with == or !=");
  EXPECT_THAT(message("not kernel"), HasSubstr("'kernel' is a text"));
  EXPECT_THAT(message("kernel"), HasSubstr("'kernel' is a text"));
  EXPECT_EQ(message("kernel == accelerator.dataflow"),
            "expression:1:8: 'kernel' and 'accelerator.dataflow' have no value in common");
}

TEST(Expression, Aggregates) {
  EXPECT_EQ(value("sum(network.stage*.depth)"), 7);  // the inactive one and deeper names are left out
  EXPECT_EQ(value("product(network.stage*.depth)"), 12);
  EXPECT_EQ(value("minimum(network.stage*.depth)"), 3);
  EXPECT_EQ(value("maximum(network.*.depth)"), 4);
  EXPECT_EQ(value("count(network.stage*.depth)"), 2);
  EXPECT_EQ(value("count(*.dataflow)"), 2);
  EXPECT_EQ(message("count(*dataflow)"), "expression:1:7: no name matches '*dataflow'");
  EXPECT_EQ(value("sum(network.stage*.*.depth)"), 100);
  EXPECT_EQ(value("sum( rows )"), 64);
  EXPECT_EQ(value("sum(off)"), 0);
  EXPECT_EQ(value("product(off)"), 1);
  EXPECT_EQ(value("count(off)"), 0);
  EXPECT_TRUE(std::isnan(value("minimum(off)")));
  EXPECT_TRUE(std::isnan(value("maximum(off)")));
  EXPECT_EQ(message("sum(network.stag*.width)"), "expression:1:5: no name matches 'network.stag*.width'");
  EXPECT_EQ(message("sum(rowz)"), "expression:1:5: no name matches 'rowz'; did you mean 'rows'?");
  EXPECT_EQ(message("sum(kernel)"), "expression:1:5: 'kernel' is a text; sum needs numbers");
  EXPECT_EQ(message("sum(rows, columns)"),
            "expression:1:9: sum takes one name pattern; expected ')', found ','");
}

TEST(Expression, AbsenceSpreadsExceptThroughAndOr) {
  for (const char* text :
       {"off",         "off + 1",     "-off",        "off * 0",       "off ^ 0",       "1 ^ off",
        "pow(1, off)", "min(off, 1)", "max(1, off)", "abs(off)",      "off == off",    "off != 1",
        "off < 1",     "1 <= off",    "not off",     "if(off, 1, 2)", "if(1, off, 2)", "off and off",
        "off or off",  "0 / 0",       "sqrt(-1)",    "5 % 0"}) {
    EXPECT_TRUE(std::isnan(value(text))) << text;
    EXPECT_EQ(expression_of(text).holds(read), std::nullopt) << text;
    EXPECT_EQ(expression_of(text).violation(read), 0) << text;
  }
  EXPECT_EQ(value("off > 1 and 1"), 1);
  EXPECT_EQ(value("0 and off > 1"), 0);
  EXPECT_EQ(value("off > 1 or 1"), 1);
  EXPECT_EQ(value("off > 1 or 0"), 0);
  EXPECT_EQ(value("if(1, 2, off)"), 2);
  EXPECT_EQ(value("network.stage3.depth > 2 or not active(network.stage3.depth)"), 1);
}

TEST(Expression, HoldsTakesNumbers) {
  EXPECT_EQ(expression_of("rows").holds(read), true);
  EXPECT_EQ(expression_of("rows - 64").holds(read), false);
  EXPECT_EQ(expression_of("1 / 0 > 5").holds(read), true);
}

TEST(Expression, Violation) {
  EXPECT_EQ(expression_of("rows * columns <= 1024").violation(read), 1);  // 2048 against 1024
  EXPECT_EQ(expression_of("rows * columns <= 2048").violation(read), 0);
  EXPECT_EQ(expression_of("rows >= 128").violation(read), 0.5);
  EXPECT_EQ(expression_of("rows <= 0.5").violation(read), 63.5);  // absolute where |b| ≤ 1
  EXPECT_GT(expression_of("rows < 64").violation(read), 0);
  EXPECT_LT(expression_of("rows < 64").violation(read), 1e-300);
  EXPECT_EQ(expression_of("rows == 63").violation(read), 1);
  EXPECT_EQ(expression_of("rows >= 128 and rows * columns <= 1024").violation(read), 1.5);
  EXPECT_EQ(expression_of("rows >= 128 or rows * columns <= 1024").violation(read), 0.5);
  EXPECT_EQ(expression_of("rows >= 128 or columns == 32").violation(read), 0);
  EXPECT_EQ(expression_of("off >= 128 or rows >= 128").violation(read), 0.5);
  EXPECT_EQ(expression_of("off >= 128 and rows >= 128").violation(read), 0.5);
  EXPECT_EQ(expression_of("not rows >= 1").violation(read), 1);
  EXPECT_EQ(expression_of("if(active(off), off > 1, rows >= 128)").violation(read), 0.5);
  EXPECT_EQ(expression_of("rows <= -1/0").violation(read), std::numeric_limits<double>::infinity());
  EXPECT_EQ(expression_of("1/0 < 1/0").violation(read), std::numeric_limits<double>::infinity());
  EXPECT_EQ(expression_of("columns - 32").violation(read), 1);
}

TEST(Expression, ExcessIsWhatIsLeftWhereItHolds) {
  EXPECT_EQ(expression_of("rows * columns <= 1024").excess(read), 1);
  EXPECT_EQ(expression_of("rows * columns <= 2048").excess(read), 0);
  EXPECT_EQ(expression_of("rows * columns <= 4096").excess(read), -0.5);
  EXPECT_EQ(expression_of("rows >= 32").excess(read), -1);
  EXPECT_EQ(expression_of("rows == 64").excess(read), -1);
  EXPECT_EQ(expression_of("rows <= 128 and columns <= 128").excess(read), -0.5);  // the nearer one
  EXPECT_EQ(expression_of("rows <= 128 and columns <= 16").excess(read), 1);      // what is left does not make up for it
  EXPECT_EQ(expression_of("rows <= 128 or columns <= 16").excess(read), -0.5);
  EXPECT_EQ(expression_of("rows <= 128 and off <= 1").excess(read), -0.5);
  EXPECT_EQ(expression_of("if(active(off), off > 1, rows <= 128)").excess(read), -0.5);
  EXPECT_EQ(expression_of("not rows <= 1").excess(read), -1);
  EXPECT_EQ(expression_of("rows <= 1/0").excess(read), -std::numeric_limits<double>::infinity());
}

TEST(Expression, ReadsAndExplain) {
  const Expression expression =
      expression_of("columns * rows <= 1024 or sum(network.stage*.depth) > 2 and active(off)");
  EXPECT_THAT(expression.reads(), ElementsAre(0, 1, 2, 4, 5, 6));
  EXPECT_EQ(expression.explain(read),
            "columns (32) * rows (64) <= 1024 or sum(network.stage*.depth (3, 4, inactive)) > 2 and "
            "active(off (inactive))");
  EXPECT_EQ(expression_of("accelerator.dataflow == weight_stationary").explain(read),
            "accelerator.dataflow (output_stationary) == weight_stationary");
  EXPECT_EQ(expression.text(), "columns * rows <= 1024 or sum(network.stage*.depth) > 2 and active(off)");
  EXPECT_THAT(expression_of("rows + rows").reads(), ElementsAre(0));
  EXPECT_THAT(expression_of("1").reads(), ElementsAre());
}

TEST(Expression, SyntaxMistakes) {
  const std::map<std::string, std::string> cases = {
      {"", "1: the expression is empty"},
      {"  ", "1: the expression is empty"},
      {"1 +", "4: expected a value, found the end"},
      {"(1", "3: expected ')', found the end"},
      {"1)", "2: this ')' closes nothing"},
      {"1 2", "3: expected an operator, found '2'"},
      {"rows columns", "6: expected an operator, found 'columns'"},
      {"rows = 1", "6: '=' is not an operator; '==' compares"},
      {"rows && 1", "6: '&' is not an operator; write 'and'"},
      {"rows || 1", "6: '|' is not an operator; write 'or'"},
      {"!rows", "1: '!' is not an operator; write 'not'"},
      {"2 ** 3", "3: '**' is not an operator; '^' raises to a power"},
      {"1 < 2 < 3", "7: comparisons cannot be chained; write 'a < b and b < c'"},
      {"rwos > 1", "1: unknown name 'rwos'; did you mean 'rows'?"},
      {"active(rwos)", "8: unknown name 'rwos'; did you mean 'rows'?"},
      {"active(1)", "8: active takes a name, found '1'"},
      {"mix(1, 2)", "1: unknown function 'mix'; did you mean 'min'?"},
      {"min(1)", "1: min takes 2 or more arguments, not 1"},
      {"abs()", "1: abs takes 1 argument, not 0"},
      {"abs(1, 2)", "1: abs takes 1 argument, not 2"},
      {"if(1, 2)", "1: if takes 3 arguments, not 2"},
      {"min(1, )", "8: expected a value, found ')'"},
      {"1 + and", "5: expected a value, found 'and'"},
      {"rows == 'x", "9: this quote is not closed"},
      {"1 + \xC3\xA4", "5: expected a value, found '\xC3\xA4'"},
      {"rows.", "5: expected an operator, found '.'"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(message(text), "expression:1:" + expected) << text;
}

TEST(Expression, MessagesAreOneLine) {
  EXPECT_EQ(message("accelerator.dataflow == 'a\nb'"),
            "expression:1:25: 'a b' is not a value of 'accelerator.dataflow'; known: weight_stationary, output_stationary");
}

TEST(Expression, NestingIsBounded) {
  const auto repeat = [](std::string_view text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
  };
  EXPECT_EQ(value(repeat("(", 199) + "1" + repeat(")", 199)), 1);
  EXPECT_EQ(value(repeat("1 + (", 199) + "1" + repeat(")", 199)), 200);
  for (const char* opening : {"(", "-", "not ", "2 ^ ", "abs(", "1 + ("}) {
    EXPECT_THAT(message(repeat(opening, 100'000) + "1"), HasSubstr("nested deeper than 200 levels"))
        << opening;
  }
  EXPECT_THAT(message(repeat("1 + 2 * if(1, 2, ", 150) + "1"), HasSubstr("too many unfinished operations"));
  EXPECT_EQ(value("1" + repeat(" + 1", 50'000)), 50'001);  // long is not deep
  EXPECT_EQ(value("max(1" + repeat(", 2", 5'000) + ")"), 2);
}

TEST(Expression, MistakesPointIntoTheFile) {
  const Config root = Config::parse("constraints:\n  - rows <= 5\n  - 'rows <= cols'\n  - [1]\n", "exp.yaml");
  const Config list = root.at("constraints");
  EXPECT_EQ(Expression::parse(list.at(std::size_t{0}), symbols()).holds(read), false);
  try {
    Expression::parse(list.at(std::size_t{1}), symbols());
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), StartsWith("exp.yaml:3:14: unknown name 'cols'; known: rows, columns, "));
  }
  EXPECT_THROW(Expression::parse(list.at(std::size_t{2}), symbols()), ConfigError);
}

// --- Random expressions against a direct computation

/// An expression of the tests' own, evaluated by walking it: absence is an empty optional, not NaN.
struct Tree {
  std::string op;  ///< operator, function, "number", "name"
  double number = 0;
  std::size_t symbol = 0;
  std::vector<std::unique_ptr<Tree>> children;
};

using Maybe = std::optional<double>;

class Generator {
 public:
  std::unique_ptr<Tree> tree(int depth) {
    auto node = std::make_unique<Tree>();
    if (depth == 0 || pick(6) == 0) {
      if (pick(2) == 0) {
        node->op = "number";
        node->number = static_cast<double>(pick(9)) / 2;
      } else {
        node->op = "name";
        node->symbol = pick(names);
      }
      return node;
    }
    static const char* const binary[] = {
        "or", "and", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "^", "min", "max"};
    static const char* const unary[] = {"not", "neg", "abs", "floor", "sqrt"};
    const std::size_t kind = pick(10);
    const std::size_t count = kind == 0 ? 3 : kind < 4 ? 1 : 2;
    node->op = count == 3   ? "if"
               : count == 1 ? unary[pick(std::size(unary))]
                            : binary[pick(std::size(binary))];
    for (std::size_t i = 0; i < count; ++i) node->children.push_back(tree(depth - 1));
    return node;
  }
  std::vector<double> values() {
    std::vector<double> values;
    for (std::size_t i = 0; i < names; ++i)
      values.push_back(pick(4) == 0 ? inactive : static_cast<double>(pick(21)) - 10);
    return values;
  }
  static constexpr std::size_t names = 5;

 private:
  std::size_t pick(std::size_t count) { return static_cast<std::size_t>(random_() % count); }
  std::mt19937_64 random_{7};
};

int level(const std::string& op) {
  static const std::map<std::string, int> levels = {
      {"or", 1}, {"and", 2}, {"not", 3}, {"==", 4}, {"!=", 4}, {"<", 4}, {"<=", 4},  {">", 4},
      {">=", 4}, {"+", 5},   {"-", 5},   {"*", 6},  {"/", 6},  {"%", 6}, {"neg", 7}, {"^", 8}};
  const auto at = levels.find(op);
  return at == levels.end() ? 9 : at->second;
}

/// With as few parentheses as the grammar in the header allows.
std::string print(const Tree& tree) {
  const auto child = [&](std::size_t i, int least) {
    const std::string text = print(*tree.children[i]);
    return level(tree.children[i]->op) < least ? "(" + text + ")" : text;
  };
  const int own = level(tree.op);
  if (tree.op == "number") return shortest(tree.number);
  if (tree.op == "name") return fmt::format("n{}", tree.symbol);
  if (tree.op == "not") return "not " + child(0, 3);
  if (tree.op == "neg") return "-" + child(0, 7);
  if (tree.op == "^") return child(0, 9) + " ^ " + child(1, 7);
  if (own == 4) return child(0, 5) + " " + tree.op + " " + child(1, 5);
  if (own < 9) return child(0, own) + " " + tree.op + " " + child(1, own + 1);
  std::string arguments;
  for (std::size_t i = 0; i < tree.children.size(); ++i)
    arguments += (i > 0 ? ", " : "") + print(*tree.children[i]);
  return tree.op + "(" + arguments + ")";
}

Maybe defined(double value) {
  return std::isnan(value) ? Maybe() : Maybe(value);
}

Maybe compute(const Tree& tree, const std::vector<double>& values) {
  const std::string& op = tree.op;
  if (op == "number") return tree.number;
  if (op == "name") return defined(values[tree.symbol]);
  std::vector<Maybe> v;
  for (const auto& node : tree.children) v.push_back(compute(*node, values));
  if (op == "and" || op == "or") {
    std::vector<bool> present;
    for (const Maybe& side : v) {
      if (side) present.push_back(*side != 0);
    }
    if (present.empty()) return {};
    bool result = op == "and";
    for (const bool side : present) result = op == "and" ? result && side : result || side;
    return result ? 1.0 : 0.0;
  }
  if (op == "if") return !v[0] ? Maybe() : *v[0] != 0 ? v[1] : v[2];
  for (const Maybe& side : v) {
    if (!side) return {};
  }
  const double a = *v[0];
  if (op == "not") return a == 0 ? 1.0 : 0.0;
  if (op == "neg") return -a;
  if (op == "abs") return a < 0 ? -a : a;
  if (op == "floor") return std::floor(a);
  if (op == "sqrt") return defined(std::sqrt(a));
  const double b = *v[1];
  if (op == "==") return a == b ? 1.0 : 0.0;
  if (op == "!=") return a == b ? 0.0 : 1.0;
  if (op == "<") return a < b ? 1.0 : 0.0;
  if (op == "<=") return a > b ? 0.0 : 1.0;
  if (op == ">") return a > b ? 1.0 : 0.0;
  if (op == ">=") return a < b ? 0.0 : 1.0;
  if (op == "+") return defined(a + b);
  if (op == "-") return defined(a - b);
  if (op == "*") return defined(a * b);
  if (op == "/") return defined(a / b);
  if (op == "^") return defined(std::pow(a, b));
  if (op == "min") return a < b ? a : b;
  if (op == "max") return a > b ? a : b;
  // a % b
  const double remainder = std::fmod(a, b);
  if (remainder != 0 && std::signbit(remainder) != std::signbit(b)) return defined(remainder + b);
  return defined(remainder);
}

TEST(Expression, AgreesWithADirectComputation) {
  std::vector<Symbol> names;
  for (std::size_t i = 0; i < Generator::names; ++i) names.push_back({fmt::format("n{}", i), {}});
  Generator generator;
  int absent_results = 0, violated = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto tree = generator.tree(1 + i % 6);
    const std::string text = print(*tree);
    const Expression expression = Expression::parse(text, names);
    for (int k = 0; k < 3; ++k) {
      const std::vector<double> values = generator.values();
      const auto reader = [&](std::size_t symbol) { return values[symbol]; };
      const Maybe expected = compute(*tree, values);
      const double actual = expression.evaluate(reader);
      if (expected) {
        ASSERT_EQ(actual, *expected) << text;
      } else {
        ASSERT_TRUE(std::isnan(actual)) << text;
        ++absent_results;
      }
      const double violation = expression.violation(reader);
      ASSERT_GE(violation, 0) << text;
      ASSERT_EQ(violation == 0, !expected || *expected != 0) << text;
      violated += violation > 0 ? 1 : 0;
    }
  }
  EXPECT_GT(absent_results, 5'000);
  EXPECT_GT(violated, 5'000);
}

TEST(Expression, EvaluationIsFast) {
  const Expression expression = expression_of("rows * columns + negative * 2 <= 1024");
  const Expression::Reader reader = read;
  constexpr int count = 200'000;
  double total = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) total += expression.evaluate(reader);
  const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(total, 0);
  RecordProperty("nanoseconds_per_evaluation", std::to_string(elapsed.count() / count));
  // Two orders of magnitude above what it takes, for sanitizers and busy machines; it fails on allocation or
  // recursion.
  EXPECT_LT(elapsed.count() / count, 10'000);
}

}  // namespace
}  // namespace duet
