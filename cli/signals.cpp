#include "cli/signals.hpp"

#include <cstdio>
#include <cstdlib>

#include "cli/commands.hpp"

namespace duet::cli {

SignalWatcher::SignalWatcher() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  // The terminal is gone; under nohup, which ignores it, the run goes on.
  struct sigaction hangup {};
  if (sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN) sigaddset(&signals_, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  watcher_ = std::jthread([this](std::stop_token done) {
    const timespec interval{0, 100'000'000};
    while (!done.stop_requested()) {
      if (sigtimedwait(&signals_, nullptr, &interval) < 0) continue;
      if (source_.stop_requested()) std::_Exit(interrupted);
      std::fputs("\nStopping; once more to kill. The same command resumes.\n", stderr);  // may fail: no terminal
      source_.request_stop();
    }
  });
}

}  // namespace duet::cli
