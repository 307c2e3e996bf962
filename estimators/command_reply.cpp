#include "estimators/command_reply.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace duet {
namespace {

using Json = nlohmann::json;

constexpr std::size_t excerpt_length = 500;
constexpr int max_depth = 64;

/// Text of any origin on one line of valid UTF-8: control characters and line ends become single blanks,
/// bytes that are no UTF-8 become U+FFFD.
std::string on_one_line(std::string_view text) {
  const std::string quoted = Json(std::string(text)).dump(-1, ' ', false, Json::error_handler_t::replace);
  const std::string valid = Json::parse(quoted).get<std::string>();
  std::string line;
  for (const char c : valid) {
    const bool blank = static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
    if (!blank) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  if (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

/// The first bytes of a text on one line.
std::string beginning(std::string_view text, std::size_t length = 60) {
  const std::string line = on_one_line(text.substr(0, length));
  return text.size() > length ? line + "…" : line;
}

/// The output as JSON; discarded if it is none. What is nested deeply is none either: each level costs memory many
/// times its one byte of text.
Json parse(const std::string& output) {
  struct TooDeep {};
  try {
    return Json::parse(
        output,
        [](int depth, Json::parse_event_t, Json&) {
          if (depth > max_depth) throw TooDeep();
          return true;
        },
        false);
  } catch (const TooDeep&) {
    return Json(Json::value_t::discarded);
  }
}

std::optional<std::string> error_in(const Json& reply) {
  if (!reply.is_object() || !reply.contains("error") || reply.at("error").is_null()) return std::nullopt;
  const Json& error = reply.at("error");
  std::string sentence = error.is_string() ? beginning(error.get<std::string>(), excerpt_length) : "";
  return sentence.empty() ? "the program reports an error but does not say which" : sentence;
}

}  // namespace

std::string error_excerpt(std::string_view error) {
  std::string line = on_one_line(error);
  if (line.size() > excerpt_length) {
    constexpr std::string_view ellipsis = "…";
    std::size_t begin = line.size() - (excerpt_length - ellipsis.size());
    while (begin < line.size() && (static_cast<unsigned char>(line[begin]) & 0xC0) == 0x80) ++begin;
    line.replace(0, begin, ellipsis);
  }
  return line.empty() ? "" : ": " + line;
}

std::optional<std::string> reported_error(const std::string& output) { return error_in(parse(output)); }

Evaluation read_reply(const std::string& output, std::span<const DeclaredMetric> metrics, std::string_view program,
                      std::string_view error) {
  const Json reply = parse(output);
  if (const auto sentence = error_in(reply)) return Evaluation::failure(fmt::format("{}: {}", program, *sentence));
  if (!reply.is_object()) {
    if (on_one_line(output).empty()) {
      return Evaluation::failure(fmt::format("{} wrote nothing to standard output{}", program, error));
    }
    return Evaluation::failure(fmt::format("{} must write one JSON object to standard output and nothing else, not '{}'{}",
                                           program, beginning(output), error));
  }
  const auto values = reply.find("metrics");
  if (values == reply.end() || !values->is_object()) {
    return Evaluation::failure(
        fmt::format("the reply of {} has no object \"metrics\": '{}'{}", program, beginning(output), error));
  }
  Evaluation evaluation;
  for (const DeclaredMetric& declared : metrics) {
    const std::string& metric = declared.metric.name;
    const auto value = values->find(metric);
    if (value == values->end()) {
      return Evaluation::failure(fmt::format("the reply of {} lacks metric '{}'{}", program, metric, error));
    }
    if (!value->is_number()) {
      const std::string text = value->dump(-1, ' ', false, Json::error_handler_t::replace);
      return Evaluation::failure(fmt::format("metric '{}' in the reply of {} is not a number but {}{}", metric,
                                             program, beginning(text), error));
    }
    const std::optional<double> converted = declared.convert(value->get<double>());
    if (!converted) {
      return Evaluation::failure(fmt::format("metric '{}' in the reply of {} is out of range", metric, program));
    }
    evaluation.values.push_back(*converted);
  }
  return evaluation;
}

}  // namespace duet
