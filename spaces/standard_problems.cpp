#include "spaces/standard_problems.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <numbers>
#include <numeric>

#include "core/errors.hpp"
#include "spaces/wfg.hpp"

namespace duet {
namespace {

using std::numbers::pi;
using Codes = std::span<const double>;
using Values = std::vector<double>;

double square(double x) { return x * x; }

[[noreturn]] void refuse(const std::string& name, const std::string& why) {
  throw ConfigError(fmt::format("problem '{}' {}", name, why));
}

std::vector<SpaceNode> reals(std::size_t count, double minimum, double maximum) {
  std::vector<SpaceNode> nodes;
  for (std::size_t i = 1; i <= count; ++i) nodes.push_back(real(fmt::format("x{}", i), minimum, maximum));
  return nodes;
}

/// The usual number of variables where none is given.
std::size_t variables_or(const std::string& name, StandardProblemSize size, std::size_t usual, std::size_t least) {
  const std::size_t variables = size.variables == 0 ? usual : size.variables;
  if (variables < least) refuse(name, fmt::format("needs at least {} variables, not {}", least, variables));
  if (variables > 1000) refuse(name, fmt::format("has at most 1000 variables, not {}", variables));
  return variables;
}

void expect_objectives(const std::string& name, StandardProblemSize size, std::size_t only) {
  if (size.objectives != 0 && size.objectives != only) {
    refuse(name, fmt::format("has {} objective{}, not {}", only, only == 1 ? "" : "s", size.objectives));
  }
}

// --- True fronts

/// The numbers u of a fine regular grid on [0, 1] at which f is lower than at every smaller one: where f falls against
/// an objective that grows with u, these are the u of the front.
std::vector<double> records(const std::function<double(double)>& f) {
  constexpr int steps = 100'000;
  std::vector<double> found;
  double lowest = std::numeric_limits<double>::infinity();
  for (int i = 0; i <= steps; ++i) {
    const double u = static_cast<double>(i) / steps;
    const double value = f(u);
    if (value < lowest) found.push_back(u);
    lowest = std::min(lowest, value);
  }
  return found;
}

/// Sets ideal, nadir and front from a parametric form of the front: shape(u) for u in [0, 1]^axes. An axis may be
/// restricted to a list of numbers; an empty list: all.
void set_front(StandardProblem& problem, Point ideal, Point nadir, std::vector<std::vector<double>> axes,
               std::function<Point(std::span<const double>)> shape) {
  problem.ideal = std::move(ideal);
  problem.nadir = std::move(nadir);
  problem.front = [axes = std::move(axes), shape = std::move(shape)](std::size_t count) {
    std::size_t side = 2;
    while (std::pow(static_cast<double>(side), static_cast<double>(axes.size())) < static_cast<double>(count)) ++side;
    std::vector<Point> points;
    std::vector<std::size_t> index(axes.size(), 0);
    std::vector<double> u(axes.size());
    for (bool more = true; more;) {
      for (std::size_t i = 0; i < axes.size(); ++i) {
        const double position = static_cast<double>(index[i]) / static_cast<double>(side - 1);
        u[i] = axes[i].empty()
                   ? position
                   : axes[i][static_cast<std::size_t>(std::lround(position * static_cast<double>(axes[i].size() - 1)))];
      }
      points.push_back(shape(u));
      std::size_t i = 0;
      while (i < axes.size() && ++index[i] == side) index[i++] = 0;
      more = i < axes.size();
    }
    return points;
  };
}

/// A front of which `below`, the volume between the ideal point and the front, normalised, is known.
void set_volume(StandardProblem& problem, double below) {
  const auto objectives = static_cast<double>(problem.objectives);
  problem.front_hypervolume = [objectives, below](double r) { return std::pow(r, objectives) - below; };
}

/// A front that has no formula for its volume.
void set_sampled_volume(StandardProblem& problem) {
  problem.front_hypervolume = [name = problem.name, front = problem.front, ideal = problem.ideal,
                               nadir = problem.nadir](double r) {
    if (ideal.size() > 3) refuse(name, "has no formula for the hypervolume of its front beyond three objectives");
    std::vector<Point> points = front(ideal.size() == 2 ? 4'000 : 40'000);
    for (Point& point : points) {
      for (std::size_t k = 0; k < point.size(); ++k) point[k] = (point[k] - ideal[k]) / (nadir[k] - ideal[k]);
    }
    return hypervolume(points, Point(ideal.size(), r));
  };
}

/// Angles to the positive part of the unit sphere, in the order of DTLZ2: the first objective is a product of cosines.
Point sphere_point(std::span<const double> u, std::size_t objectives) {
  Point point(objectives, 1);
  for (std::size_t m = 0; m < objectives; ++m) {
    for (std::size_t i = 0; i + m + 1 < objectives; ++i) point[m] *= std::cos(u[i] * pi / 2);
    if (m > 0) point[m] *= std::sin(u[objectives - 1 - m] * pi / 2);
  }
  return point;
}

Point simplex_point(std::span<const double> u, std::size_t objectives) {
  Point point(objectives, 1);
  for (std::size_t m = 0; m < objectives; ++m) {
    for (std::size_t i = 0; i + m + 1 < objectives; ++i) point[m] *= u[i];
    if (m > 0) point[m] *= 1 - u[objectives - 1 - m];
  }
  return point;
}

/// Volume of the part of the unit ball where no coordinate is negative.
double ball_volume(std::size_t dimensions) {
  const auto m = static_cast<double>(dimensions);
  return std::pow(pi, m / 2) / std::tgamma(m / 2 + 1) / std::pow(2.0, m);
}

// --- One objective

/// f(x) = 0 at `optimum` everywhere is best.
StandardProblem single(const std::string& name, std::string summary, StandardProblemSize size, double low, double high,
                       std::function<double(Codes)> f) {
  expect_objectives(name, size, 1);
  StandardProblem problem;
  problem.name = name;
  problem.summary = std::move(summary);
  problem.nodes = reals(variables_or(name, size, 10, name == "rosenbrock" ? 2 : 1), low, high);
  problem.evaluate = [f = std::move(f)](Codes x) { return Values{f(x)}; };
  problem.ideal = problem.nadir = {0};
  problem.front = [](std::size_t) { return std::vector<Point>{{0}}; };
  return problem;
}

double sphere(Codes x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return sum;
}

double rosenbrock(Codes x) {
  double sum = 0;
  for (std::size_t i = 0; i + 1 < x.size(); ++i) sum += 100 * square(x[i + 1] - x[i] * x[i]) + square(1 - x[i]);
  return sum;
}

double rastrigin(Codes x) {
  double sum = 0;
  for (const double v : x) sum += v * v + 10 * (1 - std::cos(2 * pi * v));
  return sum;
}

double ackley(Codes x) {
  double squares = 0, cosines = 0;
  for (const double v : x) {
    squares += v * v;
    cosines += std::cos(2 * pi * v);
  }
  const auto n = static_cast<double>(x.size());
  return 20 - 20 * std::exp(-0.2 * std::sqrt(squares / n)) + std::exp(1.0) - std::exp(cosines / n);
}

// --- Mixed variables: of the n variables, a third are real, a third integers and a third choices. An option's place
//     on the scale is scrambled, so that neighbouring options have nothing in common.

constexpr std::size_t mixed_options = 5;

/// The place of an option on the scale -2 … 2: 14 and 22 are prime to 5, so that every option has another.
double option_place(double code, std::size_t variable) {
  return static_cast<double>((static_cast<std::size_t>(code) * (variable % 2 == 0 ? 7 : 11) * 2 + variable) %
                             mixed_options) -
         2;
}

std::vector<SpaceNode> mixed_nodes(std::size_t variables, double low, double high, std::int64_t integers) {
  std::vector<SpaceNode> nodes;
  for (std::size_t i = 0; i < variables; ++i) {
    const std::string name = fmt::format("x{}", i + 1);
    if (i % 3 == 0) {
      nodes.push_back(real(name, low, high));
    } else if (i % 3 == 1) {
      nodes.push_back(integer(name, -integers, integers));
    } else {
      nodes.push_back(choice(name, std::vector<std::string>{"a", "b", "c", "d", "e"}));
    }
  }
  return nodes;
}

StandardProblem mixed_ackley(const std::string& name, StandardProblemSize size) {
  StandardProblem problem = single(name, "Ackley's function of reals, integers and choices; optimum 0.", size, 0, 1, {});
  problem.nodes = mixed_nodes(variables_or(name, size, 9, 3), -32.768, 32.768, 20);
  problem.evaluate = [](Codes x) {
    Values values(x.begin(), x.end());
    for (std::size_t i = 2; i < values.size(); i += 3) values[i] = option_place(x[i], i);
    return Values{ackley(values)};
  };
  return problem;
}

/// ZDT1 whose distance variables are reals, integers and choices.
StandardProblem mixed_zdt1(const std::string& name, StandardProblemSize size) {
  expect_objectives(name, size, 2);
  StandardProblem problem;
  problem.name = name;
  problem.summary = "ZDT1 of reals, integers and choices.";
  problem.nodes = mixed_nodes(variables_or(name, size, 15, 3), 0, 1, 10);
  problem.objectives = 2;
  problem.evaluate = [](Codes x) {
    double sum = 0;
    for (std::size_t i = 1; i < x.size(); ++i) {
      sum += i % 3 == 0 ? x[i] : i % 3 == 1 ? std::abs(x[i]) / 10 : std::abs(option_place(x[i], i)) / 2;
    }
    const double g = 1 + 9 * sum / static_cast<double>(x.size() - 1);
    return Values{x[0], g * (1 - std::sqrt(x[0] / g))};
  };
  set_front(problem, {0, 0}, {1, 1}, {{}}, [](std::span<const double> u) {
    return Point{u[0], 1 - std::sqrt(u[0])};
  });
  set_volume(problem, 1.0 / 3);
  return problem;
}

// --- ZDT

StandardProblem zdt(const std::string& name, StandardProblemSize size) {
  expect_objectives(name, size, 2);
  const int number = name.back() - '0';
  StandardProblem problem;
  problem.name = name;
  problem.objectives = 2;
  problem.summary = std::map<int, std::string>{
      {1, "Convex front."},
      {2, "Concave front."},
      {3, "Front of five pieces."},
      {4, "Convex front behind 21^9 local ones."},
      {5, "Strings of bits with a deceptive front."},
      {6, "Concave front that few designs are near, unevenly reached."}}.at(number);
  if (number == 5) {  // x1: 30 bits; then strings of 5 bits
    const std::size_t variables = variables_or(name, size, 80, 35);
    if (variables % 5 != 0) refuse(name, fmt::format("needs 30 bits and a multiple of 5 more, not {}", variables));
    for (std::size_t i = 1; i <= variables; ++i) problem.nodes.push_back(integer(fmt::format("x{}", i), 0, 1));
    const std::size_t count = (variables - 30) / 5;
    const auto strings = static_cast<double>(count);
    problem.evaluate = [](Codes x) {
      const double f1 = 1 + std::accumulate(x.begin(), x.begin() + 30, 0.0);
      double g = 0;
      for (std::size_t i = 30; i < x.size(); i += 5) {
        double ones = 0;
        for (std::size_t j = i; j < i + 5; ++j) ones += x[j];
        g += ones < 5 ? 2 + ones : 1;
      }
      return Values{f1, g / f1};
    };
    problem.front = [strings](std::size_t) {
      std::vector<Point> points;
      for (int ones = 0; ones <= 30; ++ones) points.push_back({1.0 + ones, strings / (1 + ones)});
      return points;
    };
    problem.ideal = {1, strings / 31};
    problem.nadir = {31, strings};
    set_sampled_volume(problem);
    return problem;
  }
  const std::size_t variables = variables_or(name, size, number <= 3 ? 30 : 10, 2);
  problem.nodes = reals(variables, 0, 1);
  if (number == 4) {
    for (std::size_t i = 1; i < variables; ++i) {
      problem.nodes[i].minimum = -5;
      problem.nodes[i].maximum = 5;
    }
  }
  const auto first = [number](double x) {
    return number == 6 ? 1 - std::exp(-4 * x) * std::pow(std::sin(6 * pi * x), 6) : x;
  };
  const auto second = [number](double f1, double g) {
    const double ratio = f1 / g;
    double h = 1 - (number == 2 || number == 6 ? ratio * ratio : std::sqrt(ratio));
    if (number == 3) h -= ratio * std::sin(10 * pi * f1);
    return g * h;
  };
  problem.evaluate = [number, first, second](Codes x) {
    const auto rest = static_cast<double>(x.size() - 1);
    double sum = 0;
    for (std::size_t i = 1; i < x.size(); ++i) {
      sum += number == 4 ? x[i] * x[i] - 10 * std::cos(4 * pi * x[i]) : x[i];
    }
    double g = 1 + 9 * sum / rest;
    if (number == 4) g = 1 + 10 * rest + sum;
    if (number == 6) g = 1 + 9 * std::pow(sum / rest, 0.25);
    const double f1 = first(x[0]);
    return Values{f1, second(f1, g)};
  };
  // Of ZDT6, f1 falls to its least value, the first maximum of exp(-4x) sin^6(6 pi x): tan(6 pi x) = 9 pi.
  const double least = number == 6 ? first(std::atan(9 * pi) / (6 * pi)) : 0;
  Point ideal{least, 0}, nadir{1, second(least, 1)};
  std::vector<double> axis;
  if (number == 3) {
    axis = records([second](double u) { return second(u, 1); });
    ideal[1] = second(axis.back(), 1);
    nadir[0] = axis.back();
  }
  set_front(problem, ideal, nadir, {axis}, [least, second](std::span<const double> u) {
    const double f1 = least + (1 - least) * u[0];
    return Point{f1, second(f1, 1)};
  });
  if (number == 1 || number == 4) {
    set_volume(problem, 1.0 / 3);
  } else if (number == 2) {
    set_volume(problem, 2.0 / 3);
  } else if (number == 6) {
    set_volume(problem, (1 - least - (1 - least * least * least) / 3) / ((1 - least) * (1 - least * least)));
  } else {
    set_sampled_volume(problem);
  }
  return problem;
}

// --- DTLZ

/// The multimodal distance function of DTLZ1 and DTLZ3.
double rugged(Codes x) {
  double sum = static_cast<double>(x.size());
  for (const double v : x) sum += square(v - 0.5) - std::cos(20 * pi * (v - 0.5));
  return 100 * sum;
}

double smooth(Codes x) {
  double sum = 0;
  for (const double v : x) sum += square(v - 0.5);
  return sum;
}

Values dtlz_values(int number, Codes x, std::size_t objectives) {
  const Codes distance = x.subspan(objectives - 1);
  std::vector<double> u(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(objectives) - 1);
  if (number == 7) {
    const double g = 1 + 9 * std::accumulate(distance.begin(), distance.end(), 0.0) / static_cast<double>(distance.size());
    double h = static_cast<double>(objectives);
    for (const double f : u) h -= f / (1 + g) * (1 + std::sin(3 * pi * f));
    u.push_back((1 + g) * h);
    return u;
  }
  double g = number == 1 || number == 3 ? rugged(distance) : smooth(distance);
  if (number == 6) {
    g = 0;
    for (const double v : distance) g += std::pow(v, 0.1);
  }
  if (number == 4) {
    for (double& v : u) v = std::pow(v, 100);
  }
  if (number == 5 || number == 6) {
    for (std::size_t i = 1; i < u.size(); ++i) u[i] = (1 + 2 * g * u[i]) / (2 * (1 + g));
  }
  Values values = number == 1 ? simplex_point(u, objectives) : sphere_point(u, objectives);
  for (double& value : values) value *= (1 + g) * (number == 1 ? 0.5 : 1);
  return values;
}

StandardProblem dtlz(const std::string& name, StandardProblemSize size) {
  const int number = name.back() - '0';
  StandardProblem problem;
  problem.name = name;
  problem.summary = std::map<int, std::string>{
      {1, "Linear front behind many local ones."},
      {2, "Spherical front."},
      {3, "Spherical front behind many local ones."},
      {4, "Spherical front whose points are unevenly reached."},
      {5, "Front that is a curve."},
      {6, "Front that is a curve and hard to converge to."},
      {7, "Front of 2^(objectives - 1) pieces."}}.at(number);
  problem.objectives = size.objectives == 0 ? 3 : size.objectives;
  if (problem.objectives < 2 || problem.objectives > 15) {
    refuse(name, fmt::format("has 2 to 15 objectives, not {}", problem.objectives));
  }
  const std::size_t position = problem.objectives - 1;
  const std::size_t distance = number == 1 ? 5 : number == 7 ? 20 : 10;
  problem.nodes = reals(variables_or(name, size, position + distance, position + 1), 0, 1);
  problem.evaluate = [number, objectives = problem.objectives](Codes x) { return dtlz_values(number, x, objectives); };
  const std::size_t objectives = problem.objectives;
  std::vector<std::vector<double>> axes(position);
  if (number == 1) {
    set_front(problem, Point(objectives, 0), Point(objectives, 0.5), axes, [objectives](std::span<const double> u) {
      Point point = simplex_point(u, objectives);
      for (double& value : point) value /= 2;
      return point;
    });
    set_volume(problem, 1 / std::tgamma(static_cast<double>(objectives) + 1));
  } else if (number <= 4) {
    set_front(problem, Point(objectives, 0), Point(objectives, 1), axes,
              [objectives](std::span<const double> u) { return sphere_point(u, objectives); });
    set_volume(problem, ball_volume(objectives));
  } else if (number <= 6) {
    const auto curve = [objectives](std::span<const double> u) {
      std::vector<double> angles(objectives - 1, 0.5);
      angles[0] = u[0];
      return sphere_point(angles, objectives);
    };
    Point nadir = curve(std::vector<double>{0});  // every objective but the last falls from u = 0
    nadir.back() = 1;
    set_front(problem, Point(objectives, 0), nadir, {{}}, curve);
    set_sampled_volume(problem);
  } else {
    // Each of the first objectives pays for itself alone.
    const auto gain = [](double f) { return f / 2 * (1 + std::sin(3 * pi * f)); };
    const std::vector<double> axis = records([gain](double f) { return -gain(f); });
    const auto m = static_cast<double>(objectives);
    Point ideal(objectives, 0), nadir(objectives, axis.back());
    ideal.back() = 2 * (m - (m - 1) * gain(axis.back()));
    nadir.back() = 2 * m;
    set_front(problem, ideal, nadir, std::vector<std::vector<double>>(position, axis),
              [gain, m](std::span<const double> u) {
                Point point(u.begin(), u.end());
                double h = m;
                for (const double f : u) h -= gain(f);
                point.push_back(2 * h);
                return point;
              });
    set_sampled_volume(problem);
  }
  return problem;
}

// --- Constrained DTLZ. All but C3-DTLZ4 keep the front of the problem they come from, or a part of it.

StandardProblem constrained_dtlz(const std::string& name, StandardProblemSize size) {
  StandardProblem problem = dtlz(name.substr(3), size);
  problem.name = name;
  const std::size_t objectives = problem.objectives;
  const auto m = static_cast<double>(objectives);
  problem.constraints = 1;
  std::function<Values(const Values&)> constraints;
  const auto squares = [](const Values& f) {
    double sum = 0;
    for (const double value : f) sum += value * value;
    return sum;
  };
  if (name == "c1_dtlz1") {
    problem.summary = "DTLZ1 of which a narrow region beside the front is feasible.";
    constraints = [](const Values& f) {
      double sum = f.back() / 0.6;
      for (std::size_t i = 0; i + 1 < f.size(); ++i) sum += f[i] / 0.5;
      return Values{sum - 1};
    };
  } else if (name == "c1_dtlz3") {
    problem.summary = "DTLZ3 with an infeasible band before the front.";
    const double radius = objectives < 5 ? 9 : objectives <= 12 ? 12.5 : 15;
    constraints = [squares, radius](const Values& f) {
      const double s = squares(f);
      return Values{-(s - 16) * (s - radius * radius)};
    };
  } else if (name == "c2_dtlz2") {
    problem.summary = "DTLZ2 of whose front some caps are feasible.";
    const double r = objectives == 2 ? 0.2 : objectives == 3 ? 0.4 : 0.5;
    constraints = [squares, r, m](const Values& f) {
      double middle = 0;
      for (const double value : f) middle += square(value - 1 / std::sqrt(m));
      double least = middle - r * r;
      const double s = squares(f);
      for (const double value : f) least = std::min(least, s - value * value + square(value - 1) - r * r);
      return Values{least};
    };
    const auto whole = problem.front;
    problem.front = [whole, constraints](std::size_t count) {
      std::vector<Point> points;
      for (Point& point : whole(count)) {
        if (constraints(point).front() <= 0) points.push_back(std::move(point));
      }
      return points;
    };
    set_sampled_volume(problem);
  } else {
    problem.summary = "DTLZ4 whose constraints put a new front before the old one.";
    problem.constraints = objectives;
    constraints = [squares](const Values& f) {
      const double s = squares(f);
      Values g;
      for (const double value : f) g.push_back(1 - (s - 0.75 * value * value));
      return g;
    };
    // On a ray, the nearest point where every constraint holds.
    const std::vector<std::vector<double>> axes(objectives - 1);
    set_front(problem, Point(objectives, 0), Point(objectives, 2), axes, [objectives, squares](std::span<const double> u) {
      Point point = sphere_point(u, objectives);
      const double s = squares(point);
      double scale = 0;
      for (const double value : point) scale = std::max(scale, 1 / std::sqrt(s - 0.75 * value * value));
      for (double& value : point) value *= scale;
      return point;
    });
    set_sampled_volume(problem);
  }
  problem.evaluate = [base = problem.evaluate, constraints](Codes x) {
    Values values = base(x);
    const Values more = constraints(values);
    values.insert(values.end(), more.begin(), more.end());
    return values;
  };
  return problem;
}

// --- WFG

StandardProblem wfg_problem(const std::string& name, StandardProblemSize size) {
  const int number = name.back() - '0';
  StandardProblem problem;
  problem.name = name;
  problem.summary = std::map<int, std::string>{{1, "Biased, flat regions, mixed front."},
                                               {2, "Nonseparable, front of pieces."},
                                               {3, "Nonseparable, front that is a line."},
                                               {4, "Multimodal, concave front."},
                                               {5, "Deceptive, concave front."},
                                               {6, "Nonseparable, concave front."},
                                               {7, "Biased by the distance parameters, concave front."},
                                               {8, "Biased by the position parameters, concave front."},
                                               {9, "Biased, deceptive, multimodal, nonseparable, concave front."}}
                        .at(number);
  const std::size_t objectives = size.objectives == 0 ? 2 : size.objectives;
  if (objectives < 2 || objectives > 15) refuse(name, fmt::format("has 2 to 15 objectives, not {}", objectives));
  problem.objectives = objectives;
  const std::size_t k = objectives == 2 ? 4 : 2 * (objectives - 1);
  const std::size_t variables = variables_or(name, size, k + 20, k + 2);
  if ((number == 2 || number == 3) && (variables - k) % 2 != 0) {
    refuse(name, fmt::format("needs {} variables and an even number more, not {}", k, variables));
  }
  for (std::size_t i = 1; i <= variables; ++i) {
    problem.nodes.push_back(real(fmt::format("x{}", i), 0, 2 * static_cast<double>(i)));
  }
  problem.evaluate = [number, k, objectives](Codes z) { return wfg(number, z, k, objectives); };
  Point nadir;
  for (std::size_t m = 1; m <= objectives; ++m) nadir.push_back(2 * static_cast<double>(m));
  Point ideal(objectives, 0);
  const auto shape = [number, objectives](std::span<const double> u) { return wfg_shape(number, u, objectives); };
  if (number == 3) {  // x2 … are 1/2 on the front
    const auto line = [objectives](std::span<const double> u) {
      std::vector<double> x(objectives - 1, 0.5);
      x[0] = u[0];
      return wfg_shape(3, x, objectives);
    };
    const double last = nadir.back();
    nadir = line(std::vector<double>{1});
    nadir.back() = last;
    set_front(problem, ideal, nadir, {{}}, line);
  } else {
    std::vector<std::vector<double>> axes(objectives - 1);
    if (number == 2) {  // all objectives but the last grow with x1
      const auto last = [&](double u) {
        std::vector<double> x(objectives - 1, 1);
        x[0] = u;
        return shape(x).back();
      };
      axes[0] = records(last);
      for (std::size_t m = 0; m + 1 < objectives; ++m) nadir[m] *= 1 - std::cos(axes[0].back() * pi / 2);
      ideal.back() = last(axes[0].back());
    }
    set_front(problem, ideal, nadir, axes, shape);
  }
  if (number >= 4) {
    set_volume(problem, ball_volume(objectives));
  } else {
    set_sampled_volume(problem);
  }
  return problem;
}

using Maker = std::function<StandardProblem(const std::string&, StandardProblemSize)>;

const std::map<std::string, Maker, std::less<>>& makers() {
  static const std::map<std::string, Maker, std::less<>> all = [] {
    std::map<std::string, Maker, std::less<>> map;
    for (int i = 1; i <= 6; ++i) map.emplace(fmt::format("zdt{}", i), zdt);
    for (int i = 1; i <= 7; ++i) map.emplace(fmt::format("dtlz{}", i), dtlz);
    for (int i = 1; i <= 9; ++i) map.emplace(fmt::format("wfg{}", i), wfg_problem);
    for (const char* name : {"c1_dtlz1", "c1_dtlz3", "c2_dtlz2", "c3_dtlz4"}) map.emplace(name, constrained_dtlz);
    map.emplace("mixed_ackley", mixed_ackley);
    map.emplace("mixed_zdt1", mixed_zdt1);
    map.emplace("sphere", [](const std::string& name, StandardProblemSize size) {
      return single(name, "Sum of squares; optimum 0 at 0.", size, -5.12, 5.12, sphere);
    });
    map.emplace("rosenbrock", [](const std::string& name, StandardProblemSize size) {
      return single(name, "A long curved valley; optimum 0 at 1.", size, -5, 10, rosenbrock);
    });
    map.emplace("rastrigin", [](const std::string& name, StandardProblemSize size) {
      return single(name, "A bowl with a regular grid of local optima; optimum 0 at 0.", size, -5.12, 5.12, rastrigin);
    });
    map.emplace("ackley", [](const std::string& name, StandardProblemSize size) {
      return single(name, "A plain with local optima around a hole; optimum 0 at 0.", size, -32.768, 32.768, ackley);
    });
    return map;
  }();
  return all;
}

}  // namespace

Point StandardProblem::normalised(std::span<const double> point) const {
  Point result(ideal.size());
  for (std::size_t k = 0; k < ideal.size(); ++k) result[k] = (point[k] - ideal[k]) / (nadir[k] - ideal[k]);
  return result;
}

const std::vector<std::string>& standard_problem_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& [name, maker] : makers()) all.push_back(name);
    return all;
  }();
  return names;
}

StandardProblem standard_problem(std::string_view name, StandardProblemSize size) {
  const auto found = makers().find(name);
  if (found == makers().end()) {
    throw ConfigError(fmt::format("unknown problem '{}'{}", name, hint(name, standard_problem_names())));
  }
  return found->second(found->first, size);
}

}  // namespace duet
