#pragma once
/// Ctrl-C.

#include <stop_token>
#include <thread>

#include <csignal>

namespace duet::cli {

/// Turns the first SIGINT, SIGTERM or SIGHUP (the terminal is closed) into a stop request; the second kills as usual. Blocks the signals in this thread
/// and in those it starts.
class SignalWatcher {
 public:
  SignalWatcher();
  std::stop_token token() const { return source_.get_token(); }

 private:
  sigset_t signals_{};
  std::stop_source source_;
  std::jthread watcher_;
};

}  // namespace duet::cli
