#pragma once
/// What the tests of spaces share.

#include <string>

#include "core/errors.hpp"
#include "spaces/design_space.hpp"

namespace duet::testing {

/// The design space of a `space:` mapping, with the spaces that come with duet. The document is named
/// "space.yaml".
inline DesignSpace read_space(const std::string& yaml) {
  Catalog<SpacePlugin> catalog("space");
  add_builtin_spaces(catalog);
  return DesignSpace::read(Config::parse(yaml, "space.yaml"), catalog);
}

/// The message with which read_space refuses, or "" if it does not.
inline std::string refusal(const std::string& yaml) {
  try {
    read_space(yaml);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

/// The only network of a design.
inline Network network_of(const DesignSpace& space, const Candidate& candidate) {
  return space.design(candidate).networks().at(0);
}

/// The value of a derived quantity. \throws std::out_of_range if there is none of that name.
inline double quantity(const DesignSpace& space, const Candidate& candidate, const std::string& name) {
  for (const Derived& derived : space.space().derived()) {
    if (derived.name == name) return derived.compute(candidate);
  }
  throw std::out_of_range("no quantity '" + name + "'");
}

/// The candidate that assigns what `yaml` says.
inline Candidate read_candidate(const DesignSpace& space, const std::string& yaml) {
  return space.space().read_candidate(Config::parse(yaml, "candidate.yaml"));
}

}  // namespace duet::testing
