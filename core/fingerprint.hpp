#pragma once
/// Stable 128-bit fingerprints: the same bytes give the same fingerprint on every machine and in every version.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace duet {

/// A 128-bit hash value. Not cryptographic; a chance collision among a billion values has probability below 1e-20.
struct Fingerprint {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  auto operator<=>(const Fingerprint&) const = default;

  /// 32 lower-case hexadecimal digits.
  std::string hex() const;
};

/// Accumulates values into a Fingerprint. Order matters; every value is delimited, so ("ab","c") ≠ ("a","bc").
class Hasher {
 public:
  Hasher& add(std::uint64_t value);
  Hasher& add(std::int64_t value) { return add(static_cast<std::uint64_t>(value)); }
  /// The bits of the value; -0.0 counts as 0.0.
  Hasher& add(double value);
  Hasher& add(std::string_view text);
  Hasher& add(const Fingerprint& other) { return add(other.high).add(other.low); }

  Fingerprint finish() const;

 private:
  std::uint64_t a_ = 0x243f6a8885a308d3ULL;  // digits of pi
  std::uint64_t b_ = 0x13198a2e03707344ULL;
};

/// Of a file's bytes; of nothing if it cannot be read.
Fingerprint fingerprint_file(const std::filesystem::path& file);

}  // namespace duet

template <>
struct std::hash<duet::Fingerprint> {
  std::size_t operator()(const duet::Fingerprint& value) const noexcept { return static_cast<std::size_t>(value.low); }
};
