#pragma once
/// From the statements of a network template to the tree of its decisions and the program that makes the networks.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/space.hpp"
#include "spaces/network_program.hpp"
#include "spaces/network_statements.hpp"

namespace duet {

/// A parameter of the template as a user set it: one value is fixed, several are a decision.
struct ParameterChoice {
  SpaceNode node;  ///< choice, ordinal, integer or real
  Config place;    ///< where it was set
};

struct CompiledNetwork {
  std::vector<SpaceNode> decisions;
  Program program;
};

/// Expands blocks and repeats, computes what does not depend on decisions, and infers the shapes that do not.
/// \throws ConfigError with the position of the statement, for a shape that cannot be too; and for what would expand to
/// more than 100,000 statements.
CompiledNetwork compile_network(const Config& network, const Body& body, const Blocks& blocks, const Blocks& library,
                                const std::vector<ParameterChoice>& parameters, const std::set<std::string>& words);

}  // namespace duet
