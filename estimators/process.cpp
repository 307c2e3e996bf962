#include "estimators/process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

extern char** environ;

namespace duet {
namespace {

using Clock = std::chrono::steady_clock;

/// How soon a stop request is noticed.
constexpr std::chrono::milliseconds tick{20};

/// Above the numbers that a child's files get, so that they can be copied onto those in any order.
constexpr int lowest_number = 10;

/// The same file under a higher number. \returns false with errno set.
bool move_up(FileDescriptor& file) {
  if (file.value() >= lowest_number) return true;
  FileDescriptor moved(fcntl(file.value(), F_DUPFD_CLOEXEC, lowest_number));
  if (!moved.open()) return false;
  file = std::move(moved);
  return true;
}

/// Keeps this thread from being ended by a program that closes its standard input.
class BrokenPipeIgnored {
 public:
  BrokenPipeIgnored() {
    sigemptyset(&broken_pipe_);
    sigaddset(&broken_pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &broken_pipe_, &before_);
  }
  ~BrokenPipeIgnored() {
    if (!was_pending_) {
      // The signal of a failed write is directed at the thread: ours to take back.
      const timespec at_once{};
      while (sigtimedwait(&broken_pipe_, nullptr, &at_once) == -1 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  BrokenPipeIgnored(const BrokenPipeIgnored&) = delete;
  BrokenPipeIgnored& operator=(const BrokenPipeIgnored&) = delete;

 private:
  sigset_t broken_pipe_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

std::vector<char*> pointers(std::span<const std::string> texts) {
  std::vector<char*> result;
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

}  // namespace

void FileDescriptor::close() {
  if (value_ >= 0) ::close(std::exchange(value_, -1));
}

bool open_pipe(Pipe& pipe) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return false;
  pipe = {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
  return move_up(pipe.read) && move_up(pipe.write);
}

bool open_socket_pair(Pipe& pipe) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return false;
  pipe = {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
  return move_up(pipe.read) && move_up(pipe.write);
}

void make_non_blocking(const FileDescriptor& file) {
  fcntl(file.value(), F_SETFL, fcntl(file.value(), F_GETFL) | O_NONBLOCK);
}

bool read_available(const FileDescriptor& file, const std::function<bool(std::string_view)>& take) {
  std::array<char, 65536> buffer;
  for (int reads = 0; reads < 16; ++reads) {
    const ssize_t count = ::read(file.value(), buffer.data(), buffer.size());
    if (count > 0) {
      if (!take(std::string_view(buffer.data(), static_cast<std::size_t>(count)))) return false;
    } else if (count == 0) {
      return false;
    } else if (errno != EINTR) {
      return errno == EAGAIN;
    }
  }
  return true;
}

int ChildProcess::start(const Process& process, std::span<const int> files) {
  Pipe leash;
  if (!open_pipe(leash)) return errno;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (const int code = posix_spawn_file_actions_init(&actions); code != 0) return code;
  if (const int code = posix_spawnattr_init(&attributes); code != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return code;
  }
  const std::string directory = process.directory.string();
  int code = 0;
  const auto attempt = [&](int result) { code = code != 0 ? code : result; };
  for (std::size_t i = 0; i < files.size(); ++i) {
    attempt(posix_spawn_file_actions_adddup2(&actions, files[i], static_cast<int>(i)));
  }
  // Copied onto itself: stays open in this program, and in no other.
  attempt(posix_spawn_file_actions_adddup2(&actions, leash.read.value(), leash.read.value()));
  if (!directory.empty()) attempt(posix_spawn_file_actions_addchdir_np(&actions, directory.c_str()));

  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGCHLD}) sigaddset(&defaults, signal);
  attempt(posix_spawnattr_setsigmask(&attributes, &none));
  attempt(posix_spawnattr_setsigdefault(&attributes, &defaults));
  attempt(posix_spawnattr_setpgroup(&attributes, 0));
  attempt(posix_spawnattr_setflags(&attributes,
                                   POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
  pid_t pid = 0;
  if (code == 0) {
    code = posix_spawn(&pid, process.program.c_str(), &actions, &attributes,
                       pointers(process.arguments).data(), pointers(process.environment).data());
  }
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (code != 0) return code;

  process_ = pid;
#ifdef SYS_pidfd_open
  end_event_ = FileDescriptor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
#endif
  // The leash: the program holds one end of a pipe that nobody uses and we the other. Once ours is closed, and the
  // kernel closes it when we end, the kernel sends the signal of "something has happened to this pipe" to its owner,
  // the group; we make that signal SIGKILL. (A parent-death signal would reach the first process only, and at the end
  // of this thread.)
  fcntl(leash.read.value(), F_SETOWN, -pid);
  fcntl(leash.read.value(), F_SETSIG, SIGKILL);
  fcntl(leash.read.value(), F_SETFL, fcntl(leash.read.value(), F_GETFL) | O_ASYNC);
  leash_ = std::move(leash.write);
  return 0;
}

bool ChildProcess::has_ended() const {
  if (process_ == 0) return true;
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(process_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         info.si_pid == process_;
}

int ChildProcess::end() {
  if (process_ == 0) return status_;
  kill(-process_, SIGKILL);
  while (waitpid(process_, &status_, 0) < 0 && errno == EINTR) {
  }
  process_ = 0;
  leash_.close();
  end_event_.close();
  return status_;
}

ProcessResult run_process(const Process& process, std::string_view input,
                          std::chrono::duration<double> timeout, std::size_t output_limit,
                          std::size_t error_tail_limit, std::stop_token stop) {
  using End = ProcessResult::End;
  ProcessResult result;
  const Clock::time_point start = Clock::now();
  const BrokenPipeIgnored guard;

  Pipe in, out, err;
  if (!open_pipe(in) || !open_pipe(out) || !open_pipe(err)) return {End::not_started, errno, "", ""};
  ChildProcess child;
  const std::array files{in.read.value(), out.write.value(), err.write.value()};
  if (const int code = child.start(process, files); code != 0) return {End::not_started, code, "", ""};
  in.read.close();
  out.write.close();
  err.write.close();
  make_non_blocking(in.write);
  make_non_blocking(out.read);
  make_non_blocking(err.read);

  bool overflowed = false;
  const auto take_output = [&](std::string_view text) {
    overflowed = result.output.size() + text.size() > output_limit;
    if (!overflowed) result.output += text;
    return !overflowed;
  };
  const auto take_error = [&](std::string_view text) {
    result.error_tail += text;
    if (result.error_tail.size() > error_tail_limit) {
      result.error_tail.erase(0, result.error_tail.size() - error_tail_limit);
    }
    return true;
  };
  const auto read_both = [&] {
    if (out.read.open() && !read_available(out.read, take_output)) out.read.close();
    if (err.read.open() && !read_available(err.read, take_error)) err.read.close();
  };

  while (true) {
    if (child.has_ended()) {
      read_both();  // what it left in the pipes; a survivor of its group may hold them open
      result.end = overflowed ? End::overflowed : End::exited;
      break;
    }
    if (overflowed) {
      result.end = End::overflowed;
      break;
    }
    if (stop.stop_requested()) {
      result.end = End::stopped;
      break;
    }
    const std::chrono::duration<double> left = timeout - (Clock::now() - start);
    if (left.count() <= 0) {
      result.end = End::timed_out;
      break;
    }
    std::array<pollfd, 4> events{pollfd{in.write.value(), POLLOUT, 0}, pollfd{out.read.value(), POLLIN, 0},
                                 pollfd{err.read.value(), POLLIN, 0}, pollfd{child.end_event(), POLLIN, 0}};
    const double wait_ms = std::min(std::chrono::duration<double, std::milli>(left).count() + 1,
                                    static_cast<double>(tick.count()));
    if (poll(events.data(), events.size(), static_cast<int>(wait_ms)) <= 0) continue;

    if (events[0].revents != 0) {
      const ssize_t count = input.empty() ? 0 : ::write(in.write.value(), input.data(), input.size());
      if (count > 0) input.remove_prefix(static_cast<std::size_t>(count));
      const bool refused = count < 0 && errno != EAGAIN && errno != EINTR;
      if (input.empty() || refused) in.write.close();
    }
    read_both();
  }

  const int status = child.end();
  if (result.end == End::exited) {
    if (WIFSIGNALED(status)) result.end = End::killed;
    result.code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  }
  return result;
}

std::filesystem::path find_program(std::string_view name, const std::filesystem::path& directory,
                                   std::string_view search_path) {
  if (name.find('/') != std::string_view::npos) return directory / name;
  while (!search_path.empty()) {
    const std::string_view folder = search_path.substr(0, search_path.find(':'));
    search_path.remove_prefix(std::min(search_path.size(), folder.size() + 1));
    std::filesystem::path file = directory / (folder.empty() ? "." : folder) / name;
    std::error_code ignored;
    if (std::filesystem::is_regular_file(file, ignored) && access(file.c_str(), X_OK) == 0) return file;
  }
  return {};
}

std::vector<std::string> environment_with(std::span<const std::string> variables) {
  std::vector<std::string> result;
  const auto name_of = [](std::string_view variable) { return variable.substr(0, variable.find('=')); };
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const bool replaced = std::any_of(variables.begin(), variables.end(), [&](const std::string& other) {
      return name_of(other) == name_of(*variable);
    });
    if (!replaced) result.emplace_back(*variable);
  }
  result.insert(result.end(), variables.begin(), variables.end());
  return result;
}

}  // namespace duet
