#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "core/errors.hpp"
#include "core/pareto_archive.hpp"
#include "core/units.hpp"
#include "experiments/provenance.hpp"

namespace duet::cli {

void add_selection(CLI::App& command, Selection& selection) {
  command.add_option("FILE", selection.file, "Database, or experiment file (its output is read)")->required();
  command.add_option("-e,--experiment", selection.experiment,
                     "Experiment in the database (default: the file's, or the one begun last)");
}

OpenExperiment open_experiment(const Selection& selection, Store::Mode mode) {
  std::filesystem::path file = selection.file;
  std::string name = selection.experiment;
  if (file.extension() == ".yaml" || file.extension() == ".yml") {
    // Only the two keys that lead to the rows are read: data sets and tables may be elsewhere by now.
    const Config config = Config::load(file);
    const std::string own = config.has("name") ? config.at("name").text() : file.stem().string();
    if (name.empty()) name = own;
    file = config.has("output") ? config.at("output").text() : own + ".db";
  }
  if (mode == Store::Mode::write) Store(file, Store::Mode::read).at(name);  // a file that is not there is not to be made
  Store store(file, mode);
  ExperimentRecord record = store.at(name);
  return {std::move(store), std::move(record)};
}

Specification specification_of(const Selection& selection, const OpenExperiment& open, const Registry& registry) {
  const ExperimentRecord& record = open.record;
  const std::filesystem::path file = selection.file;
  Overrides overrides;
  overrides.name = record.name;
  overrides.seed = record.seed;
  const auto read = [&] {
    if (file.extension() == ".yaml" || file.extension() == ".yml") return load_specification(file, registry, overrides);
    try {
      return read_specification(Config::parse(record.specification, "specification of '" + record.name + "'"),
                                std::filesystem::current_path(), registry, overrides);
    } catch (const ConfigError& error) {
      throw ConfigError(fmt::format("{}; give the experiment file in place of the database if it names other files: "
                                    "relative paths begin in its folder",
                                    error.what()));
    }
  };
  Specification specification = read();
  if (specification.space->space().fingerprint() != record.space_fingerprint) {
    throw StoreError(fmt::format("{}: experiment '{}' has another space than {}", open.store.path().string(), record.name,
                                 selection.file));
  }
  if (specification.identity != record.identity) {
    fmt::print(stderr, "warning: {} differs from what experiment '{}' was run with: {}\n", selection.file, record.name,
               first_difference(record.identity, specification.identity));
  }
  return specification;
}

TrialRecord trial_of(const OpenExperiment& open, std::uint64_t number) {
  auto trial = open.store.trial(open.record, number);
  if (!trial) throw ConfigError(fmt::format("{}: there is no trial {}", open.store.path().string(), number));
  return *std::move(trial);
}

Front pareto_front_of(const Store& store, const ExperimentRecord& record) {
  Front front;
  for (std::size_t i = 0; i < record.metrics.size(); ++i) {
    if (record.metrics[i].objective) front.objectives.push_back(i);
  }
  const auto minimized = [&](std::size_t k) {
    return record.metrics[front.objectives[k]].direction == Direction::minimize;
  };
  ParetoArchive archive(front.objectives.size());
  Point point(front.objectives.size());
  store.for_each_score(record, front.objectives, [&](std::uint64_t number, std::span<const double> values) {
    ++front.feasible;
    for (std::size_t k = 0; k < values.size(); ++k) point[k] = minimized(k) ? values[k] : -values[k];
    archive.insert(number, point);
  });
  std::vector<ParetoArchive::Entry> members = archive.entries();
  std::stable_sort(members.begin(), members.end(),
                   [](const auto& a, const auto& b) { return a.point < b.point; });
  for (ParetoArchive::Entry& member : members) {
    front.numbers.push_back(member.id);
    for (std::size_t k = 0; k < member.point.size(); ++k) {
      if (!minimized(k)) member.point[k] = -member.point[k];
    }
    front.values.push_back(std::move(member.point));
  }
  return front;
}

std::size_t most_balanced(const Front& front, const ExperimentRecord& record) {
  std::vector<std::pair<double, double>> ranges;
  for (std::size_t k = 0; k < front.objectives.size(); ++k) {
    const auto [low, high] = std::minmax_element(front.values.begin(), front.values.end(),
                                                 [k](const auto& a, const auto& b) { return a[k] < b[k]; });
    ranges.emplace_back((*low)[k], (*high)[k]);
  }
  std::size_t best = 0;
  double best_distance = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < front.values.size(); ++i) {
    double distance = 0;
    for (std::size_t k = 0; k < front.objectives.size(); ++k) {
      const auto [low, high] = ranges[k];
      const double range = high - low;
      if (range <= 0) continue;
      const bool minimized = record.metrics[front.objectives[k]].direction == Direction::minimize;
      const double from_best = minimized ? front.values[i][k] - low : high - front.values[i][k];
      distance += from_best / range * (from_best / range);
    }
    if (distance < best_distance) {
      best_distance = distance;
      best = i;
    }
  }
  return best;
}

std::string metric_text(const Metric& metric, double value) {
  return metric.name + " " + human(value, metric.unit);
}

