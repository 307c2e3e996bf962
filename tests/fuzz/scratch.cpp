#include <fstream>
#include <unistd.h>

#include "tests/fuzz/targets.hpp"

namespace duet::fuzz {
namespace {

class Folder {
 public:
  Folder() {
    const std::filesystem::path memory = "/dev/shm";
    std::error_code ignored;
    const std::filesystem::path parent = std::filesystem::is_directory(memory, ignored) && access(memory.c_str(), W_OK) == 0
                                             ? memory
                                             : std::filesystem::temp_directory_path();
    std::string name = parent / "duet_fuzz_XXXXXX";
    require(mkdtemp(name.data()) != nullptr, "a folder can be made", name);
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::filesystem::path path;
};

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (std::size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

}  // namespace

void require_sentence(std::string_view message) {
  require(!message.empty(), "a message says something");
  require(is_utf8(message), "messages are UTF-8", std::string(message));
  for (const char c : message) {
    require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F, "messages are one line", std::string(message));
  }
}

const std::filesystem::path& scratch_folder() {
  static const Folder folder;
  return folder.path;
}

std::filesystem::path scratch_file(const std::string& name, std::string_view contents) {
  std::filesystem::path path = scratch_folder() / name;
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(contents.data(), static_cast<std::streamsize>(contents.size()));
  stream.close();
  require(!stream.fail(), "a file can be written", path.string());
  return path;
}

}  // namespace duet::fuzz
