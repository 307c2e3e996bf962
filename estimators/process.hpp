#pragma once
/// Other programs: run to their end, whatever they do, or beside us; and never left behind.

#include <chrono>
#include <filesystem>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace duet {

struct Process {
  std::filesystem::path program;         ///< with a '/' in it: PATH is not searched
  std::vector<std::string> arguments;    ///< the first is the program's own name
  std::vector<std::string> environment;  ///< "NAME=value"
  std::filesystem::path directory;       ///< to run in; empty: the present one
};

/// Owns an open file.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int value) : value_(value) {}
  ~FileDescriptor() { close(); }
  FileDescriptor(FileDescriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }

  int value() const { return value_; }
  bool open() const { return value_ >= 0; }
  void close();

 private:
  int value_ = -1;
};

/// Two ends that are closed in whatever program any thread starts.
struct Pipe {
  FileDescriptor read, write;
};

/// \returns false with errno set.
bool open_pipe(Pipe& pipe);
/// Both ends read and write. \returns false with errno set.
bool open_socket_pair(Pipe& pipe);
void make_non_blocking(const FileDescriptor& file);
/// Reads what is there from a non-blocking file, but at most a full pipe (1 MiB is the largest that a program may ask
/// for), so that one who never stops writing does not keep us here. \returns false at the end of the stream, on an
/// error, and once `take` wants no more.
bool read_available(const FileDescriptor& file, const std::function<bool(std::string_view)>& take);

/// A program that runs beside us, in a process group of its own. It does not outlive us: when it is destroyed, and when
/// this process ends, however it ends, SIGKILL included, whatever is left of the group is killed. (Processes that leave
/// the group are out of reach.)
class ChildProcess {
 public:
  ChildProcess() = default;
  ~ChildProcess() { end(); }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Once only. `files`, at most ten, become the program's 0, 1, …; it starts with no signal blocked and none of those
  /// ignored that a terminal or a pipe sends. \returns 0 or the system's error.
  int start(const Process& process, std::span<const int> files);
  /// Whether the program has ended (or never was). It stays a zombie until end(), so that its number, which is the
  /// group's too, is not given away.
  bool has_ended() const;
  /// Becomes readable when the program ends; below 0 where the system has no such thing.
  int end_event() const { return end_event_.value(); }
  /// Kills what is left of the group; no zombie remains. \returns what waitpid says of the program.
  int end();

 private:
  pid_t process_ = 0;
  int status_ = 0;
  FileDescriptor end_event_;
  FileDescriptor leash_;
};

struct ProcessResult {
  enum class End {
    exited,       ///< `code` is the exit code
    killed,       ///< by signal `code`, sent by somebody else
    timed_out,    ///< did not end in time
    overflowed,   ///< wrote more than allowed to standard output
    stopped,      ///< the stop request came first
    not_started,  ///< `code` is the system's error
  };
  End end = End::exited;
  int code = 0;
  std::string output;      ///< standard output
  std::string error_tail;  ///< the last bytes of standard error
};

/// Starts the program as a ChildProcess, feeds `input` to its standard input and collects what it writes. A program that
/// does not read its input is no error. It has ended when its first process has; whatever is left of the group is killed
/// then, as it is on a time-out, a stop request or too much output. Never throws but for want of memory. Thread-safe.
ProcessResult run_process(const Process& process, std::string_view input,
                          std::chrono::duration<double> timeout, std::size_t output_limit,
                          std::size_t error_tail_limit, std::stop_token stop);

/// Where the shell would find the program: `name` itself, relative to `directory`, if it has a '/' in it,
/// else the first executable file of that name in the folders of `search_path` ("/bin:/usr/bin"); empty if
/// there is none.
std::filesystem::path find_program(std::string_view name, const std::filesystem::path& directory,
                                   std::string_view search_path);

/// The present environment with these variables ("NAME=value") added or replaced.
std::vector<std::string> environment_with(std::span<const std::string> variables);

}  // namespace duet
