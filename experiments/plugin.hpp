#pragma once
/// Plug-ins from outside: a shared object that exports one C function adds strategies, estimators and spaces.
///
///   // my_strategy.cpp
///   static void add(duet::Registry& registry) { registry.strategies.add({…}); }
///   DUET_PLUGIN(add)
///
///   duet run experiment.yaml --plugin ./libmy_strategy.so

#include <cstdint>
#include <filesystem>

#include "experiments/specification.hpp"

namespace duet {

/// Raised whenever a header that plug-ins include changes in a way that needs a new build of them.
inline constexpr std::uint32_t plugin_interface_version = 2;

/// What the exported function returns: plain C, so that it can be read before anything is known to fit.
struct PluginEntry {
  std::uint32_t magic;              ///< plugin_magic
  std::uint32_t interface_version;  ///< plugin_interface_version of the headers it was built with
  const char* compiler;             ///< what decides the C++ ABI: see DUET_PLUGIN_COMPILER
  void (*add)(Registry& registry);  ///< \throws ConfigError for a name that is taken
};

inline constexpr std::uint32_t plugin_magic = 0x74657564;  // "duet"

#define DUET_PLUGIN_STRINGIZE_(x) #x
#define DUET_PLUGIN_STRINGIZE(x) DUET_PLUGIN_STRINGIZE_(x)
/// The C++ library's ABI: objects of std:: cross the boundary.
#define DUET_PLUGIN_COMPILER "libstdc++ abi " DUET_PLUGIN_STRINGIZE(_GLIBCXX_USE_CXX11_ABI)

/// Defines the exported function. `add_function`: void (duet::Registry&).
#define DUET_PLUGIN(add_function)                                                                     \
  extern "C" __attribute__((visibility("default"))) const duet::PluginEntry* duet_plugin() {          \
    static const duet::PluginEntry entry{duet::plugin_magic, duet::plugin_interface_version,          \
                                         DUET_PLUGIN_COMPILER, &(add_function)};                      \
    return &entry;                                                                                    \
  }

/// Loads a plug-in and adds what it has to the registry; it stays loaded until the process ends. What its `create` or its
/// strategies throw from then on is a ConfigError that names the file.
/// \throws ConfigError if the file cannot be loaded, is no duet plug-in, was built against another interface version or
/// C++ library, brings a name that is taken, or something that cannot be used: without `create`, with an option table
/// that contradicts itself.
void load_plugin(const std::filesystem::path& file, Registry& registry);

}  // namespace duet
