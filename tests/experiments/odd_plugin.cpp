// A plug-in that brings what the environment variable DUET_ODD_PLUGIN names, and most of it is wrong: for plugin_test.cpp.

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

#include "experiments/plugin.hpp"

namespace {

class OddStrategy final : public duet::Strategy {
 public:
  std::vector<duet::Proposal> ask(std::uint64_t, std::size_t, std::span<const duet::PendingTrial>) override {
    throw std::runtime_error("no licence");
  }
  void tell(std::span<const duet::FinishedTrial>) override { throw 5; }
};

duet::StrategyPlugin strategy(std::string name) {
  duet::StrategyPlugin plugin;
  plugin.name = std::move(name);
  plugin.create = [](const duet::Problem&, const duet::Options&) { return std::make_unique<OddStrategy>(); };
  return plugin;
}

void add(duet::Registry& registry) {
  const char* const set = std::getenv("DUET_ODD_PLUGIN");
  const std::string what = set == nullptr ? "" : set;
  if (what == "throws") throw std::runtime_error("no licence");
  if (what == "throws a number") throw 5;
  duet::StrategyPlugin plugin = strategy(what == "taken" ? "nsga2" : what == "bad name" ? "a name" : "odd");
  if (what == "no create") plugin.create = nullptr;
  if (what == "creates nothing") plugin.create = [](const auto&, const auto&) { return nullptr; };
  if (what == "creation throws") {
    plugin.create = [](const auto&, const duet::Options& options) {
      options.integer("undeclared");
      return nullptr;
    };
  }
  if (what == "bad default") plugin.options = {{.name = "members", .fallback = "many"}};
  if (what == "option twice") plugin.options = {{.name = "members", .fallback = "1"}, {.name = "members"}};
  if (what == "space") {
    duet::SpacePlugin space;
    space.name = "odd_space";
    space.create = [](const duet::Options&) -> std::unique_ptr<duet::DesignPart> { throw std::out_of_range("at()"); };
    registry.spaces.add(space);
  }
  registry.strategies.add(plugin);
}

}  // namespace

DUET_PLUGIN(add)
