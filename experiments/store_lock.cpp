#include "experiments/store_lock.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/errors.hpp"

namespace duet::database {

struct FileUse::Entry {
  int descriptor = -1;
  int users = 0;
  bool writing = false;
};

/// The files that this process uses.
struct FileUse::Files {
  static std::mutex& mutex() {
    static std::mutex instance;
    return instance;
  }
  static std::map<Key, Entry>& table() {
    static std::map<Key, Entry> instance;
    return instance;
  }
};

FileUse::FileUse(const std::filesystem::path& path, bool write) : write_(write) {
  const std::lock_guard guard(Files::mutex());
  struct stat status {};
  int created = -1;
  if (::stat(path.c_str(), &status) != 0) {
    if (!write) throw StoreError(fmt::format("{} cannot be opened: {}", path.string(), std::strerror(errno)));
    created = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (created < 0 || ::fstat(created, &status) != 0) {
      throw StoreError(fmt::format("{} cannot be created: {}", path.string(), std::strerror(errno)));
    }
  }
  if (!S_ISREG(status.st_mode)) throw StoreError(path.string() + " is not a regular file");
  key_ = {status.st_dev, status.st_ino};
  Entry& entry = Files::table()[key_];
  if (created >= 0) entry.descriptor = created;
  try {
    if (write) lock(entry, path);
  } catch (...) {
    forget_if_unused(entry);
    throw;
  }
  ++entry.users;
}

FileUse::~FileUse() {
  const std::lock_guard guard(Files::mutex());
  Entry& entry = Files::table()[key_];
  if (write_) {
    ::flock(entry.descriptor, LOCK_UN);
    entry.writing = false;
  }
  --entry.users;
  forget_if_unused(entry);
}

bool FileUse::leads_to_it(const std::filesystem::path& path) const {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && key_ == Key{status.st_dev, status.st_ino};
}

void FileUse::lock(Entry& entry, const std::filesystem::path& path) const {
  if (entry.writing) throw StoreError(path.string() + " is being written by this process already");
  if (entry.descriptor < 0) entry.descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (entry.descriptor < 0) {
    throw StoreError(fmt::format("{} cannot be opened for writing: {}", path.string(), std::strerror(errno)));
  }
  if (::flock(entry.descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      throw StoreError(fmt::format("{} cannot be locked: {}", path.string(), std::strerror(errno)));
    }
    const std::optional<long> pid = owner();
    throw StoreError(
        fmt::format("{} is being written by another duet process{}; wait for it or choose another output",
                    path.string(), pid ? fmt::format(" (pid {})", *pid) : std::string()));
  }
  entry.writing = true;
}

/// The process that holds the lock, where the system tells: a line of /proc/locks reads
/// "7: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF".
std::optional<long> FileUse::owner() const {
  const std::string file = fmt::format("{:02x}:{:02x}:{}", major(key_.first), minor(key_.first), key_.second);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, advisory, mode, where;
    long pid = 0;
    if (words >> number >> kind >> advisory >> mode >> pid >> where && kind == "FLOCK" && where == file &&
        pid > 0) {
      return pid;
    }
  }
  return std::nullopt;
}

void FileUse::forget_if_unused(Entry& entry) const {
  if (entry.users > 0) return;
  if (entry.descriptor >= 0) ::close(entry.descriptor);
  Files::table().erase(key_);
}

}  // namespace duet::database
