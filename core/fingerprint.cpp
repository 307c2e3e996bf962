#include "core/fingerprint.hpp"

#include <bit>
#include <fstream>
#include <string>

#include <fmt/format.h>

namespace duet {
namespace {

// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection with full avalanche.
constexpr std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

std::string Fingerprint::hex() const { return fmt::format("{:016x}{:016x}", high, low); }

Hasher& Hasher::add(std::uint64_t value) {
  a_ = mix((a_ ^ value) + 0x9e3779b97f4a7c15ULL);
  b_ = mix(std::rotl(b_, 23) + value * 0xd6e8feb86659fd93ULL + 0x632be59bd9b4e019ULL);
  return *this;
}

Hasher& Hasher::add(double value) {
  return add(std::bit_cast<std::uint64_t>(value == 0.0 ? 0.0 : value));
}

Hasher& Hasher::add(std::string_view text) {
  add(static_cast<std::uint64_t>(text.size()));
  while (!text.empty()) {
    // Little-endian assembly by hand keeps the fingerprint independent of the machine's byte order.
    std::uint64_t word = 0;
    const std::size_t count = text.size() < 8 ? text.size() : 8;
    for (std::size_t i = 0; i < count; ++i) {
      word |= static_cast<std::uint64_t>(static_cast<unsigned char>(text[i])) << (8 * i);
    }
    add(word);
    text.remove_prefix(count);
  }
  return *this;
}

Fingerprint Hasher::finish() const { return {mix(a_ + b_), mix(b_ ^ std::rotl(a_, 32))}; }

Fingerprint fingerprint_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  Hasher hasher;
  std::string block(std::size_t{1} << 16, '\0');
  while (stream.read(block.data(), static_cast<std::streamsize>(block.size())) || stream.gcount() > 0) {
    hasher.add(std::string_view(block).substr(0, static_cast<std::size_t>(stream.gcount())));
  }
  return hasher.finish();
}

}  // namespace duet
