// docs/validation.md is what its data say, and the models stay as good as it claims.

#include <cmath>

#include <gtest/gtest.h>

#include "tests/testing.hpp"
#include "tests/validation/report.hpp"

namespace duet::validation {
namespace {

TEST(Validation, AgreementByHand) {
  const std::vector<double> reference{1, 2, 4, 8}, model{1, 2.5, 4, 4};
  const Agreement a = agreement(model, reference);
  EXPECT_EQ(a.exact, 2U);
  EXPECT_NEAR(a.median_error, 0.125, 1e-12);
  EXPECT_NEAR(a.largest_error, 0.5, 1e-12);
  // Ranks 1, 2, 3.5, 3.5 against 1, 2, 3, 4: (2.25 + 0.25 + 0.5 + 1.5) / sqrt(4.5 · 5).
  EXPECT_NEAR(a.spearman, 4.5 / std::sqrt(22.5), 1e-12);
  EXPECT_EQ(percent(0.01234), "1.23%");
  EXPECT_EQ(percent(1), "100%");
  EXPECT_EQ(percent(0.000271), "0.0271%");
  EXPECT_EQ(grouped(36496), "36,496");
}

TEST(SlowValidation, ThePageIsWhatTheDataSay) {
  const auto data = data_folder();
  if (!data) GTEST_SKIP() << "the reference data are absent";
  EXPECT_EQ(report(*data), testing::read_file(testing::source_root() / "docs" / "validation.md"))
      << "scripts/validation.sh writes the page anew";
}

}  // namespace
}  // namespace duet::validation
