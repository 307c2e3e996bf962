#include "tests/cli/duet_process.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdexcept>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace duet::testing {
namespace {

constexpr auto poll_interval = std::chrono::milliseconds(5);

/// In the child: becomes duet. Async-signal-safe calls only.
[[noreturn]] void become(const char* directory, char* const* arguments) {
  if (chdir(directory) == 0) execv(arguments[0], arguments);
  _exit(127);
}

int open_for_writing(const std::filesystem::path& path) {
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) throw std::runtime_error("cannot write " + path.string());
  return descriptor;
}

}  // namespace

Background::Background(const std::filesystem::path& directory, const std::vector<std::string>& arguments,
                       Streams streams) {
  std::vector<std::string> words{DUET_BINARY};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string folder = directory.string();

  if (streams == Streams::terminal) {
    winsize size{};
    size.ws_row = 24;
    size.ws_col = 100;
    process_ = forkpty(&terminal_, nullptr, nullptr, &size);
    if (process_ == 0) become(folder.c_str(), argv.data());
  } else {
    const int out = open_for_writing(streams_ / "out");
    const int err = open_for_writing(streams_ / "err");
    const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    process_ = fork();
    if (process_ == 0) {
      dup2(in, STDIN_FILENO);
      dup2(out, STDOUT_FILENO);
      dup2(err, STDERR_FILENO);
      become(folder.c_str(), argv.data());
    }
    for (const int descriptor : {in, out, err}) close(descriptor);
  }
  if (process_ < 0) throw std::runtime_error("cannot start a process");
}

Background::~Background() {
  if (!reaped_) {
    kill(process_, SIGKILL);
    waitpid(process_, &status_, 0);
  }
  if (terminal_ >= 0) close(terminal_);
}

void Background::send(int signal) const {
  kill(process_, signal);
}

void Background::read_terminal() {
  pollfd ready{terminal_, POLLIN, 0};
  char buffer[4096];
  while (terminal_ >= 0 && poll(&ready, 1, 0) > 0) {
    const ssize_t count = read(terminal_, buffer, sizeof buffer);
    if (count <= 0) return;  // EIO: the other end is closed
    shown_.append(buffer, static_cast<std::size_t>(count));
  }
}

bool Background::ended_within(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!reaped_) {
    if (terminal_ >= 0) read_terminal();
    if (waitpid(process_, &status_, WNOHANG) == process_) {
      reaped_ = true;
      break;
    }
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(poll_interval);
  }
  return true;
}

Finished Background::wait(std::chrono::seconds limit) {
  Finished result;
  if (!ended_within(limit)) {
    result.timed_out = true;
    kill(process_, SIGKILL);
    waitpid(process_, &status_, 0);
    reaped_ = true;
  }
  if (terminal_ >= 0) {
    read_terminal();
    result.out = shown_;
  } else {
    result.out = read_file(streams_ / "out");
    result.err = read_file(streams_ / "err");
  }
  if (WIFEXITED(status_)) result.exit_code = WEXITSTATUS(status_);
  if (WIFSIGNALED(status_)) result.signal = WTERMSIG(status_);
  return result;
}

Finished duet(const std::filesystem::path& directory, const std::vector<std::string>& arguments,
              std::chrono::seconds limit) {
  return Background(directory, arguments).wait(limit);
}

const std::string tiny = R"(name: tiny
seed: 1
space:
  design:
    type: parameters
    parameters:
      size: {ordinal: [1KiB, 2KiB, 4KiB], unit: B}
      ways: {integer: [1, 8]}
      policy: {choice: [lru, fifo]}
estimators:
  - type: command
    command: [./simulate.sh]
    timeout: 60s
    metrics:
      latency_s: {unit: ms, direction: minimize}
      energy_j: {unit: nJ, direction: minimize}
objectives: [latency_s, energy_j]
constraints: [latency_s <= 50ms]
search: {type: nsga2, population: 4}
budget: {trials: 12}
window: 4
)";

void write_script(const std::filesystem::path& path, const std::string& body) {
  write_file(path, "#!/bin/sh\n" + body);
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
}

void make_tiny(const std::filesystem::path& directory) {
  write_file(directory / "tiny.yaml", tiny);
  write_script(directory / "simulate.sh", R"(read -r request
value() { rest=${request#*\"design.$1\":}; echo "${rest%%[,\}]*}"; }
size=$(value size); ways=$(value ways)
echo "{\"metrics\": {\"latency_s\": $((96 / ways)), \"energy_j\": $((${size%.0} * ways))}}"
)");
}

std::string reproducible_csv(const std::filesystem::path& directory, const std::string& file) {
  const Finished done = duet(directory, {"export", file, "--csv", "--reproducible"});
  if (done.exit_code != 0) throw std::runtime_error("duet export: " + done.err);
  return done.out;
}

}  // namespace duet::testing
