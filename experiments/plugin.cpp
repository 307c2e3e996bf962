#include "experiments/plugin.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <exception>
#include <fmt/format.h>
#include <fstream>
#include <link.h>
#include <memory>
#include <utility>

#include "core/errors.hpp"

namespace duet {
namespace {

/// Calls what belongs to a plug-in. Whatever it throws is for its author, and no bug of duet's.
class PluginCall {
 public:
  PluginCall(std::string file, std::string subject) : file_(std::move(file)), subject_(std::move(subject)) {}

  /// `what` continues the subject: "failed in ask()". \throws ConfigError
  template <class Call>
  auto operator()(std::string_view what, const Call& call) const -> decltype(call()) {
    try {
      return call();
    } catch (const ConfigError&) {
      throw;  // says what the user did
    } catch (const StoreError&) {
      throw;
    } catch (const std::exception& error) {
      fail(what, error.what());
    } catch (...) {
      fail(what, "what it threw is no std::exception");
    }
  }

  [[noreturn]] void fail(std::string_view what, std::string_view why) const {
    throw ConfigError(fmt::format("plug-in {}: {} {}: {}", file_, subject_, what, why));
  }

 private:
  std::string file_, subject_;
};

/// A plug-in's strategy, whose exceptions say where they come from.
class PluginStrategy final : public Strategy {
 public:
  PluginStrategy(std::unique_ptr<Strategy> strategy, PluginCall call)
      : strategy_(std::move(strategy)), call_(std::move(call)) {}

  std::vector<Proposal> ask(std::uint64_t first, std::size_t count,
                            std::span<const PendingTrial> pending) override {
    return call_("failed in ask()", [&] { return strategy_->ask(first, count, pending); });
  }
  void tell(std::span<const FinishedTrial> finished) override {
    call_("failed in tell()", [&] { strategy_->tell(finished); });
  }
  std::vector<std::uint64_t> population() const override {
    return call_("failed in population()", [&] { return strategy_->population(); });
  }