namespace {

/// Whether the space left no choice.
bool fixed(const Parameter& parameter) { return parameter.maximum <= parameter.minimum; }

std::string value_in_words(const Parameter& parameter, double code) {
  if (parameter.kind == Parameter::Kind::choice || parameter.unit == "1") return format_code(parameter, code);
  return human(parameter.kind == Parameter::Kind::ordinal ? parameter.values[static_cast<std::size_t>(code)] : code,
               parameter.unit);
}

/// Writes parameter `i` and moves on: "depth=2", and with what belongs to the option chosen behind it:
/// "operator=convolution(kernel=5)". Names begin after the first `skip` characters of the path.
void append_in_words(const ExperimentRecord& record, const Candidate& candidate, std::size_t& i, std::size_t skip,
                     std::string& text) {
  const Parameter& parameter = record.parameters[i];
  const std::string value = value_in_words(parameter, candidate[i]);
  text += parameter.path.substr(skip) + "=" + value;
  ++i;
  if (parameter.kind != Parameter::Kind::choice) return;
  const std::string below = parameter.path + "." + value + ".";
  std::string inner;
  // What belongs to other options stands there too, inactive.
  while (i < record.parameters.size() && record.parameters[i].path.starts_with(parameter.path + ".")) {
    if (!candidate.has(i) || fixed(record.parameters[i])) {
      ++i;
      continue;
    }
    if (!inner.empty()) inner += ", ";
    append_in_words(record, candidate, i, below.size(), inner);
  }
  if (!inner.empty()) text += "(" + inner + ")";
}

/// One line per part: "network: stages=2 stage1.depth=1 …".
std::string design_in_words(const ExperimentRecord& record, const Candidate& candidate) {
  std::string text;
  std::string part;
  for (std::size_t i = 0; i < record.parameters.size();) {
    if (!candidate.has(i)) {
      ++i;
      continue;
    }
    if (fixed(record.parameters[i])) {  // no news
      ++i;
      continue;
    }
    const std::string& path = record.parameters[i].path;
    const auto dot = path.find('.');
    const std::string head = path.substr(0, dot == std::string::npos ? 0 : dot);
    if (text.empty() || head != part) {
      text += fmt::format("{}      {}:", text.empty() ? "" : "\n", head);
      part = head;
    }
    text += " ";
    append_in_words(record, candidate, i, head.empty() ? 0 : head.size() + 1, text);
  }
  return text;
}

}  // namespace

std::string front_text(const Store& store, const ExperimentRecord& record, std::size_t most_rows) {
  const Front front = pareto_front_of(store, record);
  if (front.numbers.empty()) {
    return fmt::format("No feasible trial among {} yet.\n", store.count(record.id));
  }
  std::string out = front.objectives.size() == 1
                        ? fmt::format("The best of {} feasible designs:\n\n", front.feasible)
                        : fmt::format("{} non-dominated designs among {} feasible:\n\n", front.numbers.size(),
                                      front.feasible);
  std::vector<std::string> header{"trial"};
  for (const std::size_t metric : front.objectives) {
    header.push_back(record.metrics[metric].metric.name +
                     (record.metrics[metric].direction == Direction::minimize ? " (min)" : " (max)"));
  }
  TextTable table(header);
  std::vector<double> middles;  // of each column, so that it is written with one prefix
  for (std::size_t k = 0; k < front.objectives.size(); ++k) {
    std::vector<double> column;
    for (const auto& values : front.values) column.push_back(values[k]);
    std::nth_element(column.begin(), column.begin() + static_cast<std::ptrdiff_t>(column.size() / 2), column.end());
    middles.push_back(column[column.size() / 2]);
  }
  // Evenly spaced rows if there are more than fit.
  const std::size_t rows = std::min(most_rows, front.numbers.size());
  for (std::size_t r = 0; r < rows; ++r) {
    const std::size_t i = rows < 2 ? 0 : r * (front.numbers.size() - 1) / (rows - 1);
    std::vector<std::string> row{std::to_string(front.numbers[i])};
    for (std::size_t k = 0; k < front.objectives.size(); ++k) {
      row.push_back(human(front.values[i][k], record.metrics[front.objectives[k]].metric.unit, middles[k]));
    }
    table.add(std::move(row));
  }
  out += table.text();
  if (rows < front.numbers.size()) {
    out += fmt::format("({} of them, evenly spaced; `duet pareto` shows all)\n", rows);
  }

  std::vector<std::pair<std::string, std::size_t>> members;
  const auto add = [&](std::string title, std::size_t index) {
    for (auto& [known, at] : members) {
      if (at != index) continue;
      known += ", " + title;
      return;
    }
    members.emplace_back(std::move(title), index);
  };
  if (front.objectives.size() > 1) add("most balanced", most_balanced(front, record));
  for (std::size_t k = 0; k < front.objectives.size() && members.size() < 3; ++k) {
    const StoredMetric& metric = record.metrics[front.objectives[k]];
    const auto better = [&](const auto& a, const auto& b) {
      return metric.direction == Direction::minimize ? a[k] < b[k] : a[k] > b[k];
    };
    const auto best = std::min_element(front.values.begin(), front.values.end(), better);
    add(front.objectives.size() == 1 ? "best" : "best " + metric.metric.name,
        static_cast<std::size_t>(best - front.values.begin()));
  }
  // The balanced one last: it is the compromise between the others.
  std::rotate(members.begin(), members.begin() + (front.objectives.size() > 1 ? 1 : 0), members.end());
  out += "\n";
  for (const auto& [title, index] : members) {
    const auto trial = store.trial(record, front.numbers[index]);
    std::vector<std::string> scores;
    for (std::size_t k = 0; k < front.objectives.size(); ++k) {
      scores.push_back(metric_text(record.metrics[front.objectives[k]].metric, front.values[index][k]));
    }
    out += fmt::format("  Trial {} ({}): {}\n{}\n", front.numbers[index], title, fmt::join(scores, ", "),
                       design_in_words(record, trial->candidate));
  }
  return out;
}

}  // namespace duet::cli
