#include "tests/validation/report.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <fmt/format.h>

#include "core/statistics.hpp"
#include "tests/testing.hpp"

namespace duet::validation {

Agreement agreement(std::span<const double> model, std::span<const double> reference) {
  Agreement result;
  result.count = model.size();
  std::vector<double> errors;
  for (std::size_t i = 0; i < model.size(); ++i) {
    errors.push_back(std::abs(model[i] / reference[i] - 1));
    if (model[i] == reference[i]) ++result.exact;
  }
  result.median_error = median(errors);
  result.p95_error = quantile(errors, 0.95);
  result.largest_error = *std::max_element(errors.begin(), errors.end());
  const std::vector<double> a = mid_ranks(model), b = mid_ranks(reference);
  const double mean = static_cast<double>(model.size() + 1) / 2;
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean) * (b[i] - mean);
    aa += (a[i] - mean) * (a[i] - mean);
    bb += (b[i] - mean) * (b[i] - mean);
  }
  result.spearman = ab / std::sqrt(aa * bb);
  return result;
}

std::string percent(double share) {
  const double value = 100 * share;
  if (value == 0) return "0%";
  if (std::abs(value) < 1e-4) return "< 0.0001%";
  return fmt::format("{:.{}f}%", value, std::clamp(2 - static_cast<int>(std::floor(std::log10(std::abs(value)))), 0, 5));
}

std::string grouped(std::size_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t i = digits.size(); i > 3;) digits.insert(i -= 3, ",");
  return digits;
}

std::string cells(const Agreement& a) {
  return fmt::format("{} | {} | {:.6f} | {} | {} | {}", grouped(a.count),
                     percent(static_cast<double>(a.exact) / static_cast<double>(a.count)), a.spearman,
                     percent(a.median_error), percent(a.p95_error), percent(a.largest_error));
}

std::optional<std::filesystem::path> data_folder() {
  std::optional<std::filesystem::path> folder;
  for (const char* file : {"gemmini_timeloop.csv.gz", "eyeriss_alexnet_measured.csv", "scalesim_runs.json",
                           "timeloop_reference"}) {
    const auto path = testing::reference_data(file);
    if (!path) return std::nullopt;
    folder = path->parent_path();
  }
  return folder;
}

std::string report(const std::filesystem::path& data) {
  return R"(# Validation

How far duet's hardware models agree with simulators and with a chip, and where and why they do not. `scripts/validation.sh` writes this page anew from the reference data, which are not part of the project; a test compares the two. Errors are |model ÷ reference − 1|; *exact* is the share of equal numbers; ρ is Spearman's rank correlation.

)" + gemmini_section(data) +
         timeloop_section(data) + eyeriss_section(data) + scalesim_section(data);
}

}  // namespace duet::validation
