#include "core/errors.hpp"
#include "spaces/network_template.hpp"
#include "tests/fuzz/targets.hpp"

namespace duet::fuzz {
namespace {

/// A network, or a sentence why these decisions make none.
void build(const DesignPart& part, const Space& space, const Candidate& candidate) {
  const Assignment assignment(space, candidate, "network");
  std::vector<double> counts;
  for (const PartQuantity& quantity : part.quantities()) counts.push_back(quantity.compute(assignment));
  try {
    const Network network = part.network(assignment).value();
    require(network.output() < network.nodes().size(), "a network has an output");
    require(network.nodes().size() <= 100'000, "a network has at most as many nodes as statements");
    require(static_cast<double>(network.macs()) == counts.at(0) && static_cast<double>(network.parameters()) == counts.at(1),
            "quantities are those of the network");
  } catch (const NetworkError& error) {
    require_sentence(error.what());
  }
}

}  // namespace

void fuzz_network_template(std::string_view input) {
  try {
    const NetworkTemplate read = NetworkTemplate::read(Config::parse(std::string(input), "mine.yaml"));
    // Without constraints: that nothing satisfies them takes 10,000 networks to see, which is bounded, but not here.
    const std::unique_ptr<DesignPart> part = read.part();
    const Space space({group("network", part->nodes())});
    for (std::uint64_t i = 0; i < 3; ++i) {
      Random random(1, "fuzz", i);
      const Candidate candidate = space.sample_any(random);
      require(!space.why_malformed(candidate), "a sample is well-formed");
      build(*part, space, candidate);
    }
  } catch (const ConfigError& error) {
    const std::string_view text = error.what();
    require_sentence(text);
    require(text.starts_with("mine.yaml:") || text.starts_with("blocks.yaml:"), "errors have a position", error.what());
  }
}

}  // namespace duet::fuzz
