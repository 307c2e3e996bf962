#include <cmath>

#include "estimators/command_reply.hpp"
#include "tests/fuzz/targets.hpp"

namespace duet::fuzz {

void fuzz_command(std::string_view input) {
  static const std::vector<DeclaredMetric> metrics = read_declared_metrics(
      Config::parse("{latency_s: {unit: us, direction: minimize}, energy_j: {unit: nJ, direction: minimize, scale: 3},\n"
                    " accuracy: {unit: \"%\", direction: maximize}, size: {unit: \"1\", direction: minimize}}\n",
                    "metrics.yaml"),
      Source::external);
  const std::string text(input);
  const std::string error = error_excerpt(text);
  if (!error.empty()) require_sentence(error);
  if (const auto sentence = reported_error(text)) require_sentence(*sentence);

  const Evaluation evaluation = read_reply(text, metrics, "'./program'", error);
  if (evaluation.status == Status::ok) {
    require(evaluation.reason.empty(), "what is ok needs no reason");
    require(evaluation.values.size() == metrics.size(), "one value per metric");
    for (const double value : evaluation.values) require(std::isfinite(value), "values are finite");
  } else {
    require_sentence(evaluation.reason);
    require(evaluation.reason.size() < 2000, "reasons are short", evaluation.reason);
    require(evaluation.values.empty(), "failures have no values");
  }
}

}  // namespace duet::fuzz
