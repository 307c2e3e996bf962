#pragma once
/// The lock that makes one process the writer of a database. Internal to the store.

#include <filesystem>
#include <optional>
#include <sys/types.h>
#include <utility>

namespace duet::database {

/// This process's use of one database file, and the writer's lock on it.
///
/// SQLite's own locks are POSIX record locks, which the system drops for the whole process as soon as the
/// process closes *any* descriptor of the file. So the descriptor that carries the writer's lock is opened
/// before SQLite opens the file and closed only when no Store of this process uses the file any more: hence
/// one table per process. The lock is flock(2), which does not interfere with record locks (on local file
/// systems) and which the system releases when the process ends, however it ends.
class FileUse {
 public:
  /// `write`: takes the lock, and creates the file if need be. \throws StoreError
  FileUse(const std::filesystem::path& path, bool write);
  ~FileUse();
  /// Whether the path still leads to the file that was opened.
  bool leads_to_it(const std::filesystem::path& path) const;
  FileUse(const FileUse&) = delete;
  FileUse& operator=(const FileUse&) = delete;

 private:
  using Key = std::pair<dev_t, ino_t>;
  struct Entry;
  struct Files;

  void lock(Entry& entry, const std::filesystem::path& path) const;
  std::optional<long> owner() const;
  void forget_if_unused(Entry& entry) const;

  Key key_{};
  bool write_;
};

}  // namespace duet::database
