#pragma once
/// Problems whose every candidate has been evaluated already, for measuring strategies.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/pareto.hpp"
#include "tests/contracts/strategy_contract.hpp"
#include "tests/testing.hpp"

namespace duet::testing {

/// Columns of a CSV file without quotes, by name.
inline std::map<std::string, std::vector<std::string>> read_csv(const std::filesystem::path& path) {
  std::ifstream stream(path);
  const auto read_row = [&](std::vector<std::string>& cells) {
    cells.clear();
    std::string line;
    if (!std::getline(stream, line)) return false;
    std::istringstream row(line);
    for (std::string cell; std::getline(row, cell, ',');) cells.push_back(cell);
    return true;
  };
  std::vector<std::string> names;
  if (!read_row(names)) throw std::runtime_error("cannot read " + path.string());
  std::map<std::string, std::vector<std::string>> columns;
  for (std::vector<std::string> row; read_row(row);) {
    row.resize(names.size());  // empty cells at the end are not found
    for (std::size_t i = 0; i < names.size(); ++i) columns[names[i]].push_back(row[i]);
  }
  return columns;
}

/// A table as a problem. One objective stays in its unit (negated if it is to be maximised); several are normalised to
/// their range in the table.
struct TableProblem {
  contracts::TestProblem problem;
  std::vector<Point> front;
  double whole = 0;  ///< hypervolume of the front below 1 in each objective

