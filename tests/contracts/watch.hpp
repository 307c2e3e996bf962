#pragma once
/// What the checks do about plug-ins that concern more than themselves: calls that never return, and changes of what
/// belongs to the whole process.

#include <algorithm>
#include <cfenv>
#include <chrono>
#include <clocale>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <locale>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace duet::contracts {

/// Ends the process with a sentence if a call takes too long: nothing else stops a loop without an end.
class Watchdog {
 public:
  explicit Watchdog(double longest_call_s)
      : longest_(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(longest_call_s))),
        thread_([this] { watch(); }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// From now on `what` is under way: "strategy x, problem 'flat': ask() for trial 3".
  void begins(std::string what) {
    const std::lock_guard lock(mutex_);
    what_ = std::move(what);
    until_ = Clock::now() + longest_;
  }
  void ends() {
    const std::lock_guard lock(mutex_);
    what_.clear();
  }

 private:
  using Clock = std::chrono::steady_clock;

  void watch() {
    std::unique_lock lock(mutex_);
    while (!over_) {
      if (!what_.empty() && Clock::now() >= until_) {
        std::fprintf(stderr, "%s has not returned for %.3g s\n", what_.c_str(),
                     std::chrono::duration<double>(longest_).count());
        std::abort();
      }
      changed_.wait_for(lock, std::min<Clock::duration>(longest_, std::chrono::seconds(1)));
    }
  }

  Clock::duration longest_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string what_;  ///< empty: nothing is under way
  Clock::time_point until_;
  bool over_ = false;
  std::thread thread_;
};

/// What a plug-in shares with everything else in the process, and must leave alone: numbers are printed, parsed and rounded
/// by it, files found.
struct ProcessState {
  std::string c_locale = std::setlocale(LC_ALL, nullptr);
  std::locale locale = std::locale();
  int rounding = std::fegetround();
  std::filesystem::path directory = std::filesystem::current_path();

  /// Sentences about what differs now; puts it back.
  std::vector<std::string> restore() const {
    std::vector<std::string> changes;
    const ProcessState now;
    if (now.c_locale != c_locale || now.locale != locale) {
      std::locale::global(locale);
      std::setlocale(LC_ALL, c_locale.c_str());
      changes.emplace_back("it changes the locale of the process");
    }
    if (now.rounding != rounding) {
      std::fesetround(rounding);
      changes.emplace_back("it changes how the process rounds");
    }
    if (now.directory != directory) {
      std::filesystem::current_path(directory);
      changes.emplace_back("it changes the working folder of the process");
    }
    return changes;
  }
};

}  // namespace duet::contracts
