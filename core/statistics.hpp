#pragma once
/// Statistics for comparing algorithms over repeated runs: rank tests, corrections for many comparisons, effect sizes
/// and power. The procedure is that of Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR
/// 7, 2006. Smaller values are better wherever that matters. All functions are pure.

#include <cstddef>
#include <span>
#include <vector>

namespace duet {

/// The value below which a share `p` in [0, 1] of the values lies, linearly interpolated between the sorted values
/// (type 7 of Hyndman and Fan, The American Statistician 50(4), 1996). Requires at least one value.
double quantile(std::span<const double> values, double p);
double median(std::span<const double> values);

/// Ranks from 1; equal values share the mean of the ranks that they take up.
std::vector<double> mid_ranks(std::span<const double> values);

/// Distribution function of the standard normal distribution, and its inverse for 0 < p < 1.
double normal_cdf(double z);
double normal_quantile(double p);

/// Friedman's test that k treatments do not differ, from n blocks in which each of them was tried once.
struct FriedmanTest {
  std::vector<double> mean_ranks;  ///< by treatment; 1 is best
  double statistic = 0;            ///< corrected for ties; chi-squared with k - 1 degrees of freedom
  double p_value = 1;
};
/// `blocks`: n ≥ 1 rows of k ≥ 2 finite values. If every block is one tie, the p-value is 1.
/// Friedman, JASA 32, 1937; correction for ties: Conover, Practical Nonparametric Statistics, 1999, §5.8.
FriedmanTest friedman_test(std::span<const std::vector<double>> blocks);

/// Probability that the range of k standard normal variables exceeds q ≥ 0 (studentized range, infinitely many degrees
/// of freedom), to about 1e-10.
double studentized_range_survival(double q, std::size_t k);
/// Nemenyi's test: the probability of a difference this large between the mean ranks of two of k equal treatments over
/// n blocks, all pairs being compared. Demšar 2006, §3.2.2.
double nemenyi_p_value(double difference, std::size_t k, std::size_t n);
/// The difference of mean ranks from which Nemenyi's test is significant at level `alpha`.
double nemenyi_critical_difference(std::size_t k, std::size_t n, double alpha);

/// Wilcoxon's signed-rank test that paired differences are symmetric about zero, two-sided.
struct WilcoxonTest {
  double statistic = 0;  ///< the smaller of the rank sums of positive and negative differences
  double p_value = 1;
  std::size_t pairs = 0;  ///< that differ; equal pairs are left out
};
/// Exact given the ranks (ties included) for up to 50 pairs that differ, by the normal approximation with correction
/// for ties beyond. Wilcoxon, Biometrics Bulletin 1, 1945. Requires equal sizes.
WilcoxonTest wilcoxon_signed_rank_test(std::span<const double> a, std::span<const double> b);
/// The smallest p-value that the test can give for this many pairs.
double wilcoxon_smallest_p_value(std::size_t pairs);

/// p-values adjusted for their number by Holm's step-down method (Scandinavian Journal of Statistics 6, 1979), in the
/// order given.
std::vector<double> holm_adjusted(std::span<const double> p_values);

/// Vargha and Delaney's A: the probability that a value drawn from `a` is smaller than one drawn from `b`, equal ones
/// counted half. 0.5: no difference; from 0.56 small, 0.64 medium, 0.71 large (Vargha and Delaney, Journal of
/// Educational and Behavioral Statistics 25(2), 2000). Requires values on both sides.
double probability_smaller(std::span<const double> a, std::span<const double> b);

/// About the probability that the two-sided signed-rank test finds, at level `alpha`, that two treatments differ for
/// which the sum of two differences is positive with this probability (0.5: no effect). Noether, JASA 82, 1987.
double wilcoxon_power(std::size_t pairs, double probability, double alpha);

}  // namespace duet
