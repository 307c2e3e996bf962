#pragma once
/// The operators of network.hpp by name, with their attributes by name: what a reader of text needs to make them.

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "spaces/network.hpp"

namespace duet {

struct OperatorAttribute {
  enum class Kind {
    whole,    ///< a whole number
    real,     ///< any number
    boolean,  ///< 0 or 1
    word,     ///< one of `words`, as the position there
    text,
    list,  ///< of whole numbers
  };
  /// Of a padding: so that an odd kernel with stride 1 keeps the size, dilation·(kernel − 1) / 2; 0 for an even one.
  static constexpr double same = -std::numeric_limits<double>::infinity();

  std::string name;
  Kind kind = Kind::whole;
  std::optional<double> standard = {};  ///< nothing: it must be given
  std::vector<std::string> words = {};
};

/// One attribute's value; which member counts follows from the attribute's kind.
struct AttributeValue {
  double number = 0;
  std::string text;
  std::vector<std::int64_t> list;
};

struct OperatorKind {
  std::string name;
  std::size_t least_inputs = 1, most_inputs = 1;
  std::vector<OperatorAttribute> attributes;
  /// "kernel" stands for kernel_h and kernel_w.
  std::vector<std::pair<std::string, std::vector<std::string>>> shorts;
  /// \pre a value for each attribute, whole numbers within 2^53
  Operator (*make)(std::span<const AttributeValue> values) = nullptr;

  /// The attributes that a name stands for, by position; none for an unknown name.
  std::vector<std::size_t> targets(std::string_view attribute) const;
  /// All names that targets() knows.
  std::vector<std::string> attribute_names() const;
};

/// In the order of the variant. `input` and other shapes without a batch are the reader's affair.
std::span<const OperatorKind> operator_kinds();
const OperatorKind* find_operator(std::string_view name);

}  // namespace duet
