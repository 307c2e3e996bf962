#include "estimators/process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
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

/// What a child needs to become its program.
struct Beginning {
  const char* program;
  char* const* arguments;
  char* const* environment;
  const char* directory;  ///< null: stay
  std::span<const int> files;
  int leash;
  int failure;  ///< where it says why it did not
};

#if defined(__SANITIZE_THREAD__)
constexpr int borrow_memory = 0;  // the sanitizer takes the child for a thread that forks
#else
constexpr int borrow_memory = CLONE_VM;  // or the system would have to copy the tables of all our pages
#endif

/// The child's life until it is the program. It borrows our memory while the thread that started it waits: system calls
/// only.
int become(void* data) {
  const Beginning& beginning = *static_cast<const Beginning*>(data);
  const auto prepare = [&] {
    if (setpgid(0, 0) != 0) return false;
    // The leash: the program holds one end of a pipe that nobody uses and duet the other. Once that is closed, and the
    // kernel closes it when duet ends, the kernel sends the signal of "something has happened to this pipe" to the
    // pipe's owner, the group; and we make that signal SIGKILL. If duet has just ended, the last copy of its end is
    // ours, which execve closes. (A parent-death signal would reach the first process only, and at the end of the
    // thread that started it.)
    if (fcntl(beginning.leash, F_SETFD, 0) != 0 || fcntl(beginning.leash, F_SETOWN, -getpid()) != 0 ||
        fcntl(beginning.leash, F_SETSIG, SIGKILL) != 0 || fcntl(beginning.leash, F_SETFL, O_ASYNC) != 0) {
      return false;
    }
    for (std::size_t i = 0; i < beginning.files.size(); ++i) {
      if (dup2(beginning.files[i], static_cast<int>(i)) < 0) return false;
    }
    if (beginning.directory != nullptr && chdir(beginning.directory) != 0) return false;
    for (int signal = 1; signal < NSIG; ++signal) {
      struct sigaction action {};
      if (sigaction(signal, nullptr, &action) != 0) continue;  // not for us
      const bool reset = signal == SIGHUP || signal == SIGINT || signal == SIGQUIT || signal == SIGPIPE ||
                         signal == SIGTERM || signal == SIGCHLD;
      if (action.sa_handler == SIG_DFL || (action.sa_handler == SIG_IGN && !reset)) continue;
      action = {};
      action.sa_handler = SIG_DFL;
      sigaction(signal, &action, nullptr);
    }
    sigset_t none;
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
  };
  if (prepare()) execve(beginning.program, beginning.arguments, beginning.environment);
  const int code = errno;
  static_cast<void>(::write(beginning.failure, &code, sizeof code) == 0);
  _exit(127);
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
  Pipe leash, failure;
  if (!open_pipe(leash) || !open_pipe(failure)) return errno;
  const std::string directory = process.directory.string();
  const std::vector<char*> arguments = pointers(process.arguments);
  const std::vector<char*> environment = pointers(process.environment);
  Beginning beginning{process.program.c_str(), arguments.data(), environment.data(),
                      directory.empty() ? nullptr : directory.c_str(), files, leash.read.value(),
                      failure.write.value()};
  std::vector<char> stack(std::size_t{64} << 10);

  // No signal may find the child with our memory and our handlers.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  const pid_t pid = clone(become, stack.data() + stack.size(), borrow_memory | CLONE_VFORK | SIGCHLD, &beginning);
  int code = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return code;
  process_ = pid;
  failure.write.close();
  if (::read(failure.read.value(), &code, sizeof code) == static_cast<ssize_t>(sizeof code)) {
    end();
    return code;
  }
#ifdef SYS_pidfd_open
  end_event_ = FileDescriptor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
#endif
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