 private:
  std::unique_ptr<Strategy> strategy_;
  PluginCall call_;
};

/// `create` with what it throws explained; nothing created is a mistake, too.
template <class Object, class... Arguments>
std::function<std::unique_ptr<Object>(Arguments...)> explained(
    std::function<std::unique_ptr<Object>(Arguments...)> create, PluginCall call) {
  return [create = std::move(create), call = std::move(call)](Arguments... arguments) {
    std::unique_ptr<Object> object = call("cannot be created", [&] { return create(arguments...); });
    if (!object) call.fail("cannot be created", "create returns nothing");
    if constexpr (std::is_same_v<Object, Strategy>) {
      return std::unique_ptr<Strategy>(std::make_unique<PluginStrategy>(std::move(object), call));
    } else {
      return object;
    }
  };
}

/// Why a plug-in of this description cannot be used; nothing if it can.
template <class Plugin>
std::optional<std::string> why_unusable(const Plugin& plugin, const std::string& owner) {
  const auto clean = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.'; };
  if (plugin.name.empty() || !std::all_of(plugin.name.begin(), plugin.name.end(), clean)) {
    return "its name must be made of letters, digits, '_', '-' and '.'";
  }
  if (!plugin.create) return "it has no function 'create'";
  std::vector<Option> table;  // defaults can be checked where there are some
  for (const Option& option : plugin.options) {
    if (option.name.empty()) return "one of its options has no name";
    table.push_back(option);
    if (!option.fallback) table.back() = {.name = option.name, .kind = Option::Kind::text, .fallback = ""};
  }
  try {
    Options::defaults(table, owner);
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return std::nullopt;
}

/// Adds what `extended` has and `catalog` has not.
template <class Plugin>
void take_over(Catalog<Plugin>& catalog, const Catalog<Plugin>& extended, const std::string& file) {
  for (const std::string& name : extended.names()) {
    if (catalog.find(name) != nullptr) continue;
    Plugin plugin = extended.at(name);
    const std::string subject = fmt::format("{} '{}'", catalog.kind(), name);
    const PluginCall call(file, subject);
    if (const auto why = why_unusable(plugin, fmt::format("{} {}", catalog.kind(), name))) {
      call.fail("cannot be used", *why);
    }
    plugin.create = explained(std::move(plugin.create), call);
    catalog.add(std::move(plugin));
  }
}

/// The system maps a shared object without looking whether all of it is there, and one that was copied in part ends the
/// process later. \returns what is wrong, if anything.
std::optional<std::string> why_no_shared_object(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return fmt::format("cannot be read: {}", std::strerror(errno));
  ElfW(Ehdr) header{};
  if (!stream.read(reinterpret_cast<char*>(&header), sizeof header) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_type != ET_DYN ||
      header.e_phentsize != sizeof(ElfW(Phdr))) {
    return "is no shared object";
  }
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(file, error);
  // The table of sections stands at the end.
  bool whole = !error && header.e_shoff <= size && size - header.e_shoff >= std::uintmax_t{header.e_shnum} * header.e_shentsize;
  stream.seekg(static_cast<std::streamoff>(header.e_phoff));
  for (int i = 0; i < header.e_phnum && whole; ++i) {
    ElfW(Phdr) segment{};
    whole = static_cast<bool>(stream.read(reinterpret_cast<char*>(&segment), sizeof segment)) &&
            segment.p_filesz <= size && segment.p_offset <= size - segment.p_filesz;
  }
  if (!whole) return fmt::format("is truncated: {} bytes of it are there", size);
  return std::nullopt;
}

/// The entry function; null if there is none. (Data of that name must not be called.)
const PluginEntry* entry_of(void* handle) {
  void* const symbol = dlsym(handle, "duet_plugin");
  Dl_info info{};
  void* extra = nullptr;  // the entry of the table of symbols
  if (symbol == nullptr || dladdr1(symbol, &info, &extra, RTLD_DL_SYMENT) == 0 || extra == nullptr ||
      ELF64_ST_TYPE(static_cast<const ElfW(Sym)*>(extra)->st_info) != STT_FUNC) {
    return nullptr;
  }
  return reinterpret_cast<const PluginEntry* (*)()>(symbol)();
}

}  // namespace

void load_plugin(const std::filesystem::path& file, Registry& registry) {
  const auto refuse = [&](const std::string& what) {
    throw ConfigError(fmt::format("plug-in {}: {}", file.string(), what));
  };
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(file, error);
  if (status.type() == std::filesystem::file_type::not_found) refuse("there is no such file");
  if (error) refuse(fmt::format("cannot be read: {}", error.message()));
  if (status.type() == std::filesystem::file_type::directory) refuse("is a folder, not a shared object");
  if (const auto why = why_no_shared_object(file)) refuse(*why);
  // An absolute path, or dlopen would search the system's folders for a bare name.
  const std::filesystem::path absolute = std::filesystem::absolute(file);
  void* const earlier = dlopen(absolute.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  if (earlier != nullptr) dlclose(earlier);  // it only counts
  void* const handle = dlopen(absolute.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) refuse(fmt::format("cannot be loaded: {}", dlerror()));
  const PluginEntry* const entry = entry_of(handle);
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
  if (entry->compiler == nullptr || std::strcmp(entry->compiler, DUET_PLUGIN_COMPILER) != 0) {
    const std::string compiler = entry->compiler == nullptr ? "" : entry->compiler;
    dlclose(handle);
    refuse(fmt::format("was built for '{}', this duet for '{}'", compiler, DUET_PLUGIN_COMPILER));
  }
  if (entry->add == nullptr) refuse("is no duet plug-in: its DUET_PLUGIN names no function");
  Registry extended = registry;
  try {
    PluginCall(file.string(), "its function")("failed", [&] { entry->add(extended); });
  } catch (const ConfigError& failure) {
    const std::string what = failure.what();
    if (what.starts_with("plug-in ")) throw;
    refuse(earlier != nullptr ? what + "; was this plug-in given twice?" : what);
  }
  take_over(registry.spaces, extended.spaces, file.string());
  take_over(registry.estimators, extended.estimators, file.string());
  take_over(registry.strategies, extended.strategies, file.string());
}

}  // namespace duet