  /// One objective: the regret; several: the hypervolume as a share of the front's.
  double score(const std::vector<Point>& found) const {
    if (problem.objectives.size() > 1) {
      return hypervolume(found, Point(problem.objectives.size(), 1.0)) / whole;
    }
    double best = std::numeric_limits<double>::infinity();
    for (const Point& point : found) best = std::min(best, point[0]);
    return best - front.front()[0];
  }
  double share_of_front(const std::vector<Point>& found) const {
    const std::set<Point> points(found.begin(), found.end());
    const auto hits = std::count_if(front.begin(), front.end(), [&](const Point& point) { return points.contains(point); });
    return static_cast<double>(hits) / static_cast<double>(front.size());
  }
};

/// `name` is one of bench/tables.cpp. \throws std::runtime_error if there is no such table.
inline TableProblem table_problem(const std::string& name) {
  std::vector<std::string> parts;
  std::istringstream stream(name);
  for (std::string part; std::getline(stream, part, '/');) parts.push_back(part);
  const auto read = [](const char* file) {
    const auto path = reference_data(file);
    if (!path) throw std::runtime_error(std::string("there is no reference table ") + file);
    return read_csv(*path);
  };
  TableProblem table;
  table.problem.name = name;
  auto points = std::make_shared<std::vector<Point>>();
  auto rows = std::make_shared<std::map<std::vector<double>, std::size_t>>();  // by the codes
  const auto add_column = [&](const std::map<std::string, std::vector<std::string>>& columns, const std::string& column,
                              double sign) {
    const std::vector<std::string>& cells = columns.at(column);
    points->resize(cells.size());
    for (std::size_t i = 0; i < cells.size(); ++i) (*points)[i].push_back(sign * std::stod(cells[i]));
    table.problem.objectives.push_back(column);
  };
  std::vector<std::pair<std::string, std::vector<double>>> free;  // as the spaces nas_bench_… have them
  const auto add_free = [&](const std::string& quantity, const std::vector<std::string>& cells) {
    free.emplace_back(quantity, std::vector<double>());
    for (const std::string& cell : cells) free.back().second.push_back(std::stod(cell));
  };
  std::vector<SpaceNode> nodes;
  if (parts.at(0) == "macro") {
    const auto columns = read("nas_bench_macro.csv");
    add_column(columns, "mean_acc", -1);
    if (parts.size() > 1) add_column(columns, parts[1], 1);
    add_free("macs", columns.at("flops"));
    add_free("parameters", columns.at("params"));
    for (int layer = 1; layer <= 8; ++layer) {
      nodes.push_back(choice("layer" + std::to_string(layer), {"identity", "mb3_k3", "mb6_k5"}));
    }
    const std::vector<std::string>& names = columns.at("arch");
    for (std::size_t i = 0; i < names.size(); ++i) {
      std::vector<double> codes;
      for (const char digit : names[i]) codes.push_back(digit - '0');
      (*rows)[codes] = i;
    }
  } else {
    const auto columns = read("nb201_accuracy.csv");
    add_column(columns, parts.at(1), -1);
    add_free("macs", columns.at("flops_M_c10"));
    add_free("parameters", columns.at("params_M_c10"));
    if (parts.size() > 2) add_column(read("nb201_latency_help.csv"), parts[2], 1);
    const std::vector<std::string> operators{"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"};
    for (int edge = 1; edge <= 6; ++edge) nodes.push_back(choice("edge" + std::to_string(edge), operators));
    const std::vector<std::string>& names = columns.at("arch");  // "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+…"
    for (std::size_t i = 0; i < names.size(); ++i) {
      std::vector<double> codes;
      for (std::size_t tilde = names[i].find('~'); tilde != std::string::npos; tilde = names[i].find('~', tilde + 1)) {
        const std::size_t bar = names[i].rfind('|', tilde);
        const auto found = std::find(operators.begin(), operators.end(), names[i].substr(bar + 1, tilde - bar - 1));
        codes.push_back(static_cast<double>(found - operators.begin()));
      }
      (*rows)[codes] = i;
    }
  }
  const auto index_of = [rows](const Candidate& candidate) {
    std::vector<double> codes;
    for (std::size_t i = 0; i < candidate.size(); ++i) codes.push_back(candidate[i]);
    return rows->at(codes);
  };
  auto space = std::make_shared<Space>(nodes);
  for (const auto& [quantity, values] : free) {
    space->add_derived({quantity, "1", "", [values = values, index_of](const Candidate& c) { return values[index_of(c)]; }});
  }
  table.problem.space = space;
  const std::size_t objectives = table.problem.objectives.size();
  for (std::size_t k = 0; k < objectives && objectives > 1; ++k) {
    const auto less = [k](const Point& a, const Point& b) { return a[k] < b[k]; };
    const double low = (*std::min_element(points->begin(), points->end(), less))[k];
    const double high = (*std::max_element(points->begin(), points->end(), less))[k];
    for (Point& point : *points) point[k] = (point[k] - low) / (high - low);
  }
  for (const std::size_t i : pareto_front(*points)) table.front.push_back((*points)[i]);
  if (objectives > 1) table.whole = hypervolume(table.front, Point(objectives, 1.0));
  table.problem.evaluate = [points, index_of](const Candidate& candidate, std::uint64_t) {
    return contracts::Outcome{Status::ok, (*points)[index_of(candidate)], 0};
  };
  return table;
}

/// The table with a bound: its last column may not exceed its quantile `share`. The column stays an objective if
/// `objective`, and the normalisation is that of the whole table; the score counts feasible designs only.
inline TableProblem bounded(TableProblem table, double share, bool objective) {
  const Space& space = *table.problem.space;
  std::vector<Point> points;
  for (std::uint64_t rank = 0; rank < space.cardinality().exact.value(); ++rank) {
    points.push_back(table.problem.evaluate(space.unrank(rank), 0).objectives);
  }
  std::vector<double> column;
  for (const Point& point : points) column.push_back(point.back());
  std::sort(column.begin(), column.end());
  const double bound = column[static_cast<std::size_t>(share * static_cast<double>(column.size() - 1))];
  std::erase_if(points, [&](const Point& point) { return point.back() > bound; });
  if (!objective) {
    for (Point& point : points) point.pop_back();
    table.problem.objectives.pop_back();
  }
  table.front.clear();
  for (const std::size_t i : pareto_front(points)) table.front.push_back(points[i]);
  if (objective) table.whole = hypervolume(table.front, Point(table.problem.objectives.size(), 1.0));
  table.problem.constrained = true;
  table.problem.evaluate = [bound, objective, inner = table.problem.evaluate](const Candidate& candidate,
                                                                              std::uint64_t number) {
    contracts::Outcome outcome = inner(candidate, number);
    outcome.excess = {outcome.objectives.back() - bound};
    outcome.violation = std::max(0.0, outcome.excess.front());
    if (!objective) outcome.objectives.pop_back();
    return outcome;
  };
  return table;
}

}  // namespace duet::testing
