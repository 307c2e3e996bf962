#include "estimators/estimator.hpp"

#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <new>

namespace duet {
namespace {

constexpr std::size_t longest_reason = 2000;

/// One line that a table can show; whatever program wrote it.
std::string in_one_line(std::string reason) {
  if (reason.size() > longest_reason) {
    std::size_t end = longest_reason;
    while (end > 0 && (static_cast<unsigned char>(reason[end]) & 0xC0) == 0x80) --end;  // inside a character of UTF-8
    reason.resize(end);
    reason += "…";
  }
  for (char& c : reason) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return reason;
}

/// What the contract makes of an answer.
Evaluation checked(Evaluation evaluation, std::span<const Metric> metrics) {
  if (evaluation.status != Status::ok) {
    const auto status = static_cast<int>(evaluation.status);
    if (status < 0 || status > static_cast<int>(Status::invalid)) {
      return Evaluation::failure(fmt::format("the estimator gave a status that there is not: {}", status));
    }
    evaluation.values.clear();
    if (evaluation.reason.empty()) evaluation.reason = "the estimator gave no reason";
    return evaluation;
  }
  if (evaluation.values.size() != metrics.size()) {
    return Evaluation::failure(
        fmt::format("the estimator gave {} values for {} metrics", evaluation.values.size(), metrics.size()));
  }
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    const double value = evaluation.values[i];
    if (std::isfinite(value)) continue;
    return Evaluation::failure(
        fmt::format("metric '{}' is {}", metrics[i].name, std::isnan(value) ? "not a number" : "infinite"));
  }
  evaluation.reason.clear();
  return evaluation;
}

Evaluation ask(const Estimator& estimator, const Design& design, std::stop_token stop) {
  try {
    std::vector<Evaluation> answers = estimator.estimate({&design, 1}, std::move(stop));
    if (answers.size() != 1) {
      return Evaluation::failure(fmt::format("the estimator gave {} answers for one design", answers.size()));
    }
    return checked(std::move(answers.front()), estimator.metrics());
  } catch (const std::bad_alloc&) {
    return Evaluation::failure("out of memory");
  } catch (const std::exception& error) {
    const std::string what = error.what();
    return Evaluation::failure(what.empty() ? "the estimator failed without saying why" : what);
  } catch (...) {
    return Evaluation::failure("the estimator failed without saying why");
  }
}

}  // namespace

std::vector<Evaluation> estimate_each(std::span<const Design> designs,
                                      const std::function<Evaluation(const Design&)>& score) {
  std::vector<Evaluation> results;
  results.reserve(designs.size());
  for (const Design& design : designs) {
    try {
      results.push_back(score(design));
    } catch (const std::exception& error) {
      results.push_back(Evaluation::failure(error.what()));
    } catch (...) {
      results.push_back(Evaluation::failure("the estimator failed without saying why"));
    }
  }
  return results;
}

// Takes it by value for those that keep it.
void Estimator::use_store(std::shared_ptr<KeyValueStore> /*store*/) {}  // NOLINT(performance-unnecessary-value-param)

void Estimator::observe(const Design&, const Evaluation&) {}

Evaluation estimate_checked(const Estimator& estimator, const Design& design, std::stop_token stop) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  Evaluation evaluation = ask(estimator, design, std::move(stop));
  evaluation.reason = in_one_line(std::move(evaluation.reason));
  evaluation.duration_s = std::chrono::duration<double>(Clock::now() - start).count();
  return evaluation;
}

}  // namespace duet
