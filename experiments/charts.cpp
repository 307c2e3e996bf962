#include "experiments/charts.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "core/statistics.hpp"

namespace duet {
namespace {

// Okabe and Ito's colours, which people with any colour vision can tell apart; dashes begin when they are used up.
constexpr std::array<const char*, 8> colours{"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F7F7F"};
constexpr std::array<const char*, 4> dashes{"", "6 3", "2 3", "8 3 2 3"};

std::string colour(std::size_t i) { return colours[i % colours.size()]; }
std::string dash(std::size_t i) { return dashes[i / colours.size() % dashes.size()]; }

std::string document(int width, int height, const std::string& title, const std::string& body) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\" role=\"img\" aria-label=\"{2}\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n"
      "<text x=\"{3}\" y=\"20\" text-anchor=\"middle\" font-size=\"14\" font-weight=\"bold\">{2}</text>\n{4}</svg>\n",
      width, height, escaped(title), width / 2, body);
}

std::string text(double x, double y, const std::string& words, const char* anchor = "middle", const std::string& more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor, more, escaped(words));
}

std::string line(double x1, double y1, double x2, double y2, const std::string& stroke, double width = 1) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" stroke-width=\"{}\"/>\n", x1,
                     y1, x2, y2, stroke, width);
}

std::string points(const std::vector<std::pair<double, double>>& positions) {
  std::string out;
  for (const auto& [x, y] : positions) out += fmt::format("{:.1f},{:.1f} ", x, y);
  return out;
}

std::string power_of_ten(int exponent) {
  return exponent >= -3 && exponent <= 4 ? fmt::format("{:g}", std::pow(10.0, exponent)) : fmt::format("1e{}", exponent);
}

}  // namespace

std::string escaped(const std::string& raw) {
  std::string out;
  for (const char c : raw) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string curve_chart(const std::string& title, const std::string& x_label, const std::string& y_label,
                        const std::vector<Curve>& curves) {
  constexpr double left = 70, right = 560, top = 36, bottom = 330;
  double smallest = std::numeric_limits<double>::infinity();
  double largest = 0;
  double x_low = std::numeric_limits<double>::infinity();
  double x_high = 1;
  for (const Curve& curve : curves) {
    for (std::size_t i = 0; i < curve.x.size(); ++i) {
      x_low = std::min(x_low, curve.x[i]);
      x_high = std::max(x_high, curve.x[i]);
      for (const double y : {curve.low[i], curve.middle[i], curve.high[i]}) {
        if (!std::isfinite(y)) continue;
        if (y > 0) smallest = std::min(smallest, y);
        largest = std::max(largest, y);
      }
    }
  }
  if (!std::isfinite(smallest)) smallest = largest = 1;
  x_low = std::min(x_low, x_high / 10);
  // Half a decade below the smallest positive value lies zero.
  const double y_low = std::log10(smallest) - 0.5;
  const double y_high = std::max(std::log10(largest), y_low + 1);
  const auto x_at = [&](double x) {
    return left + (right - left) * (std::log(x) - std::log(x_low)) / (std::log(x_high) - std::log(x_low));
  };
  const auto y_at = [&](double y) {
    const double height = y > 0 ? std::max(std::log10(y), y_low) : y_low;
    return bottom - (bottom - top) * (std::min(height, y_high) - y_low) / (y_high - y_low);
  };
  std::string body;
  for (int exponent = static_cast<int>(std::ceil(y_low + 0.25)); exponent <= static_cast<int>(std::floor(y_high)); ++exponent) {
    const double y = y_at(std::pow(10.0, exponent));
    body += line(left, y, right, y, "#e4e4e4") + text(left - 6, y + 4, power_of_ten(exponent), "end");
  }
  body += text(left - 6, bottom + 4, "0", "end");
  for (int exponent = static_cast<int>(std::ceil(std::log10(x_low) - 1e-9));
       exponent <= static_cast<int>(std::floor(std::log10(x_high) + 1e-9)); ++exponent) {
    const double x = x_at(std::pow(10.0, exponent));
    body += line(x, top, x, bottom, "#e4e4e4") + text(x, bottom + 18, power_of_ten(exponent));
  }
  body += line(left, bottom, right, bottom, "#222") + line(left, top, left, bottom, "#222");
  body += text((left + right) / 2, bottom + 38, x_label);
  body += fmt::format("<text transform=\"translate(16 {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n", (top + bottom) / 2,
                      escaped(y_label));
  for (std::size_t c = 0; c < curves.size(); ++c) {
    const Curve& curve = curves[c];
    std::vector<std::pair<double, double>> band;
    std::vector<std::pair<double, double>> middle;
    for (std::size_t i = 0; i < curve.x.size(); ++i) {
      if (std::isfinite(curve.high[i])) band.emplace_back(x_at(curve.x[i]), y_at(curve.high[i]));
      if (std::isfinite(curve.middle[i])) middle.emplace_back(x_at(curve.x[i]), y_at(curve.middle[i]));
    }
    for (std::size_t i = curve.x.size(); i-- > 0;) {
      if (std::isfinite(curve.high[i]) && std::isfinite(curve.low[i])) band.emplace_back(x_at(curve.x[i]), y_at(curve.low[i]));
    }
    body += fmt::format("<polygon points=\"{}\" fill=\"{}\" fill-opacity=\"0.12\"/>\n", points(band), colour(c));
    body += fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\" stroke-dasharray=\"{}\"/>\n",
                        points(middle), colour(c), dash(c));
    const double y = top + 10 + 18 * static_cast<double>(c);
    body += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" stroke-width=\"2\" "
                        "stroke-dasharray=\"{}\"/>\n",
                        right + 14, y, right + 38, y, colour(c), dash(c));
    body += text(right + 44, y + 4, curve.name, "start");
  }
  const int height = std::max(380, static_cast<int>(top + 20 + 18 * static_cast<double>(curves.size())));
  return document(780, height, title, body);
}

