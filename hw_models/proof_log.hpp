#pragma once
/// The log of a certified mapping as check_proof reads it: words, numbers and what is claimed of what.

#include <array>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "hw_models/einsum.hpp"
#include "spaces/architecture.hpp"

namespace duet::proof {

/// Why a log is not accepted.
struct Rejected {
  std::size_t line;
  std::string why;
};

[[noreturn]] void reject(std::size_t line, std::string why);

using Factors = std::array<std::int64_t, max_dimensions>;
using PerLevel = std::array<Factors, max_levels>;

enum class Goal { cycles, energy, energy_delay, weighted, cycles_then_energy, energy_then_cycles };

using Value = std::pair<double, double>;

struct LoggedMapping {
  PerLevel temporal{}, x{}, y{};
  std::array<std::array<std::size_t, max_dimensions>, max_levels> order{};  ///< outermost first
  std::array<std::array<bool, 3>, max_levels> keep{};
  std::array<std::size_t, max_levels> line{};
};

struct Log {
  Einsum einsum;
  Architecture architecture;
  bool distinct = false;
  Goal goal = Goal::energy_delay;
  double per_second = 0, per_joule = 0;
  LoggedMapping mapping;
  std::size_t claim_line = 0;
  Value value, bound;
  double cycles = 0, energy = 0;
  struct Part {
    std::size_t line = 0;
    Value bound;
    bool met = false;
  };
  std::map<std::vector<double>, Part> parts;
};

/// Up to the parts of the mapspace, to the file's end. \throws Rejected
Log read_log(std::istream& stream);

}  // namespace duet::proof
