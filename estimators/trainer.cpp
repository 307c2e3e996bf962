#include "estimators/trainer.hpp"

#include <cstdlib>
#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <string_view>

#include "core/errors.hpp"

namespace duet {
namespace {

constexpr std::string_view module_file = "libduet_torch.so";

std::vector<std::filesystem::path> module_directories() {
  std::vector<std::filesystem::path> directories;
  if (const char* given = std::getenv("DUET_MODULE_PATH")) {
    std::string_view rest = given;
    while (!rest.empty()) {
      const std::string_view directory = rest.substr(0, rest.find(':'));
      if (!directory.empty()) directories.emplace_back(directory);
      rest.remove_prefix(std::min(rest.size(), directory.size() + 1));
    }
  }
  std::error_code ignored;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  if (!ignored) {
    directories.push_back(program.parent_path());
    directories.push_back(program.parent_path().parent_path() / "lib" / "duet");
  }
  directories.emplace_back(DUET_MODULE_BUILD_DIRECTORY);
  directories.emplace_back(DUET_MODULE_INSTALL_DIRECTORY);
  return directories;
}

const Trainer& open_module(const std::filesystem::path& file) {
  // Local: none of libtorch's many symbols may stand in for duet's own. Never closed: libtorch does not
  // unload.
  void* module = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) throw ConfigError(fmt::format("cannot open {}: {}", file.string(), dlerror()));
  void* symbol = dlsym(module, "duet_torch_trainer");
  if (symbol == nullptr)
    throw ConfigError(fmt::format("{} is not a duet module: {}", file.string(), dlerror()));
  const Trainer* trainer = reinterpret_cast<DuetTorchTrainer*>(symbol)(trainer_interface);
  if (trainer == nullptr) {
    throw ConfigError(
        fmt::format("{} belongs to another version of duet; build both together", file.string()));
  }
  return *trainer;
}

}  // namespace

std::filesystem::path find_trainer_module() {
  std::vector<std::string> searched;
  for (const std::filesystem::path& directory : module_directories()) {
    std::error_code ignored;
    if (std::filesystem::exists(directory / module_file, ignored)) return directory / module_file;
    searched.push_back(directory.string());
  }
  throw ConfigError(fmt::format(
      "this duet was built without libtorch, so it cannot train networks: there is no {} in {}; install "
      "libtorch-dev (apt-get install libtorch-dev), configure with -DDUET_TORCH=ON and build again",
      module_file, fmt::join(searched, ", ")));
}

const Trainer& load_trainer() {
  static const Trainer& trainer = open_module(find_trainer_module());
  return trainer;
}

}  // namespace duet
