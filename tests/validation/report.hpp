#pragma once
/// docs/validation.md: the cost models against simulators and silicon, from reference data that is not part of the
/// project. Every figure in it is computed here; the same data give the same text.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace duet::validation {

/// How one list of numbers agrees with another.
struct Agreement {
  std::size_t count = 0, exact = 0;  ///< equal values
  double spearman = 0;               ///< rank correlation; ties share their rank
  double median_error = 0, p95_error = 0, largest_error = 0;  ///< |model ÷ reference − 1|
};
/// \pre equal, non-zero sizes; reference > 0
Agreement agreement(std::span<const double> model, std::span<const double> reference);
/// "36,496 | 41.9% | 0.99998 | 0.027% | 1.5%": the cells of a row of a table.
std::string cells(const Agreement& agreement);
/// Three significant digits and a percent sign.
std::string percent(double share);
/// 1234567 → "1,234,567".
std::string grouped(std::size_t number);

/// Sections of the report. \throws std::runtime_error if a file is missing or not as expected.
std::string gemmini_section(const std::filesystem::path& data);
std::string eyeriss_section(const std::filesystem::path& data);
std::string timeloop_section(const std::filesystem::path& data);
std::string scalesim_section(const std::filesystem::path& data);

/// Folder of the reference data, if all files that the report needs are there.
std::optional<std::filesystem::path> data_folder();
/// The whole page.
std::string report(const std::filesystem::path& data);

}  // namespace duet::validation
