#pragma once
/// The duet program under test, as a process.

#include <chrono>
#include <filesystem>
#include <string>
#include <sys/types.h>
#include <vector>

#include "tests/testing.hpp"

namespace duet::testing {

/// How a process ended and what it wrote.
struct Finished {
  int exit_code = -1;  ///< -1: it did not exit by itself
  int signal = 0;      ///< that killed it; 0: none
  bool timed_out = false;
  std::string out;
  std::string err;  ///< empty on a terminal, where both streams are one
};

/// What `duet` says to `arguments`, run in `directory`. Killed after `limit`, which is for hangs only: tests
/// share their machine.
Finished duet(const std::filesystem::path& directory, const std::vector<std::string>& arguments,
              std::chrono::seconds limit = std::chrono::seconds(240));

/// A duet that runs beside the test. Killed on destruction.
class Background {
 public:
  enum class Streams { files, terminal };

  Background(const std::filesystem::path& directory, const std::vector<std::string>& arguments,
             Streams streams = Streams::files);
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  pid_t id() const { return process_; }
  void send(int signal) const;
  /// Waits for the end; kills it after `limit`.
  Finished wait(std::chrono::seconds limit = std::chrono::seconds(240));
  /// Waits at most `limit` for the end. \returns whether it has ended; wait() then returns at once.
  bool ended_within(std::chrono::milliseconds limit);

 private:
  void read_terminal();

  TemporaryDirectory streams_;
  pid_t process_ = -1;
  int terminal_ = -1;  ///< our end
  bool reaped_ = false;
  int status_ = 0;
  std::string shown_;
};

/// Makes a folder with the experiment file `tiny.yaml`, its simulator `simulate.sh`, and nothing else: 48
/// designs of three parameters, two metrics, 12 trials by nsga2; a trial takes milliseconds.
void make_tiny(const std::filesystem::path& directory);
/// The text of tiny.yaml.
extern const std::string tiny;
/// Writes an executable shell script.
void write_script(const std::filesystem::path& path, const std::string& body);

/// Reproducible export of the experiment behind `file`, an experiment file or a database.
std::string reproducible_csv(const std::filesystem::path& directory, const std::string& file);

}  // namespace duet::testing
