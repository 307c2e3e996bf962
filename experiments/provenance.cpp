#include "experiments/provenance.hpp"

#include <sqlite3.h>
#include <sys/utsname.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <set>

#include <fmt/chrono.h>
#include <nlohmann/json.hpp>

#include "core/config.hpp"

namespace duet {
namespace {

std::string cpu_field(const std::string& key) {
  std::ifstream stream("/proc/cpuinfo");
  for (std::string line; std::getline(stream, line);) {
    const auto colon = line.find(':');
    if (colon != std::string::npos && line.starts_with(key)) {
      return colon + 2 <= line.size() ? line.substr(colon + 2) : "";
    }
  }
  return "unknown";
}

// The instruction sets that libraries choose code paths by.
std::vector<std::string> instruction_sets() {
  static const std::set<std::string> relevant{"sse4_1", "sse4_2",     "avx",         "avx2",        "fma",
                                              "f16c",   "avx512f",    "avx512bw",    "avx512vl",    "avx512dq",
                                              "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "asimd", "sve"};
  std::istringstream flags(cpu_field("flags"));
  std::vector<std::string> found;
  for (std::string flag; flags >> flag;) {
    if (relevant.contains(flag)) found.push_back(flag);
  }
  return found;
}

std::string difference_at(const std::string& path, const Config& stored, const Config& present) {
  const auto brief = [](const Config& config) {
    std::string text = config.canonical();
    if (text.size() > 60) text = text.substr(0, 57) + "...";
    return text;
  };
  if (stored.is_map() && present.is_map()) {
    std::set<std::string> keys;
    for (const std::string& key : stored.keys()) keys.insert(key);
    for (const std::string& key : present.keys()) keys.insert(key);
    // What says most comes first: the type of a thing before its options, causes before what follows from them.
    std::vector<std::string> ordered(keys.begin(), keys.end());
    const auto rank = [](const std::string& key) { return key == "type" ? 0 : key == "order of parameters" ? 2 : 1; };
    std::stable_sort(ordered.begin(), ordered.end(),
                     [&](const std::string& a, const std::string& b) { return rank(a) < rank(b); });
    for (const std::string& key : ordered) {
      const std::string below = path.empty() ? key : path + "." + key;
      if (!stored.has(key)) return below + ": absent there, " + brief(present.at(key)) + " here";
      if (!present.has(key)) return below + ": " + brief(stored.at(key)) + " there, absent here";
      if (auto text = difference_at(below, stored.at(key), present.at(key)); !text.empty()) return text;
    }
    return "";
  }
  if (stored.is_sequence() && present.is_sequence() && stored.size() == present.size()) {
    for (std::size_t i = 0; i < stored.size(); ++i) {
      const std::string below = fmt::format("{}[{}]", path, i);
      if (auto text = difference_at(below, stored.at(i), present.at(i)); !text.empty()) return text;
    }
    return "";
  }
  if (stored.canonical() == present.canonical()) return "";
  return path + ": " + brief(stored) + " there, " + brief(present) + " here";
}

}  // namespace

std::string machine_description(const std::string& trainer,
                                const std::vector<std::pair<std::string, std::string>>& inputs) {
  utsname system{};
  uname(&system);
  nlohmann::json description{
      {"cpu", cpu_field("model name")},
      {"instruction_sets", instruction_sets()},
      {"architecture", system.machine},
      {"compiler", "g++ " __VERSION__},
      {"libraries", {{"sqlite", sqlite3_libversion()}, {"fmt", FMT_VERSION}}},
  };
  if (!trainer.empty()) description["trainer"] = trainer;
  for (const auto& [estimator, fingerprint] : inputs) description["files"][estimator] = fingerprint;
  return description.dump();
}

std::string code_version() { return DUET_CODE_VERSION; }

std::string first_difference(const std::string& stored, const std::string& present) {
  return difference_at("", Config::parse(stored, "stored"), Config::parse(present, "present"));
}

std::string timestamp() {
  const auto now = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
}

}  // namespace duet
