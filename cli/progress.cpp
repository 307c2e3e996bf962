#include "cli/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/units.hpp"

namespace duet::cli {
namespace {

constexpr auto live_interval = std::chrono::milliseconds(200);
constexpr auto log_interval = std::chrono::seconds(5);

}  // namespace

Progress::Progress(const Specification& specification, std::FILE* stream)
    : specification_(specification),
      stream_(stream),
      terminal_(isatty(fileno(stream)) == 1),
      simulated_(specification.metrics),
      front_(specification.objectives.size()) {
  shown_ = terminal_ ? Clock::time_point{} : start_;
}

void Progress::on_trial(const TrialRecord& trial, bool replayed) {
  ++told_;
  simulated_.tell(trial);
  if (replayed) {
    ++replayed_;
    replayed_simulated_s_ = simulated_.now_s();
  }
  if (!trial.duplicate_of) {
    ++originals_;
    if (replayed) ++replayed_originals_;
    if (trial.status != Status::ok) {
      ++failed_;
      last_reason_ = trial.reason;
    } else if (trial.violation > 0) {
      ++infeasible_;
    } else {
      const Point point = specification_.objective_values(trial.values);
      if (ideal_.empty()) ideal_ = nadir_ = point;
      for (std::size_t k = 0; k < point.size(); ++k) {
        ideal_[k] = std::min(ideal_[k], point[k]);
        nadir_[k] = std::max(nadir_[k], point[k]);
      }
      front_.insert(trial.number, point);
    }
  }
  if (!warned_of_failures_ && failed_ == 10 && failed_ == originals_) {
    warned_of_failures_ = true;
    warn("the first 10 trials all failed; the last one: " + last_reason_);
  }
  const auto now = Clock::now();
  if (now - shown_ >= (terminal_ ? Clock::duration(live_interval) : Clock::duration(log_interval))) {
    shown_ = now;
    show(false);
  }
}

std::string Progress::line() const {
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  const double fresh = static_cast<double>(originals_ - replayed_originals_);
  const double rate = elapsed > 0 ? fresh / elapsed : 0;
  const std::optional<double>& simulated_budget = specification_.budget.simulated_s;
  std::string text = simulated_budget ? fmt::format("{} trials", originals_)
                                      : fmt::format("{}/{} trials", originals_, specification_.budget.trials);
  if (rate > 0) text += fmt::format("  {:.{}f}/s", rate, rate < 10 ? 1 : 0);
  if (simulated_.exists()) {
    text += "  simulated " + human(simulated_.now_s(), "s");
    if (simulated_budget) text += " of " + human(*simulated_budget, "s");
  }
  for (std::size_t k = 0; k < specification_.objectives.size() && !ideal_.empty(); ++k) {
    const SearchObjective& objective = specification_.objectives[k];
    const Metric& metric = specification_.metrics[objective.metric].metric;
    const double best = objective.direction == Direction::minimize ? ideal_[k] : -ideal_[k];
    text += fmt::format("  {} {}", metric.name, human(best, metric.unit));
  }
  if (specification_.objectives.size() > 1 && !front_.empty()) {
    text += fmt::format("  front {}", front_.size());
    // Exact hypervolume is quick for three objectives and grows steeply beyond: milliseconds up to here.
    constexpr std::size_t quick[] = {0, 100'000, 100'000, 10'000, 1000, 200, 100};
    if (specification_.objectives.size() < std::size(quick) && front_.size() <= quick[specification_.objectives.size()]) {
      // Share of the box between the best and the worst value seen of each objective.
      std::vector<Point> scaled = front_.points();
      bool flat = false;
      for (std::size_t k = 0; k < ideal_.size(); ++k) {
        const double range = nadir_[k] - ideal_[k];
        flat = flat || range <= 0;
        for (Point& point : scaled) point[k] = range > 0 ? (point[k] - ideal_[k]) / range : 0;
      }
      if (!flat) text += fmt::format("  hypervolume {:.3f}", hypervolume(scaled, Point(ideal_.size(), 1.0)));
    }
  }
  if (failed_ > 0) text += fmt::format("  failed {}", failed_);
  if (infeasible_ > 0) text += fmt::format("  infeasible {}", infeasible_);
  if (rate > 0 && originals_ < specification_.budget.trials) {
    double left = static_cast<double>(specification_.budget.trials - originals_) / rate;
    if (const double fresh_s = simulated_.now_s() - replayed_simulated_s_; simulated_budget && fresh_s > 0) {
      left = std::min(left, std::max(0.0, *simulated_budget - simulated_.now_s()) * elapsed / fresh_s);
    }
    if (specification_.budget.time_s) left = std::min(left, std::max(0.0, *specification_.budget.time_s - elapsed));
    const std::int64_t seconds = std::llround(left);
    text += seconds >= 60 ? fmt::format("  {} min {} s left", seconds / 60, seconds % 60)
                          : fmt::format("  {} s left", seconds);
  }
  return text;
}

void Progress::show(bool last) {
  shown_told_ = told_;
  std::string text = line();
  if (!terminal_) {
    fmt::print(stream_, "{}\n", text);
  } else {
    winsize size{};
    const std::size_t width = ioctl(fileno(stream_), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    if (text.size() >= width) text.resize(width - 1);
    fmt::print(stream_, "\r\033[K{}{}", text, last ? "\n" : "");
  }
  std::fflush(stream_);
}

void Progress::warn(const std::string& sentence) {
  fmt::print(stream_, "{}warning: {}\n", terminal_ ? "\r\033[K" : "", sentence);
}

void Progress::finish() {
  if (terminal_ || told_ != shown_told_ || told_ == 0) show(true);  // no line twice in a log
}

}  // namespace duet::cli
