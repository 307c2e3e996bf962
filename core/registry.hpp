#pragma once
/// Catalogs of plug-ins. A plug-in is a value that describes itself (name, sentence, source, option table) and can
/// create its object; catalogs are filled explicitly, from each folder's builtin.cpp and from shared objects.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.hpp"
#include "core/errors.hpp"

namespace duet {

/// Plug-ins of one kind by name. `Plugin` needs a member `name`.
template <class Plugin>
class Catalog {
 public:
  /// `kind` stands in messages: "strategy".
  explicit Catalog(std::string kind) : kind_(std::move(kind)) {}

  /// \throws ConfigError if the name is taken.
  void add(Plugin plugin) {
    const std::string name = plugin.name;
    if (!plugins_.emplace(name, std::move(plugin)).second) {
      throw ConfigError("two plug-ins of kind '" + kind_ + "' are named '" + name + "'");
    }
  }

  const Plugin* find(std::string_view name) const {
    const auto found = plugins_.find(name);
    return found == plugins_.end() ? nullptr : &found->second;
  }

  /// \throws ConfigError with the nearest match.
  const Plugin& at(std::string_view name) const {
    if (const Plugin* plugin = find(name)) return *plugin;
    throw ConfigError(unknown(name));
  }

  /// The plug-in that a scalar of the configuration names. \throws ConfigError at its position.
  const Plugin& at(const Config& name) const {
    if (const Plugin* plugin = find(name.text())) return *plugin;
    name.fail(unknown(name.text()));
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, plugin] : plugins_) names.push_back(name);
    return names;
  }

  const std::string& kind() const { return kind_; }

 private:
  std::string unknown(std::string_view name) const {
    return "unknown " + kind_ + " '" + std::string(name) + "'" + hint(name, names());
  }

  std::string kind_;
  std::map<std::string, Plugin, std::less<>> plugins_;
};

}  // namespace duet
