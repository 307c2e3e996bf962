#pragma once
/// Arithmetic and logical expressions over named values: the language of constraints and derived quantities.
///
///   accelerator.rows * accelerator.columns <= 1024
///   network.kernel != 7 or accelerator.rows >= 16
///   sum(network.stage*.depth) <= 12 and accelerator.dataflow == "weight_stationary"
///   pe_count * 2 <= 512KiB
///
/// Grammar, loosest first: `or`, `and`, `not`, comparisons (== != < <= > >=, not chained), + -, * / %, unary
/// -, ^ (right-associative), calls, names, numbers with an optional unit of core/units.hpp written without a
/// blank, texts in single or double quotes, true, false, parentheses. Functions: min, max (two or more), abs,
/// ceil, floor, round, sqrt, log2, ln, exp, pow, if(condition, a, b), active(name), and the aggregates sum,
/// product, minimum, maximum, count over a name pattern with `*` (which stands for any characters except
/// '.'): inactive names are skipped; product and sum of nothing are 1 and 0, minimum and maximum of nothing
/// are absent. `a % b` has the sign of b (a - b·floor(a / b)) and is always an operator: percentages are
/// written as 0.05. round() takes halves away from 0.
///
/// Beside a name whose values are texts, the quotes may be left out around a word that is one of those texts
/// and not itself a name: `accelerator.dataflow == weight_stationary`, `network.kernel != 3x3`.
///
/// A name that is inactive makes the value of what reads it absent (like SQL's NULL, without three-valued
/// logic): a comparison with an absent side is absent, `and`/`or` ignore absent sides, and a constraint whose
/// value is absent does not apply.

#include <cstdint>
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.hpp"

namespace duet {

/// A symbol that expressions may read, as the owner of the names declares it.
struct Symbol {
  std::string name;
  /// The texts that the symbol's value may be compared with, in the order of their codes 0, 1, …; empty: a
  /// number. Comparing with any other text is an error at parse time (with the nearest match).
  std::vector<std::string> words = {};
};

/// A parsed expression: cheap to copy, immutable, safe to evaluate from several threads. Evaluation allocates
/// nothing.
class Expression {
 public:
  /// Reads symbol number i; NaN: inactive.
  using Reader = std::function<double(std::size_t symbol)>;

  /// \throws ConfigError pointing into the scalar: syntax, unknown name (with the nearest match), comparison
  /// of a text with a number, wrong number of arguments, nesting deeper than 200.
  static Expression parse(const Config& scalar, std::span<const Symbol> symbols);
  /// For tests and other sources of text: positions read "expression:1:12".
  static Expression parse(std::string_view text, std::span<const Symbol> symbols);

  /// Value (true is 1, false is 0); NaN where absent or undefined (0/0).
  double evaluate(const Reader& read) const;
  /// Value as a condition: nothing where absent. A number counts as true unless it is 0.
  std::optional<bool> holds(const Reader& read) const;
  /// For a constraint `a <= b` (also <, >=, >): by how much a exceeds b, relative to |b| where |b| > 1: what is lacking
  /// where positive, what is left where negative. For `and` the sum of what its parts lack, or what the nearest of them
  /// has left; for `or` the least, for `if` that of the branch taken; anything else -1 or 1. It is 0 where the
  /// constraint is absent, and positive exactly where it does not hold. May be infinite.
  double excess(const Reader& read) const;
  /// How far a constraint is from holding: what it lacks, otherwise 0.
  double violation(const Reader& read) const { return std::max(0.0, excess(read)); }

  /// The symbols it reads, ascending, without repetition.
  std::vector<std::size_t> reads() const;
  const std::string& text() const { return text_; }
  /// The text with each name followed by its value: for the sentence of a violated constraint:
  /// "accelerator.rows (64) * accelerator.columns (32) <= 1024".
  std::string explain(const Reader& read) const;

 private:
  struct Program;
  std::string text_;
  std::shared_ptr<const Program> program_;
};

}  // namespace duet
