#pragma once
/// What tests of every folder share.

#include <filesystem>
#include <optional>
#include <string>

namespace duet::testing {

/// Path of a reference table or file that is not part of the project, or nothing where it is absent. The folder is
/// taken from the environment variable DUET_TEST_DATA; its default stands beside the source tree.
std::optional<std::filesystem::path> reference_data(const std::string& relative_path);

/// Root of the source tree.
std::filesystem::path source_root();

/// A fresh empty directory, removed with everything in it on destruction.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, const std::string& text);

/// `text` with `from` replaced by `to`. Throws if it does not hold `from`, so that no test goes on with what
/// it did not mean.
std::string replaced(std::string text, const std::string& from, const std::string& to);

}  // namespace duet::testing
