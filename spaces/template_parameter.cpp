#include "spaces/template_parameter.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/units.hpp"

namespace duet {

TemplateParameter TemplateParameter::read(const std::string& name, const Config& config, bool allow_words) {
  TemplateParameter parameter;
  parameter.name = name;
  if (allow_words && config.has("words")) {
    config.allow_only({"default", "words", "search", "sentence"});
    for (const Config& word : config.at("words").items()) {
      if (std::count(parameter.words.begin(), parameter.words.end(), word.text()) > 0) {
        word.fail(fmt::format("the word '{}' is there twice", word.text()));
      }
      parameter.words.push_back(word.text());
    }
    if (parameter.words.empty()) config.at("words").fail("expected a list of words");
    parameter.maximum = static_cast<double>(parameter.words.size() - 1);
  } else {
    config.allow_only({"default", "range", "search", "unit", "sentence"});
    if (const auto unit = config.find("unit")) {
      parameter.unit = unit->text();
      if (!is_known_unit(parameter.unit)) unit->fail("unknown unit '" + parameter.unit + "'");
    }
    const Config range = config.at("range");
    if (!range.is_sequence() || range.size() != 2) range.fail("expected [minimum, maximum]");
    parameter.minimum = range.at(std::size_t{0}).quantity(parameter.unit);
    parameter.maximum = range.at(std::size_t{1}).quantity(parameter.unit);
    if (parameter.minimum > parameter.maximum) range.fail("the minimum is above the maximum");
  }
  parameter.sentence = config.at("sentence").text();
  parameter.standard = parameter.read_value(config.at("default"));
  if (const auto search = config.find("search")) {
    for (const Config& item : search->items(true)) {
      parameter.search.push_back(parameter.read_value(item));
      if (parameter.search.size() > 1 && parameter.search[parameter.search.size() - 2] >= parameter.search.back()) {
        item.fail("values to search must ascend, each once");
      }
    }
  } else {
    parameter.search.push_back(parameter.standard);
  }
  return parameter;
}

double TemplateParameter::read_value(const Config& config) const {
  if (!words.empty()) {
    return static_cast<double>(std::find(words.begin(), words.end(), config.one_of(words)) - words.begin());
  }
  const double value = config.quantity(unit, minimum, maximum);
  if (whole() && value != std::floor(value)) {
    config.fail(fmt::format("'{}' must be a whole number, not {}", name, shortest(value)));
  }
  return value;
}

std::string TemplateParameter::format(double value) const {
  return words.empty() ? human(value, unit) : words[static_cast<std::size_t>(value)];
}

SpaceNode TemplateParameter::node(const Config& config) const {
  if (!config.is_map()) {
    std::vector<double> values;
    for (const Config& item : config.items(true)) values.push_back(read_value(item));
    if (values.empty()) config.fail(fmt::format("'{}' needs a value", name));
    std::sort(values.begin(), values.end());
    const auto twice = std::adjacent_find(values.begin(), values.end());
    if (twice != values.end()) config.fail(fmt::format("'{}' lists {} twice", name, format(*twice)));
    TemplateParameter chosen = *this;
    chosen.search = std::move(values);
    return chosen.node();
  }
  if (!words.empty()) config.fail(fmt::format("'{}' is a word: expected one or a list of them", name));
  config.allow_only({"range", "log"});
  const Config range = config.at("range");
  if (!range.is_sequence() || range.size() != 2) range.fail("expected [minimum, maximum]");
  const double low = read_value(range.at(std::size_t{0}));
  const double high = read_value(range.at(std::size_t{1}));
  if (low > high) range.fail("the minimum is above the maximum");
  const bool logarithmic = config.has("log") && config.at("log").boolean();
  if (logarithmic && low <= 0) range.fail("a logarithmic range begins above 0");
  if (!whole()) return real(name, low, high, unit, sentence, logarithmic);
  return integer(name, static_cast<std::int64_t>(low), static_cast<std::int64_t>(high), unit, sentence, logarithmic);
}

SpaceNode TemplateParameter::node() const {
  if (words.empty()) return ordinal(name, search, unit, sentence);
  std::vector<std::string> options;
  for (const double value : search) options.push_back(words[static_cast<std::size_t>(value)]);
  return choice(name, std::move(options), sentence);
}

std::optional<Config> template_file(const Config& name_or_file) {
  const std::string& text = name_or_file.text();
  if (!text.ends_with(".yaml") && !text.ends_with(".yml")) return std::nullopt;
  return Config::load(name_or_file.file());
}

}  // namespace duet
