#include "cli/signals.hpp"

#include <cstdlib>

#include <fmt/format.h>

#include "cli/commands.hpp"

namespace duet::cli {

SignalWatcher::SignalWatcher() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  watcher_ = std::jthread([this](std::stop_token done) {
    const timespec interval{0, 100'000'000};
    while (!done.stop_requested()) {
      if (sigtimedwait(&signals_, nullptr, &interval) < 0) continue;
      if (source_.stop_requested()) std::_Exit(interrupted);
      fmt::print(stderr, "\nStopping; once more to kill. The same command resumes.\n");
      source_.request_stop();
    }
  });
}

}  // namespace duet::cli
