#pragma once
/// One point of a space: a value for every active parameter and nothing for the rest.

#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <vector>

namespace duet {

/// A regular value. Parameter i of the space (see core/space.hpp) either has a code or is absent. Codes: choice and
/// ordinal parameters hold the position of the option (0, 1, …), integers and reals their value.
class Candidate {
 public:
  Candidate() = default;
  /// All parameters absent.
  explicit Candidate(std::size_t parameters) : codes_(parameters, std::numeric_limits<double>::quiet_NaN()) {}

  std::size_t size() const { return codes_.size(); }
  bool has(std::size_t parameter) const { return !std::isnan(codes_[parameter]); }
  /// The code; NaN if absent.
  double operator[](std::size_t parameter) const { return codes_[parameter]; }
  void set(std::size_t parameter, double code) { codes_[parameter] = code + 0.0; }  // -0.0 becomes 0.0
  void clear(std::size_t parameter) { codes_[parameter] = std::numeric_limits<double>::quiet_NaN(); }

  /// Same active parameters with the same codes. (Absent is one bit pattern, so bytes compare.)
  friend bool operator==(const Candidate& a, const Candidate& b) {
    return a.codes_.size() == b.codes_.size() &&
           (a.codes_.empty() ||
            std::memcmp(a.codes_.data(), b.codes_.data(), a.codes_.size() * sizeof(double)) == 0);
  }

 private:
  std::vector<double> codes_;
};

}  // namespace duet
