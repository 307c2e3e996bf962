#pragma once
/// Charts as SVG text: self-contained, no scripts, light and dark alike. All labels are escaped.

#include <string>
#include <utility>
#include <vector>

namespace duet {

/// A line with a band around it. All three have one value per x; values may be infinite (left out).
struct Curve {
  std::string name;
  std::vector<double> x;
  std::vector<double> low, middle, high;
};

/// Lines over a logarithmic x axis. The y axis is logarithmic down to the smallest positive value; zero stands below
/// it on a tick of its own.
std::string curve_chart(const std::string& title, const std::string& x_label, const std::string& y_label,
                        const std::vector<Curve>& curves);

/// Mean ranks on a line, the best left; groups (ends in mean ranks) that do not differ significantly are joined by bars
/// (Demšar 2006, §3.2.4).
std::string rank_chart(const std::string& title, const std::vector<std::pair<std::string, double>>& mean_ranks,
                       double critical_difference, const std::vector<std::pair<double, double>>& groups);

/// One row of dots per name, with median and quartiles; smaller is better. Values in [0, 1].
std::string strip_chart(const std::string& title, const std::string& x_label,
                        const std::vector<std::pair<std::string, std::vector<double>>>& rows);

/// Text for use between tags and in quotes.
std::string escaped(const std::string& text);

}  // namespace duet
