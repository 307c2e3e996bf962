#include "experiments/tournament_report.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/errors.hpp"
#include "core/statistics.hpp"
#include "experiments/charts.hpp"

namespace duet {
namespace {

/// Gaps of all seeds at one checkpoint; empty if the entrant has no runs there.
std::vector<double> gaps_at(const Tournament& tournament, const TournamentResults& results, std::size_t problem,
                            std::size_t entrant, std::size_t draw, std::size_t checkpoint) {
  std::vector<double> gaps;
  for (std::size_t seed = 0; seed < tournament.seeds.size(); ++seed) {
    if (const ContestRun* run = results.find(problem, entrant, draw, seed)) gaps.push_back(run->gaps[checkpoint]);
  }
  return gaps;
}

std::vector<double> final_gaps(const Tournament& tournament, const TournamentResults& results, std::size_t problem,
                               std::size_t entrant, std::size_t draw = 0) {
  return gaps_at(tournament, results, problem, entrant, draw, results.checkpoints[problem].size() - 1);
}

std::vector<std::size_t> all_entrants(const Tournament& tournament) {
  std::vector<std::size_t> all(tournament.entrants.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return all;
}

RunValues values_of(const Tournament& tournament, const TournamentResults& results, const std::vector<std::size_t>& problems,
                    const std::vector<std::size_t>& entrants) {
  RunValues values;
  for (const std::size_t entrant : entrants) values.strategies.push_back(tournament.entrants[entrant].name);
  for (const std::size_t problem : problems) {
    values.problems.push_back(tournament.problems[problem].name);
    auto& rows = values.values.emplace_back();
    for (const std::size_t entrant : entrants) rows.push_back(final_gaps(tournament, results, problem, entrant));
  }
  return values;
}

std::optional<Lottery> lottery_of(const Tournament& tournament, const TournamentResults& results,
                                  const std::vector<std::size_t>& problems) {
  std::vector<std::size_t> drawn;
  for (std::size_t entrant = 0; entrant < tournament.entrants.size(); ++entrant) {
    if (tournament.entrants[entrant].draws >= 2) drawn.push_back(entrant);
  }
  if (drawn.size() < 2 || problems.empty()) return std::nullopt;
  std::vector<std::string> names;
  for (const std::size_t entrant : drawn) names.push_back(tournament.entrants[entrant].name);
  std::vector<std::vector<std::vector<double>>> values;
  for (const std::size_t problem : problems) {
    auto& rows = values.emplace_back();
    for (const std::size_t entrant : drawn) {
      auto& medians = rows.emplace_back();
      for (std::size_t draw = 1; draw <= tournament.entrants[entrant].draws; ++draw) {
        medians.push_back(median(final_gaps(tournament, results, problem, entrant, draw)));
      }
    }
  }
  return lottery(names, values);
}

/// The checkpoints that tables show: those the user named, and the budget.
std::vector<std::size_t> shown_checkpoints(const Tournament& tournament, const TournamentResults& results, std::size_t problem) {
  std::vector<std::size_t> shown;
  const auto& all = results.checkpoints[problem];
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool named = std::find(tournament.checkpoints.begin(), tournament.checkpoints.end(), all[i]) != tournament.checkpoints.end();
    if (named || i + 1 == all.size()) shown.push_back(i);
  }
  return shown;
}

/// A gap as people read it: regret as it is, of several objectives the share of the hypervolume.
double shown_value(const Reference& reference, double gap) { return reference.single() ? gap : 1 - gap; }

std::string number_text(double value) { return std::isfinite(value) ? fmt::format("{:.4g}", value) : "none"; }

std::string p_cell(double p) { return p < 0.0001 ? "< 0.0001" : fmt::format("{:.4f}", p); }
std::string p_text(double p) { return p < 0.0001 ? p_cell(p) : "= " + p_cell(p); }

std::string names_text(const Tournament& tournament, const std::vector<std::size_t>& entrants) {
  std::string out;
  for (const std::size_t entrant : entrants) out += (out.empty() ? "" : ", ") + tournament.entrants[entrant].name;
  return out;
}

struct Row {
  std::vector<std::string> cells;
};

/// What happened on a problem: strategies × checkpoints, medians and quartiles, and what it took.
std::vector<Row> problem_table(const Tournament& tournament, const TournamentResults& results, std::size_t problem) {
  const Reference& reference = results.references[problem];
  const auto shown = shown_checkpoints(tournament, results, problem);
  std::vector<Row> rows{{{"strategy"}}};
  for (const std::size_t checkpoint : shown) {
    rows[0].cells.push_back(fmt::format("after {}", results.checkpoints[problem][checkpoint]));
  }
  if (!reference.single()) rows[0].cells.push_back("front found");
  rows[0].cells.push_back("strategy, ms each");
  rows[0].cells.push_back("run, s");
  for (std::size_t entrant = 0; entrant < tournament.entrants.size(); ++entrant) {
    if (results.find(problem, entrant, 0, 0) == nullptr) continue;
    Row row{{tournament.entrants[entrant].name}};
    for (const std::size_t checkpoint : shown) {
      const std::vector<double> gaps = gaps_at(tournament, results, problem, entrant, 0, checkpoint);
      double low = shown_value(reference, quantile(gaps, 0.25));
      double high = shown_value(reference, quantile(gaps, 0.75));
      if (low > high) std::swap(low, high);
      row.cells.push_back(fmt::format("{} [{}, {}]", number_text(shown_value(reference, median(gaps))), number_text(low),
                                      number_text(high)));
    }
    std::vector<double> found, each, total;
    for (std::size_t seed = 0; seed < tournament.seeds.size(); ++seed) {
      const ContestRun* run = results.find(problem, entrant, 0, seed);
      found.push_back(run->found);
      each.push_back(1e3 * run->strategy_s / static_cast<double>(std::max<std::uint64_t>(1, run->evaluations)));
      total.push_back(run->total_s);
    }
    if (!reference.single()) row.cells.push_back(fmt::format("{:.1f}%", 100 * median(found)));
    row.cells.push_back(fmt::format("{:.3g}", median(each)));
    row.cells.push_back(fmt::format("{:.3g}", median(total)));
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string problem_heading(const Tournament& tournament, const TournamentResults& results, std::size_t problem) {
  const Reference& reference = results.references[problem];
  const std::string what = reference.single()
                               ? fmt::format("regret{}", reference.unit == "1" ? "" : " in " + reference.unit)
                               : std::string("share of the hypervolume");
  const auto beaten = std::count_if(results.runs.begin(), results.runs.end(), [&](const ContestRun& run) {
    return run.problem == problem && run.gaps.back() < -1e-9;
  });
  const std::string doubt =
      beaten == 0 ? "" : fmt::format(" (beaten by {} of all runs: it is not the best there is, or not in base units)", beaten);
  return fmt::format("{}: {}, {}; median [quartiles] of {} runs; reference: {}{}", tournament.problems[problem].name,
                     fmt::format("{}", fmt::join(reference.objectives, ", ")), what, tournament.seeds.size(), reference.origin,
                     doubt);
}

std::string verdict_text(const Tournament& tournament, const Comparison& comparison, const std::vector<std::size_t>& entrants) {
  if (entrants.size() < 2) return "One strategy is no contest.\n";
  std::vector<std::size_t> leaders;
  for (const std::size_t leader : comparison.leaders) leaders.push_back(entrants[leader]);
  std::string out;
  if (!comparison.significant) {
    out = fmt::format("No strategy is significantly better than another ({} p {}, {} runs each).\n",
                      entrants.size() == 2 ? "Wilcoxon" : "Friedman", p_text(comparison.friedman_p), comparison.blocks);
  } else if (leaders.size() == 1) {
    out = fmt::format("{} is best, significantly so against every other ({} p {}; {} runs each).\n",
                      names_text(tournament, leaders), entrants.size() == 2 ? "Wilcoxon" : "Friedman",
                      p_text(comparison.friedman_p), comparison.blocks);
  } else {
    out = fmt::format("In front: {}; they do not differ significantly from {}, which has the best mean rank (Friedman p {}, {} "
                      "runs each).\n",
                      names_text(tournament, leaders), tournament.entrants[entrants[comparison.best]].name,
                      p_text(comparison.friedman_p), comparison.blocks);
  }
  for (const std::string& warning : comparison.warnings) out += "Warning: " + warning + ".\n";
  return out;
}

std::vector<std::size_t> by_mean_rank(const Comparison& comparison) {
  std::vector<std::size_t> order(comparison.mean_ranks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return comparison.mean_ranks[a] < comparison.mean_ranks[b]; });
  return order;
}

std::vector<Row> rank_table(const Comparison& comparison, const Tournament& tournament, const std::vector<std::size_t>& entrants) {
  std::vector<Row> rows{{{"strategy", "mean rank", "against the best: p (Wilcoxon, Holm)", "p (Nemenyi)", "A"}}};
  for (const std::size_t i : by_mean_rank(comparison)) {
    Row row{{tournament.entrants[entrants[i]].name, fmt::format("{:.2f}", comparison.mean_ranks[i])}};
    for (const Pair& pair : comparison.pairs) {
      if (i == comparison.best || (pair.a != i && pair.b != i) || (pair.a != comparison.best && pair.b != comparison.best)) continue;
      const double beats = pair.a == i ? pair.probability_smaller : 1 - pair.probability_smaller;
      row.cells.push_back(p_cell(pair.holm_p));
      row.cells.push_back(p_cell(pair.nemenyi_p));
      row.cells.push_back(fmt::format("{:.2f}", beats));
    }
    row.cells.resize(5);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string lottery_sentence(const Lottery& lottery) {
  return fmt::format("Hyperparameter lottery: {:.0f}% of the variance is between draws of the same strategy (0%: the strategy "
                     "decides, 100%: its hyperparameters do); a random draw of another strategy beats a random draw of the best "
                     "one with probability {:.2f}.\n",
                     100 * lottery.share, lottery.upset);
}

std::string aligned(const std::vector<Row>& rows, const std::string& indent) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.cells.size()));
    for (std::size_t i = 0; i < row.cells.size(); ++i) widths[i] = std::max(widths[i], row.cells[i].size());
  }
  std::string out;
  for (const Row& row : rows) {
    std::string line = indent;
    for (std::size_t i = 0; i < row.cells.size(); ++i) line += fmt::format("{:<{}}  ", row.cells[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string indented(const std::string& lines) {
  std::string out = "  ";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    out += lines[i];
    if (lines[i] == '\n' && i + 1 < lines.size()) out += "  ";
  }
  return out;
}

std::string html_table(const std::vector<Row>& rows) {
  std::string out = "<table>\n";
  for (std::size_t r = 0; r < rows.size(); ++r) {
    out += "<tr>";
    for (const std::string& cell : rows[r].cells) out += fmt::format("<{0}>{1}</{0}>", r == 0 ? "th" : "td", escaped(cell));
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

// --- Charts

std::string curves_svg(const Tournament& tournament, const TournamentResults& results, std::size_t problem) {
  std::vector<Curve> curves;
  const auto& checkpoints = results.checkpoints[problem];
  for (std::size_t entrant = 0; entrant < tournament.entrants.size(); ++entrant) {
    if (results.find(problem, entrant, 0, 0) == nullptr) continue;
    Curve curve{.name = tournament.entrants[entrant].name, .x = {}, .low = {}, .middle = {}, .high = {}};
    for (std::size_t i = 0; i < checkpoints.size(); ++i) {
      const std::vector<double> gaps = gaps_at(tournament, results, problem, entrant, 0, i);
      curve.x.push_back(static_cast<double>(checkpoints[i]));
      curve.low.push_back(quantile(gaps, 0.25));
      curve.middle.push_back(median(gaps));
      curve.high.push_back(quantile(gaps, 0.75));
    }
    curves.push_back(std::move(curve));
  }
  const Reference& reference = results.references[problem];
  return curve_chart(tournament.problems[problem].name, "evaluations",
                     reference.single() ? "regret" + (reference.unit == "1" ? "" : " (" + reference.unit + ")")
                                        : "1 − share of the hypervolume",
                     curves);
}

/// Maximal runs of strategies, by mean rank, in which no two differ significantly (Wilcoxon, Holm).
std::vector<std::pair<double, double>> groups_of(const Comparison& comparison, double alpha) {
  const std::size_t k = comparison.mean_ranks.size();
  const std::vector<std::size_t> order = by_mean_rank(comparison);
  const auto differ = [&](std::size_t a, std::size_t b) {
    if (!comparison.significant) return false;
    return std::any_of(comparison.pairs.begin(), comparison.pairs.end(), [&](const Pair& pair) {
      return pair.a == std::min(a, b) && pair.b == std::max(a, b) && pair.holm_p < alpha;
    });
  };
  std::vector<std::pair<double, double>> groups;
  std::size_t reached = 0;
  for (std::size_t begin = 0; begin < k; ++begin) {
    std::size_t end = begin;
    const auto fits = [&](std::size_t next) {
      for (std::size_t i = begin; i < next; ++i) {
        if (differ(order[i], order[next])) return false;
      }
      return true;
    };
    while (end + 1 < k && fits(end + 1)) ++end;
    if (end > begin && end > reached) {
      groups.emplace_back(comparison.mean_ranks[order[begin]], comparison.mean_ranks[order[end]]);
      reached = end;
    }
  }
  return groups;
}

std::string ranks_svg(const Tournament& tournament, const Comparison& comparison, const std::vector<std::size_t>& entrants,
                      const std::string& title) {
  std::vector<std::pair<std::string, double>> ranks;
  for (std::size_t i = 0; i < entrants.size(); ++i) {
    ranks.emplace_back(tournament.entrants[entrants[i]].name, comparison.mean_ranks[i]);
  }
  return rank_chart(title, ranks, comparison.critical_difference, groups_of(comparison, tournament.alpha));
}

std::string lottery_svg(const Lottery& lottery) {
  std::vector<std::pair<std::string, std::vector<double>>> rows;
  for (const auto& entry : lottery.entries) rows.emplace_back(entry.strategy, entry.scores);
  return strip_chart("Hyperparameter lottery", "mean rank of each draw among all draws (0 is best)", rows);
}

// --- Files

nlohmann::ordered_json number_json(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json comparison_json(const Tournament& tournament, const Comparison& comparison,
                                       const std::vector<std::size_t>& entrants) {
  nlohmann::ordered_json json{{"runs_each", comparison.blocks},
                              {"friedman_p", comparison.friedman_p},
                              {"significant", comparison.significant},
                              {"critical_difference", comparison.critical_difference},
                              {"power", comparison.power}};
  json["leaders"] = nlohmann::ordered_json::array();
  for (const std::size_t leader : comparison.leaders) json["leaders"].push_back(tournament.entrants[entrants[leader]].name);
  for (std::size_t i = 0; i < entrants.size(); ++i) {
    json["mean_ranks"][tournament.entrants[entrants[i]].name] = comparison.mean_ranks[i];
  }
  json["pairs"] = nlohmann::ordered_json::array();
  for (const Pair& pair : comparison.pairs) {
    json["pairs"].push_back({{"a", tournament.entrants[entrants[pair.a]].name},
                             {"b", tournament.entrants[entrants[pair.b]].name},
                             {"wilcoxon_p", pair.wilcoxon_p},
                             {"holm_p", pair.holm_p},
                             {"nemenyi_p", pair.nemenyi_p},
                             {"probability_a_better", pair.probability_smaller}});
  }
  json["warnings"] = comparison.warnings;
  return json;
}

nlohmann::ordered_json summary_json(const Tournament& tournament, const TournamentResults& results, const Verdict& verdict) {
  nlohmann::ordered_json json{{"name", tournament.name}, {"seeds", tournament.seeds}, {"alpha", tournament.alpha}};
  for (std::size_t problem = 0; problem < tournament.problems.size(); ++problem) {
    const Reference& reference = results.references[problem];
    nlohmann::ordered_json entry{{"name", tournament.problems[problem].name},
                                 {"objectives", reference.objectives},
                                 {"measure", reference.single() ? "regret" : "hypervolume_share"},
                                 {"reference", reference.origin}};
    for (std::size_t entrant = 0; entrant < tournament.entrants.size(); ++entrant) {
      if (results.find(problem, entrant, 0, 0) == nullptr) continue;
      nlohmann::ordered_json medians;
      for (const std::size_t checkpoint : shown_checkpoints(tournament, results, problem)) {
        medians[std::to_string(results.checkpoints[problem][checkpoint])] =
            number_json(shown_value(reference, median(gaps_at(tournament, results, problem, entrant, 0, checkpoint))));
      }
      entry["medians"][tournament.entrants[entrant].name] = medians;
    }
    entry["comparison"] = comparison_json(tournament, verdict.by_problem[problem], verdict.takers[problem]);
    json["problems"].push_back(std::move(entry));
  }
  if (verdict.overall) {
    const std::vector<std::size_t> all = all_entrants(tournament);
    json["overall"] = comparison_json(tournament, *verdict.overall, all);
  }
  if (verdict.lottery) {
    json["lottery"] = {{"share", verdict.lottery->share}, {"upset", verdict.lottery->upset}};
  }
  json["refusals"] = results.refusals;
  return json;
}

std::string runs_csv(const Tournament& tournament, const TournamentResults& results) {
  std::string out = "problem,strategy,draw,seed,evaluations,gap,front_found,strategy_s,total_s\n";
  for (const ContestRun& run : results.runs) {
    out += fmt::format("{},{},{},{},{},{},{},{},{}\n", tournament.problems[run.problem].name, tournament.entrants[run.entrant].name,
                       run.draw, tournament.seeds[run.seed], run.evaluations, run.gaps.back(), run.found, run.strategy_s,
                       run.total_s);
  }
  return out;
}

std::string curves_csv(const Tournament& tournament, const TournamentResults& results) {
  std::string out = "problem,strategy,draw,seed,evaluations,gap\n";
  for (const ContestRun& run : results.runs) {
    for (std::size_t i = 0; i < run.gaps.size(); ++i) {
      out += fmt::format("{},{},{},{},{},{}\n", tournament.problems[run.problem].name, tournament.entrants[run.entrant].name,
                         run.draw, tournament.seeds[run.seed], results.checkpoints[run.problem][i], run.gaps[i]);
    }
  }
  return out;
}

std::string paragraphs(const std::string& lines) {
  std::string out;
  std::size_t begin = 0;
  while (begin < lines.size()) {
    const std::size_t end = std::min(lines.find('\n', begin), lines.size());
    out += "<p>" + escaped(lines.substr(begin, end - begin)) + "</p>\n";
    begin = end + 1;
  }
  return out;
}

}  // namespace

Verdict conclude(const Tournament& tournament, const TournamentResults& results) {
  Verdict verdict;
  const std::vector<std::size_t> all = all_entrants(tournament);
  for (std::size_t problem = 0; problem < tournament.problems.size(); ++problem) {
    std::vector<std::size_t>& takers = verdict.takers.emplace_back();
    for (const std::size_t entrant : all) {
      if (results.find(problem, entrant, 0, 0) != nullptr) takers.push_back(entrant);
    }
    if (takers.size() == all.size()) verdict.common.push_back(problem);
    verdict.by_problem.push_back(takers.empty() ? Comparison{}
                                                : compare(values_of(tournament, results, {problem}, takers), tournament.alpha));
  }
  if (!verdict.common.empty()) {
    verdict.overall = compare(values_of(tournament, results, verdict.common, all), tournament.alpha);
  }
  verdict.lottery = lottery_of(tournament, results, verdict.common);
  return verdict;
}

std::string summary_text(const Tournament& tournament, const TournamentResults& results, const Verdict& verdict) {
  std::string out;
  for (std::size_t problem = 0; problem < tournament.problems.size(); ++problem) {
    out += problem_heading(tournament, results, problem) + "\n" + aligned(problem_table(tournament, results, problem), "  ");
    if (verdict.takers[problem].empty()) {
      out += "  No strategy can take this problem.\n";
    } else if (tournament.problems.size() > 1) {
          out += indented(verdict_text(tournament, verdict.by_problem[problem], verdict.takers[problem]));
    }
    out += "\n";
  }
  for (const std::string& refusal : results.refusals) out += "Left out: " + refusal + "\n";
  if (verdict.overall) {
    const std::vector<std::size_t> all = all_entrants(tournament);
    out += fmt::format("Over {} problem{} and {} seeds\n", verdict.common.size(), verdict.common.size() == 1 ? "" : "s",
                       tournament.seeds.size());
    if (all.size() > 1) out += aligned(rank_table(*verdict.overall, tournament, all), "  ");
    out += verdict_text(tournament, *verdict.overall, all);
  } else {
    out += "There is no problem that every strategy can take, so there is no overall ranking.\n";
  }
  if (verdict.lottery) out += lottery_sentence(*verdict.lottery);
  return out;
}

std::vector<std::filesystem::path> write_report(const Tournament& tournament, const TournamentResults& results,
                                                const Verdict& verdict) {
  std::vector<std::filesystem::path> files;
  const auto write = [&](const std::string& name, const std::string& content) {
    const std::filesystem::path file = tournament.output / name;
    std::ofstream stream(file, std::ios::binary);
    stream << content;
    if (!stream.flush()) throw ConfigError(file.string() + ": cannot be written");
    files.push_back(file);
    return content;
  };
  const std::vector<std::size_t> all = all_entrants(tournament);
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title>\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n"
      "<style>body{{font:15px/1.45 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}}"
      "table{{display:block;overflow-x:auto;border-collapse:collapse;margin:.8rem 0;font-size:14px}}th,td{{padding:.25rem .7rem;text-align:right;"
      "white-space:nowrap;border-bottom:1px solid #ddd}}th:first-child,td:first-child{{text-align:left}}svg{{max-width:100%;height:auto}}</style>"
      "</head><body>\n<h1>{0}</h1>\n",
      escaped(tournament.name));
  if (verdict.overall) {
    page += "<h2>Overall</h2>\n" + paragraphs(verdict_text(tournament, *verdict.overall, all));
    if (all.size() > 1) {
      page += html_table(rank_table(*verdict.overall, tournament, all)) +
              write("ranks.svg", ranks_svg(tournament, *verdict.overall, all, "Mean ranks"));
    }
  }
  for (const std::string& refusal : results.refusals) page += "<p>Left out: " + escaped(refusal) + "</p>\n";
  if (verdict.lottery) {
    page += "<h2>Hyperparameters</h2>\n" + paragraphs(lottery_sentence(*verdict.lottery)) +
            write("lottery.svg", lottery_svg(*verdict.lottery));
  }
  for (std::size_t problem = 0; problem < tournament.problems.size(); ++problem) {
    const std::string& name = tournament.problems[problem].name;
    page += fmt::format("<h2>{}</h2>\n", escaped(name)) + paragraphs(problem_heading(tournament, results, problem)) +
            html_table(problem_table(tournament, results, problem));
    if (verdict.takers[problem].empty()) continue;
    page += paragraphs(verdict_text(tournament, verdict.by_problem[problem], verdict.takers[problem])) +
            write(name + ".svg", curves_svg(tournament, results, problem));
  }
  write("runs.csv", runs_csv(tournament, results));
  write("curves.csv", curves_csv(tournament, results));
  write("summary.json", summary_json(tournament, results, verdict).dump(2) + "\n");
  write("report.html", page + "</body></html>\n");
  return files;
}

}  // namespace duet
