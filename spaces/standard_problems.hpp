#pragma once
/// The problems that search strategies are usually measured on: their variables, functions and true fronts. All
/// objectives are to be minimised; a constraint g is satisfied where g <= 0.
///
/// Sources: ZDT: Zitzler, Deb and Thiele, Evolutionary Computation 8(2), 2000. DTLZ: Deb, Thiele, Laumanns and Zitzler,
/// "Scalable test problems for evolutionary multiobjective optimization", 2005. C-DTLZ: Jain and Deb, IEEE TEVC 18(4),
/// 2014, §IV. WFG: Huband, Hingston, Barone and While, IEEE TEVC 10(5), 2006.

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/pareto.hpp"
#include "core/space.hpp"

namespace duet {

/// How large a problem is to be; 0 stands for its usual size.
struct StandardProblemSize {
  std::size_t variables = 0;
  std::size_t objectives = 0;
};

/// A regular value.
struct StandardProblem {
  std::string name;     ///< "zdt1", "c2_dtlz2", "mixed_ackley", …
  std::string summary;  ///< one sentence
  std::vector<SpaceNode> nodes;  ///< x1, x2, …
  std::size_t objectives = 1;
  std::size_t constraints = 0;
  /// The objectives, after them the constraints, of the codes of all variables. Thread-safe.
  std::function<std::vector<double>(std::span<const double> codes)> evaluate;

  /// Best and worst value of each objective on the true front.
  Point ideal, nadir;
  /// Points of the true front: at least `count` where it is a curve or a surface, evenly spread over its parameters.
  /// Of a single objective: the optimum.
  std::function<std::vector<Point>(std::size_t count)> front;
  /// Hypervolume of the whole true front, each objective normalised to [ideal, nadir], with the reference point
  /// (r, …, r), r >= 1: exact where a formula is known, otherwise of 4,000 points of a curve or 40,000 of a surface.
  /// Requires two objectives or more.
  std::function<double(double r)> front_hypervolume;

  /// (point - ideal) / (nadir - ideal).
  Point normalised(std::span<const double> point) const;
};

/// All names, in alphabetical order.
const std::vector<std::string>& standard_problem_names();

/// \throws ConfigError for an unknown name, with the nearest match, and for sizes that the problem cannot have.
StandardProblem standard_problem(std::string_view name, StandardProblemSize size = {});

}  // namespace duet
