#include "experiments/plugin.hpp"

#include <dlfcn.h>

#include <cstring>

#include <fmt/format.h>

#include "core/errors.hpp"

namespace duet {

void load_plugin(const std::filesystem::path& file, Registry& registry) {
  const auto refuse = [&](const std::string& what) {
    throw ConfigError(fmt::format("plug-in {}: {}", file.string(), what));
  };
  if (!std::filesystem::exists(file)) refuse("there is no such file");
  // An absolute path, or dlopen would search the system's folders for a bare name.
  void* handle = dlopen(std::filesystem::absolute(file).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) refuse(fmt::format("cannot be loaded: {}", dlerror()));
  using Function = const PluginEntry* (*)();
  const auto function = reinterpret_cast<Function>(dlsym(handle, "duet_plugin"));
  const PluginEntry* entry = function == nullptr ? nullptr : function();
  if (entry == nullptr || entry->magic != plugin_magic) {
    dlclose(handle);
    refuse("is no duet plug-in: it does not export duet_plugin() as DUET_PLUGIN in experiments/plugin.hpp defines it");
  }
  if (entry->interface_version != plugin_interface_version) {
    const std::uint32_t version = entry->interface_version;
    dlclose(handle);
    refuse(fmt::format("was built against version {} of duet's plug-in interface, this duet has version {}; build it "
                       "again with this duet's headers",
                       version, plugin_interface_version));
  }
  if (std::strcmp(entry->compiler, DUET_PLUGIN_COMPILER) != 0) {
    const std::string compiler = entry->compiler;
    dlclose(handle);
    refuse(fmt::format("was built for '{}', this duet for '{}'", compiler, DUET_PLUGIN_COMPILER));
  }
  try {
    entry->add(registry);
  } catch (const ConfigError& error) {
    refuse(error.what());
  }
}

}  // namespace duet