std::string rank_chart(const std::string& title, const std::vector<std::pair<std::string, double>>& mean_ranks,
                       double critical_difference, const std::vector<std::pair<double, double>>& groups) {
  constexpr double left = 200, right = 580, axis = 90;
  const auto k = static_cast<double>(mean_ranks.size());
  const auto x_at = [&](double rank) { return k > 1 ? left + (right - left) * (rank - 1) / (k - 1) : left; };
  std::string body = line(left, axis, right, axis, "#222");
  for (int rank = 1; rank <= static_cast<int>(k); ++rank) {
    body += line(x_at(rank), axis - 6, x_at(rank), axis, "#222") + text(x_at(rank), axis - 10, std::to_string(rank));
  }
  const double reach = std::min(x_at(1 + critical_difference), right);
  body += line(left, 48, reach, 48, "#222", 2) + line(left, 44, left, 52, "#222") + line(reach, 44, reach, 52, "#222");
  body += text(reach + 8, 52, fmt::format("critical difference {:.2f}", critical_difference), "start");
  auto order = mean_ranks;
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  const double first = axis + 24 + 8 * static_cast<double>(groups.size());
  const std::size_t half = (order.size() + 1) / 2;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const bool on_left = i < half;
    const double y = first + 20 * static_cast<double>(on_left ? i : order.size() - 1 - i);
    const double x = x_at(order[i].second);
    const double end = on_left ? left - 12 : right + 12;
    body += line(x, axis, x, y, "#555") + line(x, y, end, y, "#555");
    const std::string label = on_left ? fmt::format("{}  {:.2f}", order[i].first, order[i].second)
                                      : fmt::format("{:.2f}  {}", order[i].second, order[i].first);
    body += text(on_left ? end - 4 : end + 4, y + 4, label, on_left ? "end" : "start");
  }
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const double y = axis + 10 + 8 * static_cast<double>(i);
    body += line(x_at(groups[i].first) - 4, y, x_at(groups[i].second) + 4, y, "#D55E00", 4);
  }
  return document(780, static_cast<int>(first + 20 * static_cast<double>(half) + 16), title, body);
}

std::string strip_chart(const std::string& title, const std::string& x_label,
                        const std::vector<std::pair<std::string, std::vector<double>>>& rows) {
  constexpr double left = 200, right = 740, top = 40;
  const auto x_at = [&](double value) { return left + (right - left) * value; };
  const double bottom = top + 34 * static_cast<double>(rows.size());
  std::string body;
  for (int i = 0; i <= 10; i += 2) {
    const double x = x_at(i / 10.0);
    body += line(x, top, x, bottom, "#e4e4e4") + text(x, bottom + 16, fmt::format("{:g}", i / 10.0));
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& [name, values] = rows[i];
    const double y = top + 17 + 34 * static_cast<double>(i);
    body += text(left - 10, y + 4, name, "end");
    if (values.empty()) continue;
    const double low = x_at(quantile(values, 0.25));
    body += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"20\" fill=\"{}\" fill-opacity=\"0.15\"/>\n", low,
                        y - 10, x_at(quantile(values, 0.75)) - low, colour(i));
    const double middle = x_at(median(values));
    body += line(middle, y - 11, middle, y + 11, colour(i), 3);
    for (const double value : values) {
      body += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"{}\" fill-opacity=\"0.6\"/>\n", x_at(value), y,
                          colour(i));
    }
  }
  body += text((left + right) / 2, bottom + 36, x_label);
  return document(780, static_cast<int>(bottom) + 48, title, body);
}

}  // namespace duet
