#pragma once
/// Parameters of templates (architecture_template.hpp, network_template.hpp): what a template's file declares and a user
/// fixes or searches.
///
///   parameters:                       # in the template
///     rows: {default: 16, range: [1, 256], search: [8, 16, 32], sentence: "Rows of the array."}
///     activation: {default: relu, words: [relu, hard_swish], sentence: "Nonlinearity."}

#include <optional>
#include <string>
#include <vector>

#include "core/config.hpp"
#include "core/space.hpp"

namespace duet {

struct TemplateParameter {
  std::string name;
  std::string unit = "1";
  std::string sentence;
  double standard = 0;              ///< where nothing is said
  double minimum = 0, maximum = 0;  ///< what the template makes sense for
  std::vector<double> search;       ///< what a search chooses from unless told otherwise; ascending
  std::vector<std::string> words;   ///< of a parameter that is a word; values are positions in this list
  /// Whether only whole numbers of the unit make sense: counts, bytes, bits.
  bool whole() const { return unit == "1" || unit == "B" || unit == "bit"; }

  /// Its declaration. Words are for templates that calculate with them (`allow_words`). \throws ConfigError
  static TemplateParameter read(const std::string& name, const Config& config, bool allow_words = false);
  /// One value. \throws ConfigError for another unit, out of bounds, not whole or no such word.
  double read_value(const Config& config) const;
  /// A value as the user would write it.
  std::string format(double value) const;
  /// What a search chooses from: a value, a list of values, or {range: [low, high], log: true}. \throws ConfigError
  SpaceNode node(const Config& config) const;
  /// The same where nothing is said.
  SpaceNode node() const;
};

/// The text of a template of the user's own, where the scalar names a YAML file; nothing where it is another name.
/// \throws ConfigError where there is no such file.
std::optional<Config> template_file(const Config& name_or_file);

}  // namespace duet
