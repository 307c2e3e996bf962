#pragma once
/// Networks that everybody knows, built by duet: for hardware searches with a given network, and as the measure of duet's
/// own counting.

#include <string>
#include <string_view>
#include <vector>

#include "spaces/network.hpp"

namespace duet {

struct ZooNetwork {
  std::string name;
  std::string summary;
  std::string source;  ///< paper, and whose definition where implementations differ
  Network (*build)();
  /// The same definition for fewer pixels, tokens and words, of transformers with two layers, of decoders narrower too: for
  /// whoever computes with it.
  Network (*build_small)();
};

/// All of them, by name.
const std::vector<ZooNetwork>& zoo();

/// \throws ConfigError with the nearest match where there is none of that name.
const ZooNetwork& zoo_network(std::string_view name);

}  // namespace duet
