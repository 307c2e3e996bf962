#pragma once
/// Runs a program to its end, whatever it does.

#include <chrono>
#include <filesystem>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace duet {

struct Process {
  std::filesystem::path program;         ///< with a '/' in it: PATH is not searched
  std::vector<std::string> arguments;    ///< the first is the program's own name
  std::vector<std::string> environment;  ///< "NAME=value"
  std::filesystem::path directory;       ///< to run in; empty: the present one
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

/// Starts the program in a process group of its own, feeds `input` to its standard input and collects what it
/// writes. A program that does not read its input is no error. It has ended when its first process has;
/// whatever is left of the group is killed then, as it is on a time-out, a stop request or too much output.
/// (Processes that leave the group are out of reach.) No zombie remains. Never throws but for want of memory.
/// Thread-safe.
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
