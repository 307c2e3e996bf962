#include <array>
#include <cmath>
#include <limits>

#include "core/errors.hpp"
#include "core/expression.hpp"
#include "tests/fuzz/targets.hpp"

namespace duet::fuzz {
namespace {

const std::vector<Symbol>& symbols() {
  static const std::vector<Symbol> all{
      {"rows", {}},
      {"a.columns", {}},
      {"a.flow", {"weight_stationary", "output_stationary", "3x3", "1"}},
      {"n.s0.depth", {}},
      {"n.s1.depth", {}},
      {"n.s0.op", {"3x3", "skip", "weight_stationary"}},
      {"n.s1.op", {"skip", "3x3"}},
      {"x", {}},
  };
  return all;
}

constexpr double inactive = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::array<std::array<double, 8>, 6> valuations{{
    {16, 32, 0, 1, 2, 0, 1, 0.5},
    {0, -1, 3, 0, 0, 2, 0, -0.0},
    {inactive, 1, inactive, 3, inactive, 1, inactive, 1e308},
    {inactive, inactive, inactive, inactive, inactive, inactive, inactive, inactive},
    {infinity, -infinity, 1, 1e-308, 4.9e-324, 2, 0, -1e308},
    {1e15, 524288, 2, 7, 7, 1, 1, 1.0 / 3},
}};

}  // namespace

void fuzz_expression(std::string_view input) {
  std::optional<Expression> parsed;
  try {
    parsed = Expression::parse(input, symbols());
  } catch (const ConfigError& error) {
    require(std::string_view(error.what()).starts_with("expression:"), "errors have a position", error.what());
    require(std::string_view(error.what()).find('\n') == std::string_view::npos, "messages are one line", error.what());
    return;
  }
  const Expression& expression = *parsed;
  require(expression.text() == input, "the text is kept");
  for (const std::size_t symbol : expression.reads()) require(symbol < symbols().size(), "it reads what exists");

  for (const auto& values : valuations) {
    std::array<bool, 8> read{};
    const auto reader = [&](std::size_t symbol) {
      read.at(symbol) = true;
      return values.at(symbol);
    };
    const double value = expression.evaluate(reader);
    const double again = expression.evaluate(reader);
    require(value == again || (std::isnan(value) && std::isnan(again)), "evaluation is pure");
    const std::optional<bool> holds = expression.holds(reader);
    require(holds.has_value() == !std::isnan(value), "a condition is absent where the value is");
    require(!holds || *holds == (value != 0), "a condition holds where the value is not 0");
    const double violation = expression.violation(reader);
    require(violation >= 0, "a violation is not negative", std::to_string(violation));
    require((violation == 0) == holds.value_or(true), "a violation is 0 where the condition holds or is absent",
            std::to_string(violation));
    const std::string explained = expression.explain(reader);
    require(explained.size() >= input.size(), "an explanation holds the text");
    for (const std::size_t symbol : expression.reads()) read.at(symbol) = false;
    require(read == std::array<bool, 8>{}, "it declares what it reads");
  }
}

}  // namespace duet::fuzz
